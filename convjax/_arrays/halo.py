"""The halo of a device's share of an array: elements that neighbouring devices hold, sent to it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AbstractMesh, Mesh

from convjax._arrays import boundary


class Line(NamedTuple):
    """The devices that an axis of an array is sharded over: mesh axes, the outer first."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    ranks: tuple[int, ...]  # their places among the axes of the mesh

    @classmethod
    def of(cls, mesh: Mesh | AbstractMesh, names: tuple[str, ...]) -> "Line":
        """The devices along these axes of a mesh."""
        ranks = tuple(mesh.axis_names.index(name) for name in names)
        return cls(names, tuple(mesh.shape[name] for name in names), ranks)

    @property
    def devices(self) -> int:
        return int(np.prod(self.sizes))

    def place(self) -> jax.Array:
        """Where on the line the device stands that runs this."""
        return lax.axis_index(self.names)

    def moved(self, x: jax.Array, hop: int, ring: bool = False) -> jax.Array:
        """The x of the device `hop` places before, or behind if negative. Zeros where the line ends, unless in a ring.

        `lax.ppermute` counts devices in the order of the mesh, in whatever order its axes are named (jax 0.10.2). In
        jax 0.12 they have to be named in that order.
        """
        order = np.argsort(self.ranks)
        places = np.arange(self.devices).reshape(self.sizes).transpose(order).reshape(-1)
        index = np.argsort(places)
        reached = [(p, p + hop) for p in range(self.devices) if ring or 0 <= p + hop < self.devices]
        pairs = [(int(index[p]), int(index[q % self.devices])) for p, q in reached]
        return lax.ppermute(x, tuple(self.names[n] for n in order), pairs) if pairs else jnp.zeros_like(x)


def zeros_beyond(x: jax.Array, axis: int, line: Line, size: int) -> jax.Array:
    """The share x of an axis of `size` elements, with zeros in place of what lies beyond it.

    If the devices do not divide an axis, XLA leaves any values there.
    """
    share = x.shape[axis]
    if share * line.devices == size:
        return x
    index = lax.broadcasted_iota(jnp.int32, x.shape, axis) + line.place() * share
    return jnp.where(index < size, x, jnp.zeros((), x.dtype))


def with_halo(x: jax.Array, axis: int, line: Line, before: int, behind: int, ring: bool = False) -> jax.Array:
    """x with so many elements of the devices before this one, and of those behind, along an axis that is sharded.

    Each permutation carries one neighbour's elements. So a halo wider than x takes several. Beyond the ends of the line
    are zeros, or in a ring the elements of its other end.
    """
    size = x.shape[axis]

    def received(hop: int, width: int) -> jax.Array:
        count = min(size, width - (abs(hop) - 1) * size)
        start = size - count if hop > 0 else 0
        return line.moved(lax.slice_in_dim(x, start, start + count, axis=axis), hop, ring)

    first = [received(hop, before) for hop in range(1, _hops(before, size) + 1)]
    last = [received(-hop, behind) for hop in range(1, _hops(behind, size) + 1)]
    return lax.concatenate([*reversed(first), x, *last], axis) if first or last else x


def extended(
    x: jax.Array, axis: int, line: Line, size: int, low: int, high: int, border: str, value: Any = None
) -> jax.Array:
    """A share x of an axis of `size` elements with `low` and `high` more, of its neighbours or of the border.

    `border` is a row of the table in `_arrays/boundary.py`, and a `value` of None is 0. If the devices do not divide
    the axis, the border begins inside of the last share.
    """
    share, devices = x.shape[axis], line.devices
    tail = min(share, share * devices - size)  # elements of a share that may lie beyond the axis
    if tail == 0 and (border == "wrap" or (border == "constant" and value is None)):
        return with_halo(x, axis, line, low, high, ring=border == "wrap")
    starts = share * np.arange(devices)[:, None]
    ends = [starts + np.arange(-low, 0), starts + np.arange(share - tail, share + high)]
    found = [boundary.sources(border, size, places) for places in ends]
    inside = [table >= 0 for table in found]
    offsets = [np.where(held, table - starts, 0) for table, held in zip(found, inside, strict=True)]
    before = max(0, *(-int(table.min()) for table in offsets if table.size))
    behind = max(0, *(int(table.max()) - share + 1 for table in offsets if table.size))
    if before + behind < (devices - 1) * share:
        window, first = with_halo(x, axis, line, before, behind), 0 * starts - before
    else:
        window, first = lax.all_gather(x, line.names, axis=axis, tiled=True), -starts
    place = line.place()

    def read(table: np.ndarray, held: np.ndarray) -> jax.Array:
        taken = jnp.take(window, jnp.asarray(table - first, jnp.int32)[place], axis, mode="clip")
        if held.all():
            return taken
        here = lax.broadcast_in_dim(jnp.asarray(held)[place], taken.shape, (axis,))
        return jnp.where(here, taken, jnp.asarray(0 if value is None else value, x.dtype))

    front, back = (read(*each) for each in zip(offsets, inside, strict=True))
    return lax.concatenate([front, lax.slice_in_dim(x, 0, share - tail, axis=axis), back], axis)


def _hops(width: int, size: int) -> int:
    return -(-width // size)
