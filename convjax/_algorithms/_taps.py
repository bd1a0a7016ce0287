"""Padded images, and the elements of them that each tap of a kernel meets."""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax._spec import extent


def pad(x: jax.Array, padding, first: int = 2) -> jax.Array:
    """Pad the spatial axes, which start at `first`, with zeros. A negative padding crops.

    One axis is padded at a time. XLA's CPU loops then test an element against one pair of borders, not against all of
    them. An axis of size 1 in front of the padded one keeps XLA from merging the pads again. A barrier between them
    would do that too, but from jax 0.12 on it also keeps them from being one loop. The last pad has no such axis,
    because a loop over x would copy it.
    """
    zero = jnp.zeros((), x.dtype)
    around = [(axis, *pair) for axis, pair in enumerate(padding, first) if any(pair)]
    for axis, low, high in reversed(around):
        unit = axis != around[0][0]
        x = jnp.expand_dims(x, axis) if unit else x
        x = lax.pad(x, zero, [(low, high, 0) if a == axis + unit else (0, 0, 0) for a in range(x.ndim)])
        x = x.squeeze(axis) if unit else x
    return lax.optimization_barrier(x) if around else x


def tap_slice(x: jax.Array, tap, dilation, stride, counts, first: int = 2) -> jax.Array:
    """The elements of a padded x that one tap of the kernel meets, one for each of `counts` positions."""
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    for axis, (j, r, s, m) in enumerate(zip(tap, dilation, stride, counts, strict=True), first):
        starts[axis], limits[axis], strides[axis] = j * r, j * r + (m - 1) * s + 1, s
    return lax.slice(x, starts, limits, strides)


def stack_taps(x: jax.Array, taps, dilation, stride, counts) -> jax.Array:
    """A padded x (N, G, C, *n) to (N, G, taps C, *counts): the slices of all taps.

    The taps of one axis are stacked after those of another, because a copy of few parts is one loop. With groups all
    taps are stacked at once, because the transposition that follows would be fused into that loop.
    """
    batch, groups, channels, *_ = x.shape
    if groups > 1:
        each = itertools.product(*map(range, taps))
        return jnp.concatenate([tap_slice(x, tap, dilation, stride, counts, first=3) for tap in each], 2)
    for axis in reversed(range(len(taps))):
        size, r, s, m = taps[axis], dilation[axis], stride[axis], counts[axis]
        at = x.ndim - len(taps) + axis
        parts = [lax.slice_in_dim(x, j * r, j * r + (m - 1) * s + 1, s, at) for j in range(size)]
        x = lax.optimization_barrier(jnp.stack(parts, 2)) if size > 1 else parts[0]
    return x.reshape(batch, groups, math.prod(taps) * channels, *counts)


def phase_padding(padding, sizes, lengths, steps) -> list[tuple[int, int]]:
    """The padding after which each phase of an axis has its length in `lengths`. A negative padding crops."""
    axes = zip(padding, sizes, lengths, steps, strict=True)
    return [(low, length * step - low - size) for (low, _), size, length, step in axes]


def padding_of_windows(padding, sizes, taps, dilation, stride, counts) -> list[tuple[int, int]]:
    """The padding of which windows read every element: the given one, cut or widened on the high side."""
    reach = [(m - 1) * s + extent(k, r) for m, s, k, r in zip(counts, stride, taps, dilation, strict=True)]
    return phase_padding(padding, sizes, reach, [1] * len(reach))


def split_phases(x: jax.Array, steps) -> jax.Array:
    """(N, G, C, *n) to (*steps, N, G, C, *n / steps): phase v of an axis holds the elements v, v + step, ..."""
    x = x.reshape(*x.shape[:3], *[n for size, s in zip(x.shape[3:], steps, strict=True) for n in (size // s, s)])
    return x.transpose(*range(4, x.ndim, 2), 0, 1, 2, *range(3, x.ndim, 2))


def flipped_axes(w: jax.Array) -> tuple[int, ...]:
    """The axes along which a flip reverses the kernel w: none if it has one tap, else all.

    Along an axis of one tap too, because XLA:GPU calls cuDNN for an input gradient only if it sees a kernel reversed
    along every axis. On an H200 (jax 0.11.2) that of 230x64x1x3x3, stride (1, 2, 2), on 64x64x16x56x56 takes 2.5 ms
    with that call and 7.7 without.
    """
    return tuple(range(2, w.ndim)) if math.prod(w.shape[2:]) > 1 else ()


def swap_channels(w: jax.Array, spec) -> jax.Array:
    """(O, I, *k) to (I, O, *k). XLA sees that two of these cancel.

    A single tap has its axes removed first. They would hide the transposition from XLA, which folds it into a product.
    But the weight of images with the channels last was made from (*k, I, O) by a transposition of all axes, with which
    XLA merges this one: the input gradient of 1x1, 1024 to 2048 channels on 7x7 takes 1.7 ms instead of 3.4.
    """
    if math.prod(w.shape[2:]) > 1 or spec.channels_last:
        return w.swapaxes(0, 1)
    return w.reshape(w.shape[:2]).T.reshape(w.shape[1], w.shape[0], *w.shape[2:])
