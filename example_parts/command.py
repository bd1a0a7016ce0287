"""The command line that the examples share: options, one-line errors, Ctrl-C, and files that are never half written."""

import argparse
import importlib
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Never

INTERRUPTED = 130  # the exit status that shells use for a program that Ctrl-C ended


class Problem(Exception):
    """A mistake that the user can fix. `run` prints it as one line and exits with status 2."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def __init__(self, description: str, out: str):
        super().__init__(
            description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.add_argument("--out", metavar="FOLDER", type=Path, default=Path(out), help="where files go (%(default)s)")

    def error(self, message: str) -> Never:
        """Print what is wrong in one line, and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def launch(file: str) -> Never:
    """Run an example as a program. Its file calls this before its other imports, which take a second.

    Ctrl-C ends the program at once, except inside `interrupts_held`. It does not raise KeyboardInterrupt, because a C
    extension that is being imported turns that into an ImportError, and jax's callback of the garbage collector drops
    it (jax 0.10.2).
    """
    # A program that a shell starts in the background ignores Ctrl-C by default. This line changes that.
    signal.signal(signal.SIGINT, _leave)
    sys.exit(importlib.import_module(Path(file).stem).main())


def _leave(*_: object) -> Never:
    line_end = "\n" if sys.stderr.isatty() else ""  # ends the line on which a terminal has echoed ^C
    os.write(2, f"{line_end}{Path(sys.argv[0]).name}: interrupted\n".encode())
    os._exit(INTERRUPTED)


@contextmanager
def interrupts_held() -> Iterator[list[int]]:
    """In this context Ctrl-C only adds an entry to the list."""
    held: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, usual)


def run(parser: Parser, job: Callable[[argparse.Namespace], int], argv: list[str] | None = None) -> int:
    """Do the job with the options of the command line, and return the exit status."""
    arguments = parser.parse_args(argv)
    try:
        return job(arguments)
    except Problem as problem:
        parser.error(str(problem))


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that takes an integer from low to high."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return number

    return parse


def real(high: float, *, zero: bool = False) -> Callable[[str], float]:
    """The type of an option that takes a number above 0, or from 0 if `zero` is set, up to high."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (0 < number <= high or (number == 0 and zero)):
            raise argparse.ArgumentTypeError(
                f"expected a number {'from' if zero else 'above'} 0 to {high:g}, got {text!r}"
            )
        return number

    return parse


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """The type of an option that takes one of a few words."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(names)}, got {text!r}")
        return text

    return parse


def existing_file(text: str) -> str:
    """The type of an option that takes a file to read."""
    if not text or not os.path.exists(text):
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return os.path.abspath(text)


def open_folder(folder: Path, names: Iterable[str]) -> None:
    """Create the folder if it does not exist, and check that files with these names can be written there."""
    try:
        for place in (folder, *folder.parents):
            if os.path.lexists(place) and not place.is_dir():
                what = "it" if place == folder else place
                raise Problem(f"--out {folder}: {what} is a file; give a folder, or a name that is not taken")
        folder.mkdir(parents=True, exist_ok=True)
        probe = _beside(folder / "probe")
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:
        raise Problem(f"cannot write into the folder {folder}: {_reason(error)}") from error
    for name in names:
        if (folder / name).is_dir():
            raise Problem(f"cannot write {folder / name}: it is a folder; remove it, or give another --out")


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> Path:
    """Write a file completely or not at all: `fill` writes a temporary file, which then replaces it."""
    temporary = _beside(path)
    with interrupts_held() as interrupts:
        try:
            with temporary.open("wb") as file:
                fill(file)
            os.replace(temporary, path)
        except OSError as error:
            raise Problem(f"cannot write {path}: {_reason(error)}") from error
        finally:
            temporary.unlink(missing_ok=True)
    if interrupts:
        signal.raise_signal(signal.SIGINT)
    return path


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
