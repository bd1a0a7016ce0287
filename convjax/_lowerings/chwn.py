"""The images innermost, in the layout CHWN, where a tap's slice starts at a whole vector.

Loops over rows of an image read its taps at every offset, half of the vectors across two cache lines, and a short row
ends in half of one. With some images beside one another as the last axis, which the taps pass over, every row is long
and every slice lies as its vectors do. The last two axes are one where no stride or dilation keeps them apart. (The
layout of A. Krizhevsky's cuda-convnet.)

A weight gradient sums over the images: there they join the taps.
"""

import math

import jax
import jax.numpy as jnp

from convjax._lowerings import _pieces, _products
from convjax._lowerings._lowering import Lowering, products

VECTOR = 8  # numbers in a vector of XLA's CPU loops
MADE = 1 << 21  # elements of x and of the result at a time, so that they stay in cache while they are turned


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    if _pieces.mirrored(spec, x, w):
        x = jnp.moveaxis(_products.grouped_apart(x, spec), 2, -1)
        w = jnp.moveaxis(w, 1, -1)[:, None]
        return convolve(*_innermost(x, w, spec, images=False)).reshape(shape)

    # Some groups at a time, where borders are most of what is turned.
    parts = _pieces.bordered(x, spec.padding, spec.groups, most=2.5)
    return _pieces.groups_in_turn(lambda x, w, spec: _of_groups(x, w, spec, convolve), x, w, spec, parts)


def _of_groups(x, w, spec, convolve):
    shape = spec.output_shape(x.shape, w.shape)
    turns = _pieces.turns(x.shape[0] // math.gcd(x.shape[0], VECTOR), x.size + math.prod(shape), MADE)
    images = x.shape[0] // turns

    def made(first):
        part = _pieces.sliced(x, (_pieces.shared(first),), (images, *x.shape[1:])) if turns > 1 else x
        part = part.reshape(images, -1).T.reshape(1, *x.shape[1:], images)
        y = _pieces.parted(convolve(*_innermost(part, w[..., None], spec, images=True)))
        return y.reshape(-1, images).T.reshape(images, *shape[1:])

    y = _pieces.zeros(shape, spec.out_dtype or x.dtype, x)
    return _pieces.in_turn(_pieces.starts(x.shape[0], turns), made, y, lambda first: (first,))


def _innermost(x, w, spec, images: bool):
    """x (B, C, *n, N) and w (O, I, *k, 1 or N) as operands of a spec: with a last axis for N, or with the last two as
    one of N times the length, along which the positions of images, or the taps of a sum over them, lie side by side."""
    lanes, step = x.shape[-1], spec.stride[-1] if images else spec.rhs_dilation[-1]
    if max(*spec.lhs_dilation, step) > 1:
        stride, (lhs, rhs) = spec.stride, spec.dilations
        padding = (*spec.padding, (0, 0))
        return x, w, spec._replace(stride=(*stride, 1), padding=padding, lhs_dilation=(*lhs, 1), rhs_dilation=(*rhs, 1))
    # The border is laid while the axes are two: of one, each element would be divided to tell which it is.
    x = _pieces.parted(_pieces.padded(x, spec.padding))
    x, w = (a.reshape(*a.shape[:-2], -1) for a in (x, w))
    spec = spec._replace(padding=((0, 0),) * spec.dims)
    if images:
        return x, w, spec._replace(rhs_dilation=(*spec.rhs_dilation[:-1], spec.rhs_dilation[-1] * lanes))
    return x, w, spec._replace(stride=(*spec.stride[:-1], spec.stride[-1] * lanes))


def refuses(spec, x, w) -> str | None:
    if _pieces.empty(spec, x, w):
        return "nothing to sum"
    images = w.shape[1] if _pieces.mirrored(spec, x, w) else x.shape[0]
    return "one image" if images == 1 else None


LOWERING = Lowering("chwn", "the images innermost, so that every row is long", run, refuses, products, None)
