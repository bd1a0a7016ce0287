"""A picture in shares on several devices: blurred, its edges found, and a kernel learned on it by gradient descent.

No device is ever given the whole picture. Each makes its share, and for every operation its neighbours send it the
pixels around that share, a halo. The program prints what each device holds and receives, beside one device with the
whole picture, and compares both results pixel by pixel.

The devices are virtual, parts of this computer's processor, or with --processes those of several processes, as on
several computers. On a computer with several accelerators, they are those.

Everything is saved as one figure, one_image_many_devices.png.
"""

from example_parts import command

if __name__ == "__main__":
    command.launch(__file__)

import math
import os
import re
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tqdm import tqdm  # type: ignore[import-untyped]

from convjax import edges, kernels, ndimage
from example_parts import pictures

SAVED = "one_image_many_devices.png"
SIDES = ("rows", "columns")  # of the picture, and of the mesh
SIGMA = 2.0  # pixels, of the blur and of Canny's detector
RADIUS = int(4 * SIGMA + 0.5)  # pixels that the blur reaches
SHADES = ("#1b6ca8", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#b5651d", "#6c757d", "#2e4057")  # of the devices


def main(argv: list[str] | None = None) -> int:
    return command.run(make_parser(), one_image_many_devices, argv)


def make_parser() -> command.Parser:
    parser = command.Parser(__doc__ or "", "out")
    add = parser.add_argument
    add("--size", type=command.whole(64, 2**15), default=1024, help="side of the picture in pixels (%(default)s)")
    add("--devices", type=command.whole(1, 64), default=8, help="virtual devices, of all processes (%(default)s)")
    add("--processes", type=command.whole(1, 64), default=1, help="that run the program together (%(default)s)")
    add("--steps", type=command.whole(1, 10**6), default=200, help="of gradient descent (%(default)s)")
    add("--seed", type=command.whole(0, 2**31 - 1), default=0, help="of the first kernel (%(default)s)")
    add("--part", type=command.whole(0, 63), help="which of the processes this is (set by the program)")
    add("--port", type=command.whole(1, 2**16 - 1), help="where the processes meet (set by the program)")
    return parser


def one_image_many_devices(arguments: Namespace) -> int:
    if arguments.devices % arguments.processes:
        raise command.Problem(f"{arguments.processes} --processes do not divide {arguments.devices} --devices")
    rows, columns = grid_of(arguments.devices)
    if arguments.size % rows or arguments.size % columns:
        raise command.Problem(f"--size {arguments.size}: it must be a multiple of {rows} and of {columns}")
    command.open_folder(arguments.out, [SAVED])
    if arguments.processes > 1 and arguments.part is None:
        return start_processes(arguments)
    # Each virtual device waits for others on a thread of its own. With fewer threads than devices they wait forever.
    os.environ.setdefault("NPROC", str(2 * arguments.devices))
    jax.config.update("jax_num_cpu_devices", arguments.devices // arguments.processes)
    if arguments.part is not None:
        # The library that connects the processes greets on the standard output.
        sys.stdout = os.fdopen(os.dup(1), "w")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{arguments.port}", arguments.processes, arguments.part)
    devices = jax.devices()
    if len(devices) < arguments.devices:
        remedy = f"ask for {len(devices)}, or set JAX_PLATFORMS=cpu for virtual ones"
        raise command.Problem(f"--devices {arguments.devices}: jax found {len(devices)}; {remedy}")
    grid = np.array(devices[: arguments.devices]).reshape(rows, columns)
    run(arguments, Mesh(grid, SIDES, axis_types=(AxisType.Auto,) * 2))
    return 0


def start_processes(arguments: Namespace) -> int:
    """This program several times. If one of them fails, the others are ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = [f"--{name}={value}" for name, value in vars(arguments).items() if name not in ("part", "port")]
    command_line = [sys.executable, __file__, *given, f"--port={port}"]
    # In sessions of their own, they are not interrupted by Ctrl-C but ended by this process.
    parts = [
        subprocess.Popen([*command_line, f"--part={part}"], start_new_session=True)
        for part in range(arguments.processes)
    ]
    try:
        while any(part.poll() is None for part in parts) and not any(part.poll() for part in parts):
            time.sleep(0.1)
        return max(abs(part.poll() or 0) for part in parts)
    finally:
        for part in parts:
            part.kill()


def grid_of(devices: int) -> tuple[int, int]:
    """Rows and columns of the mesh, as near to a square as the number of devices allows."""
    rows = next(n for n in range(math.isqrt(devices), 0, -1) if devices % n == 0)
    return rows, devices // rows


# ---- what is computed ----


class Found(NamedTuple):
    """The results, and what a device holds and receives in each operation."""

    blurred: Any
    outline: Any
    kernel: Any
    losses: np.ndarray
    costs: dict[str, tuple[int, int]]  # bytes held, elements received


def run(arguments: Namespace, mesh: Mesh) -> None:
    speaks = jax.process_index() == 0
    size, devices = arguments.size, mesh.devices.size
    rows, columns = (size // n for n in mesh.devices.shape)
    if speaks:
        print(f"the picture: {size} x {size} pixels, {mib(4 * size * size)}")
        print(f"each of {devices} devices in {jax.process_count()} process(es): {rows} x {columns}", flush=True)
    share = NamedSharding(mesh, PartitionSpec(*SIDES))
    picture = jax.make_array_from_callback((size, size), share, partial(landscape, size))
    found = find(picture, arguments, mesh, speaks)
    whole = [multihost_utils.process_allgather(a, tiled=True) for a in (picture, found.blurred, found.outline)]
    if not speaks:
        return
    alone = find(jax.device_put(whole[0], jax.local_devices()[0]), arguments, None, False)
    for name, (held, received) in found.costs.items():
        print(f"{name}: a device holds {mib(held)} and receives {received} numbers; alone {mib(alone.costs[name][0])}")
    for name, ours, theirs in (("blurred", whole[1], alone.blurred), ("outline", whole[2], alone.outline)):
        print(f"{name}: {int((ours != np.asarray(theirs)).sum())} pixels differ from one device's")
    error = np.abs(np.asarray(found.kernel) - np.asarray(alone.kernel)).max()
    print(f"kernel: largest difference from one device's {error:.1e}, from Sobel's {distance(found.kernel):.1e}")
    print(f"saved: {pictures.save(draw(mesh, whole, found), arguments.out / SAVED)}")


def landscape(size: int, index: tuple[slice, ...] | None) -> np.ndarray:
    """A part of the picture: hills with contour lines, and grain."""
    assert index is not None
    y, x = (np.arange(*part.indices(size))[:, None] / size for part in index)
    x = x.T
    hills = np.sin(9 * x + 2 * np.sin(7 * y)) + np.sin(8 * y + 3 * np.sin(5 * x)) + 0.5 * np.sin(23 * (x + y))
    terraces = np.floor(3 * hills) / 9
    grain = np.modf(43758.5453 * np.abs(np.sin(size * (12.9898 * x + 78.233 * y))))[0]
    return (0.5 + 0.6 * terraces + 0.08 * (grain - 0.5)).astype(np.float32)


def find(picture: jax.Array, arguments: Namespace, mesh: Mesh | None, speaks: bool) -> Found:
    blur = compiled(lambda x: ndimage.gaussian_filter(x, SIGMA), picture)
    canny = compiled(lambda x: edges.canny(x, SIGMA, 0.02, 0.05), picture)
    start = jnp.asarray(0.1 * np.random.default_rng(arguments.seed).standard_normal((5, 5)), jnp.float32)
    if mesh is not None:
        start = jax.device_put(start, NamedSharding(mesh, PartitionSpec()))
    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, arguments.steps))
    state = start, jax.jit(optimiser.init)(start)

    def step(state, picture):
        # Neighbouring pixels are nearly the same, which hides the weights from each other. Their Laplacian is not.
        kernel, moments = state
        detail = ndimage.laplace(picture)
        target = ndimage.correlate(detail, sobel())
        error, slope = jax.value_and_grad(lambda k: jnp.mean((ndimage.correlate(detail, k) - target) ** 2))(kernel)
        change, moments = optimiser.update(slope, moments)
        return (optax.apply_updates(kernel, change), moments), error

    learn, losses = compiled(step, state, picture), []
    for _ in tqdm(range(arguments.steps), unit="step", desc="learning", disable=not speaks):
        state, error = learn(state, picture)
        losses.append(float(error))
    programs = {"blur": blur, "edges": canny, "training step": learn}
    costs = {name: (held(program), received(program)) for name, program in programs.items()}
    return Found(blur(picture), canny(picture), state[0], np.array(losses), costs)


def compiled(function: Callable, *arguments: Any) -> Any:
    return jax.jit(function).lower(*arguments).compile()


def sobel() -> jax.Array:
    return kernels.sobel()[0, 0].astype(jnp.float32) / 8


def distance(kernel: jax.Array) -> float:
    """How far a learned kernel is from Sobel's, with a frame of zeros."""
    return float(np.abs(np.asarray(kernel) - np.pad(np.asarray(sobel()), 1)).max())


# ---- what a compiled program says of itself ----


def held(program: Any) -> int:
    """Bytes of arguments, results and temporaries on one device."""
    sizes = program.memory_analysis()
    return sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes


def received(program: Any) -> int:
    """Numbers that the program names as results of an exchange. One in a loop is counted once."""
    exchange = re.compile(
        r"= (.*?) (?:all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
    )
    shapes = [shape for types in exchange.findall(program.as_text()) for shape in re.findall(r"\w+\[([\d,]*)\]", types)]
    return sum(math.prod(int(n) for n in shape.split(",") if n) for shape in shapes)


def mib(count: int) -> str:
    return f"{count / 2**20:.2f} MiB"


# ---- the figure ----


def draw(mesh: Mesh, whole: Sequence[np.ndarray], found: Found) -> Figure:
    figure = Figure(figsize=(15, 9.5), layout="constrained")
    rows = figure.subplots(2, 3)
    halos(rows[0, 0], mesh, whole[0].shape[0])
    titles = "the picture, and the shares of the devices", f"blurred, sigma {SIGMA:g}", "Canny's edges"
    for axes, title, image in zip((rows[0, 1], rows[0, 2], rows[1, 0]), titles, whole, strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        for across, count in zip((axes.axhline, axes.axvline), mesh.devices.shape, strict=True):
            for n in range(1, count):
                across(n * image.shape[0] / count - 0.5, color=SHADES[1], linewidth=1)
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
    kernel = np.asarray(found.kernel)
    pictures.draw(rows[1, 1], "learned on all devices: Sobel's kernel / 8", kernel, bar=False)
    rows[1, 2].semilogy(found.losses, color=SHADES[0])
    rows[1, 2].set(xlabel="step", ylabel="mean square error", title="the same loss on every device")
    return figure


def halos(axes: Axes, mesh: Mesh, size: int) -> None:
    """Each share in its colour, and around it the halo, in the colours of the devices that send it."""
    rows, columns = mesh.devices.shape
    shades = [[SHADES[(r * columns + c) % len(SHADES)] for c in range(columns)] for r in range(rows)]
    apart, width = 1.85, 0.16
    for r in range(rows):
        for c in range(columns):
            x, y = apart * c, apart * r
            axes.add_patch(Rectangle((x, y), 1, 1, color=shades[r][c]))
            axes.text(
                x + 0.5, y + 0.5, str(mesh.devices[r, c].id), color="white", ha="center", va="center", fontsize=13
            )
            for dr, dc in np.ndindex(3, 3):
                dr, dc = dr - 1, dc - 1
                if (dr, dc) == (0, 0) or not (0 <= r + dr < rows and 0 <= c + dc < columns):
                    continue
                left, top = (p - width if d < 0 else p + 1 if d > 0 else p for p, d in ((x, dc), (y, dr)))
                box = (width if dc else 1), (width if dr else 1)
                axes.add_patch(Rectangle((left, top), *box, color=shades[r + dr][c + dc]))
                if 0 in (dr, dc):  # corners come with a neighbour's strip
                    end = (
                        x + 0.5 + dc * 0.64 + 0.2 * (dr > 0) - 0.2 * (dr < 0),
                        y + 0.5 + dr * 0.64 + 0.2 * (dc > 0) - 0.2 * (dc < 0),
                    )
                    begin = end[0] + 0.5 * dc, end[1] + 0.5 * dr
                    axes.annotate("", end, begin, arrowprops={"arrowstyle": "-|>", "color": "black"})
    axes.set_xlim(-0.4, apart * columns - 0.45)
    axes.set_ylim(apart * rows - 0.45, -0.4)
    axes.set_aspect("equal")
    axes.set_axis_off()
    reach = f"{RADIUS} rows or columns, around {size // rows} x {size // columns} pixels"
    axes.set_title(f"who sends what to whom in the blur:\n{reach}")
