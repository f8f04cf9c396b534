"""What every kind of case shares: it is opened, takes commands, and ends.

decide(command, now)  -> events, or raises Refused   what a person or system asks
elapse(now)           -> events                      what has fallen due by `now`
evolve(event)         -> None                        the only way state changes
due()                 -> datetime | None             when the case must next be woken
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from pydantic import ValidationError

from cases.mechanisms.approvals import Approvals
from cases.mechanisms.clocks import Clock, ClockState
from cases.mechanisms.timeline import Errand, Notice, Payment
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary.commands import EVERY_KIND, Command
from cases.vocabulary.events import SYSTEM, Actor, Event, EventType
from cases.vocabulary.facts import Intake
from cases.vocabulary.refusals import Refused, invalid

T = EventType

# With each of them somebody is waited for to take the case up.
_ARRIVALS = frozenset({T.CASE_OPENED, T.ESCALATED, T.ASSIGNED, T.REOPENED})
# How far a caller's clock may run ahead of ours before a receipt counts as an error.
CLOCK_SKEW = timedelta(minutes=5)


class Case(Approvals):
    """A case: the fold of its events. Subclasses say what is particular to a kind."""

    INTAKE: ClassVar[type[Intake]]
    COMMANDS: ClassVar[dict[str, type[Command]]]
    # What may still be asked once the matter is settled.
    AFTER_RESOLVED: ClassVar[frozenset[str]] = frozenset(
        {"note", "attach", "log_contact", "load_calendar", "resend", "reply", "request_approval", "approve", "reject"}
        | {"follow_up", "reopen", "withdraw", "close"}
    )

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.key = ""
        self.status = "open"
        self.parent: str | None = None
        self.outcome: str | None = None
        self.opened_at: datetime | None = None
        self.resolved_at: datetime | None = None
        self.closed_at: datetime | None = None
        self.followed_up = 0
        self.dissatisfied = False
        self._handlers: dict[str, Callable[[Any, datetime, Actor], None]] = {
            name: getattr(self, f"_do_{name}") for name in self.COMMANDS
        }

    # --- opening ----------------------------------------------------------------------------------

    @classmethod
    def open(cls, intake: Intake, policy: Policy, now: datetime) -> Self:
        """Open a case. A receipt in the past is normal: let time run on with `elapse`.

        Raises:
            Refused: the facts do not allow a case, or ``received_at`` lies in the future.
        """
        now = policy.local(now)
        received = policy.local(intake.received_at or now)
        if received > now + CLOCK_SKEW:
            raise Refused("invalid", f"received_at = {received.isoformat()} lies in the future")
        received = min(received, now)
        case = cls(policy)
        case._admit(intake, received)
        case._recorded_at = now
        start = policy.severity.starts_at[intake.facts.severity]
        data = {
            "kind": cls.KIND,
            "key": intake.key,
            "policy": policy.name,
            "policy_hash": policy.hash,
            "holder_role": case.ladder.rung,
            "facts": intake.open_facts(),
        }
        if intake.parent is not None:
            data["parent"] = intake.parent
        begun = case._begins(intake, received)
        if begun < received:
            data["reported_at"] = received.isoformat()
        case._emit(T.CASE_OPENED, begun, data, clauses=case.OPENED_BY)
        case._start_early_clocks(begun)
        case.elapse(received, inclusive=False)
        if case.ladder.height(start) > 0:
            case._climb(start, "severity", received, clauses=(policy.severity.clause,))
        else:
            case._start_rung_clock(received)
        case._start_clocks(received)
        return case

    @classmethod
    def replay(cls, policy: Policy, events: Iterable[Event]) -> Self:
        """The case that these events made."""
        case = cls(policy)
        for event in events:
            case.evolve(event)
        return case

    OPENED_BY: ClassVar[tuple[str, ...]] = ()

    def _admit(self, intake: Intake, received: datetime) -> None:
        """Refuse facts that do not make a case of this kind."""

    def _start_clocks(self, at: datetime) -> None:
        """Start the clocks that run from receipt."""

    def _begins(self, intake: Intake, received: datetime) -> datetime:
        """From when the clocks of the matter itself run; the receipt, unless a kind says otherwise."""
        return received

    def _start_early_clocks(self, at: datetime) -> None:
        """Start the clocks that run from when the matter began, before the receipt."""

    # --- commands ---------------------------------------------------------------------------------

    def decide(
        self, command: Command, now: datetime, after_each: Callable[[datetime], None] | None = None
    ) -> list[Event]:
        """Let time run to just before ``now``, then do what is asked.

        Args:
            command: a command that this kind takes (``COMMANDS``).
            now: an aware instant, not before the last event.
            after_each: see `elapse`.

        Raises:
            Refused: the command changed nothing. What fell due before ``now`` has elapsed.
        """
        seen = len(self.events)
        now = self.policy.local(now)
        if after_each is None:
            self.elapse(now, inclusive=False)
        else:
            self.elapse(now, inclusive=False, after_each=after_each)
        self._recorded_at = now
        by = command.by.actor()
        self._check(command.NAME, by, now)
        self._handlers[command.NAME](command, now, by)
        return self.events[seen:]

    def refused(self, name: str, by: Actor, refusal: Refused, now: datetime) -> None:
        """Record a refused signal, so that nothing that was sent is dropped."""
        at = self._arrival(now)
        data = {"command": name, "code": refusal.code}
        self._emit(T.COMMAND_REFUSED, at, data, by=by, clauses=(refusal.clause,) if refusal.clause else ())

    def told(
        self,
        notice: Notice,
        outcome: str,
        channel: str,
        at: datetime,
        reasons: Mapping[str, str],
        **more: Sequence[Any],
    ) -> None:
        """By the system: what came of a notice (also after the case has closed).

        Args:
            more: what else goes on record of it, as far as there is any: ``meant``, ``attempts``,
                ``remarks``.
        """
        at = self._arrival(at)
        roles = list(notice.roles)
        data: dict[str, Any] = {"notice": notice.name, "roles": roles, "outcome": outcome, "of": notice.event.seq}
        if channel:
            data["channel"] = channel
        if reasons:
            data["reasons"] = dict(sorted(reasons.items()))
        data |= {name: list(said) for name, said in more.items() if said}
        self._emit(T.NOTIFIED, at, data, clauses=(notice.clause,))
        if notice.name == "report" and outcome == "sent" and not self._reported(notice, self.events[:-1]):
            self._emit(T.REPORT_SENT, at, {"roles": roles, "channel": channel}, clauses=(notice.clause,))
            self._meet(at, "report", "report_mail")

    @staticmethod
    def _reported(notice: Notice, before: Iterable[Event]) -> bool:
        """Whether the same report went out before, so that this is a repeat."""
        same = {"notice": notice.name, "of": notice.event.seq, "outcome": "sent"}
        return any(event.type is T.NOTIFIED and same.items() <= event.data.items() for event in before)

    def payout_made(self, reference: str, at: datetime, by: Actor = SYSTEM) -> None:
        """By the system or by finance: money that the case asked for has gone out."""

    def payout_failed(self, reason: str, at: datetime) -> None:
        """By the system: money that the case asked for could not be sent."""

    def errand_done(self, errand: Errand, result: Mapping[str, Any], at: datetime) -> None:
        """By the system: what came of an errand of the kind."""

    def rehearsed(self, errand: Errand) -> Mapping[str, Any]:
        """What comes of an errand in a rehearsal."""
        return {}

    def rehearse_effects(self, at: datetime, notices: str = "ok", payout: str = "ok") -> None:
        """In a rehearsal effects come out at once: every one succeeds, or every one fails.

        Args:
            at: the instant at which they were asked for.
            notices: ``ok`` or ``fail``.
            payout: ``ok``, ``fail`` or ``manual`` (it waits for ``confirm_payment``).
        """
        # What comes of an effect may ask for another one.
        while self.outbox:
            effect = self.outbox.pop(0)
            if isinstance(effect, Notice):
                ok = notices == "ok"
                self.told(effect, "sent" if ok else "failed", "email" if ok else "", at, {})
            elif isinstance(effect, Payment) and payout == "ok":
                self.payout_made(f"rehearsal-{effect.event.seq}", at)
            elif isinstance(effect, Payment) and payout == "fail":
                self.payout_failed("rehearsal", at)
            elif isinstance(effect, Errand):
                self.errand_done(effect, self.rehearsed(effect), at)

    def _arrival(self, now: datetime) -> datetime:
        """When word from outside arrives: after all that fell due before, like a command."""
        self.elapse(now, inclusive=False)
        self._recorded_at = now = self.policy.local(now)
        return max(now, self.events[-1].at)

    def _check(self, name: str, by: Actor, now: datetime) -> None:
        if self.events and now < self.events[-1].at:
            raise Refused("too_early", f"at = {now.isoformat()} lies before what has already happened")
        if self.status == "closed":
            raise closed()
        if by.role not in self.policy.all_roles:
            allowed = ", ".join(self.policy.all_roles)
            raise Refused("unknown_role", f"by.role = {by.role!r} is not a role; allowed: {allowed}")
        permitted = self.policy.permitted(name, self.KIND)
        if by.role not in permitted:
            allowed = ", ".join(role for role in self.policy.all_roles if role in permitted)
            raise Refused("role", f"by.role = {by.role!r} may not {name}; allowed: {allowed}")
        if self.status == "resolved" and name not in self.AFTER_RESOLVED:
            code = "already_resolved" if name == "resolve" else "resolved"
            raise Refused(code, f"{name}: the case is resolved; reopen it first")

    def _do_acknowledge(self, command: commands.Acknowledge, at: datetime, by: Actor) -> None:
        if command.notice is not None:
            self._still_awaited(command.notice)
        if self.ladder.acknowledged:
            raise Refused("already_acknowledged", f"{self.ladder.holder_id} has acknowledged")
        if self.ladder.height(by.role) < self.ladder.height(self.ladder.rung):
            raise Refused(
                "not_holder", f"by.role = {by.role!r}: {self.ladder.rung} holds the case; it or a higher rung may"
            )
        self._acknowledge(at, by)

    def _still_awaited(self, seq: int) -> None:
        """Refuse an acknowledgement of an arrival at a rung that is answered or over."""
        if seq > len(self.events):
            raise Refused("invalid", f"acknowledge: notice = {seq}: the case has {len(self.events)} events")
        arrived = max(event.seq for event in self.events if event.type in _ARRIVALS)
        if self.ladder.acknowledged or seq < arrived:
            holder = self.ladder.holder_id or self.ladder.rung
            raise Refused("token_used", f"this notice is answered or over: {holder} holds the case now")

    def _acknowledge(self, at: datetime, by: Actor) -> None:
        self._emit(T.ACKNOWLEDGED, at, {"role": by.role, "id": by.id}, by=by, clauses=("CARD",))
        self._meet(at, "rung")

    def _do_assign(self, command: commands.Assign, at: datetime, by: Actor) -> None:
        ladder, to = self.ladder, command.to
        if ladder.height(to.role) < 0:
            raise Refused("unknown_role", f"to.role = {to.role!r} is no rung; allowed: {', '.join(ladder.rungs)}")
        if ladder.height(to.role) > ladder.height(ladder.rung):
            raise Refused("upward", f"to.role = {to.role!r} is above {ladder.rung}: escalate instead")
        if ladder.height(by.role) < ladder.height(ladder.rung):
            raise Refused("not_holder", f"by.role = {by.role!r} may not take the case from {ladder.rung}")
        if command.held_by is not None and command.held_by != ladder.holder_id:
            holder = ladder.holder_id or ladder.rung
            raise Refused("not_held", f"held_by = {command.held_by!r}: it is {holder} who holds the case")
        data: dict[str, Any] = {
            "from": {"role": ladder.rung, "id": ladder.holder_id},
            "to": {"role": to.role, "id": to.id},
        }
        if command.reason is not None:
            data["reason"] = command.reason
        self._emit(T.ASSIGNED, at, data, by=by, clauses=("CARD",))
        if to.id == by.id:
            self._emit(T.ACKNOWLEDGED, at, {"role": to.role, "id": to.id}, by=by, clauses=("CARD",))
        else:
            self._start_rung_clock(at)

    def _do_escalate(self, command: commands.Escalate, at: datetime, by: Actor) -> None:
        ladder = self.ladder
        to = command.to or ladder.above()
        if to is None:
            raise Refused("top_rung", f"{ladder.rung} is the highest rung; nobody stands above")
        if ladder.height(to) < 0:
            raise Refused("unknown_role", f"to = {to!r} is no rung; allowed: {', '.join(ladder.rungs)}")
        if ladder.height(to) <= ladder.height(ladder.rung):
            raise Refused("not_above", f"to = {to!r} is not above {ladder.rung}, which holds the case")
        self._climb(to, "manual", at, by=by, clauses=("S1-1.8",), reason=command.reason)

    def _do_note(self, command: commands.Note, at: datetime, by: Actor) -> None:
        self._emit(T.NOTED, at, {"text": command.text}, by=by)

    def _do_attach(self, command: commands.Attach, at: datetime, by: Actor) -> None:
        data: dict[str, Any] = {"name": command.name, "sha256": command.sha256, "where": command.where}
        if command.size is not None:
            data["size"] = command.size
        self._emit(T.ATTACHED, at, data, by=by, clauses=("S0-2.3.5",))

    def _do_log_contact(self, command: commands.LogContact, at: datetime, by: Actor) -> None:
        data = {"reached": command.reached, "channel": command.channel, "reason": command.reason}
        self._emit(T.CONTACT_ATTEMPTED, at, data, by=by, clauses=("S4-3.3.3",))
        if command.reached:
            self._resume_clocks(at, by)
        else:
            self._pause_clocks(at, command.reason or "unreachable", by)

    def _do_resend(self, command: commands.Resend, at: datetime, by: Actor) -> None:
        told = self.events[command.notice - 1] if command.notice <= len(self.events) else None
        if told is None or told.type is not T.NOTIFIED:
            known = ", ".join(str(event.seq) for event in self.events if event.type is T.NOTIFIED) or "none yet"
            raise Refused("no_such_notice", f"notice = {command.notice}: notices of this case: {known}")
        name, roles, of = told.data["notice"], told.data["roles"], told.data["of"]
        self._emit(T.NOTICE_RESENT, at, {"notice": name, "roles": roles, "of": of, "was": told.seq}, by=by)
        self.outbox.append(Notice(name, tuple(roles), self.events[of - 1], "".join(told.clauses[:1])))

    def _do_load_calendar(self, command: commands.LoadCalendar, at: datetime, by: Actor) -> None:
        published = command.published.model_dump(mode="json")
        try:
            self.working.with_year(command.year, published)
        except ValidationError as error:
            raise invalid(error, "load_calendar") from None
        self._load_year(command.year, published, at, by)

    def _do_promise(self, command: commands.Promise, at: datetime, by: Actor) -> None:
        due = self.policy.local(command.reply_by)
        if due <= at:
            raise Refused("past", f"reply_by = {due.isoformat()} is not after {at.isoformat()}", "S1-4.1")
        if self._limit_runs():
            # Once the limit is breached the customer still hears when the next word comes (S1-4.1).
            self._within_law("reply_by", due)
        self._emit(T.PROMISED, at, {"reply_by": due.isoformat()}, by=by, clauses=("S1-4.1",))
        number = sum(event.type is T.PROMISED for event in self.events)
        self._start_clock(f"promise:{number}", at, due)

    def _limit_runs(self) -> bool:
        limit = self.clocks.get("legal_limit")
        return limit is not None and limit.live

    def _within_law(self, name: str, due: datetime) -> None:
        limit = self.clocks.get("legal_limit")
        if limit is not None and due > limit.due:
            message = f"{name} = {due.isoformat()} is past the legal limit {limit.due.isoformat()}"
            raise Refused("past_legal_limit", message, "O-REG-29")

    def _do_reply(self, command: commands.Reply, at: datetime, by: Actor) -> None:
        data: dict[str, Any] = {"stage": command.stage}
        if command.text is not None:
            data["text"] = command.text
        self._emit(T.REPLIED, at, data, by=by, clauses=("S0-2.3.5",))
        self._meet(at, *self._met_by_reply(command.stage), *self._live_clocks("promise"))

    def _met_by_reply(self, stage: str) -> tuple[str, ...]:
        """The clocks that a reply of this stage ends."""
        return ()

    def _do_extend(self, command: commands.Extend, at: datetime, by: Actor) -> None:
        due = self.policy.local(command.due)
        clock = self.clocks.get(command.clock)
        if clock is None or not clock.rule.extendable:
            allowed = ", ".join(name for name, c in self.clocks.items() if c.rule.extendable) or "none"
            message = f"clock = {command.clock!r} cannot be extended; allowed: {allowed}"
            raise Refused("not_extendable", message, "S4-2.4")
        if clock.state in (ClockState.MET, ClockState.CANCELLED):
            raise Refused("clock_ended", f"clock = {command.clock!r} has ended: {clock.state}", "S4-2.4")
        if due <= at or due <= clock.due_at(at):
            later = max(at, clock.due_at(at)).isoformat()
            raise Refused("not_later", f"due = {due.isoformat()} must be after {later}", "S4-2.4")
        self._within_law("due", due)
        data = {"clock": command.clock, "due": due.isoformat(), "reason": command.reason}
        self._emit(T.EXTENDED, at, data, by=by, clauses=("S4-2.4", "S4-3.1.1.5"))
        if not clock.live:
            # The breach stays on the record; the new target is a clock of its own.
            self._start_clock(command.clock, at, due)

    def _do_resolve(self, command: commands.Resolve, at: datetime, by: Actor) -> None:
        if not self.ladder.acknowledged:
            self._acknowledge(at, by)
        self._resolve(at, by, command.summary)

    def _resolve(self, at: datetime, by: Actor, summary: str | None) -> None:
        self._emit(T.RESOLVED, at, {"summary": summary}, by=by, clauses=("S4-2.4",))
        self._meet(at, *(name for name, clock in self.clocks.items() if clock.live and self._met_by_resolve(name)))

    def _met_by_resolve(self, clock: str) -> bool:
        """Whether the solution ends this clock: all but those that go on without the customer."""
        return clock.partition(":")[0] not in ("report", "approval")

    def _do_follow_up(self, command: commands.FollowUp, at: datetime, by: Actor) -> None:
        if self.status != "resolved":
            raise Refused("not_resolved", "follow_up: the case is not resolved", "S1-4.2")
        data: dict[str, Any] = {"satisfied": command.satisfied}
        if command.text is not None:
            data["text"] = command.text
        self._emit(T.FOLLOWED_UP, at, data, by=by, clauses=("S1-4.2",))
        self._meet(at, "follow_up")

    def _do_reopen(self, command: commands.Reopen, at: datetime, by: Actor) -> None:
        end = self._window_end()
        if end is None:
            raise Refused("not_resolved", "reopen: the case is not resolved")
        if at > end:
            message = f"reopen: the window ended {end.isoformat()}; file a new case that names this one as its parent"
            raise Refused("window_over", message, self.rule.reopen_clause)
        self._emit(T.REOPENED, at, {"reason": command.reason}, by=by, clauses=(self.rule.reopen_clause,))
        self._meet(at, "follow_up")
        self._start_rung_clock(at)
        self._restart_clocks(at)

    def _restart_clocks(self, at: datetime) -> None:
        """Start again the clocks that a reopened case runs on."""

    def _do_withdraw(self, command: commands.Withdraw, at: datetime, by: Actor) -> None:
        data = {} if command.reason is None else {"reason": command.reason}
        self._emit(T.WITHDRAWN, at, data, by=by)
        self._emit(T.CLOSED, at, {"outcome": "withdrawn"}, by=by)

    def _do_close(self, command: commands.Close, at: datetime, by: Actor) -> None:
        if self.status != "resolved":
            raise Refused("not_resolved", "close: resolve the case first")
        owed = self._owed()
        if owed is not None:
            manager = self.ladder.height(by.role) >= 1
            if not (owed.code == "dissatisfied" and manager):
                raise owed
        self._emit(T.CLOSED, at, {"outcome": command.outcome or "resolved"}, by=by)

    def _owed(self) -> Refused | None:
        """What must still be done before the case may close."""
        waiting = self.open_approvals()
        if waiting:
            return Refused("approval_open", f"close: {waiting[0].subject} waits for a decision")
        if self.dissatisfied:
            message = "close: the customer is not satisfied; reopen, or let a higher rung than the lowest close it"
            return Refused("dissatisfied", message, "S4-2.5")
        return None

    # --- time -------------------------------------------------------------------------------------

    def _window_end(self) -> datetime | None:
        """Until when a resolved case may be reopened: the end of a calendar day of the policy."""
        if self.status != "resolved" or self.resolved_at is None:
            return None
        return self.policy.working.end_of_day(self.resolved_at, self.rule.reopen_days)

    def _next_turn(self) -> tuple[datetime, Callable[[datetime], None]] | None:
        turn = super()._next_turn()
        end = self._window_end()
        if end is not None and (turn is None or end < turn[0]) and self._owed() is None:
            # A reopening at the very end is in time, so the case closes a second later; what was
            # owed until after the window closes the case when it is done.
            end = max(end + timedelta(seconds=1), self.events[-1].at)
            if turn is None or end < turn[0]:
                return end, self._close_by_itself
        return turn

    def _breached(self, clock: Clock, at: datetime) -> None:
        # With the matter settled nobody need take the case up: a breach is told, not climbed for.
        if self.status == "open" or clock.name.startswith("approval:"):
            super()._breached(clock, at)

    def _close_by_itself(self, at: datetime) -> None:
        self._emit(T.CLOSED, at, {"outcome": "resolved"}, clauses=(self.rule.reopen_clause,))

    # --- what others see --------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """The case as it stands, as plain JSON without personal data."""
        due = self.due()
        return {
            "id": f"{self.KIND}:{self.key}",
            "key": self.key,
            "kind": self.KIND,
            "number": None,
            "status": self.status,
            "outcome": self.outcome,
            "rung": self.ladder.rung,
            "holder": self.ladder.holder_id or self.ladder.rung,
            "acknowledged": self.ladder.acknowledged,
            "unit": self.facts.get("unit"),
            "severity": self.facts.get("severity"),
            "facts": self.facts,
            "parent": self.parent,
            "policy": self.policy.name,
            "policy_hash": self.policy.hash,
            "opened_at": _iso(self.opened_at),
            "resolved_at": _iso(self.resolved_at),
            "closed_at": _iso(self.closed_at),
            "next_due": _iso(due),
            "breached": self.breached(),
            "clocks": [
                {
                    "clock": clock.name,
                    "state": clock.state.value,
                    "due": clock.due.isoformat(),
                    # The years that nobody has published yet, so that the due instant may still move.
                    "provisional": list(clock.provisional),
                }
                for clock in self.clocks.values()
            ],
            "approvals": [
                {
                    "subject": approval.subject,
                    "amount": None if approval.amount is None else f"{approval.amount:.2f}",
                    "role": approval.role,
                    "requested_by": approval.requested_by,
                    "state": approval.state,
                }
                for approval in self.approvals
            ],
            "events": len(self.events),
        }

    def breached(self) -> list[str]:
        """The names of the clocks that were ever breached, each once, in order of the breach."""
        found = {event.data["clock"]: None for event in self.events if event.type is T.CLOCK_BREACHED}
        return list(found)

    def explain(self, now: datetime) -> list[dict[str, Any]]:
        """Why each clock is due when it is, past instances first."""
        return [clock.explain(self.policy.local(now)) for clock in (*self.past_clocks, *self.clocks.values())]

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, event: Event) -> None:
        data = event.data
        self.key, self.facts, self.parent = data["key"], data["facts"], data.get("parent")
        self.opened_at = event.at
        self.ladder.moved(data["holder_role"])

    def _on_resolved(self, event: Event) -> None:
        self.status, self.resolved_at = "resolved", event.at
        self.ladder.reminding.quiet()

    def _on_followed_up(self, event: Event) -> None:
        self.followed_up += 1
        self.dissatisfied = not event.data["satisfied"]

    def _on_reopened(self, event: Event) -> None:
        self.status, self.resolved_at = "open", None
        self.followed_up, self.dissatisfied = 0, False
        self.ladder.moved(self.ladder.rung)

    def _on_closed(self, event: Event) -> None:
        self.status, self.outcome, self.closed_at = "closed", event.data["outcome"], event.at
        self._end_all(event.at)


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def closed() -> Refused:
    """What every command on a closed case is told."""
    return Refused("closed", "the case is closed; file a new one that names it as its parent", "S1-5.9.8")


def known_commands(*extra: type[Command]) -> dict[str, type[Command]]:
    """The commands of a kind by name: those of every kind and its own."""
    return {model.NAME: model for model in (*EVERY_KIND, *extra)}
