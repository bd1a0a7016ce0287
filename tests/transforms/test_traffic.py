"""What devices send each other, read from the compiled programs: no more than for lax, and halos where images lie in
shares. `python -m benchmarks.traffic` prints it for every family of the benchmark."""

import json
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from benchmarks.traffic import CASES, LAYOUTS, arguments, both, collectives, main, traffic

DIRECTIONS = ("forward", "both gradients")
SAMPLE = ("rows", "rows and batch", "batch, weight by output channels")  # the command has the whole matrix
# Of these, the image has fewer results in a column than there are devices. The halos of the forward call and of the
# weight gradient are more than the one image that all devices gather for lax.
FEWER_RESULTS_THAN_DEVICES = {("1x1", "rows"), ("bf16", "rows")}


def received(found) -> int:
    """The elements that a device receives."""
    return sum(elements for _, elements in found["collectives"].values())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("family", CASES)
def test_no_more_than_lax(family, direction):
    case = CASES[family]
    for name in SAMPLE:
        layout = LAYOUTS[name]
        ours, theirs = (traffic(backend, case, layout, direction) for backend in ("convjax", "lax"))
        # lax may compute the same weight gradient on every device, instead of adding parts of it.
        added = math.prod(case.weight) if direction == "both gradients" else 0
        if (family, name) not in FEWER_RESULTS_THAN_DEVICES:
            assert received(ours) <= received(theirs) + added, (name, ours, theirs)


@pytest.mark.parametrize("family", CASES)
def test_data_parallelism_moves_the_gradient_of_the_weight_alone(family):
    case, layout = CASES[family], LAYOUTS["batch"]
    assert traffic("convjax", case, layout, "forward")["collectives"] == {}
    assert traffic("convjax", case, layout, "both gradients")["collectives"] == {
        "all-reduce": (1, math.prod(case.weight))
    }


LAYERS = {  # x, weight, options, and the reach of a window beyond a share of 32 / 8 rows: in front of it, and behind
    "dense": ((2, 3, 32, 8), (4, 3, 3, 3), {"padding": 1}, (1, 1)),
    "strided": ((2, 3, 32, 8), (4, 3, 3, 3), {"padding": 1, "stride": 2}, (1, 0)),
    "dilated": ((2, 3, 32, 8), (4, 3, 3, 3), {"padding": 2, "dilation": 2}, (2, 2)),
    "depthwise": ((2, 4, 32, 8), (4, 1, 5, 5), {"padding": 2, "groups": 4}, (2, 2)),
    "grouped": ((2, 4, 32, 8), (4, 2, 3, 3), {"padding": 1, "groups": 2}, (1, 1)),
    "several shares": ((2, 3, 32, 8), (4, 3, 11, 3), {"padding": (5, 1)}, (5, 5)),
    "by the FFT": ((2, 1, 32, 32), (1, 1, 13, 31), {"padding": (6, 15), "algorithm": "fft"}, (6, 6)),
    "signal": ((2, 3, 32), (4, 3, 4), {"padding": ((3, 0),)}, (3, 0)),
    "volume": ((1, 2, 32, 4, 4), (3, 2, 3, 3, 3), {"padding": 1}, (1, 1)),
    "1x1": ((2, 3, 32, 8), (4, 3, 1, 1), {}, (0, 0)),
    "patches": ((2, 3, 32, 8), (4, 3, 4, 4), {"stride": 4}, (0, 0)),
    "reflected": ((2, 3, 32, 8), (4, 3, 3, 3), {"padding": 1, "padding_mode": "reflect"}, (1, 1)),
    "in a ring": (
        (2, 4, 32, 8),
        (4, 2, 7, 3),
        {"padding": 3, "stride": 2, "groups": 2, "padding_mode": "circular"},
        (3, 2),
    ),
}


@pytest.mark.parametrize("axes", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("name", LAYERS)
def test_halos(name, axes):
    """Rows of the image lie on eight devices. Each sends what the windows of its neighbours reach, and no more."""
    x, w, options, reach = LAYERS[name]
    f = lambda x, w: convjax.conv(x, w, **options)  # noqa: E731
    x, w = normal(0, x), normal(1, w)
    ct = normal(2, jax.eval_shape(f, x, w).shape)
    want = jax.jit(both(f))(x, w, ct)
    mesh = jax.make_mesh((8,), ("space",), axis_types=(axes,))
    with jax.sharding.set_mesh(mesh):
        x, ct = (jax.device_put(a, P(None, None, "space")) for a in (x, ct))
        w = jax.device_put(w, P())
        forward, every = jax.jit(f).lower(x, w).compile(), jax.jit(both(f)).lower(x, w, ct).compile()
        got = every(x, w, ct)
    row = x.size // 32
    hops = sum(-(-n // 4) for n in reach)
    sent = {"collective-permute": (hops, sum(reach) * row)} if hops else {}
    assert collectives(forward.as_text()) == sent
    found = collectives(every.as_text())
    assert found.keys() <= {"collective-permute", "all-reduce"}
    assert found.get("collective-permute", (0, 0))[0] <= 3 * max(hops, 2 * bool(hops))
    assert found["all-reduce"] == (1, w.size)
    for g, v in zip(got, want, strict=True):
        np.testing.assert_allclose(np.asarray(g), v, rtol=0, atol=2e-5 * float(jnp.abs(v).max()))
    assert got[0].sharding.spec[2] == got[1].sharding.spec[2] == "space"


WINDOWS = {  # functions of an image, the reach as above, and how often it is exchanged, forward and in gradients
    "max_pool2d": (lambda x: convjax.max_pool2d(x, 3, 2, 1), (1, 0), (1, 2)),
    "max_pool2d, stride 1": (lambda x: convjax.max_pool2d(x, 5, 1, 2), (2, 2), (1, 2)),
    "avg_pool2d": (lambda x: convjax.avg_pool2d(x, 3, 2, 1), (1, 0), (1, 1)),
    "unfold": (lambda x: convjax.unfold(x, 3, padding=1), (1, 1), (1, 1)),
    "fold": (lambda x: convjax.fold(convjax.unfold(x, 3, padding=1), (32, 8), 3, padding=1), (1, 1), (2, 2)),
    "accelerate": (
        convjax.accelerate(
            lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 1, 1), "SAME")
        ),
        (1, 1),
        (1, 2),
    ),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_halos_of_other_windows(name):
    """The gradient sends back what the forward call read, and reads the image again if it depends on it.

    Most elements are minus infinity, so that there are windows in which the first one is chosen. XLA's own partitioner
    computes wrong gradients of poolings whose windows overlap, of finite elements too (jax 0.10.2 and 0.12.0).
    """
    f, reach, exchanges = WINDOWS[name]
    x = normal(0, (2, 3, 32, 8)).astype(np.float32)
    if "pool" in name:
        x = np.where(normal(3, x.shape) < 1, -np.inf, x).astype(np.float32)
    ct = normal(1, jax.eval_shape(f, x).shape)
    gradient = jax.jit(lambda x, ct: jax.vjp(f, x)[1](ct)[0])
    mesh = jax.make_mesh((8,), ("space",), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, P(None, None, "space"))
    placed = jax.device_put(x, rows), jax.device_put(ct, rows)
    forward, backward = jax.jit(f).lower(placed[0]).compile(), gradient.lower(*placed).compile()
    hops, elements = sum(map(bool, reach)), sum(reach) * x.size // 32
    counts = [(n * hops, n * elements) for n in exchanges]
    found = [collectives(program.as_text()) for program in (forward, backward)]
    assert found == [{"collective-permute": count} if hops else {} for count in counts]
    np.testing.assert_allclose(forward(placed[0]), jax.jit(f)(x), atol=1e-5)
    np.testing.assert_allclose(backward(*placed), gradient(x, ct), atol=1e-5)
    assert forward(placed[0]).sharding.spec[2] == "space"


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((1, 8, 1024, 512), (8, 8, 3, 3), {"padding": 1}),
        ((2, 16, 512, 256), (32, 16, 3, 3), {"padding": 1, "stride": 2}),
        ((2, 32, 512, 128), (32, 1, 5, 5), {"padding": 2, "groups": 32}),
        ((2, 64, 256, 64), (64, 64, 3, 3), {"padding": 1}),
    ],
    ids=["dense", "strided", "depthwise", "many channels"],
)
def test_temporaries(x, w, options, gradients):
    """No more than half as many again as on one device whose image is a share with its halo."""

    def held(padding, x, rows=None):
        conv = lambda x, w: convjax.conv2d(x, w, **options | {"padding": padding})  # noqa: E731
        y = jax.eval_shape(conv, *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, w))).shape
        structs = [
            jax.ShapeDtypeStruct(shape, jnp.float32, sharding=rows and NamedSharding(mesh, spec))
            for shape, spec in ((x, rows), (w, P()), (y, rows))
        ]
        function, count = (both(conv), 3) if gradients else (conv, 2)
        return jax.jit(function).lower(*structs[:count]).compile().memory_analysis().temp_size_in_bytes

    mesh, pad = jax.make_mesh((8,), ("space",), axis_types=(AxisType.Auto,)), options["padding"]
    share = (*x[:2], x[2] // 8 + 2 * pad, x[3])
    assert held(pad, x, P(None, None, "space")) <= 1.5 * held((0, pad), share)


def test_rows_and_columns_and_batch():
    """Permutations along each sharded axis, with an axis of the mesh for each."""
    mesh = jax.make_mesh((2, 2, 2), ("data", "rows", "columns"), axis_types=(AxisType.Auto,) * 3)
    x = jax.device_put(normal(0, (2, 3, 16, 16)), NamedSharding(mesh, P("data", None, "rows", "columns")))
    w = jax.device_put(normal(1, (4, 3, 5, 5)), NamedSharding(mesh, P()))
    f = jax.jit(lambda x, w: convjax.conv2d(x, w, padding=2))
    assert collectives(f.lower(x, w).compile().as_text()) == {"collective-permute": (4, 2 * 3 * 2 * 8 + 2 * 3 * 2 * 12)}
    assert f(x, w).sharding.is_equivalent_to(x.sharding, 4)


def test_a_weight_that_is_sharded_on_its_channels_stays_so():
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    x = jax.device_put(normal(0, (4, 8, 8, 8)), NamedSharding(mesh, P("data")))
    w = jax.device_put(normal(1, (16, 8, 3, 3)), NamedSharding(mesh, P("model")))
    f = jax.jit(lambda x, w: convjax.conv2d(x, w, padding=1))
    assert collectives(f.lower(x, w).compile().as_text()) == {}
    assert f(x, w).sharding.spec[:2] == ("data", "model")


def test_meshes_that_differ_and_meshes_without_devices():
    """The operands may lie on different meshes of the same devices. A program may be lowered for devices to come."""
    x, w = normal(0, (4, 3, 16, 16)), normal(1, (8, 3, 3, 3))
    f = jax.jit(lambda x, w: convjax.conv2d(x, w, padding=1))
    meshes = [
        jax.make_mesh((2, 4), ("data", "space"), axis_types=(AxisType.Auto,) * 2),
        jax.make_mesh((8,), ("model",), axis_types=(AxisType.Auto,)),
    ]
    placed = [
        jax.device_put(a, NamedSharding(mesh, spec))
        for a, mesh, spec in zip((x, w), meshes, (P("data", None, "space"), P("model")), strict=True)
    ]
    np.testing.assert_allclose(f(*placed), f(x, w), atol=1e-5)
    abstract = AbstractMesh((2, 4), ("data", "space"), axis_types=(AxisType.Auto,) * 2)
    struct = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(abstract, P("data", None, "space")))
    assert f.trace(struct, jax.ShapeDtypeStruct(w.shape, w.dtype)).lower(lowering_platforms=("tpu",)).as_text()


def test_the_command(tmp_path, capsys):
    file = tmp_path / "traffic.json"
    assert main(arguments(["--rows", "1d, rows, forward", "--file", str(file), "--verbose"])) == 0
    (row,) = json.loads(file.read_text())
    assert row["convjax"]["collectives"]["collective-permute"] == [6, 328]
    assert "1d, rows, forward: collective-permute 6 (328)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        arguments(["--no-such-option"])
    assert stopped.value.code == 2


CACHED = """
import sys
import jax, numpy as np, convjax
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
mesh = jax.make_mesh((8,), ("space",), axis_types=(AxisType.Auto,))
x = jax.device_put(np.arange(16.0, dtype=np.float32).reshape(1, 1, 16), NamedSharding(mesh, P(None, None, "space")))
low = int(sys.argv[1])
print(jax.jit(lambda x: convjax.conv1d(x, np.ones((1, 1, 3), np.float32), padding=((low, 2 - low),)))(x).tolist())
"""


def test_programs_in_the_persistent_cache(tmp_path):
    """JAX's key for it leaves out how an operation is divided. Paddings that differ alone are different programs."""
    env = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    for low in (0, 1, 0, 2):
        run = subprocess.run(
            [sys.executable, "-c", CACHED, str(low)], env=env, capture_output=True, text=True, check=True
        )
        padded = np.pad(np.arange(16.0), (low, 2 - low))
        assert run.stdout.strip() == str([[np.convolve(padded, np.ones(3), "valid").tolist()]])
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["circular", "reflect"])
def test_a_transposed_convolution_with_borders(mode):
    mesh = jax.make_mesh((8,), ("space",), axis_types=(AxisType.Auto,))
    x, w = jnp.asarray(normal(0, (2, 4, 64, 16))), jnp.asarray(normal(1, (4, 8, 4, 4)))
    run = jax.jit(lambda x, w: convjax.conv_transpose2d(x, w, stride=2, padding=1, padding_mode=mode))
    placed = jax.device_put(x, NamedSharding(mesh, P(None, None, "space")))
    (kind, (count, elements)) = next(iter(collectives(run.lower(placed, w).compile().as_text()).items()))
    assert (kind, count) == ("collective-permute", 2)
    assert elements <= 2 * 2 * 8 * 32  # a row of the result to each side
    np.testing.assert_allclose(run(placed, w), run(x, w), rtol=1e-5, atol=1e-4)
