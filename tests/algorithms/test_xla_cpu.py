"""The compiler tricks, read off the programs that XLA's CPU compiler makes of them."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import CPU, Case, by, compiled_text, normal, specs
from jax import lax

from convjax._algorithms import _chunks, _product
from convjax._arrays import xla_cpu


def blocks(text: str) -> list[str]:
    """The computations of a compiled program."""
    return re.findall(r"\{\n(.*?)\n\}", text, re.S)


@pytest.mark.parametrize("single_core", [True, False])
def test_products_that_run_concurrently(single_core):
    """Whether products are one or two that run at the same time, the numbers are the same; the two stand apart in the
    order in which XLA's CPU runtime takes what is ready, for it to give each half to a core."""
    machine = CPU._replace(batched_gemm_is_parallel=not single_core)
    for name, case in {
        "winograd": Case("tiles", (2, 4, 13, 9), (6, 4, 3, 3), {"padding": 1}),
        "matmul": Case("groups", (3, 26, 7, 5), (39, 2, 3, 3), {"padding": (1, 0), "groups": 13}),
    }.items():
        spec, x, w = specs(case)["forward" if name == "winograd" else "weight gradient"]
        x, w = normal(0, x.shape), normal(1, w.shape)
        want = reference.conv(x, w, spec)
        got = jax.jit(by(name, spec, machine))(x, w)
        assert np.abs(np.asarray(got) - want).max() <= 4e-6 * np.abs(want).max()
        orders = _orders(compiled_text(by(name, spec, machine), x, w))
        assert any(re.fullmatch("pc{7,}p", order) for order in orders) == single_core


def _orders(text: str) -> list[str]:
    """The operations of every computation, in their order: p for a product, c for a copy."""
    kinds = {"p": r"= \S+ dot\(|%ynn_fusion\S* = ", "c": r"= \S+ copy\("}
    of = lambda line: [kind for kind, pattern in kinds.items() if re.search(pattern, line)]  # noqa: E731
    return ["".join(itertools.chain(*map(of, block.splitlines()))) for block in blocks(text)]


@pytest.mark.parametrize("machine", [CPU, None])
def test_a_transposition_is_a_loop_of_its_own(machine):
    """Elementwise operations before it are computed in the order in which their operands lie in memory."""
    x, z = normal(0, (2, 6, 6, 8)), normal(1, (2, 6, 6, 8))
    move = lambda x, z: xla_cpu.transpose(jnp.maximum(x + z, 0), (0, 3, 1, 2), machine)  # noqa: E731
    np.testing.assert_array_equal(jax.jit(move)(x, z), np.moveaxis(np.maximum(x + z, 0), -1, 1))
    moving = [block for block in blocks(compiled_text(move, x, z)) if re.search(r"\b(transpose|copy)\(", block)]
    assert moving
    assert not any("maximum(" in block for block in moving)


@pytest.mark.parametrize("machine", [CPU, CPU._replace(batched_gemm_is_parallel=True)])
@pytest.mark.parametrize("sizes", [(12002, 48, 50), (12001, 48, 50), (12002, 50, 48), (70, 128, 131), (70, 131, 3)])
def test_sums_over_rows(sizes, machine):
    a, b = normal(0, sizes[:2]), normal(1, sizes[::2])
    got = jax.jit(lambda a, b: _product.sum_over_rows(a, b, machine))(a, b)
    np.testing.assert_allclose(got, a.astype(np.float64).T @ b, rtol=0, atol=1e-6 * sizes[0])


@pytest.mark.parametrize("count", [1, 2, _chunks.MAX_UNROLLED_ROWS, _chunks.MAX_UNROLLED_ROWS + 1])
def test_rows_of_a_loop(count):
    """Numbers and arrays of each turn, in order; where they are few, nothing counts them."""
    rows = [(3 * n, np.array([n, n * n], np.float32)) for n in range(count)]
    turn = lambda at, pair, y: 2 * y + lax.dynamic_slice(jnp.arange(100, dtype=jnp.float32), [at], [2]) * pair  # noqa: E731
    lowered = jax.jit(lambda y: _chunks.loop(rows, turn, y)).lower(np.ones(2, np.float32))
    want = np.ones(2, np.float32)
    for at, pair in rows:
        want = 2 * want + np.arange(at, at + 2, dtype=np.float32) * pair
    np.testing.assert_array_equal(lowered.compile()(np.ones(2, np.float32)), want)
    assert ("stablehlo.while" in lowered.as_text()) == (count > 1)
    assert ("stablehlo.compare" in lowered.as_text()) == (count > _chunks.MAX_UNROLLED_ROWS)


def test_loops_are_not_fused_across_a_barrier():
    """What is made in front of it is a loop of its own, on every CPU compiler."""
    for border, together in (
        (xla_cpu.fusion_barrier, 0),
        (lambda x: xla_cpu.fusion_barrier(x, reuse_buffer=True), 0),
        (lambda x: x, 1),
    ):
        text = compiled_text(lambda x, f=border: jnp.tanh(f(jnp.exp(x))), np.ones(1000, np.float32))
        assert sum("exponential(" in block and " tanh(" in block for block in blocks(text)) == together, text
