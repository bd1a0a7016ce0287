"""Reads photographs and draws pictures for the examples, without changing matplotlib's global state."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import cbook
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageOps

from example_parts import command

SMALL = 144  # largest number of elements whose values are written into the picture
LEGIBLE = 5  # points: the smallest size of a number


class Picture(NamedTuple):
    """An image, a kernel or a feature map of two axes, and the ends of its colours, if others have the same."""

    title: str
    array: np.ndarray
    shown: tuple[float, float] | None = None


def read_photograph(path: Path | None = None) -> np.ndarray:
    """A picture as a grey float32 array from 0 (black) to 1 (white); None is matplotlib's sample photograph."""
    source = path or cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of unusual files, and raises an error for unreadable ones
            with Image.open(source) as image:
                return _grey(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise command.Problem(f"there is no picture {source}; say with --image where it is") from error
    except Exception as error:  # a broken file can make Pillow raise nearly anything
        raise command.Problem(f"cannot read {source} as a picture: {error}") from error


def _grey(image: Image.Image) -> np.ndarray:
    if image.mode in ("F", "I") or image.mode.startswith(
        "I;"
    ):  # modes with more than 8 bits have no fixed value for white
        deep = np.asarray(image, np.float32)
        deep = deep - deep.min()
        return deep / max(deep.max(), np.float32(1e-30))
    return np.asarray(image.convert("L"), np.float32) / 255


def limits(array: np.ndarray) -> tuple[float, float]:
    """The values at the ends of the colours. 0 is in the middle if there are negative values, else at the lower end.

    A few values that are much larger than the rest are clipped, because they would make the rest dark.
    """
    sizes = np.abs(array)
    top, most = float(np.max(sizes, initial=0)), float(np.percentile(sizes, 99.5))
    if array.size > SMALL and most < 0.8 * top:
        top = most
    return (-top if np.min(array, initial=0) < 0 else 0.0), top or 1.0


def draw(
    axes: Axes, title: str, array: np.ndarray, *, shown: tuple[float, float] | None = None, bar: bool = True
) -> AxesImage:
    """Draw a picture with a title. Small ones have numbers in their cells if there is room, others a colour bar.

    Values from 0 are grey. Signed values are blue below 0, white at 0 and red above.
    """
    low, high = shown or limits(array)
    small = array.size <= SMALL
    drawn = axes.imshow(
        array,
        cmap="RdBu_r" if low < 0 else "gray",
        vmin=low,
        vmax=high,
        interpolation="nearest" if small else "antialiased",
    )
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    if bar and not small:
        inch = axes.figure.dpi / axes.bbox.width
        _add_bar(drawn, axes.inset_axes((1 + 0.08 * inch, 0, 0.1 * inch, 1)))
    if small:
        _write_numbers(axes, drawn, digits=3 - math.floor(math.log10(high)))
    return drawn


def _add_bar(drawn: AxesImage, place: Axes) -> None:
    """Draw a colour bar. An end is pointed if the picture has values beyond it."""
    values, (low, high) = drawn.get_array(), drawn.get_clim()
    beyond = (values is not None and values.min() < low, values is not None and values.max() > high)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    bar = place.figure.colorbar(
        drawn, cax=place, ticks=MaxNLocator(5, steps=[1, 2, 5, 10]), extend=extend, extendfrac=0.04
    )
    bar.ax.tick_params(labelsize=7, length=2, pad=1)


def _write_numbers(axes: Axes, drawn: AxesImage, digits: int) -> None:
    array = np.asarray(drawn.get_array())
    axes.set_xticks(np.arange(0.5, array.shape[1] - 1), minor=True)
    axes.set_yticks(np.arange(0.5, array.shape[0] - 1), minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(which="minor", color="0.7", linewidth=0.4)
    texts = [f"{value:.3g}" for value in array.astype(float).round(digits).ravel() + 0.0]
    cell = min(axes.bbox.width, axes.bbox.height) / axes.figure.dpi * 72 / max(array.shape)
    size = min(9, 0.8 * cell, cell / (0.62 * max(map(len, texts), default=1)))
    if size < LEGIBLE:
        return
    luminance = drawn.to_rgba(array)[..., :3] @ (0.299, 0.587, 0.114)
    for (row, column), text in zip(np.ndindex(array.shape), texts, strict=True):
        colour = "white" if luminance[row, column] < 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def grid(
    groups: Sequence[tuple[str, Sequence[Picture]]],
    columns: int,
    *,
    panel: float = 1.4,
    aspect: float = 1,
    title: str = "",
    below: float = 0,
) -> Figure:
    """A figure of groups of pictures. Each group has a title and starts on a new line.

    `panel` is the width of a picture in inches, `aspect` its height divided by its width, and `below` the free space at
    the bottom of the figure in inches.
    """
    lines = [-(-len(pictures) // columns) for _, pictures in groups]
    name_space = [0.3 if name else 0.0 for name, _ in groups]
    line = panel * aspect + 0.45
    heights = [space + line * count for space, count in zip(name_space, lines, strict=True)]
    head = 0.5 if title else 0.0
    figure = Figure(figsize=((panel + 0.65) * columns, head + sum(heights) + 0.1 + below))
    wide, high = figure.get_size_inches()
    figure.text(0.5, 1 - 0.15 / high, title, fontsize=14, ha="center", va="top")
    top = high - head
    for (name, pictures), space, height in zip(groups, name_space, heights, strict=True):
        figure.text(0.15 / wide, (top - 0.12) / high, name, fontsize=11, fontweight="bold", va="top")
        for place, picture in enumerate(pictures):
            row, column = divmod(place, columns)
            left, bottom = 0.15 + (panel + 0.65) * column, top - space - line * (row + 1) + 0.08
            box = (left / wide, bottom / high, panel / wide, panel * aspect / high)
            draw(figure.add_axes(box), picture.title, picture.array, shown=picture.shown)
        top -= height
    return figure


def save(figure: Figure, path: Path, dpi: int = 110) -> Path:
    """Write a figure as a png, complete or not at all."""
    return command.write(path, lambda file: figure.savefig(file, format="png", dpi=dpi))
