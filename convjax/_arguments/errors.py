"""The errors that convjax raises about its arguments, with one function per kind of mistake.

Each function builds the exception, and the caller raises it. So the condition stands where the value is checked, and
the text is here. A message names the function and the argument, and says what it got, what it expected and what to try.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def _error(kind: type[Exception], text: str) -> Exception:
    """An error whose text reads as it is written here, apart from the indentation."""
    problem, *lines = (line.strip() for line in text.strip().splitlines())
    return kind("\n  ".join([problem, *lines]))


def _type_error(text: str) -> Exception:
    return _error(TypeError, text)


def _value_error(text: str) -> Exception:
    return _error(ValueError, text)


def _not_implemented_error(text: str) -> Exception:
    return _error(NotImplementedError, text)


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
    return _type_error(f"""convjax.{function}: `{argument}` is not an array of numbers.
        got:      {_repr_with_type(value)}
        expected: a JAX or NumPy array, or nested lists of numbers of equal length
        try:      {remedy}""")


def wrong_dtype(function: str, argument: str, dtype: Any, expected: str, remedy: str) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` has a dtype that cannot be used.
        got:      dtype {dtype}
        expected: {expected}
        try:      {remedy}""")


def not_a_dtype(function: str, argument: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is not a dtype.
        got:      {_repr_with_type(value)}
        expected: a NumPy or JAX dtype
        try:      {argument}=jax.numpy.float32""")


def wrong_input_rank(function: str, shape: tuple, dims: int) -> Exception:
    spatial = {1: "L", 2: "H, W", 3: "D, H, W"}.get(dims, "*spatial")
    remedy = f"x.reshape into (N, C, {spatial})"
    if len(shape) == dims:
        remedy = f"x[None, None] for a batch of one image of one channel, or x[None] for (C, {spatial}) with C = 1"
    elif len(shape) == dims + 3:
        remedy = "jax.vmap over the extra axis, or reshape it into the batch"
    return _value_error(f"""convjax.{function}: `x` has the wrong number of axes.
        got:      shape {shape}, {_axis_count(shape)}
        expected: (N, C, {spatial}), {dims + 2} axes, or one image (C, {spatial}), {dims + 1} axes
        try:      {remedy}""")


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
    return _value_error(f"""convjax.{function}: `weight` has the wrong number of axes.
        got:      shape {shape}, {_axis_count(shape)}
        expected: {expected}
        try:      {remedy}""")


def empty_axis(function: str, argument: str, shape: tuple, axis: str) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` has {axis} of size 0.
        got:      shape {shape}
        expected: sizes of at least 1 (only the batch may be empty)
        try:      leave out the call, or check how the array was made""")


def not_an_integer(function: str, argument: str, entry: Any, whole: Any) -> Exception:
    remedy = f"{argument}=1, or a tuple of ints"
    if type(entry).__name__.endswith("Tracer"):
        remedy = f"mark {argument} as static (jax.jit(..., static_argnames={argument!r})): shapes depend on it"
    elif isinstance(entry, float) and entry.is_integer() and entry is whole:
        remedy = f"{argument}={int(entry)}"
    return _type_error(f"""convjax.{function}: `{argument}` is not made of integers.
        got:      {_repr_with_type(whole)}
        expected: {"an int, or an int or (low, high) pair per spatial dimension" if argument == "padding" else "an int, or a sequence of ints"}
        try:      {remedy}""")


def too_small(function: str, argument: str, value: Any, minimum: int) -> Exception:
    remedy = f"{argument}={minimum}"
    if argument == "padding":
        remedy = "crop the array itself, x[..., low:-high], before the call"
    return _value_error(f"""convjax.{function}: `{argument}` is below {minimum}.
        got:      {argument}={value!r}
        expected: integers of at least {minimum}
        try:      {remedy}""")


def too_large(function: str, argument: str, value: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is too large.
        got:      {argument}={_repr_with_type(value)}
        expected: numbers below 2**63, and arrays of fewer bytes than that
        try:      a smaller value""")


def wrong_count(function: str, argument: str, value: Any, dims: int, pairs: bool) -> Exception:
    remedy = f"one int for all dimensions, or {dims} of them"
    if pairs and len(value) == 2 * dims and all(isinstance(entry, (int, np.integer)) for entry in value):
        ends = tuple(zip(map(int, value[::2]), map(int, value[1::2]), strict=True))
        remedy = f"{argument}={ends}, a (low, high) pair for each dimension"
        if ends != ends[::-1]:
            remedy = f"{argument}={ends[::-1]} if the last dimension comes first as in torch's F.pad, else {ends}"
    return _value_error(f"""convjax.{function}: `{argument}` has the wrong number of entries.
        got:      {argument}={value!r}
        expected: an int, or {dims} entries{", each an int or a (low, high) pair" * pairs}, for {dims} spatial dimension{"s" * (dims > 1)}
        try:      {remedy}""")


def padding_is_text(function: str, value: str) -> Exception:
    return _value_error(f"""convjax.{function}: `padding` is a string, but this function takes numbers only.
        got:      {value!r}
        expected: an int, an int per spatial dimension, or a (low, high) pair per spatial dimension
        try:      padding=0, or padding=dilation * (kernel - 1) // 2 to keep the size at stride 1""")


def same_with_stride(function: str, stride: tuple, pairs: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `padding` is 'same', but the stride is above 1, so no padding keeps the size.
        got:      padding='same', stride={stride}
        expected: stride=1 with 'same', or explicit padding
        try:      padding={pairs}, which 'same' means at stride 1""")


def pad_too_wide(function: str, mode: str, pad: int, size: int, limit: int) -> Exception:
    return _value_error(f"""convjax.{function}: `padding` is wider than padding_mode={mode!r} can fill from the image.
        got:      a padding of {pad} on an axis of size {size}
        expected: at most {limit}
        try:      padding_mode='replicate', which fills any width, or a smaller padding""")


def wrong_bias(function: str, shape: tuple, channels: int) -> Exception:
    remedy = "bias.reshape(-1)" if math.prod(shape) == channels else "bias=None for none"
    return _value_error(f"""convjax.{function}: `bias` does not have one number per output channel.
        got:      shape {shape}
        expected: shape ({channels},)
        try:      {remedy}""")


def output_padding_too_large(function: str, value: tuple, stride: tuple, dilation: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `output_padding` is not smaller than the stride or the dilation.
        got:      output_padding={value}, stride={stride}, dilation={dilation}
        expected: output_padding below max(stride, dilation) in every dimension
        try:      output_padding=0; it only chooses among the sizes that the forward convolution maps to the size of x""")


def output_is_empty(function: str, size: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `padding` crops the whole result of the transposed convolution.
        got:      an output of size {size}
        expected: at least one position in every dimension
        try:      a smaller padding, or a larger kernel or stride""")


def unsupported_algorithm(function: str, algorithm: str, reason: str) -> Exception:
    return _value_error(f"""convjax.{function}: `algorithm` cannot compute this convolution.
        got:      algorithm={algorithm!r}: {reason}
        expected: an algorithm that supports it
        try:      algorithm='auto'; print(convjax.plan(...).explain()) shows which support it""")


def unavailable_algorithm(algorithm: str, reason: str) -> Exception:
    return _not_implemented_error(f"""convjax.conv: `algorithm` cannot run in the program that is compiled.
        got:      algorithm={algorithm!r}: {reason}
        expected: an algorithm that every machine of the program has
        try:      algorithm='auto'""")


def not_recorded(function: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `algorithm` is neither a name nor the record of convjax.tune.
        got:      {_repr_with_type(value)}
        expected: a name such as "auto", or the value that convjax.tune returns
        try:      algorithm=convjax.tune(f, *args)""")


def not_a_machine(function: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `machine` is not a convjax.Machine.
        got:      {_repr_with_type(value)}
        expected: a convjax.Machine, or None for this machine
        try:      machine=convjax.Machine(platform="cpu", cores=64)""")


def not_partitionable(spec: Any, x: tuple, w: tuple) -> Exception:
    return _not_implemented_error(f"""convjax.conv: `weight` has a gradient that cannot be divided among devices.
        got:      operands of shapes {x} and {w}, {spec}
        expected: sizes that are known when the gradient is compiled, if the program runs on several devices
        try:      jax.shard_map over every axis of the mesh, with the gradient inside""")


def wrong_preferred_type(function: str, preferred: Any, dtype: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `preferred_element_type` cannot hold the results.
        got:      {preferred} for operands of {dtype}
        expected: a dtype of the same kind as {dtype}, at least as wide
        try:      preferred_element_type=None, and .astype on the result""")


def wrong_patch_count(function: str, got: tuple, expected: int, blocks: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `x` does not have one patch for each position of `output_size`.
        got:      shape {got}, {got[-1]} patches
        expected: {expected} patches, a grid of {blocks}
        try:      the stride, padding and dilation that were passed to unfold""")


def wrong_patch_rank(function: str, shape: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `x` has the wrong number of axes.
        got:      shape {shape}, {_axis_count(shape)}
        expected: (N, C * prod(kernel_size), patches) or (C * prod(kernel_size), patches)
        try:      the output of convjax.unfold""")


def patch_not_divisible(function: str, channels: int, taps: int) -> Exception:
    return _value_error(f"""convjax.{function}: `x` has a channel axis whose size is not a multiple of the kernel taps.
        got:      {channels} rows for {taps} kernel taps
        expected: C * prod(kernel_size) rows
        try:      the kernel_size that was passed to unfold""")


def not_a_key(function: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `key` is not a JAX random key.
        got:      {_repr_with_type(value)}
        expected: one key from jax.random.key
        try:      key=jax.random.key(0)""")


def not_a_flag(function: str, argument: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is not True or False.
        got:      {_repr_with_type(value)}
        expected: a bool
        try:      {argument}=True or False""")


def not_a_function(function: str, value: Any, known: Iterable[str]) -> Exception:
    return _type_error(f"""convjax.{function}: `function` is not a convolution of convjax.
        got:      {_repr_with_type(value)}
        expected: one of {", ".join(known)}
        try:      function=convjax.conv""")


def wrong_arguments(function: str, target: str, reason: str) -> Exception:
    return _type_error(f"""convjax.{function}: `function` cannot be called as convjax.{target} with these arguments.
        got:      {reason}
        expected: the arguments of convjax.{target}, with shapes in place of arrays
        try:      help(convjax.{target})""")


def not_a_shape(function: str, argument: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is not a shape.
        got:      {_repr_with_type(value)}
        expected: a tuple of ints, or something with .shape and .dtype
        try:      {argument}=array.shape""")


def not_positive(function: str, argument: str, value: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is not a positive number.
        got:      {_repr_with_type(value)}
        expected: a number above 0
        try:      {argument}=1.0""")


def not_odd(function: str, argument: str, value: int) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is even, so no pixel is the centre.
        got:      {argument}={value}
        expected: an odd int
        try:      {argument}={value + 1}""")


def size_of_traced_scale(function: str, argument: str) -> Exception:
    return _type_error(f"""convjax.{function}: `size` is needed if `{argument}` is traced, because the shape cannot depend on it.
        got:      size=None
        expected: an odd int
        try:      size=9, or a size that is large enough for the largest {argument}""")


def not_a_number(function: str, argument: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is not a real number.
        got:      {_repr_with_type(value)}
        expected: a number, or a traced scalar
        try:      {argument}=1.0""")


def not_static(function: str, path: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: an argument of the function is neither an array nor hashable.
        got:      {_repr_with_type(value)} at [args, kwargs]{path}
        expected: pytrees of arrays and numbers. All other leaves are static, and have to be hashable
        try:      pass it as a pytree of arrays, or close over it: accelerate(lambda x: f(x, value))""")


def has_state(function: str, argument: str, model: Any, remedy: str) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is a model that holds its arrays as state.
        got:      a {type(model).__module__.split(".")[0]} model, {type(model).__name__}
        expected: a function of arrays. The arrays of this model would become constants, and updates of them be lost
        try:      {remedy}""")


def not_traceable(function: str, argument: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is not a function.
        got:      {_repr_with_type(value)}
        expected: a function of arrays that jax.jit could compile
        try:      {argument}=model.apply, or lambda params, x: model(params, x)""")


def static_hint(function: str) -> str:
    """What to add to an error that jax raises while it traces a function."""
    return (
        f"convjax.{function} traces the function, as jax.jit does. If its shapes or its branches depend on an argument,"
        f" name it: {function}(f, static_argnames=...)"
    )
