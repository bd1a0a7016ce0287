"""The weight gradient of a depthwise layer whose channels are last in memory: the sums of all channels side by side.

Every tap of a channel is a sum, over the image, of the input times the cotangent. LLVM may not reorder a sum, so a loop
over the elements of one sum makes no vectors. Here seven or so rows are summed first, element by element: a loop so
short is unrolled, and the one over a row and its channels is vectorised. All taps are summed in one pass, which reads
input and cotangent once. A product with ones sums what remains. Some images are taken at a time, so that they stay in
cache. `variadic_reduce` is the same for contiguous images.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from convjax import _spec
from convjax._algorithms import _chunks, _gemm, _taps
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._algorithms.algorithm import (
    Kernel,
    definition_multiply_adds,
    never_local,
    reason_if_input_is_dilated,
    summands,
)
from convjax._algorithms.variadic_reduce import MAX_POSITIONS, bands_of_rows, sums_in_registers
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_FAST_TAPS = 25  # 7x7, 160 channels on 8 images of 16x16 takes 0.41 ms, and 0.31 by oneDNN


class _Axis(NamedTuple):
    """A spatial axis: tap j multiplies element `step` u + phase of the image by element u + start of the cotangent.

    u counts to `length`, for every tap, and the phase and the start of each are in `taps`. So the cotangent is padded,
    which has fewer elements if the layer has a stride, and the image is read as it is.
    """

    step: int
    length: int
    image_padding: tuple[int, int]
    cotangent_padding: tuple[int, int]
    taps: list[tuple[int, int]]


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    sum_dtype, shape = _spec.sum_dtype(x.dtype, spec), spec.output_shape(x.shape, w.shape)
    taps, channels, dtype = shape[2:], w.shape[0], x.dtype
    x, cotangent = (channels_last(xla_cpu.as_bits(a)) for a in _gemm.summed_axis_first(x, w, spec))
    sizes = x.shape[1:-1], cotangent.shape[1:-1], taps
    axes = [_axis(*each) for each in zip(*sizes, spec.stride, spec.rhs_dilation, spec.padding, strict=True)]
    bands = bands_of_rows(axes[_row_axis(axes)].length)
    chunks = _chunks.chunk_count(x.shape[0], max(x.size, cotangent.size), machine.chunk_elements / 2)
    images = x.shape[0] // chunks
    strided = max(spec.rhs_dilation) > 1

    def chunk(a, first, padding):
        """A chunk, which is stored if the sums would not read it in vectors: 13 ms instead of 5.8 with a stride."""
        if chunks > 1:
            a = _chunks.slice_at(a, (first,), (images, *a.shape[1:]))
        a = _taps.pad(xla_cpu.from_bits(a, dtype, sum_dtype), padding, first=1)
        is_stored = dtype != sum_dtype or any(map(any, padding)) or (chunks > 1 and strided)
        return xla_cpu.fusion_barrier(a, machine) if is_stored else a

    def add_chunk(first, y):
        first = first if chunks == 1 else xla_cpu.parallel_index(first, machine)
        image = chunk(x, first, [axis.image_padding for axis in axes])
        ct = chunk(cotangent, first, [axis.cotangent_padding for axis in axes])
        parts = [_band_sums(image, ct, band, axes) for band in bands]
        return y + add_all([jnp.stack([*map(_sum_all, part)]) for part in parts])

    y = _chunks.zeros_varying_like((math.prod(taps), channels), sum_dtype, x)
    y = _chunks.loop(_chunks.chunk_starts(x.shape[0], chunks), add_chunk, y)
    return channels_first(y.reshape(1, *taps, channels)).astype(spec.out_dtype or dtype)


def _axis(size: int, positions: int, taps: int, dilation: int, step: int, padding: tuple[int, int]) -> _Axis:
    """Position i of the cotangent meets element step i + dilation j - low = step (i + shift) + phase of the image."""
    length = -(-size // step)
    met = [divmod(j * dilation - padding[0], step) for j in range(taps)]
    least, most = min(met)[0], max(met)[0]
    around = most, length - least - positions
    return _Axis(step, length, (0, length * step - size), around, [(phase, most - shift) for shift, phase in met])


def _row_axis(axes) -> int:
    return max(len(axes) - 2, 0)


def _band_sums(image, cotangent, band: tuple[int, int, int], axes: list[_Axis]) -> list[jax.Array]:
    """For every tap, (N, *n, C) with sums of some rows of that band in place of the rows."""
    first, last, rows = band
    row, ones, steps = _row_axis(axes), (1,) * len(axes), [axis.step for axis in axes]
    counts = [last - first if n == row else axis.length for n, axis in enumerate(axes)]
    split = (*image.shape[:1], *counts[:row], -1, rows, *counts[row + 1 :], image.shape[-1])
    products = []
    for tap in itertools.product(*[axis.taps for axis in axes]):
        phases, starts = ([*each] for each in zip(*tap, strict=True))
        phases[row], starts[row] = phases[row] + first * steps[row], starts[row] + first
        met = _taps.tap_slice(image, phases, ones, steps, counts, first=1)
        products.append((met * _taps.tap_slice(cotangent, starts, ones, ones, counts, first=1)).reshape(split))
    return sums_in_registers(products, row + 2)


def _sum_all(part: jax.Array) -> jax.Array:
    """The sum over all axes but the channels, as a product with ones, which is faster than XLA's sum."""
    rows = part.reshape(-1, part.shape[-1])
    return (jnp.ones((1, len(rows)), rows.dtype) @ rows)[0]


def unsupported(spec, x, w) -> str | None:
    if spec.hints.layer_weight != "result" or not spec.channels_last:
        return "not a weight gradient with the channels last"
    if x.shape[0] > 1 or not w.shape[0] == spec.groups > 1:
        return "not a depthwise layer"
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    positions = _spec.position_count(spec, x, w)
    if positions > MAX_POSITIONS:
        return f"{positions} taps, more than {MAX_POSITIONS}"
    return reason_if_input_is_dilated(spec)


def pays(p) -> bool:
    """For several images, which oneDNN convolves one by one, and for one where there is no oneDNN.

    3x3, 48 channels on 8 images of 28x28, stride 2, takes 0.055 ms instead of 0.17, and 5x5, 816 channels on 14x14
    0.85 instead of 0.99. But on one image the latter takes 0.12 instead of 0.09.
    """
    several = p.in_channels > 1  # of the kernel, which are the images
    return p.groups >= 16 and (several or not p.has_onednn) and p.is_float and p.positions <= MAX_FAST_TAPS


ALGORITHM = Kernel(
    "depthwise_reduce",
    "one pass over images with the channels last, for the sums of all taps",
    run,
    unsupported,
    definition_multiply_adds,
    summands,
    is_local=never_local,
    memory_format="channels_last",
)
