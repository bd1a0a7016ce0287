"""What happens around the operation in a call: checks, batch axis, borders, bias, patches.

Each is a jitted function, so that an eager call is one dispatch. Inside another trace it is inlined.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._algorithms import ALGORITHMS
from convjax._arguments import arrays, calls, errors
from convjax._arguments.calls import Options
from convjax._arguments.values import check_name
from convjax._arrays import boundary, windows
from convjax._arrays.sharding import is_sharded, mesh_axes, replicated, with_output_sharding
from convjax._choice.choose import CHOOSING, why_unsupported
from convjax._choice.recorded import Recorded
from convjax._operation.primitive import convolve, transposed_weight
from convjax._spec import ConvCall, Grid


def conv(function: str, dims: int | None, x, weight, bias, *arguments) -> jax.Array:
    """A convolution of the public function `function`, from arguments as given."""
    return _run(calls.conv_call, function, dims, x, weight, bias, arguments)


def conv_transpose(function: str, dims: int | None, x, weight, bias, *arguments) -> jax.Array:
    return _run(calls.conv_transpose_call, function, dims, x, weight, bias, arguments)


def _run(check, function, dims, x, weight, bias, arguments):
    compiled = _cached_call(check, function, dims, x, weight, bias, arguments)
    if compiled is None:
        x, weight, bias = arrays.arrays(function, x, weight, bias)
        compiled = _checked_call(check, function, dims, x, weight, bias, arguments)
    return compiled(x, weight, bias)


def _checked_call(check, function, dims, x, weight, bias, arguments):
    call = check(function, dims, x, weight, bias, *arguments)
    call = call._replace(algorithm=_checked_algorithm(function, call.algorithm))
    if call.algorithm in ALGORITHMS:
        shapes = (jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, weight))  # without any sharding
        lhs, rhs = jax.eval_shape(partial(primitive_operands, call=call), *shapes)
        reason = why_unsupported(ALGORITHMS[call.algorithm], call.spec, lhs, rhs)
        if reason is not None:
            raise errors.unsupported_algorithm(function, call.algorithm, reason)
    return jitted(call)


def _checked_algorithm(function: str, value: Any) -> str | Recorded:
    """A name, or recorded measurements with tuples in the place of lists."""
    if not isinstance(value, (tuple, list)):
        check_name(function, "algorithm", value, (*CHOOSING, *ALGORITHMS))
        return value
    recorded = _as_tuples(value)
    if not _is_exact(recorded) or not all(_is_entry(entry) for entry in recorded):
        raise errors.not_recorded(function, value)
    return recorded


def _is_entry(entry: Any) -> bool:
    """Whether this is an operation and pairs of an algorithm and its time."""
    return _is_pair(entry) and isinstance(entry[1], tuple) and all(map(_is_pair, entry[1]))


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, (tuple, list)) else value


# ---- eager calls ----
#
# A check takes some 20 microseconds of Python, three times as long as a dispatch. So the check of an eager call is
# cached by what it depends on: shapes, dtype and the arguments exactly as given.


def _cached_call(check, function, dims, x, weight, bias, arguments):
    """The compiled function of a call, checked now or earlier, or None if the arguments do not identify it."""
    dtype = getattr(x, "dtype", None)
    for a in (x, weight) if bias is None else (x, weight, bias):
        if not isinstance(a, jax.Array) or isinstance(a, jax.core.Tracer) or a.dtype != dtype:
            return None
    if not _is_exact(arguments) or not jax.dtypes.issubdtype(dtype, np.number):
        return None
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    shapes = x.shape, weight.shape, None if bias is None else bias.shape
    return _call_cache(check, function, dims, dtype, shapes, arguments, precision)


def _is_exact(value) -> bool:
    """Whether values are equal only if they are the same. 1, 1.0 and True are not."""
    type_ = type(value)
    return type_ is int or type_ is str or value is None or (type_ in (tuple, Options) and all(map(_is_exact, value)))


@lru_cache(maxsize=4096)
def _call_cache(check, function, dims, dtype, shapes, arguments, precision):
    x, weight, bias = (None if shape is None else jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)
    return _checked_call(check, function, dims, x, weight, bias, arguments)


# ---- convolutions ----


def primitive_operands(x: jax.Array, weight: jax.Array, *, call: ConvCall) -> tuple[jax.Array, jax.Array]:
    """The operands of the primitive: x with a batch axis and filled borders, and the kernel."""
    if not call.batched:
        x = lax.expand_dims(x, (0,))
    if call.transposed:
        return x, transposed_weight(weight, call.spec.groups)
    return boundary.extend(x, *call.boundary) if call.boundary else x, weight


@lru_cache(maxsize=4096)
def jitted(call: ConvCall) -> Callable[..., jax.Array]:
    """A checked call as a function of (x, weight, bias): of arrays alone, which jit dispatches fastest."""

    def run(x: jax.Array, weight: jax.Array, bias: jax.Array | None) -> jax.Array:
        # XLA's partitioner computes wrong values where an image is sharded in space and its kernels are sharded too, be
        # it along their taps or over another axis of the mesh, or its channels are (plain lax too; jax 0.10.2, 0.12.0).
        if is_sharded(x, *range(1 + call.batched, x.ndim)):
            x, weight = replicated(x, call.batched), replicated(weight, *range(weight.ndim))
        else:
            weight = replicated(weight, *range(2, weight.ndim))
        return with_output_sharding(partial(_conv, call=call), partial(_conv_layout, call=call), x, weight, bias)

    return jax.jit(run, inline=True)


def _conv(x, weight, bias, *, call: ConvCall):
    y = convolve(*primitive_operands(x, weight, call=call), call.spec, call.algorithm)
    if call.transposed and call.boundary:
        y = boundary.fold_back(y, *call.boundary)
    if bias is not None:
        # In float32 at least, for the gradient of the bias is a long sum in this dtype.
        wide = jnp.float32 if y.dtype in (jnp.float16, jnp.bfloat16) else y.dtype
        y = (y.astype(wide) + bias.reshape(1, -1, *[1] * call.spec.dims).astype(wide)).astype(y.dtype)
    return y if call.batched else lax.squeeze(y, (0,))


def _conv_layout(x, weight, bias, *, call: ConvCall):
    """Batch and space lie as those of x, channels as the kernels, or the bias, or the groups that they belong to."""
    grouped = call.spec.groups > 1
    outputs = weight[0] if not call.transposed else None if grouped else weight[1]
    channels = outputs or (bias and bias[0]) or (x[call.batched] if grouped else None)
    space = x[call.batched + 1 :]
    # As `jitted` says: an image that is sharded in space is not sharded in channels too.
    return (*x[: call.batched], None if any(map(mesh_axes, space)) else channels, *space)


@partial(jax.jit, static_argnames="grid", inline=True)
def unfold(x: jax.Array, *, grid: Grid) -> jax.Array:
    layout = partial(_batch_layout, batched=x.ndim == len(grid.sizes) + 2, rest=2)
    return with_output_sharding(partial(_unfold, grid=grid), layout, x)


def _batch_layout(x, *, batched: bool, rest: int):
    """The batch, if there is one, lies as that of x; the other axes are whole on every device."""
    return (*x[:batched], *[None] * rest)


def _unfold(x, *, grid: Grid):
    dims = len(grid.sizes)
    first = x.ndim - dims
    x = boundary.extend(x, "constant", grid.padding)
    for i, (k, s, d, m) in enumerate(zip(grid.kernel, grid.stride, grid.dilation, grid.counts, strict=True)):
        x = windows.windows(x, first + 2 * i, k, s, d, m)
    lead = range(first)  # (..., C, k1, m1, k2, m2, ...) to (..., C, k1, k2, ..., m1, m2, ...)
    x = x.transpose(*lead, *range(first, x.ndim, 2), *range(first + 1, x.ndim, 2))
    rows = x.shape[first - 1] * math.prod(grid.kernel)
    return x.reshape(*x.shape[: first - 1], rows, math.prod(grid.counts))


@partial(jax.jit, static_argnames=("grid", "channels"), inline=True)
def fold(x: jax.Array, *, grid: Grid, channels: int) -> jax.Array:
    layout = partial(_batch_layout, batched=x.ndim == 3, rest=1 + len(grid.sizes))
    return with_output_sharding(partial(_fold, grid=grid, channels=channels), layout, x)


def _fold(x, *, grid: Grid, channels: int):
    dims = len(grid.sizes)
    first = x.ndim - 1
    x = x.reshape(*x.shape[:-2], channels, *grid.kernel, *grid.counts)
    x = x.transpose(*range(first), *[first + i + j * dims for i in range(dims) for j in (0, 1)])
    for i in reversed(range(dims)):
        low, high = grid.padding[i]
        x = windows.sum_windows(x, first + 2 * i, grid.sizes[i] + low + high, grid.stride[i], grid.dilation[i])
        x = lax.slice_in_dim(x, low, low + grid.sizes[i], axis=first + 2 * i)
    return x
