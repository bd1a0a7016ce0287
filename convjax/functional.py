"""The convolutions of networks, as torch.nn.functional has them."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
from jax.typing import ArrayLike, DTypeLike

from convjax._arguments import arrays, calls
from convjax._arguments.calls import Options
from convjax._arguments.errors_names import explain_unknown_arguments
from convjax._choice.recorded import Recorded
from convjax._operation import call

Ints = int | Sequence[int]
Padding = int | Sequence[int] | Sequence[tuple[int, int]] | Literal["same", "valid"]
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
      weight: (O, C / groups, *kernel). Its rank says how many spatial dimensions there are.
      bias: (O,), or None.
      stride: step of the window in elements; an int, or one per spatial dimension.
      padding: elements set around x; an int, an int per dimension, a (low, high) pair per dimension, "valid" (none) or
        "same" (the size of x, stride 1 only; an odd total puts the extra element on the high side, as torch does).
      dilation: distance in elements between the taps of the kernel.
      groups: the channels of x and of the result fall into this many groups, and each sees only its own.
      padding_mode: what the padding holds.

            "zeros"      0 0 0 | a b c d | 0 0 0
            "reflect"    d c b | a b c d | c b a    at most size - 1 wide
            "replicate"  a a a | a b c d | d d d
            "circular"   b c d | a b c d | a b c    at most size wide

      precision: as in `jax.lax.conv_general_dilated`; None follows `jax.default_matmul_precision`.
      preferred_element_type: dtype to accumulate in and to return; None is the dtype of the operands. float16 and
        bfloat16 accumulate in float32 either way; the bias is added to the sum as stored.
      algorithm: "auto"; "local", which is "auto" among the algorithms that keep a NaN or an infinity of x in the
        results whose window contains it; the name of an algorithm, which then runs or raises with the reason why it
        cannot; or the record of `convjax.tune`, of which the fastest runs. A name holds for this call, its tangents and
        its batched forms. Gradients are other operations and choose for themselves, with three exceptions. "xla" holds
        for them too, except for a weight gradient in a program for several devices, where XLA's own convolution can be
        wrong. A record holds for every convolution that is in it. "local" holds for the input gradient too. A weight
        gradient chooses freely, because nearly every element of x reaches each of its results.

    Returns:
      (N, O, *positions), or (O, *positions) for one image, in the dtype that JAX's promotion gives the operands. Under
      a mesh with explicit axes, N and the positions are sharded as x is, O as weight or bias is, and what is contracted
      is summed over the devices; an axis that the mesh does not divide is whole on each of them. Where the space of x
      is sharded, weight and the channels of x are gathered, and O is not sharded.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch refuses too; the message says what to pass instead.
      NotImplementedError: when a gradient of symbolic sizes is compiled for several devices.

    Under `jax.jit` with arrays sharded over a mesh of automatic axes, keep the weight whole where the space of x is
    sharded. XLA's partitioner computes wrong values where both are sharded, as it does for `jax.lax`, and no function
    can see that layout when it is traced.

    Differs from torch: arrays may be anything array-like; mixed dtypes promote by JAX's rules where torch refuses;
    pairs as padding and `padding_mode` have no counterpart in torch's functions (torch.nn's modules have the latter).

    >>> import convjax, jax.numpy as jnp
    >>> x, ones = jnp.arange(16.0).reshape(1, 1, 4, 4), jnp.ones((1, 1, 2, 2))
    >>> convjax.conv(x, ones, stride=2)
    Array([[[[10., 18.],
             [42., 50.]]]], dtype=float32)
    >>> convjax.conv(x, ones, padding=((1, 0), (0, 1)), padding_mode="replicate").shape
    (1, 1, 4, 4)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
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
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv1d`: x (N, C, L) or (C, L), weight (O, C / groups, K), result (N, O, positions).

    Arguments, errors and differences are those of `convjax.conv`.

    >>> import convjax, jax.numpy as jnp
    >>> causal = ((2, 0),)  # two zeros before, none behind
    >>> convjax.conv1d(jnp.array([[1.0, 2.0, 3.0, 4.0]]), jnp.array([[[100.0, 10.0, 1.0]]]), padding=causal)
    Array([[  1.,  12., 123., 234.]], dtype=float32)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
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
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv2d`: x (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW), result (N, O, ...).

    Arguments, errors and differences are those of `convjax.conv`.

    >>> import convjax, jax.numpy as jnp
    >>> step = jnp.zeros((1, 1, 4, 6)).at[..., 3:].set(1.0)
    >>> convjax.conv2d(step, convjax.kernels.sobel())[0, 0]
    Array([[ 0., -4., -4.,  0.],
           [ 0., -4., -4.,  0.]], dtype=float32)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
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
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv3d`: x (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, KD, KH, KW).

    Arguments, errors and differences are those of `convjax.conv`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv3d(jnp.ones((1, 2, 8, 8, 8)), jnp.ones((4, 2, 3, 3, 3)), padding="same").shape
    (1, 4, 8, 8, 8)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
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
      weight: (C, O / groups, *kernel), as torch has it: the weight of the convolution that this one transposes.
      bias: (O,), or None.
      stride: distance in the result between the kernels of neighbouring elements of x.
      padding: elements cropped from the result, as many as the transposed convolution pads; an int, an int per
        dimension or a (low, high) pair per dimension.
      output_padding: positions added on the high side, below max(stride, dilation). A convolution with a stride maps
        several sizes to one; this chooses among them.
      groups: as in `convjax.conv`.
      dilation: distance in elements between the taps of the kernel.
      padding_mode: that of the convolution which this one transposes. With any but "zeros", what falls on the padding
        is not cropped but added onto the elements that the padding repeats ("circular" wraps round, for instance).
      precision, preferred_element_type, algorithm: as in `convjax.conv`.

    Returns:
      (N, O, *positions), or (O, *positions) for one image.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch refuses too; the message says what to pass instead.

    Differs from torch: as `convjax.conv` does; torch has no `padding_mode` here but "zeros". Differs from
    `jax.lax.conv_transpose`: that one does not flip the kernel by default and pads by other rules.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv_transpose(jnp.array([[1.0, 2.0]]), jnp.array([[[1.0, 1.0, 5.0]]]), stride=2)
    Array([[ 1.,  1.,  7.,  2., 10.]], dtype=float32)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
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
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv_transpose1d`: x (N, C, L) or (C, L), weight (C, O / groups, K).

    Arguments, errors and differences are those of `convjax.conv_transpose`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv_transpose1d(jnp.ones((1, 2, 10)), jnp.ones((2, 4, 4)), stride=2, padding=1).shape
    (1, 4, 20)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
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
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv_transpose2d`: x (N, C, H, W) or (C, H, W), weight (C, O / groups, KH, KW).

    Arguments, errors and differences are those of `convjax.conv_transpose`.

    >>> import convjax, jax.numpy as jnp
    >>> x, weight = jnp.ones((1, 3, 16, 16)), jnp.ones((3, 8, 3, 3))
    >>> convjax.conv_transpose2d(x, weight, stride=2, padding=1, output_padding=1).shape
    (1, 8, 32, 32)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
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
    precision: Precision = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: Algorithm = "auto",
) -> jax.Array:
    """`torch.nn.functional.conv_transpose3d`: x (N, C, D, H, W) or (C, D, H, W), weight (C, O / groups, KD, KH, KW).

    Arguments, errors and differences are those of `convjax.conv_transpose`.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.conv_transpose3d(jnp.ones((2, 4, 4, 4)), jnp.ones((2, 1, 2, 2, 2)), stride=2).shape
    (1, 8, 8, 8)
    """
    options = Options(padding_mode, precision, preferred_element_type, algorithm)
    return call.conv_transpose(
        "conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation, options
    )


@explain_unknown_arguments
def unfold(x: ArrayLike, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1) -> jax.Array:
    """`torch.nn.functional.unfold` (im2col): the patches that a convolution sees, as columns.

    Args:
      x: (N, C, *spatial) or (C, *spatial).
      kernel_size: an int for square patches of 2-D images, as in torch, or one per spatial dimension for any number.
      dilation, padding, stride: as in `convjax.conv`; the padding is zeros, and names are not taken.

    Returns:
      (N, C * prod(kernel_size), positions), or without N: channels first, then the taps of the kernel, last one
      fastest; positions in the same order. The elements are copied: no arithmetic, so a NaN stays where it is.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch refuses too.

    Differs from torch: any number of spatial dimensions, and integers.

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
    grid = calls.unfold_grid("unfold", x.shape, kernel_size, dilation, padding, stride)
    return call.unfold(x, grid=grid)


@explain_unknown_arguments
def fold(
    x: ArrayLike, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1
) -> jax.Array:
    """`torch.nn.functional.fold` (col2im): columns of patches summed into an image, the transpose of `convjax.unfold`.

    Args:
      x: (N, C * prod(kernel_size), positions), or without N, in the order of `convjax.unfold`.
      output_size: size of the image, an int or one per spatial dimension.
      kernel_size: an int for square patches of 2-D images, as in torch, or one per spatial dimension for any number.
      dilation, padding, stride: those of the `unfold` that this transposes.

    Returns:
      (N, C, *output_size), or without N. Where patches overlap their elements are added.

    Raises:
      ValueError, TypeError: at trace time, for arguments that torch refuses too.

    Differs from torch: any number of spatial dimensions, and integers. Holds no scatter, nor does its derivative.

    >>> import convjax, jax.numpy as jnp
    >>> convjax.fold(convjax.unfold(jnp.ones((1, 1, 4, 4)), 3), 4, 3)[0, 0]  # how many patches each element is in
    Array([[1., 2., 2., 1.],
           [2., 4., 4., 2.],
           [2., 4., 4., 2.],
           [1., 2., 2., 1.]], dtype=float32)
    """
    x = arrays.array("fold", "x", x)
    grid, channels = calls.fold_grid("fold", x.shape, output_size, kernel_size, dilation, padding, stride)
    return call.fold(x, grid=grid, channels=channels)


CONVOLUTIONS = (conv, conv1d, conv2d, conv3d, conv_transpose, conv_transpose1d, conv_transpose2d, conv_transpose3d)
