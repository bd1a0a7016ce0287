"""oneDNN's convolution, which jaxlib for x86-64 Linux contains. On a CPU, torch's convolutions are oneDNN's too.

XLA has a call for it, "__onednn$convolution", on its own threads (openxla/xla pull request 31511). The call takes
arrays in any order of axes. Contiguous images it transposes itself, which is faster than to do so in front of it. It is
a forward convolution: it has no dilated input, and no negative padding, which is cropped first.

Where its compiled kernels do not serve a convolution, oneDNN falls back to code that writes outside of its memory when
XLA calls it ("x64:gemm:jit" of ONEDNN_VERBOSE=1, jaxlib 0.10.2). What is supported here stays clear of that. With AVX2
alone, all convolutions of contiguous images would run that code, so images are transposed for them.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _gemm, _taps, col2im
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, reason_if_input_is_dilated, summands
from convjax._arrays import onednn
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_DIMS = 3
# The largest kernel, along an axis. With 256 taps along two axes, a padding and no groups, oneDNN cannot make its code,
# which ends the process (jaxlib 0.10.2). With 128 it can. Depthwise kernels, also of 4096 taps along an axis, are safe.
MAX_TAPS = 64
MAX_GROUPED_BFLOAT16_TAPS = 7  # along an axis; kernels of 19x29 and of 40 taps never returned
MAX_GROUPED_PADDING = 3  # elements on a side, with groups
MAX_IMAGES = 64  # calls of a weight gradient
# Without AVX-512, smaller layers and groups are faster by `depthwise_add` and `shift_add`. 5x5, 960 channels on 8
# images of 14x14 takes 2.2 ms instead of 3.5, but 1x1, stride 2, 48 channels on one 112x112 0.27 instead of 0.09
# (`benchmarks/results/cpu-2-cores-avx2-layers-onednn.json`). 3x3, 32 groups of 16 on 8 images of 14x14 takes 1.8 ms
# instead of 5.2, but 32 groups of 4 on one 56x56 0.89 instead of 0.73 (`cpu-2-cores-avx2-groups.json`).
MIN_DEPTHWISE_MULTIPLY_ADDS = 1 << 20
MIN_GROUP_CHANNELS = 4  # of the input and of the result
DTYPES = ("float32", "bfloat16")


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    if spec.channels_last and spec.hints.layer_weight == "result":
        return _depthwise_weight_gradient(x, w, spec)
    shape = spec.output_shape(x.shape, w.shape)
    # An input gradient reads the weight of its layer, (I, O, *k), if it is flipped but not transposed.
    transposed = spec.hints.flipped_weight and spec.groups == 1
    if not spec.channels_last and x.dtype == jnp.float32 and machine.onednn_has_avx512:
        return _convolve(x, w.swapaxes(0, 1) if transposed else w, spec, shape, transposed)
    # Also for contiguous images of bfloat16: of some, with groups, the call never returns.
    spec = spec._replace(hints=spec.hints._replace(memory_format="channels_last"))
    w = w.transpose(*range(2, w.ndim), *((0, 1) if transposed else (1, 0)))
    return channels_first(_convolve(channels_last(x), w, spec, (shape[0], *shape[2:], shape[1]), transposed))


def _depthwise_weight_gradient(x, w, spec):
    """The sum, over the images, of a depthwise convolution of each image with its cotangent.

    As one convolution, with sums over the images, it takes 20 to 60 times as long: oneDNN has fast code for depthwise
    kernels alone.
    """
    shape = (1, *spec.output_shape(x.shape, w.shape)[2:], w.shape[0])
    x, cotangent = map(channels_last, _gemm.summed_axis_first(x, w, spec))
    kernels = lax.expand_dims(cotangent, (cotangent.ndim - 1,))
    return channels_first(add_all([_convolve(x[n : n + 1], kernels[n], spec, shape) for n in range(x.shape[0])]))


def _convolve(x, w, spec, shape, transposed: bool = False):
    """The convolution of (N, C, *n) with (O, I, *k), or of (N, *n, C) with (*k, I, O) if the channels are last.

    O and I change places if `transposed`. `shape` is that of the result.
    """
    image, kernel = _axes(spec, x.ndim, transposed)
    if spec.dims == 1:  # an image of one row: for groups with long kernels along one axis, oneDNN has unsafe code alone
        row = spec._replace(
            stride=(1, *spec.stride),
            padding=((0, 0), *spec.padding),
            lhs_dilation=(1, *spec.lhs_dilation),
            rhs_dilation=(1, *spec.rhs_dilation),
        )
        x, w = lax.expand_dims(x, (image[2],)), lax.expand_dims(w, (kernel[2],))
        shape = (*shape[: image[2]], 1, *shape[image[2] :])
        return lax.squeeze(_convolve(x, w, row, shape, transposed), (image[2],))
    counts = [shape[axis] for axis in image[2:]]
    sizes, taps = ([a.shape[axis] for axis in axes[2:]] for a, axes in ((x, image), (w, kernel)))
    around, padding = _split_padding(sizes, taps, counts, spec)
    if any(map(any, around)):
        by_axis = dict(zip(image[2:], around, strict=True))
        x = lax.pad(x, jnp.zeros((), x.dtype), [by_axis.get(axis, (0, 0, 0)) for axis in range(x.ndim)])
    configuration = _configuration(spec, padding, counts, image, kernel)
    return onednn.call(onednn.CONVOLUTION, shape, x.dtype, {"onednn_conv_config": configuration}, x, w)


def _axes(spec, ndim: int, transposed: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes (batch, channels, *spatial) of an image, and (output channels, input channels, *spatial) of a kernel."""
    if spec.channels_last:
        image, kernel = (0, ndim - 1, *range(1, ndim - 1)), (ndim - 1, ndim - 2, *range(ndim - 2))
    else:
        image = kernel = tuple(range(ndim))
    return image, (kernel[1], kernel[0], *kernel[2:]) if transposed else kernel


def _split_padding(sizes, kernel, counts, spec):
    """The padding to add, or to crop, beforehand, and the padding that oneDNN adds, with no more than it reads.

    Windows that lie in the padding altogether make oneDNN read outside of its arrays, or never return. With groups, a
    padding wider than what its compiled kernels take makes it choose unsafe code.
    """
    steps = spec.rhs_dilation, spec.stride
    padding = _taps.padding_of_windows(spec.padding, sizes, kernel, *steps, counts)
    around, inside = [], []
    for pads, k, r, m in zip(padding, kernel, spec.rhs_dilation, counts, strict=True):
        most = _spec.extent(k, r) - 1
        most = most if spec.groups == 1 else min(most, m, MAX_GROUPED_PADDING)
        inside.append(tuple(min(max(pad, 0), most) for pad in pads))
        around.append((*[pad - kept for pad, kept in zip(pads, inside[-1], strict=True)], 0))
    return around, inside


def _configuration(spec, padding, counts, image, kernel) -> dict:
    """XLA's OneDnnConvolutionConfig, whose numbers are strings. A dilation of 1 means that there is none.

    Where there is one position, the stride is 1: with one input channel and one position along the last axis, oneDNN
    takes a stride there for one of the rows, and its results are wrong (jaxlib 0.10.2).
    """
    ndim = str(len(image))
    batch, channels, *spatial = map(str, image)
    images = {"dims": ndim, "data": {"batch_dim": batch, "feature_dim": channels, "spatial_dims": spatial}}
    outputs, inputs, *taps = map(str, kernel)
    weight = {"output_feature_dim": outputs, "input_feature_dim": inputs, "spatial_dims": taps}
    return {
        "dims": ndim,
        "feature_groups": str(spec.groups),
        "input": images,
        "output": images,
        "kernel": {"dims": ndim, "filter": weight},
        "window": {
            "pad_left": [str(low) for low, _ in padding],
            "pad_right": [str(high) for _, high in padding],
            "strides": [str(1 if m == 1 else s) for m, s in zip(counts, spec.stride, strict=True)],
            "window_dilations": [str(r) for r in spec.rhs_dilation],
        },
    }


def unsupported(spec, x, w) -> str | None:
    if spec.dims > MAX_DIMS:
        return f"more than {MAX_DIMS} spatial dimensions"
    if str(x.dtype) not in DTYPES or spec.out_dtype not in (None, x.dtype):
        return f"it is for {' and '.join(DTYPES)} alone"
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    if spec.hints.layer_weight != "result":
        most = MAX_GROUPED_BFLOAT16_TAPS if spec.groups > 1 and x.dtype == jnp.bfloat16 else MAX_TAPS
        if max(w.shape[2:]) > most or _spec.tap_count(w) > MAX_TAPS**2:
            return f"more than {most} taps along an axis, or {MAX_TAPS**2} taps"
    else:
        if not spec.channels_last or x.shape[0] > 1 or not w.shape[0] == spec.groups > 1:
            return "a weight gradient, but not of a depthwise layer with the channels last"
        if x.dtype != jnp.float32:
            return "a weight gradient, whose sum over the images would be rounded at every image"
        if w.shape[1] > MAX_IMAGES:
            return f"a weight gradient of more than {MAX_IMAGES} images, each of which is a call"
    return reason_if_input_is_dilated(spec)


def unavailable(spec, x, w, machine: Machine) -> str | None:
    if not machine.convolves_by_onednn(x.dtype):
        return f"jaxlib has no oneDNN for {x.dtype} here"
    if machine.onednn_has_avx512:
        return None
    # With AVX2 alone, these run the unsafe code. Arrays with one channel, or one position, have the same strides in
    # either memory format, and oneDNN takes them for contiguous ones.
    if spec.dims == 3 and 1 in (x.shape[1] // spec.groups, w.shape[0] // spec.groups) and spec.groups > 1:
        return "a depthwise convolution of volumes, on a processor without AVX-512"
    read = [n + min(low, 0) + min(high, 0) for n, (low, high) in zip(x.shape[2:], spec.padding, strict=True)]
    results = spec.output_shape(x.shape, w.shape)[2:]
    if x.shape[1] == w.shape[0] == 1 or 1 in (math.prod(read), math.prod(results)):
        return "one channel or one position, on a processor without AVX-512"
    return None


def pays(p) -> bool:
    """For layers, their input gradients, and weight gradients of depthwise layers, if the channels fill a vector.

    3x3 from 8 channels to 1 on 4 images of 128x128 takes 0.23 ms by `shift_add` and 0.40 by oneDNN. 15x15 on 3 channels
    of 1080x1920 takes 39 ms and 80. The weight gradient of depthwise 3x3 on 8 images of 4x128x128 takes 0.28 ms by
    `variadic_reduce` and 1.3 by oneDNN.
    """
    channels = p.groups * p.out_channels
    if p.spec.hints.layer_weight == "result":
        return channels >= 16
    if p.groups > 1 and not p.has_onednn:
        if p.in_channels * p.out_channels > 1:
            return min(p.in_channels, p.out_channels) >= MIN_GROUP_CHANNELS and not p.input_dilated
        return p.taps > 4 and p.batch * p.positions * p.taps * channels >= MIN_DEPTHWISE_MULTIPLY_ADDS
    several = channels >= 8 or (channels > 1 and p.taps <= 64)
    return p.spec.hints.layer_weight == "kernel" and several and not p.input_dilated


def pays_for_contiguous(p) -> bool:
    """For layers on contiguous images, where transposing them costs less than other algorithms do.

    The input gradient of 3x3 from 256 to 384 channels on 13x13 takes 1.0 ms instead of 1.2, because the weight is read
    as it is. Depthwise 7x7 on 8 images of 640x7x7 takes 0.35 ms instead of 0.62.
    """
    if not _is_layer(p):
        return False
    flipped = p.taps > 1 and p.spec.dims == 2 and col2im.pays_for_flipped_weight(p)
    depthwise = p.groups > 8 and p.in_channels == 1 and max(p.spec.stride) == 1
    return flipped or _strided(p) or (depthwise and 49 <= p.taps <= 81 and p.batch >= 8 and p.positions <= 800)


def _strided(p) -> bool:
    """First layers of many products, and strided layers of several positions.

    3x3, stride 2, 48 channels on 8 images of 112x112 takes 4.4 ms instead of 6.4, and 7x7, stride 2, 3 to 96 channels
    on 224x224 10 instead of 15. But 512 channels on one image of 14x14 take 1.1 instead of 0.77.
    """
    if p.groups > 1 or p.out_channels < 16 or p.non_overlapping:
        return False
    if p.in_channels <= 8:
        return p.spec.dims > 1 and p.summands >= 128 and p.taps <= 64
    several = p.in_channels >= 16 and p.batch * p.positions >= 128
    return p.spec.dims == 2 and max(p.spec.stride) > 1 and several


def pays_for_slow_loops(p) -> bool:
    """For dense layers on contiguous images that nothing else is preferred for.

    3x3, stride 2, 24 to 48 channels on 112x112 takes 0.30 ms instead of 0.55.
    """
    dense = p.groups == 1 and p.spec.dims == 2 and p.taps > 1 and p.out_channels >= 8
    return _is_layer(p) and dense


def _is_layer(p) -> bool:
    layer = p.spec.hints.layer_weight == "kernel" and not p.gradient_like and not p.input_dilated
    return p.has_onednn and p.x.dtype == jnp.float32 and layer


ALGORITHM = Kernel(
    "onednn",
    "oneDNN's convolution",
    run,
    unsupported,
    definition_multiply_adds,
    summands,
    platforms=("cpu",),
    unavailable=unavailable,
    memory_format=None,
)
