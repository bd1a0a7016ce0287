from grids import canvas, cells, note, phases

axis = canvas(8.8)
cells(axis, 0.6, 2.7, "1 2 3 / 4 5 6 / 7 8 9", "x")
note(axis, 2.1, 0.7, "x")
note(axis, 6.4, 0.7, "w, 3x3; stride 2")
cells(axis, 4.9, 2.7, "a b c / d e f / g h i", "p q p / r s r / p q p")
note(axis, 12.4, 0.7, "4, 2, 2 and 1 taps")
kernels = ("s", "e"), ("r", "d f"), ("q", "b / h"), ("p", "a c / g i")
phases(axis, kernels, 10.4, 2, 2.4, "4 convolutions", "s r s r s r / q p q p q p")
note(axis, 15, 8.3, "no zero is multiplied: neither those between the elements of x nor any in place of a tap")
