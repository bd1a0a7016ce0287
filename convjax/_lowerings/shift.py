"""A sum over the taps, each a shifted slice of the input times one weight: all of it one loop over the outputs.

For few products per output and many outputs, as depthwise convolutions and small groups have. The loop reads each
tap's slice at an offset and keeps sum and weights in registers, so the input is read from cache and the output is
written once. More weights than registers hold take more than one such loop, each adding to the sum of the one before.
"""

import itertools
import math

import jax
from jax import lax

from convjax._lowerings import _pieces
from convjax._lowerings._lowering import Lowering, products, terms

MOST = 300  # products per output that are written out: each is an operation, to compile
ALONE = 36  # weights of a single loop: some more than there are registers, for another reads and writes every sum
HELD = 28  # of each where there are several
TAKEN = 32  # of each of many loops, of which the sum holds a register too
CHAIN = 8  # products that wait for one another: each must see the sum before it
LANES = 8  # of a vector of XLA's CPU loops, which take what is left over of a row one by one
SHORT = 10  # elements of a row up to which it is mostly left over


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    parts = 1 if _pieces.empty(spec, x, w) else _pieces.bordered(x, spec.padding, spec.groups, most=3)
    return _pieces.groups_in_turn(_of_groups, x, w, spec, parts)


def _of_groups(x, w, spec):
    wide, groups = _pieces.sum_dtype(x.dtype, spec), spec.groups
    shape, out, inputs = spec.output_shape(x.shape, w.shape), spec.out_dtype or x.dtype, w.shape[1]
    lined = _is_lined(spec, w, shape[2:])
    counts, padding = shape[2:], spec.padding
    if lined:
        padding = _lined(spec, x, shape[-1])
    elif terms(spec, x, w) > ALONE:
        counts, padding = _widened(spec, counts)
    x = x.astype(wide).reshape(x.shape[0], groups, inputs, *x.shape[2:])
    x = _pieces.padded(x, padding, first=3)  # once, not for every tap
    pitch = x.shape[-1]
    if lined:
        x = x.reshape(*x.shape[:-2], -1)
        counts = (*counts[:-2], counts[-2] * pitch)
    w = w.reshape(groups, -1, *w.shape[1:]).astype(wide)
    full = (x.shape[0], *w.shape[:2], *counts)

    def products(x, w) -> list[jax.Array]:
        def product(i, *tap):
            starts = [j * r for j, r in zip(tap, spec.rhs_dilation, strict=True)]
            if lined:
                starts = [*starts[:-2], starts[-2] * pitch + starts[-1]]
            part = _pieces.seen(x[:, :, i], starts, (1,) * len(counts), spec.stride[: len(counts)], counts)
            part = lax.broadcast_in_dim(part, full, (0, 1, *range(3, len(full))))
            return part * lax.broadcast_in_dim(w[(slice(None), slice(None), i, *tap)], full, (1, 2))

        return [product(*at) for at in itertools.product(*map(range, w.shape[2:]))]

    def summed(x, w, y: list[jax.Array], axis: int = 2) -> list[jax.Array]:
        """y, which is one array or none, and the products of x and w: some at a time, along one axis of w, then the
        next, where there are too many to write out."""
        if math.prod(w.shape[2:]) <= MOST:
            return [_pieces.total([*y, _looped(products(x, w))])]
        size, rest, step = w.shape[axis], math.prod(w.shape[axis + 1 :]), (1, *spec.rhs_dilation)[axis - 2]
        some = min(max(TAKEN // rest, 1), size)

        def more(at, some, y):
            part = lax.dynamic_slice_in_dim(x, at * step, x.shape[axis] - (size - some) * step, axis)
            return summed(part, lax.dynamic_slice_in_dim(w, at, some, axis), y, axis + 1)

        if some == size:
            return summed(x, w, y, axis + 1)
        if size % some:
            y = more(size - size % some, size % some, y)
        y = y or [_pieces.zeros(full, wide, x)]
        return [lax.fori_loop(0, size // some, lambda n, y: more(_pieces.shared(n) * some, some, [y])[0], y[0])]

    (y,) = summed(x, w, [])
    if lined:
        y = _pieces.parted(y).reshape(*full[:-1], -1, pitch)
        full = (*full[:3], *shape[2:])
    return lax.slice(y, [0] * len(full), (*full[:3], *shape[2:])).reshape(shape).astype(out)


def _looped(parts: list[jax.Array]) -> jax.Array:
    """Their sum, in as many loops as it needs."""
    y: list[jax.Array] = []
    loops = 1 if len(parts) <= ALONE else math.ceil(len(parts) / HELD)
    for loop in _cut(parts, math.ceil(len(parts) / loops)):
        y = [_pieces.parted(_pieces.total(y), reused=True)] if len(y) > 1 else y
        y = y + [_pieces.total(chain) for chain in _cut(loop, CHAIN)]
    return _pieces.total(y)


def _cut(items: list, length: int) -> list[list]:
    return [items[i : i + length] for i in range(0, len(items), length)]


def _is_lined(spec, w, counts) -> bool:
    """Whether the rows are laid end to end, as a line with what stands between them: one long row for many short."""
    few = math.prod(w.shape[1:]) <= 9  # with more the line is the slower
    return len(counts) > 1 and counts[-1] <= SHORT and max(spec.stride[-2:]) == 1 and few


def _lined(spec, x, count):
    """Zeros between rows serve both of them, where a result fits between; and another row below for the end of the
    last."""
    *rest, (top, bottom), (low, high) = spec.padding
    gap = max(low, high)
    if min(low, high) >= 0 and count <= x.shape[-1] + gap:
        high = gap - low
    return (*rest, (top, bottom + 1), (low, high))


def _widened(spec, counts):
    """Rows of whole vectors, where that adds little."""
    *rest, count = counts
    more = -count % LANES
    if spec.stride[-1] > 1 or 5 * more > count:
        return counts, spec.padding
    low, high = spec.padding[-1]
    return (*rest, count + more), (*spec.padding[:-1], (low, high + more))


def refuses(spec, x, w) -> str | None:
    return _pieces.undilated(spec)


LOWERING = Lowering("shift", "a sum over shifted slices, one per tap", run, refuses, products, terms)
