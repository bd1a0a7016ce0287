"""Errors that only `convjax.signal`, `convjax.ndimage` and `convjax.edges` raise, in the form of `errors`."""

from typing import Any

import jax.numpy as jnp

from convjax._arguments.errors import _axis_count, _repr_with_type, _type_error, _value_error


def different_ranks(function: str, shape1: tuple, shape2: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `in2` does not have as many axes as `in1`.
        got:      in1 {shape1}, {_axis_count(shape1)}; in2 {shape2}, {_axis_count(shape2)}
        expected: in2 with {_axis_count(shape1)}
        try:      in2[None] for each missing axis, or jax.vmap over each extra one""")


def not_two_axes(function: str, argument: str, shape: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is not an image.
        got:      shape {shape}, {_axis_count(shape)}
        expected: (H, W), 2 axes
        try:      convjax.{function.replace("2d", "")} for any number of axes, or jax.vmap over the others""")


def neither_holds(function: str, shape1: tuple, shape2: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `in2` neither fits into `in1` nor contains it.
        got:      in1 {shape1}, in2 {shape2}
        expected: for mode="valid", one of them at least as large as the other along every axis
        try:      mode="same" or mode="full"
    """)


def empty_operand(function: str, argument: str, shape: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` has no elements.
        got:      shape {shape}
        expected: sizes of at least 1
        try:      leave out the call, or check how the array was made""")


def wrong_axes(function: str, argument: str, axes: Any, dims: int) -> Exception:
    several = argument == "axes"
    return _value_error(f"""convjax.{function}: `{argument}` does not name {"axes" if several else "an axis"} of the input.
        got:      {_repr_with_type(axes)}
        expected: {f"{('different ints' if several else 'an int')} from {-dims} to {dims - 1}" if dims else "an input with axes"}
        try:      {"axes=None for all of them" if several else "axis=-1 for the last one"}""")


def shapes_do_not_broadcast(function: str, shape1: tuple, shape2: tuple, axes: list) -> Exception:
    return _value_error(f"""convjax.{function}: `in2` does not broadcast against `in1` along the axes that are not transformed.
        got:      in1 {shape1}, in2 {shape2}, axes {axes}
        expected: equal sizes, or 1, along the other axes
        try:      axes=None to convolve along all of them""")


def wrong_fill(function: str, argument: str, value: Any, dtype: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is not a number that the border can hold.
        got:      {_repr_with_type(value)}
        expected: one number, {"real or complex" if jnp.issubdtype(dtype, jnp.complexfloating) else "a real one"}
        try:      {argument}=0""")


def wrong_length(function: str, argument: str, value: Any, entries: list, count: int) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` does not have one entry for each axis to filter.
        got:      {_repr_with_type(value)}
        expected: one value for all, or {count}, one for each
        try:      {f"{argument}={entries[0]}" if entries else f"leave `{argument}` out"}""")


def one_mode_only(function: str, mode: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `mode` is a sequence, but this filter does not run axis by axis.
        got:      {_repr_with_type(mode)}
        expected: one mode for all axes
        try:      one name, or jax.numpy.pad along one axis and a crop of the result""")


def origin_outside(function: str, origin: int, size: int) -> Exception:
    return _value_error(f"""convjax.{function}: `origin` moves the window off its own element.
        got:      origin={origin} for a window of {size}
        expected: an int from {-(size // 2)} to {(size - 1) // 2}
        try:      origin=0""")


def not_callable(function: str, argument: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is not a function.
        got:      {_repr_with_type(value)}
        expected: a function of (input, axis, mode, cval) that returns an array
        try:      {argument}=convjax.ndimage.sobel""")


def wrong_weights(function: str, argument: str, shape: tuple, axes: int) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` does not have one axis, of at least one element, for each axis to filter.
        got:      shape {shape}, {_axis_count(shape)}
        expected: {axes} {"axis" if axes == 1 else "axes"}, sizes of at least 1
        try:      {f"{argument}.reshape(...)" + (", or axes= with as many axes as it has" if axes != 1 else ", or convjax.ndimage.correlate or convolve")}""")


def no_window(function: str) -> Exception:
    return _value_error(f"""convjax.{function}: `size` or `footprint` is needed.
        got:      size=None, footprint=None
        expected: a size that is an int or one int per axis, or a footprint that is a boolean array
        try:      size=3""")


def empty_footprint(function: str) -> Exception:
    return _value_error(f"""convjax.{function}: `footprint` selects no element.
        got:      all False
        expected: at least one True
        try:      footprint=None, size=3""")


def traced_footprint(function: str) -> Exception:
    return _type_error(f"""convjax.{function}: `footprint` is traced, but its values are needed when the call is traced.
        got:      a traced array
        expected: a NumPy array, or nested lists
        try:      a footprint that is made outside jax.jit, or a static argument""")


def not_in_window(function: str, argument: str, value: Any, low: float, high: float, count: int) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is out of range for a window of {count} elements.
        got:      {_repr_with_type(value)}
        expected: from {low} to {high}
        try:      convjax.ndimage.median_filter for the middle element""")


def radius_of_traced_scale(function: str) -> Exception:
    return _type_error(f"""convjax.{function}: `radius` is needed if `sigma` is traced, because the shape cannot depend on it.
        got:      radius=None
        expected: an int, or one for each axis
        try:      radius=int(truncate * largest_sigma + 0.5)""")


def not_an_image(function: str, shape: tuple, expected: str) -> Exception:
    return _value_error(f"""convjax.{function}: `image` is not an image of one channel.
        got:      shape {shape}, {_axis_count(shape)}
        expected: {expected}
        try:      image.mean(axis=-1) if the colours come last""")


def colours_last(function: str, shape: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `image` looks like a picture whose colours come last.
        got:      shape {shape}, which would be {shape[-3]} images of {shape[-2]} x {shape[-1]} pixels
        expected: (..., H, W)
        try:      jax.numpy.moveaxis(image, -1, 0) for one image per colour, or image.mean(axis=-1) for a grey image""")


def not_a_pair(function: str, shape: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `kernels` are not a pair of kernels.
        got:      shape {shape}
        expected: (2, 1, k, l) or (2, k, l)
        try:      kernels=convjax.kernels.sobel()""")


def thresholds_cross(function: str, low: Any, high: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `low_threshold` is above `high_threshold`.
        got:      low_threshold={low}, high_threshold={high}
        expected: low_threshold <= high_threshold; None means 0.1 and 0.2 times the largest value of the dtype
        try:      both thresholds, with low_threshold=high_threshold / 2""")


def not_a_quantile(function: str, argument: str, value: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is not a quantile.
        got:      {_repr_with_type(value)}
        expected: a number from 0 to 1, because use_quantiles is True
        try:      {argument}=0.9, or use_quantiles=False""")


def wrong_mask(function: str, mask: tuple, image: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `mask` does not have the shape of the image.
        got:      mask {mask}, image {image}
        expected: {image}
        try:      mask=None for the whole image""")


def not_a_static_number(function: str, argument: str, value: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `{argument}` is not a number that is known when the call is traced.
        got:      {_repr_with_type(value)}
        expected: a real number, not traced
        try:      {argument}=1.0, or a static argument of jax.jit""")


def negative(function: str, argument: str, value: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` is below 0, or not finite.
        got:      {_repr_with_type(value)}
        expected: a number of at least 0
        try:      {argument}=1.0""")


def ragged_footprint(function: str, value: Any) -> Exception:
    return _value_error(f"""convjax.{function}: `footprint` is not an array of booleans.
        got:      {_repr_with_type(value)}
        expected: a NumPy array, or nested lists of equal length
        try:      footprint=numpy.ones((3, 3), bool)""")


def not_a_derivative(function: str, argument: str, result: Any, shape: tuple) -> Exception:
    return _value_error(f"""convjax.{function}: `{argument}` did not return an array of the input's shape.
        got:      {f"shape {result.shape}" if hasattr(result, "shape") else _repr_with_type(result)}
        expected: an array of shape {shape}
        try:      {argument}=convjax.ndimage.sobel""")


def complex_kernels(function: str, dtype: Any) -> Exception:
    return _type_error(f"""convjax.{function}: `kernels` are complex.
        got:      dtype {dtype}
        expected: real kernels
        try:      kernels.real""")


def not_measurable(function: str) -> Exception:
    return _type_error(f"""convjax.{function}: `measure` asks for times, but traced arrays cannot be timed.
        got:      measure=True inside jax.jit or another transformation
        expected: arrays of numbers
        try:      measure=False""")
