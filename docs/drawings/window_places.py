from grids import arrow, canvas, cells, note, window

axis = canvas(10.2)
for n, (title, x, places) in enumerate(
    [
        ("padding 0: 5 - 3 + 1 = 3 places", "1 2 3 4 5", (0, 1, 2)),
        ("padding 1: 5 + 2 - 3 + 1 = 5 places", "0 1 2 3 4 5 0", (0, 1, 2, 3, 4)),
        ("stride 2, padding 1: (5 + 2 - 3) / 2 + 1 = 3 places", "0 1 2 3 4 5 0", (0, 2, 4)),
        ("stride 3, padding (0, 1): (5 + 1 - 3) / 3 + 1 = 2 places", "1 2 3 4 5 0", (0, 3)),
        ("dilation 2: the kernel reaches over 5 elements, 1 place", "1 2 3 4 5", (0,)),
    ]
):
    y = 0.5 + 1.95 * n
    note(axis, 12.5, y + 0.7, title, align="left")
    cells(axis, 1, y, x, "x", 1.15, 9)
    reach = 5 if "dilation" in title else 3
    for step, place in enumerate(places[:2]):
        window(
            axis,
            1 + 1.15 * place,
            y - 0.12 + 0.12 * step,
            1.15 * reach,
            1.39 - 0.24 * step,
            ("#c05000", "#208020")[step],
        )
    if reach == 5:
        for tap in (0, 2, 4):
            arrow(axis, (1.57 + 1.15 * tap, y + 1.75), (1.57 + 1.15 * tap, y + 1.25))
