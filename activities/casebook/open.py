"""Opening another case on behalf of one (activity ``open_case``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from temporalio import activity

from activities.casebook.errors import Recovering
from activities.database.database import Database, statement
from activities.messages import OPEN_CASE, Opened, OpenOrder
from activities.refusals import failure
from cases.vocabulary.refusals import Refused

# Files a case: answers with its view and whether it is new, or raises `Refused`.
File = Callable[[str, Mapping[str, Any]], Awaitable[tuple[Mapping[str, Any], bool]]]


class Openings:
    """The activity. Safe to share between tasks.

    Args:
        file: files the other case.
    """

    _WITH = statement(__package__, "open_with")

    def __init__(self, database: Database, file: File) -> None:
        self._database, self._file = database, file

    @activity.defn(name=OPEN_CASE)
    async def open_case(self, order: OpenOrder) -> Opened:
        """Open another case with the customer of its parent; the same order again gives the same case.

        Raises:
            ApplicationError: type ``Refused``, not retried: the case was refused, or the key has other content.
            Recovering: the casebook is being recovered.
            DatabaseAway: see `Database.connection`.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._WITH, order.parent)
        if row["recovering"]:
            raise Recovering(f"{order.kind}: the opening of another case waits")
        intake = dict(order.intake)
        if row["customer"] is not None:
            intake["facts"] = {**intake.get("facts", {}), "customer": row["customer"]}
        try:
            view, new = await self._file(order.kind, intake)
        except Refused as refusal:
            raise failure(refusal) from None
        return Opened(view["id"], new)
