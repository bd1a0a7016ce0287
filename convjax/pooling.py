"""The poolings of neural networks, with the names and arguments of torch.nn.functional."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from convjax._arguments import arrays, errors, pooling, values
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._operation import pool
from convjax.functional import Ints, MemoryFormat

Sizes = int | Sequence[int | None]


@explain_unknown_arguments
def max_pool(
    x: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.max_pool1d`, `max_pool2d` and `max_pool3d`, for any number of spatial dimensions.

    The largest element of each window. Per spatial dimension there are

        floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1    windows.

    Args:
      x: (N, C, *spatial), or (C, *spatial) for one image; floats or integers.
      kernel_size: size of the windows. The number of its entries is the number of spatial dimensions. An int is for all
        dimensions of an (N, C, *spatial).
      stride: step of the windows in elements; None is kernel_size.
      padding: elements before and behind x that are never taken, at most half of kernel_size.
      dilation: distance in elements between the taps of a window.
      ceil_mode: ceil in place of floor in the formula: a last window that is partly outside of x. It has to begin in x
        or in the padding before x.
      return_indices: whether to return also where the elements are in the image, as `max_unpool` takes it.
      memory_format: how images lie in memory, as in `convjax.conv`.

    Returns:
      (N, C, *windows), or (C, *windows), in the dtype of x. With return_indices also an int32 array of this shape: for
      each window the number of its element in the image, in row order.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too.

    The first of equal elements is taken. If there is a NaN, the last NaN is taken, as in torch. Every derivative, of
    any order, goes to the element that is taken, without a scatter.

    Differs from torch: indices are int32, x may have any number of spatial dimensions, and padding with dilation is at
    most half of kernel_size in all of them.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.max_pool(jnp.array([[1.0, 3.0, 2.0, 0.0]]), (2,), stride=1, return_indices=True)
    (Array([[3., 3., 2.]], dtype=float32), Array([[1, 1, 2]], dtype=int32))
    """
    return _max_pool(
        "max_pool", None, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, memory_format
    )


@explain_unknown_arguments
def max_pool1d(
    x: ArrayLike,
    kernel_size: int,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.max_pool1d`: `convjax.max_pool` of (N, C, L) or (C, L).

    Arguments, results, errors and differences are those of `convjax.max_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.max_pool1d(jnp.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    Array([[3., 2.]], dtype=float32)
    """
    return _max_pool(
        "max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, memory_format
    )


@explain_unknown_arguments
def max_pool2d(
    x: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.max_pool2d`: `convjax.max_pool` of (N, C, H, W) or (C, H, W).

    Arguments, results, errors and differences are those of `convjax.max_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.max_pool2d(jnp.arange(16.0).reshape(1, 4, 4), 2)[0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    return _max_pool(
        "max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, memory_format
    )


@explain_unknown_arguments
def max_pool3d(
    x: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.max_pool3d`: `convjax.max_pool` of (N, C, D, H, W) or (C, D, H, W).

    Arguments, results, errors and differences are those of `convjax.max_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.max_pool3d(jnp.arange(27.0).reshape(1, 3, 3, 3), 3, stride=2, padding=1)[0, 1]
    Array([[22., 23.],
           [25., 26.]], dtype=float32)
    """
    return _max_pool(
        "max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, memory_format
    )


@explain_unknown_arguments
def avg_pool(
    x: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.avg_pool1d`, `avg_pool2d` and `avg_pool3d`, for any number of spatial dimensions.

    The mean of each window, with zeros as padding.

    Args:
      x: (N, C, *spatial), or (C, *spatial) for one image; floats or complex numbers.
      kernel_size, stride, ceil_mode, memory_format: as in `convjax.max_pool`.
      padding: zeros before and behind x, at most half of kernel_size.
      count_include_pad: whether the padding counts as elements of a window. What ceil_mode adds does not.
      divisor_override: what to divide the sum of a window by, instead of by the number of its elements.

    Returns:
      (N, C, *windows), or (C, *windows), in the dtype of x. 16-bit numbers are summed in float32.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too, and for integers.

    Differs from torch: any number of spatial dimensions, and complex numbers.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.avg_pool(jnp.array([[1.0, 3.0, 2.0, 0.0]]), (3,), stride=1, padding=1, count_include_pad=False)
    Array([[2.       , 2.       , 1.6666666, 1.       ]], dtype=float32)
    """
    return _avg_pool(
        "avg_pool", None, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, memory_format
    )


@explain_unknown_arguments
def avg_pool1d(
    x: ArrayLike,
    kernel_size: int,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.avg_pool1d`: `convjax.avg_pool` of (N, C, L) or (C, L).

    Arguments, results, errors and differences are those of `convjax.avg_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.avg_pool1d(jnp.array([[1.0, 3.0, 2.0, 0.0]]), 2)
    Array([[2., 1.]], dtype=float32)
    """
    return _avg_pool(
        "avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None, memory_format
    )


@explain_unknown_arguments
def avg_pool2d(
    x: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.avg_pool2d`: `convjax.avg_pool` of (N, C, H, W) or (C, H, W).

    Arguments, results, errors and differences are those of `convjax.avg_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.avg_pool2d(jnp.arange(16.0).reshape(1, 4, 4), 2)[0]
    Array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    return _avg_pool(
        "avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, memory_format
    )


@explain_unknown_arguments
def avg_pool3d(
    x: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.avg_pool3d`: `convjax.avg_pool` of (N, C, D, H, W) or (C, D, H, W).

    Arguments, results, errors and differences are those of `convjax.avg_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.avg_pool3d(jnp.arange(8.0).reshape(1, 2, 2, 2), 2, divisor_override=1)
    Array([[[[28.]]]], dtype=float32)
    """
    return _avg_pool(
        "avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, memory_format
    )


@explain_unknown_arguments
def lp_pool(
    x: ArrayLike,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.lp_pool1d`, `lp_pool2d` and `lp_pool3d`, for any number of spatial dimensions.

    The root of the sum of powers of each window, (sum of x ** norm_type) ** (1 / norm_type).

    Args:
      x: (N, C, *spatial), or (C, *spatial) for one image; floats.
      norm_type: the power, a number other than 0. It is static. An infinity is the largest, or the smallest, absolute
        value.
      kernel_size, stride, ceil_mode, memory_format: as in `convjax.max_pool`.

    Returns:
      (N, C, *windows), or (C, *windows), in the dtype of x. As in torch, the sum of a window that ceil_mode made
      smaller is scaled to the size of the kernel. Odd powers of negative numbers are negative, so a root can be NaN.
      Where the sum is zero, so is the gradient.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too.

    Differs from torch: any number of spatial dimensions.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.lp_pool(jnp.array([[3.0, 4.0, 6.0, 8.0]]), 2, (2,))
    Array([[ 5., 10.]], dtype=float32)
    """
    return _lp_pool("lp_pool", None, x, norm_type, kernel_size, stride, ceil_mode, memory_format)


@explain_unknown_arguments
def lp_pool1d(
    x: ArrayLike,
    norm_type: float,
    kernel_size: int,
    stride: Ints | None = None,
    ceil_mode: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.lp_pool1d`: `convjax.lp_pool` of (N, C, L) or (C, L).

    Arguments, results, errors and differences are those of `convjax.lp_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.lp_pool1d(jnp.array([[1.0, 3.0, 2.0, 0.0]]), 1, 2)
    Array([[4., 2.]], dtype=float32)
    """
    return _lp_pool("lp_pool1d", 1, x, norm_type, kernel_size, stride, ceil_mode, memory_format)


@explain_unknown_arguments
def lp_pool2d(
    x: ArrayLike,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.lp_pool2d`: `convjax.lp_pool` of (N, C, H, W) or (C, H, W).

    Arguments, results, errors and differences are those of `convjax.lp_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.lp_pool2d(jnp.ones((1, 4, 4)), 2, 2)[0]
    Array([[2., 2.],
           [2., 2.]], dtype=float32)
    """
    return _lp_pool("lp_pool2d", 2, x, norm_type, kernel_size, stride, ceil_mode, memory_format)


@explain_unknown_arguments
def lp_pool3d(
    x: ArrayLike,
    norm_type: float,
    kernel_size: Ints,
    stride: Ints | None = None,
    ceil_mode: bool = False,
    *,
    memory_format: MemoryFormat = "contiguous",
) -> jax.Array:
    """`torch.nn.functional.lp_pool3d`: `convjax.lp_pool` of (N, C, D, H, W) or (C, D, H, W).

    Arguments, results, errors and differences are those of `convjax.lp_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.lp_pool3d(-jnp.ones((1, 2, 2, 2)), float("inf"), 2)
    Array([[[[1.]]]], dtype=float32)
    """
    return _lp_pool("lp_pool3d", 3, x, norm_type, kernel_size, stride, ceil_mode, memory_format)


@explain_unknown_arguments
def adaptive_avg_pool(x: ArrayLike, output_size: Sizes, *, memory_format: MemoryFormat = "contiguous") -> jax.Array:
    """`torch.nn.functional.adaptive_avg_pool1d`, `2d` and `3d`, for any number of spatial dimensions.

    The means of windows that cover x. Window i of m windows of n elements is x[floor(i n / m) : ceil((i + 1) n / m)].

    Args:
      x: (N, C, *spatial), or (C, *spatial) for one image; floats or complex numbers.
      output_size: the number of windows: one for all dimensions, or one for each. None for one is the size of x.
      memory_format: as in `convjax.conv`.

    Returns:
      (N, C, *output_size), or (C, *output_size), in the dtype of x. 16-bit numbers are summed in float32.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too, and for an output_size of 0.

    Differs from torch: any number of spatial dimensions, and complex numbers.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_avg_pool(jnp.arange(5.0).reshape(1, 1, 5), 2)
    Array([[[1., 3.]]], dtype=float32)
    """
    return _adaptive_avg_pool("adaptive_avg_pool", None, x, output_size, memory_format)


@explain_unknown_arguments
def adaptive_avg_pool1d(x: ArrayLike, output_size: Sizes, *, memory_format: MemoryFormat = "contiguous") -> jax.Array:
    """`torch.nn.functional.adaptive_avg_pool1d`: `convjax.adaptive_avg_pool` of (N, C, L) or (C, L).

    Arguments, results, errors and differences are those of `convjax.adaptive_avg_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_avg_pool1d(jnp.arange(5.0).reshape(1, 5), 2)
    Array([[1., 3.]], dtype=float32)
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, x, output_size, memory_format)


@explain_unknown_arguments
def adaptive_avg_pool2d(x: ArrayLike, output_size: Sizes, *, memory_format: MemoryFormat = "contiguous") -> jax.Array:
    """`torch.nn.functional.adaptive_avg_pool2d`: `convjax.adaptive_avg_pool` of (N, C, H, W) or (C, H, W).

    Arguments, results, errors and differences are those of `convjax.adaptive_avg_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_avg_pool2d(jnp.arange(16.0).reshape(1, 4, 4), (1, None))
    Array([[[6., 7., 8., 9.]]], dtype=float32)
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, x, output_size, memory_format)


@explain_unknown_arguments
def adaptive_avg_pool3d(x: ArrayLike, output_size: Sizes, *, memory_format: MemoryFormat = "contiguous") -> jax.Array:
    """`torch.nn.functional.adaptive_avg_pool3d`: `convjax.adaptive_avg_pool` of (N, C, D, H, W) or (C, D, H, W).

    Arguments, results, errors and differences are those of `convjax.adaptive_avg_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_avg_pool3d(jnp.ones((2, 7, 7, 7)), 1).shape
    (2, 1, 1, 1)
    """
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, x, output_size, memory_format)


@explain_unknown_arguments
def adaptive_max_pool(
    x: ArrayLike, output_size: Sizes, return_indices: bool = False, *, memory_format: MemoryFormat = "contiguous"
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.adaptive_max_pool1d`, `2d` and `3d`, for any number of spatial dimensions.

    The largest elements of the windows of `convjax.adaptive_avg_pool`.

    Args:
      x: (N, C, *spatial), or (C, *spatial) for one image; floats or integers.
      output_size, memory_format: as in `convjax.adaptive_avg_pool`.
      return_indices: as in `convjax.max_pool`.

    Returns:
      (N, C, *output_size), or (C, *output_size), in the dtype of x, and with return_indices the int32 indices. Equal
      elements and NaN are as in `convjax.max_pool`.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too, and for an output_size of 0.

    Differs from torch: indices are int32, and any number of spatial dimensions.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_max_pool(jnp.arange(5.0).reshape(1, 1, 5), 2)
    Array([[[2., 4.]]], dtype=float32)
    """
    return _adaptive_max_pool("adaptive_max_pool", None, x, output_size, return_indices, memory_format)


@explain_unknown_arguments
def adaptive_max_pool1d(
    x: ArrayLike, output_size: Sizes, return_indices: bool = False, *, memory_format: MemoryFormat = "contiguous"
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.adaptive_max_pool1d`: `convjax.adaptive_max_pool` of (N, C, L) or (C, L).

    Arguments, results, errors and differences are those of `convjax.adaptive_max_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_max_pool1d(jnp.arange(5.0).reshape(1, 5), 2, return_indices=True)
    (Array([[2., 4.]], dtype=float32), Array([[2, 4]], dtype=int32))
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, x, output_size, return_indices, memory_format)


@explain_unknown_arguments
def adaptive_max_pool2d(
    x: ArrayLike, output_size: Sizes, return_indices: bool = False, *, memory_format: MemoryFormat = "contiguous"
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.adaptive_max_pool2d`: `convjax.adaptive_max_pool` of (N, C, H, W) or (C, H, W).

    Arguments, results, errors and differences are those of `convjax.adaptive_max_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_max_pool2d(jnp.arange(16.0).reshape(1, 4, 4), (1, None))
    Array([[[12., 13., 14., 15.]]], dtype=float32)
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, x, output_size, return_indices, memory_format)


@explain_unknown_arguments
def adaptive_max_pool3d(
    x: ArrayLike, output_size: Sizes, return_indices: bool = False, *, memory_format: MemoryFormat = "contiguous"
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """`torch.nn.functional.adaptive_max_pool3d`: `convjax.adaptive_max_pool` of (N, C, D, H, W) or (C, D, H, W).

    Arguments, results, errors and differences are those of `convjax.adaptive_max_pool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.adaptive_max_pool3d(jnp.ones((2, 7, 7, 7)), 1).shape
    (2, 1, 1, 1)
    """
    return _adaptive_max_pool("adaptive_max_pool3d", 3, x, output_size, return_indices, memory_format)


@explain_unknown_arguments
def max_unpool(
    x: ArrayLike,
    indices: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """`torch.nn.functional.max_unpool1d`, `max_unpool2d` and `max_unpool3d`, for any number of spatial dimensions.

    Puts the elements that `convjax.max_pool` took back to where they were, with zeros elsewhere.

    Args:
      x: (N, C, *windows), or (C, *windows).
      indices: the indices from `max_pool(..., return_indices=True)`, integers of the shape of x.
      kernel_size, stride, padding: those of the pooling.
      output_size: the size of the image, also with N and C before it; None is
        (windows - 1) * stride - 2 * padding + kernel_size. It has to be less than stride away from that.

    Returns:
      (N, C, *output_size), or (C, *output_size), in the dtype of x.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too.

    Differs from torch: an index outside of the image is ignored, where torch raises an error. If an index is there more
    than once, which of the elements remains is not defined, nor are its derivatives. This is the only pooling that is a
    scatter.

    >>> import convjax, jax.numpy as jnp
    >>> y, indices = convjax.max_pool(jnp.array([[1.0, 3.0, 2.0, 0.0]]), (2,), return_indices=True)
    >>> convjax.max_unpool(y, indices, (2,))
    Array([[0., 3., 2., 0.]], dtype=float32)
    """
    return _max_unpool("max_unpool", None, x, indices, kernel_size, stride, padding, output_size)


@explain_unknown_arguments
def max_unpool1d(
    x: ArrayLike,
    indices: ArrayLike,
    kernel_size: int,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """`torch.nn.functional.max_unpool1d`: `convjax.max_unpool` of (N, C, L) or (C, L).

    Arguments, results, errors and differences are those of `convjax.max_unpool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.max_unpool1d(jnp.array([[3.0, 2.0]]), jnp.array([[1, 2]]), 2)
    Array([[0., 3., 2., 0.]], dtype=float32)
    """
    return _max_unpool("max_unpool1d", 1, x, indices, kernel_size, stride, padding, output_size)


@explain_unknown_arguments
def max_unpool2d(
    x: ArrayLike,
    indices: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """`torch.nn.functional.max_unpool2d`: `convjax.max_unpool` of (N, C, H, W) or (C, H, W).

    Arguments, results, errors and differences are those of `convjax.max_unpool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.max_unpool2d(jnp.array([[[7.0]]]), jnp.array([[[3]]]), 2)
    Array([[[0., 0.],
            [0., 7.]]], dtype=float32)
    """
    return _max_unpool("max_unpool2d", 2, x, indices, kernel_size, stride, padding, output_size)


@explain_unknown_arguments
def max_unpool3d(
    x: ArrayLike,
    indices: ArrayLike,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """`torch.nn.functional.max_unpool3d`: `convjax.max_unpool` of (N, C, D, H, W) or (C, D, H, W).

    Arguments, results, errors and differences are those of `convjax.max_unpool`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.max_unpool3d(jnp.ones((1, 1, 1, 1)), jnp.zeros((1, 1, 1, 1), int), 2).sum()
    Array(1., dtype=float32)
    """
    return _max_unpool("max_unpool3d", 3, x, indices, kernel_size, stride, padding, output_size)


# ---- from unchecked arguments to what they compute ----


def _max_pool(function, dims, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, memory_format):
    x = _numbers(function, x, "floats or integers", (jnp.floating, jnp.integer))
    indices = values.flag(function, "return_indices", return_indices)
    call = pooling.pooling(function, dims, x.shape, kernel_size, stride, padding, dilation, ceil_mode, memory_format)
    return pool.max_pool(x, call=call, indices=indices)


def _avg_pool(
    function, dims, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, memory_format
):
    x = _numbers(function, x, "floats or complex numbers", (jnp.inexact,))
    count_padding = values.flag(function, "count_include_pad", count_include_pad)
    divisor = pooling.divisor(function, divisor_override)
    call = pooling.pooling(function, dims, x.shape, kernel_size, stride, padding, 1, ceil_mode, memory_format)
    return pool.avg_pool(x, call=call, count_padding=count_padding, divisor=divisor)


def _lp_pool(function, dims, x, norm_type, kernel_size, stride, ceil_mode, memory_format):
    x = _numbers(function, x, "floats", (jnp.floating,))
    norm_type = pooling.norm_type(function, norm_type)
    call = pooling.pooling(function, dims, x.shape, kernel_size, stride, 0, 1, ceil_mode, memory_format)
    return pool.lp_pool(x, call=call, norm_type=norm_type)


def _adaptive_avg_pool(function, dims, x, output_size, memory_format):
    x = _numbers(function, x, "floats or complex numbers", (jnp.inexact,))
    return pool.adaptive_avg_pool(x, call=pooling.adaptive(function, dims, x.shape, output_size, memory_format))


def _adaptive_max_pool(function, dims, x, output_size, return_indices, memory_format):
    x = _numbers(function, x, "floats or integers", (jnp.floating, jnp.integer))
    indices = values.flag(function, "return_indices", return_indices)
    call = pooling.adaptive(function, dims, x.shape, output_size, memory_format)
    return pool.adaptive_max_pool(x, call=call, indices=indices)


def _max_unpool(function, dims, x, indices, kernel_size, stride, padding, output_size):
    x = _numbers(function, x, "numbers", (jnp.number,))
    indices = arrays.array(function, "indices", indices)
    sizes = pooling.unpooled_sizes(function, dims, x.shape, indices, kernel_size, stride, padding, output_size)
    return pool.max_unpool(x, indices, sizes=sizes)


def _numbers(function: str, x: ArrayLike, expected: str, kinds: tuple) -> jax.Array:
    x = arrays.array(function, "x", x)
    if not any(jnp.issubdtype(x.dtype, kind) for kind in kinds):
        raise errors.wrong_dtype(function, "x", x.dtype, expected, "x.astype(jax.numpy.float32)")
    return x
