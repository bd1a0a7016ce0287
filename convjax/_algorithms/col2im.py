"""One matrix product gives every element's share of every result that it reaches, and the shares are added.

It is for dilated inputs of many channels, as in transposed convolutions and the input gradients of strided ones. It is
also for input gradients of few positions. Their large weight is read in its order before the flip.

With lhs_dilation a, element q meets tap j in result a q + low - j: phase v of the results, a u + v, sums the products
of taps j = low - v mod a, each moved by (v + j - low) / a. No zero between or around the elements is multiplied.
(Caffe's deconvolution works like this.)
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _gemm, _taps
from convjax._algorithms._product import matmul
from convjax._algorithms.algorithm import Kernel, summands
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_TAPS = 64  # largest number of taps, whose products are added one by one


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    batch = x.shape[0]
    # With more channels than elements in a channel, flipping the weight costs more than transposing its products.
    heavy = w.shape[1] > batch * math.prod(x.shape[2:])
    products = _products_with_weight
    if spec.hints.flipped_weight and spec.groups == 1 and heavy:
        products = _products_with_unflipped_weight
    products = products(w, spec, machine)
    x = x.reshape(batch, spec.groups, -1, *x.shape[2:])
    elements = math.prod(x.shape[3:]) * batch * math.prod(w.shape) // w.shape[1]
    chunks = _chunks.chunk_count(batch, elements, machine.chunk_elements)
    each = batch // chunks
    is_product = _spec.tap_count(w) == 1 and shape[2:] == x.shape[3:] and not any(map(any, spec.padding))

    def convolve_chunk(first):
        y = products(_chunks.slice_at(x, [first], (each, *x.shape[1:])))
        if is_product:
            return jnp.moveaxis(y.reshape(shape[1], each, *shape[2:]), 1, 0).astype(spec.out_dtype or x.dtype)
        return _add_at_results(y, spec, shape[2:]).reshape(each, *shape[1:]).astype(spec.out_dtype or x.dtype)

    y = _chunks.zeros_varying_like(shape, spec.out_dtype or x.dtype, x)
    return _chunks.write_chunks(_chunks.chunk_starts(batch, chunks), convolve_chunk, y, machine)


def _products_with_weight(w, spec, machine):
    """The function of x (N, G, I, *n) that makes its products (G, O, *k, N, *n) with w."""
    groups, (_, in_channels, *kernel) = spec.groups, w.shape
    w = xla_cpu.fusion_barrier(w, machine).reshape(groups, -1, *w.shape[1:])
    w = jnp.moveaxis(w, 2, -1).reshape(groups, -1, in_channels)

    def products(x):
        images = lax.optimization_barrier(jnp.moveaxis(x, 0, 2)).reshape(groups, in_channels, -1)
        return _gemm.grouped_gemm(w, images, spec, machine).reshape(groups, -1, *kernel, x.shape[0], *x.shape[3:])

    return products


def _products_with_unflipped_weight(w, spec, machine):
    """Like `_products_with_weight`, for one group, with the weight in its order before the flip.

    XLA sees that one flip undoes the other, so the weight is read but not copied.
    """
    out_channels, in_channels, *kernel = w.shape
    taps = _taps.flipped_axes(w)
    w = lax.rev(_taps.swap_channels(w, spec), taps).reshape(in_channels, -1)

    def products(x):
        images = xla_cpu.materialized(jnp.moveaxis(x[:, 0], 1, -1)).reshape(-1, in_channels)
        y = matmul(images, w, machine, spec.precision, _spec.sum_dtype(x.dtype, spec))
        y = lax.optimization_barrier(y).T  # or XLA swaps the operands
        y = xla_cpu.fusion_barrier(y, machine) if taps else y
        return lax.rev(y.reshape(1, out_channels, *kernel, x.shape[0], *x.shape[3:]), taps)

    return products


def _add_at_results(y, spec, counts):
    """(G, O, *k, N, *n) to (N, G, O, *counts)."""
    dims, dilation = spec.dims, spec.lhs_dilation
    kernel, lengths = y.shape[2 : 2 + dims], y.shape[3 + dims :]
    positions = [-(-m // a) for m, a in zip(counts, dilation, strict=True)]
    zero = jnp.zeros((), y.dtype)
    phases = []
    for taps in taps_of_phases(spec, kernel):
        parts = []
        for tap, shifts in taps:
            moved = [(-shift, m - n + shift, 0) for shift, m, n in zip(shifts, positions, lengths, strict=True)]
            parts.append(lax.pad(y[(slice(None), slice(None), *tap)], zero, [(0, 0, 0)] * 3 + moved))
        phases.append(
            add_all(parts)
            if parts
            else _chunks.zeros_varying_like((*y.shape[:2], y.shape[2 + dims], *positions), y.dtype, y)
        )
    y = jnp.stack(phases).reshape(*dilation, *phases[0].shape)
    y = y.transpose(dims + 2, dims, dims + 1, *[axis for i in range(dims) for axis in (dims + 3 + i, i)])
    y = lax.optimization_barrier(y).reshape(*y.shape[:3], *[a * m for a, m in zip(dilation, positions, strict=True)])
    return lax.slice(y, [0] * y.ndim, (*y.shape[:3], *counts))


def taps_of_phases(spec, kernel) -> list[list[tuple[tuple[int, ...], ...]]]:
    """For every phase of the results, in row order: the taps that it sums, with how far the products of each move."""
    phases = []
    for phase in itertools.product(*map(range, spec.lhs_dilation)):
        axes = zip(phase, spec.padding, spec.lhs_dilation, kernel, strict=True)
        along = [[(j, (v + j - low) // a) for j in range((low - v) % a, k, a)] for v, (low, _), a, k in axes]
        phases.append([tuple(zip(*pairs, strict=True)) for pairs in itertools.product(*along)])
    return phases


def unsupported(spec, x, w) -> str | None:
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    if _spec.tap_count(w) > MAX_TAPS:
        return f"{_spec.tap_count(w)} taps, more than {MAX_TAPS}"
    return "a stride or a dilated kernel" if any(n > 1 for n in (*spec.stride, *spec.rhs_dilation)) else None


def multiply_adds(spec, x, w):
    return x.shape[0] * math.prod(x.shape[2:]) * math.prod(w.shape)


def pays_for_dilated_input(p) -> bool:
    """For windows that overlap, or a single tap, and enough channels.

    Input gradients of 3x3, stride 2, 64 to 512 channels take 0.6 to 0.9 of the time of any other algorithm.
    """
    if not p.is_float or p.x.dtype == jnp.bfloat16 or not p.input_dilated:
        return False
    if p.taps == 1:
        few = p.spec.dims <= 2 and math.prod(p.spec.lhs_dilation) <= 4
        return few and not (p.groups == 1 and p.machine.strided_convolution_is_fast)
    overlap = any(k > a for k, a in zip(p.w.shape[2:], p.spec.lhs_dilation, strict=True))
    channels = p.in_channels * p.out_channels >= 16 if p.groups == 1 else min(p.in_channels, p.out_channels) >= 8
    tall = p.in_channels > 64 * p.out_channels  # a product of few rows
    if p.machine.strided_convolution_is_fast and p.groups == 1 and min(p.in_channels, p.out_channels) >= 64:
        return overlap and not tall and p.subpixel_tap_ratio <= 1.5  # 3x3, stride 2, 128 to 256: 2.6 ms, XLA's own 2.3
    return overlap and channels and not tall


def pays_for_flipped_weight(p) -> bool:
    """For input gradients of few positions, in which flipping the weight takes longer than the products.

    1x1, 512 to 2048 channels on 7x7 takes a third of the time of `matmul`.
    """
    plain = p.groups == 1 and p.spec.dims <= 2 and max(*p.spec.stride, *p.spec.rhs_dilation) == 1 and p.taps <= 25
    heavy = p.in_channels > p.batch * p.input_positions > 1 and (p.taps > 1 or p.batch == 1)
    return p.at_most_float32 and p.spec.hints.flipped_weight and plain and heavy


ALGORITHM = Kernel(
    "col2im", "a product for every element and tap, added where they meet", run, unsupported, multiply_adds, summands
)
