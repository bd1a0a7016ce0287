"""What other libraries call it: remedies for names and for arguments that convjax does not know."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

from convjax._arguments.errors import _error, _listed, _shown

P = ParamSpec("P")
T = TypeVar("T")

# By argument: a name that is not known here, and the one that is, or what to do instead.
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
            "padding_mode='reflect', which leaves the edge out; or jax.numpy.pad(mode='symmetric') and padding=0",
        ),
    },
    "padding": {
        "none": "valid",
        "same_upper": "same",
        "same_lower": "the pairs: 'same' puts the odd element on the high side",
        "full": "padding=dilation * (kernel - 1)",
        "causal": "padding=((dilation * (kernel - 1), 0),)",
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

# An argument that is not known here: for a function with the parameter that comes first, what to do; else what its
# second entry says, and so on. A bare name is that of the parameter which has the same sense.
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
        ("kernel_size", "kernel_shape", "ksize", "filter_size", "window", "window_shape", "shape"),
        ("kernel_size", "size", ("weight", "leave it out: the sizes of the kernel are those of `weight`")),
    ),
    **dict.fromkeys(
        ("in_channels", "out_channels", "features", "num_filters"),
        (("weight", "leave it out: the channels are those of `weight`"), "out_channels"),
    ),
    **dict.fromkeys(
        ("data_format", "dimension_numbers", "layout", "channels_last"),
        tuple(
            (x, f"jax.numpy.moveaxis({x}, -1, 1) where channels come last: the layout is always (N, C, *spatial)")
            for x in ("x", "weight")
        ),
    ),
    "channel_axis": (("input", "jax.vmap over the channels, or `axes=` of the others"), ("image", "jax.vmap")),
    "lhs_dilation": (("weight", "convjax.conv_transpose, whose stride it is"),),
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
    "output": (("input", "leave it out and take the result: arrays cannot be written to"),),
}


def unknown_name(function: str, argument: str, value: Any, known: Iterable[Any], remedy: str = "") -> Exception:
    known = list(known)
    return _error(
        ValueError if any(type(value) is type(name) for name in known) else TypeError,
        function,
        argument,
        "is not a name that is known here.",
        _shown(value),
        f"one of {_listed(known)}",
        remedy or _meant(argument, value, known),
    )


def _meant(argument: str, value: Any, known: Sequence[Any]) -> str:
    text = value.lower() if isinstance(value, str) else ""
    meant = NAMES.get(argument, {}).get(text)
    if meant is not None and (meant in known or " " in meant):
        return f"{argument}={meant!r}" if meant in known else meant
    close = difflib.get_close_matches(text, [name for name in known if isinstance(name, str)], 1)
    return f"{argument}={[*close, *known][0]!r}"


def unknown_argument(caller: str, target: str, parameters: Sequence[str], name: str, value: Any) -> Exception:
    """Of the function `target`, which `caller` may have been asked to call."""
    return _error(
        TypeError,
        caller,
        name,
        f"is not an argument of {'this function' if caller == target else f'convjax.{target}'}.",
        f"{name}={_shown(value)}",
        f"some of {', '.join(parameters)}",
        _instead(caller, target, parameters, name, value),
    )


def _instead(caller: str, target: str, parameters: Sequence[str], name: str, value: Any) -> str:
    for entry in ARGUMENTS.get(name, ()):
        parameter, remedy = (entry, None) if isinstance(entry, str) else entry
        if parameter in parameters:
            if remedy is None:
                return f"{parameter}={_repeated(value)}"
            return remedy if caller == target or not remedy.startswith("convjax.") else f"function={remedy}"
    close = difflib.get_close_matches(name.lower(), parameters, 1)
    return f"{close[0]}={_repeated(value)}" if close else f"help(convjax.{target})"


def _repeated(value: Any) -> str:
    text = repr(value)
    return text if isinstance(value, (int, float, str, tuple)) and len(text) <= 40 else "..."


def explain_unknown_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """The function; but an argument that it does not have is answered with the one that is meant."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except TypeError:
            mistake = _mistake(function, kwargs)
            if mistake is None:
                raise
        raise mistake

    return call


def _mistake(function: Callable, arguments: dict[str, Any]) -> Exception | None:
    parameters = list(inspect.signature(function).parameters)
    name = _public_name(function)
    unknown = (unknown_argument(name, name, parameters, a, v) for a, v in arguments.items() if a not in parameters)
    return next(unknown, None)


def _public_name(function: Callable) -> str:
    area = function.__module__.split(".")[1]
    return f"{area}.{function.__name__}" if area in ("edges", "kernels", "ndimage", "signal") else function.__name__
