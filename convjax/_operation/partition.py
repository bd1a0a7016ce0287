"""Operations that are divided among the devices of a mesh in a way of their own, and not in that of XLA's partitioner.

XLA decides on the shardings, and knows from a rule how those of the operands and of the results belong together. Then
it asks what a device computes of its share, and with which shardings.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.custom_partitioning import SdyShardingRule, custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

MeshAxes = tuple[str, ...]  # that shard one axis of an array, the outer one first

# share(*operands) of one device, and the mesh axes that shard each axis of each operand and of each result.
Division = tuple[Callable, Sequence[Sequence[MeshAxes]], Sequence[Sequence[MeshAxes]]]


def divided(
    whole: Callable, divide: Callable[..., Division], rule: SdyShardingRule, description: Any, *operands: jax.Array
) -> tuple[jax.Array, ...]:
    """whole(*operands), of which a device computes what divide(mesh, given, operands, results) says.

    `operands` and `results` are structs, and `given` has the shardings that XLA asks for, of operands and results, as
    mesh axes. `whole` and the share return tuples. Divisions that differ have descriptions that differ.
    """

    def partition(_, operands, results):
        mesh, given = _given([*operands, *results])
        share, inputs, outputs = divide(mesh, given, operands, results)

        def run(*operands):
            # XLA asks for this while the mesh of the caller's context is set, whose axes are not for a share.
            with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
                return tuple(share(*operands))

        def shardings(arrays: Sequence[Sequence[MeshAxes]]) -> tuple[NamedSharding, ...]:
            return tuple(NamedSharding(mesh, PartitionSpec(*[names or None for names in axes])) for axes in arrays)

        return mesh, run, shardings(outputs), shardings(inputs)

    op = custom_partitioning(lambda *operands: tuple(whole(*operands)))
    # JAX cannot express a sharding over a part of a mesh axis, which XLA uses where an axis does not divide a size.
    op.def_partition(partition, decode_shardings=False, sharding_rule=rule)
    # JAX's persistent cache of compiled programs ignores which function divides an operation. So the program holds a
    # name for it.
    named = lambda *operands: op(*operands)  # noqa: E731
    named.__name__ = f"divided_{hashlib.sha256(_text(description).encode()).hexdigest()[:16]}"
    return jax.jit(named)(*operands)


def _text(value: Any) -> str:
    """A description that is the same in every process."""
    if isinstance(value, tuple):
        return f"{type(value).__name__}({', '.join(map(_text, value))})"
    if isinstance(value, frozenset):
        return _text(tuple(sorted(value)))
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else repr(value)


def _given(arrays: Sequence[Any]) -> tuple[Mesh, list[list[tuple[str, ...]]]]:
    """A mesh of the devices, and the axes of it that shard each axis of each array."""
    known = next(a for a in arrays if a.sharding is not None)
    mesh = _mesh(list(known.sharding.devices_indices_map((0,) * len(known.shape))))
    none: list[tuple[str, ...]] = [(), *[()] * max(len(a.shape) for a in arrays)]
    return mesh, [
        none[: len(a.shape)] if a.sharding is None else _sharded_over(mesh, a.sharding, len(a.shape)) for a in arrays
    ]


def _mesh(devices: Sequence[jax.Device]) -> Mesh:
    """These devices as a mesh whose axes have prime sizes."""
    sizes, left = [], len(devices)
    while left > 1:
        sizes.append(next(n for n in range(2, left + 1) if left % n == 0))
        left //= sizes[-1]
    return Mesh(np.array(devices).reshape(sizes), [f"axis{n}" for n in range(len(sizes))])


def _sharded_over(mesh: Mesh, sharding: Sharding, rank: int) -> list[tuple[str, ...]]:
    """The axes of the mesh that shard each axis of an array, the outer one first.

    A sharding that is not over axes of the mesh counts as none: the array is gathered then.
    """
    # Where the shares of an array begin that every sharding over these devices divides.
    places = sharding.devices_indices_map((mesh.size,) * rank)
    starts = np.array([[part.start or 0 for part in places[device]] for device in mesh.devices.flat])
    found: list[tuple[str, ...]] = []
    for start in np.moveaxis(starts.reshape(*mesh.devices.shape, rank), -1, 0):
        steps = [int(start.take(1, n).min() - start.take(0, n).min()) for n in range(start.ndim)]
        order = sorted((n for n, step in enumerate(steps) if step > 0), key=lambda n: -steps[n])
        share = mesh.size // math.prod(mesh.devices.shape[n] for n in order)
        regular = np.zeros_like(start)
        for n in reversed(order):
            regular += share * np.indices(start.shape)[n]
            share *= mesh.devices.shape[n]
        found.append(tuple(mesh.axis_names[n] for n in order) if np.array_equal(regular, start) else ())
    return found
