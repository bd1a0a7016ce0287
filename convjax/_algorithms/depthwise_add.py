"""A sum over the taps of a depthwise kernel, channels last: each a shifted slice of the images times its weights.

The channels of a position lie side by side in memory, and so do the weights of a tap. So the loop over them makes
vectors whatever the stride, and no image is transposed. `shift_add` is the same for contiguous images. It is for CPUs
whose oneDNN cannot be called: without AVX-512, other systems, programs over several devices, and exported ones.

If the input is dilated, as in the input gradient of a strided layer, result a u + v of an axis is a sum over the taps
of its phase v, which meet x[u + shift]. The result is made as (N, u, v, C), with such a pair for every axis, which lies
in memory as the result does. So one loop makes all phases, and nothing is interleaved afterwards.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _taps
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._algorithms.algorithm import (
    Kernel,
    definition_multiply_adds,
    reason_unless_only_input_is_dilated,
    summands,
)
from convjax._algorithms.col2im import taps_of_phases
from convjax._algorithms.shift_add import MAX_SHORT_ROW
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_TAPS = 64  # each is an operation to compile
MAX_FAST_TAPS = 25


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    sum_dtype, shape = _spec.sum_dtype(x.dtype, spec), spec.output_shape(x.shape, w.shape)
    counts, out_dtype = shape[2:], spec.out_dtype or x.dtype
    w = lax.rev(w, _taps.flipped_axes(w)) if spec.hints.flipped_weight else w  # XLA sees that this undoes the flip
    w = w.transpose(*range(2, w.ndim), 1, 0).astype(sum_dtype)  # as a layer with the channels last has it
    x = channels_last(x).astype(sum_dtype)
    if any(a > 1 for a in spec.lhs_dilation):
        return channels_first(_all_phases(x, w, shape, spec, machine)).astype(out_dtype)
    x = _taps.pad(x, spec.padding, first=1)
    x = xla_cpu.fusion_barrier(x, machine) if any(map(any, spec.padding)) else x
    full = (shape[0], *counts, shape[1])

    def product(tap) -> jax.Array:
        part = _taps.tap_slice(x, tap, spec.rhs_dilation, spec.stride, counts, first=1)
        return part * _weights(w, tap, spec, full)

    y = add_all([product(tap) for tap in itertools.product(*map(range, w.shape[:-2]))])
    return channels_first(y).astype(out_dtype)


def _weights(w: jax.Array, tap, spec, full) -> jax.Array:
    """The weights (C,) of a tap in w (*k, 1, C), for every result of `full`, whose last axis is C."""
    ones = (1,) * spec.dims
    read = [k - 1 - j if spec.hints.flipped_weight else j for j, k in zip(tap, w.shape[:-2], strict=True)]
    weights = _taps.tap_slice(w, read, ones, ones, ones, first=0).reshape(-1)
    return lax.broadcast_in_dim(weights, full, (len(full) - 1,))


def _positions(spec, counts) -> list[int]:
    """The positions of a phase of a dilated input, for each axis."""
    return [-(-m // a) for m, a in zip(counts, spec.lhs_dilation, strict=True)]


def _all_phases(x: jax.Array, w: jax.Array, shape, spec, machine: Machine) -> jax.Array:
    """(N, *m, C) from x (N, *n, C) and w (*k, 1, C), for a dilated input."""
    counts, ones, positions = shape[2:], (1,) * spec.dims, _positions(spec, shape[2:])
    phases = taps_of_phases(spec, w.shape[:-2])
    met = [shifts for taps in phases for _, shifts in taps]
    lows, highs = ([ends(along) for along in zip(*met, strict=True)] for ends in (min, max))
    # Result u of a phase meets x[u + shift].
    around = [(-low, m + high - n) for low, high, m, n in zip(lows, highs, positions, x.shape[1:-1], strict=True)]
    x = _taps.pad(x, around, first=1)
    x = xla_cpu.fusion_barrier(x, machine) if any(map(any, around)) else x
    full = (x.shape[0], *positions, shape[1])

    def product(tap, shifts) -> jax.Array:
        start = [shift - low for shift, low in zip(shifts, lows, strict=True)]
        return _taps.tap_slice(x, start, ones, ones, positions, first=1) * _weights(w, tap, spec, full)

    zeros = _chunks.zeros_varying_like(full, x.dtype, x)
    parts = [add_all([product(*each) for each in taps]) if taps else zeros for taps in phases]
    for axis, a in reversed(list(enumerate(spec.lhs_dilation, 2))):  # behind its positions
        parts = [jnp.stack(parts[n : n + a], axis) for n in range(0, len(parts), a)]
    y = parts[0].reshape(x.shape[0], *[a * m for a, m in zip(spec.lhs_dilation, positions, strict=True)], shape[1])
    return lax.slice(y, [0] * y.ndim, (x.shape[0], *counts, shape[1]))


def unsupported(spec, x, w) -> str | None:
    if not spec.channels_last or spec.hints.layer_weight == "result":
        return "not a layer with the channels last"
    if not w.shape[0] == x.shape[1] == spec.groups:
        return "not a depthwise layer with a result for each channel"
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    taps = _spec.tap_count(w)
    if taps > MAX_TAPS:
        return f"{taps} taps, more than {MAX_TAPS}"
    return reason_unless_only_input_is_dilated(spec) if any(a > 1 for a in spec.lhs_dilation) else None


def multiply_adds(spec, x, w):
    if all(a == 1 for a in spec.lhs_dilation):
        return definition_multiply_adds(spec, x, w)
    # Each tap belongs to one phase.
    return x.shape[0] * math.prod(w.shape) * math.prod(_positions(spec, spec.output_shape(x.shape, w.shape)[2:]))


def pays(p) -> bool:
    """If the channels fill a vector, for kernels whose weights stay in cache, or for rows that fill no vectors.

    5x5, stride 2, 816 channels on 8 images of 14x14 takes 0.65 ms instead of 2.1 by `shift_add`, and 3x3, stride 2, 24
    channels on 56x56 0.16 instead of 0.40. But 7x7, 768 channels on one 32x32 takes 3.1 instead of 1.6
    (`benchmarks/results/cpu-2-cores-avx2-layers.json`).
    """
    few_or_short = p.taps <= MAX_FAST_TAPS or p.x.shape[-1] <= MAX_SHORT_ROW
    return p.groups >= 8 and p.is_float and few_or_short


def pays_for_dilated_input(p) -> bool:
    """It takes 0.35 to 0.8 of the time of any other algorithm, and is level for 24 channels on one image.

    3x3, stride 2, 128 channels on 8 images of 128x128 takes 3.9 ms instead of 11.4 by `polyphase`, and 5x5, stride 2,
    816 channels on 14x14 0.50 instead of 0.88 (`benchmarks/results/cpu-2-cores-avx2-strided-depthwise.json`).
    """
    return p.is_float and p.input_dilated


ALGORITHM = Kernel(
    "depthwise_add",
    "a sum over the taps of a depthwise kernel, channels last",
    run,
    unsupported,
    multiply_adds,
    summands,
    memory_format="channels_last",
)
