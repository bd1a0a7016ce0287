"""A sum over the taps, each a shifted slice of the input times one weight, in one loop over the results.

For few products per result and many results, as in depthwise convolutions and small groups. The loop reads each tap's
slice at an offset and keeps sum and weights in registers, so the input is read from cache and the result is written
once. If there are more weights than registers, several such loops follow one another, and each adds to the sum.
"""

import itertools
import math
from functools import partial

import jax
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _taps, chwn
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, reason_if_input_is_dilated, summands
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_UNROLLED_PRODUCTS = 300  # per result: each is an operation to compile
# How many more weights a loop holds than there are vector registers. A single loop may hold more, because a second loop
# would have to read and write all sums. If there are several loops, each must also hold the sums, so it holds fewer.
SPARE_OF_ONE_LOOP, SPARE_OF_SEVERAL = 4, -4
CHAIN_LENGTH = 8  # products that are added in order; the sums of such chains are then added
MAX_PRODUCTS_OF_FEW_RESULTS = 1024  # per result, for up to 8 output channels; XLA's own convolution is then faster
MAX_SHORT_ROW = 10  # elements; a row of so few is mostly a remainder of a vector


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    chunks = 1
    if not _spec.is_empty(spec, x, w):
        chunks = _chunks.padded_chunk_count(x, spec.padding, spec.groups, 3, machine)
    return _chunks.write_group_chunks(partial(_convolve_groups, machine=machine), x, w, spec, chunks, machine)


def _convolve_groups(x, w, spec, machine):
    sum_dtype, groups = _spec.sum_dtype(x.dtype, spec), spec.groups
    shape, out_dtype, in_channels = spec.output_shape(x.shape, w.shape), spec.out_dtype or x.dtype, w.shape[1]
    joined = _rows_are_joined(spec, w, shape[2:])
    counts, padding = shape[2:], spec.padding
    if joined:
        padding = _shared_padding(spec, x, shape[-1])
    elif summands(spec, x, w) > machine.registers + SPARE_OF_ONE_LOOP:
        counts, padding = _in_whole_vectors(spec, counts, machine)
    x = x.astype(sum_dtype).reshape(x.shape[0], groups, in_channels, *x.shape[2:])
    x = _taps.pad(x, padding, first=3)  # once, not for every tap
    pitch = x.shape[-1]
    if joined:
        x = x.reshape(*x.shape[:-2], -1)
        counts = (*counts[:-2], counts[-2] * pitch)
    w = w.reshape(groups, -1, *w.shape[1:]).astype(sum_dtype)
    full = (x.shape[0], *w.shape[:2], *counts)

    def products(x, w) -> list[jax.Array]:
        channels = [lax.index_in_dim(x, i, 2, keepdims=False) for i in range(w.shape[2])]

        def product(i, *tap):
            starts = [j * r for j, r in zip(tap, spec.rhs_dilation, strict=True)]
            if joined:
                starts = [*starts[:-2], starts[-2] * pitch + starts[-1]]
            part = _taps.tap_slice(channels[i], starts, (1,) * len(counts), spec.stride[: len(counts)], counts)
            part = lax.broadcast_in_dim(part, full, (0, 1, *range(3, len(full))))
            at = (0, 0, i, *tap)
            weight = lax.slice(w, at, (*w.shape[:2], *[start + 1 for start in at[2:]]))
            return lax.mul(part, lax.broadcast_in_dim(lax.squeeze(weight, range(2, w.ndim)), full, (1, 2)))

        return [product(*at) for at in itertools.product(*map(range, w.shape[2:]))]

    def added(x, w, y: list[jax.Array], axis: int = 2) -> list[jax.Array]:
        """y, which is one array or none, plus the products of x and w. If these are too many to unroll, a loop takes
        parts of w along one axis, then along the next."""
        if math.prod(w.shape[2:]) <= MAX_UNROLLED_PRODUCTS:
            return [add_all([*y, _in_loops(products(x, w), machine)])]
        size, rest, dilation = w.shape[axis], math.prod(w.shape[axis + 1 :]), (1, *spec.rhs_dilation)[axis - 2]
        length = min(max(machine.registers // rest, 1), size)

        def add_part(at, length, y):
            part = lax.dynamic_slice_in_dim(x, at * dilation, x.shape[axis] - (size - length) * dilation, axis)
            return added(part, lax.dynamic_slice_in_dim(w, at, length, axis), y, axis + 1)

        if length == size:
            return added(x, w, y, axis + 1)
        if size % length:
            y = add_part(size - size % length, size % length, y)
        y = y or [_chunks.zeros_varying_like(full, sum_dtype, x)]
        step = lambda n, y: add_part(xla_cpu.parallel_index(n, machine) * length, length, [y])[0]  # noqa: E731
        return [lax.fori_loop(0, size // length, step, y[0])]

    (y,) = added(x, w, [])
    if joined:
        y = xla_cpu.fusion_barrier(y, machine).reshape(*full[:-1], -1, pitch)
        full = (*full[:3], *shape[2:])
    return lax.slice(y, [0] * len(full), (*full[:3], *shape[2:])).reshape(shape).astype(out_dtype)


def _in_loops(parts: list[jax.Array], machine) -> jax.Array:
    """The sum of parts, in as many loops as their weights need."""
    y: list[jax.Array] = []
    several = len(parts) > machine.registers + SPARE_OF_ONE_LOOP
    loops = math.ceil(len(parts) / (machine.registers + SPARE_OF_SEVERAL)) if several else 1
    for loop in _split(parts, math.ceil(len(parts) / loops)):
        y = [xla_cpu.fusion_barrier(add_all(y), machine, reuse_buffer=True)] if len(y) > 1 else y
        y = y + [add_all(chain) for chain in _split(loop, CHAIN_LENGTH)]
    return add_all(y)


def _split(items: list, length: int) -> list[list]:
    return [items[i : i + length] for i in range(0, len(items), length)]


def _rows_are_joined(spec, w, counts) -> bool:
    """Whether short rows are joined end to end, with the borders between them: one long row instead of many."""
    few = math.prod(w.shape[1:]) <= 9  # with more products the joined row is slower
    return len(counts) > 1 and counts[-1] <= MAX_SHORT_ROW and max(spec.stride[-2:]) == 1 and few


def _shared_padding(spec, x, count):
    """The padding of joined rows.

    Two neighbouring rows share the zeros between them, if a row of results fits into a row of x with them. One more row
    of zeros below is the padding at the end of the last row.
    """
    *rest, (top, bottom), (low, high) = spec.padding
    gap = max(low, high)
    if min(low, high) >= 0 and count <= x.shape[-1] + gap:
        high = gap - low
    return (*rest, (top, bottom + 1), (low, high))


def _in_whole_vectors(spec, counts, machine):
    """Counts and padding that make a row a whole number of vectors, if that adds little.

    Loops compute the remainder of a row element by element.
    """
    *rest, count = counts
    more = -count % machine.lanes
    if spec.stride[-1] > 1 or 5 * more > count:
        return counts, spec.padding
    low, high = spec.padding[-1]
    return (*rest, count + more), (*spec.padding[:-1], (low, high + more))


def unsupported(spec, x, w) -> str | None:
    return reason_if_input_is_dilated(spec)


def has_few_products(p) -> bool:
    """Whether a loop over the results can hold the weights in registers.

    Depthwise 3x3 on 8x144x56x56 takes 0.73 ms instead of 68.
    """
    if p.gradient_like:
        return False
    if p.groups > 1:
        return max(p.in_channels, p.out_channels) <= 32 and not _is_wide_group(p)
    few = p.in_channels <= 8 and p.summands * p.out_channels <= 2560
    return few or (p.out_channels <= 8 and p.in_channels <= 64 and p.summands <= MAX_PRODUCTS_OF_FEW_RESULTS)


def _is_wide_group(p) -> bool:
    """Whether a matrix product for each group is better: it runs on several cores, and slices start inside vectors."""
    channels, positions = min(p.in_channels, p.out_channels), p.batch * p.positions
    single_core = xla_cpu.gemm_is_single_core(p.machine, p.x.dtype, positions, p.out_channels, p.summands)
    vectors = p.w.shape[-1] == 1 or p.spec.rhs_dilation[-1] % 8 == 0 or chwn.pays(p)
    return channels >= 32 and positions >= 256 and not (single_core or vectors)


def pays(p) -> bool:
    """For few products per result, and for the weight gradients of small depthwise images.

    The weight gradient of 5x5, stride 2 on one image of 14x14 takes 0.05 ms instead of 0.11.
    """
    small = p.gradient_like and p.groups > 1 and p.batch * p.out_channels <= 4 and p.summands <= 256
    return has_few_products(p) or (small and p.positions >= 25 and max(p.spec.stride) == 1)


ALGORITHM = Kernel(
    "shift_add", "a sum over shifted slices, one per tap", run, unsupported, definition_multiply_adds, summands
)
