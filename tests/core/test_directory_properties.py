"""What holds for any directory and any time: "who" ends, answers, and never answers a person who is absent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.directory import Absence, BadDirectory, Directory, Person, Shift, Unit, problems

checked = settings(max_examples=150, deadline=None)

ROLES = ("agent", "supervisor", "general_manager")
START = datetime(2026, 3, 10, tzinfo=UTC)
# Few moments, so that limits are met exactly.
HOURS = st.integers(0, 12)
UNIT_IDS = tuple(f"u{n}" for n in range(6))
PERSON_IDS = tuple(f"p{n}" for n in range(8))


def hour(number: int) -> datetime:
    """So many hours after the start."""
    return START + timedelta(hours=number)


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """Any good directory: roles that nobody has, everybody absent, deputies in circles, days without a roster."""
    ids = UNIT_IDS[: draw(st.integers(1, len(UNIT_IDS)))]
    # Each hangs below one before it, so it is a tree.
    units = [Unit(id=id, parent=draw(st.sampled_from(ids[:n])) if n else None) for n, id in enumerate(ids)]
    names = PERSON_IDS[: draw(st.integers(0, len(PERSON_IDS)))]
    people = [
        Person(
            id=name,
            role=draw(st.sampled_from(ROLES)),
            unit=draw(st.sampled_from(ids)),
            deputies=tuple(draw(st.lists(st.sampled_from([n for n in names if n != name]), max_size=3, unique=True)))
            if len(names) > 1
            else (),
        )
        for name in names
    ]
    absences, shifts = [], []
    for name in names:
        if draw(st.booleans()):
            begins = draw(HOURS)
            absences.append(
                Absence(person=name, starts_at=hour(begins), ends_at=hour(begins + draw(st.integers(1, 12))))
            )
        edges = sorted(draw(st.sets(HOURS, max_size=6)))
        for n, (begins, ends) in enumerate(zip(edges[::2], edges[1::2], strict=False)):
            shifts.append(Shift(id=f"{name}/{n}", person=name, starts_at=hour(begins), ends_at=hour(ends)))
    return Directory.build(draw(st.permutations(units)), draw(st.permutations(people)), absences, shifts, ROLES)


asked = given(
    found=directories(),
    role=st.sampled_from([*ROLES, "qa_manager"]),
    unit=st.sampled_from([None, *UNIT_IDS, "elsewhere"]),
    at=st.integers(-1, 25).map(hour),
)


def away(found: Directory, person: str, at: datetime) -> bool:
    """Whether the table of absences says that a person is away, however the directory looks it up."""
    return any(one.person == person and one.starts_at <= at < one.ends_at for one in found.absences)


def works(found: Directory, person: str, at: datetime) -> bool:
    """Whether a person is at work by the tables."""
    own = [one for one in found.shifts if one.person == person]
    return not away(found, person, at) and (not own or any(one.starts_at <= at < one.ends_at for one in own))


def above(found: Directory, unit: str | None) -> list[str]:
    """A unit and those above it by the table; headquarters for one that is not in it."""
    parents = {one.id: one.parent for one in found.units}
    [root] = [id for id, parent in parents.items() if parent is None]
    way = [unit if unit in parents and unit is not None else root]
    while (parent := parents[way[-1]]) is not None:
        way.append(parent)
    return way


@checked
@asked
def test_who_ends_and_answers_with_a_reason(found: Directory, role: str, unit: str | None, at: datetime) -> None:
    answer = found.who(role, unit, at)
    assert answer.because
    assert (answer.why == "nobody") is (answer.person is None)
    assert (answer.why == "deputy") is (answer.acts_for is not None)
    if answer.person is None:
        return
    assert not away(found, answer.person.id, at)
    if answer.why in ("on_duty", "parent_unit", "off_duty"):
        assert answer.person.role == role
        assert answer.person.unit == answer.unit
    assert works(found, answer.person.id, at) or answer.why in ("off_duty", "deputy")
    if answer.why == "on_duty":
        assert answer.unit == above(found, unit)[0]


@checked
@asked
def test_a_line_begins_with_who_and_has_nobody_twice_or_absent(
    found: Directory, role: str, unit: str | None, at: datetime
) -> None:
    line = found.line(role, unit, at)
    assert line[0] == found.who(role, unit, at)
    if line[0].person is None:
        assert len(line) == 1
        return
    ids = [answer.person.id for answer in line if answer.person is not None]
    assert len(ids) == len(line) == len(set(ids))
    assert not any(away(found, id, at) for id in ids)
    assert [answer.why for answer in line].count("nobody") == 0


@checked
@asked
def test_a_line_reaches_everybody_who_can_be_reached(
    found: Directory, role: str, unit: str | None, at: datetime
) -> None:
    levels = above(found, unit)
    wanted = {one.id for one in found.people if one.role == role and one.unit in levels}
    grown = True
    while grown:
        more = {deputy for one in found.people if one.id in wanted for deputy in one.deputies} - wanted
        wanted |= more
        grown = bool(more)
    ids = {answer.person.id for answer in found.line(role, unit, at) if answer.person is not None}
    assert ids == {id for id in wanted if not away(found, id, at)}


@checked
@asked
def test_on_duty_in_the_unit_itself_comes_first(found: Directory, role: str, unit: str | None, at: datetime) -> None:
    own = above(found, unit)[0]
    ready = {one.id for one in found.people if (one.role, one.unit) == (role, own) and works(found, one.id, at)}
    answer = found.who(role, unit, at)
    if ready:
        assert answer.person is not None
        assert answer.person.id in ready
    elif any(one.role == role and one.unit in above(found, unit) and works(found, one.id, at) for one in found.people):
        # Somebody on duty further up, or a deputy on duty before.
        assert answer.person is not None
        assert works(found, answer.person.id, at)


@checked
@given(st.lists(st.tuples(st.sampled_from(UNIT_IDS), st.sampled_from([None, *UNIT_IDS])), max_size=6))
def test_units_are_one_tree_or_refused(pairs: list[tuple[str, str | None]]) -> None:
    units = [Unit(id=id, parent=parent) for id, parent in pairs]
    parents = dict(pairs)

    def ends(id: str | None) -> bool:
        for _ in range(len(pairs) + 1):
            if id is None:
                return True
            id = parents.get(id, id)
        return False

    tree = len(parents) == len(pairs) and all(ends(id) for id in parents)
    tree = tree and [parent for _, parent in pairs].count(None) == min(1, len(pairs))
    if tree:
        Directory.build(units, [])
    else:
        with pytest.raises(BadDirectory):
            Directory.build(units, [])


@checked
@given(st.lists(st.tuples(st.sampled_from(PERSON_IDS[:2]), HOURS, HOURS), max_size=5))
def test_two_shifts_of_a_person_at_one_time_are_refused(spans: list[tuple[str, int, int]]) -> None:
    people = [Person(id=id, role="agent", unit="u0") for id in PERSON_IDS[:2]]
    shifts = [
        Shift(id=str(n), person=person, starts_at=hour(begins), ends_at=hour(ends))
        for n, (person, begins, ends) in enumerate(spans)
    ]
    twice = any(
        sum(one.person == id and one.starts_at <= hour(n) < one.ends_at for one in shifts) > 1
        for id in PERSON_IDS
        for n in range(13)
    )
    wrong = list(problems([Unit(id="u0")], people, [], shifts))
    assert any(one.field == "from" for one in wrong) is twice
    assert any(one.field == "to" for one in wrong) is any(ends <= begins for _, begins, ends in spans)
