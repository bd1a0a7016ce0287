"""The windows become the rows of a matrix, with the channels last, which is multiplied by the kernel.

This is `im2col` for images whose channels are last in memory. The input of a 1x1 kernel is such a matrix already. In a
weight gradient the rows are multiplied by the cotangent, over all positions. (The name is from Anderson et al.,
arXiv:1709.03395.)
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _gemm, _taps
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._algorithms._product import matmul, sum_over_rows
from convjax._algorithms.algorithm import (
    Kernel,
    definition_multiply_adds,
    reason_if_input_is_dilated,
    reason_unless_dense_with_channels_last,
    summands,
)
from convjax._algorithms.im2col import columns_of
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_SMALL_POSITIONS = 1000  # of all images; for fewer, oneDNN takes longer to start than to compute
# Without AVX-512, oneDNN's loops are for few channels. 64 to 96 channels on 32x32 takes 0.14 ms instead of 0.18, but
# ResNeXt-50's first stage, on 4 images, takes 45 ms instead of 42 if all of its 1x1 layers are made by them.
MAX_FEW_CHANNELS = 64
MAX_FEW_POSITIONS = 256
# A weight gradient of few channels stacks contiguous images, as `im2col` does, and leaves the cotangent as it is: 27
# elements at a time are slow to copy. 7x7, stride 2, 3 to 64 channels on 8 images of 224x224 takes 6.7 ms, not 20.
MAX_COLUMN_CHANNELS = 4
MAX_COLUMN_COPIES = 256
MAX_COPIES = 64  # largest number of copies of the input


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    y = (_weight_gradient if spec.hints.layer_weight == "result" else _forward)(x, w, spec, machine)
    return y.astype(spec.out_dtype or x.dtype)


def _forward(x, w, spec, machine):
    layer, taps, counts = _windows(spec, x, w)
    outputs = w.shape[0]
    precision, sum_dtype = spec.precision, _spec.sum_dtype(x.dtype, spec)
    # An input gradient reads the weight of its layer, which XLA does not copy if a single tap has no axes.
    transposed = spec.hints.flipped_weight and math.prod(taps) == 1
    w = w.reshape(w.shape[:2]) if transposed else channels_last(w).transpose(*range(1, w.ndim), 0).reshape(-1, outputs)
    x = channels_last(x)

    def convolve_chunk(first):
        rows = _rows(_chunks.slice_at(x, (first,), (each, *x.shape[1:])), layer, taps, counts)
        y = matmul(rows, w, machine, precision, sum_dtype, transpose_b=transposed)
        return y.reshape(each, *counts, outputs)

    chunks = _chunk_count(x, taps, counts, machine)
    each = x.shape[0] // chunks
    y = _chunks.zeros_varying_like((x.shape[0], *counts, outputs), sum_dtype, x)
    starts = _chunks.chunk_starts(x.shape[0], chunks)
    return channels_first(_chunks.write_chunks(starts, convolve_chunk, y, machine, lambda first: (first,)))


def _weight_gradient(x, w, spec, machine):
    layer, taps, counts = _windows(spec, x, w)
    inputs, outputs = x.shape[0], w.shape[0]
    precision, sum_dtype = spec.precision, _spec.sum_dtype(x.dtype, spec)
    x, cotangent = map(channels_last, _gemm.summed_axis_first(x, w, spec))
    columns = math.prod(taps) * inputs

    few = inputs <= MAX_COLUMN_CHANNELS and not _spec.is_non_overlapping(layer, taps)

    def sum_few_channels(part, ct):
        single_core = xla_cpu.gemm_is_single_core(machine, x.dtype, columns, outputs, len(ct))
        halves = 2 if single_core and each % 2 == 0 else 1
        images = jnp.split(lax.expand_dims(channels_first(part), (1,)), halves)
        stacked = [columns_of(v, spec, layer.stride, layer.rhs_dilation, taps, counts)[0] for v in images]
        pairs = lax.optimization_barrier([*zip(stacked, jnp.split(ct, halves), strict=True)])
        products = lambda pairs: [matmul(a, b, machine, precision, sum_dtype) for a, b in pairs]  # noqa: E731
        y, tokens = xla_cpu.run_concurrently(machine, products, pairs)
        return xla_cpu.depends_on(tokens, add_all(y))

    def sum_chunk(first):
        part = _chunks.slice_at(x, (first,), (each, *x.shape[1:]))
        ct = _chunks.slice_at(cotangent, (first,), (each, *cotangent.shape[1:])).reshape(-1, outputs)
        if few:
            return sum_few_channels(part, ct)
        rows = _rows(part, layer, taps, counts)
        return sum_over_rows(rows, ct, machine, precision, sum_dtype)

    chunks = _chunk_count(x, taps, counts, machine)
    each = x.shape[0] // chunks
    y = _chunks.zeros_varying_like((columns, outputs), sum_dtype, x)
    y = _chunks.loop(_chunks.chunk_starts(x.shape[0], chunks), lambda first, y: y + sum_chunk(first), y)
    if few:
        return jnp.moveaxis(y.reshape(inputs, *taps, outputs), -1, 1)
    return jnp.moveaxis(y.reshape(*taps, inputs, outputs), (-2, -1), (0, 1))


def _windows(spec, x, w):
    """The spec of the layer, its taps and its positions.

    In a weight gradient, taps and positions have changed places, and so have stride and dilation.
    """
    taps, counts = w.shape[2:], spec.output_shape(x.shape, w.shape)[2:]
    if spec.hints.layer_weight != "result":
        return spec, taps, counts
    return spec._replace(stride=spec.rhs_dilation, rhs_dilation=spec.stride), counts, taps


def _chunk_count(x, taps, counts, machine: Machine) -> int:
    if math.prod(taps) == 1:
        return 1  # the input is the matrix
    elements = x.shape[0] * math.prod(counts) * math.prod(taps) * x.shape[-1]
    return _chunks.chunk_count(x.shape[0], elements, machine.chunk_elements)


def _rows(x, layer, taps, counts):
    """(N, *n, C) to (N *counts, *taps C): the elements that every window contains."""
    steps = layer.rhs_dilation, layer.stride
    padding = _taps.padding_of_windows(layer.padding, x.shape[1:-1], taps, *steps, counts)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *[(*pair, 0) for pair in padding], (0, 0, 0)])
    if _spec.is_non_overlapping(layer, taps):
        return _patches(x, taps, counts)
    slices = [_taps.tap_slice(x, tap, *steps, counts, first=1) for tap in itertools.product(*map(range, taps))]
    rows = slices[0] if len(slices) == 1 else lax.optimization_barrier(jnp.concatenate(slices, -1))
    return rows.reshape(-1, len(slices) * x.shape[-1])


def _patches(x, taps, counts):
    """The rows of windows that do not overlap, by one transposition."""
    dims, channels = len(taps), x.shape[-1]
    if math.prod(taps) > 1:
        x = x.reshape(x.shape[0], *[n for pair in zip(counts, taps, strict=True) for n in pair], channels)
        x = x.transpose(0, *range(1, 2 * dims + 1, 2), *range(2, 2 * dims + 1, 2), 2 * dims + 1)
        x = lax.optimization_barrier(x.reshape(-1, math.prod(taps) * channels))
    return x.reshape(-1, math.prod(taps) * channels)


def unsupported(spec, x, w) -> str | None:
    reason = reason_unless_dense_with_channels_last(spec, x, w)
    if reason is not None:
        return reason
    layer, taps, _ = _windows(spec, x, w)
    few = spec.hints.layer_weight == "result" and x.shape[0] <= MAX_COLUMN_CHANNELS
    most = MAX_COLUMN_COPIES if few else MAX_COPIES
    if math.prod(taps) > most and not _spec.is_non_overlapping(layer, taps):
        return f"{math.prod(taps)} copies, more than {most}"
    return reason_if_input_is_dilated(spec)


def pays(p) -> bool:
    """For 1x1 kernels with a stride or few positions, and for the weight gradients of 1x1 kernels and of patches.

    1x1, 2048 to 512 channels on one image of 7x7 takes 0.26 ms instead of 0.41 by oneDNN.
    """
    if p.groups > 1 or not p.is_float:
        return False
    if p.spec.hints.layer_weight == "result":
        return p.positions == 1 or p.patch_gradient
    if p.taps > 1 or p.input_dilated:
        return False
    by_onednn = p.has_onednn or (p.convolves_by_onednn and min(p.in_channels, p.out_channels) <= MAX_FEW_CHANNELS)
    return max(p.spec.stride) > 1 or p.batch * p.positions <= MAX_SMALL_POSITIONS or not by_onednn


def pays_for_weight_gradients(p) -> bool:
    """For those of first layers, and those whose rows stay in cache.

    3x3, stride 2, 3 to 32 channels on 8 images of 224x224 takes 1.5 ms instead of 2.6, but a Sobel pair on 1080x1920
    takes 91 instead of 17. 3x3, stride 2, 64 to 128 channels on 8 images of 56x56 takes 3.5 ms instead of 4.7 by
    `im2col`, but 3x3 to 230 channels on one volume of 16x56x56 takes 31 instead of 16. Without AVX-512, 3x3, stride 2,
    512 channels on 8 images of 14x14 takes 13.2 ms instead of 15.3.
    """
    if p.spec.hints.layer_weight != "result" or p.groups > 1 or not p.at_most_float32:
        return False
    if p.batch <= MAX_COLUMN_CHANNELS:
        return p.out_channels >= 24
    few = p.in_channels * p.taps <= MAX_FEW_POSITIONS
    small = p.has_onednn and p.batch * p.positions * p.taps <= 2 * p.machine.chunk_elements and p.out_channels >= 24
    strided = not p.has_onednn and p.spec.dims == 2 and max(p.spec.rhs_dilation) > 1 and p.out_channels >= 64
    return p.batch >= 16 and (few or small or strided)


ALGORITHM = Kernel(
    "im2row",
    "a matrix product of the windows as rows, with the channels last",
    run,
    unsupported,
    definition_multiply_adds,
    summands,
    memory_format="channels_last",
)
