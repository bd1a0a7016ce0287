"""The zeros of a dilated input are stored, and the rest is a convolution without dilation.

This has as many multiply-adds as the definition. It pays for small groups if an algorithm computes these at the speed
of memory, because the phases of a dilated input are many small arrays.
"""

import jax
import jax.numpy as jnp
from jax import lax

from convjax._algorithms.algorithm import Rewrite, definition_multiply_adds
from convjax._machine import Machine

MAX_TAPS = 64
MAX_CHANNELS = 8  # of a group


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    zeros = [(0, 0, a - 1) for a in spec.lhs_dilation]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *zeros])
    return convolve(x, w, spec._replace(lhs_dilation=(1,) * spec.dims))


def unsupported(spec, x, w) -> str | None:
    return None if any(a > 1 for a in spec.lhs_dilation) else "the input is not dilated"


def pays(p) -> bool:
    """For the input gradients of strided layers with small groups, if oneDNN computes the rest.

    3x3, stride 2, 32 groups of 8 channels on 8 images of 56x56 takes 6.3 ms instead of 8.2, and with groups of 32
    channels on 14x14 it takes 2.6 instead of 1.8.
    """
    small = max(p.in_channels, p.out_channels) <= MAX_CHANNELS and p.groups > 1
    return small and p.input_dilated and p.taps <= MAX_TAPS and p.has_onednn


ALGORITHM = Rewrite(
    "zero_insertion",
    "a convolution of the input with its zeros stored",
    run,
    unsupported,
    definition_multiply_adds,
    rank=3,
)
