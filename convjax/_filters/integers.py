"""Correlations of integer images, rounded step by step as SciPy rounds them.

SciPy sums in float64 and rounds the sum towards zero. If a sum is near a whole number, its last bit decides which whole
number results. So each product and each sum here is rounded as SciPy rounds it, and in SciPy's order. Along a line,
symmetric weights multiply the sum of two elements, antisymmetric weights multiply their difference, and for all other
weights the sum begins with the last one.

Without 64-bit types a number is a pair of float32, high + low, of about 48 bits (T. J. Dekker, "A floating-point
technique for extending the available precision", 1971). That is precise enough except for sums that only SciPy's own
rounding decides: a sum that is a whole number to 43 bits is taken to be that number.
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

TERMS_PER_STEP = 24  # products that a step of a loop adds; a sum of up to twice as many products is not a loop
WEIGHT_TOLERANCE = float(np.finfo(np.float64).eps)  # SciPy's tolerance: for weights to count as 0 or as equal
WHOLE_TOLERANCE = 2.0**-43  # for a pair to count as a whole number, relative to its size

FloatParts = tuple[jax.Array, ...]  # one array of float64, or two arrays of float32 whose sum is the number
Offset = tuple[int, ...]
Term = tuple[
    Offset, Offset | None, int
]  # one or two elements, added first, and the index of the weight that multiplies them


def split_weights(weights: Any) -> FloatParts:
    """Weights as float parts. A second part keeps the digits of NumPy arrays that float32 cannot hold."""
    if isinstance(weights, jax.Array):
        first, *others = _part_dtypes()
        return weights.astype(first), *[arrays.to_device(np.zeros(weights.shape, dtype)) for dtype in others]
    parts: list[Any] = []
    rest = np.asarray(weights, np.float64)
    for dtype in _part_dtypes():
        parts.append(rest.astype(dtype))
        rest = rest - parts[-1]
    return tuple(parts)


def symmetry_sign(weights: Any) -> int | None:
    """1 for symmetric weights of a line, -1 for antisymmetric weights, 0 for others. The middle weight does not count.

    None for a JAX array of odd length, because its values are known only when the program runs.
    """
    if weights.shape[0] % 2 == 0:
        return 0
    if isinstance(weights, jax.Array):
        return None
    same, opposite = _symmetries(np.asarray(weights))
    return 1 if same else -1 if opposite else 0


def _symmetries(weights: Any) -> list[Any]:
    """Whether a line of weights is symmetric, and whether it is antisymmetric. The middle weight does not count."""
    half = weights.shape[0] // 2
    left, right = weights[:half], weights[::-1][:half]
    return [(abs(left - sign * right) <= WEIGHT_TOLERANCE).all() for sign in (1, -1)]


def correlate_line(
    x: jax.Array, weights: FloatParts, cval: Any, axis: int, border: str, reach: tuple[int, int], symmetry: int | None
):
    """sum_j x[i + j - low] weights[j] along an axis, in the dtype of x."""
    size, pads = weights[0].shape[0], tuple(reach if i == axis else (0, 0) for i in range(x.ndim))
    padded = _pad(x, cval, border, pads)

    def summed(sign: int) -> FloatParts:
        at = lambda j: tuple(j * (i == axis) for i in range(x.ndim))  # noqa: E731
        middle = size // 2 if sign else size - 1
        others = [(at(j), at(size - 1 - j) if sign else None, j) for j in range(middle)]
        return _sum_terms(padded, weights, [(at(middle), None, middle), *others], sign, x.shape)

    if symmetry is not None:
        return _parts_to_integer(summed(symmetry), x.dtype)
    same, opposite = _symmetries(weights[0])
    chosen = jnp.where(same, 1, jnp.where(opposite, 2, 0))
    return _parts_to_integer(lax.switch(chosen, [lambda sign=sign: summed(sign) for sign in (0, 1, -1)]), x.dtype)


def correlate_window(x: jax.Array, weights: FloatParts, cval: Any, border: str, pads: Pads) -> jax.Array:
    """sum_j x[i + j - low] weights[j] over all axes, in the dtype of x."""
    padded, shape = _pad(x, cval, border, pads), weights[0].shape
    terms = [(at, None, n) for n, at in enumerate(itertools.product(*map(range, shape)))]
    weights = tuple(jnp.where(jnp.abs(weights[0]) > WEIGHT_TOLERANCE, w, 0).reshape(-1) for w in weights)
    return _parts_to_integer(_sum_terms(padded, weights, terms, 0, x.shape), x.dtype)


def _pad(x: jax.Array, cval: Any, border: str, pads: Pads) -> FloatParts:
    number = _to_parts(x)
    fills = [cval, *[None] * (len(number) - 1)]
    return tuple(
        xla_cpu.fusion_barrier(boundary.extend(part, border, pads, fill, xla_cpu.fusion_barrier))
        for part, fill in zip(number, fills, strict=True)
    )


def _sum_terms(
    x: FloatParts, weights: FloatParts, terms: Sequence[Term], sign: int, shape: tuple[int, ...]
) -> FloatParts:
    """The sum of the terms, added in order. `sign` multiplies the second element of each term."""

    def product(first, second, weight: FloatParts) -> FloatParts:
        value = tuple(lax.dynamic_slice(part, first, shape) for part in x)
        if second is not None:
            value = _add(value, tuple(sign * lax.dynamic_slice(part, second, shape) for part in x))
        return _multiply(value, weight)

    def add_unrolled(total: FloatParts, some: Sequence[Term]) -> FloatParts:
        for first, second, n in some:
            total = _add(total, product(first, second, tuple(w[n] for w in weights)))
        return total

    first, second, n = terms[0]
    total = product(first, second, tuple(w[n] for w in weights))
    steps = (len(terms) - 1) // TERMS_PER_STEP if len(terms) > 2 * TERMS_PER_STEP else 0
    looped, rest = terms[1 : 1 + steps * TERMS_PER_STEP], terms[1 + steps * TERMS_PER_STEP :]
    if looped:
        rows = [[*a, *(b or ()), n] for a, b, n in looped]
        table = jnp.asarray(np.array(rows).reshape(steps, TERMS_PER_STEP, -1), jnp.int32)
        dims = len(shape)

        def add_step(n, total):
            for row in table[xla_cpu.parallel_index(n)]:
                a, b = [row[i] for i in range(dims)], [row[i] for i in range(dims, row.size - 1)]
                total = _add(total, product(a, b or None, tuple(w[row[-1]] for w in weights)))
            return total

        total = lax.fori_loop(0, steps, add_step, total)
    return add_unrolled(total, rest)


# ---- means ----


def has_exact_mean(dtype: Any, size: int) -> bool:
    """Whether a sum of `size` integers can be computed exactly."""
    return bool(jnp.issubdtype(dtype, jnp.integer)) and (
        _is_sum_in_range(dtype, size) or (dtype.itemsize == 4 and size < 1 << 15)
    )


def _is_sum_in_range(dtype: Any, size: int) -> bool:
    """Whether the widest integer type can hold the sum of any `size` integers of the dtype."""
    return size * max(int(jnp.iinfo(dtype).max), -int(jnp.iinfo(dtype).min)) <= jnp.iinfo(jnp.result_type(int)).max


def mean(x: jax.Array, size: int, sums: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """sums(x) / size, rounded towards zero as in SciPy."""
    if _is_sum_in_range(x.dtype, size):
        total = sums(x.astype(jnp.result_type(int)))
        return lax.div(total, jnp.asarray(size, total.dtype))
    # If there are only 32 bits: long division of the sums of the upper and lower halves, rounded down at each step.
    upper, lower = _split_halves(x)
    high, low = sums(upper.astype(jnp.int32)), sums(lower.astype(jnp.uint32))
    quotient = high // size
    below = ((high - quotient * size).astype(jnp.uint32) << 16) + low
    last = lax.div(below, np.uint32(size))
    floor = (quotient.astype(jnp.uint32) << 16) + last
    cut_up = (floor.astype(x.dtype) < 0) & (below != last * np.uint32(size))
    return jnp.where(cut_up, floor + 1, floor).astype(x.dtype)


def _split_halves(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The upper and the lower 16 bits of 32-bit integers: x = 2^16 upper + lower.

    This does not use a shift. XLA's CPU compiler may give the function of a shift and the loop around it the same name,
    so that the function calls itself until the process crashes (jax 0.10.2).
    """
    lower, upper = jnp.moveaxis(lax.bitcast_convert_type(x, jnp.uint16), -1, 0)
    return (lax.bitcast_convert_type(upper, jnp.int16) if jnp.issubdtype(x.dtype, jnp.signedinteger) else upper), lower


# ---- numbers ----


def _part_dtypes() -> tuple[Any, ...]:
    wide = jnp.result_type(float)
    return (wide,) if wide == np.float64 else (np.float32, np.float32)


def _to_parts(x: jax.Array) -> FloatParts:
    dtype, *more = _part_dtypes()
    if not more:
        return (x.astype(dtype),)
    if x.dtype.itemsize < 4:
        return x.astype(dtype), jnp.zeros(x.shape, dtype)
    upper, lower = _split_halves(x)
    return _renormalise(upper.astype(dtype) * 65536, lower.astype(dtype))


def _add(a: FloatParts, b: FloatParts) -> FloatParts:
    if len(a) == 1:
        return (a[0] + b[0],)
    high = a[0] + b[0]
    behind = high - a[0]
    error = (a[0] - (high - behind)) + (b[0] - behind)
    return _renormalise(high, error + (a[1] + b[1]))


def _multiply(a: FloatParts, w: FloatParts) -> FloatParts:
    high = _round_product(a[0] * w[0])
    if len(a) == 1:
        return (high,)
    a_high, w_high = (_upper_bits(v[0]) for v in (a, w))
    a_low, w_low = a[0] - a_high, w[0] - w_high
    error = ((a_high * w_high - high) + a_high * w_low + a_low * w_high) + a_low * w_low
    return _renormalise(high, error + (a[0] * w[1] + a[1] * w[0]))


def _renormalise(high: jax.Array, low: jax.Array) -> FloatParts:
    total = high + low
    return total, low - (total - high)


def _round_product(product: jax.Array) -> jax.Array:
    """The product itself, rounded before it is added to anything.

    XLA's CPU compiler fuses a product and the sum that reads it into one operation, which rounds only once. A clamp
    between them prevents that, whereas an optimization barrier does not (jax 0.10.2).
    """
    most = jnp.asarray(jnp.finfo(product.dtype).max / 2, product.dtype)
    return lax.clamp(-most, product, most)


def _upper_bits(a: jax.Array) -> jax.Array:
    """The upper 12 of the 24 bits of a float32: products of two such halves are exact."""
    bits = lax.bitcast_convert_type(a, jnp.uint32) & np.uint32(0xFFFFF000)
    return lax.bitcast_convert_type(bits, jnp.float32)


def _parts_to_integer(number: FloatParts, dtype: Any) -> jax.Array:
    """Rounded towards zero. A number that the dtype cannot hold wraps around, as in C."""
    if len(number) == 1:
        return to_integer(number[0], dtype)
    negative = number[0] < 0
    high, low = (jnp.where(negative, -part, part) for part in number)
    floor = jnp.floor(high)
    held = floor - jnp.floor(floor * 2.0**-32) * 2.0**32
    more = jnp.floor((high - floor) + low + WHOLE_TOLERANCE * jnp.maximum(high, 1))  # -1, 0 or 1
    size = held.astype(jnp.uint32) + more.astype(jnp.int32).astype(jnp.uint32)
    return jnp.where(negative, -size, size).astype(dtype)


def to_integer(y: jax.Array, dtype: Any) -> jax.Array:
    """Real floats as integers, rounded towards zero. Integers of 8 and 16 bits wrap around, as in C."""
    # XLA clips a float that the integer type cannot hold, but wraps an integer. So the widest integer comes first.
    wide = y.astype(int)
    if jnp.iinfo(dtype).max > jnp.iinfo(wide.dtype).max:
        return jnp.where(y < 0, wide.astype(dtype), y.astype(dtype))
    return wide.astype(dtype)
