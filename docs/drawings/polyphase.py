from grids import arrow, canvas, cells, note

axis = canvas(8.8)
cells(axis, 0.6, 2.7, "1 2 3 / 4 5 6 / 7 8 9", "x")
note(axis, 2.1, 0.7, "x")
note(axis, 6.4, 0.7, "w, 3x3; stride 2")
cells(axis, 4.9, 2.7, "a b c / d e f / g h i", "p q p / r s r / p q p")
arrow(axis, (8.2, 4.2), (9.7, 4.2))
note(axis, 12.4, 0.7, "4, 2, 2 and 1 taps")
kernels = ("s", "e"), ("r", "d f"), ("q", "b / h"), ("p", "a c / g i")
for n, (colour, taps) in enumerate(kernels):
    row, column = divmod(n, 2)
    cells(axis, 10.4 + 2 * column, 2.4 + 2 * row, taps, colour)
    cells(axis, 16.5 + 3.2 * column, 1.4 + 3.2 * row, ". . . / . . . / . . .", colour, 0.95)
arrow(axis, (14.7, 4.2), (16.2, 4.2))
note(axis, 19.5, 0.7, "4 convolutions")
arrow(axis, (22.8, 4.2), (23.8, 4.2))
note(axis, 26.9, 0.7, "y: interleaved")
rows = ". . . . . . / " * 5 + ". . . . . ."
cells(axis, 24, 1.4, rows, "s r s r s r / q p q p q p / " * 2 + "s r s r s r / q p q p q p", 0.97)
note(axis, 15, 8.3, "no zero is multiplied: neither those between the elements of x nor any in place of a tap")
