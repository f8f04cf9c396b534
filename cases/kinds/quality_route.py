"""The route of a quality complaint: from QA to the decision, with slips to who is late (S1-5.9.3, S1-5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cases.kinds.complaint import Investigate, Investigated
from cases.kinds.quality_events import (
    Accepted,
    Composed,
    FactsVerified,
    Judged,
    Negotiated,
    QaReported,
    SlipIssued,
    ThirdPartyInvolved,
)
from cases.kinds.quality_models import (
    BUSINESS,
    MANAGER_OFFICE,
    MANUFACTURING,
    OFFICE,
    QA,
    REVIEWER,
    RND,
    Involve,
    Negotiate,
    Report,
)
from cases.mechanisms.part import Choices
from cases.mechanisms.route import Route, SendBack, SentBack, Step
from cases.policy.tables import Reminders
from cases.vocabulary.events import Actor, Event, reference
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import Reference
from cases.vocabulary.views import Waiting

if TYPE_CHECKING:
    from cases.case import Case
    from cases.kinds.quality import QualityComplaint

VERIFICATION, ACCEPTANCE = "verification", "acceptance"
THIRD_PARTY, GM_CHECK, OPINION, DECISION = "third_party", "gm_check", "opinion", "decision"
# All steps, in order.
STEPS = (
    VERIFICATION, ACCEPTANCE, "qa", "manufacturing", "manager_office", "rnd", THIRD_PARTY, GM_CHECK,
    "negotiation", "review", OPINION, DECISION,
)  # fmt: skip
# The steps that are not signed but done by a command of their own, which the text of the event tells.
DONE_BY = {"qa": "report", "negotiation": "negotiate", OPINION: "opinion"}
SAID_IN = {QaReported.TYPE: "cause", Negotiated.TYPE: "result"}


class QualityRoute(Route):
    """The steps of the form, from its verification to the opinion on which somebody decides.

    The number, what was decided and all after it is the case's (`cases.kinds.quality`).
    """

    CLAUSE = "S1-5.9.3"

    case: QualityComplaint

    # --- the steps --------------------------------------------------------------------------------

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.accepted = False
        # Whether the GM office wants it verified anew; whether the report of QA is due, and whether it ever was.
        self.again = False
        self.reporting = self.investigated = False
        self.needs_rnd = False
        # The units that are heard about a third party.
        self.units: list[str] = []
        self.judged: Event | None = None
        self.composed: Event | None = None

    def plan(self) -> Sequence[Step]:
        """Return the steps after the acceptance, as far as they are known."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        yield Step("qa", (QA,), "qa_report" if self.reporting else "step:qa")
        yield _signed("manufacturing", MANUFACTURING)
        yield _signed("manager_office", MANAGER_OFFICE)
        if self.needs_rnd:
            yield _signed("rnd", RND)
        if self.units:
            yield _signed(THIRD_PARTY, *self.units)
        yield _signed(GM_CHECK, OFFICE)
        yield Step("negotiation", (BUSINESS,), "step:negotiation")
        yield _signed("review", REVIEWER)
        yield Step(OPINION, (OFFICE,), "opinion")
        if self.composed is not None:
            decides = Composed.read(self.composed.data).decides
            yield Step(DECISION, self.case.authority.rungs, "approval", decision=True, amount=decides)

    def reminders(self) -> Reminders:
        """Return how who is late is reminded."""
        return self.case.rule.reminders

    def missing(self, facts: Mapping[str, Any]) -> list[str]:
        """Name the facts that are not there and without which the complaint is not accepted (S1-5.9.1)."""
        needed = ("order_number", "part_number", "shipped_on", "quantity", "defective_quantity")
        missing = [name for name in needed if name not in facts]
        goods_back = facts["demand"] in ("return", "exchange")
        if goods_back and "return_quantity" not in facts and not facts.get("customer_processing"):
            missing.append("return_quantity or customer_processing")
        return missing

    @property
    def stage(self) -> str:
        """Where the form is: a step, its verification or its acceptance."""
        if self.accepted:
            return str(self.step)
        return VERIFICATION if self.again or self.missing(self.case.facts) else ACCEPTANCE

    @property
    def turn(self) -> tuple[str, ...]:
        """The roles that are to act now."""
        if self.accepted or self.case.status != "open":
            return super().turn
        return (BUSINESS,) if self.stage == VERIFICATION else (OFFICE,)

    def waits_for(self) -> list[Waiting]:
        """List who is waited for; before the acceptance no clock runs."""
        if self.accepted:
            return super().waits_for()
        return [Waiting(what="signature", role=role) for role in self.turn]

    def filers(self) -> Iterable[Actor]:
        """Return who composed the opinion, who does not decide on it."""
        return () if self.composed is None else (self.composed.actor,)

    def instead_of_sending_back(self) -> str:
        """Say what to do in the first step."""
        return "report what is found"

    def check_role(self, field: str, role: str) -> None:
        """Refuse a role that the policy does not know. Raises Refused: ``unknown_role``."""
        known = self.case.policy.all_roles
        if role not in known:
            raise Refused("unknown_role", f"{field}: {role!r} is not a role; allowed: {', '.join(known)}")

    def said(self, event: Event) -> Reference | None:
        """Return a reference to what somebody wrote when they did a step."""
        return reference(event, SAID_IN.get(event.type, "text"))

    # --- commands ---------------------------------------------------------------------------------

    def _at_step(self, name: str, command: str, by: Actor) -> None:
        """Refuse a command before or after its step, and who did the step before in another role."""
        step = self._refuse_out_of_turn(command, by)
        if step.name != name:
            raise Refused("out_of_order", f"{command}: it is the step {step.name}, not {name}", self.clause())
        self.refuse_same_person(step, by)

    def _may_sign(self, by: Actor, at: datetime) -> None:
        super()._may_sign(by, at)
        done_by = DONE_BY.get(self.stage)
        if done_by is not None:
            raise Refused("out_of_order", f"sign: the step {self.stage} is done by {done_by}", self.clause())

    def _may_send_back(self, by: Actor, at: datetime) -> None:
        if self.accepted:
            super()._may_send_back(by, at)
        elif by.role != OFFICE:
            raise Refused(
                "out_of_order", f"send_back: by.role = {by.role!r}: before the acceptance {OFFICE} may", self.clause()
            )

    def _choices_send_back(self, by: Actor, at: datetime) -> Choices:
        return super()._choices_send_back(by, at) if self.accepted else {"to": [VERIFICATION]}

    def _check_send_back(self, command: SendBack, at: datetime, by: Actor) -> None:
        if self.accepted:
            super()._check_send_back(command, at, by)
            return
        self._may_send_back(by, at)
        if command.to not in (None, VERIFICATION):
            raise Refused("no_such_step", f"to = {command.to!r}: allowed: {VERIFICATION}", self.clause())

    def _do_send_back(self, command: SendBack, at: datetime, by: Actor) -> None:
        if self.accepted:
            super()._do_send_back(command, at, by)
            return
        data = SentBack(step=ACCEPTANCE, to=VERIFICATION, role=by.role, reason=command.reason)
        self.case.emit(data, at, by=by, clauses=(self.clause(), "S1-5.9.1"))

    def _may_investigate(self, by: Actor, at: datetime) -> None:
        self._at_step("qa", "investigate", by)
        if self.reporting:
            raise Refused("already_found", "investigate: the investigation has ended: report", "S1-5.9.2")

    def _do_investigate(self, command: Investigate, at: datetime, by: Actor) -> None:
        if command.finding is None:
            raise Refused("invalid", "finding is missing: what the investigation found", "S1-5.9.2")
        if command.delay_cause is not None or command.justified is not None:
            raise Refused("invalid", "delay_cause, justified: a quality complaint has neither; allowed: finding")
        self.case.emit(Investigated(finding=command.finding), at, by=by, clauses=("S1-5.9.2",))
        self.case.clocks.meet(at, "step:qa")
        self.case.clocks.start("qa_report", at)

    def _may_report(self, by: Actor, at: datetime) -> None:
        self._at_step("qa", "report", by)
        if not self.investigated:
            raise Refused("not_investigated", "report: investigate first", "S1-5.9.2")

    def _choices_report(self, by: Actor, at: datetime) -> Choices:
        return {"responsible": self.case.policy.all_roles}

    def _do_report(self, command: Report, at: datetime, by: Actor) -> None:
        for role in command.responsible:
            self.check_role("responsible", role)
        data = QaReported(
            cause=command.cause, responsible=list(command.responsible), established=command.established,
            needs_rnd=command.needs_rnd,
        )  # fmt: skip
        self.case.emit(data, at, by=by, clauses=("S1-5.9.2",))
        self.go_on(at, by)

    def _may_involve(self, by: Actor, at: datetime) -> None:
        names = [step.name for step in self.plan()]
        place = names.index(self.step) if self.step in names else 0
        if place == 0:
            raise Refused("out_of_order", "involve: QA has not reported yet", "S1-5.9.12")
        if place > names.index(GM_CHECK):
            raise Refused("too_late", f"involve: {GM_CHECK} is signed", "S1-5.9.12")

    def _choices_involve(self, by: Actor, at: datetime) -> Choices:
        return {"units": self._signers()}

    def _signers(self) -> list[str]:
        permitted = self.case.policy.permitted("sign", self.case.KIND)
        return [role for role in self.case.policy.all_roles if role in permitted]

    def _do_involve(self, command: Involve, at: datetime, by: Actor) -> None:
        signers, units = self._signers(), list(dict.fromkeys(command.units))
        for unit in units:
            if unit not in signers:
                message = f"units: {unit!r} does not sign here; allowed: {', '.join(signers)}"
                raise Refused("unknown_role", message, "S1-5.9.12")
        asking = self.step in (THIRD_PARTY, GM_CHECK)
        if asking:
            self.case.clocks.meet(at, self._present().clock)
        data = ThirdPartyInvolved(party=command.party, units=units, reason=command.reason)
        self.case.emit(data, at, by=by, clauses=("S1-5.9.12",))
        if asking:
            self.ask_for(next(step for step in self.plan() if step.name == THIRD_PARTY), at)

    def _may_negotiate(self, by: Actor, at: datetime) -> None:
        self._at_step("negotiation", "negotiate", by)

    def _do_negotiate(self, command: Negotiate, at: datetime, by: Actor) -> None:
        if command.promised:
            message = f"promised = {command.promised:.2f}: nothing is promised before the decision; allowed: 0.00"
            raise Refused("authority", message, "S1-5.9.10")
        self.case.emit(Negotiated(result=command.result), at, by=by, clauses=("S1-5.9.4",))
        self.go_on(at, by)

    def may_compose(self, command: str, by: Actor) -> None:
        """Refuse whatever belongs to the opinion before its step."""
        self._at_step(OPINION, command, by)

    # --- who is late ------------------------------------------------------------------------------

    def remind(self, at: datetime) -> None:
        """Send a reminder slip (催办单) to who has not acted in the step."""
        self.case.slips.remind(str(self.step), self._reminding.count + 1, at)

    # --- how events change the state --------------------------------------------------------------

    def _on_verified(self, _: FactsVerified, event: Event) -> None:
        self.again = False

    def _on_accepted(self, _: Accepted, event: Event) -> None:
        self.accepted = True

    def _on_investigated(self, _: Investigated, event: Event) -> None:
        self.reporting = self.investigated = True
        self._reminding.quiet()

    def _on_qa_reported(self, data: QaReported, event: Event) -> None:
        self.needs_rnd = data.needs_rnd
        self._sign(event.actor.role, event)

    def _on_third_party_involved(self, data: ThirdPartyInvolved, event: Event) -> None:
        # Whoever was heard about another party before is heard again.
        for unit in data.units:
            self.signed.get(THIRD_PARTY, {}).pop(unit, None)
        self.units.extend(unit for unit in data.units if unit not in self.units)
        if self.asked[-1:] == [GM_CHECK]:
            self.asked.pop()
        if self.step in (THIRD_PARTY, GM_CHECK):
            self._reminding.quiet()

    def _on_negotiated(self, _: Negotiated, event: Event) -> None:
        self._sign(event.actor.role, event)

    def _on_judged(self, _: Judged, event: Event) -> None:
        self.judged = event

    def _on_composed(self, _: Composed, event: Event) -> None:
        self.composed = event
        self._sign(event.actor.role, event)

    def _on_sent_back(self, data: SentBack, event: Event) -> None:
        if data.to == VERIFICATION:
            self.again = True
            return
        super()._on_sent_back(data, event)
        self.composed = None
        if data.to != OPINION:
            # What it was judged by is void.
            self.judged = None
        if data.to == "qa":
            self.reporting = False

    def _on_slip_issued(self, data: SlipIssued, event: Event) -> None:
        # One reminder may go to two people.
        if data.slip == "reminder" and data.step == self.step and data.count > self._reminding.count:
            self._reminding.reminded(event.at)


def _signed(name: str, *roles: str) -> Step:
    return Step(name, roles, f"step:{name}", opinion=True)
