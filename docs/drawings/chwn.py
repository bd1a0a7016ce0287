from grids import canvas, cells, note, window

axis = canvas(8.2)
note(axis, 13, 0.7, "a row of 3 pixels of 4 images; images have the colours")
cells(axis, 7, 1.6, "1 2 3 " * 4, "p p p q q q r r r s s s")
note(axis, 6.5, 2.1, "contiguous, NCHW", align="right")
for n in range(4):
    window(axis, 8 + 3 * n, 1.6, 2, 1, "#c05000")
note(axis, 20, 2.1, "what the second of 2 taps reads:\na piece of each image", align="left")
cells(axis, 7, 4, "1 1 1 1 2 2 2 2 3 3 3 3", "p q r s " * 3)
window(axis, 11, 4, 8, 1, "#c05000")
note(axis, 6.5, 4.5, "images last, CHWN", align="right")
note(axis, 20, 4.5, "one long piece, which starts\nat a whole vector", align="left")
for n in range(4):
    axis.plot([7 + 4 * n] * 2, [3.5, 5.5], color="black", lw=1.6)
note(
    axis,
    15,
    7.2,
    "black lines: the limits of vectors of 4 numbers; a tap moves by whole pixels, which are whole vectors here",
)
