"""The month-end corrective summary (月度整改总结): signed step by step, then sent to the customer (S3-4.3.1.10)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from cases.case import Case
from cases.mechanisms.clocks import Clock
from cases.mechanisms.ladder import Reminding
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary.events import Actor, Event, EventType
from cases.vocabulary.facts import Intake, SummaryFacts, SummaryIntake
from cases.vocabulary.refusals import Refused

T = EventType

CLAUSE = "S3-4.3.1.10"
# What a summary takes: the rest is about a customer's matter, or would end it without its signatures.
_TAKEN = (
    commands.Acknowledge, commands.Assign, commands.Escalate, commands.Note, commands.Attach,
    commands.LoadCalendar, commands.Resend, commands.Reopen, commands.Sign, commands.SendBack,
)  # fmt: skip


class Summary(Case):
    """One month. Each step has a clock of its own; who is late is reminded, and the ladder hears of it.

    It goes to the customer with the last signature. Reopened, it begins again with the first step.
    """

    KIND = "summary"
    WORKFLOW = "MonthlySummary"
    INTAKE = SummaryIntake
    COMMANDS: ClassVar[dict[str, type[commands.Command]]] = {model.NAME: model for model in _TAKEN}
    OPENED_BY = (CLAUSE,)

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.steps = self.rule.signatures
        # The step that is being signed, from 1; what was signed of each step, by role.
        self.step = 0
        self.signed: dict[int, dict[str, Event]] = {}
        assert self.rule.reminders is not None
        self.reminding = Reminding(self.rule.reminders)

    @property
    def turn(self) -> tuple[str, ...]:
        """The roles that are to sign now."""
        if self.status != "open" or self.step == 0:
            return ()
        return tuple(role for role in self.steps[self.step - 1] if role not in self.signed.get(self.step, {}))

    @property
    def _clock(self) -> str:
        return f"signature:{self.step}"

    # --- opening ----------------------------------------------------------------------------------

    def _admit(self, intake: Intake, received: datetime) -> None:
        assert isinstance(intake.facts, SummaryFacts)
        if intake.key != intake.facts.month:
            raise Refused("invalid", f"key = {intake.key!r}: the key is the month, {intake.facts.month}", CLAUSE)
        check_ended(intake.facts.month, received)

    def _start_clocks(self, at: datetime) -> None:
        self._ask_for(1, at)

    def _restart_clocks(self, at: datetime) -> None:
        self._ask_for(1, at)

    def _ask_for(self, step: int, at: datetime, *, sent_back: bool = False) -> None:
        """Ask everybody of a step for their signature."""
        name = f"signature:{step}"
        self._start_clock(name, at)
        for role in self.steps[step - 1]:
            data: dict[str, Any] = {"step": step, "role": role, "due": self.clocks[name].due.isoformat()}
            if sent_back:
                data["sent_back"] = True
            self._emit(T.SIGNATURE_ASKED, at, data, clauses=(CLAUSE,))

    # --- commands ---------------------------------------------------------------------------------

    def _do_sign(self, command: commands.Sign, at: datetime, by: Actor) -> None:
        self._its_turn("sign", by)
        self._four_eyes(by)
        data: dict[str, Any] = {"step": self.step, "role": by.role}
        if command.text is not None:
            data["text"] = command.text
        elif self.step == 1:
            raise Refused("text_missing", "sign: text is missing: who signs first gives cause and prevention", CLAUSE)
        self._emit(T.SIGNED, at, data, by=by, clauses=(CLAUSE,))
        if self.turn:
            return
        self._meet(at, self._clock)
        if self.step < len(self.steps):
            self._ask_for(self.step + 1, at)
        else:
            said = [{"role": role, "text": signature.data["text"]} for role, signature in self.signed[1].items()]
            self._emit(T.SUMMARY_SENT, at, {"month": self.facts["month"], "said": said}, clauses=(CLAUSE,))
            self._emit(T.RESOLVED, at, {"summary": None}, by=by, clauses=(CLAUSE,))

    def _do_send_back(self, command: commands.SendBack, at: datetime, by: Actor) -> None:
        self._its_turn("send_back", by)
        if self.step == 1:
            raise Refused("first_step", "send_back: nobody has signed before; sign, with what is wrong as text", CLAUSE)
        data = {"step": self.step, "to": self.step - 1, "role": by.role, "reason": command.reason}
        # Whoever refuses has acted in time.
        self._meet(at, self._clock)
        self._emit(T.SENT_BACK, at, data, by=by, clauses=(CLAUSE,))
        self._ask_for(self.step, at, sent_back=True)

    def _its_turn(self, command: str, by: Actor) -> None:
        if by.role not in self.turn:
            message = f"{command}: by.role = {by.role!r}: it is the turn of {' and '.join(self.turn)}"
            raise Refused("out_of_order", message, CLAUSE)

    def _four_eyes(self, by: Actor) -> None:
        """Nobody signs under two roles in a step, or in two that follow each other.

        In one role they may: it is the rule itself that has the project manager sign twice.
        """
        for step in (self.step - 1, self.step):
            for role, signature in self.signed.get(step, {}).items():
                if signature.actor.id == by.id and role != by.role:
                    message = f"by.id = {by.id!r} has signed step {step} as {role}; somebody else must sign"
                    raise Refused("four_eyes", message, CLAUSE)

    # --- time -------------------------------------------------------------------------------------

    def _next_turn(self) -> tuple[datetime, Callable[[datetime], None]] | None:
        turn = super()._next_turn()
        moment = self.reminding.next_at
        if moment is not None and (turn is None or moment < turn[0]):
            return moment, self._remind_signers
        return turn

    def _breached(self, clock: Clock, at: datetime) -> None:
        super()._breached(clock, at)
        self._remind_signers(at)

    def _remind_signers(self, at: datetime) -> None:
        count = self.reminding.count + 1
        for role in self.turn:
            data = {"rung": role, "count": count, "subject": self._clock}
            self._emit(T.REMINDED, at, data, clauses=(self.reminding.rule.clause,))

    # --- what others see --------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """The case view, with whose turn it is and who has signed."""
        signed = [
            {"step": step, "role": role, "id": signature.actor.id, "text": signature.data.get("text")}
            for step, signatures in self.signed.items()
            for role, signature in signatures.items()
        ]
        return {**super().view(), "step": self.step, "turn": list(self.turn), "signed": signed}

    # --- how events change the state --------------------------------------------------------------

    def _on_signature_asked(self, event: Event) -> None:
        self.step = event.data["step"]

    def _on_signed(self, event: Event) -> None:
        self.signed.setdefault(self.step, {})[event.data["role"]] = event
        if not self.turn:
            self.reminding.quiet()

    def _on_sent_back(self, event: Event) -> None:
        self.step = event.data["to"]
        self.signed.pop(self.step, None)
        self.reminding.quiet()

    def _on_reopened(self, event: Event) -> None:
        super()._on_reopened(event)
        self.step, self.signed = 0, {}

    def _on_reminded(self, event: Event) -> None:
        # One reminder may go to two people.
        if event.data["count"] > self.reminding.count:
            self.reminding.reminded(event.at)

    def _end_all(self, at: datetime) -> None:
        super()._end_all(at)
        self.reminding.quiet()


def check_ended(month: str, local: datetime) -> None:
    """Refuse a month that has not ended.

    Args:
        month: like ``2026-03``.
        local: now, in the policy's zone.

    Raises:
        Refused: code ``month_not_ended``.
    """
    if month >= f"{local:%Y-%m}":
        message = f"month = {month} has not ended: it is {local:%Y-%m-%d %H:%M} ({local:%z}); file it afterwards"
        raise Refused("month_not_ended", message, CLAUSE)


def month_before(local: datetime) -> str:
    """The month before an instant of the policy's zone, like ``2026-03``."""
    year, month = (local.year, local.month - 1) if local.month > 1 else (local.year - 1, 12)
    return f"{year:04}-{month:02}"
