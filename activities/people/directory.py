"""Reading the directory of staff, which every worker finds in the casebook's database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from activities.database.database import Database
from activities.database.errors import DatabaseAway, StatementFailed, explained
from activities.people.tables import DirectoryTables, Stored
from cases.directory import Directory
from cases.vocabulary.refusals import Refused

# Seconds for which an answer of `current` is good.
FRESH = 1.0
# Seconds. Whoever asks waits for the database no longer than this; one of them reads what has changed, which
# may take longer, and the others get the answer from before.
PATIENCE, READING = 1, 20
# `current` knows the shifts back to here, and of each person the last before.
KEPT = timedelta(days=62)

log = structlog.get_logger(__name__)


class _Copy:
    """A directory as it was read last."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.version: int | None = None
        self.turn = asyncio.Lock()


class DirectoryBook:
    """Reads the directory. Safe to share between tasks.

    Every method but `current` raises what `Database.connection` does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._whole, self._people = _Copy(), _Copy()
        self._asked = -FRESH

    async def current(self) -> Directory:
        """Return the directory; while the database is away, or holds one that is not valid, the last good one.

        May be a second old. Knows no shifts that ended before `KEPT`; see `read`.
        """
        kept = self._whole
        if monotonic() - self._asked < FRESH or (kept.turn.locked() and kept.version is not None):
            return kept.directory
        async with kept.turn:
            # Whoever waited for the first answer has it now.
            if monotonic() - self._asked >= FRESH:
                await self._refresh()
                self._asked = monotonic()
        return kept.directory

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                version = await self._version()
            await self._read_again(self._whole, version, lambda tables: tables.read(datetime.now(UTC) - KEPT))
        except (DatabaseAway, StatementFailed, TimeoutError) as error:
            people = len(self._whole.directory.people)
            log.warning("directory_not_read", reason=type(error).__name__, people=people)

    async def now(self) -> Directory:
        """Return the people and the units of this moment, for what somebody may do: no absences, no shifts.

        What another process changed before this was called is in it. Of people that are not valid, which somebody
        wrote by hand, the last good ones.
        """
        kept, version = self._people, await self._version()
        if version != kept.version:
            async with kept.turn:
                await self._read_again(kept, version, DirectoryTables.people)
        return kept.directory

    async def _version(self) -> int:
        async with self._database.connection() as connection:
            return await DirectoryTables(connection).version()

    async def _read_again(
        self, kept: _Copy, version: int, read: Callable[[DirectoryTables], Awaitable[Stored]]
    ) -> None:
        """Read what is kept, unless it is of this version already."""
        if version == kept.version:
            return
        try:
            with explained():
                async with asyncio.timeout(READING), self._database.snapshot() as connection:
                    tables = DirectoryTables(connection)
                    version, stored = await tables.version(), await read(tables)
            kept.directory = await asyncio.to_thread(stored.build)
        except Refused as refusal:
            # Logged once; the next version may be better.
            log.error("directory_kept", version=version, reason=refusal.message)
        kept.version = version

    async def read(self) -> Directory:
        """Return the directory as it is stored, with all shifts that ever were.

        Raises:
            Refused: code ``bad_directory``; somebody changed the tables by hand.
        """
        return await asyncio.to_thread((await self.stored()).build)

    async def stored(self) -> Stored:
        """Return the content of the tables, of one moment.

        Raises:
            Refused: code ``bad_directory``; an entry is none.
        """
        async with self._database.snapshot() as connection:
            return await DirectoryTables(connection).read()
