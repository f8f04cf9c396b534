"""Handover and shift swap on a real server: the cases change hands, the roster changes, each once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

import worker
from activities.casebook.filter import Filter
from activities.messages import CallOrder
from activities.people.directory import DirectoryBook
from activities.people.directory_changes import DirectoryChanges
from activities.people.handover import Command, Handovers
from activities.people.swap import Swaps
from activities.policies.calendar_years import CalendarYears
from activities.policies.store import Policies
from cases.directory import Absence, Person, Shift, Unit
from cases.kinds.swap import SwapFacts
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from starter.handover import plan_handovers
from starter.swap import facts_of, file_swap
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import CACHE, DEFAULT, FACTS, Backend, Handle, Json, open_backend
from tests.workflows.strict import replays
from workflows.registry import SHIFT_END

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
_ids = count(1)


@dataclass(frozen=True)
class StaffedBackend:
    """A backend with a directory of staff."""

    backend: Backend

    @property
    def staff(self) -> DirectoryBook:
        """The directory as it is stored."""
        return DirectoryBook(self.backend.book.database)

    @property
    def changes(self) -> DirectoryChanges:
        """What changes it."""
        return DirectoryChanges(self.backend.book.database)

    @property
    def swaps(self) -> Swaps:
        """The swaps of shifts."""
        return Swaps(self.backend.book.database)

    def handovers(self, command: Command) -> Handovers:
        """The activities of handovers, with another way to send commands."""
        return Handovers(self.backend.book, self.backend.book, self.staff, Policies(), command)

    async def filed_swaps(self) -> list[Json]:
        """Every swap in the casebook."""
        return (await self.backend.book.page(Filter(kind="swap"), units=None, kinds=None, limit=1000)).cases

    async def people(self, *ids: str, absences: tuple[Absence, ...] = ()) -> None:
        """These and no others are agents of the branch, beside a supervisor and a department manager."""
        agents = [Person(id=id_, role="agent", unit="north") for id_ in ids]
        boss = Person(id="boss", role="supervisor", unit="hq")
        manager = Person(id="manager", role="department_manager", unit="hq")
        await self.changes.replace_shifts([])
        await self.changes.replace_people(
            [*agents, boss, manager], units=[Unit(id="hq"), Unit(id="north", parent="hq")], absences=absences
        )

    async def ends_in(self, span: timedelta, goes: str, comes: str | None = None) -> Shift:
        """A shift of somebody that ends so soon, and the shift of who comes then."""
        number, end = next(_ids), datetime.now(UTC) + span
        shift = Shift(id=f"S-{number}", person=goes, starts_at=end - DAY / 2, ends_at=end)
        night = [] if comes is None else [
            Shift(id=f"S-{number}-night", person=comes, starts_at=end, ends_at=end + DAY / 2)
        ]  # fmt: skip
        await self.changes.replace_shifts([shift, *night])
        return shift

    async def held_by(self, person: str) -> Handle:
        """A complaint that a person has taken up."""
        key = f"H-{next(_ids)}"
        await self.backend.client.file("complaint", {"key": key, "facts": {**FACTS["complaint"], "unit": "north"}})
        case = self.backend.handle(f"complaint:{key}")
        await self.do(case, person, "acknowledge")
        return case

    async def do(self, case: Handle, person: str, command: str, role: str = "agent", **fields: Any) -> Json:
        """Send a command as somebody. Raises `Refused`."""
        return await self.backend.client.command(case.id, command, {"by": {"id": person, "role": role}, **fields})

    async def handover(self, shift: Shift) -> Handle:
        """The handover of a shift, once it is open and on record."""
        case = self.backend.handle(f"handover:{shift.id}")
        await eventually(lambda: self.backend.book.case(case.id), lambda view: view is not None)
        return case

    async def holders(self, *cases: Handle) -> list[str]:
        """Who holds the cases, by the cases themselves."""
        return [(await case.query("case"))["holder"] for case in cases]

    async def assignments(self, case: Handle) -> list[tuple[str, str]]:
        """From whom to whom a case was assigned, each time."""
        events = await self.backend.timeline(case, "assigned")
        return [(event["data"]["from"]["id"], event["data"]["to"]["id"]) for event in events]


@asynccontextmanager
async def open_staffed_backend(
    env: WorkflowEnvironment, database: str, folder: Path, *, cache: int = CACHE
) -> AsyncIterator[StaffedBackend]:
    """A backend with a directory on a migrated database, until the block ends."""
    async with open_backend(env, database, folder, cache=cache) as backend:
        yield StaffedBackend(backend)


@pytest.fixture(scope="module")
async def staffed(
    postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[StaffedBackend]:
    """A backend of the module's own: a directory changes who is told of what."""
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with (
        time_skipping() as env,
        open_staffed_backend(env, database, tmp_path_factory.mktemp("staffed")) as staffed,
    ):
        yield staffed


# --- handing over ---------------------------------------------------------------------------------


@pytest.mark.long
async def test_a_handover_during_which_cases_arrive_close_and_climb(staffed: StaffedBackend) -> None:
    await staffed.people("out-1", "in-1")
    promised, paused, ended, climbed = [await staffed.held_by("out-1") for _ in range(4)]
    other = await staffed.held_by("out-9")
    due = (datetime.now(UTC) + 3 * DAY).isoformat()
    await staffed.do(promised, "out-1", "promise", reply_by=due)
    await staffed.do(paused, "out-1", "log_contact", reached=False, reason="phone off")
    for case in (promised, paused):
        await staffed.backend.recorded(case)
    shift = await staffed.ends_in(15 * MINUTE, "out-1", "in-1")

    # The time to tell has passed, so it begins at once.
    assert await plan_handovers(staffed.backend.env.client, [shift]) == 1
    handover = await staffed.handover(shift)

    view = await handover.query("case")
    assert (view["outgoing"]["id"], view["relief"]["id"], view["unit"]) == ("out-1", "in-1", "north")
    assert view["facts"]["shift_ends_at"] == DEFAULT.local(shift.ends_at).isoformat()
    listed = {one["id"]: one for one in view["facts"]["cases"]}
    assert listed.keys() == {promised.id, paused.id, ended.id, climbed.id}
    assert [datetime.fromisoformat(at) for at in listed[promised.id]["promised"]] == [datetime.fromisoformat(due)]
    assert set(listed[paused.id]["paused"]) == {"answer", "resolution"}
    [told] = await eventually(
        lambda: staffed.backend.timeline(handover, "relief_told"), lambda events: len(events) == 1
    )
    assert told["data"]["people"] == ["in-1"]

    # Planned again it is the same handover.
    await plan_handovers(staffed.backend.env.client, [shift])
    waiting = staffed.backend.handle(f"shift-end:{shift.id}")
    assert await waiting.result() == {"id": handover.id, "new": False}

    # Meanwhile one is closed, one climbs, one arrives.
    await staffed.do(ended, "out-1", "resolve")
    await staffed.do(ended, "out-1", "close")
    await staffed.do(climbed, "out-1", "escalate", reason="beyond me")
    arrived = await staffed.held_by("out-1")
    for case in (ended, climbed, arrived):
        await staffed.backend.recorded(case)
    await staffed.do(handover, "in-1", "note", text="the scanner is broken")
    await staffed.do(handover, "out-1", "sign")
    assert await staffed.holders(promised, arrived) == ["out-1", "out-1"]
    await staffed.do(handover, "in-1", "sign")

    await eventually(lambda: staffed.backend.timeline(handover, "handed_over"), lambda events: len(events) == 1)
    assert await staffed.holders(promised, paused, arrived, climbed, ended, other) == [
        "in-1", "in-1", "in-1", "supervisor", "out-1", "out-9"
    ]  # fmt: skip
    for case in (promised, paused, arrived):
        assert await staffed.assignments(case) == [("out-1", "in-1")]
        assert (await case.query("case"))["acknowledged"]
        [event] = await staffed.backend.timeline(case, "assigned")
        assert event["data"]["reason"] == f"{handover.id} 1"
    for case in (climbed, ended, other):
        assert await staffed.assignments(case) == []

    # The shift has not ended yet, and somebody takes one more up.
    late = await staffed.held_by("out-1")
    await staffed.backend.recorded(late)
    await staffed.backend.wait(handover, 17 * MINUTE + timedelta(seconds=30))
    ended_view = await handover.result()
    assert (ended_view["status"], ended_view["outcome"], ended_view["handed"]) == ("closed", "handed_over", 4)
    assert await staffed.holders(late) == ["in-1"]
    events = await staffed.backend.timeline(handover, "handed_over")
    assert [sorted(event["data"]["cases"]) for event in events] == [
        sorted(case.id for case in (promised, paused, arrived)), [late.id]
    ]  # fmt: skip
    assert (await staffed.backend.book.verify()).ok


@pytest.mark.long
async def test_a_worker_that_ends_in_the_middle_hands_each_case_over_once(
    postgres: Cluster, casebook_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = count(1)

    class Stuck(CaseClient):
        """Gets three cases over, hears of two, and hangs over the others."""

        async def command(self, case_id: str, name: str, body: Mapping[str, Any]) -> Json:
            number = next(given)
            view = await super().command(case_id, name, body) if number <= 3 else {}
            if number >= 3:
                await asyncio.Event().wait()
            return view

    # Nobody drains, so that there is a middle.
    monkeypatch.setattr(worker, "DRAIN", timedelta(0))
    monkeypatch.setattr(worker, "CaseClient", Stuck)
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    async with time_skipping() as env:
        # Without a cache, so that the server does not wait for a worker that is gone.
        async with open_staffed_backend(env, database, tmp_path / "one", cache=0) as staffed:
            await staffed.people("out", "in")
            cases = await asyncio.gather(*(staffed.held_by("out") for _ in range(12)))
            await asyncio.gather(*map(staffed.backend.recorded, cases))
            shift = await staffed.ends_in(15 * MINUTE, "out", "in")
            await plan_handovers(env.client, [shift])
            handover = await staffed.handover(shift)
            await staffed.do(handover, "in", "sign")
            await staffed.do(handover, "out", "sign")
            await eventually(lambda: holders(database), lambda found: found["in"] == 3)
        # In the middle each has a holder, the one or the other.
        assert await holders(database) == {"in": 3, "out": 9}
        monkeypatch.setattr(worker, "CaseClient", CaseClient)
        async with open_staffed_backend(env, database, tmp_path / "two") as staffed:
            await eventually(
                lambda: staffed.backend.timeline(handover, "handed_over"), lambda found: len(found) == 1, 45
            )
            assert set(await staffed.holders(*cases)) == {"in"}
            for case in cases:
                assert await staffed.assignments(case) == [("out", "in")]
            [event] = await staffed.backend.timeline(handover, "handed_over")
            assert (event["data"]["cases"], event["data"]["left"]) == (sorted(case.id for case in cases), [])


async def holders(database: str) -> Counter[str]:
    """How many complaints each holds, by the casebook."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT holder FROM case_file WHERE kind = 'complaint'")
        return Counter(row["holder"] for row in rows)
    finally:
        await connection.close()


async def test_what_closes_just_before_it_is_taken_is_left_alone_and_named(staffed: StaffedBackend) -> None:
    await staffed.people("out-3", "in-3")
    closes, climbs, taken, stays = [await staffed.held_by("out-3") for _ in range(4)]
    for case in (closes, climbs, taken, stays):
        await staffed.backend.recorded(case)

    async def just_before(case_id: str, name: str, body: Mapping[str, Any]) -> Any:
        """Somebody else acts between the look into the casebook and the command."""
        if case_id == closes.id:
            await staffed.do(closes, "out-3", "resolve")
            await staffed.do(closes, "out-3", "close")
        elif case_id == climbs.id:
            await staffed.do(climbs, "out-3", "escalate", reason="hard")
        elif case_id == taken.id:
            await staffed.do(taken, "out-9", "assign", to={"id": "out-9", "role": "agent"})
        return await staffed.backend.client.command(case_id, name, body)

    order = CallOrder(
        "handover:X",
        {"round": 1, "from": {"id": "out-3", "role": "agent"}, "to": {"id": "in-3", "role": "agent"}},
        5,
        datetime.now(UTC).isoformat(),
        "",
    )
    handovers = staffed.handovers(just_before)
    result = await ActivityEnvironment().run(handovers.hand_over, order)
    assert result["cases"] == [stays.id]
    assert {one["case"]: one["code"] for one in result["left"]} == {
        closes.id: "closed", climbs.id: "not_holder", taken.id: "not_held"
    }  # fmt: skip
    assert await staffed.holders(closes, climbs, taken, stays) == ["out-3", "supervisor", "out-9", "in-3"]
    # Done again it changes nothing, and still knows what it did.
    await staffed.backend.recorded(stays)
    again = await ActivityEnvironment().run(handovers.hand_over, order)
    assert again["cases"] == [stays.id]
    assert await staffed.assignments(stays) == [("out-3", "in-3")]


async def test_a_case_that_does_not_answer_keeps_no_other_back(staffed: StaffedBackend) -> None:
    await staffed.people("out-4", "in-4")
    silent, other = [await staffed.held_by("out-4") for _ in range(2)]
    for case in (silent, other):
        await staffed.backend.recorded(case)

    async def command(case_id: str, name: str, body: Mapping[str, Any]) -> Any:
        if case_id == silent.id:
            raise TimeoutError
        return await staffed.backend.client.command(case_id, name, body)

    order = CallOrder(
        "handover:Y",
        {"round": 1, "from": {"id": "out-4", "role": "agent"}, "to": {"id": "in-4", "role": "agent"}},
        5,
        datetime.now(UTC).isoformat(),
        "",
    )
    with pytest.raises(ApplicationError, match="1 cases do not answer") as caught:
        await ActivityEnvironment().run(staffed.handovers(command).hand_over, order)
    assert not caught.value.non_retryable
    assert await staffed.holders(silent, other) == ["out-4", "in-4"]


async def test_nobody_relieves_and_nobody_signs_in_time(staffed: StaffedBackend) -> None:
    away = Absence(person="in-5", starts_at=datetime.now(UTC) - DAY, ends_at=datetime.now(UTC) + DAY)
    await staffed.people("out-5", "in-5", "in-6", absences=(away,))
    held = await staffed.held_by("out-5")
    await staffed.backend.recorded(held)
    shift = await staffed.ends_in(15 * MINUTE, "out-5", "in-5")
    await plan_handovers(staffed.backend.env.client, [shift])
    handover = await staffed.handover(shift)
    [missing] = await staffed.backend.timeline(handover, "relief_missing")
    assert missing["data"]["role"] == "supervisor"
    await staffed.do(handover, "out-5", "sign")
    await staffed.backend.wait(handover, 15 * MINUTE)
    view = await handover.query("case")
    assert (view["breached"], view["rung"], view["responsible"]) == (["handover"], "supervisor", "out-5")
    notices = await eventually(lambda: staffed.backend.timeline(handover, "notified"), lambda found: len(found) == 2)
    assert [event["data"]["notice"] for event in notices] == ["relief_missing", "handover_open"]
    assert "supervisor@example.com" in staffed.backend.mailed(handover)
    assert await staffed.holders(held) == ["out-5"]

    # Late is better than never.
    await staffed.do(handover, "boss", "name_relief", "supervisor", to={"id": "in-6", "role": "agent"})
    await staffed.do(handover, "in-6", "sign")
    await eventually(lambda: staffed.backend.timeline(handover, "handed_over"), lambda found: len(found) == 1)
    assert await staffed.holders(held) == ["in-6"]


# --- waiting for the end of a shift -----------------------------------------------------------------


async def test_the_roster_is_read_again_before_a_handover_begins(staffed: StaffedBackend) -> None:
    await staffed.people("out-7", "in-7")
    client = staffed.backend.env.client
    shift = await staffed.ends_in(3 * MINUTE * 60, "out-7", "in-7")
    await plan_handovers(client, [shift])
    waiting = client.get_workflow_handle(f"shift-end:{shift.id}")
    await eventually(lambda: looks(waiting), lambda number: number == 1)
    # An hour later than it was known at first: it sleeps on, and begins 20 minutes before the new end.
    moved = shift.model_copy(update={"ends_at": shift.ends_at + 60 * MINUTE})
    await staffed.changes.replace_shifts([moved])
    await plan_handovers(client, [moved])
    await eventually(lambda: looks(waiting), lambda number: number == 2)
    await staffed.backend.wait(waiting, 200 * MINUTE)
    assert await staffed.backend.book.case(f"handover:{shift.id}") is None
    await staffed.backend.wait(waiting, 20 * MINUTE)
    done = await waiting.result()
    assert done == {"id": f"handover:{shift.id}", "new": True}
    await replays(waiting)
    view = await (await staffed.handover(shift)).query("case")
    assert datetime.fromisoformat(view["facts"]["shift_ends_at"]) == moved.ends_at


async def looks(waiting: Handle) -> int:
    """How often a waiting shift has looked into the roster."""
    history = await waiting.fetch_history()
    return sum(event.HasField("activity_task_completed_event_attributes") for event in history.events)


async def test_where_there_is_nothing_to_hand_over(staffed: StaffedBackend) -> None:
    await staffed.people("out-8", "in-8")
    client = staffed.backend.env.client
    shift = await staffed.ends_in(15 * MINUTE, "out-8", "in-8")
    on = Shift(id="S-on", person="out-8", starts_at=shift.ends_at, ends_at=shift.ends_at + 60 * MINUTE)
    porter = Shift(id="S-porter", person="manager", starts_at=shift.starts_at, ends_at=shift.ends_at)
    over = Shift(id="S-over", person="in-8", starts_at=shift.starts_at, ends_at=datetime.now(UTC))
    gone = Shift(id="S-gone", person="in-8", starts_at=shift.starts_at, ends_at=shift.ends_at)
    await staffed.changes.replace_shifts([shift, on, porter])
    assert await plan_handovers(client, [shift, porter, gone, over]) == 3
    why = [(await client.get_workflow_handle(f"shift-end:{id_}").result())["why"] for id_ in (
        shift.id, "S-porter", "S-gone"
    )]  # fmt: skip
    assert why == ["goes_on", "no_rung", "gone"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "invalid"),
        ({"shift": "S-1", "when": 1}, "invalid"),
        ({"shift": "S-1", "policy": "strict"}, "unknown_policy"),
    ],
)
async def test_what_is_no_shift_is_refused(staffed: StaffedBackend, asked: Json, code: str) -> None:
    handle = await staffed.backend.start(SHIFT_END, asked, id=f"shift-end-bad-{next(_ids)}")
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    error = caught.value.cause.__cause__ or caught.value.cause
    assert isinstance(error, ApplicationError)
    assert (error.type, error.details[0]["code"]) == ("Refused", code)


# --- swapping -------------------------------------------------------------------------------------


async def ask_for(staffed: StaffedBackend, one: str, other: str, given: str, returned: str | None = None) -> Handle:
    """Ask for a swap. Raises `Refused`."""
    facts = facts_of(await staffed.staff.read(), DEFAULT, one, other, given, returned)
    view = await file_swap(staffed.backend.client, staffed.swaps, facts, DEFAULT, datetime.now(UTC))
    return staffed.backend.handle(view["id"])


async def sign(staffed: StaffedBackend, case: Handle, counterparty: str) -> Json:
    """Agree and sign; the view when it is over."""
    await staffed.do(case, counterparty, "agree")
    await staffed.do(case, "manager", "sign", "department_manager")
    view: Json = await case.result()
    return view


def weekly(person: str, *weeks: int) -> list[Shift]:
    """Shifts of a person, one a week, far from any holiday; ids like ``one-3``."""
    first = datetime.fromisoformat("2027-06-01T08:00:00+08:00")
    starts = {week: first + 7 * week * DAY for week in weeks}
    return [
        Shift(id=f"{person}-{week}", person=person, starts_at=start, ends_at=start + DAY / 2)
        for week, start in starts.items()
    ]


async def test_the_roster_changes_when_all_have_agreed_and_signed_and_only_three_times_a_month(
    staffed: StaffedBackend,
) -> None:
    await staffed.people("one", "two", "three")
    returned = [
        shift.model_copy(update={"id": "two-back", "starts_at": shift.starts_at + DAY, "ends_at": shift.ends_at + DAY})
        for shift in weekly("two", 0)
    ]
    await staffed.changes.replace_shifts([*weekly("one", 0, 1, 2, 3), *returned])
    case = await ask_for(staffed, "one", "two", "one-0", "two-back")
    # The same asked for again is the same case.
    assert (await ask_for(staffed, "one", "two", "one-0", "two-back")).id == case.id
    await staffed.do(case, "two", "agree")
    # Agreement of both without the manager's signature: the roster stays as it is.
    assert await on_roster(staffed) == {
        "one-0": "one",
        "one-1": "one",
        "one-2": "one",
        "one-3": "one",
        "two-back": "two",
    }
    with pytest.raises(Refused) as caught:
        await staffed.do(case, "two", "agree")
    assert (caught.value.code, caught.value.clause) == ("already_agreed", "S1-1.7")
    await staffed.do(case, "manager", "sign", "department_manager")
    view = await case.result()
    assert (view["outcome"], view["valid"]) == ("valid", True)
    assert await on_roster(staffed) == {
        "one-0": "two",
        "one-1": "one",
        "one-2": "one",
        "one-3": "one",
        "two-back": "one",
    }

    # Two more of the month; one that was asked for before they were valid is looked at again when it is signed.
    pending = await ask_for(staffed, "one", "three", "one-3")
    for week in (1, 2):
        assert (await sign(staffed, await ask_for(staffed, "one", "two", f"one-{week}"), "two"))["valid"]
    with pytest.raises(Refused) as caught:
        await ask_for(staffed, "one", "three", "one-3")
    assert (caught.value.code, caught.value.clause) == ("swap_limit", "S1-1.7")
    before = await on_roster(staffed)
    view = await sign(staffed, pending, "three")
    assert (view["outcome"], view["valid"]) == ("refused", False)
    assert "at most 3" in (await staffed.backend.client.with_texts(view))["refusal"]
    assert await on_roster(staffed) == before
    assert (await staffed.backend.book.verify()).ok


async def on_roster(staffed: StaffedBackend) -> dict[str, str]:
    """Whose each shift is."""
    return {shift.id: shift.person for shift in (await staffed.staff.read()).shifts}


async def test_of_two_swaps_of_one_shift_one_is_valid_and_a_repeat_changes_nothing(staffed: StaffedBackend) -> None:
    await staffed.people("one", "two", "three")
    await staffed.changes.replace_shifts(weekly("one", 10))
    swaps = [await ask_for(staffed, "one", other, "one-10") for other in ("two", "three")]
    views = await asyncio.gather(*(sign(staffed, c, who) for c, who in zip(swaps, ("two", "three"), strict=True)))
    assert sorted(view["outcome"] for view in views) == ["refused", "valid"]
    [valid] = [view for view in views if view["valid"]]
    assert await on_roster(staffed) == {"one-10": valid["facts"]["counterparty"]["id"]}

    before = await on_roster(staffed)
    facts = SwapFacts.model_validate(valid["facts"])
    assert await staffed.swaps.make_valid(valid["id"], facts, DEFAULT, datetime.now(UTC)) == [
        {"shift": "one-10", "from": "one", "to": facts.counterparty.id}
    ]
    assert await on_roster(staffed) == before


async def test_a_holiday_that_was_published_meanwhile_counts(staffed: StaffedBackend) -> None:
    await staffed.people("one", "two")
    [shift] = weekly("one", 30)
    await staffed.changes.replace_shifts([shift])
    case = await ask_for(staffed, "one", "two", shift.id)
    day = f"{DEFAULT.local(shift.starts_at):%Y-%m-%d}"
    calendar = CalendarYears(staffed.backend.book.database)
    await calendar.load({day[:4]: {"source": "published late", "holidays": [day]}})
    view = await sign(staffed, case, "two")
    assert (view["outcome"], view["valid"]) == ("refused", False)
    assert day in (await staffed.backend.client.with_texts(view))["refusal"]
    assert await on_roster(staffed) == {shift.id: "one"}


@pytest.mark.parametrize(
    ("one", "other", "given", "returned", "code"),
    [
        ("one", "one", "one-20", None, "with_oneself"),
        ("one", "two", "one-99", None, "unknown_shift"),
        ("one", "two", "one-20", "two-99", "unknown_shift"),
        ("one", "nobody", "one-20", None, "unknown_person"),
        ("one", "manager", "one-20", None, "other_role"),
        ("two", "one", "one-20", None, "not_theirs"),
        ("one", "two", "past", None, "past_shift"),
    ],
)
async def test_what_makes_no_swap_is_refused_and_nothing_is_filed(
    staffed: StaffedBackend, one: str, other: str, given: str, returned: str | None, code: str
) -> None:
    await staffed.people("one", "two")
    now = datetime.now(UTC)
    past = Shift(id="past", person="one", starts_at=now - DAY, ends_at=now - DAY / 2)
    await staffed.changes.replace_shifts([*weekly("one", 20), past])
    filed = await staffed.filed_swaps()
    with pytest.raises(Refused) as caught:
        await ask_for(staffed, one, other, given, returned)
    assert (caught.value.code, caught.value.clause) == (code, "S1-1.7")
    assert await staffed.filed_swaps() == filed
