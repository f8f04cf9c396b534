"""Recording the events of a case in the append-only ledger: the activity ``record``.

Never imported by workflow code: the driver does not survive the workflow sandbox.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from json import loads
from typing import Any

import asyncpg
from temporalio import activity

from activities import erasure
from activities.casebook.errors import BadBatch, LedgerBehind, LedgerConflict, Recovering, Superseded
from activities.casebook.ledger import Head, chain, genesis
from activities.casebook.texts import COMMITMENT, PERSONAL, SALT, commitment, mark, seal, seal_as, written
from activities.database.database import Database, statement
from activities.messages import RECORD, Batch, Recorded, Sent
from cases.vocabulary.events import canonical

# What holds a case that was erased: no run does.
ERASED = "erased"
# A case number: its year, its month and the serial.
NUMBER = re.compile(r"(\d{4})-(0[1-9]|1[0-2])-(\d{4,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Entry:
    seq: int
    type: str
    at: datetime
    recorded_at: datetime
    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Number:
    """A case number to be given: the month in which it counts, and the serial if it is to be taken over."""

    year: int
    month: int
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A recorded row: its body, and the salts of its texts that were not erased."""

    body: str
    salts: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class _Known:
    """The part of a case that is recorded, with the rows of a batch."""

    number: str | None
    head: Head
    rows: dict[int, _Stored]


class Recorder:
    """Writes the casebook. Safe to share between tasks; every method raises what `Database.connection` does."""

    _RECORD = statement(__package__, "record")
    _RECORDED = statement(__package__, "recorded")
    _NUMBER = statement(__package__, "number_file")
    _CLASH = statement(__package__, "number_clash")
    _BEHIND = statement(__package__, "recovery_begin")
    _AGAIN = statement(erasure.__name__, "erasure_case_again")

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=RECORD)
    async def record(self, batch: Batch) -> Recorded:
        """Record the events of whole steps: all of it in one transaction, or nothing.

        What is already recorded with the same content is left alone, so a repeat is harmless, also one
        of all events from the first on. The first events of a case give it its number (S1-5.8): the one
        that it knows it was given, unless another case has got that meanwhile, or else the next one,
        from the month of the first event in that event's own offset. Where its events say the number, it has none
        until then, and none after where another case has got that one meanwhile.

        Raises:
            Superseded: another run holds the case.
            LedgerConflict: other content is recorded under a seq.
            LedgerBehind: events before the batch are missing. New numbers and payments wait from then on.
            Recovering: the case is new, and has to wait for its number.
            BadBatch: the batch is no run of events, or holds what PostgreSQL does not take.
        """
        entries, number = _entries(batch), _number(batch)
        async with self._database.recording() as connection:
            # A new case is most often recorded once, so the first try spares the look; a repeat is logged as an error.
            new = entries[0].seq == 1 and batch.number is None
            known = None if new else await self._known(connection, batch, entries)
            tried = -1
            while True:
                head = known.head if known else genesis(batch.case_id)
                if entries[0].seq > head.seq + 1:
                    await connection.execute(self._BEHIND)
                    raise LedgerBehind(
                        f"{batch.case_id} seq {entries[0].seq}: the ledger ends at seq {head.seq}, "
                        "so rows in between are missing",
                        head.seq,
                    )
                fresh = _fresh(batch, entries, known, head)
                if known and not fresh:
                    return Recorded(known.number, head.seq)
                if head.seq == tried:
                    raise LedgerConflict(
                        f"{batch.case_id}: the ledger holds rows after seq {head.seq}, where the case file ends: "
                        "verify the casebook"
                    )
                async with connection.transaction() if batch.numbered_later else nullcontext():
                    filed, given, waits = await self._append(connection, batch, fresh, head, number)
                    if filed and given is None and number is not None:
                        given = await self._number_it(connection, batch, number)
                if filed:
                    return Recorded(given, fresh[-1].seq)
                # Somebody else moved the head meanwhile, so the chain goes on from there.
                tried = head.seq
                known = await self._known(connection, batch, entries)
                if known is None and waits:
                    raise Recovering(f"{batch.case_id}: a new case waits for its number")

    async def _number_it(self, connection: asyncpg.Connection, batch: Batch, number: _Number) -> str | None:
        """Give a case the number that its event says; None where another case has it."""
        which = number.year, number.month, number.serial
        try:
            async with connection.transaction():
                given: str = await connection.fetchval(self._NUMBER, batch.case_id, batch.kind, *which)
                return given
        except asyncpg.UniqueViolationError:
            # Given twice, before and after an older casebook was restored: who came first keeps it.
            await connection.execute(self._CLASH, batch.case_id, batch.kind, batch.number)
            return None

    async def _known(self, connection: asyncpg.Connection, batch: Batch, entries: Sequence[_Entry]) -> _Known | None:
        """Return what is recorded of a case; None when nothing is.

        Raises:
            Superseded: another run holds the case.
        """
        rows = await connection.fetch(self._RECORDED, batch.case_id, entries[0].seq, entries[-1].seq)
        if not rows:
            return None
        if rows[0]["held_by"] not in (None, batch.run):
            if entries[0].seq > rows[0]["head_seq"] + 1:
                # It was told that the ledger has what lies between: an older one was restored, and its holder with it.
                await connection.execute(self._BEHIND)
            if rows[0]["held_by"] == ERASED:
                # This run began when the casebook was away, so nobody has told it; the engine has its intake.
                await connection.execute(self._AGAIN, batch.case_id)
            raise Superseded(batch.case_id)
        stored = {
            row["seq"]: _Stored(row["body"], {name: bytes.fromhex(salt) for name, salt in (row["salts"] or {}).items()})
            for row in rows
            if row["seq"] is not None
        }
        return _Known(rows[0]["number"], Head(rows[0]["head_seq"], rows[0]["head_hash"]), stored)

    async def _append(
        self,
        connection: asyncpg.Connection,
        batch: Batch,
        fresh: Sequence[_Entry],
        head: Head,
        number: _Number | None,
    ) -> tuple[bool, str | None, bool]:
        """Append to the chain that ends at ``head``.

        One statement is one transaction, and it only takes effect where the head is still the one
        that the hashes were computed from: as safe as a lock held over several round trips.

        Args:
            number: the one to be taken over, if it can be.

        Returns:
            Whether it was appended, which it is not when the chain ends elsewhere or another run holds the case; the
            case number, if the case has one; and whether a new case would have to wait for its number.
        """
        sent = [one for one in batch.sent if one.first >= fresh[0].seq]
        sealed = [seal(entry.event, _salts(entry, sent)) for entry in fresh]
        salt = os.urandom(SALT)
        if batch.personal is not None and fresh[0].seq == 1:
            salt = _salt_of(canonical(batch.personal), sent) or salt
            sealed[0][0]["data"][PERSONAL] = commitment(salt, canonical(batch.personal))
        bodies, texts = [canonical(event) for event, _ in sealed], [text for _, texts in sealed for text in texts]
        hashes = chain(head.hash, bodies)
        counted = number or _Number(fresh[0].at.year, fresh[0].at.month)
        # The last use of an id counts; what is recorded already has its requests.
        requests = {each.id: each for each in batch.requests if each.seq >= fresh[0].seq}
        salts = [os.urandom(SALT) for _ in requests]
        policy, intake_salt = batch.policy_document, os.urandom(SALT)
        try:
            row = await connection.fetchrow(
                self._RECORD,
                batch.case_id,
                batch.kind,
                batch.view,
                head.seq,
                head.hash,
                [entry.seq for entry in fresh],
                [entry.type for entry in fresh],
                [entry.at for entry in fresh],
                [entry.recorded_at for entry in fresh],
                bodies,
                hashes[:-1],
                hashes[1:],
                counted.year,
                counted.month,
                batch.personal,
                policy,
                None if policy is None else sha256(policy.encode()).hexdigest(),
                counted.serial,
                batch.number if number is None else None,
                batch.run,
                [text.seq for text in texts],
                [text.field for text in texts],
                [text.salt for text in texts],
                [text.text for text in texts],
                [request.seq for request in requests.values()],
                [request.id for request in requests.values()],
                salts,
                [mark(request.digest, salt) for request, salt in zip(requests.values(), salts, strict=True)],
                None if batch.intake is None else intake_salt,
                None if batch.intake is None else mark(batch.intake, intake_salt),
                None if batch.personal is None else salt,
                [one.first for one in sent],
                [one.seq for one in sent],
                [one.body for one in sent],
                batch.numbered_later,
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "case_file_number" and number is not None:
                # Given twice, before and after an older casebook was restored: who came first keeps it.
                return await self._append(connection, batch, fresh, head, None)
            if error.constraint_name not in ("case_file_pkey", "case_event_pkey", "case_text_pkey", "case_proof_pkey"):
                raise
            return False, None, False
        except (asyncpg.DataError, UnicodeEncodeError) as error:
            # The error quotes the value, which may be personal.
            raise BadBatch(
                f"{batch.case_id}: view, personal facts or events hold a value that PostgreSQL does not take "
                f"({type(error).__name__})"
            ) from None
        return row["filed"], row["number"], row["waits"]


def _salts(entry: _Entry, sent: Sequence[Sent]) -> dict[str, bytes]:
    """Return the salts that the sender of an event chose for its texts, by text."""
    by_whom = [one for one in sent if one.first <= entry.seq <= one.seq]
    if not by_whom:
        return {}
    texts = written(entry.type, entry.event["data"]).values()
    chosen = {text: _salt_of(text, by_whom) for text in texts}
    return {text: salt for text, salt in chosen.items() if salt is not None}


def _salt_of(text: str, sent: Sequence[Sent]) -> bytes | None:
    """Return the salt under which one of these senders has committed to a text."""
    for one in sent:
        for salt in map(bytes.fromhex, one.salts):
            if commitment(salt, text)[COMMITMENT] in one.body:
                return salt
    return None


def _entries(batch: Batch) -> list[_Entry]:
    """Return the events as rows to be.

    Raises:
        BadBatch: they are no events with consecutive seqs, or something beside them belongs elsewhere.
    """
    if not batch.events:
        raise BadBatch(f"{batch.case_id}: a batch holds at least one event")
    entries: list[_Entry] = []
    for place, event in enumerate(batch.events):
        try:
            entry = _Entry(
                int(event["seq"]),
                str(event["type"]),
                datetime.fromisoformat(event["at"]),
                datetime.fromisoformat(event["recorded_at"]),
                {**event, "data": dict(event["data"])},
            )
            written(entry.type, entry.event["data"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadBatch(
                f"{batch.case_id}: event {place} of the batch has no usable seq, type, at, data or recorded_at "
                f"({type(error).__name__})"
            ) from None
        if entry.at.tzinfo is None or entry.recorded_at.tzinfo is None:
            raise BadBatch(f"{batch.case_id} seq {entry.seq}: at and recorded_at need an offset")
        if entry.seq < 1 or (entries and entry.seq != entries[-1].seq + 1):
            raise BadBatch(f"{batch.case_id} seq {entry.seq}: seqs are consecutive and start at 1")
        # JSON allows it in a string; UTF-8, and so the hash and the database, do not.
        if not _is_utf8(canonical(event)):
            raise BadBatch(f"{batch.case_id} seq {entry.seq}: the event holds half a surrogate pair")
        entries.append(entry)
    first, last = entries[0].seq, entries[-1].seq
    if first != 1 and (batch.personal is not None or batch.intake is not None):
        raise BadBatch(f"{batch.case_id} seq {first}: personal facts and intake come beside seq 1 only")
    if not all(first <= request.seq <= last for request in batch.requests):
        raise BadBatch(f"{batch.case_id} seq {first} to {last}: a request belongs to one of the events")
    if not all(first <= one.first <= one.seq <= last for one in batch.sent):
        raise BadBatch(f"{batch.case_id} seq {first} to {last}: a proof belongs to events that were sent with it")
    return entries


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(batch: Batch) -> _Number | None:
    """Return the number that the case knows it was given.

    Raises:
        BadBatch: it is none.
    """
    if batch.number is None:
        return None
    match = NUMBER.fullmatch(batch.number)
    # Written as the casebook writes it: no more zeros than four digits need.
    if match is None or f"{int(match[3]):04}" != match[3] or not int(match[3]):
        raise BadBatch(f"{batch.case_id}: number = {batch.number[:40]!r}: allowed is what a case was given")
    return _Number(int(match[1]), int(match[2]), int(match[3]))


def _fresh(batch: Batch, entries: list[_Entry], known: _Known | None, head: Head) -> list[_Entry]:
    """Return the entries that are not yet recorded.

    Raises:
        LedgerConflict: one of the others is recorded with another content.
    """
    for entry in entries:
        if known and entry.seq <= head.seq and not _same(entry, known.rows.get(entry.seq)):
            raise LedgerConflict(f"{batch.case_id} seq {entry.seq}: another content is recorded under this seq")
    return [entry for entry in entries if entry.seq > head.seq]


def _same(entry: _Entry, stored: _Stored | None) -> bool:
    return stored is not None and stored.body == canonical(seal_as(entry.event, loads(stored.body), stored.salts))
