"""`convjax.explain`: the convolutions of a function, as a table and as data."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import convjax

NHWC = ("NHWC", "HWIO", "NHWC")
X, W, V = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((8, 16, 16, 32), (3, 3, 32, 32), (3, 3, 1, 32)))


def layer(x, w, stride=1, groups=1):
    return lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=NHWC, feature_group_count=groups)


def network(x, w, v, *, turns: int):
    with jax.named_scope("stem"):
        x = layer(x, w, 2)
    x, _ = lax.scan(lambda x, _: (layer(x, v, groups=32), None), x, None, length=turns)
    x = lax.while_loop(lambda x: x.sum() > 0, lambda x: layer(x, w), x)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")


def test_the_rows():
    found = convjax.explain(network, static_argnames="turns")(X, W, V, turns=5)
    first, second, third, pooling = found.rows
    assert first.source.startswith("test_explain.py:")
    assert first.scope == "stem"
    assert first.shapes == ((8, 32, 16, 16), (32, 32, 3, 3))
    assert [row.times for row in found.rows] == [1, 5, 1, 1]
    assert [row.in_while for row in found.rows] == [False, False, True, False]
    assert first.multiply_adds == 8 * 8 * 8 * 32 * 32 * 9
    assert second.multiply_adds == 5 * 8 * 8 * 8 * 32 * 9
    assert [step.direction for step in third.steps] == ["forward", "input gradient", "weight gradient"]
    assert (pooling.kind, pooling.steps, pooling.multiply_adds) == ("reduce_window_max", (), 0)
    assert pooling.why_kept is None
    lines = str(found).splitlines()
    assert len(lines) == 2 + len(found.rows)
    assert lines[0] == "on cpu, 10.2 M multiply-adds"
    assert "stem" in lines[2]
    assert "5 " in lines[3]
    assert "1 a turn" in lines[4]
    shares = [int(line.rsplit("  ", 1)[1].removesuffix(" %")) for line in lines[2:5]]
    assert sum(shares) == pytest.approx(100, abs=2)


def test_it_says_what_accelerate_runs():
    """The algorithms are those of `plan` for the same convolution."""
    (row,) = convjax.explain(layer, static_argnums=2)(X, W, 2).rows
    x, w = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((8, 32, 16, 16), (32, 32, 3, 3)))
    padding = ((0, 1), (0, 1))
    plan = convjax.plan(x, w, stride=2, padding=padding, memory_format="channels_last")
    assert [step.algorithm for step in row.steps] == [step.algorithm for step in plan.steps]
    assert [step.because for step in row.steps] == [step.because for step in plan.steps]


def test_gradients_are_rows_of_their_own():
    gradient = jax.grad(lambda x, w: layer(jnp.sin(x), w, 2).sum(), argnums=(0, 1))
    rows = convjax.explain(gradient)(X, W).rows
    assert (
        sorted(row.steps[0].direction for row in rows) == ["forward", "input gradient", "weight gradient"][-len(rows) :]
    )
    counts = {row.multiply_adds for row in rows}
    assert len(counts) == 1  # each of the three has the same products, without the zeros


def test_equal_convolutions_of_a_line_are_one_row():
    def twice(x, w):
        for _ in range(3):
            x = layer(x, w)
        return x

    (row,) = convjax.explain(twice)(X, W).rows
    assert row.times == 3


def test_for_another_machine():
    (row,) = convjax.explain(lambda x, w: layer(x, w), machine=convjax.Machine("tpu"))(X, W).rows
    assert {step.algorithm for step in row.steps} == {"xla"}
    assert {step.platform for step in row.steps} == {"tpu"}


def test_pooling():
    f = lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID").sum()  # noqa: E731
    for machine, why in ((convjax.Machine("cpu"), None), (convjax.Machine("tpu"), "pooling of lax")):
        (row,) = convjax.explain(jax.grad(f), machine=machine)(X).rows[-1:]
        assert (row.kind, row.why_kept) == ("select_and_scatter_add", why)


def test_pooling_of_convjax():
    f = lambda x: convjax.max_pool2d(convjax.avg_pool2d(x, 2), 2).sum()  # noqa: E731
    rows = convjax.explain(jax.grad(f), machine=convjax.Machine("tpu"))(X).rows
    assert [row.kind for row in rows] == [
        "convjax_window_sums",
        "convjax_pool",
        "convjax_sum_into_taken",
        "convjax_sum_into_all",
    ]
    assert {row.why_kept for row in rows} == {None}


def test_errors():
    with pytest.raises(TypeError, match=r"convjax\.explain: `f`"):
        convjax.explain(3)
    with pytest.raises(ValueError, match=r"convjax\.explain"):
        convjax.explain(layer, static_argnames="strides")
