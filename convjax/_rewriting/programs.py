"""Traced programs in which some equations are replaced, also in the functions that they call.

A program is not run again to be rewritten. Equations are taken out of it, and others put in their place. So all that is
not replaced stays as it was: effects, source lines, name scopes, donated buffers, and the meshes around it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.extend import linear_util
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

Made = Mapping[Var, JaxprEqn]  # the equation that made a variable


class Replacement(NamedTuple):
    """What to compute instead of an equation: a function, and its operands among the variables made before."""

    function: Callable
    operands: list[Any]


class Rule(Protocol):
    """The replacement of an equation, or None to keep it."""

    def __call__(self, equation: JaxprEqn, made_by: Made, /) -> Replacement | None: ...


def first_of(*rules: Rule) -> Rule:
    """The rule that takes the first replacement of several rules."""

    def rule(equation: JaxprEqn, made_by: Made) -> Replacement | None:
        return next((found for each in rules if (found := each(equation, made_by)) is not None), None)

    return rule


def rewritten(program: ClosedJaxpr, rule: Rule) -> ClosedJaxpr:
    """The program with every equation replaced for which `rule` returns a replacement.

    The rules of `jax.custom_jvp` and `jax.custom_vjp` are rewritten too, when they are traced.
    """
    return _Rewriting(rule).closed(program)


class _Rewriting:
    """One rewriting. A program that several equations call is rewritten once, so that XLA compiles it once."""

    def __init__(self, rule: Rule):
        self._rule = rule
        self._done: dict[int, tuple[Jaxpr, Jaxpr]] = {}  # by id: a program, which keeps its id taken, and the new one

    def closed(self, program: ClosedJaxpr) -> ClosedJaxpr:
        jaxpr = self._once(program.jaxpr)
        return program if jaxpr is program.jaxpr else ClosedJaxpr(jaxpr, program.consts)

    def _once(self, jaxpr: Jaxpr) -> Jaxpr:
        if id(jaxpr) not in self._done:
            self._done[id(jaxpr)] = (jaxpr, self._jaxpr(jaxpr))
        return self._done[id(jaxpr)][1]

    def _jaxpr(self, jaxpr: Jaxpr) -> Jaxpr:
        made_by: dict[Var, JaxprEqn] = {}
        equations: list[JaxprEqn] = []
        for equation in jaxpr.eqns:
            replacement = self._rule(equation, made_by)
            equations += [self._inside(equation)] if replacement is None else _in_place(replacement, equation)
            made_by.update(dict.fromkeys(equation.outvars, equation))
        same = len(equations) == len(jaxpr.eqns) and all(map(lambda a, b: a is b, equations, jaxpr.eqns))
        return jaxpr if same else jaxpr.replace(eqns=equations)

    def _inside(self, equation: JaxprEqn) -> JaxprEqn:
        """The equation with the programs among its parameters rewritten."""
        equation = with_programs_changed(equation, self._once)
        later = {
            name: linear_util.wrap_init(_TRACED_LATER[name](self, value.call_wrapped), debug_info=value.debug_info)
            for name, value in equation.params.items()
            if name in _TRACED_LATER and isinstance(value, linear_util.WrappedFun)
        }
        return equation.replace(params=equation.params | later) if later else equation

    # The rules of custom_jvp and custom_vjp are traced when somebody differentiates. jvp_jaxpr_fun and fwd_jaxpr_thunk
    # return a Jaxpr, its constants, and more. bwd computes.

    def _program_later(self, function: Callable) -> Callable:
        def run(*zeros):
            jaxpr, *rest = function(*zeros)
            return (self._once(jaxpr), *rest)

        return run

    def _computation_later(self, function: Callable) -> Callable:
        def run(*args):
            return run_rewritten(function, args, self._rule)

        return run


def with_programs_changed(equation: JaxprEqn, change: Callable[[Jaxpr], Jaxpr]) -> JaxprEqn:
    """The equation with the programs among its parameters changed."""

    def changed(value: Any) -> Any:
        if isinstance(value, ClosedJaxpr):
            jaxpr = change(value.jaxpr)
            return value if jaxpr is value.jaxpr else ClosedJaxpr(jaxpr, value.consts)
        if isinstance(value, Jaxpr):
            return change(value)
        if isinstance(value, tuple) and any(isinstance(v, (Jaxpr, ClosedJaxpr)) for v in value):
            new = list(map(changed, value))
            if all(map(lambda a, b: a is b, new, value)):
                return value
            return type(value)(*new) if hasattr(value, "_fields") else tuple(new)
        return value

    new = {name: made for name, old in equation.params.items() if (made := changed(old)) is not old}
    return equation.replace(params=equation.params | new) if new else equation


_TRACED_LATER = {
    "jvp_jaxpr_fun": _Rewriting._program_later,
    "fwd_jaxpr_thunk": _Rewriting._program_later,
    "bwd": _Rewriting._computation_later,
}


def run_rewritten(function: Callable, args: tuple, rule: Rule) -> Any:
    """function(*args), traced and rewritten. Leaves that are no arrays, of arguments and results, stay as they are."""
    leaves, structure = jax.tree.flatten(args)
    returned: list[Any] = []  # the structure of the result, and its leaves, with _TRACED in place of an array

    def call(*arrays):
        result = function(*jax.tree.unflatten(structure, _merged(arrays, leaves)))
        found, tree = jax.tree.flatten(result)
        returned[:] = tree, [_TRACED if isinstance(leaf, jax.Array) else leaf for leaf in found]
        return [leaf for leaf in found if isinstance(leaf, jax.Array)]

    arrays = [leaf for leaf in leaves if isinstance(leaf, (jax.Array, np.ndarray))]
    leaves = [_TRACED if isinstance(leaf, (jax.Array, np.ndarray)) else leaf for leaf in leaves]
    program = rewritten(jax.make_jaxpr(call)(*arrays), rule)
    results = jaxpr_as_fun(program)(*arrays)
    tree, others = returned
    return jax.tree.unflatten(tree, _merged(results, others))


_TRACED = object()


def _merged(arrays: Iterable[Any], leaves: Iterable[Any]) -> list[Any]:
    left = iter(arrays)
    return [next(left) if leaf is _TRACED else leaf for leaf in leaves]


def _in_place(replacement: Replacement, equation: JaxprEqn) -> list[JaxprEqn]:
    """The equations of a replacement, with the results of `equation`."""
    return equations_of(replacement.function, replacement.operands, equation, equation.outvars)[0]


def equations_of(
    function: Callable, operands: Sequence[Any], like: JaxprEqn, results: Sequence[Var] | None = None
) -> tuple[list[JaxprEqn], list[Any]]:
    """The equations of a function of these operands, said to stand where `like` stands, and its results.

    They have new names, or those of `results`.
    """
    with like.ctx.manager:
        made = jax.make_jaxpr(function)(*[v.aval for v in operands])
    assert not made.consts
    renamed = dict(zip(made.jaxpr.invars, operands, strict=True))
    if results is not None:
        renamed |= dict(zip(made.jaxpr.outvars, results, strict=True))

    def rename(v: Var | Literal) -> Var | Literal:
        return v if isinstance(v, Literal) else renamed.get(v, v)

    equations = [
        e.replace(
            invars=[rename(v) for v in e.invars], outvars=[rename(v) for v in e.outvars], source_info=like.source_info
        )
        for e in made.jaxpr.eqns
    ]
    return equations, [rename(v) for v in made.jaxpr.outvars]
