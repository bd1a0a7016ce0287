"""Edges in images: the magnitude and direction of the gradient for any pair of kernels, and Canny's edge detector."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from convjax._arguments import arrays, errors, errors_scipy, images, values
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._arrays import xla_cpu
from convjax._arrays.sharding import sharded_like_first
from convjax._filters import passes
from convjax._operation.stencil import stencil
from convjax.ndimage import gaussian_filter, sobel

__all__ = ["Gradient", "canny", "gradient"]


class Gradient(NamedTuple):
    """How steep an image is at each pixel, and in which direction it rises, in radians."""

    magnitude: jax.Array
    direction: jax.Array


@explain_unknown_arguments
def gradient(image: Any, kernels: Any, mode: str = "reflect", cval: Any = 0.0) -> Gradient:
    """The magnitude and direction of the gradient that a pair of `convjax.kernels` measures.

        magnitude = sqrt(Gx^2 + Gy^2),   direction = arctan2(-Gy, -Gx)

    Gx and Gy are `scipy.ndimage.correlate` with each kernel. The responses are positive where an image falls, hence the
    signs. The direction is in -pi to pi: 0 if the image rises to the right, pi / 2 if it rises downwards.

    Args:
      image: (..., H, W). Integers and booleans are converted to the default float without scaling.
      kernels: (2, 1, k, l), as `kernels.sobel()`, `prewitt()`, `scharr()` or `roberts()` give, or (2, k, l). With
        the Roberts cross, directions are relative to its own first diagonal, pi / 4 below the horizontal.
      mode, cval: what lies beyond the edge, as in `convjax.ndimage`.

    Returns:
      (magnitude, direction), each (..., H, W) in the floating dtype of image. The magnitude does not overflow or vanish
      if only its square would, as with `numpy.hypot`. A flat pixel has magnitude 0 and direction 0, and the derivatives
      of both are 0 there.

    Raises:
      ValueError, TypeError: for an image with fewer than two axes, with colours along the last axis, or of complex
        numbers, kernels of another shape, or an unknown mode.

    >>> import jax.numpy as jnp
    >>> import convjax
    >>> image = jnp.array([[0.0, 0.0, 1.0, 1.0]] * 3)
    >>> magnitude, direction = convjax.edges.gradient(image, convjax.kernels.sobel())
    >>> magnitude[1].tolist(), direction[1].tolist()
    ([0.0, 4.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    """
    name = "edges.gradient"
    x = images.image(name, image, "image", booleans=True, complexes=False)
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
    if x.ndim < 2:
        raise errors_scipy.not_an_image(name, x.shape, "(H, W), or several of them in front")
    if x.ndim > 2 and x.shape[-1] in (3, 4) and min(x.shape[-3:-1]) >= 16:
        raise errors_scipy.colours_last(name, x.shape)
    w = arrays.array(name, "kernels", kernels)
    w = w[:, 0] if w.ndim == 4 and w.shape[1] == 1 else w
    if w.ndim != 3 or w.shape[0] != 2 or 0 in w.shape:
        raise errors_scipy.not_a_pair(name, jnp.shape(kernels))
    if jnp.iscomplexobj(w):
        raise errors_scipy.complex_kernels(name, w.dtype)
    pads = tuple(images.reach(name, k, 0) for k in w.shape[1:])
    images.check_bordered(name, "kernels", w.shape, x.shape, {x.ndim - 2: pads[0], x.ndim - 1: pads[1]})
    cval = images.fill(name, cval, x.dtype)
    measured = partial(_gradient, border=images.border(name, mode), pads=pads)
    return Gradient(*sharded_like_first(measured, x, w, cval))


@partial(jax.jit, static_argnames=("border", "pads"))
def _gradient(x, w, cval, *, border, pads):
    wide = x.astype(passes.filter_sum_dtype(x.dtype, w))
    reach = ((0, 0),) * (x.ndim - 2) + pads
    rises = stencil(_rises, [wide], [w], cval, (border, pads), border=border, reach=reach, results=2)
    flat = (rises[0] == 0) & (rises[1] == 0)
    direction = jnp.arctan2(jnp.where(flat, 0, rises[1]), jnp.where(flat, 1, rises[0]))
    return passes.magnitude(list(rises)).astype(x.dtype), direction.astype(x.dtype)


def _rises(x, w, cval, border, pads) -> list[jax.Array]:
    """How much an image rises by each of two kernels: the negative of what they measure."""
    y = passes.correlate_window(x.reshape(math.prod(x.shape[:-2]), 1, *x.shape[-2:]), w[:, None], cval, border, pads)
    return [0 - y[:, i].reshape(x.shape) for i in (0, 1)]  # 0 - y, because -y is -0.0 for 0.0


@explain_unknown_arguments
def canny(
    image: Any,
    sigma: Any = 1.0,
    low_threshold: Any = None,
    high_threshold: Any = None,
    mask: Any = None,
    use_quantiles: bool = False,
    *,
    mode: str = "constant",
    cval: Any = 0.0,
) -> jax.Array:
    """`skimage.feature.canny`: thin edges, found by following ridges of the gradient magnitude from strong pixels.

    The image is smoothed by a Gaussian, and its Sobel gradient is taken. Non-maximum suppression keeps the pixels whose
    magnitude is no smaller than that of both neighbours along the gradient, interpolated linearly between pixels.
    Hysteresis keeps those from `low_threshold` up that are connected, diagonals included, to one from `high_threshold`
    up. Canny, "A computational approach to edge detection", 1986.

    Args:
      image: (H, W). Integers, and the thresholds with them, are divided by the largest integer of the dtype.
      sigma: standard deviation of the Gaussian in pixels, or one for each axis; 0 does not smooth.
      low_threshold, high_threshold: thresholds of the Sobel magnitude; None is 0.1 and 0.2 times the largest integer of
        the dtype, or 0.1 and 0.2 for floats. They may be traced.
      mask: (H, W) of booleans, the pixels to consider. Other pixels do not affect the smoothed image.
      use_quantiles: the thresholds are quantiles of the magnitude, from 0 to 1.
      mode, cval: what the Gaussian reads beyond the edge, as in `convjax.ndimage`; "constant" counts as masked.

    Returns:
      (H, W) of booleans. The outermost pixels are False. The steps are those of scikit-image, so that float64 gives the
      same pixels. Other floats round differently, so that either of two equal neighbours may be chosen, as in drawings.

    Raises:
      ValueError, TypeError: for an image without exactly two axes, of complex numbers or 64-bit integers, a mask of
        another shape, a low threshold above the high one, quantiles outside 0 to 1, an unknown mode.

    >>> import jax.numpy as jnp
    >>> import convjax
    >>> image = jnp.zeros((7, 8)).at[:, 4:].set(1.0)
    >>> convjax.edges.canny(image).astype(int)[3].tolist()
    [0, 0, 0, 1, 1, 0, 0, 0]
    """
    name = "edges.canny"
    x = images.image(name, image, "image", booleans=True, complexes=False)
    if x.ndim != 2:
        raise errors_scipy.not_an_image(name, x.shape, "(H, W), 2 axes")
    largest = 1.0
    if not jnp.issubdtype(x.dtype, jnp.floating):
        if x.dtype.itemsize == 8:
            raise errors.wrong_dtype(
                name, "image", x.dtype, "floats, or integers of 8 to 32 bits", "image / image.max()"
            )
        largest = 1.0 if x.dtype == jnp.bool_ else float(jnp.iinfo(x.dtype).max)
    use_quantiles = values.flag(name, "use_quantiles", use_quantiles)
    given = {"low_threshold": low_threshold, "high_threshold": high_threshold}
    low, high = (_threshold(name, a, v, largest, use_quantiles) for a, v in given.items())
    if not any(isinstance(v, jax.core.Tracer) for v in (low, high)) and low > high:
        raise errors_scipy.thresholds_cross(name, low_threshold, high_threshold)
    if mask is not None:
        mask = arrays.array(name, "mask", mask).astype(bool)
        if mask.shape != x.shape:
            raise errors_scipy.wrong_mask(name, mask.shape, x.shape)
    images.border(name, mode)
    sigma = [images.checked_positive(name, "sigma", s, zero=True) for s in images.per_axis(name, "sigma", sigma, 2)]
    for axis, each in enumerate(sigma):
        images.radius(name, x, axis, each)
    cval = images.fill(name, cval, x.dtype)
    low, high = (v if isinstance(v, jax.Array) else arrays.to_device(v) for v in (low, high))
    found = partial(_canny, sigma=tuple(sigma), largest=largest, quantiles=bool(use_quantiles), mode=mode)
    return sharded_like_first(found, x, mask, low, high, cval)


def _threshold(name: str, argument: str, value: Any, largest: float, quantiles: Any) -> Any:
    if value is None:
        return 0.1 if argument == "low_threshold" else 0.2
    if not (isinstance(value, jax.core.Tracer) and value.ndim == 0):
        value = images.checked_number(name, argument, value)
        if quantiles and not 0 <= value <= 1:
            raise errors_scipy.not_a_quantile(name, argument, value)
    return value if quantiles else value / largest


@partial(jax.jit, static_argnames=("sigma", "largest", "quantiles", "mode"))
def _canny(x, mask, low, high, cval, *, sigma, largest, quantiles, mode):
    if 0 in x.shape:
        return jnp.zeros(x.shape, bool)
    dtype = passes.filter_sum_dtype(x.dtype)
    x = x.astype(dtype)
    if largest != 1:
        x = jnp.maximum(x * (1 / largest), -1)
    blurred = partial(gaussian_filter, sigma=sigma, mode=mode, cval=0 if cval is None else cval)
    if mask is None and mode != "constant":
        smooth = blurred(x)
    else:
        valid = jnp.ones(x.shape, bool) if mask is None else mask
        share = blurred(valid.astype(dtype)) + jnp.finfo(dtype).eps
        smooth = blurred(jnp.where(valid, x, 0)) / share
    down, right = sobel(smooth, 0), sobel(smooth, 1)
    magnitude = xla_cpu.fusion_barrier(jnp.sqrt(down * down + right * right))
    low, high = (jnp.asarray(v, dtype) for v in (low, high))
    if quantiles:
        low, high = jnp.percentile(magnitude, 100 * jnp.stack([low, high]))
    inside = jnp.ones(x.shape, bool) if mask is None else mask
    crest = stencil(_suppress_non_maxima, [magnitude, down, right], reach=((1, 1), (1, 1)))
    crest &= stencil(_erode, [inside], reach=((1, 1), (1, 1))) & (magnitude >= low) & (magnitude > 0)
    return _follow_hysteresis(crest & (magnitude >= high), crest)


def _suppress_non_maxima(magnitude: jax.Array, down: jax.Array, right: jax.Array, _) -> jax.Array:
    """Pixels whose magnitude is no smaller than that on either side along the gradient: non-maximum suppression.

    The line along the gradient passes between a neighbour on an axis and one on a diagonal.
    """
    height, width = magnitude.shape
    ring = jnp.pad(magnitude, 1)

    def at(i, j):
        return lax.slice(ring, (1 + i, 1 + j), (1 + i + height, 1 + j + width))

    steep, flat = jnp.abs(down), jnp.abs(right)
    upright = steep > flat
    same = ((down >= 0) & (right >= 0)) | ((down <= 0) & (right <= 0))  # towards the lower right, or away from it
    upright = jnp.where(same, upright, steep >= flat)
    share = jnp.where(upright, flat / steep, steep / flat)

    def beside(sign):
        diagonal = jnp.where(same, at(sign, sign), at(-sign, sign))
        axis = jnp.where(upright, jnp.where(same, at(sign, 0), at(-sign, 0)), at(0, sign))
        return diagonal * share + axis * (1 - share)

    return (beside(1) <= magnitude) & (beside(-1) <= magnitude)


def _erode(mask: jax.Array, _) -> jax.Array:
    """Pixels in the mask whose eight neighbours are in the mask too. Pixels beyond the edge count as outside."""
    outside = jnp.pad(~mask, 1, constant_values=True).astype(jnp.uint8)
    return _dilate(outside)[1:-1, 1:-1] == 0


def _dilate(mask: jax.Array) -> jax.Array:
    """A mask of zeros and ones with its neighbours, diagonals included."""
    wide = xla_cpu.fusion_barrier(jnp.pad(mask, 1))
    lines = wide[:-2] | wide[1:-1] | wide[2:]
    return lines[:, :-2] | lines[:, 1:-1] | lines[:, 2:]


DILATIONS_PER_CHECK = 8  # a check whether anything changed costs at least as much as a dilation


def _grow(pixels: jax.Array, _) -> jax.Array:
    reached, mask = pixels & 1, pixels >> 1
    for _ in range(DILATIONS_PER_CHECK):
        reached = _dilate(reached) & mask
    return reached


def _follow_hysteresis(seeds: jax.Array, mask: jax.Array) -> jax.Array:
    """Pixels of the mask that are connected to a seed within it, diagonals included."""
    mask = mask.astype(jnp.uint8)

    def grow(state):
        reached, _ = state
        # Both in one array, so that devices exchange one halo.
        more = stencil(_grow, [reached | mask << 1], reach=((DILATIONS_PER_CHECK, DILATIONS_PER_CHECK),) * 2)
        return more, (more != reached).any()

    return lax.while_loop(lambda state: state[1], grow, (seeds.astype(jnp.uint8), seeds.any()))[0] == 1
