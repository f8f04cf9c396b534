"""A kind that is numbered later, files cases, issues copies and records absences does so everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.long
@pytest.mark.timeout(300)
def test_it_is_numbered_later_and_reaches_outside() -> None:
    """Run `inside` in a process of its own, since much is made from the kinds when it is imported."""
    arguments = ["-p", "tests.second_kind.inspection", "-q", "-p", "no:cacheprovider", str(HERE / "inside.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout, done.stdout
