"""XLA's own convolution. It serves every spec, and is the reference for the rest."""

import math

import jax
from jax import lax

from convjax._lowerings._lowering import Lowering


def run(x: jax.Array, w: jax.Array, spec) -> jax.Array:
    layout = lax.ConvDimensionNumbers(*[tuple(range(spec.dims + 2))] * 3)  # (N, C, *n), (O, I, *k), (N, O, *m)
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


def refuses(spec, x, w) -> str | None:
    return None


def multiply_adds(spec, x, w):
    return math.prod(spec.output_shape(x.shape, w.shape)) * math.prod(w.shape[1:])


LOWERING = Lowering("direct", "XLA's own convolution", run, refuses, multiply_adds)
