"""Every way to continue an array past its border, in one table.

    constant    0 0 0 | a b c d | 0 0 0
    edge        a a a | a b c d | d d d
    mirror      d c b | a b c d | c b a     about the centre of the last element
    symmetric   c b a | a b c d | d c b     about its outer edge
    wrap        b c d | a b c d | a b c

All but the first two are periodic, so a border wider than the array repeats the period.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Mode(NamedTuple):
    """A library's name for a row of the table above, and the widest border that it accepts on an axis of a size."""

    border: str
    widest: Callable[[int], int] | None


TORCH = {
    "zeros": Mode("constant", None),
    "reflect": Mode("mirror", lambda n: n - 1),
    "replicate": Mode("edge", None),
    "circular": Mode("wrap", lambda n: n),
}

# scipy.signal's names for rows of the table; any border will do.
SIGNAL = {
    "fill": "constant",
    "pad": "constant",
    "wrap": "wrap",
    "circular": "wrap",
    "symm": "symmetric",
    "symmetric": "symmetric",
}

# scipy.ndimage's.
NDIMAGE = {
    "reflect": "symmetric",
    "constant": "constant",
    "nearest": "edge",
    "mirror": "mirror",
    "wrap": "wrap",
    "grid-mirror": "symmetric",
    "grid-constant": "constant",
    "grid-wrap": "wrap",
}


def extend(
    x: jax.Array,
    border: str,
    padding: Sequence[tuple[int, int]],
    value: Any = None,
    materialized: Callable[[jax.Array], jax.Array] = lambda a: a,
) -> jax.Array:
    """Continue the last len(padding) axes of x by (low, high) elements each; as a value, None is 0.

    `materialized` is to keep a border from being fused into the loop that joins it to x, where XLA's CPU compiler tests
    every element of a line (14 ms for 10^6 elements, not 0.2; jax 0.10.2). A wide border is cheaper fused.

    Slices and concatenations, no gather, so that the derivative holds no scatter.
    """
    first = x.ndim - len(padding)
    if border == "constant":
        fill = jnp.asarray(0 if value is None else value, x.dtype)
        return lax.pad(x, fill, [(0, 0, 0)] * first + [(low, high, 0) for low, high in padding])
    for axis, (low, high) in enumerate(padding, first):
        sides = _edges if border == "edge" else _PERIODIC[border]
        before, after = sides(x, axis, low, high)
        if isinstance(x.shape[axis], int) and 8 * (low + high) < x.shape[axis]:
            before, after = materialized(before), materialized(after)
        x = lax.concatenate([before, x, after], axis)
    return x


def _cut(x: jax.Array, axis: int, start: int, size: int) -> jax.Array:
    """size elements of an axis from start on.

    Not by a slice: the transpose of one is a pad, and XLA's partitioner gets the concatenation of a cropping pad wrong
    along a sharded axis (off by the size of the values; jax 0.10.2 and 0.12.0).
    """
    return lax.split(x, (start, size, x.shape[axis] - start - size), axis)[1]


def _edges(x: jax.Array, axis: int, low: int, high: int) -> tuple[jax.Array, jax.Array]:
    def repeat(a, width):
        return jnp.broadcast_to(a, (*x.shape[:axis], width, *x.shape[axis + 1 :]))

    return repeat(_cut(x, axis, 0, 1), low), repeat(_cut(x, axis, x.shape[axis] - 1, 1), high)


def _periods(x: jax.Array, axis: int, low: int, high: int, *, rest: Callable) -> tuple[jax.Array, jax.Array]:
    """The borders of a continuation whose period is x followed by rest(x, axis)."""
    period = [x, *rest(x, axis)]
    before = _repeat(period, axis, low)
    after = _repeat(period[1:] + period[:1], axis, high)
    return _cut(before, axis, before.shape[axis] - low, low), _cut(after, axis, 0, high)


def _repeat(period: list[jax.Array], axis: int, width: int) -> jax.Array:
    length = sum(a.shape[axis] for a in period)
    # A symbolic size is at least the border (see TORCH), so one period is enough there.
    times = max(-(-width // length), 1) if isinstance(length, int) else 1
    return lax.concatenate(period * times, axis)


def _inner(x: jax.Array, axis: int) -> list[jax.Array]:
    n = x.shape[axis]
    return [] if n == 1 else [lax.rev(_cut(x, axis, 1, n - 2), (axis,))]


_PERIODIC = {
    "mirror": partial(_periods, rest=_inner),
    "symmetric": partial(_periods, rest=lambda x, axis: [lax.rev(x, (axis,))]),
    "wrap": partial(_periods, rest=lambda x, axis: []),
}


def fold_back(y: jax.Array, border: str, padding: Sequence[tuple[int, int]]) -> jax.Array:
    """The transpose of `extend`: the borders of y added onto the elements that they continue."""
    first = y.ndim - len(padding)
    lows = [0] * first + [low for low, _ in padding]
    highs = [0] * first + [high for _, high in padding]
    # A slice of y and not its bare shape, for under shard_map its type says which axes it varies over.
    like = lax.slice(y, lows, [n - high for n, high in zip(y.shape, highs, strict=True)])
    return jax.linear_transpose(lambda x: extend(x, border, padding), like)(y)[0]
