"""What ran yesterday goes on today: stored histories of each type and path are replayed."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import (
    Interceptor,
    Replayer,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
    WorkflowRunner,
)
from temporalio.workflow import NondeterminismError

from cases.kinds.complaint import Complaint
from cases.rules import RULES
from tests.releases.stored import FOLDERS
from tests.workflows.disasters import says_more
from tests.workflows.make_histories import FOLDER, names
from tests.workflows.strict import STRICT
from workflows.registry import RUNNER, case_workflows

STORED = sorted(path.stem for path in FOLDER.glob("*.json"))
CONVERTER = pydantic_data_converter.payload_converter
# Of every number, also those that this build does not run any more.
EVERY = {f"{rules}/{path.stem}": path for rules, folder in FOLDERS.items() for path in folder.glob("histories/*.json")}

# What activities are asked for: the name and the arguments as JSON, in the order of their ids.
Asked = list[tuple[str, list[Any]]]


class Listening(Interceptor):
    """Notes what a workflow asks its activities for: a `Replayer` alone compares only which ones it asks."""

    def __init__(self) -> None:
        self.asked: Asked = []

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        asked = self.asked

        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
                arguments = [json.loads(payload.data) for payload in CONVERTER.to_payloads(input.args)]
                asked.append((input.activity, arguments))
                return self.next.start_activity(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                self.next.init(Outbound(outbound))

        return Inbound


def asked_then(history: dict[str, Any]) -> dict[int, tuple[str, list[Any]]]:
    """Return what a stored workflow asked its activities for, by their ids, which count from 1."""
    found = {}
    for event in history["events"]:
        order = event.get("activityTaskScheduledEventAttributes")
        if order is not None:
            payloads = order.get("input", {}).get("payloads", [])
            arguments = [json.loads(base64.b64decode(payload["data"])) for payload in payloads]
            found[int(order["activityId"])] = (order["activityType"]["name"], arguments)
    return found


def differences(then: Any, now: Any, path: str = "") -> Iterator[str]:
    """Say where two JSON values differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted(then.keys() | now.keys()):
            yield from differences(then.get(key, NOTHING), now.get(key, NOTHING), f"{path}.{key}")
    elif isinstance(then, list) and isinstance(now, list):
        for place, (one, other) in enumerate(zip_longest(then, now, fillvalue=NOTHING)):
            yield from differences(one, other, f"{path}.{place}")
    elif then != now:
        yield f"{path.removeprefix('.')}: {_shown(then)} then, {_shown(now)} now"


NOTHING = object()


def _shown(value: Any) -> str:
    return "nothing" if value is NOTHING else json.dumps(value, ensure_ascii=False)[:200]


def read(path: Path) -> dict[str, Any]:
    """Return a stored history as JSON."""
    history: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return history


async def replay(path: Path, *, listen: bool = True, runner: WorkflowRunner = RUNNER) -> None:
    """Replay a stored history.

    Raises:
        NondeterminismError: the workflow would do something else.
        AssertionError: it would ask an activity for something else.
    """
    history = read(path)
    started = history["events"][0]["workflowExecutionStartedEventAttributes"]
    listening = Listening()
    replayer = Replayer(
        workflows=case_workflows(),
        workflow_runner=runner,
        data_converter=pydantic_data_converter,
        interceptors=[listening] if listen else [],
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(started["workflowId"], history))
    for id_, (name, then) in asked_then(history).items() if listen else ():
        asked, now = listening.asked[id_ - 1]
        if differing := [*differences(name, asked, "name"), *differences(then, now)]:
            what = f"{path.stem}: activity {id_} ({name}) is asked for something else"
            raise AssertionError(f"{what}: {'; '.join(differing)}")


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
    await replay(FOLDER / f"{name}.json", runner=STRICT)


async def test_a_rule_that_asks_an_activity_for_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Complaint, "_do_investigate", says_more)

    await replay(FOLDER / "Complaint-happy.json", listen=False)
    with pytest.raises(AssertionError, match=r"activity \d+ \(\w+\) is asked for something else: .* then, .* now"):
        await replay(FOLDER / "Complaint-happy.json")


@pytest.mark.parametrize("name", sorted(EVERY))
async def test_a_history_of_other_rules_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither replayed nor taken for a nondeterminism: a worker that meets the run leaves it as it is."""
    if name.startswith(f"{RULES}/"):
        monkeypatch.setattr("cases.rules.RULES", RULES + 1)

    with pytest.raises(RuntimeError, match="OtherRules") as refused:
        await replay(EVERY[name])
    assert not isinstance(refused.value, NondeterminismError)


@pytest.mark.parametrize(
    ("changed", "into", "name"),
    [
        pytest.param("shell.Shell._ring", never, "Complaint-ladder", id="no timer"),
        pytest.param("shell.Shell._ring", never, "Inquiry-breached", id="no timer for an inquiry"),
        pytest.param("recording.Recording.keep_recording", nothing, "Complaint-happy", id="no recording"),
        pytest.param("effects.Outside.tell_attributes", nothing_now, "Complaint-approvals", id="no attributes"),
        pytest.param("effects.Outside.tell_attributes", nothing_now, "Complaint-away", id="no attributes while away"),
    ],
)
async def test_a_workflow_that_would_do_something_else_is_found_out(
    changed: str, into: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"workflows.{changed}", into)

    with pytest.raises(NondeterminismError):
        await replay(FOLDER / f"{name}.json")


async def test_a_workflow_that_would_not_continue_as_new_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.shell.Shell._long", lambda *_: False)

    with pytest.raises(NondeterminismError):
        await replay(FOLDER / "Complaint-continued.json")


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


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_stored_history_tells_of_no_person_and_no_machine(name: str) -> None:
    for text in texts(read(EVERY[name])):
        assert not re.search(r"\w@\w|(^|[\s\"'])/\w+/\w+|\.py\b|\b1[3-9]\d{9}\b", text), text[:200]
