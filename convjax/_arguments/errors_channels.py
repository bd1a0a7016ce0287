"""Errors about channels, groups and kernels that do not fit, and about weights in the layout of another library."""

import math
from collections.abc import Sequence
from typing import Any

from convjax._arguments.errors import _value_error


def channels_do_not_match(function: str, x: tuple, weight: tuple, channels: int, groups: int, takes: int) -> Exception:
    transposed = function.startswith("conv_transpose")
    remedy = f"a weight made for {channels} channels"
    fitting = None if transposed else _fitting_groups(channels, weight)
    transpose_fix = another_layout(transposed, weight, channels, groups)
    channels_last_fix = another_layout(transposed, weight, x[-1], groups)
    if transpose_fix is not None:
        remedy = transpose_fix
    elif channels_last_fix is not None and x[-1] != takes:
        moved = f"jax.numpy.moveaxis(x, -1, {len(x) + 1 - len(weight)}), if the channels of x come last"
        remedy = f"{moved}, and {channels_last_fix}"
    elif x[-1] == takes:
        remedy = f"jax.numpy.moveaxis(x, -1, {len(x) + 1 - len(weight)}), if the channels of x come last"
    elif transposed and weight[1] == channels:
        remedy = "weight.swapaxes(0, 1): a transposed convolution takes (C, O/groups, *kernel)"
    elif fitting is not None:
        remedy = f"groups={fitting}, if each kernel is meant to read {weight[1]} of the {channels} channels"
    return _value_error(f"""convjax.{function}: `weight` does not fit the channels of `x`.
        got:      x {x} has {channels} channels; weight {weight} with groups={groups} takes {takes}
        expected: x with {takes} channels
        try:      {remedy}""")


def another_layout(transposed: bool, weight: tuple, channels: Any, groups: int) -> str | None:
    """How to transpose a weight that fits these channels in the layout of another library.

    None if the weight fits in no other layout.
    """
    if not all(isinstance(n, int) for n in weight):
        return None
    dims = len(weight) - 2
    letters = {1: "W", 2: "HW", 3: "DHW"}.get(dims, "...")
    layouts = [(f"{letters}IO", dims, dims + 1, range(dims))]  # name, and axes of I, O and the kernel
    layouts += [(f"{letters}OI", dims + 1, dims, range(dims))] * transposed
    layouts += [(f"O{letters}I", dims + 1, 0, range(1, dims + 1))] * (not transposed)
    for layout, i, o, axes in layouts:
        fits = weight[i] == channels if transposed else weight[i] * groups == channels and weight[o] % groups == 0
        if fits and _is_likelier_kernel([weight[axis] for axis in axes], weight[2:]):
            own, order = ("IO", (i, o, *axes)) if transposed else ("OI", (o, i, *axes))
            return f"weight.transpose{order}: it looks like {layout}, and convjax takes {own}{letters}"
    return None


def _is_likelier_kernel(sizes: Sequence[int], others: Sequence[int]) -> bool:
    """Whether `sizes` are more likely to be the kernel of a weight than `others`, which another layout gives it."""
    much_fewer = 8 * math.prod(sizes) <= math.prod(others)
    square = len({*sizes}) == 1 and max(sizes) <= 11
    return much_fewer or (square and (len({*others}) > 1 or max(others) == 1 or max(sizes) < max(others)))


def _fitting_groups(channels: Any, weight: tuple) -> int | None:
    """The only number of groups with which the weight fits x, or None."""
    if not isinstance(channels, int) or channels % weight[1]:
        return None
    groups = channels // weight[1]
    return groups if groups and weight[0] % groups == 0 else None


def groups_do_not_divide(
    function: str, groups: int, what: str, inputs: Any, outputs: int, weight: tuple = ()
) -> Exception:
    """`outputs` is 0 if the number of outputs is free. `weight` is empty if there is no weight yet."""
    fitting = _fitting_groups(inputs, weight) if weight and outputs else None
    remedy = f"groups={fitting}"
    if fitting is None:
        common = math.gcd(inputs, outputs) if isinstance(inputs, int) else 1
        divisors = [str(g) for g in range(1, min(common, 1000) + 1) if common % g == 0]
        remedy = f"groups={', '.join(divisors)}" + ", with a weight that fits" * bool(weight)
    return _value_error(f"""convjax.{function}: `groups` does not divide the {what} channels.
        got:      groups={groups}, {inputs if what == "input" else outputs} {what} channels
        expected: groups that divide both the input and the output channels
        try:      {remedy}""")


def kernel_too_large(function: str, argument: str, padded: tuple, kernel: tuple, remedy: str | None) -> Exception:
    smaller = "more padding, less dilation, or a smaller kernel"
    return _value_error(f"""convjax.{function}: `{argument}` spans more than the padded input.
        got:      kernel extent {kernel} (dilation included), padded input {padded}
        expected: an extent of at most the padded size in every dimension
        try:      {smaller if remedy is None else f"{remedy}; or {smaller}"}""")
