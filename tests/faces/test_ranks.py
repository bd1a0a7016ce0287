"""Ranks of many elements, and the derivative of any: against SciPy, and against NumPy's sort of every window."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from filters import RANKS, filled
from jax import export
from jax.sharding import PartitionSpec
from jax.test_util import check_grads

from convjax import ndimage
from convjax._filters import rank_select, sorted_lists

QUICK = {"xla_backend_optimization_level": 0}  # to compile


def sorted_windows(x, sizes):
    windows = np.lib.stride_tricks.sliding_window_view(x, sizes)
    return np.sort(windows.reshape(*windows.shape[: x.ndim], -1))


# ---- networks, bits, and the derivative ----


@pytest.mark.parametrize("count", [1, 2, 3, 9, 12, 25])
def test_networks(count):
    """Against sorting; by the 0-1 principle a network is right where it is on zeros and ones."""
    rng = np.random.default_rng(count)
    lines = (rng.random((400, count)) < rng.random((400, 1))).astype(int)
    for rank in range(count):
        parts = list(lines.T)
        for i, j, low, high in rank_select.selection_network(count, rank):
            a, b = parts[i], parts[j]
            parts[i], parts[j] = np.minimum(a, b) if low else a, np.maximum(a, b) if high else b
        np.testing.assert_array_equal(parts[rank], np.sort(lines)[:, rank])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16, np.int8, np.uint8, np.int64, np.uint32])
def test_bits_and_networks_agree(dtype, monkeypatch):
    x = filled(0, (9, 10), np.int16 if np.dtype(dtype).kind in "iu" else np.float64).astype(dtype)
    for name, args in (("median_filter", (3,)), ("rank_filter", (-3, (2, 5))), ("percentile_filter", (70, 4))):
        want = getattr(ndimage, name)(x, *args)
        with monkeypatch.context() as patch:
            patch.setattr(rank_select, "MAX_UNROLLED_ELEMENTS", 1)
            jax.clear_caches()
            np.testing.assert_array_equal(getattr(ndimage, name)(x, *args), want)
    jax.clear_caches()


@pytest.mark.parametrize("call", RANKS)
def test_derivatives_of_ranks(call):
    name, args, options = RANKS[call]
    x = jnp.asarray(np.random.default_rng(0).permutation(42).reshape(6, 7) / 7.0)  # no two within a step
    f = lambda x: getattr(ndimage, name)(x, *args, **options)  # noqa: E731
    check_grads(f, (x,), 2, atol=1e-6, rtol=1e-6, eps=1e-5)
    many = jnp.stack([x, -x, x[::-1]])
    np.testing.assert_array_equal(jax.vmap(f)(many), [f(x) for x in many])
    gradient = lambda x: jax.grad(lambda x: (f(x) * x).sum())(x)  # noqa: E731
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(many), [gradient(x) for x in many], atol=1e-12)


def test_equal_elements_share_the_derivative():
    x = jnp.array([1.0, 1.0, 1.0, 5.0])
    gradient = jax.jacobian(lambda x: ndimage.median_filter(x, 3, mode="constant"))(x)
    np.testing.assert_allclose(gradient[1], [1 / 3, 1 / 3, 1 / 3, 0])
    gradient = jax.jacobian(lambda x: ndimage.maximum_filter(x, 2))(x)
    np.testing.assert_allclose(gradient[:, 0], [1, 0.5, 0, 0])


# ---- lists that neighbours share ----


@pytest.mark.parametrize(
    ("shape", "sizes", "block"),
    [
        ((9,), (1,), None),
        ((50,), (2,), None),
        ((50,), (8,), None),
        ((60,), (31,), 64),
        ((33,), (33,), None),
        ((9, 30), (1, 13), 64),
        ((30, 9), (14, 1), None),
        ((20, 22), (4, 5), 256),
        ((5, 6, 15), (2, 3, 4), 512),
    ],
)
def test_lists_against_sorting(shape, sizes, block, monkeypatch):
    """For a low and a high rank. The last blocks overlap others."""
    monkeypatch.setattr(sorted_lists, "BLOCK_ELEMENTS", block or sorted_lists.BLOCK_ELEMENTS)
    x = np.random.default_rng(0).integers(-9, 9, shape, np.int32)
    want, count = sorted_windows(x, sizes), math.prod(sizes)
    for rank in {count // 10, (3 * count) // 5}:
        of_rank = lambda x, rank=rank: sorted_lists.nth_smallest_of_box(x, sizes, rank)  # noqa: E731
        got = jax.jit(of_rank, compiler_options=QUICK)(x)
        np.testing.assert_array_equal(got, want[..., rank])


def test_a_box_in_blocks_is_one_loop():
    """Each block is no larger than it must be: a tile for a line, a tile of one row for a box."""
    assert sorted_lists._block_shape((1000,), (101,)) == (1000,)
    assert sorted_lists._block_shape((10**6,), (101,))[0] <= sorted_lists.BLOCK_ELEMENTS
    assert sorted_lists._block_shape((10**6,), (10**6 + 1,)) == (2**19,)
    assert sorted_lists._block_shape((200, 5000), (1, 501))[0] == 200
    assert sorted_lists._block_shape((500, 500), (101, 101))[0] < 20


CASES = {
    "reflect": ("median_filter", (300,), np.float32, (101,), {}),
    "constant": ("rank_filter", (150,), np.int16, (-3, 90), {"mode": "constant", "cval": 7}),
    "nearest": ("percentile_filter", (200,), np.uint8, (20, 126), {"mode": "nearest", "origin": -30}),
    "mirror": ("percentile_filter", (200,), np.float64, (-7, 99), {"mode": "mirror"}),
    "booleans": ("rank_filter", (150,), bool, (30, 85), {}),
    "beyond the line": ("rank_filter", (5,), np.int64, (70, 120), {"mode": "wrap"}),
    "rows": ("median_filter", (4, 60), np.float32, ((1, 83),), {"mode": "nearest"}),
    "columns": ("median_filter", (60, 4), np.float32, (84,), {"axes": 0}),
    "footprint": ("rank_filter", (3, 60), np.float32, (9,), {"footprint": np.ones((1, 91))}),
    "off centre": ("median_filter", (3, 70), np.int8, (), {"footprint": [[False] * 82, [True] * 82, [False] * 82]}),
    "box": ("percentile_filter", (12, 70), np.float32, (30, (3, 47)), {}),
    "gaps": ("median_filter", (12, 13), np.float32, (), {"footprint": np.arange(99).reshape(9, 11) % 9 > 0}),
}


@pytest.mark.parametrize("case", CASES)
def test_many_elements_against_scipy(case):
    name, shape, dtype, args, options = CASES[case]
    x = filled(0, shape, dtype)
    want = getattr(scipy.ndimage, name)(x, *args, **options)
    got = jax.jit(lambda x: getattr(ndimage, name)(x, *args, **options), compiler_options=QUICK)(x)
    np.testing.assert_array_equal(got, want.astype(got.dtype))


@pytest.mark.parametrize("mode", ["symmetric", "reflect"])
def test_far_beyond_a_reflected_line(mode):
    """Where SciPy's rank filters differ from its other filters."""
    x = filled(0, (7,), np.float32)
    want = sorted_windows(np.pad(x, (60, 60), mode), 121)[:, 60]
    mode = {"symmetric": "reflect", "reflect": "mirror"}[mode]
    got = jax.jit(lambda x: ndimage.median_filter(x, 121, mode=mode), compiler_options=QUICK)(x)
    np.testing.assert_array_equal(got, want)


@pytest.fixture
def of_few(monkeypatch):
    """A function that makes small windows take one of the methods of large ones."""

    def use_method_of_large_windows(ratio):
        monkeypatch.setattr(rank_select, "MAX_UNROLLED_ELEMENTS", 1)
        monkeypatch.setattr(sorted_lists, "MIN_BOX_TO_COLUMN_RATIO", ratio)
        jax.clear_caches()

    yield use_method_of_large_windows
    jax.clear_caches()


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.uint8, np.int64, bool])
def test_lists_and_networks_agree(dtype, of_few):
    x = filled(0, (4, 30), np.float64 if jnp.issubdtype(dtype, jnp.floating) else np.int16).astype(dtype)
    calls = [lambda: ndimage.median_filter(x, (1, 6)), lambda: ndimage.percentile_filter(x, 70, (3, 2))]
    want = [call() for call in calls]
    of_few(0)
    for call, y in zip(calls, want, strict=True):
        np.testing.assert_array_equal(call(), y)


def test_order_of_nans_and_signed_zeros():
    """NaNs of either sign are the largest, and -0.0 is smaller than 0.0."""
    rng = np.random.default_rng(0)
    x = rng.choice(np.array([np.nan, -np.nan, 0.0, -0.0, 1.0, -1.0, np.inf, -np.inf], np.float32), 200)
    windows = np.lib.stride_tricks.sliding_window_view(x, 91)
    order = np.lexsort((~np.signbit(windows), windows, np.isnan(windows)))
    for rank in (9, 70):
        want = np.take_along_axis(windows, order, 1)[:, rank]
        got = np.asarray(jax.jit(lambda x, rank=rank: ndimage.rank_filter(x, rank, 91), compiler_options=QUICK)(x))[
            45:-45
        ]
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want) & ~np.isnan(want))


# ---- the derivative ----


def derivative(x, rank, size):
    """The matrix of a rank filter of a line, in mode "constant": equal elements share what one would have."""
    wide = np.pad(x, (size // 2, (size - 1) // 2))
    rows = np.zeros((x.size, wide.size))
    for i in range(x.size):
        window = wide[i : i + size]
        equal = window == np.sort(window)[rank]
        rows[i, i : i + size] = equal / equal.sum()
    return rows[:, size // 2 : size // 2 + x.size]


@pytest.mark.parametrize("size", [3, 40, 101])
def test_derivative_of_ties(size):
    """Written out, in a loop, and in one over a window larger than the line."""
    x = np.random.default_rng(0).integers(1, 5, 60).astype(float)
    want = derivative(x, size // 2, size)
    f = lambda x: ndimage.median_filter(x, size, mode="constant")  # noqa: E731
    t = filled(1, x.shape)
    both = lambda x, t: (jax.jvp(f, (x,), (t,))[1], *jax.vjp(f, x)[1](t))  # noqa: E731
    for got, y in zip(jax.jit(both, compiler_options=QUICK)(x, t), (want @ t, t @ want), strict=True):
        np.testing.assert_allclose(got, y, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tangent_that_is_not_finite_stays_where_it_is_picked(bad):
    x = np.random.default_rng(0).permutation(100).astype(float)
    t = np.where(np.arange(100) == 50, bad, 1.0)
    f = lambda x: ndimage.median_filter(x, 69, mode="nearest")  # noqa: E731
    both = lambda x, t: (*jax.jvp(f, (x,), (t,)), *jax.vjp(f, x)[1](t))  # noqa: E731
    y, dy, back = jax.jit(both, compiler_options=QUICK)(x, t)
    np.testing.assert_array_equal(np.isfinite(dy), y != x[50])
    np.testing.assert_array_equal(np.isfinite(back), x != y[50])


def test_every_derivative_is_that_of_the_network(of_few):
    x = jnp.asarray(filled(0, (3, 9)))
    f = lambda x: ndimage.median_filter(x, (1, 5))  # noqa: E731
    cubic = lambda x: (f(x) ** 2 * x).sum()  # noqa: E731

    def derivatives(x):
        mapped = jax.vmap(jax.grad(cubic))(jnp.stack([x, -x]))
        return jax.jacfwd(f)(x), jax.jacrev(f)(x), jax.hessian(cubic)(x), mapped

    want = jax.jit(derivatives, compiler_options=QUICK)(x)
    for ratio in (0, np.inf):
        of_few(ratio)
        for got, y in zip(jax.jit(derivatives, compiler_options=QUICK)(x), want, strict=True):
            np.testing.assert_allclose(got, y, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("size", "shape", "times"), [(31, (128, 128), 8), (101, (20000,), 10)], ids=["box", "line"])
def test_a_gradient_keeps_no_mask_for_every_offset(size, shape, times):
    with jax.enable_x64(False):
        x = filled(0, shape, np.float32)
        gradient = jax.jit(jax.grad(lambda x: (ndimage.median_filter(x, size) ** 2).sum()))
        lowered = gradient.lower(x)
        assert lowered.as_text().count("stablehlo.") <= 4000
        held = lowered.compile().memory_analysis().temp_size_in_bytes
    assert held <= times * 2 * x.nbytes


@pytest.mark.parametrize("window", [(1, 101), (3, 45), (11, 11)])
def test_many_elements_need_no_gather(window):
    gradient = jax.grad(lambda x: ndimage.median_filter(x, window).sum())
    text = jax.jit(gradient).lower(jnp.ones((9, 80))).as_text()
    assert "scatter" not in text
    assert '"stablehlo.gather"' not in text


# ---- where else they run ----


@pytest.mark.parametrize("window", [(1, 83), (9, 11)])
def test_shards(window):
    """Under shard_map, where loops must say what their results vary over."""
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = PartitionSpec("rows")
    every = jax.vmap(lambda x: ndimage.median_filter(x, window))
    shards = jax.shard_map(every, mesh=mesh, in_specs=rows, out_specs=rows)
    x = jnp.asarray(filled(0, (4, 5, 30)))
    gradient = lambda f: jax.value_and_grad(lambda x: (f(x) * x).sum())  # noqa: E731
    want, got = (jax.jit(gradient(f), compiler_options=QUICK)(x) for f in (every, shards))
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
    np.testing.assert_allclose(got[1], want[1], rtol=1e-6, atol=1e-6)


def test_symbolic_sizes():
    x = filled(0, (120,), np.float32)
    f = jax.jit(lambda x: ndimage.median_filter(x, 101, mode="nearest"))
    (size,) = export.symbolic_shape("n")
    exported = export.export(f)(jax.ShapeDtypeStruct((size,), x.dtype))
    np.testing.assert_array_equal(exported.call(x), scipy.ndimage.median_filter(x, 101, mode="nearest"))
