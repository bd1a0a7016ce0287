"""Filters that select an element of the window by its rank. `convjax.ndimage` describes modes, origins and dtypes.

A NaN counts as larger than every number, as in `numpy.sort`; SciPy leaves its rank undefined. `cval` is converted to
the dtype of the image first, and may wrap around there. The derivative of a result is that of the selected element;
equal elements of the window share it. It compares every element with every window that holds it, in the memory of a few
images.

Windows larger than the image read the same border as with every other filter. SciPy's rank filters do not always
(1.17). They differ along an axis of n elements for sizes above 8 n in mode "reflect". If the image is a single line,
they also differ for size 2 n + 2 in mode "reflect", and 2 n to 2 n + 2 in mode "mirror".
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from convjax._arguments import errors_scipy, images, values
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._arrays import boundary, xla_cpu
from convjax._arrays.sharding import sharded_like_first
from convjax._filters import passes, rank_select
from convjax._filters.passes import Pass
from convjax._operation.stencil import stencil
from convjax._spec import Pads


@explain_unknown_arguments
def minimum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.minimum_filter`: the smallest element of each window.

    A box takes O(log(k)) minima of whole images for each axis of k elements. A footprint takes one for each element.

    Args:
      input: (*n), an image of any number of axes; not complex.
      size: the size of a box, an int or one for each of `axes`. It is filtered axis by axis.
      footprint: a boolean array with an axis for each of `axes`, instead of size: the window's elements.
      mode, cval: what lies beyond the edge; for a box, one for all axes or one for each.
      origin: an int, or one for each axis, from -(k // 2) to (k - 1) // 2.
      axes: the axes to filter; None is all.

    Returns:
      (*n), in the dtype of input.

    Raises:
      ValueError, TypeError: without size and footprint, for a footprint with another number of axes or without a True,
        a traced footprint, a size below 1, an unknown mode, an origin outside the window, or complex numbers.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.minimum_filter(jnp.array([3, 1, 4, 1, 5, 9]), size=3).tolist()
    [1, 1, 1, 1, 1, 5]
    """
    return _select_rank("ndimage.minimum_filter", input, size, footprint, mode, cval, origin, axes, lambda count: 0)


@explain_unknown_arguments
def maximum_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.maximum_filter`: the largest element of each window.

    Arguments, results and errors are those of `minimum_filter`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.maximum_filter(jnp.array([3, 1, 4, 1, 5, 9]), footprint=[True, False, True]).tolist()
    [3, 4, 1, 5, 9, 9]
    """
    return _select_rank(
        "ndimage.maximum_filter", input, size, footprint, mode, cval, origin, axes, lambda count: count - 1
    )


@explain_unknown_arguments
def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.median_filter`: the middle element of each window; the upper of two if their number is even.

    Windows of k elements, up to 81, take Batcher's sorting network, with O(k log(k)^2) comparisons for each result. A
    line of k elements takes O(log(k)^2) comparisons, by sorted lists that neighbouring windows share (L. Sugy, "A Fast
    Parallel Median Filtering Algorithm Using Hierarchical Tiling", SIGGRAPH 2025). The memory is about 6 + log2(k)
    times that of 10^5 elements, or of the whole line if it is shorter. A box that is large or long takes as much for
    each element across its longest axis. Any other window takes k comparisons for each bit of the dtype, in the memory
    of a few images.

    Arguments, results and errors are those of `minimum_filter`, with two exceptions. `mode` is the same for all axes.
    The sizes of a box belong to the filtered axes in the order of the image, not in the order of `axes`: with
    `axes=(1, 0)`, `size=(3, 5)` is 3 along axis 0. That is as in SciPy, where it is an open issue.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.median_filter(jnp.array([3, 1, 4, 1, 5, 9]), size=3).tolist()
    [3, 3, 1, 4, 5, 9]
    """
    return _select_rank(
        "ndimage.median_filter", input, size, footprint, mode, cval, origin, axes, lambda count: count // 2
    )


@explain_unknown_arguments
def rank_filter(
    input: Any,
    rank: int,
    size: Any = None,
    footprint: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.rank_filter`: the element of each window that has `rank` smaller ones.

    Args:
      rank: 0 is the smallest element. Negative ranks count from the largest, which is -1.

    Other arguments, results and errors are those of `median_filter`, and so are the cost and the order of the sizes of
    a box.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.rank_filter(jnp.array([3, 1, 4, 1, 5, 9]), -2, size=3).tolist()
    [3, 3, 1, 4, 5, 9]
    """
    name = "ndimage.rank_filter"
    given = values.integer(name, "rank", rank, -(2**31))

    def chosen(count: int) -> int:
        if not -count <= given < count:
            raise errors_scipy.not_in_window(name, "rank", rank, -count, count - 1, count)
        return given % count

    return _select_rank(name, input, size, footprint, mode, cval, origin, axes, chosen)


@explain_unknown_arguments
def percentile_filter(
    input: Any,
    percentile: float,
    size: Any = None,
    footprint: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> jax.Array:
    """`scipy.ndimage.percentile_filter`: the element of each window of rank int(count * percentile / 100).

    Args:
      percentile: from 0, the smallest element, to 100, the largest. 100 is added to negative ones, which start at -100.

    Other arguments, results and errors are those of `median_filter`, and so are the cost and the order of the sizes of
    a box.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.percentile_filter(jnp.array([3, 1, 4, 1, 5, 9]), 20, size=3).tolist()
    [1, 1, 1, 1, 1, 5]
    """
    name = "ndimage.percentile_filter"
    given = images.checked_number(name, "percentile", percentile)

    def chosen(count: int) -> int:
        if not -100 <= given <= 100:
            raise errors_scipy.not_in_window(name, "percentile", percentile, -100, 100, count)
        share = given + 100 * (given < 0)
        return count - 1 if share == 100 else int(float(count) * share / 100)

    return _select_rank(name, input, size, footprint, mode, cval, origin, axes, chosen)


@explain_unknown_arguments
def minimum_filter1d(
    input: Any, size: int, axis: int = -1, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> jax.Array:
    """`scipy.ndimage.minimum_filter1d`: the smallest element of a window along one axis.

    Arguments, results and errors are those of `minimum_filter`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.minimum_filter1d(jnp.array([3, 1, 4, 1, 5, 9]), 2).tolist()
    [3, 1, 1, 1, 1, 5]
    """
    return _extremum_1d("ndimage.minimum_filter1d", input, size, axis, mode, cval, origin, largest=False)


@explain_unknown_arguments
def maximum_filter1d(
    input: Any, size: int, axis: int = -1, mode: str = "reflect", cval: Any = 0.0, origin: int = 0
) -> jax.Array:
    """`scipy.ndimage.maximum_filter1d`: the largest element of a window along one axis.

    Arguments, results and errors are those of `minimum_filter`.

    >>> import jax.numpy as jnp
    >>> from convjax import ndimage
    >>> ndimage.maximum_filter1d(jnp.array([3, 1, 4, 1, 5, 9]), 2).tolist()
    [3, 3, 4, 4, 5, 9]
    """
    return _extremum_1d("ndimage.maximum_filter1d", input, size, axis, mode, cval, origin, largest=True)


# ---- implementation ----


def _extremum_1d(name: str, input: Any, size: Any, axis: Any, mode: Any, cval: Any, origin: Any, *, largest: bool):
    x = images.image(name, input, booleans=True, complexes=False)
    axis = images.axis(name, axis, x.ndim)
    reach = images.reach(name, values.integer(name, "size", size, 1), origin)
    images.check_bordered(name, "size", size, x.shape, {axis: reach})
    pass_ = Pass(axis, images.border(name, mode), reach)
    return sharded_like_first(
        partial(_box_extremum, passes_of_box=(pass_,), largest=largest), x, images.fill(name, cval, x.dtype)
    )


def _select_rank(
    name: str, input: Any, size: Any, footprint: Any, mode: Any, cval: Any, origin: Any, axes: Any, find: Callable
):
    x = images.image(name, input, booleans=True, complexes=False)
    axes = images.axes(name, axes, x.ndim)
    window = _footprint(name, size, footprint, len(axes))
    shape = images.sizes(name, size, len(axes)) if window is None else window.shape
    argument: tuple[str, Any] = ("size", size) if window is None else ("footprint", shape)
    values.check_countable(name, (*argument, shape))
    count = math.prod(shape) if window is None else int(window.sum())
    rank = find(count)
    cval = images.fill(name, cval, x.dtype)
    if count == math.prod(shape) and rank in (0, count - 1):
        borders = dict(zip(axes, images.borders(name, mode, len(axes)), strict=True))
        if name not in ("ndimage.minimum_filter", "ndimage.maximum_filter"):
            # In these two filters, the sizes of a box are in the order of `axes`. In the others, and for any other
            # window, they are in the order of the image's axes.
            axes, origin = tuple(sorted(axes)), images.origins(name, origin, axes, x.ndim)
        reaches = images.reaches(name, shape, origin)
        for axis, reach in zip(axes, reaches, strict=True):
            images.check_bordered(name, *argument, x.shape, {axis: reach})
        passes_of_box = [
            Pass(axis, borders[axis], reach) for axis, reach in zip(axes, reaches, strict=True) if sum(reach)
        ]
        return sharded_like_first(partial(_box_extremum, passes_of_box=tuple(passes_of_box), largest=rank > 0), x, cval)
    border = images.one_border(name, mode)
    reaches = images.reaches(name, shape, images.origins(name, origin, axes, x.ndim))
    pads = images.per_image_axis(axes, x.ndim, reaches, (0, 0))
    images.check_bordered(name, *argument, x.shape, dict(enumerate(pads)))
    window = np.ones(shape, bool) if window is None else window
    shape = images.per_image_axis(axes, x.ndim, shape, 1)
    return sharded_like_first(
        partial(_window_rank, border=border, pads=pads, window=(shape, window.tobytes()), rank=rank), x, cval
    )


def _footprint(name: str, size: Any, footprint: Any, count: int) -> np.ndarray | None:
    """The footprint as an array, or None for a box of `size`."""
    if footprint is None:
        if size is None:
            raise errors_scipy.no_window(name)
        return None
    if size is not None:
        warnings.warn(f"convjax.{name}: ignoring size because footprint is set", UserWarning, stacklevel=5)
    if isinstance(footprint, jax.core.Tracer):
        raise errors_scipy.traced_footprint(name)
    try:
        window = np.asarray(footprint, bool)
    except ValueError as error:
        raise errors_scipy.ragged_footprint(name, footprint) from error
    if window.ndim != count or 0 in window.shape:
        raise errors_scipy.wrong_weights(name, "footprint", window.shape, count)
    if not window.any():
        raise errors_scipy.empty_footprint(name)
    return window


@partial(jax.jit, static_argnames=("passes_of_box", "largest"))
def _box_extremum(x: jax.Array, cval: Any, *, passes_of_box: tuple[Pass, ...], largest: bool) -> jax.Array:
    fill = _fill(cval, x.dtype)
    for pass_ in passes_of_box if x.size else ():
        x = stencil(_line_extremum, [x], (), fill, (pass_, largest), border=pass_.border, reach=pass_.pads(x.ndim))
    return x


def _line_extremum(x: jax.Array, fill: jax.Array | None, pass_: Pass, largest: bool) -> jax.Array:
    padded = _extend(x, pass_.border, pass_.pads(x.ndim), fill)
    return rank_select.extremum(padded, pass_.axis, sum(pass_.reach) + 1, largest)


@partial(jax.jit, static_argnames=("border", "pads", "window", "rank"))
def _window_rank(
    x: jax.Array, cval: Any, *, border: str, pads: Pads, window: tuple[tuple[int, ...], bytes], rank: int
) -> jax.Array:
    """`window` is a footprint with as many axes as x: its shape, and its booleans as bytes, which compare fast."""
    if 0 in x.shape:
        return x
    fill = _fill(cval, x.dtype)
    return stencil(_nth_smallest, [x], (), fill, (border, pads, window, rank), border=border, reach=pads)


def _nth_smallest(x: jax.Array, fill: jax.Array | None, border: str, pads: Pads, window, rank: int) -> jax.Array:
    shape, inside = window
    offsets = tuple(map(tuple, np.argwhere(np.frombuffer(inside, bool).reshape(shape)).tolist()))
    return rank_select.nth_smallest(_extend(x, border, pads, fill), offsets, x.shape, rank)


def _fill(cval: jax.Array | None, dtype: Any) -> jax.Array | None:
    return None if cval is None else passes.cast_to_image(cval, dtype)


def _extend(x: jax.Array, border: str, pads: Sequence[tuple[int, int]], fill: jax.Array | None) -> jax.Array:
    return boundary.extend(x, border, pads, fill, xla_cpu.fusion_barrier)
