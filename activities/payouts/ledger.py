"""The embedded gateway: pays by booking into the casebook's database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg

from activities.database.database import Database, statement
from activities.payouts.gateway import Entry, Payout


class LedgerGateway:
    """Pays at once; one booking is one statement, so it is there as a whole or not at all."""

    name = "ledger"
    _BOOK = statement(__package__, "payout_book")
    _BOOKINGS = statement(__package__, "payout_bookings")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pay(self, payout: Payout, details: Mapping[str, Any] | None = None) -> Entry:
        """Book it; a key that is booked already is answered as it was booked."""
        async with self._database.connection() as connection:
            now = datetime.now(UTC)
            await connection.execute(self._BOOK, payout.key, payout.case_id, payout.amount, now, payout.payee)
            return _entry(await connection.fetchrow(self._BOOKINGS, payout.key))

    async def status(self, key: str) -> Entry | None:
        """Return the booking under a key."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._BOOKINGS, key)
        return None if row is None else _entry(row)

    async def entries(self) -> AsyncIterator[Entry]:
        """Yield all bookings."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._BOOKINGS, None)
        for row in rows:
            yield _entry(row)


def _entry(row: asyncpg.Record) -> Entry:
    reference = f"LEDGER-{row['number']}"
    return Entry(row["key"], "paid", row["amount"], row["case_id"], reference, at=row["booked_at"])
