"""Checks and normalises single arguments: integers, paddings, names, dtypes and precisions."""

import math
import operator
from collections.abc import Iterable, Sequence
from operator import lt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convjax._arguments import errors, suggestions
from convjax._spec import Pads, Sizes, certainly, extent


def integers(function: str, argument: str, value: Any, dims: int, minimum: int) -> Sizes:
    """Return an int, or one int per spatial dimension, as a tuple. Each must be at least `minimum`."""
    entries = _entries(value)
    if entries is None or len(entries) == 1:
        return (_integer(function, argument, value if entries is None else entries[0], minimum, value),) * dims
    if len(entries) != dims:
        raise errors.wrong_count(function, argument, value, dims, pairs=False)
    return tuple(_integer(function, argument, entry, minimum, value) for entry in entries)


_MAX_INT64 = 2**63 - 1  # XLA counts elements and bytes in 64 bits


def integer(function: str, argument: str, value: Any, minimum: int) -> int:
    return _integer(function, argument, value, minimum, value)


def _entries(value: Any) -> Sequence[Any] | None:
    if isinstance(value, (tuple, list)):
        return value
    if isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, jax.core.Tracer) and value.ndim:
        return list(np.asarray(value))
    return None


def _integer(function: str, argument: str, entry: Any, minimum: int, whole: Any) -> Any:
    if isinstance(entry, (bool, np.bool_, str)) or entry is None:
        raise errors.not_an_integer(function, argument, entry, whole)
    try:
        number = entry if jax.export.is_symbolic_dim(entry) else operator.index(entry)
    except (TypeError, jax.errors.JAXTypeError) as error:
        raise errors.not_an_integer(function, argument, entry, whole) from error
    if certainly(lt, number, minimum):
        raise errors.too_small(function, argument, whole, minimum)
    if certainly(lt, _MAX_INT64, number):
        raise errors.too_large(function, argument, whole)
    return number


def paddings(function: str, value: Any, dims: int, stride: Sizes, kernel: Sizes, dilation: Sizes) -> Pads:
    """Return an int, an int or (low, high) pair per dimension, "same" or "valid" as pairs."""
    if isinstance(value, str):
        check_name(function, "padding", value, ("same", "valid"))
        if value == "valid":
            return ((0, 0),) * dims
        total = [extent(k, d) - 1 for k, d in zip(kernel, dilation, strict=True)]
        pairs = tuple((t // 2, t - t // 2) for t in total)  # as in torch, the odd element is on the high side
        if any(s > 1 for s in stride):
            raise errors.same_with_stride(function, stride, pairs)
        return pairs
    return pads(function, value, dims)


def pads(function: str, value: Any, dims: int) -> Pads:
    """Return an int, or an int or (low, high) pair per dimension, as pairs."""
    entries = _entries(value)
    if entries is None or all(_entries(entry) is None for entry in entries):
        if entries is not None and len(entries) not in (1, dims):
            raise errors.wrong_count(function, "padding", value, dims, pairs=True)
        return tuple((p, p) for p in integers(function, "padding", value, dims, 0))
    if len(entries) != dims:
        raise errors.wrong_count(function, "padding", value, dims, pairs=True)
    result = []
    for entry in entries:
        sides = _entries(entry)
        sides = (entry, entry) if sides is None else sides
        if len(sides) != 2:
            raise errors.wrong_count(function, "padding", value, dims, pairs=True)
        low, high = (_integer(function, "padding", side, 0, value) for side in sides)
        result.append((low, high))
    return tuple(result)


def check_name(function: str, argument: str, value: Any, known: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise suggestions.unknown_name(function, argument, value, known)


def flag(function: str, argument: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise errors.not_a_flag(function, argument, value)
    return bool(value)


_PRECISIONS = tuple(level.name.lower() for level in jax.lax.Precision)


def precisions(function: str, value: Any) -> Any:
    """Return None, a jax.lax.Precision, or one per operand. None becomes jax.default_matmul_precision if it is set."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return tuple(_precision(function, v, value) for v in value)
    if value is None:
        value = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        if value is None:
            return None
        try:
            return jax.lax.Precision(value)
        except ValueError:  # a preset for dots only, which a convolution cannot use
            return None
    return _precision(function, value, value)


def _precision(function: str, value: Any, whole: Any) -> jax.lax.Precision | None:
    if value is None or isinstance(value, jax.lax.Precision):
        return value
    try:
        return jax.lax.Precision(value)
    except (ValueError, TypeError) as error:
        raise suggestions.unknown_name(function, "precision", whole, _PRECISIONS) from error


def dtype(function: str, argument: str, value: Any) -> Any:
    """Return a dtype as JAX represents it: float64 becomes float32 if x64 is off."""
    try:
        if value is None:
            raise TypeError
        found = jax.dtypes.canonicalize_dtype(jnp.dtype(value).newbyteorder("="))
        if found.itemsize > (16 if found.kind == "c" else 8):
            raise TypeError  # NumPy's long doubles, which JAX does not have
        return found
    except (TypeError, ValueError) as error:
        raise errors.not_a_dtype(function, argument, value) from error


def float_dtype(function: str, value: Any) -> Any:
    found = dtype(function, "dtype", value)
    if not jnp.issubdtype(found, jnp.floating):
        raise errors.wrong_dtype(function, "dtype", found, "a real floating dtype", "dtype=jax.numpy.float32")
    return found


def out_dtype(function: str, value: Any, operands: Any) -> Any:
    """Return the dtype that preferred_element_type asks for, or None if it is the dtype of the operands."""
    if value is None:
        return None
    preferred = dtype(function, "preferred_element_type", value)
    kinds = (jnp.signedinteger, jnp.unsignedinteger, jnp.floating, jnp.complexfloating)
    same_kind = any(jnp.issubdtype(preferred, kind) and jnp.issubdtype(operands, kind) for kind in kinds)
    if not same_kind or preferred.itemsize < operands.itemsize:
        raise errors.wrong_preferred_type(function, preferred, operands)
    return None if preferred == operands else preferred


def check_countable(function: str, *made: tuple[str, Any, Sequence[int]], item_bytes: int = 16) -> None:
    """Raise an error for the first (argument, value, shape that follows from it) that XLA cannot count.

    Without this check, XLA would end the process.
    """
    for argument, value, shape in made:
        if certainly(lt, _MAX_INT64, math.prod(shape) * item_bytes):
            raise errors.too_large(function, argument, value)


def kernel_sizes(function: str, value: Any) -> Sizes:
    """Return one int per spatial dimension. A single int means two dimensions, as in torch."""
    entries = _entries(value)
    dims = 2 if entries is None else len(entries)
    if dims == 0:
        raise errors.wrong_count(function, "kernel_size", value, 2, pairs=False)
    return integers(function, "kernel_size", value, dims, 1)
