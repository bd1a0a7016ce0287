from grids import arrow, canvas, cells, note, window

axis = canvas(9.8)
note(
    axis,
    15,
    0.7,
    "one axis: 4 elements with lhs_dilation 2, padding (2, 1), a kernel of 3 taps with rhs_dilation 2, stride 2",
)
cells(axis, 2, 1.7, "0 0 1 0 2 0 3 0 4 0", "x", 1.4)
window(axis, 4.8, 1.7, 7, 1.4, "#c05000")
note(axis, 1.6, 2.4, "x", align="right")
note(axis, 1.6, 4.3, "w", align="right")
for n, (left, result) in enumerate(((2, "0a + 1b + 2c"), (4.8, "1a + 2b + 3c"), (7.6, "2a + 3b + 4c"))):
    top = 3.6 + 1.65 * n
    cells(axis, left, top, "a . b . c", "w n w n w", 1.4)
    cells(axis, 19.2, top + 0.1, ".", "y", 1.2)
    note(axis, 21, top + 0.7, f"y[{n}] = {result}", align="left")
window(axis, 4.8, 5.25, 7, 1.4, "#c05000")
window(axis, 19.2, 5.35, 1.2, 1.2, "#c05000")
arrow(axis, (2, 6), (4.7, 6))
arrow(axis, (4.8, 7.6), (7.5, 7.6))
note(axis, 15, 9.2, "hatched: zeros, of the dilation of x between its elements and of the padding around it")
