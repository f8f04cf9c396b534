"""Reading the directory of staff, which every worker finds in the casebook's database."""

from __future__ import annotations

import asyncio
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


class DirectoryBook:
    """Reads the directory. Safe to share between tasks.

    Every method but `current` raises what `Database.connection` does. `current` and `now` know no shifts that ended
    before `KEPT`; see `read`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Lock()
        self._last = Directory()
        self._version: int | None = None
        self._asked = -FRESH

    async def current(self) -> Directory:
        """Return the directory; while the database is away, or holds one that is not valid, the last good one.

        May be a second old.
        """
        if monotonic() - self._asked < FRESH or (self._turn.locked() and self._version is not None):
            return self._last
        async with self._turn:
            # Whoever waited for the first answer has it now.
            if monotonic() - self._asked >= FRESH:
                await self._refresh()
                self._asked = monotonic()
        return self._last

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self._database.connection() as connection:
                version = await DirectoryTables(connection).version()
            await self._read_again(version)
        except (DatabaseAway, StatementFailed, TimeoutError) as error:
            log.warning("directory_not_read", reason=type(error).__name__, people=len(self._last.people))

    async def now(self) -> Directory:
        """Return the directory as it is at this moment, for what somebody may do; the last good one of a bad one.

        What another process changed before this was called is in it.
        """
        async with self._database.connection() as connection:
            version = await DirectoryTables(connection).version()
        if version != self._version:
            async with self._turn:
                await self._read_again(version)
        return self._last

    async def _read_again(self, version: int) -> None:
        """Read the directory, unless the version is the one that was read last."""
        if version == self._version:
            return
        try:
            with explained():
                async with asyncio.timeout(READING), self._database.snapshot() as connection:
                    tables = DirectoryTables(connection)
                    version, stored = await tables.version(), await tables.read(datetime.now(UTC) - KEPT)
                self._last = await asyncio.to_thread(stored.build)
        except Refused as refusal:
            # Logged once; the next version may be better.
            log.error("directory_kept", version=version, reason=refusal.message)
        self._version = version

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
