"""The description of one convolution (`ConvSpec`) and of the call around it (`ConvCall`), and functions of both."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import InconclusiveDimensionOperation

Sizes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

MEMORY_FORMATS = ("contiguous", "channels_last")


class Hints(NamedTuple):
    """What the choice of an algorithm may know besides the shapes. No hint changes a value.

    `flipped_weight` says that the kernel w was made by transposing and flipping another array, as in input gradients
    and transposed convolutions. XLA then removes a second flip, so undoing the flip costs nothing.

    `layer_weight` says which of the three arrays is the weight of a layer: "kernel" in a forward convolution, "result"
    in its weight gradient, "input" in a derivative of that. None means that all three may be images. A mesh may shard
    the spatial axes of images, but not those of weights.

    `memory_format` says in which order the axes of the images lie in memory: "contiguous" for (N, C, *n), as the shapes
    have them, or "channels_last" for (N, *n, C). Derivatives and batched forms inherit it.
    """

    flipped_weight: bool = False
    layer_weight: str | None = "kernel"
    memory_format: str = "contiguous"


class ConvSpec(NamedTuple):
    """A general convolution of x (N, G*I, *n) with w (G*O, I, *k): the whole family, derivatives included.

    x has `lhs_dilation - 1` zeros between its elements, then `padding` zeros around it (a negative padding crops). w
    has `rhs_dilation - 1` zeros between its taps. The window moves by `stride`. `out_dtype` is the dtype of the result,
    None for that of the operands.
    """

    stride: Sizes
    padding: Pads
    lhs_dilation: Sizes
    rhs_dilation: Sizes
    groups: int = 1
    precision: Any = None
    out_dtype: Any = None
    hints: Hints = Hints()

    @property
    def dims(self) -> int:
        return len(self.stride)

    def output_shape(self, x: Sequence[int], w: Sequence[int]) -> Sizes:
        return (x[0], w[0], *map(_positions, x[2:], w[2:], self.stride, self.padding, *self.dilations))

    @property
    def dilations(self) -> tuple[Sizes, Sizes]:
        return self.lhs_dilation, self.rhs_dilation

    @property
    def channels_last(self) -> bool:
        return self.hints.memory_format == "channels_last"

    def with_unflipped_weight(self) -> "ConvSpec":
        """This spec without the hint that w is a flipped weight, for a w that an algorithm has changed."""
        return self._replace(hints=self.hints._replace(flipped_weight=False))


def extent(n: int, dilation: int) -> int:
    """The size of an axis of n elements with dilation - 1 zeros between them: d(n, r) = (n - 1) r + 1."""
    return (n - 1) * dilation + 1


def _positions(n, k, stride, pads, lhs_dilation, rhs_dilation):
    room = extent(n, lhs_dilation) + sum(pads) - extent(k, rhs_dilation)
    return room // stride + 1


class Boundary(NamedTuple):
    """How the borders are filled (`border`, a row of the table in `_arrays/boundary.py`), and their widths."""

    border: str
    padding: Pads


class ConvCall(NamedTuple):
    """A call whose arguments are checked: the convolution, and the steps before and after it."""

    spec: ConvSpec
    boundary: Boundary | None  # None for zeros, which the spec pads itself
    batched: bool
    transposed: bool
    algorithm: Any  # a name, or recorded measurements


class Grid(NamedTuple):
    """Where the patches of an image of size `sizes` lie, for unfold and fold."""

    sizes: Sizes
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    padding: Pads
    counts: Sizes


def certainly(holds: Callable[..., bool], *sizes: Any) -> bool:
    """Whether a condition on sizes holds; False if symbolic sizes leave it undecided."""
    try:
        return bool(holds(*sizes))
    except InconclusiveDimensionOperation:
        return False


# ---- predicates on a spec, and counts ----


def is_non_overlapping(spec: ConvSpec, kernel: Sequence[int]) -> bool:
    """Whether the windows cover the input without gaps or overlaps: patches, and 1x1 kernels at stride 1."""
    dims = zip(kernel, spec.stride, spec.rhs_dilation, strict=True)
    return all(k == s and (r == 1 or k == 1) for k, s, r in dims)


def is_patch_gradient(spec: ConvSpec, counts: Sequence[int]) -> bool:
    """Whether there are no more positions than the dilation of the kernel along each axis, at stride 1.

    The weight gradient of a non-overlapping convolution is like that.
    """
    return all(s == 1 and m <= r for m, s, r in zip(counts, spec.stride, spec.rhs_dilation, strict=True))


def is_empty(spec: ConvSpec, x, w) -> bool:
    """Whether there is nothing to sum or nothing to return."""
    return 0 in (*spec.output_shape(x.shape, w.shape), *x.shape, *w.shape)


def tap_count(w) -> int:
    return math.prod(w.shape[2:])


def position_count(spec: ConvSpec, x, w) -> int:
    return math.prod(spec.output_shape(x.shape, w.shape)[2:])


def is_gradient_like(spec: ConvSpec, x, w) -> bool:
    """Whether there are more taps than positions, as in weight gradients."""
    return tap_count(w) > position_count(spec, x, w)


def sum_dtype(dtype: Any, spec: ConvSpec) -> Any:
    """The dtype to sum in: float32 for 16-bit floats, as in XLA's own convolutions, else that of the result."""
    if dtype in (jnp.float16, jnp.bfloat16):
        return jnp.float32
    return spec.out_dtype or dtype


def swap_precision(precision: Any) -> Any:
    """The precision for a product whose operands are swapped. A tuple has one entry per operand."""
    return precision[::-1] if isinstance(precision, tuple) else precision
