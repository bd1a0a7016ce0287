"""Fair timing: all calls in one process, interleaved in rotating order, and the fastest of several rounds."""

import time
from collections.abc import Callable

from convjax._operation.measure import time_batch

Call = Callable[[], object]
_SETTLED_RATIO = 1.05  # largest ratio between two times of the same call that count as equal
_MAX_ROUNDS_FACTOR = 4  # maximum number of rounds, in multiples of the number asked for


def fastest(
    calls: dict[str, Call], rounds: int = 5, same: tuple[str, ...] = (), batch: float = 0.02, patience: float = 30.0
) -> dict[str, float]:
    """Return the fewest seconds that each call took over `rounds` rounds of all calls.

    The names in `same` are the same call. While their times differ by more than 5 %, another process on the machine is
    disturbing all calls alike, and up to four times as many rounds are run.

    In each round a call is repeated for `batch` seconds, so that only its first repetitions are affected by the caches
    and the spinning threads that the call before left behind. After `patience` seconds no new round begins, but there
    are at least three rounds, or `rounds` if that is fewer.
    """
    best = dict.fromkeys(calls, float("inf"))
    order, began = list(calls), time.perf_counter()
    for done in range(_MAX_ROUNDS_FACTOR * rounds):
        if done >= rounds and settled(best, same):
            break
        if done >= 3 and time.perf_counter() - began > patience:
            break
        for name in order[done % len(order) :] + order[: done % len(order)]:
            best[name] = min(best[name], time_batch(calls[name], batch))
    return best


def settled(best: dict[str, float], same: tuple[str, ...]) -> bool:
    """Whether the times of the names in `same`, which are the same call, differ by at most 5 %."""
    alike = [best[name] for name in same]
    return not alike or max(alike) <= _SETTLED_RATIO * min(alike)
