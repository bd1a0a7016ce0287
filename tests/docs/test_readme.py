"""The README keeps its word."""

import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

import convjax
from benchmarks import estimate, regret, report

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)[1]


@pytest.fixture(autouse=True)
def _defaults():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINE, TEN_LINES, NHWC, SCIPY, DEVICES, RECORDS = BLOCKS


def test_the_one_line_runs(capsys):
    scope = {}
    exec(LINE, scope)
    printed = capsys.readouterr().out
    assert "weight gradient" in printed
    assert "times as fast" in printed
    np.testing.assert_allclose(
        scope["predict"](scope["params"], scope["x"]), scope["model"](scope["params"], scope["x"])
    )


def test_the_ten_lines_run(capsys):
    scope = {}
    exec(TEN_LINES, scope)
    assert scope["y"].shape == (8, 64, 16, 16)
    assert scope["up"].shape == (8, 3, 32, 32)
    assert scope["edges"].shape == (8, 6, 32, 32)
    assert isinstance(scope["grads"], convjax.ConvParams)
    assert scope["per_example"].shape == (8, 64, 3, 3, 3)
    assert "multiply-adds" in capsys.readouterr().out


def test_the_scipy_example_runs():
    scope = {}
    exec(TEN_LINES, scope)
    exec(SCIPY, scope)
    image = np.asarray(scope["image"])
    np.testing.assert_allclose(
        scope["blurred"], scipy.ndimage.gaussian_filter(image, 2.0, mode="mirror"), rtol=1e-5, atol=1e-6
    )
    assert scope["direction"].shape == scope["outline"].shape == image.shape
    assert scope["outline"].dtype == bool
    assert np.isfinite(scope["slope"])


def test_the_lines_about_channels_last_run():
    scope = {}
    exec(TEN_LINES, scope)
    exec(NHWC, scope)
    np.testing.assert_array_equal(scope["last"], np.full((8, 30, 30, 64), 27.0))


def test_the_lines_about_devices_run():
    scope = {}
    exec(TEN_LINES, scope)
    exec(DEVICES, scope)
    assert scope["edges_of_it"].sharding.is_equivalent_to(scope["large"].sharding, 4)
    assert scope["edges_of_it"].shape == (1, 8, 64, 64)


def test_the_lines_about_records_run():
    scope = {}
    exec(TEN_LINES, scope)
    exec(RECORDS, scope)
    assert len(scope["recorded"]) >= 2
    assert scope["same"].shape == (8, 64, 32, 32)


def test_the_error_is_the_one_shown():
    with pytest.raises(ValueError, match="wrong number of axes") as caught:
        convjax.conv2d(jnp.ones((28, 28)), convjax.kernels.sobel())
    assert f"ValueError: {caught.value}" in block("text")


def test_the_table_of_pieces_is_complete():
    names = set(re.findall(r"`(\w+)`", README[README.index("## The pieces") : README.index("## Examples")]))
    poolings = ("max_pool", "avg_pool", "lp_pool", "adaptive_avg_pool", "adaptive_max_pool", "max_unpool")
    numbered = {f"{name}{d}d" for d in (1, 2, 3) for name in ("conv_transpose", *poolings)}
    assert set(convjax.__all__) - names - numbered == {"Plan"}
    listed = re.search(r"\| `kernels` \| (.*?) \|", README)[1].split(", ")
    assert sorted(listed) == sorted(convjax.kernels.__all__)


def test_the_scipy_table_lists_every_name():
    table = README[README.index("| SciPy | convjax |") : README.index("```python\nfrom convjax import edges")]
    names = set(re.findall(r"\b[a-z_]+\w*\b", table))
    assert {*convjax.signal.__all__, *convjax.ndimage.__all__} <= names


def test_the_speed_it_claims_is_what_was_measured():
    result = json.loads((pathlib.Path(__file__).parents[2] / "benchmarks/results/cpu-2-cores.json").read_text())
    assert report.families(result) in README
    assert result["date"] in README
    assert result["command"] in README
    words = " ".join(README.split())
    mean = lambda *backends: report.geometric_mean(report.compare(result, *backends)[0])  # noqa: E731
    assert f"{mean('lax'):.1f} times as fast as `lax.conv_general_dilated`" in words
    assert f"{mean(*report.TORCH):.2f} times as fast as torch in the faster of its two memory layouts" in words
    assert f"ahead by a tenth or more in {len(report.compare(result, *report.TORCH)[1])} of them" in words
    for row in report.compare(result, "lax")[1]:
        assert row["program_of_lax"] or f"{row['row']}, {row['direction']} ({report.ratio(row, 'lax'):.2f})" in words


def test_the_speed_with_channels_last_is_what_was_measured():
    results = pathlib.Path(__file__).parents[2] / "benchmarks/results"
    read = lambda name: json.loads((results / f"cpu-2-cores-{name}.json").read_text())  # noqa: E731
    now, start, networks = map(read, ("nhwc", "nhwc-start", "networks"))
    assert f"| {len(now['rows'])} operations | now | the start |" in README
    for words, backends in [
        ("lax on the same arrays", ["lax"]),
        ("torch, contiguous", ["torch"]),
        ("torch, channels last", ["torch channels last"]),
        ("the faster torch", report.TORCH),
    ]:
        means = [report.geometric_mean(report.compare(result, *backends)[0]) for result in (now, start)]
        assert f"| times {words} | {means[0]:.2f} | {means[1]:.2f} |" in README
    for words, backends in (("0.95 of lax", ["lax"]), ("0.9 of the faster torch", report.TORCH)):
        slower = [len(report.compare(result, *backends)[1]) for result in (now, start)]
        assert f"| slower than {words} | {slower[0]} | {slower[1]} |" in README
    assert report.by_row(networks) in README
    assert now["command"] in README
    assert networks["command"] in README
    assert now["runs"] == 2
    once = "two runs for the layers, the second with `--again`, and of one run for the networks"
    runs = once if networks["runs"] == 1 else "two runs, the second with `--again`"
    assert f"Each time is the minimum over {runs}:" in " ".join(README.split())


def test_the_times_of_models_are_what_was_measured():
    result = (pathlib.Path(__file__).parents[2] / "benchmarks/results/cpu-2-cores-models.md").read_text()
    assert result[result.index("| 8 images") :] in README


def test_the_speed_against_scipy_is_what_was_measured():
    result = json.loads((pathlib.Path(__file__).parents[2] / "benchmarks/results/scipy-2-cores.json").read_text())
    assert report.families(result) in README
    assert result["command"] in README


def test_the_tables_of_accelerators_are_the_results():
    results = pathlib.Path(__file__).parents[2] / "benchmarks/results"
    cuda, *estimates = (
        json.loads((results / f"{name}.json").read_text())
        for name in ("cuda-h200", "tpu-v5e-2x2", "tpu-v5e-2x2-validation")
    )
    assert report.families(cuda, "direction") in README
    assert cuda["command"] in README
    assert all(word in README for word in (cuda["date"], cuda["machine"]["device"], cuda["versions"]["torch"]))
    ratios, slower = report.compare(cuda, *report.TORCH)
    words = " ".join(README.split())
    assert f"two memory formats convjax is {report.geometric_mean(ratios):.2f} times as fast" in words
    assert f"ahead by a tenth or more in {len(slower)} of {len(ratios)}." in words
    assert "by its compiler's estimate and no clock" in README
    for estimated in estimates:
        assert estimate.by_choice(estimated) in README
        assert f"on {estimated['date']} with jax {estimated['jax']} and libtpu {estimated['libtpu']}" in README


def test_the_regret_it_states_is_that_of_todays_choice():
    assert regret.summary() in README
    *_, lax, torch, _ = map(str.strip, regret.summary().splitlines()[-1].split("|"))
    words = " ".join(README.split())
    assert f"On layers of other models it is {float(lax):.1f} times as fast as lax and {torch} times as" in words


def test_the_files_it_names_exist():
    for path in re.findall(r"(?:\]\(|`)((?:docs|examples|benchmarks)/[\w./-]+|[A-Z]+\.md)", README):
        assert (pathlib.Path(__file__).parents[2] / path).exists(), path
