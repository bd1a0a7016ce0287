"""The cases that the tests run: the small ones, and every row of the benchmark cut down to a size for loops."""

from typing import Any

import jax
import numpy as np
from jax.extend.core import subjaxprs

from benchmarks.cases import ROWS, SMALL, Case
from convjax._algorithms import ALGORITHMS
from convjax._machine import generic
from convjax._operation.primitive import run_algorithm
from convjax._spec import ConvSpec, extent

CPU = generic("cpu")

ALL_REDUCED = tuple(row.reduced()._replace(dtype="float32") for row in ROWS)
REDUCED = tuple({str(case[1:5]): case for case in reversed(ALL_REDUCED)}.values())  # each once: many become equal
CASES = SMALL
BY_NAME = {case.name: case for case in CASES}

__all__ = [
    "ALL_REDUCED",
    "BY_NAME",
    "CASES",
    "CPU",
    "REDUCED",
    "ROWS",
    "Case",
    "by",
    "equations",
    "normal",
    "random_spec",
    "specs",
]


def specs(case: Case) -> dict:
    """The ConvSpec of each direction of a case, and the structs of its operands."""

    def dx(x, w, ct):
        return jax.vjp(lambda x: case(x, w), x)[1](ct)

    def dw(x, w, ct):
        return jax.vjp(lambda w: case(x, w), w)[1](ct)

    x, w = case.structs()
    operands = x, w, jax.eval_shape(case, x, w)
    found = {}
    for name, f in {"forward": lambda x, w, ct: case(x, w), "input gradient": dx, "weight gradient": dw}.items():
        equation = [e for e in equations(f, *operands) if e.primitive.name == "convjax_conv"][-1]
        found[name] = (
            equation.params["spec"],
            *(jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars),
        )
    return found


def by(name: str, spec, machine=CPU, algorithm: str = "auto"):
    """The function of (x, w) that computes a convolution by one algorithm."""
    return lambda x, w: run_algorithm(ALGORITHMS[name], x, w, spec, machine, algorithm)


def normal(seed: int, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Standard normal numbers, of both parts for complex dtypes and rounded for integer ones."""
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        values = values + 1j * rng.standard_normal(shape)
    if np.issubdtype(dtype, np.integer):
        values = np.round(3 * values)
    return values.astype(dtype)


def equations(f, *args) -> list:
    """All equations of the jaxpr of f, those of the jaxprs it calls included."""

    def of(jaxpr):
        return [*jaxpr.eqns, *(e for inner in subjaxprs(jaxpr) for e in of(inner))]

    return of(jax.make_jaxpr(f)(*args).jaxpr)


def random_spec(rng) -> tuple[ConvSpec, tuple[int, ...], tuple[int, ...]]:
    """Any spec, such as that of an input gradient, and shapes that fit it: of one image of x, and of w."""
    dims = int(rng.choice([1, 2, 2, 3]))
    groups, inputs, outputs = (int(rng.choice(n)) for n in ([1, 1, 2, 3], [1, 1, 2], [1, 2, 4]))
    kernel, sizes = rng.integers(1, 5, dims).tolist(), rng.integers(1, (12, 7, 5)[dims - 1], dims).tolist()
    stride, lhs, rhs = (np.where(rng.random(dims) < 0.5, 1, rng.integers(1, 4, dims)).tolist() for _ in range(3))
    padding = []
    for n, k, a, r in zip(sizes, kernel, lhs, rhs, strict=True):
        low, high = rng.integers(-1, 4, 2).tolist()
        room = extent(k, r) - extent(n, a) - low  # what the high side must hold for one position
        padding.append((low, max(high, room)))
    spec = ConvSpec(tuple(stride), tuple(padding), tuple(lhs), tuple(rhs), groups)
    return spec, (groups * inputs, *sizes), (groups * outputs, inputs, *kernel)
