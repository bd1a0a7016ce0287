"""The primitive's rules: what they compute, and that each is again the primitive."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import BY_NAME, CASES, compiled_text, equations, normal
from jax.test_util import check_grads

import convjax
from convjax._operation.primitive import convolve
from convjax._spec import ConvSpec, Hints

# The five kinds of spec that the rules tell apart, beyond what the cases hold.
SPECS = {
    "dense": (ConvSpec((1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)), (2, 3, 6, 5), (4, 3, 3, 2)),
    "grouped": (ConvSpec((2, 3), ((1, 2), (0, 1)), (1, 1), (1, 1), 2), (2, 4, 7, 8), (6, 2, 3, 2)),
    "depthwise": (ConvSpec((1,), ((2, 1),), (1,), (3,), 4), (2, 4, 12), (4, 1, 3)),
    "transposed": (ConvSpec((1, 1), ((2, 1), (1, 1)), (2, 3), (1, 2), 1), (1, 3, 4, 3), (2, 3, 3, 2)),
    "everything": (ConvSpec((2, 1), ((-1, 4), (2, -2)), (3, 2), (1, 2), 2), (2, 4, 4, 5), (6, 2, 3, 2)),
}
every_spec = pytest.mark.parametrize("name", SPECS)


def operands(name):
    spec, x, w = SPECS[name]
    return spec, jnp.asarray(normal(0, x)), jnp.asarray(normal(1, w))


def primitives(f, *args) -> list[str]:
    return [e.primitive.name for e in equations(f, *args)]


@every_spec
def test_values_and_gradients(name):
    spec, x, w = operands(name)
    y, vjp = jax.vjp(lambda x, w: convolve(x, w, spec), x, w)
    ct = normal(2, y.shape)
    for got, want in zip(
        (y, *vjp(ct)), (reference.conv(x, w, spec), *reference.gradients(x, w, ct, spec)), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


@every_spec
@pytest.mark.parametrize("axes", [a for a in itertools.product((0, 1, 2, None), repeat=2) if a != (None, None)])
def test_batching(name, axes):
    spec, x, w = operands(name)

    def stacked(a, axis):
        return a if axis is None else jnp.stack([a, 2 * a + 1, a - 1], axis)

    def each(a, axis, i):
        return a if axis is None else jnp.take(a, i, axis)

    def everything(x, w):
        y, vjp = jax.vjp(lambda x, w: convolve(x, w, spec), x, w)
        return y, *vjp(jnp.cos(y))

    xs, ws = stacked(x, axes[0]), stacked(w, axes[1])
    got = jax.vmap(everything, axes)(xs, ws)
    for i in range(3):
        want = everything(each(xs, axes[0], i), each(ws, axes[1], i))
        for g, e in zip(got, want, strict=True):
            np.testing.assert_allclose(g[i], e, rtol=1e-4, atol=1e-4)


def test_batching_twice():
    spec, x, w = operands("grouped")
    xs, ws = jnp.stack([x, -x, 2 * x]), jnp.stack([w, w + 1])
    got = jax.vmap(jax.vmap(lambda x, w: convolve(x, w, spec), (None, 0)), (0, None))(xs, ws)
    for i, j in itertools.product(range(3), range(2)):
        np.testing.assert_allclose(got[i, j], convolve(xs[i], ws[j], spec), rtol=1e-5, atol=1e-4)


@every_spec
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_two_orders_in_both_modes_by_finite_differences(name, dtype):
    if not jax.config.jax_enable_x64:
        dtype = {np.float64: np.float32, np.complex128: np.complex64}[dtype]
    spec, x, w = SPECS[name]
    # The step of the differences balances their truncation against rounding.
    tolerance, eps = (1e-6, 1e-5) if jax.config.jax_enable_x64 else (3e-2, 1e-2)
    weights = normal(2, jax.eval_shape(lambda: convolve(jnp.zeros(x), jnp.zeros(w), spec)).shape, dtype)

    def f(x, w):  # a random cotangent, and curvature that a bilinear function lacks
        y = convolve(x, w, spec)
        return (y * weights + y * y / 8).sum()

    operands = jnp.asarray(normal(0, x, dtype)), jnp.asarray(normal(1, w, dtype))
    check_grads(f, operands, order=2, modes=("fwd", "rev"), rtol=tolerance, atol=tolerance, eps=eps)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_derivative_is_the_primitive(case):
    x, w = normal(0, case.x), normal(1, case.weight)
    y = case(x, w)

    def count(f, *args):
        names = primitives(f, *args)
        assert not [p for p in names if "scatter" in p or "gather" in p or p == "conv_general_dilated"]
        return names.count("convjax_conv")

    assert count(case, x, w) == 1
    assert count(lambda x, w: jax.jvp(case, (x, w), (x, w)), x, w) == 3
    assert count(lambda x, w, ct: jax.vjp(case, x, w)[1](ct), x, w, y) == 3
    assert count(jax.vmap(case), x[None], w[None]) == 1
    # Forward over reverse: the result and both gradients, each with its value and a tangent for either operand.
    gradient = jax.grad(lambda x, w: (case(x, w) ** 2).sum(), (0, 1))
    assert count(lambda x, w: jax.jvp(gradient, (x, w), (x, w)), x, w) == 9


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_no_scatter_behind_borders_or_windows(mode):
    x, w = normal(0, (2, 3, 6, 6)), normal(1, (4, 3, 3, 3))

    def both(x, w):
        y = convjax.conv2d(x, w, padding=((2, 1), (0, 2)), padding_mode=mode)
        z = convjax.conv_transpose2d(y, w, stride=2, padding=1, padding_mode=mode)
        return convjax.fold(convjax.unfold(z, 3, 2, 1, 2), z.shape[2:], 3, 2, 1, 2)

    gradient = jax.grad(lambda x, w: (both(x, w) ** 2).sum(), (0, 1))
    names = primitives(gradient, x, w)
    assert not [p for p in names if "scatter" in p or "gather" in p]
    assert "scatter" not in jax.jit(gradient).lower(x, w).as_text()


def test_what_xla_mistakes_for_a_batch_axis():
    # In plain lax this ends the process: see direct.py.
    x, w = normal(0, (2, 2, 5, 3)), normal(1, (2, 2, 2, 5))
    spec = ConvSpec((1, 1), ((0, 0), (4, 4)), (2, 2), (1, 1))
    np.testing.assert_allclose(convolve(jnp.asarray(x), jnp.asarray(w), spec), reference.conv(x, w, spec), atol=1e-5)


def test_a_large_window_is_a_handful_of_operations():
    x = jnp.zeros((1, 1, 2000))
    names = primitives(lambda x: convjax.unfold(x, (999,)), x)
    assert len(names) < 20


def test_named_xla_applies_to_gradients():
    x, w = normal(0, (1, 1, 4, 4)), normal(1, (1, 1, 3, 3))

    def algorithms(name):
        f = lambda x, w: convjax.conv2d(x, w, algorithm=name)  # noqa: E731
        found = equations(lambda x, w, ct: jax.vjp(f, x, w)[1](ct), x, w, f(x, w))
        return [e.params["algorithm"] for e in found if e.primitive.name == "convjax_conv"]

    assert algorithms("xla") == ["xla"] * 3
    assert algorithms("auto") == ["auto"] * 3


def test_gradient_specs_of_a_case_by_hand():
    # 8 elements, padding 1, kernel 3, stride 2: 4 positions, and one element of the padding left over. 9, no padding,
    # kernel 2, stride 1: 8 positions.
    case = BY_NAME["grouped_strided"]
    x, w = normal(0, case.x), normal(1, case.weight)
    y, vjp = jax.vjp(case, x, w)
    specs = [e.params["spec"] for e in equations(vjp, y) if e.primitive.name == "convjax_conv"]
    assert ConvSpec((1, 1), ((1, 0), (0, 0)), (1, 1), (2, 1), 2, hints=Hints(layer_weight="result")) in specs  # weight
    assert ConvSpec((1, 1), ((1, 2), (1, 1)), (2, 1), (1, 1), 2, hints=Hints(flipped_weight=True)) in specs  # input


def test_a_hint_says_whether_the_weight_is_flipped():
    x, w = normal(0, (1, 2, 6, 6)), normal(1, (2, 2, 3, 3))
    flipped = lambda f, *args: [  # noqa: E731
        e.params["spec"].hints.flipped_weight for e in equations(f, *args) if e.primitive.name == "convjax_conv"
    ]
    gradient = lambda conv: lambda x, w: jax.vjp(lambda x: conv(x, w), x)[1](conv(x, w) * 0)[0]  # noqa: E731
    assert flipped(convjax.conv2d, x, w) == [False]
    assert flipped(gradient(convjax.conv2d), x, w)[-1]
    assert flipped(convjax.conv_transpose2d, x, w) == [True]
    assert not flipped(gradient(convjax.conv_transpose2d), x, w)[-1]
    # A batch of weights becomes one kernel, which is no other array flipped.
    assert flipped(jax.vmap(convjax.conv_transpose2d, (None, 0)), x, w[None]) == [False]


def test_a_heavy_weight_is_not_flipped():
    """The input gradient of few positions reads it as it is stored: XLA sees that one flip undoes the other.

    oneDNN flips it, and is faster nevertheless. It does not compute with float16.
    """
    w = normal(1, (64, 64, 3, 3)).astype(np.float16)
    dx = lambda ct, w: jax.vjp(lambda x: convjax.conv2d(x, w, padding=1), ct)[1](ct)[0]  # noqa: E731
    flips = lambda size: "reverse" in compiled_text(dx, normal(0, (1, 64, size, size)).astype(np.float16), w)  # noqa: E731
    assert not flips(5)
    assert flips(12)
