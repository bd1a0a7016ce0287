"""Input and kernel change places: a dilated input under a large kernel is a large input under a dilated kernel.

The weight gradient of a transposed convolution slides a whole cotangent over the dilated input, to a few positions.
With s the stride, a the lhs_dilation, r the rhs_dilation, and w' the kernel with r - 1 zeros between its taps,

    y[q] = sum_t x[t] w'[a t - q s + low] = z[-q],     z[p] = sum_t w'[p s + a t + low] x[t]

so z is a convolution of w, dilated by r, with the kernel x, dilated by a. If r is 1, no zero is multiplied. XLA's own
convolution multiplies the zeros.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms.algorithm import Rewrite, never_local
from convjax._machine import Machine
from convjax._spec import extent


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    groups = spec.groups
    # x (B, G I, n) becomes the kernel (G B, I, n), and w (G O, I, k) the input (O, G I, k).
    kernel = x.reshape(x.shape[0], groups, -1, *x.shape[2:]).swapaxes(0, 1)
    kernel = kernel.reshape(-1, *kernel.shape[2:])
    image = w.reshape(groups, -1, *w.shape[1:]).swapaxes(0, 1)
    image = image.reshape(image.shape[0], -1, *image.shape[3:])
    y = lax.rev(convolve(image, kernel, _swapped(spec, x, w)), tuple(range(2, spec.dims + 2)))
    y = y.reshape(y.shape[0], groups, x.shape[0], *y.shape[2:])  # (O, G, B, q) to (B, G O, q)
    return jnp.moveaxis(y, 0, 2).swapaxes(0, 1).reshape(shape)


def _swapped(spec, x, w):
    """The spec of z. It is computed at p = -(m - 1), ..., 0, where its window starts at p s + low."""
    padding = []
    counts = spec.output_shape(x.shape, w.shape)[2:]
    axes = zip(x.shape[2:], w.shape[2:], counts, spec.stride, spec.padding, *spec.dilations, strict=True)
    for n, k, m, s, (low, _), a, r in axes:
        front = (m - 1) * s - low
        padding.append((front, extent(m, s) + extent(n, a) - 1 - extent(k, r) - front))
    return spec._replace(
        padding=tuple(padding),
        lhs_dilation=spec.rhs_dilation,
        rhs_dilation=spec.lhs_dilation,
        precision=_spec.swap_precision(spec.precision),
        hints=spec.hints._replace(layer_weight=_SWAPPED_WEIGHT[spec.hints.layer_weight]),
    )


_SWAPPED_WEIGHT = {"kernel": "input", "input": "kernel", "result": "result", None: None}


def unsupported(spec, x, w) -> str | None:
    if spec.hints.layer_weight == "input":  # it becomes the kernel
        return "nothing to multiply" if _spec.is_empty(spec, x, w) else None
    if all(a == 1 for a in spec.lhs_dilation):
        return "the input is not dilated"
    return "a dilated kernel" if any(r > 1 for r in spec.rhs_dilation) else None


def multiply_adds(spec, x, w):
    return math.prod(spec.output_shape(x.shape, w.shape)) * w.shape[1] * math.prod(x.shape[2:])


def pays(p) -> bool:
    """For the weight gradient of a transposed convolution.

    4x4, stride 2, 128 to 64 channels takes 7.3 ms instead of 580.
    """
    return p.input_dilated and p.gradient_like and max(p.spec.stride) == 1


ALGORITHM = Rewrite(
    "swap_operands", "input and kernel change places", run, unsupported, multiply_adds, rank=6, is_local=never_local
)
