"""Shift swap: both agree, the department manager signs, within the limits (S1-1.7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cases.directory import Absence, Directory, Person, Shift, Unit
from cases.kinds.swap import CHANGE_ROSTER, PastSwap, ShiftSwap, SwapFacts, check, months_of, moves
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.effects import ActivityCall
from cases.vocabulary.events import Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    DEFAULT,
    GM,
    QA,
    SUPERVISOR,
    at,
    clock,
    default_policy,
    do,
    notified_roles,
    only,
    pass_time,
    policy_with,
    refuse,
    shown,
    when,
)

CLAUSE = "S1-1.7"
ONE = {"id": "agent-1", "role": "agent"}
OTHER = {"id": "agent-2", "role": "agent"}
MANAGER = {"id": "dm-1", "role": "department_manager"}
NOW = "10-12 09:00:00"


def shift(id_: str, start: str, end: str) -> dict[str, str]:
    """A shift as the facts have it; times as ``10-20 08:00``."""
    return {"id": id_, "starts_at": at(f"{start}:00").isoformat(), "ends_at": at(f"{end}:00").isoformat()}


GIVEN = shift("S-20", "10-20 08:00", "10-20 20:00")
RETURNED = shift("S-22", "10-22 08:00", "10-22 20:00")


def swap(asked: str = NOW, policy: Policy | None = None, **facts: Any) -> ShiftSwap:
    """A swap that is asked for: the shift of the 20th, unless said otherwise for none."""
    content = {"initiator": ONE, "counterparty": OTHER, "given": GIVEN, "unit": "north", **facts}
    raw = {"key": "W-1", "facts": content}
    return ShiftSwap.open(read_intake(ShiftSwap.INTAKE, raw), policy or default_policy(), at(asked))


def agreed(**facts: Any) -> ShiftSwap:
    """A swap to which both agree."""
    case = swap(**facts)
    do(case, "10-12 10:00:00", "agree", OTHER)
    return case


def calls(case: ShiftSwap) -> list[ActivityCall]:
    """What waits to be done outside, but for notices."""
    return [effect for effect in case.outbox if isinstance(effect, ActivityCall)]


def answer(case: ShiftSwap, **result: Any) -> Event:
    """The roster was changed, or not; the last event of it but the closing."""
    [call] = calls(case)
    case.outbox.remove(call)
    case.activity_done(call, result, at("10-12 11:00:01"))
    return case.events[-2]


# --- agreeing and signing ---------------------------------------------------------------------------


def test_both_agree_the_manager_signs_and_only_then_is_it_valid() -> None:
    case = swap(returned=RETURNED)
    asked = only(case, "swap_asked")
    assert asked.data == {"people": ["agent-2"], "role": "agent", "due": at("10-20 08:00:00").isoformat()}
    assert notified_roles(case, "swap_asked") == [("agent",)]
    assert (case.view()["agreed"], case.view()["valid"], case.view()["unit"]) == (False, False, "north")
    assert case.view()["turn"] == []
    do(case, "10-12 10:00:00", "agree", OTHER)
    assert notified_roles(case, "swap_agreed") == [("department_manager",)]
    # Agreement of both without the manager's signature is not valid.
    assert (case.view()["agreed"], case.view()["valid"], calls(case)) == (True, False, [])
    assert case.view()["turn"] == ["supervisor", "department_manager"]
    do(case, "10-12 11:00:00", "sign", MANAGER)
    [call] = calls(case)
    assert call.activity == CHANGE_ROSTER
    assert SwapFacts.model_validate(call.order) == case.swap
    # Signed, but the roster has not changed yet.
    assert (case.view()["valid"], case.view()["turn"], case.status) == (False, [], "open")
    event = answer(case, moves=moves(case.swap))
    assert event.data == {
        "people": ["agent-1", "agent-2"],
        "role": "agent",
        "moves": [
            {"shift": "S-20", "from": "agent-1", "to": "agent-2"},
            {"shift": "S-22", "from": "agent-2", "to": "agent-1"},
        ],
    }
    assert (case.status, case.outcome, case.view()["valid"]) == ("closed", "valid", True)
    assert notified_roles(case, "swap_valid") == [("agent",)]
    assert {event.clauses for event in case.events} == {(CLAUSE,)}


def test_without_the_signature_it_lapses_when_the_first_shift_begins() -> None:
    case = agreed(returned=shift("S-18", "10-18 08:00", "10-18 20:00"))
    assert clock(case, "swap") == ("running", "10-18 08:00:00")
    pass_time(case, "10-19 00:00:00")
    refused = only(case, "swap_refused")
    assert when([refused]) == ["10-18 08:00:00"]
    assert refused.data["code"] == "lapsed"
    assert (case.status, case.outcome, case.view()["valid"], calls(case)) == ("closed", "lapsed", False, [])
    assert notified_roles(case, "swap_refused") == [("agent",)]
    assert case.due() is None


def test_a_signature_at_the_very_begin_counts_and_a_second_later_is_too_late() -> None:
    case = agreed()
    do(case, "10-20 08:00:00", "sign", MANAGER)
    assert clock(case, "swap")[0] == "met"
    pass_time(case, "10-21 00:00:00")
    assert len(calls(case)) == 1
    refuse(agreed(), "10-20 08:00:01", "closed", "sign", by=MANAGER, clause="S1-5.9.8")


def test_what_no_longer_fits_when_it_is_signed_is_refused() -> None:
    case = agreed()
    do(case, "10-12 11:00:00", "sign", MANAGER)
    event = answer(case, refused={"code": "swap_limit", "message": "three", "clause": CLAUSE})
    assert event.type == "swap_refused"
    assert (event.data["code"], case.outcome, case.view()["valid"]) == ("swap_limit", "refused", False)
    assert shown(case)["refusal"] == "three"


@pytest.mark.parametrize("by", [MANAGER, SUPERVISOR])
def test_the_department_manager_signs(by: dict[str, str]) -> None:
    case = agreed()
    do(case, "10-12 11:00:00", "sign", by)
    assert case.view()["signed"] == by


@pytest.mark.parametrize("by", [AGENT, QA, GM, ONE, {"id": "dir-1", "role": "director"}])
def test_nobody_else_signs(by: dict[str, str]) -> None:
    refuse(agreed(), "10-12 11:00:00", "role", "sign", "allowed: supervisor, department_manager", by=by)


def test_out_of_order_by_the_wrong_person_and_twice() -> None:
    refuse(swap(), "10-12 10:00:00", "out_of_order", "sign", "agent-2 has not agreed", by=MANAGER, clause=CLAUSE)
    for by in (ONE, AGENT, {"id": "agent-2", "role": "supervisor"}):
        refuse(swap(), "10-12 10:00:00", "not_party", "agree", "agent-2 as agent who agrees", by=by, clause=CLAUSE)
    refuse(agreed(), "10-12 10:30:00", "already_agreed", "agree", "agent-2", by=OTHER, clause=CLAUSE)
    case = agreed()
    do(case, "10-12 11:00:00", "sign", MANAGER)
    refuse(case, "10-12 11:00:00", "already_signed", "sign", "dm-1", by=SUPERVISOR, clause=CLAUSE)
    refuse(case, "10-12 11:00:00", "already_signed", "refuse", "dm-1", by=ONE, clause=CLAUSE, reason="r")


def test_who_swaps_does_not_sign() -> None:
    boss, other = {"id": "s-1", "role": "supervisor"}, {"id": "s-2", "role": "supervisor"}
    case = swap(initiator=boss, counterparty=other)
    do(case, "10-12 10:00:00", "agree", other)
    refuse(case, "10-12 11:00:00", "four_eyes", "sign", "s-1", by=boss, clause=CLAUSE)
    other["role"] = "department_manager"
    refuse(case, "10-12 11:00:00", "four_eyes", "sign", "s-2", by=other, clause=CLAUSE)


@pytest.mark.parametrize("by", [ONE, OTHER, MANAGER, SUPERVISOR])
def test_the_two_and_the_manager_may_refuse(by: dict[str, str]) -> None:
    case = agreed()
    do(case, "10-12 11:00:00", "refuse", by, reason="too short")
    event = only(case, "swap_refused")
    assert (event.actor.id, event.data["reason"], case.outcome) == (by["id"], "too short", "refused")
    assert notified_roles(case, "swap_refused") == [("agent",)]
    refuse(case, "10-12 12:00:00", "closed", "sign", by=MANAGER, clause="S1-5.9.8")


def test_a_stranger_does_not_refuse() -> None:
    refuse(swap(), "10-12 11:00:00", "not_party", "refuse", "agent-1 and agent-2", by=AGENT, clause=CLAUSE, reason="r")


def test_nothing_else_ends_it() -> None:
    assert set(KINDS["swap"].COMMANDS) >= {"agree", "sign", "refuse", "note", "attach"}
    for name in ("resolve", "close", "withdraw", "assign", "approve", "reopen"):
        assert name not in KINDS["swap"].COMMANDS


@pytest.mark.parametrize(
    ("facts", "code", "said"),
    [
        ({"counterparty": ONE}, "with_oneself", "counterparty = 'agent-1'"),
        ({"counterparty": {"id": "porter-1", "role": "porter"}}, "other_role", "porter"),
        ({"given": shift("S-9", "10-09 08:00", "10-09 20:00")}, "past_shift", "'S-9' began"),
        ({"returned": shift("S-9", "10-12 08:59", "10-12 20:00")}, "past_shift", "'S-9' began"),
        ({"returned": GIVEN}, "same_shift", "'S-20'"),
        ({"given": shift("S-9", "10-20 20:00", "10-20 08:00")}, "invalid", "is not after starts_at"),
    ],
)
def test_what_no_roster_would_allow_is_refused_at_once(facts: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        swap(**facts)
    assert (caught.value.code, caught.value.clause) == (code, "" if code == "invalid" else CLAUSE)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("start", "end", "refused"),
    [
        ("10-01 08:00", "10-01 20:00", True),
        ("10-07 20:00", "10-08 08:00", True),
        # The night into the holiday touches it; one that ends as it begins does not.
        ("09-30 20:00", "10-01 08:00", True),
        ("09-30 12:00", "10-01 00:00", False),
        ("10-08 00:00", "10-08 12:00", False),
    ],
)
def test_no_swap_touches_a_holiday(start: str, end: str, refused: bool) -> None:
    given = shift("S-1", start, end)
    if not refused:
        assert swap("09-20 09:00:00", given=given).status == "open"
        return
    with pytest.raises(Refused, match="touches the holiday 2026-10-0") as caught:
        swap("09-20 09:00:00", given=given)
    assert (caught.value.code, caught.value.clause) == ("holiday", CLAUSE)


def test_a_returned_shift_on_a_holiday_counts_too() -> None:
    with pytest.raises(Refused, match="2026-10-01"):
        swap("09-20 09:00:00", returned=shift("S-1", "10-01 08:00", "10-01 20:00"))


def test_a_replay_gives_the_same_case() -> None:
    case = agreed(returned=RETURNED)
    do(case, "10-12 11:00:00", "sign", MANAGER)
    answer(case, moves=moves(case.swap))
    again = ShiftSwap.replay(case.policy, case.events)
    assert (again.view(), again.due()) == (case.view(), case.due())


# --- the limits, by the roster ----------------------------------------------------------------------


def roster(*shifts: tuple[str, str, str, str], absences: tuple[Absence, ...] = ()) -> Directory:
    """A directory of three agents and a porter; shifts as (id, person, start, end)."""
    people = [Person(id=f"agent-{number}", role="agent", unit="hq") for number in (1, 2, 3)]
    return Directory.build(
        [Unit(id="hq")],
        [*people, Person(id="porter-1", role="porter", unit="hq")],
        absences,
        [Shift(id=id_, person=who, starts_at=at(f"{start}:00"), ends_at=at(f"{end}:00"))
         for id_, who, start, end in shifts],
    )  # fmt: skip


MINE = ("S-20", "agent-1", "10-20 08:00", "10-20 20:00")
THEIRS = ("S-22", "agent-2", "10-22 08:00", "10-22 20:00")


def facts(**changes: Any) -> SwapFacts:
    """The facts of a swap."""
    return SwapFacts.model_validate({"initiator": ONE, "counterparty": OTHER, "given": GIVEN, **changes})


def looked_at(
    directory: Directory, past: tuple[PastSwap, ...] = (), policy: Policy | None = None, **changes: Any
) -> None:
    """Look at a swap by a roster. Raises `Refused`."""
    check(facts(**changes), policy or default_policy(), directory, past, at(NOW))


def refuses(code: str, directory: Directory, *said: str, past: tuple[PastSwap, ...] = (), **changes: Any) -> None:
    """It is refused for this, by the clause."""
    with pytest.raises(Refused) as caught:
        looked_at(directory, past, **changes)
    assert (caught.value.code, caught.value.clause) == (code, CLAUSE)
    for part in said:
        assert part in caught.value.message


def swapped(*people: str, month: str = "2026-10") -> PastSwap:
    """A swap that was valid."""
    return PastSwap(frozenset(people), frozenset([month]))


def test_a_swap_that_fits() -> None:
    looked_at(roster(MINE, THEIRS))
    looked_at(roster(MINE, THEIRS), returned=RETURNED)


def test_whose_shift_and_which() -> None:
    refuses("unknown_shift", roster(THEIRS), "'S-20' is not in the roster")
    refuses("unknown_shift", roster(MINE), "'S-22'", returned=RETURNED)
    refuses("not_theirs", roster(("S-20", "agent-3", "10-20 08:00", "10-20 20:00")), "'agent-1'")
    refuses("not_theirs", roster(MINE, ("S-22", "agent-3", *THEIRS[2:])), "'agent-2'", returned=RETURNED)
    refuses("shift_moved", roster(("S-20", "agent-1", "10-20 09:00", "10-20 20:00")), "ask anew")
    refuses("unknown_person", roster(MINE), "'agent-9'", counterparty={"id": "agent-9", "role": "agent"})
    refuses("other_role", roster(MINE), "porter", counterparty={"id": "porter-1", "role": "agent"})
    refuses("with_oneself", roster(MINE), counterparty=ONE)


@pytest.mark.parametrize("who", ["agent-1", "agent-2"])
def test_the_fourth_swap_in_a_calendar_month_is_refused(who: str) -> None:
    three = tuple(swapped(who, "agent-3") for _ in range(3))
    looked_at(roster(MINE), three[:2])
    refuses("swap_limit", roster(MINE), who, "3 swaps in 2026-10; at most 3", past=three)
    # Whoever gives or takes counts, and so does every month of a swapped shift; other months do not.
    looked_at(roster(MINE), tuple(swapped(who, "agent-3", month="2026-09") for _ in range(3)))
    looked_at(roster(MINE), tuple(swapped("agent-3", "agent-4") for _ in range(3)))
    november = shift("S-3", "11-03 08:00", "11-03 20:00")
    directory = roster(MINE, ("S-3", "agent-2", "11-03 08:00", "11-03 20:00"))
    full = tuple(swapped(who, "agent-3", month="2026-11") for _ in range(3))
    refuses("swap_limit", directory, who, "2026-11", past=full, returned=november)
    looked_at(roster(MINE), full)


def test_the_month_is_that_of_the_policys_zone() -> None:
    # Half past midnight on 1 November in Shanghai is October in London.
    late = shift("S-1", "11-01 00:30", "11-01 08:00")
    assert months_of(facts(given=late), default_policy().working) == ["2026-11"]
    assert months_of(facts(returned=RETURNED), default_policy().working) == ["2026-10"]


@pytest.mark.parametrize(
    ("start", "end", "refused"),
    [
        ("10-20 20:00", "10-21 08:00", True),
        ("10-19 20:00", "10-20 08:00", True),
        ("10-20 10:00", "10-20 12:00", True),
        ("10-21 03:59", "10-21 12:00", True),
        ("10-21 04:00", "10-21 12:00", False),
        ("10-19 12:00", "10-20 00:00", False),
        ("10-19 12:00", "10-20 00:01", True),
    ],
)
def test_nobody_works_two_shifts_in_a_row(start: str, end: str, refused: bool) -> None:
    directory = roster(MINE, ("S-2", "agent-2", start, end))
    if refused:
        refuses("two_in_a_row", directory, "'agent-2'", "'S-20'", "'S-2'", "8:00:00")
    else:
        looked_at(directory)


def test_nor_does_who_takes_one_back() -> None:
    directory = roster(MINE, THEIRS, ("S-23", "agent-1", "10-22 20:00", "10-23 08:00"))
    refuses("two_in_a_row", directory, "'agent-1'", returned=RETURNED)
    looked_at(directory)


def test_what_is_given_away_does_not_stand_in_the_way() -> None:
    # Each takes the shift next to the one that they give.
    directory = roster(MINE, ("S-21", "agent-2", "10-20 20:00", "10-21 08:00"))
    looked_at(directory, returned=shift("S-21", "10-20 20:00", "10-21 08:00"))
    refuses("two_in_a_row", directory)


def test_the_numbers_are_the_policys() -> None:
    policy = policy_with(("per_month = 3 ", "per_month = 1 "), ('rest = "PT8H"', 'rest = "PT12H"'))
    with pytest.raises(Refused, match="at most 1"):
        looked_at(roster(MINE), (swapped("agent-1", "agent-3"),), policy)
    with pytest.raises(Refused, match="12:00:00"):
        looked_at(roster(MINE, ("S-2", "agent-2", "10-21 07:00", "10-21 12:00")), policy=policy)
    limits = DEFAULT[DEFAULT.index("[swap.limits]") : DEFAULT.index("[swap.permissions]")]
    with pytest.raises(Refused, match=r"swap\.limits is missing"):
        policy_with((limits, ""))


HOURS = st.integers(0, 14 * 24)
ROSTERS = st.lists(st.tuples(st.integers(1, 3), HOURS, st.integers(1, 14)), min_size=2, max_size=14)


@given(ROSTERS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_whatever_the_roster_nobody_comes_to_work_two_in_a_row(rows: list[tuple[int, int, int]], both: bool) -> None:
    begin = at("11-02 00:00:00")
    shifts: list[Shift] = []
    for number, (who, hour, length) in enumerate(rows):
        start = begin + timedelta(hours=hour)
        shift = Shift(id=f"S-{number}", person=f"agent-{who}", starts_at=start, ends_at=start + timedelta(hours=length))
        if not any(shift.person == one.person and gap(shift, one) < timedelta(0) for one in shifts):
            shifts.append(shift)
    mine = next((one for one in shifts if one.person == "agent-1"), None)
    theirs = next((one for one in shifts if one.person == "agent-2"), None)
    assume(mine is not None and theirs is not None)
    assert mine is not None
    assert theirs is not None
    swap = facts(given=mine.model_dump(exclude={"person"}))
    if both:
        swap = facts(given=mine.model_dump(exclude={"person"}), returned=theirs.model_dump(exclude={"person"}))
    people = [Person(id=f"agent-{number}", role="agent", unit="hq") for number in (1, 2, 3)]
    try:
        check(swap, default_policy(), Directory.build([Unit(id="hq")], people, (), shifts), (), at(NOW))
    except Refused as refusal:
        if refusal.code != "two_in_a_row":
            raise
        return
    moved = {move["shift"]: move["to"] for move in moves(swap)}
    after = [one.model_copy(update={"person": moved.get(one.id, one.person)}) for one in shifts]
    Directory.build([Unit(id="hq")], people, (), after)
    for gained in (one for one in after if one.id in moved):
        others = [one for one in after if one.person == gained.person and one.id != gained.id]
        assert all(gap(gained, one) >= timedelta(hours=8) for one in others)


def gap(one: Shift, other: Shift) -> timedelta:
    """The time between two shifts, negative where they overlap."""
    return max(one.starts_at, other.starts_at) - min(one.ends_at, other.ends_at)


def test_who_is_absent_takes_no_shift() -> None:
    away = Absence(person="agent-2", starts_at=at("10-20 19:00:00"), ends_at=at("10-21 00:00:00"))
    refuses("absent", roster(MINE, absences=(away,)), "'agent-2' is absent during shift 'S-20'")
    after = Absence(person="agent-2", starts_at=at("10-20 20:00:00"), ends_at=at("10-21 00:00:00"))
    looked_at(roster(MINE, absences=(after,)))
