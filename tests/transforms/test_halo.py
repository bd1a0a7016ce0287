"""Images in shares: `convjax.sharding`, and filters of `ndimage` and `edges`, which exchange halos by themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks.traffic import collectives
from convjax import edges, kernels, ndimage
from convjax.sharding import halo, sharded

NUMPY_MODES = {"reflect": "symmetric", "constant": "constant", "nearest": "edge", "mirror": "reflect", "wrap": "wrap"}


def mesh_of(*sizes: int, kind: AxisType = AxisType.Auto):
    return jax.make_mesh(sizes, ("outer", "inner")[: len(sizes)], axis_types=(kind,) * len(sizes))


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize("names", [("outer", "inner"), ("inner", "outer"), "inner"], ids=str)
def test_halo(names, mode):
    """Of any width, against numpy.pad of the whole, and its gradient. Mesh axes may be named in any order."""
    mesh, spec = mesh_of(2, 4), P(None, names)
    devices = 4 if names == "inner" else 8
    share = 16 // devices
    x = jnp.asarray(normal(0, (3, 16)))
    filled = {"constant_values": 2.5} if mode == "constant" else {}

    def windows(x, low, high):
        whole = jnp.pad(x, ((0, 0), (low, high)), NUMPY_MODES[mode], **filled)
        return jnp.concatenate([whole[:, n * share : (n + 1) * share + low + high] for n in range(devices)], 1)

    for low, high in ((1, 2), (5, 0), (9, 11)):
        run = lambda x, low=low, high=high: halo(x, 1, names, low, high, mode, 2.5)  # noqa: E731
        f = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec))
        want = windows(x, low, high)
        np.testing.assert_array_equal(f(x), want)
        got = jax.vjp(f, x)[1](jnp.sin(want))[0]
        np.testing.assert_allclose(got, jax.vjp(lambda x: windows(x, low, high), x)[1](jnp.sin(want))[0], atol=1e-5)  # noqa: B023


def test_errors():
    mesh, x = mesh_of(8), jnp.ones((8, 4))
    with pytest.raises(ValueError, match=r"(?s)sharding.halo: `name` is not a manual axis.*no jax.shard_map around"):
        halo(x, 0, "outer", 1)
    with pytest.raises(ValueError, match=r"(?s)`spec` does not divide the image.*\(9, 3\)"):
        sharded(ndimage.sobel, mesh, P("outer"))(jnp.ones((9, 3)))
    for options in ({"axis": 2}, {"low": -1}, {"mode": "reflected"}):
        call = lambda x, options=options: halo(x, **{"axis": 0, "name": "outer"} | options)  # noqa: E731
        with pytest.raises((ValueError, TypeError), match=r"sharding.halo"):
            jax.shard_map(call, mesh=mesh, in_specs=P("outer"), out_specs=P("outer"))(x)


KERNEL, DIAGONAL = normal(1, (5, 3)), np.eye(3, dtype=bool)
FILTERS = {  # and the rows that its windows reach in front of a result, and behind it
    "gaussian_filter": (lambda x, **options: ndimage.gaussian_filter(x, 1.5, **options), (6, 6)),
    "gaussian_gradient_magnitude": (lambda x, **o: ndimage.gaussian_gradient_magnitude(x, 1.5, **o), (6, 6)),
    "gaussian_laplace": (lambda x, **options: ndimage.gaussian_laplace(x, 1.5, **options), (6, 6)),
    "sobel": (lambda x, **options: ndimage.sobel(x, 0, **options), (1, 1)),
    "laplace": (ndimage.laplace, (1, 1)),
    "correlate": (lambda x, **options: ndimage.correlate(x, KERNEL, **options), (2, 2)),
    "convolve": (lambda x, **options: ndimage.convolve(x, KERNEL[:4], **options), (1, 2)),
    "uniform_filter": (lambda x, **options: ndimage.uniform_filter(x, 6, **options), (3, 2)),
    "median_filter": (lambda x, **options: ndimage.median_filter(x, 3, **options), (1, 1)),
    "maximum_filter": (lambda x, **options: ndimage.maximum_filter(x, 5, **options), (2, 2)),
    "percentile_filter": (lambda x, **options: ndimage.percentile_filter(x, 30, footprint=DIAGONAL, **options), (1, 1)),
    "gradient": (lambda x, **options: edges.gradient(x, kernels.sobel(), **options)[0], (1, 1)),
}


@pytest.mark.parametrize("axes", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("name", FILTERS)
def test_filters(name, axes):
    """A permutation to each side, of no more than the window reaches. In gradients as many again for each of two."""
    f, reach = FILTERS[name]
    mesh = mesh_of(8, kind=axes)
    x = normal(0, (64, 10)).astype(np.float32)
    for mode in ("reflect", "constant", "wrap"):
        run = jax.jit(lambda x, mode=mode: f(x, mode=mode, cval=1.5))
        slope = jax.jit(
            jax.grad(
                lambda x, mode=mode: (f(x, mode=mode, cval=1.5) * np.cos(np.arange(10, dtype=np.float32))[None]).sum()
            )
        )
        with jax.sharding.set_mesh(mesh):
            placed = jax.device_put(x, P("outer"))
            assert collectives(run.lower(placed).compile().as_text()) == {"collective-permute": (2, 10 * sum(reach))}
            found = collectives(slope.lower(placed).compile().as_text())
            assert found.keys() == {"collective-permute"}
            # The second pass of a maximum has to know the result of the first, whose gradient reads a halo again.
            assert found["collective-permute"][0] <= (6 if name == "maximum_filter" else 4)
            assert run(placed).sharding.spec[0] == "outer"
            got = np.asarray(run(placed)), np.asarray(slope(placed))
        np.testing.assert_allclose(got[0], run(x), atol=1e-5)
        np.testing.assert_allclose(got[1], slope(x), atol=1e-5)


@pytest.mark.parametrize("shape", [(64, 10), (30, 10), (6, 10)])
def test_shares_that_are_not_equal(shape):
    """After a slice, the last devices have fewer rows, or none, and the border begins inside of a share."""
    placed = jax.device_put(normal(0, (64, 10)), NamedSharding(mesh_of(8), P("outer")))
    for mode in NUMPY_MODES:
        f = lambda x, mode=mode: ndimage.gaussian_filter(x[: shape[0]] * 2, 1.0, mode=mode, cval=1.5)  # noqa: E731
        both = jax.jit(lambda x, f=f: (f(x), jax.grad(lambda x: jnp.sin(f(x)).sum())(x)))
        for got, want in zip(both(placed), both(np.asarray(placed)), strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16", "complex64", "bool"])
def test_dtypes(dtype):
    x = (50 * np.abs(normal(0, (32, 6)))).astype(dtype)
    placed = jax.device_put(x, NamedSharding(mesh_of(8), P("outer")))
    functions = [lambda x, **options: ndimage.correlate(x, np.ones((3, 3)) / 9, **options)]
    if dtype != "complex64":
        functions += [lambda x, **options: ndimage.maximum_filter(x, 3, **options)]
    for f in functions if dtype != "bool" else functions[1:]:
        for options in ({"mode": "mirror"}, {"mode": "constant", "cval": 2}):
            np.testing.assert_array_equal(f(placed, **options), f(x, **options))


def test_derivatives_of_every_order():
    """Forward over reverse, vmap, and a linearization, of a filter that is not linear."""
    x, v = (jnp.asarray(normal(n, (32, 6))) for n in (0, 1))
    loss = lambda x: jnp.sin(ndimage.median_filter(ndimage.gaussian_filter(x, 1.0) ** 2, 3)).sum()  # noqa: E731
    every = jax.jit(
        lambda x, v: (
            jax.jvp(jax.grad(loss), (x,), (v,))[1],
            jax.vmap(jax.grad(loss))(jnp.stack([x, v])),
            jax.linearize(lambda x: ndimage.laplace(x), x)[1](v),
            jax.grad(lambda x: (jax.grad(loss)(x) ** 2).sum())(x),
        )
    )
    placed = [jax.device_put(a, NamedSharding(mesh_of(8), P("outer"))) for a in (x, v)]
    for got, want in zip(every(*placed), every(x, v), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)


def test_canny_exchanges_borders_alone():
    x = normal(0, (64, 40)).astype(np.float32)
    placed = jax.device_put(x, NamedSharding(mesh_of(8), P("outer")))
    found = collectives(jax.jit(edges.canny).lower(placed).compile().as_text())
    assert found.keys() == {"collective-permute", "all-reduce"}
    assert found["all-reduce"][1] <= 2  # whether anything changed
    np.testing.assert_array_equal(edges.canny(placed), edges.canny(x))


def test_sharded():
    x = normal(0, (64, 10))
    for f, *arguments in ((ndimage.gaussian_filter, 2.0), (edges.canny,), (edges.gradient, kernels.sobel())):
        for got, want in zip(
            jax.tree.leaves(sharded(f, mesh_of(2, 4), P("inner", "outer"))(x, *arguments)),
            jax.tree.leaves(f(x, *arguments)),
            strict=True,
        ):
            assert got.sharding.spec == P("inner", "outer")
            np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), atol=1e-5)
