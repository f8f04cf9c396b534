"""Our own book of payouts: every order is in it before a gateway hears of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import asyncpg

from activities import casebook
from activities.casebook.errors import Recovering, Superseded
from activities.database.database import Database, statement
from activities.messages import PayoutOrder
from activities.payouts.gateway import Entry, Payout, PayoutConflict
from activities.payouts.payees import fits, is_erased
from cases.vocabulary.parcels import Found, OtherClaim

_KEY = re.compile(r"[!-~]{1,255}")
_AMOUNT = re.compile(r"[0-9]{1,16}\.[0-9]{2}")

# How an order stands to the book: nobody has heard of it, it failed and is to be tried again, or
# it may be anywhere.
Standing = Literal["new", "again", "known"]


@dataclass(frozen=True, slots=True)
class Which:
    """Which payouts of the book: ordered or come out from an instant until before another, and in a state; or all."""

    since: datetime | None = None
    until: datetime | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A payout with the kind and the number of its case, as far as the casebook has it."""

    payout: Payout
    kind: str | None
    number: str | None


class Blocked(Exception):
    """Another claim on the same parcel is paid, or may be."""

    def __init__(self, claims: list[OtherClaim]) -> None:
        super().__init__(", ".join(f"{one.case} ({one.state})" for one in claims))
        self.found = Found(claims=claims)


class _Behind(Exception):
    """The ledger does not know what asks for the money."""


class Book:
    """Reads and writes the table ``payout``. Raises what `Database.connection` does."""

    _ORDER = statement(__package__, "payout_order")
    _FIND = statement(__package__, "payout_find")
    _AGAIN = statement(__package__, "payout_again")
    _SETTLE = statement(__package__, "payout_settle")
    _BEGIN_RECOVERY = statement(casebook.__name__, "recovery_begin")
    _LOCK = statement(__package__, "payout_parcel_lock")
    _PARCEL = statement(__package__, "payout_parcel")
    _DETAILS = statement(__package__, "payee_details")
    _LIST = statement(__package__, "payout_list")
    _SUMS = statement(__package__, "payout_sums")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, order: PayoutOrder, gateway: str, *, retry: bool) -> tuple[Payout, Standing]:
        """Write an order down, or find it as it stands.

        Args:
            gateway: the name of the one that is to carry it out.
            retry: whether one that failed is to be tried again.

        Raises:
            PayoutConflict: key or amount cannot be used, or the book has another order under this
                key or of this case.
            Superseded: another run holds the case.
            Recovering: the casebook is being recovered, or has to be: it does not know what asks for the money.
            Blocked: the parcel is paid for by another claim, or may be.
        """
        amount = _checked(order)
        async with self._database.connection() as connection:
            try:
                async with connection.transaction():
                    if order.waybill is not None:
                        await self._refuse_parcel(connection, order.waybill, order)
                    return await self._order(connection, order, amount, gateway, retry=retry)
            except _Behind:
                # What asks for money is recorded before anybody orders it, so an older ledger was restored since.
                await connection.execute(self._BEGIN_RECOVERY)
                raise Recovering(f"{order.case_id}: the payment waits") from None

    async def _refuse_parcel(self, connection: asyncpg.Connection, waybill: str, order: PayoutOrder) -> None:
        """Let nobody else order for this parcel until the transaction ends, and refuse where somebody has."""
        await connection.execute(self._LOCK, waybill)
        others = await connection.fetch(self._PARCEL, waybill, order.case_id, order.cleared)
        if others:
            raise Blocked([OtherClaim(case=row["case_id"], state=row["state"]) for row in others])

    async def _order(
        self, connection: asyncpg.Connection, order: PayoutOrder, amount: Decimal, gateway: str, *, retry: bool
    ) -> tuple[Payout, Standing]:
        now = datetime.now(UTC)
        row = await connection.fetchrow(
            self._ORDER, order.key, order.case_id, amount, now, gateway, order.run, order.seq, order.payee
        )
        if not row["recorded"]:
            raise _Behind
        if not row["held"]:
            raise Superseded(order.case_id)
        if row["recovering"]:
            raise Recovering(f"{order.case_id}: the payment waits")
        if row["key"] is not None:
            return Payout(**dict([*row.items()][3:])), "new"
        payout = _same(order, amount, [Payout(**row) for row in await self._rows(connection, order)])
        # Of an agreement that the present one has taken the place of.
        earlier = payout.key != order.key
        if (payout.state == "failed" and (retry or earlier)) or (payout.state == "waiting" and earlier):
            row = await connection.fetchrow(
                self._AGAIN, order.key, gateway, order.run, order.case_id, amount, order.payee
            )
            if row is not None:
                return Payout(**row), "new" if earlier else "again"
        return payout, "known"

    async def _rows(self, connection: asyncpg.Connection, order: PayoutOrder) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await connection.fetch(self._FIND, order.key, order.case_id)
        return rows

    async def details(self, payout: Payout) -> dict[str, Any] | None:
        """Return who the payee of a payout is, as a door took it; None where nothing is kept of them.

        Raises:
            PayoutConflict: what is kept is not what the token was made of, so somebody has changed it.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._DETAILS, payout.payee, payout.case_id)
        if row is None or is_erased(row):
            return None
        if not fits(row):
            raise PayoutConflict(
                f"{payout.key}: name and account of the payee {payout.payee} are not those that this token was given "
                "for: they were changed behind the record, so nobody is paid"
            )
        details: dict[str, Any] = row["details"]
        return details

    async def find(self, key: str) -> Payout | None:
        """Return the order under a key; None when there is none."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._FIND, key, None)
        return None if row is None else Payout(**row)

    async def listed(self, which: Which, limit: int | None = None) -> list[Listed]:
        """Return the payouts of the book that were asked for, the last ordered first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._LIST, which.since, which.until, which.state, limit)
        names = [one.name for one in fields(Payout)]
        return [Listed(Payout(**{name: row[name] for name in names}), row["kind"], row["number"]) for row in rows]

    async def sums(self, which: Which) -> dict[str, tuple[int, Decimal]]:
        """Return by state how many of these payouts there are, and how much they come to in yuan."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._SUMS, which.since, which.until, which.state)
        return {row["state"]: (row["payouts"], row["amount"]) for row in rows}

    async def settle(self, payout: Payout, entry: Entry) -> Payout:
        """Write down the outcome of an order, and return the payout as the book has it then.

        What is paid stays as it is: finance may have confirmed it by hand meanwhile.
        """
        settled = None if entry.state == "waiting" else entry.at or datetime.now(UTC)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                self._SETTLE, payout.key, entry.state, entry.reference, entry.reason, settled
            )
            return Payout(**(row or await connection.fetchrow(self._FIND, payout.key, None)))


def _checked(order: PayoutOrder) -> Decimal:
    if not _KEY.fullmatch(order.key):
        raise PayoutConflict(f"{order.case_id}: key = {order.key[:80]!r}: allowed: 1 to 255 visible ASCII characters")
    if not _AMOUNT.fullmatch(order.amount) or not Decimal(order.amount):
        raise PayoutConflict(
            f"{order.case_id}: amount = {order.amount[:80]!r}: allowed: yuan above 0 with two places, like 120.00"
        )
    return Decimal(order.amount)


def _same(order: PayoutOrder, amount: Decimal, payouts: list[Payout]) -> Payout:
    """Return the payout that the book has of an order.

    Raises:
        PayoutConflict: it is of another order.
    """
    payout = payouts[0]
    if any(other.case_id != order.case_id for other in payouts):
        raise PayoutConflict(f"{order.case_id}: the key {order.key} is another case's")
    # What finance confirmed before the order came stands under a key of its own; what failed, or was left to finance,
    # was for an agreement that the present one has taken the place of.
    if payout.key != order.key and payout.state in ("failed", "waiting"):
        return payout
    if payout.key != order.key and payout.state != "paid":
        raise PayoutConflict(f"{order.case_id}: a payout is under way under the key {payout.key}")
    if payout.amount != amount:
        raise PayoutConflict(
            f"{order.case_id}: amount = {order.amount}: under the key {payout.key} stand {payout.amount:.2f} yuan"
        )
    # Before this was written down the book named nobody.
    if payout.payee and payout.payee != order.payee:
        raise PayoutConflict(f"{order.case_id}: under the key {payout.key} somebody else is paid than the order says")
    return payout
