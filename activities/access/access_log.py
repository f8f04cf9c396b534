"""Personal facts of cases, each look at which is recorded."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from activities.database.database import Database, statement

# What stands in place of a case's id where a search looked at the personal facts of many; no case is called so.
SEARCH = "search"
# And where somebody looked at who wrote a message that no case takes.
MESSAGE = "message/{}"


class AccessLog:
    """Gives and logs. Safe to share between tasks; every method raises what `Database.connection` does."""

    _LOOK = statement(__package__, "access_log_record")
    _AGAIN = statement(__package__, "access_log_again")
    _LOOKS = statement(__package__, "access_log")
    _ALL = statement(__package__, "access_log_all")
    _SEARCHED = statement(__package__, "access_log_searched")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(
        self, case_id: str, caller: str, role: str, *, masked: bool, sitting: bytes | None = None
    ) -> tuple[dict[str, Any], bool]:
        """Return the personal facts of a case, and whether they were erased; the look is recorded with it.

        Args:
            sitting: a session for which the look holds: in it, it is recorded once.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._LOOK, case_id, caller, role, masked, sitting)
        return ({}, False) if row is None else (row["facts"] or {}, row["erased"])

    async def again(
        self, case_id: str, caller: str, *, masked: bool, sitting: bytes
    ) -> tuple[dict[str, Any], bool] | None:
        """Return what `look` gave in a sitting, as it is now; None where nobody has looked in it."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._AGAIN, case_id, caller, masked, sitting)
        return None if row is None else (row["facts"] or {}, row["erased"])

    async def searched(self, caller: str, role: str) -> None:
        """Record a search that personal facts found cases for: as a look at `SEARCH`, without what was asked for."""
        async with self._database.connection() as connection:
            await connection.execute(self._SEARCHED, SEARCH, caller, role)

    async def looks(self, case_id: str) -> list[dict[str, Any]]:
        """Return who looked at the personal facts of a case, or found it by a phone, or searched (`SEARCH`).

        The last stands first; at most 1000.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._LOOKS, case_id)
        return [{**row, "at": row["at"].isoformat()} for row in rows]

    async def all(
        self,
        *,
        callers: Collection[str] | None = None,
        case_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """Return looks of every case, the last first; each with its ``id``, and ``kind`` and ``number`` of its case.

        ``case_id`` is `SEARCH` for a search, `MESSAGE` with a number for a message that no case takes, and empty where
        somebody searched by a phone number that no case has.

        Args:
            until: before which they were.
            before: the id of a look; those before it.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                self._ALL, before, None if callers is None else list(callers), case_id, since, until, limit
            )
        return [dict(row) for row in rows]
