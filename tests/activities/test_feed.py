"""The order in which the ledger is read, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from activities.database.database import Database, statement
from activities.database.migrate import migrate
from activities.events.feed import Feed, FeedEvent, read_position
from activities.messages import Batch
from cases.vocabulary.refusals import Refused
from tests.activities.ledger import restored
from tests.casebook import Book, open_book
from tests.postgres import Cluster, as_writer
from tests.seed import SEED

A, B, C = "complaint:A", "complaint:B", "complaint:C"
MARCH = "2026-03-10T09:00:00+08:00"
INSERT = """
    INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash)
    VALUES ($1, $2, 'noted', now(), now(), $3::text, sha256($3::text::bytea), sha256($3::text::bytea))
"""
# The server counts transactions from the last event on, as it does after a restore to the moment of that event.
COUNTS_ANEW = """
    SELECT format(
        'CREATE OR REPLACE FUNCTION case_event_shift() RETURNS bigint LANGUAGE sql STABLE RETURN %s::bigint',
        max(tx) + 1 - pg_current_xact_id()::text::bigint)
    FROM case_event
"""


def batch(case_id: str, first: int, last: int, **view: Any) -> Batch:
    actor = {"id": "agent-7", "role": "agent"}
    events = [
        {"seq": seq, "type": "noted", "at": MARCH, "recorded_at": MARCH, "actor": actor, "clauses": [], "data": {}}
        for seq in range(first, last + 1)
    ]
    return Batch(case_id, case_id.partition(":")[0], events, {"id": case_id, "unit": "HZ-01", **view}, "run-1")


def seen(events: list[FeedEvent]) -> list[tuple[str, int]]:
    return [(one.case_id, one.event["seq"]) for one in events]


async def write(connection: asyncpg.Connection, case_id: str, seq: int) -> None:
    await connection.execute(INSERT, case_id, seq, f'{{"seq":{seq}}}')


async def whole(reader: Feed, limit: int = 1000) -> list[FeedEvent]:
    """Everything that can be read, page by page."""
    events: list[FeedEvent] = []
    while page := await reader.after(events[-1].position if events else None, limit):
        events.extend(page)
    return events


@pytest.fixture
async def dsn(postgres: Cluster, template: str) -> str:
    return await postgres.fresh_database(f"TEMPLATE {template}")


@pytest.fixture(scope="session")
async def template(postgres: Cluster) -> str:
    """The name of a migrated database to copy."""
    address = await postgres.fresh_database()
    await migrate(address)
    return address.rpartition("/")[2]


@pytest.fixture
async def book(dsn: str) -> AsyncIterator[Book]:
    async with open_book(dsn) as made:
        yield made


@pytest.fixture
async def reader(dsn: str) -> AsyncIterator[Feed]:
    async with Database.open(as_writer(dsn)) as store:
        yield Feed(store)


@pytest.fixture
async def one(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    connection.terminate()


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    connection.terminate()


async def test_events_come_in_order_with_what_their_case_is(book: Book, reader: Feed) -> None:
    assert await reader.after(None, 10) == []
    assert await reader.head() == "0-0"
    await book.record(batch(A, 1, 3))
    await book.record(batch("inquiry:B", 1, 1, unit=None))
    await book.record(batch(A, 4, 4))

    events = await reader.after(None, 10)

    assert seen(events) == [*((A, 1), (A, 2), (A, 3)), ("inquiry:B", 1), (A, 4)]
    assert (events[0].kind, events[0].number, events[0].unit) == ("complaint", "2026-03-0001", "HZ-01")
    assert (events[3].kind, events[3].number, events[3].unit) == ("inquiry", "2026-03-0001", None)
    assert events[4].event == batch(A, 4, 4).events[0]
    assert await reader.head() == events[-1].position
    assert seen(await whole(reader, 2)) == seen(events)
    assert await reader.after(events[-1].position, 10) == []


async def test_what_follows_an_event_can_be_read_again_from_there(book: Book, reader: Feed) -> None:
    await book.record(batch(A, 1, 4))

    place = await reader.before(A, 3)

    assert seen(await reader.after(place, 10)) == [(A, 3), (A, 4)]
    for seq in (0, 5, 1 << 40):
        with pytest.raises(Refused, match=f"no event {seq} of {A}"):
            await reader.before(A, seq)


async def test_who_commits_out_of_order_is_neither_lost_nor_repeated(
    reader: Feed, one: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    first, second = one.transaction(), other.transaction()
    await first.start()
    await write(one, A, 1)
    await second.start()
    await write(other, B, 1)
    await write(one, A, 2)

    await second.commit()
    # It has committed, but what is still open comes before it.
    assert await reader.after(None, 10) == []
    assert await reader.head() == "0-0"
    await first.commit()

    events = await reader.after(None, 10)
    assert seen(events) == [(A, 1), (A, 2), (B, 1)]
    assert await reader.after(events[-1].position, 10) == []


async def test_a_transaction_that_is_given_up_holds_nothing_up(
    reader: Feed, one: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    given_up = one.transaction()
    await given_up.start()
    await write(one, A, 1)
    await write(other, B, 1)
    assert await reader.after(None, 10) == []

    await given_up.rollback()

    assert seen(await reader.after(None, 10)) == [(B, 1)]


async def test_a_transaction_that_only_reads_holds_nothing_up(
    reader: Feed, one: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    # As an audit does, which may take long.
    async with one.transaction(isolation="repeatable_read", readonly=True):
        await one.fetch("SELECT * FROM case_event")
        await write(other, B, 1)
        assert seen(await reader.after(None, 10)) == [(B, 1)]


async def test_readers_beside_many_writers_read_everything_once(dsn: str, reader: Feed) -> None:
    done = asyncio.Event()
    chance = random.Random(SEED)

    async def writer(number: int) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for seq in range(1, 31):
                async with connection.transaction():
                    await write(connection, f"complaint:{number}", seq)
                    await asyncio.sleep(chance.random() / 200)
        finally:
            connection.terminate()

    async def follow(limit: int) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        while True:
            ended = done.is_set()
            page = await reader.after(events[-1].position if events else None, limit)
            events.extend(page)
            if ended and not page:
                return events

    readers = [asyncio.create_task(follow(limit)) for limit in (1, 7, 1000)]
    await asyncio.gather(*(writer(number) for number in range(8)))
    done.set()
    for events in await asyncio.gather(*readers):
        by_case: dict[str, list[int]] = {}
        for one in events:
            by_case.setdefault(one.case_id, []).append(one.event["seq"])
        assert by_case == {f"complaint:{number}": list(range(1, 31)) for number in range(8)}


@pytest.mark.parametrize("position", ["", "7", "a-b", "1-2-3", "-1-2", "1-", "٣-٤", "1" * 30 + "-1", "0-0\n", " 1-2"])
def test_a_position_of_another_form_is_refused(position: str) -> None:
    with pytest.raises(Refused, match=r"position = .*allowed is what an event came with") as refused:
        read_position(position)
    assert refused.value.code == "invalid"


async def test_a_position_that_was_never_given_is_refused(book: Book, reader: Feed) -> None:
    await book.record(batch(A, 1, 1))
    with pytest.raises(Refused, match="this ledger has not come that far") as refused:
        await reader.after("999999999-1", 10)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_a_size(reader: Feed, limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit = {limit}: allowed is 1 to 1000"):
        await reader.after(None, limit)


async def test_the_ledger_stays_append_only_and_its_chain_whole(book: Book, one: asyncpg.Connection) -> None:
    await book.record(batch(A, 1, 3))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await one.execute("UPDATE case_event SET position = 0")
    assert (await book.verify()).ok


# --- ledgers from before --------------------------------------------------------------------------


async def test_a_ledger_that_was_there_before_gets_an_order(postgres: Cluster) -> None:
    dsn = await postgres.fresh_database()
    await migrate(dsn, "0005")
    async with open_book(dsn) as book:
        # Row 2 of A is recorded as if before row 1: a clock that was set back must not turn them round.
        connection = await asyncpg.connect(dsn)
        for case_id, seq, hour in [(A, 1, 5), (B, 1, 6), (A, 2, 4), (C, 1, 3)]:
            at = datetime.fromisoformat(f"2026-03-10T0{hour}:00:00+00:00")
            await connection.execute(INSERT.replace("now(), now()", "$4, $4"), case_id, seq, f'{{"seq":{seq}}}', at)
        await connection.close()

        await migrate(dsn)
        await book.record(batch("inquiry:D", 1, 1))

    async with Database.open(as_writer(dsn)) as later:
        assert seen(await whole(Feed(later))) == [(C, 1), (A, 1), (A, 2), (B, 1), ("inquiry:D", 1)]


async def test_a_ledger_restored_into_a_younger_server_goes_on_after_its_end(
    dsn: str, book: Book, reader: Feed, one: asyncpg.Connection
) -> None:
    await book.record(batch(A, 1, 2))
    # As it looks there: the rows know of transactions that this server has not come to.
    async with one.transaction():
        await one.execute("SET LOCAL session_replication_role = replica")
        await one.execute("UPDATE case_event SET tx = tx + 5000000")
    assert await reader.after(None, 10) == []

    await migrate(dsn)
    await book.record(batch(A, 3, 3))
    await migrate(dsn)
    await book.record(batch(A, 4, 4))

    assert seen(await whole(reader, 1)) == [(A, seq) for seq in (1, 2, 3, 4)]
    assert await one.fetchval("SELECT case_event_shift()") > 4000000


async def test_who_reads_the_ledger_misses_nothing_after_it_was_set_back(
    dsn: str, book: Book, reader: Feed, one: asyncpg.Connection
) -> None:
    """Also when the same state is restored once more, which knows nothing of the first time."""
    await book.record(batch(A, 1, 2))
    for again in range(2):
        lost, new = f"inquiry:lost-{again}", f"inquiry:new-{again}"
        for seq in range(1, 41):
            await book.record(batch(lost, seq, seq))
        read = await whole(reader)
        assert seen(read)[-1] == (lost, 40)

        await restored(one, lost, 0)
        await one.execute(await one.fetchval(COUNTS_ANEW))
        await migrate(dsn, restored=True)
        await one.execute("DELETE FROM casebook_recovery")
        await book.record(batch(new, 1, 2))
        assert seen(await reader.after(read[-1].position, 10)) == [(new, 1), (new, 2)]
        await restored(one, new, 0)


async def test_openings_and_payments_wait_after_a_restore_that_shows_or_that_is_told(
    dsn: str, book: Book, one: asyncpg.Connection
) -> None:
    await book.record(batch(A, 1, 2))
    assert await migrate(dsn, restored=None) is False
    async with one.transaction():
        await one.execute("SET LOCAL session_replication_role = replica")
        await one.execute("UPDATE case_event SET tx = tx + 9000000")
    assert await migrate(dsn, restored=None) is True
    await one.execute("DELETE FROM casebook_recovery")
    assert await migrate(dsn, restored=None) is False
    assert await migrate(dsn, restored=True) is True
    assert await migrate(dsn) is True
    await one.execute("DELETE FROM casebook_recovery")


async def test_a_ledger_that_is_where_it_was_is_not_shifted(dsn: str, book: Book, one: asyncpg.Connection) -> None:
    await book.record(batch(A, 1, 2))
    await migrate(dsn)
    assert await one.fetchval("SELECT case_event_shift()") == 0


async def test_who_commits_beside_a_migration_shifts_nothing(
    one: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    async with one.transaction():
        await one.execute("SELECT pg_current_xact_id()")
        await write(other, A, 1)
        assert await one.fetchval("SELECT case_event_resume()") is False


async def test_a_page_is_read_off_the_index(book: Book, one: asyncpg.Connection) -> None:
    for number in range(20):
        await book.record(batch(f"complaint:{number}", 1, 30))
    await one.execute("ANALYZE case_event")
    arguments = ["0", "500", "0", "10"]
    text = re.sub(r"\$(\d)", lambda named: arguments[int(named[1])], statement("activities.events", "feed_after"))
    plan = await one.fetch(f"EXPLAIN {text}")
    assert any("case_event_order" in row[0] for row in plan), plan
