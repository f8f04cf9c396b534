"""What comes with a notice works once, for the arrival that it told of; and a notice is sent again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cases.case import Case
from cases.mechanisms.notices import CopiesIssued, IssuedCopy
from cases.policy.model import Policy
from cases.policy.tables import DigestRule
from cases.vocabulary.effects import Notice
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    CUSTOMER,
    DEFAULT,
    GM,
    SUPERVISOR,
    at,
    complaint,
    default_policy,
    do,
    found,
    only,
    pass_time,
    policy_with,
    read_default,
    refuse,
)

SYSTEM = {"id": "panel", "role": "system"}


def rung_seq(case: Case, number: int = -1) -> int:
    """The event that a rung notice told of."""
    return found(case, "clock_started", clock="rung")[number].seq


# --- acknowledging by a notice ----------------------------------------------------------------------


def test_the_notice_of_an_arrival_acknowledges_it_once() -> None:
    case = complaint("03-10 09:00:00")
    seq = rung_seq(case)
    do(case, "03-10 09:01:00", "acknowledge", AGENT, notice=seq)
    assert only(case, "acknowledged").data == {"role": "agent", "id": "agent-7"}
    refuse(case, "03-10 09:02:00", "token_used", "acknowledge", "agent-7 holds the case now", notice=seq)


def test_a_notice_of_a_rung_that_the_case_has_left_does_not() -> None:
    case = complaint("03-10 09:00:00")
    seq = rung_seq(case)
    pass_time(case, "03-10 09:05:00")
    refuse(
        case, "03-10 09:05:01", "token_used", "acknowledge", "supervisor holds the case now", by=SUPERVISOR, notice=seq
    )
    do(case, "03-10 09:06:00", "acknowledge", SUPERVISOR, notice=rung_seq(case))


def test_assigned_or_reopened_it_takes_the_notice_of_that() -> None:
    case = complaint("03-10 09:00:00")
    first = rung_seq(case)
    do(case, "03-10 09:01:00", "assign", SUPERVISOR, to={"id": "agent-9", "role": "agent"})
    refuse(case, "03-10 09:02:00", "token_used", "acknowledge", notice=first)
    second = rung_seq(case)
    do(case, "03-10 09:03:00", "acknowledge", {"id": "agent-9", "role": "agent"}, notice=second)
    do(case, "03-10 09:04:00", "resolve")
    do(case, "03-10 09:05:00", "reopen", CUSTOMER, reason="x")
    refuse(case, "03-10 09:06:00", "token_used", "acknowledge", notice=second)
    do(case, "03-10 09:07:00", "acknowledge", notice=rung_seq(case))


def test_a_reminder_at_the_top_acknowledges_too_and_so_does_the_notice_before_it() -> None:
    for which in (0, -1):
        case = complaint("03-10 09:00:00", severity="critical")
        pass_time(case, "03-10 09:30:00")
        told = [only(case, "escalated", to="general_manager"), *found(case, "reminded")]
        do(case, "03-10 09:31:00", "acknowledge", GM, notice=told[which].seq)
        assert case.view()["acknowledged"]


@pytest.mark.parametrize("notice", [0, -1, 9999, "x", 1.5])
def test_a_notice_that_cannot_be_is_bad_input(notice: Any) -> None:
    refuse(complaint("03-10 09:00:00"), "03-10 09:01:00", "invalid", "acknowledge", "notice", notice=notice)


def test_without_a_notice_it_is_as_before() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:01:00", "acknowledge")
    refuse(case, "03-10 09:02:00", "already_acknowledged", "acknowledge")


# --- what goes on record, and sending again ---------------------------------------------------------


def came_out(case: Case, outcome: str = "sent", name: str = "report", **more: Any) -> Notice:
    """A notice of the case came out."""
    [notice] = [one for one in case.outbox if isinstance(one, Notice) and one.name == name]
    case.outbox.remove(notice)
    case.notices.came_out(notice, outcome, "email" if outcome == "sent" else "", at("03-10 09:01:00"), {}, **more)
    return notice


def test_who_was_meant_and_every_attempt_go_on_record() -> None:
    case = complaint("03-10 09:00:00")
    attempts = [{"recipient": "s-1", "channel": "email", "outcome": "sent", "reason": "", "count": 1}]
    meant = [{"role": "supervisor", "recipient": "s-1", "why": "on_duty"}]
    came_out(case, attempts=attempts, meant=meant, remarks=[])
    data = only(case, "notified").data
    assert (data["attempts"], data["meant"]) == (attempts, meant)
    assert "remarks" not in data


@pytest.mark.parametrize("by", [AGENT, SYSTEM])
def test_a_notice_is_sent_again_under_its_own_id(by: dict[str, str]) -> None:
    case = complaint("03-10 09:00:00")
    first = came_out(case, "failed")
    seq = only(case, "notified").seq
    do(case, "03-10 09:02:00", "resend", by, notice=seq)
    assert only(case, "notice_resent").data == {"notice": "report", "roles": list(first.roles), "of": 1, "was": seq}
    # The same name and event, which the id is made of.
    again = came_out(case)
    assert (again.name, again.seq, again.roles, again.clause) == ("report", 1, first.roles, first.clause)
    assert [event.data["outcome"] for event in found(case, "notified")] == ["failed", "sent"]
    assert only(case, "report_sent")


def test_a_report_that_is_sent_again_is_no_second_report() -> None:
    case = complaint("03-10 09:00:00")
    came_out(case)
    do(case, "03-10 09:02:00", "resend", notice=only(case, "notified").seq)
    came_out(case)
    assert len(found(case, "report_sent")) == 1


def test_what_cannot_be_sent_again_is_said_so() -> None:
    case = complaint("03-10 09:00:00")
    refuse(case, "03-10 09:00:30", "no_such_notice", "resend", "notices of this case: none yet", notice=1)
    came_out(case)
    seq = only(case, "notified").seq
    refuse(case, "03-10 09:02:00", "no_such_notice", "resend", f"notices of this case: {seq}", notice=99)
    refuse(case, "03-10 09:02:00", "role", "resend", by=CUSTOMER, notice=seq)
    refuse(case, "03-10 09:02:00", "invalid", "resend", "notice is missing")
    do(case, "03-10 09:03:00", "resolve")
    do(case, "03-10 09:04:00", "resend", notice=seq)
    do(case, "03-10 09:05:00", "close")
    refuse(case, "03-10 09:06:00", "closed", "resend", "the case is closed", clause="S1-5.9.8", notice=seq)


# --- the policy -------------------------------------------------------------------------------------


def test_the_policy_says_when_notices_are_gathered() -> None:
    rule = default_policy().digest
    assert isinstance(rule, DigestRule)
    assert (rule.more_than, rule.within.total_seconds(), rule.clause) == (5, 60, "INVENTED")


def test_a_policy_of_before_gathers_nothing() -> None:
    content = json.loads(default_policy().document)
    del content["digest"]
    assert Policy.from_document(canonical(content)).digest is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("more_than = 5", "more_than = 0", "digest.more_than = 0"),
        ('within = "PT1M"', "within = 60", "digest.within = 60: a duration is days"),
        ('within = "PT1M"', 'within = "PT1M"\nmost = 3', "digest.most is not a known field"),
    ],
)
def test_a_wrong_digest_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        policy_with((old, new))
    assert message in caught.value.message


# --- copies (S1-5.9.7) ------------------------------------------------------------------------------


def issued(*to: str) -> Case:
    """A complaint of which copies were issued; nothing else is owed."""
    case = complaint("03-10 09:00:00")
    case.rehearse_effects(at("03-10 09:00:00"))
    copies = CopiesIssued(copies=[IssuedCopy(no=no, to=role) for no, role in enumerate(to, 1)])
    case.emit(copies, at("03-10 09:00:00"), clauses=("S1-5.9.7",))
    return case


def test_each_copy_is_a_notice_of_its_own() -> None:
    case = issued("qa_manager", "supervisor", "qa_manager")
    owed = [(one.name, one.roles, one.no) for one in case.owed() if isinstance(one, Notice)]
    assert owed == [("copy", ("qa_manager",), 1), ("copy", ("supervisor",), 2), ("copy", ("qa_manager",), 3)]


def test_of_the_copies_that_one_comes_out_which_was_sent() -> None:
    case = issued("qa_manager", "supervisor", "qa_manager")
    last = case.owed()[2]
    assert isinstance(last, Notice)
    case.notices.came_out(last, "sent", "email", at("03-10 09:00:05"), {})
    assert [one.no for one in case.owed() if isinstance(one, Notice)] == [1, 2]
    case.rehearse_effects(at("03-10 09:00:06"))
    assert [event.data.get("no") for event in found(case, "notified", notice="copy")] == [3, 1, 2]
    assert Case.owed(type(case).replay(case.policy, case.events)) == ()


def test_a_copy_is_sent_again_by_itself() -> None:
    case = issued("qa_manager", "supervisor", "qa_manager")
    case.rehearse_effects(at("03-10 09:00:05"))
    third = found(case, "notified", notice="copy")[2]
    do(case, "03-10 10:00:00", "resend", GM, notice=third.seq)
    assert only(case, "notice_resent").data["no"] == 3
    [again] = [one for one in case.owed() if isinstance(one, Notice) and one.name == "copy"]
    assert (again.no, again.roles) == (3, ("qa_manager",))


def test_a_notice_without_copies_says_of_none() -> None:
    """So that what was recorded before stays as it was."""
    case = complaint("03-10 09:00:00")
    case.rehearse_effects(at("03-10 09:00:00"))
    assert all("no" not in event.data for event in found(case, "notified"))


@pytest.mark.parametrize(
    ("old", "new"),
    [('to = ["copies"]', 'to = ["copies", "qa_manager"]'), ('on = ["copies_issued"]', 'on = ["closed"]')],
)
def test_copies_stand_alone_and_only_where_they_are_issued(old: str, new: str) -> None:
    with pytest.raises(Refused, match="copies stands alone, and only where on = \\['copies_issued'\\]") as refused:
        policy_with((old, new))
    assert refused.value.code == "bad_policy"


def test_no_notice_of_copies_goes_to_the_customer() -> None:
    route = '[[notice]]\nname = "filed_away"\non = ["closed", "copies_issued"]\nto = ["{}"]\nclause = "INVENTED"\n'
    with pytest.raises(Refused, match=r"notice\.filed_away\.to = 'customer': .*never.*S1-5\.9\.10") as refused:
        read_default(DEFAULT + route.format("customer"))
    assert refused.value.code == "bad_policy"
    policy = read_default(DEFAULT + route.format("accounting"))
    assert "filed_away" in {told.name for told in policy.routes("quality", "copies_issued")}
    # What a case was pinned to stays readable.
    earlier = policy.document.replace('"to":["accounting"]', '"to":["customer"]')
    assert earlier != policy.document
    Policy.from_document(earlier)
