"""A process that answers lines of JSON, and can be ended while it computes an answer."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any


class Worker:
    """`python -m` with these arguments. What it prints are its answers, a line of JSON each."""

    def __init__(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.put(line)
        self.lines.put("")  # the process ended

    def ask(self, request: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # of a process that ended, which `answer` says
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def answer(self, seconds: float) -> Any:
        """The next answer. If there is none in this time, TimeoutError, and if the process ended, EOFError.

        The process has ended after either.
        """
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            self.end()
            raise TimeoutError from None
        if not line:
            self.end()
            raise EOFError
        return json.loads(line)

    def end(self) -> None:
        self.process.kill()
        self.reader.join()
        with contextlib.suppress(BrokenPipeError), self.process:
            pass
