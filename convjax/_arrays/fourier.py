"""Fourier transforms: fast lengths, and the transform itself."""

import math
from collections.abc import Sequence
from functools import lru_cache

import jax
from jax import lax


@lru_cache(maxsize=4096)
def fast_length(n: int) -> int:
    """The smallest number from n on whose prime factors are at most 11. FFTs of such lengths are fast."""
    best, odd = 1 << max(n - 1, 1).bit_length(), [1]
    for prime in (3, 5, 7, 11):
        for f in odd:  # the list grows during the loop
            if f * prime < best:
                odd.append(f * prime)
    return min(best, *(f << max(-(-n // f) - 1, 0).bit_length() for f in odd))


def transform(x: jax.Array, kind: str, lengths: Sequence[int]) -> jax.Array:
    """`lax.fft` that works if an axis before the transformed ones has one element.

    After a gather that the partitioner inserts, XLA's CPU compiler may put such axes anywhere in the memory order, and
    its FFT then fails (jax 0.10.2 and 0.12.0). So all axes before the transformed ones are merged, or removed if they
    have one element.
    """
    lead, rest = x.shape[: -len(lengths)], x.shape[-len(lengths) :]
    images = math.prod(lead)
    y = lax.fft(x.reshape(*[images] * (images > 1), *rest), kind, lengths)
    return y.reshape(*lead, *y.shape[y.ndim - len(lengths) :])
