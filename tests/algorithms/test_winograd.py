"""Winograd's tiles: their blocks, heavy weights, kernels, volumes and matrices."""

import itertools
import re

import jax
import numpy as np
import pytest
import reference
from cases import Case, by, chunked, error_of, has_loop, normal, run, specs

from convjax._algorithms import ALGORITHMS
from convjax._algorithms.winograd import matrices, tiles, weight_gradient
from convjax._spec import ConvSpec


@pytest.mark.parametrize("most", [1, 60, 300])
@pytest.mark.parametrize(
    ("shapes", "padding"),
    [
        (((5, 4, 30, 21), (6, 4, 3, 3)), 1),
        (((5, 4, 26, 19), (6, 4, 2, 5)), 1),
        (((4, 3, 41), (2, 3, 3)), 1),
        (((2, 4, 30, 21), (6, 4, 3, 3)), ((0, 9), (2, 0))),
        (((2, 4, 5, 11), (6, 4, 3, 3)), ((13, 0), (1, 1))),
        (((2, 4, 40, 11), (6, 4, 3, 3)), ((9, 7), (1, 3))),
        (((1, 2, 9, 8, 7), (3, 2, 3, 3, 3)), ((4, 0), (1, 2), (0, 0))),
    ],
)
@pytest.mark.parametrize("many", [4, weight_gradient.MIN_CHANNELS_FOR_TWO_LOOPS])
def test_blocks_of_winograd(monkeypatch, most, many, shapes, padding):
    """Images, or rows of tiles of one, in turn: the last block may hold rows that are not kept, and what a block sees
    may lie in the padding alone."""
    machine = chunked(most)
    monkeypatch.setattr(weight_gradient, "MIN_CHANNELS_FOR_TWO_LOOPS", many)
    for spec, x, w in specs(Case("in blocks", *shapes, {"padding": padding})).values():
        if ALGORITHMS["winograd"].unsupported(spec, x, w) is not None:
            continue
        lowered = jax.make_jaxpr(by("winograd", spec, machine))(x, w)
        assert has_loop(lowered)
        assert error_of("winograd", spec, x, w, machine) <= 4e-6


@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4)])
def test_heavy_weights_of_winograd_in_turns(newer, kernel):
    """A third of the transformed weight at a time: in a loop, or one after the other where loops are slower."""
    machine = chunked(64)._replace(
        batched_gemm_is_parallel=True, barriers_survive_fusion=newer, loops_are_single_core=newer
    )
    case = Case("heavy", (1, 16, 7, 6), (20, 16, *kernel), {"padding": [(1, 2), (0, 1)]})
    for spec, x, w in specs(case).values():
        lowered = str(jax.make_jaxpr(by("winograd", spec, machine))(x, w))
        products = re.findall(r"dimension_numbers=\(\(\[[12]\], \[[12]\]\), \(\[0\], \[0\]\)\)", lowered)
        assert len(products) == (tiles.WEIGHT_CHUNKS if newer else 1), lowered
        assert error_of("winograd", spec, x, w, machine) <= 4e-6


@pytest.mark.parametrize("kernel", [(2,), (4,), (5,), *itertools.product(range(2, 6), repeat=2)])
def test_winograd_of_every_kernel(kernel):
    """2 to 5 taps, another number along each axis, and as many positions of a weight gradient, within what
    `auto` allows."""
    case = Case(
        "taps", (3, 7, 23, 18)[: len(kernel) + 2], (5, 7, *kernel), {"padding": [(1, 2), (0, 3)][: len(kernel)]}
    )
    for spec, x, w in specs(case).values():
        assert error_of("winograd", spec, x, w) <= 1e-5


@pytest.mark.parametrize("most", [1, 2000, 1 << 19])
@pytest.mark.parametrize("kernel", [(1, 3, 3), (2, 3, 3), (5, 3, 3), (2, 2, 5)])
@pytest.mark.parametrize("outputs", [3, 500])
def test_winograd_of_volumes(most, kernel, outputs):
    """Tiles along the last two axes, and a product for each tap of the first; planes in turn."""
    machine = chunked(most)
    spec = ConvSpec((1, 1, 1), ((1, 2), (1, 0), (2, 1)), (1, 1, 1), (1, 1, 1))
    x, w = normal(0, (2, 3, 5, 7, 4)), normal(1, (outputs, 3, *kernel))
    want = reference.conv(x, w, spec)
    assert np.abs(np.asarray(run("winograd", x, w, spec, machine)) - want).max() <= 4e-6 * np.abs(want).max()


@pytest.mark.parametrize("results", [2, 3, 4, 5])
def test_winograd_matrices_are_exact(results):
    a_t, g, b_t = matrices.matrices(results)
    x, w = normal(0, (6,), np.float64), normal(1, (7 - results,), np.float64)
    np.testing.assert_allclose(a_t @ ((g @ w) * (b_t @ x)), np.correlate(x, w, "valid"), rtol=1e-12, atol=1e-12)
