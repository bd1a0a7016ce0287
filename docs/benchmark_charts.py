"""The data and the library of the charts of `benchmarks.md`: conf.py calls `write` after a build."""

import argparse
import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from benchmarks import __main__ as command_line
from benchmarks import estimate, report, tasks

BETTER_TORCH = "torch in its faster layout"
XLA, CHOICE = "XLA's convolution", "convjax's choice"
SETS = {
    "rows": "common shapes",
    "layers": "layers of models on which choices are tuned",
    "validation": "layers of models on which no choice is tuned",
    "beside": "shapes beside the common ones",
}
NOTES = {
    "cpu-2-cores-zen-4": "an older version of convjax",
    "cpu-2-cores-nhwc-start": "convjax before it had this memory format",
    "cuda-h200": "the choices were corrected after this run",
    "cuda-h200-single-calls": "each call is waited for",
}
DTYPES = {
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "float32_highest": "float32 without TF32",
    "f64": "float64",
    "uint8": "uint8",
}
KINDS = {
    re.sub(", batch .*", "", case.name): tasks.kind_of_layer(case) for each in estimate.sets().values() for case in each
}


def write(out: Path) -> None:
    """Write the data and plotly's script below out/_static/benchmarks. A script, for pages without a server."""
    folder = out / "_static" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(files(), separators=(",", ":"), allow_nan=False)
    (folder / "data.js").write_text(f"window.convjaxBenchmarks = {text};\n")
    plotly = Path(importlib.util.find_spec("plotly").origin).parent
    shutil.copyfile(plotly / "package_data" / "plotly.min.js", folder / "plotly.min.js")


def files(folder: Path = estimate.RESULTS) -> list[dict[str, Any]]:
    """What the charts need of every result file, timings first. Files with neither times nor cycles are left out."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"), key=lambda p: p.stem)}
    timed = [timings(name, result) for name, result in results.items() if "rows" in result]
    return timed + [
        estimates(n, r) for n, r in results.items() if "rows" not in r and not estimate.card_of(r["topology"])
    ]


def timings(name: str, result: dict[str, Any]) -> dict[str, Any]:
    beside = report.others(result)
    opponents = {report.OTHERS[b][0]: (b,) for b in beside}
    if set(report.TORCH) <= set(beside):
        opponents[BETTER_TORCH] = report.TORCH
    backends = list(dict.fromkeys(["convjax", *beside, *(b for row in result["rows"] for b in row["seconds"])]))
    labels = {"again": "convjax again"} | {b: report.OTHERS[b][0] for b in beside}
    labels |= {b: f"convjax, {b}" for b in backends if b not in ("convjax", *labels)}
    asked = command_line.arguments(shlex.split(result["command"])[3:])
    versions = [f"{package} {version}" for package, version in result["versions"].items()]
    runs = f"the fewest seconds of {result['runs']} runs" if result.get("runs", 1) > 1 else "one run"
    return {
        "name": name,
        "title": _title(result, asked),
        "note": NOTES.get(name, ""),
        "machine": report.machine_of(result),
        "about": [result["date"], *versions, runs],
        "command": result["command"],
        "is_estimate": False,
        "unit": "ms",
        "columns": [labels.get(b, b) for b in backends],
        "opponents": list(opponents),
        "rows": [
            [
                *_described(row, "" if "scipy" in beside else "NCHW"),
                row["algorithm"],
                [_rounded(row["seconds"].get(b), 1e3) for b in backends],
                [_rounded(report.ratio(row, *each)) for each in opponents.values()],
            ]
            for row in result["rows"]
        ],
    }


def estimates(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """Cycles that XLA's compiler expects of its own programs, in the unit of `estimate.table`."""
    kind = result["topology"].partition(":")[0]
    unit, scale = ("µs", 1e6 / estimate.CLOCK_HZ[kind]) if kind in estimate.CLOCK_HZ else ("thousand cycles", 1e-3)
    by_row = estimate.by_row(result)
    tried = list(dict.fromkeys(a for found in by_row.values() for a in found if a not in (estimate.AUTO, "xla")))
    rows = []
    for (row, direction), found in by_row.items():
        chosen = found[estimate.AUTO]["chosen"]
        programs = [
            found["xla"] if chosen == "xla" else found[estimate.AUTO],
            *(found.get(a, {}) for a in ("xla", *tried)),
        ]
        cycles = [each.get("cycles") for each in programs]
        described = _described({"row": row, "direction": direction}, "NCHW")
        rows.append(
            [
                *described,
                chosen,
                [_rounded(c, scale) for c in cycles],
                [_rounded(estimate.gain(programs[1], programs[0]))],
            ]
        )
    names = {row for row, _ in by_row}
    title = next(SETS[each] for each, cases in estimate.sets().items() if names <= {case.name for case in cases})
    return {
        "name": name,
        "title": title,
        "note": "",
        "machine": f"{result['topology']}: the compiler's estimate, no clock",
        "about": [result["date"], f"jax {result['jax']}", f"libtpu {result['libtpu']}"],
        "command": "",
        "is_estimate": True,
        "unit": unit,
        "columns": [CHOICE, XLA, *tried],
        "opponents": [XLA],
        "rows": rows,
    }


def dtype_of(name: str) -> str:
    """The dtype of a row, which its name ends with unless it is float32."""
    return next((DTYPES[word] for word in re.split(",? ", name) if word in DTYPES), "float32")


def _title(result: dict[str, Any], asked: argparse.Namespace) -> str:
    if "scipy" in report.others(result):
        return "signals and images"
    if {row["family"] for row in result["rows"]} == {"network"}:
        return "networks"
    return ", ".join(SETS.get(each, each) for each in asked.sets.split(","))


def _described(row: dict[str, Any], memory_format: str) -> list[str]:
    """The name, the kind of layer, the direction, the dtype and the memory format of a row."""
    name = row["row"]
    kind = KINDS.get(re.sub(", batch .*", "", name)) or row["family"]
    return [name, kind, row["direction"], dtype_of(name), "NHWC" if name.endswith(", NHWC") else memory_format]


def _rounded(number: float | None, scale: float = 1) -> float | None:
    return None if number is None else float(f"{scale * number:.6g}")
