"""Every public function under jax.transfer_guard("disallow"): numbers of its own are no hidden transfers."""

import jax
import numpy as np
import pytest
from calls import BYTES, CALLS, EVERY, IMAGE, KERNEL, LINE, SQUARE, WINDOWS, X, called

import convjax


def test_own_constants_are_not_implicit_transfers():
    assert {call.func for call in CALLS} == {called(name).func for name in EVERY}
    with jax.transfer_guard("disallow"):
        for call in CALLS:
            jax.block_until_ready(call())


def test_functions_of_functions():
    f = lambda x, w: jax.lax.conv(x, w, (1, 1), "SAME") * 2.0  # noqa: E731
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(convjax.accelerate(f)(X[2], KERNEL[2]))
        assert len(convjax.explain(f)(X[2], KERNEL[2]).rows) == 1
        assert convjax.compare(f, rounds=1)(X[2], KERNEL[2]).difference < 1e-5


def test_integer_images_without_64_bit_types():
    with jax.enable_x64(False), jax.transfer_guard("disallow"):
        for name, args in WINDOWS.items():
            jax.block_until_ready(called(f"ndimage.{name}", BYTES, *args)())


@pytest.mark.parametrize(
    "call",
    [
        called("conv2d", np.ones((1, 2, 6, 6), np.float32), KERNEL[2]),
        called("conv2d", X[2], np.ones((2, 2, 3, 3), np.float32)),
        called("unfold", np.ones((1, 2, 6, 6), np.float32), 3),
        called("ndimage.correlate1d", IMAGE, [1.0, 2.0]),
        called("ndimage.median_filter", np.ones((4, 4)), 3),
        called("signal.fftconvolve", LINE, np.ones(3)),
        called("edges.gradient", [[0.0, 1.0]] * 3, SQUARE[:2, None] * SQUARE[:2, :, None]),
    ],
)
def test_implicit_transfers_of_the_caller_raise(call):
    with jax.transfer_guard("disallow"), pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device"):
        call()
