"""How far the choice is from the fastest algorithm, over the recorded timings.

`python -m benchmarks.regret` prints a summary, and writes it with every loss to `results/choices.md`. Regret is the
time of the chosen algorithm divided by the time of the fastest one.
"""

import json
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import jax

from benchmarks import backends, tasks
from benchmarks.choices import FILE, SETS
from benchmarks.report import TORCH, geometric_mean
from convjax._algorithms import ALGORITHMS
from convjax._choice.choose import choose
from convjax._choice.problem import Problem
from convjax._machine import Machine

MEASURED = Machine()  # describes the machine of the timings: 2 cores, jax 0.10
NAMES = {"losses": "known losses", "rows": "common shapes", "layers": "layers tuned on", "validation": "other models"}


class Choice(NamedTuple):
    row: str
    direction: str
    chosen: str
    fastest: str
    seconds: dict[str, float]

    @property
    def regret(self) -> float:
        return self.seconds[self.chosen] / self.seconds[self.fastest]

    def times(self, *others: str) -> float | None:
        """The time of the fastest of these backends, divided by the time of the chosen algorithm."""
        found = [self.seconds[name] for name in others if name in self.seconds]
        return min(found) / self.seconds[self.chosen] if len(found) == len(others) else None


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text().splitlines()]


def choices(parts: Iterable[str]) -> list[Choice]:
    """What is chosen today for every recorded row of these sets, the largest regret first."""
    cases = {case.name: case for part in parts for case in SETS[part]}
    found = []
    for row in recorded():
        if row["row"] not in cases:
            continue
        problem = _problem(cases[row["row"]].name, row["direction"])
        seconds = {name: s for name, s in row["seconds"].items() if name in ALGORITHMS}
        chosen = choose(problem).algorithm.name
        found.append(
            Choice(row["row"], row["direction"], chosen, min(seconds, key=seconds.__getitem__), row["seconds"])
        )
    return sorted(found, key=lambda choice: -choice.regret)


@cache
def _problem(name: str, direction: str) -> Problem:
    case = next(case for part in SETS.values() for case in part if case.name == name)
    operands = [*case.structs(), jax.eval_shape(case, *case.structs())]
    spec, x, w = tasks.equation(backends.jax_function(backends.conv_of("convjax", case), direction), operands)
    return Problem(spec, x, w, MEASURED)


def summary() -> str:
    lines = [
        "| rows | operations | regret | 95 % below | worst | times lax | times torch's better layout |",
        "|---|---|---|---|---|---|---|",
    ]
    for part, name in NAMES.items():
        found = choices([part])
        values = [choice.regret for choice in found]
        cells = [f"{geometric_mean(values):.3f}", f"{values[len(values) // 20]:.2f}", f"{values[0]:.2f}"]
        for others in (("lax",), TORCH):
            times = [t for choice in found if (t := choice.times(*others)) is not None]
            cells.append(f"{geometric_mean(times):.2f}" if times else "")
        lines.append(f"| {name} | {len(found)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def losses() -> str:
    """Every operation with a regret above 1.25, or slower than lax by a twentieth."""
    lines = ["| row | direction | chosen | fastest | regret | times lax |", "|---|---|---|---|---|---|"]
    for choice in choices(SETS):
        lax = choice.times("lax")
        if choice.regret > 1.25 or (lax is not None and lax < 0.95):
            cells = [choice.row, choice.direction, choice.chosen, choice.fastest, f"{choice.regret:.2f}"]
            lines.append(f"| {' | '.join(cells)} | {'' if lax is None else f'{lax:.2f}'} |")
    return "\n".join(lines)


def main() -> int:
    about = recorded()[0]
    head = f"{about['cores']} cores of {about['processor']}, jax {about['jax']}."
    text = f"{head}\n\n{summary()}\n\nRegrets above 1.25, and what is slower than lax:\n\n{losses()}\n"
    FILE.with_suffix(".md").write_text(text)
    print(summary())
    return 0


if __name__ == "__main__":
    sys.exit(main())
