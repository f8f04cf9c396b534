"""What somebody tries who owns the database and has read how the audit works."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from activities.audit.checkpoint import BadCheckpoint
from activities.audit.everything import Everything
from activities.audit.handed_out import read_files
from activities.audit.make import Untrue
from activities.casebook.restored import Restored
from activities.database.migrate import migrate
from activities.policies.store import Policies
from tests.activities.forger import rewrite
from tests.activities.ledger import batch, behind_the_back, event, restored
from tests.activities.record import A, B, C, Record, two_checkpoints
from tests.casebook import Book, open_book
from tests.postgres import Cluster

DEFAULT = Policies().load("default")


@pytest.fixture
async def record(book: Book, superuser: asyncpg.Connection, tmp_path: Path) -> Record:
    return await two_checkpoints(book, superuser, tmp_path)


@pytest.fixture
async def broken(postgres: Cluster, tmp_path: Path) -> AsyncIterator[Record]:
    """The same on a database of its own, whose constraints may be taken away."""
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    superuser = await asyncpg.connect(dsn)
    async with open_book(dsn) as book:
        yield await two_checkpoints(book, superuser, tmp_path)
    await superuser.close()


# --- places that no checkpoint reaches ------------------------------------------------------------


@pytest.mark.parametrize("place", ["tx = -7, position = position", "tx = 0, position = 0", "tx = 1::bigint << 60"])
async def test_a_case_that_stands_where_no_checkpoint_looks_is_found(record: Record, place: str) -> None:
    """Before the first event of all, or after every transaction that there can have been."""
    await record.book.record(batch(1, 1, "complaint:D"))
    await behind_the_back(record.superuser, f"UPDATE case_event SET {place} WHERE case_id = 'complaint:D'")
    assert (await record.book.verify()).fault is None
    assert await record.faults(record.folder) == [("complaint:D", 1, "inserted")]
    (said,) = await record.said(record.folder)
    assert said == "complaint:D seq 1: inserted: it stands outside of the order of recording"


async def test_a_case_that_goes_on_where_no_checkpoint_looks_is_found(record: Record) -> None:
    await rewrite(record.superuser, B, lambda events: events.append(event(6)))
    await behind_the_back(record.superuser, "UPDATE case_event SET tx = -7 WHERE case_id = 'complaint:B' AND seq = 6")
    assert (await record.book.verify()).fault is None
    assert await record.faults(record.folder) == [(B, 6, "inserted")]


async def test_a_row_that_stands_twice_is_found(broken: Record) -> None:
    await behind_the_back(
        broken.superuser,
        "ALTER TABLE case_event DROP CONSTRAINT case_event_pkey CASCADE",
        "DROP INDEX case_event_order",
        "CREATE TABLE spare AS SELECT * FROM case_event WHERE case_id = 'complaint:C' AND seq = 5",
        "INSERT INTO case_event SELECT (spare).* FROM spare",
    )
    assert (C, 5, "inserted") in await broken.faults(broken.folder)


# --- recoveries that did not happen ---------------------------------------------------------------


async def _forge_back_to_the_first(record: Record) -> None:
    """The casebook as after the first checkpoint, with the heads that it was signed over."""
    for case_id in (A, B, C):
        await restored(record.superuser, case_id, 3)
    await behind_the_back(
        record.superuser,
        "DELETE FROM checkpoint WHERE number > 1",
        "UPDATE checkpoint_head AS h SET seq = 3, hash = e.hash FROM case_event AS e "
        "WHERE e.case_id = h.case_id AND e.seq = 3",
    )


async def test_a_recovery_of_the_future_replaces_nothing_that_comes(record: Record) -> None:
    await record.superuser.execute("INSERT INTO ledger_epoch (number, began_at) VALUES (2, '2999-01-01')")
    (third,) = await record.checkpoint()
    own = third.checkpoint
    assert own.epoch.number == 2
    assert own.epoch.began_at is not None
    assert abs(datetime.fromisoformat(own.epoch.began_at) - datetime.now(UTC)) < timedelta(minutes=1)
    await record.book.record(batch(6, 6, A))
    await record.checkpoint()
    # The fourth is taken back, and made anew with something else.
    await restored(record.superuser, A, 5)
    await behind_the_back(
        record.superuser,
        "DELETE FROM checkpoint WHERE number > 3",
        "UPDATE checkpoint_head AS h SET seq = 5, hash = e.hash FROM case_event AS e "
        "WHERE e.case_id = h.case_id AND e.seq = 5",
    )
    await record.book.record(batch(6, 6, A, text="otherwise"))
    await record.checkpoint()
    said = await record.compare(record.folder)
    assert said.notes == []
    assert (A, 6, "changed") in [(fault.case_id, fault.seq, fault.what) for fault in said.faults]


async def test_a_recovery_without_an_end_is_signed_as_of_now(record: Record) -> None:
    await record.superuser.execute("INSERT INTO ledger_epoch (number, began_at) VALUES (2, 'infinity')")
    (third,) = await record.checkpoint()
    assert third.checkpoint.epoch.began_at is not None
    assert datetime.fromisoformat(third.checkpoint.epoch.began_at).year == datetime.now(UTC).year


async def test_a_recovery_replaces_nothing_of_its_own_epoch(record: Record) -> None:
    await Restored(record.book.database).begin()
    await Restored(record.book.database).end()
    (third,) = await record.checkpoint()
    await record.book.record(batch(6, 6, B))
    (fourth,) = await record.checkpoint()
    assert fourth.checkpoint.epoch == third.checkpoint.epoch
    await behind_the_back(record.superuser, "DELETE FROM checkpoint WHERE number = 4")
    done = await record.compare(record.folder)
    assert done.notes == []
    assert [str(fault).partition(" of ")[0] for fault in done.faults] == ["removed: checkpoint 4"]


# --- files that were changed or cut ---------------------------------------------------------------


async def test_a_file_that_was_cut_or_changed_anywhere_is_named_and_breaks_nothing(
    record: Record, tmp_path: Path
) -> None:
    """With every kind of byte, also where it is no text any more."""
    whole, file = record.newest().read_bytes(), tmp_path / "changed"
    variants = [whole[:end] for end in range(0, len(whole), 61)]
    variants += [whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :] for at in range(0, len(whole), 37)]
    variants += [whole + b'["x\n', whole + b"\xff\n", whole + b"[" * 200_000 + b"\n", b"[" * 200_000]
    for content in variants:
        file.write_bytes(content)
        try:
            done = await record.compare(file)
        except BadCheckpoint:
            continue
        # The ledger itself is right, and the casebook still has what the file lacks.
        assert not [fault for fault in done.faults if fault.case_id]


async def test_a_head_that_was_mailed_is_no_fault_where_the_casebook_has_nothing(
    record: Record, tmp_path: Path
) -> None:
    whole, mailed = record.newest().read_bytes(), tmp_path / "mailed"
    mailed.write_bytes(whole[: whole.index(b"\n") + 1])
    await behind_the_back(record.superuser, "TRUNCATE checkpoint, checkpoint_head")
    (said,) = await record.said(mailed)
    assert "checkpoint 2 of" in said
    # A file beside it has the events, whichever comes first.
    for files in ((mailed, record.newest()), (record.newest(), mailed)):
        assert len(await record.said(*files)) == 1
    await rewrite(record.superuser, B, lambda events: events[4]["data"].update(text="nothing happened"))
    for files in ((mailed, record.newest()), (record.newest(), mailed)):
        assert (B, 5, "changed") in await record.faults(*files)


def _envelope(**changes: object) -> str:
    tree = {"size": 0, "root": ""}
    payload = {
        "ledger": "", "number": 1, "epoch": {"number": 1, "began_at": None, "after": 0}, "at": "2026-01-01T00:00:00Z",
        "since": "0-0", "position": "0-0", "events": tree, "cases": tree, "looks": {"last": 0, "hash": ""},
        "previous": "", **changes,
    }  # fmt: skip
    text = json.dumps(payload).encode()
    signature = {"keyid": "x", "sig": ""}
    envelope = {"payload": base64.b64encode(text).decode(), "payloadType": "x", "signatures": [signature]}
    return json.dumps({**envelope, "peaks": []}) + "\n"


@pytest.mark.parametrize(
    "line",
    [
        _envelope(number=float("inf")),
        _envelope(number=float("nan")),
        _envelope(epoch=1),
        _envelope(at=1),
        "1\n",
        "null\n",
    ],
)
async def test_numbers_that_are_none_are_no_checkpoint(record: Record, tmp_path: Path, line: str) -> None:
    file = tmp_path / "bad"
    file.write_text(line)
    with pytest.raises(BadCheckpoint, match="bad: this is no checkpoint"):
        read_files([file], record.keys)


# --- what stands in the casebook ------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE checkpoint SET peaks = '{NULL,NULL}'",
        "UPDATE checkpoint SET peaks = '{}'",
        "UPDATE checkpoint SET leaves = repeat('[', 200000)",
        "UPDATE checkpoint SET envelope = repeat('[', 200000)",
        "UPDATE checkpoint SET envelope = 'null'",
        "UPDATE checkpoint SET envelope = '[]'",
        "UPDATE checkpoint SET number = number + 7",
    ],
)
async def test_nonsense_in_the_casebook_is_named(record: Record, change: str) -> None:
    await behind_the_back(record.superuser, change)
    assert await record.faults()
    # What was handed out is still good.
    assert {fault[0] for fault in await record.faults(record.folder)} <= {""}
    # A worker says that it signs nothing, and goes on.
    await record.book.record(batch(6, 6, A))
    with pytest.raises((Untrue, BadCheckpoint)):
        await record.checkpoint()
    if "envelope" in change:
        done = await Everything(record.book.database, record.keys, second_look=0).verify()
        assert [fault for fault in done.faults if "the last checkpoint in the casebook" in fault.detail]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
@pytest.mark.parametrize("at", ["infinity", "-infinity"])
async def test_a_look_without_a_date_is_named(
    record: Record, at: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    await record.superuser.execute(
        "INSERT INTO personal_look (case_id, caller, role, masked) VALUES ('complaint:A', 'agent-1', 'agent', true)"
    )
    await record.checkpoint()
    await behind_the_back(record.superuser, f"UPDATE personal_look SET at = '{at}'")
    try:
        done = await Everything(record.book.database, record.keys, second_look=0).verify(full=True)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [fault for fault in done.faults if "look" in fault.detail], done.faults


@pytest.mark.timeout(20)
async def test_a_counter_that_was_raised_without_bound_is_named_soon(record: Record) -> None:
    """Who writes may raise it."""
    await record.superuser.execute("UPDATE case_number SET serial = 2147483647")
    fault = (await record.book.verify()).fault
    assert str(fault) == "removed: the case with the number complaint 2026-03-0004 is gone"


@pytest.mark.parametrize(
    "change",
    [
        "case_event ALTER body DROP NOT NULL: body = NULL",
        "case_event ALTER prev_hash DROP NOT NULL: prev_hash = NULL",
        "case_event: body = repeat('[', 100000)",
        "case_event DROP CONSTRAINT case_event_pkey CASCADE, ALTER case_id DROP NOT NULL: case_id = NULL",
        "case_file DROP CONSTRAINT case_file_pkey CASCADE, ALTER case_id DROP NOT NULL: case_id = NULL",
        "case_event: at = '0001-01-01 BC'",
        "case_event: recorded_at = 'infinity'",
        "case_file ALTER head_hash DROP NOT NULL: head_hash = NULL",
    ],
)
async def test_rows_that_cannot_be_read_are_named(broken: Record, change: str) -> None:
    table, _, assignment = change.partition(": ")
    name, _, alter = table.partition(" ")
    where = " AND seq = 2" if name == "case_event" else ""
    await behind_the_back(
        broken.superuser,
        *([f"ALTER TABLE {table}"] if alter else []),
        f"UPDATE {name} SET {assignment} WHERE case_id = 'complaint:B'{where}",
    )
    done = await Everything(broken.book.database, broken.keys, second_look=0).verify(full=True)
    named = [fault.case_id for fault in done.faults if "make no case" not in fault.detail]
    assert B in named
    assert (await broken.book.verify()).fault is not None
    await broken.faults(broken.folder)


async def test_a_policy_under_another_name_is_named(record: Record) -> None:
    await record.superuser.execute("INSERT INTO policy VALUES ($1, 'other', $2)", DEFAULT.hash, DEFAULT.document)
    done = await Everything(record.book.database, record.keys, second_look=0).verify(full=True)
    assert f"changed: the policy {DEFAULT.hash} has another name" in map(str, done.faults)


async def test_an_event_that_stands_nowhere_is_found(broken: Record) -> None:
    await broken.book.record(batch(1, 1, "complaint:D"))
    await behind_the_back(
        broken.superuser,
        "ALTER TABLE case_event ALTER tx DROP NOT NULL",
        "UPDATE case_event SET tx = NULL WHERE case_id = 'complaint:D'",
    )
    assert await broken.faults(broken.folder) == [("complaint:D", 1, "inserted")]


async def test_a_counter_that_holds_nothing_is_named(broken: Record) -> None:
    await behind_the_back(
        broken.superuser,
        "ALTER TABLE case_number ALTER serial DROP NOT NULL",
        "UPDATE case_number SET serial = NULL",
    )
    assert "changed: the counter of complaint numbers was lowered: 2026-03-0003 was given" in await broken.said()
