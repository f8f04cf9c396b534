"""Quality complaints: verified, numbered, sent round, judged, decided, carried out (S1-5)."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cases.kinds.quality import QualityComplaint
from cases.kinds.quality_events import department_losses
from cases.kinds.quality_models import QualityIntake
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.effects import Opening
from cases.vocabulary.events import Actor
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    CUSTOMER,
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
from tests.core.test_from_the_ledger import known, watch, without_texts

KNOWN = {
    "order_number": "A-1009", "part_number": "PN-7", "shipped_on": "2026-02-01", "quantity": "800",
    "defective_quantity": "40",
}  # fmt: skip
JUDGED: dict[str, Any] = {
    "class": "quality", "own_fault": True, "tracked": True,
    "responsible": [{"department": "manufacturing", "percent": "60"}, {"department": "rnd", "percent": "40"}],
    "loss": [{"item": "rework", "quantity": "7", "unit_price": "12.345"}, {"item": "postage", "amount": "0.50"}],
}  # fmt: skip
OPINION: dict[str, Any] = {"text": "it holds", "established": True, "disposal": "allowance", "amount": "900.00"}
NOTHING: dict[str, Any] = {"text": "it holds", "established": True, "disposal": "none"}
# The way of the form: who does what at which minute of the morning.
WAY: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("accept", "gm_office", {}),
    ("investigate", "qa_manager", {"finding": "the mould was worn"}),
    ("report", "qa_manager", {"cause": "a worn mould", "responsible": ["manufacturing"], "established": True}),
    ("sign", "manufacturing", {"text": "replaced"}),
    ("sign", "manager_office", {"text": "agreed"}),
    ("sign", "gm_office", {"text": "complete"}),
    ("negotiate", "business", {"result": "they ask for money"}),
    ("sign", "business_manager", {"text": "reviewed"}),
    ("judge", "gm_office", JUDGED),
    ("opinion", "gm_office", OPINION),
    ("approve", "business_manager", {}),
    ("explain", "business", {"channel": "letter"}),
)
ACCEPTED, REPORTED, CHECKED, NEGOTIATED, REVIEWED, JUDGED_UP, COMPOSED, DECIDED, EXPLAINED = (
    1,
    3,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
)


def person(role: str, id: str | None = None) -> dict[str, str]:
    """Somebody in a role."""
    return {"id": id or f"{role}-1", "role": role}


def quality(policy: Policy | None = None, received: str = "03-02 08:00:00", **facts: Any) -> QualityComplaint:
    """A complaint that was filed at an instant, with all that is to be verified."""
    raw = {"origin": "domestic", "loss": True, "demand": "allowance", **KNOWN, **facts}
    given_facts = {name: value for name, value in raw.items() if value is not None}
    intake = {"key": "Q-1", "received_at": at(received).isoformat(), "facts": given_facts}
    read = read_intake(QualityComplaint.INTAKE, intake)
    return QualityComplaint.open(read, policy or default_policy(), at(received))


def after(
    steps: int, policy: Policy | None = None, opinion: dict[str, Any] = OPINION, **facts: Any
) -> QualityComplaint:
    """A complaint that went so many steps of its way, a minute after each other from 09:00 of 2 March."""
    case = quality(policy, **facts)
    for minute, (name, role, fields) in enumerate(WAY[:steps]):
        do(case, f"03-02 09:{minute:02}:00", name, person(role), **(opinion if name == "opinion" else fields))
    case.rehearse_effects(case.events[-1].at)
    return case


def mine(case: QualityComplaint, moment: str, name: str, role: str, /, **fields: Any) -> None:
    """Send a command in a role."""
    do(case, moment, name, person(role), **fields)


def forbid(case: QualityComplaint, moment: str, code: str, name: str, role: str, /, *said: str, **fields: Any) -> None:
    """Check that a command is refused with this code, and changes nothing."""
    case.elapse(at(moment), inclusive=False)
    before = (len(case.events), case.view(), case.due(), case.owed())
    with pytest.raises(Refused) as caught:
        do(case, moment, name, person(role), **fields)
    assert caught.value.code == code, caught.value.message
    for part in said:
        assert part in caught.value.message
    assert (len(case.events), case.view(), case.due(), case.owed()) == before


# --- intake, verification, acceptance --------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "code", "said"),
    [
        ({"loss": False}, "no_loss", "improvement_slip 异常处理单"),
        ({"defective_quantity": "801"}, "too_many", "defective_quantity = 801: quantity is 800"),
        ({"return_quantity": "800.5"}, "too_many", "return_quantity"),
    ],
)
def test_an_intake_that_makes_no_complaint_is_refused(facts: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as caught:
        quality(**facts)
    assert caught.value.code == code


def test_business_verifies_and_the_office_accepts() -> None:
    case = quality(order_number=None, quantity=None, defective_quantity=None)
    assert (case.view()["step"], case.view()["turn"], case.view()["number"]) == ("verification", ["business"], None)
    assert case.view()["waits_for"][0]["role"] == "business"
    assert notified_roles(case, "verify") == [("business", "gm_office")]
    forbid(case, "03-02 09:00:00", "not_verified", "accept", "gm_office", "order_number, quantity, defective_quantity")
    mine(case, "03-02 09:01:00", "verify", "business", order_number="A-1", sample=True)
    assert only(case, "verified").data == {"found": {"order_number": "A-1", "sample": True}, "complete": False}
    assert notified_roles(case, "accept") == []
    mine(case, "03-02 09:02:00", "verify", "business", quantity="800", defective_quantity="800")
    assert notified_roles(case, "accept") == [("gm_office",)]
    assert (case.view()["step"], case.view()["turn"]) == ("acceptance", ["gm_office"])
    forbid(case, "03-02 09:03:00", "role", "accept", "business")
    forbid(case, "03-02 09:03:00", "too_many", "verify", "business", quantity="799")
    forbid(case, "03-02 09:03:00", "invalid", "verify", "business", "give at least one of order_number")
    mine(case, "03-02 09:04:00", "accept", "gm_office")
    assert clock(case, "closing") == ("running", "03-17 23:59:59")
    forbid(case, "03-02 09:05:00", "already_accepted", "accept", "gm_office")
    forbid(case, "03-02 09:05:00", "already_accepted", "verify", "business", sample=False)


@pytest.mark.parametrize("demand", ["return", "exchange"])
def test_goods_that_come_back_are_counted_or_still_worked_up(demand: str) -> None:
    case = quality(demand=demand)
    forbid(case, "03-02 09:00:00", "not_verified", "accept", "gm_office", "return_quantity or customer_processing")
    mine(case, "03-02 09:01:00", "verify", "business", customer_processing=True)
    assert only(case, "verified").data["found"]["return_quantity"] == "客户加工中未确定"
    assert "return_quantity" not in case.view()["facts"]
    mine(case, "03-02 09:02:00", "verify", "business", return_quantity="40")
    assert found(case, "verified")[-1].data["found"] == {"return_quantity": "40"}
    mine(case, "03-02 09:03:00", "accept", "gm_office")


def test_the_office_sends_back_before_it_accepts() -> None:
    case = quality()
    forbid(case, "03-02 09:00:00", "out_of_order", "send_back", "business", reason="r")
    forbid(case, "03-02 09:00:00", "no_such_step", "send_back", "gm_office", "verification", reason="r", to="qa")
    assert case.choices("send_back", Actor("g", "gm_office"), at("03-02 09:00:00")) == {"to": ["verification"]}
    mine(case, "03-02 09:01:00", "send_back", "gm_office", reason="no sample")
    assert notified_roles(case, "verify")[-1] == ("business",)
    forbid(case, "03-02 09:02:00", "not_verified", "accept", "gm_office", "sent back")
    mine(case, "03-02 09:03:00", "verify", "business", sample=True)
    mine(case, "03-02 09:04:00", "accept", "gm_office")


def test_the_number_is_given_at_acceptance() -> None:
    case = after(ACCEPTED)
    assert case.view()["number"] == "2026-03-0001"
    assert only(case, "numbered").clauses == ("S1-5.8", "S1-5.9.3")


def test_a_complaint_of_before_it_is_accepted_is_none_of_the_route() -> None:
    forbid(
        quality(), "03-02 09:00:00", "out_of_order", "sign", "manufacturing", "it is the turn of gm_office", text="t"
    )
    forbid(quality(), "03-02 09:00:00", "out_of_order", "investigate", "qa_manager", finding="f")


# --- the route -------------------------------------------------------------------------------------


def test_each_is_asked_when_the_one_before_has_acted() -> None:
    case = after(COMPOSED)
    asked = [(event.data["step"], event.data["role"]) for event in found(case, "signature_asked")]
    assert asked == [
        ("qa", "qa_manager"), ("manufacturing", "manufacturing"), ("manager_office", "manager_office"),
        ("gm_check", "gm_office"), ("negotiation", "business"), ("review", "business_manager"),
        ("opinion", "gm_office"),
    ]  # fmt: skip
    assert (case.view()["step"], case.view()["turn"]) == ("decision", ["business_manager"])
    texts = [(one["step"], one["role"], one["text"]) for one in shown(case)["signed"]]
    assert texts == [
        ("qa", "qa_manager", "a worn mould"), ("manufacturing", "manufacturing", "replaced"),
        ("manager_office", "manager_office", "agreed"), ("gm_check", "gm_office", "complete"),
        ("negotiation", "business", "they ask for money"), ("review", "business_manager", "reviewed"),
        ("opinion", "gm_office", "it holds"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "name", "role", "fields", "code"),
    [
        (ACCEPTED, "report", "qa_manager", {"cause": "c", "established": True}, "not_investigated"),
        (ACCEPTED, "investigate", "qa_manager", {}, "invalid"),
        (ACCEPTED, "investigate", "qa_manager", {"finding": "f", "justified": True}, "invalid"),
        (ACCEPTED, "sign", "qa_manager", {"text": "t"}, "out_of_order"),
        (ACCEPTED, "send_back", "qa_manager", {"reason": "r"}, "first_step"),
        (ACCEPTED, "involve", "gm_office", {"party": "p", "units": ["rnd"], "reason": "r"}, "out_of_order"),
        (2, "investigate", "qa_manager", {"finding": "f"}, "already_found"),
        (2, "report", "qa_manager", {"cause": "c", "responsible": ["boss"], "established": True}, "unknown_role"),
        (REPORTED, "sign", "manufacturing", {}, "text_missing"),
        (REPORTED, "sign", "manufacturing", {"text": "t", "fields": {"x": 1}}, "unknown_field"),
        (REPORTED, "sign", "manager_office", {"text": "t"}, "out_of_order"),
        (REPORTED, "sign", "agent", {"text": "t"}, "role"),
        (REPORTED, "report", "qa_manager", {"cause": "c", "established": True}, "out_of_order"),
        (REPORTED, "send_back", "manufacturing", {"reason": "r", "to": "review"}, "no_such_step"),
        (5, "negotiate", "business", {"result": "r"}, "out_of_order"),
        (5, "judge", "gm_office", JUDGED, "out_of_order"),
        (5, "involve", "gm_office", {"party": "p", "units": ["boss"], "reason": "r"}, "unknown_role"),
        (5, "involve", "gm_office", {"party": "p", "units": ["customer"], "reason": "r"}, "unknown_role"),
        (CHECKED, "involve", "gm_office", {"party": "p", "units": ["rnd"], "reason": "r"}, "too_late"),
        (CHECKED, "negotiate", "business", {"result": "r", "promised": "0.01"}, "authority"),
        (CHECKED, "sign", "business", {"text": "t"}, "out_of_order"),
        (NEGOTIATED, "sign", "business", {"text": "t"}, "out_of_order"),
        (REVIEWED, "opinion", "gm_office", OPINION, "not_judged"),
        (REVIEWED, "sign", "gm_office", {"text": "t"}, "out_of_order"),
        (COMPOSED, "sign", "business_manager", {"text": "t"}, "decision_step"),
        (COMPOSED, "judge", "gm_office", JUDGED, "out_of_order"),
        (COMPOSED, "approve", "gm_office", {}, "role"),
        (COMPOSED, "explain", "business", {"channel": "phone"}, "out_of_order"),
        (COMPOSED, "execute", "business", {}, "out_of_order"),
        (COMPOSED, "send_copy", "business", {"to": "hr"}, "out_of_order"),
        (COMPOSED, "send_copy", "business", {"to": "customer"}, "never_to_customer"),
        (COMPOSED, "customer_answer", "business", {"accepted": True}, "not_explained"),
        (COMPOSED, "answer_slip", "manufacturing", {"step": "manufacturing", "cause": "c"}, "no_slip"),
        (DECIDED, "send_copy", "business", {"to": "boss"}, "unknown_role"),
        (DECIDED, "approve", "business_manager", {}, "resolved"),
        (DECIDED, "withdraw", "business", {}, "resolved"),
    ],
)
def test_out_of_turn_nothing_is_taken(steps: int, name: str, role: str, fields: dict[str, Any], code: str) -> None:
    forbid(after(steps), "03-02 10:00:00", code, name, role, **fields)


def test_nobody_signs_in_two_roles_running() -> None:
    case = after(REPORTED)
    do(case, "03-02 10:00:00", "sign", person("manufacturing", "m-1"), text="t")
    before = len(case.events)
    with pytest.raises(Refused, match="m-1") as caught:
        do(case, "03-02 10:01:00", "sign", person("manager_office", "m-1"), text="t")
    assert (caught.value.code, len(case.events)) == ("four_eyes", before)
    reviewed = after(NEGOTIATED)
    with pytest.raises(Refused, match="business-1"):
        do(reviewed, "03-02 10:01:00", "sign", person("business_manager", "business-1"), text="t")


def test_research_is_asked_where_qa_says_so() -> None:
    case = after(2)
    fields = {"cause": "the resin", "responsible": ["rnd"], "established": True, "needs_rnd": True}
    mine(case, "03-02 10:00:00", "report", "qa_manager", **fields)
    assert notified_roles(case, "qa_report") == [("general_manager",)]
    mine(case, "03-02 10:01:00", "sign", "manufacturing", text="t")
    mine(case, "03-02 10:02:00", "sign", "manager_office", text="t")
    assert case.view()["turn"] == ["rnd"]
    # QA thinks again, and it is not asked any more.
    mine(case, "03-02 10:03:00", "send_back", "rnd", reason="not the resin", to="qa")
    mine(case, "03-02 10:04:00", "report", "qa_manager", cause="the mould", established=True)
    mine(case, "03-02 10:05:00", "sign", "manufacturing", text="t")
    mine(case, "03-02 10:06:00", "sign", "manager_office", text="t")
    assert case.view()["turn"] == ["gm_office"]


def test_third_parties_are_heard_anew_for_each() -> None:
    case = after(5)
    mine(case, "03-02 10:00:00", "involve", "gm_office", party="p", units=["rnd", "accounting", "rnd"], reason="r")
    assert (case.view()["step"], case.view()["turn"]) == ("third_party", ["rnd", "accounting"])
    assert clock(case, "step:gm_check")[0] == "met"
    mine(case, "03-02 10:01:00", "sign", "rnd", text="t")
    mine(case, "03-02 10:02:00", "involve", "gm_office", party="q", units=["hr"], reason="r")
    assert [clock["state"] for clock in case.explain(at("03-02 11:00:00")) if clock["clock"] == "step:third_party"] == [
        "met", "running",
    ]  # fmt: skip
    assert case.view()["turn"] == ["accounting", "hr"]
    mine(case, "03-02 10:03:00", "sign", "accounting", text="t")
    mine(case, "03-02 10:04:00", "sign", "hr", text="t")
    assert case.view()["turn"] == ["gm_office"]
    mine(case, "03-02 10:05:00", "involve", "gm_office", party="s", units=["rnd"], reason="r")
    assert case.view()["turn"] == ["rnd"]
    mine(case, "03-02 10:06:00", "send_back", "rnd", reason="r")
    assert case.view()["turn"] == ["manager_office"]
    assert case.route.asked == ["qa", "manufacturing", "manager_office"]
    assert case.view()["units"] == ["rnd", "accounting", "hr"]


def test_sent_back_voids_what_follows() -> None:
    case = after(COMPOSED)
    mine(case, "03-02 10:00:00", "send_back", "business_manager", reason="look again", to="manufacturing")
    view = case.view()
    assert (view["step"], view["judgement"], view["opinion"]) == ("manufacturing", None, None)
    assert [one["step"] for one in view["signed"]] == ["qa"]
    assert [approval["state"] for approval in view["approvals"]] == ["lapsed"]
    assert clock(case, "approval:1")[0] == "met"
    forbid(case, "03-02 10:01:00", "nothing_to_approve", "approve", "business_manager")


# --- judgement, opinion, decision --------------------------------------------------------------------


def test_loss_and_shares_are_exact() -> None:
    case = after(JUDGED_UP)
    judged = only(case, "judged").data
    assert (judged["loss_total"], [line["amount"] for line in judged["loss"]]) == ("86.92", ["86.42", "0.50"])
    view = shown(case)["judgement"]
    assert [(one["department"], one["loss"]) for one in view["responsible"]] == [
        ("manufacturing", "52.15"),
        ("rnd", "34.77"),
    ]
    assert [line["item"] for line in view["loss"]] == ["rework", "postage"]
    mine(case, "03-02 10:00:00", "judge", "gm_office", **{**JUDGED, "loss": []})
    assert case.view()["judgement"]["loss_total"] == "0.00"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"responsible": [{"department": "rnd", "percent": "99.99"}]}, "shares"),
        ({"responsible": [{"department": "rnd", "percent": "50"}] * 2}, "shares"),
        ({"responsible": []}, "shares"),
        ({"own_fault": False, "responsible": [{"department": "rnd", "percent": "1"}]}, "shares"),
        ({"responsible": [{"department": "boss", "percent": "100"}]}, "unknown_role"),
        ({"tracked": None}, "tracked_missing"),
        ({"human_negligence": True}, "not_tracked"),
        ({"responsible": [{"department": "rnd", "percent": "33.333"}]}, "invalid"),
        ({"loss": [{"item": "x"}]}, "invalid"),
        ({"loss": [{"item": "x", "amount": "1.00", "quantity": "1"}]}, "invalid"),
        ({"loss": [{"item": "x", "amount": "1.00", "quantity": "1", "unit_price": "1"}]}, "invalid"),
        ({"loss": [{"item": "x", "quantity": "999999999", "unit_price": "999999999"}]}, "invalid"),
    ],
)
def test_a_judgement_that_does_not_add_up(changed: dict[str, Any], code: str) -> None:
    forbid(after(REVIEWED), "03-02 10:00:00", code, "judge", "gm_office", **{**JUDGED, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"own_fault": False, "responsible": [], "tracked": None},
        {"human_negligence": True, "tracked": None},
        {"human_negligence": True, "tracked": False},
        {"tracked": False},
    ],
)
def test_a_judgement_that_is_taken(changed: dict[str, Any]) -> None:
    case = after(REVIEWED)
    mine(case, "03-02 10:00:00", "judge", "gm_office", **{**JUDGED, **changed})
    assert only(case, "judged").data["tracked"] is False


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"disposal": "compensation", "amount": None}, "amount_missing"),
        ({"disposal": "exchange", "amount": None}, "quantity_missing"),
        ({"disposal": "rework", "quantity": "801"}, "too_many"),
        ({"established": False}, "not_established"),
        ({"amount": "0.00"}, "invalid"),
    ],
)
def test_an_opinion_that_lacks_something(changed: dict[str, Any], code: str) -> None:
    forbid(after(JUDGED_UP), "03-02 10:00:00", code, "opinion", "gm_office", **{**OPINION, **changed})


def test_who_composed_does_not_decide_and_a_no_asks_for_another() -> None:
    case = after(COMPOSED)
    with pytest.raises(Refused) as caught:
        do(case, "03-02 10:00:00", "approve", person("business_manager", "gm_office-1"))
    assert caught.value.code == "four_eyes"
    mine(case, "03-02 10:01:00", "reject", "business_manager", reason="too much")
    assert only(case, "sent_back").data == {
        "step": "decision", "to": "opinion", "role": "business_manager", "reason": "too much",
    }  # fmt: skip
    assert notified_roles(case, "quality_decided") == [("gm_office",)]
    assert clock(case, "opinion") == ("running", "03-03 23:59:59")
    # The judgement stands; it may be made anew.
    mine(case, "03-02 10:02:00", "opinion", "gm_office", **{**OPINION, "amount": "5000.01"})
    assert case.view()["turn"] == ["deputy_gm"]
    forbid(case, "03-02 10:03:00", "authority", "approve", "business_manager")
    mine(case, "03-02 10:04:00", "approve", "general_manager")
    assert only(case, "decided").data["role"] == "general_manager"


def test_nobody_decides_and_it_climbs_to_the_top() -> None:
    case = after(COMPOSED)
    pass_time(case, "03-06 18:00:00")
    roles = [event.data["role"] for event in found(case, "approval_requested")]
    assert roles == ["business_manager", "deputy_gm", "general_manager"]
    assert when(found(case, "clock_breached", clock="approval:1")) == [
        "03-03 09:09:00",
        "03-04 09:09:00",
        "03-05 09:09:00",
    ]


# --- after the decision -------------------------------------------------------------------------------


def test_the_decision_closes_the_form() -> None:
    case = after(COMPOSED)
    mine(case, "03-02 10:00:00", "approve", "business_manager")
    types = [event.type for event in case.events if event.at == at("03-02 10:00:00")]
    assert types == ["approved", "clock_met", "decided", "clock_met", "copies_issued", "resolved"]
    assert clock(case, "closing")[0] == "met"
    assert notified_roles(case, "copy") == [
        ("qa_manager",), ("manufacturing",), ("business",), ("accounting",), ("gm_office",),
    ]  # fmt: skip
    assert case.view()["decision"] == {
        "established": True, "disposal": "allowance", "amount": "900.00", "quantity": None, "role": "business_manager",
    }  # fmt: skip
    assert case.due() is None
    assert [one["role"] for one in case.view()["waits_for"]] == ["business"]
    assert QualityComplaint.money(case.view()) == {"lost": "86.92", "granted": "900.00"}
    mine(case, "03-02 11:00:00", "send_copy", "gm_office", to="hr")
    assert case.view()["copies"][-1] == {"no": 6, "to": "hr"}
    pass_time(case, "2027-03-02 10:00:00")
    assert case.status == "resolved"


def test_what_is_decided_is_carried_out_by_a_case_of_its_own() -> None:
    case = after(EXPLAINED)
    mine(case, "03-02 10:00:00", "execute", "business", reference="R-1")
    [opening] = [effect for effect in case.owed() if isinstance(effect, Opening)]
    assert (opening.case_id, opening.intake["parent"]) == ("allowance:Q-1-allowance", "quality:Q-1")
    assert opening.intake["facts"] == {
        "filed_by": {"id": "business-1", "role": "business"},
        "fields": {"case": "quality:Q-1", "amount": "900.00", "reason": "S1-5.13.1.1: 2026-03-0001"},
    }
    assert case.view()["filed"] == ["allowance:Q-1-allowance"]
    forbid(case, "03-02 10:01:00", "already_executed", "execute", "business")
    mine(case, "03-02 10:02:00", "customer_answer", "business", accepted=True)
    assert (case.status, case.outcome) == ("closed", "accepted")


@pytest.mark.parametrize(("price", "wanted"), [("3.333", "3.333"), (None, "12.345")])
def test_goods_come_back_by_a_slip_that_the_return_takes(price: str | None, wanted: str) -> None:
    opinion = {**NOTHING, "disposal": "rework", "quantity": "40"}
    case = after(EXPLAINED, opinion=opinion, demand="rework")
    mine(case, "03-02 10:00:00", "execute", "business", **({} if price is None else {"unit_price": price}))
    [opening] = [effect for effect in case.owed() if isinstance(effect, Opening)]
    facts = opening.intake["facts"]
    assert (opening.case_id, facts["unit_price"], facts["approved_quantity"]) == ("return:Q-1-return", wanted, "40")
    read_intake(KINDS["return"].INTAKE, opening.intake)


def test_a_customer_who_does_not_accept_ends_it() -> None:
    case = after(EXPLAINED)
    mine(case, "03-02 10:00:00", "customer_answer", "business", accepted=False)
    assert (case.status, case.outcome) == ("closed", "not_accepted")
    forbid(case, "03-02 10:01:00", "closed", "execute", "business")


def test_a_customer_answers_once() -> None:
    case = after(EXPLAINED)
    mine(case, "03-02 10:00:00", "customer_answer", "business", accepted=True)
    forbid(case, "03-02 10:01:00", "already_answered", "customer_answer", "business", accepted=False)


@pytest.mark.parametrize("accepted", [True, False])
def test_without_ground_the_receivable_is_collected(accepted: bool) -> None:
    opinion = {"text": "t", "established": False, "disposal": "none"}
    case = quality()
    for minute, (name, role, fields) in enumerate(WAY):
        do(case, f"03-02 09:{minute:02}:00", name, person(role), **(opinion if name == "opinion" else fields))
    assert notified_roles(case, "not_established") == [("business", "accounting")]
    forbid(case, "03-02 10:00:00", "nothing_to_execute", "execute", "business")
    mine(case, "03-02 10:01:00", "customer_answer", "business", accepted=accepted, text="no")
    assert case.outcome == "not_established"
    petitions = [effect.intake["facts"]["fields"] for effect in case.owed() if isinstance(effect, Opening)]
    wanted = {"department": "business", "decision": "quality:Q-1", "objection": "S1-5.9.13: quality:Q-1"}
    assert petitions == ([] if accepted else [wanted])


# --- who is late ----------------------------------------------------------------------------------------


def test_who_is_late_gets_slips_until_they_act_and_is_asked_why() -> None:
    case = after(REPORTED)
    pass_time(case, "03-06 23:59:59")
    assert when(found(case, "slip_issued")) == ["03-04 23:59:59", "03-05 23:59:59", "03-06 23:59:59"]
    assert [event.data["count"] for event in found(case, "slip_issued")] == [1, 2, 3]
    assert case.view()["slips"] == [
        {"slip": "reminder", "step": "manufacturing", "role": "manufacturing", "count": 3, "answered": False},
    ]  # fmt: skip
    assert notified_roles(case, "slip") == [("manufacturing",)] * 3
    assert notified_roles(case, "breach") == [("general_manager", "gm_office")]
    for minute, (name, role, fields) in enumerate(WAY[REPORTED:]):
        do(case, f"03-07 09:{minute:02}:00", name, person(role), **(NOTHING if name == "opinion" else fields))
    forbid(case, "03-07 10:00:00", "no_slip", "answer_slip", "manufacturing", step="qa", cause="c")
    forbid(case, "03-07 10:00:00", "role", "answer_slip", "qa_manager", step="manufacturing", cause="c")
    mine(case, "03-07 10:01:00", "customer_answer", "business", accepted=True)
    assert [one["role"] for one in case.view()["waits_for"]] == ["manufacturing"]
    mine(case, "03-07 10:02:00", "answer_slip", "manufacturing", step="manufacturing", cause="c")
    assert case.outcome == "accepted"


def test_a_late_closing_goes_to_whose_turn_it_is() -> None:
    case = after(COMPOSED)
    pass_time(case, "03-18 23:59:59")
    slips = [event.data for event in found(case, "slip_issued", step="closing")]
    assert slips == [
        {"slip": "reminder", "step": "closing", "role": "general_manager", "count": count} for count in (1, 2)
    ]
    mine(case, "03-19 09:00:00", "approve", "general_manager")
    assert case.due() is None
    assert found(case, "slip_issued", slip="query") == []


def test_a_late_report_of_qa_climbs_to_qa() -> None:
    case = after(2)
    pass_time(case, "03-05 23:59:59")
    assert only(case, "escalated").data == {"from": "agent", "to": "qa_manager", "cause": "deadline"}
    assert only(case, "slip_issued").data == {"slip": "reminder", "step": "qa", "role": "qa_manager", "count": 1}


@pytest.mark.parametrize("name", ["extend", "resolve", "close", "reopen", "promise", "reply", "refuse"])
def test_nothing_extends_it_or_closes_it_otherwise(name: str) -> None:
    assert name not in QualityComplaint.COMMANDS


def test_strangers_may_not() -> None:
    for by, name, fields in (
        (AGENT, "judge", JUDGED), (CUSTOMER, "verify", {"sample": True}), (GM, "accept", {}), (AGENT, "withdraw", {}),
    ):  # fmt: skip
        refuse(quality(), "03-02 09:00:00", "role", name, "may not", by=by, **fields)


# --- the policy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"accounting", "gm_office"]   # S1',
            '"accounting", "customer"]   # S1',
            "quality.copies.4 = 'customer': a copy never goes to the customer",
        ),
        (
            '"accounting", "gm_office"]   # S1',
            '"accounting", "boss"]   # S1',
            "quality.copies.4 = 'boss' is not a role",
        ),
        ("foreign = 20", "foreign = 0", "quality.closing_days.foreign"),
        ('answer_slip = ["qa_manager", ', "answer_slip = [", "quality.permissions.answer_slip: qa_manager is missing"),
        ("[quality.clocks.opinion]", "[quality.clocks.opinions]", "quality.clocks.opinions"),
    ],
)
def test_a_policy_that_cannot_be_worked_by_is_refused(old: str, new: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        policy_with((old, new))
    assert caught.value.code == "bad_policy"
    assert said in caught.value.message


def test_other_limits_are_data() -> None:
    policy = policy_with(
        ('business_manager = "5000.00", deputy_gm = "50000.00" }\nclause = "S1-5.9.5',
         'business_manager = "0.00", deputy_gm = "50000.00" }\nclause = "S1-5.9.5'),
    )  # fmt: skip
    assert after(COMPOSED, policy).view()["turn"] == ["deputy_gm"]


# --- what holds for every course ----------------------------------------------------------------------------

SHARES = st.lists(st.integers(1, 10_000), min_size=1, max_size=8).map(
    lambda parts: [Decimal(part * 10_000 // sum(parts)) / 100 for part in parts]
)


@given(st.decimals("0", "999999999999.99", places=2), SHARES)
def test_the_losses_of_the_departments_are_the_loss(total: Decimal, shares: list[Decimal]) -> None:
    shares[-1] += 100 - sum(shares)
    losses = department_losses(total, shares)
    assert sum(losses) == total
    assert all(0 <= loss <= total for loss in losses)


ROLES = (
    "business", "business_manager", "gm_office", "qa_manager", "manufacturing", "manager_office", "rnd", "accounting",
    "deputy_gm", "general_manager", "agent", "customer",
)  # fmt: skip
FIELDS: dict[str, list[dict[str, Any]]] = {
    "verify": [{"sample": True}, {"defective_quantity": "900"}],
    "involve": [{"party": "p", "units": units, "reason": "r"} for units in (["rnd"], ["accounting", "rnd"])],
    "investigate": [{"finding": "f"}],
    "report": [{"cause": "c", "established": True, "needs_rnd": needs} for needs in (False, True)],
    "sign": [{"text": "t"}, {}],
    "send_back": [{"reason": "r"}, {"reason": "r", "to": "qa"}, {"reason": "r", "to": "opinion"}],
    "negotiate": [{"result": "r"}, {"result": "r", "promised": "1.00"}],
    "judge": [JUDGED, {**JUDGED, "loss": []}, {**JUDGED, "responsible": []}],
    "opinion": [
        OPINION,
        NOTHING,
        {**NOTHING, "established": False},
        {**NOTHING, "disposal": "return", "quantity": "4"},
    ],
    "reject": [{"reason": "r"}],
    "explain": [{"channel": "phone"}],
    "customer_answer": [{"accepted": True}, {"accepted": False}],
    "send_copy": [{"to": "hr"}, {"to": "customer"}],
    "answer_slip": [{"step": step, "cause": "c"} for step in ("qa", "manufacturing", "third_party", "opinion")],
    "escalate": [{"reason": "r"}],
    "note": [{"text": "t"}],
    "link": [{"case": "complaint:C-1"}],
}
ACTS = ("accept", "approve", "execute", "withdraw", "acknowledge", *FIELDS)
WAITS = st.sampled_from([timedelta(0), timedelta(minutes=5), timedelta(hours=9), timedelta(days=1), timedelta(days=5)])
# Mostly what is due is done, so that stories come to their end; else anybody tries anything.
MOVES = st.tuples(
    WAITS, st.booleans() | st.just(True), st.sampled_from(ACTS), st.sampled_from(ROLES), st.integers(0, 3)
)


def next_act(case: QualityComplaint) -> tuple[str, str]:
    """Return what would bring the case on: a command and a role."""
    step, turn = case.view()["step"], case.view()["turn"]
    if case.status == "resolved":
        if case.slips.unanswered:
            return "answer_slip", case.slips.unanswered[0][1]
        if not case.explained:
            return "explain", "business"
        return ("customer_answer" if case.accepted is None else "execute"), "business"
    named = {
        "verification": "verify", "acceptance": "accept", "qa": "report" if case.route.investigated else "investigate",
        "negotiation": "negotiate", "opinion": "opinion" if case.route.judged else "judge", "decision": "approve",
    }  # fmt: skip
    return named.get(step, "sign"), turn[0]


def tell(case: QualityComplaint, moves: list[Any]) -> datetime:
    """Let a story happen; returns when it ends."""
    now = case.events[-1].at
    for wait, due, act, role, number in moves:
        now = max(now, case.events[-1].at) + wait
        case.elapse(now)
        case.rehearse_effects(now)
        if case.status == "closed":
            break
        name, by = next_act(case) if due else (act, role)
        fields = FIELDS.get(name, [{}])
        try:
            do(case, now, name, person(by), **fields[number % len(fields)])
        except Refused:
            continue
        case.rehearse_effects(now)
    return now


checked = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
STORIES = st.lists(MOVES, max_size=40)


@checked
@given(STORIES)
def test_what_holds_for_any_course(moves: list[Any]) -> None:
    case = quality(defective_quantity=None, demand="return", customer_processing=True)
    do(case, "03-02 08:30:00", "verify", person("business"), defective_quantity="40")
    tell(case, moves)
    types = Counter(event.type for event in case.events)
    # Each clock that was started ended once, or still runs.
    ended = Counter(event.data["clock"] for event in case.events if event.type in ("clock_met", "clock_breached"))
    started = Counter(event.data["clock"] for event in case.events if event.type == "clock_started")
    left = Counter(name for name in case.clocks if case.clocks[name].live or case.clocks[name].state == "cancelled")
    assert started == ended + left
    # The form is decided once, with its copies, and nothing but a decision issues slips that ask why.
    assert types["decided"] == types["resolved"] <= 1
    numbers = [copy["no"] for event in found(case, "copies_issued") for copy in event.data["copies"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert (len(numbers) >= 5) == (types["decided"] == 1)
    assert all(copy["to"] != "customer" for copy in case.view()["copies"])
    for event in found(case, "judged"):
        shares = [Decimal(one["percent"]) for one in event.data["responsible"]]
        assert sum(shares) == 100
        assert sum(department_losses(Decimal(event.data["loss_total"]), shares)) == Decimal(event.data["loss_total"])
    queries = [(e.data["step"], e.data["role"]) for e in found(case, "slip_issued", slip="query")]
    late = {(e.data["step"], e.data["role"]) for e in found(case, "slip_issued", slip="reminder")}
    assert len(set(queries)) == len(queries)
    assert set(queries) == ({one for one in late if one[0] != "closing"} if types["decided"] else set())
    # Exactly those are asked whose turn it is, since the step was last reached.
    if case.status == "open" and case.route.accepted and case.view()["step"] != "decision":
        step = case.view()["step"]
        asked: list[str] = []
        reached = ""
        for event in case.events:
            if event.type == "signature_asked":
                reached = event.data["step"]
            # Who is involved before the GM office checks is asked when the form comes there.
            again = event.type == "third_party_involved" and reached in ("third_party", "gm_check")
            if again or event.type == "sent_back":
                asked.clear()
            elif event.data.get("step") == step and event.type in ("signature_asked", "signed"):
                (asked.append if event.type == "signature_asked" else asked.remove)(event.data["role"])
        assert case.view()["turn"] == asked


@checked
@given(STORIES)
def test_the_ledger_gives_the_same_case(moves: list[Any]) -> None:
    case = quality()
    remembered = watch(case)
    tell(case, moves)
    case.end_step()
    ledger = list(map(without_texts, case.events))
    for length, then in remembered.items():
        assert known(QualityComplaint.replay(case.policy, ledger[:length])) == then


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STORIES, st.sampled_from(ROLES))
def test_what_is_allowed_is_what_is_taken(moves: list[Any], role: str) -> None:
    case = quality()
    now = tell(case, moves)
    now = max(now, case.events[-1].at)
    case.elapse(now, inclusive=False)
    for name, refusal in case.allowed(Actor("x-9", role), now).items():
        if name in ("assign", "attach", "load_calendar", "resend"):
            continue
        fields = [*FIELDS.get(name, [{}])]
        if name == "answer_slip":
            fields = [{"step": step, "cause": "c"} for step, _ in case.slips.unanswered] or fields
        if name == "escalate":
            fields = [{"reason": "r"}]
        taken = False
        for one in fields:
            copy = QualityComplaint.replay(case.policy, case.events)
            try:
                do(copy, now, name, {"id": "x-9", "role": role}, **one)
            except Refused:
                continue
            taken = True
        assert (refusal is None) == taken, (name, role, refusal and refusal.message)


def test_the_example_is_an_intake() -> None:
    QualityIntake.model_validate(QualityComplaint.EXAMPLE)
