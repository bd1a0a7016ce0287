"""The n-th smallest element of every box, by sorted lists that neighbouring windows share.

`span` neighbours along one axis, a tile, have a core in common, to which each of their windows adds span - 1 elements.
An element that has rank r in a window has a rank from r - span + 1 to r in the core, so no more than `span` elements of
the sorted core can be the result of any of them: the candidates. Halve the tile, and the core of either half gains as
many elements as the half has windows. Merged with the candidates, these sorted too, the middle third are those of the
half. The candidate of a tile of one window is the result. This is the hierarchical tiling of L. Sugy, "A Fast Parallel
Median Filtering Algorithm Using Hierarchical Tiling", SIGGRAPH 2025, along one axis; across it, an element is a column
of the box.

Lists are sorted and merged by bitonic half-cleaners (K. E. Batcher, "Sorting networks and their applications", 1968):
minima and maxima of whole arrays, whatever they hold, without a branch, a gather or a scatter. A line and a window of k
elements take O(log(k)^2) of them for each element of the line, and about 6 + log2(k) times its memory, but no more than
that of `BLOCK` elements at a time.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arrays import xla_cpu

Sizes = tuple[int, ...]

BLOCK = 1 << 17  # elements in the lists of one turn: halves and doubles are no faster on a core with 1 MiB of cache
GAIN = 32  # elements of a box for each of a column, from which on this is faster than bit by bit, in 8 to 32 bits
CUT = 4  # parts of its lists that a pass reads: two half-cleaners in one, and more take longer


def suits(sizes: Sizes) -> bool:
    """Whether a box of more than a few elements gets its results sooner here than bit by bit."""
    *across, swept = sorted(sizes)
    return math.prod(across) * swept >= GAIN * _power(math.prod(across))


def nth_of_box(key: jax.Array, sizes: Sizes, rank: int) -> jax.Array:
    """y[i] = the element of this rank, from 0, among key[i : i + sizes], integers; y is sizes - 1 elements shorter."""
    swept = max(range(key.ndim), key=lambda axis: (sizes[axis], axis))
    order = [axis for axis in range(key.ndim) if axis != swept] + [swept]
    y = _in_blocks(key.transpose(order), tuple(sizes[axis] for axis in order), rank)
    return y.transpose(np.argsort(order))


def _in_blocks(key: jax.Array, sizes: Sizes, rank: int) -> jax.Array:
    """Block after block, so that the lists of each fit the caches."""
    whole = tuple(n - size + 1 for n, size in zip(key.shape, sizes, strict=True))
    block = _block(whole, sizes)
    if block == whole:
        return _swept(key, sizes, rank)
    starts = np.stack(np.meshgrid(*map(range, [0] * len(whole), whole, block), indexing="ij"), -1)
    starts = np.minimum(starts.reshape(-1, len(whole)), np.subtract(whole, block))  # the last ones overlap
    table = jnp.asarray(starts, jnp.int32)
    seen = [n + size - 1 for n, size in zip(block, sizes, strict=True)]

    def turn(n, y):
        at = list(table[xla_cpu.parallel_index(n)])
        return lax.dynamic_update_slice(y, _swept(lax.dynamic_slice(key, at, seen), sizes, rank), at)

    return lax.fori_loop(0, len(starts), turn, lax.slice(key, [0] * key.ndim, whole))


def _block(whole: Sizes, sizes: Sizes) -> Sizes:
    """The longest axis halved until the lists are small; the swept one in whole tiles."""
    block, span, depth = list(whole), _span(sizes[-1]), _power(math.prod(sizes[:-1]))
    steps = [1] * (len(whole) - 1) + [span]
    while math.prod(block[:-1]) * max(block[-1], span) * depth > BLOCK:
        halves = [min(n, -(-n // (2 * step)) * step) for n, step in zip(block, steps, strict=True)]
        axis = max(range(len(block)), key=lambda axis: block[axis] - halves[axis])
        if halves[axis] == block[axis]:
            break
        block[axis] = halves[axis]
    return tuple(block)


def _swept(key: jax.Array, sizes: Sizes, rank: int) -> jax.Array:
    """The same along the last axis, tile by tile, all at once."""
    count, size = math.prod(sizes), sizes[-1]
    if 2 * rank >= count:  # the complements have the order turned round
        return ~_swept(~key, sizes, count - 1 - rank)
    lines, depth = _columns(key, sizes)
    shape = tuple(n - size + 1 for n, size in zip(key.shape, sizes, strict=True))
    span = _span(size)
    tiles = -(-shape[-1] // span)

    def listed(first):
        """As many columns from `first` on as a tile has windows, for each tile a list."""
        ends = -first * depth, (tiles * span + first) * depth - lines.shape[1]
        return lax.pad(lines, jnp.zeros((), key.dtype), [(0, 0, 0), (*ends, 0)]).reshape(-1, span * depth).T

    # The core of a tile's first half gains columns in front of the tile's core, that of its second half columns behind
    # it. Of blocks of 1, 2, 4, ... columns they are the odd ones of the former and the even ones of the latter.
    front, behind, core = listed(-1), listed(size), listed(span - 1)
    row = lax.broadcasted_iota(jnp.int32, core.shape, 0)
    core = jnp.where(row < (size - span + 1) * depth, core, _largest(key))
    lists = xla_cpu.fusion_barrier(jnp.concatenate([front, behind, core], 1)[:, None])
    width = core.shape[1]
    kept = _power(rank + 1)  # elements of a sorted list: those behind have `rank` elements in front of them, or more
    gains = []
    while len(lists) > 1:
        if len(lists) <= span:  # whole columns
            odd, even = _pairs(lists[..., :width])[:, 1:], _pairs(lists[..., width : 2 * width])[:, :1]
            gains.append(xla_cpu.fusion_barrier(lax.rev(lax.concatenate([odd, even], 1), (2,))))
        lists = _merged(lists, kept)

    candidates = lists[..., 2 * width :]
    for gain in reversed(gains):
        if gain.shape[2] < candidates.shape[1] == kept:  # until here from the core's rank 0 on, from here to its `rank`
            shift = kept - 1 - rank
            candidates = lax.pad(candidates, ~_largest(key), [(0, 0, 0), (shift, -shift, 0), (0, 0, 0)])
        candidates = _narrowed(candidates, gain)
    found = candidates[:, rank if candidates.shape[1] == kept else -1]
    return found.T.reshape(-1, tiles * span)[:, : shape[-1]].reshape(shape)


def _columns(key: jax.Array, sizes: Sizes) -> tuple[jax.Array, int]:
    """Lines of columns, each filled up with the largest integer to a power of two, and that power."""
    outer = [n - size + 1 for n, size in zip(key.shape[:-1], sizes[:-1], strict=True)]
    columns = [
        lax.slice(key, (*at, 0), (*np.add(at, outer), key.shape[-1])) for at in np.ndindex(*sizes[:-1])
    ]  # fmt: skip
    depth = _power(len(columns))
    columns += [jnp.full_like(columns[0], _largest(key))] * (depth - len(columns))
    return jnp.stack(columns, -1).reshape(-1, depth * key.shape[-1]), depth


def _largest(key: jax.Array) -> jax.Array:
    return jnp.asarray(jnp.iinfo(key.dtype).max, key.dtype)


def _span(size: int) -> int:
    """Windows of a tile: the least power of two that is no less than the columns of the core, size - span + 1."""
    return _power(size // 2 + 1)


def _power(n: int) -> int:
    """The least power of two from n on."""
    return 1 << (n - 1).bit_length()


# ---- sorted lists: (lists, elements, tiles) ----


def _pairs(lists: jax.Array) -> jax.Array:
    return lists.reshape(-1, 2, *lists.shape[1:])


def _merged(lists: jax.Array, kept: int) -> jax.Array:
    """Every two neighbours as one, of which the lowest `kept` elements are kept."""
    pairs = _pairs(lists)
    size = pairs.shape[2]
    one, other = (_cut(part, _first(size)) for part in (pairs[:, 0], lax.rev(pairs[:, 1], (1,))))
    picks = (lax.min,) if size == kept else (lax.min, lax.max)
    return _sorted([list(map(pick, one, other)) for pick in picks])


def _narrowed(candidates: jax.Array, gain: jax.Array) -> jax.Array:
    """The candidates of both halves of each tile, from the tile's and what their cores gain, in falling order.

    Of 2 m candidates a and a gain of m elements e, the middle third are min(a[m + i], max(a[i], e[i])): as a rises and
    e falls, the maxima drop the m lowest of all, the minima the m highest, and what is left is bitonic.
    """
    m = gain.shape[2]
    a = jnp.broadcast_to(candidates[:, None], (*gain.shape[:2], *candidates.shape[1:]))
    enough = a.shape[2] == m  # the lowest of the core and then those of all, not candidates by rank
    middle = lax.min(a, gain) if enough else lax.min(a[:, :, m:], lax.max(a[:, :, :m], gain))
    return _sorted([_cut(middle.reshape(-1, *middle.shape[2:]), _first(m))])


def _sorted(halves: list[list[jax.Array]]) -> jax.Array:
    """Bitonic lists, each given in parts, sorted and joined."""
    parts = [part for half in halves for part in _cleaned(half)]
    size, tiles = parts[0].shape[1:]
    lists = xla_cpu.fusion_barrier(lax.concatenate(parts, 1))
    shape = lists.shape
    while size > 1:
        size //= CUT
        lists = lists.reshape(-1, CUT, size * tiles)  # so that a loop is as long as it can be
        lists = xla_cpu.fusion_barrier(lax.concatenate(_cleaned(_cut(lists, CUT)), 1))
    return lists.reshape(shape)


def _first(size: int) -> int:
    """In how many parts the first pass cuts a list, so that what is left is a power of `CUT`."""
    return 2 - size.bit_length() % 2


def _cut(lists: jax.Array, parts: int) -> list[jax.Array]:
    return list(lax.split(lists, [lists.shape[1] // parts] * parts, 1))


def _cleaned(parts: list[jax.Array]) -> list[jax.Array]:
    """The parts of a bitonic list as bitonic lists, of which none has an element above any of the next."""
    if len(parts) == 1:
        return parts
    half = len(parts) // 2
    low, high = (list(map(pick, parts[:half], parts[half:])) for pick in (lax.min, lax.max))
    return _cleaned(low) + _cleaned(high)
