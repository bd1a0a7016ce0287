"""What the public poolings compute, for checked arguments: jitted functions of arrays.

Images are (N, C, *n), or (C, *n) for one image. Poolings in the channels-last memory format move the channels to the
end, and back. XLA removes both moves where the images lie in memory like that.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from convjax._arguments.pooling import Adaptive, Pooling
from convjax._arrays.pooling import Windows, adaptive_blocks, adaptive_windows, lowest, taken_taps, widened
from convjax._arrays.sharding import sharded_like_first
from convjax._operation.pool_primitives import pool, window_sums
from convjax._spec import certainly

Axes = tuple[int, ...]


def _jitted(*static: str):
    """A function as one jitted program, whose results are sharded like its first operand."""

    def decorate(f: Callable) -> Callable:
        @partial(jax.jit, static_argnames=static, inline=True)
        def run(*operands: jax.Array, **options):
            return sharded_like_first(partial(f, **options), *operands)

        return run

    return decorate


# ---- poolings ----


@_jitted("call", "indices")
def max_pool(x: jax.Array, *, call: Pooling, indices: bool):
    """The largest elements. With `indices`, also where they are in the image, in row order."""

    def run(x: jax.Array, axes: Axes):
        windows = _windows(x, axes, call.windows)
        starts = [_window_starts(x, axis, windows) for axis in axes]
        return _largest(x, axes, windows, starts, [x.shape[axis] for axis in axes], indices)

    return _in_memory_order(run, x, call)


@_jitted("call", "count_padding", "divisor")
def avg_pool(x: jax.Array, *, call: Pooling, count_padding: bool, divisor: int | None) -> jax.Array:
    def run(x: jax.Array, axes: Axes):
        return _means(widened(x), axes, _windows(x, axes, call.windows), count_padding, divisor).astype(x.dtype)

    return _in_memory_order(run, x, call)


@_jitted("call", "norm_type")
def lp_pool(x: jax.Array, *, call: Pooling, norm_type: float) -> jax.Array:
    def run(x: jax.Array, axes: Axes):
        windows = _windows(x, axes, call.windows)
        if math.isinf(norm_type):
            return pool(jnp.abs(x), windows, norm_type > 0)
        wide = widened(x)
        powers = lax.integer_pow(wide, int(norm_type)) if norm_type.is_integer() else wide**norm_type
        # As torch does: the mean, which counts the elements of smaller windows at the end, times the kernel's size.
        sums = _means(powers, axes, windows, True, None) * math.prod(windows.size)
        is_zero = sums == 0  # its gradient is defined as zero
        roots = jnp.where(is_zero, jnp.ones_like(sums), sums) ** (1 / norm_type)
        return jnp.where(is_zero, jnp.zeros_like(sums), roots).astype(x.dtype)

    return _in_memory_order(run, x, call)


@_jitted("call")
def adaptive_avg_pool(x: jax.Array, *, call: Adaptive) -> jax.Array:
    def run(y: jax.Array, axes: Axes):
        blocks, windows = _adaptive_blocks(y, axes, call, 0)
        areas = [_along(stop - start, axis, y.ndim) for axis, (start, stop) in _adaptive_windows(y, axes, call)]
        return window_sums(blocks, windows) / jnp.asarray(math.prod(areas), y.dtype)

    return _in_memory_order(run, widened(x), call).astype(x.dtype)


@_jitted("call", "indices")
def adaptive_max_pool(x: jax.Array, *, call: Adaptive, indices: bool):
    def run(y: jax.Array, axes: Axes):
        blocks, windows = _adaptive_blocks(y, axes, call, lowest(y.dtype))
        starts = [start for _, (start, _) in _adaptive_windows(y, axes, call)]
        return _largest(blocks, axes, windows, starts, [y.shape[axis] for axis in axes], indices)

    y = _in_memory_order(run, widened(x), call)  # wide, because windows that overlap sum in the gradient of the blocks
    return (y[0].astype(x.dtype), y[1]) if indices else y.astype(x.dtype)


@_jitted("sizes")
def max_unpool(x: jax.Array, indices: jax.Array, *, sizes: tuple[int, ...]) -> jax.Array:
    dims, size = len(sizes), math.prod(sizes)
    lead, count = x.shape[: x.ndim - dims], math.prod(x.shape[x.ndim - dims :])
    indices = indices if indices.dtype.itemsize >= 4 else indices.astype(jnp.int32)
    outside = (indices < 0) | (indices >= size)  # to be dropped, and not counted from the end
    beyond = size + jnp.arange(count, dtype=jnp.int32)
    at = jnp.where(outside.reshape(-1, count), beyond, indices.reshape(-1, count).astype(jnp.int32))

    def put(row: jax.Array, at: jax.Array) -> jax.Array:
        return jnp.zeros(size, x.dtype).at[at].set(row, mode="drop", unique_indices=True)

    return jax.vmap(put)(x.reshape(-1, count), at).reshape(*lead, *sizes)


# ---- parts of them ----


def _in_memory_order(run: Callable[[jax.Array, Axes], Any], x: jax.Array, call: Pooling | Adaptive) -> Any:
    """run(x, spatial axes), for an x whose channels were moved to the end if they are there in memory."""
    first = call.batched + 1
    axes = tuple(range(first, x.ndim))
    if not call.channels_last:
        return run(x, axes)
    results = run(jnp.moveaxis(x, first - 1, -1), tuple(axis - 1 for axis in axes))
    return jax.tree.map(lambda y: jnp.moveaxis(y, -1, first - 1), results)


def _windows(x: jax.Array, axes: Axes, windows: Windows) -> Windows:
    """The windows of these axes as those of x. They have size 1 along all other axes."""

    def entries(values, other):
        return tuple(values[axes.index(axis)] if axis in axes else other for axis in range(x.ndim))

    return Windows(*map(entries, windows, (1, 1, 1, (0, 0))))


def _largest(x: jax.Array, axes: Axes, windows: Windows, starts, sizes, indices: bool):
    """The largest element of each window. With `indices`, also where it is in an image of these sizes.

    Window i of an axis begins at the element starts[i] of the image.
    """
    y = pool(x, windows)
    if not indices:
        return y
    taps = taken_taps(lax.stop_gradient(x), windows)
    index = jnp.zeros(y.shape, jnp.int32)
    for axis, start, n in zip(axes, starts, sizes, strict=True):
        index = index * n + _along(start, axis, x.ndim) + taps[axis] * windows.dilation[axis]
    return y, index


def _window_starts(x: jax.Array, axis: int, windows: Windows) -> jax.Array:
    """The elements where the windows of an axis begin. They are negative in the padding."""
    numbers = jnp.arange(windows.counts(x.shape)[axis], dtype=jnp.int32)
    return numbers * windows.stride[axis] - windows.padding[axis][0]


def _means(x: jax.Array, axes: Axes, windows: Windows, count_padding: bool, divisor: int | None) -> jax.Array:
    by = _areas(x, axes, windows, count_padding) if divisor is None else divisor
    return window_sums(x, windows) / jnp.asarray(by, x.dtype)


def _areas(x: jax.Array, axes: Axes, windows: Windows, count_padding: bool):
    """How many elements each window has. The padding before x, and as much behind it, counts or does not."""
    areas: list[Any] = []
    for axis in axes:
        n, k, (low, high) = x.shape[axis], windows.size[axis], windows.padding[axis]
        counted = low if count_padding else 0
        if certainly(lambda: low == counted and high <= counted):  # noqa: B023
            areas.append(k)
            continue
        start = _window_starts(x, axis, windows)
        inside = jnp.minimum(start + k, n + counted) - jnp.maximum(start, -counted)
        areas.append(_along(inside, axis, x.ndim))
    return math.prod(areas)


def _adaptive_windows(x: jax.Array, axes: Axes, call: Adaptive):
    return [(axis, adaptive_windows(x.shape[axis], m)) for axis, m in zip(axes, call.sizes, strict=True)]


def _adaptive_blocks(x: jax.Array, axes: Axes, call: Adaptive, fill) -> tuple[jax.Array, Windows]:
    """The windows of adaptive pooling one after the other, filled up to one size, and these blocks as windows."""
    size = [1] * x.ndim
    for axis, m in zip(axes, call.sizes, strict=True):
        x, size[axis] = adaptive_blocks(x, axis, m, fill)
    ones = (1,) * x.ndim
    return x, Windows(tuple(size), tuple(size), ones, ((0, 0),) * x.ndim)


def _along(values, axis: int, ndim: int) -> jax.Array:
    """A vector as an array that varies along one of its axes."""
    return jnp.asarray(values, jnp.int32).reshape([-1 if a == axis else 1 for a in range(ndim)])
