"""Running of the command line as its users do: arguments, two streams and an exit code."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any
from unittest.mock import patch

import psutil

from starter.cli import run

ROOT = Path(__file__).parents[2]
FOREIGN = ("TEMPORAL_", "CASELADDER_", "COLUMNS")
COMMAND = [sys.executable, "-m", "caseladder"]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of this process without variables that configure the program."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**own, "TEMPORAL_CONFIG_FILE": os.devnull, **(extra or {})}


class Answer:
    """The exit code and the output of a run."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The JSON value on stdout; the run must have succeeded."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, code: int) -> str:
        """Check that the run ended with one line of error and no output, and return the line without its prefix."""
        assert self.code == code, (self.code, self.err)
        assert self.out == ""
        assert self.err.startswith("caseladder: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("caseladder: ").rstrip("\n")


def spawn(*arguments: str, given: str = "", env: Mapping[str, str] | None = None) -> Answer:
    """Run the program to its end, with ``given`` on stdin."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(env),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def call(*arguments: str, given: str = "", env: Mapping[str, str] | None = None) -> Answer:
    """Run a command like `spawn`, but in this process, which saves a second of imports.

    Do not use it for ``up`` and ``worker``, which handle signals.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment(env), clear=True),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode()))),
        redirect_stdout(out),
        redirect_stderr(err),
        # In a separate thread, away from the event loop that the tests share.
        ThreadPoolExecutor(1) as own,
    ):
        code = own.submit(run, arguments).result()
    return Answer(code, out.getvalue(), err.getvalue())


class Up:
    """A running ``caseladder up``; ``says`` is what it printed at the start.

    Args:
        data: the data folder.
        options: further arguments.
        command: the program.
        cwd: the folder that it runs in.
        given: variables of the environment.
    """

    def __init__(
        self,
        data: Path,
        *options: str,
        command: Sequence[str] = COMMAND,
        cwd: Path = ROOT,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.data = data
        self.errors = data.parent / f"{data.name}.stderr"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*command, "up", "--json", "--data", str(data), *options],
                cwd=cwd,
                # A digest must not wait for a minute.
                env=environment({"CASELADDER_DIGEST_HOLD": "0", **given}),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        try:
            self.says: dict[str, Any] = _object(self.process.stdout, self.errors)
        except BaseException:
            self.end()
            raise

    def __call__(self, *arguments: str, given: str = "") -> Answer:
        """Run another command on the same data folder."""
        return call(*arguments, "--data", str(self.data), given=given)

    def family(self) -> list[psutil.Process]:
        """Return the process and all its descendants."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def worker(self) -> psutil.Process:
        """Return the worker process."""
        return next(child for child in self.family() if child.cmdline()[1:] == ["-m", "caseladder", "worker"])

    def stop(self, sent: signal.Signals = signal.SIGINT) -> int:
        """Stop it with a signal, and return its exit code."""
        self.process.send_signal(sent)
        return self.process.wait(30)

    def end(self) -> None:
        """Kill all processes that are still running."""
        if self.process.poll() is None:
            family = self.family()
            self.process.kill()
            psutil.wait_procs(family[1:], timeout=15)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _object(stream: IO[str], errors: Path) -> dict[str, Any]:
    """Read the JSON object at the beginning of a stream that stays open."""
    lines = []
    for line in stream:
        lines.append(line)
        if line == "}\n":
            found: dict[str, Any] = json.loads("".join(lines))
            return found
    raise AssertionError(f"it ended: {errors.read_text()}")
