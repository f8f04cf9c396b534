"""A claim (理赔): answered in 24 hours, proposed in 30 or 60 days, paid in seven (S0-A.5)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from cases import compensation
from cases.case import Case, known_commands
from cases.mechanisms.approvals import Approval
from cases.mechanisms.ladder import Reminding
from cases.mechanisms.timeline import Payment
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary.events import SYSTEM, Actor, Event, EventType
from cases.vocabulary.facts import ClaimFacts, ClaimIntake, Intake, ShippingRoute
from cases.vocabulary.refusals import Refused, invalid

T = EventType

# What is approved when an offer needs more authority than the one who makes it has.
OFFER = "offer"


class Claim(Case):
    """A claim moves money: assessed by formula, offered within authority, agreed, paid once."""

    KIND = "claim"
    WORKFLOW = "Claim"
    INTAKE = ClaimIntake
    COMMANDS = known_commands(
        commands.AnswerClaim, commands.Assess, commands.Offer, commands.AcceptOffer, commands.DeclineOffer,
        commands.Dispute, commands.ConfirmPayment,
    )  # fmt: skip
    AFTER_RESOLVED = Case.AFTER_RESOLVED | {"dispute", "confirm_payment"}
    OPENED_BY = ("S0-A.5.1",)

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.limit_due: datetime | None = None
        self.assessment: dict[str, Any] | None = None
        self.offered: Decimal | None = None
        self.ever_offered = False
        self.agreed: Decimal | None = None
        self.paid: str | None = None
        self.negotiated = False
        self.disputes: list[str] = []
        self.retrying = Reminding(self.rule.payout_retries) if self.rule.payout_retries else None

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, ClaimFacts)
        compensation.admit(intake.facts, self.policy, received)

    def _start_clocks(self, at: datetime) -> None:
        self._start_clock("claim_answer", at)

    def _restart_clocks(self, at: datetime) -> None:
        """What the resolving cut short goes on to its old limit, as far as that lies ahead."""
        for name in ("claim_answer", "proposal"):
            clock = self.clocks.get(name)
            answered = name == "claim_answer" and self.limit_due is not None
            if clock is not None and clock.due > at and not answered and not self.ever_offered:
                self._start_clock(name, at, clock.due)

    # --- answering and assessing ------------------------------------------------------------------

    def _do_answer_claim(self, command: commands.AnswerClaim, at: datetime, by: Actor) -> None:
        if self.limit_due is not None:
            raise Refused("already_answered", f"the limit {self.limit_due.isoformat()} was stated", "S0-A.5.2")
        # Silence gains nothing: a late answer starts the proposal's time at the 24-hour mark.
        start = min(at, self.clocks["claim_answer"].due)
        shipment = ClaimFacts.model_validate(self.facts).shipment
        route: ShippingRoute = (shipment.route if shipment else None) or "domestic"
        due = self.policy.working.end_of_day(start, self.policy.compensation.proposal_days[route])
        data: dict[str, Any] = {"limit_due": due.isoformat()}
        if command.text is not None:
            data["text"] = command.text
        self._emit(T.CLAIM_ANSWERED, at, data, by=by, clauses=("S0-A.5.2", "S0-A.5.3"))
        self._meet(at, "claim_answer")
        if self.offered is None and self.agreed is None:
            self._start_clock("proposal", at, due)

    def _do_assess(self, command: commands.Assess, at: datetime, by: Actor) -> None:
        self._not_agreed("assess")
        self._no_waiting_offer("assess")
        found = command.model_dump(mode="json", include=commands.Assess.FINDINGS, exclude_none=True)
        facts = _merged(self.facts, found)
        try:
            known = ClaimFacts.model_validate(facts)
        except ValidationError as error:
            raise invalid(error, "assess") from None
        override = None
        if command.override is not None:
            override = compensation.Override(
                amount=command.override.amount, reason=command.override.reason, by_role=by.role
            )
        assert self.opened_at is not None
        result = compensation.assess(known, self.policy, filed_at=self.opened_at, at=at, override=override)
        data = {**result.as_json(), "found": found}
        self._emit(T.ASSESSED, at, data, by=by, clauses=result.clauses)

    def _not_agreed(self, name: str) -> None:
        if self.agreed is not None:
            raise Refused("agreed", f"{name}: {self.agreed:.2f} yuan are agreed", "S0-A.5.4")

    def _no_waiting_offer(self, name: str) -> None:
        if any(approval.subject == OFFER for approval in self.open_approvals()):
            raise Refused("approval_open", f"{name}: an offer waits for its approval", "S1-5.9.10")

    # --- offering ---------------------------------------------------------------------------------

    def _do_offer(self, command: commands.Offer, at: datetime, by: Actor) -> None:
        self._not_agreed("offer")
        if self.assessment is None:
            raise Refused("not_assessed", "offer: assess the claim first", "S0-A.3")
        total = Decimal(self.assessment["total"])
        amount = total if command.amount is None else command.amount
        refusal = self.assessment["refused_because"]
        if refusal is not None and (amount <= 0 or refusal in compensation.FORMAL):
            # An offer beyond the formula is discretion, and that never changes who may claim, nor until when.
            raise Refused("not_eligible", f"offer: refused because of {refusal}", self.assessment["refusal"]["clause"])
        if amount <= 0:
            raise Refused("nothing_to_offer", f"amount = {amount:.2f}: an offer is more than nothing", "S0-A.3")
        if self._alone_or_ask(OFFER, amount, at, by, command.reason):
            self._offer(amount, at, by, command.reason)

    def _lowest_for(self, subject: str, amount: Decimal) -> str:
        """Beyond what the formula gives, discretion is asked for too (S0-2.3.4)."""
        authority, role = self.policy.authority_of, super()._lowest_for(subject, amount)
        discretion = self.policy.compensation.discretion_from
        beyond = self.assessment is None or amount > Decimal(self.assessment["total"])
        below = authority.rank(role) < authority.rank(discretion)
        return discretion if subject == OFFER and beyond and below else role

    def _offer(self, amount: Decimal, at: datetime, by: Actor, reason: str | None = None) -> None:
        data: dict[str, Any] = {"amount": f"{amount:.2f}"}
        clauses: tuple[str, ...] = ("S0-A.5.3",)
        if self.assessment is not None and amount > Decimal(self.assessment["total"]):
            # Shown as what it is: more than the formula gives, by somebody's discretion.
            data["discretion"] = True
            clauses = ("S0-A.5.3", "S0-2.3.4")
        if reason is not None:
            data["reason"] = reason
        self._emit(T.OFFERED, at, data, by=by, clauses=clauses)
        self._meet(at, "claim_answer", "proposal")

    def _after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        # Once the case is resolved nothing is offered by itself; what was approved stays approved.
        if approval.amount is not None and self.agreed is None and self.status == "open":
            self._offer(approval.amount, at, by)

    # --- agreeing and disputing -------------------------------------------------------------------

    def _do_accept_offer(self, _: commands.AcceptOffer, at: datetime, by: Actor) -> None:
        self._not_agreed("accept_offer")
        if self.offered is None:
            raise Refused("no_offer", "accept_offer: no offer is open", "S0-A.5.4")
        amount = f"{self.offered:.2f}"
        self._emit(T.AGREED, at, {"amount": amount}, by=by, clauses=("S0-A.5.4",))
        self._start_clock("payout", at)
        self._request_payout(at)

    def _do_decline_offer(self, command: commands.DeclineOffer, at: datetime, by: Actor) -> None:
        self._not_agreed("decline_offer")
        if self.offered is None:
            raise Refused("no_offer", "decline_offer: no offer is open", "S0-A.5.5")
        counter = None if command.counter is None else f"{command.counter:.2f}"
        data = {"amount": f"{self.offered:.2f}", "counter": counter}
        self._emit(T.OFFER_DECLINED, at, data, by=by, clauses=("S0-A.5.5",))

    def _do_dispute(self, command: commands.Dispute, at: datetime, by: Actor) -> None:
        path = command.path
        if path != "negotiation" and not self.negotiated:
            raise Refused("negotiate_first", f"path = {path!r}: negotiate first", "S0-A.5.5")
        allowed = compensation.ways_of_dispute(ClaimFacts.model_validate(self.facts))
        if path not in allowed:
            message = f"path = {path!r} was not agreed at posting; allowed: {', '.join(allowed)}"
            raise Refused("arbitration_not_agreed", message, "S0-A.5.5")
        self._emit(T.DISPUTED, at, {"path": path}, by=by, clauses=("S0-A.5.5",))

    # --- paying -----------------------------------------------------------------------------------

    def _request_payout(self, at: datetime) -> None:
        assert self.agreed is not None
        data = {"amount": f"{self.agreed:.2f}"}
        self._emit(T.PAYOUT_REQUESTED, at, data, clauses=("S0-A.5.4",))
        self.outbox.append(Payment(self.agreed, self.events[-1]))

    def payout_made(self, reference: str, at: datetime, by: Actor = SYSTEM) -> None:
        """The money has gone out; told again, it changes nothing."""
        if self.paid is not None or self.agreed is None:
            return
        at = self._arrival(at)
        data = {"amount": f"{self.agreed:.2f}", "reference": reference}
        self._emit(T.PAID, at, data, by=by, clauses=("S0-A.5.4",))
        self._meet(at, "payout")
        if self.status == "open":
            self._resolve(at, by, None)

    def payout_failed(self, reason: str, at: datetime) -> None:
        """The gateway said no. It is tried again later, and the next rung hears of it."""
        if self.paid is not None:
            return
        at = self._arrival(at)
        self._emit(T.PAYOUT_FAILED, at, {"reason": reason}, clauses=("S0-A.5.4",))
        above = self.ladder.above()
        if above is not None and self.status == "open":
            self._climb(above, "payout_failed", at, clauses=("S0-A.5.4",))

    def _do_confirm_payment(self, command: commands.ConfirmPayment, at: datetime, by: Actor) -> None:
        if self.agreed is None:
            raise Refused("nothing_to_pay", "confirm_payment: nothing is agreed", "S0-A.5.4")
        if self.paid is not None:
            raise Refused("already_paid", f"confirm_payment: paid with reference {self.paid}", "S0-A.5.4")
        self.payout_made(command.reference, at, by)

    def _next_turn(self) -> tuple[datetime, Callable[[datetime], None]] | None:
        turn = super()._next_turn()
        moment = self.retrying.next_at if self.retrying is not None else None
        if moment is not None and (turn is None or moment < turn[0]):
            return moment, self._request_payout
        return turn

    # --- ending -----------------------------------------------------------------------------------

    def _do_resolve(self, command: commands.Resolve, at: datetime, by: Actor) -> None:
        self._not_while_paying("resolve")
        super()._do_resolve(command, at, by)

    def _do_withdraw(self, command: commands.Withdraw, at: datetime, by: Actor) -> None:
        self._not_while_paying("withdraw")
        super()._do_withdraw(command, at, by)

    def _not_while_paying(self, name: str) -> None:
        if self.agreed is not None and self.paid is None:
            raise Refused("payout_owed", f"{name}: {self.agreed:.2f} yuan are agreed and not yet paid", "S0-A.5.4")

    # --- what others see --------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """The case view, with the money at a glance (yuan, as text)."""
        return {
            **super().view(),
            "limit_due": None if self.limit_due is None else self.limit_due.isoformat(),
            "assessment": self.assessment,
            "offered": _text(self.offered),
            "agreed": _text(self.agreed),
            "paid": self.paid,
            "disputes": self.disputes,
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_claim_answered(self, event: Event) -> None:
        self.limit_due = datetime.fromisoformat(event.data["limit_due"])

    def _on_assessed(self, event: Event) -> None:
        self.facts = _merged(self.facts, event.data["found"])
        self.stale_approvals = len(self.approvals)
        self.assessment = {name: value for name, value in event.data.items() if name != "found"}

    def _on_offered(self, event: Event) -> None:
        self.offered, self.ever_offered = Decimal(event.data["amount"]), True

    def _on_offer_declined(self, _: Event) -> None:
        self.offered, self.negotiated = None, True

    def _on_agreed(self, event: Event) -> None:
        self.agreed = Decimal(event.data["amount"])

    def _on_disputed(self, event: Event) -> None:
        path = event.data["path"]
        self.disputes.append(path)
        self.negotiated = self.negotiated or path == "negotiation"

    def _on_payout_requested(self, _: Event) -> None:
        if self.retrying is not None:
            self.retrying.next_at = None

    def _on_payout_failed(self, event: Event) -> None:
        if self.retrying is not None:
            self.retrying.count += 1
            self.retrying.next_at = event.at + self.retrying.rule.interval(self.retrying.count)

    def _on_paid(self, event: Event) -> None:
        self.paid = event.data["reference"]
        if self.retrying is not None:
            self.retrying.quiet()


def _merged(facts: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Facts with what the investigation found; who packed is a fact of the shipment."""
    found = dict(found)
    shipment = dict(facts.get("shipment") or {})
    if "packed_by" in found:
        shipment["packed_by"] = found.pop("packed_by")
    loss = {**(facts.get("loss") or {}), **found.pop("loss", {})}
    merged = {**facts, **found}
    # An empty table would say that its required fields are missing.
    merged.update({name: value for name, value in (("shipment", shipment), ("loss", loss)) if value})
    return merged


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"
