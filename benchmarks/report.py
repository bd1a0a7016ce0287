"""Reports of a run: a table of ratios, a summary with the number of slower rows, and a chart.

`python -m benchmarks.report FILE.json` prints the Markdown that README shows, and writes every row to FILE.md.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

# Each backend beside convjax: its name in the chart, and the ratio below which convjax counts as slower in a row.
OTHERS = {
    "lax": ("lax.conv_general_dilated", 0.95),
    "torch": ("torch", 0.9),
    "torch channels last": ("torch, channels last", 0.9),
    "torch.compile": ("torch.compile, channels last", 0.9),
    "scipy": ("SciPy", 0.9),
    "jax.scipy": ("jax.scipy", 0.95),
}
TORCH = ("torch", "torch channels last")  # torch with two memory layouts


def write(file: Path, result: dict[str, Any]) -> None:
    """Write a file that is whole at every moment."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps(result, indent=1) + "\n")
    whole.replace(file)


def others(result: dict[str, Any]) -> list[str]:
    return [b for b in OTHERS if any(b in row["seconds"] for row in result["rows"])]


def ratio(row: dict[str, Any], *backends: str) -> float | None:
    """The time of the fastest of these backends divided by convjax's, above 1 if convjax is faster than all of them."""
    timed = [row["seconds"][b] for b in backends if b in row["seconds"]]
    return min(timed) / row["seconds"]["convjax"] if timed else None


def compare(result: dict[str, Any], *backends: str) -> tuple[list[float], list[dict[str, Any]]]:
    """The ratios of all rows that one of these backends has, and the rows in which convjax counts as slower."""
    ratios = [(r, row) for row in result["rows"] if (r := ratio(row, *backends)) is not None]
    return [r for r, _ in ratios], [row for r, row in ratios if r < OTHERS[backends[0]][1]]


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def table(result: dict[str, Any]) -> str:
    """A table of milliseconds per backend, and of how many times faster convjax is."""
    beside = others(result)
    lines = [
        f"{'row':<32} {'direction':<16} {'algorithm':<10} {'convjax':>9}" + "".join(f"{b:>11} {'x':>6}" for b in beside)
    ]
    for row in result["rows"]:
        cells = (
            f"{row['row']:<32} {row['direction']:<16} {row['algorithm']:<10} {1e3 * row['seconds']['convjax']:>9.3f}"
        )
        for b in beside:
            times = ratio(row, b)
            cells += f"{'':>18}" if times is None else f"{1e3 * row['seconds'][b]:>11.3f} {times:>6.2f}"
        lines.append(cells)
    return "\n".join(lines)


def summary(result: dict[str, Any]) -> str:
    rows, lines = result["rows"], []
    compared = {b: (b,) for b in others(result)}
    if set(TORCH) <= set(compared):
        compared["the faster torch"] = TORCH
    for name, backends in compared.items():
        ratios, slower = compare(result, *backends)
        line = (
            f"against {name}: {geometric_mean(ratios):.2f} times as fast (geometric mean of {len(ratios)}); "
            f"below {OTHERS[backends[0]][1]} in {len(slower)}"
        )
        same = sum(row.get("program_of_lax", False) for row in slower) if name == "lax" else 0
        lines.append(f"{line}, {same} of which compile to the very program of lax" if same else line)
    noise = [abs(math.log(row["seconds"]["again"] / row["seconds"]["convjax"])) for row in rows]
    middle, most = (100 * (math.exp(n) - 1) for n in (sorted(noise)[len(noise) // 2], max(noise)))
    lines.append(f"noise: the same call against itself differs by {middle:.1f} % (median), {most:.0f} % (largest)")
    regrets = [regret(row) for row in rows]
    regrets = [r for r in regrets if r is not None]
    if regrets:
        right = sum(r <= 1.05 for r in regrets)
        text = f"{right} of {len(regrets)}, worst regret {max(regrets):.2f}"
        lines.append(f"selection: the fastest algorithm (within 5 %) in {text}")
    return "\n".join(lines)


def regret(row: dict[str, Any]) -> float | None:
    """The time of the chosen algorithm divided by that of the fastest one, None if no other algorithm was timed."""
    timed = [s for name, s in row["seconds"].items() if name not in ("convjax", "again", *OTHERS)]
    own = min(row["seconds"]["convjax"], row["seconds"]["again"])
    return own / min([*timed, own]) if timed else None


def chart(result: dict[str, Any], path: Path) -> None:
    """Draw one dot per row and direction: how many times faster convjax is than each other backend, by family."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    beside = others(result)
    families = list(dict.fromkeys(row["family"] for row in result["rows"]))
    colours = {"forward": "#1b6ca8", "input gradient": "#d1495b", "weight gradient": "#edae49"}
    figure, axes = pyplot.subplots(
        1, len(beside), figsize=(6.2 * len(beside), 0.42 * len(families) + 1.9), sharey=True, squeeze=False
    )
    for axis, b in zip(axes[0], beside, strict=True):
        for direction in dict.fromkeys(row["direction"] for row in result["rows"]):
            points = [
                (ratio(row, b), families.index(row["family"]))
                for row in result["rows"]
                if row["direction"] == direction and b in row["seconds"]
            ]
            shift = {"input gradient": 0.0, "weight gradient": 0.22}.get(direction, -0.22)
            axis.scatter([p[0] for p in points], [p[1] + shift for p in points], s=26, alpha=0.85, linewidths=0,
                         color=colours.get(direction, "#6c757d"), label=direction)  # fmt: skip
        axis.axvline(1, color="black", linewidth=1)
        axis.set_xscale("log")
        axis.set_title(f"times as fast as {OTHERS[b][0]}")
        axis.grid(axis="x", which="both", alpha=0.25)
        axis.set_yticks(range(len(families)), families)
        axis.set_ylim(len(families) - 0.5, -0.5)
    axes[0][-1].legend(loc="lower right", fontsize=8)
    figure.suptitle(
        f"convjax on {machine_of(result)}, {result['date']}; right of the line convjax is faster", fontsize=10
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def families(result: dict[str, Any], by: str = "family") -> str:
    """A Markdown table of how many times faster convjax is in each family: the geometric mean and the worst row.

    `by` may be "direction" instead.
    """
    rows, beside = result["rows"], others(result)
    heads = "".join(f" against {b} | at worst |" for b in beside)
    lines = [f"| {by} | rows |{heads}", "|---|---|" + "---|---|" * len(beside)]
    for group in [*dict.fromkeys(row[by] for row in rows), "all"]:
        chosen = [row for row in rows if group in (row[by], "all")]
        cells = [f"| {group} | {len(chosen)} "]
        for b in beside:
            ratios = [r for row in chosen if (r := ratio(row, b)) is not None]
            cells.append(f"| {geometric_mean(ratios):.2f} | {min(ratios):.2f} " if ratios else "| | ")
        lines.append("".join(cells) + "|")
    return "\n".join(lines)


def by_row(result: dict[str, Any]) -> str:
    """A Markdown table of every row: the milliseconds of convjax, and how many times faster it is than the others."""
    beside = others(result)
    lines = [f"| row | | convjax |{''.join(f' times {b} |' for b in beside)}", "|---|---|---|" + "---|" * len(beside)]
    for row in result["rows"]:
        times = [ratio(row, b) for b in beside]
        cells = "".join(f" {'' if r is None else f'{r:.2f}'} |" for r in times)
        lines.append(f"| {row['row']} | {row['direction']} | {1e3 * row['seconds']['convjax']:.1f} ms |{cells}")
    return "\n".join(lines)


def machine_of(result: dict[str, Any]) -> str:
    """The card, or the cores and the processor."""
    about = result["machine"]
    return about["device"] if about["device"] != "cpu" else f"{about['cores']} cores of {about['cpu']}"


def every_row(result: dict[str, Any]) -> str:
    about, versions = result["machine"], ", ".join(f"{k} {v}" for k, v in result["versions"].items())
    beside = others(result)
    lines = [
        "Milliseconds, and how many times faster convjax is.",
        f"{about['cores']} cores of {about['cpu']}, {result['date']}, {versions}, by `{result['command']}`"
        + (f", each call's fewest seconds of {result['runs']} runs." if result.get("runs", 1) > 1 else "."),
        "",
        *summary(result).splitlines(),
        "",
        "| row | direction | algorithm | convjax |" + "".join(f" {b} | times |" for b in beside),
        "|---|---|---|---|" + "---|---|" * len(beside),
    ]
    for row in result["rows"]:
        cells = [row["row"], row["direction"], row["algorithm"], f"{1e3 * row['seconds']['convjax']:.3f}"]
        for b in beside:
            times = ratio(row, b)
            cells += ["", ""] if times is None else [f"{1e3 * row['seconds'][b]:.3f}", f"{times:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="The tables of a file of results.")
    parser.add_argument("file", type=Path, help="the JSON; every row is written beside it as .md")
    path = parser.parse_args(argv).file
    try:
        result = json.loads(path.read_text())
        text = every_row(result)
    except (OSError, ValueError, KeyError, TypeError):
        parser.exit(2, f"{parser.prog}: error: {path} is not a file of timings\n")
    path.with_suffix(".md").write_text(text)
    print(families(result))


if __name__ == "__main__":
    main()
