"""Compensation (理赔标准): who gets how much for what, clause by clause (S0-A, T4).

Pure: the same facts, policy and instants give the same assessment. Nothing is rounded before the
end of a line, and each line is rounded half-up to the fen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from cases.kinds.claim_facts import ClaimFacts, Loss
from cases.policy.model import Policy
from cases.vocabulary.facts import Shipment
from cases.vocabulary.refusals import Refused
from cases.working_calendar import anniversary

FEN = Decimal("0.01")
NOTHING = Decimal("0.00")
# Discretion is about the matter itself: it never changes who may claim, nor until when.
FORMAL = frozenset({"claimant", "out_of_period", "full_year"})
LineName = Literal["fee_waiver", "insured", "uninsured", "agreed", "discretion"]
# Why a claim is refused.
RefusalCode = Literal[
    "claimant", "out_of_period", "full_year", "too_early", "not_late", "exempt_customer", "exempt_nature",
    "force_majeure", "told_out_of_zone", "packing", "signed_and_left", "nothing_lost",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One amount in yuan with its formula in words, the numbers that went in, and its clause."""

    name: LineName
    formula: str
    inputs: Mapping[str, str]
    amount: Decimal
    clause: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is due: the code, the clause, a sentence, and the numbers in it."""

    code: RefusalCode
    clause: str
    text: str
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """What those who handle the claim must know beside the money."""

    code: str
    clause: str
    text: str


@dataclass(frozen=True, slots=True)
class Override:
    """Discretion (S0-2.3.3 "in principle", S0-2.3.4): an amount in yuan, why, and who says so."""

    amount: Decimal
    reason: str
    by_role: str


@dataclass(frozen=True, slots=True)
class Overridden:
    """That discretion decided, and what the rules gave without it (None: they could not say)."""

    role: str
    reason: str
    was_total: Decimal | None
    was_refused_because: str | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is due: lines, or the refusal.

    ``factor_applied`` is what the claim was assessed as (S0-A.2). ``needs_person``: a person must
    confirm the refusal, since a signature alone proves nothing (O-CIV-831).
    """

    factor_applied: str
    lines: tuple[Line, ...] = ()
    refused_because: Refusal | None = None
    notes: tuple[Note, ...] = ()
    inspection_offered: bool | None = None
    needs_person: bool = False
    overridden: Overridden | None = None

    @property
    def eligible(self) -> bool:
        """Whether there is a right to compensation."""
        return self.refused_because is None

    @property
    def total(self) -> Decimal:
        """The sum of the lines, in yuan."""
        return sum((line.amount for line in self.lines), NOTHING)

    @property
    def clauses(self) -> tuple[str, ...]:
        """The clauses that decided, each once."""
        found = [line.clause for line in self.lines] + [note.clause for note in self.notes]
        if self.refused_because is not None:
            found.insert(0, self.refused_because.clause)
        return tuple(dict.fromkeys(found))

    def as_json(self) -> dict[str, Any]:
        """Return the data of the event ``assessed``; amounts are decimal strings with two places."""
        refusal, override = self.refused_because, self.overridden
        return {
            "eligible": self.eligible,
            "factor": self.factor_applied,
            "lines": [
                {
                    "name": line.name,
                    "formula": line.formula,
                    "inputs": dict(line.inputs),
                    "amount": f"{line.amount:.2f}",
                    "clause": line.clause,
                }
                for line in self.lines
            ],
            "total": f"{self.total:.2f}",
            "refused_because": None if refusal is None else refusal.code,
            "refusal": None
            if refusal is None
            else {"clause": refusal.clause, "text": refusal.text, "inputs": dict(refusal.inputs)},
            "clauses": list(self.clauses),
            "notes": [{"code": note.code, "clause": note.clause, "text": note.text} for note in self.notes],
            "inspection_offered": self.inspection_offered,
            "needs_person": self.needs_person,
            "overridden": None
            if override is None
            else {
                "role": override.role,
                "reason": override.reason,
                "was_total": None if override.was_total is None else f"{override.was_total:.2f}",
                "was_refused_because": override.was_refused_because,
            },
        }


def admit(facts: ClaimFacts, policy: Policy, filed_at: datetime) -> None:
    """Refuse facts whose days contradict each other, in the policy's zone.

    Raises:
        Refused: code ``invalid``: posted after the claim was filed; promised, delivered, signed or
            inquired after before it was posted.
    """
    shipment = facts.shipment
    if shipment is None:
        return
    posted, filed = shipment.posted_on, policy.local(filed_at).date()
    if posted > filed:
        raise Refused("invalid", f"facts.shipment.posted_on = {posted} lies after the receipt {filed}")
    for name in ("promised_at", "delivered_at", "signed_at"):
        moment = getattr(shipment, name)
        if moment is not None and policy.local(moment).date() < posted:
            shown = policy.local(moment).isoformat()
            raise Refused("invalid", f"facts.shipment.{name} = {shown} lies before posted_on = {posted}")
    inquired = facts.inquiry_recorded_on
    if inquired is not None and inquired < posted:
        raise Refused("invalid", f"facts.inquiry_recorded_on = {inquired} lies before posted_on = {posted}")


def assess(
    facts: ClaimFacts, policy: Policy, *, filed_at: datetime, at: datetime, override: Override | None = None
) -> Assessment:
    """Assess a claim as things stand at an instant.

    In the order of T4: claimant, period, whether the factor is there, special agreement,
    exemption, packing and signature, formula. What happened after ``at`` has not happened yet.

    Args:
        facts: what was filed and what the investigation found.
        policy: its compensation terms, zone and ladder.
        filed_at: when the form was received: the period and the lower bound go by it (S0-A.4, S0-A.5.1).
        at: when it is assessed: a parcel still undelivered may have become lost by then (S0-A.2 b).
        override: discretion of the policy's ``discretion_from`` or a higher rung.

    Raises:
        Refused: code ``invalid`` (see `admit`); ``facts_missing``, naming the field, unless an
            override stands in for the formula; for an override ``role``, ``no_discretion`` (who
            may claim and until when is not a matter of it) or ``below_formula``.
    """
    admit(facts, policy, filed_at)
    claim = _Claim(facts, policy, filed_at, at)
    if override is None:
        return claim.assessment()
    _check_override(override, policy)
    try:
        base = claim.assessment()
    except Refused as missing:
        note = Note(missing.code, missing.clause, missing.message)
        return _overridden(Assessment(facts.factor, notes=(note,)), override, known=False)
    return _overridden(base, override, known=True)


def above_formula(amount: Decimal | None, assessed: Mapping[str, Any] | None) -> Decimal | None:
    """Return by how much an amount exceeds what the formula gives, in yuan (S0-2.3.4).

    None where it does not, or where nothing was assessed or the formula could not say. What discretion decided is no
    formula: what the rules gave without it counts.

    Args:
        assessed: the data of an ``assessed`` event, as a view has it.
    """
    if amount is None or assessed is None:
        return None
    overridden = assessed.get("overridden")
    total = assessed["total"] if overridden is None else overridden["was_total"]
    above = NOTHING if total is None else amount - Decimal(total)
    return above if above > 0 else None


def ways_of_dispute(facts: ClaimFacts) -> tuple[str, ...]:
    """Return the ways open to this customer, negotiation first (S0-A.5.5); arbitration only if agreed at posting."""
    agreed = facts.shipment is not None and facts.shipment.arbitration_agreed
    return ("negotiation", "complaint", "appeal", *(("arbitration",) if agreed else ()), "lawsuit")


@dataclass(frozen=True, slots=True)
class _Share:
    """The part of the parcel that is lost, by value, quantity or weight."""

    measure: str
    lost: Decimal
    whole: Decimal

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.lost) / Fraction(self.whole)


ALL = _Share("all", Decimal(1), Decimal(1))


class _Claim:
    """One claim being assessed; each test gives its refusal or None."""

    def __init__(self, facts: ClaimFacts, policy: Policy, filed_at: datetime, at: datetime) -> None:
        if facts.shipment is None:
            raise _missing("facts.shipment")
        self.facts, self.policy, self.rule = facts, policy, policy.compensation
        self.shipment: Shipment = facts.shipment
        self.loss = facts.loss or Loss()
        self.filed_at, self.at = policy.local(filed_at), policy.local(at)
        self.insured = self.shipment.insured_amount is not None
        self.delivered = self._by_now(self.shipment.delivered_at)
        # Who was told that the address lies outside the zone was promised no time (S0-2.1.2(2)).
        told = self.shipment.out_of_zone_notice is True
        self.promised = None if told else self._local(self.shipment.promised_at)
        self.factor: str = facts.factor
        self.notes: list[Note] = []

    def assessment(self) -> Assessment:
        refusal = self._claimant() or self._period() or self._too_early() or self._find_factor()
        if refusal is None and self.shipment.agreed_compensation is not None:
            return self._done((self._agreed(self.shipment.agreed_compensation),))
        refusal = refusal or self._exemption() or self._packing() or self._signed()
        if refusal is not None:
            return self._refused(refusal)
        share = self._share()
        if share is not None and share.lost == 0:
            clause = "S0-A.3.4" if self.factor == "mismatch" else "S0-A.3.3"
            return self._refused(Refusal("nothing_lost", clause, "nothing is missing or has lost value"))
        if self.facts.cause is None:
            self._note("cause_unknown", "S0-A.2.X", "no cause was found, so none that exempts is proven")
        return self._done((self._freight(ALL),) if share is None else self._as_loss(share))

    def _done(self, lines: tuple[Line, ...]) -> Assessment:
        done = Assessment(self.factor, lines, inspection_offered=self.facts.inspection_offered)
        demand = self.facts.demand
        if demand is not None and demand > done.total:
            text = f"demanded are {demand}; indirect loss is no part of the formula, more is a matter of discretion"
            self._note("demand_above", "S0-2.3.4", text)
        return replace(done, notes=tuple(self.notes))

    def _refused(self, refusal: Refusal) -> Assessment:
        offered = self.facts.inspection_offered
        # A signature is prima facie evidence only, and only where inspection was offered.
        needs_person = refusal.code == "signed_and_left" and offered is not True
        return Assessment(
            self.factor, (), refusal, tuple(self.notes), inspection_offered=offered, needs_person=needs_person
        )

    # --- may this be claimed by this person, now ----------------------------------------------------

    def _claimant(self) -> Refusal | None:
        claimant = self.facts.claimant
        # A beneficiary is by name whom the sender has designated; a recipient only if so recorded.
        designated = claimant.designated is True or (
            claimant.relation == "beneficiary" and claimant.designated is not False
        )
        if claimant.relation == "sender" or designated:
            return None
        text = f"the {claimant.relation} was not designated by the sender; the sender's designation is needed"
        return Refusal("claimant", "S0-A.1", text, {"relation": claimant.relation})

    def _period(self) -> Refusal | None:
        last = anniversary(self.shipment.posted_on, self.rule.claim_years)
        if self.filed_at.date() <= last:
            return None
        days = {"posted_on": str(self.shipment.posted_on), "last_day": str(last)}
        inquired = self.facts.inquiry_recorded_on
        if inquired is None or inquired > last:
            text = f"neither inquiry nor claim came within the period from posting, which ended with {last}"
            return Refusal("full_year", "S0-A.2.X c", text, days)
        if self.rule.inquiry_preserves_claim:
            self._note("preserved", "S0-A.2.X c", f"the inquiry recorded on {inquired} keeps the claim alive")
            return None
        return Refusal("out_of_period", "S0-A.4", f"claims were accepted until {last}", days)

    def _too_early(self) -> Refusal | None:
        if self.factor not in ("delay", "loss") or self.promised is None or self.filed_at > self.promised:
            return None
        return self._wait(self.promised, "S0-A.5.1", "the promised time had not passed when it was filed")

    def _wait(self, until: datetime, clause: str, text: str) -> Refusal:
        return Refusal("too_early", clause, f"{text}; that is {until.isoformat()}", {"not_before": until.isoformat()})

    # --- what it is: S0-A.2 -------------------------------------------------------------------------

    def _find_factor(self) -> Refusal | None:
        """Settle what a claim for delay or loss is, by what has arrived when."""
        if self.factor not in ("delay", "loss"):
            return None
        return self._undelivered() if self.delivered is None else self._arrived(self.delivered)

    def _undelivered(self) -> Refusal | None:
        shortest = self._limit_without_route()
        if self.factor == "delay" and shortest is not None and self.at >= shortest:
            raise _missing("facts.shipment.route", "S0-A.2 b")
        limit = self._limit()
        if limit is None:
            return None
        if self.at >= limit:
            if self.factor == "delay":
                self._became_loss(limit)
        elif self.factor == "loss":
            return self._wait(limit, "S0-A.2 b", "a parcel counts as lost when the complete-delay limit is reached")
        else:
            text = f"still undelivered: a loss when {limit.isoformat()} is reached, to be assessed again then"
            self._note("still_undelivered", "S0-A.2 b", text)
        return None

    def _arrived(self, delivered: datetime) -> Refusal | None:
        if self.promised is None:
            if self.factor == "loss" and not self.shipment.out_of_zone_notice:
                # It arrived, so it is a delay if anything.
                raise _missing("facts.shipment.promised_at", "S0-A.2 a")
            self.factor = "delay"
            return None
        if delivered <= self.promised:
            text = f"delivered {delivered.isoformat()}, not after the promised time {self.promised.isoformat()}"
            inputs = {"delivered_at": delivered.isoformat(), "promised_at": self.promised.isoformat()}
            return Refusal("not_late", "S0-A.2 a", text, inputs)
        shortest = self._limit_without_route()
        if shortest is not None and delivered > shortest:
            raise _missing("facts.shipment.route", "S0-A.2 b")
        limit = self._limit()
        # Delivered at the very limit is not past it (T1).
        if limit is None or delivered <= limit:
            self.factor = "delay"
            return None
        self._became_loss(limit)
        self._note("recover_goods", "S0-A.2 b", "the parcel turned up later: recover the goods, the loss stays a loss")
        return None

    def _became_loss(self, limit: datetime) -> None:
        self.factor = "loss"
        self._note("became_loss", "S0-A.2 b", f"undelivered at the complete-delay limit {limit.isoformat()}")

    def _limit(self) -> datetime | None:
        """When a parcel still undelivered counts as lost: whole days of 24 hours from the promise."""
        route = self.shipment.route
        days = None if route is None else self.rule.complete_delay_days.get(route)
        return None if days is None or self.promised is None else self.promised + timedelta(days)

    def _limit_without_route(self) -> datetime | None:
        """Where the route is not known: the earliest moment at which it decides the amount."""
        shortest = min(self.rule.complete_delay_days.values(), default=None)
        known = self.shipment.route is not None or self.shipment.agreed_compensation is not None
        return None if known or self.promised is None or shortest is None else self.promised + timedelta(shortest)

    # --- what exempts -------------------------------------------------------------------------------

    def _exemption(self) -> Refusal | None:
        cause = self.facts.cause
        if cause == "customer":
            return Refusal("exempt_customer", "S0-A.2.X a", "the customer is responsible for it")
        if cause == "nature_of_goods":
            return Refusal("exempt_nature", "S0-A.2.X a", "it comes from the nature of the goods")
        if cause == "force_majeure" and not self.insured:
            return Refusal("force_majeure", "S0-A.2.X b", "it was force majeure, and the parcel was not insured")
        if self.factor == "delay" and self.shipment.out_of_zone_notice:
            text = "the customer was told that the address lies outside the zone, so no promised time was broken"
            return Refusal("told_out_of_zone", "S0-2.1.2(2)", text)
        return None

    def _goods_hurt(self) -> bool:
        """Whether S0-2.3.3 may refuse: damage and shortage, of what is not insured."""
        return self.factor in ("damage", "mismatch") and not self.insured

    def _packing(self) -> Refusal | None:
        if self.facts.cause != "packing" or not self._goods_hurt():
            return None
        if self.shipment.packed_by is None:
            raise _missing("facts.shipment.packed_by", "S0-2.3.3")
        if self.shipment.packed_by == "courier":
            return None
        self._note("discretion", "S0-2.3.3", f"in principle: {self.rule.discretion_from} or above may decide otherwise")
        return Refusal("packing", "S0-2.3.3", "the customer's own packing caused it")

    def _signed(self) -> Refusal | None:
        signed = self._by_now(self.shipment.signed_at)
        # Both are needed; a courier of whom nothing is recorded has not been shown to have left.
        if signed is None or self.shipment.courier_present is not False or not self._goods_hurt():
            return None
        offered = self.facts.inspection_offered
        said = "is not recorded" if offered is None else "was offered" if offered else "was not offered"
        self._note("signature", "O-CIV-831 [OUTSIDE]", f"a signature is prima facie evidence only; inspection {said}")
        return Refusal("signed_and_left", "S0-2.3.3", "the parcel was signed for and the courier had left")

    # --- how much: S0-A.3 ---------------------------------------------------------------------------

    def _share(self) -> _Share | None:
        """Return what part is lost; None for a delay that destroyed nothing."""
        if self.factor == "loss":
            return ALL
        by_value = self._by_value()
        if self.factor == "delay":
            if not self.loss.lost_value:
                return None
            if by_value is None:
                raise _missing("facts.loss.total_value", "S0-A.3.1")
            self.factor = "loss" if by_value.ratio == 1 else "damage"
            self._note("value_destroyed", "S0-A.3.1", f"the delay destroyed value: compensated as {self.factor}")
            return by_value
        if self.factor == "damage":
            if by_value is None:
                raise _missing("facts.loss.total_value and facts.loss.lost_value", "S0-A.3.3")
            return by_value
        return self._mismatch(by_value)

    def _by_value(self) -> _Share | None:
        lost, whole = self.loss.lost_value, self.loss.total_value
        return None if lost is None or whole is None else _Share("value", lost, whole)

    def _mismatch(self, by_value: _Share | None) -> _Share:
        """S0-A.3.4: a wrong name is total damage; else by value, quantity or weight, whichever is known first."""
        if self.loss.name_differs:
            return ALL
        loss = self.loss
        shares = [by_value] if by_value is not None else []
        for measure, declared, found in (
            ("quantity", loss.declared_quantity, loss.found_quantity),
            ("weight", loss.declared_weight_kg, loss.found_weight_kg),
        ):
            if declared is None or found is None:
                continue
            shares.append(_Share(measure, max(declared - found, Decimal(0)), declared))
            if found > declared:
                text = f"{measure} {found:f} found, {declared:f} declared: the surplus is reported as excess goods"
                self._note("excess_goods", "S2-5.2", text)
            if found != declared:
                # A quantity that agrees says nothing about a weight that does not (S0-A.3.4 "or").
                break
        if not shares:
            known = "name_differs, total_value and lost_value, or declared and found quantity or weight"
            raise _missing(f"facts.loss ({known})", "S0-A.3.4")
        return shares[0] if by_value is not None else shares[-1]

    def _agreed(self, amount: Decimal) -> Line:
        inputs = {"agreed_compensation": f"{amount:.2f}"}
        return Line("agreed", f"as agreed between the parties: {amount:.2f}", inputs, amount, "S0-A.3")

    def _as_loss(self, share: _Share) -> tuple[Line, ...]:
        # First, since it names all that it lacks, the freight among them.
        cover = self._insured(share) if self.insured else self._uninsured(share)
        if share.ratio != 1 and not self.rule.partial_refunds_fee:
            return (cover,)
        return (self._freight(share), cover)

    def _freight(self, share: _Share) -> Line:
        (freight,) = self._need("base_freight")
        words, inputs = f"base freight {freight}, without insurance and surcharges", {"base_freight": f"{freight}"}
        clause = "S0-A.3.1" if self.factor == "delay" else "S0-A.3.2 a"
        return _line("fee_waiver", words, inputs, Fraction(freight), share, self._clause(share, clause))

    def _insured(self, share: _Share) -> Line:
        (insured,) = self._need("insured_amount")
        words, inputs = f"insured amount {insured}", {"insured_amount": f"{insured}"}
        return _line("insured", words, inputs, Fraction(insured), share, self._clause(share, "S0-A.3.2 b"))

    def _uninsured(self, share: _Share) -> Line:
        freight, weight = self._need("base_freight", "weight_kg")
        multiple, rate = self.rule.fee_multiple, self.rule.yuan_per_kg
        inputs = {
            "fee_multiple": f"{multiple}",
            "base_freight": f"{freight}",
            "yuan_per_kg": f"{rate}",
            "weight_kg": f"{weight:f}",
        }
        words = f"the lowest of {multiple} x base freight {freight} ({multiple * freight})"
        words += f" and {rate} yuan x {weight:f} kg ({(rate * weight).normalize():f})"
        amounts = [multiple * Fraction(freight), Fraction(rate) * Fraction(weight)]
        if self.rule.cap_at_proven_loss:
            if self.loss.total_value is None:
                raise _missing("facts.loss.total_value", "S0-A.3.2 c")
            amounts.append(Fraction(self.loss.total_value))
            inputs["total_value"] = f"{self.loss.total_value}"
            words += f" and the proven value {self.loss.total_value}"
        return _line("uninsured", words, inputs, min(amounts), share, self._clause(share, "S0-A.3.2 c"))

    def _clause(self, share: _Share, total: str) -> str:
        """Return the clause of a line: that of the amount, or the one by which the mismatch or part goes."""
        if self.factor == "mismatch":
            return "S0-A.3.4"
        return total if share.ratio == 1 else "S0-A.3.3"

    # --- small things -------------------------------------------------------------------------------

    def _need(self, *names: str) -> tuple[Decimal, ...]:
        values = [getattr(self.shipment, name) for name in names]
        lacking = [f"facts.shipment.{name}" for name, value in zip(names, values, strict=True) if value is None]
        if lacking:
            raise _missing(" and ".join(lacking), "S0-A.3")
        return tuple(values)

    def _note(self, code: str, clause: str, text: str) -> None:
        self.notes.append(Note(code, clause, text))

    def _local(self, moment: datetime | None) -> datetime | None:
        return None if moment is None else self.policy.local(moment)

    def _by_now(self, moment: datetime | None) -> datetime | None:
        local = self._local(moment)
        return None if local is None or local > self.at else local


def _missing(fields: str, clause: str = "S0-A.3") -> Refused:
    return Refused("facts_missing", f"{fields} is missing; the assessment needs it", clause)


def _line(name: LineName, words: str, inputs: dict[str, str], full: Fraction, share: _Share, clause: str) -> Line:
    """Return a line: the share of the full amount, rounded half-up to the fen."""
    fen = (full * share.ratio * 200 + 1) // 2
    amount = Decimal(fen).scaleb(-2).quantize(FEN)
    if share.ratio != 1:
        words += f", times {share.lost:f} of {share.whole:f} lost by {share.measure}"
        inputs |= {"lost": f"{share.lost:f}", "of": f"{share.whole:f}", "measure": share.measure}
    return Line(name, f"{words} = {amount}", inputs, amount, clause)


def _check_override(override: Override, policy: Policy) -> None:
    lowest = policy.compensation.discretion_from
    if policy.authority_of.rank(override.by_role) < policy.authority_of.rank(lowest):
        allowed = ", ".join(policy.expand((f"{lowest}+",)))
        message = f"by.role = {override.by_role!r} may not override an assessment; allowed: {allowed}"
        raise Refused("role", message, "S0-2.3.4")
    amount = override.amount
    if amount <= 0 or amount != amount.quantize(FEN):
        raise Refused("invalid", f"override.amount = {amount}: more than 0, with at most two decimals")
    if not override.reason.strip():
        raise Refused("invalid", "override.reason is empty; say why", "S0-2.3.4")


def _overridden(base: Assessment, override: Override, *, known: bool) -> Assessment:
    refusal = base.refused_because
    if refusal is not None and refusal.code in FORMAL:
        raise Refused("no_discretion", f"override: {refusal.text}", refusal.clause)
    if override.amount < base.total:
        message = f"override.amount = {override.amount}: less than the {base.total} that the formula gives"
        raise Refused("below_formula", message, "S0-2.3.4")
    amount = override.amount.quantize(FEN)
    clause = "S0-2.3.3" if refusal is not None and refusal.code in ("packing", "signed_and_left") else "S0-2.3.4"
    inputs = {"amount": f"{amount}", "role": override.by_role}
    return replace(
        base,
        lines=(Line("discretion", f"by discretion of {override.by_role}: {amount}", inputs, amount, clause),),
        refused_because=None,
        needs_person=False,
        overridden=Overridden(
            override.by_role,
            override.reason,
            base.total if known else None,
            None if refusal is None else refusal.code,
        ),
    )
