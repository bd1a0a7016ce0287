"""Matrix products of images and weights, in the order of axes in which XLA makes them fastest."""

import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks
from convjax._arrays import xla_cpu
from convjax._machine import Machine

MIN_POSITIONS_PER_IMAGE = 512  # from which a product per image is worth its own call; shorter images are joined
MIN_BATCHED_SIDE = 16  # rows or columns: jax 0.12 sums smaller products naively, so the images are summed afterwards
MAX_FILLED_COLUMNS = 64  # fewer are filled up to whole vectors: a part of a vector takes as long as three whole ones
MIN_SCANNED_COLUMNS = 128  # below, the products of all images are one call, and summed afterwards


def gemm(w, x, spec, machine: Machine, min_positions: int = MIN_POSITIONS_PER_IMAGE):
    """(G, O, K) by (N, G, K, M) to (N, [G,] O, M)."""
    wide = _spec.sum_dtype(x.dtype, spec)
    swapped = _spec.swap_precision(spec.precision)
    if x.shape[0] == 1:
        columns = x.shape[-1]
        if machine.gemm_lanes < columns < MAX_FILLED_COLUMNS:
            x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * 3 + [(0, -columns % machine.gemm_lanes, 0)])
        y = lax.dot_general(w[None], x, (((3,), (2,)), ((0, 1), (0, 1))), swapped, wide)
        return lax.slice_in_dim(y, 0, columns, axis=-1)
    if x.shape[-1] >= min_positions and spec.groups == 1:
        w = jnp.broadcast_to(xla_cpu.fusion_barrier(w, machine), (x.shape[0], *w.shape))  # stored once, not per image
        return lax.dot_general(w, x, (((3,), (2,)), ((0, 1), (0, 1))), swapped, wide)
    batch, length = x.shape[0], x.shape[3]
    if spec.groups == 1:
        x = xla_cpu.materialized(x[:, 0].swapaxes(1, 2)).reshape(batch * length, -1)
        y = lax.dot_general(x, w[0], (((1,), (1,)), ((), ())), spec.precision, wide)
        return y.reshape(batch, length, -1).swapaxes(1, 2)
    x = xla_cpu.materialized(x.transpose(1, 0, 3, 2)).reshape(spec.groups, batch * length, -1)
    y = lax.dot_general(x, w, (((2,), (2,)), ((0,), (0,))), spec.precision, wide)
    return y.reshape(-1, batch, length, w.shape[1]).transpose(1, 0, 3, 2)


def grouped_gemm(w, x, spec, contracted: int = 1, first: bool = False):
    """A product per group: (G, O, K) by (G, K, M) to (G, O, M), or by (G, M, K) with `contracted` 2. What is made of
    the input comes second, or `first`."""
    wide, precision = _spec.sum_dtype(x.dtype, spec), spec.precision if first else _spec.swap_precision(spec.precision)
    if spec.groups == 1:  # whose axis costs a copy
        return lax.dot_general(w[0], x[0], (((1,), (contracted - 1,)), ((), ())), precision, wide)[None]
    return lax.dot_general(w, x, (((2,), (contracted,)), ((0,), (0,))), precision, wide)


def summed_first_by_group(x, w, spec):
    """x and w with what is summed first, as (I, G, B, *n) and (I, G, O, *k): it undoes the transpositions of a weight
    gradient."""
    return [split_groups(v, spec) for v in summed_first(x, w, spec)]


def summed_first(x, w, spec):
    """x and w as (I, G B, *n) and (I, G O, *k): as XLA sees that it undoes the transpositions of a weight gradient,
    where an axis of its own would cost a loop over x a copy."""
    if spec.groups == 1:
        return x.swapaxes(0, 1), w.swapaxes(0, 1)
    batch, inputs = x.shape[0], w.shape[1]
    apart = x.reshape(batch, spec.groups, inputs, *x.shape[2:])
    x = apart.swapaxes(0, 2).reshape(inputs, spec.groups * batch, *x.shape[2:])
    return x, w.swapaxes(0, 1)


def split_groups(v, spec):
    """(I, G C, *n) to (I, G, C, *n)."""
    return v.reshape(v.shape[0], spec.groups, v.shape[1] // spec.groups, *v.shape[2:])


def batch_first(y, dims: int):
    """(G, O, B, *counts) to (B, [G,] O, *counts). A group alone has no axis, which would keep XLA from seeing that the
    transposition of a weight gradient undoes this one."""
    return jnp.moveaxis(y.reshape(y.shape[1:]) if y.shape[0] == 1 else y, -1 - dims, 0)


def _images_last(v):
    """(I, C, J) to (C, J I), transposed as a matrix of two axes: XLA before jax 0.12 transposes three more slowly."""
    return xla_cpu.materialized(v.reshape(v.shape[0], -1).T).reshape(v.shape[1], -1)


def contract(w, x, spec, machine: Machine, copied: bool = True):
    """(I, G, O, J) by (I, G, B, J) to ([G,] O, B), summing over I and J: of what is copied for it, or of operands."""
    wide = _spec.sum_dtype(x.dtype, spec)
    swapped = _spec.swap_precision(spec.precision)

    def dot(a, b, contracted, batched, precision=swapped):
        return lax.dot_general(a, b, ((contracted, contracted), (batched, batched)), precision, wide)

    many, groups, outputs, length = w.shape
    batch = x.shape[2]
    if groups == 1:  # whose axis costs a copy
        w, x = w[:, 0], x[:, 0]
    leading, last = tuple(range(w.ndim - 2)), w.ndim - 1
    if many == 1:
        return dot(w[0], x[0], (last - 1,), leading[:-1])
    if length < MIN_POSITIONS_PER_IMAGE and max(outputs, batch) >= MIN_BATCHED_SIDE:
        if groups == 1 and not (copied or machine.barriers_survive_fusion):
            w, x = _images_last(w), _images_last(x)
            return dot(w, x, (1,), ())
        return dot(w, x, (0, last), leading[1:])
    if min(outputs, batch) < MIN_SCANNED_COLUMNS:
        # The larger matrix on the left makes the faster product, or the one that leaves a part of a vector over.
        if outputs >= batch and (batch % machine.gemm_lanes == 0 or outputs % machine.gemm_lanes):
            return dot(w, x, (last,), leading).sum(0)
        y = lax.optimization_barrier(dot(x, w, (last,), leading, spec.precision))  # or XLA swaps the operands
        return y.sum(0).swapaxes(-2, -1)
    zeros = _chunks.zeros_varying_like((*w.shape[1:-1], batch), wide, x)
    return lax.scan(lambda sum, pair: (sum + dot(*pair, (last - 1,), leading[:-1]), None), zeros, (w, x))[0]
