"""The table of torch in "Which function do I need?", line by line, and convolutions of torch.nn within blocks."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import Case, check_close_values, check_values_and_gradients, numbers
from sampling import seeded
from torch import nn

import convjax

PAGE = (Path(__file__).parents[2] / "docs" / "which_function.md").read_text()
TABLE = PAGE[PAGE.index("## torch\n") : PAGE.index("## lax\n")]
LINES = [line.strip("|").split("|") for line in TABLE.splitlines() if line.startswith("|")][2:]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def codes(cell):
    return re.findall("`([^`]+)`", cell)


def run(code, **names):
    return eval(code, {"F": F, "nn": nn, "convjax": convjax, "jax": jax} | names)


def case(shapes, theirs, ours, **more):
    """The case that compares two expressions, given as text, as functions of x, w and b."""

    def function(code):
        return lambda x, w, b=None: run(code, **more, x=x, w=w, b=b, params=(w, b))

    operands = tuple(numbers(seeded(theirs), shape, "float64") for shape in shapes)
    return Case(ours, function(ours), function(theirs), operands)


# ---- the check for each line of the table ----


def check_call(theirs, ours, _):
    grouped = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
    weight = (4, 3, 3, 3) if "transpose" in theirs else (6, 2, 3, 3)
    shapes = ((2, 4, 9, 8), weight, (3,) if "transpose" in theirs else (6,))
    check_values_and_gradients(seeded(ours), [case(shapes, *codes(theirs), *codes(ours), **grouped)])


def same_start(theirs, ours, note):
    layer, init, (flag, other) = *codes(theirs), *codes(ours), codes(note)
    for module, params in (
        (run(layer), run(init, key=jax.random.key(0))),
        (run(layer.replace("nn.Conv2d", other)), run(f"{init[:-1]}, {flag})", key=jax.random.key(0))),
    ):
        assert params.weight.shape == module.weight.shape
        assert params.bias.shape == module.bias.shape
        for ours_drawn, theirs_drawn in zip(params, (module.weight, module.bias), strict=True):
            sizes = np.abs(ours_drawn).max(), theirs_drawn.abs().max().item()
            # The largest of n uniform numbers is about 1 / n below the bound, relative to the bound.
            assert sizes[0] == pytest.approx(sizes[1], rel=20 / ours_drawn.size)


def same_state(*_):
    for bias in (True, False):
        layer = nn.Conv2d(4, 6, 3, groups=2, bias=bias)
        params = params_of(layer)
        np.testing.assert_array_equal(params.weight, layer.weight.detach())
        assert (params.bias is None) is not bias
        assert not bias or np.array_equal(params.bias, layer.bias.detach())


def params_of(layer):
    """The ConvParams of a layer, made as the line of the table about state_dict says."""
    (state, params) = next((codes(theirs)[0], codes(ours)[0]) for theirs, ours, _ in LINES if "state_dict" in theirs)
    return run(params, state=run(state.removeprefix("state = "), layer=layer))


def same_borders(theirs, ours, note):
    options = "stride=2, padding=(1, 2), groups=2"
    layer = codes(theirs)[0].replace("...", f"4, 6, 3, {options}")
    call = codes(ours)[0].replace("...", f"x, *params, {options}")
    modes = re.findall(r'"(\w+)"', note)
    assert set(modes) == {"zeros", "reflect", "replicate", "circular"}

    def by_module(mode):
        module = run(layer.replace("reflect", mode))

        def function(x, w, b=None):
            params = {"weight": w, "bias": torch.zeros(len(w), dtype=w.dtype) if b is None else b}
            return torch.func.functional_call(module, params, (x,))

        return function

    shapes = ((2, 4, 7, 6), (6, 2, 3, 3), (6,))
    cases = [case(shapes, "module(x, w, b)", call.replace("reflect", mode), module=by_module(mode)) for mode in modes]
    check_values_and_gradients(seeded(call), cases)


def same_pairs(theirs, ours, _):
    pad, function = codes(theirs)
    padded, whole = f"F.{function}({pad}, w, b)", f"convjax.{function}(x, w, b, {codes(ours)[0]})"
    check_values_and_gradients(seeded(pad), [case(((2, 3, 5, 6), (4, 3, 3, 2), (4,)), padded, whole)])


def same_patches(theirs, ours, _):
    sizes, shapes = ("(3, 2)", "(7, 6), (3, 2)"), ((2, 3, 7, 6), (2, 18, 20))
    for torch_name, name, size, shape in zip(codes(theirs), codes(ours), sizes, shapes, strict=True):
        functions = [
            lambda x, name=each, size=size: run(f"{name}(x, {size}, 1, (1, 0), (2, 1))", x=x)
            for each in (name, torch_name)
        ]
        check_close_values([Case(name, *functions, (numbers(seeded(name), shape, "float64"),))])


def same_poolings(theirs, *_):
    arguments = {"max_pool2d": "3, 2, 1", "avg_pool2d": "3, 2, 1", "lp_pool2d": "2, 3"}
    arguments |= dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), "(4, 2)")
    names = [name.removeprefix("F.") for name in codes(theirs)]
    assert set(names) == {*arguments, "max_unpool2d"}
    x = numbers(seeded("poolings"), (2, 3, 7, 6), "float64")
    for name, given in arguments.items():
        close(run(f"convjax.{name}(x, {given})", x=x), run(f"F.{name}(x, {given})", x=torch.tensor(x)))
    y, indices = F.max_pool2d(torch.tensor(x), 2, return_indices=True)
    want = F.max_unpool2d(y, indices, 2, output_size=(7, 6))
    close(convjax.max_unpool2d(y.numpy(), indices.numpy(), 2, output_size=(7, 6)), want)


def promoted(theirs, ours, note):
    assert "uint8" in note
    picture, kernel = numbers(seeded("picture"), (1, 1, 6, 6), "uint8"), np.ones((1, 1, 3, 3), np.float32)
    tensors = torch.tensor(picture), torch.tensor(kernel)
    with pytest.raises(RuntimeError, match="type"):
        F.conv2d(*tensors)
    with jax.numpy_dtype_promotion("standard"):
        got = convjax.conv2d(picture, kernel)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, F.conv2d(tensors[0].float(), tensors[1]))


def same_gradient(theirs, ours, _):
    layer = nn.Conv2d(4, 6, 3, groups=2).double()
    x = torch.tensor(numbers(seeded("gradient"), (2, 4, 5, 5), "float64"))
    run(codes(theirs)[0], loss=(layer(x) ** 2).sum())
    gradient_of = run(codes(ours)[0], loss=lambda params: (convjax.conv2d(x.numpy(), *params, groups=2) ** 2).sum())
    for got, want in zip(gradient_of(params_of(layer)), (layer.weight.grad, layer.bias.grad), strict=True):
        close(got, want)


CHECKS = {
    "`F.conv2d(": check_call,
    "`F.conv_transpose2d(": check_call,
    "`nn.Conv2d(3, ": same_start,
    "`state = layer.state_dict()`": same_state,
    "`nn.Conv2d(..., padding_mode": same_borders,
    "`F.pad(": same_pairs,
    "`F.unfold`, `F.fold`": same_patches,
    "`F.max_pool2d`": same_poolings,
    "dtypes must match": promoted,
    "`loss.backward()`": same_gradient,
}


def test_each_line_has_its_check():
    assert len(LINES) == len(CHECKS)
    assert all(theirs.strip().startswith(start) for (theirs, *_), start in zip(LINES, CHECKS, strict=True))


@pytest.mark.parametrize(("line", "check"), list(zip(LINES, CHECKS.values(), strict=False)), ids=list(CHECKS))
def test_line(line, check):
    check(*line)


# ---- blocks of networks ----


class Residual(nn.Module):
    """after(body(x) + shortcut(x))."""

    def __init__(self, body, shortcut=None, after=None):
        super().__init__()
        self.body, self.shortcut, self.after = body, shortcut or nn.Identity(), after or nn.Identity()

    def forward(self, x):
        return self.after(self.body(x) + self.shortcut(x))


def basic_block(channels, out, stride):
    """The basic block of ResNet."""
    body = nn.Sequential(
        nn.Conv2d(channels, out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
        nn.Conv2d(out, out, 3, 1, 1, bias=False),
        nn.BatchNorm2d(out),
    )
    shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    return Residual(body, shortcut if stride > 1 else None, nn.ReLU())


def inverted_residual(channels, expansion):
    """The inverted residual block of MobileNetV2."""
    inner = channels * expansion
    body = nn.Sequential(
        nn.Conv2d(channels, inner, 1, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU6(),
        nn.Conv2d(inner, inner, 3, 1, 1, groups=inner, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU6(),
        nn.Conv2d(inner, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
    return Residual(body)


BLOCKS = {
    "ResNet's": (lambda: basic_block(8, 8, 1), (2, 8, 9, 9)),
    "ResNet's, strided": (lambda: basic_block(4, 8, 2), (2, 4, 9, 9)),
    "MobileNetV2's": (lambda: inverted_residual(4, 6), (2, 4, 8, 8)),
    "first layers": (
        lambda: nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        (2, 3, 18, 18),
    ),
    "last layers": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(8, 6, 4, 2, 1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 4, 3, 2, 1, 1, groups=2),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 3, (3, 2), dilation=(2, 1)),
        ),
        (2, 8, 4, 5),
    ),
    "dilated": (lambda: nn.Conv2d(4, 6, 3, padding=4, dilation=4, groups=2), (2, 4, 10, 9)),
    "a signal": (
        lambda: nn.Sequential(nn.Conv1d(4, 6, 5, 2, 2), nn.ReLU(), nn.ConvTranspose1d(6, 3, 4, 2, 1)),
        (2, 4, 16),
    ),
    "a volume": (
        lambda: nn.Sequential(nn.Conv3d(2, 4, 3, padding=1, bias=False), nn.ReLU(), nn.ConvTranspose3d(4, 2, 2, 2)),
        (1, 2, 4, 5, 4),
    ),
    "borders": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(6, 6, (5, 3), padding="same", groups=3, bias=False, padding_mode="circular"),
            nn.ReLU(),
            nn.Conv2d(6, 4, 3, 2, (1, 2), padding_mode="replicate"),
        ),
        (2, 4, 7, 8),
    ),
}


def ours(module, name, params, x):
    """Apply a torch module to x with convjax.

    `name` is the path of the module in the block. `params` has the parameters of all convolutions of the block, by
    path.
    """

    def child(part, x):
        return ours(getattr(module, part), f"{name}.{part}", params, x)

    match module:
        case nn.Sequential():
            for part, _ in module.named_children():
                x = child(part, x)
            return x
        case Residual():
            return child("after", child("body", x) + child("shortcut", x))
        case nn.ConvTranspose1d() | nn.ConvTranspose2d() | nn.ConvTranspose3d():
            options = (module.stride, module.padding, module.output_padding, module.groups, module.dilation)
            return convjax.conv_transpose(x, *params[name], *options)
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            options = (module.stride, module.padding, module.dilation, module.groups)
            return convjax.conv(x, *params[name], *options, padding_mode=module.padding_mode)
        case nn.BatchNorm2d():
            state = {key: value.numpy().reshape(1, -1, 1, 1) for key, value in module.state_dict().items()}
            scale = state["weight"] / np.sqrt(state["running_var"] + module.eps)
            return (x - state["running_mean"]) * scale + state["bias"]
        case nn.ReLU6():
            return jnp.clip(x, 0, 6)
        case nn.ReLU():
            return jnp.maximum(x, 0)
        case nn.Identity():
            return x
    raise NotImplementedError(module)


def close(got, want):
    """Compare with a tolerance for sums of a few hundred terms in float64, passed through a few layers."""
    want = want.detach().numpy()
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.abs(want).max())


@pytest.mark.parametrize("name", BLOCKS)
def test_block(name):
    make, shape = BLOCKS[name]
    block = make().double().eval()
    with torch.no_grad():
        for part in block.modules():
            if isinstance(part, nn.BatchNorm2d):
                for value in (part.weight, part.bias, part.running_mean, part.running_var):
                    value.copy_(0.5 + torch.rand_like(value))
    rng = seeded(name)
    x = numbers(rng, shape, "float64")
    layers = {f".{at}" if at else "": part for at, part in block.named_modules() if hasattr(part, "kernel_size")}
    params = {at: params_of(layer) for at, layer in layers.items()}

    tensor = torch.tensor(x, requires_grad=True)
    want = block(tensor)
    cotangent = numbers(rng, want.shape, "float64")
    want.backward(torch.tensor(cotangent))

    @jax.jit
    def with_gradients(params, x, cotangent):
        y, vjp = jax.vjp(lambda *operands: ours(block, "", *operands), params, x)
        return y, *vjp(cotangent)

    got, of_params, of_x = with_gradients(params, x, cotangent)
    close(got, want)
    close(of_x, tensor.grad)
    for at, layer in layers.items():
        close(of_params[at].weight, layer.weight.grad)
        assert (of_params[at].bias is None) == (layer.bias is None)
        if layer.bias is not None:
            close(of_params[at].bias, layer.bias.grad)
