"""The n-th smallest element of a window, as a whole-array operation with a derivative.

Floats are compared as integers of the same order, in which a NaN is the largest: integers take one instruction to
compare, and a NaN reaches no window that does not hold it. -0.0 counts as smaller than 0.0.

How an element is picked depends on the window and its dtype alone. Of k elements of b bits:

    the smallest or largest   of a box, axis by axis, O(log k) minima or maxima; of another window, k of them
    up to `WRITTEN` elements  a sorting network, of which only what leads to the result is kept (`network`)
    a line, or a box that is  sorted lists that neighbouring windows share (`_tiles`): O(log(k)^2) for each element of
      large or long             the box across its longest axis
    any other                 the bits of the result one after another, each by counting the smaller elements: k b

Medians of 3x3, 5x5 and 7x7 on 1080x1920 take 2.1, 3.2 and 12 ms for SciPy's 224, 738 and 1347 (the table in
`benchmarks/results/scipy-2-cores.md`). Running medians of 10^5 float32 in windows of 101, 1001 and 10001 take 1.3, 2.6
and 6.0 ms on a single core for SciPy's 3.5, 4.9 and 6.3, and medians of 31x31 and 101x101 on 512x512 a tenth of its
time or less.

The derivative compares every element with every window that holds it, whichever way it was picked (`_ties`).
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from convjax._arrays import xla_cpu
from convjax._arrays.sharding import mark_varying, varying_axes
from convjax._filters import passes, ties, tiles
from convjax._filters.offsets import Offsets, box, fold_offsets

WRITTEN = 81  # elements of the largest window whose network is written out


def nth_smallest(x: jax.Array, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    """y[i] = the element of this rank, from 0, among x[i + offset]; i runs over `shape`."""
    select = partial(_nth, offsets=offsets, shape=shape, rank=rank)
    return _differentiable(select, offsets, shape)(x)


def extreme(x: jax.Array, axis: int, size: int, largest: bool) -> jax.Array:
    """The smallest or largest of `size` neighbours along an axis; the result is size - 1 elements shorter."""
    shape = tuple(n - (size - 1) * (i == axis) for i, n in enumerate(x.shape))
    offsets = tuple(tuple(j * (i == axis) for i in range(x.ndim)) for j in range(size))
    return _differentiable(partial(_extreme, axis=axis, size=size, largest=largest), offsets, shape)(x)


def _differentiable(select: Callable, offsets: Offsets, shape: tuple[int, ...]) -> Callable:
    """`select` works on ordered integers. The derivative is that of the selected element; equal ones share it."""

    def run(x):
        return _number(select(_ordered(x)), x.dtype)

    chosen = jax.custom_jvp(run)

    @chosen.defjvp
    def _jvp(primals, tangents):
        y = chosen(*primals)  # which has a derivative itself
        keys, found = _ordered(*primals), _ordered(y)

        # Cast once, so that cotangents, too, are summed in this dtype.
        dtype = passes.sum_dtype(y.dtype)
        total = ties.ties(keys, found, tangents[0].astype(dtype), offsets)
        count = ties.ties(keys, found, jnp.ones(keys.shape, dtype), offsets)
        return y, (total / count).astype(y.dtype)

    return lambda x: chosen(x) if jnp.issubdtype(x.dtype, jnp.floating) else run(x)


# ---- integers of the same order ----


def _ordered(x: jax.Array) -> jax.Array:
    if x.dtype == jnp.bool_:
        return x.astype(jnp.uint8)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    integer = jnp.dtype(f"int{8 * x.dtype.itemsize}")
    return jnp.where(jnp.isnan(x), jnp.iinfo(integer).max, _turned(lax.bitcast_convert_type(x, integer)))


def _number(key: jax.Array, dtype: Any) -> jax.Array:
    return lax.bitcast_convert_type(_turned(key), dtype) if jnp.issubdtype(dtype, jnp.floating) else key.astype(dtype)


def _turned(bits: jax.Array) -> jax.Array:
    """The magnitude of negative floats counts the other way; doing it twice undoes it."""
    info = jnp.iinfo(bits.dtype)
    return bits ^ ((bits >> (info.bits - 1)) & info.max)


# ---- the smallest, the n-th, the largest ----


def _extreme(key: jax.Array, *, axis: int, size: int, largest: bool) -> jax.Array:
    """Of windows of 1, 2, 4, ... elements, and of two such that overlap."""
    pick, width = (lax.max if largest else lax.min), 1

    def doubled(key, step):
        n = key.shape[axis] - step
        return pick(lax.slice_in_dim(key, 0, n, axis=axis), lax.slice_in_dim(key, step, step + n, axis=axis))

    while 2 * width <= size:
        key, width = doubled(key, width), 2 * width
        key = xla_cpu.fusion_barrier(key) if width >= 8 else key  # fused, all would be taken anew for every result
    return doubled(key, size - width) if width < size else key


def _nth(key: jax.Array, *, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    count = len(offsets)
    if rank in (0, count - 1):
        pick = lax.min if rank == 0 else lax.max
        first = lax.slice(key, offsets[0], [o + n for o, n in zip(offsets[0], shape, strict=True)])
        return fold_offsets((key,), offsets[1:], shape, lambda part: part, pick, first)
    if count > WRITTEN:
        return _of_many(key, offsets, shape, rank)
    parts = [lax.slice(key, at, [o + n for o, n in zip(at, shape, strict=True)]) for at in offsets]
    for i, j, low, high in network(count, rank):
        a, b = parts[i], parts[j]
        parts[i] = lax.min(a, b) if low else a
        parts[j] = lax.max(a, b) if high else b
    return parts[rank]


@lru_cache
def network(count: int, rank: int) -> tuple[tuple[int, int, bool, bool], ...]:
    """Comparisons (i, j, whether i is to hold the smaller, whether j the larger) that bring the wanted one to `rank`.

    Batcher's merge exchange for any number of elements (Knuth, The Art of Computer Programming, volume 3, algorithm
    5.2.2M), without what does not lead to the result.
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


def _of_many(key: jax.Array, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    sizes = box(offsets)
    if sizes is None or not tiles.suits(sizes) or not all(isinstance(n, int) for n in shape):  # or symbolic
        return _bit_by_bit(key, offsets, shape, rank)
    ends = [o + n + size - 1 for o, n, size in zip(offsets[0], shape, sizes, strict=True)]
    return tiles.nth_of_box(lax.slice(key, offsets[0], ends), sizes, rank)


def _bit_by_bit(key: jax.Array, offsets: Offsets, shape: tuple[int, ...], rank: int) -> jax.Array:
    """The largest number that no more than `rank` elements are smaller than, from the highest bit down."""
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
