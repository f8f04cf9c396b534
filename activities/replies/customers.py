"""How the customer of a case can be reached, for whoever writes to them."""

from __future__ import annotations

from typing import Any

from activities.database.database import Database, statement


class Customers:
    """Reads customers. Safe to share between tasks; raises what `Database.connection` does."""

    _CUSTOMER = statement(__package__, "reply_customer")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, case_id: str) -> dict[str, Any]:
        """Return the customer's data of a case, which are personal; empty where there are none, or not any more.

        No look is recorded: nobody may be shown more of them than a masked address.
        """
        async with self._database.connection() as connection:
            return await connection.fetchval(self._CUSTOMER, case_id) or {}
