"""What a lowering is: the few things that selection, plan and the tests need of each."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Lowering(NamedTuple):
    """One algorithm for a ConvSpec. x and w below are (N, G*I, *n) and (G*O, I, *k), of one dtype; `refuses`,
    `multiply_adds` and `error` read only their shape and dtype."""

    name: str
    summary: str
    # run(x, w, spec, convolve): plain lax ops. A lowering that restates the operation as another one of the family
    # hands that to convolve(x, w, spec), which gets the lowering that suits it.
    run: Callable[..., jax.Array]
    refuses: Callable[..., str | None]  # refuses(spec, x, w): why it cannot serve, None where it can
    multiply_adds: Callable[..., Any]  # multiply_adds(spec, x, w): how many it performs
    # error(spec, x, w): how far off a result may be, in units of the machine epsilon of what is summed in, relative to
    # what `relative` says. None where the operation is restated: then it is that of whatever serves it.
    error: Callable[..., Any] | None
    relative: str = "the sum of |x| |w|"
    # local(spec, x, w): whether a NaN or an infinity of x reaches only the results whose window holds it.
    local: Callable[..., bool] = lambda spec, x, w: True


def nowhere(spec, x, w) -> bool:
    """The `local` of a lowering that spreads a NaN under every spec."""
    return False


def products(spec, x, w):
    """The multiply-adds that the definition takes."""
    return math.prod(spec.output_shape(x.shape, w.shape)) * math.prod(w.shape[1:])


def terms(spec, x, w):
    """How many products a result sums up: in any order, each is rounded at most once for every other one."""
    return math.prod(w.shape[1:])
