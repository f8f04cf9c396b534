"""What the doors keep in the database: keys of systems, answers to repeated writes, looks at personal data."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from activities.database.pool import connection_of, open_pool, statement
from cases.vocabulary.refusals import Refused

# By what a key is told from a token.
KEY_PREFIX = "cl_"


@dataclass(frozen=True, slots=True)
class Key:
    """A system's key, without its secret; ``units`` None is every unit."""

    id: str
    name: str
    role: str
    scopes: frozenset[str]
    units: frozenset[str] | None
    created_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a write was answered: an HTTP status and the text of the body."""

    status: int
    body: str


class DoorBook:
    """Reads and writes what the doors keep. Safe to share between tasks.

    Every method raises `DatabaseAway` when the database cannot serve.
    """

    _KEY = statement(__package__, "door_key")
    _KEYS = statement(__package__, "door_keys")
    _ADD = statement(__package__, "door_key_add")
    _REVOKE = statement(__package__, "door_key_revoke")
    _BEGIN = statement(__package__, "door_begin")
    _END = statement(__package__, "door_end")
    _FORGET = statement(__package__, "door_forget")
    _LOOK = statement(__package__, "door_look")
    _LOOKS = statement(__package__, "door_looks")
    _POLICY = statement(__package__, "door_policy")
    _POLICIES = statement(__package__, "door_policies")

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    # --- keys -------------------------------------------------------------------------------------

    async def create_key(
        self, name: str, role: str, scopes: Collection[str], units: Collection[str] | None = None
    ) -> tuple[Key, str]:
        """Make a key. Its text is returned here and never again: only its hash is stored.

        Raises:
            Refused: code ``name_taken``.
        """
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        async with connection_of(self._pool) as connection:
            row = await connection.fetchval(
                self._ADD, key_id, name, _hash(secret), role, sorted(scopes), None if units is None else sorted(units)
            )
        if row is None:
            raise Refused("name_taken", f"name = {name!r}: a key has or had this name; choose another")
        made = Key(key_id, name, role, frozenset(scopes), None if units is None else frozenset(units))
        return made, f"{KEY_PREFIX}{key_id}_{secret}"

    async def key(self, text: str) -> Key | None:
        """The key that a text is, unless it is revoked, forged or none."""
        key_id, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
        if not key_id.isalnum() or len(key_id) > 32:
            return None
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(self._KEY, key_id)
        if row is None or not hmac.compare_digest(row["hash"], _hash(secret)):
            return None
        return _key(row)

    async def keys(self) -> list[Key]:
        """All keys, revoked ones too, the oldest first."""
        async with connection_of(self._pool) as connection:
            return [_key(row) for row in await connection.fetch(self._KEYS)]

    async def revoke_key(self, key: str) -> None:
        """Revoke a key by its id or its name; it stops working at once.

        Raises:
            Refused: code ``not_found``: none that is still good has it.
        """
        async with connection_of(self._pool) as connection:
            row = await connection.fetchval(self._REVOKE, key)
        if row is None:
            raise Refused("not_found", f"KEY = {key!r}: no key that is still good has this id or name")

    # --- repeated writes --------------------------------------------------------------------------

    async def begin(self, caller: str, key: str, digest: bytes) -> Answered | None:
        """Note a write under a caller's own key.

        Returns:
            What it was answered before; None the first time, and while that is not known.

        Raises:
            Refused: code ``idempotency_key_reused``: the key stands for another request.
        """
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(self._BEGIN, caller, key, digest)
            if row is None:
                # Both began at once: what the other one wrote shows now.
                row = await connection.fetchrow(self._BEGIN, caller, key, digest)
        if row["digest"] != digest:
            raise Refused("idempotency_key_reused", "the Idempotency-Key was used for another request")
        return None if row["status"] is None else Answered(row["status"], row["body"])

    async def end(self, caller: str, key: str, answer: Answered) -> None:
        """Keep what a write was answered."""
        async with connection_of(self._pool) as connection:
            await connection.execute(self._END, caller, key, answer.status, answer.body)

    async def forget(self) -> None:
        """Forget answers that are older than a week."""
        async with connection_of(self._pool) as connection:
            await connection.execute(self._FORGET)

    # --- personal data ----------------------------------------------------------------------------

    async def look(self, case_id: str, caller: str, role: str, *, masked: bool) -> tuple[dict[str, Any], bool]:
        """The personal facts of a case, and whether they were erased; the look is recorded with it."""
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(self._LOOK, case_id, caller, role, masked)
        return ({}, False) if row is None else (row["facts"] or {}, row["erased"])

    async def looks(self, case_id: str) -> list[dict[str, Any]]:
        """Who looked at the personal facts of a case, the last first, at most 1000."""
        async with connection_of(self._pool) as connection:
            return [
                {**row, "at": row["at"].isoformat()} for row in map(dict, await connection.fetch(self._LOOKS, case_id))
            ]

    # --- policies ---------------------------------------------------------------------------------

    async def policy_document(self, hash: str) -> str | None:
        """The canonical JSON of a policy that a case was pinned to; None for an unknown hash."""
        async with connection_of(self._pool) as connection:
            document: str | None = await connection.fetchval(self._POLICY, hash)
            return document

    async def policies(self) -> list[tuple[str, str]]:
        """Hash and name of every policy that a case was ever pinned to, by name, at most 200."""
        async with connection_of(self._pool) as connection:
            return [(row["hash"], row["name"] or "") for row in await connection.fetch(self._POLICIES)]


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
        row.get("created_at"),
        row.get("revoked_at"),
    )


@asynccontextmanager
async def connect(dsn: str, *, size: int = 5) -> AsyncIterator[DoorBook]:
    """The door book on a pool of its own, which connects when it is first used.

    Raises:
        BadDatabaseAddress: the address cannot be used.
    """
    async with open_pool(dsn, size=size, wait=True) as pool:
        yield DoorBook(pool)
