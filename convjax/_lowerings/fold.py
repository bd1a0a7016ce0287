"""One matrix product gives every element's share of every result it reaches, and these are added up.

For dilated inputs of many channels, as transposed convolutions and the input gradients of strided ones have; and for
input gradients of few positions, whose heavy weight it takes as it lay before it was turned.

With lhs_dilation a, element q meets tap j in result a q + low - j: phase v of the results, a u + v, sums the products
of taps j = low - v mod a, each moved by (v + j - low) / a. No zero between the elements is multiplied, nor one around
them. (A product and col2im, which is how Caffe's deconvolution works.)
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, terms

MOST = 64  # taps, whose products are added up
MADE = 1 << 21  # products at a time


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    batch = x.shape[0]
    # With more channels than elements of each, the weight is slower to turn than its products are to transpose.
    heavy = w.shape[1] > batch * math.prod(x.shape[2:])
    products = (_of_turned_back if spec.turned and spec.groups == 1 and heavy else _of_weight)(w, spec)
    x = x.reshape(batch, spec.groups, -1, *x.shape[2:])
    turns = _pieces.turns(batch, math.prod(x.shape[3:]) * batch * math.prod(w.shape) // w.shape[1], MADE)
    each = batch // turns

    def made(first):
        y = products(_pieces.sliced(x, [first], (each, *x.shape[1:])))
        return _folded(y, spec, shape[2:]).reshape(each, *shape[1:]).astype(spec.out_dtype or x.dtype)

    y = _pieces.zeros(shape, spec.out_dtype or x.dtype, x)
    return _pieces.in_turn(_pieces.starts(batch, turns), made, y, lambda first: (first,))


def _of_weight(w, spec):
    """The function of x (N, G, I, *n) that makes its products (G, O, *k, N, *n) with w."""
    groups, (_, inputs, *kernel) = spec.groups, w.shape
    w = _pieces.parted(w).reshape(groups, -1, *w.shape[1:])
    w = jnp.moveaxis(w, 2, -1).reshape(groups, -1, inputs)

    def products(x):
        images = lax.optimization_barrier(jnp.moveaxis(x, 0, 2)).reshape(groups, inputs, -1)
        return _products.grouped(w, images, spec).reshape(groups, -1, *kernel, x.shape[0], *x.shape[3:])

    return products


def _of_turned_back(w, spec):
    """The same, of one group, by the weight as it lay before it was turned: XLA sees that this undoes that, so it is
    only read."""
    outputs, inputs, *kernel = w.shape
    taps = [axis for axis, k in enumerate(kernel, 2) if k > 1]
    w = lax.rev(w.swapaxes(0, 1), taps).reshape(inputs, -1)

    def products(x):
        images = _pieces.laid(jnp.moveaxis(x[:, 0], 1, -1)).reshape(-1, inputs)
        y = lax.dot_general(images, w, (((1,), (0,)), ((), ())), spec.precision, _pieces.sum_dtype(x.dtype, spec))
        y = _pieces.parted(lax.optimization_barrier(y).T)  # or XLA swaps the operands
        return lax.rev(y.reshape(1, outputs, *kernel, x.shape[0], *x.shape[3:]), taps)

    return products


def _folded(y, spec, counts):
    """(G, O, *k, N, *n) to (N, G, O, *counts)."""
    dims, dilation = spec.dims, spec.lhs_dilation
    kernel, lengths = y.shape[2 : 2 + dims], y.shape[3 + dims :]
    positions = [-(-m // a) for m, a in zip(counts, dilation, strict=True)]
    zero = jnp.zeros((), y.dtype)
    phases = []
    for phase in itertools.product(*map(range, dilation)):
        axes = zip(phase, spec.padding, dilation, kernel, strict=True)
        taps = [[(j, (v + j - low) // a) for j in range((low - v) % a, k, a)] for v, (low, _), a, k in axes]
        parts = []
        for at in itertools.product(*taps):
            moved = [(-shift, m - n + shift, 0) for (_, shift), m, n in zip(at, positions, lengths, strict=True)]
            parts.append(lax.pad(y[(slice(None), slice(None), *[j for j, _ in at])], zero, [(0, 0, 0)] * 3 + moved))
        phases.append(
            _pieces.total(parts) if parts else _pieces.zeros((*y.shape[:2], y.shape[2 + dims], *positions), y.dtype, y)
        )
    y = jnp.stack(phases).reshape(*dilation, *phases[0].shape)
    y = y.transpose(dims + 2, dims, dims + 1, *[axis for i in range(dims) for axis in (dims + 3 + i, i)])
    y = lax.optimization_barrier(y).reshape(*y.shape[:3], *[a * m for a, m in zip(dilation, positions, strict=True)])
    return lax.slice(y, [0] * y.ndim, (*y.shape[:3], *counts))


def refuses(spec, x, w) -> str | None:
    if _pieces.empty(spec, x, w):
        return "nothing to multiply"
    if _pieces.taps(w) > MOST:
        return f"{_pieces.taps(w)} taps, more than {MOST}"
    return "a stride or a dilated kernel" if any(n > 1 for n in (*spec.stride, *spec.rhs_dilation)) else None


def multiply_adds(spec, x, w):
    return x.shape[0] * math.prod(x.shape[2:]) * math.prod(w.shape)


LOWERING = Lowering(
    "fold", "a product for every element and tap, added where they meet", run, refuses, multiply_adds, terms
)
