"""The functions against float64 loops, over every case, algorithm and dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import BY_NAME, CASES, equations, normal

import convjax
from convjax._arrays import boundary
from convjax._operation.primitive import convolve, transposed_weight
from convjax._spec import ConvSpec

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

# Rounding of one result in units of the last place of the largest: sums of at most 200 products, and those of f16 and
# bf16 are made in f32 and rounded once.
ROUNDING = {"float64": 1e-14, "float32": 3e-6, "float16": 2**-11, "bfloat16": 2**-8, "complex64": 3e-6}


def close(got, want, dtype):
    assert got.dtype == jnp.dtype(dtype)
    assert got.shape == want.shape
    scale = max(np.abs(want).max(initial=0), 1.0)
    error = np.abs(np.asarray(got).astype(want.dtype) - want).max(initial=0)
    assert error <= ROUNDING[jnp.dtype(dtype).name] * scale


def expected(case, x, w):
    """The reference's result of a case, unbatched input included."""
    batched = len(case.x) == len(case.weight)
    x = x if batched else x[None]
    weight = np.asarray(transposed_weight(jnp.asarray(w), case.spec())) if case.transpose else w
    y = reference.conv(x, weight, case.spec())
    return y if batched else y[0]


@every_case
@pytest.mark.parametrize("algorithm", ["auto", "xla"])
def test_forward(case, algorithm):
    x, w = normal(0, case.x), normal(1, case.weight)
    close(case(x, w, algorithm=algorithm), expected(case, x, w), "float32")


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "complex64", "int32", "uint8"])
@pytest.mark.parametrize("name", ["dense_3x3", "grouped_strided", "causal_1d", "up_3_2_1_1"])
def test_dtypes(name, dtype):
    case = BY_NAME[name]
    dtype = jax.dtypes.canonicalize_dtype(jnp.dtype(dtype))
    x, w = normal(0, case.x, np.complex64 if dtype.kind == "c" else np.float32), normal(1, case.weight)
    if dtype.kind in "iu":
        x, w = np.round(x * 3), np.round(w * 3)
    if dtype.kind == "u":
        x, w = np.abs(x), np.abs(w)
    x, w = jnp.asarray(x).astype(dtype), jnp.asarray(w).astype(dtype)
    want = expected(case, *(np.asarray(a, np.complex128 if dtype.kind == "c" else np.float64) for a in (x, w)))
    if dtype.kind in "iu":
        np.testing.assert_array_equal(np.asarray(case(x, w)), want.astype(np.int64).astype(dtype))
    else:
        close(case(x, w), want, dtype)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_low_precision_accumulates_in_float32(dtype):
    # 4096 ones and then a tail of halves: a running sum in 16 bits stops growing long before the end.
    x, w = jnp.ones((1, 512, 8), dtype), jnp.full((1, 512, 8), 0.5, dtype)
    np.testing.assert_array_equal(convjax.conv(x, w), jnp.full((1, 1, 1), 2048, dtype))
    ct = jnp.ones((1, 1, 4096), dtype)
    _, vjp = jax.vjp(lambda w: convjax.conv(jnp.ones((1, 1, 4096), dtype), w), jnp.ones((1, 1, 1), dtype))
    np.testing.assert_array_equal(vjp(ct)[0], jnp.full((1, 1, 1), 4096, dtype))
    _, vjp = jax.vjp(lambda b: convjax.conv(jnp.ones((2, 1, 2048), dtype), ct[..., :1], b), jnp.ones(1, dtype))
    np.testing.assert_array_equal(vjp(jnp.ones((2, 1, 2048), dtype))[0], jnp.full(1, 4096, dtype))


@pytest.mark.parametrize("dtype", ["int8", "float16", "bfloat16", "float32"])
def test_preferred_element_type(dtype):
    wide = jnp.int32 if dtype == "int8" else jnp.float32
    x, w = jnp.full((1, 100, 3), 100, dtype), jnp.full((1, 100, 3), 2, dtype)
    y = convjax.conv1d(x, w, jnp.ones(1, dtype), preferred_element_type=wide)
    assert y.dtype == wide
    assert y.item() == 60001
    if dtype != "int8":
        gradients = jax.grad(lambda x, w: convjax.conv1d(x, w, preferred_element_type=wide).sum(), (0, 1))(x, w)
        assert [g.dtype for g in gradients] == [x.dtype] * 2
        np.testing.assert_array_equal(gradients[1], x)


@every_case
def test_gradients(case):
    x, w = normal(0, case.x), normal(1, case.weight)
    y, vjp = jax.vjp(case, x, w)
    ct = normal(2, y.shape)
    spec, batched = case.spec(), len(case.x) == len(case.weight)
    x4, ct4 = (x, ct) if batched else (x[None], ct[None])
    weight = np.asarray(transposed_weight(jnp.asarray(w), spec)) if case.transpose else w
    want_x, want_w = reference.gradients(x4, weight, ct4, spec)
    got_x, got_w = vjp(ct)
    close(got_x, want_x if batched else want_x[0], "float32")
    # Turning the weight twice is the identity with inputs and outputs in the other places.
    got_w = transposed_weight(got_w, spec) if case.transpose else got_w
    scale = max(1.0, np.abs(want_w).max())
    assert np.abs(np.asarray(got_w) - want_w).max() <= 3e-6 * scale


@every_case
def test_bias_is_added_to_each_output_channel(case):
    x, w = normal(0, case.x), normal(1, case.weight)
    channels = case.weight[1] * case.options.get("groups", 1) if case.transpose else case.weight[0]
    bias = normal(2, (channels,))
    shape = [-1, *[1] * (len(case.weight) - 2)]
    np.testing.assert_allclose(case(x, w, bias=bias), np.asarray(case(x, w)) + bias.reshape(shape), rtol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_numbered_functions_are_the_general_one(dims):
    x, w = normal(0, (2, 4, *[6] * dims)), normal(1, (4, 2, *[3] * dims))
    options = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    for name in ("conv", "conv_transpose"):
        one, general = getattr(convjax, f"{name}{dims}d"), getattr(convjax, name)
        np.testing.assert_array_equal(one(x, w, **options), general(x, w, **options))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, "same", (2, 0), ((0, 3), (2, 1))])
def test_padding_modes(mode, padding):
    x, w = normal(0, (2, 3, 5, 4)), normal(1, (2, 3, 4, 3))
    pairs = {"same": ((1, 2), (1, 1)), 1: ((1, 1),) * 2, (2, 0): ((2, 2), (0, 0))}.get(padding, padding)
    filled = np.pad(x, ((0, 0), (0, 0), *pairs), {"replicate": "edge", "circular": "wrap"}.get(mode, mode))
    got = convjax.conv2d(x, w, padding=padding, padding_mode=mode)
    np.testing.assert_allclose(got, convjax.conv2d(filled, w), rtol=1e-6)


@pytest.mark.parametrize(("kind", "numpy_name"), [("mirror", "reflect"), ("symmetric", "symmetric"), ("wrap", "wrap")])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (4, 4), (11, 7)])
def test_boundaries_repeat_their_period(kind, numpy_name, size, padding):
    x = normal(0, (2, size))
    want = np.pad(x, ((0, 0), padding), numpy_name)
    np.testing.assert_array_equal(boundary.extend(jnp.asarray(x), kind, [padding]), want)
    ct = normal(1, want.shape)
    folded = boundary.fold_back(jnp.asarray(ct), kind, [padding])
    np.testing.assert_allclose(np.vdot(folded, x), np.vdot(ct, want), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_conv_transpose_is_the_transpose_of_conv(mode):
    x, w, ct = normal(0, (2, 4, 6, 7)), normal(1, (6, 2, 3, 2)), normal(2, (2, 6, 4, 4))
    options = {"stride": (2, 2), "padding": ((1, 2), (1, 0)), "groups": 2, "padding_mode": mode}
    assert convjax.conv(x, w, **options).shape == ct.shape
    back = convjax.conv_transpose(ct, w, **options)
    assert back.shape == x.shape
    (want,) = jax.vjp(lambda x: convjax.conv(x, w, **options), x)[1](ct)
    np.testing.assert_allclose(back, want, rtol=1e-5, atol=1e-5)


def test_unfold_then_dot_is_conv():
    x, w = normal(0, (2, 3, 7, 8)), normal(1, (4, 3, 2, 3))
    options = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (2, 1)}
    columns = convjax.unfold(x, (2, 3), **options)
    y = convjax.conv2d(x, w, **options)
    got = np.einsum("ok,nkl->nol", w.reshape(4, -1), columns)
    np.testing.assert_allclose(got, np.asarray(y).reshape(2, 4, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [(4,), (2, 3), (2, 1, 3), (9,)])
def test_fold_is_the_transpose_of_unfold(kernel):
    dims = len(kernel)
    options = {"kernel_size": kernel, "stride": 2, "padding": ((1, 2),) * dims, "dilation": 1}
    x = normal(0, (2, 3, *[9] * dims))
    columns = convjax.unfold(x, **options)
    ct = normal(1, columns.shape)
    back = convjax.fold(ct, (9,) * dims, **options)
    assert back.shape == x.shape
    (want,) = jax.vjp(lambda x: convjax.unfold(x, **options), x)[1](ct)
    np.testing.assert_allclose(back, want, rtol=1e-6, atol=1e-5)
    ints = np.arange(ct.size).reshape(ct.shape)
    np.testing.assert_array_equal(
        convjax.fold(ints[0], (9,) * dims, **options), convjax.fold(ints, (9,) * dims, **options)[0]
    )


def test_unfold_copies():
    x = np.array([[[1.0, np.nan, 3.0, np.inf, 5.0]]], np.float32)
    np.testing.assert_array_equal(
        convjax.unfold(x, (2,))[0], np.array([[1.0, np.nan, 3.0, np.inf], [np.nan, 3.0, np.inf, 5.0]], np.float32)
    )


def test_empty_batches():
    x, w = np.zeros((0, 4, 5, 6), np.float32), normal(1, (6, 2, 3, 3))
    y, vjp = jax.vjp(lambda x, w: convjax.conv2d(x, w, groups=2), x, w)
    assert y.shape == (0, 6, 3, 4)
    x_ct, w_ct = vjp(y)
    assert x_ct.shape == x.shape
    np.testing.assert_array_equal(w_ct, np.zeros_like(w))
    assert convjax.conv_transpose2d(x, w[:4], groups=2).shape == (0, 4, 7, 8)
    assert convjax.unfold(x, 3).shape == (0, 36, 12)
    assert convjax.fold(np.zeros((0, 36, 12), np.float32), (5, 6), 3).shape == x.shape
    xs, ws = np.zeros((0, 2, 4, 5, 6), np.float32), np.zeros((0, 3, 4, 3, 3), np.float32)
    assert jax.vmap(convjax.conv2d)(xs, ws).shape == (0, 2, 3, 3, 4)
    assert jax.vmap(convjax.conv2d, (None, 0))(normal(0, (2, 4, 5, 6)), ws).shape == (0, 2, 3, 3, 4)


def test_array_likes_are_taken():
    with jax.numpy_dtype_promotion("standard"):
        y = convjax.conv1d([[[1, 2, 3]]], [[[1.5, 2.0]]])
    assert isinstance(y, jax.Array)
    assert y.tolist() == [[[5.5, 9.0]]]


def test_promotion_is_that_of_jax():
    picture, kernel = np.full((1, 1, 4, 4), 200, np.uint8), np.full((1, 1, 2, 2), 0.5, np.float32)
    with pytest.raises(
        jax.errors.TypePromotionError if hasattr(jax.errors, "TypePromotionError") else Exception, match="strict"
    ):
        convjax.conv2d(picture, kernel)
    with jax.numpy_dtype_promotion("standard"):
        y = convjax.conv2d(picture, kernel)
        assert y.dtype == jnp.float32
        assert convjax.conv2d(picture.astype(jnp.bfloat16), kernel.astype(np.float16)).dtype == jnp.float32
        assert convjax.conv2d(kernel, kernel, np.zeros(1, np.complex64)).dtype == jnp.complex64
    np.testing.assert_array_equal(y, np.full((1, 1, 3, 3), 400, np.float32))


def test_a_nan_stays_within_its_windows():
    x = normal(0, (1, 1, 9, 9))
    x[0, 0, 4, 4] = np.nan
    y = convjax.conv2d(x, normal(1, (1, 1, 3, 3)), padding=1)
    want = np.zeros((9, 9), bool)
    want[3:6, 3:6] = True
    np.testing.assert_array_equal(np.isnan(y)[0, 0], want)


def test_precision_reaches_the_convolution():
    x, w = normal(0, (1, 1, 4, 4)), normal(1, (1, 1, 3, 3))

    def precision(**options):
        found = equations(lambda x, w: convjax.conv2d(x, w, **options), x, w)
        return next(e for e in found if e.primitive.name == "convjax_conv").params["spec"].precision

    high = jax.lax.Precision.HIGHEST
    assert precision(precision="highest") == high
    with jax.default_matmul_precision("highest"):
        assert precision() == high
    assert precision() is None
    assert precision(precision=("default", high)) == (jax.lax.Precision.DEFAULT, high)


def test_primitive_supports_specs_that_no_public_function_makes():
    spec = ConvSpec((2, 1), ((-1, 4), (2, -2)), (3, 2), (1, 2), 2)
    x, w = normal(0, (2, 4, 5, 6)), normal(1, (6, 2, 3, 2))
    close(convolve(jnp.asarray(x), jnp.asarray(w), spec), reference.conv(x, w, spec), "float32")
