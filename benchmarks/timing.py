"""Fair timing: everything in one process, interleaved, whoever goes first rotating, the best of several rounds."""

import time
from collections.abc import Callable

Call = Callable[[], object]
SETTLED = 1.05  # between the times of one call, so that they count as equal
MORE = 4  # times the rounds asked for, where they do not


def fastest(
    calls: dict[str, Call], rounds: int = 5, same: tuple[str, ...] = (), batch: float = 0.02, patience: float = 30.0
) -> dict[str, float]:
    """The fewest seconds that each call took, over `rounds` rounds of all of them, and over up to four times as many
    while those in `same`, which are one call, differ by more than 5 %: then a neighbour of the machine was in the way,
    of all alike.

    In its turn a call is repeated for `batch` seconds, so that the first repetitions take what is left in the caches,
    and in the spinning threads, of the one before. After `patience` seconds in all no round begins but the third.
    """
    best = dict.fromkeys(calls, float("inf"))
    order, began = list(calls), time.perf_counter()
    for done in range(MORE * rounds):
        if done >= rounds and settled(best, same):
            break
        if done >= 3 and time.perf_counter() - began > patience:
            break
        for name in order[done % len(order) :] + order[: done % len(order)]:
            best[name] = min(best[name], _turn(calls[name], batch))
    return best


def settled(best: dict[str, float], same: tuple[str, ...]) -> bool:
    """Whether the times of those that are one call differ by 5 % at most."""
    alike = [best[name] for name in same]
    return not alike or max(alike) <= SETTLED * min(alike)


def _turn(call: Call, batch: float) -> float:
    best, began = float("inf"), time.perf_counter()
    while True:
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        best = min(best, end - start)
        if end - began >= batch:
            return best
