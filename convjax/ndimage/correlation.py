"""Filters with given weights, and means. `convjax.ndimage` describes modes, origins and dtypes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convjax._arguments import arrays, errors_scipy, images, values
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._arrays.sums import add_all
from convjax._filters import passes
from convjax._filters.passes import Pass


@explain_unknown_arguments
def correlate(
    input: Any, weights: Any, mode: str = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None
) -> jax.Array:
    """`scipy.ndimage.correlate`: the cross-correlation with a window of weights.

        y[i] = sum_j x[i + j - k // 2 - origin] conj(w[j])

    Args:
      input: (*n), an image of any number of axes.
      weights: (*k), one axis for each of `axes`; any sizes.
      mode, cval: what lies beyond the edge.
      origin: an int, or one for each axis, from -(k // 2) to (k - 1) // 2.
      axes: the axes to filter; None is all.

    Returns:
      (*n), in the dtype of input, or complex if the weights are.

    Raises:
      ValueError, TypeError: for weights with another number of axes or no elements, an unknown mode, a sequence of
        modes, an origin outside the window, axes that do not exist, or booleans.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.correlate(jnp.arange(5.0), jnp.array([1.0, 2.0, 0.0])).tolist()
    [0.0, 2.0, 5.0, 8.0, 11.0]
    """
    return _filter_window("ndimage.correlate", input, weights, mode, cval, origin, axes, flip=False)


@explain_unknown_arguments
def convolve(
    input: Any, weights: Any, mode: str = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None
) -> jax.Array:
    """`scipy.ndimage.convolve`: the convolution with a window of weights, which is flipped.

        y[i] = sum_j x[i - j + k // 2 + origin] w[j]

    Arguments, results and errors are those of `correlate`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.convolve(jnp.arange(5.0), jnp.array([1.0, 2.0, 0.0])).tolist()
    [1.0, 4.0, 7.0, 10.0, 12.0]
    """
    return _filter_window("ndimage.convolve", input, weights, mode, cval, origin, axes, flip=True)


@explain_unknown_arguments
def correlate1d(
    input: Any, weights: Any, axis: int = -1, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> jax.Array:
    """`scipy.ndimage.correlate1d`: the cross-correlation of every line along one axis.

    Args:
      weights: (k,).
      axis: the axis of input, by default the last one.

    Other arguments, results and errors are those of `correlate`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.correlate1d(jnp.eye(3), jnp.array([-1.0, 0.0, 1.0]), axis=0)[:, 0].tolist()
    [-1.0, -1.0, 0.0]
    """
    return _filter_line("ndimage.correlate1d", input, weights, axis, mode, cval, origin, flip=False)


@explain_unknown_arguments
def convolve1d(
    input: Any, weights: Any, axis: int = -1, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> jax.Array:
    """`scipy.ndimage.convolve1d`: the convolution of every line along one axis.

    Arguments, results and errors are those of `correlate1d`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.convolve1d(jnp.eye(3), jnp.array([-1.0, 0.0, 1.0]), axis=0)[:, 0].tolist()
    [1.0, 1.0, 0.0]
    """
    return _filter_line("ndimage.convolve1d", input, weights, axis, mode, cval, origin, flip=True)


@explain_unknown_arguments
def uniform_filter(
    input: Any, size: Any = 3, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0, *, axes: Any = None
) -> jax.Array:
    """`scipy.ndimage.uniform_filter`: the mean of a box, taken axis by axis.

    Args:
      size: the size of the box, an int or one for each of `axes`; 0 and 1 leave an axis unchanged.
      mode, origin: one for all axes, or one for each.

    Other arguments, results and errors are those of `correlate`. A window of k elements is summed in about log(k)
    passes, and a sum contains only elements of its own window. So rounding errors do not accumulate along a line and a
    NaN does not reach the rest of it. With SciPy's running sum, both do.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.uniform_filter(jnp.array([0.0, 0.0, 6.0, 0.0])).tolist()
    [0.0, 2.0, 2.0, 2.0]
    """
    name = "ndimage.uniform_filter"
    x = images.image(name, input)
    axes = images.axes(name, axes, x.ndim)
    sizes = tuple(max(n, 1) for n in images.sizes(name, size, len(axes), minimum=0))
    return _filter_means(name, x, axes, sizes, mode, cval, origin)


@explain_unknown_arguments
def uniform_filter1d(
    input: Any, size: int, axis: int = -1, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> jax.Array:
    """`scipy.ndimage.uniform_filter1d`: the mean of a window along one axis.

    Arguments, results and errors are those of `uniform_filter` and `correlate1d`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.uniform_filter1d(jnp.array([2, 8, 0, 4, 1, 9, 9, 0]), 3).tolist()
    [4, 3, 4, 1, 4, 6, 6, 3]
    """
    name = "ndimage.uniform_filter1d"
    x = images.image(name, input)
    axes = (images.axis(name, axis, x.ndim),)
    return _filter_means(name, x, axes, (values.integer(name, "size", size, 1),), mode, cval, origin)


# ---- implementation ----


def _filter_window(
    function: str, input: Any, weights: Any, mode: Any, cval: Any, origin: Any, axes: Any, *, flip: bool
):
    x, w = images.image(function, input), _window_weights(function, weights, flip)
    axes = images.axes(function, axes, x.ndim)
    if w.ndim != len(axes) or 0 in w.shape:
        raise errors_scipy.wrong_weights(function, "weights", w.shape, len(axes))
    border = images.one_border(function, mode)
    origins = images.origins(function, origin, axes, x.ndim)
    pads = images.per_image_axis(axes, x.ndim, _reaches(function, w.shape, origins, flip), (0, 0))
    images.check_bordered(function, "weights", w.shape, x.shape, dict(enumerate(pads)))
    w = w.reshape(images.per_image_axis(axes, x.ndim, w.shape, 1))
    return passes.apply_window(x, w, images.fill(function, cval, x.dtype), border=border, pads=pads)


def _filter_line(function: str, input: Any, weights: Any, axis: Any, mode: Any, cval: Any, origin: Any, *, flip: bool):
    x, w = images.image(function, input), _window_weights(function, weights, flip)
    if w.ndim != 1 or w.size == 0:
        raise errors_scipy.wrong_weights(function, "weights", w.shape, 1)
    axis, border = images.axis(function, axis, x.ndim), images.border(function, mode)
    (reach,) = _reaches(function, w.shape, origin, flip)
    images.check_bordered(function, "weights", w.shape, x.shape, {axis: reach})
    pass_, cval = Pass(axis, border, reach), images.fill(function, cval, x.dtype)
    return passes.apply_passes(x, ((w,),), cval, chains=((pass_,),), combine=add_all)


def _filter_means(function: str, x: jax.Array, axes: Any, sizes: Any, mode: Any, cval: Any, origin: Any) -> jax.Array:
    borders, reaches = images.borders(function, mode, len(axes)), images.reaches(function, sizes, origin)
    for axis, reach, n in zip(axes, reaches, sizes, strict=True):
        images.check_bordered(function, "size", n, x.shape, {axis: reach})
    chain = tuple(pass_ for pass_, size in zip(map(Pass, axes, borders, reaches), sizes, strict=True) if size > 1)
    none, cval = (None,) * len(chain), images.fill(function, cval, x.dtype)
    return passes.apply_constant_passes(x, cval, weights=(none,), chains=(chain,), combine=add_all)


def _window_weights(function: str, weights: Any, flip: bool) -> Any:
    """The weights of a correlation. Unless they are JAX arrays, they become a NumPy array, with all their digits."""
    w = arrays.array(function, "weights", weights)
    mine = all(isinstance(a, (np.ndarray, np.generic, int, float, complex)) for a in jax.tree.leaves(weights))
    if mine and w.dtype != np.bool_:
        return (np.flip if flip else np.conj)(np.asarray(weights))
    return jnp.flip(w) if flip else jnp.conj(w)


def _reaches(function: str, shape: Any, origin: Any, flip: bool):
    """How many elements before and after a result its window reads. Flipping the window swaps the two numbers."""
    reaches = images.reaches(function, shape, origin)
    return tuple(pair[::-1] for pair in reaches) if flip else reaches
