"""Correlations behind a border: along one axis after another, and with a window of several axes.

Each is a border and then the primitive, so that a filter gets the lowering that suits it, and every derivative; never
the FFT, so that a NaN stays in the windows that hold it.
"""

import functools
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arguments import arrays
from convjax._arrays import boundary, xla_cpu
from convjax._arrays.sharding import sharded_like_first
from convjax._arrays.sums import add_all
from convjax._filters import integers, means
from convjax._operation.primitive import correlate_local
from convjax._spec import Pads

FEW = 8  # products, which are no dearer to sum again than to read


class Pass(NamedTuple):
    """A sum along one axis, but for its weights: hashable, for it says what to compile."""

    axis: int
    border: str  # what lies beyond the ends, a row of the table of boundaries
    reach: tuple[int, int]  # how many elements before and behind its own a result sees
    symmetry: int | None = 0  # of weights of integers, see `integers.symmetry`


def separable(x: jax.Array, weights: Any, cval: Any, *, chains: tuple[tuple[Pass, ...], ...], combine: Callable):
    """Several results, each of passes one after another, combined; in the dtype of x. A pass without weights, None, is
    a mean.

    Integers are stored after every pass, as SciPy does, 16-bit floats at the end. Without a chain it is x itself.
    """
    if _is_exact(x, *itertools.chain(*weights)):
        chains = tuple(
            tuple(
                step if w is None else step._replace(symmetry=integers.symmetry(w))
                for step, w in zip(*pair, strict=False)
            )
            for pair in zip(chains, weights, strict=True)
        )
        weights = [[w if w is None else integers.split(w) for w in row] for row in weights]
    return _separable(x, _placed(weights, x), cval, chains=chains, combine=combine)


def _placed(weights: Any, x: jax.Array) -> Any:
    """Weights of NumPy as operands of a compiled function, or as part of the program that x is traced for."""
    if isinstance(x, jax.core.Tracer):
        return weights
    return jax.tree.map(lambda w: arrays.to_device(w) if isinstance(w, np.ndarray) else w, weights)


def _is_exact(x: jax.Array, *weights: Any) -> bool:
    """Whether an image is one of integers under real weights."""
    return bool(jnp.issubdtype(x.dtype, jnp.integer)) and not any(
        w is not None and jnp.iscomplexobj(w) for w in weights
    )


@partial(jax.jit, static_argnames=("chains", "combine"))
def _separable(x, weights, cval, *, chains, combine):
    if not chains:
        return x

    def run(x, weights, cval):
        results = [_chain(x, *pair, cval) for pair in zip(chains, weights, strict=True)]
        return stored(combine(results), x.dtype)

    return sharded_like_first(run, x, weights, cval)


@partial(jax.jit, static_argnames=("weights", "chains", "combine"))
def fixed(x: jax.Array, cval: Any, *, weights: tuple, chains: tuple[tuple[Pass, ...], ...], combine: Callable):
    """`separable` with numbers for weights, which are part of the program and no transfer."""
    operands = [[numbers and np.array(numbers, float) for numbers in row] for row in weights]
    return separable(x, operands, cval, chains=chains, combine=combine)


def _chain(x, passes, weights, cval):
    whole = jnp.issubdtype(x.dtype, jnp.integer)
    y = x
    for step, w in zip(passes, weights, strict=True):
        if w is None:
            y = _mean(y, cval, step)
        elif isinstance(w, tuple):
            y = integers.along(y, w, cval, step.axis, step.border, step.reach, step.symmetry) if y.size else y
        else:
            y = _along(y, w, cval, step)
        y = stored(y, x.dtype) if whole else y
    return y


def _mean(x: jax.Array, cval: Any, step: Pass) -> jax.Array:
    """The mean of a window along an axis."""
    size, pads = sum(step.reach) + 1, [step.reach if axis == step.axis else (0, 0) for axis in range(x.ndim)]
    if 0 in x.shape:
        return x

    def sums(x: jax.Array) -> jax.Array:
        # The border is made before the loop that reads it, which else tests every element against it.
        padded = xla_cpu.fusion_barrier(boundary.extend(x, step.border, pads, cval, xla_cpu.fusion_barrier))
        return xla_cpu.fusion_barrier(means.window_sums(padded, size, step.axis))

    if (step.border != "constant" or cval is None) and integers.has_exact_mean(x.dtype, size):
        return integers.mean(x, size, sums)
    return sums(x.astype(sum_dtype(x.dtype))) / size


def _along(x: jax.Array, weights: jax.Array, cval: Any, step: Pass) -> jax.Array:
    """sum_j x[i + j - low] weights[j] along an axis; the axes in front are images, those behind one axis."""
    before, n, after = math.prod(x.shape[: step.axis]), x.shape[step.axis], math.prod(x.shape[step.axis + 1 :])
    shape, kernel, pads = (before, 1, n, after), (-1, 1), (step.reach, (0, 0))
    if after == 1:  # the longest axis last, as loops want it
        shape, kernel, pads = (1, 1, before, n), (1, -1), ((0, 0), step.reach)
    return correlate_window(x.reshape(shape), weights.reshape(1, 1, *kernel), cval, step.border, pads).reshape(x.shape)


def windowed(x: jax.Array, weights: Any, cval: Any, *, border: str, pads: Pads) -> jax.Array:
    """sum_j x[i + j - low] weights[j] over all axes, in the dtype of x."""
    weights = integers.split(weights) if _is_exact(x, weights) else weights
    return _windowed(x, _placed(weights, x), cval, border=border, pads=pads)


@partial(jax.jit, static_argnames=("border", "pads"))
def _windowed(x, weights, cval, *, border, pads):
    def run(x, weights, cval):
        if isinstance(weights, tuple):
            return integers.window(x, weights, cval, border, pads) if x.size else x
        return stored(correlate_window(x[None, None], weights[None, None], cval, border, pads)[0, 0], x.dtype)

    return sharded_like_first(run, x, weights, cval)


def correlate_window(x: jax.Array, weights: jax.Array, cval: Any, border: str, pads: Pads) -> jax.Array:
    """Of (N, 1, *n) images and (O, 1, *k) windows, in the dtype of the sum."""
    dtype = sum_dtype(x.dtype, weights)
    if 0 in x.shape:
        return jnp.zeros((x.shape[0], weights.shape[0], *x.shape[2:]), dtype)
    # The border is made before the loop that reads it, which else tests every element against it.
    x = xla_cpu.fusion_barrier(boundary.extend(x.astype(dtype), border, pads, cval, xla_cpu.fusion_barrier))
    y = correlate_local(x, weights.astype(dtype), ((0, 0),) * len(pads))
    # So is a long sum, which would be taken anew by each loop that it were fused into.
    return xla_cpu.fusion_barrier(y) if weights.size > FEW else y


def sum_dtype(dtype: Any, *weights: Any) -> Any:
    """Of sums over an image: its own; the default float for integers, float32 for 16 bits, complex if weights are."""
    if not jnp.issubdtype(dtype, jnp.inexact):
        dtype = jnp.result_type(float)
    if dtype in (jnp.float16, jnp.bfloat16):
        dtype = jnp.dtype(jnp.float32)
    return np.result_type(dtype, np.complex64) if any(map(jnp.iscomplexobj, weights)) else dtype


def stored(y: jax.Array, dtype: Any) -> jax.Array:
    """As the dtype of an image: integers are cut towards zero, and those of 8 and 16 bits wrap around, as in C."""
    whole = jnp.issubdtype(dtype, jnp.integer)
    if jnp.iscomplexobj(y):
        if whole:
            dtype = jax.dtypes.canonicalize_dtype(np.promote_types(dtype, np.complex64))
        return y.astype(dtype) if jnp.issubdtype(dtype, jnp.complexfloating) else y
    return integers.cut(y, dtype) if whole and jnp.issubdtype(y.dtype, jnp.floating) else y.astype(dtype)


# ---- what to make of the results ----


def magnitude(results: list[jax.Array]) -> jax.Array:
    """The root of the sum of squares, integers squared as they are; where it is 0, its derivative is taken as 0."""
    if all(jnp.issubdtype(y.dtype, jnp.integer) for y in results):
        squares = add_all([y * y for y in results])
        return _root(squares.astype(sum_dtype(squares.dtype)))
    wide = [y.astype(sum_dtype(y.dtype)) for y in results]
    power = _power_of_two(functools.reduce(lax.max, map(jnp.abs, wide)))
    # Numbers of about 1 have squares that neither overflow nor vanish, and second derivatives that do not either. A
    # power of two rounds nothing.
    root = _root(add_all([(y * (1 / power).astype(y.dtype)) ** 2 for y in wide]))
    return root * power.astype(root.dtype)


def _root(squares: jax.Array) -> jax.Array:
    flat = squares == 0
    return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squares)))


def _power_of_two(x: jax.Array) -> jax.Array:
    """The largest one that is no larger than x, within those whose reciprocal can be held."""
    info = jnp.finfo(x.dtype)
    integer = jnp.dtype(f"int{info.bits}")
    exponent = jnp.asarray(((1 << info.nexp) - 1) << info.nmant, integer)
    power = lax.bitcast_convert_type(lax.bitcast_convert_type(lax.stop_gradient(x), integer) & exponent, x.dtype)
    return jnp.clip(power, float(info.tiny), 1 / float(info.tiny))
