"""examples/edges_of_a_photo.py as a user runs it."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = EXAMPLES / "edges_of_a_photo.py"
USUAL = {name: value for name, value in os.environ.items() if name not in ("JAX_ENABLE_X64", "XLA_FLAGS")}


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=USUAL)


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield importlib.import_module("edges_of_a_photo")


def picture(path, shape=(60, 80)):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(path)
    return path


def test_default_run_finds_both_blurs(tmp_path):
    done = run("--out", tmp_path / "new" / "out")
    assert done.returncode == 0, done.stderr
    hidden, found = map(float, re.search(r"sigma: (\S+) hidden, (\S+) found", done.stdout).groups())
    assert hidden == 2.4
    assert abs(found - hidden) < 0.01
    top, error = map(float, re.search(r"up to (\S+), largest error (\S+)", done.stdout).groups())
    assert error < top / 20
    assert "finding the shake: 100%" in done.stderr
    assert [path.name for path in (tmp_path / "new" / "out").iterdir()] == ["edges_of_a_photo.png"]
    with Image.open(tmp_path / "new" / "out" / "edges_of_a_photo.png") as figure:
        pixels = np.asarray(figure.convert("L"), float)
    assert pixels.shape[1] > 1200
    assert pixels.std() > 40


def test_another_picture_and_another_blur(example, tmp_path, capsys):
    path = picture(tmp_path / "noise.png")
    given = ["--image", path, "--blur", "1.3", "--sigma", "1", "--steps", "205", "--seed", "4", "--out", tmp_path]
    assert example.main([str(argument) for argument in given]) == 0
    hidden, found = map(float, re.search(r"sigma: (\S+) hidden, (\S+) found", capsys.readouterr().out).groups())
    assert hidden == 1.3
    assert abs(found - hidden) < 0.02


def test_the_shake_is_a_blur_that_depends_on_the_seed(example):
    first, second = (np.asarray(example.shaken(jax.random.key(seed))) for seed in (0, 1))
    for kernel in (first, second):
        assert kernel.shape == (2 * example.RADIUS + 1,) * 2
        assert abs(kernel.sum() - 1) < 1e-5
        assert kernel.min() >= 0
    assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize(
    "arguments",
    [("--blur", "0"), ("--blur", "9"), ("--sigma", "nan"), ("--steps", "0"), ("--seed", "-1"), ("--image", "none.png"),
     ("--surplus",)],
    ids=" ".join,
)  # fmt: skip
def test_bad_options(example, capsys, tmp_path, arguments):
    assert arguments[0] in refused(example, capsys, tmp_path, *arguments)


def test_pictures_without_edges(example, capsys, tmp_path):
    Image.new("L", (64, 64), 128).save(tmp_path / "grey.png")
    assert "same grey" in refused(example, capsys, tmp_path, "--image", str(tmp_path / "grey.png"))
    picture(tmp_path / "small.png", (20, 300))
    assert "300 x 20" in refused(example, capsys, tmp_path, "--image", str(tmp_path / "small.png"))
    (tmp_path / "text.png").write_text("not a picture")
    assert "text.png" in refused(example, capsys, tmp_path, "--image", str(tmp_path / "text.png"))


def refused(example, capsys, tmp_path, *arguments):
    with pytest.raises(SystemExit) as leaving:
        example.main([*arguments, "--out", str(tmp_path / "out")])
    assert leaving.value.code == 2
    assert not (tmp_path / "out").exists()
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message
