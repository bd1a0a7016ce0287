"""What happens around the primitive in a call: checks, batch axis, borders, bias. Also `unfold` and `fold`.

A checked call is one jitted_call function, so that an eager call is one dispatch. Inside another trace it is inlined.
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
from convjax._arguments import arrays, convolutions, errors
from convjax._arguments.convolutions import Options
from convjax._arguments.values import check_name
from convjax._arrays import boundary, windows
from convjax._arrays.sharding import (
    is_sharded,
    mark_varying,
    mesh_axes,
    replicated,
    varying_alike,
    varying_axes,
    with_output_sharding,
)
from convjax._choice.choose import SELECTION_MODES, why_unsupported
from convjax._choice.recorded import Recorded
from convjax._operation.primitive import convolve, convolve_share, merge_groups, transposed_weight
from convjax._operation.stencil import stencil
from convjax._operation.whole import whole_unless_divided
from convjax._spec import ConvCall, ConvSpec, Grid, Pads, Sizes, extent


def conv(function: str, dims: int | None, x, weight, bias, *arguments) -> jax.Array:
    """Run the public function named `function` on unchecked arguments."""
    return _run(convolutions.conv_call, function, dims, x, weight, bias, arguments)


def conv_transpose(function: str, dims: int | None, x, weight, bias, *arguments) -> jax.Array:
    return _run(convolutions.conv_transpose_call, function, dims, x, weight, bias, arguments)


def _run(check, function, dims, x, weight, bias, arguments):
    compiled = _cached_call(check, function, dims, x, weight, bias, arguments)
    if compiled is None:
        x, weight, bias = arrays.arrays(function, x, weight, bias)
        compiled = _checked_call(check, function, dims, x, weight, bias, arguments)
    return compiled(x, weight, bias)


def _checked_call(check, function, dims, x, weight, bias, arguments):
    call = check(function, dims, x, weight, bias, *arguments)
    call = call._replace(algorithm=checked_algorithm(function, call.algorithm))
    if call.algorithm in ALGORITHMS:
        shapes = (jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, weight))  # without any sharding
        lhs, rhs = jax.eval_shape(partial(primitive_operands, call=call), *shapes)
        reason = why_unsupported(ALGORITHMS[call.algorithm], call.spec, lhs, rhs)
        if reason is not None:
            raise errors.unsupported_algorithm(function, call.algorithm, reason)
    return jitted_call(call)


def checked_algorithm(function: str, value: Any) -> str | Recorded:
    """Return the name of an algorithm, or a record of `tune` with its lists made tuples. Raise an error for others."""
    if not isinstance(value, (tuple, list)):
        check_name(function, "algorithm", value, (*SELECTION_MODES, *ALGORITHMS))
        return value
    recorded = _as_tuples(value)
    if not _is_cache_key(recorded) or not all(_is_entry(entry) for entry in recorded):
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
# Checking takes some 20 microseconds of Python, three times as long as a dispatch. So the checked call is cached. The
# key is all that it depends on: shapes, dtype and the arguments exactly as given.


def _cached_call(check, function, dims, x, weight, bias, arguments):
    """The jitted function of a call from the cache. None if the arguments cannot be a key of the cache."""
    dtype = getattr(x, "dtype", None)
    for a in (x, weight) if bias is None else (x, weight, bias):
        if not isinstance(a, jax.Array) or isinstance(a, jax.core.Tracer) or a.dtype != dtype:
            return None
    if not _is_cache_key(arguments) or not jax.dtypes.issubdtype(dtype, np.number):
        return None
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    shapes = x.shape, weight.shape, None if bias is None else bias.shape
    return _call_cache(check, function, dims, dtype, shapes, arguments, precision)


def _is_cache_key(value) -> bool:
    """Whether a value can be a key of the cache. A float or a bool cannot, because 1 == 1.0 == True."""
    type_ = type(value)
    return (
        type_ is int or type_ is str or value is None or (type_ in (tuple, Options) and all(map(_is_cache_key, value)))
    )


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
        return x, transposed_weight(weight, call.spec)
    return boundary.extend(x, *call.boundary) if call.boundary else x, weight


@lru_cache(maxsize=4096)
def jitted_call(call: ConvCall) -> Callable[..., jax.Array]:
    """A checked call as a jitted function of (x, weight, bias). jit dispatches functions of arrays alone fastest."""

    def run(x: jax.Array, weight: jax.Array, bias: jax.Array | None) -> jax.Array:
        weight = replicated(weight, *range(2, weight.ndim))
        in_space = is_sharded(x, *range(1 + call.batched, x.ndim))
        if in_space and (call.algorithm == "xla" or call.spec.groups == 1):  # of groups, devices may hold a part
            x, weight = replicated(x, call.batched), replicated(weight, 0 if call.transposed else 1)
        if in_space and call.algorithm == "xla":  # `whole.py` says why
            weight = replicated(weight, 0, 1)
        convolution = partial(_conv_in_space if in_space else _conv, call=call)
        return with_output_sharding(convolution, partial(_conv_layout, call=call), x, weight, bias)

    return jax.jit(run, inline=True)


def _conv_in_space(x, weight, bias, *, call: ConvCall):
    channels = int(call.batched)
    y = _conv(whole_unless_divided(x, channels), whole_unless_divided(weight, 0, 1), bias, call=call)
    return whole_unless_divided(y, channels)


def _conv(x, weight, bias, *, call: ConvCall):
    images = x if call.batched else lax.expand_dims(x, (0,))
    if call.boundary and not call.transposed:
        y = _with_borders(images, weight, call)
    elif call.boundary:
        y = _transposed_with_borders(images, weight, call)
    else:
        y = convolve(*primitive_operands(x, weight, call=call), call.spec, call.algorithm)
    if bias is not None:
        # Added in float32 at least, because the gradient of the bias is a long sum in this dtype.
        wide = jnp.float32 if y.dtype in (jnp.float16, jnp.bfloat16) else y.dtype
        y = (y.astype(wide) + bias.reshape(1, -1, *[1] * call.spec.dims).astype(wide)).astype(y.dtype)
    return y if call.batched else lax.squeeze(y, (0,))


def _with_borders(x: jax.Array, weight: jax.Array, call: ConvCall) -> jax.Array:
    """The convolution of an image with borders, as one equation: devices extend their shares of the image alone."""
    assert call.boundary
    spec, (border, pads) = call.spec, call.boundary
    groups, kernel = spec.groups, weight.shape[2:]
    space, taps = tuple(f"s{d}" for d in range(spec.dims)), (None,) * spec.dims
    y = stencil(
        _convolve_extended,
        [x.reshape(x.shape[0], groups, -1, *x.shape[2:])],
        [weight.reshape(groups, -1, *weight.shape[1:])],
        static=(call,),
        border=border,
        reach=_reach(kernel, spec.rhs_dilation, pads),
        stride=spec.stride,
        axes=(("b", "g", "i", *space), ("g", "o", "i", *taps), ("b", "g", "o", *space)),
    )
    return y.reshape(y.shape[0], -1, *y.shape[3:])


def _transposed_with_borders(x: jax.Array, weight: jax.Array, call: ConvCall) -> jax.Array:
    """The transpose of `_with_borders`, where that can express the call, and else of both of its steps."""
    assert call.boundary
    full = call.spec.output_shape(x.shape, (weight.shape[1] * call.spec.groups, 1, *weight.shape[2:]))
    forward = call._replace(spec=_transposed_spec(call.spec), transposed=False)
    is_named = isinstance(call.algorithm, str) and call.algorithm not in (*SELECTION_MODES, "xla")
    is_symbolic = not all(isinstance(n, int) for n in full)
    is_float = jnp.issubdtype(x.dtype, jnp.inexact)
    # An output_padding of the stride or more adds positions that the convolution would see.
    if (
        is_named
        or is_symbolic
        or not is_float
        or call.spec.out_dtype
        or forward.spec.output_shape(full, weight.shape) != x.shape
    ):
        y = convolve(x, transposed_weight(weight, call.spec), call.spec, call.algorithm)
        return boundary.fold_back(y, *call.boundary)
    sizes = [n - low - high for n, (low, high) in zip(full[2:], call.boundary[1], strict=True)]
    return _transpose(partial(_with_borders, weight=weight, call=forward), (*full[:2], *sizes), x, varying_axes(weight))


def _transposed_spec(spec: ConvSpec) -> ConvSpec:
    """Of the convolution of an image with its borders, whose transpose has the spec."""
    return spec._replace(
        stride=spec.lhs_dilation,
        padding=((0, 0),) * spec.dims,
        lhs_dilation=(1,) * spec.dims,
        hints=spec.hints._replace(flipped_weight=False),
    )


def _transpose(f: Callable, shape: Sizes, y: jax.Array, varying: frozenset = frozenset()) -> jax.Array:
    """The transpose at y of a linear f, which takes an array of this shape and varies over these axes of shard_map."""
    image = mark_varying(jnp.zeros(shape, y.dtype), varying_axes(y) | varying)
    return jax.linear_transpose(f, jax.typeof(image))(varying_alike(y, image)[0])[0]


def _convolve_extended(x: jax.Array, weight: jax.Array, _, call: ConvCall) -> jax.Array:
    """(N, G, I, *n) with (G, O, I, *k): (N, G, O, *m). A share has another shape, and maybe fewer groups."""
    assert call.boundary
    groups = x.shape[1]
    x = boundary.extend(x.reshape(x.shape[0], -1, *x.shape[3:]), *call.boundary)
    y = convolve_share(x, merge_groups(weight), call.spec._replace(groups=groups), call.algorithm)
    return y.reshape(y.shape[0], groups, -1, *y.shape[2:])


def _reach(kernel: Sizes, dilation: Sizes, padding: Pads) -> Pads:
    """How far windows reach in front of their place in an image, and behind it."""
    return tuple((low, (k - 1) * r - low) for k, r, (low, _) in zip(kernel, dilation, padding, strict=True))


def _conv_layout(x, weight, bias, *, call: ConvCall):
    """The PartitionSpec entries of the result. Batch and spatial axes are sharded like those of x.

    Channels are sharded like the output axis of the weight, else like the bias, else like the channels of x if there
    are groups.
    """
    grouped = call.spec.groups > 1
    outputs = weight[0] if not call.transposed else None if grouped else weight[1]
    channels = outputs or (bias and bias[0]) or (x[call.batched] if grouped else None)
    space = x[call.batched + 1 :]
    in_space = {axis for entry in space for axis in mesh_axes(entry)}
    if in_space and (call.algorithm == "xla" or in_space & set(mesh_axes(channels))):
        channels = None
    return (*x[: call.batched], channels, *space)


@partial(jax.jit, static_argnames="grid", inline=True)
def unfold(x: jax.Array, *, grid: Grid) -> jax.Array:
    layout = partial(_columns_layout, batched=x.ndim == len(grid.sizes) + 2)
    return with_output_sharding(partial(_unfold, grid=grid), layout, x)


def _columns_layout(x, *, batched: bool):
    """The PartitionSpec entries of the result. The batch is sharded like x's, and positions like the first axis."""
    first, *others = x[batched + 1 :]
    return (*x[:batched], None, None if any(map(mesh_axes, others)) else first)


def _unfold(x, *, grid: Grid):
    lead = x.ndim - len(grid.sizes) - 1
    y = _patches(x, grid)
    return y.reshape(*x.shape[:lead], x.shape[lead] * math.prod(grid.kernel), math.prod(grid.counts))


def _patches(x: jax.Array, grid: Grid) -> jax.Array:
    """(..., C, *n) to (..., C, *k, *m)."""
    dims = len(grid.sizes)
    space, lead = tuple(f"s{d}" for d in range(dims)), ("b", "c")[dims + 2 - x.ndim :]
    return stencil(
        _windows,
        [x],
        static=(grid,),
        reach=_reach(grid.kernel, grid.dilation, grid.padding),
        stride=grid.stride,
        axes=((*lead, *space), (*lead, *[None] * dims, *space)),
    )


def _windows(x: jax.Array, _, grid: Grid) -> jax.Array:
    dims = len(grid.sizes)
    first = x.ndim - dims
    x = boundary.extend(x, "constant", grid.padding)
    for i, (k, s, d) in enumerate(zip(grid.kernel, grid.stride, grid.dilation, strict=True)):
        x = windows.windows(x, first + 2 * i, k, s, d, (x.shape[first + 2 * i] - extent(k, d)) // s + 1)
    lead = range(first)  # (..., C, k1, m1, k2, m2, ...) to (..., C, k1, k2, ..., m1, m2, ...)
    return x.transpose(*lead, *range(first, x.ndim, 2), *range(first + 1, x.ndim, 2))


@partial(jax.jit, static_argnames=("grid", "channels"), inline=True)
def fold(x: jax.Array, *, grid: Grid, channels: int) -> jax.Array:
    layout = partial(_image_layout, batched=x.ndim == 3, dims=len(grid.sizes))
    return with_output_sharding(partial(_fold, grid=grid, channels=channels), layout, x)


def _image_layout(x, *, batched: bool, dims: int):
    """The PartitionSpec entries of the result: those of `_columns_layout`, where they came from."""
    return (*x[:batched], None, x[-1], *[None] * (dims - 1))


def _fold(x, *, grid: Grid, channels: int):
    lead = x.shape[:-2]
    patches = x.reshape(*lead, channels, *grid.kernel, *grid.counts)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return _summed_patches(patches, grid)
    return _transpose(partial(_patches, grid=grid), (*lead, channels, *grid.sizes), patches)


def _summed_patches(x: jax.Array, grid: Grid) -> jax.Array:
    """(..., C, *k, *m) to (..., C, *n)."""
    dims = len(grid.sizes)
    first = x.ndim - 2 * dims
    x = x.transpose(*range(first), *[first + d + side for d in range(dims) for side in (0, dims)])
    for d, (n, (low, high)) in enumerate(zip(grid.sizes, grid.padding, strict=True)):
        x = windows.sum_windows(x, first + d, n + low + high, grid.stride[d], grid.dilation[d])
        x = lax.slice_in_dim(x, low, low + n, axis=first + d)
    return x
