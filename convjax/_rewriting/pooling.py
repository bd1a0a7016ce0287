"""Max and min pooling in a traced program, and their gradient, without XLA's loops over windows.

XLA:CPU computes `select_and_scatter_add` window by window, on one core. Here every window finds the tap that it takes,
by comparing. Then every element sums the windows that took it. The elements of one phase of the stride lie at the same
taps of their windows. So both steps are a few elementwise passes, which XLA fuses. The pooling itself is one.
"""

import functools
import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from convjax._arrays.xla_cpu import fusion_barrier, on_cpu
from convjax._rewriting.programs import Made, Replacement

MAX_TAPS = 49  # more would make the program long
_POOLING = {"reduce_window_max": True, "reduce_window_min": False}  # whether a window takes its largest element
_GRADIENT = "select_and_scatter_add"
PRIMITIVES = (*_POOLING, _GRADIENT, "reduce_window_sum", "reduce_window", "select_and_gather_add")  # all that pool
_LARGEST = {"ge": True, "le": False}  # by the comparison of a gradient


def rule(equation: JaxprEqn, made_by: Made) -> Replacement | None:
    """The rule for `programs.rewritten`: on CPUs, the loops are replaced."""
    if not is_replaced(equation):
        return None
    names = {"window_dimensions": "window", "window_strides": "strides", "padding": "padding"}
    options = {ours: equation.params[theirs] for theirs, ours in names.items()}
    by_xla = partial(equation.primitive.bind, **equation.params)
    if equation.primitive.name == _GRADIENT:
        by_comparing = partial(scatter_to_taken, largest=_LARGEST[equation.params["select_prim"].name], **options)
        return Replacement(partial(on_cpu, by_comparing, by_xla, None), list(equation.invars))
    by_comparing = partial(pool, largest=_POOLING[equation.primitive.name], **options)
    run = jax.custom_jvp(partial(on_cpu, by_comparing, by_xla, None))
    run.defjvp(lambda primals, tangents: jax.jvp(by_xla, primals, tangents))  # equal elements share no gradient
    return Replacement(run, list(equation.invars))


def is_replaced(equation: JaxprEqn) -> bool:
    """Whether an equation pools, or is the gradient of that, and is replaced on CPUs."""
    name, params = equation.primitive.name, equation.params
    if name not in (*_POOLING, _GRADIENT):
        return False
    dtype = equation.outvars[0].aval.dtype  # type: ignore[attr-defined]
    dilated = max(*params.get("base_dilation", (1,)), *params.get("window_dilation", (1,)), 1) > 1
    comparison = name in _POOLING or params["select_prim"].name in _LARGEST
    few = math.prod(params["window_dimensions"]) <= MAX_TAPS
    return few and comparison and not dilated and jnp.issubdtype(dtype, jnp.floating)


def pool(operand: jax.Array, *, largest: bool, window, strides, padding) -> jax.Array:
    """`reduce_window` by the maximum, or the minimum: one loop over the taps."""
    dims = zip(operand.shape, window, strides, padding, strict=True)
    windows = [(low + n + high - k) // s + 1 for n, k, s, (low, high) in dims]
    taps = _taps(operand, windows, largest, window, strides, padding)
    return functools.reduce(lax.max if largest else lax.min, taps)


def scatter_to_taken(source: jax.Array, operand: jax.Array, *, largest: bool, window, strides, padding) -> jax.Array:
    """`select_and_scatter_add`: at each element, the sum of `source` over the windows that take this element.

    A window takes its largest element, or its smallest, and the first of equal ones in row order. `source` has an
    element for each window.
    """
    # XLA would compute it again for every tap below.
    taken = fusion_barrier(_taken(operand, source.shape, largest, window, strides, padding))
    zero = jnp.zeros((), source.dtype)
    sizes = [-(-(low + n) // s) for n, s, (low, _) in zip(operand.shape, strides, padding, strict=True)]
    phases = {}
    for phase in itertools.product(*map(range, strides)):
        # The element u s + phase is the tap phase + j s of the window u - j.
        steps = [range(-(-(k - p) // s)) for k, s, p in zip(window, strides, phase, strict=True)]
        sums = jnp.zeros(sizes, source.dtype)
        for step in itertools.product(*steps):
            tap = [p + j * s for p, j, s in zip(phase, step, strides, strict=True)]
            to_tap = jnp.where(taken == int(np.ravel_multi_index(tap, window)), source, zero)
            sums += lax.pad(
                to_tap, zero, [(j, u - m - j, 0) for j, u, m in zip(step, sizes, source.shape, strict=True)]
            )
        phases[phase] = sums
    whole = _interleaved(phases, strides)
    starts = [low for low, _ in padding]
    return lax.slice(whole, starts, [low + n for low, n in zip(starts, operand.shape, strict=True)])


def _taken(operand, windows, largest: bool, window, strides, padding) -> jax.Array:
    """For each window, the number of the tap that it takes."""
    compare = lax.ge if largest else lax.le
    best, *others = _taps(operand, windows, largest, window, strides, padding)
    taken = jnp.zeros(windows, jnp.int32)
    for number, candidate in enumerate(others, start=1):
        keep = compare(best, candidate)
        best, taken = jnp.where(keep, best, candidate), jnp.where(keep, taken, jnp.int32(number))
    return taken


def _taps(operand, windows, largest: bool, window, strides, padding) -> list[jax.Array]:
    """For each tap, in row order, its element in every window. Padding loses against every number, as in jax."""
    dims = zip(operand.shape, windows, window, strides, padding, strict=True)
    around = [(low, (m - 1) * s + k - n - low, 0) for n, m, k, s, (low, _) in dims]
    padded = lax.pad(operand, jnp.asarray(-jnp.inf if largest else jnp.inf, operand.dtype), around)
    taps = []
    for tap in itertools.product(*map(range, window)):
        limits = [t + (m - 1) * s + 1 for t, m, s in zip(tap, windows, strides, strict=True)]
        taps.append(lax.slice(padded, tap, limits, strides))
    return taps


def _interleaved(phases: dict[tuple[int, ...], jax.Array], strides) -> jax.Array:
    """The array whose element u s + phase is the element u of that phase."""
    for axis in reversed(range(len(strides))):
        merged = {}
        for phase in dict.fromkeys(phase[:-1] for phase in phases):
            parts = [phases[*phase, n] for n in range(strides[axis])]
            y = jnp.stack(parts, axis + 1) if len(parts) > 1 else parts[0]
            merged[phase] = y.reshape(*parts[0].shape[:axis], -1, *parts[0].shape[axis + 1 :])
        phases = merged
    return phases[()]
