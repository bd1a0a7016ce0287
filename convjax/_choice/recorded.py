"""Recorded measurements: plain data that says which algorithms were fastest for which convolutions.

    recorded = ((operation, ((algorithm, nanoseconds), ...)), ...)        the fastest first

An operation is what `operation_of` makes of a problem. All of it is tuples, strings, integers and None, so that it can
be hashed, compared, printed, and saved as JSON.
"""

from functools import lru_cache
from typing import Any

from convjax._choice.problem import Problem

Recorded = tuple[tuple[tuple, tuple[tuple[str, int], ...]], ...]


def operation_of(problem: Problem) -> tuple:
    """What a measurement depends on: the platform, the dtype, the shapes, the spec and the memory format."""
    spec = problem.spec
    return (
        problem.machine.platform,
        str(problem.x.dtype),
        tuple(problem.x.shape),
        tuple(problem.w.shape),
        spec.stride,
        spec.padding,
        spec.lhs_dilation,
        spec.rhs_dilation,
        spec.groups,
        _precision_name(spec.precision),
        None if spec.out_dtype is None else str(spec.out_dtype),
        "flipped weight" if spec.hints.flipped_weight else None,
        spec.hints.memory_format,
    )


def _precision_name(precision: Any) -> Any:
    if isinstance(precision, tuple):
        return tuple(map(_precision_name, precision))
    return None if precision is None else precision.name.lower()


def measured(recorded: Recorded, problem: Problem) -> tuple[tuple[str, int], ...]:
    """The (algorithm, nanoseconds) pairs that a record has for a problem. Empty if it has none."""
    return _by_operation(recorded).get(operation_of(problem), ())


@lru_cache(maxsize=64)
def _by_operation(recorded: Recorded) -> dict:
    return dict(recorded)
