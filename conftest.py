"""The strict settings that every test runs under. JAX_ENABLE_X64=0 runs the suite without 64-bit types."""

import gc
import importlib.metadata
import os
import zlib

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
# The tests spend most of their time compiling, and their values do not depend on how XLA makes the code of a fusion.
# jaxlib 0.10 can still make it without MLIR, which takes half as long: the suite takes 531 s instead of 994. With
# OPTIMISED=1 the tests compile as users do.
if not os.environ.get("OPTIMISED"):
    os.environ["XLA_FLAGS"] += " --xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"
# With one thread per device, XLA deadlocks and aborts if 32 programs of a device are in flight. The launch of the next
# program then blocks the last free thread. The other threads wait in a collective that needs this thread (jax 0.10.2).
os.environ.setdefault("NPROC", "32")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
gc.set_threshold(50_000, 20, 20)  # tracing makes many objects; Python's own threshold of 700 costs a tenth of the time


@pytest.fixture(autouse=True)
def _default_settings_for_doctests(request):
    """Run doctests under JAX's default settings."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def pytest_addoption(parser):
    """Add the option for a part of the suite."""
    parser.addoption("--one-in", type=int, default=1, metavar="N", help="run one in N of the parameters of each test")


def pytest_collection_modifyitems(config, items):
    """Leave out parameters by a hash of their names, so that no value of one parameter is left out everywhere."""
    share, tests, kept, left_out = config.getoption("--one-in"), set(), [], []
    for item in items:
        test = item.nodeid.partition("[")[0]
        (left_out if test in tests and zlib.crc32(item.nodeid.encode()) % share else kept).append(item)
        tests.add(test)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def pytest_ignore_collect(collection_path, config):
    """What needs more packages runs by name only: parity, the script that records torch's numbers, models, and tpu."""
    if collection_path.name in ("parity", "golden", "models", "tpu"):
        return not any(collection_path.name in argument for argument in config.args) or None
    return None
