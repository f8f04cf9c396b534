"""Payment: money that a case owes is asked for, tried again when it fails, and paid once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from cases.mechanisms.ladder import Reminding
from cases.mechanisms.part import Part, Turn
from cases.policy.tables import PaymentTable
from cases.vocabulary.commands import Command
from cases.vocabulary.effects import Payment as PaymentEffect
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Money, Token

if TYPE_CHECKING:
    from cases.case import Case


class PayoutRequested(EventData):
    """The gateway is asked to pay, in yuan."""

    TYPE: ClassVar[str] = "payout_requested"
    amount: Money


class Paid(EventData):
    """The money has gone out, in yuan, with the proof's reference."""

    TYPE: ClassVar[str] = "paid"
    amount: Money
    reference: str


class PayoutFailed(EventData):
    """The gateway said no."""

    TYPE: ClassVar[str] = "payout_failed"
    reason: str


class PayoutWaiting(EventData):
    """The gateway leaves it to finance to pay by hand and to confirm it."""

    TYPE: ClassVar[str] = "payout_waiting"


class ConfirmPayment(Command):
    """Finance confirms by hand that the money went out, with the proof's reference."""

    NAME = "confirm_payment"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reference": "bank-20260311-17"}
    reference: Token


class Payment(Part):
    """One sum that a case owes somebody.

    The policy's table of the kind is a `PaymentTable` with the clock ``payout``. Subclasses name the clause.
    """

    CLAUSE: ClassVar[str]

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.amount: Decimal | None = None
        self.reference: str | None = None
        table = case.rule
        assert isinstance(table, PaymentTable)
        self._retrying = None if table.payout_retries is None else Reminding(table.payout_retries)

    @property
    def owed(self) -> bool:
        """Whether it was asked for and has not gone out."""
        return self.amount is not None and self.reference is None

    def refuse_while_owed(self, command: str) -> None:
        """Refuse what would end the case before it has paid.

        Raises:
            Refused: code ``payout_owed``.
        """
        if self.owed:
            message = f"{command}: {self.amount:.2f} yuan are agreed and not yet paid"
            raise Refused("payout_owed", message, self.CLAUSE)

    def request(self, amount: Decimal, at: datetime) -> None:
        """Ask the gateway to pay an amount in yuan."""
        self.case.emit(PayoutRequested(amount=amount), at, clauses=(self.CLAUSE,))

    def made(self, reference: str, at: datetime, by: Actor = SYSTEM) -> None:
        """Take in that the money has gone out; told again, it changes nothing."""
        if self.amount is None or self.reference is not None:
            return
        at = self.case.arrive(at)
        self.case.emit(Paid(amount=self.amount, reference=reference), at, by=by, clauses=(self.CLAUSE,))
        self.case.clocks.meet(at, "payout")
        self.case.after_paid(at, by)

    def failed(self, reason: str, at: datetime) -> None:
        """Take in that the gateway said no. It is tried again later, and the next rung hears of it."""
        if self.reference is not None:
            return
        case = self.case
        at = case.arrive(at)
        case.emit(PayoutFailed(reason=reason), at, clauses=(self.CLAUSE,))
        above = case.ladder.above()
        if above is not None and case.status == "open":
            case.ladder.climb(above, "payout_failed", at, clauses=(self.CLAUSE,))

    def waits(self, at: datetime) -> None:
        """Take in that finance pays by hand."""
        if self.reference is None:
            self.case.emit(PayoutWaiting(), self.case.arrive(at), clauses=(self.CLAUSE,))

    def turns(self) -> Iterable[Turn]:
        """Yield the next try after one that failed."""
        amount = self.amount
        if self._retrying is not None and self._retrying.next_at is not None and amount is not None:
            yield self._retrying.next_at, lambda at: self.request(amount, at)

    # --- commands ---------------------------------------------------------------------------------

    def _may_confirm_payment(self, by: Actor, at: datetime) -> None:
        if self.amount is None:
            raise Refused("nothing_to_pay", "confirm_payment: nothing is agreed", self.CLAUSE)
        if self.reference is not None:
            raise Refused("already_paid", f"confirm_payment: paid with reference {self.reference}", self.CLAUSE)

    def _do_confirm_payment(self, command: ConfirmPayment, at: datetime, by: Actor) -> None:
        self.made(command.reference, at, by)

    # --- how events change the state --------------------------------------------------------------

    def _on_payout_requested(self, data: PayoutRequested, event: Event) -> None:
        self.amount = data.amount
        self.case.ask(PaymentEffect(seq=event.seq, amount=data.amount))
        if self._retrying is not None:
            self._retrying.next_at = None

    def _on_payout_waiting(self, _: PayoutWaiting, event: Event) -> None:
        self.case.came_out(PaymentEffect)

    def _on_payout_failed(self, data: PayoutFailed, event: Event) -> None:
        self.case.came_out(PaymentEffect)
        if self._retrying is not None:
            self._retrying.count += 1
            self._retrying.next_at = event.at + self._retrying.rule.interval(self._retrying.count)

    def _on_paid(self, data: Paid, event: Event) -> None:
        self.reference = data.reference
        self.case.came_out(PaymentEffect)
        if self._retrying is not None:
            self._retrying.quiet()
