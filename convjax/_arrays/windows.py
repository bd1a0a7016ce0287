"""Sliding windows of an array, and their sum back: exact copies and additions, no gather, no scatter, no dot.

The windows along an axis, a (size, count) matrix with x[j dilation + i stride] at (j, i), come from reshapes alone.
Repeat the n elements end to end and read them in rows of n + dilation: row j then starts at element j dilation, so
every stride-th of its first (count - 1) stride + 1 elements is a window's. That is the same handful of operations
whatever the size of the window, where a slice per tap would be one operation each.

A stride leaves most of each row unread, and the sum back would fill it with zeros. So with neighbouring taps (dilation
1) the axis is first cut into rows of `stride` elements, and the windows of the rows are taken at stride 1.
"""

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


def elements(n: int, size: int, stride: int, dilation: int, count: int) -> int:
    """The most that an axis of n becomes in `windows` and in `sum_windows`."""
    if stride > 1 and dilation == 1:
        blocks = -(-size // stride)
        rows = count + blocks - 1
        return stride * max(elements(rows, blocks, 1, 1, count), rows)
    return size * (n + dilation) + n


def sum_windows(x: jax.Array, axis: int, n: int, stride: int, dilation: int) -> jax.Array:
    """The transpose of `windows`, step by step: (size, count) at `axis` become n elements, overlapping ones summed."""
    lead, size, count, rest = x.shape[:axis], x.shape[axis], x.shape[axis + 1], x.shape[axis + 2 :]
    if stride > 1 and dilation == 1:
        blocks = -(-size // stride)
        rows = count + blocks - 1
        x = _resize(x, axis, blocks * stride).reshape(*lead, blocks, stride, count, *rest).swapaxes(axis + 1, axis + 2)
        return _resize(sum_windows(x, axis, rows, 1, 1).reshape(*lead, rows * stride, *rest), axis, n)
    row = n + dilation
    repeats = -(-size * row // n)
    x = _resize(x, axis + 1, row, between=stride - 1).reshape(*lead, size * row, *rest)
    x = _resize(x, axis, repeats * n).reshape(*lead, repeats, n, *rest)
    return x.sum(axis=axis, dtype=x.dtype)


def _resize(x: jax.Array, axis: int, size: int, between: int = 0) -> jax.Array:
    """Set zeros between the elements of an axis, then add zeros at its end, or crop it, to a size."""
    behind = size - (x.shape[axis] - 1) * (between + 1) - 1
    widths = [(0, behind, between) if a == axis else (0, 0, 0) for a in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), widths)
