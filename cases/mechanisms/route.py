"""Route: signatures step by step, each step with a clock, reminders and the way back (S3-4.3.1.10, S1-5.9.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from cases.mechanisms.approvals import Approval, ApprovalRequested, Approved
from cases.mechanisms.clocks import Clock
from cases.mechanisms.ladder import Reminded, Reminding
from cases.mechanisms.part import Choices, Part, Turn
from cases.policy.tables import Reminders
from cases.vocabulary.commands import Command, Refuse, Sign
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.refusals import Refused, shown
from cases.vocabulary.values import FreeText, Moment, Text, Token
from cases.vocabulary.views import Waiting

if TYPE_CHECKING:
    from cases.case import Case

# How events name a step: a summary's by number, every other's by name.
StepName = int | str


class SignatureAsked(EventData):
    """A role is asked to sign a step by an instant."""

    TYPE: ClassVar[str] = "signature_asked"
    TECHNICAL: ClassVar[bool] = True
    step: StepName
    role: str
    due: Moment
    sent_back: bool | None = None


class Signed(EventData):
    """Somebody signed: a step of a route, or as one of two sides; ``fields`` are those that the step fills."""

    TYPE: ClassVar[str] = "signed"
    step: StepName | None = None
    side: str | None = None
    role: str
    text: FreeText | None = None
    fields: dict[str, Any] | None = None
    written: list[str] | None = None


class SentBack(EventData):
    """Somebody refused to sign a step; an earlier one is asked again."""

    TYPE: ClassVar[str] = "sent_back"
    step: StepName
    to: StepName
    role: str
    reason: FreeText


class FormRefused(EventData):
    """Somebody refused a step for good: what went round is not granted."""

    TYPE: ClassVar[str] = "form_refused"
    BY_COMMAND: ClassVar[bool] = True
    step: str
    role: str
    reason: FreeText


class SendBack(Command):
    """Refuse to sign: it goes back to the step before, or to an earlier one, with the reason (S3-4.3.1.10)."""

    NAME = "send_back"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "the second case is missing"}
    reason: Text
    to: Token | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it stands for one case: who acts, by which clock, and what they must and may do.

    Args:
        roles: who acts, all of them or, with ``any_of``, one of them.
        asked: which of them are asked, where not all are.
        opinion: whether a signature needs a text.
        own: whether who filed may sign.
        refusable: whether it may be refused for good.
        decision: whether somebody with authority approves it in place of a signature.
        amount: what they decide, in yuan; None for no amount.
    """

    name: StepName
    roles: tuple[str, ...]
    clock: str
    any_of: bool = False
    asked: tuple[str, ...] | None = None
    opinion: bool = False
    own: bool = True
    refusable: bool = True
    decision: bool = False
    amount: Decimal | None = None


class Route(Part):
    """Steps that are signed in order, the roles of one step in any order.

    A kind says which steps there are (`plan`) and how who is late is reminded, and names the clause.
    """

    CLAUSE: ClassVar[str]

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        # The step that is being signed, those that were asked before it, and what was signed of each, by role.
        self.step: StepName | None = None
        self.asked: list[StepName] = []
        self.signed: dict[StepName, dict[str, Event]] = {}
        # The steps that were asked, and then sent back to or over.
        self._sent_back: set[StepName] = set()
        self._reminding = Reminding(self.reminders())

    # --- what a kind says: each route overrides these two -----------------------------------------

    def plan(self) -> Sequence[Step]:
        """Return the steps of this case, in order, as far as they are known."""
        raise NotImplementedError

    def reminders(self) -> Reminders:
        """Return how who is late is reminded."""
        raise NotImplementedError

    def clause(self) -> str:
        """Return the clause of the route."""
        return self.CLAUSE

    def filers(self) -> Iterable[Actor]:
        """Return who filed what goes round; they sign only a step that is their own."""
        return ()

    def check_signature(self, step: Step, command: Sign, by: Actor) -> dict[str, Any] | None:
        """Return the fields that a signature fills, None where steps fill none; refuse what is missing or too much."""
        if step.opinion and command.text is None:
            raise Refused("text_missing", f"sign: text is missing: {step.name} is an opinion", self.clause())
        return None

    # --- where it stands ----------------------------------------------------------------------------

    @property
    def present(self) -> Step | None:
        """The step that is being signed."""
        if self.case.status != "open" or self.step is None:
            return None
        return next((step for step in self.plan() if step.name == self.step), None)

    @property
    def turn(self) -> tuple[str, ...]:
        """The roles that are to act now."""
        step = self.present
        if step is None:
            return ()
        if step.decision:
            waiting = self._decision()
            return () if waiting is None else (waiting.role,)
        return self._unsigned(step)

    def waits_for(self) -> list[Waiting]:
        """List whose signatures are waited for."""
        step = self.present
        if step is None or step.decision:
            return []
        return [Waiting(what="signature", clock=step.clock, role=role) for role in self.turn]

    def _decision(self) -> Approval | None:
        return None if self.step is None else self.case.approvals.waiting(str(self.step))

    def _asked_of(self, step: Step) -> tuple[str, ...]:
        return step.roles if step.asked is None else step.asked

    def _unsigned(self, step: Step) -> tuple[str, ...]:
        return self._open_to(step, self._asked_of(step))

    def _open_to(self, step: Step, roles: Iterable[str]) -> tuple[str, ...]:
        # The last step may be done while the case goes on: its effect is under way.
        signed = self.signed.get(step.name, {})
        return () if self._is_done(step) else tuple(role for role in roles if role not in signed)

    def _acting(self, step: Step) -> tuple[str, ...]:
        """Return the roles whose turn it is, also those that no rule asks but that may."""
        if step.decision:
            waiting, rungs = self._decision(), self.case.authority.rungs
            return () if waiting is None else rungs[self.case.authority.rank(waiting.least) :]
        return self._open_to(step, step.roles)

    def _is_done(self, step: Step) -> bool:
        signed = self.signed.get(step.name, {})
        return bool(signed) if step.any_of else all(role in signed for role in self._asked_of(step))

    def begin(self, at: datetime, *, sent_back: bool = False) -> None:
        """Ask for the first step."""
        self.ask_for(self.plan()[0], at, sent_back=sent_back)

    def ask_for(self, step: Step, at: datetime, *, sent_back: bool = False) -> None:
        """Ask everybody of a step who has not signed for it, or somebody with authority for a decision."""
        if step.decision:
            self.ask_decision(step, at)
            return
        self.case.clocks.start(step.clock, at)
        for role in self._unsigned(step):
            due = self.case.clocks[step.clock].due
            again = self.is_asked_again(step, sent_back) or None
            data = SignatureAsked(step=step.name, role=role, due=due, sent_back=again)
            self.case.emit(data, at, clauses=(self.clause(),))

    def is_asked_again(self, step: Step, sent_back: bool) -> bool:
        """Whether a step is asked again since it was sent back; ``sent_back``: to this very step, just now."""
        return step.name in self._sent_back

    def ask_decision(self, step: Step, at: datetime) -> None:
        """Ask the lowest rung with enough authority to decide, in the name of who filed."""
        asker = next(iter(self.filers()))
        subject = str(step.name)
        lowest = self.case.authority.rungs[0]
        role = lowest if step.amount is None else self.case.lowest_for(subject, step.amount, asker)
        self.case.approvals.ask(subject, step.amount, role, at, for_=asker, waits=True)

    def go_on(self, at: datetime, by: Actor) -> None:
        """Ask for the step after the present one once that is done, or end."""
        step = self.present
        if step is None or not self._is_done(step):
            return
        self.case.clocks.meet(at, step.clock)
        self.after_step(step, at)
        steps = self.plan()
        after = next(place for place, one in enumerate(steps, 1) if one.name == step.name)
        if after < len(steps):
            self.ask_for(steps[after], at)
        else:
            self.case.after_signed(at, by)

    def after_step(self, step: Step, at: datetime) -> None:
        """Do what follows from a step that is done."""

    # --- commands ---------------------------------------------------------------------------------

    def _may_sign(self, by: Actor, at: datetime) -> None:
        step = self.present
        if step is None or not step.decision or by.role not in self.case.authority.rungs:
            step = self._refuse_out_of_turn("sign", by)
        if step.decision:
            message = f"sign: {step.name} is a decision: approve or reject it"
            raise Refused("decision_step", message, self.clause())
        self.refuse_same_person(step, by)

    def _do_sign(self, command: Sign, at: datetime, by: Actor) -> None:
        step = self._present()
        fields = self.check_signature(step, command, by)
        if fields is None and command.fields:
            raise Refused("unknown_field", f"sign: fields: the step {step.name} fills none", self.clause())
        data = Signed(
            step=step.name, role=by.role, text=command.text, fields=fields or None, written=self.written(fields)
        )
        self.case.emit(data, at, by=by, clauses=(self.clause(),))
        self.go_on(at, by)

    def written(self, fields: Mapping[str, Any] | None) -> list[str] | None:
        """Return which of the fields that a step fills are free texts, by path."""
        return None

    def _may_send_back(self, by: Actor, at: datetime) -> None:
        step = self._refuse_out_of_turn("send_back", by)
        if self.asked[:1] == [step.name]:
            message = f"send_back: nobody has signed before; {self.instead_of_sending_back()}"
            raise Refused("first_step", message, self.clause())

    def instead_of_sending_back(self) -> str:
        """Say what to do in the first step."""
        return "refuse instead"

    def _choices_send_back(self, by: Actor, at: datetime) -> Choices:
        return {"to": [str(name) for name in self.asked[:-1]]}

    def _check_send_back(self, command: SendBack, at: datetime, by: Actor) -> None:
        self._may_send_back(by, at)
        if command.to is not None and command.to not in (earlier := [str(name) for name in self.asked[:-1]]):
            message = f"to = {shown(command.to)}: allowed: {', '.join(reversed(earlier))}"
            raise Refused("no_such_step", message, self.clause())

    def _do_send_back(self, command: SendBack, at: datetime, by: Actor) -> None:
        step = self._present()
        to = next((name for name in self.asked[:-1] if str(name) == command.to), self.asked[-2])
        self.send_back(step, to, command.reason, at, by)

    def send_back(self, step: Step, to: StepName, reason: str, at: datetime, by: Actor) -> None:
        """Void what was signed from an earlier step on, and ask it again."""
        # Whoever refuses has acted in time.
        self._meet(step, at)
        data = SentBack(step=step.name, to=to, role=by.role, reason=reason)
        self.case.emit(data, at, by=by, clauses=(self.clause(),))
        self.ask_for(next(one for one in self.plan() if one.name == to), at, sent_back=True)

    def _meet(self, step: Step, at: datetime) -> None:
        waiting = self._decision()
        self.case.clocks.meet(at, step.clock if waiting is None else waiting.clock)

    def _may_refuse(self, by: Actor, at: datetime) -> None:
        step = self._refuse_out_of_turn("refuse", by)
        if not step.refusable:
            raise Refused("not_refusable", f"refuse: {step.name} cannot be refused", self.clause())

    def _do_refuse(self, command: Refuse, at: datetime, by: Actor) -> None:
        step = self._present()
        self._meet(step, at)
        self.case.after_refused(str(step.name), command.reason, at, by)

    def _present(self) -> Step:
        step = self.present
        assert step is not None  # the guard has looked
        return step

    def _refuse_out_of_turn(self, command: str, by: Actor) -> Step:
        step = self.present
        if step is None or by.role not in self._acting(step):
            message = f"{command}: by.role = {by.role!r}: it is the turn of {' and '.join(self.turn) or 'nobody'}"
            raise Refused("out_of_order", message, self.clause())
        return step

    def refuse_same_person(self, step: Step, by: Actor) -> None:
        """Let nobody sign what they filed, nor under two roles in a step or in two that follow each other.

        In one role they may: it is the rule itself that has the project manager sign a summary twice.

        Raises:
            Refused: code ``four_eyes``.
        """
        if not step.own and any(by.is_same(filer) for filer in self.filers()):
            raise Refused("four_eyes", f"by.id = {by.id!r} filed it; somebody else must sign", self.clause())
        before = self.asked[-2:-1] if self.asked[-1:] == [step.name] else []
        for name in (*before, step.name):
            for role, signature in self.signed.get(name, {}).items():
                if by.is_same(signature.actor) and role != by.role:
                    message = f"by.id = {by.id!r} has signed step {name} as {role}; somebody else must sign"
                    raise Refused("four_eyes", message, self.clause())

    # --- time -------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield the next reminder of those who have not signed."""
        if self._reminding.next_at is not None:
            yield self._reminding.next_at, self.remind

    def breached(self, clock: Clock, at: datetime) -> bool:
        """Climb when a step is late, and remind who has not signed."""
        step = self.present
        if step is None or step.decision or clock.name != step.clock:
            return False
        self.case.climb_for(clock, at)
        self.remind(at)
        return True

    def remind(self, at: datetime) -> None:
        """Remind who has not signed."""
        step, count = self._present(), self._reminding.count + 1
        for role in self.turn:
            data = Reminded(rung=role, count=count, subject=step.clock)
            self.case.emit(data, at, clauses=(self._reminding.rule.clause,))

    # --- how events change the state --------------------------------------------------------------

    def _stand_at(self, step: StepName) -> None:
        self.step = step
        if self.asked[-1:] != [step]:
            self.asked.append(step)

    def _on_signature_asked(self, data: SignatureAsked, event: Event) -> None:
        self._stand_at(data.step)

    def _on_approval_requested(self, data: ApprovalRequested, event: Event) -> None:
        if any(step.name == data.subject and step.decision for step in self.plan()):
            self._stand_at(data.subject)

    def _on_signed(self, data: Signed, event: Event) -> None:
        if self.step is not None:
            self._sign(data.role, event)

    def _on_approved(self, data: Approved, event: Event) -> None:
        if data.subject == self.step:
            self._sign(event.actor.role, event)

    def _sign(self, role: str, event: Event) -> None:
        assert self.step is not None  # nothing is signed before it was asked
        self.signed.setdefault(self.step, {})[role] = event
        step = self.present
        if step is None or self._is_done(step):
            self._reminding.quiet()

    def _on_sent_back(self, data: SentBack, event: Event) -> None:
        for name in self.asked[self.asked.index(data.to) :]:
            self.signed.pop(name, None)
            self._sent_back.add(name)
        del self.asked[self.asked.index(data.to) + 1 :]
        self.step = data.to
        self.case.approvals.lapse(str(data.step))
        self._reminding.quiet()

    def _on_reopened(self, _: object, event: Event) -> None:
        self.step, self.asked, self.signed = None, [], {}
        self._sent_back.clear()

    def _on_reminded(self, data: Reminded, event: Event) -> None:
        # One reminder may go to two people.
        step = self.present
        if step is not None and data.subject == step.clock and data.count > self._reminding.count:
            self._reminding.reminded(event.at)

    def _on_closed(self, _: object, event: Event) -> None:
        self._reminding.quiet()
