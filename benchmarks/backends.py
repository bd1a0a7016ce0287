"""The functions that a row times in lax, convjax and torch, for each direction."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.cases import Case
from convjax._choice.recorded import Recorded

DIRECTIONS = ("forward", "input gradient", "weight gradient")


def image_to_last(a):
    """(N, C, *n) to (N, *n, C)."""
    return a.transpose(0, *range(2, a.ndim), 1)


def image_to_first(a):
    return a.transpose(0, a.ndim - 1, *range(1, a.ndim - 1))


def kernel_to_last(w):
    """(O, I, *k) to (*k, I, O)."""
    return w.transpose(*range(2, w.ndim), 1, 0)


def kernel_to_first(w):
    return w.transpose(w.ndim - 1, w.ndim - 2, *range(w.ndim - 2))


def on_channels_last(conv: Callable) -> Callable:
    """A convolution of arrays with the channels first as one of images (N, *n, C) and a kernel (*k, I, O)."""

    def call(x, w, *arguments):
        return image_to_last(conv(image_to_first(x), kernel_to_first(w), *arguments, memory_format="channels_last"))

    return call


def pooled_on_channels_last(pool: Callable) -> Callable:
    """A pooling of arrays with the channels first as one of images (N, *n, C)."""
    return lambda x, *arguments: image_to_last(pool(image_to_first(x), *arguments, memory_format="channels_last"))


def in_memory_format(case: Case, x, w, ct):
    """Arrays with the channels first, in the memory format of the case."""
    if case.memory_format == "contiguous":
        return x, w, ct
    return tuple(map(np.ascontiguousarray, (image_to_last(x), kernel_to_last(w), image_to_last(ct))))


def lax_conv(case: Case, x, w):
    """The call in plain JAX: `lax.conv_general_dilated`, with lhs_dilation for a transposed convolution."""
    last = case.memory_format == "channels_last"
    w = kernel_to_first(w) if last else w
    spec = case.spec()
    if case.transpose:
        groups, dims = spec.groups, spec.dims
        w = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)
        w = jnp.flip(w.reshape(-1, *w.shape[2:]), tuple(range(2, dims + 2)))
    image = (0, spec.dims + 1, *range(1, spec.dims + 1)) if last else tuple(range(spec.dims + 2))
    layout = lax.ConvDimensionNumbers(image, tuple(range(spec.dims + 2)), image)
    return lax.conv_general_dilated(
        *(x, w, spec.stride, spec.padding, spec.lhs_dilation, spec.rhs_dilation, layout),
        feature_group_count=spec.groups,
        precision=spec.precision,
    )


def jax_function(conv: Callable, direction: str) -> Callable:
    """Return a function of (x, w, ct). Each direction uses two of the three."""

    def dx(x, w, ct):
        return jax.vjp(lambda x: conv(x, w), x)[1](ct)[0]

    def dw(x, w, ct):
        return jax.vjp(lambda w: conv(x, w), w)[1](ct)[0]

    return {"forward": lambda x, w, ct: conv(x, w), "input gradient": dx, "weight gradient": dw}[direction]


def conv_of(backend: str | Recorded, case: Case) -> Callable:
    """A function of x and the weight in the memory format of the case.

    `backend` is "lax", "convjax" for the algorithm that convjax chooses, the name of an algorithm, or a record.
    """
    if backend == "lax":
        return partial(lax_conv, case)
    conv = partial(case, algorithm="auto" if backend == "convjax" else backend)
    return conv if case.memory_format == "contiguous" else on_channels_last(conv)


def operands(case: Case) -> tuple[np.ndarray, ...]:
    """x, the weight and a cotangent, with the channels first."""
    rng = np.random.default_rng(0)
    y = jax.eval_shape(case, *case.structs())
    shapes = (case.x, case.weight, y.shape)
    return tuple(rng.standard_normal(shape, np.float32).astype(jnp.dtype(case.dtype)) for shape in shapes)


def torch_function(case: Case, direction: str) -> Callable:
    """Return the same function in torch. aten's convolution_backward computes one gradient only, like torch.nn.grad."""
    import torch
    from torch.nn import functional

    dims, options = len(case.weight) - 2, case.options
    given = lambda name, default: np.broadcast_to(options.get(name, default), (dims,)).tolist()  # noqa: E731
    stride, dilation, groups = given("stride", 1), given("dilation", 1), options.get("groups", 1)
    padding, explicit_pads = options.get("padding", 0), []
    if np.ndim(padding) == 2:
        if all(low == high for low, high in padding):
            padding = [low for low, _ in padding]
        else:
            explicit_pads, padding = [side for pair in reversed(padding) for side in pair], 0
    padding, extra = np.broadcast_to(padding, (dims,)).tolist(), given("output_padding", 0)
    arguments = (stride, padding, dilation, case.transpose, extra, groups)

    def pad(x):
        return functional.pad(x, explicit_pads) if explicit_pads else x

    def forward(x, w, ct):
        return torch.ops.aten.convolution(pad(x), w, None, *arguments)

    def backward(x, w, ct, which):
        mask = [which == 0, which == 1, False]
        result = torch.ops.aten.convolution_backward(ct, pad(x), w, None, *arguments, mask)[which]
        if explicit_pads and which == 0:
            result = functional.pad(result, [-side for side in explicit_pads])
        return result

    function = {
        "forward": forward,
        "input gradient": partial(backward, which=0),
        "weight gradient": partial(backward, which=1),
    }[direction]
    return _without_tf32(function) if options.get("precision") == "highest" else function


def _without_tf32(function: Callable) -> Callable:
    """The function with all digits of float32. `cudnn.flags` resets what it is not told, and turns cuDNN off."""
    from torch.backends import cudnn

    def call(*arrays):
        unchanged = {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
        with cudnn.flags(**unchanged, allow_tf32=False):
            return function(*arrays)

    return call


def torch_operands(arrays: tuple[np.ndarray, ...]):
    import torch

    def tensor(a):
        if a.dtype == jnp.bfloat16:
            return torch.from_numpy(a.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(a)

    return tuple(map(tensor, arrays))


def channels_last(tensors):
    """The images, volumes and their kernels with the channels last in memory, as torch's convolutions prefer them.

    Returns None if torch has no such layout for any of the tensors.
    """
    import torch

    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    if not any(t.ndim in layouts for t in tensors):
        return None
    return tuple(t.contiguous(memory_format=layouts[t.ndim]) if t.ndim in layouts else t for t in tensors)


def agree(got, want) -> None:
    """Raise an error if the results of two backends differ by more than the rounding of float32 in long sums."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * max(np.abs(b).max(), 1e-6)
