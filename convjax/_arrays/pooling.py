"""The largest elements and the sums of windows of an array, without XLA's loops over windows.

A window takes its largest element (or its smallest), and the first of equal ones in row order. It takes the last NaN,
if there is one, and never padding, as in torch. With `as_xla` it takes what XLA takes: padding too, which matters where
all elements are infinite, and not always a NaN, which takes fewer comparisons.

XLA:CPU finds these elements window by window, on one core. Here it is a few elementwise passes, which XLA fuses: first
each window compares its taps, one after the other, then each element sums the windows that took it. The elements of one
phase of the stride lie at the same taps of their windows.

Windows over several axes are pooled in steps where that needs fewer passes: along the last axis, then along the one
before, and so on. The first of equal elements, and the last NaN, stay the same in every step. (XLA's choice of elements
does not where there is a NaN.)
"""

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from convjax._arrays.xla_cpu import fusion_barrier
from convjax._spec import Pads, Sizes, extent

MAX_UNROLLED_TAPS = 8  # of windows that do not overlap: more are a reduction along an axis of their own
MAX_TAPS_SUMMED_AT_ONCE = 9  # as many additions cost less than a second pass over the array

Lead = Mapping[int, Any]  # of an axis: how many elements of x are padding too, in front
NO_LEAD: Lead = MappingProxyType({})


class Windows(NamedTuple):
    """The windows of an array, with an entry for each of its axes. A negative padding crops."""

    size: Sizes
    stride: Sizes
    dilation: Sizes
    padding: Pads

    def counts(self, shape: Sizes) -> Sizes:
        ends = [n + low + high - e for n, e, (low, high) in zip(shape, self.extents, self.padding, strict=True)]
        return tuple(end // s + 1 for end, s in zip(ends, self.stride, strict=True))

    @property
    def extents(self) -> Sizes:
        return tuple(map(extent, self.size, self.dilation))

    def along(self, axis: int) -> "Windows":
        """The windows of one axis, and of size 1 along the others."""
        only = lambda values, other: tuple(v if a == axis else other for a, v in enumerate(values))  # noqa: E731
        return Windows(only(self.size, 1), only(self.stride, 1), only(self.dilation, 1), only(self.padding, (0, 0)))

    def with_axis_in_front(self) -> "Windows":
        """The same windows of an array with one more axis, in front."""
        return Windows((1, *self.size), (1, *self.stride), (1, *self.dilation), ((0, 0), *self.padding))

    def moves(self, axis: int) -> bool:
        """Whether windows along this axis are more than its single elements."""
        return (self.size[axis], self.stride[axis], *self.padding[axis]) != (1, 1, 0, 0)

    def is_blocks(self, axis: int) -> bool:
        """Whether the windows of this axis do not overlap, and are long."""
        return self.dilation[axis] == 1 and self.stride[axis] >= self.size[axis] > MAX_UNROLLED_TAPS


def unrolled_taps(windows: Windows) -> int:
    """How many taps a program for these windows lists, one by one."""
    return sum(math.prod(step.size) for step in _steps(windows) if _block_axis(step) is None)


def pool(x: jax.Array, windows: Windows, largest: bool = True) -> jax.Array:
    """The element that each window takes."""
    steps = _steps(windows)
    return _pool(_inputs(x, steps, largest)[-1], steps[-1], largest) if steps else x


def taken_taps(x: jax.Array, windows: Windows) -> tuple[jax.Array, ...]:
    """For each axis, the number of the tap that each window takes."""
    found: dict[int, jax.Array] = {}
    steps = _steps(windows)
    for step, y in zip(steps, _inputs(x, steps), strict=True):
        taken = _taken(y, step)
        found = {axis: _select(taken, numbers, step) for axis, numbers in found.items()}
        taps = jnp.unravel_index(taken, step.size)
        found |= {axis: taps[axis] for axis in range(x.ndim) if step.moves(axis)}
    zeros = jnp.zeros(windows.counts(x.shape), jnp.int32)
    return tuple(found.get(axis, zeros) for axis in range(x.ndim))


def select(
    x: jax.Array, values: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False, lead: Lead = NO_LEAD
) -> jax.Array:
    """For each window, what `values` has at the element of x that the window takes."""
    steps = _steps(windows)
    for step, y in zip(steps, _inputs(x, steps, largest), strict=True):
        values = fusion_barrier(_select(fusion_barrier(_taken(y, step, largest, as_xla, lead)), values, step))
    return values


def sum_into_taken(
    x: jax.Array, source: jax.Array, windows: Windows, largest: bool = True, as_xla: bool = False, lead: Lead = NO_LEAD
) -> jax.Array:
    """The transpose of `select`: at each element of x, the sum of `source` over the windows that take this element."""
    dtype, source = source.dtype, widened(source)
    steps = _steps(windows)
    for step, y in zip(reversed(steps), reversed(_inputs(x, steps, largest)), strict=True):
        # Without the barriers XLA would compute both again for every tap.
        taken = fusion_barrier(_taken(y, step, largest, as_xla, lead))
        source = _sum_into_taken(taken, source if step is steps[-1] else fusion_barrier(source), step, y.shape)
    return source.astype(dtype)


def widened(x: jax.Array) -> jax.Array:
    """x in the dtype to sum in: float32 for 16-bit floats."""
    return x.astype(jnp.float32) if x.dtype in (jnp.float16, jnp.bfloat16) else x


def lowest(dtype, largest: bool = True):
    """The number that loses against all others."""
    if jnp.issubdtype(dtype, jnp.floating):
        return -jnp.inf if largest else jnp.inf
    return jnp.iinfo(dtype).min if largest else jnp.iinfo(dtype).max


def window_sums(x: jax.Array, windows: Windows) -> jax.Array:
    """The sum of each window, with zeros as padding."""
    y, steps = widened(x), _steps(windows, MAX_TAPS_SUMMED_AT_ONCE)
    for step in steps:
        axis = _block_axis(step)
        y = y if step is steps[0] else fusion_barrier(y)
        y = functools.reduce(lax.add, _taps(y, step, 0)) if axis is None else _blocks(y, axis, step, 0).sum(axis + 1)
    return y.astype(x.dtype)


def sum_into_all(source: jax.Array, windows: Windows, shape: Sizes) -> jax.Array:
    """The transpose of `window_sums`: at each element of an x of this shape, the sum of `source` over its windows."""
    y, shapes, steps = widened(source), [shape], _steps(windows, MAX_TAPS_SUMMED_AT_ONCE)
    for step in steps:
        shapes.append(step.counts(shapes[-1]))
    for step, sizes in zip(reversed(steps), reversed(shapes[:-1]), strict=True):
        y = _sum_into_all(fusion_barrier(y) if step is not steps[-1] else y, step, sizes)
    return y.astype(source.dtype)


# ---- steps ----


def _steps(windows: Windows, at_once: int = 0) -> list[Windows]:
    """The windows one axis after the other, from the last, or all at once.

    All at once if that reads fewer elements, or if a window has at most so many taps.
    """
    moving = [axis for axis in reversed(range(len(windows.size))) if windows.moves(axis)]
    # For each window of the result: the taps along an axis, for all windows of the axes that come after it.
    reads = [windows.size[axis] * math.prod(windows.stride[:axis]) for axis in moving]
    if math.prod(windows.size) <= max(at_once, sum(reads)) and not any(map(windows.is_blocks, moving)):
        return [windows]
    return [windows.along(axis) for axis in moving]


def _inputs(x: jax.Array, steps: list[Windows], largest: bool = True) -> list[jax.Array]:
    """What each step pools: x, and then the result of the step before."""
    inputs = [x][: len(steps)]
    for step in steps[:-1]:
        inputs.append(fusion_barrier(_pool(inputs[-1], step, largest)))
    return inputs


def _pool(x: jax.Array, step: Windows, largest: bool) -> jax.Array:
    fill = lowest(x.dtype, largest)
    axis = _block_axis(step)
    if axis is None:
        return functools.reduce(lax.max if largest else lax.min, _taps(x, step, fill))
    return (jnp.max if largest else jnp.min)(_blocks(x, axis, step, fill), axis + 1)


def _taken(x: jax.Array, step: Windows, largest: bool = True, as_xla: bool = False, lead: Lead = NO_LEAD) -> jax.Array:
    """For each window, the number of the tap that it takes, in row order."""
    counts = step.counts(x.shape)
    first = jnp.zeros(counts, jnp.int32) if as_xla else _first_inside(step, counts, lead)
    axis = _block_axis(step)
    if axis is not None:
        return _taken_of_blocks(x, axis, step, largest, first)
    wins, loses = (lax.gt, lax.le) if largest else (lax.lt, lax.ge)
    best, *others = _taps(x, step, lowest(x.dtype, largest))
    taken = first
    for number, candidate in enumerate(others, start=1):
        new = ~loses(candidate, best) if as_xla else wins(candidate, best) | (candidate != candidate)
        best, taken = jnp.where(new, candidate, best), jnp.where(new, jnp.int32(number), taken)
    return taken


def _first_inside(step: Windows, counts: Sizes, lead: Lead) -> jax.Array:
    """For each window, the number of its first tap that is not padding."""
    first = jnp.zeros(counts, jnp.int32)
    for axis, (s, r, (low, _)) in enumerate(zip(step.stride, step.dilation, step.padding, strict=True)):
        if low > 0 or (axis in lead and step.moves(axis)):
            begins = s * lax.broadcasted_iota(jnp.int32, counts, axis) - low - lead.get(axis, 0)
            inside = jnp.clip(-(begins // r), 0, step.size[axis] - 1)
            first += inside * math.prod(step.size[axis + 1 :])
    return first


def _select(taken: jax.Array, values: jax.Array, step: Windows) -> jax.Array:
    axis = _block_axis(step)
    if axis is not None:
        blocks = _blocks(values, axis, step, 0)
        chosen = jnp.expand_dims(taken, axis + 1) == lax.broadcasted_iota(jnp.int32, blocks.shape, axis + 1)
        return jnp.where(chosen, blocks, jnp.zeros((), blocks.dtype)).sum(axis + 1, dtype=blocks.dtype)
    first, *others = _taps(values, step, 0)
    for number, candidate in enumerate(others, start=1):
        first = jnp.where(taken == number, candidate, first)
    return first


def _sum_into_taken(taken: jax.Array, source: jax.Array, step: Windows, shape: Sizes) -> jax.Array:
    axis, zero = _block_axis(step), jnp.zeros((), source.dtype)
    if axis is not None:
        return _spread_blocks(source, axis, step, shape, taken)
    return _sums_of_phases(lambda tap: jnp.where(taken == tap, source, zero), source, step, shape)


def _sum_into_all(source: jax.Array, step: Windows, shape: Sizes) -> jax.Array:
    axis = _block_axis(step)
    if axis is not None:
        return _spread_blocks(source, axis, step, shape)
    if max(step.stride, default=1) > 1:
        return _sums_of_phases(lambda tap: source, source, step, shape)
    # The windows over an element begin at it, or up to extent - 1 before it.
    dims = zip(shape, source.shape, step.extents, step.padding, strict=True)
    around = tuple((e - 1 - low, n + low - m) for n, m, e, (low, _) in dims)
    return functools.reduce(lax.add, _taps(source, step._replace(padding=around), 0))


def _sums_of_phases(at_tap: Callable[[int], jax.Array], source: jax.Array, step: Windows, shape: Sizes) -> jax.Array:
    """At each element, the sum over its windows of what at_tap(number of the tap where it lies) has for the window."""
    zero = jnp.zeros((), source.dtype)
    tables = [_windows_of_phases(*each) for each in zip(step.size, step.stride, step.dilation, strict=True)]
    sizes = [-(-(low + n) // s) for n, s, (low, _) in zip(shape, step.stride, step.padding, strict=True)]
    phases = {}
    for phase in itertools.product(*map(range, step.stride)):
        sums = jnp.zeros(sizes, source.dtype)
        for taps in itertools.product(*(table[p] for table, p in zip(tables, phase, strict=True))):
            number = int(np.ravel_multi_index([tap for tap, _ in taps], step.size))
            around = [(back, u - m - back, 0) for (_, back), u, m in zip(taps, sizes, source.shape, strict=True)]
            sums += lax.pad(at_tap(number), zero, around)
        phases[phase] = sums
    whole = _interleaved(phases, step.stride)
    starts = [low for low, _ in step.padding]
    return lax.slice(whole, starts, [low + n for low, n in zip(starts, shape, strict=True)])


def _windows_of_phases(size: int, stride: int, dilation: int) -> list[list[tuple[int, int]]]:
    """For each phase of the stride, the taps that lie there, and how many windows back.

    The padded element u stride + phase is the tap j of the window u - back if j dilation = phase + back stride.
    """
    taps = [(j, *divmod(j * dilation, stride)) for j in range(size)]
    return [[(j, back) for j, back, phase in taps if phase == wanted] for wanted in range(stride)]


def _taps(x: jax.Array, step: Windows, fill) -> list[jax.Array]:
    """For each tap, in row order, its element in every window."""
    counts = step.counts(x.shape)
    last = [(m - 1) * s for m, s in zip(counts, step.stride, strict=True)]
    dims = zip(x.shape, last, step.extents, step.padding, strict=True)
    padded = lax.pad(x, jnp.asarray(fill, x.dtype), [(low, end + e - n - low, 0) for n, end, e, (low, _) in dims])
    taps = []
    for tap in itertools.product(*map(range, step.size)):
        starts = [j * r for j, r in zip(tap, step.dilation, strict=True)]
        limits = [start + end + 1 for start, end in zip(starts, last, strict=True)]
        taps.append(lax.slice(padded, starts, limits, step.stride))
    return taps


def _interleaved(phases: dict[tuple[int, ...], jax.Array], strides: Sizes) -> jax.Array:
    """The array whose element u s + phase is the element u of that phase."""
    for axis in reversed(range(len(strides))):
        merged = {}
        for phase in dict.fromkeys(phase[:-1] for phase in phases):
            parts = [phases[*phase, n] for n in range(strides[axis])]
            y = jnp.stack(parts, axis + 1) if len(parts) > 1 else parts[0]
            before, n, behind = parts[0].shape[:axis], parts[0].shape[axis], parts[0].shape[axis + 1 :]
            merged[phase] = y.reshape(*before, n * len(parts), *behind)
        phases = merged
    return phases[()]


# ---- windows that do not overlap ----


def _block_axis(step: Windows) -> int | None:
    return next((axis for axis in range(len(step.size)) if step.is_blocks(axis)), None)


def _blocks(x: jax.Array, axis: int, step: Windows, fill) -> jax.Array:
    """The windows, with their taps along a new axis behind `axis`."""
    count, stride, (low, _) = step.counts(x.shape)[axis], step.stride[axis], step.padding[axis]
    around = [(low, count * stride - x.shape[axis] - low, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)]
    padded = lax.pad(x, jnp.asarray(fill, x.dtype), around)
    blocks = padded.reshape(*x.shape[:axis], count, stride, *x.shape[axis + 1 :])
    return lax.slice_in_dim(blocks, 0, step.size[axis], axis=axis + 1)


def _taken_of_blocks(x: jax.Array, axis: int, step: Windows, largest: bool, first: jax.Array) -> jax.Array:
    blocks = _blocks(x, axis, step, lowest(x.dtype, largest))
    best = fusion_barrier((jnp.max if largest else jnp.min)(blocks, axis + 1))
    numbers = lax.broadcasted_iota(jnp.int32, blocks.shape, axis + 1)
    equal = (blocks == jnp.expand_dims(best, axis + 1)) & (numbers >= jnp.expand_dims(first, axis + 1))
    taken = jnp.where(equal, numbers, jnp.int32(step.size[axis])).min(axis + 1)
    last_nan = jnp.where(blocks != blocks, numbers, jnp.int32(0)).max(axis + 1)
    return jnp.where(best != best, last_nan, taken)


def _spread_blocks(
    source: jax.Array, axis: int, step: Windows, shape: Sizes, taken: jax.Array | None = None
) -> jax.Array:
    """At each element, what `source` has for its window, or zero if the window takes another one."""
    size, stride, (low, _), zero = step.size[axis], step.stride[axis], step.padding[axis], jnp.zeros((), source.dtype)
    spread = (*source.shape[: axis + 1], stride, *source.shape[axis + 1 :])
    numbers = lax.broadcasted_iota(jnp.int32, spread, axis + 1)
    chosen = numbers < size if taken is None else numbers == jnp.expand_dims(taken, axis + 1)
    y = jnp.where(chosen, jnp.expand_dims(source, axis + 1), zero)
    y = y.reshape(*source.shape[:axis], source.shape[axis] * stride, *source.shape[axis + 1 :])
    behind = low + shape[axis] - y.shape[axis]
    return lax.pad(y, zero, [(-low, behind, 0) if a == axis else (0, 0, 0) for a in range(y.ndim)])


# ---- windows of several sizes ----


def adaptive_windows(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """The beginnings and the ends of m windows that cover n elements, as torch's adaptive poolings have them."""
    numbers = np.arange(m)
    return numbers * n // m, -(-(numbers + 1) * n // m)


def adaptive_blocks(x: jax.Array, axis: int, m: int, fill) -> tuple[jax.Array, int]:
    """Those windows along an axis, one after the other, with `fill` behind the shorter ones. And their size."""
    n = x.shape[axis]
    if n % m == 0:
        return x, n // m
    # The windows repeat after a common divisor of both numbers.
    repeats = math.gcd(n, m)
    parts = x.reshape(*x.shape[:axis], repeats, n // repeats, *x.shape[axis + 1 :])
    starts, stops = adaptive_windows(n // repeats, m // repeats)
    size = int((stops - starts).max())
    blocks = []
    for start, stop in zip(starts, stops, strict=True):
        block = lax.slice_in_dim(parts, int(start), int(stop), axis=axis + 1)
        behind = [(0, size - int(stop - start) if a == axis + 1 else 0, 0) for a in range(block.ndim)]
        blocks.append(lax.pad(block, jnp.asarray(fill, x.dtype), behind))
    return lax.concatenate(blocks, axis + 1).reshape(*x.shape[:axis], m * size, *x.shape[axis + 1 :]), size
