"""A matrix product for every tap gives each pixel's share of the results, and the shares are added. Channels last.

This is `col2im` for images whose channels are last in memory. The weight of a layer, (*k, I, O), is read as it lies in
memory, so an input gradient neither flips nor transposes it. That pays for heavy weights. No zero of a dilated input is
multiplied.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._algorithms._product import matmul
from convjax._algorithms._taps import flipped_axes
from convjax._algorithms.algorithm import Kernel, reason_unless_dense_with_channels_last, summands
from convjax._algorithms.col2im import MAX_TAPS, multiply_adds, taps_of_phases
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MIN_HEAVY_WEIGHT = 1 << 20  # numbers whose flip, without AVX-512, takes longer than slower products


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    kernel, flipped = w.shape[2:], spec.hints.flipped_weight
    if flipped:
        w = lax.rev(w, flipped_axes(w))  # XLA sees that this undoes the flip
    w = w.transpose(*range(2, w.ndim), 0, 1).reshape(-1, *w.shape[:2])
    x = channels_last(x)
    pixels = x.reshape(1, -1, x.shape[-1])
    sum_dtype = _spec.sum_dtype(x.dtype, spec)
    products = matmul(pixels, w, machine, spec.precision, sum_dtype, transpose_b=True)
    products = products.reshape(-1, *x.shape[:-1], shape[1])
    order = np.arange(len(products)).reshape(kernel)
    order = np.flip(order) if flipped else order
    y = _add_at_results(products, order, (x.shape[0], *shape[2:], shape[1]), spec)
    return channels_first(y).astype(spec.out_dtype or x.dtype)


def _add_at_results(products, order, shape, spec):
    """The sum of the products of all taps, (taps, N, *n, O), each moved to its results, as (N, *m, O).

    `order` has the number of every tap in `products`.
    """
    counts, sizes, dilation = shape[1:-1], products.shape[2:-1], spec.lhs_dilation
    positions = [-(-m // a) for m, a in zip(counts, dilation, strict=True)]
    zero = jnp.zeros((), products.dtype)
    none = (shape[0], *positions, shape[-1])

    def moved(tap, shifts):
        y = lax.index_in_dim(products, int(order[tap]), keepdims=False)
        around = [(-shift, m - n + shift, 0) for shift, m, n in zip(shifts, positions, sizes, strict=True)]
        return lax.pad(y, zero, [(0, 0, 0), *around, (0, 0, 0)])

    phases = [
        add_all([moved(*each) for each in taps]) if taps else _chunks.zeros_varying_like(none, products.dtype, products)
        for taps in taps_of_phases(spec, order.shape)
    ]
    if len(phases) == 1:
        return phases[0]
    dims = len(counts)
    y = jnp.stack([lax.optimization_barrier(y) for y in phases]).reshape(*dilation, *phases[0].shape)
    y = y.transpose(dims, *[axis for i in range(dims) for axis in (dims + 1 + i, i)], 2 * dims + 1)
    y = y.reshape(shape[0], *[a * m for a, m in zip(dilation, positions, strict=True)], shape[-1])
    return lax.slice(y, [0] * y.ndim, shape)


def unsupported(spec, x, w) -> str | None:
    reason = reason_unless_dense_with_channels_last(spec, x, w)
    if reason is not None:
        return reason
    if _spec.tap_count(w) > MAX_TAPS:
        return f"{_spec.tap_count(w)} taps, more than {MAX_TAPS}"
    return "a stride or a dilated kernel" if any(n > 1 for n in (*spec.stride, *spec.rhs_dilation)) else None


def pays(p) -> bool:
    """For input gradients with a stride, unless they have few channels or their products leave the cache, and for heavy
    weights, whose flip would take longer than the products.

    3x3, stride 2, 512 channels on 8 images of 14x14 takes 4.2 ms instead of 6.2 by `polyphase`. 3x3, 1024 channels on
    one image of 7x7 takes 12 ms instead of 26 by oneDNN. But 3x3, stride 2, 48 channels on 8 images of 112x112 takes 11
    instead of 3.1. Without AVX-512, the first takes 12.5 ms instead of 14.7, the second 11 instead of 16, and 208
    channels on 7x7 0.70 instead of 0.40.
    """
    if not (p.at_most_float32 and p.groups == 1):
        return False
    pixels = p.batch * p.input_positions
    if not p.input_dilated:
        if p.taps == 1 or not p.spec.hints.flipped_weight:
            return False
        heavy = p.summands * p.out_channels >= MIN_HEAVY_WEIGHT and p.in_channels > 8 * pixels
        return p.in_channels > 2 * pixels if p.has_onednn else heavy
    many = p.in_channels >= 128 or (p.has_onednn and p.batch == 1)
    return many and (p.taps == 1 or pixels * p.out_channels * p.taps <= 2 * p.machine.chunk_elements)


ALGORITHM = Kernel(
    "row2im",
    "a matrix product for every tap, added where they meet, with the channels last",
    run,
    unsupported,
    multiply_adds,
    summands,
    memory_format="channels_last",
)
