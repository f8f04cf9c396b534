"""One parcel, one claim: what the casebook finds, and the payment that looks once more under a lock."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import asyncpg
import pytest

from activities.casebook.parcel import Parcels
from activities.messages import CallOrder, PayoutOrder
from activities.payouts import Payouts
from activities.payouts.ledger import LedgerGateway
from cases.kinds.claim import Claim
from cases.kinds.inquiry import Inquiry
from cases.vocabulary.facts import read_intake
from cases.vocabulary.parcels import Found
from tests.activities.ledger import behind_the_back, somebody_waits
from tests.activities.test_payouts import attempt
from tests.activities.test_search import opened, record
from tests.casebook import Book
from tests.core.support import AGENT, CUSTOMER, at, default_policy, do

DAY = "03-05"
PARCEL = {"waybill": "YT-9", "posted_on": "2026-03-01", "base_freight": "20.00", "weight_kg": "0.8"}


def claim(key: str, waybill: str = "YT-9") -> Claim:
    """A claim on a parcel."""
    made = opened("claim", key, f"{DAY} 09:00:00", shipment={**PARCEL, "waybill": waybill})
    assert isinstance(made, Claim)
    return made


def agreed(key: str, waybill: str = "YT-9") -> Claim:
    """A claim whose money is asked for."""
    case = claim(key, waybill)
    do(case, f"{DAY} 10:00:00", "assess", AGENT, cause="company")
    do(case, f"{DAY} 10:01:00", "offer", AGENT)
    do(case, f"{DAY} 10:02:00", "accept_offer", CUSTOMER)
    return case


async def look(book: Book, waybill: str = "YT-9", but: str = "claim:new") -> Found:
    """What the activity finds."""
    order = CallOrder(but, {"waybill": waybill}, 1, at(f"{DAY} 09:00:00").isoformat(), "")
    return Found.model_validate(await Parcels(book.database).look_up(order))


def order(case: Claim, **changes: Any) -> PayoutOrder:
    """The order of a claim's money."""
    [payment] = [one for one in case.outbox if one.effect == "payment"]
    case_id = f"claim:{case.key}"
    made = PayoutOrder(case_id, f"{case_id}/payout", f"{payment.amount:.2f}", "run-1", payment.seq,
                       waybill=payment.waybill, cleared=list(payment.cleared))  # fmt: skip
    return dataclasses.replace(made, **changes)


@pytest.fixture
async def payouts(book: Book, superuser: asyncpg.Connection) -> Payouts:
    await behind_the_back(superuser, "TRUNCATE payout, payout_booking, case_search")
    return Payouts(book.database, LedgerGateway(book.database))


async def test_it_finds_what_is_open_agreed_or_paid_and_not_what_came_to_nothing(
    book: Book, superuser: asyncpg.Connection
) -> None:
    await behind_the_back(superuser, "TRUNCATE case_search")
    paid = agreed("c-paid")
    paid.payout_made("BANK-1", at(f"{DAY} 10:03:00"))
    withdrawn = claim("d-withdrawn")
    do(withdrawn, f"{DAY} 10:00:00", "withdraw", CUSTOMER)
    said = {"key": "q-1", "received_at": at(f"{DAY} 09:00:00").isoformat()}
    parcel = {"waybill": "YT-9", "posted_on": "2026-03-01"}
    inquiry = Inquiry.open(
        read_intake(Inquiry.INTAKE, {**said, "facts": {"shipment": parcel}}), default_policy(), at(f"{DAY} 09:30:00")
    )
    complaint = opened("complaint", "x-1", f"{DAY} 09:00:00", shipment=PARCEL)
    await record(
        book, claim("a-open"), agreed("b-agreed"), paid, withdrawn, claim("e-other", "YT-10"), inquiry, complaint
    )
    found = await look(book)
    assert [(one.case, one.state) for one in found.claims] == [
        ("claim:a-open", "open"), ("claim:b-agreed", "agreed"), ("claim:c-paid", "paid"),
    ]  # fmt: skip
    # When it was recorded, whatever its receipt is said to have been.
    assert [(one.case, one.recorded_at) for one in found.inquiries] == [("inquiry:q-1", at(f"{DAY} 09:30:00"))]
    # However somebody wrote it, and without the case that asks.
    assert await look(book, "yt-9") == found
    assert [one.case for one in (await look(book, but="claim:a-open")).claims] == ["claim:b-agreed", "claim:c-paid"]
    assert await look(book, "YT-11") == Found()


async def test_of_two_claims_on_a_parcel_one_is_paid(book: Book, payouts: Payouts) -> None:
    first, second = agreed("a"), agreed("b", "yt-9")
    await record(book, first, second)
    one, other = await asyncio.gather(attempt(payouts, order(first)), attempt(payouts, order(second)))
    assert sorted((one.state, other.state)) == ["blocked", "paid"]
    [blocked] = [answer for answer in (one, other) if answer.state == "blocked"]
    winner = "claim:a" if one.state == "paid" else "claim:b"
    # The other may have been paid by then, or be under way.
    [other_claim] = Found.model_validate(blocked.found).claims
    assert (other_claim.case, other_claim.state in ("agreed", "paid")) == (winner, True)
    async with book.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM payout") == 1
        assert await connection.fetchval("SELECT count(*) FROM payout_booking") == 1


async def test_whoever_orders_for_a_parcel_waits_for_who_came_first(
    book: Book, payouts: Payouts, superuser: asyncpg.Connection
) -> None:
    first, second = agreed("a"), agreed("b")
    await record(book, first, second)
    async with superuser.transaction():
        await superuser.execute("SELECT pg_advisory_xact_lock(hashtextextended('parcel ' || 'YT-9', 0))")
        late = asyncio.create_task(attempt(payouts, order(second)))
        await somebody_waits(superuser)
        assert not late.done()
    assert (await late).state == "paid"
    assert (await attempt(payouts, order(first))).state == "blocked"


async def test_what_somebody_looked_at_is_paid_and_so_is_a_repeat(book: Book, payouts: Payouts) -> None:
    first, second = agreed("a"), agreed("b")
    await record(book, first, second)
    assert (await attempt(payouts, order(first))).state == "paid"
    assert (await attempt(payouts, order(second, cleared=["claim:a"]))).state == "paid"
    # A repeat is answered from the book, whatever came up meanwhile.
    assert (await attempt(payouts, order(first), number=2)).state == "paid"
    async with book.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM payout_booking") == 2
