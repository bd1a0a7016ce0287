"""Correlations of an image with a border: along one axis after another, or with a window of several axes.

Each function extends the image by a border and then calls the primitive. So a filter gets the fastest algorithm and
every derivative. The FFT is never used, so a NaN reaches only the windows that hold it.
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
from convjax._operation.stencil import stencil
from convjax._spec import Pads

MAX_FUSED_PRODUCTS = 8  # a sum of at most so many products is as cheap to compute again as to read from memory


class Pass(NamedTuple):
    """A sum along one axis, without its weights. It is a static argument of compiled functions, and so hashable."""

    axis: int
    border: str  # a row of the table in `convjax._arrays.boundary`
    reach: tuple[int, int]  # how many elements before and after its position a result depends on
    symmetry: int | None = 0  # of the weights of an integer image, see `integers.symmetry_sign`

    def pads(self, ndim: int) -> Pads:
        """The reach along each axis of an image."""
        return tuple(self.reach if axis == self.axis else (0, 0) for axis in range(ndim))


def apply_passes(x: jax.Array, weights: Any, cval: Any, *, chains: tuple[tuple[Pass, ...], ...], combine: Callable):
    """Compute several results and combine them, in the dtype of x.

    Each result is that of a chain of passes. A pass whose weights are None is a mean.

    Integers are cast to the dtype of x after every pass, as in SciPy, and 16-bit floats at the end. Without a chain the
    result is x itself.
    """
    if _is_exact(x, *itertools.chain(*weights)):
        chains = tuple(
            tuple(
                pass_ if w is None else pass_._replace(symmetry=integers.symmetry_sign(w))
                for pass_, w in zip(*pair, strict=False)
            )
            for pair in zip(chains, weights, strict=True)
        )
        weights = [[w if w is None else integers.split_weights(w) for w in row] for row in weights]
    return _apply_passes(x, _on_device(weights, x), cval, chains=chains, combine=combine)


def _on_device(weights: Any, x: jax.Array) -> Any:
    """NumPy weights as operands of a compiled function, or as constants of the program if x is traced."""
    if isinstance(x, jax.core.Tracer):
        return weights
    return jax.tree.map(lambda w: arrays.to_device(w) if isinstance(w, np.ndarray) else w, weights)


def _is_exact(x: jax.Array, *weights: Any) -> bool:
    """Whether every step is rounded as in SciPy. This is so for integer images and real weights."""
    return bool(jnp.issubdtype(x.dtype, jnp.integer)) and not any(
        w is not None and jnp.iscomplexobj(w) for w in weights
    )


@partial(jax.jit, static_argnames=("chains", "combine"))
def _apply_passes(x, weights, cval, *, chains, combine):
    if not chains:
        return x

    def run(x, weights, cval):
        results = _run_chains(x, chains, weights, cval)
        return cast_to_image(combine(results), x.dtype)

    return sharded_like_first(run, x, weights, cval)


@partial(jax.jit, static_argnames=("weights", "chains", "combine"))
def apply_constant_passes(
    x: jax.Array, cval: Any, *, weights: tuple, chains: tuple[tuple[Pass, ...], ...], combine: Callable
):
    """`apply_passes` with tuples of numbers for weights. They are constants of the program, and so not transferred."""
    operands = [[numbers and np.array(numbers, float) for numbers in row] for row in weights]
    return apply_passes(x, operands, cval, chains=chains, combine=combine)


def _run_chains(x, chains, weights, cval) -> list[jax.Array]:
    """The result of each chain. Passes of one place in their chains, along one axis, are one operation.

    So where the axis is divided among devices, they take one exchange.
    """
    results = [x] * len(chains)
    for place in range(max(map(len, chains))):
        alike: dict[Any, list[int]] = {}
        steps = {}
        for n, (chain, row) in enumerate(zip(chains, weights, strict=True)):
            if place < len(chain):
                steps[n] = step = _step(results[n].dtype, row[place], cval, chain[place])
                alike.setdefault((step.run, chain[place].axis, chain[place].border), []).append(n)
        for chosen in alike.values():
            made = _along_axis([results[n] for n in chosen], [steps[n] for n in chosen], cval)
            for n, y in zip(chosen, made, strict=True):
                results[n] = cast_to_image(y, x.dtype) if jnp.issubdtype(x.dtype, jnp.integer) else y
    return results


class _Step(NamedTuple):
    """A pass of an image: run(image, *weights, cval, pass_, *static), with the image in a dtype."""

    run: Callable
    dtype: Any
    weights: tuple[jax.Array, ...]
    pass_: Pass
    static: tuple = ()


def _step(dtype: Any, weights: Any, cval: Any, pass_: Pass) -> _Step:
    """Where a pass is divided among devices, the border has the dtype of the image. So this is that of the sum."""
    if weights is None:
        exact = (pass_.border != "constant" or cval is None) and integers.has_exact_mean(dtype, sum(pass_.reach) + 1)
        return _Step(_mean, dtype if exact else filter_sum_dtype(dtype), (), pass_, (exact,))
    if isinstance(weights, tuple):
        return _Step(_correlate_integers, dtype, weights, pass_)
    return _Step(_correlate_line, filter_sum_dtype(dtype, weights), (weights,), pass_)


def _along_axis(xs: list[jax.Array], steps: list[_Step], cval: Any) -> list[jax.Array]:
    """Steps that run the same along the same axis, of an image each."""
    run, border = steps[0].run, steps[0].pass_.border
    if xs[0].size == 0:
        return [x.astype(step.dtype) for x, step in zip(xs, steps, strict=True)]
    if run is _correlate_integers and not all(_is_held(cval, border, x.dtype) for x in xs):
        return [run(x, *step.weights, cval, step.pass_) for x, step in zip(xs, steps, strict=True)]
    images = {(id(x), step.dtype): x.astype(step.dtype) for x, step in zip(xs, steps, strict=True)}
    places = [list(images).index((id(x), step.dtype)) for x, step in zip(xs, steps, strict=True)]
    described = tuple((n, len(step.weights), (step.pass_, *step.static)) for n, step in zip(places, steps, strict=True))
    low, high = (max(sides) for sides in zip(*[step.pass_.reach for step in steps], strict=True))
    made = stencil(
        _run_steps,
        list(images.values()),
        [w for step in steps for w in step.weights],
        cval,
        (run, len(images), described),
        border=border,
        reach=steps[0].pass_._replace(reach=(low, high)).pads(xs[0].ndim),
        results=len(steps),
    )
    return [made] if len(steps) == 1 else list(made)


def _run_steps(*operands: Any) -> Any:
    *arrays, cval, run, count, steps = operands
    weights = iter(arrays[count:])
    made = [run(arrays[n], *itertools.islice(weights, length), cval, *static) for n, length, static in steps]
    return made[0] if len(made) == 1 else made


def _is_held(cval: Any, border: str, dtype: Any) -> bool:
    """Whether an integer image holds what lies beyond its edge, which may be a fraction, or out of range."""
    return cval is None or border != "constant" or cval.dtype == dtype


def _correlate_integers(x: jax.Array, *operands) -> jax.Array:
    *weights, cval, pass_ = operands
    return integers.correlate_line(x, tuple(weights), cval, pass_.axis, pass_.border, pass_.reach, pass_.symmetry)


def _mean(x: jax.Array, cval: Any, pass_: Pass, exact: bool) -> jax.Array:
    """The mean of a window along an axis."""
    size, pads = sum(pass_.reach) + 1, pass_.pads(x.ndim)

    def sums(x: jax.Array) -> jax.Array:
        # The border is made before the loop that reads it. Otherwise the loop would test whether each element is in it.
        padded = xla_cpu.fusion_barrier(boundary.extend(x, pass_.border, pads, cval, xla_cpu.fusion_barrier))
        return xla_cpu.fusion_barrier(means.window_sums(padded, size, pass_.axis))

    return integers.mean(x, size, sums) if exact else sums(x) / size


def _correlate_line(x: jax.Array, weights: jax.Array, cval: Any, pass_: Pass) -> jax.Array:
    """sum_j x[i + j - low] weights[j] along an axis. The axes before it become images, those after it one axis."""
    before, n, after = math.prod(x.shape[: pass_.axis]), x.shape[pass_.axis], math.prod(x.shape[pass_.axis + 1 :])
    shape, kernel, pads = (before, 1, n, after), (-1, 1), (pass_.reach, (0, 0))
    if after == 1:  # the longest axis last, for the fastest loops
        shape, kernel, pads = (1, 1, before, n), (1, -1), ((0, 0), pass_.reach)
    return correlate_window(x.reshape(shape), weights.reshape(1, 1, *kernel), cval, pass_.border, pads).reshape(x.shape)


def apply_window(x: jax.Array, weights: Any, cval: Any, *, border: str, pads: Pads) -> jax.Array:
    """sum_j x[i + j - low] weights[j] over all axes, in the dtype of x."""
    weights = integers.split_weights(weights) if _is_exact(x, weights) else weights
    return _apply_window(x, _on_device(weights, x), cval, border=border, pads=pads)


@partial(jax.jit, static_argnames=("border", "pads"))
def _apply_window(x, weights, cval, *, border, pads):
    def run(x, weights, cval):
        if not isinstance(weights, tuple):
            wide = x.astype(filter_sum_dtype(x.dtype, weights))
            return cast_to_image(
                stencil(_correlate_image, [wide], [weights], cval, (border, pads), border=border, reach=pads), x.dtype
            )
        if x.size == 0:
            return x
        if not _is_held(cval, border, x.dtype):
            return _correlate_integer_image(x, *weights, cval, border, pads)
        return stencil(_correlate_integer_image, [x], weights, cval, (border, pads), border=border, reach=pads)

    return sharded_like_first(run, x, weights, cval)


def _correlate_image(x, weights, cval, border, pads) -> jax.Array:
    return correlate_window(x[None, None], weights[None, None], cval, border, pads)[0, 0]


def _correlate_integer_image(x, *operands) -> jax.Array:
    *weights, cval, border, pads = operands
    return integers.correlate_window(x, tuple(weights), cval, border, pads)


def correlate_window(x: jax.Array, weights: jax.Array, cval: Any, border: str, pads: Pads) -> jax.Array:
    """The correlation of (N, 1, *n) images and (O, 1, *k) windows, in the dtype of the sum."""
    dtype = filter_sum_dtype(x.dtype, weights)
    if 0 in x.shape:
        return jnp.zeros((x.shape[0], weights.shape[0], *x.shape[2:]), dtype)
    # The border is made before the loop that reads it. Otherwise the loop would test whether each element is in it.
    x = xla_cpu.fusion_barrier(boundary.extend(x.astype(dtype), border, pads, cval, xla_cpu.fusion_barrier))
    y = correlate_local(x, weights.astype(dtype), ((0, 0),) * len(pads))
    # A long sum is computed before the loops that read it, because each of them would compute it again if it were
    # fused.
    return xla_cpu.fusion_barrier(y) if weights.size > MAX_FUSED_PRODUCTS else y


def filter_sum_dtype(dtype: Any, *weights: Any) -> Any:
    """The dtype to sum in: that of the image, with three exceptions.

    It is the default float for integers, float32 for 16-bit floats, and complex if any weights are.
    """
    if not jnp.issubdtype(dtype, jnp.inexact):
        dtype = jnp.result_type(float)
    if dtype in (jnp.float16, jnp.bfloat16):
        dtype = jnp.dtype(jnp.float32)
    return np.result_type(dtype, np.complex64) if any(map(jnp.iscomplexobj, weights)) else dtype


def cast_to_image(y: jax.Array, dtype: Any) -> jax.Array:
    """y in the dtype of an image. Integers are rounded towards zero, and 8 and 16 bits wrap around, as in C."""
    whole = jnp.issubdtype(dtype, jnp.integer)
    if jnp.iscomplexobj(y):
        if whole:
            dtype = jax.dtypes.canonicalize_dtype(np.promote_types(dtype, np.complex64))
        return y.astype(dtype) if jnp.issubdtype(dtype, jnp.complexfloating) else y
    return integers.to_integer(y, dtype) if whole and jnp.issubdtype(y.dtype, jnp.floating) else y.astype(dtype)


# ---- the combination of results ----


def magnitude(results: list[jax.Array]) -> jax.Array:
    """The root of the sum of squares. If it is 0, so is its derivative. Integers are squared in their own dtype."""
    if all(jnp.issubdtype(y.dtype, jnp.integer) for y in results):
        squares = add_all([y * y for y in results])
        return _root(squares.astype(filter_sum_dtype(squares.dtype)))
    wide = [y.astype(filter_sum_dtype(y.dtype)) for y in results]
    power = _power_of_two(functools.reduce(lax.max, map(jnp.abs, wide)))
    # The squares of numbers near 1 neither overflow nor vanish, and nor do their second derivatives. Scaling by a power
    # of two does not round.
    root = _root(add_all([(y * (1 / power).astype(y.dtype)) ** 2 for y in wide]))
    return root * power.astype(root.dtype)


def _root(squares: jax.Array) -> jax.Array:
    flat = squares == 0
    return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squares)))


def _power_of_two(x: jax.Array) -> jax.Array:
    """The largest power of two that is no larger than x, among those whose reciprocal the dtype can hold."""
    info = jnp.finfo(x.dtype)
    integer = jnp.dtype(f"int{info.bits}")
    exponent = jnp.asarray(((1 << info.nexp) - 1) << info.nmant, integer)
    power = lax.bitcast_convert_type(lax.bitcast_convert_type(lax.stop_gradient(x), integer) & exponent, x.dtype)
    return jnp.clip(power, float(info.tiny), 1 / float(info.tiny))
