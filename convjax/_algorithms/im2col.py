"""The windows become the columns of a matrix, which is multiplied by the kernel in one matrix product.

This copies the input once per tap, which pays if there are many output channels.

With stride s and rhs_dilation r, result i meets at tap j element i s + j r of the padded input, which is element
i + (j r - v) / s of phase v = j r mod s: the phases are split once, and every column consists of whole rows. (Caffe's
convolution works like this.)

In a weight gradient the positions, which are few, take the place of the taps.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _gemm, _taps
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, reason_if_input_is_dilated, summands
from convjax._arrays.xla_cpu import materialized
from convjax._machine import Machine

MAX_COPIES = 64  # largest number of copies of the input
MAX_TRANSPOSED_CHANNELS = 128  # with more output channels, a weight gradient transposes its result, not the cotangent


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    y = (_weight_gradient if _spec.is_gradient_like(spec, x, w) else _forward)(x, w, spec, shape, machine)
    return y.reshape(shape).astype(spec.out_dtype or x.dtype)


def _forward(x, w, spec, shape, machine):
    groups, kernel, counts = spec.groups, w.shape[2:], shape[2:]
    w = w.reshape(groups, -1, math.prod(w.shape[1:]))
    image_elements = math.prod(counts) * groups * w.shape[2]
    chunks = _chunks.chunk_count(x.shape[0], x.shape[0] * image_elements, machine.chunk_elements)
    each = x.shape[0] // chunks
    rows = _band_rows(counts[0], each, image_elements, machine)
    x, spec, length = _padded_rows(x, spec, kernel[0], spec.rhs_dilation[0], rows, spec.stride[0], counts[0])
    band = rows, *counts[1:]
    places = each * math.prod(band)
    more = -places % machine.gemm_lanes if places < _gemm.MAX_FILLED_COLUMNS else 0

    def convolve_chunk(first, row=0, start=0, done=0):
        # The groups are split inside the loop. If they were split before it, the loop would copy x.
        part = _chunks.slice_at(x, [first, 0, start], (each, x.shape[1], length, *x.shape[3:]))
        columns = columns_of(_gemm.split_groups(part, spec), spec, spec.stride, spec.rhs_dilation, kernel, band)
        columns = lax.pad(columns, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), (0, more, 0)])
        y = lax.slice_in_dim(_gemm.grouped_gemm(w, columns, spec, machine), 0, places, axis=2)
        return jnp.moveaxis(y.reshape(groups, -1, each, *band), 2, 0).reshape(each, shape[1], *band)

    starts = _band_starts(x.shape[0], chunks, counts[0], rows, spec.stride[0])
    y = _chunks.zeros_varying_like(shape, _spec.sum_dtype(x.dtype, spec), x)
    return _chunks.write_chunks(starts, convolve_chunk, y, machine, lambda first, row=0, *_: (first, 0, row))


def _weight_gradient(x, w, spec, shape, machine):
    counts = shape[2:]
    groups, batch, out_channels, kernel = spec.groups, x.shape[0], w.shape[0] // spec.groups, w.shape[2:]
    x, w = _gemm.summed_axis_first(x, w, spec)
    images = x.shape[0]
    image_elements = math.prod(shape) // out_channels * math.prod(kernel)
    chunks = _chunks.chunk_count(images, images * image_elements, machine.chunk_elements)
    each = images // chunks
    few = machine.gemm_lanes <= out_channels <= MAX_TRANSPOSED_CHANNELS
    rows = _band_rows(kernel[0], each, image_elements, machine)  # of the cotangent, which is the kernel here
    x, spec, length = _padded_rows(x, spec, counts[0], spec.stride[0], rows, spec.rhs_dilation[0], kernel[0])
    band = rows, *kernel[1:]

    def convolve_chunk(first, row=0, start=0, done=0):
        part = _chunks.slice_at(x, [first, 0, start], (each, x.shape[1], length, *x.shape[3:]))
        columns = columns_of(_gemm.split_groups(part, spec), spec, spec.rhs_dilation, spec.stride, counts, band)
        cotangent = _chunks.slice_at(w, [first, 0, row], (each, w.shape[1], *band))
        if rows < kernel[0]:  # rows that the band before has summed as well
            row_index = lax.broadcasted_iota(jnp.uint32, cotangent.shape, 2)
            cotangent = jnp.where(row_index < done, jnp.zeros((), w.dtype), cotangent)
        cotangent = _gemm.split_groups(cotangent, spec)
        cotangent = cotangent.reshape(*cotangent.shape[:3], -1)
        if few:  # both matrices in the order in which a product reads them
            cotangent = materialized(cotangent.transpose(1, 0, 3, 2)).reshape(groups, -1, out_channels)
            return _gemm.grouped_gemm(columns, cotangent, spec, machine, first=True)
        cotangent = jnp.moveaxis(cotangent, 0, 2).reshape(groups, out_channels, -1)
        return _gemm.grouped_gemm(cotangent, columns, spec, machine, transposed=True)

    sides = batch * math.prod(counts), out_channels
    y = _chunks.zeros_varying_like((groups, *(sides if few else sides[::-1])), _spec.sum_dtype(x.dtype, spec), x)
    starts = _band_starts(images, chunks, kernel[0], rows, spec.rhs_dilation[0])
    y = _chunks.loop(starts, lambda *row: row[-1] + convolve_chunk(*row[:-1]), y)
    y = y.swapaxes(1, 2) if few else y
    return _gemm.batch_first(y.reshape(groups, out_channels, batch, *counts), spec.dims)


def _band_rows(count: int, images: int, image_elements: int, machine: Machine) -> int:
    """Rows of a band, of `count` in all. An image with the columns of several chunks is computed in bands of rows."""
    if images > 1 or image_elements <= _chunks.MAX_WHOLE_CHUNKS * machine.chunk_elements:
        return count
    return -(-count // -(-image_elements // machine.chunk_elements))


def _padded_rows(x, spec, taps: int, dilation: int, rows: int, stride: int, count: int):
    """x, the spec, and the rows of x that a band of `rows` of `count` positions reads.

    If there are several bands, x is padded along its rows, and the spec no longer is.
    """
    if rows == count:
        return x, spec, x.shape[2]
    x = _taps.pad(x, spec.padding[:1])
    return x, spec._replace(padding=((0, 0), *spec.padding[1:])), (rows - 1) * stride + _spec.extent(taps, dilation)


def _band_starts(images: int, chunks: int, count: int, rows: int, stride: int) -> list[tuple[int, ...]]:
    """For every band of every chunk of images: its first image, its first row, the row of x that it starts at, and how
    many of its rows the band before has too. A single band has only its first image.

    All bands have as many rows, so the last one starts early.
    """
    firsts = _chunks.chunk_starts(images, chunks)
    if rows == count:
        return firsts
    bands = [(min(row, count - rows), max(row - count + rows, 0)) for row in range(0, count, rows)]
    return [(*first, row, row * stride, done) for first in firsts for row, done in bands]


def columns_of(x, spec, stride, dilation, kernel, counts):
    """x (N, G, C, *n) to (G, C *k, N *counts): the elements that each tap of the kernel meets."""
    dims = spec.dims
    lengths = [m + (k - 1) * r // s for m, k, r, s in zip(counts, kernel, dilation, stride, strict=True)]
    around = _taps.phase_padding(spec.padding, x.shape[3:], lengths, stride)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * 3 + [(*pair, 0) for pair in around])
    # x is now (*phases, G, C, N, *lengths). The taps of one axis at a time are stacked after C, because a copy of few
    # parts is one loop.
    x = lax.optimization_barrier(jnp.moveaxis(_taps.split_phases(x, stride), dims, dims + 2))
    for axis in reversed(range(dims)):
        columns = []
        for j in range(kernel[axis]):
            start, phase = divmod(j * dilation[axis], stride[axis])
            row = lax.index_in_dim(x, phase, axis, keepdims=False)
            at = row.ndim - dims + axis
            columns.append(lax.slice_in_dim(row, start, start + counts[axis], axis=at))
        x = lax.optimization_barrier(jnp.stack(columns, axis + 2))
    return x.reshape(x.shape[0], x.shape[1] * math.prod(kernel), -1)


def unsupported(spec, x, w) -> str | None:
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    copies = min(_spec.tap_count(w), _spec.position_count(spec, x, w))
    return f"{copies} copies, more than {MAX_COPIES}" if copies > MAX_COPIES else reason_if_input_is_dilated(spec)


def pays_for_stride(p) -> bool:
    """For strided layers of many channels, and for first layers of more than `matmul` stacks.

    3x3, stride 2, 48 channels on 8 images of 112x112 takes 5.4 ms instead of 8.5. A single large image of many channels
    is left to XLA: 3x3, stride 2, 128 channels on 224x224 takes 16 ms instead of 14.
    """
    if p.gradient_like or p.groups > 1 or max(p.spec.stride) == 1 or not p.at_most_float32:
        return False
    if p.in_channels <= 8:
        return p.spec.dims <= 2 and p.out_channels >= 16
    large = p.summands * p.positions > _chunks.MAX_WHOLE_CHUNKS * p.machine.chunk_elements
    wide = min(p.in_channels, p.out_channels) >= 32 and not p.machine.strided_convolution_is_fast
    return wide and not (p.batch == 1 and p.spec.dims == 2 and large)


def pays(p) -> bool:
    """For few windows of many channels, and for weight gradients that are short, strided, or of few taps of a volume.

    3x3, 512 channels on one image of 7x7 takes 0.68 ms instead of 2.1. Its weight gradient takes a third of the time of
    any other algorithm.
    """
    if not p.at_most_float32 or p.input_dilated:
        return False
    if p.gradient_like and p.groups > 1:
        return min(p.batch, p.out_channels) >= 16 and p.in_channels >= 8
    if p.gradient_like:
        strided = max(p.spec.rhs_dilation) > 1 and not p.machine.strided_convolution_is_fast
        dilated = max(p.spec.stride) > 1 and p.positions > 2
        short = p.summands < 1024
        wide = p.spec.dims > 1 and p.batch >= 32 and (p.spec.dims == 2 or p.positions <= 9)
        many = p.spec.dims == 2 and p.positions > 9 and p.summands < 1 << 17
        return (
            p.batch >= 3 and p.out_channels >= 16 and p.positions > 1 and (short or strided or dilated or wide or many)
        )
    if p.groups > 1:
        return max(p.spec.stride) > 1 and min(p.in_channels, p.out_channels) >= 16
    return p.spec.dims == 2 and p.taps > 1 and p.batch * p.positions < 192 and min(p.in_channels, p.out_channels) >= 32


ALGORITHM = Kernel(
    "im2col", "a matrix product of the windows as columns", run, unsupported, definition_multiply_adds, summands
)
