"""Every output a sum of its own, all of them taken in one pass over the input: the mirror of `shift`.

For many products per output and few outputs, as the weight gradients of depthwise convolutions have: there the kernel
is the cotangent, as large as the image, and the positions are the taps of the weight. One variadic `lax.reduce` holds
the sums of all positions in registers and reads input and kernel once.
"""

import itertools

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces
from convjax._lowerings._lowering import Lowering, products, terms

MOST = 128  # positions
ROW = 256  # products that are summed one after the other, or some more; then such sums among themselves
SHORT = 32  # of them, below which each sum costs more than its rounding is worth
LONG = 2048  # products from which the rounding of one such sum is more than 4 times that of XLA's convolution


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
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
