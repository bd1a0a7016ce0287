"""Measured choices: what they hold, that they can be saved, and that they are obeyed."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal

import convjax
from convjax._algorithms import ALGORITHMS

X, W = jnp.asarray(normal(0, (2, 3, 9, 8))), jnp.asarray(normal(1, (4, 3, 3, 3)))


def loss(x, w, algorithm="auto"):
    return (convjax.conv2d(x, w, padding=1, stride=2, algorithm=algorithm) ** 2).sum()


@pytest.fixture(scope="module")
def recorded():
    return convjax.tune(jax.grad(loss, (0, 1)), X, W, rounds=2)


def test_every_convolution_of_a_gradient_is_measured(recorded):
    assert len(recorded) == 3
    for operation, measurements in recorded:
        assert operation[0] == "cpu"
        names, nanoseconds = zip(*measurements, strict=True)
        assert set(names) <= set(ALGORITHMS)
        assert "xla" in names
        assert len(names) > 5
        assert list(nanoseconds) == sorted(nanoseconds)
        assert nanoseconds[0] > 0


def test_a_record_is_plain_data(recorded):
    hash(recorded)
    assert eval(repr(recorded)) == recorded
    saved = json.loads(json.dumps(recorded))
    np.testing.assert_array_equal(loss(X, W, saved), loss(X, W, recorded))


def forced(recorded, name):
    """The record in which one algorithm is the fastest, wherever it was measured."""
    return tuple((op, ((name, 1),)) for op, measurements in recorded if name in dict(measurements))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_record_holds_for_gradients_too(recorded, name):
    record = forced(recorded, name)
    found = {
        direction: convjax.plan(X, W, padding=1, stride=2, algorithm=record).step(direction).algorithm
        for direction in ("forward", "input gradient", "weight gradient")
    }
    assert list(found.values()).count(name) >= len(record)
    want = jax.grad(loss, (0, 1))(X, W, "xla")
    got = jax.jit(jax.grad(lambda x, w: loss(x, w, record), (0, 1)))(X, W)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_a_plan_states_times_that_were_measured(recorded):
    step = convjax.plan(X, W, padding=1, stride=2, algorithm=recorded).step()
    ((fastest, nanoseconds), *_) = next(found for operation, found in recorded if operation[2:4] == (X.shape, W.shape))
    assert (step.algorithm, step.seconds) == (fastest, nanoseconds / 1e9)
    assert f"{1e-6 * nanoseconds:.3g} ms" in str(step)
    assert convjax.plan(X, W, padding=1, stride=2).step().seconds is None


def test_auto_chooses_what_is_not_in_a_record(recorded):
    x = jnp.asarray(normal(0, (1, 3, 20, 20)))
    np.testing.assert_array_equal(convjax.conv2d(x, W, algorithm=recorded), convjax.conv2d(x, W))


def test_records_can_be_added(recorded):
    other = convjax.tune(convjax.conv1d, X[:, :, 0], W[:, :, 0], rounds=1)
    both = recorded + other
    assert convjax.plan(X[:, :, 0], W[:, :, 0], function=convjax.conv1d, algorithm=both).step().seconds is not None


def test_an_input_gradient_is_timed_with_its_flip():
    gradient = lambda w, ct: jax.vjp(lambda x: convjax.conv2d(x, w), X)[1](ct)[0]  # noqa: E731
    operation, _ = convjax.tune(gradient, W, jnp.ones((2, 4, 7, 6), jnp.float32), rounds=1)[-1]
    assert operation[-2:] == ("flipped weight", "contiguous")


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_images_with_channels_last_are_timed_as_they_are(groups):
    """And a record of them is for them alone."""
    conv = functools.partial(convjax.conv2d, groups=groups, padding=1, memory_format="channels_last")
    x, w = jnp.ones((2, 4, 7, 6), jnp.float32), jnp.ones((4, 4 // groups, 3, 3), jnp.float32)
    step = jax.grad(lambda x, w: conv(x, w).sum(), (0, 1))
    recorded = convjax.tune(step, x, w, rounds=1)
    assert {operation[-1] for operation, _ in recorded} == {"channels_last"}
    assert len(recorded) == 2 + 1
    assert all(times for _, times in recorded)
    np.testing.assert_allclose(conv(x, w, algorithm=recorded), conv(x, w), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "value", [[1], [("cpu",)], [["cpu", [["xla"]]]], ["xla"], [[0, np.array([])]], [["cpu", [["xla", 1.5]]]]]
)
def test_values_that_are_not_records(value):
    with pytest.raises(TypeError, match=r"`algorithm` is neither a name nor the record"):
        convjax.conv2d(X, W, algorithm=value)
