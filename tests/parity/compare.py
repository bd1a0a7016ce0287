"""The same call in torch and in convjax: values and gradients, and how far apart they may be."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

HALVES = ("float16", "bfloat16")

# The largest error of a result, relative to the sum of the absolute values of its terms. The rounding error of a sum of
# n terms is at most n eps / 2, and far smaller on average. The longest sums here have a few hundred terms.
CLOSE = {"float64": 1e-13, "complex128": 1e-13, "float32": 1e-5, "complex64": 1e-5}


class Case(NamedTuple):
    """Two functions of the same operands: x, weight and, if there is one, bias."""

    label: str
    ours: Callable
    theirs: Callable
    operands: tuple[np.ndarray, ...]

    @property
    def dtype(self) -> str:
        return str(self.operands[0].dtype)


def numbers(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    kind = jnp.dtype(dtype).kind
    if kind in "iu":
        return rng.integers(0 if kind == "u" else -9, 9, shape).astype(dtype)
    if kind == "b":
        return rng.random(shape) < 0.5
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if kind == "c" else values).astype(jnp.dtype(dtype))


def tensor(a: np.ndarray) -> torch.Tensor:
    """The array as a tensor of its dtype, or of float64 for half precision.

    Results in half precision are compared with exact ones.
    """
    return torch.tensor(a.astype(np.float64) if str(a.dtype) in HALVES else a)


def torch_vjp(function: Callable, operands: Iterable[torch.Tensor], cotangent: torch.Tensor) -> list[np.ndarray]:
    """The value and the gradients."""
    operands = [a.clone().requires_grad_() for a in operands]
    y = function(*operands)
    return [a.detach().numpy() for a in (y, *torch.autograd.grad(y, operands, cotangent))]


def jax_vjp(function: Callable, operands: Iterable, cotangent) -> list[jax.Array]:
    """The value and the gradients in convjax. torch's gradient of a complex function is the conjugate of JAX's."""
    y, vjp = jax.vjp(function, *operands)
    return [y, *map(jnp.conj, vjp(jnp.conj(cotangent)))]


def check_values_and_gradients(rng: np.random.Generator, cases: Sequence[Case], stages: int = 1) -> None:
    """Compare values and gradients with torch's, with random cotangents.

    All cases are one program, which compiles in half the time of separate programs. `stages` is how many times a sum in
    half precision is rounded, because it is computed in several steps, axis by axis.
    """
    wanted = []
    for case in cases:
        shape = case.theirs(*map(tensor, case.operands)).shape
        wanted.append(numbers(rng, shape, case.dtype))
    given = [(case.operands, ct) for case, ct in zip(cases, wanted, strict=True)]
    program = jax.jit(lambda given: [jax_vjp(case.ours, *each) for case, each in zip(cases, given, strict=True)])
    wrong = []
    for case, (operands, ct), got in zip(cases, given, program(given), strict=True):
        want = torch_vjp(case.theirs, map(tensor, operands), tensor(ct))
        size = torch_vjp(case.theirs, map(magnitudes, operands), magnitudes(ct))
        stored = [np.abs(w) + (stages - 1) * s for w, s in zip(want, size, strict=True)]
        if len(operands) == 3:  # the sum without the bias is stored too
            stored[0] = stored[0] + np.abs(case.theirs(*map(tensor, operands[:2])).numpy())
        for name, *each in zip(("value", "d/dx", "d/dweight", "d/dbias"), got, want, size, stored, strict=False):
            problem = difference(*each, dtype=case.dtype)
            if problem:
                wrong.append(f"{name} of {case.label}: {problem}")
    assert not wrong, "\n".join(wrong)


def check_values(cases: Sequence[Case]) -> None:
    """Compare values with torch's, bit for bit, without gradients."""
    for case, got, want in evaluated(cases):
        assert got.dtype == case.dtype, case.label
        np.testing.assert_array_equal(got.astype(want.dtype), want, err_msg=case.label)


def check_close_values(cases: Sequence[Case]) -> None:
    for case, got, want in evaluated(cases):
        size = case.theirs(*map(magnitudes, case.operands)).numpy()
        problem = difference(got, want, size, np.abs(want), dtype=case.dtype)
        assert not problem, f"{case.label}: {problem}"


def evaluated(cases: Sequence[Case]) -> Iterator[tuple[Case, np.ndarray, np.ndarray]]:
    program = jax.jit(lambda given: [case.ours(*each) for case, each in zip(cases, given, strict=True)])
    for case, got in zip(cases, program([case.operands for case in cases]), strict=True):
        yield case, np.asarray(got), case.theirs(*map(tensor, case.operands)).numpy()


def magnitudes(a: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.abs(a).astype(np.float64))


def difference(got, want: np.ndarray, size, stored, *, dtype: str) -> str:
    """Describe how `got` differs from `want`, or return "" if it is equal to within the accuracy of its dtype.

    `size` is the sum of the absolute values of the terms of `want`. Half precision accumulates in float32, and is
    rounded by up to half an ulp each time it is stored. `stored` is the sum of the magnitudes of all stored values.
    """
    got = np.asarray(got)
    if got.dtype != dtype or got.shape != want.shape:
        return f"{got.dtype}{list(got.shape)}, not {dtype}{list(want.shape)}"
    if not want.size:
        return ""
    allowed = np.broadcast_to(CLOSE["float32" if dtype in HALVES else dtype] * np.max(size), want.shape)
    if dtype in HALVES:
        info = jnp.finfo(dtype)
        allowed = allowed + float(info.eps) / 2 * stored + float(info.smallest_subnormal)
        got = got.astype(np.float64)
    excess = np.abs(got - want) - allowed
    if np.all(excess <= 0):
        return ""
    at = tuple(int(i) for i in np.unravel_index(np.argmax(excess), want.shape))
    return f"{got[at]}, not {want[at]} +- {allowed[at]:.3g}, at {at}"
