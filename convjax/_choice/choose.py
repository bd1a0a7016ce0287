"""Which algorithm computes a convolution: a pure function of the problem, which holds shapes, a dtype and a machine.

It never reads the values of an array, and never runs an algorithm on trial. The first preference of the platform whose
condition holds, and whose algorithm supports the operation, is chosen. If there is none, it is XLA's own convolution.
"""

import math
from typing import NamedTuple

from convjax._algorithms import ALGORITHMS
from convjax._algorithms.algorithm import Algorithm, Kernel, Rewrite
from convjax._arguments import errors
from convjax._choice.preferences import CHANNELS_LAST_PREFERENCES, PREFERENCES
from convjax._choice.problem import Problem
from convjax._choice.recorded import Recorded, measured
from convjax._machine import Machine
from convjax._spec import ConvSpec, extent


class Choice(NamedTuple):
    algorithm: Algorithm
    because: str
    nanoseconds: int | None = None  # the measured time; None without a record


# The values of `algorithm=` that are neither the name of an algorithm nor a record. "local" is "auto" among the
# algorithms that keep a NaN, and the rounding of large values, in the results whose window contains them.
SELECTION_MODES = ("auto", "local")

# The algorithms to take instead, in this order, if XLA's own convolution would be wrong. All but swap_operands contain
# no convolution. After swap_operands the kernel is the weight of a layer, which is not sharded in space.
_WITHOUT_XLA = ("swap_operands", "matmul", "fft", "shift_add")


def choose(
    problem: Problem, algorithm: str | Recorded = "auto", partitioned: bool = False, below_rank: int | None = None
) -> Choice:
    """The algorithm for a problem: the one named, the fastest recorded, or the first preferred.

    `partitioned` says that XLA's partitioner divides the program among devices. If the input and the kernel of a
    convolution are both sharded in space, it computes wrong values: the all-reduce also runs over the axes of the mesh
    that neither is sharded over (jax 0.10.2 and 0.12.0). A kernel is sharded in space unless it is the weight of a
    layer. `below_rank` leaves out the rewrites of that rank and of higher ones.
    """
    spec = problem.spec
    xla_is_wrong = partitioned and spec.hints.layer_weight != "kernel"
    if isinstance(algorithm, tuple):
        for name, nanoseconds in measured(algorithm, problem):
            candidate = ALGORITHMS.get(name)
            wrong = xla_is_wrong and name == "xla"
            if candidate and not wrong and _is_candidate(candidate, problem, "auto", below_rank):
                return Choice(candidate, "it was the fastest of those measured", nanoseconds)
        algorithm = "auto"
    if algorithm not in SELECTION_MODES and not (xla_is_wrong and algorithm == "xla"):
        if reason := _why_unavailable(ALGORITHMS[algorithm], spec, problem.x, problem.w, problem.machine):
            raise errors.unavailable_algorithm(algorithm, reason)
        return Choice(ALGORITHMS[algorithm], "it was asked for by name")
    preferences = (CHANNELS_LAST_PREFERENCES if spec.channels_last else PREFERENCES).get(problem.machine.platform, ())
    operands = spec, problem.x, problem.w
    if preferences and _why_only_xla(*operands) is None and 0 not in (*problem.x.shape, *problem.w.shape):
        for preference in preferences:
            candidate = ALGORITHMS[preference.algorithm]
            if _is_candidate(candidate, problem, algorithm, below_rank) and preference.pays(problem):
                return Choice(candidate, preference.because.format(p=problem))
    if not xla_is_wrong:
        return Choice(ALGORITHMS["xla"], "nothing else is preferred for it")
    for name in _WITHOUT_XLA:
        candidate = ALGORITHMS[name]
        if _is_candidate(candidate, problem, algorithm, below_rank):
            return Choice(candidate, "XLA's own convolution is wrong if its kernel is sharded in space")
    raise errors.not_partitionable(spec, problem.x.shape, problem.w.shape)


def _is_candidate(candidate: Algorithm, problem: Problem, algorithm: str, below_rank: int | None) -> bool:
    operands = problem.spec, problem.x, problem.w
    if isinstance(candidate, Rewrite) and below_rank is not None and candidate.rank >= below_rank:
        return False
    if algorithm == "local" and not candidate.is_local(*operands):
        return False
    return why_unsupported(candidate, *operands, problem.machine) is None


def why_unsupported(candidate: Algorithm, spec: ConvSpec, x, w, machine: Machine | None = None) -> str | None:
    """The reason why an algorithm does not support a convolution, or None if it does.

    If no machine is given, the algorithm may be for any machine.
    """
    if machine is not None and (reason := _why_unavailable(candidate, spec, x, w, machine)):
        return reason
    reason = None if candidate.name == "xla" else _why_only_xla(spec, x, w)
    return reason or candidate.unsupported(spec, x, w)


def _why_unavailable(candidate: Algorithm, spec: ConvSpec, x, w, machine: Machine) -> str | None:
    """The reason why a machine does not have an algorithm, or None if it does."""
    if candidate.platforms is not None and machine.platform not in candidate.platforms:
        return f"it runs on {' and '.join(candidate.platforms)} alone"
    return candidate.unavailable(spec, x, w, machine) if isinstance(candidate, Kernel) else None


# The largest number of elements of an array. XLA counts bytes in 64 bits, and ends the process if there are more. With
# 16 bytes for an element, this leaves room for axes that an algorithm pads. XLA's own convolution makes no array but
# the result.
_MAX_ELEMENTS = 2**56


def _why_only_xla(spec: ConvSpec, x, w) -> str | None:
    """The reason why XLA's own convolution is the only algorithm for a convolution, or None."""
    if not all(isinstance(n, int) for n in (*x.shape, *w.shape)):
        return "the sizes are not known before the call"
    dims = zip(x.shape[2:], w.shape[2:], spec.stride, spec.padding, *spec.dilations, strict=True)
    room = math.prod(extent(n, a) + abs(low) + abs(high) + extent(k, r) + s for n, k, s, (low, high), a, r in dims)
    images = max(x.shape[0] * max(x.shape[1], w.shape[0]), math.prod(w.shape[:2])) * room
    if max(images, ALGORITHMS["xla"].multiply_adds(spec, x, w)) > _MAX_ELEMENTS:
        return "paddings, dilations or strides are so wide that intermediate arrays would have too many elements"
    return None
