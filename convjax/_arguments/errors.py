"""The errors that convjax raises about its arguments, with one function per kind of mistake.

Each function builds the exception and the caller raises it. So the condition is next to the value, and the text is
here. A message names the function and the argument, and says what it got, what it expected and what to try.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def _error(kind, function: str, argument: str, problem: str, got: str, expected: str, remedy: str) -> Exception:
    return kind(
        f"convjax.{function}: `{argument}` {problem}\n  got:      {got}\n  expected: {expected}\n  try:      {remedy}"
    )


def _repr_with_type(value: Any) -> str:
    """The repr of a value on one line, cut to 60 characters, followed by its type."""
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _axis_count(shape: tuple) -> str:
    return "1 axis" if len(shape) == 1 else f"{len(shape)} axes"


def _quoted(names: Iterable[Any]) -> str:
    return ", ".join(repr(name) for name in names)


def not_an_array(function: str, argument: str, value: Any) -> Exception:
    remedy = f"jax.numpy.asarray({argument}), or check that the array was loaded"
    if hasattr(value, "detach"):  # a tensor of torch
        remedy = f"{argument}.detach().cpu().numpy(), with .float() before .numpy() for bfloat16"
    return _error(
        TypeError,
        function,
        argument,
        "is not an array of numbers.",
        _repr_with_type(value),
        "a JAX or NumPy array, or nested lists of numbers of equal length",
        remedy,
    )


def wrong_dtype(function: str, argument: str, dtype: Any, expected: str, remedy: str) -> Exception:
    return _error(TypeError, function, argument, "has a dtype that cannot be used.", f"dtype {dtype}", expected, remedy)


def not_a_dtype(function: str, argument: str, value: Any) -> Exception:
    return _error(
        TypeError,
        function,
        argument,
        "is not a dtype.",
        _repr_with_type(value),
        "a NumPy or JAX dtype",
        f"{argument}=jax.numpy.float32",
    )


def wrong_input_rank(function: str, shape: tuple, dims: int) -> Exception:
    spatial = {1: "L", 2: "H, W", 3: "D, H, W"}.get(dims, "*spatial")
    remedy = f"x.reshape into (N, C, {spatial})"
    if len(shape) == dims:
        remedy = f"x[None, None] for a batch of one image of one channel, or x[None] for (C, {spatial}) with C = 1"
    elif len(shape) == dims + 3:
        remedy = "jax.vmap over the extra axis, or reshape it into the batch"
    return _error(
        ValueError,
        function,
        "x",
        "has the wrong number of axes.",
        f"shape {shape}, {_axis_count(shape)}",
        f"(N, C, {spatial}), {dims + 2} axes, or one image (C, {spatial}), {dims + 1} axes",
        remedy,
    )


def wrong_weight_rank(function: str, shape: tuple, dims: int | None, layout: str) -> Exception:
    if dims is None:
        expected = f"{layout} with at least one spatial axis, so 3 axes or more"
    else:
        expected = f"{layout}, {dims + 2} axes, for {dims} spatial dimension{'s' * (dims > 1)}"
    suggestion = {3: "1d", 4: "2d", 5: "3d"}.get(len(shape))
    remedy = f"a weight with the axes {layout}"
    if dims is not None and len(shape) == dims:
        remedy = "weight[None, None] for a single bare kernel"
    elif dims is not None and suggestion is not None:
        remedy = f"convjax.{function.rstrip('123d')}{suggestion}"
    return _error(
        ValueError,
        function,
        "weight",
        "has the wrong number of axes.",
        f"shape {shape}, {_axis_count(shape)}",
        expected,
        remedy,
    )


def empty_axis(function: str, argument: str, shape: tuple, axis: str) -> Exception:
    return _error(
        ValueError,
        function,
        argument,
        f"has {axis} of size 0.",
        f"shape {shape}",
        "sizes of at least 1 (only the batch may be empty)",
        "leave out the call, or check how the array was made",
    )


def not_an_integer(function: str, argument: str, entry: Any, whole: Any) -> Exception:
    remedy = f"{argument}=1, or a tuple of ints"
    if type(entry).__name__.endswith("Tracer"):
        remedy = f"mark {argument} as static (jax.jit(..., static_argnames={argument!r})): shapes depend on it"
    elif isinstance(entry, float) and entry.is_integer() and entry is whole:
        remedy = f"{argument}={int(entry)}"
    return _error(
        TypeError,
        function,
        argument,
        "is not made of integers.",
        _repr_with_type(whole),
        "an int, or an int or (low, high) pair per spatial dimension"
        if argument == "padding"
        else "an int, or a sequence of ints",
        remedy,
    )


def too_small(function: str, argument: str, value: Any, minimum: int) -> Exception:
    remedy = f"{argument}={minimum}"
    if argument == "padding":
        remedy = "crop the array itself, x[..., low:-high], before the call"
    return _error(
        ValueError,
        function,
        argument,
        f"is below {minimum}.",
        f"{argument}={value!r}",
        f"integers of at least {minimum}",
        remedy,
    )


def too_large(function: str, argument: str, value: Any) -> Exception:
    return _error(
        ValueError,
        function,
        argument,
        "is too large.",
        f"{argument}={_repr_with_type(value)}",
        "numbers below 2**63, and arrays of fewer bytes than that",
        "a smaller value",
    )


def wrong_count(function: str, argument: str, value: Any, dims: int, pairs: bool) -> Exception:
    remedy = f"one int for all dimensions, or {dims} of them"
    if pairs and len(value) == 2 * dims and all(isinstance(entry, (int, np.integer)) for entry in value):
        ends = tuple(zip(map(int, value[::2]), map(int, value[1::2]), strict=True))
        remedy = f"{argument}={ends}, a (low, high) pair for each dimension"
        if ends != ends[::-1]:
            remedy = f"{argument}={ends[::-1]} if the last dimension comes first as in torch's F.pad, else {ends}"
    return _error(
        ValueError,
        function,
        argument,
        "has the wrong number of entries.",
        f"{argument}={value!r}",
        f"an int, or {dims} entries{', each an int or a (low, high) pair' * pairs}, for {dims} spatial dimension"
        f"{'s' * (dims > 1)}",
        remedy,
    )


def padding_is_text(function: str, value: str) -> Exception:
    return _error(
        ValueError,
        function,
        "padding",
        "is a string, but this function takes numbers only.",
        repr(value),
        "an int, an int per spatial dimension, or a (low, high) pair per spatial dimension",
        "padding=0, or padding=dilation * (kernel - 1) // 2 to keep the size at stride 1",
    )


def same_with_stride(function: str, stride: tuple, pairs: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        "padding",
        "is 'same', but the stride is above 1, so no padding keeps the size.",
        f"padding='same', stride={stride}",
        "stride=1 with 'same', or explicit padding",
        f"padding={pairs}, which 'same' means at stride 1",
    )


def pad_too_wide(function: str, mode: str, pad: int, size: int, limit: int) -> Exception:
    return _error(
        ValueError,
        function,
        "padding",
        f"is wider than padding_mode={mode!r} can fill from the image.",
        f"a padding of {pad} on an axis of size {size}",
        f"at most {limit}",
        "padding_mode='replicate', which fills any width, or a smaller padding",
    )


def wrong_bias(function: str, shape: tuple, channels: int) -> Exception:
    remedy = "bias.reshape(-1)" if math.prod(shape) == channels else "bias=None for none"
    return _error(
        ValueError,
        function,
        "bias",
        "does not have one number per output channel.",
        f"shape {shape}",
        f"shape ({channels},)",
        remedy,
    )


def output_padding_too_large(function: str, value: tuple, stride: tuple, dilation: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        "output_padding",
        "is not smaller than the stride or the dilation.",
        f"output_padding={value}, stride={stride}, dilation={dilation}",
        "output_padding below max(stride, dilation) in every dimension",
        "output_padding=0; it only chooses among the sizes that the forward convolution maps to the size of x",
    )


def output_is_empty(function: str, size: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        "padding",
        "crops the whole result of the transposed convolution.",
        f"an output of size {size}",
        "at least one position in every dimension",
        "a smaller padding, or a larger kernel or stride",
    )


def unsupported_algorithm(function: str, algorithm: str, reason: str) -> Exception:
    return _error(
        ValueError,
        function,
        "algorithm",
        "cannot compute this convolution.",
        f"algorithm={algorithm!r}: {reason}",
        "an algorithm that supports it",
        "algorithm='auto'; print(convjax.plan(...).explain()) shows which support it",
    )


def not_recorded(function: str, value: Any) -> Exception:
    return _error(
        TypeError,
        function,
        "algorithm",
        "is neither a name nor the record of convjax.tune.",
        _repr_with_type(value),
        'a name such as "auto", or the value that convjax.tune returns',
        "algorithm=convjax.tune(f, *args)",
    )


def not_a_machine(function: str, value: Any) -> Exception:
    return _error(
        TypeError,
        function,
        "machine",
        "is not a convjax.Machine.",
        _repr_with_type(value),
        "a convjax.Machine, or None for this machine",
        'machine=convjax.Machine(platform="cpu", cores=64)',
    )


def not_partitionable(spec: Any, x: tuple, w: tuple) -> Exception:
    return _error(
        NotImplementedError,
        "conv",
        "weight",
        "has a gradient that cannot be divided among devices.",
        f"operands of shapes {x} and {w}, {spec}",
        "sizes that are known when the gradient is compiled, if the program runs on several devices",
        "jax.shard_map over every axis of the mesh, with the gradient inside",
    )


def wrong_preferred_type(function: str, preferred: Any, dtype: Any) -> Exception:
    return _error(
        TypeError,
        function,
        "preferred_element_type",
        "cannot hold the results.",
        f"{preferred} for operands of {dtype}",
        f"a dtype of the same kind as {dtype}, at least as wide",
        "preferred_element_type=None, and .astype on the result",
    )


def wrong_patch_count(function: str, got: tuple, expected: int, blocks: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        "x",
        "has another number of patches than `output_size` has positions.",
        f"shape {got}, {got[-1]} patches",
        f"{expected} patches, a grid of {blocks}",
        "the stride, padding and dilation that were passed to unfold",
    )


def wrong_patch_rank(function: str, shape: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        "x",
        "has the wrong number of axes.",
        f"shape {shape}, {_axis_count(shape)}",
        "(N, C * prod(kernel_size), patches) or (C * prod(kernel_size), patches)",
        "the output of convjax.unfold",
    )


def patch_not_divisible(function: str, channels: int, taps: int) -> Exception:
    return _error(
        ValueError,
        function,
        "x",
        "has a channel axis whose size is no multiple of the number of kernel taps.",
        f"{channels} rows for {taps} kernel taps",
        "C * prod(kernel_size) rows",
        "the kernel_size that was passed to unfold",
    )


def not_a_key(function: str, value: Any) -> Exception:
    return _error(
        TypeError,
        function,
        "key",
        "is not a JAX random key.",
        _repr_with_type(value),
        "one key from jax.random.key",
        "key=jax.random.key(0)",
    )


def not_a_flag(function: str, argument: str, value: Any) -> Exception:
    return _error(
        TypeError,
        function,
        argument,
        "is not True or False.",
        _repr_with_type(value),
        "a bool",
        f"{argument}=True or False",
    )


def not_a_function(function: str, value: Any, known: Iterable[str]) -> Exception:
    return _error(
        TypeError,
        function,
        "function",
        "is not a convolution of convjax.",
        _repr_with_type(value),
        f"one of {', '.join(known)}",
        "function=convjax.conv",
    )


def wrong_arguments(function: str, target: str, reason: str) -> Exception:
    return _error(
        TypeError,
        function,
        "function",
        f"cannot be called as convjax.{target} with these arguments.",
        reason,
        f"the arguments of convjax.{target}, with shapes in place of arrays",
        f"help(convjax.{target})",
    )


def not_a_shape(function: str, argument: str, value: Any) -> Exception:
    return _error(
        TypeError,
        function,
        argument,
        "is not a shape.",
        _repr_with_type(value),
        "a tuple of ints, or something with .shape and .dtype",
        f"{argument}=array.shape",
    )


def not_positive(function: str, argument: str, value: Any) -> Exception:
    return _error(
        ValueError,
        function,
        argument,
        "is not a positive number.",
        _repr_with_type(value),
        "a number above 0",
        f"{argument}=1.0",
    )


def not_odd(function: str, argument: str, value: int) -> Exception:
    return _error(
        ValueError,
        function,
        argument,
        "is even, so no pixel is the centre.",
        f"{argument}={value}",
        "an odd int",
        f"{argument}={value + 1}",
    )


def size_of_traced_scale(function: str, argument: str) -> Exception:
    return _error(
        TypeError,
        function,
        "size",
        f"is needed if `{argument}` is traced, because the shape cannot depend on it.",
        "size=None",
        "an odd int",
        f"size=9, or a size that is large enough for the largest {argument}",
    )


def not_a_number(function: str, argument: str, value: Any) -> Exception:
    return _error(
        TypeError,
        function,
        argument,
        "is not a real number.",
        _repr_with_type(value),
        "a number, or a traced scalar",
        f"{argument}=1.0",
    )
