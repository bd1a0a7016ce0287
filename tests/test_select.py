"""Which lowering is chosen, and that it is the one compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import CASES, normal, specs

import convjax
from benchmarks.cases import BY_NAME, ROWS
from convjax import _select
from convjax._facts import facts
from convjax._lowerings import LOWERINGS
from convjax._primitive import convolve
from convjax._rules import RULES
from convjax._spec import ConvSpec


def chosen(case, platform="cpu"):
    return [_select.select(*entry, platform).lowering.name for entry in specs(case).values()]


SHARED = "matmul" if jax.__version_info__ >= (0, 11) else ""  # where cores share the sums of products
OWN = "direct" if jax.__version_info__ >= (0, 12) else ""  # where later XLA's own convolutions caught up
# Forward, input gradient, weight gradient.
CPU = {
    "mobilenet 3x3 144": ["shift", "shift", "reduce"],
    "mobilenet 3x3 s2 144": ["shift", "polyphase", "reduce"],
    "mobilenet 3x3 960": ["shift", "shift", "chwn"],
    "efficientnet 5x5 s2 672": ["chwn", "polyphase", "reduce"],
    "convnext 7x7 768": ["chwn", "chwn", "shift"],
    "convnext 7x7 96": ["shift", "shift", "reduce"],
    "resnext 32x4 3x3": ["shift", "shift", "reduce"],
    "resnext 32x8 3x3": ["chwn", "chwn", "matmul"],
    "resnext 32x32 3x3": ["chwn", "chwn", "unfold"],
    "resnext 32x16 3x3": ["chwn", "chwn", "unfold"],
    "resnext 32x32 3x3 s2": ["chwn", "fold", "unfold"],
    "resnext 32x8 3x3 s2": ["chwn", "fold", "reduce"],
    "alexnet grouped 5x5": ["apart", "apart", "unfold"],
    "resnet stem 7x7 s2": [OWN or "unfold", "fold", "matmul" if OWN else "unfold"],
    "mobilenet stem 3x3 s2": ["matmul", "polyphase", SHARED or "unfold"],
    "lenet 5x5 1 to 6": ["shift", "chwn", "matmul"],
    "lenet 5x5 6 to 16": ["chwn", "chwn", "direct"],
    "vgg 3x3 3 to 64": ["matmul", "matmul", SHARED or "reduce"],
    "unet 3x3 3 to 32": ["matmul", "matmul", "direct"],
    "cifar 3x3 3 to 32": ["shift", "matmul", SHARED or "reduce"],
    "cifar 3x3 32": ["winograd", "winograd", "matmul"],
    "vgg 3x3 64": ["winograd", "winograd", "winograd"],
    "shufflenet grouped 1x1": ["matmul", "matmul", "matmul"],
    "resnet 1x1 256 to 64": ["matmul", "matmul", "matmul"],
    "resnet 1x1 s2 256 to 512": ["matmul", OWN or "fold", "matmul"],
    "vit patches 16x16": ["matmul", "polyphase", "matmul"],
    "resnet 3x3 128": ["winograd", "winograd", "winograd"],
    "erfnet 3x1 64": [*[OWN or "matmul"] * 2, "matmul"],
    "alexnet 5x5 64 to 192": ["winograd", "winograd", "winograd" if OWN else "unfold"],
    "resnet 3x3 256": ["winograd", "winograd", "winograd"],
    "resnet 3x3 256, one image": ["winograd" if jax.__version_info__ >= (0, 11) else "unfold", "fold", "unfold"],
    "resnet 3x3 512": ["winograd", "fold", "unfold"],
    "resnet 3x3 512, one image": ["unfold", "fold", "unfold"],
    "resnet 3x3 s2 64 to 128": [OWN or "matmul", OWN or "fold", "matmul"],
    "resnet 3x3 s2 128 to 256": ["unfold", OWN or "fold", "unfold"],
    "drn 3x3 d2": ["phases", "phases", "phases"],
    "deeplab 3x3 d6": ["direct", "direct", "interior"],
    "deeplab 3x3 d18": ["interior", "interior", "interior"],
    "segments 3x3 64 to 21": ["matmul", "direct", "winograd"],
    "text k3 256": ["direct", "direct", "direct"],
    "tcn k3 d8 32": [*["matmul" if OWN else "direct"] * 2, "unfold"],
    "keyword k9 24 to 32": ["direct", "direct", "direct"],
    "wav2vec k10 s5 1 to 512": ["matmul", "polyphase", "matmul"],
    "replknet 31x31": ["fft", "fft", "fft"],
    "63x63 on 512x512": ["fft", "fft", "fft"],
    "gaussian 15x15 on 1080x1920": ["shift", "shift", "fft"],
    "sobel pair on 1080x1920": ["shift", "shift", "reduce"],
    "mamba causal k4": ["shift", "shift", "reduce"],
    "audio k16000": ["fft", "fft", "fft"],
    "medical 3x3x3 32": ["winograd", "winograd", "planes"],
    "video depthwise 3x3x3": ["shift", "shift", "reduce"],
    "up 4x4 s2 128 to 64": ["fold", "direct", "exchange"],
    "up 4x4 s2 128 to 64, bf16": ["polyphase", "matmul", "exchange"],
    "dcgan 4x4 s2 512 to 256": ["fold", "unfold", "exchange"],
    "unet 2x2 s2 128 to 64": ["polyphase", "matmul", "exchange"],
}
CUDA = {
    "mobilenet 3x3 144": ["shift", "shift", "reduce"],
    "resnet 1x1 256 to 64": ["matmul", "matmul", "direct"],
    "replknet 31x31": ["fft", "fft", "fft"],
    "resnet 3x3 128": ["direct", "direct", "direct"],
}


@pytest.mark.parametrize(("platform", "table"), [("cpu", CPU), ("cuda", CUDA)])
def test_the_choice_for_each_kind_of_row(platform, table):
    assert {name: chosen(BY_NAME[name], platform) for name in table} == table


def test_other_platforms_get_direct():
    for case in ROWS:
        assert chosen(case, "tpu") == ["direct"] * 3


def test_integers_get_what_is_exact():
    for case in (*ROWS, *CASES):
        for spec, x, w in specs(case).values():
            x, w = (jax.ShapeDtypeStruct(a.shape, jnp.int32) for a in (x, w))
            name = _select.select(spec, x, w, "cpu").lowering.name
            assert name in {"direct", "shift", "reduce", "chwn", "polyphase", "exchange", "phases"}, (case.name, name)


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
            _select.select(*entry, platform, algorithm).because for entry in entries for algorithm in _select.CHOOSING
        }
        assert {rule.because for rule in rules} <= reasons, platform


def test_a_rule_sees_shapes_alone():
    spec, x, w = specs(BY_NAME["mobilenet 3x3 144"])["forward"]
    found = facts(spec, x, w)
    assert (found.batch, found.groups, found.inputs, found.outputs, found.taps) == (8, 144, 1, 1, 9)
    assert found.positions == 56 * 56
    assert not found.mirrored


OPERATIONS = {
    "direct": "stablehlo.convolution",
    "matmul": "stablehlo.dot_general",
    "winograd": "stablehlo.dot_general",
    "fft": "stablehlo.fft",
    "reduce": "stablehlo.reduce",
}


@pytest.mark.parametrize("name", [n for n, chosen in CPU.items() if {*chosen} <= {*OPERATIONS, "shift"}])
def test_what_is_chosen_is_what_is_compiled(name):
    case = BY_NAME[name]
    for lowering, (spec, x, w) in zip(CPU[name], specs(case).values(), strict=True):
        text = jax.jit(lambda x, w, spec=spec: convolve(x, w, spec)).lower(x, w).as_text()
        found = {op for op in OPERATIONS.values() if op in text}
        wanted = {OPERATIONS[lowering]} if lowering in OPERATIONS else set()
        assert found - {"stablehlo.reduce"} == wanted - {"stablehlo.reduce"}
        assert lowering != "reduce" or "stablehlo.reduce" in found


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


def run(lowering, x, w, spec):
    return np.asarray(jax.jit(lambda x, w: lowering.run(x, w, spec, convolve))(x, w))


CHANNELS = [(16, 32), (256, 64)]


@pytest.mark.parametrize("name", LOWERINGS)
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
        lowering = LOWERINGS[name]
        if lowering.refuses(spec, x, w):
            continue
        want = reference.conv(x, w, spec)
        got, plain = (run(each, x, w, spec) for each in (lowering, LOWERINGS["direct"]))
        error, largest = np.abs(got - want).max(), np.abs(want).max()
        scale = {
            "the sum of |x| |w|": np.abs(reference.conv(np.abs(x), np.abs(w), spec)).max(),
            "the largest result": largest,
            "the norms of x and w": np.sqrt(np.square(x).sum() * np.square(w).sum()),
        }[lowering.relative]
        bound = lowering.error or LOWERINGS["direct"].error
        assert error <= bound(spec, x, w) * np.finfo(np.float32).eps * scale
        if name == "winograd":
            assert error <= 1e-5 * largest
        elif name == "fft":
            assert error <= 2e-6 * largest
        else:
            assert error <= 4 * max(np.abs(plain - want).max(), 2e-7 * largest)
