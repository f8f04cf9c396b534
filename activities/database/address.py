"""The address of the database, checked before anybody connects."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from activities.database.errors import BadDatabaseAddress


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
