"""The directory of staff in a real database: changed whole or not at all, and kept while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from activities.database.database import Database
from activities.database.errors import DatabaseAway
from activities.database.migrate import migrate
from activities.people import directory
from activities.people.directory import KEPT, DirectoryBook
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Absence, BadDirectory, Directory, Person, Shift, Unit
from cases.vocabulary.refusals import Refused
from tests.postgres import Cluster, as_writer, cluster

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
UNITS = (Unit(id="headquarters"), Unit(id="north", name="North", parent="headquarters"))
AGENT = Person(
    id="agent-1",
    name="Chen Yi",
    role="agent",
    unit="north",
    language="en",
    deputies=("agent-2",),
    contacts={"wecom": "https://chat.example.com/send?key=K", "email": "one@example.com"},
)
OTHER = Person(id="agent-2", role="agent", unit="north")
PEOPLE = (AGENT, OTHER)
AWAY = Absence(person="agent-1", starts_at=NOW, ends_at=NOW + HOUR)


class Book(DirectoryBook, DirectoryChanges):
    """The directory, read and changed."""


def shift(id: str, person: str, begins: timedelta, hours: int = 12) -> Shift:
    """A shift that begins so long after now."""
    return Shift(id=id, person=person, starts_at=NOW + begins, ends_at=NOW + begins + hours * HOUR)


@pytest.fixture(scope="module")
async def migrated(postgres: Cluster) -> str:
    """The name of a migrated database, to copy from."""
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    return dsn.rpartition("/")[2]


@pytest.fixture
async def address(postgres: Cluster, migrated: str) -> str:
    """A migrated database."""
    return await postgres.fresh_database(f"TEMPLATE {migrated}")


@pytest.fixture
async def book(address: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Book]:
    """The directory, empty yet, asked for anew each time."""
    monkeypatch.setattr(directory, "FRESH", 0.0)
    async with Database.open(as_writer(address)) as store:
        yield Book(store)


def content(found: Directory) -> tuple[object, ...]:
    """What is in a directory, in one order."""
    return (
        sorted(found.units, key=lambda one: one.id),
        sorted(found.people, key=lambda one: one.id),
        sorted(found.absences, key=lambda one: (one.person, one.starts_at)),
        sorted(found.shifts, key=lambda one: one.id),
    )


async def test_what_is_stored_is_read_as_it_was(book: Book) -> None:
    assert content(await book.current()) == content(Directory())
    await book.replace_people(PEOPLE, units=UNITS, absences=[AWAY])
    stored = await book.replace_shifts([shift("s1", "agent-1", -HOUR)])
    wanted = content(Directory.build(UNITS, PEOPLE, [AWAY], [shift("s1", "agent-1", -HOUR)]))
    assert content(stored) == content(await book.read()) == content(await book.current()) == wanted
    person = (await book.current()).person("agent-1")
    assert person is not None
    # The order is the preference.
    assert list(person.contacts) == ["wecom", "email"]
    answer = (await book.current()).who("agent", "north", NOW)
    assert (answer.person, answer.why) == (OTHER, "on_duty")


async def test_units_and_absences_stay_when_only_people_come(book: Book) -> None:
    await book.replace_people(PEOPLE, units=UNITS, absences=[AWAY, AWAY.model_copy(update={"person": "agent-2"})])
    stored = await book.replace_people([AGENT.model_copy(update={"deputies": ()})])
    assert [unit.id for unit in stored.units] == ["headquarters", "north"]
    assert [one.person for one in stored.absences] == ["agent-1"]
    assert content(await book.read()) == content(stored)


async def test_all_or_nothing(book: Book) -> None:
    before = content(await book.replace_people(PEOPLE, units=UNITS))
    with pytest.raises(BadDirectory, match=r"staff\.1\.unit: 'nowhere' is not a known unit; allowed: headquarters, n"):
        await book.replace_people([OTHER, AGENT.model_copy(update={"unit": "nowhere", "deputies": ()})])
    with pytest.raises(BadDirectory, match=r"staff\.0\.role: 'agent' is not a known role"):
        await book.replace_people(PEOPLE, roles=["supervisor"])
    with pytest.raises(BadDirectory, match=r"roster\.1\.person: 'nobody'"):
        await book.replace_shifts([shift("s1", "agent-1", HOUR), shift("s2", "nobody", HOUR)])
    assert content(await book.read()) == content(await book.current()) == before


async def test_a_failed_write_leaves_everything(book: Book, address: str) -> None:
    before = content(await book.replace_people(PEOPLE, units=UNITS))
    connection = await asyncpg.connect(address)
    try:
        await connection.execute("ALTER TABLE shift ADD CONSTRAINT none_today CHECK (id <> 's2')")
    finally:
        await connection.close()
    with pytest.raises(Exception, match="none_today"):
        await book.replace_shifts([shift("s1", "agent-1", HOUR), shift("s2", "agent-2", HOUR)])
    assert content(await book.read()) == before


async def test_who_leaves_must_be_off_the_roster(book: Book) -> None:
    await book.replace_people(PEOPLE, units=UNITS)
    await book.replace_shifts([shift("past", "agent-2", -20 * HOUR), shift("later", "agent-2", 20 * HOUR)])
    alone = [AGENT.model_copy(update={"deputies": ()})]
    with pytest.raises(Refused, match="change that first: agent-2") as refused:
        await book.replace_people(alone)
    assert refused.value.code == "on_roster"
    await book.replace_shifts([], period=(NOW, NOW + 100 * HOUR))
    assert [one.id for one in (await book.read()).shifts] == ["past"]
    assert (await book.replace_people(alone)).shifts == ()


async def test_a_roster_replaces_its_period(book: Book) -> None:
    await book.replace_people(PEOPLE, units=UNITS)
    day = 24 * HOUR
    await book.replace_shifts([shift(f"s{n}", "agent-1", n * day) for n in range(5)])
    stored = await book.replace_shifts([shift("new", "agent-2", 2 * day)], period=(NOW + day, NOW + 3 * day))
    assert sorted(one.id for one in stored.shifts) == ["new", "s0", "s3", "s4"]
    assert content(await book.read()) == content(stored)
    with pytest.raises(BadDirectory, match=r"lies within the shift"):
        await book.replace_shifts([shift("long", "agent-1", 2 * day, 48)], period=(NOW + 2 * day, NOW + 3 * day))


async def test_two_who_change_it_at_once_take_turns(book: Book) -> None:
    await book.replace_people(PEOPLE, units=UNITS)
    results = await asyncio.gather(
        book.replace_shifts([shift("s1", "agent-1", HOUR)], period=(NOW, NOW + 2 * HOUR)),
        book.replace_shifts([shift("s2", "agent-1", 2 * HOUR)], period=(NOW + 2 * HOUR, NOW + 9 * HOUR)),
        return_exceptions=True,
    )
    # They overlap, so the second to come must have seen the first.
    assert sorted(type(result).__name__ for result in results) == ["BadDirectory", "Directory"]
    assert len((await book.read()).shifts) == 1


async def test_nothing_is_read_again_while_nothing_changed(book: Book, address: str) -> None:
    await book.replace_people(PEOPLE, units=UNITS)
    first = await book.current()
    assert await book.current() is first
    connection = await asyncpg.connect(address)
    try:
        # A change by hand is seen as well.
        await connection.execute("UPDATE staff SET unit = 'headquarters' WHERE id = 'agent-2'")
    finally:
        await connection.close()
    assert (await book.current()).who("agent", None, NOW).person == OTHER.model_copy(update={"unit": "headquarters"})


async def test_an_answer_holds_for_a_moment(address: str) -> None:
    async with Database.open(as_writer(address)) as store:
        reader = DirectoryBook(store)
        assert (await reader.current()).people == ()
        await DirectoryChanges(store).replace_people(PEOPLE, units=UNITS)
        assert (await reader.current()).people == ()
        await asyncio.sleep(directory.FRESH)
        assert len((await reader.current()).people) == 2


async def test_what_somebody_may_do_now_needs_no_moment(address: str) -> None:
    async with Database.open(as_writer(address)) as store:
        reader, changes = DirectoryBook(store), DirectoryChanges(store)
        assert (await reader.now()).people == ()
        await changes.replace_people(PEOPLE, units=UNITS, absences=[AWAY])
        found = await reader.now()
        assert content(found) == ([*UNITS], [*PEOPLE], [], [])
        assert await reader.now() is found
        await changes.replace_people([OTHER])
        # Whoever asks at once is answered alike.
        for seen in await asyncio.gather(*(reader.now() for _ in range(5))):
            assert seen.person("agent-1") is None
            assert seen.person("agent-2") is not None


async def test_the_current_one_forgets_old_shifts_but_not_who_has_a_roster(book: Book) -> None:
    await book.replace_people(PEOPLE, units=UNITS)
    old = [shift(f"old{n}", "agent-1", -KEPT - n * 24 * HOUR) for n in range(1, 4)]
    await book.replace_shifts([*old, shift("new", "agent-2", -HOUR)])
    current = await book.current()
    assert sorted(one.id for one in current.shifts) == ["new", "old1"]
    assert not current.on_duty("agent-1", NOW)
    assert len((await book.read()).shifts) == 4


async def test_what_is_not_valid_does_not_take_the_place_of_what_was(book: Book, address: str) -> None:
    await book.replace_people(PEOPLE, units=UNITS)
    good = await book.current()
    connection = await asyncpg.connect(address)
    try:
        await connection.execute("UPDATE staff SET deputies = '{agent-9}' WHERE id = 'agent-2'")
        assert await book.current() is good
        with pytest.raises(BadDirectory, match=r"'agent-9' is nobody of the staff"):
            await book.read()
        await connection.execute("""UPDATE staff SET deputies = '{}', contacts = '[["email", "secret"]]'""")
        assert await book.current() is good
        with pytest.raises(Refused, match="person agent-1: contacts: email: not an e-mail address") as refused:
            await book.read()
        assert "secret" not in refused.value.message
        await connection.execute("UPDATE staff SET contacts = '[]'")
        assert await book.current() is not good
    finally:
        await connection.close()


@pytest.mark.long
async def test_while_the_database_is_away_the_last_good_one_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "FRESH", 0.0)
    with cluster() as own:
        dsn = await own.fresh_database()
        await migrate(dsn)
        async with Database.open(as_writer(dsn)) as store:
            known, fresh = Book(store), Book(store)
            await known.replace_people(PEOPLE, units=UNITS)
            good = await known.current()
            own.kill()
            assert await known.current() is good
            assert (await known.current()).who("agent", "north", NOW).person == AGENT
            # One that never asked knows nobody, and answers so.
            assert (await fresh.current()).who("agent", "north", NOW).why == "nobody"
            with pytest.raises(DatabaseAway):
                await known.read()
            # Whether somebody was removed meanwhile, nobody knows.
            with pytest.raises(DatabaseAway):
                await known.now()
            with pytest.raises(DatabaseAway):
                await known.replace_people([])
            own.start()
            assert content(await fresh.current()) == content(good)


async def test_a_database_without_the_tables_stops_nobody(postgres: Cluster) -> None:
    async with Database.open(await postgres.fresh_database()) as store:
        book = Book(store)
        assert (await book.current()).who("agent", None, NOW).why == "nobody"
