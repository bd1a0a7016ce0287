"""Fourier transforms: fast lengths, and the transform itself."""

import math
from collections.abc import Sequence
from functools import lru_cache

import jax
from jax import lax


@lru_cache(maxsize=4096)
def fast_length(n: int) -> int:
    """The least product of powers of 2, 3, 5, 7 and 11 that is no less than n: FFT libraries are fast at such."""
    best, odd = 1 << max(n - 1, 1).bit_length(), [1]
    for prime in (3, 5, 7, 11):
        for f in odd:  # the list grows during the loop
            if f * prime < best:
                odd.append(f * prime)
    return min(best, *(f << max(-(-n // f) - 1, 0).bit_length() for f in odd))


def transform(x: jax.Array, kind: str, lengths: Sequence[int]) -> jax.Array:
    """`lax.fft`, without an axis of one element before the transformed ones.

    Behind a gather of the partitioner's, XLA's CPU compiler lets the order of such axes in memory be any, and its FFT
    then refuses to run (jax 0.10.2 and 0.12.0).
    """
    lead, rest = x.shape[: -len(lengths)], x.shape[-len(lengths) :]
    images = math.prod(lead)
    y = lax.fft(x.reshape(*[images] * (images > 1), *rest), kind, lengths)
    return y.reshape(*lead, *y.shape[y.ndim - len(lengths) :])
