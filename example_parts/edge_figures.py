"""The figures of learn_edges.py."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convjax import ndimage
from example_parts import pictures
from example_parts.edge_training import COMPASS, TEACHERS, Run, Settings, conv2d, start, teach, teacher_of
from example_parts.pictures import Picture

Responses = jax.Array  # (channels, height, width)


class Scene(NamedTuple):
    """What the figures show: a photograph, reduced in size, and the responses of teacher and student to it."""

    run: Run
    settings: Settings
    photograph: np.ndarray
    taught: Responses
    before: Responses
    after: Responses

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the teacher's kernels."""
        return TEACHERS[self.settings.teacher]

    @property
    def true(self) -> np.ndarray:
        """The teacher's kernels."""
        return np.asarray(teacher_of(self.settings))


def scene(run: Run, settings: Settings, photograph: np.ndarray) -> Scene:
    every = math.ceil(max(photograph.shape) / 1200)
    photograph = photograph[::every, ::every]
    x, taught = teach(photograph, teacher_of(settings))
    first = start(settings).state.params
    return Scene(run, settings, photograph, taught, conv2d(x, *first), conv2d(x, *run.state.params))


def save_all(scene: Scene, folder: Path) -> list[Path]:
    return [pictures.save(draw(scene), folder / name) for name, draw in FIGURES.items()]


def photograph(scene: Scene) -> Figure:
    return _picture_grid(scene, "", [Picture("The photograph", scene.photograph)], panel=4.5)


def edges_taught(scene: Scene) -> Figure:
    return _picture_grid(scene, f"The teacher's edges with the {name_of(scene)}", _responses(scene, scene.taught))


def edges_before(scene: Scene) -> Figure:
    return _picture_grid(scene, "The student's edges before training", _responses(scene, scene.before))


def edges_after(scene: Scene) -> Figure:
    return _picture_grid(scene, f"The student's edges after {scene.run.step} steps", _responses(scene, scene.after))


def kernels(scene: Scene) -> Figure:
    """The kernels at several steps, one column per step, then the true kernels, and what is missing from them."""
    stages = [(f"step {step}", weight) for step, weight in chosen(scene.run.frames, 8)]
    stages += [("true", scene.true), ("true - learned", scene.true - scene.run.frames[-1][1])]
    height = 1.3 * len(scene.channels) + 0.55
    figure = Figure(figsize=(1.3 * len(stages) + 1.4, height + 0.3))
    figure.suptitle(f"The {name_of(scene)} in training", fontsize=13, y=1 - 0.12 / (height + 0.3))
    _draw_kernels(figure, stages, scene, height=height, across=True)
    return figure


def loss(scene: Scene) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    _draw_loss(figure.add_subplot(), scene)
    return figure


def overview(scene: Scene) -> Figure:
    """The photograph, the edges, the kernels and the loss in one figure."""
    teacher, student = strength(scene.taught), strength(scene.after)
    shown = pictures.limits(teacher)
    seen = [
        Picture("photograph", scene.photograph),
        Picture("teacher's edges", teacher, shown),
        Picture("student's edges before training", strength(scene.before), shown),
        Picture(f"student's edges after {scene.run.step} steps", student, shown),
        Picture("teacher - student", teacher - student),
    ]
    title = f"A random convolution learns the {name_of(scene)} from one photograph"
    figure = _picture_grid(scene, title, seen, columns=5, panel=2.5, below=3.4)
    learned = scene.run.frames[-1][1]
    stages = [("start", scene.run.frames[0][1]), ("learned", learned), ("true", scene.true)]
    stages.append(("true - learned", scene.true - learned))
    used = _draw_kernels(figure, stages, scene, height=3.3, across=len(scene.channels) < len(COMPASS))
    wide, high = figure.get_size_inches()
    left = used + 0.9
    _draw_loss(figure.add_axes((left / wide, 0.55 / high, (wide - left - 0.4) / wide, 2.3 / high)), scene)
    return figure


FIGURES: dict[str, Callable[[Scene], Figure]] = {
    "learn_edges.png": overview,
    "photograph.png": photograph,
    "edges_teacher.png": edges_taught,
    "edges_before.png": edges_before,
    "edges_after.png": edges_after,
    "kernels.png": kernels,
    "loss.png": loss,
}


def strength(responses: Responses) -> np.ndarray:
    """Combine several responses to one: the maximum for compass kernels, else the length of the gradient."""
    whole = responses.max(axis=0) if len(responses) == len(COMPASS) else jnp.linalg.norm(responses, axis=0)
    return np.asarray(whole)


def _responses(scene: Scene, responses: Responses) -> list[Picture]:
    shown = signed(pictures.limits(np.asarray(responses))[1])
    each = zip(scene.channels, np.asarray(responses), strict=True)
    return [
        Picture("edge strength", strength(responses)),
        *[Picture(f"channel {name}", image, shown) for name, image in each],
    ]


def _picture_grid(
    scene: Scene, title: str, shown: Sequence[Picture], *, columns: int = 3, panel: float = 3.2, below: float = 0
) -> Figure:
    height, width = scene.photograph.shape
    columns = min(columns, len(shown))
    return pictures.grid([("", shown)], columns, panel=panel, aspect=height / width, title=title, below=below)


def _draw_kernels(
    figure: Figure, stages: Sequence[tuple[str, np.ndarray]], scene: Scene, *, height: float, across: bool
) -> float:
    """Draw the kernels of every stage at the bottom of a figure, in the same colours. Returns their width in inches.

    There is one column per stage if `across` is set, else one row per stage.
    """
    table = np.stack([weight[:, 0] for _, weight in stages], axis=1)
    rows, columns = scene.channels, tuple(name for name, _ in stages)
    if not across:
        table, rows, columns = table.swapaxes(0, 1), columns, rows
    wide, high = figure.get_size_inches()
    left, bottom, gap = 0.75 if across else 1.05, 0.15, 0.12
    size = min((height - bottom - 0.4) / len(rows) - gap, 1.5)
    bottom += (height - 0.4 - bottom - (size + gap) * len(rows)) / 2
    for row, column in np.ndindex(len(rows), len(columns)):
        x, y = left + (size + gap) * column, bottom + (size + gap) * (len(rows) - 1 - row)
        axes = figure.add_axes((x / wide, y / high, size / wide, size / high))
        title = columns[column] if row == 0 else ""
        pictures.draw(axes, title, table[row, column], shown=signed(scene.true), bar=False)
        if column == 0:
            axes.set_ylabel(rows[row], fontsize=9, rotation=0, ha="right", va="center", labelpad=6)
    return left + (size + gap) * len(columns)


def name_of(scene: Scene) -> str:
    return f"{scene.settings.teacher.title()} kernel{'s' if len(scene.channels) > 1 else ''}"


def chosen(frames: Sequence[tuple[int, np.ndarray]], most: int) -> list[tuple[int, np.ndarray]]:
    """The first and the last frame, and some in between, which are closer together at the start."""
    places = np.geomspace(1, len(frames), most).round().astype(int) - 1
    return [frames[place] for place in sorted(set(places.tolist()))]


def signed(array: np.ndarray | float) -> tuple[float, float]:
    """The ends of the colours of signed values, with 0 in the middle."""
    top = float(np.abs(array).max())
    return -top, top


def _draw_loss(axes: Axes, scene: Scene) -> None:
    errors = [(step, np.abs(weight - scene.true).max()) for step, weight in scene.run.frames]
    axes.set_yscale("log")
    axes.plot(losses_of(scene.run), color="0.85", linewidth=0.6, label="loss of each step: mean squared error")
    axes.plot(smoothed(scene.run), color="#1b6ca8", linewidth=1.4, label="the same, smoothed")
    axes.plot(*zip(*errors, strict=True), color="#d1495b", linewidth=1.4, label="largest error of a weight")
    axes.set_xlabel("step of gradient descent")
    axes.set_ylabel("error")
    axes.set_title("How far the student is off", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)


def losses_of(run: Run) -> np.ndarray:
    """The loss of every step, kept above 0 for a logarithmic axis."""
    return np.maximum(np.concatenate((np.zeros(0, np.float32), *run.losses)), 1e-30)


def smoothed(run: Run) -> np.ndarray:
    """The losses under a running mean of their logarithm, whose sigma is a 200th of the run."""
    losses = losses_of(run)
    if not losses.size:
        return losses
    return 10 ** np.asarray(ndimage.gaussian_filter1d(np.log10(losses), max(len(losses) / 200, 1), mode="nearest"))
