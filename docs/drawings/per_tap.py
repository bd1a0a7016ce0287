from grids import arrow, canvas, cells, note, window

axis = canvas(8.8)
x = "1 2 3 4 / 5 6 7 8 / 9 10 11 12 / 13 14 15 16"
y = ". . . . / . . . . / . . . . / . . . ."
taps = (("a", 0, 0, 2, 2, 2, 2), ("b", 0, 0, 4, 2, 0, 2), ("e", 0, 0, 4, 4, 0, 0))
for n, (tap, left, top, width, height, column, row) in enumerate(taps):
    at = 0.3 + 10 * n
    cells(axis, at, 1.6, x, "x", 0.95, 7.5)
    window(axis, at + 0.95 * left, 1.6 + 0.95 * top, 0.95 * width, 0.95 * height, "#c05000")
    cells(axis, at + 4.1, 3, tap, "w")
    arrow(axis, (at + 4.0, 4.4), (at + 5.3, 4.4))
    cells(axis, at + 5.4, 1.6, y, "y", 0.95)
    window(axis, at + 5.4 + 0.95 * column, 1.6 + 0.95 * row, 0.95 * width, 0.95 * height, "#c05000")
note(axis, 4.9, 0.7, "tap a, top left: 4 products")
note(axis, 14.9, 0.7, "tap b, top middle: 8 products")
note(axis, 24.9, 0.7, "tap e, centre: 16 products")
note(axis, 15, 6.7, "3x3 taps, dilation 2, padding 2: tap a meets the image at 2x2 results, and elsewhere zeros")
note(axis, 15, 7.8, "all 9 taps: (2 + 4 + 2)² = 64 products instead of 9 · 16 = 144")
