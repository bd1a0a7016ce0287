"""Every row of the three teaching texts, by value, and as the pages of the gallery show it. The numbers are theirs."""

import pathlib
import runpy

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import convjax
from convjax import kernels

GX, GY = (np.asarray(k) for k in kernels.sobel()[:, 0])
A = np.array([[[.0624, -.0712, -.0463], [-.2252, -.1561, -.0972], [.0087, .0932, .1414]],
              [[-.1598, -.1026, .0856], [.1957, -.0485, .1764], [-.0380, .0249, .2134]]])[None]  # fmt: skip
B = np.array([[[[-.2187, -.1484, -.0597], [-.0919, .2036, -.1528], [-.1085, -.1647, -.2207]],
               [[-.1376, .2026, .1052], [.1142, .0124, -.1208], [.0399, -.2201, -.1703]]],
              [[[-.1215, .1487, .1382], [-.1045, -.0085, .1507], [.2343, .0935, .0318]],
               [[.1580, -.1388, .0439], [-.1827, -.1634, -.1218], [.1066, .0948, -.1396]]],
              [[[.0712, .1294, -.0297], [.0090, .0546, .1462], [.2263, -.1816, -.0864]],
               [[.0926, .1953, .2051], [.2080, .0469, -.2050], [.0217, -.1475, -.2197]]]])  # fmt: skip


def image(rows, columns, *, row=None, column=None, value=1.0):
    x = np.zeros((rows, columns))
    x[slice(None) if row is None else row, slice(None) if column is None else column] = value
    return x


def batch(*channels):
    return np.stack([np.asarray(c, float) for c in channels])[None]


def kernel(*channels):
    return batch(*channels)


def centre(value):
    return value * np.asarray(kernels.identity()[0, 0])


def ones(k):
    return np.ones((k, k))


def rows(*values):
    return np.array(values, float)


def check(x, weight, want, **options):
    with jax.numpy_dtype_promotion("standard"):
        got = convjax.conv2d(x, weight, **options)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_labs_use_the_sobel_kernels():
    np.testing.assert_array_equal(GX, [[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    np.testing.assert_array_equal(GY, [[1, 2, 1], [0, 0, 0], [-1, -2, -1]])


ROWS = [
    (1, batch(image(5, 5, column=2)), kernel(GX), {}, batch([[-4, 0, 4]] * 3)),
    (2, batch(ones(4)), kernel(ones(2)), {}, batch(4 * ones(3))),
    (3, batch(ones(4)), kernel(ones(2)), {"stride": 2}, batch(4 * ones(2))),
    (4, batch(ones(4)), kernel(ones(2)), {"stride": 3}, batch([[4]])),
    (5, batch(ones(4)), kernel(ones(2)), {"stride": 3, "padding": 1}, batch([[1, 2], [2, 4]])),
    (6, np.random.default_rng(0).normal(size=(1, 1, 4, 4)), kernel(0 * ones(3)), {}, batch(0 * ones(2))),
    (9, batch(image(5, 5, column=2)), np.concatenate([kernel(k) for k in (GX, GY, ones(3))]), {"bias": np.zeros(3)},
     batch([[-4, 0, 4]] * 3, 0 * ones(3), 3 * ones(3))),
    (10, batch(image(5, 5, row=2)), np.concatenate([kernel(k) for k in (GX, GY, ones(3))]), {"bias": np.zeros(3)},
     batch(0 * ones(3), [[-4] * 3, [0] * 3, [4] * 3], 3 * ones(3))),
    (11, batch(image(5, 5, row=2, value=-2), image(5, 5, row=2)), kernel(centre(1), centre(-2)), {},
     batch([[0] * 3, [-4] * 3, [0] * 3])),
    (12, batch(ones(5), image(5, 5, row=2, column=2)),
     np.concatenate([kernel(centre(.5), centre(.5)), kernel(centre(1), centre(-1)), kernel(GX, GY)]), {},
     batch([[.5, .5, .5], [.5, 1, .5], [.5, .5, .5]], [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
           [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])),
    (17, batch([[4] * 4 + [1] * 4] * 8), kernel([[-1, 0, 1]] * 3), {}, batch([[0, 0, -9, -9, 0, 0]] * 6)),
    (18, batch(image(8, 8, column=4)), kernel([[1, 2, 3]] * 3), {}, batch([[0, 0, 9, 6, 3, 0]] * 6)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "x", "weight", "options", "want"), ROWS, ids=lambda value: f"row{value}" if isinstance(value, int) else ""
)
def test_rows_of_values(row, x, weight, options, want):
    check(x, weight, want, **options)


def test_row_7_size_without_running():
    assert convjax.conv_output_shape((1, 1, 4, 4), (1, 1, 2, 2), stride=2) == (1, 1, 2, 2)


def test_row_8_parameters_can_be_read_replaced_and_printed():
    layer = convjax.init_conv(jax.random.key(0), 1, 1, (3, 3))
    assert (layer.weight.shape, layer.bias.shape) == ((1, 1, 3, 3), (1,))
    assert "ConvParams(weight=" in str(layer)
    replaced = layer._replace(weight=kernels.sobel()[:1], bias=jnp.zeros(1, jnp.float32))
    x = image(5, 5, column=2)[None, None].astype(np.float32)
    np.testing.assert_array_equal(convjax.conv2d(x, *replaced), batch([[-4, 0, 4]] * 3))


def test_row_13_the_sum_over_channels_taken_apart():
    a, b = batch(image(5, 5, row=2, value=-2)), batch(image(5, 5, row=2))
    with jax.numpy_dtype_promotion("standard"):
        apart = convjax.conv2d(a, kernel(centre(1))) + convjax.conv2d(b, kernel(centre(-2)))
    check(np.concatenate([a, b], 1), kernel(centre(1), centre(-2)), apart)


STEP, K = np.array([[4] * 4 + [1] * 4] * 8, float), np.array([[-1, 0, 1]] * 3, float)


def test_rows_14_and_15_a_true_convolution_flips_the_kernel():
    check(batch(STEP), kernel(K[::-1, ::-1]), batch([[0, 0, 9, 9, 0, 0]] * 6))


def test_row_16_full_and_symmetric_as_scipy():
    from scipy.signal import convolve2d

    want = convolve2d(STEP, K, mode="full", boundary="symm")
    assert want.shape == (10, 10)
    check(batch(np.pad(STEP, 2, "symmetric")), kernel(K[::-1, ::-1]), batch(want))


def test_row_19_two_channels_to_four_places():
    x = batch(image(8, 8, column=2), image(8, 8, column=6))
    with jax.numpy_dtype_promotion("standard"):
        got = np.asarray(convjax.conv2d(x, A))
    printed = np.array([-0.0021, -0.1342, -0.1541, 0, 0.4754, -0.1262])
    # The taps of A are printed to four places too, and each of these is the sum of three.
    np.testing.assert_allclose(got, np.broadcast_to(printed, got.shape), rtol=0, atol=4 * 0.5e-4)


def test_row_20_three_outputs_as_small_integers():
    x = batch(image(8, 8, column=2), image(8, 8, column=6))
    with jax.numpy_dtype_promotion("standard"):
        got = (np.asarray(convjax.conv2d(x, B)) * 10 + 0.5).astype(np.int8)
    want = np.array([[-3, 0, -3, 0, -1, 0], [3, 2, 0, 0, -1, -1], [0, 0, 3, 0, -1, 1]])
    np.testing.assert_array_equal(got[0], np.broadcast_to(want[:, None], (3, 6, 6)))


@pytest.mark.parametrize(("groups", "shape"), [(4, (4, 1, 3, 3)), (2, (4, 2, 3, 3))])
def test_rows_21_and_22_weights_of_groups(groups, shape):
    params = convjax.init_conv(jax.random.key(0), 4, 4, (3, 3), groups=groups)
    assert params.weight.shape == shape
    x = np.zeros((1, 4, 5, 5), np.float32)
    x[0, 0] = 1
    touched = np.asarray(convjax.conv2d(x, params.weight, groups=groups)).any((0, 2, 3))
    np.testing.assert_array_equal(touched, np.arange(4) < 4 // groups)


@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(2, 3, 2), (4, 64, 16)])
def test_row_23_groups_that_do_not_divide(inputs, outputs, groups):
    with pytest.raises(ValueError, match="does not divide the"):
        convjax.init_conv(jax.random.key(0), inputs, outputs, (3, 3), groups=groups)
    x, weight = np.zeros((1, inputs, 5, 5), np.float32), np.zeros((outputs, 1, 3, 3), np.float32)
    with pytest.raises(ValueError, match="`groups`"):
        convjax.conv2d(x, weight, groups=groups)


def test_row_24_promotion_is_stated():
    x, weight = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2), np.float32)
    wide = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32
    with jax.numpy_dtype_promotion("standard"):
        assert convjax.conv2d(x, weight).dtype == wide
    assert "JAX's promotion" in convjax.conv.__doc__


def test_row_25_what_each_rank_is_taken_for():
    weight = np.ones((2, 1, 3, 3), np.float32)
    x = np.ones((6, 6), np.float32)
    assert convjax.conv2d(x[None], weight).shape == (2, 4, 4)
    assert convjax.conv2d(x[None, None], weight).shape == (1, 2, 4, 4)
    with pytest.raises(ValueError, match=r"x\[None, None\].* or x\[None\]"):
        convjax.conv2d(x, weight)


# ---- the pages of the gallery ----

PAGES = sorted((pathlib.Path(__file__).parents[2] / "docs" / "gallery" / "labs").glob("plot_*.py"))
ON_A_PAGE = {row: want for row, *_, want in ROWS} | {
    7: (1, 1, 2, 2),
    8: batch([[-4, 0, 4]] * 3),
    13: batch([[0] * 3, [-4] * 3, [0] * 3]),
    14: [[0, 0, 9, 9, 0, 0]] * 6,
    15: [[0, 0, 9, 9, 0, 0]] * 6,
    16: [[0, 0, 0, 0, 9, 9, 0, 0, 0, 0]] * 10,
    17: [[0, 0, -9, -9, 0, 0]] * 6,
    18: [[0, 0, 9, 6, 3, 0]] * 6,
    21: (4, 1, 3, 3),
    22: (4, 2, 3, 3),
}


@pytest.fixture(scope="module")
def pages():
    matplotlib.use("Agg")
    results, layer = {}, None
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for path in PAGES:
            page = runpy.run_path(str(path))
            # The first page names its calls by their rows. Of the two of row 8, the second has the weight replaced.
            results |= {int(str(row).partition(":")[0]): result for row, result in page["results"].items()}
            if "layer" in page:
                results[7], layer = page["size_alone"], page["layer"]
    plt.close("all")
    results[8] = np.asarray(results[8]) - np.asarray(layer.bias)
    return results


def test_the_pages_show_every_row(pages):
    assert set(pages) == set(range(1, 26))


@pytest.mark.parametrize("row", sorted(ON_A_PAGE))
def test_a_page_shows_row(pages, row):
    np.testing.assert_allclose(pages[row], ON_A_PAGE[row], atol=1e-5)


def test_a_page_shows_rows_19_and_20(pages):
    printed = np.array([-0.0021, -0.1342, -0.1541, 0, 0.4754, -0.1262])
    np.testing.assert_allclose(pages[19][0, 0], np.broadcast_to(printed, (6, 6)), rtol=0, atol=4 * 0.5e-4)
    want = np.array([[-3, 0, -3, 0, -1, 0], [3, 2, 0, 0, -1, -1], [0, 0, 3, 0, -1, 1]])
    np.testing.assert_array_equal(pages[20][0], np.broadcast_to(want[:, None], (3, 6, 6)))


def test_a_page_shows_what_is_refused_and_promoted(pages):
    assert all("`groups` does not divide the" in said for said in pages[23])
    assert pages[24] == ["float32", "float64"]
    assert pages[25][:2] == [(1, 1, 6, 6), (1, 6, 6)]
    assert "x[None, None]" in pages[25][2]
