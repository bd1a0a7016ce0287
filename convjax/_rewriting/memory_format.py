"""A traced program with its images held with the channels last.

A value (N, C, *n) that a convolution made is held as (N, *n, C), and so is what is computed from it elementwise, by
reductions, paddings, slices, concatenations and poolings. Where another operation needs it, it is transposed back, and
the results of the program are. XLA alone does not find these orders: it lays out each operation by its neighbours, and
copies where two chains of them meet.

An order is the tuple of a value's axes as they are held: (0, 2, 3, 1) for the channels of an image last.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun, jaxprs_in_params
from jax.extend.core.primitives import custom_jvp_call_p, custom_vjp_call_p, jit_p, remat_p

from convjax._arrays import xla_cpu
from convjax._arrays.pooling import Windows
from convjax._operation.pool_primitives import FORMS
from convjax._operation.primitive import conv_p, grouped_weight_gradient, weight_gradient_p
from convjax._rewriting.programs import equations_of, with_programs_changed

Order = tuple[int, ...]
Atom = Var | Literal

# fmt: off
ELEMENTWISE = frozenset((
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "conj", "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc",
    "exp", "exp2", "expm1", "floor", "ge", "gt", "imag", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p",
    "logistic", "lt", "max", "min", "mul", "name", "ne", "neg", "nextafter", "not", "or", "pow", "real",
    "reduce_precision", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient",
    "sub", "tan", "tanh", "xor",
))
REDUCTIONS = frozenset((
    "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "argmax", "argmin",
))
# fmt: on
POOLINGS = frozenset(primitive.name for primitive in FORMS)


def with_channels_last(program: ClosedJaxpr) -> ClosedJaxpr:
    """The program with its images held with the channels last. Its arguments and results are as they were."""
    return _Programs().closed(program)


class _Value:
    """An array of the program: the variables that hold it, by order, and the order that it is held in.

    If `make` is given, nothing holds it yet, and any order is made when it is needed.
    """

    def __init__(self, order: Order, held: Atom | None = None, make: Callable[[Order], Atom] | None = None):
        self.order, self.make = order, make
        self.made_by: JaxprEqn | None = None
        self.forms: dict[Order, Atom] = {} if held is None else {order: held}

    @property
    def rank(self) -> int:
        return len(self.order)

    @property
    def is_image(self) -> bool:
        """Whether it is held in another order than its own."""
        return self.order != _own(self.rank)


class _Programs:
    """One rewriting. A program that several equations call with operands in the same orders is laid out once."""

    def __init__(self):
        self._done: dict[tuple, tuple[Jaxpr, Jaxpr, list[Order]]] = {}  # with the old program, which keeps its id taken

    def closed(self, program: ClosedJaxpr) -> ClosedJaxpr:
        return ClosedJaxpr(self.plain(program.jaxpr), program.consts)

    def plain(self, jaxpr: Jaxpr) -> Jaxpr:
        """The program with arguments and results in their own orders."""
        orders = [[_own(_rank(v)) for v in variables] for variables in (jaxpr.invars, jaxpr.outvars)]
        return self.laid_out(jaxpr, *orders)[0]

    def laid_out(
        self, jaxpr: Jaxpr, orders: Sequence[Order], results: Sequence[Order] | None = None
    ) -> tuple[Jaxpr, list[Order]]:
        """The program with its arguments in these orders, and its results in these, or else as they are held."""
        key = id(jaxpr), tuple(orders), results and tuple(results)
        if key not in self._done:
            self._done[key] = (jaxpr, *_Program(self).run(jaxpr, orders, results))
        return self._done[key][1:]


class _Program:
    """The equations of one program, as they are laid out."""

    def __init__(self, programs: _Programs):
        self.programs, self.equations = programs, list[JaxprEqn]()
        self._values: dict[Var, _Value] = {}

    def run(self, jaxpr: Jaxpr, orders: Sequence[Order], results: Sequence[Order] | None) -> tuple[Jaxpr, list[Order]]:
        invars = [_in_order(v, order) for v, order in zip(jaxpr.invars, orders, strict=True)]
        self._values = dict(zip(jaxpr.invars, map(_Value, orders, invars), strict=True))
        self._values |= {v: _Value(_own(_rank(v)), v) for v in jaxpr.constvars}
        for equation in jaxpr.eqns:
            self._equation(equation)
        values = [self._value(v) for v in jaxpr.outvars]
        results = [value.order for value in values] if results is None else list(results)
        outvars = [self.held(value, order) for value, order in zip(values, results, strict=True)]
        return jaxpr.replace(invars=invars, eqns=self.equations, outvars=outvars), results

    def _value(self, v: Atom) -> _Value:
        return self._values[v] if isinstance(v, Var) else _Value(_own(_rank(v)), v)

    def held(self, value: _Value, order: Order | None = None) -> Atom:
        """A variable that holds the value in this order, or else in that which it is held in."""
        order = value.order if order is None else order
        if order not in value.forms:
            if value.make is not None:
                value.forms[order] = value.make(order)
            else:
                axes = [value.order.index(axis) for axis in order]
                like = value.made_by or self._like
                move = xla_cpu.transpose if value.is_image and not _is_typed(like) else lax.transpose
                transposed = partial(move, permutation=tuple(axes))
                (value.forms[order],) = self.emit(transposed, [value.forms[value.order]], like)
        return value.forms[order]

    def emit(self, function: Callable, operands: Sequence[Atom], like: JaxprEqn) -> list[Atom]:
        """Add the equations of a function of these operands, said to stand where `like` stands."""
        equations, results = equations_of(function, operands, like)
        self.equations += equations
        return results

    def _equation(self, equation: JaxprEqn) -> None:
        self._like = equation
        values = [self._value(v) for v in equation.invars]
        typed = _is_typed_call(equation)
        rule = None if typed else _RULES.get(equation.primitive.name)
        results = None if rule is None else rule(self, equation, values)
        if results is None:
            inside = not typed and equation.primitive is not custom_vjp_call_p
            results = self._kept(equation, values, inside)
        for result in results:
            result.made_by = equation
        self._values |= zip(equation.outvars, results, strict=True)

    def _kept(self, equation: JaxprEqn, values: list[_Value], inside: bool) -> list[_Value]:
        """The equation as it is, on values in their own orders. The programs that it calls may be laid out inside."""
        invars = [self.held(value, _own(value.rank)) for value in values]
        if inside:
            equation = with_programs_changed(equation, self.programs.plain)
        self.equations.append(equation.replace(invars=invars))
        return [_Value(_own(_rank(v)), v) for v in equation.outvars]


def _is_typed(equation: JaxprEqn) -> bool:
    """Whether it stands under a mesh that is part of the types of values: in shard_map, or explicit axes."""
    mesh = equation.ctx.cur_abstract_mesh
    return any(getattr(mesh, name, ()) for name in ("manual_axes", "explicit_axes"))


def _is_typed_call(equation: JaxprEqn) -> bool:
    """Whether it calls a program, and is typed. New values lack what their types would say, so the program stays as it
    is.
    """
    return _is_typed(equation) and any(True for _ in jaxprs_in_params(equation.params))


def _own(rank: int) -> Order:
    return tuple(range(rank))


def _rank(v: Atom) -> int:
    return len(getattr(v.aval, "shape", ()))


def _in_order(v: Var, order: Order) -> Var:
    """v, or a variable for v in another order than its own."""
    if order == _own(_rank(v)):
        return v
    (held,) = jax.make_jaxpr(partial(lax.transpose, permutation=order))(v.aval).jaxpr.outvars
    return held


# ---- rules: the results of an equation, as they are held, or None to keep the equation as it is ----

Results = list[_Value] | None


def _bind(equation: JaxprEqn, **changed) -> Callable:
    return partial(equation.primitive.bind, **(equation.params | changed))


def _in_one_order(changed: Callable[[dict, Order], dict | None], indices: bool = False) -> Callable:
    """The rule of an operation whose images, and results, are held in one order. Its other operands are scalars.

    changed(params, order) are the parameters that name axes, or None if the operation needs the order of its own.
    With `indices`, the scalars behind the images have an entry for each axis.
    """

    def rule(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
        rank = _rank(equation.outvars[0])
        order = next((v.order for v in values if v.is_image and v.rank == rank), None)
        if order is None or equation.params.get("sharding") is not None:
            return None
        params = changed(equation.params, order)
        if params is None:
            return None
        operands = [program.held(v, order if v.rank else ()) for v in values]
        if indices:
            operands[-rank:] = [operands[axis - rank] for axis in order]
        return [_Value(order, held) for held in program.emit(_bind(equation, **params), operands, equation)]

    return rule


def _by_axis(*names: str, indices: bool = False) -> Callable:
    """The rule of operations with parameters that have an entry for each axis."""

    def changed(params: dict, order: Order) -> dict:
        return {name: tuple(params[name][axis] for axis in order) for name in names if params[name] is not None}

    return _in_one_order(changed, indices)


def _along_axes(name: str) -> Callable:
    """The rule of operations along one axis, or several, which a parameter numbers."""

    def changed(params: dict, order: Order) -> dict:
        axes = params[name]
        return {name: tuple(map(order.index, axes)) if np.ndim(axes) else order.index(axes)}

    return _in_one_order(changed)


def _pooling(params: dict, order: Order) -> dict | None:
    """The windows keep their order, by which the first of equal elements is found."""
    windows: Windows = params["windows"]
    moving = [axis for axis in order if windows.moves(axis)]
    if moving != sorted(moving):
        return None
    entries: Any = (tuple(entry[axis] for axis in order) for entry in windows)
    shape = {"shape": tuple(params["shape"][axis] for axis in order)} if "shape" in params else {}
    return {"windows": Windows(*entries), **shape}


def _barrier(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    """Operations of several operands, each with a result like it."""
    results = program.emit(_bind(equation), [program.held(v) for v in values], equation)
    return [_Value(v.order, held) for v, held in zip(values, results, strict=True)]


def _convolution(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    x, w = values
    spec = equation.params["spec"]
    last = spec._replace(hints=spec.hints._replace(memory_format="channels_last"))
    rank = x.rank
    order = (0, *range(2, rank), 1)
    if spec.hints.layer_weight != "kernel":  # of a weight gradient, the images are transposed already
        operands = [program.held(v, _own(rank)) for v in values]
        return [_Value(_own(rank), held) for held in program.emit(_bind(equation, spec=last), operands, equation)]

    def run(x, w):
        back = lax.transpose(x, (0, rank - 1, *range(1, rank - 1)))
        kernel = w if spec.hints.flipped_weight else _with_channels_last(w)
        return lax.transpose(_bind(equation, spec=last)(back, kernel), order)

    operands = [program.held(x, order), program.held(w, _own(rank))]
    return [_Value(order, held) for held in program.emit(run, operands, equation)]


def _with_channels_last(w: jax.Array) -> jax.Array:
    """The kernel w, of which a single tap is made from (*k, I, O), so that gradients merge transpositions with that."""
    if math.prod(w.shape[2:]) > 1:
        return w
    matrix = w.reshape(w.shape[:2]).T
    return matrix.reshape(*w.shape[2:], *matrix.shape).transpose(w.ndim - 1, w.ndim - 2, *range(w.ndim - 2))


def _weight_gradient(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    spec, rank = equation.params["spec"], values[0].rank
    last = spec._replace(hints=spec.hints._replace(memory_format="channels_last"))

    def run(x, ct):
        x, ct = (lax.transpose(v, (0, rank - 1, *range(1, rank - 1))) for v in (x, ct))
        return grouped_weight_gradient(x, ct, last, equation.params["algorithm"])

    operands = [program.held(v, (0, *range(2, rank), 1)) for v in values]
    return [_Value(_own(rank), held) for held in program.emit(run, operands, equation)]


def _broadcast(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    params = equation.params
    if len(values) > 1 or params.get("sharding") is not None:
        return None
    (value,), shape, dims = values, params["shape"], params["broadcast_dimensions"]
    if len(shape) < 3:
        return None

    def make(order: Order) -> Atom:
        """The operand with its axes as their places in this order follow one another, and the rest as given."""
        inner = tuple(sorted(range(len(dims)), key=lambda n: order.index(dims[n])))
        changed = {
            "shape": tuple(shape[axis] for axis in order),
            "broadcast_dimensions": tuple(order.index(dims[n]) for n in inner),
        }
        (held,) = program.emit(_bind(equation, **changed), [program.held(value, inner)], equation)
        return held

    if value.is_image and value.rank == len(shape):
        return [_Value(value.order, make(value.order))]
    return [_Value(_own(len(shape)), make=make)]


def _reduction(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    (value,), params = values, equation.params
    if not value.is_image or params.get("out_sharding") is not None:
        return None
    axes = params["axes"]
    rest = [axis for axis in value.order if axis not in axes]
    order = tuple(sorted(rest).index(axis) for axis in rest)
    changed = tuple(sorted(value.order.index(axis) for axis in axes))
    (held,) = program.emit(_bind(equation, axes=changed), [program.held(value)], equation)
    return [_Value(order, held)]


def _transpose(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    """No operation: the value is held already."""
    (value,), permutation = values, equation.params["permutation"]
    if value.rank < 3:
        return None
    return [_Value(tuple(permutation.index(axis) for axis in value.order), program.held(value))]


def _reshape(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    """Axes of one element that come and go. Other shapes need the value in its own order."""
    value, given, result = values[0], equation.invars[0].aval, equation.outvars[0].aval
    before, shape = given.shape, result.shape  # type: ignore[attr-defined]
    old, new = ([axis for axis, n in enumerate(s) if not _is_one(n)] for s in (before, shape))
    same = [before[axis] for axis in old] == [shape[axis] for axis in new]
    if not value.is_image or len(values) > 1 or not same or equation.params.get("sharding") is not None:
        return None
    moved = dict(zip(old, new, strict=True))
    ones = [axis for axis in range(len(shape)) if axis not in new]
    order = (*ones, *(moved[axis] for axis in value.order if axis in moved))
    sizes = [shape[axis] for axis in order]
    (held,) = program.emit(lambda x: lax.reshape(x, sizes), [program.held(value)], equation)
    return [_Value(order, held)]


def _is_one(n: Any) -> bool:
    return isinstance(n, int) and n == 1


def _call(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    """A program that is called, with images as they are held. Shardings that it names are for axes as they were."""
    params = equation.params
    shardings = (*params.get("in_shardings", ()), *params.get("out_shardings", ()))
    layouts = (*params.get("in_layouts", ()), *params.get("out_layouts", ()))
    if any(type(s).__name__ != "UnspecifiedValue" for s in shardings) or any(layouts):
        return None
    given, orders = params["jaxpr"], [v.order for v in values]
    with equation.ctx.manager:
        inner, results = program.programs.laid_out(given.jaxpr if isinstance(given, ClosedJaxpr) else given, orders)
    changed = ClosedJaxpr(inner, given.consts) if isinstance(given, ClosedJaxpr) else inner
    held = program.emit(_bind(equation, jaxpr=changed), [program.held(v) for v in values], equation)
    return list(map(_Value, results, held))


def _custom_jvp(program: _Program, equation: JaxprEqn, values: list[_Value]) -> Results:
    """A function with a derivative of its own, such as `jax.nn.relu`: both are laid out."""
    params, n = equation.params, len(values)
    dtypes = [getattr(v.aval, "dtype", None) for v in equation.invars]
    real = all(dtype is not None and jax.numpy.issubdtype(dtype, jax.numpy.floating) for dtype in dtypes)
    if params["symbolic_zeros"] or params["num_consts"] or not real or not any(v.is_image for v in values):
        return None
    called, orders = params["call_jaxpr"], [v.order for v in values]
    with equation.ctx.manager:
        inner, results = program.programs.laid_out(called.jaxpr, orders)
    function = jax.custom_jvp(lambda *operands: jaxpr_as_fun(ClosedJaxpr(inner, called.consts))(*operands))

    def derivative(primals, tangents):
        jaxpr, consts, zeros = params["jvp_jaxpr_fun"].call_wrapped(*[False] * n)
        wanted = [*results, *(order for order, zero in zip(results, zeros, strict=True) if not zero)]
        made, _ = _Programs().laid_out(jaxpr, [*orders, *orders], wanted)
        found = jaxpr_as_fun(ClosedJaxpr(made, consts))(*primals, *tangents)
        values, rest = found[: len(results)], iter(found[len(results) :])
        return values, [jax.numpy.zeros_like(y) if zero else next(rest) for y, zero in zip(values, zeros, strict=True)]

    function.defjvp(derivative)
    held = program.emit(function, [program.held(v) for v in values], equation)
    return list(map(_Value, results, held))


_RULES: dict[str, Callable[[_Program, JaxprEqn, list[_Value]], Results]] = {
    **dict.fromkeys(ELEMENTWISE, _by_axis()),
    **dict.fromkeys(REDUCTIONS, _reduction),
    **dict.fromkeys(POOLINGS, _in_one_order(_pooling)),
    conv_p.name: _convolution,
    weight_gradient_p.name: _weight_gradient,
    jit_p.name: _call,
    remat_p.name: _call,
    custom_jvp_call_p.name: _custom_jvp,
    "optimization_barrier": _barrier,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "reshape": _reshape,
    "squeeze": _reshape,
    "pad": _by_axis("padding_config"),
    "slice": _by_axis("start_indices", "limit_indices", "strides"),
    "dynamic_slice": _by_axis("slice_sizes", indices=True),
    "dynamic_update_slice": _by_axis(indices=True),
    "concatenate": _along_axes("dimension"),
    "split": _along_axes("axis"),
    "rev": _along_axes("dimensions"),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), _along_axes("axis")),
}
