"""The record of a machine: where it is made, and which programs may depend on it."""

import ast
import pathlib

import jax
import pytest
from cases import normal

import convjax
from convjax import _machine
from convjax._machine import Machine

ROOT = pathlib.Path(convjax.__file__).parent
X, W = normal(0, (1, 256, 14, 14)), normal(1, (256, 256, 3, 3))


def conv(x, w):
    return convjax.conv2d(x, w, padding=1)


@pytest.fixture
def processes(monkeypatch):
    """Two machines, as two processes of a program may have: the function of one that lowers for it."""
    machines = Machine(cores=64), Machine(cores=1, chunk_elements=1 << 12)

    def lowered(n, lower):
        monkeypatch.setattr(_machine, "this_machine", lambda platform: machines[n]._replace(platform=platform))
        jax.clear_caches()
        return lower()

    yield lowered
    jax.clear_caches()


def lowered_here():
    return jax.jit(conv).lower(X, W).as_text()


def exported():
    return jax.export.export(jax.jit(conv))(X, W).mlir_module()


def test_a_program_of_one_process_is_made_for_its_machine(processes):
    assert len({processes(n, lowered_here) for n in (0, 1)}) == 2


def test_an_exported_program_is_the_same_from_every_machine(processes):
    assert len({processes(n, exported) for n in (0, 1)}) == 1


def test_processes_of_one_program_lower_the_same(processes, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert len({processes(n, lowered_here) for n in (0, 1)}) == 1


def test_the_same_call_gives_the_same_bits():
    first, second = (jax.device_get(jax.jit(lambda x, w: conv(x, w))(X, W)) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_versions_and_cores_are_read_in_one_file():
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
        read = names & {"__version_info__", "cpu_count", "sched_getaffinity", "process_cpu_count"}
        assert not read or path.name == "_machine.py", path
        assert "platform_dependent" not in names or path.name == "xla_cpu.py", path
