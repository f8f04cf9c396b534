"""The drills of docs/operations.md on the embedded stack: every line of its sessions, and what the page shows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.embedded.operations import PAGE, Session, Step, alike, steps


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_the_drills_print_what_the_page_shows(tmp_path: Path) -> None:
    session = Session(tmp_path)
    try:
        for step in steps(PAGE.read_text("utf-8")):
            printed = [alike(line) for line in session.type(step.typed)]
            # On a slow machine a clock may have run out meanwhile, so that there is more to tell.
            missing = [line for line in step.shown if alike(line) not in printed]
            assert not missing, (step.line, step.typed, printed)
    finally:
        session.end()


def test_the_drills_are_found() -> None:
    drilled = [step.typed for step in steps(PAGE.read_text("utf-8"))]
    for part in (
        "backup ",
        "restore ",
        "--ledger-only",
        "--engine-lost",
        "recover --from-engine",
        "recover --all-open",
    ):
        assert any(part in typed for typed in drilled), part
    page = "text\n```console\n$ a\nb\n\nc\n^C\n```\n```sh\n$ no\n```\n```console\n$ d\n```\n"
    assert list(steps(page)) == [Step("a", 2, ["b", "", "c"]), Step("^C", 6), Step("d", 12)]
    assert alike("12 cases  in 3.5 s") == alike("9 cases in 0.1 s")
