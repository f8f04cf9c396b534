"""The month-end summary on a real server: gathered from the casebook, scheduled, signed, sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from temporalio.client import ScheduleActionExecutionStartWorkflow, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from activities.casebook.summary import Summaries
from activities.messages import Batch, SummaryOrder
from activities.policies.store import Policies
from cases.kinds.summary import SummaryIntake, month_before
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import MOST_LISTED
from starter.summary import SCHEDULE, ensure_schedule, file_month
from tests.casebook import Book, open_book
from tests.postgres import Cluster
from tests.temporal import eventually
from tests.workflows.backend import DEFAULT, Backend, Handle, is_about
from tests.workflows.strict import replays
from workflows.registry import MONTH_END

NOW = DEFAULT.local(datetime.now(UTC))
LAST = month_before(NOW)
THIS = f"{NOW:%Y-%m}"
SIGNERS = ("project_manager", "department_manager", "director", "deputy_gm", "customer")
LATE = {"source": "self_found", "category": "late"}
_ids = count(1)


@pytest.fixture(scope="module", autouse=True)
async def addresses(backend: Backend) -> AsyncIterator[None]:
    """While this module runs, those who sign and the customer have addresses."""
    contacts = backend.folder / "contacts.toml"
    before = contacts.read_text()
    contacts.write_text(
        before + "".join(f'[roles.{role}]\nemail = ["{role}@example.com"]\nlanguage = "en"\n' for role in SIGNERS)
    )
    yield
    contacts.write_text(before)


@pytest.fixture
async def empty(postgres: Cluster, casebook_template: str) -> AsyncIterator[Book]:
    """A casebook of the test's own."""
    async with open_book(await postgres.fresh_database(f"TEMPLATE {casebook_template}")) as book:
        yield book


def in_last_month(days: int) -> str:
    """Noon of the last day of the last month, or so many days earlier."""
    first = NOW.replace(day=1, hour=12, minute=0, second=0, microsecond=0)
    return (first - timedelta(days=1 + days)).isoformat()


async def exception(backend: Backend, known_at: str, **facts: str) -> Handle:
    """An exception that was reported as soon as it was known."""
    case = await backend.file("exception", {"known_at": known_at, **LATE, **facts}, received_at=known_at)
    await backend.recorded(case)
    return case


async def number_of(backend: Backend, case: Handle) -> str:
    """The number that the casebook gave to a case."""
    view = await backend.book.case(case.id)
    assert view is not None
    return str(view["number"])


async def test_the_schedule_gathers_the_month_and_the_summary_is_signed_and_sent(backend: Backend) -> None:
    known = await exception(backend, in_last_month(0), unit="north")
    await backend.do(known, "find", "qa_manager", cause="a truck broke down")
    await backend.do(known, "correct", action="serviced once")
    await backend.do(known, "correct", action="serviced weekly")
    await backend.recorded(known)
    filed_late = await backend.file("exception", {"known_at": in_last_month(1), **LATE}, received_at=in_last_month(0))
    await backend.recorded(filed_late)
    handle, new = await ensure_schedule(backend.env.client, DEFAULT.zone)
    assert new

    # Nobody but the schedule acts.
    await handle.trigger()

    case = backend.handle(f"summary:{LAST}")
    recorded = await eventually(lambda: backend.book.case(case.id), lambda view: view is not None)
    assert recorded is not None
    [gathering] = (await handle.describe()).info.recent_actions
    assert isinstance(gathering.action, ScheduleActionExecutionStartWorkflow)
    await replays(backend.handle(gathering.action.workflow_id))
    [shown] = await backend.book.with_texts([recorded])
    facts = shown["facts"]
    assert facts["month"] == LAST
    assert facts["total"] == len(facts["exceptions"]) == sum(facts["counts"].values()) >= 2
    listed = {one["number"]: one for one in facts["exceptions"]}
    number = await number_of(backend, known)
    assert number.startswith(f"{LAST}-")
    assert listed[number] == {
        "number": number,
        "late": False,
        "category": "late",
        "unit": "north",
        "cause": "a truck broke down",
        "measure": "serviced weekly",
    }
    assert listed[await number_of(backend, filed_late)]["late"] is True

    # Filed by hand, it is the same one: nothing of it is gathered again.
    assert await file_month(backend.env.client, LAST) == case.id
    assert len(await backend.timeline(case, "case_opened")) == 1

    for role in ("department_manager", "project_manager"):
        await backend.do(case, "sign", role, text=f"what the {role} says")
    await backend.do(case, "sign", "project_manager")
    await backend.do(case, "send_back", "director", reason="which measure?")
    await backend.do(case, "sign", "project_manager")
    await backend.do(case, "sign", "director")
    with pytest.raises(Refused) as caught:
        await backend.do(case, "sign", "director")
    assert (caught.value.code, caught.value.clause) == ("out_of_order", "S3-4.3.1.10")
    assert "deputy_gm" in caught.value.message
    view = await backend.do(case, "sign", "deputy_gm")
    assert (view["status"], view["turn"]) == ("resolved", [])

    await eventually(lambda: told(backend, case), lambda notices: "summary" in notices)
    mails = [mail for mail in backend.mails() if is_about(mail, case.id)]
    to = [mail["To"].partition("@")[0] for mail in mails]
    assert [to.count(role) for role in SIGNERS] == [3, 1, 2, 1, 1]
    [letter] = [mail.get_content() for mail in mails if mail["To"] == "customer@example.com"]
    for said in (LAST, number, "a truck broke down", "serviced weekly", "what the department_manager says"):
        assert said in letter
    assert (await backend.book.verify(case.id)).ok
    again, new = await ensure_schedule(backend.env.client, DEFAULT.zone)
    assert (again.id, new) == (SCHEDULE, False)
    await again.delete()


async def told(backend: Backend, case: Handle) -> list[str]:
    """The names of the notices that went out."""
    return [
        event["data"]["notice"]
        for event in await backend.timeline(case, "notified")
        if event["data"]["outcome"] == "sent"
    ]


async def test_the_schedule_runs_on_the_first_at_nine_in_the_zone_of_the_policy(backend: Backend) -> None:
    handle, _ = await ensure_schedule(backend.env.client, "Europe/London")
    await handle.pause(note="while we move")
    handle, new = await ensure_schedule(backend.env.client, DEFAULT.zone, "default")
    found = await handle.describe()
    assert not new
    # What people paused stays paused.
    assert found.schedule.state.paused
    times = [DEFAULT.local(instant) for instant in found.info.next_action_times]
    assert [(instant.day, instant.hour, instant.minute) for instant in times] == [(1, 9, 0)] * len(times)
    assert len(times) > 3
    await handle.delete()


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ({"month": THIS}, "month_not_ended", f"month = {THIS} has not ended"),
        ({"month": "2026-13"}, "invalid", "month = '2026-13'"),
        ({"year": "2026"}, "invalid", "year is not a known field"),
        (["2026-03"], "invalid", "month_end"),
        ({"policy": "strict"}, "unknown_policy", "policy = 'strict' is not known"),
    ],
)
async def test_what_makes_no_summary_is_refused_and_starts_nothing(
    backend: Backend, asked: object, code: str, said: str
) -> None:
    with pytest.raises(WorkflowFailureError) as caught:
        await backend.env.client.execute_workflow(
            MONTH_END, asked, id=f"month-end-bad-{next(_ids)}", task_queue=backend.worker.task_queue
        )
    # Bare, or the cause of the activity's failure.
    error = caught.value.cause.__cause__ or caught.value.cause
    assert isinstance(error, ApplicationError)
    assert (error.type, error.details[0]["code"]) == ("Refused", code)
    assert said in error.message
    assert await backend.book.case(f"summary:{THIS}") is None


async def test_the_client_hears_the_refusal(backend: Backend) -> None:
    with pytest.raises(Refused) as caught:
        await file_month(backend.env.client, THIS)
    assert (caught.value.code, caught.value.clause) == ("month_not_ended", "S3-4.3.1.10")


async def test_a_long_month_is_counted_whole_and_listed_in_part(empty: Book) -> None:
    at, months = "2025-01-15T10:00:00+08:00", Summaries(empty.database, Policies())
    for serial in range(MOST_LISTED + 2):
        await empty.record(_batch(serial, at, late=serial == MOST_LISTED + 1))
    found = await months.gather_month(SummaryOrder(at, "default", "2024-12"))
    assert (found.filed, found.facts) == (
        False,
        {"month": "2024-12", "total": 0, "counts": {}, "exceptions": []},
    )
    end = "2025-02-01T09:00:00+08:00"
    found = await months.gather_month(SummaryOrder(end, "default"))
    assert found.month == "2025-01"
    assert (found.facts["total"], found.facts["counts"]) == (MOST_LISTED + 2, {"unstated": MOST_LISTED + 2})
    listed = found.facts["exceptions"]
    assert len(listed) == MOST_LISTED
    # What was late comes first; a long cause is shortened so that the case takes it.
    assert [one["late"] for one in listed[:2]] == [True, False]
    assert {len(one["cause"]) for one in listed} == {200}
    assert listed[0]["cause"].endswith("x…")
    assert read_intake(SummaryIntake, {"key": found.month, "facts": found.facts})


async def test_the_zone_says_which_month_has_ended(empty: Book) -> None:
    months = Summaries(empty.database, Policies())
    # 16:30 UTC of the 31st is the 1st in Shanghai.
    assert (await months.gather_month(SummaryOrder("2024-03-31T16:30:00+00:00", "default"))).month == "2024-03"
    with pytest.raises(ApplicationError, match="2024-03 has not ended"):
        await months.gather_month(SummaryOrder("2024-03-31T15:30:00+00:00", "default", "2024-03"))


def _batch(serial: int, at: str, *, late: bool) -> Batch:
    case_id = f"exception:month-{serial}"
    shared = {"at": at, "recorded_at": at, "actor": {}, "clauses": []}
    opened = {"seq": 1, "type": "case_opened", **shared, "data": {}}
    found = {"seq": 2, "type": "found", **shared, "data": {"cause": "x" * 300}}
    view = {"id": case_id, "late": late, "found": {"seq": 2, "field": "cause"}, "facts": {}}
    return Batch(case_id, "exception", [opened, found], view, "run-1")
