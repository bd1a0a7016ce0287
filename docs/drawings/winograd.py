from grids import arrow, canvas, cells, note, window


def square(size, colour):
    return " / ".join([". " * size] * size), colour


axis = canvas(11)
cells(axis, 0.5, 2.2, *square(10, "x"), 0.55)
window(axis, 0.5, 2.2, 3.3, 3.3, "#c05000")
window(axis, 2.7, 2.25, 3.3, 3.2, "#7040a0")
window(axis, 0.55, 4.4, 3.2, 3.3, "#208020")
note(axis, 3.2, 0.9, "x in tiles of 6x6,\none every 4 elements")
cells(axis, 8, 1.2, *square(6, "x"), 0.55)
note(axis, 9.6, 5.1, "tile d")
arrow(axis, (11.5, 2.8), (14.6, 2.8))
note(axis, 13.05, 2.1, "BᵀdB")
cells(axis, 14.8, 1.2, *square(6, "p"), 0.55)
cells(axis, 8.8, 6.8, *square(3, "w"), 0.55)
note(axis, 9.6, 9.1, "kernel g, 3x3")
arrow(axis, (11.5, 7.6), (14.6, 7.6))
note(axis, 13.05, 6.9, "GgGᵀ")
cells(axis, 14.8, 6, *square(6, "q"), 0.55)
note(axis, 16.45, 5.2, "·", 16)
note(axis, 16.45, 10.1, "times, element by element")
arrow(axis, (18.4, 5.2), (20.2, 5.2))
cells(axis, 20.4, 3.5, *square(6, "r"), 0.55)
note(axis, 22.05, 8.5, "m: 36 products,\nsummed over\nthe channels")
arrow(axis, (24, 5.2), (26.9, 5.2))
note(axis, 25.4, 4.5, "AᵀmA")
cells(axis, 27.1, 4.1, *square(4, "y"), 0.55)
note(axis, 27.5, 8.5, "4x4 results,\ninstead of\n144 products")
