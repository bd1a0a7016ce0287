"""The cases that the tests run: the small ones, and every row of the benchmark, reduced to a small size."""

from typing import Any

import jax
import numpy as np
import reference
from jax.extend.core import subjaxprs

from benchmarks.cases import ROWS, SMALL, Case
from convjax._algorithms import ALGORITHMS
from convjax._machine import generic
from convjax._operation.primitive import run_algorithm
from convjax._spec import ConvSpec, extent

CPU = generic("cpu")

ALL_REDUCED = tuple(row.reduced()._replace(dtype="float32") for row in ROWS)
REDUCED = tuple({str(case[1:5]): case for case in reversed(ALL_REDUCED)}.values())  # many reduced rows are equal
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
    "channels_last",
    "chunked",
    "compiled_text",
    "equations",
    "error_of",
    "has_loop",
    "normal",
    "random_spec",
    "run",
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


def channels_last(spec: ConvSpec) -> ConvSpec:
    """The same convolution of images whose channels are last in memory."""
    return spec._replace(hints=spec.hints._replace(memory_format="channels_last"))


def by(name: str, spec, machine=CPU, algorithm: str = "auto"):
    """Return a function of (x, w) that computes a convolution by the named algorithm."""
    return lambda x, w: run_algorithm(ALGORITHMS[name], x, w, spec, machine, algorithm)


def chunked(elements: int):
    """A CPU whose cache holds so many elements."""
    return CPU._replace(chunk_elements=elements)


def run(name: str, x, w, spec, machine=CPU):
    """A convolution by the named algorithm."""
    return jax.jit(by(name, spec, machine))(x, w)


def error_of(name: str, spec, x, w, machine=CPU) -> float:
    """The largest error of an algorithm for normal numbers of the shapes of x and w, over the largest result."""
    x, w = normal(0, x.shape), normal(1, w.shape)
    want = reference.conv(x, w, spec)
    return np.abs(np.asarray(run(name, x, w, spec, machine)) - want).max() / np.abs(want).max()


def has_loop(jaxpr) -> bool:
    return "while[" in str(jaxpr) or "scan[" in str(jaxpr)


def normal(seed: int, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """Standard normal numbers. Complex ones have two normal parts. Integers are three times as large, and rounded."""
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        values = values + 1j * rng.standard_normal(shape)
    if np.issubdtype(dtype, np.integer):
        values = np.round(3 * values)
    return values.astype(dtype)


def compiled_text(function, *operands) -> str:
    """The program that XLA's CPU compiler makes of a function for users, without the settings of `conftest.py`."""
    options = {"xla_backend_optimization_level": 3}
    if jax.__version_info__ < (0, 11):
        options["xla_cpu_use_fusion_emitters"] = True
    with jax.default_device(jax.devices("cpu")[0]):
        return jax.jit(function).lower(*operands).compile(options).as_text()


def equations(f, *args) -> list:
    """All equations of the jaxpr of f, including those of the jaxprs that it calls."""

    def of(jaxpr):
        return [*jaxpr.eqns, *(e for inner in subjaxprs(jaxpr) for e in of(inner))]

    return of(jax.make_jaxpr(f)(*args).jaxpr)


def random_spec(rng) -> tuple[ConvSpec, tuple[int, ...], tuple[int, ...]]:
    """A random spec, which may be that of a gradient, and shapes that fit it: that of x without its batch, and of w."""
    dims = int(rng.choice([1, 2, 2, 3]))
    groups, inputs, outputs = (int(rng.choice(n)) for n in ([1, 1, 2, 3], [1, 1, 2], [1, 2, 4]))
    kernel, sizes = rng.integers(1, 5, dims).tolist(), rng.integers(1, (12, 7, 5)[dims - 1], dims).tolist()
    stride, lhs, rhs = (np.where(rng.random(dims) < 0.5, 1, rng.integers(1, 4, dims)).tolist() for _ in range(3))
    padding = []
    for n, k, a, r in zip(sizes, kernel, lhs, rhs, strict=True):
        low, high = rng.integers(-1, 4, 2).tolist()
        room = extent(k, r) - extent(n, a) - low  # the high padding that one position needs
        padding.append((low, max(high, room)))
    spec = ConvSpec(tuple(stride), tuple(padding), tuple(lhs), tuple(rhs), groups)
    return spec, (groups * inputs, *sizes), (groups * outputs, inputs, *kernel)


def optimized_text(f, *args) -> str:
    """The program that XLA makes of f, with underscores in the names of operations."""
    return jax.jit(f).lower(*args).compile().as_text().replace("-", "_")
