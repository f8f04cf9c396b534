"""Whom a token of a payee stands for: name and account, which no case and no ledger ever holds."""

from __future__ import annotations

import secrets
from typing import Annotated

from pydantic import Field, StringConstraints

from activities.database.database import Database, statement
from cases.vocabulary.values import Brief, Model


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
        token = f"payee-{secrets.token_hex(12)}"
        async with self._database.connection() as connection:
            await connection.execute(self._ADD, token, case_id, details.model_dump(mode="json", exclude_none=True))
        return token
