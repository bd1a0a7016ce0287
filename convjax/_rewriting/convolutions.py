"""XLA's convolutions, as `jax.lax` writes them into a traced program, stated as convolutions of convjax."""

from collections.abc import Callable
from functools import partial
from operator import eq
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Var
from jax.extend.core.primitives import conv_general_dilated_p, rev_p

from convjax._algorithms import ALGORITHMS
from convjax._algorithms._taps import swap_channels
from convjax._arguments import errors
from convjax._choice.choose import why_unsupported
from convjax._choice.recorded import Recorded
from convjax._operation.primitive import convolve, flipped_weight
from convjax._rewriting.programs import Made, Replacement
from convjax._spec import ConvSpec, Hints, certainly


def rule(algorithm: str | Recorded = "auto"):
    """The rule for `programs.rewritten` that replaces every convolution it can state."""

    def convolution(equation: JaxprEqn, made_by: Made) -> Replacement | None:
        if equation.primitive is not conv_general_dilated_p or why_kept(equation) is not None:
            return None
        weight = _weight_before_flip(equation, made_by)
        restated = partial(_convolve, **_restated(equation, weight is not None))
        if algorithm in ALGORITHMS:
            _check_supported(restated, equation, algorithm)
        operands = [equation.invars[0], equation.invars[1] if weight is None else weight]
        return Replacement(partial(restated, algorithm=algorithm), operands)

    return convolution


def why_kept(equation: JaxprEqn) -> str | None:
    """Why a convolution of lax stays as it is, or None if it is replaced."""
    lhs, rhs = _structs(equation)
    if lhs.ndim < 3:
        return "no spatial dimension"
    if any(certainly(eq, n, 0) for n in (*lhs.shape, *rhs.shape)):
        return "an empty operand"
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


def _weight_before_flip(equation: JaxprEqn, made_by: Made) -> Any:
    """The weight that was flipped for this convolution, as lax does it for input gradients, or None."""
    rhs, params = equation.invars[1], equation.params
    made = made_by.get(rhs) if isinstance(rhs, Var) else None
    if made is None or made.primitive is not rev_p or params["feature_group_count"] * params["batch_group_count"] > 1:
        return None
    shape = _structs(equation)[1].shape
    space = {axis for axis in params["dimension_numbers"].rhs_spec[2:] if shape[axis] > 1}
    return made.invars[0] if space == {axis for axis in made.params["dimensions"] if shape[axis] > 1} else None


def _restated(equation: JaxprEqn, flipped: bool) -> dict:
    """The spec, and where the axes (N, C, *n), (O, I, *k) and (N, O, *m) lie.

    A weight gradient shows in the axes: lax computes it with the batch as the channels, so the channels stand before
    the batch.
    """
    numbers, params = equation.params["dimension_numbers"], equation.params
    is_weight_gradient = numbers.lhs_spec[1] < numbers.lhs_spec[0]
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
            flipped_weight=flipped,
            layer_weight="result" if is_weight_gradient else "kernel",
            memory_format="contiguous" if numbers.lhs_spec[-1] == rank - 1 else "channels_last",
        ),
    )
    return {"spec": spec, "numbers": numbers, "batch_groups": params["batch_group_count"]}


def _convolve(lhs, rhs, *, spec: ConvSpec, numbers, batch_groups: int, algorithm: str | Recorded, convolve=convolve):
    """The convolution, with the axes where convjax has them, and the result with the axes where lax has them.

    With a flipped weight, `rhs` is the weight before the flip.
    """
    outputs, inputs, *space = numbers.rhs_spec
    x, swapped = lhs.transpose(numbers.lhs_spec), (outputs, inputs) == (1, 0)
    w = swap_channels(rhs, spec) if swapped else rhs.transpose(outputs, inputs, *space)
    if spec.hints.flipped_weight:
        w = flipped_weight(swap_channels(w, spec), spec)
    if batch_groups > 1:  # the images of a group become its channels
        x = x.reshape(batch_groups, x.shape[0] // batch_groups, *x.shape[1:]).swapaxes(0, 1)
        x = x.reshape(x.shape[0], batch_groups * x.shape[2], *x.shape[3:])
    y = convolve(x, w, spec, algorithm)
    return y.transpose([numbers.out_spec.index(axis) for axis in range(y.ndim)])
