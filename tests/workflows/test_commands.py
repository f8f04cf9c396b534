"""Commands by update and by signal, and requests that are sent again."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import RawValue, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from cases.vocabulary.contract import TASK_QUEUE
from cases.vocabulary.refusals import Refused
from tests.temporal import eventually
from tests.workflows.backend import FACTS, Backend, Handle, Json, happened

AGENT = {"id": "agent-1", "role": "agent"}
SUPERVISOR = {"id": "boss-1", "role": "supervisor"}


def broken(data: bytes = b"{not json", encoding: bytes = b"json/plain") -> RawValue:
    """A payload that holds no JSON."""
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


async def refusal(case: Handle, command: str, *args: Any) -> ApplicationError:
    """The failure that an update comes back with."""
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await case.execute_update(command, args=args)
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "Refused"
    return cause


async def length(case: Handle) -> int:
    """How many events the history of a case has."""
    return len((await case.fetch_history()).events)


# --- updates ----------------------------------------------------------------------------------------


async def test_a_command_answers_with_the_view_that_it_made(backend: Backend) -> None:
    case = await backend.file()

    view = await backend.do(case, "acknowledge")

    assert (view["acknowledged"], view["holder"], view["rung"]) == (True, "agent-1", "agent")
    # How many events are recorded may grow between the two.
    assert {**view, "recorded": 0} == {**await case.query("case"), "recorded": 0}
    [event] = await backend.timeline(case, "acknowledged")
    assert event["actor"] == AGENT


@pytest.mark.parametrize(
    ("command", "fields", "code", "clause"),
    [
        ("approve", {"by": SUPERVISOR}, "nothing_to_approve", ""),
        ("extend", {"clock": "answer", "due": "2030-01-01T00:00:00Z", "reason": "x", "by": AGENT}, "role", ""),
        ("note", {"text": "x", "by": {"id": "x", "role": "boss"}}, "unknown_role", ""),
        ("assign", {"to": SUPERVISOR, "by": AGENT}, "upward", ""),
        ("escalate", {"to": "agent", "reason": "x", "by": AGENT}, "not_above", ""),
        ("close", {"by": AGENT}, "not_resolved", ""),
        ("follow_up", {"satisfied": True, "by": AGENT}, "not_resolved", "S1-4.2"),
        ("promise", {"reply_by": "2020-01-01T00:00:00Z", "by": AGENT}, "past", "S1-4.1"),
        ("promise", {"reply_by": "2099-01-01T00:00:00Z", "by": AGENT}, "past_legal_limit", "O-REG-29"),
        ("answer_option", {"accepted": True, "by": AGENT}, "no_option", "S1-4.2"),
        ("propose", {"options": list("abcde"), "by": AGENT}, "too_many_options", "S1-4.2"),
        (
            "extend",
            {"clock": "legal_limit", "due": "2099-01-01T00:00:00Z", "reason": "x", "by": SUPERVISOR},
            "not_extendable",
            "S4-2.4",
        ),
    ],
)
async def test_what_the_rules_do_not_allow_is_refused_with_code_and_clause(
    backend: Backend, command: str, fields: Json, code: str, clause: str
) -> None:
    case = await backend.file()
    before = await backend.recorded(case)

    cause = await refusal(case, command, fields)

    assert cause.details == ({"code": code, "clause": clause},)
    assert cause.message
    assert await backend.timeline(case) == before


@pytest.mark.parametrize(
    ("command", "args", "code", "named"),
    [
        ("acknowledg", ({"by": AGENT},), "unknown_command", "'acknowledg'"),
        ("settle", ({"by": AGENT},), "unknown_command", "'settle'"),
        ("acknowledge", (), "invalid", "got 0 arguments"),
        ("acknowledge", ({"by": AGENT}, {}), "invalid", "got 2 arguments"),
        ("acknowledge", ([],), "invalid", "acknowledge"),
        ("acknowledge", ("please",), "invalid", "acknowledge"),
        ("acknowledge", (None,), "invalid", "acknowledge"),
        ("acknowledge", (broken(),), "invalid", "not JSON"),
        ("acknowledge", (broken(b'{"by": "\\ud800"}'),), "invalid", "not JSON"),
        ("acknowledge", (broken(b"[" * 100_000),), "invalid", "not JSON"),
        ("acknowledge", (broken(b"\x00", b"binary/encrypted"),), "invalid", "not JSON"),
        ("acknowledge", ({},), "invalid", "by is missing"),
        ("acknowledge", ({"by": {"id": "a b", "role": "agent"}},), "invalid", "by.id"),
        ("acknowledge", ({"by": AGENT, "request_id": ""},), "invalid", "request_id"),
        ("acknowledge", ({"by": AGENT, "why": 1},), "invalid", "why is not a known field"),
        ("acknowledge", ({"by": AGENT, "at": "2026-03-04T10:00:00Z"},), "invalid", "rehearsed"),
        ("promise", ({"by": AGENT, "reply_by": "2026-03-04T10:00:00"},), "invalid", "reply_by"),
        ("request_approval", ({"by": AGENT, "subject": "x", "amount": 12.5},), "invalid", "amount"),
        ("request_approval", ({"by": AGENT, "subject": "x", "amount": "12.345"},), "invalid", "amount"),
        ("escalate", ({"by": AGENT},), "invalid", "reason is missing"),
    ],
)
async def test_what_is_badly_formed_is_turned_away_and_leaves_no_trace(
    standing: Handle, command: str, args: tuple[Any, ...], code: str, named: str
) -> None:
    before = await length(standing)

    cause = await refusal(standing, command, *args)

    assert cause.details == ({"code": code, "clause": ""},)
    assert named in cause.message
    assert await length(standing) == before


@pytest.fixture(scope="module")
async def standing(backend: Backend) -> Handle:
    """A case at rest: all is recorded and told, and nothing is due."""
    case = await backend.file()
    await backend.recorded(case)
    # Whatever was under way has left its trace once the history stays as it is.
    before = -1
    while before != (before := await length(case)):
        await backend.timeline(case)
    return case


async def test_personal_values_are_not_repeated_by_a_refusal(standing: Handle) -> None:
    cause = await refusal(standing, "log_contact", {"by": AGENT, "reached": False, "reason": {"phone": "13800000000"}})

    assert "reason" in cause.message
    assert "13800000000" not in cause.message


async def test_an_update_that_starts_the_case_is_decided_once_it_is_open(backend: Backend) -> None:
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "Complaint",
        {"key": "with-start", "facts": FACTS["complaint"]},
        id="complaint:with-start",
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )

    view = await backend.env.client.execute_update_with_start_workflow(
        "acknowledge", {"by": AGENT}, start_workflow_operation=start
    )

    assert view["acknowledged"] is True
    events = await backend.timeline(backend.handle("complaint:with-start"))
    types = [event["type"] for event in events]
    assert types.index("case_opened") == 0 < types.index("acknowledged")


async def test_a_closed_case_takes_no_command(backend: Backend) -> None:
    case = await backend.file()
    await backend.do(case, "resolve")
    await backend.do(case, "close")
    assert (await case.result())["status"] == "closed"

    with pytest.raises(Refused, match="the case is closed") as refused:
        await backend.do(case, "note", text="too late")
    with pytest.raises(Refused, match="the case is closed"):
        await backend.client.signal(case.id, "acknowledge", {"by": AGENT})

    assert (refused.value.code, refused.value.clause) == ("closed", "S1-5.9.8")
    with pytest.raises(Refused) as unknown:
        await backend.do(backend.handle("complaint:nowhere"), "note", text="hello?")
    assert unknown.value.code == "not_found"


# --- signals ----------------------------------------------------------------------------------------


async def test_the_four_signals_do_what_the_commands_do(backend: Backend) -> None:
    case = await backend.file()
    for subject in ("refund", "discount"):
        await backend.do(case, "request_approval", subject=subject, amount="500.00")

    await case.signal("approve", {"by": SUPERVISOR, "subject": "refund"})
    await case.signal("reject", {"by": SUPERVISOR, "subject": "discount", "reason": "no ground"})
    await case.signal("escalate", {"by": AGENT, "reason": "angry"})
    await case.signal("acknowledge", {"by": SUPERVISOR})

    kinds = ("approved", "rejected", "escalated", "acknowledged", "command_refused")
    events = await eventually(lambda: backend.timeline(case, *kinds), lambda seen: len(seen) == 4)
    assert [(event["type"], event["actor"]["id"]) for event in events] == [
        ("approved", "boss-1"),
        ("rejected", "boss-1"),
        ("escalated", "agent-1"),
        ("acknowledged", "boss-1"),
    ]


async def test_what_was_signalled_is_never_dropped(backend: Backend) -> None:
    case = await backend.file()

    await case.signal("approve", {"by": SUPERVISOR})
    await case.signal("resolve", {"by": AGENT})
    await case.signal("frobnicate", {"by": AGENT})
    await case.signal("escalate", {"by": AGENT})
    await case.signal("escalate", args=[])
    await case.signal("acknowledge", broken())
    await case.signal("acknowledge", {"by": AGENT, "at": "2026-03-04T10:00:00Z"})

    events = await eventually(lambda: backend.timeline(case, "command_refused"), lambda seen: len(seen) == 7)
    assert [(event["data"]["command"], event["data"]["code"], event["actor"]["role"]) for event in events] == [
        ("approve", "nothing_to_approve", "supervisor"),
        ("resolve", "unknown_command", "system"),
        ("unknown", "unknown_command", "system"),
        ("escalate", "invalid", "system"),
        ("escalate", "invalid", "system"),
        ("acknowledge", "invalid", "system"),
        ("acknowledge", "invalid", "system"),
    ]
    assert [event for event in await backend.recorded(case) if event["type"] == "command_refused"] == events


async def test_a_signal_that_starts_the_case_waits_until_it_is_open(backend: Backend) -> None:
    case = await backend.start(
        "Complaint",
        {"key": "signalled", "facts": FACTS["complaint"]},
        id="complaint:signalled",
        start_signal="acknowledge",
        start_signal_args=[{"by": AGENT}],
    )

    [event] = await eventually(lambda: backend.timeline(case, "acknowledged"), lambda seen: len(seen) == 1)
    assert event["data"]["id"] == "agent-1"


# --- requests sent again ------------------------------------------------------------------------------


async def test_a_request_sent_again_is_answered_again_and_not_done_again(backend: Backend) -> None:
    case = await backend.file()
    first = await backend.do(case, "note", text="called", request_id="r-1")

    again = await backend.do(case, "note", text="called", request_id="r-1")

    assert again["events"] >= first["events"]
    assert len(await backend.timeline(case, "noted")) == 1
    # By signal too: it is neither done again nor counted as refused.
    await backend.do(case, "acknowledge", request_id="r-2")
    await case.signal("acknowledge", {"by": AGENT, "request_id": "r-2"})
    await backend.do(case, "note", text="after the signal")
    assert len(await backend.timeline(case, "acknowledged")) == 1
    assert await backend.timeline(case, "command_refused") == []


async def test_a_request_id_belongs_to_its_content(backend: Backend) -> None:
    case = await backend.file()
    await backend.do(case, "note", text="called", request_id="r-1")

    for command, fields in (
        ("note", {"text": "called twice"}),
        ("note", {"text": "called", "role": "supervisor"}),
        ("resolve", {"summary": "called"}),
    ):
        with pytest.raises(Refused, match="request_id = 'r-1' was used with other content") as refused:
            await backend.do(case, command, **{"request_id": "r-1", **fields})
        assert refused.value.code == "request_id_reused"

    assert len(await backend.timeline(case, "noted")) == 1


async def test_a_refusal_is_remembered_too(backend: Backend) -> None:
    case = await backend.file()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await backend.do(case, "close", request_id="r-1")
        assert refused.value.code == "not_resolved"
        # Now it could be closed, but that request was answered.
        await backend.do(case, "resolve", request_id="r-2")

    assert (await backend.do(case, "close", request_id="r-3"))["status"] == "closed"


async def test_requests_are_remembered_when_the_case_continues_as_new(backend: Backend) -> None:
    case = await backend.rehearse(continue_after=40)
    await backend.do(case, "note", text="called", request_id="r-1")
    with pytest.raises(Refused):
        await backend.do(case, "close", request_id="r-2")
    await backend.do(case, "resolve")
    before = await case.query("case")

    for number in range(30):
        await backend.do(case, "note", text=f"note {number}")
    assert (await case.describe()).run_id != case.first_execution_run_id

    view = await backend.do(case, "note", text="called", request_id="r-1")
    assert view["events"] == before["events"] + 30
    with pytest.raises(Refused) as reused:
        await backend.do(case, "note", text="other", request_id="r-1")
    with pytest.raises(Refused) as refused:
        await backend.do(case, "close", request_id="r-2")
    assert (reused.value.code, refused.value.code) == ("request_id_reused", "not_resolved")


async def test_only_so_many_requests_are_remembered(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.shell.REMEMBERED", 3)
    case = await backend.file()

    async def note(number: int) -> None:
        # Not through our client: Temporal itself would answer its repeats.
        body = {"by": {"id": "agent-1", "role": "agent"}, "text": "x", "request_id": f"r-{number}"}
        await case.execute_update("note", body)

    for number in range(4):
        await note(number)
    # The oldest is forgotten, the others are not.
    for number in (3, 2, 1):
        await note(number)
    assert len(await backend.timeline(case, "noted")) == 4
    await note(0)
    assert len(await backend.timeline(case, "noted")) == 5


# --- intake again -------------------------------------------------------------------------------------


async def test_the_same_intake_gives_the_same_case(backend: Backend) -> None:
    intake = {"key": "again", "facts": {"category": "loss"}}
    first = await backend.client.file("complaint", intake)

    again = await backend.client.file("complaint", intake)
    with pytest.raises(Refused, match="key = 'again'") as conflict:
        await backend.client.file("complaint", {"key": "again", "facts": {"category": "delay"}})

    assert conflict.value.code == "conflict"
    assert again["opened_at"] == first["opened_at"]
    assert happened(await backend.timeline(backend.handle("complaint:again"), "case_opened")) == [
        ("case_opened", first["opened_at"])
    ]


async def test_a_rehearsed_case_stands_for_no_real_one(backend: Backend) -> None:
    case = await backend.rehearse()
    with pytest.raises(Refused, match="is being rehearsed") as caught:
        await backend.client.file("complaint", {"key": case.id.partition(":")[2], "facts": {"category": "delay"}})
    assert caught.value.code == "conflict"


async def test_a_close_whose_answer_was_lost_is_answered_again(backend: Backend) -> None:
    case = await backend.file()
    await backend.do(case, "resolve")
    first = await backend.do(case, "close", request_id="close-1")
    assert (await case.result())["status"] == "closed"

    assert await backend.do(case, "close", request_id="close-1") == first

    with pytest.raises(Refused) as caught:
        await backend.do(case, "close", request_id="close-1", outcome="other")
    assert caught.value.code == "closed"
