"""examples/one_image_many_devices.py as a user runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples" / "one_image_many_devices.py"
USUAL = {name: value for name, value in os.environ.items() if name not in ("JAX_ENABLE_X64", "XLA_FLAGS")}


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=USUAL, timeout=600)


@pytest.mark.parametrize(("devices", "processes"), [(8, 1), (4, 2)])
def test_shares_give_what_one_device_gives(devices, processes, tmp_path):
    given = ["--size", 128, "--steps", 150, "--devices", devices, "--processes", processes, "--out", tmp_path / "new"]
    done = run(*given)
    assert done.returncode == 0, done.stderr
    assert "0 pixels differ" in done.stdout
    assert re.findall(r"(\w+): (\d+) pixels differ", done.stdout) == [("blurred", "0"), ("outline", "0")]
    from_one, from_sobel = map(float, re.search(r"device's (\S+), from Sobel's (\S+)", done.stdout).groups())
    assert from_one < 1e-6
    assert from_sobel < 1e-2
    for name in ("blur", "edges", "training step"):
        held, alone = map(float, re.search(rf"{name}: .* holds (\S+) MiB .* alone (\S+) MiB", done.stdout).groups())
        assert held < alone
    (saved,) = (tmp_path / "new").iterdir()
    with Image.open(saved) as figure:
        assert np.asarray(figure.convert("L"), float).std() > 40


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--size", 102), "--size 102: it must be a multiple of 2 and of 4"),
        (("--processes", 3), "3 --processes do not divide 8 --devices"),
        (("--devices", 0), "expected a whole number from 1 to 64, got '0'"),
        (("--processes", 2, "--size", 101), "--size 101: it must be a multiple of 2 and of 4"),
    ],
)
def test_mistakes_are_one_line(given, message, tmp_path):
    done = run(*given, "--out", tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
