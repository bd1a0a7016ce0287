"""Functions of an image whose results depend on a neighbourhood, divided among the devices of a mesh by halos.

A function of an image, such as a filter, is one equation of a program. Where XLA divides the program among devices,
each applies the function to its share with a halo, and cuts off what the halo made. Elsewhere it is the function.

Its derivatives are equations of the same kind. The derivative of what a device computes is what a device computes of
the derivative. So they come from the function by `jax.jvp` and `jax.linear_transpose`, once for the whole image and
once for a share, whose halo then goes back to the devices that it came from.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.experimental import jet
from jax.experimental.custom_partitioning import ArrayMapping, SdyShardingRule
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import Mesh

from convjax._arrays.halo import Line, extended, zeros_beyond
from convjax._arrays.sharding import mark_varying, with_devices
from convjax._operation.partition import MeshAxes, divided
from convjax._spec import Pads

Lines = tuple[Line | None, ...]  # the devices along each axis of an image; None where it is not sharded


class Program(NamedTuple):
    """f(*operands) of an equation: `f` of the stencil, or what transformations made of it.

    `images` says which operands are images, of one shape, and `results` which results are. An operand that is not an
    image lies whole on every device. A result that is not an image is the sum of what all devices compute.
    """

    f: Any  # a function
    border: str
    reach: Pads
    arity: int  # images that f takes, which come first
    is_filled: bool  # whether the last operand of f is the value of a "constant" border
    images: tuple[bool, ...]
    results: tuple[bool, ...]
    changes: tuple[Any, ...] = ()  # transformations: functions of a function

    def whole(self, *operands) -> tuple[jax.Array, ...]:
        return self._changed(self.f)(*operands)

    def share(self, lines: Lines, sizes: Sequence[int], *operands) -> tuple[jax.Array, ...]:
        """What a device computes of its share of the images, whose `sizes` are those of the whole."""
        operands = tuple(
            _without_rest(a, lines, sizes) if is_image else a for a, is_image in zip(operands, self.images, strict=True)
        )
        missing = len(sizes) - len(self.reach)  # axes that vmap added in front are not the stencil's
        lines, sizes = lines[missing:], sizes[missing:]

        def f(*operands):
            images, others = list(operands[: self.arity]), operands[self.arity :]
            fill, cuts = others[-1] if self.is_filled else None, []
            for axis, (line, reach) in enumerate(zip(lines, self.reach, strict=True)):
                if line is not None and any(reach):
                    cuts.append((axis, reach[0], images[0].shape[axis]))
                    images = [extended(x, axis, line, sizes[axis], *reach, self.border, fill) for x in images]
            results = self.f(*images, *others)
            for axis, start, size in cuts:
                results = [lax.slice_in_dim(y, start, start + size, axis=axis) for y in results]
            return tuple(results)

        return self._changed(f)(*operands)

    def _changed(self, f: Callable) -> Callable:
        for change in self.changes:
            f = change(f)
        return f


def _without_rest(x: jax.Array, lines: Lines, sizes: Sequence[int]) -> jax.Array:
    for axis, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        x = x if line is None else zeros_beyond(x, axis, line, size)
    return x


stencil_p = Primitive("convjax_stencil")
stencil_p.multiple_results = True


def stencil(
    run: Callable,
    images: Sequence[jax.Array],
    others: Sequence[Any] = (),
    cval: Any = None,
    static: tuple = (),
    *,
    border: str = "constant",
    reach: Pads,
    results: int = 1,
) -> Any:
    """run(*images, *others, cval, *static), with results of the shape of the images.

    A result depends on elements of the images that are no further than `reach`. `run` extends them by `border`, a row
    of the table in `_arrays/boundary.py`, and "constant" by zeros if cval is None. It may be called with any shape.
    With several results it is linear, because the cotangent of one that is not used is zeros, and 0 times infinity NaN.
    """
    operands = [*images, *others, *([] if cval is None else [cval])]
    program = Program(
        _Call(run, static, cval is not None, results),
        border,
        tuple(reach),
        len(images),
        cval is not None,
        tuple(n < len(images) for n in range(len(operands))),
        (True,) * results,
    )
    made = stencil_p.bind(*operands, program=program)
    return made[0] if results == 1 else tuple(made)


class _Call(NamedTuple):
    run: Callable
    static: tuple
    is_filled: bool
    results: int

    def __call__(self, *operands):
        operands = operands if self.is_filled else (*operands, None)
        made = self.run(*operands, *self.static)
        return (made,) if self.results == 1 else tuple(made)


@stencil_p.def_abstract_eval
def _abstract(*operands, program: Program):
    return list(jax.make_jaxpr(program.whole)(*operands).out_avals)


@partial(jax.jit, static_argnames="program")
def _compiled(*operands, program: Program):
    return stencil_p.bind(*operands, program=program)


@stencil_p.def_impl
def _execute(*operands, program: Program):
    with jax.disable_jit(False):
        return _compiled(*operands, program=program)


def _lower(ctx, *operands, program: Program):
    exported = ctx.module_context.lowering_parameters.for_export
    image = ctx.avals_in[program.images.index(True)]
    known = None if exported or 0 in image.shape or not any(map(any, program.reach)) else with_devices(ctx)
    run = program.whole if known is None else partial(_divided, program)
    return mlir.lower_fun(run, multiple_results=True)(known or ctx, *operands)


mlir.register_lowering(stencil_p, _lower)


def _divided(program: Program, *operands: jax.Array) -> tuple[jax.Array, ...]:
    """program.whole(*operands), with the images in shares."""
    first = program.images.index(True)
    rank, others = operands[first].ndim, itertools.count()

    def factors(is_image: bool, a) -> ArrayMapping:
        return ArrayMapping(*[f"s{n}" if is_image else f"k{next(others)}" for n in range(len(a.shape))])

    results = jax.eval_shape(program.whole, *operands)
    mapped = tuple(factors(*each) for each in zip(program.images, operands, strict=True))
    made = tuple(factors(*each) for each in zip(program.results, results, strict=True))
    whole = tuple(f"k{n}" for n in range(next(others)))

    def divide(mesh: Mesh, given, operands, results):
        shardings = list(itertools.compress(given, (*program.images, *program.results)))[::-1]  # of results first
        used: list[MeshAxes] = []
        for axis in range(rank):
            taken = {name for names in used for name in names}
            wanted = (names[axis] for names in shardings if names[axis] and not taken & set(names[axis]))
            used.append(next(wanted, ()))
        over = tuple(name for names in used for name in names)
        lines = tuple(Line.of(mesh, names) if names else None for names in used)
        sizes = operands[first].shape

        def share(*operands):
            found = zip(program.share(lines, sizes, *operands), program.results, strict=True)
            return [y if is_image or not over else lax.psum(y, over) for y, is_image in found]

        return (
            share,
            [used if each else () for each in program.images],
            [used if each else () for each in program.results],
        )

    rule = SdyShardingRule(mapped, made, need_replication_factors=whole)
    return divided(program.whole, divide, rule, program, *operands)


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

    def __call__(self, f: Callable) -> Callable:
        def tangent(*operands):
            primals, tangents = operands[: len(self.mask)], operands[len(self.mask) :]
            moving, fixed = _split(self.mask, primals)
            return jax.jvp(lambda *moving: f(*_merged(self.mask, moving, fixed)), tuple(moving), tuple(tangents))[1]

        return tangent


class _Transposed(NamedTuple):
    """From f(*operands), linear in those of the mask, to their cotangents: a function of the others and of cotangents.

    `shapes`, `dtypes` and `varying` are those of the linear operands, the last the axes of shard_map that they vary
    over. A shape of None is that of an image.
    """

    mask: tuple[bool, ...]
    shapes: tuple[tuple[int, ...] | None, ...]
    dtypes: tuple[Any, ...]
    varying: tuple[frozenset, ...]
    image: int  # an operand of the result, or a cotangent, that has the shape of an image

    def __call__(self, f: Callable) -> Callable:
        def transposed(*operands):
            count = len(self.mask) - sum(self.mask)
            fixed, cotangents = operands[:count], operands[count:]
            shapes = [operands[self.image].shape if shape is None else shape for shape in self.shapes]
            like = zip(shapes, self.dtypes, self.varying, strict=True)
            zeros = [mark_varying(jax.numpy.zeros(shape, dtype), axes) for shape, dtype, axes in like]
            linear = lambda *moving: f(*_merged(self.mask, moving, fixed))  # noqa: E731
            return jax.linear_transpose(linear, *map(jax.typeof, zeros))(tuple(cotangents))

        return transposed


def _jvp(operands, tangents, *, program: Program):
    moving = tuple(not isinstance(t, ad.Zero) for t in tangents)
    changed = program._replace(
        images=(*program.images, *itertools.compress(program.images, moving)),
        changes=(*program.changes, _Tangent(moving)),
    )
    results = stencil_p.bind(*operands, program=program)
    return results, stencil_p.bind(*operands, *itertools.compress(tangents, moving), program=changed)


def _transpose(cotangents, *operands, program: Program):
    cotangents = [ad.instantiate_zeros(ct) for ct in cotangents]
    mask = tuple(ad.is_undefined_primal(v) for v in operands)
    linear, fixed = _split(mask, operands)
    linear_images, fixed_images = _split(mask, program.images)
    images = (*fixed_images, *program.results)
    shapes = tuple(None if is_image else v.aval.shape for v, is_image in zip(linear, linear_images, strict=True))
    varying = tuple(v.aval.manual_axis_type.varying for v in linear)
    change = _Transposed(mask, shapes, tuple(v.aval.dtype for v in linear), varying, images.index(True))
    changed = program._replace(images=images, results=tuple(linear_images), changes=(*program.changes, change))
    found = iter(stencil_p.bind(*fixed, *cotangents, program=changed))
    return [next(found) if is_linear else None for is_linear in mask]


def _taylor(operands, series, *, program: Program):
    return jet.jet(program.whole, operands, series)


jet.jet_rules[stencil_p] = _taylor  # type: ignore[assignment]
ad.primitive_jvps[stencil_p] = _jvp
ad.primitive_transposes[stencil_p] = _transpose


# ---- vmap ----


class _Batched(NamedTuple):
    axes: tuple[int | None, ...]

    def __call__(self, f: Callable) -> Callable:
        return jax.vmap(f, self.axes)


def _batch(operands, axes, *, program: Program):
    size = next(a.shape[axis] for a, axis in zip(operands, axes, strict=True) if axis is not None)
    placed = []
    for a, axis, is_image in zip(operands, axes, program.images, strict=True):
        a = a if axis is None else jax.numpy.moveaxis(a, axis, 0)
        placed.append(jax.numpy.broadcast_to(a, (size, *a.shape)) if is_image and axis is None else a)
    mapped = tuple(
        0 if is_image or axis is not None else None for is_image, axis in zip(program.images, axes, strict=True)
    )
    changed = program._replace(changes=(*program.changes, _Batched(mapped)))
    results = stencil_p.bind(*placed, program=changed)
    return results, [0] * len(results)


batching.primitive_batchers[stencil_p] = _batch
