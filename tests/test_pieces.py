"""What lowerings are built of, read off the programs that XLA's CPU compiler makes of it."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import Case, normal, specs
from jax import lax

from convjax._lowerings import LOWERINGS, _pieces
from convjax._primitive import convolve


def compiled(f, *operands) -> str:
    with jax.default_device(jax.devices("cpu")[0]):
        return jax.jit(f).lower(*operands).compile().as_text()


def blocks(text: str) -> list[str]:
    """The computations of a compiled program."""
    return re.findall(r"\{\n(.*?)\n\}", text, re.S)


@pytest.mark.parametrize("alone", [True, False])
def test_products_beside_one_another(monkeypatch, alone):
    """Whether products are one or two that run at the same time, the numbers are the same; the two stand apart in the
    order in which XLA's CPU runtime takes what is ready, for it to give each half to a core."""
    monkeypatch.setattr(_pieces, "alone", lambda *_: alone)
    for name, case in {
        "winograd": Case("tiles", (2, 4, 13, 9), (6, 4, 3, 3), {"padding": 1}),
        "matmul": Case("groups", (3, 26, 7, 5), (39, 2, 3, 3), {"padding": (1, 0), "groups": 13}),
    }.items():
        spec, x, w = specs(case)["forward" if name == "winograd" else "weight gradient"]
        x, w = normal(0, x.shape), normal(1, w.shape)
        want = reference.conv(x, w, spec)
        got = jax.jit(lambda x, w, n=name, s=spec: LOWERINGS[n].run(x, w, s, convolve))(x, w)
        assert np.abs(np.asarray(got) - want).max() <= 4e-6 * np.abs(want).max()
        orders = _orders(compiled(lambda x, w, n=name, s=spec: LOWERINGS[n].run(x, w, s, convolve), x, w))
        assert any(re.fullmatch("pc{7,}p", order) for order in orders) == alone


def _orders(text: str) -> list[str]:
    """The operations of every computation, in their order: p for a product, c for a copy."""
    kinds = {"p": r"= \S+ dot\(|%ynn_fusion\S* = ", "c": r"= \S+ copy\("}
    of = lambda line: [kind for kind, pattern in kinds.items() if re.search(pattern, line)]  # noqa: E731
    return ["".join(itertools.chain(*map(of, block.splitlines()))) for block in blocks(text)]


@pytest.mark.parametrize("count", [1, 2, _pieces.REGISTERS, _pieces.REGISTERS + 1])
def test_turns_of_a_loop(count):
    """Numbers and arrays of each turn, in order; where they are few, nothing counts them."""
    rows = [(3 * n, np.array([n, n * n], np.float32)) for n in range(count)]
    turn = lambda at, pair, y: 2 * y + lax.dynamic_slice(jnp.arange(100, dtype=jnp.float32), [at], [2]) * pair  # noqa: E731
    lowered = jax.jit(lambda y: _pieces.loop(rows, turn, y)).lower(np.ones(2, np.float32))
    want = np.ones(2, np.float32)
    for at, pair in rows:
        want = 2 * want + np.arange(at, at + 2, dtype=np.float32) * pair
    np.testing.assert_array_equal(lowered.compile()(np.ones(2, np.float32)), want)
    assert ("stablehlo.while" in lowered.as_text()) == (count > 1)
    assert ("stablehlo.compare" in lowered.as_text()) == (count > _pieces.REGISTERS)


def test_a_border_is_not_fused_across():
    """What is made in front of it is a loop of its own, on every CPU compiler."""
    for border, together in ((_pieces.parted, 0), (lambda x: _pieces.parted(x, reused=True), 0), (lambda x: x, 1)):
        text = compiled(lambda x, f=border: jnp.tanh(f(jnp.exp(x))), np.ones(1000, np.float32))
        assert sum("exponential(" in block and " tanh(" in block for block in blocks(text)) == together, text
