"""What happens around the operation of a checked call: batch axis, borders, bias.

Each is a jitted function, so that an eager call is one dispatch; inside another trace it is inlined.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _boundary, _windows
from convjax._primitive import convolve, transposed_weight
from convjax._sharding import is_sharded, laid_out, mesh_axes, whole
from convjax._spec import ConvCall, Grid


def operands(x: jax.Array, weight: jax.Array, *, call: ConvCall) -> tuple[jax.Array, jax.Array]:
    """What the primitive is bound to: x with a batch axis and filled borders, and the weight it slides."""
    if not call.batched:
        x = lax.expand_dims(x, (0,))
    if call.transposed:
        return x, transposed_weight(weight, call.spec.groups)
    return _boundary.extend(x, *call.boundary) if call.boundary else x, weight


@lru_cache(maxsize=4096)
def jitted(call: ConvCall) -> Callable[..., jax.Array]:
    """The function of (x, weight, bias) that a checked call is: of arrays alone, which jit dispatches fastest."""

    def conv(x: jax.Array, weight: jax.Array, bias: jax.Array | None) -> jax.Array:
        # XLA's partitioner computes wrong values where an image is sharded in space and its kernels are sharded too, be
        # it along their taps or over another axis of the mesh, or its channels are (plain lax too; jax 0.10.2, 0.12.0).
        if is_sharded(x, *range(1 + call.batched, x.ndim)):
            x, weight = whole(x, call.batched), whole(weight, *range(weight.ndim))
        else:
            weight = whole(weight, *range(2, weight.ndim))
        return laid_out(partial(_conv, call=call), partial(_conv_layout, call=call), x, weight, bias)

    return jax.jit(conv, inline=True)


def _conv(x, weight, bias, *, call: ConvCall):
    y = convolve(*operands(x, weight, call=call), call.spec, call.algorithm)
    if call.transposed and call.boundary:
        y = _boundary.fold_back(y, *call.boundary)
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
    return laid_out(partial(_unfold, grid=grid), layout, x)


def _batch_layout(x, *, batched: bool, rest: int):
    """The batch, if there is one, lies as that of x; the other axes are whole on every device."""
    return (*x[:batched], *[None] * rest)


def _unfold(x, *, grid: Grid):
    dims = len(grid.sizes)
    first = x.ndim - dims
    x = _boundary.extend(x, "constant", grid.padding)
    for i, (k, s, d, m) in enumerate(zip(grid.kernel, grid.stride, grid.dilation, grid.counts, strict=True)):
        x = _windows.windows(x, first + 2 * i, k, s, d, m)
    lead = range(first)  # (..., C, k1, m1, k2, m2, ...) to (..., C, k1, k2, ..., m1, m2, ...)
    x = x.transpose(*lead, *range(first, x.ndim, 2), *range(first + 1, x.ndim, 2))
    rows = x.shape[first - 1] * math.prod(grid.kernel)
    return x.reshape(*x.shape[: first - 1], rows, math.prod(grid.counts))


@partial(jax.jit, static_argnames=("grid", "channels"), inline=True)
def fold(x: jax.Array, *, grid: Grid, channels: int) -> jax.Array:
    layout = partial(_batch_layout, batched=x.ndim == 3, rest=1 + len(grid.sizes))
    return laid_out(partial(_fold, grid=grid, channels=channels), layout, x)


def _fold(x, *, grid: Grid, channels: int):
    dims = len(grid.sizes)
    first = x.ndim - 1
    x = x.reshape(*x.shape[:-2], channels, *grid.kernel, *grid.counts)
    x = x.transpose(*range(first), *[first + i + j * dims for i in range(dims) for j in (0, 1)])
    for i in reversed(range(dims)):
        low, high = grid.padding[i]
        x = _windows.sum_windows(x, first + 2 * i, grid.sizes[i] + low + high, grid.stride[i], grid.dilation[i])
        x = lax.slice_in_dim(x, low, low + grid.sizes[i], axis=first + 2 * i)
    return x
