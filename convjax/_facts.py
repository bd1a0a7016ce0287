"""What the rules of selection look at: numbers made of a ConvSpec, two shapes and a dtype alone."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from convjax._lowerings import LOWERINGS, _pieces


class Facts(NamedTuple):
    """What rules look at."""

    spec: Any
    x: Any
    w: Any
    batch: int
    groups: int
    inputs: int  # channels that one result sums over
    outputs: int  # channels of the result in a group
    taps: int
    positions: int
    real: bool  # a real floating dtype
    short: bool  # and of at most 32 bits

    @property
    def mirrored(self) -> bool:
        """More taps than positions, as in weight gradients."""
        return self.taps > self.positions

    @property
    def dilated(self) -> bool:
        """Zeros between the elements of x, as in transposed convolutions and input gradients of strided ones."""
        return any(a > 1 for a in self.spec.lhs_dilation)

    @property
    def copied(self) -> int:
        """Elements of the matrix of a copy of x for every tap, or for every position."""
        return self.batch * self.positions * self.inputs * self.taps

    @property
    def beside(self) -> bool:
        """Windows that lie side by side: 1x1 kernels and patches."""
        return self.taps == 1 or _pieces.patches(self.spec, self.w.shape[2:])

    @property
    def between(self) -> bool:
        """The weight gradient of such a convolution."""
        return _pieces.between(self.spec, self.spec.output_shape(self.x.shape, self.w.shape)[2:])

    @property
    def idle(self) -> float:
        """How many taps the phases of a dilated x come to, over those of the kernel."""
        pairs = zip(self.w.shape[2:], self.spec.lhs_dilation, strict=True)
        return math.prod(-(-k // a) * a / k for k, a in pairs)

    def saved(self, lowering: str) -> float:
        """How many times fewer multiply-adds a lowering does."""
        count = LOWERINGS[lowering].multiply_adds(self.spec, self.x, self.w)
        return LOWERINGS["direct"].multiply_adds(self.spec, self.x, self.w) / max(count, 1)


def facts(spec, x, w) -> Facts:
    batch, channels, *counts = spec.output_shape(x.shape, w.shape)
    return Facts(
        spec=spec,
        x=x,
        w=w,
        batch=batch,
        groups=spec.groups,
        inputs=w.shape[1],
        outputs=channels // spec.groups,
        taps=math.prod(w.shape[2:]),
        positions=math.prod(counts),
        real=bool(jnp.issubdtype(x.dtype, jnp.floating)),
        short=bool(jnp.issubdtype(x.dtype, jnp.floating)) and x.dtype.itemsize <= 4,
    )
