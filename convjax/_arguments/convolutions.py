"""Checks all arguments of a call. The result is a `ConvCall` for a convolution, a `Grid` for unfold and fold.

All code that the public functions call after this reads checked arguments only.
"""

import math
from collections.abc import Iterable
from operator import add, eq, lt
from typing import Any, NamedTuple

import jax.numpy as jnp

from convjax._arguments import errors, errors_channels, values
from convjax._arrays import boundary, windows
from convjax._spec import MEMORY_FORMATS, Boundary, ConvCall, ConvSpec, Grid, Hints, Pads, Sizes, certainly, extent


def _check_countable(function: str, x, weight, spec: ConvSpec, channels: Sizes, images: Iterable[tuple]) -> None:
    """Check that XLA can count every array of a convolution and of its derivatives.

    The derivatives use the same kernels, and images with either the input or the output channels.
    """
    lead, kernel = x.shape[: -spec.dims - 1], tuple(map(extent, weight.shape[2:], spec.rhs_dilation))
    made = [("weight", weight.shape, weight.shape), ("dilation", spec.rhs_dilation, (*weight.shape[:2], *kernel))]
    made += [(argument, value, (*lead, c, *sizes)) for argument, value, sizes in images for c in channels]
    # 16-bit numbers are summed in 32 bits.
    item_bytes = max(4, *(jnp.dtype(dtype).itemsize for dtype in (x.dtype, spec.out_dtype or x.dtype)))
    values.check_countable(function, *made, item_bytes=item_bytes)


class Options(NamedTuple):
    """The keyword-only arguments of every convolution, not yet checked."""

    padding_mode: Any = "zeros"
    memory_format: Any = "contiguous"
    precision: Any = None
    preferred_element_type: Any = None
    algorithm: Any = "auto"


def conv_call(
    function: str, dims: int | None, x, weight, bias, stride, padding, dilation, groups, options: Options
) -> ConvCall:
    """Check the arguments of a convolution. x, weight and bias need to have a shape and a dtype only."""
    dims, batched = _check_ranks(function, dims, x.shape, weight.shape, "(O, C/groups, *kernel)")
    groups = values.integer(function, "groups", groups, 1)
    channels, kernel = x.shape[batched], weight.shape[2:]
    if channels != weight.shape[1] * groups:
        if certainly(lambda c: c % groups, channels):
            raise errors_channels.groups_do_not_divide(
                function, groups, "input", channels, weight.shape[0], weight.shape
            )
        takes = weight.shape[1] * groups
        raise errors_channels.channels_do_not_match(function, x.shape, weight.shape, channels, groups, takes)
    if weight.shape[0] % groups:
        raise errors_channels.groups_do_not_divide(function, groups, "output", channels, weight.shape[0], weight.shape)
    _check_bias(function, bias, weight.shape[0])
    stride = values.integers(function, "stride", stride, dims, 1)
    dilation = values.integers(function, "dilation", dilation, dims, 1)
    pairs = values.paddings(function, padding, dims, stride, kernel, dilation)
    border = _check_boundary(function, options.padding_mode, pairs, x.shape[batched + 1 :])
    padded = tuple(n + low + high for n, (low, high) in zip(x.shape[batched + 1 :], pairs, strict=True))
    extents = tuple(map(extent, kernel, dilation))
    if any(certainly(lt, p, e) for p, e in zip(padded, extents, strict=True)):
        layout_remedy = errors_channels.another_layout(False, weight.shape, channels, groups)
        raise errors_channels.kernel_too_large(function, "weight", padded, extents, layout_remedy)
    spec = ConvSpec(
        stride=_clip_steps(stride, padded),
        padding=((0, 0),) * dims if border else pairs,
        lhs_dilation=(1,) * dims,
        rhs_dilation=_clip_steps(dilation, padded),
        groups=groups,
        precision=values.precisions(function, options.precision),
        out_dtype=values.out_dtype(function, options.preferred_element_type, x.dtype),
        hints=Hints(memory_format=_memory_format(function, options)),
    )
    images = ("x", x.shape, x.shape[batched + 1 :]), ("padding", padding, padded)
    _check_countable(function, x, weight, spec, (channels, weight.shape[0]), images)
    return ConvCall(spec, border, batched, False, options.algorithm)


def conv_transpose_call(
    function: str,
    dims: int | None,
    x,
    weight,
    bias,
    stride,
    padding,
    output_padding,
    groups,
    dilation,
    options: Options,
) -> ConvCall:
    """Check the arguments of a transposed convolution, which becomes a `ConvSpec` with x dilated by the stride.

    This is the transpose of a forward convolution. At output i, the forward convolution reads inputs i s - low + j r.
    So the output here has (n - 1) s - low - high + d(k, r) + output_padding positions. The flipped kernel slides over
    the dilated x, which has d(k, r) - 1 - low zeros before it and d(k, r) - 1 - high + output_padding zeros after it.
    d(k, r) is the extent of a kernel of k taps at dilation r.
    """
    dims, batched = _check_ranks(function, dims, x.shape, weight.shape, "(C, O/groups, *kernel)")
    groups = values.integer(function, "groups", groups, 1)
    channels, kernel = x.shape[batched], weight.shape[2:]
    if weight.shape[0] % groups:
        raise errors_channels.groups_do_not_divide(function, groups, "input", weight.shape[0], 0, weight.shape)
    if channels != weight.shape[0]:
        raise errors_channels.channels_do_not_match(function, x.shape, weight.shape, channels, groups, weight.shape[0])
    outputs = weight.shape[1] * groups
    _check_bias(function, bias, outputs)
    stride = values.integers(function, "stride", stride, dims, 1)
    dilation = values.integers(function, "dilation", dilation, dims, 1)
    if isinstance(padding, str):
        raise errors.padding_is_text(function, padding)
    pairs = values.pads(function, padding, dims)
    extra = values.integers(function, "output_padding", output_padding, dims, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise errors.output_padding_too_large(function, extra, stride, dilation)
    extents = tuple(map(extent, kernel, dilation))
    dilated = tuple(map(extent, x.shape[batched + 1 :], stride))
    spread = tuple(n - 1 + k for n, k in zip(dilated, extents, strict=True))
    full = tuple(map(add, spread, extra))
    size = tuple(f - low - high for f, (low, high) in zip(full, pairs, strict=True))
    if any(certainly(lt, n, 1) for n in size):
        raise errors.output_is_empty(function, size)
    border = _check_boundary(function, options.padding_mode, pairs, size)
    cropped = ((0, 0),) * dims if border else pairs
    spec = ConvSpec(
        stride=(1,) * dims,
        padding=tuple(
            (k - 1 - low, k - 1 - high + e) for k, (low, high), e in zip(extents, cropped, extra, strict=True)
        ),
        lhs_dilation=_clip_steps(stride, full),
        rhs_dilation=_clip_steps(dilation, full),
        groups=groups,
        precision=values.precisions(function, options.precision),
        out_dtype=values.out_dtype(function, options.preferred_element_type, x.dtype),
        hints=Hints(flipped_weight=True, memory_format=_memory_format(function, options)),
    )
    images = ("stride", stride, dilated), ("dilation", dilation, spread), ("output_padding", extra, full)
    _check_countable(function, x, weight, spec, (channels, outputs), (("x", x.shape, x.shape[batched + 1 :]), *images))
    return ConvCall(spec, border, batched, True, options.algorithm)


def _clip_steps(steps: Sizes, sizes: Sizes) -> Sizes:
    """Clip strides or dilations to the size of their axis.

    A larger step is never taken, but an algorithm may pad the axis to a multiple of the step.
    """
    return tuple(n if certainly(lt, n, step) else step for step, n in zip(steps, sizes, strict=True))


def unfold_grid(function: str, shape: Sizes, kernel_size, dilation, padding, stride) -> Grid:
    """Check the arguments of unfold for an x of this shape."""
    kernel = values.kernel_sizes(function, kernel_size)
    dims = len(kernel)
    if len(shape) not in (dims + 1, dims + 2):
        raise errors.wrong_input_rank(function, shape, dims)
    sizes = shape[-dims:]
    for axis, size in enumerate(shape[-dims - 1 :]):
        if certainly(eq, size, 0):
            raise errors.empty_axis(function, "x", shape, "a channel axis" if axis == 0 else f"spatial axis {axis - 1}")
    found = _check_grid(function, sizes, kernel, dilation, padding, stride)
    _check_countable_patches(function, math.prod(shape[:-dims]), found, ("x", shape), padding)
    return found


def _check_grid(function: str, sizes: Sizes, kernel: Sizes, dilation, padding, stride) -> Grid:
    dims = len(kernel)
    stride = values.integers(function, "stride", stride, dims, 1)
    dilation = values.integers(function, "dilation", dilation, dims, 1)
    if isinstance(padding, str):
        raise errors.padding_is_text(function, padding)
    pairs = values.pads(function, padding, dims)
    extents = tuple(map(extent, kernel, dilation))
    padded = tuple(n + low + high for n, (low, high) in zip(sizes, pairs, strict=True))
    if any(certainly(lt, p, e) for p, e in zip(padded, extents, strict=True)):
        raise errors_channels.kernel_too_large(function, "kernel_size", padded, extents, None)
    counts = tuple((p - e) // s + 1 for p, e, s in zip(padded, extents, stride, strict=True))
    return Grid(sizes, kernel, _clip_steps(stride, padded), _clip_steps(dilation, padded), pairs, counts)


def _check_countable_patches(function: str, images: int, grid: Grid, given: tuple[str, Any], padding: Any) -> None:
    """Check that XLA can count the arrays that `call.unfold` and `call.fold` make, axis by axis.

    `given` is the argument, and its value, that sets the size of the images.
    """
    padded = tuple(n + low + high for n, (low, high) in zip(grid.sizes, grid.padding, strict=True))
    values.check_countable(function, (*given, (images, *grid.sizes)), ("padding", padding, (images, *padded)))
    for axis, (k, m) in enumerate(zip(grid.kernel, grid.counts, strict=True)):
        made = windows.max_elements(padded[axis], k, grid.stride[axis], grid.dilation[axis], m)
        values.check_countable(function, ("kernel_size", grid.kernel, (images, made, *padded[axis + 1 :])))
        images *= k * m


def fold_grid(function: str, shape: Sizes, output_size, kernel_size, dilation, padding, stride) -> tuple[Grid, int]:
    """Check the arguments of fold for an x of this shape.

    Returns the grid that unfold would use on the result, and the number of channels of the result.
    """
    kernel = values.kernel_sizes(function, kernel_size)
    sizes = values.integers(function, "output_size", output_size, len(kernel), 1)
    if len(shape) not in (2, 3):
        raise errors.wrong_patch_rank(function, shape)
    found = _check_grid(function, sizes, kernel, dilation, padding, stride)
    taps, count = math.prod(kernel), math.prod(found.counts)
    if shape[-2] % taps or shape[-2] == 0:
        raise errors.patch_not_divisible(function, shape[-2], taps)
    if shape[-1] != count:
        raise errors.wrong_patch_count(function, shape, count, found.counts)
    images = math.prod(shape[:-1]) // taps
    _check_countable_patches(function, images, found, ("output_size", output_size), padding)
    return found, shape[-2] // taps


def _check_ranks(function: str, dims: int | None, x: Sizes, weight: Sizes, layout: str) -> tuple[int, bool]:
    if len(weight) < 3 or (dims is not None and len(weight) != dims + 2):
        raise errors.wrong_weight_rank(function, weight, dims, layout)
    dims = len(weight) - 2
    batched = check_image(function, x, dims)
    for axis, size in enumerate(weight):
        if size == 0:
            raise errors.empty_axis(function, "weight", weight, f"axis {axis}")
    return dims, batched


def check_image(function: str, x: Sizes, dims: int) -> bool:
    """Check the shape of an image, or of a batch of images. Returns whether it is a batch."""
    if len(x) not in (dims + 1, dims + 2):
        raise errors.wrong_input_rank(function, x, dims)
    batched = len(x) == dims + 2
    for axis, size in enumerate(x[batched:]):
        if certainly(eq, size, 0):
            name = "a channel axis" if axis == 0 else f"spatial axis {axis - 1}"
            raise errors.empty_axis(function, "x", x, name)
    return batched


def _memory_format(function: str, options: Options) -> str:
    values.check_name(function, "memory_format", options.memory_format, MEMORY_FORMATS)
    return options.memory_format


def _check_bias(function: str, bias: Any, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise errors.wrong_bias(function, bias.shape, channels)


def _check_boundary(function: str, mode: Any, pairs: Pads, sizes: Sizes) -> Boundary | None:
    values.check_name(function, "padding_mode", mode, boundary.TORCH)
    border, max_width = boundary.TORCH[mode]
    for size, pad in zip(sizes, map(max, pairs), strict=True):
        if max_width and certainly(lt, max_width(size), pad):
            raise errors.pad_too_wide(function, mode, pad, size, max_width(size))
    return None if border == "constant" or not any(map(any, pairs)) else Boundary(border, pairs)
