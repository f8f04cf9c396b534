"""What an operator needs to bring cases back: which are open, who holds them, and what was given out twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from activities.casebook.record import NUMBER
from activities.database.database import Database, statement

# Case ids fetched at once.
PAGE = 500


class Restored:
    """Helps to bring a casebook and the engine together again. Raises what `Database.connection` does."""

    _LEAP = statement(__package__, "recovery_leap")
    _BEGIN = statement(__package__, "recovery_begin")
    _SINCE = statement(__package__, "recovery_since")
    _END = statement(__package__, "recovery_end")
    _HOLDER = statement(__package__, "recovery_holder")
    _CLAIM = statement(__package__, "recovery_claim")
    _RAISE = statement(__package__, "recovery_raise_number")
    _OPEN = statement(__package__, "recovery_open_cases")
    _CLASHES = statement(__package__, "recovery_clashes")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def leap(self) -> None:
        """Let the order of reading go on behind every position that readers were given before the restore."""
        async with self._database.connection() as connection:
            await connection.execute(self._LEAP)

    async def begin(self) -> None:
        """Let openings and payments wait."""
        async with self._database.connection() as connection:
            await connection.execute(self._BEGIN)

    async def since(self) -> datetime | None:
        """Return since when openings and payments wait; None when they do not."""
        async with self._database.connection() as connection:
            since: datetime | None = await connection.fetchval(self._SINCE)
        return since

    async def end(self) -> bool:
        """Let openings and payments go on; whether they waited."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(self._END))

    async def holder(self, case_id: str) -> str | None:
        """Return the run that holds a case; None when none does, or there is no such case."""
        async with self._database.connection() as connection:
            held_by: str | None = await connection.fetchval(self._HOLDER, case_id)
        return held_by

    async def claim(self, case_id: str, run: str, holder: str | None) -> bool:
        """Let a run hold a case, whoever held it in the state that was restored.

        Args:
            holder: who held it when the engine was asked.

        Returns:
            False when somebody else holds it by now, which then stays so.
        """
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(self._CLAIM, case_id, run, holder))

    async def raise_numbers(self, numbers: Iterable[tuple[str, str]]) -> None:
        """Give no number again that a case was given: of each kind and month the next one comes after these.

        Args:
            numbers: kinds and case numbers; what cannot be one is passed over, since any client of the engine can
                write it there.
        """
        read = [(kind, NUMBER.fullmatch(number)) for kind, number in numbers]
        given = [(kind, *map(int, match.groups())) for kind, match in read if match is not None]
        async with self._database.connection() as connection:
            await connection.executemany(self._RAISE, given)

    async def open_cases(self, after: str) -> list[str]:
        """Return ids of cases that are not closed, in order, at most `PAGE` after ``after``."""
        async with self._database.connection() as connection:
            return [row["case_id"] for row in await connection.fetch(self._OPEN, after, PAGE)]

    async def clashes(self) -> list[str]:
        """Say which case numbers and payment references more than one case was given."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._CLASHES)
        return [f"{row['what']}: {', '.join(row['cases'])}" for row in rows]
