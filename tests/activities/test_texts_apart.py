"""No text that people wrote stands anywhere but in its own table: each worked case, with marks in all of its texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from activities.audit.fold import differences
from activities.casebook.chains import Chains
from activities.casebook.filter import Filter
from activities.casebook.texts import strip
from activities.messages import Batch, NoticeBatch, NoticeOrder, Sent
from activities.notify.build import build_notifier
from cases.registry import KINDS, kind_of, numbered_later
from cases.vocabulary.events import Event, texts_of, texts_shown, without_texts
from cases.vocabulary.texts import is_reference, marked, put
from starter.exports import case_row, event_row
from starter.rehearsal.engine import Prepared
from starter.rehearsal.scenario import load_scenario
from tests.activities.ledger import RUN
from tests.activities.test_sent import POLICIES, SCENARIOS, Keys, Signed, keys, play
from tests.casebook import Book
from tests.notifications import Attempts

__all__ = ["keys"]
MARK = "marked-text"


def marked_case(prepared: Prepared) -> Prepared:
    """Return a case with a mark in each text of its intake and its commands, and a customer with marks."""
    kind, numbers = kind_of(prepared.kind, prepared.policy), count(1)

    def marks(model: Any, data: Mapping[str, Any]) -> dict[str, Any]:
        return put(data, {path: f"{MARK}-{next(numbers)}" for path, _ in marked(model, data)})

    facts = marks(kind.INTAKE.model_fields["facts"].annotation, prepared.intake["facts"])
    if kind.FILED:
        facts = {**facts, "customer": {"name": f"{MARK}-name"}, "description": f"{MARK}-description"}
    steps = []
    for step in prepared.steps:
        model = kind.COMMANDS[step.command]
        fields = dict(step.fields)
        for name, field in model.model_fields.items():
            # Also the texts that nobody has to give.
            if name not in fields and field.default is None and any(marked(model, {name: "x"})):
                fields[name] = "x"
        steps.append(replace(step, fields=marks(model, fields)))
    return replace(prepared, intake={**prepared.intake, "facts": facts}, steps=tuple(steps))


async def record(book: Book, signed: Signed) -> str:
    """Record a case as a worker does, and return its id."""
    case, begins = signed.case, signed.intake
    assert begins is not None
    case_id = f"{case.KIND}:{case.key}"
    sent = [
        Sent(first, last, body, salts) for (first, last, body), salts in zip(signed.rows, signed.salts, strict=True)
    ]
    events = [event.as_json() for event in case.events]
    batch = Batch(
        case_id, case.KIND, json.loads(json.dumps(events)), case.view(), RUN,
        personal=begins.personal(), policy_document=case.policy.document, sent=sent, intake=begins.digest(),
        numbered_later=numbered_later(case.KIND),
    )  # fmt: skip
    await book.record(batch)
    return case_id


async def where_marks_are(superuser: asyncpg.Connection) -> set[str]:
    """Return the tables in which a mark stands."""
    tables = await superuser.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    found = set()
    for (table,) in tables:
        if await superuser.fetchval(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%{MARK}%'"):
            found.add(table)
    return found


@pytest.mark.long
async def test_no_text_stands_anywhere_but_in_its_own_table(
    book: Book, superuser: asyncpg.Connection, keys: Keys
) -> None:
    kinds, said, policies = set(), set(), {}
    for path in SCENARIOS:
        signed = play(marked_case(load_scenario(path, POLICIES).case), keys.server, keys.passkey)
        if signed is None:
            continue
        case, case_id = signed.case, await record(book, signed)
        kinds.add(case.KIND)
        policies[case.policy.hash] = case.policy
        # What is read is what was said, and that is all that there is of it.
        events = json.loads(json.dumps([event.as_json() for event in case.events]))
        assert await book.events(case_id) == events
        assert MARK not in json.dumps([without_texts(event) for event in events])
        said |= {(event["type"], re.sub(r"[.]\d+", "", field)) for event in events for field in texts_of(event)}
        view = await book.case(case_id)
        assert view is not None
        assert all(map(is_reference, texts_shown(case.VIEW, view).values()))
        [told] = await book.with_texts([view])
        assert all(isinstance(text, str) and text for text in texts_shown(case.VIEW, told).values())
        # A case that is started again from its ledger, without them, is the same.
        bodies = await superuser.fetch("SELECT body FROM case_event WHERE case_id = $1 ORDER BY seq", case_id)
        again = type(case).replay(case.policy, (Event.from_json(strip(row["body"])) for row in bodies))
        assert (again.view(), again.due(), again.owed()) == (case.view(), case.due(), case.owed())
    assert await where_marks_are(superuser) == {"case_text", "personal"}
    assert kinds > KINDS.keys()
    assert {
        "proposed",
        "option_offered",
        "assessed",
        "found",
        "corrected",
        "signed",
        "summary_sent",
        "swap_refused",
    } <= {type_ for type_, _ in said}
    async with book.database.connection() as connection, connection.transaction():
        each = Chains(connection).each(lambda chain: list(differences(chain, policies.get, keys.known)), derived=True)
        faults = [str(fault) async for _, found in each for fault in found]
    # Whom nobody tells of anything, who pays nobody, and who gives the numbers of quality complaints, is not here.
    elsewhere = ("table of notices", "payout book", "what its events make: number, the column number")
    assert [fault for fault in faults if not any(one in fault for one in elsewhere)] == []
    exported = [row async for row in book.rows(Filter(), units=None, kinds=None)]
    rows = [str(case_row(view)) for view in exported]
    async for view, event in book.event_rows(Filter(), units=None, kinds=None):
        rows.append(str(event_row(view, event)))
    assert MARK not in "".join(rows)


async def test_a_view_of_an_earlier_release_may_hold_the_texts(
    book: Book, superuser: asyncpg.Connection, keys: Keys
) -> None:
    [path] = [path for path in SCENARIOS if path.stem.startswith("15a")]
    signed = play(marked_case(load_scenario(path, POLICIES).case), keys.server, keys.passkey)
    assert signed is not None
    case_id = await record(book, signed)
    view = await book.case(case_id)
    assert view is not None
    [told] = await book.with_texts([view])
    assert MARK in told["accepted"]

    async def faults(stored: dict[str, Any]) -> list[str]:
        await superuser.execute("UPDATE case_file SET view = $1::jsonb", json.dumps(stored))
        async with book.database.connection() as connection, connection.transaction():
            policies = {signed.case.policy.hash: signed.case.policy}
            each = Chains(connection).each(lambda chain: list(differences(chain, policies.get)), derived=True)
            return [str(fault) async for _, found in each for fault in found if "notice" not in str(fault)]

    assert await faults(view) == await faults(told) == []
    assert "not what its events make: accepted" in (await faults({**told, "accepted": "another"}))[0]


def said(folder: Path) -> str:
    """Return what the only mail in a folder says."""
    [file] = [file for file in folder.rglob("*") if file.is_file()]
    return str(message_from_bytes(file.read_bytes(), policy=default).get_content())


async def test_the_mail_of_a_summary_has_its_texts_also_where_the_run_does_not_know_them(
    book: Book, superuser: asyncpg.Connection, keys: Keys, tmp_path: Path
) -> None:
    [path] = [path for path in SCENARIOS if path.stem == "summary-signed-in-order"]
    prepared = load_scenario(path, POLICIES).case
    signed = play(marked_case(prepared), keys.server, keys.passkey)
    assert signed is not None
    case_id = await record(book, signed)
    contacts = tmp_path / "contacts.toml"
    contacts.write_text('[roles.customer]\nemail = ["customer@example.com"]\n')
    rows = await superuser.fetch("SELECT body FROM case_event WHERE case_id = $1", case_id)
    [event] = [one for one in (strip(row["body"]) for row in rows) if one["type"] == "summary_sent"]
    assert MARK not in json.dumps(event)
    order = NoticeOrder("n-1", "summary", ["customer"], "S3-4.3.1.10", event, [], False)

    async def mail(name: str) -> str:
        folder = tmp_path / name
        notifier = build_notifier(f"maildir:{folder}", None, contacts, "a@example.com", hold=0, ledger=book)
        [result] = await Attempts(notifier).run(NoticeBatch(case_id, signed.case.view(), [order]))
        assert result.outcome == "sent"
        return said(folder)

    told = await mail("before")
    texts = await superuser.fetch("SELECT text FROM case_text WHERE field <> 'reason'")
    assert texts
    assert {row["text"] for row in texts if row["text"] in told} >= {f"{MARK}-1", f"{MARK}-2", f"{MARK}-3"}
    # An erased text is a gap, and no obstacle.
    await superuser.execute("UPDATE case_text SET text = NULL, salt = NULL")
    assert MARK not in await mail("after")
