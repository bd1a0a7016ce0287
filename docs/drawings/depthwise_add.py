from grids import canvas, cells, note, window

axis = canvas(8.2)
of_channel = "p q r " * 4
note(axis, 15, 0.7, "4 pixels of a row, 3 channels each, as they lie in memory; a kernel of 2 taps for each channel")
cells(axis, 8, 1.6, "1 1 1 2 2 2 3 3 3 4 4 4", of_channel)
note(axis, 7.5, 2.1, "x", align="right")
cells(axis, 8, 3.5, "1a 1a 1a 2a 2a 2a 3a 3a 3a", of_channel)
note(axis, 7.5, 4, "pixels 1 to 3, times a", align="right")
cells(axis, 8, 4.8, "2b 2b 2b 3b 3b 3b 4b 4b 4b", of_channel)
note(axis, 7.5, 5.3, "+ pixels 2 to 4, times b", align="right")
cells(axis, 8, 6.6, ". . . . . . . . .", "y")
note(axis, 7.5, 7.1, "= 3 pixels of y", align="right")
window(axis, 8, 1.6, 9, 1, "#c05000")
window(axis, 11, 1.65, 9, 0.9, "#208020")
window(axis, 8, 3.5, 9, 1, "#c05000")
window(axis, 8, 4.8, 9, 1, "#208020")
note(
    axis,
    18.2,
    4.7,
    "channels have the colours, and taps of\ntheir own; the shift of one pixel is a\nshift of 3 in memory",
    align="left",
)
