"""convjax.ndimage against scipy.ndimage: values in every mode, dtypes, axes, origins, derivatives, NaNs, refusals."""

import doctest
import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from filters import CALLS, CROSS, RANKS, filled
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from convjax import ndimage

MODES = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-mirror", "grid-constant", "grid-wrap")
SIGNATURES = {
    "correlate": "input, weights, mode='reflect', cval=0.0, origin=0, *, axes=None",
    "convolve": "input, weights, mode='reflect', cval=0.0, origin=0, *, axes=None",
    "correlate1d": "input, weights, axis=-1, mode='reflect', cval=0.0, origin=0",
    "convolve1d": "input, weights, axis=-1, mode='reflect', cval=0.0, origin=0",
    "gaussian_filter": "input, sigma, order=0, mode='reflect', cval=0.0, truncate=4.0, *, radius=None, axes=None",
    "gaussian_filter1d": "input, sigma, axis=-1, order=0, mode='reflect', cval=0.0, truncate=4.0, *, radius=None",
    "gaussian_laplace": "input, sigma, mode='reflect', cval=0.0, *, truncate=4.0, radius=None, axes=None",
    "gaussian_gradient_magnitude": "input, sigma, mode='reflect', cval=0.0, *, truncate=4.0, radius=None, axes=None",
    "sobel": "input, axis=-1, mode='reflect', cval=0.0",
    "prewitt": "input, axis=-1, mode='reflect', cval=0.0",
    "laplace": "input, mode='reflect', cval=0.0, *, axes=None",
    "generic_laplace": (
        "input, derivative2, mode='reflect', cval=0.0, extra_arguments=(), extra_keywords=None, *, axes=None"
    ),
    "generic_gradient_magnitude": (
        "input, derivative, mode='reflect', cval=0.0, extra_arguments=(), extra_keywords=None, *, axes=None"
    ),
    "uniform_filter": "input, size=3, mode='reflect', cval=0.0, origin=0, *, axes=None",
    "uniform_filter1d": "input, size, axis=-1, mode='reflect', cval=0.0, origin=0",
    "minimum_filter": "input, size=None, footprint=None, mode='reflect', cval=0.0, origin=0, *, axes=None",
    "maximum_filter": "input, size=None, footprint=None, mode='reflect', cval=0.0, origin=0, *, axes=None",
    "median_filter": "input, size=None, footprint=None, mode='reflect', cval=0.0, origin=0, *, axes=None",
    "rank_filter": "input, rank, size=None, footprint=None, mode='reflect', cval=0.0, origin=0, *, axes=None",
    "percentile_filter": (
        "input, percentile, size=None, footprint=None, mode='reflect', cval=0.0, origin=0, *, axes=None"
    ),
    "minimum_filter1d": "input, size, axis=-1, mode='reflect', cval=0.0, origin=0",
    "maximum_filter1d": "input, size, axis=-1, mode='reflect', cval=0.0, origin=0",
}


def both(name, x, *args, **options):
    """What convjax gives and what SciPy does."""
    return getattr(ndimage, name)(x, *args, **options), getattr(scipy.ndimage, name)(np.asarray(x), *args, **options)


def same(got, want, relative=1e-12):
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    scale = max(np.abs(want).max(), 1) if want.size else 1
    np.testing.assert_allclose(np.asarray(got, want.dtype), want, rtol=0, atol=relative * scale)


IMAGES = [(7, 9), (4, 3), (1, 5), (2, 1)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("call", CALLS | RANKS)
def test_modes(call, mode):
    """On images that are larger and smaller than the window."""
    name, args, options = (CALLS | RANKS)[call]
    for shape in IMAGES:
        same(*both(name, filled(0, shape), *args, mode=mode, **options))


@pytest.mark.parametrize(
    "dtype", [np.float32, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.complex64, complex]
)
@pytest.mark.parametrize("call", CALLS)
def test_dtypes(call, dtype):
    name, args, options = CALLS[call]
    got, want = both(name, filled(0, (8, 9), dtype), *args, **options)
    if np.dtype(dtype).kind in "iu":
        same(got, want, 0)
    else:
        same(got, want, 2e-6 if np.dtype(dtype).itemsize // (1 + (np.dtype(dtype).kind == "c")) == 4 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64, bool])
@pytest.mark.parametrize("call", RANKS)
def test_dtypes_of_ranks(call, dtype):
    name, args, options = RANKS[call]
    same(*both(name, filled(0, (8, 9), dtype), *args, **options | {"cval": 1}), 0)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_16_bits_are_summed_in_32(dtype):
    x = filled(0, (20, 30)).astype(dtype)
    wide = np.asarray(x, np.float32)
    y = ndimage.gaussian_filter(x, 2.0)
    assert y.dtype == dtype
    info = jnp.finfo(dtype)  # below its tiny numbers are equally far apart, not relatively
    want = scipy.ndimage.gaussian_filter(wide, 2.0)
    np.testing.assert_allclose(
        np.asarray(y, np.float32), want, rtol=float(info.eps) / 1.9, atol=float(info.smallest_subnormal)
    )
    got, want = ndimage.median_filter(x, 3), scipy.ndimage.median_filter(wide, 3).astype(dtype)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(6,), (3, 4, 5), (2, 3, 4, 3)])
def test_other_numbers_of_axes(shape):
    x, dims = filled(0, shape), len(shape)
    for name, args, options in [
        ("correlate", (filled(1, (3, 2, 4, 1)[:dims]),), {"origin": (1, 0, -1, 0)[:dims]}),
        ("convolve", (filled(1, (2, 9, 1, 2)[:dims]),), {"mode": "mirror"}),
        ("gaussian_filter", (1.0,), {"mode": "wrap"}),
        ("gaussian_filter1d", (1.0, 0), {}),
        ("gaussian_gradient_magnitude", (1.0,), {}),
        ("sobel", (0,), {}),
        ("laplace", (), {"mode": "nearest"}),
        ("uniform_filter", (3,), {}),
        ("maximum_filter", (2,), {}),
        ("median_filter", (3,), {}),
        ("median_filter", (2,), {"axes": (0,), "origin": -1}),
        ("correlate", (filled(1, (3, 2)),), {"axes": (-1, 0), "origin": (0, -1)}),
        ("median_filter", ((2, 3),), {"axes": (-1, 0), "origin": (0, -1)}),
        ("maximum_filter", ((2, 3),), {"axes": (-1, 0), "origin": (-1, 0)}),
        ("rank_filter", (0, (2, 3)), {"axes": (-1, 0), "origin": (-1, 0)}),
        ("percentile_filter", (100, (2, 3)), {"axes": (-1, 0), "mode": ("wrap", "mirror")}),
        ("median_filter", ((1, 2),), {"axes": (-1, 0)}),
        ("gaussian_gradient_magnitude", (1.0,), {"axes": (-1, 0)}),
        ("gaussian_gradient_magnitude", ([0.5, 1.0, 1.5, 0.0][:dims],), {"axes": (0,), "mode": ["wrap"]}),
        ("gaussian_laplace", ((0.7, 1.4),), {"axes": (-1, 0), "radius": 3}),
    ]:
        if len(shape) > 1 or len(options.get("axes", ())) < 2:
            same(*both(name, x, *args, **options))


def test_modes_and_fills_by_axis():
    x, modes = filled(0, (6, 7)), ("wrap", "constant")
    for name, args in (
        ("gaussian_filter", (1.0,)), ("sobel", ()), ("prewitt", (0,)), ("laplace", ()), ("uniform_filter", (4,)),
        ("maximum_filter", (3,)), ("gaussian_laplace", (1.0,)),
    ):  # fmt: skip
        same(*both(name, x, *args, mode=modes, cval=2.0))
    same(*both("rank_filter", x, 0, 3, mode=modes))
    same(*both("gaussian_filter", x, 1.0, mode=["mirror"], axes=[0]))


@pytest.mark.parametrize("name", ["correlate", "convolve"])
def test_complex_weights(name):
    for x in (filled(0, (6, 7)), filled(0, (6, 7), complex), filled(0, (6, 7), np.float32)):
        tolerance = 1e-6 if x.dtype == np.float32 else 1e-12
        got, want = both(name, x, filled(1, (3, 2), complex), mode="constant", cval=1.5)
        assert np.abs(np.asarray(got) - want).max() < tolerance * 10
        same(*both(f"{name}1d", x, filled(1, (3,), complex), mode="constant", cval=1.5), tolerance)
    same(*both(name, filled(0, (6, 7), complex), filled(1, (3, 2)), mode="constant", cval=1.5 - 1j))


def test_generic():
    def first(x, axis, mode, cval, weights, shift=0):
        return ndimage.correlate1d(x, weights, axis, mode, cval, shift)

    def theirs(x, axis, output, mode, cval, weights, shift=0):
        return scipy.ndimage.correlate1d(x, weights, axis, output, mode, cval, shift)

    more = {"extra_arguments": ([-1, 2, 0, 1],), "extra_keywords": {"shift": 1}}
    for x in (filled(0, (6, 7)), filled(0, (6, 7), np.int32)):
        for name in ("generic_laplace", "generic_gradient_magnitude"):
            for options in ({}, {"mode": "wrap"}, {"axes": (1,)}, {"mode": ("mirror", "constant"), "cval": 3.0}):
                got = getattr(ndimage, name)(x, first, **options, **more)
                same(got, getattr(scipy.ndimage, name)(x, theirs, **options, **more))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_any_window(data):
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple))
    window = data.draw(st.lists(st.integers(1, 5), min_size=len(shape), max_size=len(shape)).map(tuple))
    origin = [data.draw(st.integers(-(k // 2), (k - 1) // 2)) for k in window]
    options = {
        "mode": data.draw(st.sampled_from(MODES)),
        "cval": data.draw(st.sampled_from((0.0, 1.5))),
        "origin": origin,
    }
    x, footprint = filled(0, shape), filled(1, window, bool)
    footprint[(0,) * len(window)] = True
    same(*both("correlate", x, filled(2, window), **options))
    same(*both("convolve", x, filled(2, window), **options))
    same(*both("uniform_filter", x, window, **options))
    same(*both("minimum_filter", x, window, **options))
    count = int(footprint.sum())
    rank = data.draw(st.integers(-count, count - 1))
    same(*both("rank_filter", x, rank, footprint=footprint, **options), 0)


# ---- derivatives ----

SMOOTH = [c for c, (name, *_) in CALLS.items() if c not in ("correlate1d long", "correlate 15x2", "gaussian wide")]


@pytest.mark.parametrize("call", SMOOTH)
def test_derivatives(call):
    name, args, options = CALLS[call]
    function = getattr(ndimage, name)
    mode = MODES[list(CALLS).index(call) % 5]
    f = lambda x: function(x, *args, mode=mode, **options)  # noqa: E731
    x = jnp.asarray(filled(0, (4, 5)))
    check_grads(f, (x,), 2, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(f)(x), f(x), rtol=1e-12, atol=1e-12)
    many = jnp.asarray(filled(1, (3, 4, 5)))
    np.testing.assert_allclose(jax.vmap(f)(many), [f(x) for x in many], rtol=1e-10, atol=1e-12)


def test_derivatives_of_weights_fill_and_sigma():
    x, w = jnp.asarray(filled(0, (5, 6))), jnp.asarray(filled(1, (3, 2)))
    weighted = jax.jit(lambda x, w, cval: ndimage.correlate(x, w, "constant", cval))
    check_grads(weighted, (x, w, 0.7), 2, atol=1e-5, rtol=1e-5)
    check_grads(jax.jit(lambda w: ndimage.convolve1d(x, w, 0, "mirror")), (w[:, 0],), 2, atol=1e-5, rtol=1e-5)
    for derivative in (0, 1, 2, 3):
        blurred = jax.jit(lambda sigma, order=derivative: ndimage.gaussian_filter(x, sigma, order, radius=4))
        check_grads(blurred, (1.3,), 2, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(
            blurred(1.3), scipy.ndimage.gaussian_filter(x, 1.3, derivative, radius=4), atol=1e-12
        )
    each = jax.jit(lambda sigma: ndimage.gaussian_laplace(x, (sigma[0], sigma[1]), radius=(3, 5)))
    check_grads(each, (jnp.array([0.8, 1.7]),), 2, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(
        jax.vmap(lambda s: ndimage.gaussian_filter1d(x, s, radius=3))(jnp.array([0.5, 2.0])),
        [scipy.ndimage.gaussian_filter1d(x, s, radius=3) for s in (0.5, 2.0)],
        atol=1e-12,
    )


def test_a_flat_image_has_a_gradient():
    for f in (
        lambda x: ndimage.gaussian_gradient_magnitude(x, 1.0),
        lambda x: ndimage.generic_gradient_magnitude(x, ndimage.sobel),
    ):
        for dtype in (float, complex):
            gradient = jax.grad(lambda x, f=f: f(x).real.sum())(jnp.zeros((5, 6), dtype))
            np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("mode", ["reflect", "nearest", "mirror", "wrap"])
def test_no_gather_behind_a_border(mode):
    for f in (
        lambda x: ndimage.gaussian_filter(x, 2.0, mode=mode),
        lambda x: ndimage.correlate(x, jnp.ones((3, 30)), mode=mode),
        lambda x: ndimage.median_filter(x, 3, mode=mode),
        lambda x: ndimage.minimum_filter(x, 5, mode=mode),
    ):
        text = jax.jit(jax.grad(lambda x, f=f: f(x).sum())).lower(jnp.ones((9, 8))).as_text()
        assert "scatter" not in text
        assert '"stablehlo.gather"' not in text


# ---- long means ----


@pytest.mark.parametrize("size", [16, 17, 31, 101, 257, 1001])
def test_long_means(size):
    """Of every number of passes, longer than the line too; and the derivative is the same filter mirrored."""
    x = filled(0, (3, 300))
    for mode in ("reflect", "constant", "wrap"):
        same(*both("uniform_filter1d", x, size, mode=mode, cval=0.5))
        same(*both("uniform_filter1d", x.T, size, 0, mode=mode, origin=size // 3))
    same(*both("uniform_filter1d", x.astype(np.float32), size), 1e-6)
    check_grads(lambda x: ndimage.uniform_filter1d(x, size) ** 2, (jnp.asarray(x[:1, :40]),), 2, atol=1e-5, rtol=1e-5)
    for value in (np.nan, np.inf):
        spoiled = x.copy()
        spoiled[0, 150] = value
        seen = np.asarray(ndimage.uniform_filter1d(np.abs(spoiled), size, mode="constant"))
        np.testing.assert_array_equal(
            np.isfinite(seen[0]), np.abs(np.arange(300) - 150 - (size % 2 == 0) / 2) > size / 2
        )
        assert np.isfinite(seen[1:]).all()


def test_a_mean_of_no_elements_leaves_an_axis():
    x = filled(0, (6, 7))
    for size in (0, (0, 3), (4, 0)):
        same(*both("uniform_filter", x, size))
    with pytest.raises(ValueError, match="`size` is below 1"):
        ndimage.uniform_filter1d(x, 0)


@pytest.mark.parametrize("name", ["median_filter", "rank_filter", "percentile_filter"])
def test_sizes_of_unsorted_axes(name):
    x, rank = filled(0, (9, 10)), {"median_filter": ()}.get(name, (4,))
    same(*both(name, x, *rank, (3, 5), axes=(1, 0)))
    same(getattr(ndimage, name)(x, *rank, (3, 5), axes=(1, 0)), np.asarray(getattr(ndimage, name)(x, *rank, (3, 5))))


# ---- NaN ----


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        (lambda x: ndimage.correlate(x, np.ones((3, 5))), (1, 2)),
        (lambda x: ndimage.correlate(x, np.ones((41, 41))), (20, 20)),
        (lambda x: ndimage.uniform_filter(x, (3, 7)), (1, 3)),
        (lambda x: ndimage.gaussian_filter(x, 1.0), (4, 4)),
        (lambda x: ndimage.gaussian_filter(x, 12.0), (48, 48)),
        (lambda x: ndimage.maximum_filter(x, 3), (1, 1)),
    ],
)
def test_a_nan_stays_local(call, seen):
    x = filled(0, (120, 130))
    x[60, 66] = np.nan
    rows, columns = np.mgrid[:120, :130]
    want = (abs(rows - 60) <= seen[0]) & (abs(columns - 66) <= seen[1])
    np.testing.assert_array_equal(np.isnan(call(x)), want)


def test_a_nan_is_the_largest():
    x = jnp.array([3.0, np.nan, 1.0, -np.nan, 2.0, np.inf, 0.0])
    windows = np.stack([np.sort(np.asarray(x)[i : i + 3]) for i in range(5)])
    for rank in range(3):
        np.testing.assert_array_equal(ndimage.rank_filter(x, rank, 3)[1:-1], windows[:, rank])
    np.testing.assert_array_equal(ndimage.minimum_filter(x, 3)[1:-1], windows[:, 0])


# ---- arguments ----

X = filled(0, (6, 7))
REFUSED = [
    ("correlate", (X, np.ones(3)), {}, ("weights", "(3,)", "2 axes")),
    ("correlate", (X, np.ones((0, 3))), {}, ("weights", "(0, 3)")),
    ("correlate", (X, np.ones((3, 3))), {"mode": "edge"}, ("mode", "'edge'", "nearest")),
    ("correlate", (X, np.ones((3, 3))), {"mode": ("wrap", "wrap")}, ("mode", "one mode")),
    ("correlate", (X, np.ones((3, 3))), {"origin": 2}, ("origin", "origin=2", "-1 to 1")),
    ("convolve", (X, np.ones((3, 3))), {"origin": (0, 0, 0)}, ("origin", "(0, 0, 0)", "2")),
    ("convolve", (X, np.ones((3, 3))), {"axes": (0, 2)}, ("axes", "(0, 2)")),
    ("convolve", (X, np.ones((3, 3))), {"axes": (0, 0)}, ("axes", "(0, 0)")),
    ("convolve", (X, np.ones((3, 3), complex)), {"cval": 1j}, ("cval",)),
    ("correlate1d", (X, np.ones((3, 3))), {}, ("weights", "(3, 3)")),
    ("correlate1d", (X, np.ones(0)), {}, ("weights", "(0,)")),
    ("correlate1d", (X, np.ones(3)), {"axis": 2}, ("axis", "2")),
    ("convolve1d", (X, np.ones(4)), {"origin": -3}, ("origin",)),
    ("gaussian_filter", (X, (1.0, 2.0, 3.0)), {}, ("sigma", "2")),
    ("gaussian_filter", (X, 1.0), {"order": -1}, ("order", "-1")),
    ("gaussian_filter", (X, 1.0), {"radius": -1}, ("radius", "-1")),
    ("gaussian_filter", (X, 1.0), {"radius": 1.5}, ("radius", "1.5")),
    ("gaussian_filter", (X, 1.0), {"mode": ("wrap",) * 3}, ("mode",)),
    ("sobel", (X, 5), {}, ("axis", "5")),
    ("laplace", (X,), {"mode": "same"}, ("mode", "'same'")),
    ("uniform_filter1d", (X, 0), {}, ("size", "0")),
    ("uniform_filter", (X, (3, 3, 3)), {}, ("size", "(3, 3, 3)")),
    ("uniform_filter1d", (X, 3), {"origin": 2}, ("origin",)),
    ("minimum_filter", (X,), {}, ("size", "footprint")),
    ("minimum_filter", (X,), {"footprint": np.zeros((3, 3))}, ("footprint", "False")),
    ("minimum_filter", (X,), {"footprint": CROSS, "mode": ("wrap", "wrap")}, ("mode",)),
    ("maximum_filter", (X * 1j, 3), {}, ("input", "complex")),
    ("median_filter", (X,), {"footprint": [True, True]}, ("footprint", "(2,)")),
    ("rank_filter", (X, 9, 3), {}, ("rank", "9", "-9 to 8")),
    ("rank_filter", (X, -10, 3), {}, ("rank", "-10")),
    ("percentile_filter", (X, 101, 3), {}, ("percentile", "101")),
    ("percentile_filter", (X, -101, 3), {}, ("percentile", "-101")),
    ("generic_laplace", (X, None), {}, ("derivative2", "None")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options", "words"), REFUSED)
def test_what_scipy_refuses_is_refused(name, args, options, words):
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        getattr(scipy.ndimage, name)(*args, **options)
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(ndimage, name)(*args, **options)
    for word in (f"convjax.ndimage.{name}", "got:", "expected:", "try:", *words):
        assert word in str(caught.value), word


def test_what_convjax_alone_refuses():
    with pytest.raises(TypeError, match="astype"):
        ndimage.gaussian_filter(X > 0, 1.0)
    with pytest.raises(ValueError, match="`sigma` is below 0"):  # SciPy takes it for 1
        ndimage.gaussian_filter(X, -1.0, radius=3)
    with pytest.raises(ValueError, match="`size` is below 0"):  # SciPy leaves the image as it is
        ndimage.uniform_filter(X, -1)
    with pytest.raises(TypeError, match="`radius` is needed"):
        jax.jit(lambda s: ndimage.gaussian_filter(X, s))(1.0)
    with pytest.raises(ValueError, match="`derivative2` did not return an array"):
        ndimage.generic_laplace(X, lambda x, axis, mode, cval: x[:2])
    with pytest.raises(TypeError, match="`truncate` is not a number that is known"):
        jax.jit(lambda t: ndimage.gaussian_filter(X, 1.0, truncate=t))(3.0)
    with pytest.raises(ValueError, match="`footprint` is not an array of booleans"):
        ndimage.minimum_filter(X, footprint=[[1], [1, 2]])
    with pytest.raises(ValueError, match="`cval` is not a number that the border can hold"):
        ndimage.sobel(X, cval=None)
    with pytest.raises(TypeError, match="`footprint` is traced"):
        jax.jit(lambda f: ndimage.median_filter(X, footprint=f))(np.ones((3, 3)))


def test_size_with_a_footprint_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="ignoring size"):
        got = ndimage.minimum_filter(X, 5, CROSS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(got, scipy.ndimage.minimum_filter(X, 5, CROSS))


def test_integers_that_barely_fit():
    big = np.array([2**63 + 2**40, 5, 2**62], np.uint64)
    same(*both("correlate1d", big, [1.0]), 0)
    same(*both("correlate1d", np.arange(5, dtype=np.uint64), [1.0, -2.0, 0.0]), 0)
    for x in (filled(0, (6, 7), np.uint8), filled(0, (6, 7), np.int16)):
        got, want = both("correlate", x, filled(1, (3, 2), complex))
        assert got.dtype == want.dtype == np.complex64
        np.testing.assert_allclose(got, want, rtol=1e-5)
    for cval in (-1, -1.0, 300, 300.0):
        got = ndimage.median_filter(filled(0, (6, 7), np.uint8), 3, mode="constant", cval=cval)
        np.testing.assert_array_equal(
            got, ndimage.median_filter(filled(0, (6, 7), np.uint8), 3, mode="constant", cval=int(cval) % 256)
        )


def test_sums_of_many_in_16_bits():
    flat = jnp.ones(700, jnp.bfloat16)
    slope = jax.grad(lambda x: ndimage.maximum_filter1d(x, 601, mode="wrap").sum(dtype=jnp.float32))(flat)
    np.testing.assert_allclose(np.asarray(slope, float), 1, rtol=0.02)
    steps = (np.arange(5) * 200.0).astype(np.float16)
    got = ndimage.generic_gradient_magnitude(steps, ndimage.sobel)
    np.testing.assert_array_equal(
        got, scipy.ndimage.generic_gradient_magnitude(steps.astype(float), scipy.ndimage.sobel)
    )


def test_a_traced_sigma_of_0_leaves_an_axis():
    x = filled(0, (5, 6))
    run = jax.jit(lambda s: ndimage.gaussian_filter(x, (s[0], s[1]), order=(1, 0), radius=3))
    for s in ((0.0, 0.0), (0.0, 1.5), (0.7, 0.0)):
        np.testing.assert_allclose(
            run(jnp.array(s)), scipy.ndimage.gaussian_filter(x, s, order=(1, 0), radius=3), atol=1e-12
        )
    assert np.isfinite(jax.grad(lambda s: ndimage.gaussian_filter(x, s, radius=3)[2, 2])(0.0))


@pytest.mark.parametrize("sigma", [np.float32(0), np.int64(2), np.array([0, 1]), range(1, 3), [1.5, 0]])
def test_kinds_of_numbers(sigma):
    x = filled(0, (6, 7))
    same(*both("gaussian_filter", x, sigma))
    same(*both("gaussian_filter", x, 1.0, truncate=0))
    same(*both("uniform_filter", x, np.array([2, 3]), axes=np.array([1, 0]), origin=np.int64(0)))
    same(*both("percentile_filter", x, np.array(30.0), 3))


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_empty_images(shape):
    x = np.zeros(shape)
    for name, args in (("gaussian_filter", (1.0,)), ("laplace", ()), ("median_filter", (3,)), ("maximum_filter", (3,))):
        assert getattr(ndimage, name)(x, *args).shape == shape
    for weights in (np.ones((3,) * len(shape)), np.ones((3,) * len(shape)) * 1j):
        same(*both("correlate", x, weights))


def test_signatures_and_examples():
    assert set(ndimage.__all__) == set(SIGNATURES)
    assert sorted(ndimage.__all__) == ndimage.__all__
    for name, want in SIGNATURES.items():
        function = getattr(ndimage, name)
        parameters, star = [], False
        for p in inspect.signature(function).parameters.values():
            if p.kind is p.KEYWORD_ONLY and not star:
                parameters.append("*")
            star = star or p.kind is p.KEYWORD_ONLY
            parameters.append(p.name + ("" if p.default is p.empty else f"={p.default!r}"))
        assert ", ".join(parameters) == want
        assert doctest.DocTestFinder().find(function, name)[0].examples
        assert f"`scipy.ndimage.{name}`" in function.__doc__.splitlines()[0]
        theirs = [
            n for n in inspect.signature(getattr(scipy.ndimage, name)).parameters if n not in ("output", "kwargs")
        ]
        ours = [n for n in inspect.signature(function).parameters if n in theirs]
        assert ours == theirs
