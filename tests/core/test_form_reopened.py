"""A complete form whose table says for how long it may be reopened."""

from __future__ import annotations

import pytest

from activities.policies.store import published_years
from cases.kinds.form import Form
from cases.policy.model import Policy
from cases.registry import kind_of
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import DEFAULT, at, found
from tests.core.test_form import BEGUN, COMPANY, FILED, form, send

TABLE = (COMPANY.parent / "forms" / "site_check.toml").read_text("utf-8")
KEEPER = {"id": "keeper-1", "role": "warehouse_keeper"}
STORE = {"id": "wm-1", "role": "warehouse_manager"}
MANAGER = {"id": "dm-1", "role": "department_manager"}
AGENT = {"id": "agent-2", "role": "agent"}
FILER = FILED["site_check"][0]


def complete(case: Form, day: str, **result: str) -> Form:
    """Let everybody sign on a day, from ten o'clock on."""
    send(case, at(f"{day} 10:00"), "sign", KEEPER, fields={"result": "good", **result})
    if result.get("result") != "repair":
        send(case, at(f"{day} 11:00"), "sign", STORE, fields={"weight": 1200})
    send(case, at(f"{day} 12:00"), "approve", MANAGER)
    return case


def reopened(case: Form, moment: str) -> Form:
    """Reopen a form."""
    send(case, at(moment), "reopen", AGENT, reason="the floor has given way")
    return case


def with_whole(limit: str) -> Form:
    """File the form with another limit of the whole."""
    assert 'until = "done_by"' in TABLE
    policy = Policy.from_toml(DEFAULT + TABLE.replace('until = "done_by"', limit), published_years())
    kind = kind_of("site_check", policy)
    facts = {"filed_by": FILER, "fields": FILED["site_check"][1]}
    opened = kind.open(read_intake(kind.INTAKE, {"key": "F-1", "facts": facts}), policy, at(BEGUN))
    assert isinstance(opened, Form)
    return opened


def test_reopened_nothing_that_was_signed_or_filled_counts_any_more() -> None:
    case = complete(form("site_check"), "03-10")
    assert (case.status, case.effective, case.fields["weight"]) == ("resolved", True, 1200)
    view = reopened(case, "03-17 23:59:59").view()
    assert (view["status"], view["step"], view["turn"], view["signed"]) == ("open", "check", ["warehouse_keeper"], [])
    assert view["effective"] is False
    assert not {"result", "weight"} & view["fields"].keys()
    asked = found(case, "signature_asked")[-1]
    # It is not sent back: everybody is asked as for the first time.
    assert (asked.at, asked.data["step"], asked.data.get("sent_back")) == (at("03-17 23:59:59"), "check", None)


def test_reopened_it_is_corrected_decided_anew_and_complete_again() -> None:
    case = complete(reopened(complete(form("site_check"), "03-10"), "03-11 09:00"), "03-12", result="repair")
    assert case.status == "resolved"
    assert [event.data["fields"] for event in found(case, "form_completed")] == [
        {"result": "good", "weight": 1200},
        {"result": "repair"},
    ]
    assert [event.data["early"] for event in found(case, "took_effect")] == [False, False]
    assert [(one.subject, one.state) for one in case.approvals] == [("cost", "approved")] * 2
    # The window begins anew.
    case.elapse(at("03-19 23:59:59"))
    assert case.status == "resolved"
    case.elapse(at("03-20 00:00:00"))
    assert (case.status, case.outcome, case.effective) == ("closed", "approved", True)


def test_the_copies_of_a_form_go_out_once() -> None:
    case = complete(reopened(complete(form("site_check"), "03-10"), "03-11 09:00"), "03-12", result="repair")
    assert [event.at for event in found(case, "copies_issued")] == [at("03-10 12:00")]


@pytest.mark.parametrize(
    ("moment", "code"), [("03-10 11:30", "not_resolved"), ("03-18 00:00:00", "window_over"), ("03-19 09:00", "closed")]
)
def test_it_is_reopened_only_when_complete_and_in_time(moment: str, code: str) -> None:
    case = form("site_check")
    if moment > "03-10 12:00":
        complete(case, "03-10")
    with pytest.raises(Refused) as refused:
        reopened(case, moment)
    assert refused.value.code == code
    assert found(case, "reopened") == []


@pytest.mark.parametrize(("name", "by", "outcome"), [("refuse", KEEPER, "refused"), ("withdraw", FILER, "withdrawn")])
def test_reopened_it_may_come_to_nothing(name: str, by: dict[str, str], outcome: str) -> None:
    case = reopened(complete(form("site_check"), "03-10"), "03-11 09:00")
    send(case, at("03-11 10:00"), name, by, reason="nothing of it is true")
    assert (case.status, case.outcome, case.effective) == ("closed", outcome, False)


def test_a_day_of_the_whole_that_still_lies_ahead_holds_again() -> None:
    case = reopened(complete(form("site_check"), "03-10"), "03-12 23:59:58")
    started = found(case, "clock_started", clock="whole")
    assert [event.data["due"] for event in started] == ["2026-03-12T23:59:59+08:00"] * 2
    case.elapse(at("03-13 00:00:00"))
    assert [event.at for event in found(case, "clock_breached", clock="whole")] == [at("03-12 23:59:59")]


@pytest.mark.parametrize("moment", ["03-12 23:59:59", "03-13 09:00"])
def test_a_day_of_the_whole_that_has_passed_makes_nothing_late(moment: str) -> None:
    case = complete(reopened(complete(form("site_check"), "03-10"), moment), "03-13" if "23" in moment else "03-14")
    assert len(found(case, "clock_started", clock="whole")) == 1
    assert found(case, "clock_breached") == []


def test_a_span_of_the_whole_begins_anew() -> None:
    case = reopened(complete(with_whole("calendar_days = 2"), "03-10"), "03-16 09:00")
    started = found(case, "clock_started", clock="whole")
    assert [event.data["due"] for event in started] == ["2026-03-12T23:59:59+08:00", "2026-03-18T23:59:59+08:00"]
    assert case.clocks.runs("whole")


def test_a_form_without_days_for_it_is_closed_at_once() -> None:
    case = form("petition")
    send(case, at("03-10 10:00"), "sign", {"id": "go-1", "role": "gm_office"}, text="as it is")
    send(case, at("03-10 11:00"), "sign", {"id": "gm-1", "role": "general_manager"})
    with pytest.raises(Refused) as refused:
        reopened(case, "03-10 12:00")
    assert (case.status, refused.value.code) == ("closed", "closed")
