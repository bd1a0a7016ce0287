"""XLA's convolutions, as `jax.lax` writes them into a traced program, stated as convolutions of convjax."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Var
from jax.extend.core.primitives import conv_general_dilated_p, rev_p

from convjax._algorithms import ALGORITHMS
from convjax._arguments import errors
from convjax._choice.choose import why_unsupported
from convjax._choice.recorded import Recorded
from convjax._operation.primitive import convolve
from convjax._rewriting.programs import Made
from convjax._spec import ConvSpec, Hints


def rule(algorithm: str | Recorded = "auto"):
    """The rule for `programs.rewritten` that replaces every convolution it can state."""

    def convolution(equation: JaxprEqn, made_by: Made) -> Callable | None:
        if equation.primitive is not conv_general_dilated_p or why_kept(equation) is not None:
            return None
        restated = partial(_convolve, **_restated(equation, made_by))
        if algorithm in ALGORITHMS:
            _check_supported(restated, equation, algorithm)
        return partial(restated, algorithm=algorithm)

    return convolution


def why_kept(equation: JaxprEqn) -> str | None:
    """Why a convolution of lax stays as it is, or None if it is replaced."""
    lhs, rhs = _structs(equation)
    if lhs.ndim < 3:
        return "no spatial dimension"
    if lhs.dtype != rhs.dtype:
        return f"operands of two dtypes, {lhs.dtype} and {rhs.dtype}"
    return None


def _check_supported(convolution: Callable, equation: JaxprEqn, algorithm: str) -> None:
    def check(x, w, spec, algorithm):
        reason = why_unsupported(ALGORITHMS[algorithm], spec, x, w)
        if reason is not None:
            raise errors.unsupported_algorithm("accelerate", algorithm, reason)
        return convolve(x, w, spec, algorithm)

    jax.eval_shape(partial(convolution, algorithm=algorithm, convolve=check), *_structs(equation))


def _structs(equation: JaxprEqn) -> list[Any]:
    avals: list[Any] = [v.aval for v in equation.invars]
    return [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]


def _restated(equation: JaxprEqn, made_by: Made) -> dict:
    """The spec, and where the axes (N, C, *n), (O, I, *k) and (N, O, *m) lie.

    A gradient of a layer shows in the axes: lax computes a weight gradient with the batch as the channels, so there the
    channels stand before the batch. It flips the weight of an input gradient just before.
    """
    numbers, params = equation.params["dimension_numbers"], equation.params
    rhs = equation.invars[1]
    is_weight_gradient = numbers.lhs_spec[1] < numbers.lhs_spec[0]
    flipped = isinstance(rhs, Var) and rhs in made_by and made_by[rhs].primitive is rev_p
    rank, dtype = len(numbers.lhs_spec), params["preferred_element_type"]
    spec = ConvSpec(
        stride=tuple(params["window_strides"]),
        padding=tuple((low, high) for low, high in params["padding"]),
        lhs_dilation=tuple(params["lhs_dilation"]),
        rhs_dilation=tuple(params["rhs_dilation"]),
        groups=params["feature_group_count"] * params["batch_group_count"],
        precision=params["precision"],
        out_dtype=None if dtype in (None, _structs(equation)[0].dtype) else jnp.dtype(dtype),
        hints=Hints(
            flipped_weight=flipped and not is_weight_gradient,
            layer_weight="result" if is_weight_gradient else "kernel",
            memory_format="contiguous" if numbers.lhs_spec[-1] == rank - 1 else "channels_last",
        ),
    )
    return {"spec": spec, "numbers": numbers, "batch_groups": params["batch_group_count"]}


def _convolve(lhs, rhs, *, spec: ConvSpec, numbers, batch_groups: int, algorithm: str | Recorded, convolve=convolve):
    """The convolution, with the axes where convjax has them, and the result with the axes where lax has them."""
    x, w = lhs.transpose(numbers.lhs_spec), rhs.transpose(numbers.rhs_spec)
    if batch_groups > 1:  # the images of a group become its channels
        x = x.reshape(batch_groups, x.shape[0] // batch_groups, *x.shape[1:]).swapaxes(0, 1)
        x = x.reshape(x.shape[0], batch_groups * x.shape[2], *x.shape[3:])
    y = convolve(x, w, spec, algorithm)
    return y.transpose([numbers.out_spec.index(axis) for axis in range(y.ndim)])
