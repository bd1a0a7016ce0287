"""XLA's own convolution. It supports every spec, and the other algorithms are compared with it."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.lax import conv_general_dilated  # here, so that `convjax.patched` does not replace it

from convjax._algorithms import _gemm
from convjax._algorithms._memory_format import channels_first, channels_last
from convjax._algorithms._taps import swap_channels
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, summands
from convjax._machine import Machine


def run(x: jax.Array, w: jax.Array, spec, machine: Machine | None = None) -> jax.Array:
    layout = lax.ConvDimensionNumbers(*[tuple(range(spec.dims + 2))] * 3)  # (N, C, *n), (O, I, *k), (N, O, *m)
    groups = {"feature_group_count": spec.groups}
    last = spec.channels_last and spec.hints.layer_weight == "kernel"
    if spec.groups > 1 and spec.hints.layer_weight == "result" and machine and machine.platform != "cpu":
        # The weight gradient as lax has it, with the groups in the batch: cuDNN has a call for it. On an H200
        # (jax 0.11.2), 3x3 with 32 groups of 4 channels on 8 images of 56x56 takes 0.19 ms instead of 2.3.
        x, w = _gemm.summed_axis_first(x, w, spec)
        swapped = (1, 0, *range(2, x.ndim))
        layout, groups = layout._replace(lhs_spec=swapped, rhs_spec=swapped), {"batch_group_count": spec.groups}
    x, spec = _crop(*_predilate(x, w, spec))
    if last:  # XLA then reads and writes images whose channels are last in memory without a copy
        x, image = channels_last(x), (0, x.ndim - 1, *range(1, x.ndim - 1))
        layout = layout._replace(lhs_spec=image, out_spec=image)
    if spec.hints.flipped_weight and spec.groups == 1:  # transposed back: XLA then reads the original weight
        w, layout = swap_channels(w), layout._replace(rhs_spec=(1, 0, *layout.rhs_spec[2:]))
    y = conv_general_dilated(
        x,
        w,
        window_strides=spec.stride,
        padding=spec.padding,
        lhs_dilation=spec.lhs_dilation,
        rhs_dilation=spec.rhs_dilation,
        dimension_numbers=layout,
        precision=spec.precision,
        preferred_element_type=spec.out_dtype,
        **groups,
    )
    return channels_first(y) if last else y


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


def pays_with_channels_last(p) -> bool:
    """For dense layers on images, from several channels to several."""
    dense = p.groups == 1 and p.spec.dims <= 2 and min(p.in_channels, p.out_channels) >= 8
    return p.spec.hints.layer_weight == "kernel" and not p.input_dilated and dense


ALGORITHM = Kernel(
    "xla", "XLA's own convolution", run, unsupported, definition_multiply_adds, summands, memory_format=None
)
