"""The calls that torch tests its own operators with."""

import sys
import types
import unittest
import warnings

import pytest
import torch
import torch.nn.functional as F
from compare import Case, check_close_values, check_values
from sampling import chunks

import convjax

# Importing torch's samples also imports the base class of its tests. That needs this package, but the samples do not.
sys.modules.setdefault("expecttest", types.SimpleNamespace(TestCase=unittest.TestCase))  # type: ignore[arg-type]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
OPERATORS = {name: next(op for op in op_db if op.name == f"nn.functional.{name}") for name in (*CONVOLUTIONS, "unfold")}


def with_arguments(function, others, options):
    return lambda *operands: function(*operands, *others, **options)


def cases(name, dtype):
    torch.manual_seed(0)
    for sample in OPERATORS[name].sample_inputs("cpu", dtype, requires_grad=False):
        tensors = [a for a in (sample.input, *sample.args) if isinstance(a, torch.Tensor)]
        others = [a for a in sample.args if not isinstance(a, torch.Tensor)]
        call = [with_arguments(getattr(library, name), others, sample.kwargs) for library in (convjax, F)]
        label = f"{name}({[list(a.shape) for a in tensors]}, {others}, {sample.kwargs})"
        yield Case(label, *call, tuple(a.numpy() for a in tensors))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64], ids=str)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name, dtype):
    found = list(cases(name, dtype))
    assert len(found) >= 10
    for chunk in chunks(found, 15):
        check_close_values(chunk)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool], ids=str)
def test_unfold(dtype):
    found = list(cases("unfold", dtype))
    assert len(found) > 100
    for chunk in chunks(found, 40):
        check_values(chunk)


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv3d"])
def test_what_torch_refuses(name):
    found = list(OPERATORS[name].error_inputs("cpu"))
    assert len(found) >= 10
    refused = 0
    for error in found:
        sample = error.sample_input
        operands = (sample.input, *sample.args)
        with pytest.raises(error.error_type, match=error.error_regex):
            getattr(F, name)(*operands, **sample.kwargs)
        if len({a.dtype for a in operands}) > 1:  # convjax promotes
            continue
        refused += 1
        with pytest.raises((ValueError, TypeError), match=rf"^convjax\.{name}: "):
            getattr(convjax, name)(*(a.numpy() for a in operands), **sample.kwargs)
    assert refused >= 8
