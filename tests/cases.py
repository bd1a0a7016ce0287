"""The cases that the tests run, and that the benchmarks will: one list of named convolutions."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import subjaxprs

import convjax
from convjax import _spec
from convjax._spec import ConvSpec, Options


class Case(NamedTuple):
    """A call of `convjax.conv`, or of `convjax.conv_transpose` where `transpose` is set."""

    name: str
    x: tuple[int, ...]
    weight: tuple[int, ...]
    options: dict[str, Any] = {}  # noqa: RUF012 (never written to)
    transpose: bool = False

    @property
    def function(self):
        return convjax.conv_transpose if self.transpose else convjax.conv

    def __call__(self, x, weight, bias=None, **more):
        return self.function(x, weight, bias, **self.options, **more)

    def spec(self) -> ConvSpec:
        """What the primitive is bound to, before any border is filled."""
        x, weight = (jax.ShapeDtypeStruct(shape, np.float32) for shape in (self.x, self.weight))
        given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **self.options}
        if self.transpose:
            given = {"output_padding": 0, **given}
            call = _spec.conv_transpose_call("conv_transpose", None, x, weight, None, **given, options=Options())
        else:
            call = _spec.conv_call("conv", None, x, weight, None, **given, options=Options())
        return call.spec


CASES = (
    Case("pointwise", (2, 4, 5, 6), (3, 4, 1, 1)),
    Case("pointwise_strided", (2, 4, 6, 7), (3, 4, 1, 1), {"stride": 2}),
    Case("dense_3x3", (2, 3, 7, 8), (4, 3, 3, 3), {"padding": 1}),
    Case("dense_even_same", (2, 3, 7, 6), (4, 3, 4, 2), {"padding": "same"}),
    Case("stem", (1, 3, 15, 14), (4, 3, 7, 7), {"stride": 2, "padding": 3}),
    Case("remainder", (2, 2, 8, 9), (3, 2, 3, 2), {"stride": 3}),
    Case("patches", (2, 3, 8, 8), (5, 3, 4, 4), {"stride": 4}),
    Case("low_high", (2, 2, 6, 5), (3, 2, 3, 4), {"padding": ((0, 2), (3, 1))}),
    Case("grouped", (2, 6, 7, 7), (4, 3, 3, 3), {"padding": 1, "groups": 2}),
    Case("grouped_strided", (2, 4, 8, 9), (6, 2, 3, 2), {"stride": (2, 1), "padding": (1, 0), "groups": 2}),
    Case("depthwise", (2, 5, 7, 6), (5, 1, 3, 3), {"padding": 1, "groups": 5}),
    Case("depthwise_multiplied", (2, 3, 7, 6), (6, 1, 3, 3), {"stride": 2, "padding": 1, "groups": 3}),
    Case("dilated", (1, 3, 11, 12), (2, 3, 3, 3), {"padding": 2, "dilation": 2}),
    Case("depthwise_dilated_1d", (2, 4, 19), (4, 1, 5), {"padding": 4, "dilation": 3, "groups": 4}),
    Case("causal_1d", (2, 4, 12), (4, 1, 4), {"padding": ((3, 0),), "groups": 4}),
    Case("large_kernel", (1, 2, 9, 9), (2, 2, 9, 9), {"padding": 4}),
    Case("volume", (1, 2, 5, 6, 4), (3, 2, 3, 2, 3), {"padding": 1, "stride": (1, 2, 1)}),
    Case("four_dims", (1, 2, 4, 3, 4, 3), (2, 2, 2, 2, 3, 1), {"padding": (1, 0, 1, 0)}),
    Case("one_image", (3, 6, 7), (2, 3, 3, 3)),
    Case("up_4_2_1", (2, 4, 5, 6), (4, 3, 4, 4), {"stride": 2, "padding": 1}, True),
    Case("up_3_2_1_1", (2, 3, 5, 4), (3, 4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}, True),
    Case("up_grouped_dilated", (2, 4, 5, 4), (4, 3, 3, 2), {"stride": (3, 2), "dilation": (1, 2), "groups": 2}, True),
    Case("up_cropped", (2, 2, 6, 5), (2, 2, 2, 2), {"padding": ((1, 2), (2, 1)), "stride": 2}, True),
    Case("up_1d", (2, 3, 9), (3, 2, 5), {"stride": 3, "padding": 2}, True),
    Case("up_3d", (1, 2, 3, 4, 3), (2, 2, 2, 3, 2), {"stride": 2}, True),
    Case("up_one_image", (3, 4, 4), (3, 2, 2, 2), {"stride": 2}, True),
)

BY_NAME = {case.name: case for case in CASES}


def normal(seed: int, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Standard normal numbers, of both parts for complex dtypes and rounded for integer ones."""
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        values = values + 1j * rng.standard_normal(shape)
    if np.issubdtype(dtype, np.integer):
        values = np.round(3 * values)
    return values.astype(dtype)


def equations(f, *args) -> list:
    """All equations of the jaxpr of f, those of the jaxprs it calls included."""

    def of(jaxpr):
        return [*jaxpr.eqns, *(e for inner in subjaxprs(jaxpr) for e in of(inner))]

    return of(jax.make_jaxpr(f)(*args).jaxpr)
