"""The order in which each platform prefers algorithms: the table that `choose` reads.

The first entry whose condition holds, and whose algorithm supports the operation, is chosen. The condition, `pays`, is
in the file of the algorithm. This file has the order, and the reasons, which quote numbers of the convolution.

The entries for a CPU were made from 640 timed operations (`benchmarks/results/choices.jsonl`: common shapes, and layers
of published models). Their choices there are within a few percent of the fastest. `tests/choice/test_regret.py` checks
that, also on layers of models that they were not made from. The entries for CUDA were made on an H200, and those for a
TPU from estimates of its compiler.
"""

from collections.abc import Callable
from typing import NamedTuple

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
from convjax._choice.problem import Problem


class Preference(NamedTuple):
    """An algorithm, the condition under which it is faster, and the reason: a format string for the problem `p`."""

    algorithm: str
    pays: Callable[[Problem], bool]
    because: str


# fmt: off
CPU = (
    Preference("swap_operands", swap_operands.pays,
               "{p.taps} taps over a dilated input of {p.input_positions} elements, which becomes the kernel"),
    Preference("subpixel", subpixel.pays_for_few_channels,
               "a dilated input and only {p.out_channels} output channels: its phases become channels"),
    Preference("col2im", col2im.pays_for_dilated_input,
               "one product for {p.taps} taps of a dilated input, without its zeros"),
    Preference("subpixel", subpixel.pays, "the phases of {p.taps} taps, without the zeros of a dilated input"),
    Preference("polyphase", polyphase.pays, "the phases of {p.taps} taps, without the zeros of a dilated input"),
    Preference("onednn", onednn.pays_for_contiguous, "oneDNN has its best loops for it"),
    Preference("col2im", col2im.pays_for_flipped_weight,
               "{p.in_channels} channels of {p.input_positions} elements: the weight need not be flipped"),
    Preference("matmul", matmul.needs_no_copies, "a matrix product of the arrays as they are"),
    Preference("fft", fft.pays, "{p.taps} taps repay the transforms"),
    Preference("matmul", matmul.pays_for_few_input_channels, "{p.summands} products per result, stacked for a product"),
    Preference("im2col", im2col.pays_for_stride, "the windows as columns, because XLA's strided loops are slow"),
    Preference("matmul", matmul.pays_for_few_output_channels,
               "{p.out_channels} output channels: a product with all {p.taps} taps, then their sum"),
    Preference("chwn", lambda p: shift_add.has_few_products(p) and chwn.pays(p),
               "{p.summands} products per result, and {p.batch} images to put side by side"),
    Preference("shift_add", shift_add.pays, "{p.summands} products per result, in one loop"),
    Preference("variadic_reduce", variadic_reduce.pays, "few sums, of {p.summands} products each, held in registers"),
    Preference("per_tap", per_tap.pays, "most products of {p.taps} taps would be with zeros of the padding"),
    Preference("winograd", winograd.pays, "{p.summands} products per result repay the transforms of tiles"),
    Preference("space_to_depth", space_to_depth.pays, "its phases are convolutions for Winograd's tiles"),
    Preference("depth_slices", depth_slices.pays, "the slices of a volume as images, for {p.positions} positions"),
    Preference("im2col", im2col.pays, "{p.summands} products per result, with the windows as columns"),
    Preference("matmul", matmul.pays_for_slow_loops, "a matrix product, because XLA's own loops are slow here"),
    Preference("onednn", onednn.pays_for_slow_loops, "oneDNN's loops are faster than XLA's own"),
)

# If the channels are last in memory. From timings of `benchmarks.layers.TUNING_LAYERS` with such arrays. What none of
# the entries is for has contiguous images made for it, and goes on with the entries above.
CPU_CHANNELS_LAST = (
    Preference("xla", xla.pays_for_first_layers, "XLA's own loops are fast for the channels of a picture"),
    Preference("depthwise_add", depthwise_add.pays_for_dilated_input, "all phases of {p.taps} taps in one loop"),
    Preference("zero_insertion", zero_insertion.pays, "a small depthwise image, with its zeros stored"),
    Preference("subpixel", subpixel.pays_with_channels_last, "the phases of a dilated input become channels"),
    Preference("row2im", row2im.pays, "a product for each of {p.taps} taps, with the weight as it is and no zeros"),
    Preference("polyphase", polyphase.pays_with_channels_last, "the phases of {p.taps} taps, without zeros"),
    Preference("im2row", im2row.pays, "a matrix product of the arrays as they are"),
    Preference("depthwise_reduce", depthwise_reduce.pays, "{p.positions} sums for each channel, side by side"),
    Preference("winograd", winograd.pays_with_channels_last, "{p.summands} products per result repay the transforms"),
    Preference("fft", fft.pays_with_channels_last, "{p.taps} taps repay the transforms"),
    Preference("onednn", onednn.pays, "oneDNN has its best loops for it"),
    Preference("depthwise_add", depthwise_add.pays, "a sum over {p.taps} taps, the channels side by side"),
    Preference("im2row", im2row.pays_for_weight_gradients, "{p.positions} taps as rows of a product"),
    Preference("xla", xla.pays_with_channels_last, "XLA's own loops are for this order of axes"),
    *CPU,
)

# From an H200 with jax 0.11.2 on 2026-11-28: `benchmarks/results/cuda-h200*.md`, which were timed with the rules before
# these. Layers of published models are on 64 images.
CUDA: tuple[Preference, ...] = (
    # Depthwise 7x7 on 768x32x32 takes 0.47 ms, and lax 1.19. 5x5 on 960x14x14, dilation 2, 0.27, and lax 1.14. But 5x5
    # on 816x14x14 takes 0.20 instead of 0.13, and 7x7 on 640x7x7 0.16 instead of 0.08.
    Preference("shift_add", lambda p: not p.gradient_like and p.in_channels == 1 and p.out_channels <= 2
               and p.taps <= 128 and (p.input_positions >= 256 or max(p.spec.rhs_dilation) > 1),
               "{p.summands} products per result, in one loop"),
    # The weight gradient of depthwise 5x5, dilation 2, on 960x14x14 takes 1.6 ms instead of 5.1, that of 3x3, dilation
    # 6, on 2x256x33x33 0.09 instead of 0.49. But without dilation 5x5 on 816x14x14 takes 1.6 instead of 0.15.
    Preference("variadic_reduce", lambda p: p.gradient_like and p.batch == 1 and p.out_channels <= 2
               and max(p.spec.stride) > 1, "few sums, of {p.summands} products each, held in registers"),
    # The weight gradient of the causal layer of 4 taps takes 0.14 ms instead of 0.25, that of WaveNet 0.14 instead of
    # 0.58, and that of a 1x1 layer of 3 groups 0.07 instead of 0.19. A strided image has to be copied first: 256 from
    # 128 channels, 1x1x1, stride (1, 2, 2), on 16x28x28 takes 1.2 instead of 0.45.
    Preference("matmul", lambda p: p.gradient_like and p.is_float and (p.spec.dims == 1 or p.positions == 1)
               and p.positions <= 8 and max(p.spec.rhs_dilation) == 1, "a matrix product of {p.positions} shifts"),
    # The weight gradient of depthwise 7x7 on 640x7x7 takes 0.05 ms instead of 1.07, on 768x32x32 3.2 instead of 11.5.
    # But on 160x16x16 1.0 instead of 0.73: one product for each channel does not fill the card.
    Preference("matmul", lambda p: p.spec.hints.layer_weight == "result" and p.is_float and p.batch == 1
               and p.out_channels == 1 and p.positions >= 49 and p.groups >= 512,
               "a matrix product of {p.positions} shifts"),
    # The weight gradient of RepLKNet's depthwise 31x31 takes 0.12 ms instead of 1.41.
    Preference("fft", lambda p: p.is_float and p.in_channels <= 32 and min(p.taps, p.positions) > 256
               and p.multiply_add_ratio("fft") > 3, "{p.taps} taps repay the transforms"),
    # 1x1, 32 to 128 channels on 128x128 takes 0.19 ms instead of 0.54, and 512 to 1024 on 14x14 as long as lax.
    Preference("matmul", lambda p: p.is_float and p.groups == 1 and p.taps == 1 and not p.input_dilated,
               "a matrix product of the arrays as they are"),
)

# From the estimates of XLA's own compiler for a v5e, with libtpu 0.0.42.1 on 2026-11-29, not from a clock:
# `benchmarks/results/tpu-v5e-2x2.md`. An entry is here if its estimate is 5 times lower than that of XLA's convolution,
# and its precision at least the same. Numbers are microseconds. The order of axes in memory is up to that compiler.
TPU: tuple[Preference, ...] = (
    # The weight gradient of a transposed 4x4, stride 2, from 128 to 64 channels: 16 instead of 98.
    Preference("swap_operands", swap_operands.pays,
               "{p.taps} taps over a dilated input of {p.input_positions} elements, which becomes the kernel"),
    # The input gradient of patches of 16x16: 25 instead of 15071, of 4x4 only 321 instead of 455. That of 10 taps,
    # stride 5, from 1 to 512 channels: 13 instead of 181, with the products below.
    Preference("subpixel", lambda p: p.input_dilated and p.groups == 1 and p.is_float
               and (p.taps >= 64 if p.spec.dims > 1 else p.out_channels <= 4),
               "a dilated input: its phases become channels"),
    Preference("dense_groups", dense_groups.pays, "{p.groups} groups of few channels fill no matrix of 128"),
    Preference("toeplitz", toeplitz.pays, "few channels for {p.taps} taps: blocks of a row fill a matrix of 128"),
    # 16000 taps on 160000 elements: 790, and XLA takes more than a minute to compile. Its weight gradient: 1050 instead
    # of 140000. 129 taps take 840 instead of 3500, but 83 in the way above.
    Preference("fft", lambda p: p.is_float and max(p.in_channels, p.out_channels) <= 2
               and min(p.taps, p.positions) > 256, "{p.taps} taps repay the transforms"),
    # The input gradient of 3x3 from 3 to 64 channels on 8 images of 224x224: 121 instead of 925. But on one of 256x256
    # from 32 channels 313 instead of 163, and on 128 of 32x32 100 instead of 18.
    Preference("matmul", lambda p: p.is_float and p.groups == 1 and 1 < p.taps <= 9 and p.out_channels <= 8
               and p.in_channels >= 32 and not p.gradient_like and max(*p.spec.stride, *p.spec.rhs_dilation) == 1
               and (p.spec.dims == 1 or p.batch * p.positions > 1 << 18),
               "{p.out_channels} output channels: a product with all {p.taps} taps, then their sum"),
)
# fmt: on

# On platforms that are not listed, every convolution is XLA's own.
PREFERENCES: dict[str, tuple[Preference, ...]] = {"cpu": CPU, "cuda": CUDA, "tpu": TPU}
CHANNELS_LAST_PREFERENCES: dict[str, tuple[Preference, ...]] = {"cpu": CPU_CHANNELS_LAST, "tpu": TPU}
