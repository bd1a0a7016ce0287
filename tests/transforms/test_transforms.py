"""Every transformation of JAX around the public functions, compared by value with the plain call."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from jax import lax
from jax.experimental.jet import jet
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from convjax._algorithms import variadic_reduce
from convjax._choice import preferences
from convjax._machine import generic
from convjax._operation import primitive


def conv(x, weight, bias):
    return convjax.conv2d(x, weight, bias, padding=1, groups=2)


def down(x, weight, bias):
    return convjax.conv2d(x, weight, bias, stride=2, padding=((1, 0), (0, 2)), padding_mode="circular", groups=2)


def up_circular(x, weight, bias):
    return convjax.conv_transpose2d(x, weight, bias, stride=2, padding=1, padding_mode="circular", groups=2)


def up(x, weight, bias):
    return convjax.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1, groups=2)


FUNCTIONS = {"conv": conv, "down": down, "up": up, "up_circular": up_circular}
SHAPES = {
    "conv": ((8, 4, 8, 8), (6, 2, 3, 3), (6,)),
    "down": ((8, 4, 8, 8), (6, 2, 3, 3), (6,)),
    "up": ((8, 4, 4, 4), (4, 3, 3, 3), (6,)),
    "up_circular": ((8, 4, 4, 4), (4, 3, 4, 4), (6,)),
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def case(name):
    f = FUNCTIONS[name]
    args = [jnp.asarray(normal(i, shape)) for i, shape in enumerate(SHAPES[name])]
    weights = jnp.asarray(normal(9, jax.eval_shape(f, *args).shape))

    def loss(*args):
        return (f(*args) * weights + f(*args) ** 2 / 2).sum()

    return f, args, loss


def same(got, want, rtol=2e-5):
    got, want = jax.tree.leaves(got), jax.tree.leaves(want)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape
        g, w = np.asarray(g), np.asarray(w)
        scale = max(float(abs(w).max()), 1.0)
        np.testing.assert_allclose(g / scale, w / scale, rtol=rtol, atol=rtol)


@every_function
def test_jit_and_grad(name):
    f, args, loss = case(name)
    same(jax.jit(f)(*args), f(*args))
    same(jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(*args), jax.value_and_grad(loss, (0, 1, 2))(*args))


@every_function
def test_jvp_linearize_and_linear_transpose(name):
    f, args, _ = case(name)
    tangents = [jnp.asarray(normal(20 + i, a.shape)) for i, a in enumerate(args)]
    y, dy = jax.jvp(f, args, tangents)
    x, w, b = args
    zero = jnp.zeros_like(b)
    want = f(tangents[0], w, zero) + f(x, tangents[1], tangents[2])
    same((y, dy), (f(*args), want), 1e-4)
    same(jax.linearize(f, *args)[1](*tangents), dy)
    ct = jnp.asarray(normal(30, y.shape))
    (back,) = jax.linear_transpose(lambda x: f(x, w, zero), x)(ct)
    same(back, jax.vjp(f, *args)[1](ct)[0])
    np.testing.assert_allclose(jnp.vdot(ct, f(tangents[0], w, zero)), jnp.vdot(back, tangents[0]), rtol=1e-3)


@every_function
def test_second_order(name):
    _, args, loss = case(name)
    vector = [jnp.asarray(normal(40 + i, a.shape)) for i, a in enumerate(args)]
    gradient = jax.grad(loss, (0, 1, 2))
    forward_over_reverse = jax.jvp(gradient, args, vector)[1]
    reverse_over_reverse = jax.vjp(gradient, *args)[1](tuple(vector))
    same(forward_over_reverse, reverse_over_reverse, 1e-4)
    inner = lambda *args: jax.jvp(loss, args, tuple(vector))[1]  # noqa: E731
    same(jax.grad(inner, (0, 1, 2))(*args), reverse_over_reverse, 1e-4)


def test_hessian():
    x, w = normal(0, (1, 1, 5)), jnp.asarray(normal(1, (1, 1, 3)))
    f = lambda w: (convjax.conv1d(x, w) ** 2).sum()  # noqa: E731
    columns = convjax.unfold(x, (3,))[0]
    np.testing.assert_allclose(jax.hessian(f)(w).reshape(3, 3), 2 * columns @ columns.T, rtol=1e-5)


@every_function
@pytest.mark.parametrize(
    "axes", [(0, None, None), (None, 0, None), (None, None, 0), (1, 2, 0), (4, None, 1), (2, 4, None), (0, 0, 0)]
)
def test_vmap_in_any_axes(name, axes):
    f, args, loss = case(name)
    args[0] = args[0][:2]
    weights = jnp.asarray(normal(9, f(*args).shape))
    loss = lambda *args: (f(*args) * weights).sum() + (f(*args) ** 2).sum()  # noqa: E731

    def stacked(a, axis):
        return a if axis is None else jnp.stack([a, 1 - a, 2 * a], axis)

    batched = [stacked(a, axis) for a, axis in zip(args, axes, strict=True)]
    for g in (f, jax.grad(loss, (0, 1, 2))):
        got = jax.vmap(g, axes)(*batched)
        for i in range(3):
            one = [a if axis is None else jnp.take(a, i, axis) for a, axis in zip(batched, axes, strict=True)]
            same(jax.tree.map(lambda a, i=i: a[i], got), g(*one), 1e-4)


@every_function
def test_checkpoint_scan_and_loops(name):
    f, args, loss = case(name)
    same(jax.grad(jax.checkpoint(loss), (0, 1, 2))(*args), jax.grad(loss, (0, 1, 2))(*args))
    x, w, b = args
    xs = jnp.stack([x, 2 * x, x + 1])
    want = jnp.stack([f(a, w, b) for a in xs])
    same(lax.scan(lambda _, x: (None, f(x, w, b)), None, xs)[1], want)

    def scanned(w):
        return lax.scan(lambda total, x: (total + loss(x, w, b), None), 0.0 * b[0], xs)[0]

    same(jax.grad(scanned)(w), jax.grad(lambda w: sum(loss(a, w, b) for a in xs))(w), 1e-4)
    looped = lax.fori_loop(0, 3, lambda i, y: y + f(x * i, w, b), jnp.zeros_like(want[0]))
    same(looped, sum(f(x * i, w, b) for i in range(3)))
    _, last = lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, f(x, w, b) + s[1]), (0, jnp.zeros_like(want[0])))
    same(last, 2 * f(x, w, b))


@every_function
def test_complex(name):
    f, args, _ = case(name)
    args = [lax.complex(a, jnp.asarray(normal(50 + i, a.shape))) for i, a in enumerate(args)]
    x, w, b = args
    zero = jnp.zeros_like(b.real)
    real = f(x.real, w.real, zero) - f(x.imag, w.imag, zero) + b.real.reshape(1, -1, 1, 1)
    imaginary = f(x.real, w.imag, zero) + f(x.imag, w.real, zero) + b.imag.reshape(1, -1, 1, 1)
    same(f(*args), lax.complex(real, imaginary), 1e-4)
    gradient = jax.grad(lambda w: jnp.abs(f(x, w, b) ** 2).sum())(w)
    step = jnp.conj(gradient) * (1e-3 / jnp.abs(gradient).max()).astype(gradient.dtype)
    rise = [jnp.abs(f(x, w + step * s, b) ** 2).sum() for s in (-1, 1)]
    np.testing.assert_allclose((rise[1] - rise[0]) / 2, jnp.vdot(jnp.conj(gradient), step).real, rtol=5e-2)


def mesh(kind, shape=(4,), names=("data",)):
    return jax.make_mesh(shape, names, axis_types=(kind,) * len(names))


@every_function
def test_shard_map_with_a_replicated_weight(name):
    f, args, loss = case(name)
    weights = jnp.asarray(normal(9, f(*args).shape))
    specs = (P("data"), P(), P())
    sharded = jax.shard_map(f, mesh=mesh(AxisType.Auto), in_specs=specs, out_specs=P("data"))
    same(sharded(*args), f(*args))
    objective = lambda g, *args: (g(*args) * weights + g(*args) ** 2 / 2).sum()  # noqa: E731
    same(jax.grad(partial(objective, sharded), (0, 1, 2))(*args), jax.grad(loss, (0, 1, 2))(*args), 1e-4)

    # The gradient taken inside: the weight's must be summed over the devices.
    def inside(x, w, b, c):
        local = lambda x, w, b: (f(x, w, b) * c + f(x, w, b) ** 2 / 2).sum()  # noqa: E731
        return jax.grad(local, (0, 1, 2))(x, w, b)

    out = (P("data"), P(), P())
    inner = jax.jit(jax.shard_map(inside, mesh=mesh(AxisType.Auto), in_specs=(*specs, P("data")), out_specs=out))
    same(inner(*args, weights), jax.grad(loss, (0, 1, 2))(*args), 1e-4)


def test_shard_map_with_a_replicated_image_and_sharded_kernels():
    x, w = jnp.asarray(normal(0, (2, 3, 6, 6))), jnp.asarray(normal(1, (8, 3, 3, 3)))
    f = lambda x, w: convjax.conv2d(x, w, padding=1)  # noqa: E731
    sharded = jax.shard_map(f, mesh=mesh(AxisType.Auto), in_specs=(P(), P("data")), out_specs=P(None, "data"))
    same(sharded(x, w), f(x, w))
    loss = lambda f, x, w: (jnp.sin(f(x, w))).sum()  # noqa: E731
    same(jax.grad(partial(loss, sharded), (0, 1))(x, w), jax.grad(partial(loss, f), (0, 1))(x, w), 1e-4)


@pytest.fixture
def on_machine(monkeypatch, request):
    """Lowers every program for a machine with these traits."""

    def change(**traits):
        machine = lambda platform, **_: generic(platform)._replace(**traits)  # noqa: E731
        monkeypatch.setattr(primitive, "machine_for_lowering", machine)
        request.addfinalizer(jax.clear_caches)
        jax.clear_caches()

    return change


LOOPED = {  # algorithms that loop inside: what they start from must vary over the mesh as well
    "more taps than registers": ((8, 6, 12, 12), (6, 1, 7, 7), 6),
    "over input channels": ((8, 32, 10, 10), (32, 16, 3, 3), 2),
    "in blocks": ((8, 32, 14, 13), (40, 32, 3, 3), 1),
    "over images": ((8, 6, 32, 33), (16, 6, 3, 3), 1),
    "over long images": ((8, 140, 32, 16), (130, 140, 1, 1), 1),
    "products beside one another": ((8, 48, 7, 6), (144, 4, 3, 3), 12),
}


@pytest.mark.parametrize("name", LOOPED)
def test_shard_map_around_loops(name, on_machine):
    on_machine(chunk_elements=3556, batched_gemm_is_parallel=False)
    x_shape, w_shape, groups = LOOPED[name]
    x, w = jnp.asarray(normal(0, x_shape)), jnp.asarray(normal(1, w_shape))
    f = lambda x, w: convjax.conv2d(x, w, padding=w_shape[2] // 2, groups=groups)  # noqa: E731
    sharded = jax.jit(jax.shard_map(f, mesh=mesh(AxisType.Auto), in_specs=(P("data"), P()), out_specs=P("data")))
    want = jax.jit(partial(convjax.conv2d, padding=w_shape[2] // 2, groups=groups, algorithm="xla"))
    same(sharded(x, w), want(x, w), 1e-4)
    loss = lambda f, x, w: (jnp.sin(f(x, w))).sum()  # noqa: E731
    same(jax.grad(partial(loss, sharded), (0, 1))(x, w), jax.grad(partial(loss, want), (0, 1))(x, w), 1e-4)
    placed = jax.device_put(x, NamedSharding(mesh(AxisType.Auto), P("data")))
    same(jax.jit(f)(placed, w), want(x, w), 1e-4)


CHUNKED = {
    "winograd": ((8, 24, 5, 5), (24, 24, 3, 3), {"padding": 2}),
    "shift_add": ((8, 6, 5, 5), (6, 1, 3, 3), {"padding": 5, "dilation": 5, "groups": 6}),
    "space_to_depth": ((16, 4, 8, 7), (6, 4, 3, 3), {"padding": 2, "dilation": 2}),
}


@pytest.mark.parametrize(
    "name", ["per_tap", "im2col", "col2im", "variadic_reduce", "chwn", "winograd", "shift_add", "space_to_depth"]
)
def test_shard_map_around_chunks(name, monkeypatch, on_machine):
    """What they add to varies over the mesh as what is added does, in both gradients too."""
    on_machine(chunk_elements=2000, batched_gemm_is_parallel=True)
    monkeypatch.setattr(variadic_reduce, "_bands", lambda kernel: [(0, kernel[-2], kernel[-2])])
    first = preferences.Preference(name, lambda p: name != "space_to_depth" or p.batch > 1, "tested")
    monkeypatch.setitem(preferences.PREFERENCES, "cpu", (first, *preferences.CPU))
    x_shape, w_shape, options = CHUNKED.get(name, ((8, 4, 11, 9), (6, 4, 3, 3), {"padding": 2, "stride": 2}))
    x, w = jnp.asarray(normal(0, x_shape)), jnp.asarray(normal(1, w_shape))
    f = partial(convjax.conv2d, **options)
    sharded = jax.jit(jax.shard_map(f, mesh=mesh(AxisType.Auto), in_specs=(P("data"), P()), out_specs=P("data")))
    want = partial(f, algorithm="xla")
    same(sharded(x, w), want(x, w), 1e-4)
    loss = lambda f, x, w: (jnp.sin(f(x, w))).sum()  # noqa: E731
    same(jax.grad(partial(loss, sharded), (0, 1))(x, w), jax.grad(partial(loss, want), (0, 1))(x, w), 1e-4)


@every_function
@pytest.mark.parametrize(
    "layout", [P("data"), P(None, None, "data"), P(None, None, None, "data"), P("data", None, "space")]
)
def test_jit_of_sharded_arrays(name, layout):
    f, args, loss = case(name)
    devices = mesh(AxisType.Auto, (2, 2), ("data", "space"))
    placed = [jax.device_put(args[0], NamedSharding(devices, layout)), *args[1:]]
    same(jax.jit(f)(*placed), f(*args))
    same(jax.jit(jax.grad(loss, (0, 1, 2)))(*placed), jax.grad(loss, (0, 1, 2))(*args), 1e-4)


@every_function
def test_explicit_sharding(name):
    f, args, loss = case(name)
    want = f(*args), jax.grad(loss, (0, 1, 2))(*args)
    with jax.sharding.set_mesh(mesh(AxisType.Explicit)):
        x, w, b = jax.device_put(args[0], P("data")), *(jax.device_put(a, P()) for a in args[1:])
        for call in (f, jax.jit(f)):
            y = call(x, w, b)
            assert jax.typeof(y).sharding.spec == P("data", None, None, None)
            same(y, want[0])
        weights = jax.device_put(jnp.asarray(normal(9, y.shape)), P("data"))
        objective = lambda *args: (f(*args) * weights + f(*args) ** 2 / 2).sum()  # noqa: E731
        for call in (jax.grad(objective, (0, 1, 2)), jax.jit(jax.grad(objective, (0, 1, 2)))):
            gradients = call(x, w, b)
            assert [jax.typeof(g).sharding.spec for g in gradients] == [jax.typeof(a).sharding.spec for a in (x, w, b)]
            same(gradients, want[1], 1e-4)
        hvp = jax.jit(lambda x, w, b: jax.jvp(jax.grad(objective, (0, 1)), (x, w, b), (x, w, b))[1])(x, w, b)
    same(hvp, jax.jvp(jax.grad(loss, (0, 1)), tuple(args), tuple(args))[1], 1e-4)


@every_function
@pytest.mark.parametrize("image", [P("a", "b"), P(("a", "b")), P("a", None, "b"), P(None, None, "a", "b")])
@pytest.mark.parametrize("kernels", [P(), P("b"), P(None, "b")])
def test_explicit_sharding_of_any_axis(name, image, kernels):
    f, (x, w, b), _ = case(name)
    gradient = jax.grad(lambda *args: (f(*args) ** 2).sum(), (0, 1, 2))
    want = f(x, w, b), gradient(x, w, b)
    if w.shape[1] % 2:  # only what the mesh divides can be sharded
        kernels = P(*kernels[:1])
    with jax.sharding.set_mesh(mesh(AxisType.Explicit, (2, 2), ("a", "b"))):
        args = [jax.device_put(a, layout) for a, layout in ((x, image), (w, kernels), (b, P("b")))]
        got = jax.jit(f)(*args), jax.jit(gradient)(*args)
        assert [jax.typeof(g).sharding.spec for g in got[1]] == [jax.typeof(a).sharding.spec for a in args]
    same(got, want, 1e-4)


def test_named_algorithm_and_manual_axes_under_explicit_sharding():
    x, w = jnp.asarray(normal(0, (4, 4, 8, 8))), jnp.asarray(normal(1, (4, 2, 3, 3)))
    f = lambda x, w: convjax.conv_transpose2d(x, w, groups=2, algorithm="xla")  # noqa: E731
    want = f(x, w)
    with jax.sharding.set_mesh(mesh(AxisType.Explicit, (2, 2), ("a", "b"))):
        x, w = jax.device_put(x, P("a")), jax.device_put(w, P("b"))
        same(jax.jit(f)(x, w), want)
        partly = jax.shard_map(f, in_specs=(P("a"), P()), out_specs=P("a"), axis_names={"a"})
        same(jax.jit(partly)(x, w), want)


def test_layout_of_the_result_under_explicit_sharding():
    def layout(x, w, bias=None, **options):
        shapes = (4, 4, 9, 8), (6, 4 // options.get("groups", 1), 3, 3), (6,)
        operands = [jax.device_put(jnp.zeros(s), p) for s, p in zip(shapes, (x, w, bias or P()), strict=True)]
        return tuple(jax.typeof(convjax.conv2d(*operands, **options)).sharding.spec)

    with jax.sharding.set_mesh(mesh(AxisType.Explicit, (2, 2), ("a", "b"))):
        assert layout(P("a"), P()) == ("a", None, None, None)
        assert layout(P("a"), P("b")) == ("a", "b", None, None)
        assert layout(P("a"), P(), P("b")) == ("a", "b", None, None)
        assert layout(P("a", "b"), P(None, "b")) == ("a", None, None, None)  # contracted, and summed
        assert layout(P("a", "b"), P(), groups=2) == ("a", "b", None, None)
        assert layout(P("a", None, None, "b"), P(), padding=1) == ("a", None, None, "b")
        assert layout(P("a", None, None, "b"), P("b"), padding=1) == ("a", None, None, "b")
        assert layout(P("a", None, None, "b"), P(), padding=(0, 3), stride=(1, 4)) == ("a", None, None, None)
        patches = convjax.unfold(jax.device_put(jnp.zeros((4, 2, 5, 5)), P("a", "b")), 3)
        assert tuple(jax.typeof(patches).sharding.spec) == ("a", None, None)
        back = jax.jit(jax.grad(lambda p: (convjax.fold(p, 5, 3) ** 2).sum()))(patches)
        assert tuple(jax.typeof(back).sharding.spec) == ("a", None, None)


@pytest.mark.parametrize("layout", [P("data"), P(None, "data")])
def test_vmap_under_explicit_sharding(layout):
    f, (x, w, b), _ = case("conv")
    xs, ws = jnp.stack([x, 2 * x, x - 1, -x]), jnp.stack([w, w + 1, -w, w * 2])
    loss = lambda x, w: (f(x, w, b) ** 2).sum()  # noqa: E731
    want = [
        jax.vmap(g, axes)(xs, ws if axes == (0, 0) else w)
        for axes in ((0, None), (0, 0))
        for g in (lambda x, w: f(x, w, b), jax.grad(loss, (0, 1)))
    ]
    with jax.sharding.set_mesh(mesh(AxisType.Explicit)):
        b = jax.device_put(b, P())
        xs, w = jax.device_put(xs, layout), jax.device_put(w, P())
        ws = jax.device_put(ws, P(layout[0]))
        got = [
            jax.jit(jax.vmap(g, axes))(xs, ws if axes == (0, 0) else w)
            for axes in ((0, None), (0, 0))
            for g in (lambda x, w: f(x, w, b), jax.grad(loss, (0, 1)))
        ]
    same(got, want, 1e-4)


@every_function
def test_export_with_a_symbolic_batch_for_several_platforms(name):
    f, args, _ = case(name)
    (n,) = jax.export.symbolic_shape("n")
    structs = [
        jax.ShapeDtypeStruct((n, *args[0].shape[1:]), args[0].dtype),
        *[jax.ShapeDtypeStruct(a.shape, a.dtype) for a in args[1:]],
    ]
    objective = jax.grad(lambda *args: (f(*args) ** 2).sum(), (0, 1, 2))
    for g in (f, objective):
        exported = jax.export.export(jax.jit(g), platforms=["cpu", "cuda", "tpu"])(*structs)
        again = jax.export.deserialize(exported.serialize())
        for size in (1, 5):
            batch = [args[0][:size], *args[1:]]
            same(again.call(*batch), g(*batch), 1e-4)


def test_export_of_per_example_gradients_with_a_symbolic_batch():
    x, w = jnp.asarray(normal(0, (3, 2, 4, 6))), jnp.asarray(normal(1, (4, 2, 3)))
    each = jax.vmap(jax.grad(lambda w, x: (convjax.conv1d(x, w) ** 2).sum()), (None, 0))
    (n,) = jax.export.symbolic_shape("n")
    exported = jax.export.export(jax.jit(lambda x: each(w, x[:, :, :2])))(jax.ShapeDtypeStruct((n, 2, 4, 6), x.dtype))
    same(exported.call(x), each(w, x[:, :, :2]), 1e-4)


def test_export_with_symbolic_sizes():
    shape = jax.export.symbolic_shape("n, c, h, w", constraints=["h >= 5", "w >= 5"])
    shape = (shape[0], 3, *shape[2:])
    weight = jnp.asarray(normal(1, (4, 3, 3, 3)))
    for options in ({"padding": 1}, {"padding": "same", "padding_mode": "circular"}, {"stride": 2, "dilation": 2}):
        f = lambda x, options=options: convjax.conv2d(x, weight, **options)  # noqa: E731
        exported = jax.export.export(jax.jit(f))(jax.ShapeDtypeStruct(shape, weight.dtype))
        x = normal(0, (2, 3, 7, 6))
        same(exported.call(x), f(x))


@every_function
def test_without_jit(name):
    f, args, loss = case(name)
    with jax.disable_jit():
        same(f(*args), jax.jit(f)(*args))
        gradient = jax.grad(loss, (0, 1, 2))(*args)
    same(gradient, jax.jit(jax.grad(loss, (0, 1, 2)))(*args))


@every_function
@pytest.mark.parametrize("moved", ["x", "w", "both"])
def test_taylor_series(name, moved):
    """To third order, against nested forward derivatives along the same curve."""
    f, (x, w, b), _ = case(name)
    g = lambda x, w: jnp.sin(f(x, w, b))  # noqa: E731
    series = [[jnp.asarray(normal(10 * i + k, a.shape)) for k in range(3)] for i, a in enumerate((x, w))]
    for i, operand in enumerate("xw"):
        if moved not in (operand, "both"):
            series[i] = [jnp.zeros_like(term) for term in series[i]]

    def along(t):  # the curve whose derivatives at 0 are the series
        return g(*[a + t * s[0] + t**2 / 2 * s[1] + t**3 / 6 * s[2] for a, s in zip((x, w), series, strict=True)])

    derivatives = [along]
    for _ in range(3):
        derivatives.append(lambda t, f=derivatives[-1]: jax.jvp(f, (t,), (jnp.ones_like(t),))[1])
    zero = jnp.zeros((), x.dtype)
    value, terms = jet(g, (x, w), series)
    same([value, *terms], [d(zero) for d in derivatives], 1e-4)
