"""A new kind of case is one module, one policy table, words and a scenario; and no kind lacks any of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from activities.policies.store import Policies
from cases.registry import KINDS
from tests.new_kind.parts import missing_parts
from tests.releases.stored import PRESENT

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCENARIOS = sorted((ROOT / "tests" / "scenarios").glob("*.toml"))
HISTORIES = {path.stem.partition("-")[0] for path in (PRESENT / "histories").glob("*.json")}


def test_no_kind_lacks_a_part() -> None:
    assert missing_parts(KINDS.values(), Policies().load("default"), SCENARIOS, HISTORIES) == []


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_new_kind_is_there_everywhere() -> None:
    """Run `inside` in a process of its own, since much is made from the kinds when it is imported."""
    arguments = ["-p", "tests.new_kind.warehouse", "-q", "-p", "no:cacheprovider", str(HERE / "inside.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout, done.stdout
