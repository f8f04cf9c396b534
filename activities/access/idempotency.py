"""Answers to writes with an Idempotency-Key, so that a repeat is answered and not carried out again."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass

from activities.casebook.texts import SALT, mark
from activities.database.database import Database, statement
from cases.vocabulary.refusals import Refused


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a write: an HTTP status and the text of the body."""

    status: int
    body: str


class Idempotency:
    """Keeps the answers. Safe to share between tasks; every method raises what `Database.connection` does."""

    _BEGIN = statement(__package__, "idempotency_begin")
    _END = statement(__package__, "idempotency_end")
    _FORGET = statement(__package__, "idempotency_forget")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, caller: str, key: str, digest: bytes) -> Answer | None:
        """Note a write under a caller's own key.

        Of the request only an HMAC of its digest is kept, under a salt of its own, so that nobody guesses it from that.

        Args:
            digest: the SHA-256 of the request.

        Returns:
            The earlier answer; None the first time, and while it is not known.

        Raises:
            Refused: code ``idempotency_key_reused``: the key stands for another request.
        """
        salt = os.urandom(SALT)
        begins = (caller, key, mark(digest.hex(), salt), salt)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._BEGIN, *begins)
            if row is None:
                # Both began at once: what the other one wrote shows now.
                row = await connection.fetchrow(self._BEGIN, *begins)
        # Those of the last release have none, for a week.
        known = digest if row["salt"] is None else mark(digest.hex(), row["salt"])
        if not hmac.compare_digest(row["digest"], known):
            raise Refused("idempotency_key_reused", "the Idempotency-Key was used for another request")
        return None if row["status"] is None else Answer(row["status"], row["body"])

    async def end(self, caller: str, key: str, answer: Answer) -> None:
        """Keep the answer to a write; the first one stays."""
        async with self._database.connection() as connection:
            await connection.execute(self._END, caller, key, answer.status, answer.body)

    async def forget(self) -> None:
        """Forget answers that are older than a week."""
        async with self._database.connection() as connection:
            await connection.execute(self._FORGET)
