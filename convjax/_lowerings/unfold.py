"""The windows as columns of a matrix, and one matrix product with the kernel as it lies (im2col).

A copy of the input per tap, which many output channels repay. With stride s and rhs_dilation r, result i meets at tap j
element i s + j r of the padded input, which is element i + (j r - v) / s of phase v = j r mod s: the phases are laid
apart once, and every column is of whole rows. (A product of im2col, which is how Caffe's convolution works.)

A weight gradient is the mirror image: the positions, few there, take the place of the taps.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, products, terms

MOST = 64  # copies of the input
MADE = 1 << 21  # elements of them at a time
NARROW = 64  # columns up to which they are made whole vectors: the part of one takes as long as three of them
FEW = 128  # output channels of a weight gradient up to which it is the cotangent that is transposed, not the result


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    y = (_mirrored if _pieces.mirrored(spec, x, w) else _forward)(x, w, spec, shape)
    return y.reshape(shape).astype(spec.out_dtype or x.dtype)


def _forward(x, w, spec, shape):
    groups, kernel, counts = spec.groups, w.shape[2:], shape[2:]
    w = w.reshape(groups, -1, math.prod(w.shape[1:]))
    turns = _pieces.turns(x.shape[0], shape[0] * math.prod(counts) * groups * w.shape[2], MADE)
    each = x.shape[0] // turns
    places = each * math.prod(counts)
    more = -places % _products.LANES if places < NARROW else 0

    def made(first):
        # The groups are told apart in the loop, which else would copy x.
        part = _products.grouped_apart(_pieces.sliced(x, [first], (each, *x.shape[1:])), spec)
        columns = _columns(part, spec, spec.stride, spec.rhs_dilation, kernel, counts)
        columns = lax.pad(columns, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), (0, more, 0)])
        y = lax.slice_in_dim(_products.grouped(w, columns, spec), 0, places, axis=2).reshape(groups, -1, each, *counts)
        return jnp.moveaxis(y, 2, 0).reshape(each, *shape[1:])

    y = _pieces.zeros(shape, _pieces.sum_dtype(x.dtype, spec), x)
    return _pieces.in_turn(_pieces.starts(x.shape[0], turns), made, y, lambda first: (first,))


def _mirrored(x, w, spec, shape):
    counts = shape[2:]
    groups, batch, outputs, kernel = spec.groups, x.shape[0], w.shape[0] // spec.groups, w.shape[2:]
    x, w = _products.summed_first(x, w, spec)
    images = x.shape[0]
    turns = _pieces.turns(images, math.prod(shape) // outputs * images * math.prod(kernel), MADE)
    each = images // turns
    few = _products.LANES <= outputs <= FEW

    def made(first):
        parts = [_pieces.sliced(a, [first], (each, *a.shape[1:])) for a in (x, w)]
        parts = [_products.grouped_apart(part, spec) for part in parts]
        columns = _columns(parts[0], spec, spec.rhs_dilation, spec.stride, counts, kernel)
        cotangent = parts[1].reshape(*parts[1].shape[:3], -1)
        if few:  # both matrices as a product reads them
            cotangent = _pieces.laid(cotangent.transpose(1, 0, 3, 2)).reshape(groups, -1, outputs)
            return _products.grouped(columns, cotangent, spec, first=True)
        return _products.grouped(jnp.moveaxis(cotangent, 0, 2).reshape(groups, outputs, -1), columns, spec, 2)

    sides = batch * math.prod(counts), outputs
    y = _pieces.zeros((groups, *(sides if few else sides[::-1])), _pieces.sum_dtype(x.dtype, spec), x)
    y = _pieces.loop(_pieces.starts(images, turns), lambda first, y: y + made(first), y)
    y = y.swapaxes(1, 2) if few else y
    return _products.batch_first(y.reshape(groups, outputs, batch, *counts), spec.dims)


def _columns(x, spec, stride, dilation, kernel, counts):
    """(N, G, C, *n) to (G, C *k, N *counts): what each tap of the kernel meets."""
    dims = spec.dims
    lengths = [m + (k - 1) * r // s for m, k, r, s in zip(counts, kernel, dilation, stride, strict=True)]
    around = _pieces.phase_padding(spec.padding, x.shape[3:], lengths, stride)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * 3 + [(*pair, 0) for pair in around])
    # (*phases, G, C, N, *lengths), of which one axis after the other gives its taps, behind C: a copy of few parts
    # is one loop.
    x = lax.optimization_barrier(jnp.moveaxis(_pieces.phased(x, stride), dims, dims + 2))
    for axis in reversed(range(dims)):
        columns = []
        for j in range(kernel[axis]):
            start, phase = divmod(j * dilation[axis], stride[axis])
            row = lax.index_in_dim(x, phase, axis, keepdims=False)
            at = row.ndim - dims + axis
            columns.append(lax.slice_in_dim(row, start, start + counts[axis], axis=at))
        x = lax.optimization_barrier(jnp.stack(columns, axis + 2))
    return x.reshape(x.shape[0], x.shape[1] * math.prod(kernel), -1)


def refuses(spec, x, w) -> str | None:
    if _pieces.empty(spec, x, w):
        return "nothing to multiply"
    copies = min(_pieces.taps(w), _pieces.positions(spec, x, w))
    return f"{copies} copies, more than {MOST}" if copies > MOST else _pieces.undilated(spec)


LOWERING = Lowering("unfold", "a product of the windows as columns", run, refuses, products, terms)
