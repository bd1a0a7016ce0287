"""The order in which the axes of images lie in memory, asked of XLA where an algorithm needs one.

Inside a compiled program an array has no order of its own: XLA assigns one, and copies where two operations want
different ones. A constraint says where such a copy stands. Without it, the order of a caller leaks into loops and
products that were written for the other.
"""

from collections.abc import Callable

import jax
from jax.experimental.layout import Layout, with_layout_constraint

from convjax._algorithms import _gemm
from convjax._arrays import xla_cpu
from convjax._machine import Machine


def channels_last(x: jax.Array) -> jax.Array:
    """(N, C, *n) to (N, *n, C).

    XLA removes this step if the caller transposed the array from that order, also through elementwise operations in
    between. A layout given to a custom call instead would not be removed at the ends of a program.
    """
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(y: jax.Array) -> jax.Array:
    """(N, *n, C) to (N, C, *n)."""
    return y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))


def contiguous(x: jax.Array) -> jax.Array:
    """Return x, whose axes lie in memory in their own order.

    This is for the lowering of the primitive alone. In a function that `jax.jit` traces, and returns the result of, the
    layouts of its other results become free, and jax 0.10 reads them wrongly.
    """
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))


def fusion_barrier(y: jax.Array, spec, machine: Machine) -> jax.Array:
    """`xla_cpu.fusion_barrier`, on an array whose axes have the order of the images in memory.

    What is passed to a call lies in the order of its axes, so XLA would make contiguous images of the others.
    """
    if spec.channels_last:
        return channels_first(xla_cpu.fusion_barrier(channels_last(y), machine))
    return xla_cpu.fusion_barrier(y, machine)


def with_contiguous_images(run: Callable[..., jax.Array], x: jax.Array, w: jax.Array, spec) -> jax.Array:
    """Return run(x, w), with contiguous images before and after it.

    The operands of a weight gradient are images whose batch and channels were swapped. The constraint is put before
    that swap, which an algorithm undoes.
    """
    if spec.hints.layer_weight != "result":
        return contiguous(run(contiguous(x), w))
    x, w = map(contiguous, _gemm.summed_axis_first(x, w, spec))
    return run(*_gemm.batch_and_channels_swapped(x, w, spec.groups))
