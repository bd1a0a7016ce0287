"""XLA's own convolution. It supports every spec, and the other algorithms are compared with it."""

import jax
import jax.numpy as jnp
from jax import lax

from convjax._algorithms._taps import swap_channels
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, summands
from convjax._machine import Machine


def run(x: jax.Array, w: jax.Array, spec, machine: Machine | None = None) -> jax.Array:
    x, spec = _predilate(x, w, spec)
    layout = lax.ConvDimensionNumbers(*[tuple(range(spec.dims + 2))] * 3)  # (N, C, *n), (O, I, *k), (N, O, *m)
    if spec.hints.flipped_weight and spec.groups == 1:  # transposed back: XLA then reads the original weight
        w, layout = swap_channels(w), layout._replace(rhs_spec=(1, 0, *layout.rhs_spec[2:]))
    return lax.conv_general_dilated(
        x,
        w,
        window_strides=spec.stride,
        padding=spec.padding,
        lhs_dilation=spec.lhs_dilation,
        rhs_dilation=spec.rhs_dilation,
        dimension_numbers=layout,
        feature_group_count=spec.groups,
        precision=spec.precision,
        preferred_element_type=spec.out_dtype,
    )


def _predilate(x: jax.Array, w: jax.Array, spec):
    """Dilate x beforehand along the axes that XLA would mistake for batch axes.

    XLA's simplifier mistakes an axis for an encoded batch axis if its input is dilated by k, its window has k taps and
    a stride of max(k - 1, 1), and it has no padding. The size of the input does not matter. If another axis then makes
    the simplifier swap input and kernel, it builds a convolution whose window is not its kernel, and aborts the process
    (jax 0.10.2 and 0.12.0, CPU: x 5x3, w 2x5, lhs_dilation 2, padding ((0, 0), (4, 4))).
    """
    dims = zip(w.shape[2:], spec.stride, spec.padding, *spec.dilations, strict=True)
    mistaken = [k == a > 1 and s == max(k - 1, 1) and not any(pads) and r == 1 for k, s, pads, a, r in dims]
    if not any(mistaken):
        return x, spec
    between = [a - 1 if m else 0 for a, m in zip(spec.lhs_dilation, mistaken, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * 2 + [(0, 0, b) for b in between])
    rest = tuple(1 if m else a for a, m in zip(spec.lhs_dilation, mistaken, strict=True))
    return x, spec._replace(lhs_dilation=rest)


def unsupported(spec, x, w) -> str | None:
    return None


ALGORITHM = Kernel("xla", "XLA's own convolution", run, unsupported, definition_multiply_adds, summands)
