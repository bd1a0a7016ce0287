"""scipy.ndimage's filters, with jit, grad and vmap: the same names, arguments, defaults, modes and values.

`mode` says what a filter reads beyond the edge of an image. For an axis of four elements:

    "reflect", "grid-mirror"        d c b a | a b c d | d c b a     about the outer edge
    "constant", "grid-constant"     k k k k | a b c d | k k k k     k is `cval`
    "nearest"                       a a a a | a b c d | d d d d
    "mirror"                        d c b   | a b c d | c b a       about the centre of the last element
    "wrap", "grid-wrap"             a b c d | a b c d | a b c d

All modes work for windows larger than the image. If a filter takes its axes one by one, `mode` may be a sequence of
names, one for each axis. `origin` moves the window: with 1, a result is what its left neighbour would be with 0 (its
right neighbour in `convolve` and `convolve1d`). `axes` are the axes to filter; None is all.

Differences from SciPy, for all filters:

  - There is no `output`, because arrays are immutable.
  - The result has the dtype of the input, as in SciPy (complex if the weights are). But floats are summed in that dtype
    and not in float64, and float16 and bfloat16 in float32.
  - Integers are summed as in SciPy and rounded towards zero, axis by axis. With `jax_enable_x64` every pixel equals
    SciPy's: products and sums are rounded to float64 one by one, in SciPy's order. Without it they are pairs of
    float32, of about 48 bits. Then a pixel can differ by one if the exact sum is a whole number, or so near to one that
    SciPy's own rounding decides. With weights such as 1/9 that is every ninth sum, of which SciPy rounds a third to the
    number below. Means are exact in both. The result is undefined for sums that the dtype of the image cannot hold, as
    in C, and integers above 2^53 are rounded.
  - Sizes are ints. Filters that sum raise an error for booleans.
  - A NaN reaches only the windows that hold it, also if its weight is 0. SciPy's `correlate` and `convolve` ignore
    elements of weight 0.
  - `generic_filter`, `generic_filter1d` and `vectorized_filter`, which call a Python function for every window, have no
    counterpart.
"""

from convjax.ndimage.correlation import convolve, convolve1d, correlate, correlate1d, uniform_filter, uniform_filter1d
from convjax.ndimage.derivatives import generic_gradient_magnitude, generic_laplace, laplace, prewitt, sobel
from convjax.ndimage.gaussian import gaussian_filter, gaussian_filter1d, gaussian_gradient_magnitude, gaussian_laplace
from convjax.ndimage.ranks import (
    maximum_filter,
    maximum_filter1d,
    median_filter,
    minimum_filter,
    minimum_filter1d,
    percentile_filter,
    rank_filter,
)

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "laplace",
    "maximum_filter",
    "maximum_filter1d",
    "median_filter",
    "minimum_filter",
    "minimum_filter1d",
    "percentile_filter",
    "prewitt",
    "rank_filter",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]
