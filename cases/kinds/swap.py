"""Shift swap (换班): both agree, the department manager signs, only then the roster changes (S1-1.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from cases.case import Case, by_name
from cases.directory import Absence, Directory, Shift
from cases.mechanisms.clocks import Clock
from cases.mechanisms.route import Signed
from cases.policy.model import Policy
from cases.policy.tables import Duration, KindTable
from cases.vocabulary import commands
from cases.vocabulary import lifecycle as life
from cases.vocabulary.commands import Command, Refuse, Sign
from cases.vocabulary.effects import ActivityCall
from cases.vocabulary.events import SYSTEM, Actor, Event, EventData
from cases.vocabulary.facts import Facts, Intake, Staff
from cases.vocabulary.parcels import EarlierClaims
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import Reference, Said
from cases.vocabulary.values import FreeText, Instant, Model, Moment, Token
from cases.vocabulary.views import CaseView, Waiting
from cases.working_calendar import WorkingCalendar

CLAUSE = "S1-1.7"
# The activity that changes the roster.
CHANGE_ROSTER = "change_roster"
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
NOTHING = timedelta(0)


class SwappedShift(Model):
    """A shift as it stood in the roster when the swap was asked for."""

    id: Token
    starts_at: Instant
    ends_at: Instant

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError(f"ends_at = {self.ends_at.isoformat()} is not after starts_at")
        return self


class SwapFacts(Facts):
    """Who asks whom to take which shift, and perhaps which one they take back for it."""

    initiator: Staff
    counterparty: Staff
    given: SwappedShift
    returned: SwappedShift | None = None

    @property
    def shifts(self) -> tuple[SwappedShift, ...]:
        """The shifts that would change hands."""
        return (self.given,) if self.returned is None else (self.given, self.returned)


class SwapIntake(Intake):
    """Input of the workflow ``ShiftSwap``."""

    facts: SwapFacts


class Agree(Command):
    """The other party agrees to the shift swap (S1-1.7)."""

    NAME = "agree"
    SERVES: ClassVar[frozenset[str]] = frozenset({"swap"})


class SwapAsked(EventData):
    """The other party is asked to agree by an instant."""

    TYPE: ClassVar[str] = "swap_asked"
    people: list[str]
    role: str
    due: Moment


class SwapAgreed(EventData):
    """The other party agreed; the signature is waited for until an instant."""

    TYPE: ClassVar[str] = "swap_agreed"
    role: str
    due: Moment


class SwapRefused(EventData):
    """The swap is off: somebody said why, or a rule did (``code`` and ``message``)."""

    TYPE: ClassVar[str] = "swap_refused"
    people: list[str]
    role: str
    reason: FreeText | None = None
    code: str | None = None
    message: FreeText | None = None


class RosterChanged(EventData):
    """The roster has changed: each move is a shift, from whom and to whom."""

    TYPE: ClassVar[str] = "roster_changed"
    people: list[str]
    role: str
    moves: list[dict[str, str]]


class SwapLimits(Model):
    """What a shift swap must keep to (S1-1.7).

    Args:
        per_month: in how many swaps a person may give or take a shift of one calendar month.
        rest: two shifts follow each other when less than this lies between them.
    """

    per_month: Annotated[int, Field(gt=0)]
    rest: Duration
    clause: str


class SwapTable(KindTable):
    """The numbers of shift swaps."""

    CLOCKS = ("swap",)
    GIVEN = frozenset({"swap"})

    limits: SwapLimits


class SwapView(CaseView):
    """A swap: who has agreed and signed, whose turn it is, whether it is valid, and why it was refused."""

    agreed: bool
    signed: dict[str, str] | None
    valid: bool
    refusal: Said
    turn: list[str]


class ShiftSwap(Case):
    """One swap. It is valid when the roster has changed, and until then nothing has.

    Its clock is due when the first of the shifts begins; what is not signed by then lapses.
    """

    KIND = "swap"
    WORKFLOW = "ShiftSwap"
    INTAKE = SwapIntake
    EXAMPLE = {
        "key": "swap-2026-0042",
        "facts": {
            "initiator": {"id": "agent-7", "role": "agent"},
            "counterparty": {"id": "agent-8", "role": "agent"},
            "given": {
                "id": "S-17", "starts_at": "2026-03-11T09:00:00+08:00", "ends_at": "2026-03-11T18:00:00+08:00",
            },
        },
    }  # fmt: skip
    TABLE = SwapTable
    COMMANDS = by_name(commands.Note, commands.Attach, Agree, Sign, Refuse, commands.Resend)
    VIEW = SwapView
    CLIMBS = False
    FILED = False
    # The department manager signs it.
    SEEN_BY = frozenset({"department_manager"})
    ABOUT = ""
    MONEY = {}
    OPENED_BY = (CLAUSE,)

    rule: SwapTable
    # Known from the opening on.
    swap: SwapFacts

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.agreed: Event | None = None
        self.signed: Event | None = None
        self.refusal: Reference | None = None

    @property
    def people(self) -> dict[str, Staff]:
        """The two, by id."""
        return {one.id: one for one in (self.swap.initiator, self.swap.counterparty)}

    @property
    def _begins_at(self) -> datetime:
        """When the first of the shifts begins."""
        return self.policy.local(min(shift.starts_at for shift in self.swap.shifts))

    @property
    def turn(self) -> tuple[str, ...]:
        """The roles of which one is to sign now."""
        if self.status != "open" or self.agreed is None or self.signed is not None:
            return ()
        permitted = self.policy.permitted("sign", self.KIND)
        return tuple(role for role in self.policy.all_roles if role in permitted)

    # --- opening ----------------------------------------------------------------------------------

    def _admit(self, intake: Intake, received: datetime) -> None:
        facts = intake.facts
        assert isinstance(facts, SwapFacts)
        check_terms(facts, self.clocks.working, received)

    def _start_clocks(self, at: datetime) -> None:
        self.clocks.start("swap", at, self._begins_at)
        other = self.swap.counterparty
        data = SwapAsked(people=[other.id], role=other.role, due=self._begins_at)
        self.emit(data, at, clauses=(CLAUSE,))

    def breached(self, clock: Clock, at: datetime) -> None:
        """End the swap: it was not signed in time."""
        self._end(at, "lapsed", code="lapsed", message="not signed before the shift began")

    # --- commands ---------------------------------------------------------------------------------

    def _may_agree(self, by: Actor, at: datetime) -> None:
        other = self.swap.counterparty
        if (by.id, by.role) != (other.id, other.role):
            message = f"agree: by.id = {by.id!r} as {by.role}: it is {other.id} as {other.role} who agrees"
            raise Refused("not_party", message, CLAUSE)
        if self.agreed is not None:
            raise Refused("already_agreed", f"agree: {by.id} has agreed", CLAUSE)

    def _do_agree(self, command: Agree, at: datetime, by: Actor) -> None:
        data = SwapAgreed(role=by.role, due=self._begins_at)
        self.emit(data, at, by=by, clauses=(CLAUSE,))

    def _may_sign(self, by: Actor, at: datetime) -> None:
        if any(by.is_same(Actor(one, "")) for one in self.people):
            raise Refused("four_eyes", f"sign: by.id = {by.id!r} swaps the shift; somebody else signs", CLAUSE)
        if self.agreed is None:
            message = f"sign: {self.swap.counterparty.id} has not agreed yet; the signature comes last"
            raise Refused("out_of_order", message, CLAUSE)
        self._refuse_signed("sign")

    def _do_sign(self, command: Sign, at: datetime, by: Actor) -> None:
        self.emit(Signed(role=by.role, text=command.text), at, by=by, clauses=(CLAUSE,))
        self.clocks.meet(at, "swap")

    def _may_refuse(self, by: Actor, at: datetime) -> None:
        party = self.people.get(by.id)
        if (party is None or party.role != by.role) and by.role not in self.policy.permitted("sign", self.KIND):
            message = f"refuse: by.id = {by.id!r} as {by.role}: only {' and '.join(self.people)} or who signs may"
            raise Refused("not_party", message, CLAUSE)
        self._refuse_signed("refuse")

    def _do_refuse(self, command: Refuse, at: datetime, by: Actor) -> None:
        self._end(at, "refused", by=by, reason=command.reason)

    def _refuse_signed(self, command: str) -> None:
        if self.signed is not None:
            message = f"{command}: {self.signed.actor.id} has signed, and the roster is about to change"
            raise Refused("already_signed", message, CLAUSE)

    def _end(
        self,
        at: datetime,
        outcome: str,
        *,
        by: Actor = SYSTEM,
        reason: str | None = None,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        """End the swap without a change of the roster."""
        people, role = list(self.people), self.swap.initiator.role
        data = SwapRefused(people=people, role=role, reason=reason, code=code, message=message)
        self.emit(data, at, by=by, clauses=(CLAUSE,))
        self.emit(life.Closed(outcome=outcome), at, by=by, clauses=(CLAUSE,))

    # --- changing the roster ------------------------------------------------------------------------

    def activity_done(self, call: ActivityCall, result: Mapping[str, Any], at: datetime) -> None:
        """Take in that the roster has changed; or that the limits, looked at once more, do not allow it any more."""
        at = self.arrive(at)
        if (refused := result.get("refused")) is not None:
            self._end(at, "refused", code=refused["code"], message=refused["message"])
            return
        people, role = list(self.people), self.swap.initiator.role
        self.emit(RosterChanged(people=people, role=role, moves=list(result["moves"])), at, clauses=(CLAUSE,))
        self.emit(life.Closed(outcome="valid"), at, clauses=(CLAUSE,))

    def rehearsed(self, call: ActivityCall, earlier_claims: EarlierClaims, serial: int) -> Mapping[str, Any]:
        """Let the roster be as the swap says."""
        return {"moves": moves(self.swap)}

    # --- what others see --------------------------------------------------------------------------

    @classmethod
    def parties(cls, view: Mapping[str, Any]) -> list[str]:
        """Name who asks and who is asked."""
        return [view["facts"][side]["id"] for side in ("initiator", "counterparty")]

    def waits_for(self) -> list[Waiting]:
        """List who must agree, and then the roles that may sign."""
        if self.agreed is None:
            return [Waiting(what="agreement", clock="swap", person=self.swap.counterparty.id)]
        return [Waiting(what="signature", clock="swap", role=role, except_for=list(self.people)) for role in self.turn]

    def _view(self) -> dict[str, Any]:
        return {
            **super()._view(),
            "agreed": self.agreed is not None,
            "signed": None if self.signed is None else {"id": self.signed.actor.id, "role": self.signed.actor.role},
            "valid": self.outcome == "valid",
            "refusal": self.refusal,
            "turn": list(self.turn),
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, data: life.CaseOpened, event: Event) -> None:
        super()._on_case_opened(data, event)
        self.swap = SwapFacts.model_validate(self.facts)

    def _on_swap_agreed(self, _: SwapAgreed, event: Event) -> None:
        self.agreed = event

    def _on_signed(self, _: Signed, event: Event) -> None:
        self.signed = event
        order = self.swap.model_dump(mode="json", exclude_none=True)
        self.ask(ActivityCall(seq=event.seq, activity=CHANGE_ROSTER, order=order))

    def _on_swap_refused(self, data: SwapRefused, event: Event) -> None:
        self.refusal = Reference(seq=event.seq, field="reason" if data.message is None else "message")
        self.came_out(ActivityCall)

    def _on_roster_changed(self, _: RosterChanged, event: Event) -> None:
        self.came_out(ActivityCall)


# --- the limits -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PastSwap:
    """A swap that was valid: the two people, and the months of the swapped shifts, like ``2026-10``."""

    people: frozenset[str]
    months: frozenset[str]


def moves(swap: SwapFacts) -> list[dict[str, str]]:
    """Return what changes in the roster: shift, from whom, to whom."""
    one, other = swap.initiator.id, swap.counterparty.id
    changed = [{"shift": swap.given.id, "from": one, "to": other}]
    if swap.returned is not None:
        changed.append({"shift": swap.returned.id, "from": other, "to": one})
    return changed


def months_of(swap: SwapFacts, working: WorkingCalendar) -> list[str]:
    """Return the calendar months in which a swap counts: those in which its shifts begin, locally."""
    return sorted({f"{working.local(shift.starts_at):%Y-%m}" for shift in swap.shifts})


def check_terms(swap: SwapFacts, working: WorkingCalendar, now: datetime) -> None:
    """Refuse what no roster would allow: oneself, another role, a past shift, a holiday.

    Raises:
        Refused: codes ``with_oneself``, ``other_role``, ``same_shift``, ``past_shift``, ``holiday``.
    """
    one, other = swap.initiator, swap.counterparty
    if one.id == other.id:
        raise Refused("with_oneself", f"counterparty = {other.id!r}: nobody swaps with oneself", CLAUSE)
    if one.role != other.role:
        message = f"counterparty {other.id!r} is {other.role}, initiator {one.id!r} is {one.role}: one role swaps"
        raise Refused("other_role", message, CLAUSE)
    if swap.returned is not None and swap.returned.id == swap.given.id:
        raise Refused("same_shift", f"returned = {swap.returned.id!r} is the shift that is given", CLAUSE)
    for shift in swap.shifts:
        begins = working.local(shift.starts_at)
        if begins < now:
            raise Refused("past_shift", f"shift {shift.id!r} began {begins.isoformat()}; only a coming one", CLAUSE)
        for day in _days(shift, working):
            if (published := working.years.root.get(day.year)) is not None and day in published.holidays:
                raise Refused("holiday", f"shift {shift.id!r} touches the holiday {day}; no swap on it", CLAUSE)


def check(swap: SwapFacts, policy: Policy, roster: Directory, past: Iterable[PastSwap], now: datetime) -> None:
    """Refuse a swap that breaks a rule of S1-1.7, by the roster as it is now.

    Args:
        past: the valid swaps of the two people.
        now: an aware instant; the shifts must begin after it.

    Raises:
        Refused: with what `check_terms` refuses, codes ``unknown_person``, ``unknown_shift``, ``not_theirs``,
            ``shift_moved``, ``absent``, ``swap_limit``, ``two_in_a_row``.
    """
    for person in (swap.initiator, swap.counterparty):
        _check_person(person, roster)
    by_id = {shift.id: shift for shift in roster.shifts}
    for move, shift in zip(moves(swap), swap.shifts, strict=True):
        _unchanged(by_id.get(shift.id), shift, move["from"])
    check_terms(swap, policy.working, now)
    table = policy.rule(ShiftSwap.KIND)
    assert isinstance(table, SwapTable)
    _check_count(swap, months_of(swap, policy.working), list(past), table.limits)
    _check_rest(swap, roster, by_id, table.limits)


def _check_person(person: Staff, roster: Directory) -> None:
    known = roster.person(person.id)
    if known is None:
        raise Refused("unknown_person", f"{person.id!r} is nobody of the staff", CLAUSE)
    if known.role != person.role:
        raise Refused("other_role", f"{person.id!r} is {known.role}, not {person.role}", CLAUSE)


def _check_count(swap: SwapFacts, months: list[str], past: list[PastSwap], limits: SwapLimits) -> None:
    for person in (swap.initiator, swap.counterparty):
        for month in months:
            count = sum(person.id in one.people and month in one.months for one in past)
            if count >= limits.per_month:
                message = f"{person.id!r} has {count} swaps in {month}; at most {limits.per_month}"
                raise Refused("swap_limit", message, limits.clause)


def _check_rest(swap: SwapFacts, roster: Directory, by_id: Mapping[str, Shift], limits: SwapLimits) -> None:
    """Refuse a shift that its new owner is absent for, or works with too little rest around it."""
    taken = {move["shift"]: move["to"] for move in moves(swap)}
    after = [shift.model_copy(update={"person": taken.get(shift.id, shift.person)}) for shift in roster.shifts]
    for id_, to in taken.items():
        own = by_id[id_]
        if any(away.person == to and _apart(away, own) < NOTHING for away in roster.absences):
            raise Refused("absent", f"{to!r} is absent during shift {id_!r}", CLAUSE)
        for other in after:
            if other.person == to and other.id != id_ and _apart(own, other) < limits.rest:
                message = f"{to!r} would work {id_!r} and {other.id!r} in a row: less than {limits.rest} lies between"
                raise Refused("two_in_a_row", message, limits.clause)


def _unchanged(found: Shift | None, shift: SwappedShift, person: str) -> None:
    if found is None:
        raise Refused("unknown_shift", f"shift {shift.id!r} is not in the roster", CLAUSE)
    if found.person != person:
        raise Refused("not_theirs", f"shift {shift.id!r} is not {person!r}'s", CLAUSE)
    if (found.starts_at, found.ends_at) != (shift.starts_at, shift.ends_at):
        raise Refused("shift_moved", f"shift {shift.id!r} is now from {found.starts_at.isoformat()}; ask anew", CLAUSE)


def _apart(one: Shift | Absence, other: Shift) -> timedelta:
    """Return the time between the two; negative where they overlap."""
    return max(one.starts_at - other.ends_at, other.starts_at - one.ends_at)


def _days(shift: SwappedShift, working: WorkingCalendar) -> Iterator[date]:
    """Return the local days that a shift touches."""
    day = working.local(shift.starts_at).date()
    last = working.local(shift.ends_at - TICK).date()
    while day <= last:
        yield day
        day += DAY
