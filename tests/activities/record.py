"""A casebook with checkpoints that were handed out, as the tests of the audit have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import asyncpg

from activities.audit.checkpoint import Signed
from activities.audit.compare import Compared, compare
from activities.audit.handed_out import read_files
from activities.audit.keys import Keys, new_key
from activities.audit.make import Checkpoints
from tests.activities.ledger import batch
from tests.casebook import Book

A, B, C = (f"complaint:{key}" for key in "ABC")


@dataclass
class Record:
    """A casebook, a key that is not in it, and the folder outside that checkpoints go to."""

    book: Book
    keys: Keys
    folder: Path
    superuser: asyncpg.Connection

    async def checkpoint(self, most: int = 100_000) -> list[Signed]:
        """Make checkpoints, and hand all of them out."""
        maker = Checkpoints(self.book.database, self.keys, most)
        made = await maker.make()
        async for signed, text in maker.handed_out():
            file = self.folder / f"{signed.checkpoint.number:06}-{signed.hash[:8]}.checkpoint"
            file.write_text(text, encoding="utf-8")
        return made

    async def compare(self, *files: Path) -> Compared:
        async with self.book.database.audit() as connection:
            return await compare(connection, self.keys, read_files(files, self.keys))

    async def faults(self, *files: Path) -> list[tuple[str, int, str]]:
        return [(fault.case_id, fault.seq, fault.what) for fault in (await self.compare(*files)).faults]

    async def said(self, *files: Path) -> list[str]:
        return [str(fault) for fault in (await self.compare(*files)).faults]

    def newest(self) -> Path:
        return max(self.folder.glob("*.checkpoint"))


async def two_checkpoints(book: Book, superuser: asyncpg.Connection, folder: Path) -> Record:
    """Record cases A, B and C of five events each: three of one checkpoint and two of another."""
    outside = folder / "outside"
    outside.mkdir()
    made = Record(book, new_key(folder / "key.pem"), outside, superuser)
    for case_id in (A, B, C):
        await book.record(batch(1, 3, case_id))
    await made.checkpoint()
    for case_id in (A, B, C):
        await book.record(batch(4, 5, case_id))
    await made.checkpoint()
    return made
