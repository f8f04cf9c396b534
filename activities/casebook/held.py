"""Which cases the engine must still have, by what the ledger says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from activities.database.database import Database, statement

# Case ids fetched at once.
PAGE = 500


class Held:
    """Lists the cases that are open, or have closed lately. Raises what `Database.connection` does."""

    _AFTER = statement(__package__, "held_after")
    _AMONG = statement(__package__, "held_among")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, case_id: str, since: datetime) -> list[str]:
        """Return ids of cases that are open or have closed after an instant, in order, at most `PAGE` after one."""
        async with self._database.connection() as connection:
            return [row["case_id"] for row in await connection.fetch(self._AFTER, case_id, since, PAGE)]

    async def among(self, case_ids: Sequence[str], since: datetime) -> set[str]:
        """Return those of some cases that `after` lists."""
        async with self._database.connection() as connection:
            return {row["case_id"] for row in await connection.fetch(self._AMONG, case_ids, since)}
