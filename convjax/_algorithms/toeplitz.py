"""Blocks of a row as channels: along the last axis the kernel becomes a banded matrix, a block Toeplitz matrix.

A TPU multiplies matrices of 128 channels as fast as smaller ones, so an image of one channel leaves most of such a
product empty. Here L neighbouring elements of a row become channels, and a kernel of k taps becomes a matrix from D
blocks of input elements to a block of results. Most of its elements are zeros, which the product multiplies too.

With stride s, lhs_dilation a and rhs_dilation r along the last axis, and i = L b + l, the definition

    y[i] = sum_j x'[i s + j r - low] w[j]

becomes a convolution over the blocks b, of M = L s / a elements of x each:

    y[b, l] = sum_d,m x[b + d, m] t[d, m, l],     t[d, m, l] = w[j]  where  l s + j r + e = d L s + a m

x is padded in front to a whole element or to a whole block, which leaves the offset e. In a weight gradient the kernel
is what has many elements. So j = L b + l is cut into blocks, the elements of a block of x become batch, those of the
kernel output channels, and y[i] is the sum of the results along one diagonal of the matrix.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms._product import with_ones
from convjax._algorithms.algorithm import Rewrite, never_local
from convjax._machine import TPU_LANES, Machine

MAX_IMAGE_CHANNELS = 3  # 8 images of 3 channels, 224x224, under 3x3 each take 134 microseconds instead of 616
MAX_MATRIX = 1 << 24  # elements that are compared to place the taps in the matrix


class _Blocks(NamedTuple):
    """How the last axis is cut. The many are results, or the elements of the kernel in a weight gradient. The few are
    taps, or results in a weight gradient."""

    length: int  # of a block of the many
    inputs: int  # elements of a block of x
    reach: int  # blocks of x that one block of the many meets
    number: int  # of blocks of the many
    pad: int  # elements of zeros in front of x, before it is cut
    front: int  # blocks of zeros in front of x
    few: int
    steps: tuple[int, int, int]  # by which the few, the many, and the elements of x lie apart
    offset: int

    def band(self, dtype) -> jax.Array:
        """(few, reach, inputs, length): 1 where that one of the few is that element of the matrix."""
        shape = self.few, self.reach, self.inputs, self.length
        t, d, m, l = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in range(4))  # noqa: E741
        few, many, apart = self.steps
        return (t * few + l * many + self.offset == apart * (d * self.inputs + m)).astype(dtype)

    @property
    def matrix_size(self) -> int:
        return self.few * self.reach * self.inputs * self.length


def _blocks(spec, x, w) -> _Blocks:
    size, (low, _) = x.shape[-1], spec.padding[-1]
    results, taps = spec.output_shape(x.shape, w.shape)[-1], w.shape[-1]
    s, a, r = spec.stride[-1], spec.lhs_dilation[-1], spec.rhs_dilation[-1]
    gradient = _spec.is_gradient_like(spec, x, w)
    many, few, step, other_step = (taps, results, r, s) if gradient else (results, taps, s, r)
    steps = other_step, step, a
    channels = max(x.shape[0] if gradient else w.shape[1], w.shape[0] // spec.groups)
    if max(many, size) * channels <= TPU_LANES:  # a row is one block
        return _Blocks(length=many, inputs=size, reach=1, number=1, pad=0, front=0, offset=-low, few=few, steps=steps)
    unit = a // math.gcd(a, step)
    length = max(TPU_LANES // channels // unit, 1) * unit
    inputs = length * step // a
    # In weight gradients padding by whole blocks is faster, and elsewhere by elements: 0.4 instead of 1.1 ms for a
    # Gaussian of 15x15 on 1080x1920, and 0.13 instead of 0.19 for 63x63 on 512x512, which XLA compiles for 16 s, and
    # with whole blocks for 106 (estimates for a v5e of variants of this file, which are not kept).
    unit = inputs if gradient else 1
    front = -(-low // (a * unit))
    offset = a * unit * front - low
    reach = ((length - 1) * step + (few - 1) * other_step + offset) // (a * inputs) + 1
    padding = {"pad": 0, "front": front} if gradient else {"pad": front, "front": 0}
    return _Blocks(length, inputs, reach, number=-(-many // length), offset=offset, few=few, steps=steps, **padding)


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    shape, blocks = spec.output_shape(x.shape, w.shape), _blocks(spec, x, w)
    form = _weight_gradient if _spec.is_gradient_like(spec, x, w) else _forward
    x = _pad_last(x, blocks.pad, -(x.shape[-1] + blocks.pad) % blocks.inputs)
    x = x.reshape(*x.shape[:-1], -1, blocks.inputs)
    return lax.slice_in_dim(form(x, w, spec, blocks, convolve), 0, shape[-1], axis=-1)


def _forward(x, w, spec, blocks, convolve):
    images, outputs = x.shape[0], w.shape[0]
    x = jnp.moveaxis(x, -1, 2)  # (N, G I, M, *n, b)
    x = x.reshape(images, -1, *x.shape[3:])
    matrix = with_ones("oi...t,tdml->olim...d", w, blocks.band(w.dtype))
    matrix = matrix.reshape(outputs * blocks.length, -1, *matrix.shape[4:])
    y = convolve(x, matrix, _over_blocks(spec, x, blocks))
    y = jnp.moveaxis(y.reshape(images, outputs, blocks.length, *y.shape[2:]), 2, -1)
    return y.reshape(*y.shape[:-2], -1)


def _weight_gradient(x, w, spec, blocks, convolve):
    batch, outputs, dtype = x.shape[0], w.shape[0], x.dtype
    sum_dtype = _spec.sum_dtype(dtype, spec)
    x = jnp.moveaxis(x, -1, 1)  # (N, M, G I, *n, b)
    x = x.reshape(-1, *x.shape[2:])
    w = _pad_last(w, 0, blocks.number * blocks.length - w.shape[-1])
    w = jnp.moveaxis(w.reshape(*w.shape[:-1], blocks.number, blocks.length), -1, 1)  # (G O, L, I, *k, b)
    w = w.reshape(-1, *w.shape[2:])
    y = convolve(x, w, _over_blocks(spec, x, blocks)._replace(out_dtype=sum_dtype))
    y = y.reshape(batch, blocks.inputs, outputs, blocks.length, *y.shape[2:])
    y = with_ones("nmol...d,tdml->no...t", y, blocks.band(sum_dtype))
    return y.astype(spec.out_dtype or dtype)


def _over_blocks(spec, x, blocks):
    high = blocks.number + blocks.reach - 1 - blocks.front - x.shape[-1]
    last = {"stride": 1, "padding": (blocks.front, high), "lhs_dilation": 1, "rhs_dilation": 1}
    return spec._replace(**{name: (*getattr(spec, name)[:-1], value) for name, value in last.items()})


def _pad_last(a: jax.Array, low: int, high: int) -> jax.Array:
    return lax.pad(a, jnp.zeros((), a.dtype), [(0, 0, 0)] * (a.ndim - 1) + [(low, high, 0)])


def unsupported(spec, x, w) -> str | None:
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    size = _blocks(spec, x, w).matrix_size
    return f"a matrix of {size} elements, more than {MAX_MATRIX}" if size > MAX_MATRIX else None


def multiply_adds(spec, x, w):
    blocks, counts = _blocks(spec, x, w), spec.output_shape(x.shape, w.shape)
    rest = math.prod(counts[:-1]) * math.prod(w.shape[1:-1])  # along all other axes
    return rest * blocks.number * blocks.length * blocks.reach * blocks.inputs


def pays(p) -> bool:
    """For images of one channel or a few, and for depthwise layers with windows of many taps.

    The estimates for a v5e in microseconds: the Sobel pair on 1080x1920 takes 207 instead of 7126, its weight gradient
    98 instead of 5544, and 129 taps on 160000 elements 83 instead of 3505. Depthwise 31x31 takes 131 instead of 2017,
    15x15 on 8 images of 64x56x56 124 instead of 946, but 7x7 81 instead of 209. The weight gradient of 15x15 takes 105
    instead of 162, and XLA does not compile that of 31x31 within a minute.
    """
    if not p.is_float or p.spec.dims > 3 or p.w.shape[-1] == 1:
        return False
    each = max(p.batch if p.gradient_like else p.in_channels, p.out_channels)
    if p.groups * each <= MAX_IMAGE_CHANNELS:
        return p.taps > 1 and p.positions > 1 and p.input_positions >= 256
    return each <= 2 and (p.positions >= 400 if p.gradient_like else p.taps >= 196)


ALGORITHM = Rewrite(
    "toeplitz",
    "blocks of a row as channels, with the kernel as a banded matrix",
    run,
    unsupported,
    multiply_adds,
    rank=4,
    is_local=never_local,
)
