"""What the choice of an algorithm looks at: numbers made of a ConvSpec, two shapes, a dtype and a machine alone."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp

from convjax import _spec
from convjax._algorithms import ALGORITHMS
from convjax._machine import Machine
from convjax._spec import ConvSpec


@dataclass(frozen=True)
class Problem:
    """One convolution on one machine. x and w need only a shape and a dtype."""

    spec: ConvSpec
    x: Any
    w: Any
    machine: Machine

    @property
    def groups(self) -> int:
        return self.spec.groups

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        return self.spec.output_shape(self.x.shape, self.w.shape)

    @property
    def batch(self) -> int:
        return self.output_shape[0]

    @property
    def in_channels(self) -> int:
        """Input channels of a group, which one result sums over."""
        return self.w.shape[1]

    @cached_property
    def out_channels(self) -> int:
        """Output channels of a group."""
        return self.output_shape[1] // self.groups

    @cached_property
    def taps(self) -> int:
        return _spec.tap_count(self.w)

    @property
    def summands(self) -> int:
        """Products that one result sums."""
        return self.in_channels * self.taps

    @cached_property
    def positions(self) -> int:
        return math.prod(self.output_shape[2:])

    @cached_property
    def input_positions(self) -> int:
        return math.prod(self.x.shape[2:])

    @cached_property
    def is_float(self) -> bool:
        """Whether the dtype is a real floating one."""
        return bool(jnp.issubdtype(self.x.dtype, jnp.floating))

    @property
    def at_most_float32(self) -> bool:
        """Whether the dtype is a real floating one of 32 bits or fewer."""
        return self.is_float and self.x.dtype.itemsize <= 4

    @property
    def has_onednn(self) -> bool:
        """Whether the oneDNN in jaxlib computes with this dtype on this machine."""
        return self.machine.has_onednn(self.x.dtype)

    @property
    def convolves_by_onednn(self) -> bool:
        """Whether oneDNN has convolutions of this dtype with the channels last on this machine."""
        return self.machine.convolves_by_onednn(self.x.dtype)

    @property
    def gradient_like(self) -> bool:
        """Whether there are more taps than positions, as in weight gradients."""
        return self.taps > self.positions

    @cached_property
    def input_dilated(self) -> bool:
        """Whether zeros stand between the elements of x, as in transposed convolutions and input gradients of strided
        convolutions."""
        return any(a > 1 for a in self.spec.lhs_dilation)

    @cached_property
    def non_overlapping(self) -> bool:
        """Whether the kernel has a single tap, or the windows are patches."""
        return self.taps == 1 or _spec.is_non_overlapping(self.spec, self.w.shape[2:])

    @cached_property
    def patch_gradient(self) -> bool:
        """Whether this is like the weight gradient of a non-overlapping convolution."""
        return _spec.is_patch_gradient(self.spec, self.output_shape[2:])

    @cached_property
    def subpixel_tap_ratio(self) -> float:
        """The taps of all phases of a dilated x over those of the kernel: above 1 if phases are padded with zeros."""
        pairs = zip(self.w.shape[2:], self.spec.lhs_dilation, strict=True)
        return math.prod(-(-k // a) * a / k for k, a in pairs)

    def multiply_add_ratio(self, algorithm: str) -> float:
        """How many times fewer multiply-adds an algorithm performs than the definition."""
        count = ALGORITHMS[algorithm].multiply_adds(self.spec, self.x, self.w)
        return ALGORITHMS["xla"].multiply_adds(self.spec, self.x, self.w) / max(count, 1)
