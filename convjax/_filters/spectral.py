"""Full convolutions along some axes by FFTs, in one transform or block by block."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from convjax._arrays.fourier import fast_length


def convolve_full(a: jax.Array, b: jax.Array, axes: Sequence[int]) -> jax.Array:
    """The full convolution along the axes, by the faster of the two methods below.

    One axis is cut into blocks, which stay in the cache. XLA transforms blocks in parallel, but not a single long line.
    Several axes take one transform, because it has many lines anyway and blocks would overlap along each axis.
    """
    return (overlap_add if len(axes) == 1 else convolve_at_once)(a, b, axes)


def transform_sizes(shape1: Sequence[int], shape2: Sequence[int]) -> tuple[int, int]:
    """How many elements `convolve_full` transforms in all, and in each transform."""
    if len(shape1) == 1:
        step, length = _block_lengths(shape1[0], shape2[0])
        return -(-max(*shape1, *shape2) // step) * length, length
    lengths = [fast_length(n + k - 1) for n, k in zip(shape1, shape2, strict=True)]
    return math.prod(lengths), math.prod(lengths)


def convolve_at_once(a: jax.Array, b: jax.Array, axes: Sequence[int]) -> jax.Array:
    """The full convolution along the axes, in one transform."""
    sizes = [a.shape[i] + b.shape[i] - 1 for i in axes]
    y = _convolve_circularly(a, b, axes, [fast_length(n) for n in sizes])
    for i, n in zip(axes, sizes, strict=True):
        y = lax.slice_in_dim(y, 0, n, axis=i)
    return y


def _convolve_circularly(a: jax.Array, b: jax.Array, axes: Sequence[int], lengths: Sequence[int]) -> jax.Array:
    """The circular convolution along the axes, zero-padded to these lengths."""
    dtype = a.dtype
    wide = jnp.float32 if dtype.itemsize == 2 else dtype
    real = not jnp.issubdtype(dtype, jnp.complexfloating)
    pairs = list(zip(axes, lengths, strict=True))

    def forward(x):
        x = x.astype(wide)
        for position, (axis, n) in enumerate(reversed(pairs)):
            x = (jnp.fft.rfft if real and position == 0 else jnp.fft.fft)(x, n, axis)
        return x

    y = forward(a) * forward(b)
    for position, (axis, n) in enumerate(pairs):
        y = (jnp.fft.irfft if real and position == len(pairs) - 1 else jnp.fft.ifft)(y, n, axis)
    return y.astype(dtype)


def overlap_add(a: jax.Array, b: jax.Array, axes: Sequence[int]) -> jax.Array:
    """The full convolution by the overlap-add method: the longer operand is cut into blocks along each axis."""
    blocks = {i: _block_lengths(a.shape[i], b.shape[i]) for i in axes}
    shape = [a.shape[i] + b.shape[i] - 1 if i in axes else max(a.shape[i], b.shape[i]) for i in range(a.ndim)]
    axes = sorted(axes)
    for i in reversed(axes):
        a, b = (_split_blocks(x, i, blocks[i][0]) for x in (a, b))
    # Each axis i is now split into two axes. For the m-th of `axes`, counted from 0, the blocks are along axis i + m,
    # and the elements of a block along axis i + m + 1.
    y = _convolve_circularly(a, b, [i + m for m, i in enumerate(axes, 1)], [blocks[i][1] for i in axes])
    for i in axes:
        y = _add_overlaps(y, i, blocks[i][0])
    return lax.slice(y, [0] * y.ndim, shape)


def _block_lengths(n: int, k: int) -> tuple[int, int]:
    """The distance between the starts of blocks, and the length of their transforms."""
    short, long = sorted((n, k))
    length = fast_length(
        8 * short
    )  # N log N work gives N - short + 1 elements: a factor near 8 is cheapest for usual sizes
    if length >= n + k - 1:
        return long, fast_length(n + k - 1)
    return length - short + 1, length


def _split_blocks(x: jax.Array, axis: int, step: int) -> jax.Array:
    n = x.shape[axis]
    count = -(-n // step)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, count * step - n if i == axis else 0, 0) for i in range(x.ndim)])
    return x.reshape(*x.shape[:axis], count, step, *x.shape[axis + 1 :])


def _add_overlaps(y: jax.Array, axis: int, step: int) -> jax.Array:
    """One axis from blocks (count, N), each of which starts `step` elements after the one before."""
    *_, count, length = y.shape[: axis + 2]
    zero = jnp.zeros((), y.dtype)

    def placed(part, before, after):
        grown = [(0, step - part.shape[axis + 1] if i == axis + 1 else 0, 0) for i in range(part.ndim)]
        part = lax.pad(part, zero, grown)
        part = part.reshape(*part.shape[:axis], count * step, *part.shape[axis + 2 :])
        return lax.pad(part, zero, [(before, after, 0) if i == axis else (0, 0, 0) for i in range(part.ndim)])

    head = lax.slice_in_dim(y, 0, step, axis=axis + 1)
    tail = lax.slice_in_dim(y, step, length, axis=axis + 1)
    return placed(head, 0, step) + placed(tail, step, 0)
