"""A client that knows nothing of us: the ``temporal`` command line and plain JSON."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from starter.embedded.temporal import temporal_binary
from tests.temporal import address, eventually
from tests.workflows.backend import Backend

CASE = "complaint:plain-1"
AGENT = '{"by": {"id": "agent-7", "role": "agent"}}'


@pytest.fixture
def temporal(backend: Backend, tmp_path: Path) -> Any:
    """Runs the command line against the server and reads its JSON."""
    # Nothing that this machine's user has configured may have a say.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}

    async def run(*words: str, fails: bool = False) -> Any:
        process = await asyncio.create_subprocess_exec(
            temporal_binary(), *words, "--address", address(backend.env.client), "--output", "json",
            env={**clean, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, error = await process.communicate()
        if fails:
            assert process.returncode != 0
            return out.decode() + error.decode()
        assert process.returncode == 0, error.decode()
        return json.loads(out) if out.strip() else None

    return run


async def test_the_command_line_is_enough(temporal: Any) -> None:
    intake = '{"key": "plain-1", "facts": {"category": "delay", "unit": "plain"}}'
    start = ("workflow", "start", "--type", "Complaint", "--task-queue", "cases", "--workflow-id", CASE)
    await temporal(*start, "--input", intake)

    async def query(name: str) -> Any:
        return (await temporal("workflow", "query", "--workflow-id", CASE, "--name", name))["queryResult"][0]

    async def signal(name: str, content: str) -> None:
        await temporal("workflow", "signal", "--workflow-id", CASE, "--name", name, "--input", content)

    async def update(name: str, content: str, fails: bool = False) -> Any:
        words = ("workflow", "update", "execute", "--workflow-id", CASE, "--name", name, "--input", content)
        return await temporal(*words, fails=fails)

    # An update answers with the view, or with why not.
    view = (await update("acknowledge", AGENT))["result"]
    assert (view["holder"], view["acknowledged"]) == ("agent-7", True)
    assert "agent-7 has acknowledged" in await update("acknowledge", AGENT, fails=True)
    await update("request_approval", '{"by": {"id": "agent-7", "role": "agent"}, "subject": "x", "amount": "500.00"}')

    await signal("approve", '{"by": {"id": "boss-1", "role": "supervisor"}}')
    await signal("escalate", '{"by": {"id": "agent-7", "role": "agent"}, "reason": "angry"}')

    seen = await eventually(lambda: query("case"), lambda view: bool(view["rung"] == "supervisor"))
    assert [approval["state"] for approval in seen["approvals"]] == ["approved"]
    types = [event["type"] for event in await query("timeline")]
    assert types[0] == "case_opened"
    assert {"acknowledged", "approval_requested", "approved", "escalated"} < set(types)
    assert {"rung", "answer", "resolution", "legal_limit"} < {clock["clock"] for clock in await query("explain")}

    async def listed() -> list[str]:
        found = await temporal("workflow", "list", "--query", "Unit = 'plain' AND Rung = 'supervisor'")
        return [execution["execution"]["workflowId"] for execution in found or []]

    await eventually(listed, lambda seen: seen == [CASE])


async def test_the_command_line_hears_of_an_intake_that_is_refused(temporal: Any) -> None:
    start = ("workflow", "execute", "--type", "Complaint", "--task-queue", "cases")

    intake = '{"key": "plain-2", "facts": {"category": "fire"}}'
    said = await temporal(*start, "--workflow-id", "complaint:plain-2", "--input", intake, fails=True)

    assert "facts.category" in said
    assert "'fire'" in said
