"""Which algorithm is chosen, and that it is the one compiled."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import CASES, CPU, by, channels_last, normal, random_spec, specs

import convjax
from benchmarks import estimate
from benchmarks.backends import DIRECTIONS
from benchmarks.cases import BESIDE_ROWS, BY_NAME, ROWS
from benchmarks.layers import TUNING_LAYERS
from benchmarks.report import geometric_mean
from convjax._algorithms import ALGORITHMS
from convjax._algorithms.algorithm import Kernel, Rewrite
from convjax._arrays.onednn import MATMUL
from convjax._choice.choose import choose, why_unsupported
from convjax._choice.preferences import CPU_CHANNELS_LAST, PREFERENCES, Preference
from convjax._choice.problem import Problem
from convjax._machine import generic, this_machine
from convjax._operation import primitive
from convjax._operation.primitive import convolve
from convjax._spec import ConvSpec

# A CPU whose compiler has the traits that this one lacks.
OTHER_COMPILER = CPU._replace(
    batched_gemm_is_parallel=not CPU.batched_gemm_is_parallel,
    barriers_survive_fusion=not CPU.barriers_survive_fusion,
    transposes_in_tiles=not CPU.transposes_in_tiles,
    loops_are_single_core=not CPU.loops_are_single_core,
    strided_convolution_is_fast=not CPU.strided_convolution_is_fast,
)


def chosen(case, machine=CPU):
    return [choose(Problem(*entry, machine)).algorithm.name for entry in specs(case).values()]


def test_other_platforms_get_xla():
    for case in ROWS:
        assert chosen(case, generic("rocm")) == ["xla"] * 3


def test_choices_for_a_tpu_are_as_estimated():
    """Each choice of the committed estimates is still the choice, none is slower than XLA's own convolution, and those
    of an algorithm are faster by a factor of 5 in the geometric mean. (XLA's compiler estimated; there was no clock.)
    """
    gains: dict[str, list[float]] = {}
    for file, cases in (("tpu-v5e-2x2", ROWS), ("tpu-v5e-2x2-beside", BESIDE_ROWS)):
        found = estimate.by_row(json.loads((estimate.RESULTS / f"{file}.json").read_text()))
        for case in cases:
            for direction, name in zip(DIRECTIONS, chosen(case, generic("tpu")), strict=True):
                programs = found[case.name, direction]
                auto, xla = programs[estimate.AUTO], programs["xla"]
                assert auto["chosen"] == name, (case.name, direction)
                if name != "xla" and "cycles" in xla:
                    assert auto["cycles"] <= xla["cycles"], (case.name, direction)
                    gains.setdefault(name, []).append(xla["cycles"] / auto["cycles"])
    assert min(map(geometric_mean, gains.values())) >= 5, gains
    assert set(gains) == {preference.algorithm for preference in PREFERENCES["tpu"]}


def test_choices_for_a_tpu_do_not_depend_on_the_order_of_axes():
    for case in ROWS:
        entries = specs(case).values()
        contiguous, last = (
            [choose(Problem(change(spec), x, w, generic("tpu"))).algorithm.name for spec, x, w in entries]
            for change in (lambda spec: spec, channels_last)
        )
        assert contiguous == last, case.name


def test_integers_get_what_is_exact():
    for case in (*ROWS, *CASES):
        for spec, x, w in specs(case).values():
            x, w = (jax.ShapeDtypeStruct(a.shape, jnp.int32) for a in (x, w))
            name = choose(Problem(spec, x, w, CPU)).algorithm.name
            assert name in {
                "xla",
                "shift_add",
                "variadic_reduce",
                "polyphase",
                "chwn",
                "subpixel",
                "swap_operands",
                "space_to_depth",
            }, (case.name, name)


@pytest.mark.parametrize(
    "shapes", [((1, 1, 130, 140), (1, 1, 63, 63)), ((1, 32, 40, 40), (32, 32, 3, 3)), ((1, 64, 40, 40), (64, 32, 3, 3))]
)
def test_local_keeps_a_nan_within_its_windows(shapes):
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
    is_local = convjax.plan(x, w, **options, platform="cpu").step().is_local
    assert (np.isnan(call(x, "auto")).sum() > np.isnan(call(x)).sum()) != is_local


def test_every_preference_holds_for_some_row():
    """And none is shadowed by those before it."""
    entries = [entry for case in (*ROWS, *CASES, *TUNING_LAYERS) for entry in specs(case).values()]
    last = [(channels_last(spec), x, w) for spec, x, w in entries]
    lists = [(platform, listed, entries) for platform, listed in PREFERENCES.items()]
    lists += [("cpu", CPU_CHANNELS_LAST[: -len(PREFERENCES["cpu"])], last)]
    for platform, preferences, found in lists:
        first = set()
        machines = (
            generic(platform),
            OTHER_COMPILER._replace(platform=platform, onednn_dtypes=("float32",), onednn_has_avx512=True),
        )
        for entry in found:
            for machine in machines:
                p = Problem(*entry, machine)
                held = [n for n, each in enumerate(preferences) if each.pays(p) and is_supported(each.algorithm, p)]
                local = [n for n in held if ALGORITHMS[preferences[n].algorithm].is_local(*entry)]
                first |= {*held[:1], *local[:1]}
        assert first == set(range(len(preferences))), platform
        assert len(preferences) <= 22


def test_choices_for_cuda_are_those_of_its_timings():
    """Of layers of `benchmarks/results/cuda-h200-layers.md` that differ by more than a fifth from lax."""
    layers = {case.name.removesuffix(", batch 8"): case for case in TUNING_LAYERS}
    for name, wanted in {
        "efficientnet_b3, 816x14x14 to 816x1x5x5": ("xla", "xla", "xla"),
        "lraspp_mobilenet_v3_large, 960x14x14 to 960x1x5x5": ("shift_add", "shift_add", "variadic_reduce"),
        "edgenext_small, 160x16x16 to 160x1x7x7": ("shift_add", "shift_add", "xla"),
        "convmixer_768_32, 768x32x32 to 768x1x7x7": ("shift_add", "shift_add", "matmul"),
        "mobilenetv4_conv_small, 192x28x28 to 192x1x5x5 s2": ("shift_add", "xla", "xla"),
        "convnextv2_nano, 640x7x7 to 640x1x7x7": ("xla", "xla", "matmul"),
    }.items():
        assert tuple(chosen(layers[name], generic("cuda"))) == wanted, name


def is_supported(name, p):
    return why_unsupported(ALGORITHMS[name], p.spec, p.x, p.w, p.machine) is None


def test_reasons_are_in_the_numbers_of_the_problem():
    for case in ROWS:
        for entry in specs(case).values():
            because = choose(Problem(*entry, CPU)).because
            assert 10 < len(because) < 100, because


REWRITES = sorted((a for a in ALGORITHMS.values() if isinstance(a, Rewrite)), key=lambda a: -a.rank)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("first", [None, *[a.name for a in REWRITES]])
def test_rewriting_ends(seed, first, monkeypatch):
    """Whatever an operation is, and even if every rewrite is preferred to every kernel: each step has a lower rank."""
    spec, x_shape, w_shape = random_spec(np.random.default_rng(seed))
    ranks: list[list[int]] = []
    every = [Preference(a.name, lambda p: True, "tested") for a in REWRITES]
    monkeypatch.setitem(PREFERENCES, "cpu", tuple(sorted(every, key=lambda each: each.algorithm != first)))

    def chosen(problem, *args):
        choice = choose(problem, *args)
        below = args[-1]
        if isinstance(choice.algorithm, Rewrite):
            ranks.append([choice.algorithm.rank, *([below] if below is not None else [])])
        return choice

    monkeypatch.setattr(primitive, "choose", chosen)
    x, w = normal(0, (2, *x_shape)), normal(1, w_shape)
    got = primitive.run_chosen(x, w, spec, CPU)
    want = reference.conv(x, w, spec)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * max(np.abs(want).max(initial=0), 1))
    assert all(rank < below[0] for rank, *below in ranks if below)


def test_a_problem_is_of_shapes_alone():
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
        name = choose(Problem(spec, x, w, this_machine("cpu"))).algorithm.name
        if name not in OPERATIONS and name != "shift_add":
            continue
        text = jax.jit(lambda x, w, spec=spec: convolve(x, w, spec)).lower(x, w).as_text()
        text = text.replace(f"stablehlo.custom_call @{MATMUL}", "stablehlo.dot_general")
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


def test_naming_an_unsupported_algorithm_gives_the_reason():
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
    """And within 4 times those of XLA's convolution or product, but for Winograd, the FFT and oneDNN, for normal data.

    Processors add the products in different orders. On some, an XLA product of 4096 numbers a sum is 12 times as far
    off as its convolution.
    """
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
        spec = channels_last(spec) if name == "im2row" else spec
        if why_unsupported(algorithm, spec, x, w, this_machine("cpu")):
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
        # zero_insertion ends at Winograd's algorithm. oneDNN adds up to 25088 products one after the other.
        if name in ("winograd", "zero_insertion", "onednn"):
            assert error <= 1e-5 * largest
        elif name == "fft":
            assert error <= 2e-6 * largest
        else:
            product = windows_times_weight(x, w, spec) if spec.groups == max(spec.lhs_dilation) == 1 else want
            assert error <= 4 * max(*(np.abs(y - want).max() for y in (plain, product)), 2e-7 * largest)


def windows_times_weight(x, w, spec):
    """A convolution of images as one matrix product of XLA."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), *spec.padding)), w.shape[2:], (2, 3))
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, w[0].size)
    y = np.asarray(jnp.dot(rows, w.reshape(len(w), -1).T))
    return y.reshape(len(x), *windows.shape[2:4], len(w)).transpose(0, 3, 1, 2)
