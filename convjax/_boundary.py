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
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Mode(NamedTuple):
    """A library's name for a row of the table above, and the widest border that it accepts on an axis of a size."""

    kind: str
    widest: Callable[[int], int] | None


TORCH = {
    "zeros": Mode("constant", None),
    "reflect": Mode("mirror", lambda n: n - 1),
    "replicate": Mode("edge", None),
    "circular": Mode("wrap", lambda n: n),
}


def extend(x: jax.Array, kind: str, padding: Sequence[tuple[int, int]], value: float = 0) -> jax.Array:
    """Continue the last len(padding) axes of x by (low, high) elements each.

    Slices and concatenations, no gather, so that the derivative holds no scatter.
    """
    first = x.ndim - len(padding)
    if kind == "constant":
        fill = jnp.asarray(value, x.dtype)
        return lax.pad(x, fill, [(0, 0, 0)] * first + [(low, high, 0) for low, high in padding])
    for axis, (low, high) in enumerate(padding, first):
        sides = _edges if kind == "edge" else _PERIODIC[kind]
        before, after = sides(x, axis, low, high)
        x = lax.concatenate([before, x, after], axis)
    return x


def _edges(x: jax.Array, axis: int, low: int, high: int) -> tuple[jax.Array, jax.Array]:
    def repeat(a, width):
        return jnp.broadcast_to(a, (*x.shape[:axis], width, *x.shape[axis + 1 :]))

    n = x.shape[axis]
    first, last = lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, n - 1, n, axis=axis)
    return repeat(first, low), repeat(last, high)


def _periods(x: jax.Array, axis: int, low: int, high: int, *, rest: Callable) -> tuple[jax.Array, jax.Array]:
    """The borders of a continuation whose period is x followed by rest(x, axis)."""
    period = [x, *rest(x, axis)]
    before = _repeat(period, axis, low)
    after = _repeat(period[1:] + period[:1], axis, high)
    n = before.shape[axis]
    return lax.slice_in_dim(before, n - low, n, axis=axis), lax.slice_in_dim(after, 0, high, axis=axis)


def _repeat(period: list[jax.Array], axis: int, width: int) -> jax.Array:
    length = sum(a.shape[axis] for a in period)
    # A symbolic size is at least the border (see TORCH), so one period is enough there.
    times = max(-(-width // length), 1) if isinstance(length, int) else 1
    return lax.concatenate(period * times, axis)


def _inner(x: jax.Array, axis: int) -> list[jax.Array]:
    n = x.shape[axis]
    return [] if n == 1 else [lax.rev(lax.slice_in_dim(x, 1, n - 1, axis=axis), (axis,))]


_PERIODIC = {
    "mirror": partial(_periods, rest=_inner),
    "symmetric": partial(_periods, rest=lambda x, axis: [lax.rev(x, (axis,))]),
    "wrap": partial(_periods, rest=lambda x, axis: []),
}


def fold_back(y: jax.Array, kind: str, padding: Sequence[tuple[int, int]]) -> jax.Array:
    """The transpose of `extend`: the borders of y added onto the elements that they continue."""
    first = y.ndim - len(padding)
    inner = [n - low - high for n, (low, high) in zip(y.shape[first:], padding, strict=True)]
    shape = jax.ShapeDtypeStruct((*y.shape[:first], *inner), y.dtype)
    return jax.linear_transpose(lambda x: extend(x, kind, padding), shape)(y)[0]
