"""One convolution per group, in turn, for groups with so many channels that Winograd's tiles pay for each.

It is not local, because tiles are not. XLA's CPU compiler compiles its own convolution to a plain loop if it is inside
a loop, so another algorithm should compute each group.
"""

import jax

from convjax._algorithms import _chunks
from convjax._algorithms.algorithm import Rewrite, definition_multiply_adds, never_local
from convjax._arrays.xla_cpu import fusion_barrier
from convjax._machine import Machine


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    convolve_group = lambda x, w, spec: convolve(x, fusion_barrier(w, machine), spec)  # noqa: E731
    return _chunks.write_group_chunks(convolve_group, x, w, spec, spec.groups, machine)


def unsupported(spec, x, w) -> str | None:
    return "one group" if spec.groups == 1 else None


ALGORITHM = Rewrite(
    "per_group",
    "each group as a convolution of its own",
    run,
    unsupported,
    definition_multiply_adds,
    rank=3,
    is_local=never_local,
)
