"""What XLA makes of the algorithms on a CPU: how many loops, for how many cores, in how much memory."""

import jax
import pytest
from cases import compiled_text, normal

import convjax
from benchmarks import tasks
from benchmarks.cases import BY_NAME
from convjax import ndimage


@pytest.fixture(autouse=True)
def _defaults():
    with jax.enable_x64(False):
        yield


@pytest.mark.parametrize("sizes", [(40,), (40, 24), (12, 40, 24)])
def test_borders_on_every_axis_are_one_loop(sizes):
    """And the sum over the taps is another."""
    x, w = normal(0, (2, 8, *sizes)), normal(1, (8, 1, *[3] * len(sizes)))
    conv = lambda x, w: convjax.conv(x, w, padding=1, groups=8, algorithm="shift_add")  # noqa: E731
    entry = compiled_text(conv, x, w).split("ENTRY")[1]
    assert entry.count(" fusion(") == 2, entry


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, w: convjax.conv(x, w, algorithm="shift_add"), ((4, 40, 40, 40), (16, 40, 3, 3))),
        (lambda x, w: convjax.conv(x, w, algorithm="shift_add"), ((4, 1, 40, 40), (1, 1, 19, 19))),
        (lambda x, w: convjax.conv(x, w, groups=8, algorithm="chwn"), ((32, 64, 28, 28), (64, 8, 3, 3))),
        (lambda x: ndimage.median_filter(x, 15), ((200, 200),)),
    ],
    ids=["channels", "taps", "images", "median"],
)
def test_loops_are_shared_among_cores(function, shapes):
    """XLA makes one call, which one core runs, of a loop that it takes for small, as it does from jax 0.12 on."""
    text = compiled_text(function, *[normal(n, shape) for n, shape in enumerate(shapes)])
    assert " while(" in text
    assert "small_call" not in text


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("vgg 3x3 64", "forward"),
        ("alexnet 5x5 64 to 192", "forward"),
        ("medical 3x3x3 32", "forward"),
        ("resnext 32x8 3x3", "weight gradient"),
        ("up 4x4 s2 128 to 64", "forward"),
        ("up 4x4 s2 128 to 64", "weight gradient"),
        ("deeplab 3x3 d12", "forward"),
        ("deeplab 3x3 d6", "weight gradient"),
        ("resnet 3x3 64, bf16", "weight gradient"),
    ],
)
def test_chunks_keep_memory_below_three_times_that_of_lax(name, direction):
    task = tasks.task(BY_NAME[name], direction, "cpu")
    assert task.ready("convjax").temporary_bytes <= 3 * task.ready("lax").temporary_bytes
