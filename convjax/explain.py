"""`explain`: every convolution and pooling of a function, what convjax would run for it, and its share of the work."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jax.extend.core import JaxprEqn

from convjax._machine import Machine, default_platform, this_machine
from convjax._operation.pool_primitives import FORMS
from convjax._operation.primitive import conv_p
from convjax._rewriting import convolutions, listing, pooling
from convjax._rewriting.programs import rewritten
from convjax.accelerate import traced
from convjax.plan import Step, scaled, steps_of


class Convolution(NamedTuple):
    """The convolutions of one place in a program that have the same shapes and parameters. One row of the table."""

    source: str  # file:line
    scope: str  # the names of modules and scopes around it
    kind: str  # "convolution", or the name of a primitive that pools, or of one that stays as it is
    shapes: tuple[tuple[int, ...], ...]  # of the operands, as the program has them
    times: int  # how often it runs when the function runs once
    in_while: bool  # whether that is for one turn of a while loop
    steps: tuple[Step, ...]  # what convjax runs: forward and both gradients, or the gradient that it is itself
    why_kept: str | None  # why it is not replaced

    @property
    def multiply_adds(self) -> int:
        """Those of the definition, without the zeros of a dilated input, of all its runs. 0 for pooling."""
        if not self.steps:
            return 0
        return self.times * self.steps[0].definition_multiply_adds // math.prod(self.steps[0].spec.lhs_dilation)


class Explanation(NamedTuple):
    """The table, to print or to read: a row for each place and shape, in the order of the program."""

    platform: str
    rows: tuple[Convolution, ...]

    def __str__(self) -> str:
        total = sum(row.multiply_adds for row in self.rows)
        head = ("where", "what", "operands", "times", "algorithm", "gradients", "multiply-adds", "share")
        lines = [head, *(_cells(row, total) for row in self.rows)]
        widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
        text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([f"on {self.platform}, {scaled(total)} multiply-adds", *text])


def _cells(row: Convolution, total: int) -> tuple[str, ...]:
    direction = row.steps[0].direction if row.steps else ""
    what = {"forward": "convolution", "": row.kind}.get(direction, direction)
    first = row.steps[0].algorithm if row.steps else f"kept: {row.why_kept}" if row.why_kept else "elementwise"
    return (
        f"{row.source} {'/'.join(row.scope.split('/')[-2:])}".strip(),
        what,
        " * ".join("x".join(map(str, shape)) for shape in row.shapes),
        f"{row.times}{' a turn' * row.in_while}",
        first,
        ", ".join(step.algorithm for step in row.steps[1:]),
        scaled(row.multiply_adds) if row.multiply_adds else "",
        f"{100 * row.multiply_adds / total:.0f} %" if row.multiply_adds else "",
    )


def explain(
    f: Callable,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    machine: Machine | None = None,
) -> Callable[..., Explanation]:
    """What `convjax.accelerate(f)` would run: every convolution and pooling of f in a table. Nothing is computed.

    Args:
      f, static_argnums, static_argnames: as in `convjax.accelerate`.
      machine: a `convjax.Machine` to explain for, instead of this machine.

    Returns:
      A function of the arguments of f, or of anything with their shapes and dtypes (`jax.ShapeDtypeStruct`). It returns
      an `Explanation`, to print or to read: where each convolution stands, the shapes of its operands, how often it
      runs, what is chosen for it and for its two gradients (by the input and by the weight), the multiply-adds of the
      definition and their share. If f is a gradient or a training step, its gradients are rows of their own.

    Raises:
      TypeError, ValueError: as `convjax.accelerate`.

    >>> import convjax, jax, jax.numpy as jnp
    >>> def layer(x, w):
    ...     return jax.lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    >>> shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((8, 56, 56, 64), (3, 3, 64, 128))]
    >>> found = convjax.explain(layer, machine=convjax.Machine("tpu"))(*shapes)
    >>> [(row.times, row.steps[0].algorithm, row.multiply_adds) for row in found.rows]
    [(1, 'xla', 462422016)]
    """
    program_of = traced("explain", f, static_argnums, static_argnames)
    machine = this_machine(default_platform()) if machine is None else machine

    @functools.wraps(f, updated=())
    def explained(*args, **kwargs) -> Explanation:
        program = program_of(*args, **kwargs)
        names = (conv_p.name, "conv_general_dilated", *pooling.PRIMITIVES, *(p.name for p in FORMS))
        rows: dict[tuple, Convolution] = {}
        for each in listing.found(rewritten(program, convolutions.rule()).jaxpr, names):
            row = _row(each, machine)
            key = row._replace(times=0)
            rows[key] = row._replace(times=row.times + (rows[key].times if key in rows else 0))
        return Explanation(machine.platform, tuple(rows.values()))

    return explained


def _row(found: listing.Found, machine: Machine) -> Convolution:
    equation = found.equation
    avals: list[Any] = [v.aval for v in equation.invars]
    shapes = tuple(a.shape for a in avals if a.shape)
    is_convolution = equation.primitive is conv_p
    return Convolution(
        found.source,
        found.scope,
        "convolution" if is_convolution else equation.primitive.name,
        shapes,
        found.times,
        found.in_while,
        _steps(equation, machine) if is_convolution else (),
        None if is_convolution else _why_kept(equation, machine),
    )


def _why_kept(equation: JaxprEqn, machine: Machine) -> str | None:
    if equation.primitive in FORMS or (machine.platform == "cpu" and pooling.is_replaced(equation)):
        return None
    if equation.primitive.name in pooling.PRIMITIVES:
        return "pooling of lax"
    return convolutions.why_kept(equation)


def _steps(equation: JaxprEqn, machine: Machine) -> tuple[Step, ...]:
    """The step of a gradient, or of a layer with both of its gradients."""
    hints = equation.params["spec"].hints
    direction = {"result": "weight gradient"}.get(hints.layer_weight)
    direction = "input gradient" if direction is None and hints.flipped_weight else direction
    return steps_of(equation, machine, direction)
