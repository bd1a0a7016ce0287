"""What an algorithm is: a `Kernel`, which computes a convolution, or a `Rewrite`, which restates it as another one.

Below, x is (N, G*I, *n) and w is (G*O, I, *k), of one dtype. `run` gets arrays; all else reads shapes and dtypes alone.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from convjax import _spec


def _always_local(spec, x, w) -> bool:
    return True


def never_local(spec, x, w) -> bool:
    """The `is_local` of an algorithm that may spread a NaN for any spec."""
    return False


def _always_available(spec, x, w, machine) -> str | None:
    return None


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
    is_local: Callable[..., bool] = _always_local
    platforms: tuple[str, ...] | None = None  # the platforms it runs on; None is all of them
    # unavailable(spec, x, w, machine): the reason why a machine of these platforms does not have it, or None.
    unavailable: Callable[..., str | None] = _always_available
    # The order of the axes in memory that it reads images in and writes them in: "contiguous" or "channels_last". None
    # is the order that the operation has.
    memory_format: str | None = "contiguous"


class Rewrite(NamedTuple):
    """An algorithm that restates a convolution as one or more others, which go through selection again.

    Any `Kernel`, and any rewrite of a lower rank, may be chosen for these. So rewriting ends.
    """

    name: str
    summary: str
    run: Callable[..., jax.Array]  # run(x, w, spec, machine, convolve); convolve(x, w, spec) runs a new operation
    unsupported: Callable[..., str | None]
    multiply_adds: Callable[..., Any]  # the multiply-adds of the new operations by the definition
    rank: int
    is_local: Callable[..., bool] = _always_local  # if the algorithms of the new operations are local
    platforms: tuple[str, ...] | None = None


Algorithm = Kernel | Rewrite


def definition_multiply_adds(spec, x, w):
    """The multiply-adds of the definition."""
    return math.prod(spec.output_shape(x.shape, w.shape)) * math.prod(w.shape[1:])


def summands(spec, x, w):
    """How many products a result sums. This also bounds how often a product is rounded, in any order of summation."""
    return math.prod(w.shape[1:])


# ---- reasons that several algorithms give ----


def reason_if_input_is_dilated(spec) -> str | None:
    """Why an algorithm without lhs_dilation does not support a spec."""
    return "the input is dilated" if any(a > 1 for a in spec.lhs_dilation) else None


def reason_unless_dense_with_channels_last(spec, x, w) -> str | None:
    """Why an algorithm for one group of images with the channels last does not support a call."""
    if spec.groups > 1:
        return "groups"
    if not spec.channels_last:
        return "the channels are not last in memory"
    return "nothing to multiply" if _spec.is_empty(spec, x, w) else None


def reason_unless_only_input_is_dilated(spec) -> str | None:
    """Why an algorithm for a dilated input, and for nothing else, does not support a spec."""
    if all(a == 1 for a in spec.lhs_dilation):
        return "the input is not dilated"
    if any(n > 1 for n in (*spec.stride, *spec.rhs_dilation)):
        return "a stride or a dilated kernel"
    return None
