"""Every result is a sum of its own, and all sums are taken in one pass over the input.

For many products per result and few results, as in the weight gradients of depthwise convolutions: there the kernel is
the cotangent, as large as the image, and the positions are the taps of the weight. One variadic `lax.reduce` holds the
sums of many positions in registers and reads input and kernel once.

LLVM may not reorder a sum, so the sum along a row is one addition after the other. To make vectors of them, seven or so
rows are summed first, element by element: a loop so short is unrolled, and the one over the elements is vectorised.
Some images and groups are taken at a time, so that what the next positions read is still in cache.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _gemm, _taps
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, reason_if_input_is_dilated, summands
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_POSITIONS = 128  # of the result
SUMS_OF_ONE_LOOP = 13  # sums that one loop holds in registers
ROWS_PER_VECTOR = 7, 8, 9  # rows of the kernel that are summed into one vector
MIN_ROW = 12  # elements of a row of the kernel; shorter rows are mostly a remainder of a vector
CHAIN_LENGTH = 256  # products that are summed in order, at least; the sums of such chains are then summed
MIN_CHAIN = 32  # products; shorter chains cost more time than their smaller rounding error is worth
MAX_CHAIN = 2048  # products; one chain of more rounds over 4 times as much as XLA's convolution


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    sum_dtype, shape, groups = _spec.sum_dtype(x.dtype, spec), spec.output_shape(x.shape, w.shape), spec.groups
    batch, out_channels, kernel = x.shape[0], w.shape[0] // groups, w.shape[2:]
    bands = [] if _spec.is_empty(spec, x, w) else _bands(kernel)
    dtype = x.dtype
    x, w = map(xla_cpu.as_bits, _gemm.summed_axis_first(x, w, spec))
    # A chunk is of some images and of some groups, or of some output channels if there is one group.
    elements = max(x.size, w.size) * (2 + math.prod(shape[2:]) // ROWS_PER_VECTOR[0])
    image_chunks = _chunks.chunk_count(w.shape[0], elements, machine.chunk_elements) if bands else 1
    channels = groups if groups > 1 else out_channels
    channel_chunks = _chunks.chunk_count(channels, elements // image_chunks, machine.chunk_elements) if bands else 1
    is_whole, images = image_chunks * channel_chunks == 1, w.shape[0] // image_chunks
    chunk_groups, chunk_channels = (
        (groups // channel_chunks, out_channels) if groups > 1 else (1, out_channels // channel_chunks)
    )

    def chunk(v, n, image, channels):
        if not is_whole:
            v = _chunks.slice_at(v, (image * images, n * channels), (images, channels, *v.shape[2:]))
        v = xla_cpu.from_bits(v, dtype, sum_dtype)
        v = v if is_whole else xla_cpu.fusion_barrier(v, machine)
        return v.reshape(images, chunk_groups, channels // chunk_groups, *v.shape[2:])

    def add_chunk(n, image, y):
        a = chunk(x, n if groups > 1 else 0, image, chunk_groups * batch)
        b = chunk(w, n, image, chunk_groups * chunk_channels)
        pieces = _vector_sums(a, b, spec, shape[2:], bands) if bands else [_row_sums(a, b, spec, shape[2:])]
        # (I, G, B, O, ...), of which I and all behind O are summed
        pieces = [[part.sum((0, *range(4, part.ndim)), dtype=sum_dtype) for part in parts] for parts in pieces]
        more = add_all([jnp.stack(parts, -1) for parts in pieces])
        start = (n * chunk_groups,) if groups > 1 else (0, 0, n * chunk_channels)
        return _chunks.write_at(y, _chunks.slice_at(y, start, more.shape) + more, start, machine)

    def step(n, image, y):
        return add_chunk(xla_cpu.parallel_index(n, machine), xla_cpu.parallel_index(image, machine), y)

    y = _chunks.zeros_varying_like((groups, batch, out_channels, math.prod(shape[2:])), sum_dtype, x)
    rows = [*itertools.product(range(channel_chunks), range(image_chunks))]
    y = _chunks.loop(rows, add_chunk if is_whole else step, y)
    return y.swapaxes(0, 1).reshape(shape).astype(spec.out_dtype or dtype)


def _bands(kernel) -> list[tuple[int, int, int]]:
    """The bands of a kernel. A kernel of one axis is cut into rows. None if the rows are too few or too short."""
    size = kernel[-2:][0]
    if kernel[-1] < MIN_ROW * (ROWS_PER_VECTOR[0] if len(kernel) == 1 else 1) or size < ROWS_PER_VECTOR[0]:
        return []
    return bands_of_rows(size)


def bands_of_rows(size: int) -> list[tuple[int, int, int]]:
    """So many rows as bands (first, last, rows per vector). The remainder is a band of its own."""
    if size < ROWS_PER_VECTOR[0]:
        return [(0, size, size)]
    rows = min(ROWS_PER_VECTOR, key=lambda n: (size % n, -n))
    whole = size - size % rows
    return [(0, whole, rows)] + ([(whole, size, size - whole)] if whole < size else [])


def _vector_sums(x, w, spec, counts, bands):
    """(I, G, B, *n) and (I, G, O, *k) to vectors of sums (I, G, B, O, ...), for every position and every band."""
    dims, at, steps, kernel = spec.dims, max(spec.dims - 2, 0), spec.rhs_dilation, w.shape[3:]
    # The phases of a dilation are split, so that each tap of the kernel meets whole rows.
    lengths = [k + (m - 1) * s // r for k, m, s, r in zip(kernel, counts, spec.stride, steps, strict=True)]
    x = _taps.pad(x, _taps.phase_padding(spec.padding, x.shape[3:], lengths, steps), first=3)
    x = _taps.split_phases(x, steps)
    x = lax.optimization_barrier(x) if max(steps) > 1 else x

    def band_sums(first, last, rows):
        band = lax.slice_in_dim(w, first, last, axis=3 + at)
        full = (*band.shape[:2], x.shape[dims + 2], *band.shape[2:])
        # A row of one axis is cut so that each lane sums elements that are far apart.
        split = (rows, -1) if dims == 1 else (-1, rows)
        split = (*full[: 4 + at], *split, *full[5 + at :])
        band = lax.broadcast_in_dim(band, full, (0, 1, *range(3, len(full)))).reshape(split)
        parts = []
        for position in itertools.product(*map(range, counts)):
            starts = [divmod(i * s, r) for i, s, r in zip(position, spec.stride, steps, strict=True)]
            tap, phase = [t + first * (axis == at) for axis, (t, _) in enumerate(starts)], tuple(v for _, v in starts)
            part = _taps.tap_slice(x[phase], tap, (1,) * dims, (1,) * dims, full[4:], 3)
            parts.append(lax.broadcast_in_dim(part, full, (0, 1, 2, *range(4, len(full)))).reshape(split) * band)
        return sums_in_registers(parts, 4 + at + (dims > 1))

    return [band_sums(*band) for band in bands]


def sums_in_registers(parts: list[jax.Array], axis: int) -> list[jax.Array]:
    """The sum of each part along an axis, in loops that hold so many sums in registers."""
    loops = [parts[cut] for cut in _chunks.split_evenly(len(parts), math.ceil(len(parts) / SUMS_OF_ONE_LOOP))]
    return [lax.optimization_barrier(y) for loop in loops for y in _sums(loop, [axis])]


def _sums(parts: list[jax.Array], axes) -> list[jax.Array]:
    """The sum of each part along some axes, all in one pass."""
    zeros = [jnp.zeros((), parts[0].dtype)] * len(parts)
    return list(lax.reduce(parts, zeros, lambda a, b: [p + q for p, q in zip(a, b, strict=True)], axes))


def _row_sums(x, w, spec, counts):
    """The sums for every position if there are no bands. The elements of a row are summed in order."""
    x, kernel = _taps.pad(x, spec.padding, first=3), w.shape[3:]
    full = (*w.shape[:2], x.shape[2], w.shape[2], *kernel)
    w = lax.broadcast_in_dim(lax.optimization_barrier(w), full, (0, 1, *range(3, len(full))))
    parts = []
    for position in itertools.product(*map(range, counts)):
        part = _taps.tap_slice(x, position, spec.stride, spec.rhs_dilation, kernel, first=3)
        parts.append(lax.broadcast_in_dim(part, full, (0, 1, 2, *range(4, len(full)))) * w)
    axes: list[int] = []
    length = 1
    for axis in (*reversed(range(4, len(full))), 0):
        size = full[axis]
        if length * size > MAX_CHAIN:  # splitting axis 0, the images, would cost a copy
            size = max(n for n in range(1, CHAIN_LENGTH * 2 // length + 1) if n == 1 or (size % n == 0 and axis))
            size = size if length * size >= MIN_CHAIN else full[axis]
        if 1 < size < full[axis]:
            parts = [part.reshape(*part.shape[:axis], -1, size, *part.shape[axis + 1 :]) for part in parts]
            axes = [axis + 1, *[later + 1 for later in axes]]
        if size < full[axis]:
            break
        axes.append(axis)
        length *= size
        if length >= CHAIN_LENGTH:
            break
    results = _sums(parts, axes)
    return [jnp.expand_dims(y, 0) for y in results] if 0 in axes else results


def unsupported(spec, x, w) -> str | None:
    positions = _spec.position_count(spec, x, w)
    if positions > MAX_POSITIONS:
        return f"{positions} positions, more than {MAX_POSITIONS}"
    return reason_if_input_is_dilated(spec)


def pays(p) -> bool:
    """For weight gradients of few channels, whose sums are held in registers.

    The weight gradient of depthwise 3x3 on 8x144x56x56 takes 1.4 ms instead of 55.
    """
    if not p.gradient_like:
        return False
    pairs = p.batch * p.out_channels
    if p.groups > 1:
        return pairs <= (64 if max(p.spec.rhs_dilation) > 1 else 16)
    if p.summands >= 1 << 17 and not p.machine.shares_batched_gemm(p.x.dtype):  # cores do not share long products
        return pairs <= 192 and pairs * p.positions <= 1800
    return pairs <= 64 and pairs * p.positions <= (1000 if p.taps >= 1024 else 100)


ALGORITHM = Kernel(
    "variadic_reduce",
    "one pass over the input for the sums of all positions",
    run,
    unsupported,
    definition_multiply_adds,
    summands,
)
