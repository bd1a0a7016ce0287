"""Poolings as programs: derivatives without scatter, transforms, memory formats, several devices. Values: `parity`."""

import re
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from convjax._arrays.pooling import Windows
from convjax._operation.pool_primitives import FORMS

POOLINGS = {
    "max": partial(convjax.max_pool, kernel_size=(3, 3), stride=2, padding=1),
    "max of many taps": partial(convjax.max_pool, kernel_size=(5, 5), stride=1, padding=2),
    "max of dilated windows": partial(convjax.max_pool, kernel_size=(2, 3), dilation=2, ceil_mode=True),
    "max of large windows": partial(convjax.max_pool, kernel_size=(9, 12), stride=(10, 13), padding=(4, 0)),
    "mean": partial(convjax.avg_pool, kernel_size=(3, 3), stride=2, padding=1, count_include_pad=False),
    "mean of large windows": partial(convjax.avg_pool, kernel_size=(11, 4), stride=(12, 1)),
    "norm": partial(convjax.lp_pool, norm_type=3, kernel_size=(2, 2)),
    "adaptive mean": partial(convjax.adaptive_avg_pool, output_size=(5, 7)),
    "adaptive max": partial(convjax.adaptive_max_pool, output_size=(3, 4)),
}
every_pooling = pytest.mark.parametrize("pooling", POOLINGS.values(), ids=POOLINGS)


def images(*shape) -> jax.Array:
    return jnp.abs(jnp.asarray(normal(0, shape))) + 0.1


def derivatives(pooling, x):
    """The value, the gradient and a second derivative of a sum of sines."""
    loss = lambda x: jnp.sin(pooling(x)).sum()  # noqa: E731
    return pooling(x), jax.grad(loss)(x), jax.jvp(jax.grad(loss), (x,), (jnp.cos(x),))[1]


@cache
def on_one_device(pooling):
    return jax.jit(partial(derivatives, pooling))(images(4, 8, 24, 32))


def same(got, want, tolerance=2e-6):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance), got, want)


@every_pooling
def test_no_loops_over_windows(pooling):
    """Nor gathers and scatters, in any derivative."""
    text = jax.jit(partial(derivatives, pooling)).lower(images(2, 3, 20, 26)).as_text()
    assert not re.search(r"scatter|gather|reduce_window|while", text)


@every_pooling
@pytest.mark.parametrize("axis", [0, 1, 4])
def test_vmap(pooling, axis):
    x = images(2, 3, 20, 26)
    many = jnp.stack([x, x[::-1], -x + x.max() + 1], axis)
    got = jax.jit(jax.vmap(partial(derivatives, pooling), in_axes=axis))(many)
    same(got, jax.lax.map(partial(derivatives, pooling), jnp.moveaxis(many, axis, 0)))


def test_vmap_of_a_gradient_over_cotangents():
    x = images(2, 3, 20, 26)
    y, pull = jax.vjp(POOLINGS["max"], x)
    cotangents = jnp.asarray(normal(1, (4, *y.shape)))
    same(jax.vmap(pull)(cotangents)[0], jnp.stack([pull(ct)[0] for ct in cotangents]))


@every_pooling
def test_channels_last_moves_nothing(pooling):
    """Not even the images of a program whose channels are last: XLA has no transposition and no copy of them left."""
    last = lambda x: jnp.moveaxis(pooling(jnp.moveaxis(x, -1, 1), memory_format="channels_last"), 1, -1)  # noqa: E731
    x = images(2, 20, 26, 3)
    program = jax.jit(partial(derivatives, last))
    got, want = program(x), derivatives(pooling, jnp.moveaxis(x, -1, 1))
    same(got, tuple(jnp.moveaxis(a, 1, -1) for a in want))
    text = program.lower(x).compile().as_text()
    moved = [line for line in text.splitlines() if re.search(r"= \S+ transpose\(", line)]
    assert not any(re.search(r"dimensions={(?!0,1,2,3[,}])[\d,]{7,}}", line) for line in moved), moved


@every_pooling
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("spec", [P("a"), P(None, "a"), P(None, None, "a"), P("a", None, "b"), P(None, None, "b", "a")])
def test_several_devices(pooling, kind, spec):
    x, want = images(4, 8, 24, 32), on_one_device(pooling)
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind,) * 2)
    with jax.sharding.set_mesh(mesh):
        same(jax.jit(partial(derivatives, pooling))(jax.device_put(x, NamedSharding(mesh, spec))), want)


@every_pooling
def test_shard_map(pooling):
    x = images(8, 3, 20, 26)
    mesh = jax.make_mesh((8,), ("a",))
    split = jax.shard_map(partial(derivatives, pooling), mesh=mesh, in_specs=P("a"), out_specs=P("a"))
    same(jax.jit(split)(jax.device_put(x, NamedSharding(mesh, P("a")))), derivatives(pooling, x))


WINDOWS = Windows((1, 1, 3, 2), (1, 1, 2, 1), (1, 1, 1, 1), ((0, 0), (0, 0), (1, 1), (0, 1)))


@pytest.mark.parametrize("primitive", FORMS, ids=str)
def test_the_forms_for_other_platforms(primitive):
    """XLA's own operations, which `accelerate` keeps on GPUs and TPUs, compute the same, also under shard_map."""
    x, ct = images(8, 3, 9, 10), jnp.asarray(normal(1, (8, 3, *WINDOWS.counts((8, 3, 9, 10))[2:])))
    operands = {"convjax_select": (x, jnp.cos(x)), "convjax_sum_into_taken": (x, ct), "convjax_sum_into_all": (ct,)}
    operands = operands.get(primitive.name, (x,))
    settings = {} if "sum" in primitive.name and "taken" not in primitive.name else {"largest": True}
    ours, xlas = (partial(f, windows=WINDOWS, **settings) for f in FORMS[primitive])
    if primitive.name == "convjax_sum_into_all":
        ours, xlas = partial(ours, shape=(8, 3, 9, 10)), partial(xlas, shape=(1, 3, 9, 10))
    mesh = jax.make_mesh((8,), ("a",))
    split = jax.jit(jax.shard_map(xlas, mesh=mesh, in_specs=P("a"), out_specs=P("a")))
    same(split(*[jax.device_put(a, NamedSharding(mesh, P("a"))) for a in operands]), ours(*operands))


@every_pooling
def test_export_with_a_symbolic_batch(pooling):
    (n,) = jax.export.symbolic_shape("n")
    program = jax.jit(partial(derivatives, pooling))
    struct = jax.ShapeDtypeStruct((n, 3, 20, 26), jnp.float32)
    exported = jax.export.export(program, platforms=["cpu", "cuda", "tpu"])(struct)
    x = images(5, 3, 20, 26)
    same(jax.export.deserialize(exported.serialize()).call(x), program(x))


def test_symbolic_sizes():
    h, w = jax.export.symbolic_shape("h, w", constraints=["h >= 12", "w >= 12"])
    f = jax.jit(lambda x: (convjax.max_pool2d(x, 3, 2, 1, return_indices=True), convjax.avg_pool2d(x, 2)))
    exported = jax.export.export(f)(jax.ShapeDtypeStruct((2, 3, h, w), jnp.float32))
    x = images(2, 3, 15, 18)
    same(exported.call(x), f(x))


def test_indices_outside_of_the_image_are_ignored():
    for dtype in ("int8", "int32", "int64", "uint64"):
        indices = np.array([[-1, 2, 8, 100]], "int8").astype(dtype)
        indices[0, 3] += np.array(2**32 + 1 if dtype.endswith("64") else 0, dtype)
        y = convjax.max_unpool1d(jnp.ones((1, 4)), jnp.asarray(indices), 2)
        np.testing.assert_array_equal(y, [[0, 0, 1, 0, 0, 0, 0, 0]])


def test_it_runs_without_jit():
    x = images(1, 2, 6, 6)
    with jax.disable_jit():
        got = derivatives(POOLINGS["max"], x)
    same(got, derivatives(POOLINGS["max"], x))


X, INDICES = np.zeros((2, 3, 8, 8), np.float32), np.zeros((2, 3, 8, 8), np.int32)
MISTAKES = [
    ("max_pool2d", (X, 9), {}, ValueError, "`kernel_size` spans more"),
    ("max_pool2d", (X, 3), {"padding": 2}, ValueError, "padding=1, or jax.numpy.pad"),
    ("max_pool2d", (X, 3), {"padding": (1, 2)}, ValueError, "padding of at most (1, 1)"),
    ("max_pool2d", (X, 3), {"padding": "same"}, TypeError, "`padding`"),
    ("max_pool2d", (X, 3), {"padding": [(0, 1), (1, 0)]}, ValueError, "jax.numpy.pad before the call"),
    ("max_pool2d", (X,), {"pool_size": 3}, TypeError, "kernel_size=3"),
    ("max_pool2d", (X, 3), {"ceil_mode": 1}, TypeError, "ceil_mode=True or False"),
    ("max_pool2d", (X, 3), {"memory_format": "nhwc"}, ValueError, "memory_format='channels_last'"),
    ("max_pool2d", (X[0, 0], 3), {}, ValueError, "x[None, None]"),
    ("max_pool2d", (X > 0, 3), {}, TypeError, "dtype bool"),
    ("max_pool2d", (X,), {"kernel_size": 3, "strides": 2}, TypeError, "stride=2"),
    ("max_pool2d", (X,), {"kernel_size": 3, "data_format": "NHWC"}, TypeError, "jax.numpy.moveaxis(x, -1, 1)"),
    ("max_pool", (X, (3,)), {}, ValueError, "x"),
    ("avg_pool2d", (X.astype(int), 3), {}, TypeError, "x.astype(jax.numpy.float32)"),
    ("avg_pool2d", (X, 3), {"divisor_override": 0}, ValueError, "divisor_override=1"),
    ("avg_pool2d", (X, 3), {"count_include_pad": None}, TypeError, "count_include_pad=True or False"),
    ("lp_pool2d", (X, 0, 3), {}, ValueError, "norm_type=2"),
    ("lp_pool2d", (X, "2", 3), {}, TypeError, "`norm_type` is not a real number"),
    ("adaptive_avg_pool2d", (X, None), {}, TypeError, "`output_size`"),
    ("adaptive_avg_pool2d", (X, (2, 3, 4)), {}, ValueError, "2 spatial dimensions"),
    ("adaptive_max_pool2d", (X, 0), {}, ValueError, "`output_size` is below 1"),
    ("max_unpool2d", (X, INDICES, 2), {"output_size": (20, 16)}, ValueError, "sizes from (15, 15) to (17, 17)"),
    ("max_unpool2d", (X, INDICES[0], 2), {}, ValueError, "indices of shape (2, 3, 8, 8)"),
    ("max_unpool2d", (X, X, 2), {}, TypeError, "`indices`"),
]


@pytest.mark.parametrize(("name", "args", "options", "kind", "text"), MISTAKES)
def test_mistakes(name, args, options, kind, text):
    with pytest.raises(kind, match=re.escape(text)) as caught:
        jax.jit(lambda: getattr(convjax, name)(*args, **options))()
    assert str(caught.value).startswith(f"convjax.{name}: `")
    assert "\n  try: " in str(caught.value)
