"""`python -m benchmarks.choices`: time every algorithm on every row, and write one line of JSON per row and direction.

`tests/choice/test_regret.py` reads the file. The program can be stopped and started again: rows that are in the file
are left out.
"""

import argparse
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.__main__ import ALLOCATOR, RESULTS, SAME, machine, versions
from benchmarks.layers import SETS
from benchmarks.report import TORCH
from benchmarks.timing import fastest
from benchmarks.worker import Worker

FILE = RESULTS / "choices.jsonl"
OTHERS = ("lax", *TORCH)
KEPT = (*SAME, *OTHERS)  # calls that are timed in every round, however slow they are
LIMIT_SECONDS = 30  # an algorithm that takes longer to compile and run once is not timed
MAX_MULTIPLY_ADDS_RATIO = 30  # nor is one with more times the multiply-adds of the definition; tune has a lower limit


def timed(case, direction: str, too_slow: list[str]) -> dict[str, Any]:
    from benchmarks import tasks
    from convjax._algorithms import ALGORITHMS
    from convjax._operation.measure import LOOPS, MAX_LOOP_MULTIPLY_ADDS

    task = tasks.task(case, direction, "cpu")
    counts = tasks.multiply_adds(case, direction)
    definition = counts["xla"]
    left_out = [name for name in LOOPS if definition > MAX_LOOP_MULTIPLY_ADDS]
    left_out += [name for name, count in counts.items() if count > MAX_MULTIPLY_ADDS_RATIO * definition]
    ready, seconds = {}, {}
    for name in ("convjax", *OTHERS, *ALGORITHMS):
        if name in left_out or name in too_slow:
            continue
        print(json.dumps({"starts": name}), flush=True)
        made = task.ready(name)
        if made is not None:
            ready[name] = made
            made.call()
    print(json.dumps({"starts": None}), flush=True)
    calls = {name: r.call for name, r in ready.items()}
    calls["again"] = calls["convjax"]
    seconds = fastest(calls, rounds=1, batch=0.01)
    # The closer a call comes to the fastest, the longer it is timed.
    for times, rounds in ((4, 2), (1.6, 5)):
        close = times * min(s for name, s in seconds.items() if not name.startswith("torch"))
        near = {name: call for name, call in calls.items() if name in KEPT or seconds[name] <= close}
        again = fastest(near, rounds, same=SAME, patience=10.0)
        seconds |= {name: min(s, seconds[name]) for name, s in again.items()}
    return {
        "row": task.name,
        "direction": direction,
        "chosen": task.algorithm,
        "program_of_lax": ready["lax"].program == ready["convjax"].program if "lax" in ready else False,
        "compile_seconds": round(ready["convjax"].compile_seconds, 3),
        "too_slow": [*too_slow, *left_out],
        "seconds": {name: float(f"{s:.4g}") for name, s in seconds.items()},
    }


def work() -> None:
    """Time each row that a line of JSON asks for."""
    import torch

    torch.set_grad_enabled(False)
    found = machine()
    about = {"processor": found["cpu"], "cores": found["cores"], "date": datetime.date.today().isoformat()}
    about |= {name: version for name, version in versions(["torch"]).items() if name in ("jax", "torch")}
    by_name = {case.name: case for part in SETS.values() for case in part}
    for line in sys.stdin:
        name, direction, too_slow = json.loads(line)
        print(json.dumps(timed(by_name[name], direction, too_slow) | about), flush=True)


def row(worker: Worker, name: str, direction: str, too_slow: list[str]) -> dict[str, Any] | str:
    """Time a row. Return its line, or the name of the algorithm that took too long or ended the process."""
    worker.ask([name, direction, too_slow])
    starts = "convjax"
    while True:
        try:
            line = worker.answer(300 if starts is None else LIMIT_SECONDS)
        except (TimeoutError, EOFError):
            return starts or "timing"
        if "starts" not in line:
            return line
        starts = line["starts"]


def main(only: str, file: Path) -> int:
    import tqdm

    from benchmarks.backends import DIRECTIONS

    lines = file.read_text().splitlines() if file.exists() else []
    done = {(row["row"], row["direction"]) for row in map(json.loads, lines)}
    cases = [case for part in only.split(",") for case in SETS[part]]
    left = [(case.name, d) for case in cases for d in DIRECTIONS if (case.name, d) not in done]
    worker = Worker("benchmarks.choices", "--worker")
    for name, direction in tqdm.tqdm(left, unit="row", mininterval=30):
        too_slow: list[str] = []
        while isinstance(line := row(worker, name, direction, too_slow), str):
            too_slow.append(line)
            worker = Worker("benchmarks.choices", "--worker")
            if len(too_slow) > 6:
                break
        else:
            with file.open("a") as out:
                out.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    if any(os.environ.get(k) != v for k, v in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.choices", *sys.argv[1:]], os.environ | ALLOCATOR)
    parser = argparse.ArgumentParser("python -m benchmarks.choices", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--only", default=",".join(SETS), help="sets of rows, with commas")
    parser.add_argument("--file", type=Path, default=FILE, help="where the lines go")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.exit(work() if options.worker else main(options.only, options.file))
