"""Checkpoints: what was changed behind the back of a ledger since one was signed, by somebody who hides it well."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from activities.access.access_log import AccessLog
from activities.audit.checkpoint import BadCheckpoint, read_envelope, sign
from activities.audit.handed_out import read_files
from activities.audit.keys import BadKeys, new_key, read_keys
from activities.audit.make import Checkpoints, Untrue
from activities.casebook.restored import Restored
from activities.messages import Batch
from tests.activities.forger import remove, rewrite
from tests.activities.ledger import RUN, batch, behind_the_back, event, restored, view_of
from tests.activities.record import A, B, C, Record, two_checkpoints
from tests.casebook import Book


@pytest.fixture
async def record(book: Book, superuser: asyncpg.Connection, tmp_path: Path) -> Record:
    return await two_checkpoints(book, superuser, tmp_path)


# --- making ---------------------------------------------------------------------------------------


async def test_a_checkpoint_says_what_the_ledger_was(record: Record) -> None:
    first, second = [one.signed for one in read_files([record.folder], record.keys)]
    one, two = first.checkpoint, second.checkpoint
    assert (one.number, one.events, one.cases, one.since, one.previous) == (1, 9, 3, "0-0", "")
    assert (two.number, two.events, two.cases, two.since, two.previous) == (2, 15, 3, one.position, first.hash)
    assert (one.ledger, one.epoch) == (two.ledger, two.epoch)
    assert (one.events_root, one.cases_root) != (two.events_root, two.cases_root)
    done = await record.compare(record.folder)
    assert (done.checkpoints, done.events, done.faults, done.notes) == (2, 15, [], [])
    # Nothing has come since.
    assert await record.checkpoint() == []


async def test_many_events_make_several_checkpoints_which_lead_to_the_same_trees(record: Record) -> None:
    whole = (await record.compare()).events, read_files([record.folder], record.keys)[-1].signed.checkpoint
    await behind_the_back(record.superuser, "TRUNCATE checkpoint, checkpoint_head")
    made = await record.checkpoint(most=4)
    assert [one.checkpoint.events for one in made] == [4, 8, 12, 15]
    last = made[-1].checkpoint
    assert (last.events_root, last.cases_root) == (whole[1].events_root, whole[1].cases_root)
    assert await record.faults() == []


async def test_the_last_files_alone_will_do(record: Record) -> None:
    assert await record.faults(record.newest()) == []
    together = record.folder / "all"
    together.write_bytes(b"".join(file.read_bytes() for file in sorted(record.folder.glob("*.checkpoint"))))
    assert await record.faults(together) == []


async def test_a_checkpoint_is_not_changed_in_the_casebook(record: Record) -> None:
    for statement in ("UPDATE checkpoint SET number = 7", "DELETE FROM checkpoint", "TRUNCATE checkpoint"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="checkpoint is append-only"):
            await record.superuser.execute(statement)


async def test_nothing_is_signed_that_does_not_follow_on_what_was(record: Record) -> None:
    await record.book.record(batch(6, 7, B))
    body = await record.superuser.fetchval("SELECT body FROM case_event WHERE case_id = $1 AND seq = 7", B)
    change = "UPDATE case_event SET body = {} WHERE case_id = 'complaint:B' AND seq = 7"
    await behind_the_back(record.superuser, change.format("replace(body, 'agent', 'agenT')"))
    with pytest.raises(Untrue, match="complaint:B seq 7: it does not follow on seq 6"):
        await record.checkpoint()
    await behind_the_back(record.superuser, change.format(f"'{body}'"))
    await behind_the_back(record.superuser, "UPDATE checkpoint_head SET seq = 4 WHERE case_id = 'complaint:A'")
    with pytest.raises(Untrue, match="the heads of the cases are not those that checkpoint 2 was signed over"):
        await record.checkpoint()
    await behind_the_back(record.superuser, "UPDATE checkpoint_head SET seq = 5 WHERE case_id = 'complaint:A'")
    assert len(await record.checkpoint()) == 1


# --- what is changed since ------------------------------------------------------------------------

Forgery = Callable[[asyncpg.Connection], Awaitable[None]]


async def _row(connection: asyncpg.Connection) -> None:
    await rewrite(connection, B, lambda events: events[1]["data"].update(text="nothing happened"))


async def _tail(connection: asyncpg.Connection) -> None:
    await rewrite(connection, B, lambda events: events.__delitem__(slice(3, None)))


async def _middle(connection: asyncpg.Connection) -> None:
    await rewrite(connection, B, lambda events: events.pop(1))


async def _forged(connection: asyncpg.Connection) -> None:
    await rewrite(connection, B, lambda events: events.insert(2, {**event(3), "data": {"text": "forged"}}))


async def _at_the_end(connection: asyncpg.Connection) -> None:
    # Among what was signed, as if it had been there then.
    await rewrite(connection, B, lambda events: events.append(event(6)))


async def _last_case(connection: asyncpg.Connection) -> None:
    await remove(connection, C)


async def _middle_case(connection: asyncpg.Connection) -> None:
    await remove(connection, B)


async def _renumbered(connection: asyncpg.Connection) -> None:
    await behind_the_back(
        connection,
        "UPDATE case_file SET number = '2026-03-0009' WHERE case_id = 'complaint:B'",
        "UPDATE case_file SET number = '2026-03-0002' WHERE case_id = 'complaint:C'",
        "UPDATE case_file SET number = '2026-03-0003' WHERE case_id = 'complaint:B'",
    )


async def _another_order(connection: asyncpg.Connection) -> None:
    await behind_the_back(
        connection,
        "UPDATE case_event AS a SET tx = b.tx, position = a.position + 1000000 FROM case_event AS b "
        "WHERE a.case_id = 'complaint:A' AND a.seq > 3 AND b.case_id = 'complaint:B' AND b.seq = 4",
    )


@pytest.mark.parametrize(
    ("forgery", "named"),
    [
        (_row, [(B, seq, "changed") for seq in (2, 3, 4, 5)]),
        (_tail, [(B, 4, "removed")]),
        (_middle, [(B, 2, "changed"), (B, 3, "changed"), (B, 4, "changed"), (B, 5, "removed")]),
        (_forged, [(B, 3, "changed"), (B, 4, "changed"), (B, 5, "changed"), (B, 6, "inserted")]),
        (_at_the_end, [(B, 6, "inserted")]),
        (_last_case, [(C, 1, "removed"), (C, 4, "removed"), ("", 0, "changed")]),
        (_middle_case, [(B, 1, "removed"), (C, 1, "renumbered"), (B, 4, "removed"), ("", 0, "changed")]),
        (_renumbered, [(B, 1, "renumbered"), (C, 1, "renumbered")]),
    ],
)
async def test_whoever_computes_every_hash_anew_is_found_out(
    record: Record, forgery: Forgery, named: list[tuple[str, int, str]]
) -> None:
    await forgery(record.superuser)
    # By itself the ledger is as good as ever.
    assert (await record.book.verify()).fault is None
    assert await record.faults() == named
    assert await record.faults(record.folder) == named
    # By a checkpoint that somebody else holds, whatever became of those in the casebook.
    await behind_the_back(record.superuser, "TRUNCATE checkpoint, checkpoint_head")
    gone = [("", 0, "removed")] * 2
    assert await record.faults(record.folder) == gone + named
    # And anew by a key of his own: then the old ones are still those that were handed out.
    await Checkpoints(record.book.database, new_key(record.folder.parent / "other.pem")).make()
    found = await record.faults(record.folder)
    assert found[-len(named) :] == named
    assert len(found) > len(named)


async def test_what_is_recorded_in_another_order_is_found(record: Record) -> None:
    await _another_order(record.superuser)
    assert (await record.book.verify()).fault is None
    assert set(await record.faults()) <= {(A, 4, "changed"), (A, 5, "changed"), (B, 4, "changed"), (B, 5, "changed")}
    assert "recorded in this order" in (await record.said())[0]


async def test_a_case_that_was_invented_among_the_others_is_found(record: Record) -> None:
    await record.book.record(batch(1, 2, "complaint:D"))
    assert await record.faults() == []
    await behind_the_back(
        record.superuser,
        "UPDATE case_event AS d SET tx = a.tx, position = a.position + 500000 + d.seq FROM case_event AS a "
        "WHERE d.case_id = 'complaint:D' AND a.case_id = 'complaint:A' AND a.seq = 1",
    )
    assert (await record.book.verify()).fault is None
    assert await record.faults() == [("complaint:D", 1, "inserted"), ("complaint:D", 2, "inserted")]


async def test_the_counter_is_not_lowered(record: Record) -> None:
    await record.superuser.execute("UPDATE case_number SET serial = 2")
    assert (await record.said()) == ["changed: the counter of complaint numbers was lowered: 2026-03-0003 was given"]


async def test_a_forgery_says_what_was_done(record: Record) -> None:
    await _middle_case(record.superuser)
    assert await record.said(record.newest()) == [
        "complaint:B seq 1: removed: the case with the number 2026-03-0002 is gone as a whole",
        "complaint:C seq 1: renumbered: it was given the number 2026-03-0003, it has 2026-03-0002 now",
        "complaint:B seq 4: removed: it was signed, and is gone",
        "changed: the counter of complaint numbers was lowered: 2026-03-0003 was given",
    ]


async def test_one_file_tells_that_something_before_it_was_changed(record: Record) -> None:
    await _row(record.superuser)
    await behind_the_back(record.superuser, "TRUNCATE checkpoint, checkpoint_head")
    said = await record.said(record.newest())
    assert "checkpoint 2 of" in said[0]
    assert said[1].startswith("changed: the first 9 events are not those that were signed: the checkpoints before")
    assert said[2:] == [f"complaint:B seq {seq}: changed: it is not the event that was signed" for seq in (4, 5)]


async def test_what_stands_beside_a_checkpoint_is_what_was_signed(record: Record) -> None:
    await _row(record.superuser)
    # Whoever changes the events beside a checkpoint too, is found by that, and by the checkpoint as a whole.
    await behind_the_back(
        record.superuser,
        "UPDATE checkpoint SET leaves = regexp_replace(leaves, '\\[\"complaint:B\"[^\\n]*\\n', '') WHERE number = 1",
    )
    said = await record.said()
    assert "the events beside it are not those it was signed over" in said[0]
    assert "the first 9 events are not those that were signed" in said[1]
    assert [fault for fault in await record.faults(record.folder) if fault[0]] == [
        (B, seq, "changed") for seq in (2, 3, 4, 5)
    ]


# --- checkpoints themselves -----------------------------------------------------------------------


async def test_a_checkpoint_that_is_gone_or_another_one_is_found(record: Record) -> None:
    await behind_the_back(record.superuser, "DELETE FROM checkpoint WHERE number = 1")
    assert (await record.said())[0] == "removed: checkpoint 1 is not in the casebook"
    await behind_the_back(record.superuser, "DELETE FROM checkpoint")
    assert await record.said() == []
    said = await record.said(record.folder)
    assert [line.partition(" of ")[0] for line in said] == ["removed: checkpoint 1", "removed: checkpoint 2"]


async def test_a_checkpoint_of_another_key_counts_for_nothing(record: Record, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other.pem")
    own = read_files([record.newest()], record.keys)[0].signed.checkpoint
    forged = sign(replace(own, cases=4), other)
    text = json.dumps(forged.envelope).replace("'", "''")
    await behind_the_back(record.superuser, f"UPDATE checkpoint SET envelope = '{text}' WHERE number = 2")
    assert f"its key '{other.id}' is not trusted" in (await record.said())[0]
    assert f"key '{other.id}' is not trusted" in (await record.said(record.folder))[0]
    with pytest.raises(Untrue, match=r"the last checkpoint in the casebook: .* is not trusted"):
        await record.checkpoint()
    as_ours = {**forged.envelope, "signatures": [{**forged.envelope["signatures"][0], "keyid": record.keys.id}]}
    with pytest.raises(BadCheckpoint, match="checkpoint 2: its signature is wrong"):
        read_envelope(as_ours, record.keys)


async def test_files_that_are_no_checkpoints_are_refused(record: Record, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadCheckpoint, match="holds no file"):
        await record.compare(empty)
    for content in ("", "{}\n", "[]\n", "x\n", '{"peaks":[]}\n'):
        file = tmp_path / "bad"
        file.write_text(content)
        with pytest.raises(BadCheckpoint, match="bad: this is no checkpoint"):
            await record.compare(file)


async def test_any_changed_byte_of_a_file_is_refused_or_named(record: Record, tmp_path: Path) -> None:
    whole, file = record.newest().read_bytes(), tmp_path / "changed"
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            (one, *rest) = read_files([file], record.keys)
        except BadCheckpoint:
            continue
        assert not rest
        # Spaces and signs that mean nothing aside, what is signed is the same.
        assert one.signed.hash == read_files([record.newest()], record.keys)[0].signed.hash


async def test_a_signed_head_alone_is_compared_as_a_whole(record: Record, tmp_path: Path) -> None:
    whole, mailed = record.newest().read_bytes(), tmp_path / "mailed"
    mailed.write_bytes(whole[: whole.index(b"\n") + 1])
    # The casebook has the events that it lacks.
    assert await record.said(mailed) == []
    await _row(record.superuser)
    assert await record.faults(mailed) == [(B, seq, "changed") for seq in (2, 3, 4, 5)]
    await behind_the_back(record.superuser, "TRUNCATE checkpoint, checkpoint_head")
    said = await record.said(mailed)
    assert "checkpoint 2 of" in said[0]
    assert "the first 15 events are not those that were signed" in said[-1]


# --- keys -----------------------------------------------------------------------------------------


async def test_keys_rotate_and_old_ones_stay_good(record: Record, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    record.keys = new_key(file)
    assert len(record.keys.trusted) == 2
    await record.book.record(batch(6, 6, A))
    (third,) = await record.checkpoint()
    assert third.key == record.keys.id
    assert await record.faults(record.folder) == []
    # What auditors are given signs nothing, and is enough to check.
    public = tmp_path / "public.pem"
    public.write_text(record.keys.public_pem())
    record.keys = read_keys(public)
    assert await record.faults(record.folder) == []
    with pytest.raises(BadKeys, match="no private key"):
        await record.checkpoint()


async def test_a_lost_key_leaves_what_it_signed_to_whoever_has_its_public_half(record: Record, tmp_path: Path) -> None:
    public = record.keys.public_pem()
    (tmp_path / "key.pem").unlink()
    record.keys = new_key(tmp_path / "key.pem")
    assert "is not trusted" in (await record.said())[0]
    with (tmp_path / "key.pem").open("a") as kept:
        kept.write(public)
    record.keys = read_keys(tmp_path / "key.pem")
    await record.book.record(batch(6, 6, A))
    await record.checkpoint()
    assert await record.faults(record.folder) == []


@pytest.mark.parametrize("content", ["", "x", "-----BEGIN PRIVATE KEY-----\nMAo=\n-----END PRIVATE KEY-----\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key.pem"
    with pytest.raises(BadKeys, match="No such file"):
        read_keys(file)
    file.write_text(content)
    with pytest.raises(BadKeys, match=r"key\.pem: allowed are PEM blocks of Ed25519 keys"):
        read_keys(file)
    with pytest.raises(BadKeys):
        new_key(file)
    assert file.read_text() == content


# --- recoveries -----------------------------------------------------------------------------------


async def _set_back(record: Record, declared: bool) -> None:
    """The casebook as it was after the first checkpoint, while the second was handed out."""
    for case_id in (A, B, C):
        await restored(record.superuser, case_id, 3)
    await behind_the_back(
        record.superuser,
        "DELETE FROM checkpoint WHERE number = 2",
        "UPDATE checkpoint_head AS h SET seq = 3, hash = e.hash FROM case_event AS e "
        "WHERE e.case_id = h.case_id AND e.seq = 3",
    )
    if declared:
        await Restored(record.book.database).begin()


async def test_a_recovery_begins_an_epoch_that_names_what_it_replaced(record: Record) -> None:
    await _set_back(record, declared=True)
    await Restored(record.book.database).end()
    await record.book.record(batch(4, 6, A, text="after the restore"))
    (signed,) = await record.checkpoint()
    own = signed.checkpoint
    assert (own.number, own.epoch.number, own.epoch.after, own.events) == (2, 2, 1, 12)
    done = await record.compare(record.folder)
    assert (done.checkpoints, done.faults) == (2, [])
    (note,) = done.notes
    assert note.startswith("checkpoint 2 of ")
    assert f"was replaced: the recovery of {own.epoch.began_at} went on from checkpoint 1" in note
    # The files alone say the same, whichever of the two is read first.
    kept = await record.superuser.fetch("SELECT * FROM checkpoint")
    await behind_the_back(record.superuser, "TRUNCATE checkpoint")
    alone = await record.compare(record.folder)
    assert alone.notes == done.notes
    assert [str(fault).partition(" of ")[0] for fault in alone.faults] == [
        "removed: checkpoint 1",
        "removed: checkpoint 2",
    ]
    await record.superuser.executemany(
        "INSERT INTO checkpoint VALUES ($1, $2, $3, $4, $5)", [tuple(row) for row in kept]
    )
    # The epoch goes on, and a further recovery begins a further one.
    await record.book.record(batch(7, 7, A))
    (third,) = await record.checkpoint()
    assert third.checkpoint.epoch == own.epoch
    await Restored(record.book.database).begin()
    (fourth,) = await record.checkpoint()
    assert (fourth.checkpoint.epoch.number, fourth.checkpoint.epoch.after) == (3, 3)
    assert await record.faults(record.folder) == []


async def test_a_ledger_that_was_set_back_in_silence_is_found(record: Record) -> None:
    await _set_back(record, declared=False)
    assert await record.faults() == []
    said = await record.said(record.folder)
    assert "checkpoint 2 of" in said[0]
    assert said[1:] == [f"complaint:{key} seq 4: removed: it was signed, and is gone" for key in "ABC"]
    await record.book.record(batch(4, 4, A, text="otherwise"))
    await record.checkpoint()
    said = await record.said(record.folder)
    assert "the casebook holds another checkpoint 2 than the one of" in said[0] or "two checkpoints 2" in said[1]
    # A recovery that is declared later replaces nothing that was signed before what it goes on from.
    await Restored(record.book.database).begin()
    await record.checkpoint()
    assert await record.faults(record.folder)


# --- the log of looks -----------------------------------------------------------------------------


@pytest.fixture
async def looked_at(record: Record) -> Record:
    """A record with three looks at personal data, the first two of which a checkpoint knows."""
    opening = Batch("claim:L", "claim", [event(1)], view_of("claim:L"), RUN, {"customer": {"name": "张三"}})
    await record.book.record(opening)
    log = AccessLog(record.book.database)
    for who in ("agent-1", "agent-2"):
        await log.look("claim:L", who, "agent", masked=False)
    await record.checkpoint()
    await log.look("claim:L", "agent-3", "agent", masked=True)
    return record


async def test_a_checkpoint_knows_the_log_of_looks(looked_at: Record) -> None:
    last = await looked_at.superuser.fetchrow("SELECT id, hash FROM personal_look ORDER BY id OFFSET 1 LIMIT 1")
    own = read_files([looked_at.newest()], looked_at.keys)[0].signed.checkpoint
    assert (own.looks, own.looks_hash) == (last["id"], last["hash"].hex())
    assert await looked_at.faults() == []
    # A look by itself is worth a checkpoint.
    assert len(await looked_at.checkpoint()) == 1
    assert await looked_at.checkpoint() == []


async def test_a_look_that_is_gone_or_was_changed_is_found(looked_at: Record) -> None:
    await behind_the_back(
        looked_at.superuser,
        "UPDATE personal_look SET caller = 'nobody' WHERE caller = 'agent-1'",
        # Every hash anew, in order.
        """DO $$ DECLARE l personal_look; last bytea := ''; BEGIN
           FOR l IN SELECT * FROM personal_look ORDER BY id LOOP
               last := personal_look_hash(last, l.id, l.case_id, l.caller, l.role, l.masked, l.at);
               UPDATE personal_look SET hash = last WHERE id = l.id;
           END LOOP; END $$""",
    )
    (said,) = await looked_at.said()
    assert "the log of looks is another one up to look" in said
    await behind_the_back(looked_at.superuser, "DELETE FROM personal_look WHERE caller = 'agent-2'")
    (said,) = await looked_at.said()
    assert "at personal data, which checkpoint 3 knows, is gone" in said
