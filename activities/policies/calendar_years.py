"""The calendar years that were loaded: kept in the casebook's database, where every worker sees them."""

from __future__ import annotations

from asyncio import timeout
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from activities.database.database import Database, statement
from activities.database.errors import DatabaseAway
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

    Every method but `current` raises what `Database.connection` does.
    """

    _YEARS = statement(__package__, "calendar_years")
    _LOAD = statement(__package__, "calendar_load")
    _WAITING = statement(__package__, "calendar_waiting")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: Years = {}

    async def years(self) -> list[LoadedYear]:
        """Return the loaded years, in order."""
        async with self._database.connection() as connection:
            return [LoadedYear(**row) for row in await connection.fetch(self._YEARS)]

    async def load(self, years: Years) -> list[int]:
        """Store years over those that are there: all of them or none.

        Returns:
            The years that were not there like this already.
        """
        async with self._database.connection() as connection:
            return sorted(row["year"] for row in await connection.fetch(self._LOAD, dict(years)))

    async def waiting_for(self, year: int) -> list[tuple[str, str]]:
        """Return id and policy of every open case with a deadline that was reckoned without a year."""
        async with self._database.connection() as connection:
            return [(row["case_id"], row["policy"]) for row in await connection.fetch(self._WAITING, year)]

    async def current(self) -> Years:
        """Return what was loaded, by year; while the database is away, what it last said.

        A case that opens meanwhile may get a provisional date more than it must, which the next load
        of the year corrects; it must not wait for the database.
        """
        try:
            async with timeout(PATIENCE):
                self._seen = {str(one.year): one.published for one in await self.years()}
        except (DatabaseAway, TimeoutError):
            log.warning("calendar_not_read", known=sorted(self._seen))
        return self._seen
