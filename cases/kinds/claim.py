"""A claim (理赔): answered in 24 hours, proposed in 30 or 60 days, paid in seven (S0-A.5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any, ClassVar, Literal, get_args

from pydantic import ValidationError

from cases import compensation
from cases.case import Case, by_name, iso
from cases.kinds.claim_facts import Cause, ClaimFacts, ClaimIntake, Loss, Packer
from cases.mechanisms.approvals import Approval
from cases.mechanisms.payment import ConfirmPayment, Payment
from cases.policy.model import Policy
from cases.policy.tables import PaymentTable
from cases.vocabulary.commands import EVERY_KIND, Command
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.facts import SHIPMENT_EXAMPLE, Intake
from cases.vocabulary.refusals import Refused, invalid
from cases.vocabulary.values import FreeText, Model, Moment, Money, ShippingRoute, Text, Yuan
from cases.vocabulary.views import CaseView

# What is approved when an offer needs more authority than the one who makes it has.
OFFER = "offer"


class AnswerClaim(Command):
    """Answer the claim form, stating the processing limit (S0-A.5.2)."""

    NAME = "answer_claim"
    text: Text | None = None


class OverrideBy(Model):
    """Discretion beyond the formula (S0-2.3.3 "in principle", S0-2.3.4), in yuan."""

    amount: Yuan
    reason: Text


class Assess(Command):
    """What the investigation found, and the assessment by formula that follows (S0-A.3)."""

    NAME = "assess"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"cause": "company"}
    FINDINGS: ClassVar[set[str]] = {"cause", "packed_by", "loss", "inspection_offered"}
    cause: Cause | None = None
    packed_by: Packer | None = None
    loss: Loss | None = None
    inspection_offered: bool | None = None
    override: OverrideBy | None = None


class Offer(Command):
    """Offer an amount in yuan; without one, the assessed total (S0-A.5.3).

    More than the formula gives is discretion (S0-2.3.4): ``reason`` says why.
    """

    NAME = "offer"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"amount": "120.00"}
    amount: Yuan | None = None
    reason: Text | None = None


class AcceptOffer(Command):
    """The claimant agrees to the open offer (S0-A.5.4)."""

    NAME = "accept_offer"


class DeclineOffer(Command):
    """The claimant turns the open offer down, perhaps with a counter-demand in yuan."""

    NAME = "decline_offer"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"counter": "200.00"}
    counter: Yuan | None = None


class Dispute(Command):
    """A way that the claimant takes; negotiation comes first (S0-A.5.5)."""

    NAME = "dispute"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"path": "negotiation"}
    path: Literal["negotiation", "complaint", "appeal", "arbitration", "lawsuit"]


class ClaimAnswered(EventData):
    """The claim form was answered with the limit by which a proposal is made."""

    TYPE: ClassVar[str] = "claim_answered"
    limit_due: Moment
    text: FreeText | None = None


class Assessed(EventData):
    """What the formula gives: lines in yuan, or why nothing is due; ``found`` went in beside the facts."""

    TYPE: ClassVar[str] = "assessed"
    eligible: bool
    factor: str
    lines: list[dict[str, Any]]
    total: Money
    refused_because: str | None
    refusal: dict[str, Any] | None
    clauses: list[str]
    notes: list[dict[str, Any]]
    inspection_offered: bool | None
    needs_person: bool
    overridden: dict[str, Any] | None
    found: dict[str, Any]


class Offered(EventData):
    """An amount in yuan was offered; with ``discretion`` more than the formula gives (S0-2.3.4)."""

    TYPE: ClassVar[str] = "offered"
    amount: Money
    discretion: bool | None = None
    reason: FreeText | None = None


class OfferDeclined(EventData):
    """The claimant turned an offer down, perhaps with a counter-demand in yuan."""

    TYPE: ClassVar[str] = "offer_declined"
    amount: Money
    counter: Money | None


class Agreed(EventData):
    """The claimant agreed to an amount in yuan."""

    TYPE: ClassVar[str] = "agreed"
    amount: Money


class Disputed(EventData):
    """The claimant takes a way of dispute."""

    TYPE: ClassVar[str] = "disputed"
    path: str


class ClaimTable(PaymentTable):
    """The numbers of claims."""

    CLOCKS = ("rung", "claim_answer", "proposal", "payout", "promise", "approval")
    GIVEN = frozenset({"promise", "proposal"})


class ClaimView(CaseView):
    """A claim, with its money in yuan, the limit that was stated, and the ways of dispute that were taken."""

    limit_due: str | None
    assessment: dict[str, Any] | None
    offered: Money | None
    agreed: Money | None
    paid: str | None
    disputes: list[str]


class Payout(Payment):
    """What the company agreed to pay, within seven days."""

    CLAUSE = "S0-A.5.4"


class Claim(Case):
    """A claim moves money: assessed by formula, offered within authority, agreed, paid once."""

    KIND = "claim"
    WORKFLOW = "Claim"
    INTAKE = ClaimIntake
    EXAMPLE = {
        "key": "form-2026-0007",
        "facts": {
            "factor": "damage",
            "claimant": {"relation": "sender"},
            "shipment": {**SHIPMENT_EXAMPLE, "insured_amount": "500.00"},
            "loss": {"total_value": "500.00", "lost_value": "120.00"},
        },
    }
    TABLE = ClaimTable
    IN_EVERY_POLICY = True
    COMMANDS = by_name(
        *EVERY_KIND, AnswerClaim, Assess, Offer, AcceptOffer, DeclineOffer, Dispute, ConfirmPayment
    )  # fmt: skip
    VIEW = ClaimView
    PARTS = {**Case.PARTS, "payout": Payout}
    CLIMBS = True
    FILED = True
    SEEN_BY = frozenset({"finance"})
    ABOUT = "factor"
    MONEY = {"assessed": "assessment.total", "offered": "offered", "agreed": "agreed"}
    SUBJECTS = (OFFER,)
    AFTER_RESOLVED = Case.AFTER_RESOLVED | {"dispute", "confirm_payment"}
    OPENED_BY = ("S0-A.5.1",)

    rule: ClaimTable
    payout: Payout

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.limit_due: datetime | None = None
        self.assessment: dict[str, Any] | None = None
        self.offered: Decimal | None = None
        self.ever_offered = False
        self.agreed: Decimal | None = None
        self.negotiated = False
        self.disputes: list[str] = []

    @property
    def paid(self) -> str | None:
        """The reference under which it was paid."""
        return self.payout.reference

    @property
    def _total(self) -> Decimal:
        """What the formula gives, in yuan; nothing before it was assessed."""
        return Decimal(0) if self.assessment is None else Decimal(self.assessment["total"])

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, ClaimFacts)
        compensation.admit(intake.facts, self.policy, received)

    def _start_clocks(self, at: datetime) -> None:
        self.clocks.start("claim_answer", at)

    def _restart_clocks(self, at: datetime) -> None:
        """Let what the resolving cut short go on to its old limit, as far as that lies ahead."""
        for name in ("claim_answer", "proposal"):
            clock = self.clocks.get(name)
            answered = name == "claim_answer" and self.limit_due is not None
            if clock is not None and clock.due > at and not answered and not self.ever_offered:
                self.clocks.start(name, at, clock.due)

    # --- answering and assessing ------------------------------------------------------------------

    def _may_answer_claim(self, by: Actor, at: datetime) -> None:
        if self.limit_due is not None:
            raise Refused("already_answered", f"the limit {self.limit_due.isoformat()} was stated", "S0-A.5.2")

    def _do_answer_claim(self, command: AnswerClaim, at: datetime, by: Actor) -> None:
        # Silence gains nothing: a late answer starts the proposal's time at the 24-hour mark.
        clock = self.clocks.get("claim_answer")
        start = at if clock is None else min(at, clock.due)
        shipment = ClaimFacts.model_validate(self.facts).shipment
        route: ShippingRoute = (shipment.route if shipment else None) or "domestic"
        due = self.policy.working.end_of_day(start, self.policy.compensation.proposal_days[route])
        self.emit(ClaimAnswered(limit_due=due, text=command.text), at, by=by, clauses=("S0-A.5.2", "S0-A.5.3"))
        self.clocks.meet(at, "claim_answer")
        if self.offered is None and self.agreed is None:
            self.clocks.start("proposal", at, due)

    def _may_assess(self, by: Actor, at: datetime) -> None:
        self._refuse_agreed("assess")
        if self.approvals.waiting(OFFER) is not None:
            raise Refused("approval_open", "assess: an offer waits for its approval", "S1-5.9.10")
        discretion = compensation.Override(amount=Decimal("0.01"), reason="discretion", by_role=by.role)
        tries = ((found, override) for override in (None, discretion) for found in _findings())
        refusals = (self._refusal_of(found, at, override) for found, override in tries)
        first = next(refusals)
        if first is not None and all(refusals):
            raise first

    def _refusal_of(
        self, found: Mapping[str, Any], at: datetime, override: compensation.Override | None
    ) -> Refused | None:
        try:
            self._assess(found, at, override)
        except Refused as refusal:
            return refusal
        return None

    def _assess(
        self, found: Mapping[str, Any], at: datetime, override: compensation.Override | None
    ) -> compensation.Assessment:
        try:
            known = ClaimFacts.model_validate(_merged(self.facts, found))
        except ValidationError as error:
            raise invalid(error, "assess") from None
        assert self.opened_at is not None
        return compensation.assess(known, self.policy, filed_at=self.opened_at, at=at, override=override)

    def _do_assess(self, command: Assess, at: datetime, by: Actor) -> None:
        found = command.model_dump(mode="json", include=Assess.FINDINGS, exclude_none=True)
        override = None
        if command.override is not None:
            override = compensation.Override(
                amount=command.override.amount, reason=command.override.reason, by_role=by.role
            )
        result = self._assess(found, at, override)
        self.emit(Assessed(**result.as_json(), found=found), at, by=by, clauses=result.clauses)

    def _refuse_agreed(self, name: str) -> None:
        if self.agreed is not None:
            raise Refused("agreed", f"{name}: {self.agreed:.2f} yuan are agreed", "S0-A.5.4")

    # --- offering ---------------------------------------------------------------------------------

    def _may_offer(self, by: Actor, at: datetime) -> None:
        self._refuse_agreed("offer")
        if self.assessment is None:
            raise Refused("not_assessed", "offer: assess the claim first", "S0-A.3")
        if self.assessment["refused_because"] in compensation.FORMAL:
            raise self._not_eligible()
        self.approvals.refuse_open(OFFER, OFFER)

    def _not_eligible(self) -> Refused:
        assert self.assessment is not None
        reason, clause = self.assessment["refused_because"], self.assessment["refusal"]["clause"]
        return Refused("not_eligible", f"offer: refused because of {reason}", clause)

    def _do_offer(self, command: Offer, at: datetime, by: Actor) -> None:
        assert self.assessment is not None
        amount = self._total if command.amount is None else command.amount
        if self.assessment["refused_because"] is not None and amount <= 0:
            # An offer beyond the formula is discretion.
            raise self._not_eligible()
        if amount <= 0:
            raise Refused("nothing_to_offer", f"amount = {amount:.2f}: an offer is more than nothing", "S0-A.3")
        if self.approvals.alone_or_ask(OFFER, amount, at, by, command.reason):
            self._offer(amount, at, by, command.reason)

    def lowest_for(self, subject: str, amount: Decimal) -> str:
        """Return the lowest rung; beyond what the formula gives discretion is asked for too (S0-2.3.4)."""
        authority, role = self.policy.authority_of, super().lowest_for(subject, amount)
        discretion = self.policy.compensation.discretion_from
        beyond = self.assessment is None or amount > self._total
        below = authority.rank(role) < authority.rank(discretion)
        return discretion if subject == OFFER and beyond and below else role

    def _offer(self, amount: Decimal, at: datetime, by: Actor, reason: str | None = None) -> None:
        # More than the formula gives is shown as what it is: somebody's discretion.
        beyond = self.assessment is not None and amount > self._total
        clauses = ("S0-A.5.3", "S0-2.3.4") if beyond else ("S0-A.5.3",)
        self.emit(Offered(amount=amount, discretion=beyond or None, reason=reason), at, by=by, clauses=clauses)
        self.clocks.meet(at, "claim_answer", "proposal")

    def after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Offer what was approved."""
        # Once the case is resolved nothing is offered by itself; what was approved stays approved.
        if approval.amount is not None and self.agreed is None and self.status == "open":
            self._offer(approval.amount, at, by)

    # --- agreeing and disputing -------------------------------------------------------------------

    def _may_accept_offer(self, by: Actor, at: datetime) -> None:
        self._refuse_without_offer("accept_offer", "S0-A.5.4")

    def _refuse_without_offer(self, name: str, clause: str) -> None:
        self._refuse_agreed(name)
        if self.offered is None:
            raise Refused("no_offer", f"{name}: no offer is open", clause)

    def _do_accept_offer(self, _: AcceptOffer, at: datetime, by: Actor) -> None:
        assert self.offered is not None
        amount = self.offered
        self.emit(Agreed(amount=amount), at, by=by, clauses=("S0-A.5.4",))
        self.clocks.start("payout", at)
        self.payout.request(amount, at)

    def _may_decline_offer(self, by: Actor, at: datetime) -> None:
        self._refuse_without_offer("decline_offer", "S0-A.5.5")

    def _do_decline_offer(self, command: DeclineOffer, at: datetime, by: Actor) -> None:
        assert self.offered is not None
        data = OfferDeclined(amount=self.offered, counter=command.counter)
        self.emit(data, at, by=by, clauses=("S0-A.5.5",))

    def _choices_dispute(self, by: Actor, at: datetime) -> Mapping[str, tuple[str, ...]]:
        return {"path": self._ways() if self.negotiated else ("negotiation",)}

    def _ways(self) -> tuple[str, ...]:
        return compensation.ways_of_dispute(ClaimFacts.model_validate(self.facts))

    def _do_dispute(self, command: Dispute, at: datetime, by: Actor) -> None:
        path = command.path
        if path != "negotiation" and not self.negotiated:
            raise Refused("negotiate_first", f"path = {path!r}: negotiate first", "S0-A.5.5")
        allowed = self._ways()
        if path not in allowed:
            message = f"path = {path!r} was not agreed at posting; allowed: {', '.join(allowed)}"
            raise Refused("arbitration_not_agreed", message, "S0-A.5.5")
        self.emit(Disputed(path=path), at, by=by, clauses=("S0-A.5.5",))

    # --- paying and ending ------------------------------------------------------------------------

    def payout_made(self, reference: str, at: datetime, by: Actor = SYSTEM) -> None:
        """Take in that the money has gone out."""
        self.payout.made(reference, at, by)

    def payout_failed(self, reason: str, at: datetime) -> None:
        """Take in that the gateway said no."""
        self.payout.failed(reason, at)

    def payout_waits(self, at: datetime) -> None:
        """Take in that finance pays by hand."""
        self.payout.waits(at)

    def after_paid(self, at: datetime, by: Actor) -> None:
        """Resolve the case: with the money the matter is settled."""
        if self.status == "open":
            self._resolve(at, by, None)

    def _may_resolve(self, by: Actor, at: datetime) -> None:
        self.payout.refuse_while_owed("resolve")

    def _may_withdraw(self, by: Actor, at: datetime) -> None:
        self.payout.refuse_while_owed("withdraw")

    # --- what others see --------------------------------------------------------------------------

    def _view(self) -> dict[str, Any]:
        return {
            **super()._view(),
            "limit_due": iso(self.limit_due),
            "assessment": self.assessment,
            "offered": self.offered,
            "agreed": self.agreed,
            "paid": self.paid,
            "disputes": self.disputes,
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_claim_answered(self, data: ClaimAnswered, event: Event) -> None:
        self.limit_due = data.limit_due

    def _on_assessed(self, data: Assessed, event: Event) -> None:
        self.facts = _merged(self.facts, data.found)
        self.approvals.outdate()
        self.assessment = {name: value for name, value in event.data.items() if name != "found"}

    def _on_offered(self, data: Offered, event: Event) -> None:
        self.offered, self.ever_offered = data.amount, True

    def _on_offer_declined(self, _: OfferDeclined, event: Event) -> None:
        self.offered, self.negotiated = None, True

    def _on_agreed(self, data: Agreed, event: Event) -> None:
        self.agreed = data.amount

    def _on_disputed(self, data: Disputed, event: Event) -> None:
        self.disputes.append(data.path)
        self.negotiated = self.negotiated or data.path == "negotiation"


def _findings() -> list[dict[str, Any]]:
    """Return what an investigation may find: nothing more first, then everything in every combination."""
    loss = {"total_value": "1.00", "lost_value": "1.00", "name_differs": False}
    counted = {"declared_quantity": "1", "found_quantity": "0", "declared_weight_kg": "1", "found_weight_kg": "0"}
    causes, packers = get_args(Cause), get_args(Packer)
    whole = [
        {"cause": cause, "packed_by": packer, "inspection_offered": inspected, "loss": {**loss, **counted}}
        for cause, packer, inspected in product(causes, packers, (True, False))
    ]
    return [{}, *whole]


def _merged(facts: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts with what the investigation found; who packed is a fact of the shipment."""
    found = dict(found)
    shipment = dict(facts.get("shipment") or {})
    if "packed_by" in found:
        shipment["packed_by"] = found.pop("packed_by")
    loss = {**(facts.get("loss") or {}), **found.pop("loss", {})}
    merged = {**facts, **found}
    # An empty table would say that its required fields are missing.
    merged.update({name: value for name, value in (("shipment", shipment), ("loss", loss)) if value})
    return merged
