"""A matrix product, for which XLA has its best loops.

For 1x1 kernels and patches the input itself is the matrix. Otherwise the taps of each axis are either stacked (a copy
of the input per tap joins the channels, im2col) or added (the product gives every tap its own output channels, which
are shifted and added). Stacking copies the input and adding copies the result. With the last axis stacked and the
others added, a 3x3 kernel copies three times each way, not nine times.

In a weight gradient a few positions take the place of the taps: the last axis of x is stacked once per position, and
along the others the kernel is placed at each position among zeros.
"""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from convjax import _spec
from convjax._algorithms import _chunks, _gemm, _taps
from convjax._algorithms._product import matmul
from convjax._algorithms.algorithm import Kernel, definition_multiply_adds, reason_if_input_is_dilated, summands
from convjax._arrays import xla_cpu
from convjax._arrays.sums import add_all
from convjax._machine import Machine

MAX_COPIES = 64  # largest number of taps, or of positions in a weight gradient, that are stacked or added
MAX_GROWTH = 3  # largest size of the copies of a chunk, as a multiple of the size of both operands


def run(x: jax.Array, w: jax.Array, spec, machine: Machine) -> jax.Array:
    shape = spec.output_shape(x.shape, w.shape)
    if _is_weight_gradient(spec, x, w):
        return _weight_gradient(x, w, spec, machine).reshape(shape).astype(spec.out_dtype or x.dtype)
    _, copied = _added_axes(spec, x, w)
    chunks = 1
    if _chunks.is_worth_chunks(copied, machine):
        chunks = _chunks.chunk_count(spec.groups, copied, MAX_GROWTH * (x.size + w.size))
    return _chunks.write_group_chunks(partial(_convolve_groups, machine=machine), x, w, spec, chunks, machine)


def _convolve_groups(x, w, spec, machine):
    y = _forward(x, w, spec, machine)
    return y.reshape(spec.output_shape(x.shape, w.shape)).astype(spec.out_dtype or x.dtype)


def _is_weight_gradient(spec, x, w) -> bool:
    if _spec.is_non_overlapping(spec, w.shape[2:]):
        return False
    if max(spec.rhs_dilation) > 1 and _spec.is_patch_gradient(spec, spec.output_shape(x.shape, w.shape)[2:]):
        return True
    return _spec.is_gradient_like(spec, x, w)


def _added_axes(spec, x, w) -> tuple[list[int], int]:
    """The axes along which taps are added, such that the fewest elements are copied, and how many elements that is.

    Along the other axes, taps are stacked. In a weight gradient, the kernel is placed along the axes that are returned.
    """
    counts = spec.output_shape(x.shape, w.shape)[2:]
    if _is_weight_gradient(spec, x, w):
        sizes, steps, sides = counts, spec.rhs_dilation, (x.shape[0], w.shape[0] // spec.groups)
        each = w.shape[1] * spec.groups * math.prod(w.shape[2:])
    else:
        sizes, steps, sides = w.shape[2:], spec.stride, (w.shape[1], w.shape[0] // spec.groups)
        each = x.shape[0] * spec.groups * math.prod(counts)
    free = [axis for axis in range(spec.dims) if sizes[axis] > 1 and steps[axis] == 1]

    def copied(added) -> int:
        times = math.prod(sizes[axis] for axis in added)
        return sum(side * n for side, n in zip(sides, (math.prod(sizes) // times, times), strict=True) if n > 1)

    choices = [list(axes) for n in reversed(range(len(free) + 1)) for axes in itertools.combinations(free, n)]
    added = min(choices, key=copied)
    return added, each * copied(added)


def _forward(x, w, spec, machine):
    counts = spec.output_shape(x.shape, w.shape)[2:]
    groups, kernel, dims, (added, _) = spec.groups, w.shape[2:], spec.dims, _added_axes(spec, x, w)
    are_patches = math.prod(kernel) > 1 and _spec.is_non_overlapping(spec, kernel)
    # Along an axis whose taps are added, the products are padded instead of x. That happens in the loop that adds them,
    # so nothing is copied.
    x = _taps.pad(x, [(0, 0) if axis in added and not are_patches else p for axis, p in enumerate(spec.padding)])
    x = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    w = w.reshape(groups, -1, *w.shape[1:])
    if are_patches:
        stop = [m * k for m, k in zip(counts, kernel, strict=True)]
        x = lax.slice(x, [0] * x.ndim, (*x.shape[:3], *stop))
        x = x.reshape(*x.shape[:3], *[n for pair in zip(counts, kernel, strict=True) for n in pair])
        x = x.transpose(0, 1, 2, *range(4, x.ndim, 2), *range(3, x.ndim, 2))
        x = x.reshape(*x.shape[:2], -1, math.prod(counts))
        return _gemm.gemm(w.reshape(*w.shape[:2], -1), x, spec, machine)

    stacked = [axis for axis in range(dims) if axis not in added]
    sizes = [x.shape[3 + axis] if axis in added else counts[axis] for axis in range(dims)]
    taps = [1 if axis in added else kernel[axis] for axis in range(dims)]
    stride = [1 if axis in added else s for axis, s in enumerate(spec.stride)]
    x = _taps.stack_taps(x, taps, spec.rhs_dilation, stride, sizes)
    # (G, added taps, O, stacked taps, I): a row per tap that is added, a column per tap that is stacked
    w = w.transpose(0, *[3 + axis for axis in added], 1, *[3 + axis for axis in stacked], 2)
    rows = [kernel[axis] for axis in added]
    w = w.reshape(groups, math.prod(rows) * w.shape[1 + len(added)], -1)
    x = x.reshape(*x.shape[:3], -1)
    if spec.hints.flipped_weight and groups == 1 and math.prod(kernel) == 1:
        return _gemm.gemm(w.swapaxes(1, 2), x, spec, machine, transposed=True)  # the weight of the layer as it is
    y = _gemm.gemm(w, x, spec, machine)
    if not added:
        return y
    y = y.reshape(y.shape[0], groups, math.prod(rows), -1, *sizes)
    parts = []
    for row, at in enumerate(itertools.product(*map(range, rows))):
        around = [(0, 0, 0)] * y[:, :, row].ndim
        for axis, tap in zip(added, at, strict=True):
            low = spec.padding[axis][0] - tap * spec.rhs_dilation[axis]
            around[3 + axis] = (low, counts[axis] - low - sizes[axis], 0)
        parts.append(lax.pad(y[:, :, row], jnp.zeros((), y.dtype), around))
    return add_all(parts)


def _weight_gradient(x, w, spec, machine):
    counts, groups = spec.output_shape(x.shape, w.shape)[2:], spec.groups
    added, copied = _added_axes(spec, x, w)
    # Cutting out a chunk copies it. That does not pay unless the copies are much larger than the operands.
    few = _spec.is_patch_gradient(spec, counts) or 2 * copied <= 5 * (x.size + w.size)
    most = min(machine.chunk_elements * 5 / 4, MAX_GROWTH * (x.size + w.size))
    chunks = 1 if few else _chunks.chunk_count(w.shape[1], copied, most)
    shape = (x.shape[0], groups, w.shape[0] // groups, *counts)
    zeros = _chunks.zeros_varying_like(shape, _spec.sum_dtype(x.dtype, spec), x)
    x, w = _gemm.summed_axis_first(x, w, spec)
    size = x.shape[0] // chunks

    def chunk(a, first):
        if chunks > 1:
            a = xla_cpu.fusion_barrier(_chunks.slice_at(a, (first,), (size, *a.shape[1:])), machine)
        return _gemm.split_groups(a, spec)

    if chunks == 1:
        return _convolve_images(chunk(x, 0), chunk(w, 0), spec, machine, counts, added)
    add_chunk = lambda n, y: y + _convolve_images(chunk(x, n), chunk(w, n), spec, machine, counts, added)  # noqa: E731
    return _chunks.loop(_chunks.chunk_starts(x.shape[0], chunks), add_chunk, zeros if groups > 1 else zeros[:, 0])


def _convolve_images(x, w, spec, machine, counts, added):
    """(I, G, B, *n) and (I, G, O, *k) to (B, [G,] O, *counts)."""
    groups, kernel, dims = spec.groups, w.shape[3:], spec.dims
    x = _taps.pad(x, spec.padding, first=3)
    if _spec.is_patch_gradient(spec, counts):
        return _patch_products(w, x, spec, machine, counts)
    # Along an added axis, the kernel is placed among zeros, at each position. The axis is as long as all windows
    # together.
    lengths = [
        (counts[axis] - 1) * spec.stride[axis] + (kernel[axis] - 1) * spec.rhs_dilation[axis] + 1
        for axis in range(dims)
    ]
    sizes = [lengths[axis] if axis in added else kernel[axis] for axis in range(dims)]
    stacked = [axis for axis in range(dims) if axis not in added]
    rows, columns = (math.prod(counts[axis] for axis in axes) for axes in (added, stacked))
    out_channels, batch = w.shape[2], x.shape[2]
    starts = [n - k for n, k in zip(sizes, kernel, strict=True)]  # of the slice for position 0 in a padded w
    short = groups > 1 and math.prod(sizes) < _gemm.MIN_POSITIONS_PER_IMAGE
    if short:  # one loop that transposes and tests for the padding takes longer than a separate copy
        x = xla_cpu.fusion_barrier(x, machine)
        w = xla_cpu.fusion_barrier(_taps.pad(w, [(n, n) for n in starts], first=3), machine)

    def operands(x, w):
        """w as (I, G, R O, J) and x as (I, G, Q B, J), with R positions along placed axes and Q along stacked axes."""
        copies = []
        for position in itertools.product(*[range(counts[axis] if axis in added else 1) for axis in range(dims)]):
            front = [i * s for i, s in zip(position, spec.stride, strict=True)]
            if short:
                tap = [n - f for n, f in zip(starts, front, strict=True)]
                copies.append(_taps.tap_slice(w, tap, (1,) * dims, (1,) * dims, sizes, first=3))
            else:
                around = [(f, n - f, 0) for f, n in zip(front, starts, strict=True)]
                copies.append(lax.pad(w, jnp.zeros((), w.dtype), [(0, 0, 0)] * 3 + around))
        w = copies[0] if len(copies) == 1 else jnp.concatenate(copies, 2)
        positions = [1 if axis in added else counts[axis] for axis in range(dims)]
        x = _taps.stack_taps(x, positions, spec.stride, spec.rhs_dilation, sizes)
        return w.reshape(*w.shape[:3], -1), x.reshape(*x.shape[:3], -1)

    if short:
        depth = x.shape[0] * math.prod(sizes)
        single_core = xla_cpu.gemm_is_single_core(machine, x.dtype, rows * out_channels, columns * batch, depth)
        parts = _chunks.split_evenly(groups, 2 if single_core else 1)
        y = _short_image_products([operands(x[:, part], w[:, part]) for part in parts], spec, machine)
    else:
        w, x = operands(x, w)
        y = _gemm.contract(w, x, spec, machine)
    y = y.reshape(groups, *[counts[axis] for axis in added], out_channels, *[counts[axis] for axis in stacked], batch)
    places = [1 + added.index(axis) if axis in added else 2 + len(added) + stacked.index(axis) for axis in range(dims)]
    return _gemm.batch_first(y.transpose(0, 1 + len(added), y.ndim - 1, *places), dims)


def _patch_products(w, x, spec, machine, counts):
    for axis, (k, r, m) in enumerate(zip(w.shape[3:], spec.rhs_dilation, counts, strict=True)):
        at = 3 + 2 * axis  # (k - 1) r + m elements hold k taps at m positions
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, k * r - x.shape[at] if a == at else 0, 0) for a in range(x.ndim)])
        x = lax.slice_in_dim(x.reshape(*x.shape[:at], k, r, *x.shape[at + 1 :]), 0, m, axis=at + 1)
    dims = spec.dims
    x = x.transpose(0, 1, 2, *range(4, 4 + 2 * dims, 2), *range(3, 3 + 2 * dims, 2))
    in_channels, groups, batch = x.shape[:3]
    x = x.reshape(in_channels, groups, batch * math.prod(counts), -1)
    y = _gemm.contract(w.reshape(*w.shape[:3], -1), x, spec, machine, copied=math.prod(counts) > 1)
    return _gemm.batch_first(y.reshape(groups, -1, batch, *counts), dims)


def _short_image_products(pairs, spec, machine):
    """The products of all pairs of operands, which hold some of the groups each, joined along the groups.

    The operands are first put into the order of axes in which the product reads them.
    """
    sum_dtype = _spec.sum_dtype(pairs[0][0].dtype, spec)
    swapped = _spec.swap_precision(spec.precision)

    def in_order(w, x):
        w, x = w.transpose(1, 2, 0, 3), x.transpose(1, 0, 3, 2)
        return lax.optimization_barrier((w.reshape(*w.shape[:2], -1), x.reshape(x.shape[0], -1, x.shape[3])))

    def products(pairs):
        return [matmul(w, x, machine, swapped, sum_dtype) for w, x in pairs]

    y, tokens = xla_cpu.run_concurrently(machine, products, [in_order(*pair) for pair in pairs])
    return xla_cpu.depends_on(tokens, jnp.concatenate(y))


def unsupported(spec, x, w) -> str | None:
    if _spec.is_empty(spec, x, w):
        return "nothing to multiply"
    counts = spec.output_shape(x.shape, w.shape)[2:]
    if _is_weight_gradient(spec, x, w):
        copies, without_copies = math.prod(counts), _spec.is_patch_gradient(spec, counts)
    else:
        copies, without_copies = math.prod(w.shape[2:]), _spec.is_non_overlapping(spec, w.shape[2:])
    if copies > MAX_COPIES and not without_copies:
        return f"{copies} copies, more than {MAX_COPIES}"
    return reason_if_input_is_dilated(spec)


def is_local(spec, x, w) -> bool:
    """False for weight gradients: their kernel is placed among zeros, which multiply elements outside the window."""
    return not _is_weight_gradient(spec, x, w)


def needs_no_copies(p) -> bool:
    """For 1x1 kernels and patches, and their weight gradients.

    1x1, 256 to 64 channels takes 2.3 ms instead of 9.2.
    """
    # In a product with a single vector, XLA copies the matrix. Its own convolution reads the weight without a copy.
    one_vector = p.spec.hints.flipped_weight and p.batch * p.input_positions == 1
    return p.is_float and (p.non_overlapping or p.patch_gradient) and not one_vector


def pays_for_few_input_channels(p) -> bool:
    """For first layers, whose taps are stacked as channels.

    3x3, stride 2, 3 to 32 channels on 224x224 takes 0.98 ms instead of 5.9.
    """
    if p.gradient_like or p.input_dilated or p.groups > 1 or p.spec.dims > 2 or not p.at_most_float32:
        return False
    if max(p.spec.stride) > 1:
        whole = p.batch * p.summands * p.positions <= _chunks.MAX_WHOLE_CHUNKS * p.machine.chunk_elements
        return p.in_channels <= 8 and p.out_channels >= 16 and whole
    # Many small images are left to loops that copy nothing. The result of one image may stay in cache.
    cached = p.batch == 1 and p.in_channels <= 4 and p.out_channels >= 24
    cached = cached and p.positions * p.out_channels <= 2 * p.machine.chunk_elements
    few = p.in_channels <= 8 and p.summands <= 72
    return few and (p.out_channels >= 48 or cached) and p.positions >= 256 * p.batch


def pays_for_few_output_channels(p) -> bool:
    """For last layers, if the results of all taps have at most three times the elements of x.

    3x3, 64 to 3 channels on 224x224 takes 6.8 ms instead of 24.
    """
    plain = not (p.gradient_like or p.input_dilated) and p.groups == max(p.spec.stride) == 1 < p.taps
    most = 32 if p.spec.dims == 1 and p.machine.shares_batched_gemm(p.x.dtype) else 24
    few = p.out_channels <= most and p.taps * p.out_channels <= 3 * p.in_channels
    return p.is_float and plain and few and p.in_channels >= 16


def pays_for_slow_loops(p) -> bool:
    """For operations that XLA compiles to a plain loop: groups, volumes, bfloat16, taps along one axis, most weight
    gradients."""
    if not p.is_float:
        return False
    if p.groups > 1 or p.spec.dims > 2:
        return p.summands >= 16
    if p.x.dtype == jnp.bfloat16:  # there are matrix products for it
        return p.out_channels >= 16 and p.summands >= 256
    if p.gradient_like:
        # XLA's own convolution is as fast for an odd number of positions if there are few channels and long sums, or
        # one spatial axis and many channels. oneDNN's products are faster: for 3x3, 3 to 64 channels on 8 images of
        # 224x224 they take 8.8 ms instead of 35.
        if p.spec.dims == 2 and p.has_onednn and p.positions <= 25:
            return True
        odd = p.positions % 2 and max(*p.spec.stride, *p.spec.rhs_dilation) == 1
        long = p.batch < 20 and p.summands >= 1 << 17
        few = p.batch < 8 and p.positions <= 9
        return not (odd and (long or few or (p.spec.dims == 1 and p.out_channels >= 32)))
    if min(p.in_channels, p.out_channels) < 32:
        return False
    if p.spec.dims == 1:
        return p.taps == 2
    along_one_axis = sum(k > 1 for k in p.w.shape[2:]) == 1 and p.taps <= 5
    plain = max(*p.spec.stride, *p.spec.rhs_dilation) == 1 and p.positions >= 512
    return along_one_axis and plain and not p.machine.strided_convolution_is_fast


ALGORITHM = Kernel(
    "matmul",
    "a matrix product of stacked or added taps",
    run,
    unsupported,
    definition_multiply_adds,
    summands,
    is_local=is_local,
)
