"""The convolutions of neural networks, with the names and arguments of torch.nn.functional."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
from jax.typing import ArrayLike, DTypeLike

from convjax._arguments import arrays, convolutions
from convjax._arguments.convolutions import Options
from convjax._arguments.suggestions import explain_unknown_arguments
from convjax._choice.recorded import Recorded
from convjax._operation import call

Ints = int | Sequence[int]
Padding = int | Sequence[int] | Sequence[tuple[int, int]] | Literal["same", "valid"]
MemoryFormat = Literal["contiguous", "channels_last"]
Precision = Any
Algorithm = str | Recorded


@explain_unknown_arguments
def conv(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv1d`, `conv2d` and `conv3d`, for any number of spatial dimensions.

    A cross-correlation: the kernel is not flipped. With zeros outside the padded image, output channel o of group g is

        y[n, o, p] = bias[o] + sum over c in g, j of  x[n, c, p * stride + j * dilation - padding] * weight[o, c, j]

    with floor((size + low + high - dilation * (kernel - 1) - 1) / stride) + 1 positions per spatial dimension.

    Args:
      x: (N, C, *spatial), or (C, *spatial) for one image. N may be 0.
      weight: (O, C / groups, *kernel). Its rank sets the number of spatial dimensions.
      bias: (O,), or None.
      stride: step of the window in elements, an int or one per spatial dimension.
      padding: elements added around x; an int, an int per dimension, a (low, high) pair per dimension, "valid" (none)
        or "same" (the size of x, stride 1 only; an odd total puts the extra element on the high side, as torch does).
      dilation: distance in elements between the taps of the kernel.
      groups: number of groups that the channels of x and of the result are divided into. An output channel depends
        only on the input channels of its own group.
      padding_mode: the values of the padding.

            "zeros"      0 0 0 | a b c d | 0 0 0
            "reflect"    d c b | a b c d | c b a    at most size - 1 wide
            "replicate"  a a a | a b c d | d d d
            "circular"   b c d | a b c d | a b c    at most size wide

      memory_format: how the images lie in memory, as in torch: "contiguous", or "channels_last" for (N, *spatial, C).
        Shapes and values are the same. Under `jax.jit`, "channels_last" is for arrays that were transposed from that
        order, or come from such a call. XLA then moves nothing, and the algorithms are those that are fastest for that
        order, in gradients too. For an array whose channels really come first, as in every eager call, it costs a copy
        of x and of the result.
      precision: as in `jax.lax.conv_general_dilated`; None follows `jax.default_matmul_precision`.
      preferred_element_type: dtype to accumulate in and to return; None is the dtype of the operands. float16 and
        bfloat16 accumulate in float32 in both cases. The bias is added after the sum is rounded to the dtype of the
        result.
      algorithm: "auto"; "local", which is "auto" among the algorithms that keep a NaN or an infinity of x in the
        results whose window contains it; the name of an algorithm, which then runs, or raises an error with the reason
        why it cannot; or the record of `convjax.tune`, whose fastest algorithm runs. A name applies to this call, its
        tangents and its batched forms. The algorithms of its gradients are chosen separately, with three
        exceptions. "xla" applies to gradients too, except for a weight gradient in a program for several devices, where
        XLA's own convolution can be wrong. A record applies to every convolution that is in it. "local" applies to the
        input gradient too, but not to the weight gradient, because nearly every element of x contributes to each of its
        results.

    Returns:
      (N, O, *positions), or (O, *positions) for one image, in the dtype that JAX's promotion gives the operands. Under
      a mesh with explicit axes, N and the positions are sharded like x, and O like weight or bias. Contracted axes are
      summed over the devices. An axis whose size the mesh does not divide is replicated. If a spatial axis of x is
      sharded, contracted channels are gathered instead, and with "xla" the weight is too, and O is not sharded.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too. The message says what to pass instead.
      NotImplementedError: if a gradient with symbolic sizes is compiled for several devices, or if the machines of a
        program may lack the algorithm that `algorithm` names, such as "onednn" in an export.

    Under `jax.jit` with arrays sharded over a mesh of automatic axes, replicate the weight if a spatial axis of x is
    sharded. XLA's partitioner computes wrong values if both are sharded, as it does for `jax.lax`, and no function can
    detect this sharding when it is traced.

    Differs from torch: x, weight and bias may be anything array-like. Mixed dtypes, which torch rejects, promote by
    JAX's rules. Pairs as padding and `padding_mode` have no counterpart in torch's functions (torch.nn's modules have
    `padding_mode`).

    >>> import convjax, jax.numpy as jnp
    >>> x, ones = jnp.arange(16.0).reshape(1, 1, 4, 4), jnp.ones((1, 1, 2, 2))
    >>> convjax.conv(x, ones, stride=2)
    Array([[[[10., 18.],
             [42., 50.]]]], dtype=float32)
    >>> convjax.conv(x, ones, padding=((1, 0), (0, 1)), padding_mode="replicate").shape
    (1, 1, 4, 4)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv("conv", None, x, weight, bias, stride, padding, dilation, groups, options)


@explain_unknown_arguments
def conv1d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv1d`: x (N, C, L) or (C, L), weight (O, C / groups, K), result (N, O, positions).

    Arguments, errors and differences are the same as for `convjax.conv`.

    >>> import convjax, jax.numpy as jnp
    >>> causal = ((2, 0),)  # two zeros before, none after
    >>> convjax.conv1d(jnp.array([[1.0, 2.0, 3.0, 4.0]]), jnp.array([[[100.0, 10.0, 1.0]]]), padding=causal)
    Array([[  1.,  12., 123., 234.]], dtype=float32)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv("conv1d", 1, x, weight, bias, stride, padding, dilation, groups, options)


@explain_unknown_arguments
def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv2d`: x (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), result (N, O, ...).

    Arguments, errors and differences are the same as for `convjax.conv`.

    >>> import convjax, jax.numpy as jnp
    >>> step = jnp.zeros((1, 1, 4, 6)).at[..., 3:].set(1.0)
    >>> convjax.conv2d(step, convjax.kernels.sobel())[0, 0]
    Array([[ 0., -4., -4.,  0.],
           [ 0., -4., -4.,  0.]], dtype=float32)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv("conv2d", 2, x, weight, bias, stride, padding, dilation, groups, options)


@explain_unknown_arguments
def conv3d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv3d`: x (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, KD, KH, KW).

    Arguments, errors and differences are the same as for `convjax.conv`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv3d(jnp.ones((1, 2, 8, 8, 8)), jnp.ones((4, 2, 3, 3, 3)), padding="same").shape
    (1, 4, 8, 8, 8)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv("conv3d", 3, x, weight, bias, stride, padding, dilation, groups, options)


@explain_unknown_arguments
def conv_transpose(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv_transpose1d`, `2d` and `3d`, for any number of spatial dimensions.

    The transpose of `convjax.conv` with the same weight, stride, padding, dilation and groups: each element of x is
    multiplied by the whole kernel and added to the result, `stride` apart. Per spatial dimension the result has

        (size - 1) * stride - low - high + dilation * (kernel - 1) + output_padding + 1    positions.

    Args:
      x: (N, C, *spatial), or (C, *spatial) for one image. N may be 0.
      weight: (C, O / groups, *kernel) as in torch: the weight of the convolution that this one transposes.
      bias: (O,), or None.
      stride: distance in the result between the kernels of neighbouring elements of x.
      padding: elements cropped from the result, the same as the padding of the convolution that this one transposes; an
        int, an int per dimension or a (low, high) pair per dimension.
      output_padding: positions added on the high side, below max(stride, dilation). A convolution with a stride maps
        several sizes to one; this chooses among them.
      groups: as in `convjax.conv`.
      dilation: distance in elements between the taps of the kernel.
      padding_mode: the padding_mode of the convolution that this one transposes. With any mode but "zeros", the values
        in the padding are not cropped but added onto the elements that the padding repeats ("circular" wraps around,
        for instance).
      precision, preferred_element_type, algorithm: as in `convjax.conv`.

    Returns:
      (N, O, *positions), or (O, *positions) for one image.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too. The message says what to pass instead.

    Differs from torch in the same way as `convjax.conv`, and torch has only padding_mode="zeros" here. Differs from
    `jax.lax.conv_transpose`, which does not flip the kernel by default and has other padding rules.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv_transpose(jnp.array([[1.0, 2.0]]), jnp.array([[[1.0, 1.0, 5.0]]]), stride=2)
    Array([[ 1.,  1.,  7.,  2., 10.]], dtype=float32)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv_transpose(
        "conv_transpose", None, x, weight, bias, stride, padding, output_padding, groups, dilation, options
    )


@explain_unknown_arguments
def conv_transpose1d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv_transpose1d`: x (N, C, L) or (C, L), weight (C, O / groups, K).

    Arguments, errors and differences are the same as for `convjax.conv_transpose`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv_transpose1d(jnp.ones((1, 2, 10)), jnp.ones((2, 4, 4)), stride=2, padding=1).shape
    (1, 4, 20)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv_transpose(
        "conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation, options
    )


@explain_unknown_arguments
def conv_transpose2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv_transpose2d`: x (N, C, H, W) or (C, H, W), weight (C, O / groups, KH, KW).

    Arguments, errors and differences are the same as for `convjax.conv_transpose`.

    >>> import convjax, jax.numpy as jnp
    >>> x, weight = jnp.ones((1, 3, 16, 16)), jnp.ones((3, 8, 3, 3))
    >>> convjax.conv_transpose2d(x, weight, stride=2, padding=1, output_padding=1).shape
    (1, 8, 32, 32)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv_transpose(
        "conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation, options
    )


@explain_unknown_arguments
def conv_transpose3d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
    *,
    padding_mode: str = "zeros",
    memory_format: MemoryFormat = "contiguous",
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv_transpose3d`: x (N, C, D, H, W) or (C, D, H, W), weight (C, O / groups, KD, KH, KW).

    Arguments, errors and differences are the same as for `convjax.conv_transpose`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv_transpose3d(jnp.ones((2, 4, 4, 4)), jnp.ones((2, 1, 2, 2, 2)), stride=2).shape
    (1, 8, 8, 8)
    """
    options = Options(padding_mode, memory_format, precision, preferred_element_type, algorithm)
    return call.conv_transpose(
        "conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation, options
    )


@explain_unknown_arguments
def unfold(x: ArrayLike, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1) -> jax.Array:
    """`torch.nn.functional.unfold` (im2col): the patches that a convolution reads, as columns.

    Args:
      x: (N, C, *spatial) or (C, *spatial).
      kernel_size: an int for square patches of 2-D images, as in torch, or one per spatial dimension for any number.
      dilation, padding, stride: as in `convjax.conv`. The padding is zeros, and "same" and "valid" are not accepted.

    Returns:
      (N, C * prod(kernel_size), positions), or the same without N. Rows are ordered by channel, then by kernel tap,
      with the last axis of the kernel fastest. Positions also have the last axis fastest. Elements are copied without
      arithmetic, so a NaN does not spread.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too.

    Differs from torch: accepts any number of spatial dimensions, and integers.

    >>> import convjax, jax.numpy as jnp
    >>> x, weight = jnp.arange(48.0).reshape(1, 3, 4, 4), jnp.ones((5, 3, 3, 3))
    >>> columns = convjax.unfold(x, 3)
    >>> columns.shape
    (1, 27, 4)
    >>> y = (weight.reshape(5, 27) @ columns).reshape(1, 5, 2, 2)
    >>> bool(jnp.allclose(y, convjax.conv2d(x, weight)))
    True
    """
    x = arrays.array("unfold", "x", x)
    grid = convolutions.unfold_grid("unfold", x.shape, kernel_size, dilation, padding, stride)
    return call.unfold(x, grid=grid)


@explain_unknown_arguments
def fold(
    x: ArrayLike, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1
) -> jax.Array:
    """`torch.nn.functional.fold` (col2im): columns of patches summed into an image, the transpose of `convjax.unfold`.

    Args:
      x: (N, C * prod(kernel_size), positions), or the same without N, in the order of `convjax.unfold`.
      output_size: size of the image, an int or one per spatial dimension.
      kernel_size: an int for square patches of 2-D images, as in torch, or one per spatial dimension for any number.
      dilation, padding, stride: the same as for the `unfold` that this transposes.

    Returns:
      (N, C, *output_size), or the same without N. Elements of overlapping patches are added.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch rejects too.

    Differs from torch: accepts any number of spatial dimensions, and integers. Neither the function nor its derivative
    contains a scatter.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.fold(convjax.unfold(jnp.ones((1, 1, 4, 4)), 3), 4, 3)[0, 0]  # how many patches each element is in
    Array([[1., 2., 2., 1.],
           [2., 4., 4., 2.],
           [2., 4., 4., 2.],
           [1., 2., 2., 1.]], dtype=float32)
    """
    x = arrays.array("fold", "x", x)
    grid, channels = convolutions.fold_grid("fold", x.shape, output_size, kernel_size, dilation, padding, stride)
    return call.fold(x, grid=grid, channels=channels)


CONVOLUTIONS = (conv, conv1d, conv2d, conv3d, conv_transpose, conv_transpose1d, conv_transpose2d, conv_transpose3d)
