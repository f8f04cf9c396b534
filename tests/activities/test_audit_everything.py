"""Verifying everything: real cases of the core, and each thing that is derived from them changed behind their back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from activities.access.access_log import AccessLog
from activities.audit.everything import Everything, Verified
from activities.audit.keys import Keys, new_key
from activities.audit.make import Checkpoints
from activities.database.migrate import migrate
from activities.messages import Batch
from activities.payouts.payees import PayeeDetails, Payees
from activities.policies.store import Policies
from cases.case import Case
from cases.registry import kind_of
from cases.vocabulary.commands import read_command
from cases.vocabulary.facts import read_intake
from tests.activities.forger import rewrite
from tests.activities.ledger import RUN, behind_the_back
from tests.casebook import Book, open_book
from tests.postgres import Cluster

START = datetime.fromisoformat("2026-03-09T09:00:00+08:00")
POLICY = Policies().load("default")
Steps = Sequence[tuple[int, str, str, dict[str, Any]]]
COMPLAINT: Steps = (
    (2, "acknowledge", "agent", {}),
    (20, "reply", "agent", {"stage": "interim", "text": "We are looking for the parcel."}),
)
MORE: Steps = (
    (300, "reply", "agent", {"stage": "answer", "text": "It goes out today."}),
    (1500, "resolve", "agent", {"summary": "delivered"}),
)
CLAIM: Steps = (
    (3, "acknowledge", "agent", {}),
    (60, "answer_claim", "agent", {}),
    (600, "assess", "agent", {"cause": "company"}),
    (640, "offer", "agent", {}),
    (650, "approve", "supervisor", {}),
    (3000, "accept_offer", "customer", {}),
)
STATEMENT: Steps = (
    (3, "sign", "agent", {"text": "as billed"}),
    (6, "sign", "finance", {}),
    *((9 + minute, "sign", "agent", {}) for minute in range(3)),
    (20, "sign", "finance", {"fields": {"invoice_number": "INV-1"}}),
)
LEAVE: Steps = ((3, "note", "agent", {"text": "zq-note"}), (9, "sign", "supervisor", {"text": "zq-get-well"}))
SHIPMENT = {
    "waybill": "SF000000000001", "posted_on": "2026-03-02", "base_freight": "20.00", "weight_kg": "0.8",
    "route": "domestic", "insured_amount": "500.00",
}  # fmt: skip
FACTS: dict[str, dict[str, Any]] = {
    "complaint": {"category": "delay", "shipment": SHIPMENT, "customer": {"name": "张三", "phone": "13800000000"}},
    "claim": {
        "factor": "damage", "claimant": {"relation": "sender"}, "shipment": SHIPMENT,
        "loss": {"total_value": "500.00", "lost_value": "500.00"},
    },
    "statement": {
        "filed_by": {"id": "agent-1", "role": "agent"},
        "fields": {
            "client": "ACME", "month": "2026-02", "key_client": True, "payment_until": "2026-03-31",
            "lines": [{"waybill": "SF1", "amount": "10.01"}, {"waybill": "SF2", "amount": "0.99"}],
        },
    },
    "leave": {
        "filed_by": {"id": "agent-9", "role": "agent"},
        "fields": {
            "from": "2026-03-12T09:00:00+08:00", "to": "2026-03-13T18:00:00+08:00", "reason": "zq-the family",
        },
    },
}  # fmt: skip


async def record(
    book: Book,
    kind: str,
    key: str,
    steps: Steps,
    after: Case | None = None,
    start: datetime = START,
    facts: dict[str, Any] | None = None,
    until: datetime = START,
    run: str = RUN,
) -> Case:
    """Run a case and record it as a workflow would; ``after`` is one that was recorded, and goes on."""
    told = {"key": key, "received_at": start.isoformat(), "facts": facts or FACTS.get(kind, {})}
    declared = kind_of(kind, POLICY)
    intake = read_intake(declared.INTAKE, told)
    case = after or declared.open(intake, POLICY, start)
    begins = None if after else intake
    first = len(case.events) if after else 0
    case.rehearse_effects(start if after is None else case.events[-1].at, "ok", "ok")
    for minutes, name, role, fields in steps:
        at = start + timedelta(minutes=minutes)
        command = read_command(case.COMMANDS, name, {"by": {"id": f"{role}-1", "role": role}, **fields})
        case.decide(command, at, lambda moment: case.rehearse_effects(moment, "ok", "ok"))
        case.rehearse_effects(at, "ok", "ok")
    case.elapse(until, after_each=lambda moment: case.rehearse_effects(moment, "ok", "ok"))
    await book.record(
        Batch(
            f"{kind}:{key}",
            kind,
            [event.as_json() for event in case.events[first:]],
            case.view(),
            run,
            begins.personal() if begins else None,
            POLICY.document,
            intake=begins.digest() if begins else None,
        )
    )
    return case


@pytest.fixture
async def cases(book: Book) -> Book:
    """A complaint with notices, texts and personal facts, a claim that was paid, and two looks at personal data."""
    await record(book, "complaint", "A", COMPLAINT)
    await record(book, "claim", "B", CLAIM)
    for who in ("agent-1", "agent-2"):
        await AccessLog(book.database).look("complaint:A", who, "agent", masked=False)
    return book


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_key(tmp_path / "key.pem")


async def verify(book: Book, keys: Keys | None = None, **options: Any) -> Verified:
    return await Everything(book.database, keys, second_look=0).verify(**options)


async def said(book: Book, keys: Keys | None = None, **options: Any) -> list[str]:
    return [str(fault) for fault in (await verify(book, keys, **options)).faults]


async def test_what_is_as_it_was_recorded_has_no_fault(cases: Book, superuser: asyncpg.Connection) -> None:
    seen: list[tuple[int, int]] = []
    done = await Everything(cases.database).verify(progress=lambda *numbers: seen.append(numbers))
    events = await superuser.fetchval("SELECT count(*) FROM case_event")
    assert (done.faults, done.cases, done.events, done.looks, done.covered) == ([], 2, events, 2, None)
    assert seen == [(2, events)]
    assert await superuser.fetchval("SELECT count(*) FROM notification") > 3
    assert await superuser.fetchval("SELECT state FROM payout") == "paid"
    one = await verify(cases, case_id="complaint:A")
    assert (one.cases, one.faults, one.looks) == (1, [], 0)
    assert (await verify(cases, case_id="complaint:none")).cases == 0


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE case_text SET salt = NULL, text = NULL WHERE case_id = 'complaint:A'", 14),
        ("UPDATE personal SET facts = NULL, salt = NULL, phone_hash = NULL, intake_salt = NULL, intake_digest = NULL, "
         "erased_at = now() "
         "WHERE case_id = 'complaint:A'", 1),
    ],
)  # fmt: skip
async def test_what_was_erased_and_no_event_says_so_is_named(
    cases: Book, superuser: asyncpg.Connection, statement: str, seq: int
) -> None:
    await superuser.execute(statement)
    assert await said(cases) == [f"complaint:A seq {seq}: changed: something of it was erased, and no event says so"]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE case_file SET view = jsonb_set(view, '{severity}', '\"critical\"')",
         "complaint:A seq 15: changed: its case file is not what its events make: severity"),
        ("UPDATE case_file SET status = 'closed'", "its case file is not what its events make: the column status"),
        ("UPDATE case_file SET rung = 'supervisor'", "the column rung"),
        ("UPDATE case_file SET holder = 'agent-9'", "the column holder"),
        ("UPDATE case_file SET next_due = next_due + interval '1 us'", "the column next_due"),
        ("UPDATE case_file SET updated_at = updated_at - interval '1 us'", "the column updated_at"),
        ("UPDATE case_file SET breached = '{rung}'", "the column breached"),
        ("UPDATE case_file SET view = view - 'status'", "its case file is not what its events make: status"),
        ("UPDATE notification SET outcome = 'failed'", "the table of notices says otherwise: outcome"),
        ("UPDATE notification SET at = at + interval '1 s'", "the table of notices says otherwise: at"),
        ("DELETE FROM notification", "the notice that it tells of is not in the table of notices"),
        ("INSERT INTO notification (case_id, seq, notice, roles, outcome, channel, at) "
         "VALUES ('complaint:A', 1, 'rung', '{agent}', 'sent', 'email', now())",
         "complaint:A seq 1: changed: the table of notices has one that no event tells of"),
        ("UPDATE personal SET facts = jsonb_set(facts, '{customer,name}', '\"李四\"')",
         "complaint:A seq 1: changed: its personal facts are not those that were recorded"),
        ("UPDATE personal SET facts = NULL, salt = NULL, phone_hash = NULL",
         "its personal facts are gone, and were not erased"),
        ("DELETE FROM personal", "its personal facts are gone, and were not erased"),
        ("UPDATE case_text SET text = 'nothing was said'", "its text 'text' is not the one that was recorded"),
    ],
)  # fmt: skip
async def test_what_is_derived_from_a_complaint_is_compared(
    cases: Book, superuser: asyncpg.Connection, statement: str, named: str
) -> None:
    only = "" if statement.startswith("INSERT") else " WHERE case_id = 'complaint:A'"
    await behind_the_back(superuser, statement + only)
    # The chain knows nothing of it, save for texts.
    assert (await cases.verify()).ok or "text" in named
    faults = await said(cases)
    assert any(named in fault for fault in faults), faults
    assert all(fault.startswith("complaint:A seq") for fault in faults)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE payout SET amount = amount + 1", "the payout book says that 521.00 were paid"),
        ("UPDATE payout SET reference = 'another'", "were paid (another), its events do not"),
        ("UPDATE payout SET payee = 'somebody'", "the payout book has another payee than was asked for: somebody"),
        ("DELETE FROM payout", "it was paid, and the payout book does not have it"),
        ("UPDATE payout SET state = 'waiting', reference = '', settled_at = NULL",
         "it was paid, and the payout book says waiting"),
    ],
)  # fmt: skip
async def test_the_payout_book_is_compared(
    cases: Book, superuser: asyncpg.Connection, statement: str, named: str
) -> None:
    await behind_the_back(superuser, statement)
    (fault,) = await said(cases)
    assert fault.startswith("claim:B seq ")
    assert named in fault


async def test_an_event_that_was_forged_with_all_its_hashes_makes_another_case(
    cases: Book, superuser: asyncpg.Connection
) -> None:
    await rewrite(superuser, "complaint:A", lambda events: events[0]["data"]["facts"].update(severity="critical"))
    assert (await cases.verify()).ok
    (fault,) = await said(cases)
    assert "its case file is not what its events make: " in fault
    await rewrite(superuser, "complaint:A", lambda events: events[1].update(type="unheard_of"))
    assert await said(cases) == ["complaint:A seq 15: changed: its events make no case (ValueError)"]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE case_file SET view = jsonb_set(view, '{fields,client}', '\"ACNE\"')", "statement:S seq 38: changed: "
         "its case file is not what its events make: fields"),
        ("UPDATE case_file SET view = jsonb_set(view, '{fields,total}', '\"12.00\"')", "events make: fields"),
        ("UPDATE case_file SET view = jsonb_set(view, '{fields,invoice_number}', '\"INV-2\"')", "events make: fields"),
        ("UPDATE case_file SET view = jsonb_set(view, '{turn}', '[]')", "events make: turn"),
        ("UPDATE case_file SET view = jsonb_set(view, '{effective}', 'true')", "events make: effective"),
        ("UPDATE case_text SET text = 'as agreed' WHERE field = 'text'", "its text 'text' is not the one that was"),
    ],
)  # fmt: skip
async def test_what_is_derived_from_a_form_is_compared(
    book: Book, superuser: asyncpg.Connection, statement: str, named: str
) -> None:
    await record(book, "statement", "S", STATEMENT)
    assert await said(book) == []
    await behind_the_back(superuser, statement)
    faults = await said(book)
    assert any(named in fault for fault in faults), faults


async def test_a_personal_field_of_a_form_is_the_one_that_was_recorded(
    book: Book, superuser: asyncpg.Connection
) -> None:
    await record(book, "leave", "L", LEAVE)
    assert await said(book) == []
    await behind_the_back(superuser, "UPDATE personal SET facts = jsonb_set(facts, '{fields,reason}', '\"a holiday\"')")
    assert await said(book) == ["leave:L seq 1: changed: its personal facts are not those that were recorded"]


async def test_policies_are_those_of_their_hashes(cases: Book, superuser: asyncpg.Connection) -> None:
    await superuser.execute("UPDATE policy SET document = replace(document, '\"default\"', '\"defaulT\"')")
    faults = await said(cases)
    assert faults[0] == f"changed: the policy {POLICY.hash} has another text"
    assert [fault for fault in faults if "its policy is not in the casebook as it was pinned" in fault]


async def test_rows_of_a_case_that_is_none_are_found(cases: Book, superuser: asyncpg.Connection) -> None:
    await superuser.execute("INSERT INTO personal (case_id, facts) VALUES ('complaint:Z', '{}')")
    assert await said(cases) == ["complaint:Z seq 0: inserted: there are personal facts of a case that is none"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payee SET details = jsonb_set(details, '{account}', '\"6333\"') WHERE token = $1",
        "UPDATE payee SET details = jsonb_set(details, '{name}', '\"李四\"') WHERE token = $1",
        "UPDATE payee SET case_id = 'complaint:A' WHERE token = $1",
        "UPDATE payee SET salt = sha256('another') WHERE token = $1",
    ],
)
async def test_whom_a_token_stands_for_is_whom_it_was_given_for(
    cases: Book, keys: Keys, superuser: asyncpg.Connection, statement: str
) -> None:
    token, _ = [
        await Payees(cases.database).add("claim:B", PayeeDetails(name="张三", account=account, method="bank"))
        for account in ("6222", "6223")
    ]
    await Checkpoints(cases.database, keys).make()
    assert await said(cases, keys) == []
    await superuser.execute(statement, token)
    case_id = await superuser.fetchval("SELECT case_id FROM payee WHERE token = $1", token)
    named = [f"{case_id} seq 0: changed: the payee {token} is not the one that this token was given for"]
    assert await said(cases, keys) == await said(cases, case_id=case_id) == named
    await superuser.execute("UPDATE payee SET details = NULL, salt = NULL, erased_at = now() WHERE token = $1", token)
    # By hand, and not with its case.
    erased = [f"{case_id} seq 0: changed: the payee {token} was erased, and its case was not"]
    assert await said(cases, keys) == await said(cases) == erased


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE personal_look SET caller = 'nobody' WHERE caller = 'agent-1'",
        "UPDATE personal_look SET masked = true WHERE caller = 'agent-1'",
        "UPDATE personal_look SET at = at - interval '1 us' WHERE caller = 'agent-1'",
        "UPDATE personal_look SET hash = sha256('x') WHERE caller = 'agent-1'",
        "DELETE FROM personal_look WHERE caller = 'agent-1'",
    ],
)
async def test_the_log_of_looks_is_a_chain(cases: Book, superuser: asyncpg.Connection, statement: str) -> None:
    await behind_the_back(superuser, statement)
    (fault,) = await said(cases)
    assert "at personal data, or the one before it, is not the one that was recorded" in fault


async def test_looks_are_chained_as_they_come_whatever_they_say(cases: Book, superuser: asyncpg.Connection) -> None:
    await superuser.execute(
        "INSERT INTO personal_look (case_id, caller, role, masked, at) VALUES ($1, $2, 'r\t\u2028\x7f', true, $3)",
        'complaint:"A"\\', "张三\n\x01", datetime.fromisoformat("2026-03-09T09:00:00.000001+08:00"),
    )  # fmt: skip
    assert await said(cases) == []


async def test_looks_of_an_earlier_release_are_chained_when_it_is_migrated(postgres: Cluster) -> None:
    dsn = await postgres.fresh_database()
    await migrate(dsn, "0012")
    connection = await asyncpg.connect(dsn)
    try:
        for who in ("agent-1", "agent-2", "张三"):
            await connection.execute(
                "INSERT INTO personal_look (case_id, caller, role, masked) VALUES ('complaint:A', $1, 'agent', false)",
                who,
            )
        await migrate(dsn)
        async with open_book(dsn) as book:
            await AccessLog(book.database).look("complaint:A", "agent-4", "agent", masked=True)
            done = await verify(book)
        assert (done.looks, done.faults) == (4, [])
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute("UPDATE personal_look SET masked = true")
    finally:
        await connection.close()


async def test_what_a_checkpoint_covers_is_not_read_again(
    cases: Book, keys: Keys, superuser: asyncpg.Connection
) -> None:
    await Checkpoints(cases.database, keys).make()
    done = await verify(cases, keys)
    assert done.covered is not None
    assert (done.covered.number, done.cases, done.events, done.faults) == (1, 0, 0, [])
    whole = await verify(cases, keys, full=True)
    assert (whole.covered, whole.cases, whole.faults) == (None, 2, [])
    # Without a key nobody's word counts.
    assert (await verify(cases)).cases == 2
    case = await record(cases, "complaint", "C", COMPLAINT)
    assert (await verify(cases, keys)).cases == 1
    await Checkpoints(cases.database, keys).make()
    await record(cases, "complaint", "C", MORE, after=case)
    done = await verify(cases, keys)
    assert (done.cases, done.events, done.faults) == (1, len(case.events), [])


async def test_the_heads_of_what_is_covered_are_compared(
    cases: Book, keys: Keys, superuser: asyncpg.Connection
) -> None:
    case = await record(cases, "complaint", "C", COMPLAINT)
    await Checkpoints(cases.database, keys).make()
    await rewrite(superuser, "complaint:A", lambda events: events[1]["data"].update(more="x"))
    assert await said(cases, keys) == [
        "complaint:A seq 15: changed: it is another case up to here than checkpoint 1 has"
    ]
    await rewrite(superuser, "complaint:C", lambda events: events.pop())
    faults = await said(cases, keys)
    assert f"complaint:C seq {len(case.events)}: removed: checkpoint 1 has it up to seq {len(case.events)}" in faults
    await superuser.execute("UPDATE case_file SET number = '2026-03-0077' WHERE case_id = 'claim:B'")
    assert "claim:B seq 1: renumbered: it was given the number 2026-03-0001, it has 2026-03-0077 now" in await said(
        cases, keys
    )
    await behind_the_back(superuser, "UPDATE checkpoint_head SET seq = 4 WHERE case_id = 'complaint:A'")
    assert (await said(cases, keys))[0] == (
        "changed: the heads of the cases are not those that checkpoint 1 was signed over"
    )


async def test_what_was_being_recorded_is_no_fault(cases: Book, superuser: asyncpg.Connection) -> None:
    """A view may be ahead of the ledger for a moment; the second look tells."""
    right = await superuser.fetchval("SELECT view FROM case_file WHERE case_id = 'complaint:A'")
    await superuser.execute(
        "UPDATE case_file SET view = jsonb_set(view, '{events}', '99') WHERE case_id = 'complaint:A'"
    )

    class Patient(Everything):
        async def _again(self, doubtful: Any, policies: Any) -> Any:
            assert list(doubtful) == ["complaint:A"]
            await superuser.execute("UPDATE case_file SET view = $1 WHERE case_id = 'complaint:A'", right)
            return await super()._again(doubtful, policies)

    assert (await Patient(cases.database, second_look=0).verify()).faults == []
