"""What else the casebook has about a parcel: the activity ``look_up_waybill``."""

from __future__ import annotations

from typing import Any

import asyncpg
from temporalio import activity

from activities.database.database import Database, statement
from activities.messages import CallOrder
from cases.kinds.claim import Claim
from cases.kinds.inquiry import Inquiry
from cases.mechanisms.waybill import LOOK_UP_WAYBILL
from cases.vocabulary.parcels import Found, FoundInquiry, OtherClaim
from cases.vocabulary.values import MOST_LISTED


class Parcels:
    """Looks parcels up. Safe to share between tasks; raises what `Database.connection` does."""

    _PARCEL = statement(__package__, "parcel")

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=LOOK_UP_WAYBILL)
    async def look_up(self, order: CallOrder) -> dict[str, Any]:
        """Find the other claims on a waybill, and the inquiries about it.

        Args:
            order: with ``waybill``; letters count the same in either case.

        Returns:
            `cases.vocabulary.parcels.Found` as plain JSON.
        """
        async with self._database.connection() as connection:
            found = await self.of(connection, str(order.what["waybill"]), order.case_id)
        return found.model_dump(mode="json")

    @classmethod
    async def of(cls, connection: asyncpg.Connection, waybill: str, but: str) -> Found:
        """Return what there is about a waybill beside one case, on a connection of the caller."""
        rows = await connection.fetch(cls._PARCEL, waybill, but, [Claim.KIND], [Inquiry.KIND], MOST_LISTED)
        return Found(
            claims=[OtherClaim(case=row["case_id"], state=row["state"]) for row in rows if not row["inquiry"]],
            inquiries=[
                FoundInquiry(case=row["case_id"], recorded_at=row["recorded_at"]) for row in rows if row["inquiry"]
            ],
        )
