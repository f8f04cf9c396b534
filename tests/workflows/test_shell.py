"""A case over its life: what is seen of it, what time does to it, what is recorded and what it costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

from activities.messages import BEGIN, BeginOrder, Begun
from activities.policies.store import Policies
from cases.kinds.complaint import Complaint as ComplaintCase
from cases.vocabulary.events import Event
from cases.vocabulary.refusals import Refused
from tests.temporal import eventually
from tests.workflows.backend import DEFAULT, FACTS, Backend, Handle, Json, happened
from workflows.registry import RUNNER, workflow_of

AGENT = {"id": "agent-1", "role": "agent"}
MINUTE = timedelta(minutes=1)


def at(event: Json) -> datetime:
    """When an event happened."""
    return datetime.fromisoformat(event["at"])


# --- what is seen of it -------------------------------------------------------------------------------


async def test_the_three_queries_tell_of_the_case(backend: Backend) -> None:
    case = await backend.file(facts={"category": "loss", "severity": "serious", "unit": "north"})

    view, events, clocks = [await case.query(name) for name in ("case", "timeline", "explain")]

    assert {key: view[key] for key in ("id", "kind", "status", "rung", "holder", "unit", "severity")} == {
        "id": case.id,
        "kind": "complaint",
        "status": "open",
        "rung": "supervisor",
        "holder": "supervisor",
        "unit": "north",
        "severity": "serious",
    }
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "case_opened"
    answer = next(clock for clock in clocks if clock["clock"] == "answer")
    assert (answer["state"], answer["limit"], answer["clause"]) == ("running", {"elapsed_minutes": "720"}, "S4-2.4")


async def test_personal_facts_are_only_where_they_may_be_erased(backend: Backend) -> None:
    facts = {"category": "delay", "description": "SECRET", "customer": {"name": "SECRET", "phone": "SECRET"}}
    case = await backend.file(facts=facts)
    await backend.recorded(case)

    seen = [await case.query(name) for name in ("case", "timeline", "explain")]
    description = await case.describe()

    assert "SECRET" not in str(seen)
    assert "SECRET" not in str(description.typed_search_attributes) + str(await description.memo())
    assert "SECRET" not in str([mail.as_string() for mail in backend.mails()])
    assert (await backend.book.personal(case.id)) == {key: facts[key] for key in ("description", "customer")}


async def test_a_case_that_opens_says_so_and_what_comes_meanwhile_waits(backend: Backend) -> None:
    """The policy comes late, as from a slow disk."""
    wanted = asyncio.Event()

    @activity.defn(name=BEGIN)
    async def late(order: BeginOrder) -> Begun:
        await wanted.wait()
        return Begun(Policies().load(order.policy).document)

    others = [each for each in backend.worker.config()["activities"] if each.__name__ != BEGIN]
    async with Worker(
        backend.env.client,
        task_queue="slow",
        workflows=[workflow_of(ComplaintCase)],
        activities=[late, *others],
        workflow_runner=RUNNER,
    ):
        case: Handle = await backend.env.client.start_workflow(
            "Complaint",
            {"key": "slow", "facts": FACTS["complaint"]},
            id="complaint:slow",
            task_queue="slow",
        )
        assert await case.query("case") == {"id": "complaint:slow", "status": "opening"}
        assert await case.query("timeline") == await case.query("explain") == []
        command = asyncio.create_task(backend.do(case, "acknowledge", "supervisor"))
        await case.signal("escalate", {"by": AGENT, "reason": "angry"})

        wanted.set()

        assert (await command)["status"] == "open"
        events = await backend.timeline(case, "case_opened", "acknowledged", "escalated", "command_refused")
        assert events[0]["type"] == "case_opened"
        assert sorted(event["type"] for event in events[1:]) == ["acknowledged", "escalated"]

        async def under_way() -> int:
            return len((await case.describe()).raw_description.pending_activities)

        # sdk-core (temporalio 1.35) may hang where a worker ends with an activity that the server knows no more.
        await eventually(under_way, lambda pending: pending == 0)
        await case.terminate()


async def test_the_attributes_list_what_somebody_looks_for(backend: Backend) -> None:
    case = await backend.file(facts={"category": "loss", "unit": "south"})
    number = (await eventually(lambda: case.query("case"), lambda view: view["number"] is not None))["number"]

    async def found(query: str) -> list[str]:
        return [found.id async for found in backend.env.client.list_workflows(query)]

    async def lists(query: str) -> None:
        await eventually(lambda: found(f"Unit = 'south' AND {query}"), lambda seen: seen == [case.id])

    await lists(f"CaseKind = 'complaint' AND CaseStatus = 'open' AND CaseNumber = '{number}'")
    await lists("Rung = 'agent' AND Holder = 'agent' AND Breached IS NULL")
    soon = datetime.now(UTC) + 5 * MINUTE
    await lists(f"NextDue > '{(soon - MINUTE).isoformat()}' AND NextDue <= '{soon.isoformat()}'")

    await backend.wait(case, 5 * MINUTE)
    await backend.do(case, "acknowledge", "supervisor")
    await backend.wait(case, 25 * MINUTE)

    await lists("Rung = 'supervisor' AND Holder = 'supervisor-1' AND Breached = 'interim_reply' AND Breached = 'rung'")
    await backend.do(case, "resolve", "supervisor")
    await backend.do(case, "close", "supervisor")
    await lists("CaseStatus = 'closed' AND NextDue IS NULL")


async def test_the_web_ui_shows_who_holds_the_case_and_what_is_due(backend: Backend) -> None:
    case = await backend.file()
    await backend.do(case, "acknowledge")
    view = await eventually(lambda: case.query("case"), lambda view: view["number"] is not None)

    async def details() -> str:
        metadata: WorkflowMetadata = await case.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        return metadata.current_details

    shown = await eventually(details, lambda text: "agent-1" in text)
    assert f"Held by agent (agent-1), acknowledged. Next: {view['next_due']}." in shown
    assert view["number"] in shown
    assert f"| resolution | running | {next(c['due'] for c in view['clocks'] if c['clock'] == 'resolution')} |" in shown


# --- what time does to it -----------------------------------------------------------------------------


async def test_a_complaint_that_nobody_takes_up_climbs_to_the_top_and_is_reminded_of(backend: Backend) -> None:
    case = await backend.file()

    await backend.wait(case, 15 * MINUTE)

    view = await case.query("case")
    assert view["rung"] == "general_manager"
    opened = datetime.fromisoformat(view["opened_at"])
    climbs = await backend.timeline(case, "escalated")
    assert [(event["data"]["to"], event["data"]["cause"], at(event) - opened) for event in climbs] == [
        ("supervisor", "unacknowledged", 5 * MINUTE),
        ("qa_manager", "unacknowledged", 10 * MINUTE),
        ("general_manager", "unacknowledged", 15 * MINUTE),
    ]
    await backend.wait(case, 35 * MINUTE)
    reminders = await backend.timeline(case, "reminded")
    assert [at(event) - opened for event in reminders] == [20 * MINUTE, 30 * MINUTE, 50 * MINUTE]
    told = await eventually(
        lambda: backend.timeline(case, "notified"),
        lambda events: sum(event["data"]["notice"] == "reminder" for event in events) == 3,
    )
    assert {event["data"]["outcome"] for event in told} == {"sent"}
    assert Counter(backend.mailed(case))["agents@example.com"] == 1
    await backend.do(case, "acknowledge", "general_manager")
    await backend.wait(case, timedelta(hours=3))
    assert len(await backend.timeline(case, "reminded")) == 3


async def test_what_happened_before_the_case_was_filed_happens_at_its_own_times(backend: Backend) -> None:
    received = datetime.now(UTC) - 33 * MINUTE

    case = await backend.file(received_at=received.isoformat())

    events = await backend.recorded(case)
    assert [at(event) - received for event in events if event["type"] == "escalated"] == [
        5 * MINUTE,
        10 * MINUTE,
        15 * MINUTE,
    ]
    assert [at(event) - received for event in events if event["type"] == "reminded"] == [20 * MINUTE, 30 * MINUTE]
    breaches = [event["data"]["clock"] for event in events if event["type"] == "clock_breached"]
    assert (breaches.count("rung"), breaches.count("interim_reply")) == (4, 1)
    times = [at(event) for event in events]
    assert times == sorted(times)
    assert all(datetime.fromisoformat(event["recorded_at"]) - received >= 33 * MINUTE for event in events)


@pytest.mark.long
async def test_a_case_filed_years_late_catches_up(backend: Backend) -> None:
    """A complaint of long ago was reminded of daily since: thousands of events at once."""
    case = await backend.file(received_at=(datetime.now(UTC) - timedelta(days=3 * 365)).isoformat())

    events = await backend.recorded(case)

    assert sum(event["type"] == "reminded" for event in events) > 1000
    assert (await backend.do(case, "resolve", "general_manager"))["status"] == "resolved"


async def test_a_command_at_the_limit_of_a_rehearsed_case_is_in_time(backend: Backend) -> None:
    case = await backend.rehearse()
    opened = datetime.fromisoformat((await case.query("case"))["opened_at"])
    await backend.wait(case, 29 * MINUTE)

    await backend.do(case, "reply", stage="interim", at=(opened + 30 * MINUTE).isoformat())

    [met] = [e for e in await backend.timeline(case, "clock_met") if e["data"]["clock"] == "interim_reply"]
    assert at(met) == opened + 30 * MINUTE
    with pytest.raises(Refused) as refused:
        await backend.do(case, "note", text="x", at=opened.isoformat())
    assert refused.value.code == "too_early"
    assert await backend.book.events(case.id) == []


async def test_an_inquiry_is_answered_or_its_supervisor_hears_of_it(backend: Backend) -> None:
    today = datetime.now(UTC).date().isoformat()
    facts = {"shipment": {"waybill": "W1", "posted_on": today}}
    answered, forgotten = await backend.file("inquiry", facts), await backend.file("inquiry", facts)

    await backend.do(answered, "reply", stage="answer", text="it arrives tomorrow")
    await backend.wait(answered, timedelta(days=3))
    await backend.wait(forgotten, 20 * MINUTE)

    assert (await answered.result())["outcome"] == "resolved"
    assert (await forgotten.query("case"))["breached"] == ["inquiry"]
    assert (await forgotten.query("case"))["rung"] == "supervisor"


async def test_an_inquiry_out_of_validity_is_refused(backend: Backend) -> None:
    with pytest.raises(Refused) as refused:
        await backend.file("inquiry", {"shipment": {"waybill": "W1", "posted_on": "2024-01-01"}})

    assert (refused.value.code, refused.value.clause) == ("out_of_validity", "S0-2.2.2")


# --- what is recorded and what it costs ---------------------------------------------------------------


async def live(backend: Backend, **intake: Any) -> Handle:
    """A whole life of a complaint, each step recorded before the next."""
    case = await backend.file(**intake)
    for command, fields in (
        ("acknowledge", {}),
        ("reply", {"stage": "interim"}),
        ("reply", {"stage": "answer", "text": "it is on its way"}),
        ("resolve", {"summary": "delivered"}),
        ("close", {}),
    ):
        await backend.recorded(case)
        await backend.do(case, command, **fields)
    assert (await case.result())["status"] == "closed"
    return case


async def test_the_ledger_is_the_timeline_and_its_chain_holds(backend: Backend) -> None:
    case = await live(backend)

    events = await case.query("timeline")

    assert await backend.book.events(case.id) == events
    assert (await backend.book.verify(case.id)).ok
    listed = await backend.book.case(case.id)
    assert listed is not None
    final = await case.result()
    assert listed == final
    # The rules derive the same case from what was recorded.
    replayed = ComplaintCase.replay(DEFAULT, [Event.from_json(event) for event in events]).view()
    assert {**replayed, "number": final["number"]} == final


async def test_a_life_costs_a_known_number_of_events_of_history_and_one_timer(backend: Backend) -> None:
    case = await live(backend)

    history = [event.event_type for event in (await case.fetch_history()).events]

    # Start 4, rules 2, beginning 6, five steps of 6 and a record of at most 6 each, notices 12, attributes, timer.
    assert len(history) <= 97
    # The first wake-up was in five minutes; no later command set a nearer one.
    assert history.count(EventType.EVENT_TYPE_TIMER_STARTED) == 1
    assert history.count(EventType.EVENT_TYPE_TIMER_CANCELED) == 0
    # What is done outside stands in the history first: a local activity would run before it does.
    # The one marker says by which rules the run was started.
    assert history.count(EventType.EVENT_TYPE_MARKER_RECORDED) == 1


async def test_a_nearer_deadline_is_woken_up_for(backend: Backend) -> None:
    case = await backend.file()
    await backend.do(case, "acknowledge")
    await backend.wait(case, 6 * MINUTE)
    now = await backend.env.get_current_time(case)

    await backend.do(case, "promise", reply_by=(now + 2 * MINUTE).isoformat())
    await backend.wait(case, 2 * MINUTE)

    assert "promise:1" in (await case.query("case"))["breached"]


async def test_a_withdrawn_case_ends_at_once(backend: Backend) -> None:
    case = await backend.file()

    await backend.do(case, "withdraw", "customer", reason="found it")

    assert (await case.result())["outcome"] == "withdrawn"
    end = await backend.timeline(case, "withdrawn", "closed")
    assert happened(await backend.book.events(case.id))[-2:] == happened(end)


async def test_a_refused_intake_may_be_filed_again(backend: Backend) -> None:
    intake = {"key": "second-try", "facts": FACTS["complaint"]}
    with pytest.raises(Refused) as refused:
        await backend.client.file("complaint", {**intake, "policy": "nope"})
    assert refused.value.code == "unknown_policy"
    with pytest.raises(WorkflowFailureError):
        await backend.handle("complaint:second-try").result()
    view = await backend.handle("complaint:second-try").query("case")
    assert (view["status"], view["refusal"]["code"]) == ("refused", "unknown_policy")

    assert (await backend.client.file("complaint", intake))["status"] == "open"
