"""Payment: money that a case owes is asked for, tried again when it fails, and paid once.

Nobody confirms by hand what a gateway may be paying, and whom the money goes to changes only while it surely goes
nowhere: an attempt is under way from its asking until it failed or was left to finance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cases.mechanisms.ladder import Reminding
from cases.mechanisms.part import Part, Turn
from cases.mechanisms.waybill import WaybillCleared
from cases.policy.tables import PaymentTable
from cases.vocabulary.commands import Command
from cases.vocabulary.effects import Payment as PaymentEffect
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Label, Money

if TYPE_CHECKING:
    from cases.case import Case


class PayoutRequested(EventData):
    """The gateway is asked to pay, in yuan: ``payee`` is a token of who is paid and how.

    ``order`` counts the agreements that were paid for, where there was more than one.
    """

    TYPE: ClassVar[str] = "payout_requested"
    amount: Money
    payee: str | None = None
    order: int | None = None


class Paid(EventData):
    """The money has gone out, in yuan, with the proof's reference."""

    TYPE: ClassVar[str] = "paid"
    amount: Money
    reference: str


class PayoutFailed(EventData):
    """The gateway said no; with ``unknown`` nobody knows yet whether the money has gone out."""

    TYPE: ClassVar[str] = "payout_failed"
    reason: str
    unknown: bool | None = None


class PayoutWaiting(EventData):
    """The gateway leaves it to finance to pay by hand and to confirm it."""

    TYPE: ClassVar[str] = "payout_waiting"


class ConfirmPayment(Command):
    """Finance confirms by hand that the money went out, with the proof's reference.

    ``reference`` is the bank's, as it stands there, and stays in the record in clear: no name of who was paid.
    """

    NAME = "confirm_payment"
    SERVES: ClassVar[frozenset[str]] = frozenset({"payout"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reference": "bank-20260311-17"}
    reference: Label


class Payment(Part):
    """One sum that a case owes somebody.

    The policy's table of the kind is a `PaymentTable` with the clock ``payout``. Subclasses name the clause.
    """

    CLAUSE: ClassVar[str]

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.amount: Decimal | None = None
        self.payee: str | None = None
        self.reference: str | None = None
        # What is known of the last attempt, and how many orders there were before this one.
        self.attempt: Literal["under_way", "waiting", "failed"] | None = None
        self.earlier = 0
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

    def refuse_paid(self, command: str) -> None:
        """Refuse what would undo a case whose money has gone out.

        Raises:
            Refused: code ``already_paid``.
        """
        if self.reference is not None:
            raise Refused("already_paid", f"{command}: paid with reference {self.reference}", self.CLAUSE)

    def refuse_under_way(self, command: str) -> None:
        """Refuse what would have money go out while the gateway may be paying.

        Raises:
            Refused: code ``payout_under_way``.
        """
        if self.attempt == "under_way":
            message = f"{command}: the gateway may be paying; wait until it has failed or is left to finance"
            raise Refused("payout_under_way", message, self.CLAUSE)

    def request(self, amount: Decimal, at: datetime, payee: str | None = None) -> None:
        """Ask the gateway to pay an amount in yuan, to whom a token names."""
        data = PayoutRequested(amount=amount, payee=payee, order=self.earlier + 1 if self.earlier else None)
        self.case.emit(data, at, clauses=(self.CLAUSE,))

    def take_back(self) -> None:
        """Owe nothing until it is asked for anew: for handlers of events that undo what was agreed."""
        self.amount = self.payee = self.attempt = None
        self.earlier += 1
        if self._retrying is not None:
            self._retrying.quiet()

    def made(self, reference: str, at: datetime, by: Actor = SYSTEM) -> None:
        """Take in that the money has gone out; told again, it changes nothing."""
        if self.amount is None or self.reference is not None:
            return
        at = self.case.arrive(at)
        self.case.emit(Paid(amount=self.amount, reference=reference), at, by=by, clauses=(self.CLAUSE,))
        self.case.clocks.meet(at, "payout")
        self.case.after_paid(at, by)

    def failed(self, reason: str, at: datetime, *, unknown: bool = False) -> None:
        """Take in that the gateway said no, or nothing. It is tried again later, and the next rung hears of it."""
        if self.reference is not None:
            return
        case = self.case
        at = case.arrive(at)
        case.emit(PayoutFailed(reason=reason, unknown=unknown or None), at, clauses=(self.CLAUSE,))
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
            yield self._retrying.next_at, lambda at: self.request(amount, at, self.payee)

    # --- commands ---------------------------------------------------------------------------------

    def _may_confirm_payment(self, by: Actor, at: datetime) -> None:
        if self.amount is None:
            raise Refused("nothing_to_pay", "confirm_payment: nothing is agreed", self.CLAUSE)
        self.refuse_paid("confirm_payment")
        self.refuse_under_way("confirm_payment")
        if (refusal := self.case.unsafe_payment("confirm_payment")) is not None:
            raise refusal

    def _do_confirm_payment(self, command: ConfirmPayment, at: datetime, by: Actor) -> None:
        self.made(command.reference, at, by)

    # --- how events change the state --------------------------------------------------------------

    def _on_payout_requested(self, data: PayoutRequested, event: Event) -> None:
        self.amount, self.payee, self.attempt = data.amount, data.payee, "under_way"
        waybill, cleared = self.case.parcel()
        self.case.ask(
            PaymentEffect(
                seq=event.seq,
                amount=data.amount,
                payee=data.payee,
                order=data.order or 1,
                waybill=waybill,
                cleared=cleared,
            )
        )
        if self._retrying is not None:
            self._retrying.next_at = None

    def _on_payout_waiting(self, _: PayoutWaiting, event: Event) -> None:
        self.attempt = "waiting"
        self.case.came_out(PaymentEffect)

    def _on_payout_failed(self, data: PayoutFailed, event: Event) -> None:
        # Where nobody knows it is under way until the gateway has said what came of it.
        self.attempt = "under_way" if data.unknown else "failed"
        self.case.came_out(PaymentEffect)
        if self._retrying is not None:
            self._retrying.count += 1
            self._retrying.next_at = event.at + self._retrying.rule.interval(self._retrying.count)

    def _on_waybill_cleared(self, _: WaybillCleared, event: Event) -> None:
        # What may have stood against the payment is out of the way.
        if self._retrying is not None and self._retrying.next_at is not None:
            self._retrying.next_at = event.at

    def _on_paid(self, data: Paid, event: Event) -> None:
        self.reference, self.attempt = data.reference, None
        self.case.came_out(PaymentEffect)
        if self._retrying is not None:
            self._retrying.quiet()
