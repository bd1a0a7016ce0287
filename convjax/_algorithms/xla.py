"""XLA's own convolution. It supports every spec, and the other algorithms are compared with it."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.lax import conv_general_dilated  # here, so that `convjax.patched` does not replace it

from convjax._algorithms import _gemm
from convjax._algorithms._taps import swap_channels
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, summands
from convjax._machine import Machine


def run(x: jax.Array, w: jax.Array, spec, machine: Machine | None = None) -> jax.Array:
    groups = {"feature_group_count": spec.groups}
    x_order, w_order, y_order = _orders(spec)
    if spec.groups > 1 and spec.hints.layer_weight == "result" and machine and machine.platform != "cpu":
        # The weight gradient as lax has it, with the groups in the batch: cuDNN has a call for it. On an H200
        # (jax 0.11.2), 3x3 with 32 groups of 4 channels on 8 images of 56x56 takes 0.19 ms instead of 2.3.
        x, w = (a.swapaxes(0, 1) for a in _gemm.summed_axis_first(x, w, spec))
        groups = {"batch_group_count": spec.groups}
    x, spec = _crop(*_predilate(x, w, spec))
    w = w.transpose(w_order) if not _reads_before_flip(spec) else _flipped_last(w, w_order, spec)
    y = conv_general_dilated(
        x.transpose(x_order),
        w,
        window_strides=spec.stride,
        padding=spec.padding,
        lhs_dilation=spec.lhs_dilation,
        rhs_dilation=spec.rhs_dilation,
        dimension_numbers=lax.ConvDimensionNumbers(*map(_inverse, (x_order, w_order, y_order))),
        precision=spec.precision,
        preferred_element_type=spec.out_dtype,
        **groups,
    )
    return y.transpose(_inverse(y_order))


def _orders(spec) -> tuple[tuple[int, ...], ...]:
    """The orders of the axes of x, w and the result in which a layer of lax would have them.

    What the caller transposed is transposed back, so that XLA reads and writes the arrays of the caller: NHWC images
    with HWIO weights if the channels are last, and the weight of an input gradient as it is, but for the flip.
    """
    space = tuple(range(2, spec.dims + 2))
    transposed = _reads_before_flip(spec)
    last = spec.channels_last
    if last and spec.hints.layer_weight == "kernel":
        image = (0, *space, 1)
        return image, (*space, 0, 1) if transposed else (*space, 1, 0), image
    if spec.hints.layer_weight == "result":  # its batch are the channels of a layer, and its channels the images
        image = (1, *space, 0) if last else (1, 0, *space)
        return image, image, (*space, 0, 1) if last else (1, 0, *space)
    same = (0, 1, *space)
    return same, (1, 0, *space) if transposed else same, same


def _reads_before_flip(spec) -> bool:
    return spec.hints.flipped_weight and spec.groups == 1


def _flipped_last(w: jax.Array, order: tuple[int, ...], spec) -> jax.Array:
    """The weight w in this order of axes, flipped after the transposition. XLA removes two flips that meet."""
    space = tuple(range(2, w.ndim))
    before = lax.rev(swap_channels(w, spec), space).transpose([(1, 0, *space)[axis] for axis in order])
    return lax.rev(before, [order.index(axis) for axis in space])


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def _predilate(x: jax.Array, w: jax.Array, spec):
    """Dilate x beforehand along the axes that XLA would mistake for batch axes.

    XLA's simplifier mistakes an axis for an encoded batch axis if its input is dilated by k, its window has k taps and
    a stride of max(k - 1, 1), and it has no padding. The size of the input does not matter. If another axis then makes
    the simplifier swap input and kernel, it builds a convolution whose window is not its kernel, and aborts the process
    (jax 0.10.2 and 0.12.0, CPU: x 5x3, w 2x5, lhs_dilation 2, padding ((0, 0), (4, 4))).
    """
    dims = zip(w.shape[2:], spec.stride, spec.padding, *spec.dilations, strict=True)
    mistaken = [k == a > 1 and s == max(k - 1, 1) and not any(pads) and r == 1 for k, s, pads, a, r in dims]
    if not any(mistaken):
        return x, spec
    between = [a - 1 if m else 0 for a, m in zip(spec.lhs_dilation, mistaken, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * 2 + [(0, 0, b) for b in between])
    rest = tuple(1 if m else a for a, m in zip(spec.lhs_dilation, mistaken, strict=True))
    return x, spec._replace(lhs_dilation=rest)


def _crop(x: jax.Array, spec):
    """Cut the low side of x beforehand along the axes that are cut there and padded on the high side.

    XLA's CPU convolution without dilation reads behind the end of x for such a padding, if more is cut than added, and
    returns what it finds there (jax 0.10.2, also with plain lax: padding (-2, 2); jax 0.12.0 is right). It is the
    padding of the input gradient of a layer that is padded by more than its kernel reaches, on one side.
    """
    dims = zip(x.shape[2:], spec.padding, spec.lhs_dilation, strict=True)
    cuts = [-low if low < 0 < high and a == 1 and isinstance(n, int) else 0 for n, (low, high), a in dims]
    if not any(cuts):
        return x, spec
    cuts = [min(cut, n) for cut, n in zip(cuts, x.shape[2:], strict=True)]
    x = lax.slice(x, (0, 0, *cuts), x.shape)
    padding = tuple((low + cut, high) for cut, (low, high) in zip(cuts, spec.padding, strict=True))
    return x, spec._replace(padding=padding)


def unsupported(spec, x, w) -> str | None:
    return None


def pays_for_first_layers(p) -> bool:
    """For layers on the channels of a picture with small kernels and a stride, where there is no oneDNN.

    3x3, stride 2, 3 to 24 channels on 8 images of 224x224 takes 2.3 ms instead of 3.6 by `matmul`
    (`benchmarks/results/cpu-2-cores-avx2-layers.json`), and the input gradient of that to 40 channels 5.8 instead of
    9.7 by `subpixel`.
    """
    if p.groups > 1 or p.spec.dims != 2 or p.spec.hints.layer_weight != "kernel" or p.convolves_by_onednn:
        return False
    strided = p.input_dilated or (max(p.spec.stride) > 1 and not p.non_overlapping)
    return strided and 1 < p.taps <= 9 and min(p.in_channels, p.out_channels) <= 4


def pays_with_channels_last(p) -> bool:
    """For dense layers on images, from several channels to several."""
    dense = p.groups == 1 and p.spec.dims <= 2 and min(p.in_channels, p.out_channels) >= 8
    return p.spec.hints.layer_weight == "kernel" and not p.input_dilated and dense


ALGORITHM = Kernel(
    "xla", "XLA's own convolution", run, unsupported, definition_multiply_adds, summands, memory_format=None
)
