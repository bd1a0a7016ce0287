"""`python -m benchmarks`: convjax against lax, torch, SciPy and its own algorithms, row by row, in one process."""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from benchmarks.timing import fastest, settled

# glibc gives freed pages back and faults them in again on the next call, whoever calls. For all backends alike it is
# told to keep them, which it reads before the process starts.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30), "MALLOC_TOP_PAD_": str(256 << 20),
             "MALLOC_ARENA_MAX": "1"}  # fmt: skip

DIRECTIONS = ("forward", "input gradient", "weight gradient", "gradient", "training step")
RESULTS = Path(__file__).parent / "results"
SAME = "convjax", "again"  # one call, which is timed as two
PROGRESS: dict[str, Any] = {"unit": "row", "disable": None}


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.split(": ", 1)[1])
    parser.add_argument(
        "--against",
        default="lax,torch",
        help='backends to time beside convjax: lax, torch, "algorithms" or the name of one; scipy, jax.scipy',
    )
    parser.add_argument("--rows", default="", help="only rows whose name or family holds one of these, with commas")
    parser.add_argument("--directions", default=",".join(DIRECTIONS), help="only these, with commas")
    parser.add_argument("--platform", default=None, choices=("cpu", "cuda"), help="what JAX's default is, else")
    parser.add_argument("--rounds", type=int, default=5, help="at least; more where a time is not settled")
    parser.add_argument("--name", default=None, help="of the files in --results, else platform and date")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON and the chart")
    parser.add_argument("--no-files", action="store_true", help="print the table alone")
    parser.add_argument(
        "--again",
        action="store_true",
        help="the files of --name hold another run of this code here: each call's fewest seconds of all runs count, for"
        " where a process lands its threads on the cores may last for minutes",
    )
    return parser.parse_args(given)


def versions(backends: list[str]) -> dict[str, str]:
    import jax
    import jaxlib

    import convjax

    found = {"python": platform.python_version(), "jax": jax.__version__, "jaxlib": jaxlib.__version__}
    found["convjax"] = convjax.__version__
    for name in ("torch", "scipy"):
        if name in backends:
            found[name] = importlib.import_module(name).__version__
    return found


def machine() -> dict[str, object]:
    import jax

    lines = [[part.strip() for part in line.split(":", 1)] for line in _lines("/proc/cpuinfo") if ":" in line]
    said = dict(reversed(lines))  # of the first core
    # A name such as "AMD EPYC" is borne by cores of several generations.
    which = [f"{key.removeprefix('cpu ')} {said[key]}" for key in ("cpu family", "model") if key in said]
    device = jax.devices()[0]
    return {
        "cpu": ", ".join([said.get("model name", platform.processor()), *which]),
        "cores": len(os.sched_getaffinity(0)),
        "device": device.device_kind if device.platform != "cpu" else "cpu",
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _timed(task, backends: list[str], rounds: int) -> dict[str, Any]:
    """A row of the result. convjax stands in it twice: what the two differ by is noise."""
    ready = {name: task.ready(name) for name in ("convjax", *backends)}
    ready = {name: r for name, r in ready.items() if r is not None}
    ready["again"] = ready["convjax"]
    return {
        "row": task.name,
        "family": task.family,
        "direction": task.direction,
        "algorithm": task.algorithm,
        "seconds": fastest({name: r.call for name, r in ready.items()}, rounds, SAME),
        "compile_seconds": {n: r.compile_seconds for n, r in ready.items() if r.compile_seconds},
        "program_of_lax": "lax" in ready and ready["lax"].program == ready["convjax"].program,
        "temporary_bytes": {n: r.temporary_bytes for n, r in ready.items() if r.temporary_bytes is not None},
    }


def fewest(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A row that was timed twice, with the fewer seconds of each call and of compiling it; the other, if another
    algorithm was timed there."""
    if other["algorithm"] != row["algorithm"]:
        return other
    least = lambda of: {name: min(value, other[of].get(name, value)) for name, value in row[of].items()}  # noqa: E731
    return {**row, "seconds": least("seconds"), "compile_seconds": least("compile_seconds")}


def main(options: argparse.Namespace) -> int:
    import jax
    import tqdm

    from benchmarks import report, tasks
    from convjax._algorithms import ALGORITHMS

    today = datetime.date.today().isoformat()
    here = "cuda" if jax.default_backend() == "gpu" else jax.default_backend()
    if options.platform not in (None, here):
        print(f"--platform {options.platform}: JAX runs on {here} here", file=sys.stderr)
        return 2
    backends = [b for name in options.against.split(",") for b in (ALGORITHMS if name == "algorithms" else [name])]
    unknown = [b for b in backends if b not in (*report.OTHERS, *ALGORITHMS)]
    if unknown:
        print(f"--against {unknown[0]}: not {', '.join((*report.OTHERS, 'algorithms', *ALGORITHMS))}", file=sys.stderr)
        return 2
    for name in ("torch", "scipy"):
        if name in backends and importlib.util.find_spec(name) is None:
            print(f"--against {name}: {name} is not installed", file=sys.stderr)
            return 2
    if "torch" in backends:
        import torch

        torch.set_grad_enabled(False)
    data, chart = (options.results / f"{options.name or f'{here}-{today}'}.{kind}" for kind in ("json", "png"))
    before = None
    if options.again:
        before = json.loads(data.read_text()) if data.exists() else {}
        if (before.get("machine"), before.get("versions")) != (machine(), versions(backends)):
            print(
                f"--again: {data} holds no run against {options.against} on this machine, of these versions",
                file=sys.stderr,
            )
            return 2
    words, directions = options.rows.split(","), options.directions.split(",")
    wanted = tasks.wanted(words, directions, backends)
    if not wanted:
        print(f"--rows {options.rows}: no row has such a name or family in these directions", file=sys.stderr)
        return 2

    rows = [_timed(tasks.task(*row, here), backends, options.rounds) for row in tqdm.tqdm(wanted, **PROGRESS)]
    # Those that a neighbour of the machine kept from settling once more: each call's fewest seconds count.
    noisy = [n for n, row in enumerate(rows) if not settled(row["seconds"], SAME)]
    for n in tqdm.tqdm(noisy, **PROGRESS):
        rows[n] = fewest(rows[n], _timed(tasks.task(*wanted[n], here), backends, options.rounds))
    about = {"date": today, "command": " ".join(["python -m benchmarks", *sys.argv[1:]]), "platform": here, "runs": 1}
    if before:
        whole = len(rows) == len(before["rows"])
        timed = {(row["row"], row["direction"]): row for row in rows}
        rows = [fewest(row, timed.pop((row["row"], row["direction"]), row)) for row in before["rows"]]
        rows += timed.values()
        about |= {"command": before["command"], "runs": before.get("runs", 1) + whole}
    result = {**about, "machine": machine(), "versions": versions(backends), "rows": rows}
    print(report.table(result))
    print(report.summary(result))
    if not options.no_files:
        options.results.mkdir(parents=True, exist_ok=True)
        data.write_text(json.dumps(result, indent=1) + "\n")
        drawn = [chart] if report.others(result) else []  # of algorithms alone there is nothing to draw
        for path in drawn:
            report.chart(result, path)
        print("written:", ", ".join(map(str, [data, *drawn])))
    return 0


if __name__ == "__main__":
    chosen = arguments()
    if any(os.environ.get(k) != v for k, v in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], os.environ | ALLOCATOR)
    sys.exit(main(chosen))
