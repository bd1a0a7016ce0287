"""The images innermost, in the layout CHWN, in which the slice of a tap starts at a whole vector.

Loops over rows of an image read its taps at every offset, half of the vectors across two cache lines, and a short row
ends in half a vector. If the images are the last axis, along which taps do not move, every row is long and every slice
starts at a vector. The last two axes are merged unless a stride or a dilation keeps them apart. (The layout of
A. Krizhevsky's cuda-convnet.)

A weight gradient sums over the images: there they join the taps.
"""

import math

import jax
import jax.numpy as jnp

from convjax import _spec
from convjax._algorithms import _chunks, _gemm, _taps
from convjax._algorithms.algorithm import Rewrite, definition_multiply_adds
from convjax._arrays import xla_cpu
from convjax._machine import Machine

MAX_PADDED_GROWTH = 2.5  # largest size of a padded chunk of groups, as a multiple of the size of x


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    if _spec.is_gradient_like(spec, x, w):
        x = jnp.moveaxis(_gemm.split_groups(x, spec), 2, -1)
        w = jnp.moveaxis(w, 1, -1)[:, None]
        return convolve(*_images_last(x, w, spec, machine, images_are_batch=False)).reshape(shape)

    chunks = _chunks.padded_chunk_count(x, spec.padding, spec.groups, MAX_PADDED_GROWTH, machine)
    of_groups = lambda x, w, spec: _convolve_groups(x, w, spec, machine, convolve)  # noqa: E731
    return _chunks.write_group_chunks(of_groups, x, w, spec, chunks, machine)


def _convolve_groups(x, w, spec, machine, convolve):
    shape = spec.output_shape(x.shape, w.shape)
    elements = x.size + math.prod(shape)
    chunks = _chunks.chunk_count(x.shape[0] // math.gcd(x.shape[0], machine.lanes), elements, machine.chunk_elements)
    images = x.shape[0] // chunks

    def convolve_chunk(first):
        part = x
        if chunks > 1:
            part = _chunks.slice_at(x, (xla_cpu.parallel_index(first, machine),), (images, *x.shape[1:]))
        part = part.reshape(images, -1).T.reshape(1, *x.shape[1:], images)
        y = convolve(*_images_last(part, w[..., None], spec, machine, images_are_batch=True))
        return xla_cpu.fusion_barrier(y, machine).reshape(-1, images).T.reshape(images, *shape[1:])

    y = _chunks.zeros_varying_like(shape, spec.out_dtype or x.dtype, x)
    return _chunks.write_chunks(_chunks.chunk_starts(x.shape[0], chunks), convolve_chunk, y, machine)


def _images_last(x, w, spec, machine, images_are_batch: bool):
    """The operands and the spec of the operation for x (B, C, *n, N) and w (O, I, *k, 1 or N), with the N images last.

    If a stride or a dilation keeps the images apart, N is one more spatial axis. Otherwise N is merged into the last
    spatial axis. If the images are a batch, one element of the merged axis is one position of one image. If they are
    summed, it is one tap of one image.
    """
    images = x.shape[-1]
    step = spec.stride[-1] if images_are_batch else spec.rhs_dilation[-1]
    if max(*spec.lhs_dilation, step) > 1:
        stride, (lhs, rhs) = spec.stride, spec.dilations
        padding = (*spec.padding, (0, 0))
        return x, w, spec._replace(stride=(*stride, 1), padding=padding, lhs_dilation=(*lhs, 1), rhs_dilation=(*rhs, 1))
    # Padded before the two axes are merged. In a merged axis, XLA would divide the index of each element to tell
    # whether it lies in the padding.
    x = xla_cpu.fusion_barrier(_taps.pad(x, spec.padding), machine)
    x, w = (a.reshape(*a.shape[:-2], -1) for a in (x, w))
    spec = spec._replace(padding=((0, 0),) * spec.dims)
    if images_are_batch:
        return x, w, spec._replace(rhs_dilation=(*spec.rhs_dilation[:-1], spec.rhs_dilation[-1] * images))
    return x, w, spec._replace(stride=(*spec.stride[:-1], spec.stride[-1] * images))


def unsupported(spec, x, w) -> str | None:
    if _spec.is_empty(spec, x, w):
        return "nothing to sum"
    images = w.shape[1] if _spec.is_gradient_like(spec, x, w) else x.shape[0]
    return "one image" if images == 1 else None


def pays(p) -> bool:
    """For batches of whole or half vectors of small images, with enough work to repay transposing them.

    3x3, 32 groups of 16 channels on 8x14x14 takes 1.2 ms instead of 9.7. Transposing an element of the result costs
    twice as much as transposing one of x.
    """
    if p.x.dtype.itemsize != 4 or not p.at_most_float32 or p.spec.dims != 2 or p.input_dilated or p.positions > 800:
        return False
    if max(p.spec.stride) > 1:
        return p.batch % p.machine.lanes == 0 and p.summands >= 25
    work = p.in_channels * p.out_channels * p.taps >= 13 * (p.in_channels + 2 * p.out_channels)
    halves = min(p.in_channels, p.out_channels) >= 8
    return work and p.batch % (p.machine.lanes // (2 if halves else 1)) == 0


ALGORITHM = Rewrite(
    "chwn", "the images innermost, so that every row is long", run, unsupported, definition_multiply_adds, rank=1
)
