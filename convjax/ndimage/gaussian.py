"""The Gaussian, and filters made of its derivatives. `convjax.ndimage` describes modes and dtypes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convjax._arguments import images, values
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._arrays.sums import add_all
from convjax._filters import passes
from convjax._filters.passes import Pass


@explain_unknown_arguments
def gaussian_filter(
    input: Any,
    sigma: Any,
    order: Any = 0,
    mode: Any = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.gaussian_filter`: smoothing with a sampled Gaussian, or its derivatives, axis by axis.

        w[j] = (d/dj)^order g(j),   g(j) = exp(-j^2 / (2 sigma^2)) / sum_i exp(-i^2 / (2 sigma^2)),   |j| <= radius

    Args:
      input: (*n), an image of any number of axes.
      sigma: standard deviation in elements, or one for each of `axes`; 0 leaves an axis unchanged. It may be traced,
        and so be learned, if `radius` is given.
      order: the order of the derivative along each axis; 0 is the Gaussian itself.
      mode, cval: what lies beyond the edge, one for all axes or one for each.
      truncate: how many standard deviations to keep on each side if `radius` is None.
      radius: how many elements to keep on each side, one for all axes or one for each; None is
        int(truncate * sigma + 0.5).
      axes: the axes to filter; None is all.

    Returns:
      (*n), in the dtype of input. Integers are rounded towards zero after each axis, as in SciPy, so smooth floats.

    Raises:
      ValueError, TypeError: for a negative sigma, order or radius, a traced sigma without a radius, sequences that
        differ from `axes` in length, an unknown mode, or booleans.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> (100 * ndimage.gaussian_filter(jnp.eye(3), 1.0)).round().astype(int).tolist()
    [[50, 33, 17], [33, 34, 33], [17, 33, 50]]
    """
    name = "ndimage.gaussian_filter"
    x = images.image(name, input)
    axes = images.axes(name, axes, x.ndim)
    borders = images.borders(name, mode, len(axes))
    sigmas = images.per_axis(name, "sigma", sigma, len(axes))
    sigmas, radii = _sigmas_and_radii(name, x, axes, sigmas, truncate, radius)
    orders = [values.integer(name, "order", n, 0) for n in images.per_axis(name, "order", order, len(axes))]
    return _filter(name, x, axes, [borders], sigmas, radii, [orders], cval, add_all)


@explain_unknown_arguments
def gaussian_filter1d(
    input: Any,
    sigma: Any,
    axis: int = -1,
    order: int = 0,
    mode: str = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: int | None = None,
) -> jax.Array:
    """`scipy.ndimage.gaussian_filter1d`: smoothing along one axis with a sampled Gaussian, or its derivative.

    Arguments, results and errors are those of `gaussian_filter`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> (100 * ndimage.gaussian_filter1d(jnp.array([0.0, 0.0, 1.0, 0.0, 0.0]), 1.0)).round().astype(int).tolist()
    [6, 24, 40, 24, 6]
    """
    name = "ndimage.gaussian_filter1d"
    x = images.image(name, input)
    axes = (images.axis(name, axis, x.ndim),)
    borders = [(images.border(name, mode),)]
    sigmas = [images.checked_sigma(name, sigma, zero=False)]
    radii = [images.radius(name, x, axes[0], sigmas[0], truncate, radius)]
    orders = [[values.integer(name, "order", order, 0)]]
    return _filter(name, x, axes, borders, sigmas, radii, orders, cval, add_all)


@explain_unknown_arguments
def gaussian_laplace(
    input: Any,
    sigma: Any,
    mode: Any = "reflect",
    cval: Any = 0.0,
    *,
    truncate: float = 4.0,
    radius: Any = None,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.gaussian_laplace`: the sum of the second derivatives of the Gaussian along each axis.

    Its zero crossings are edges at the scale sigma: Marr and Hildreth, "Theory of edge detection", 1980. Arguments,
    results and errors are those of `gaussian_filter`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> (100 * ndimage.gaussian_laplace(jnp.array([0.0, 0.0, 1.0, 0.0, 0.0]), 1.0)).round().astype(int).tolist()
    [20, 0, -40, 0, 20]
    """
    name = "ndimage.gaussian_laplace"
    x = images.image(name, input)
    axes = images.axes(name, axes, x.ndim)
    sigmas = images.per_axis(name, "sigma", sigma, len(axes))
    if len(axes) < x.ndim:  # the other axes are unchanged
        given = dict(zip(axes, sigmas, strict=True))
        sigmas = [given.get(axis, 0) for axis in range(x.ndim)]
    return _derivatives(name, x, axes, sigmas, 2, mode, cval, truncate, radius, add_all)


@explain_unknown_arguments
def gaussian_gradient_magnitude(
    input: Any,
    sigma: Any,
    mode: Any = "reflect",
    cval: Any = 0.0,
    *,
    truncate: float = 4.0,
    radius: Any = None,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.gaussian_gradient_magnitude`: the root of the sum of squares of the Gaussian's first derivatives.

    Args:
      sigma, radius: one for all axes of input, or one for each; all of them are smoothed.
      axes: the axes along which to take derivatives; None is all.

    If the magnitude is 0, so is its derivative. Other arguments, results and errors are those of
    `gaussian_filter`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> step = jnp.array([0.0, 0.0, 1.0, 1.0, 1.0])
    >>> (100 * ndimage.gaussian_gradient_magnitude(step, 1.0)).round().astype(int).tolist()
    [11, 36, 36, 12, 1]
    """
    name = "ndimage.gaussian_gradient_magnitude"
    x = images.image(name, input)
    axes = images.axes(name, axes, x.ndim)
    sigmas = images.per_axis(name, "sigma", sigma, x.ndim)
    return _derivatives(name, x, axes, sigmas, 1, mode, cval, truncate, radius, passes.magnitude)


# ---- implementation ----


def _derivatives(name, x, axes, sigmas, order: int, mode, cval, truncate, radius, combine) -> jax.Array:
    """The order-th derivative along each of the axes, each smoothed along all axes of the image."""
    # As in SciPy, the mode of a derivative is also that of the axes that are smoothed with it.
    borders = [[border] * x.ndim for border in images.borders(name, mode, len(axes))]
    sigmas, radii = _sigmas_and_radii(name, x, range(x.ndim), sigmas, truncate, radius)
    orders = [[order * (other == axis) for other in range(x.ndim)] for axis in axes]
    return _filter(name, x, range(x.ndim), borders, sigmas, radii, orders, cval, combine)


def _sigmas_and_radii(name: str, x: jax.Array, axes: Sequence[int], sigmas: list[Any], truncate: Any, radius: Any):
    radii = images.per_axis(name, "radius", radius, len(sigmas))
    sigmas = [images.checked_sigma(name, sigma, zero=True) for sigma in sigmas]
    return sigmas, [images.radius(name, x, i, s, truncate, r) for i, s, r in zip(axes, sigmas, radii, strict=True)]


def _filter(name, x, axes, borders, sigmas, radii, orders, cval, combine) -> jax.Array:
    """Apply one chain of passes for each row of `borders` and `orders`. Axes whose sigma is 0 are unchanged."""
    cval = images.fill(name, cval, x.dtype)
    used = [i for i, sigma in enumerate(sigmas) if images.is_smoothing(sigma)]
    chains = tuple(tuple(Pass(axes[i], row[i], (radii[i], radii[i])) for i in used) for row in borders)
    made: dict[tuple, Any] = {}  # axes with equal sigma, order and radius share their weights

    def kernel(i, order):
        key = sigmas[i] if isinstance(sigmas[i], float) else i, order, radii[i]
        if key not in made:
            made[key] = _weights(sigmas[i], order, radii[i])
        return made[key]

    weights = tuple(tuple(kernel(i, row[i]) for i in used) for row in orders)
    return passes.apply_passes(x, weights, cval, chains=chains, combine=combine)


def _weights(sigma: Any, order: int, radius: int) -> Any:
    """The order-th derivative of the Gaussian g, flipped for a correlation.

    g^(n)(j) = p_n(j) g(j) with p_0 = 1 and p_n+1 = p_n' - j p_n / sigma^2. The operations and their order are SciPy's,
    because a last bit decides how integers are rounded.
    """
    offsets: Any = np.arange(-radius, radius + 1)
    traced = isinstance(sigma, jax.core.Tracer)
    if traced:
        given = sigma.astype(passes.filter_sum_dtype(sigma.dtype))
        sigma, offsets = jnp.where(given > images.MAX_ZERO_SIGMA, given, 1), jnp.asarray(offsets, given.dtype)
    variance = sigma * sigma
    library: Any = jnp if traced else np
    bell = library.exp(-0.5 / variance * offsets**2)
    weights = bell / bell.sum()
    if order:
        polynomial = [1.0] + [0.0] * order  # coefficients of 1, j, j^2, ...
        for _ in range(order):
            lower = [0.0, *polynomial[:-1]]
            slopes = [*[n * c for n, c in enumerate(polynomial)][1:], 0.0]
            polynomial = [slope - c / variance for slope, c in zip(slopes, lower, strict=True)]
        powers = library.stack([offsets**n for n in range(order + 1)], 1)
        weights = powers.dot(library.stack(polynomial)) * weights
    weights = weights[::-1]
    return jnp.where(given > images.MAX_ZERO_SIGMA, weights, jnp.where(offsets == 0, 1.0, 0.0)) if traced else weights
