"""Every output a sum of its own, all of them taken in one pass over the input: the mirror of `shift`.

For many products per output and few outputs, as the weight gradients of depthwise convolutions have: there the kernel
is the cotangent, as large as the image, and the positions are the taps of the weight. One variadic `lax.reduce` holds
the sums of many positions in registers and reads input and kernel once.

LLVM may not reorder a sum, so that of a row's elements is one addition after the other. Seven or so rows are summed
first, element by element: a loop so short is written out, and the one over the elements becomes one of vectors. Some
images and groups at a time, so that what is read for the next positions is still in cache.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, products, terms

MOST = 128  # positions
HELD = 13  # sums of one loop, which are held in registers
LINES = 7, 8, 9  # rows of the kernel that are summed in lanes
WIDE = 12  # elements of such a row, or more: mostly whole vectors
MADE = 1 << 21  # elements of x, of w and of the sums in lanes at a time, so that they stay in cache
ROW = 256  # products that are summed one after the other, or some more; then such sums among themselves
SHORT = 32  # of them, below which each sum costs more than its rounding is worth
LONG = 2048  # products from which the rounding of one such sum is more than 4 times that of XLA's convolution


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    wide, shape, groups = _pieces.sum_dtype(x.dtype, spec), spec.output_shape(x.shape, w.shape), spec.groups
    batch, outputs, kernel = x.shape[0], w.shape[0] // groups, w.shape[2:]
    lines = [] if _pieces.empty(spec, x, w) else _lines(kernel)
    dtype = x.dtype
    x, w = map(_pieces.carried, _products.summed_first(x, w, spec))
    # So many images and groups at a time, or outputs of the only group.
    most = max(x.size, w.size) * (2 + math.prod(shape[2:]) // LINES[0])
    turns = _pieces.turns(w.shape[0], most, MADE) if lines else 1
    parts = _pieces.turns(groups if groups > 1 else outputs, most // turns, MADE) if lines else 1
    whole, images = turns * parts == 1, w.shape[0] // turns
    some, each = (groups // parts, outputs) if groups > 1 else (1, outputs // parts)

    def part(v, n, image, channels):
        if not whole:
            v = _pieces.sliced(v, (image * images, n * channels), (images, channels, *v.shape[2:]))
        v = _pieces.widened(v, dtype, wide)
        return (v if whole else _pieces.parted(v)).reshape(images, some, channels // some, *v.shape[2:])

    def sums(n, image, y):
        a, b = part(x, n if groups > 1 else 0, image, some * batch), part(w, n, image, some * each)
        pieces = _in_lines(a, b, spec, shape[2:], lines) if lines else [_in_order(a, b, spec, shape[2:])]
        # (I, G, B, O, ...), all but the outputs of which are summed
        pieces = [[part.sum((0, *range(4, part.ndim)), dtype=wide) for part in parts] for parts in pieces]
        more = _pieces.total([jnp.stack(parts, -1) for parts in pieces])
        start = (n * some,) if groups > 1 else (0, 0, n * each)
        return _pieces.written(y, _pieces.sliced(y, start, more.shape) + more, start)

    y = _pieces.zeros((groups, batch, outputs, math.prod(shape[2:])), wide, x)
    turn = lambda n, image, y: sums(_pieces.shared(n), _pieces.shared(image), y)  # noqa: E731
    y = _pieces.loop([*itertools.product(range(parts), range(turns))], sums if whole else turn, y)
    return y.swapaxes(0, 1).reshape(shape).astype(spec.out_dtype or dtype)


def _lines(kernel) -> list[tuple[int, int, int]]:
    """Which rows of the kernel, or parts of its one row, are summed in a vector's lanes, from one to another, and how
    many in each: all of them, what is left over apart, or none."""
    size = kernel[-2:][0]
    if kernel[-1] < WIDE * (LINES[0] if len(kernel) == 1 else 1) or size < LINES[0]:
        return []
    lines = min(LINES, key=lambda n: (size % n, -n))
    whole = size - size % lines
    return [(0, whole, lines)] + ([(whole, size, size - whole)] if whole < size else [])


def _in_lines(x, w, spec, counts, pieces):
    """(I, G, B, *n) and (I, G, O, *k) to a sum of each lane (I, G, B, O, ...) for every position, of every piece."""
    dims, at, steps, kernel = spec.dims, max(spec.dims - 2, 0), spec.rhs_dilation, w.shape[3:]
    # The phases of a stride are laid apart, so that a tap of the kernel's mirror meets whole rows.
    lengths = [k + (m - 1) * s // r for k, m, s, r in zip(kernel, counts, spec.stride, steps, strict=True)]
    x = _pieces.padded(x, _pieces.phase_padding(spec.padding, x.shape[3:], lengths, steps), first=3)
    x = _pieces.phased(x, steps)
    x = lax.optimization_barrier(x) if max(steps) > 1 else x

    def sums(first, last, lines):
        some = lax.slice_in_dim(w, first, last, axis=3 + at)
        full = (*some.shape[:2], x.shape[dims + 2], *some.shape[2:])
        # A row of one axis is cut, so that each lane sums elements that are far apart.
        split = (lines, -1) if dims == 1 else (-1, lines)
        split = (*full[: 4 + at], *split, *full[5 + at :])
        some = lax.broadcast_in_dim(some, full, (0, 1, *range(3, len(full)))).reshape(split)
        parts = []
        for position in itertools.product(*map(range, counts)):
            starts = [divmod(i * s, r) for i, s, r in zip(position, spec.stride, steps, strict=True)]
            tap, phase = [t + first * (axis == at) for axis, (t, _) in enumerate(starts)], tuple(v for _, v in starts)
            seen = _pieces.seen(x[phase], tap, (1,) * dims, (1,) * dims, full[4:], 3)
            parts.append(lax.broadcast_in_dim(seen, full, (0, 1, 2, *range(4, len(full)))).reshape(split) * some)
        held = [parts[cut] for cut in _pieces.cut(len(parts), math.ceil(len(parts) / HELD))]
        return [lax.optimization_barrier(y) for some in held for y in _at_once(some, [4 + at + (dims > 1)])]

    return [sums(*piece) for piece in pieces]


def _at_once(parts: list[jax.Array], axes) -> list[jax.Array]:
    """The sum of each along some axes, all in one pass."""
    zeros = [jnp.zeros((), parts[0].dtype)] * len(parts)
    return list(lax.reduce(parts, zeros, lambda a, b: [p + q for p, q in zip(a, b, strict=True)], axes))


def _in_order(x, w, spec, counts):
    """The same, with the elements of rows summed one after the other."""
    x, kernel = _pieces.padded(x, spec.padding, first=3), w.shape[3:]
    full = (*w.shape[:2], x.shape[2], w.shape[2], *kernel)
    w = lax.broadcast_in_dim(lax.optimization_barrier(w), full, (0, 1, *range(3, len(full))))
    parts = []
    for position in itertools.product(*map(range, counts)):
        seen = _pieces.seen(x, position, spec.stride, spec.rhs_dilation, kernel, first=3)
        parts.append(lax.broadcast_in_dim(seen, full, (0, 1, 2, *range(4, len(full)))) * w)
    axes: list[int] = []
    length = 1
    for axis in (*reversed(range(4, len(full))), 0):
        size = full[axis]
        if length * size > LONG:  # of the images, which stand first, a part would cost a copy
            size = max(n for n in range(1, ROW * 2 // length + 1) if n == 1 or (size % n == 0 and axis))
            size = size if length * size >= SHORT else full[axis]
        if 1 < size < full[axis]:
            parts = [part.reshape(*part.shape[:axis], -1, size, *part.shape[axis + 1 :]) for part in parts]
            axes = [axis + 1, *[later + 1 for later in axes]]
        if size < full[axis]:
            break
        axes.append(axis)
        length *= size
        if length >= ROW:
            break
    sums = _at_once(parts, axes)
    return [jnp.expand_dims(y, 0) for y in sums] if 0 in axes else sums


def refuses(spec, x, w) -> str | None:
    positions = _pieces.positions(spec, x, w)
    if positions > MOST:
        return f"{positions} positions, more than {MOST}"
    return _pieces.undilated(spec)


LOWERING = Lowering("reduce", "one pass over the input for the sums of all positions", run, refuses, products, terms)
