"""Every table and number of speed on the page of benchmarks is what was measured."""

import json
import pathlib
import re

from benchmarks import estimate, regret, report

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()
WORDS = " ".join(PAGE.split())


def results(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def mean(result, *backends):
    return report.geometric_mean(report.compare(result, *backends)[0])


def test_common_shapes():
    result = results("cpu-2-cores")
    assert report.families(result) in PAGE
    assert result["date"] in PAGE
    assert result["command"] in PAGE
    assert f"convjax is {mean(result, 'lax'):.1f} times as fast as `lax.conv_general_dilated`" in WORDS
    assert f"{mean(result, *report.TORCH):.2f} times as fast as torch in the faster of its two memory formats" in WORDS
    assert f"ahead by a tenth or more in {len(report.compare(result, *report.TORCH)[1])} of them" in WORDS
    for row in report.compare(result, "lax")[1]:
        assert row["program_of_lax"] or f"{row['row']}, {row['direction']} ({report.ratio(row, 'lax'):.2f})" in WORDS


def layers_table(heads, columns):
    """How much faster convjax is on these results, one column each."""
    line = lambda words, cells: f"| {words} |{''.join(f' {cell} |' for cell in cells)}"  # noqa: E731
    lines = [line(f"{len(columns[0]['rows'])} operations", heads), "|---|" + "---|" * len(columns)]
    for words, *backends in (
        ("lax on the same arrays", "lax"),
        ("torch, contiguous", "torch"),
        ("torch, channels last", "torch channels last"),
        ("the faster torch", *report.TORCH),
    ):
        lines.append(line(f"times {words}", [f"{mean(result, *backends):.2f}" for result in columns]))
    for words, *backends in (("0.95 of lax", "lax"), ("0.9 of the faster torch", *report.TORCH)):
        slower = [len(report.compare(result, *backends)[1]) for result in columns]
        lines.append(line(f"slower than {words}", slower))
    return "\n".join(lines)


def test_channels_last():
    now, start, networks = (results(f"cpu-2-cores-{name}") for name in ("nhwc", "nhwc-start", "networks"))
    assert layers_table(["now", "the start"], [now, start]) in PAGE
    assert report.by_row(networks) in PAGE
    assert now["command"] in PAGE
    assert networks["command"] in PAGE
    assert now["runs"] == 2
    once = "two runs for the layers, the second with `--again`, and of one run for the networks"
    runs = once if networks["runs"] == 1 else "two runs, the second with `--again`"
    assert f"Each time is the minimum over {runs}:" in WORDS


NETWORKS = {
    "NHWC arrays": ", NHWC",
    'NCHW arrays, `accelerate(..., memory_format="channels_last")`': ", accelerated",
    "NCHW arrays, plain functions": "",
}


def networks_table(result):
    """Times the faster torch, as geometric means, and the worst row."""
    lines = ["| networks, times the faster torch | forward | training step | at worst |", "|---|---|---|---|"]
    for words, ending in NETWORKS.items():
        rows = [row for row in result["rows"] if row["row"].partition(",")[2] == ending.removeprefix(",")]
        ratios = {(row["row"].removesuffix(ending), row["direction"]): report.ratio(row, *report.TORCH) for row in rows}
        means = [
            report.geometric_mean([r for (_, d), r in ratios.items() if d == direction])
            for direction in ("forward", "training step")
        ]
        (name, direction), worst = min(ratios.items(), key=lambda pair: pair[1])
        lines.append(f"| {words} | {means[0]:.2f} | {means[1]:.2f} | {name}, {direction} ({worst:.2f}) |")
    return "\n".join(lines)


def test_without_avx512():
    layers, networks = results("cpu-2-cores-avx2-nhwc"), results("cpu-2-cores-avx2-networks")
    assert layers_table(["convjax"], [layers]) in PAGE
    assert networks_table(networks) in PAGE
    assert all(result["command"] in PAGE for result in (layers, networks))


def test_models():
    result = (ROOT / "benchmarks/results/cpu-2-cores-models.md").read_text()
    assert result[result.index("| 8 images") :] in PAGE


def test_scipy():
    result = results("scipy-2-cores")
    assert report.families(result) in PAGE
    assert result["command"] in PAGE


def test_accelerators():
    cuda = results("cuda-h200")
    assert report.families(cuda, "direction") in PAGE
    assert cuda["command"] in PAGE
    assert all(word in PAGE for word in (cuda["date"], cuda["machine"]["device"], cuda["versions"]["torch"]))
    ratios, slower = report.compare(cuda, *report.TORCH)
    assert f"two memory formats convjax is {report.geometric_mean(ratios):.2f} times as fast" in WORDS
    assert f"ahead by a tenth or more in {len(slower)} of {len(ratios)}." in WORDS
    assert "by its compiler's estimate and no clock" in PAGE
    for estimated in map(results, ("tpu-v5e-2x2", "tpu-v5e-2x2-validation")):
        assert estimate.by_choice(estimated) in PAGE
        assert f"on {estimated['date']} with jax {estimated['jax']} and libtpu {estimated['libtpu']}" in PAGE


def test_regret():
    assert regret.summary() in PAGE


def test_the_files_it_names_exist():
    for path in re.findall(r"\]\(([\w./-]+)\)", PAGE):
        assert (ROOT / "docs" / path).exists(), path
