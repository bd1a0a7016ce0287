"""A ConvSpec computed by float64 loops over the taps, and both its gradients: slow, plain, and no JAX."""

import itertools
import math

import numpy as np


def _dilated(a: np.ndarray, dilation: tuple[int, ...]) -> np.ndarray:
    sizes = [(n - 1) * r + 1 for n, r in zip(a.shape[2:], dilation, strict=True)]
    out = np.zeros((*a.shape[:2], *sizes), a.dtype)
    out[..., *[slice(None, None, r) for r in dilation]] = a
    return out


def _padded(a: np.ndarray, padding) -> np.ndarray:
    """Negative padding crops."""
    a = np.pad(a, [(0, 0), (0, 0), *[(max(low, 0), max(high, 0)) for low, high in padding]])
    return a[..., *[slice(max(-low, 0), a.shape[i + 2] - max(-high, 0)) for i, (low, high) in enumerate(padding)]]


def _taps(spec, x_sizes, kernel):
    """Each tap of the kernel, with the slice of the padded x that it sees."""
    counts = [
        (n - (k - 1) * r - 1) // s + 1
        for n, k, s, r in zip(x_sizes, kernel, spec.stride, spec.rhs_dilation, strict=True)
    ]
    for tap in itertools.product(*map(range, kernel)):
        starts = [j * r for j, r in zip(tap, spec.rhs_dilation, strict=True)]
        window = [slice(a, a + (m - 1) * s + 1, s) for a, m, s in zip(starts, counts, spec.stride, strict=True)]
        yield (..., *tap), (..., *window), counts


def _grouped(a: np.ndarray, groups: int, axis: int) -> np.ndarray:
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def _ungrouped(a: np.ndarray) -> np.ndarray:
    return a.reshape(a.shape[0], a.shape[1] * a.shape[2], *a.shape[3:])


def _wide(a):
    a = np.asarray(a)
    return a.astype(np.complex128 if np.iscomplexobj(a) else np.float64)


def conv(x, w, spec) -> np.ndarray:
    """The result of `convjax._primitive.convolve(x, w, spec)`."""
    x, w = _padded(_dilated(_wide(x), spec.lhs_dilation), spec.padding), _grouped(_wide(w), spec.groups, 0)
    x = _grouped(x, spec.groups, 1)
    y = 0
    for tap, window, _ in _taps(spec, x.shape[3:], w.shape[3:]):
        y = y + np.einsum("ngi...,goi->ngo...", x[window], w[tap])
    return _ungrouped(y)


def gradients(x, w, ct, spec) -> tuple[np.ndarray, np.ndarray]:
    """The cotangents of x and w for a cotangent of the result: each product of the sum, turned round."""
    x, w, ct = _wide(x), _wide(w), _grouped(_wide(ct), spec.groups, 1)
    inner = _dilated(x, spec.lhs_dilation)
    padded = _grouped(_padded(inner, spec.padding), spec.groups, 1)
    kernel = _grouped(w, spec.groups, 0)
    x_ct, w_ct = np.zeros(padded.shape, ct.dtype), np.zeros(kernel.shape, ct.dtype)
    for tap, window, _ in _taps(spec, padded.shape[3:], kernel.shape[3:]):
        x_ct[window] += np.einsum("ngo...,goi->ngi...", ct, kernel[tap])
        w_ct[tap] += np.einsum(
            "ngop,ngip->goi", *[a.reshape(*a.shape[:3], math.prod(a.shape[3:])) for a in (ct, padded[window])]
        )
    x_ct = _padded(_ungrouped(x_ct), [(-low, -high) for low, high in spec.padding])
    x_ct = x_ct[..., *[slice(None, None, r) for r in spec.lhs_dilation]]
    return x_ct, w_ct.reshape(w.shape)
