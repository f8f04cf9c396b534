"""Absences that a case asks for, as a leave that was approved (activity ``record_absence``), S1-1.7."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio import activity

from activities.database.database import Database, statement
from activities.messages import CallOrder
from activities.people.tables import DirectoryTables
from cases.vocabulary.effects import RECORD_ABSENCE


class Absences:
    """The activity. Safe to share between tasks; raises what `Database.connection` does."""

    _UNKNOWN = statement(__package__, "absence_unknown")
    _RECORD = statement(__package__, "absence_record")

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=RECORD_ABSENCE)
    async def record_absence(self, order: CallOrder) -> dict[str, Any]:
        """Let the directory know that people are away, so that duty and notices go to others; once for each event.

        The order has ``people`` (staff ids), ``from`` and ``to`` (RFC 3339), half-open.

        Returns:
            ``unknown``: who of them is nobody of the staff; and ``refused`` with code and message where the time ends
            before it begins, so that nothing was recorded.
        """
        people, begins, ends = order.what["people"], *(datetime.fromisoformat(order.what[at]) for at in ("from", "to"))
        if ends <= begins:
            message = f"to = {ends.isoformat()} is not after from = {begins.isoformat()}"
            return {"unknown": [], "refused": {"code": "invalid", "message": message}}
        async with self._database.connection() as connection, connection.transaction():
            await DirectoryTables(connection).lock()
            unknown = [row["person"] for row in await connection.fetch(self._UNKNOWN, people)]
            await connection.execute(self._RECORD, people, begins, ends, order.case_id, order.seq)
        return {"unknown": unknown}
