"""The examples as a user runs them."""

import io
import json
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
LEARN = EXAMPLES / "learn_edges.py"
FIGURES = {
    "edges_after.png",
    "edges_before.png",
    "edges_teacher.png",
    "kernels.png",
    "learn_edges.gif",
    "learn_edges.png",
    "loss.png",
    "photograph.png",
}
FILES = FIGURES | {"learn_edges.npz"}
SMALL = ("--batch", "2", "--crop", "8")


USUAL = {name: value for name, value in os.environ.items() if name not in ("JAX_ENABLE_X64", "XLA_FLAGS")}


def run(script, *arguments, **environment):
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=USUAL | environment)


def in_one_process(*runs, figures=True):
    """main(argv) of learn_edges for each of the runs, in one new process; the output of all."""
    code = "import json, sys, learn_edges\n"
    code += "" if figures else "learn_edges.draw = lambda *_: []\n"
    code += "for argv in json.loads(sys.argv[1]):\n    learn_edges.main(argv)"
    argv = json.dumps([[str(argument) for argument in each] for each in runs])
    done = subprocess.run([sys.executable, "-c", code, argv], capture_output=True, text=True, cwd=EXAMPLES, env=USUAL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(folder):
    return {path.name for path in folder.iterdir()}


def saved(folder):
    with np.load(folder / "learn_edges.npz") as file:
        return dict(file)


def printed_errors(text):
    return [float(error) for error in re.findall(r"largest absolute error (\S+)", text)]


def noise(path, shape):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(path)
    return path


@pytest.fixture
def _usual_jax():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """30 steps; 70 steps at once; 70 steps, 40 of them resumed; and 20 steps of other settings."""
    folder = tmp_path_factory.mktemp("trained")
    first = folder / "first" / "learn_edges.npz"
    noisy = (*SMALL, "--noise", "0.1", "--seed", "3")
    in_one_process(
        [*noisy, "--steps", 30, "--out", folder / "first"],
        [*noisy, "--steps", 70, "--out", folder / "straight"],
        ["--steps", 70, "--resume", first, "--out", folder / "resumed"],
        ["--teacher", "laplacian", "--half-life", "10", *SMALL, "--steps", 20, "--out", folder / "laplacian"],
        figures=False,
    )
    return folder


@pytest.fixture(scope="module")
def default_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("default") / "new" / "out"
    return run(LEARN, "--out", folder), folder


# ---- learn_edges: what it does ----


def test_default_run_learns_sobel(default_run):
    done, folder = default_run
    assert done.returncode == 0, done.stderr
    assert "learned  |  true" in done.stdout
    assert done.stderr.startswith("compiling the teacher's edges and a step of gradient descent\n")
    assert "loss" in done.stderr
    assert printed_errors(done.stdout)[0] < 1e-3
    assert names(folder) == FILES
    np.testing.assert_allclose(saved(folder)["weight"][0, 0], [[1, 0, -1], [2, 0, -2], [1, 0, -1]], atol=1e-3)
    np.testing.assert_allclose(saved(folder)["bias"], 0, atol=1e-3)


def test_default_run_learns_every_other_teacher(tmp_path):
    """With figures for one kernel and for eight; those of two are drawn by the default run."""
    learned = ""
    for teachers, figures in ((("prewitt", "scharr"), False), (("laplacian", "kirsch"), True)):
        runs = [["--teacher", name, "--out", tmp_path / name] for name in teachers]
        learned += in_one_process(*runs, figures=figures)
        assert all(names(tmp_path / name) == (FILES if figures else {"learn_edges.npz"}) for name in teachers)
    errors = printed_errors(learned)
    assert len(errors) == 4
    assert max(errors) < 1e-3


def test_figures_are_pictures(default_run):
    for name in FIGURES:
        with Image.open(default_run[1] / name) as picture:
            picture.load()
            assert min(picture.size) > 250, name


def test_the_animation_begins_in_noise_and_ends_with_the_kernels(default_run):
    with Image.open(default_run[1] / "learn_edges.gif") as picture:
        assert picture.info["loop"] == 0
        assert 20 < picture.n_frames <= 40
        first = np.asarray(picture.convert("L"), float)
        picture.seek(picture.n_frames - 1)
        last = np.asarray(picture.convert("L"), float)
    assert np.abs(last - first).mean() > 1


def test_npz_holds_the_run(trained):
    file = saved(trained / "first")
    assert file["weight"].shape == (2, 1, 3, 3)
    assert file["bias"].shape == (2,)
    assert file["step"] == 30
    assert file["key"].dtype == np.uint32
    assert file["losses"].shape == (30,)
    assert file["teacher"] == "sobel"
    assert {"optimiser_0_mu_weight", "optimiser_0_nu_bias"} <= set(file)
    assert json.loads(str(file["settings"])) == {
        "teacher": "sobel",
        "image": "",
        "noise": 0.1,
        "batch": 2,
        "crop": 8,
        "lr": 0.2,
        "half_life": 500,
        "seed": 3,
    }


def test_resuming_continues_exactly(trained):
    straight, resumed = saved(trained / "straight"), saved(trained / "resumed")
    assert straight["step"] == resumed["step"] == 70
    history = {"frames", "frame_steps"}  # taken after every chunk, and the chunks begin elsewhere
    for name in set(straight) - history:
        np.testing.assert_array_equal(straight[name], resumed[name], err_msg=name)
    assert not np.array_equal(straight["weight"], saved(trained / "first")["weight"])


def test_64_bit_types_change_nothing(trained, tmp_path):
    noisy = (*SMALL, "--noise", "0.1", "--seed", "3", "--steps", "30", "--out", tmp_path)
    done = run(LEARN, *noisy, JAX_ENABLE_X64="1")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(saved(tmp_path)["weight"], saved(trained / "first")["weight"], rtol=1e-4, atol=1e-5)
    assert saved(tmp_path)["weight"].dtype == np.float32


def test_half_life_halves_the_rate(example):
    training = example("example_parts.edge_training")
    settings = training.Settings(half_life=10, lr=0.5)
    transformation = training.optimiser(settings)
    weight = np.float32(0)
    state, sizes = transformation.init(weight), []
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(21):
            update, state = transformation.update(np.float32(1), state, weight)
            sizes.append(abs(float(update)))
    assert sizes[0] == pytest.approx(0.5, rel=2e-3)
    assert sizes[10] / sizes[0] == pytest.approx(1 / 2, rel=1e-3)
    assert sizes[20] / sizes[0] == pytest.approx(1 / 4, rel=1e-3)


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16", "P", "RGBA", "1"])
def test_reads_any_picture(example, tmp_path, mode):
    ramp = np.tile(np.arange(64, dtype=np.uint16) * 4, (48, 1))
    deep = mode == "I;16"
    picture = Image.fromarray(ramp * 200) if deep else Image.fromarray(ramp.astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "picture.png")
    grey = example("example_parts.pictures").read_photograph(tmp_path / "picture.png")
    assert grey.shape == (48, 64)
    assert grey.dtype == np.float32
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert grey[:, -8:].mean() > 0.8 > 0.2 > grey[:, :8].mean()


def test_sample_photograph_is_grey_from_0_to_1(example):
    grey = example("example_parts.pictures").read_photograph()
    assert grey.shape == (600, 512)
    assert grey.dtype == np.float32
    assert 0 <= grey.min() < grey.max() <= 1


def test_learns_from_another_picture(tmp_path):
    picture = noise(tmp_path / "noise.png", (40, 50))
    done = run(LEARN, "--image", picture, "--steps", "600", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert printed_errors(done.stdout)[0] < 1e-3


# ---- learn_edges: what it refuses ----


def refused(learn_edges, capsys, tmp_path, *arguments, out=None):
    """The one line with which a command line is refused, nothing being written."""
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as leaving:
        learn_edges.main([*map(str, arguments), "--out", str(out or tmp_path / "out")])
    captured = capsys.readouterr()
    assert leaving.value.code == 2
    assert captured.out == ""
    assert re.fullmatch(r"[^\n]*: error: [^\n]+\n", captured.err)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "out").is_dir()
    return captured.err


BAD_OPTIONS = [
    ("--steps", "0"),
    ("--steps", "-5"),
    ("--steps", "2.5"),
    ("--steps", "many"),
    ("--steps", "nan"),
    ("--steps", ""),
    ("--batch", "0"),
    ("--batch", "99999999999"),
    ("--crop", "2"),
    ("--crop", "-32"),
    ("--lr", "0"),
    ("--lr", "-0.1"),
    ("--lr", "nan"),
    ("--lr", "inf"),
    ("--noise", "-1"),
    ("--noise", "nan"),
    ("--half-life", "0"),
    ("--seed", "-1"),
    ("--seed", "1e3"),
    ("--teacher", "canny"),
    ("--image", ""),
    ("--image", "no/such/picture.jpg"),
    ("--step", "5"),
    ("--resume",),
    ("surplus",),
]


@pytest.mark.parametrize("arguments", BAD_OPTIONS, ids=" ".join)
def test_bad_option(example, capsys, tmp_path, arguments):
    message = refused(example("learn_edges"), capsys, tmp_path, *arguments)
    assert arguments[0] in message


def test_error_line_of_the_program(tmp_path):
    done = run(LEARN, "--lr", "nan", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "learn_edges.py: error: argument --lr: expected a number above 0 to 1e+06, got 'nan'\n"
    assert not (tmp_path / "out").exists()


def truncated_png():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(file, "png")
    return file.getvalue()[:1500]


@pytest.mark.parametrize("content", [b"", b"not a picture", truncated_png()], ids=["empty", "text", "truncated"])
def test_broken_picture(example, capsys, tmp_path, content):
    (tmp_path / "picture.png").write_bytes(content)
    message = refused(example("learn_edges"), capsys, tmp_path, "--image", tmp_path / "picture.png")
    assert "picture.png" in message


def test_picture_that_is_a_folder(example, capsys, tmp_path):
    assert "cannot read" in refused(example("learn_edges"), capsys, tmp_path, "--image", tmp_path)


@pytest.mark.usefixtures("_usual_jax")
@pytest.mark.parametrize("shape", [(31, 60), (40, 3), (3, 3)], ids=str)
def test_picture_smaller_than_a_crop(example, capsys, tmp_path, monkeypatch, shape):
    """The advice can be followed."""
    learn_edges = example("learn_edges")
    given = ["--image", str(noise(tmp_path / "small.png", shape))]
    message = refused(learn_edges, capsys, tmp_path, *given)
    assert f"the picture is {shape[1]} x {shape[0]}, smaller than a crop of 32" in message
    monkeypatch.setattr(learn_edges, "draw", lambda *_: [])
    advice = re.search(r"(--crop) (\d+)", message).groups()
    assert learn_edges.main([*given, *advice, "--batch", "2", "--steps", "3", "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("shape", [(2, 2), (1, 50)], ids=str)
def test_picture_smaller_than_a_kernel(example, capsys, tmp_path, shape):
    message = refused(example("learn_edges"), capsys, tmp_path, "--image", noise(tmp_path / "small.png", shape))
    assert message.endswith(f"the picture is {shape[1]} x {shape[0]}; give an --image of at least 3 x 3\n")


def test_picture_of_one_grey(example, capsys, tmp_path):
    Image.new("L", (64, 64), 128).save(tmp_path / "grey.png")
    assert "same grey" in refused(example("learn_edges"), capsys, tmp_path, "--image", tmp_path / "grey.png")


def test_crops_larger_than_memory(example, capsys, tmp_path):
    message = refused(example("learn_edges"), capsys, tmp_path, "--batch", 2**20, "--crop", 500)
    assert f"--batch {2**20} crops are too much for one step; give {2**26 // 500**2} or less" in message


def test_folder_that_cannot_be_written(example, capsys, tmp_path):
    assert "/proc/none/out" in refused(example("learn_edges"), capsys, tmp_path, out="/proc/none/out")


def test_folder_in_the_place_of_a_file(example, capsys, tmp_path):
    (tmp_path / "results" / "loss.png").mkdir(parents=True)
    message = refused(example("learn_edges"), capsys, tmp_path, out=tmp_path / "results")
    assert "loss.png: it is a folder; remove it, or give another --out" in message


def diverged(learn_edges, capsys, tmp_path, *arguments):
    """The last line of a run that is not saved."""
    with pytest.raises(SystemExit) as leaving:
        learn_edges.main([*SMALL, "--out", str(tmp_path), *arguments])
    captured = capsys.readouterr()
    assert leaving.value.code == 2
    assert captured.out == ""
    assert names(tmp_path) == set()
    return captured.err.splitlines()[-1]


@pytest.mark.usefixtures("_usual_jax")
@pytest.mark.parametrize("steps", ["1", "10", "120"])
def test_learning_that_diverges(example, capsys, tmp_path, steps):
    message = diverged(example("learn_edges"), capsys, tmp_path, "--lr", "1000", "--steps", steps)
    assert re.search(r"error: learning diverged: the loss rose from \S+ to \S+, .* a lower --lr than 1000$", message)


def test_learning_that_overflows(example, capsys, tmp_path, monkeypatch):
    learn_edges, training = map(example, ("learn_edges", "example_parts.edge_training"))
    monkeypatch.setattr(
        training, "advance", lambda state, *_, **__: (state._replace(step=state.step + 50), np.full(50, np.nan))
    )
    message = diverged(learn_edges, capsys, tmp_path)
    assert "error: learning diverged: the loss is no longer finite" in message
    assert message.endswith("a lower --lr than 0.2")


@pytest.mark.usefixtures("_usual_jax")
@pytest.mark.parametrize(
    "settings",
    [{"lr": 1.0}, {"batch": 1, "crop": 3}, {"batch": 1, "crop": 3, "noise": 10.0}, {"teacher": "laplacian"}],
    ids=str,
)
def test_learning_that_only_fluctuates(example, settings):
    """Runs of every length from 1 step: the first steps overshoot, and the loss of a small crop says little."""
    training = example("example_parts.edge_training")
    settings = training.Settings(**settings)
    lesson = training.teach(example("example_parts.pictures").read_photograph(), training.teacher_of(settings))
    run = training.start(settings)
    for end in (1, 2, 3, 5, 10, 30, 99, 100, 200):
        *_, run = training.train(run, lesson, settings, end)
        training.check_convergence(run, lesson, settings)
    losses = np.concatenate(run.losses)
    assert losses.max() > 2 * losses[0]  # a bound on a single step would have refused it


# ---- learn_edges: what it refuses to resume ----


def altered(folder, tmp_path, **changes):
    """The file of a run with some of its arrays replaced, or left out where None."""
    arrays = {name: array for name, array in (saved(folder) | changes).items() if array is not None}
    np.savez(tmp_path / "altered.npz", **arrays)
    return tmp_path / "altered.npz"


def test_resume_from_another_teacher(example, capsys, tmp_path, trained):
    path = trained / "laplacian" / "learn_edges.npz"
    message = refused(example("learn_edges"), capsys, tmp_path, "--resume", path, "--teacher", "sobel")
    assert "--teacher laplacian" in message
    assert "--teacher sobel" in message


def test_resume_with_another_setting(example, capsys, tmp_path, trained):
    path = trained / "first" / "learn_edges.npz"
    assert "--batch 2" in refused(example("learn_edges"), capsys, tmp_path, "--resume", path, "--batch", 4)


@pytest.mark.parametrize("shape", [(64, 64), (4, 4)], ids=str)
def test_resume_with_another_picture(example, capsys, tmp_path, trained, shape):
    other = noise(tmp_path / "other.png", shape)  # the smaller one is smaller than the crops, which cannot be changed
    path = trained / "first" / "learn_edges.npz"
    message = refused(example("learn_edges"), capsys, tmp_path, "--resume", path, "--image", other)
    assert "another picture" in message


@pytest.mark.usefixtures("_usual_jax")
def test_resume_with_a_picture_that_was_moved(example, capsys, tmp_path, monkeypatch):
    learn_edges = example("learn_edges")
    monkeypatch.setattr(learn_edges, "draw", lambda *_: [])
    picture, out = noise(tmp_path / "picture.png", (20, 20)), ["--out", str(tmp_path / "run")]
    learn_edges.main([*SMALL, "--steps", "3", "--image", str(picture), *out])
    moved, path = picture.rename(tmp_path / "moved.png"), tmp_path / "run" / "learn_edges.npz"
    capsys.readouterr()
    assert f"{picture}; say with --image" in refused(learn_edges, capsys, tmp_path, "--resume", path)
    assert learn_edges.main(["--resume", str(path), "--steps", "5", "--image", str(moved), *out]) == 0


def test_resume_with_no_steps_left(example, capsys, tmp_path, trained):
    path = trained / "first" / "learn_edges.npz"
    assert "holds 30 steps" in refused(example("learn_edges"), capsys, tmp_path, "--resume", path, "--steps", 30)


def test_resume_from_no_file(example, capsys, tmp_path):
    assert "there is no file" in refused(example("learn_edges"), capsys, tmp_path, "--resume", tmp_path / "none.npz")


def contents(folder):
    whole = (folder / "first" / "learn_edges.npz").read_bytes()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    return {
        "empty": b"",
        "text": b"weights",
        "truncated": whole[: len(whole) // 2],
        "damaged": whole[:200] + bytes(400) + whole[600:],
        "npy": array.getvalue(),
        "png": truncated_png(),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "damaged", "npy", "png"])
def test_resume_from_a_broken_file(example, capsys, tmp_path, trained, kind):
    path = tmp_path / "broken.npz"
    path.write_bytes(contents(trained)[kind])
    assert "broken.npz" in refused(example("learn_edges"), capsys, tmp_path, "--resume", path)


CHANGES = {
    "no weight": {"weight": None},
    "no optimiser": {"optimiser_0_mu_weight": None},
    "no settings": {"settings": None},
    "no teacher": {"teacher": None},
    "no losses": {"losses": None},
    "no frames": {"frames": None},
    "other teacher": {"teacher": np.array("prewitt")},
    "other shape": {"weight": np.zeros((2, 1, 5, 5), np.float32)},
    "other dtype": {"weight": np.zeros((2, 1, 3, 3))},
    "nan": {"bias": np.full(2, np.nan, np.float32)},
    "negative step": {"step": np.array(-1, np.int32), "losses": np.zeros(0, np.float32)},
    "odd settings": {"settings": np.array("[1, 2]")},
    "bad setting": {"settings": np.array('{"teacher": "sobel", "lr": "nan"}')},
    "few settings": {"settings": np.array('{"teacher": "sobel"}')},
}


@pytest.mark.parametrize("change", CHANGES)
def test_resume_from_an_altered_file(example, capsys, tmp_path, trained, change):
    path = altered(trained / "first", tmp_path, **CHANGES[change])
    message = refused(example("learn_edges"), capsys, tmp_path, "--resume", path)
    assert "cannot resume from" in message
