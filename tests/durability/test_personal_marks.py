"""A mark in every field that people fill, in a case of every kind: it stands where it is meant to, until it is erased.

A whole embedded stack plays the cases to their end. Then its database, the engine, logs, mails, exports, metrics and
error answers are looked through; then everything is erased, four years later by the clock that the erasing is given,
and the files of the data folder are looked through byte by byte.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from activities.attachments.book import Attachments
from activities.attachments.stores import FolderStore
from activities.audit.everything import Everything
from activities.casebook.read import Casebook
from activities.database.database import Database
from activities.desk.drafts import Draft, FilingDrafts
from activities.payouts.payees import PayeeDetails, Payees
from activities.people.directory_changes import DirectoryChanges
from activities.replies.inbox import Inbox
from activities.replies.incoming import Incoming
from cases.directory import Person, Unit
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from starter.embedded import running
from starter.embedded.server import free_port
from starter.erasure import Erasure
from tests.cli.program import Up
from tests.temporal import eventually

pytestmark = [pytest.mark.long, pytest.mark.alone]

Json = dict[str, Any]
# A mark is an ASCII word, so that no encoding hides it.
MARK = re.compile(rb"zqmark\d{4}")
# Where the values may stand as long as nothing is erased: the stores that are meant for them.
MEANT = {"personal", "personal_search", "case_text", "case_search", "payee", "draft", "incoming_message"}
QA, GM = Actor("qa-1", "qa_manager"), Actor("gm-1", "general_manager")
PEOPLE = [
    Person(id=id, role=role, unit="hq")
    for id, role in (
        ("agent-1", "agent"), ("agent-2", "agent"), ("super-1", "supervisor"), ("qa-1", "qa_manager"),
        ("gm-1", "general_manager"), ("pm-1", "project_manager"), ("finance-1", "finance"), ("auditor-1", "auditor"),
    )
]  # fmt: skip
ROLES = {person.id: person.role for person in PEOPLE}


class Marks:
    """Gives a new mark for each field, and remembers which."""

    def __init__(self) -> None:
        self.by_field: dict[str, str] = {}
        self.given = 0

    def __call__(self, field: str) -> str:
        self.given += field not in self.by_field
        return self.by_field.setdefault(field, f"zqmark{self.given:04}")

    def phone(self, field: str) -> str:
        """A telephone is digits for some; here it is a text like any other."""
        return f"+86 {self(field)}"


def customer(mark: Marks, kind: str) -> Json:
    return {
        "name": mark(f"{kind}.name"), "phone": mark.phone(f"{kind}.phone"), "ref": mark(f"{kind}.ref"),
        "email": f"{mark(f'{kind}.email')}@example.com",
    }  # fmt: skip


def shipment(waybill: str) -> Json:
    posted = (datetime.now(UTC) - timedelta(days=20)).date().isoformat()
    return {
        "waybill": waybill, "posted_on": posted, "route": "domestic", "base_freight": "18.00", "weight_kg": "2.5",
        "insured_amount": "500.00",
    }  # fmt: skip


def stories(mark: Marks) -> Iterator[tuple[str, str, Json, list[tuple[str, str, Json]]]]:
    """Yield kind, key, facts and commands of a case of each kind that people file, with a mark in each text."""
    now = datetime.now(UTC)
    later = (now + timedelta(days=4)).isoformat()
    every: list[tuple[str, str, Json]] = [
        ("acknowledge", "agent-1", {}),
        ("note", "agent-1", {"text": "?"}),
        ("attach", "agent-1", {"name": "?", "sha256": "0" * 64, "where": "s3://x/?"}),
        ("assign", "super-1", {"to": {"id": "agent-2", "role": "agent"}, "reason": "?"}),
        ("escalate", "agent-2", {"reason": "?", "to": "supervisor"}),
        ("acknowledge", "super-1", {}),
    ]
    ends: list[tuple[str, str, Json]] = [
        ("resolve", "super-1", {"summary": "?"}), ("follow_up", "super-1", {"satisfied": False, "text": "?"}),
        ("reopen", "super-1", {"reason": "?"}), ("withdraw", "super-1", {"reason": "?"}),
    ]  # fmt: skip
    by_kind: dict[str, tuple[Json, list[tuple[str, str, Json]]]] = {
        "complaint": (
            {"category": "damage"},
            [
                ("log_contact", "super-1", {"reached": False, "channel": "phone", "reason": "?"}),
                ("log_contact", "super-1", {"reached": True, "reason": "?"}),
                ("investigate", "super-1", {"finding": "?", "delay_cause": "human"}),
                ("request_approval", "super-1", {"subject": "refund", "amount": "900.00", "reason": "?"}),
                ("reject", "gm-1", {"subject": "refund", "reason": "?"}),
                ("request_approval", "super-1", {"subject": "voucher", "amount": "900.00", "reason": "?"}),
                ("approve", "gm-1", {"subject": "voucher", "reason": "?"}),
                ("extend", "gm-1", {"clock": "resolution", "due": later, "reason": "?"}),
                ("propose", "super-1", {"options": ["?", "?"]}),
                ("answer_option", "super-1", {"accepted": True}),
                ("reply", "super-1", {"stage": "interim", "text": "?"}),
                ("reply", "super-1", {"stage": "answer", "text": "?"}),
                *ends,
            ],
        ),
        "claim": (
            {"factor": "loss", "claimant": {"relation": "sender"}},
            [
                ("answer_claim", "super-1", {"text": "?"}),
                ("assess", "super-1", {"cause": "company", "override": {"amount": "600.00", "reason": "?"}}),
                ("offer", "super-1", {"amount": "600.00", "reason": "?"}),
                ("withdraw", "super-1", {"reason": "?"}),
            ],
        ),
        "inquiry": (
            {"question": "?"},
            [("reply", "super-1", {"stage": "answer", "text": "?"}), ("close", "super-1", {})],
        ),
        "exception": (
            {"source": "excess_goods", "category": "excess", "known_at": now.isoformat()},
            [
                ("hold_goods", "super-1", {"reason": "?"}),
                ("check_goods", "super-1", {"checklist": {
                    "witnesses": ["agent", "site_manager", "warehouse_keeper", "porter"], "photographs": 1,
                    "resealed": True, "label": "?",
                }}),
                ("find", "qa-1", {"cause": "?", "responsibility": "?"}),
                ("correct", "super-1", {"action": "?", "why_not": "?"}),
                ("inform_customer", "super-1", {"text": "?"}),
                ("withdraw", "gm-1", {"reason": "?"}),
            ],
        ),
    }  # fmt: skip
    for kind, (facts, commands) in by_kind.items():
        whole = {
            **marked(facts, mark, kind), "customer": customer(mark, kind), "description": mark(f"{kind}.description"),
            "unit": "hq", "shipment": shipment(f"W-{kind.upper()}-1"),
        }  # fmt: skip
        sent = [
            (name, by, marked(fields, mark, f"{kind}.{place}.{name}"))
            for place, (name, by, fields) in enumerate([*every, *commands])
        ]
        yield kind, f"{kind}-marked", whole, sent
    yield from among_the_staff(mark, now)


def among_the_staff(mark: Marks, now: datetime) -> Iterator[tuple[str, str, Json, list[tuple[str, str, Json]]]]:
    """Yield a swap that is refused; handovers and summaries take minutes and a week to close (tests/activities)."""
    first, second = ({"id": id, "role": "agent"} for id in ("agent-1", "agent-2"))
    beside = [
        ("note", "agent-1", {"text": "?"}),
        ("attach", "agent-1", {"name": "?", "sha256": "0" * 64, "where": "?"}),
    ]
    begins, ends = (now + timedelta(days=days) for days in (5, 6))
    shift = {"id": "S-2", "starts_at": begins.isoformat(), "ends_at": ends.isoformat()}
    for kind, key, facts, commands in (
        (
            "swap", "swap-marked", {"initiator": first, "counterparty": second, "given": shift},
            [*beside, ("refuse", "agent-2", {"reason": "?"})],
        ),
    ):  # fmt: skip
        sent = [
            (name, by, marked(fields, mark, f"{kind}.{place}.{name}"))
            for place, (name, by, fields) in enumerate(commands)
        ]
        yield kind, key, marked(facts, mark, kind), sent


def marked(value: Any, mark: Marks, path: str) -> Any:
    """Put a mark of its own in the place of each question mark."""
    if isinstance(value, dict):
        return {name: marked(inner, mark, f"{path}.{name}") for name, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner, mark, f"{path}.{place}") for place, inner in enumerate(value)]
    return value.replace("?", mark(path)) if isinstance(value, str) and "?" in value else value


async def play(cases: CaseClient, mark: Marks) -> list[str]:
    """Play a case of each kind to its end; a command that its kind does not take now is passed over, and said."""
    done = []
    for kind, key, facts, commands in stories(mark):
        view = await cases.file(kind, {"key": key, "facts": facts})
        for name, by, fields in commands:
            body = {"by": {"id": by, "role": ROLES[by]}, **fields}
            if name != "hold_goods":
                await cases.command(view["id"], name, body)
                continue
            # It is forbidden always, and recorded; the refusal does not repeat its words.
            with pytest.raises(Refused) as refused:
                await cases.command(view["id"], name, body)
            assert not MARK.search(refused.value.message.encode())
        done.append(view["id"])
    return done


def found_in(folder: Path, *but: Path) -> dict[str, set[str]]:
    """The marks in the files of a folder, by the file."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in folder.rglob("*"):
        if file.is_file() and not any(file.is_relative_to(one) for one in but):
            hits = {hit.decode() for hit in MARK.findall(file.read_bytes())}
            if hits:
                found[str(file.relative_to(folder))] |= hits
    return dict(found)


async def found_in_tables(owner: asyncpg.Connection) -> dict[str, set[str]]:
    """The marks in the rows of all tables, by the table."""
    found = {}
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    for (table,) in tables:
        rows = await owner.fetch(f'SELECT t::text FROM "{table}" AS t')
        hits = {hit.decode() for row in rows for hit in MARK.findall(row[0].encode())}
        if hits:
            found[table] = hits
    return found


async def test_a_mark_in_every_field(tmp_path: Path) -> None:
    mark = Marks()
    contacts = tmp_path / "contacts.toml"
    contacts.write_text(
        "".join(f'[roles.{role}]\nemail = ["{role.replace("_", "-")}@example.com"]\n' for role in {*ROLES.values()})
    )
    data, metrics = tmp_path / "data", free_port(0)
    up = Up(data, given={"CASELADDER_CONTACTS": str(contacts), "CASELADDER_METRICS_PORT": str(metrics)})
    try:
        stack = running(data)
        assert stack is not None
        owner = await asyncpg.connect(stack.owner_url)
        async with Database.open(stack.database_url) as database:
            await DirectoryChanges(database).replace_people(PEOPLE, units=[Unit(id="hq")])
            cases = await CaseClient.connect(data)
            done = await play(cases, mark)
            await _payee(database, mark, next(one for one in done if one.startswith("claim:")))
            await _uploaded(database, mark, data, done[0])
            await _begun(database, mark)
            await _written(database, mark)
            await _settled(cases, database, done)
            used = {*mark.by_field.values()}

            tables = await found_in_tables(owner)
            assert set(tables) <= MEANT, {table: hits for table, hits in tables.items() if table not in MEANT}
            lost = used - set().union(*tables.values())
            assert not lost, [field for field, one in mark.by_field.items() if one in lost]
            assert await _elsewhere(up, cases.temporal, metrics, done) == {}
            assert found_in(data / "attachments")
            files = found_in(data, data / "postgres", data / "mail", data / "attachments")
            assert [name for name in files if "temporal" not in name.lower()] == []
            await _erased(database, cases.temporal, data, done)

            tables = await found_in_tables(owner)
            assert tables == {}
            assert [str(one) for one in (await Everything(database, second_look=0).verify()).faults] == []
            assert found_in(data / "mail") == found_in(data / "attachments") == {}
            for case_id in done:
                view = await Casebook(database).case(case_id)
                assert view is not None
                assert (view["status"], bool(view["erased_at"])) == ("closed", True)
        await _vacuumed(owner)
        await owner.close()
        assert up.stop(signal.SIGTERM) == 0
        up.end()
        # The engine's file is rewritten when it starts again.
        up = Up(data, given={"CASELADDER_CONTACTS": str(contacts)})
        assert up.stop(signal.SIGTERM) == 0
        assert found_in(tmp_path) == {}
    finally:
        up.end()


async def _payee(database: Database, mark: Marks, case_id: str) -> None:
    """Keep an account of somebody whom a claim may pay."""
    details = PayeeDetails(name=mark("payee.name"), account=mark("payee.account"), method="bank")
    await Payees(database).add(case_id, details)


async def _uploaded(database: Database, mark: Marks, data: Path, case_id: str) -> None:
    """Keep a file that somebody has uploaded to a case."""
    kept = Attachments(database, FolderStore(data / "attachments"))
    # It stands in no table.
    await kept.keep(case_id, f"{mark('complaint.name')} said on the phone".encode(), "request")


async def _begun(database: Database, mark: Marks) -> None:
    """Keep what somebody has begun to file for the same customer."""
    typed = {"customer.name": [mark("complaint.name")], "description": [mark("draft.description")]}
    draft = Draft("C-begun", "complaint", datetime.now(UTC), typed)
    await FilingDrafts(database).save("agent-1", draft, mark("complaint.ref"), mark.phone("complaint.phone"))


async def _written(database: Database, mark: Marks) -> None:
    """Keep what the same customer has written about no case, until somebody settles it."""
    message = Incoming("message", "mark@x", subject=mark("message.subject"), text=mark("message.text"))
    await Inbox(database).put(message, "message", {"phone": mark.phone("complaint.phone")})


async def _settled(cases: CaseClient, database: Database, done: list[str]) -> None:
    """Wait until each run has ended."""
    for case_id in done:
        handle = cases.temporal.get_workflow_handle(case_id)

        async def status(handle: Any = handle) -> Any:
            return (await handle.describe()).status

        await eventually(status, lambda one: one is WorkflowExecutionStatus.COMPLETED)


async def _elsewhere(up: Up, client: Client, metrics: int, done: list[str]) -> dict[str, set[str]]:
    """The marks in exports, in metrics, in what the engine lists, and in answers to what is wrong."""
    seen: dict[str, Any] = {}
    for what in ("cases", "events"):
        seen[what] = await asyncio.to_thread(up, "export", what, "--out", str(up.data.parent / f"{what}.csv"))
        assert seen[what].code == 0, seen[what].err
        seen[f"{what}.csv"] = (up.data.parent / f"{what}.csv").read_text("utf-8")
    async with httpx.AsyncClient(trust_env=False) as http:
        seen["metrics"] = (await http.get(f"http://127.0.0.1:{metrics}/metrics")).text
    assert "temporal" in seen["metrics"]
    seen["listed"] = [str(run.raw_info) async for run in client.list_workflows()]
    assert all(case_id in str(seen["listed"]) for case_id in done)
    for case_id in done:
        seen[case_id] = str((await client.get_workflow_handle(case_id).describe()).raw_description)
    return {
        name: {hit.decode() for hit in hits}
        for name, text in seen.items()
        if (hits := MARK.findall(str(text).encode()))
    }


async def _erased(database: Database, client: Client, data: Path, done: list[str]) -> None:
    """Erase the cases as two people do years later, and do what a worker does until nothing is left."""
    attachments = Attachments(database, FolderStore(data / "attachments"))
    erasure, later = Erasure(database), datetime.now(UTC) + timedelta(days=4 * 366)
    with pytest.raises(Refused, match="kept until"):
        await erasure.ask(QA, "customer", datetime.now(UTC), case_id=done[0])
    for case_id in done:
        asked = await erasure.ask(QA, "customer", later, case_id=case_id)
        await erasure.decide(asked["id"], GM, True, later)

    async def left() -> list[Any]:
        return list(await erasure.go_on(client, data / "mail", attachments, later))

    await eventually(left, lambda some: not some)
    for case_id in done:
        assert not [run async for run in client.list_workflows(f"WorkflowId = '{case_id}'")]


async def _vacuumed(owner: asyncpg.Connection) -> None:
    """Have PostgreSQL rewrite its tables, and let go of its log."""
    await owner.execute("ALTER SYSTEM SET wal_recycle = off")
    await owner.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
    await owner.execute("SELECT pg_reload_conf()")
    await owner.execute("VACUUM (FULL, ANALYZE)")
    for _ in range(3):
        await owner.execute("SELECT pg_switch_wal()")
        await owner.execute("CHECKPOINT")
        await asyncio.sleep(0.2)
