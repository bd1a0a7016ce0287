"""A dilated input, phase by phase: only the taps that meet an element, never the zeros between.

Transposed convolutions and the input gradients of strided ones. Along an axis with lhs_dilation a (stride and
rhs_dilation 1 there), position a u + v meets x[u + t - L(v)] at tap j(v) + a t, where j(v) = (low - v) mod a and
L(v) = (low - v - j(v)) / a. So each phase v is a convolution with every a-th tap, and since L takes two neighbouring
values at most, all phases are one convolution with a^d times the output channels and one position more, from which
each takes its own positions; then they are interleaved.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from convjax._lowerings._lowering import Lowering, terms


def run(x: jax.Array, w: jax.Array, spec, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    phases = spec.lhs_dilation
    inner, axes = _inner(spec, x, w)
    zero, groups, dims = jnp.zeros((), w.dtype), spec.groups, spec.dims

    kernels = []
    for v in itertools.product(*map(range, phases)):
        starts = [axis.taps[i] for axis, i in zip(axes, v, strict=True)]
        ends = [s + a * (axis.length - 1) + 1 for s, a, axis in zip(starts, phases, axes, strict=True)]
        grown = [(0, max(e - k, 0), 0) for e, k in zip(ends, w.shape[2:], strict=True)]
        kernels.append(lax.slice(lax.pad(w, zero, [(0, 0, 0)] * 2 + grown), (0, 0, *starts), (*w.shape[:2], *ends),
                                 (1, 1, *phases)))  # fmt: skip
    kernel = jnp.stack(kernels, 1)  # (G O, v, I, t): each group has O v output channels
    y = convolve(x, kernel.reshape(-1, *kernel.shape[2:]), inner)

    y = y.reshape(shape[0], shape[1], *phases, *y.shape[2:])
    for i, axis in enumerate(axes):
        parts = [
            lax.slice_in_dim(lax.slice_in_dim(y, v, v + 1, axis=2 + i), s, s + axis.positions, axis=2 + dims + i)
            for v, s in enumerate(axis.shifts)
        ]
        y = jnp.concatenate(parts, 2 + i)
    order = [axis for i in range(dims) for axis in (2 + dims + i, 2 + i)]
    y = y.transpose(0, 1, *order)
    y = y.reshape(*shape[:2], *[a * axis.positions for a, axis in zip(phases, axes, strict=True)])
    return lax.slice(y, [0] * y.ndim, shape)


class _Axis(NamedTuple):
    taps: list[int]  # the first tap of each phase
    shifts: list[int]  # the first position that each phase takes
    length: int  # taps of a phase
    positions: int  # positions of a phase


def _inner(spec, x, w):
    """The one convolution that all phases are."""
    axes, padding = [], []
    sizes = spec.output_shape(x.shape, w.shape)[2:]
    for n, k, m, (low, _), a in zip(x.shape[2:], w.shape[2:], sizes, spec.padding, spec.lhs_dilation, strict=True):
        taps = [(low - v) % a for v in range(a)]
        leads = [(low - v - j) // a for v, j in enumerate(taps)]
        length, positions = -(-k // a), -(-m // a)
        shifts = [max(leads) - lead for lead in leads]
        axes.append(_Axis(taps, shifts, length, positions))
        padding.append((max(leads), positions + max(shifts) + length - 1 - n - max(leads)))
    ones = (1,) * spec.dims
    return spec._replace(padding=tuple(padding), lhs_dilation=ones), axes


def refuses(spec, x, w) -> str | None:
    if all(a == 1 for a in spec.lhs_dilation):
        return "the input is not dilated"
    if any(n > 1 for n in (*spec.stride, *spec.rhs_dilation)):
        return "a stride or a dilated kernel"
    return None


def multiply_adds(spec, x, w):
    inner, axes = _inner(spec, x, w)
    positions = math.prod(axis.positions + max(axis.shifts) for axis in axes)
    return x.shape[0] * w.shape[0] * w.shape[1] * positions * math.prod(
        axis.length * a for axis, a in zip(axes, spec.lhs_dilation, strict=True)
    )


LOWERING = Lowering("polyphase", "every phase of the dilated input as channels of one convolution", run, refuses,
                    multiply_adds, terms)  # fmt: skip
