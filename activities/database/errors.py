"""What can go wrong with the database, and the driver's errors translated into it.

BadDatabaseAddress   the address cannot be used
MigrationFailed      the schema could not be brought up to date
DatabaseAway         the database cannot serve now; a retry may help
TooPowerful          the role of the address may do more than write; nothing is done as it
StatementFailed      the database refused a statement; a fault of the program or the schema
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from temporalio.exceptions import ApplicationError

from activities.database import WRITER


class BadDatabaseAddress(ValueError):
    """Raised when the address cannot be used. Never repeats the address, which may hold a password."""


class MigrationFailed(RuntimeError):
    """Raised when the database answers but its schema cannot be brought up to date. Nothing was changed."""


class DatabaseAway(ApplicationError):
    """Raised when the database cannot serve now. The same call may succeed later, so an activity is retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="DatabaseAway")


class TooPowerful(DatabaseAway):
    """Raised when the role of the address may do more than write; an operator may still change that."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"CASELADDER_DATABASE_URL must be the address of a role that only writes, and {why}: use {WRITER} or a "
            "member of it, and leave the owner's to `caseladder migrate` as CASELADDER_DATABASE_OWNER_URL "
            "(docs/operations.md, Two database roles)"
        )


class StatementFailed(ApplicationError):
    """Raised when the database refuses a statement: a fault in the program or the schema, never in the network.

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


@contextmanager
def explained() -> Iterator[None]:
    """Raise the project's errors in place of the driver's; leave all others alone.

    Raises:
        DatabaseAway: the database cannot serve now.
        StatementFailed: it refused a statement.
    """
    try:
        yield
    except Exception as error:
        ours = _explanation(error)
        if ours is None:
            raise
        raise ours from None


def _explanation(error: Exception) -> ApplicationError | None:
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
