"""A sum over the taps of a depthwise kernel, channels last: each a shifted slice of the images times its weights.

The channels of a position lie side by side in memory, and so do the weights of a tap. So the loop over them makes
vectors whatever the stride, and no image is transposed. `shift_add` is the same for contiguous images. It is for CPUs
whose oneDNN cannot be called: without AVX-512, other systems, programs over several devices, and exported ones.
"""

import itertools

import jax
from jax import lax

from convjax import _spec
from convjax._algorithms import _taps
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, reason_if_input_is_dilated, summands
from convjax._algorithms.shift_add import MAX_SHORT_ROW
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_TAPS = 64  # each is an operation to compile
MAX_FAST_TAPS = 25


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    sum_dtype, shape = _spec.sum_dtype(x.dtype, spec), spec.output_shape(x.shape, w.shape)
    counts, ones, out_dtype = shape[2:], (1,) * spec.dims, spec.out_dtype or x.dtype
    flipped = spec.hints.flipped_weight
    w = lax.rev(w, _taps.flipped_axes(w)) if flipped else w  # XLA sees that this undoes the flip
    w = w.transpose(*range(2, w.ndim), 1, 0).astype(sum_dtype)  # as a layer with the channels last has it
    x = _taps.pad(channels_last(x).astype(sum_dtype), spec.padding, first=1)
    x = xla_cpu.fusion_barrier(x, machine) if any(map(any, spec.padding)) else x
    full = (shape[0], *counts, shape[1])

    def product(tap) -> jax.Array:
        part = _taps.tap_slice(x, tap, spec.rhs_dilation, spec.stride, counts, first=1)
        read = [k - 1 - j if flipped else j for j, k in zip(tap, w.shape[:-2], strict=True)]
        weights = _taps.tap_slice(w, read, ones, ones, ones, first=0).reshape(-1)
        return part * lax.broadcast_in_dim(weights, full, (len(full) - 1,))

    y = add_all([product(tap) for tap in itertools.product(*map(range, w.shape[:-2]))])
    return channels_first(y).astype(out_dtype)


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
    return reason_if_input_is_dilated(spec)


def pays(p) -> bool:
    """If the channels fill a vector, for kernels whose weights stay in cache, or for rows that fill no vectors.

    5x5, stride 2, 816 channels on 8 images of 14x14 takes 0.65 ms instead of 2.1 by `shift_add`, and 3x3, stride 2, 24
    channels on 56x56 0.16 instead of 0.40. But 7x7, 768 channels on one 32x32 takes 3.1 instead of 1.6
    (`benchmarks/results/cpu-2-cores-avx2-layers.json`).
    """
    few_or_short = p.taps <= MAX_FAST_TAPS or p.x.shape[-1] <= MAX_SHORT_ROW
    return p.groups >= 8 and p.is_float and few_or_short


ALGORITHM = Kernel(
    "depthwise_add",
    "a sum over the taps of a depthwise kernel, channels last",
    run,
    unsupported,
    definition_multiply_adds,
    summands,
    memory_format="channels_last",
)
