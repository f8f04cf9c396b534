"""A case whose event says its number (S1-5.8, S1-5.9.3): given once, apart by kind, never twice, without a gap."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError

from activities.audit.keys import new_key
from activities.audit.prove import prove
from activities.casebook.errors import Recovering, Superseded
from activities.casebook.number import Numbers
from activities.casebook.restored import Restored
from activities.events.feed import Feed
from activities.messages import Batch, CallOrder
from tests.activities.ledger import RUN, batch, behind_the_back, event, restored
from tests.activities.record import Record
from tests.casebook import Book

ONE, TWO, THREE = "quality:Q-1", "quality:Q-2", "quality:Q-3"


def later(first: int, last: int, case_id: str = ONE, number: str | None = None, run: str = RUN) -> Batch:
    """A batch of a case that is numbered later."""
    return replace(batch(first, last, case_id), numbered_later=True, number=number, run=run)


def says(seq: int, case_id: str, number: str) -> Batch:
    """The batch whose event says the number."""
    made = later(seq, seq, case_id, number)
    return replace(made, events=[event(seq, "numbered", number=number)], view={**made.view, "number": number})


def order(case_id: str, month: int = 3, run: str = RUN, seq: int = 1) -> CallOrder:
    return CallOrder(case_id, {"year": 2026, "month": month}, seq, "", "", run)


@pytest.fixture
def numbers(book: Book) -> Numbers:
    return Numbers(book.database)


async def give(numbers: Numbers, case_id: str, month: int = 3) -> str:
    return (await numbers.give_number(order(case_id, month)))["number"]


async def test_it_has_none_until_it_is_given(book: Book, numbers: Numbers, superuser: asyncpg.Connection) -> None:
    assert (await book.record(later(1, 1))).number is None
    assert (await book.record(later(2, 2))).number is None
    view = await book.case(ONE)
    assert view is not None
    assert view["number"] is None
    assert (await book.verify()).ok
    number = await give(numbers, ONE)
    assert number == "2026-03-0001"
    # Given, and not said by an event yet: nothing is amiss.
    assert (await book.verify()).ok
    assert (await book.record(says(3, ONE, number))).number == number
    assert (await book.record(later(4, 4, number=number))).number == number
    assert [view["number"] for view in await book.by_number(number, "quality")] == [number]
    assert (await book.verify()).ok
    assert await superuser.fetchval("SELECT serial FROM case_number WHERE kind = 'quality'") == 1


async def test_it_is_counted_apart_from_other_kinds_and_by_the_month(book: Book, numbers: Numbers) -> None:
    assert (await book.record(batch(1, 1))).number == "2026-03-0001"
    for case_id in (ONE, TWO, THREE):
        await book.record(later(1, 1, case_id))
    assert [await give(numbers, TWO), await give(numbers, ONE), await give(numbers, THREE, 4)] == [
        "2026-03-0001", "2026-03-0002", "2026-04-0001",
    ]  # fmt: skip
    assert (await book.record(batch(1, 1, "complaint:C-2"))).number == "2026-03-0002"


async def test_asked_again_it_is_the_same_whoever_asks_at_the_same_time(book: Book, numbers: Numbers) -> None:
    ids = [f"quality:Q-{n}" for n in range(10)]
    for case_id in ids:
        await book.record(later(1, 1, case_id))
    given = await asyncio.gather(*(give(numbers, case_id) for case_id in ids for _ in range(3)))
    by_case = {case_id: set(given[3 * n : 3 * n + 3]) for n, case_id in enumerate(ids)}
    assert all(len(each) == 1 for each in by_case.values())
    assert sorted(set().union(*by_case.values())) == [f"2026-03-{n:04}" for n in range(1, 11)]
    # In another month too: an order that was made twice is of one case.
    assert {await give(numbers, ids[0], 5)} == by_case[ids[0]]
    assert (await book.verify()).ok


async def test_only_what_the_ledger_asks_for_is_numbered_by_the_run_that_holds_it(book: Book, numbers: Numbers) -> None:
    with pytest.raises(ApplicationError, match="seq 1 is not recorded yet"):
        await numbers.give_number(order(ONE))
    await book.record(later(1, 1))
    with pytest.raises(ApplicationError, match="seq 2 is not recorded yet"):
        await numbers.give_number(order(ONE, seq=2))
    with pytest.raises(Superseded):
        await numbers.give_number(order(ONE, run="run-2"))
    assert await give(numbers, ONE) == "2026-03-0001"


async def test_numbers_wait_while_the_casebook_is_recovered(book: Book, numbers: Numbers) -> None:
    await book.record(later(1, 1))
    await book.record(later(1, 1, TWO))
    known = await give(numbers, ONE)
    await Restored(book.database).begin()
    # It needs no number to be opened, and what was given stays given.
    assert (await book.record(later(1, 1, THREE))).number is None
    assert await give(numbers, ONE) == known
    with pytest.raises(Recovering):
        await give(numbers, TWO)
    await Restored(book.database).end()
    assert await give(numbers, TWO) == "2026-03-0002"


@pytest.mark.parametrize("head", [0, 1])
async def test_an_older_casebook_takes_over_the_number(
    book: Book, numbers: Numbers, superuser: asyncpg.Connection, head: int
) -> None:
    await book.record(later(1, 1))
    await book.record(says(2, ONE, await give(numbers, ONE)))
    await _older(superuser, ONE, head)
    made = says(2, ONE, "2026-03-0001")
    made = replace(made, events=[*later(1, 1).events, *made.events])
    assert (await book.record(made)).number == "2026-03-0001"
    await book.record(later(1, 1, TWO))
    assert await give(numbers, TWO) == "2026-03-0002"
    assert (await book.verify()).ok


async def test_a_number_that_another_case_has_got_meanwhile_is_told_and_replaced(
    book: Book, numbers: Numbers, superuser: asyncpg.Connection
) -> None:
    await book.record(later(1, 1))
    await book.record(says(2, ONE, await give(numbers, ONE)))
    await _older(superuser, ONE, 1)
    await book.record(later(1, 1, TWO))
    await book.record(says(2, TWO, await give(numbers, TWO)))
    # Recorded it is; the case hears that it has no number any more.
    assert (await book.record(says(2, ONE, "2026-03-0001"))).number is None
    assert await Restored(book.database).clashes() == ["quality number 2026-03-0001: quality:Q-2, quality:Q-1"]
    await book.record(later(3, 3))
    other = await give(numbers, ONE)
    assert other == await give(numbers, ONE) == "2026-03-0002"
    assert (await book.record(says(4, ONE, other))).number == other
    assert (await book.verify()).ok


async def _older(connection: asyncpg.Connection, case_id: str, head: int) -> None:
    """Make the casebook as an earlier dump has it, of before any number was given."""
    await restored(connection, case_id, head)
    await behind_the_back(
        connection,
        "DELETE FROM case_number",
        "DELETE FROM case_number_given",
        f"UPDATE case_file SET number = NULL, view = view || '{{\"number\": null}}' WHERE case_id = '{case_id}'",
    )


async def test_the_audit_finds_a_gap_and_a_number_that_two_have(
    book: Book, numbers: Numbers, superuser: asyncpg.Connection
) -> None:
    for case_id in (ONE, TWO):
        await book.record(later(1, 1, case_id))
        await book.record(says(2, case_id, await give(numbers, case_id)))
    await superuser.execute("UPDATE case_number SET serial = 3")
    assert "quality 2026-03-0003 is gone" in str((await book.verify()).fault)
    await superuser.execute("UPDATE case_number SET serial = 1")
    assert "2026-03-0002 was never given" in str((await book.verify()).fault)
    await superuser.execute("UPDATE case_number SET serial = 2")
    await superuser.execute("DROP INDEX case_file_number")
    try:
        await superuser.execute("UPDATE case_file SET number = '2026-03-0001'")
        assert "quality 2026-03-0001 was given to another case too" in str((await book.verify()).fault)
    finally:
        await superuser.execute(f"UPDATE case_file SET number = '2026-03-0002' WHERE case_id = '{TWO}'")
        await superuser.execute("CREATE UNIQUE INDEX case_file_number ON case_file (number, kind)")
    assert (await book.verify()).ok


async def test_the_writer_changes_no_number_and_gives_one_only_to_who_waits_for_it(
    book: Book, numbers: Numbers, superuser: asyncpg.Connection
) -> None:
    await book.record(batch(1, 1))
    await book.record(later(1, 1))
    await book.record(says(2, ONE, await give(numbers, ONE)))
    async with book.database.connection() as connection:
        for case_id, number in (("complaint:C-1", "2026-03-0001"), (ONE, "2026-03-0001")):
            assert await connection.fetchval("SELECT case_file_number($1, 2026, 3, 9)", case_id) == number
        with pytest.raises(Exception, match="permission denied"):
            await connection.execute("UPDATE case_file SET number = 'x'")


async def test_a_checkpoint_of_before_stays_true_when_the_number_comes(
    book: Book, numbers: Numbers, superuser: asyncpg.Connection, tmp_path: Path
) -> None:
    """The number is signed with the event that says it."""
    record = Record(book, new_key(tmp_path / "key.pem"), tmp_path, superuser)
    await book.record(later(1, 1))
    [first] = await record.checkpoint()
    await book.record(says(2, ONE, await give(numbers, ONE)))
    assert await record.faults() == []
    [second] = await record.checkpoint()
    assert await record.faults() == []
    assert (first.checkpoint.cases, second.checkpoint.cases) == (1, 1)
    assert json.loads(await prove(book.database, record.keys, ONE))["number"] == "-"
    # Whoever takes the mark away is found out.
    await superuser.execute("UPDATE case_file SET numbered_later = false")
    assert await record.faults() == [(ONE, 1, "renumbered")]


async def test_what_is_told_of_an_event_stays_the_same(book: Book, numbers: Numbers) -> None:
    await book.record(later(1, 1))
    feed = Feed(book.database)
    assert [one.number for one in await feed.after(None, 10)] == [""]
    await book.record(says(2, ONE, await give(numbers, ONE)))
    assert [one.number for one in await feed.after(None, 10)] == ["", "2026-03-0001"]
