"""The book of erasures: who asked and who decided, how far each has come, and the legal holds that forbid them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from activities.database.database import Database, statement
from cases.vocabulary.events import Actor
from cases.vocabulary.lifecycle import ERASED_FOR, ErasedFor
from cases.vocabulary.refusals import Refused

Json = dict[str, Any]
# Cases that are looked at in one go.
AT_ONCE = 200
_ASKED_BY = ("asked_by", "asked_role", "asked_person")


@dataclass(frozen=True)
class Left:
    """A case of an approved erasure that is not done: from the casebook (``erased``), or not from elsewhere."""

    erasure: int
    case_id: str
    erased: bool
    why: ErasedFor
    by: Actor
    asked_by: Actor | None


class Erasures:
    """Keeps the book. Safe to share between tasks; every method raises what `Database.connection` does."""

    _OF_CUSTOMER = statement(__package__, "customer_cases")
    _ASK = statement(__package__, "erasure_ask")
    _ASKED = statement(__package__, "erasure_asked")
    _DECIDE = statement(__package__, "erasure_decide")
    _ALL = statement(__package__, "erasures")
    _LEFT = statement(__package__, "erasure_left")
    _DONE = statement(__package__, "erasure_case_done")
    _GONE = statement(__package__, "erasure_case_gone")
    _HOLD = statement(__package__, "hold_set")
    _LIFT = statement(__package__, "hold_lift")
    _HOLDS = statement(__package__, "holds")
    _GROUPS = statement(__package__, "kept_groups")
    _PAST = statement(__package__, "kept_past")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_customer(self, ref: str) -> list[str]:
        """Return the ids of the cases whose facts name this customer."""
        async with self._database.connection() as connection:
            return [row["case_id"] for row in await connection.fetch(self._OF_CUSTOMER, ref)]

    async def ask(self, why: ErasedFor, asked_by: Actor, case_ids: Sequence[str]) -> int:
        """Note that somebody asks for an erasure, and return its number."""
        if why not in ERASED_FOR:
            raise Refused("invalid", f"why = {why!r}: allowed: {', '.join(ERASED_FOR)}")
        async with self._database.connection() as connection:
            number: int = await connection.fetchval(
                self._ASK, why, asked_by.id, asked_by.role, asked_by.person, list(case_ids), None, None, None, None
            )
        return number

    async def decided(
        self, why: ErasedFor, by: Actor, asked_by: Actor | None, case_ids: Sequence[str], now: datetime
    ) -> int:
        """Note an erasure that is decided already: by the policy, or before an older casebook was restored."""
        asked = (None, None, None) if asked_by is None else (asked_by.id, asked_by.role, asked_by.person)
        async with self._database.connection() as connection:
            number: int = await connection.fetchval(self._ASK, why, *asked, list(case_ids), True, by.id, by.role, now)
        return number

    async def decide(self, number: int, by: Actor, approved: bool, now: datetime) -> None:
        """Decide an erasure.

        Raises:
            Refused: ``not_found``; ``decided``: somebody has; ``four_eyes``: nobody approves what they asked for.
        """
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(self._ASKED, _number(number))
            if row is None:
                raise _no_erasure(number)
            if approved and by.is_same(_actor(*(row[name] for name in _ASKED_BY))):
                raise Refused("four_eyes", f"erasure {number}: somebody else decides than who asked for it")
            if row["approved"] is not None or not await connection.fetchval(
                self._DECIDE, number, approved, by.id, by.role, now
            ):
                raise Refused("decided", f"erasure {number}: it is decided already")

    async def all(self, limit: int = AT_ONCE, before: int | None = None, *, waiting: bool = False) -> list[Json]:
        """Return the last erasures, the last first, with their cases; those that wait to be decided only, if asked."""
        async with self._database.connection() as connection:
            return [_json(row) for row in await connection.fetch(self._ALL, None, limit, before, waiting)]

    async def every(self) -> AsyncIterator[Json]:
        """Yield every erasure, the last first, with its cases."""
        page = await self.all()
        while page:
            for one in page:
                yield one
            page = await self.all(before=page[-1]["id"])

    async def one(self, number: int) -> Json:
        """Return an erasure with its cases.

        Raises:
            Refused: ``not_found``.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._ALL, _number(number), 1, None, False)
        if row is None:
            raise _no_erasure(number)
        return _json(row)

    async def left(self, number: int | None = None) -> AsyncIterator[Left]:
        """Yield what is left to be done of approved erasures, or of one, in order.

        What is done meanwhile moves nothing, and what stays left is passed: no case waits for those before it.
        """
        after, full = (0, ""), True
        while full:
            async with self._database.connection() as connection:
                page = [_left(row) for row in await connection.fetch(self._LEFT, AT_ONCE, number, *after)]
            for one in page:
                yield one
                after = (one.erasure, one.case_id)
            full = len(page) == AT_ONCE

    async def done(self, number: int, case_id: str, at: datetime | None, refused: str | None) -> None:
        """Note that a case was erased from the casebook, or why not."""
        async with self._database.connection() as connection:
            await connection.execute(self._DONE, number, case_id, at, refused)

    async def gone(self, case_id: str) -> None:
        """Note that nothing of a case is left elsewhere."""
        async with self._database.connection() as connection:
            await connection.execute(self._GONE, case_id)

    # --- legal holds and retention ----------------------------------------------------------------

    async def hold(self, case_id: str, reference: str, by: Actor) -> None:
        """Forbid that a case is erased.

        Raises:
            Refused: ``not_found``, or ``on_hold``: one stands already.
        """
        async with self._database.connection() as connection:
            if await connection.fetchval(self._HOLD, case_id, reference, by.id) is not None:
                return
            standing = await connection.fetch(self._HOLDS, case_id)
        if any(row["lifted_at"] is None for row in standing):
            raise Refused("on_hold", f"{case_id}: a legal hold stands already")
        raise Refused("not_found", f"there is no case {case_id}")

    async def lift(self, case_id: str, by: Actor) -> None:
        """Lift the hold of a case.

        Raises:
            Refused: ``not_found``: none stands.
        """
        async with self._database.connection() as connection:
            if await connection.fetchval(self._LIFT, case_id, by.id) is None:
                raise Refused("not_found", f"{case_id}: no legal hold stands")

    async def holds(self, case_id: str | None = None) -> list[Json]:
        """Return the holds of a case, or every one that stands."""
        async with self._database.connection() as connection:
            return [_json(row) for row in await connection.fetch(self._HOLDS, case_id)]

    async def groups(self) -> list[tuple[str, str]]:
        """Return by which policies cases of which kinds have closed."""
        async with self._database.connection() as connection:
            return [(row["policy"], row["kind"]) for row in await connection.fetch(self._GROUPS)]

    async def past(
        self, policy: str, kind: str, before: datetime, today: date, after: tuple[datetime, str]
    ) -> list[tuple[datetime, str, bool]]:
        """Return when cases closed, which, and whether they may go: those before an instant that were not erased.

        One that its own policy keeps today, or a hold, may not.

        Args:
            after: the last one of the page before; they come in order.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._PAST, policy, kind, before, *after, today.isoformat(), AT_ONCE)
        return [tuple(row) for row in rows]


def _number(number: int) -> int:
    """Return the number of an erasure, as far as PostgreSQL has such numbers."""
    if 0 < number < 1 << 63:
        return number
    raise _no_erasure(number)


def _no_erasure(number: int) -> Refused:
    return Refused("not_found", f"there is no erasure {number}")


def _left(row: Any) -> Left:
    by, asked_by = Actor(row["decided_by"], row["decided_role"]), _actor(*(row[name] for name in _ASKED_BY))
    return Left(row["erasure"], row["case_id"], row["erased"], row["why"], by, asked_by)


def _actor(id: str | None, role: str | None, person: str | None) -> Actor | None:
    return None if id is None or role is None else Actor(id, role, person)


def _json(row: Any) -> Json:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
