from grids import canvas, cells, note

axis = canvas(8.6)
pixels = ["0,0", "0,1", "1,0", "1,1"]
for channel, colour in enumerate("pqr"):
    note(axis, 2.6 + 3.4 * channel, 0.6, f"channel {channel}")
    cells(axis, 1.5 + 3.4 * channel, 1.1, f"{pixels[0]} {pixels[1]} / {pixels[2]} {pixels[3]}", colour, 1.1, 7)
note(axis, 12.4, 2.2, "an image of 3 channels and 2 x 2 pixels", align="left")
note(axis, 1.5, 4.3, "contiguous: all pixels of a channel, then the next channel", align="left")
cells(axis, 1.5, 4.7, " ".join(pixels * 3), " ".join(c for c in "pqr" for _ in pixels) + " / p", 1.2, 7)
note(axis, 1.5, 6.9, "channels last: all channels of a pixel, then the next pixel", align="left")
cells(axis, 1.5, 7.3, " ".join(p for p in pixels for _ in "pqr"), " ".join("pqr" * 4) + " / p", 1.2, 7)
