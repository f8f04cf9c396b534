"""The casebook on PostgreSQL: an append-only ledger of events, and what is read off it.

Never imported by workflow code: the driver does not survive the workflow sandbox.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from json import loads
from typing import Any

import asyncpg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.ledger import Fault, Head, Row, chain, check, genesis
from activities.database.pool import connection_of, open_pool, statement
from activities.messages import RECORD, Batch, Recorded
from cases.vocabulary.events import canonical

# Rows fetched at once by an audit.
PREFETCH = 1000


class LedgerConflict(ApplicationError):
    """What is to be recorded contradicts what is recorded; no retry will help, so there is none."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="LedgerConflict", non_retryable=True)


class BadBatch(ApplicationError):
    """A batch that can never be recorded, whatever the ledger holds; not retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="BadBatch", non_retryable=True)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the cases of a list. ``after`` asks for the next page; None on the last one."""

    cases: list[dict[str, Any]]
    after: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit looked at, up to and including the first bad row, and that row."""

    cases: int
    events: int
    fault: Fault | None

    @property
    def ok(self) -> bool:
        """Whether everything is as it was recorded."""
        return self.fault is None


@dataclass(frozen=True, slots=True)
class _Entry:
    seq: int
    type: str
    at: datetime
    recorded_at: datetime
    body: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database has of a case and of the rows of a batch."""

    number: str
    head: Head
    bodies: dict[int, str]


class Casebook:
    """Reads and writes the casebook. Safe to share between tasks.

    Every method raises `DatabaseAway` when the database cannot serve.
    """

    _RECORD = statement(__package__, "record")
    _RECORDED = statement(__package__, "recorded")
    _LIST = statement(__package__, "list_cases")
    _CASE = statement(__package__, "case")
    _BY_NUMBER = statement(__package__, "by_number")
    _EVENTS = statement(__package__, "events")
    _MONTH = statement(__package__, "month")
    _ASSIGNED_FOR = statement(__package__, "handover_assigned")
    _POLICY = statement(__package__, "policy_document")
    _NOTICES = statement(__package__, "notices")
    _PERSONAL = statement(__package__, "personal")
    _ERASE = statement(__package__, "erase_personal")
    _VERIFY_HEADS = statement(__package__, "verify_heads")
    _VERIFY_ROWS = statement(__package__, "verify_rows")
    _VERIFY_NUMBERS = statement(__package__, "verify_numbers")

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    # --- writing ----------------------------------------------------------------------------------

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
        async with connection_of(self._pool) as connection:
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
        async with connection_of(self._pool) as connection:
            return bool(await connection.fetchval(self._ERASE, case_id))

    # --- reading ----------------------------------------------------------------------------------

    async def list_cases(
        self,
        *,
        kind: str | None = None,
        status: str | None = None,
        rung: str | None = None,
        holder: str | None = None,
        unit: str | None = None,
        severity: str | None = None,
        breached: str | None = None,
        is_open: bool | None = None,
        due_by: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """One page of case views, what is due first comes first; every filter given must hold.

        Args:
            breached: the name of a clock that was breached.
            due_by: an aware instant; only cases whose next deadline is not later.
            limit: 1 to 1000 cases.
            after: `Page.after` of the page before.

        Raises:
            ValueError: ``limit``, ``after`` or ``due_by`` is not what it may be.
        """
        if not 1 <= limit <= 1000:
            raise ValueError(f"limit = {limit}: allowed is 1 to 1000")
        if due_by is not None and due_by.tzinfo is None:
            raise ValueError(f"due_by = {due_by.isoformat()}: an instant needs an offset")
        due, last = (None, None) if after is None else _place(after)
        filters = (kind, status, rung, holder, unit, severity, breached, is_open, due_by)
        async with connection_of(self._pool) as connection:
            # One more than asked for tells whether there is a next page.
            rows = await connection.fetch(self._LIST, *filters, due, last, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        return Page([row["view"] for row in rows], f"{rows[-1]['due']}|{rows[-1]['case_id']}" if more else None)

    async def case(self, case_id: str) -> dict[str, Any] | None:
        """The view of a case after its last recorded event; None when there is none."""
        async with connection_of(self._pool) as connection:
            view: dict[str, Any] | None = await connection.fetchval(self._CASE, case_id)
            return view

    async def by_number(self, number: str, kind: str | None = None) -> list[dict[str, Any]]:
        """The views of the cases of that number: each kind counts by itself (S1-5.8), so up to one of each."""
        async with connection_of(self._pool) as connection:
            return [row["view"] for row in await connection.fetch(self._BY_NUMBER, number, kind)]

    async def events(self, case_id: str) -> list[dict[str, Any]]:
        """The recorded events of a case, in order; empty when there are none."""
        async with connection_of(self._pool) as connection:
            return [loads(row["body"]) for row in await connection.fetch(self._EVENTS, case_id)]

    async def notices(self, case_id: str | None = None, *, limit: int = 100) -> list[dict[str, Any]]:
        """What became of notices, the newest first; see the table ``notification``.

        Args:
            case_id: only those of a case.
            limit: at most so many.
        """
        async with connection_of(self._pool) as connection:
            return [dict(row) for row in await connection.fetch(self._NOTICES, case_id, limit)]

    async def exceptions(self, month: str) -> list[dict[str, Any]]:
        """The exception reports of a month in order of their numbers, withdrawn ones too.

        Each has ``number``, ``late``, ``category`` (``unstated`` without one), ``unit``, ``cause`` and
        ``measure``, the last of which are None until they are known.

        Args:
            month: the one that the numbers name, like ``2026-03``.
        """
        async with connection_of(self._pool) as connection:
            return [dict(row) for row in await connection.fetch(self._MONTH, month)]

    async def assigned_for(self, reason: str) -> list[str]:
        """The ids of the cases that were assigned for this very reason."""
        async with connection_of(self._pool) as connection:
            return [row["case_id"] for row in await connection.fetch(self._ASSIGNED_FOR, reason)]

    async def policy_document(self, policy_hash: str) -> str | None:
        """The canonical JSON of a policy that a case was ever pinned to; None for any other hash."""
        async with connection_of(self._pool) as connection:
            document: str | None = await connection.fetchval(self._POLICY, policy_hash)
            return document

    async def personal(self, case_id: str) -> dict[str, Any] | None:
        """The personal facts of a case; None when it has none, or none any more."""
        async with connection_of(self._pool) as connection:
            facts: dict[str, Any] | None = await connection.fetchval(self._PERSONAL, case_id)
            return facts

    # --- auditing ---------------------------------------------------------------------------------

    async def verify(self, case_id: str | None = None) -> Report:
        """Check the ledger, or one case of it, against its hash chain: see `activities.casebook.ledger`.

        Reads one state of the database from end to end, case by case in order of the id, and stops
        at the first bad row. A check of everything also finds cases that are gone as a whole, by the
        gap they leave in the numbers.
        """
        cases = events = 0
        async with (
            connection_of(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            # An audit takes as long as it takes.
            await connection.execute("SET LOCAL statement_timeout = 0")
            async for name, rows, head in self._chains(connection, case_id):
                cases, events = cases + 1, events + len(rows)
                fault = check(name, rows, head)
                if fault is not None:
                    return Report(cases, events, fault)
            gap = None if case_id else await connection.fetchrow(self._VERIFY_NUMBERS, timeout=3600)
        if gap is None:
            return Report(cases, events, None)
        number = f"{gap['kind']} {gap['number']}"
        if gap["case_id"] is None:
            return Report(cases, events, Fault("", 0, "removed", f"the case with the number {number} is gone"))
        return Report(cases, events, Fault(gap["case_id"], 1, "inserted", f"{number} was never given"))

    async def _chains(
        self, connection: asyncpg.Connection, case_id: str | None
    ) -> AsyncIterator[tuple[str, list[Row], Head | None]]:
        """Each case with its rows and its head, either of which may be missing. In order of the id."""
        heads = aiter(connection.cursor(self._VERIFY_HEADS, case_id, prefetch=PREFETCH, timeout=3600))
        rows = aiter(connection.cursor(self._VERIFY_ROWS, case_id, prefetch=PREFETCH, timeout=3600))
        head, row = await anext(heads, None), await anext(rows, None)
        while head is not None or row is not None:
            # Both come by code point, which is how Python compares too.
            name = min(found["case_id"] for found in (head, row) if found is not None)
            chained: list[Row] = []
            while row is not None and row["case_id"] == name:
                chained.append(Row(*row[1:]))
                row = await anext(rows, None)
            if head is not None and head["case_id"] == name:
                yield name, chained, Head(head["head_seq"], head["head_hash"])
                head = await anext(heads, None)
            else:
                yield name, chained, None


@asynccontextmanager
async def connect(dsn: str, *, size: int = 10) -> AsyncIterator[Casebook]:
    """A casebook on a pool of its own. It starts while the database is away: the first use connects.

    Args:
        size: the most connections it will hold.

    Raises:
        BadDatabaseAddress: the address cannot be used.
    """
    async with open_pool(dsn, size=size, wait=True) as pool:
        yield Casebook(pool)


def _entries(batch: Batch) -> list[_Entry]:
    """The events as rows to be.

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
    """The entries that are not yet recorded.

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


def _place(after: str) -> tuple[str, str]:
    due, _, case_id = after.partition("|")
    try:
        if due != "infinity":
            datetime.fromisoformat(due)
        if not case_id:
            raise ValueError
    except ValueError:
        raise ValueError(f"after = {after[:80]!r}: allowed is what the page before gave") from None
    return due, case_id
