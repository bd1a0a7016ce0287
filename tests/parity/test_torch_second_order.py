import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import CLOSE, numbers
from sampling import CONV, TRANSPOSED, draw, no_stride_with_same, pairwise, seeded

import convjax

LEVELS = {
    "batch": (None, 2),
    "bias": (True,),
    "groups": (1, 2, "depthwise"),
    "kernel": (2, 3, "each"),
    "stride": (1, 2, "each"),
    "dilation": (1, 2, "each"),
    "padding": (0, 1, "each"),
    "output_padding": (0, "most", "each"),
}
NAMES = ("x", "weight", "bias", "v")


def ours(function, args):
    def loss(x, weight, bias, v):
        return jnp.sum(v * getattr(convjax, function)(x, weight, bias, **args) ** 2)

    def along(operands, directions):
        gradients = jax.grad(loss, (0, 1, 2, 3))(*operands)
        return sum(jnp.vdot(g, u) for g, u in zip(gradients, directions, strict=True))

    return jax.grad(along)


def theirs(function, args, operands, directions):
    operands = [torch.tensor(a, requires_grad=True) for a in operands]
    x, weight, bias, v = operands
    loss = (v * getattr(F, function)(x, weight, bias, **args) ** 2).sum()
    gradients = torch.autograd.grad(loss, operands, create_graph=True)
    along = sum((g * torch.tensor(u)).sum() for g, u in zip(gradients, directions, strict=True))
    return [g.numpy() for g in torch.autograd.grad(along, operands)]


@pytest.mark.parametrize("function", CONV + TRANSPOSED)
def test_gradient_of_the_gradient(function):
    rng = seeded(function, "second order")
    calls, given = [], []
    for choice in pairwise(rng, LEVELS, 6, no_stride_with_same):
        shapes, args = draw(function, choice, rng)
        shapes.append(convjax.conv_output_shape(*shapes, **args, function=getattr(convjax, function)))
        calls.append(args)
        given.append([[numbers(rng, shape, "float64") for shape in shapes] for _ in range(2)])
    program = jax.jit(lambda given: [ours(function, args)(*each) for args, each in zip(calls, given, strict=True)])
    for args, each, gradients in zip(calls, given, program(given), strict=True):
        wanted = theirs(function, args, *each)
        sizes = theirs(function, args, *([np.abs(a) for a in arrays] for arrays in each))
        for name, got, want, size in zip(NAMES, gradients, wanted, sizes, strict=True):
            label = f"d/d{name} of {function}({[a.shape for a in each[0]]}, {args})"
            np.testing.assert_allclose(got, want, rtol=0, atol=CLOSE["float64"] * size.max(), err_msg=label)
