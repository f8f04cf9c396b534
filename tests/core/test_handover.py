"""Handover of a shift: told 20 minutes early, signed by both, the cases given over (S4-3.3.1, S1-1.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cases.directory import Absence, Directory, Person, Shift, Unit
from cases.kinds.handover import HAND_OVER, Handover, goes_on, key_of, relief_of, tell_at
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.effects import ActivityCall
from cases.vocabulary.events import Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import MOST_LISTED
from tests.core.support import (
    AGENT,
    GM,
    SUPERVISOR,
    at,
    clock,
    complaint,
    default_policy,
    do,
    found,
    notified_roles,
    only,
    pass_time,
    policy_with,
    refuse,
    when,
)

OUT = {"id": "agent-1", "role": "agent"}
IN = {"id": "agent-2", "role": "agent"}
CLAUSE = "S4-3.3.1"
END = "03-04 20:00:00"
CASES = [
    {"id": "complaint:C-1", "number": "2026-03-0001", "rung": "agent", "next_due": at("03-04 21:00:00").isoformat()},
    {"id": "complaint:C-2", "rung": "agent", "promised": [at("03-04 20:30:00").isoformat()], "paused": ["answer"]},
]


def handover(opened: str = "03-04 19:40:00", policy: Policy | None = None, key: str = "S-1", **facts: Any) -> Handover:
    """The handover of a shift that ends at 20:00."""
    content = {
        "shift": "S-1",
        "outgoing": OUT,
        "relief": IN,
        "shift_ends_at": at(END).isoformat(),
        "unit": "north",
        "total": 2,
        "cases": CASES,
        **facts,
    }
    raw = {"key": key, "facts": {name: value for name, value in content.items() if value is not None}}
    case = Handover.open(read_intake(Handover.INTAKE, raw), policy or default_policy(), at(opened))
    case.elapse(at(opened))
    return case


def signed(*people: dict[str, str], opened: str = "03-04 19:40:00") -> Handover:
    """A handover that these have signed, a minute after each other from 19:50."""
    case = handover(opened)
    for minute, by in enumerate(people, 50):
        do(case, f"03-04 19:{minute}:00", "sign", by)
    return case


def calls(case: Handover) -> list[ActivityCall]:
    """What waits to be done outside, but for notices."""
    return [effect for effect in case.outbox if isinstance(effect, ActivityCall)]


def done(case: Handover, moment: str, *cases: str, left: tuple[dict[str, str], ...] = ()) -> Event:
    """The cases have changed hands at an instant; the event of it."""
    [call] = calls(case)
    case.outbox.remove(call)
    case.activity_done(call, {"cases": list(cases), "left": list(left)}, at(moment))
    return found(case, "handed_over")[-1]


# --- the relief is told ---------------------------------------------------------------------------


def test_the_relief_for_a_shift_until_20_00_is_due_19_40() -> None:
    assert tell_at(at(END), default_policy()) == at("03-04 19:40:00")
    case = handover("03-04 19:00:00")
    assert found(case, "relief_told") == []
    assert case.due() == at("03-04 19:40:00")
    pass_time(case, "03-04 19:39:59")
    assert found(case, "relief_told") == []
    pass_time(case, "03-04 19:40:00")
    event = only(case, "relief_told")
    assert when([event]) == ["03-04 19:40:00"]
    assert event.data == {
        "people": ["agent-2"], "role": "agent", "from": OUT, "due": at(END).isoformat(), "cases": 2
    }  # fmt: skip
    assert notified_roles(case, "handover") == [("agent",)]
    assert event.clauses == (CLAUSE,)


def test_what_is_listed_stands_in_the_record() -> None:
    case = handover()
    facts = case.events[0].data["facts"]
    assert [one["id"] for one in facts["cases"]] == ["complaint:C-1", "complaint:C-2"]
    assert facts["cases"][1]["promised"] == [at("03-04 20:30:00").isoformat()]
    assert facts["cases"][1]["paused"] == ["answer"]
    view = case.view()
    assert (view["id"], view["unit"], view["responsible"], view["signers"]) == (
        "handover:S-1", "north", "agent-1", [OUT, IN]
    )  # fmt: skip


def test_who_signs_before_being_told_is_not_told_any_more() -> None:
    case = handover("03-04 19:00:00")
    do(case, "03-04 19:10:00", "sign", IN)
    pass_time(case, "03-04 19:45:00")
    assert found(case, "relief_told") == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"relief": OUT}, "nobody relieves themselves"),
        ({"total": 1}, "cases lists 2, total = 1"),
        ({"outgoing": {"id": "porter-1", "role": "porter"}}, "facts.outgoing.role = 'porter' is no rung"),
        ({"relief": {"id": "porter-1", "role": "porter"}}, "facts.relief.role = 'porter' is no rung"),
        ({"shift_ends_at": None}, "facts.shift_ends_at is missing"),
        ({"total": 999, "cases": [{"id": "complaint:C", "rung": "agent"}] * (MOST_LISTED + 1)}, "at most 200 items"),
    ],
)
def test_facts_that_make_no_handover_are_refused(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as caught:
        handover(**facts)
    assert said in caught.value.message


def test_the_key_is_the_shift() -> None:
    with pytest.raises(Refused, match="key = 'S-2': the key is the shift's, S-1"):
        handover(key="S-2")
    # An id may hold a sign that a key may not.
    assert read_intake(Handover.INTAKE, {"key": key_of("S@1"), "facts": {
        "shift": "S@1", "outgoing": OUT, "shift_ends_at": at(END).isoformat()
    }})  # fmt: skip


# --- both sign ------------------------------------------------------------------------------------


@pytest.mark.parametrize("people", [(OUT, IN), (IN, OUT)])
def test_both_sign_in_any_order_and_the_cases_change_hands(people: tuple[dict[str, str], ...]) -> None:
    case = signed(*people)
    assert [event.data["side"] for event in found(case, "signed")] == [
        "outgoing" if by is OUT else "relief" for by in people
    ]
    assert clock(case, "handover")[0] == "met"
    [call] = calls(case)
    assert (call.activity, call.order) == (HAND_OVER, {"round": 1, "from": OUT, "to": IN})
    # Until they have, the one who goes answers for them.
    assert case.view()["responsible"] == "agent-1"
    event = done(case, "03-04 19:51:02", "complaint:C-1", left=({"case": "complaint:C-2", "code": "closed"},))
    assert event.data == {
        "round": 1,
        "people": ["agent-1", "agent-2"],
        "role": "agent",
        "cases": ["complaint:C-1"],
        "left": [{"case": "complaint:C-2", "code": "closed"}],
    }
    assert notified_roles(case, "handed_over") == [("agent",)]
    assert case.view()["responsible"] == "agent-2"
    assert case.status == "open"


def test_what_arrives_until_the_end_of_the_shift_is_given_over_too() -> None:
    case = signed(OUT, IN)
    done(case, "03-04 19:51:02", "complaint:C-1", "complaint:C-2")
    assert case.due() == at("03-04 20:02:00")
    pass_time(case, "03-04 20:02:00")
    [call] = calls(case)
    assert call.order["round"] == 2
    done(case, "03-04 20:02:01", "complaint:C-3")
    assert (case.status, case.outcome, case.view()["handed"]) == ("closed", "handed_over", 3)
    # The second look is told to nobody.
    assert notified_roles(case, "handed_over") == [("agent",)]
    assert case.due() is None


@pytest.mark.parametrize("people", [(), (OUT,), (IN,)])
def test_without_both_signatures_it_is_open_and_the_supervisor_hears(people: tuple[dict[str, str], ...]) -> None:
    case = signed(*people)
    pass_time(case, "03-04 19:59:59")
    assert clock(case, "handover") == ("running", "03-04 20:00:00")
    assert notified_roles(case, "handover_open") == []
    pass_time(case, "03-05 08:00:00")
    breach, climb = only(case, "clock_breached"), only(case, "escalated")
    assert when([breach, climb]) == [END, END]
    assert climb.data == {"from": "agent", "to": "supervisor", "cause": "deadline"}
    assert climb.clauses == (CLAUSE, "S1-1.3")
    assert notified_roles(case, "handover_open") == [("supervisor",)]
    assert calls(case) == []
    view = case.view()
    assert (view["status"], view["responsible"]) == ("open", "agent-1")
    assert [one["id"] for one in view["signers"]] == [by["id"] for by in (OUT, IN) if by not in people]


def test_it_can_still_be_signed_late() -> None:
    case = signed(OUT)
    do(case, "03-04 20:30:00", "sign", IN)
    assert clock(case, "handover")[0] == "breached"
    done(case, "03-04 20:30:01", "complaint:C-1")
    assert case.view()["responsible"] == "agent-2"
    pass_time(case, "03-04 20:32:01")
    done(case, "03-04 20:32:02")
    assert case.status == "closed"


def test_one_that_begins_only_after_the_shift_is_late_at_once() -> None:
    # Nobody worked for a while: the relief and who is above hear together.
    case = handover("03-04 21:00:00")
    assert [(event.type, *when([event])) for event in case.events[1:]] == [
        ("clock_started", "03-04 21:00:00"),
        ("relief_told", "03-04 21:00:00"),
        ("clock_breached", "03-04 21:00:00"),
        ("escalated", "03-04 21:00:00"),
    ]
    do(case, "03-04 21:05:00", "sign", OUT)
    do(case, "03-04 21:06:00", "sign", IN)
    done(case, "03-04 21:06:01", "complaint:C-1")
    assert case.due() == at("03-04 21:08:01")


def test_a_signature_at_the_limit_is_in_time_and_a_second_later_is_not() -> None:
    for moment, state in ((END, "met"), ("03-04 20:00:01", "breached")):
        case = signed(OUT)
        do(case, moment, "sign", IN)
        assert clock(case, "handover")[0] == state


def test_one_signs_once_and_nobody_for_both() -> None:
    refuse(signed(OUT), "03-04 19:55:00", "already_signed", "sign", "agent-1", "as outgoing", by=OUT, clause=CLAUSE)
    refuse(signed(OUT, IN), "03-04 19:55:00", "already_signed", "sign", "agent-2", "as relief", by=IN, clause=CLAUSE)


@pytest.mark.parametrize(
    "by", [AGENT, SUPERVISOR, GM, {"id": "agent-1", "role": "supervisor"}, {"id": "agent-2", "role": "qa_manager"}]
)
def test_only_the_two_sign(by: dict[str, str]) -> None:
    message = "only agent-1 as agent and agent-2 as agent sign"
    refuse(handover(), "03-04 19:50:00", "not_party", "sign", by["id"], message, by=by, clause=CLAUSE)


def test_remarks_are_notes_and_nothing_else_ends_it() -> None:
    case = handover()
    do(case, "03-04 19:45:00", "note", IN, text="the scanner is broken")
    assert only(case, "noted").actor.id == "agent-2"
    for name in ("resolve", "close", "withdraw", "extend", "promise", "reopen"):
        assert name not in KINDS["handover"].COMMANDS


# --- nobody relieves ------------------------------------------------------------------------------


def test_without_a_relief_the_supervisor_is_told_at_once_and_the_outgoing_stays() -> None:
    case = handover(relief=None)
    event = only(case, "relief_missing")
    assert when([event]) == ["03-04 19:40:00"]
    assert event.data == {"role": "supervisor", "from": OUT, "due": at(END).isoformat()}
    assert notified_roles(case, "relief_missing") == [("supervisor",)]
    do(case, "03-04 19:50:00", "sign", OUT)
    pass_time(case, "03-04 22:00:00")
    assert calls(case) == []
    assert (case.view()["responsible"], case.view()["relief"]) == ("agent-1", None)
    assert notified_roles(case, "handover_open") == [("supervisor",)]


def test_the_supervisor_names_somebody_who_then_signs() -> None:
    case = handover(relief=None)
    do(case, "03-04 19:45:00", "name_relief", SUPERVISOR, to=IN)
    assert only(case, "relief_told").data["people"] == ["agent-2"]
    do(case, "03-04 19:50:00", "sign", OUT)
    do(case, "03-04 19:51:00", "sign", IN)
    [call] = calls(case)
    assert call.order["to"] == IN


def test_somebody_else_may_come_until_the_relief_has_signed() -> None:
    other = {"id": "agent-3", "role": "agent"}
    case = handover()
    do(case, "03-04 19:45:00", "name_relief", SUPERVISOR, to=other)
    refuse(case, "03-04 19:46:00", "not_party", "sign", "agent-3 as agent", by=IN, clause=CLAUSE)
    do(case, "03-04 19:47:00", "sign", other)
    by, porter = SUPERVISOR, {"id": "porter-1", "role": "porter"}
    refuse(case, "03-04 19:48:00", "already_signed", "name_relief", "agent-3 has", by=by, clause=CLAUSE, to=IN)
    refuse(handover(), "03-04 19:48:00", "same_person", "name_relief", "agent-1", by=by, clause=CLAUSE, to=OUT)
    refuse(handover(), "03-04 19:48:00", "role", "name_relief", "supervisor", by=OUT, to=other)
    refuse(handover(), "03-04 19:48:00", "unknown_role", "name_relief", "is no rung", by=by, to=porter)


@pytest.mark.parametrize(
    ("role", "above"), [("agent", "supervisor"), ("supervisor", "qa_manager"), ("general_manager", "general_manager")]
)
def test_who_is_above_the_outgoing_person_hears(role: str, above: str) -> None:
    case = handover(outgoing={"id": "p-1", "role": role}, relief=None)
    assert only(case, "relief_missing").data["role"] == above


def test_a_replay_gives_the_same_case() -> None:
    case = signed(OUT, IN)
    done(case, "03-04 19:51:02", "complaint:C-1")
    pass_time(case, "03-04 21:00:00")
    again = Handover.replay(case.policy, case.events)
    assert (again.view(), again.due()) == (case.view(), case.due())


def test_a_policy_says_how_early_and_an_older_one_has_none() -> None:
    earlier = policy_with(('tell_before = "PT20M"', 'tell_before = "PT30M"'))
    assert tell_at(at(END), earlier) == at("03-04 19:30:00")
    for missing in ("tell_before", "look_again"):
        with pytest.raises(Refused, match=f"handover.{missing} is missing"):
            policy_with((f"{missing} = ", f"# {missing} = "))
    older = default_policy().model_copy(update={"handover": None})
    with pytest.raises(Refused, match=r"no section \[handover\]"):
        Handover(older)


# --- a case is given only while the outgoing person holds it ----------------------------------------


def test_assigning_to_oneself_while_the_other_holds_it() -> None:
    case = complaint("03-04 10:00:00")
    do(case, "03-04 10:01:00", "acknowledge", OUT)
    do(case, "03-04 10:05:00", "assign", IN, to=IN, held_by="agent-1", reason="handover:S-1 1")
    event = only(case, "assigned")
    assert event.data == {
        "from": {"role": "agent", "id": "agent-1"}, "to": IN, "reason": "handover:S-1 1"
    }  # fmt: skip
    assert case.ladder.acknowledged
    assert case.view()["holder"] == "agent-2"
    refuse(case, "03-04 10:06:00", "not_held", "assign", "it is agent-2", by=AGENT, to=AGENT, held_by="agent-1")


def test_what_climbed_away_is_not_pulled_down() -> None:
    case = complaint("03-04 10:00:00")
    boss = {"id": "boss-1", "role": "supervisor"}
    do(case, "03-04 10:01:00", "acknowledge", boss)
    do(case, "03-04 10:02:00", "escalate", boss, reason="hard")
    to = {"id": "boss-2", "role": "agent"}
    by = {"id": "boss-2", "role": "supervisor"}
    refuse(case, "03-04 10:03:00", "not_held", "assign", "it is supervisor who holds", by=by, to=to, held_by="boss-1")


# --- who relieves ---------------------------------------------------------------------------------


def roster(*shifts: tuple[str, str, str, str], absences: tuple[Absence, ...] = (), **units: str) -> Directory:
    """A directory of agents a to f and a porter; shifts as (id, person, start, end) of March."""
    people = [Person(id=name, role="agent", unit=units.get(name, "north")) for name in "abcdef"]
    people.append(Person(id="porter", role="porter", unit="north"))
    return Directory.build(
        [Unit(id="hq"), Unit(id="north", parent="hq"), Unit(id="dock", parent="north"), Unit(id="south", parent="hq")],
        people,
        absences,
        [Shift(id=id_, person=who, starts_at=at(f"03-{start}:00"), ends_at=at(f"03-{end}:00"))
         for id_, who, start, end in shifts],
    )  # fmt: skip


def relief(directory: Directory, shift: str = "S-1") -> str | None:
    """Who relieves at the end of a shift."""
    person = relief_of(directory, next(one for one in directory.shifts if one.id == shift))
    return person.id if person else None


DAY = ("S-1", "a", "04 08:00", "04 20:00")


@pytest.mark.parametrize(
    ("others", "who"),
    [
        ((), None),
        ((("S-2", "b", "04 20:00", "05 08:00"),), "b"),
        # Not yet there, gone already.
        ((("S-2", "b", "04 20:30", "05 08:00"),), None),
        ((("S-2", "b", "04 12:00", "04 20:00"),), None),
        # Another role.
        ((("S-2", "porter", "04 20:00", "05 08:00"),), None),
        # Whose shift begins comes before who is there anyway.
        ((("S-2", "b", "04 12:00", "05 00:00"), ("S-3", "c", "04 20:00", "05 08:00")), "c"),
        ((("S-2", "b", "04 12:00", "05 00:00"),), "b"),
    ],
)
def test_who_relieves_by_the_roster(others: tuple[tuple[str, str, str, str], ...], who: str | None) -> None:
    assert relief(roster(DAY, *others)) == who


def test_the_relief_is_of_the_unit_or_of_one_above_it() -> None:
    night = ("S-2", "b", "04 20:00", "05 08:00")
    assert relief(roster(DAY, night, b="south")) is None
    assert relief(roster(DAY, night, b="dock")) is None
    assert relief(roster(DAY, night, b="hq")) == "b"
    assert relief(roster(DAY, night, ("S-3", "c", "04 20:00", "05 08:00"), b="hq")) == "c"


def test_an_absent_relief_does_not_relieve() -> None:
    night = ("S-2", "b", "04 20:00", "05 08:00")
    away = Absence(person="b", starts_at=at("03-04 00:00:00"), ends_at=at("03-06 00:00:00"))
    assert relief(roster(DAY, night, absences=(away,))) is None


def test_several_who_go_have_each_their_own_relief() -> None:
    directory = roster(
        ("S-1", "a", "04 08:00", "04 20:00"),
        ("S-2", "b", "04 08:00", "04 20:00"),
        ("S-3", "c", "04 08:00", "04 20:00"),
        ("S-4", "d", "04 20:00", "05 08:00"),
        ("S-5", "e", "04 20:00", "05 08:00"),
    )
    assert [relief(directory, shift) for shift in ("S-1", "S-2", "S-3")] == ["d", "e", "d"]


def test_who_works_on_hands_nothing_over() -> None:
    directory = roster(DAY, ("S-2", "a", "04 20:00", "05 08:00"))
    first, second = directory.shifts
    assert goes_on(directory, first)
    assert not goes_on(directory, second)
    away = Absence(person="a", starts_at=first.ends_at, ends_at=first.ends_at + timedelta(hours=1))
    assert not goes_on(roster(DAY, ("S-2", "a", "04 20:00", "05 08:00"), absences=(away,)), first)
