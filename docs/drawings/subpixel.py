from grids import arrow, canvas, cells, note

axis = canvas(8.8)
cells(axis, 0.4, 2.7, "1 2 3 / 4 5 6 / 7 8 9", "x")
note(axis, 1.9, 0.7, "x")
note(axis, 6.2, 0.7, "w, 4x4; stride 2")
cells(axis, 4.2, 2.2, "a b c d / e f g h / i j k l / m n o p", "p q p q / r s r s / p q p q / r s r s")
arrow(axis, (8.4, 4.2), (9.7, 4.2))
note(axis, 12.4, 0.7, "4 kernels of 2x2")
kernels = ("p", "a c / i k"), ("q", "b d / j l"), ("r", "e g / m o"), ("s", "f h / n p")
for n, (colour, taps) in enumerate(kernels):
    row, column = divmod(n, 2)
    cells(axis, 10 + 2.4 * column, 2 + 2.4 * row, taps, colour)
    cells(axis, 16.5 + 3.2 * column, 1.4 + 3.2 * row, ". . . / . . . / . . .", colour, 0.95)
arrow(axis, (14.7, 4.2), (16.2, 4.2))
note(axis, 19.5, 0.7, "4 output channels")
arrow(axis, (22.8, 4.2), (23.8, 4.2))
note(axis, 26.9, 0.7, "y: interleaved")
rows = ". . . . . . / " * 5 + ". . . . . ."
cells(axis, 24, 1.4, rows, "p q p q p q / r s r s r s / " * 2 + "p q p q p q / r s r s r s", 0.97)
note(
    axis,
    15,
    8.3,
    "a result of one colour meets taps of that colour alone; the others would meet the zeros between the elements of x",
)
