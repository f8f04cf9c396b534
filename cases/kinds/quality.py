"""A quality complaint (客诉): verified, numbered, sent round, decided by authority, carried out (S1-5)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from cases.case import OTHERS, Case, by_name
from cases.kinds.complaint import Investigate
from cases.kinds.quality_events import (
    Accepted,
    Composed,
    CustomerAnswered,
    CustomerExplained,
    Decided,
    Executed,
    FactsVerified,
    Judged,
    QualityView,
    StepSigned,
    judgement_shown,
)
from cases.kinds.quality_models import (
    BUSINESS,
    CLOSING,
    DECIDED_QUANTITY,
    MANAGER_OFFICE,
    MANUFACTURING,
    NOT_YET_KNOWN,
    OF_GOODS,
    OF_MONEY,
    OFFICE,
    REVIEWER,
    RND,
    Accept,
    AnswerSlip,
    CustomerAnswer,
    Execute,
    Explain,
    Involve,
    Judge,
    Negotiate,
    Opinion,
    QualityFacts,
    QualityIntake,
    QualityTable,
    Report,
    SendCopy,
    Verify,
    check_quantities,
)
from cases.kinds.quality_route import DECISION, OPINION, STEPS, QualityRoute
from cases.kinds.quality_slips import Slips
from cases.mechanisms.approvals import Approval
from cases.mechanisms.notices import CopiesIssued, IssuedCopy
from cases.mechanisms.numbering import Numbering
from cases.mechanisms.part import Choices, Turn
from cases.mechanisms.route import SendBack
from cases.policy.model import Policy
from cases.policy.tables import CUSTOMER
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import Sign
from cases.vocabulary.events import Actor, Event, reference
from cases.vocabulary.facts import Intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.views import Waiting

# The parts of what the customer wants and the cases that carry it out, by what was decided.
ALLOWANCE, RETURN, OBJECTION = "allowance", "return", "petition"
_ALL = Decimal(100)


class QualityComplaint(Case):
    """One complaint about a product. Its form goes round until somebody with the authority decides (核签结案).

    The decision closes the form; the case ends with the customer's answer, when what was decided is carried out and
    everybody who was late has said why. Nothing extends the time for closing, and nothing closes it by time alone.
    """

    KIND = "quality"
    WORKFLOW = "QualityComplaint"
    INTAKE = QualityIntake
    EXAMPLE = {
        "key": "Q-2026-17",
        "facts": {
            "origin": "domestic", "loss": True, "demand": "return", "order_number": "A-1009", "part_number": "PN-7",
            "shipped_on": "2026-02-20", "quantity": "800", "customer": {"name": "Zhang San"},
        },
    }  # fmt: skip
    TABLE = QualityTable
    COMMANDS = by_name(
        commands.Acknowledge, commands.Assign, commands.Escalate, commands.Note, commands.Attach, commands.Withdraw,
        commands.Approve, commands.Reject, commands.LoadCalendar, commands.Resend, commands.Link,
        commands.Unlink,
        Verify, Accept, Involve, Investigate, Report, Sign, SendBack, Negotiate, Judge, Opinion,
        Explain, Execute, CustomerAnswer, SendCopy, AnswerSlip,
    )  # fmt: skip
    VIEW = QualityView
    PARTS = {**Case.PARTS, "route": QualityRoute, "slips": Slips, "numbering": Numbering}
    NUMBERED_AT_OPENING = False
    CLIMBS = False
    FILED = True
    # The units that are heard about a third party may be any; the deputy GM, who decides, sees other kinds too.
    SEEN_BY = frozenset({BUSINESS, REVIEWER, OFFICE, MANUFACTURING, MANAGER_OFFICE, RND, "accounting", OTHERS})
    ABOUT = "demand"
    MONEY = {"lost": "judgement.loss_total", "granted": "decision.amount"}
    SUBJECTS = (DECISION,)
    STEPS = (*STEPS, CLOSING)
    AFTER_RESOLVED: ClassVar[frozenset[str]] = frozenset(
        {"note", "attach", "load_calendar", "resend", "link", "unlink"}
        | {"explain", "execute", "customer_answer", "send_copy", "answer_slip"}
    )
    OPENED_BY = ("S1-5.3", "S1-5.9.1")

    rule: QualityTable
    route: QualityRoute
    slips: Slips
    numbering: Numbering

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.decision: Decided | None = None
        self.copies: list[IssuedCopy] = []
        self.explained = False
        self.executed = False
        # What the customer said to the decision.
        self.accepted: bool | None = None
        # Yuan for one piece on a return slip, where somebody said so.
        self._unit_price: Decimal | None = None

    # --- verification and acceptance ----------------------------------------------------------------

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, QualityFacts)
        if not intake.facts.loss:
            message = (
                "loss = false: without a loss file an improvement_slip 异常处理单, which asks for improvement only"
            )
            raise Refused("no_loss", message, "S1-5.3")
        check_quantities(intake.facts.model_dump())

    def _may_verify(self, by: Actor, at: datetime) -> None:
        self._refuse_accepted("verify")

    def _refuse_accepted(self, name: str) -> None:
        if self.route.accepted:
            raise Refused("already_accepted", f"{name}: the complaint is accepted", "S1-5.9.3")

    def _do_verify(self, command: Verify, at: datetime, by: Actor) -> None:
        found = command.model_dump(mode="json", include=set(Verify.FOUND), exclude_none=True)
        if not found:
            raise Refused("invalid", f"verify: give at least one of {', '.join(Verify.FOUND)}", "S1-5.9.1")
        facts = {**self.facts, **found}
        check_quantities(facts)
        if found.get("customer_processing") and "return_quantity" not in facts:
            found["return_quantity"] = NOT_YET_KNOWN
        data = FactsVerified(found=found, complete=not self.route.missing(facts))
        self.emit(data, at, by=by, clauses=("S1-5.9.1",))

    def _may_accept(self, by: Actor, at: datetime) -> None:
        self._refuse_accepted("accept")
        missing = self.route.missing(self.facts)
        if missing:
            raise Refused("not_verified", f"accept: not verified yet: {', '.join(missing)}", "S1-5.9.1")
        if self.route.again:
            raise Refused("not_verified", "accept: it was sent back, to be verified anew", "S1-5.9.1")

    def _do_accept(self, command: Accept, at: datetime, by: Actor) -> None:
        days = self.rule.closing_days
        due = self.clocks.working.end_of_day(at, days.foreign if self.facts["origin"] == "foreign" else days.domestic)
        self.emit(Accepted(closing_due=due), at, by=by, clauses=("S1-5.8", "S1-5.9.3"))
        self.clocks.start(CLOSING, at, due)
        self.route.begin(at)

    # --- the opinion and the decision ---------------------------------------------------------------

    def _may_judge(self, by: Actor, at: datetime) -> None:
        self.route.may_compose("judge", by)

    def _do_judge(self, command: Judge, at: datetime, by: Actor) -> None:
        tracked, shares = command.tracked, command.responsible
        if command.human_negligence and tracked:
            raise Refused("not_tracked", "tracked = true: human negligence is not tracked", "S1-5.9.6")
        if command.own_fault and not command.human_negligence and tracked is None:
            raise Refused("tracked_missing", "tracked is missing: say whether improvement is tracked", "S1-5.9.6")
        total = sum((share.percent for share in shares), Decimal())
        if (shares or command.own_fault) and total != _ALL:
            raise Refused("shares", f"responsible: the shares add up to {total} %, not to 100 %", "S1-5.9.6")
        departments = [share.department for share in shares]
        for number, department in enumerate(departments):
            self.route.check_role("responsible.department", department)
            if department in departments[:number]:
                raise Refused("shares", f"responsible: {department} has two shares; give it one", "S1-5.9.6")
        lost = [line.total() for line in command.loss]
        lines = [
            {**line.model_dump(mode="json", exclude_none=True), "amount": f"{amount:.2f}"}
            for line, amount in zip(command.loss, lost, strict=True)
        ]
        data = Judged(
            class_=command.class_, own_fault=command.own_fault, human_negligence=command.human_negligence,
            tracked=bool(tracked), responsible=list(shares), loss=lines, loss_total=sum(lost, Decimal()),
        )  # fmt: skip
        self.emit(data, at, by=by, clauses=("S1-5.9.6",))

    def _may_opinion(self, by: Actor, at: datetime) -> None:
        self.route.may_compose("opinion", by)
        if self.route.judged is None:
            raise Refused("not_judged", "opinion: judge the responsibility and the loss first", "S1-5.9.6")

    def _do_opinion(self, command: Opinion, at: datetime, by: Actor) -> None:
        disposal, amount, quantity = command.disposal, command.amount, command.quantity
        if not command.established and disposal != "none":
            message = f"disposal = {disposal!r}: a complaint without ground has none; allowed: none"
            raise Refused("not_established", message, "S1-5.9.13")
        if disposal in OF_MONEY and amount is None:
            raise Refused("amount_missing", f"amount is missing: {disposal} needs it", "S1-5.9.5")
        if disposal in OF_GOODS and quantity is None:
            raise Refused("quantity_missing", f"quantity is missing: {disposal} needs it", "S1-5.9.5")
        if quantity is not None:
            check_quantities({**self.facts, DECIDED_QUANTITY: quantity})
        judged = self.route.judged
        assert judged is not None  # the guard has looked
        decides = max(Judged.read(judged.data).loss_total, amount or Decimal())
        data = Composed(
            text=command.text, established=command.established, disposal=disposal, amount=amount, quantity=quantity,
            decides=decides,
        )  # fmt: skip
        self.emit(data, at, by=by, clauses=("S1-5.9.5",))
        self.route.go_on(at, by)

    def after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Close the form: the copies go out, and who was late is asked why."""
        composed = self.route.composed
        assert composed is not None  # it is what was approved
        opinion = Composed.read(composed.data)
        data = Decided(
            established=opinion.established, disposal=opinion.disposal, amount=opinion.amount,
            quantity=opinion.quantity, role=by.role,
        )  # fmt: skip
        self.emit(data, at, by=by, clauses=("S1-5.9.5", "S1-5.9.7"))
        self.clocks.meet(at, CLOSING)
        copies = [IssuedCopy(no=number, to=role) for number, role in enumerate(self.rule.copies, 1)]
        self.emit(CopiesIssued(copies=copies), at, by=by, clauses=("S1-5.9.7",))
        self.emit(life.Resolved(summary=None), at, by=by, clauses=("S1-5.9.7",))
        self.slips.query(at)

    def after_rejected(self, approval: Approval, reason: str, at: datetime, by: Actor) -> None:
        """Let the opinion be composed anew."""
        step = self.route.present
        assert step is not None  # the decision waits
        self.route.send_back(step, OPINION, reason, at, by)

    # --- after the decision -------------------------------------------------------------------------

    def _refuse_undecided(self, name: str) -> None:
        if self.decision is None:
            raise Refused("out_of_order", f"{name}: nothing is decided yet", "S1-5.9.7")

    def _may_explain(self, by: Actor, at: datetime) -> None:
        self._refuse_undecided("explain")

    def _do_explain(self, command: Explain, at: datetime, by: Actor) -> None:
        data = CustomerExplained(channel=command.channel, text=command.text)
        self.emit(data, at, by=by, clauses=("S1-5.9.10",))

    def _may_execute(self, by: Actor, at: datetime) -> None:
        self._refuse_undecided("execute")
        if self._disposal == "none":
            raise Refused("nothing_to_execute", "execute: the decision is to do nothing", "S1-5.13.1.1")
        if self.executed:
            raise Refused("already_executed", "execute: it is carried out already", "S1-5.13.1.1")

    @property
    def _disposal(self) -> str:
        return "none" if self.decision is None else self.decision.disposal

    def _do_execute(self, command: Execute, at: datetime, by: Actor) -> None:
        disposal, goods = self._disposal, self._disposal in OF_GOODS
        clauses = ("S1-5.13.1.2",) if goods else ("S1-5.13.1.1",)
        data = Executed.model_validate(
            {"disposal": disposal, "reference": command.reference, "unit_price": command.unit_price if goods else None}
        )
        self.emit(data, at, by=by, clauses=clauses)
        filed = f"{RETURN}:{self.key}-return" if goods else f"{ALLOWANCE}:{self.key}-allowance"
        self.file_case(filed, at, by, clauses)
        self.end_if_done(at)

    def _may_customer_answer(self, by: Actor, at: datetime) -> None:
        if not self.explained:
            raise Refused("not_explained", "customer_answer: explain the decision to the customer first", "S1-5.9.10")
        if self.accepted is not None:
            raise Refused("already_answered", "customer_answer: the customer has answered", "S1-5.9.8")

    def _do_customer_answer(self, command: CustomerAnswer, at: datetime, by: Actor) -> None:
        assert self.decision is not None  # explained is what was decided
        established = self.decision.established
        clause = "S1-5.9.8" if established else "S1-5.9.13"
        data = CustomerAnswered(accepted=command.accepted, text=command.text)
        self.emit(data, at, by=by, clauses=(clause,))
        if command.accepted:
            self.end_if_done(at)
        elif established:
            self.emit(life.Closed(outcome="not_accepted"), at, by=by, clauses=(clause,))
        else:
            self.file_case(f"{OBJECTION}:{self.key}-objection", at, by, (clause,))
            self.emit(life.Closed(outcome="not_established"), at, by=by, clauses=(clause,))

    def end_if_done(self, at: datetime) -> None:
        """Close an accepted decision once it is carried out and nobody owes an answer to a slip."""
        if self.accepted and (self.executed or self._disposal == "none") and not self.slips.unanswered:
            assert self.decision is not None  # it was accepted
            if self.decision.established:
                self.emit(life.Closed(outcome="accepted"), at, clauses=("S1-5.9.7",))
            else:
                self.emit(life.Closed(outcome="not_established"), at, clauses=("S1-5.9.13",))

    def _may_send_copy(self, by: Actor, at: datetime) -> None:
        self._refuse_undecided("send_copy")

    def _choices_send_copy(self, by: Actor, at: datetime) -> Choices:
        return {"to": [role for role in self.policy.all_roles if role != CUSTOMER]}

    def _check_send_copy(self, command: SendCopy, at: datetime, by: Actor) -> None:
        if command.to == CUSTOMER:
            message = "to = 'customer': the customer never gets a copy of the form; explain by letter or phone"
            raise Refused("never_to_customer", message, "S1-5.9.10")
        self.route.check_role("to", command.to)

    def _do_send_copy(self, command: SendCopy, at: datetime, by: Actor) -> None:
        copy = IssuedCopy(no=len(self.copies) + 1, to=command.to)
        self.emit(CopiesIssued(copies=[copy]), at, by=by, clauses=("S1-5.9.7",))

    def filed_facts(self, case_id: str, event: Event) -> dict[str, Any]:
        """Return the facts of the certificate, the return slip or the petition that this case files."""
        kind = case_id.partition(":")[0]
        decided, decision = f"{self.number or self.id}", self.decision
        assert decision is not None  # nothing is filed before
        filed_by = {"id": event.actor.id, "role": event.actor.role}
        if kind == RETURN:
            price = self._unit_price
            return {
                "basis": self.id,
                "part_number": self.facts["part_number"],
                "approved_quantity": str(decision.quantity),
                **({} if price is None else {"unit_price": str(price)}),
                "reason": f"S1-5.13.1.2: {decided}",
                "disposal": decision.disposal,
            }
        if kind == ALLOWANCE:
            fields = {"case": self.id, "amount": f"{decision.amount:.2f}", "reason": f"S1-5.13.1.1: {decided}"}
        else:
            fields = {"department": BUSINESS, "decision": self.id, "objection": f"S1-5.9.13: {decided}"}
        return {"filed_by": filed_by, "fields": fields}

    # --- time -----------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield nothing beside the parts: it is closed by what people do, and not reopened."""
        return ()

    # --- what others see --------------------------------------------------------------------------------

    def waits_for(self) -> list[Waiting]:
        """List whose turn it is; after the decision business, and who was late."""
        if self.status == "open":
            return self.route.waits_for()
        late = [Waiting(what="signature", role=role) for _, role in self.slips.unanswered]
        owes = self.accepted is None or not (self.executed or self._disposal == "none")
        return [*([Waiting(what="signature", role=BUSINESS)] if owes else []), *late]

    def _view(self) -> dict[str, Any]:
        route, opinion = self.route, self.route.composed
        signed = [
            StepSigned(step=str(step), role=role, id=event.actor.id, text=route.said(event))
            for step, signatures in route.signed.items()
            for role, event in signatures.items()
        ]
        return {
            **super()._view(),
            "waits_for": [] if self.status == "closed" else self.waits_for(),
            "step": route.stage,
            "turn": list(route.turn),
            "signed": signed,
            "units": route.units,
            "judgement": None if route.judged is None else judgement_shown(route.judged),
            "opinion": None if opinion is None else {**opinion.data, "text": reference(opinion, "text")},
            "decision": None if self.decision is None else self.decision.model_dump(),
            "slips": self.slips.shown(),
            "copies": self.copies,
            "explained": self.explained,
            "executed": self.executed,
            "accepted": self.accepted,
            "filed": self.filed,
        }

    # --- how events change the state ----------------------------------------------------------------------

    def _on_verified(self, data: FactsVerified, event: Event) -> None:
        found = {name: value for name, value in data.found.items() if value != NOT_YET_KNOWN}
        self.facts = {**self.facts, **found}

    def _on_accepted(self, _: Accepted, event: Event) -> None:
        self.numbering.ask(event)

    def _on_decided(self, data: Decided, event: Event) -> None:
        self.decision = data

    def _on_copies_issued(self, data: CopiesIssued, event: Event) -> None:
        self.copies.extend(data.copies)

    def _on_customer_explained(self, _: CustomerExplained, event: Event) -> None:
        self.explained = True

    def _on_executed(self, data: Executed, event: Event) -> None:
        self.executed = True
        self._unit_price = data.unit_price or self._judged_price()

    def _judged_price(self) -> Decimal | None:
        """Return the price of a piece that the judged loss names, where it names a single one."""
        judged = self.route.judged
        lines = [] if judged is None else judged.data["loss"]
        prices = {Decimal(line["unit_price"]) for line in lines if "unit_price" in line}
        return prices.pop() if len(prices) == 1 else None

    def _on_customer_answered(self, data: CustomerAnswered, event: Event) -> None:
        self.accepted = data.accepted
