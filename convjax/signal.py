"""scipy.signal's convolutions, with jit, grad and vmap: the same names, arguments, defaults, shapes and values.

These are true convolutions: the second operand is flipped. All of them differ from SciPy in three ways. Dtypes are
JAX's: float64 and int64 need `jax_enable_x64`, two integers give an integer, and 8 bits stay 8 bits. Booleans and
objects raise an error. The method that "auto" takes depends only on shapes and dtypes, never on values.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arguments import arrays, errors, errors_scipy, images, values
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._arrays.boundary import SIGNAL, extend
from convjax._arrays.sharding import sharded_like_first
from convjax._filters import passes, spectral
from convjax._operation.primitive import correlate_local

__all__ = [
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "oaconvolve",
]

MODES = ("full", "same", "valid")
METHODS = ("auto", "direct", "fft")


@explain_unknown_arguments
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> jax.Array:
    """`scipy.signal.convolve`: the convolution of two N-dimensional arrays.

        full[i] = sum_j in1[j] in2[i - j]

    Args:
      in1, in2: arrays with the same number of axes.
      mode: "full", n1 + n2 - 1 elements along an axis; "same", the middle n1 of them; "valid", the n1 - n2 + 1 that do
        not depend on the border (or n2 - n1 + 1; one operand must be no smaller than the other along every axis).
      method: "direct", the sum itself; "fft", by FFTs, whose rounding errors are relative to the largest result and
        which spread a NaN over all results; "auto", the method that `choose_conv_method` expects to be faster.

    Returns:
      An array of the promoted dtype. Integers wrap around, as in NumPy. "auto" and "direct" are exact for them. "fft"
      is exact if the sums are below 2^53 (2^24 without `jax_enable_x64`).

    Raises:
      ValueError, TypeError: for different numbers of axes, an unknown mode or method, booleans, or "valid" operands of
        which neither is the larger along every axis.

    >>> import jax.numpy as jnp
    >>> from convjax import signal
    >>> signal.convolve(jnp.array([1, 2, 3]), jnp.array([0, 1, 1]), mode="same").tolist()
    [1, 3, 5]
    """
    in1, in2 = _operands("signal.convolve", in1, in2)
    return _convolve("signal.convolve", in1, in2, mode, method)


@explain_unknown_arguments
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> jax.Array:
    """`scipy.signal.correlate`: the cross-correlation of two N-dimensional arrays.

        full[i] = sum_j in1[i + j - n2 + 1] conj(in2[j])

    Arguments, results and errors are those of `convolve`. `correlation_lags` gives the lag of each element.

    >>> import jax.numpy as jnp
    >>> from convjax import signal
    >>> signal.correlate(jnp.array([1, 2, 3]), jnp.array([0, 1, 2])).tolist()
    [2, 5, 8, 3, 0]
    """
    in1, in2 = _operands("signal.correlate", in1, in2)
    return _convolve("signal.correlate", in1, _flip(jnp.conj(in2)), mode, method)


@explain_unknown_arguments
def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> jax.Array:
    """`scipy.signal.convolve2d`: the convolution of two images, with a choice of borders.

    Args:
      in1, in2: arrays of two axes; in2 may be larger than in1.
      mode: "full", "same" or "valid", as in `convolve`.
      boundary: what in1 continues with: `d c b a | a b c d | d c b a` for "symm", `a b c d | a b c d | a b c d`
        for "wrap", `fillvalue` for "fill".
      fillvalue: a number, for "fill". For integers it must be one that their dtype can hold.

    Returns:
      An array of the promoted dtype.

    Raises:
      ValueError, TypeError: as `convolve`, and for operands without exactly two axes or an unknown boundary.

    It is always the sum itself, never an FFT: a NaN reaches only the windows that hold it, and integers are exact.

    >>> import jax.numpy as jnp
    >>> from convjax import signal
    >>> image, kernel = jnp.array([[1, 2], [3, 4]]), jnp.ones((1, 3), int)
    >>> signal.convolve2d(image, kernel, mode="same", boundary="symm").tolist()
    [[4, 5], [10, 11]]
    """
    return _filter_images("signal.convolve2d", in1, in2, mode, boundary, fillvalue, flip=True)


@explain_unknown_arguments
def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> jax.Array:
    """`scipy.signal.correlate2d`: the cross-correlation of two images, with a choice of borders.

    Arguments, results and errors are those of `convolve2d`; in2 is conjugated. As in SciPy, if in2 has an even size
    and mode is "same", in2 is shifted by one more element than in `correlate`.

    >>> import jax.numpy as jnp
    >>> from convjax import signal
    >>> signal.correlate2d(jnp.eye(3), jnp.array([[1.0, 2.0]]), mode="same").tolist()
    [[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 2.0, 1.0]]
    """
    return _filter_images("signal.correlate2d", in1, in2, mode, boundary, fillvalue, flip=False)


@explain_unknown_arguments
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None) -> jax.Array:
    """`scipy.signal.fftconvolve`: the convolution of two arrays along some axes, by the FFT.

    Args:
      in1, in2: arrays with the same number of axes, which broadcast along all but `axes`.
      mode: as in `convolve`. "same" has the shape of in1, also along an axis that broadcasts: if in1 has one element
        along it and in2 more, the middle one is kept, as in SciPy.
      axes: an axis, or several; None is all. Axes along which either operand has one element broadcast.

    Returns:
      An array of a floating or complex dtype, because integers are transformed as floats. They stay integers if no axis
      needs a transform, because one operand has one element along each. An empty operand gives an empty array.

    Raises:
      ValueError, TypeError: as `convolve`, and for shapes that do not broadcast.

    >>> import jax.numpy as jnp
    >>> from convjax import signal
    >>> signal.fftconvolve(jnp.ones((2, 3)), jnp.ones((1, 2)), axes=1).round(3).tolist()
    [[1.0, 2.0, 2.0, 1.0], [1.0, 2.0, 2.0, 1.0]]
    """
    return _convolve_along("signal.fftconvolve", in1, in2, mode, axes, spectral.convolve_full)


@explain_unknown_arguments
def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None) -> jax.Array:
    """`scipy.signal.oaconvolve`: `fftconvolve` by the overlap-add method, for operands of very different lengths.

    The longer operand is cut into blocks along each axis, so that no transform is much longer than the shorter one.
    Arguments, results and errors are those of `fftconvolve`.

    >>> import jax.numpy as jnp
    >>> from convjax import signal
    >>> signal.oaconvolve(jnp.ones(1000), jnp.ones(3)).shape
    (1002,)
    """
    return _convolve_along("signal.oaconvolve", in1, in2, mode, axes, spectral.overlap_add)


@explain_unknown_arguments
def choose_conv_method(in1: Any, in2: Any, mode: str = "full", measure: bool = False):
    """`scipy.signal.choose_conv_method`: "direct" or "fft", whichever should make `convolve` faster.

    Args:
      in1, in2, mode: as in `convolve`. Anything with a shape and a dtype will do, unless `measure` is set.
      measure: time both methods, compiled, on these operands. The result is then
        (method, {"direct": seconds, "fft": seconds}).

    Differs from SciPy: the choice depends on shapes and dtypes, not on values. So integers always take the direct
    method, which is exact.

    >>> import jax.numpy as jnp
    >>> from convjax import signal
    >>> signal.choose_conv_method(jnp.ones(10000), jnp.ones(10000)), signal.choose_conv_method(jnp.ones(9), jnp.ones(3))
    ('fft', 'direct')
    """
    name = "signal.choose_conv_method"
    _check_mode(name, mode)
    if not measure:
        a, b = (arrays.struct(name, *pair) for pair in (("in1", in1), ("in2", in2)))
        _check_same_ndim(name, a.shape, b.shape)
        return _faster_method(a.shape, b.shape, mode, jnp.result_type(a.dtype, b.dtype))
    in1, in2 = _operands(name, in1, in2)
    if any(isinstance(x, jax.core.Tracer) for x in (in1, in2)):
        raise errors_scipy.not_measurable(name)
    seconds = {
        method: _shortest_seconds(partial(convolve, mode=mode, method=method), in1, in2) for method in METHODS[1:]
    }
    return min(seconds, key=seconds.__getitem__), seconds


@explain_unknown_arguments
def correlation_lags(in1_len: int, in2_len: int, mode: str = "full") -> jax.Array:
    """`scipy.signal.correlation_lags`: how far in2 is shifted at each element of a 1-D `correlate`.

    >>> from convjax import signal
    >>> signal.correlation_lags(3, 2).tolist(), signal.correlation_lags(3, 2, mode="valid").tolist()
    ([-1, 0, 1, 2], [0, 1])
    """
    name = "signal.correlation_lags"
    n, k = (values.integer(name, a, v, 1) for a, v in (("in1_len", in1_len), ("in2_len", in2_len)))
    values.check_countable(name, ("in1_len", n, (n,)), ("in2_len", k, (n + k,)))
    _check_mode(name, mode)
    first, last = 1 - k, n
    if mode == "valid":
        first, last = min(n - k, 0), max(n - k, 0) + 1
    elif mode == "same":
        first += (n + k - 1) // 2 - n // 2
        last = first + n
    return arrays.to_device(np.arange(first, last))


# ---- arguments ----


def _operands(function: str, in1: Any, in2: Any) -> tuple[jax.Array, jax.Array]:
    a, b = (arrays.array(function, name, value) for name, value in (("in1", in1), ("in2", in2)))
    for name, x in (("in1", a), ("in2", b)):
        if x.dtype == jnp.bool_:
            raise errors.wrong_dtype(
                function, name, x.dtype, "integers, floats or complex numbers", f"{name}.astype(int)"
            )
    _check_same_ndim(function, a.shape, b.shape)
    a, b = arrays.promoted(a, b)
    return a, b


def _check_not_empty(function: str, a: jax.Array, b: jax.Array) -> None:
    for name, x in (("in1", a), ("in2", b)):
        if 0 in x.shape:
            raise errors_scipy.empty_operand(function, name, x.shape)


def _check_same_ndim(function: str, shape1: tuple, shape2: tuple) -> None:
    if len(shape1) != len(shape2):
        raise errors_scipy.different_ranks(function, shape1, shape2)


def _check_countable(function: str, a: jax.Array, b: jax.Array, axes: Sequence[int]) -> None:
    """Raise an error if XLA cannot count the elements of the full convolution, padded to up to twice the length."""
    sizes = [n if k == 1 else k for n, k in zip(a.shape, b.shape, strict=True)]
    for i in axes:
        sizes[i] = 2 * (a.shape[i] + b.shape[i])
    values.check_countable(function, ("in2", b.shape, sizes))


def _check_mode(function: str, mode: Any) -> None:
    values.check_name(function, "mode", mode, MODES)


def _larger_first(function: str, a: jax.Array, b: jax.Array, mode: str, axes: Sequence[int]):
    """Both operands, the larger one first if mode is "valid", and whether they were swapped."""
    if mode != "valid" or all(a.shape[i] >= b.shape[i] for i in axes):
        return a, b, False
    if any(a.shape[i] > b.shape[i] for i in axes):
        raise errors_scipy.neither_holds(function, a.shape, b.shape)
    return b, a, True


# ---- the sum itself ----


def _convolve(function: str, a: jax.Array, b: jax.Array, mode: str, method: str) -> jax.Array:
    _check_mode(function, mode)
    values.check_name(function, "method", method, METHODS)
    _check_not_empty(function, a, b)
    if a.ndim == 0:
        return a * b
    axes = range(a.ndim)
    _check_countable(function, a, b, axes)
    a, b, _ = _larger_first(function, a, b, mode, axes)
    if method == "auto":
        method = _faster_method(a.shape, b.shape, mode, a.dtype)
    if method == "direct":
        return sharded_like_first(partial(_convolve_directly, mode=mode), a, b)
    y = sharded_like_first(
        partial(_convolve_by_transform, mode=mode, axes=tuple(axes), full_convolution=spectral.convolve_full), a, b
    )
    return y if jnp.issubdtype(a.dtype, jnp.inexact) else passes.cast_to_image(jnp.round(y), a.dtype)


@partial(jax.jit, static_argnames="mode", inline=True)
def _convolve_directly(a: jax.Array, b: jax.Array, mode: str) -> jax.Array:
    if mode != "valid" and b.size > a.size:  # the smaller operand becomes the kernel
        y = _convolve_directly(b, a, "full")
        return y if mode == "full" else _centre(y, a.shape)
    return _correlate(a, _flip(b), [_PADS_OF_MODE[mode](k) for k in b.shape])


_PADS_OF_MODE: dict[str, Callable[[int], tuple[int, int]]] = {
    "full": lambda k: (k - 1, k - 1),
    "same": lambda k: (k // 2, (k - 1) // 2),
    "valid": lambda k: (0, 0),
}


def _flip(x: jax.Array) -> jax.Array:
    return lax.rev(x, tuple(range(x.ndim)))


def _correlate(x: jax.Array, h: jax.Array, padding: Sequence[tuple[int, int]]) -> jax.Array:
    return correlate_local(x[None, None], h[None, None], padding, layer_weight=None)[0, 0]


def _filter_images(
    function: str, in1: Any, in2: Any, mode: str, boundary: str, fillvalue: Any, *, flip: bool
) -> jax.Array:
    a, b = _operands(function, in1, in2)
    for name, x in (("in1", a), ("in2", b)):
        if x.ndim != 2:
            raise errors_scipy.not_two_axes(function, name, x.shape)
    _check_not_empty(function, a, b)
    _check_mode(function, mode)
    values.check_name(function, "boundary", boundary, SIGNAL)
    fill = images.fill(function, fillvalue, a.dtype, "fillvalue")
    if jnp.issubdtype(a.dtype, jnp.integer) and not (fill is None or isinstance(fill, jax.core.Tracer)):
        limits = jnp.iinfo(a.dtype)
        if not limits.min <= fill <= limits.max:
            raise errors_scipy.wrong_fill(function, "fillvalue", fillvalue, a.dtype)
    _check_countable(function, a, b, (0, 1))
    a, b, swapped = _larger_first(function, a, b, mode, (0, 1))
    pads = [_PADS_OF_MODE[mode](k) for k in b.shape]
    pads = pads if flip else [pair[::-1] for pair in pads]
    border = SIGNAL[boundary]
    zeros = border == "constant" and isinstance(fillvalue, (int, float)) and fillvalue == 0

    def run(a: jax.Array, b: jax.Array, fill: jax.Array | None) -> jax.Array:
        extended = mode != "valid" and not zeros  # the correlation itself pads with zeros
        a = extend(a, border, pads, fill) if extended else a
        y = _correlate(a, _flip(b) if flip else jnp.conj(b), [(0, 0)] * 2 if extended else pads)
        return _flip(y) if swapped and not flip else y

    return sharded_like_first(run, a, b, fill)


# ---- by FFTs ----


def _as_floats(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both operands, integers as the default float."""
    return (a, b) if jnp.issubdtype(a.dtype, jnp.inexact) else (a.astype(float), b.astype(float))


def _convolve_along(function: str, in1: Any, in2: Any, mode: str, axes: Any, full_convolution: Callable) -> jax.Array:
    a, b = _operands(function, in1, in2)
    _check_mode(function, mode)
    if a.ndim == 0:
        return a * b
    chosen = list(images.axes(function, axes, a.ndim))
    if not chosen:
        raise errors_scipy.wrong_axes(function, "axes", axes, a.ndim)
    if 0 in (*a.shape, *b.shape):
        return jnp.zeros((0,))
    chosen = [i for i in chosen if a.shape[i] != 1 and b.shape[i] != 1]
    if any(i not in chosen and a.shape[i] != b.shape[i] and 1 not in (a.shape[i], b.shape[i]) for i in range(a.ndim)):
        raise errors_scipy.shapes_do_not_broadcast(function, a.shape, b.shape, chosen)
    _check_countable(function, a, b, chosen)
    a, b, _ = _larger_first(function, a, b, mode, chosen)
    return sharded_like_first(
        partial(_convolve_by_transform, mode=mode, axes=tuple(chosen), full_convolution=full_convolution), a, b
    )


@partial(jax.jit, static_argnames=("mode", "axes", "full_convolution"), inline=True)
def _convolve_by_transform(
    a: jax.Array, b: jax.Array, *, mode: str, axes: tuple[int, ...], full_convolution: Callable
) -> jax.Array:
    y = full_convolution(*_as_floats(a, b), axes) if axes else a * b
    return _crop(y, a.shape, b.shape, mode, axes)


def _crop(y: jax.Array, shape1: tuple, shape2: tuple, mode: str, axes: Sequence[int]) -> jax.Array:
    if mode == "full":
        return y
    if mode == "same":
        return _centre(y, shape1)
    return _centre(y, [shape1[i] - shape2[i] + 1 if i in axes else n for i, n in enumerate(y.shape)])


def _centre(y: jax.Array, shape: Sequence[int]) -> jax.Array:
    starts = [(n - m) // 2 for n, m in zip(y.shape, shape, strict=True)]
    return lax.slice(y, starts, [s + m for s, m in zip(starts, shape, strict=True)])


# ---- the choice ----


def _faster_method(shape1: Sequence[int], shape2: Sequence[int], mode: str, dtype: Any) -> str:
    if not jnp.issubdtype(dtype, jnp.inexact):
        return "direct"
    pairs = zip(shape1, shape2, strict=True)
    sums = math.prod(abs(n - k) + 1 if mode == "valid" else n for n, k in pairs)
    taps = min(math.prod(shape1), math.prod(shape2))
    transformed, length = spectral.transform_sizes(shape1, shape2)
    # Nanoseconds on 2 cores of a Zen 4, of `shift_add` in loops over 32 taps, and of FFTs. XLA runs the FFT of a single
    # line on one core. The rows of `benchmarks/filters.py` time the chosen method.
    line = len(shape1) == 1
    wide = jnp.dtype(dtype).itemsize / 4
    direct = 10_000 + 125 * taps + (0.04 if line else 0.02) * wide * sums * taps
    alone = 3 if line and transformed == length else 1
    fft = 30_000 + 0.2 * (1 + wide) * alone * transformed * math.log2(max(length, 2))
    return "fft" if fft < direct else "direct"


def _shortest_seconds(call: Callable, *operands: jax.Array) -> float:
    compiled = jax.jit(call).lower(*operands).compile()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*operands))
        seconds.append(time.perf_counter() - start)
    return min(seconds)
