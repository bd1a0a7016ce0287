"""oneDNN by its call in jaxlib: values, and the programs that it must not be part of."""

import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import by, channels_last, normal, random_spec, specs
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import convjax
from benchmarks.cases import Case
from convjax._algorithms import ALGORITHMS
from convjax._algorithms._product import is_onednn
from convjax._arrays.onednn import CONVOLUTION
from convjax._choice.choose import why_unsupported
from convjax._machine import ONEDNN_SWITCH, generic, this_machine
from convjax._spec import ConvSpec

HERE = this_machine("cpu")
# A processor without AVX2 cannot run these, and neither can a version of jaxlib that is not yet known to be safe.
# `.ci/run` says what oneDNN has where it runs.
needs_onednn = pytest.mark.skipif(not HERE.onednn_dtypes, reason="jaxlib has no oneDNN here")
needs_avx512 = pytest.mark.skipif(not HERE.has_onednn("float32"), reason="no AVX-512, or no tested oneDNN")
SPEC = ConvSpec((1, 1), ((1, 1), (1, 1)), (1, 1), (1, 1))
X, W = normal(0, (2, 8, 9, 10)), normal(1, (16, 8, 3, 3))

last_conv = partial(convjax.conv2d, padding=1, memory_format="channels_last")


def onednn_calls(text: str) -> int:
    return text.count(CONVOLUTION)


@needs_onednn
@pytest.mark.parametrize("seed", range(int(os.environ.get("ONEDNN_SEEDS", "12"))))
def test_random_specs(seed):
    """Ten random specs in each of two forms, against XLA's own convolution. ONEDNN_SEEDS=500 runs thousands."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        spec, x_shape, w_shape = random_spec(rng)
        x, w = normal(seed, (int(rng.integers(1, 4)), *x_shape)), normal(1, w_shape)
        for s in (spec, channels_last(spec)):
            if why_unsupported(ALGORITHMS["onednn"], s, x, w, HERE) is None:
                got, want = jax.jit(lambda x, w, s=s: (by("onednn", s, HERE)(x, w), by("xla", s)(x, w)))(x, w)
                np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * max(float(jnp.abs(want).max()), 1), err_msg=s)


SEARCH = """
import os
import sys
import jax, jax.numpy as jnp, numpy as np
from cases import by, channels_last, normal, specs
from benchmarks.cases import Case
from convjax._algorithms import ALGORITHMS
from convjax._choice.choose import why_unsupported
from convjax._machine import this_machine

machine = this_machine("cpu")
if "ONEDNN_MAX_CPU_ISA" in os.environ:  # convjax calls no oneDNN then, but what it would call is safe
    machine = machine._replace(onednn_dtypes=("float32",), onednn_has_avx512=False)
rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
cases = [
    Case("long", (9, 100, 1813), (100, 1, 45), {"groups": 100, "stride": 5, "padding": 22}),
    Case("longer", (2, 33, 2437), (33, 1, 6), {"groups": 33, "padding": 3}),
    Case("dilated", (2, 3, 33, 33), (3, 1, 3, 3), {"groups": 3, "padding": 18, "dilation": 18}),
]
for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 40):
    dims, groups = int(rng.integers(1, 4)), int(rng.choice([1, 2, 8, 16, 17]))
    inputs, outputs = (1, int(rng.choice([1, 1, 2]))) if rng.random() < 0.6 else rng.choice([1, 3, 8, 16], 2).tolist()
    kernel, stride = (tuple(rng.integers(1, most, dims).tolist()) for most in (5, 4))
    dilation = tuple(rng.choice([1, 1, 2, 6, 16], dims).tolist())
    padding = tuple(map(tuple, rng.choice([0, 1, 2, 3, 5, 8, 17], (dims, 2)).tolist()))
    reach = [(k - 1) * r + 1 - low - high for k, r, (low, high) in zip(kernel, dilation, padding)]
    sizes = [max(n, r, 1) for n, r in zip(rng.integers(1, 20 if dims < 3 else 8, dims).tolist(), reach)]
    options = {"groups": groups, "stride": stride, "padding": padding, "dilation": dilation}
    cases.append(Case("any", (2, groups * inputs, *sizes), (groups * outputs, inputs, *kernel), options))
for case in cases:
    dtype = jnp.dtype(str(rng.choice(machine.onednn_dtypes)))
    for direction, (spec, x, w) in specs(case).items():
        x, w = (jnp.asarray(normal(n, a.shape), dtype) for n, a in enumerate((x, w)))
        for s in (spec, channels_last(spec)):
            if why_unsupported(ALGORITHMS["onednn"], s, x, w, machine) is None:
                got = jax.jit(by("onednn", s, machine))(x, w).astype("float32")
                want = jax.jit(by("xla", s))(x.astype("float32"), w.astype("float32"))
                error = float(abs(got - want).max()) / max(float(abs(want).max()), 1)
                assert error <= (2**-8 if dtype == jnp.bfloat16 else 3e-6), (s, x.shape, w.shape, dtype, error)
print("finished")
"""


@pytest.mark.parametrize("env", [pytest.param({}, marks=needs_avx512), {"ONEDNN_MAX_CPU_ISA": "AVX2"}], ids=str)
@needs_onednn
def test_only_code_that_is_known_to_be_safe_runs(env):
    """ "x64:gemm:jit" writes outside of its memory, and "ref" is a hundred times slower."""
    text = run_program(SEARCH, ONEDNN_VERBOSE="1", PYTHONPATH=os.pathsep.join(sys.path), **env)
    names = {line.split(",")[6] for line in text.splitlines() if ",exec,cpu,convolution," in line}
    assert text.endswith("finished\n")
    assert len(names) > 3
    assert not [name for name in names if "gemm" in name or "ref" in name], names


PRODUCTS = """
import sys
import jax, jax.numpy as jnp, numpy as np
from convjax._algorithms._product import matmul
from convjax._machine import this_machine

machine = this_machine("cpu")
rng = np.random.default_rng(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
served = 0
for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 100):
    dtype = jnp.dtype(str(rng.choice(machine.onednn_dtypes)))
    out = [None, jnp.float32][rng.integers(2)]
    batch = rng.choice([1, 2, 3, 16], rng.integers(0, 4))
    rows, depth, columns = (int(rng.integers(16, most)) for most in rng.choice([20, 60, 300], 3))
    transposed = (rng.integers(2, size=2) == 1).tolist()
    shapes = []
    for sides, flip in (((rows, depth), transposed[0]), ((depth, columns), transposed[1])):
        own = np.where(rng.random(len(batch)) < 0.8, batch, 1)[rng.integers(0, len(batch) + 1) :]
        shapes.append([*map(int, own), *sides[:: -1 if flip else 1]])
    a, b = (jnp.asarray(rng.standard_normal(shape), dtype) for shape in shapes)
    options = {"dtype": out, "transpose_a": transposed[0], "transpose_b": transposed[1]}
    product = jax.jit(lambda a, b: matmul(a, b, machine, **options))
    served += "__onednn$matmul" in product.lower(a, b).as_text()
    exact = [np.asarray(v, np.float64) for v in (a, b)]
    want = np.matmul(*[v.swapaxes(-1, -2) if flip else v for v, flip in zip(exact, transposed)])
    got = np.asarray(product(a, b), np.float64)
    assert got.shape == want.shape
    rounded = dtype == jnp.bfloat16 and out is None
    error = 2.0**-8 * abs(want).max() if rounded else 6e-6 * np.sqrt(depth)
    assert abs(got - want).max() <= error, (shapes, transposed, dtype, out, abs(got - want).max())
assert served > 20
print("finished")
"""


@needs_avx512
def test_random_products():
    """By value, and by code that is known to be safe: a product that oneDNN does not have would end the process."""
    text = run_program(PRODUCTS, ONEDNN_VERBOSE="1")
    names = {line.split(",")[6] for line in text.splitlines() if ",exec,cpu,matmul," in line}
    assert text.endswith("finished\n")
    assert names
    assert all(name.startswith("brg_matmul") for name in names), names


def test_what_has_no_safe_code_without_avx512():
    machine = generic("cpu")._replace(onednn_dtypes=("float32",))
    assert not is_onednn((), 64, 64, 64, X.dtype, None, machine)
    for x, w, groups, padding, reason in [
        ((2, 8, 5, 5, 5), (8, 1, 3, 3, 3), 8, 1, "a depthwise convolution of volumes"),
        ((2, 8, 5, 5, 5), (16, 8, 3, 3, 3), 1, 1, None),
        ((2, 1, 9, 9), (1, 1, 3, 3), 1, 1, "one channel or one position"),
        ((2, 1, 9, 9), (8, 1, 3, 3), 1, 1, None),
        ((2, 8, 3, 3), (8, 8, 3, 3), 1, 0, "one channel or one position"),
        ((2, 8, 3, 3), (8, 8, 1, 1), 1, -1, "one channel or one position"),
        ((2, 8, 9, 9), (8, 1, 3, 3), 8, 1, None),
    ]:
        dims = len(x) - 2
        spec = channels_last(ConvSpec((1,) * dims, ((padding, padding),) * dims, (1,) * dims, (1,) * dims, groups))
        structs = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, w))
        found = why_unsupported(ALGORITHMS["onednn"], spec, *structs, machine)
        assert found == (reason and f"{reason}, on a processor without AVX-512")


def test_products_that_onednn_has_no_safe_code_for():
    machine = generic("cpu")._replace(onednn_dtypes=("float32",), onednn_has_avx512=True)
    assert is_onednn((), 16, 1 << 17, 16, X.dtype, None, machine)
    for rows, depth, columns in [(16, (1 << 17) + 1, 16), (1 << 21, 16, 16), (16, 16, 1 << 21), (15, 9999, 99)]:
        assert not is_onednn((), rows, depth, columns, X.dtype, None, machine)
    assert not is_onednn((), 64, 64, 64, jnp.float16, jnp.float32, machine)


@needs_onednn
@pytest.mark.parametrize("stride", [(1, 3), (3, 2), (2, 1)])
@pytest.mark.parametrize("kernel", [(1, 5), (5, 1), (3, 3), (5, 5)])
def test_strides_where_there_is_one_position(stride, kernel):
    """With one input channel, oneDNN itself takes the stride along the last axis for one of the rows."""
    padding = tuple((low, k - n - low) for low, k, n in zip((0, 1), kernel, (9, 4), strict=True))
    for one in (0, 1):
        pads = tuple(
            p if axis == one else (k // 2, k // 2) for axis, (p, k) in enumerate(zip(padding, kernel, strict=True))
        )
        spec = ConvSpec(stride, pads, (1, 1), (1, 1))
        x, w = normal(0, (3, 1, 9, 4)), normal(1, (16, 1, *kernel))
        for s in (spec, channels_last(spec)):
            if why_unsupported(ALGORITHMS["onednn"], s, x, w, HERE) is None:
                got, want = (jax.jit(by(name, s, HERE))(x, w) for name in ("onednn", "xla"))
                np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@needs_onednn
def test_windows_that_lie_in_the_padding():
    """oneDNN itself reads outside of its arrays there, or never returns."""
    spec = ConvSpec((3, 2), ((4, 2), (3, 2)), (1, 1), (1, 2), groups=2)
    x, w = normal(0, (3, 2, 9, 3)), normal(1, (2, 1, 3, 3))
    got, want = (jax.jit(by(name, channels_last(spec), HERE))(x, w) for name in ("onednn", "xla"))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "x", "w"),
    [
        (SPEC, (2, 8, 9, 10), (16, 8, 3, 3)),
        (SPEC._replace(groups=24, stride=(2, 1), padding=((2, 2), (3, 3))), (3, 24, 15, 14), (24, 1, 5, 7)),
        (SPEC._replace(groups=3, rhs_dilation=(2, 2)), (2, 12, 9, 10), (6, 4, 3, 3)),
        (ConvSpec((1,), ((6, 0),), (1,), (1,), 32), (2, 32, 200), (32, 1, 7)),
    ],
)
def test_bfloat16(spec, x, w):
    """It is computed, or refused where the processor has no instructions for it: a call would end the process."""
    x, w = (jnp.asarray(normal(n, shape), jnp.bfloat16) for n, shape in enumerate((x, w)))
    spec = channels_last(spec)
    if "bfloat16" not in HERE.onednn_dtypes:
        assert why_unsupported(ALGORITHMS["onednn"], spec, x, w, HERE) == "jaxlib has no oneDNN for bfloat16 here"
        return
    got = jax.jit(by("onednn", spec, HERE))(x, w)
    want = jax.jit(by("xla", spec))(x.astype(jnp.float32), w.astype(jnp.float32))
    assert got.dtype == jnp.bfloat16
    assert float(jnp.abs(got.astype(jnp.float32) - want).max()) <= 2**-8 * float(jnp.abs(want).max())


def test_large_kernels_are_refused():
    """oneDNN cannot make its code for them, which ends the process, or never returns."""
    f32, bf16 = jnp.float32, jnp.bfloat16
    for groups, taps, dtype, supported in [
        (1, 65, f32, False),
        (3, 65, f32, False),
        (1, 64, f32, True),
        (1, 64, bf16, True),
        (3, 64, f32, True),
        (3, 8, bf16, False),
        (3, 7, bf16, True),
    ]:
        x = jax.ShapeDtypeStruct((1, 3, 200, 200), dtype)
        w = jax.ShapeDtypeStruct((3, 3 // groups, taps, taps), dtype)
        spec = channels_last(SPEC)._replace(groups=groups, padding=((31, 31), (31, 31)))
        assert (why_unsupported(ALGORITHMS["onednn"], spec, x, w) is None) == supported
    case = Case("one channel", (1, 1, 512, 512), (1, 1, 63, 63), {"padding": 31})
    spec, x, w = specs(case)["weight gradient"]
    assert "not of a depthwise layer" in why_unsupported(ALGORITHMS["onednn"], channels_last(spec), x, w)


@needs_onednn
def test_it_is_what_a_channels_last_layer_runs():
    """With NHWC arrays, the compiled program has the call and no copy of an image."""

    def nhwc(x, w):
        return last_conv(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)).transpose(0, 2, 3, 1)

    x, w = normal(0, (2, 16, 17, 64)), normal(1, (3, 3, 64, 32))
    text = jax.jit(nhwc).lower(x, w).compile().as_text()
    entry = text[text.index("ENTRY") :]
    assert onednn_calls(entry) == 1
    assert "transpose(" not in entry
    assert "copy(" not in entry


def test_programs_for_other_machines_have_none():
    exported = jax.export.export(jax.jit(last_conv))(X, W)
    assert onednn_calls(exported.mlir_module()) == 0
    np.testing.assert_allclose(exported.call(X, W), last_conv(X, W), rtol=0, atol=1e-4)
    batch = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, 8, 9, 10"), X.dtype)
    assert onednn_calls(jax.export.export(jax.jit(last_conv))(batch, W).mlir_module()) == 0
    for platform in ("cuda", "tpu"):
        assert onednn_calls(jax.jit(last_conv).trace(X, W).lower(lowering_platforms=(platform,)).as_text()) == 0
    message = r"`algorithm` cannot run in the program.*\n +got: +algorithm='onednn': jaxlib has no oneDNN"
    with pytest.raises(NotImplementedError, match=message):
        jax.export.export(jax.jit(partial(last_conv, algorithm="onednn")))(X, W)


def sharded():
    """A mesh of two devices, and the images in two shards."""
    mesh = Mesh(np.array(jax.devices()[:2]), "d")
    return mesh, jax.device_put(X, NamedSharding(mesh, PartitionSpec("d")))


@needs_onednn
def test_each_device_has_it_for_its_share():
    mesh, x = sharded()
    compiled = jax.jit(last_conv).lower(x, W).compile()
    assert onednn_calls(compiled.as_text()) == 1
    w = jax.device_put(W, NamedSharding(mesh, PartitionSpec()))
    np.testing.assert_allclose(compiled(x, w), last_conv(X, W), rtol=0, atol=1e-4)


@needs_onednn
def test_programs_of_shard_map_have_it():
    mesh, x = sharded()
    specs = PartitionSpec("d"), PartitionSpec()
    conv = partial(last_conv, algorithm="onednn")
    mapped = jax.jit(jax.shard_map(conv, mesh=mesh, in_specs=specs, out_specs=specs[0]))
    assert onednn_calls(mapped.lower(x, W).as_text()) == 1
    np.testing.assert_allclose(mapped(x, W), last_conv(X, W), rtol=0, atol=1e-4)


def test_empty_batches():
    assert last_conv(X[:0], W).shape == (0, 16, 9, 10)


PROGRAM = """
import jax, numpy as np, convjax
x, w = np.ones((2, 16, 8, 8), np.float32), np.ones((32, 16, 3, 3), np.float32)
f = jax.jit(lambda x, w: convjax.conv2d(x, w, memory_format="channels_last"))
print(f.lower(x, w).as_text().count("@__onednn"), float(f(x, w).sum()))
"""


def run_program(program: str, **env: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **env}, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(("switch", "calls"), [pytest.param("on", 1, marks=needs_onednn), ("off", 0)])
def test_the_switch(switch, calls):
    assert run_program(PROGRAM, **{ONEDNN_SWITCH: switch}).split() == [f"{calls}", f"{2 * 32 * 6 * 6 * 144:.1f}"]


@needs_onednn
def test_compiled_programs_in_the_persistent_cache(tmp_path):
    """A program from the cache computes the same. Without oneDNN, another program is compiled."""
    env = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    runs = [run_program(PROGRAM, **env, **{ONEDNN_SWITCH: switch}).split() for switch in ("on", "on", "off")]
    assert [text[0] for text in runs] == ["1", "1", "0"]
    assert len({text[1] for text in runs}) == 1
    assert list(tmp_path.iterdir())


def test_a_machine_without_it():
    plan = convjax.plan(X, W, padding=1, memory_format="channels_last", machine=generic("cpu"))
    assert all(step.kernel != "onednn" for step in plan.steps)
    assert "jaxlib has no oneDNN for float32 here" in plan.explain()
