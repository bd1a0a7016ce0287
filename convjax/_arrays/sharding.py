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


def with_output_sharding(f: Callable, layout: Callable[..., Sequence[Any]], *operands: Any) -> Any:
    """f(*operands), each result laid out as layout(*specs) says from the specs of the operands, None for what is no
    array: mesh axes per axis of the result.

    Where a mesh axis is asked for twice, or does not divide the size, that axis of the result is not sharded.
    """
    specs = [jax.typeof(a).sharding if isinstance(a, jax.Array) else None for a in operands]
    mesh = next((s.mesh for s in specs if s is not None and s.mesh.explicit_axes), None)
    if mesh is None:
        return f(*operands)
    free = partial(jax.sharding.auto_axes, f, axes=tuple(mesh.explicit_axes))
    results = jax.eval_shape(free(out_sharding=NamedSharding(mesh, PartitionSpec())), *operands)
    wanted = layout(*[() if s is None else s.spec for s in specs])
    return free(out_sharding=jax.tree.map(partial(_divided, mesh, wanted), results))(*operands)


def sharded_like_first(f: Callable, *operands: Any) -> Any:
    """f(*operands), each result laid out as the first operand is."""
    return with_output_sharding(f, lambda first, *_: first, *operands)


def _divided(mesh, wanted: Sequence[Any], result: jax.ShapeDtypeStruct) -> NamedSharding:
    chosen: list[tuple[str, ...] | None] = []
    for size, entry in zip(result.shape, wanted, strict=True):
        axes = mesh_axes(entry)
        taken = any(set(axes) & set(other or ()) for other in chosen)
        divides = size % math.prod(mesh.shape[axis] for axis in axes) == 0
        chosen.append(axes if axes and divides and not taken else None)
    return NamedSharding(mesh, PartitionSpec(*chosen))


def replicated(a: jax.Array, *axes: int) -> jax.Array:
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


def varying_axes(a: jax.Array) -> frozenset:
    """The axes of shard_map that an array differs along."""
    return jax.typeof(a).manual_axis_type.varying


def mark_varying(a: jax.Array, axes: frozenset) -> jax.Array:
    """a, to be told apart along these axes too."""
    return lax.pcast(a, tuple(axes), to="varying") if axes else a


def mesh_axes(entry: Any) -> tuple[str, ...]:
    """The mesh axes in one entry of a PartitionSpec."""
    return entry if isinstance(entry, tuple) else () if entry is None else (entry,)
