"""Exception reports, example by example: who hears of it when, what is refused, who answers for it."""

from __future__ import annotations

from typing import Any

import pytest

from cases.kinds.exception_report import ExceptionReport
from cases.policy.model import Policy
from cases.vocabulary.commands import read_command
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    GM,
    QA,
    SUPERVISOR,
    at,
    clock,
    default_policy,
    do,
    found,
    notices,
    notified_roles,
    only,
    pass_time,
    policy_with,
    refuse,
    snapshot,
    when,
)

LEADERS = ["supervisor", "qa_manager", "general_manager"]
SYSTEM = {"id": "calendar", "role": "system"}
OFFICER = {"id": "officer-3", "role": "tracing_officer"}
SITE = {"id": "site-9", "role": "site_manager"}
WHOLE = {
    "witnesses": ["agent", "site_manager", "warehouse_keeper", "porter"],
    "photographs": 2,
    "resealed": True,
    "label": "box, window 4, 2026-03-12",
}
# A Wednesday within working hours, and the night after it.
DAY, NIGHT = "03-04 10:00:00", "03-04 22:00:00"
YEAR = {"source": "made up", "holidays": ["2027-01-01", "2027-01-02", "2027-01-03"]}


def report(known: str, received: str | None = None, policy: Policy | None = None, **facts: Any) -> ExceptionReport:
    """A report of what was known at an instant (see `at`), filed then or at ``received``."""
    filed = at(received or known)
    raw = {
        "key": "E-1",
        "received_at": filed.isoformat(),
        "facts": {"source": "customer_complaint", "known_at": at(known).isoformat(), **facts},
    }
    return ExceptionReport.open(read_intake(ExceptionReport.INTAKE, raw), policy or default_policy(), filed)


def sent(case: ExceptionReport, moment: str) -> list[tuple[str, ...]]:
    """Let the notices that wait come out as sent, and say whom each report went to."""
    went = notified_roles(case, "report")
    case.rehearse_effects(at(moment))
    return went


# --- told in five minutes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "to", "clause"),
    [
        ("customer_complaint", LEADERS, "S3-3.1.2"),
        ("procedure_breach", LEADERS, "S3-3.1.2"),
        ("self_found", ["project_manager", *LEADERS], "S3-3.1.3"),
        ("excess_goods", ["tracing_officer"], "S2-5.2"),
    ],
)
def test_each_source_has_its_recipients(source: str, to: list[str], clause: str) -> None:
    checked: dict[str, Any] = {"checklist": WHOLE} if source == "excess_goods" else {}
    case = report(DAY, source=source, **checked)
    [notice] = [notice for notice in notices(case) if notice.name == "report"]
    assert (list(notice.roles), notice.clause) == (to, clause)
    assert sent(case, DAY) == [tuple(to)]
    assert only(case, "report_sent").data["roles"] == to
    assert clock(case, "report")[0] == "met"
    assert found(case, "report_late") == []


def test_a_broadcast_that_does_not_arrive_is_overdue_after_five_minutes() -> None:
    case = report(DAY)
    case.rehearse_effects(at(DAY), "fail")
    pass_time(case, "03-04 10:05:00")
    assert when(found(case, "clock_breached", clock="report")) == ["03-04 10:05:00"]
    assert ("supervisor", "qa_manager", "general_manager") in notified_roles(case, "breach")


def test_outside_working_hours_the_phone_comes_first() -> None:
    case = report(NIGHT)
    assert only(case, "phone_notice_due").data["roles"] == LEADERS
    assert notified_roles(case, "phone") == [("agent",)]
    assert notified_roles(case, "report") == []
    assert clock(case, "phone_notice") == ("running", "03-04 22:05:00")
    assert clock(case, "report_mail") == ("running", "03-05 09:00:00")

    do(case, "03-04 22:03:00", "confirm_phone_notice", roles=["supervisor", "general_manager"])
    assert case.view()["to_call"] == ["qa_manager"]
    assert notified_roles(case, "report") == []
    do(case, "03-04 22:05:00", "confirm_phone_notice", roles=["qa_manager"], reached_at="2026-03-04T22:04:00+08:00")

    assert case.view()["to_call"] == []
    assert only(case, "phone_noticed", roles=["qa_manager"]).data["reached_at"] == "2026-03-04T22:04:00+08:00"
    assert clock(case, "phone_notice") == ("met", "03-04 22:05:00")
    assert sent(case, "03-04 22:05:00") == [tuple(LEADERS)]
    assert clock(case, "report_mail") == ("met", "03-05 09:00:00")


def test_who_cannot_be_called_gets_the_mail_at_once() -> None:
    case = report(NIGHT)
    do(case, "03-04 22:01:00", "confirm_phone_notice", roles=["supervisor"])
    pass_time(case, "03-04 22:05:00")
    assert when(found(case, "report_due")) == ["03-04 22:05:00"]
    # Calls that come through later are recorded; the mail does not go twice.
    do(case, "03-04 22:20:00", "confirm_phone_notice", roles=["qa_manager", "general_manager"])
    assert len(found(case, "report_due")) == 1
    assert clock(case, "phone_notice")[0] == "breached"


def test_a_report_filed_after_the_call_was_due_is_mailed_when_it_is_filed() -> None:
    case = report(NIGHT, "03-05 08:00:00")
    assert when(found(case, "clock_breached", clock="phone_notice")) == ["03-04 22:05:00"]
    assert when(found(case, "report_due")) == ["03-05 08:00:00"]
    assert only(case, "report_late").data["minutes"] == 595


@pytest.mark.parametrize(
    ("role", "code", "clause", "message"),
    [
        ("project_manager", "not_to_be_called", "S3-3.1.7", "allowed: supervisor, qa_manager, general_manager"),
        ("agent", "not_to_be_called", "S3-3.1.7", "'agent' was not to be called"),
    ],
)
def test_a_call_to_somebody_else_counts_for_nothing(role: str, code: str, clause: str, message: str) -> None:
    # One wrong role spoils the whole confirmation: nothing half-done.
    refuse(report(NIGHT), "03-04 22:01:00", code, "confirm_phone_notice", message, clause=clause,
           roles=["supervisor", role])  # fmt: skip


def test_a_call_is_confirmed_by_the_rungs_only() -> None:
    refuse(
        report(NIGHT), "03-04 22:01:00", "role", "confirm_phone_notice",
        "by.role = 'customer' may not confirm_phone_notice",
        by={"id": "portal", "role": "customer"}, roles=["supervisor"],
    )  # fmt: skip


def test_in_working_hours_nobody_was_to_be_called() -> None:
    refuse(report(DAY), "03-04 10:01:00", "not_to_be_called", "confirm_phone_notice", "allowed: nobody",
           clause="S3-3.1.7", roles=["supervisor"])  # fmt: skip


@pytest.mark.parametrize("reached", ["2026-03-04T21:59:59+08:00", "2026-03-04T22:01:01+08:00"])
def test_a_call_lies_between_knowledge_and_confirmation(reached: str) -> None:
    refuse(
        report(NIGHT), "03-04 22:01:00", "invalid", "confirm_phone_notice",
        f"reached_at = {reached}", "allowed: 2026-03-04T22:00:00+08:00 to 2026-03-04T22:01:00+08:00",
        clause="S3-3.1.7", roles=["supervisor"], reached_at=reached,
    )  # fmt: skip


# --- what is no report ------------------------------------------------------------------------------


def test_a_filing_before_knowledge_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        report(DAY, "03-04 09:59:59")
    assert caught.value.code == "invalid"
    assert "received_at = 2026-03-04T09:59:59+08:00 lies before known_at = 2026-03-04T10:00:00+08:00" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            {"occurred_at": "2026-03-04T10:00:01+08:00"},
            "known_at = 2026-03-04T10:00:00+08:00 lies before occurred_at = 2026-03-04T10:00:01+08:00",
        ),
        ({"source": "rumour"}, "facts.source = 'rumour'"),
        ({"source": "rumour"}, "'self_found'"),
        ({"category": "stolen"}, "facts.category = 'stolen'"),
        ({"estimated_amount": "1.005"}, "facts.estimated_amount = '1.005'"),
        ({"known_at": "2026-03-04T10:00:00"}, "facts.known_at = '2026-03-04T10:00:00'"),
    ],
)
def test_facts_that_cannot_be_are_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as caught:
        report(DAY, **facts)
    assert caught.value.code == "invalid"
    assert message in caught.value.message


# --- late, concealed, false -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filed", "minutes"),
    [("10:05:00", None), ("10:05:01", 1), ("10:06:00", 1), ("10:06:01", 2), ("11:05:00", 60)],
)
def test_lateness_is_counted_from_the_limit(filed: str, minutes: int | None) -> None:
    case = report(DAY, f"03-04 {filed}")
    late = found(case, "report_late")
    assert [event.data["minutes"] for event in late] == ([] if minutes is None else [minutes])
    flagged = found(case, "liability_flagged", reason="late")
    assert [event.data["roles"] for event in flagged] == ([] if minutes is None else [["agent", "supervisor"]])
    assert case.view()["late"] is (minutes is not None)


@pytest.mark.parametrize("said", ["concealed", "false"])
def test_a_report_that_was_not_true_is_answered_for(said: str) -> None:
    case = report(DAY, estimated_amount="12345.60")
    do(case, "03-04 12:00:00", "find", QA, cause="c", report=said)
    flagged = only(case, "liability_flagged")
    assert (flagged.data, flagged.actor.id) == ({"roles": ["agent", "supervisor"], "reason": said}, "qa-1")
    assert flagged.clauses == ("S3-3.4.1",)
    # What that costs is a matter for people.
    assert all("amount" not in event.data for event in case.events if event.type != "case_opened")
    assert found(case, "liability_cleared") == []


@pytest.mark.parametrize("said", ["genuine", None])
def test_who_reported_in_time_is_not_liable(said: str | None) -> None:
    case = report(DAY)
    do(case, "03-04 12:00:00", "find", QA, cause="c", report=said)
    cleared = only(case, "liability_cleared")
    assert cleared.data == {"roles": ["agent", "supervisor"], "reason": "reported_in_time"}
    assert cleared.clauses == ("S3-3.4.2",)


def test_a_late_report_clears_nobody() -> None:
    case = report(DAY, "03-04 10:05:01")
    do(case, "03-04 12:00:00", "find", QA, cause="c", report="genuine")
    assert found(case, "liability_cleared") == []


# --- large damage, settlement -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "amount", "large"),
    [("damage", "10000.00", True), ("damage", "9999.99", False), ("damage", None, False), ("late", "50000.00", False)],
)
def test_very_large_damage_goes_to_four_at_once(category: str, amount: str | None, large: bool) -> None:
    case = report(DAY, category=category, estimated_amount=amount)
    assert notified_roles(case, "large_damage") == (
        [("freight_centre", "dispatch_centre", "supervisor", "qa_manager")] if large else []
    )


def test_where_the_policy_names_no_large_amount_none_is() -> None:
    policy = policy_with(('very_large_from = "10000.00"', ""))
    assert found(report(DAY, None, policy, category="damage", estimated_amount="99999.00"), "large_damage") == []


def test_late_goods_are_told_to_the_customer_by_the_holder() -> None:
    assert notified_roles(report(DAY, category="late"), "late_goods") == [("agent",)]
    assert notified_roles(report(DAY, category="damage"), "late_goods") == []


def test_within_authority_it_is_settled_at_once() -> None:
    case = report(DAY)
    do(case, "03-04 10:01:00", "settle", amount="200.00")
    assert (only(case, "settled").data, case.view()["settled"]) == ({"amount": "200.00"}, "200.00")
    assert not list(case.approvals)


def test_beyond_authority_it_waits_and_is_settled_when_it_is_approved() -> None:
    case = report(DAY)
    do(case, "03-04 10:01:00", "settle", amount="200.01")
    asked = only(case, "approval_requested")
    assert (asked.data["subject"], asked.data["role"]) == ("settlement", "supervisor")
    assert found(case, "settled") == []
    refuse(case, "03-04 10:02:00", "approval_open", "settle", "already waits", clause="S1-5.9.10", amount="100.00")
    do(case, "03-04 10:03:00", "approve", SUPERVISOR)
    settled = only(case, "settled")
    assert (settled.data, settled.actor.id, when([settled])) == ({"amount": "200.01"}, "super-2", ["03-04 10:03:00"])


def test_what_is_rejected_is_not_settled() -> None:
    case = report(DAY)
    do(case, "03-04 10:01:00", "settle", amount="500.00")
    do(case, "03-04 10:02:00", "reject", SUPERVISOR, reason="too much")
    assert found(case, "settled") == []
    do(case, "03-04 10:03:00", "settle", amount="150.00")
    assert only(case, "settled").data == {"amount": "150.00"}


def test_a_high_amount_cannot_be_settled_in_parts() -> None:
    case = report(DAY)
    do(case, "03-04 10:01:00", "settle", amount="200.00")
    refuse(case, "03-04 10:02:00", "already_settled", "settle", "200.00 yuan", clause="S1-5.9.10", amount="200.00")


# --- the customer -----------------------------------------------------------------------------------


def test_the_customer_is_kept_informed_until_it_is_settled() -> None:
    case = report(DAY)
    assert clock(case, "customer_reply") == ("running", "03-04 10:10:00")
    do(case, "03-04 10:00:00", "acknowledge")
    do(case, "03-04 10:10:00", "inform_customer")
    assert clock(case, "customer_reply") == ("running", "03-05 10:10:00")
    pass_time(case, "03-05 10:10:00")
    assert when(found(case, "clock_breached", clock="customer_reply")) == ["03-05 10:10:00"]
    assert only(case, "escalated").data == {"from": "agent", "to": "supervisor", "cause": "deadline"}
    do(case, "03-05 11:00:00", "inform_customer", SUPERVISOR, text="Ms Li was told")
    do(case, "03-05 12:00:00", "resolve", SUPERVISOR)
    assert clock(case, "customer_reply")[0] == "met"
    assert case.view()["informed"] == 2
    # Whoever takes it up again owes the customer a word again.
    do(case, "03-05 13:00:00", "reopen", SUPERVISOR, reason="it came back")
    assert clock(case, "customer_reply") == ("running", "03-05 13:10:00")


def test_once_settled_informing_starts_no_clock() -> None:
    case = report(DAY)
    do(case, "03-04 10:01:00", "resolve")
    do(case, "03-04 10:02:00", "inform_customer")
    assert clock(case, "customer_reply")[0] == "met"


# --- finding, correcting, closing -------------------------------------------------------------------


def test_qc_investigates_and_nobody_below() -> None:
    refuse(report(DAY), "03-04 11:00:00", "role", "find", "'agent' may not find", cause="c")
    case = report(DAY)
    assert clock(case, "investigation") == ("running", "03-07 23:59:59")
    do(case, "03-07 23:59:59", "find", QA, cause="c", responsibility="carrier X")
    assert clock(case, "investigation")[0] == "met"
    refuse(case, "03-07 23:59:59", "already_found", "find", clause="S3-3.1.6", by=QA, cause="another")


def test_a_finding_without_an_investigation_is_refused() -> None:
    case = report(NIGHT, source="excess_goods")
    refuse(case, "03-05 10:00:00", "no_investigation", "find", "must be checked first", clause="S2-5.3", by=OFFICER,
           cause="c")  # fmt: skip


def test_nothing_is_corrected_before_the_cause_is_found() -> None:
    refuse(report(DAY), "03-04 11:00:00", "not_found", "correct", "has not been found", clause="S3-3.1.6", action="a")


def test_it_closes_when_found_corrected_and_the_customer_informed() -> None:
    case = report(DAY)
    refuse(case, "03-04 10:30:00", "not_resolved", "close")
    do(case, "03-04 11:00:00", "resolve")
    refuse(case, "03-04 11:01:00", "not_found", "close", "found nothing yet", clause="S3-3.1.6")
    do(case, "03-04 12:00:00", "find", QA, cause="c")
    refuse(case, "03-04 12:01:00", "not_corrected", "close", "say what was corrected", clause="S3-3.1.6")
    do(case, "03-04 13:00:00", "correct", action="new forks", carried_out=False)
    refuse(case, "03-04 13:01:00", "not_corrected", "close", "announced only", clause="S3-3.1.6")
    do(case, "03-04 14:00:00", "correct", action="new forks")
    refuse(case, "03-04 14:01:00", "customer_not_informed", "close", clause="S3-3.2.1")
    # What is owed also keeps it from closing by itself.
    pass_time(case, "03-20 00:00:00")
    assert case.status == "resolved"
    do(case, "03-20 10:00:00", "inform_customer")
    pass_time(case, "03-20 10:00:00")
    assert (case.status, case.outcome) == ("closed", "resolved")


def test_the_reason_why_nothing_can_be_corrected_will_do() -> None:
    case = report(DAY)
    do(case, "03-04 11:00:00", "inform_customer")
    do(case, "03-04 11:00:00", "find", QA, cause="c")
    do(case, "03-04 11:01:00", "correct", action="none", carried_out=False, why_not="an act of God")
    do(case, "03-04 11:02:00", "resolve")
    do(case, "03-04 11:03:00", "close")
    assert case.status == "closed"


# --- goods in excess --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"witnesses": ["agent", "site_manager"]}, "missing: the witness warehouse_keeper, the witness porter"),
        ({"photographs": 0}, "missing: photographs"),
        ({"resealed": False}, "missing: the new seal"),
        ({"label": None}, "missing: the label (goods name, window, clearing date)"),
        ({"photographs": 0, "resealed": False}, "missing: photographs, the new seal"),
    ],
)
def test_an_incomplete_checklist_says_what_is_missing(change: dict[str, Any], missing: str) -> None:
    short = {**WHOLE, **change}
    with pytest.raises(Refused) as caught:
        report(NIGHT, source="excess_goods", checklist=short)
    assert (caught.value.code, caught.value.clause) == ("checklist_incomplete", "S2-5.1")
    assert caught.value.message == f"checklist: {missing}"
    refuse(report(NIGHT, source="excess_goods"), "03-04 23:00:00", "checklist_incomplete", "check_goods", missing,
           clause="S2-5.1", checklist=short)  # fmt: skip


def test_goods_in_excess_are_reported_once_they_are_checked() -> None:
    case = report(NIGHT, source="excess_goods")
    assert clock(case, "report") == ("running", "03-05 22:00:00")
    assert notified_roles(case, "report") == []
    assert found(case, "phone_notice_due") == []
    assert not {"customer_reply", "investigation", "phone_notice", "report_mail"} & case.clocks.keys()
    do(case, "03-05 22:00:00", "check_goods", SITE, checklist=WHOLE)
    assert sent(case, "03-05 22:00:00") == [("tracing_officer",)]
    assert clock(case, "report") == ("met", "03-05 22:00:00")
    refuse(case, "03-05 22:10:00", "nothing_to_check", "check_goods", clause="S2-5.1", checklist=WHOLE)
    refuse(report(DAY), "03-04 10:01:00", "nothing_to_check", "check_goods", clause="S2-5.1", checklist=WHOLE)


def test_the_officer_audits_and_the_decision_of_the_month_names_it() -> None:
    case = report("03-31 22:00:00", source="excess_goods", checklist=WHOLE)
    do(case, "04-01 10:00:00", "find", OFFICER, cause="wrong window", responsibility="branch 12")
    assert only(case, "found").clauses == ("S2-5.3",)
    listed = only(case, "decision_listed")
    assert (listed.data, listed.clauses) == ({"month": "2026-04"}, ("S2-5.4",))
    do(case, "04-01 11:00:00", "correct", action="forwarded")
    do(case, "04-01 12:00:00", "resolve")
    # Nobody waits for word: the goods came without a customer.
    do(case, "04-01 12:01:00", "close")
    assert case.status == "closed"


def test_holding_goods_back_is_refused_and_recorded() -> None:
    case = report(NIGHT, source="excess_goods", checklist=WHOLE)
    with pytest.raises(Refused) as caught:
        do(case, "03-05 09:00:00", "hold_goods", SITE, reason="no reward")
    assert (caught.value.code, caught.value.clause) == ("external_first", "S2-4.10")
    refused = only(case, "command_refused")
    assert (refused.data["command"], refused.data["code"], refused.actor.id) == (
        "hold_goods",
        "external_first",
        "site-9",
    )
    flagged = only(case, "liability_flagged")
    assert (flagged.data["reason"], flagged.clauses) == ("goods_held", ("S2-4.10",))


# --- a year that nobody has published ---------------------------------------------------------------


def test_a_due_date_in_an_unpublished_year_is_provisional_and_moves() -> None:
    case = report("12-31 18:30:00")
    [shown] = [entry for entry in case.view()["clocks"] if entry["clock"] == "report_mail"]
    assert (shown["due"], shown["provisional"]) == ("2027-01-01T09:00:00+08:00", [2027])
    case.rehearse_effects(at("12-31 18:30:00"))

    do(case, "12-31 18:31:00", "load_calendar", SYSTEM, year=2027, published=YEAR)

    moved = only(case, "clock_moved")
    assert moved.data == {
        "clock": "report_mail",
        "due": "2027-01-04T09:00:00+08:00",
        "was": "2027-01-01T09:00:00+08:00",
        "year": 2027,
        "days_off": ["2027-01-01"],
    }
    [explained] = [entry for entry in case.explain(at("12-31 18:32:00")) if entry["clock"] == "report_mail"]
    assert (explained["provisional_years"], explained["days_off"]) == ([], ["2027-01-01"])
    assert explained["earlier_dues"] == [
        {"due": "2027-01-01T09:00:00+08:00", "until": "2026-12-31T18:31:00+08:00", "why": "provisional"}
    ]
    assert notified_roles(case, "moved") == [("agent",)]
    pass_time(case, "2027-01-04 09:00:00")
    # The call was overdue at 18:35, so that the mail was asked for then; it waits still.
    assert when(found(case, "clock_breached", clock="report_mail")) == ["01-04 09:00:00"]
    again = ExceptionReport.replay(case.policy, case.events)
    assert snapshot(again, case.events[-1].at).explain == snapshot(case, case.events[-1].at).explain


def test_a_year_that_no_clock_needs_moves_nothing_and_a_wrong_one_is_refused() -> None:
    case = report(DAY)
    do(case, "03-04 10:01:00", "load_calendar", SYSTEM, year=2027, published=YEAR)
    assert found(case, "clock_moved") == []
    refuse(case, "03-04 10:02:00", "role", "load_calendar", by=GM, year=2027, published=YEAR)
    refuse(case, "03-04 10:02:00", "invalid", "load_calendar", "2027-01-01 stands under 2028", by=SYSTEM,
           year=2028, published=YEAR)  # fmt: skip
    raw = {"by": SYSTEM, "year": 2027, "published": {**YEAR, "make_up_days": ["2027-01-02"]}}
    with pytest.raises(Refused) as caught:
        read_command(ExceptionReport.COMMANDS, "load_calendar", raw)
    assert "2027-01-02 is both a holiday and a make-up day" in caught.value.message


def test_an_agent_acts_on_it_as_on_any_case() -> None:
    case = report(DAY)
    do(case, "03-04 10:05:00", "acknowledge", AGENT)
    assert clock(case, "rung")[0] == "met"
    pass_time(case, "03-04 10:10:00")
    assert case.ladder.rung == "supervisor"  # the customer was not told


@pytest.mark.parametrize("field", ["action", "why_not"])
def test_what_people_wrote_is_not_repeated_when_it_is_refused(field: str) -> None:
    body = {"by": {"id": "agent-1", "role": "agent"}, "action": "none", "carried_out": False, field: "Zhang San" * 1000}
    with pytest.raises(Refused, match=f"{field}: ") as refused:
        read_command(ExceptionReport.COMMANDS, "correct", body)
    assert "Zhang" not in refused.value.message
