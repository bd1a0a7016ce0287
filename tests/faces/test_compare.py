"""`convjax.compare`: two times and a difference, of the function that is given."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from jax import lax

import convjax


def layer(x, w, scale=1.0):
    y = scale * lax.conv(x, w, (1, 1), "SAME")
    return {"y": y, "name": "text", "empty": x[:0], "whole": jnp.arange(3)}


def test_it_runs_both_and_compares():
    x, w = normal(0, (1, 4, 9, 9)), normal(1, (8, 4, 3, 3))
    found = convjax.compare(layer, rounds=2)(x, w, scale=2.0)
    assert all(s > 0 for s in found[:4])
    assert found.seconds < found.first_seconds
    assert found.difference < 1e-5
    lines = str(found).splitlines()
    assert len(lines) == 3
    assert f"{found.seconds_before / found.seconds:.3g} times as fast" in lines[0]


def test_it_sees_a_difference(monkeypatch):
    wrong = lambda f, **_: lambda *args: {**layer(*args), "y": 1.5 * layer(*args)["y"]}  # noqa: E731
    monkeypatch.setattr(sys.modules["convjax.compare"], "accelerate", wrong)
    found = convjax.compare(layer, rounds=1)(normal(0, (1, 4, 9, 9)), normal(1, (8, 4, 3, 3)))
    np.testing.assert_allclose(found.difference, 0.5, rtol=1e-6)


def test_errors():
    with pytest.raises(TypeError, match=r"convjax\.compare: `f`"):
        convjax.compare("f")
    with pytest.raises(ValueError, match="rounds"):
        convjax.compare(layer, rounds=0)
