"""Values where XLA's partitioner divides a program among eight devices, against the same program on one device.

Of every family of the benchmark: the image sharded by rows, alone and with the batch, with and without axes of the mesh
that are left unused. A convolution whose input and kernel are both sharded in space is what the partitioner gets wrong.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal
from jax.experimental.jet import jet
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import convjax
from benchmarks.traffic import CASES, both
from convjax import edges, kernels, ndimage, signal
from convjax._choice import choose

LAYOUTS = {  # sizes and names of the axes of the mesh, and where the image lies
    "rows": ((8,), ("space",), P(None, None, "space")),
    "rows and batch": ((2, 4), ("data", "space"), P("data", None, "space")),
    "rows, one unused": ((4, 2), ("space", "model"), P(None, None, "space")),
    "rows, two unused": ((2, 2, 2), ("data", "space", "model"), P(None, None, "space")),
}


def placed(layout, kind_of_axes, *arrays):
    """The first array as the layout says, the others whole on every device."""
    sizes, names, spec = LAYOUTS[layout]
    mesh = jax.make_mesh(sizes, names, axis_types=(kind_of_axes,) * len(names))
    return [jax.device_put(a, NamedSharding(mesh, s)) for a, s in zip(arrays, (spec, P(), P()), strict=False)]


def derivatives(f):
    return jax.jit(both(f))


def arrays_of(case):
    x, w = (jnp.asarray(normal(i, shape), case.dtype) for i, shape in enumerate((case.x, case.weight)))
    return x, w, jnp.asarray(normal(2, jax.eval_shape(case, x, w).shape), case.dtype)


def same(got, want):
    for g, w in zip(got, want, strict=True):
        g, w, rounding = np.asarray(g, float), np.asarray(w, float), jnp.finfo(w.dtype).eps
        assert np.abs(g - w).max() <= max(1e-5, 2 * rounding) * np.abs(w).max()


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_every_family(case):
    arrays = arrays_of(case)
    want = derivatives(case)(*arrays)
    for layout in LAYOUTS:
        same(derivatives(case)(*placed(layout, AxisType.Auto, *arrays)), want)


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_every_family_without_preferences(case, monkeypatch, request):
    """As on a platform whose convolutions are all XLA's own, such as a TPU."""
    arrays = arrays_of(case)
    want = derivatives(case)(*arrays)
    monkeypatch.setattr(choose, "PREFERENCES", {})
    request.addfinalizer(jax.clear_caches)
    jax.clear_caches()
    same(derivatives(case)(*placed("rows, two unused", AxisType.Auto, *arrays)), want)


LAYERS = {  # x, weight and options: first layers, and what no product of few copies serves
    "first layer": ((4, 3, 16, 16), (8, 3, 3, 3), {"padding": 1}),
    "strided first layer": ((4, 3, 16, 16), (8, 3, 7, 7), {"padding": 3, "stride": 2}),
    "many taps": ((4, 2, 16, 16), (3, 2, 9, 9), {"padding": 4}),
    "dilated": ((2, 4, 16, 16), (6, 4, 3, 3), {"padding": 2, "dilation": 2, "stride": 2}),
}


@pytest.mark.parametrize(("algorithm", "axes"), [("xla", AxisType.Auto), ("auto", AxisType.Explicit)])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, algorithm, axes):
    """Also where the forward call names XLA's own convolution, and under a mesh with explicit axes."""
    x, w, options = LAYERS[name]
    x, w = jnp.asarray(normal(0, x)), jnp.asarray(normal(1, w))
    f = lambda x, w: convjax.conv2d(x, w, **options, algorithm=algorithm)  # noqa: E731
    loss = lambda x, w: (jnp.sin(f(x, w))).sum()  # noqa: E731
    every = jax.jit(lambda x, w: (f(x, w), *jax.grad(loss, (0, 1))(x, w)))
    want = every(x, w)
    x, w = placed("rows, two unused", axes, x, w)
    with jax.sharding.set_mesh(x.sharding.mesh):
        same(every(x, w), want)


@pytest.mark.parametrize("transpose", [False, True])
def test_second_derivatives(transpose):
    function = convjax.conv_transpose2d if transpose else convjax.conv2d
    x, w = jnp.asarray(normal(0, (4, 3, 16, 16))), jnp.asarray(normal(1, (3, 3, 4, 4)))
    loss = lambda x, w: (jnp.sin(function(x, w, stride=2, padding=1, dilation=2))).sum()  # noqa: E731
    second = jax.jit(lambda x, w: jax.jvp(jax.grad(loss, (0, 1)), (x, w), (jnp.cos(x), jnp.cos(w)))[1])
    same(second(*placed("rows, two unused", AxisType.Auto, x, w)), second(x, w))


def test_the_gradient_of_a_sum():
    """1024 in the middle of a kernel, where the partitioner's own convolution says 2048."""
    x, w = placed("rows, two unused", AxisType.Auto, jnp.ones((4, 3, 16, 16)), jnp.ones((8, 3, 3, 3)))
    gradient = jax.jit(jax.grad(lambda w: convjax.conv2d(x, w, padding=1).sum()))(w)
    np.testing.assert_array_equal(gradient[:, :, 1, 1], 1024)


@pytest.mark.parametrize("layout", ["rows and batch", "rows, one unused"])
def test_large_kernels(layout):
    x, w = jnp.asarray(normal(0, (2, 1, 64, 64))), jnp.asarray(normal(1, (1, 1, 31, 31)))
    f = derivatives(lambda x, w: convjax.conv2d(x, w, padding=15))
    ct = jnp.asarray(normal(2, x.shape))
    same(f(*placed(layout, AxisType.Auto, x, w, ct)), f(x, w, ct))


@pytest.mark.parametrize("axes", [AxisType.Auto, AxisType.Explicit])
def test_two_sharded_signals(axes):
    """Neither of which is the weight of a layer."""
    a, b = jnp.asarray(normal(0, (16, 16))), jnp.asarray(normal(1, (16, 16)))
    mesh = jax.make_mesh((2, 2, 2), ("data", "space", "model"), axis_types=(axes,) * 3)
    every = jax.jit(lambda a, b: [signal.convolve(a, b, mode, "direct") for mode in ("full", "same", "valid")])
    with jax.sharding.set_mesh(mesh):
        same(every(*[jax.device_put(x, NamedSharding(mesh, P("space"))) for x in (a, b)]), every(a, b))


@pytest.mark.parametrize(
    ("image", "kernels"),
    [
        (P(None, None, "space"), P("model", None, "space")),
        (P(None, None, "space"), P("model")),
        (P(None, "model", "space"), P(None, "model")),
        (P("data", "model", "space"), P()),
    ],
)
@pytest.mark.parametrize("algorithm", ["xla", "auto"])
def test_explicit_sharding_of_spatial_axes_and_channels_or_kernels(image, kernels, algorithm):
    """Where the partitioner is wrong in the forward pass and the input gradient of XLA's own convolution, too."""
    x, w = jnp.asarray(normal(0, (4, 4, 16, 16))), jnp.asarray(normal(1, (8, 4, 4, 4)))
    f = derivatives(lambda x, w: convjax.conv2d(x, w, algorithm=algorithm))
    ct = jnp.asarray(normal(2, (4, 8, 13, 13)))
    want = f(x, w, ct)
    mesh = jax.make_mesh((2, 2, 2), ("data", "space", "model"), axis_types=(AxisType.Explicit,) * 3)
    with jax.sharding.set_mesh(mesh):
        x, w = jax.device_put(x, image), jax.device_put(w, kernels)
        layout = jax.typeof(jax.eval_shape(f, x, w, ct)[0]).sharding.spec
        assert layout[1] == (None if algorithm == "xla" else kernels[0] if kernels else None)
        ct = jax.device_put(ct, layout)
        same(f(x, w, ct), want)
        exported = jax.export.deserialize(jax.export.export(f)(x, w, ct).serialize())
        same(jax.jit(exported.call)(x, w, ct), want)


def test_other_transformations_under_explicit_sharding_of_space_and_kernels():
    x, w = jnp.asarray(normal(0, (3, 2, 4, 16, 16))), jnp.asarray(normal(1, (8, 4, 3, 3)))
    loss = lambda w, x: jnp.sin(convjax.conv2d(x, w, padding=1)).sum()  # noqa: E731
    mapped = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))
    second = jax.jit(lambda w, x: jax.jvp(jax.grad(loss), (w, x[0]), (jnp.cos(w), x[1])))
    series = jax.jit(lambda w, x: jet(loss, (w, x[0]), [[jnp.cos(w), w], [x[1], x[2]]])[1])
    want = mapped(w, x), *second(w, x), *series(w, x)
    mesh = jax.make_mesh((2, 2), ("space", "model"), axis_types=(AxisType.Explicit,) * 2)
    with jax.sharding.set_mesh(mesh):
        w, x = jax.device_put(w, P("model")), jax.device_put(x, P(None, None, None, "space"))
        same((mapped(w, x), *second(w, x), *series(w, x)), want)


KERNEL = normal(1, (5, 3))
IMAGES = {
    "gaussian_filter": lambda x: ndimage.gaussian_filter(x, 1.5),
    "sobel": ndimage.sobel,
    "correlate": lambda x: ndimage.correlate(x, KERNEL, "wrap"),
    "uniform_filter": lambda x: ndimage.uniform_filter(x, 19),
    "median_filter": lambda x: ndimage.median_filter(x, 3),
    "maximum_filter": lambda x: ndimage.maximum_filter(x, 5),
    "canny": edges.canny,
    "gradient": lambda x: edges.gradient(x, kernels.sobel()),
    "fftconvolve": lambda x: signal.fftconvolve(x, KERNEL, "same"),
    "correlate2d": lambda x: signal.correlate2d(x, KERNEL, "same", "symm"),
    "oaconvolve": lambda x: signal.oaconvolve(x, KERNEL),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_under_explicit_axes(name):
    """The result lies as the image does, where the mesh divides it."""
    x = jnp.asarray(normal(0, (32, 24)))
    want = jax.jit(IMAGES[name])(x)
    mesh = jax.make_mesh((2, 4), ("data", "space"), axis_types=(AxisType.Explicit,) * 2)
    with jax.sharding.set_mesh(mesh):
        got = IMAGES[name](jax.device_put(x, P("data", "space")))
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert jax.typeof(g).sharding.spec == (P("data", "space") if g.shape == x.shape else P("data", None))
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5)


def test_gradients_that_cannot_be_partitioned_raise():
    (n,) = jax.export.symbolic_shape("n")
    gradient = jax.jit(jax.grad(lambda w, x: convjax.conv2d(x, w, padding=1).sum()))
    _, _, spec = LAYOUTS["rows"]
    mesh = jax.make_mesh((8,), ("space",), axis_types=(AxisType.Auto,))
    w, x = (
        jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, layout))
        for shape, layout in (((8, 3, 3, 3), P()), ((n, 3, 16, 16), spec))
    )
    with pytest.raises(NotImplementedError, match=r"(?s)`weight` has a gradient .*shard_map"):
        jax.export.export(gradient)(w, x)
