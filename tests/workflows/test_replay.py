"""What ran yesterday goes on today: stored histories of each type and path are replayed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.workflows.make_histories import FOLDER, names
from workflows.registry import RUNNER, case_workflows

STORED = sorted(path.stem for path in FOLDER.glob("*.json"))


async def replay(name: str) -> None:
    """Replay a stored history. Raises `NondeterminismError` when the workflow would not do the same."""
    text = (FOLDER / f"{name}.json").read_text("utf-8")
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    replayer = Replayer(workflows=case_workflows(), workflow_runner=RUNNER, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(WorkflowHistory.from_json(started["workflowId"], text))


def test_every_path_is_stored() -> None:
    assert sorted(names()) == STORED


async def never(*_: object) -> None:
    """In place of a timer."""
    await workflow.wait_condition(lambda: False)


async def nothing(*_: object) -> None:
    """In place of an effect."""


def nothing_now(*_: object) -> None:
    """In place of an upsert."""


@pytest.mark.parametrize("name", STORED)
async def test_a_stored_history_replays(name: str) -> None:
    await replay(name)


@pytest.mark.parametrize(
    ("changed", "into", "name"),
    [
        pytest.param("shell.Shell._ring", never, "Complaint-ladder", id="no timer"),
        pytest.param("shell.Shell._ring", never, "Inquiry-breached", id="no timer for an inquiry"),
        pytest.param("effects.Outside.keep_recording", nothing, "Complaint-happy", id="no recording"),
        pytest.param("effects.Outside._tell_attributes", nothing_now, "Complaint-approvals", id="no attributes"),
        pytest.param("effects.Outside._tell_attributes", nothing_now, "Complaint-away", id="no attributes while away"),
    ],
)
async def test_a_workflow_that_would_do_something_else_is_found_out(
    changed: str, into: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"workflows.{changed}", into)

    with pytest.raises(NondeterminismError):
        await replay(name)


async def test_a_workflow_that_would_not_continue_as_new_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.shell.Shell._long", lambda *_: False)

    with pytest.raises(NondeterminismError):
        await replay("Complaint-continued")


def texts(value: Any) -> Iterator[str]:
    """Every text in a history, payloads decoded."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "data" and isinstance(item, str):
                yield base64.b64decode(item).decode()
            else:
                yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", STORED)
def test_a_stored_history_tells_of_no_person_and_no_machine(name: str) -> None:
    content = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))

    for text in texts(content):
        assert not re.search(r"\w@\w|(^|[\s\"'])/\w+/\w+|\.py\b|\b1[3-9]\d{9}\b", text), text[:200]
