"""A randomly initialised convolution learns the edge kernels of a hidden teacher from one photograph.

The teacher is a classical edge kernel. The student is a convolution of the same size with random weights and a bias. It
receives random crops of the photograph and the teacher's responses to them, but never the kernel, and learns the kernel
by gradient descent: Adam, with a learning rate that halves every --half-life steps. The photograph is first shifted and
scaled to mean 0 and standard deviation 1, which makes training easier and does not change the kernels.

--steps is the step at which training ends, counted from the first step of all. A step depends on its number only. So

    learn_edges.py --steps 1000
    learn_edges.py --steps 2000 --resume out/learn_edges.npz

give the same result, bit for bit, as a single run with --steps 2000. When resuming, the other settings come from the
file. They may be given again, but not changed. Ctrl-C saves the state so far, which can be resumed.

A run counts as diverged if the mean loss over the second half of its steps is more than 10 times that of the untrained
student, or 1000 times in a run of fewer than 100 steps. Such a run is not saved. Start again with a lower --lr.
"""

from example_parts import command

if __name__ == "__main__":
    command.launch(__file__)

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from example_parts import edge_animation, edge_figures, edge_files, pictures
from example_parts.edge_training import (
    TEACHERS,
    Lesson,
    Run,
    Settings,
    check_convergence,
    largest_error,
    start,
    teach,
    teacher_of,
    train,
)

SAVED = "learn_edges.npz"
PICTURES = (*edge_figures.FIGURES, edge_animation.ANIMATION)
SMALLEST = 3  # pixels: height and width of the smallest crop, the same as the kernels'
MOST_PIXELS = 2**26  # in the crops of one step
OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "teacher": (command.one_of(TEACHERS), "whose kernels are to be learned: " + ", ".join(TEACHERS)),
    "image": (command.existing_file, "any picture; matplotlib's sample photograph if not given"),
    "noise": (command.real(1e6, zero=True), "standard deviation of the noise on the teacher's responses"),
    "batch": (command.whole(1, MOST_PIXELS), "crops in a step"),
    "crop": (command.whole(SMALLEST, 2**13), "height and width of a crop"),
    "lr": (command.real(1e6), "learning rate of the first step"),
    "half_life": (command.whole(1, 10**7), "steps in which the learning rate halves"),
    "seed": (command.whole(0, 2**31 - 1), "seed of all random numbers"),
}


def make_parser() -> command.Parser:
    parser = command.Parser(__doc__ or "", "out")
    parser.add_argument("--steps", type=command.whole(1, 10**7), default=4000, help="where training ends (%(default)s)")
    parser.add_argument("--resume", metavar="NPZ", type=Path, help="a saved file to resume from")
    for name, (parse, says) in OPTIONS.items():
        default = getattr(Settings, name)
        text = f"{says} ({default})" if default != "" else says
        parser.add_argument(f"--{name.replace('_', '-')}", type=parse, default=None, help=text)
    return parser


def main(argv: list[str] | None = None) -> int:
    return command.run(make_parser(), learn_edges, argv)


def learn_edges(arguments: Namespace) -> int:
    """Check the options and files, train, and save."""
    run, settings, photograph = prepare(arguments)
    command.open_folder(arguments.out, [SAVED, *PICTURES])
    print("compiling the teacher's edges and a step of gradient descent", file=sys.stderr, flush=True)
    lesson = teach(photograph, teacher_of(settings))
    run = train_with_bar(run, settings, lesson, arguments.steps)
    finished = run.step == arguments.steps
    if finished:
        check_convergence(run, lesson, settings)
    path = edge_files.save_run(arguments.out / SAVED, run, settings, photograph)
    print(report(run, settings))
    files = draw(run, settings, photograph, arguments.out)
    print(f"\nsaved in {arguments.out}: {', '.join(file.name for file in (path, *files))}")
    if not finished:
        print(f"interrupted after step {run.step} of {arguments.steps}; --resume {path} continues from there")
    return 0 if finished else command.INTERRUPTED


def prepare(arguments: Namespace) -> tuple[Run, Settings, np.ndarray]:
    """The run to start from, the settings, and the photograph."""
    given = {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}
    if arguments.resume is None:
        settings = Settings(**given)
        photograph = read_photograph(settings)
        check_photograph(photograph, settings)
        return start(settings), settings, photograph
    saved = edge_files.read_saved(arguments.resume)
    parsers = {name: parse for name, (parse, _) in OPTIONS.items()}
    settings = edge_files.saved_settings(arguments.resume, saved, given, parsers)
    photograph = read_photograph(settings)
    run = edge_files.resumed(arguments.resume, saved, settings, photograph)
    if run.step >= arguments.steps:
        raise command.Problem(f"{arguments.resume} holds {run.step} steps; --steps {arguments.steps} must be more")
    return run, settings, photograph


def read_photograph(settings: Settings) -> np.ndarray:
    return pictures.read_photograph(Path(settings.image) if settings.image else None)


def check_photograph(photograph: np.ndarray, settings: Settings) -> None:
    """Raise an error if nothing can be learned from this photograph with these settings."""
    height, width = photograph.shape
    shorter, most = min(height, width), MOST_PIXELS // settings.crop**2
    if shorter < SMALLEST:
        raise command.Problem(f"the picture is {width} x {height}; give an --image of at least {SMALLEST} x {SMALLEST}")
    if shorter < settings.crop:
        fits = f"--crop {shorter}{' or less' if shorter > SMALLEST else ''}"
        small = f"the picture is {width} x {height}, smaller than a crop of {settings.crop}"
        raise command.Problem(f"{small}; give {fits}, or a larger --image")
    if settings.batch > most:
        raise command.Problem(
            f"--batch {settings.batch} crops are too much for one step; give {most} or less, or a smaller --crop"
        )
    if not (np.isfinite(photograph).all() and np.ptp(photograph) > 0):
        raise command.Problem("there is nothing to learn from the picture: all of it is the same grey")


def train_with_bar(run: Run, settings: Settings, lesson: Lesson, end: int) -> Run:
    """Train with a progress bar, until step `end` or Ctrl-C."""
    name = f"learning {settings.teacher}"
    with command.interrupts_held() as interrupts, tqdm(total=end, initial=run.step, unit="step", desc=name) as bar:
        for reached in train(run, lesson, settings, end):
            run = reached
            bar.set_postfix_str(f"loss {run.losses[-1][-1]:.1e}", refresh=False)
            bar.update(run.step - bar.n)
            if interrupts:
                break
    return run


def draw(run: Run, settings: Settings, photograph: np.ndarray, folder: Path) -> list[Path]:
    print("drawing", file=sys.stderr, flush=True)
    scene = edge_figures.scene(run, settings, photograph)
    return [*edge_figures.save_all(scene, folder), edge_animation.save(scene, folder)]


def report(run: Run, settings: Settings) -> str:
    """The learned and the true kernels side by side, and the largest error."""
    weight, bias, true = (np.asarray(array) for array in (*run.state.params, teacher_of(settings)))
    lines = [f"The {settings.teacher} kernels after {run.step} steps, learned and true"]
    for channel, name in enumerate(TEACHERS[settings.teacher]):
        lines += ["", f"{name}{'learned':>{32 - len(name)}}  |  true"]
        for learned, target in zip(weight[channel, 0], true[channel, 0], strict=True):
            lines.append("  " + "".join(map(_digits, learned)) + "  |" + "".join(f"{number:5g}" for number in target))
        lines.append(f"  bias {_digits(bias[channel]).strip()}")
    error = largest_error(run.state.params, teacher_of(settings))
    return "\n".join([*lines, "", f"largest absolute error {error:.1e}"])


def _digits(number: float) -> str:
    return f"{round(float(number), 5) + 0.0:10.5f}"
