"""Integer images under filters that sum: SciPy's pixels, or as near as pairs of float32 come to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import skimage.data

from convjax import ndimage
from convjax._filters import integers

RANDOM = np.random.default_rng(0)
CALLS = {
    "correlate mean": ("correlate", (np.ones((3, 3)) / 9,), {}),
    "correlate": ("correlate", (RANDOM.normal(size=(4, 5)),), {"mode": "mirror"}),
    "correlate many": ("correlate", (RANDOM.normal(size=(9, 9)),), {"mode": "nearest"}),
    "correlate with fill": ("correlate", (np.full((3, 3), 0.1),), {"mode": "constant", "cval": 0.3}),
    "correlate without the smallest": ("correlate", (np.array([[1e-17, 0.3, 1e17 * 2e-17]]),), {}),
    "convolve": ("convolve", (RANDOM.normal(size=(3, 2)),), {"origin": -1}),
    "symmetric": ("correlate1d", ([0.1, 0.3, 0.2, 0.3, 0.1],), {}),
    "antisymmetric": ("correlate1d", ([0.1, 0.3, 0.2, -0.3, -0.1],), {"axis": 0}),
    "neither": ("correlate1d", (RANDOM.normal(size=7),), {}),
    "even": ("convolve1d", (RANDOM.normal(size=8),), {"axis": 0}),
    "gaussian": ("gaussian_filter", (3,), {}),
    "gaussian constant": ("gaussian_filter", (1.0,), {"mode": "constant"}),
    "gaussian slope": ("gaussian_filter", (2.0, 1), {}),
    "gaussian curvature": ("gaussian_filter", (2.0, (2, 3)), {}),
    "gaussian wide": ("gaussian_filter1d", (20.0,), {"axis": 0}),
    "gaussian laplace": ("gaussian_laplace", (2.0,), {}),
    "gaussian magnitude": ("gaussian_gradient_magnitude", (2.0,), {}),
    "mean": ("uniform_filter", (3,), {}),
    "mean constant": ("uniform_filter", (5,), {"mode": "constant"}),
    "mean long": ("uniform_filter", (31,), {}),
    "sobel": ("sobel", (), {}),
    "laplace": ("laplace", (), {}),
}


def camera(dtype=np.uint8):
    """The photograph in the range of a dtype, of 32 bits at most, but far from its ends for sums of some products."""
    limits = np.iinfo(dtype if np.dtype(dtype).itemsize < 8 else np.int32)
    picture = skimage.data.camera()[::3, ::2].astype(np.int64)
    return (
        (picture * (limits.max // 2000 + 1) + limits.min // 20).astype(dtype)
        if limits.bits > 8
        else picture.astype(dtype)
    )


def both(call, x):
    name, args, options = CALLS[call]
    return np.asarray(getattr(ndimage, name)(x, *args, **options)), getattr(scipy.ndimage, name)(x, *args, **options)


@pytest.mark.parametrize("call", CALLS)
def test_every_pixel_is_scipys(call):
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.int64):
        if call in ("gaussian magnitude", "correlate many") and dtype not in (np.uint8, np.uint16):
            continue  # squares, and sums, that the dtype does not hold, which C leaves open
        np.testing.assert_array_equal(*both(call, camera(dtype)), err_msg=str(dtype))


@pytest.mark.parametrize("call", CALLS)
def test_without_64_bits(call):
    """Only where the sum is a whole number but for SciPy's own rounding, or where an earlier pass came to another one,
    may a pixel differ, and by one."""
    tied = {"correlate mean", "correlate with fill", "symmetric", "antisymmetric"}
    with jax.enable_x64(False):
        for dtype in (np.uint8, np.uint16):
            got, want = both(call, camera(dtype))
            apart = np.abs(got.astype(int) - want.astype(int))
            assert np.minimum(apart, np.iinfo(dtype).max + 1 - apart).max() <= 1 + 3 * (call == "gaussian magnitude")
            if call not in tied:
                assert (apart != 0).mean() <= 1e-3
            elif call == "correlate mean":
                sums = scipy.ndimage.correlate(camera(dtype).astype(int), np.ones((3, 3)))
                assert (sums % 9 == 0)[apart != 0].all()


def test_a_mean_without_64_bits_is_exact():
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        x = RANDOM.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (30, 40), endpoint=True).astype(dtype)
        with jax.enable_x64(False):
            for size in (3, 9, (7, 1), 101):
                got = np.asarray(ndimage.uniform_filter(x, size))
                np.testing.assert_array_equal(got, scipy.ndimage.uniform_filter(x, size))


def test_weights_that_are_known_only_when_the_program_runs():
    """Arrays of JAX, traced or not: their symmetry is found out in the program."""
    x = camera()
    f = jax.jit(lambda w: ndimage.correlate1d(x, w, 0))
    for w in ([0.1, 0.3, 0.2, 0.3, 0.1], [0.1, 0.3, 0.2, -0.3, -0.1], [0.1, 0.3, 0.2, 0.3, 0.7], [0.1, 0.3, 0.3, 0.1]):
        want = scipy.ndimage.correlate1d(x, w, 0)
        np.testing.assert_array_equal(f(jnp.array(w)), want)
        np.testing.assert_array_equal(ndimage.correlate1d(x, jnp.array(w), 0), want)


def test_batches_and_jit():
    many = np.stack([camera(), camera()[::-1], camera()[:, ::-1]])
    got = jax.jit(jax.vmap(lambda x: ndimage.gaussian_filter(x, 1.5)))(many)
    np.testing.assert_array_equal(got, [scipy.ndimage.gaussian_filter(x, 1.5) for x in many])


@pytest.mark.parametrize("values", [(-7.5, 7.5), (-1e9, 1e9)])
def test_pairs_of_float32(values):
    """Sums and products to 45 bits, against float64."""
    a, b = (RANDOM.uniform(*values, 10000) for _ in range(2))
    with jax.enable_x64(False):
        pair_a, pair_b = integers.split_weights(a), integers.split_weights(b)
        for operation, want in ((integers._add, a + b), (integers._multiply, a * b)):
            high, low = jax.jit(operation)(pair_a, pair_b)
            got = np.asarray(high, float) + np.asarray(low, float)
            size = np.abs(a) + np.abs(b) if operation is integers._add else np.abs(want)
            assert (np.abs(got - want) <= 2.0**-44 * size).all()
