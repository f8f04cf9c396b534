"""Workflow code runs in the sandbox, and what does I/O is out of its reach."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from tests.workflows.backend import Backend
from tests.workflows.strict import STRICT
from workflows.registry import RUNNER

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "workflows").rglob("[!_]*.py")
)
FORBIDDEN = (
    "asyncpg", "httpx", "aiosmtplib", "sqlalchemy", "alembic", "activities.casebook.record",
    "activities.notify.notifier",
)  # fmt: skip


def test_the_workflow_modules_reach_nothing_that_does_io() -> None:
    # The first one that reaches something is named.
    program = f"""
import importlib, sys
for module in {MODULES!r}:
    importlib.import_module(module)
    assert not (reached := [name for name in {FORBIDDEN!r} if name in sys.modules]), (module, reached)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr


def test_the_worker_uses_the_sandbox(backend: Backend) -> None:
    assert backend.worker.config()["workflow_runner"] is RUNNER
    for runner in (RUNNER, STRICT):
        assert isinstance(runner, SandboxedWorkflowRunner)
        # Its second import kills the process, so it must never have one.
        assert "asyncpg" in runner.restrictions.passthrough_modules


def test_no_module_of_ours_is_imported_again_for_each_run() -> None:
    # All or none: of two copies of a module, one would not know the events that the other declares.
    assert {"activities", "cases", "workflows"} <= RUNNER.restrictions.passthrough_modules
    # What replays in the other one is checked.
    assert "workflows" not in STRICT.restrictions.passthrough_modules


async def test_a_case_lives_in_the_sandbox(backend: Backend) -> None:
    today = datetime.now(UTC).date().isoformat()
    case = await backend.file("inquiry", {"shipment": {"waybill": "W1", "posted_on": today}})

    view = await backend.do(case, "reply", stage="answer")

    assert view["status"] == "resolved"
