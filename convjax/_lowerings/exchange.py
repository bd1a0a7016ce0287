"""Input and kernel change places: a dilated input under a large kernel is a large input under a dilated kernel.

The weight gradient of a transposed convolution slides a whole cotangent over the dilated input, to a few positions.
With a the lhs_dilation, and stride and rhs_dilation 1,

    y[q] = sum_t x[t] w[a t - q + low] = z[-q],     z[p] = sum_t w[p + a t + low] x[t]

so z is the convolution of w with the kernel x dilated by a, and no zero is ever multiplied. XLA's own form of it
multiplies them.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings import _pieces
from convjax._lowerings._lowering import Lowering
from convjax._spec import extent


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    exchanged = _exchanged(spec, x, w)
    groups = spec.groups
    # x (B, G I, n) becomes the kernel (G B, I, n), and w (G O, I, k) the input (O, G I, k).
    kernel = x.reshape(x.shape[0], groups, -1, *x.shape[2:]).swapaxes(0, 1)
    kernel = kernel.reshape(-1, *kernel.shape[2:])
    image = w.reshape(groups, -1, *w.shape[1:]).swapaxes(0, 1)
    image = image.reshape(image.shape[0], -1, *image.shape[3:])
    y = lax.rev(convolve(image, kernel, exchanged), tuple(range(2, spec.dims + 2)))
    y = y.reshape(y.shape[0], groups, x.shape[0], *y.shape[2:])  # (O, G, B, q) to (B, G O, q)
    return jnp.moveaxis(y, 0, 2).swapaxes(0, 1).reshape(shape)


def _exchanged(spec, x, w):
    """z is wanted at p = -(m - 1) ... 0, and its window starts at p + low."""
    padding = []
    for n, k, m, (low, _), a in zip(
        x.shape[2:], w.shape[2:], spec.output_shape(x.shape, w.shape)[2:], spec.padding, spec.lhs_dilation, strict=True
    ):
        front = m - 1 - low
        padding.append((front, m + extent(n, a) - 1 - k - front))
    ones = (1,) * spec.dims
    return spec._replace(
        padding=tuple(padding),
        lhs_dilation=ones,
        rhs_dilation=spec.lhs_dilation,
        precision=_pieces.flipped(spec.precision),
    )


def refuses(spec, x, w) -> str | None:
    return _pieces.dilated_alone(spec)


def multiply_adds(spec, x, w):
    return math.prod(spec.output_shape(x.shape, w.shape)) * w.shape[1] * math.prod(x.shape[2:])


LOWERING = Lowering("exchange", "input and kernel change places", run, refuses, multiply_adds, None)
