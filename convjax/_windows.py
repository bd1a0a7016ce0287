"""Sliding windows of an array, and their sum back: exact copies and additions, no gather, no scatter, no dot.

The windows along an axis, a (size, count) matrix with x[j dilation + i stride] at (j, i), come from reshapes alone.
Repeat the n elements end to end and read them in rows of n + dilation: row j then starts at element j dilation, so
every stride-th of its first (count - 1) stride + 1 elements is a window's. That is the same handful of operations
whatever the size of the window, where a slice per tap would be one operation each.
"""

import jax
import jax.numpy as jnp
from jax import lax


def windows(x: jax.Array, axis: int, size: int, stride: int, dilation: int, count: int) -> jax.Array:
    """Replace `axis` by two, (size, count): element (j, i) is x[i * stride + j * dilation]."""
    lead, n, rest = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    row = n + dilation
    repeats = -(-size * row // n)
    x = jnp.broadcast_to(jnp.expand_dims(x, axis), (*lead, repeats, n, *rest)).reshape(*lead, repeats * n, *rest)
    x = lax.slice_in_dim(x, 0, size * row, axis=axis).reshape(*lead, size, row, *rest)
    return lax.slice_in_dim(x, 0, (count - 1) * stride + 1, stride, axis=axis + 1)


def sum_windows(x: jax.Array, axis: int, n: int, stride: int, dilation: int) -> jax.Array:
    """The transpose of `windows`, step by step: (size, count) at `axis` become n elements, overlapping ones summed."""
    lead, size, count, rest = x.shape[:axis], x.shape[axis], x.shape[axis + 1], x.shape[axis + 2 :]
    row = n + dilation
    repeats = -(-size * row // n)
    x = _pad(x, axis + 1, row - (count - 1) * stride - 1, stride - 1).reshape(*lead, size * row, *rest)
    x = _pad(x, axis, repeats * n - size * row, 0).reshape(*lead, repeats, n, *rest)
    return x.sum(axis=axis, dtype=x.dtype)


def _pad(x: jax.Array, axis: int, behind: int, between: int) -> jax.Array:
    widths = [(0, behind, between) if a == axis else (0, 0, 0) for a in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), widths)
