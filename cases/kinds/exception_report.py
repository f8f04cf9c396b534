"""An exception report (异常汇报): told in five minutes, investigated, answered for (S3-3, S2-5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cases.case import Case, known_commands
from cases.mechanisms.approvals import Approval
from cases.mechanisms.clocks import Clock
from cases.policy.model import CaseRule, Policy
from cases.vocabulary import commands
from cases.vocabulary.events import SYSTEM, Actor, Event, EventType
from cases.vocabulary.facts import Checklist, ExceptionFacts, ExceptionIntake, Intake
from cases.vocabulary.refusals import Refused

T = EventType

EXCESS = "excess_goods"
SETTLEMENT = "settlement"
_MINUTE = timedelta(minutes=1)
# Who answers for a report that was late, concealed or false (S3-3.4.1): the agent, the department.
LIABLE = ("agent", "supervisor")


class ExceptionReport(Case):
    """Its clocks run from when the matter became known; whoever files late is shown to be late.

    In working hours the e-mail goes within five minutes; outside them those responsible are called
    first, and the e-mail goes once they are, or once calling them is overdue (S3-3.1.7).
    """

    KIND = "exception"
    WORKFLOW = "ExceptionReport"
    INTAKE = ExceptionIntake
    COMMANDS = known_commands(
        commands.ConfirmPhoneNotice, commands.CheckGoods, commands.HoldGoods, commands.Find, commands.Correct,
        commands.InformCustomer, commands.Settle,
    )  # fmt: skip
    AFTER_RESOLVED = Case.AFTER_RESOLVED | {"confirm_phone_notice", "find", "correct", "inform_customer"}
    OPENED_BY = ("S3-3.1.1",)

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.known_at: datetime | None = None
        self.reported_at: datetime | None = None
        self.late = False
        self.to_call: list[str] = []
        self.called: list[str] = []
        self.checked = True
        self.found: str | None = None
        self.corrected = False
        self.announced: str | None = None
        self.informed = 0
        self.settled: str | None = None

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
            self._start_clock("report", at, at + self.rule.excess_report_within)
        elif self.working.is_open(at):
            self._start_clock("report", at)
        else:
            self._emit(T.PHONE_NOTICE_DUE, at, {"roles": list(self.rule.phone)}, clauses=("S3-3.1.7",))
            self._start_clock("phone_notice", at)
            self._start_clock("report_mail", at)

    def _start_clocks(self, at: datetime) -> None:
        limit = self.clocks.get("report") or self.clocks["phone_notice"]
        assert self.known_at is not None
        if at > limit.due:
            minutes = -((at - limit.due) // -_MINUTE)
            late = {"known_at": self.known_at.isoformat(), "reported_at": at.isoformat(), "minutes": minutes}
            self._emit(T.REPORT_LATE, at, late, clauses=("S3-3.4.1",))
            self._flag(at, "late")
        if "phone_notice" not in self.clocks or not self.clocks["phone_notice"].live:
            self._ask_for_report(at)
        amount = self.facts.get("estimated_amount")
        if self.facts.get("category") == "damage" and amount is not None and self._very_large():
            self._emit(T.LARGE_DAMAGE, at, {"amount": amount}, clauses=("S3-3.2.3",))
        if self.source != EXCESS:
            self._start_clock("customer_reply", at)
            self._start_clock("investigation", at)

    def _very_large(self) -> bool:
        amount = ExceptionFacts.model_validate(self.facts).estimated_amount
        return amount is not None and self.rule.very_large_from is not None and amount >= self.rule.very_large_from

    def _ask_for_report(self, at: datetime) -> None:
        """Let the e-mail go out, unless goods in excess have not been checked: that report does not count."""
        if self.checked:
            self._emit(T.REPORT_DUE, at, {}, clauses=("S3-3.1.2",))

    def _flag(self, at: datetime, reason: str, *, by: Actor = SYSTEM, clause: str = "S3-3.4.1") -> None:
        self._emit(T.LIABILITY_FLAGGED, at, {"roles": list(LIABLE), "reason": reason}, by=by, clauses=(clause,))

    def _breached(self, clock: Clock, at: datetime) -> None:
        super()._breached(clock, at)
        filed = self.reported_at is None or at >= self.reported_at
        if clock.name == "phone_notice" and filed:
            # Those who could not be called must not wait for the morning as well.
            self._ask_for_report(at)

    # --- commands ---------------------------------------------------------------------------------

    def _do_confirm_phone_notice(self, command: commands.ConfirmPhoneNotice, at: datetime, by: Actor) -> None:
        for role in command.roles:
            if role not in self.to_call:
                allowed = ", ".join(self.to_call) or "nobody"
                message = f"roles: {role!r} was not to be called; allowed: {allowed}"
                raise Refused("not_to_be_called", message, "S3-3.1.7")
        reached = at if command.reached_at is None else self.policy.local(command.reached_at)
        assert self.known_at is not None
        if not self.known_at <= reached <= at:
            window = f"{self.known_at.isoformat()} to {at.isoformat()}"
            raise Refused("invalid", f"reached_at = {reached.isoformat()}: allowed: {window}", "S3-3.1.7")
        data = {"roles": list(command.roles), "reached_at": reached.isoformat()}
        self._emit(T.PHONE_NOTICED, at, data, by=by, clauses=("S3-3.1.7",))
        if set(self.to_call) <= set(self.called) and self.clocks["phone_notice"].live:
            self._meet(at, "phone_notice")
            self._ask_for_report(at)

    def _do_check_goods(self, command: commands.CheckGoods, at: datetime, by: Actor) -> None:
        if self.source != EXCESS or self.checked:
            raise Refused("nothing_to_check", "check_goods: no goods in excess wait to be checked", "S2-5.1")
        complete(command.checklist, self.rule)
        checklist = command.checklist.model_dump(mode="json")
        self._emit(T.GOODS_CHECKED, at, {"checklist": checklist}, by=by, clauses=("S2-5.1",))
        self._ask_for_report(at)

    def _do_hold_goods(self, command: commands.HoldGoods, at: datetime, by: Actor) -> None:
        refusal = Refused("external_first", "hold_goods: forward the goods first, settle inside later", "S2-4.10")
        data = {"command": "hold_goods", "code": refusal.code, "reason": command.reason}
        # The attempt is a violation, so it stays on the record though it is refused.
        self._emit(T.COMMAND_REFUSED, at, data, by=by, clauses=("S2-4.10",))
        self._flag(at, "goods_held", clause="S2-4.10")
        raise refusal

    def _do_find(self, command: commands.Find, at: datetime, by: Actor) -> None:
        if not self.checked:
            # Goods in excess are audited once their report counts; every other report is investigated at once.
            message = "find: no investigation has begun; the goods must be checked first"
            raise Refused("no_investigation", message, "S2-5.3")
        if self.found is not None:
            raise Refused("already_found", "find: the investigation has ended", "S3-3.1.6")
        data = {"cause": command.cause, "responsibility": command.responsibility, "report": command.report}
        clause = "S2-5.3" if self.source == EXCESS else "S3-3.1.6"
        self._emit(T.FOUND, at, data, by=by, clauses=(clause,))
        self._meet(at, "investigation")
        if command.report in ("concealed", "false"):
            self._flag(at, command.report, by=by)
        elif not self.late:
            roles = {"roles": list(LIABLE), "reason": "reported_in_time"}
            self._emit(T.LIABILITY_CLEARED, at, roles, by=by, clauses=("S3-3.4.2",))
        if self.source == EXCESS:
            self._emit(T.DECISION_LISTED, at, {"month": f"{at:%Y-%m}"}, by=by, clauses=("S2-5.4",))

    def _do_correct(self, command: commands.Correct, at: datetime, by: Actor) -> None:
        if self.found is None:
            raise Refused("not_found", "correct: the cause has not been found yet", "S3-3.1.6")
        data: dict[str, Any] = {"action": command.action, "carried_out": command.carried_out}
        if command.why_not is not None:
            data["why_not"] = command.why_not
        self._emit(T.CORRECTED, at, data, by=by, clauses=("S3-3.1.6",))

    def _do_inform_customer(self, command: commands.InformCustomer, at: datetime, by: Actor) -> None:
        data = {} if command.text is None else {"text": command.text}
        self._emit(T.CUSTOMER_INFORMED, at, data, by=by, clauses=("S3-3.2.1", "S3-4.3.1.2"))
        self._meet(at, "customer_reply")
        if self.status == "open" and self.source != EXCESS and self.rule.inform_every is not None:
            self._start_clock("customer_reply", at, at + self.rule.inform_every)

    def _do_settle(self, command: commands.Settle, at: datetime, by: Actor) -> None:
        if self.settled is not None:
            # Else a high amount could be paid in parts, each within authority.
            raise Refused("already_settled", f"settle: {self.settled} yuan were settled already", "S1-5.9.10")
        if self._alone_or_ask(SETTLEMENT, command.amount, at, by):
            self._settle(command.amount, at, by)

    def _settle(self, amount: Any, at: datetime, by: Actor) -> None:
        self._emit(T.SETTLED, at, {"amount": f"{amount:.2f}"}, by=by, clauses=("S3-3.2.3",))

    def _after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        self._settle(approval.amount, at, by)

    # --- ending -----------------------------------------------------------------------------------

    def _restart_clocks(self, at: datetime) -> None:
        if self.source != EXCESS:
            self._start_clock("customer_reply", at)

    def _met_by_resolve(self, clock: str) -> bool:
        return clock.partition(":")[0] in ("customer_reply", "promise")

    def _owed(self) -> Refused | None:
        owed = super()._owed()
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

    def view(self) -> dict[str, Any]:
        """The case view, with what the report still waits for."""
        return {
            **super().view(),
            "late": self.late,
            "to_call": [role for role in self.to_call if role not in self.called],
            "checked": self.checked,
            "found": self.found,
            "corrected": self.corrected,
            "informed": self.informed,
            "settled": self.settled,
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, event: Event) -> None:
        super()._on_case_opened(event)
        self.known_at = event.at
        reported = event.data.get("reported_at")
        self.reported_at = None if reported is None else datetime.fromisoformat(reported)
        self.checked = self.source != EXCESS or "checklist" in self.facts

    def _on_phone_notice_due(self, event: Event) -> None:
        self.to_call = list(event.data["roles"])

    def _on_phone_noticed(self, event: Event) -> None:
        self.called.extend(role for role in event.data["roles"] if role not in self.called)

    def _on_report_late(self, _: Event) -> None:
        self.late = True

    def _on_goods_checked(self, _: Event) -> None:
        self.checked = True

    def _on_found(self, event: Event) -> None:
        self.found = event.data["cause"]

    def _on_corrected(self, event: Event) -> None:
        self.announced = event.data["action"]
        self.corrected = event.data["carried_out"] or "why_not" in event.data

    def _on_customer_informed(self, _: Event) -> None:
        self.informed += 1

    def _on_settled(self, event: Event) -> None:
        self.settled = event.data["amount"]


def complete(checklist: Checklist, rule: CaseRule) -> None:
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
