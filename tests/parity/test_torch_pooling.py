from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import Case, check_values_and_gradients, numbers, tensor
from sampling import chunks, seeded

import convjax

KINDS = ("max_pool", "avg_pool", "lp_pool", "adaptive_avg_pool", "adaptive_max_pool")
DTYPES = {"max_pool": ["float32", "bfloat16", "float16"], "lp_pool": ["float64", "float32"]}


def pooling(rng, kind: str, dims: int) -> tuple[list[int], list, dict]:
    """A shape without N, arguments and options of a pooling."""
    ints = lambda low, high: rng.integers(low, high, dims).tolist()  # noqa: E731
    large = 14 if dims < 3 else 7
    if kind.startswith("adaptive"):
        sizes, wanted = ints(1, large), ints(1, 8)
        wanted = [None if rng.random() < 0.1 else m for m in wanted] if dims > 1 else wanted
        return sizes, [wanted[0] if rng.random() < 0.3 and wanted[0] else tuple(wanted)], {}
    kernel = ints(1, 13 if rng.random() < 0.3 and dims < 3 else 4)
    dilation = ints(1, 4) if kind == "max_pool" and rng.random() < 0.5 else [1] * dims
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = [int(rng.integers(0, k // 2 + 1)) for k in kernel] if kind != "lp_pool" else [0] * dims
    # torch has undefined gradients for windows without an element, and avg_pool3d wants images as large as the kernel.
    least = [max(1, e - 2 * p, d) for e, p, d in zip(extents, padding, dilation, strict=True)]
    least = kernel if kind == "avg_pool" and dims == 3 else least
    sizes = [n + int(rng.integers(0, large)) for n in least]
    options = {"ceil_mode": bool(rng.integers(2))}
    if rng.random() < 0.8:
        options["stride"] = tuple(ints(1, 15 if rng.random() < 0.2 else 4))
    if kind != "lp_pool":
        options["padding"] = tuple(padding)
    if kind == "max_pool":
        options["dilation"] = tuple(dilation)
    if kind == "avg_pool":
        options["count_include_pad"] = bool(rng.integers(2))
        if dims > 1 and rng.random() < 0.3:
            options["divisor_override"] = int(rng.choice([1, 7]))
    power = [float(rng.choice([1, 2, 3, 2.5, -1, np.inf, -np.inf]))] if kind == "lp_pool" else []
    if dims == 1:  # torch's lp_pool1d has no tuples
        options |= {name: v[0] for name, v in options.items() if isinstance(v, tuple)}
        kernel = kernel[0]
    return sizes, [*power, kernel if dims == 1 else tuple(kernel)], options


def cases(kind: str, dtype: str, count: int):
    rng = seeded(kind, dtype)
    for n in range(count):
        dims = 1 + n % 3
        sizes, args, options = pooling(rng, kind, dims)
        lead = [[2, 3], [3], [0, 2]][n % 10 // 4]
        x = numbers(rng, [*lead, *sizes], dtype)
        x = np.abs(x) + x.dtype.type(0.1) if kind == "lp_pool" else x
        name = f"{kind}{dims}d"
        theirs = partial(call, getattr(F, name), args, dict(options))
        options |= {"memory_format": "channels_last"} if n % 2 else {}
        ours = partial(call, getattr(convjax, name), args, options)
        yield Case(f"{name}({x.dtype}{list(x.shape)}, {args}, {options})", ours, theirs, (x,))


def call(function, args, options, x):
    return function(x, *args, **options)


@pytest.mark.parametrize(("kind", "dtype"), [(k, d) for k in KINDS for d in DTYPES.get(k, ["float32", "bfloat16"])])
def test_values_and_gradients(kind, dtype):
    for chunk in chunks(list(cases(kind, dtype, 60 if dtype == "float32" else 20))):
        check_values_and_gradients(seeded(kind, dtype, "cotangents"), chunk, stages=4)


@pytest.mark.parametrize("kind", ["max_pool", "adaptive_max_pool"])
@pytest.mark.parametrize("what", ["equal elements", "integers", "NaN", "infinities"])
def test_which_element_is_taken(kind, what):
    """Bit for bit the values and indices, and the gradients of integers."""
    rng = seeded(kind, what)
    programs = []
    for n in range(60):
        dims = 1 + n % 3
        sizes, args, options = pooling(rng, kind, dims)
        x = rng.integers(-2, 3, [1, 2, *sizes]).astype("int32" if what == "integers" else "float32")
        if what == "NaN":
            x[rng.random(x.shape) < 0.2] = np.nan
        if what == "infinities":
            x[rng.random(x.shape) < 0.8] = -np.inf
        calls = [
            partial(call, getattr(library, f"{kind}{dims}d"), args, options | {"return_indices": True})
            for library in (convjax, F)
        ]
        programs.append((x, *calls, f"{kind}{dims}d({x.tolist()}, {args}, {options})"))
    for group in chunks(programs):
        got = jax.jit(lambda xs, group=group: [ours(x) for x, (_, ours, _, _) in zip(xs, group, strict=True)])(
            [x for x, *_ in group]
        )
        for (x, _, theirs, label), (y, indices) in zip(group, got, strict=True):
            # torch has adaptive_max_pool for floats alone
            want, places = theirs(torch.tensor(x.astype("float64") if kind.startswith("adaptive") else x))
            np.testing.assert_array_equal(y, want.numpy(), err_msg=label)
            np.testing.assert_array_equal(indices, places.numpy(), err_msg=label)
        if what == "integers":
            continue
        cotangents = [rng.integers(-9, 9, y.shape).astype("float32") for y, _ in got]
        pulled = jax.jit(
            lambda xs, cts, group=group: [
                jax.vjp(lambda x, f=ours: f(x)[0], x)[1](ct)[0]
                for x, ct, (_, ours, _, _) in zip(xs, cts, group, strict=True)
            ]
        )([x for x, *_ in group], cotangents)
        for (x, _, theirs, label), ct, gradient in zip(group, cotangents, pulled, strict=True):
            x = torch.tensor(x, requires_grad=True)
            want = torch.autograd.grad(theirs(x)[0], x, torch.tensor(ct))[0]
            np.testing.assert_array_equal(gradient, want.numpy(), err_msg=label)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_unpooling(dims, dtype):
    rng = seeded("max_unpool", dims, dtype)
    for n in range(12):
        kernel, size = rng.integers(1, 4, dims).tolist(), rng.integers(4, 9, dims).tolist()
        padding = [int(rng.integers(0, k // 2 + 1)) for k in kernel]
        x = numbers(rng, [[2, 3], [3]][n % 2] + size, dtype)
        arguments = [kernel[0] if dims == 1 else tuple(kernel), None, padding[0] if dims == 1 else tuple(padding)]
        y, indices = getattr(F, f"max_pool{dims}d")(torch.tensor(x), *arguments, return_indices=True)
        ours, theirs = (getattr(library, f"max_unpool{dims}d") for library in (convjax, F))
        options = {"output_size": tuple(size)} if n % 3 else {}
        try:
            want = theirs(y, indices, *arguments, **options)
        except RuntimeError:  # an index is outside of the result of the usual size
            options = {"output_size": tuple(size)}
            want = theirs(y, indices, *arguments, **options)
        np.testing.assert_array_equal(ours(y.numpy(), indices.numpy(), *arguments, **options), want.numpy())
        if dtype == "float64":
            ct = numbers(rng, want.shape, dtype)
            y.requires_grad_()
            (gradient,) = torch.autograd.grad(theirs(y, indices, *arguments, **options), y, torch.tensor(ct))
            f = lambda y: ours(y, indices.numpy(), *arguments, **options)  # noqa: B023, E731
            np.testing.assert_array_equal(jax.vjp(f, y.detach().numpy())[1](ct)[0], gradient.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind):
    """The derivative of v * d/dx sum(ct * f(x) ** 2), in float64."""
    rng = seeded(kind, "second")
    for n in range(6):
        dims = 1 + n % 3
        sizes, args, options = pooling(rng, kind, dims)
        x = np.abs(numbers(rng, [2, 2, *sizes], "float64")) + 0.1
        v = numbers(rng, x.shape, "float64")
        ours, theirs = (getattr(library, f"{kind}{dims}d") for library in (convjax, F))
        ct = numbers(rng, theirs(tensor(x), *args, **options).shape, "float64")
        t = tensor(x).requires_grad_()
        (first,) = torch.autograd.grad((tensor(ct) * theirs(t, *args, **options) ** 2).sum(), t, create_graph=True)
        (want,) = torch.autograd.grad((first * tensor(v)).sum(), t)
        loss = lambda x: (ct * ours(x, *args, **options) ** 2).sum()  # noqa: B023, E731
        forward_over_reverse = jax.jvp(jax.grad(loss), (jnp.asarray(x),), (jnp.asarray(v),))[1]
        reverse_over_reverse = jax.grad(lambda x: (jax.grad(loss)(x) * v).sum())(jnp.asarray(x))  # noqa: B023
        np.testing.assert_allclose(forward_over_reverse, want.numpy(), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(reverse_over_reverse, want.numpy(), rtol=1e-10, atol=1e-10)


IMAGE = np.ones((1, 1, 6, 6), "float32")

REFUSED = [
    ("max_pool2d", (IMAGE, 7), {}),
    ("max_pool2d", (IMAGE, 3), {"padding": 2}),
    ("max_pool2d", (IMAGE, 2), {"padding": -1}),
    ("max_pool2d", (IMAGE, 0), {}),
    ("max_pool2d", (IMAGE, 2), {"stride": 0}),
    ("max_pool2d", (IMAGE, 2), {"dilation": 0}),
    ("max_pool2d", (IMAGE, 2.0), {}),
    ("max_pool2d", (IMAGE, (2, 2, 2)), {}),
    ("max_pool2d", (IMAGE, 2), {"ceil_mode": 2}),
    ("max_pool2d", (IMAGE[0, 0], 2), {}),
    ("max_pool2d", (IMAGE[:, :0], 2), {}),
    ("max_pool2d", (IMAGE > 0, 2), {}),
    ("max_pool2d", (IMAGE.astype("complex64"), 2), {}),
    ("avg_pool2d", (IMAGE, 3), {"padding": 2}),
    ("avg_pool2d", (IMAGE, 7), {}),
    ("avg_pool2d", (IMAGE.astype("int32"), 2), {}),
    ("avg_pool2d", (IMAGE, 2), {"divisor_override": 0}),
    ("lp_pool2d", (IMAGE, 0, 2), {}),
    ("lp_pool2d", (IMAGE, "2", 2), {}),
    ("adaptive_avg_pool2d", (IMAGE, (2, 2, 2)), {}),
    ("adaptive_avg_pool2d", (IMAGE, -1), {}),
    ("adaptive_max_pool2d", (IMAGE.astype("complex64"), 2), {}),
    ("max_unpool2d", (IMAGE, IMAGE.astype("int64"), 2), {"output_size": (14, 12)}),
    ("max_unpool2d", (IMAGE, IMAGE, 2), {}),
    ("max_unpool2d", (IMAGE, IMAGE[..., 1:].astype("int64"), 2), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), REFUSED)
def test_what_torch_refuses_is_refused(name, args, options):
    with pytest.raises((RuntimeError, TypeError, ValueError, ZeroDivisionError)):
        getattr(F, name)(*[torch.tensor(a) if isinstance(a, np.ndarray) else a for a in args], **options)
    with pytest.raises((TypeError, ValueError), match=rf"convjax\.{name}: `") as caught:
        getattr(convjax, name)(*args, **options)
    assert "\n  try:" in str(caught.value)
