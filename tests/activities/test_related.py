"""Cases of a parcel, a customer, a phone or an order; and drafts of filings."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from activities.access.access_log import AccessLog
from activities.casebook.related import Clues, Related
from activities.database.errors import StatementFailed
from activities.database.migrate import migrate
from activities.desk.drafts import Draft, FilingDrafts
from tests.activities.ledger import behind_the_back
from tests.activities.test_audit_everything import COMPLAINT, SHIPMENT, record
from tests.casebook import Book
from tests.postgres import Cluster

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
PHONE = "13800000000"


def facts(waybill: str = "SF1", unit: str = "north", **customer: str) -> dict[str, Any]:
    """The facts of a complaint."""
    return {"category": "delay", "unit": unit, "shipment": {**SHIPMENT, "waybill": waybill}, "customer": customer}


async def found(book: Book, clues: Clues, units: frozenset[str] | None = None, **more: Any) -> list[str]:
    cases = await Related(book.database).find(clues, units=units, kinds=None, caller="ann-7", role="agent", **more)
    return [one.view["id"] for one in cases]


# --- the hash of a phone ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "138 0000 0000",
        "+86 138-0000-0000",
        "0086-13800000000",
        "86 13800000000",
        "１３８００００００００",
        "（138）0000 0000",
    ],
)
async def test_a_number_is_the_same_however_it_is_written(book: Book, typed: str) -> None:
    await record(book, "complaint", "A", COMPLAINT, facts=facts(phone=PHONE))
    await record(book, "complaint", "B", COMPLAINT, facts=facts("SF2", phone="13800000001"))
    assert await found(book, Clues(phone=typed)) == ["complaint:A"]


async def test_a_landline_has_its_area_with_or_without_what_is_only_dialled(
    book: Book, superuser: asyncpg.Connection
) -> None:
    same = ["010-6200 1000", "+86 10 6200 1000", "+86 010 6200 1000", "1062001000"]
    assert len({await superuser.fetchval("SELECT phone_hash($1)", one) for one in same}) == 1
    for none in ("", "no number", "8001", None):
        assert await superuser.fetchval("SELECT phone_hash($1)", none) is None


async def test_the_hash_needs_a_key_that_the_program_cannot_read(book: Book, superuser: asyncpg.Connection) -> None:
    await record(book, "complaint", "A", COMPLAINT, facts=facts(phone="+86 138 0000 0000"))
    stored = await superuser.fetchval("SELECT phone_hash FROM personal")
    pad = await superuser.fetchval("SELECT inner_pad FROM phone_key")
    key = bytes(byte ^ 0x36 for byte in pad[:32])
    assert stored == hmac.digest(key, PHONE.encode(), hashlib.sha256)
    assert stored != hashlib.sha256(PHONE.encode()).digest()
    with pytest.raises(StatementFailed):
        async with book.database.connection() as connection:
            await connection.fetchrow("SELECT inner_pad FROM phone_key")


async def test_each_database_has_a_key_of_its_own_and_numbers_of_before_are_found(postgres: Cluster) -> None:
    hashes = []
    for _ in range(2):
        dsn = await postgres.fresh_database()
        await migrate(dsn, "0020")
        connection = await asyncpg.connect(dsn)
        await behind_the_back(
            connection,
            """INSERT INTO personal (case_id, facts, erased_at) VALUES
               ('complaint:old', '{"customer": {"phone": "138-0000-0000"}}', NULL),
               ('complaint:none', '{"customer": {"name": "x"}}', NULL), ('complaint:gone', NULL, now())""",
        )
        await migrate(dsn)
        rows = await connection.fetch("SELECT case_id, phone_hash FROM personal WHERE phone_hash IS NOT NULL")
        assert [row["case_id"] for row in rows] == ["complaint:old"]
        assert await connection.fetchval("SELECT phone_hash($1)", PHONE) == rows[0]["phone_hash"]
        hashes.append(rows[0]["phone_hash"])
        await connection.close()
    assert hashes[0] != hashes[1]


# --- finding -------------------------------------------------------------------------------------------


async def test_any_clue_leads_to_a_case_and_what_may_not_be_seen_is_not_there(book: Book) -> None:
    await record(book, "complaint", "A", COMPLAINT, facts=facts("SF-1", phone=PHONE))
    await record(book, "complaint", "B", COMPLAINT, facts=facts("SF-2", "east", ref="C-9"))
    await record(book, "complaint", "C", COMPLAINT, facts=facts("sf-1", ref="C-9"))
    assert await found(book, Clues(waybill="Sf-1")) == ["complaint:A", "complaint:C"]
    assert await found(book, Clues(ref="C-9")) == ["complaint:B", "complaint:C"]
    assert await found(book, Clues(ref="C-9"), frozenset({"north"})) == ["complaint:C"]
    assert await found(book, Clues(waybill="SF-1", ref="C-9"), limit=1) == ["complaint:A"]
    assert await found(book, Clues()) == []
    everything = await Related(book.database).find(
        Clues(waybill="SF-1", ref="C-9"), units=None, kinds=None, caller="ann-7", role="agent"
    )
    assert {one.view["id"]: one.why for one in everything} == {
        "complaint:A": ("waybill",), "complaint:B": ("ref",), "complaint:C": ("ref", "waybill"),
    }  # fmt: skip


async def test_only_a_look_by_a_number_or_an_address_is_logged_with_the_cases_that_were_shown(
    book: Book, superuser: asyncpg.Connection
) -> None:
    await record(book, "complaint", "A", COMPLAINT, facts=facts(phone=PHONE))
    await record(book, "complaint", "B", COMPLAINT, facts=facts("SF2", "east", phone=PHONE))
    north = frozenset({"north"})
    await found(book, Clues(waybill="SF1"), north)
    await found(book, Clues(phone=PHONE), north, log=False)
    assert await superuser.fetchval("SELECT count(*) FROM personal_look") == 0
    await found(book, Clues(phone=PHONE, waybill="SF1"), north)
    # Whoever tries numbers is seen to have done so.
    await found(book, Clues(phone="13999999999"), north)
    rows = await superuser.fetch("SELECT case_id, caller, role, masked, by_phone FROM personal_look ORDER BY id")
    assert [tuple(row) for row in rows] == [
        ("complaint:A", "ann-7", "agent", True, True), ("", "ann-7", "agent", True, True),
    ]  # fmt: skip
    # So is whoever finds somebody by their mail address; one that is still being typed finds nobody.
    await record(book, "complaint", "C", COMPLAINT, facts=facts("SF3", email="Lin@example.org"))
    assert await found(book, Clues(email="lin@example.org"), north) == ["complaint:C"]
    assert await found(book, Clues(email="lin@examp"), north) == []
    assert len(await AccessLog(book.database).looks("complaint:C")) == 1
    assert await superuser.fetchval("SELECT count(*) FROM personal_look") == 3
    assert [one["by_phone"] for one in await AccessLog(book.database).looks("complaint:A")] == [True]


async def test_a_look_holds_for_a_sitting_and_a_person(book: Book) -> None:
    await record(book, "complaint", "A", COMPLAINT, facts=facts(phone=PHONE))
    log, one, other = AccessLog(book.database), b"1" * 32, b"2" * 32
    assert await log.again("complaint:A", "ann-7", masked=False, sitting=one) is None
    for _ in range(2):
        seen, _ = await log.look("complaint:A", "ann-7", "agent", masked=False, sitting=one)
        assert seen["customer"] == {"phone": PHONE}
    assert len(await log.looks("complaint:A")) == 1
    assert await log.again("complaint:A", "ann-7", masked=False, sitting=one) == (seen, False)
    assert await log.again("complaint:A", "ann-7", masked=True, sitting=one) is None
    assert await log.again("complaint:A", "ann-7", masked=False, sitting=other) is None
    assert await log.again("complaint:A", "cai-4", masked=False, sitting=one) is None
    # Elsewhere each look is one.
    for _ in range(2):
        await log.look("complaint:A", "ann-7", "agent", masked=False)
    assert len(await log.looks("complaint:A")) == 3


# --- drafts --------------------------------------------------------------------------------------------


def draft(key: str = "C-1", **typed: str) -> Draft:
    """A draft of a complaint."""
    return Draft(key, "complaint", NOW, {name: [value] for name, value in typed.items()})


async def test_a_draft_is_its_persons_alone_and_never_comes_back(book: Book) -> None:
    drafts = FilingDrafts(book.database)
    assert await drafts.save("ann-7", draft(description="a"), None, PHONE) is True
    # The same number is no new one, however it is written; another one is.
    assert await drafts.save("ann-7", draft(description="ab"), None, "+86 138 0000 0000") is False
    assert await drafts.save("ann-7", draft(description="ab"), None, "13900000000") is True
    assert await drafts.save("ann-7", draft(**{"customer.email": "Lin@example.org"}), None, "13900000000") is True
    assert await drafts.save("ann-7", draft(**{"customer.email": "lin@example.org"}), None, "13900000000") is False
    assert await drafts.save("ann-7", draft(description="ab"), None, "13900000000") is False
    assert await drafts.save("cai-4", draft(description="stolen"), None, None) is False
    [kept] = await drafts.of("ann-7")
    assert (kept.key, kept.began_at, dict(kept.typed)) == ("C-1", NOW, {"description": ["ab"]})
    assert await drafts.one("ann-7", "C-1") == kept
    assert await drafts.one("cai-4", "C-1") is None
    await drafts.end("cai-4", "C-1", "complaint", NOW)
    assert await drafts.of("ann-7") == [kept]
    await drafts.end("ann-7", "C-1", "complaint", NOW)
    assert await drafts.save("ann-7", draft(description="late"), None, PHONE) is False
    assert await drafts.of("ann-7") == []


async def test_a_draft_is_gone_after_a_week(book: Book, superuser: asyncpg.Connection) -> None:
    drafts = FilingDrafts(book.database)
    for key, age in (("C-1", "7 days"), ("C-2", "6 days 23 hours")):
        await drafts.save("ann-7", draft(key, description="x"), None, None)
        await superuser.execute(f"UPDATE draft SET changed_at = now() - interval '{age}' WHERE key = $1", key)
    # Also before anybody has swept it away.
    assert [one.key for one in await drafts.of("ann-7")] == ["C-2"]
    await drafts.forget()
    assert [row["key"] for row in await superuser.fetch("SELECT key FROM draft")] == ["C-2"]
