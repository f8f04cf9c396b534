"""Which cases the engine must still have, by what the ledger says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from activities.casebook.texts import PERSONAL, commitment
from activities.database.database import Database, statement
from cases.vocabulary.events import canonical

# Case ids fetched at once.
PAGE = 500


class Held:
    """Lists the cases that are open, or have closed lately. Raises what `Database.connection` does."""

    _AFTER = statement(__package__, "held_after")
    _AMONG = statement(__package__, "held_among")
    _PERSONAL = statement(__package__, "held_personal")

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

    async def commits_to(self, case_id: str, personal: Mapping[str, Any]) -> bool:
        """Whether the first event of a case commits to these personal facts; also where its salt was erased."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._PERSONAL, case_id)
        if row is None or row["salt"] is None:
            return True
        return bool(commitment(row["salt"], canonical(personal)) == json.loads(row["body"])["data"].get(PERSONAL))
