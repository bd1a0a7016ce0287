"""Matrix products of images and weights, in the order of axes in which XLA makes them fastest."""

import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks
from convjax._algorithms._product import is_onednn, matmul
from convjax._arrays import xla_cpu
from convjax._machine import Machine

MIN_POSITIONS_PER_IMAGE = 512  # from so many on, each image has a product of its own; smaller images are joined
MIN_BATCHED_SIDE = 16  # rows or columns; jax 0.12 sums smaller products naively, so the images are summed afterwards
MAX_FILLED_COLUMNS = 64  # fewer columns are padded to whole vectors: a part of a vector takes as long as three vectors
# oneDNN multiplies all images by a weight at once. Small images with larger weights than this are joined all the same:
# 768 to 1539 channels on 8 images of 7x7 takes 2.2 ms instead of 2.6, and 960 to 160 on 16 takes 0.72 either way.
MIN_BATCHED_POSITIONS = 64
MAX_BATCHED_WEIGHT = 1 << 17
# Products of images that are summed afterwards, in all. 64x104 of 8 images of 56x56 takes 0.87 ms, and 1.5 if they are
# joined. 320x128 of 8 images of 28x28 takes 2.1 ms, and 1.4 if they are joined.
MAX_SUMMED_PRODUCTS = 1 << 18
# From so many positions of an image on, images are not joined: 256x256 of 8 images of 56x56 takes 8.6 ms instead of 22.
MIN_SCANNED_POSITIONS = 1024
MIN_SCANNED_COLUMNS = 128  # with fewer, the products of all images are one call, and are summed afterwards


def gemm(w, x, spec, machine: Machine, min_positions: int = MIN_POSITIONS_PER_IMAGE, *, transposed: bool = False):
    """The product of w (G, O, K), or (G, K, O) if `transposed`, and x (N, G, K, M).

    It is (N, G, O, M), or (N, O, M) for a single group in some cases.
    """
    sum_dtype = _spec.sum_dtype(x.dtype, spec)
    swapped = _spec.swap_precision(spec.precision)
    batch, length = x.shape[0], x.shape[3]
    by_onednn = is_onednn(x.shape[:2], w.shape[1], w.shape[2], length, x.dtype, sum_dtype, machine)
    if by_onednn and (batch == 1 or length >= MIN_BATCHED_POSITIONS or w.size <= MAX_BATCHED_WEIGHT):
        return matmul(w, x, machine, swapped, sum_dtype, transpose_a=transposed)
    if batch == 1:
        if machine.gemm_lanes < length < MAX_FILLED_COLUMNS:
            x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * 3 + [(0, -length % machine.gemm_lanes, 0)])
        y = matmul(w, x, machine, swapped, sum_dtype, transpose_a=transposed)
        return lax.slice_in_dim(y, 0, length, axis=-1)
    if length >= min_positions and spec.groups == 1:
        w = xla_cpu.fusion_barrier(w, machine)  # stored once, not per image
        return matmul(w, x, machine, swapped, sum_dtype, transpose_a=transposed)
    if spec.groups == 1:
        x = xla_cpu.materialized(x[:, 0].swapaxes(1, 2)).reshape(batch * length, -1)
        y = matmul(x, w[0], machine, spec.precision, sum_dtype, transpose_b=not transposed)
        return y.reshape(batch, length, -1).swapaxes(1, 2)
    x = xla_cpu.materialized(x.transpose(1, 0, 3, 2)).reshape(spec.groups, batch * length, -1)
    y = matmul(x, w, machine, spec.precision, sum_dtype, transpose_b=not transposed)
    return y.reshape(spec.groups, batch, length, -1).transpose(1, 0, 3, 2)


def grouped_gemm(w, x, spec, machine: Machine, *, transposed: bool = False, first: bool = False):
    """The product of w (G, O, K) and x (G, K, M), or of w and x (G, M, K) if `transposed`: (G, O, M).

    `first` says that the argument w was made from the input of the convolution, not from its kernel. A precision may
    differ for the two.
    """
    sum_dtype = _spec.sum_dtype(x.dtype, spec)
    precision = spec.precision if first else _spec.swap_precision(spec.precision)
    if spec.groups == 1:  # an axis for a single group would cost a copy
        return matmul(w[0], x[0], machine, precision, sum_dtype, transpose_b=transposed)[None]
    return matmul(w, x, machine, precision, sum_dtype, transpose_b=transposed)


def summed_axis_first_by_group(x, w, spec):
    """x and w with the summed axis I first, as (I, G, B, *n) and (I, G, O, *k).

    This undoes the transpositions that made the operands of a weight gradient.
    """
    return [split_groups(v, spec) for v in summed_axis_first(x, w, spec)]


def summed_axis_first(x, w, spec):
    """x and w with the summed axis I first, as (I, G B, *n) and (I, G O, *k).

    This undoes the transpositions that made the operands of a weight gradient. XLA sees that both cancel. A separate
    axis for the groups would make a loop over x copy it.
    """
    if spec.groups == 1:
        return x.swapaxes(0, 1), w.swapaxes(0, 1)
    batch, inputs = x.shape[0], w.shape[1]
    apart = x.reshape(batch, spec.groups, inputs, *x.shape[2:])
    x = apart.swapaxes(0, 2).reshape(inputs, spec.groups * batch, *x.shape[2:])
    return x, w.swapaxes(0, 1)


def batch_and_channels_swapped(x, ct, groups: int):
    """Images (N, G I, *n) and their cotangent (N, G O, *m) as the operands of a weight gradient, (I, G N, *n) and
    (G O, N, *m). `summed_axis_first` undoes it."""
    if groups == 1:
        return x.swapaxes(0, 1), ct.swapaxes(0, 1)
    batch, inputs, sizes = x.shape[0], x.shape[1] // groups, x.shape[2:]
    x = x.reshape(batch, groups, inputs, *sizes).swapaxes(0, 2).reshape(inputs, groups * batch, *sizes)
    return x, ct.swapaxes(0, 1)


def split_groups(v, spec):
    """(I, G C, *n) to (I, G, C, *n)."""
    return v.reshape(v.shape[0], spec.groups, v.shape[1] // spec.groups, *v.shape[2:])


def batch_first(y, dims: int):
    """(G, O, B, *counts) to (B, G, O, *counts), or (B, O, *counts) for a single group.

    With an axis for a single group, XLA would not see that the transposition of a weight gradient undoes this one.
    """
    return jnp.moveaxis(y.reshape(y.shape[1:]) if y.shape[0] == 1 else y, -1 - dims, 0)


def _images_last(v):
    """(I, C, J) to (C, J I), transposed as a matrix, because XLA before jax 0.12 transposes three axes more slowly."""
    return xla_cpu.materialized(v.reshape(v.shape[0], -1).T).reshape(v.shape[1], -1)


def contract(w, x, spec, machine: Machine, copied: bool = True):
    """The product of w (I, G, O, J) and x (I, G, B, J), summed over I and J: (G, O, B), or (O, B) for a single group.

    `copied` says that w and x were copied for this product, and are not the operands of the convolution.
    """
    sum_dtype = _spec.sum_dtype(x.dtype, spec)
    swapped = _spec.swap_precision(spec.precision)

    def dot(a, b, contracted, batched, precision=swapped):
        return lax.dot_general(a, b, ((contracted, contracted), (batched, batched)), precision, sum_dtype)

    def product(a, b, precision=swapped):
        return matmul(a, b, machine, precision, sum_dtype, transpose_b=True)

    many, groups, outputs, length = w.shape
    batch = x.shape[2]
    if groups == 1:  # an axis for a single group would cost a copy
        w, x = w[:, 0], x[:, 0]
    leading, last = tuple(range(w.ndim - 2)), w.ndim - 1
    if many == 1:
        return product(w[0], x[0])
    if is_onednn(w.shape[:-2], outputs, length, batch, x.dtype, sum_dtype, machine):
        if many * groups * outputs * batch <= MAX_SUMMED_PRODUCTS:
            return product(w, x).sum(0)
        if groups == 1 and length < MIN_SCANNED_POSITIONS:
            w = xla_cpu.materialized(w.swapaxes(0, 1)).reshape(outputs, -1)
            x = xla_cpu.materialized(x.swapaxes(1, 2)).reshape(-1, batch)
            return matmul(w, x, machine, swapped, sum_dtype)
    if length < MIN_POSITIONS_PER_IMAGE and max(outputs, batch) >= MIN_BATCHED_SIDE:
        if groups == 1 and not (copied or machine.transposes_in_tiles):
            w, x = _images_last(w), _images_last(x)
            return dot(w, x, (1,), ())
        return dot(w, x, (0, last), leading[1:])
    if min(outputs, batch) < MIN_SCANNED_COLUMNS:
        # The product is faster with the larger matrix on the left, or with the one whose size is not a whole number of
        # vectors.
        if outputs >= batch and (batch % machine.gemm_lanes == 0 or outputs % machine.gemm_lanes):
            return product(w, x).sum(0)
        y = lax.optimization_barrier(product(x, w, spec.precision))  # or XLA swaps the operands
        return y.sum(0).swapaxes(-2, -1)
    zeros = _chunks.zeros_varying_like((*w.shape[1:-1], batch), sum_dtype, x)
    return lax.scan(lambda sum, pair: (sum + product(*pair), None), zeros, (w, x))[0]
