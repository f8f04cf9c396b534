"""Whom a token of a payee stands for: name and account, which no case and no ledger ever holds.

The token is a digest of a salt and of these. It stands in the ledger, so whoever changes them there is found: by the
payment before it tells a gateway, and by the audit.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from activities.database.database import Database, statement
from cases.vocabulary.events import canonical
from cases.vocabulary.values import Brief, Model

_SALT_BYTES = 32
# Of the digest in a token: 160 bits.
_DIGITS = 40


class PayeeDetails(Model):
    """Who is paid and how: personal data."""

    name: Brief
    account: Annotated[Brief, Field(description="number of the account, or the id at the payment service")]
    method: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$"), Field(description="like bank, alipay")]
    bank: Brief | None = None


class Payees:
    """Keeps them. Safe to share between tasks; raises what `Database.connection` does."""

    _ADD = statement(__package__, "payee_add")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, case_id: str, details: PayeeDetails) -> str:
        """Keep whom a case may pay, and return the token that stands for them."""
        salt, kept = secrets.token_bytes(_SALT_BYTES), details.model_dump(mode="json", exclude_none=True)
        token = _token(salt, case_id, kept)
        async with self._database.connection() as connection:
            await connection.execute(self._ADD, token, case_id, kept, salt)
        return token


def is_erased(row: Mapping[str, Any]) -> bool:
    """Whether nothing is kept of a payee any more; ``row`` is one of the table."""
    return row["details"] is None and row["salt"] is None and row["erased_at"] is not None


def fits(row: Mapping[str, Any]) -> bool:
    """Whether the details in a row of the table are those that its token was made of, for its case."""
    if row["details"] is None or row["salt"] is None:
        return False
    return bool(row["token"] == _token(row["salt"], row["case_id"], row["details"]))


def _token(salt: bytes, case_id: str, details: Mapping[str, Any]) -> str:
    text = canonical({"case": case_id, "details": details})
    return f"payee-{sha256(salt + text.encode()).hexdigest()[:_DIGITS]}"
