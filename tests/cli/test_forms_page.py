"""docs/forms.md as somebody follows it: each piece goes into its file, and each command prints what the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.policies.store import Policies
from tests.embedded.operations import Session, Step, steps

PAGE = Path(__file__).parents[2] / "docs" / "forms.md"
# What the page leaves out of what is printed.
LEFT_OUT = "..."
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_PIECE = re.compile(r"^```toml\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pieces(page: str) -> Iterator[tuple[int, str, str]]:
    """Yield the pieces of files on the page: the line, the file, and the text."""
    for found in _PIECE.finditer(page):
        yield page[: found.start()].count("\n"), found[1], found[2]


def followed(page: str, folder: Path) -> Iterator[tuple[Step, list[str]]]:
    """Do what the page says in a folder, and yield each command with what it prints."""
    session = Session(folder)
    todo: list[tuple[int, Step | tuple[str, str]]] = [(line, (name, text)) for line, name, text in pieces(page)]
    todo += [(step.line, step) for step in steps(page)]
    for _, one in sorted(todo, key=lambda item: item[0]):
        if isinstance(one, Step):
            yield one, session.type(one.typed)
        else:
            name, text = one
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as whole:
                whole.write(f"{text}\n")


def alike(line: str) -> str:
    """Return a line without the hash of the policy, which changes with the default one, and the width of columns."""
    return " ".join(_HASH.sub("HASH", line).split())


@pytest.mark.long
def test_whoever_follows_the_page_sees_what_it_shows(tmp_path: Path) -> None:
    typed = 0
    for step, printed in followed(PAGE.read_text("utf-8"), tmp_path):
        typed += 1
        told = [alike(line) for line in printed]
        missing = [line for line in step.shown if line != LEFT_OUT and alike(line) not in told]
        assert not missing, (step.line, step.typed, printed)
    assert typed > 5
    form = Policies(tmp_path / "policies").load("default").form["car_hire"]
    assert [step.name for step in form.steps] == ["superior", "car", "driver", "cost"]
