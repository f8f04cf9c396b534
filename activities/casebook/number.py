"""Giving a case its number after its opening (activity ``give_number``), S1-5.8, S1-5.9.3."""

from __future__ import annotations

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.errors import Recovering, Superseded
from activities.database.database import Database, statement
from activities.messages import CallOrder
from cases.vocabulary.effects import GIVE_NUMBER


class Numbers:
    """The activity. Safe to share between tasks; raises what `Database.connection` does."""

    _LOCK = statement(__package__, "number_lock")
    _KNOWN = statement(__package__, "number_known")
    _GIVE = statement(__package__, "number_give")

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=GIVE_NUMBER)
    async def give_number(self, order: CallOrder) -> dict[str, str]:
        """Give a case the next number of its kind in a month (``year``, ``month``); asked again, the same one.

        The case file has it once the event is recorded that says it.

        Raises:
            Superseded: another run holds the case.
            ApplicationError: type ``NotRecorded``, retried: the ledger does not ask for it yet.
            Recovering: the casebook is being recovered, so no numbers are given.
        """
        async with self._database.connection() as connection, connection.transaction():
            # Whoever asks for the same case comes after this one.
            file = await connection.fetchrow(self._LOCK, order.case_id)
            if file is None or file["head_seq"] < order.seq:
                raise ApplicationError(f"{order.case_id}: seq {order.seq} is not recorded yet", type="NotRecorded")
            if file["held_by"] not in (None, order.run):
                raise Superseded(order.case_id)
            known = await connection.fetchrow(self._KNOWN, order.case_id)
            number: str | None = known["number"]
            if number is None and known["recovering"]:
                raise Recovering(f"{order.case_id} waits for its number")
            if number is None:
                month = order.what["year"], order.what["month"]
                number = await connection.fetchval(self._GIVE, order.case_id, file["kind"], *month)
        assert number is not None
        return {"number": number}
