"""What the command lines of the examples share: Ctrl-C, and files written whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NAMES = ("learn_edges", "edges_of_a_photo", "one_image_many_devices")
USUAL = {name: value for name, value in os.environ.items() if name not in ("JAX_ENABLE_X64", "XLA_FLAGS")}
SMALL = ("--batch", "2", "--crop", "8")

# Stand-ins for jax, at whose import Ctrl-C is pressed.
PRESSED = {
    "python": "import signal; signal.raise_signal(signal.SIGINT)",
    "an extension": """
import signal
try:
    signal.raise_signal(signal.SIGINT)
except BaseException as error:
    raise ImportError("Encountered an error while initializing the extension.") from error
""",
    "a callback": "import gc, signal; gc.callbacks.append(lambda *_: signal.raise_signal(signal.SIGINT)); gc.collect()",
}


@pytest.fixture
def _listening():
    """A shell may have started the tests deaf to Ctrl-C, and they and their children would stay so."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def names(folder):
    return {path.name for path in folder.iterdir()}


# ---- Ctrl-C ----


def test_these_are_all_the_examples():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(NAMES)
    assert all(f"`examples/{name}.py`" in (ROOT / "README.md").read_text() for name in NAMES)


@pytest.mark.parametrize("where", PRESSED)
@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_during_the_imports(tmp_path, name, where):
    (tmp_path / "jax.py").write_text(PRESSED[where])
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=USUAL | {"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{name}.py: interrupted\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_listening")
def test_ctrl_c_while_a_file_is_written(example, tmp_path):
    def fill(file):
        file.write(b"first half, ")
        signal.raise_signal(signal.SIGINT)
        file.write(b"second half")

    with pytest.raises(KeyboardInterrupt):
        example("example_parts.command").write(tmp_path / "file", fill)
    assert (tmp_path / "file").read_bytes() == b"first half, second half"
    assert names(tmp_path) == {"file"}


@pytest.mark.usefixtures("_listening")
def test_ctrl_c_saves_what_was_learned(example, tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "learn_edges.py"), *SMALL, "--steps", "10000000", "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=USUAL,
    )
    with process:
        seen = ""
        while "loss" not in seen:  # the bar shows that training is under way
            piece = process.stderr.read(1)
            assert piece, seen
            seen += piece
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after step" in out
    assert names(tmp_path) == {"learn_edges.npz", *example("learn_edges").PICTURES}
    with np.load(tmp_path / "learn_edges.npz") as file:
        assert 0 < file["step"] == len(file["losses"])
        assert np.isfinite(file["weight"]).all()


@pytest.mark.usefixtures("_listening")
def test_ctrl_c_before_the_first_step(example, tmp_path, monkeypatch, capsys):
    learn_edges = example("learn_edges")

    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)
        return iter(())

    monkeypatch.setattr(learn_edges, "train", interrupted)
    assert learn_edges.main([*SMALL, "--out", str(tmp_path)]) == 130
    assert "interrupted after step 0" in capsys.readouterr().out
    assert names(tmp_path) == {"learn_edges.npz", *learn_edges.PICTURES}


# ---- files ----


def test_writing_is_whole_or_not_at_all(example, tmp_path):
    command = example("example_parts.command")
    path = tmp_path / "file"
    command.write(path, lambda file: file.write(b"first"))

    def fails(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(command.Problem, match="No space left"):
        command.write(path, fails)
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("below", ["", "new/out"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_in_the_place_of_the_folder(example, capsys, tmp_path, name, below):
    (tmp_path / "file").write_text("here first")
    with pytest.raises(SystemExit) as leaving:
        example(name).main(["--out", str(tmp_path / "file" / below)])
    assert leaving.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    what = tmp_path / "file" if below else "it"
    assert captured.err.endswith(f"{what} is a file; give a folder, or a name that is not taken\n")
    assert captured.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "here first"
