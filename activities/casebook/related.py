"""Finding the cases of a parcel, a customer or an order: what somebody else has filed, and what there was before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from activities.casebook.paging import Kinds, Units, visible
from activities.database.database import Database, statement

# So many are found at most.
MOST = 200


@dataclass(frozen=True, slots=True)
class Clues:
    """What cases are found by: one of these is enough. A phone is never written anywhere as it is."""

    waybill: str | None = None
    phone: str | None = None
    ref: str | None = None
    order_number: str | None = None
    email: str | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to go by."""
        return any((self.waybill, self.phone, self.ref, self.order_number, self.email))


@dataclass(frozen=True, slots=True)
class Found:
    """A case, and by which clues it was found."""

    view: dict[str, Any]
    why: tuple[str, ...]


class Related:
    """Finds them. Safe to share between tasks; every method raises what `Database.connection` does."""

    _RELATED = statement(__package__, "related")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self,
        clues: Clues,
        *,
        units: Units,
        kinds: Kinds,
        caller: str,
        role: str,
        log: bool = True,
        limit: int = MOST,
    ) -> list[Found]:
        """Return the cases that any clue leads to, open ones first, then the newest.

        A look by a phone or a mail address is logged in the same step: a row for each case that has it; where no case
        has the number, one of no case.

        Args:
            log: whether it is; not for one that was logged a moment ago.
        """
        if not clues:
            return []
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                self._RELATED,
                *visible(units, kinds),
                clues.waybill,
                clues.phone,
                clues.ref,
                clues.order_number,
                log and (clues.phone or clues.email) is not None,
                caller,
                role,
                limit,
                clues.email,
            )
        return [Found(row["view"], tuple(row["why"])) for row in rows]
