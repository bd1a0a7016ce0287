"""Which lowering serves a convolution: a pure function of the spec, the shapes, the dtype and the platform.

It never looks at a value and never tries one lowering to fall back on another. The first rule of the platform that
holds, and whose lowering does not refuse, wins; "direct" serves what is left.
"""

import math
from typing import Any, NamedTuple

from convjax import _check
from convjax._facts import facts
from convjax._lowerings import LOWERINGS
from convjax._lowerings._lowering import Lowering
from convjax._rules import RULES
from convjax._spec import extent, known_name


class Choice(NamedTuple):
    lowering: Lowering
    because: str


# What `algorithm` may be beside a lowering's name: "local" is "auto" among the lowerings that keep a NaN, and the
# rounding of large values, in the results that see them.
CHOOSING = ("auto", "local")


# In the order of preference, where XLA's own convolution would be wrong: those that are made of no convolution, and
# `exchange`, after which its kernel is the weight of a layer.
_WITHOUT_XLA = ("exchange", "matmul", "fft", "shift")


def select(spec, x, w, platform: str, algorithm: str = "auto", partitioned: bool = False) -> Choice:
    """`partitioned` says that XLA's partitioner divides the program among devices. It computes a convolution whose
    input and kernel are both sharded in space wrongly (the all-reduce also runs over the axes of the mesh that neither
    is sharded over; jax 0.10.2 and 0.12.0), and the kernel is sharded so unless it is the weight of a layer."""
    wrong = partitioned and spec.weight != "kernel"
    if algorithm not in CHOOSING and not (wrong and algorithm == "direct"):
        return Choice(LOWERINGS[algorithm], "asked for by name")
    rules = RULES.get(platform, ())
    if rules and _direct_alone(spec, x, w) is None and 0 not in (*x.shape, *w.shape):
        found = facts(spec, x, w)
        for rule in rules:
            lowering = LOWERINGS[rule.lowering]
            if algorithm == "local" and not lowering.local(spec, x, w):
                continue
            if lowering.refuses(spec, x, w) is None and rule.holds(found):
                return Choice(lowering, rule.because)
    if wrong:
        return _without_xla(spec, x, w, algorithm)
    return Choice(LOWERINGS["direct"], "no rule of this platform prefers another")


def _without_xla(spec, x, w, algorithm: str) -> Choice:
    for name in _WITHOUT_XLA:
        lowering = LOWERINGS[name]
        if (algorithm != "local" or lowering.local(spec, x, w)) and refusal(lowering, spec, x, w) is None:
            return Choice(lowering, "XLA's own convolution is wrong where its kernel is sharded in space")
    raise _check.not_partitionable(spec, x.shape, w.shape)


def refusal(lowering: Lowering, spec, x, w) -> str | None:
    """Why a lowering cannot serve, None where it can."""
    reason = None if lowering.name == "direct" else _direct_alone(spec, x, w)
    return reason or lowering.refuses(spec, x, w)


# Elements of an array. XLA counts bytes in 64 bits and ends the process where these do not suffice; beside 16 bytes an
# element this leaves room for axes that a lowering fills up. Only "direct" makes nothing but the result.
_COUNTED = 2**56


def _direct_alone(spec, x, w) -> str | None:
    """Why no lowering but "direct" can serve, None where others may."""
    if not all(isinstance(n, int) for n in (*x.shape, *w.shape)):
        return "sizes that are not known before the call"
    dims = zip(x.shape[2:], w.shape[2:], spec.stride, spec.padding, *spec.dilations, strict=True)
    room = math.prod(extent(n, a) + abs(low) + abs(high) + extent(k, r) + s for n, k, s, (low, high), a, r in dims)
    images = max(x.shape[0] * max(x.shape[1], w.shape[0]), math.prod(w.shape[:2])) * room
    if max(images, LOWERINGS["direct"].multiply_adds(spec, x, w)) > _COUNTED:
        return "paddings, dilations or strides so wide that what it makes could not be counted"
    return None


def known_algorithm(function: str, algorithm: Any) -> None:
    """Raise where no lowering has this name."""
    known_name(function, "algorithm", algorithm, (*CHOOSING, *LOWERINGS))


def serves(function: str, algorithm: str, spec, x, w) -> None:
    """Raise where the lowering that is asked for by name cannot serve."""
    reason = refusal(LOWERINGS[algorithm], spec, x, w)
    if reason is not None:
        raise _check.algorithm_refuses(function, algorithm, reason)
