"""`convjax.accelerate(..., memory_format="channels_last")`: the same values, with the images held as NHWC."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import equations, normal
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from convjax import accelerate

NCHW = ("NCHW", "OIHW", "NCHW")
X, W, V = (
    jnp.asarray(normal(n, shape) / 3, jnp.float64) for n, shape in enumerate(((2, 4, 8, 9), (4, 4, 3, 3), (8, 1, 3, 3)))
)
last = functools.partial(accelerate, memory_format="channels_last")


def layer(x, w, stride=1, groups=1):
    around = [(1, 1)] * (x.ndim - 2)
    strides = (stride,) * (x.ndim - 2)
    numbers = NCHW if x.ndim == 4 else None
    return lax.conv_general_dilated(
        x, w, strides, around, dimension_numbers=numbers, feature_group_count=groups, preferred_element_type=x.dtype
    )


def normalised(x, w, v):
    """Batch normalisation as models write it, with a branch of squeeze and excitation."""
    y = layer(x, w)
    mean, variance = y.mean((0, 2, 3), keepdims=True), y.var((0, 2, 3), keepdims=True)
    y = jax.nn.relu((y - mean) * lax.rsqrt(variance + 1e-5) * w[0, :, 0, 0].reshape(1, -1, 1, 1))
    scale = jax.nn.sigmoid(jnp.einsum("nc,oc->no", y.mean((2, 3)), w[:, :, 0, 0]))
    return y * scale[:, :, None, None] + x


def pooled(x, w, v):
    y = lax.reduce_window(jax.nn.silu(layer(x, w)), -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), "SAME")
    y = jnp.concatenate([y, layer(y, w)], 1)[:, 1:7:2]
    return jnp.pad(y, ((0, 0), (0, 0), (1, 2), (0, 1)), mode="edge")


def jitted(x, w, v):
    block = jax.jit(lambda x: jax.nn.gelu(layer(x, w)))
    return block(block(x)) + jax.jit(jnp.flip, static_argnums=1)(block(x), 3)


def transposed(x, w, v):
    """Codes that change the order of axes themselves."""
    y = layer(x.transpose(0, 2, 3, 1).transpose(0, 3, 1, 2), w).transpose(0, 2, 3, 1)
    return jnp.tanh(y) @ w[:, :, 0, 0]


def looped(x, w, v):
    y, ys = lax.scan(lambda c, s: (jnp.tanh(layer(c, w * s)), layer(c, w).sum(1)), x, jnp.arange(3.0))
    return lax.cond(x.sum() > 0, lambda c: layer(c, w), lambda c: 2 * layer(layer(c, w), w), y), ys


def rematerialized(x, w, v):
    return jax.checkpoint(lambda x, w: jnp.sin(layer(checkpoint_name(jnp.sin(layer(x, w)), "y"), w)))(x, w).max(1)


def vmapped(x, w, v):
    """As Equinox has it: layers of one image without a batch."""
    one = lambda x: jax.nn.relu(layer(x[None], w)[0])  # noqa: E731
    return jax.vmap(lambda x: one(one(x)) + x)(x)


def grouped_norm(x, w, v):
    y = layer(x, w)
    groups = y.reshape(2, 2, 2, *y.shape[2:])
    return layer((groups - groups.mean((2, 3, 4), keepdims=True)).reshape(y.shape), v, 2, 4)


def of_volumes(x, w, v):
    x = x[..., None] * jnp.arange(1.0, 4).reshape(1, 1, 1, 1, 3)
    y = layer(x, jnp.broadcast_to(w[..., None], (4, 4, 3, 3, 3)) / 3)
    return jnp.where(y > 0, y, 0.1 * y).argmax(1), lax.clamp(-1.0, y, 1.0), jnp.cumsum(y, 2)


@jax.custom_vjp
def _rounded(x):
    return jnp.round(x)


_rounded.defvjp(lambda x: (jnp.round(x), None), lambda _, ct: (ct,))


def straight_through(x, w, v):
    return layer(_rounded(10 * layer(x, w)), w)


def of_convjax(x, w, v):
    y = convjax.conv_transpose2d(jax.nn.relu(convjax.conv2d(x, w, padding=1)), w, stride=2)
    return convjax.avg_pool2d(convjax.max_pool2d(y, 3, 2, 1), 2)


FUNCTIONS = [
    normalised, pooled, jitted, transposed, looped, rematerialized, vmapped, grouped_norm, of_volumes, straight_through,
    of_convjax,
]  # fmt: skip


def close(got, want):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), got, want)


def gradient(f):
    def loss(*args):
        ys = jax.tree.leaves(f(*args))
        return sum(
            (y * jnp.cos(jnp.arange(y.size, dtype=y.dtype).reshape(y.shape))).sum() for y in ys if y.dtype.kind == "f"
        )

    return jax.grad(loss, (0, 1, 2))


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_and_gradients(f):
    want = f(X, W, V)
    close(last(f)(X, W, V), want)
    assert jax.tree.map(lambda y: (y.shape, y.dtype), last(f)(X, W, V)) == jax.tree.map(
        lambda y: (y.shape, y.dtype), want
    )
    want = gradient(f)(X, W, V)
    close(last(gradient(f))(X, W, V), want)
    close(gradient(last(f))(X, W, V), want)


@pytest.mark.parametrize("f", [normalised, pooled, of_convjax], ids=lambda f: f.__name__)
def test_other_derivatives(f):
    ys, tangents = jax.jvp(f, (X, W, V), (X, W, V))
    close(last(lambda *args: jax.jvp(f, args, args))(X, W, V), (ys, tangents))
    close(jax.jvp(last(f), (X, W, V), (X, W, V)), (ys, tangents))
    close(jax.vmap(last(f), (0, None, None))(jnp.stack([X, 2 * X]), W, V), jnp.stack([f(X, W, V), f(2 * X, W, V)]))


def test_the_images_are_held_with_the_channels_last():
    """From the first convolution to the last. What is not an image stays, and so does a model of NHWC."""

    def f(x, w):
        y = jax.nn.relu(layer(x, w))
        return (layer(y * y.mean((2, 3), keepdims=True) + y, w) ** 2).mean()

    for g in (f, jax.grad(f, (0, 1))):
        shapes = {
            v.aval.shape
            for e in equations(last(g), X, W)
            if e.primitive.name in ("max", "mul", "add", "select_n")
            for v in e.outvars
        }
        assert (2, 8, 9, 4) in shapes
        assert X.shape not in shapes

    def of_nhwc(x, w):
        return jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "OIHW", "NHWC")))

    x = X.transpose(0, 2, 3, 1)
    close(last(of_nhwc)(x, W), of_nhwc(x, W))
    shapes = {v.aval.shape for e in equations(last(of_nhwc), x, W) if e.primitive.name == "max" for v in e.outvars}
    assert shapes == {x.shape}


def _steps(rng):
    """Random operations of images, which change the shape or not."""
    axis, even = int(rng.integers(4)), [(0, 1), (0, 0), (1, 0), (2, 1)]
    return [
        lambda y: layer(y, jnp.ones((3, y.shape[1], 3, 3)) / 9),
        lambda y: jnp.moveaxis(y, axis, -1 - axis),
        lambda y: jnp.roll(y, 1, axis),
        lambda y: lax.pad(y, jnp.zeros((), y.dtype), [(low, high, axis % 2) for low, high in even]),
        lambda y: y - y.mean(axis, keepdims=True),
        lambda y: jnp.expand_dims(y.max(axis), axis) + y,
        lambda y: jnp.concatenate([y, jnp.flip(y, axis)], axis)[:, :4, :9, :9],
        lambda y: jnp.where(y > 0, y, jnp.zeros((), y.dtype)).squeeze(),
        lambda y: lax.dynamic_slice(y, (0, 0, 1, 0), (*y.shape[:2], max(y.shape[2] - 1, 1), y.shape[3])),
        lambda y: y.reshape(y.shape[0], -1, y.shape[3], 1) if y.size < 4000 else y,
        lambda y: lax.reduce_window(y, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 1, 2, 1), "SAME"),
        lambda y: jax.nn.relu(y) + jnp.arange(y.shape[3], dtype=y.dtype).reshape(1, 1, 1, -1),
        lambda y: lax.cumsum(y, axis),
        lambda y: lax.dynamic_update_slice(y, y[:, :1] * 2, (0, y.shape[1] - 1, 0, 0)),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_random_programs(seed):
    def f(x, w, v):
        rng = np.random.default_rng(seed)
        y = layer(x, w)
        for _ in range(7):
            steps = _steps(rng)
            y = steps[rng.integers(len(steps))](y)
            y = y.reshape(*y.shape, *[1] * (4 - y.ndim))
        return layer(y, jnp.ones((2, y.shape[1], 3, 3)))

    close(last(f)(X, W, V), f(X, W, V))
    close(last(gradient(f))(X, W, V), gradient(f)(X, W, V))


def _on_two_devices(meaning):
    """A program on two devices: of shard_map, of a mesh with explicit axes, or sharded by jit."""
    mesh = jax.make_mesh((2,), ("a",), axis_types=(AxisType.Explicit if meaning == "explicit" else AxisType.Auto,))
    conv = functools.partial(convjax.conv2d, padding=1) if meaning == "explicit" else layer  # lax has no such gradient

    def block(x, w):
        y = jax.jit(lambda x: jax.nn.relu(conv(x, w)))(x)
        return jax.nn.relu(conv(jnp.sin(y), w)).mean((2, 3), keepdims=True) * x

    if meaning == "shard_map":
        return mesh, block, jax.shard_map(block, mesh=mesh, in_specs=(P("a"), P()), out_specs=P("a"))
    return mesh, block, block


@pytest.mark.parametrize("meaning", ["shard_map", "explicit", "jit"])
def test_several_devices(meaning):
    mesh, block, mapped = _on_two_devices(meaning)
    with jax.set_mesh(mesh):
        x = jax.device_put(X, NamedSharding(mesh, P("a")))
        close(np.asarray(last(mapped)(x, W)), block(X, W) if meaning == "jit" else np.asarray(jax.jit(block)(x, W)))
        loss = lambda f: lambda x, w: jnp.sin(f(x, w)).sum()  # noqa: E731
        want = [np.asarray(g) for g in jax.jit(jax.grad(loss(mapped), (0, 1)))(x, W)]
        close([np.asarray(g) for g in jax.grad(loss(last(mapped)), (0, 1))(x, W)], want)
        close([np.asarray(g) for g in last(jax.grad(loss(mapped), (0, 1)))(x, W)], want)


def test_exported_with_symbolic_sizes():
    shapes = jax.export.symbolic_shape("n, 4, h, 9")
    f = lambda x: jax.nn.relu(layer(x, W)).mean((2, 3), keepdims=True) * layer(x, W)  # noqa: E731
    exported = jax.export.export(jax.jit(last(f)))(jax.ShapeDtypeStruct(shapes, X.dtype))
    close(exported.call(X), f(X))


def test_another_format_is_refused():
    with pytest.raises(ValueError, match=r"memory_format(.|\n)*'channels_last'"):
        accelerate(layer, memory_format="nhwc")


@pytest.mark.parametrize("is_nhwc", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_input_gradients_of_single_taps_copy_no_weight(is_nhwc, inside):
    """Whichever way the weight lies, XLA reads it as it is. Images are copied if they are NCHW."""
    image, kernel = ("NHWC", "HWIO") if is_nhwc else ("NCHW", "OIHW")
    shapes = (
        ((1, 5, 5, 12), (1, 1, 12, 40), (1, 5, 5, 40)) if is_nhwc else ((1, 12, 5, 5), (40, 12, 1, 1), (1, 40, 5, 5))
    )
    conv = lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=(image, kernel, image))  # noqa: E731
    make = convjax.accelerate if is_nhwc else last
    gradient = lambda f: lambda x, w, ct: jax.vjp(lambda x: f(x, w), x)[1](ct)[0]  # noqa: E731
    f = make(gradient(conv)) if inside else gradient(make(conv))
    text = jax.jit(f).lower(*(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes)).compile().as_text()
    copied = re.findall(r"= f32\[([\d,]+)\]\S* (?:copy|transpose)\(", text)
    assert not [sizes for sizes in copied if math.prod(map(int, sizes.split(","))) == 480]
