"""convjax.edges against scikit-image, on its own sample images, and against scipy.ndimage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import skimage.color
import skimage.data
import skimage.feature
from jax.test_util import check_grads

from convjax import edges, kernels
from convjax._filters import passes

GREY = ("camera", "coins", "moon", "page", "text", "clock", "brick", "grass", "gravel")
COLOUR = ("astronaut", "chelsea", "coffee", "rocket")
OPTIONS = [
    {},
    {"sigma": 2.0},
    {"sigma": (1.0, 3.0), "mode": "reflect"},
    {"sigma": 1.5, "low_threshold": 0.7, "high_threshold": 0.95, "use_quantiles": True, "mode": "nearest"},
]


def picture(name):
    image = getattr(skimage.data, name)()
    return skimage.color.rgb2gray(image) if image.ndim == 3 else image


@pytest.mark.parametrize("name", GREY + COLOUR)
def test_canny_has_scikit_images_pixels(name):
    image = picture(name)
    for options in OPTIONS:
        got, want = edges.canny(image, **options), skimage.feature.canny(image, **options)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, want)
        assert 0 < want.sum() < want.size / 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float16])
def test_canny_of_dtypes(dtype):
    image = picture("coins")[::2, ::2]
    if np.dtype(dtype).kind == "f":
        image, thresholds = (image / 255).astype(dtype), (0.1, 0.3)
    else:
        largest = np.iinfo(dtype).max
        image, thresholds = (image.astype(np.int64) * (largest // 255)).astype(dtype), (0.1 * largest, 0.3 * largest)
    got, want = edges.canny(image, 1.0, *thresholds), skimage.feature.canny(image, 1.0, *thresholds)
    assert (np.asarray(got) != want).mean() <= (0 if np.dtype(dtype).kind != "f" else 2e-3)
    assert want.any()


def test_canny_of_a_mask():
    image = picture("camera")[100:300, 100:300]
    rows, columns = np.mgrid[:200, :200]
    mask = (rows - 90) ** 2 + (columns - 100) ** 2 < 80**2
    for options in ({}, {"sigma": 2.5, "mode": "mirror"}, {"cval": 0.5}):
        want = skimage.feature.canny(image, mask=mask, **options)
        np.testing.assert_array_equal(edges.canny(image, mask=mask, **options), want)
        assert want.any()
        assert not want[~mask].any()


def test_canny_of_small_and_flat_images():
    for shape in ((1, 1), (2, 7), (3, 3), (5, 1)):
        image = np.random.default_rng(0).random(shape)
        np.testing.assert_array_equal(edges.canny(image), skimage.feature.canny(image))
    assert not edges.canny(np.full((9, 9), 0.3)).any()
    assert not edges.canny(np.zeros((9, 9)), low_threshold=0, high_threshold=0).any()


def test_hysteresis_follows_a_long_way():
    """A spiral of ones, of which one end is strong."""
    mask = np.zeros((41, 41), bool)
    i = j = 20
    mask[i, j] = True
    for turn, length in enumerate(np.repeat(np.arange(2, 40, 2), 2)):
        for _ in range(length):
            i, j = i + (0, 1, 0, -1)[turn % 4], j + (1, 0, -1, 0)[turn % 4]
            if 0 <= i < 41 and 0 <= j < 41:
                mask[i, j] = True
    seeds = np.zeros_like(mask)
    seeds[20, 20] = True
    labels, _ = scipy.ndimage.label(mask, np.ones((3, 3)))
    want = labels == labels[20, 20]
    assert want.sum() > 500
    np.testing.assert_array_equal(jax.jit(edges._follow_hysteresis)(jnp.asarray(seeds), jnp.asarray(mask)), want)


def test_canny_jits_and_vmaps():
    images = np.stack([picture("camera")[:120, :130], picture("moon")[:120, :130]]) / 255
    want = np.stack([skimage.feature.canny(image, 1.5, 0.05, 0.15) for image in images])
    run = jax.jit(lambda image, low, high: edges.canny(image, 1.5, low, high))
    np.testing.assert_array_equal([run(image, 0.05, 0.15) for image in images], want)
    np.testing.assert_array_equal(jax.vmap(run, (0, None, None))(images, 0.05, 0.15), want)


@pytest.mark.parametrize("mode", ["reflect", "constant", "nearest", "mirror", "wrap"])
@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr", "roberts"])
def test_gradient(name, mode):
    pair = getattr(kernels, name)(dtype=jnp.float64)
    images = np.random.default_rng(0).standard_normal((2, 3, 8, 9))
    magnitude, direction = edges.gradient(images, pair, mode, 0.5)
    for index in np.ndindex(2, 3):
        gx, gy = (scipy.ndimage.correlate(images[index], np.asarray(k), mode=mode, cval=0.5) for k in pair[:, 0])
        np.testing.assert_allclose(magnitude[index], np.hypot(gx, gy), atol=1e-12)
        turned = np.exp(1j * (np.asarray(direction[index]) - np.arctan2(-gy, -gx)))  # pi is -pi
        np.testing.assert_allclose(turned[np.hypot(gx, gy) > 1e-6], 1, atol=1e-9)


def test_the_direction_of_a_ramp():
    rows, columns = np.mgrid[:9, :9]
    for angle in np.deg2rad([0, 30, 90, 135, -120]):
        ramp = np.cos(angle) * columns + np.sin(angle) * rows
        for pair, turned in ((kernels.sobel(), 0), (kernels.scharr(), 0), (kernels.roberts(), np.pi / 4)):
            magnitude, direction = edges.gradient(ramp, pair)
            away = (np.asarray(direction)[1:-1, 1:-1] + turned - angle + np.pi) % (2 * np.pi) - np.pi
            np.testing.assert_allclose(away, 0, atol=1e-6)
            assert np.ptp(np.asarray(magnitude)[1:-1, 1:-1]) < 1e-6


def test_derivatives_of_the_gradient():
    rows, columns = np.mgrid[:5, :6]
    image = jnp.asarray(rows + 2 * columns + 0.3 * np.random.default_rng(0).standard_normal((5, 6)))  # nowhere flat
    pair = kernels.sobel(dtype=jnp.float64)
    check_grads(lambda x, w: edges.gradient(x, w, "constant"), (image, pair), 2, atol=1e-4, rtol=1e-4)
    flat = jax.grad(lambda x: sum(y.sum() for y in edges.gradient(x, pair)))(jnp.zeros((5, 6)))
    np.testing.assert_array_equal(flat, 0)


X = np.zeros((6, 7))


@pytest.mark.parametrize(
    ("name", "args", "options", "words"),
    [
        ("canny", (np.zeros((6, 7, 3)),), {}, ("image", "(6, 7, 3)", "2 axes")),
        ("canny", (X * 1j,), {}, ("image", "complex")),
        ("canny", (X.astype(np.int64),), {}, ("image", "int64")),
        ("canny", (X, -1.0), {}, ("sigma", "-1.0")),
        ("gradient", (X, 1j * np.asarray(kernels.sobel())), {}, ("kernels", "complex")),
        ("canny", (X, 1.0, 0.5, 0.2), {}, ("low_threshold", "0.5", "0.2")),
        ("canny", (X, 1.0, 0.5, 1.2), {"use_quantiles": True}, ("high_threshold", "1.2")),
        ("canny", (X, 1.0, "low"), {}, ("low_threshold", "'low'")),
        ("canny", (X,), {"mask": np.ones((7, 6), bool)}, ("mask", "(7, 6)", "(6, 7)")),
        ("canny", (X,), {"mode": "edge"}, ("mode", "'edge'", "nearest")),
        ("canny", (X,), {"use_quantiles": 1}, ("use_quantiles",)),
        ("gradient", (X.astype(complex), kernels.sobel()), {}, ("image", "complex128", "image.real")),
        ("gradient", (X[0], kernels.sobel()), {}, ("image", "(7,)")),
        ("gradient", (X, kernels.kirsch()), {}, ("kernels", "(8, 1, 3, 3)")),
        ("gradient", (X, kernels.sobel()), {"mode": "same"}, ("mode", "'same'")),
    ],
)
def test_refusals(name, args, options, words):
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(edges, name)(*args, **options)
    for word in (f"convjax.edges.{name}", "got:", "expected:", "try:", *words):
        assert word in str(caught.value), word


@pytest.mark.parametrize("shape", [(16, 20, 3), (40, 16, 4), (2, 30, 30, 3)])
def test_a_picture_whose_colours_stand_last_is_refused(shape):
    with pytest.raises(ValueError, match=r"(?s)`image` looks like a picture whose colours.*moveaxis\(image, -1, 0\)"):
        edges.gradient(np.zeros(shape), kernels.sobel())
    for fine in ((3, 16, 20), (16, 15, 3), (16, 20, 5)):
        assert edges.gradient(np.zeros(fine), kernels.sobel()).magnitude.shape == fine


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, bool])
def test_the_gradient_of_integers(dtype):
    image = (np.random.default_rng(0).random((12, 13)) * 255 > 100) if dtype is bool else None
    image = np.random.default_rng(0).integers(0, 200, (12, 13)).astype(dtype) if image is None else image
    magnitude, direction = edges.gradient(image, kernels.sobel())
    gx, gy = (scipy.ndimage.sobel(image.astype(float), axis) for axis in (1, 0))
    assert magnitude.dtype == direction.dtype == float
    np.testing.assert_allclose(magnitude, np.hypot(gx, gy), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("dtype", "sizes"), [(np.float64, (1e200, 1e-200, 1e300)), (np.float32, (1e30, 1e-30))])
def test_a_magnitude_whose_square_overflows(dtype, sizes):
    image = np.random.default_rng(0).random((8, 9)).astype(dtype)
    plain = edges.gradient(image, kernels.sobel()).magnitude
    for size in map(dtype, sizes):
        scaled = edges.gradient(image * size, kernels.sobel()).magnitude
        np.testing.assert_allclose(scaled / size, plain, rtol=30 * np.finfo(dtype).eps)

        def total(t, size=size):
            return edges.gradient(image * size * t, kernels.sobel()).magnitude.sum() / size

        np.testing.assert_allclose(jax.grad(total)(dtype(1)), plain.sum(), rtol=1e-4)
    second = jax.hessian(lambda y: passes.magnitude([y[0], y[1]]))
    for size in map(dtype, (1, *sizes)):
        want = np.array([[16.0, -12.0], [-12.0, 9.0]]) / 125 / size
        np.testing.assert_allclose(second(jnp.array([3, 4], dtype) * size), want, rtol=1e-5)
    np.testing.assert_array_equal(second(jnp.zeros(2, dtype)), 0)


def test_a_magnitude_of_usual_numbers_is_the_plain_root():
    for dtype in (np.float32, np.float64):
        y = [(1 + abs(np.random.default_rng(i).standard_normal(1000))).astype(dtype) for i in range(2)]
        np.testing.assert_array_equal(passes.magnitude(list(map(jnp.asarray, y))), np.sqrt(y[0] ** 2 + y[1] ** 2))
    z = [jnp.array([3 + 4j]), jnp.array([1 - 2j])]
    np.testing.assert_allclose(passes.magnitude(z), np.sqrt(np.asarray(z[0]) ** 2 + np.asarray(z[1]) ** 2))
