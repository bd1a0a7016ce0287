"""A matrix product, for which XLA has its best loops.

Where the taps outnumber nothing, 1x1 kernels and patches, the input is the matrix as it lies. Otherwise the taps of an
axis are either gathered (a copy of the input per tap stands beside the others as channels, im2col) or summed (the
product gives every tap its own output channels, which are shifted and added). Gathering costs copies of the input,
summing copies of the output: with the last axis gathered and the others summed a 3x3 kernel copies three times each
way, not nine.

A weight gradient is the mirror image: few positions take the place of the taps, the last axis of x is gathered once
per position, and on the others the kernel is set at each position instead.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, products, terms

MOST = 64  # copies that are gathered or summed
COPIED = 5 << 19  # elements of them at a time


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    if _is_mirrored(spec, x, w):
        return _mirrored(x, w, spec).reshape(shape).astype(spec.out_dtype or x.dtype)
    _, copied = _summed(spec, x, w)
    parts = _pieces.turns(spec.groups, copied, 3 * (x.size + w.size)) if copied > _pieces.SMALL else 1
    return _pieces.groups_in_turn(_of_groups, x, w, spec, parts)


def _of_groups(x, w, spec):
    return _forward(x, w, spec).reshape(spec.output_shape(x.shape, w.shape)).astype(spec.out_dtype or x.dtype)


def _is_mirrored(spec, x, w) -> bool:
    if _pieces.patches(spec, w.shape[2:]):
        return False
    if max(spec.rhs_dilation) > 1 and _pieces.between(spec, spec.output_shape(x.shape, w.shape)[2:]):
        return True
    return _pieces.mirrored(spec, x, w)


def _summed(spec, x, w) -> tuple[list[int], int]:
    """The axes whose taps (mirrored: positions) are summed (set), the others being gathered, to copy the least; and how
    many elements are copied."""
    counts = spec.output_shape(x.shape, w.shape)[2:]
    if _is_mirrored(spec, x, w):
        sizes, steps, sides = counts, spec.rhs_dilation, (x.shape[0], w.shape[0] // spec.groups)
        each = w.shape[1] * spec.groups * math.prod(w.shape[2:])
    else:
        sizes, steps, sides = w.shape[2:], spec.stride, (w.shape[1], w.shape[0] // spec.groups)
        each = x.shape[0] * spec.groups * math.prod(counts)
    free = [axis for axis in range(spec.dims) if sizes[axis] > 1 and steps[axis] == 1]

    def copied(summed) -> int:
        times = math.prod(sizes[axis] for axis in summed)
        return sum(side * n for side, n in zip(sides, (math.prod(sizes) // times, times), strict=True) if n > 1)

    choices = [list(axes) for n in reversed(range(len(free) + 1)) for axes in itertools.combinations(free, n)]
    summed = min(choices, key=copied)
    return summed, each * copied(summed)


def _forward(x, w, spec):
    counts = spec.output_shape(x.shape, w.shape)[2:]
    groups, kernel, dims, (summed, _) = spec.groups, w.shape[2:], spec.dims, _summed(spec, x, w)
    beside = math.prod(kernel) > 1 and _pieces.patches(spec, kernel)
    # Along a summed axis the products are padded, in the loop that adds them, which copies nothing.
    x = _pieces.padded(x, [(0, 0) if axis in summed and not beside else p for axis, p in enumerate(spec.padding)])
    x = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    w = w.reshape(groups, -1, *w.shape[1:])
    if beside:
        stop = [m * k for m, k in zip(counts, kernel, strict=True)]
        x = lax.slice(x, [0] * x.ndim, (*x.shape[:3], *stop))
        x = x.reshape(*x.shape[:3], *[n for pair in zip(counts, kernel, strict=True) for n in pair])
        x = x.transpose(0, 1, 2, *range(4, x.ndim, 2), *range(3, x.ndim, 2))
        x = x.reshape(*x.shape[:2], -1, math.prod(counts))
        return _products.product(w.reshape(*w.shape[:2], -1), x, spec)

    gathered = [axis for axis in range(dims) if axis not in summed]
    sizes = [x.shape[3 + axis] if axis in summed else counts[axis] for axis in range(dims)]
    taps = [1 if axis in summed else kernel[axis] for axis in range(dims)]
    stride = [1 if axis in summed else s for axis, s in enumerate(spec.stride)]
    x = _pieces.gathered(x, taps, spec.rhs_dilation, stride, sizes)
    # (G, summed taps, O, gathered taps, I): a row per tap that is summed, a column per tap that is gathered
    w = w.transpose(0, *[3 + axis for axis in summed], 1, *[3 + axis for axis in gathered], 2)
    rows = [kernel[axis] for axis in summed]
    y = _products.product(
        w.reshape(groups, math.prod(rows) * w.shape[1 + len(summed)], -1), x.reshape(*x.shape[:3], -1), spec
    )
    if not summed:
        return y
    y = y.reshape(y.shape[0], groups, math.prod(rows), -1, *sizes)
    parts = []
    for row, at in enumerate(itertools.product(*map(range, rows))):
        around = [(0, 0, 0)] * y[:, :, row].ndim
        for axis, tap in zip(summed, at, strict=True):
            low = spec.padding[axis][0] - tap * spec.rhs_dilation[axis]
            around[3 + axis] = (low, counts[axis] - low - sizes[axis], 0)
        parts.append(lax.pad(y[:, :, row], jnp.zeros((), y.dtype), around))
    return _pieces.total(parts)


def _mirrored(x, w, spec):
    counts, groups = spec.output_shape(x.shape, w.shape)[2:], spec.groups
    summed, copied = _summed(spec, x, w)
    # Not where the copies are not so many more than the operands, whose parts are copied too.
    few = _pieces.between(spec, counts) or 2 * copied <= 5 * (x.size + w.size)
    turns = 1 if few else _pieces.turns(w.shape[1], copied, min(COPIED, 3 * (x.size + w.size)))
    zeros = _pieces.zeros((x.shape[0], groups, w.shape[0] // groups, *counts), _pieces.sum_dtype(x.dtype, spec), x)
    x, w = _products.summed_first(x, w, spec)
    size = x.shape[0] // turns

    def part(a, first):
        a = a if turns == 1 else _pieces.parted(_pieces.sliced(a, (first,), (size, *a.shape[1:])))
        return _products.grouped_apart(a, spec)

    if turns == 1:
        return _of_images(part(x, 0), part(w, 0), spec, counts, summed)
    more = lambda n, y: y + _of_images(part(x, n), part(w, n), spec, counts, summed)  # noqa: E731
    return _pieces.loop(_pieces.starts(x.shape[0], turns), more, zeros if groups > 1 else zeros[:, 0])


def _of_images(x, w, spec, counts, summed):
    """(I, G, B, *n) and (I, G, O, *k) to (B, [G,] O, *counts)."""
    groups, kernel, dims = spec.groups, w.shape[3:], spec.dims
    x = _pieces.padded(x, spec.padding, first=3)
    if _pieces.between(spec, counts):
        return _contract_patches(w, x, spec, counts)
    # Along a summed axis the kernel is set at each position of an axis as long as the window's whole way.
    lengths = [
        (counts[axis] - 1) * spec.stride[axis] + (kernel[axis] - 1) * spec.rhs_dilation[axis] + 1
        for axis in range(dims)
    ]
    sizes = [lengths[axis] if axis in summed else kernel[axis] for axis in range(dims)]
    kept = [axis for axis in range(dims) if axis not in summed]
    rows, columns = (math.prod(counts[axis] for axis in axes) for axes in (summed, kept))
    outputs, batch = w.shape[2], x.shape[2]
    starts = [n - k for n, k in zip(sizes, kernel, strict=True)]  # of the kernel at the first position, once padded
    short = groups > 1 and math.prod(sizes) < _products.LONG
    if short:  # a copy of its own costs less than what masks a padded element in a loop that transposes
        x, w = _pieces.parted(x), _pieces.parted(_pieces.padded(w, [(n, n) for n in starts], first=3))

    def operands(x, w):
        """(I, G, R O, J) and (I, G, Q B, J), of R positions that are set and Q that are gathered."""
        copies = []
        for position in itertools.product(*[range(counts[axis] if axis in summed else 1) for axis in range(dims)]):
            front = [i * s for i, s in zip(position, spec.stride, strict=True)]
            if short:
                tap = [n - f for n, f in zip(starts, front, strict=True)]
                copies.append(_pieces.seen(w, tap, (1,) * dims, (1,) * dims, sizes, first=3))
            else:
                around = [(f, n - f, 0) for f, n in zip(front, starts, strict=True)]
                copies.append(lax.pad(w, jnp.zeros((), w.dtype), [(0, 0, 0)] * 3 + around))
        w = copies[0] if len(copies) == 1 else jnp.concatenate(copies, 2)
        x = _pieces.gathered(
            x, [1 if axis in summed else counts[axis] for axis in range(dims)], spec.stride, spec.rhs_dilation, sizes
        )
        return w.reshape(*w.shape[:3], -1), x.reshape(*x.shape[:3], -1)

    if short:
        alone = _pieces.alone(rows * outputs, columns * batch, x.shape[0] * math.prod(sizes))
        parts = _pieces.cut(groups, 2 if alone else 1)
        y = _contract_groups([operands(x[:, part], w[:, part]) for part in parts], spec)
    else:
        w, x = operands(x, w)
        y = _products.contract(w, x, spec)
    y = y.reshape(groups, *[counts[axis] for axis in summed], outputs, *[counts[axis] for axis in kept], batch)
    places = [1 + summed.index(axis) if axis in summed else 2 + len(summed) + kept.index(axis) for axis in range(dims)]
    return _products.batch_first(y.transpose(0, 1 + len(summed), y.ndim - 1, *places), dims)


def _contract_patches(w, x, spec, counts):
    for axis, (k, r, m) in enumerate(zip(w.shape[3:], spec.rhs_dilation, counts, strict=True)):
        at = 3 + 2 * axis  # (k - 1) r + m elements hold k taps at m positions
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, k * r - x.shape[at] if a == at else 0, 0) for a in range(x.ndim)])
        x = lax.slice_in_dim(x.reshape(*x.shape[:at], k, r, *x.shape[at + 1 :]), 0, m, axis=at + 1)
    dims = spec.dims
    x = x.transpose(0, 1, 2, *range(4, 4 + 2 * dims, 2), *range(3, 3 + 2 * dims, 2))
    inputs, groups, batch = x.shape[:3]
    x = x.reshape(inputs, groups, batch * math.prod(counts), -1)
    y = _products.contract(w.reshape(*w.shape[:3], -1), x, spec, copied=math.prod(counts) > 1)
    return _products.batch_first(y.reshape(groups, -1, batch, *counts), dims)


def _contract_groups(pairs, spec):
    """The same of some groups each, whose rows are laid out as products read them."""
    wide = _pieces.sum_dtype(pairs[0][0].dtype, spec)
    flipped = _pieces.flipped(spec.precision)

    def laid(w, x):
        w, x = w.transpose(1, 2, 0, 3), x.transpose(1, 0, 3, 2)
        return lax.optimization_barrier((w.reshape(*w.shape[:2], -1), x.reshape(x.shape[0], -1, x.shape[3])))

    def products(pairs):
        return [lax.dot_general(w, x, (((2,), (1,)), ((0,), (0,))), flipped, wide) for w, x in pairs]

    y, zeros = _pieces.beside(products, [laid(*pair) for pair in pairs])
    return _pieces.after(zeros, jnp.concatenate(y))


def refuses(spec, x, w) -> str | None:
    if _pieces.empty(spec, x, w):
        return "nothing to multiply"
    counts = spec.output_shape(x.shape, w.shape)[2:]
    copies = math.prod(counts if _is_mirrored(spec, x, w) else w.shape[2:])
    alone = _pieces.between(spec, counts) if _is_mirrored(spec, x, w) else _pieces.patches(spec, w.shape[2:])
    if copies > MOST and not alone:
        return f"{copies} copies, more than {MOST}"
    return _pieces.undilated(spec)


def local(spec, x, w) -> bool:
    """Not where the kernel is set at each position among zeros, which multiply what the position does not see."""
    return not _is_mirrored(spec, x, w)


LOWERING = Lowering("matmul", "a matrix product of gathered or summed taps", run, refuses, products, terms, local=local)
