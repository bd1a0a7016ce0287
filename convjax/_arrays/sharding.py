"""The sharding of results under a mesh with explicit axes, and the mesh axes that an array varies over in shard_map.

Under explicit axes, a reshape that merges a sharded axis raises an error. Convolutions merge many axes, above all in
gradients and under vmap. So a public function states the sharding of its result here, and the compiler chooses the
shardings inside the function.
"""

import dataclasses
import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec


def with_output_sharding(f: Callable, layout: Callable[..., Sequence[Any]], *operands: Any) -> Any:
    """Return f(*operands), with each result sharded as layout(*specs) says.

    `specs` are the partition specs of the operands, () for an operand that is not an array. `layout` returns one entry
    of a PartitionSpec per axis of the result. An axis of the result is not sharded if its mesh axes are used by an
    earlier axis or do not divide its size.
    """
    specs = [jax.typeof(a).sharding if isinstance(a, jax.Array) else None for a in operands]
    mesh = next((s.mesh for s in specs if s is not None and s.mesh.explicit_axes), None)
    if mesh is None:
        return f(*operands)
    with_automatic_axes = partial(jax.sharding.auto_axes, f, axes=tuple(mesh.explicit_axes))
    results = jax.eval_shape(with_automatic_axes(out_sharding=NamedSharding(mesh, PartitionSpec())), *operands)
    wanted = layout(*[() if s is None else s.spec for s in specs])
    return with_automatic_axes(out_sharding=jax.tree.map(partial(_output_sharding, mesh, wanted), results))(*operands)


def sharded_like_first(f: Callable, *operands: Any) -> Any:
    """Return f(*operands), with each result sharded like the first operand."""
    return with_output_sharding(f, lambda first, *_: first, *operands)


def _output_sharding(mesh, wanted: Sequence[Any], result: jax.ShapeDtypeStruct) -> NamedSharding:
    chosen: list[tuple[str, ...] | None] = []
    for size, entry in zip(result.shape, wanted, strict=True):
        axes = mesh_axes(entry)
        is_used = any(set(axes) & set(other or ()) for other in chosen)
        divides = size % math.prod(mesh.shape[axis] for axis in axes) == 0
        chosen.append(axes if axes and divides and not is_used else None)
    return NamedSharding(mesh, PartitionSpec(*chosen))


def replicated(a: jax.Array, *axes: int) -> jax.Array:
    """Return a with these axes replicated on every device, if a mesh with explicit axes shards them."""
    if not is_sharded(a, *axes):
        return a
    spec = jax.typeof(a).sharding.spec
    return jax.sharding.reshard(a, PartitionSpec(*[None if i in axes else entry for i, entry in enumerate(spec)]))


def is_sharded(a: jax.Array, *axes: int) -> bool:
    """Whether a mesh with explicit axes shards any of these axes."""
    layout = jax.typeof(a).sharding
    return bool(layout.mesh.explicit_axes) and any(mesh_axes(layout.spec[axis]) for axis in axes)


def is_partitioned(axis_context: Any) -> bool:
    """Whether XLA's partitioner divides the program that is lowered in this context.

    It does under `jit` for several devices, and under a `shard_map` that leaves some axes of its mesh automatic.
    """
    if hasattr(axis_context, "num_devices"):
        return axis_context.num_devices > 1
    return axis_context.mesh.size > 1 and set(axis_context.manual_axes) != set(axis_context.mesh.axis_names)


def with_devices(ctx: Any) -> Any:
    """A context to lower an operation in that is divided among devices, or None if it is not, or by XLA alone.

    XLA alone divides exported programs and operations on empty arrays. In the context stand the devices of the program.
    JAX lowers most programs for a number of devices, and tells them to a few operations alone. Which devices they are
    changes nothing of what is lowered.
    """
    if ctx.module_context.lowering_parameters.for_export or any(0 in aval.shape for aval in ctx.avals_in):
        return None
    context = ctx.module_context.axis_context
    count = getattr(context, "num_devices", 1)
    if count == 1 or not getattr(jax.config, "jax_use_shardy_partitioner", True):
        return None
    devices = jax.devices()[:count]
    if len(devices) < count:
        return None
    if _in_another_thread(lambda: jax.config.read("jax_enable_x64")) != jax.config.read("jax_enable_x64"):
        return None  # XLA may ask for a share in a thread of its own, which does not have `with jax.enable_x64()`
    known = dataclasses.replace(context, device_assignment=tuple(devices))
    return ctx.replace(module_context=ctx.module_context.replace(axis_context=known))


def _in_another_thread(f: Callable) -> Any:
    found = []
    thread = threading.Thread(target=lambda: found.append(f()))
    thread.start()
    thread.join()
    return found[0]


def varying_axes(a: jax.Array) -> frozenset:
    """The mesh axes of shard_map that an array varies over."""
    return jax.typeof(a).manual_axis_type.varying


def varying_alike(*arrays: jax.Array) -> list[jax.Array]:
    """These arrays, each marked as varying over the mesh axes that any of them varies over.

    Under shard_map, a replicated operand beside a varying one must be cast, or its cotangent, which is a sum over the
    mesh, would lack that sum and be silently wrong.
    """
    every = frozenset().union(*map(varying_axes, arrays))
    return [mark_varying(a, every - varying_axes(a)) for a in arrays]


def mark_varying(a: jax.Array, axes: frozenset) -> jax.Array:
    """Return a, marked as varying over these mesh axes too."""
    return lax.pcast(a, tuple(axes), to="varying") if axes else a


def mesh_axes(entry: Any) -> tuple[str, ...]:
    """The mesh axes in one entry of a PartitionSpec."""
    return entry if isinstance(entry, tuple) else () if entry is None else (entry,)
