"""Small groups side by side as one dense group of 128 channels, with zeros between them in the weight.

A TPU multiplies matrices of 128 channels. It is idle for most of the time that it spends on a group of 4. A block of
groups as one group has more multiply-adds, most of them with zeros, and takes less time. A NaN spreads to all groups of
its block.

In a weight gradient, x and the kernel are images. There each channel of x is convolved with each channel of the kernel
in its block, and only the results of pairs in the same group are kept.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _gemm
from convjax._algorithms._product import with_ones
from convjax._algorithms.algorithm import Rewrite, never_local
from convjax._machine import TPU_LANES, Machine

MAX_BLOCK_CHANNELS = 512  # if no block of 128 divides the groups, all of them are one


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    shape, outputs = spec.output_shape(x.shape, w.shape), w.shape[0] // spec.groups
    each = _groups_of_a_block(spec, x, w)
    blocks = spec.groups // each
    dense = spec._replace(groups=blocks)
    if not _is_weight_gradient(spec, x, w):
        of_channel = _repeated(w.shape[1], each, w.dtype)
        kernel = w.reshape(blocks, each * outputs, *w.shape[1:])
        kernel = with_ones("boi...,ic->boc...", kernel, of_channel)
        kernel = _in_same_group(kernel, 1, 2, each)
        return convolve(x, kernel.reshape(w.shape[0], -1, *w.shape[2:]), dense)
    batch = x.shape[0]
    images, cotangent = _gemm.summed_axis_first(x, w, spec)
    x, w = _gemm.batch_and_channels_swapped(images, cotangent, blocks)
    y = convolve(x, w, dense)
    y = _in_same_group(y.reshape(each * batch, blocks, each * outputs, *shape[2:]), 0, 2, each)
    return with_ones("cbo...,ic->ibo...", y, _repeated(batch, each, y.dtype)).reshape(shape)


def _repeated(size: int, times: int, dtype) -> jax.Array:
    """(size, times size): identity matrices side by side."""
    i, c = (lax.broadcasted_iota(jnp.int32, (size, times * size), axis) for axis in (0, 1))
    return (i == c % size).astype(dtype)


def _in_same_group(a: jax.Array, first: int, second: int, groups: int) -> jax.Array:
    """An array with zeros where its channels along two axes belong to different groups."""
    of_group = [lax.broadcasted_iota(jnp.int32, a.shape, axis) // (a.shape[axis] // groups) for axis in (first, second)]
    return jnp.where(of_group[0] == of_group[1], a, jnp.zeros((), a.dtype))


def _is_weight_gradient(spec, x, w) -> bool:
    return spec.hints.layer_weight == "result" or _spec.is_gradient_like(spec, x, w)


def _groups_of_a_block(spec, x, w) -> int:
    """The fewest groups that have a multiple of 128 channels on either side, else all.

    All instead of two blocks if the input is dilated: 3x3, stride 2, 32 groups of 8 channels on 8 images of 56x56 has
    an input gradient of 172 microseconds instead of 534 (estimates for a v5e; the latter of a variant, not kept).
    """
    sides = (x.shape[0] if _is_weight_gradient(spec, x, w) else w.shape[1], w.shape[0] // spec.groups)
    divisors = [n for n in range(2, spec.groups) if spec.groups % n == 0]
    each = next((n for n in divisors if all(n * side % TPU_LANES == 0 for side in sides)), spec.groups)
    return spec.groups if spec.groups == 2 * each and max(spec.lhs_dilation) > 1 else each


def unsupported(spec, x, w) -> str | None:
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    return "one group" if spec.groups == 1 else None


def multiply_adds(spec, x, w):
    return math.prod(spec.output_shape(x.shape, w.shape)) * math.prod(w.shape[1:]) * _groups_of_a_block(spec, x, w)


def pays(p) -> bool:
    """For groups of few channels, except for depthwise layers.

    The estimates for a v5e in microseconds: 3x3, 32 groups of 4 channels on 8 images of 56x56 takes 54 instead of 1472,
    and its weight gradient 52 instead of 952. With groups of 8 of 256 channels on 28x28 it is 35 instead of 700, and 33
    instead of 400, with groups of 2 35 instead of 1232, and 33 instead of 257. With 16 on 14x14, 28 instead of 80, and
    23 instead of 42. If a depthwise layer has two outputs for each channel, its input gradient takes 52 instead of
    21419, and its weight gradient 32 instead of 496, but the layer itself 33 instead of 30.
    """
    gradient = p.spec.hints.layer_weight == "result"
    sides = (p.batch if gradient else p.in_channels), p.out_channels
    depthwise = (max(sides) if gradient else p.in_channels) == 1
    block = _groups_of_a_block(p.spec, p.x, p.w) * max(sides)
    few = not depthwise and max(sides) <= 8
    return p.is_float and few and p.groups * max(sides) >= 32 and block <= MAX_BLOCK_CHANNELS


ALGORITHM = Rewrite(
    "dense_groups",
    "small groups side by side as one, with zeros between them in the weight",
    run,
    unsupported,
    multiply_adds,
    rank=4,
    is_local=never_local,
)
