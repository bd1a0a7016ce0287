from grids import arrow, canvas, cells, note

axis = canvas(7.4)
for n, colour in enumerate("pqrs"):
    top = 1.6 + 1.4 * n
    cells(axis, 3, top, ". .", colour)
    arrow(axis, (5.4, top + 0.5), (8.6, top + 0.5))
    cells(axis, 9, top, f"w{n + 1}", colour, 1)
    note(axis, 14.5, top + 0.5, "a convolution of its own")
    arrow(axis, (19, top + 0.5), (22.2, top + 0.5))
    cells(axis, 22.6, top, ". . .", colour)
note(axis, 4, 0.7, "8 channels, 4 groups")
note(axis, 9.5, 0.7, "w")
note(axis, 24.1, 0.7, "12 output channels")
note(axis, 28.4, 4.2, "one after\nthe other")
