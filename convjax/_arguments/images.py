"""The arguments that scipy.ndimage's filters share, checked: images, axes, modes, origins, sizes."""

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
    """One entry for each axis that is filtered: the value itself for all, or a sequence of as many."""
    entries = _entries(value)
    if entries is None:
        return [value] * count
    if len(entries) != count:
        raise errors_scipy.wrong_length(function, argument, value, entries, count)
    return entries


def _entries(value: Any) -> list[Any] | None:
    """What an iterable other than a name holds, None for a single value."""
    if isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) == 0:
        return None
    return list(value) if isinstance(value, Iterable) else None


def borders(function: str, value: Any, count: int) -> tuple[str, ...]:
    """Rows of the table of boundaries."""
    return tuple(border(function, mode) for mode in per_axis(function, "mode", value, count))


def border(function: str, mode: Any) -> str:
    values.check_name(function, "mode", mode, boundary.NDIMAGE)
    return boundary.NDIMAGE[mode]


def one_border(function: str, mode: Any) -> str:
    """Of a window that is not taken axis by axis."""
    if _entries(mode) is not None:
        raise errors_scipy.one_mode_only(function, mode)
    return border(function, mode)


def sizes(function: str, value: Any, count: int, minimum: int = 1) -> Sizes:
    return tuple(values.integer(function, "size", n, minimum) for n in per_axis(function, "size", value, count))


def reach(function: str, size: int, origin: Any) -> tuple[int, int]:
    """How far a window sees before and behind the element it belongs to."""
    moved = values.integer(function, "origin", origin, -(2**31))
    low, high = size // 2 + moved, (size - 1) // 2 - moved
    if low < 0 or high < 0:
        raise errors_scipy.origin_outside(function, moved, size)
    return low, high


def reaches(function: str, shape: Sequence[int], origin: Any) -> tuple[tuple[int, int], ...]:
    origins = per_axis(function, "origin", origin, len(shape))
    return tuple(reach(function, n, o) for n, o in zip(shape, origins, strict=True))


def origins(function: str, value: Any, axes: Sizes, dims: int) -> list[Any]:
    """For each axis of a window; where only some axes are filtered, SciPy takes them in the order of `axes`."""
    given = per_axis(function, "origin", value, len(axes))
    return [origin for _, origin in sorted(zip(axes, given, strict=True))] if len(axes) < dims else given


def per_image_axis(axes: Sizes, dims: int, entries: Sequence[Any], nothing: Any) -> tuple[Any, ...]:
    """What is given for each axis of a window as something for each axis of the image.

    The axes of a window have the order of the image's, whichever order `axes` names them in, as in SciPy.
    """
    given = dict(zip(sorted(axes), entries, strict=True))
    return tuple(given.get(axis, nothing) for axis in range(dims))


def check_bordered(function: str, argument: str, value: Any, shape: Sizes, reaches: dict[int, tuple[int, int]]) -> None:
    """Raise where XLA cannot count an image with borders of these widths along these axes."""
    sizes = [n + sum(reaches.get(axis, ())) for axis, n in enumerate(shape)]
    values.check_countable(function, (argument, value, sizes))


def fill(function: str, value: Any, dtype: Any, argument: str = "cval") -> jax.Array | None:
    """What lies beyond an image of this dtype: a number, which may be traced, and is complex only if the image is.

    None for 0, which is then part of the program and no transfer.
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


def scale(function: str, value: Any, *, zero: bool) -> Any:
    """A standard deviation: a float, or a traced scalar."""
    if isinstance(value, jax.core.Tracer) and value.ndim == 0:
        return value
    return positive(function, "sigma", value, zero=zero)


NOTHING = 1e-15  # SciPy's bound, below which sigma counts as 0


def is_smoothing(sigma: Any) -> bool:
    """Whether a scale does anything; a traced one may."""
    return isinstance(sigma, jax.core.Tracer) or sigma > NOTHING


def radius(function: str, x: jax.Array, axis: int, sigma: Any, truncate: Any = 4.0, given: Any = None) -> int:
    """How many elements of a Gaussian to keep on each side."""
    if given is not None:
        argument, value, found = "radius", given, values.integer(function, "radius", given, 0)
    elif isinstance(sigma, jax.core.Tracer):
        raise errors_scipy.radius_of_traced_scale(function)
    else:
        reach = positive(function, "truncate", truncate, zero=True) * sigma + 0.5
        argument, value, found = "sigma", sigma, int(min(reach, 2.0**63))
    if is_smoothing(sigma):
        check_bordered(function, argument, value, x.shape, {axis: (found, found)})
    return found


def number(function: str, argument: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise errors_scipy.not_a_static_number(function, argument, value)
    try:
        return float(value)
    except (TypeError, ValueError) as error:  # jax.errors.ConcretizationTypeError is a TypeError
        raise errors_scipy.not_a_static_number(function, argument, value) from error


def positive(function: str, argument: str, value: Any, *, zero: bool = False) -> float:
    found = number(function, argument, value)
    if zero and not 0 <= found < np.inf:
        raise errors_scipy.negative(function, argument, value)
    if not zero and not 0 < found < np.inf:
        raise errors.not_positive(function, argument, value)
    return found


def function_of(function: str, argument: str, value: Any) -> Callable[..., Any]:
    if not callable(value):
        raise errors_scipy.not_callable(function, argument, value)
    return value
