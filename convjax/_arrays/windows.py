"""Sliding windows of an array, by copies alone: no gather and no dot. Their transpose sums overlapping windows.

The windows along an axis form a (size, count) matrix with x[j dilation + i stride] at (j, i). Reshapes are enough to
make it: repeat the n elements end to end and split them into rows of n + dilation. Row j then starts at element
j dilation. Of its first (count - 1) stride + 1 elements, every stride-th one belongs to a window. The number of
operations does not depend on the size of the window. With slices it would be one operation per tap.

A stride leaves most of each row unused, and the transpose would fill the unused part with zeros. So if dilation is 1,
the axis is first split into rows of `stride` elements, and the windows of the rows are taken at stride 1.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax


def windows(x: jax.Array, axis: int, size: int, stride: int, dilation: int, count: int) -> jax.Array:
    """Replace `axis` by two, (size, count): element (j, i) is x[i * stride + j * dilation]."""
    lead, n, rest = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    if stride > 1 and dilation == 1:
        blocks = -(-size // stride)
        rows = count + blocks - 1
        x = _resize(x, axis, rows * stride).reshape(*lead, rows, stride, *rest)
        x = windows(x, axis, blocks, 1, 1, count).swapaxes(axis + 1, axis + 2)
        return _resize(x.reshape(*lead, blocks * stride, count, *rest), axis, size)
    row = n + dilation
    repeats = -(-size * row // n)
    x = jnp.broadcast_to(jnp.expand_dims(x, axis), (*lead, repeats, n, *rest)).reshape(*lead, repeats * n, *rest)
    x = _resize(x, axis, size * row).reshape(*lead, size, row, *rest)
    return lax.slice_in_dim(x, 0, (count - 1) * stride + 1, stride, axis=axis + 1)


def sum_windows(x: jax.Array, axis: int, n: int, stride: int, dilation: int) -> jax.Array:
    """The transpose of `windows`, for dtypes that have no derivatives: (size, count) at `axis` become n elements."""
    axes, size, count = range(x.ndim - 1), x.shape[axis], x.shape[axis + 1]

    def placed(tap: int) -> jax.Array:
        low, between = tap * dilation, stride - 1
        high = n - low - (count - 1) * stride - 1
        widths = [(low, high, between) if a == axis else (0, 0, 0) for a in axes]
        return lax.pad(lax.index_in_dim(x, tap, axis, keepdims=False), jnp.zeros((), x.dtype), widths)

    return functools.reduce(lax.bitwise_or if x.dtype == bool else lax.add, map(placed, range(size)))


def max_elements(n: int, size: int, stride: int, dilation: int, count: int) -> int:
    """The largest size that an axis of n elements takes inside `windows`."""
    if stride > 1 and dilation == 1:
        blocks = -(-size // stride)
        rows = count + blocks - 1
        return stride * max(max_elements(rows, blocks, 1, 1, count), rows)
    return size * (n + dilation) + n


def _resize(x: jax.Array, axis: int, size: int) -> jax.Array:
    """Pad or crop the end of an axis to `size`."""
    widths = [(0, size - x.shape[axis] if a == axis else 0, 0) for a in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), widths)
