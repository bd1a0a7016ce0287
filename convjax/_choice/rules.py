"""Which algorithm each platform prefers, and the measurement that says so: the table that `choose` reads.

A rule sees a `Problem` and nothing else. The first that holds, and whose algorithm supports the operation, wins. Times
are milliseconds against lax's convolution. Those of a CPU are rows of `cpu-2-cores` in `benchmarks/results`. Those of
CUDA come from prototypes on an H200, and await a run of the benchmark there.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from convjax._algorithms import ALGORITHMS
from convjax._arrays.xla_cpu import gemm_is_single_core
from convjax._choice.problem import Problem

MIN_HEAVY_WEIGHT = 1 << 21  # elements of a weight that takes longer to read than few images to multiply


class Rule(NamedTuple):
    """An algorithm, when to take it, and the measurement that says so."""

    algorithm: str
    holds: Callable[[Problem], bool]
    because: str


# The transforms of tiles cost as much as they save where channels are few or a tile does, as with 2x2 taps, and that of
# the weight where the results of a channel are.
def _tiles_of_taps(p: Problem) -> bool:
    places, channels = p.batch * p.positions, min(p.in_channels, p.out_channels)
    if p.w.size >= MIN_HEAVY_WEIGHT:
        enough = places >= 256
    else:
        few = places * channels >= 27 << 10 if p.machine.batched_gemm_is_parallel else places >= 576 and channels >= 48
        enough = places >= 1024 or few
    return p.spec.dims > 1 and enough and math.prod(p.w.shape[-2:]) >= 6 and channels >= 32


def _turned_back(p: Problem) -> bool:
    # The weight of an input gradient that sums over more channels than there are elements of each.
    near = p.spec.dims <= 2 and 1 < p.taps <= 25 and max(*p.spec.stride, *p.spec.rhs_dilation) == 1
    return p.spec.hints.flipped_weight and near and p.groups == 1 and p.in_channels > p.batch * math.prod(p.x.shape[2:])


def _tiles_of_positions(p: Problem) -> bool:
    if p.spec.dims == 2 and 16 < p.positions <= 25 and p.machine.strided_convolution_is_fast:
        return min(p.batch, p.out_channels) >= 64 and p.in_channels * p.taps >= 1024
    if p.spec.dims != 2 or not 6 <= p.positions <= 16:
        return False
    if p.taps >= 100:
        few = p.in_channels < 8 and p.machine.batched_gemm_is_parallel
        large = p.batch * p.out_channels > 1024 or few or p.taps < 1024  # where a product alone is slower
        wide = 20 if p.taps >= 256 and p.batch * p.out_channels > 1024 else 32
        return min(p.batch, p.out_channels) >= wide and p.in_channels * p.taps >= 512 and large
    return min(p.batch, p.out_channels) >= 128 and p.taps >= 36 and p.in_channels >= 64


def _tiles_of_phases(p: Problem) -> bool:
    # Of a dilated kernel, each of whose phases fills its tiles but for a fifth.
    if p.gradient_like:
        deep = p.in_channels * p.taps >= 1024 and p.taps >= 100 * math.prod(p.spec.stride)
        near = p.spec.dims == 2 and p.positions <= 16 and max(p.spec.stride) > 1
        return near and deep and min(p.batch, p.out_channels) >= 64
    sizes = p.spec.output_shape(p.x.shape, p.w.shape)[2:]
    full = all(4 * -(-m // (4 * r)) * r <= 1.2 * m for m, r in zip(sizes, p.spec.rhs_dilation, strict=True))
    return max(p.spec.rhs_dilation) > 1 == max(p.spec.stride) and full and _tiles_of_taps(p)


def _columns(p: Problem) -> bool:
    # The copies, one per tap or position, stay in cache, and many outputs repay them.
    if p.spec.dims != 2 or min(p.taps, p.positions) > 16 or p.im2col_size > 1 << 22:
        return False
    if p.gradient_like:
        return min(p.batch, p.out_channels) >= 128
    few = p.batch * p.positions < 256 and min(p.in_channels, p.out_channels) >= 64 and not p.spec.hints.flipped_weight
    return few or (p.out_channels >= 256 and max(p.spec.stride) > 1)


def _few_products(p: Problem) -> bool:
    # Of a result, whose weights a loop over the results holds.
    return not p.gradient_like and (
        p.in_channels == p.out_channels == 1
        or (p.in_channels * p.taps <= 36 and p.out_channels <= 64 and max(p.spec.stride) == 1)
        or (p.in_channels <= 4 and p.out_channels <= 32 and p.in_channels * p.taps <= 64)
        or (p.groups > 1 and max(p.in_channels, p.out_channels) <= 32 and not _full_groups(p))
        or (p.in_channels <= 64 and p.out_channels <= 8)
        or (p.in_channels <= 8 and p.out_channels <= 16 and p.in_channels * p.taps <= 160)
    )


def _few_outputs(p: Problem) -> bool:
    # A product of every tap's own results, which are no more than three times x, then their sum.
    near = not (p.gradient_like or p.input_dilated) and p.groups == max(p.spec.stride) == 1 < p.taps
    few = (
        p.out_channels <= (32 if p.spec.dims == 1 and p.machine.batched_gemm_is_parallel else 24)
        and p.taps * p.out_channels <= 3 * p.in_channels
    )
    return p.is_float and near and few and p.in_channels >= 16


def _images_abreast(p: Problem) -> bool:
    # Whole vectors of images, or halves, not so large that turning them costs what other loops would: an element of the
    # result takes twice as long to turn as one of x.
    if p.x.dtype.itemsize != 4 or not p.at_most_float32 or p.spec.dims != 2 or p.input_dilated or p.positions > 800:
        return False
    if max(p.spec.stride) > 1:
        return p.batch % 8 == 0 and p.in_channels * p.taps >= 25
    enough = p.in_channels * p.out_channels * p.taps >= 13 * (p.in_channels + 2 * p.out_channels)
    return enough and p.batch % (4 if min(p.in_channels, p.out_channels) >= 8 else 8) == 0


def _first_layer(p: Problem) -> bool:
    # Few channels in and many out, or fewer of one image that stays in cache; many small ones are left to loops that
    # copy nothing.
    cached = p.batch == 1 and p.in_channels <= 4 and p.out_channels >= 24 and p.positions * p.out_channels <= 1 << 22
    few = p.in_channels <= 8 and p.in_channels * p.taps <= 72 and (p.out_channels >= 48 or cached)
    return few and max(p.spec.stride) == 1 and p.positions >= 256 * p.batch


def _strided(p: Problem) -> bool:
    # The taps that are gathered stay in cache, or nearly so.
    small = p.in_channels * p.taps < 1024 and p.im2col_size <= 1 << 23
    few = p.in_channels <= 8 or (p.spec.dims == 2 and not p.machine.strided_convolution_is_fast)
    return max(p.spec.stride) > 1 and small and p.out_channels >= 24 and few


def _strided_of_many_taps(p: Problem) -> bool:
    if p.gradient_like:
        wide = min(p.batch, p.out_channels) >= 16 or (p.positions >= 36 and p.out_channels >= 48)
        large = p.batch <= 4 and p.in_channels * p.taps >= 1 << 16 and not p.machine.batched_gemm_is_parallel
        return max(p.spec.rhs_dilation) > 1 and ((p.positions >= 25 and wide) or large)
    many = p.taps >= 25 and p.in_channels * p.taps < 1024 and p.im2col_size > 1 << 22
    return max(p.spec.stride) > 1 and many and p.out_channels >= 32


def _gradient_over_images(p: Problem) -> bool:
    if max(p.spec.stride) > 1:
        return False
    many = p.in_channels >= 16 and p.out_channels >= 16 and (p.taps >= 1024 or (p.batch <= 8 and p.taps >= 512))
    wide = p.out_channels >= 24 and (p.in_channels * p.out_channels >= 64 or p.batch >= 16)
    narrow = p.out_channels <= 24 and p.batch >= 8  # XLA's own convolution leaves lanes of its vectors empty
    few = p.in_channels >= 8 and p.batch * p.out_channels <= 64 and p.positions <= 25
    return many or (wide and p.taps >= 1024) or (few and p.taps >= 512) or (narrow and p.taps >= 256)


def _large_kernel_of_few(p: Problem) -> bool:
    # The weight gradient of 5x5 taps and the like, from up to 64 channels.
    near = 16 <= p.positions <= 49 and p.batch <= 64 and max(*p.spec.stride, *p.spec.rhs_dilation) == 1
    return p.gradient_like and near and p.batch * p.out_channels >= 1 << 12


def _few_sums(p: Problem) -> bool:
    # Of a weight gradient: one for each pair of channels and each position, and they are held in registers.
    pairs = p.batch * p.out_channels
    if p.groups > 1:
        return pairs <= (64 if max(p.spec.rhs_dilation) > 1 else 16)
    if (
        p.in_channels * p.taps >= 1 << 17 and not p.machine.batched_gemm_is_parallel
    ):  # long sums, which cores do not share in a product
        return pairs <= 192 and pairs * p.positions <= 1800
    return pairs <= 64 and pairs * p.positions <= (600 if p.taps >= 1024 else 100)


def _groups_of_tiles(p: Problem) -> bool:
    # Each group as wide as a convolution that Winograd's tiles serve, and in a loop of XLA's nothing else is as fast.
    alone = p.spec._replace(groups=1)
    return not p.gradient_like and _tiles_of_taps(p) and ALGORITHMS["winograd"].unsupported(alone, p.x, p.w) is None


def _wide_groups(p: Problem) -> bool:
    if p.gradient_like:
        near = p.taps <= 400 or min(p.batch, p.out_channels) >= 48
        return p.in_channels >= 8 and min(p.batch, p.out_channels) >= 16 and near and p.positions <= 25
    if max(p.spec.stride) > 1:
        return min(p.in_channels, p.out_channels) >= 16 and 1 < p.taps <= 25
    enough = p.batch > 1 and (p.batch * p.positions >= 512 or p.in_channels > 32)
    return min(p.in_channels, p.out_channels) >= 32 and 1 < p.taps <= 25 and enough


def _full_groups(p: Problem) -> bool:
    # Whose products both cores make; not where every tap meets whole vectors, as in `chwn`: there loops are as fast.
    alone = gemm_is_single_core(p.machine, p.batch * p.positions, p.out_channels, p.in_channels * p.taps)
    vectors = p.w.shape[-1] == 1 or p.spec.rhs_dilation[-1] % 8 == 0 or _images_abreast(p)
    return min(p.in_channels, p.out_channels) >= 32 and p.batch * p.positions >= 256 and not (alone or vectors)


def _wide_borders(p: Problem) -> bool:
    if p.gradient_like:
        return max(p.spec.stride) > 1 and min(p.batch, p.out_channels) >= 128 and p.multiply_add_ratio("per_tap") > 1.25
    return (
        max(p.spec.rhs_dilation) > 1
        and min(p.in_channels, p.out_channels) >= 256
        and p.multiply_add_ratio("per_tap") > 1.5
    )


def _few_phases(p: Problem) -> bool:
    # Once the products of all taps are too many to add from cache.
    few = p.spec.dims <= 2 and p.groups == 1 and p.out_channels <= 3 and 1 < p.taps <= 9
    most = 1 << (19 if p.machine.strided_convolution_is_fast else 21)
    return few and p.batch * math.prod(p.x.shape[2:]) * p.taps * p.out_channels >= most


def _many_zeros(p: Problem) -> bool:
    apart = p.groups > 1 or p.spec.dims > 2 or p.subpixel_tap_ratio < 1.4
    return p.input_dilated and p.taps > 1 and apart and p.w.size <= 4 * p.x.size


def _overlapping(p: Problem) -> bool:
    # Windows that meet; and enough elements to repay turning the weight, where a product by phases has idle taps.
    meet = p.spec.dims <= 2 and any(k > a for k, a in zip(p.w.shape[2:], p.spec.lhs_dilation, strict=True))
    wide = p.in_channels * p.out_channels >= 16 if p.groups == 1 else min(p.in_channels, p.out_channels) >= 8
    wide = wide and p.in_channels <= 64 * p.out_channels  # or the product is of few rows
    if (
        p.machine.strided_convolution_is_fast
        and p.subpixel_tap_ratio > 1.5
        and p.groups == 1
        and min(p.in_channels, p.out_channels) >= 64
    ):
        return False  # such as 3x3 at stride 2: 128 to 256 channels took 2.6 ms for 2.3
    return meet and wide and (p.subpixel_tap_ratio < 1.1 or p.batch * math.prod(p.x.shape[2:]) >= 64)


def _along_one_axis(p: Problem) -> bool:
    # Kernels such as 3x1 and 1x5; on images of few positions XLA's own convolution is left to serve them.
    sizes, channels = p.w.shape[2:], min(p.in_channels, p.out_channels)
    if p.gradient_like:
        sizes, channels = p.spec.output_shape(p.x.shape, p.w.shape)[2:], min(p.batch, p.out_channels)
    near = (
        p.spec.dims == 2 and min(sizes) == 1 and 2 <= max(sizes) <= 5 and max(*p.spec.stride, *p.spec.rhs_dilation) == 1
    )
    return near and max(p.taps, p.positions) >= 512 and channels >= 32


def _left_over(p: Problem) -> bool:
    # What weight gradients others leave: XLA's own convolution is naive where taps are even in number, strided or
    # dilated, or outputs few, which no row shows. It is as fast for an odd number of one axis and many outputs, and for
    # few channels.
    odd = p.positions % 2 and max(*p.spec.stride, *p.spec.rhs_dilation) == 1
    its = odd and (p.batch < 8 or (p.spec.dims == 1 and p.out_channels >= 32))
    return p.is_float and p.gradient_like and p.groups == 1 and p.spec.dims <= 2 and not its


def _large(p: Problem) -> bool:
    # XLA's convolution does some 150 multiply-adds in the time of one of the FFT's where many channels are summed, but
    # only a few where they are not; a wide margin either way, for the FFT rounds otherwise and spreads a NaN.
    return (
        p.is_float
        and p.taps > 64
        and p.positions > 64
        and p.multiply_add_ratio("fft") > (1.5 if p.in_channels <= 4 else 30)
    )


CPU = (
    Rule(
        "swap_operands",
        lambda p: p.input_dilated and p.gradient_like and max(p.spec.stride) == 1,
        "weight gradient of a transposed convolution: 4x4, stride 2, 128 to 64 channels takes 7.3 ms for 580",
    ),
    Rule(
        "subpixel",
        lambda p: p.input_dilated and _few_phases(p),
        "input gradient of a strided first layer: 3x3, stride 2, 3 to 32 channels on 224x224 takes 1.5 ms for 4.1",
    ),
    Rule(
        "col2im",
        lambda p: p.is_float and p.x.dtype != jnp.bfloat16 and p.input_dilated and _overlapping(p),
        "windows that overlap, of a dilated input: 4x4, stride 2, 128 to 64 channels takes 6.0 ms for 9.1",
    ),
    Rule(
        "col2im",
        lambda p: (
            p.at_most_float32
            and p.x.dtype != jnp.bfloat16
            and p.input_dilated
            and p.taps == p.groups == 1
            and p.spec.dims <= 2
            and math.prod(p.spec.lhs_dilation) <= 4
            and not p.machine.strided_convolution_is_fast
        ),
        "a product, and zeros between its results: input gradient of 1x1, stride 2, 256 to 512 channels on 56x56 takes"
        " 4.5 ms for 8.4",
    ),
    Rule(
        "subpixel",
        _many_zeros,
        "a dilated input holds mostly zeros: depthwise 3x3 at stride 2 gives its input gradient in 0.86 ms for 99",
    ),
    Rule("polyphase", _many_zeros, 'the same for algorithm="local", whose taps may not be zeros'),
    Rule(
        "matmul",
        lambda p: p.is_float and (p.non_overlapping or p.patch_gradient),
        "windows side by side are a matrix product: 1x1, 256 to 64 channels takes 2.3 ms for 9.2",
    ),
    Rule(
        "chwn",
        lambda p: (
            p.groups > 1
            and max(p.spec.stride) > 1
            and p.positions <= 64
            and max(p.in_channels, p.out_channels) <= 32
            and not p.gradient_like
            and _images_abreast(p)
        ),
        "strided slices of small images, where whole vectors of them lie side by side: depthwise 5x5, stride 2, 672"
        " channels on 14x14 takes 0.18 ms for 8.2",
    ),
    Rule(
        "space_to_depth",
        lambda p: (
            not p.gradient_like and p.in_channels == 1 < p.groups and max(p.spec.stride) > 1 and p.positions <= 64
        ),
        "strided slices of small images do not vectorise: depthwise 3x3, stride 2, 576 channels on 14x14 takes 0.16 ms"
        " for 4.6",
    ),
    Rule(
        "fft",
        lambda p: (
            p.is_float
            and not p.gradient_like
            and p.in_channels == p.out_channels == 1
            and p.multiply_add_ratio("fft") > 4
        ),
        "far fewer multiply-adds: 63x63 on 512x512 takes 0.80 ms for 253",
    ),
    Rule(
        "im2col",
        lambda p: (
            p.at_most_float32
            and p.groups == 1
            and p.spec.dims == 2
            and _strided_of_many_taps(p)
            and not p.machine.strided_convolution_is_fast
        ),
        "strided kernels of many taps: 7x7, stride 2, 3 to 64 channels on 224x224 takes 7.3 ms for 9.1",
    ),
    Rule(
        "matmul",
        lambda p: (
            p.at_most_float32
            and not p.gradient_like
            and p.groups == 1
            and p.spec.dims <= 2
            and (_first_layer(p) or _strided(p))
        ),
        "strided kernels, and few channels to many: 3x3, stride 2, 3 to 32 channels on 224x224 takes 0.98 ms for 5.9",
    ),
    Rule(
        "per_group",
        lambda p: p.at_most_float32 and p.groups > 1 and _groups_of_tiles(p),
        "groups as wide as tiles: 5x5, 2 groups of 48 to 128 channels on 27x27 takes 6.8 ms for 39",
    ),
    Rule(
        "im2col",
        lambda p: p.at_most_float32 and p.groups > 1 and p.spec.dims == 2 and not p.input_dilated and _wide_groups(p),
        "a product per group, where groups are wide: weight gradient of 3x3, 32 groups of 16 channels on 14x14 takes"
        " 1.9 ms for 1247",
    ),
    Rule("matmul", _few_outputs, "few outputs of many channels: 3x3, 64 to 3 channels on 224x224 takes 6.8 ms for 24"),
    Rule(
        "chwn",
        lambda p: _few_products(p) and _images_abreast(p),
        "short rows of images of which whole vectors are at hand: 3x3, 32 groups of 16 channels on 8x14x14 takes"
        " 1.2 ms for 9.7",
    ),
    Rule(
        "im2col",
        lambda p: (
            p.at_most_float32
            and p.groups == 1
            and p.spec.dims == 2
            and _large_kernel_of_few(p)
            and not p.machine.strided_convolution_is_fast
        ),
        "weight gradient of many positions: 5x5, 64 to 192 channels on 27x27 takes 9.2 ms for 11",
    ),
    Rule(
        "chwn",
        lambda p: (
            p.gradient_like
            and p.groups > 1
            and p.batch == p.out_channels == 1
            and p.in_channels % 8 == 0
            and p.w.shape[-1] < 12
            and max(*p.spec.stride, *p.spec.rhs_dilation) == 1
        ),
        "weight gradient of depthwise kernels on the shortest rows: 3x3 on 8x960x7x7 takes 0.18 ms for 22",
    ),
    Rule("shift_add", _few_products, "few products per result: depthwise 3x3 on 8x144x56x56 takes 0.73 ms for 68"),
    Rule(
        "variadic_reduce",
        lambda p: p.gradient_like and _few_sums(p),
        "weight gradient of few channels: depthwise 3x3 on 8x144x56x56 takes 1.4 ms for 55",
    ),
    Rule(
        "depth_slices",
        lambda p: p.is_float and p.gradient_like and p.spec.dims > 2 and p.groups == 1 and not p.input_dilated,
        "weight gradient of a volume: 3x3x3, 32 channels on 32x48x48 takes 16 ms for 125",
    ),
    Rule("fft", _large, "far fewer multiply-adds: 63x63 on 512x512 takes 0.80 ms for 253"),
    Rule(
        "matmul",
        lambda p: (
            p.x.dtype == jnp.bfloat16 and p.groups == 1 and p.out_channels >= 16 and p.in_channels * p.taps >= 256
        ),
        "bfloat16 has products of its own: the weight gradient of 3x3, 64 channels on 56x56 takes 4.5 ms for 13",
    ),
    Rule(
        "per_tap",
        lambda p: p.at_most_float32 and p.groups == 1 and _wide_borders(p),
        "much of what a dilated kernel sees is padding: 3x3, dilation 18, 256 channels on 33x33 takes 3.8 ms for 7.0",
    ),
    Rule(
        "col2im",
        lambda p: p.at_most_float32 and not p.gradient_like and _turned_back(p),
        "a heavy weight that need not be turned: the input gradient of 3x3, 512 channels on one image of 7x7 takes"
        " 0.54 ms for 1.9",
    ),
    Rule(
        "winograd",
        lambda p: p.at_most_float32 and not p.gradient_like and _tiles_of_taps(p),
        "a quarter of the products: 3x3, 64 channels on 56x56 takes 3.3 ms for 9.3",
    ),
    Rule(
        "winograd",
        lambda p: p.at_most_float32 and p.gradient_like and _tiles_of_positions(p),
        "a quarter of the products: the weight gradient of 3x3, 128 channels on 28x28 takes 3.3 ms for 7.3",
    ),
    Rule(
        "space_to_depth",
        lambda p: p.at_most_float32 and p.groups == 1 and _tiles_of_phases(p),
        "a quarter of the products, once taps stand side by side: 3x3, dilation 2, 256 channels on 28x28 takes 11 ms"
        " for 19",
    ),
    Rule(
        "im2col",
        lambda p: p.at_most_float32 and p.groups == 1 and _columns(p),
        "few windows of many channels: 3x3, 512 channels on one image of 7x7 takes 0.68 ms for 2.1",
    ),
    Rule(
        "matmul",
        lambda p: (
            p.is_float
            and p.gradient_like
            and p.groups == 1
            and max(p.spec.rhs_dilation) > 1
            and not _strided_of_many_taps(p)
        ),
        "weight gradient of a strided convolution: 3x3, stride 2, 64 to 128 channels takes 3.5 ms for 5.7",
    ),
    Rule(
        "matmul",
        lambda p: p.is_float and p.gradient_like and p.groups == 1 and p.spec.dims == 2 and _gradient_over_images(p),
        "weight gradient over large images: 3x3, 32 channels on 128x32x32 takes 11 ms for 20",
    ),
    Rule(
        "matmul",
        lambda p: p.is_float and (p.groups > 1 or p.spec.dims > 2) and p.in_channels * p.taps >= 16,
        "XLA's loops for groups are slow: weight gradient of 32 groups of 8 channels on 28x28 takes 2.4 ms for 2502",
    ),
    Rule(
        "matmul",
        lambda p: (
            p.is_float
            and not p.gradient_like
            and p.spec.dims == p.groups == 1
            and p.taps == 2
            and min(p.in_channels, p.out_channels) >= 32
        ),
        "two taps of one axis, which are gathered: k2, 64 to 128 channels on 4096 takes 1.5 ms for 1.9",
    ),
    Rule(
        "matmul",
        lambda p: p.is_float and p.groups == 1 and _along_one_axis(p) and not p.machine.strided_convolution_is_fast,
        "taps along one axis of an image: 3x1, 64 channels on 128x256 takes 2.2 ms for 5.0",
    ),
    Rule(
        "im2col",
        lambda p: _left_over(p) and p.im2col_size <= 1 << 20 and p.positions > 1,
        "a small weight gradient, of copies in cache: k3, dilation 8, 32 channels on 8x512 takes 0.15 ms for 0.17",
    ),
    Rule(
        "matmul",
        _left_over,
        "a weight gradient of many channels: k2, dilation 64, 64 to 128 channels takes 1.9 ms for 2.2",
    ),
)

CUDA: tuple[Rule, ...] = (
    Rule(
        "shift_add",
        lambda p: not p.gradient_like and p.in_channels == 1 and p.out_channels <= 2 and p.taps <= 128,
        "H200, a prototype: depthwise 3x3 on 64x144x56x56 takes 0.11 ms for 0.20, 1-D k5 dilation 4 0.051 for 0.70",
    ),
    Rule(
        "variadic_reduce",
        lambda p: p.gradient_like and p.batch == 1 and p.out_channels <= 2,
        "H200, a prototype: weight gradient of depthwise 3x3 on 64x144x56x56 takes 0.092 ms for 0.21",
    ),
    Rule(
        "fft",
        lambda p: (
            p.is_float
            and p.in_channels <= 32
            and p.taps > 256
            and p.positions > 256
            and p.multiply_add_ratio("fft") > 3
        ),
        "H200, a prototype: depthwise 31x31 on 16x128x56x56 takes 0.41 ms for 7.8",
    ),
    Rule(
        "matmul",
        lambda p: p.is_float and p.groups == 1 and p.taps == 1 and not p.input_dilated,
        "H200, a prototype: 1x1, 256 to 64 channels on 64x56x56 takes 0.070 ms for 0.20",
    ),
)

# On platforms that are not listed, every convolution is XLA's own.
RULES: dict[str, tuple[Rule, ...]] = {"cpu": CPU, "cuda": CUDA}
