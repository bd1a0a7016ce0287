"""Which lowering serves a convolution: a pure function of the spec, the shapes, the dtype and the platform.

It never looks at a value and never tries one lowering to fall back on another. The first rule of the platform that
holds, and whose lowering does not refuse, wins; "direct" serves what is left.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from convjax import _check
from convjax._lowerings import LOWERINGS
from convjax._lowerings._lowering import Lowering
from convjax._spec import known_name


class Rule(NamedTuple):
    """A lowering, when to take it, and the measurement that says so."""

    lowering: str
    holds: Callable[..., bool]  # holds(spec, x, w)
    because: str


class Choice(NamedTuple):
    lowering: Lowering
    because: str


# Platforms that are not listed get "direct".
RULES: dict[str, tuple[Rule, ...]] = {"cpu": (), "cuda": ()}


def select(spec, x, w, platform: str, algorithm: str = "auto") -> Choice:
    if algorithm != "auto":
        return Choice(LOWERINGS[algorithm], "asked for by name")
    for rule in RULES.get(platform, ()):
        lowering = LOWERINGS[rule.lowering]
        if lowering.refuses(spec, x, w) is None and rule.holds(spec, x, w):
            return Choice(lowering, rule.because)
    return Choice(LOWERINGS["direct"], "no rule of this platform prefers another")


def known_algorithm(function: str, algorithm: Any) -> None:
    """Raise where no lowering has this name."""
    known_name(function, "algorithm", algorithm, ("auto", *LOWERINGS))


def serves(function: str, algorithm: str, spec, x, w) -> None:
    """Raise where the lowering that is asked for by name cannot serve."""
    reason = LOWERINGS[algorithm].refuses(spec, x, w)
    if reason is not None:
        raise _check.algorithm_refuses(function, algorithm, reason)
