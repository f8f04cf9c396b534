"""What customers write back, and replies that come back: on record and told to the holder, by the program alone."""

from __future__ import annotations

from typing import Any

import pytest

from cases.kinds.complaint import Complaint
from cases.registry import case_types
from cases.vocabulary.events import SYSTEM, without_texts
from tests.core.support import AGENT, clock, complaint, do, found, notified_roles, only, pass_time, refuse
from tests.core.test_replies import BY_MAIL, comes_out

BY = SYSTEM.as_json()
WROTE: dict[str, Any] = {"text": "It is still not here.", "via": "mail", "known": True}


def replied() -> Complaint:
    """A complaint that was taken up, and whose customer was replied to by mail."""
    case = complaint("03-10 09:00:00")
    do(case, "03-10 09:01:00", "acknowledge")
    do(case, "03-10 09:10:00", "reply", **BY_MAIL)
    case.outbox = [one for one in case.outbox if one.seq == only(case, "reply_sending").seq]
    comes_out(case, "03-10 09:11:00")
    return case


def test_what_the_customer_writes_is_kept_as_a_text_and_told_to_the_holder() -> None:
    case = replied()
    do(case, "03-10 09:30:00", "customer_wrote", BY, **WROTE)
    wrote = only(case, "customer_wrote")
    assert (wrote.data, wrote.actor) == (WROTE, SYSTEM)
    assert "text" not in without_texts(wrote.as_json())["data"]
    assert notified_roles(case, "customer_wrote") == [("agent",)]


def test_it_is_taken_of_a_resolved_case_and_not_of_a_closed_one() -> None:
    case = replied()
    do(case, "03-10 09:30:00", "resolve")
    do(case, "03-10 09:31:00", "customer_wrote", BY, **WROTE)
    assert (case.status, len(found(case, "customer_wrote"))) == ("resolved", 1)
    pass_time(case, "04-10 09:00:00")
    refuse(case, "04-10 09:01:00", "closed", "customer_wrote", by=BY, clause="S1-5.9.8", **WROTE)


@pytest.mark.parametrize("by", [AGENT, {"id": "crm", "role": "system"}, {"id": "customer", "role": "customer"}])
def test_nobody_but_the_program_says_that_the_customer_wrote(by: dict[str, str]) -> None:
    case = replied()
    of = only(case, "reply_sending").seq
    refuse(case, "03-10 09:30:00", "role", "customer_wrote", by=by, **WROTE)
    refuse(case, "03-10 09:30:00", "role", "reply_bounced", by=by, of=of)


def test_a_reply_that_comes_back_is_told_once_and_what_it_met_stays_met() -> None:
    case = replied()
    of = only(case, "reply_sending").seq
    for minute in (12, 13):
        do(case, f"03-10 09:{minute}:00", "reply_bounced", BY, of=of)
    assert only(case, "reply_bounced").data == {"stage": "interim", "via": "mail", "of": of}
    assert notified_roles(case, "reply_bounced") == [("agent",)]
    assert clock(case, "interim_reply")[0] == "met"
    do(case, "03-10 09:20:00", "reply", **BY_MAIL)


def test_only_what_went_out_comes_back() -> None:
    case = complaint("03-10 09:00:00")
    refuse(case, "03-10 09:05:00", "not_sent", "reply_bounced", by=BY, clause="S0-2.3.5", of=1)
    do(case, "03-10 09:10:00", "reply", **BY_MAIL)
    of = only(case, "reply_sending").seq
    refuse(case, "03-10 09:10:30", "not_sent", "reply_bounced", by=BY, clause="S0-2.3.5", of=of)


def test_every_kind_whose_customers_are_replied_to_takes_it() -> None:
    for kind in case_types():
        assert ("reply" in kind.COMMANDS) == ("customer_wrote" in kind.COMMANDS) == ("reply_bounced" in kind.COMMANDS)
