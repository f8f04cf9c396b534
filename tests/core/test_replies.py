"""Replies that are sent: they count once they have gone out, and not before (S0-2.3.5, S1-4.1)."""

from __future__ import annotations

from typing import Any

import pytest

from cases.case import Case
from cases.kinds.complaint import Complaint
from cases.kinds.inquiry import Inquiry
from cases.mechanisms.replies import TRIED_FOR
from cases.vocabulary.effects import SEND_REPLY, UNAVAILABLE, ActivityCall
from cases.vocabulary.events import SYSTEM, Actor, Event, without_texts
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    CUSTOMER,
    SUPERVISOR,
    at,
    clock,
    complaint,
    default_policy,
    do,
    found,
    inquiry,
    notified_roles,
    only,
    pass_time,
    when,
)

WHO = Actor(AGENT["id"], AGENT["role"])
BY_MAIL = {"stage": "interim", "via": "mail", "text": "We are looking for it."}


def owed(case: Case) -> list[ActivityCall]:
    """Return the sendings that the case owes."""
    return [one for one in case.owed() if isinstance(one, ActivityCall) and one.activity == SEND_REPLY]


def comes_out(case: Case, moment: str, **result: Any) -> None:
    """Let the one sending come out."""
    [call] = owed(case)
    case.activity_done(call, result, at(moment))


def refused(case: Case, moment: str, name: str, by: dict[str, str] = AGENT, /, **fields: Any) -> Refused:
    """Return why a command is refused."""
    with pytest.raises(Refused) as caught:
        do(case, moment, name, by, **fields)
    return caught.value


@pytest.mark.parametrize("via", [None, "phone"])
def test_what_was_said_counts_at_once(via: str | None) -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", stage="interim", text="It comes today.", **({"via": via} if via else {}))
    said = only(case, "replied")
    assert said.data == {"stage": "interim", "text": "It comes today."} | ({"via": via} if via else {})
    assert (said.actor.id, clock(case, "interim_reply")[0], owed(case)) == ("agent-7", "met", [])


def test_what_is_sent_counts_when_it_has_gone_out() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL)
    sending = only(case, "reply_sending")
    assert (sending.data, sending.actor.id) == (BY_MAIL, "agent-7")
    assert (found(case, "replied"), clock(case, "interim_reply")[0]) == ([], "running")
    [call] = owed(case)
    assert (call.order, call.recorded_first, call.tried_for) == ({"via": "mail"}, True, TRIED_FOR)
    comes_out(case, "03-10 09:10:07")
    sent = only(case, "replied")
    assert (sent.data, sent.actor) == ({"stage": "interim", "via": "mail", "of": sending.seq}, SYSTEM)
    assert (when([sent]), clock(case, "interim_reply")[0], owed(case)) == (["03-10 09:10:07"], "met", [])


@pytest.mark.parametrize(("moment", "state"), [("03-10 09:30:00", "met"), ("03-10 09:30:01", "breached")])
def test_the_clock_is_met_when_it_goes_out(moment: str, state: str) -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:29:59", "reply", **BY_MAIL)
    comes_out(case, moment)
    assert clock(case, "interim_reply") == (state, "03-10 09:30:00")


@pytest.mark.parametrize(("moment", "state"), [("03-03 00:15:00", "met"), ("03-03 00:15:01", "breached")])
def test_an_inquiry_is_settled_when_the_answer_has_gone_out(moment: str, state: str) -> None:
    case = inquiry("03-02 23:55:00", "2026-02-27")
    do(case, "03-03 00:10:00", "reply", stage="answer", via="message", text="Signed for yesterday.")
    assert case.status == "open"
    comes_out(case, moment)
    assert (case.status, clock(case, "inquiry")[0]) == ("resolved", state)
    assert when([only(case, "resolved")]) == [moment]


def test_a_reply_that_failed_is_told_to_the_holder_and_counts_as_nothing() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:01:00", "acknowledge")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL, reply_by="2026-03-10T15:00:00+08:00")
    case.outbox = [one for one in case.outbox if one in owed(case)]
    comes_out(case, "03-10 09:11:00", failed="no_address")
    failed = only(case, "reply_failed")
    of = only(case, "reply_sending").seq
    assert failed.data == {"stage": "interim", "via": "mail", "reason": "no_address", "of": of}
    assert (found(case, "replied"), found(case, "promised"), owed(case)) == ([], [], [])
    assert clock(case, "interim_reply")[0] == "running"
    assert notified_roles(case, "reply_failed") == [("agent",)]
    # It may be tried again, or said by phone.
    do(case, "03-10 09:12:00", "reply", **BY_MAIL)


def test_a_reply_that_could_not_be_sent_in_time_is_not_stuck() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL)
    comes_out(case, "03-10 09:40:00", **UNAVAILABLE)
    assert only(case, "reply_failed").data["reason"] == "unavailable"
    assert clock(case, "interim_reply")[0] == "breached"
    do(case, "03-10 09:41:00", "reply", **BY_MAIL)


def test_one_is_sent_at_a_time_and_something_may_be_said_meanwhile() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL)
    assert case.choices("reply", WHO, at("03-10 09:10:01"))["via"] == ["phone"]
    for via in ("mail", "message"):
        assert (
            refused(case, "03-10 09:10:01", "reply", stage="answer", via=via, text="Again.").code == "reply_under_way"
        )
    do(case, "03-10 09:10:02", "reply", stage="interim", via="phone")
    comes_out(case, "03-10 09:10:07")
    assert case.choices("reply", WHO, at("03-10 09:10:08"))["via"] == ["mail", "message", "phone"]
    do(case, "03-10 09:11:00", "reply", stage="answer", via="mail", text="It comes today.")


def test_nothing_is_sent_without_a_text() -> None:
    case = complaint("03-10 09:00:00")
    assert refused(case, "03-10 09:10:00", "reply", stage="interim", via="mail").code == "reply_text_missing"
    assert refused(case, "03-10 09:10:00", "reply", stage="interim", via="fax", text="x").code == "invalid"


# --- promises -------------------------------------------------------------------------------------


def test_a_promise_is_made_with_what_is_said() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:05:00", "promise", reply_by="2026-03-10T10:00:00+08:00")
    events = do(case, "03-10 09:10:00", "reply", stage="interim", reply_by="2026-03-10T15:00:00+08:00")
    types = [event.type for event in events if event.at == at("03-10 09:10:00")]
    assert types == ["replied", "clock_met", "clock_met", "promised", "clock_started"]
    # The reply keeps the promise of before, not the new one.
    assert (clock(case, "promise:1")[0], clock(case, "promise:2")) == ("met", ("running", "03-10 15:00:00"))
    assert only(case, "promised", reply_by="2026-03-10T15:00:00+08:00").actor.id == "agent-7"


def test_a_promise_is_made_when_it_has_gone_out() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL, reply_by="2026-03-10T15:00:00+08:00")
    assert found(case, "promised") == []
    comes_out(case, "03-10 09:10:07")
    promised = only(case, "promised")
    assert promised.data == {"reply_by": "2026-03-10T15:00:00+08:00", "of": only(case, "reply_sending").seq}
    assert (when([promised]), clock(case, "promise:1")) == (["03-10 09:10:07"], ("running", "03-10 15:00:00"))
    # The next word keeps it, and not the one that it was made with.
    do(case, "03-10 15:00:00", "reply", stage="answer")
    assert clock(case, "promise:1")[0] == "met"


def test_a_promise_that_is_over_when_it_goes_out_is_broken() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL, reply_by="2026-03-10T09:15:00+08:00")
    comes_out(case, "03-10 09:20:00")
    pass_time(case, "03-10 09:20:00")
    assert clock(case, "promise:1")[0] == "breached"


@pytest.mark.parametrize("via", ["mail", "phone"])
@pytest.mark.parametrize(
    ("reply_by", "code"),
    [("2026-03-10T09:10:00+08:00", "past"), ("2026-03-18T00:00:00+08:00", "past_legal_limit")],
)
def test_a_promise_is_refused_as_the_command_is_before_anything_is_recorded(via: str, reply_by: str, code: str) -> None:
    case = complaint("03-10 09:00:00")
    case.elapse(at("03-10 09:10:00"), inclusive=False)
    before = len(case.events)
    assert refused(case, "03-10 09:10:00", "promise", reply_by=reply_by).code == code
    why = refused(case, "03-10 09:10:00", "reply", stage="interim", via=via, text="Soon.", reply_by=reply_by)
    assert (why.code, len(case.events)) == (code, before)


def test_who_may_not_promise_may_not_with_a_reply() -> None:
    case = complaint("03-10 09:00:00")
    why = refused(case, "03-10 09:10:00", "reply", CUSTOMER, stage="interim", reply_by="2026-03-10T15:00:00+08:00")
    assert why.code == "role"


def test_nothing_is_promised_with_what_settles_the_case() -> None:
    case = inquiry("03-02 12:00:00", "2026-02-27")
    why = refused(case, "03-02 12:10:00", "reply", stage="answer", reply_by="2026-03-02T15:00:00+08:00")
    assert (why.code, case.status) == ("resolved", "open")
    done = complaint("03-10 09:00:00")
    do(done, "03-10 09:10:00", "resolve")
    why = refused(done, "03-10 09:20:00", "reply", stage="answer", reply_by="2026-03-10T15:00:00+08:00")
    assert why.code == "resolved"


def test_a_case_that_ended_meanwhile_still_says_what_came_of_it() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL, reply_by="2026-03-10T15:00:00+08:00")
    do(case, "03-10 09:10:01", "withdraw", SUPERVISOR)
    comes_out(case, "03-10 09:10:07")
    assert (only(case, "replied").data["via"], found(case, "promised"), case.status) == ("mail", [], "closed")


# --- from the ledger ------------------------------------------------------------------------------


def test_a_case_from_the_ledger_owes_what_was_not_sent() -> None:
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL)
    again = Complaint.replay(default_policy(), map(_without_texts, case.events))
    assert owed(again) == owed(case)
    with pytest.raises(Refused):
        do(again, "03-10 09:10:01", "reply", **BY_MAIL)
    comes_out(again, "03-10 09:10:07")
    assert clock(again, "interim_reply")[0] == "met"
    assert owed(Complaint.replay(default_policy(), again.events)) == []


def test_a_reply_of_release_0_1_reads_as_it_was() -> None:
    case = inquiry("03-02 23:55:00", "2026-02-27")
    do(case, "03-02 23:56:00", "reply", stage="answer", text="At the neighbour's.")
    assert only(case, "replied").data == {"stage": "answer", "text": "At the neighbour's."}
    again = Inquiry.replay(default_policy(), case.events)
    assert again.view() == case.view()


def _without_texts(event: Event) -> Event:
    return Event.from_json(without_texts(event.as_json()))
