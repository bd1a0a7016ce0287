"""A call of every public function, with arrays on the device."""

from functools import partial, reduce

import jax
import numpy as np
from cases import normal

import convjax
from convjax import kernels, ndimage, signal

EVERY = {
    *(
        name
        for name in convjax.__all__
        if name[0].islower() and name not in ("edges", "kernels", "lax", "ndimage", "sharding", "signal")
    ),
    *(
        f"{module}.{name}"
        for module in ("kernels", "lax", "ndimage", "signal")
        for name in getattr(convjax, module).__all__
    ),
    *("edges.gradient", "edges.canny"),
}


def on_device(*shape, dtype=np.float32):
    return jax.device_put(normal(0, shape, dtype))


IMAGE, BYTES = on_device(12, 13), on_device(12, 13, dtype=np.uint8)
LINE, SHORT, SQUARE = on_device(90), on_device(3), on_device(3, 3)
X = {d: on_device(1, 2, *[6] * d) for d in (1, 2, 3)}
KERNEL = {d: on_device(2, 2, *[3] * d) for d in (1, 2, 3)}
BIAS, SIGMA = on_device(2), jax.device_put(np.float32(1.5))


def called(name, *args, **options):
    return partial(reduce(getattr, name.split("."), convjax), *args, **options)


def second(x, axis, mode, cval):
    return ndimage.correlate1d(x, SHORT, axis, mode, cval)


WINDOWS = {
    **dict.fromkeys(("correlate", "convolve"), (SQUARE,)),
    **dict.fromkeys(("correlate1d", "convolve1d"), (SHORT,)),
    **{name: (1.0,) for name in ndimage.__all__ if name.startswith("gaussian")},
    **dict.fromkeys(("sobel", "prewitt", "laplace", "uniform_filter"), ()),
    **{"generic_laplace": (second,), "generic_gradient_magnitude": (ndimage.sobel,)},
    **{"rank_filter": (2, 3), "percentile_filter": (20, 3), "uniform_filter1d": (3,)},
    **{name: (3,) for name in ndimage.__all__ if name.split("_")[0] in ("minimum", "maximum", "median")},
}
CALLS = [
    *(called(f"conv{d}d", X[d], KERNEL[d], BIAS, 2, 1, padding_mode="replicate") for d in (1, 2, 3)),
    *(called(f"conv_transpose{d}d", X[d], KERNEL[d], BIAS, 2, 1, 1) for d in (1, 2, 3)),
    *(called(name, X[2], KERNEL[2]) for name in ("conv", "conv_transpose", "plan")),
    called("unfold", X[2], 3, padding=1),
    called("fold", on_device(1, 18, 16), 6, 3),
    *(called(f"{name}_pool{d}", X[2], (2, 2)) for name in ("max", "avg") for d in ("", "2d")),
    *(called(f"{name}_pool{d}d", X[d], 3, 2, 1, ceil_mode=True) for name in ("max", "avg") for d in (1, 2, 3)),
    *(called(f"lp_pool{d}", X[2], 2.5, (2, 2)) for d in ("", "2d")),
    *(called(f"lp_pool{d}d", X[d], 2, 3) for d in (1, 3)),
    *(called(f"adaptive_{name}_pool{d}", X[2], (4, 2)) for name in ("max", "avg") for d in ("", "2d")),
    *(called(f"adaptive_{name}_pool{d}d", X[d], 4) for name in ("max", "avg") for d in (1, 3)),
    *(called(f"max_unpool{d}d", X[d], jax.device_put(np.zeros(X[d].shape, np.int32)), 2) for d in (1, 2, 3)),
    called("max_unpool", X[2], jax.device_put(np.zeros(X[2].shape, np.int32)), 2),
    called("init_conv", jax.random.key(0), 3, 4, 3),
    called("conv_output_shape", X[2].shape, KERNEL[2].shape),
    *(called(f"kernels.{name}") for name in kernels.__all__),
    *(called(f"kernels.{name}", size=5, sigma=SIGMA) for name in ("gaussian", "log", "dog", "gabor")),
    *(called(f"ndimage.{name}", IMAGE, *args) for name, args in WINDOWS.items()),
    *(called(f"ndimage.{name}", IMAGE, *args, mode="constant", cval=1.5) for name, args in WINDOWS.items()),
    *(called(f"signal.{name}", LINE, SHORT) for name in signal.__all__ if "2d" not in name and "lags" not in name),
    *(called(f"signal.{name}", SHORT, LINE, "same") for name in ("correlate", "fftconvolve", "oaconvolve")),
    called("signal.convolve", BYTES, BYTES, method="fft"),
    called("tune", convjax.conv2d, X[2], KERNEL[2], rounds=1),
    *(called(name, convjax.conv2d) for name in ("accelerate", "compare", "explain")),
    called("patched"),
    *(called(f"lax.{name}", X[2], KERNEL[2], (1, 1), "SAME") for name in ("conv", "conv_general_dilated")),
    called("lax.conv_transpose", X[2], KERNEL[2], (2, 2), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")),
    called("lax.conv_with_general_padding", X[2], KERNEL[2], (1, 1), "SAME", None, None),
    called("lax.conv_general_dilated_patches", X[2], (3, 3), (1, 1), "SAME"),
    called("lax.conv_general_dilated_local", X[2], on_device(2, 18, 4, 4), (1, 1), "VALID", (3, 3)),
    called("signal.choose_conv_method", LINE, SHORT, measure=True),
    *(called(f"signal.{name}2d", IMAGE, SQUARE) for name in ("convolve", "correlate")),
    *(called(f"signal.{name}2d", IMAGE, SQUARE, "same", fillvalue=2) for name in ("convolve", "correlate")),
    *(called("signal.correlation_lags", 9, 4, mode) for mode in signal.MODES),
    called("edges.gradient", IMAGE, SQUARE[:2, None] * SQUARE[:2, :, None]),
    called("edges.canny", IMAGE),
    called("edges.canny", BYTES, 1.0, 3, 9),
]
