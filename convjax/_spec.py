"""What one convolution is (`ConvSpec`), its geometry, and the only normaliser of arguments.

A public function hands its arrays to `_arrays`, its other arguments to `conv_call` or `conv_transpose_call`, and gets
back operands of one dtype and a frozen, hashable `ConvCall`. Nothing below the public functions looks at an unchecked
argument.
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from operator import add, eq, lt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import InconclusiveDimensionOperation

from convjax import _boundary, _check, _check_channels, _check_names, _windows

Sizes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]


class ConvSpec(NamedTuple):
    """A general convolution of x (N, G*I, *n) with w (G*O, I, *k): the whole family, derivatives included.

    x has `lhs_dilation - 1` zeros set between its elements, then `padding` zeros set around it (a negative padding
    crops); w has `rhs_dilation - 1` zeros between its taps; the window moves by `stride`. `out_dtype` is the dtype of
    the result, None for that of the operands. `turned` says that another weight was turned to be w, as those of input
    gradients and transposed convolutions are: what turns it back reads that one as it lies. `weight` names the array
    that is the weight of a layer: "kernel" in a forward convolution, "result" in its weight gradient, "input" in a
    derivative of that; None if each of the three may be an image. A mesh shards the spatial axes of images, not those
    of weights. Neither `turned` nor `weight` changes a value.
    """

    stride: Sizes
    padding: Pads
    lhs_dilation: Sizes
    rhs_dilation: Sizes
    groups: int = 1
    precision: Any = None
    out_dtype: Any = None
    turned: bool = False
    weight: str | None = "kernel"

    @property
    def dims(self) -> int:
        return len(self.stride)

    def output_shape(self, x: Sequence[int], w: Sequence[int]) -> Sizes:
        return (x[0], w[0], *map(_positions, x[2:], w[2:], self.stride, self.padding, *self.dilations))

    @property
    def dilations(self) -> tuple[Sizes, Sizes]:
        return self.lhs_dilation, self.rhs_dilation


def extent(n: int, dilation: int) -> int:
    """The size of an axis of n elements with dilation - 1 zeros between them: d(n, r) = (n - 1) r + 1."""
    return (n - 1) * dilation + 1


def _positions(n, k, stride, pads, lhs_dilation, rhs_dilation):
    room = extent(n, lhs_dilation) + sum(pads) - extent(k, rhs_dilation)
    return room // stride + 1


class Boundary(NamedTuple):
    """How the borders are filled: a row of the table in _boundary, and how far."""

    kind: str
    padding: Pads


class ConvCall(NamedTuple):
    """A checked call: the convolution, and what is to be done around it."""

    spec: ConvSpec
    boundary: Boundary | None  # None for zeros, which the spec pads itself
    batched: bool
    transposed: bool
    algorithm: str


class Grid(NamedTuple):
    """Where the patches of an image of size `sizes` lie, for unfold and fold."""

    sizes: Sizes
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    padding: Pads
    counts: Sizes


def certainly(holds: Callable[..., bool], *sizes: Any) -> bool:
    """Whether a condition on sizes holds; False where a symbolic size leaves it open."""
    try:
        return bool(holds(*sizes))
    except InconclusiveDimensionOperation:
        return False


# ---- single arguments ----


def integers(function: str, argument: str, value: Any, dims: int, minimum: int) -> Sizes:
    """An int, or one int per spatial dimension, each at least `minimum`, as a tuple."""
    entries = _entries(value)
    if entries is None or len(entries) == 1:
        return (_integer(function, argument, value if entries is None else entries[0], minimum, value),) * dims
    if len(entries) != dims:
        raise _check.wrong_count(function, argument, value, dims, pairs=False)
    return tuple(_integer(function, argument, entry, minimum, value) for entry in entries)


_LARGEST = 2**63 - 1  # XLA counts elements and bytes in 64 bits


def integer(function: str, argument: str, value: Any, minimum: int) -> int:
    return _integer(function, argument, value, minimum, value)


def _entries(value: Any) -> Sequence[Any] | None:
    if isinstance(value, (tuple, list)):
        return value
    if isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, jax.core.Tracer) and value.ndim:
        return list(np.asarray(value))
    return None


def _integer(function: str, argument: str, entry: Any, minimum: int, whole: Any) -> Any:
    if isinstance(entry, (bool, np.bool_, str)) or entry is None:
        raise _check.not_an_integer(function, argument, entry, whole)
    try:
        number = entry if jax.export.is_symbolic_dim(entry) else operator.index(entry)
    except (TypeError, jax.errors.JAXTypeError) as error:
        raise _check.not_an_integer(function, argument, entry, whole) from error
    if certainly(lt, number, minimum):
        raise _check.too_small(function, argument, whole, minimum)
    if certainly(lt, _LARGEST, number):
        raise _check.too_large(function, argument, whole)
    return number


def paddings(function: str, value: Any, dims: int, stride: Sizes, kernel: Sizes, dilation: Sizes) -> Pads:
    """An int, an int per dimension, a (low, high) pair per dimension, "same" or "valid", as pairs."""
    if isinstance(value, str):
        known_name(function, "padding", value, ("same", "valid"))
        if value == "valid":
            return ((0, 0),) * dims
        total = [extent(k, d) - 1 for k, d in zip(kernel, dilation, strict=True)]
        pairs = tuple((t // 2, t - t // 2) for t in total)  # as torch: the odd one goes to the high side
        if any(s > 1 for s in stride):
            raise _check.same_with_stride(function, stride, pairs)
        return pairs
    return pads(function, value, dims)


def pads(function: str, value: Any, dims: int) -> Pads:
    """An int, an int per dimension, or a (low, high) pair per dimension, as pairs."""
    entries = _entries(value)
    if entries is None or all(_entries(entry) is None for entry in entries):
        if entries is not None and len(entries) not in (1, dims):
            raise _check.wrong_count(function, "padding", value, dims, pairs=True)
        return tuple((p, p) for p in integers(function, "padding", value, dims, 0))
    if len(entries) != dims:
        raise _check.wrong_count(function, "padding", value, dims, pairs=True)
    result = []
    for entry in entries:
        sides = _entries(entry)
        sides = (entry, entry) if sides is None else sides
        if len(sides) != 2:
            raise _check.wrong_count(function, "padding", value, dims, pairs=True)
        low, high = (_integer(function, "padding", side, 0, value) for side in sides)
        result.append((low, high))
    return tuple(result)


def known_name(function: str, argument: str, value: Any, known: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise _check_names.unknown_name(function, argument, value, known)


_PRECISIONS = tuple(level.name.lower() for level in jax.lax.Precision)


def precisions(function: str, value: Any) -> Any:
    """None, or one jax.lax.Precision, or one per operand; None takes jax.default_matmul_precision's where it is set."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return tuple(_precision(function, v, value) for v in value)
    if value is None:
        value = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        if value is None:
            return None
        try:
            return jax.lax.Precision(value)
        except ValueError:  # a preset for dots alone, which a convolution has no use for
            return None
    return _precision(function, value, value)


def _precision(function: str, value: Any, whole: Any) -> jax.lax.Precision | None:
    if value is None or isinstance(value, jax.lax.Precision):
        return value
    try:
        return jax.lax.Precision(value)
    except (ValueError, TypeError) as error:
        raise _check_names.unknown_name(function, "precision", whole, _PRECISIONS) from error


def dtype(function: str, argument: str, value: Any) -> Any:
    """A dtype as JAX has it, so that float64 is float32 where x64 is off."""
    try:
        if value is None:
            raise TypeError
        return jax.dtypes.canonicalize_dtype(jnp.dtype(value).newbyteorder("="))
    except (TypeError, ValueError) as error:
        raise _check.not_a_dtype(function, argument, value) from error


def float_dtype(function: str, value: Any) -> Any:
    found = dtype(function, "dtype", value)
    if not jnp.issubdtype(found, jnp.floating):
        raise _check.wrong_dtype(function, "dtype", found, "a real floating dtype", "dtype=jax.numpy.float32")
    return found


def out_dtype(function: str, value: Any, operands: Any) -> Any:
    """The dtype asked for by preferred_element_type, None where it is that of the operands."""
    if value is None:
        return None
    preferred = dtype(function, "preferred_element_type", value)
    kinds = (jnp.signedinteger, jnp.unsignedinteger, jnp.floating, jnp.complexfloating)
    same_kind = any(jnp.issubdtype(preferred, kind) and jnp.issubdtype(operands, kind) for kind in kinds)
    if not same_kind or preferred.itemsize < operands.itemsize:
        raise _check.wrong_preferred_type(function, preferred, operands)
    return None if preferred == operands else preferred


# ---- whole calls ----


def countable(function: str, *made: tuple[str, Any, Sequence[int]], item_bytes: int = 16) -> None:
    """Raise for the first (argument, value, shape made of it) that XLA cannot count; it would end the process."""
    for argument, value, shape in made:
        if certainly(lt, _LARGEST, math.prod(shape) * item_bytes):
            raise _check.too_large(function, argument, value)


def _countable(function: str, x, weight, spec: ConvSpec, channels: Sizes, images: Iterable[tuple]) -> None:
    """The same of a convolution and its derivatives, which make the same kernels, and images of either channels."""
    lead, kernel = x.shape[: -spec.dims - 1], tuple(map(extent, weight.shape[2:], spec.rhs_dilation))
    made = [("weight", weight.shape, weight.shape), ("dilation", spec.rhs_dilation, (*weight.shape[:2], *kernel))]
    made += [(argument, value, (*lead, c, *sizes)) for argument, value, sizes in images for c in channels]
    # 16-bit numbers are summed in 32 bits.
    item_bytes = max(4, *(jnp.dtype(dtype).itemsize for dtype in (x.dtype, spec.out_dtype or x.dtype)))
    countable(function, *made, item_bytes=item_bytes)


class Options(NamedTuple):
    """The keyword-only arguments that every convolution has, as given."""

    padding_mode: Any = "zeros"
    precision: Any = None
    preferred_element_type: Any = None
    algorithm: Any = "auto"


def conv_call(
    function: str, dims: int | None, x, weight, bias, stride, padding, dilation, groups, options: Options
) -> ConvCall:
    """Check the arguments of a convolution. x, weight and bias need only a shape and a dtype."""
    dims, batched = _ranks(function, dims, x.shape, weight.shape, "(O, C/groups, *kernel)")
    groups = integer(function, "groups", groups, 1)
    channels, kernel = x.shape[batched], weight.shape[2:]
    if channels != weight.shape[1] * groups:
        if certainly(lambda c: c % groups, channels):
            raise _check_channels.groups_do_not_divide(
                function, groups, "input", channels, weight.shape[0], weight.shape
            )
        takes = weight.shape[1] * groups
        raise _check_channels.channels_do_not_match(function, x.shape, weight.shape, channels, groups, takes)
    if weight.shape[0] % groups:
        raise _check_channels.groups_do_not_divide(function, groups, "output", channels, weight.shape[0], weight.shape)
    _bias(function, bias, weight.shape[0])
    stride = integers(function, "stride", stride, dims, 1)
    dilation = integers(function, "dilation", dilation, dims, 1)
    pairs = paddings(function, padding, dims, stride, kernel, dilation)
    boundary = _boundaries(function, options.padding_mode, pairs, x.shape[batched + 1 :])
    padded = tuple(n + low + high for n, (low, high) in zip(x.shape[batched + 1 :], pairs, strict=True))
    extents = tuple(map(extent, kernel, dilation))
    if any(certainly(lt, p, e) for p, e in zip(padded, extents, strict=True)):
        turned = _check_channels.another_layout(False, weight.shape, channels, groups)
        raise _check_channels.kernel_too_large(function, "weight", padded, extents, turned)
    spec = ConvSpec(
        stride=_steps(stride, padded),
        padding=((0, 0),) * dims if boundary else pairs,
        lhs_dilation=(1,) * dims,
        rhs_dilation=_steps(dilation, padded),
        groups=groups,
        precision=precisions(function, options.precision),
        out_dtype=out_dtype(function, options.preferred_element_type, x.dtype),
    )
    images = ("x", x.shape, x.shape[batched + 1 :]), ("padding", padding, padded)
    _countable(function, x, weight, spec, (channels, weight.shape[0]), images)
    return ConvCall(spec, boundary, batched, False, options.algorithm)


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
    """Check the arguments of a transposed convolution: the same closed operation, with x dilated by the stride.

    The forward convolution that this one is the transpose of reads, at output i, inputs i s - low + j r. So here the
    output has (n - 1) s - low - high + d(k, r) + output_padding positions, and the flipped kernel slides over the
    dilated x with d(k, r) - 1 - low zeros before it and d(k, r) - 1 - high + output_padding behind it.
    """
    dims, batched = _ranks(function, dims, x.shape, weight.shape, "(C, O/groups, *kernel)")
    groups = integer(function, "groups", groups, 1)
    channels, kernel = x.shape[batched], weight.shape[2:]
    if weight.shape[0] % groups:
        raise _check_channels.groups_do_not_divide(function, groups, "input", weight.shape[0], 0, weight.shape)
    if channels != weight.shape[0]:
        raise _check_channels.channels_do_not_match(function, x.shape, weight.shape, channels, groups, weight.shape[0])
    outputs = weight.shape[1] * groups
    _bias(function, bias, outputs)
    stride = integers(function, "stride", stride, dims, 1)
    dilation = integers(function, "dilation", dilation, dims, 1)
    if isinstance(padding, str):
        raise _check.padding_is_text(function, padding)
    pairs = pads(function, padding, dims)
    extra = integers(function, "output_padding", output_padding, dims, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise _check.output_padding_too_large(function, extra, stride, dilation)
    extents = tuple(map(extent, kernel, dilation))
    dilated = tuple(map(extent, x.shape[batched + 1 :], stride))
    spread = tuple(n - 1 + k for n, k in zip(dilated, extents, strict=True))
    full = tuple(map(add, spread, extra))
    size = tuple(f - low - high for f, (low, high) in zip(full, pairs, strict=True))
    if any(certainly(lt, n, 1) for n in size):
        raise _check.output_is_empty(function, size)
    boundary = _boundaries(function, options.padding_mode, pairs, size)
    cropped = ((0, 0),) * dims if boundary else pairs
    spec = ConvSpec(
        stride=(1,) * dims,
        padding=tuple(
            (k - 1 - low, k - 1 - high + e) for k, (low, high), e in zip(extents, cropped, extra, strict=True)
        ),
        lhs_dilation=_steps(stride, full),
        rhs_dilation=_steps(dilation, full),
        groups=groups,
        precision=precisions(function, options.precision),
        out_dtype=out_dtype(function, options.preferred_element_type, x.dtype),
        turned=True,
    )
    images = ("stride", stride, dilated), ("dilation", dilation, spread), ("output_padding", extra, full)
    _countable(function, x, weight, spec, (channels, outputs), (("x", x.shape, x.shape[batched + 1 :]), *images))
    return ConvCall(spec, boundary, batched, True, options.algorithm)


def _steps(steps: Sizes, sizes: Sizes) -> Sizes:
    """None is larger than its axis. Such a step is never taken, but a lowering may round the axis up to it."""
    return tuple(n if certainly(lt, n, step) else step for step, n in zip(steps, sizes, strict=True))


def grid(function: str, shape: Sizes, kernel_size, dilation, padding, stride) -> Grid:
    """Check the arguments of unfold for x of a shape."""
    kernel = kernel_sizes(function, kernel_size)
    dims = len(kernel)
    if len(shape) not in (dims + 1, dims + 2):
        raise _check.wrong_input_rank(function, shape, dims)
    sizes = shape[-dims:]
    for axis, size in enumerate(shape[-dims - 1 :]):
        if certainly(eq, size, 0):
            raise _check.empty_axis(function, "x", shape, "a channel axis" if axis == 0 else f"spatial axis {axis - 1}")
    found = _grid(function, sizes, kernel, dilation, padding, stride)
    _countable_patches(function, math.prod(shape[:-dims]), found, ("x", shape), padding)
    return found


def kernel_sizes(function: str, value: Any) -> Sizes:
    """One int per spatial dimension; a bare int stands for two dimensions, as in torch."""
    entries = _entries(value)
    dims = 2 if entries is None else len(entries)
    if dims == 0:
        raise _check.wrong_count(function, "kernel_size", value, 2, pairs=False)
    return integers(function, "kernel_size", value, dims, 1)


def _grid(function: str, sizes: Sizes, kernel: Sizes, dilation, padding, stride) -> Grid:
    dims = len(kernel)
    stride = integers(function, "stride", stride, dims, 1)
    dilation = integers(function, "dilation", dilation, dims, 1)
    if isinstance(padding, str):
        raise _check.padding_is_text(function, padding)
    pairs = pads(function, padding, dims)
    extents = tuple(map(extent, kernel, dilation))
    padded = tuple(n + low + high for n, (low, high) in zip(sizes, pairs, strict=True))
    if any(certainly(lt, p, e) for p, e in zip(padded, extents, strict=True)):
        raise _check_channels.kernel_too_large(function, "kernel_size", padded, extents, None)
    counts = tuple((p - e) // s + 1 for p, e, s in zip(padded, extents, stride, strict=True))
    return Grid(sizes, kernel, _steps(stride, padded), _steps(dilation, padded), pairs, counts)


def _countable_patches(function: str, images: int, grid: Grid, given: tuple[str, Any], padding: Any) -> None:
    """What `_call.unfold` and `_call.fold` make of so many images, axis by axis; `given` says what sizes them."""
    padded = tuple(n + low + high for n, (low, high) in zip(grid.sizes, grid.padding, strict=True))
    countable(function, (*given, (images, *grid.sizes)), ("padding", padding, (images, *padded)))
    for axis, (k, m) in enumerate(zip(grid.kernel, grid.counts, strict=True)):
        made = _windows.elements(padded[axis], k, grid.stride[axis], grid.dilation[axis], m)
        countable(function, ("kernel_size", grid.kernel, (images, made, *padded[axis + 1 :])))
        images *= k * m


def fold_grid(function: str, shape: Sizes, output_size, kernel_size, dilation, padding, stride) -> tuple[Grid, int]:
    """Check the arguments of fold for x of a shape; the grid that unfold would have on the result, and its channels."""
    kernel = kernel_sizes(function, kernel_size)
    sizes = integers(function, "output_size", output_size, len(kernel), 1)
    if len(shape) not in (2, 3):
        raise _check.wrong_patch_rank(function, shape)
    found = _grid(function, sizes, kernel, dilation, padding, stride)
    taps, count = math.prod(kernel), math.prod(found.counts)
    if shape[-2] % taps or shape[-2] == 0:
        raise _check.patch_not_divisible(function, shape[-2], taps)
    if shape[-1] != count:
        raise _check.wrong_patch_count(function, shape, count, found.counts)
    images = math.prod(shape[:-1]) // taps
    _countable_patches(function, images, found, ("output_size", output_size), padding)
    return found, shape[-2] // taps


def _ranks(function: str, dims: int | None, x: Sizes, weight: Sizes, layout: str) -> tuple[int, bool]:
    if len(weight) < 3 or (dims is not None and len(weight) != dims + 2):
        raise _check.wrong_weight_rank(function, weight, dims, layout)
    dims = len(weight) - 2
    if len(x) not in (dims + 1, dims + 2):
        raise _check.wrong_input_rank(function, x, dims)
    batched = len(x) == dims + 2
    for axis, size in enumerate(x[batched:]):
        if certainly(eq, size, 0):
            name = "a channel axis" if axis == 0 else f"spatial axis {axis - 1}"
            raise _check.empty_axis(function, "x", x, name)
    for axis, size in enumerate(weight):
        if size == 0:
            raise _check.empty_axis(function, "weight", weight, f"axis {axis}")
    return dims, batched


def _bias(function: str, bias: Any, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise _check.wrong_bias(function, bias.shape, channels)


def _boundaries(function: str, mode: Any, pairs: Pads, sizes: Sizes) -> Boundary | None:
    known_name(function, "padding_mode", mode, _boundary.TORCH)
    kind, widest = _boundary.TORCH[mode]
    for size, pad in zip(sizes, map(max, pairs), strict=True):
        if widest and certainly(lt, widest(size), pad):
            raise _check.pad_too_wide(function, mode, pad, size, widest(size))
    return None if kind == "constant" or not any(map(any, pairs)) else Boundary(kind, pairs)
