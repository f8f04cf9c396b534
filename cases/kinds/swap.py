"""Shift swap (换班): both agree, the department manager signs, only then the roster changes (S1-1.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Self

from pydantic import model_validator

from cases.case import Case
from cases.directory import Absence, Directory, Shift
from cases.mechanisms.clocks import Clock
from cases.mechanisms.timeline import Errand
from cases.policy.model import Policy
from cases.vocabulary import commands
from cases.vocabulary.events import Actor, Event, EventType
from cases.vocabulary.facts import Facts, Instant, Intake, Model, Staff, Token
from cases.vocabulary.refusals import Refused
from cases.working_calendar import WorkingCalendar

T = EventType

CLAUSE = "S1-1.7"
# The activity that changes the roster.
CHANGE_ROSTER = "change_roster"
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
NOTHING = timedelta(0)
_TAKEN = (commands.Note, commands.Attach, commands.Agree, commands.Sign, commands.Refuse, commands.Resend)


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


class ShiftSwap(Case):
    """One swap. It is valid when the roster has changed, and until then nothing has.

    Its clock is due when the first of the shifts begins; what is not signed by then lapses.
    """

    KIND = "swap"
    WORKFLOW = "ShiftSwap"
    INTAKE = SwapIntake
    COMMANDS: ClassVar[dict[str, type[commands.Command]]] = {model.NAME: model for model in _TAKEN}
    OPENED_BY = (CLAUSE,)
    # Known from the opening on.
    swap: SwapFacts

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.agreed: Event | None = None
        self.signed: Event | None = None
        self.refusal: str | None = None

    @property
    def parties(self) -> dict[str, Staff]:
        """The two, by id."""
        return {one.id: one for one in (self.swap.initiator, self.swap.counterparty)}

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
        check_terms(facts, self.working, received)

    def _start_clocks(self, at: datetime) -> None:
        first = min(shift.starts_at for shift in self.swap.shifts)
        self._start_clock("swap", at, self.policy.local(first))
        other = self.swap.counterparty
        data = {"people": [other.id], "role": other.role, "due": self.clocks["swap"].due.isoformat()}
        self._emit(T.SWAP_ASKED, at, data, clauses=(CLAUSE,))

    def _breached(self, clock: Clock, at: datetime) -> None:
        self._end(at, "lapsed", {"code": "lapsed", "message": "not signed before the shift began"})

    # --- commands ---------------------------------------------------------------------------------

    def _do_agree(self, command: commands.Agree, at: datetime, by: Actor) -> None:
        other = self.swap.counterparty
        if (by.id, by.role) != (other.id, other.role):
            message = f"agree: by.id = {by.id!r} as {by.role}: it is {other.id} as {other.role} who agrees"
            raise Refused("not_party", message, CLAUSE)
        if self.agreed is not None:
            raise Refused("already_agreed", f"agree: {by.id} has agreed", CLAUSE)
        data = {"role": by.role, "due": self.clocks["swap"].due.isoformat()}
        self._emit(T.SWAP_AGREED, at, data, by=by, clauses=(CLAUSE,))

    def _do_sign(self, command: commands.Sign, at: datetime, by: Actor) -> None:
        if by.id in self.parties:
            raise Refused("four_eyes", f"sign: by.id = {by.id!r} swaps the shift; somebody else signs", CLAUSE)
        if self.agreed is None:
            message = f"sign: {self.swap.counterparty.id} has not agreed yet; the signature comes last"
            raise Refused("out_of_order", message, CLAUSE)
        self._not_signed("sign")
        data: dict[str, Any] = {"role": by.role}
        if command.text is not None:
            data["text"] = command.text
        self._emit(T.SIGNED, at, data, by=by, clauses=(CLAUSE,))
        self.outbox.append(Errand(CHANGE_ROSTER, self.swap.model_dump(mode="json", exclude_none=True), self.events[-1]))
        self._meet(at, "swap")

    def _do_refuse(self, command: commands.Refuse, at: datetime, by: Actor) -> None:
        party = self.parties.get(by.id)
        if (party is None or party.role != by.role) and by.role not in self.policy.permitted("sign", self.KIND):
            message = f"refuse: by.id = {by.id!r} as {by.role}: only {' and '.join(self.parties)} or who signs may"
            raise Refused("not_party", message, CLAUSE)
        self._not_signed("refuse")
        self._end(at, "refused", {"reason": command.reason}, by)

    def _not_signed(self, command: str) -> None:
        if self.signed is not None:
            message = f"{command}: {self.signed.actor.id} has signed, and the roster is about to change"
            raise Refused("already_signed", message, CLAUSE)

    def _end(self, at: datetime, outcome: str, why: Mapping[str, str], by: Actor | None = None) -> None:
        """The swap does not come about."""
        data = {"people": list(self.parties), "role": self.swap.initiator.role, **why}
        who = {} if by is None else {"by": by}
        self._emit(T.SWAP_REFUSED, at, data, clauses=(CLAUSE,), **who)
        self._emit(T.CLOSED, at, {"outcome": outcome}, clauses=(CLAUSE,), **who)

    # --- changing the roster ------------------------------------------------------------------------

    def errand_done(self, errand: Errand, result: Mapping[str, Any], at: datetime) -> None:
        """The roster has changed; or the limits, looked at once more, do not allow it any more."""
        at = self._arrival(at)
        if (refused := result.get("refused")) is not None:
            self._end(at, "refused", {"code": refused["code"], "message": refused["message"]})
            return
        data = {"people": list(self.parties), "role": self.swap.initiator.role, "moves": list(result["moves"])}
        self._emit(T.ROSTER_CHANGED, at, data, clauses=(CLAUSE,))
        self._emit(T.CLOSED, at, {"outcome": "valid"}, clauses=(CLAUSE,))

    def rehearsed(self, errand: Errand) -> Mapping[str, Any]:
        """In a rehearsal the roster is as the swap says."""
        return {"moves": moves(self.swap)}

    # --- what others see --------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """The case view, with who has agreed and signed, whose turn it is, and whether the swap is valid."""
        return {
            **super().view(),
            "agreed": self.agreed is not None,
            "signed": None if self.signed is None else {"id": self.signed.actor.id, "role": self.signed.actor.role},
            "valid": self.outcome == "valid",
            "refusal": self.refusal,
            "turn": list(self.turn),
        }

    # --- how events change the state --------------------------------------------------------------

    def _on_case_opened(self, event: Event) -> None:
        super()._on_case_opened(event)
        self.swap = SwapFacts.model_validate(self.facts)

    def _on_swap_agreed(self, event: Event) -> None:
        self.agreed = event

    def _on_signed(self, event: Event) -> None:
        self.signed = event

    def _on_swap_refused(self, event: Event) -> None:
        self.refusal = event.data.get("message") or event.data.get("reason")


# --- the limits -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PastSwap:
    """A swap that was valid: the two people, and the months of the swapped shifts, like ``2026-10``."""

    people: frozenset[str]
    months: frozenset[str]


def moves(swap: SwapFacts) -> list[dict[str, str]]:
    """What changes in the roster: shift, from whom, to whom."""
    one, other = swap.initiator.id, swap.counterparty.id
    changed = [{"shift": swap.given.id, "from": one, "to": other}]
    if swap.returned is not None:
        changed.append({"shift": swap.returned.id, "from": other, "to": one})
    return changed


def months_of(swap: SwapFacts, working: WorkingCalendar) -> list[str]:
    """The calendar months in which a swap counts: those in which its shifts begin, locally."""
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
    limits = policy.rule("swap").limits
    assert limits is not None  # the policy is complete
    for person in (swap.initiator, swap.counterparty):
        known = roster.person(person.id)
        if known is None:
            raise Refused("unknown_person", f"{person.id!r} is nobody of the staff", CLAUSE)
        if known.role != person.role:
            raise Refused("other_role", f"{person.id!r} is {known.role}, not {person.role}", CLAUSE)
    by_id = {shift.id: shift for shift in roster.shifts}
    for move, shift in zip(moves(swap), swap.shifts, strict=True):
        _unchanged(by_id.get(shift.id), shift, move["from"])
    check_terms(swap, policy.working, now)
    past = list(past)
    for person in (swap.initiator, swap.counterparty):
        for month in months_of(swap, policy.working):
            count = sum(person.id in one.people and month in one.months for one in past)
            if count >= limits.per_month:
                message = f"{person.id!r} has {count} swaps in {month}; at most {limits.per_month}"
                raise Refused("swap_limit", message, limits.clause)
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
    """The time between the two; negative where they overlap."""
    return max(one.starts_at - other.ends_at, other.starts_at - one.ends_at)


def _days(shift: SwappedShift, working: WorkingCalendar) -> Iterator[date]:
    """The local days that a shift touches."""
    day = working.local(shift.starts_at).date()
    last = working.local(shift.ends_at - TICK).date()
    while day <= last:
        yield day
        day += DAY
