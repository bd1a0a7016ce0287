from grids import canvas, cells, note, window

axis = canvas(6.6)
cells(axis, 0.6, 1.3, "1 2 3 4 / 5 6 7 8 / 9 10 11 12 / 13 14 15 16", "x")
window(axis, 0.6, 1.3, 3, 3, "#c05000")
window(axis, 1.6, 2.3, 3, 3, "#208020")
shifted = (
    ("a", "1 2 3 / 5 6 7 / 9 10 11"),
    ("b", "2 3 4 / 6 7 8 / 10 11 12"),
    ("c", "5 6 7 / 9 10 11 / 13 14 15"),
    ("d", "6 7 8 / 10 11 12 / 14 15 16"),
)
for n, (tap, part) in enumerate(shifted):
    left = 6.3 + 5 * n
    note(axis, left - 0.38, 3.3, "+" if n else "", 10)
    cells(axis, left, 2.8, tap, "w")
    note(axis, left + 1.25, 3.3, "·", 12)
    cells(axis, left + 1.4, 1.8, part, "x", 0.95, 7.5)
window(axis, 7.7, 1.8, 2.85, 2.85, "#c05000")
window(axis, 22.7, 1.8, 2.85, 2.85, "#208020")
note(axis, 26.1, 3.3, "=", 10)
cells(axis, 26.7, 1.8, ". . . / . . . / . . .", "y", 0.95)
note(axis, 2.6, 0.6, "x")
note(axis, 16, 0.6, "a slice of x for every tap of a 2x2 kernel, times that tap")
note(axis, 28.1, 0.6, "y")
note(axis, 15, 6.0, "one loop over the results keeps the taps and the sum in registers")
