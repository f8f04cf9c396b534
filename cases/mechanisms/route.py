"""Route: signatures step by step, each step with a clock, reminders and the way back (S3-4.3.1.10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from cases.mechanisms.clocks import Clock
from cases.mechanisms.ladder import Reminded, Reminding
from cases.mechanisms.part import Part, Turn
from cases.policy.tables import RouteTable
from cases.vocabulary.commands import Command, Sign
from cases.vocabulary.events import Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import FreeText, Moment, Text
from cases.vocabulary.views import Waiting

if TYPE_CHECKING:
    from cases.case import Case


class SignatureAsked(EventData):
    """A role is asked to sign a step by an instant."""

    TYPE: ClassVar[str] = "signature_asked"
    step: int
    role: str
    due: Moment
    sent_back: bool | None = None


class Signed(EventData):
    """Somebody signed: a step of a route, or as one of two sides."""

    TYPE: ClassVar[str] = "signed"
    step: int | None = None
    side: str | None = None
    role: str
    text: FreeText | None = None


class SentBack(EventData):
    """Somebody refused to sign a step; the step before is asked again."""

    TYPE: ClassVar[str] = "sent_back"
    step: int
    to: int
    role: str
    reason: FreeText


class SendBack(Command):
    """Refuse to sign: the summary goes back to the step before, with the reason (S3-4.3.1.10)."""

    NAME = "send_back"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"reason": "the second case is missing"}
    reason: Text


class Route(Part):
    """Steps that are signed in order, the roles of one step in any order.

    The policy's table of the kind is a `RouteTable` with the clock ``signature``. Subclasses name the clause.
    """

    CLAUSE: ClassVar[str]

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        table = case.rule
        assert isinstance(table, RouteTable)
        self.steps = table.signatures
        # The step that is being signed, from 1; what was signed of each step, by role.
        self.step = 0
        self.signed: dict[int, dict[str, tuple[Signed, Event]]] = {}
        self._reminding = Reminding(table.reminders)

    @property
    def turn(self) -> tuple[str, ...]:
        """The roles that are to sign now."""
        if self.case.status != "open" or self.step == 0:
            return ()
        return tuple(role for role in self.steps[self.step - 1] if role not in self.signed.get(self.step, {}))

    @property
    def clock(self) -> str:
        """The name of the present step's clock."""
        return f"signature:{self.step}"

    def waits_for(self) -> list[Waiting]:
        """List whose signatures are waited for."""
        return [Waiting(what="signature", clock=self.clock, role=role) for role in self.turn]

    def ask_for(self, step: int, at: datetime, *, sent_back: bool = False) -> None:
        """Ask everybody of a step for their signature."""
        name = f"signature:{step}"
        self.case.clocks.start(name, at)
        for role in self.steps[step - 1]:
            due = self.case.clocks[name].due
            data = SignatureAsked(step=step, role=role, due=due, sent_back=sent_back or None)
            self.case.emit(data, at, clauses=(self.CLAUSE,))

    # --- commands ---------------------------------------------------------------------------------

    def _may_sign(self, by: Actor, at: datetime) -> None:
        self._refuse_out_of_turn("sign", by)
        self._refuse_second_signature(by)

    def _do_sign(self, command: Sign, at: datetime, by: Actor) -> None:
        if command.text is None and self.step == 1:
            message = "sign: text is missing: who signs first gives cause and prevention"
            raise Refused("text_missing", message, self.CLAUSE)
        data = Signed(step=self.step, role=by.role, text=command.text)
        self.case.emit(data, at, by=by, clauses=(self.CLAUSE,))
        if self.turn:
            return
        self.case.clocks.meet(at, self.clock)
        if self.step < len(self.steps):
            self.ask_for(self.step + 1, at)
        else:
            self.case.after_signed(at, by)

    def _may_send_back(self, by: Actor, at: datetime) -> None:
        self._refuse_out_of_turn("send_back", by)
        if self.step == 1:
            message = "send_back: nobody has signed before; sign, with what is wrong as text"
            raise Refused("first_step", message, self.CLAUSE)

    def _do_send_back(self, command: SendBack, at: datetime, by: Actor) -> None:
        data = SentBack(step=self.step, to=self.step - 1, role=by.role, reason=command.reason)
        # Whoever refuses has acted in time.
        self.case.clocks.meet(at, self.clock)
        self.case.emit(data, at, by=by, clauses=(self.CLAUSE,))
        self.ask_for(self.step, at, sent_back=True)

    def _refuse_out_of_turn(self, command: str, by: Actor) -> None:
        if by.role not in self.turn:
            message = f"{command}: by.role = {by.role!r}: it is the turn of {' and '.join(self.turn)}"
            raise Refused("out_of_order", message, self.CLAUSE)

    def _refuse_second_signature(self, by: Actor) -> None:
        """Let nobody sign under two roles in a step, or in two that follow each other.

        In one role they may: it is the rule itself that has the project manager sign twice.
        """
        for step in (self.step - 1, self.step):
            for role, (_, signature) in self.signed.get(step, {}).items():
                if by.is_same(signature.actor) and role != by.role:
                    message = f"by.id = {by.id!r} has signed step {step} as {role}; somebody else must sign"
                    raise Refused("four_eyes", message, self.CLAUSE)

    # --- time -------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield the next reminder of those who have not signed."""
        if self._reminding.next_at is not None:
            yield self._reminding.next_at, self._remind

    def breached(self, clock: Clock, at: datetime) -> bool:
        """Climb when a step is late, and remind who has not signed."""
        if clock.base != "signature":
            return False
        self.case.climb_for(clock, at)
        self._remind(at)
        return True

    def _remind(self, at: datetime) -> None:
        count = self._reminding.count + 1
        for role in self.turn:
            data = Reminded(rung=role, count=count, subject=self.clock)
            self.case.emit(data, at, clauses=(self._reminding.rule.clause,))

    # --- how events change the state --------------------------------------------------------------

    def _on_signature_asked(self, data: SignatureAsked, event: Event) -> None:
        self.step = data.step

    def _on_signed(self, data: Signed, event: Event) -> None:
        self.signed.setdefault(self.step, {})[data.role] = (data, event)
        if not self.turn:
            self._reminding.quiet()

    def _on_sent_back(self, data: SentBack, event: Event) -> None:
        self.step = data.to
        self.signed.pop(self.step, None)
        self._reminding.quiet()

    def _on_reopened(self, _: object, event: Event) -> None:
        self.step, self.signed = 0, {}

    def _on_reminded(self, data: Reminded, event: Event) -> None:
        # One reminder may go to two people.
        if data.subject == self.clock and data.count > self._reminding.count:
            self._reminding.reminded(event.at)

    def _on_closed(self, _: object, event: Event) -> None:
        self._reminding.quiet()
