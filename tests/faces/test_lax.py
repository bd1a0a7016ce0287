"""`convjax.lax`: the functions of `jax.lax`, their values, derivatives, signatures and errors."""

import functools
import inspect
import itertools
import math

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


# ---- the parameters of jax's own tests (tests/lax_test.py of jax-ml/jax), of which some are drawn ----

SPECS = {n: [["".join(p) for p in itertools.permutations(axes[: n + 2])] for axes in ("NCHW", "OIHW")] for n in (1, 2)}


def pick(rng, *values):
    return values[rng.integers(len(values))]


def general_dilated(rng):
    batch_groups, groups = pick(rng, (1, 1), (2, 1), (1, 2))
    b, i, j = rng.integers(2, 4, 3).tolist()
    shapes = (b * batch_groups, i * groups, 9, pick(rng, 0, 10, 10)), (j * groups * batch_groups, i, 4, 5)
    numbers = pick(rng, ("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC"), ("NCHW", "HWIO", "NHWC"))
    steps = pick(rng, (1, 1), (2, 1)), pick(rng, ((1, 2), (2, 0)), ((10, 8), (7, 13)))
    dilations = [pick(rng, (1, 1), (1, 2), (1, 4)) for _ in range(2)]
    orders = [[axes.index(a) for a in spec] for axes, spec in zip(("NCHW", "OIHW"), numbers, strict=False)]
    shapes = [[shape[axis] for axis in order] for shape, order in zip(shapes, orders, strict=True)]
    return shapes, (*steps, *dilations, numbers, groups, batch_groups), {}


def transpose(rng):
    n, (b, i, j), k = pick(rng, 0, 1, 2, 2), rng.integers(2, 4, 3).tolist(), pick(rng, 3, 4, 5)
    letters = ["", "H", "HW"][n]
    sizes = {"N": b, "C": i, "H": 9, "W": 10}
    flipped = n == 2 and pick(rng, True, False)
    pairs = [tuple(rng.integers(0, 3, 2).tolist()) for _ in range(n)]
    padding = pick(rng, "VALID", "SAME", *[pairs] * 2 * (n == 2))
    strides = pick(rng, *itertools.product((1, 2, 3), repeat=n))
    kernel = [k] * n + ([j, i] if flipped else [i, j])
    dilation, options = pick(rng, None, (2,) * n), {"transpose_kernel": flipped}
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    options |= {"use_consistent_padding": True} if n == 2 else {}
    return [[sizes[a] for a in numbers[0]], kernel], (strides, padding, dilation, numbers), options


def local(rng):
    n = pick(rng, 1, 2)
    numbers = pick(rng, *SPECS[n][0]), pick(rng, *SPECS[n][1]), pick(rng, *SPECS[n][0])
    image = dict(zip("NCHW", (2, 4, 7, 6), strict=True))
    options = {"window_strides": (1, 2)[:n], "padding": pick(rng, "SAME", "VALID"), "rhs_dilation": (2, 1)[:n]}
    options["dimension_numbers"] = numbers
    shape, kernel = [image[a] for a in numbers[0]], dict(zip("OIHW", (5, 4, 2, 3), strict=True))
    shared = [jax.ShapeDtypeStruct(each, float) for each in (shape, [kernel[a] for a in numbers[1]])]
    counts = jax.eval_shape(functools.partial(lax.conv_general_dilated, **options), *shared).shape
    taps = [kernel[a] for a in numbers[1] if a in "HW"]
    own = {"O": 5, "I": 4 * math.prod(taps), **{a: counts[numbers[2].index(a)] for a in numbers[2] if a in "HW"}}
    return [shape, [own[a] for a in numbers[1]]], (), options | {"filter_shape": taps}


def patches(rng):
    n = pick(rng, 1, 2)
    numbers = pick(rng, *SPECS[n][0]), pick(rng, *SPECS[n][1]), pick(rng, *SPECS[n][0])
    sizes = dict(zip("NCHW", (2, 3, 7, 6), strict=True))
    options = {"lhs_dilation": pick(rng, None, (1, 2)[:n]), "rhs_dilation": pick(rng, None, (2, 1)[:n])}
    options |= {"dimension_numbers": numbers}
    padding = pick(rng, "SAME", "VALID") if options["lhs_dilation"] is None else [(1, 0), (1, 2)][:n]
    return [[sizes[a] for a in numbers[0]]], ((2, 3)[:n], (1, 2)[:n], padding), options


FAMILIES = {
    "conv_general_dilated": general_dilated,
    "conv_transpose": transpose,
    "conv_general_dilated_local": local,
    "conv_general_dilated_patches": patches,
}


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_of_jaxs_own_tests(name, part):
    rng = np.random.default_rng([part, len(name)])
    drawn = [FAMILIES[name](rng) for _ in range(10)]
    operands = [[jnp.asarray(normal(n, shape), jnp.float64) for n, shape in enumerate(each[0])] for each in drawn]

    def results(module, operands):
        made = []
        for (_, args, options), arrays in zip(drawn, operands, strict=True):
            f = lambda *a, args=args, options=options: getattr(module, name)(*a, *args, **options)  # noqa: E731
            y, pull = jax.vjp(f, *arrays)
            made.append((y, *pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))))
        return made

    got, want = (jax.jit(functools.partial(results, module))(operands) for module in (convjax.lax, lax))
    for each, ours, lax_s in zip(drawn, got, want, strict=True):
        for a, b in zip(ours, lax_s, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=str(each))
