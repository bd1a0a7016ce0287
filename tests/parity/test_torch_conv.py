import itertools
from functools import cache

import pytest
import torch.nn.functional as F
from compare import Case, check_values, check_values_and_gradients, numbers
from sampling import CONV, TRANSPOSED, chunks, draw, no_stride_with_same, pairs_of, pairwise, seeded

import convjax

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")

LEVELS = {
    "dtype": ("float64", "float32", "bfloat16", "float16", "complex64"),
    "batch": (None, 1, 3),
    "bias": (True, False),
    "groups": (1, 2, 3, "depthwise"),
    "kernel": (1, 2, 3, "each"),
    "stride": (1, 2, 3, "each"),
    "dilation": (1, 2, "each"),
    "any_dims": (True, False),
}
CONV_LEVELS = LEVELS | {"padding": (0, 1, 2, "each", "same", "valid")}
TRANSPOSED_LEVELS = LEVELS | {"padding": (0, 1, "each"), "output_padding": (0, "most", "each")}
CASES = 50


def levels(function):
    return CONV_LEVELS if function in CONV else TRANSPOSED_LEVELS


@cache
def choices(function):
    return pairwise(seeded(function), levels(function), CASES, no_stride_with_same)


def case(function, choice, rng):
    shapes, args = draw(function, choice, rng)
    operands = tuple(numbers(rng, shape, choice["dtype"]) for shape in shapes)
    label = f"{function}({', '.join(f'{a.dtype}{list(a.shape)}' for a in operands)}, {args})"
    ours = getattr(convjax, function[:-2] if choice["any_dims"] else function)
    return Case(label, positional(ours, args), positional(getattr(F, function), args), operands)


def positional(function, args):
    """A function of x, weight and bias that passes the other arguments by position, in an order that torch shares."""
    order = ["stride", "padding", "dilation", "groups"]
    if "output_padding" in args:
        order = ["stride", "padding", "output_padding", "groups", "dilation"]
    return lambda x, weight, bias=None: function(x, weight, bias, *(args[name] for name in order))


@pytest.mark.parametrize("chunk", range(len(chunks(range(CASES)))))
@pytest.mark.parametrize("function", CONV + TRANSPOSED)
def test_values_and_gradients(function, chunk):
    rng = seeded(function, chunk)
    check_values_and_gradients(rng, [case(function, choice, rng) for choice in chunks(choices(function))[chunk]])


@pytest.mark.parametrize("function", CONV + TRANSPOSED)
def test_choices_contain_every_pair_of_levels(function):
    every = {
        pair
        for names in itertools.combinations(levels(function), 2)
        for values in itertools.product(*(levels(function)[name] for name in names))
        for pair in pairs_of(dict(zip(names, values, strict=True)))
    }
    missing = every - set().union(*map(pairs_of, choices(function)))
    same = {(("stride", stride), ("padding", "same")) for stride in (2, 3, "each")}
    assert missing == (same if function in CONV else set())


@pytest.mark.parametrize(
    ("function", "dtype"),
    [*itertools.product(CONV, ("uint8", "int8", "int16", "int32", "int64")), *((f, "int64") for f in TRANSPOSED)],
)
def test_integers_are_exact_and_wrap_around(function, dtype):
    rng = seeded(function, dtype, "integers")
    undilated = {} if dtype == "int64" else {"dilation": 1}  # torch dilates no other integers
    chosen = [choices(function)[i] | undilated for i in rng.permutation(CASES)[:8]]
    check_values([case(function, choice | {"dtype": dtype}, rng) for choice in chosen])


@pytest.mark.parametrize("function", CONV + TRANSPOSED)
def test_empty_batch(function):
    rng = seeded(function, "empty")
    check_values_and_gradients(rng, [case(function, choice | {"batch": 0}, rng) for choice in choices(function)[:6]])
