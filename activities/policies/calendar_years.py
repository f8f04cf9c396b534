"""The calendar years that were loaded: kept in the casebook's database, where every worker sees them."""

from __future__ import annotations

from asyncio import timeout
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import structlog

from activities.database.pool import DatabaseAway, connection_of, open_pool, statement
from activities.policies.store import Years

# Seconds. A case that opens waits for the answer, inside its workflow task.
PATIENCE = 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedYear:
    """A year in the database; ``published`` is `PublishedYear` in plain JSON."""

    year: int
    published: Mapping[str, Any]
    loaded_at: datetime


class CalendarYears:
    """Reads and writes the loaded years. Safe to share between tasks.

    Every method but `current` raises `DatabaseAway` when the database cannot serve.
    """

    _YEARS = statement(__package__, "calendar_years")
    _LOAD = statement(__package__, "calendar_load")
    _WAITING = statement(__package__, "calendar_waiting")

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._seen: Years = {}

    async def years(self) -> list[LoadedYear]:
        """What was loaded, in order."""
        async with connection_of(self._pool) as connection:
            return [LoadedYear(**row) for row in await connection.fetch(self._YEARS)]

    async def load(self, years: Years) -> list[int]:
        """Store years over those that are there: all of them or none.

        Returns:
            The years that were not there like this already.
        """
        async with connection_of(self._pool) as connection:
            return sorted(row["year"] for row in await connection.fetch(self._LOAD, dict(years)))

    async def waiting_for(self, year: int) -> list[tuple[str, str]]:
        """Id and policy of every open case with a deadline that was reckoned without a year."""
        async with connection_of(self._pool) as connection:
            return [(row["case_id"], row["policy"]) for row in await connection.fetch(self._WAITING, year)]

    async def current(self) -> Years:
        """What was loaded, by year; while the database is away, what it last said.

        A case that opens meanwhile may get a provisional date more than it must, which the next load
        of the year corrects; it must not wait for the database.
        """
        try:
            async with timeout(PATIENCE):
                self._seen = {str(one.year): one.published for one in await self.years()}
        except (DatabaseAway, TimeoutError):
            log.warning("calendar_not_read", known=sorted(self._seen))
        return self._seen


@asynccontextmanager
async def connect(dsn: str, *, size: int = 1) -> AsyncIterator[CalendarYears]:
    """The loaded years on a pool of their own, which connects when it is first used.

    Raises:
        BadDatabaseAddress: the address cannot be used.
    """
    async with open_pool(dsn, size=size) as pool:
        yield CalendarYears(pool)
