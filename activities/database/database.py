"""The one database of a process: its connections, shared by everything that records and reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Self

import asyncpg
from pydantic_core import from_json

from activities.database import CONNECTIONS
from activities.database.address import check_address
from activities.database.errors import DatabaseAway, TooPowerful, explained
from cases.vocabulary.events import canonical

# Seconds. Short ones: the caller retries, and a case waits less for a new try than for a dead connection.
CONNECT_TIMEOUT = 5
ACQUIRE_TIMEOUT = 10
STATEMENT_TIMEOUT = 15
# For work under way to end when a database is closed.
CLOSE_TIMEOUT = 5
# For one statement of an audit, which has no other limit.
AUDIT_TIMEOUT = 3600
# A plan for any filter would be a plan for none, while what is recorded is always the same. And what is looked for lies
# in memory or on a disk without a head: for one with a head, many words would be looked up by reading every case.
_READS = {"plan_cache_mode": "force_custom_plan", "random_page_cost": "1.1"}


class Database:
    """The casebook's PostgreSQL, opened once for a process. Safe to share between tasks.

    Every use takes a connection of the same few. Where a process records cases, some connections serve
    nothing but recording and as many serve nothing but the rest, so that neither keeps the other waiting;
    what lies between goes to whoever comes first.
    """

    def __init__(self, pool: asyncpg.Pool, *, recording: int, other: int) -> None:
        self._pool = pool
        self._recording, self._other = asyncio.Semaphore(recording), asyncio.Semaphore(other)
        self._audit = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        connections: int = CONNECTIONS,
        records: bool = False,
        only_writes: bool = False,
        program: str = "caseladder",
    ) -> AsyncIterator[Self]:
        """Open the database while the block runs; work under way may end first, for at most `CLOSE_TIMEOUT` seconds.

        A connection is made when it is first needed, so a database can be opened while its server is away.

        Args:
            connections: the most that it will hold.
            records: whether the process records cases: then a third of the connections is kept for that
                and another third for everything else. Else each statement is planned for the values asked for.
            only_writes: whether to do nothing where the role may do more than `WRITER` may.
            program: what PostgreSQL calls the connections (``application_name``).

        Raises:
            BadDatabaseAddress: see `check_address`.
        """
        pool = await asyncpg.create_pool(
            check_address(dsn),
            min_size=0,
            max_size=connections,
            timeout=CONNECT_TIMEOUT,
            # A little more than the server's own limit: the server's answer is the better one.
            command_timeout=STATEMENT_TIMEOUT + 5,
            server_settings={
                "application_name": program,
                "timezone": "UTC",
                "statement_timeout": f"{STATEMENT_TIMEOUT}s",
                "idle_in_transaction_session_timeout": "60s",
                **({} if records else _READS),
            },
            init=_prepare_writer if only_writes else _prepare,
            reset=_leave,
        )
        most = connections - (connections // 3 if records else 0)
        try:
            yield cls(pool, recording=most, other=most)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await pool.close()
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Take a connection for one piece of work. Whoever holds one must not wait for a second.

        Raises:
            DatabaseAway: the database cannot serve now, or all connections are in use.
            TooPowerful: see `open`.
            StatementFailed: it refused a statement.
        """
        async with self._taken(self._other) as connection:
            yield connection

    async def check_role(self) -> None:
        """Connect once, if the database serves now, so that a role that may do more than write is found at the start.

        Raises:
            TooPowerful: it may, and the database was opened with ``only_writes``.
        """
        try:
            async with self.connection():
                pass
        except TooPowerful:
            raise
        except DatabaseAway:
            pass  # whoever needs it says so; each connection is looked at when it is made

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[asyncpg.Connection]:
        """Take a connection to record a case; raises what `connection` does."""
        async with self._taken(self._recording) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        """Read one state of the database from beginning to end; raises what `connection` does."""
        async with self.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection

    @asynccontextmanager
    async def audit(self) -> AsyncIterator[asyncpg.Connection]:
        """Read one state of the database for as long as it takes, one reader of a process after the other.

        Statements and cursors need ``timeout=AUDIT_TIMEOUT``. Raises what `connection` does.
        """
        async with self._audit, self.snapshot() as connection:
            await connection.execute("SET LOCAL statement_timeout = 0")
            yield connection

    @asynccontextmanager
    async def _taken(self, share: asyncio.Semaphore) -> AsyncIterator[asyncpg.Connection]:
        with explained():
            async with asyncio.timeout(ACQUIRE_TIMEOUT):
                await share.acquire()
            try:
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
                    yield connection
            finally:
                share.release()


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=canonical, decoder=from_json, schema="pg_catalog")


async def _prepare_writer(connection: asyncpg.Connection) -> None:
    await _prepare(connection)
    beyond = await connection.fetchval(_BEYOND_WRITING)
    if beyond is not None:
        raise TooPowerful(beyond)


async def _leave(connection: asyncpg.Connection) -> None:
    # Nothing here changes a session beyond its transaction, so the driver's reset query, one round
    # trip for every batch, has nothing to reset.
    return None


def statement(package: str, name: str) -> str:
    """Return the SQL of ``sql/{name}.sql`` beside the modules of a package."""
    return (files(package) / "sql" / f"{name}.sql").read_text(encoding="utf-8")


_BEYOND_WRITING = statement(__package__, "beyond_writing")
