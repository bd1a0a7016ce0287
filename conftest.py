"""The strict settings that every test runs under. JAX_ENABLE_X64=0 runs the suite without 64-bit types."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
# To compile is most of what the tests do, and their values do not depend on how hard LLVM optimises. OPTIMISED=1
# compiles as users do.
if not os.environ.get("OPTIMISED"):
    os.environ["XLA_FLAGS"] += " --xla_backend_optimization_level=0"
# With a thread per device, XLA deadlocks and aborts where 32 programs of a device are under way: launching the next one
# waits on the last thread, which the collective needs that the other three wait in (jax 0.10.2).
os.environ.setdefault("NPROC", "32")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def _as_a_newcomer_sees_it(request):
    """Doctests show what JAX's defaults give."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def pytest_ignore_collect(collection_path, config):
    """What needs torch runs by name only: the parity suite, and the script that records torch's numbers."""
    if collection_path.name in ("parity", "golden"):
        return not any(collection_path.name in argument for argument in config.args) or None
    return None
