"""Differences of neighbours, and filters made of any derivative. `convjax.ndimage` describes modes and dtypes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from convjax._arguments import errors_scipy, images
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._arrays.sums import add_all
from convjax._filters import passes
from convjax._filters.passes import Pass

_REACH_OF_THREE = (1, 1)  # of a window of three elements


@explain_unknown_arguments
def sobel(input: Any, axis: int = -1, mode: Any = "reflect", cval: Any = 0.0) -> jax.Array:
    """`scipy.ndimage.sobel`: the central difference along one axis, smoothed by (1, 2, 1) along the others.

    Args:
      input: (*n), an image of any number of axes.
      axis: the axis of the difference x[i + 1] - x[i - 1], which is positive where the image rises.
      mode, cval: what lies beyond the edge, one for all axes or one for each.

    Returns:
      (*n), in the dtype of input: 8-bit images wrap around, as in SciPy.

    Raises:
      ValueError, TypeError: for an axis that does not exist, an unknown mode, or booleans.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.sobel(jnp.array([[0, 0, 1, 1], [0, 0, 1, 1]])).tolist()
    [[0, 4, 4, 0], [0, 4, 4, 0]]
    """
    return _smoothed_difference("ndimage.sobel", input, axis, mode, cval, (1, 2, 1))


@explain_unknown_arguments
def prewitt(input: Any, axis: int = -1, mode: Any = "reflect", cval: Any = 0.0) -> jax.Array:
    """`scipy.ndimage.prewitt`: the central difference along one axis, summed over (1, 1, 1) along the others.

    Arguments, results and errors are those of `sobel`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.prewitt(jnp.array([[0, 0, 1, 1], [0, 0, 1, 1]])).tolist()
    [[0, 3, 3, 0], [0, 3, 3, 0]]
    """
    return _smoothed_difference("ndimage.prewitt", input, axis, mode, cval, (1, 1, 1))


@explain_unknown_arguments
def laplace(input: Any, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> jax.Array:
    """`scipy.ndimage.laplace`: the sum of the second differences x[i - 1] - 2 x[i] + x[i + 1] along each axis.

    Args:
      mode, cval: what lies beyond the edge, one for all axes or one for each.
      axes: the axes along which to take differences; None is all.

    Other arguments, results and errors are those of `sobel`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.laplace(jnp.array([0, 0, 1, 0, 0])).tolist()
    [0, 1, -2, 1, 0]
    """
    name = "ndimage.laplace"
    x = images.image(name, input)
    axes = images.axes(name, axes, x.ndim)
    borders = images.borders(name, mode, len(axes))
    cval = images.fill(name, cval, x.dtype)
    chains = tuple((Pass(axis, border, _REACH_OF_THREE),) for axis, border in zip(axes, borders, strict=True))
    weights = (((1, -2, 1),),) * len(chains)
    return passes.apply_constant_passes(x, cval, weights=weights, chains=chains, combine=add_all)


@explain_unknown_arguments
def generic_laplace(
    input: Any,
    derivative2: Callable[..., Any],
    mode: Any = "reflect",
    cval: Any = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.generic_laplace`: the sum of any second derivative along each axis.

    Args:
      derivative2: derivative2(input, axis, mode, cval, *extra_arguments, **extra_keywords) returns the second
        derivative along an axis. SciPy also passes `output`, after axis.
      mode, cval: passed to it, one for all axes or one for each.

    Other arguments, results and errors are those of `laplace`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> second = lambda x, axis, mode, cval: ndimage.correlate1d(x, [1, -2, 1], axis, mode, cval)
    >>> ndimage.generic_laplace(jnp.array([0, 0, 1, 0, 0]), second).tolist()
    [0, 1, -2, 1, 0]
    """
    call = "ndimage.generic_laplace", input, "derivative2", derivative2, mode, cval, extra_arguments, extra_keywords
    return _generic(*call, axes, add_all)


@explain_unknown_arguments
def generic_gradient_magnitude(
    input: Any,
    derivative: Callable[..., Any],
    mode: Any = "reflect",
    cval: Any = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.generic_gradient_magnitude`: the root of the sum of squares of any derivative along each axis.

    Args:
      derivative: derivative(input, axis, mode, cval, *extra_arguments, **extra_keywords) returns the derivative along
        an axis, as `sobel` does. SciPy also passes `output`, after axis.

    Other arguments, results and errors are those of `generic_laplace`. If the magnitude is 0, so is its derivative.
    Integers are squared in their own dtype, as in SciPy.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> step = jnp.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    >>> ndimage.generic_gradient_magnitude(step, ndimage.sobel).tolist()
    [[0.0, 4.0, 4.0, 0.0], [0.0, 4.0, 4.0, 0.0]]
    """
    name = "ndimage.generic_gradient_magnitude"
    call = name, input, "derivative", derivative, mode, cval, extra_arguments, extra_keywords
    return _generic(*call, axes, passes.magnitude)


# ---- implementation ----


def _smoothed_difference(name: str, input: Any, axis: Any, mode: Any, cval: Any, across: tuple) -> jax.Array:
    x = images.image(name, input)
    axis = images.axis(name, axis, x.ndim)
    borders = images.borders(name, mode, x.ndim)
    cval = images.fill(name, cval, x.dtype)
    axes = [axis, *[i for i in range(x.ndim) if i != axis]]
    chain = tuple(Pass(i, borders[i], _REACH_OF_THREE) for i in axes)
    weights = ((-1, 0, 1), *[across] * (x.ndim - 1))
    return passes.apply_constant_passes(x, cval, weights=(weights,), chains=(chain,), combine=add_all)


def _generic(name, input, argument, derivative, mode, cval, extra_arguments, extra_keywords, axes, combine):
    x = images.image(name, input)
    derivative = images.checked_function(name, argument, derivative)
    axes = images.axes(name, axes, x.ndim)
    modes = images.per_axis(name, "mode", mode, len(axes))
    pairs = zip(axes, modes, strict=True)
    keywords = extra_keywords or {}
    results = [derivative(x, axis, how, cval, *extra_arguments, **keywords) for axis, how in pairs]
    for result in results:
        if getattr(result, "shape", None) != x.shape:
            raise errors_scipy.not_a_derivative(name, argument, result, x.shape)
    results = [jnp.asarray(result) for result in results]
    return _combine(results, combine=combine, dtype=x.dtype) if results else x


@partial(jax.jit, static_argnames=("combine", "dtype"))
def _combine(results: list[jax.Array], *, combine: Callable, dtype: Any) -> jax.Array:
    return passes.cast_to_image(combine(results), dtype)
