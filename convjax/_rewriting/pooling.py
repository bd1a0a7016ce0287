"""Pooling in a traced program, and its gradient, without XLA's loops over windows. `_arrays/pooling` says how."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal, Var
from jax.extend.core.primitives import pad_p

from convjax._arrays.pooling import Windows, unrolled_taps
from convjax._operation.pool_primitives import pool, select, sum_into_all, sum_into_taken, window_sums
from convjax._rewriting.programs import Made, Replacement

MAX_UNROLLED_TAPS = 49  # more would make the program long
_POOLING = {"reduce_window_max": True, "reduce_window_min": False}  # whether a window takes its largest element
_SUM = "reduce_window_sum"
# What is done to (x, values), and where the equation has these two.
_DERIVATIVES = {"select_and_gather_add": (select, (1, 0)), "select_and_scatter_add": (sum_into_taken, (1, 0))}
_LARGEST = {"ge": True, "le": False}  # by the comparison of a derivative
PRIMITIVES = (*_POOLING, _SUM, *_DERIVATIVES, "reduce_window")  # all that pool


def rule(equation: JaxprEqn, made_by: Made) -> Replacement | None:
    """The rule for `programs.rewritten`: on CPUs, the loops are replaced."""
    if not is_replaced(equation):
        return None
    name, params, operands = equation.primitive.name, equation.params, list(equation.invars)
    windows = _windows(equation)
    if name == _SUM:
        dilated = _before_dilation(equation, made_by)
        if dilated is not None:
            source, windows = dilated
            shape = equation.outvars[0].aval.shape  # type: ignore[attr-defined]
            return Replacement(partial(sum_into_all, windows=windows, shape=shape, as_xla=True), [source])
        return Replacement(partial(window_sums, windows=windows, as_xla=True), operands)
    if name in _POOLING:
        return Replacement(partial(pool, windows=windows, largest=_POOLING[name], as_xla=True), operands)
    function, order = _DERIVATIVES[name]
    largest = _LARGEST[params["select_prim"].name]
    derivative = partial(function, windows=windows, largest=largest, as_xla=True)
    return Replacement(derivative, [operands[n] for n in order])


def is_replaced(equation: JaxprEqn) -> bool:
    """Whether an equation pools, or is the gradient of that, and is replaced on CPUs."""
    name, params = equation.primitive.name, equation.params
    if name not in (*_POOLING, _SUM, *_DERIVATIVES):
        return False
    dtype = equation.outvars[0].aval.dtype  # type: ignore[attr-defined]
    dilated = max(params.get("base_dilation", (1,)), default=1) > 1
    comparison = name not in _DERIVATIVES or params["select_prim"].name in _LARGEST
    if dilated or not comparison or not jnp.issubdtype(dtype, jnp.floating):
        return False
    return unrolled_taps(_windows(equation)) <= MAX_UNROLLED_TAPS


def _before_dilation(equation: JaxprEqn, made_by: Made) -> tuple[Any, Windows] | None:
    """The gradient that lax has of a sum with strides: the cotangent of the sum, and the windows of the sum.

    lax puts zeros between the elements of the cotangent, and then sums windows at stride 1. None for other sums.
    """
    operand = equation.invars[0]
    made = made_by.get(operand) if isinstance(operand, Var) else None
    after = _windows(equation)
    ones = (1,) * len(after.size)
    if made is None or made.primitive is not pad_p or (after.stride, after.dilation) != (ones, ones):
        return None
    source, zero = made.invars
    given: Any = source.aval
    config = made.params["padding_config"]
    is_zero = isinstance(zero, Literal) and zero.val == 0
    if not is_zero or not any(between for _, _, between in config):
        return None
    result: Any = equation.outvars[0].aval
    # The element e of the result is summed from the positions p = low + window * stride of the padded cotangent with
    # e <= p < e + size. It is the tap e + size - 1 - p of that window.
    padding, dims = [], zip(given.shape, result.shape, after.size, after.padding, config, strict=True)
    for m, n, k, (more, _), (low, _, between) in dims:
        front = int(k - 1 - low - more)
        padding.append((front, (m - 1) * (between + 1) + k - n - front))
    if any(front < 0 for front, _ in padding):
        return None
    return source, Windows(after.size, tuple(between + 1 for *_, between in config), ones, tuple(padding))


def _windows(equation: JaxprEqn) -> Windows:
    params = equation.params
    size = tuple(params["window_dimensions"])
    dilation = tuple(params.get("window_dilation", (1,) * len(size)))
    padding = tuple((int(low), int(high)) for low, high in params["padding"])
    return Windows(size, tuple(params["window_strides"]), dilation, padding)
