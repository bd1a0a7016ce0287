"""The order in which the axes of images lie in memory, asked of XLA where an algorithm needs one.

Inside a compiled program an array has no order of its own: XLA assigns one, and copies where two operations want
different ones. A constraint says where such a copy stands. Without it, the order of a caller leaks into loops and
products that were written for the other.
"""

from collections.abc import Callable
from functools import partial

import jax
from jax.experimental.layout import Layout, with_layout_constraint

from convjax._algorithms import _gemm
from convjax._arrays import xla_cpu
from convjax._machine import Machine

MIN_TRANSPOSED_CHANNELS = 8


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


def with_contiguous_images(
    run: Callable[..., jax.Array], x: jax.Array, w: jax.Array, spec, machine: Machine, partitioned: bool
) -> jax.Array:
    """Return run(x, w), with contiguous images before and after it.

    The operands of a weight gradient are images whose batch and channels were swapped. The constraint is put before
    that swap, which an algorithm undoes.
    """
    transposes = spec.channels_last and machine.platform == "cpu" and not partitioned
    made = partial(_transposed_from_channels_last, machine=machine) if transposes else contiguous
    if spec.hints.layer_weight != "result":
        return contiguous(run(made(x), w))
    x, w = map(made, _gemm.summed_axis_first(x, w, spec))
    return run(*_gemm.batch_and_channels_swapped(x, w, spec.groups))


def _transposed_from_channels_last(x: jax.Array, machine: Machine) -> jax.Array:
    """`contiguous(x)` of images whose channels are last in memory, as a transposition of its own.

    Three channels are better off in the loop of the operation before: 0.29 ms instead of 0.35 for 8 images of 224x224.
    """
    if x.shape[1] < MIN_TRANSPOSED_CHANNELS:
        return contiguous(x)
    held = channels_last(x)
    if not machine.transposes_in_tiles:  # two axes are exchanged in half the time of three or more
        held = held.reshape(held.shape[0], -1, held.shape[-1])
    y = xla_cpu.transpose(held, (0, held.ndim - 1, *range(1, held.ndim - 1)), machine)
    return contiguous(y.reshape(x.shape))
