"""What ends a case elsewhere does not end it here: a ledger set back, an engine lost, a stuck run, other rules."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import RawValue, SearchAttributePair, TypedSearchAttributes
from temporalio.worker import Worker

from activities.database.database import Database
from cases.kinds.complaint import Complaint
from cases.rules import RULES
from cases.vocabulary.contract import TASK_QUEUE, refusal_of
from cases.vocabulary.events import EVENTS
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter import client
from starter.client import CaseClient
from starter.logs import TASKS, RulesFilter
from starter.recovery import recovery, waiting
from starter.recovery.history import recall
from starter.recovery.recovery import Recovery
from tests.casebook import open_book
from tests.postgres import Cluster, as_writer
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import DEFAULT, Backend, Handle, Json
from tests.workflows.disasters import (
    Installation,
    ask,
    clocks,
    execute,
    go_on,
    investigates,
    program,
    recover,
    says_more,
    sent,
    stop_at,
    wanted,
)
from tests.workflows.make_histories import agreed, seen
from workflows import attributes
from workflows.registry import RUNNER, case_workflows
from workflows.state import pack

# A command to a case that cannot be brought back waits for ever.
pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]

HOUR = timedelta(hours=1)
SUPERVISOR = {"by": {"id": "supervisor-1", "role": "supervisor"}}


@pytest.fixture
def installation(postgres: Cluster, casebook_template: str, tmp_path: Path) -> Installation:
    """An installation of its own."""
    return Installation(postgres, casebook_template, tmp_path)


def intake_of(case: Handle) -> Json:
    """What `Backend.file` files for a complaint."""
    return {"key": case.id.partition(":")[2], "facts": {"category": "delay"}}


async def number(backend: Backend, case: Handle) -> str | None:
    """The number of a case in the ledger; None as long as it is not there."""
    view = await backend.book.case(case.id)
    return None if view is None else view["number"]


async def opened(case: Handle) -> Json:
    """The view of a case, once its run has taken it over."""
    return await eventually(lambda: case.query("case"), lambda view: view["status"] != "opening")


async def is_recovering(backend: Backend) -> bool:
    """Whether openings and payments wait."""
    return bool(await ask(backend.database, "SELECT FROM casebook_recovery"))


async def verified(backend: Backend) -> bool:
    """Whether ``audit verify`` finds nothing."""
    answer = await program(backend, "audit", "verify", "--json")
    return bool(answer.code == 0 and answer.json["ok"])


# --- the ledger was set back ----------------------------------------------------------------------


async def test_a_ledger_that_was_set_back_takes_over_what_the_engine_knows(installation: Installation) -> None:
    database = await installation.casebook()
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            moved, closing, idle = [await before.file() for _ in range(3)]
            paid, paid_too, agreeing = [await agreed(before) for _ in range(3)]
            for case in (moved, closing, idle, paid, paid_too, agreeing):
                await before.recorded(case)
        backup = await installation.copy(database)

        async with installation.running(env, database) as lost:
            await lost.do(moved, "acknowledge", request_id="r-1")
            await lost.do(moved, "note", text="said after the backup")
            for case in (paid, paid_too):
                await lost.do(case, "accept_offer", "customer")
                await seen(lost, case, "paid")
            await lost.do(closing, "withdraw", "customer", reason="found")
            await closing.result()
            new = await lost.file()
            everything = {case.id: await lost.recorded(case) for case in (moved, idle, paid, paid_too, agreeing, new)}
            everything[closing.id] = await lost.book.events(closing.id)
            numbers = {id: (await lost.book.case(id) or {})["number"] for id in everything}
            references = dict(await ask(database, "SELECT case_id, reference FROM payout"))

        async with installation.running(env, backup) as after:
            # The first case that moves finds out.
            await after.do(moved, "reply", stage="interim", text="soon")
            await eventually(lambda: is_recovering(after), bool)
            late = await after.file()
            await after.do(agreeing, "accept_offer", "customer")
            await after.recorded(moved)
            view = await after.book.case(paid.id)
            assert view is not None
            assert view["paid"] is None
            await asyncio.sleep(0.5)
            assert await number(after, late) is None
            assert not await after.timeline(agreeing, "paid", "payout_failed")

            rows = "SELECT case_id, seq, hash, held_by FROM case_event JOIN case_file USING (case_id) ORDER BY 1, 2"
            as_it_was = await ask(backup, rows)
            code, would = await recover(after, "--from-engine", "--dry-run")
            assert code == 0
            assert await ask(backup, rows) == as_it_was
            assert await is_recovering(after)
            code, done = await recover(after, "--from-engine")
            assert code == 0
            assert (would.pop("dry_run"), done.pop("dry_run")) == (True, False)
            assert (would.pop("waiting"), done.pop("waiting")) == (True, False)
            assert would == done
            assert done["clashes"] == []
            assert {one["case_id"] for one in done["cases"] if one["recorded"]} >= {closing.id, paid.id, new.id}

            assert not await is_recovering(after)
            for id, events in everything.items():
                recorded = await after.book.events(id)
                assert recorded[: len(events)] == events
                assert await number(after, after.handle(id)) == numbers[id]
            assert (await after.book.case(closing.id) or {})["status"] == "closed"
            assert (await after.book.case(paid.id) or {})["paid"] == references[paid.id]
            # What waited goes on.
            await after.wait(late, HOUR)
            given = await eventually(lambda: number(after, late), bool)
            assert given not in numbers.values()
            await after.wait(agreeing, HOUR)
            [payment] = await seen(after, agreeing, "paid")
            assert payment["data"]["reference"] not in references.values()
            await after.recorded(agreeing)
            assert len(await ask(backup, "SELECT reference FROM payout_booking JOIN payout USING (key)")) == 3
            # Sent again, it is answered, not done again.
            events = await after.timeline(moved)
            await after.do(moved, "acknowledge", request_id="r-1")
            assert await after.timeline(moved) == events
            assert await verified(after)
            mails = set()
            for case in (moved, closing, idle, paid, paid_too, agreeing, new, late):
                mails |= wanted(case.id, await after.book.events(case.id), after.folder / "contacts.toml")
    assert sent((before, lost, after)) == mails


async def test_what_anybody_may_have_started_is_neither_believed_nor_an_obstacle(installation: Installation) -> None:
    """A client of the engine may write what it likes into an input; the run refuses it, and its history stays."""
    database = await installation.casebook()
    opening = Complaint.open(
        read_intake(Complaint.INTAKE, {"key": "lie", "facts": {"category": "delay"}}), DEFAULT, datetime.now(UTC)
    )
    lie = {"policy_document": DEFAULT.document, "events": pack(opening.events), "recorded": 0, "number": "2026-11-0007"}
    no_json = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{not json"))
    encrypted = RawValue(Payload(metadata={"encoding": b"binary/encrypted"}, data=b"?"))
    named = TypedSearchAttributes([SearchAttributePair(attributes.KEYWORDS["number"], "next year")])
    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await backend.file()
        await backend.recorded(case)
        for key, given in {
            "lie": {"key": "lie", "carried": {**lie, "seen": {}}},
            "half": {"key": "half", "carried": {}},
            "text": no_json,
            "encrypted": encrypted,
        }.items():
            run = await backend.start("Complaint", given, id=f"complaint:{key}", search_attributes=named)
            await eventually(run.describe, lambda found: found.status is WorkflowExecutionStatus.FAILED)
        code, done = await recover(backend, "--from-engine")
        assert (code, sum(one["recorded"] for one in done["cases"])) == (0, 0), done
        assert not await is_recovering(backend)
        code, done = await recover(backend, "complaint:lie")
        assert [(one["recorded"], one["restarted"]) for one in done["cases"]] == [(0, False)]
        assert await backend.book.events("complaint:lie") == []


@pytest.mark.parametrize("superseded", [False, True])
async def test_a_row_that_an_earlier_run_held_is_no_obstacle(installation: Installation, superseded: bool) -> None:
    """The ledger is of before another run took the case over: it would turn away the run that has it."""
    database = await installation.casebook()
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            case = await before.file()
            await before.recorded(case)
        backup = await installation.copy(database)

        async with installation.running(env, database) as lost:
            await lost.do(case, "note", text="said before it was started again")
            await lost.recorded(case)
            code, done = await recover(lost, case.id)
            assert (code, [one["restarted"] for one in done["cases"]]) == (0, [True])
            await lost.do(case, "note", text="said to the second run")
            events = await eventually(lambda: lost.book.events(case.id), lambda events: len(events) == 13)

        async with installation.running(env, backup) as after:
            if superseded:
                await after.do(case, "note", text="said to nobody")
                await eventually(case.describe, lambda found: found.status is WorkflowExecutionStatus.FAILED)
                assert await is_recovering(after)
            code, done = await recover(after, "--from-engine")
            assert code == 0, done
            assert [(one["recorded"], one["restarted"]) for one in done["cases"]] == [(2 + superseded, superseded)]
            await after.do(case, "note", text="it goes on")
            recorded = await after.recorded(case)
            assert recorded[:13] == events
            texts = [event["data"]["text"] for event in recorded[13:] if event["type"] == "noted"]
            assert texts == [*(["said to nobody"] if superseded else []), "it goes on"]
            assert await verified(after)


async def test_a_payment_waits_for_as_long_as_cases_are_recovered(installation: Installation) -> None:
    """Waiting is no answer of a gateway, so nobody is told that a payout failed."""
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await agreed(backend)
        await execute(database, "INSERT INTO casebook_recovery DEFAULT VALUES")
        await backend.do(case, "accept_offer", "customer")
        for _ in range(4):
            await backend.wait(case, HOUR / 2)
        assert not await backend.timeline(case, "paid", "payout_failed")
        assert await ask(database, "SELECT * FROM payout") == []
        await execute(database, "DELETE FROM casebook_recovery")
        await backend.wait(case, HOUR / 60)
        await seen(backend, case, "paid")
        assert not await backend.timeline(case, "payout_failed")
        await backend.recorded(case)


async def test_what_was_given_out_twice_before_anybody_noticed_is_listed(installation: Installation) -> None:
    database = await installation.casebook()
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            paid, again = [await agreed(before) for _ in range(2)]
            await before.recorded(again)
        backup = await installation.copy(database)

        async with installation.running(env, database) as lost:
            first = await lost.file()
            await lost.do(paid, "accept_offer", "customer")
            await seen(lost, paid, "paid")
            await lost.recorded(paid)
            await lost.recorded(first)

        async with installation.running(env, backup) as after:
            # Nothing tells yet that the ledger is behind.
            second = await after.file()
            await after.recorded(second)
            await after.do(again, "accept_offer", "customer")
            await seen(after, again, "paid")
            await after.recorded(again)
            given = await number(after, second)

            code, done = await recover(after, "--from-engine")
            assert code == 0
            assert done["clashes"] == [
                # In the order in which this ledger has learnt of it.
                f"complaint number {given}: {second.id}, {first.id}",
                f"payment reference LEDGER-1: {paid.id}, {again.id}",
            ]
            assert await number(after, second) == given
            assert await number(after, first) not in (given, None)
            # They stay known.
            code, done = await recover(after, "--from-engine", "--dry-run")
            assert (code, len(done["clashes"])) == (0, 2)
            assert await verified(after)


async def test_nothing_is_given_out_twice_after_a_restore_that_migrate_was_told_of(installation: Installation) -> None:
    """Workers start before anybody recovers, and no case moves that would tell of the restore."""
    database = await installation.casebook()
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            paid, again = [await agreed(before) for _ in range(2)]
            await before.recorded(again)
        backup = await installation.copy(database)

        async with installation.running(env, database) as lost:
            first = await lost.file()
            await lost.do(paid, "accept_offer", "customer")
            await seen(lost, paid, "paid")
            await lost.recorded(paid)
            await lost.recorded(first)
            given = await number(lost, first)
            # Every worker is away.
            told = await program(replace(lost, database=backup), "migrate", "--restored")
            assert told.code == 0, told.err
            assert "new cases wait for their numbers, and payments wait, until" in told.out
            assert "caseladder recover --from-engine, or --engine-lost where" in told.out
            assert (await program(replace(lost, database=backup), "migrate", "--json")).json["waiting"] is True

        async with installation.running(env, backup) as after:
            second = await after.file()
            await after.do(again, "accept_offer", "customer")
            await asyncio.sleep(1)
            assert await number(after, second) is None
            assert not await after.timeline(again, "paid", "payout_failed")
            # The engine is not lost, so this does not end it.
            answer = await program(after, "recover", "--engine-lost")
            assert (answer.code, "until the casebook is recovered" in answer.out) == (0, True), answer
            assert await is_recovering(after)

            answer = await program(after, "recover", "--from-engine")
            assert answer.code == 0, answer.err
            assert answer.out.splitlines()[-1] == "new cases get their numbers and payments are made again"
            assert "given out twice" not in answer.out
            await after.wait(again, HOUR / 60)
            await seen(after, again, "paid")
            await after.recorded(again)
            assert await number(after, first) == given
            assert await eventually(lambda: number(after, second), bool) != given
            assert (await program(after, "migrate", "--json")).json["waiting"] is False
            assert await verified(after)


@pytest.mark.parametrize("mode", ["--engine-lost", "--all-open"])
async def test_what_waits_goes_on_where_the_engine_has_nothing_that_the_ledger_lacks(
    installation: Installation, mode: str
) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as before:
        case = await before.file()
        await before.recorded(case)
    async with time_skipping() as env, installation.running(env, database) as after:
        assert (await program(after, "migrate", "--restored")).code == 0
        new = await after.file()
        answer = await program(after, "recover", mode, "--dry-run")
        assert answer.code == 0
        assert await is_recovering(after)
        answer = await program(after, "recover", mode)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.splitlines()[-1] == "new cases get their numbers and payments are made again"
        await after.wait(new, HOUR / 60)
        assert await eventually(lambda: number(after, new), bool)
        # Who has nothing to recover is not told of it.
        assert "payments" not in (await program(after, "recover", mode)).out


async def test_the_log_says_when_openings_and_payments_wait(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_AGAIN", 0.01)
    address = await installation.casebook()
    async with Database.open(as_writer(address), connections=2) as database:
        with capture_logs() as said:
            telling = asyncio.create_task(waiting.tell_while_waiting(database, structlog.get_logger()))
            await asyncio.sleep(0.2)
            assert said == []
            for _ in range(2):
                await execute(address, "INSERT INTO casebook_recovery DEFAULT VALUES")
                await asyncio.sleep(0.2)
                await execute(address, "DELETE FROM casebook_recovery")
                await asyncio.sleep(0.2)
            telling.cancel()
    assert [one["event"] for one in said] == ["recovering", "recovered"] * 2
    assert (said[0]["log_level"], "caseladder recover --from-engine" in said[0]["reason"]) == ("warning", True)


async def test_what_only_earlier_runs_know_is_not_recorded_without_it(installation: Installation) -> None:
    """A run that was started from the ledger knows neither texts nor customer; histories do."""
    database = await installation.casebook()
    backup = await installation.copy(database)
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            case = await before.file(facts={"category": "delay", "customer": {"name": "Zhang San"}})
            await before.do(case, "note", text="said to the first run", request_id="r-1")
            await before.recorded(case)
            assert (await recover(before, case.id))[0] == 0
            await before.do(case, "note", text="said to the second run")
            events = await eventually(lambda: before.book.events(case.id), lambda events: len(events) == 13)

        async with installation.running(env, backup) as after:
            await after.do(case, "note", text="said before anybody recovers")
            view = await eventually(lambda: case.query("case"), lambda view: "trouble" in view)
            assert "the ledger ends at seq 0" in view["trouble"]
            assert await after.book.case(case.id) is None
            code, done = await recover(after, "--from-engine")
            assert code == 0, done
            recorded = await eventually(lambda: after.book.events(case.id), lambda events: len(events) == 14)
            assert recorded[:13] == events
            assert await ask(backup, "SELECT facts -> 'customer' ->> 'name' FROM personal") == [("Zhang San",)]
            assert await ask(backup, "SELECT request_id FROM case_request") == [("r-1",)]
            view = await eventually(lambda: case.query("case"), lambda view: "trouble" not in view)
            assert view["recorded"] == view["events"] == 14
            assert await verified(after)


async def test_the_customer_of_a_case_that_continued_as_new_is_brought_back(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.shell.LONG_HISTORY", 30)
    database = await installation.casebook()
    backup = await installation.copy(database)
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            case = await before.file(facts={"category": "delay", "customer": {"name": "Zhang San"}})
            for number_ in range(6):
                await before.do(case, "note", text=f"note {number_}")
            await before.recorded(case)
            [started, *_] = (await case.fetch_history()).events
            assert started.workflow_execution_started_event_attributes.continued_execution_run_id
            await case.terminate("with the engine it is not lost")
        async with installation.running(env, backup) as after:
            code, done = await recover(after, "--from-engine")
            assert code == 0, done
            query = "SELECT facts -> 'customer' ->> 'name', intake_digest IS NOT NULL FROM personal"
            assert await ask(backup, query) == [("Zhang San", True)]


# --- the engine was lost --------------------------------------------------------------------------


async def test_cases_go_on_after_the_engine_was_lost(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Senders wait that long for a case that is being brought back.
    monkeypatch.setattr(client, "PAUSES", (0.1,))
    database = await installation.casebook()
    shipment = {"waybill": "W1", "posted_on": "2026-03-01"}
    async with time_skipping() as env, installation.running(env, database) as before:
        case, asking = [await before.file() for _ in range(2)]
        opening = await before.file(facts={"category": "damage", "shipment": shipment})
        paying = await agreed(before)
        await before.do(case, "acknowledge", request_id="r-1")
        reply_by = (await before.env.get_current_time(case) + HOUR).isoformat()
        await before.do(case, "promise", reply_by=reply_by)
        await before.do(case, "request_approval", subject="refund", amount="150.00")
        cases = (case, asking, opening, paying)
        for one in cases:
            await before.recorded(one)
        # What was done last, the ledger does not learn.
        await stop_at(database, "notified", "opening_done", "paid")
        await before.do(asking, "request_approval", subject="refund", amount="150.00")
        await seen(before, asking, "notified", 3)
        claim = before.handle((await before.do(opening, "open_claim"))["claim"])
        await seen(before, opening, "opening_done")
        await before.do(paying, "accept_offer", "customer")
        await seen(before, paying, "paid")
        views = {}
        for one in (*cases, claim):
            events = await before.timeline(one)
            await eventually(lambda one=one: before.book.events(one.id), bool)  # type: ignore[misc]
            views[one.id] = await one.query("case")
            assert len(await before.book.events(one.id)) < len(events) or one is case
        ordered = await ask(database, "SELECT key, reference FROM payout")
    await go_on(database)

    async with time_skipping() as env, installation.running(env, database) as after:
        doors = CaseClient(after.env.client, after.book)
        for one in cases:
            with pytest.raises(Refused) as refused:
                await doors.command(one.id, "note", {"by": {"id": "a", "role": "agent"}, "text": "t"})
            assert refused.value.code == "workflow_missing"
        view, new = await doors.open("complaint", intake_of(case))
        assert (view["id"], new) == (case.id, False)
        await after.handle(case.id).result()
        assert after.mails() == []

        code, would = await recover(after, "--engine-lost", "--dry-run")
        assert code == 0
        with pytest.raises(Refused):
            await doors.command(case.id, "note", {"by": {"id": "a", "role": "agent"}, "text": "t"})
        code, done = await recover(after, "--engine-lost")
        assert code == 0
        assert would["cases"] == done["cases"]
        assert {one["case_id"] for one in done["cases"] if one["restarted"]} == set(views)

        for id, view in views.items():
            await opened(after.handle(id))
            # What was paid is paid again, under the same key, a moment later.
            look = partial(after.handle(id).query, "case")
            again = await eventually(look, lambda seen, view=view: clocks(seen) == clocks(view))  # type: ignore[misc]
            assert again["number"] == view["number"]
        [payment] = await seen(after, after.handle(paying.id), "paid")
        assert [(f"{paying.id}/payout", payment["data"]["reference"])] == ordered
        assert await ask(database, "SELECT key, reference FROM payout") == ordered
        assert len(await ask(database, "SELECT number FROM payout_booking")) == 1
        [found] = await seen(after, after.handle(opening.id), "opening_done")
        assert found["data"] == {"of": found["data"]["of"], "case": claim.id, "outcome": "same"}
        await seen(after, after.handle(asking.id), "notified", 3)
        # A request that was answered is answered again.
        events = await after.timeline(after.handle(case.id))
        await after.do(after.handle(case.id), "acknowledge", request_id="r-1")
        assert await after.timeline(after.handle(case.id)) == events
        with pytest.raises(Refused) as refused:
            await after.do(after.handle(case.id), "note", text="t", request_id="r-1")
        assert refused.value.code == "request_id_reused"
        # The promise is broken when it was to be kept, the approval is still asked for.
        await after.do(after.handle(case.id), "approve", "supervisor")
        await after.wait(after.handle(case.id), 2 * HOUR)
        broken = [
            event
            for event in await after.timeline(after.handle(case.id), "clock_breached")
            if event["data"]["clock"] == "promise:1"
        ]
        assert [datetime.fromisoformat(event["at"]) for event in broken] == [datetime.fromisoformat(reply_by)]
        code, done = await recover(after, "--engine-lost")
        assert (code, [one for one in done["cases"] if one["restarted"]]) == (0, [])
        mails = set()
        for id in views:
            events = await after.recorded(after.handle(id))
            mails |= wanted(id, events, after.folder / "contacts.toml")
        assert sent((before, after)) == mails
        assert await verified(after)


async def test_a_run_that_only_asks_whose_case_it_is_does_not_stand_for_the_case(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody filed it again on the new engine, and no worker has come yet."""
    monkeypatch.setattr(recovery, "STARTING", timedelta(seconds=1))
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as before:
        case = await before.file()
        events = await before.recorded(case)
    async with time_skipping() as env:
        await env.client.start_workflow("Complaint", intake_of(case), id=case.id, task_queue=TASK_QUEUE)
        async with open_book(database) as book:
            for _ in range(2):
                [outcome] = [one async for one in Recovery(env.client, book.database).run("engine-lost")]
                assert (outcome.why_not, outcome.lost) == ("", [])
        async with installation.running(env, database) as after:
            again = after.handle(case.id)
            await opened(again)
            await after.do(again, "note", text="it goes on")
            assert (await after.recorded(again))[: len(events)] == events


# --- a case is stuck ------------------------------------------------------------------------------


async def test_what_was_answered_and_is_lost_is_shown_before_it_is_thrown_away(installation: Installation) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await backend.file()
        events = await backend.recorded(case)
        await stop_at(database, "noted")
        await backend.do(case, "note", text="the history has it", request_id="r-1")
        view = await backend.do(case, "promise", reply_by=(datetime.now(UTC) + HOUR).isoformat(), request_id="r-2")
        assert view["recorded"] == len(events) < view["events"]
        await backend.do(case, "note", "supervisor", text="nobody has it")
        await case.signal("approve", SUPERVISOR)
        await seen(backend, case, "command_refused")
        await case.terminate("stuck")
        await go_on(database)

        code, would = await recover(backend, case.id, "--dry-run")
        assert code == 1
        assert await backend.book.events(case.id) == events
        code, done = await recover(backend, case.id)
        assert code == 1
        assert would["cases"] == done["cases"]
        [one] = done["cases"]
        assert (one["recorded"], one["restarted"]) == (1, False)
        assert "give --discard" in one["why_not"]
        promise, note, signal = one["lost"]
        assert promise.startswith("promise by agent-1, answered ")
        assert note.startswith("note by supervisor-1, answered ")
        assert signal.startswith("signal approve, come ")
        assert [event["data"] for event in await backend.book.events(case.id)][len(events) :] == [
            {"text": "the history has it"}
        ]

        code, done = await recover(backend, case.id, "--discard")
        assert (code, [(one["restarted"], len(one["lost"])) for one in done["cases"]]) == (0, [(True, 3)])
        again = backend.handle(case.id)
        await opened(again)
        # What the history had was applied, what it had not may be sent again under its own id.
        known = await backend.timeline(again)
        await backend.do(again, "note", text="the history has it", request_id="r-1")
        assert await backend.timeline(again) == known
        await backend.do(again, "promise", reply_by=(datetime.now(UTC) + HOUR).isoformat(), request_id="r-2")
        assert len(await backend.timeline(again, "promised")) == 1
        await backend.recorded(again)
        assert await verified(backend)


async def test_a_case_that_runs_is_started_again_without_a_loss(installation: Installation) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await backend.file()
        await backend.do(case, "acknowledge")
        await backend.recorded(case)
        view = await eventually(lambda: case.query("case"), lambda view: view["number"] is not None)
        code, done = await recover(backend, case.id)
        assert (code, [(one["restarted"], one["lost"]) for one in done["cases"]]) == (0, [(True, [])])
        again = backend.handle(case.id)
        after = await opened(again)
        assert (clocks(after), after["number"]) == (clocks(view), view["number"])
        assert (await again.describe()).run_id != case.first_execution_run_id
        await backend.do(again, "note", text="it goes on")
        await backend.recorded(again)


async def test_what_is_answered_while_a_case_is_being_recovered_is_not_lost(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await installation.casebook()
    asks_again = Recovery._ask_again

    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await backend.file()
        await backend.recorded(case)

        async def ask_again(self: Recovery, case_id: str) -> bool:
            answered = await asks_again(self, case_id)
            await stop_at(database, "noted")
            await backend.do(case, "note", text="on its way to the ledger")
            await backend.do(case, "promise", reply_by=(datetime.now(UTC) + HOUR).isoformat())
            await case.terminate("so that the ledger is not told before")
            await go_on(database)
            return answered

        monkeypatch.setattr(Recovery, "_ask_again", ask_again)
        async with open_book(database) as book:
            [outcome] = [one async for one in Recovery(env.client, book.database).run("named", [case.id])]
        assert (outcome.why_not, outcome.restarted, outcome.recorded) == ("", True, 1)
        [lost] = outcome.lost
        assert lost.startswith("promise by agent-1, answered ")
        texts = [one["data"]["text"] for one in await backend.book.events(case.id) if one["type"] == "noted"]
        assert texts == ["on its way to the ledger"]


async def test_of_two_who_recover_the_same_case_one_has_it(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await backend.file()
        await backend.recorded(case)
        async with open_book(database) as book:

            async def slowly(*args: Any) -> Any:
                remembered = await recall(*args)
                monkeypatch.setattr(recovery, "recall", recall)
                [first] = [one async for one in Recovery(env.client, book.database).run("named", [case.id])]
                assert (first.restarted, first.why_not) == (True, "")
                return remembered

            monkeypatch.setattr(recovery, "recall", slowly)
            [second] = [one async for one in Recovery(env.client, book.database).run("named", [case.id])]
        assert "by somebody else" in second.why_not
        again = backend.handle(case.id)
        await backend.do(again, "note", text="it goes on")
        await backend.recorded(again)
        assert (await again.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_what_the_engine_lists_late_as_of_other_rules_is_left_alone(installation: Installation) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await backend.file()
        await backend.recorded(case)
        run = (await case.describe()).run_id
        async with open_book(database) as book:
            outcome = await Recovery(env.client, book.database)._look_after(case.id, "other-rules")
        assert outcome == recovery.Outcome(case.id)
        assert (await case.describe()).run_id == run


async def test_a_signal_that_was_heard_and_is_lost_is_shown(installation: Installation) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case, told = await backend.file(), await backend.file()
        for one in (case, told):
            await backend.recorded(one)
        await told.signal("escalate", {**SUPERVISOR, "reason": "recorded"})
        await seen(backend, told, "escalated")
        await backend.recorded(told)
        await stop_at(database, "noted")
        await backend.do(case, "note", text="the history has it")
        await case.signal("escalate", {**SUPERVISOR, "reason": "nobody has it"})
        await seen(backend, case, "escalated")
        for one in (case, told):
            await one.terminate("stuck")
        await go_on(database)
        code, done = await recover(backend, case.id, told.id)
        assert code == 1
        found = {one["case_id"]: one for one in done["cases"]}
        [lost] = found[case.id]["lost"]
        assert lost.startswith("signal escalate, come ")
        assert (found[told.id]["lost"], found[told.id]["restarted"]) == ([], True)


async def test_events_of_a_later_build_are_named_wherever_they_stand(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In what a run has loaded, for instance: one such case must not keep the others from being brought back."""
    monkeypatch.setattr(recovery, "STARTING", timedelta(seconds=1))
    database = await installation.casebook()
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            strange, known = await before.file(), await before.file()
            await before.do(strange, "note", text="of a later build")
            for case in (strange, known):
                await before.recorded(case)
            assert (await recover(before, strange.id, known.id))[0] == 0
        # Unlike a key put back by pytest, the whole keeps its order, which docs/events.md is written in.
        known_here = {name: model for name, model in EVENTS.items() if name != "noted"}
        async with open_book(database) as book:
            with patch.dict(EVENTS, known_here, clear=True):
                recovering = Recovery(env.client, book.database, dry_run=True)
                found = {one.case_id: one async for one in recovering.run("named", [strange.id, known.id])}
        assert "does not know the events noted" in found[strange.id].why_not
        assert (found[known.id].restarted, found[known.id].why_not) == (True, "")


@pytest.mark.parametrize("asked", ["in time", "too late"])
async def test_a_run_that_cannot_have_its_case_is_named(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    start = Recovery._start

    async def start_and_wait(recovery: Recovery, case_id: str, *more: Any) -> None:
        await start(recovery, case_id, *more)
        handle = recovery._client.get_workflow_handle(case_id)
        await eventually(handle.describe, lambda found: found.status is WorkflowExecutionStatus.FAILED)

    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        whole, broken = await backend.file(), await backend.file()
        for case in (whole, broken):
            await backend.recorded(case)
            await case.terminate("by mistake")
        await execute(database, "CREATE TABLE gone AS TABLE policy", "DELETE FROM policy")
        with monkeypatch.context() as patched:
            if asked == "too late":
                patched.setattr(Recovery, "_start", start_and_wait)
            code, done = await recover(backend, whole.id)
        [one] = done["cases"]
        assert (code, one["restarted"]) == (1, False)
        assert "the policy that it is pinned to is not in the ledger" in one["why_not"]
        await execute(database, "INSERT INTO policy TABLE gone")
        change = f"UPDATE case_event SET body = body || ' ' WHERE case_id = '{broken.id}' AND seq = 2"
        await execute(database, "SET session_replication_role = replica", change)
        code, done = await recover(backend, "--engine-lost")
        assert code == 1
        found = {one["case_id"]: (one["restarted"], one["why_not"]) for one in done["cases"]}
        assert found[whole.id] == (True, "")
        assert "verify the casebook" in found[broken.id][1]
        # It is seen to have its case before the command ends.
        assert (await whole.query("case"))["status"] == "open"


async def test_a_run_is_not_ended_for_a_ledger_that_is_broken(installation: Installation) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case = await backend.file()
        await backend.recorded(case)
        change = f"UPDATE case_event SET body = body || ' ' WHERE case_id = '{case.id}' AND seq = 2"
        await execute(database, "SET session_replication_role = replica", change)
        code, done = await recover(backend, case.id)
        [one] = done["cases"]
        assert (code, one["restarted"]) == (1, False)
        assert "seq 2: changed" in one["why_not"]
        assert (await backend.do(case, "note", text="it goes on"))["status"] == "open"


@pytest.mark.parametrize("moved", [False, True])
async def test_a_case_that_has_closed_is_not_kept_alive_by_an_older_engine(
    installation: Installation, moved: bool
) -> None:
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        case, idle = await backend.file(), await backend.file()
        for one in (case, idle):
            await backend.recorded(one)
        async with time_skipping() as later, installation.running(later, database) as other:
            assert (await recover(other, case.id))[0] == 0
            await other.do(other.handle(case.id), "withdraw", "customer", reason="found")
            await other.handle(case.id).result()
        events = await backend.book.events(case.id)
        # As if it had been the same engine, which was then restored to a time before the end.
        run = (await case.describe()).run_id
        await execute(database, f"UPDATE case_file SET held_by = '{run}' WHERE case_id = '{case.id}'")
        if moved:
            await backend.do(case, "acknowledge")

        code, done = await recover(backend, "--all-open", "--dry-run")
        assert code == int(moved)
        assert (await case.describe()).status is WorkflowExecutionStatus.RUNNING
        code, done = await recover(backend, "--from-engine")
        assert (code, await is_recovering(backend)) == (int(moved), moved)
        code, done = await recover(backend, "--all-open", "--discard")
        found = {one["case_id"]: (one["restarted"], one["ended"], one["why_not"]) for one in done["cases"]}
        assert (code, found[idle.id]) == (0, (True, False, ""))
        assert (await case.describe()).status is WorkflowExecutionStatus.TERMINATED
        code, done = await recover(backend, "--from-engine")
        assert (code, await is_recovering(backend)) == (0, False)
        assert await backend.book.events(case.id) == events
        with pytest.raises(Refused, match="closed"):
            await CaseClient(env.client, backend.book).command(
                case.id, "acknowledge", {"by": {"id": "agent-1", "role": "agent"}}
            )


# --- two runs at the same time --------------------------------------------------------------------


async def test_of_two_engines_with_the_same_case_one_has_it(installation: Installation) -> None:
    database = await installation.casebook()
    async with (
        time_skipping() as env,
        time_skipping() as other,
        installation.running(env, database) as old,
        installation.running(other, database) as new,
    ):
        note, both, left = await old.file(), await agreed(old), await agreed(old)
        for case in (note, both, left):
            await old.recorded(case)
        assert (await recover(new, "--engine-lost"))[0] == 0
        for case in (note, both, left):
            await new.do(new.handle(case.id), "note", text="the second one has it")

        # The first engine does not know, and answers once; that it was not recorded can be seen.
        view = await old.do(note, "note", text="said to the first one")
        assert view["recorded"] < view["events"]
        await asyncio.gather(
            old.do(both, "accept_offer", "customer"),
            new.do(new.handle(both.id), "accept_offer", "customer"),
            old.do(left, "accept_offer", "customer"),
        )
        for case in (note, both, left):
            await eventually(case.describe, lambda found: found.status is WorkflowExecutionStatus.FAILED)
            with pytest.raises(WorkflowFailureError) as failed:
                await case.result()
            refusal = refusal_of(failed.value.cause)
            assert refusal is not None
            assert refusal.code == "superseded"
        await seen(new, new.handle(both.id), "paid")
        for case in (note, both, left):
            assert await new.recorded(new.handle(case.id)) == await new.timeline(new.handle(case.id))
        assert "said to the first one" not in str(await new.book.events(note.id))
        # What the first one answered is shown, and nothing of it is taken for what came after the second one's.
        code, found = await recover(old, note.id, "--dry-run")
        [one] = found["cases"]
        assert code == 1
        assert (one["recorded"], one["restarted"]) == (0, False)
        assert [lost.partition(" by ")[0] for lost in one["lost"]] == ["note"]
        assert "--discard" in one["why_not"]
        assert await ask(database, "SELECT case_id FROM payout") == [(both.id,)]
        assert await ask(database, "SELECT case_id FROM payout_booking") == [(both.id,)]
        assert await verified(new)


# --- other rules ----------------------------------------------------------------------------------


async def said_of(caplog: pytest.LogCaptureFixture, case_id: str) -> list[str]:
    """What a worker has said of the tasks of a case."""
    said = [record.getMessage() for record in caplog.records if record.name == TASKS]
    return [line for line in said if line.startswith(f"{case_id}:")]


async def test_open_cases_go_on_under_new_rules_and_under_the_old_ones_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger(TASKS), "filters", [RulesFilter()])
    database = await installation.casebook()
    async with time_skipping() as env:
        async with installation.running(env, database) as first:
            cases = [await first.file() for _ in range(2)]
            for case in cases:
                await first.do(case, "acknowledge", request_id="r-1")
                await first.recorded(case)
            await first.do(cases[0], "investigate", justified=True)
            for case in cases:
                await first.recorded(case)

        events: dict[str, list[Json]] = {}
        builds = [first]
        for number_, rule in ((RULES + 1, says_more), (RULES, investigates)):
            monkeypatch.setattr("cases.rules.RULES", number_)
            monkeypatch.setattr(Complaint, "_do_investigate", rule)
            caplog.clear()
            async with installation.running(env, database) as build:
                builds.append(build)
                views = {case.id: await build.book.case(case.id) for case in cases}
                # With what the build before recorded as it ended.
                events = {case.id: await build.book.events(case.id) for case in cases}
                handles = {case.id: build.handle(case.id) for case in cases}
                # The new worker lets the runs live, and does nothing with them; it says so once of each.
                for handle in handles.values():
                    with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError):
                        async with asyncio.timeout(0.5):
                            await build.do(handle, "note", text="not taken")
                    await handle.signal("escalate", {**SUPERVISOR, "reason": "not heard"})
                    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
                    assert await build.book.events(handle.id) == events[handle.id]
                # The worker of the tests before is of these rules too, and may look at a case of theirs.
                for case_id in handles:
                    assert await eventually(partial(said_of, caplog, case_id), bool) == [
                        f"{case_id}: not started by rules {number_}: run caseladder migrate"
                    ]

                if number_ == RULES:
                    # As where the later build had events of its own.
                    with monkeypatch.context() as patched:
                        earlier = {name: model for name, model in EVENTS.items() if name != "noted"}
                        patched.setattr("starter.recovery.recovery.EVENTS", earlier)
                        answer = await program(build, "migrate", "--json")
                    assert answer.code == 1
                    why = "this build does not know the events noted: a later one has written them"
                    assert json.loads(answer.out)["not_brought_over"] == dict.fromkeys(handles, why)
                answer = await program(build, "migrate", "--json")
                assert answer.code == 0, answer.err
                assert answer.json["restarted"] == sorted(handles)
                for case_id, handle in handles.items():
                    # What came meanwhile is heard now.
                    await seen(build, handle, "escalated", len(builds) - 1)
                    view = await opened(handle)
                    assert {**clocks(view), "rung": None} == {**clocks(views[case_id] or {}), "rung": None}
                    await build.do(handle, "acknowledge", request_id="r-1")
                    assert len(await build.timeline(handle, "acknowledged")) == 1
                    await build.do(handle, "investigate", justified=True)
                    events[case_id] = await build.recorded(handle)
                    # The later rules say one thing more, and the old ones no second time.
                    assert [event["type"] for event in events[case_id]].count("noted") == 1
                assert await verified(build)
                assert (await program(build, "migrate", "--json")).json["restarted"] == []
        mails = set()
        for case_id, recorded in events.items():
            mails |= wanted(case_id, recorded, first.folder / "contacts.toml")
        assert sent(builds) == mails


async def test_a_case_that_was_filed_and_not_opened_is_opened_by_the_new_rules(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was stopped between its first two tasks."""
    database = await installation.casebook()
    async with time_skipping() as env:
        worker = Worker(env.client, task_queue=TASK_QUEUE, workflows=case_workflows(), workflow_runner=RUNNER)
        async with worker:
            case = await env.client.start_workflow(
                "Complaint", {"key": "T-early", "facts": {"category": "delay"}}, id="complaint:T-early",
                task_queue=TASK_QUEUE,
            )  # fmt: skip
            await eventually(case.fetch_history, lambda history: len(history.events) > 5)
        monkeypatch.setattr("cases.rules.RULES", RULES + 1)
        async with installation.running(env, database) as build:
            answer = await program(build, "migrate", "--json")
            assert (answer.code, answer.json["restarted"]) == (0, ["complaint:T-early"])
            again = build.handle(case.id)
            assert (await opened(again))["status"] == "open"
            await build.recorded(again)
            assert (await program(build, "migrate", "--json")).json["restarted"] == []
