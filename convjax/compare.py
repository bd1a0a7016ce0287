"""`compare`: times a function as it is and accelerated, and compares what the two return."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from convjax._arguments.values import integer
from convjax._operation.measure import time_batch
from convjax.accelerate import accelerate, compiled


class Comparison(NamedTuple):
    """What `convjax.accelerate` changes for one function and its arguments."""

    seconds: float  # of a call of the accelerated function
    seconds_before: float  # of a call of the function under `jax.jit`
    first_seconds: float  # of the first call, which traces and compiles, of the accelerated function
    first_seconds_before: float
    difference: float  # the largest between two results, in multiples of the largest number in their array

    def __str__(self) -> str:
        return (
            f"{1e3 * self.seconds_before:.3g} ms, accelerated {1e3 * self.seconds:.3g} ms: "
            f"{self.seconds_before / self.seconds:.3g} times as fast\n"
            f"first call {self.first_seconds_before:.3g} s, accelerated {self.first_seconds:.3g} s\n"
            f"largest difference {self.difference:.2g} of the largest result"
        )


def compare(
    f: Callable,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    memory_format: str | None = None,
    rounds: int = 5,
) -> Callable[..., Comparison]:
    """What `convjax.accelerate(f)` gains on this machine: both are run and timed in turns, and their results compared.

    Args:
      f, static_argnums, static_argnames, memory_format: as in `convjax.accelerate`.
      rounds: how many times each is timed. The shortest time counts.

    Returns:
      A function of the arguments of f. It returns a `Comparison`, to print or to read.

    Raises:
      TypeError, ValueError: as `convjax.accelerate`, and if `rounds` is below 1.

    >>> import convjax, jax, jax.numpy as jnp
    >>> def layer(x, w):
    ...     return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    >>> found = convjax.compare(layer, rounds=1)(jnp.ones((1, 8, 8, 16)), jnp.ones((3, 3, 16, 16)))
    >>> found.difference < 1e-6
    True
    """
    rounds = integer("compare", "rounds", rounds, 1)
    before = compiled("compare", f, static_argnums, static_argnames)
    after = accelerate(f, static_argnums=static_argnums, static_argnames=static_argnames, memory_format=memory_format)

    @functools.wraps(f, updated=())
    def compared(*args, **kwargs) -> Comparison:
        calls = [lambda g=g: jax.block_until_ready(g(*args, **kwargs)) for g in (after, before)]
        first, results = [], []
        for call in calls:
            began = time.perf_counter()
            results.append(call())
            first.append(time.perf_counter() - began)
        best = [float("inf")] * 2
        for n in range(rounds):
            for i in (0, 1) if n % 2 else (1, 0):
                best[i] = min(best[i], time_batch(calls[i], _BATCH_SECONDS))
        return Comparison(best[0], best[1], first[0], first[1], _difference(*results))

    return compared


_BATCH_SECONDS = 0.05  # a call is repeated for so long before the other is timed


def _difference(got: Any, want: Any) -> float:
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True)
    numbers = [(_number(a), _number(b)) for a, b in pairs if hasattr(a, "dtype") and np.size(a)]
    return max((float(abs(a - b).max() / max(abs(b).max(), 1e-30)) for a, b in numbers), default=0.0)


def _number(a: Any) -> np.ndarray:
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a = jax.random.key_data(a)
    a = np.asarray(a)
    return a if np.iscomplexobj(a) else a.astype(np.float64)
