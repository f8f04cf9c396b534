"""The ladder: severity, five minutes a rung, by hand, by assignment, reminders at the top."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from itertools import pairwise

import pytest

from cases.policy.model import Policy
from tests.core.support import (
    AGENT,
    CUSTOMER,
    GM,
    QA,
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

RECEIVED = "03-04 10:00:00"
RUNGS = ["agent", "supervisor", "qa_manager", "general_manager"]


def test_unacknowledged_the_case_climbs_every_five_minutes_and_stays_at_the_top() -> None:
    case = complaint(RECEIVED)
    pass_time(case, "03-04 10:29:59")
    climbs = found(case, "escalated")
    assert [event.data for event in climbs] == [
        {"from": low, "to": high, "cause": "unacknowledged"} for low, high in pairwise(RUNGS)
    ]
    assert when(climbs) == ["03-04 10:05:00", "03-04 10:10:00", "03-04 10:15:00"]
    assert {event.clauses for event in climbs} == {("CARD",)}
    assert notified_roles(case, "rung") == [(rung,) for rung in RUNGS]
    # Customer-facing clocks do not care who holds the case.
    assert clock(case, "answer") == ("running", "03-04 22:00:00")


@pytest.mark.parametrize(
    ("moment", "rung"),
    [
        ("03-04 10:09:59", "supervisor"),
        ("03-04 10:10:00", "supervisor"),
        ("03-04 10:10:01", "qa_manager"),
    ],
)
def test_acknowledging_at_the_limit_is_in_time(moment: str, rung: str) -> None:
    case = complaint(RECEIVED)
    if rung == "supervisor":
        do(case, moment, "acknowledge", SUPERVISOR)
        assert case.view()["holder"] == "super-2"
        assert only(case, "clock_met", clock="rung").at == at(moment)
    else:
        refuse(
            case,
            moment,
            "not_holder",
            "acknowledge",
            "by.role = 'supervisor'",
            "qa_manager holds",
            by=SUPERVISOR,
        )
    assert case.ladder.rung == rung


def test_a_higher_rung_may_acknowledge_but_only_once() -> None:
    case = complaint(RECEIVED)
    do(case, "03-04 10:01:00", "acknowledge", GM)
    assert (case.ladder.rung, case.view()["holder"], case.view()["acknowledged"]) == ("agent", "gm-1", True)
    refuse(case, "03-04 10:02:00", "already_acknowledged", "acknowledge", "gm-1")


def test_reminders_at_the_top_grow_up_to_a_day() -> None:
    case = complaint(RECEIVED, now=RECEIVED)
    do(case, "03-04 10:00:00", "reply", stage="answer")
    pass_time(case, "03-20 00:00:00")
    reminded = found(case, "reminded")
    moments = [only_at.at for only_at in reminded]
    held_since = found(case, "escalated")[-1].at
    gaps = [later - earlier for earlier, later in pairwise([held_since, *moments])]
    minutes = [gap / timedelta(minutes=1) for gap in gaps]
    assert minutes[:10] == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440]
    assert set(minutes[10:]) == {1440}
    assert [event.data for event in reminded[:2]] == [
        {"rung": "general_manager", "count": 1},
        {"rung": "general_manager", "count": 2},
    ]
    assert set(notified_roles(case, "reminder")) == {("general_manager",)}


def test_reminders_stop_when_the_top_acknowledges() -> None:
    case = complaint(RECEIVED)
    pass_time(case, "03-04 10:40:00")
    do(case, "03-04 10:41:00", "acknowledge", GM)
    count = len(found(case, "reminded"))
    assert count == 2
    pass_time(case, "03-10 00:00:00")
    assert len(found(case, "reminded")) == count


def test_reminders_stop_when_the_case_is_resolved() -> None:
    case = complaint(RECEIVED)
    pass_time(case, "03-04 10:40:00")
    do(case, "03-04 10:41:00", "resolve", GM)
    assert case.ladder.reminding.next_at is None


def test_reminders_of_a_steep_policy_never_exceed_its_longest() -> None:
    policy = policy_with(("factor = 2", "factor = 10"))
    case = complaint(RECEIVED, policy)
    pass_time(case, "05-04 10:00:00")
    moments = [event.at for event in found(case, "reminded")]
    assert len(moments) > 50
    assert max(b - a for a, b in pairwise(moments)) == timedelta(days=1)


@pytest.mark.parametrize(
    ("severity", "rung"), [("normal", "agent"), ("serious", "supervisor"), ("critical", "qa_manager")]
)
def test_severity_decides_where_a_case_starts(severity: str, rung: str) -> None:
    case = complaint(RECEIVED, severity=severity)
    assert case.ladder.rung == rung
    assert clock(case, "rung") == ("running", "03-04 10:05:00")
    assert case.events[0].data["holder_role"] == "agent"
    if rung == "agent":
        assert found(case, "escalated") == []
    else:
        climbed = only(case, "escalated")
        assert climbed.data == {"from": "agent", "to": rung, "cause": "severity"}
        assert (climbed.at, climbed.clauses) == (at(RECEIVED), ("S1-2.5",))
    assert notified_roles(case, "rung") == [(rung,)]


def test_climbing_by_hand() -> None:
    case = complaint(RECEIVED)
    do(case, "03-04 10:01:00", "acknowledge")
    do(case, "03-04 10:02:00", "escalate", CUSTOMER, reason="nobody listens")
    climbed = only(case, "escalated")
    assert climbed.data == {
        "from": "agent",
        "to": "supervisor",
        "cause": "manual",
        "reason": "nobody listens",
    }
    assert climbed.clauses == ("S1-1.8",)
    assert clock(case, "rung") == ("running", "03-04 10:07:00")
    assert (case.view()["holder"], case.view()["acknowledged"]) == ("supervisor", False)
    do(case, "03-04 10:03:00", "escalate", reason="far beyond us", to="general_manager")
    assert case.ladder.rung == "general_manager"


def test_climbing_by_hand_ends_the_present_rungs_clock() -> None:
    case = complaint(RECEIVED)
    do(case, "03-04 10:02:00", "escalate", reason="x")
    [old] = case.clocks.past
    assert (old.name, old.state, old.ended_at) == ("rung", "cancelled", at("03-04 10:02:00"))
    pass_time(case, "03-04 10:06:59")
    assert case.ladder.rung == "supervisor"


def test_climbing_by_hand_is_refused_downward_beyond_the_top_or_to_no_rung() -> None:
    case = complaint(RECEIVED, severity="serious")
    refuse(
        case,
        "03-04 10:01:00",
        "unknown_role",
        "escalate",
        "to = 'finance'",
        "agent, supervisor",
        reason="x",
        to="finance",
    )
    for to in ("agent", "supervisor"):
        refuse(case, "03-04 10:01:00", "not_above", "escalate", f"to = {to!r}", "supervisor", reason="x", to=to)
    do(case, "03-04 10:02:00", "escalate", reason="x", to="general_manager")
    refuse(case, "03-04 10:03:00", "top_rung", "escalate", "general_manager", reason="x")


def test_assigning_gives_the_case_to_a_person_with_a_rung_clock_of_their_own() -> None:
    case = complaint(RECEIVED, severity="critical")
    other = {"id": "agent-8", "role": "agent"}
    do(case, "03-04 10:02:00", "assign", QA, to=other)
    assert only(case, "assigned").data == {"from": {"role": "qa_manager", "id": None}, "to": other_way(other)}
    assert (case.ladder.rung, case.view()["holder"], case.view()["acknowledged"]) == (
        "agent",
        "agent-8",
        False,
    )
    assert clock(case, "rung") == ("running", "03-04 10:07:00")
    assert notified_roles(case, "rung")[-1] == ("agent",)
    pass_time(case, "03-04 10:07:00")
    assert case.ladder.rung == "supervisor"


def other_way(person: dict[str, str]) -> dict[str, str]:
    """A person as the data of ``assigned`` name them."""
    return {"role": person["role"], "id": person["id"]}


def test_assigning_to_oneself_acknowledges() -> None:
    case = complaint(RECEIVED)
    do(case, "03-04 10:02:00", "assign", AGENT, to=AGENT)
    assert case.events[-1].data == {"role": "agent", "id": "agent-7"}
    assert case.events[-1].type == "acknowledged"
    pass_time(case, "03-04 10:29:00")
    assert found(case, "escalated") == []


def test_assigning_is_refused_upward_from_below_and_to_no_rung() -> None:
    case = complaint(RECEIVED, severity="serious")
    refuse(case, "03-04 10:01:00", "upward", "assign", "to.role = 'qa_manager'", "supervisor", by=GM, to=QA)
    refuse(
        case,
        "03-04 10:01:00",
        "not_holder",
        "assign",
        "by.role = 'agent'",
        "from supervisor",
        by=AGENT,
        to=AGENT,
    )
    refuse(
        case,
        "03-04 10:01:00",
        "unknown_role",
        "assign",
        "to.role = 'finance'",
        "agent, supervisor",
        by=GM,
        to={"id": "f", "role": "finance"},
    )


def test_a_breached_clock_brings_the_case_up_and_never_down() -> None:
    case = complaint(RECEIVED)
    do(case, "03-04 10:01:00", "acknowledge")
    pass_time(case, "03-04 10:30:00")
    assert found(case, "escalated", cause="deadline")[0].data["to"] == "supervisor"
    do(case, "03-04 10:31:00", "acknowledge", SUPERVISOR)
    do(case, "03-04 10:32:00", "escalate", SUPERVISOR, reason="x", to="general_manager")
    do(case, "03-04 10:33:00", "acknowledge", GM)
    # The answer names the QA manager, who stands below the holder by now.
    pass_time(case, "03-04 22:00:00")
    assert only(case, "clock_breached", clock="answer")
    assert (case.ladder.rung, case.ladder.acknowledged) == ("general_manager", True)


def test_each_broken_promise_to_the_customer_has_its_rung() -> None:
    case = complaint(RECEIVED)
    for who in ("03-04 10:01:00", AGENT), ("03-04 10:31:00", SUPERVISOR), ("03-04 22:01:00", QA):
        do(case, who[0], "acknowledge", who[1])
    pass_time(case, "03-06 10:00:00")
    climbs = found(case, "escalated", cause="deadline")
    assert [(event.data["to"], *when([event])) for event in climbs] == [
        ("supervisor", "03-04 10:30:00"),
        ("qa_manager", "03-04 22:00:00"),
        ("general_manager", "03-06 10:00:00"),
    ]


def test_a_ladder_of_one_rung_reminds_from_the_start() -> None:
    raw = json.loads(default_policy().document)
    raw["ladder"]["rungs"] = ["agent"]
    raw["roles"] += RUNGS[1:]
    raw["authority"]["limits"] = {}
    text = re.sub(r'"\w+\+"', '"agent+"', json.dumps(raw))
    for key in "escalates_to", "discretion_from", "serious", "critical":
        text = re.sub(rf'"{key}": "\w+"', f'"{key}": "agent"', text)
    policy = Policy.from_document(text)
    case = complaint(RECEIVED, policy)
    pass_time(case, "03-04 10:15:00")
    assert when(found(case, "reminded")) == ["03-04 10:05:00", "03-04 10:15:00"]
    do(case, "03-04 10:16:00", "propose", options=["A"])
    do(case, "03-04 10:17:00", "answer_option", accepted=False)
    assert found(case, "escalated") == []
