"""Opening another case on behalf of one (activity ``open_case``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.errors import Recovering
from activities.casebook.owed import owed_by
from activities.casebook.read import Casebook
from activities.database.database import Database, statement
from activities.messages import OPEN_CASE, Opened, OpenOrder
from activities.refusals import failure
from activities.senders.gate import GATE
from activities.senders.statement import UNSIGNED
from cases.kinds.handover import Handover
from cases.kinds.summary import Summary
from cases.vocabulary.contract import PASSING
from cases.vocabulary.effects import Opening
from cases.vocabulary.refusals import Refused

# What jobs file, beside what cases do.
JOBS = frozenset({Handover.KIND, Summary.KIND})
# Files a case: answers with its view and whether it is new, or raises `Refused`.
File = Callable[[str, Mapping[str, Any]], Awaitable[tuple[Mapping[str, Any], bool]]]


class Openings:
    """The activity. Safe to share between tasks.

    Args:
        file: files the other case.
    """

    _WITH = statement(__package__, "open_with")

    def __init__(self, database: Database, file: File) -> None:
        self._database, self._file, self._casebook = database, file, Casebook(database)

    @activity.defn(name=OPEN_CASE)
    async def open_case(self, order: OpenOrder) -> Opened:
        """Open another case with the customer of its parent; the same order again gives the same case.

        Where commands are signed it is signed by this process, so only what the record of its parent asks for is, and
        by nobody's name where there is no parent.

        Raises:
            ApplicationError: type ``Refused``, not retried: the case was refused, or the key has other content; or
                ``unsigned``: nobody asked for it.
            ApplicationError: the other case cannot be asked now.
            Recovering: the casebook is being recovered.
            DatabaseAway: see `Database.connection`.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._WITH, order.parent)
        if row["recovering"]:
            raise Recovering(f"{order.kind}: the opening of another case waits")
        if GATE.mode == "signed" and not await self._is_asked_for(order):
            raise failure(Refused(UNSIGNED, f"{order.kind}: no record asks for this case"))
        intake = dict(order.intake)
        if row["customer"] is not None:
            intake["facts"] = {**intake.get("facts", {}), "customer": row["customer"]}
        try:
            view, new = await self._file(order.kind, intake)
        except Refused as refusal:
            if refusal.code in PASSING:
                raise ApplicationError(refusal.message, type=refusal.code) from None
            raise failure(refusal) from None
        return Opened(view["id"], new)

    async def _is_asked_for(self, order: OpenOrder) -> bool:
        """Whether the record of the parent owes this opening; without one it is a job's, in nobody's name."""
        if order.parent is None:
            return order.kind in JOBS and not {"by", "proof", "parent"} & order.intake.keys()
        owed = await owed_by(self._casebook, order.parent)
        return any(isinstance(one, Opening) and (one.kind, one.intake) == (order.kind, order.intake) for one in owed)
