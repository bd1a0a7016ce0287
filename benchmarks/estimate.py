"""`python -m benchmarks.estimate --topology v5e:2x2`: what XLA's compiler expects of each algorithm on a TPU.

No TPU is needed: programs compile ahead of time. What they print is the compiler's own model of its program, and no
clock. Copies that run beside the arithmetic count nothing in it, loops of unknown length count once, and differences
below a factor of 2 mean nothing. So these numbers are never put beside timings.

The operands and results of a program have the layouts that the compiler likes best, as inside of a network. A compile
that takes longer than --limit is ended. The program can be stopped and started again: what is in the file is left out.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.worker import Worker

RESULTS = Path(__file__).parent / "results"
CLOCK_HZ = {"v5e": 1.5e9}  # of the generations for which cycles are shown as microseconds too
QUIET = {  # settings of the compiler where there is no TPU
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
START_SECONDS = 120  # of a process that compiles


# ---- one program ----


def compiled(topology: str, case, direction: str, algorithm: str) -> dict[str, Any] | None:
    """What the compiler says of one algorithm, or None if it does not support the operation."""
    import jax
    from jax.experimental import topologies
    from jax.experimental.layout import Format, Layout
    from jax.sharding import SingleDeviceSharding

    from benchmarks import backends, tasks
    from convjax._algorithms import ALGORITHMS
    from convjax._choice.choose import choose, why_unsupported
    from convjax._choice.problem import Problem
    from convjax._choice.recorded import operation_of
    from convjax._machine import generic

    device = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices[0]
    x, w = case.structs()
    operands = x, w, jax.eval_shape(case, x, w)
    chosen = backends.jax_function(backends.conv_of("convjax", case), direction)
    equation, machine = tasks.equation(chosen, operands), generic("tpu")
    if why_unsupported(ALGORITHMS[algorithm], *equation, machine) is not None:
        return None
    problem = Problem(*equation, machine)
    forced = ((operation_of(problem), ((algorithm, 0),)),)
    function = backends.jax_function(backends.conv_of(forced, case), direction)
    best = Format(Layout.AUTO, SingleDeviceSharding(device))
    structs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in operands]
    program = jax.jit(function, in_shardings=best, out_shardings=best)
    lowered = program.trace(*structs).lower(lowering_platforms=("tpu",))
    start = time.perf_counter()
    made = lowered.compile()
    seconds = time.perf_counter() - start
    return {"chosen": choose(problem).algorithm.name == algorithm, "compile_seconds": round(seconds, 2)} | read(made)


def read(program) -> dict[str, Any]:
    """The cycles, the kinds of convolution and the temporary memory of a compiled program."""
    text = program.as_text()
    return {
        "cycles": sum(map(int, re.findall(r'"estimated_cycles":"(\d+)"', text))),
        "emitters": sorted(set(re.findall(r'"emitter":"(\w+)"', text))),
        "temporary_bytes": program.memory_analysis().temp_size_in_bytes,
    }


# ---- a process that compiles, and can be ended ----


def work(topology: str) -> None:
    """Compile what each line of JSON asks for."""
    from benchmarks.cases import ROWS

    by_name = {case.name: case for case in ROWS}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, direction, algorithm = json.loads(line)
        try:
            found = compiled(topology, by_name[name], direction, algorithm)
        except Exception as error:  # the compiler's, of which there are many kinds
            found = {"error": str(error).splitlines()[0][:200]}
        print(json.dumps(found), flush=True)


class Compiler:
    """A process that compiles, started anew after a compile that took too long or ended it."""

    def __init__(self, topology: str) -> None:
        self.topology = topology
        self.worker: Worker | None = None

    def __call__(self, request: list[str], limit_seconds: float) -> dict[str, Any] | None:
        if self.worker is None:
            self.worker = Worker("benchmarks.estimate", "--topology", self.topology, "--worker", environment=QUIET)
            self.worker.answer(START_SECONDS)  # that it is ready
        self.worker.ask(request)
        try:
            return self.worker.answer(limit_seconds)
        except TimeoutError:
            error = f"not compiled within {limit_seconds:g} s"
        except EOFError:
            error = "the compiler ended its process"
        self.worker = None
        return {"error": error}

    def end(self) -> None:
        if self.worker is not None:
            self.worker.end()


# ---- the report ----


def table(result: dict[str, Any]) -> str:
    """Markdown: of each row, the estimate for XLA's convolution, for the choice and for the best other algorithm."""
    kind = result["topology"].partition(":")[0]
    unit = "microseconds" if kind in CLOCK_HZ else "thousand cycles"
    lines = [
        f"# {result['topology']}: the compiler's estimate, no clock",
        "",
        f"jax {result['jax']}, libtpu {result['libtpu']}, {result['date']}. In {unit}"
        + (f" at {CLOCK_HZ[kind] / 1e9:g} GHz" if kind in CLOCK_HZ else "")
        + ". Differences below a factor of 2 mean nothing.",
        "",
        "| row | direction | XLA's convolution | chosen | | best | | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (row, direction), found in by_row(result).items():
        shown = {name: _shown(each, kind) for name, each in found.items()}
        chosen = next((name for name, each in found.items() if each.get("chosen")), "")
        best = fastest(found)
        gain = _gain(found, best)
        cells = (row, direction, shown.get("xla", ""), shown.get(chosen, ""), chosen, shown.get(best, ""), best, gain)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def by_row(result: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for each in result["programs"]:
        if each["found"] is not None:
            rows.setdefault((each["row"], each["direction"]), {})[each["algorithm"]] = each["found"]
    return rows


def fastest(found: dict[str, Any]) -> str:
    """The algorithm with the fewest cycles, "" if none has any."""
    known = {name: each["cycles"] for name, each in found.items() if each.get("cycles")}
    return min(known, key=known.__getitem__) if known else ""


def _shown(found: dict[str, Any], kind: str) -> str:
    if "error" in found:
        return found["error"] if found["error"].startswith("not compiled") else "error"
    return f"{found['cycles'] / CLOCK_HZ[kind] * 1e6:.0f}" if kind in CLOCK_HZ else f"{found['cycles'] / 1e3:.0f}"


def _gain(found: dict[str, Any], best: str) -> str:
    cycles = found.get("xla", {}).get("cycles")
    return f"{cycles / found[best]['cycles']:.1f}x" if cycles and best else ""


def chart(result: dict[str, Any], path: Path) -> None:
    """One dot per row and direction: XLA's cycles over those of the best algorithm."""
    from matplotlib.figure import Figure

    rows = {
        key: found for key, found in by_row(result).items() if found.get("xla", {}).get("cycles") and fastest(found)
    }
    names = list(dict.fromkeys(row for row, _ in rows))
    figure = Figure(figsize=(9, 0.24 * len(names) + 1.6), layout="constrained")
    axes = figure.subplots()
    colours = {"forward": "#1b6ca8", "input gradient": "#d1495b", "weight gradient": "#edae49"}
    for direction, colour in colours.items():
        points = [
            (found["xla"]["cycles"] / found[fastest(found)]["cycles"], names.index(row))
            for (row, which), found in rows.items()
            if which == direction
        ]
        axes.scatter([p[0] for p in points], [p[1] for p in points], s=22, color=colour, label=direction)
    axes.set(xscale="log", yticks=range(len(names)), yticklabels=names)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.axvline(5, color="black", linewidth=1, linestyle=":")
    axes.grid(axis="x", which="both", alpha=0.25)
    axes.set_title(f"{result['topology']}: XLA's convolution / the best algorithm, in the compiler's cycles (no clock)")
    axes.legend()
    figure.savefig(path, dpi=110)


# ---- the command ----


def main(options: argparse.Namespace) -> int:
    import datetime
    import importlib.metadata

    import tqdm

    from benchmarks.backends import DIRECTIONS
    from benchmarks.cases import ROWS
    from convjax._algorithms import ALGORITHMS

    if unknown := set(options.algorithms) - set(ALGORITHMS):
        print(f"--algorithms: no {', '.join(sorted(unknown))}; there are {', '.join(ALGORITHMS)}", file=sys.stderr)
        return 2
    wanted = [
        (case.name, direction, algorithm)
        for case in ROWS
        if any(word in case.name or word == case.family for word in options.rows)
        for direction in options.directions
        for algorithm in options.algorithms or ALGORITHMS
    ]
    if not wanted or not set(options.directions) <= set(DIRECTIONS):
        print(f"--rows or --directions: none; directions are {', '.join(DIRECTIONS)}", file=sys.stderr)
        return 2
    try:
        versions = {name: importlib.metadata.version(name) for name in ("jax", "libtpu")}
    except importlib.metadata.PackageNotFoundError:
        print("libtpu is not installed: pip install -e '.[tpu]' in an environment of its own", file=sys.stderr)
        return 2
    file = options.file or RESULTS / f"tpu-{options.topology.replace(':', '-')}.json"
    result: dict[str, Any] = {"topology": options.topology, **versions, "programs": []}
    if file.exists():
        result = json.loads(file.read_text())
        if any(result[name] != version for name, version in versions.items()) or result["topology"] != options.topology:
            print(f"{file} is of another topology or of other versions: name another --file", file=sys.stderr)
            return 2
    done = {(each["row"], each["direction"], each["algorithm"]) for each in result["programs"]}
    compiler = Compiler(options.topology)
    try:
        for request in tqdm.tqdm([each for each in wanted if each not in done], unit="program", mininterval=10):
            found = compiler(list(request), options.limit)
            row, direction, algorithm = request
            result["programs"].append({"row": row, "direction": direction, "algorithm": algorithm, "found": found})
            result["date"] = datetime.date.today().isoformat()
            whole = file.with_suffix(".new")
            whole.write_text(json.dumps(result, indent=1) + "\n")
            whole.replace(file)
    finally:
        compiler.end()
    file.with_suffix(".md").write_text(table(result))
    chart(result, file.with_suffix(".png"))
    print(table(result))
    return 0


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.estimate", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("--topology", default="v5e:2x2", help="such as v4:2x2, v5e:2x2, v5p:2x2x1 or v6e:2x2")
    parser.add_argument("--rows", type=_words, default=[""], help="parts of names, or families, with commas")
    parser.add_argument("--directions", type=_words, default=["forward", "input gradient", "weight gradient"])
    parser.add_argument("--algorithms", type=_words, default=[], help="names, with commas; all of them by default")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a compile (%(default)s)")
    parser.add_argument("--file", type=Path, help="where the numbers go, as JSON, with a table and a chart beside it")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(given)


if __name__ == "__main__":
    chosen = arguments()
    sys.exit(work(chosen.topology) if chosen.worker else main(chosen))
