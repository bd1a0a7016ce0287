"""Which algorithm is chosen, and that it is the one compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import CASES, CPU, by, normal, specs

import convjax
from benchmarks.cases import BY_NAME, ROWS
from convjax._algorithms import ALGORITHMS
from convjax._algorithms.algorithm import Kernel
from convjax._choice.choose import CHOOSING, choose
from convjax._choice.problem import Problem
from convjax._choice.rules import RULES
from convjax._machine import generic, here
from convjax._operation.primitive import convolve
from convjax._spec import ConvSpec

# A CPU whose compiler has the traits that this one lacks.
OTHER_COMPILER = CPU._replace(
    batched_gemm_is_parallel=not CPU.batched_gemm_is_parallel,
    barriers_survive_fusion=not CPU.barriers_survive_fusion,
    strided_convolution_is_fast=not CPU.strided_convolution_is_fast,
)


def chosen(case, machine=CPU):
    return [choose(Problem(*entry, machine)).algorithm.name for entry in specs(case).values()]


def test_other_platforms_get_xla():
    for case in ROWS:
        assert chosen(case, generic("tpu")) == ["xla"] * 3


def test_integers_get_what_is_exact():
    for case in (*ROWS, *CASES):
        for spec, x, w in specs(case).values():
            x, w = (jax.ShapeDtypeStruct(a.shape, jnp.int32) for a in (x, w))
            name = choose(Problem(spec, x, w, CPU)).algorithm.name
            assert name in {
                "xla",
                "shift_add",
                "variadic_reduce",
                "chwn",
                "subpixel",
                "swap_operands",
                "space_to_depth",
            }, (case.name, name)


@pytest.mark.parametrize(
    "shapes", [((1, 1, 130, 140), (1, 1, 63, 63)), ((1, 32, 40, 40), (32, 32, 3, 3)), ((1, 64, 40, 40), (64, 32, 3, 3))]
)
def test_local_keeps_a_nan_where_it_is_seen(shapes):
    """And so do the tangents and the gradient with respect to the input."""
    x, w = (jnp.asarray(normal(i, shape)) for i, shape in enumerate(shapes))
    reach = w.shape[2] // 2
    x = x.at[0, 0, 3, 4].set(jnp.nan)
    options = {"padding": reach, "groups": x.shape[1] // w.shape[1]}
    call = lambda x, algorithm="local": convjax.conv2d(x, w, **options, algorithm=algorithm)  # noqa: E731
    rows, columns = np.mgrid[: x.shape[2], : x.shape[3]]
    want = (abs(rows - 3) <= reach) & (abs(columns - 4) <= reach)
    results = call(x), jax.jvp(call, (x,), (x,))[1], jax.vjp(call, x * 0)[1](x)[0], jax.vmap(call)(x[None])[0]
    for y in results:
        np.testing.assert_array_equal(np.isnan(y).any((0, 1)), want)
    assert np.isnan(call(x, "auto")).sum() > np.isnan(call(x)).sum()


def test_every_rule_holds_for_some_row():
    """And none is shadowed by those before it."""
    for platform, rules in RULES.items():
        entries = [entry for case in (*ROWS, *CASES) for entry in specs(case).values()]
        reasons = {
            choose(Problem(*entry, machine), algorithm).because
            for entry in entries
            for algorithm in CHOOSING
            for machine in (generic(platform), OTHER_COMPILER._replace(platform=platform))
        }
        assert {rule.because for rule in rules} <= reasons, platform


def test_a_rule_sees_shapes_alone():
    spec, x, w = specs(BY_NAME["mobilenet 3x3 144"])["forward"]
    p = Problem(spec, x, w, CPU)
    assert (p.batch, p.groups, p.in_channels, p.out_channels, p.taps) == (8, 144, 1, 1, 9)
    assert p.positions == 56 * 56
    assert not p.gradient_like


OPERATIONS = {
    "xla": "stablehlo.convolution",
    "matmul": "stablehlo.dot_general",
    "winograd": "stablehlo.dot_general",
    "fft": "stablehlo.fft",
    "variadic_reduce": "stablehlo.reduce",
}


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_what_is_chosen_is_what_is_compiled(case):
    for spec, x, w in specs(case).values():
        name = choose(Problem(spec, x, w, here("cpu"))).algorithm.name
        if name not in OPERATIONS and name != "shift_add":
            continue
        text = jax.jit(lambda x, w, spec=spec: convolve(x, w, spec)).lower(x, w).as_text()
        found = {op for op in OPERATIONS.values() if op in text}
        wanted = {OPERATIONS[name]} if name in OPERATIONS else set()
        assert found - {"stablehlo.reduce"} == wanted - {"stablehlo.reduce"}
        assert name != "variadic_reduce" or "stablehlo.reduce" in found


def test_the_platform_that_is_lowered_for_decides():
    """Not the one that this process runs on."""
    case = BY_NAME["medical 3x3x3 32"]
    x, w = case.structs()
    for platform, operation in (("cpu", "dot_general"), ("cuda", "convolution"), ("tpu", "convolution")):
        text = jax.jit(lambda x, w: case(x, w)).trace(x, w).lower(lowering_platforms=(platform,)).as_text()
        assert f"stablehlo.{operation}" in text, platform


def test_an_algorithm_that_cannot_serve_says_why():
    x, w = normal(0, (1, 4, 8, 8)), normal(1, (4, 2, 3, 3))
    with pytest.raises(ValueError, match=r"algorithm='winograd': groups"):
        convjax.conv2d(x, w, groups=2, algorithm="winograd")
    with pytest.raises(ValueError, match=r"algorithm='fft': int32 is exact"):
        convjax.conv2d(x.astype(np.int32), w.astype(np.int32), groups=2, algorithm="fft")
    with pytest.raises(ValueError, match=r"`algorithm`"):
        convjax.conv2d(x, w, groups=2, algorithm="fastest")


CHANNELS = [(16, 32), (256, 64)]


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize(("inputs", "outputs"), CHANNELS)
def test_errors_stay_below_what_plan_says(name, inputs, outputs):
    """And within 4 times those of XLA's convolution, but for Winograd and the FFT, for normal data."""
    dense = ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1))
    for spec, xs, ws in [
        (dense, (2, inputs, 14, 14), (outputs, inputs, 3, 3)),
        (dense, (8, inputs, 16, 16), (8, inputs, 16, 16)),
        *[(dense, (2, inputs, 14, 14), (outputs, inputs, k, k)) for k in (2, 5)],
        *[(dense, (8, inputs, 16, 16), (8, inputs, k, k)) for k in (14, 17)],
        (dense._replace(groups=inputs), (2, inputs, 14, 14), (inputs, 1, 3, 3)),
        (dense._replace(groups=inputs), (1, 8 * inputs, 56, 56), (inputs, 8, 56, 56)),
        (dense._replace(lhs_dilation=(2, 2)), (2, inputs, 7, 7), (outputs, inputs, 3, 3)),
    ]:
        x, w = normal(0, xs), normal(1, ws)
        algorithm = ALGORITHMS[name]
        if algorithm.unsupported(spec, x, w):
            continue
        kernel = algorithm if isinstance(algorithm, Kernel) else ALGORITHMS["xla"]
        want = reference.conv(x, w, spec)
        got, plain = (np.asarray(jax.jit(by(each, spec))(x, w)) for each in (name, "xla"))
        error, largest = np.abs(got - want).max(), np.abs(want).max()
        scale = {
            "the sum of |x| |w|": np.abs(reference.conv(np.abs(x), np.abs(w), spec)).max(),
            "the largest result": largest,
            "the norms of x and w": np.sqrt(np.square(x).sum() * np.square(w).sum()),
        }[kernel.relative_to]
        assert error <= kernel.error(spec, x, w) * np.finfo(np.float32).eps * scale
        if name == "winograd":
            assert error <= 1e-5 * largest
        elif name == "fft":
            assert error <= 2e-6 * largest
        else:
            assert error <= 4 * max(np.abs(plain - want).max(), 2e-7 * largest)
