"""Drafts of filings: what somebody has typed is kept until it is filed, or for seven days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from activities.database.database import Database, statement


@dataclass(frozen=True)
class Draft:
    """A filing that somebody has begun.

    Args:
        key: of the case that it becomes.
        typed: what was typed, by field; personal data.
    """

    key: str
    kind: str
    began_at: datetime
    typed: Mapping[str, Sequence[str]] = field(repr=False)
    changed_at: datetime | None = None


class FilingDrafts:
    """Keeps them, each for its person alone. Safe to share; every method raises what `Database.connection` does."""

    _SAVE = statement(__package__, "draft_save")
    _END = statement(__package__, "draft_end")
    _DRAFTS = statement(__package__, "drafts")
    _FORGET = statement(__package__, "draft_forget")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, person: str, draft: Draft, ref: str | None, phone: str | None) -> bool:
        """Keep a draft as it is now; one that was filed or discarded stays gone.

        Args:
            ref: the customer whom it names, so that an erasure finds it; ``phone`` likewise, which is kept as a hash.

        Returns:
            Whether the phone or the mail address is another one than before.
        """
        typed = {name: list(values) for name, values in draft.typed.items()}
        kept = (draft.key, person, draft.kind, draft.began_at, typed, ref, phone)
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(self._SAVE, *kept))

    async def end(self, person: str, key: str, kind: str, began_at: datetime) -> None:
        """Forget what was typed, for good: it was filed, or is not wanted."""
        async with self._database.connection() as connection:
            await connection.execute(self._END, key, person, kind, began_at)

    async def of(self, person: str) -> list[Draft]:
        """Return what somebody has under way, the last changed first, at most 50."""
        return await self._read(person, None)

    async def one(self, person: str, key: str) -> Draft | None:
        """Return one of somebody's drafts; None where there is no such one any more."""
        return next(iter(await self._read(person, key)), None)

    async def forget(self) -> None:
        """Forget drafts that nobody has changed for seven days."""
        async with self._database.connection() as connection:
            await connection.execute(self._FORGET)

    async def _read(self, person: str, key: str | None) -> list[Draft]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._DRAFTS, person, key)
        return [Draft(row["key"], row["kind"], row["began_at"], row["typed"], row["changed_at"]) for row in rows]
