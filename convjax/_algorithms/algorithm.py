"""What an algorithm is: a `Kernel`, which computes a convolution, or a `Rewrite`, which restates it as another one.

Below, x is (N, G*I, *n) and w is (G*O, I, *k), of one dtype. `run` gets arrays; all else reads shapes and dtypes alone.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


def _everywhere_local(spec, x, w) -> bool:
    return True


def nowhere_local(spec, x, w) -> bool:
    """The `is_local` of an algorithm that may spread a NaN whatever the spec."""
    return False


class Kernel(NamedTuple):
    """An algorithm that computes a convolution by plain lax operations."""

    name: str
    summary: str
    run: Callable[..., jax.Array]  # run(x, w, spec, machine)
    unsupported: Callable[..., str | None]  # unsupported(spec, x, w): the reason, or None if the operation is supported
    multiply_adds: Callable[..., Any]  # multiply_adds(spec, x, w): how many it performs
    # error(spec, x, w): a bound on the error of a result in units of the machine epsilon of the dtype to sum in,
    # relative to what `relative_to` says.
    error: Callable[..., Any]
    relative_to: str = "the sum of |x| |w|"
    # is_local(spec, x, w): whether a NaN or an infinity of x reaches only the results whose window contains it.
    is_local: Callable[..., bool] = _everywhere_local
    platforms: tuple[str, ...] | None = None  # those it runs on; None is all of them
    # The order of the axes in memory that it reads x in and writes its result in, "channels first" or "channels last".
    memory_order: str = "channels first"


class Rewrite(NamedTuple):
    """An algorithm that restates a convolution as one or more others, which go through selection again.

    Those may be served by any kernel, and by a rewrite of a lower rank. So rewriting ends.
    """

    name: str
    summary: str
    run: Callable[..., jax.Array]  # run(x, w, spec, machine, convolve), with convolve(x, w, spec) for what it restates
    unsupported: Callable[..., str | None]
    multiply_adds: Callable[..., Any]  # of what it restates the operation as, by the definition
    rank: int
    is_local: Callable[..., bool] = _everywhere_local  # apart from what computes the restated operation
    platforms: tuple[str, ...] | None = None


Algorithm = Kernel | Rewrite


def definition_multiply_adds(spec, x, w):
    """The multiply-adds of the definition."""
    return math.prod(spec.output_shape(x.shape, w.shape)) * math.prod(w.shape[1:])


def summands(spec, x, w):
    """How many products a result sums: in any order, each is rounded at most once for every other one."""
    return math.prod(w.shape[1:])


# ---- reasons that several algorithms give ----


def dilated_input(spec) -> str | None:
    """Why an algorithm without lhs_dilation does not support a spec."""
    return "the input is dilated" if any(a > 1 for a in spec.lhs_dilation) else None


def anything_but_dilated_input(spec) -> str | None:
    """Why an algorithm for a dilated input, and for nothing else, does not support a spec."""
    if all(a == 1 for a in spec.lhs_dilation):
        return "the input is not dilated"
    if any(n > 1 for n in (*spec.stride, *spec.rhs_dilation)):
        return "a stride or a dilated kernel"
    return None
