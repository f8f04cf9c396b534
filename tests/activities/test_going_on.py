"""Who records for a case holds it; a ledger that was restored to an earlier state is found out and recorded again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from activities.casebook.errors import BadBatch, LedgerBehind, Recovering, Superseded
from activities.database.database import statement
from activities.database.errors import StatementFailed
from activities.messages import Batch, Recorded, Request
from activities.payouts.gateway import Payout
from activities.payouts.ledger import LedgerGateway
from activities.payouts.reconcile import reconcile
from tests.activities.ledger import CASE, MARCH, RUN, batch, event, restored, somebody_waits, view_of
from tests.casebook import Book

OTHER = "complaint:C-2"
DIGEST = hashlib.sha256(b"content").hexdigest()


def by(run: str, made: Batch, **more: Any) -> Batch:
    return replace(made, run=run, **more)


def numbered(number: str, made: Batch) -> Batch:
    return replace(made, number=number)


async def recovering(connection: asyncpg.Connection) -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM casebook_recovery)"))


async def given(connection: asyncpg.Connection) -> list[tuple[str, str]]:
    rows = await connection.fetch("SELECT number, case_id FROM case_number_given ORDER BY number, case_id")
    return [(row["number"], row["case_id"]) for row in rows]


# --- whoever records holds ------------------------------------------------------------------------


async def test_whoever_records_first_holds_the_case(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(batch(1, 2))
    assert await superuser.fetchval("SELECT held_by FROM case_file") == RUN
    # Nothing is told to another run, not even that it is right.
    for other in (batch(1, 2), batch(1, 3), batch(3, 3), batch(1, 1, text="y"), batch(9, 9)):
        assert not await recovering(superuser)
        with pytest.raises(Superseded, match="complaint:C-1: another run holds the case") as caught:
            await book.record(by("run-2", other))
        assert (caught.value.type, caught.value.non_retryable) == ("Superseded", True)
    assert len(await book.events(CASE)) == 2
    # It says that more was recorded than there is.
    assert await recovering(superuser)
    assert await book.record(batch(3, 3)) == Recorded("2026-03-0001", 3)


async def test_a_case_of_before_is_held_by_whoever_comes_first(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(batch(1, 2))
    await superuser.execute("UPDATE case_file SET held_by = NULL")
    assert await book.record(by("run-2", batch(3, 3))) == Recorded("2026-03-0001", 3)
    with pytest.raises(Superseded):
        await book.record(batch(4, 4))


async def test_of_two_runs_at_the_same_time_one_records(book: Book) -> None:
    answers = await asyncio.gather(
        *(book.record(by(f"run-{n % 2}", batch(1, 3))) for n in range(8)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Recorded"] * 4 + ["Superseded"] * 4
    assert len(await book.events(CASE)) == 3
    assert (await book.verify()).ok


async def test_a_run_that_was_overtaken_between_looking_and_recording_changes_nothing(
    book: Book, superuser: asyncpg.Connection
) -> None:
    await book.record(batch(1, 2))
    async with superuser.transaction():
        await superuser.execute("UPDATE case_file SET held_by = 'run-2'")
        late = asyncio.create_task(book.record(batch(3, 3)))
        # It has looked, and waits for the row.
        await somebody_waits(superuser)
    with pytest.raises(Superseded):
        await late
    assert len(await book.events(CASE)) == 2


# --- requests and intakes -------------------------------------------------------------------------


async def test_requests_are_kept_beside_the_events_that_they_led_to(book: Book, superuser: asyncpg.Connection) -> None:
    asked = [Request(2, "r-1", DIGEST), Request(3, "r-2", DIGEST)]
    first = replace(batch(1, 3), requests=asked)
    await book.record(first)
    await book.record(first)
    # The last use of an id counts; a run remembers so many only.
    other = hashlib.sha256(b"other").hexdigest()
    again = [Request(3, "r-2", DIGEST), Request(4, "r-3", DIGEST), Request(5, "r-3", other), Request(5, "r-1", other)]
    await book.record(replace(batch(3, 5), requests=again))
    rows = await superuser.fetch("SELECT * FROM case_request ORDER BY request_id")
    assert [(row["case_id"], row["request_id"], row["seq"]) for row in rows] == [
        (CASE, "r-1", 5),
        (CASE, "r-2", 3),
        (CASE, "r-3", 5),
    ]
    for row, digest in zip(rows, (other, DIGEST, other), strict=True):
        assert len(row["salt"]) == 16
        assert row["digest"] == hmac.new(row["salt"], digest.encode(), "sha256").digest()
    assert len({row["salt"] for row in rows}) == 3


@pytest.mark.parametrize("seq", [1, 4])
async def test_a_request_of_no_event_of_the_batch_is_refused(book: Book, seq: int) -> None:
    await book.record(batch(1, 1))
    with pytest.raises(BadBatch, match="seq 2 to 3: a request belongs to one of the events"):
        await book.record(replace(batch(2, 3), requests=[Request(seq, "r", DIGEST)]))


async def test_the_intake_leaves_a_mark_that_is_erased_with_the_personal_facts(
    book: Book, superuser: asyncpg.Connection
) -> None:
    await book.record(replace(batch(1, 1), intake=DIGEST))
    row = await superuser.fetchrow("SELECT * FROM personal")
    assert row["facts"] is None
    assert row["intake_digest"] == hmac.new(row["intake_salt"], DIGEST.encode(), "sha256").digest()
    assert await book.erase_personal(CASE) is True
    row = await superuser.fetchrow("SELECT * FROM personal")
    assert (row["facts"], row["intake_salt"], row["intake_digest"]) == (None, None, None)
    assert row["erased_at"] is not None
    with pytest.raises(BadBatch, match="seq 2: personal facts and intake come beside seq 1 only"):
        await book.record(replace(batch(2, 2), intake=DIGEST))


# --- an older ledger ------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [0, 2])
async def test_a_ledger_that_is_behind_is_found_out(book: Book, superuser: asyncpg.Connection, head: int) -> None:
    await book.record(batch(1, 5))
    await restored(superuser, CASE, head)
    for _ in range(2):
        with pytest.raises(LedgerBehind, match=f"seq 6: the ledger ends at seq {head}") as caught:
            await book.record(batch(6, 6))
        assert (caught.value.type, caught.value.non_retryable) == ("LedgerBehind", True)
        assert caught.value.details == (head,)
    since = await superuser.fetch("SELECT since FROM casebook_recovery")
    assert len(since) == 1
    # Recorded again from the first event on, whatever is there already.
    assert await book.record(numbered("2026-03-0001", batch(1, 6))) == Recorded("2026-03-0001", 6)
    assert (await book.events(CASE))[5] == event(6, text="x")
    assert (await book.verify()).ok
    assert await superuser.fetch("SELECT since FROM casebook_recovery") == since


async def test_new_cases_wait_for_their_number_while_cases_recover(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(batch(1, 1, "complaint:known"))
    await superuser.execute("INSERT INTO casebook_recovery DEFAULT VALUES")
    with pytest.raises(Recovering, match=r"C-1: a new case waits for its number until .*caseladder recover") as caught:
        await book.record(batch(1, 1))
    assert (caught.value.type, caught.value.non_retryable) == ("Recovering", False)
    assert await book.case(CASE) is None
    # A known one goes on, and a repeat of what opened it is answered.
    assert await book.record(batch(1, 1, "complaint:known")) == Recorded("2026-03-0001", 1)
    assert await book.record(batch(1, 3, "complaint:known")) == Recorded("2026-03-0001", 3)
    with pytest.raises(Superseded):
        await book.record(by("run-2", batch(1, 1, "complaint:known")))
    await superuser.execute("DELETE FROM casebook_recovery")
    assert await book.record(batch(1, 1)) == Recorded("2026-03-0002", 1)


async def test_a_known_number_is_taken_over(book: Book, superuser: asyncpg.Connection) -> None:
    await superuser.execute("INSERT INTO casebook_recovery DEFAULT VALUES")
    assert await book.record(numbered("2026-03-0007", batch(1, 1))) == Recorded("2026-03-0007", 1)
    # An earlier one, one of another month than that of its first event, and one of five digits.
    assert (await book.record(numbered("2026-03-0002", batch(1, 1, OTHER)))).number == "2026-03-0002"
    assert (await book.record(numbered("2026-02-0001", batch(1, 1, "complaint:C-3")))).number == "2026-02-0001"
    assert (await book.record(numbered("2026-04-10000", batch(1, 1, "complaint:C-4")))).number == "2026-04-10000"
    serials = await superuser.fetch("SELECT month, serial FROM case_number ORDER BY month")
    assert [tuple(row) for row in serials] == [(2, 1), (3, 7), (4, 10000)]
    view = await book.case(CASE)
    assert view is not None
    assert view["number"] == "2026-03-0007"
    await superuser.execute("DELETE FROM casebook_recovery")
    assert (await book.record(batch(1, 1, "complaint:C-5"))).number == "2026-03-0008"
    assert ("2026-03-0007", CASE) in await given(superuser)


async def test_a_number_that_another_case_has_got_meanwhile_is_given_anew_and_the_clash_stays_known(
    book: Book, superuser: asyncpg.Connection
) -> None:
    await book.record(batch(1, 1, "complaint:first"))
    await book.record(batch(1, 3))
    await restored(superuser, CASE, 0)
    await superuser.execute("UPDATE case_number SET serial = 1")
    await book.record(batch(1, 1, "complaint:after"))
    with pytest.raises(LedgerBehind):
        await book.record(batch(4, 4))
    again = numbered("2026-03-0002", batch(1, 4))
    assert await book.record(again) == Recorded("2026-03-0003", 4)
    assert await book.record(again) == Recorded("2026-03-0003", 4)
    assert await given(superuser) == [
        ("2026-03-0001", "complaint:first"),
        ("2026-03-0002", CASE),
        ("2026-03-0002", "complaint:after"),
        ("2026-03-0003", CASE),
    ]
    assert (await book.verify()).ok


async def test_numbers_are_taken_over_and_given_at_the_same_time(book: Book, superuser: asyncpg.Connection) -> None:
    """Each case gets a number of its own, whoever comes first."""
    answers = await asyncio.gather(
        *(book.record(batch(1, 1, f"complaint:new-{n}")) for n in range(10)),
        *(book.record(numbered(f"2026-03-{n + 1:04}", batch(1, 1, f"complaint:old-{n}"))) for n in range(10)),
    )
    assert len({answer.number for answer in answers}) == 20
    # Known numbers may leave a gap below them, which the audit would tell as a case that is gone.
    highest = max(int(str(answer.number)[-4:]) for answer in answers)
    assert await superuser.fetchval("SELECT serial FROM case_number") == highest


@pytest.mark.parametrize(
    "number", ["", "7", "2026-13-0001", "2026-03-0000", "2026-03-007", "2026-03-00007", "２026-03-0001"]
)
async def test_what_is_no_number_is_refused(book: Book, number: str) -> None:
    with pytest.raises(BadBatch, match=r"number = '.*': allowed is what a case was given"):
        await book.record(numbered(number, batch(1, 1)))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE case_number_given SET number = '1'", "DELETE FROM case_number_given", "TRUNCATE case_number_given"],
)
async def test_numbers_given_are_append_only(book: Book, superuser: asyncpg.Connection, statement: str) -> None:
    await book.record(batch(1, 1))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="case_number_given is append-only"):
        await superuser.execute(statement)


async def test_a_fresh_number_that_is_taken_is_still_an_error(book: Book, superuser: asyncpg.Connection) -> None:
    """Only a known number may clash: any other clash is a fault of the casebook."""
    await book.record(batch(1, 1))
    await superuser.execute("UPDATE case_file SET number = '2026-03-0002'")
    with pytest.raises(StatementFailed, match="case_file_number"):
        await book.record(batch(1, 1, OTHER))


# --- payments -------------------------------------------------------------------------------------

CLAIM = "claim:C-1"
SYSTEM = {"id": "caseladder", "role": "system"}


@pytest.fixture
async def paying(book: Book, superuser: asyncpg.Connection) -> Book:
    """A casebook with empty payout books."""
    await superuser.execute("TRUNCATE payout, payout_booking RESTART IDENTITY")
    return book


def paid(reference: str, case_id: str = CLAIM, actor: dict[str, str] = SYSTEM) -> Batch:
    events = [
        event(1, "acknowledged"),
        event(2, "payout_requested", amount="120.00"),
        {**event(3, "paid", amount="120.00", reference=reference), "actor": actor},
    ]
    return Batch(case_id, "claim", events, view_of(case_id), RUN)


async def payouts(connection: asyncpg.Connection) -> list[tuple[str, str, str, str]]:
    rows = await connection.fetch("SELECT key, state, reference, gateway FROM payout ORDER BY key")
    return [tuple(row) for row in rows]


async def bookings(connection: asyncpg.Connection) -> list[tuple[int, str]]:
    return [tuple(row) for row in await connection.fetch("SELECT number, key FROM payout_booking ORDER BY number")]


async def pay_next(book: Book, case_id: str) -> str:
    at = await LedgerGateway(book.database).pay(
        Payout(f"{case_id}/payout", case_id, Decimal(1), "requested", "", "", None, None, "ledger")  # type: ignore[arg-type]
    )
    return at.reference


async def test_a_booking_that_an_older_book_lacks_is_restored(paying: Book, superuser: asyncpg.Connection) -> None:
    await paying.record(paid("LEDGER-23"))
    assert await bookings(superuser) == [(23, f"{CLAIM}/payout")]
    assert await payouts(superuser) == [(f"{CLAIM}/payout", "paid", "LEDGER-23", "ledger")]
    booked = await superuser.fetchrow("SELECT case_id, amount::text, booked_at::text FROM payout_booking")
    assert tuple(booked) == (CLAIM, "120.00", "2026-03-10 01:00:00+00")
    # An earlier one does not take the counter back.
    await paying.record(paid("LEDGER-7", "claim:C-2"))
    assert [number for number, _ in await bookings(superuser)] == [7, 23]
    assert await pay_next(paying, "claim:C-3") == "LEDGER-24"


async def test_who_raises_the_counter_waits_for_those_who_take_a_number(
    paying: Book, superuser: asyncpg.Connection
) -> None:
    """Else it would set the counter to where it stood when it looked, and a number would be given twice."""
    book = statement("activities.payouts", "payout_book")
    async with superuser.transaction():
        # Who pays has a turn, but not yet a number that others see.
        await superuser.execute(book, "claim:P/payout", "claim:P", Decimal(1), datetime.now(UTC), "")
        late = asyncio.create_task(paying.record(paid("LEDGER-3", "claim:L")))
        await somebody_waits(superuser)
        for _ in range(4):
            await superuser.fetchval("SELECT nextval('payout_booking_number_seq')")
    await late
    assert await pay_next(paying, "claim:A") == "LEDGER-6"


async def test_the_first_booking_of_all_is_restored(paying: Book, superuser: asyncpg.Connection) -> None:
    await paying.record(paid("LEDGER-1"))
    assert await pay_next(paying, "claim:C-2") == "LEDGER-2"


async def test_what_the_book_knows_stays_as_it_is(paying: Book, superuser: asyncpg.Connection) -> None:
    assert await pay_next(paying, CLAIM) == "LEDGER-1"
    await superuser.execute(
        "INSERT INTO payout VALUES ($1, $2, 120, 'paid', 'LEDGER-1', '', now(), now(), 'ledger')",
        f"{CLAIM}/payout",
        CLAIM,
    )
    before = await superuser.fetch("SELECT * FROM payout, payout_booking")
    await paying.record(paid("LEDGER-1"))
    assert await superuser.fetch("SELECT * FROM payout, payout_booking") == before


async def test_an_order_that_an_older_book_has_open_is_settled(paying: Book, superuser: asyncpg.Connection) -> None:
    await superuser.execute(
        "INSERT INTO payout VALUES ($1, $2, 120, 'requested', '', '', now(), NULL, 'ledger')", f"{CLAIM}/payout", CLAIM
    )
    await paying.record(paid("LEDGER-5"))
    assert await payouts(superuser) == [(f"{CLAIM}/payout", "paid", "LEDGER-5", "ledger")]
    assert await bookings(superuser) == [(5, f"{CLAIM}/payout")]
    assert (await reconcile(paying.database, LedgerGateway(paying.database), second_look=0)).ok


async def test_a_reference_given_twice_is_a_difference_and_no_second_booking(
    paying: Book, superuser: asyncpg.Connection
) -> None:
    assert await pay_next(paying, "claim:C-2") == "LEDGER-1"
    await paying.record(paid("LEDGER-1"))
    assert await bookings(superuser) == [(1, "claim:C-2/payout")]
    assert await payouts(superuser) == [(f"{CLAIM}/payout", "paid", "LEDGER-1", "ledger")]
    report = await reconcile(paying.database, LedgerGateway(paying.database), second_look=0)
    assert ("missing_there", CLAIM) in [(one.kind, one.case_id) for one in report.differences]


@pytest.mark.parametrize("reference", ["LEDGER-23", "BANK-7"])
async def test_what_finance_confirmed_is_by_hand(paying: Book, superuser: asyncpg.Connection, reference: str) -> None:
    await paying.record(paid(reference, actor={"id": "f-1", "role": "finance"}))
    assert await payouts(superuser) == [(f"{CLAIM}/by-hand", "paid", reference, "manual")]
    assert await bookings(superuser) == []
    assert await pay_next(paying, "claim:C-2") == "LEDGER-1"


async def test_what_another_gateway_paid_is_restored_without_its_name(
    paying: Book, superuser: asyncpg.Connection
) -> None:
    await paying.record(paid("GW-7"))
    assert await payouts(superuser) == [(f"{CLAIM}/payout", "paid", "GW-7", "")]
    assert await bookings(superuser) == []


async def test_a_reference_of_another_gateway_that_looks_like_ours_is_no_booking(
    paying: Book, superuser: asyncpg.Connection
) -> None:
    await superuser.execute(
        "INSERT INTO payout VALUES ($1, $2, 120, 'requested', '', '', now(), NULL, 'https://pay.example')",
        f"{CLAIM}/payout", CLAIM,
    )  # fmt: skip
    await paying.record(paid("LEDGER-999999999999"))
    assert await payouts(superuser) == [(f"{CLAIM}/payout", "paid", "LEDGER-999999999999", "https://pay.example")]
    assert await bookings(superuser) == []


async def test_a_payment_of_a_case_that_recorded_again_from_the_first_event_on_is_restored(
    paying: Book, superuser: asyncpg.Connection
) -> None:
    await paying.record(paid("LEDGER-1"))
    await restored(superuser, CLAIM, 2)
    await superuser.execute("TRUNCATE payout, payout_booking RESTART IDENTITY")
    later = replace(paid("LEDGER-1"), events=[event(4, at=MARCH, text="x")])
    with pytest.raises(LedgerBehind):
        await paying.record(later)
    whole = replace(later, events=[*paid("LEDGER-1").events, *later.events], number="2026-03-0001")
    assert await paying.record(whole) == Recorded("2026-03-0001", 4)
    assert await bookings(superuser) == [(1, f"{CLAIM}/payout")]
    assert await pay_next(paying, "claim:C-2") == "LEDGER-2"
