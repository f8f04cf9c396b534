"""The client in a checkout, beside modules of its user that have the names of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.program import environment

SCRIPT = """\
import asyncio
import os
import sys
import activities, workflows
from caseladder import CaseClient, Refused, Unreachable

assert (activities.OWNER, workflows.OWNER) == ("user", "user")
print(sorted(name for name in sys.modules if name.startswith(("activities.", "workflows."))))
try:
    asyncio.run(CaseClient.connect())
except Unreachable as error:
    print(error)
print(Refused("closed", "the case is closed").code, flush=True)
# A thread of the SDK may abort the interpreter while it ends (temporalio/sdk-python issue 300).
os._exit(0)
"""


def test_the_client_needs_none_of_the_modules_that_a_user_has_too(tmp_path: Path) -> None:
    (tmp_path / "workflows.py").write_text("OWNER = 'user'\n")
    (tmp_path / "activities").mkdir()
    (tmp_path / "activities" / "__init__.py").write_text("OWNER = 'user'\n")
    script = tmp_path / "backend.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment({"TEMPORAL_ADDRESS": "127.0.0.1:1"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported, unreachable, code = done.stdout.splitlines()
    assert imported == "[]"
    assert "no Temporal server answers at 127.0.0.1:1" in unreachable
    assert code == "closed"


def test_importing_the_package_costs_no_temporal_client() -> None:
    program = "import sys, caseladder; print('temporalio' in sys.modules, hasattr(caseladder, 'Case'))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
