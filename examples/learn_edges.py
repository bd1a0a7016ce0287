"""A randomly started convolution learns the edge kernels of a hidden teacher from one photograph.

The teacher is a classical edge kernel. The student, a convolution of the same size with random weights and a bias, is
shown random crops of the photograph and the teacher's responses to them, never the kernel, and comes to it by gradient
descent: Adam, its rate halved every --half-life steps. The photograph is shifted and scaled to mean 0 and standard
deviation 1 first, which makes it easier to learn from and leaves the kernels what they are.

--steps is where training ends, counted from the very first step, and what a step does depends on its number alone. So

    learn_edges.py --steps 1000
    learn_edges.py --steps 2000 --resume out/learn_edges.npz

end, to the bit, where --steps 2000 ends at once. When resuming, the other settings come from the file; they may be
given again, but not changed. Ctrl-C saves what was learned so far, to be resumed.

A run counts as diverged if the mean loss over the second half of its steps is more than 10 times that of the untrained
student, or 1000 times in a run of fewer than 100 steps. It is then not saved; start again with a lower --lr.
"""

import command

if __name__ == "__main__":
    command.launch(__file__)

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edge_figures
import edge_files
import numpy as np
import pictures
from edge_training import (
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
from tqdm import tqdm  # type: ignore[import-untyped]

SAVED = "learn_edges.npz"
SMALLEST = 3  # height and width of a crop, as of the kernels
MOST_PIXELS = 2**26  # in the crops of one step
OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "teacher": (command.one_of(TEACHERS), "whose kernels are to be learned: " + ", ".join(TEACHERS)),
    "image": (command.existing_file, "any picture; matplotlib's sample photograph if not given"),
    "noise": (command.real(1e6, zero=True), "standard deviation of the noise on the teacher's responses"),
    "batch": (command.whole(1, MOST_PIXELS), "crops in a step"),
    "crop": (command.whole(SMALLEST, 2**13), "height and width of a crop"),
    "lr": (command.real(1e6), "learning rate of the first step"),
    "half_life": (command.whole(1, 10**7), "steps in which the learning rate halves"),
    "seed": (command.whole(0, 2**31 - 1), "seed of all that is random"),
}


def make_parser() -> command.Parser:
    parser = command.Parser(__doc__ or "", "out")
    parser.add_argument("--steps", type=command.whole(1, 10**7), default=4000, help="where training ends (%(default)s)")
    parser.add_argument("--resume", metavar="NPZ", type=Path, help="a file saved before, to go on from")
    for name, (parse, says) in OPTIONS.items():
        default = getattr(Settings, name)
        text = f"{says} ({default})" if default != "" else says
        parser.add_argument(f"--{name.replace('_', '-')}", type=parse, default=None, help=text)
    return parser


def main(argv: list[str] | None = None) -> int:
    return command.run(make_parser(), learn_edges, argv)


def learn_edges(arguments: Namespace) -> int:
    """Check all there is to check, train, and save."""
    run, settings, photograph = prepare(arguments)
    command.open_folder(arguments.out, [SAVED, *edge_figures.FIGURES])
    lesson = teach(photograph, teacher_of(settings))
    run = train_with_bar(run, settings, lesson, arguments.steps)
    finished = run.step == arguments.steps
    if finished:
        check_convergence(run, lesson, settings)
    path = edge_files.save_run(arguments.out / SAVED, run, settings, photograph)
    print(report(run, settings))
    files = edge_figures.save_all(edge_figures.scene(run, settings, photograph), arguments.out)
    print(f"\nsaved in {arguments.out}: {', '.join(file.name for file in (path, *files))}")
    if not finished:
        print(f"interrupted after step {run.step} of {arguments.steps}; --resume {path} goes on from there")
    return 0 if finished else command.INTERRUPTED


def prepare(arguments: Namespace) -> tuple[Run, Settings, np.ndarray]:
    """Where training starts, under which settings, and the photograph."""
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
    """Refuse a photograph that there is nothing to learn from with these settings."""
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
    """Train under a progress bar, up to step `end` or to a Ctrl-C."""
    name = f"learning {settings.teacher}"
    with command.interrupts_held() as interrupts, tqdm(total=end, initial=run.step, unit="step", desc=name) as bar:
        for reached in train(run, lesson, settings, end):
            run = reached
            bar.set_postfix_str(f"loss {run.losses[-1][-1]:.1e}", refresh=False)
            bar.update(run.step - bar.n)
            if interrupts:
                break
    return run


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
