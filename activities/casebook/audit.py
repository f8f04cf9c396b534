"""Checking the ledger against its hash chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from activities.casebook.ledger import Fault, Head, Row, check
from activities.database.database import AUDIT_TIMEOUT, Database, statement

# Rows fetched at once.
PREFETCH = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """How far an audit came: up to and including the first bad row, and that row."""

    cases: int
    events: int
    fault: Fault | None

    @property
    def ok(self) -> bool:
        """Whether everything is as it was recorded."""
        return self.fault is None


class Audit:
    """Checks the ledger. Safe to share between tasks; one check runs at a time."""

    _HEADS = statement(__package__, "audit_heads")
    _ROWS = statement(__package__, "audit_rows")
    _NUMBERS = statement(__package__, "audit_numbers")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def verify(self, case_id: str | None = None) -> Report:
        """Check the ledger, or one case of it, against its hash chain: see `activities.casebook.ledger`.

        Reads one state of the database from end to end, case by case in order of the id, and stops
        at the first bad row. A check of everything also finds cases that are gone as a whole, by the
        gap they leave in the numbers.

        Raises:
            DatabaseAway: see `Database.connection`.
        """
        cases = events = 0
        async with self._database.audit() as connection:
            async for name, rows, head in self._chains(connection, case_id):
                cases, events = cases + 1, events + len(rows)
                fault = check(name, rows, head)
                if fault is not None:
                    return Report(cases, events, fault)
            fault = None if case_id else await self._wrong_number(connection)
        return Report(cases, events, fault)

    async def _wrong_number(self, connection: asyncpg.Connection) -> Fault | None:
        gap = await connection.fetchrow(self._NUMBERS, timeout=AUDIT_TIMEOUT)
        if gap is None:
            return None
        number = f"{gap['kind']} {gap['number']}"
        if gap["case_id"] is None:
            return Fault("", 0, "removed", f"the case with the number {number} is gone")
        return Fault(gap["case_id"], 1, "inserted", f"{number} was never given")

    async def _chains(
        self, connection: asyncpg.Connection, case_id: str | None
    ) -> AsyncIterator[tuple[str, list[Row], Head | None]]:
        """Yield each case with its rows and its head, either of which may be missing, in order of the id."""
        heads = aiter(connection.cursor(self._HEADS, case_id, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT))
        rows = aiter(connection.cursor(self._ROWS, case_id, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT))
        head, row = await anext(heads, None), await anext(rows, None)
        while head is not None or row is not None:
            # Both come by code point, which is how Python compares too.
            name = min(record["case_id"] for record in (head, row) if record is not None)
            chained: list[Row] = []
            while row is not None and row["case_id"] == name:
                chained.append(Row(*row[1:]))
                row = await anext(rows, None)
            if head is not None and head["case_id"] == name:
                yield name, chained, Head(head["head_seq"], head["head_hash"])
                head = await anext(heads, None)
            else:
                yield name, chained, None
