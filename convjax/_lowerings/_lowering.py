"""What a lowering is: the three things that selection, plan and the tests need of each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Lowering(NamedTuple):
    """One algorithm for a ConvSpec. x and w below are (N, G*I, *n) and (G*O, I, *k), of one dtype; `refuses` and
    `multiply_adds` read only their shape and dtype."""

    name: str
    summary: str
    run: Callable[..., jax.Array]  # run(x, w, spec): plain lax ops
    refuses: Callable[..., str | None]  # refuses(spec, x, w): why it cannot serve, None where it can
    multiply_adds: Callable[..., Any]  # multiply_adds(spec, x, w): how many it performs
