"""Pooling and its derivatives: five primitives.

`pool_p` takes the largest, or the smallest, element of each window. Its tangent is the tangent of that element. This is
`select_p`, which is linear in the tangent. Its transpose, the gradient, is `sum_into_taken_p`. Each of these two is the
transpose of the other, and a small change of x does not change which elements windows take. So there is every
derivative.

`window_sums_p` sums each window, and `sum_into_all_p` sums, at each element, over its windows. They are linear, and
each is the transpose of the other.

The keyword arguments `windows`, `largest` and `as_xla` are as in `_arrays/pooling`. With `as_xla`, XLA's own operations
run on platforms other than CPUs.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import linear_call
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from convjax._arrays import pooling
from convjax._arrays.pooling import NO_LEAD, Lead, Windows, lowest
from convjax._arrays.sharding import mark_varying, varying_alike, varying_axes
from convjax._arrays.xla_cpu import on_cpu
from convjax._operation.stencil import Program, Transposed, context_for_division, divided_stencil
from convjax._spec import Sizes

pool_p = Primitive("convjax_pool")
select_p = Primitive("convjax_select")
sum_into_taken_p = Primitive("convjax_sum_into_taken")
window_sums_p = Primitive("convjax_window_sums")
sum_into_all_p = Primitive("convjax_sum_into_all")


def pool(x: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False) -> jax.Array:
    """The element that each window of x takes."""
    return pool_p.bind(x, windows=windows, largest=largest, as_xla=as_xla)


def select(x: jax.Array, values: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False) -> jax.Array:
    """For each window, what `values` has at the element of x that the window takes."""
    return select_p.bind(*varying_alike(x, values), windows=windows, largest=largest, as_xla=as_xla)


def sum_into_taken(
    x: jax.Array, source: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False
) -> jax.Array:
    """At each element of x, the sum of `source` over the windows that take this element."""
    return sum_into_taken_p.bind(*varying_alike(x, source), windows=windows, largest=largest, as_xla=as_xla)


def window_sums(x: jax.Array, windows: Windows, as_xla: bool = False) -> jax.Array:
    """The sum of each window, with zeros as padding."""
    return window_sums_p.bind(x, windows=windows, as_xla=as_xla)


def sum_into_all(source: jax.Array, windows: Windows, shape: Sizes, as_xla: bool = False) -> jax.Array:
    """The transpose of `window_sums`, for an x of this shape."""
    return sum_into_all_p.bind(source, windows=windows, shape=shape, as_xla=as_xla)


# ---- what they compute ----


def _reduced_by_xla(x, windows: Windows, largest: bool | None):
    """`reduce_window`, by the sum if `largest` is None."""
    start = 0 if largest is None else pooling.lowest(x.dtype, largest)
    reduce = jax.lax.add if largest is None else jax.lax.max if largest else jax.lax.min
    size, stride, dilation, padding = windows
    return jax.lax.reduce_window(x, x.dtype.type(start), reduce, size, stride, padding, window_dilation=dilation)


def _select_by_xla(x, values, **settings):
    return jax.jvp(partial(_reduced_by_xla, **settings), (x,), (values,))[1]


def _sum_into_taken_by_xla(x, source, **settings):
    return jax.vjp(partial(_reduced_by_xla, **settings), x)[1](source)[0]


def _sum_into_all_by_xla(source, windows: Windows, shape: Sizes):
    sums = partial(_reduced_by_xla, windows=windows, largest=None)
    # Zeros that vary over the axes of shard_map as source does. Otherwise their cotangent would be a sum over the mesh.
    zeros = mark_varying(jnp.zeros(shape, source.dtype), varying_axes(source))
    return jax.vjp(sums, zeros)[1](source)[0]


FORMS: dict[Primitive, tuple[Callable, Callable]] = {
    pool_p: (pooling.pool, _reduced_by_xla),
    select_p: (pooling.select, _select_by_xla),
    sum_into_taken_p: (pooling.sum_into_taken, _sum_into_taken_by_xla),
    window_sums_p: (pooling.window_sums, partial(_reduced_by_xla, largest=None)),
    sum_into_all_p: (pooling.sum_into_all, _sum_into_all_by_xla),
}


def _run(primitive: Primitive, *operands, as_xla: bool, lead: Lead = NO_LEAD, **settings):
    ours, xlas = (partial(f, **settings) for f in FORMS[primitive])
    if primitive in (select_p, sum_into_taken_p):
        ours = partial(ours, as_xla=as_xla, lead=lead)
        as_xla = as_xla and max(settings["windows"].dilation, default=1) == 1  # XLA's have no dilation
    return on_cpu(ours, xlas, None, *operands) if as_xla else ours(*operands)


# ---- shares of devices ----
#
# Of an image in shares, each device pools its own, with a halo. In a share, `lead` says what is padding.


class _Windowed(NamedTuple):
    """A pooling as a function of images, as `stencil.Program` has it. The settings are items, to be hashed."""

    primitive: Primitive
    settings: tuple[tuple[str, Any], ...]

    def __call__(self, *operands, lead):
        settings = dict(self.settings)
        settings["windows"] = _uncropped(settings["windows"], lead)
        if self.primitive is not select_p:
            return (_run(self.primitive, *operands, **settings),)
        x, values = varying_alike(*operands)
        selected = lambda known, values: _run(select_p, known[0], values, lead=known[1], **settings)  # noqa: E731
        summed = lambda known, source: _run(sum_into_taken_p, known[0], source, lead=known[1], **settings)  # noqa: E731
        return (linear_call(selected, summed, (x, dict(lead)), values),)


def _uncropped(windows: Windows, axes: Collection[int]) -> Windows:
    """Windows of a share: along these axes, what lies behind the whole array is not cropped."""
    pads = tuple(
        (low, max(high, 0)) if axis in axes else (low, high) for axis, (low, high) in enumerate(windows.padding)
    )
    return windows._replace(padding=pads)


# A primitive that is the transpose of another, as a function of (known, cotangent).
_TRANSPOSES = {sum_into_taken_p: select_p, sum_into_all_p: window_sums_p}


def _program(primitive: Primitive, avals, result, *, windows: Windows, **settings) -> Program:
    """What devices compute of their shares."""
    transposed, settings = primitive in _TRANSPOSES, {"windows": windows, **settings}
    base = _TRANSPOSES.get(primitive, primitive)
    settings.pop("shape", None)
    image, counts = (
        (result, avals[-1]) if transposed else (avals[-1], result) if base is not select_p else (avals[0], result)
    )
    axes = tuple(f"s{n}" for n in range(len(windows.size)))
    pads = tuple((low, extent - 1 - low) for extent, (low, _) in zip(windows.extents, windows.padding, strict=True))
    linear = (False, True)[-len(avals) :]
    fills = (None,) if base is window_sums_p else (lowest(image.dtype, settings["largest"]), None)[: len(avals)]
    changes = (Transposed.of(linear, [axes], [result]),) if transposed else ()
    return Program(
        _Windowed(base, tuple(settings.items())),
        "constant",
        fills,
        False,
        pads,
        windows.stride,
        tuple(zip(image.shape, counts.shape, strict=True)),
        axes,
        axes,
        (axes,) * len(avals),
        (axes,),
        changes,
    )


def _lower(primitive: Primitive, ctx, *operands, **settings):
    program = _program(primitive, ctx.avals_in, ctx.avals_out[0], **settings)
    known = context_for_division(ctx, program)
    run = (
        partial(_run, primitive, **settings)
        if known is None
        else lambda *a: divided_stencil(program, program.whole, *a)[0]
    )
    return mlir.lower_fun(run, multiple_results=False)(known or ctx, *operands)


# ---- rules ----


def _abstract(primitive: Primitive, x, *values, windows: Windows, **settings):
    """The shape, and the sharding and the axes of shard_map, of a plain form of XLA that has the same."""
    sums = partial(_reduced_by_xla, windows=windows, largest=None)
    alike: dict[Primitive, Callable] = {
        select_p: lambda x, values: sums(values),
        sum_into_taken_p: lambda x, source: x.astype(source.dtype),
        sum_into_all_p: lambda source: _sum_into_all_by_xla(source, windows, settings["shape"]),
    }
    (aval,) = jax.make_jaxpr(alike.get(primitive, sums))(x, *values).out_avals
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


def _transpose(transposed: Callable, cotangent, x, values, **settings):
    zero = isinstance(cotangent, ad.Zero)
    return None, ad.Zero(values.aval) if zero else transposed(x, cotangent, **settings)


def _batch(primitive: Primitive, operands, axes, *, windows: Windows, **settings):
    size = next(a.shape[axis] for a, axis in zip(operands, axes, strict=True) if axis is not None)
    moved = [
        jnp.broadcast_to(a, (size, *a.shape)) if axis is None else jnp.moveaxis(a, axis, 0)
        for a, axis in zip(operands, axes, strict=True)
    ]
    if "shape" in settings:
        settings["shape"] = (size, *settings["shape"])
    return primitive.bind(*moved, windows=windows.with_axis_in_front(), **settings), 0


@partial(jax.jit, static_argnames=("primitive", "windows", "largest", "shape", "as_xla"))
def _compiled(*operands, primitive: Primitive, **settings):
    return primitive.bind(*operands, **settings)


def _execute(primitive: Primitive, *operands, **settings):
    with jax.disable_jit(False):  # a primitive is compiled under jax.disable_jit too
        return _compiled(*operands, primitive=primitive, **settings)


for _primitive in FORMS:
    _primitive.def_impl(partial(_execute, _primitive))
    _primitive.def_abstract_eval(partial(_abstract, _primitive))
    mlir.register_lowering(_primitive, partial(_lower, _primitive))
    batching.primitive_batchers[_primitive] = partial(_batch, _primitive)
ad.primitive_jvps[pool_p] = _tangent_of_pool
for _primitive, _transposed in ((select_p, sum_into_taken), (sum_into_taken_p, select)):
    ad.primitive_jvps[_primitive] = partial(_tangent, _primitive)
    ad.primitive_transposes[_primitive] = partial(_transpose, _transposed)
ad.deflinear2(window_sums_p, lambda ct, x, **settings: [sum_into_all(ct, shape=x.aval.shape, **settings)])
ad.deflinear2(sum_into_all_p, lambda ct, y, *, shape, **settings: [window_sums(ct, **settings)])
