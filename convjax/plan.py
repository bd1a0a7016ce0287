"""The plan of a call and the shape of its result, from shapes and dtypes alone."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from convjax import functional
from convjax._algorithms import ALGORITHMS
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds
from convjax._arguments import arrays, errors, suggestions, values
from convjax._choice.choose import Choice, choose, why_unsupported
from convjax._choice.problem import Problem
from convjax._machine import Machine, default_platform, this_machine
from convjax._operation.measure import convolutions, problem_of
from convjax._operation.primitive import PLATFORMS, conv_p
from convjax._spec import ConvSpec, sum_dtype


class OtherAlgorithms(Mapping):
    """An immutable mapping from names of algorithms to texts. It is hashable, so that a `Plan` is hashable."""

    def __init__(self, words: Mapping[str, str]):
        self._words = dict(words)

    def __getitem__(self, name: str) -> str:
        return self._words[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __hash__(self) -> int:
        return hash(frozenset(self._words.items()))

    def __repr__(self) -> str:
        return repr(self._words)


class Step(NamedTuple):
    """One convolution of a plan, on one platform."""

    platform: str
    direction: str  # "forward", "input gradient" or "weight gradient"
    algorithm: str
    kernel: str  # the algorithm that computes it: `algorithm` itself, or the one that a rewrite ends at
    because: str
    others: OtherAlgorithms  # for every other algorithm, why it does not support this convolution, or its multiply-adds
    output_shape: tuple[int, ...]
    multiply_adds: int
    definition_multiply_adds: int
    bytes: int  # of the operands and the result
    error: float | None  # a bound on the error of a result, relative to `relative_to`; None for integers (exact)
    relative_to: str
    is_local: bool  # whether a NaN or an infinity of x reaches only the results whose window contains it
    seconds: float | None  # the measured time; None without a record
    spec: ConvSpec

    def __str__(self) -> str:
        name = self.algorithm if self.kernel == self.algorithm else f"{self.algorithm} + {self.kernel}"
        work = f"{scaled(self.multiply_adds)} multiply-adds"
        if self.multiply_adds != self.definition_multiply_adds:
            work += f" instead of {scaled(self.definition_multiply_adds)}"
        time = "" if self.seconds is None else f", {1e3 * self.seconds:.3g} ms"
        return f"{self.direction:<16} {name:<25} {work}{time}: {self.because}"

    def explain(self) -> str:
        """The same, with the error, the bytes, and every other algorithm with its cost or the reason against it."""
        error = "exact" if self.error is None else f"error below {self.error:.2g} of {self.relative_to}"
        lines = [str(self), f"{ALGORITHMS[self.algorithm].summary}; {error}; {scaled(self.bytes)}B of arrays"]
        if not self.is_local and self.direction != "weight gradient":
            lines.append("spreads a NaN to results whose window does not contain it; algorithm='local' does not")
        lines += [f"not {name}: {why}" for name, why in self.others.items()]
        return "\n    ".join(lines)


class Plan(NamedTuple):
    """What convjax would run for a call.

    Printing it shows a line for each convolution. `explain` shows more. `steps` holds all of it as data.
    """

    call: str
    output_shape: tuple[int, ...]
    dtype: Any
    steps: tuple[Step, ...]

    def step(self, direction: str = "forward", platform: str | None = None) -> Step:
        """The step of a direction, on the only platform or on one of several."""
        return next(s for s in self.steps if s.direction == direction and platform in (None, s.platform))

    def __str__(self) -> str:
        return self._text(str)

    def explain(self) -> str:
        """Every step with its error, its bytes, and the reasons against the other algorithms, as a text to print."""
        return self._text(Step.explain)

    def _text(self, show: Callable[[Step], str]) -> str:
        lines = [f"{self.call} gives {self.dtype}{list(self.output_shape)}"]
        for platform in dict.fromkeys(step.platform for step in self.steps):
            lines.append(f"on {platform}")
            lines += [f"  {show(step)}" for step in self.steps if step.platform == platform]
        return "\n".join(lines)


def scaled(number: Any) -> str:
    """A number with a unit: 1.2 G."""
    if not isinstance(number, int):
        return f"{number}"  # a symbolic size
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number}"


def plan(
    x: Any,
    weight: Any,
    *args: Any,
    function: Callable = functional.conv,
    platform: str | None = None,
    machine: Machine | None = None,
    **options: Any,
) -> Plan:
    """The algorithms that would run for a call and for its gradients, and why. No array is touched.

    Args:
      x, weight: arrays, or anything with a shape and a dtype, such as `jax.ShapeDtypeStruct`.
      *args, **options: as `function` takes them after x and weight.
      function: `convjax.conv` or any other convolution of convjax.
      platform: "cpu", "cuda" ("gpu" means that too), "rocm", "tpu", or "all" of them. None is that of this machine.
      machine: a `convjax.Machine` to plan for, instead of this machine.

    Returns:
      A `Plan`, to print or to read: for the forward convolution and both gradients, the algorithm chosen, the reason,
      its multiply-adds beside those of the definition, a bound on its error (rounding to a 16-bit result not counted),
      and why the others were not chosen. Times are stated only for convolutions in a record of `convjax.tune`, which
      `algorithm=` takes.

    Raises:
      ValueError, TypeError: whatever the call itself would raise, and for an unknown platform or function.

    >>> import convjax, jax, jax.numpy as jnp
    >>> x, weight = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((8, 64, 56, 56), (64, 64, 3, 3)))
    >>> plan = convjax.plan(x, weight, padding=1, platform="tpu")
    >>> print(plan)
    conv of x float32[8, 64, 56, 56], weight float32[64, 64, 3, 3], padding=1 gives float32[8, 64, 56, 56]
    on tpu
      forward          xla                       925 M multiply-adds: nothing else is preferred for it
      input gradient   xla                       925 M multiply-adds: nothing else is preferred for it
      weight gradient  xla                       925 M multiply-adds: nothing else is preferred for it
    >>> print(*plan.explain().splitlines()[3:7], sep="\\n")
        XLA's own convolution; error below 6.9e-05 of the sum of |x| |w|; 13 MB of arrays
        not shift_add: 925 M multiply-adds
        not variadic_reduce: 3136 positions, more than 128
        not matmul: 925 M multiply-adds
    >>> plan.step("weight gradient").algorithm
    'xla'
    """
    name = _name("plan", function, functional.CONVOLUTIONS)
    if platform is not None:
        values.check_name("plan", "platform", platform, (*PLATFORMS, "gpu", "all"))
        platform = "cuda" if platform == "gpu" else platform
    if machine is not None and not isinstance(machine, Machine):
        raise errors.not_a_machine("plan", machine)
    x, weight = (arrays.struct("plan", *pair) for pair in (("x", x), ("weight", weight)))
    given = _bind_arguments("plan", function, x, weight, *args, **options)
    shown = [f"{k} {_typed(given.pop(k))}" for k in ("x", "weight")]
    bias = None if given.get("bias") is None else arrays.struct("plan", "bias", given.pop("bias"))
    shown += [] if bias is None else [f"bias {_typed(bias)}"]

    def call(x, weight):
        return function(x, weight, **given, **({} if bias is None else {"bias": jnp.zeros(bias.shape, bias.dtype)}))

    result, equations = _trace(call, x, weight)
    steps = [_step(m, *equation) for m in _machines(platform, machine) for equation in equations.items()]
    shown += [f"{k}={_shown(v)}" for k, v in given.items() if k != "bias"]
    return Plan(f"{name} of {', '.join(shown)}", result.shape, result.dtype, tuple(steps))


def _machines(platform: str | None, machine: Machine | None) -> list[Machine]:
    if machine is not None:
        return [machine if platform in (None, "all") else machine._replace(platform=platform)]
    platform = default_platform() if platform is None else platform
    return [this_machine(each) for each in (PLATFORMS if platform == "all" else (platform,))]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _trace(call: Callable, x: jax.ShapeDtypeStruct, weight: jax.ShapeDtypeStruct):
    """What a call returns, and the primitive's equation in it and in each of its gradients."""
    result = jax.eval_shape(call, x, weight)
    (forward,) = convolutions(jax.make_jaxpr(call)(x, weight).jaxpr)
    equations = {"forward": forward}
    if jnp.issubdtype(result.dtype, jnp.inexact):
        for argument, direction in enumerate(("input gradient", "weight gradient")):
            jaxpr = jax.make_jaxpr(lambda x, w, ct, i=argument: _gradient(call, (x, w), i, ct))(x, weight, result)
            equations[direction] = convolutions(jaxpr.jaxpr)[-1]
    return result, equations


def _gradient(call: Callable, operands: tuple, argument: int, ct):
    held = lambda a: call(*[a if i == argument else o for i, o in enumerate(operands)])  # noqa: E731
    return jax.vjp(held, operands[argument])[1](ct)


def _chosen(problem: Problem, algorithm: str, below_rank: int | None = None) -> list[tuple[Choice, Problem]]:
    """The choice for a problem, followed by the choice for each operation that a rewrite makes of it."""
    choice = choose(problem, algorithm, below_rank=below_rank)
    if isinstance(choice.algorithm, Kernel):
        return [(choice, problem)]
    restated: list[Problem] = []

    def record(x, w, spec):
        x, w = (jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, w))
        restated.append(Problem(spec.with_unflipped_weight(), x, w, problem.machine))
        return jnp.zeros(spec.output_shape(x.shape, w.shape), spec.out_dtype or x.dtype)

    run = partial(choice.algorithm.run, spec=problem.spec, machine=problem.machine, convolve=record)
    jax.eval_shape(run, problem.x, problem.w)
    algorithm = algorithm if algorithm == "local" else "auto"
    return [(choice, problem), *_chosen(restated[-1], algorithm, choice.algorithm.rank)]


def steps_of(equation: Any, machine: Machine, direction: str | None = None) -> tuple[Step, ...]:
    """The step of an equation of the primitive, and those of its gradients if it has no direction of its own."""
    if direction is not None:
        return (_step(machine, direction, equation),)

    def call(x, w):
        return conv_p.bind(x, w, **equation.params)

    x, w = (jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars)
    return tuple(_step(machine, *each) for each in _trace(call, x, w)[1].items())


def _step(machine: Machine, direction: str, equation) -> Step:
    problem = problem_of(equation, machine)
    spec, x, w = problem.spec, problem.x, problem.w
    chosen = _chosen(problem, equation.params["algorithm"])
    choice, inner = chosen[0][0], chosen[-1][1]
    kernel = chosen[-1][0].algorithm
    assert isinstance(kernel, Kernel)
    y = equation.outvars[0].aval
    others = {
        name: why_unsupported(other, spec, x, w, machine) or f"{scaled(other.multiply_adds(spec, x, w))} multiply-adds"
        for name, other in ALGORITHMS.items()
        if name != choice.algorithm.name
    }
    error = None
    if jnp.issubdtype(x.dtype, jnp.inexact) and isinstance(math.prod(x.shape), int):
        error = kernel.error(inner.spec, inner.x, inner.w) * float(jnp.finfo(sum_dtype(x.dtype, spec)).eps)
    return Step(
        platform=machine.platform,
        direction=direction,
        algorithm=choice.algorithm.name,
        kernel=kernel.name,
        because=choice.because,
        others=OtherAlgorithms(others),
        output_shape=y.shape,
        multiply_adds=kernel.multiply_adds(inner.spec, inner.x, inner.w),
        definition_multiply_adds=definition_multiply_adds(spec, x, w),
        bytes=sum(math.prod(a.shape) * a.dtype.itemsize for a in (x, w, y)),
        error=error,
        relative_to=kernel.relative_to,
        is_local=all(each.algorithm.is_local(p.spec, p.x, p.w) for each, p in chosen),
        seconds=None if choice.nanoseconds is None else choice.nanoseconds / 1e9,
        spec=spec,
    )


def _typed(a: jax.ShapeDtypeStruct) -> str:
    return f"{a.dtype}{list(a.shape)}"


def _name(caller: str, function: Any, known: Sequence[Callable]) -> str:
    if not any(function is each for each in known):
        raise errors.not_a_function(caller, function, [f"convjax.{each.__name__}" for each in known])
    return function.__name__


def _bind_arguments(caller: str, function: Callable, *args: Any, **options: Any) -> dict[str, Any]:
    """The arguments of a call by their names."""
    signature = inspect.signature(function)
    for name, value in options.items():
        if name not in signature.parameters:
            target = function.__name__
            raise suggestions.unknown_argument(caller, target, list(signature.parameters), name, value)
    try:
        return dict(signature.bind(*args, **options).arguments)
    except TypeError as error:
        raise errors.wrong_arguments(caller, function.__name__, str(error)) from error


def conv_output_shape(
    x_shape: Sequence[int], *args: Any, function: Callable = functional.conv, **options: Any
) -> tuple[int, ...]:
    """The shape that a convolution would return, from shapes alone: no array is made and no device touched.

    Args:
      x_shape: the shape of x.
      *args, **options: the other arguments of `function` in its own order, with shapes where it takes arrays. So the
        shape of the weight comes next, or the kernel size for `convjax.unfold`.
      function: `convjax.conv` (any number of spatial dimensions) or another convolution of convjax, `convjax.unfold` or
        `convjax.fold`.

    Returns:
      The shape as a tuple. Sizes may be symbolic, as `jax.export.symbolic_shape` makes them.

    Raises:
      ValueError, TypeError: whatever the call itself would raise.

    >>> import convjax
    >>> convjax.conv_output_shape((1, 1, 4, 4), (1, 1, 2, 2), stride=2)
    (1, 1, 2, 2)
    >>> convjax.conv_output_shape((8, 64, 16, 16), (64, 32, 4, 4), stride=2, padding=1, function=convjax.conv_transpose)
    (8, 32, 32, 32)
    >>> convjax.conv_output_shape((1, 3, 8, 8), 3, function=convjax.unfold)
    (1, 27, 36)
    """
    caller = "conv_output_shape"
    _name(caller, function, (*functional.CONVOLUTIONS, functional.unfold, functional.fold))
    given = _bind_arguments(caller, function, x_shape, *args, **options)
    given.pop("preferred_element_type", None)  # does not affect the shape; shapes have no dtype to check it against
    operands = {k: _shape(caller, k, given.pop(k)) for k in ("x", "weight", "bias") if given.get(k) is not None}
    return jax.eval_shape(lambda **arrays: function(**arrays, **given), **operands).shape


def _shape(function: str, argument: str, value: Any) -> jax.ShapeDtypeStruct:
    argument = "x_shape" if argument == "x" else argument
    value = getattr(value, "shape", value)
    if not isinstance(value, (tuple, list)):
        raise errors.not_a_shape(function, argument, value)
    sizes = values.integers(function, argument, value, len(value), 0)
    return jax.ShapeDtypeStruct(sizes, jnp.float32)
