"""What a call would do, told without an array: its plan, and the shape of its result."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import subjaxprs

from convjax import _arrays, _check, _check_names, _primitive, _select, _spec, functional
from convjax._lowerings import LOWERINGS, _pieces
from convjax._spec import ConvSpec

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


class Others(Mapping):
    """A mapping of names to words that cannot be changed, and so can be hashed, as the plan that holds it."""

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
    served_by: str  # the same, but for a lowering that restates the operation: what then serves that
    because: str
    others: Others  # every other lowering: why it cannot serve, or what it would cost
    output_shape: tuple[int, ...]
    multiply_adds: int
    bytes: int
    error: float | None  # how far off a result may be, over `relative`; None for integers, which are exact
    relative: str
    local: bool  # whether a NaN or an infinity of x reaches only the results whose window holds it
    spec: ConvSpec


class Plan(NamedTuple):
    """What convjax would run for a call. Printing it shows it; `steps` holds the same as data, to compare or hash."""

    call: str
    output_shape: tuple[int, ...]
    dtype: Any
    steps: tuple[Step, ...]

    def step(self, platform: str, direction: str = "forward") -> Step:
        """The step of one platform and direction."""
        return next(s for s in self.steps if (s.platform, s.direction) == (platform, direction))

    def __str__(self) -> str:
        lines = [self.call, f"  result {self.dtype}{list(self.output_shape)}"]
        for platform in dict.fromkeys(step.platform for step in self.steps):
            lines.append(f"  on {platform}")
            for step in (s for s in self.steps if s.platform == platform):
                error = "exact" if step.error is None else f"error below {step.error:.2g} of {step.relative}"
                lines.append(
                    f"    {step.direction:<15}  {step.algorithm:<9} {_scaled(step.multiply_adds)} multiply-adds, "
                    f"{_scaled(step.bytes)}B touched, {error}"
                )
                by = "" if step.served_by == step.algorithm else f", which {step.served_by} serves"
                lines.append(f"{'':21}  by {LOWERINGS[step.algorithm].summary}{by}")
                lines.append(f"{'':21}  for {step.because}")
                if not step.local and step.direction != "weight gradient":
                    lines.append(f"{'':21}  spreads a NaN to results that do not see it; algorithm='local' does not")
                lines += [f"{'':21}  not {name}: {why}" for name, why in step.others.items()]
        return "\n".join(lines)


def _scaled(number: Any) -> str:
    if not isinstance(number, int):
        return f"{number}"  # a symbolic size
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number}"


def plan(
    x: Any, weight: Any, *args: Any, function: Callable = functional.conv, platform: str | None = None, **options: Any
) -> Plan:
    """The lowering that each platform would run for a call and its gradients, and why. No array is touched.

    Args:
      x, weight: arrays, or anything with a shape and a dtype, such as `jax.ShapeDtypeStruct`.
      *args, **options: as `function` takes them after x and weight.
      function: `convjax.conv` or any other convolution of convjax.
      platform: "cpu", "cuda" ("gpu" means that too), "rocm" or "tpu"; None is all of them.

    Returns:
      A `Plan`, to be printed or read: per platform the forward convolution and both gradients, each with the lowering
      chosen, the reason, why the others were not, its multiply-adds, the bytes of its operands and result, and a bound
      on its error (rounding to a 16-bit result not counted).

    Raises:
      ValueError, TypeError: whatever the call itself would raise, and for an unknown platform or function.

    >>> import convjax, jax, jax.numpy as jnp
    >>> x, weight = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((8, 128, 56, 56), (128, 4, 3, 3)))
    >>> plan = convjax.plan(x, weight, padding=1, groups=32, platform="cpu")
    >>> print(*str(plan).splitlines()[:9], sep="\\n")
    conv of x float32[8, 128, 56, 56], weight float32[128, 4, 3, 3], padding=1, groups=32
      result float32[8, 128, 56, 56]
      on cpu
        forward          shift     116 M multiply-adds, 25.7 MB touched, error below 4.3e-06 of the sum of |x| |w|
                           by a sum over shifted slices, one per tap
                           for few products per result: depthwise 3x3 on 8x144x56x56 takes 0.73 ms for 68
                           not direct: 116 M multiply-adds
                           not reduce: 3136 positions, more than 128
                           not matmul: 116 M multiply-adds
    >>> plan.step("cpu", "weight gradient").algorithm
    'reduce'
    """
    name = _name("plan", function, functional.CONVOLUTIONS)
    if platform is not None:
        _spec.known_name("plan", "platform", platform, (*PLATFORMS, "gpu"))
        platform = "cuda" if platform == "gpu" else platform
    x, weight = (_arrays.struct("plan", *pair) for pair in (("x", x), ("weight", weight)))
    given = _bound("plan", function, x, weight, *args, **options)
    shown = [f"{k} {_typed(given.pop(k))}" for k in ("x", "weight")]
    bias = None if given.get("bias") is None else _arrays.struct("plan", "bias", given.pop("bias"))
    shown += [] if bias is None else [f"bias {_typed(bias)}"]

    def call(x, weight):
        return function(x, weight, **given, **({} if bias is None else {"bias": jnp.zeros(bias.shape, bias.dtype)}))

    result, equations = _trace(call, x, weight)
    steps = [
        _step(p, direction, equation)
        for p in (PLATFORMS if platform is None else (platform,))
        for direction, equation in equations.items()
    ]
    shown += [f"{k}={v!r}" for k, v in given.items() if k != "bias"]
    return Plan(f"{name} of {', '.join(shown)}", result.shape, result.dtype, tuple(steps))


def _trace(call: Callable, x: jax.ShapeDtypeStruct, weight: jax.ShapeDtypeStruct):
    """What a call returns, and the primitive's equation in it and in each of its gradients."""
    result = jax.eval_shape(call, x, weight)
    (forward,) = _convolutions(jax.make_jaxpr(call)(x, weight).jaxpr)
    equations = {"forward": forward}
    if jnp.issubdtype(result.dtype, jnp.inexact):
        for argument, direction in enumerate(("input gradient", "weight gradient")):
            jaxpr = jax.make_jaxpr(lambda x, w, ct, i=argument: _gradient(call, (x, w), i, ct))(x, weight, result)
            equations[direction] = _convolutions(jaxpr.jaxpr)[-1]
    return result, equations


def _gradient(call: Callable, operands: tuple, argument: int, ct):
    held = lambda a: call(*[a if i == argument else o for i, o in enumerate(operands)])  # noqa: E731
    return jax.vjp(held, operands[argument])[1](ct)


def _convolutions(jaxpr) -> list:
    found = [eqn for eqn in jaxpr.eqns if eqn.primitive is _primitive.conv_p]
    return found + [eqn for inner in subjaxprs(jaxpr) for eqn in _convolutions(inner)]


def _chosen(platform: str, equation) -> list[tuple[_select.Choice, tuple[ConvSpec, Any, Any]]]:
    """What is chosen for an equation, and then for what that restates it as."""
    spec, algorithm = equation.params["spec"], equation.params["algorithm"]
    x, w = (v.aval for v in equation.invars)
    choice = _select.select(spec, x, w, platform, algorithm)
    found = [(choice, (spec, x, w))]
    if choice.lowering.error is not None:
        return found
    restated = partial(_primitive.lowered, choice.lowering, spec=spec, algorithm=algorithm)
    return found + _chosen(platform, _convolutions(jax.make_jaxpr(restated)(x, w).jaxpr)[-1])


def _step(platform: str, direction: str, equation) -> Step:
    chosen = _chosen(platform, equation)
    (choice, (spec, x, w)), (last, inner) = chosen[0], chosen[-1]
    y = equation.outvars[0].aval
    others = {
        name: _select.refusal(lowering, spec, x, w) or f"{_scaled(lowering.multiply_adds(spec, x, w))} multiply-adds"
        for name, lowering in LOWERINGS.items()
        if name != choice.lowering.name
    }
    error, serves = None, last.lowering
    if jnp.issubdtype(x.dtype, jnp.inexact) and isinstance(x.size, int) and serves.error is not None:
        error = serves.error(*inner) * float(jnp.finfo(_pieces.sum_dtype(x.dtype, spec)).eps)
    touched = sum(math.prod(a.shape) * a.dtype.itemsize for a in (x, w, y))
    return Step(
        platform=platform,
        direction=direction,
        algorithm=choice.lowering.name,
        served_by=serves.name,
        because=choice.because,
        others=Others(others),
        output_shape=y.shape,
        multiply_adds=serves.multiply_adds(*inner),
        bytes=touched,
        error=error,
        relative=serves.relative,
        local=all(each.lowering.local(*operands) for each, operands in chosen),
        spec=spec,
    )


def _typed(a: jax.ShapeDtypeStruct) -> str:
    return f"{a.dtype}{list(a.shape)}"


def _name(caller: str, function: Any, known: Sequence[Callable]) -> str:
    if not any(function is each for each in known):
        raise _check.not_a_function(caller, function, [f"convjax.{each.__name__}" for each in known])
    return function.__name__


def _bound(caller: str, function: Callable, *args: Any, **options: Any) -> dict[str, Any]:
    """The arguments of a call by their names."""
    signature = inspect.signature(function)
    for name, value in options.items():
        if name not in signature.parameters:
            target = function.__name__
            raise _check_names.unknown_argument(caller, target, list(signature.parameters), name, value)
    try:
        return dict(signature.bind(*args, **options).arguments)
    except TypeError as error:
        raise _check.wrong_arguments(caller, function.__name__, str(error)) from error


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
    given = _bound(caller, function, x_shape, *args, **options)
    given.pop("preferred_element_type", None)  # says nothing of the shape, and shapes have no dtype to hold it against
    arrays = {k: _shape(caller, k, given.pop(k)) for k in ("x", "weight", "bias") if given.get(k) is not None}
    return jax.eval_shape(lambda **operands: function(**operands, **given), **arrays).shape


def _shape(function: str, argument: str, value: Any) -> jax.ShapeDtypeStruct:
    argument = "x_shape" if argument == "x" else argument
    value = getattr(value, "shape", value)
    if not isinstance(value, (tuple, list)):
        raise _check.not_a_shape(function, argument, value)
    sizes = _spec.integers(function, argument, value, len(value), 0)
    return jax.ShapeDtypeStruct(sizes, jnp.float32)
