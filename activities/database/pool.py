"""PostgreSQL underneath the casebook: address, pool, migrations, and what its errors mean."""

from __future__ import annotations

import json
from asyncio import timeout
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import asyncpg
from temporalio.exceptions import ApplicationError

from cases.vocabulary.events import canonical

# Seconds. Short ones: the caller retries, and a case waits less for a new try than for a dead connection.
CONNECT_TIMEOUT = 5
ACQUIRE_TIMEOUT = 10
STATEMENT_TIMEOUT = 15
# For work under way to end when a pool is closed.
CLOSE_TIMEOUT = 5

# Any number will do, as long as it stays: two programs that migrate at once take turns by it.
MIGRATION_LOCK = 0x6361736562_6F6F6B


class BadDatabaseAddress(ValueError):
    """The database address cannot be used; the message never repeats it, for it may hold a password."""


class MigrationFailed(RuntimeError):
    """The database answered but its schema could not be brought up to date; nothing was changed."""


class DatabaseAway(ApplicationError):
    """The database cannot serve now; the same call may succeed later (an activity is retried)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="DatabaseAway")


class StatementFailed(ApplicationError):
    """The database refused a statement: a fault in the program or the schema, never in the network.

    Of the database's own message only class, state, table and constraint are kept: the rest can
    quote a row.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, type="StatementFailed")


# What passes by itself or by the hand of whoever runs the database. InternalClientError is what the
# driver may raise when the server dies under it; InterfaceError, when the connection is already gone.
_AWAY = (
    OSError,  # TimeoutError among them
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
)


def explained(error: Exception) -> ApplicationError | None:
    """The error to raise in place of one of the driver's; None for any other error."""
    name = type(error).__name__
    if isinstance(error, asyncpg.UndefinedTableError):
        return DatabaseAway("the database has no casebook yet: run `caseladder migrate`")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return DatabaseAway("the database named in the address does not exist on that server")
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return DatabaseAway(f"the database refuses the user or the password of the address ({name})")
    # A ValueError among the InterfaceErrors is a wrong argument, not a lost connection.
    if isinstance(error, _AWAY) and not isinstance(error, ValueError):
        return DatabaseAway(f"the database does not serve at the moment ({name})")
    if isinstance(error, asyncpg.PostgresError):
        marks = (error.sqlstate, error.table_name, error.constraint_name)
        return StatementFailed(f"the database refused a statement ({', '.join(filter(None, (name, *marks)))})")
    return None


def check_address(dsn: str) -> str:
    """Return the address as it is, when it can be used.

    Raises:
        BadDatabaseAddress: it is no ``postgresql://user@host:port/database`` (or, for a unix
            socket, ``postgresql://user@/database?host=/folder``).
    """
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError as error:
        raise BadDatabaseAddress("the database address has a port that is no number from 0 to 65535") from error
    if parts.scheme not in ("postgresql", "postgres"):
        # Without "://" the scheme may be the beginning of anything, a password too.
        shown = f"{parts.scheme!r} in front of" if "://" in dsn else "no"
        wrong = f"it has {shown} '://', allowed is postgresql"
    elif not parts.path.strip("/"):
        wrong = "it names no database"
    elif not parts.hostname and "host" not in parse_qs(parts.query):
        wrong = "it names no host"
    elif port == 0:
        wrong = "its port is 0"
    else:
        return dsn
    raise BadDatabaseAddress(f"the database address must be postgresql://user@host:port/database: {wrong}")


async def create_pool(dsn: str, *, size: int, **settings: str) -> asyncpg.Pool:
    """A pool that connects when it is first used, so it can be made while the database is away.

    Args:
        size: the most connections it will hold.
        settings: of the server for these connections, besides those of every pool.

    Raises:
        BadDatabaseAddress: see `check_address`.
    """
    return await asyncpg.create_pool(
        check_address(dsn),
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        # A little more than the server's own limit: the server's answer is the better one.
        command_timeout=STATEMENT_TIMEOUT + 5,
        server_settings={
            "application_name": "caseladder",
            "timezone": "UTC",
            "statement_timeout": f"{STATEMENT_TIMEOUT}s",
            "idle_in_transaction_session_timeout": "60s",
            **settings,
        },
        init=_prepare,
        reset=_leave,
    )


@asynccontextmanager
async def open_pool(dsn: str, *, size: int, wait: bool = False, **settings: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool of `create_pool` while the block runs.

    Args:
        wait: whether work under way may end first, for at most `CLOSE_TIMEOUT` seconds.

    Raises:
        BadDatabaseAddress: see `check_address`.
    """
    pool = await create_pool(dsn, size=size, **settings)
    try:
        yield pool
    finally:
        if wait:
            with suppress(TimeoutError):
                async with timeout(CLOSE_TIMEOUT):
                    await pool.close()
        pool.terminate()


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=canonical, decoder=json.loads, schema="pg_catalog")


async def _leave(connection: asyncpg.Connection) -> None:
    # Nothing here changes a session beyond its transaction, so the driver's reset query, one round
    # trip for every batch, has nothing to reset.
    return None


@asynccontextmanager
async def connection_of(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection for one piece of work; the driver's errors come out as ours.

    Raises:
        DatabaseAway: the database cannot serve now.
        StatementFailed: it refused a statement.
    """
    try:
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
            yield connection
    except Exception as error:
        ours = explained(error)
        if ours is None:
            raise
        raise ours from None


def statement(package: str, name: str) -> str:
    """Return the SQL of ``sql/{name}.sql`` beside the modules of a package."""
    return (files(package) / "sql" / f"{name}.sql").read_text(encoding="utf-8")


async def migrate(dsn: str, revision: str = "head") -> None:
    """Bring the schema up to date, in one transaction. An up-to-date one is left alone.

    Args:
        dsn: the address of the database.
        revision: how far; tests stop on the way.

    Raises:
        BadDatabaseAddress: see `check_address`.
        DatabaseAway: no database answers there.
        MigrationFailed: it answers but does not take the schema, for the reason given.
    """
    try:
        driver = await asyncpg.connect(check_address(dsn), timeout=CONNECT_TIMEOUT)
    except Exception as error:
        ours = explained(error)
        if ours is None:
            raise
        raise ours from None
    try:
        encoding = await driver.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise MigrationFailed(f"the database has the encoding {encoding}, allowed is UTF8")
        await _upgrade(driver, revision)
    finally:
        # Closes a connection in any state, also one whose server is gone.
        driver.terminate()


async def _upgrade(driver: asyncpg.Connection, revision: str) -> None:
    # Imported here: 0.7 s that only this command should take.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import Connection, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import StaticPool

    config = Config()
    config.set_main_option("script_location", f"{__package__}:migrations")

    async def connected() -> asyncpg.Connection:
        return driver

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    # The driver's own connection, so that an address means here what it means everywhere else.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connected, poolclass=StaticPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.run_sync(upgrade)
            if revision == "head":
                # The database may have come from a dump; see 0006_feed.sql.
                await connection.execute(text("SELECT case_event_resume()"))
    except (DBAPIError, asyncpg.PostgresError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise MigrationFailed(f"the database does not take the schema: {reason}") from error
    finally:
        await engine.dispose()
