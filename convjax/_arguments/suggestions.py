"""Suggests convjax's word for names and arguments of other libraries that convjax does not know."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from convjax._arguments.errors import _error, _quoted, _repr_with_type, _type_error

P = ParamSpec("P")
T = TypeVar("T")

# For each argument: a name that convjax does not know, and the name in convjax or a text that says what to do instead.
NAMES = {
    "padding_mode": {
        "constant": "zeros",
        "zero": "zeros",
        "edge": "replicate",
        "nearest": "replicate",
        "border": "replicate",
        "mirror": "reflect",
        "wrap": "circular",
        "periodic": "circular",
        **dict.fromkeys(
            ("symmetric", "symm"),
            "padding_mode='reflect', which does not repeat the edge; or jax.numpy.pad(mode='symmetric') and padding=0",
        ),
    },
    "padding": {
        "none": "valid",
        "same_upper": "same",
        "same_lower": "pairs, because 'same' puts the odd element on the high side",
        "full": "padding=dilation * (kernel - 1)",
        "causal": "padding=((dilation * (kernel - 1), 0),)",
    },
    "memory_format": {
        **dict.fromkeys(("nhwc", "nwc", "nlc", "ndhwc", "last", "channels_last_3d"), "channels_last"),
        **dict.fromkeys(("nchw", "ncw", "ncl", "ncdhw", "first", "channels_first", "preserve"), "contiguous"),
    },
    "algorithm": {
        **dict.fromkeys(("direct", "lax", "default", "cudnn", "native", "naive"), "xla"),
        **dict.fromkeys(("unfold", "patches"), "im2col"),
        **dict.fromkeys(("gemm", "dot", "einsum", "implicit_gemm"), "matmul"),
        "fold": "col2im",
        "depthwise": "shift_add",
    },
    "mode": {
        **dict.fromkeys(("edge", "replicate", "border"), "nearest"),
        **dict.fromkeys(("symmetric", "symm"), "reflect"),
        **dict.fromkeys(("circular", "periodic"), "wrap"),
        **dict.fromkeys(("zeros", "zero", "fill"), "constant"),
    },
    "boundary": {**dict.fromkeys(("constant", "zeros", "zero"), "fill"), "periodic": "wrap", "reflect": "symm"},
    "method": {"overlap-add": "fft", "fftconvolve": "fft", "sum": "direct"},
    "platform": {"gpu": "cuda", "nvidia": "cuda", "amd": "rocm", "hip": "rocm"},
}

# An argument that convjax does not know, and its remedies. An entry is a parameter, or a parameter and a text that says
# what to do. The first entry whose parameter the function has is used. A parameter alone has the same meaning as the
# unknown argument.
ARGUMENTS: dict[str, tuple[str | tuple[str, str], ...]] = {
    **dict.fromkeys(("feature_group_count", "group", "num_groups"), ("groups",)),
    **dict.fromkeys(("rhs_dilation", "dilations", "dilation_rate", "kernel_dilation", "rate"), ("dilation",)),
    **dict.fromkeys(("window_strides", "strides", "step", "subsample"), ("stride",)),
    **dict.fromkeys(("pad", "pads"), ("padding",)),
    **dict.fromkeys(("input", "inputs", "lhs", "image", "images", "x"), ("x", "input", "image", "in1")),
    **dict.fromkeys(
        ("kernel", "filter", "filters", "rhs", "w", "weight", "weights"), ("weight", "weights", "kernels", "in2")
    ),
    "b": ("bias",),
    **dict.fromkeys(
        ("kernel_size", "kernel_shape", "ksize", "filter_size", "pool_size", "window", "window_shape", "shape"),
        ("kernel_size", "size", ("weight", "leave it out: `weight` has the kernel's sizes")),
    ),
    **dict.fromkeys(
        ("in_channels", "out_channels", "features", "num_filters"),
        (("weight", "leave it out: `weight` has the numbers of channels"), "out_channels"),
    ),
    **dict.fromkeys(
        ("data_format", "dimension_numbers", "layout", "channels_last"),
        tuple(
            (
                x,
                f"jax.numpy.moveaxis({x}, -1, 1) if channels come last, and memory_format='channels_last' under jax.jit:"
                " the shape is always (N, C, *spatial)",
            )
            for x in ("x", "weight")
        ),
    ),
    "channel_axis": (("input", "jax.vmap over the channels, or axes= with the other axes"), ("image", "jax.vmap")),
    "lhs_dilation": (("weight", "convjax.conv_transpose, with it as the stride"),),
    **dict.fromkeys(
        ("transpose", "transposed", "transpose_kernel"), (("weight", "convjax.conv_transpose"), "function")
    ),
    "batch_group_count": (("weight", "jax.vmap over x and weight"),),
    **dict.fromkeys(("out_dtype", "dtype", "preferred_dtype"), ("preferred_element_type",)),
    **dict.fromkeys(("boundary", "border", "padding_mode", "mode"), ("padding_mode", "mode", "boundary")),
    **dict.fromkeys(("cval", "fillvalue", "fill_value", "constant_values"), ("cval", "fillvalue")),
    **dict.fromkeys(("axis", "dim"), ("axis", "axes")),
    **dict.fromkeys(("std", "stddev", "scale"), ("sigma",)),
    **dict.fromkeys(("size", "output_shape"), ("output_size", "size")),
    **dict.fromkeys(("rng", "seed"), ("key",)),
    "output": (("input", "leave it out and use the result: JAX arrays cannot be written to"),),
}


def unknown_name(function: str, argument: str, value: Any, known: Iterable[Any], remedy: str = "") -> Exception:
    known = list(known)
    return _error(
        ValueError if any(type(value) is type(name) for name in known) else TypeError,
        f"""convjax.{function}: `{argument}` is not a known name.
        got:      {_repr_with_type(value)}
        expected: one of {_quoted(known)}
        try:      {remedy or _suggest_name(argument, value, known)}""",
    )


def _suggest_name(argument: str, value: Any, known: Sequence[Any]) -> str:
    text = value.lower() if isinstance(value, str) else ""
    meant = NAMES.get(argument, {}).get(text)
    if meant is not None and (meant in known or " " in meant):
        return f"{argument}={meant!r}" if meant in known else meant
    close = difflib.get_close_matches(text, [name for name in known if isinstance(name, str)], 1)
    return f"{argument}={[*close, *known][0]!r}"


def unknown_argument(caller: str, target: str, parameters: Sequence[str], name: str, value: Any) -> Exception:
    """`target` is the function without the argument. `caller` is the public function that was asked to call it."""
    return _type_error(f"""convjax.{caller}: `{name}` is not an argument of {"this function" if caller == target else f"convjax.{target}"}.
        got:      {name}={_repr_with_type(value)}
        expected: some of {", ".join(parameters)}
        try:      {_suggest_argument(caller, target, parameters, name, value)}""")


def _suggest_argument(caller: str, target: str, parameters: Sequence[str], name: str, value: Any) -> str:
    for entry in ARGUMENTS.get(name, ()):
        parameter, remedy = (entry, None) if isinstance(entry, str) else entry
        if parameter in parameters:
            if remedy is None:
                return f"{parameter}={_short_repr(value)}"
            return remedy if caller == target or not remedy.startswith("convjax.") else f"function={remedy}"
    close = difflib.get_close_matches(name.lower(), parameters, 1)
    return f"{close[0]}={_short_repr(value)}" if close else f"help(convjax.{target})"


def _short_repr(value: Any) -> str:
    text = repr(value)
    return text if isinstance(value, (int, float, str, tuple)) and len(text) <= 40 else "..."


def explain_unknown_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a public function: an unknown keyword argument raises an error that suggests the right one."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except TypeError:
            error = _unknown_argument_error(function, kwargs)
            if error is None:
                raise
        raise error

    return call


def _unknown_argument_error(function: Callable, arguments: dict[str, Any]) -> Exception | None:
    parameters = list(inspect.signature(function).parameters)
    name = _public_name(function)
    unknown = (unknown_argument(name, name, parameters, a, v) for a, v in arguments.items() if a not in parameters)
    return next(unknown, None)


def _public_name(function: Callable) -> str:
    area = function.__module__.split(".")[1]
    return f"{area}.{function.__name__}" if area in ("edges", "kernels", "ndimage", "signal") else function.__name__
