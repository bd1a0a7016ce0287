"""Initial parameters of a convolution, with the same distribution as in torch."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from convjax._arguments import arrays, errors, errors_channels, values
from convjax._arguments.suggestions import explain_unknown_arguments


class ConvParams(NamedTuple):
    """Weight and bias, in the order in which the convolutions take them: `conv2d(x, *params)`.

    It is a pytree, so `jax.grad` and optimisers accept it. The names are torch's, so `ConvParams(**state_dict)` accepts
    the `state_dict` of a layer. If the layer has no bias, the `state_dict` has no entry for it, and bias is None.
    """

    weight: jax.Array
    bias: jax.Array | None = None


@explain_unknown_arguments
def init_conv(
    key: jax.Array,
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int],
    *,
    groups: int = 1,
    bias: bool = True,
    transpose: bool = False,
    dtype: DTypeLike = jnp.float32,
) -> ConvParams:
    """The parameters of new `torch.nn.Conv1d`, `Conv2d`, `Conv3d` and their transposed layers.

    Weight and bias are uniform in [-b, b) with b = 1 / sqrt(fan_in), fan_in = weight.shape[1] * prod(kernel_size). That
    is torch's `kaiming_uniform_(weight, a=sqrt(5))`: a gain of sqrt(2 / (1 + 5)) times sqrt(3 / fan_in). The rule is in
    He et al., "Delving deep into rectifiers", 2015, and the constants are in torch's `_ConvNd.reset_parameters`.

    Args:
      key: a key of `jax.random.key` or `jax.random.PRNGKey`.
      in_channels, out_channels: channels of the input and of the result.
      kernel_size: a tuple with one int per spatial dimension. An int means a square 2-D kernel, as in `Conv2d`.
      groups: number of groups; it must divide both channel counts.
      bias: whether there is a bias; if not, ConvParams.bias is None.
      transpose: for `conv_transpose`, whose weight is (in_channels, out_channels / groups, *kernel_size). torch takes
        the fan-in from the weight's second axis here too.
      dtype: a real floating dtype.

    Returns:
      ConvParams(weight, bias), the weight (out_channels, in_channels / groups, *kernel_size).

    Raises:
      ValueError, TypeError: for groups that do not divide the channels, sizes below 1, or an invalid key or dtype.

    Differs from torch: the distribution is the same, but the random numbers are JAX's.

    >>> import convjax, jax
    >>> params = convjax.init_conv(jax.random.key(0), 3, 64, (3, 3))
    >>> params.weight.shape, params.bias.shape
    ((64, 3, 3, 3), (64,))
    >>> convjax.conv2d(jax.numpy.ones((1, 3, 8, 8)), *params).shape
    (1, 64, 6, 6)
    """
    function = "init_conv"
    _check_key(function, key)
    in_channels = values.integer(function, "in_channels", in_channels, 1)
    out_channels = values.integer(function, "out_channels", out_channels, 1)
    groups = values.integer(function, "groups", groups, 1)
    for count, what in ((in_channels, "input"), (out_channels, "output")):
        if count % groups:
            raise errors_channels.groups_do_not_divide(function, groups, what, in_channels, out_channels)
    kernel = values.kernel_sizes(function, kernel_size)
    bias, transpose = values.flag(function, "bias", bias), values.flag(function, "transpose", transpose)
    dtype = values.float_dtype(function, dtype)
    rows, columns = (in_channels, out_channels) if transpose else (out_channels, in_channels)
    shape = (rows, columns // groups, *kernel)
    made = ("in_channels", in_channels, (in_channels,)), ("out_channels", out_channels, shape[:2])
    values.check_countable(function, *made, ("kernel_size", kernel_size, shape))
    bound = arrays.to_device(np.asarray(1 / math.sqrt(math.prod(shape[1:])), dtype))
    weight_key, bias_key = jax.random.split(key)
    weight = jax.random.uniform(weight_key, shape, dtype, -bound, bound)
    return ConvParams(weight, jax.random.uniform(bias_key, (out_channels,), dtype, -bound, bound) if bias else None)


def _check_key(function: str, key) -> None:
    try:
        scalar = jax.random.key_data(key).ndim == 1
    except (TypeError, ValueError, AttributeError) as error:
        raise errors.not_a_key(function, key) from error
    if not scalar:
        raise errors.not_a_key(function, key)
