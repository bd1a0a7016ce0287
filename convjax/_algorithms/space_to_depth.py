"""A stride or a dilation becomes 1: the phases of x become channels, or images.

With stride s, result i meets x[i s + j] at tap j = s t + u, which is x_u[i + t] of phase u: the phases join the
channels that are summed, and the kernel keeps every s-th tap for each (space to depth). With rhs_dilation r, result
i = r a + v meets x_v[a + j]: the phases join the batch (space to batch). Either way the taps are neighbours
again, as other algorithms need them: a 3x3 kernel with dilation 6 becomes one that Winograd's tiles support.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _taps, winograd
from convjax._algorithms.algorithm import Rewrite, reason_if_input_is_dilated
from convjax._arrays.xla_cpu import fusion_barrier, parallel_index
from convjax._machine import Machine


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    few = _spec.is_gradient_like(spec, x, w) or max(spec.stride) > 1
    # Splitting a dilated x into phases copies x once, and its results twice.
    chunks = 1 if few else _chunks.chunk_count(x.shape[0], x.size, machine.chunk_elements / 2)
    images = x.shape[0] // chunks

    def convolve_chunk(first):
        if chunks == 1:
            return _convolve_images(x, w, spec, convolve)
        part = _chunks.slice_at(x, (parallel_index(first, machine),), (images, *x.shape[1:]))
        return _convolve_images(fusion_barrier(part, machine), w, spec, convolve)

    y = _chunks.zeros_varying_like(shape, spec.out_dtype or x.dtype, x)
    return _chunks.write_chunks(_chunks.chunk_starts(x.shape[0], chunks), convolve_chunk, y, machine)


def _convolve_images(x, w, spec, convolve):
    shape = spec.output_shape(x.shape, w.shape)
    dims, groups, ones = spec.dims, spec.groups, (1,) * spec.dims
    steps, taps, counts = _steps(spec, x, w)
    # Each axis is as long as its phases need: position i and tap j of a phase reach its element i + j.
    ends = [s * (m + k - 1) for s, m, k in zip(steps, counts, taps, strict=True)]
    around = [(low, n - low - size) for (low, _), n, size in zip(spec.padding, ends, x.shape[2:], strict=True)]
    x = _taps.pad(x, around)
    x = x.reshape(x.shape[0], groups, -1, *[n for e, s in zip(ends, steps, strict=True) for n in (e // s, s)])
    whole, part = range(3, 3 + 2 * dims, 2), range(4, 4 + 2 * dims, 2)
    deep = [axis for axis, s in zip(part, spec.stride, strict=True) if s > 1]  # to the channels
    wide = [axis for axis, s in zip(part, spec.stride, strict=True) if s == 1]  # to the batch
    batch, inputs = shape[0] * math.prod(spec.rhs_dilation), w.shape[1] * math.prod(spec.stride)
    x = x.transpose(*wide, 0, 1, *deep, 2, *whole).reshape(
        batch, groups * inputs, *[e // s for e, s in zip(ends, steps, strict=True)]
    )

    grown = [(0, s * t - k, 0) for k, s, t in zip(w.shape[2:], spec.stride, taps, strict=True)]
    w = lax.pad(w, jnp.zeros((), w.dtype), [(0, 0, 0)] * 2 + grown)
    w = w.reshape(*w.shape[:2], *[n for t, s in zip(taps, spec.stride, strict=True) for n in (t, s)])
    w = w.transpose(0, *range(3, 3 + 2 * dims, 2), 1, *range(2, 2 + 2 * dims, 2))
    w = w.reshape(w.shape[0], inputs, *taps)

    y = convolve(x, w, spec._replace(stride=ones, rhs_dilation=ones, padding=((0, 0),) * dims))
    dilations = [r if s == 1 else 1 for r, s in zip(spec.rhs_dilation, spec.stride, strict=True)]
    y = y.reshape(*dilations, *shape[:2], *counts)
    y = y.transpose(dims, dims + 1, *[axis for i in range(dims) for axis in (dims + 2 + i, i)])
    y = y.reshape(*shape[:2], *[r * m for r, m in zip(dilations, counts, strict=True)])
    return lax.slice(y, [0] * y.ndim, shape)


def _steps(spec, x, w):
    """Per axis, the number of phases, the taps of a phase, and the positions of a phase."""
    sizes = spec.output_shape(x.shape, w.shape)[2:]
    steps = [max(s, r) for s, r in zip(spec.stride, spec.rhs_dilation, strict=True)]
    taps = [-(-k // s) for k, s in zip(w.shape[2:], spec.stride, strict=True)]
    counts = [-(-m // r) for m, r in zip(sizes, spec.rhs_dilation, strict=True)]
    return steps, taps, counts


def unsupported(spec, x, w) -> str | None:
    if all(n == 1 for n in (*spec.stride, *spec.rhs_dilation)):
        return "neither a stride nor a dilation"
    if any(s > 1 and r > 1 for s, r in zip(spec.stride, spec.rhs_dilation, strict=True)):
        return "a stride and a dilation along one axis"
    return reason_if_input_is_dilated(spec)


def multiply_adds(spec, x, w):
    _, taps, counts = _steps(spec, x, w)
    phases = math.prod(spec.stride) * math.prod(spec.rhs_dilation)
    return x.shape[0] * w.shape[0] * w.shape[1] * phases * math.prod(taps) * math.prod(counts)


def is_local(spec, x, w) -> bool:
    """Whether all phases of a stride have equally many taps. A zero in place of a tap, times a NaN, is a NaN."""
    return all(k % s == 0 for k, s in zip(w.shape[2:], spec.stride, strict=True))


def pays(p) -> bool:
    """For dilated kernels if rounding the phases up to whole Winograd tiles adds at most a fifth.

    3x3, dilation 2, 256 channels on 28x28 takes 11 ms instead of 19.
    """
    if not p.at_most_float32 or p.groups > 1:
        return False
    if p.gradient_like:
        few_positions = p.spec.dims == 2 and p.positions <= 16 and max(p.spec.stride) > 1
        many_taps = p.summands >= 1024 and p.taps >= 100 * math.prod(p.spec.stride)
        return few_positions and many_taps and min(p.batch, p.out_channels) >= 64
    sizes = p.output_shape[2:]
    full = all(4 * -(-m // (4 * r)) * r <= 1.2 * m for m, r in zip(sizes, p.spec.rhs_dilation, strict=True))
    return max(p.spec.rhs_dilation) > 1 == max(p.spec.stride) and full and winograd.pays(p)


ALGORITHM = Rewrite(
    "space_to_depth",
    "phases of a stride as channels, of a dilation as images",
    run,
    unsupported,
    multiply_adds,
    rank=2,
    is_local=is_local,
)
