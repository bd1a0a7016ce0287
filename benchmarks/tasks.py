"""The calls that the benchmark times: one compiled call per row, direction and backend."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import backends
from benchmarks.cases import FULL_FLOAT32, Case
from benchmarks.filters import BACKENDS, FILTERS, Filter
from benchmarks.layers import SETS
from benchmarks.programs import PROGRAMS, Program
from benchmarks.report import TORCH
from convjax._algorithms import ALGORITHMS
from convjax._choice.choose import choose, why_unsupported
from convjax._choice.problem import Problem
from convjax._choice.recorded import operation_of
from convjax._machine import this_machine
from convjax._operation.measure import convolutions, problem_of


class Ready(NamedTuple):
    """What is timed, its compile time, its temporary memory, its program without names, and how many calls it makes."""

    call: Callable[[], Any]
    compile_seconds: float | None = None
    temporary_bytes: int | None = None
    program: str | None = None
    calls: int = 1


class Task(NamedTuple):
    """One row in one direction. `ready(backend)` is None if the backend does not support it."""

    name: str
    family: str
    direction: str
    ready: Callable[[str], Ready | None]
    algorithm: str


# Calls are timed in a queue of so many, and only the last is waited for. Otherwise each would wait for its launch, and
# that takes longer than most layers on a GPU.
QUEUED_CALLS = {"cpu": 1, "cuda": 16}
Row = Case | Program | Filter
DTYPES = ("float32", "bfloat16", FULL_FLOAT32)
FORMATS = ("contiguous", "channels_last")
FAMILIES = frozenset(row.family for row in SETS["rows"])


def wanted(
    rows: list[str],
    directions: list[str],
    against: list[str],
    sets: list[str],
    formats: list[str],
    dtypes: list[str],
    images: int | None = None,
) -> list[tuple[Row, str]]:
    """The rows and directions to time.

    A row is included if a backend supports it, and if one of the words in `rows` is part of its name or is its family.
    """
    filters = FILTERS if any(b in BACKENDS for b in against) else ()
    others: list[Row] = []
    if any(b not in BACKENDS for b in against):
        cases = [case for name in sets for case in SETS[name]]
        cases = list({c.name: c for c in (case.of_batch(images) for case in cases)}.values()) if images else cases
        cases = [case.of_dtype(dtype) for dtype in dtypes for case in cases if case.dtype in ("float32", dtype)]
        others += cases if "contiguous" in formats else []
        others += [case.channels_last() for case in cases] if "channels_last" in formats else []
        others += [p for p in PROGRAMS if p.memory_format in formats] if "rows" in sets and "float32" in dtypes else []
    return [
        (row, direction)
        for row in (*others, *filters)
        if any(word in row.name or word == row.family for word in rows)
        for direction in (backends.DIRECTIONS if isinstance(row, Case) else row.directions)
        if direction in directions
    ]


def families_in_turn(rows: list[tuple[Row, str]], timed: Collection[tuple[str, str]] = ()) -> list[tuple[Row, str]]:
    """The rows in an order whose first part has every family, memory format, dtype and direction.

    What is not among the names and directions in `timed` comes first. In each turn, the kinds of layers that do most of
    the work in published models do.
    """
    turns: Counter[tuple] = Counter()
    work = work_of_kinds()
    order = []
    for row, direction in rows:
        case = row if isinstance(row, Case) else None
        dtype = case and (case.dtype, case.options.get("precision"))
        family = row.family, direction, getattr(row, "memory_format", ""), dtype
        share = work[kind_of_layer(case)] if case else 0
        order.append(((row.name, direction) in timed, turns[family], -share, row, direction))
        turns[family] += 1
    return [(row, direction) for *_, row, direction in sorted(order, key=lambda each: each[:3])]


def kind_of_layer(case: Case) -> str:
    """The family of `benchmarks.cases.ROWS` that a layer of a model is of. The family of a row is its own."""
    if case.family in FAMILIES:
        return case.family
    dims, groups = len(case.weight) - 2, case.options.get("groups", 1)
    if case.transpose or dims != 2:
        return "transposed" if case.transpose else f"{dims}d"
    if groups > 1:
        return "depthwise" if case.weight[1] == 1 else "grouped"
    return "1x1" if math.prod(case.weight[2:]) == 1 else "dense" if case.options.get("dilation", 1) == 1 else "dilated"


@cache
def work_of_kinds() -> Counter[str]:
    """The multiply-adds of each kind in the layers of published models."""
    work: Counter[str] = Counter()
    for case in (*SETS["layers"], *SETS["validation"]):
        work[kind_of_layer(case)] += ALGORITHMS["xla"].multiply_adds(case.spec(), *case.structs())
    return work


def task(row: Row, direction: str, platform: str) -> Task:
    if isinstance(row, Filter):
        return _filter_task(row, direction)
    return (_program_task if isinstance(row, Program) else _case_task)(row, direction, platform)


def _jax_ready(function: Callable, arrays) -> Ready:
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arrays).compile()
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    temporary_bytes = None if memory is None else memory.temp_size_in_bytes
    calls = QUEUED_CALLS["cuda" if jax.default_backend() == "gpu" else "cpu"]
    call = _queued(lambda: compiled(*arrays), jax.block_until_ready, calls)
    return Ready(call, seconds, temporary_bytes, _without_names(compiled.as_text()), calls)


def _queued(call: Callable, wait: Callable, calls: int) -> Callable[[], None]:
    def run():
        for _ in range(calls):
            y = call()
        wait(y)

    return run


def _without_names(text: str) -> str:
    """The text of a compiled program without source locations, and with numbers in place of operation names."""
    computations = re.findall(r"^(?:ENTRY )?%.*?^\}", text, re.MULTILINE | re.DOTALL)
    text = re.sub(r", metadata=\{[^{}]*\}", "", "\n".join(computations))
    names: dict[str, str] = {}
    return re.sub(r"%[\w.-]+", lambda name: names.setdefault(name[0], f"%{len(names)}"), text)


def _torch_ready(function: Callable, arrays, backend: str, platform: str) -> Ready | None:
    import torch

    arrays = backends.torch_operands(arrays)
    if backend == "torch channels last":
        arrays = backends.channels_last(arrays)
    if arrays is None:
        return None
    if platform == "cpu":
        return Ready(lambda: function(*arrays))
    arrays, calls = jax.tree.map(lambda a: a.cuda(), arrays), QUEUED_CALLS[platform]
    call = _queued(lambda: function(*arrays), lambda _: torch.cuda.synchronize(), calls)
    return Ready(call, calls=calls)


def _case_task(case: Case, direction: str, platform: str) -> Task:
    arrays = backends.operands(case)
    device = tuple(map(jnp.asarray, backends.in_memory_format(case, *arrays)))
    chosen = partial(backends.jax_function, direction=direction)
    spec, x, w = equation(chosen(backends.conv_of("convjax", case)), device)

    def ready(backend: str) -> Ready | None:
        if backend in (*BACKENDS, "torch.compile"):
            return None
        if backend in TORCH:
            return _torch_ready(backends.torch_function(case, direction), arrays, backend, platform)
        if backend in ("convjax", "lax"):
            return _jax_ready(chosen(backends.conv_of(backend, case)), device)
        if why_unsupported(ALGORITHMS[backend], spec, x, w, this_machine(platform)) is not None:
            return None
        forced = ((operation_of(Problem(spec, x, w, this_machine(platform))), ((backend, 0),)),)
        return _jax_ready(chosen(backends.conv_of(forced, case)), device)

    return Task(
        case.name, case.family, direction, ready, choose(Problem(spec, x, w, this_machine(platform))).algorithm.name
    )


def multiply_adds(case: Case, direction: str) -> dict[str, int]:
    """The multiply-adds of every algorithm that supports this case."""
    operands = [*case.structs(), jax.eval_shape(case, *case.structs())]
    function = backends.jax_function(backends.conv_of("convjax", case._replace(memory_format="contiguous")), direction)
    spec, *shapes = equation(function, operands)
    entry = spec._replace(hints=spec.hints._replace(memory_format=case.memory_format)), *shapes
    return {name: each.multiply_adds(*entry) for name, each in ALGORITHMS.items() if each.unsupported(*entry) is None}


def equation(function: Callable, arrays):
    problem = problem_of(convolutions(jax.make_jaxpr(function)(*arrays).jaxpr)[-1], this_machine("cpu"))
    return problem.spec, problem.x, problem.w


def _program_task(program: Program, direction: str, platform: str) -> Task:
    arrays = program.arrays(np.random.default_rng(0))
    device = jax.tree.map(jnp.asarray, program.in_memory_format(arrays))

    def ready(backend: str) -> Ready | None:
        if backend == "torch.compile":
            import torch

            if program.family != "network":
                return None
            torch.compiler.reset()  # of one place in the code, torch compiles 8 functions, and runs others eagerly
            function = program.torch_function(direction, torch.compile)
            return _torch_ready(function, arrays, "torch channels last", platform)
        if backend in TORCH:
            function = program.torch_function(direction)
            return function and _torch_ready(function, arrays, backend, platform)
        if backend not in ("convjax", "lax"):
            return None
        return _jax_ready(program.jax_function(backend, direction), device)

    return Task(program.name, program.family, direction, ready, "")


def _filter_task(row: Filter, direction: str) -> Task:
    arrays, device = row.arrays(), row.device()

    def ready(backend: str) -> Ready | None:
        function = row.of(backend) if backend in ("convjax", *BACKENDS) else None
        if function is None:
            return None
        if backend == "scipy":
            return Ready(lambda: function(*arrays))
        with row.with_dtype():
            return _jax_ready(function, device)

    return Task(row.name, row.family, direction, ready, "")
