from grids import canvas, cells, note, window

axis = canvas(10.8)
blocks = "p p p p q q q q r r r r"
note(axis, 15, 0.7, "one row of x in blocks of 4; a kernel of 3 taps, a, b and c")
cells(axis, 9, 1.6, "1 2 3 4 5 6 7 8 9 10 11 12", blocks)
window(axis, 9, 1.6, 8, 1, "#c05000")
window(axis, 13, 1.65, 8, 0.9, "#208020")
note(axis, 8.5, 2.1, "x", align="right")
band = "a b c 0 0 0 0 0 / 0 a b c 0 0 0 0 / 0 0 a b c 0 0 0 / 0 0 0 a b c 0 0"
cells(axis, 3.5, 4.6, band, "w")
note(axis, 6.5, 9.4, "the kernel as a matrix:\n2 blocks of x to a block of y")
note(axis, 12.3, 6.6, "·", 12)
cells(
    axis,
    13.2,
    3.2,
    "1 5 / 2 6 / 3 7 / 4 8 / 5 9 / 6 10 / 7 11 / 8 12",
    "p q / p q / p q / p q / q r / q r / q r / q r",
    0.9,
    8,
)
window(axis, 13.2, 3.2, 0.9, 7.2, "#c05000")
window(axis, 14.1, 3.2, 0.9, 7.2, "#208020")
note(axis, 15.9, 6.6, "=", 10)
cells(axis, 16.8, 4.6, "A E / B F / C G / D H", "y")
note(axis, 19.6, 5.6, "A = 1a + 2b + 3c", align="left")
note(axis, 19.6, 6.6, "E = 5a + 6b + 7c", align="left")
note(axis, 19.6, 8, "a column for each block of results", align="left")
