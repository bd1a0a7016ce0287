from grids import arrow, canvas, cells, note

axis = canvas(10.4)
note(axis, 2.2, 0.9, "x: 3 pixels,\n2 channels")
cells(axis, 1.2, 3.9, "1 1 / 2 2 / 3 3", "p p / q q / r r")
note(axis, 4.2, 5.4, "·", 12)
note(axis, 7.3, 0.9, "a matrix for each tap:\n2 inputs, 3 outputs")
note(axis, 13.8, 0.9, "a product\nfor each tap")
for n, tap in enumerate("abc"):
    top = 2.2 + 2.6 * n
    cells(axis, 5.8, top, f"{tap} {tap} {tap} / {tap} {tap} {tap}", "w")
    cells(axis, 12.6, top, " / ".join([f"{pixel}{tap} " * 3 for pixel in "123"]), "p p p / q q q / r r r", 0.8, 6.5)
arrow(axis, (9.2, 5.4), (12.2, 5.4))
arrow(axis, (15.4, 5.4), (18.2, 5.4))
note(axis, 22.6, 0.9, "added at the results:\n7 pixels of y, 3 channels; stride 2")
rows = ("1a", "1b", "1c + 2a", "2b", "2c + 3a", "3b", "3c")
for n, text in enumerate(rows):
    cells(axis, 19, 2.2 + n, ". . .", "y")
    note(axis, 22.6, 2.7 + n, text, align="left")
