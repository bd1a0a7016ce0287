"""A dilated input: one convolution for all phases of the result that have equally many taps.

Position a u + v along an axis with lhs_dilation a (stride and rhs_dilation 1 there) meets x[u + t - L(v)] at tap
j(v) + a t, where j(v) = (low - v) mod a and L(v) = (low - v - j(v)) / a. Phases with equally many taps are one
convolution, with as many times the output channels. L takes two neighbouring values at most, so this convolution makes
one position more and each phase takes its own. Then the phases are interleaved.

If a does not divide the number of taps, there are two such convolutions along an axis. `subpixel` pads the shorter
phases with zeros and makes one convolution. That is faster (1.1 to 2.1 times, for depthwise kernels), but a zero times
a NaN is a NaN.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from convjax._algorithms import _chunks, subpixel
from convjax._algorithms._memory_format import fusion_barrier
from convjax._algorithms.algorithm import Rewrite, reason_unless_only_input_is_dilated
from convjax._machine import Machine


class _Phases(NamedTuple):
    """The phases of an axis that have the same number of taps."""

    phases: tuple[int, ...]
    first_taps: tuple[int, ...]  # the first tap of each phase
    taps: int  # of each phase
    shifts: tuple[int, ...]  # the first position of the convolution that each phase takes
    padding: tuple[int, int]


class _Axis(NamedTuple):
    dilation: int
    positions: int  # of a phase
    parts: tuple[_Phases, ...]


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    dims, axes, first = spec.dims, _axes(spec, x, w), subpixel.first_phase_axis(spec)

    def convolved(parts) -> jax.Array:
        """The convolution for one part of the phases of each axis, as `subpixel.phases_apart` has it."""
        counts = [len(part.phases) for part in parts]
        if not all(part.taps for part in parts):
            sizes = [axis.positions + max(part.shifts) for axis, part in zip(axes, parts, strict=True)]
            filled = shape[0], shape[1] * math.prod(counts), *sizes
            zeros = _chunks.zeros_varying_like(filled, spec.out_dtype or x.dtype, x)
            return subpixel.phases_apart(zeros, counts, spec)
        kernel = w
        for i, (axis, part) in enumerate(zip(axes, parts, strict=True)):
            kernel = _every_nth_tap(kernel, 2 + 2 * i, axis.dilation, part)
        kernel = kernel.transpose(0, *range(2, 2 + 2 * dims, 2), 1, *range(3, 3 + 2 * dims, 2))
        inner = spec._replace(padding=tuple(part.padding for part in parts), lhs_dilation=(1,) * dims)
        y = convolve(x, kernel.reshape(-1, *kernel.shape[1 + dims :]), inner)  # a group has O v output channels
        # Groups are summed in a loop, which must not be fused into the one that interleaves the phases.
        y = fusion_barrier(y, spec, machine) if spec.groups > 1 else y
        return subpixel.phases_apart(y, counts, spec)

    results = {parts: convolved(parts) for parts in itertools.product(*[axis.parts for axis in axes])}

    def placed(chosen) -> jax.Array:
        """The results for the chosen parts of the first axes, with all phases of the other axes at their positions."""
        i = len(chosen)
        if i == dims:
            return results[chosen]
        axis, found = axes[i], {}
        for part in axis.parts:
            y = placed((*chosen, part))
            for shift in dict.fromkeys(part.shifts):
                at = [n for n, s in enumerate(part.shifts) if s == shift]
                phases = lax.slice_in_dim(y, at[0], at[-1] + 1, axis=first + i)
                stop = shift + axis.positions
                found[part.phases[at[0]]] = lax.slice_in_dim(phases, shift, stop, axis=first + dims + i)
        return jnp.concatenate([found[phase] for phase in sorted(found)], first + i) if len(found) > 1 else found[0]

    return subpixel.interleaved(placed(()), spec, shape)


def _every_nth_tap(w: jax.Array, at: int, n: int, part: _Phases) -> jax.Array:
    """Split an axis of taps into two axes, (phases, taps of a phase)."""
    each = [lax.slice_in_dim(w, j, j + (part.taps - 1) * n + 1, n, axis=at) for j in part.first_taps]
    return jnp.stack(each, at)


def _axes(spec, x, w) -> list[_Axis]:
    axes = []
    sizes = spec.output_shape(x.shape, w.shape)[2:]
    for n, k, m, (low, _), a in zip(x.shape[2:], w.shape[2:], sizes, spec.padding, spec.lhs_dilation, strict=True):
        positions = -(-m // a)
        first = [(low - v) % a for v in range(a)]
        leads = [(low - v - j) // a for v, j in enumerate(first)]
        taps = [-(-(k - j) // a) for j in first]
        parts = []
        for count in dict.fromkeys(taps):
            phases = [v for v in range(a) if taps[v] == count]
            lead = max(leads[v] for v in phases)
            shifts = [lead - leads[v] for v in phases]
            padding = lead, positions + max(shifts) + count - 1 - n - lead
            parts.append(_Phases(tuple(phases), tuple(first[v] for v in phases), count, tuple(shifts), padding))
        axes.append(_Axis(a, positions, tuple(parts)))
    return axes


def unsupported(spec, x, w) -> str | None:
    return reason_unless_only_input_is_dilated(spec)


def multiply_adds(spec, x, w):
    along = [
        sum(len(part.phases) * part.taps * (axis.positions + max(part.shifts)) for part in axis.parts)
        for axis in _axes(spec, x, w)
    ]
    return x.shape[0] * w.shape[0] * w.shape[1] * math.prod(along)


def pays(p) -> bool:
    """As `subpixel.pays`, for the cases in which `subpixel` is not local, and for single taps over a dilated input."""
    return subpixel.pays(p) or (p.input_dilated and p.taps == 1)


def pays_with_channels_last(p) -> bool:
    """3x3, stride 2, 64 to 128 channels on 8 images of 56x56: the input gradient takes 2.4 ms instead of 3.9."""
    return p.is_float and p.input_dilated


ALGORITHM = Rewrite(
    "polyphase",
    "a convolution for all phases of the result that have equally many taps",
    run,
    unsupported,
    multiply_adds,
    rank=5,
)
