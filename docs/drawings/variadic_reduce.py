from grids import arrow, canvas, cells, note, window

axis = canvas(8.8)
cells(axis, 0.8, 1.5, "0 0 0 0 0 0 / 0 1 2 3 4 0 / 0 5 6 7 8 0 / 0 9 10 11 12 0 / 0 13 14 15 16 0 / 0 0 0 0 0 0", "x")
window(axis, 0.8, 1.5, 4, 4, "#c05000")
window(axis, 2.8, 3.5, 4, 4, "#7040a0")
cells(axis, 9.6, 2.5, "A B C D / E F G H / I J K L / M N O P", "y")
cells(axis, 19, 1.6, "Σ Σ Σ / Σ Σ Σ / Σ Σ Σ", "w", 1.9, 11)
window(axis, 19, 1.6, 1.9, 1.9, "#c05000")
window(axis, 22.8, 5.4, 1.9, 1.9, "#7040a0")
arrow(axis, (14.6, 4.5), (18.4, 4.5))
note(axis, 16.5, 3.8, "one pass")
note(axis, 3.8, 0.7, "x, padded by 1")
note(axis, 11.6, 0.7, "gradient by y")
note(axis, 21.9, 0.7, "gradient by w, 3x3")
note(axis, 25.2, 2.6, "1F + 2G + 3H", align="left")
note(axis, 25.2, 3.5, "+ 5J + 6K + ...", align="left")
note(axis, 25.2, 6.0, "6A + 7B + 8C", align="left")
note(axis, 25.2, 6.9, "+ 10E + ...", align="left")
note(
    axis, 15, 8.2, "a sum in a register for every tap: each product is added to its sum while both arrays are read once"
)
