"""Finds the convolutions of a function, and times every algorithm for each of them on this machine."""

import time
from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from jax.extend.core import subjaxprs

from convjax._algorithms import ALGORITHMS, _gemm
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._arguments.arrays import to_device
from convjax._choice.choose import why_unsupported
from convjax._choice.problem import Problem
from convjax._choice.recorded import Recorded, operation_of
from convjax._machine import Machine, default_platform, this_machine
from convjax._operation.primitive import conv_p, flipped_weight, run_algorithm, transposed_weight
from convjax._spec import ConvSpec

BATCH_SECONDS = 0.01  # a call is repeated for so long before the next call is timed
_LONG_SECONDS = 1.0  # of a call that is not repeated
MAX_CLOSE = 3  # an algorithm that is slower than the fastest by a larger factor is not timed in the later rounds
MAX_MULTIPLY_ADDS_RATIO = 16  # an algorithm with more times the multiply-adds of the definition is not timed
MAX_LOOP_MULTIPLY_ADDS = 4e9  # LOOPS are not timed for more multiply-adds, which take them over a second
LOOPS = ("shift_add", "variadic_reduce")  # algorithms that loop over single products


def measure(function: Callable, args: tuple, rounds: int) -> Recorded:
    machine = this_machine(default_platform())
    problems = {}
    for equation in convolutions(jax.make_jaxpr(function)(*args).jaxpr):
        problem = problem_of(equation, machine)
        problems[operation_of(problem)] = problem
    return tuple((operation, _measured(problem, rounds)) for operation, problem in problems.items())


def convolutions(jaxpr) -> list:
    """The equations of the convolution primitive in a jaxpr and in the jaxprs that it calls."""
    found = [eqn for eqn in jaxpr.eqns if eqn.primitive is conv_p]
    return found + [eqn for inner in subjaxprs(jaxpr) for eqn in convolutions(inner)]


def problem_of(equation, machine: Machine) -> Problem:
    """The `Problem` of one equation that `convolutions` returns."""
    x, w = (jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars)
    return Problem(equation.params["spec"], x, w, machine)


def _measured(problem: Problem, rounds: int) -> tuple[tuple[str, int], ...]:
    operands = _random(problem)
    calls = {name: partial(_wait_for, jax.jit(_by(name, problem)), *operands) for name in _candidates(problem)}
    seconds = {}
    for name, call in calls.items():
        call()  # compiles
        seconds[name] = time_batch(call, BATCH_SECONDS)
    for n in range(rounds - 1):
        close = [name for name in calls if seconds[name] <= MAX_CLOSE * min(seconds.values())]
        for name in close[n % len(close) :] + close[: n % len(close)]:
            seconds[name] = min(seconds[name], time_batch(calls[name], BATCH_SECONDS))
    return tuple((name, round(1e9 * seconds[name])) for name in sorted(seconds, key=seconds.__getitem__))


def _candidates(problem: Problem) -> list[str]:
    spec, x, w = problem.spec, problem.x, problem.w
    definition = ALGORITHMS["xla"].multiply_adds(spec, x, w)
    loops = LOOPS if definition > MAX_LOOP_MULTIPLY_ADDS else ()
    return [
        name
        for name, algorithm in ALGORITHMS.items()
        if why_unsupported(algorithm, spec, x, w, problem.machine) is None
        and algorithm.multiply_adds(spec, x, w) <= MAX_MULTIPLY_ADDS_RATIO * definition
        and name not in loops
    ]


def _by(name: str, problem: Problem) -> Callable:
    """A function that runs one algorithm on what `_stored` makes of the operands."""
    spec = problem.spec

    def run(x, w):
        y = run_algorithm(ALGORITHMS[name], *_operands(x, w, spec), spec, problem.machine)
        return channels_last(y) if spec.channels_last and spec.hints.layer_weight != "result" else y

    return run


def _stored(x, w, spec: ConvSpec) -> tuple[jax.Array, jax.Array]:
    """The arrays that a program has in memory, and makes the operands of.

    A flipped weight is stored before its flip, so that the time includes the flip. Some algorithms undo the flip and
    are faster for it. Images whose channels are last in memory are (N, *n, C).
    """
    if spec.hints.flipped_weight:
        w = transposed_weight(w, spec)
    if not spec.channels_last:
        return x, w
    if spec.hints.layer_weight == "result":
        x, w = _gemm.summed_axis_first(x, w, spec)
        return channels_last(x), channels_last(w)
    return channels_last(x), w


def _operands(x, w, spec: ConvSpec) -> tuple[jax.Array, jax.Array]:
    """Undo `_stored`."""
    if spec.channels_last and spec.hints.layer_weight == "result":
        x, w = _gemm.batch_and_channels_swapped(channels_first(x), channels_first(w), spec.groups)
    elif spec.channels_last:
        x = channels_first(x)
    return x, flipped_weight(w, spec) if spec.hints.flipped_weight else w


def _random(problem: Problem) -> list[jax.Array]:
    rng = np.random.default_rng(0)
    stored = jax.eval_shape(partial(_stored, spec=problem.spec), problem.x, problem.w)
    return [to_device(rng.standard_normal(a.shape, np.float32).astype(a.dtype)) for a in stored]


def _wait_for(call: Callable, *operands: jax.Array) -> None:
    jax.block_until_ready(call(*operands))


def time_batch(call: Callable[[], object], batch_seconds: float) -> float:
    """Call repeatedly for `batch_seconds`, and return the fewest seconds that a call took.

    There are at least two calls, unless one takes `_LONG_SECONDS`: the threads of what ran before still spin. The first
    call of MobileNetV2 after torch took 31 to 42 ms, and the second 26.
    """
    best, start = float("inf"), time.perf_counter()
    calls = 0
    while True:
        before = time.perf_counter()
        call()
        after = time.perf_counter()
        best, calls = min(best, after - before), calls + 1
        if after - start >= (batch_seconds if calls > 1 else _LONG_SECONDS):
            return best
