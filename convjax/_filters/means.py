"""Sums of many neighbours along an axis, in a few passes however many neighbours there are.

The sum of k = q m + r neighbours is the sum of q sums of m neighbours each, m apart, and of the r elements after them:

    S_k[i] = S_m[i] + S_m[i + m] + ... + S_m[i + (q - 1) m] + x[i + q m] + ... + x[i + k - 1]

So a window of 1001 takes three passes of 7, 11 and 13 terms. A sum contains only elements of its own window. So a NaN
reaches only the windows that hold it, and rounding errors do not accumulate along the line. With a running sum, a NaN
spreads and errors accumulate.
"""

from functools import lru_cache

import jax
from jax import lax

from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all

MAX_TERMS_PER_PASS = 16
PASS_COST_IN_TERMS = 12  # reading and writing an array once more costs as much as this many terms


def window_sums(x: jax.Array, size: int, axis: int) -> jax.Array:
    """y[i] = sum of x[i : i + size] along an axis; the result is size - 1 elements shorter."""
    count = x.shape[axis] - size + 1

    def shifted(a: jax.Array, start: int) -> jax.Array:
        return lax.slice_in_dim(a, start, start + count, axis=axis)

    parts = _part_count(size)
    if parts == 1:
        return add_all([shifted(x, j) for j in range(size)])
    each, rest = divmod(size, parts)
    sums = xla_cpu.fusion_barrier(window_sums(x, each, axis))
    terms = [shifted(sums, j * each) for j in range(parts)]
    return add_all(terms + [shifted(x, size - rest + j) for j in range(rest)])


def _part_count(size: int) -> int:
    """How many equal sums a sum is divided into. 1 means that it takes a single pass."""
    return _cheapest_division(size)[1]


@lru_cache(maxsize=4096)
def _cheapest_division(size: int) -> tuple[int, int]:
    """The lowest cost of a sum, in terms, and how many equal sums it is then divided into."""
    if size <= MAX_TERMS_PER_PASS:
        return PASS_COST_IN_TERMS + size, 1

    def cost(parts: int) -> int:
        each, rest = divmod(size, parts)
        return _cheapest_division(each)[0] + PASS_COST_IN_TERMS + parts + rest

    return min((cost(parts), parts) for parts in range(2, MAX_TERMS_PER_PASS + 1))
