"""Approvals: asking somebody with enough authority, four eyes, climbing when nobody decides.

Nobody may promise beyond their authority (S1-5.9.10), so an approval is asked of the lowest rung
whose limit covers the amount; the amount rung and the ladder's rung are two things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from cases.mechanisms.clocks import Clock
from cases.mechanisms.ladder import Reminded, Reminding
from cases.mechanisms.part import Choices, Part, Turn
from cases.vocabulary import commands
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import FreeText, Money

if TYPE_CHECKING:
    from cases.case import Case


class ApprovalRequested(EventData):
    """A role is asked to decide, ``also`` names others that may.

    With ``waits`` what it is about happens by itself once it is approved. ``asked_by`` is in whose name the case asks,
    who then does not decide.
    """

    TYPE: ClassVar[str] = "approval_requested"
    subject: str
    amount: Money | None
    role: str
    waits: bool | None = None
    reason: FreeText | None = None
    also: list[str] | None = None
    asked_by: dict[str, str] | None = None


class Approved(EventData):
    """Somebody with enough authority said yes."""

    TYPE: ClassVar[str] = "approved"
    BY_COMMAND: ClassVar[bool] = True
    subject: str
    amount: Money | None
    reason: FreeText | None = None


class Rejected(EventData):
    """Somebody with enough authority said no."""

    TYPE: ClassVar[str] = "rejected"
    BY_COMMAND: ClassVar[bool] = True
    subject: str
    amount: Money | None
    reason: FreeText


@dataclass(slots=True)
class Approval:
    """One question to somebody with authority.

    ``amount`` is in yuan or None; ``least`` is the lowest rung that may decide, ``role`` the one
    that is asked now, ``also`` the roles beside the rungs that may; ``state`` is ``open``, ``approved``,
    ``rejected`` or, when the case closed or went another way first, ``lapsed``.
    """

    number: int
    subject: str
    amount: Decimal | None
    least: str
    role: str
    asked_by: Actor
    reminding: Reminding
    also: tuple[str, ...] = ()
    state: str = "open"
    decided_by: Actor | None = None
    # Whether what it is about happens by itself once it is approved.
    waits: bool = False

    @property
    def clock(self) -> str:
        """The name of its clock."""
        return f"approval:{self.number}"


class Approvals(Part):
    """What must be approved in a case, oldest first."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._all: list[Approval] = []
        # So many approvals were given on numbers that have changed since.
        self.stale = 0

    def __iter__(self) -> Iterator[Approval]:
        return iter(self._all)

    def __getitem__(self, number: int) -> Approval:
        return self._all[number]

    def __len__(self) -> int:
        return len(self._all)

    def open(self) -> list[Approval]:
        """List what waits for a decision, oldest first."""
        return [approval for approval in self if approval.state == "open"]

    def waiting(self, subject: str) -> Approval | None:
        """Return the approval of a subject that waits for a decision."""
        return next((approval for approval in self.open() if approval.subject == subject), None)

    def needs_passkey(self, amount: Decimal | None) -> bool:
        """Whether whoever approves so many yuan confirms them with a passkey."""
        rule = self.case.policy.approvals
        return rule is not None and amount is not None and amount >= rule.passkey_from

    def refuse_open(self, subject: str, what: str) -> None:
        """Refuse something while a subject waits for its decision.

        Raises:
            Refused: code ``approval_open``.
        """
        if self.waiting(subject) is not None:
            raise Refused("approval_open", f"{what}: already waits for a decision", "S1-5.9.10")

    def outdate(self) -> None:
        """Let what was approved so far count no more: the numbers that it rests on have changed."""
        self.stale = len(self)

    def alone_or_ask(self, subject: str, amount: Decimal, at: datetime, by: Actor, reason: str | None = None) -> bool:
        """Whether the actor may decide the amount alone, or it is approved; if neither, ask for it.

        What was asked for this way happens when it is approved (`Case.after_approved`).

        Raises:
            Refused: less was approved, or it already waits for a decision.
        """
        self.refuse_open(subject, subject)
        authority, lowest = self.case.authority, self.case.lowest_for(subject, amount, by)
        second = self.case.second_person(subject, amount, by)
        enough = authority.covers(by.role, amount) and authority.rank(by.role) >= authority.rank(lowest)
        if enough and second is None:
            return True
        approved = self._approved(subject, None if second is None else by)
        if approved is None:
            self.ask(subject, amount, lowest, at, by=by, reason=reason, waits=True, also=second or ())
            return False
        if amount > approved:
            raise Refused("above_approved", f"amount = {amount:.2f}: approved are {approved:.2f}", "S1-5.9.10")
        return True

    def _approved(self, subject: str, but_by: Actor | None) -> Decimal | None:
        """Return the highest amount in yuan that stands approved for a subject, if need be by somebody else."""
        amounts = [
            one.amount
            for one in self._standing(subject)
            if one.amount is not None
            if but_by is None or not but_by.is_same(one.decided_by)
        ]
        return max(amounts, default=None)

    def _standing(self, subject: str) -> list[Approval]:
        """List what was approved of a subject and counts: not what was followed by other numbers, or by a no."""
        standing: list[Approval] = []
        for one in self._all[self.stale :]:
            if one.subject == subject and one.state == "rejected":
                standing.clear()
            elif one.subject == subject and one.state == "approved":
                standing.append(one)
        return standing

    def involved(self, subject: str) -> frozenset[str]:
        """Return who asked for what was approved of a subject, and who approved it (`Actor.names`)."""
        people = [actor for one in self._standing(subject) for actor in (one.asked_by, one.decided_by) if actor]
        return frozenset().union(*(actor.names for actor in people))

    def is_approved(self, subject: str) -> bool:
        """Whether somebody has approved a subject, whatever the numbers were."""
        decided = [one.state for one in self if one.subject == subject and one.state in ("approved", "rejected")]
        return decided[-1:] == ["approved"]

    def ask(
        self,
        subject: str,
        amount: Decimal | None,
        role: str,
        at: datetime,
        *,
        by: Actor = SYSTEM,
        reason: str | None = None,
        waits: bool = False,
        also: Sequence[str] = (),
        for_: Actor | None = None,
    ) -> None:
        """Ask a rung to decide, by when its clock says.

        Args:
            waits: what it is about happens by itself once it is approved.
            for_: in whose name the case asks.
        """
        self._ask(subject, amount, role, at, by=by, reason=reason, waits=waits, also=also, for_=for_)
        self.case.clocks.start(self._all[-1].clock, at)

    # --- commands ---------------------------------------------------------------------------------

    def _check_request_approval(self, command: commands.RequestApproval, at: datetime, by: Actor) -> None:
        if self.waiting(command.subject) is not None:
            raise Refused("approval_open", f"subject = {command.subject!r} already waits for a decision")

    def _do_request_approval(self, command: commands.RequestApproval, at: datetime, by: Actor) -> None:
        subject, amount = command.subject, command.amount
        if amount is None:
            role = self.case.authority.next_above(by.role) or self.case.ladder.rungs[-1]
        else:
            role = self.case.lowest_for(subject, amount, by)
        also = () if amount is None else self.case.second_person(subject, amount, by)
        self.ask(subject, amount, role, at, by=by, reason=command.reason, also=also or ())

    def _may_approve(self, by: Actor, at: datetime) -> None:
        self._refuse_decision(by, self._objection)

    def _may_reject(self, by: Actor, at: datetime) -> None:
        self._refuse_decision(by, self._refusal)

    def _refuse_decision(self, by: Actor, refusal: Callable[[Approval, Actor], Refused | None]) -> None:
        refusals = [refusal(approval, by) for approval in self.open()]
        if not refusals:
            raise Refused("nothing_to_approve", "nothing waits for a decision")
        if refusals[0] is not None and all(refusals):
            raise refusals[0]

    def _choices_approve(self, by: Actor, at: datetime) -> Choices:
        return {"subject": [one.subject for one in self.open() if self._objection(one, by) is None]}

    def _choices_reject(self, by: Actor, at: datetime) -> Choices:
        return {"subject": [one.subject for one in self.open() if self._refusal(one, by) is None]}

    def _do_approve(self, command: commands.Approve, at: datetime, by: Actor) -> None:
        approval = self._asked(command.subject, by)
        if (refusal := self._objection(approval, by)) is not None:
            raise refusal
        self._refuse_unconfirmed(approval, command)
        data = Approved(subject=approval.subject, amount=approval.amount, reason=command.reason)
        self.case.emit(data, at, by=by, clauses=("S1-5.9.10",))
        self.case.clocks.meet(at, approval.clock)
        if approval.waits:
            self.case.after_approved(approval, at, by)

    def _do_reject(self, command: commands.Reject, at: datetime, by: Actor) -> None:
        approval = self._asked(command.subject, by)
        data = Rejected(subject=approval.subject, amount=approval.amount, reason=command.reason)
        self.case.emit(data, at, by=by, clauses=("S1-5.9.10",))
        self.case.clocks.meet(at, approval.clock)
        if approval.waits:
            self.case.after_rejected(approval, command.reason, at, by)

    def _refuse_unconfirmed(self, approval: Approval, command: commands.Approve) -> None:
        """Refuse an approval of another amount than is asked, and one that lacks the passkey that its amount needs."""
        asked, rule = approval.amount, self.case.policy.approvals
        if command.amount is not None and command.amount != asked:
            now = "no amount is asked" if asked is None else f"{asked:.2f} is asked"
            raise Refused("another_amount", f"amount = {command.amount:.2f}: {now}", "S1-5.9.10")
        if rule is None or not self.needs_passkey(asked):
            return
        for field, given in (("proof.passkey", command.proof and command.proof.passkey), ("amount", command.amount)):
            if given is None:
                message = f"{field} is missing: {asked:.2f} is confirmed with a passkey, in the console"
                raise Refused("passkey_required", message, rule.clause)

    def _asked(self, subject: str | None, by: Actor) -> Approval:
        """Return the approval that is meant, if this actor may decide it."""
        waiting = self.open()
        named = ", ".join(approval.subject for approval in waiting)
        if subject is None and len(waiting) > 1:
            raise Refused("ambiguous", f"subject is missing: several things wait for a decision: {named}")
        found = waiting[0] if subject is None else self.waiting(subject)
        if found is None:
            raise Refused("nothing_to_approve", f"subject = {subject!r}: what waits for a decision: {named}")
        if (refusal := self._refusal(found, by)) is not None:
            raise refusal
        return found

    def _refusal(self, approval: Approval, by: Actor) -> Refused | None:
        """Say why this actor may not decide an approval, or None."""
        if by.is_same(approval.asked_by):
            return Refused("four_eyes", f"by.id = {by.id!r} asked for it; somebody else must decide", "S1-5.9.10")
        if by.role in approval.also:
            return None
        authority, amount = self.case.authority, approval.amount
        enough = amount is None or authority.covers(by.role, amount)
        if enough and authority.rank(by.role) >= authority.rank(approval.least):
            return None
        what = "this" if amount is None else f"{amount:.2f}"
        message = f"by.role = {by.role!r} may not decide {what}: {approval.least} or above may"
        return Refused("authority", message, "T3")

    def _objection(self, approval: Approval, by: Actor) -> Refused | None:
        """Say why this actor may not approve it, or None."""
        return self._refusal(approval, by) or self.case.objection(approval, by)

    # --- time -------------------------------------------------------------------------------------

    def turns(self) -> Iterable[Turn]:
        """Yield the next reminder of each top rung that was asked."""
        for approval in self:
            if approval.reminding.next_at is not None:
                yield approval.reminding.next_at, partial(self._remind, approval)

    def breached(self, clock: Clock, at: datetime) -> bool:
        """Ask the next rung when nobody has decided; at the top, remind."""
        approval = next((one for one in self if one.clock == clock.name), None)
        if approval is None:
            return False
        above = self.case.authority.next_above(approval.role)
        if above is None:
            self._remind(approval, at)
        else:
            self._ask(approval.subject, approval.amount, above, at)
            self.case.clocks.start(approval.clock, at)
        return True

    def _remind(self, approval: Approval, at: datetime) -> None:
        data = Reminded(rung=approval.role, count=approval.reminding.count + 1, subject=approval.subject)
        self.case.emit(data, at, clauses=(approval.reminding.rule.clause,))

    def _ask(
        self,
        subject: str,
        amount: Decimal | None,
        role: str,
        at: datetime,
        *,
        by: Actor = SYSTEM,
        reason: str | None = None,
        waits: bool = False,
        also: Sequence[str] = (),
        for_: Actor | None = None,
    ) -> None:
        data = ApprovalRequested(
            subject=subject,
            amount=amount,
            role=role,
            waits=waits or None,
            reason=reason,
            also=list(also) or None,
            asked_by=None if for_ is None else for_.as_json(),
        )
        self.case.emit(data, at, by=by, clauses=("S1-5.9.10", "T3"))

    # --- how events change the state --------------------------------------------------------------

    def _on_approval_requested(self, data: ApprovalRequested, event: Event) -> None:
        waiting = self.waiting(data.subject)
        if waiting is not None:
            waiting.role = data.role
            return
        reminding = Reminding(self.case.policy.ladder.reminders)
        asked_by = event.actor if data.asked_by is None else Actor(**data.asked_by)
        approval = Approval(
            len(self) + 1, data.subject, data.amount, data.role, data.role, asked_by, reminding
        )  # fmt: skip
        approval.waits, approval.also = bool(data.waits), tuple(data.also or ())
        self._all.append(approval)

    def _on_approved(self, data: Approved, event: Event) -> None:
        self._decided(data.subject, "approved", event.actor)

    def _on_rejected(self, data: Rejected, event: Event) -> None:
        self._decided(data.subject, "rejected", event.actor)

    def _decided(self, subject: str, state: str, by: Actor) -> None:
        approval = self.waiting(subject)
        if approval is not None:
            approval.state, approval.decided_by = state, by
            approval.reminding.quiet()

    def _on_reminded(self, data: Reminded, event: Event) -> None:
        approval = self.waiting(data.subject) if data.subject is not None else None
        if approval is not None:
            approval.reminding.reminded(event.at)

    def lapse(self, subject: str) -> None:
        """Let what was asked about a subject need no decision any more. Called by event handlers only."""
        approval = self.waiting(subject)
        if approval is not None:
            approval.reminding.quiet()
            approval.state = "lapsed"

    def _on_closed(self, _: object, event: Event) -> None:
        for approval in self.open():
            self.lapse(approval.subject)
