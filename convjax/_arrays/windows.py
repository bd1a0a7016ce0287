"""Sliding windows of an array, and their transpose, which sums overlapping windows.

Both use exact copies and additions, and no gather, scatter or dot.

The windows along an axis form a (size, count) matrix with x[j dilation + i stride] at (j, i). Reshapes are enough to
make it: repeat the n elements end to end and split them into rows of n + dilation. Row j then starts at element
j dilation. Of its first (count - 1) stride + 1 elements, every stride-th one belongs to a window. The number of
operations does not depend on the size of the window. With slices it would be one operation per tap.

A stride leaves most of each row unused, and the transpose would fill the unused part with zeros. So if dilation is 1,
the axis is first split into rows of `stride` elements, and the windows of the rows are taken at stride 1.
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


def max_elements(n: int, size: int, stride: int, dilation: int, count: int) -> int:
    """The largest size that an axis of n elements takes inside `windows` and `sum_windows`."""
    if stride > 1 and dilation == 1:
        blocks = -(-size // stride)
        rows = count + blocks - 1
        return stride * max(max_elements(rows, blocks, 1, 1, count), rows)
    return size * (n + dilation) + n


def sum_windows(x: jax.Array, axis: int, n: int, stride: int, dilation: int) -> jax.Array:
    """The transpose of `windows`: (size, count) at `axis` become n elements, and overlapping windows are summed."""
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
    """Insert `between` zeros between the elements of an axis, then pad or crop its end to `size`."""
    behind = size - (x.shape[axis] - 1) * (between + 1) - 1
    widths = [(0, behind, between) if a == axis else (0, 0, 0) for a in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), widths)
