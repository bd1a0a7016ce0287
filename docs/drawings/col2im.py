from grids import arrow, canvas, cells, note

axis = canvas(8.6)
note(axis, 6, 0.7, "one product: every tap times every element")
cells(axis, 1, 2.2, "a / b / c", "w")
note(axis, 2.6, 3.7, "·", 12)
cells(axis, 3.1, 3.2, "1 2 3", "p q r")
note(axis, 6.7, 3.7, "=", 10)
cells(axis, 7.3, 2.2, "1a 2a 3a / 1b 2b 3b / 1c 2c 3c", "p q r / p q r / p q r", 1.1, 8)
arrow(axis, (11.1, 3.8), (13.4, 3.8))
note(axis, 22, 0.7, "stride 2: element q gives to results 2q, 2q + 1, 2q + 2")
cells(axis, 16, 1.8, "1a 1b 1c", "p", 1.7)
cells(axis, 19.4, 3.5, "2a 2b 2c", "q", 1.7)
cells(axis, 22.8, 5.2, "3a 3b 3c", "r", 1.7)
axis.plot([15.8, 28.1], [7.05, 7.05], color="black", lw=1.2)
for n, text in enumerate(("1a", "1b", "1c+2a", "2b", "2c+3a", "3b", "3c")):
    note(axis, 16 + 1.7 * (n + 0.5), 7.7, text, 8)
note(axis, 15.5, 7.7, "y", align="right")
note(axis, 6, 7.7, "colours: the elements of x")
