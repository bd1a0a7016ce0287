"""The halo of a device's share of an array: elements that neighbouring devices hold, sent to it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Line(NamedTuple):
    """The devices that an axis of an array is sharded over: mesh axes, the outer first."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    ranks: tuple[int, ...]  # their places among the axes of the mesh

    @property
    def devices(self) -> int:
        return int(np.prod(self.sizes))

    def place(self) -> jax.Array:
        """Where on the line the device stands that runs this."""
        return lax.axis_index(self.names)

    def moved(self, x: jax.Array, hop: int) -> jax.Array:
        """The x of the device `hop` places before, or behind if negative. Zeros where the line ends.

        `lax.ppermute` counts devices in the order of the mesh, in whatever order its axes are named (jax 0.10.2 and
        0.12.0).
        """
        places = np.arange(self.devices).reshape(self.sizes).transpose(np.argsort(self.ranks)).reshape(-1)
        index = np.argsort(places)
        pairs = [(int(index[p]), int(index[p + hop])) for p in range(self.devices) if 0 <= p + hop < self.devices]
        return lax.ppermute(x, self.names, pairs) if pairs else jnp.zeros_like(x)


def with_halo(x: jax.Array, axis: int, line: Line, before: int, behind: int) -> jax.Array:
    """x with so many elements of the devices before this one, and of those behind, along an axis that is sharded.

    Each permutation carries one neighbour's elements. So a halo wider than x takes several.
    """
    size = x.shape[axis]

    def received(hop: int, width: int) -> jax.Array:
        count = min(size, width - (abs(hop) - 1) * size)
        start = size - count if hop > 0 else 0
        return line.moved(lax.slice_in_dim(x, start, start + count, axis=axis), hop)

    first = [received(hop, before) for hop in range(1, _hops(before, size) + 1)]
    last = [received(-hop, behind) for hop in range(1, _hops(behind, size) + 1)]
    return lax.concatenate([*reversed(first), x, *last], axis) if first or last else x


def _hops(width: int, size: int) -> int:
    return -(-width // size)
