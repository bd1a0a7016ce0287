"""The errors that only `convjax.signal` and `convjax.ndimage` raise, in the form of `_check`."""

from typing import Any

from convjax._check import _axes, _error, _shown


def different_ranks(function: str, shape1: tuple, shape2: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        "in2",
        "has another number of axes than `in1`.",
        f"in1 {shape1}, {_axes(shape1)}; in2 {shape2}, {_axes(shape2)}",
        f"in2 with {_axes(shape1)}",
        "in2[None] for each axis that is missing, or jax.vmap over the one that is too many",
    )


def not_two_axes(function: str, argument: str, shape: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        argument,
        "is not an image.",
        f"shape {shape}, {_axes(shape)}",
        "(H, W), 2 axes",
        f"convjax.{function.replace('2d', '')} for any number of axes, or jax.vmap over the others",
    )


def neither_holds(function: str, shape1: tuple, shape2: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        "in2",
        "neither fits into `in1` nor holds it.",
        f"in1 {shape1}, in2 {shape2}",
        'for mode="valid", one of them at least as large as the other along every axis',
        'mode="same" or mode="full"',
    )


def empty_operand(function: str, argument: str, shape: tuple) -> Exception:
    return _error(
        ValueError,
        function,
        argument,
        "has no elements.",
        f"shape {shape}",
        "sizes of at least 1",
        "leave the call out, or check how the array was made",
    )


def wrong_axes(function: str, axes: Any, dims: int) -> Exception:
    return _error(
        ValueError,
        function,
        "axes",
        "does not name axes of the operands.",
        _shown(axes),
        f"one or more different axes from {-dims} to {dims - 1}",
        "axes=None for all of them",
    )


def shapes_do_not_broadcast(function: str, shape1: tuple, shape2: tuple, axes: list) -> Exception:
    return _error(
        ValueError,
        function,
        "in2",
        "does not broadcast against `in1` along the axes that are not transformed.",
        f"in1 {shape1}, in2 {shape2}, axes {axes}",
        "equal sizes, or 1, along the other axes",
        "axes=None to convolve along all of them",
    )


def wrong_fill(function: str, value: Any, dtype: Any) -> Exception:
    return _error(
        ValueError,
        function,
        "fillvalue",
        "is not a number that the border can hold.",
        _shown(value),
        f"one number, as {dtype}",
        "fillvalue=0",
    )
