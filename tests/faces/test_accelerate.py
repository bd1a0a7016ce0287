"""`convjax.accelerate`: the values and derivatives of the function, whatever it calls and whatever calls it."""

import functools
import json
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import equations, normal
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from convjax import accelerate

NHWC = ("NHWC", "HWIO", "NHWC")
X, W, V = (
    jnp.asarray(normal(n, shape) / 3, jnp.float64) for n, shape in enumerate(((2, 8, 9, 4), (3, 3, 4, 4), (3, 3, 1, 8)))
)


def layer(x, w, stride=1, groups=1, padding="SAME"):
    strides = (stride, stride)
    return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=NHWC, feature_group_count=groups)


def plain(x, w, v):
    return jnp.tanh(layer(layer(x, w, 2), v, groups=4))


def jitted(x, w, v):
    return jax.jit(layer)(x, w) + jax.jit(layer)(x * 2, w)


def scanned(x, w, v):
    return lax.scan(lambda c, _: (jnp.tanh(layer(c, w)), layer(c, v, groups=4)), x, None, length=3)


def looped(x, w, v):
    return lax.fori_loop(0, 2, lambda _, c: jnp.tanh(layer(c, w)), x)


def branched(x, w, v):
    return lax.cond(x.sum() > 0, lambda c: layer(c, w), lambda c: 2 * layer(layer(c, w), w), x)


def rematerialized(x, w, v):
    return jax.checkpoint(lambda x, w: jnp.sin(layer(jnp.sin(layer(x, w)), w)))(x, w)


def vmapped(x, w, v):
    return jax.vmap(lambda x, s: layer(x[None], w * s)[0])(x, jnp.arange(2.0))


@jax.custom_vjp
def _own_vjp(x, w):
    return layer(x, w)


def _forward(x, w):
    return layer(x, w), (x, w)


def _backward(saved, ct):
    x, w = saved  # twice the gradient by w, to see that the rule is used
    return layer(ct, jnp.flip(w, (0, 1)).swapaxes(2, 3)), 2 * jax.vjp(lambda w: layer(x, w), w)[1](ct)[0]


_own_vjp.defvjp(_forward, _backward)


@jax.custom_jvp
def _own_jvp(x, w):
    return layer(x, w)


@_own_jvp.defjvp
def _own_jvp_rule(primals, tangents):
    (x, w), (dx, dw) = primals, tangents
    return layer(x, w), layer(dx, w) + 2 * layer(x, dw)


def with_own_vjp(x, w, v):
    return jnp.sin(_own_vjp(x, w)) + jax.jit(_own_vjp)(x, w)


def with_own_jvp(x, w, v):
    return jnp.sin(_own_jvp(x, w))


def differentiated(x, w, v):
    return jax.grad(lambda x, w: (plain(x, w, v) ** 2).sum(), argnums=(0, 1))(x, w)


def pooled(x, w, v):
    """A layer, max and min pooling, and their gradients."""

    def f(x, w):
        y = layer(x, w)
        y = lax.reduce_window(y, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 1, 1), ((0, 0), (1, 1), (0, 1), (0, 0)))
        return jnp.sin(lax.reduce_window(y, jnp.inf, lax.min, (1, 2, 2, 1), (1, 1, 2, 1), "SAME")).sum()

    return jax.grad(f, argnums=(0, 1))(x, w)


def pooled_before(x, w, v):
    return layer(lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 1, 1), "SAME"), w)


def solved(x, w, v):
    """Conjugate gradients, whose matrix is a convolution."""
    symmetric = w[..., :1, :1] * jnp.ones((1, 1, 1, 4))
    symmetric += jnp.flip(symmetric, (0, 1))
    return jax.scipy.sparse.linalg.cg(lambda y: 40.0 * y + layer(y, symmetric, groups=4), x, maxiter=30)[0]


def transposed(x, w, v):
    return lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=NHWC)


PROGRAMS = (plain, jitted, scanned, looped, branched, rematerialized, vmapped, with_own_vjp, with_own_jvp)
PROGRAMS += (differentiated, pooled, pooled_before, solved, transposed)


def total(f):
    """A number that depends on every result of f."""
    return lambda *args: sum((jnp.cos(leaf) * leaf).sum() for leaf in jax.tree.leaves(f(*args)))


def gradient(f):
    return jax.grad(total(f), argnums=(0, 1))


def tangents(f):
    return lambda *args: jax.jvp(f, args, tuple(jnp.cos(a) for a in args))[1]


def batched(f):
    return lambda x, w, v: jax.vmap(f, in_axes=(0, 0, None))(jnp.stack([x, 2 * x]), jnp.stack([w, w + 1]), v)


def second(f):
    return lambda *args: jax.jvp(gradient(f), args, tuple(jnp.cos(a) for a in args))[1]


TRANSFORMS = {"itself": lambda f: f, "gradient": gradient, "tangents": tangents, "batched": batched, "second": second}
HAS_NONE = {(looped, "gradient"), (looped, "second")}  # jax has no gradient of a while loop
HAS_NONE |= {(with_own_vjp, "tangents"), (with_own_vjp, "second")}  # nor tangents of a custom_vjp


def names(f, *args) -> list[str]:
    return [e.primitive.name for e in equations(f, *args)]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_functions_own_values_wherever_it_is_called(program, transform):
    """Inside of a transformation and outside of it; and no convolution of lax is left."""
    if (program, transform) in HAS_NONE:
        return
    change = TRANSFORMS[transform]
    want = jax.jit(change(program))(X, W, V)
    for f in (change(accelerate(program)), accelerate(change(program)), accelerate(jax.jit(change(program)))):
        traced = names(f, X, W, V)
        assert "conv_general_dilated" not in traced
        assert 0 < traced.count("convjax_conv") <= names(change(program), X, W, V).count("conv_general_dilated")
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), f(X, W, V), want)


NUMBERS = [("NCHW", "OIHW", "NCHW"), NHWC, ("NHWC", "OIHW", "NCHW"), ("CHWN", "IHWO", "HWNC"), ("NCHW", "HWIO", "NHWC")]


@pytest.mark.parametrize("seed", range(12))
def test_any_convolution(seed):
    """Random parameters of `lax.conv_general_dilated`, with both derivatives."""
    rng = np.random.default_rng(seed)
    numbers = NUMBERS[seed % len(NUMBERS)]
    groups, batch_groups = [(1, 1), (3, 1), (1, 3)][rng.integers(3)]
    sizes = dict(zip("NCHW", (3 * batch_groups, 2 * groups, *rng.integers(5, 9, 2).tolist()), strict=True))
    taps = dict(zip("OIHW", (3 * groups * batch_groups, 2, *rng.integers(1, 4, 2).tolist()), strict=True))
    x = normal(seed, [sizes[axis] for axis in numbers[0]]).astype(np.float64)
    w = normal(seed + 1, [taps[axis] for axis in numbers[1]]).astype(np.float64)
    options = {
        "window_strides": rng.integers(1, 4, 2).tolist(),
        "padding": rng.integers(0, 3, (2, 2)).tolist(),
        "lhs_dilation": rng.integers(1, 3, 2).tolist(),
        "rhs_dilation": rng.integers(1, 3, 2).tolist(),
        "dimension_numbers": numbers,
        "feature_group_count": groups,
        "batch_group_count": batch_groups,
        "precision": [None, "highest"][seed % 2],
        "preferred_element_type": [None, jnp.float64][seed // 2 % 2],
    }
    f = functools.partial(lax.conv_general_dilated, **options)
    for change in (lambda f: f, gradient):
        traced = change(accelerate(f))
        assert "conv_general_dilated" not in names(traced, x, w)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), traced(x, w), change(f)(x, w))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "int32", "complex64"])
def test_dtypes(dtype):
    x, w = (jnp.asarray(np.asarray(4 * a, np.int32), dtype) for a in (X, W))
    got, want = accelerate(layer)(x, w), layer(x, w)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.astype("complex64"), want.astype("complex64"))
    wide = functools.partial(lax.conv_general_dilated, window_strides=(1, 1), padding="SAME", dimension_numbers=NHWC)
    wider = {"int8": jnp.int32, "bfloat16": jnp.float32}.get(dtype)
    f = functools.partial(wide, preferred_element_type=wider)
    assert accelerate(f)(x, w).dtype == f(x, w).dtype
    np.testing.assert_array_equal(accelerate(f)(x, w), f(x, w))


# ---- what stays as it is ----


def test_the_rest_of_a_program_stays(capfd):
    """Prints in their order, names of scopes and of the function, donated buffers, weak types."""

    def step(x, w):
        jax.debug.print("before {}", x.shape[0], ordered=True)
        with jax.named_scope("a_scope"):
            y = layer(x, w)
        jax.debug.print("after {}", y.shape[0], ordered=True)
        return y, 2.0 * jnp.asarray(1.0), lax.full((), 1)

    fast = accelerate(step)
    jax.block_until_ready(fast(X, W))
    jax.effects_barrier()
    assert capfd.readouterr().out.splitlines() == ["before 2", "after 2"]
    assert jax.tree.leaves(jax.eval_shape(fast, X, W)) == jax.tree.leaves(jax.eval_shape(step, X, W))
    weak = lambda f: [v.aval.weak_type for v in jax.make_jaxpr(f)(X, W).jaxpr.outvars]  # noqa: E731
    assert weak(fast) == weak(step)
    text = jax.jit(fast).lower(X, W).as_text(debug_info=True)
    assert "a_scope" in text
    assert "step" in text
    assert "test_accelerate.py" in text
    donating = jax.jit(lambda x, w: accelerate(jax.jit(layer, donate_argnums=0))(x, w), donate_argnums=0)
    assert "donated" in donating.lower(X, W).as_text() or "aliasing_output" in donating.lower(X, W).as_text()


def test_it_is_traced_once_for_a_signature():
    traced = []

    @accelerate
    def f(x, w, scale=1.0):
        traced.append(x.shape)
        return scale * layer(x, w)

    for scale in (1.0, 2.0, 3.0):
        np.testing.assert_allclose(f(X, W, scale=scale), scale * layer(X, W), rtol=1e-9, atol=1e-9)
    assert len(traced) == 1
    f(X[:1], W)
    assert len(traced) == 2


def test_what_it_does_not_replace():
    """A product in the form of a convolution."""
    f = lambda a, b: lax.conv_general_dilated(a, b, (), [])  # noqa: E731
    a, b = jnp.ones((2, 3)), jnp.ones((4, 3))
    np.testing.assert_array_equal(accelerate(f)(a, b), f(a, b))
    assert "conv_general_dilated" in names(accelerate(f), a, b)


# ---- arguments ----


class Module(NamedTuple):
    """As an Equinox module: a pytree with a function among its leaves."""

    weight: Any
    activation: Any
    stride: Any

    def __call__(self, x):
        return self.activation(layer(x, self.weight, int(self.stride.removeprefix("stride "))))


def test_leaves_that_are_no_arrays():
    """They are static: a function, a string, None. They may be results too."""

    @accelerate
    def step(module, x, *, more=None):
        y = module(x)
        return module._replace(weight=module.weight - 0.1), {"y": y, "more": more}

    for activation, stride in ((jnp.tanh, "stride 1"), (jax.nn.relu, "stride 2"), (jnp.tanh, "stride 2")):
        module = Module(W, activation, stride)
        new, results = step(module, X, more=["text", 3, None])
        np.testing.assert_allclose(results["y"], module(X), rtol=1e-9, atol=1e-9)
        assert new.activation is activation
        assert new.stride == stride
        assert results["more"][0] == "text"
        assert int(results["more"][1]) == 3


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({"static_argnums": 2}, lambda f: f(X, W, 2)),
        ({"static_argnums": (-1, -2)}, lambda f: f(X, W, 2, 1)),
        ({"static_argnames": "stride"}, lambda f: f(X, W, stride=2)),
        ({"static_argnames": ("stride", "groups")}, lambda f: f(X, W, 2, groups=1)),
        ({"static_argnums": 2}, lambda f: f(X, W, stride=2)),
    ],
)
def test_static_arguments(options, call):
    def f(x, w, stride=1, groups=1):
        assert isinstance(stride, int)
        return layer(x, w, stride, groups)

    np.testing.assert_allclose(call(accelerate(f, **options)), call(f), rtol=1e-9, atol=1e-9)


def test_true_is_not_one():
    f = accelerate(lambda x, flag: x * (2 if flag is True else 3), static_argnums=1)
    assert (float(f(1.0, True)), float(f(1.0, 1)), float(f(1.0, True))) == (2, 3, 2)


def test_records_and_names_of_algorithms():
    record = convjax.tune(accelerate(layer), X, W, rounds=1)
    assert len(record) == 1
    for algorithm in ("xla", "matmul", "local", record, json.loads(json.dumps(record))):
        fast = accelerate(layer, algorithm=algorithm)
        np.testing.assert_allclose(fast(X, W), layer(X, W), rtol=1e-9, atol=1e-9)
    (equation,) = [
        e for e in equations(accelerate(layer, algorithm="matmul"), X, W) if e.primitive.name == "convjax_conv"
    ]
    assert equation.params["algorithm"] == "matmul"


class Stateful:
    def __call__(self, x):
        return x


Stateful.__module__ = "flax.nnx.module"
Stateful.__name__ = "Module"


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: accelerate(3), TypeError, "`f` is not"),
        (lambda: accelerate(layer, algorithm="fast"), ValueError, "'auto'"),
        (lambda: accelerate(layer, static_argnums=2, algorithm="winograd")(X, W, 2), ValueError, "winograd"),
        (lambda: accelerate(layer, static_argnames="strid"), ValueError, "'stride'"),
        (lambda: accelerate(layer, static_argnums="2"), TypeError, "static_argnums"),
        (lambda: accelerate(lambda o: 0)([{1, 2}]), TypeError, r"\[0\]\[0\]\[0\]"),
        (lambda: accelerate(Stateful()), TypeError, "nnx.split"),
        (lambda: accelerate(lambda m, x: m(x))(Stateful(), X), TypeError, "nnx.split"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text) as raised:
        call()
    assert all(word in str(raised.value) for word in ("convjax.accelerate", "got:", "expected:", "try:"))


def test_an_error_of_tracing_says_what_helps():
    with pytest.raises(jax.errors.TracerArrayConversionError) as raised:
        accelerate(layer)(X, W, 2)
    assert "static_argnames" in raised.value.__notes__[0]


# ---- programs ----


def test_it_is_exported():
    exported = jax.export.export(jax.jit(accelerate(plain)))(X, W, V)
    read = jax.export.deserialize(exported.serialize())
    np.testing.assert_allclose(read.call(X, W, V), plain(X, W, V), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inside", [False, True])
def test_shard_map(inside):
    mesh = Mesh(np.array(jax.devices()[:2]), ("a",))

    def mapped(f):
        return jax.shard_map(f, mesh=mesh, in_specs=(P("a"), P(), P()), out_specs=P("a"))

    f = mapped(accelerate(plain)) if inside else accelerate(mapped(plain))
    for change in (lambda f: f, gradient):
        got, want = change(f)(X, W, V), change(plain)(X, W, V)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), got, want)
    assert "conv_general_dilated" not in names(f, X, W, V)


def test_a_sharded_jit():
    mesh = Mesh(np.array(jax.devices()[:4]).reshape(2, 2), ("a", "b"))
    shardings = (NamedSharding(mesh, P("a", "b")), NamedSharding(mesh, P()), NamedSharding(mesh, P()))
    placed = [jax.device_put(a, s) for a, s in zip((X, W, V), shardings, strict=True)]
    for change in (lambda f: f, gradient):
        got, want = jax.jit(change(accelerate(plain)))(*placed), change(plain)(X, W, V)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), got, want)


# ---- XLA's own convolution, which runs where no algorithm has been measured ----


def optimized(f, *args) -> list[str]:
    """The instructions of the compiled program, without names and places."""
    text = jax.jit(f).lower(*args).compile().as_text()
    text = re.sub(r", (metadata|frontend_attributes|backend_config)=\{[^\n]*", "", text)
    return sorted(re.sub(r"%[\w.-]+", "%", line).strip() for line in text.splitlines() if " = " in line)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("numbers", [NHWC, ("NCHW", "OIHW", "NCHW")], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("rows", [1, 3])
def test_the_program_of_lax(numbers, stride, groups, rows):
    """The optimized program has lax's convolution, and no transposition or copy that lax's has not."""
    x, w = (jnp.asarray(a, jnp.float32) for a in (X, W[:rows, :, : 4 // groups]))
    if numbers != NHWC:
        x, w = x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1)

    def f(x, w):
        strides = (stride, stride)
        options = {"dimension_numbers": numbers, "feature_group_count": groups}
        return lax.conv_general_dilated(x, w, strides, "SAME", **options)

    y = f(x, w)
    assert optimized(accelerate(f, algorithm="xla"), x, w) == optimized(f, x, w)
    dx = lambda f: lambda w, y: jax.vjp(lambda x: f(x, w), x)[1](y)[0]  # noqa: E731
    dw = lambda f: lambda x, y: jax.vjp(lambda w: f(x, w), w)[1](y)[0]  # noqa: E731
    for by, other in ((dx, w), (dw, x)):
        if groups == 1:  # on CPUs, lax's gradients of groups are not XLA's fastest form
            assert optimized(by(accelerate(f, algorithm="xla")), other, y) == optimized(by(f), other, y)
            assert optimized(accelerate(by(f), algorithm="xla"), other, y) == optimized(by(f), other, y)
