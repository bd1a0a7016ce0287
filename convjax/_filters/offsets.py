"""A window of any shape: the offsets of its elements, and a loop over them."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arrays import xla_cpu
from convjax._arrays.sharding import mark_varying, varying_axes

Offsets = tuple[tuple[int, ...], ...]

OFFSETS_PER_STEP = 32  # offsets that are written out in each step of the loop


def box_sizes(offsets: Offsets) -> tuple[int, ...] | None:
    """The sizes of the window if it is a box without gaps, else None."""
    sizes = tuple(max(along) - min(along) + 1 for along in zip(*offsets, strict=True))
    return sizes if len(offsets) == math.prod(sizes) else None


def fold_offsets(arrays, offsets: Offsets, shape: tuple[int, ...], term: Callable, join: Callable, start: Any) -> Any:
    """join(... join(start, term(*parts at the first offset)) ..., term(*parts at the last)).

    A part is a slice of `shape` of each array. More than twice `OFFSETS_PER_STEP` offsets are taken in a loop.
    """

    def fold_unrolled(result, some):
        for at in some:
            result = join(result, term(*[lax.dynamic_slice(a, at, shape) for a in arrays]))
        return result

    start = mark_varying(start, varying_axes(arrays[0]) - varying_axes(start))
    steps = len(offsets) // OFFSETS_PER_STEP if len(offsets) > 2 * OFFSETS_PER_STEP else 0
    if steps:
        table = jnp.asarray(
            np.array(offsets[: steps * OFFSETS_PER_STEP]).reshape(steps, OFFSETS_PER_STEP, -1), jnp.int32
        )
        start = lax.fori_loop(
            0, steps, lambda n, result: fold_unrolled(result, list(map(list, table[xla_cpu.parallel_index(n)]))), start
        )
    return fold_unrolled(start, offsets[steps * OFFSETS_PER_STEP :])
