"""An inquiry: answered in 20 minutes, for a year from posting (S0-2.2, worked cases 1 and 2)."""

from __future__ import annotations

import pytest

from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    SUPERVISOR,
    at,
    clock,
    do,
    found,
    inquiry,
    notified_roles,
    only,
    pass_time,
    refuse,
    when,
)


def test_opening_starts_one_clock_and_no_rung_clock() -> None:
    case = inquiry("03-02 23:55:00", "2026-02-27", question="where is it?")
    assert list(case.clocks) == ["inquiry"]
    assert clock(case, "inquiry") == ("running", "03-03 00:15:00")
    assert case.events[0].clauses == ("S0-2.2.1",)
    assert notified_roles(case, "rung") == [("agent",)]
    assert notified_roles(case, "report") == []
    assert "question" not in case.events[0].data["facts"]


@pytest.mark.parametrize(("moment", "state"), [("03-03 00:15:00", "met"), ("03-03 00:15:01", "breached")])
def test_an_answer_at_the_limit_is_in_time(moment: str, state: str) -> None:
    case = inquiry("03-02 23:55:00", "2026-02-27")
    do(case, moment, "reply", stage="answer", text="signed yesterday")
    assert clock(case, "inquiry")[0] == state
    assert case.status == "resolved"
    assert only(case, "resolved").at == at(moment)


def test_an_interim_word_does_not_answer() -> None:
    case = inquiry("03-02 23:55:00", "2026-02-27")
    do(case, "03-02 23:56:00", "reply", stage="interim")
    assert (case.status, clock(case, "inquiry")[0]) == ("open", "running")


def test_a_breach_brings_in_the_supervisor_and_tells_them() -> None:
    case = inquiry("03-02 23:55:00", "2026-02-27")
    case.outbox.clear()
    pass_time(case, "03-04 00:00:00")
    assert when(found(case, "clock_breached", clock="inquiry")) == ["03-03 00:15:00"]
    assert only(case, "escalated").data == {"from": "agent", "to": "supervisor", "cause": "deadline"}
    assert (notified_roles(case, "breach"), notified_roles(case, "rung")) == ([("supervisor",)], [("supervisor",)])
    # Without a rung clock nobody is hunted further.
    assert case.due() is None
    do(case, "03-04 09:00:00", "acknowledge", SUPERVISOR)
    assert case.view()["holder"] == "super-2"


def test_a_serious_inquiry_starts_with_the_supervisor() -> None:
    case = inquiry("03-02 23:55:00", "2026-02-27", severity="serious")
    assert case.ladder.rung == "supervisor"
    assert notified_roles(case, "rung") == [("agent",), ("supervisor",)]


@pytest.mark.parametrize(
    ("posted_on", "last_day", "next_day"),
    [
        ("2025-03-10", "2026-03-10", "2026-03-11"),
        ("2024-02-29", "2025-02-28", "2025-03-01"),
        ("2023-03-01", "2024-03-01", "2024-03-02"),
    ],
)
def test_an_inquiry_is_answerable_for_a_year_from_posting(posted_on: str, last_day: str, next_day: str) -> None:
    assert inquiry(f"{last_day} 23:59:59", posted_on).status == "open"
    with pytest.raises(Refused) as caught:
        inquiry(f"{next_day} 00:00:00", posted_on)
    assert (caught.value.code, caught.value.clause) == ("out_of_validity", "S0-2.2.2")
    assert f"facts.shipment.posted_on = {posted_on}: " in caught.value.message
    assert f"answerable until {last_day}" in caught.value.message


def test_a_parcel_posted_after_the_inquiry_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        inquiry("03-02 23:55:00", "2026-03-03")
    assert caught.value.code == "invalid"
    assert "facts.shipment.posted_on = 2026-03-03" in caught.value.message
    assert "2026-03-02" in caught.value.message


def test_reopening_starts_the_clock_again_within_a_day() -> None:
    case = inquiry("03-02 12:00:00", "2026-02-27")
    do(case, "03-02 12:05:00", "reply", stage="answer")
    do(case, "03-03 23:59:59", "reopen", reason="wrong parcel")
    assert clock(case, "inquiry") == ("running", "03-04 00:19:59")
    do(case, "03-04 00:10:00", "reply", stage="answer")
    # A further word once it is answered resolves nothing again.
    do(case, "03-04 00:11:00", "reply", stage="answer")
    assert len(found(case, "resolved")) == 2
    pass_time(case, "03-06 00:00:00")
    assert only(case, "closed").at == at("03-06 00:00:00")


def test_an_inquiry_may_be_resolved_withdrawn_and_never_extended() -> None:
    case = inquiry("03-02 12:00:00", "2026-02-27")
    refuse(
        case,
        "03-02 12:01:00",
        "not_extendable",
        "extend",
        "clock = 'inquiry'",
        "allowed: none",
        by=SUPERVISOR,
        clause="S4-2.4",
        clock="inquiry",
        due="2026-03-02T13:00:00+08:00",
        reason="x",
    )
    do(case, "03-02 12:02:00", "resolve", summary="told by phone")
    assert clock(case, "inquiry")[0] == "met"
    assert only(case, "acknowledged").actor.id == AGENT["id"]


def test_an_inquiry_knows_no_options() -> None:
    case = inquiry("03-02 12:00:00", "2026-02-27")
    refuse(case, "03-02 12:01:00", "unknown_command", "propose", "'propose'", "reply", options=["A"])


def test_a_promise_may_lie_far_since_no_law_bounds_it() -> None:
    case = inquiry("03-02 12:00:00", "2026-02-27")
    do(case, "03-02 12:01:00", "promise", reply_by="2027-01-01T00:00:00+08:00")
    assert case.clocks["promise:1"].due == at("2027-01-01 00:00:00")
