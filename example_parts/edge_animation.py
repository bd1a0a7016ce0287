"""The animation of learn_edges.py: kernels appear from noise."""

import math
from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from example_parts import command
from example_parts.edge_figures import Scene, chosen, name_of, signed, smoothed, strength
from example_parts.edge_training import conv2d, teach, teacher_of

ANIMATION = "learn_edges.gif"
FRAMES = 40
SECONDS, LAST_SECONDS = 0.12, 3.0  # that a frame is shown
PIXELS = 300  # the longer side of the photograph


def save(scene: Scene, folder: Path) -> Path:
    """The student's kernels and edges as it learns, beside the teacher's edges and the loss."""
    every = math.ceil(max(scene.photograph.shape) / PIXELS)
    x, taught = teach(scene.photograph[::every, ::every], teacher_of(scene.settings))
    teacher = strength(taught)
    top = float(np.percentile(teacher, 99.5))
    losses = smoothed(scene.run)

    lines = 2 if len(scene.channels) > 1 else 1
    columns = len(scene.channels) // lines
    figure = Figure(figsize=(1.25 * columns + 6.9, 3.1), dpi=90, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    names = np.array(scene.channels).reshape(columns, lines).T
    mosaic = [[*line, "student", "teacher", "loss"] for line in names.tolist()]
    axes = figure.subplot_mosaic(mosaic, width_ratios=[1] * columns + [1.7, 1.7, 2])
    for name in scene.channels:
        axes[name].set_ylabel(name, rotation=0, ha="right", va="center")
    axes["teacher"].imshow(teacher, cmap="gray", vmin=0, vmax=top)
    axes["teacher"].set_title("teacher's edges", fontsize=10)
    axes["student"].set_title("student's edges", fontsize=10)
    for name in (*scene.channels, "student", "teacher"):
        axes[name].set(xticks=[], yticks=[])
    axes["loss"].semilogy(losses, color="0.85", linewidth=1)
    axes["loss"].set_title("mean squared error", fontsize=10)
    axes["loss"].set_xlabel("step of gradient descent", fontsize=9)
    axes["loss"].tick_params(labelsize=8)
    axes["loss"].spines[["top", "right"]].set_visible(False)
    low, high = signed(scene.true)
    blank = np.zeros_like(scene.true[0, 0])
    kernels = [axes[name].imshow(blank, cmap="RdBu_r", vmin=low, vmax=high) for name in scene.channels]
    student = axes["student"].imshow(teacher, cmap="gray", vmin=0, vmax=top)
    (curve,) = axes["loss"].plot([], [], color="#1b6ca8", linewidth=1.6)

    images = []
    for step, weight in chosen(scene.run.frames, FRAMES):
        for drawn, kernel in zip(kernels, weight[:, 0], strict=True):
            drawn.set_data(kernel)
        student.set_data(strength(conv2d(x, weight)))
        curve.set_data(np.arange(step), losses[:step])
        figure.suptitle(f"A random convolution learns the {name_of(scene)}: step {step}", fontsize=12)
        canvas.draw()
        figure.set_layout_engine("none")  # everything stays where the first frame has it
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(128))
    shown = [int(1000 * SECONDS)] * (len(images) - 1) + [int(1000 * LAST_SECONDS)]

    def fill(file: IO[bytes]) -> None:
        images[0].save(file, format="GIF", save_all=True, append_images=images[1:], duration=shown, loop=0)

    return command.write(folder / ANIMATION, fill)
