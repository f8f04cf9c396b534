"""An exception report (异常汇报): told in five minutes, investigated, answered for (S3-3, S2-5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cases.case import OTHERS, Case, by_name
from cases.mechanisms.approvals import Approval
from cases.mechanisms.clocks import Clock
from cases.mechanisms.part import Choices
from cases.policy.model import Policy
from cases.policy.tables import Duration, KindTable
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import EVERY_KIND, Command
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.facts import Facts, Intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import Reference, Said
from cases.vocabulary.values import FreeText, Instant, Like, Model, Moment, Money, PositiveYuan, Role, Text, Yuan
from cases.vocabulary.views import CaseView

EXCESS = "excess_goods"
SETTLEMENT = "settlement"
_MINUTE = timedelta(minutes=1)
# Who answers for a report that was late, concealed or false (S3-3.4.1): the agent, the department.
LIABLE = ("agent", "supervisor")


class Checklist(Model):
    """What must be done with goods in excess before their report counts (S2-5.1)."""

    witnesses: tuple[Role, ...] = ()
    photographs: Annotated[int, Field(ge=0)] = 0
    resealed: bool = False
    label: Text | None = None


class ExceptionFacts(Facts):
    """An exception report (异常汇报), S3-3: ``estimated_amount`` in yuan."""

    source: Literal["customer_complaint", "self_found", "procedure_breach", "excess_goods"]
    known_at: Instant
    occurred_at: Instant | None = None
    category: Literal["late", "damage", "loss", "shortage", "violation", "excess", "other"] | None = None
    estimated_amount: Yuan | None = None
    checklist: Checklist | None = None

    @model_validator(mode="after")
    def _known_after_it_happened(self) -> Self:
        if self.occurred_at is not None and self.known_at < self.occurred_at:
            raise ValueError(
                f"known_at = {self.known_at.isoformat()} lies before occurred_at = {self.occurred_at.isoformat()}"
            )
        return self


class ExceptionIntake(Intake):
    """Input of the workflow ``ExceptionReport``."""

    facts: ExceptionFacts


class ConfirmPhoneNotice(Command):
    """Somebody called those who must hear by phone (S3-3.1.7); ``reached_at`` defaults to now."""

    NAME = "confirm_phone_notice"
    SERVES: ClassVar[frozenset[str]] = frozenset({"phone_notice"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"roles": ["department_manager"]}
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    reached_at: Instant | None = None


class CheckGoods(Command):
    """The checklist of goods in excess, complete at last (S2-5.1)."""

    NAME = "check_goods"
    SERVES: ClassVar[frozenset[str]] = frozenset({"report"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "checklist": {"witnesses": ["site_manager"], "photographs": 3, "resealed": True, "label": "E-7"},
    }  # fmt: skip
    checklist: Checklist


class HoldGoods(Command):
    """Hold goods back over an internal dispute: never allowed, and recorded (S2-4.10)."""

    NAME = "hold_goods"
    GRAVE: ClassVar[bool] = True
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "a dispute about who carries it"}
    reason: Text


class Find(Command):
    """What the investigation found, and whether the report was genuine (S3-3.1.6, S3-3.4.1)."""

    NAME = "find"
    SERVES: ClassVar[frozenset[str]] = frozenset({"investigation"})
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"cause": "a strap was loose", "report": "genuine"}
    cause: Text
    responsibility: Text | None = None
    report: Literal["genuine", "concealed", "false"] | None = None


class Correct(Command):
    """A corrective action; ``carried_out`` false announces one that is still to be confirmed.

    ``why_not`` says why nothing can be corrected.
    """

    NAME = "correct"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"action": "straps are checked at every loading"}
    action: Text
    carried_out: bool = True
    why_not: Text | None = None


class InformCustomer(Command):
    """The customer was told how things stand (S3-4.3.1.2)."""

    NAME = "inform_customer"
    SERVES: ClassVar[frozenset[str]] = frozenset({"customer_reply"})
    text: Text | None = None


class Settle(Command):
    """Settle on the spot, in yuan, within authority (S3-3.2.3)."""

    NAME = "settle"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"amount": "80.00"}
    amount: PositiveYuan


class PhoneNoticeDue(EventData):
    """Outside working hours these roles must be called first (S3-3.1.7)."""

    TYPE: ClassVar[str] = "phone_notice_due"
    roles: list[str]


class PhoneNoticed(EventData):
    """Somebody called these roles."""

    TYPE: ClassVar[str] = "phone_noticed"
    roles: list[str]
    reached_at: Moment


class ReportDue(EventData):
    """The e-mail must go out now."""

    TYPE: ClassVar[str] = "report_due"


class ReportLate(EventData):
    """The report was filed so many minutes after its limit."""

    TYPE: ClassVar[str] = "report_late"
    known_at: Moment
    reported_at: Moment
    minutes: int


class GoodsChecked(EventData):
    """The checklist of goods in excess is complete."""

    TYPE: ClassVar[str] = "goods_checked"
    checklist: Annotated[dict[str, Any], Like(Checklist)]


class LargeDamage(EventData):
    """The damage is estimated at a very large amount, in yuan."""

    TYPE: ClassVar[str] = "large_damage"
    amount: Money


class Found(EventData):
    """The investigation has ended: the cause, who is responsible, and whether the report was genuine."""

    TYPE: ClassVar[str] = "found"
    cause: FreeText
    responsibility: FreeText | None
    report: str | None


class Corrected(EventData):
    """A corrective action was carried out or announced, or ``why_not`` says why there can be none."""

    TYPE: ClassVar[str] = "corrected"
    action: FreeText
    carried_out: bool
    why_not: FreeText | None = None


class CustomerInformed(EventData):
    """The customer was told how things stand."""

    TYPE: ClassVar[str] = "customer_informed"
    text: FreeText | None = None


class Settled(EventData):
    """The matter was settled on the spot, in yuan."""

    TYPE: ClassVar[str] = "settled"
    amount: Money


class LiabilityFlagged(EventData):
    """These roles answer for the report, for this reason (S3-3.4.1)."""

    TYPE: ClassVar[str] = "liability_flagged"
    roles: list[str]
    reason: str


class LiabilityCleared(EventData):
    """These roles are free of responsibility, for this reason (S3-3.4.2)."""

    TYPE: ClassVar[str] = "liability_cleared"
    roles: list[str]
    reason: str


class DecisionListed(EventData):
    """The monthly decision on rewards and penalties names the case, like ``2026-03`` (S2-5.4)."""

    TYPE: ClassVar[str] = "decision_listed"
    month: str


class ExceptionTable(KindTable):
    """The numbers of exception reports."""

    CLOCKS = (
        "rung", "report", "report_mail", "phone_notice", "customer_reply", "investigation", "promise", "approval",
    )  # fmt: skip

    # Who must be called first outside working hours (S3-3.1.7).
    phone: tuple[Role, ...] = ()
    # How often a customer is told how things stand, after the first time.
    inform_every: Duration | None = None
    # Goods in excess are reported within this time; from this many yuan on damage is very large.
    excess_report_within: Duration | None = None
    witnesses: tuple[Role, ...] = ()
    very_large_from: Yuan | None = None

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yield who is called and who is present."""
        yield from super().roles()
        yield from (("phone", role) for role in self.phone)
        yield from (("witnesses", role) for role in self.witnesses)


class ExceptionView(CaseView):
    """An exception report, with what it still waits for; ``settled`` in yuan."""

    late: bool
    to_call: list[str]
    checked: bool
    found: Said
    corrected: bool
    informed: int
    settled: Money | None


class ExceptionReport(Case):
    """Its clocks run from when the matter became known; whoever files late is shown to be late.

    In working hours the e-mail goes within five minutes; outside them those responsible are called
    first, and the e-mail goes once they are, or once calling them is overdue (S3-3.1.7).
    """

    KIND = "exception"
    WORKFLOW = "ExceptionReport"
    INTAKE = ExceptionIntake
    EXAMPLE = {
        "key": "shift-2026-0311",
        "facts": {"source": "self_found", "known_at": "2026-03-11T09:00:00+08:00", "category": "damage"},
    }
    TABLE = ExceptionTable
    IN_EVERY_POLICY = True
    COMMANDS = by_name(
        *EVERY_KIND, ConfirmPhoneNotice, CheckGoods, HoldGoods, Find, Correct, InformCustomer, Settle
    )  # fmt: skip
    VIEW = ExceptionView
    CLIMBS = True
    FILED = True
    SEEN_BY = frozenset({"department_manager", OTHERS})
    ABOUT = "category"
    MONEY = {"settled": "settled"}
    SUBJECTS = (SETTLEMENT,)
    AFTER_RESOLVED = Case.AFTER_RESOLVED | {"confirm_phone_notice", "find", "correct", "inform_customer"}
    OPENED_BY = ("S3-3.1.1",)

    rule: ExceptionTable

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.known_at: datetime | None = None
        self.reported_at: datetime | None = None
        self.late = False
        self.to_call: list[str] = []
        self.called: list[str] = []
        self.checked = True
        self.found: Reference | None = None
        self.corrected = False
        self.announced = False
        self.informed = 0
        self.settled: Decimal | None = None

    @property
    def source(self) -> str:
        """Where the report came from."""
        return str(self.facts["source"])

    # --- opening ----------------------------------------------------------------------------------

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, ExceptionFacts)
        known = self.policy.local(intake.facts.known_at)
        if received < known:
            raise Refused("invalid", f"received_at = {received.isoformat()} lies before known_at = {known.isoformat()}")
        if intake.facts.checklist is not None:
            complete(intake.facts.checklist, self.rule)

    def _begins(self, intake: Intake, received: datetime) -> datetime:
        assert isinstance(intake.facts, ExceptionFacts)
        return self.policy.local(intake.facts.known_at)

    def _start_early_clocks(self, at: datetime) -> None:
        if self.source == EXCESS and self.rule.excess_report_within is not None:
            self.clocks.start("report", at, at + self.rule.excess_report_within)
        elif self.clocks.working.is_open(at):
            self.clocks.start("report", at)
        else:
            self.emit(PhoneNoticeDue(roles=list(self.rule.phone)), at, clauses=("S3-3.1.7",))
            self.clocks.start("phone_notice", at)
            self.clocks.start("report_mail", at)

    def _start_clocks(self, at: datetime) -> None:
        limit = self.clocks.get("report") or self.clocks.get("phone_notice")
        assert self.known_at is not None
        if limit is not None and at > limit.due:
            minutes = -((at - limit.due) // -_MINUTE)
            late = ReportLate(known_at=self.known_at, reported_at=at, minutes=minutes)
            self.emit(late, at, clauses=("S3-3.4.1",))
            self._flag(at, "late")
        if not self.clocks.runs("phone_notice"):
            self._ask_for_report(at)
        amount, large = self.facts.get("estimated_amount"), self.rule.very_large_from
        damage = None if amount is None or self.facts.get("category") != "damage" else Decimal(amount)
        if damage is not None and large is not None and damage >= large:
            self.emit(LargeDamage(amount=damage), at, clauses=("S3-3.2.3",))
        if self.source != EXCESS:
            self.clocks.start("customer_reply", at)
            self.clocks.start("investigation", at)

    def _ask_for_report(self, at: datetime) -> None:
        """Let the e-mail go out, unless goods in excess have not been checked: that report does not count."""
        if self.checked:
            self.emit(ReportDue(), at, clauses=("S3-3.1.2",))

    def _flag(self, at: datetime, reason: str, *, by: Actor = SYSTEM, clause: str = "S3-3.4.1") -> None:
        self.emit(LiabilityFlagged(roles=list(LIABLE), reason=reason), at, by=by, clauses=(clause,))

    def breached(self, clock: Clock, at: datetime) -> None:
        """Let the e-mail go out as well, where those who must be called were not."""
        super().breached(clock, at)
        filed = self.reported_at is None or at >= self.reported_at
        if clock.name == "phone_notice" and filed:
            # Those who could not be called must not wait for the morning as well.
            self._ask_for_report(at)

    # --- commands ---------------------------------------------------------------------------------

    def _may_confirm_phone_notice(self, by: Actor, at: datetime) -> None:
        if not self.to_call:
            raise Refused("not_to_be_called", "confirm_phone_notice: nobody was to be called", "S3-3.1.7")

    def _choices_confirm_phone_notice(self, by: Actor, at: datetime) -> Choices:
        return {"roles": self.to_call}

    def _check_confirm_phone_notice(self, command: ConfirmPhoneNotice, at: datetime, by: Actor) -> None:
        for role in command.roles:
            if role not in self.to_call:
                message = f"roles: {role!r} was not to be called; allowed: {', '.join(self.to_call) or 'nobody'}"
                raise Refused("not_to_be_called", message, "S3-3.1.7")
        reached = at if command.reached_at is None else self.policy.local(command.reached_at)
        assert self.known_at is not None
        if not self.known_at <= reached <= at:
            window = f"{self.known_at.isoformat()} to {at.isoformat()}"
            raise Refused("invalid", f"reached_at = {reached.isoformat()}: allowed: {window}", "S3-3.1.7")

    def _do_confirm_phone_notice(self, command: ConfirmPhoneNotice, at: datetime, by: Actor) -> None:
        reached = at if command.reached_at is None else self.policy.local(command.reached_at)
        data = PhoneNoticed(roles=list(command.roles), reached_at=reached)
        self.emit(data, at, by=by, clauses=("S3-3.1.7",))
        if set(self.to_call) <= set(self.called) and self.clocks.runs("phone_notice"):
            self.clocks.meet(at, "phone_notice")
            self._ask_for_report(at)

    def _may_check_goods(self, by: Actor, at: datetime) -> None:
        if self.source != EXCESS or self.checked:
            raise Refused("nothing_to_check", "check_goods: no goods in excess wait to be checked", "S2-5.1")

    def _choices_check_goods(self, by: Actor, at: datetime) -> Choices:
        return {"checklist.witnesses": self.rule.witnesses}

    def _do_check_goods(self, command: CheckGoods, at: datetime, by: Actor) -> None:
        complete(command.checklist, self.rule)
        data = GoodsChecked(checklist=command.checklist.model_dump(mode="json"))
        self.emit(data, at, by=by, clauses=("S2-5.1",))
        self._ask_for_report(at)

    def _may_hold_goods(self, by: Actor, at: datetime) -> None:
        raise Refused("external_first", "hold_goods: forward the goods first, settle inside later", "S2-4.10")

    def _refused_hold_goods(self, command: HoldGoods, at: datetime, by: Actor) -> None:
        # The attempt is a violation, so it stays on the record though it is refused.
        data = life.CommandRefused(command="hold_goods", code="external_first", reason=command.reason)
        self.emit(data, at, by=by, clauses=("S2-4.10",))
        self._flag(at, "goods_held", clause="S2-4.10")

    def _do_hold_goods(self, command: HoldGoods, at: datetime, by: Actor) -> None:
        self._may_hold_goods(by, at)

    def _may_find(self, by: Actor, at: datetime) -> None:
        if not self.checked:
            # Goods in excess are audited once their report counts; every other report is investigated at once.
            message = "find: no investigation has begun; the goods must be checked first"
            raise Refused("no_investigation", message, "S2-5.3")
        if self.found is not None:
            raise Refused("already_found", "find: the investigation has ended", "S3-3.1.6")

    def _do_find(self, command: Find, at: datetime, by: Actor) -> None:
        data = Found(cause=command.cause, responsibility=command.responsibility, report=command.report)
        clause = "S2-5.3" if self.source == EXCESS else "S3-3.1.6"
        self.emit(data, at, by=by, clauses=(clause,))
        self.clocks.meet(at, "investigation")
        if command.report in ("concealed", "false"):
            self._flag(at, command.report, by=by)
        elif not self.late:
            cleared = LiabilityCleared(roles=list(LIABLE), reason="reported_in_time")
            self.emit(cleared, at, by=by, clauses=("S3-3.4.2",))
        if self.source == EXCESS:
            self.emit(DecisionListed(month=f"{at:%Y-%m}"), at, by=by, clauses=("S2-5.4",))

    def _may_correct(self, by: Actor, at: datetime) -> None:
        if self.found is None:
            raise Refused("not_found", "correct: the cause has not been found yet", "S3-3.1.6")

    def _do_correct(self, command: Correct, at: datetime, by: Actor) -> None:
        data = Corrected(action=command.action, carried_out=command.carried_out, why_not=command.why_not)
        self.emit(data, at, by=by, clauses=("S3-3.1.6",))

    def _do_inform_customer(self, command: InformCustomer, at: datetime, by: Actor) -> None:
        self.emit(CustomerInformed(text=command.text), at, by=by, clauses=("S3-3.2.1", "S3-4.3.1.2"))
        self.clocks.meet(at, "customer_reply")
        if self.status == "open" and self.source != EXCESS and self.rule.inform_every is not None:
            self.clocks.start("customer_reply", at, at + self.rule.inform_every)

    def _may_settle(self, by: Actor, at: datetime) -> None:
        if self.settled is not None:
            # Else a high amount could be paid in parts, each within authority.
            raise Refused("already_settled", f"settle: {self.settled:.2f} yuan were settled already", "S1-5.9.10")
        self.approvals.refuse_open(SETTLEMENT, SETTLEMENT)

    def _do_settle(self, command: Settle, at: datetime, by: Actor) -> None:
        if self.approvals.alone_or_ask(SETTLEMENT, command.amount, at, by):
            self._settle(command.amount, at, by)

    def _settle(self, amount: Decimal, at: datetime, by: Actor) -> None:
        self.emit(Settled(amount=amount), at, by=by, clauses=("S3-3.2.3",))

    def after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Settle what was approved."""
        assert approval.amount is not None
        self._settle(approval.amount, at, by)

    # --- ending -----------------------------------------------------------------------------------

    def _restart_clocks(self, at: datetime) -> None:
        if self.source != EXCESS:
            self.clocks.start("customer_reply", at)

    def _met_by_resolve(self, clock: Clock) -> bool:
        return clock.base in ("customer_reply", "promise")

    def _unfinished(self) -> Refused | None:
        owed = super()._unfinished()
        if owed is not None:
            return owed
        if self.found is None:
            return Refused("not_found", "close: the investigation has found nothing yet", "S3-3.1.6")
        if not self.corrected:
            todo = "it is announced only" if self.announced else "say what was corrected, or why nothing can be"
            return Refused("not_corrected", f"close: no corrective action is carried out: {todo}", "S3-3.1.6")
        if self.source != EXCESS and not self.informed:
            return Refused("customer_not_informed", "close: inform the customer first", "S3-3.2.1")
        return None

    # --- what others see --------------------------------------------------------------------------

    @classmethod
    def copied_to(cls, view: Mapping[str, Any]) -> list[str]:
        """Name the summary of its month, which lists what was found and done (S3-4.3.1.10)."""
        return [f"summary:{view['number'][:7]}"] if view["number"] else []

    def _view(self) -> dict[str, Any]:
        return {
            **super()._view(),
            "late": self.late,
            "to_call": [role for role in self.to_call if role not in self.called],
            "checked": self.checked,
            "found": self.found,
            "corrected": self.corrected,
            "informed": self.informed,
            "settled": self.settled,
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, data: life.CaseOpened, event: Event) -> None:
        super()._on_case_opened(data, event)
        self.known_at, self.reported_at = event.at, data.reported_at
        self.checked = self.source != EXCESS or "checklist" in self.facts

    def _on_phone_notice_due(self, data: PhoneNoticeDue, event: Event) -> None:
        self.to_call = data.roles

    def _on_phone_noticed(self, data: PhoneNoticed, event: Event) -> None:
        self.called.extend(role for role in data.roles if role not in self.called)

    def _on_report_late(self, _: ReportLate, event: Event) -> None:
        self.late = True

    def _on_goods_checked(self, _: GoodsChecked, event: Event) -> None:
        self.checked = True

    def _on_found(self, data: Found, event: Event) -> None:
        self.found = Reference(seq=event.seq, field="cause")

    def _on_corrected(self, data: Corrected, event: Event) -> None:
        self.announced = True
        self.corrected = data.carried_out or data.why_not is not None

    def _on_customer_informed(self, _: CustomerInformed, event: Event) -> None:
        self.informed += 1

    def _on_settled(self, data: Settled, event: Event) -> None:
        self.settled = data.amount


def complete(checklist: Checklist, rule: ExceptionTable) -> None:
    """Refuse a checklist of goods in excess that leaves something out (S2-5.1).

    Raises:
        Refused: code ``checklist_incomplete``, naming what is missing.
    """
    missing = [f"the witness {role}" for role in rule.witnesses if role not in checklist.witnesses]
    if not checklist.photographs:
        missing.append("photographs")
    if not checklist.resealed:
        missing.append("the new seal")
    if checklist.label is None:
        missing.append("the label (goods name, window, clearing date)")
    if missing:
        raise Refused("checklist_incomplete", f"checklist: missing: {', '.join(missing)}", "S2-5.1")
