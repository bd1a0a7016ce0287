"""`python -m benchmarks.products`: time matrix products of random sizes by oneDNN and by XLA.

The limits in `convjax/_algorithms/_product.py` come from it.
"""

import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from benchmarks.report import geometric_mean
from benchmarks.timing import fastest
from convjax._algorithms import _product
from convjax._machine import this_machine

SIDES = 4, 8, 12, 16, 24, 32, 48, 64, 100, 128, 256, 512, 1000, 2048, 8192, 50000
BATCHES = 1, 8, 36
MULTIPLY_ADDS = 1 << 18, 1 << 28
MAX_ELEMENTS = 1 << 23  # of an operand or the result


def random_product(rng: np.random.Generator) -> tuple[int, int, int, int, bool, bool]:
    """The size of a batch, rows, depth and columns, and which operands are transposed."""
    while True:
        batch, rows, depth, columns = int(rng.choice(BATCHES)), *map(int, rng.choice(SIDES, 3))
        largest = batch * max(rows * depth, depth * columns, rows * columns)
        if MULTIPLY_ADDS[0] <= batch * rows * depth * columns <= MULTIPLY_ADDS[1] and largest <= MAX_ELEMENTS:
            return batch, rows, depth, columns, *(bool(n) for n in rng.integers(2, size=2))


def times(product, dtype: str, rng: np.random.Generator) -> float:
    """How many times as fast as XLA oneDNN is."""
    batch, rows, depth, columns, transpose_a, transpose_b = product
    shapes = ((depth, rows) if transpose_a else (rows, depth)), ((columns, depth) if transpose_b else (depth, columns))
    a, b = (jnp.asarray(rng.standard_normal((batch, *shape), np.float32), dtype) for shape in shapes)

    def call(multiply):
        compiled = jax.jit(multiply).lower(a, b).compile()
        return lambda: jax.block_until_ready(compiled(a, b))

    calls = {
        "onednn": call(lambda a, b: _product.by_onednn(a, b, jnp.float32, transpose_a, transpose_b)),
        "xla": call(lambda a, b: _product.by_xla(a, b, None, jnp.float32, transpose_a, transpose_b)),
    }
    for each in calls.values():
        each()
    seconds = fastest(calls, rounds=3, batch=0.003, patience=3)
    return seconds["xla"] / seconds["onednn"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.products", description=__doc__)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--count", type=int, default=300, help="number of products")
    options = parser.parse_args(arguments)
    if not this_machine("cpu").has_onednn(options.dtype):
        parser.error(f"jaxlib has no oneDNN for {options.dtype} here")
    rng = np.random.default_rng(0)
    products = [random_product(rng) for _ in range(options.count)]
    found = [(product, times(product, options.dtype, rng)) for product in tqdm(products, unit="product", disable=None)]
    print("| smallest of rows, depth, columns | products | oneDNN times XLA | slower than 0.95 | at worst |")
    print("|---|---|---|---|---|")
    for low, high in ((0, _product.MIN_SIDE), (_product.MIN_SIDE, 64), (64, max(SIDES) + 1), (0, max(SIDES) + 1)):
        ratios = [ratio for (_, *sides, _, _), ratio in found if low <= min(sides) < high]
        if ratios:
            slower = sum(ratio < 0.95 for ratio in ratios)
            print(
                f"| {low} to {high - 1} | {len(ratios)} | {geometric_mean(ratios):.2f} | {slower} | {min(ratios):.2f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
