"""Plans and output shapes: the truth about what runs, told without arrays."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, normal, specs

import convjax
from benchmarks import backends, tasks
from benchmarks.backends import DIRECTIONS
from benchmarks.cases import ROWS
from convjax._algorithms import ALGORITHMS
from convjax._algorithms.algorithm import Kernel
from convjax._choice.choose import choose
from convjax._choice.preferences import PREFERENCES, Preference
from convjax._choice.problem import Problem
from convjax._choice.recorded import operation_of
from convjax._machine import generic


def tpu_choices(case):
    return [choose(Problem(*entry, generic("tpu"))).algorithm.name for entry in specs(case).values()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plan_and_shape_of_every_case(case):
    result = jax.eval_shape(case, *case.structs())
    plan = convjax.plan(*case.structs(), function=case.function, platform="all", **case.options)
    assert plan.output_shape == result.shape
    assert plan.dtype == result.dtype
    directions = ["forward", "input gradient", "weight gradient"]
    assert [(s.platform, s.direction) for s in plan.steps] == [
        (p, d) for p in ("cpu", "cuda", "rocm", "tpu") for d in directions
    ]
    assert convjax.conv_output_shape(case.x, case.weight, function=case.function, **case.options) == result.shape
    taps, groups = int(np.prod(case.weight[2:])), case.options.get("groups", 1)
    if not case.transpose:
        products = int(np.prod(result.shape)) * case.weight[1] * taps
        for direction in ("forward", "weight gradient"):
            step = plan.step(direction, "cpu")
            if step.algorithm in ("xla", "shift_add", "variadic_reduce", "matmul"):
                assert step.multiply_adds == products
    assert plan.step().bytes == 4 * (np.prod(case.x) + np.prod(case.weight) + np.prod(result.shape))
    assert groups == plan.step().spec.groups


def test_plan_says_where_a_nan_spreads():
    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((8, 64, 56, 56), (64, 64, 3, 3)))
    spread = convjax.plan(x, w, padding=1, platform="cpu")
    assert not spread.step().is_local
    assert "spreads a NaN" in spread.explain()
    kept = convjax.plan(x, w, padding=1, platform="cpu", algorithm="local")
    assert kept.step().is_local
    assert kept.step("input gradient").is_local
    assert "spreads a NaN" not in kept.explain()


def test_plan_touches_no_array_and_takes_what_the_call_takes():
    x, weight = jnp.zeros((1, 4, 8, 8), jnp.float32), np.zeros((2, 4, 3, 3), np.float32)
    plan = convjax.plan(x, weight, None, 2, padding=1, platform="tpu")
    assert {s.platform for s in plan.steps} == {"tpu"}
    assert plan.output_shape == (1, 2, 4, 4)
    assert plan.call.endswith("weight float32[2, 4, 3, 3], stride=2, padding=1")
    bias = jax.ShapeDtypeStruct((2,), jnp.float32)
    assert "bias float32[2]" in convjax.plan(x, weight, bias).call
    with pytest.raises(ValueError, match=r"convjax.conv: `groups`"):
        convjax.plan(x, weight, groups=3)
    integers = convjax.plan(x.astype(jnp.int32), weight.astype(np.int32), platform="cpu")
    assert [s.direction for s in integers.steps] == ["forward"]


def test_a_plan_can_be_hashed_and_compared():
    x, weight = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 4, 9, 9), (4, 4, 3, 3)))
    plan, again = (convjax.plan(x, weight, padding=1) for _ in range(2))
    assert plan == again
    assert len({plan, again, convjax.plan(x, weight)}) == 2
    assert pickle.loads(pickle.dumps(plan)) == plan
    others = plan.step().others
    assert dict(others) == others
    assert set(others) == set(ALGORITHMS) - {plan.step().algorithm}
    assert others["xla"].endswith("multiply-adds")
    assert repr(others) == repr(dict(others))
    with pytest.raises(TypeError):
        others["xla"] = "none"


def test_plan_of_a_rewrite():
    """The error, and the multiply-adds, are those of the algorithm for what it is restated as."""
    x, weight = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 256, 33, 33), (256, 256, 3, 3)))
    plan = convjax.plan(x, weight, padding=2, dilation=2, platform="cpu")
    step = plan.step("weight gradient")
    assert (step.algorithm, step.kernel, step.relative_to) == ("space_to_depth", "winograd", "the largest result")
    assert step.error == 80 * np.finfo(np.float32).eps
    assert step.multiply_adds < plan.step().multiply_adds / 1.5
    assert "space_to_depth + winograd" in str(plan)
    assert len(str(plan).splitlines()) == 2 + 3
    wide = convjax.plan(x, weight, padding=18, dilation=18, platform="cpu").step()
    assert (wide.kernel, wide.multiply_adds) == ("per_tap", 2 * 256**2 * 63**2)
    volume = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 32, 32, 48, 48), (32, 32, 3, 3, 3))]
    assert convjax.plan(*volume, padding=1).step("weight gradient")[2:4] == ("depth_slices", "winograd")


def test_plan_for_another_machine():
    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((8, 64, 56, 56), (128, 64, 3, 3)))
    another = convjax.Machine(strided_convolution_is_fast=True)
    plans = [convjax.plan(x, w, padding=1, stride=2, machine=machine) for machine in (convjax.Machine(), another)]
    assert plans[0].step().algorithm != plans[1].step().algorithm
    assert {step.platform for step in convjax.plan(x, w, machine=convjax.Machine("tpu")).steps} == {"tpu"}
    with pytest.raises(TypeError, match=r"convjax.plan: `machine` is not a convjax.Machine"):
        convjax.plan(x, w, machine="64 cores")


def test_plan_with_symbolic_sizes():
    (n,) = jax.export.symbolic_shape("n")
    x, weight = jax.ShapeDtypeStruct((n, 3, 8, 8), jnp.float32), jax.ShapeDtypeStruct((4, 3, 3, 3), jnp.float32)
    assert "n" in str(convjax.plan(x, weight, platform="cpu"))
    assert convjax.conv_output_shape((n, 3, 8, 8), (4, 3, 3, 3)) == (n, 4, 6, 6)


def test_shapes_of_the_windows():
    assert convjax.conv_output_shape((2, 3, 8, 8), (3, 2), stride=2, function=convjax.unfold) == (2, 18, 12)
    assert convjax.conv_output_shape((2, 18, 12), 8, (3, 2), stride=2, function=convjax.fold) == (2, 3, 8, 8)
    assert convjax.conv_output_shape([1, 1, 4], [2, 1, 3], [2]) == (1, 2, 2)


def zeros(x, w, spec, machine):
    return jnp.zeros(spec.output_shape(x.shape, w.shape), x.dtype)


@pytest.fixture
def another_algorithm(monkeypatch):
    """An algorithm for ungrouped convolutions on one platform, which makes zeros and so shows that it ran."""
    unsupported = lambda spec, x, w: "groups above 1" if spec.groups > 1 else None  # noqa: E731
    nothing = lambda spec, x, w: 0  # noqa: E731
    algorithm = Kernel("zeros", "a test's", zeros, unsupported, nothing, nothing, platforms=("cpu",))
    monkeypatch.setitem(ALGORITHMS, "zeros", algorithm)
    jax.clear_caches()
    yield algorithm
    jax.clear_caches()


def test_a_new_algorithm_is_one_entry_and_one_preference(another_algorithm, monkeypatch):
    x, w = normal(0, (1, 2, 6)), normal(1, (2, 2, 3))
    grouped = w[:, :1]
    assert np.any(convjax.conv1d(x, w))
    assert not np.any(convjax.conv1d(x, w, algorithm="zeros"))
    with pytest.raises(ValueError, match=r"algorithm='zeros': groups above 1"):
        convjax.conv1d(x, grouped, groups=2, algorithm="zeros")
    plan = convjax.plan(x, w, platform="cpu")
    assert plan.step().algorithm != "zeros"
    assert plan.step().others["zeros"] == "0 multiply-adds"
    assert convjax.plan(x, grouped, groups=2).step().others["zeros"] == "groups above 1"

    elsewhere = convjax.plan(x, w, platform="tpu").step()
    assert elsewhere.others["zeros"] == "it runs on cpu alone"

    small = Preference("zeros", lambda p: p.x.shape[-1] < 10, "{p.taps} taps are few")
    monkeypatch.setitem(PREFERENCES, "cpu", (small,))
    monkeypatch.setitem(PREFERENCES, "cuda", (small,))
    jax.clear_caches()
    assert not np.any(convjax.conv1d(x, w))
    assert np.any(convjax.conv1d(normal(0, (1, 2, 12)), w))
    assert np.any(convjax.conv1d(x, grouped, groups=2))
    assert np.any(convjax.conv1d(x, w, algorithm="xla"))
    plan = convjax.plan(x, w, platform="all")
    assert (plan.step().algorithm, plan.step().because) == ("zeros", "3 taps are few")
    assert plan.step(platform="cuda").algorithm == "xla"
    assert "zeros" in str(plan)


def test_preferences_name_algorithms_that_exist():
    for preferences in PREFERENCES.values():
        assert {preference.algorithm for preference in preferences} <= set(ALGORITHMS)
    assert [algorithm.name for algorithm in ALGORITHMS.values()] == list(ALGORITHMS)


@pytest.mark.parametrize(
    "row", [case for case in ROWS if set(tpu_choices(case)) != {"xla"}], ids=lambda case: case.name
)
def test_a_program_for_a_tpu_holds_the_algorithm_of_the_plan(row):
    """The program is that of the algorithm by name, and not that of XLA's own convolution."""
    x, w = row.structs()
    structs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, w, jax.eval_shape(row, x, w))]
    for direction, name in zip(DIRECTIONS, tpu_choices(row), strict=True):
        auto = backends.jax_function(backends.conv_of("convjax", row), direction)
        record = operation_of(Problem(*tasks.equation(auto, structs), generic("tpu")))

        def lowered(algorithm, record=record, direction=direction):
            function = backends.jax_function(backends.conv_of(((record, ((algorithm, 0),)),), row), direction)
            return jax.jit(function).trace(*structs).lower(lowering_platforms=("tpu",)).as_text()

        text = jax.jit(auto).trace(*structs).lower(lowering_platforms=("tpu",)).as_text()
        assert text == lowered(name), direction
        assert (text == lowered("xla")) == (name == "xla"), direction
