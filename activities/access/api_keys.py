"""Keys by which systems call the API."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from activities.database.database import Database, statement
from cases.vocabulary.refusals import Refused

# By what a key is told from a token.
KEY_PREFIX = "cl_"


@dataclass(frozen=True, slots=True)
class Key:
    """A system's key, without its secret; ``units`` None is every unit, ``customers`` whom it speaks for."""

    id: str
    name: str
    role: str
    scopes: frozenset[str]
    units: frozenset[str] | None
    customers: frozenset[str] = frozenset()
    created_at: datetime | None = None
    revoked_at: datetime | None = None


class ApiKeys:
    """Keeps the keys. Safe to share between tasks; every method raises what `Database.connection` does."""

    _KEY = statement(__package__, "api_key")
    _KEYS = statement(__package__, "api_keys")
    _ADD = statement(__package__, "api_key_add")
    _REVOKE = statement(__package__, "api_key_revoke")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        name: str,
        role: str,
        scopes: Collection[str],
        units: Collection[str] | None = None,
        customers: Collection[str] = (),
    ) -> tuple[Key, str]:
        """Make a key and return it with its text, which is never given again: only its hash is stored.

        Raises:
            Refused: code ``name_taken``.
        """
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        async with self._database.connection() as connection:
            limits = (sorted(scopes), None if units is None else sorted(units), sorted(customers))
            row = await connection.fetchval(self._ADD, key_id, name, _hash(secret), role, *limits)
        if row is None:
            raise Refused("name_taken", f"name = {name!r}: a key has or had this name; choose another")
        reach = None if units is None else frozenset(units)
        return Key(key_id, name, role, frozenset(scopes), reach, frozenset(customers)), f"{KEY_PREFIX}{key_id}_{secret}"

    async def find(self, text: str) -> Key | None:
        """Return the key that a text is; None for one that is revoked or forged, and for any other text."""
        key_id, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
        if not key_id.isalnum() or len(key_id) > 32:
            return None
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._KEY, key_id)
        if row is None or not hmac.compare_digest(row["hash"], _hash(secret)):
            return None
        return _key(row)

    async def all(self) -> list[Key]:
        """Return all keys, revoked ones too, the oldest first."""
        async with self._database.connection() as connection:
            return [_key(row) for row in await connection.fetch(self._KEYS)]

    async def revoke(self, key: str) -> None:
        """Revoke a key by its id or its name; it stops working at once.

        Raises:
            Refused: code ``not_found``: none that is still good has it.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchval(self._REVOKE, key)
        if row is None:
            raise Refused("not_found", f"KEY = {key!r}: no key that is still good has this id or name")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _key(row: asyncpg.Record) -> Key:
    units = row["units"]
    return Key(
        row["id"],
        row["name"],
        row["role"],
        frozenset(row["scopes"]),
        None if units is None else frozenset(units),
        frozenset(row["customers"]),
        row.get("created_at"),
        row.get("revoked_at"),
    )
