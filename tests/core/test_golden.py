"""The numbers that golden/record.py took from torch and SciPy."""

import pathlib

import jax
import numpy as np
import pytest
from cases import BY_NAME
from filters import recorded_calls

import convjax

HERE = pathlib.Path(__file__).parents[1] / "golden"
GOLDEN, SCIPY = np.load(HERE / "torch.npz"), np.load(HERE / "scipy.npz")
NAMES = sorted({key.split("/")[0] for key in GOLDEN.files if "/" in key})
WINDOWS = {"dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}


def call(name):
    if name == "unfold":
        return lambda x: convjax.unfold(x, (3, 2), **WINDOWS)
    if name == "fold":
        return lambda x: convjax.fold(x, (6, 5), (3, 2), **WINDOWS)
    if name in BY_NAME:
        return BY_NAME[name]
    return lambda x, w, b: convjax.conv(x, w, b, stride=2, padding=2, padding_mode=name.split("_")[0])


def test_enough_is_recorded():
    assert len(NAMES) > 30


@pytest.mark.parametrize("name", NAMES)
def test_torchs_numbers(name):
    entry = {key.split("/")[1]: GOLDEN[key] for key in GOLDEN.files if key.startswith(f"{name}/")}
    operands = [k for k in ("x", "weight", "bias") if k in entry]
    y, vjp = jax.vjp(call(name), *(jax.numpy.asarray(entry[k]) for k in operands))
    tolerance = 1e-12 if jax.config.jax_enable_x64 else 1e-5
    np.testing.assert_allclose(y, entry["y"], rtol=tolerance, atol=10 * tolerance)
    for k, gradient in zip(operands, vjp(entry["ct"].astype(y.dtype)), strict=True):
        np.testing.assert_allclose(gradient, entry[f"grad_{k}"], rtol=tolerance, atol=20 * tolerance)


CALLS = recorded_calls()


def test_every_call_is_recorded():
    assert {*CALLS, "version"} == {*SCIPY.files}
    assert len(CALLS) > 350


@pytest.mark.parametrize("kind", sorted({" ".join(name.split()[:2]) for name in CALLS}))
def test_scipys_numbers(kind):
    tolerance = 1e-12 if jax.config.jax_enable_x64 else 1e-5
    for name in (name for name in CALLS if " ".join(name.split()[:2]) == kind):
        call, want = CALLS[name], SCIPY[name]
        got = np.asarray(call(convjax))
        assert got.shape == want.shape, name
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * max(np.abs(want).max(), 1), err_msg=name)
