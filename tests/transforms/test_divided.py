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
    check(jax.jit(both(f))(*placed), want, described)


def check(results, want, described):
    for got, value in zip(results, want, strict=True):
        most = 1e-5 * float(jnp.abs(value).max()) + 1e-5
        np.testing.assert_allclose(got, value, rtol=0, atol=most, err_msg=described)


@pytest.mark.parametrize("seed", range(int(os.environ.get("DIVIDED_SEEDS", "8"))))
def test_second_derivatives_in_random_shardings(seed):
    rng = np.random.default_rng([12, seed])
    x, w, options, function = random_layer(rng)
    x, w = normal(seed, x), normal(seed + 1, w)
    loss = lambda x, w: jnp.sin(function(x, w, **options)).sum()  # noqa: E731

    def second(x, w):
        gradient = jax.grad(loss, (0, 1))
        along = jax.jvp(gradient, (x, w), (jnp.cos(x), jnp.cos(w)))[1]
        each = jax.vmap(lambda x: jax.grad(loss, 1)(x[None], w))(x)
        return *along, *jax.grad(lambda x, w: sum((g**2).sum() for g in gradient(x, w)), (0, 1))(x, w), each

    mesh = jax.make_mesh((2, 2, 2), AXES, axis_types=(AxisType.Auto,) * 3)
    placed = [jax.device_put(a, random_sharding(rng, mesh, a.shape)) for a in (x, w)]
    described = f"{x.shape} {w.shape} {options} {[a.sharding.spec for a in placed]}"
    check(jax.jit(second)(*placed), jax.jit(second)(x, w), described)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int32", "complex64"])
@pytest.mark.parametrize("algorithm", ["auto", "fft", "local", "xla"])
def test_dtypes_and_algorithms(algorithm, dtype):
    """Also within `jax.enable_x64`, which the thread that XLA asks for a share in may not know."""
    x, w = (3 * normal(n, shape) for n, shape in enumerate(((2, 4, 16, 9), (8, 4, 3, 3))))
    if algorithm == "fft" and dtype == "int32":
        return
    mesh = jax.make_mesh((2, 2, 2), AXES, axis_types=(AxisType.Auto,) * 3)
    for x64 in (False, True):
        with jax.enable_x64(x64 or dtype == "float64"):
            a, b = (jnp.asarray(v).astype(dtype) for v in (x, w))
            f = jax.jit(lambda a, b: convjax.conv2d(a, b, padding=1, algorithm=algorithm))
            placed = jax.device_put(a, NamedSharding(mesh, P("data", None, ("space", "model"))))
            got, want = f(placed, b), f(a, b)
            assert got.dtype == want.dtype == dtype
            wide = lambda y: np.asarray(y.astype("complex64"))  # noqa: E731
            rounding = 1e-2 if dtype == "bfloat16" else 1e-4
            np.testing.assert_allclose(wide(got), wide(want), rtol=0, atol=rounding * abs(wide(want)).max())


def random_stencil(rng):
    """A function of an image and a weight whose windows are those of a random layer, and their shapes."""
    dims, groups = int(rng.integers(1, 3)), int(rng.choice([1, 2]))
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, most, dims))) for most in (6, 4, 3))
    sizes = tuple(map(int, rng.choice([16, 16, 24, 19, 22], dims)))
    x = int(rng.choice([2, 4])), 4, *sizes
    w = 4, 4 // groups, *kernel
    options = {"stride": stride, "dilation": dilation}
    name = ("conv", "max_pool", "avg_pool", "unfold", "fold", "accelerate")[int(rng.integers(6))]
    if name == "conv":
        pads = tuple(tuple(map(int, rng.integers(0, 8, 2))) for _ in range(dims))
        options |= {
            "padding": pads,
            "groups": groups,
            "padding_mode": str(rng.choice(["reflect", "replicate", "circular"])),
        }
        return lambda x, w: convjax.conv(x, w, **options), x, w
    if name == "avg_pool":
        options.pop("dilation")
    options["padding"] = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    if name in ("max_pool", "avg_pool"):
        pool = getattr(convjax, f"{name}{dims}d")
        return lambda x, w: pool(x, kernel, **options) * w.sum(), x, w
    unfold = lambda x: convjax.unfold(x, kernel, **options)  # noqa: E731
    if name == "fold":
        return lambda x, w: convjax.fold(unfold(x) ** 2, sizes, kernel, **options) * w.sum(), x, w
    if name == "unfold":
        return lambda x, w: unfold(x) * w.sum(), x, w
    pads = tuple((p, p) for p in options["padding"])
    window = (1, 1, *kernel), (1, 1, *stride), ((0, 0), (0, 0), *pads)
    pool = lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *window)  # noqa: E731
    return convjax.accelerate(lambda x, w: pool(x) * w.sum()), x, w


@pytest.mark.parametrize("seed", range(int(os.environ.get("DIVIDED_SEEDS", "16"))))
def test_random_stencils_in_random_shardings(seed):
    """Borders, poolings and patches. A fifth of the elements are equal, so that windows have to choose."""
    rng = np.random.default_rng([13, seed])
    f, x, w = random_stencil(rng)
    x, w = normal(seed, x), normal(seed + 1, w)
    x[rng.random(x.shape) < 0.2] = 3
    ct = normal(seed + 2, jax.eval_shape(f, x, w).shape)
    want = jax.jit(both(f))(x, w, ct)
    mesh = jax.make_mesh((2, 2, 2), AXES, axis_types=(AxisType.Auto,) * 3)
    placed = [jax.device_put(a, random_sharding(rng, mesh, a.shape)) for a in (x, w, ct)]
    check(jax.jit(both(f))(*placed), want, f"{x.shape} {w.shape} {[a.sharding.spec for a in placed]}")
