"""The life of a case of any kind: it is opened, takes commands, lives with time, and ends.

allowed(by, now)      -> what this person may do now
decide(command, now)  -> events, or raises Refused   what a person or system asks
elapse(now)           -> events                      what has fallen due by `now`
evolve(event)         -> None                        the only way state changes
due()                 -> datetime | None             when the case must next be woken
owed()                -> effects                     what was asked for outside and has not come out yet

State, `due` and `owed` follow from the events alone, without the texts that people wrote freely: a case can be
started again from its ledger at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from cases.authority import Authority
from cases.mechanisms.approvals import Approval, Approvals
from cases.mechanisms.clocks import Clock, Clocks
from cases.mechanisms.ladder import Ladder
from cases.mechanisms.notices import Notices
from cases.mechanisms.numbering import NumberTaken
from cases.mechanisms.part import Choices, Handlers, Part, Turn, handler_of
from cases.policy.model import Policy
from cases.policy.tables import KindTable
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import Command
from cases.vocabulary.effects import ActivityCall, Effect, Notice, Opening, Payment
from cases.vocabulary.events import EVENTS, SYSTEM, Actor, Event, EventData, with_references
from cases.vocabulary.facts import Intake
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused
from cases.vocabulary.views import ApprovalView, CaseView, ClockView, Waiting
from cases.working_calendar import anniversary

# How far a caller's clock may run ahead of ours before a receipt counts as an error.
CLOCK_SKEW = timedelta(minutes=5)


# A case holds at most so many events with texts that people wrote, each of at most 4,000 characters; and so many
# events at most. What ends a case or decides money is taken beyond that.
MOST_TEXTS, MOST_EVENTS = 8_000, 20_000
ALWAYS_TAKEN = frozenset(
    {"acknowledge", "approve", "reject", "resolve", "follow_up", "withdraw", "close"}
    | {
        "accept_offer",
        "decline_offer",
        "confirm_payment",
        "name_payee",
        "clear_waybill",
        "prove_date",
        "sign",
        "send_back",
        "receive",
        "issue_voucher",
        "prove",
    }
)

# The clause by which cases are kept.
RETAINED = "O-APP2"
# Among `Case.SEEN_BY`: every role that no kind names.
OTHERS = "*"


def _nothing(_: datetime) -> None:
    return None


class Case(Handlers):
    """A case: the fold of its events. A subclass declares a kind; `cases.registry` checks it.

    Args:
        policy: the numbers this case is pinned to.
    """

    KIND: ClassVar[str]
    INTAKE: ClassVar[type[Intake]]
    COMMANDS: ClassVar[dict[str, type[Command]]]
    VIEW: ClassVar[type[CaseView]] = CaseView
    # The mechanisms that it has, by attribute.
    PARTS: ClassVar[Mapping[str, type[Part]]] = {
        "clocks": Clocks,
        "ladder": Ladder,
        "approvals": Approvals,
        "notices": Notices,
    }
    OPENED_BY: ClassVar[tuple[str, ...]] = ()
    # What may still be asked once the matter is settled.
    AFTER_RESOLVED: ClassVar[frozenset[str]] = frozenset(
        {"note", "attach", "log_contact", "load_calendar", "resend", "reply", "request_approval", "approve", "reject"}
        | {"follow_up", "reopen", "withdraw", "close"}
    )

    clocks: Clocks
    ladder: Ladder
    approvals: Approvals
    notices: Notices

    # What a kind declares of itself; `cases.registry.declare` checks that nothing is missing.
    WORKFLOW: ClassVar[str]
    EXAMPLE: ClassVar[Mapping[str, Any]]
    TABLE: ClassVar[type[KindTable]]
    # Whether somebody takes it up rung by rung, so that notices of it can be acknowledged.
    CLIMBS: ClassVar[bool]
    # Whether people and systems file it; else the system makes it, and it is about no customer.
    FILED: ClassVar[bool]
    # The roles beside the rungs that see it; OTHERS stands for every role that no kind names.
    SEEN_BY: ClassVar[frozenset[str]]
    # The fact that says what it is about in one line of a list.
    ABOUT: ClassVar[str]
    # What of its view is yuan: the name in lists and exports, and where it stands, ``assessment.total``.
    MONEY: ClassVar[Mapping[str, str]]
    # What of it the rules themselves ask an approval for; people may ask for more.
    SUBJECTS: ClassVar[tuple[str, ...]] = ()
    # The steps of its route that have names.
    STEPS: ClassVar[tuple[str, ...]] = ()
    # The commands that wait for `looking`, as filing does.
    LOOKS_FIRST: ClassVar[frozenset[str]] = frozenset()
    # Whether the casebook gives it a number at opening; else it has `Numbering` among its parts and asks for one
    # later (S1-5.9.3).
    NUMBERED_AT_OPENING: ClassVar[bool] = True
    # Whether every policy has a table of it.
    IN_EVERY_POLICY: ClassVar[bool] = False

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.rule: KindTable = policy.rule(self.KIND)
        self.events: list[Event] = []
        # As they were recorded, with a reference in place of each text.
        self.facts: dict[str, Any] = {}
        # What was asked for outside and has not come out, in order; what the present event asks for.
        self.outbox: list[Effect] = []
        self._asked: list[Effect] = []
        # After how many events each step so far was complete: the ledger never ends inside one.
        self.steps: list[int] = []
        self.key = ""
        # Where the events say it; else the casebook alone knows it.
        self.number: str | None = None
        self.status = "open"
        self.parent: str | None = None
        # The cases that it filed, by id, but those that were refused.
        self.filed: list[str] = []
        self.outcome: str | None = None
        self.opened_at: datetime | None = None
        self.resolved_at: datetime | None = None
        self.closed_at: datetime | None = None
        self.erased_at: datetime | None = None
        self.followed_up = 0
        self.dissatisfied = False
        self._texts = 0
        self._recorded_at: datetime | None = None
        for name, part in self.PARTS.items():
            setattr(self, name, part(self))
        self.parts: tuple[Part, ...] = tuple(getattr(self, name) for name in self.PARTS)
        # Who handles events, commands and time, mechanisms first.
        self._owners: tuple[Handlers, ...] = (*self.parts, self)

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
        begun = case._begins(intake, received)
        data = life.CaseOpened(
            kind=cls.KIND,
            key=intake.key,
            policy=policy.name,
            policy_hash=policy.hash,
            holder_role=case.ladder.rung,
            facts=intake.open_facts(),
            parent=intake.parent,
            reported_at=received if begun < received else None,
            written=intake.written() or None,
        )
        case.emit(data, begun, by=intake.filer(), clauses=case.OPENED_BY)
        case._start_early_clocks(begun)
        case.elapse(received, inclusive=False)
        if case.ladder.height(start) > 0:
            case.ladder.climb(start, "severity", received, clauses=(policy.severity.clause,))
        else:
            case.ladder.start_clock(received)
        case._start_clocks(received)
        # Opening is one step, also where time ran on within it.
        case.steps = [len(case.events)]
        return case

    @classmethod
    def replay(cls, policy: Policy, events: Iterable[Event]) -> Self:
        """Return the case that these events made."""
        case = cls(policy)
        case.follow(events)
        case.end_step()
        return case

    def follow(self, events: Iterable[Event]) -> None:
        """Apply recorded events; those of one instant that were recorded at one instant are one step."""
        for event in events:
            last = self.events[-1] if self.events else None
            if last is not None and (last.at, last.recorded_at) != (event.at, event.recorded_at):
                self.end_step()
            self.evolve(event)

    def fact(self, name: str) -> Any:
        """Return what the case knows under a name, as JSON: what a clock falls due by; None where it does not."""
        return self.facts.get(name)

    def _admit(self, intake: Intake, received: datetime) -> None:
        """Refuse facts that do not make a case of this kind."""

    def _start_clocks(self, at: datetime) -> None:
        """Start the clocks that run from receipt."""

    def _begins(self, intake: Intake, received: datetime) -> datetime:
        """Return from when the clocks of the matter itself run; the receipt, unless a kind says otherwise."""
        return received

    def _start_early_clocks(self, at: datetime) -> None:
        """Start the clocks that run from when the matter began, before the receipt."""

    # --- what may be done -------------------------------------------------------------------------

    def allowed(self, by: Actor, now: datetime) -> dict[str, Refused | None]:
        """Say of each command whether this person may give it now: None, or why not.

        A command is allowed when there are complete, valid fields with which `decide` takes it. The
        case is asked as it stands: let time run on with `elapse` first.

        Args:
            now: an aware instant, not before the last event.
        """
        now = self.policy.local(now)
        return {name: self._refusal(name, by, now) for name in self.COMMANDS}

    def choices(self, name: str, by: Actor, now: datetime) -> dict[str, list[str]]:
        """List the values that the fields of a command may take now, where the case knows them."""
        handler = handler_of(self._owners, "_choices_", name)
        found: Choices = {} if handler is None else handler(by, self.policy.local(now))
        return {field: list(values) for field, values in found.items()}

    def _refusal(self, name: str, by: Actor, now: datetime) -> Refused | None:
        try:
            self._refuse_untimely(now)
            self._refuse_role(name, by)
            self._refuse_resolved(name)
            self._refuse_full(name)
            self._guard(name, by, now)
        except Refused as refusal:
            return refusal
        return None

    def _guard(self, name: str, by: Actor, now: datetime) -> None:
        """Refuse a command for the state of the case, or who gives it, as the rule says that forbids it."""
        guard = handler_of(self._owners, "_may_", name)
        if guard is not None:
            guard(by, now)

    def _refuse_untimely(self, now: datetime) -> None:
        if self.events and now < self.events[-1].at:
            raise Refused("too_early", f"at = {now.isoformat()} lies before what has already happened")
        if self.status == "closed":
            raise closed()

    def _refuse_resolved(self, name: str) -> None:
        if self.status == "resolved" and name not in self.AFTER_RESOLVED:
            code = "already_resolved" if name == "resolve" else "resolved"
            first = "; reopen it first" if "reopen" in self.COMMANDS else ""
            raise Refused(code, f"{name}: the case is resolved{first}")

    def _refuse_full(self, name: str) -> None:
        if name not in ALWAYS_TAKEN and (self._texts >= MOST_TEXTS or len(self.events) >= MOST_EVENTS):
            limits = f"at most {MOST_EVENTS} events, {MOST_TEXTS} of them with texts"
            raise Refused("full", f"{name}: a case holds {limits}: file a new case that names this one as its parent")

    def _refuse_role(self, name: str, by: Actor) -> None:
        if by.role not in self.policy.all_roles:
            allowed = ", ".join(self.policy.all_roles)
            raise Refused("unknown_role", f"by.role = {by.role!r} is not a role; allowed: {allowed}")
        permitted = self.permitted(name)
        if by.role not in permitted:
            allowed = ", ".join(role for role in self.policy.all_roles if role in permitted) or "nobody"
            raise Refused("role", f"by.role = {by.role!r} may not {name}; allowed: {allowed}")

    def permitted(self, name: str) -> frozenset[str]:
        """Return the roles that may send a command to this case."""
        return self.policy.permitted(name, self.KIND)

    # --- commands ---------------------------------------------------------------------------------

    def decide(self, command: Command, now: datetime, after_each: Callable[[datetime], None] = _nothing) -> list[Event]:
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
        self.elapse(now, inclusive=False, after_each=after_each)
        self._recorded_at = now
        by, name = command.by.actor(), command.NAME
        self._refuse_untimely(now)
        self._refuse_role(name, by)
        self._refuse_resolved(name)
        self._refuse_full(name)
        check = handler_of(self._owners, "_check_", name)
        if check is not None:
            check(command, now, by)
        try:
            self._guard(name, by, now)
        except Refused:
            violated = handler_of(self._owners, "_refused_", name)
            if violated is not None:
                violated(command, now, by)
            raise
        act = handler_of(self._owners, "_do_", name)
        assert act is not None  # checked when the kind is declared
        act(command, now, by)
        return self.events[seen:]

    def refused(self, name: str, by: Actor, refusal: Refused, now: datetime) -> None:
        """Record a refused signal, so that nothing that was sent is dropped."""
        at = self.arrive(now)
        data = life.CommandRefused(command=name, code=refusal.code)
        self.emit(data, at, by=by, clauses=(refusal.clause,) if refusal.clause else ())

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

    @classmethod
    def copied_to(cls, view: Mapping[str, Any]) -> list[str]:
        """Name the cases that were given what this one holds of persons, by id; they are erased with it."""
        return list(view.get("filed", ()))

    # --- other cases ------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id of the case, ``{kind}:{key}``."""
        return f"{self.KIND}:{self.key}"

    def file_case(self, case_id: str, at: datetime, by: Actor = SYSTEM, clauses: tuple[str, ...] = ()) -> None:
        """File another case, of a kind with code or a form, with this one as its parent; `opening_done` says what came.

        It is filed by who acts, under the policy of this one, and gets the customer of this one. A kind that does so
        says `filed_facts`, and shows `filed` in its view so that they are erased together.
        """
        self.emit(life.CaseFiled(case=case_id), at, by=by, clauses=clauses)

    def filed_facts(self, case_id: str, event: Event) -> dict[str, Any]:
        """Return the facts of a case that is filed by this event, as plain JSON, without what people wrote freely.

        They follow from the events alone, so that the opening can be asked for again, and be proven.
        """
        raise NotImplementedError

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
        due = self.policy.local(command.reply_by)
        if due <= at:
            raise Refused("past", f"reply_by = {due.isoformat()} is not after {at.isoformat()}", "S1-4.1")
        if self.clocks.runs("legal_limit"):
            # Once the limit is breached the customer still hears when the next word comes (S1-4.1).
            self.within_law("reply_by", due)

    def _do_promise(self, command: commands.Promise, at: datetime, by: Actor) -> None:
        due = self.policy.local(command.reply_by)
        self.emit(life.Promised(reply_by=due), at, by=by, clauses=("S1-4.1",))
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

    def _do_reply(self, command: commands.Reply, at: datetime, by: Actor) -> None:
        self.emit(life.Replied(stage=command.stage, text=command.text), at, by=by, clauses=("S0-2.3.5",))
        self.clocks.meet(at, *self._met_by_reply(command.stage), *self.clocks.live("promise"))

    def _met_by_reply(self, stage: str) -> tuple[str, ...]:
        """Name the clocks that a reply of this stage ends."""
        return ()

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

    def _do_withdraw(self, command: commands.Withdraw, at: datetime, by: Actor) -> None:
        self.emit(life.Withdrawn(reason=command.reason), at, by=by)
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
        waiting = self.approvals.open()
        if waiting:
            return Refused("approval_open", f"close: {waiting[0].subject} waits for a decision")
        if self.dissatisfied:
            message = "close: the customer is not satisfied; reopen, or let a higher rung than the lowest close it"
            return Refused("dissatisfied", message, "S4-2.5")
        return None

    # --- what a part asks of its case -------------------------------------------------------------

    def lowest_for(self, subject: str, amount: Decimal, by: Actor) -> str:
        """Return the lowest rung that may decide a subject of this amount for an actor; kinds may ask for more."""
        return self.authority.lowest_for(amount)

    @property
    def authority(self) -> Authority:
        """Who may decide how much in this kind of case."""
        return self.policy.authority_for(self.KIND)

    def second_person(self, subject: str, amount: Decimal, by: Actor) -> tuple[str, ...] | None:
        """Say whether somebody else decides, whatever authority this actor has: the roles that may beside the rungs.

        None where whoever has the authority decides alone, unless a kind says otherwise.
        """
        return None

    def objection(self, approval: Approval, by: Actor) -> Refused | None:
        """Say why this actor may not approve what is asked, beside their authority; None unless a kind says so."""
        return None

    def after_approved(self, approval: Approval, at: datetime, by: Actor) -> None:
        """Do what waited for this approval."""

    def after_rejected(self, approval: Approval, reason: str, at: datetime, by: Actor) -> None:
        """Do what follows from a no to what would have happened by itself."""

    def after_refused(self, step: str, reason: str, at: datetime, by: Actor) -> None:
        """Do what follows from a step of a route that was refused for good."""

    def unsafe_payment(self, command: str) -> Refused | None:
        """Say what must be looked at before money goes out by hand; None unless a kind says so."""
        return None

    def parcel(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the waybill that is paid for once, and the other cases about it that may be paid all the same."""
        return None, ()

    def after_paid(self, at: datetime, by: Actor) -> None:
        """Do what follows from money that has gone out."""

    def after_signed(self, at: datetime, by: Actor) -> None:
        """Do what follows from the last signature of a route."""

    # --- time -------------------------------------------------------------------------------------

    def due(self) -> datetime | None:
        """Return the next instant at which time alone changes the case; None when nothing is due."""
        turn = self._next_turn()
        return turn[0] if turn else None

    def elapse(
        self, now: datetime, *, inclusive: bool = True, after_each: Callable[[datetime], None] = _nothing
    ) -> list[Event]:
        """Let time pass: everything due by ``now`` happens, in order, each at its own instant.

        Args:
            now: an aware instant.
            inclusive: whether what is due at ``now`` itself has fallen due. Before a command it
                has not: an act at the very limit is in time.
            after_each: called with each instant after what fell due then has happened.
        """
        seen = len(self.events)
        recorded_at = self.policy.local(now)
        self.end_step()
        while (turn := self._next_turn()) is not None:
            # A clock may start past its due instant; what it brings about happens then, not before.
            instant = max(turn[0], self.events[-1].at)
            if instant > now or (instant == now and not inclusive):
                break
            self._recorded_at = recorded_at
            while turn is not None and turn[0] <= instant:
                turn[1](instant)
                turn = self._next_turn()
            after_each(instant)
            self.end_step()
        return self.events[seen:]

    def end_step(self) -> None:
        """Note that what happened so far is complete. All that happens begins with `elapse`, which does so."""
        if self.events and self.steps[-1:] != [len(self.events)]:
            self.steps.append(len(self.events))

    def _next_turn(self) -> Turn | None:
        """Return the earliest thing that time will do; of several at one instant the first in order."""
        first: Turn | None = None
        for owner in self._owners:
            for turn in owner.turns():
                if first is None or turn[0] < first[0]:
                    first = turn
        return first

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

    def breached(self, clock: Clock, at: datetime) -> None:
        """Do what a breach brings about: what its part says, else climb to where the policy says."""
        # With the matter settled nobody need take the case up: a breach is told, not climbed for.
        if self.status != "open" and clock.base != "approval":
            return
        if not any(part.breached(clock, at) for part in self.parts):
            self.climb_for(clock, at)

    def climb_for(self, clock: Clock, at: datetime) -> None:
        """Climb to the rung that the policy names for a breach of this clock, if it names one."""
        if clock.rule.escalates_to is not None:
            self.ladder.climb(clock.rule.escalates_to, "deadline", at, clauses=(clock.rule.clause,))

    # --- events and effects -----------------------------------------------------------------------

    def evolve(self, event: Event) -> None:
        """Apply one event: the only way state changes."""
        self._evolve(event, EVENTS[event.type].read(event.data))

    def _evolve(self, event: Event, data: EventData) -> None:
        self.events.append(event)
        self._texts += bool(data.texts(event.data))
        for owner in self._owners:
            handler = owner.EVOLVE.get(event.type)
            if handler is not None:
                handler(owner, data, event)
        # Whoever must be told hears of it before anything else is done.
        self.outbox += [*self.notices.of(event), *self._asked]
        self._asked = []

    def emit(self, data: EventData, at: datetime, *, by: Actor = SYSTEM, clauses: tuple[str, ...] = ()) -> Event:
        """Let something happen."""
        seq, recorded_at = len(self.events) + 1, self._recorded_at or at
        event = Event(seq, data.TYPE, at, recorded_at, by, clauses, data.as_data())
        self._evolve(event, data)
        return event

    def owed(self) -> tuple[Effect, ...]:
        """Return what was asked for outside and has not come out yet, in order."""
        return tuple(self.outbox)

    def ask(self, effect: Effect) -> None:
        """Have something done outside; for handlers of events, since what is owed follows from them."""
        self._asked.append(effect)

    def came_out(
        self, kind: type[Effect], seq: int | None = None, name: str | None = None, no: int | None = None
    ) -> None:
        """Take off what is owed: the first effect of a kind, of the event ``seq`` and the ``name`` if they are given.

        Args:
            name: of the notice or the activity.
            no: which of the copies that go out one by one.
        """
        for place, effect in enumerate(self.outbox):
            named = effect.name if isinstance(effect, Notice) else getattr(effect, "activity", None)
            which = effect.no if isinstance(effect, Notice) else None
            if isinstance(effect, kind) and seq in (None, effect.seq) and name in (None, named) and no == which:
                del self.outbox[place]
                return

    def event(self, seq: int) -> Event:
        """Return the event of this number."""
        return self.events[seq - 1]

    def arrive(self, now: datetime) -> datetime:
        """Let word from outside arrive: after all that fell due before, like a command. Returns when."""
        self.elapse(now, inclusive=False)
        self._recorded_at = now = self.policy.local(now)
        return max(now, self.events[-1].at)

    def payout_made(self, reference: str, at: datetime, by: Actor = SYSTEM) -> None:
        """Take in that money which the case asked for has gone out."""

    def payout_failed(self, reason: str, at: datetime, *, unknown: bool = False) -> None:
        """Take in that money which the case asked for could not be sent, or that nobody knows whether it was."""

    def payout_waits(self, at: datetime) -> None:
        """Take in that money which the case asked for waits for finance to send it by hand."""

    def opening_done(self, opening: Opening, outcome: str, at: datetime) -> None:
        """Take in what came of the opening of another case: ``opened``, ``same`` or the code of its refusal."""
        at = self.arrive(at)
        failed = outcome not in ("opened", "same") or None
        self.emit(life.OpeningDone(of=opening.seq, case=opening.case_id, outcome=outcome, failed=failed), at)

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in what came of an activity: that of a part; a kind takes in its own before."""
        self._part_of(call).activity_done(call, result, at)

    def _part_of(self, call: ActivityCall) -> Part:
        return next(part for part in self.parts if call.activity in part.ACTIVITIES)

    def number_taken(self, at: datetime) -> None:
        """Take in that another case has the number of this one, since an older casebook was restored."""
        at = self.arrive(at)
        self.emit(NumberTaken(number=self.number or ""), at)

    def looking(self) -> bool:
        """Whether something was asked for that whoever files, or sends one of `LOOKS_FIRST`, waits for a moment."""
        return False

    def payout_blocked(self, found: Mapping[str, Any], at: datetime) -> None:
        """Take in that nothing was paid, since something else stands against it that the casebook found."""

    def rehearsed(self, call: ActivityCall, earlier_claims: EarlierClaims, serial: int) -> Mapping[str, Any]:
        """Return what comes of an activity in a rehearsal: that of a part; a kind says what comes of its own."""
        return self._part_of(call).rehearsed(call, serial)

    def rehearse_effects(
        self,
        at: datetime,
        notices: str = "ok",
        payout: str = "ok",
        earlier_claims: EarlierClaims = (),
        serial: int = 1,
    ) -> None:
        """Let effects come out at once, as they do in a rehearsal: every one succeeds, or every one fails.

        Args:
            at: the instant at which they were asked for.
            notices: ``ok`` or ``fail``.
            payout: ``ok``, ``fail`` or ``manual`` (it waits for ``confirm_payment``).
            earlier_claims: what the casebook knows of the parcel of a claim.
            serial: the one that a counter of case numbers gives out.
        """
        # What comes of an effect may ask for another one.
        while self.outbox:
            effect = self.outbox[0]
            match effect:
                case Notice() as notice:
                    ok = notices == "ok"
                    self.notices.came_out(notice, "sent" if ok else "failed", "email" if ok else "", at, {})
                case Payment(seq=seq):
                    if payout == "ok":
                        self.payout_made(f"rehearsal-{seq}", at)
                    elif payout == "fail":
                        self.payout_failed("rehearsal", at)
                    else:
                        self.payout_waits(at)
                case ActivityCall() as call:
                    self.activity_done(call, self.rehearsed(call, earlier_claims, serial), at)
                case Opening() as opening:
                    self.opening_done(opening, "opened", at)
            assert all(one is not effect for one in self.outbox), f"nothing came of {effect}"

    # --- what others see --------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """Return the case as it stands, as plain JSON without personal data."""
        return self.VIEW(**self._view()).model_dump(mode="json", by_alias=True)

    def _view(self) -> dict[str, Any]:
        """Return the fields of the view; a kind adds its own."""
        ladder, due = self.ladder, self.due()
        return {
            "id": self.id,
            "key": self.key,
            "kind": self.KIND,
            "number": self.number,
            "status": self.status,
            "outcome": self.outcome,
            "rung": ladder.rung,
            "holder": ladder.holder,
            "acknowledged": ladder.acknowledged,
            "unit": self.facts.get("unit"),
            "severity": self.facts.get("severity"),
            "facts": self.facts,
            "parent": self.parent,
            "policy": self.policy.name,
            "policy_hash": self.policy.hash,
            "opened_at": iso(self.opened_at),
            "resolved_at": iso(self.resolved_at),
            "closed_at": iso(self.closed_at),
            "next_due": iso(due),
            "breached": self.breached_clocks(),
            "clocks": [
                ClockView(
                    clock=clock.name,
                    state=clock.state.value,
                    due=clock.due.isoformat(),
                    provisional=list(clock.provisional),
                )
                for clock in self.clocks.values()
            ],
            "approvals": [
                ApprovalView(
                    subject=one.subject,
                    amount=one.amount,
                    role=one.role,
                    requested_by=one.asked_by.id,
                    also=list(one.also),
                    state=one.state,
                )
                for one in self.approvals
            ],
            "waits_for": self.waits_for() if self.status == "open" else [],
            "keep_until": None if self.keep_until is None else self.keep_until.isoformat(),
            "erased_at": iso(self.erased_at),
            "events": len(self.events),
        }

    @classmethod
    def money(cls, view: Mapping[str, Any]) -> dict[str, str | None]:
        """Return the amounts of a view in yuan, by the name in lists and exports."""
        found: dict[str, str | None] = {}
        for name, path in cls.MONEY.items():
            value: Any = view
            for part in path.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            found[name] = value
        return found

    @classmethod
    def parties(cls, view: Mapping[str, Any]) -> list[str]:
        """Name the people whom a case of this kind is between, by id; they see it wherever they are."""
        return []

    def waits_for(self) -> list[Waiting]:
        """List who must act for the case to go on, beside its holder and those who approve."""
        return []

    def breached_clocks(self) -> list[str]:
        """Name the clocks that were ever breached, each once, in order of the breach."""
        return list({event.data["clock"]: None for event in self.events if event.type == "clock_breached"})

    def explain(self, now: datetime) -> list[dict[str, Any]]:
        """Tell why each clock is due when it is, past instances first."""
        return self.clocks.explain(self.policy.local(now))

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, data: life.CaseOpened, event: Event) -> None:
        self.key, self.facts, self.parent = data.key, with_references(event)["facts"], data.parent
        self.opened_at = event.at

    def _on_case_filed(self, data: life.CaseFiled, event: Event) -> None:
        kind, _, key = data.case.partition(":")
        intake: dict[str, Any] = {
            "key": key,
            "received_at": event.at.isoformat(),
            "policy": self.policy.name,
            "parent": self.id,
            **({} if event.actor == SYSTEM else {"by": event.actor.as_json()}),
            "facts": self.filed_facts(data.case, event),
        }
        self.filed.append(data.case)
        self.ask(Opening(seq=event.seq, kind=kind, intake=intake))

    def _on_opening_done(self, data: life.OpeningDone, event: Event) -> None:
        self.came_out(Opening, data.of)
        if data.case in self.filed and data.outcome not in ("opened", "same"):
            self.filed.remove(data.case)

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


def by_name(*models: type[Command]) -> dict[str, type[Command]]:
    """Return commands by name, in this order."""
    return {model.NAME: model for model in models}


def iso(instant: datetime | None) -> str | None:
    """Return an instant as RFC 3339 text."""
    return None if instant is None else instant.isoformat()


def closed() -> Refused:
    """Return what every command on a closed case is answered."""
    return Refused("closed", "the case is closed; file a new one that names it as its parent", "S1-5.9.8")
