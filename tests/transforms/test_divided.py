"""Convolutions that are divided among eight devices, in random shardings, against the same on one device."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from benchmarks.traffic import both

AXES = ("data", "space", "model")


def random_layer(rng):
    """Shapes of x and of the weight, and options."""
    dims, groups = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 4]))
    inputs, outputs = (int(n) for n in rng.choice([1, 2, 4], 2))
    kernel = tuple(map(int, rng.integers(1, (9, 5, 4)[dims - 1], dims)))
    options = {
        "stride": tuple(map(int, rng.choice([1, 1, 2, 3], dims))),
        "dilation": tuple(map(int, rng.choice([1, 1, 2], dims))),
        "padding": tuple(tuple(map(int, pads)) for pads in rng.choice([0, 1, 1, 2, 5], (dims, 2))),
        "groups": groups,
    }
    sizes = tuple(map(int, rng.choice([8, 8, 16, 12, 10, 9], dims) + 8 * (dims == 1)))
    transpose = rng.random() < 0.3
    x = int(rng.choice([2, 4])), groups * inputs, *sizes
    if transpose:
        options["padding"] = tuple(
            (min(low, k - 1), min(high, k - 1)) for (low, high), k in zip(options["padding"], kernel, strict=True)
        )
        return x, (groups * inputs, outputs, *kernel), options, convjax.conv_transpose
    reach = [(k - 1) * r + 1 for k, r in zip(kernel, options["dilation"], strict=True)]
    options["padding"] = tuple(
        (low, max(high, extent - n - low))
        for (low, high), extent, n in zip(options["padding"], reach, sizes, strict=True)
    )
    return x, (groups * outputs, inputs, *kernel), options, convjax.conv


def random_sharding(rng, mesh: Mesh, shape) -> NamedSharding:
    """Some axes of the mesh, each for an axis of the array that it divides."""
    entries: list[tuple[str, ...]] = [()] * len(shape)
    for name in rng.permutation(AXES):
        axis = int(rng.integers(0, len(shape)))
        if (
            rng.random() < 0.8
            and shape[axis] % (mesh.shape[name] * int(np.prod([mesh.shape[n] for n in entries[axis]]))) == 0
        ):
            entries[axis] = (*entries[axis], str(name))
    return NamedSharding(mesh, P(*[entry or None for entry in entries]))


@pytest.mark.parametrize("seed", range(int(os.environ.get("DIVIDED_SEEDS", "24"))))
def test_random_layers_in_random_shardings(seed):
    rng = np.random.default_rng([11, seed])
    x, w, options, function = random_layer(rng)
    f = lambda x, w: function(x, w, **options)  # noqa: E731
    x, w = normal(seed, x), normal(seed + 1, w)
    ct = normal(seed + 2, jax.eval_shape(f, x, w).shape)
    want = jax.jit(both(f))(x, w, ct)
    mesh = jax.make_mesh((2, 2, 2), AXES, axis_types=(AxisType.Auto,) * 3)
    placed = [jax.device_put(a, random_sharding(rng, mesh, a.shape)) for a in (x, w, ct)]
    described = f"{x.shape} {w.shape} {options} {[a.sharding.spec for a in placed]}"
    for got, value in zip(jax.jit(both(f))(*placed), want, strict=True):
        np.testing.assert_allclose(
            got, value, rtol=0, atol=1e-5 * float(jnp.abs(value).max()) + 1e-5, err_msg=described
        )
