"""`jax.lax`'s convolutions, computed by convjax: the same names, signatures, results and errors.

They fit wherever a function of `jax.lax` is asked for, such as `flax.linen.Conv(..., conv_general_dilated=...)`.

>>> import convjax.lax, jax.numpy as jnp
>>> x, w = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
>>> numbers = ("NHWC", "HWIO", "NHWC")
>>> convjax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers)[0, :, :, 0]
Array([[4., 6., 6., 4.],
       [6., 9., 9., 6.],
       [6., 9., 9., 6.],
       [4., 6., 6., 4.]], dtype=float32)
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from convjax._rewriting import convolutions
from convjax._rewriting.programs import run_rewritten

__all__ = [
    "conv",
    "conv_general_dilated",
    "conv_general_dilated_local",
    "conv_general_dilated_patches",
    "conv_transpose",
    "conv_with_general_padding",
]

_RULE = convolutions.rule()


def _by_convjax(function: Callable) -> Callable:
    """The function of `jax.lax`, with the convolution that it traces replaced."""
    signature = inspect.signature(function)
    names = [name for name in ("lhs", "rhs") if name in signature.parameters]

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # raises its own error
        if not all(hasattr(given[name], "dtype") for name in names):
            return function(*args, **kwargs)  # so does this
        operands = {name: given.pop(name) for name in names}
        if any(isinstance(a, jax.core.Tracer) for a in operands.values()):
            return _traced(function, operands, given)
        options = tuple((name, _hashable(value)) for name, value in given.items())
        return _compiled(function, options)(operands)

    call.__doc__ = f"`jax.lax.{function.__name__}`, computed by convjax.\n\n    {_DIFFERENCES}"
    return call


_DIFFERENCES = (
    "The arguments and the errors are those of `jax.lax`. Results differ by rounding, as those of `convjax.conv` do."
)


def _traced(function: Callable, operands: dict[str, jax.Array], options: dict[str, Any]) -> jax.Array:
    names = list(operands)

    def call(*arrays):
        return function(**dict(zip(names, arrays, strict=True)), **options)

    return run_rewritten(call, tuple(operands.values()), _RULE)


@functools.lru_cache(maxsize=1024)
def _compiled(function: Callable, options: tuple) -> Callable:
    run = functools.partial(_traced, function, options=dict(options))
    return jax.jit(run)


def _hashable(value: Any) -> Any:
    """Lists and arrays as tuples. Every argument of `jax.lax` but the operands may be a tuple."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(map(_hashable, value)) if type(value) in (list, tuple) else value


conv_general_dilated = _by_convjax(lax.conv_general_dilated)
conv = _by_convjax(lax.conv)
conv_with_general_padding = _by_convjax(lax.conv_with_general_padding)
conv_transpose = _by_convjax(lax.conv_transpose)
conv_general_dilated_patches = _by_convjax(lax.conv_general_dilated_patches)
conv_general_dilated_local = _by_convjax(lax.conv_general_dilated_local)
