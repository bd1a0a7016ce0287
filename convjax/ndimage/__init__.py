"""scipy.ndimage's filters, with jit, grad and vmap: its names, order of arguments, defaults, modes and values.

What a filter reads beyond the edge of an image is its `mode`, here around an axis of four elements:

    "reflect", "grid-mirror"        d c b a | a b c d | d c b a     about the outer edge
    "constant", "grid-constant"     k k k k | a b c d | k k k k     k is `cval`
    "nearest"                       a a a a | a b c d | d d d d
    "mirror"                        d c b   | a b c d | c b a       about the centre of the last element
    "wrap", "grid-wrap"             a b c d | a b c d | a b c d

All of them hold for windows larger than the image. Where a filter takes its axes one by one, `mode` may be a sequence
of names, one for each. `origin` moves the window: at 1 a result reads what its left neighbour would (in `convolve`
and `convolve1d`, its right one). `axes` are those to filter, all of them if None.

Differences from SciPy, for all of them: there is no `output`, for arrays are immutable. The result has the dtype of the
input, as there (complex, where the weights are), but floats are summed in that dtype and not in float64, float16 and
bfloat16 in float32. Integers are summed as SciPy sums them and cut to whole numbers, axis by axis. With
`jax_enable_x64` every pixel is SciPy's: products and sums are rounded to float64 one by one, in SciPy's order. Without
it they are pairs of float32, of some 48 bits. Then a pixel can differ by one where the exact sum is a whole number, or
so near to one that SciPy's own rounding decides (with weights such as 1/9: every ninth sum, of which SciPy cuts a third
to the number below). Means are exact in both. Sums that the dtype of the image does not hold are left open, as in C;
integers above 2^53 are rounded. Sizes are ints. Booleans are refused by filters that sum. A NaN reaches the windows
that hold it and no others, also under a weight of 0, of which SciPy's `correlate` and `convolve` take no notice.
`generic_filter`, `generic_filter1d` and `vectorized_filter`, which call a Python function for every window, have no
counterpart here.
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
