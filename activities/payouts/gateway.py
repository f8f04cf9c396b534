"""What a payment gateway is to us, and the three ways in which a payout does not come out.

ApplicationError
├── PayoutPending    it is under way: ask again later
├── PayoutUnknown    nobody knows yet whether it was paid: ask before anything else is done
└── PayoutConflict   two books contradict each other: never retried, people must look
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from temporalio.exceptions import ApplicationError


class PayoutPending(ApplicationError):
    """The gateway has taken the order and not decided yet; the activity is retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="PayoutPending")


class PayoutUnknown(ApplicationError):
    """The gateway gave no usable answer, so the money may have gone out or not; the activity is retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="PayoutUnknown")


class PayoutConflict(ApplicationError):
    """An order contradicts what is on the books; no retry will help, so there is none."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="PayoutConflict", non_retryable=True)


# The gateway of a payment of which only the case's ledger knows, after an older book was restored.
UNNAMED = ""


@dataclass(frozen=True, slots=True)
class Payout:
    """One row of our own book. ``settled_at`` is None until it is paid or failed; amounts in yuan.

    ``payee`` is a token of who is paid and how, empty where the case named nobody.
    """

    key: str
    case_id: str
    amount: Decimal
    state: Literal["requested", "waiting", "failed", "paid"]
    reference: str
    reason: str
    requested_at: datetime
    settled_at: datetime | None
    gateway: str
    payee: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a gateway's own book has under a key.

    Args:
        amount: yuan; None where the answer names none.
        reference: the gateway's proof of a payment; only what is paid has one.
        reason: why it failed, as a code: never a text that may name somebody.
        at: when it was paid, if the gateway says so.
    """

    key: str
    state: Literal["pending", "waiting", "failed", "paid"]
    amount: Decimal | None = None
    case_id: str = ""
    reference: str = ""
    reason: str = ""
    at: datetime | None = None


class Gateway(Protocol):
    """Whoever moves the money. The same key is paid at most once, however often it is sent."""

    @property
    def name(self) -> str:
        """What the book knows it by; no credentials in it."""
        ...

    async def pay(self, payout: Payout, details: Mapping[str, Any] | None = None) -> Entry:
        """Send the order.

        Args:
            details: who the payee is, as the door took it; personal data.

        Raises:
            PayoutUnknown: it may have arrived or not.
        """
        ...

    async def status(self, key: str) -> Entry | None:
        """Ask for the outcome of the order; None when it never arrived.

        Raises:
            PayoutUnknown: no usable answer.
        """
        ...

    def entries(self) -> AsyncIterator[Entry]:
        """Read the gateway's whole book, for the reconciliation.

        Raises:
            PayoutUnknown: no usable answer.
        """
        ...


class ManualGateway:
    """Finance pays by hand and confirms it on the case (``confirm_payment``). It keeps no book."""

    name = "manual"

    async def pay(self, payout: Payout, details: Mapping[str, Any] | None = None) -> Entry:
        """Leave it to finance."""
        return Entry(payout.key, "waiting", payout.amount)

    async def status(self, key: str) -> Entry | None:
        """Return None: what finance confirms reaches our book with the case's event."""
        return None

    async def entries(self) -> AsyncIterator[Entry]:
        """Yield nothing."""
        none: tuple[Entry, ...] = ()
        for entry in none:
            yield entry
