"""Code that the three labs share: edge kernels, images, and the main program that prints and draws the experiments.

An experiment is a function without arguments. Its docstring says what to look for. It returns values by title. All of
them are printed, and arrays are also drawn as pictures. The last value is the result.
"""

import inspect
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import command
import jax.numpy as jnp
import numpy as np
import pictures
from jax import Array

import convjax

Shown = Mapping[str, Any]
Experiment = Callable[[], Shown]

GX, GY = convjax.kernels.sobel()[:1], convjax.kernels.sobel()[1:]  # (1, 1, 3, 3) each


def dark(height: int = 5, width: int = 5) -> Array:
    """An image of zeros, (1, 1, height, width)."""
    return jnp.zeros((1, 1, height, width), jnp.float32)


def vertical_line(column: int, size: int = 5) -> Array:
    """Zeros except for one column of ones, (1, 1, size, size)."""
    return dark(size, size).at[..., column].set(1)


def horizontal_line(row: int, size: int = 5) -> Array:
    """Zeros except for one row of ones, (1, 1, size, size)."""
    return dark(size, size).at[..., row, :].set(1)


def ones(size: int) -> Array:
    """An image or a kernel of ones, (1, 1, size, size)."""
    return jnp.ones((1, 1, size, size), jnp.float32)


def dot(value: float) -> Array:
    """The kernel that multiplies by a number, (1, 1, 3, 3): the number in the centre of zeros."""
    return dark(3, 3).at[..., 1, 1].set(value)


def error_of(call: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The message of the error that a call raises."""
    try:
        call(*args, **options)
    except (TypeError, ValueError) as error:
        return str(error)
    raise AssertionError("the call was expected to raise an error")


def run(
    file: str,
    lesson: str | None,
    experiments: Sequence[Experiment],
    *,
    columns: int,
    panel: float = 1.4,
    argv: list[str] | None = None,
) -> int:
    """The main program of a lab: print every experiment and save their pictures as one figure."""
    name = Path(file).stem
    image = f"{name}.png"

    def job(arguments: Namespace) -> int:
        command.open_folder(arguments.out, [image])
        print(lesson)
        groups = []
        for number, experiment in enumerate(experiments, 1):
            heading, shown = f"{number}. {inspect.getdoc(experiment)}", experiment()
            print(f"\n{heading}\n")
            for title, value in shown.items():
                print(_printed(title, value))
            drawn = [picture for title, value in shown.items() for picture in _drawn(title, value)]
            if drawn:
                groups.append((heading.splitlines()[0], drawn))
        figure = pictures.grid(groups, columns, panel=panel, title=name.replace("_", " ").capitalize())
        print(f"\nThe pictures are in {pictures.save(figure, arguments.out / image)}")
        return 0

    return command.run(command.Parser(lesson or name, "out"), job, argv)


def _is_image(value: Any) -> bool:
    return isinstance(value, (Array, np.ndarray)) and value.ndim >= 2


def _printed(title: str, value: Any) -> str:
    if not _is_image(value):
        return f"  {title}: {value}".replace("\n", "\n    ")
    planes = [f"{place}{_rows(plane)}" for place, plane in _planes(value)]
    return "\n".join([f"  {title}, shape {value.shape}", *planes])


def _planes(value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The two-dimensional pictures in an array, each with its index, or "" if there is only one."""
    array = np.asarray(value)
    for index in np.ndindex(array.shape[:-2]):
        several = array.size > array[index].size
        yield (f"    [{', '.join(map(str, index))}]\n" if several else ""), array[index]


def _rows(plane: np.ndarray) -> str:
    text = np.array2string(plane + 0, precision=4, suppress_small=True, max_line_width=200)
    return "\n".join(f"    {line}" for line in text.splitlines())


def _drawn(title: str, value: Any) -> list[pictures.Picture]:
    if not _is_image(value):
        return []
    return [(f"{title} {place.strip()}".strip(), plane) for place, plane in _planes(value)]
