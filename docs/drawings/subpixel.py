from grids import canvas, cells, note, phases

axis = canvas(8.8)
cells(axis, 0.4, 2.7, "1 2 3 / 4 5 6 / 7 8 9", "x")
note(axis, 1.9, 0.7, "x")
note(axis, 6.2, 0.7, "w, 4x4; stride 2")
cells(axis, 4.2, 2.2, "a b c d / e f g h / i j k l / m n o p", "p q p q / r s r s / p q p q / r s r s")
note(axis, 12.4, 0.7, "4 kernels of 2x2")
kernels = ("p", "a c / i k"), ("q", "b d / j l"), ("r", "e g / m o"), ("s", "f h / n p")
phases(axis, kernels, 10, 2.4, 2, "4 output channels", "p q p q p q / r s r s r s")
told = (
    "a result of one colour meets taps of that colour alone; the others would meet the zeros between the elements of x"
)
note(axis, 15, 8.3, told)
