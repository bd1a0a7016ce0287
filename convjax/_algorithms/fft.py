"""The convolution theorem: transform input and kernel, multiply, transform back.

It is for kernels so large that transforms cost less than their taps. The length of each axis is that of the padded
input, rounded up to a product of small primes. Elements that wrap around fall on positions that are not kept. A long
1-D signal is cut into overlapping blocks (overlap-save), so that its transforms stay in cache.

Rounding is relative to the largest result, not to each one, and a NaN or an infinity spreads over its whole block.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _taps
from convjax._algorithms.algorithm import Kernel, never_local, reason_if_input_is_dilated
from convjax._arrays import windows
from convjax._arrays.fourier import fast_length, transform
from convjax._arrays.sums import add_all
from convjax._machine import Machine
from convjax._spec import extent


def _lengths(spec, x, w) -> tuple[tuple[int, ...], int]:
    """The length of the transform along each axis, and how many blocks a single axis is cut into."""
    size = [extent(k, r) for k, r in zip(w.shape[2:], spec.rhs_dilation, strict=True)]
    whole = [n + low + high for n, (low, high) in zip(x.shape[2:], spec.padding, strict=True)]
    lengths = tuple(fast_length(n) for n in whole)
    if spec.dims > 1 or size[0] > whole[0] // 8:
        return lengths, 1
    # A block of f elements takes f log f work for f - size + 1 positions, so about eight times the kernel is best.
    length = fast_length(max(8 * size[0], 1024))
    return (length,), -(-(whole[0] - size[0] + 1) // (length - size[0] + 1))


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    sum_dtype, groups, dims = _spec.sum_dtype(x.dtype, spec), spec.groups, spec.dims
    (lengths, blocks), dtype = _lengths(spec, x, w), x.dtype
    size = [extent(k, r) for k, r in zip(w.shape[2:], spec.rhs_dilation, strict=True)]
    x, zero = x.astype(sum_dtype), jnp.zeros((), sum_dtype)
    w = lax.pad(w.astype(sum_dtype), zero, [(0, 0, 0)] * 2 + [(0, 0, r - 1) for r in spec.rhs_dilation])
    w = lax.pad(w, zero, [(0, 0, 0)] * 2 + [(0, f - k, 0) for f, k in zip(lengths, size, strict=True)])
    whole = [n + low + high for n, (low, high) in zip(x.shape[2:], spec.padding, strict=True)]
    step = lengths[0] - size[0] + 1
    ends = lengths if blocks == 1 else ((blocks - 1) * step + lengths[0],)
    x = _taps.pad(x, [(low, high + f - n) for (low, high), f, n in zip(spec.padding, ends, whole, strict=True)])
    x = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    if blocks > 1:  # the blocks join the batch
        x = jnp.moveaxis(windows.windows(x, 3, lengths[0], step, 1, blocks), 4, 1)
        x = x.reshape(x.shape[0] * blocks, *x.shape[2:])

    real = not jnp.issubdtype(sum_dtype, jnp.complexfloating)
    kinds = ("RFFT", "IRFFT") if real else ("FFT", "IFFT")
    x = transform(x, kinds[0], lengths)
    # A correlation: the conjugate transform of conj(w), which for a real w is w.
    w = w if real else jnp.conj(w)
    w = jnp.conj(transform(w, kinds[0], lengths)).reshape(1, groups, -1, *w.shape[1:2], *x.shape[3:])
    y = _sum_over_channels(x, w)
    y = transform(y, kinds[1], lengths)
    y = y.reshape(y.shape[0], shape[1], *y.shape[3:])
    if blocks > 1:
        y = y[..., :step].reshape(shape[0], blocks, shape[1], step)
        y = y.swapaxes(1, 2).reshape(shape[0], shape[1], blocks * step)
    stop = [(m - 1) * s + 1 for m, s in zip(shape[2:], spec.stride, strict=True)]
    y = lax.slice(y, [0] * (dims + 2), (*shape[:2], *stop), (1, 1, *spec.stride))
    return y.astype(spec.out_dtype or dtype)


def _sum_over_channels(x, w):
    if w.shape[3] <= 8:
        return add_all([x[:, :, None, i] * w[:, :, :, i] for i in range(w.shape[3])])
    return jnp.einsum("ngi...,goi...->ngo...", x, w[0])


def unsupported(spec, x, w) -> str | None:
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return f"{x.dtype} is exact, and the FFT rounds"
    if spec.dims > 3:
        return f"{spec.dims} spatial dimensions, more than the 3 of lax.fft"
    return reason_if_input_is_dilated(spec)


def multiply_adds(spec, x, w):
    """Real multiply-adds. A complex product counts as 4, and a transform of n real numbers as 2 n log2 n."""
    lengths, blocks = _lengths(spec, x, w)
    n = math.prod(lengths)
    transforms = blocks * (x.shape[0] * (x.shape[1] + w.shape[0])) + w.shape[0] * w.shape[1]
    return int(2 * n * math.log2(n)) * transforms + 2 * n * blocks * x.shape[0] * w.shape[0] * w.shape[1]


def error(spec, x, w):
    """About log2 n roundings in the transform and as many in its inverse, with a constant (N. Higham, Accuracy and
    Stability of Numerical Algorithms, theorem 24.2)."""
    return math.ceil(6 * math.log2(math.prod(_lengths(spec, x, w)[0]))) + w.shape[1]


def pays(p) -> bool:
    """For kernels of many taps. It must be faster by a margin, because the FFT rounds differently and spreads a NaN.

    63x63 on 512x512 takes 0.80 ms instead of 253. If many channels are summed, other algorithms perform up to 150
    multiply-adds in the time that the FFT takes for one.
    """
    if not p.is_float or p.taps <= 64:
        return False
    if p.in_channels == p.out_channels == 1 and not p.gradient_like:
        return p.multiply_add_ratio("fft") > 4
    # XLA's own convolution computes a vector of output channels in the time of one.
    smallest_ratio = 30 if p.in_channels > 4 else 12 if p.out_channels > p.machine.lanes else 1.5
    return p.positions > 64 and p.multiply_add_ratio("fft") > smallest_ratio


def pays_with_channels_last(p) -> bool:
    """As `pays`, but only with far fewer products, or few channels, if oneDNN computes the others.

    31x31 on 2 images of 64x56x56 takes 6.4 ms, and 3.0 by oneDNN. 51x51 on 2 images of 32x112x112 takes 8.9 and 13.
    """
    few = p.groups * p.out_channels < 16
    return pays(p) and (few or not p.has_onednn or p.multiply_add_ratio("fft") >= 12)


ALGORITHM = Kernel(
    "fft",
    "the convolution theorem, with fast lengths",
    run,
    unsupported,
    multiply_adds,
    error,
    "the norms of x and w",
    is_local=never_local,
)
