"""Initial parameters: torch's shapes and distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import convjax


@pytest.mark.parametrize(
    ("arguments", "options", "shape", "fan_in"),
    [
        ((3, 64, (3, 3)), {}, (64, 3, 3, 3), 27),
        ((8, 16, (5,)), {"groups": 4}, (16, 2, 5), 10),
        ((8, 16, (3, 2, 1)), {"groups": 2, "transpose": True}, (8, 8, 3, 2, 1), 48),
        ((6, 9, 4), {"groups": 3}, (9, 2, 4, 4), 32),
    ],
)
def test_shape_and_distribution(arguments, options, shape, fan_in):
    draws = [convjax.init_conv(key, *arguments, **options) for key in jax.random.split(jax.random.key(0), 20)]
    assert all(p.weight.shape == shape for p in draws)
    assert all(p.bias.shape == (arguments[1],) for p in draws)
    bound = 1 / np.sqrt(fan_in)
    for values in (np.concatenate([p.weight.ravel() for p in draws]), np.concatenate([p.bias for p in draws])):
        assert np.abs(values).max() <= bound
        assert stats.kstest(values.astype(float), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def test_options():
    key = jax.random.key(1)
    assert convjax.init_conv(key, 2, 3, (3,), bias=False).bias is None
    assert convjax.init_conv(key, 2, 3, (3,), dtype=jnp.bfloat16).weight.dtype == jnp.bfloat16
    assert convjax.init_conv(jax.random.PRNGKey(1), 2, 3, (3,)).weight.shape == (3, 2, 3)
    first, second = (convjax.init_conv(key, 2, 3, (3,)) for _ in range(2))
    np.testing.assert_array_equal(first.weight, second.weight)
    np.testing.assert_array_equal(jax.jit(lambda k: convjax.init_conv(k, 2, 3, (3,)).bias)(key), first.bias)


def test_params_are_a_pytree_and_take_a_state_dict():
    state = {"weight": np.ones((2, 1, 3), np.float32), "bias": np.array([1, 2], np.float32)}
    params = convjax.ConvParams(**state)
    x = np.ones((1, 1, 4), np.float32)
    gradient = jax.grad(lambda p: convjax.conv1d(x, *p).sum())(params)
    assert isinstance(gradient, convjax.ConvParams)
    np.testing.assert_array_equal(gradient.bias, [2, 2])
    np.testing.assert_array_equal(convjax.conv1d(x, **state), [[[4, 4], [5, 5]]])


def test_a_state_dict_without_a_bias():
    params = convjax.ConvParams(**{"weight": np.ones((2, 1, 3), np.float32)})
    assert params.bias is None
    x = np.ones((1, 1, 4), np.float32)
    np.testing.assert_array_equal(convjax.conv1d(x, *params), [[[3, 3], [3, 3]]])
    gradient = jax.grad(lambda p: convjax.conv1d(x, *p).sum())(params)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)
    assert params == convjax.init_conv(jax.random.key(0), 1, 2, (3,), bias=False)._replace(weight=params.weight)
