"""What the drawings of the algorithms have in common: a canvas of 30 cells a row, grids of cells, boxes and arrows.

x is blue, w orange and y green. Phases, channels and images have the colours p to s. Zeros are hatched.
"""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch, Rectangle

WIDTH, INCHES = 30, 0.24
COLOURS = {
    "x": "#b3d1ec",
    "w": "#fdd0a2",
    "y": "#bfe5b8",
    "p": "#9ecae1",
    "q": "#fdae6b",
    "r": "#c7b9e0",
    "s": "#f4a6b5",
    "n": "#ffffff",
}


def canvas(height: float) -> plt.Axes:
    axis = plt.figure(figsize=(WIDTH * INCHES, height * INCHES), layout="none").add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, WIDTH), ylim=(height, 0))
    axis.axis("off")
    return axis


def cells(axis, x, y, texts: str, colours: str, size=1.0, font=8.5):
    """A grid with its top left corner at (x, y), from words for the cells of each row, rows parted by "/".

    "0" is a hatched zero, "." a cell without a text, and "_" no cell. `colours` is one for all, or a grid of them.
    """
    grid = [row.split() for row in texts.split("/")]
    paint = [row.split() for row in colours.split("/")]
    for i, row in enumerate(grid):
        for j, word in enumerate(row):
            if word == "_":
                continue
            colour = paint[i][j] if len(paint) > 1 or len(paint[0]) > 1 else paint[0][0]
            zero = {"facecolor": "white", "edgecolor": "#b0b0b0", "hatch": "//////", "lw": 0}
            at = (x + j * size, y + i * size), size, size
            axis.add_patch(Rectangle(*at, **(zero if word == "0" else {"facecolor": COLOURS[colour]})))
            axis.add_patch(Rectangle(*at, fill=False, edgecolor="#606060", lw=0.7))
            if word not in (".", "0"):
                note(axis, x + (j + 0.5) * size, y + (i + 0.5) * size, word, font)


def phases(axis, kernels, at: float, apart: float, top: float, convolved: str, order: str):
    """From w, sorted by phase into `kernels` of (colour, taps), their results, and the interleaved y."""
    arrow(axis, (8.3, 4.2), (9.7, 4.2))
    for n, (colour, taps) in enumerate(kernels):
        row, column = divmod(n, 2)
        cells(axis, at + apart * column, top + apart * row, taps, colour)
        cells(axis, 16.5 + 3.2 * column, 1.4 + 3.2 * row, ". . . / . . . / . . .", colour, 0.95)
    arrow(axis, (14.7, 4.2), (16.2, 4.2))
    note(axis, 19.5, 0.7, convolved)
    arrow(axis, (22.8, 4.2), (23.8, 4.2))
    note(axis, 26.9, 0.7, "y: interleaved")
    cells(axis, 24, 1.4, ". . . . . . / " * 5 + ". . . . . .", " / ".join([order] * 3), 0.97)


def note(axis, x, y, text: str, font=8.5, align="center"):
    axis.text(x, y, text, ha=align, va="center", fontsize=font)


def window(axis, x, y, width, height, colour="black"):
    axis.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, lw=2.2, zorder=3))


def arrow(axis, start, end):
    style = {"arrowstyle": "-|>", "color": "#404040", "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
    axis.annotate("", xy=end, xytext=start, arrowprops=style)


def box(axis, x, y, width, height, text: str, colour="n", font=8.5):
    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.35", lw=0.9)
    shape.set(facecolor=COLOURS[colour], edgecolor="#606060")
    axis.add_patch(shape)
    note(axis, x + width / 2, y + height / 2, text, font)
