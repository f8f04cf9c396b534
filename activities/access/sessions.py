"""Sessions of the console that were ended before their time, so that a copy of their cookie is worth nothing."""

from __future__ import annotations

from datetime import datetime

from activities.database.database import Database, statement


class EndedSessions:
    """Keeps them until they would have ended by themselves. Safe to share between tasks and processes.

    Every method raises what `Database.connection` does.
    """

    _END = statement(__package__, "session_end")
    _ENDED = statement(__package__, "session_ended")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def end(self, session: bytes, expires_at: datetime) -> None:
        """End a session at once, in every process; ending it again changes nothing.

        Args:
            session: its id.
            expires_at: when it would have ended by itself.
        """
        async with self._database.connection() as connection:
            await connection.execute(self._END, session, expires_at)

    async def has(self, session: bytes) -> bool:
        """Whether a session was ended."""
        async with self._database.connection() as connection:
            ended: bool = await connection.fetchval(self._ENDED, session)
        return ended
