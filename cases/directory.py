"""Who holds a rung: staff with unit, deputies and absences, and the duty roster (S4-3.2.2).

`Directory.who` is one question with one answer, which says why. Of the people that have the role,
it looks in this order, in the unit of the case, then in its parent, and so on up to headquarters:

1. who is on duty; for one who is absent, a deputy on duty;
2. if there is nobody: a deputy on duty of one who is off duty;
3. if there is nobody: who is off duty, and deputies who are off duty.

Several on duty: who has a shift comes before who has no roster, then whose shift began first, then
by id. Off duty: whose next shift begins first, then by id. Deputies in the order in which they are
named, and theirs after them, so that a chain of deputies holds; circles are walked once. A deputy
may have another role. Nobody who is absent is ever answered.

A person without any shift in the roster works without a roster: always on duty unless absent. Who
has a shift anywhere in it is on duty within shifts only. Shifts and absences are half-open: who
relieves at 20:00 is on duty at 20:00, who is relieved is not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, pairwise
from typing import Literal, NamedTuple, TypeVar

from pydantic import Field, field_validator

from cases.vocabulary.addresses import CHANNELS, FORMS, Channel
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Instant, Model, Role, Text, Token

__all__ = [
    "CHANNELS",
    "OUTSIDE",
    "Absence",
    "Answer",
    "BadDirectory",
    "Channel",
    "Directory",
    "Language",
    "Person",
    "Problem",
    "Shift",
    "Unit",
    "Why",
    "problems",
]

Language = Literal["zh", "en"]
Why = Literal["on_duty", "deputy", "parent_unit", "off_duty", "nobody"]
# Roles of who is none of the staff: systems have them, by a key.
OUTSIDE = frozenset({"customer", "platform", "system"})
# An explanation names so many people one by one, an error so many allowed values.
_NAMED = 5


class Unit(Model):
    """A branch, with a name for people to read; the one without a parent is headquarters."""

    id: Token
    name: Text | None = None
    parent: Token | None = None


class Person(Model):
    """One of the staff. The name and the addresses are personal data, the id is not.

    Args:
        deputies: who acts when this person cannot, the first one first.
        contacts: address by channel, the preferred channel first.
        person: where somebody has several accounts, what they have in common: the id of one of them, or another token.
    """

    id: Token
    name: Text | None = Field(None, repr=False)
    role: Role
    unit: Token
    language: Language = "zh"
    deputies: tuple[Token, ...] = ()
    contacts: dict[Channel, str] = Field(default_factory=dict, repr=False)
    person: Token | None = None

    @field_validator("contacts")
    @classmethod
    def _forms(cls, value: dict[Channel, str]) -> dict[Channel, str]:
        wrong = []
        for channel, address in value.items():
            try:
                FORMS[channel](address)
            except ValueError as error:
                wrong.append(f"{channel}: {error}")
        if wrong:
            raise ValueError(", ".join(wrong))
        return value


class Absence(Model):
    """A person is away in [starts_at, ends_at).

    Args:
        case_id: the case that asked for it, by its event ``seq``; None where a file of staff has it.
    """

    person: Token
    starts_at: Instant
    ends_at: Instant
    case_id: str | None = None
    seq: int | None = None


class Shift(Model):
    """A person is on duty in [starts_at, ends_at)."""

    id: Token
    person: Token
    starts_at: Instant
    ends_at: Instant


@dataclass(frozen=True, slots=True)
class Answer:
    """Who it is, and why.

    Args:
        person: who; None when there is really nobody.
        why: on_duty (in the unit itself), parent_unit (on duty further up), deputy (acts for
            another), off_duty (has the role, and nobody is on duty), nobody.
        because: the steps that led here, in words, with ids only.
        acts_for: whom a deputy acts for; None otherwise.
        unit: where the role was looked for when the person was found; None for nobody.
    """

    person: Person | None
    why: Why
    because: tuple[str, ...]
    acts_for: str | None = None
    unit: str | None = None


class Problem(NamedTuple):
    """What is wrong with an entry: the table, the place in it from 0, the field, and a sentence."""

    table: Literal["units", "staff", "absences", "roster"]
    row: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.table}.{self.row}.{self.field}: {self.message}"


class BadDirectory(Refused):
    """A directory that cannot be: code ``bad_directory``, every problem in the message."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("bad_directory", "directory: " + "; ".join(map(str, problems)))
        self.problems = tuple(problems)


class Directory:
    """All units, people, absences and shifts, checked. Does not change."""

    def __init__(self) -> None:
        """Make an empty directory; `build` makes the others."""
        self.units: tuple[Unit, ...] = ()
        self.people: tuple[Person, ...] = ()
        self.absences: tuple[Absence, ...] = ()
        self.shifts: tuple[Shift, ...] = ()
        self.headquarters: str | None = None
        self._unit: dict[str, Unit] = {}
        self._person: dict[str, Person] = {}
        self._parent: dict[str, str | None] = {}
        self._below: dict[str, list[str]] = {}
        self._held: dict[tuple[str, str], list[Person]] = {}
        self._absent: dict[str, list[Absence]] = {}
        self._roster: dict[str, list[Shift]] = {}

    @classmethod
    def build(
        cls,
        units: Iterable[Unit],
        people: Iterable[Person],
        absences: Iterable[Absence] = (),
        shifts: Iterable[Shift] = (),
        roles: Collection[str] | None = None,
    ) -> Directory:
        """Return a directory of these.

        Args:
            roles: the roles that a person may have, where a policy says so.

        Raises:
            BadDirectory: with every problem.
        """
        made = cls()
        made.units, made.people = tuple(units), tuple(people)
        made.absences, made.shifts = tuple(absences), tuple(shifts)
        wrong = list(problems(made.units, made.people, made.absences, made.shifts, roles))
        if wrong:
            raise BadDirectory(wrong)
        made._index()
        return made

    def _index(self) -> None:
        self._unit = {one.id: one for one in self.units}
        self._person = {one.id: one for one in self.people}
        self._parent = {one.id: one.parent for one in self.units}
        self.headquarters = next((one.id for one in self.units if one.parent is None), None)
        self._below = _grouped((one.parent, one.id) for one in self.units if one.parent is not None)
        self._held = _grouped(((one.role, one.unit), one) for one in sorted(self.people, key=lambda one: one.id))
        self._absent = _grouped((one.person, one) for one in self.absences)
        self._roster = _grouped((one.person, one) for one in sorted(self.shifts, key=lambda one: one.starts_at))

    # --- who --------------------------------------------------------------------------------------

    def who(self, role: str, unit: str | None, at: datetime) -> Answer:
        """Who holds a rung, for a case of a unit, at a time.

        Args:
            unit: None for headquarters; one that the directory does not know counts as below it.
            at: an aware instant.
        """
        return self._line(role, unit, at, 1)[0]

    def line(self, role: str, unit: str | None, at: datetime) -> tuple[Answer, ...]:
        """`who`, and after that the next who can be reached: each person once, nobody who is absent."""
        return self._line(role, unit, at, None)

    def stands_for(self, person: str, role: str, unit: str | None) -> bool:
        """Whether a person may be asked for a role in a case of a unit: who has it there or above, or their deputy."""
        return any(
            way[-1].id == person
            for level in self._levels(unit)
            for holder in self._held.get((role, level), ())
            for way in self._stand_ins(holder)
        )

    def _line(self, role: str, unit: str | None, at: datetime, most: int | None) -> tuple[Answer, ...]:
        found = tuple(islice(self._answers(role, unit, at), most))
        return found or (Answer(None, "nobody", tuple(self._nobody(role, unit, at))),)

    def _answers(self, role: str, unit: str | None, at: datetime) -> Iterator[Answer]:
        """Everybody who can be reached, in the order that the text above gives."""
        levels = self._levels(unit)
        own = self.headquarters if unit is None else unit
        steps, seen = self._beginning(unit), list[str]()
        # Whose turn it is, and whether they or their deputies are then on duty.
        for turn, duty in (("not idle", True), ("idle", True), ("all", False)):
            for level in levels:
                holders = self._holders(role, level, at)
                for holder in holders:
                    if turn != "all" and (turn == "idle") is not self._idle(holder.id, at):
                        continue
                    for path in self._stand_ins(holder):
                        person = path[-1]
                        if person.id in seen or self.absent(person.id, at) or self.on_duty(person.id, at) is not duty:
                            continue
                        because = [*steps, *([f"after {_some(seen)}"] if seen else []), *self._said(path, at)]
                        seen.append(person.id)
                        yield Answer(
                            person,
                            "deputy" if len(path) > 1 else "off_duty" if not duty else _on_duty(level == own),
                            tuple(because),
                            holder.id if len(path) > 1 else None,
                            level,
                        )
                if turn == "not idle" and not seen:
                    steps.append(self._none_here(role, level, holders, at))

    def _nobody(self, role: str, unit: str | None, at: datetime) -> Iterator[str]:
        """Why there is nobody."""
        yield from self._beginning(unit)
        for level in self._levels(unit):
            yield self._none_here(role, level, self._holders(role, level, at), at)
        yield "nobody can be reached"

    def _levels(self, unit: str | None) -> list[str]:
        """Return a unit and those above it."""
        level = unit if unit in self._parent else self.headquarters
        levels = []
        while level is not None:
            levels.append(level)
            level = self._parent[level]
        return levels

    def _holders(self, role: str, unit: str, at: datetime) -> list[Person]:
        """Who has a role in a unit: on duty, then absent, then off duty."""

        def place(person: Person) -> tuple[int, float, str]:
            if self.absent(person.id, at):
                return 2, 0, person.id
            if (shift := self.shift_at(person.id, at)) is not None:
                return 0, shift.starts_at.timestamp(), person.id
            if person.id not in self._roster:
                return 1, 0, person.id
            following = self._next_shift(person.id, at)
            return 3, following.starts_at.timestamp() if following else math.inf, person.id

        return sorted(self._held.get((role, unit), ()), key=place)

    def _stand_ins(self, person: Person) -> Iterator[tuple[Person, ...]]:
        """Return the way to a person and to everybody who may act for them, each person once."""
        ways: list[tuple[Person, ...]] = [(person,)]
        seen: set[str] = set()
        while ways:
            way = ways.pop()
            if way[-1].id not in seen:
                seen.add(way[-1].id)
                yield way
                ways.extend((*way, self._person[deputy]) for deputy in reversed(way[-1].deputies))

    def _idle(self, person: str, at: datetime) -> bool:
        return not self.absent(person, at) and not self.on_duty(person, at)

    # --- in words -----------------------------------------------------------------------------------

    def _beginning(self, unit: str | None) -> list[str]:
        if self.headquarters is None:
            return ["the directory is empty"]
        if unit is None:
            return [f"no unit, so it belongs to {self.headquarters}"]
        return [] if unit in self._parent else [f"{unit} is no unit of the directory, so {self.headquarters} answers"]

    def _none_here(self, role: str, unit: str, holders: Sequence[Person], at: datetime) -> str:
        if not holders:
            return f"nobody is {role} in {unit}"
        states = [f"{one.id} is {self._state(one.id, at)}" for one in holders[:_NAMED]]
        further = len(holders) - len(states)
        return f"no {role} of {unit} is on duty, and no deputy for one who is absent: " + ", ".join(
            states + ([f"and {further} more"] if further else [])
        )

    def _said(self, path: Sequence[Person], at: datetime) -> Iterator[str]:
        yield f"{path[0].id} is {path[0].role} of {path[0].unit}, {self._state(path[0].id, at)}"
        for person, deputy in pairwise(path):
            yield f"{deputy.id} is deputy of {person.id}, {self._state(deputy.id, at)}"

    def _state(self, person: str, at: datetime) -> str:
        ends = [one.ends_at for one in self._absent.get(person, ()) if one.starts_at <= at < one.ends_at]
        if ends:
            return f"absent until {_told(max(ends), at)}"
        if (shift := self.shift_at(person, at)) is not None:
            return f"on duty since {_told(shift.starts_at, at)}"
        if person not in self._roster:
            return "on duty (has no roster)"
        following = self._next_shift(person, at)
        return "off duty" + (f" until {_told(following.starts_at, at)}" if following else "")

    # --- look-ups -----------------------------------------------------------------------------------

    def person(self, id: str) -> Person | None:
        """Return the person of an id."""
        return self._person.get(id)

    def unit(self, id: str) -> Unit | None:
        """Return the unit of an id."""
        return self._unit.get(id)

    def people_of(self, role: str) -> tuple[Person, ...]:
        """Everybody who has a role, by id."""
        return tuple(sorted((one for one in self.people if one.role == role), key=lambda one: one.id))

    def units_under(self, unit: str) -> frozenset[str]:
        """Return a unit and all below it; of one that the directory does not know, only itself."""
        found, waiting = {unit}, [unit]
        while waiting:
            below = self._below.get(waiting.pop(), ())
            found.update(below)
            waiting.extend(below)
        return frozenset(found)

    def absent(self, person: str, at: datetime) -> bool:
        """Whether a person is absent at a time."""
        return any(one.starts_at <= at < one.ends_at for one in self._absent.get(person, ()))

    def on_duty(self, person: str, at: datetime) -> bool:
        """Whether a person is on duty at a time: within a shift, or without a roster; and not absent."""
        return not self.absent(person, at) and (person not in self._roster or self.shift_at(person, at) is not None)

    def shift_at(self, person: str, at: datetime) -> Shift | None:
        """Return the shift that a person has at a time, absent or not."""
        own = self._roster.get(person, [])
        place = bisect_right(own, at, key=_begin) - 1
        return own[place] if place >= 0 and at < own[place].ends_at else None

    def _next_shift(self, person: str, at: datetime) -> Shift | None:
        own = self._roster.get(person, [])
        place = bisect_right(own, at, key=_begin)
        return own[place] if place < len(own) else None


def problems(
    units: Sequence[Unit],
    people: Sequence[Person],
    absences: Sequence[Absence],
    shifts: Sequence[Shift],
    roles: Collection[str] | None = None,
) -> Iterator[Problem]:
    """Everything that is wrong with a directory of these; see `Directory.build`."""
    known_units, known_people = {one.id for one in units}, {one.id for one in people}
    yield from _twice("units", units)
    yield from _no_tree(units)
    yield from _twice("staff", people)
    for row, person in enumerate(people):
        if person.unit not in known_units:
            yield Problem("staff", row, "unit", _unknown(person.unit, "unit", known_units))
        if roles is not None and person.role in OUTSIDE:
            yield Problem("staff", row, "role", f"{person.role!r} is no role of the staff; systems have it, by a key")
        elif roles is not None and person.role not in roles:
            yield Problem("staff", row, "role", _unknown(person.role, "role", set(roles) - OUTSIDE))
        if person.id in person.deputies:
            yield Problem("staff", row, "deputies", f"{person.id!r} is named as deputy of itself")
        for deputy, times in Counter(person.deputies).items():
            if deputy not in known_people:
                yield Problem("staff", row, "deputies", f"{deputy!r} is nobody of the staff")
            if times > 1:
                yield Problem("staff", row, "deputies", f"{deputy!r} is named more than once")
    yield from _no_spans("absences", absences, known_people)
    yield from _twice("roster", shifts)
    yield from _no_spans("roster", shifts, known_people)
    yield from _overlaps(shifts)


def _twice(table: Literal["units", "staff", "roster"], entries: Sequence[Unit | Person | Shift]) -> Iterator[Problem]:
    seen: set[str] = set()
    for row, entry in enumerate(entries):
        if entry.id in seen:
            yield Problem(table, row, "id", f"{entry.id!r} is there twice")
        seen.add(entry.id)


def _no_tree(units: Sequence[Unit]) -> Iterator[Problem]:
    """Unknown parents, several headquarters or none, circles."""
    parents = {one.id: one.parent for one in units}
    roots = [row for row, one in enumerate(units) if one.parent is None]
    for row in roots[1:]:
        first = units[roots[0]].id
        yield Problem(
            "units", row, "parent", f"{units[row].id!r} has none, as {first!r}; only headquarters has no parent"
        )
    # Good are the units that lead up to one without a parent, or to one whose parent is told to be unknown.
    good: set[str] = set()
    for row, unit in enumerate(units):
        if unit.parent is not None and unit.parent not in parents:
            yield Problem("units", row, "parent", _unknown(unit.parent, "unit", parents))
        way: dict[str, None] = {}
        at: str | None = unit.id
        while at in parents and at not in way and at not in good:
            way[at] = None
            at = parents[at]
        if at is not None and at in way:
            circle = list(way)[list(way).index(at) :]
            # Told once, where the first of its units stands.
            if unit.id in circle and all(one not in circle for one in _ids(units[:row])):
                yield Problem("units", row, "parent", f"goes in a circle: {' -> '.join([*circle, at][:20])}")
        else:
            good.update(way)


def _no_spans(
    table: Literal["absences", "roster"], entries: Sequence[Absence | Shift], people: Collection[str]
) -> Iterator[Problem]:
    for row, entry in enumerate(entries):
        if entry.person not in people:
            yield Problem(table, row, "person", f"{entry.person!r} is nobody of the staff")
        if entry.ends_at <= entry.starts_at:
            yield Problem(
                table, row, "to", f"{entry.ends_at.isoformat()} is not after from = {entry.starts_at.isoformat()}"
            )


def _overlaps(shifts: Sequence[Shift]) -> Iterator[Problem]:
    own = _grouped((shift.person, (shift, row)) for row, shift in enumerate(shifts) if shift.starts_at < shift.ends_at)
    for entries in own.values():
        last: Shift | None = None
        for shift, row in sorted(entries, key=lambda one: (one[0].starts_at, one[1])):
            if last is not None and shift.starts_at < last.ends_at:
                yield Problem(
                    "roster",
                    row,
                    "from",
                    f"{shift.starts_at.isoformat()} lies within the shift {last.id!r} of {shift.person!r},"
                    f" which ends {last.ends_at.isoformat()}",
                )
            if last is None or shift.ends_at > last.ends_at:
                last = shift


def _unknown(value: str, what: str, allowed: Collection[str]) -> str:
    named = sorted(allowed)
    more = f" and {len(named) - 2 * _NAMED} more" if len(named) > 2 * _NAMED else ""
    return f"{value!r} is not a known {what}; allowed: {', '.join(named[: 2 * _NAMED]) or 'none'}{more}"


def _on_duty(here: bool) -> Why:
    return "on_duty" if here else "parent_unit"


def _told(moment: datetime, at: datetime) -> str:
    """Return an instant in the zone of whoever asks."""
    return moment.astimezone(at.tzinfo).isoformat()


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")


def _ids(units: Iterable[Unit]) -> Iterator[str]:
    return (one.id for one in units)


def _begin(shift: Shift) -> datetime:
    return shift.starts_at


K = TypeVar("K")
V = TypeVar("V")


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Return lists by key, each in the order given."""
    found: dict[K, list[V]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
