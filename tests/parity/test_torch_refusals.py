"""What torch refuses, convjax refuses, with a message of its own."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import convjax

X, W = (2, 4, 6, 5), (6, 2, 3, 2)  # with groups=2
T = (4, 3, 3, 2)  # the weight of conv_transpose2d for that x and groups=2

NOT_STEPS = [0, -1, (1, 0), (1, -2), 1.0, (1.0, 1), True, None, "1", "same", (), (1, 1, 1), (1, None), [[1], [1]]]
NOT_PADDINGS = [-1, (0, -1), 1.0, True, "full", "SAME", (), (1, 1, 1), (1, "same"), (1, None)]
NOT_GROUPS = [0, -1, 3, 1.0, None, "2", (2,), True]

REFUSES = (RuntimeError, TypeError, ValueError, IndexError)

# function, shape of x, of weight, of bias, options
REFUSED = [
    *(("conv2d", X, W, None, {"groups": 2, "stride": v}) for v in NOT_STEPS),
    *(("conv2d", X, W, None, {"groups": 2, "dilation": v}) for v in NOT_STEPS),
    *(("conv2d", X, W, None, {"groups": 2, "padding": v}) for v in [*NOT_PADDINGS, None]),
    *(("conv2d", X, W, None, {"groups": v}) for v in NOT_GROUPS),
    *(("conv_transpose2d", X, T, None, {"groups": 2, "stride": v}) for v in NOT_STEPS),
    *(("conv_transpose2d", X, T, None, {"groups": 2, "dilation": v}) for v in NOT_STEPS),
    *(("conv_transpose2d", X, T, None, {"groups": 2, "padding": v}) for v in [*NOT_PADDINGS, None, "same", "valid"]),
    *(("conv_transpose2d", X, T, None, {"groups": v}) for v in NOT_GROUPS),
    *(
        ("conv_transpose2d", X, T, None, {"groups": 2, "stride": 3, "output_padding": v})
        for v in [*NOT_PADDINGS, None, "same", 3, (0, 3)]
    ),
    # "same" with a stride
    ("conv1d", (1, 1, 4), (1, 1, 2), None, {"padding": "same", "stride": 2}),
    ("conv2d", X, W, None, {"groups": 2, "padding": "same", "stride": (1, 2)}),
    # an output_padding as large as both the stride and the dilation
    ("conv_transpose1d", (1, 1, 4), (1, 1, 2), None, {"output_padding": 1}),
    ("conv_transpose2d", X, T, None, {"groups": 2, "output_padding": (0, 1), "stride": (2, 1)}),
    ("conv_transpose2d", X, T, None, {"groups": 2, "output_padding": (1, 0), "dilation": (1, 2)}),
    ("conv_transpose3d", (1, 1, 2, 2, 2), (1, 1, 2, 2, 2), None, {"output_padding": 1}),
    # pairs in torch's flat form
    ("conv1d", (1, 1, 4), (1, 1, 2), None, {"padding": (1, 1)}),
    ("conv2d", X, W, None, {"groups": 2, "padding": (1, 1, 1, 1)}),
    # ranks
    ("conv1d", (4,), (1, 1, 2), None, {}),
    ("conv1d", (1, 1, 1, 4), (1, 1, 2), None, {}),
    ("conv2d", (6, 5), (1, 1, 3, 2), None, {}),
    ("conv2d", (1, 1, 1, 6, 5), (1, 1, 3, 2), None, {}),
    ("conv2d", (1, 6, 5), (1, 3, 2), None, {}),
    ("conv2d", X, (3, 2), None, {}),
    ("conv2d", X, (6, 2, 3, 2, 1), None, {}),
    ("conv3d", X, (4, 4, 3, 2), None, {}),
    ("conv_transpose1d", (1, 1, 4, 4), (1, 1, 2, 2), None, {}),
    ("conv_transpose2d", (5,), (1, 1, 3, 2), None, {}),
    ("conv_transpose3d", X, T, None, {}),
    ("conv2d", (), W, None, {}),
    ("conv2d", X, (), None, {}),
    # channels
    ("conv2d", X, W, None, {}),
    ("conv2d", (2, 3, 6, 5), W, None, {"groups": 2}),
    ("conv2d", X, (5, 2, 3, 2), None, {"groups": 2}),
    ("conv2d", X, W, None, {"groups": 4}),
    ("conv2d", (0, 3, 6, 5), W, None, {"groups": 2}),
    ("conv_transpose2d", (2, 3, 6, 5), T, None, {"groups": 2}),
    ("conv_transpose2d", (2, 2, 6, 5), T, None, {"groups": 2}),
    ("conv_transpose2d", X, T, None, {"groups": 3}),
    # biases
    ("conv2d", X, W, (5,), {"groups": 2}),
    ("conv2d", X, W, (1,), {"groups": 2}),
    ("conv2d", X, W, (6, 1), {"groups": 2}),
    ("conv2d", X, W, (), {"groups": 2}),
    ("conv_transpose2d", X, T, (3,), {"groups": 2}),
    ("conv_transpose2d", X, T, (1, 6), {"groups": 2}),
    # kernels that do not fit, and results that would be empty
    ("conv1d", (1, 1, 2), (1, 1, 3), None, {}),
    ("conv2d", X, (6, 2, 7, 2), None, {"groups": 2}),
    ("conv2d", X, (6, 2, 3, 3), None, {"groups": 2, "dilation": 3}),
    ("conv3d", (1, 1, 4, 4, 4), (1, 1, 2, 2, 7), None, {"padding": 1}),
    ("conv2d", X, (6, 2, 3, 0), None, {"groups": 2}),
    ("conv2d", (2, 4, 0, 5), W, None, {"groups": 2}),
    ("conv_transpose1d", (1, 1, 1), (1, 1, 2), None, {"padding": 1}),
    ("conv_transpose2d", (2, 4, 1, 1), T, None, {"groups": 2, "padding": (2, 0)}),
    ("conv_transpose2d", (2, 4, 0, 5), T, None, {"groups": 2}),
]

# function, shape of x, other arguments
PATCHES_REFUSED = [
    *(("unfold", X, {"kernel_size": v}) for v in [0, -1, (2, 0), 2.0, True, None, "2", (), 7, (2, 6)]),
    *(("unfold", X, {"kernel_size": 2, "stride": v}) for v in NOT_STEPS),
    *(("unfold", X, {"kernel_size": 2, "dilation": v}) for v in [*NOT_STEPS, 5]),
    *(("unfold", X, {"kernel_size": 2, "padding": v}) for v in [*NOT_PADDINGS, None, "same", "valid"]),
    *(("unfold", shape, {"kernel_size": 2}) for shape in [(), (5,), (6, 5), (1, *X), (2, 0, 6, 5), (2, 4, 0, 5)]),
    *(("fold", (2, 4, 9), {"output_size": v, "kernel_size": 2}) for v in [0, -4, 5, (4, 3), 4.0, True, None, "4", ()]),
    *(("fold", (2, 4, 9), {"output_size": 4, "kernel_size": v}) for v in [0, 3, 5, (2, 3), 2.0, None, (), (2, 2, 2)]),
    *(("fold", (2, 4, 9), {"output_size": 4, "kernel_size": 2, "stride": v}) for v in [*NOT_STEPS, 2]),
    *(("fold", (2, 4, 9), {"output_size": 4, "kernel_size": 2, "dilation": v}) for v in [*NOT_STEPS, 2, 5]),
    *(("fold", (2, 4, 9), {"output_size": 4, "kernel_size": 2, "padding": v}) for v in [*NOT_PADDINGS, 1, "same"]),
    *(
        ("fold", shape, {"output_size": 4, "kernel_size": 2})
        for shape in [(), (9,), (4, 8), (2, 4, 8), (2, 5, 9), (2, 0, 9), (1, 2, 4, 9), (2, 4, 0)]
    ),
]


def check_raises(library, function, operands, options, errors, match=None):
    with pytest.raises(errors, match=match):
        getattr(library, function)(*operands, **options)


@pytest.mark.parametrize(("function", "x", "weight", "bias", "options"), REFUSED)
def test_convolutions(function, x, weight, bias, options):
    operands = [np.ones(shape, np.float32) for shape in (x, weight, bias) if shape is not None]
    check_raises(F, function, map(torch.tensor, operands), options, REFUSES)
    check_raises(convjax, function, operands, options, (ValueError, TypeError), rf"^convjax\.{function}: `")


@pytest.mark.parametrize(("function", "x", "options"), PATCHES_REFUSED)
def test_patches(function, x, options):
    x = np.ones(x, np.float32)
    check_raises(F, function, [torch.tensor(x)], options, REFUSES)
    check_raises(convjax, function, [x], options, (ValueError, TypeError), rf"^convjax\.{function}: `")


@pytest.mark.parametrize("function", ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"])
def test_bool(function):
    shape = (2, 2, 4, 4, 4)[: int(function[-2]) + 2]
    operands = [np.ones(shape, bool)] * 2
    check_raises(F, function, map(torch.tensor, operands), {}, RuntimeError)
    check_raises(convjax, function, operands, {}, TypeError, rf"^convjax\.{function}: `x`")


@pytest.mark.parametrize("function", ["conv2d", "conv_transpose2d"])
@pytest.mark.parametrize("value", [None, "x", b"x", {}, {1, 2}, object()], ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("argument", ["x", "weight"])
def test_values_that_are_not_arrays(function, value, argument):
    operands = {"x": np.ones(X, np.float32), "weight": np.ones(X, np.float32)}
    tensors = {name: torch.tensor(a) for name, a in operands.items()}
    tensors["input"] = tensors.pop("x")
    check_raises(F, function, [], tensors | {"input" if argument == "x" else argument: value}, TypeError)
    check_raises(convjax, function, [], operands | {argument: value}, TypeError, rf"^convjax\.{function}: `{argument}`")
