"""Paying: the activity ``pay``, once under one key, whatever gets lost on the way.

The order stands in our own book before the gateway is called. Whoever finds it there unsettled asks
the gateway first: an unknown outcome is resolved by asking, never by paying again. What finance
confirms by hand reaches the book in the transaction that records the case's ``paid`` event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import structlog
from standardwebhooks import Webhook
from temporalio import activity

from activities.database.database import Database
from activities.messages import PAY, PayoutOrder, PayoutResult
from activities.payouts.book import Blocked, Book, Listed, Which
from activities.payouts.callbacks import read_callback
from activities.payouts.gateway import (
    Entry,
    Gateway,
    ManualGateway,
    Payout,
    PayoutConflict,
    PayoutPending,
    PayoutUnknown,
)
from activities.payouts.http import HttpGateway
from activities.payouts.ledger import LedgerGateway
from activities.payouts.reconcile import Report, reconcile
from cases.vocabulary.refusals import Refused

__all__ = [
    "CalledBack", "Gateway", "Listed", "PayoutConflict", "PayoutPending", "PayoutUnknown", "Payouts", "Which",
    "gateway_of",
]  # fmt: skip

log = structlog.get_logger(__name__)
# Why a payment failed that its case's record does not prove.
UNPROVEN = "unproven"


@dataclass(frozen=True)
class CalledBack:
    """A callback that was taken: whose payout it is about, and how that stands now."""

    case_id: str
    key: str
    # None while the gateway has not decided.
    result: PayoutResult | None


class Payouts:
    """Pays through one gateway. Safe to share between tasks.

    Args:
        callback_secret: what the gateway's callbacks are signed with; without it none is taken.
        faults: finds what is wrong with the record of a case that is to be paid for, also that it does not owe what is
            ordered; without it nothing is looked for.
    """

    def __init__(
        self,
        database: Database,
        gateway: Gateway,
        callback_secret: Webhook | None = None,
        faults: Callable[[PayoutOrder], Awaitable[Sequence[object]]] | None = None,
    ) -> None:
        self._database, self._gateway, self._callback_secret, self._faults = database, gateway, callback_secret, faults
        self._book = Book(database)

    @activity.defn(name=PAY)
    async def pay(self, order: PayoutOrder) -> PayoutResult:
        """Pay an order, or find out what has become of it.

        A repeat of what is paid, or waits for finance, is answered from the book. What failed is
        tried again under the same key by a new activity; a retry of the activity that failed is
        answered from the book too. Nothing is ordered where another claim on the parcel stands against it, or (code
        ``unproven``) where somebody did not sign what led to it.

        Raises:
            PayoutPending: the gateway has not decided; retried.
            PayoutUnknown: the gateway gave no usable answer, or the order was sent to another one; retried.
            PayoutConflict: the order contradicts our book or the gateway's, or the payee's details were changed; not
                retried.
            Superseded: another run holds the case; not retried.
            Recovering: the casebook is being recovered; retried.
        """
        first_try = activity.info().attempt == 1
        known = self._faults is not None and await self._book.find(order.key) is not None
        if not known and await self._is_unproven(order):
            return PayoutResult("failed", reason=UNPROVEN)
        try:
            payout, standing = await self._book.order(order, self._gateway.name, retry=first_try)
        except Blocked as blocked:
            return PayoutResult("blocked", found=blocked.found.model_dump())
        if payout.state != "requested":
            return _result(payout)
        if payout.gateway != self._gateway.name:
            raise PayoutUnknown(
                f"{payout.key} was sent to the gateway {payout.gateway}, which must be asked what came of it; "
                f"configured is {self._gateway.name}"
            )
        entry = None if standing == "new" else await self._gateway.status(payout.key)
        if entry is None or (standing == "again" and entry.state == "failed"):
            # The book's word that it was looked at is no proof; what the gateway has heard of is seen to its end.
            if known and await self._is_unproven(order):
                return await self._settle(payout, Entry(payout.key, "failed", payout.amount, reason=UNPROVEN))
            entry = await self._gateway.pay(payout, await self._book.details(payout) if payout.payee else None)
        # Only an answer without a payout in it names no amount: taken but not decided, or refused.
        if entry.amount not in (None, payout.amount):
            raise PayoutConflict(f"{payout.key}: ordered were {payout.amount} yuan, the gateway says {entry.amount}")
        if entry.state == "pending":
            raise PayoutPending(f"{payout.key}: the gateway has not decided yet")
        return await self._settle(payout, entry)

    async def _is_unproven(self, order: PayoutOrder) -> bool:
        """Whether the record of a case is not what was sent, or does not owe what is ordered."""
        faults = () if self._faults is None else await self._faults(order)
        if faults:
            log.error("a payment is not ordered", case=order.case_id, faults=[str(fault) for fault in faults[:10]])
        return bool(faults)

    async def _settle(self, payout: Payout, entry: Entry) -> PayoutResult:
        settled = await self._book.settle(payout, entry)
        if (settled.state, settled.reference) != (entry.state, entry.reference):
            # The reconciliation lists it until people have cleared it up.
            log.error(
                "a payout was settled otherwise meanwhile", key=payout.key, state=settled.state, gateway=entry.state
            )
        return _result(settled)

    async def called_back(self, headers: Mapping[str, str], body: bytes) -> CalledBack:
        """Take a gateway's callback; a repeat changes nothing.

        The case hears of it from the activity that is asking, or from the next one.

        Raises:
            Refused: ``bad_signature``, ``invalid``, ``unknown_payout`` (not sent to this gateway),
                ``amount_differs``, or ``already_paid`` (otherwise than the callback says); nothing was changed.
        """
        if self._callback_secret is None:
            raise Refused("bad_signature", "callback: CASELADDER_PAYOUT_CALLBACK_SECRET is not set, so none is taken")
        entry = read_callback(headers, body, self._callback_secret)
        payout = await self._book.find(entry.key)
        if payout is None or payout.gateway != self._gateway.name:
            raise Refused("unknown_payout", f"callback: key = {entry.key!r}: no payout was sent under this key")
        if entry.amount != payout.amount:
            message = f"callback: amount = {entry.amount}: ordered were {payout.amount} yuan under {entry.key}"
            raise Refused("amount_differs", message)
        if entry.state == "failed" and payout.state != "paid":
            # An old word may come again while the next attempt is under way, so a no only makes us ask.
            try:
                now = await self._gateway.status(payout.key)
            except PayoutUnknown:
                raise Refused("busy", "callback: the gateway could not be asked; call back later") from None
            if now is None or now.state == "pending":
                return CalledBack(payout.case_id, payout.key, None)
            entry = now
        settled = await self._book.settle(payout, entry)
        if settled.state == "paid" and settled.reference != entry.reference:
            raise Refused("already_paid", f"callback: {entry.key} is paid with the reference {settled.reference}")
        return CalledBack(settled.case_id, settled.key, _result(settled))

    async def settle(self, key: str, *, paid: str | None = None, failed: str | None = None) -> PayoutResult:
        """Write down what a gateway that is not there any more has said of an order, by letter or by telephone.

        The case hears of it from its next attempt; what failed is then sent to the present gateway.

        Args:
            paid: the gateway's proof of the payment.
            failed: why it was not paid, as a code.

        Raises:
            Refused: ``unknown_payout``; ``payout_settled`` where it is known what came of it;
                ``payout_under_way`` where it was sent to the present gateway, which is asked by itself.
        """
        payout = await self._book.find(key)
        if payout is None:
            raise Refused("unknown_payout", f"key = {key!r}: no payout was sent under this key")
        if payout.state != "requested":
            raise Refused("payout_settled", f"key = {key!r}: it is known what came of it: {payout.state}")
        if payout.gateway == self._gateway.name:
            raise Refused("payout_under_way", f"key = {key!r}: {payout.gateway} is asked by itself")
        state: Literal["paid", "failed"] = "failed" if paid is None else "paid"
        entry = Entry(key, state, payout.amount, payout.case_id, paid or "", "" if failed is None else failed)
        return _result(await self._book.settle(payout, entry))

    async def listed(self, which: Which, limit: int | None = None) -> list[Listed]:
        """Return what our book has; see `activities.payouts.book.Book.listed`."""
        return await self._book.listed(which, limit)

    async def sums(self, which: Which) -> dict[str, tuple[int, Decimal]]:
        """Return what that comes to by state; see `activities.payouts.book.Book.sums`."""
        return await self._book.sums(which)

    async def reconcile(self) -> Report:
        """Compare our books with the gateway's; see `activities.payouts.reconcile.reconcile`."""
        return await reconcile(self._database, self._gateway)


def _result(payout: Payout) -> PayoutResult:
    at = payout.settled_at.isoformat() if payout.state == "paid" and payout.settled_at else ""
    assert payout.state != "requested"
    return PayoutResult(payout.state, payout.reference, payout.reason, at)


def gateway_of(url: str, token: str | None, database: Database) -> Gateway:
    """Return the gateway of an address: ``ledger:``, ``manual:`` or an HTTP address."""
    if url == "ledger:":
        return LedgerGateway(database)
    if url == "manual:":
        return ManualGateway()
    return HttpGateway(url, token)
