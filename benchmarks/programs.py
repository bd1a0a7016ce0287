"""Rows that are more than one call: convolutions under vmap, in loops, differentiated twice, and whole networks."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import convjax
from benchmarks.backends import image_to_last, kernel_to_last, on_channels_last, pooled_on_channels_last
from benchmarks.networks import NETWORKS, Weights


class Program(NamedTuple):
    """A row with its own functions, `jax_function(backend, direction)` and `torch_function(direction)`.

    Both return a function of the arrays that `arrays` draws.
    """

    name: str
    family: str
    directions: tuple[str, ...]
    arrays: Callable[[np.random.Generator], tuple]
    jax_function: Callable[[str, str], Callable]
    torch_function: Callable[..., Callable | None]  # torch_function(direction), for a network also (..., compiled)
    memory_format: str = "contiguous"

    def in_memory_format(self, arrays: tuple) -> tuple:
        """Arrays with the channels first, in the memory format of the program."""
        if self.memory_format == "contiguous":
            return arrays
        x, *weights = arrays
        weights = [kernel_to_last(w) if w.ndim == 4 else w for w in weights]
        return tuple(map(np.ascontiguousarray, (image_to_last(x), *weights)))


# ---- convjax, lax and torch with torch's names ----


def _lax_conv(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, layout=None):
    dims = x.ndim - 2
    y = lax.conv_general_dilated(
        x,
        weight,
        (stride,) * dims,
        [(padding, padding)] * dims,
        None,
        (dilation,) * dims,
        layout or lax.ConvDimensionNumbers(*[tuple(range(dims + 2))] * 3),
        feature_group_count=groups,
    )
    return y if bias is None else y + (bias.reshape(1, -1, *[1] * dims) if layout is None else bias)


def _lax_conv_transpose(x, weight, bias, stride=1, layout=("NCHW", "IOHW", "NCHW")):
    space = [layout[1].index(axis) for axis in "HW"]
    padding = [(weight.shape[axis] - 1,) * 2 for axis in space]
    y = lax.conv_general_dilated(x, jnp.flip(weight, space), (1, 1), padding, (stride,) * 2, dimension_numbers=layout)
    return y + (bias.reshape(1, -1, 1, 1) if layout[0] == "NCHW" else bias)


def _max_pool2d(x, kernel, stride, padding, first=2):
    per_axis = lambda one, other: [other if first <= axis < first + 2 else one for axis in range(4)]  # noqa: E731
    window, strides = per_axis(1, kernel), per_axis(1, stride)
    around = per_axis((0, 0), (padding, padding))
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, around)


_SHARED = {
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "pad": lambda x, around: jnp.pad(x, ((0, 0), (0, 0), around)),
}
_CHANNELS_FIRST = {
    "channels": lambda x: x.shape[1],
    "mean": lambda x: x.mean((2, 3), keepdims=True),
    "cat": lambda parts: jnp.concatenate(parts, 1),
}
_CHANNELS_LAST = {
    "channels": lambda x: x.shape[-1],
    "mean": lambda x: x.mean((1, 2), keepdims=True),
    "cat": lambda parts: jnp.concatenate(parts, -1),
}
_CONVJAX = {name: getattr(convjax, name) for name in ("conv1d", "conv2d", "conv_transpose2d", "max_pool2d")}
_LAX = {"conv1d": _lax_conv, "conv2d": _lax_conv, "conv_transpose2d": _lax_conv_transpose, "max_pool2d": _max_pool2d}
OPS = {
    "convjax": SimpleNamespace(**_SHARED, **_CHANNELS_FIRST, **_CONVJAX),
    "lax": SimpleNamespace(**_SHARED, **_CHANNELS_FIRST, **_LAX),
}
# The same on images (N, H, W, C), with kernels (KH, KW, I, O).
_CONVJAX_NHWC = {name: on_channels_last(getattr(convjax, name)) for name in ("conv2d", "conv_transpose2d")}
_CONVJAX_NHWC["max_pool2d"] = pooled_on_channels_last(convjax.max_pool2d)
_LAX_NHWC = {
    "conv2d": partial(_lax_conv, layout=("NHWC", "HWIO", "NHWC")),
    "conv_transpose2d": partial(_lax_conv_transpose, layout=("NHWC", "HWOI", "NHWC")),
    "max_pool2d": partial(_max_pool2d, first=1),
}
OPS_NHWC = {
    "convjax": SimpleNamespace(**_SHARED, **_CHANNELS_LAST, **_CONVJAX_NHWC),
    "lax": SimpleNamespace(**_SHARED, **_CHANNELS_LAST, **_LAX_NHWC),
}


def _torch_ops() -> SimpleNamespace:
    import torch
    from torch.nn import functional as f

    return SimpleNamespace(
        relu=f.relu,
        silu=f.silu,
        channels=lambda x: x.shape[1],
        mean=lambda x: x.mean((2, 3), keepdim=True),
        gelu=f.gelu,
        tanh=torch.tanh,
        sigmoid=torch.sigmoid,
        cat=lambda parts: torch.cat(parts, 1),
        pad=f.pad,
        max_pool2d=f.max_pool2d,
        conv1d=f.conv1d,
        conv2d=f.conv2d,
        conv_transpose2d=f.conv_transpose2d,
    )


def _torch_gradients(loss: Callable, leaves: list) -> list:
    import torch

    with torch.enable_grad():
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        return torch.autograd.grad(loss(leaves), leaves)


# ---- networks ----


def _network(name: str, memory_format: str = "contiguous", accelerated: bool = False) -> Program:
    """A network of convjax's functions, or of lax's with `convjax.accelerate`, which holds its images as NHWC."""
    function, shape = NETWORKS[name]
    last = memory_format == "channels_last"
    ops_of = OPS_NHWC if last else OPS

    def arrays(rng):
        x, weights = rng.standard_normal(shape, np.float32), Weights(rng=rng)
        jax.eval_shape(lambda x: function(OPS["lax"], weights, x), x)
        return (x, *weights.arrays)

    def jax_function(backend, direction):
        if accelerated and backend == "convjax":
            return convjax.accelerate(jax_function("lax", direction), memory_format="channels_last")

        def forward(x, *weights):
            return function(ops_of[backend], Weights(list(weights)), x)

        def loss(weights, x):
            return jnp.square(forward(x, *weights)).mean()

        return forward if direction == "forward" else lambda x, *weights: jax.grad(loss)(weights, x)

    def torch_function(direction, compiled=lambda f: f):
        ops = _torch_ops()
        forward = compiled(lambda x, *weights: function(ops, Weights(list(weights)), x))
        if direction == "forward":
            return forward
        return lambda x, *weights: _torch_gradients(lambda leaves: forward(x, *leaves).square().mean(), list(weights))

    full_name = f"{name}, NHWC" if last else f"{name}, accelerated" if accelerated else name
    directions = ("forward", "training step")
    return Program(full_name, "network", directions, arrays, jax_function, torch_function, memory_format)


# ---- transformed convolutions ----


def _normal(*shapes) -> Callable[[np.random.Generator], tuple]:
    return lambda rng: tuple(rng.standard_normal(shape, np.float32) for shape in shapes)


def _per_sample_kernels() -> Program:
    def one(conv):
        return lambda x, w: conv(x[None], w, padding=1)[0]

    def jax_function(backend, direction):
        return jax.vmap(one(OPS[backend].conv2d))

    def torch_function(direction):
        import torch

        return torch.func.vmap(one(_torch_ops().conv2d))

    shapes = (16, 32, 28, 28), (16, 32, 32, 3, 3)
    return Program("per-sample kernels", "vmap", ("forward",), _normal(*shapes), jax_function, torch_function)


def _per_example_gradients() -> Program:
    def loss(conv):
        return lambda w, x: (conv(x[None], w, padding=1) ** 2).mean()

    def jax_function(backend, direction):
        return lambda x, w: jax.vmap(jax.grad(loss(OPS[backend].conv2d)), (None, 0))(w, x)

    def torch_function(direction):
        import torch

        each = torch.func.vmap(torch.func.grad(loss(_torch_ops().conv2d)), (None, 0))
        return lambda x, w: each(w, x)

    shapes = (32, 32, 28, 28), (32, 32, 3, 3)
    return Program("per-example gradients", "vmap", ("gradient",), _normal(*shapes), jax_function, torch_function)


def _double_backward() -> Program:
    """The gradient of the mean square of a gradient, as in gradient penalties."""

    def jax_function(backend, direction):
        conv = OPS[backend].conv2d

        def penalty(w, x, ct):
            return jnp.square(jax.vjp(lambda x: jnp.tanh(conv(x, w, padding=1)), x)[1](ct)[0]).mean()

        return lambda x, w, ct: jax.grad(penalty)(w, x, ct)

    def torch_function(direction):
        import torch

        conv = _torch_ops().conv2d

        def call(x, w, ct):
            with torch.enable_grad():
                x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
                (inner,) = torch.autograd.grad(torch.tanh(conv(x, w, padding=1)), x, ct, create_graph=True)
                return torch.autograd.grad(inner.square().mean(), w)

        return call

    shapes = (8, 32, 56, 56), (128, 32, 3, 3), (8, 128, 56, 56)
    return Program(
        "double backward 3x3 32 to 128", "twice", ("gradient",), _normal(*shapes), jax_function, torch_function
    )


def _loop(name: str) -> Program:
    def jax_function(backend, direction):
        conv = OPS[backend].conv2d
        step = lambda x, w: conv(x, w, padding=1)  # noqa: E731
        if name == "scan":
            return lambda x, w: lax.scan(lambda x, _: (step(x, w), None), x, None, length=4)[0]
        return lambda x, w: lax.fori_loop(0, 4, lambda _, x: step(x, w), x)

    def torch_function(direction):
        conv = _torch_ops().conv2d

        def call(x, w):
            for _ in range(4):
                x = conv(x, w, padding=1)
            return x

        return call

    def arrays(rng):
        x, w = _normal((8, 64, 56, 56), (64, 64, 3, 3))(rng)
        return x, w / 24

    return Program(f"3x3 64 four times in {name}", "loop", ("forward",), arrays, jax_function, torch_function)


def _small_call() -> Program:
    """A call that computes almost nothing, so its time is the cost of dispatch."""

    def jax_function(backend, direction):
        return lambda x, w: OPS[backend].conv2d(x, w)

    def torch_function(direction) -> Any:
        return _torch_ops().conv2d

    return Program(
        "3x3 on one 5x5", "call", ("forward",), _normal((1, 1, 5, 5), (1, 1, 3, 3)), jax_function, torch_function
    )


PROGRAMS = (
    _per_sample_kernels(),
    _per_example_gradients(),
    _double_backward(),
    _loop("fori_loop"),
    _loop("scan"),
    _small_call(),
    *map(_network, NETWORKS),
    *[_network(name, "channels_last") for name in NETWORKS if name != "WaveNet"],
    *[_network(name, accelerated=True) for name in NETWORKS],
)
