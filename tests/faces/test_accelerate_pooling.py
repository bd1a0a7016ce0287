"""Pooling in `convjax.accelerate`: to the last number that of lax, and without XLA's loops over windows."""

import functools

import jax
import numpy as np
import pytest
from cases import optimized_text
from jax import lax

from convjax import accelerate


@pytest.mark.parametrize("seed", range(16))
def test_the_gradient_of_pooling(seed):
    """To the last number that of XLA: the same element of each window, also of equal ones and infinities.

    NaNs are left out: windows over several axes are pooled axis by axis, and another element can have the gradient.
    """
    rng = np.random.default_rng(seed)
    for _ in range(4):
        dims = int(rng.integers(1, 4))
        axes = rng.permutation(dims + 2)
        sizes = [2, 3, *rng.integers(3, 9 if dims < 3 else 6, dims)]
        window = [1, 1, *rng.integers(1, 4, dims)]
        strides = [1, 1, *rng.integers(1, 4, dims)]
        padding = [(0, 0), (0, 0), *[tuple(rng.integers(0, k, 2)) for k in window[2:]]]
        sizes, window, strides = ([int(values[axis]) for axis in axes] for values in (sizes, window, strides))
        padding = [tuple(map(int, padding[axis])) for axis in axes]
        x = rng.integers(-3, 3, sizes).astype(rng.choice(["float32", "float64", "float16"]))
        for value in (np.inf, -np.inf):
            x[rng.random(sizes) < 0.1 * rng.integers(2)] = value
        start, choose = [(-np.inf, lax.max), (np.inf, lax.min)][rng.integers(2)]
        start = x.dtype.type(start)
        f = functools.partial(
            lax.reduce_window, init_value=start, computation=choose, window_dimensions=window, window_strides=strides
        )
        f = functools.partial(f, padding=padding)
        y, pull = jax.vjp(f, x)
        ct = rng.integers(-9, 9, y.shape).astype(x.dtype)
        fast = accelerate(lambda x, ct, f=f: jax.vjp(f, x)[1](ct)[0])
        np.testing.assert_array_equal(fast(x, ct), pull(ct)[0])
        np.testing.assert_array_equal(accelerate(f)(x), y)
        np.testing.assert_array_equal(jax.vjp(accelerate(f), x)[1](ct)[0], pull(ct)[0])
        assert "select_and_scatter(" not in optimized_text(fast, x, ct)
        assert "select_and_scatter(" not in optimized_text(lambda x, ct, f=f: jax.vjp(accelerate(f), x)[1](ct), x, ct)
        # XLA's tangent can be that of another of several equal elements than its gradient takes, so equal elements are
        # checked against the gradient, and values that are all different against XLA's tangent.
        tangent = rng.integers(-9, 9, x.shape).astype(x.dtype)
        forward = lambda x, t, f=f: jax.jvp(f, (x,), (t,))[1]  # noqa: E731
        by_tangent, by_gradient = (
            np.vdot(*(np.asarray(v, np.float64) for v in pair))
            for pair in ((ct, accelerate(forward)(x, tangent)), (pull(ct)[0], tangent))
        )
        assert by_tangent == by_gradient
        if x.dtype == np.float32:  # XLA packs a float64 and its tangent into too few bits
            distinct = rng.permutation(x.size).reshape(x.shape).astype(x.dtype)
            np.testing.assert_array_equal(accelerate(forward)(distinct, tangent), forward(distinct, tangent))


@pytest.mark.parametrize("seed", range(4))
def test_sums_of_windows(seed):
    """And what lax makes of their gradients: sums of integers, which are exact."""
    rng = np.random.default_rng(seed)
    for _ in range(6):
        sizes, window, strides, dilation = (
            rng.integers(low, high, 4) for low, high in ((4, 9), (1, 4), (1, 4), (1, 3))
        )
        padding = [tuple(map(int, rng.integers(0, k, 2))) for k in window]
        x = rng.integers(-9, 9, sizes).astype(rng.choice(["float32", "float64"]))
        f = functools.partial(
            lax.reduce_window, init_value=x.dtype.type(0), computation=lax.add, window_dimensions=window.tolist()
        )
        f = functools.partial(f, window_strides=strides.tolist(), padding=padding, window_dilation=dilation.tolist())
        y, pull = jax.vjp(f, x)
        ct = rng.integers(-9, 9, y.shape).astype(x.dtype)
        gradient = lambda x, ct, f=f: jax.vjp(f, x)[1](ct)[0]  # noqa: E731
        np.testing.assert_array_equal(accelerate(f)(x), y)
        for got in (accelerate(gradient)(x, ct), gradient(x, ct, accelerate(f))):
            np.testing.assert_array_equal(got, pull(ct)[0])
        assert "reduce_window(" not in optimized_text(accelerate(f), x)
