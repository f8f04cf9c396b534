"""Absences that cases ask for: recorded once, kept by an import, told by an export; and leave beside swapped shifts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from activities.database.database import Database
from activities.database.migrate import migrate
from activities.messages import CallOrder
from activities.people.absences import Absences
from activities.people.directory import DirectoryBook
from activities.people.directory_changes import DirectoryChanges
from activities.people.swap import Swaps
from cases.directory import Absence, Person, Shift, Unit
from cases.vocabulary.refusals import Refused
from starter.cli import staff_files
from starter.swap import refuse_leave_in_swap
from tests.postgres import Cluster, as_writer

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UNITS = (Unit(id="headquarters"),)
PEOPLE = tuple(Person(id=f"agent-{n}", role="agent", unit="headquarters") for n in (1, 2, 3))
LEAVE = "leave:L-1"


@pytest.fixture
async def database(postgres: Cluster) -> AsyncIterator[Database]:
    """A directory of three people."""
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    async with Database.open(as_writer(dsn), only_writes=True) as made:
        await DirectoryChanges(made).replace_people(PEOPLE, units=UNITS)
        yield made


def order(
    *people: str, begins: datetime = NOW, ends: datetime = NOW + DAY, case: str = LEAVE, seq: int = 4
) -> CallOrder:
    what = {"people": list(people), "from": begins.isoformat(), "to": ends.isoformat()}
    return CallOrder(case, what, seq, NOW.isoformat(), "")


async def absences(database: Database) -> list[tuple[str, datetime, str | None]]:
    found = (await DirectoryBook(database).read()).absences
    return [(one.person, one.starts_at, one.case_id) for one in found]


async def test_it_is_recorded_once_however_often_it_is_asked_for(database: Database) -> None:
    asked = Absences(database)
    answers = await asyncio.gather(*(asked.record_absence(order("agent-2", "agent-1", "agent-1")) for _ in range(8)))
    assert answers == [{"unknown": []}] * 8
    assert await absences(database) == [("agent-1", NOW, LEAVE), ("agent-2", NOW, LEAVE)]
    await asked.record_absence(order("agent-1", seq=5))
    await asked.record_absence(order("agent-1", case="leave:L-2"))
    assert len(await absences(database)) == 4


async def test_who_is_nobody_of_the_staff_is_told(database: Database) -> None:
    answer = await Absences(database).record_absence(order("nobody-9", "agent-1", "nobody-1"))
    assert answer == {"unknown": ["nobody-1", "nobody-9"]}
    assert await absences(database) == [("agent-1", NOW, LEAVE)]


async def test_a_time_that_ends_before_it_begins_is_refused(database: Database) -> None:
    answer = await Absences(database).record_absence(order("agent-1", ends=NOW))
    assert answer["refused"]["code"] == "invalid"
    assert await absences(database) == []


async def test_an_import_keeps_it_until_it_is_over(database: Database) -> None:
    asked, changes = Absences(database), DirectoryChanges(database)
    await asked.record_absence(order("agent-1", "agent-3"))
    await asked.record_absence(order("agent-1", begins=NOW - 2 * DAY, ends=NOW - DAY, case="leave:past"))
    own = Absence(person="agent-2", starts_at=NOW, ends_at=NOW + HOUR)
    # A file that does not know of it; who is left out is gone, and so is what is over.
    await changes.replace_people(PEOPLE[:2], absences=[own])
    assert await absences(database) == [("agent-1", NOW, LEAVE), ("agent-2", NOW, None)]
    # A file without absences leaves them as they are.
    await changes.replace_people(PEOPLE[:2])
    assert await absences(database) == [("agent-1", NOW, LEAVE), ("agent-2", NOW, None)]
    # The same order again, as after a crash, adds nothing.
    await asked.record_absence(order("agent-1"))
    await changes.replace_people(PEOPLE[:2], absences=[])
    assert await absences(database) == [("agent-1", NOW, LEAVE)]


async def test_what_was_exported_is_imported_without_a_second_one(database: Database, tmp_path: Path) -> None:
    await Absences(database).record_absence(order("agent-1"))
    zone, file = ZoneInfo("Asia/Shanghai"), tmp_path / "absences.csv"
    found = await DirectoryBook(database).read()
    file.write_text(staff_files.absences_csv(found.absences, zone), "utf-8")
    assert file.read_text("utf-8").splitlines()[0] == "person,from,to,case"
    assert LEAVE in file.read_text("utf-8")
    sheet = staff_files.read_absences(file, zone)
    assert sheet.faults == []
    await DirectoryChanges(database).replace_people(PEOPLE, absences=sheet.entries)
    assert await absences(database) == [("agent-1", NOW, LEAVE)]


# --- leave and swaps (S1-1.7) -----------------------------------------------------------------------


@pytest.fixture
async def swapped(database: Database) -> Swaps:
    """A valid swap: agent-1 gave a shift, which begins in 10 hours, and took one that begins in 30."""
    shifts = [
        Shift(id=id, person=person, starts_at=NOW + begins * HOUR, ends_at=NOW + (begins + 8) * HOUR)
        for id, person, begins in (("s-1", "agent-2", 10), ("s-2", "agent-1", 30), ("s-3", "agent-1", 50))
    ]
    await DirectoryChanges(database).replace_shifts(shifts)
    moves = [
        {"shift": "s-1", "from": "agent-1", "to": "agent-2"}, {"shift": "s-2", "from": "agent-2", "to": "agent-1"},
    ]  # fmt: skip
    async with database.connection() as connection:
        await connection.execute(Swaps._RECORD, "swap:W", "agent-1", "agent-2", ["2026-03"], moves, NOW)
    return Swaps(database)


@pytest.mark.parametrize("person", ["agent-1", "agent-2"])
@pytest.mark.parametrize(
    ("begins", "ends", "shift"),
    [
        (0, 10, None),
        (0, 11, "s-1"),
        (17, 18, "s-1"),
        (18, 30, None),
        (18, 31, "s-2"),
        (38, 100, None),
        (0, 100, "s-1"),
        (50, 58, None),
    ],
)
async def test_leave_that_overlaps_a_swapped_shift_is_refused(
    swapped: Swaps, person: str, begins: int, ends: int, shift: str | None
) -> None:
    leave = refuse_leave_in_swap(swapped, person, NOW + begins * HOUR, NOW + ends * HOUR)
    if shift is None:
        await leave
        return
    with pytest.raises(Refused, match=f"'{shift}' .*swap:W") as refused:
        await leave
    assert (refused.value.code, refused.value.clause) == ("swapped_shift", "S1-1.7")


async def test_who_swapped_nothing_may_take_leave(swapped: Swaps) -> None:
    await refuse_leave_in_swap(swapped, "agent-3", NOW, NOW + 100 * HOUR)
