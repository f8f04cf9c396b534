"""The blocks ``console`` of docs/operations.md as a session: what is typed, and what it prints.

    python -m tests.embedded.operations     # run them, and write what they print into the page

``$`` is what is typed, ``^C`` ends ``caseladder up``, what follows is printed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.program import COMMAND, ROOT, Up, environment

PAGE = ROOT / "docs" / "operations.md"
# What shows a refusal or a rehearsal that fails on purpose ends with a code of its own.
REFUSED = re.compile(r"caseladder: |\d+ rehearsed, \d+ OK, \d+ FAILED$")


@dataclass
class Step:
    """Something typed, with the lines that the page shows of what it prints, and where those are."""

    typed: str
    line: int
    shown: list[str] = field(default_factory=list)


def steps(page: str) -> Iterator[Step]:
    """Yield what the blocks ``console`` of a page have one type, in order."""
    step: Step | None = None
    inside = False
    for number, line in enumerate(page.splitlines()):
        if line.startswith("```"):
            if step is not None:
                yield step
            step, inside = None, line == "```console"
        elif inside and (line == "^C" or line.startswith("$ ")):
            if step is not None:
                yield step
            step = Step(line.removeprefix("$ "), number)
        elif step is not None:
            step.shown.append(line)


def alike(line: str) -> str:
    """Return a line without what differs each time: numbers, hashes and ids of keys, and how wide columns are."""
    # How many checkpoints there are depends on how long the commands take.
    line = line.replace("checkpoints", "checkpoint")
    return " ".join(re.sub(r"\b[0-9a-f]{16,64}\b|\d+", "0", line).split())


class Session:
    """A terminal in an empty folder, in which ``caseladder`` is this checkout's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._up: Up | None = None
        program = folder / "bin" / "caseladder"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.join(COMMAND)} "$@"\n')
        program.chmod(0o755)
        path = os.pathsep.join([str(program.parent), sysconfig.get_path("scripts"), os.environ["PATH"]])
        self._environment = environment({"PATH": path})

    def type(self, typed: str) -> list[str]:
        """Type a line and return what it prints; ``caseladder up`` goes on until ``^C``.

        Raises:
            AssertionError: it fails, other than by a refusal or an expectation that does not hold.
        """
        if typed == "^C":
            assert self._up is not None
            assert self._up.stop() == 0
            self._up.end()
            self._up = None
            return []
        if match := re.fullmatch(r"((?:[A-Z_]+=\S+ )*)caseladder up(.*)", typed):
            assert self._up is None
            given = dict(one.split("=", 1) for one in match[1].split())
            program = [str(self._folder / "bin" / "caseladder")]
            options = shlex.split(match[2])
            self._up = Up(self._folder / ".caseladder", *options, command=program, cwd=self._folder, given=given)
            return []
        temporal = {} if self._up is None else {"TEMPORAL_ADDRESS": self._up.says["temporal"]}
        done = subprocess.run(
            ["bash", "-c", typed],
            cwd=self._folder,
            env=self._environment | (temporal if typed.startswith("temporal ") else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        assert done.returncode == 0 or REFUSED.match(printed[-1]), (typed, done.stdout)
        return printed

    def end(self) -> None:
        """Leave nothing running."""
        if self._up is not None:
            self._up.end()


def main() -> None:
    """Run the page and write into it what it prints."""
    text = PAGE.read_text("utf-8")
    lines = text.splitlines()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="caseladder-operations-") as folder:
        Path(folder).chmod(0o711)
        session = Session(Path(folder))
        written: dict[int, tuple[int, list[str]]] = {}
        try:
            for step in steps(text):
                print(f"$ {step.typed}", file=sys.stderr, flush=True)
                printed = session.type(step.typed)
                written[step.line + 1] = (len(step.shown), printed)
        finally:
            session.end()
    for line, (old, printed) in sorted(written.items(), reverse=True):
        lines[line : line + old] = printed
    PAGE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
