"""`python -m benchmarks.scaling`: how traffic and memory grow with the devices, from the compiled programs.

Prints the table of `docs/many_devices.md`: for 2 to 64 virtual devices, what each receives and holds, beside the bound,
which is the elements on the border of a share that its windows reach.
"""

import os
import sys

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=64"

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from benchmarks.traffic import collectives
from convjax import ndimage

DEVICES, CHANNELS = (2, 4, 8, 64), 8


def step(w, x):
    """One step of gradient descent on a layer."""
    return w - 0.1 * jax.grad(lambda w: (convjax.conv2d(x, w, padding=w.shape[-1] // 2) ** 2).mean())(w)


def layer(x, w):
    return convjax.conv2d(x, w, padding=w.shape[-1] // 2)


def blur(x):
    return ndimage.gaussian_filter(x, 4.0)  # 16 elements to each side


def measured(f, layout: tuple[int, ...], *structs) -> tuple[int, int]:
    """The elements that a device receives, and the bytes that it holds besides its share, for images in such a grid."""
    names = tuple(f"axis{n}" for n in range(len(layout)))
    devices = np.array(jax.devices()[: int(np.prod(layout))]).reshape(layout)
    mesh = jax.sharding.Mesh(devices, names, axis_types=(AxisType.Auto,) * len(names))
    image = [P(*[None] * (s.ndim - 2), *names) if min(s.shape[-2:]) > 32 else P() for s in structs]
    placed = [
        jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=NamedSharding(mesh, spec))
        for s, spec in zip(structs, image, strict=True)
    ]
    program = jax.jit(f).lower(*placed).compile()
    moved = sum(n for name, (_, n) in collectives(program.as_text()).items() if name != "all-reduce")
    return moved, program.memory_analysis().temp_size_in_bytes


def border(size: int, layout: tuple[int, ...], reach: int, channels: int) -> int:
    """The elements around a share of a square image that windows of this reach read, corners included."""
    rows, columns = (size // n for n in (*layout, 1)[:2])
    wide, high = columns + 2 * reach * (len(layout) > 1 and layout[1] > 1), rows + 2 * reach * (layout[0] > 1)
    return channels * (wide * high - rows * columns)


def struct(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, np.float32)


def rows() -> list[tuple]:
    """(what, size of the image, kernel, grid, elements received, the bound, bytes of temporaries)."""
    found = []
    for count in DEVICES:
        grids = [(count,)] if count < 4 else [(count,), (int(count**0.5), count // int(count**0.5))]
        for grid in grids:
            for size, kernel in ((1024, 3), (2048, 3), (1024, 9)):
                x, w = struct(1, CHANNELS, size, size), struct(CHANNELS, CHANNELS, kernel, kernel)
                bound = border(size, grid, kernel // 2, CHANNELS)
                found.append(("layer", size, kernel, grid, *_two(measured(layer, grid, x, w), bound)))
                # The halo of the image in the forward call, and in the gradient of the weight.
                found.append(("training step", size, kernel, grid, *_two(measured(step, grid, w, x), 2 * bound)))
            image = struct(2048, 2048)
            bound = border(2048, grid, 16, 1)
            found.append(("gaussian_filter", 2048, 33, grid, *_two(measured(blur, grid, image), bound)))
    return found


def _two(pair: tuple[int, int], bound: int) -> tuple[int, int, int]:
    return pair[0], bound, pair[1]


def main() -> int:
    print("| operation | image | kernel | devices | received | bound | temporaries |")
    print("|---|---|---|---|---|---|---|")
    for what, size, kernel, grid, moved, bound, held in rows():
        devices = " x ".join(map(str, grid))
        print(f"| {what} | {size} | {kernel} | {devices} | {moved} | {bound} | {held / 2**20:.1f} MiB |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
