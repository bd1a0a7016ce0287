"""The algorithms. Each is a file that computes a ConvSpec by plain lax operations, and an entry of `ALGORITHMS`."""

from convjax._algorithms import (
    chwn,
    col2im,
    dense_groups,
    depth_slices,
    depthwise_add,
    depthwise_reduce,
    fft,
    im2col,
    im2row,
    matmul,
    onednn,
    per_group,
    per_tap,
    polyphase,
    row2im,
    shift_add,
    space_to_depth,
    subpixel,
    swap_operands,
    toeplitz,
    variadic_reduce,
    winograd,
    xla,
    zero_insertion,
)
from convjax._algorithms.algorithm import Algorithm

_KERNELS = (
    xla,
    shift_add,
    variadic_reduce,
    matmul,
    winograd,
    fft,
    im2col,
    im2row,
    col2im,
    row2im,
    per_tap,
    onednn,
    depthwise_add,
    depthwise_reduce,
)
_REWRITES = (
    toeplitz,
    dense_groups,
    swap_operands,
    subpixel,
    polyphase,
    depth_slices,
    per_group,
    space_to_depth,
    chwn,
    zero_insertion,
)

ALGORITHMS: dict[str, Algorithm] = {file.ALGORITHM.name: file.ALGORITHM for file in (*_KERNELS, *_REWRITES)}
