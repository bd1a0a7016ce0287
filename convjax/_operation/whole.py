"""Axes that every device holds whole where XLA's own partitioner divides a convolution.

The partitioner computes wrong values if the spatial axes of an image are sharded, and its channels or any axis of its
kernels are sharded too (jax 0.10.2 and 0.12.0, also with plain lax). Where convjax divides the convolution they may be.
Which of both does is not known before a program is lowered: an exported program is left to the partitioner.
"""

import jax
from jax import lax
from jax.experimental import jet
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

from convjax._arrays.sharding import with_devices

whole_p = Primitive("convjax_whole")


def whole_unless_divided(a: jax.Array, *axes: int) -> jax.Array:
    """a, of which XLA's partitioner does not shard these axes."""
    mesh = jax.sharding.get_abstract_mesh()
    return whole_p.bind(a, axes=axes, mesh=mesh) if mesh.size > 1 else a


def _whole(a: jax.Array, *, axes: tuple[int, ...], mesh: AbstractMesh) -> jax.Array:
    spec = PartitionSpec(*[None if axis in axes else PartitionSpec.UNCONSTRAINED for axis in range(a.ndim)])
    return lax.with_sharding_constraint(a, NamedSharding(mesh, spec))


def _lower(ctx, a, **params):
    if with_devices(ctx):
        return [a]
    return mlir.lower_fun(_whole, multiple_results=False)(ctx, a, **params)


def _batch(operands, placed, *, axes, mesh):
    (a,), (at,) = operands, placed
    return whole_p.bind(a, axes=tuple(axis + (axis >= at) for axis in axes), mesh=mesh), at


whole_p.def_impl(lambda a, **_: a)
whole_p.def_abstract_eval(lambda a, **_: a)
mlir.register_lowering(whole_p, _lower)
batching.primitive_batchers[whole_p] = _batch
jet.deflinear(whole_p)
ad.deflinear2(whole_p, lambda ct, _, **params: [whole_p.bind(ct, **params)])
