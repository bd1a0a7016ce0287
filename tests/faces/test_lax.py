"""`convjax.lax`: the functions of `jax.lax`, their values, derivatives, signatures and errors."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import equations, normal
from jax import lax

import convjax

NUMBERS = [("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC"), ("CNHW", "HWOI", "HWNC"), None]


def arrays(numbers, taps=(3, 2)):
    numbers = numbers or ("NCHW", "OIHW", "NCHW")
    sizes = dict(zip("NCHWOI", (2, 4, 8, 9, 6, 4), strict=True))
    x = normal(0, [sizes[axis] for axis in numbers[0]])
    w = normal(1, [{**sizes, "H": taps[0], "W": taps[1]}[axis] for axis in numbers[1]])
    return jnp.asarray(x, jnp.float64), jnp.asarray(w, jnp.float64)


CALLS = {
    "conv": lambda f, x, w, n: f(x, w, (2, 1), "SAME"),
    "conv_with_general_padding": lambda f, x, w, n: f(x, w, [1, 2], [(1, 2), (0, 1)], (2, 1), (1, 2)),
    "conv_general_dilated": lambda f, x, w, n: f(
        lhs=x, rhs=w, window_strides=[1, 1], padding="VALID", dimension_numbers=n
    ),
    "conv_transpose": lambda f, x, w, n: f(x, w, (2, 3), "SAME", (1, 2), n, transpose_kernel=False),
    "conv_general_dilated_patches": lambda f, x, w, n: f(x, (3, 2), (1, 2), [(1, 1), (0, 2)], dimension_numbers=n),
}


def check(name, call, *operands):
    """Values and both derivatives of a random cotangent, traced and not."""
    got, want = (lambda *a, m=m: call(getattr(m, name), *a) for m in (convjax.lax, lax))
    np.testing.assert_allclose(got(*operands), want(*operands), rtol=1e-9, atol=1e-9)
    primitives = [e.primitive.name for e in equations(got, *operands)]
    assert "convjax_conv" in primitives
    assert "conv_general_dilated" not in primitives
    results = []
    for f in (got, want):
        y, pull = jax.vjp(jax.jit(f), *operands)
        results.append(pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), *results)


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_values(name, numbers):
    if name in ("conv", "conv_with_general_padding"):  # they have no dimension numbers
        numbers = None
    if name == "conv_transpose" and numbers is None:
        numbers = NUMBERS[0]
    x, w = arrays(numbers)
    if name == "conv_general_dilated_patches":
        check(name, lambda f, x: CALLS[name](f, x, None, numbers), x)
    else:
        check(name, lambda f, x, w: CALLS[name](f, x, w, numbers), x, w)


@pytest.mark.parametrize("numbers", NUMBERS[:2], ids=str)
def test_unshared_kernels(numbers):
    x = arrays(numbers)[0]
    local = {"I": 4 * 3 * 2, "O": 5, "H": 4, "W": 8}
    w = jnp.asarray(normal(1, [local[axis] for axis in numbers[1]]), jnp.float64)
    call = lambda f, x, w: f(x, w, (2, 1), [(1, 1), (0, 0)], (3, 2), dimension_numbers=numbers)  # noqa: E731
    check("conv_general_dilated_local", call, x, w)


@pytest.mark.parametrize("name", convjax.lax.__all__)
def test_signatures(name):
    assert inspect.signature(getattr(convjax.lax, name)) == inspect.signature(getattr(lax, name))
    assert getattr(convjax.lax, name).__doc__.startswith(f"`jax.lax.{name}`")


@pytest.mark.parametrize(
    ("args", "kind"),
    [
        ((np.ones((1, 2, 4, 4)), np.ones((3, 3, 2, 2)), (1, 1), "SAME"), ValueError),
        ((np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2)), (1,), "SAME"), ValueError),
        ((np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2), np.float32), (1, 1), "SAME"), TypeError),
        ((np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2)), (1, 1), "SOME"), (ValueError, RuntimeError)),
        ((np.ones((1, 2, 4, 4)), np.ones((3, 2, 2, 2)), (1, 1)), TypeError),
        (("x", np.ones((3, 2, 2, 2)), (1, 1), "SAME"), (TypeError, AttributeError)),
    ],
)
def test_errors_are_those_of_lax(args, kind):
    messages = []
    for module in (convjax.lax, lax):
        with pytest.raises(kind) as raised:
            module.conv_general_dilated(*args)
        messages.append(str(raised.value))
    assert messages[0].splitlines()[0] == messages[1].splitlines()[0]
