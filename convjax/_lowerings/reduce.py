"""Every output a sum of its own, all of them taken in one pass over the input: the mirror of `shift`.

For many products per output and few outputs, as the weight gradients of depthwise convolutions have: there the kernel
is the cotangent, as large as the image, and the positions are the taps of the weight. One variadic `lax.reduce` holds
the sums of all positions in registers and reads input and kernel once.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, products, terms

HELD = 13
MADE = 1 << 19
MOST = 128  # positions
ROW = 256  # products that are summed one after the other, or some more; then such sums among themselves
SHORT = 32  # of them, below which each sum costs more than its rounding is worth
LONG = 2048  # products from which the rounding of one such sum is more than 4 times that of XLA's convolution


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    return (_in_rows if _has_rows(spec, w) else _in_turn)(x, w, spec)


def _has_rows(spec, w) -> bool:
    """Whether rows of the kernel, side by side, are as many vectors."""
    return max(spec.rhs_dilation) == 1 and w.shape[-1] >= 12 and (w.ndim == 3 or w.shape[-2] >= 6)


def _in_rows(x, w, spec):
    """The sums of some rows first, each in a vector's lane."""
    wide, shape, dims = _pieces.sum_dtype(x.dtype, spec), spec.output_shape(x.shape, w.shape), spec.dims
    counts, kernel = shape[2:], w.shape[2:]
    groups, batch, outputs = spec.groups, x.shape[0], w.shape[0] // spec.groups
    x, w = _products.mirrored2(x, w, spec)
    images = x.shape[0]
    turns = _pieces.turns(images, w.size * batch, MADE)
    each = images // turns
    lines = min(range(7, 10), key=lambda n: (-kernel[-2] % n, n)) if dims > 1 else 8
    more = -kernel[-2 if dims > 1 else -1] % lines

    def sums(n, y):
        a, b = (
            _pieces.parted(_pieces.sliced(v, (n * each,), (each, *v.shape[1:]))) if turns > 1 else v for v in (x, w)
        )
        a, b = (v.reshape(each, groups, -1, *v.shape[2:]) for v in (a, b))
        axis = max(dims - 2, 0)
        padding = [(low, high + more * (d == axis)) for d, (low, high) in enumerate(spec.padding)]
        a = _pieces.padded(a.astype(wide), padding, first=3)
        b = _pieces.padded(b.astype(wide), [(0, more * (d == axis)) for d in range(dims)], first=3)
        ker = b.shape[3:]
        split = (*ker[:axis], *((-1, lines) if dims > 1 else (lines, -1)), *ker[axis + 1 :])
        full = (each, groups, batch, outputs, *ker)
        b = lax.broadcast_in_dim(b, full, (0, 1, *range(3, len(full)))).reshape(*full[:4], *split)
        parts = []
        for position in itertools.product(*map(range, counts)):
            part = _pieces.seen(a, position, spec.stride, spec.rhs_dilation, ker, first=3)
            part = lax.broadcast_in_dim(part, full, (0, 1, 2, *range(4, len(full)))).reshape(b.shape)
            parts.append(part * b)
        at = 4 + axis + (dims > 1)
        outs = []
        for cut in _pieces.cut(len(parts), -(-len(parts) // HELD)):
            some = parts[cut]
            outs += lax.reduce(
                some, [jnp.zeros((), wide)] * len(some), lambda a, b: [p + q for p, q in zip(a, b, strict=True)], (at,)
            )
        outs = [lax.optimization_barrier(o) for o in outs]
        return y + jnp.stack([o.sum((0, *range(4, o.ndim))) for o in outs], -1)

    y = _pieces.zeros((groups, batch, outputs, math.prod(counts)), wide, x)
    y = sums(0, y) if turns == 1 else lax.fori_loop(0, turns, lambda n, y: sums(_pieces.shared(n), y), y)
    return y.swapaxes(0, 1).reshape(shape).astype(spec.out_dtype or x.dtype)


def _in_turn(x, w, spec):
    wide, groups = _pieces.sum_dtype(x.dtype, spec), spec.groups
    shape, out = spec.output_shape(x.shape, w.shape), spec.out_dtype or x.dtype
    counts, kernel = shape[2:], w.shape[2:]
    x = _pieces.padded(x.astype(wide), spec.padding)
    batch, inputs, outputs = x.shape[0], w.shape[1], w.shape[0] // groups
    x = x.reshape(batch, groups, inputs, *x.shape[2:])
    w = w.reshape(groups, outputs, *w.shape[1:])
    full = (batch, groups, outputs, inputs, *kernel)
    w = lax.broadcast_in_dim(lax.optimization_barrier(w.astype(wide)), full, tuple(range(1, len(full))))
    parts = []
    for position in itertools.product(*map(range, counts)):
        part = _pieces.seen(x, position, spec.stride, spec.rhs_dilation, kernel, first=3)
        parts.append(lax.broadcast_in_dim(part, full, (0, 1, *range(3, len(full)))) * w)
    zeros = [jnp.zeros((), wide)] * len(parts)
    axes: list[int] = []
    length = 1
    for axis in reversed(range(3, len(full))):
        size = full[axis]
        if length * size > LONG:  # of the batch, which is the first, a part would cost a copy
            size = max(n for n in range(1, ROW * 2 // length + 1) if n == 1 or (size % n == 0 and axis > 3))
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
    sums = lax.reduce(parts, zeros, lambda a, b: [p + q for p, q in zip(a, b, strict=True)], axes)
    y = jnp.stack(sums, axis=3)
    y = y.sum(axis=tuple(range(4, y.ndim)), dtype=wide)
    return y.reshape(shape).astype(out)


def refuses(spec, x, w) -> str | None:
    positions = _pieces.positions(spec, x, w)
    if positions > MOST:
        return f"{positions} positions, more than {MOST}"
    return _pieces.undilated(spec)


LOWERING = Lowering("reduce", "one pass over the input for the sums of all positions", run, refuses, products, terms)
