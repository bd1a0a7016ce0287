"""In the benchmark, torch computes what convjax computes, for every case and direction, program and network."""

import jax
import numpy as np
import pytest
import torch

from benchmarks import backends
from benchmarks.cases import SMALL
from benchmarks.networks import NETWORKS, Weights
from benchmarks.programs import OPS, PROGRAMS, _torch_ops


@pytest.fixture(autouse=True)
def _default_settings():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def timed(case):
    """Whether the benchmark has calls like this: with a batch, 1 to 3 spatial dimensions, and padding by numbers."""
    padding = case.options.get("padding", 0)
    pairs_of_transposed = case.transpose and np.ndim(padding) == 2
    return len(case.x) == len(case.weight) < 6 and padding != "same" and not pairs_of_transposed


CASES = [case for case in SMALL if timed(case)]
TRANSFORMED = [program for program in PROGRAMS if program.family in ("vmap", "twice", "call")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("direction", backends.DIRECTIONS)
def test_cases(case, direction):
    arrays = backends.operands(case)
    ours = backends.jax_function(backends.conv_of("convjax", case), direction)(*arrays)
    backends.agree(ours, backends.torch_function(case, direction)(*backends.torch_operands(arrays)).detach())


def test_float32_without_tf32_changes_nothing_else_in_torch(monkeypatch):
    """cuDNN stays on, and TF32 is allowed again after the call."""
    seen, convolution = [], torch.ops.aten.convolution

    def watched(*arguments):
        seen.append((torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32))
        return convolution(*arguments)

    monkeypatch.setattr(torch.ops.aten, "convolution", watched)
    outside = torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    for case in (CASES[0], CASES[0].of_dtype("float32_highest")):
        backends.torch_function(case, "forward")(*backends.torch_operands(backends.operands(case)))
    assert seen == [outside, (*outside[:2], False)]
    assert outside[2] is torch.backends.cudnn.allow_tf32 is True


def test_float32_without_tf32_where_torch_has_frozen_its_flags(monkeypatch):
    """`torch.testing` freezes them for the whole process."""
    monkeypatch.setitem(torch.backends.flags_frozen.__globals__, "__allow_nonbracketed_mutation_flag", False)
    with pytest.raises(RuntimeError, match="not allowed to set"):
        torch.backends.cudnn.allow_tf32 = False
    test_float32_without_tf32_changes_nothing_else_in_torch(monkeypatch)


@pytest.mark.parametrize("program", TRANSFORMED, ids=lambda program: program.name)
def test_programs(program):
    arrays, direction = program.arrays(np.random.default_rng(0)), program.directions[0]
    ours = jax.jit(program.jax_function("convjax", direction))(*arrays)
    theirs = program.torch_function(direction)(*backends.torch_operands(arrays))
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    backends.agree(ours, theirs.detach())


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    function, shape = NETWORKS[name]
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((1, shape[1], *[64] * (len(shape) - 2)), np.float32), Weights(rng=rng)
    jax.eval_shape(lambda x: function(OPS["lax"], weights, x), x)
    ours = jax.jit(lambda x: function(OPS["convjax"], Weights(weights.arrays), x))(x)
    x, *arrays = backends.torch_operands((x, *weights.arrays))
    backends.agree(ours, function(_torch_ops(), Weights(arrays), x))
