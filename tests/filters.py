"""Calls of scipy.ndimage and scipy.signal, shared by the live tests and the recorded numbers."""

import numpy as np


def filled(seed, shape, dtype=np.float64):
    rng = np.random.default_rng([seed, *shape])
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0 if np.dtype(dtype).kind == "u" else -90, 120, shape).astype(dtype)
    if dtype is bool:
        return rng.random(shape) < 0.5
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


MODES = ("reflect", "constant", "nearest", "mirror", "wrap")
CROSS = [[False, True, False], [True, True, True], [False, True, False]]
L = [[True, False], [True, True], [False, False]]

# Of images with two axes: a name, its arguments, its options.
CALLS = {
    "correlate 3x3": ("correlate", (filled(1, (3, 3)),), {}),
    "correlate 2x4": ("correlate", (filled(2, (2, 4)),), {"origin": (-1, 1)}),
    "correlate 1x1": ("correlate", (filled(3, (1, 1)),), {}),
    "correlate 15x2": ("correlate", (filled(4, (15, 2)),), {"cval": 2.5}),
    "correlate axis": ("correlate", (filled(5, (4,)),), {"axes": 0, "origin": 1}),
    "correlate axes": ("correlate", (filled(5, (3, 2)),), {"axes": (1, 0)}),
    "convolve 3x3": ("convolve", (filled(1, (3, 3)),), {}),
    "convolve 4x5": ("convolve", (filled(6, (4, 5)),), {"origin": (1, -2)}),
    "convolve 2x13": ("convolve", (filled(6, (2, 13)),), {"cval": -1.0}),
    "correlate1d": ("correlate1d", ([1.0, -2.0, 0.5, 3.0],), {"origin": -2}),
    "correlate1d long": ("correlate1d", (filled(7, (40,)),), {"axis": 0, "cval": 0.5}),
    "convolve1d": ("convolve1d", ([1.0, -2.0, 0.5, 3.0],), {"axis": 0, "origin": 1}),
    "convolve1d odd": ("convolve1d", ([1.0, -2.0, 0.5],), {"origin": -1}),
    "gaussian": ("gaussian_filter", (1.2,), {}),
    "gaussian wide": ("gaussian_filter", (6.0,), {"cval": 1.0}),
    "gaussian orders": ("gaussian_filter", ((1.0, 2.0),), {"order": (1, 2), "truncate": 3.0}),
    "gaussian third": ("gaussian_filter", (1.5,), {"order": 3, "axes": (1,)}),
    "gaussian radius": ("gaussian_filter", ((1.0, 0.0),), {"radius": (2, 9)}),
    "gaussian radii": ("gaussian_filter", ((1.0, 3.0),), {"radius": (0, 3), "axes": (1, 0)}),
    "gaussian1d": ("gaussian_filter1d", (2.0,), {"axis": 0, "order": 1}),
    "gaussian1d radius": ("gaussian_filter1d", (2.0,), {"radius": 3}),
    "log": ("gaussian_laplace", (1.0,), {}),
    "log axes": ("gaussian_laplace", ((2.0,),), {"axes": (0,), "truncate": 2.0}),
    "gradient": ("gaussian_gradient_magnitude", ((1.0, 0.7),), {"cval": 3.0}),
    "gradient radius": ("gaussian_gradient_magnitude", (1.5,), {"radius": 2}),
    "sobel": ("sobel", (), {}),
    "sobel 0": ("sobel", (0,), {"cval": 1.0}),
    "prewitt": ("prewitt", (0,), {}),
    "laplace": ("laplace", (), {"cval": 1.0}),
    "laplace axis": ("laplace", (), {"axes": (-1,)}),
    "uniform": ("uniform_filter", (), {}),
    "uniform 4x15": ("uniform_filter", ((4, 15),), {"origin": (1, -3)}),
    "uniform 1": ("uniform_filter", (1,), {}),
    "uniform axis": ("uniform_filter", (5,), {"axes": (0,), "cval": 4.0}),
    "uniform1d": ("uniform_filter1d", (6,), {"axis": 0, "origin": 2}),
}
RANKS = {
    "minimum": ("minimum_filter", (3,), {}),
    "minimum 2x13": ("minimum_filter", ((2, 13),), {"origin": (0, -6)}),
    "minimum cross": ("minimum_filter", (), {"footprint": CROSS, "cval": -1.0}),
    "minimum axis": ("minimum_filter", (4,), {"axes": (1,)}),
    "minimum1d": ("minimum_filter1d", (5,), {"axis": 0, "origin": 1}),
    "maximum": ("maximum_filter", ((4, 1),), {"cval": 1.0}),
    "maximum L": ("maximum_filter", (), {"footprint": L, "origin": (1, -1)}),
    "maximum1d": ("maximum_filter1d", (20,), {"cval": 9.0}),
    "median 3": ("median_filter", (3,), {}),
    "median 2x4": ("median_filter", ((2, 4),), {"origin": (-1, 1), "cval": 0.3}),
    "median 5": ("median_filter", (5,), {}),
    "median 1": ("median_filter", (1,), {}),
    "median cross": ("median_filter", (), {"footprint": CROSS}),
    "median axis": ("median_filter", (3,), {"axes": (0,)}),
    "median 13x9": ("median_filter", ((13, 9),), {"cval": 0.5}),
    "rank 0": ("rank_filter", (0, 3), {}),
    "rank 2": ("rank_filter", (2,), {"footprint": CROSS}),
    "rank -2": ("rank_filter", (-2, (3, 4)), {"origin": (1, 0)}),
    "rank -1": ("rank_filter", (-1, 3), {}),
    "percentile 20": ("percentile_filter", (20, 5), {}),
    "percentile -30": ("percentile_filter", (-30,), {"footprint": L}),
    "percentile 100": ("percentile_filter", (100.0, 3), {"cval": 2.0}),
    "percentile 0": ("percentile_filter", (0, 3), {}),
}

# A function of signal, the shapes of its operands, its options.
SIGNALS = {
    f"{name} {mode} {shapes[0]} {shapes[1]}": (name, shapes, {"mode": mode})
    for name in ("convolve", "correlate", "fftconvolve", "oaconvolve")
    for mode in ("full", "same", "valid")
    for shapes in (((9,), (4,)), ((40,), (3,)), ((6, 5), (3, 2)), ((3, 4, 5), (2, 2, 3)))
} | {
    f"{name} {mode} {boundary} {kernel}": (name, ((5, 4), kernel), {"mode": mode, "boundary": boundary, "fillvalue": 2})
    for name in ("convolve2d", "correlate2d")
    for mode in ("full", "same")
    for boundary in ("fill", "wrap", "symm")
    for kernel in ((3, 3), (2, 4), (30, 2))
}


def recorded_calls():
    """Functions of a library, scipy or convjax, by name."""
    calls = {}
    for name, (function, args, options) in (CALLS | RANKS).items():
        for mode in MODES:
            calls[f"ndimage {name} {mode}"] = lambda library, f=function, a=args, o=options, m=mode: getattr(
                library.ndimage, f
            )(filled(0, (7, 9)), *a, mode=m, **o)
    for name, (function, shapes, options) in SIGNALS.items():
        calls[f"signal {name}"] = lambda library, f=function, s=shapes, o=options: getattr(library.signal, f)(
            *[filled(i, shape) for i, shape in enumerate(s)], **o
        )
    return calls
