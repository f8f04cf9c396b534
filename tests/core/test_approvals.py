"""Approvals: whom they are asked of, four eyes, authority, climbing (S1-5.9.10, T3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.core.support import (
    AGENT,
    GM,
    QA,
    SUPERVISOR,
    clock,
    complaint,
    do,
    found,
    inquiry,
    notified_roles,
    only,
    pass_time,
    refuse,
    when,
)

RECEIVED = "03-10 09:00:00"
OTHER = {"id": "agent-8", "role": "agent"}


@pytest.mark.parametrize(
    ("amount", "role"),
    [
        ("0", "agent"),
        ("200.00", "agent"),
        ("200.01", "supervisor"),
        ("2000.00", "supervisor"),
        ("2000.01", "qa_manager"),
        ("10000.00", "qa_manager"),
        ("10000.01", "general_manager"),
        ("9999999.99", "general_manager"),
    ],
)
def test_the_lowest_rung_with_enough_authority_is_asked(amount: str, role: str) -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount=amount, reason="late")
    asked = only(case, "approval_requested")
    assert asked.data["role"] == role
    assert asked.data["amount"] == f"{Decimal(amount):.2f}"
    assert asked.data["reason"] == "late"
    assert asked.clauses == ("S1-5.9.10", "T3")
    assert notified_roles(case, "approval") == [(role,)]
    assert clock(case, "approval:1") == ("running", "03-10 09:31:00")


@pytest.mark.parametrize(("by", "role"), [(AGENT, "supervisor"), (SUPERVISOR, "qa_manager"), (GM, "general_manager")])
def test_without_an_amount_the_next_rung_is_asked(by: dict[str, str], role: str) -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", by, subject="apology")
    assert only(case, "approval_requested").data == {"subject": "apology", "amount": None, "role": role}


def test_a_decision_meets_the_clock_and_is_told_to_the_holder() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="300")
    do(case, "03-10 09:02:00", "approve", SUPERVISOR, reason="fine")
    assert only(case, "approved").data == {"subject": "refund", "amount": "300.00", "reason": "fine"}
    assert clock(case, "approval:1")[0] == "met"
    assert notified_roles(case, "decided") == [("agent",)]
    [shown] = case.view()["approvals"]
    assert shown == {
        "subject": "refund",
        "amount": "300.00",
        "role": "supervisor",
        "requested_by": "agent-7",
        "state": "approved",
        "also": [],
    }
    # The same subject may be asked again once it is decided, under a clock of its own.
    do(case, "03-10 09:03:00", "request_approval", subject="refund", amount="400")
    do(case, "03-10 09:04:00", "reject", SUPERVISOR, reason="enough")
    assert only(case, "rejected").data == {"subject": "refund", "amount": "400.00", "reason": "enough"}
    assert clock(case, "approval:2")[0] == "met"


def test_an_approval_may_come_from_above() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="300")
    do(case, "03-10 09:02:00", "approve", GM)
    assert only(case, "approved").actor.role == "general_manager"


def test_four_eyes() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="100")
    decisions: dict[str, dict[str, Any]] = {"approve": {}, "reject": {"reason": "x"}}
    for name, fields in decisions.items():
        refuse(case, "03-10 09:02:00", "four_eyes", name, "by.id = 'agent-7'", clause="S1-5.9.10", **fields)
    # Also in another role: it is the person that counts.
    promoted = {"id": "agent-7", "role": "general_manager"}
    refuse(case, "03-10 09:02:00", "four_eyes", "approve", "somebody else", clause="S1-5.9.10", by=promoted)
    do(case, "03-10 09:03:00", "approve", OTHER)


def test_four_eyes_hold_after_the_request_has_climbed() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", SUPERVISOR, subject="refund", amount="300")
    pass_time(case, "03-10 10:01:00")
    refuse(case, "03-10 10:02:00", "four_eyes", "approve", "super-2", clause="S1-5.9.10", by=SUPERVISOR)


def test_authority_bounds_who_decides() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="2000.01")
    for by in (OTHER, SUPERVISOR):
        refuse(
            case,
            "03-10 09:02:00",
            "authority",
            "approve",
            f"by.role = {by['role']!r}",
            "2000.01",
            "qa_manager or above",
            clause="T3",
            by=by,
        )
    do(case, "03-10 09:03:00", "approve", QA)


def test_without_an_amount_the_rung_asked_first_or_above_decides() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", SUPERVISOR, subject="apology")
    other = {"id": "super-3", "role": "supervisor"}
    refuse(case, "03-10 09:02:00", "authority", "approve", "this", "qa_manager", clause="T3", by=other)
    pass_time(case, "03-10 09:31:00")
    # It has climbed to the general manager; the rung that was asked first may still decide.
    assert case.approvals[0].role == "general_manager"
    do(case, "03-10 09:32:00", "reject", QA, subject="apology", reason="no")


def test_several_open_approvals_must_be_named() -> None:
    case = complaint(RECEIVED)
    refuse(case, "03-10 09:01:00", "nothing_to_approve", "approve", "nothing waits", by=SUPERVISOR)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="300")
    refuse(case, "03-10 09:01:30", "approval_open", "request_approval", "subject = 'refund'", subject="refund")
    do(case, "03-10 09:02:00", "request_approval", subject="gift", amount="100")
    refuse(case, "03-10 09:03:00", "ambiguous", "approve", "subject", "refund, gift", by=SUPERVISOR)
    refuse(
        case,
        "03-10 09:03:00",
        "nothing_to_approve",
        "approve",
        "subject = 'lunch'",
        "refund, gift",
        by=SUPERVISOR,
        subject="lunch",
    )
    do(case, "03-10 09:04:00", "approve", SUPERVISOR, subject="gift")
    do(case, "03-10 09:05:00", "approve", SUPERVISOR)
    assert [event.data["subject"] for event in found(case, "approved")] == ["gift", "refund"]


def test_what_it_is_about_is_said_in_any_language() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "request_approval", subject=" 退款 申请 ", amount="300")
    do(case, "03-10 09:01:00", "request_approval", subject="补发 2 件", amount="300")
    do(case, "03-10 09:02:00", "approve", SUPERVISOR, subject="退款 申请")
    do(case, "03-10 09:02:00", "reject", SUPERVISOR, subject="补发 2 件", reason="no stock")
    assert only(case, "approved").data["subject"] == "退款 申请"
    assert only(case, "rejected").data["subject"] == "补发 2 件"
    # As long as a token was, one still may be.
    do(case, "03-10 09:03:00", "request_approval", subject="a" * 128, amount="300")


def test_a_channel_is_said_in_any_language() -> None:
    case = complaint(RECEIVED)
    do(case, "03-10 09:01:00", "log_contact", reached=True, channel="微信 视频")
    assert only(case, "contact_attempted").data["channel"] == "微信 视频"


def test_an_unanswered_request_climbs_every_thirty_minutes_and_then_is_reminded_of() -> None:
    # An inquiry has no rung clock, so every reminder here is about the approval.
    case = inquiry("03-10 09:00:00", "2026-03-01")
    do(case, "03-10 09:00:00", "request_approval", subject="refund", amount="300")
    do(case, "03-10 09:00:00", "reply", stage="answer")
    case.outbox.clear()
    pass_time(case, "03-13 00:00:00")
    asked = found(case, "approval_requested")
    assert [(event.data["role"], *when([event])) for event in asked] == [
        ("supervisor", "03-10 09:00:00"),
        ("qa_manager", "03-10 09:30:00"),
        ("general_manager", "03-10 10:00:00"),
    ]
    assert [event.actor.id for event in asked] == ["agent-7", "caseladder", "caseladder"]
    assert when(found(case, "clock_breached", clock="approval:1")) == [
        "03-10 09:30:00",
        "03-10 10:00:00",
        "03-10 10:30:00",
    ]
    reminded = found(case, "reminded", subject="refund")
    assert when(reminded)[:5] == [
        "03-10 10:30:00",
        "03-10 10:40:00",
        "03-10 11:00:00",
        "03-10 11:40:00",
        "03-10 13:00:00",
    ]
    assert [event.data["count"] for event in reminded] == list(range(1, len(reminded) + 1))
    assert set(notified_roles(case, "reminder")) == {("general_manager",)}
    assert notified_roles(case, "approval") == [("qa_manager",), ("general_manager",)]
    # Who waits for a decision is no rung of the case.
    assert case.ladder.rung == "agent"
    do(case, "03-13 00:00:00", "approve", GM)
    assert case.approvals[0].reminding.next_at is None
    assert clock(case, "approval:1")[0] == "breached"


def test_reminders_of_an_approval_end_with_the_case() -> None:
    case = inquiry("03-10 09:00:00", "2026-03-01")
    do(case, "03-10 09:00:00", "request_approval", GM, subject="refund", amount="20000")
    pass_time(case, "03-10 12:00:00")
    do(case, "03-10 12:00:00", "withdraw", GM)
    assert case.due() is None


def test_an_unanswered_request_keeps_a_resolved_case_from_closing() -> None:
    case = inquiry("03-10 09:00:00", "2026-03-01")
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="300")
    do(case, "03-10 09:02:00", "reply", stage="answer")
    pass_time(case, "03-20 00:00:00")
    assert case.status == "resolved"
    do(case, "03-20 09:00:00", "reject", SUPERVISOR, reason="too late")
    pass_time(case, "03-20 09:00:00")
    assert case.status == "closed"
