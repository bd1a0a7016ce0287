"""convjax.signal against scipy.signal: values, shapes, gradients, refusals."""

import doctest
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from convjax import signal

MODES = ("full", "same", "valid")
SIGNATURES = {
    "convolve": "in1, in2, mode='full', method='auto'",
    "correlate": "in1, in2, mode='full', method='auto'",
    "convolve2d": "in1, in2, mode='full', boundary='fill', fillvalue=0",
    "correlate2d": "in1, in2, mode='full', boundary='fill', fillvalue=0",
    "fftconvolve": "in1, in2, mode='full', axes=None",
    "oaconvolve": "in1, in2, mode='full', axes=None",
    "choose_conv_method": "in1, in2, mode='full', measure=False",
    "correlation_lags": "in1_len, in2_len, mode='full'",
}


def filled(seed, shape, dtype=np.float64):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0 if np.dtype(dtype).kind == "u" else -9, 4, shape).astype(dtype)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def same(got, want, relative=1e-12):
    assert got.shape == want.shape
    assert got.dtype == jax.dtypes.canonicalize_dtype(want.dtype)
    scale = max(np.abs(want).max(), 1) if want.size else 1
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=relative * scale)


def both(name, *args, **options):
    return getattr(signal, name)(*args, **options), getattr(scipy.signal, name)(*args, **options)


def valid(mode, a, b):
    return (
        mode != "valid"
        or all(n >= k for n, k in zip(a, b, strict=True))
        or all(n <= k for n, k in zip(a, b, strict=True))
    )


SHAPES = [
    ((), ()), ((7,), (3,)), ((7,), (4,)), ((8,), (1,)), ((1,), (1,)), ((3,), (8,)), ((4,), (9,)), ((5,), (5,)),
    ((6, 5), (3, 2)), ((6, 5), (4, 5)), ((5, 6), (1, 1)), ((3, 8), (4, 3)), ((2, 3), (5, 7)), ((6, 5), (6, 5)),
    ((4, 5, 6), (2, 3, 4)), ((3, 2, 4), (5, 2, 6)), ((3, 4, 2, 3), (2, 2, 2, 2)),
]  # fmt: skip


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_n_dimensions(name, a, b):
    for mode, method, dtype in itertools.product(MODES, ("auto", "direct", "fft"), ("float64", "complex128", "int64")):
        if valid(mode, a, b):
            same(*both(name, filled(0, a, dtype), filled(1, b, dtype), mode=mode, method=method))


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("uint8", "uint8"), ("int32", "float32"), ("int16", "int8"),
                                    ("complex64", "float32")])  # fmt: skip
@pytest.mark.parametrize("name", ["convolve", "correlate", "convolve2d", "correlate2d"])
def test_mixed_dtypes(name, dtypes):
    a, b = filled(0, (7, 6), dtypes[0]), filled(1, (3, 2), dtypes[1])
    with jax.numpy_dtype_promotion("standard"):
        got, want = both(name, a, b)
        assert got.dtype == jnp.promote_types(*dtypes)
    np.testing.assert_allclose(np.asarray(got), want.astype(got.dtype), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["convolve2d", "correlate2d"])
@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize(("a", "b"), [(a, b) for a, b in SHAPES if len(a) == 2]
                         + [((3, 4), (11, 2)), ((2, 2), (9, 9)), ((1, 5), (4, 4)), ((5, 4), (1000, 2))])  # fmt: skip
def test_images_and_their_borders(name, boundary, a, b):
    for mode, dtype in itertools.product(MODES, ("float64", "complex128", "int64")):
        if valid(mode, a, b):
            fill = 3 if boundary == "fill" and mode != "valid" else 0
            same(*both(name, filled(0, a, dtype), filled(1, b, dtype), mode=mode, boundary=boundary, fillvalue=fill))


@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [*[(a, b, None) for a, b in SHAPES], ((4, 6), (4, 3), 1), ((4, 6), (1, 3), -1), ((1, 6), (5, 3), [1]),
     ((4, 6), (3, 6), (0,)), ((3, 5, 7), (1, 2, 3), (1, 2)), ((0, 3), (2, 3), None), ((200,), (3,), None),
     ((5, 3000), (2, 7), None), ((4, 50), (90, 3), (1, 0)), ((2000, 3), (4, 3), 0)],
)  # fmt: skip
def test_the_convolution_theorem(name, a, b, axes):
    for mode, dtype in itertools.product(MODES, ("float64", "complex128", "int64")):
        some = range(len(a)) if axes is None else np.atleast_1d(axes)
        if valid(mode, [a[i] for i in some], [b[i] for i in some]):
            same(*both(name, filled(0, a, dtype), filled(1, b, dtype), mode=mode, axes=axes))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_shapes(data):
    dims = data.draw(st.integers(1, 3))
    a, b = (tuple(data.draw(st.lists(st.integers(1, 9), min_size=dims, max_size=dims))) for _ in range(2))
    mode = data.draw(st.sampled_from(MODES))
    name = data.draw(st.sampled_from(["convolve", "correlate", "fftconvolve", "oaconvolve"]))
    if valid(mode, a, b):
        same(*both(name, filled(0, a), filled(1, b), mode=mode))


def test_lags():
    for n, k, mode in itertools.product(range(1, 9), range(1, 9), MODES):
        got, want = both("correlation_lags", n, k, mode)
        np.testing.assert_array_equal(got, want)


def test_the_choice():
    short, long = jnp.ones(100), jnp.ones(100_000)
    assert signal.choose_conv_method(long, long) == "fft"
    assert signal.choose_conv_method(long, short[:3]) == "direct"
    assert signal.choose_conv_method(long.astype(int), long.astype(int)) == "direct"
    assert signal.choose_conv_method(jax.ShapeDtypeStruct((9000,), long.dtype), long) == "fft"
    method, seconds = signal.choose_conv_method(short, short, measure=True)
    assert set(seconds) == {"direct", "fft"}
    assert seconds[method] == min(seconds.values())


def test_large_integers_are_exact():
    a, b = filled(0, (400,), np.int64) * 10**7, filled(1, (300,), np.int64) * 10**7
    np.testing.assert_array_equal(signal.convolve(a, b), np.convolve(a, b))


CALLS = [
    lambda a, b: signal.convolve(a, b, "same", "direct"),
    lambda a, b: signal.correlate(a, b, "full", "fft"),
    lambda a, b: signal.convolve2d(a, b, "full", "symm"),
    lambda a, b: signal.correlate2d(a, b, "same", "wrap"),
    lambda a, b: signal.fftconvolve(a, b, "valid"),
    lambda a, b: signal.oaconvolve(a, b),
]


@pytest.mark.parametrize("call", CALLS)
def test_derivatives(call):
    a, b = filled(0, (6, 5)), filled(1, (3, 2))
    check_grads(call, (a, b), 2, atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(call)(a, b), call(a, b), rtol=1e-12, atol=1e-12)
    many = filled(2, (4, 6, 5))
    np.testing.assert_allclose(jax.vmap(call, (0, None))(many, b), [call(a, b) for a in many], rtol=1e-10, atol=1e-12)


def test_no_gather_behind_a_border():
    def loss(a, b):
        return signal.convolve2d(a, b, "same", "symm").sum()

    text = jax.jit(jax.grad(loss)).lower(jnp.ones((9, 8)), jnp.ones((3, 3))).as_text()
    assert "scatter" not in text
    assert "gather" not in text


def test_a_nan_stays_local():
    a = np.zeros((9, 9))
    a[4, 4] = np.nan
    for y in (signal.convolve(a, np.ones((3, 3)), "same", "direct"), signal.convolve2d(a, np.ones((3, 3)), "same")):
        assert int(np.isnan(y).sum()) == 9


@pytest.mark.parametrize(
    ("name", "args", "options", "words"),
    [
        ("convolve", (np.ones(3), np.ones((3, 3))), {}, ("in2", "1 axis", "2 axes")),
        ("convolve", (np.ones((3, 5)), np.ones((5, 3))), {"mode": "valid"}, ("in2", "(3, 5)", "valid")),
        ("convolve", (np.ones(3), np.ones(3)), {"mode": "ful"}, ("mode", "'ful'", "full")),
        ("convolve", (np.ones(3), np.ones(3)), {"method": "fast"}, ("method", "'fast'", "direct")),
        ("convolve", (np.ones(0), np.ones(3)), {}, ("in1", "(0,)")),
        ("correlate", (np.ones((3, 5)), np.ones((5, 3))), {"mode": "valid"}, ("in2", "(5, 3)")),
        ("convolve2d", (np.ones(3), np.ones(3)), {}, ("in1", "(3,)", "2 axes")),
        ("convolve2d", (np.ones((3, 3)), np.ones((3, 3))), {"boundary": "mirror"}, ("boundary", "'mirror'", "symm")),
        ("convolve2d", (np.ones((3, 3)), np.ones((3, 3))), {"fillvalue": "a"}, ("fillvalue", "'a'")),
        ("convolve2d", (np.ones((3, 3)), np.ones((3, 3))), {"fillvalue": np.ones(2)}, ("fillvalue", "one number")),
        ("fftconvolve", (np.ones((3, 4)), np.ones((2, 4))), {"axes": 1}, ("in2", "(3, 4)", "(2, 4)")),
        ("fftconvolve", (np.ones((3, 4)), np.ones((2, 4))), {"axes": 2}, ("axes", "2")),
        ("fftconvolve", (np.ones((3, 4)), np.ones((2, 4))), {"axes": []}, ("axes", "[]")),
        ("correlation_lags", (3, 2), {"mode": "all"}, ("mode", "'all'")),
    ],
)
def test_what_scipy_refuses_is_refused(name, args, options, words):
    with pytest.raises((ValueError, TypeError)):
        getattr(scipy.signal, name)(*args, **options)
    with pytest.raises((ValueError, TypeError)) as caught:
        getattr(signal, name)(*args, **options)
    for word in (f"convjax.signal.{name}", "got:", "expected:", "try:", *words):
        assert word in str(caught.value), word


def test_axes_of_any_kind():
    a, b = filled(0, (4, 5)), filled(1, (4, 2))
    for axes in (np.int64(1), np.array([1]), [-1], (1,)):
        same(*both("fftconvolve", a, b, axes=axes))


def test_no_times_of_traced_arrays():
    with pytest.raises(TypeError, match="`measure` asks for times"):
        jax.jit(lambda a: signal.convolve(a, a, method=signal.choose_conv_method(a, a, measure=True)[0]))(np.ones(5))
    with pytest.raises(TypeError, match="`in1` is not an array"):
        signal.choose_conv_method(None, np.ones(3))


def test_what_convjax_alone_refuses():
    with pytest.raises(TypeError, match="astype"):
        signal.convolve(np.ones(3, bool), np.ones(3))
    with pytest.raises(ValueError, match="`fillvalue`"):  # SciPy drops the imaginary part, and warns
        signal.convolve2d(np.ones((3, 3)), np.ones((3, 3)), fillvalue=1j)


@pytest.mark.parametrize("name", ["convolve", "correlate2d", "fftconvolve", "oaconvolve"])
def test_what_xla_cannot_count_is_refused(name):
    line, column = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((1, 2**31), (2**31, 1)))
    with pytest.raises(ValueError, match="`in2` is too large"):
        jax.eval_shape(getattr(signal, name), line, column)


def test_signatures_and_examples():
    assert set(signal.__all__) == set(SIGNATURES)
    assert sorted(signal.__all__) == signal.__all__
    for name, want in SIGNATURES.items():
        function = getattr(signal, name)
        parameters = inspect.signature(function).parameters.values()
        assert ", ".join(p.name + ("" if p.default is p.empty else f"={p.default!r}") for p in parameters) == want
        examples = doctest.DocTestFinder().find(function, name)
        assert examples[0].examples
        assert f"`scipy.signal.{name}`" in function.__doc__.splitlines()[0]


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_integers_wrap_around(name, dtype):
    limits = np.iinfo(np.uint16 if dtype is np.uint32 else np.int16 if np.dtype(dtype).itemsize > 2 else dtype)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(limits.min, limits.max + 1, shape).astype(dtype) for shape in ((5, 9), (4, 3)))
    want = getattr(scipy.signal, name)(a, b, method="direct")
    for method in ("direct", "fft"):
        same(getattr(signal, name)(a, b, method=method), want, 0)


@pytest.mark.parametrize("fillvalue", [300, -1, 2.7, -2.7])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint32])
def test_fill_of_integers(dtype, fillvalue):
    """Raises where SciPy says that it cannot cast it."""
    a, b = filled(0, (4, 5), dtype), filled(1, (3, 3), dtype)
    try:
        want = scipy.signal.convolve2d(a, b, fillvalue=fillvalue)
    except (ValueError, np.exceptions.ComplexWarning):  # the latter comes first, for an error here
        with pytest.raises(ValueError, match="`fillvalue`"):
            signal.convolve2d(a, b, fillvalue=fillvalue)
    else:
        np.testing.assert_array_equal(signal.convolve2d(a, b, fillvalue=fillvalue), want)
