"""A case of any kind: how it is opened, what may be done to it, and what others see of it.

allowed(by, now)      -> what this person may do now
decide(command, now)  -> events, or raises Refused   what a person or system asks

What it is made of, and what time does to it, is `cases.fold`; what people do to every kind, `cases.every_kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from cases.authority import Authority
from cases.every_kind import EveryKind
from cases.fold import nothing
from cases.mechanisms.approvals import Approval, Approvals
from cases.mechanisms.clocks import Clock, Clocks
from cases.mechanisms.ladder import Ladder
from cases.mechanisms.links import Links
from cases.mechanisms.merging import Merging
from cases.mechanisms.notices import Notices
from cases.mechanisms.numbering import NumberTaken
from cases.mechanisms.part import Choices, Handlers, Part, handler_of
from cases.mechanisms.replies import Replies
from cases.policy.model import Policy
from cases.policy.tables import KindTable
from cases.vocabulary import commands, effects
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import COMMANDS, Command
from cases.vocabulary.effects import ActivityCall, Notice, Opening, Payment
from cases.vocabulary.events import SYSTEM, Actor, Event, with_references
from cases.vocabulary.facts import Intake
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused
from cases.vocabulary.views import ApprovalView, CaseView, ClockView, Waiting

# How far a caller's clock may run ahead of ours before a receipt counts as an error.
CLOCK_SKEW = timedelta(minutes=5)


# A case holds at most so many events with texts that people wrote, each of at most 4,000 characters; and so many
# events at most. What ends a case or decides money is taken beyond that.
MOST_TEXTS, MOST_EVENTS = 8_000, 20_000
ALWAYS_TAKEN = frozenset(
    {"acknowledge", "approve", "reject", "resolve", "follow_up", "withdraw", "close", "merge"}
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

# Among `Case.SEEN_BY`: every role that no kind names.
OTHERS = "*"


class Case(EveryKind):
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
        "links": Links,
        "merging": Merging,
        "replies": Replies,
    }
    OPENED_BY: ClassVar[tuple[str, ...]] = ()
    # What may still be asked once the matter is settled.
    AFTER_RESOLVED: ClassVar[frozenset[str]] = frozenset(
        {"note", "attach", "log_contact", "load_calendar", "resend", "reply", "request_approval", "approve", "reject"}
        | {"follow_up", "reopen", "withdraw", "close", "link", "unlink", "merge"}
        | {"customer_wrote", "reply_bounced"}
    )

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
        super().__init__(policy)
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

    def needed(self, name: str, by: Actor) -> frozenset[str]:
        """Name the fields of a command that this person has to give beside those that everybody has."""
        handler = handler_of(self._owners, "_needed_", name)
        return frozenset() if handler is None else frozenset(handler(by))

    @classmethod
    def refuse_known(cls, name: str, own: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        """Refuse a command that names another case for what is known of the two: for doors, which know both.

        Args:
            own: the view of this case; ``other`` that of the case that is named.

        Raises:
            Refused: what the other case would say later.
        """
        handler = handler_of((cls, *cls.PARTS.values()), "_known_", name)
        if handler is not None:
            handler(own, other)

    @classmethod
    def offered_commands(cls) -> dict[str, type[Command]]:
        """Return the commands that doors take: all but what only the program itself sends."""
        return {name: model for name, model in cls.COMMANDS.items() if not model.INTERNAL}

    def _refusal(self, name: str, by: Actor, now: datetime) -> Refused | None:
        try:
            self._refuse_untimely(now)
            self._refuse_role(name, by)
            self._refuse_resolved(name)
            self._refuse_full(name)
            self._refuse_merging(name)
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

    def _refuse_merging(self, name: str) -> None:
        if (refusal := self.merging.refusal(name)) is not None:
            raise refusal

    def _refuse_role(self, name: str, by: Actor) -> None:
        if by.role not in self.policy.all_roles:
            allowed = ", ".join(self.policy.all_roles)
            raise Refused("unknown_role", f"by.role = {by.role!r} is not a role; allowed: {allowed}")
        permitted = self.permitted(name)
        if by.role not in permitted:
            allowed = ", ".join(role for role in self.policy.all_roles if role in permitted) or "nobody"
            raise Refused("role", f"by.role = {by.role!r} may not {name}; allowed: {allowed}")
        if COMMANDS[name].INTERNAL and by != SYSTEM:
            raise Refused("role", f"by.id = {by.id!r}: only {SYSTEM.id} itself sends {name}")

    def refuse_promise(self, due: datetime, at: datetime, by: Actor) -> None:
        """Refuse a promise that is made with another command, for what `promise` itself is refused for.

        Raises:
            Refused: with the code of that.
        """
        name = commands.Promise.NAME
        self._refuse_role(name, by)
        self._refuse_resolved(name)
        self._timely_promise(due, at)
        self._guard(name, by, at)

    def permitted(self, name: str) -> frozenset[str]:
        """Return the roles that may send a command to this case."""
        if COMMANDS[name].INTERNAL:
            return frozenset({SYSTEM.role})
        return self.policy.permitted(name, self.KIND)

    # --- commands ---------------------------------------------------------------------------------

    def decide(self, command: Command, now: datetime, after_each: Callable[[datetime], None] = nothing) -> list[Event]:
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
        self._refuse_merging(name)
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

        They follow from the events alone, so that the opening can be asked for again, and be proven. Whoever calls
        `file_case` overrides this; no other kind is asked.
        """
        raise NotImplementedError

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
        merge: str = "ok",
        reply: str = "ok",
    ) -> None:
        """Let effects come out at once, as they do in a rehearsal: every one succeeds, or every one fails.

        Args:
            at: the instant at which they were asked for.
            notices: ``ok`` or ``fail``.
            payout: ``ok``, ``fail`` or ``manual`` (it waits for ``confirm_payment``).
            earlier_claims: what the casebook knows of the parcel of a claim.
            serial: the one that a counter of case numbers gives out.
            merge: ``ok`` or ``fail``: whether another case takes this one over.
            reply: what becomes of replies that are sent: ``ok`` or ``fail``.
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
                case ActivityCall(activity=effects.MERGE_CASE) as call:
                    # As if the other one had closed meanwhile.
                    self.activity_done(call, {} if merge == "ok" else {"refused": closed().code}, at)
                case ActivityCall(activity=effects.SEND_REPLY) as call:
                    self.replies.came_out(call, reply, at)
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
            "received_at": iso(self.received_at),
            "links": self.links.cases,
            "duplicates": self.merging.taken,
            "merging": self.merging.asked,
            "merged_into": self.merging.into,
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
        self.received_at = event.at if data.reported_at is None else self.policy.local(data.reported_at)

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


def by_name(*models: type[Command]) -> dict[str, type[Command]]:
    """Return commands by name, in this order."""
    return {model.NAME: model for model in models}


def iso(instant: datetime | None) -> str | None:
    """Return an instant as RFC 3339 text."""
    return None if instant is None else instant.isoformat()


def closed() -> Refused:
    """Return what every command on a closed case is answered."""
    return Refused("closed", "the case is closed; file a new one that names it as its parent", "S1-5.9.8")
