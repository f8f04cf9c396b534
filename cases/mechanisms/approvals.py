"""Approvals: asking somebody with enough authority, four eyes, climbing when nobody decides.

Nobody may promise beyond their authority (S1-5.9.10), so an approval is asked of the lowest rung
whose limit covers the amount; the amount rung and the ladder's rung are two things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cases.mechanisms.clocks import Clock
from cases.mechanisms.ladder import Reminding
from cases.mechanisms.timeline import Timeline
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary.events import SYSTEM, Actor, Event, EventType
from cases.vocabulary.refusals import Refused

T = EventType


@dataclass(slots=True)
class Approval:
    """One question to somebody with authority.

    ``amount`` is in yuan or None; ``least`` is the lowest rung that may decide, ``role`` the one
    that is asked now; ``state`` is ``open``, ``approved``, ``rejected`` or, when the case closed first, ``lapsed``.
    """

    number: int
    subject: str
    amount: Decimal | None
    least: str
    role: str
    requested_by: str
    reminding: Reminding
    state: str = "open"
    # Whether what it is about happens by itself once it is approved.
    waits: bool = False

    @property
    def clock(self) -> str:
        """The name of its clock."""
        return f"approval:{self.number}"


class Approvals(Timeline):
    """A case in which things must be approved."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.approvals: list[Approval] = []
        # So many approvals were given on numbers that have changed since.
        self.stale_approvals = 0

    def open_approvals(self) -> list[Approval]:
        """What waits for a decision, oldest first."""
        return [approval for approval in self.approvals if approval.state == "open"]

    # --- commands ---------------------------------------------------------------------------------

    def _do_request_approval(self, command: commands.RequestApproval, at: datetime, by: Actor) -> None:
        subject, amount = command.subject, command.amount
        if any(approval.subject == subject for approval in self.open_approvals()):
            raise Refused("approval_open", f"subject = {subject!r} already waits for a decision")
        authority = self.policy.authority_of
        if amount is None:
            role = authority.next_above(by.role) or self.ladder.rungs[-1]
        else:
            role = self._lowest_for(subject, amount)
        self._ask(subject, amount, role, at, by=by, reason=command.reason)
        self._start_clock(self.approvals[-1].clock, at)

    def _do_approve(self, command: commands.Approve, at: datetime, by: Actor) -> None:
        approval = self._asked(command.subject, by)
        data = {"subject": approval.subject, "amount": _text(approval.amount)}
        if command.reason is not None:
            data["reason"] = command.reason
        self._emit(T.APPROVED, at, data, by=by, clauses=("S1-5.9.10",))
        self._meet(at, approval.clock)
        if approval.waits:
            self._after_approved(approval, at, by)

    def _after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Do what waited for this approval; kinds say."""

    def _do_reject(self, command: commands.Reject, at: datetime, by: Actor) -> None:
        approval = self._asked(command.subject, by)
        data = {"subject": approval.subject, "amount": _text(approval.amount), "reason": command.reason}
        self._emit(T.REJECTED, at, data, by=by, clauses=("S1-5.9.10",))
        self._meet(at, approval.clock)

    def _alone_or_ask(self, subject: str, amount: Decimal, at: datetime, by: Actor, reason: str | None = None) -> bool:
        """Whether the actor may decide the amount alone, or it is approved; if neither, it is asked for.

        What was asked for this way happens when it is approved (`_after_approved`).

        Raises:
            Refused: less was approved, or it already waits for a decision.
        """
        if any(approval.subject == subject for approval in self.open_approvals()):
            raise Refused("approval_open", f"{subject}: already waits for a decision", "S1-5.9.10")
        authority, lowest = self.policy.authority_of, self._lowest_for(subject, amount)
        approved = self._approved(subject)
        if authority.covers(by.role, amount) and authority.rank(by.role) >= authority.rank(lowest):
            return True
        if approved is None:
            self._ask(subject, amount, lowest, at, by=by, reason=reason, waits=True)
            self._start_clock(self.approvals[-1].clock, at)
            return False
        if amount > approved:
            raise Refused("above_approved", f"amount = {amount:.2f}: approved are {approved:.2f}", "S1-5.9.10")
        return True

    def _approved(self, subject: str) -> Decimal | None:
        """The highest amount that stands approved for a subject, in yuan."""
        amounts = [
            approval.amount
            for approval in self.approvals[self.stale_approvals :]
            if approval.subject == subject and approval.state == "approved" and approval.amount is not None
        ]
        return max(amounts, default=None)

    def _asked(self, subject: str | None, by: Actor) -> Approval:
        """The approval that is meant, if this actor may decide it."""
        waiting = self.open_approvals()
        named = ", ".join(approval.subject for approval in waiting)
        if not waiting:
            raise Refused("nothing_to_approve", "nothing waits for a decision")
        if subject is None and len(waiting) > 1:
            raise Refused("ambiguous", f"subject is missing: several things wait for a decision: {named}")
        found = next((a for a in waiting if subject is None or a.subject == subject), None)
        if found is None:
            raise Refused("nothing_to_approve", f"subject = {subject!r}: what waits for a decision: {named}")
        if found.requested_by == by.id:
            raise Refused("four_eyes", f"by.id = {by.id!r} asked for it; somebody else must decide", "S1-5.9.10")
        if not self._may_decide(by.role, found):
            raise Refused(
                "authority",
                f"by.role = {by.role!r} may not decide {_text(found.amount) or 'this'}: {found.least} or above may",
                "T3",
            )
        return found

    def _may_decide(self, role: str, approval: Approval) -> bool:
        authority = self.policy.authority_of
        enough = approval.amount is None or authority.covers(role, approval.amount)
        return enough and authority.rank(role) >= authority.rank(approval.least)

    def _lowest_for(self, subject: str, amount: Decimal) -> str:
        """The lowest rung that may decide a subject of this amount; kinds may ask for more."""
        return self.policy.authority_of.lowest_for(amount)

    # --- time -------------------------------------------------------------------------------------

    def _next_turn(self) -> tuple[datetime, Callable[[datetime], None]] | None:
        turn = super()._next_turn()
        for approval in self.approvals:
            moment = approval.reminding.next_at
            if moment is not None and (turn is None or moment < turn[0]):
                turn = (moment, self._reminder_of(approval))
        return turn

    def _reminder_of(self, approval: Approval) -> Callable[[datetime], None]:
        return lambda at: self._remind_decider(approval, at)

    def _breached(self, clock: Clock, at: datetime) -> None:
        approval = next((a for a in self.approvals if a.clock == clock.name), None)
        if approval is None:
            super()._breached(clock, at)
            return
        above = self.policy.authority_of.next_above(approval.role)
        if above is None:
            self._remind_decider(approval, at)
        else:
            self._ask(approval.subject, approval.amount, above, at)
            self._start_clock(approval.clock, at)

    def _remind_decider(self, approval: Approval, at: datetime) -> None:
        count = approval.reminding.count + 1
        data = {"rung": approval.role, "count": count, "subject": approval.subject}
        self._emit(T.REMINDED, at, data, clauses=(self.policy.ladder.reminders.clause,))

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
    ) -> None:
        data: dict[str, Any] = {"subject": subject, "amount": _text(amount), "role": role}
        if waits:
            data["waits"] = True
        if reason is not None:
            data["reason"] = reason
        self._emit(T.APPROVAL_REQUESTED, at, data, by=by, clauses=("S1-5.9.10", "T3"))

    # --- how events change the state --------------------------------------------------------------

    def _on_approval_requested(self, event: Event) -> None:
        data = event.data
        waiting = self._waiting(data["subject"])
        if waiting is not None:
            waiting.role = data["role"]
            return
        amount = None if data["amount"] is None else Decimal(data["amount"])
        reminding = Reminding(self.policy.ladder.reminders)
        number, role = len(self.approvals) + 1, data["role"]
        approval = Approval(number, data["subject"], amount, role, role, event.actor.id, reminding)
        approval.waits = data.get("waits", False)
        self.approvals.append(approval)

    def _on_approved(self, event: Event) -> None:
        self._decided(event, "approved")

    def _on_rejected(self, event: Event) -> None:
        self._decided(event, "rejected")

    def _decided(self, event: Event, state: str) -> None:
        approval = self._waiting(event.data["subject"])
        if approval is not None:
            approval.state = state
            approval.reminding.quiet()

    def _on_reminded(self, event: Event) -> None:
        approval = self._waiting(event.data["subject"]) if "subject" in event.data else None
        if approval is not None:
            approval.reminding.reminded(event.at)
        else:
            super()._on_reminded(event)

    def _waiting(self, subject: str) -> Approval | None:
        return next((a for a in self.approvals if a.subject == subject and a.state == "open"), None)

    def _end_all(self, at: datetime) -> None:
        super()._end_all(at)
        for approval in self.open_approvals():
            approval.reminding.quiet()
            approval.state = "lapsed"


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"
