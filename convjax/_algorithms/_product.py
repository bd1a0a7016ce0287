"""The products that the algorithms have in common: of matrices, by oneDNN where that is faster, and with ones."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._arrays import onednn, xla_cpu
from convjax._machine import Machine

# Of 400 products of random sizes, by `python -m benchmarks.products`, oneDNN is 1.66 times as fast as XLA (2 cores of
# Zen 5; 2.3 in bfloat16), and slower in 47. Of those with a side below this limit, one in six is slower. Of the others
# it is one in thirteen.
MIN_SIDE = 16
MIN_MULTIPLY_ADDS = 1 << 18
# From rows of 2^21 bytes on, oneDNN falls back to code that is unsafe (jaxlib 0.10) or slow (0.12). Its sums are
# sequential, so long ones lose digits as well: 100,000 products err by 2e-5 of a typical result.
MAX_DEPTH = 1 << 17
MAX_SIDE = 1 << 20
# Sums over the rows of two matrices, by XLA (2 cores of Zen 3). 6272 rows of 512 and 128 take 6.0 ms if the former are
# transposed, and 6.6 if not, but 25088 rows of 64 and 256 take 7.0 and 6.2. In halves, 12544 rows of 384 and 96 take
# 6.8 ms instead of 7.4, but 3136 rows of 64 and 256 take 0.8 either way, and 50176 rows of 96 and 16 take 1.2.
MIN_TRANSPOSED_SIDE = 128
MIN_HALVED_ROWS, MIN_HALVED_SIDE = 12000, 48


def matmul(a, b, machine: Machine, precision=None, dtype=None, *, transpose_a: bool = False, transpose_b: bool = False):
    """numpy.matmul(a, b), summed in `dtype`, after the last two axes of a or of b are exchanged where it says so.

    The axes before the last two are batched, and broadcast.
    """
    batch, rows, depth, columns = _sizes(a, b, transpose_a, transpose_b)
    if is_onednn(batch, rows, depth, columns, a.dtype, dtype, machine):
        return by_onednn(a, b, dtype, transpose_a, transpose_b)
    return by_xla(a, b, precision, dtype, transpose_a, transpose_b)


def sum_over_rows(a, b, machine: Machine, precision=None, dtype=None) -> jax.Array:
    """a.T @ b, summed in `dtype`, for matrices of many rows.

    XLA transposes its left operand, so that is the one with fewer columns. 25088 rows of 256 and 64 take 6.5 ms instead
    of 10, and 50176 rows of 96 and 16 take 1.2 instead of 2.6.
    """
    (depth, rows), columns = a.shape, b.shape[1]
    if machine.platform != "cpu" or is_onednn((), rows, depth, columns, a.dtype, dtype, machine):
        return matmul(a, b, machine, precision, dtype, transpose_a=True)
    if min(rows, columns) >= MIN_TRANSPOSED_SIDE and not machine.batched_gemm_is_parallel:
        a = xla_cpu.fusion_barrier(a, machine)  # or elementwise operations would be computed column by column
        return by_xla(lax.optimization_barrier(a.T), b, precision, dtype, False, False)
    if rows > columns:
        y = sum_over_rows(b, a, machine, _spec.swap_precision(precision), dtype)
        return lax.optimization_barrier(y).T  # or XLA swaps the operands
    halves = 2 if depth >= MIN_HALVED_ROWS and rows >= MIN_HALVED_SIDE and depth % 2 == 0 else 1
    a, b = (v.reshape(halves, -1, v.shape[1]) for v in (a, b))
    return by_xla(a, b, precision, dtype, True, False).sum(0)


def with_ones(equation: str, a: jax.Array, ones: jax.Array) -> jax.Array:
    """jnp.einsum of `a` with zeros and ones, so precise that it only selects elements of `a`, or adds them.

    A TPU does that faster than it gathers elements, or transposes axes of few elements.
    """
    return jnp.einsum(equation, a, ones, precision=lax.Precision.HIGHEST)


def by_onednn(a, b, dtype, transpose_a: bool, transpose_b: bool) -> jax.Array:
    batch, rows, _, columns = _sizes(a, b, transpose_a, transpose_b)
    transposed = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    a, b = (_with_one_batched_axis(v, batch) for v in (a, b))
    shape = math.prod(batch), rows, columns
    y = onednn.call(onednn.MATMUL, shape, dtype or a.dtype, {"onednn_matmul_config": transposed}, a, b)
    return y.reshape(*batch, rows, columns)


def by_xla(a, b, precision, dtype, transpose_a: bool, transpose_b: bool) -> jax.Array:
    batch = _sizes(a, b, transpose_a, transpose_b)[0]
    a, b = (jnp.broadcast_to(v, (*batch, *v.shape[-2:])) for v in (a, b))
    dims = len(batch)
    contracted = (dims + (not transpose_a),), (dims + transpose_b,)
    return lax.dot_general(a, b, (contracted, (tuple(range(dims)),) * 2), precision, dtype)


def _sizes(a, b, transpose_a: bool, transpose_b: bool) -> tuple[tuple[int, ...], int, int, int]:
    """The batch, and the rows, the depth and the columns of the product."""
    rows, depth = a.shape[-2:][:: -1 if transpose_a else 1]
    return jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2]), rows, depth, b.shape[-2 if transpose_b else -1]


def _with_one_batched_axis(v: jax.Array, batch: tuple[int, ...]) -> jax.Array:
    """v with three axes, of which the first may be 1.

    Operands of different ranks end the process, and several batched axes of which some are broadcast make oneDNN write
    outside of its memory (jaxlib 0.10.2).
    """
    if math.prod(v.shape[:-2]) not in (1, math.prod(batch)):
        v = jnp.broadcast_to(v, (*batch, *v.shape[-2:]))
    return v.reshape(-1, *v.shape[-2:])


def is_onednn(batch, rows: int, depth: int, columns: int, dtype, sum_dtype, machine: Machine) -> bool:
    """Whether `matmul` is oneDNN's for these sizes."""
    if not machine.has_onednn(dtype) or sum_dtype not in (None, dtype, jnp.float32):
        return False
    large = math.prod(batch) * rows * depth * columns >= MIN_MULTIPLY_ADDS
    return large and min(rows, depth, columns) >= MIN_SIDE and depth <= MAX_DEPTH and max(rows, columns) <= MAX_SIDE
