"""Bringing the schema up to date."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from activities import casebook, database
from activities.database.address import check_address
from activities.database.database import CONNECT_TIMEOUT, statement
from activities.database.errors import MigrationFailed, explained

# Any number will do, as long as it stays: two programs that migrate at once take turns by it.
MIGRATION_LOCK = 0x6361736562_6F6F6B
# Cases in one transaction; whoever writes one of them waits for the others.
FILLED_AT_ONCE = 200


_LEAP = statement(casebook.__name__, "recovery_leap")
_BEGIN = statement(casebook.__name__, "recovery_begin")
_SINCE = statement(casebook.__name__, "recovery_since")
# What the writer may do; applied anew each time.
_GRANTS = [statement(database.__name__, name) for name in ("grants_begin", "grants")]


async def migrate(
    dsn: str, revision: str = "head", *, restored: bool | None = False, progress: Callable[[int], None] | None = None
) -> bool:
    """Bring the schema up to date, in one transaction, and let the role `WRITER` do what it needs, and no more.

    Then cases from before a release that finds them by more are made to be found by it, some at a time, while others
    read and write them; what is interrupted goes on when it is called again.

    A database does not show whether an older state of it was restored in place; only a dump that came to a younger
    server is found out.

    Args:
        dsn: the address of the database, with the role that owns the schema.
        revision: how far; tests stop on the way, where nobody is granted anything.
        progress: told how many cases are to be found by more as yet, from time to time.
        restored: whether it was restored, so that openings and payments wait from now on, and whoever reads the ledger
            misses nothing of what comes; None to find out.

    Returns:
        Whether openings and payments wait.

    Raises:
        BadDatabaseAddress: see `check_address`.
        DatabaseAway: no database answers there.
        MigrationFailed: it answers but does not take the schema, for the reason given.
    """
    with explained():
        driver = await asyncpg.connect(check_address(dsn), timeout=CONNECT_TIMEOUT)
    try:
        encoding = await driver.fetchval("SHOW server_encoding")
        if encoding != "UTF8":
            raise MigrationFailed(f"the database has the encoding {encoding}, allowed is UTF8")
        waits = await _upgrade(driver, revision, restored)
    finally:
        # Closes a connection in any state, also one whose server is gone.
        driver.terminate()
    if revision == "head":
        await _fill(dsn, progress)
    return waits


async def _fill(dsn: str, progress: Callable[[int], None] | None) -> None:
    """Make what cases from before 0026_find.sql are found by, in transactions of their own.

    Raises:
        DatabaseAway, MigrationFailed: as `migrate`.
    """
    with explained():
        driver = await asyncpg.connect(check_address(dsn), timeout=CONNECT_TIMEOUT)
    try:
        left = await driver.fetchval("SELECT count(*) FROM case_search WHERE NOT complete")
        if not left:
            return
        while done := await driver.fetchval("SELECT search_fill($1)", FILLED_AT_ONCE):
            left = max(0, left - done)
            if progress is not None:
                progress(left)
        await driver.execute("ANALYZE case_search, personal_search")
    except (asyncpg.PostgresError, OSError) as error:
        raise MigrationFailed(f"not all cases are found by what they hold; migrate again: {error}") from error
    finally:
        driver.terminate()


async def _upgrade(driver: asyncpg.Connection, revision: str, restored: bool | None) -> bool:
    # Imported here: 0.7 s that only this command should take.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
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
            if revision != "head":
                return False
            for grants in _GRANTS:
                # The driver's own `execute`, since they are several statements.
                await driver.execute(grants)
            # The database may have come from a dump; see 0006_feed.sql.
            came = await connection.scalar(text("SELECT case_event_resume()"))
            if restored or came:
                await connection.execute(text(_LEAP))
            if restored or (restored is None and came):
                await connection.execute(text(_BEGIN))
            return await connection.scalar(text(_SINCE)) is not None
    except CommandError as error:
        # It knows no such revision.
        raise MigrationFailed(f"the database has the schema of a later release: {error}") from error
    except (DBAPIError, asyncpg.PostgresError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise MigrationFailed(f"the database does not take the schema: {reason}") from error
    finally:
        await engine.dispose()
