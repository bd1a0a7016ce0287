"""The classical kernels against SciPy's filters, NumPy's formulas, and their own definitions."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from scipy import ndimage

import convjax
from convjax import kernels

IMAGE = normal(0, (1, 1, 12, 13))
INSIDE = (slice(2, -2), slice(2, -2))
ALL = [getattr(kernels, name) for name in kernels.__all__]


def response(kernel, **options):
    return np.asarray(convjax.conv2d(IMAGE, kernel, padding="same", **options))[0, :, *INSIDE]


@pytest.mark.parametrize("kernel", ALL, ids=kernels.__all__)
def test_each_is_ready_for_conv2d_and_says_where_it_comes_from(kernel):
    array = kernel()
    assert array.ndim == 4
    assert array.shape[1] == 1
    assert array.dtype == jnp.float32
    assert kernel(dtype=jnp.bfloat16).dtype == jnp.bfloat16
    assert kernel.__doc__.count(">>>") >= 1
    assert {"channels", "dtype"} <= set(inspect.signature(kernel).parameters)
    x = normal(1, (2, 3, 30, 30))
    each = kernel(channels=3)
    assert each.shape == (3 * array.shape[0], *array.shape[1:])
    y = convjax.conv2d(x, each, groups=3)
    np.testing.assert_allclose(y[:, -array.shape[0] :], convjax.conv2d(x[:, 2:], array), rtol=1e-4, atol=1e-4)
    assert "cross-correlation" in kernels.__doc__


def test_pairs_are_scipys_with_the_other_sign():
    for kernel, reference in ((kernels.sobel, ndimage.sobel), (kernels.prewitt, ndimage.prewitt)):
        gx, gy = response(kernel())
        np.testing.assert_allclose(gx, -reference(IMAGE[0, 0], axis=1)[INSIDE], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(gy, -reference(IMAGE[0, 0], axis=0)[INSIDE], rtol=1e-4, atol=1e-5)


def test_laplacian_gaussian_and_box_are_scipys():
    image = IMAGE[0, 0]
    np.testing.assert_allclose(response(kernels.laplacian())[0], ndimage.laplace(image)[INSIDE], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        response(kernels.box())[0], ndimage.uniform_filter(image, 3)[INSIDE], rtol=1e-4, atol=1e-5
    )
    assert kernels.gaussian(0.4).shape == (1, 1, 5, 5)
    np.testing.assert_allclose(
        response(kernels.gaussian(0.4))[0], ndimage.gaussian_filter(image, 0.4)[INSIDE], rtol=1e-4, atol=1e-5
    )


def test_derivative_kernels_on_ramps():
    ramp = jnp.arange(8.0, dtype=jnp.float32)
    across = jnp.tile(ramp, (8, 1))[None, None]
    for kernel, slope in ((kernels.sobel, 8), (kernels.prewitt, 6), (kernels.scharr, 32)):
        y = convjax.conv2d(across, kernel())
        np.testing.assert_allclose(y[0, 0], -slope)
        np.testing.assert_allclose(y[0, 1], 0)
        np.testing.assert_allclose(convjax.conv2d(across.mT, kernel())[0, 1], -slope)
    for kernel in (kernels.laplacian(), kernels.laplacian(8), kernels.kirsch(), kernels.robinson(), kernels.roberts()):
        np.testing.assert_allclose(kernel.sum((1, 2, 3)), 0)
    for kernel in (kernels.log(1.2), kernels.dog(1.2)):
        np.testing.assert_allclose(kernel.sum(), 0, atol=1e-6)
    for kernel in (kernels.gaussian(2.0), kernels.box(5), kernels.identity(5), kernels.sharpen(0.3)):
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-6)


def test_compass_kernels_turn_clockwise():
    north, east = kernels.kirsch()[0, 0], kernels.kirsch()[2, 0]
    np.testing.assert_array_equal(east, np.rot90(north, -1))
    np.testing.assert_array_equal(kernels.robinson()[0], kernels.sobel()[1])
    np.testing.assert_array_equal(kernels.robinson()[6], kernels.sobel()[0])


def test_log_is_the_second_derivative_of_the_gaussian():
    sigma, size = 2.0, 17
    y, x = np.mgrid[-8:9, -8:9].astype(float)
    bell = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    h = 1e-3

    def g(x, y):
        return np.exp(-(x**2 + y**2) / (2 * sigma**2)) / bell.sum()

    want = (g(x + h, y) + g(x - h, y) + g(x, y + h) + g(x, y - h) - 4 * g(x, y)) / h**2
    np.testing.assert_allclose(kernels.log(sigma, size)[0, 0], want - want.mean(), atol=1e-6)


def test_gabor_is_its_formula():
    wavelength, theta, sigma, aspect, phase = 5.0, 0.7, 1.5, 0.8, 0.3
    want = np.zeros((9, 9))
    for i in range(9):
        for j in range(9):
            x, y = j - 4, i - 4
            u, v = x * np.cos(theta) + y * np.sin(theta), -x * np.sin(theta) + y * np.cos(theta)
            wave = np.cos(2 * np.pi * u / wavelength + phase)
            want[i, j] = np.exp(-(u**2 + aspect**2 * v**2) / (2 * sigma**2)) * wave
    got = kernels.gabor(wavelength, theta, sigma, 9, aspect=aspect, phase=phase)
    np.testing.assert_allclose(got[0, 0], want, atol=1e-6)


def test_sigma_can_be_learned():
    x = jnp.asarray(IMAGE)

    def loss(sigma):
        return (convjax.conv2d(x, kernels.gaussian(sigma, 7)) ** 2).sum()

    sigma, step = jnp.float32(1.3), jnp.float32(1e-2)
    slope = (loss(sigma + step) - loss(sigma - step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(sigma), slope, rtol=1e-3)


def test_amount_of_sharpening_can_be_learned():
    sharp = jax.jit(lambda a: kernels.sharpen(a, dtype=jnp.bfloat16))(jnp.float32(0.5))
    np.testing.assert_array_equal(sharp, kernels.sharpen(0.5, dtype=jnp.bfloat16))
    assert sharp.dtype == jnp.bfloat16
