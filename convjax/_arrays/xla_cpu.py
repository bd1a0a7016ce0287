"""What XLA's CPU compiler must be told so that it makes the fast program: each trick, and the behaviour that it avoids.

None of them changes a value. On other platforms each is a plain barrier, or nothing. An algorithm passes the machine
that it is lowered for. Code outside the primitive has none, and the platform decides when the program is lowered.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from convjax._arrays.sharding import mark_varying, varying_axes
from convjax._machine import Machine, generic

# XLA's runtime gives the second half of what is ready to another core only if that is more than 8 operations.
SEPARATOR_OPERATIONS = 10


def _on_cpu(on_cpu: Callable, otherwise: Callable, machine: Machine | None, *operands):
    """on_cpu(*operands) or otherwise(*operands), by the platform of the machine, or else of the program."""
    if machine is None:
        return lax.platform_dependent(*operands, cpu=on_cpu, default=otherwise)
    return (on_cpu if machine.platform == "cpu" else otherwise)(*operands)


def _record(machine: Machine | None) -> Machine:
    return generic("cpu") if machine is None else machine


def fusion_barrier(x: jax.Array, machine: Machine | None = None, reuse_buffer: bool = False) -> jax.Array:
    """x itself, computed before what reads it: loops are not fused across it.

    XLA's CPU compiler before jax 0.12 drops `optimization_barrier` before it fuses, but not a call that it may not
    inline. With `reuse_buffer` the barrier is a branch that is never taken. That takes twice as long to compile, but
    what reads x may write to its memory, as a running sum does.
    """
    if _record(machine).barriers_survive_fusion:
        return lax.optimization_barrier(x)
    return _on_cpu(_branch if reuse_buffer else _call, lax.optimization_barrier, machine, x)


def _branch(x: jax.Array) -> jax.Array:
    # XLA copies what passes through the second branch, so the one that is never taken is the first. A copy costs
    # nothing to compile.
    return lax.cond(lax.optimization_barrier(False), jnp.copy, lambda x: x, x)


def _call(x: jax.Array) -> jax.Array:
    with set_xla_metadata(inlineable="false"):
        return _identity(x)


@jax.jit
def _identity(x: jax.Array) -> jax.Array:
    return lax.optimization_barrier(x)


def materialized(x: jax.Array) -> jax.Array:
    """x itself, whose last axis was moved there, stored in that order before what reads it.

    The barrier is on a matrix of two axes: from jax 0.12 on, XLA copies an array of more axes in the old order first.
    """
    return lax.optimization_barrier(x.reshape(-1, x.shape[-1])).reshape(x.shape)


def isolate(machine: Machine | None, make, *operands, other=None):
    """make(*operands) as a branch, whose operands live until it ends and whose temporaries do not live longer.

    The branch that is never taken returns other(*operands). By default it returns placeholders, which cost nothing to
    compile.
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
    return _on_cpu(taken, make, machine, *operands)


def run_concurrently(machine: Machine, products, *operands) -> tuple[list[jax.Array], list[jax.Array]]:
    """The arrays products(*operands), half of them computed on another core, and tokens for `depends_on`.

    XLA's CPU runtime runs independent operations at the same time. But it stores results where dead operands were, and
    then one result must wait for the other: the branch of `isolate` keeps the operands alive. And it gives the second
    half of what is ready to another core only if that is more than 8 operations: copies of a zero, which cost nothing,
    stand between the two halves.
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
    # Zeros in the place of products would be kernels to compile. The same products in the other order are not.
    other = swapped if shapes[:half] == shapes[half:] else None
    first, tokens, second = isolate(machine, separated, zero, *operands, other=other)
    return [*first, *second], tokens


def depends_on(tokens: list[jax.Array], y: jax.Array) -> jax.Array:
    """y, made to depend on the tokens of `run_concurrently`, so that XLA cannot reuse a buffer early."""
    return y * (1 + sum(tokens[1:], tokens[0])).astype(y.dtype) if tokens else y


def parallel_index(n: jax.Array, machine: Machine | None = None) -> jax.Array:
    """The index n of a loop, made so that the loop is shared among cores.

    XLA's CPU compiler makes one kernel, for one core, of every loop that it takes for small. From jax 0.12 on it takes
    every loop for small unless it sorts.
    """
    if not _record(machine).barriers_survive_fusion:
        return n
    return _on_cpu(lambda n: lax.sort(jnp.stack([n, n]))[0], lambda n: n, machine, n)


def gemm_is_single_core(machine: Machine, rows: int, columns: int, depth: int) -> bool:
    """Whether each matrix product of a batch runs on one core while the others wait, as on a CPU before jax 0.11.

    XLA's library for products, YNNPACK, cuts a product into blocks of at least 64 by 64 whose two sides times the depth
    come to 2^16 or more. It cuts a tall matrix along the tall side, where the last block is what is left over. It runs
    the products of a batch one after the other.
    """
    tall = max(rows, columns) > 4 * min(rows, columns)
    cost = (rows + columns) * min(depth, 1024)
    if machine.batched_gemm_is_parallel or machine.cores == 1:
        return False
    return max(rows, columns) <= 64 or cost < 2**16 * (2 if tall else 1.5)


def as_bits(x: jax.Array) -> jax.Array:
    """x as the operand of a loop, with bfloat16 as its bits: XLA's CPU loops hold no bfloat16, and would convert all of
    it to float32 first. `from_bits` converts in the loop."""
    return lax.bitcast_convert_type(x, jnp.uint16) if x.dtype == jnp.bfloat16 else x


def from_bits(x: jax.Array, stored_dtype, dtype) -> jax.Array:
    """A part of what `as_bits` made, converted to the dtype to sum in. A bfloat16 is the upper half of a float32."""
    if stored_dtype != jnp.bfloat16:
        return x.astype(dtype)
    return lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, jnp.float32).astype(dtype)
