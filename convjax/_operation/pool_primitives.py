"""Pooling by the largest or the smallest element, with its derivatives: three primitives.

`pool_p` pools. Its tangent is, for each window, the tangent of the element that the window takes. This is `select_p`,
which is linear in the tangent. Its transpose, the gradient, is `sum_into_taken_p`. Each of these two is the transpose
of the other, and a small change of x does not change which elements windows take. So there is every derivative.

The keyword arguments are `windows`, `largest` and `as_xla`, as in `_arrays/pooling`. With `as_xla`, XLA's own
operations run on platforms other than CPUs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from convjax._arrays import pooling
from convjax._arrays.pooling import Windows
from convjax._arrays.sharding import mark_varying, varying_axes
from convjax._arrays.xla_cpu import on_cpu

pool_p = Primitive("convjax_pool")
select_p = Primitive("convjax_select")
sum_into_taken_p = Primitive("convjax_sum_into_taken")


def pool(x: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False) -> jax.Array:
    """The element that each window of x takes."""
    return pool_p.bind(x, windows=windows, largest=largest, as_xla=as_xla)


def select(x: jax.Array, values: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False) -> jax.Array:
    """For each window, what `values` has at the element of x that the window takes."""
    return select_p.bind(*_varying_alike(x, values), windows=windows, largest=largest, as_xla=as_xla)


def sum_into_taken(
    x: jax.Array, source: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False
) -> jax.Array:
    """At each element of x, the sum of `source` over the windows that take this element."""
    return sum_into_taken_p.bind(*_varying_alike(x, source), windows=windows, largest=largest, as_xla=as_xla)


def _varying_alike(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both arrays, marked as varying over the axes of shard_map that either varies over."""
    axes = varying_axes(a) | varying_axes(b)
    return mark_varying(a, axes - varying_axes(a)), mark_varying(b, axes - varying_axes(b))


# ---- what they compute ----


def _pool_by_xla(x, windows: Windows, largest: bool):
    start = x.dtype.type(pooling.lowest(x.dtype, largest))
    reduce = jax.lax.max if largest else jax.lax.min
    size, stride, dilation, padding = windows
    return jax.lax.reduce_window(x, start, reduce, size, stride, padding, window_dilation=dilation)


def _select_by_xla(x, values, **settings):
    return jax.jvp(partial(_pool_by_xla, **settings), (x,), (values,))[1]


def _sum_into_taken_by_xla(x, source, **settings):
    return jax.vjp(partial(_pool_by_xla, **settings), x)[1](source)[0]


FORMS: dict[Primitive, tuple[Callable, Callable]] = {
    pool_p: (pooling.pool, _pool_by_xla),
    select_p: (pooling.select, _select_by_xla),
    sum_into_taken_p: (pooling.sum_into_taken, _sum_into_taken_by_xla),
}


def _run(primitive: Primitive, *operands, as_xla: bool, **settings):
    by_comparing, by_xla = (partial(f, **settings) for f in FORMS[primitive])
    if primitive is not pool_p:
        by_comparing = partial(by_comparing, as_xla=as_xla)
        as_xla = as_xla and max(settings["windows"].dilation, default=1) == 1  # XLA's derivatives have no dilation
    return on_cpu(by_comparing, by_xla, None, *operands) if as_xla else by_comparing(*operands)


# ---- rules ----


def _abstract(primitive: Primitive, *operands, **settings):
    (aval,) = jax.make_jaxpr(partial(_run, primitive, **settings))(*operands).out_avals
    return aval


def _tangent_of_pool(primals, tangents, **settings):
    y = pool(*primals, **settings)
    return y, _zero_like(y) if isinstance(tangents[0], ad.Zero) else select(*primals, *tangents, **settings)


def _tangent(primitive: Primitive, primals, tangents, **settings):
    x, values = primals
    y = primitive.bind(x, values, **settings)
    return y, _zero_like(y) if isinstance(tangents[1], ad.Zero) else primitive.bind(x, tangents[1], **settings)


def _zero_like(y):
    return ad.Zero(jax.typeof(y).to_tangent_aval())


def _transpose(transposed: Any, cotangent, x, values, **settings):
    zero = isinstance(cotangent, ad.Zero)
    return None, ad.Zero(values.aval) if zero else transposed(x, cotangent, **settings)


def _batch(primitive: Primitive, operands, axes, *, windows: Windows, **settings):
    size = next(a.shape[axis] for a, axis in zip(operands, axes, strict=True) if axis is not None)
    moved = [
        jnp.broadcast_to(a, (size, *a.shape)) if axis is None else jnp.moveaxis(a, axis, 0)
        for a, axis in zip(operands, axes, strict=True)
    ]
    return primitive.bind(*moved, windows=windows.with_axis_in_front(), **settings), 0


for _primitive in FORMS:
    _primitive.def_impl(jax.jit(_primitive.bind, static_argnames=("windows", "largest", "as_xla")))
    _primitive.def_abstract_eval(partial(_abstract, _primitive))
    mlir.register_lowering(_primitive, mlir.lower_fun(partial(_run, _primitive), multiple_results=False))
    batching.primitive_batchers[_primitive] = partial(_batch, _primitive)
ad.primitive_jvps[pool_p] = _tangent_of_pool
for _primitive, _transposed in ((select_p, sum_into_taken), (sum_into_taken_p, select)):
    ad.primitive_jvps[_primitive] = partial(_tangent, _primitive)
    ad.primitive_transposes[_primitive] = partial(_transpose, _transposed)
