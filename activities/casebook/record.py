"""Recording the events of a case in the append-only ledger: the activity ``record``.

Never imported by workflow code: the driver does not survive the workflow sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import asyncpg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.ledger import Head, chain, genesis
from activities.database.database import Database, statement
from activities.messages import RECORD, Batch, Recorded
from cases.vocabulary.events import canonical


class LedgerConflict(ApplicationError):
    """Raised when a batch conflicts with the ledger. Never retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="LedgerConflict", non_retryable=True)


class BadBatch(ApplicationError):
    """Raised when a batch can never be recorded, whatever the ledger holds. Never retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="BadBatch", non_retryable=True)


@dataclass(frozen=True, slots=True)
class _Entry:
    seq: int
    type: str
    at: datetime
    recorded_at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class _Known:
    """The part of a case that is recorded, with the rows of a batch."""

    number: str
    head: Head
    bodies: dict[int, str]


class Recorder:
    """Writes the casebook. Safe to share between tasks; every method raises what `Database.connection` does."""

    _RECORD = statement(__package__, "record")
    _RECORDED = statement(__package__, "recorded")
    _ERASE = statement(__package__, "personal_erase")

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=RECORD)
    async def record(self, batch: Batch) -> Recorded:
        """Record the events of one step: all of it in one transaction, or nothing.

        What is already recorded with the same content is left alone, so a repeat is harmless. The
        first events of a case give it its number (S1-5.8), from the month of the first event in that
        event's own offset.

        Raises:
            LedgerConflict: other content is recorded under a seq, or events before the batch are missing.
            BadBatch: the batch is no run of events, or holds what PostgreSQL does not take.
        """
        entries = _entries(batch)
        async with self._database.recording() as connection:
            # A case is most often opened once, so the first try spares the look.
            known = None if entries[0].seq == 1 else await self._known(connection, batch, entries)
            tried = -1
            while True:
                head = known.head if known else genesis(batch.case_id)
                fresh = _fresh(batch, entries, known, head)
                if known and not fresh:
                    return Recorded(known.number, head.seq)
                if head.seq == tried:
                    raise LedgerConflict(
                        f"{batch.case_id}: the ledger holds rows after seq {head.seq}, where the case file ends: "
                        "verify the casebook"
                    )
                number = await self._append(connection, batch, fresh, head)
                if number is not None:
                    return Recorded(number, fresh[-1].seq)
                # Somebody else moved the head meanwhile, so the chain goes on from there.
                tried = head.seq
                known = await self._known(connection, batch, entries)

    async def _known(self, connection: asyncpg.Connection, batch: Batch, entries: Sequence[_Entry]) -> _Known | None:
        rows = await connection.fetch(self._RECORDED, batch.case_id, entries[0].seq, entries[-1].seq)
        if not rows:
            return None
        bodies = {row["seq"]: row["body"] for row in rows if row["seq"] is not None}
        return _Known(rows[0]["number"], Head(rows[0]["head_seq"], rows[0]["head_hash"]), bodies)

    async def _append(
        self, connection: asyncpg.Connection, batch: Batch, fresh: Sequence[_Entry], head: Head
    ) -> str | None:
        """Append to the chain that ends at ``head``; None when it ends elsewhere.

        One statement is one transaction, and it only takes effect where the head is still the one
        that the hashes were computed from: as safe as a lock held over several round trips.
        """
        hashes = chain(head.hash, (entry.body for entry in fresh))
        opening = fresh[0].at
        policy = batch.policy_document
        try:
            number: str | None = await connection.fetchval(
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
                [entry.body for entry in fresh],
                hashes[:-1],
                hashes[1:],
                opening.year,
                opening.month,
                batch.personal,
                policy,
                None if policy is None else sha256(policy.encode()).hexdigest(),
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name not in ("case_file_pkey", "case_event_pkey"):
                raise
            return None
        except (asyncpg.DataError, UnicodeEncodeError) as error:
            # The error quotes the value, which may be personal.
            raise BadBatch(
                f"{batch.case_id}: view, personal facts or events hold a value that PostgreSQL does not take "
                f"({type(error).__name__})"
            ) from None
        return number

    async def erase_personal(self, case_id: str) -> bool:
        """Erase the personal facts of a case; the ledger and its chain stay as they are.

        Returns:
            Whether there was something to erase.
        """
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(self._ERASE, case_id))


def _entries(batch: Batch) -> list[_Entry]:
    """Return the events as rows to be.

    Raises:
        BadBatch: they are no events with consecutive seqs.
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
                canonical(event),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadBatch(
                f"{batch.case_id}: event {place} of the batch has no usable seq, type, at or recorded_at "
                f"({type(error).__name__})"
            ) from None
        if entry.at.tzinfo is None or entry.recorded_at.tzinfo is None:
            raise BadBatch(f"{batch.case_id} seq {entry.seq}: at and recorded_at need an offset")
        if entry.seq < 1 or (entries and entry.seq != entries[-1].seq + 1):
            raise BadBatch(f"{batch.case_id} seq {entry.seq}: seqs are consecutive and start at 1")
        # JSON allows it in a string; UTF-8, and so the hash and the database, do not.
        if not _is_utf8(entry.body):
            raise BadBatch(f"{batch.case_id} seq {entry.seq}: the event holds half a surrogate pair")
        entries.append(entry)
    if batch.personal is not None and entries[0].seq != 1:
        raise BadBatch(f"{batch.case_id} seq {entries[0].seq}: personal facts come beside seq 1 only")
    return entries


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fresh(batch: Batch, entries: list[_Entry], known: _Known | None, head: Head) -> list[_Entry]:
    """Return the entries that are not yet recorded.

    Raises:
        LedgerConflict: one of the others is recorded with another content, or rows in between are missing.
    """
    for entry in entries:
        if known and entry.seq <= head.seq and known.bodies.get(entry.seq) != entry.body:
            raise LedgerConflict(f"{batch.case_id} seq {entry.seq}: another content is recorded under this seq")
    if entries[0].seq > head.seq + 1:
        raise LedgerConflict(
            f"{batch.case_id} seq {entries[0].seq}: the ledger ends at seq {head.seq}, so rows in between are missing"
        )
    return [entry for entry in entries if entry.seq > head.seq]
