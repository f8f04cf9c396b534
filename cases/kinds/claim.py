"""A claim (理赔): answered in 24 hours, proposed in 30 or 60 days, paid in seven (S0-A.5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any, get_args

from pydantic import ValidationError

from cases import compensation
from cases.case import Case, by_name, iso
from cases.kinds.claim_dates import BACKDATING, Dates, ProveDate
from cases.kinds.claim_facts import Cause, ClaimFacts, ClaimIntake, Packer
from cases.kinds.claim_models import (
    CLAIMANT,
    AcceptOffer,
    Agreed,
    AnswerClaim,
    Assess,
    Assessed,
    ClaimAnswered,
    ClaimTable,
    ClaimView,
    DeclineOffer,
    Dispute,
    Disputed,
    Duties,
    NamePayee,
    Offer,
    OfferDeclined,
    Offered,
    PayeeNamed,
    PayeeView,
)
from cases.mechanisms.approvals import Approval
from cases.mechanisms.payment import ConfirmPayment, Payment
from cases.mechanisms.waybill import LOOK_UP_WAYBILL, ClearWaybill, Waybill
from cases.policy.model import Policy
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import EVERY_KIND
from cases.vocabulary.effects import ActivityCall
from cases.vocabulary.events import SYSTEM, Actor, Event, with_references
from cases.vocabulary.facts import SHIPMENT_EXAMPLE, Intake
from cases.vocabulary.parcels import EarlierClaims, Found
from cases.vocabulary.refusals import Refused, invalid
from cases.vocabulary.values import RECORDED, ShippingRoute

# What is approved when an offer needs more authority than the one who makes it has, or a second person.
OFFER = "offer"
# Who speaks for themselves; everybody else records what the claimant said.
CLAIMANTS = frozenset({"customer"})


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
        *EVERY_KIND, AnswerClaim, Assess, Offer, NamePayee, AcceptOffer, DeclineOffer, Dispute, ConfirmPayment,
        ClearWaybill, ProveDate,
    )  # fmt: skip
    # What waits for the answer about the waybill where that is under way, as filing does.
    LOOKS_FIRST = frozenset({"offer"})
    VIEW = ClaimView
    PARTS = {**Case.PARTS, "payout": Payout, "waybill": Waybill, "dates": Dates}
    CLIMBS = True
    FILED = True
    SEEN_BY = frozenset({"finance"})
    ABOUT = "factor"
    MONEY = {"assessed": "assessment.total", "offered": "offered", "agreed": "agreed"}
    SUBJECTS = (OFFER, BACKDATING)
    AFTER_RESOLVED = Case.AFTER_RESOLVED | {"dispute", "confirm_payment", "clear_waybill"}
    OPENED_BY = ("S0-A.5.1",)

    rule: ClaimTable
    payout: Payout
    waybill: Waybill
    dates: Dates

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.limit_due: datetime | None = None
        self.assessment: dict[str, Any] | None = None
        self.offered: Decimal | None = None
        self.ever_offered = False
        self.agreed: Decimal | None = None
        # Since when the claimant has been able to agree to what is on offer: to the amount, and to who is paid.
        self.known_since: datetime | None = None
        self.negotiated = False
        self.disputes: list[str] = []
        # Whom the money goes to, where somebody named it; who assessed, offered or named; who overrode the formula.
        self.payee: tuple[str, str] | None = None
        self.involved: set[str] = set()
        self.overrode: Actor | None = None

    @property
    def duties(self) -> Duties | None:
        """What keeps anybody from paying alone; None where the pinned policy has no such duties."""
        return self.rule.duties

    @property
    def paid(self) -> str | None:
        """The reference under which it was paid."""
        return self.payout.reference

    @property
    def _total(self) -> Decimal:
        """What was assessed, in yuan; nothing before it was."""
        return Decimal(0) if self.assessment is None else Decimal(self.assessment["total"])

    @property
    def _by_formula(self) -> Decimal:
        """What the formula gives without anybody's discretion, in yuan; nothing where it could not say."""
        overridden = None if self.assessment is None else self.assessment["overridden"]
        if overridden is None or self.duties is None:
            return self._total
        return Decimal(overridden["was_total"] or 0)

    def known_facts(self) -> ClaimFacts:
        """Return the facts as they are recorded."""
        return ClaimFacts.model_validate(self.facts, context=RECORDED)

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
        shipment = self.known_facts().shipment
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
            known = ClaimFacts.model_validate(_merged(self.facts, found), context=RECORDED)
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
        if (refusal := self._unsafe("offer")) is not None:
            raise refusal

    def _unsafe(self, command: str) -> Refused | None:
        """Say what must be looked at before money is offered: other claims on the parcel, dates without proof."""
        return self.waybill.refusal(command) or self.dates.refusal(command)

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

    def lowest_for(self, subject: str, amount: Decimal, by: Actor) -> str:
        """Return the lowest rung; beyond what the formula gives discretion is asked for too (S0-2.3.4)."""
        authority, role = self.policy.authority_of, super().lowest_for(subject, amount, by)
        discretion = self.policy.compensation.discretion_from
        below = authority.rank(role) < authority.rank(discretion)
        return discretion if subject == OFFER and below and self._is_beyond(amount, by) else role

    def _is_beyond(self, amount: Decimal, by: Actor) -> bool:
        """Whether an amount in yuan is this actor's own discretion: more than the formula, or somebody else, gave."""
        own = by.is_same(self.overrode)
        return self.assessment is None or amount > (self._by_formula if own else self._total)

    def second_person(self, subject: str, amount: Decimal, by: Actor) -> tuple[str, ...] | None:
        """Have somebody else decide what is this actor's discretion, also what the highest rung itself wants.

        There, where nobody stands above, the roles that the policy names may be the second person too.
        """
        duties = self.duties
        if subject != OFFER or duties is None or not duties.second_person:
            return None
        top = self.ladder.rungs[-1]
        also = duties.also if any(one is not None and one.role == top for one in (by, self.overrode)) else ()
        return also if self._is_beyond(amount, by) or self._overridden_above(amount, by) else None

    def _overridden_above(self, amount: Decimal, by: Actor) -> bool:
        """Whether the amount rests on an override, and somebody with more authority than this actor decides it."""
        beyond = self.overrode is not None and amount > self._by_formula
        return beyond and not self.policy.authority_of.covers(by.role, amount)

    def objection(self, approval: Approval, by: Actor) -> Refused | None:
        """Let nobody approve what rests on their own override or filing, or what must be looked at first."""
        if approval.subject == BACKDATING:
            return self.dates.objection(by)
        if approval.subject != OFFER:
            return None
        duties = self.duties
        if duties is not None and duties.second_person and by.is_same(self.overrode):
            message = f"approve: by.id = {by.id!r} overrode the assessment; somebody else approves it"
            return Refused("duties", message, "S1-5.9.10")
        return self._unsafe("approve")

    def _offer(self, amount: Decimal, at: datetime, by: Actor, reason: str | None = None) -> None:
        # More than the formula gives is shown as what it is: somebody's discretion.
        beyond = self.assessment is not None and amount > self._by_formula
        clauses = ("S0-A.5.3", "S0-2.3.4") if beyond else ("S0-A.5.3",)
        self.emit(Offered(amount=amount, discretion=beyond or None, reason=reason), at, by=by, clauses=clauses)
        self.clocks.meet(at, "claim_answer", "proposal")

    def after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Offer what was approved."""
        # Once the case is resolved nothing is offered by itself; what was approved stays approved.
        if approval.amount is not None and self.agreed is None and self.status == "open":
            self._offer(approval.amount, at, by)

    # --- agreeing and disputing -------------------------------------------------------------------

    def _may_name_payee(self, by: Actor, at: datetime) -> None:
        if self.duties is None:
            message = "name_payee: the policy that the claim is pinned to has no duties, so the claimant is paid"
            raise Refused("duties", message, "S0-A.1")
        self.payout.refuse_paid("name_payee")
        self.payout.refuse_under_way("name_payee")
        if self.payout.attempt == "waiting" and by.role not in self.policy.permitted("confirm_payment", self.KIND):
            message = "name_payee: finance may have paid by hand; only finance may say that it has not"
            raise Refused("payout_under_way", message, "S0-A.5.4")

    def _do_name_payee(self, command: NamePayee, at: datetime, by: Actor) -> None:
        data = PayeeNamed(relation=command.relation, payee=command.payee)
        void = self.agreed is not None
        self.emit(data, at, by=by, clauses=("S0-A.1",))
        if void:
            # What was agreed was agreed for another payee.
            self.clocks.meet(at, "payout")

    def _may_accept_offer(self, by: Actor, at: datetime) -> None:
        self._refuse_without_offer("accept_offer", "S0-A.5.4")
        duties = self.duties
        if duties is not None and duties.separate_acceptance and not by.names.isdisjoint(self.involved):
            message = f"accept_offer: by.id = {by.id!r} assessed, offered or named the payee; somebody else records it"
            raise Refused("duties", message, "S1-5.9.10")

    def _check_accept_offer(self, command: AcceptOffer, at: datetime, by: Actor) -> None:
        duties = self.duties
        if duties is None or by.role in CLAIMANTS or self.offered is None or self.known_since is None:
            return
        said = command.said_at or at
        if command.channel is None:
            raise _unproven("channel is missing: by which channel the claimant said so")
        if not self.known_since <= said <= at:
            span = f"{self.known_since.isoformat()} to {at.isoformat()}"
            raise _unproven(
                f"said_at = {said.isoformat()}: the claimant said so after the offer and before now: {span}"
            )
        if command.evidence is None and self.offered > duties.evidence_from:
            raise _unproven(f"evidence is missing: above {duties.evidence_from:.2f} yuan something proves it")

    def _refuse_without_offer(self, name: str, clause: str) -> None:
        self._refuse_agreed(name)
        if self.offered is None:
            raise Refused("no_offer", f"{name}: no offer is open", clause)

    def _do_accept_offer(self, command: AcceptOffer, at: datetime, by: Actor) -> None:
        assert self.offered is not None
        amount, (relation, payee) = self.offered, self._payee()
        said = None if command.said_at is None else self.policy.local(command.said_at)
        data = Agreed(
            amount=amount,
            payee=payee,
            relation=relation,
            channel=command.channel,
            said_at=said,
            evidence=command.evidence,
        )
        self.emit(data, at, by=by, clauses=("S0-A.5.4",))
        # The claimant agreed when they said so, not when somebody wrote it down.
        self.clocks.start("payout", at, since=said)
        self.payout.request(amount, at, payee)

    def _payee(self) -> tuple[str, str]:
        """Return whom the money goes to: the relation to the parcel and a token; the claimant unless named."""
        if self.payee is not None:
            return self.payee
        sender = self.known_facts().claimant.relation == "sender"
        return ("sender" if sender else "beneficiary"), CLAIMANT

    def _may_decline_offer(self, by: Actor, at: datetime) -> None:
        self._refuse_without_offer("decline_offer", "S0-A.5.5")

    def _do_decline_offer(self, command: DeclineOffer, at: datetime, by: Actor) -> None:
        assert self.offered is not None
        data = OfferDeclined(amount=self.offered, counter=command.counter)
        self.emit(data, at, by=by, clauses=("S0-A.5.5",))

    def _choices_dispute(self, by: Actor, at: datetime) -> Mapping[str, tuple[str, ...]]:
        return {"path": self._ways() if self.negotiated else ("negotiation",)}

    def _ways(self) -> tuple[str, ...]:
        return compensation.ways_of_dispute(self.known_facts())

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

    def payout_failed(self, reason: str, at: datetime, *, unknown: bool = False) -> None:
        """Take in that the gateway said no, or nothing that anybody understands."""
        self.payout.failed(reason, at, unknown=unknown)

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
        self.payout.refuse_paid("withdraw")

    def _may_merge(self, by: Actor, at: datetime) -> None:
        self.payout.refuse_while_owed("merge")
        self.payout.refuse_paid("merge")

    # --- what the casebook knows of the parcel ------------------------------------------------------

    def unsafe_payment(self, command: str) -> Refused | None:
        """Say which other claims on the parcel stand against the payment."""
        return self.waybill.refusal(command)

    def looking(self) -> bool:
        """Whether the casebook was asked about the parcel and has not answered."""
        return self.waybill.looking

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in what the casebook knows of the parcel."""
        if call.activity != LOOK_UP_WAYBILL:
            super().activity_done(call, result, at)
            return
        self.waybill.found(call.seq, Found.model_validate(result), at)

    def parcel(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the waybill, for which one claim is paid, and the others that somebody has looked at."""
        return (None, ()) if self.duties is None else (self.waybill.waybill, tuple(self.waybill.cleared))

    def rehearsed(self, call: ActivityCall, earlier_claims: EarlierClaims, serial: int) -> Mapping[str, Any]:
        """Let the parcel be claimed as the rehearsal says."""
        return Found(claims=list(earlier_claims)).model_dump()

    def payout_blocked(self, found: Mapping[str, Any], at: datetime) -> None:
        """Take in that nothing was paid, since the parcel is claimed elsewhere too."""
        claims = Found.model_validate(found).claims
        self.waybill.found(self.events[-1].seq, Found(claims=claims, inquiries=self.waybill.inquiries), at)
        self.payout.failed("waybill_claimed", at)

    # --- what others see --------------------------------------------------------------------------

    def _view(self) -> dict[str, Any]:
        relation, payee = self._payee()
        return {
            **super()._view(),
            "limit_due": iso(self.limit_due),
            "assessment": self.assessment,
            "offered": self.offered,
            "agreed": self.agreed,
            "paid": self.paid,
            "disputes": self.disputes,
            "payee": PayeeView(relation=relation, payee=payee),
            "earlier_claims": self.waybill.uncleared(),
            "unproven": self.dates.unproven(),
            "backdated": self.dates.backdated,
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_claim_answered(self, data: ClaimAnswered, event: Event) -> None:
        self.limit_due = data.limit_due

    def _on_case_opened(self, data: life.CaseOpened, event: Event) -> None:
        super()._on_case_opened(data, event)
        if self.duties is not None:
            self.waybill.look_up(event)

    def _on_assessed(self, data: Assessed, event: Event) -> None:
        self.facts = _merged(self.facts, data.found)
        self.approvals.outdate()
        said = with_references(event)
        self.assessment = {name: value for name, value in said.items() if name != "found"}
        self.involved |= event.actor.names
        self.overrode = event.actor if data.overridden is not None else None
        if self.duties is not None:
            self.waybill.look_up(event)

    def _on_offered(self, data: Offered, event: Event) -> None:
        self.offered, self.known_since, self.ever_offered = data.amount, event.at, True
        self.involved |= event.actor.names | self.approvals.involved(OFFER)

    def _on_payee_named(self, data: PayeeNamed, event: Event) -> None:
        self.payee, self.known_since = (data.relation, data.payee), event.at
        if event.actor.role not in CLAIMANTS:
            # Whoever is to agree hears from a new offer who is paid.
            self.offered = None
            self.involved |= event.actor.names
        if self.agreed is not None:
            self.agreed = None
            self.payout.take_back()

    def _on_offer_declined(self, _: OfferDeclined, event: Event) -> None:
        self.offered, self.negotiated = None, True

    def _on_agreed(self, data: Agreed, event: Event) -> None:
        self.agreed = data.amount

    def _on_disputed(self, data: Disputed, event: Event) -> None:
        self.disputes.append(data.path)
        self.negotiated = self.negotiated or data.path == "negotiation"


def _unproven(why: str) -> Refused:
    return Refused("acceptance_unproven", f"accept_offer: {why}", "S1-5.9.10")


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
