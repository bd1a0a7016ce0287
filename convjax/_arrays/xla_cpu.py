"""Tricks that make XLA's CPU compiler produce fast programs. Each says which behaviour of the compiler it avoids.

No trick changes a value. On other platforms each is a plain optimization barrier, or does nothing. An algorithm passes
the machine that it is lowered for. Code outside the primitive passes None, and the platform is then looked up at
lowering.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from convjax._arrays.sharding import mark_varying, varying_axes
from convjax._machine import Machine, generic

# Operations that `run_concurrently` puts between two halves. XLA's runtime gives half of the ready operations to
# another core only if they are more than 8.
SEPARATOR_OPERATIONS = 10


def on_cpu(function: Callable, otherwise: Callable, machine: Machine | None, *operands):
    """function(*operands) on a CPU, otherwise(*operands) on other platforms. Without a machine, lowering decides."""
    if machine is None:
        return lax.platform_dependent(*operands, cpu=function, default=otherwise)
    return (function if machine.platform == "cpu" else otherwise)(*operands)


def _machine_or_generic(machine: Machine | None) -> Machine:
    return generic("cpu") if machine is None else machine


def fusion_barrier(x: jax.Array, machine: Machine | None = None, reuse_buffer: bool = False) -> jax.Array:
    """Return x. Loops that compute x and loops that read it are not fused.

    XLA's CPU compiler before jax 0.12 drops `optimization_barrier` before it fuses, but not a call that it may not
    inline. With `reuse_buffer` the barrier is a conditional, of which one branch is never taken. That takes twice as
    long to compile, but an operation that reads x may write its result to the memory of x, as a running sum does.
    """
    if _machine_or_generic(machine).barriers_survive_fusion:
        return lax.optimization_barrier(x)
    return on_cpu(_branch if reuse_buffer else _call, lax.optimization_barrier, machine, x)


def _branch(x: jax.Array) -> jax.Array:
    # XLA copies x if the branches are in the other order. The copy in the branch that is never taken costs nothing to
    # compile.
    return lax.cond(lax.optimization_barrier(False), jnp.copy, lambda x: x, x)


def _call(x: jax.Array) -> jax.Array:
    with set_xla_metadata(inlineable="false"):
        return _identity(x)


@jax.jit
def _identity(x: jax.Array) -> jax.Array:
    return lax.optimization_barrier(x)


def transpose(x: jax.Array, permutation: tuple[int, ...], machine: Machine | None = None) -> jax.Array:
    """lax.transpose(x, permutation), in a loop of its own.

    XLA would make it in the loop of the elementwise operations before it, which then reads every operand with long
    strides. A sum of two arrays of 4x56x56x256, its relu, and the transposition that puts the last axis second take
    7.0 ms in that way, and 2.5 in this (5.1 and 1.1 with jax 0.12).
    """
    plain = partial(lax.transpose, permutation=permutation)
    alone = lambda x: plain(fusion_barrier(x, _machine_or_generic(machine)))  # noqa: E731
    return on_cpu(alone, plain, machine, x)


def materialized(x: jax.Array) -> jax.Array:
    """Return a transposed x that is stored in its new order of axes before anything reads it.

    The barrier is on a matrix of two axes. From jax 0.12 on, XLA would first copy an array of more axes in its old
    order.
    """
    return lax.optimization_barrier(x.reshape(-1, x.shape[-1])).reshape(x.shape)


def isolate(machine: Machine | None, make, *operands, other=None):
    """Return make(*operands), computed in a branch of a conditional.

    The operands stay in memory until the branch ends, and its temporaries are freed then. The branch that is never
    taken returns other(*operands), by default placeholders, which cost nothing to compile.
    """

    def placeholder(*operands):
        outputs, tree = jax.tree.flatten(jax.eval_shape(make, *operands))
        axes = frozenset().union(*map(varying_axes, jax.tree.leaves(operands)))

        def like(n, y):
            # Scalars must differ from one another and from the other branch's, or XLA merges them.
            if not y.shape:
                return jnp.asarray(n, y.dtype)
            same = [x for x in jax.tree.leaves(operands) if (x.size, x.dtype) == (y.size, y.dtype)]
            made = jnp.copy(same[0]).reshape(y.shape) if same else jnp.zeros(y.shape, y.dtype)
            return mark_varying(made, axes - varying_axes(made))

        return jax.tree.unflatten(tree, [like(n, y) for n, y in enumerate(outputs)])

    taken = lambda *operands: lax.cond(  # noqa: E731
        lax.optimization_barrier(False), other or placeholder, make, *operands
    )
    return on_cpu(taken, make, machine, *operands)


def run_concurrently(machine: Machine, products, *operands) -> tuple[list[jax.Array], list[jax.Array]]:
    """Return the arrays products(*operands), half of them computed on another core, and tokens for `depends_on`.

    XLA's CPU runtime runs independent operations at the same time, with two limits. It stores results in the memory of
    operands that are no longer needed, and then one result must wait for the other. So `isolate` keeps the operands in
    memory. It also gives half of the ready operations to another core only if there are enough of them. So
    `SEPARATOR_OPERATIONS` copies of a zero, which cost nothing, are put between the two halves.
    """
    shapes = [y.shape for y in jax.eval_shape(products, *operands)]
    half = len(shapes) // 2
    if not half:
        return products(*operands), []

    def separated(zero, *operands):
        made = products(*operands)
        return made[:half], [zero] * SEPARATOR_OPERATIONS, made[half:]

    def swapped(zero, *operands):
        first, copies, second = separated(zero, *operands)
        return second, [jnp.asarray(n, zero.dtype) for n in range(len(copies))], first

    zero = lax.convert_element_type(lax.optimization_barrier(False), jnp.int32)
    # The branch that is never taken returns the products in the other order. They are compiled already. Zeros of their
    # shapes would be further functions to compile.
    other = swapped if shapes[:half] == shapes[half:] else None
    first, tokens, second = isolate(machine, separated, zero, *operands, other=other)
    return [*first, *second], tokens


def depends_on(tokens: list[jax.Array], y: jax.Array) -> jax.Array:
    """y, made to depend on the tokens of `run_concurrently`, so that XLA cannot reuse a buffer early."""
    return y * (1 + sum(tokens[1:], tokens[0])).astype(y.dtype) if tokens else y


def parallel_index(n: jax.Array, machine: Machine | None = None) -> jax.Array:
    """Return the index n of a loop, computed in a way that lets the loop run on all cores.

    XLA's CPU compiler compiles a loop that it considers small into a function for one core. From jax 0.12 on it
    considers every loop small unless it contains a matrix product, a sort or an FFT. So the index passes through a
    sort.
    """
    if not _machine_or_generic(machine).loops_are_single_core:
        return n
    return on_cpu(lambda n: lax.sort(jnp.stack([n, n]))[0], lambda n: n, machine, n)


def gemm_is_single_core(machine: Machine, dtype, rows: int, columns: int, depth: int) -> bool:
    """Whether each matrix product of a batch runs on one core while the others wait, as on a CPU before jax 0.11.

    YNNPACK, XLA's library for matrix products, cuts a product into blocks of at least 64 by 64 for which the sum of the
    two sides times the depth is at least 2^16. It cuts a tall matrix along its long side, and the last block is the
    remainder. It runs the products of a batch one after the other.
    """
    tall = max(rows, columns) > 4 * min(rows, columns)
    cost = (rows + columns) * min(depth, 1024)
    if machine.shares_batched_gemm(dtype) or machine.cores == 1:
        return False
    return max(rows, columns) <= 64 or cost < 2**16 * (2 if tall else 1.5)


def as_bits(x: jax.Array) -> jax.Array:
    """Return x for use in a loop: a bfloat16 array as uint16 bits, others unchanged.

    XLA's CPU loops do not support bfloat16, and would convert the whole array to float32 before the loop. `from_bits`
    converts inside the loop.
    """
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def from_bits(x: jax.Array, stored_dtype, dtype) -> jax.Array:
    """Convert a part of an array from `as_bits` to the dtype to sum in. A bfloat16 is the upper half of a float32."""
    if stored_dtype != jnp.bfloat16:
        return x.astype(dtype)
    return lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, jnp.float32).astype(dtype)
