"""How a convolution is divided among the devices of a mesh, where XLA's partitioner decides on the shardings.

Each device convolves its share. Along a spatial axis that the mesh shards, it first receives a halo: the elements of
its neighbours that its windows reach. Where the sum of a result runs over a sharded axis, the partial sums are added
(an all-reduce), over the mesh axes that it is sharded over and no others.

XLA's own partitioner divides convolutions too. But its all-reduce runs over every device (jax 0.10.2 and 0.12.0), and
it has no rules for the loops, products and transforms that the algorithms are made of, so it gathers whole images.

A factor below is an index of the convolution: of a batch (b), groups (g), input channels (i), output channels (o), and
for each spatial axis its positions (s) or its taps (k). One mesh axis shards one factor.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.custom_partitioning import ArrayMapping, CompoundFactor, SdyShardingRule
from jax.sharding import Mesh

from convjax._arrays.halo import Line, with_halo, zeros_beyond
from convjax._operation.partition import MeshAxes, divided
from convjax._spec import ConvSpec, extent

Axis = tuple[str, ...]  # the factors of one axis of an array, the outer one first


class Factors(NamedTuple):
    """The factors of every axis of the two operands and of the result, and those that the sums run over."""

    operands: tuple[tuple[Axis, ...], tuple[Axis, ...]]
    result: tuple[Axis, ...]
    summed: tuple[str, ...]
    sizes: dict[str, int]  # of the factors that share an axis with others

    @property
    def arrays(self) -> tuple[tuple[Axis, ...], ...]:
        return *self.operands, self.result


def of_convolution(spec: ConvSpec, w: Sequence[int]) -> Factors:
    """The factors of (N, G I, *n) with (G O, I, *k). `w` is the shape of the kernel.

    Two arrays share the factors of their spatial axes: the images of a layer, or x and the result if all are images.
    """
    x, kernel, y = _spatial_axes(spec)
    outputs = w[0] // spec.groups
    into, out = _grouped(spec, "i", w[1]), _grouped(spec, "o", outputs)
    summed = ("i", *_shared(x, kernel))
    sizes = {"g": spec.groups, "i": w[1], "o": outputs}
    return Factors(((("b",), into, *x), (out, ("j",), *kernel)), (("b",), out, *y), summed, sizes)


def of_grouped_weight_gradient(spec: ConvSpec, x: Sequence[int], ct: Sequence[int]) -> Factors:
    """The factors of (N, G I, *n) with (N, G O, *m), summed over the batch."""
    inputs, outputs = x[1] // spec.groups, ct[1] // spec.groups
    into, out = _grouped(spec, "i", inputs), _grouped(spec, "o", outputs)
    first, second, y = _spatial_axes(spec)
    sizes = {"g": spec.groups, "i": inputs, "o": outputs}
    operands = (("b",), into, *first), (("b",), out, *second)
    return Factors(operands, (out, ("i",), *y), ("b", *_shared(first, second)), sizes)


# The channels of both operands are one factor, but a sharding of one is no reason to shard the other.
_SAME = {"j": "i"}


def _spatial_axes(spec: ConvSpec) -> tuple[tuple[Axis, ...], ...]:
    """The factors of the spatial axes of both operands and of the result."""
    image, taps = (tuple((f"{letter}{axis}",) for axis in range(spec.dims)) for letter in "sk")
    return (image, image, taps) if spec.hints.layer_weight == "result" else (image, taps, image)


def _shared(x: tuple[Axis, ...], w: tuple[Axis, ...]) -> list[str]:
    return [axis[0] for axis in x] if x == w else []


def _grouped(spec: ConvSpec, factor: str, size: int) -> Axis:
    return (factor,) if spec.groups == 1 else ("g",) if size == 1 else ("g", factor)


def divided_convolution(
    convolve: Callable, x: jax.Array, w: jax.Array, spec: ConvSpec, algorithm: Any, factors: Factors
) -> jax.Array:
    """convolve(x, w, spec, algorithm), divided among devices as the shardings of x, of w and of the result ask for."""

    def divide(mesh: Mesh, given, operands, results):
        shares = _Shares(spec, factors, mesh, given, (*operands, *results))
        run = lambda x, w: (shares.convolve(convolve, algorithm, x, w),)  # noqa: E731
        return run, shares.operands, (shares.result,)

    whole = lambda x, w: (convolve(x, w, spec, algorithm),)  # noqa: E731
    return divided(whole, divide, _sharding_rule(factors), (spec, algorithm, factors), x, w)[0]


def _sharding_rule(factors: Factors) -> SdyShardingRule:
    """What XLA's propagation of shardings knows about the operation."""
    x, w, y = (
        ArrayMapping(*[CompoundFactor(*axis) if len(axis) > 1 else axis[0] for axis in array])
        for array in factors.arrays
    )
    axes = [axis for array in factors.arrays for axis in array]
    whole = {axis[0] for axis in axes if len(axis) == 1}
    sizes: dict[str, Any] = {f: factors.sizes[f] for f in sorted({f for axis in axes for f in axis} - whole)}
    return SdyShardingRule(
        (x, w),
        (y,),
        reduction_factors=tuple(f for f in factors.summed if f in whole),
        need_replication_factors=tuple(sorted(factor for factor in whole if factor[0] == "k")),
        **sizes,
    )


# ---- shares ----


class _Window(NamedTuple):
    """What a device reads of one spatial axis. The tables have an entry for each device along it."""

    is_whole: bool  # whether every device has the whole axis, because a halo would be no less
    before: int  # elements in front of the share, and behind it, that some device reads
    behind: int
    sent_before: int  # those of them that other devices hold; the rest is zeros
    sent_behind: int
    starts: tuple[int, ...]  # where the windows of a device begin in its share with what it reads around it
    length: int  # elements that they reach
    padding: tuple[int, int]
    extra: tuple[int, ...]  # results to leave out in front
    results: int


class _Shares:
    """The shardings of one operation, and what a device does with its share."""

    def __init__(self, spec: ConvSpec, factors: Factors, mesh: Mesh, given, arrays) -> None:
        self.spec, self.factors, self.mesh = spec, factors, mesh
        self.given, self.arrays = given, arrays  # of x, of w and of the result
        self.axes = self._assigned()
        sharded = [d for d in range(spec.dims) if f"s{d}" in self.axes]
        windows = [_window(spec, d, [a.shape[2 + d] for a in self.arrays], self._line(d).devices) for d in sharded]
        self.windows = {d: window for d, window in zip(sharded, windows, strict=True) if window is not None}
        whole = {f"s{d}" for d, window in self.windows.items() if window.is_whole}
        self.operands = self._sharding(factors.operands[0], whole), self._sharding(factors.operands[1])
        self.result = self._sharding(factors.result)

    def _devices(self, names: MeshAxes) -> int:
        return math.prod(self.mesh.shape[name] for name in names)

    def _line(self, d: int) -> Line:
        """The devices along spatial axis d."""
        return Line.of(self.mesh, self.axes[f"s{d}"])

    def _sharding(self, array: tuple[Axis, ...], whole: Collection[str] = ()) -> list[MeshAxes]:
        return [() if axis[0] in whole else self.axes.get(_SAME.get(axis[0], axis[0]), ()) for axis in array]

    def _assigned(self) -> dict[str, MeshAxes]:
        """The mesh axes that shard each factor: those of the result first, then those of x and of w."""
        x, w, y = self.given
        found: dict[str, MeshAxes] = {}
        for array, given in ((self.factors.result, y), (self.factors.operands[0], x), (self.factors.operands[1], w)):
            for axis, names in zip(array, given, strict=True):
                factor = _SAME.get(axis[0], axis[0])
                used = {name for other in found.values() for name in other}
                if names and factor not in found and not used & set(names) and self._divides(factor, names):
                    found[factor] = names
        return found

    def _divides(self, factor: str, names: MeshAxes) -> bool:
        """Whether these mesh axes can shard this factor, and should."""
        devices = self._devices(names)
        if factor[0] == "s":
            sizes = [array.shape[2 + int(factor[1:])] for array in self.arrays]
            return _window(self.spec, int(factor[1:]), sizes, devices) is not None
        if factor[0] == "k":
            return False
        if factor == "g":
            return self.spec.groups % devices == 0
        if any(factor in axis[1:] for array in self.factors.arrays for axis in array):
            return False  # XLA has no sharding of the inner factor of an axis
        if factor not in self.factors.summed:
            return True  # a device beyond the end computes what nothing reads
        sizes = [
            size
            for axes, array in zip(self.factors.arrays, self.arrays, strict=True)
            for axis, size in zip(axes, array.shape, strict=True)
            if _SAME.get(axis[0], axis[0]) == factor
        ]
        return all(size % devices == 0 for size in sizes) and (factor != "i" or self._adds_less(names))

    def _adds_less(self, names: MeshAxes) -> bool:
        """Whether the sum of partial results moves less than the operands whose channels are sharded."""
        sharded = [a for a, given in zip(self.arrays[:2], self.given[:2], strict=True) if given[1] == names]
        return 2 * math.prod(self.arrays[2].shape) <= sum(math.prod(a.shape) for a in sharded)

    def convolve(self, convolve: Callable, algorithm: Any, x: jax.Array, w: jax.Array) -> jax.Array:
        """What a device computes from its share of x and of w."""
        padding, places = list(self.spec.padding), {}
        for d, window in self.windows.items():
            places[d] = place = self._line(d).place()
            x = self._read(x, d, place)
            padding[d] = window.padding
            if f"s{d}" in self.factors.summed:
                w = zeros_beyond(w, 2 + d, self._line(d), self.arrays[1].shape[2 + d])
        groups = self.spec.groups // self._devices(self.axes.get("g", ()))
        y = convolve(x, w, self.spec._replace(padding=tuple(padding), groups=groups), algorithm)
        for d, window in self.windows.items():
            y = _from(y, 2 + d, window.extra, places[d], window.results)
        over = tuple(name for factor in self.factors.summed for name in self.axes.get(factor, ()))
        return lax.psum(y, over) if over else y

    def _read(self, x: jax.Array, d: int, place) -> jax.Array:
        """The elements that a device reads along spatial axis d."""
        axis, line, window = 2 + d, self._line(d), self.windows[d]
        if not window.is_whole:
            x = zeros_beyond(x, axis, line, self.arrays[0].shape[axis])
            x = with_halo(x, axis, line, window.sent_before, window.sent_behind)
        zeros = window.before - window.sent_before, window.behind - window.sent_behind, 0
        if any(zeros):
            x = lax.pad(x, jnp.zeros((), x.dtype), [zeros if n == axis else (0, 0, 0) for n in range(x.ndim)])
        return _from(x, axis, window.starts, place, window.length)


def _from(x: jax.Array, axis: int, starts: tuple[int, ...], place, length: int) -> jax.Array:
    """`length` elements of x, from the start that is this device's."""
    if len(set(starts)) == 1:
        return lax.slice_in_dim(x, starts[0], starts[0] + length, axis=axis)
    return lax.dynamic_slice_in_dim(x, jnp.asarray(starts, jnp.int32)[place], length, axis=axis)


def _window(spec: ConvSpec, d: int, sizes: Sequence[int], devices: int) -> _Window | None:
    """What a device reads along spatial axis d if x, and the result or w, are divided among so many devices.

    `sizes` are those of x, of w and of the result. In coordinates of the dilated x, the windows of device p begin at
    p step - low. The phase of that in the dilation of x has to be the same on all devices. So some begin a few results
    earlier, which are left out afterwards. None if that does not help.
    """
    n, k, m = sizes
    stride, low, dilation, taps_dilation = (
        spec.stride[d],
        spec.padding[d][0],
        spec.lhs_dilation[d],
        spec.rhs_dilation[d],
    )
    share = -(-n // devices)
    if spec.hints.layer_weight == "result":
        k = -(-k // devices)
        step = k * taps_dilation
    else:
        m = -(-m // devices)
        step = m * stride
    found = [[j for j in range(dilation) if (p * step - j * stride) % dilation == 0] for p in range(devices)]
    if not all(found):
        return None
    extra = tuple(j for j, *_ in found)
    count = m + max(extra)
    begins = [p * step - low - j * stride for p, j in enumerate(extra)]
    reach = (count - 1) * stride + extent(k, taps_dilation)
    firsts = [-(-begin // dilation) for begin in begins]
    phase = firsts[0] * dilation - begins[0]
    length = max((begins[0] + reach - 1) // dilation - firsts[0] + 1, 1)
    padding = phase, reach - extent(length, dilation) - phase
    reads = [(p * share - first, first + length - (p + 1) * share) for p, first in enumerate(firsts)]
    held = [(p * share, max(n - (p + 1) * share, 0)) for p in range(devices)]
    sent = [max(0, *(min(r[side], h[side]) for r, h in zip(reads, held, strict=True))) for side in (0, 1)]
    is_whole = sum(sent) >= (devices - 1) * share
    if is_whole:
        reads, sent = [(-first, first + length - n) for first in firsts], [0, 0]
    before, behind = (max(0, *(read[side] for read in reads)) for side in (0, 1))
    starts = tuple(before - read[0] for read in reads)
    return _Window(is_whole, before, behind, sent[0], sent[1], starts, length, padding, extra, m)
