"""The data of the charts of the benchmarks page: every row of every result file, with the ratios of the reports."""

import importlib.util
import json
import math
import pathlib
import re

import pytest

from benchmarks import estimate, report
from benchmarks.cases import BESIDE_ROWS, ROWS
from benchmarks.filters import FILTERS

DOCS = pathlib.Path(__file__).parents[2] / "docs"
RESULTS = {path.stem: json.loads(path.read_text()) for path in estimate.RESULTS.glob("*.json")}
TIMED = sorted(name for name, result in RESULTS.items() if "rows" in result)
ESTIMATED = sorted(name for name, result in RESULTS.items() if result.get("topology", "cuda:").startswith("v"))


@pytest.fixture(scope="module")
def charts():
    spec = importlib.util.spec_from_file_location("benchmark_charts", DOCS / "benchmark_charts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shown(charts):
    return {each["name"]: each for each in charts.files()}


def test_every_file_with_times_or_cycles_is_shown(shown):
    assert sorted(shown) == sorted(TIMED + ESTIMATED)
    assert set(RESULTS) - set(shown) == {"cuda-h200-kernels"}
    assert {name for name, each in shown.items() if each["is_estimate"]} == set(ESTIMATED)
    assert len(json.dumps(list(shown.values()))) < 2e6


@pytest.mark.parametrize("name", TIMED)
def test_every_timed_row_has_its_times_and_ratios(shown, charts, name):
    result, each = RESULTS[name], shown[name]
    of_label = {report.OTHERS[b][0]: (b,) for b in report.others(result)} | {charts.BETTER_TORCH: report.TORCH}
    for want, (row, _, direction, _, _, _, times, ratios) in zip(result["rows"], each["rows"], strict=True):
        assert (row, direction) == (want["row"], want["direction"])
        found = [1e-3 * t for t in times if t is not None]
        assert sorted(found) == pytest.approx(sorted(want["seconds"].values()), rel=1e-5)
        assert times[0] == pytest.approx(1e3 * want["seconds"]["convjax"], rel=1e-5)
        wanted = [report.ratio(want, *of_label[label]) for label in each["opponents"]]
        assert ratios == [r if r is None else pytest.approx(r, rel=1e-5) for r in wanted]
    for n, label in enumerate(each["opponents"]):
        ratios = [row[-1][n] for row in each["rows"] if row[-1][n] is not None]
        assert report.geometric_mean(ratios) == pytest.approx(
            report.geometric_mean(report.compare(result, *of_label[label])[0]), rel=1e-5
        )


@pytest.mark.parametrize("name", ESTIMATED)
def test_every_estimate_is_that_of_the_table(shown, name):
    """The table has a ratio in its column XLA's / chosen, unless XLA's convolution was not compiled."""
    each = shown[name]
    assert "estimate, no clock" in each["machine"]
    assert each["opponents"] == ["XLA's convolution"]
    table = re.findall(r"^\| (.*) \|$", estimate.table(RESULTS[name]), re.MULTILINE)[1:]
    for line, (row, _, direction, _, _, chosen, values, (ratio,)) in zip(table, each["rows"], strict=True):
        cells = line.split(" | ")
        assert cells[:2] == [row, direction]
        assert cells[3:6] == [f"{values[0]:.0f}", chosen, "" if ratio is None else f"{ratio:.1f}x"]
        assert (ratio is None) == (values[1] is None)


def test_the_dtype_of_a_row_is_read_from_its_name(charts):
    for row in (*ROWS, *BESIDE_ROWS, *FILTERS):
        dtype = row.dtype if isinstance(row.dtype, str) else row.dtype.__name__
        assert charts.dtype_of(row.name) == dtype
    row = ROWS[0]
    assert charts.dtype_of(row.of_dtype("bfloat16").channels_last().name) == "bfloat16"
    assert charts.dtype_of(row.of_dtype("float32_highest").name) == "float32 without TF32"


def test_every_number_is_finite_and_every_direction_has_a_symbol(shown):
    script = (DOCS / "_static" / "benchmarks.js").read_text()
    for row in (row for each in shown.values() for row in each["rows"]):
        assert all(math.isfinite(x) and x > 0 for x in (*row[-2], *row[-1]) if x is not None)
        assert re.search(rf'\b"?{row[2]}"?: \["', script)
