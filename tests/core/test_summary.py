"""The month-end summary: signed in order, sent back, reminded of, sent to the customer (S3-4.3.1.10)."""

from __future__ import annotations

from typing import Any

import pytest

from cases.kinds.summary import Summary, check_ended, month_before
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import MOST_LISTED
from tests.core.support import (
    AGENT,
    CUSTOMER,
    DEFAULT,
    GM,
    at,
    clock,
    default_policy,
    do,
    found,
    notified_roles,
    only,
    pass_time,
    policy_with,
    refuse,
    shown,
    when,
)
from tests.core.test_from_the_ledger import without_texts

PROJECT = {"id": "pm-1", "role": "project_manager"}
DEPARTMENT = {"id": "dm-1", "role": "department_manager"}
DIRECTOR = {"id": "dir-1", "role": "director"}
DEPUTY = {"id": "dgm-1", "role": "deputy_gm"}
CLAUSE = "S3-4.3.1.10"
# A Wednesday; two working days later is the end of Thursday.
FILED = "04-01 09:00:00"
DUE = "04-02 18:00:00"
FACTS = {
    "month": "2026-03",
    "total": 2,
    "counts": {"damage": 1, "late": 1},
    "exceptions": [
        {"number": "2026-03-0001", "late": True, "category": "late", "cause": "a truck broke", "measure": "serviced"},
        {"number": "2026-03-0002", "late": False, "category": "damage", "unit": "north"},
    ],
}


def summary(filed: str = FILED, policy: Policy | None = None, key: str = "2026-03", **facts: Any) -> Summary:
    """The summary of March, filed at an instant."""
    raw = {"key": key, "received_at": at(filed).isoformat(), "facts": {**FACTS, **facts}}
    return Summary.open(read_intake(Summary.INTAKE, raw), policy or default_policy(), at(filed))


def signed(*people: dict[str, str], policy: Policy | None = None) -> Summary:
    """A summary that these have signed, a minute after each other from 10:00."""
    case = summary(policy=policy)
    for minute, by in enumerate(people):
        do(case, f"04-01 10:{minute:02}:00", "sign", by, text="cause; prevention")
    return case


# --- opening --------------------------------------------------------------------------------------


def test_both_managers_are_asked_first() -> None:
    case = summary()
    assert case.events[0].clauses == (CLAUSE,)
    assert case.events[0].data["facts"] == {**FACTS, "severity": "normal"}
    assert clock(case, "signature:1") == ("running", DUE)
    asked = [event.data for event in found(case, "signature_asked")]
    due = at(DUE).isoformat()
    assert asked == [{"step": 1, "role": role, "due": due} for role in ("project_manager", "department_manager")]
    assert notified_roles(case, "sign") == [("project_manager",), ("department_manager",)]
    view = case.view()
    assert (view["id"], view["step"], view["turn"]) == ("summary:2026-03", 1, ["project_manager", "department_manager"])
    assert view["signed"] == []


@pytest.mark.parametrize(
    ("filed", "ended"),
    [("03-31 23:59:59", False), ("04-01 00:00:00", True), ("03-01 00:00:00", False), ("04-30 10:00:00", True)],
)
def test_a_month_must_have_ended_in_the_zone_of_the_policy(filed: str, ended: bool) -> None:
    if ended:
        assert summary(filed).status == "open"
        return
    with pytest.raises(Refused) as caught:
        summary(filed)
    assert (caught.value.code, caught.value.clause) == ("month_not_ended", CLAUSE)
    assert "month = 2026-03 has not ended" in caught.value.message


def test_the_zone_decides_and_not_the_offset_that_came() -> None:
    # 16:00 in London on the last day is midnight in Shanghai.
    raw = {"key": "2026-03", "received_at": "2026-03-31T16:00:00+00:00", "facts": FACTS}
    assert Summary.open(read_intake(Summary.INTAKE, raw), default_policy(), at("04-01 00:00:00")).status == "open"
    check_ended("2025-12", at("01-01 00:00:00"))
    with pytest.raises(Refused):
        check_ended("2026-01", at("2025-12-31 23:59:59"))


@pytest.mark.parametrize(("now", "month"), [("01-01 09:00:00", "2025-12"), ("03-01 09:00:00", "2026-02")])
def test_the_month_before(now: str, month: str) -> None:
    assert month_before(at(now)) == month


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"month": "2026-13"}, "facts.month = '2026-13'"),
        ({"month": "March"}, "facts.month = 'March'"),
        ({"total": 3}, "counts add up to 2, total = 3"),
        ({"total": -1}, "facts.total = -1"),
        ({"total": 1, "counts": {"late": 1}}, "exceptions lists 2, total = 1"),
        ({"counts": {"late": 2, "none": 0}}, "facts.counts.none = 0"),
        ({"exceptions": [{"number": "1"}]}, "facts.exceptions.0.late is missing"),
        ({"exceptions": [{"number": "1", "late": False, "cause": "x" * 201}]}, "at most 200 characters"),
        ({"exceptions": [{"number": "1", "late": False, "phone": "138"}]}, "phone is not a known field"),
        (
            {"total": 500, "counts": {"late": 500}, "exceptions": [{"number": "1", "late": True}] * (MOST_LISTED + 1)},
            "at most 200 items",
        ),
    ],
)
def test_facts_that_make_no_summary_are_refused(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as caught:
        summary(**facts)
    assert caught.value.code == "invalid"
    assert said in caught.value.message


def test_the_key_is_the_month() -> None:
    with pytest.raises(Refused, match=r"key = '2026-02': the key is the month, 2026-03"):
        summary(key="2026-02")


# --- signing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [(PROJECT, DEPARTMENT), (DEPARTMENT, PROJECT)])
def test_from_the_managers_to_the_customer(first: tuple[dict[str, str], ...]) -> None:
    case = signed(*first, PROJECT, DIRECTOR, DEPUTY)
    assert [(event.data["step"], event.data["role"]) for event in found(case, "signed")] == [
        *((1, by["role"]) for by in first),
        (2, "project_manager"),
        (3, "director"),
        (4, "deputy_gm"),
    ]
    assert [clock(case, f"signature:{step}")[0] for step in (1, 2, 3, 4)] == ["met"] * 4
    said = [{"role": by["role"], "text": "cause; prevention"} for by in first]
    assert only(case, "summary_sent").data == {"month": "2026-03", "said": said}
    assert only(case, "summary_sent").clauses == (CLAUSE,)
    # Where the run does not know any more what they wrote, it refers to it.
    before = only(case, "summary_sent").seq - 3
    again = Summary.replay(case.policy, map(without_texts, case.events[:before]))
    do(again, "04-01 15:00:00", "sign", DEPUTY, text="c")
    told = only(again, "summary_sent").data["said"]
    assert [one["text"] for one in told] == [{"seq": event.seq, "field": "text"} for event in found(case, "signed")[:2]]
    assert notified_roles(case, "summary") == [("customer",)]
    assert case.status == "resolved"
    pass_time(case, "04-09 00:00:00")
    assert (case.status, case.outcome) == ("closed", "resolved")
    assert when(found(case, "closed")) == ["04-09 00:00:00"]
    assert case.due() is None


def test_the_next_step_waits_for_both_managers() -> None:
    case = signed(DEPARTMENT)
    assert case.view()["turn"] == ["project_manager"]
    assert clock(case, "signature:1")[0] == "running"
    do(case, "04-01 11:00:00", "sign", PROJECT, text="c")
    assert clock(case, "signature:2") == ("running", "04-03 11:00:00")
    assert shown(case)["signed"] == [
        {"step": 1, "role": "department_manager", "id": "dm-1", "text": "cause; prevention"},
        {"step": 1, "role": "project_manager", "id": "pm-1", "text": "c"},
    ]


@pytest.mark.parametrize(
    ("before", "by", "turn"),
    [
        ((), DIRECTOR, "project_manager and department_manager"),
        ((), DEPUTY, "project_manager and department_manager"),
        ((PROJECT,), PROJECT, "department_manager"),
        ((PROJECT, DEPARTMENT), DEPARTMENT, "project_manager"),
        ((PROJECT, DEPARTMENT), DIRECTOR, "project_manager"),
        ((PROJECT, DEPARTMENT, PROJECT), DEPUTY, "director"),
        ((PROJECT, DEPARTMENT, PROJECT, DIRECTOR), PROJECT, "deputy_gm"),
    ],
)
@pytest.mark.parametrize("command", ["sign", "send_back"])
def test_out_of_order_is_refused_and_says_whose_turn_it_is(
    command: str, before: tuple[dict[str, str], ...], by: dict[str, str], turn: str
) -> None:
    fields = {"text": "t"} if command == "sign" else {"reason": "r"}
    message = f"by.role = {by['role']!r}: it is the turn of {turn}"
    refuse(signed(*before), "04-01 11:00:00", "out_of_order", command, message, by=by, clause=CLAUSE, **fields)


@pytest.mark.parametrize("by", [AGENT, GM, CUSTOMER])
def test_who_signs_nothing_is_refused(by: dict[str, str]) -> None:
    allowed = "allowed: project_manager, department_manager, director, deputy_gm"
    refuse(summary(), "04-01 10:00:00", "role", "sign", allowed, by=by, text="t")


def test_the_first_give_cause_and_prevention() -> None:
    refuse(summary(), "04-01 10:00:00", "text_missing", "sign", "cause and prevention", by=PROJECT, clause=CLAUSE)
    case = signed(PROJECT, DEPARTMENT)
    do(case, "04-01 11:00:00", "sign", PROJECT)
    assert "text" not in found(case, "signed")[-1].data


def test_nobody_signs_in_two_roles_running() -> None:
    other = {"id": "pm-1", "role": "department_manager"}
    refuse(signed(PROJECT), "04-01 11:00:00", "four_eyes", "sign", "pm-1", "step 1", by=other, clause=CLAUSE, text="t")
    case = signed(PROJECT, DEPARTMENT, PROJECT)
    both = {"id": "pm-1", "role": "director"}
    refuse(case, "04-01 11:00:00", "four_eyes", "sign", "step 2 as project_manager", by=both, clause=CLAUSE)
    # Whoever wrote two steps ago may audit, and a manager in one role signs twice by the rule itself.
    do(case, "04-01 11:00:00", "sign", {"id": "dm-1", "role": "director"})
    assert case.view()["turn"] == ["deputy_gm"]


@pytest.mark.parametrize("name", ["resolve", "close", "withdraw", "approve", "extend", "promise"])
def test_nothing_ends_it_without_its_signatures(name: str) -> None:
    assert name not in KINDS["summary"].COMMANDS


def test_after_the_last_signature_nobody_signs() -> None:
    case = signed(PROJECT, DEPARTMENT, PROJECT, DIRECTOR, DEPUTY)
    refuse(case, "04-01 12:00:00", "resolved", "sign", "the case is resolved", by=DEPUTY)


def test_the_customer_may_object_and_it_begins_again() -> None:
    case = signed(PROJECT, DEPARTMENT, PROJECT, DIRECTOR, DEPUTY)
    do(case, "04-02 09:00:00", "reopen", CUSTOMER, reason="two are missing")
    assert (case.status, case.view()["step"], case.view()["signed"]) == ("open", 1, [])
    assert clock(case, "signature:1") == ("running", "04-03 18:00:00")
    refuse(case, "04-02 10:00:00", "out_of_order", "sign", "project_manager and", by=DEPUTY, clause=CLAUSE)


# --- sending back ---------------------------------------------------------------------------------


def test_a_refused_signature_goes_back_a_step_with_its_reason() -> None:
    case = signed(PROJECT, DEPARTMENT, PROJECT, DIRECTOR)
    do(case, "04-01 11:00:00", "send_back", DEPUTY, reason="no prevention")
    event = only(case, "sent_back")
    assert event.data == {"step": 4, "to": 3, "role": "deputy_gm", "reason": "no prevention"}
    assert (event.actor.id, event.clauses) == ("dgm-1", (CLAUSE,))
    assert clock(case, "signature:4")[0] == "met"
    assert clock(case, "signature:3") == ("running", "04-03 11:00:00")
    assert found(case, "signature_asked")[-1].data["sent_back"] is True
    assert notified_roles(case, "sent_back") == [("agent",)]
    assert notified_roles(case, "sign")[-1] == ("director",)
    # Back to the managers, who both sign anew.
    do(case, "04-01 11:01:00", "send_back", DIRECTOR, reason="r")
    do(case, "04-01 11:02:00", "send_back", PROJECT, reason="r")
    assert case.view()["turn"] == ["project_manager", "department_manager"]
    assert case.view()["signed"] == []
    for minute, by in enumerate((DEPARTMENT, PROJECT, PROJECT, DIRECTOR, DEPUTY)):
        do(case, f"04-01 12:{minute:02}:00", "sign", by, text="t")
    assert case.status == "resolved"


def test_the_first_step_has_nobody_to_send_it_back_to() -> None:
    refuse(summary(), "04-01 10:00:00", "first_step", "send_back", "sign", by=PROJECT, clause=CLAUSE, reason="r")


def test_a_refusal_needs_its_reason() -> None:
    with pytest.raises(Refused, match="reason is missing"):
        do(signed(PROJECT, DEPARTMENT), "04-01 11:00:00", "send_back", PROJECT)


# --- time -----------------------------------------------------------------------------------------


def test_a_signature_at_the_limit_is_in_time_and_a_second_later_is_not() -> None:
    for moment, state in ((DUE, "met"), ("04-02 18:00:01", "breached")):
        case = signed(DEPARTMENT)
        do(case, moment, "sign", PROJECT, text="t")
        assert clock(case, "signature:1")[0] == state
        assert case.view()["step"] == 2


def test_who_is_late_is_reminded_daily_and_the_general_manager_hears_of_it() -> None:
    case = signed(DEPARTMENT)
    case.outbox.clear()
    pass_time(case, "04-05 00:00:00")
    assert when(found(case, "clock_warned")) == ["04-02 13:30:00"]
    assert when(found(case, "clock_breached")) == [DUE]
    assert only(case, "escalated").data == {"from": "agent", "to": "general_manager", "cause": "deadline"}
    reminders = found(case, "reminded")
    assert when(reminders) == [DUE, "04-03 18:00:00", "04-04 18:00:00"]
    assert [event.data for event in reminders] == [
        {"rung": "project_manager", "count": count, "subject": "signature:1"} for count in (1, 2, 3)
    ]
    assert notified_roles(case, "reminder") == [("project_manager",)] * 3
    assert (notified_roles(case, "breach"), notified_roles(case, "rung")) == ([("agent",)], [("general_manager",)])
    do(case, "04-05 09:00:00", "sign", PROJECT, text="t")
    # Signed: the next step has a clock and reminders of its own.
    # The 6th is a holiday.
    assert case.due() == at("04-08 13:30:00")
    assert list(case.route.turns()) == []


def test_both_are_reminded_at_once() -> None:
    case = summary()
    pass_time(case, "04-03 18:00:00")
    assert [(event.data["rung"], event.data["count"]) for event in found(case, "reminded")] == [
        ("project_manager", 1),
        ("department_manager", 1),
        ("project_manager", 2),
        ("department_manager", 2),
    ]


def test_sending_back_late_ends_the_reminders() -> None:
    case = signed(PROJECT, DEPARTMENT)
    pass_time(case, "04-04 00:00:00")
    assert len(found(case, "reminded")) == 1
    do(case, "04-04 09:00:00", "send_back", PROJECT, reason="r")
    pass_time(case, "04-07 00:00:00")
    assert len(found(case, "reminded")) == 1
    assert [event.data["to"] for event in found(case, "escalated")] == ["general_manager"]


def test_holidays_do_not_count() -> None:
    # Filed on Labour Day: the holiday ends with 5 May, and Saturday the 9th is worked.
    case = summary("05-01 09:00:00")
    assert clock(case, "signature:1") == ("running", "05-07 18:00:00")


def test_a_replay_gives_the_same_case() -> None:
    case = signed(PROJECT, DEPARTMENT, PROJECT)
    pass_time(case, "04-05 00:00:00")
    do(case, "04-05 10:00:00", "send_back", DIRECTOR, reason="r")
    again = Summary.replay(case.policy, case.events)
    assert (again.view(), again.due()) == (case.view(), case.due())
    assert again.explain(at("04-06 00:00:00")) == case.explain(at("04-06 00:00:00"))


# --- the policy -----------------------------------------------------------------------------------


def test_another_order_is_data() -> None:
    policy = policy_with(
        (
            '[["project_manager", "department_manager"], ["project_manager"], ["director"], ["deputy_gm"]]',
            '[["director"], ["deputy_gm"]]',
        )
    )
    case = signed(DIRECTOR, DEPUTY, policy=policy)
    assert case.status == "resolved"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["deputy_gm"]]', '["boss"]]', "summary.signatures.3 = 'boss' is not a role"),
        ('["deputy_gm"]]', '["auditor"]]', "permissions.sign: auditor is missing"),
        ('["deputy_gm"]]', "[]]", "summary.signatures.3"),
        ("[summary.clocks.signature]", "[summary.clocks.signatur]", "summary.clocks.signatur"),
        ("[summary.reminders]", "[summary.payout_retries]", "summary.reminders is missing"),
    ],
)
def test_a_policy_that_cannot_be_signed_by_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        policy_with((old, new))
    assert caught.value.code == "bad_policy"
    assert said in caught.value.message


def test_a_policy_of_before_there_were_summaries_still_serves() -> None:
    head, _, rest = DEFAULT.partition("# --- month-end summaries")
    policy = Policy.from_toml(head + rest[rest.index("# --- compensation") :])
    assert policy.kinds == ("complaint", "claim", "exception", "inquiry")
    with pytest.raises(Refused, match=r"no section \[summary\]"):
        summary(policy=policy)
