"""Sums of many neighbours along an axis, in a few passes whatever their number.

The sum of q m + r neighbours is that of q sums of m, which are m apart, and of the r elements behind them:

    S_k[i] = S_m[i] + S_m[i + m] + ... + S_m[i + (q - 1) m] + x[i + q m] + ... + x[i + k - 1]

So a window of 1001 takes three passes of 7, 11 and 13 terms. No element is added to a sum whose window does not hold
it, so a NaN stays where it is seen, and rounding does not add up along the line. A running sum does neither.
"""

from functools import lru_cache

import jax
from jax import lax

from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all

MAX_TERMS = 16  # of one pass
PASS_COST_IN_TERMS = 12  # what it costs to read and write an array once more


def window_sums(x: jax.Array, size: int, axis: int) -> jax.Array:
    """y[i] = sum of x[i : i + size] along an axis; the result is size - 1 elements shorter."""
    count = x.shape[axis] - size + 1

    def shifted(a: jax.Array, start: int) -> jax.Array:
        return lax.slice_in_dim(a, start, start + count, axis=axis)

    parts = _parts(size)
    if parts == 1:
        return add_all([shifted(x, j) for j in range(size)])
    each, rest = divmod(size, parts)
    sums = xla_cpu.fusion_barrier(window_sums(x, each, axis))
    terms = [shifted(sums, j * each) for j in range(parts)]
    return add_all(terms + [shifted(x, size - rest + j) for j in range(rest)])


def _parts(size: int) -> int:
    """Into how many sums a sum is divided; 1 if it is taken at once."""
    return _cheapest(size)[1]


@lru_cache(maxsize=4096)
def _cheapest(size: int) -> tuple[int, int]:
    """The cost of a sum in terms, and into how many sums it is divided for that."""
    if size <= MAX_TERMS:
        return PASS_COST_IN_TERMS + size, 1

    def cost(parts: int) -> int:
        each, rest = divmod(size, parts)
        return _cheapest(each)[0] + PASS_COST_IN_TERMS + parts + rest

    return min((cost(parts), parts) for parts in range(2, MAX_TERMS + 1))
