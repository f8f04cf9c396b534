"""Input that cannot be a case fails the workflow at once, with a refusal; nothing waits for a better day."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from cases.kinds.complaint import Complaint
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.temporal import eventually, task_failures
from tests.workflows.backend import DEFAULT, Backend
from workflows.state import pack

# A start with surplus arguments is turned away so early that the SDK never awaits the call it had prepared.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .*run_workflow:RuntimeWarning")


@pytest.fixture(autouse=True, scope="module")
def dropped_calls() -> Iterator[None]:
    """Such calls are collected here, where their warning is expected, and in no later test."""
    yield
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


FACTS = {"category": "delay"}
GOOD = {"key": "bad", "facts": FACTS}
REHEARSAL = {"offset_us": 0, "policy_document": DEFAULT.document}


def raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    """A payload as it stands."""
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


def rehearsed(**rehearsal: Any) -> dict[str, Any]:
    """An intake with a rehearsal that is wrong."""
    return {**GOOD, "rehearsal": {**REHEARSAL, **rehearsal}}


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        pytest.param((), "invalid", "one JSON object", id="nothing"),
        pytest.param((None,), "invalid", "one JSON object", id="null"),
        pytest.param(([GOOD],), "invalid", "one JSON object", id="list"),
        pytest.param(("bad",), "invalid", "one JSON object", id="text"),
        pytest.param(({},), "invalid", "key is missing; facts is missing", id="empty"),
        pytest.param((GOOD, "garbage"), "invalid", "got 2 arguments", id="second argument"),
        pytest.param((GOOD, None, {}), "invalid", "got 3 arguments", id="third argument"),
        pytest.param((raw(b"{not json"),), "invalid", "not JSON", id="broken JSON"),
        pytest.param((raw(b"[" * 100_000),), "invalid", "not JSON", id="deep JSON"),
        pytest.param((raw(b'{"key": "\\ud800"}'),), "invalid", "not JSON", id="half a character"),
        pytest.param((raw(b"\x00\xff", b"binary/plain"),), "invalid", "one JSON object", id="bytes"),
        pytest.param((raw(b"\x00\xff", b"binary/encrypted"),), "invalid", "not JSON", id="encrypted"),
        pytest.param((raw(b"{}", b"json/protobuf"),), "invalid", "not JSON", id="protobuf"),
        pytest.param(({**GOOD, "key": "other"},), "invalid", "must be complaint:other", id="wrong workflow id"),
        pytest.param(({**GOOD, "key": "a b"},), "invalid", "key = (text)", id="bad key"),
        pytest.param(({"key": "bad", "facts": {"categry": "delay"}},), "invalid", "facts.categry", id="typo"),
        pytest.param(({"key": "bad", "facts": {"category": "fire"}},), "invalid", "'fire'", id="unknown category"),
        pytest.param(({**GOOD, "received_at": "2026-03-04T10:00:00"},), "invalid", "received_at", id="naive time"),
        pytest.param(({**GOOD, "received_at": "2099-03-04T10:00:00Z"},), "invalid", "in the future", id="future"),
        pytest.param(({**GOOD, "policy": "nope"},), "unknown_policy", "'nope'", id="unknown policy"),
        pytest.param(({**GOOD, "policy": "broken"},), "bad_policy", "ladder", id="wrong policy file"),
        pytest.param(({**GOOD, "carried": {}},), "invalid", "carried is not a known field", id="state from outside"),
        pytest.param(({**GOOD, "rehearsal": 3},), "invalid", "rehearsal", id="rehearsal"),
        pytest.param(({**rehearsed(), "from_ledger": {}},), "invalid", "not rehearsed", id="rehearsed ledger"),
        pytest.param((rehearsed(policy_document="x"),), "invalid", "policy_document", id="rehearsed policy"),
        pytest.param((rehearsed(policy_document="[1]"),), "invalid", "policy_document", id="rehearsed list"),
        pytest.param((rehearsed(policy_document="{}"),), "bad_policy", "ladder is missing", id="empty policy"),
        pytest.param((rehearsed(offset_us=10**18),), "invalid", "offset_us", id="out of the calendar"),
        pytest.param((rehearsed(offset_us=10**30),), "invalid", "offset_us", id="out of any number"),
        pytest.param((rehearsed(continue_after=-1),), "invalid", "continue_after", id="for ever anew"),
        pytest.param((rehearsed(notices="maybe"),), "invalid", "notices", id="unknown outcome"),
    ],
)
async def test_what_is_no_case_fails_at_once(backend: Backend, args: tuple[Any, ...], code: str, named: str) -> None:
    (backend.folder / "policies" / "broken.toml").write_text('name = "broken"\n')

    case = await backend.start("Complaint", *args, id="complaint:bad")
    with pytest.raises(WorkflowFailureError) as failed:
        async with asyncio.timeout(5):
            await case.result()

    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.non_retryable, cause.details[0]["code"]) == ("Refused", True, code)
    assert named in cause.message
    assert await task_failures(backend.env.client, case.id) == []
    assert await backend.book.events(case.id) == []


async def test_what_is_written_for_a_later_run_is_refused_by_that_one_too(backend: Backend) -> None:
    """The engine starts further runs by a schedule, with what the sender wrote as if a run had handed it over."""
    events = pack(Complaint.open(read_intake(Complaint.INTAKE, GOOD), DEFAULT, datetime.now(UTC)).events)
    state = {"policy_document": DEFAULT.document, "events": events, "recorded": 0, "number": None}
    case = await backend.start(
        "Complaint", {"key": "bad", "carried": state}, id="complaint:bad", cron_schedule="@every 1s"
    )
    runs = backend.env.client.list_workflows

    async def ended() -> list[WorkflowExecutionStatus | None]:
        return [run.status async for run in runs("WorkflowId = 'complaint:bad' AND ExecutionStatus = 'Failed'")]

    await eventually(ended, lambda seen: len(seen) >= 2)
    await backend.handle(case.id).terminate()
    assert await backend.book.events(case.id) == []


async def test_who_asks_a_refused_case_hears_why(backend: Backend) -> None:
    case = await backend.start("Inquiry", {"key": "bad", "facts": {}}, id="inquiry:bad")
    with pytest.raises(WorkflowFailureError):
        await case.result()

    view = await case.query("case")

    assert (view["id"], view["status"], view["refusal"]["code"]) == ("inquiry:bad", "refused", "invalid")
    assert "facts.shipment is missing" in view["refusal"]["message"]
    assert await case.query("timeline") == await case.query("explain") == []


async def test_messages_to_a_refused_case_do_not_hold_it_up(backend: Backend) -> None:
    """All of it reaches the workflow with its first task."""
    case = await backend.start(
        "Complaint",
        {"key": "bad", "facts": {}},
        id="complaint:bad",
        start_signal="acknowledge",
        start_signal_args=[{"by": {"id": "agent-1", "role": "agent"}}],
    )

    with pytest.raises(WorkflowFailureError) as failed:
        await case.result()

    assert isinstance(failed.value.cause, ApplicationError)
    assert await task_failures(backend.env.client, case.id) == []


async def test_what_happens_to_a_case_cannot_wedge_it(backend: Backend) -> None:
    """Commands at the ends of what a field may hold."""
    case = await backend.file()
    by = {"id": "supervisor-1", "role": "supervisor"}
    for command, fields in (
        ("promise", {"reply_by": "9998-12-31T23:59:59+00:00"}),
        ("promise", {"reply_by": "9998-12-31T23:59:59-23:59"}),
        ("extend", {"clock": "answer", "due": "9998-12-31T23:59:59Z", "reason": "x"}),
        ("extend", {"clock": "__class__", "due": "2030-01-01T00:00:00Z", "reason": "x"}),
        ("request_approval", {"subject": "x", "amount": "9" * 13 + ".99"}),
        ("request_approval", {"subject": "y", "amount": "1e1000000"}),
        ("note", {"text": "\U0010ffff" * 4000}),
        ("note", {"text": "line\r\nbreak\u2028\u202e"}),
        ("propose", {"options": ["x" * 4000] * 4}),
    ):
        with suppress(Refused):
            await backend.client.command(case.id, command, {"by": by, **fields})

    await backend.recorded(case)
    assert await task_failures(backend.env.client, case.id) == []
