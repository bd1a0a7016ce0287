"""Correlations of integer images, rounded step by step as SciPy rounds them.

SciPy sums in float64 and cuts the sum to a whole number. Where a sum is near a whole number, its last bit decides which
one that is. So each product and each sum here is rounded as SciPy's is and in its order: along a line, symmetric
weights multiply the sum of two elements, antisymmetric ones their difference, and other weights begin with the last.

Without 64-bit types a number is a pair of float32, high + low, of some 48 bits (T. J. Dekker, "A floating-point
technique for extending the available precision", 1971). That tells apart all sums but those that SciPy's own rounding
decides: a sum that is whole to 43 bits is taken for whole.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arguments import arrays
from convjax._arrays import boundary, xla_cpu
from convjax._spec import Pads

TERMS_AT_ONCE = 24  # products that are written out; of more, a loop takes so many at a time
NO_WEIGHT = float(np.finfo(np.float64).eps)  # SciPy's bound for a weight that is 0, and for two that are equal
WHOLE = 2.0**-43  # how near to a whole number a pair is whole, relative to its size

Number = tuple[jax.Array, ...]  # one array of float64, or two of float32, whose sum it is
Offset = tuple[int, ...]
Term = tuple[Offset, Offset | None, int]  # the elements that are added first, and the weight that multiplies them


def split(weights: Any) -> Number:
    """Weights as a number. NumPy arrays keep what float32 cannot hold."""
    if isinstance(weights, jax.Array):
        first, *others = _dtypes()
        return weights.astype(first), *[arrays.to_device(np.zeros(weights.shape, dtype)) for dtype in others]
    parts: list[Any] = []
    rest = np.asarray(weights, np.float64)
    for dtype in _dtypes():
        parts.append(rest.astype(dtype))
        rest = rest - parts[-1]
    return tuple(parts)


def symmetry(weights: Any) -> int | None:
    """1 for symmetric weights of a line, -1 for antisymmetric ones whatever the middle one is, 0 for others. None for
    arrays of JAX, whose values are known only when the program runs."""
    if weights.shape[0] % 2 == 0:
        return 0
    if isinstance(weights, jax.Array):
        return None
    same, opposite = _equal(np.asarray(weights))
    return 1 if same else -1 if opposite else 0


def _equal(weights: Any) -> list[Any]:
    """Whether the two sides of a line of weights are equal, and whether they are but for their signs."""
    half = weights.shape[0] // 2
    left, right = weights[:half], weights[::-1][:half]
    return [(abs(left - sign * right) <= NO_WEIGHT).all() for sign in (1, -1)]


def along(
    x: jax.Array, weights: Number, cval: Any, axis: int, border: str, reach: tuple[int, int], symmetry: int | None
):
    """sum_j x[i + j - low] weights[j] along an axis, in the dtype of x."""
    size, pads = weights[0].shape[0], tuple(reach if i == axis else (0, 0) for i in range(x.ndim))
    padded = _padded(x, cval, border, pads)

    def summed(sign: int) -> Number:
        at = lambda j: tuple(j * (i == axis) for i in range(x.ndim))  # noqa: E731
        middle = size // 2 if sign else size - 1
        others = [(at(j), at(size - 1 - j) if sign else None, j) for j in range(middle)]
        return _summed(padded, weights, [(at(middle), None, middle), *others], sign, x.shape)

    if symmetry is not None:
        return _whole(summed(symmetry), x.dtype)
    same, opposite = _equal(weights[0])
    chosen = jnp.where(same, 1, jnp.where(opposite, 2, 0))
    return _whole(lax.switch(chosen, [lambda sign=sign: summed(sign) for sign in (0, 1, -1)]), x.dtype)


def window(x: jax.Array, weights: Number, cval: Any, border: str, pads: Pads) -> jax.Array:
    """sum_j x[i + j - low] weights[j] over all axes, in the dtype of x."""
    padded, shape = _padded(x, cval, border, pads), weights[0].shape
    terms = [(at, None, n) for n, at in enumerate(itertools.product(*map(range, shape)))]
    weights = tuple(jnp.where(jnp.abs(weights[0]) > NO_WEIGHT, w, 0).reshape(-1) for w in weights)
    return _whole(_summed(padded, weights, terms, 0, x.shape), x.dtype)


def _padded(x: jax.Array, cval: Any, border: str, pads: Pads) -> Number:
    number = _number(x)
    fills = [cval, *[None] * (len(number) - 1)]
    return tuple(
        xla_cpu.fusion_barrier(boundary.extend(part, border, pads, fill, xla_cpu.fusion_barrier))
        for part, fill in zip(number, fills, strict=True)
    )


def _summed(x: Number, weights: Number, terms: Sequence[Term], sign: int, shape: tuple[int, ...]) -> Number:
    """The sum of the terms, one after the other. The second elements of a term are taken times `sign`."""

    def product(first, second, weight: Number) -> Number:
        value = tuple(lax.dynamic_slice(part, first, shape) for part in x)
        if second is not None:
            value = _plus(value, tuple(sign * lax.dynamic_slice(part, second, shape) for part in x))
        return _times(value, weight)

    def written(total: Number, some: Sequence[Term]) -> Number:
        for first, second, n in some:
            total = _plus(total, product(first, second, tuple(w[n] for w in weights)))
        return total

    first, second, n = terms[0]
    total = product(first, second, tuple(w[n] for w in weights))
    turns = (len(terms) - 1) // TERMS_AT_ONCE if len(terms) > 2 * TERMS_AT_ONCE else 0
    looped, rest = terms[1 : 1 + turns * TERMS_AT_ONCE], terms[1 + turns * TERMS_AT_ONCE :]
    if looped:
        rows = [[*a, *(b or ()), n] for a, b, n in looped]
        table = jnp.asarray(np.array(rows).reshape(turns, TERMS_AT_ONCE, -1), jnp.int32)
        dims = len(shape)

        def turn(n, total):
            for row in table[xla_cpu.parallel_index(n)]:
                a, b = [row[i] for i in range(dims)], [row[i] for i in range(dims, row.size - 1)]
                total = _plus(total, product(a, b or None, tuple(w[row[-1]] for w in weights)))
            return total

        total = lax.fori_loop(0, turns, turn, total)
    return written(total, rest)


# ---- means ----


def has_exact_mean(dtype: Any, size: int) -> bool:
    """Whether sums of so many integers can be made exactly."""
    return bool(jnp.issubdtype(dtype, jnp.integer)) and (_fits(dtype, size) or (dtype.itemsize == 4 and size < 1 << 15))


def _fits(dtype: Any, size: int) -> bool:
    """Whether the widest integer holds such a sum."""
    return size * max(int(jnp.iinfo(dtype).max), -int(jnp.iinfo(dtype).min)) <= jnp.iinfo(jnp.result_type(int)).max


def mean(x: jax.Array, size: int, sums: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """sums(x) / size, cut towards zero as SciPy cuts it."""
    if _fits(x.dtype, size):
        total = sums(x.astype(jnp.result_type(int)))
        return lax.div(total, jnp.asarray(size, total.dtype))
    # Of 32 bits where there are no more: long division of the sums of both halves, by floors.
    upper, lower = _halves(x)
    high, low = sums(upper.astype(jnp.int32)), sums(lower.astype(jnp.uint32))
    quotient = high // size
    below = ((high - quotient * size).astype(jnp.uint32) << 16) + low
    last = lax.div(below, np.uint32(size))
    floor = (quotient.astype(jnp.uint32) << 16) + last
    cut_up = (floor.astype(x.dtype) < 0) & (below != last * np.uint32(size))
    return jnp.where(cut_up, floor + 1, floor).astype(x.dtype)


def _halves(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The upper and the lower 16 bits of 32-bit integers: x is 2^16 times the one, and the other.

    Not by a shift. XLA's CPU compiler may give the function of a shift and the loop around it one name, and then it
    calls itself until the process ends (jax 0.10.2).
    """
    lower, upper = jnp.moveaxis(lax.bitcast_convert_type(x, jnp.uint16), -1, 0)
    return (lax.bitcast_convert_type(upper, jnp.int16) if jnp.issubdtype(x.dtype, jnp.signedinteger) else upper), lower


# ---- numbers ----


def _dtypes() -> tuple[Any, ...]:
    wide = jnp.result_type(float)
    return (wide,) if wide == np.float64 else (np.float32, np.float32)


def _number(x: jax.Array) -> Number:
    dtype, *more = _dtypes()
    if not more:
        return (x.astype(dtype),)
    if x.dtype.itemsize < 4:
        return x.astype(dtype), jnp.zeros(x.shape, dtype)
    upper, lower = _halves(x)
    return _renormalised(upper.astype(dtype) * 65536, lower.astype(dtype))


def _plus(a: Number, b: Number) -> Number:
    if len(a) == 1:
        return (a[0] + b[0],)
    high = a[0] + b[0]
    behind = high - a[0]
    error = (a[0] - (high - behind)) + (b[0] - behind)
    return _renormalised(high, error + (a[1] + b[1]))


def _times(a: Number, w: Number) -> Number:
    high = _rounded(a[0] * w[0])
    if len(a) == 1:
        return (high,)
    a_high, w_high = (_upper_half(v[0]) for v in (a, w))
    a_low, w_low = a[0] - a_high, w[0] - w_high
    error = ((a_high * w_high - high) + a_high * w_low + a_low * w_high) + a_low * w_low
    return _renormalised(high, error + (a[0] * w[1] + a[1] * w[0]))


def _renormalised(high: jax.Array, low: jax.Array) -> Number:
    total = high + low
    return total, low - (total - high)


def _rounded(product: jax.Array) -> jax.Array:
    """The product itself. XLA's CPU compiler contracts a product and a sum to one operation, which rounds once, if
    there is nothing between them; a barrier is nothing to it (jax 0.10.2)."""
    most = jnp.asarray(jnp.finfo(product.dtype).max / 2, product.dtype)
    return lax.clamp(-most, product, most)


def _upper_half(a: jax.Array) -> jax.Array:
    """The upper 12 of the 24 bits of a float32: products of two such halves are exact."""
    bits = lax.bitcast_convert_type(a, jnp.uint32) & np.uint32(0xFFFFF000)
    return lax.bitcast_convert_type(bits, jnp.float32)


def _whole(number: Number, dtype: Any) -> jax.Array:
    """Cut towards zero; what the dtype does not hold wraps around, as in C."""
    if len(number) == 1:
        return cut(number[0], dtype)
    negative = number[0] < 0
    high, low = (jnp.where(negative, -part, part) for part in number)
    floor = jnp.floor(high)
    held = floor - jnp.floor(floor * 2.0**-32) * 2.0**32
    more = jnp.floor((high - floor) + low + WHOLE * jnp.maximum(high, 1))  # -1, 0 or 1
    size = held.astype(jnp.uint32) + more.astype(jnp.int32).astype(jnp.uint32)
    return jnp.where(negative, -size, size).astype(dtype)


def cut(y: jax.Array, dtype: Any) -> jax.Array:
    """Real floats as integers, cut towards zero; those of 8 and 16 bits wrap around, as in C."""
    # XLA clips a float that the integer cannot hold, but wraps an integer: so by way of the widest one.
    wide = y.astype(int)
    if jnp.iinfo(dtype).max > jnp.iinfo(wide.dtype).max:
        return jnp.where(y < 0, wide.astype(dtype), y.astype(dtype))
    return wide.astype(dtype)
