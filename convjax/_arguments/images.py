"""Checks arguments of the functions from SciPy: images, axes, modes, origins, sizes, standard deviations."""

import operator
from collections.abc import Callable, Iterable, Sequence
from numbers import Number
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convjax._arguments import arrays, errors, errors_scipy, values
from convjax._arrays import boundary

Sizes = tuple[int, ...]


def image(
    function: str, value: Any, argument: str = "input", *, booleans: bool = False, complexes: bool = True
) -> jax.Array:
    x = arrays.array(function, argument, value)
    if x.dtype == jnp.bool_ and not booleans:
        raise errors.wrong_dtype(
            function, argument, x.dtype, "integers, floats or complex numbers", f"{argument}.astype(float)"
        )
    if jnp.iscomplexobj(x) and not complexes:
        raise errors.wrong_dtype(
            function, argument, x.dtype, "numbers that have an order", f"{argument}.real, or abs({argument})"
        )
    return x


def axis(function: str, value: Any, dims: int) -> int:
    return _axis(function, "axis", value, dims, value)


def axes(function: str, value: Any, dims: int) -> Sizes:
    if value is None:
        return tuple(range(dims))
    given = _entries(value)
    found = tuple(_axis(function, "axes", entry, dims, value) for entry in ([value] if given is None else given))
    if len(set(found)) < len(found):
        raise errors_scipy.wrong_axes(function, "axes", value, dims)
    return found


def _axis(function: str, argument: str, value: Any, dims: int, whole: Any) -> int:
    try:
        found = operator.index(value)
    except TypeError as error:
        raise errors_scipy.wrong_axes(function, argument, whole, dims) from error
    if not -dims <= found < dims:
        raise errors_scipy.wrong_axes(function, argument, whole, dims)
    return found % dims


def per_axis(function: str, argument: str, value: Any, count: int) -> list[Any]:
    """Return one entry per filtered axis. A single value is used for all axes."""
    entries = _entries(value)
    if entries is None:
        return [value] * count
    if len(entries) != count:
        raise errors_scipy.wrong_length(function, argument, value, entries, count)
    return entries


def _entries(value: Any) -> list[Any] | None:
    """The entries of an iterable, None for a single value. A string is a single value."""
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) == 0:
        return None
    return list(value) if isinstance(value, Iterable) else None


def borders(function: str, value: Any, count: int) -> tuple[str, ...]:
    """Return one row of the table of boundaries per filtered axis."""
    return tuple(border(function, mode) for mode in per_axis(function, "mode", value, count))


def border(function: str, mode: Any) -> str:
    values.check_name(function, "mode", mode, boundary.NDIMAGE)
    return boundary.NDIMAGE[mode]


def one_border(function: str, mode: Any) -> str:
    """Return the row of the table of boundaries for a filter that does not run axis by axis."""
    if _entries(mode) is not None:
        raise errors_scipy.one_mode_only(function, mode)
    return border(function, mode)


def sizes(function: str, value: Any, count: int, minimum: int = 1) -> Sizes:
    return tuple(values.integer(function, "size", n, minimum) for n in per_axis(function, "size", value, count))


def reach(function: str, size: int, origin: Any) -> tuple[int, int]:
    """How many elements before and after the position of a result its window contains."""
    moved = values.integer(function, "origin", origin, -(2**31))
    low, high = size // 2 + moved, (size - 1) // 2 - moved
    if low < 0 or high < 0:
        raise errors_scipy.origin_outside(function, moved, size)
    return low, high


def reaches(function: str, shape: Sequence[int], origin: Any) -> tuple[tuple[int, int], ...]:
    origins = per_axis(function, "origin", origin, len(shape))
    return tuple(reach(function, n, o) for n, o in zip(shape, origins, strict=True))


def origins(function: str, value: Any, axes: Sizes, dims: int) -> list[Any]:
    """Return one origin per axis of a window.

    If only some axes are filtered, `value` has the order of `axes`, as in SciPy.
    """
    given = per_axis(function, "origin", value, len(axes))
    return [origin for _, origin in sorted(zip(axes, given, strict=True))] if len(axes) < dims else given


def per_image_axis(axes: Sizes, dims: int, entries: Sequence[Any], nothing: Any) -> tuple[Any, ...]:
    """Return one entry per axis of the image from one entry per axis of the window. Other axes get `nothing`.

    The axes of a window have the same order as those of the image, whatever the order of `axes`. SciPy does the same.
    """
    given = dict(zip(sorted(axes), entries, strict=True))
    return tuple(given.get(axis, nothing) for axis in range(dims))


def check_bordered(function: str, argument: str, value: Any, shape: Sizes, reaches: dict[int, tuple[int, int]]) -> None:
    """Raise an error if XLA cannot count an image with borders of these widths along these axes."""
    sizes = [n + sum(reaches.get(axis, ())) for axis, n in enumerate(shape)]
    values.check_countable(function, (argument, value, sizes))


def fill(function: str, value: Any, dtype: Any, argument: str = "cval") -> jax.Array | None:
    """Return the value outside an image of this dtype. It may be traced, and may be complex only if the image is.

    Returns None for 0, which the program then contains as a constant, so no transfer is needed.
    """
    if value is None or isinstance(value, (str, bytes)):
        raise errors_scipy.wrong_fill(function, argument, value, dtype)
    if type(value) in (int, float) and str(value) in ("0", "0.0"):
        return None
    number = arrays.array(
        function, argument, arrays.to_device(value) if isinstance(value, (Number, np.generic)) else value
    )
    if number.ndim or (jnp.iscomplexobj(number) and not jnp.issubdtype(dtype, jnp.complexfloating)):
        raise errors_scipy.wrong_fill(function, argument, value, dtype)
    return number


def checked_sigma(function: str, value: Any, *, zero: bool) -> Any:
    """Return a standard deviation as a float or a traced scalar."""
    if isinstance(value, jax.core.Tracer) and value.ndim == 0:
        return value
    return checked_positive(function, "sigma", value, zero=zero)


MAX_ZERO_SIGMA = 1e-15  # elements; a smaller sigma counts as 0, as in SciPy


def is_smoothing(sigma: Any) -> bool:
    """Whether a sigma changes the image. A traced sigma may, so the answer is True."""
    return isinstance(sigma, jax.core.Tracer) or sigma > MAX_ZERO_SIGMA


def radius(function: str, x: jax.Array, axis: int, sigma: Any, truncate: Any = 4.0, given: Any = None) -> int:
    """Return the number of elements of a Gaussian on each side of its centre."""
    if given is not None:
        argument, value, found = "radius", given, values.integer(function, "radius", given, 0)
    elif isinstance(sigma, jax.core.Tracer):
        raise errors_scipy.radius_of_traced_scale(function)
    else:
        reach = checked_positive(function, "truncate", truncate, zero=True) * sigma + 0.5
        argument, value, found = "sigma", sigma, int(min(reach, 2.0**63))
    if is_smoothing(sigma):
        check_bordered(function, argument, value, x.shape, {axis: (found, found)})
    return found


def checked_number(function: str, argument: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise errors_scipy.not_a_static_number(function, argument, value)
    try:
        return float(value)
    except (TypeError, ValueError) as error:  # jax.errors.ConcretizationTypeError is a TypeError
        raise errors_scipy.not_a_static_number(function, argument, value) from error


def checked_positive(function: str, argument: str, value: Any, *, zero: bool = False) -> float:
    found = checked_number(function, argument, value)
    if zero and not 0 <= found < np.inf:
        raise errors_scipy.negative(function, argument, value)
    if not zero and not 0 < found < np.inf:
        raise errors.not_positive(function, argument, value)
    return found


def checked_function(function: str, argument: str, value: Any) -> Callable[..., Any]:
    if not callable(value):
        raise errors_scipy.not_callable(function, argument, value)
    return value
