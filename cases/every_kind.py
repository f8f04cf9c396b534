"""What people may do to a case of every kind, if the kind takes it: note, reply, promise, resolve, reopen, close.

What a kind says otherwise it says by a method of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import ClassVar

from cases.fold import Fold
from cases.mechanisms.clocks import Clock
from cases.mechanisms.part import Turn
from cases.policy.tables import KindTable
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.refusals import Refused
from cases.working_calendar import anniversary

# The clause by which cases are kept.
RETAINED = "O-APP2"


class EveryKind(Fold):
    """The commands of every kind, and the end of a case."""

    # Whether a customer stands behind it.
    CUSTOMERS: ClassVar[bool] = True

    rule: KindTable

    def _do_note(self, command: commands.Note, at: datetime, by: Actor) -> None:
        self.emit(life.Noted(text=command.text), at, by=by)

    def _do_attach(self, command: commands.Attach, at: datetime, by: Actor) -> None:
        data = life.Attached(name=command.name, sha256=command.sha256, where=command.where, size=command.size)
        self.emit(data, at, by=by, clauses=("S0-2.3.5",))

    def _do_log_contact(self, command: commands.LogContact, at: datetime, by: Actor) -> None:
        data = life.ContactAttempted(reached=command.reached, channel=command.channel, reason=command.reason)
        self.emit(data, at, by=by, clauses=("S4-3.3.3",))
        if command.reached:
            self.clocks.resume_all(at, by)
        else:
            self.clocks.pause_all(at, command.reason or "unreachable", by)

    def _may_promise(self, by: Actor, at: datetime) -> None:
        limit = self.latest_promise()
        if self.clocks.runs("legal_limit") and limit is not None and limit <= at:
            raise Refused("past_legal_limit", f"promise: the legal limit is {limit.isoformat()}", "O-REG-29")

    def _check_promise(self, command: commands.Promise, at: datetime, by: Actor) -> None:
        self._timely_promise(self.policy.local(command.reply_by), at)

    def _timely_promise(self, due: datetime, at: datetime) -> None:
        if due <= at:
            raise Refused("past", f"reply_by = {due.isoformat()} is not after {at.isoformat()}", "S1-4.1")
        if self.clocks.runs("legal_limit"):
            # Once the limit is breached the customer still hears when the next word comes (S1-4.1).
            self.within_law("reply_by", due)

    def _do_promise(self, command: commands.Promise, at: datetime, by: Actor) -> None:
        self.promise(self.policy.local(command.reply_by), at, by)

    def promise(self, due: datetime, at: datetime, by: Actor, of: int | None = None) -> None:
        """Promise the customer the next word by an instant, or take over such a promise of another case (S1-4.1).

        Args:
            of: the event that had the promise sent to the customer.
        """
        self.emit(life.Promised(reply_by=due, of=of), at, by=by, clauses=("S1-4.1",))
        number = sum(event.type == life.Promised.TYPE for event in self.events)
        self.clocks.start(f"promise:{number}", at, due)

    def latest_promise(self) -> datetime | None:
        """Return the legal limit, past which nothing is promised; None where the law names none (O-REG-29)."""
        limit = self.clocks.get("legal_limit")
        return None if limit is None else limit.due

    def within_law(self, name: str, due: datetime) -> None:
        """Refuse a target past the legal limit.

        Raises:
            Refused: code ``past_legal_limit``.
        """
        limit = self.latest_promise()
        if limit is not None and due > limit:
            message = f"{name} = {due.isoformat()} is past the legal limit {limit.isoformat()}"
            raise Refused("past_legal_limit", message, "O-REG-29")

    def met_by_reply(self, stage: str) -> tuple[str, ...]:
        """Name the clocks that a reply of this stage ends."""
        return ()

    def settled_by_reply(self, stage: str) -> bool:
        """Whether a reply of this stage is all that the matter is about."""
        return False

    def after_reply(self, stage: str, at: datetime, by: Actor) -> None:
        """Do what follows from a reply that the customer has."""
        if self.settled_by_reply(stage) and self.status == "open":
            self._resolve(at, by, None)

    def _do_resolve(self, command: commands.Resolve, at: datetime, by: Actor) -> None:
        if not self.ladder.acknowledged:
            self.ladder.take_up(at, by)
        self._resolve(at, by, command.summary)

    def _resolve(self, at: datetime, by: Actor, summary: str | None) -> None:
        self.emit(life.Resolved(summary=summary), at, by=by, clauses=("S4-2.4",))
        self.clocks.meet(at, *(name for name in self.clocks.live() if self._met_by_resolve(self.clocks[name])))

    def _met_by_resolve(self, clock: Clock) -> bool:
        """Whether the solution ends this clock: all but those that go on without the customer."""
        return clock.base not in ("report", "approval")

    def _may_follow_up(self, by: Actor, at: datetime) -> None:
        if self.status != "resolved":
            raise Refused("not_resolved", "follow_up: the case is not resolved", "S1-4.2")

    def _do_follow_up(self, command: commands.FollowUp, at: datetime, by: Actor) -> None:
        data = life.FollowedUp(satisfied=command.satisfied, text=command.text)
        self.emit(data, at, by=by, clauses=("S1-4.2",))
        self.clocks.meet(at, "follow_up")

    def _may_reopen(self, by: Actor, at: datetime) -> None:
        end = self._reopened_until()
        if end is None:
            raise Refused("not_resolved", "reopen: the case is not resolved")
        if at > end:
            message = f"reopen: the window ended {end.isoformat()}; file a new case that names this one as its parent"
            raise Refused("window_over", message, self.rule.reopen_clause)

    def _do_reopen(self, command: commands.Reopen, at: datetime, by: Actor) -> None:
        self.emit(life.Reopened(reason=command.reason), at, by=by, clauses=(self.rule.reopen_clause,))
        self.clocks.meet(at, "follow_up")
        self.ladder.start_clock(at)
        self._restart_clocks(at)

    def _restart_clocks(self, at: datetime) -> None:
        """Start again the clocks that a reopened case runs on."""

    def _check_withdraw(self, command: commands.Withdraw, at: datetime, by: Actor) -> None:
        said, needed = command.said, self._needed_withdraw(by)
        if "reason" in needed and command.reason is None:
            raise _said_missing("reason is missing: why the customer takes it back")
        if "said" in needed and said is None:
            raise _said_missing("said is missing: who said so for the customer (by), when (at) and by which channel")
        assert self.received_at is not None
        if said is not None and not self.received_at <= said.at <= at:
            span = f"{self.received_at.isoformat()} to {at.isoformat()}"
            wrong = f"said.at = {said.at.isoformat()}: the customer said so after the receipt and before now: {span}"
            raise _said_missing(wrong)

    def _needed_withdraw(self, by: Actor) -> Iterable[str]:
        # The lowest rung ends nobody's matter without their word.
        return ("reason", "said") if self.CUSTOMERS and by.role == self.ladder.rungs[0] else ()

    def _do_withdraw(self, command: commands.Withdraw, at: datetime, by: Actor) -> None:
        said = command.said
        told = (
            None
            if said is None
            else life.SaidByCustomer(by=said.by, at=self.policy.local(said.at), channel=said.channel)
        )
        self.emit(life.Withdrawn(reason=command.reason, said=told), at, by=by)
        self.emit(life.Closed(outcome="withdrawn"), at, by=by)

    def _may_close(self, by: Actor, at: datetime) -> None:
        if self.status != "resolved":
            raise Refused("not_resolved", "close: resolve the case first")
        owed = self._unfinished()
        if owed is not None:
            manager = self.ladder.height(by.role) >= 1
            if not (owed.code == "dissatisfied" and manager):
                raise owed

    def _do_close(self, command: commands.Close, at: datetime, by: Actor) -> None:
        self.emit(life.Closed(outcome=command.outcome or "resolved"), at, by=by)

    def _unfinished(self) -> Refused | None:
        """Say what must still be done before the case may close."""
        if (merging := self.merging.refusal("close")) is not None:
            return merging
        waiting = self.approvals.open()
        if waiting:
            return Refused("approval_open", f"close: {waiting[0].subject} waits for a decision")
        if self.dissatisfied:
            message = "close: the customer is not satisfied; reopen, or let a higher rung than the lowest close it"
            return Refused("dissatisfied", message, "S4-2.5")
        return None

    def turns(self) -> Iterable[Turn]:
        """Yield what time will do beside the parts: a resolved case closes when its window has ended."""
        end = self._reopened_until()
        if end is not None and self._unfinished() is None:
            # A reopening at the very end is in time, so the case closes a second later; what was
            # owed until after the window closes the case when it is done.
            yield max(end + timedelta(seconds=1), self.events[-1].at), self._close_by_itself

    def _reopened_until(self) -> datetime | None:
        """Return until when a resolved case may be reopened: the end of a calendar day of the policy."""
        if self.status != "resolved" or self.resolved_at is None:
            return None
        return self.policy.working.end_of_day(self.resolved_at, self.rule.reopen_days)

    def _close_by_itself(self, at: datetime) -> None:
        self.emit(life.Closed(outcome="resolved"), at, clauses=(self.rule.reopen_clause,))

    def _on_resolved(self, _: life.Resolved, event: Event) -> None:
        self.status, self.resolved_at = "resolved", event.at

    def _on_followed_up(self, data: life.FollowedUp, event: Event) -> None:
        self.followed_up += 1
        self.dissatisfied = not data.satisfied

    def _on_reopened(self, _: life.Reopened, event: Event) -> None:
        self.status, self.resolved_at = "open", None
        self.followed_up, self.dissatisfied = 0, False

    def _on_erased(self, _: life.Erased, event: Event) -> None:
        self.erased_at = event.at

    def _on_closed(self, data: life.Closed, event: Event) -> None:
        self.status, self.outcome, self.closed_at = "closed", data.outcome, event.at

    @property
    def keep_until(self) -> date | None:
        """The last day on which the closed case is kept whole, in the policy's zone; None while it is open (O-APP2)."""
        if self.closed_at is None:
            return None
        return anniversary(self.policy.local(self.closed_at).date(), self.rule.retain_years)

    def erase(self, why: life.ErasedFor, by: Actor, asked_by: Actor | None, now: datetime) -> Event:
        """Note that what the case holds of persons is erased.

        Args:
            by: who decided it; the system where the policy asks for it.
            asked_by: who asked for it; None for nobody.

        Raises:
            Refused: ``not_closed``, ``retained`` (O-APP2), ``already_erased``; or ``four_eyes``: who asks for it is
                not who decides it.
        """
        now = self.policy.local(now)
        if self.erased_at is not None:
            raise Refused("already_erased", f"erased {self.erased_at.isoformat()}")
        if self.keep_until is None:
            raise Refused("not_closed", "erase: the case is not closed", RETAINED)
        if now.date() <= self.keep_until:
            raise Refused("retained", f"erase: kept until {self.keep_until.isoformat()}", RETAINED)
        if by.is_same(asked_by):
            raise Refused("four_eyes", "erase: somebody else decides than who asks for it")
        self._recorded_at = now
        data = life.Erased(why=why, asked_by=None if asked_by is None else asked_by.id)
        return self.emit(data, now, by=by, clauses=(RETAINED,))


def _said_missing(why: str) -> Refused:
    return Refused("said_missing", f"withdraw: {why}")
