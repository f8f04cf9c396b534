"""A complaint from receipt to its end: opening, investigating, options, after-care (S0-2.3, S1-4)."""

from __future__ import annotations

from typing import Any

import pytest

from cases.kinds.complaint import Complaint
from cases.mechanisms.clocks import Clock
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    CUSTOMER,
    GM,
    PERSONAL,
    QA,
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
    shown,
    when,
)
from tests.core.test_from_the_ledger import without_texts

RECEIVED = "03-10 09:00:00"
HASH = "0" * 64


def resolved(at_: str = "03-10 10:00:00", **facts: Any) -> Complaint:
    """A complaint solved an hour after its receipt."""
    case = complaint(RECEIVED, **facts)
    do(case, "03-10 09:01:00", "acknowledge")
    do(case, at_, "resolve")
    return case


# --- opening --------------------------------------------------------------------------------------


def test_opening_starts_every_clock_of_a_direct_complaint() -> None:
    case = complaint(RECEIVED, unit="hangzhou", customer=PERSONAL, description="late")
    opened = case.events[0]
    assert opened.type == "case_opened"
    assert opened.clauses == ("S0-2.3", "S1-2.5")
    assert opened.data["holder_role"] == "agent"
    assert opened.data["policy_hash"] == case.policy.hash
    assert opened.data["facts"] == {
        "category": "delay",
        "severity": "normal",
        "source": "customer",
        "unit": "hangzhou",
    }
    assert {name: clock(case, name) for name in case.clocks} == {
        "rung": ("running", "03-10 09:05:00"),
        "report": ("running", "03-10 09:05:00"),
        "interim_reply": ("running", "03-10 09:30:00"),
        "answer": ("running", "03-10 21:00:00"),
        "resolution": ("running", "03-12 09:00:00"),
        "legal_limit": ("running", "03-17 23:59:59"),
    }
    view = case.view()
    assert (view["id"], view["status"], view["rung"], view["holder"]) == (
        "complaint:C-1",
        "open",
        "agent",
        "agent",
    )
    assert notified_roles(case, "report") == [("supervisor", "qa_manager", "general_manager")]
    assert notified_roles(case, "rung") == [("agent",)]


def test_a_complaint_of_the_network_has_no_broadcast() -> None:
    case = complaint(RECEIVED, source="network")
    assert "report" not in case.clocks
    assert notified_roles(case, "report") == []


def test_a_receipt_in_the_past_elapses_in_order_each_at_its_own_time() -> None:
    case = complaint(RECEIVED, now="03-10 09:20:00")
    assert case.events[-1].at == at(RECEIVED)
    events = pass_time(case, "03-10 09:20:00")
    assert when(found(case, "escalated")) == ["03-10 09:05:00", "03-10 09:10:00", "03-10 09:15:00"]
    assert when(found(case, "reminded")) == ["03-10 09:20:00"]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert {event.recorded_at for event in case.events} == {at("03-10 09:20:00")}


def test_a_receipt_in_the_future_is_refused_beyond_the_skew_of_clocks() -> None:
    with pytest.raises(Refused) as caught:
        complaint("03-10 09:05:01", now="03-10 09:00:00")
    assert caught.value.code == "invalid"
    assert "received_at = 2026-03-10T09:05:01+08:00" in caught.value.message
    # A clock that runs a little ahead: the receipt counts as now, so that commands at once are not too early.
    assert complaint("03-10 09:05:00", now="03-10 09:00:00").opened_at == at("03-10 09:00:00")


def test_a_resubmission_names_its_parent() -> None:
    raw = {"key": "C-2", "parent": "complaint:C-1", "facts": {"category": "loss"}}
    case = Complaint.open(Complaint.INTAKE.model_validate(raw), complaint(RECEIVED).policy, at(RECEIVED))
    assert case.events[0].data["parent"] == "complaint:C-1"
    assert case.view()["parent"] == "complaint:C-1"


# --- remarks, documents, findings -----------------------------------------------------------------


def test_notes_and_attachments_go_into_the_record() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "note", CUSTOMER, text="still waiting")
    do(case, "03-10 09:02:00", "attach", name="call", sha256=HASH, where="store/1")
    assert only(case, "noted").data == {"text": "still waiting"}
    assert only(case, "noted").actor.role == "customer"
    assert only(case, "attached").data == {"name": "call", "sha256": HASH, "where": "store/1"}
    assert only(case, "attached").clauses == ("S0-2.3.5",)


def test_findings_of_the_investigation_are_kept() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "investigate", delay_cause="human", justified=True)
    do(case, "03-10 09:02:00", "investigate", finding="forgotten in the van")
    assert [event.data for event in found(case, "investigated")] == [
        {"delay_cause": "human", "justified": True},
        {"finding": "forgotten in the van"},
    ]
    assert case.view()["justified"] is True
    refuse(case, "03-10 09:03:00", "invalid", "investigate", "finding", "delay_cause", "justified")


@pytest.mark.parametrize(
    ("name", "fields", "parts"),
    [
        ("note", {}, ("note: text is missing",)),
        ("note", {"text": " "}, ("text",)),
        ("note", {"text": "x", "textt": "y"}, ("textt is not a known field",)),
        ("attach", {"name": "a", "sha256": "ab", "where": "b"}, ("sha256 = 'ab'", "64")),
        ("investigate", {"delay_cause": "weather"}, ("delay_cause = 'weather'", "'objective', 'human'")),
        ("reply", {"stage": "final"}, ("stage = 'final'", "'interim' or 'answer'")),
        ("promise", {"reply_by": "2026-03-10T12:00:00"}, ("reply_by = '2026-03-10T12:00:00'", "timezone")),
        ("promise", {"reply_by": "9999-12-31T23:00:00Z"}, ("9999-12-31", "2000 to 9998")),
        ("extend", {"clock": "answer", "due": "0001-01-01T00:00:00Z", "reason": "x"}, ("0001-01-01", "2000")),
        ("request_approval", {"subject": "refund", "amount": 12.5}, ("amount = 12.5", "never as a float")),
        (
            "request_approval",
            {"subject": "refund", "amount": "12.505"},
            ("amount = '12.505'", "two decimals"),
        ),
        ("request_approval", {"subject": "退款\n申请"}, ("subject = (text)", "one line")),
        ("request_approval", {"subject": "字" * 65}, ("subject = (text)", "at most 64")),
        ("request_approval", {"subject": " \u3000 "}, ("subject = (text)", "at least 1")),
        ("log_contact", {"reached": True, "channel": "电话\x07"}, ("channel = (text)", "one line")),
        ("log_contact", {"reached": "perhaps"}, ("reached = 'perhaps'",)),
        ("propose", {"options": []}, ("options", "at least 1")),
        ("assign", {"to": {"id": "x"}}, ("to.role is missing",)),
        ("escalate", {}, ("reason is missing",)),
        ("reject", {}, ("reason is missing",)),
    ],
)
def test_a_malformed_command_names_field_value_and_what_is_allowed(
    name: str, fields: dict[str, Any], parts: tuple[str, ...]
) -> None:
    refuse(complaint(RECEIVED), "03-10 09:01:00", "invalid", name, f"{name}: ", *parts, **fields)


def test_an_unknown_command_names_those_that_are_known() -> None:
    refuse(complaint(RECEIVED), "03-10 09:01:00", "unknown_command", "shout", "'shout'", "acknowledge")


def test_a_role_that_may_not_or_does_not_exist_is_refused() -> None:
    case = complaint(RECEIVED)
    refuse(case, "03-10 09:01:00", "role", "acknowledge", "'customer'", "agent, supervisor", by=CUSTOMER)
    boss = {"id": "b", "role": "boss"}
    refuse(case, "03-10 09:01:00", "unknown_role", "note", "by.role = 'boss'", "agent", by=boss, text="x")


def test_an_act_before_what_has_happened_is_refused() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:03:00", "acknowledge")
    refuse(case, "03-10 09:02:59", "too_early", "note", "2026-03-10T09:02:59+08:00", text="x")


# --- options one at a time (S1-4.2) ---------------------------------------------------------------


def test_options_are_offered_one_at_a_time_until_one_is_accepted() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "propose", options=["A", "B", "C"])
    assert shown(case)["offered"] == "A"
    do(case, "03-10 09:02:00", "answer_option", CUSTOMER, accepted=False)
    do(case, "03-10 09:03:00", "answer_option", CUSTOMER, accepted=False)
    assert [event.data["option"] for event in found(case, "option_offered")] == ["A", "B", "C"]
    do(case, "03-10 09:04:00", "answer_option", CUSTOMER, accepted=True)
    assert (shown(case)["offered"], shown(case)["accepted"]) == (None, "C")
    assert found(case, "escalated") == []


def test_an_option_whose_text_is_not_known_any_more_is_referred_to() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "propose", options=["A", "B", "C"])
    seq = only(case, "proposed").seq
    again = Complaint.replay(case.policy, map(without_texts, case.events))
    for known in (case, again):
        do(known, "03-10 09:02:00", "answer_option", CUSTOMER, accepted=False)
        do(known, "03-10 09:03:00", "answer_option", CUSTOMER, accepted=True)
    assert [event.data["option"] for event in found(again, "option_answered")] == [
        {"seq": seq, "field": "options.0"},
        {"seq": seq, "field": "options.1"},
    ]
    # It is told apart by its place: what is known of the case is the same.
    assert again.view() == case.view()
    assert again.view()["accepted"] == {"seq": seq, "field": "options.1"}


def test_all_options_rejected_brings_in_the_supervisor() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "propose", options=["A"])
    do(case, "03-10 09:02:00", "answer_option", CUSTOMER, accepted=False)
    climbed = only(case, "escalated")
    assert climbed.data == {
        "from": "agent",
        "to": "supervisor",
        "cause": "manual",
        "reason": "all options rejected",
    }
    assert climbed.clauses == ("S1-4.2",)
    # Never downward: a manager who holds the case keeps it.
    do(case, "03-10 09:03:00", "escalate", SUPERVISOR, reason="hard", to="general_manager")
    do(case, "03-10 09:04:00", "propose", options=["B"])
    do(case, "03-10 09:05:00", "answer_option", CUSTOMER, accepted=False)
    assert case.ladder.rung == "general_manager"


def test_proposing_and_answering_are_refused_out_of_turn() -> None:
    case = complaint(RECEIVED)
    law = "S1-4.2"
    refuse(case, "03-10 09:01:00", "no_option", "answer_option", "no option", clause=law, accepted=True)
    five = [str(number) for number in range(5)]
    refuse(
        case,
        "03-10 09:01:00",
        "too_many_options",
        "propose",
        "5 given",
        "at most 4",
        clause=law,
        options=five,
    )
    refuse(case, "03-10 09:01:00", "invalid", "propose", "options", "twice", clause=law, options=["A", "A"])
    do(case, "03-10 09:02:00", "propose", options=["A", "B"])
    refuse(case, "03-10 09:03:00", "option_open", "propose", "option 1", clause=law, options=["C"])
    refuse(case, "03-10 09:03:00", "option_open", "resolve", "option 1", clause=law)


# --- resolving and what follows -------------------------------------------------------------------


def test_resolving_acknowledges_and_ends_what_runs_for_the_customer() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "promise", reply_by=at("03-10 12:00:00").isoformat())
    do(case, "03-10 09:02:00", "request_approval", subject="refund", amount="500.00")
    do(case, "03-10 09:03:00", "resolve", summary="delivered")
    assert only(case, "acknowledged").data == {"role": "agent", "id": "agent-7"}
    assert only(case, "resolved").data == {"summary": "delivered"}
    states = {name: clock(case, name)[0] for name in case.clocks}
    assert states == {
        "rung": "met",
        "report": "running",
        "interim_reply": "met",
        "answer": "met",
        "resolution": "met",
        "legal_limit": "met",
        "promise:1": "met",
        "approval:1": "running",
        "follow_up": "running",
    }
    assert clock(case, "follow_up")[1] == "03-13 23:59:59"
    refuse(case, "03-10 09:04:00", "already_resolved", "resolve", "reopen")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("acknowledge", {}),
        ("assign", {"to": AGENT}),
        ("escalate", {"reason": "x"}),
        ("promise", {"reply_by": "2026-03-10T12:00:00+08:00"}),
        ("investigate", {"finding": "x"}),
        ("propose", {"options": ["A"]}),
        ("answer_option", {"accepted": True}),
    ],
)
def test_a_resolved_case_takes_no_more_work(name: str, fields: dict[str, Any]) -> None:
    refuse(resolved(), "03-10 10:01:00", "resolved", name, f"{name}: ", "reopen it first", **fields)


def test_a_follow_up_is_owed_after_an_option_was_chosen() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "propose", options=["A"])
    refuse(case, "03-10 09:01:30", "not_resolved", "follow_up", "not resolved", clause="S1-4.2", satisfied=True)
    do(case, "03-10 09:02:00", "answer_option", CUSTOMER, accepted=True)
    do(case, "03-10 09:03:00", "resolve")
    refuse(case, "03-10 09:04:00", "follow_up_owed", "close", "follow up first", clause="S1-4.2")
    # Nor does it close by itself, until the follow-up is done.
    pass_time(case, "03-30 00:00:00")
    assert case.status == "resolved"
    assert found(case, "clock_breached", clock="follow_up")[0].at == at("03-13 23:59:59")
    do(case, "03-30 09:00:00", "follow_up", satisfied=True)
    assert case.due() == at("03-30 09:00:00")
    pass_time(case, "03-30 09:00:00")
    assert only(case, "closed").at == at("03-30 09:00:00")


def test_a_dissatisfied_customer_keeps_the_case_from_an_agents_closing() -> None:
    case = resolved()
    do(case, "03-10 11:00:00", "follow_up", satisfied=False, text="no")
    assert notified_roles(case, "unsatisfied") == [("supervisor",)]
    assert clock(case, "follow_up")[0] == "met"
    refuse(case, "03-10 11:01:00", "dissatisfied", "close", "not satisfied", clause="S4-2.5")
    pass_time(case, "03-30 00:00:00")
    assert case.status == "resolved"
    do(case, "03-30 09:00:00", "close", SUPERVISOR, outcome="goodwill")
    assert only(case, "closed").data == {"outcome": "goodwill"}


def test_a_satisfied_answer_later_lets_the_agent_close() -> None:
    case = resolved()
    do(case, "03-10 11:00:00", "follow_up", satisfied=False)
    do(case, "03-10 12:00:00", "follow_up", satisfied=True)
    do(case, "03-10 12:01:00", "close")
    assert case.view()["outcome"] == "resolved"
    assert case.followed_up == 2


def test_closing_needs_a_solution_and_no_open_approval() -> None:
    case = complaint(RECEIVED)
    refuse(case, "03-10 09:01:00", "not_resolved", "close", "resolve the case first")
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="500.00")
    do(case, "03-10 09:02:00", "resolve")
    refuse(case, "03-10 09:03:00", "approval_open", "close", "refund", by=GM)
    do(case, "03-10 09:04:00", "approve", SUPERVISOR)
    do(case, "03-10 09:05:00", "close")
    assert case.status == "closed"


def test_a_case_closes_by_itself_a_second_after_the_window_to_reopen() -> None:
    case = resolved()
    assert case.events[-1].data == {"clock": "follow_up", "due": "2026-03-13T23:59:59+08:00"}
    assert pass_time(case, "03-17 23:59:59")[-1].type == "clock_breached"
    assert case.due() == at("03-18 00:00:00")
    pass_time(case, "03-18 00:00:00")
    assert only(case, "closed").data == {"outcome": "resolved"}
    assert case.view()["closed_at"] == "2026-03-18T00:00:00+08:00"
    assert case.due() is None


def test_reopening_starts_the_ladder_and_the_resolution_again() -> None:
    case = resolved()
    do(case, "03-12 10:00:00", "reopen", CUSTOMER, reason="still broken")
    assert only(case, "reopened").data == {"reason": "still broken"}
    assert (case.status, case.ladder.acknowledged, case.view()["resolved_at"]) == ("open", False, None)
    assert clock(case, "rung") == ("running", "03-12 10:05:00")
    assert clock(case, "resolution") == ("running", "03-14 10:00:00")
    # The law counts from the first receipt, whatever happens since.
    assert clock(case, "legal_limit") == ("running", "03-17 23:59:59")
    assert clock(case, "follow_up")[0] == "met"
    refuse(case, "03-12 10:01:00", "not_resolved", "reopen", "not resolved", reason="again")


def test_reopening_past_the_legal_limit_does_not_start_it_again() -> None:
    case = resolved("03-17 12:00:00")
    do(case, "03-20 10:00:00", "reopen", reason="still broken")
    assert clock(case, "legal_limit")[0] == "met"
    assert clock(case, "resolution")[0] == "running"


def test_the_window_to_reopen_ends_with_its_last_second() -> None:
    case = resolved()
    do(case, "03-17 23:59:59", "reopen", reason="in time")
    assert case.status == "open"
    case = resolved()
    refuse(
        case,
        "03-18 00:00:00",
        "window_over",
        "reopen",
        "2026-03-17T23:59:59+08:00",
        clause="INVENTED",
        reason="late",
    )


def test_a_withdrawn_case_is_closed_at_once() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:02:00", "withdraw", CUSTOMER, reason="found it")
    assert [event.type for event in case.events[-2:]] == ["withdrawn", "closed"]
    assert case.events[-2].data == {"reason": "found it"}
    assert case.view()["outcome"] == "withdrawn"
    assert {state for state, _ in (clock(case, name) for name in case.clocks)} == {"cancelled"}
    assert case.due() is None
    assert pass_time(case, "04-10 00:00:00") == []


SAID = {"by": "recipient", "at": "2026-03-10T09:01:00+08:00", "channel": "phone"}


def test_the_lowest_rung_withdraws_on_the_word_of_the_customer() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:02:00", "withdraw", reason="found it", said=SAID)
    assert only(case, "withdrawn").data == {"reason": "found it", "said": SAID}
    assert case.outcome == "withdrawn"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "reason is missing"),
        ({"said": SAID}, "reason is missing"),
        ({"reason": "found it"}, "said is missing: who said so for the customer (by), when (at) and by which channel"),
        ({"reason": "r", "said": {**SAID, "at": "2026-03-10T09:02:01+08:00"}}, "said.at = 2026-03-10T09:02:01+08:00"),
        ({"reason": "r", "said": {**SAID, "at": "2026-03-10T08:59:59+08:00"}}, "after the receipt and before now"),
    ],
)
def test_without_that_word_it_does_not(fields: dict[str, Any], says: str) -> None:
    case = complaint(RECEIVED)
    assert case.needed("withdraw", Actor(**AGENT)) == {"reason", "said"}
    refuse(case, "03-10 09:02:00", "said_missing", "withdraw", says, **fields)


@pytest.mark.parametrize("moment", [RECEIVED, "03-10 09:02:00"])
def test_what_was_said_at_either_limit_counts(moment: str) -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:02:00", "withdraw", reason="r", said={**SAID, "at": at(moment).isoformat()})


@pytest.mark.parametrize("by", [SUPERVISOR, QA, GM, CUSTOMER])
def test_whoever_stands_above_may_say_who_said_so_and_need_not(by: dict[str, str]) -> None:
    case = complaint(RECEIVED)
    assert case.needed("withdraw", Actor(**by)) == frozenset()
    late = {**SAID, "at": "2026-03-10T09:02:01+08:00"}
    refuse(case, "03-10 09:02:00", "said_missing", "withdraw", "said.at", by=by, said=late)
    do(case, "03-10 09:02:00", "withdraw", by)
    assert only(case, "withdrawn").data == {}


@pytest.mark.parametrize("said", [{**SAID, "by": "Zhang San"}, {**SAID, "name": "Zhang San"}, {"by": "sender"}])
def test_who_said_so_is_no_name(said: dict[str, str]) -> None:
    refuse(complaint(RECEIVED), "03-10 09:02:00", "invalid", "withdraw", "said", reason="r", said=said)


@pytest.mark.parametrize("name", sorted(Complaint.COMMANDS))
def test_a_closed_case_refuses_every_command(name: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "assign": {"to": AGENT},
        "escalate": {"reason": "x"},
        "note": {"text": "x"},
        "attach": {"name": "x", "sha256": HASH, "where": "x"},
        "load_calendar": {"year": 2027, "published": {"source": "x"}},
        "log_contact": {"reached": True},
        "resend": {"notice": 1},
        "promise": {"reply_by": "2026-03-10T12:00:00+08:00"},
        "reply": {"stage": "answer"},
        "request_approval": {"subject": "x"},
        "reject": {"reason": "x"},
        "extend": {"clock": "answer", "due": "2026-03-11T12:00:00+08:00", "reason": "x"},
        "follow_up": {"satisfied": True},
        "reopen": {"reason": "x"},
        "propose": {"options": ["A"]},
        "answer_option": {"accepted": True},
        "link": {"case": "claim:L-1"},
        "unlink": {"case": "claim:L-1"},
        "merge": {"into": "complaint:E-1"},
        "take_duplicate": {"case": "complaint:L-1", "received_at": "2026-03-10T12:00:00+08:00"},
        "customer_wrote": {"text": "x", "via": "mail"},
        "reply_bounced": {"of": 2},
    }
    case = complaint(RECEIVED)
    do(case, "03-10 09:02:00", "withdraw", CUSTOMER)
    refuse(
        case,
        "03-10 09:03:00",
        "closed",
        name,
        "closed",
        "parent",
        clause="S1-5.9.8",
        by=GM,
        **fields.get(name, {}),
    )


# --- what others are told -------------------------------------------------------------------------


def test_the_operator_hears_of_every_stage() -> None:
    case = complaint(RECEIVED, source="platform")
    do(case, "03-10 09:01:00", "reply", stage="interim")
    do(case, "03-10 09:02:00", "log_contact", reached=False)
    do(case, "03-10 09:03:00", "log_contact", reached=True)
    do(case, "03-10 09:04:00", "resolve")
    do(case, "03-10 09:05:00", "close")
    told_of = [notice for notice in notices(case) if notice.name == "platform"]
    assert [case.event(notice.seq).type for notice in told_of] == [
        "replied",
        "clock_paused",
        "clock_resumed",
        "resolved",
        "closed",
    ]
    assert {notice.roles for notice in told_of} == {("platform",)}
    assert {notice.clause for notice in told_of} == {"S4-3.3.4"}


def test_a_customers_complaint_tells_no_operator() -> None:
    case = resolved()
    assert notified_roles(case, "platform") == []


def test_breaches_and_warnings_are_told_to_those_whom_the_policy_names() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "acknowledge")
    case.outbox.clear()
    pass_time(case, "03-10 09:05:00")
    assert notified_roles(case, "breach") == [("supervisor", "qa_manager", "general_manager")]
    case.outbox.clear()
    pass_time(case, "03-10 09:30:00")
    # The interim reply is missing: the supervisor is told, and holds the case now.
    assert notified_roles(case, "breach") == [("supervisor",)]
    assert notified_roles(case, "rung") == [("supervisor",)]
    do(case, "03-10 09:31:00", "acknowledge", SUPERVISOR)
    case.outbox.clear()
    pass_time(case, "03-10 18:00:00")
    assert notified_roles(case, "warning") == [("supervisor",)]


def test_the_report_clock_is_met_when_the_broadcast_went_out() -> None:
    case = complaint(RECEIVED)
    report = next(notice for notice in notices(case) if notice.name == "report")
    case.notices.came_out(report, "sent", "email", at("03-10 09:04:00"), {})
    assert only(case, "notified").data == {
        "notice": "report",
        "roles": ["supervisor", "qa_manager", "general_manager"],
        "outcome": "sent",
        "of": 1,
        "channel": "email",
    }
    assert only(case, "report_sent").clauses == ("S3-3.1.2",)
    assert only(case, "clock_met", clock="report").at == at("03-10 09:04:00")
    pass_time(case, "03-10 10:00:00")
    assert found(case, "clock_breached", clock="report") == []


def test_the_report_clock_breaks_when_the_broadcast_failed() -> None:
    case = complaint(RECEIVED)
    report = next(notice for notice in notices(case) if notice.name == "report")
    case.notices.came_out(report, "failed", "", at("03-10 09:04:00"), {"qa_manager": "no address", "agent": "no"})
    assert list(only(case, "notified").data["reasons"]) == ["agent", "qa_manager"]
    assert "channel" not in only(case, "notified").data
    pass_time(case, "03-10 10:00:00")
    assert only(case, "clock_breached", clock="report").at == at("03-10 09:05:00")
    assert found(case, "report_sent") == []


@pytest.mark.parametrize(("moment", "outcome"), [("03-10 09:05:00", "met"), ("03-10 09:05:01", "breached")])
def test_word_of_the_broadcast_comes_after_all_that_fell_due_before(moment: str, outcome: str) -> None:
    case = complaint(RECEIVED)
    report = next(notice for notice in notices(case) if notice.name == "report")
    case.notices.came_out(report, "sent", "email", at(moment), {})
    assert clock(case, "report")[0] == outcome
    assert len(found(case, "report_sent")) == 1
    assert [event.at for event in case.events] == sorted(event.at for event in case.events)


@pytest.mark.parametrize(("fate", "outcome"), [("ok", "met"), ("fail", "breached")])
def test_in_a_rehearsal_notices_come_out_at_once(fate: str, outcome: str) -> None:
    case = complaint(RECEIVED)
    case.rehearse_effects(at(RECEIVED), fate)
    assert case.outbox == []
    pass_time(case, "03-10 09:05:00")
    assert clock(case, "report")[0] == outcome
    assert when(found(case, "notified")) == [RECEIVED] * 2


def test_what_came_of_a_notice_is_recorded_after_the_case_closed() -> None:
    case = complaint(RECEIVED)
    [report, _] = notices(case)
    do(case, "03-10 09:02:00", "withdraw", CUSTOMER)
    case.notices.came_out(report, "sent", "email", at("03-10 09:03:00"), {})
    assert case.events[-1].type == "report_sent"
    assert clock(case, "report")[0] == "cancelled"


def test_a_refused_signal_is_recorded_after_all_that_fell_due_before() -> None:
    case = complaint(RECEIVED)
    refusal = Refused("four_eyes", "x", "S1-5.9.10")
    case.refused("approve", QA_ACTOR, refusal, at("03-10 09:06:00"))
    event = case.events[-1]
    assert event.data == {"command": "approve", "code": "four_eyes"}
    assert (event.actor, event.clauses, event.at) == (QA_ACTOR, ("S1-5.9.10",), at("03-10 09:06:00"))
    assert when(found(case, "escalated")) == ["03-10 09:05:00"]


def test_after_each_is_called_once_an_instant_with_what_fell_due_then() -> None:
    case = complaint(RECEIVED)
    seen: list[tuple[str, int]] = []
    case.elapse(at("03-10 09:10:00"), after_each=lambda now: seen.append((f"{now:%H:%M}", len(case.events))))
    assert [moment for moment, _ in seen] == ["09:05", "09:10"]
    assert seen[-1][1] == len(case.events)


def test_a_policy_may_do_without_the_rung_clock() -> None:
    policy = policy_with(('[complaint.clocks.rung]\nelapsed = "PT5M"\nclause = "CARD"\n', ""))
    case = complaint(RECEIVED, policy)
    assert "rung" not in case.clocks
    pass_time(case, "03-10 09:29:59")
    assert case.ladder.rung == "agent"
    assert isinstance(case.clocks["answer"], Clock)


QA_ACTOR = Complaint.COMMANDS["note"].model_validate({"by": QA, "text": "x"}).by.actor()
