"""Attachments of cases: their contents in a store, and which belongs to which case in the casebook.

The name of a file is a text of its event and stands with the other texts. A content is put into the store after its
row is here, so that whatever is in the store is found when the case is erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from activities.attachments.stores import Store, StoreAway
from activities.database.database import Database, statement

# How the event of an attachment says where its content is.
PLACE = "attachment:"


@dataclass(frozen=True)
class Kept:
    """An attachment: its id, and the SHA-256 (hexadecimal) and the size in bytes of its content."""

    id: str
    sha256: str
    size: int

    @property
    def where(self) -> str:
        """What its event says of the place."""
        return f"{PLACE}{self.id}"


class Attachments:
    """Keeps them. Every method raises `StoreAway` and what `Database.connection` does, and is safe to repeat.

    Args:
        store: None for none: nothing is taken then.
    """

    _ADD = statement(__package__, "attachment_add")
    _OF_CASE = statement(__package__, "attachments_of")
    _DROP = statement(__package__, "attachment_drop")

    def __init__(self, database: Database, store: Store | None) -> None:
        self._database, self._store_or_none = database, store

    @property
    def takes(self) -> bool:
        """Whether attachments are taken here."""
        return self._store_or_none is not None

    @property
    def _store(self) -> Store:
        if self._store_or_none is None:
            raise StoreAway("no store of attachments is set")
        return self._store_or_none

    async def keep(self, case_id: str, content: bytes, once: str) -> Kept:
        """Keep a content for a case.

        Args:
            once: the request that it came by: kept again by the same one, it is the same attachment.
        """
        digest = sha256(content).hexdigest()
        kept = Kept(sha256(f"{case_id}\n{once}\n{digest}".encode()).hexdigest()[:32], digest, len(content))
        async with self._database.connection() as connection:
            await connection.execute(self._ADD, kept.id, case_id, kept.sha256, kept.size)
        await self._store.put(kept.id, content)
        return kept

    async def content(self, case_id: str, id: str) -> bytes | None:
        """Return the content of an attachment of a case, as it was kept; None where there is none (any more).

        Raises:
            ValueError: it is not what was kept.
        """
        async with self._database.connection() as connection:
            rows = {row["id"]: row["sha256"] for row in await connection.fetch(self._OF_CASE, case_id)}
        content = await self._store.get(id) if id in rows else None
        if content is not None and sha256(content).hexdigest() != rows[id]:
            raise ValueError("the content of an attachment was changed in its store")
        return content

    async def drop(self, case_id: str, ids: Sequence[str] | None = None) -> None:
        """Remove attachments of a case, or all of them: contents first, so that none is left without its row."""
        async with self._database.connection() as connection:
            rows = [row["id"] for row in await connection.fetch(self._OF_CASE, case_id)]
        for id in rows if ids is None else [one for one in rows if one in ids]:
            await self._store.remove(id)
            async with self._database.connection() as connection:
                await connection.execute(self._DROP, id)
