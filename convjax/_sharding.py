"""Where a result lies, under a mesh with explicit axes.

There a reshape that merges a sharded axis is an error, and convolutions merge many, in gradients and under vmap most of
all. So a public function states its result's layout here, and leaves the axes to the compiler in between. And what an
array varies over under shard_map.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec


def laid_out(f: Callable, layout: Callable[..., Sequence[Any]], *operands: jax.Array | None) -> jax.Array:
    """f(*operands), laid out as layout(*specs) says from the operands' own specs: mesh axes per axis of the result.

    Where a mesh axis is asked for twice, or does not divide the size, that axis of the result is not sharded.
    """
    mesh = next((m for m in (jax.typeof(a).sharding.mesh for a in operands if a is not None) if m.explicit_axes), None)
    if mesh is None:
        return f(*operands)
    free = partial(jax.sharding.auto_axes, f, axes=tuple(mesh.explicit_axes))
    shape = jax.eval_shape(free(out_sharding=NamedSharding(mesh, PartitionSpec())), *operands).shape
    specs = [() if a is None else jax.typeof(a).sharding.spec for a in operands]
    chosen: list[tuple[str, ...] | None] = []
    for size, wanted in zip(shape, layout(*specs), strict=True):
        axes = mesh_axes(wanted)
        taken = any(set(axes) & set(other or ()) for other in chosen)
        divides = size % math.prod(mesh.shape[axis] for axis in axes) == 0
        chosen.append(axes if axes and divides and not taken else None)
    return free(out_sharding=NamedSharding(mesh, PartitionSpec(*chosen)))(*operands)


def whole(a: jax.Array, *axes: int) -> jax.Array:
    """a, with these axes whole on every device, where a mesh with explicit axes shards them."""
    if not is_sharded(a, *axes):
        return a
    spec = jax.typeof(a).sharding.spec
    return jax.sharding.reshard(a, PartitionSpec(*[None if i in axes else entry for i, entry in enumerate(spec)]))


def is_sharded(a: jax.Array, *axes: int) -> bool:
    """Whether a mesh with explicit axes shards any of these axes."""
    layout = jax.typeof(a).sharding
    return bool(layout.mesh.explicit_axes) and any(mesh_axes(layout.spec[axis]) for axis in axes)


def is_partitioned(axis_context: Any) -> bool:
    """Whether XLA's partitioner divides what is lowered in this context: under `jit` for several devices, and under a
    `shard_map` that leaves some axes of its mesh to it."""
    if hasattr(axis_context, "num_devices"):
        return axis_context.num_devices > 1
    return axis_context.mesh.size > 1 and set(axis_context.manual_axes) != set(axis_context.mesh.axis_names)


def varying(a: jax.Array) -> frozenset:
    """The axes of shard_map that an array differs along."""
    return jax.typeof(a).manual_axis_type.varying


def vary(a: jax.Array, axes: frozenset) -> jax.Array:
    """a, to be told apart along these axes too."""
    return lax.pcast(a, tuple(axes), to="varying") if axes else a


def mesh_axes(entry: Any) -> tuple[str, ...]:
    """The mesh axes in one entry of a PartitionSpec."""
    return entry if isinstance(entry, tuple) else () if entry is None else (entry,)
