"""Pooling in a traced program, and its gradient, without XLA's loops over windows. `_arrays/pooling` says how."""

import math
from functools import partial

import jax.numpy as jnp
from jax.extend.core import JaxprEqn

from convjax._arrays.pooling import Windows
from convjax._operation.pool_primitives import pool, select, sum_into_taken, window_sums
from convjax._rewriting.programs import Made, Replacement

MAX_TAPS = 49  # more would make the program long
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
    few = math.prod(params["window_dimensions"]) <= MAX_TAPS
    return few and comparison and not dilated and jnp.issubdtype(dtype, jnp.floating)


def _windows(equation: JaxprEqn) -> Windows:
    params = equation.params
    size = tuple(params["window_dimensions"])
    dilation = tuple(params.get("window_dilation", (1,) * len(size)))
    padding = tuple((low, high) for low, high in params["padding"])
    return Windows(size, tuple(params["window_strides"]), dilation, padding)
