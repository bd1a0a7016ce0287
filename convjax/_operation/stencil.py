"""Functions of an image whose results depend on a neighbourhood, divided among the devices of a mesh by halos.

A function of an image, such as a filter, is one equation of a program. Where XLA divides the program among devices,
each applies the function to its share with a halo, and cuts off what the halo made. Elsewhere it is the function.

Its derivatives are equations of the same kind. The derivative of what a device computes is what a device computes of
the derivative. So they come from the function by `jax.jvp` and `jax.linear_transpose`, once for the whole image and
once for a share, whose halo then goes back to the devices that it came from.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import jet
from jax.experimental.custom_partitioning import ArrayMapping, SdyShardingRule
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jax.sharding import Mesh

from convjax._arrays.halo import Line, extended, zeros_beyond
from convjax._arrays.sharding import mark_varying, with_devices
from convjax._operation.partition import MeshAxes, divided
from convjax._spec import Pads, Sizes

CHANNELS = ("i", "o")  # axes to sum over, of which devices may hold the whole

Axes = tuple[str | None, ...]  # a name for each axis of an array; None for one that is whole on every device


class Program(NamedTuple):
    """f(*operands) of an equation: `f` of the stencil, or what transformations made of it.

    Axes of one name are divided alike. Along the axis s0, s1, ... of an image, the result j depends on the elements
    from j * stride - low to j * stride + high, where (low, high) is the reach. Along axes of other names, results
    depend on the elements of the same place. A result without the name of an axis is the sum over that axis, of what
    the devices compute, and f is linear there.
    """

    f: Any  # f(*operands, lead); of an axis that is divided, `lead` has how many elements in front are border
    border: str
    fills: tuple[Any, ...]  # the values of a "constant" border, of every image
    is_filled: bool  # whether the last operand of f has this value instead
    reach: Pads
    stride: Sizes
    sizes: tuple[tuple[int, int], ...]  # of the axes s0, s1, ...: of images, and of results
    image: Axes  # the axes of the images that f takes, which come first, and those of its results
    result: Axes
    operands: tuple[Axes, ...]
    results: tuple[Axes, ...]
    changes: tuple[Any, ...] = ()  # transformations: functions of a function and of the devices along axes

    def whole(self, *operands) -> tuple[jax.Array, ...]:
        return self._changed(partial(self.f, lead={}), {})(*operands)

    def share(self, lines: Mapping[str, Line], shapes: Sequence[Sequence[int]], *operands) -> tuple[jax.Array, ...]:
        """What a device computes of its share of the operands, whose `shapes` are those of the whole."""
        operands = tuple(
            _without_rest(
                a, [(n, lines[axis], size) for n, (axis, size) in enumerate(zip(*each, strict=True)) if axis in lines]
            )
            for a, *each in zip(operands, self.operands, shapes, strict=True)
        )

        def f(*operands):
            count, cuts, lead = len(self.fills), [], {}
            images, others = list(operands[:count]), operands[count:]
            fills = others[-1:] * count if self.is_filled else self.fills
            for d, (reach, stride, sizes) in enumerate(zip(self.reach, self.stride, self.sizes, strict=True)):
                line, axis = lines.get(f"s{d}"), self.image.index(f"s{d}")
                if line is not None:
                    around = _Around.of(reach, stride, sizes, line.devices)
                    images = _all_read(images, fills, around, axis, line, sizes[0], self.border)
                    lead[axis] = around.border_in_front(stride, line)
                    cuts.append((self.result.index(f"s{d}"), around.left_out, around.results))
            results = self.f(*images, *others, lead=lead)
            for axis, start, size in cuts:
                results = [lax.slice_in_dim(y, start, start + size, axis=axis) for y in results]
            return tuple(results)

        return self._changed(f, {axis: line.devices for axis, line in lines.items()})(*operands)

    def _changed(self, f: Callable, devices: Mapping[str, int]) -> Callable:
        for change in self.changes:
            f = change(f, devices)
        return f


class _Around(NamedTuple):
    """What a device reads along an axis, for its share of the results."""

    before: int  # elements in front of its share that some device reads, and behind
    behind: int
    starts: tuple[int, ...]  # where the windows of each device begin, in what it has then
    length: int
    zeros: int  # in front, so that the windows of the results begin at a multiple of the stride
    left_out: int  # results in front, of these zeros and of the halo
    results: int

    @classmethod
    def of(cls, reach: tuple[int, int], stride: int, sizes: tuple[int, int], devices: int) -> "_Around":
        low, high = max(reach[0], 0), reach[1]
        share, results = (-(-n // devices) for n in sizes)
        length = low + (results - 1) * stride + max(high + 1, stride)
        # Shares of results may begin elsewhere than those of the image that they are of.
        begins = [n * (results * stride - share) - low for n in range(-(-sizes[1] // results))]
        before = max(0, *(-begin for begin in begins))
        behind = max(0, *(begin + length - share for begin in begins))
        starts = [before + begin for begin in begins]
        left_out = -(-low // stride)
        starts += [starts[-1]] * (devices - len(starts))  # devices that have no results
        return cls(before, behind, tuple(starts), length, left_out * stride - low, left_out, results)

    def read(self, x: jax.Array, axis: int, line: Line, size: int, border: str, value: Any) -> jax.Array:
        if self.before or self.behind:
            x = extended(x, axis, line, size, self.before, self.behind, border, value)
        if len(set(self.starts)) > 1:
            start = jnp.asarray(self.starts, jnp.int32)[line.place()]
            x = lax.dynamic_slice_in_dim(x, start, self.length, axis=axis)
        elif self.length < x.shape[axis]:
            x = lax.slice_in_dim(x, self.starts[0], self.starts[0] + self.length, axis=axis)
        widths = [(self.zeros if n == axis else 0, 0, 0) for n in range(x.ndim)]
        return lax.pad(x, jnp.zeros((), x.dtype), widths) if self.zeros else x

    def border_in_front(self, stride: int, line: Line):
        """How many elements of what a device reads are in front of the image."""
        most = self.left_out * stride
        return jnp.clip(most - line.place() * self.results * stride, 0, most) if most else 0


def _all_read(images, fills, around: _Around, axis: int, line: Line, size: int, border: str) -> list[jax.Array]:
    """What a device reads of its shares of images, in one exchange if these may be stacked."""
    is_alike = all(x.dtype == images[0].dtype and v is fills[0] for x, v in zip(images, fills, strict=True))
    if len(images) == 1 or not is_alike:
        return [around.read(x, axis, line, size, border, v) for x, v in zip(images, fills, strict=True)]
    return list(around.read(jnp.stack(images), axis + 1, line, size, border, fills[0]))


def _without_rest(x: jax.Array, divided: Sequence[tuple[int, Line, int]]) -> jax.Array:
    for axis, line, size in divided:
        x = zeros_beyond(x, axis, line, size)
    return x


stencil_p = Primitive("convjax_stencil")
stencil_p.multiple_results = True


class _Call(NamedTuple):
    run: Callable
    static: tuple
    is_filled: bool
    results: int

    def __call__(self, *operands: Any, lead: Mapping[int, Any]) -> tuple[jax.Array, ...]:
        operands = operands if self.is_filled else (*operands, None)
        made = self.run(*operands, *self.static)
        return (made,) if self.results == 1 else tuple(made)


def stencil(
    run: Callable,
    images: Sequence[jax.Array],
    others: Sequence[Any] = (),
    cval: Any = None,
    static: tuple = (),
    *,
    border: str = "constant",
    reach: Pads,
    stride: Sizes | None = None,
    axes: Sequence[Axes] | None = None,
    results: int = 1,
) -> Any:
    """run(*images, *others, cval, *static), divided among devices where they are.

    `axes` names those of the images, which have one shape, of each other operand, and of the results, which have one
    shape. See `Program`. By default results have the shape of the images, and others are whole on every device. `run`
    extends the images by `border`, a row of the table in `_arrays/boundary.py`, and "constant" by zeros if cval is
    None. It may be called with any shape. With several results it is linear, because the cotangent of one that is not
    used is zeros, and 0 times infinity NaN.
    """
    all_axes: Axes = tuple(f"s{n}" for n in range(images[0].ndim))
    image, *named, result = axes or (all_axes, *[(None,) * jnp.ndim(a) for a in others], all_axes)
    stride = (1,) * len(reach) if stride is None else stride
    operands = [*images, *others, *([] if cval is None else [cval])]
    f = _Call(run, static, cval is not None, results)
    counts = jax.eval_shape(lambda *operands: f(*operands, lead={}), *operands)[0].shape
    program = Program(
        f,
        border,
        (None,) * len(images),
        cval is not None,
        tuple(reach),
        stride,
        tuple((images[0].shape[image.index(f"s{d}")], counts[result.index(f"s{d}")]) for d in range(len(reach))),
        image,
        result,
        (*[image] * len(images), *named, *([] if cval is None else [()])),
        (result,) * results,
    )
    made = _bind(program, program.whole, *operands)
    return made[0] if results == 1 else tuple(made)


def _bind(program: Program, whole: Callable, *operands: Any) -> list[jax.Array]:
    """The equation of a program, and its body: what it computes where it is not divided."""
    return stencil_p.bind(*operands, program=program, body=jax.make_jaxpr(whole)(*operands))


def _changed(program: Program, change: Any, body: ClosedJaxpr, *operands: Any, **parts: Any) -> list[jax.Array]:
    """The equation of what a transformation makes of a program."""
    changed = program._replace(changes=(*program.changes, change), **parts)
    return _bind(changed, change(_function(body), {}), *operands)


def _function(body: ClosedJaxpr) -> Callable:
    run = jaxpr_as_fun(body)
    return lambda *operands: tuple(run(*operands))


@stencil_p.def_abstract_eval
def _abstract(*_, program: Program, body):
    return list(body.out_avals)


@partial(jax.jit, static_argnames="program")
def _compiled(*operands, program: Program):
    return _bind(program, program.whole, *operands)


@stencil_p.def_impl
def _execute(*operands, program: Program, body):
    with jax.disable_jit(False):
        return _compiled(*operands, program=program)


def _lower(ctx, *operands, program: Program, body):
    known = context_for_division(ctx, program)
    run = _function(body) if known is None else partial(divided_stencil, program, _function(body))
    return mlir.lower_fun(run, multiple_results=True)(known or ctx, *operands)


mlir.register_lowering(stencil_p, _lower)


def context_for_division(ctx: Any, program: Program) -> Any:
    """`with_devices`, but None for a program without a neighbourhood, which XLA divides as well."""
    return with_devices(ctx) if any(map(any, program.reach)) else None


def divided_stencil(program: Program, whole: Callable, *operands: jax.Array) -> tuple[jax.Array, ...]:
    """whole(*operands), which is that of the program, with the operands in shares."""
    others = itertools.count()

    def mapping(axes: Axes) -> ArrayMapping:
        return ArrayMapping(*[f"k{next(others)}" if axis is None else axis for axis in axes])

    operand_axes, result_axes = (tuple(map(mapping, each)) for each in (program.operands, program.results))
    undivided = tuple(f"k{n}" for n in range(next(others)))

    def divide(mesh: Mesh, given, operands, results):
        shapes = [a.shape for a in operands]
        sizes = [math.prod(a.shape) for a in (*operands, *results)]
        used: dict[str, MeshAxes] = {}
        arrays = [*zip((*program.operands, *program.results), given, strict=True)]
        for axes, names_of_axes in reversed(arrays):
            for axis, names in zip(axes, names_of_axes, strict=True):
                taken = {name for each in used.values() for name in each}
                is_free = axis is not None and names and axis not in used and not taken & set(names)
                if is_free and _adds_less(program, axis, sizes):
                    used[axis] = names
        lines = {axis: Line.of(mesh, names) for axis, names in used.items()}

        def share(*operands):
            made = program.share(lines, shapes, *operands)
            return [
                _summed(y, [used[axis] for axis in used if axis not in axes])
                for y, axes in zip(made, program.results, strict=True)
            ]

        def shardings(arrays: Sequence[Axes]) -> list[list[MeshAxes]]:
            return [[used.get(axis or "", ()) for axis in axes] for axes in arrays]

        return share, shardings(program.operands), shardings(program.results)

    rule = SdyShardingRule(operand_axes, result_axes, need_replication_factors=undivided)
    return divided(whole, divide, rule, program, *operands)


def _adds_less(program: Program, axis: str, sizes: Sequence[int]) -> bool:
    """Whether the sums over channels move less than the operands that have them."""
    operands, results = sizes[: len(program.operands)], sizes[len(program.operands) :]
    summed = [n for n, axes in zip(results, program.results, strict=True) if axis not in axes]
    held = [n for n, axes in zip(operands, program.operands, strict=True) if axis in axes]
    return axis not in CHANNELS or 2 * sum(summed) <= sum(held)


def _summed(y: jax.Array, over: Sequence[MeshAxes]) -> jax.Array:
    names = tuple(name for each in over for name in each)
    return lax.psum(y, names) if names else y


# ---- derivatives ----


def _merged(mask: Sequence[bool], chosen: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """`chosen` where the mask says so, and `others` elsewhere, in order."""
    sources = {True: iter(chosen), False: iter(others)}
    return [next(sources[each]) for each in mask]


def _split(mask: Sequence[bool], values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    return list(itertools.compress(values, mask)), list(itertools.compress(values, [not each for each in mask]))


class _Tangent(NamedTuple):
    """From f(*operands) to its tangent, a function of the operands and of the tangents of those in the mask."""

    mask: tuple[bool, ...]

    def __call__(self, f: Callable, devices: Mapping[str, int]) -> Callable:
        def tangent(*operands):
            primals, tangents = operands[: len(self.mask)], operands[len(self.mask) :]
            moving, fixed = _split(self.mask, primals)
            return jax.jvp(lambda *moving: f(*_merged(self.mask, moving, fixed)), tuple(moving), tuple(tangents))[1]

        return tangent


class Transposed(NamedTuple):
    """From f(*operands), linear in those of the mask, to their cotangents: a function of the others and of cotangents.

    `axes`, `shapes`, `dtypes` and `varying` are those of the linear operands, the last the axes of shard_map that they
    vary over.
    """

    mask: tuple[bool, ...]
    axes: tuple[Axes, ...]
    shapes: tuple[Sizes, ...]
    dtypes: tuple[Any, ...]
    varying: tuple[frozenset, ...]

    @classmethod
    def of(cls, mask: Sequence[bool], axes: Sequence[Axes], avals: Sequence[Any]) -> "Transposed":
        """For linear operands of these types."""
        varying = tuple(a.manual_axis_type.varying for a in avals)
        return cls(tuple(mask), tuple(axes), tuple(a.shape for a in avals), tuple(a.dtype for a in avals), varying)

    def __call__(self, f: Callable, devices: Mapping[str, int]) -> Callable:
        shares = [
            tuple(-(-n // devices.get(axis or "", 1)) for axis, n in zip(*each, strict=True))
            for each in zip(self.axes, self.shapes, strict=True)
        ]

        def transposed(*operands):
            count = len(self.mask) - sum(self.mask)
            fixed, cotangents = operands[:count], operands[count:]
            like = zip(shares, self.dtypes, self.varying, strict=True)
            zeros = [mark_varying(jnp.zeros(shape, dtype), axes) for shape, dtype, axes in like]
            linear = lambda *moving: f(*_merged(self.mask, moving, fixed))  # noqa: E731
            return jax.linear_transpose(linear, *map(jax.typeof, zeros))(tuple(cotangents))

        return transposed


def _jvp(operands, tangents, *, program: Program, body):
    moving = tuple(not isinstance(t, ad.Zero) for t in tangents)
    moved = [*operands, *itertools.compress(tangents, moving)]
    axes = (*program.operands, *itertools.compress(program.operands, moving))
    results = stencil_p.bind(*operands, program=program, body=body)
    return results, _changed(program, _Tangent(moving), body, *moved, operands=axes)


def _transpose(cotangents, *operands, program: Program, body):
    cotangents = [ad.instantiate_zeros(ct) for ct in cotangents]
    mask = [ad.is_undefined_primal(v) for v in operands]
    linear, fixed = _split(mask, operands)
    linear_axes, fixed_axes = _split(mask, program.operands)
    change = Transposed.of(mask, linear_axes, [v.aval for v in linear])
    axes = (*fixed_axes, *program.results)
    made = _changed(program, change, body, *fixed, *cotangents, operands=axes, results=tuple(linear_axes))
    found = iter(made)
    return [next(found) if is_linear else None for is_linear in mask]


def _taylor(operands, series, *, program: Program, body):
    return jet.jet(_function(body), operands, series, factorial_scaled=False)  # rules have coefficients


jet.jet_rules[stencil_p] = _taylor  # type: ignore[assignment]
ad.primitive_jvps[stencil_p] = _jvp
ad.primitive_transposes[stencil_p] = _transpose


# ---- vmap ----


class _Batched(NamedTuple):
    axes: tuple[int | None, ...]

    def __call__(self, f: Callable, devices: Mapping[str, int]) -> Callable:
        return jax.vmap(f, self.axes)


def _batch(operands, axes, *, program: Program, body):
    name = f"v{len(program.changes)}"  # of the new axis
    placed = [a if axis is None else jnp.moveaxis(a, axis, 0) for a, axis in zip(operands, axes, strict=True)]
    mapped = tuple(None if axis is None else 0 for axis in axes)
    named = tuple(
        given if axis is None else (name, *given) for given, axis in zip(program.operands, mapped, strict=True)
    )
    of_results = tuple((name, *given) for given in program.results)
    results = _changed(program, _Batched(mapped), body, *placed, operands=named, results=of_results)
    return results, [0] * len(results)


batching.primitive_batchers[stencil_p] = _batch
