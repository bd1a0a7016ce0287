"""Replaces strides, dilations and paddings that do not fit into XLA's 32 bits by an equivalent convolution."""

import jax
import jax.numpy as jnp
import numpy as np

from convjax._spec import ConvSpec

MIN_WIDE_STEP = 2**31  # elements; XLA's CPU convolutions hold steps in 32 bits: wider ones give wrong sums or abort
MAX_LISTED_ELEMENTS = 2**24  # the largest number of elements to list one by one


def without_wide_steps(x: jax.Array, w: jax.Array, spec: ConvSpec) -> tuple[jax.Array, ConvSpec]:
    """Replace every axis of x that has wide steps by the elements of its windows, one window after another.

    The new convolution moves by the size of its kernel, so its windows do not overlap.
    """
    for i in range(spec.dims):
        if _is_wide(spec.stride[i], spec.lhs_dilation[i], spec.rhs_dilation[i], *spec.padding[i]):
            x, spec = _lay_out_windows(x, w, spec, i)
    return x, spec


def _is_wide(*numbers) -> bool:
    return any(isinstance(number, int) and abs(number) >= MIN_WIDE_STEP for number in numbers)


def _lay_out_windows(x: jax.Array, w: jax.Array, spec: ConvSpec, i: int) -> tuple[jax.Array, ConvSpec]:
    n, k, m = x.shape[2 + i], w.shape[2 + i], spec.output_shape(x.shape, w.shape)[2 + i]
    if not all(isinstance(size, int) for size in (n, k, m)) or k * m > MAX_LISTED_ELEMENTS:
        return x, spec
    stride, (low, _), a, r = spec.stride[i], spec.padding[i], spec.lhs_dilation[i], spec.rhs_dilation[i]
    seen = [p * stride + j * r - low for p in range(m) for j in range(k)]
    # The index in x of each element that is read. For zeros between and around the elements it is n, which reads as 0.
    places = [at // a if at % a == 0 and 0 <= at < n * a else n for at in seen]
    x = jnp.take(x, np.array(places), axis=2 + i, mode="fill", fill_value=0)
    put = lambda numbers, number: (*numbers[:i], number, *numbers[i + 1 :])  # noqa: E731
    return x, spec._replace(
        stride=put(spec.stride, k),
        padding=put(spec.padding, (0, 0)),
        lhs_dilation=put(spec.lhs_dilation, 1),
        rhs_dilation=put(spec.rhs_dilation, 1),
    )
