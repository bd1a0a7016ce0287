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

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINE, TEN_LINES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
MAX_LINES = 150


@pytest.fixture(autouse=True)
def _defaults():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def results(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_it_is_short():
    assert len(README.splitlines()) <= MAX_LINES


def test_the_one_line_runs(capsys):
    scope = {}
    exec(LINE, scope)
    printed = capsys.readouterr().out
    assert "weight gradient" in printed
    assert "times as fast" in printed
    value, gradient = scope["step"](scope["params"], scope["x"])
    wanted = jax.value_and_grad(scope["loss"])(scope["params"], scope["x"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), (value, gradient), wanted)


def test_the_ten_lines_run(capsys):
    scope = {}
    exec(TEN_LINES, scope)
    assert scope["y"].shape == (8, 64, 16, 16)
    assert scope["up"].shape == (8, 3, 32, 32)
    assert scope["edges"].shape == (8, 6, 32, 32)
    assert isinstance(scope["grads"], convjax.ConvParams)
    assert scope["per_example"].shape == (8, 64, 3, 3, 3)
    image = np.asarray(scope["x"][0, 0])
    wanted = scipy.ndimage.gaussian_filter(image, 2.0, mode="mirror")
    np.testing.assert_allclose(scope["blurred"], wanted, rtol=1e-5, atol=1e-6)
    assert "multiply-adds" in capsys.readouterr().out


def test_the_error_is_the_one_shown():
    with pytest.raises(ValueError, match="wrong number of axes") as caught:
        convjax.conv2d(jnp.ones((28, 28)), convjax.kernels.sobel())
    assert f"ValueError: {caught.value}" in re.search(r"```text\n(.*?)```", README, re.DOTALL)[1]


def speed_rows():
    """The rows of the table, by what is timed; a row that says "the same" has the name of the one above."""
    table = README[README.index("| what is timed |") :].split("\n\n")[0]
    named = ""
    for line in table.splitlines()[2:]:
        timed, rows, against, times, worst = (cell.strip() for cell in line.strip("|").split("|"))
        named = named if timed == "the same" else timed
        yield (named, against), (int(rows), times, worst)


def test_every_row_of_speed_is_what_was_measured():
    def mean(name, *backends):
        ratios, _ = report.compare(results(name), *backends)
        return len(ratios), f"{report.geometric_mean(ratios):.2f}", f"{min(ratios):.2f}"

    others = regret.summary().splitlines()[-1].split("|")
    networks = report.by_row(results("cpu-2-cores-networks"))
    compiled = re.search(r"\| MobileNetV2, NHWC \| training step \|.*\| (\S+) \|\n", networks)[1]
    models = (ROOT / "benchmarks/results/cpu-2-cores-models.md").read_text()
    keras = re.search(r"\| Keras MobileNetV2 \|(.*)\|", models)[1].split("|")
    groups = estimate.by_choice(results("tpu-v5e-2x2"))
    small, gain, least = re.search(r"`dense_groups` \| (\S+) \| (\S+) \| (\S+) \|", groups).groups()
    assert dict(speed_rows()) == {
        ("common shapes, NCHW, 2 CPU cores", "lax"): mean("cpu-2-cores", "lax"),
        ("common shapes, NCHW, 2 CPU cores", "torch in its faster layout"): mean("cpu-2-cores", *report.TORCH),
        ("layers of models that no limit was fitted to, NHWC", "lax"): mean("cpu-2-cores-nhwc", "lax"),
        ("layers of models that no limit was fitted to, NHWC", "torch in its faster layout"): mean(
            "cpu-2-cores-nhwc", *report.TORCH
        ),
        ("layers of other models, NCHW, by recorded timings", "torch in its faster layout"): (
            int(others[2]),
            others[-2].strip(),
            "",
        ),
        ("MobileNetV2, NHWC, a training step", "torch.compile"): (1, compiled, ""),
        ("Keras MobileNetV2 as it is shipped, a training step", "itself, not accelerated"): (1, keras[5].strip(), ""),
        ("filters and convolutions of SciPy", "SciPy"): mean("scipy-2-cores", "scipy"),
        ("layers of models, TF32 and one row of bfloat16, on an NVIDIA H200", "torch in its faster layout"): mean(
            "cuda-h200", *report.TORCH
        ),
        ("small groups on a TPU v5e, by its compiler's estimate and no clock", "XLA's convolution"): (
            int(small),
            gain,
            least,
        ),
    }
    slower = len(report.compare(results("cpu-2-cores"), *report.TORCH)[1])
    assert f"torch in the faster of its layouts is ahead by a tenth or more in {slower} of the 315 rows." in " ".join(
        README.split()
    )


def test_the_files_it_names_exist():
    for path in re.findall(r"(?:\]\(|`)((?:docs|examples|benchmarks)/[\w./-]+|[A-Z]+\.md)", README):
        assert (ROOT / path).exists(), path
