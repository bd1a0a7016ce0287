"""What a traced program runs: the equations of some primitives, where they stand in the source, and how often."""

from collections.abc import Iterator
from typing import NamedTuple

from jax.extend.core import Jaxpr, JaxprEqn, jaxprs_in_params


class Found(NamedTuple):
    """An equation of a program that is run once."""

    equation: JaxprEqn
    source: str  # file:line, the innermost that is not in an installed package
    scope: str  # the names of modules and scopes around it
    times: int  # how often it runs; in a while loop, how often in one turn
    in_while: bool


def found(jaxpr: Jaxpr, names: tuple[str, ...]) -> list[Found]:
    """The equations of the primitives of these names, in the order of the program."""
    return list(_found(jaxpr, names, "", 1, False))


def _found(jaxpr: Jaxpr, names: tuple[str, ...], scope: str, times: int, in_while: bool) -> Iterator[Found]:
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        inner = "/".join(part for part in (scope, str(equation.source_info.name_stack)) if part)
        if name in names:
            yield Found(equation, _source(equation), inner, times, in_while)
        repeated = times * equation.params["length"] if name == "scan" else times
        for program in jaxprs_in_params(equation.params):
            yield from _found(program, names, inner, repeated, in_while or name == "while")


def _source(equation: JaxprEqn) -> str:
    traceback = equation.source_info.traceback
    places: list[tuple[str, int]] = [] if traceback is None else [(f.file_name, f.line_num) for f in traceback.frames]
    own = [place for place in places if "/site-packages/" not in place[0] and "/convjax/" not in place[0]]
    others = [place for place in places if "/jax/" not in place[0] and "/convjax/" not in place[0]]
    file, line = next(iter([*own, *others]), ("?", 0))
    return f"{file.rsplit('/', 1)[-1]}:{line}"
