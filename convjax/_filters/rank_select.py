"""The n-th smallest element of a window, as a whole-array operation with a derivative.

Floats are compared as integers of the same order, in which a NaN is the largest. Integers take one instruction to
compare, and a NaN reaches only the windows that hold it. -0.0 counts as smaller than 0.0.

The method depends only on the window and the dtype. For k elements of b bits, and n = MAX_UNROLLED_ELEMENTS:

    the smallest or largest   for a box, axis by axis, O(log k) minima or maxima; for any other window, k of them
    up to n elements          a sorting network, reduced to the comparisons that the result needs (`selection_network`)
    a line, or a box that is  sorted lists that neighbouring windows share (`sorted_lists`): O(log(k)^2) for each
      large or long             element of the box across its longest axis
    any other window          the bits of the result from the highest down, each by counting the smaller elements: k b

Medians of 3x3, 5x5 and 7x7 on 1080x1920 take 2.1, 3.2 and 12 ms, SciPy 224, 738 and 1347 (the table in
`benchmarks/results/scipy-2-cores.md`). Running medians of 10^5 float32 in windows of 101, 1001 and 10001 take 1.3, 2.6
and 6.0 ms on a single core, SciPy 3.5, 4.9 and 6.3. Medians of 31x31 and 101x101 on 512x512 take a tenth of SciPy's
time or less.

The derivative compares every element with every window that holds it, for all methods (`ties`).
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from convjax._arrays import xla_cpu
from convjax._arrays.sharding import mark_varying, varying_axes
from convjax._filters import passes, sorted_lists, ties
from convjax._filters.offsets import Offsets, box_sizes, fold_offsets

MAX_UNROLLED_ELEMENTS = 81  # of a window whose sorting network is written out


def nth_smallest(x: jax.Array, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    """y[i] = the element of this rank, from 0, among x[i + offset], for all i in `shape`."""
    select = partial(_select_rank, offsets=offsets, shape=shape, rank=rank)
    return _with_derivative(select, offsets, shape)(x)


def extremum(x: jax.Array, axis: int, size: int, largest: bool) -> jax.Array:
    """The smallest or largest of `size` neighbours along an axis; the result is size - 1 elements shorter."""
    shape = tuple(n - (size - 1) * (i == axis) for i, n in enumerate(x.shape))
    offsets = tuple(tuple(j * (i == axis) for i in range(x.ndim)) for j in range(size))
    return _with_derivative(partial(_extremum, axis=axis, size=size, largest=largest), offsets, shape)(x)


def _with_derivative(select: Callable, offsets: Offsets, shape: tuple[int, ...]) -> Callable:
    """`select`, a function of ordered integers, as a function of x with a derivative.

    The derivative of a result is that of the selected element. Equal elements of the window share it.
    """

    def run(x):
        return _from_ordered_integers(select(_to_ordered_integers(x)), x.dtype)

    chosen = jax.custom_jvp(run)

    @chosen.defjvp
    def _jvp(primals, tangents):
        y = chosen(*primals)  # not `run`, so that the result has a derivative too
        keys, found = _to_ordered_integers(*primals), _to_ordered_integers(y)

        # The tangent is cast before the sum, so that cotangents are summed in this dtype too.
        dtype = passes.filter_sum_dtype(y.dtype)
        total = ties.sum_ties(keys, found, tangents[0].astype(dtype), offsets)
        count = ties.sum_ties(keys, found, jnp.ones(keys.shape, dtype), offsets)
        return y, (total / count).astype(y.dtype)

    return lambda x: chosen(x) if jnp.issubdtype(x.dtype, jnp.floating) else run(x)


# ---- integers of the same order ----


def _to_ordered_integers(x: jax.Array) -> jax.Array:
    if x.dtype == jnp.bool_:
        return x.astype(jnp.uint8)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    integer = jnp.dtype(f"int{8 * x.dtype.itemsize}")
    return jnp.where(jnp.isnan(x), jnp.iinfo(integer).max, _reorder_negative(lax.bitcast_convert_type(x, integer)))


def _from_ordered_integers(key: jax.Array, dtype: Any) -> jax.Array:
    return (
        lax.bitcast_convert_type(_reorder_negative(key), dtype)
        if jnp.issubdtype(dtype, jnp.floating)
        else key.astype(dtype)
    )


def _reorder_negative(bits: jax.Array) -> jax.Array:
    """Invert the magnitude bits of negative floats, which then sort as integers. This is its own inverse."""
    info = jnp.iinfo(bits.dtype)
    return bits ^ ((bits >> (info.bits - 1)) & info.max)


# ---- the smallest, the n-th, the largest ----


def _extremum(key: jax.Array, *, axis: int, size: int, largest: bool) -> jax.Array:
    """By windows of 1, 2, 4, ... elements. The last window is made of two that overlap."""
    pick, width = (lax.max if largest else lax.min), 1

    def doubled(key, step):
        n = key.shape[axis] - step
        return pick(lax.slice_in_dim(key, 0, n, axis=axis), lax.slice_in_dim(key, step, step + n, axis=axis))

    while 2 * width <= size:
        key, width = doubled(key, width), 2 * width
        # If all steps were fused, they would be computed again for every result.
        key = xla_cpu.fusion_barrier(key) if width >= 8 else key
    return doubled(key, size - width) if width < size else key


def _select_rank(key: jax.Array, *, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    count = len(offsets)
    if rank in (0, count - 1):
        pick = lax.min if rank == 0 else lax.max
        first = lax.slice(key, offsets[0], [o + n for o, n in zip(offsets[0], shape, strict=True)])
        return fold_offsets((key,), offsets[1:], shape, lambda part: part, pick, first)
    if count > MAX_UNROLLED_ELEMENTS:
        return _select_from_many(key, offsets, shape, rank)
    parts = [lax.slice(key, at, [o + n for o, n in zip(at, shape, strict=True)]) for at in offsets]
    for i, j, low, high in selection_network(count, rank):
        a, b = parts[i], parts[j]
        parts[i] = lax.min(a, b) if low else a
        parts[j] = lax.max(a, b) if high else b
    return parts[rank]


@lru_cache
def selection_network(count: int, rank: int) -> tuple[tuple[int, int, bool, bool], ...]:
    """Comparisons (i, j, whether i gets the smaller element, whether j gets the larger) that select the one of `rank`.

    Batcher's merge exchange for any number of elements (Knuth, The Art of Computer Programming, volume 3, algorithm
    5.2.2M), without the comparisons that the result does not need. The result is then at position `rank`.
    """
    pairs, top = [], 1 << max((count - 1).bit_length() - 1, 0)
    p = top
    while p:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(count - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    wanted, kept = {rank}, []
    for i, j in reversed(pairs):
        if i in wanted or j in wanted:
            kept.append((i, j, i in wanted, j in wanted))
            wanted |= {i, j}
    return tuple(reversed(kept))


def _select_from_many(key: jax.Array, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    sizes = box_sizes(offsets)
    if (
        sizes is None or not sorted_lists.is_faster(sizes) or not all(isinstance(n, int) for n in shape)
    ):  # a symbolic size is no int
        return _select_by_bits(key, offsets, shape, rank)
    ends = [o + n + size - 1 for o, n, size in zip(offsets[0], shape, sizes, strict=True)]
    return sorted_lists.nth_smallest_of_box(lax.slice(key, offsets[0], ends), sizes, rank)


def _select_by_bits(key: jax.Array, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    """The largest number with at most `rank` smaller elements, found from its highest bit down."""
    info = jnp.iinfo(key.dtype)

    def with_bit(n, found):
        bit = info.bits - 1 - xla_cpu.parallel_index(n)
        more = found + (jnp.ones((), key.dtype) << bit.astype(key.dtype))  # the first wraps to 0

        def smaller(part):
            return (part < more).astype(jnp.int32)

        count = fold_offsets((key,), offsets, shape, smaller, lax.add, jnp.zeros(shape, jnp.int32))
        return jnp.where(count <= rank, more, found)

    start = mark_varying(jnp.full(shape, info.min, key.dtype), varying_axes(key))
    return lax.fori_loop(0, info.bits, with_bit, start)
