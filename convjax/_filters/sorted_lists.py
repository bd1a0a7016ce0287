"""The n-th smallest element of every box, by sorted lists that neighbouring windows share.

A tile is `span` neighbouring results along one axis. Their windows have a core in common, to which each window adds
span - 1 elements. An element of rank r in a window has a rank from r - span + 1 to r in the core. So at most `span`
elements of the sorted core can be the result of any of these windows: the candidates.

Then the tile is halved. The core of either half gains as many elements as the half has windows. Sort the gained
elements and merge them with the candidates: the middle third are the candidates of the half. The candidate of a tile of
one window is the result. This is the hierarchical tiling of L. Sugy, "A Fast Parallel Median Filtering Algorithm Using
Hierarchical Tiling", SIGGRAPH 2025, along one axis. An element here is a column of the box, across that axis.

Lists are sorted and merged by bitonic half-cleaners (K. E. Batcher, "Sorting networks and their applications", 1968).
These are minima and maxima of whole arrays, the same for any values, without a branch, a gather or a scatter. For a
line and a window of k elements, each element of the line takes O(log(k)^2) of them. The memory is about 6 + log2(k)
times that of the line, but no more than for `BLOCK_ELEMENTS` elements at a time.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arrays import xla_cpu

Sizes = tuple[int, ...]

BLOCK_ELEMENTS = 1 << 17  # in the lists of a block; half or twice as many is no faster with 1 MiB of cache per core
# Sorted lists are faster than selection bit by bit if a box has at least so many times the elements of one of its
# columns (for dtypes of 8 to 32 bits).
MIN_BOX_TO_COLUMN_RATIO = 32
PARTS_PER_PASS = 4  # of each list, for two half-cleaners in one pass; more take longer


def is_faster(sizes: Sizes) -> bool:
    """Whether this is faster than selection bit by bit, for a box of more than a few elements."""
    *across, longest = sorted(sizes)
    return math.prod(across) * longest >= MIN_BOX_TO_COLUMN_RATIO * _next_power_of_two(math.prod(across))


def nth_smallest_of_box(key: jax.Array, sizes: Sizes, rank: int) -> jax.Array:
    """y[i] = the element of this rank, from 0, among the integers key[i : i + sizes].

    y is sizes - 1 elements shorter than `key`.
    """
    longest = max(range(key.ndim), key=lambda axis: (sizes[axis], axis))
    order = [axis for axis in range(key.ndim) if axis != longest] + [longest]
    y = _select_by_blocks(key.transpose(order), tuple(sizes[axis] for axis in order), rank)
    return y.transpose(np.argsort(order))


def _select_by_blocks(key: jax.Array, sizes: Sizes, rank: int) -> jax.Array:
    """One block of results after another, so that the lists of a block fit the cache."""
    whole = tuple(n - size + 1 for n, size in zip(key.shape, sizes, strict=True))
    block = _block_shape(whole, sizes)
    if block == whole:
        return _select_in_block(key, sizes, rank)
    starts = np.stack(np.meshgrid(*map(range, [0] * len(whole), whole, block), indexing="ij"), -1)
    starts = np.minimum(starts.reshape(-1, len(whole)), np.subtract(whole, block))  # the last blocks overlap others
    table = jnp.asarray(starts, jnp.int32)
    block_input = [n + size - 1 for n, size in zip(block, sizes, strict=True)]

    def select_step(n, y):
        at = list(table[xla_cpu.parallel_index(n)])
        return lax.dynamic_update_slice(y, _select_in_block(lax.dynamic_slice(key, at, block_input), sizes, rank), at)

    return lax.fori_loop(0, len(starts), select_step, lax.slice(key, [0] * key.ndim, whole))


def _block_shape(whole: Sizes, sizes: Sizes) -> Sizes:
    """The shape of a block: the longest axis is halved until the lists are small enough.

    The last axis, along which there are tiles, is halved to whole tiles.
    """
    block, span, depth = list(whole), _windows_per_tile(sizes[-1]), _next_power_of_two(math.prod(sizes[:-1]))
    steps = [1] * (len(whole) - 1) + [span]
    while math.prod(block[:-1]) * max(block[-1], span) * depth > BLOCK_ELEMENTS:
        halves = [min(n, -(-n // (2 * step)) * step) for n, step in zip(block, steps, strict=True)]
        axis = max(range(len(block)), key=lambda axis: block[axis] - halves[axis])
        if halves[axis] == block[axis]:
            break
        block[axis] = halves[axis]
    return tuple(block)


def _select_in_block(key: jax.Array, sizes: Sizes, rank: int) -> jax.Array:
    """All results of a block, by tiles along the last axis."""
    count, size = math.prod(sizes), sizes[-1]
    if 2 * rank >= count:  # complements have the reverse order
        return ~_select_in_block(~key, sizes, count - 1 - rank)
    lines, depth = _column_lists(key, sizes)
    shape = tuple(n - size + 1 for n, size in zip(key.shape, sizes, strict=True))
    span = _windows_per_tile(size)
    tiles = -(-shape[-1] // span)

    def listed(first):
        """A list for each tile: as many columns from `first` on as the tile has windows."""
        ends = -first * depth, (tiles * span + first) * depth - lines.shape[1]
        return lax.pad(lines, jnp.zeros((), key.dtype), [(0, 0, 0), (*ends, 0)]).reshape(-1, span * depth).T

    # The core of a tile's first half gains columns in front of the tile's core, that of its second half columns behind
    # it. Divide either into groups of 1, 2, 4, ... columns: the odd groups in front and the even groups behind are
    # gained.
    front, behind, core = listed(-1), listed(size), listed(span - 1)
    row = lax.broadcasted_iota(jnp.int32, core.shape, 0)
    core = jnp.where(row < (size - span + 1) * depth, core, _largest_integer(key))
    lists = xla_cpu.fusion_barrier(jnp.concatenate([front, behind, core], 1)[:, None])
    width = core.shape[1]
    # Elements that are kept of a sorted list. Later ones have more than `rank` elements in front of them.
    kept = _next_power_of_two(rank + 1)
    gains = []
    while len(lists) > 1:
        if len(lists) <= span:  # whole columns
            odd, even = _pairs(lists[..., :width])[:, 1:], _pairs(lists[..., width : 2 * width])[:, :1]
            gains.append(xla_cpu.fusion_barrier(lax.rev(lax.concatenate([odd, even], 1), (2,))))
        lists = _merge_pairs(lists, kept)

    candidates = lists[..., 2 * width :]
    for gain in reversed(gains):
        # Until here the candidates begin at rank 0 of the core. From here on they end at `rank`.
        if gain.shape[2] < candidates.shape[1] == kept:
            shift = kept - 1 - rank
            candidates = lax.pad(candidates, ~_largest_integer(key), [(0, 0, 0), (shift, -shift, 0), (0, 0, 0)])
        candidates = _narrow_candidates(candidates, gain)
    found = candidates[:, rank if candidates.shape[1] == kept else -1]
    return found.T.reshape(-1, tiles * span)[:, : shape[-1]].reshape(shape)


def _column_lists(key: jax.Array, sizes: Sizes) -> tuple[jax.Array, int]:
    """Lines of columns, and the size of a column: a power of two, to which the largest integer fills it up."""
    outer = [n - size + 1 for n, size in zip(key.shape[:-1], sizes[:-1], strict=True)]
    columns = [
        lax.slice(key, (*at, 0), (*np.add(at, outer), key.shape[-1])) for at in np.ndindex(*sizes[:-1])
    ]  # fmt: skip
    depth = _next_power_of_two(len(columns))
    columns += [jnp.full_like(columns[0], _largest_integer(key))] * (depth - len(columns))
    return jnp.stack(columns, -1).reshape(-1, depth * key.shape[-1]), depth


def _largest_integer(key: jax.Array) -> jax.Array:
    return jnp.asarray(jnp.iinfo(key.dtype).max, key.dtype)


def _windows_per_tile(size: int) -> int:
    """Windows of a tile, span: the least power of two that is at least size - span + 1, the columns of the core."""
    return _next_power_of_two(size // 2 + 1)


def _next_power_of_two(n: int) -> int:
    """The least power of two that is no less than n."""
    return 1 << (n - 1).bit_length()


# ---- sorted lists: (lists, elements, tiles) ----


def _pairs(lists: jax.Array) -> jax.Array:
    return lists.reshape(-1, 2, *lists.shape[1:])


def _merge_pairs(lists: jax.Array, kept: int) -> jax.Array:
    """Merge every two neighbouring lists, and keep the lowest `kept` elements."""
    pairs = _pairs(lists)
    size = pairs.shape[2]
    one, other = (_split_parts(part, _first_part_count(size)) for part in (pairs[:, 0], lax.rev(pairs[:, 1], (1,))))
    picks = (lax.min,) if size == kept else (lax.min, lax.max)
    return _sort_bitonic([list(map(pick, one, other)) for pick in picks])


def _narrow_candidates(candidates: jax.Array, gain: jax.Array) -> jax.Array:
    """The candidates of both halves of each tile, from those of the tile and the gained elements in falling order.

    For 2 m candidates a and m gained elements e, the middle third are min(a[m + i], max(a[i], e[i])). Because a rises
    and e falls, the maxima drop the m lowest of all and the minima the m highest, and the rest is bitonic.
    """
    m = gain.shape[2]
    a = jnp.broadcast_to(candidates[:, None], (*gain.shape[:2], *candidates.shape[1:]))
    enough = a.shape[2] == m  # these are the lowest of the core: the lowest of all are kept
    middle = lax.min(a, gain) if enough else lax.min(a[:, :, m:], lax.max(a[:, :, :m], gain))
    return _sort_bitonic([_split_parts(middle.reshape(-1, *middle.shape[2:]), _first_part_count(m))])


def _sort_bitonic(halves: list[list[jax.Array]]) -> jax.Array:
    """Sort bitonic lists, each given in parts, and join them to one array."""
    parts = [part for half in halves for part in _half_clean(half)]
    size, tiles = parts[0].shape[1:]
    lists = xla_cpu.fusion_barrier(lax.concatenate(parts, 1))
    shape = lists.shape
    while size > 1:
        size //= PARTS_PER_PASS
        lists = lists.reshape(-1, PARTS_PER_PASS, size * tiles)  # so that a loop is as long as it can be
        lists = xla_cpu.fusion_barrier(lax.concatenate(_half_clean(_split_parts(lists, PARTS_PER_PASS)), 1))
    return lists.reshape(shape)


def _first_part_count(size: int) -> int:
    """How many parts the first pass splits a list into, so that each has a power of `PARTS_PER_PASS` elements."""
    return 2 - size.bit_length() % 2


def _split_parts(lists: jax.Array, parts: int) -> list[jax.Array]:
    return list(lax.split(lists, [lists.shape[1] // parts] * parts, 1))


def _half_clean(parts: list[jax.Array]) -> list[jax.Array]:
    """Bitonic lists from the parts of one, so that no element is larger than any element of a later list."""
    if len(parts) == 1:
        return parts
    half = len(parts) // 2
    low, high = (list(map(pick, parts[:half], parts[half:])) for pick in (lax.min, lax.max))
    return _half_clean(low) + _half_clean(high)
