"""Which lowering each platform prefers, and the measurement that says so: the table that `_select` reads.

A rule sees the `Facts` of a convolution and nothing else; some ask which jax it is. The first that holds, and
whose lowering does not refuse, wins. Times are milliseconds against lax's convolution: those of CPU are rows of
`cpu-2-cores` in `benchmarks/results`, or of `cpu-2-cores-jax-0.12` where they say so; those of CUDA come from
prototypes on an H200 that this code grew from, and await a run of the benchmark there.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from convjax._facts import Facts
from convjax._lowerings import LOWERINGS, _pieces

WEIGHTY = 1 << 21  # elements of a weight that is slower to read than few images are to multiply
LATER = (0, 12)  # the jax whose own strided convolutions, and 3x1 ones, are as fast as copies and a product


class Rule(NamedTuple):
    """A lowering, when to take it, the measurement that says so, and the jax whose own convolution is as fast."""

    lowering: str
    holds: Callable[[Facts], bool]
    because: str
    until: tuple[int, int] | None = None


# The transforms of tiles cost as much as they save where channels are few or a tile does, as with 2x2 taps, and that of
# the weight where the results of a channel are.
def _tiles_of_taps(f: Facts) -> bool:
    places, channels = f.batch * f.positions, min(f.inputs, f.outputs)
    if f.w.size >= WEIGHTY:
        enough = places >= 256
    else:
        few = places * channels >= 27 << 10 if _pieces.SHARED else places >= 576 and channels >= 48
        enough = places >= 1024 or few
    return f.spec.dims > 1 and enough and math.prod(f.w.shape[-2:]) >= 6 and channels >= 32


def _turned_back(f: Facts) -> bool:
    # The weight of an input gradient that sums over more channels than there are elements of each.
    near = f.spec.dims <= 2 and 1 < f.taps <= 25 and max(*f.spec.stride, *f.spec.rhs_dilation) == 1
    return f.spec.turned and near and f.groups == 1 and f.inputs > f.batch * math.prod(f.x.shape[2:])


def _tiles_of_positions(f: Facts) -> bool:
    if f.spec.dims == 2 and 16 < f.positions <= 25 and jax.__version_info__ >= LATER:
        return min(f.batch, f.outputs) >= 64 and f.inputs * f.taps >= 1024
    if f.spec.dims != 2 or not 6 <= f.positions <= 16:
        return False
    if f.taps >= 100:
        few = f.inputs < 8 and _pieces.SHARED
        large = f.batch * f.outputs > 1024 or few or f.taps < 1024  # where a product alone is slower
        wide = 20 if f.taps >= 256 and f.batch * f.outputs > 1024 else 32
        return min(f.batch, f.outputs) >= wide and f.inputs * f.taps >= 512 and large
    return min(f.batch, f.outputs) >= 128 and f.taps >= 36 and f.inputs >= 64


def _tiles_of_phases(f: Facts) -> bool:
    # Of a dilated kernel, each of whose phases fills its tiles but for a fifth.
    if f.mirrored:
        deep = f.inputs * f.taps >= 1024 and f.taps >= 100 * math.prod(f.spec.stride)
        near = f.spec.dims == 2 and f.positions <= 16 and max(f.spec.stride) > 1
        return near and deep and min(f.batch, f.outputs) >= 64
    sizes = f.spec.output_shape(f.x.shape, f.w.shape)[2:]
    full = all(4 * -(-m // (4 * r)) * r <= 1.2 * m for m, r in zip(sizes, f.spec.rhs_dilation, strict=True))
    return max(f.spec.rhs_dilation) > 1 == max(f.spec.stride) and full and _tiles_of_taps(f)


def _columns(f: Facts) -> bool:
    # The copies, one per tap or position, stay in cache, and many outputs repay them.
    if f.spec.dims != 2 or min(f.taps, f.positions) > 16 or f.copied > 1 << 22:
        return False
    if f.mirrored:
        return min(f.batch, f.outputs) >= 128
    few = f.batch * f.positions < 256 and min(f.inputs, f.outputs) >= 64 and not f.spec.turned
    return few or (f.outputs >= 256 and max(f.spec.stride) > 1)


def _few_products(f: Facts) -> bool:
    # Of a result, whose weights a loop over the results holds.
    return not f.mirrored and (
        f.inputs == f.outputs == 1
        or (f.inputs * f.taps <= 36 and f.outputs <= 64 and max(f.spec.stride) == 1)
        or (f.inputs <= 4 and f.outputs <= 32 and f.inputs * f.taps <= 64)
        or (f.groups > 1 and max(f.inputs, f.outputs) <= 32 and not _full_groups(f))
        or (f.inputs <= 64 and f.outputs <= 8)
        or (f.inputs <= 8 and f.outputs <= 16 and f.inputs * f.taps <= 160)
    )


def _few_outputs(f: Facts) -> bool:
    # A product of every tap's own results, which are no more than three times x, then their sum.
    near = not (f.mirrored or f.dilated) and f.groups == max(f.spec.stride) == 1 < f.taps
    few = f.outputs <= (32 if f.spec.dims == 1 and _pieces.SHARED else 24) and f.taps * f.outputs <= 3 * f.inputs
    return f.real and near and few and f.inputs >= 16


def _images_abreast(f: Facts) -> bool:
    # Whole vectors of images, or halves, not so large that turning them costs what other loops would: an element of the
    # result takes twice as long to turn as one of x.
    if f.x.dtype.itemsize != 4 or not f.short or f.spec.dims != 2 or f.dilated or f.positions > 800:
        return False
    if max(f.spec.stride) > 1:
        return f.batch % 8 == 0 and f.inputs * f.taps >= 25
    enough = f.inputs * f.outputs * f.taps >= 13 * (f.inputs + 2 * f.outputs)
    return enough and f.batch % (4 if min(f.inputs, f.outputs) >= 8 else 8) == 0


def _first_layer(f: Facts) -> bool:
    # Few channels in and many out, or fewer of one image that stays in cache; many small ones are left to loops that
    # copy nothing.
    cached = f.batch == 1 and f.inputs <= 4 and f.outputs >= 24 and f.positions * f.outputs <= 1 << 22
    few = f.inputs <= 8 and f.inputs * f.taps <= 72 and (f.outputs >= 48 or cached)
    return few and max(f.spec.stride) == 1 and f.positions >= 256 * f.batch


def _strided(f: Facts) -> bool:
    # The taps that are gathered stay in cache, or nearly so.
    small = f.inputs * f.taps < 1024 and f.copied <= 1 << 23
    few = f.inputs <= 8 or (f.spec.dims == 2 and jax.__version_info__ < LATER)
    return max(f.spec.stride) > 1 and small and f.outputs >= 24 and few


def _strided_of_many_taps(f: Facts) -> bool:
    if f.mirrored:
        wide = min(f.batch, f.outputs) >= 16 or (f.positions >= 36 and f.outputs >= 48)
        large = f.batch <= 4 and f.inputs * f.taps >= 1 << 16 and not _pieces.SHARED
        return max(f.spec.rhs_dilation) > 1 and ((f.positions >= 25 and wide) or large)
    many = f.taps >= 25 and f.inputs * f.taps < 1024 and f.copied > 1 << 22
    return max(f.spec.stride) > 1 and many and f.outputs >= 32


def _gradient_over_images(f: Facts) -> bool:
    if max(f.spec.stride) > 1:
        return False
    many = f.inputs >= 16 and f.outputs >= 16 and (f.taps >= 1024 or (f.batch <= 8 and f.taps >= 512))
    wide = f.outputs >= 24 and (f.inputs * f.outputs >= 64 or f.batch >= 16)
    narrow = f.outputs <= 24 and f.batch >= 8  # XLA's own convolution leaves lanes of its vectors empty
    few = f.inputs >= 8 and f.batch * f.outputs <= 64 and f.positions <= 25
    return many or (wide and f.taps >= 1024) or (few and f.taps >= 512) or (narrow and f.taps >= 256)


def _large_kernel_of_few(f: Facts) -> bool:
    # The weight gradient of 5x5 taps and the like, from up to 64 channels.
    near = 16 <= f.positions <= 49 and f.batch <= 64 and max(*f.spec.stride, *f.spec.rhs_dilation) == 1
    return f.mirrored and near and f.batch * f.outputs >= 1 << 12


def _few_sums(f: Facts) -> bool:
    # Of a weight gradient: one for each pair of channels and each position, and they are held in registers.
    pairs = f.batch * f.outputs
    if f.groups > 1:
        return pairs <= (64 if max(f.spec.rhs_dilation) > 1 else 16)
    if f.inputs * f.taps >= 1 << 17 and not _pieces.SHARED:  # long sums, which cores do not share in a product
        return pairs <= 192 and pairs * f.positions <= 1800
    return pairs <= 64 and pairs * f.positions <= (600 if f.taps >= 1024 else 100)


def _groups_of_tiles(f: Facts) -> bool:
    # Each group as wide as a convolution that Winograd's tiles serve, and in a loop of XLA's nothing else is as fast.
    alone = f.spec._replace(groups=1)
    return not f.mirrored and _tiles_of_taps(f) and LOWERINGS["winograd"].refuses(alone, f.x, f.w) is None


def _wide_groups(f: Facts) -> bool:
    if f.mirrored:
        near = f.taps <= 400 or min(f.batch, f.outputs) >= 48
        return f.inputs >= 8 and min(f.batch, f.outputs) >= 16 and near and f.positions <= 25
    if max(f.spec.stride) > 1:
        return min(f.inputs, f.outputs) >= 16 and 1 < f.taps <= 25
    enough = f.batch > 1 and (f.batch * f.positions >= 512 or f.inputs > 32)
    return min(f.inputs, f.outputs) >= 32 and 1 < f.taps <= 25 and enough


def _full_groups(f: Facts) -> bool:
    # Whose products both cores make; not where every tap meets whole vectors, as in `chwn`: there loops are as fast.
    alone = _pieces.alone(f.batch * f.positions, f.outputs, f.inputs * f.taps)
    vectors = f.w.shape[-1] == 1 or f.spec.rhs_dilation[-1] % 8 == 0 or _images_abreast(f)
    return min(f.inputs, f.outputs) >= 32 and f.batch * f.positions >= 256 and not (alone or vectors)


def _wide_borders(f: Facts) -> bool:
    if f.mirrored:
        return max(f.spec.stride) > 1 and min(f.batch, f.outputs) >= 128 and f.saved("interior") > 1.25
    return max(f.spec.rhs_dilation) > 1 and min(f.inputs, f.outputs) >= 256 and f.saved("interior") > 1.5


def _few_phases(f: Facts) -> bool:
    # Once the products of all taps are too many to add from cache.
    few = f.spec.dims <= 2 and f.groups == 1 and f.outputs <= 3 and 1 < f.taps <= 9
    most = 1 << (19 if jax.__version_info__ >= LATER else 21)
    return few and f.batch * math.prod(f.x.shape[2:]) * f.taps * f.outputs >= most


def _many_zeros(f: Facts) -> bool:
    apart = f.groups > 1 or f.spec.dims > 2 or f.idle < 1.4
    return f.dilated and f.taps > 1 and apart and f.w.size <= 4 * f.x.size


def _overlapping(f: Facts) -> bool:
    # Windows that meet; and enough elements to repay turning the weight, where a product by phases has idle taps.
    meet = f.spec.dims <= 2 and any(k > a for k, a in zip(f.w.shape[2:], f.spec.lhs_dilation, strict=True))
    wide = f.inputs * f.outputs >= 16 if f.groups == 1 else min(f.inputs, f.outputs) >= 8
    wide = wide and f.inputs <= 64 * f.outputs  # or the product is of few rows
    if jax.__version_info__ >= LATER and f.idle > 1.5 and f.groups == 1 and min(f.inputs, f.outputs) >= 64:
        return False  # such as 3x3 at stride 2: 128 to 256 channels took 2.6 ms for 2.3
    return meet and wide and (f.idle < 1.1 or f.batch * math.prod(f.x.shape[2:]) >= 64)


def _along_one_axis(f: Facts) -> bool:
    # Kernels such as 3x1 and 1x5; on images of few positions XLA's own convolution is left to serve them.
    sizes, channels = f.w.shape[2:], min(f.inputs, f.outputs)
    if f.mirrored:
        sizes, channels = f.spec.output_shape(f.x.shape, f.w.shape)[2:], min(f.batch, f.outputs)
    near = (
        f.spec.dims == 2 and min(sizes) == 1 and 2 <= max(sizes) <= 5 and max(*f.spec.stride, *f.spec.rhs_dilation) == 1
    )
    return near and max(f.taps, f.positions) >= 512 and channels >= 32


def _left_over(f: Facts) -> bool:
    # What weight gradients others leave: XLA's own convolution is naive where taps are even in number, strided or
    # dilated, or outputs few, which no row shows. It is as fast for an odd number of one axis and many outputs, and for
    # few channels.
    odd = f.positions % 2 and max(*f.spec.stride, *f.spec.rhs_dilation) == 1
    its = odd and (f.batch < 8 or (f.spec.dims == 1 and f.outputs >= 32))
    return f.real and f.mirrored and f.groups == 1 and f.spec.dims <= 2 and not its


def _large(f: Facts) -> bool:
    # XLA's convolution does some 150 multiply-adds in the time of one of the FFT's where many channels are summed, but
    # only a few where they are not; a wide margin either way, for the FFT rounds otherwise and spreads a NaN.
    return f.real and f.taps > 64 and f.positions > 64 and f.saved("fft") > (1.5 if f.inputs <= 4 else 30)


CPU = (
    Rule(
        "exchange",
        lambda f: f.dilated and f.mirrored and max(f.spec.stride) == 1,
        "weight gradient of a transposed convolution: 4x4, stride 2, 128 to 64 channels takes 7.3 ms for 580",
    ),
    Rule(
        "polyphase",
        lambda f: f.dilated and _few_phases(f),
        "input gradient of a strided first layer: 3x3, stride 2, 3 to 32 channels on 224x224 takes 1.5 ms for 4.1",
    ),
    Rule(
        "fold",
        lambda f: f.real and f.x.dtype != jnp.bfloat16 and f.dilated and _overlapping(f),
        "windows that overlap, of a dilated input: 4x4, stride 2, 128 to 64 channels takes 6.0 ms for 9.1",
    ),
    Rule(
        "fold",
        lambda f: (
            f.short
            and f.x.dtype != jnp.bfloat16
            and f.dilated
            and f.taps == f.groups == 1
            and f.spec.dims <= 2
            and math.prod(f.spec.lhs_dilation) <= 4
        ),
        "a product, and zeros between its results: input gradient of 1x1, stride 2, 256 to 512 channels on 56x56 takes"
        " 4.5 ms for 8.4",
        until=LATER,
    ),
    Rule(
        "polyphase",
        _many_zeros,
        "a dilated input holds mostly zeros: depthwise 3x3 at stride 2 gives its input gradient in 0.86 ms for 99",
    ),
    Rule("subconvolutions", _many_zeros, 'the same for algorithm="local", whose taps may not be zeros'),
    Rule(
        "matmul",
        lambda f: f.real and (f.beside or f.between),
        "windows side by side are a matrix product: 1x1, 256 to 64 channels takes 2.3 ms for 9.2",
    ),
    Rule(
        "chwn",
        lambda f: (
            f.groups > 1
            and max(f.spec.stride) > 1
            and f.positions <= 64
            and max(f.inputs, f.outputs) <= 32
            and not f.mirrored
            and _images_abreast(f)
        ),
        "strided slices of small images, where whole vectors of them lie side by side: depthwise 5x5, stride 2, 672"
        " channels on 14x14 takes 0.18 ms for 8.2",
    ),
    Rule(
        "phases",
        lambda f: not f.mirrored and f.inputs == 1 < f.groups and max(f.spec.stride) > 1 and f.positions <= 64,
        "strided slices of small images do not vectorise: depthwise 3x3, stride 2, 576 channels on 14x14 takes 0.16 ms"
        " for 4.6",
    ),
    Rule(
        "fft",
        lambda f: f.real and not f.mirrored and f.inputs == f.outputs == 1 and f.saved("fft") > 4,
        "far fewer multiply-adds: 63x63 on 512x512 takes 0.80 ms for 253",
    ),
    Rule(
        "unfold",
        lambda f: f.short and f.groups == 1 and f.spec.dims == 2 and _strided_of_many_taps(f),
        "strided kernels of many taps: 7x7, stride 2, 3 to 64 channels on 224x224 takes 7.3 ms for 9.1",
        until=LATER,
    ),
    Rule(
        "matmul",
        lambda f: (
            f.short and not f.mirrored and f.groups == 1 and f.spec.dims <= 2 and (_first_layer(f) or _strided(f))
        ),
        "strided kernels, and few channels to many: 3x3, stride 2, 3 to 32 channels on 224x224 takes 0.98 ms for 5.9",
    ),
    Rule(
        "apart",
        lambda f: f.short and f.groups > 1 and _groups_of_tiles(f),
        "groups as wide as tiles: 5x5, 2 groups of 48 to 128 channels on 27x27 takes 6.8 ms for 39",
    ),
    Rule(
        "unfold",
        lambda f: f.short and f.groups > 1 and f.spec.dims == 2 and not f.dilated and _wide_groups(f),
        "a product per group, where groups are wide: weight gradient of 3x3, 32 groups of 16 channels on 14x14 takes"
        " 1.9 ms for 1247",
    ),
    Rule("matmul", _few_outputs, "few outputs of many channels: 3x3, 64 to 3 channels on 224x224 takes 6.8 ms for 24"),
    Rule(
        "chwn",
        lambda f: _few_products(f) and _images_abreast(f),
        "short rows of images of which whole vectors are at hand: 3x3, 32 groups of 16 channels on 8x14x14 takes"
        " 1.2 ms for 9.7",
    ),
    Rule(
        "unfold",
        lambda f: f.short and f.groups == 1 and f.spec.dims == 2 and _large_kernel_of_few(f),
        "weight gradient of many positions: 5x5, 64 to 192 channels on 27x27 takes 9.2 ms for 11",
        until=LATER,
    ),
    Rule(
        "chwn",
        lambda f: (
            f.mirrored
            and f.groups > 1
            and f.batch == f.outputs == 1
            and f.inputs % 8 == 0
            and f.w.shape[-1] < 12
            and max(*f.spec.stride, *f.spec.rhs_dilation) == 1
        ),
        "weight gradient of depthwise kernels on the shortest rows: 3x3 on 8x960x7x7 takes 0.18 ms for 22",
    ),
    Rule("shift", _few_products, "few products per result: depthwise 3x3 on 8x144x56x56 takes 0.73 ms for 68"),
    Rule(
        "reduce",
        lambda f: f.mirrored and _few_sums(f),
        "weight gradient of few channels: depthwise 3x3 on 8x144x56x56 takes 1.4 ms for 55",
    ),
    Rule(
        "planes",
        lambda f: f.real and f.mirrored and f.spec.dims > 2 and f.groups == 1 and not f.dilated,
        "weight gradient of a volume: 3x3x3, 32 channels on 32x48x48 takes 16 ms for 125",
    ),
    Rule("fft", _large, "far fewer multiply-adds: 63x63 on 512x512 takes 0.80 ms for 253"),
    Rule(
        "matmul",
        lambda f: f.x.dtype == jnp.bfloat16 and f.groups == 1 and f.outputs >= 16 and f.inputs * f.taps >= 256,
        "bfloat16 has products of its own: the weight gradient of 3x3, 64 channels on 56x56 takes 4.5 ms for 13",
    ),
    Rule(
        "interior",
        lambda f: f.short and f.groups == 1 and _wide_borders(f),
        "much of what a dilated kernel sees is padding: 3x3, dilation 18, 256 channels on 33x33 takes 3.8 ms for 7.0",
    ),
    Rule(
        "fold",
        lambda f: f.short and not f.mirrored and _turned_back(f),
        "a heavy weight that need not be turned: the input gradient of 3x3, 512 channels on one image of 7x7 takes"
        " 0.54 ms for 1.9",
    ),
    Rule(
        "winograd",
        lambda f: f.short and not f.mirrored and _tiles_of_taps(f),
        "a quarter of the products: 3x3, 64 channels on 56x56 takes 3.3 ms for 9.3",
    ),
    Rule(
        "winograd",
        lambda f: f.short and f.mirrored and _tiles_of_positions(f),
        "a quarter of the products: the weight gradient of 3x3, 128 channels on 28x28 takes 3.3 ms for 7.3",
    ),
    Rule(
        "phases",
        lambda f: f.short and f.groups == 1 and _tiles_of_phases(f),
        "a quarter of the products, once taps stand side by side: 3x3, dilation 2, 256 channels on 28x28 takes 11 ms"
        " for 19",
    ),
    Rule(
        "unfold",
        lambda f: f.short and f.groups == 1 and _columns(f),
        "few windows of many channels: 3x3, 512 channels on one image of 7x7 takes 0.68 ms for 2.1",
    ),
    Rule(
        "matmul",
        lambda f: (
            f.real and f.mirrored and f.groups == 1 and max(f.spec.rhs_dilation) > 1 and not _strided_of_many_taps(f)
        ),
        "weight gradient of a strided convolution: 3x3, stride 2, 64 to 128 channels takes 3.5 ms for 5.7",
    ),
    Rule(
        "matmul",
        lambda f: f.real and f.mirrored and f.groups == 1 and f.spec.dims == 2 and _gradient_over_images(f),
        "weight gradient over large images: 3x3, 32 channels on 128x32x32 takes 11 ms for 20",
    ),
    Rule(
        "matmul",
        lambda f: f.real and (f.groups > 1 or f.spec.dims > 2) and f.inputs * f.taps >= 16,
        "XLA's loops for groups are slow: weight gradient of 32 groups of 8 channels on 28x28 takes 2.4 ms for 2502",
    ),
    Rule(
        "matmul",
        lambda f: (
            f.real
            and not f.mirrored
            and f.spec.dims == f.groups == 1
            and f.taps == 2
            and min(f.inputs, f.outputs) >= 32
        ),
        "two taps of one axis, which are gathered: k2, 64 to 128 channels on 4096 takes 1.5 ms for 1.9",
    ),
    Rule(
        "matmul",
        lambda f: f.real and f.groups == 1 and _along_one_axis(f),
        "taps along one axis of an image: 3x1, 64 channels on 128x256 takes 2.2 ms for 5.0",
        until=LATER,
    ),
    Rule(
        "unfold",
        lambda f: _left_over(f) and f.copied <= 1 << 20 and f.positions > 1,
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
        "shift",
        lambda f: not f.mirrored and f.inputs == 1 and f.outputs <= 2 and f.taps <= 128,
        "H200, a prototype: depthwise 3x3 on 64x144x56x56 takes 0.11 ms for 0.20, 1-D k5 dilation 4 0.051 for 0.70",
    ),
    Rule(
        "reduce",
        lambda f: f.mirrored and f.batch == 1 and f.outputs <= 2,
        "H200, a prototype: weight gradient of depthwise 3x3 on 64x144x56x56 takes 0.092 ms for 0.21",
    ),
    Rule(
        "fft",
        lambda f: f.real and f.inputs <= 32 and f.taps > 256 and f.positions > 256 and f.saved("fft") > 3,
        "H200, a prototype: depthwise 31x31 on 16x128x56x56 takes 0.41 ms for 7.8",
    ),
    Rule(
        "matmul",
        lambda f: f.real and f.groups == 1 and f.taps == 1 and not f.dilated,
        "H200, a prototype: 1x1, 256 to 64 channels on 64x56x56 takes 0.070 ms for 0.20",
    ),
)

# Platforms that are not listed get "direct".
RULES: dict[str, tuple[Rule, ...]] = {
    platform: tuple(rule for rule in rules if rule.until is None or jax.__version_info__ < rule.until)
    for platform, rules in {"cpu": CPU, "cuda": CUDA}.items()
}
