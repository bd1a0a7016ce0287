"""Converts the arrays that a public function receives to JAX arrays."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convjax._arguments import errors


def array(function: str, argument: str, value: Any) -> jax.Array:
    if isinstance(value, (str, bytes)) or value is None:
        raise errors.not_an_array(function, argument, value)
    if not isinstance(value, jax.Array):
        try:
            value = jnp.asarray(_to_native(value))
        except jax.errors.JaxRuntimeError:  # out of memory, or jax.transfer_guard: the value is not at fault
            raise
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # torch's tensors raise RuntimeError
            raise errors.not_an_array(function, argument, value) from error
    if not (jnp.issubdtype(value.dtype, jnp.number) or value.dtype == np.bool_):
        raise errors.wrong_dtype(function, argument, value.dtype, "numbers", "jax.random.normal, or .astype")
    return value


def arrays(function: str, x: Any, weight: Any, bias: Any) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Return the operands as JAX arrays of one dtype."""
    operands = [array(function, "x", x), array(function, "weight", weight)]
    if bias is not None:
        operands.append(array(function, "bias", bias))
    operands = promoted(*operands)
    if operands[0].dtype == np.bool_:
        raise errors.wrong_dtype(function, "x", "bool", "numbers, in x or in weight", "x.astype(jax.numpy.float32)")
    return operands[0], operands[1], operands[2] if bias is not None else None


def _to_native(value: Any) -> Any:
    """Detach a torch tensor from its autograd graph, and convert an array to the byte order of this machine.

    JAX accepts native byte order only.
    """
    if hasattr(value, "detach") and hasattr(value, "numpy"):
        return value.detach().numpy()
    if not _has_swapped_bytes(value):
        return value
    array = np.asarray(value)
    return array.astype(array.dtype.newbyteorder("="))


def _has_swapped_bytes(value: Any) -> bool:
    """Whether the byte order differs from that of this machine. Only the first element of a list is checked."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    dtype = getattr(value, "dtype", None)
    return isinstance(dtype, np.dtype) and not dtype.isnative


def struct(function: str, argument: str, value: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of a value. A value that lacks NumPy's `shape` or `dtype` is made an array first."""
    try:
        dtype = jax.dtypes.canonicalize_dtype(np.dtype(value.dtype).newbyteorder("="))
        return jax.ShapeDtypeStruct(value.shape, dtype)
    except (AttributeError, TypeError):
        value = array(function, argument, value)
        return jax.ShapeDtypeStruct(value.shape, value.dtype)


def to_device(value: Any) -> jax.Array:
    """Convert a number, or a NumPy array that convjax made, to a JAX array.

    `jax.transfer_guard` counts this as an explicit transfer.
    """
    return jax.device_put(value)


def promoted(*operands: jax.Array) -> list[jax.Array]:
    """Promote arrays to one dtype by JAX's rules. This is the only place where arrays are promoted."""
    dtype = jnp.result_type(*operands)
    return [a if a.dtype == dtype else a.astype(dtype) for a in operands]
