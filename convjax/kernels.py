"""The classical edge and smoothing kernels, as OIHW arrays ready for `convjax.conv2d`.

All are meant for cross-correlation, which is what `conv2d` computes: a positive response means that the image resembles
the kernel. The pairs of derivative kernels are (2, 1, k, k): Gx first, positive where the image falls from left to
right, then Gy, positive where it falls from top to bottom. `scipy.ndimage.sobel` and `prewitt` have the opposite sign.

All take `dtype`, a floating dtype, and `channels`, for images of several channels. The result is then
(channels * n, 1, k, k), the same n kernels for every channel, to be used with `groups=channels`.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from convjax._arguments import arrays, errors, suggestions, values
from convjax._arguments.suggestions import explain_unknown_arguments

__all__ = [
    "box",
    "dog",
    "gabor",
    "gaussian",
    "identity",
    "kirsch",
    "laplacian",
    "log",
    "prewitt",
    "roberts",
    "robinson",
    "scharr",
    "sharpen",
    "sobel",
]


@explain_unknown_arguments
def sobel(*, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The Sobel pair, (2, 1, 3, 3): Gx = [[1, 0, -1], [2, 0, -2], [1, 0, -1]] and Gy, its transpose.

    A central difference, smoothed by (1, 2, 1) along the other axis. Sobel and Feldman, "A 3x3 isotropic gradient
    operator for image processing", Stanford Artificial Intelligence Project, 1968.

    >>> import convjax
    >>> convjax.kernels.sobel()[1, 0]
    Array([[ 1.,  2.,  1.],
           [ 0.,  0.,  0.],
           [-1., -2., -1.]], dtype=float32)
    """
    return _pair("sobel", (1, 2, 1), channels, dtype)


@explain_unknown_arguments
def prewitt(*, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The Prewitt pair, (2, 1, 3, 3): Gx = [[1, 0, -1], [1, 0, -1], [1, 0, -1]] and Gy, its transpose.

    Prewitt, "Object enhancement and extraction", in Picture Processing and Psychopictorics, 1970.

    >>> import convjax
    >>> convjax.kernels.prewitt()[0, 0]
    Array([[ 1.,  0., -1.],
           [ 1.,  0., -1.],
           [ 1.,  0., -1.]], dtype=float32)
    """
    return _pair("prewitt", (1, 1, 1), channels, dtype)


@explain_unknown_arguments
def scharr(*, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The Scharr pair, (2, 1, 3, 3): Gx = [[3, 0, -3], [10, 0, -10], [3, 0, -3]] and Gy, its transpose.

    Among integer 3x3 kernels, its response depends least on the direction of an edge. Scharr, "Optimale Operatoren in
    der digitalen Bildverarbeitung", Heidelberg, 2000. Divide by 32 for a derivative per pixel.

    >>> import convjax
    >>> convjax.kernels.scharr()[0, 0]
    Array([[  3.,   0.,  -3.],
           [ 10.,   0., -10.],
           [  3.,   0.,  -3.]], dtype=float32)
    """
    return _pair("scharr", (3, 10, 3), channels, dtype)


@explain_unknown_arguments
def roberts(*, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The Roberts cross, (2, 1, 2, 2): differences along the two diagonals.

    Roberts, "Machine perception of three-dimensional solids", MIT, 1963.

    >>> import convjax
    >>> convjax.kernels.roberts()[:, 0].tolist()
    [[[1.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [-1.0, 0.0]]]
    """
    return _stack("roberts", [[[1, 0], [0, -1]], [[0, 1], [-1, 0]]], channels, dtype)


@explain_unknown_arguments
def kirsch(*, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The eight Kirsch compass kernels, (8, 1, 3, 3): north first, then clockwise.

    Each has three 5s on the side of its direction, -3 elsewhere and 0 in the centre. The edge strength is the maximum
    of the eight responses. Kirsch, "Computer determination of the constituent structure of biological images", 1971.

    >>> import convjax
    >>> convjax.kernels.kirsch()[0, 0]
    Array([[ 5.,  5.,  5.],
           [-3.,  0., -3.],
           [-3., -3., -3.]], dtype=float32)
    """
    return _stack("kirsch", _rotations((5, 5, 5, -3, -3, -3, -3, -3)), channels, dtype)


@explain_unknown_arguments
def robinson(*, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The eight Robinson compass kernels, (8, 1, 3, 3): the Sobel kernel rotated by 45 degrees, north first, clockwise.

    Robinson, "Edge detection by compass gradient masks", 1977.

    >>> import convjax
    >>> convjax.kernels.robinson()[1, 0]
    Array([[ 0.,  1.,  2.],
           [-1.,  0.,  1.],
           [-2., -1.,  0.]], dtype=float32)
    """
    return _stack("robinson", _rotations((1, 2, 1, 0, -1, -2, -1, 0)), channels, dtype)


@explain_unknown_arguments
def laplacian(neighbours: int = 4, *, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The Laplacian, (1, 1, 3, 3): the sum of the 4 or 8 neighbours, minus 4 or 8 times the centre.

    With 4 neighbours it is the sum of the second differences along the axes, as in `scipy.ndimage.laplace`.

    >>> import convjax
    >>> convjax.kernels.laplacian()[0, 0]
    Array([[ 0.,  1.,  0.],
           [ 1., -4.,  1.],
           [ 0.,  1.,  0.]], dtype=float32)
    """
    if not isinstance(neighbours, int) or neighbours not in (4, 8):
        raise suggestions.unknown_name("kernels.laplacian", "neighbours", neighbours, (4, 8), "neighbours=4")
    corner = int(neighbours == 8)
    kernel = [[corner, 1, corner], [1, -neighbours, 1], [corner, 1, corner]]
    return _stack("laplacian", [kernel], channels, dtype)


@explain_unknown_arguments
def sharpen(amount: float = 1.0, *, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The image minus `amount` times its Laplacian, (1, 1, 3, 3).

    Gonzalez and Woods, Digital Image Processing, section "Using the second derivative for image sharpening".

    >>> import convjax
    >>> convjax.kernels.sharpen()[0, 0]
    Array([[ 0., -1.,  0.],
           [-1.,  5., -1.],
           [ 0., -1.,  0.]], dtype=float32)
    """
    return _from_formula("sharpen", _sharpen, 3, channels, dtype, amount=amount)


@explain_unknown_arguments
def identity(size: int = 3, *, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The kernel that changes nothing, (1, 1, size, size): 1 in the centre of zeros; size is odd.

    >>> import convjax
    >>> convjax.kernels.identity()[0, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    size = _odd_size("identity", size)
    kernel = np.zeros((1, size, size))
    kernel[0, size // 2, size // 2] = 1
    return _stack("identity", kernel, channels, dtype)


@explain_unknown_arguments
def box(size: int = 3, *, channels: int = 1, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """The mean over a square, (1, 1, size, size), as in `scipy.ndimage.uniform_filter`.

    >>> import convjax
    >>> convjax.kernels.box(2)[0, 0].tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    size = _checked_size("box", size)
    return _stack("box", np.full((1, size, size), 1 / size**2), channels, dtype)


@explain_unknown_arguments
def gaussian(
    sigma: Any = 1.0,
    size: int | None = None,
    *,
    truncate: float = 4.0,
    channels: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """The sampled Gaussian of sum 1, (1, 1, size, size), as in `scipy.ndimage.gaussian_filter`.

    Args:
      sigma: standard deviation in pixels. It may be traced, and so be learned, if `size` is given.
      size: an odd int; None is 2 * int(truncate * sigma + 0.5) + 1, as in SciPy.
      truncate: standard deviations to keep on each side if `size` is None.

    >>> import convjax
    >>> print(convjax.kernels.gaussian(0.5, 3)[0, 0])
    [[0.01134374 0.08381951 0.01134374]
     [0.08381951 0.61934704 0.08381951]
     [0.01134374 0.08381951 0.01134374]]
    """
    size = _kernel_size("gaussian", size, sigma=sigma, truncate=truncate)
    return _from_formula("gaussian", _bell, size, channels, dtype, sigma=sigma)


@explain_unknown_arguments
def log(
    sigma: Any = 1.0,
    size: int | None = None,
    *,
    truncate: float = 4.0,
    channels: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """The Laplacian of the Gaussian, (1, 1, size, size), of sum 0: G(x, y) (x^2 + y^2 - 2 sigma^2) / sigma^4.

    Its zero crossings are edges at the scale sigma. Marr and Hildreth, "Theory of edge detection", 1980. G has sum 1.
    The mean that truncation leaves is subtracted. Arguments as in `gaussian`.

    >>> import convjax
    >>> kernel = convjax.kernels.log(1.4)
    >>> kernel.shape, abs(float(kernel.sum())) < 1e-5, float(kernel[0, 0, 6, 6]) < 0
    ((1, 1, 13, 13), True, True)
    """
    size = _kernel_size("log", size, sigma=sigma, truncate=truncate)
    return _from_formula("log", _log, size, channels, dtype, sigma=sigma)


@explain_unknown_arguments
def dog(
    sigma: Any = 1.0,
    size: int | None = None,
    *,
    ratio: float = 1.6,
    truncate: float = 4.0,
    channels: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """The difference of Gaussians, (1, 1, size, size): that of `sigma` minus that of `ratio * sigma`.

    With a ratio of 1.6 it is close to minus the Laplacian of a Gaussian: Marr and Hildreth, 1980. If `size` is None, it
    is that of the wider Gaussian. Other arguments as in `gaussian`.

    >>> import convjax
    >>> convjax.kernels.dog(1.0).shape
    (1, 1, 13, 13)
    """
    size = _kernel_size("dog", size, sigma=sigma, ratio=ratio, truncate=truncate)
    return _from_formula("dog", _dog, size, channels, dtype, sigma=sigma, ratio=ratio)


@explain_unknown_arguments
def gabor(
    wavelength: Any = 4.0,
    theta: Any = 0.0,
    sigma: Any = 2.0,
    size: int | None = None,
    *,
    aspect: Any = 0.5,
    phase: Any = 0.0,
    truncate: float = 3.0,
    channels: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """A Gabor kernel, (1, 1, size, size): a wave under a Gaussian, real part.

        exp(-(u^2 + aspect^2 v^2) / (2 sigma^2)) cos(2 pi u / wavelength + phase)
        u = x cos(theta) + y sin(theta),   v = y cos(theta) - x sin(theta),   y grows downwards

    Daugman, "Uncertainty relation for resolution in space, spatial frequency, and orientation optimized by
    two-dimensional visual cortical filters", 1985. All but `size` may be traced if `size` is given.

    Args:
      wavelength: the wavelength in pixels.
      theta: the direction of the wave in radians; 0 detects vertical bars.
      sigma: standard deviation along the wave, in pixels; sigma / aspect across it.
      size: an odd int; None keeps `truncate` standard deviations on each side.
      phase: the phase in radians; pi / 2 detects edges instead of bars.

    >>> import convjax
    >>> print(convjax.kernels.gabor(4.0, sigma=1.0, size=5)[0, 0, 2].round(3))
    [-0.135  0.     1.     0.    -0.135]
    """
    size = _kernel_size("gabor", size, wavelength=wavelength, sigma=sigma, aspect=aspect, truncate=truncate)
    given = {"wavelength": wavelength, "theta": theta, "sigma": sigma, "aspect": aspect, "phase": phase}
    return _from_formula("gabor", _gabor, size, channels, dtype, **given)


# ---- formulas: y and x are rows and columns relative to the centre, xp is numpy or jax.numpy ----


def _sharpen(xp, y, x, amount):
    distance = abs(y) + abs(x)  # 0 in the centre, 1 at its four neighbours
    return xp.where(distance == 0, 1 + 4 * amount, xp.where(distance == 1, -amount, 0 * amount))


def _bell(xp, y, x, sigma):
    bell = xp.exp(-(x**2 + y**2) / (2 * sigma**2))
    return bell / bell.sum()


def _log(xp, y, x, sigma):
    kernel = _bell(xp, y, x, sigma) * (x**2 + y**2 - 2 * sigma**2) / sigma**4
    return kernel - kernel.mean()


def _dog(xp, y, x, sigma, ratio):
    return _bell(xp, y, x, sigma) - _bell(xp, y, x, ratio * sigma)


def _gabor(xp, y, x, wavelength, theta, sigma, aspect, phase):
    u, v = x * xp.cos(theta) + y * xp.sin(theta), y * xp.cos(theta) - x * xp.sin(theta)
    wave = xp.cos(2 * math.pi * u / wavelength + phase)
    return xp.exp(-(u**2 + (aspect * v) ** 2) / (2 * sigma**2)) * wave


# ---- implementation ----


def _pair(name: str, across: tuple, channels, dtype) -> jax.Array:
    gx = np.outer(across, (1, 0, -1))
    return _stack(name, [gx, gx.T], channels, dtype)


def _rotations(ring: tuple) -> list[np.ndarray]:
    """A 3x3 kernel given clockwise from its upper left corner, and its seven rotations by 45 degrees, clockwise."""
    places = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    kernels = np.zeros((8, 3, 3))
    for rotation in range(8):
        for step, place in enumerate(places):
            kernels[rotation][place] = ring[(step - rotation) % 8]
    return list(kernels)


def _stack(name: str, kernels: Any, channels: int, dtype: DTypeLike) -> jax.Array:
    """Kernels of known numbers, repeated for every channel."""
    channels, dtype = _check_layout(name, np.shape(kernels), channels, dtype)
    return arrays.to_device(np.tile(np.asarray(kernels, dtype)[:, None], (channels, 1, 1, 1)))


def _check_layout(name: str, shape: tuple[int, ...], channels: int, dtype: DTypeLike) -> tuple[int, Any]:
    function = f"kernels.{name}"
    channels = values.integer(function, "channels", channels, 1)
    values.check_countable(function, ("channels", channels, (channels, *shape)))
    return channels, values.float_dtype(function, dtype)


def _from_formula(name: str, formula: Callable, size: int, channels: int, dtype: DTypeLike, **values: Any) -> jax.Array:
    """The kernel of a formula: by JAX if a value is a JAX array, which may be traced, else by NumPy in float64."""
    for argument, value in values.items():
        if not _is_real(value):
            raise errors.not_a_number(f"kernels.{name}", argument, value)
    if not any(isinstance(v, jax.Array) for v in values.values()):
        kernel = formula(np, *_coordinates(size), **{k: np.float64(v) for k, v in values.items()})
        return _stack(name, kernel[None], channels, dtype)
    channels, dtype = _check_layout(name, (1, size, size), channels, dtype)
    values = {k: v if isinstance(v, jax.Array) else arrays.to_device(float(v)) for k, v in values.items()}
    return _evaluate(values, formula=formula, size=size, channels=channels, dtype=dtype)


@partial(jax.jit, static_argnames=("formula", "size", "channels", "dtype"), inline=True)
def _evaluate(values: dict[str, jax.Array], *, formula: Callable, size: int, channels: int, dtype: Any) -> jax.Array:
    wide = max(dtype, jnp.dtype(jnp.float32), key=lambda d: d.itemsize)
    y, x = (jnp.asarray(places, wide) for places in _coordinates(size))
    kernel = formula(jnp, y, x, **{k: v.astype(wide) for k, v in values.items()})
    return jnp.tile(kernel.astype(dtype), (channels, 1, 1, 1))


def _coordinates(size: int) -> Sequence[np.ndarray]:
    return np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2, indexing="ij")


def _kernel_size(name: str, size: int | None, **positive: Any) -> int:
    """The given size, or the one that `truncate` implies. The other arguments must be positive."""
    function = f"kernels.{name}"
    for argument, value in positive.items():
        if not _is_positive(value):
            raise errors.not_positive(function, argument, value)
    if size is not None:
        return _odd_size(name, size)
    for argument, value in positive.items():
        if isinstance(value, jax.core.Tracer):
            raise errors.size_of_traced_scale(function, argument)
    size = 2 * int(min(float(_half_width(**jax.device_get(positive))) + 0.5, 2.0**62)) + 1
    values.check_countable(function, ("sigma", positive["sigma"], (size, size)))
    return size


def _half_width(sigma: Any, truncate: Any, ratio: Any = 1, aspect: Any = 1, wavelength: Any = None) -> Any:
    """Half the width of a kernel in pixels: `truncate` standard deviations of its widest Gaussian."""
    return truncate * sigma * max(ratio, 1) / min(aspect, 1)


def _is_positive(value: Any) -> bool:
    return _is_real(value) and (isinstance(value, jax.core.Tracer) or bool(0 < jax.device_get(value) < math.inf))


def _is_real(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return value.ndim == 0 and (
            jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)
        )
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _odd_size(name: str, size: int) -> int:
    size = _checked_size(name, size)
    if size % 2 == 0:
        raise errors.not_odd(f"kernels.{name}", "size", size)
    return size


def _checked_size(name: str, size: int) -> int:
    size = values.integer(f"kernels.{name}", "size", size, 1)
    values.check_countable(f"kernels.{name}", ("size", size, (size, size)))
    return size
