"""memory_format="channels_last" changes no value, in any derivative or batched form, and all of these inherit it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import equations, normal

import convjax

CALLS = {
    "dense": (convjax.conv2d, (2, 6, 9, 8), (5, 6, 3, 3), {"padding": 1}),
    "strided": (convjax.conv2d, (2, 6, 9, 8), (4, 6, 3, 2), {"stride": 2, "padding": 1}),
    "pointwise": (convjax.conv2d, (2, 6, 5, 4), (5, 6, 1, 1), {}),
    "depthwise": (convjax.conv2d, (2, 6, 9, 8), (6, 1, 3, 3), {"padding": 1, "groups": 6, "stride": 2}),
    "grouped": (convjax.conv2d, (2, 6, 9, 8), (4, 3, 3, 3), {"padding": (1, 2), "groups": 2, "dilation": 2}),
    "transposed": (convjax.conv_transpose2d, (2, 6, 5, 4), (6, 3, 4, 4), {"stride": 2, "padding": 1}),
    "signal": (convjax.conv1d, (2, 6, 17), (4, 6, 5), {"padding": 4, "dilation": 2}),
    "volume": (convjax.conv3d, (1, 4, 5, 6, 4), (3, 4, 3, 2, 3), {"padding": 1, "padding_mode": "circular"}),
}


def forms(conv, ct):
    """Functions of (x, w) that need a derivative or a batched form of conv."""
    loss = lambda x, w: (jnp.tanh(conv(x, w)) * ct).sum()  # noqa: E731
    gradients = jax.grad(loss, (0, 1))
    return {
        "value": conv,
        "gradients": gradients,
        "tangent": lambda x, w: jax.jvp(conv, (x, w), (jnp.cos(x), jnp.sin(w)))[1],
        "second order": lambda x, w: jax.grad(lambda x, w: sum(jnp.square(g).sum() for g in gradients(x, w)), (0, 1))(
            x, w
        ),
        "forward over reverse": lambda x, w: jax.jvp(gradients, (x, w), (jnp.cos(x), jnp.sin(w)))[1],
        "remat": jax.grad(jax.checkpoint(loss), (0, 1)),
        "images": lambda x, w: jax.vmap(lambda x: conv(x[None], w)[0])(x),
        "kernels": lambda x, w: jax.vmap(conv, (None, 0))(x, jnp.stack([w, 2 * w])),
        "both": lambda x, w: jax.vmap(conv)(jnp.stack([x, x]), jnp.stack([w, 2 * w])),
        "per-example gradients": lambda x, w: jax.vmap(
            jax.grad(lambda w, x, ct: (conv(x[None], w)[0] * ct).sum()), (None, 0, 0)
        )(w, x, ct),
    }


@pytest.mark.parametrize("name", CALLS)
def test_every_form_is_that_of_contiguous_images(name):
    function, x_shape, w_shape, options = CALLS[name]
    x, w = normal(0, x_shape), normal(1, w_shape)
    conv = partial(function, **options)
    ct = normal(2, jax.eval_shape(conv, x, w).shape)
    want = forms(conv, ct)
    for form, f in forms(partial(conv, memory_format="channels_last"), ct).items():
        found = {e.params["spec"].hints.memory_format for e in equations(f, x, w) if e.primitive.name == "convjax_conv"}
        assert found == {"channels_last"}, form
        got, expected = jax.jit(lambda x, w, f=f, form=form: (f(x, w), want[form](x, w)))(x, w)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=3e-5 * max(np.abs(b).max(), 1), err_msg=form)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "int32"])
@pytest.mark.parametrize("name", ["dense", "depthwise", "pointwise", "transposed"])
def test_dtypes(name, dtype):
    """Training too: the gradients of a mean square."""
    function, x_shape, w_shape, options = CALLS[name]
    x, w = (jnp.asarray(normal(n, shape)).astype(dtype) for n, shape in enumerate((x_shape, w_shape)))
    conv = partial(function, **options)
    last = partial(conv, memory_format="channels_last")
    tolerance = {"float16": 2**-9, "bfloat16": 2**-6, "float64": 1e-12, "complex64": 1e-5, "int32": 0}[dtype]
    pairs = [(last(x, w), conv(x, w))]
    if dtype != "int32":
        loss = lambda f: jax.jit(jax.grad(lambda x, w: jnp.square(jnp.abs(f(x, w))).mean(), (0, 1)))  # noqa: E731
        pairs += zip(loss(last)(x, w), loss(conv)(x, w), strict=True)
    for got, want in pairs:
        assert got.dtype == want.dtype
        wide = np.complex128 if dtype == "complex64" else np.float64
        got, want = np.asarray(got).astype(wide), np.asarray(want).astype(wide)
        assert np.abs(got - want).max() <= tolerance * max(np.abs(want).max(), 1e-9)


def test_one_image_and_a_bias():
    x, w, bias = normal(0, (6, 9, 8)), normal(1, (5, 6, 3, 3)), normal(2, (5,))
    got = convjax.conv2d(x, w, bias, memory_format="channels_last")
    np.testing.assert_allclose(got, convjax.conv2d(x, w, bias), rtol=0, atol=1e-4)


def test_other_words():
    x, w = normal(0, (1, 6, 9, 8)), normal(1, (5, 6, 3, 3))
    with pytest.raises(ValueError, match=r"`memory_format`") as caught:
        convjax.conv2d(x, w, memory_format="NHWC")
    assert "channels_last" in str(caught.value)
    with pytest.raises(TypeError, match=r"memory_format='channels_last'"):
        convjax.conv2d(x, w, data_format="NHWC")


def test_plan_shows_it():
    plan = convjax.plan(normal(0, (2, 6, 9, 8)), normal(1, (5, 6, 3, 3)), memory_format="channels_last")
    assert "memory_format='channels_last'" in str(plan)
    assert {step.spec.hints.memory_format for step in plan.steps} == {"channels_last"}


def test_exported_programs_ask_for_no_layout():
    """jax.export takes no constraint of a layout: it is a call that may change."""
    x, w = normal(0, (2, 4, 8, 9)), normal(1, (4, 1, 3, 3))

    def f(x, w):
        return jax.vjp(lambda *a: convjax.conv2d(*a, groups=4, memory_format="channels_last"), x, w)[1](x[..., 2:, 2:])

    read = jax.export.deserialize(jax.export.export(jax.jit(f))(x, w).serialize())
    for got, want in zip(read.call(x, w), f(x, w), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
