import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import Case, check_values_and_gradients, numbers, tensor, torch_vjp
from sampling import CONV, draw, no_stride_with_same, pairwise, seeded

import convjax

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")

MODES = ("reflect", "replicate", "circular")
LEVELS = {
    "dtype": ("float64", "float32", "bfloat16", "complex64"),
    "batch": (None, 2),
    "bias": (True, False),
    "groups": (1, 2, "depthwise"),
    "kernel": (2, 3, 4, "each"),
    "stride": (1, 2, "each"),
    "dilation": (1, 2),
    "padding": (1, 2, "each", "same", "valid"),
}


def layer(function, mode, weight, args):
    """torch.nn's layer as a function of its parameters: torch.nn.functional has no padding modes."""
    module = {"conv1d": torch.nn.Conv1d, "conv2d": torch.nn.Conv2d, "conv3d": torch.nn.Conv3d}[function]
    sizes = (weight[1] * args["groups"], weight[0], weight[2:])

    def call(x, weight, bias=None):
        conv = module(*sizes, **args, padding_mode=mode, bias=bias is not None)
        params = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        return torch.func.functional_call(conv, params, (x,))

    return call


def mode_cases(rng, function, mode, count):
    """Yield random cases with this padding mode, each with its arguments."""
    for choice in pairwise(rng, LEVELS, count, no_stride_with_same):
        shapes, args = draw(function, choice, rng, wider_than_padding=True)
        operands = tuple(numbers(rng, shape, choice["dtype"]) for shape in shapes)
        label = f"{function}({', '.join(f'{a.dtype}{list(a.shape)}' for a in operands)}, {args}, {mode!r})"
        ours = with_options(getattr(convjax, function), **args, padding_mode=mode)
        yield Case(label, ours, layer(function, mode, shapes[1], args), operands), args


def with_options(function, **options):
    return lambda x, weight, bias=None: function(x, weight, bias, **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", CONV)
def test_padding_modes(function, mode):
    rng = seeded(function, mode)
    cases = [case for case, _ in mode_cases(rng, function, mode, 6)]
    check_values_and_gradients(rng, cases, stages=int(function[-2]) + 1)


# ---- (low, high) pairs, which torch.nn.functional.pad has ----

PAIRS = {
    1: [((2, 0),), ((1, 2),)],
    2: [((1, 0), (0, 2)), ((2, 1), (3, 0))],
    3: [((1, 0), (0, 1), (1, 1)), ((0, 0), (2, 1), (0, 2))],
}


def pairs_cases(dims, function, theirs, weight, **options):
    rng = seeded(dims, function, str(options))
    for pairs in PAIRS[dims]:
        shapes = (2, 4, *(5, 4, 4)[:dims]), (*weight, *(3, 2, 1)[:dims]), (6,)
        operands = tuple(numbers(rng, shape, "float64") for shape in shapes)
        sides = [side for pair in reversed(pairs) for side in pair]  # torch has the last axis first
        ours = with_options(getattr(convjax, function), stride=2, groups=2, padding=pairs, **options)
        yield Case(f"{function}, padding={pairs}, {options}", ours, theirs(sides), operands)


@pytest.mark.parametrize("mode", ["zeros", *MODES])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pairs_as_padding(dims, mode):
    function, fill = f"conv{dims}d", "constant" if mode == "zeros" else mode

    def theirs(sides):
        conv = with_options(getattr(F, function), stride=2, groups=2)
        return lambda x, *others: conv(F.pad(x, sides, mode=fill), *others)

    cases = list(pairs_cases(dims, function, theirs, (6, 2), padding_mode=mode))
    check_values_and_gradients(seeded(dims, mode), cases)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pairs_crop_a_transposed_convolution(dims):
    function = f"conv_transpose{dims}d"

    def theirs(sides):
        conv = with_options(getattr(F, function), stride=2, groups=2)
        return lambda *operands: F.pad(conv(*operands), [-side for side in sides])

    check_values_and_gradients(seeded(dims), list(pairs_cases(dims, function, theirs, (4, 3))))


# ---- the padding modes of transposed convolutions, which torch lacks ----


@pytest.mark.parametrize("mode", ["zeros", *MODES])
@pytest.mark.parametrize("function", CONV)
def test_transposed_convolution_is_the_adjoint(function, mode):
    """conv_transpose(y, weight) is the gradient of torch's convolution of that padding mode, at the cotangent y."""
    rng = seeded(function, mode, "adjoint")
    for case, args in mode_cases(rng, function, mode, 4):
        x, weight = (numbers(rng, a.shape, "float64") for a in case.operands[:2])
        spec = convjax.plan(x, weight, **args, platform="cpu").steps[0].spec
        y = numbers(rng, convjax.conv_output_shape(x.shape, weight.shape, **args), "float64")
        left_over = [
            (n + sum(pads) - (k - 1) * d - 1) % s
            for n, pads, k, d, s in zip(
                x.shape[-spec.dims :], spec.padding, weight.shape[2:], spec.rhs_dilation, spec.stride, strict=True
            )
        ]
        options = args | {"padding": spec.padding, "padding_mode": mode, "output_padding": left_over}
        got = getattr(convjax, function.replace("conv", "conv_transpose"))(y, weight, **options)
        want = torch_vjp(layer(function, mode, weight.shape, args), map(tensor, (x, weight)), tensor(y))[1]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-13 * np.abs(want).max(), err_msg=case.label)
        forward = np.asarray(getattr(convjax, function)(x, weight, **args, padding_mode=mode))
        np.testing.assert_allclose(np.vdot(forward, y), np.vdot(x, got), rtol=0, atol=1e-13 * np.abs(forward * y).sum())
