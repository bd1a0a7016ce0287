"""`python -m benchmarks`: convjax against lax, torch, SciPy and its own algorithms, row by row, in one process."""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.timing import fastest, settled

# By default, glibc returns freed pages to the system, and the next call of any backend causes page faults to get new
# ones. With these settings glibc keeps the pages, for all backends alike. It reads them when the process starts.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30), "MALLOC_TOP_PAD_": str(256 << 20),
             "MALLOC_ARENA_MAX": "1"}  # fmt: skip

DIRECTIONS = ("forward", "input gradient", "weight gradient", "gradient", "training step")
RESULTS = Path(__file__).parent / "results"
SAME = "convjax", "again"  # the same call, timed under two names
PROGRESS: dict[str, Any] = {"unit": "row", "disable": None}


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__.split(": ", 1)[1])
    parser.add_argument(
        "--against",
        default="lax,torch,torch channels last",
        help='backends to time beside convjax: lax, torch, "torch channels last", "algorithms" or the name of one,'
        " scipy, jax.scipy",
    )
    parser.add_argument(
        "--rows",
        default="",
        help="only rows with one of these words in their name, or as their family, separated by commas",
    )
    parser.add_argument(
        "--sets",
        default="rows",
        help="rows (common shapes, networks), layers (of published models, to tune on), validation (of other models)"
        " or losses, separated by commas",
    )
    parser.add_argument(
        "--memory-format", default="contiguous", help="contiguous (NCHW), channels_last (NHWC), or both with a comma"
    )
    parser.add_argument(
        "--images", type=int, default=None, help="the number of images in every layer, instead of the row's own"
    )
    parser.add_argument("--directions", default=",".join(DIRECTIONS), help="only these, separated by commas")
    parser.add_argument("--platform", default=None, choices=("cpu", "cuda"), help="default: JAX's default backend")
    parser.add_argument(
        "--rounds", type=int, default=5, help="minimum number of rounds; a time that is not settled takes more"
    )
    parser.add_argument(
        "--dtypes",
        default="float32",
        help="dtypes of the rows, with commas: float32, bfloat16, and float32_highest, which is float32 without TF32,"
        " to which an NVIDIA card rounds it by default",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=None,
        help="stop after so long; the families of rows take turns until then, and with --again new rows come first",
    )
    parser.add_argument("--name", default=None, help="name of the files in --results (default: platform and date)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON and the chart")
    parser.add_argument("--no-files", action="store_true", help="print the table only")
    parser.add_argument(
        "--again",
        action="store_true",
        help="merge with the files of --name, which hold another run of this code on this machine. The shortest time of"
        " each call counts, because a process may place its threads badly on the cores for minutes",
    )
    return parser.parse_args(given)


def command(given: list[str]) -> str:
    """The command line without --results, because a folder of one machine is of no use on another."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--results")
    return shlex.join(["python", "-m", "benchmarks", *parser.parse_known_args(given)[1]])


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

    lines = [[part.strip() for part in line.split(":", 1)] for line in _read_lines("/proc/cpuinfo") if ":" in line]
    first_core = dict(reversed(lines))  # the first of equal keys wins
    # Cores of several generations have the same name, such as "AMD EPYC".
    generation = [
        f"{key.removeprefix('cpu ')} {first_core[key]}" for key in ("cpu family", "model") if key in first_core
    ]
    device = jax.devices()[0]
    return {
        "cpu": ", ".join([first_core.get("model name", platform.processor()), *generation]),
        "cores": len(os.sched_getaffinity(0)),
        "device": device.device_kind if device.platform != "cpu" else "cpu",
    }


def _read_lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _time_row(task, backends: list[str], rounds: int) -> dict[str, Any]:
    """Time one row. convjax is timed twice, and the difference between the two times is noise."""
    ready = {name: task.ready(name) for name in ("convjax", *backends)}
    ready = {name: r for name, r in ready.items() if r is not None}
    ready["again"] = ready["convjax"]
    seconds = fastest({name: r.call for name, r in ready.items()}, rounds, SAME)
    return {
        "row": task.name,
        "family": task.family,
        "direction": task.direction,
        "algorithm": task.algorithm,
        "seconds": {name: t / ready[name].calls for name, t in seconds.items()},
        "compile_seconds": {n: r.compile_seconds for n, r in ready.items() if r.compile_seconds},
        "program_of_lax": "lax" in ready and ready["lax"].program == ready["convjax"].program,
        "temporary_bytes": {n: r.temporary_bytes for n, r in ready.items() if r.temporary_bytes is not None},
    }


def fewest(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Merge two timings of a row: the fewer seconds of each call and of its compilation.

    If the two timed different algorithms, the result is `other`.
    """
    if other["algorithm"] != row["algorithm"]:
        return other
    least = lambda of: {name: min(value, other[of].get(name, value)) for name, value in row[of].items()}  # noqa: E731
    return {**row, "seconds": least("seconds"), "compile_seconds": least("compile_seconds")}


def with_earlier(rows: list[dict[str, Any]], before: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an earlier run with the fewest seconds of both, and then the rows that it does not have."""
    timed = {(row["row"], row["direction"]): row for row in rows}
    return [fewest(row, timed.pop((row["row"], row["direction"]), row)) for row in before["rows"]] + [*timed.values()]


def about_both(rows: list[dict[str, Any]], before: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    is_complete = len(rows) == len(before["rows"])
    return about | {"command": before["command"], "runs": before.get("runs", 1) + is_complete}


def main(options: argparse.Namespace) -> int:
    import jax
    import tqdm

    from benchmarks import report, tasks
    from convjax._algorithms import ALGORITHMS

    today = datetime.date.today().isoformat()
    here = "cuda" if jax.default_backend() == "gpu" else jax.default_backend()
    if options.platform not in (None, here):
        print(f"--platform {options.platform}: JAX runs on {here}", file=sys.stderr)
        return 2
    backends = [b for name in options.against.split(",") for b in (ALGORITHMS if name == "algorithms" else [name])]
    unknown = [b for b in backends if b not in (*report.OTHERS, *ALGORITHMS)]
    if unknown:
        print(
            f"--against {unknown[0]}: not one of {', '.join((*report.OTHERS, 'algorithms', *ALGORITHMS))}",
            file=sys.stderr,
        )
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
                f"--again: {data} has no run against {options.against} on this machine with these versions",
                file=sys.stderr,
            )
            return 2
    words, directions = options.rows.split(","), options.directions.split(",")
    sets, formats, dtypes = (given.split(",") for given in (options.sets, options.memory_format, options.dtypes))
    lists = ("sets", sets, tasks.SETS), ("memory-format", formats, tasks.FORMATS), ("dtypes", dtypes, tasks.DTYPES)
    for name, given, known in lists:
        unknown = [word for word in given if word not in known]
        if unknown:
            print(f"--{name} {unknown[0]}: not one of {', '.join(known)}", file=sys.stderr)
            return 2
    wanted = tasks.wanted(words, directions, backends, sets, formats, dtypes, options.images)
    if not wanted:
        print(f"--rows {options.rows}: no row has such a name or family in these directions", file=sys.stderr)
        return 2

    about = {"date": today, "command": command(sys.argv[1:]), "platform": here, "runs": 1}

    def result_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
        merged, said = (with_earlier(rows, before), about_both(rows, before, about)) if before else (rows, about)
        return {**said, "machine": machine(), "versions": versions(backends), "rows": merged}

    end = float("inf")
    if options.minutes is not None:
        timed = {(row["row"], row["direction"]) for row in before["rows"]} if before else ()
        wanted, end = tasks.families_in_turn(wanted, timed), time.monotonic() + 60 * options.minutes
    rows: list[dict[str, Any]] = []
    for row in tqdm.tqdm(wanted, **PROGRESS):
        if time.monotonic() >= end:
            break
        rows.append(_time_row(tasks.task(*row, here), backends, options.rounds))
        if options.minutes is not None and not options.no_files:  # a lent machine may be taken back at any time
            report.write(data, result_of(rows))
    # Another process on the machine may have kept a time from settling. Such rows are timed again, and each call's
    # fewest seconds count.
    noisy = [n for n, row in enumerate(rows) if not settled(row["seconds"], SAME)]
    for n in tqdm.tqdm(noisy if options.minutes is None else [], **PROGRESS):
        rows[n] = fewest(rows[n], _time_row(tasks.task(*wanted[n], here), backends, options.rounds))
    result = result_of(rows)
    print(report.table(result))
    print(report.summary(result))
    if not options.no_files:
        report.write(data, result)
        drawn = [chart] if report.others(result) else []  # there is nothing to draw if only algorithms were timed
        for path in drawn:
            report.chart(result, path)
        print("written:", ", ".join(map(str, [data, *drawn])))
    return 0


if __name__ == "__main__":
    chosen = arguments()
    if any(os.environ.get(k) != v for k, v in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], os.environ | ALLOCATOR)
    sys.exit(main(chosen))
