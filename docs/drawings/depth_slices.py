from grids import arrow, canvas, cells, note

axis = canvas(9.8)
note(axis, 3.6, 0.7, "x: a volume of 5 slices")
for n in range(5):
    cells(axis, 0.8 + 0.95 * n, 1.6 + 1.2 * n, str(n + 1), "x", 1.8)
arrow(axis, (6.9, 4.9), (8.6, 4.9))
note(axis, 12.2, 0.7, "3 images of 3 channels")
for n in range(3):
    top = 1.6 + 2.4 * n
    cells(axis, 9.2, top, f"{n + 1} {n + 2} {n + 3}", "x", 1.8)
    cells(axis, 26.2, top, f"y[{n}]", "y", 1.8)
note(axis, 16, 4.9, "·", 12)
cells(axis, 17.2, 4, "a b c", "w", 1.8)
note(axis, 19.9, 0.7, "w: 3 channels")
arrow(axis, (23.3, 4.9), (25.4, 4.9))
note(axis, 27.1, 0.7, "y: 3 slices")
note(axis, 15, 9.2, "one convolution of images with 3 times the channels: y[0] is slices 1, 2 and 3 under a, b and c")
