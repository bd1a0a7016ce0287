"""Each group as a convolution of its own, one after the other: for groups so wide that Winograd's tiles pay for one.

It is not local, because tiles are not. XLA's CPU compiler makes a plain loop of its own convolution inside a loop, so
another algorithm should compute the group.
"""

import jax

from convjax._algorithms import _chunks
from convjax._algorithms.algorithm import Rewrite, definition_multiply_adds, nowhere_local
from convjax._arrays.xla_cpu import fusion_barrier
from convjax._machine import Machine


def run(x: jax.Array, w: jax.Array, spec, machine: Machine, convolve) -> jax.Array:
    of_group = lambda x, w, spec: convolve(x, fusion_barrier(w, machine), spec)  # noqa: E731
    return _chunks.write_group_chunks(of_group, x, w, spec, spec.groups, machine)


def unsupported(spec, x, w) -> str | None:
    return "one group" if spec.groups == 1 else None


ALGORITHM = Rewrite(
    "per_group",
    "each group as a convolution of its own",
    run,
    unsupported,
    definition_multiply_adds,
    rank=3,
    is_local=nowhere_local,
)
