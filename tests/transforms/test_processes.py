"""Programs that several processes run together, as on several hosts, by value against one process."""

import os
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import convjax
from convjax import edges, ndimage
from convjax.sharding import halo

port, count, index, dies = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "dies"
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", count, index, heartbeat_timeout_seconds=10)
mesh = jax.make_mesh((8,), ("all",), axis_types=(AxisType.Auto,))
rng = np.random.default_rng(0)
x, w, small = (rng.standard_normal(shape).astype(np.float32) for shape in ((8, 3, 16, 16), (8, 3, 3, 3), (1, 1, 3, 3)))
image = rng.standard_normal((64, 24)).astype(np.float32)


def placed(a, spec):
    sharding = NamedSharding(mesh, spec)
    return jax.make_array_from_callback(a.shape, sharding, lambda index: a[index])


def check(name, got, want, atol=2e-5):
    got = multihost_utils.process_allgather(got, tiled=True)
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), rtol=0, atol=atol, err_msg=name)


def loss(w, x):
    return (jnp.tanh(convjax.conv2d(x, w, padding=1)) ** 2).mean()


def step(w, x):
    return w - 0.1 * jax.grad(loss)(w, x)


def step_by_hand(w, x):
    return w - 0.1 * jax.lax.pmean(jax.grad(loss)(jax.lax.pcast(w, "all", to="varying"), x), "all")


def blurred_by_hand(x):
    return ndimage.uniform_filter(halo(x, 0, "all", 1, 1, "reflect"), 3)[1:-1]


if dies and index:
    sys.exit(0)
check("training step", jax.jit(step)(placed(w, P()), placed(x, P("all"))), step(w, x))
by_hand = jax.jit(jax.shard_map(step_by_hand, mesh=mesh, in_specs=(P(), P("all")), out_specs=P()))
check("training step by shard_map", by_hand(placed(w, P()), placed(x, P("all"))), step(w, x))
both = jax.jit(lambda x, w: (convjax.conv2d(x, w, padding=1), *jax.grad(loss, (0, 1))(w, x)))
for name, got, want in zip("ywx", both(placed(x, P(None, None, "all")), placed(w, P())), both(x, w)):
    check("rows " + name, got, want)
check("gaussian_filter", ndimage.gaussian_filter(placed(image, P("all")), 1.5), ndimage.gaussian_filter(image, 1.5))
check("canny", edges.canny(placed(image, P("all"))), edges.canny(image), 0)
halos = jax.jit(jax.shard_map(blurred_by_hand, mesh=mesh, in_specs=P("all"), out_specs=P("all")))
check("halo", halos(placed(image, P("all"))), ndimage.uniform_filter(image, 3))
print("finished", jax.process_count(), len(jax.devices()))
"""


def start(count: int, dies: str = "") -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    devices = f"--xla_force_host_platform_device_count={8 // count} --xla_backend_optimization_level=0"
    env = {**os.environ, "XLA_FLAGS": devices, "NPROC": "16", "JAX_ENABLE_X64": "0", "JAX_PLATFORMS": "cpu"}
    return [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port), str(count), str(index), dies or "lives"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(count)
    ]


def ended(processes: list[subprocess.Popen], seconds: float) -> list[str]:
    try:
        return [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("count", [2, 4])
def test_values(count):
    processes = start(count)
    for text in ended(processes, 240):
        assert text.splitlines()[-1] == f"finished {count} 8", text[-3000:]


def test_a_process_that_ends_early_ends_the_others():
    processes = start(2, "dies")
    ended(processes, 120)
    assert processes[0].returncode != 0
