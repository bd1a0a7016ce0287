"""`convjax.patched`: what `jax.lax` is while it lasts, and afterwards."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import equations

import convjax

X, W = jnp.cos(jnp.arange(2 * 4 * 81.0)).reshape(2, 4, 9, 9), jnp.sin(jnp.arange(8 * 4 * 9.0)).reshape(8, 4, 3, 3)


def layer(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME")


def is_ours() -> bool:
    return "convjax_conv" in [
        e.primitive.name for e in equations(lambda *a: layer(*a), X, W)
    ]  # a new function, which has not been traced


def test_it_lasts_as_long_as_the_block():
    before = {name: getattr(jax.lax, name) for name in convjax.lax.__all__}
    want = layer(X, W)
    with convjax.patched():
        assert is_ours()
        with convjax.patched():
            assert is_ours()
        assert is_ours()
        np.testing.assert_allclose(layer(X, W), want, rtol=0, atol=1e-9)
        np.testing.assert_allclose(jax.jit(lambda x, w: layer(x, w))(X, W), want, rtol=0, atol=1e-9)
    assert not is_ours()
    assert {name: getattr(jax.lax, name) for name in convjax.lax.__all__} == before


def test_it_ends_with_an_error():
    before = jax.lax.conv
    with pytest.raises(KeyError), convjax.patched():
        raise KeyError
    assert jax.lax.conv is before


def test_convjax_has_laxs_convolution_inside():
    """Its programs are the same as outside."""
    call = lambda x, w: convjax.conv2d(x, w, padding=1, algorithm="xla")  # noqa: E731
    outside = jax.jit(call).lower(X, W).as_text()
    jax.clear_caches()
    with convjax.patched():
        assert jax.jit(call).lower(X, W).as_text() == outside


def test_gradients():
    loss = lambda f: jax.grad(lambda x, w: (f(x, w) ** 2).sum(), argnums=(0, 1))  # noqa: E731
    want = loss(layer)(X, W)
    with convjax.patched():
        got = loss(layer)(X, W)
        traced = [e.primitive.name for e in equations(loss(lambda *a: layer(*a)), X, W)]
    assert "conv_general_dilated" not in traced
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), got, want)


def test_other_threads_are_left_alone():
    entered, leave, found = threading.Event(), threading.Event(), []

    def inside():
        with convjax.patched():
            entered.set()
            leave.wait(60)
            found.append(is_ours())

    thread = threading.Thread(target=inside)
    thread.start()
    assert entered.wait(60)
    found.append(is_ours())
    with convjax.patched():
        found.append(is_ours())
    leave.set()
    thread.join()
    assert found == [False, True, True]
    assert not is_ours()
