"""Winograd's minimal filtering F(7 - k, k): six products for 7 - k results of a kernel of k taps, 2 to 5.

Per axis, with x and w as polynomials whose product is evaluated at five points and at infinity (Toom-Cook; S. Winograd,
Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, arXiv:1509.09308),

    y = A^T [(G w) * (B^T x)]         six inputs, k taps, 7 - k results

and along two axes 36 products give 16 results of 3x3 taps, or 9 of 4x4: a quarter of 144. The products of all tiles and
channels are 36 matrix products. A weight gradient of k positions is F(k, 7 - k) with the same points: its tiles have
7 - k taps of the cotangent, and they are summed as channels are. Only the last two axes of a volume are cut into tiles.
Each tap of its first axis has a product of its own.

    matrices    A^T, G and B^T
    tiles       blocks of an image, and their transforms
    forward     tiles of taps
    gradient    tiles of positions

A NaN spreads over its tile.
"""

import math

import jax
import jax.numpy as jnp

from convjax import _spec
from convjax._algorithms.algorithm import Kernel, never_local
from convjax._algorithms.winograd import forward, weight_gradient
from convjax._algorithms.winograd.matrices import TILE
from convjax._machine import Machine

MANY_CHANNELS = 192  # of input and result: their weight gradients repay the transforms of fewer tiles


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    sum_dtype = _spec.sum_dtype(x.dtype, spec)
    tiles_are_of_taps, sizes = _tiled_sizes(spec, x, w)
    compute = forward.run if tiles_are_of_taps else weight_gradient.run
    return compute(x.astype(sum_dtype), w.astype(sum_dtype), spec, sizes, machine).astype(spec.out_dtype or x.dtype)


def _tiled_sizes(spec, x, w) -> tuple[bool, tuple[int, ...]]:
    """Whether the tiles are of taps (otherwise of positions), and how many taps or positions the tiled axes have.

    If both fit into tiles, the fewer of the two are taken.
    """
    taps, positions = w.shape[-min(spec.dims, 2) :], spec.output_shape(x.shape, w.shape)[-min(spec.dims, 2) :]
    fewer_taps = math.prod(taps) <= math.prod(positions) or spec.dims > 2
    tiles_are_of_taps = _fit_tiles(taps) and (fewer_taps or not _fit_tiles(positions))
    return tiles_are_of_taps, taps if tiles_are_of_taps else positions


def _fit_tiles(sizes) -> bool:
    return all(2 <= n < TILE for n in sizes)


def unsupported(spec, x, w) -> str | None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return f"{x.dtype} is not a real floating dtype"
    if spec.groups > 1:
        return "groups"
    if spec.dims > 3:
        return f"{spec.dims} spatial dimensions, more than 3"
    if any(n > 1 for n in (*spec.stride, *spec.lhs_dilation, *spec.rhs_dilation)):
        return "a stride or a dilation"
    tiles_are_of_taps, sizes = _tiled_sizes(spec, x, w)
    if spec.dims == 3 and not tiles_are_of_taps:
        return "a volume whose kernel does not have 2 to 5 taps along the last two axes"
    return None if _fit_tiles(sizes) else "neither a kernel of 2 to 5 taps nor as many positions along every axis"


def multiply_adds(spec, x, w):
    """The multiply-adds of the matrix products. The transforms take about 40 more for each element of x, w and y."""
    tiles_are_of_taps, tiled = _tiled_sizes(spec, x, w)
    sizes = spec.output_shape(x.shape, w.shape)[2:] if tiles_are_of_taps else w.shape[2:]
    tiles = math.prod(-(-n // (TILE - k + 1)) * TILE for n, k in zip(sizes[-2:], tiled, strict=True))
    if spec.dims > 2:
        tiles *= (sizes[0] + w.shape[2] - 1) * w.shape[2]
    return tiles * x.shape[0] * w.shape[0] * w.shape[1]


def error(spec, x, w):
    """80 machine epsilons, measured on normal data: in float32, 1e-5 of the largest result."""
    return 80


def pays(p) -> bool:
    """If there are enough tiles and channels to repay the transforms.

    3x3, 64 channels on 8x56x56 takes 3.3 ms instead of 9.3. oneDNN's loops are faster for few channels: 3x3, 32 to 96
    channels on 8 images of 28x28 takes 0.9 ms instead of 1.5. The weight gradient of 512 channels on 28x28 takes 15.7
    ms instead of 21, and of 128 channels 1.9 either way.
    """
    if not p.at_most_float32 or p.groups > 1 or p.spec.dims < 2:
        return False
    if p.gradient_like:
        few_positions = p.spec.dims == 2 and 6 <= p.positions <= 25
        channels = min(p.batch, p.out_channels)
        return few_positions and channels >= 20 and p.summands >= (1024 if channels < MANY_CHANNELS else 768)
    positions, channels = (250, 40) if p.has_onednn and p.spec.dims == 2 else (192, 20)
    tiles = p.batch * p.positions >= positions and math.prod(p.w.shape[-2:]) >= 6
    return tiles and min(p.in_channels, p.out_channels) >= channels and p.x.dtype != jnp.bfloat16


def pays_with_channels_last(p) -> bool:
    """As `pays`, but only of many channels and tiles if oneDNN computes the others.

    3x3, 256 channels on 8 images of 56x56 takes 38 ms instead of 62, and 32 to 96 channels on 28x28 takes 0.95 instead
    of 0.69.
    """
    if p.gradient_like or not p.convolves_by_onednn:
        return pays(p)
    wide = min(p.in_channels, p.out_channels) >= 112
    return wide and p.batch * p.positions >= 1500 and pays(p)


ALGORITHM = Kernel(
    "winograd",
    "F(7 - k, k) tiles, for 3x3 taps a quarter of the products",
    run,
    unsupported,
    multiply_adds,
    error,
    "the largest result",
    is_local=never_local,
)
