"""Erasing what closed cases hold of persons: four eyes, retention, legal holds, and four years in a virtual clock."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from activities.audit.everything import Everything
from activities.casebook.errors import Superseded
from activities.desk.drafts import Draft, FilingDrafts
from activities.erasure.book import Erasures
from activities.erasure.erase import Eraser
from activities.events.feed import Feed
from activities.payouts.payees import PayeeDetails, Payees
from activities.policies.store import Policies
from activities.replies.inbox import Inbox
from activities.replies.incoming import Enclosed, Incoming
from cases.vocabulary.events import SYSTEM, Actor
from cases.vocabulary.lifecycle import ErasedFor
from cases.vocabulary.refusals import Refused
from starter.erasure import Erasure
from tests.activities.ledger import behind_the_back
from tests.activities.test_audit_everything import COMPLAINT, LEAVE, MORE, START, Steps, record
from tests.casebook import Book

QA, GM = Actor("qa-1", "qa_manager"), Actor("gm-1", "general_manager")
CASE = "complaint:A"
ENDED: Steps = (*COMPLAINT, *MORE, (1600, "close", "supervisor", {}))
SIGNERS = ("project_manager", "department_manager", "project_manager", "director", "deputy_gm")
# It closes on 10 March, and is kept on that day three years later.
KEPT, PAST = datetime.fromisoformat("2029-03-10T23:59:59+08:00"), datetime.fromisoformat("2029-03-11T00:00:00+08:00")


@pytest.fixture
async def erasure(book: Book, superuser: asyncpg.Connection) -> Erasure:
    await behind_the_back(superuser, "TRUNCATE erasure, erasure_case, legal_hold")
    return Erasure(book.database)


async def refused(doing: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        await doing
    return caught.value.code, caught.value.message


async def faults(book: Book) -> list[str]:
    return [str(fault) for fault in (await Everything(book.database, second_look=0).verify()).faults]


async def everything_in(superuser: asyncpg.Connection) -> str:
    """The rows of every table, save for what is known of the staff, as text."""
    tables = await superuser.fetch(
        "SELECT relname FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'staff'"
    )
    found = []
    for (table,) in tables:
        rows = await superuser.fetch(f'SELECT t::text FROM "{table}" AS t')
        found += [f"{table}: {row[0]}" for row in rows]
    return "\n".join(found)


async def test_what_the_customer_has_mailed_and_somebody_began_to_file_of_it_goes_too(
    book: Book, superuser: asyncpg.Connection, erasure: Erasure
) -> None:
    await record(book, "complaint", "A", ENDED)
    address = """jsonb_set(facts, '{customer,email}', '"Wang@example.org"')"""
    await behind_the_back(superuser, f"UPDATE personal SET facts = {address}")
    drafts, inbox = FilingDrafts(book.database), Inbox(book.database)
    for key, mail in (("C-1", "wang@EXAMPLE.org"), ("C-2", "li@example.org")):
        await drafts.save("agent-1", Draft(key, "complaint", START, {"customer.email": [mail]}), None, None)
        files = (Enclosed(f"{mail}.jpg", b"picture"),)
        await inbox.put(Incoming("message", key, sender=mail.lower(), text=f"my words {mail}", files=files))
    asked = await erasure.ask(QA, "customer", PAST, case_id=CASE)
    await erasure.decide(asked["id"], GM, True, PAST)
    after = await everything_in(superuser)
    assert "wang@" not in after.lower()
    assert "li@example.org.jpg" in after
    assert [draft.key for draft in await drafts.of("agent-1")] == ["C-2"]


async def test_an_erased_case_keeps_its_events_and_nothing_of_persons(
    book: Book, superuser: asyncpg.Connection, erasure: Erasure
) -> None:
    case = await record(book, "complaint", "A", ENDED)
    token = await Payees(book.database).add(CASE, PayeeDetails(name="李四", account="6222020200", method="bank"))
    # Somebody has begun to file another case of the customer, by another spelling of the number; and one of another.
    drafts = FilingDrafts(book.database)
    typed = {"customer.phone": ["+86 138-0000-0000"], "description": ["called again about it"]}
    await drafts.save("agent-1", Draft("C-1", "complaint", START, typed), None, "+86 138-0000-0000")
    await drafts.save("agent-1", Draft("C-2", "complaint", START, {"description": ["x"]}), "c-1", "13900000000")
    # They have written what nobody has dealt with, by another spelling too; and so has somebody else.
    inbox = Inbox(book.database)
    for number, phone in enumerate(("13800000000", "+86 138 0000 0000", "13900000000")):
        message = Incoming("message", f"m{number}@message", text=f"my words {number}")
        assert await inbox.put(message, "message", {"phone": phone}) == "waits"
    hashed = await superuser.fetchval("SELECT phone_hash::text FROM personal WHERE case_id = $1", CASE)
    before = await everything_in(superuser)
    marks = (
        "张三", "13800000000", "looking for the parcel", "goes out today", "李四", "6222020200", "138-0000-0000",
        "called again", hashed, "my words 0", "my words 1",
        # What they are found by.
        "~张三", "+1380", "~parcel", "~today",
    )  # fmt: skip
    assert all(mark in before for mark in marks)

    asked = await erasure.ask(QA, "customer", PAST, case_id=CASE)
    assert (asked["approved"], asked["asked_by"], [one["case"] for one in asked["cases"]]) == (None, "qa-1", [CASE])
    assert await book.personal(CASE) is not None
    done = await erasure.decide(asked["id"], GM, True, PAST)
    assert (done["approved"], done["cases"][0]["refused"], done["cases"][0]["gone_at"]) == (True, None, None)

    after = await everything_in(superuser)
    assert [mark for mark in marks if mark in after] == []
    last = (await book.events(CASE))[-1]
    assert (last["type"], last["data"], last["actor"]["id"]) == (
        "erased",
        {"why": "customer", "asked_by": "qa-1"},
        "gm-1",
    )
    view = await book.case(CASE)
    assert view is not None
    assert (view["status"], view["keep_until"], view["erased_at"]) == ("closed", "2029-03-10", PAST.isoformat())
    assert view["events"] == len(case.events) + 1
    assert await superuser.fetchval("SELECT erased_at IS NOT NULL FROM payee WHERE token = $1", token)
    assert await superuser.fetchval("SELECT count(*) FROM case_request") == 0
    assert "my words 2" in after
    assert [draft.key for draft in await drafts.of("agent-1")] == ["C-2"]
    assert await faults(book) == []
    assert (await book.verify()).ok
    # Subscribers are told, and get no texts any more.
    told = [one.event for one in await Feed(book.database).after(None, 1000)]
    assert (told[-1]["type"], told[-1]["data"]["why"]) == ("erased", "customer")
    assert not any(mark in str(told) for mark in marks)
    # The book keeps who asked and who decided.
    assert await refused(erasure.decide(asked["id"], GM, False, PAST)) == (
        "decided", f"erasure {asked['id']}: it is decided already",
    )  # fmt: skip
    assert (await refused(erasure.ask(QA, "customer", PAST, case_id=CASE)))[0] == "already_erased"


async def test_a_case_that_is_open_kept_or_held_is_not_erased(book: Book, erasure: Erasure) -> None:
    case = await record(book, "complaint", "A", COMPLAINT)
    assert (await refused(erasure.ask(QA, "customer", PAST, case_id=CASE)))[0] == "not_closed"
    await record(book, "complaint", "A", (*MORE, (1600, "close", "supervisor", {})), after=case)
    code, message = await refused(erasure.ask(QA, "customer", KEPT, case_id=CASE))
    assert (code, message) == ("retained", "erase: kept until 2029-03-10")
    await erasure.hold(CASE, "(2028) Hu 01 Min Chu 17", QA)
    assert (await refused(erasure.hold(CASE, "again", GM)))[0] == "on_hold"
    assert (await refused(erasure.ask(QA, "customer", PAST, case_id=CASE)))[0] == "on_hold"
    await erasure.lift(CASE, GM)
    assert (await refused(erasure.lift(CASE, GM)))[0] == "not_found"
    asked = await erasure.ask(QA, "customer", PAST, case_id=CASE)
    # One that is set in between counts.
    await erasure.hold(CASE, "(2028) Hu 01 Min Chu 18", QA)
    done = await erasure.decide(asked["id"], GM, True, PAST)
    assert done["cases"][0]["refused"] == "on_hold"
    assert await book.personal(CASE) is not None
    assert (await refused(erasure.ask(QA, "customer", PAST, case_id="complaint:none")))[0] == "not_found"
    assert (await refused(erasure.hold("complaint:none", "x", QA)))[0] == "not_found"


async def test_four_eyes_decide(book: Book, erasure: Erasure) -> None:
    await record(book, "complaint", "A", ENDED)
    asked = await erasure.ask(Actor("qa-1", "qa_manager", "p-1"), "mistake", PAST, case_id=CASE)
    for same in (QA, Actor("gm-9", "general_manager", "p-1"), Actor("QA-1", "general_manager")):
        assert (await refused(erasure.decide(asked["id"], same, True, PAST)))[0] == "four_eyes"
    assert (await refused(erasure.decide(asked["id"], Actor("super-1", "supervisor"), True, PAST)))[0] == "role"
    assert (await refused(erasure.ask(Actor("agent-1", "agent"), "mistake", PAST, case_id=CASE)))[0] == "role"
    assert (await refused(erasure.hold(CASE, "x", Actor("auditor-1", "auditor"))))[0] == "role"
    # Whoever asked may take it back.
    rejected = await erasure.decide(asked["id"], QA, False, PAST)
    assert (rejected["approved"], rejected["cases"][0]["erased_at"]) == (False, None)
    assert await book.personal(CASE) is not None
    assert (await refused(erasure.decide(asked["id"], GM, True, PAST)))[0] == "decided"
    assert (await refused(erasure.decide(10**9, GM, True, PAST)))[0] == "not_found"


async def test_every_case_of_a_customer(book: Book, erasure: Erasure, superuser: asyncpg.Connection) -> None:
    await record(book, "complaint", "A", ENDED)
    await record(book, "complaint", "B", COMPLAINT)
    await superuser.execute("ALTER TABLE personal DISABLE TRIGGER personal_only_erased")
    await superuser.execute("UPDATE personal SET facts = jsonb_set(facts, '{customer,ref}', '\"c-77\"')")
    await superuser.execute("ALTER TABLE personal ENABLE TRIGGER personal_only_erased")
    asked = await erasure.ask(QA, "customer", PAST, customer="c-77")
    assert [one["case"] for one in asked["cases"]] == [CASE]
    assert asked["kept"] == {"complaint:B": "not_closed"}
    await erasure.decide(asked["id"], GM, True, PAST)
    assert (await refused(erasure.ask(QA, "customer", PAST, customer="c-77")))[0] == "not_closed"
    assert (await refused(erasure.ask(QA, "customer", PAST, customer="nobody")))[0] == "not_found"
    # The reference stands nowhere in the book.
    assert "c-77" not in str(await erasure.book.all())


async def test_what_was_copied_goes_along_or_holds_everything_up(book: Book, erasure: Erasure) -> None:
    steps = (*COMPLAINT, (30, "open_claim", "agent", {"factor": "loss", "claimant": {"relation": "sender"}}), *MORE)
    await record(book, "complaint", "A", (*steps, (1600, "close", "supervisor", {})))
    view = await book.case(CASE)
    assert view is not None
    claim = view["claim"]
    # It was not opened here, so it holds nothing; one that is open does.
    assert await Eraser(book.database).erase(CASE, "customer", GM, QA, PAST, try_only=True) == [CASE]
    case = await record(book, "claim", claim.partition(":")[2], ((3, "acknowledge", "agent", {}),))
    code, message = await refused(erasure.ask(QA, "customer", PAST, case_id=CASE))
    assert (code, claim in message) == ("not_closed", True)
    ended: Steps = ((60, "withdraw", "supervisor", {}),)
    await record(book, "claim", claim.partition(":")[2], ended, after=case)
    asked = await erasure.ask(QA, "customer", PAST, case_id=CASE)
    assert {one["case"] for one in asked["cases"]} == {CASE, claim}
    done = await erasure.decide(asked["id"], GM, True, PAST)
    assert all(one["erased_at"] for one in done["cases"])
    assert await book.personal(claim) is None
    assert await faults(book) == []


async def test_the_summary_of_the_month_goes_along_with_a_report(
    book: Book, erasure: Erasure, superuser: asyncpg.Connection
) -> None:
    known = (START - timedelta(minutes=5)).isoformat()
    facts = {"source": "self_found", "category": "damage", "known_at": known}
    steps: Steps = (
        (3, "acknowledge", "agent", {}), (10, "find", "qa_manager", {"cause": "zq-cause"}),
        (20, "correct", "agent", {"action": "zq-action"}), (30, "withdraw", "supervisor", {"reason": "zq-reason"}),
    )  # fmt: skip
    await record(book, "exception", "X", steps, facts=facts)
    listed = {
        "number": "2026-03-0001",
        "late": False,
        "category": "damage",
        "cause": "zq-cause",
        "measure": "zq-action",
    }
    month = {"month": "2026-03", "total": 1, "counts": {"damage": 1}, "exceptions": [listed]}
    signed = [(10 + n, "sign", role, {"text": f"zq-{n}"}) for n, role in enumerate(SIGNERS)]
    april = datetime.fromisoformat("2026-04-02T09:00:00+08:00")
    summary = await record(book, "summary", "2026-03", signed, start=april, facts=month)
    # It can be objected to for a week, so long the report is not erased either.
    code, message = await refused(erasure.ask(QA, "customer", PAST, case_id="exception:X"))
    assert (code, "summary:2026-03 was given what exception:X holds" in message) == ("not_closed", True)
    await record(book, "summary", "2026-03", (), after=summary, facts=month, until=april + timedelta(days=9))
    assert (await refused(erasure.ask(QA, "customer", PAST, case_id="exception:X")))[0] == "retained"
    later = PAST + timedelta(days=40)
    assert "zq-" in await everything_in(superuser)
    asked = await erasure.ask(QA, "customer", later, case_id="exception:X")
    assert [one["case"] for one in asked["cases"]] == ["exception:X", "summary:2026-03"]
    await erasure.decide(asked["id"], GM, True, later)
    assert "zq-" not in await everything_in(superuser)
    assert await faults(book) == []


async def test_a_form_keeps_its_fields_and_nothing_that_was_written_or_is_personal(
    book: Book, erasure: Erasure, superuser: asyncpg.Connection
) -> None:
    """The reason of a leave is personal by its table; a petition holds texts, one of them a field."""
    leave = await record(book, "leave", "L", LEAVE)
    facts = {
        "filed_by": {"id": "business-1", "role": "business"},
        "fields": {"department": "business", "decision": "quality:Q-1", "objection": "zq-seal"},
    }
    steps: Steps = ((3, "sign", "gm_office", {"text": "zq-looked"}), (9, "sign", "general_manager", {"text": "zq-so"}))
    await record(book, "petition", "P", steps, facts=facts)
    before = await everything_in(superuser)
    marks = ("zq-the family", "zq-note", "zq-get-well", "zq-seal", "zq-looked", "zq-so")
    assert [mark for mark in marks if mark not in before] == []
    assert leave.status == "closed"
    for case_id in ("leave:L", "petition:P"):
        asked = await erasure.ask(QA, "customer", PAST, case_id=case_id)
        done = await erasure.decide(asked["id"], GM, True, PAST)
        assert done["cases"][0]["refused"] is None
    assert [mark for mark in marks if mark in await everything_in(superuser)] == []
    assert await faults(book) == []
    assert (await book.verify()).ok
    views = {id: await book.case(id) or {} for id in ("leave:L", "petition:P")}
    assert views["leave:L"]["fields"]["from"] == "2026-03-12T09:00:00+08:00"
    assert "reason" not in views["leave:L"]["fields"]
    assert views["petition:P"]["fields"]["decision"] == "quality:Q-1"


async def test_nothing_comes_back(book: Book, erasure: Erasure, superuser: asyncpg.Connection) -> None:
    await record(book, "complaint", "A", ENDED)
    asked = await erasure.ask(QA, "customer", PAST, case_id=CASE)
    await erasure.decide(asked["id"], GM, True, PAST)
    for statement in (
        "UPDATE case_text SET salt = 'x', text = 'back' WHERE case_id = 'complaint:A'",
        "UPDATE personal SET facts = '{}', erased_at = NULL WHERE case_id = 'complaint:A'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only erased"):
            await superuser.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="decided once"):
        await superuser.execute("UPDATE erasure SET decided_by = 'somebody'")
    # What was erased and is there again, as from a dump, is named.
    await behind_the_back(superuser, "UPDATE personal SET facts = '{}', salt = NULL, erased_at = NULL")
    assert any("is there that was erased" in fault for fault in await faults(book))


async def test_a_restored_casebook_is_erased_again(book: Book, erasure: Erasure) -> None:
    await record(book, "complaint", "A", ENDED)
    done = await erasure.again(CASE, "customer", GM, QA, PAST)
    assert done is not None
    assert (done["asked_by"], done["decided_by"], done["cases"][0]["refused"]) == ("qa-1", "gm-1", None)
    assert await book.personal(CASE) is None
    assert await erasure.again(CASE, "customer", GM, QA, PAST) is None


@pytest.mark.long
async def test_four_years_pass(book: Book, erasure: Erasure, tmp_path: Path) -> None:
    (tmp_path / "default.toml").write_text(
        'name = "default"\nextends = "default"\n[complaint]\nerase_after_years = 3\n[claim]\nretain_years = 3\n'
    )
    policies = Policies(tmp_path)
    # Filed a month apart, one of them held, one still open; and a claim, which nobody wants erased.
    for number, key in enumerate("ABCDEF"):
        await record(
            book, "complaint", key, ENDED if key != "F" else COMPLAINT, start=START + timedelta(days=30 * number)
        )
    await record(book, "claim", "K", ((3, "acknowledge", "agent", {}), (60, "withdraw", "supervisor", {})))
    await erasure.hold("complaint:C", "(2028) Hu 01 Min Chu 17", QA)
    gone: dict[str, datetime] = {}
    now = START
    while now < START + timedelta(days=4 * 366):
        for case_id in await erasure.purge(policies, now):
            gone[case_id] = now
        now += timedelta(days=1)
    first = datetime.fromisoformat("2029-03-11T09:00:00+08:00")
    closed = {key: START + timedelta(days=30 * number + 1) for number, key in enumerate("ABCDEF")}
    assert sorted(gone) == ["complaint:A", "complaint:B", "complaint:D", "complaint:E"]
    assert gone["complaint:A"] == first
    for case_id, at in gone.items():
        end = closed[case_id[-1]].replace(year=2029).date()
        assert at.date() == end + timedelta(days=1)
    for case_id in ("complaint:C", "complaint:F", "claim:K"):
        assert (await book.case(case_id) or {})["erased_at"] is None
    for case_id in ("complaint:C", "complaint:F"):
        assert await book.personal(case_id) is not None
    reported = await erasure.book.all()
    assert [(one["why"], one["decided_by"], one["asked_by"]) for one in reported] == [
        ("retention", SYSTEM.id, None)
    ] * 4
    # The hold is lifted: it goes at the next look.
    await erasure.lift("complaint:C", GM)
    assert await erasure.purge(policies, now) == ["complaint:C"]
    assert await faults(book) == []
    assert len([one async for one in Erasures(book.database).left()]) == 5


async def test_a_case_that_cannot_be_finished_holds_up_no_other(
    book: Book, erasure: Erasure, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.erasure.book.AT_ONCE", 2)
    # Runs that do not end, say; they are asked for before everybody else.
    stuck = await erasure.book.decided("customer", GM, QA, [f"complaint:S-{number}" for number in range(5)], PAST)
    await superuser.execute("UPDATE erasure_case SET erased_at = now() WHERE erasure = $1", stuck)
    for key in "ABC":
        await record(book, "complaint", key, ENDED)
    asked = await erasure.book.ask("customer", QA, [f"complaint:{key}" for key in "ABC"])
    done = await erasure.decide(asked, GM, True, PAST)
    assert all(one["erased_at"] for one in done["cases"])
    assert [one.case_id async for one in erasure.book.left(asked)] == ["complaint:A", "complaint:B", "complaint:C"]
    assert len([one async for one in erasure.book.left()]) == 8


async def test_what_waits_is_found_behind_what_the_policies_had_erased(book: Book, erasure: Erasure) -> None:
    waits = await erasure.book.ask("customer", QA, [CASE])
    for number in range(205):
        await erasure.book.decided("retention", SYSTEM, None, [f"complaint:R-{number}"], PAST)
    assert waits not in [one["id"] for one in await erasure.book.all()]
    assert [one["id"] for one in await erasure.book.all(waiting=True)] == [waits]
    # Whoever keeps the list for a restore keeps all of it.
    assert len([one async for one in erasure.book.every()]) == 206


async def test_numbers_that_no_erasure_has(erasure: Erasure) -> None:
    for number in (0, -1, 1 << 63, 10**30):
        assert (await refused(erasure.decide(number, GM, True, PAST)))[0] == "not_found"
        assert (await refused(erasure.book.one(number)))[0] == "not_found"


async def test_a_list_repeats_only_what_could_have_been_decided(book: Book, erasure: Erasure) -> None:
    await record(book, "complaint", "A", ENDED)
    wrong: list[tuple[ErasedFor, Actor, Actor | None, str]] = [
        ("customer", GM, None, "four_eyes"),
        ("customer", SYSTEM, None, "four_eyes"),
        ("retention", GM, None, "four_eyes"),
        ("customer", SYSTEM, QA, "role"),
        ("customer", GM, Actor("agent-1", "agent"), "role"),
        ("customer", GM, Actor("GM-1", "qa_manager"), "four_eyes"),
    ]
    for why, by, asked_by, code in wrong:
        assert (await refused(erasure.again(CASE, why, by, asked_by, PAST)))[0] == code
    assert await book.personal(CASE) is not None
    assert await erasure.again(CASE, "retention", SYSTEM, None, PAST) is not None


async def test_a_hold_names_a_file_number(erasure: Erasure) -> None:
    for reference in ("", "  ", "x" * 201, "two\nlines", "\x00"):
        assert (await refused(erasure.hold(CASE, reference, QA)))[0] == "invalid"


async def test_the_audit_names_every_part_that_is_still_there(
    book: Book, erasure: Erasure, superuser: asyncpg.Connection
) -> None:
    await record(book, "complaint", "A", ENDED)
    await erasure.decide((await erasure.ask(QA, "customer", PAST, case_id=CASE))["id"], GM, True, PAST)
    assert await faults(book) == []
    await behind_the_back(
        superuser,
        "INSERT INTO case_request (case_id, request_id, seq, salt, digest) VALUES ('complaint:A', 'r', 1, 'x', 'y')",
    )
    assert any("is there that was erased" in fault for fault in await faults(book))
    await superuser.execute("DELETE FROM case_request")
    assert await faults(book) == []
    await Payees(book.database).add(CASE, PayeeDetails(name="李四", account="6222020200", method="bank"))
    assert any("is there, and its case was erased" in fault for fault in await faults(book))


async def test_a_run_that_did_not_know_is_forgotten_too(
    book: Book, erasure: Erasure, superuser: asyncpg.Connection
) -> None:
    """Filed again while the casebook was away: it took the case for a new one, with an intake of its own."""
    await record(book, "complaint", "A", ENDED)
    await erasure.decide((await erasure.ask(QA, "customer", PAST, case_id=CASE))["id"], GM, True, PAST)
    await erasure.book.gone(CASE)
    assert [one async for one in erasure.book.left()] == []
    with pytest.raises(Superseded):
        await record(book, "complaint", "A", COMPLAINT, run="run-2")
    assert [one.case_id async for one in erasure.book.left()] == [CASE]


async def test_a_record_that_makes_no_case_is_refused_whatever_is_wrong(
    book: Book, erasure: Erasure, superuser: asyncpg.Connection
) -> None:
    """The workers look at all: one that they cannot read must not end their looking."""
    await record(book, "complaint", "A", ENDED)
    for body in ("[]", "null", '{"seq": 1, "data": []}', '{"seq": 3, "type": "x"}', "no json"):
        await behind_the_back(superuser, f"UPDATE case_event SET body = '{body}' WHERE seq = 3")
        assert (await refused(erasure.ask(QA, "customer", PAST, case_id=CASE)))[0] == "untrue", body
