"""The rows that are compared with SciPy: forward calls on signals and images.

The backends are `scipy` and `jax.scipy`, which has only a few of the functions.
"""

import importlib
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

BACKENDS = ("scipy", "jax.scipy")


class Filter(NamedTuple):
    """A function of `signal` or `ndimage`, the shapes of its arrays, and its other arguments."""

    name: str
    family: str
    function: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: Any = np.float32
    args: tuple = ()
    options: dict[str, Any] = {}  # noqa: RUF012  never written to
    directions: tuple[str, ...] = ("forward",)

    def arrays(self) -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        scale = 255 if np.issubdtype(self.dtype, np.integer) else 1
        return [(scale * rng.random(shape)).astype(self.dtype) for shape in self.shapes]

    def of(self, library: str):
        """This function of `convjax`, `scipy` or `jax.scipy`, None if the library lacks it or would take minutes."""
        module, name = self.function.split(".")
        function = getattr(importlib.import_module(f"{library}.{module}"), name, None) if self._has(library) else None
        return function and (lambda *arrays: function(*arrays, *self.args, **self.options))

    def _has(self, library: str) -> bool:
        if library != "jax.scipy":
            return True
        # Its convolve always computes the direct sum, and its convolve2d supports one boundary only.
        sums = 0 if self.function == "signal.fftconvolve" else math.prod(map(math.prod, self.shapes))
        return self.function.startswith("signal.") and not self.options and sums <= 2e9

    def with_dtype(self):
        """The context in which JAX supports this row's dtype."""
        return jax.enable_x64(np.dtype(self.dtype).itemsize == 8)

    def device(self) -> list[jax.Array]:
        with self.with_dtype():
            return [jnp.asarray(a) for a in self.arrays()]


def _signals() -> list[Filter]:
    rows = []
    lines = [
        (100, 100),
        (1000, 100),
        (10**4, 100),
        (10**4, 10**4),
        (10**5, 129),
        (10**6, 129),
        (10**6, 10**4),
        (10**6,) * 2,
    ]
    images = [
        (64, 3),
        (64, 31),
        (256, 9),
        (256, 101),
        (1024, 3),
        (1024, 31),
        (1024, 301),
        (2048, 3),
        (2048, 31),
        (2048, 301),
    ]
    for dtype in (np.float32, np.float64):
        suffix = "" if dtype == np.float32 else " f64"
        for n, k in lines:
            for name in ("convolve", "fftconvolve"):
                rows.append(Filter(f"{name} {n} * {k}{suffix}", f"{name} 1-D", f"signal.{name}", ((n,), (k,)), dtype))
        for n, k in images:
            for name in ("convolve", "fftconvolve", "convolve2d"):
                if name != "convolve2d" or n * n * k * k <= 1e9:
                    title = f"{name} {n}^2 * {k}^2{suffix}"
                    family = name if name == "convolve2d" else f"{name} 2-D"
                    rows.append(Filter(title, family, f"signal.{name}", ((n, n), (k, k)), dtype))
    more = {"boundary": "symm", "mode": "same"}
    rows.append(
        Filter("convolve2d symm 512^2 * 15^2", "convolve2d", "signal.convolve2d", ((512,) * 2, (15,) * 2), options=more)
    )
    rows.append(Filter("oaconvolve 1000000 * 1000", "oaconvolve", "signal.oaconvolve", ((10**6,), (1000,))))
    return rows


def _images() -> list[Filter]:
    photo = ((1080, 1920),)
    calls: list[tuple[str, str, tuple]] = [
        ("gaussian_filter", "gaussian", (2.0,)), ("gaussian_filter", "gaussian", (10.0,)),
        ("gaussian_gradient_magnitude", "gaussian", (2.0,)), ("gaussian_laplace", "gaussian", (2.0,)),
        ("sobel", "derivatives", ()), ("prewitt", "derivatives", ()), ("laplace", "derivatives", ()),
        ("uniform_filter", "mean", (3,)), ("uniform_filter", "mean", (9,)), ("uniform_filter", "mean", (101,)),
        ("minimum_filter", "minimum", (3,)), ("maximum_filter", "minimum", (31,)),
        ("median_filter", "median", (3,)), ("median_filter", "median", (5,)), ("median_filter", "median", (7,)),
        ("percentile_filter", "median", (20, 5)),
    ]  # fmt: skip
    rows = [
        Filter(" ".join([name, *map(str, args)]), family, f"ndimage.{name}", photo, args=args)
        for name, family, args in calls
    ]
    square = ((1000, 1000),)
    for sigma in (30.0, 100.0):
        rows.append(
            Filter(f"gaussian_filter {sigma:g} 1000^2", "gaussian", "ndimage.gaussian_filter", square, args=(sigma,))
        )
    rows.append(
        Filter("gaussian_filter 100 1000000", "gaussian", "ndimage.gaussian_filter", ((10**6,),), args=(100.0,))
    )
    for n, k in ((10**6, 1001), (10**6, 10001), (10**5, 101)):
        rows.append(Filter(f"uniform_filter1d {n} {k}", "mean", "ndimage.uniform_filter1d", ((n,),), args=(k,)))
    rows.append(Filter("uniform_filter 1000^2 501", "mean", "ndimage.uniform_filter", square, args=(501,)))
    for k in (3, 5, 15):
        rows.append(Filter(f"correlate {k}x{k}", "correlate", "ndimage.correlate", (*photo, (k, k))))
    whole = [("gaussian_filter", (2.0,)), ("median_filter", (5,)), ("sobel", ()), ("uniform_filter", (9,))]
    for name, args in whole:
        rows.append(Filter(f"{name} uint8", "uint8", f"ndimage.{name}", photo, np.uint8, args))
    rows.append(Filter("gaussian_filter 2.0 f64", "gaussian", "ndimage.gaussian_filter", photo, np.float64, (2.0,)))
    rows.append(
        Filter("gaussian_filter 1.0 64x256x256", "gaussian", "ndimage.gaussian_filter", ((64, 256, 256),), args=(1.0,))
    )
    rows += _running()
    for k in (15, 31):
        rows.append(Filter(f"median_filter {k} of 512^2", "median", "ndimage.median_filter", ((512, 512),), args=(k,)))
    return rows


def _running() -> list[Filter]:
    """Windows along one axis. The mode is not "reflect", which SciPy computes wrongly on the tests' short lines."""
    rows, options = [], {"mode": "nearest"}
    for k in (101, 1001, 10001):
        for name, args in (("median_filter", (k,)), ("percentile_filter", (10, k))):
            title = " ".join([name, *map(str, args), "of 100000"])
            rows.append(Filter(title, "running median", f"ndimage.{name}", ((10**5,),), args=args, options=options))
    title, lines = "median_filter 1x501 of 50x5000", ((50, 5000),)
    rows.append(Filter(title, "running median", "ndimage.median_filter", lines, args=((1, 501),), options=options))
    return rows


FILTERS = [*_signals(), *_images()]
