"""A goods return (成品退货): the slip is signed, the goods are counted, booked and proven (S1-5.13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from cases.amounts import amount_of, plain, raised
from cases.case import OTHERS, Case, by_name
from cases.kinds.goods_return_models import (
    Compared,
    ExcludeReceivable,
    IssueVoucher,
    Prove,
    Proved,
    ReceiptHeld,
    ReceivableExcluded,
    ReceivableView,
    Receive,
    Received,
    ReturnIntake,
    ReturnTable,
    ReturnView,
    SlipSignature,
    VoucherHeld,
    VoucherIssued,
    VoucherView,
)
from cases.mechanisms.approvals import Approval, Approved, Rejected
from cases.mechanisms.notices import CopiesIssued, IssuedCopy
from cases.mechanisms.route import FormRefused, Route, Step
from cases.policy.model import Policy
from cases.policy.tables import Reminders
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import Refuse, Sign, Withdraw
from cases.vocabulary.events import SYSTEM, Actor, Event, reference
from cases.vocabulary.refusals import Refused
from cases.vocabulary.views import Waiting

KIND = "return"
# The only step that is signed; what follows from it, and what is decided.
SLIP, RECEIPT, BOOKING = "slip", "receipt", "booking"
OVER_RECEIPT = "over_receipt"
SLIP_CLAUSE, RECEIPT_CLAUSE, PROOF_CLAUSE = "S1-5.13.1.2", "S1-5.13.2.2", "S1-5.13.2.4"
VOUCHER_CLAUSE, RECEIVABLE_CLAUSE = "S1-5.13.2.1", "S1-5.13.2.3"


class SlipRoute(Route):
    """The manager of business signs the slip (经(副理)批示), or refuses it."""

    CLAUSE = SLIP_CLAUSE

    def plan(self) -> Sequence[Step]:
        """Return the slip: whoever may sign it, but nobody who filed it."""
        return (Step(SLIP, permitted(self.case, Sign.NAME), f"step:{SLIP}", any_of=True, own=False),)

    def reminders(self) -> Reminders:
        """Return how who is late is reminded."""
        table = self.case.rule
        assert isinstance(table, ReturnTable)
        return table.reminders

    def filers(self) -> Iterable[Actor]:
        """Return who filed the slip."""
        return (self.case.events[0].actor,)

    @property
    def is_signed(self) -> bool:
        """Whether the slip is signed."""
        return bool(self.signed.get(SLIP))


class GoodsReturn(Case):
    """Goods come back. The voucher is for what was really received, and above the ratio somebody decides first.

    Warehouse and accounting ask apart: one about the goods, one about the money. Voucher and proof end it, in either
    order.
    """

    KIND = KIND
    WORKFLOW = "GoodsReturn"
    INTAKE = ReturnIntake
    EXAMPLE = {
        "key": "Q-7-return",
        "facts": {
            "basis": "quality:Q-7", "part_number": "P-480", "approved_quantity": "480", "unit_price": "3.333",
            "reason": "the coating peels", "disposal": "return",
        },
    }  # fmt: skip
    TABLE = ReturnTable
    # The rest is about a customer's matter, or would end it without voucher and proof.
    COMMANDS = by_name(
        commands.Acknowledge, commands.Assign, commands.Escalate, commands.Note, commands.Attach, Withdraw,
        commands.Approve, commands.Reject, commands.LoadCalendar, commands.Resend, commands.Link,
        commands.Unlink,
        Sign, Refuse, Receive, IssueVoucher, Prove, ExcludeReceivable,
    )  # fmt: skip
    VIEW = ReturnView
    PARTS = {**Case.PARTS, "route": SlipRoute}
    CLIMBS = False
    FILED = True
    SEEN_BY = frozenset({"business", "business_manager", "accounting", OTHERS})
    ABOUT = "part_number"
    MONEY = {"voucher": "voucher.amount", "excluded": "receivable.amount"}
    SUBJECTS = (RECEIPT, OVER_RECEIPT)
    STEPS = (SLIP,)
    OPENED_BY = (SLIP_CLAUSE,)

    rule: ReturnTable
    route: SlipRoute

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        # What the warehouse has found and asks about; who has counted it; what it has signed for.
        self.held: Decimal | None = None
        self.counted_by = SYSTEM
        self.received: Decimal | None = None
        self.within: bool | None = None
        self.excess_approved = False
        self.voucher: VoucherIssued | None = None
        self.proof: str | None = None
        self.receivable: ReceivableExcluded | None = None
        self.copies: list[IssuedCopy] = []

    def _start_clocks(self, at: datetime) -> None:
        self.route.begin(at)

    # --- numbers ----------------------------------------------------------------------------------

    @property
    def approved_quantity(self) -> Decimal:
        """How many were approved to come back."""
        return Decimal(self.facts["approved_quantity"])

    @property
    def limit(self) -> Decimal:
        """The most that is booked without a decision: by the ratio of the order, else the company's; not rounded."""
        noted = self.facts.get("over_receipt_percent")
        return raised(self.approved_quantity, self.rule.over_receipt_percent if noted is None else Decimal(noted))

    def _amount(self, quantity: Decimal) -> Decimal:
        return amount_of(quantity, Decimal(self.facts["unit_price"]))

    # --- the slip ---------------------------------------------------------------------------------

    def after_signed(self, at: datetime, by: Actor) -> None:
        """Hand out the copies of the slip: one stays with business, the others go to the warehouse."""
        self.emit(CopiesIssued(copies=self.rule.copies.issued(received=False)), at, by=by, clauses=(SLIP_CLAUSE,))

    def after_refused(self, step: str, reason: str, at: datetime, by: Actor) -> None:
        """Close: without its signature nothing comes back."""
        data = FormRefused(step=step, role=by.role, reason=reason)
        self.emit(data, at, by=by, clauses=(SLIP_CLAUSE,))
        self.emit(life.Closed(outcome="refused"), at, by=by, clauses=(SLIP_CLAUSE,))

    def _may_withdraw(self, by: Actor, at: datetime) -> None:
        if self.voucher is not None:
            raise Refused("already_issued", "withdraw: the voucher is made out", VOUCHER_CLAUSE)

    # --- the warehouse ----------------------------------------------------------------------------

    def _may_receive(self, by: Actor, at: datetime) -> None:
        if not self.route.is_signed:
            raise Refused("not_signed", "receive: the slip is not signed yet", SLIP_CLAUSE)
        for subject in self.SUBJECTS:
            self.approvals.refuse_open(subject, f"receive: {subject}")
        if self.received is not None:
            raise Refused("already_received", f"receive: {plain(self.received)} were received", RECEIPT_CLAUSE)

    def _do_receive(self, command: Receive, at: datetime, by: Actor) -> None:
        if command.agrees and command.quantity == self.approved_quantity:
            self._receive(command.quantity, at, by)
            return
        held = ReceiptHeld(approved=self.approved_quantity, actual=command.quantity)
        self.emit(held, at, by=by, clauses=(RECEIPT_CLAUSE,))
        self.approvals.ask(RECEIPT, None, self.authority.rungs[0], at, by=by, waits=True)

    def _receive(self, quantity: Decimal, at: datetime, by: Actor) -> None:
        self.emit(Received(quantity=quantity), at, by=by, clauses=(RECEIPT_CLAUSE,))
        self.emit(CopiesIssued(copies=self.rule.copies.issued(received=True)), at, by=by, clauses=(RECEIPT_CLAUSE,))
        approved, limit = self.approved_quantity, self.limit
        compared = Compared(approved=approved, actual=quantity, limit=limit, within=quantity <= limit)
        self.emit(compared, at, clauses=(VOUCHER_CLAUSE,))
        if quantity > limit:
            self.emit(VoucherHeld(approved=approved, actual=quantity, limit=limit), at, clauses=(VOUCHER_CLAUSE,))
            excess = self._amount(quantity - approved)
            role = self.lowest_for(OVER_RECEIPT, excess, self.counted_by)
            # In the name of who counted, so that nobody decides about their own count.
            self.approvals.ask(OVER_RECEIPT, excess, role, at, waits=True, for_=self.counted_by)

    def after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Sign for what is really there; an excess that was approved waits for its voucher."""
        if approval.subject == RECEIPT:
            assert self.held is not None  # it was asked for what is held
            self._receive(self.held, at, by)

    # --- accounting and business ------------------------------------------------------------------

    def _may_issue_voucher(self, by: Actor, at: datetime) -> None:
        if self.voucher is not None:
            raise Refused("already_issued", "issue_voucher: the voucher is made out", VOUCHER_CLAUSE)
        received = self._refuse_not_received("issue_voucher")
        if not self.within and not self.excess_approved:
            message = f"issue_voucher: {plain(received)} were received, the ratio lets in {plain(self.limit)}"
            raise Refused("above_ratio", message, VOUCHER_CLAUSE)

    def _refuse_not_received(self, command: str) -> Decimal:
        if self.received is None:
            raise Refused("not_received", f"{command}: the warehouse has not signed for the goods yet", RECEIPT_CLAUSE)
        return self.received

    def _do_issue_voucher(self, command: IssueVoucher, at: datetime, by: Actor) -> None:
        assert self.received is not None  # the guard has looked
        amount = self._amount(self.received)
        data = VoucherIssued(quantity=self.received, amount=amount, reference=command.reference)
        self.emit(data, at, by=by, clauses=(VOUCHER_CLAUSE,))
        self._close_booked(at, by)

    def _may_prove(self, by: Actor, at: datetime) -> None:
        if self.proof is not None:
            raise Refused("already_proved", f"prove: it is proven by {self.proof}", PROOF_CLAUSE)
        self._refuse_not_received("prove")

    def _check_prove(self, command: Prove, at: datetime, by: Actor) -> None:
        if not command.stamped:
            raise Refused("not_stamped", f"stamped = false: the buyer stamps the {command.way}", PROOF_CLAUSE)
        for name, counted in (("returned", command.returned), ("received", command.received)):
            if counted is not None and counted.amount != (right := amount_of(counted.quantity, counted.unit_price)):
                of = f"{plain(counted.quantity)} at {plain(counted.unit_price)} are {right}"
                raise Refused("amount_differs", f"{name}.amount = {counted.amount}: {of}", PROOF_CLAUSE)
        self._may_prove(by, at)
        received = command.received
        if received is not None and self.received is not None and received.quantity != self.received:
            message = f"received.quantity = {plain(received.quantity)}: received were {plain(self.received)}"
            raise Refused("quantity_differs", message, PROOF_CLAUSE)

    def _do_prove(self, command: Prove, at: datetime, by: Actor) -> None:
        paper = command.model_dump(mode="json", include={"document", "returned", "received"})
        self.emit(Proved(way=command.way, **paper), at, by=by, clauses=(PROOF_CLAUSE,))
        self._close_booked(at, by)

    def _close_booked(self, at: datetime, by: Actor) -> None:
        if self.voucher is not None and self.proof is not None:
            self.emit(life.Closed(outcome="booked"), at, by=by, clauses=(VOUCHER_CLAUSE, PROOF_CLAUSE))

    def _may_exclude_receivable(self, by: Actor, at: datetime) -> None:
        if self.receivable is not None:
            # Twice it would be taken out of the rate twice.
            message = f"exclude_receivable: {self.receivable.amount:.2f} yuan are excluded already"
            raise Refused("already_excluded", message, RECEIVABLE_CLAUSE)

    def _do_exclude_receivable(self, command: ExcludeReceivable, at: datetime, by: Actor) -> None:
        salesperson = command.salesperson or self.facts.get("salesperson")
        if salesperson is None:
            message = "salesperson is missing, and the facts of the case name none"
            raise Refused("salesperson_missing", message, RECEIVABLE_CLAUSE)
        data = ReceivableExcluded(
            amount=command.amount, salesperson=salesperson, part_number=self.facts["part_number"]
        )  # fmt: skip
        self.emit(data, at, by=by, clauses=(RECEIVABLE_CLAUSE,))

    # --- what others see --------------------------------------------------------------------------

    @property
    def step(self) -> str:
        """Where it stands: at the slip, at the receipt, or at voucher and proof."""
        if not self.route.is_signed:
            return SLIP
        return RECEIPT if self.received is None else BOOKING

    def waits_for(self) -> list[Waiting]:
        """List who is to act, beside those who decide."""
        if self.approvals.open():
            return []
        owed: list[tuple[str, str]] = []
        if self.step == RECEIPT:
            owed = [(RECEIPT, Receive.NAME)]
        elif self.step == BOOKING:
            owed = [("voucher", IssueVoucher.NAME)] if self.voucher is None else []
            owed += [("proof", Prove.NAME)] if self.proof is None else []
        waiting = [Waiting(what=what, role=role) for what, command in owed for role in permitted(self, command)]
        return [*self.route.waits_for(), *waiting]

    def _turn(self) -> list[str]:
        if self.status != "open":
            return []
        asked = [approval.role for approval in self.approvals.open()]
        return asked or [one.role for one in self.waits_for() if one.role is not None]

    def _view(self) -> dict[str, Any]:
        voucher, receivable = self.voucher, self.receivable
        return {
            **super()._view(),
            "step": self.step,
            "turn": self._turn(),
            "signed": [
                SlipSignature(step=SLIP, role=role, id=event.actor.id, text=reference(event, "text"))
                for role, event in self.route.signed.get(SLIP, {}).items()
            ],
            "approved_quantity": self.approved_quantity,
            "received_quantity": self.received,
            "limit": self.limit,
            "within": self.within,
            "voucher": None if voucher is None else VoucherView(**voucher.model_dump()),
            "proof": self.proof,
            "receivable": None
            if receivable is None
            else ReceivableView(**receivable.model_dump(exclude={"part_number"})),
            "copies": self.copies,
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_receipt_held(self, data: ReceiptHeld, event: Event) -> None:
        self.held, self.counted_by = data.actual, event.actor

    def _on_received(self, data: Received, event: Event) -> None:
        if self.held is None:
            self.counted_by = event.actor
        self.received, self.held = data.quantity, None

    def _on_compared(self, data: Compared, event: Event) -> None:
        self.within = data.within

    def _on_approved(self, data: Approved, event: Event) -> None:
        if data.subject == OVER_RECEIPT:
            self.excess_approved = True

    def _on_rejected(self, data: Rejected, event: Event) -> None:
        if data.subject == RECEIPT:
            self.held = None
        elif data.subject == OVER_RECEIPT:
            # The goods go back, and with them what was proven of them.
            self.received, self.within, self.proof = None, None, None

    def _on_copies_issued(self, data: CopiesIssued, event: Event) -> None:
        self.copies.extend(data.copies)

    def _on_voucher_issued(self, data: VoucherIssued, event: Event) -> None:
        self.voucher = data

    def _on_proved(self, data: Proved, event: Event) -> None:
        self.proof = data.way

    def _on_receivable_excluded(self, data: ReceivableExcluded, event: Event) -> None:
        self.receivable = data


def permitted(case: Case, command: str) -> tuple[str, ...]:
    """Return the roles that may send a command to a case, in the order of the policy."""
    allowed = case.policy.permitted(command, case.KIND)
    return tuple(role for role in case.policy.all_roles if role in allowed)
