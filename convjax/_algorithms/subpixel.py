"""A dilated input: all phases of the result as channels of one convolution, which never multiplies the zeros between.

For transposed convolutions and the input gradients of strided ones (W. Shi et al., arXiv:1609.05158). Along an axis
with lhs_dilation a (stride and rhs_dilation 1 there), position a u + v meets x[u + t - L(v)] at tap j(v) + a t, where
j(v) = (low - v) mod a and L(v) = (low - v - j(v)) / a. So each phase v is a convolution with every a-th tap, and since
L takes two neighbouring values at most, all phases are one convolution with a^d times the output channels and one
position more, from which each takes its own positions. Then they are interleaved. If all phases of the lower value have
a tap to spare, they start with a zero instead, and no position is computed in vain.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from convjax._algorithms._memory_format import channels_first, channels_last, fusion_barrier
from convjax._algorithms.algorithm import Rewrite, reason_unless_only_input_is_dilated
from convjax._machine import Machine


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    inner, axes = _inner(spec, x, w)
    dims = spec.dims
    kernel = w
    for i, (a, axis) in enumerate(zip(spec.lhs_dilation, axes, strict=True)):
        kernel = _phases(kernel, 2 + 2 * i, a, axis)
    order = [2 + 2 * i + 1 for i in range(dims)], [2 + 2 * i for i in range(dims)]
    kernel = kernel.transpose(0, *order[0], 1, *order[1])  # (G O, v, I, t): a group has O v output channels
    y = convolve(x, kernel.reshape(-1, *kernel.shape[1 + dims :]), inner)
    # Groups are summed in a loop, which must not be fused into the one that interleaves the phases.
    y = fusion_barrier(y, spec, machine) if spec.groups > 1 else y

    y = phases_apart(y, spec.lhs_dilation, spec)
    first = first_phase_axis(spec)
    for i, axis in enumerate(axes):
        y = _placed(y, first + i, first + dims + i, axis)
    return interleaved(y, spec, shape)


# XLA interleaves phases in the order that the axes have here, and copies all that it fuses with that to this order. So
# the axes are those of the memory format.


def phases_apart(y: jax.Array, counts, spec) -> jax.Array:
    """(N, C phases, *positions) to (N, C, *phases, *positions), or to (N, *phases, *positions, C) if C is last."""
    channels = y.shape[1] // math.prod(counts)
    if not spec.channels_last:
        return y.reshape(y.shape[0], channels, *counts, *y.shape[2:])
    y, dims = channels_last(y), spec.dims
    y = y.reshape(*y.shape[:-1], channels, *counts)
    return y.transpose(0, *range(dims + 2, 2 * dims + 2), *range(1, dims + 2))


def first_phase_axis(spec) -> int:
    return 1 if spec.channels_last else 2


def interleaved(y: jax.Array, spec, shape) -> jax.Array:
    """The phases as an image (N, C, *n) of this shape, from what `phases_apart` returned."""
    dims, first = spec.dims, first_phase_axis(spec)
    pairs = [(first + dims + i, first + i) for i in range(dims)]
    sizes = [y.shape[position] * y.shape[phase] for position, phase in pairs]
    y = y.transpose(*range(first), *[axis for pair in pairs for axis in pair], *range(first + 2 * dims, y.ndim))
    y = y.reshape(*y.shape[:first], *sizes, *y.shape[first + 2 * dims :])
    y = channels_first(y) if spec.channels_last else y
    return lax.slice(y, [0] * y.ndim, shape)


def _phases(w: jax.Array, at: int, a: int, axis: "_Axis") -> jax.Array:
    """Split an axis of taps into (t, v): tap j(v) + a t. j falls by one with each v, and continues at a - 1 below 0."""
    grown = [(0, a * axis.length - w.shape[at] if i == at else 0, 0) for i in range(w.ndim)]
    w = lax.pad(w, jnp.zeros((), w.dtype), grown).reshape(*w.shape[:at], axis.length, a, *w.shape[at + 1 :])
    w = lax.rev(w, (at + 1,))  # now (a - 1 - j), of which phase 0 is at a - 1 - j(0)
    first = a - 1 - axis.taps[0]
    parts = lax.slice_in_dim(w, first, a, axis=at + 1), lax.slice_in_dim(w, 0, first, axis=at + 1)
    if axis.spare:
        parts = parts[0], lax.pad(parts[1], jnp.zeros((), w.dtype), [(i == at, -(i == at), 0) for i in range(w.ndim)])
    return jnp.concatenate(parts, at + 1)


def _placed(y: jax.Array, phase: int, position: int, axis: "_Axis") -> jax.Array:
    """Slice each phase at its own positions. The first phases have one shift, and the others another."""
    change = next((v for v, s in enumerate(axis.shifts) if s != axis.shifts[0]), len(axis.shifts))
    parts = []
    for start, stop in ((0, change), (change, len(axis.shifts))):
        if start < stop:
            part, first = lax.slice_in_dim(y, start, stop, axis=phase), axis.shifts[start]
            parts.append(lax.slice_in_dim(part, first, first + axis.positions, axis=position))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, phase)


class _Axis(NamedTuple):
    taps: list[int]  # the first tap of each phase
    shifts: list[int]  # the first position that each phase takes
    length: int  # taps of a phase
    positions: int  # positions of a phase
    spare: bool  # whether the phases that wrap round have a tap to spare: a zero goes first, and all start together


def _inner(spec, x, w):
    """The spec of the one convolution for all phases, and the phases of each axis."""
    axes, padding = [], []
    sizes = spec.output_shape(x.shape, w.shape)[2:]
    for n, k, m, (low, _), a in zip(x.shape[2:], w.shape[2:], sizes, spec.padding, spec.lhs_dilation, strict=True):
        taps = [(low - v) % a for v in range(a)]
        leads = [(low - v - j) // a for v, j in enumerate(taps)]
        length, positions = -(-k // a), -(-m // a)
        shifts = [max(leads) - lead for lead in leads]
        spare = all(j + (length - s) * a >= k for j, s in zip(taps, shifts, strict=True))
        shifts = [0] * a if spare else shifts
        axes.append(_Axis(taps, shifts, length, positions, spare))
        padding.append((max(leads), positions + max(shifts) + length - 1 - n - max(leads)))
    ones = (1,) * spec.dims
    return spec._replace(padding=tuple(padding), lhs_dilation=ones), axes


def unsupported(spec, x, w) -> str | None:
    return reason_unless_only_input_is_dilated(spec)


def multiply_adds(spec, x, w):
    _, axes = _inner(spec, x, w)
    positions = math.prod(axis.positions + max(axis.shifts) for axis in axes)
    return (
        x.shape[0]
        * w.shape[0]
        * w.shape[1]
        * positions
        * math.prod(axis.length * a for axis, a in zip(axes, spec.lhs_dilation, strict=True))
    )


def is_local(spec, x, w) -> bool:
    """Whether all phases have equally many taps. A zero in place of a tap, times a NaN, is a NaN."""
    return all(k % a == 0 for k, a in zip(w.shape[2:], spec.lhs_dilation, strict=True))


def pays(p) -> bool:
    """For a dilated input, unless the weight is so large that laying out its phases costs more than they save."""
    return p.input_dilated and p.taps > 1 and p.w.size <= 4 * p.x.size


def pays_for_few_channels(p) -> bool:
    """For the input gradient of a strided first layer, if the products of `col2im` do not fit into cache.

    3x3, stride 2, from 32 channels on 8 images of 112x112 takes 1.5 ms instead of 2.8.
    """
    few = p.groups == 1 and p.spec.dims <= 2 and p.out_channels <= 3 and p.taps <= 9
    many_products = 2 * p.batch * p.input_positions * p.taps * p.out_channels >= p.machine.chunk_elements
    return p.input_dilated and few and many_products


def pays_with_channels_last(p) -> bool:
    """For few output channels and for patches.

    4x4 patches of 3 channels on 8 images of 256x256: the input gradient takes 0.58 ms instead of 1.7 by `col2im`.
    """
    return p.is_float and p.input_dilated and p.groups == 1 and p.taps > 1 and p.out_channels <= 8


ALGORITHM = Rewrite(
    "subpixel",
    "every phase of the result as channels of one convolution",
    run,
    unsupported,
    multiply_adds,
    rank=5,
    is_local=is_local,
)
