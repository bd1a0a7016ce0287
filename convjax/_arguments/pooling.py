"""Checks all arguments of a pooling. The result is a `Pooling`, or an `Adaptive`."""

import math
from operator import lt
from typing import Any, NamedTuple

import numpy as np

from convjax._arguments import errors, errors_channels, errors_pooling, values
from convjax._arguments.convolutions import check_image
from convjax._arrays.pooling import Windows
from convjax._spec import MEMORY_FORMATS, Sizes, certainly, extent


class Pooling(NamedTuple):
    """The windows of one pooling, with an entry for each spatial axis."""

    windows: Windows
    batched: bool
    channels_last: bool


class Adaptive(NamedTuple):
    """The sizes of the result of an adaptive pooling, along each spatial axis."""

    sizes: Sizes
    batched: bool
    channels_last: bool


def pooling(
    function: str,
    dims: int | None,
    shape: Sizes,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    memory_format: Any,
) -> Pooling:
    """Check the arguments of a pooling of an x of this shape."""
    dims = _dims(function, dims, shape, "kernel_size", kernel_size)
    batched = check_image(function, shape, dims)
    sizes = shape[batched + 1 :]
    kernel = values.integers(function, "kernel_size", kernel_size, dims, 1)
    stride, padding = _stride_and_padding(function, dims, kernel, stride, padding)
    dilation = values.integers(function, "dilation", dilation, dims, 1)
    ceil_mode = values.flag(function, "ceil_mode", ceil_mode)
    extents = tuple(map(extent, kernel, dilation))
    around, padded = [], tuple(n + 2 * p for n, p in zip(sizes, padding, strict=True))
    for n, p, e, s in zip(sizes, padding, extents, stride, strict=True):
        count = (n + 2 * p - e + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and s > 1 and (count - 1) * s >= n + p:  # a window must begin in x, or in the padding before it
            count -= 1
        if certainly(lt, count, 1):
            raise errors_channels.kernel_too_large(function, "kernel_size", padded, extents, None)
        around.append((p, (count - 1) * s + e - n - p))
    values.check_countable(function, ("kernel_size", kernel_size, (*shape[: batched + 1], *padded, *kernel)))
    values.check_name(function, "memory_format", memory_format, MEMORY_FORMATS)
    windows = Windows(kernel, stride, dilation, tuple(around))
    return Pooling(windows, batched, memory_format == "channels_last")


def _dims(function: str, dims: int | None, shape: Sizes, argument: str, value: Any) -> int:
    """The number of spatial dimensions: of the function, of the argument, or of a batch of this shape."""
    if dims is not None:
        return dims
    if isinstance(value, (tuple, list)) and value:
        return len(value)
    return max(len(shape) - 2, 1)


def _stride_and_padding(function: str, dims: int, kernel: Sizes, stride: Any, padding: Any) -> tuple[Sizes, Sizes]:
    stride = kernel if stride is None else values.integers(function, "stride", stride, dims, 1)
    if isinstance(padding, (tuple, list)) and any(isinstance(p, (tuple, list)) for p in padding):
        raise errors_pooling.padding_of_pairs(function, padding)
    padding = values.integers(function, "padding", padding, dims, 0)
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise errors_pooling.padding_above_half(function, padding, kernel)
    return stride, padding


def divisor(function: str, value: Any) -> int | None:
    if value is None:
        return None
    number = values.integer(function, "divisor_override", value, -(2**62))
    if number == 0:
        raise errors_pooling.no_divisor(function)
    return number


def norm_type(function: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise errors.not_a_number(function, "norm_type", value)
    if value == 0 or math.isnan(value):
        raise errors_pooling.no_norm(function, value)
    return float(value)


def adaptive(function: str, dims: int | None, shape: Sizes, output_size: Any, memory_format: Any) -> Adaptive:
    """Check the arguments of an adaptive pooling of an x of this shape."""
    dims = _dims(function, dims, shape, "output_size", output_size)
    batched = check_image(function, shape, dims)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    if output_size is None:
        raise errors.not_an_integer(function, "output_size", output_size, output_size)
    if len(given) not in (1, dims):
        raise errors.wrong_count(function, "output_size", output_size, dims, pairs=False)
    given = tuple(given) * (dims // len(given))
    sizes = tuple(
        n if m is None else values.integer(function, "output_size", m, 1)
        for n, m in zip(shape[batched + 1 :], given, strict=True)
    )
    values.check_countable(function, ("output_size", output_size, (*shape[: batched + 1], *sizes)))
    values.check_name(function, "memory_format", memory_format, MEMORY_FORMATS)
    return Adaptive(sizes, batched, memory_format == "channels_last")


def unpooled_sizes(
    function: str,
    dims: int | None,
    shape: Sizes,
    indices: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Sizes:
    """Check the arguments of an unpooling of an x of this shape. Returns the spatial sizes of the result."""
    dims = _dims(function, dims, shape, "kernel_size", kernel_size)
    batched = check_image(function, shape, dims)
    if not np.issubdtype(indices.dtype, np.integer):
        raise errors.wrong_dtype(function, "indices", indices.dtype, "integers", "the indices of max_pool")
    if indices.shape != shape:
        raise errors_pooling.wrong_indices(function, shape, indices.shape)
    kernel = values.integers(function, "kernel_size", kernel_size, dims, 1)
    stride, padding = _stride_and_padding(function, dims, kernel, stride, padding)
    dimensions = list(zip(shape[batched + 1 :], stride, kernel, padding, strict=True))
    usual = tuple((n - 1) * s + k - 2 * p for n, s, k, p in dimensions)
    if output_size is None:
        if any(certainly(lt, n, 1) for n in usual):
            raise errors_pooling.wrong_unpooled_size(function, usual, usual, stride)
        return usual
    if isinstance(output_size, (tuple, list)) and len(output_size) == dims + 2:
        output_size = output_size[2:]
    sizes = values.integers(function, "output_size", output_size, dims, 1)
    if any(certainly(lambda n, m, s: abs(n - m) >= s, n, m, s) for n, m, s in zip(sizes, usual, stride, strict=True)):
        raise errors_pooling.wrong_unpooled_size(function, sizes, usual, stride)
    return sizes
