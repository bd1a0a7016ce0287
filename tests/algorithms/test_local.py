"""`algorithm="local"`: a NaN or an infinity in x reaches the results whose window holds it, and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import by, normal, random_spec

import convjax
from convjax._algorithms import ALGORITHMS
from convjax._choice.choose import why_unsupported
from convjax._machine import this_machine
from convjax._operation.primitive import convolve

CALLS = {
    "conv_transpose3d": ((1, 4, 5, 6, 7), (4, 3, 3, 3, 3), {"stride": 2}),
    "conv_transpose1d": ((4, 6, 12), (6, 2, 4), {"stride": 3, "padding": 1, "output_padding": 1, "groups": 2}),
    "conv2d": ((4, 8, 16, 12), (8, 1, 3, 3), {"stride": 2, "padding": 1, "groups": 8}),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    """The forward call and its input gradient, with the special number in the middle of what they read."""
    x, w, options = CALLS[name]
    f = lambda x, algorithm: getattr(convjax, name)(x, w, **options, algorithm=algorithm)  # noqa: E731
    x, w = normal(0, x), jnp.asarray(normal(1, w))
    gradient = lambda ct, algorithm: jax.vjp(lambda x: f(x, algorithm), x)[1](ct)[0]  # noqa: E731
    ct = normal(2, f(x, "auto").shape)
    for call, operand in ((f, x), (gradient, ct)):
        for value in (np.nan, np.inf):
            operand[(0, 0, *[n // 2 for n in operand.shape[2:]])] = value
            got, want = (np.asarray(jax.jit(call, static_argnums=1)(operand, a)) for a in ("local", "xla"))
            assert 0 < np.isfinite(want).sum() < want.size
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


@pytest.mark.parametrize("seed", range(16))
def test_every_algorithm_in_every_position(seed):
    """One image for each element of x, which is the special number there."""
    rng = np.random.default_rng(seed)
    spec, x_shape, w_shape = random_spec(rng)
    while np.prod(x_shape) > 120:
        spec, x_shape, w_shape = random_spec(rng)
    count = int(np.prod(x_shape))
    w = jnp.asarray(1 + np.abs(normal(1, w_shape)))  # an infinity times it is one
    ones = jnp.eye(count, dtype=jnp.float32).reshape(count, *x_shape)
    sees = np.asarray(ALGORITHMS["xla"].run(ones, w, spec)) != 0
    x = np.where(ones == 1, np.nan, normal(0, (1, *x_shape)))
    many = jnp.asarray(np.concatenate([x, np.where(ones == 1, np.inf, normal(0, (1, *x_shape)))]), jnp.float32)

    def checked(run, name):
        y = np.asarray(jax.jit(run)(many, w))
        assert not (np.isfinite(y) == np.concatenate([sees, sees])).any(), (name, spec, x_shape, w_shape)
        assert not np.isnan(y[count:]).any(), (name, spec, x_shape, w_shape)

    checked(lambda x, w: convolve(x, w, spec, "local"), "what is chosen")
    for name, algorithm in ALGORITHMS.items():
        if algorithm.is_local(spec, many, w) and why_unsupported(algorithm, spec, many, w, this_machine("cpu")) is None:
            checked(by(name, spec, algorithm="local"), name)
