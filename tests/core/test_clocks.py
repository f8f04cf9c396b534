"""The clocks of a case: limits, warnings, pauses, extensions, promises (T1, S4-2.4, S4-3.3.3, S1-4.1)."""

from __future__ import annotations

from typing import Any

import pytest

from cases.kinds.complaint import Complaint
from tests.core.support import (
    AGENT,
    GM,
    SUPERVISOR,
    at,
    clock,
    complaint,
    do,
    found,
    notices,
    notified_roles,
    only,
    pass_time,
    policy_with,
    refuse,
    when,
)

RECEIVED = "03-10 09:00:00"
S4 = "S4-2.4"


def taken_up(received: str = RECEIVED, **facts: Any) -> Complaint:
    """A complaint that somebody at the top took up, so that no rung clock and no climb is in the way."""
    case = complaint(received, **facts)
    do(case, received, "escalate", reason="test", to="general_manager")
    do(case, received, "acknowledge", GM)
    do(case, received, "reply", stage="interim")
    return case


# --- limits and warnings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "state"),
    [("03-12 08:59:59", "met"), ("03-12 09:00:00", "met"), ("03-12 09:00:01", "breached")],
)
def test_a_solution_at_the_limit_is_in_time(moment: str, state: str) -> None:
    case = taken_up()
    do(case, moment, "resolve")
    assert clock(case, "resolution")[0] == state


def test_interim_reply_and_answer_end_their_clocks() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:30:00", "reply", stage="interim")
    assert only(case, "clock_met", clock="interim_reply").data["due"] == "2026-03-10T09:30:00+08:00"
    assert clock(case, "answer")[0] == "running"
    do(case, "03-10 09:31:00", "reply", stage="answer", text="on its way")
    assert only(case, "clock_met", clock="answer")
    assert found(case, "replied")[1].data == {"stage": "answer", "text": "on its way"}
    # The answer is an interim word too.
    case = complaint(RECEIVED)
    do(case, "03-10 09:10:00", "reply", stage="answer")
    assert (clock(case, "interim_reply")[0], clock(case, "answer")[0]) == ("met", "met")


def test_warnings_come_at_their_share_of_the_limit() -> None:
    case = taken_up()
    pass_time(case, "03-30 00:00:00")
    warned = found(case, "clock_warned")
    assert [(event.data["clock"], *when([event])) for event in warned] == [
        ("answer", "03-10 18:00:00"),
        ("resolution", "03-11 21:00:00"),
        # 75 % of 7 days 14:59:59
        ("legal_limit", "03-16 02:14:59"),
    ]
    assert {event.data["fraction"] for event in warned} == {"0.75"}
    assert case.view()["breached"] == ["report", "answer", "resolution", "legal_limit"]


def test_the_law_is_seven_calendar_days_over_a_holiday() -> None:
    case = complaint("02-14 18:30:00")
    assert clock(case, "legal_limit")[1] == "02-21 23:59:59"


# --- pauses (S4-3.3.3) ----------------------------------------------------------------------------


def test_an_unreachable_customer_stops_the_clocks_worked_case_12() -> None:
    case = taken_up("03-05 08:00:00")
    do(case, "03-05 19:00:00", "log_contact", reached=False, channel="phone", reason="no answer")
    assert only(case, "contact_attempted").data == {
        "reached": False,
        "channel": "phone",
        "reason": "no answer",
    }
    assert only(case, "clock_paused").data == {"clocks": ["answer", "resolution"], "reason": "no answer"}
    assert only(case, "clock_paused").clauses == ("S4-3.3.3",)
    do(case, "03-06 09:30:00", "log_contact", reached=True)
    assert only(case, "clock_resumed").data == {
        "clocks": ["answer", "resolution"],
        "dues": ["2026-03-06T10:30:00+08:00", "2026-03-07T22:30:00+08:00"],
    }
    assert clock(case, "legal_limit") == ("running", "03-12 23:59:59")
    do(case, "03-06 10:30:00", "reply", stage="answer")
    do(case, "03-07 22:30:00", "resolve")
    assert case.breached_clocks() == ["report"]


def test_two_pauses_add_up_worked_case_13() -> None:
    case = taken_up("03-10 15:00:00", source="platform")
    do(case, "03-10 16:00:00", "reply", stage="answer")
    for lost, reached in ("03-11 10:00:00", "03-11 18:05:00"), ("03-11 20:40:00", "03-12 09:20:00"):
        do(case, lost, "log_contact", reached=False)
        do(case, reached, "log_contact", reached=True)
    assert clock(case, "resolution") == ("running", "03-13 11:45:00")
    pauses = case.explain(at("03-12 10:00:00"))[-3]["pauses"]
    assert [(pause["from"][5:19], pause["to"][5:19], pause["reason"]) for pause in pauses] == [
        ("03-11T10:00:00", "03-11T18:05:00", "unreachable"),
        ("03-11T20:40:00", "03-12T09:20:00", "unreachable"),
    ]
    assert [case.event(notice.seq).type for notice in notices(case) if notice.name == "platform"][-4:] == [
        "clock_paused",
        "clock_resumed",
    ] * 2
    pass_time(case, "03-13 11:45:00")
    assert clock(case, "resolution")[0] == "breached"
    # A stop cannot start after the deadline has passed.
    do(case, "03-13 12:00:00", "log_contact", reached=False)
    assert len(found(case, "clock_paused")) == 2


def test_a_pause_moves_the_warning_with_the_clock() -> None:
    case = taken_up()
    do(case, "03-10 17:00:00", "log_contact", reached=False)
    assert pass_time(case, "03-10 22:00:00") == []
    do(case, "03-10 23:00:00", "log_contact", reached=True)
    pass_time(case, "03-11 23:59:59")
    assert when(found(case, "clock_warned", clock="answer")) == ["03-11 00:00:00"]
    assert when(found(case, "clock_breached", clock="answer")) == ["03-11 03:00:00"]


def test_a_pause_at_the_very_warning_or_limit_loses_neither() -> None:
    case = taken_up()
    do(case, "03-10 18:00:00", "log_contact", reached=False)
    do(case, "03-10 19:00:00", "log_contact", reached=True)
    pass_time(case, "03-10 19:00:00")
    assert when(found(case, "clock_warned", clock="answer")) == ["03-10 19:00:00"]
    do(case, "03-10 22:00:00", "log_contact", reached=False)
    do(case, "03-10 23:00:00", "log_contact", reached=True)
    pass_time(case, "03-10 23:00:00")
    assert when(found(case, "clock_breached", clock="answer")) == ["03-10 23:00:00"]


def test_a_second_failed_call_prolongs_the_pause_and_starts_none() -> None:
    case = taken_up()
    do(case, "03-10 10:00:00", "log_contact", reached=False)
    do(case, "03-10 11:00:00", "log_contact", reached=False)
    do(case, "03-10 12:00:00", "log_contact", reached=True)
    do(case, "03-10 13:00:00", "log_contact", reached=True)
    assert (len(found(case, "clock_paused")), len(found(case, "clock_resumed"))) == (1, 1)
    assert len(found(case, "contact_attempted")) == 4
    assert clock(case, "answer")[1] == "03-10 23:00:00"


def test_a_paused_clock_is_explained_and_met_as_of_now() -> None:
    case = taken_up()
    do(case, "03-10 10:00:00", "log_contact", reached=False, reason="hung up")
    explained = {entry["clock"]: entry for entry in case.explain(at("03-10 12:00:00"))}
    assert explained["answer"]["due"] == "2026-03-10T23:00:00+08:00"
    assert explained["answer"]["pauses"] == [{"from": "2026-03-10T10:00:00+08:00", "to": None, "reason": "hung up"}]
    do(case, "03-10 13:00:00", "reply", stage="answer")
    assert only(case, "clock_met", clock="answer").data["due"] == "2026-03-11T00:00:00+08:00"
    assert case.clocks["answer"].pauses[0].until == at("03-10 13:00:00")


def test_explain_says_limit_start_end_and_clause() -> None:
    case = taken_up()
    do(case, "03-10 10:00:00", "reply", stage="answer")
    explained = {entry["clock"]: entry for entry in case.explain(at("03-10 12:00:00"))}
    assert explained["answer"] == {
        "clock": "answer",
        "state": "met",
        "started_at": "2026-03-10T09:00:00+08:00",
        "due": "2026-03-10T21:00:00+08:00",
        "ended_at": "2026-03-10T10:00:00+08:00",
        "limit": {"elapsed_minutes": "720"},
        "days_off": [],
        "provisional_years": [],
        "earlier_dues": [],
        "pauses": [],
        "escalates_to": "qa_manager",
        "clause": "S4-2.4",
    }
    assert explained["legal_limit"]["limit"] == {"calendar_days": 7}


# --- extensions (S4-2.4) --------------------------------------------------------------------------


def extend(case: Complaint, moment: str, due: str, name: str = "resolution") -> None:
    """The supervisor grants a later target."""
    do(case, moment, "extend", SUPERVISOR, clock=name, due=at(due).isoformat(), reason="special difficult")


def test_an_extension_moves_limit_and_warning_worked_case_14() -> None:
    case = taken_up("03-09 10:00:00")
    extend(case, "03-10 16:00:00", "03-14 18:00:00")
    event = only(case, "extended")
    assert event.data == {
        "clock": "resolution",
        "due": "2026-03-14T18:00:00+08:00",
        "reason": "special difficult",
    }
    assert event.clauses == (S4, "S4-3.1.1.5")
    pass_time(case, "03-14 17:59:59")
    # 75 % of the 98 hours that were left
    assert when(found(case, "clock_warned", clock="resolution")) == ["03-13 17:30:00"]
    do(case, "03-14 18:00:00", "resolve")
    assert clock(case, "resolution")[0] == "met"


def test_an_extension_after_the_breach_is_a_clock_of_its_own() -> None:
    case = taken_up("03-09 10:00:00")
    pass_time(case, "03-11 10:00:00")
    extend(case, "03-11 12:00:00", "03-14 18:00:00")
    assert clock(case, "resolution") == ("running", "03-14 18:00:00")
    assert [past.state for past in case.clocks.past if past.name == "resolution"] == ["breached"]
    pass_time(case, "03-14 18:00:00")
    assert len(found(case, "clock_breached", clock="resolution")) == 2
    assert case.breached_clocks().count("resolution") == 1


def test_an_extension_during_a_pause_counts_from_the_reach() -> None:
    case = taken_up("03-09 10:00:00")
    do(case, "03-09 12:00:00", "log_contact", reached=False)
    extend(case, "03-09 14:00:00", "03-13 14:00:00")
    explained = {entry["clock"]: entry for entry in case.explain(at("03-09 14:00:00"))}
    assert explained["resolution"]["due"] == "2026-03-13T14:00:00+08:00"
    do(case, "03-09 15:00:00", "log_contact", reached=True)
    assert clock(case, "resolution") == ("running", "03-13 15:00:00")
    pass_time(case, "03-13 15:00:00")
    # 75 % of the 96 hours that were left, as of the reach
    assert when(found(case, "clock_warned", clock="resolution")) == ["03-12 15:00:00"]


def test_an_extension_is_refused_past_the_law_backward_for_other_clocks_and_by_agents() -> None:
    case = taken_up("03-09 10:00:00")

    def no(moment: str, code: str, *parts: str, by: dict[str, str] = SUPERVISOR, **fields: str) -> None:
        clause = {"role": "", "past_legal_limit": "O-REG-29"}.get(code, S4)
        given = {"clock": "resolution", "due": "2026-03-14T18:00:00+08:00", "reason": "x"} | fields
        refuse(case, moment, code, "extend", *parts, by=by, clause=clause, **given)

    no("03-10 16:00:00", "role", "by.role = 'agent'", "supervisor, qa_manager", by=AGENT)
    no("03-10 16:00:00", "not_extendable", "clock = 'rung'", "allowed: answer, resolution", clock="rung")
    no("03-10 16:00:00", "not_extendable", "clock = 'lunch'", "answer, resolution", clock="lunch")
    no("03-10 16:00:00", "not_later", "2026-03-11T10:00:00+08:00", due="2026-03-11T10:00:00+08:00")
    no(
        "03-10 16:00:00",
        "past_legal_limit",
        "2026-03-17T00:00:00+08:00",
        "2026-03-16T23:59:59+08:00",
        due="2026-03-17T00:00:00+08:00",
    )
    # Once it is breached the target must still lie ahead.
    no("03-12 16:00:00", "not_later", "2026-03-12T16:00:00+08:00", due="2026-03-12T16:00:00+08:00")
    no("03-17 10:00:00", "past_legal_limit", "legal limit", due="2026-03-18T18:00:00+08:00")
    do(case, "03-17 11:00:00", "reply", stage="answer")
    other = taken_up()
    do(other, "03-10 10:00:00", "reply", stage="answer")
    refuse(
        other,
        "03-10 11:00:00",
        "clock_ended",
        "extend",
        "clock = 'answer'",
        "met",
        by=SUPERVISOR,
        clause=S4,
        clock="answer",
        due="2026-03-12T18:00:00+08:00",
        reason="x",
    )


# --- promises (S1-4.1) ----------------------------------------------------------------------------


def promise(case: Complaint, moment: str, reply_by: str) -> None:
    """The agent promises a reply."""
    do(case, moment, "promise", reply_by=at(reply_by).isoformat())


@pytest.mark.parametrize(("moment", "state"), [("03-10 16:00:00", "met"), ("03-10 16:00:01", "breached")])
def test_a_promise_is_kept_by_any_reply_at_the_promised_time_worked_case_16(moment: str, state: str) -> None:
    case = taken_up()
    promise(case, "03-10 10:00:00", "03-10 16:00:00")
    assert only(case, "promised").data == {"reply_by": "2026-03-10T16:00:00+08:00"}
    do(case, moment, "reply", stage="interim")
    promise(case, moment, "03-11 16:00:00")
    assert clock(case, "promise:1")[0] == state
    assert clock(case, "promise:2") == ("running", "03-11 16:00:00")
    assert clock(case, "resolution")[0] == "running"


def test_a_broken_promise_brings_in_the_supervisor_and_tells_them() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "acknowledge")
    promise(case, "03-10 09:01:00", "03-10 09:10:00")
    case.outbox.clear()
    pass_time(case, "03-10 09:10:00")
    assert only(case, "escalated").data["to"] == "supervisor"
    assert notified_roles(case, "breach")[-1] == ("supervisor",)


def test_several_promises_are_kept_by_one_reply() -> None:
    case = taken_up()
    promise(case, "03-10 10:00:00", "03-10 16:00:00")
    promise(case, "03-10 10:01:00", "03-10 17:00:00")
    do(case, "03-10 11:00:00", "reply", stage="interim")
    assert (clock(case, "promise:1")[0], clock(case, "promise:2")[0]) == ("met", "met")


def test_a_promise_neither_lies_in_the_past_nor_past_the_law() -> None:
    case = taken_up()
    for due in "2026-03-10T10:00:00+08:00", "2026-03-10T01:59:59Z":
        parts = ("reply_by = ", "is not after 2026-03-10T10:00:00+08:00")
        refuse(case, "03-10 10:00:00", "past", "promise", *parts, clause="S1-4.1", reply_by=due)
    refuse(
        case,
        "03-10 10:00:00",
        "past_legal_limit",
        "promise",
        "reply_by = 2026-03-18T00:00:00+08:00",
        "2026-03-17T23:59:59+08:00",
        clause="O-REG-29",
        reply_by="2026-03-18T00:00:00+08:00",
    )
    promise(case, "03-10 10:00:00", "03-17 23:59:59")


def test_a_pause_does_not_move_a_promise() -> None:
    case = taken_up()
    promise(case, "03-10 10:00:00", "03-10 16:00:00")
    do(case, "03-10 11:00:00", "log_contact", reached=False)
    pass_time(case, "03-10 16:00:00")
    assert clock(case, "promise:1")[0] == "breached"


# --- working time ---------------------------------------------------------------------------------


def test_a_clock_in_working_time_keeps_its_working_time_over_pause_and_weekend() -> None:
    # 6 working hours of 09:00-18:00; 2026-03-13 is a Friday.
    policy = policy_with(('elapsed = "PT12H"', 'working_time = "PT6H"'))
    case = complaint("03-13 15:00:00", policy)
    assert clock(case, "answer")[1] == "03-16 12:00:00"
    assert case.clocks["answer"].warnings == [(75, at("03-16 10:30:00"))]
    do(case, "03-13 16:00:00", "log_contact", reached=False)
    do(case, "03-14 12:00:00", "log_contact", reached=True)
    # Five working hours were left.
    assert clock(case, "answer")[1] == "03-16 14:00:00"
    assert case.clocks["answer"].warnings == [(75, at("03-16 12:30:00"))]
    extend(case, "03-16 10:00:00", "03-17 10:00:00", "answer")
    # 75 % of the 9 hours that were left
    assert case.clocks["answer"].warnings == [(75, at("03-16 16:45:00"))]
    assert {entry["clock"]: entry for entry in case.explain(at("03-16 10:00:00"))}["answer"]["limit"] == {
        "working_minutes": "360"
    }
