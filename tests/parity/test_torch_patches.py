import numpy as np
import pytest
import torch.nn.functional as F
from compare import Case, check_values, check_values_and_gradients, numbers
from sampling import chunks, pairwise, seeded

import convjax

LEVELS = {
    "batch": (None, 0, 1, 2),
    "kernel": (1, 2, 3, "each"),
    "dilation": (1, 2, "each"),
    "padding": (0, 1, 2, "each"),
    "stride": (1, 2, "each"),
}


def with_arguments(function, args):
    return lambda x: function(x, *args)


def cases(function, dtype, count=20):
    rng = seeded(function, dtype)
    for choice in pairwise(rng, LEVELS, count, lambda choice: True):
        values = {name: rng.integers(name != "padding", 4, 2).tolist() for name in LEVELS if name != "batch"}
        values = {name: each if choice[name] == "each" else [choice[name]] * 2 for name, each in values.items()}
        kernel, dilation, padding, stride = values.values()
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        image = [max(1, e - 2 * p) + int(rng.integers(0, 5)) for e, p in zip(extents, padding, strict=True)]
        counts = [(n + 2 * p - e) // s + 1 for n, p, e, s in zip(image, padding, extents, stride, strict=True)]
        # torch has the same order of arguments.
        args = [tuple(each) if choice[name] == "each" else each[0] for name, each in values.items()]
        batch, channels = [] if choice["batch"] is None else [choice["batch"]], int(rng.integers(1, 4))
        shape = [*batch, channels, *image]
        if function == "fold":
            shape = [*batch, channels * int(np.prod(kernel)), int(np.prod(counts))]
            args = [tuple(image), *args]
        x = numbers(rng, shape, dtype)
        call = [with_arguments(getattr(library, function), args) for library in (convjax, F)]
        yield Case(f"{function}({x.dtype}{list(x.shape)}, {args})", *call, (x,))


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex64"])
@pytest.mark.parametrize("function", ["unfold", "fold"])
def test_values_and_gradients(function, dtype):
    for chunk in chunks(list(cases(function, dtype))):
        check_values_and_gradients(seeded(function, dtype, "cotangents"), chunk)


@pytest.mark.parametrize("dtype", ["bool", "float16", "bfloat16", "float32"])
def test_unfold_copies(dtype):
    check_values(list(cases("unfold", dtype)))


def test_fold_of_bool_is_any():
    check_values(list(cases("fold", "bool")))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("function", ["unfold", "fold"])
def test_half_precision(function, dtype):
    check_values_and_gradients(seeded(function, dtype), list(cases(function, dtype, 10)), stages=2)
