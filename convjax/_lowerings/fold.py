"""A dilated input: one matrix product gives every element's share of every result it reaches, and these are added up.

Transposed convolutions and the input gradients of strided ones, of many channels. With lhs_dilation a, element q meets
tap j in result a q + low - j: phase v of the results, a u + v, sums the products of taps j = low - v mod a, each moved
by (v + j - low) / a. No zero between the elements is multiplied, nor one around them. (A product and col2im, which is
how Caffe's deconvolution works.)
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
    batch, groups, kernel = x.shape[0], spec.groups, w.shape[2:]
    x = x.reshape(batch, groups, -1, *x.shape[2:])
    w = _pieces.parted(w).reshape(groups, -1, *w.shape[1:])
    outputs = w.shape[1]
    w = jnp.moveaxis(w, 2, -1).reshape(groups, -1, w.shape[2])
    turns = _pieces.turns(batch, x.size // x.shape[2] * w.shape[1], MADE)
    each = batch // turns

    def made(turn):
        part = _pieces.sliced(x, [turn * each], (each, *x.shape[1:]))
        images = lax.optimization_barrier(jnp.moveaxis(part, 0, 2)).reshape(*w.shape[::2], -1)
        y = _products.grouped(w, images, spec)
        y = y.reshape(groups, outputs, *kernel, each, *x.shape[3:])
        return _folded(y, spec, shape[2:]).reshape(each, *shape[1:]).astype(spec.out_dtype or x.dtype)

    y = _pieces.zeros(shape, spec.out_dtype or x.dtype, x)
    return _pieces.in_turn([turns], made, y, lambda turn: [turn * each])


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
    return _pieces.dilated_alone(spec)


def multiply_adds(spec, x, w):
    return x.shape[0] * math.prod(x.shape[2:]) * math.prod(w.shape)


LOWERING = Lowering(
    "fold", "a product for every element and tap, added where they meet", run, refuses, multiply_adds, terms
)
