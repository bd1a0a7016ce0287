"""A window of any form: the offsets of its elements, and a loop over them."""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arrays import xla_cpu
from convjax._arrays.sharding import mark_varying, varying_axes

Offsets = tuple[tuple[int, ...], ...]

TOGETHER = 32  # elements of a window that one turn of a loop sees


def box(offsets: Offsets) -> tuple[int, ...] | None:
    """The sizes of a window without gaps, None for any other."""
    sizes = tuple(max(along) - min(along) + 1 for along in zip(*offsets, strict=True))
    return sizes if len(offsets) == math.prod(sizes) else None


def fold_offsets(arrays, offsets: Offsets, shape: tuple[int, ...], term: Callable, join: Callable, start: Any) -> Any:
    """join(... join(start, term(*parts at the first offset)) ..., term(*parts at the last)), in a loop if many."""

    def turn(result, some):
        for at in some:
            result = join(result, term(*[lax.dynamic_slice(a, at, shape) for a in arrays]))
        return result

    start = mark_varying(start, varying_axes(arrays[0]) - varying_axes(start))
    turns = len(offsets) // TOGETHER if len(offsets) > 2 * TOGETHER else 0
    if turns:
        table = jnp.asarray(np.array(offsets[: turns * TOGETHER]).reshape(turns, TOGETHER, -1), jnp.int32)
        start = lax.fori_loop(
            0, turns, lambda n, result: turn(result, list(map(list, table[xla_cpu.parallel_index(n)]))), start
        )
    return turn(start, offsets[turns * TOGETHER :])
