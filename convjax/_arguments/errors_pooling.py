"""Errors about the arguments of poolings."""

from typing import Any

from convjax._arguments.errors import _value_error


def padding_above_half(function: str, padding: tuple, kernel: tuple) -> Exception:
    most = tuple(k // 2 for k in kernel)
    return _value_error(f"""convjax.{function}: `padding` is more than half of the kernel.
        got:      padding={padding}, kernel_size={kernel}
        expected: a padding of at most {most}, so that every window has an element of x
        try:      padding={most[0] if len({*most}) == 1 else most}, or jax.numpy.pad before the call""")


def padding_of_pairs(function: str, padding: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `padding` has different widths for the two sides of an axis.
        got:      padding={padding!r}
        expected: an int, or an int per spatial dimension: as much before x as behind it, as in torch
        try:      jax.numpy.pad before the call, with constant_values=-jax.numpy.inf for a maximum""")


def no_divisor(function: str) -> Exception:
    return _value_error(f"""convjax.{function}: `divisor_override` is 0.
        got:      divisor_override=0
        expected: an int other than 0, or None for the number of elements in a window
        try:      divisor_override=1 for the sum of each window""")


def no_norm(function: str, value: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `norm_type` is not a power.
        got:      norm_type={value!r}
        expected: a number other than 0, or an infinity
        try:      norm_type=2 for the root of the sum of squares, or convjax.max_pool for the largest element""")


def wrong_indices(function: str, x: tuple, indices: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `indices` does not have one index for each element of `x`.
        got:      indices {indices}, x {x}
        expected: indices of shape {x}
        try:      x, indices = convjax.max_pool(..., return_indices=True)""")


def wrong_unpooled_size(function: str, got: tuple, usual: tuple, stride: tuple) -> Exception:
    limits = tuple((max(n - s + 1, 1), n + s - 1) for n, s in zip(usual, stride, strict=True))
    return _value_error(f"""convjax.{function}: `output_size` is not a size that pools to the size of `x`.
        got:      a result of size {got}
        expected: sizes from {tuple(low for low, _ in limits)} to {tuple(high for _, high in limits)}
        try:      output_size={usual if min(usual) > 0 else "the size that was pooled"}, or the arguments of the pooling""")
