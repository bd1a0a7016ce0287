"""`python -m benchmarks.estimate --topology v5e:2x2`: what XLA's compiler expects of each algorithm on a TPU.

No TPU is needed: programs compile ahead of time. What they print is the compiler's own model of its program, and no
clock. Copies that run beside the arithmetic count nothing in it, loops of unknown length count once, and differences
below a factor of 2 mean nothing. So these numbers are never put beside timings.

The operands and results of a program have the layouts that the compiler likes best, as inside of a network. A compile
that takes longer than --limit is ended. The program can be stopped and started again: what is in the file is left out.

With `--topology cuda:h200` it compiles for an NVIDIA card, in an environment with `jax[cuda12]`, which is 5.5 GB. That
compiler gives no estimate, so kernels are counted, and temporary memory. Arrays have the layouts of the caller.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import cuda_target, hlo
from benchmarks.report import geometric_mean, write
from benchmarks.worker import Worker

RESULTS = Path(__file__).parent / "results"
CLOCK_HZ = {"v5e": 1.5e9}  # of the generations for which cycles are shown as microseconds too
QUIET = {  # settings of the compiler where there is no TPU, and those of jax as a user has them
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "0",
    "XLA_FLAGS": "",
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}
CUDA = "cuda:"  # before the name of a card, in place of a topology
AUTO = "auto"  # in place of the name of an algorithm: what convjax chooses
START_SECONDS = 120  # of a process that compiles


def sets() -> dict[str, tuple]:
    """The rows by the names of their sets."""
    from benchmarks.cases import BESIDE_ROWS
    from benchmarks.layers import SETS

    return SETS | {"beside": BESIDE_ROWS}


def card_of(topology: str) -> str | None:
    """The NVIDIA card in place of a topology, if it is one."""
    return topology.removeprefix(CUDA) if topology.startswith(CUDA) else None


# ---- one program ----


def compiled(topology: str, case, direction: str, algorithm: str) -> dict[str, Any] | None:
    """What the compiler says of one algorithm, or of the one that convjax chooses if that is AUTO.

    None if the algorithm does not support the operation. If AUTO is XLA's own convolution, its name alone.
    """
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

    card = card_of(topology)
    platform = "cuda" if card else "tpu"
    target = {"topology": "1x1x1", "target_config": cuda_target.text(card)} if card else {}
    device = topologies.get_topology_desc(platform=platform, topology_name=card or topology, **target).devices[0]
    x, w = case.structs()
    operands = x, w, jax.eval_shape(case, x, w)
    chosen = backends.jax_function(backends.conv_of("convjax", case), direction)
    equation, machine = tasks.equation(chosen, operands), generic(platform)
    problem = Problem(*equation, machine)
    if algorithm == AUTO:
        name = choose(problem).algorithm.name
        if name == "xla":
            return {"chosen": name}
        function, said = chosen, {"chosen": name}
    else:
        if why_unsupported(ALGORITHMS[algorithm], *equation, machine) is not None:
            return None
        forced = ((operation_of(problem), ((algorithm, 0),)),)
        function, said = backends.jax_function(backends.conv_of(forced, case), direction), {}
    best = SingleDeviceSharding(device) if card else Format(Layout.AUTO, SingleDeviceSharding(device))
    structs = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in operands]
    program = jax.jit(function, in_shardings=best, out_shardings=best)
    lowered = program.trace(*structs).lower(lowering_platforms=(platform,))
    start = time.perf_counter()
    made = lowered.compile()
    seconds = time.perf_counter() - start
    return said | {"compile_seconds": round(seconds, 2)} | (read_cuda if card else read)(made)


def read(program) -> dict[str, Any]:
    """The cycles, the kinds of convolution and the temporary memory of a compiled program."""
    text = program.as_text()
    return {
        "cycles": hlo.estimated_cycles(text),
        "emitters": sorted(set(re.findall(r'"emitter":"(\w+)"', text))),
        "temporary_bytes": program.memory_analysis().temp_size_in_bytes,
    }


def read_cuda(program) -> dict[str, Any]:
    """The number of kernels and the temporary memory of a compiled program."""
    temporaries = program.memory_analysis().temp_size_in_bytes
    return {"kernels": hlo.kernels(program.as_text()), "temporary_bytes": temporaries}


# ---- a process that compiles, and can be ended ----


def work(topology: str) -> None:
    """Compile what each line of JSON asks for."""
    by_name = {case.name: case for cases in sets().values() for case in cases}
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
    """Markdown: of each row, the estimate for XLA's convolution, for the choice and for the fastest that was tried."""
    kind = result["topology"].partition(":")[0]
    unit = "microseconds" if kind in CLOCK_HZ else "thousand cycles"
    lines = [
        f"# {result['topology']}: the compiler's estimate, no clock",
        "",
        f"jax {result['jax']}, libtpu {result['libtpu']}, {result['date']}. In {unit}"
        + (f" at {CLOCK_HZ[kind] / 1e9:g} GHz" if kind in CLOCK_HZ else "")
        + ". Differences below a factor of 2 mean nothing.",
        "",
        "| row | direction | XLA's convolution | convjax's choice | | XLA's / chosen | fastest tried | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (row, direction), found in by_row(result).items():
        xla, auto, best = found.get("xla", {}), found.get(AUTO, {}), fastest(found)
        name = auto.get("chosen", "")
        auto = xla if name == "xla" else auto
        times = gain(xla, auto)
        cells = [
            _shown(xla, kind),
            _shown(auto, kind),
            name,
            f"{times:.1f}x" if times else "",
            _shown(found.get(best, {}), kind),
        ]
        cells.append(name if best == AUTO else best)
        lines.append(f"| {row} | {direction} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cuda_table(result: dict[str, Any]) -> str:
    """Markdown: the kernels and the temporary memory of each program, for XLA's convolution and for the choice."""
    card = cuda_target.CARDS[card_of(result["topology"])]["name"]
    lines = [
        f"# {card}: kernels and temporary memory of compiled programs, nothing timed or tuned",
        "",
        f"jax {result['jax']}, jax-cuda12-plugin {result['jax-cuda12-plugin']}, {result['date']}. In parentheses MB.",
        "",
        "| row | direction | XLA's convolution | convjax's choice | |",
        "|---|---|---|---|---|",
    ]
    for (row, direction), found in by_row(result).items():
        xla, auto = found.get("xla", {}), found.get(AUTO, {})
        cells = [
            f"{each['kernels']} ({each['temporary_bytes'] / 1e6:.1f})" if "kernels" in each else each.get("error", "")
            for each in (xla, xla if auto.get("chosen") == "xla" else auto)
        ]
        lines.append(f"| {row} | {direction} | {' | '.join(cells)} | {auto.get('chosen', '')} |")
    return "\n".join(lines) + "\n"


def by_choice(result: dict[str, Any]) -> str:
    """Markdown: for each algorithm that convjax chooses, XLA's cycles over those of the choice."""
    gains: dict[str, list[float]] = {}
    slow: Counter[str] = Counter()
    for found in by_row(result).values():
        xla, auto = found["xla"], found[AUTO]
        name = auto["chosen"]
        cycles = xla.get("cycles") if name == "xla" else auto["cycles"]
        slow[name] += "cycles" not in xla
        gains.setdefault(name, [])
        if cycles and "cycles" in xla:
            gains[name].append(xla["cycles"] / cycles)
    lines = [
        "| convjax's choice | operations | XLA's estimate / that of the choice | least | most | XLA does not compile |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in sorted(gains.items(), key=lambda pair: -len(pair[1]) - slow[pair[0]]):
        mean = f"{geometric_mean(each):.1f}" if each else ""
        ends = (f"{min(each):.1f}", f"{max(each):.1f}") if each else ("", "")
        lines.append(f"| `{name}` | {len(each) + slow[name]} | {mean} | {' | '.join(ends)} | {slow[name] or ''} |")
    return "\n".join(lines)


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
    if "cycles" not in found:
        return ""
    return f"{found['cycles'] / CLOCK_HZ[kind] * 1e6:.0f}" if kind in CLOCK_HZ else f"{found['cycles'] / 1e3:.0f}"


def gain(xla: dict[str, Any], chosen: dict[str, Any]) -> float | None:
    """XLA's estimate divided by that of the choice, if there are both."""
    return xla["cycles"] / chosen["cycles"] if xla.get("cycles") and chosen.get("cycles") else None


def chart(result: dict[str, Any], path: Path) -> None:
    """XLA's convolution and convjax's choice, where that is another algorithm."""
    from matplotlib.figure import Figure

    kind = result["topology"].partition(":")[0]
    hertz = CLOCK_HZ.get(kind, 1e9)
    rows = {key: found for key, found in by_row(result).items() if "cycles" in found.get(AUTO, {})}
    figure = Figure(figsize=(10, 0.22 * len(rows) + 1.6), layout="constrained")
    axes = figure.subplots()
    for at, found in enumerate(rows.values()):
        chosen, xla = found[AUTO]["cycles"] / hertz * 1e6, found.get("xla", {}).get("cycles", 0) / hertz * 1e6
        if xla:
            axes.plot([chosen, xla], [at, at], color="0.75", linewidth=1.5, zorder=1)
            axes.scatter([xla], [at], s=26, color="#d1495b", label="XLA's convolution")
        else:
            axes.annotate("  XLA compiles its own convolution for too long", (chosen, at), va="center", fontsize=7.5)
        axes.scatter([chosen], [at], s=26, color="#1b6ca8", label="convjax's choice")
    axes.set_yticks(range(len(rows)), [f"{row}, {direction}" for row, direction in rows], fontsize=7.5)
    axes.set(xscale="log", xlabel="microseconds" if kind in CLOCK_HZ else "thousand cycles")
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", alpha=0.25)
    figure.suptitle(f"{result['topology']}: the compiler's estimate of its own programs, no clock", fontsize=11)
    legend = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if legend:
        figure.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=110)


# ---- the command ----


def main(options: argparse.Namespace) -> int:
    import datetime
    import importlib.metadata

    import tqdm

    from benchmarks.backends import DIRECTIONS
    from convjax._algorithms import ALGORITHMS

    every = sets()
    if unknown := set(options.sets) - set(every):
        print(f"--sets: no {', '.join(sorted(unknown))}; there are {', '.join(every)}", file=sys.stderr)
        return 2
    cases = [case for name in options.sets for case in every[name]]
    known = (AUTO, *ALGORITHMS)
    if unknown := set(options.algorithms) - set(known):
        print(f"--algorithms: no {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = [
        (case.name, direction, algorithm)
        for case in cases
        if any(word in case.name or word == case.family for word in options.rows)
        for direction in options.directions
        for algorithm in options.algorithms
    ]
    if not wanted or not set(options.directions) <= set(DIRECTIONS):
        print(f"--rows or --directions: none; directions are {', '.join(DIRECTIONS)}", file=sys.stderr)
        return 2
    card = card_of(options.topology)
    if card is not None and card not in cuda_target.CARDS:
        print(f"--topology {options.topology}: the cards are {', '.join(cuda_target.CARDS)}", file=sys.stderr)
        return 2
    compiler, extra = ("jax-cuda12-plugin", "jax[cuda12]") if card else ("libtpu", "-e '.[tpu]'")
    try:
        versions = {name: importlib.metadata.version(name) for name in ("jax", compiler)}
    except importlib.metadata.PackageNotFoundError:
        print(f"{compiler} is not installed: pip install {extra} in an environment of its own", file=sys.stderr)
        return 2
    name = options.topology.replace(":", "-")
    file = options.file or RESULTS / f"{f'{name}-kernels' if card else f'tpu-{name}'}.json"
    result: dict[str, Any] = {"topology": options.topology, **versions, "programs": []}
    if file.exists():
        result = json.loads(file.read_text())
        if any(result[name] != version for name, version in versions.items()) or result["topology"] != options.topology:
            print(f"{file} is of another topology or of other versions: name another --file", file=sys.stderr)
            return 2
    done = {(each["row"], each["direction"], each["algorithm"]) for each in result["programs"]}
    names = [case.name for each in every.values() for case in each]
    compile_in_time = Compiler(options.topology)
    try:
        for request in tqdm.tqdm([each for each in wanted if each not in done], unit="program", mininterval=10):
            found = compile_in_time(list(request), options.limit)
            row, direction, algorithm = request
            result["programs"].append({"row": row, "direction": direction, "algorithm": algorithm, "found": found})
            result["programs"].sort(key=lambda each: (names.index(each["row"]), DIRECTIONS.index(each["direction"])))
            result["date"] = datetime.date.today().isoformat()
            write(file, result)
    finally:
        compile_in_time.end()
    shown = cuda_table(result) if card else table(result)
    file.with_suffix(".md").write_text(shown)
    if card is None:
        chart(result, file.with_suffix(".png"))
    print(shown)
    return 0


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.estimate", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("--topology", default="v5e:2x2", help="such as v4:2x2, v5e:2x2, v6e:2x2, or cuda:h200")
    parser.add_argument(
        "--sets", type=_words, default=["rows"], help="rows, beside, layers, validation or losses, with commas"
    )
    parser.add_argument("--rows", type=_words, default=[""], help="parts of names, or families, with commas")
    parser.add_argument("--directions", type=_words, default=["forward", "input gradient", "weight gradient"])
    parser.add_argument(
        "--algorithms", type=_words, default=["xla", AUTO], help="names, with commas; auto: convjax's choice"
    )
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a compile (%(default)s)")
    parser.add_argument("--file", type=Path, help="where the numbers go, as JSON, with a table and a chart beside it")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(given)


if __name__ == "__main__":
    chosen = arguments()
    sys.exit(work(chosen.topology) if chosen.worker else main(chosen))
