"""The casebook on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_exception
from typing import Any

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.casebook.errors import BadBatch, LedgerBehind, LedgerConflict
from activities.database.errors import BadDatabaseAddress, DatabaseAway, MigrationFailed, StatementFailed
from activities.database.migrate import migrate
from activities.messages import Batch, Recorded
from tests.activities.ledger import CASE, MARCH, RUN, batch, behind_the_back, event, view_of
from tests.casebook import Book, open_book
from tests.postgres import Cluster, cluster

MIGRATIONS = Path(__file__).parents[2] / "activities" / "database" / "migrations" / "versions"


# --- recording ------------------------------------------------------------------------------------


async def test_a_case_is_recorded_with_number_chain_and_view(book: Book, superuser: asyncpg.Connection) -> None:
    assert await book.record(batch(1, 2)) == Recorded("2026-03-0001", 2)
    assert await book.record(batch(3, 3, status="closed", closed_at=MARCH, next_due=None)) == Recorded(
        "2026-03-0001", 3
    )

    assert [e["seq"] for e in await book.events(CASE)] == [1, 2, 3]
    assert (await book.events(CASE))[2] == event(3, text="x")
    view = await book.case(CASE)
    assert view == view_of(CASE, number="2026-03-0001", status="closed", closed_at=MARCH, next_due=None)
    rows = await superuser.fetch("SELECT * FROM case_event ORDER BY seq")
    previous = hashlib.sha256(CASE.encode()).digest()
    for row in rows:
        assert row["prev_hash"] == previous
        assert row["hash"] == hashlib.sha256(previous + row["body"].encode()).digest()
        assert row["at"] == datetime.fromisoformat(MARCH)
        previous = row["hash"]
    file = await superuser.fetchrow("SELECT * FROM case_file")
    assert (file["head_seq"], file["head_hash"]) == (3, previous)
    assert (file["kind"], file["number"], file["holder"], file["unit"]) == (
        "complaint",
        "2026-03-0001",
        "agent-7",
        "HZ-01",
    )
    assert file["closed_at"] == datetime.fromisoformat(MARCH)
    assert file["next_due"] is None
    assert (await book.verify()).ok


async def test_a_view_may_lack_what_the_columns_show(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(Batch(CASE, "complaint", [event(1)], {}, RUN))
    file = await superuser.fetchrow("SELECT * FROM case_file")
    assert (file["status"], file["breached"], file["opened_at"]) == (None, [], datetime.fromisoformat(MARCH))


async def test_it_is_an_activity(book: Book) -> None:
    answer = await ActivityEnvironment().run(book.record, batch(1, 1))
    assert answer == Recorded("2026-03-0001", 1)


async def test_a_repeat_changes_nothing(book: Book) -> None:
    await book.record(batch(1, 2))
    await book.record(batch(3, 4, status="resolved"))
    assert await book.record(batch(1, 2)) == Recorded("2026-03-0001", 4)
    assert await book.record(batch(3, 4)) == Recorded("2026-03-0001", 4)
    view = await book.case(CASE)
    assert view is not None
    assert view["status"] == "resolved"
    assert len(await book.events(CASE)) == 4


async def test_a_batch_that_overlaps_appends_only_what_is_new(book: Book) -> None:
    await book.record(batch(1, 3))
    assert await book.record(batch(1, 5)) == Recorded("2026-03-0001", 5)
    assert await book.record(batch(4, 7)) == Recorded("2026-03-0001", 7)
    assert [e["seq"] for e in await book.events(CASE)] == [1, 2, 3, 4, 5, 6, 7]
    assert (await book.verify()).ok


@pytest.mark.parametrize(("first", "last"), [(1, 1), (2, 3), (1, 6), (4, 6)])
async def test_other_content_under_the_same_seq_is_refused(book: Book, first: int, last: int) -> None:
    await book.record(batch(1, 4))
    with pytest.raises(LedgerConflict, match=rf": complaint:C-1 seq {first}: another content is recorded") as caught:
        await book.record(batch(first, last, text="y"))
    assert (caught.value.type, caught.value.non_retryable) == ("LedgerConflict", True)
    assert len(await book.events(CASE)) == 4
    assert (await book.verify()).ok


async def test_a_gap_is_refused(book: Book, superuser: asyncpg.Connection) -> None:
    with pytest.raises(LedgerBehind, match="seq 2: the ledger ends at seq 0"):
        await book.record(batch(2, 2))
    await superuser.execute("DELETE FROM casebook_recovery")
    await book.record(batch(1, 2))
    with pytest.raises(LedgerBehind, match="seq 4: the ledger ends at seq 2"):
        await book.record(batch(4, 5))
    assert len(await book.events(CASE)) == 2


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "at least one event"),
        ([event(1), event(3)], "seq 3: seqs are consecutive"),
        ([event(0)], "seq 0: seqs are consecutive and start at 1"),
        ([event(1, at="2026-03-10T09:00:00")], "seq 1: at and recorded_at need an offset"),
        ([{"seq": 1, "type": "noted", "at": MARCH}], r"event 0 of the batch has no usable .*recorded_at \(KeyError\)"),
        ([event(1, at="yesterday")], r"event 0 of the batch has no usable .*\(ValueError\)"),
        ([event(1, text="\ud800")], "seq 1: the event holds half a surrogate pair"),
    ],
)
async def test_what_is_no_run_of_events_is_refused(book: Book, events: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BadBatch, match=message) as caught:
        await book.record(Batch(CASE, "complaint", events, view_of(CASE), RUN))
    assert (caught.value.type, caught.value.non_retryable) == ("BadBatch", True)
    assert await book.case(CASE) is None


@pytest.mark.parametrize(
    ("view", "personal"),
    [
        ({"opened_at": "Zhang San"}, None),
        ({"unit": "Zhang\0San"}, None),
        ({"unit": "Zhang San \ud800"}, None),
        ({}, {"name": "Zhang\0San"}),
    ],
)
async def test_values_that_the_database_cannot_hold_are_refused_and_not_repeated(
    book: Book, view: dict[str, Any], personal: dict[str, Any] | None
) -> None:
    with pytest.raises(BadBatch, match="hold a value that PostgreSQL does not take") as caught:
        await book.record(Batch(CASE, "complaint", [event(1)], view_of(CASE, **view), RUN, personal))
    assert "Zhang" not in "".join(format_exception(caught.value))
    assert await book.case(CASE) is None
    assert (await book.record(batch(1, 1))).number == "2026-03-0001"


async def test_a_nul_is_recorded_as_json_writes_it(book: Book) -> None:
    await book.record(Batch(CASE, "complaint", [event(1, "promised", reply_by="a\0b")], view_of(CASE), RUN))
    assert (await book.events(CASE))[0]["data"] == {"reply_by": "a\0b"}
    assert (await book.verify()).ok


async def test_personal_facts_come_at_the_opening_only(book: Book) -> None:
    with pytest.raises(BadBatch, match="seq 2: personal facts and intake come beside seq 1 only"):
        await book.record(Batch(CASE, "complaint", [event(2)], view_of(CASE), RUN, {"description": "d"}))


async def test_concurrent_appends_of_one_case_keep_one_chain(book: Book) -> None:
    batches = [batch(1, last) for last in range(1, 13) for _ in range(3)]
    answers = await asyncio.gather(*(book.record(each) for each in batches))
    assert {answer.number for answer in answers} == {"2026-03-0001"}
    assert [e["seq"] for e in await book.events(CASE)] == list(range(1, 13))
    assert (await book.verify()).ok
    assert (await book.record(batch(1, 1, "complaint:C-2"))).number == "2026-03-0002"


async def test_of_two_contents_for_one_seq_only_one_is_recorded(book: Book) -> None:
    await book.record(batch(1, 1))
    tries = [book.record(batch(2, 2, text=str(n))) for n in range(8)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert Counter(type(answer) for answer in answers) == {Recorded: 1, LedgerConflict: 7}
    assert (await book.verify()).ok


async def test_two_openings_of_one_case_agree_on_one_number(book: Book, superuser: asyncpg.Connection) -> None:
    answers = await asyncio.gather(*(book.record(batch(1, 2)) for _ in range(8)))
    assert set(answers) == {Recorded("2026-03-0001", 2)}
    assert await superuser.fetchval("SELECT serial FROM case_number") == 1


async def test_the_policy_is_kept_once(book: Book, superuser: asyncpg.Connection) -> None:
    for key in ("C-1", "C-2"):
        case_id = f"complaint:{key}"
        await book.record(Batch(case_id, "complaint", [event(1)], view_of(case_id), RUN, None, '{"name":"default"}'))
    await book.record(
        Batch(CASE, "complaint", [event(2)], view_of(CASE, policy="strict"), RUN, None, '{"name":"strict"}')
    )
    rows = await superuser.fetch("SELECT * FROM policy ORDER BY name")
    assert [(row["name"], row["document"]) for row in rows] == [
        ("default", '{"name":"default"}'),
        ("strict", '{"name":"strict"}'),
    ]
    assert all(row["hash"] == hashlib.sha256(row["document"].encode()).hexdigest() for row in rows)


async def test_notified_events_become_rows(book: Book, superuser: asyncpg.Connection) -> None:
    attempt = {"recipient": "s-1", "channel": "email", "outcome": "sent", "reason": "", "count": 1}
    told: dict[str, Any] = {
        "notice": "report",
        "of": 1,
        "roles": ["supervisor", "qa_manager"],
        "outcome": "sent",
        "channel": "mail",
        "meant": [{"role": "supervisor", "recipient": "s-1", "why": "on_duty"}],
        "attempts": [attempt],
        "remarks": ["a template does not work"],
    }
    reasons = {"agent": "no address"}
    untold: dict[str, Any] = {"notice": "breach", "of": 2, "roles": ["agent"], "outcome": "no_address"}
    untold["reasons"] = reasons
    await book.record(Batch(CASE, "complaint", [event(1), event(2, "notified", **told)], view_of(CASE), RUN))
    later = Batch(CASE, "complaint", [event(2, "notified", **told), event(3, "notified", **untold)], view_of(CASE), RUN)
    await book.record(later)
    await book.record(later)
    rows = await superuser.fetch(
        "SELECT case_id, seq, notice, roles, outcome, channel, at, id FROM notification ORDER BY seq"
    )
    at = datetime.fromisoformat(MARCH)
    assert [tuple(row) for row in rows] == [
        (CASE, 2, "report", ["supervisor", "qa_manager"], "sent", "mail", at, f"{CASE}/1/report"),
        (CASE, 3, "breach", ["agent"], "no_address", "", at, f"{CASE}/2/breach"),
    ]
    read = await book.notices(CASE)
    assert [row["seq"] for row in read] == [3, 2]
    assert [row["reasons"] for row in read] == [reasons, {}]
    assert [row["attempts"] for row in read] == [[], [attempt]]
    assert (read[1]["meant"], read[1]["remarks"]) == (told["meant"], told["remarks"])
    assert await book.notices("complaint:other") == []
    assert len(await book.notices(limit=1)) == 1


async def test_notices_of_before_their_attempts_were_kept_get_their_id_and_reasons(postgres: Cluster) -> None:
    address = await postgres.fresh_database()
    await migrate(address)
    old = await asyncpg.connect(address)
    try:
        names = ("id", "meant", "attempts", "reasons", "remarks")
        await old.execute("".join(f"ALTER TABLE notification DROP COLUMN {name};" for name in names))
        await old.execute("DROP INDEX notification_at")
        data = {"notice": "breach", "of": 7, "reasons": {"agent": "no address"}}
        body = json.dumps({"data": data})
        await old.execute(
            "INSERT INTO case_event (case_id, seq, type, at, recorded_at, body, prev_hash, hash)"
            " VALUES ($1, 8, 'notified', now(), now(), $2, $3, $3)",
            CASE, body, b"0" * 32,
        )  # fmt: skip
        await old.execute("INSERT INTO notification VALUES ($1, 8, 'breach', '{agent}', 'no_address', '', now())", CASE)
        await old.execute((MIGRATIONS / "0005_notices.sql").read_text("utf-8"))
        row = await old.fetchrow("SELECT id, reasons::text, attempts::text FROM notification")
        assert tuple(row) == (f"{CASE}/7/breach", '{"agent": "no address"}', "[]")
    finally:
        await old.close()


# --- numbers (S1-5.8) -----------------------------------------------------------------------------


async def test_numbers_have_no_gap_over_kinds_months_and_refusals(book: Book) -> None:
    async def file(case_id: str, at: str) -> str:
        if case_id.endswith("7"):  # An opening that fails must not use up a number.
            with pytest.raises(BadBatch):
                await book.record(batch(1, 1, case_id, at=at, unit="\0"))
        return str((await book.record(batch(1, 1, case_id, at=at))).number)

    wanted = [
        (kind, month, f"{kind}:{month}-{n}")
        for n in range(60)
        for kind in ("complaint", "inquiry")
        for month in ("03", "04")
    ]
    numbers = await asyncio.gather(*(file(name, f"2026-{month}-10T09:00:00+08:00") for _, month, name in wanted))
    for kind in ("complaint", "inquiry"):
        for month in ("03", "04"):
            given = sorted(number for number, (k, m, _) in zip(numbers, wanted, strict=True) if (k, m) == (kind, month))
            assert given == [f"2026-{month}-{n:04}" for n in range(1, 61)]
    assert (await book.verify()).ok


async def test_the_month_is_the_local_one(book: Book) -> None:
    answer = await book.record(batch(1, 1, at="2026-04-01T00:30:00+08:00"))  # still March in UTC
    assert answer.number == "2026-04-0001"


async def test_the_ten_thousandth_case_of_a_month_has_five_digits(book: Book, superuser: asyncpg.Connection) -> None:
    await superuser.execute("INSERT INTO case_number VALUES ('complaint', 2026, 3, 9999)")
    assert (await book.record(batch(1, 1))).number == "2026-03-10000"


async def test_a_counter_set_back_gives_no_number_twice(book: Book, superuser: asyncpg.Connection) -> None:
    await book.record(batch(1, 1))
    await superuser.execute("DELETE FROM case_number")
    with pytest.raises(StatementFailed, match="case_file_number"):
        await book.record(batch(1, 1, "complaint:C-2"))
    assert await book.case("complaint:C-2") is None


# --- append-only ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "verb"),
    [
        ("UPDATE case_event SET body = '{}' WHERE seq = 1", "UPDATE"),
        ("UPDATE case_event SET body = '{}' WHERE seq = 99", "UPDATE"),
        ("DELETE FROM case_event", "DELETE"),
        ("TRUNCATE case_event", "TRUNCATE"),
        (
            "INSERT INTO case_event SELECT * FROM case_event ON CONFLICT (case_id, seq) DO UPDATE SET type = 'closed'",
            "UPDATE",
        ),
    ],
)
async def test_the_database_refuses_to_change_the_ledger(
    book: Book, superuser: asyncpg.Connection, statement: str, verb: str
) -> None:
    await book.record(batch(1, 2))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"{verb} refused: case_event is append-only"):
        await superuser.execute(statement)
    assert len(await book.events(CASE)) == 2
    assert (await book.verify()).ok


# --- auditing -------------------------------------------------------------------------------------


@pytest.fixture
async def three_cases(book: Book) -> Book:
    """Cases A, B and C of five events each."""
    for key in "ABC":
        await book.record(batch(1, 5, f"complaint:{key}"))
    return book


async def found(book: Book, case_id: str | None = None) -> tuple[str, int, str] | None:
    fault = (await book.verify(case_id)).fault
    return None if fault is None else (fault.case_id, fault.seq, fault.what)


async def test_an_audit_counts_what_it_saw(three_cases: Book) -> None:
    report = await three_cases.verify()
    assert (report.cases, report.events, report.fault, report.ok) == (3, 15, None, True)
    report = await three_cases.verify("complaint:B")
    assert (report.cases, report.events, report.ok) == (1, 5, True)
    report = await three_cases.verify("complaint:nobody")
    assert (report.cases, report.events, report.ok) == (0, 0, True)


@pytest.mark.parametrize("seq", [1, 3, 5])
@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "UPDATE case_event SET body = replace(body, 'agent', 'agenT') WHERE case_id = 'complaint:B' AND seq = {}",
            "changed",
        ),
        ("UPDATE case_event SET type = 'closed' WHERE case_id = 'complaint:B' AND seq = {}", "changed"),
        ("UPDATE case_event SET at = at + interval '1 us' WHERE case_id = 'complaint:B' AND seq = {}", "changed"),
        ("DELETE FROM case_event WHERE case_id = 'complaint:B' AND seq = {}", "removed"),
    ],
    ids=["body", "type", "at", "removed"],
)
async def test_an_audit_names_the_row_changed_or_removed(
    three_cases: Book, superuser: asyncpg.Connection, statement: str, what: str, seq: int
) -> None:
    await behind_the_back(superuser, statement.format(seq), statement.format(seq).replace(":B", ":C"))
    assert await found(three_cases) == ("complaint:B", seq, what)
    assert await found(three_cases, "complaint:B") == ("complaint:B", seq, what)
    assert await found(three_cases, "complaint:A") is None


@pytest.mark.parametrize("seq", [1, 3, 5])
async def test_an_audit_names_the_row_put_in_between(
    three_cases: Book, superuser: asyncpg.Connection, seq: int
) -> None:
    await behind_the_back(
        superuser,
        # In two steps, for a key is checked row by row.
        f"UPDATE case_event SET seq = seq + 1000 WHERE case_id = 'complaint:B' AND seq >= {seq}",
        "UPDATE case_event SET seq = seq - 999 WHERE case_id = 'complaint:B' AND seq > 1000",
        f"INSERT INTO case_event SELECT 'complaint:B', {seq}, type, at, recorded_at, body, prev_hash, hash "
        "FROM case_event WHERE case_id = 'complaint:A' AND seq = 1",
    )
    assert await found(three_cases) == ("complaint:B", seq, "inserted")


async def test_an_audit_names_the_row_put_at_the_end(three_cases: Book, superuser: asyncpg.Connection) -> None:
    # No trigger stands in the way of an INSERT, so no superuser is needed.
    await superuser.execute(
        "INSERT INTO case_event SELECT case_id, 6, type, at, recorded_at, replace(body, '\"seq\":5', '\"seq\":6'), "
        "hash, sha256(hash || convert_to(replace(body, '\"seq\":5', '\"seq\":6'), 'UTF8')) "
        "FROM case_event WHERE case_id = 'complaint:B' AND seq = 5"
    )
    assert await found(three_cases) == ("complaint:B", 6, "inserted")
    with pytest.raises(LedgerConflict, match="holds rows after seq 5, where the case file ends: verify the casebook"):
        await three_cases.record(batch(6, 6, "complaint:B"))


async def test_an_audit_finds_rows_without_file_and_file_without_rows(
    three_cases: Book, superuser: asyncpg.Connection
) -> None:
    await behind_the_back(superuser, "DELETE FROM case_event WHERE case_id = 'complaint:C'")
    assert await found(three_cases) == ("complaint:C", 1, "removed")
    await behind_the_back(superuser, "DELETE FROM case_file WHERE case_id = 'complaint:A'")
    assert await found(three_cases) == ("complaint:A", 1, "inserted")
    assert await found(three_cases, "complaint:C") == ("complaint:C", 1, "removed")
    with pytest.raises(LedgerConflict, match="holds rows after seq 0"):
        await three_cases.record(batch(1, 5, "complaint:A"))


async def test_an_audit_finds_another_head(three_cases: Book, superuser: asyncpg.Connection) -> None:
    await superuser.execute("UPDATE case_file SET head_hash = sha256('x') WHERE case_id = 'complaint:B'")
    assert await found(three_cases) == ("complaint:B", 5, "changed")


@pytest.mark.parametrize("key", ["A", "B", "C"])
async def test_an_audit_finds_a_case_gone_as_a_whole(
    three_cases: Book, superuser: asyncpg.Connection, key: str
) -> None:
    await behind_the_back(
        superuser,
        f"DELETE FROM case_event WHERE case_id = 'complaint:{key}'",
        f"DELETE FROM case_file WHERE case_id = 'complaint:{key}'",
    )
    fault = (await three_cases.verify()).fault
    number = f"2026-03-000{'ABC'.index(key) + 1}"
    assert str(fault) == f"removed: the case with the number complaint {number} is gone"


async def test_an_audit_finds_a_case_with_a_number_never_given(
    three_cases: Book, superuser: asyncpg.Connection
) -> None:
    await superuser.execute("UPDATE case_number SET serial = 2")
    assert await found(three_cases) == ("complaint:C", 1, "inserted")


async def test_an_audit_reads_more_rows_than_it_fetches_at_once(book: Book) -> None:
    await book.record(batch(1, 2500))
    await book.record(batch(1, 1, "complaint:C-2"))
    report = await book.verify()
    assert (report.cases, report.events, report.ok) == (2, 2501, True)


async def test_erasing_personal_facts_keeps_the_chain(book: Book, superuser: asyncpg.Connection) -> None:
    opening = Batch(CASE, "complaint", [event(1)], view_of(CASE), RUN, {"customer": {"name": "张三"}})
    await book.record(opening)
    assert await book.personal(CASE) == {"customer": {"name": "张三"}}
    assert await book.erase_personal(CASE) is True
    assert await book.personal(CASE) is None
    assert await book.erase_personal(CASE) is False
    assert await book.erase_personal("complaint:nobody") is False
    await book.record(opening)  # a late repeat must not bring them back
    assert await book.personal(CASE) is None
    erased_at = await superuser.fetchval("SELECT erased_at FROM personal")
    assert abs((datetime.now(UTC) - erased_at).total_seconds()) < 60
    assert (await book.verify()).ok


# --- reading --------------------------------------------------------------------------------------


async def test_each_kind_counts_by_itself_so_a_number_may_name_two_cases(book: Book) -> None:
    await book.record(batch(1, 1, "inquiry:Q-1"))
    await book.record(batch(1, 1, "complaint:C-1"))
    assert [view["id"] for view in await book.by_number("2026-03-0001")] == ["complaint:C-1", "inquiry:Q-1"]
    assert [view["id"] for view in await book.by_number("2026-03-0001", "inquiry")] == ["inquiry:Q-1"]
    assert await book.by_number("2026-03-0002") == []


async def test_an_unknown_case_is_nothing(book: Book) -> None:
    assert await book.case("complaint:nobody") is None
    assert await book.events("complaint:nobody") == []
    assert await book.personal("complaint:nobody") is None


# --- a database that is away ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def frail() -> Iterator[Cluster]:
    """A cluster of their own for the tests that stop it."""
    with cluster() as made:
        yield made


@pytest.mark.long
@pytest.mark.parametrize("end", ["fast", "immediate", "kill"])
async def test_an_outage_is_told_and_outlived(frail: Cluster, end: str) -> None:
    address = await frail.fresh_database()
    await migrate(address)
    async with open_book(address.replace("postgres@", "postgres:geheim@"), connections=4) as book:
        await asyncio.gather(*(book.record(batch(1, 1, f"complaint:{n}")) for n in range(8)))
        frail.kill() if end == "kill" else frail.stop(end)
        for call in (book.record(batch(2, 2, "complaint:0")), book.case("complaint:0"), book.verify()):
            with pytest.raises(DatabaseAway, match="does not serve at the moment") as caught:
                await call
            error: ApplicationError = caught.value
            assert (error.type, error.non_retryable) == ("DatabaseAway", False)
            assert "geheim" not in "".join(format_exception(error))
        with pytest.raises(DatabaseAway):
            await migrate(address)
        frail.start()
        answers = await asyncio.gather(*(book.record(batch(2, 2, f"complaint:{n}")) for n in range(8)))
        assert {answer.head_seq for answer in answers} == {2}
        assert (await book.verify()).ok


@pytest.mark.long
async def test_the_server_going_down_under_load_loses_and_doubles_nothing(frail: Cluster) -> None:
    address = await frail.fresh_database()
    await migrate(address)
    steps = 12
    outages = Counter[str]()

    async def life(book: Book, case_id: str) -> None:
        for seq in range(1, steps + 1):
            while True:
                try:
                    await book.record(batch(seq, seq, case_id))
                    break
                except DatabaseAway as error:
                    outages[str(error)] += 1
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.02)

    async with open_book(address, connections=8) as book:
        lives = asyncio.gather(*(life(book, f"complaint:{n}") for n in range(40)))
        for _ in range(2):
            await asyncio.sleep(0.15)
            await asyncio.to_thread(frail.kill)
            await asyncio.to_thread(frail.start)
        await lives
        assert outages
        report = await book.verify()
        assert (report.cases, report.events, report.fault) == (40, 40 * steps, None)


async def test_a_casebook_opens_while_the_database_is_away(frail: Cluster) -> None:
    address = await frail.fresh_database()
    await migrate(address)
    frail.stop()
    async with open_book(address) as book:
        with pytest.raises(DatabaseAway):
            await book.record(batch(1, 1))
        frail.start()
        assert await book.record(batch(1, 1)) == Recorded("2026-03-0001", 1)


async def test_closing_does_not_wait_for_ever(
    dsn: str, monkeypatch: pytest.MonkeyPatch, superuser: asyncpg.Connection
) -> None:
    monkeypatch.setattr("activities.database.database.CLOSE_TIMEOUT", 0.2)
    async with superuser.transaction():
        await superuser.execute("LOCK TABLE case_event")
        async with open_book(dsn) as closing:
            stuck = asyncio.create_task(closing.events(CASE))
            await asyncio.sleep(0.2)
        with pytest.raises(DatabaseAway):
            await stuck


async def test_a_busy_database_is_away(
    book: Book, dsn: str, monkeypatch: pytest.MonkeyPatch, superuser: asyncpg.Connection
) -> None:
    await book.record(batch(1, 1))
    monkeypatch.setattr("activities.database.database.STATEMENT_TIMEOUT", 1)
    async with open_book(dsn) as impatient:
        async with superuser.transaction():
            await superuser.execute("LOCK TABLE case_file")
            with pytest.raises(DatabaseAway, match="QueryCanceledError"):
                await impatient.record(batch(2, 2))
        assert await impatient.record(batch(2, 2)) == Recorded("2026-03-0001", 2)


async def test_no_free_connection_in_time_is_away(
    book: Book, dsn: str, monkeypatch: pytest.MonkeyPatch, superuser: asyncpg.Connection
) -> None:
    monkeypatch.setattr("activities.database.database.ACQUIRE_TIMEOUT", 0.2)
    async with open_book(dsn, connections=1) as narrow, superuser.transaction():
        await superuser.execute("LOCK TABLE case_event")
        holding = asyncio.create_task(narrow.events(CASE))
        await asyncio.sleep(0.1)
        with pytest.raises(DatabaseAway, match="TimeoutError"):
            await narrow.case(CASE)
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding


async def test_a_database_without_the_tables_says_what_to_do(postgres: Cluster) -> None:
    async with open_book(await postgres.fresh_database()) as book:
        with pytest.raises(DatabaseAway, match="run `caseladder migrate`"):
            await book.record(batch(1, 1))


async def test_a_missing_database_and_a_refused_user_are_told_apart(postgres: Cluster) -> None:
    async with open_book(postgres.dsn("nowhere")) as book:
        with pytest.raises(DatabaseAway, match="named in the address does not exist"):
            await book.case(CASE)
    async with open_book(postgres.dsn(user="nobody")) as book:
        with pytest.raises(DatabaseAway, match="refuses the user or the password"):
            await book.case(CASE)


async def test_a_failed_statement_does_not_quote_the_row(book: Book, superuser: asyncpg.Connection) -> None:
    opening = Batch(CASE, "complaint", [event(1)], view_of(CASE), RUN, {"name": "Zhang San"})
    await superuser.execute("ALTER TABLE personal ADD CONSTRAINT short CHECK (length(facts::text) < 5)")
    try:
        with pytest.raises(StatementFailed, match=r"\(CheckViolationError, 23514, personal, short\)") as caught:
            await book.record(opening)
    finally:
        await superuser.execute("ALTER TABLE personal DROP CONSTRAINT short")
    assert "Zhang" not in "".join(format_exception(caught.value))
    assert await book.case(CASE) is None


# --- addresses and migrations ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "it has no '://'"),
        ("geheim", "it has no '://'"),
        ("mysql://u:geheim@h/d", "it has 'mysql' in front of '://', allowed is postgresql"),
        ("postgresql://u:geheim@h", "it names no database"),
        ("postgresql://u:geheim@h/", "it names no database"),
        ("postgresql:///d", "it names no host"),
        ("postgresql://u:geheim@h:0/d", "its port is 0"),
        ("postgresql://u:geheim@h:99999/d", "has a port that is no number from 0 to 65535"),
        ("postgresql://u:geheim@h:x/d", "has a port that is no number from 0 to 65535"),
    ],
)
async def test_a_bad_address_is_told_without_repeating_it(address: str, message: str) -> None:
    with pytest.raises(BadDatabaseAddress, match=message) as caught:
        await migrate(address)
    assert "geheim" not in str(caught.value)
    with pytest.raises(BadDatabaseAddress, match=message):
        async with open_book(address):
            pass


async def test_migrating_twice_and_at_once_is_fine(postgres: Cluster) -> None:
    address = await postgres.fresh_database()
    await asyncio.gather(migrate(address), migrate(address))
    async with open_book(address) as book:
        await book.record(batch(1, 1))
        await migrate(address)
        assert len(await book.events(CASE)) == 1


async def test_a_database_with_another_encoding_is_refused(postgres: Cluster) -> None:
    address = await postgres.fresh_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(MigrationFailed, match="encoding LATIN1, allowed is UTF8"):
        await migrate(address)


async def test_a_user_who_may_not_create_tables_is_told_so(postgres: Cluster) -> None:
    address = await postgres.fresh_database()
    connection = await asyncpg.connect(address)
    await connection.execute("CREATE ROLE reader LOGIN")
    await connection.close()
    with pytest.raises(MigrationFailed, match="permission denied for schema public"):
        await migrate(address.replace("postgres@", "reader@"))


async def test_a_failed_migration_leaves_nothing_behind(postgres: Cluster) -> None:
    address = await postgres.fresh_database()
    connection = await asyncpg.connect(address)
    await connection.execute("CREATE TABLE notification ()")
    with pytest.raises(MigrationFailed, match='"notification" already exists'):
        await migrate(address)
    names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.execute("DROP TABLE notification")
    await connection.close()
    assert [row["tablename"] for row in names] == ["notification"]
    await migrate(address)


# --- speed ----------------------------------------------------------------------------------------


@pytest.mark.long
async def test_how_many_batches_a_second(book: Book) -> None:
    started = time.perf_counter()

    async def life(n: int) -> None:
        for step in range(5):
            await book.record(batch(3 * step + 1, 3 * step + 3, f"complaint:{n}"))

    await asyncio.gather(*(life(n) for n in range(100)))
    seconds = time.perf_counter() - started
    print(f"\n500 batches of 3 events, 10 connections: {500 / seconds:.0f} a second")
    assert (await book.verify()).events == 1500
