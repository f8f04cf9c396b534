"""A claim in the pure core: every command, every refusal, and what becomes of the money."""

from __future__ import annotations

from typing import Any

import pytest

from cases.compensation import FORMAL
from cases.kinds.claim import Claim
from cases.policy.model import Policy
from cases.vocabulary.effects import Opening, Payment
from cases.vocabulary.events import Event
from cases.vocabulary.facts import read_intake
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
    default_policy,
    do,
    found,
    notified_roles,
    only,
    pass_time,
    policy_with,
    refuse,
    when,
)

RECEIVED = "03-05 09:00:00"
OTHER = {"id": "agent-8", "role": "agent"}
FINANCE = {"id": "fin-3", "role": "finance"}
SHIPMENT = {"waybill": "W1", "posted_on": "2026-03-01", "base_freight": "20.00", "weight_kg": "0.8"}
# Total damage of an uninsured parcel: 20.00 + min(100.00, 80.00).
LOST = {"total_value": "1000.00", "lost_value": "1000.00"}
SENDER = {"relation": "sender"}


def claim(received: str = RECEIVED, policy: Policy | None = None, **facts: Any) -> Claim:
    """A claim for total damage that the formula gives 100.00 for; facts change it."""
    shipment = {**SHIPMENT, **facts.pop("shipment", {})}
    content = {"factor": "damage", "claimant": SENDER, "loss": LOST, "shipment": shipment, **facts}
    raw = {"key": "L-1", "received_at": at(received).isoformat(), "facts": content}
    intake = read_intake(Claim.INTAKE, raw)
    return Claim.open(intake, policy or default_policy(), at(received))


def assessed(policy: Policy | None = None, **facts: Any) -> Claim:
    """A claim that was answered and assessed by 10:00:00."""
    case = claim(policy=policy, **facts)
    do(case, "03-05 09:01:00", "acknowledge")
    do(case, "03-05 09:30:00", "answer_claim")
    do(case, "03-05 10:00:00", "assess", cause="company")
    return case


def offered(**facts: Any) -> Claim:
    """A claim with an open offer of 100.00 since 10:10:00."""
    case = assessed(**facts)
    do(case, "03-05 10:10:00", "offer")
    return case


def agreed(**facts: Any) -> Claim:
    """A claim on which 100.00 were agreed at 11:00:00."""
    case = offered(**facts)
    do(case, "03-05 11:00:00", "accept_offer", CUSTOMER)
    return case


def payments(case: Claim) -> list[str]:
    """The amounts that wait to be paid."""
    return [f"{effect.amount:.2f}" for effect in case.outbox if isinstance(effect, Payment)]


def types(events: list[Event]) -> list[str]:
    """The types of events."""
    return [event.type for event in events]


# --- filing ---------------------------------------------------------------------------------------


def test_a_claim_opens_with_its_answer_due_in_24_hours() -> None:
    case = claim()
    assert only(case, "case_opened").clauses == ("S0-A.5.1",)
    assert clock(case, "claim_answer") == ("running", "03-06 09:00:00")
    assert "proposal" not in case.clocks
    view = case.view()
    assert {name: view[name] for name in ("limit_due", "assessment", "offered", "agreed", "paid", "disputes")} == {
        "limit_due": None,
        "assessment": None,
        "offered": None,
        "agreed": None,
        "paid": None,
        "disputes": [],
    }


BAD_FACTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a demand in words": ({"demand": "two thousand"}, ["facts.demand = (text)"]),
    "three decimals": ({"demand": "1.005"}, ["facts.demand = '1.005'", "two decimals"]),
    "a negative demand": ({"demand": "-1.00"}, ["facts.demand = '-1.00'", "no sign"]),
    "a float": ({"demand": 1.5}, ["facts.demand = 1.5", "written as a string"]),
    "negative weight": ({"shipment": {"weight_kg": "-0.8"}}, ["facts.shipment.weight_kg = '-0.8'"]),
    "no weight at all": ({"shipment": {"weight_kg": "0"}}, ["facts.shipment.weight_kg = '0'"]),
    "negative freight": ({"shipment": {"base_freight": "-20.00"}}, ["facts.shipment.base_freight = '-20.00'"]),
    "freight of three decimals": (
        {"shipment": {"base_freight": "20.001"}},
        ["facts.shipment.base_freight", "two decimals"],
    ),
    "insured for nothing": ({"shipment": {"insured_amount": "0.00"}}, ["facts.shipment.insured_amount = '0.00'"]),
    "an unknown route": ({"shipment": {"route": "moon"}}, ["facts.shipment.route = 'moon'", "'same_city', 'domestic'"]),
    "a ratio above one": (
        {"loss": {"total_value": "10.00", "lost_value": "10.01"}},
        ["lost_value = 10.01 is more than total_value = 10.00"],
    ),
    "posted after it was filed": (
        {"shipment": {"posted_on": "2026-03-06"}},
        ["facts.shipment.posted_on = 2026-03-06 lies after the receipt 2026-03-05"],
    ),
    "delivered before it was posted": (
        {"shipment": {"delivered_at": "2026-02-28T23:59:59+08:00"}},
        ["facts.shipment.delivered_at", "before posted_on = 2026-03-01"],
    ),
    "promised before it was posted": (
        {"shipment": {"promised_at": "2026-01-01T00:00:00+08:00"}},
        ["facts.shipment.promised_at", "before posted_on = 2026-03-01"],
    ),
    "an inquiry before it was posted": (
        {"inquiry_recorded_on": "2026-02-28"},
        ["facts.inquiry_recorded_on = 2026-02-28 lies before posted_on = 2026-03-01"],
    ),
    "an unknown factor": ({"factor": "theft"}, ["facts.factor = 'theft'", "'delay', 'loss'"]),
    "an unknown claimant": ({"claimant": {"relation": "uncle"}}, ["facts.claimant.relation = 'uncle'", "'sender'"]),
    "nobody who claims": ({"claimant": None}, ["facts.claimant"]),
}


@pytest.mark.parametrize("name", BAD_FACTS)
def test_bad_facts_make_no_claim_and_are_named(name: str) -> None:
    facts, parts = BAD_FACTS[name]
    with pytest.raises(Refused) as caught:
        claim(**facts)
    assert caught.value.code == "invalid"
    for part in parts:
        assert part in caught.value.message


# --- answering and assessing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "due"),
    [
        (None, "04-04 23:59:59"),
        ("same_city", "04-04 23:59:59"),
        ("domestic", "04-04 23:59:59"),
        ("hk_mo_tw", "04-04 23:59:59"),
        ("international", "05-04 23:59:59"),
    ],
)
def test_the_answer_states_the_limit_and_starts_its_clock(route: str | None, due: str) -> None:
    case = claim(shipment={} if route is None else {"route": route})
    do(case, "03-05 09:30:00", "answer_claim", text="we look into it")
    event = only(case, "claim_answered")
    assert event.data == {"limit_due": at(due).isoformat(), "text": "we look into it"}
    assert event.clauses == ("S0-A.5.2", "S0-A.5.3")
    assert clock(case, "claim_answer")[0] == "met"
    assert clock(case, "proposal") == ("running", due)
    assert case.view()["limit_due"] == at(due).isoformat()
    refuse(case, "03-05 09:31:00", "already_answered", "answer_claim", at(due).isoformat(), clause="S0-A.5.2")


def test_silence_gains_nothing() -> None:
    case = claim()
    pass_time(case, "03-09 12:00:00")
    assert when(found(case, "clock_breached", clock="claim_answer")) == ["03-06 09:00:00"]
    do(case, "03-09 12:00:00", "answer_claim")
    assert clock(case, "proposal") == ("running", "04-05 23:59:59")
    # Answered after even that had passed: what is due in the past falls due at once.
    case = claim()
    do(case, "05-05 12:00:00", "answer_claim")
    pass_time(case, "05-05 12:00:00")
    assert only(case, "claim_answered").data["limit_due"] == at("04-05 23:59:59").isoformat()
    assert clock(case, "proposal")[0] == "breached"


def test_an_assessment_shows_lines_clauses_and_who_said_so() -> None:
    case = assessed()
    event = only(case, "assessed")
    assert event.actor.id == AGENT["id"]
    assert event.clauses == ("S0-A.3.2 a", "S0-A.3.2 c")
    assert event.data["found"] == {"cause": "company"}
    shown = case.view()["assessment"]
    assert "found" not in shown
    assert (shown["total"], [line["amount"] for line in shown["lines"]]) == ("100.00", ["20.00", "80.00"])
    assert case.view()["facts"]["cause"] == "company"


def test_findings_are_merged_into_the_facts() -> None:
    case = claim(loss=None, shipment={"base_freight": "23.50", "weight_kg": "2.35"})
    refuse(
        case, "03-05 10:00:00", "facts_missing", "assess", "facts.loss.total_value", clause="S0-A.3.3", cause="company"
    )
    do(
        case,
        "03-05 10:01:00",
        "assess",
        cause="packing",
        packed_by="courier",
        loss={"total_value": "300.00", "lost_value": "100.00"},
        inspection_offered=True,
    )
    assert case.view()["assessment"]["total"] == "47.00"
    do(case, "03-05 10:02:00", "assess", loss={"lost_value": "150.00"})
    facts = case.view()["facts"]
    assert facts["loss"] == {"total_value": "300.00", "lost_value": "150.00"}
    assert (facts["cause"], facts["shipment"]["packed_by"], facts["inspection_offered"]) == ("packing", "courier", True)
    assert case.view()["assessment"]["total"] == "70.50"


def test_a_partial_loss_without_the_freight_where_the_policy_says_so() -> None:
    policy = policy_with(("partial_refunds_fee = true", "partial_refunds_fee = false"))
    case = assessed(policy, loss={"total_value": "5000.00", "lost_value": "1750.00"},
                    shipment={"base_freight": "30.00", "insured_amount": "4000.00"})  # fmt: skip
    assert case.view()["assessment"]["total"] == "1400.00"


def test_bad_findings_are_refused_and_change_nothing() -> None:
    case = claim()
    do(case, "03-05 10:00:00", "assess", cause="company")
    refuse(case, "03-05 10:01:00", "invalid", "assess", "1000.01", "1000.00", loss={"lost_value": "1000.01"})
    refuse(case, "03-05 10:02:00", "invalid", "assess", "cause = (text)", "force_majeure", cause="bad luck")
    refuse(case, "03-05 10:03:00", "invalid", "assess", "lost_value = '-1'", loss={"lost_value": "-1"})
    refuse(case, "03-05 10:04:00", "invalid", "assess", "override.reason is missing", override={"amount": "5.00"})
    refuse(case, "03-05 10:05:00", "invalid", "assess", "override.amount", override={"amount": "5.001", "reason": "r"})


def test_discretion_needs_a_supervisor_and_gives_no_less_than_the_formula() -> None:
    case = assessed()
    more = {"amount": "150.00", "reason": "an old customer"}
    refuse(
        case,
        "03-05 10:01:00",
        "role",
        "assess",
        "'agent' may not",
        "supervisor, qa_manager",
        clause="S0-2.3.4",
        override=more,
    )
    refuse(case, "03-05 10:02:00", "below_formula", "assess", "99.99", "100.00", by=SUPERVISOR, clause="S0-2.3.4",
           override={"amount": "99.99", "reason": "r"})  # fmt: skip
    do(case, "03-05 10:03:00", "assess", SUPERVISOR, override=more)
    shown = case.view()["assessment"]
    assert shown["overridden"] == {
        "role": "supervisor",
        "reason": {"seq": found(case, "assessed")[-1].seq, "field": "overridden.reason"},
        "was_total": "100.00",
        "was_refused_because": None,
    }
    # By discretion 150.00 are assessed, and an agent's authority covers them: two people are in it.
    do(case, "03-05 10:04:00", "offer")
    assert only(case, "offered").data == {"amount": "150.00", "discretion": True}


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"claimant": {"relation": "recipient"}}, "claimant"),
        ({"shipment": {"posted_on": "2025-03-04"}}, "full_year"),
        ({"shipment": {"posted_on": "2025-03-01"}, "inquiry_recorded_on": "2025-06-01"}, "out_of_period"),
    ],
)
def test_no_discretion_over_who_may_claim_and_until_when(facts: dict[str, Any], code: str) -> None:
    policy = policy_with(("inquiry_preserves_claim = true", "inquiry_preserves_claim = false"))
    case = assessed(policy, **facts)
    assert code in FORMAL
    assert case.view()["assessment"]["refused_because"] == code
    clause = case.view()["assessment"]["refusal"]["clause"]
    override = {"amount": "50.00", "reason": "r"}
    refuse(case, "03-05 10:01:00", "no_discretion", "assess", by=GM, clause=clause, override=override)
    # Nor by the back door, whoever offers.
    for by in (AGENT, SUPERVISOR, GM):
        refuse(case, "03-05 10:02:00", "not_eligible", "offer", code, by=by, clause=clause, amount="50.00")
    do(case, "03-05 10:03:00", "request_approval", subject="offer", amount="50.00")
    do(case, "03-05 10:04:00", "approve", SUPERVISOR)
    refuse(case, "03-05 10:05:00", "not_eligible", "offer", code, clause=clause, amount="50.00")


# --- offering -------------------------------------------------------------------------------------


def test_an_offer_within_authority_is_made_at_once() -> None:
    case = offered()
    assert only(case, "offered").data == {"amount": "100.00"}
    assert (clock(case, "claim_answer")[0], clock(case, "proposal")[0]) == ("met", "met")
    assert case.view()["offered"] == "100.00"
    assert found(case, "approval_requested") == []


def test_an_offer_before_the_answer_answers_the_claim_too() -> None:
    case = claim()
    do(case, "03-05 10:00:00", "assess", cause="company")
    do(case, "03-05 10:01:00", "offer")
    assert clock(case, "claim_answer")[0] == "met"
    do(case, "03-05 10:02:00", "answer_claim")
    assert "proposal" not in case.clocks


def test_nothing_is_offered_before_it_was_assessed_nor_less_than_something() -> None:
    case = claim()
    refuse(case, "03-05 09:10:00", "not_assessed", "offer", clause="S0-A.3", amount="10.00")
    case = assessed()
    refuse(case, "03-05 10:01:00", "nothing_to_offer", "offer", "amount = 0.00", clause="S0-A.3", amount="0")
    refuse(case, "03-05 10:02:00", "invalid", "offer", "amount = '-5'", amount="-5")
    refuse(case, "03-05 10:03:00", "invalid", "offer", "amount = '5.005'", "two decimals", amount="5.005")
    refuse(case, "03-05 10:04:00", "invalid", "offer", "amount = (text)", amount="a lot")
    refused = assessed()
    do(refused, "03-05 10:05:00", "assess", cause="customer")
    refuse(refused, "03-05 10:06:00", "not_eligible", "offer", "exempt_customer", clause="S0-A.2.X a")


@pytest.mark.parametrize(
    ("insured", "amount", "by", "asked"),
    [
        ("180.00", "200.00", AGENT, None),
        ("180.01", "200.01", AGENT, "supervisor"),
        ("1980.00", "2000.00", SUPERVISOR, None),
        ("1980.01", "2000.01", AGENT, "qa_manager"),
        ("1980.01", "2000.01", SUPERVISOR, "qa_manager"),
        ("9980.00", "10000.00", QA, None),
        ("9980.01", "10000.01", QA, "general_manager"),
        ("99999.99", "100019.99", GM, None),
    ],
)
def test_the_lowest_rung_that_covers_the_amount_is_asked(
    insured: str, amount: str, by: dict[str, str], asked: str | None
) -> None:
    case = assessed(shipment={"insured_amount": insured})
    events = do(case, "03-05 10:10:00", "offer", by)
    if asked is None:
        assert only(case, "offered").data == {"amount": amount}
        return
    assert found(case, "offered") == []
    asking = only(case, "approval_requested")
    assert asking.data == {"subject": "offer", "amount": amount, "role": asked, "waits": True}
    assert asking.clauses == ("S1-5.9.10", "T3")
    assert types(events) == ["approval_requested", "clock_started"]
    assert notified_roles(case, "approval") == [(asked,)]
    refuse(case, "03-05 10:11:00", "approval_open", "offer", by=GM, clause="S1-5.9.10")
    refuse(case, "03-05 10:12:00", "approval_open", "assess", clause="S1-5.9.10")
    decider = {"id": "boss-1", "role": asked}
    do(case, "03-05 10:15:00", "approve", decider)
    assert only(case, "offered").data == {"amount": amount}
    assert only(case, "offered").actor.id == "boss-1"


def test_who_asked_does_not_decide_and_who_may_not_cannot() -> None:
    case = assessed(shipment={"insured_amount": "3000.00"})
    do(case, "03-05 10:10:00", "offer", SUPERVISOR)
    same = {"id": SUPERVISOR["id"], "role": "general_manager"}
    refuse(case, "03-05 10:11:00", "four_eyes", "approve", by=same, clause="S1-5.9.10")
    refuse(case, "03-05 10:12:00", "authority", "approve", by=OTHER, clause="T3")
    refuse(case, "03-05 10:13:00", "authority", "approve", by={"id": "super-9", "role": "supervisor"}, clause="T3")
    refuse(case, "03-05 10:14:00", "authority", "approve", by=FINANCE, clause="T3")
    assert found(case, "offered") == []
    do(case, "03-05 10:15:00", "approve", GM)
    assert only(case, "offered").data == {"amount": "3020.00"}


def test_a_rejected_offer_is_not_made() -> None:
    case = assessed(shipment={"insured_amount": "3000.00"})
    do(case, "03-05 10:10:00", "offer")
    do(case, "03-05 10:11:00", "reject", QA, reason="check the value first")
    assert found(case, "offered") == []
    do(case, "03-05 10:12:00", "offer")
    assert len(found(case, "approval_requested", role="qa_manager")) == 2
    do(case, "03-05 10:13:00", "approve", QA)
    assert only(case, "offered").data == {"amount": "3020.00"}


def test_when_nobody_decides_the_question_climbs_and_still_makes_the_offer() -> None:
    case = assessed(shipment={"insured_amount": "1000.00"})
    do(case, "03-05 10:10:00", "offer")
    pass_time(case, "03-05 11:45:00")
    assert [(event.data["role"], *when([event])) for event in found(case, "approval_requested")] == [
        ("supervisor", "03-05 10:10:00"),
        ("qa_manager", "03-05 10:40:00"),
        ("general_manager", "03-05 11:10:00"),
    ]
    assert when(found(case, "reminded", subject="offer")) == ["03-05 11:40:00"]
    # The rung that was asked first still may.
    do(case, "03-05 11:46:00", "approve", SUPERVISOR)
    assert only(case, "offered").data == {"amount": "1020.00"}


@pytest.mark.parametrize("by", [AGENT, SUPERVISOR, QA])
def test_more_than_the_formula_is_a_supervisors_discretion(by: dict[str, str]) -> None:
    case = assessed()
    do(case, "03-05 10:10:00", "offer", by, amount="100.01")
    assert found(case, "offered") == []
    assert only(case, "approval_requested").data["role"] == "supervisor"
    refuse(case, "03-05 10:11:00", "authority", "approve", "supervisor or above", by=OTHER, clause="T3")
    refuse(case, "03-05 10:11:00", "four_eyes", "approve", by={**by, "role": "supervisor"}, clause="S1-5.9.10")
    do(case, "03-05 10:12:00", "approve", {"id": "super-9", "role": "supervisor"})
    assert only(case, "offered").data == {"amount": "100.01", "discretion": True}


def test_an_offer_above_the_approved_amount_is_refused_and_below_it_is_not_asked_again() -> None:
    case = assessed(shipment={"insured_amount": "1000.00"})
    do(case, "03-05 10:10:00", "offer")
    do(case, "03-05 10:15:00", "approve", SUPERVISOR)
    do(case, "03-05 10:20:00", "decline_offer", CUSTOMER, counter="2000.00")
    refuse(
        case, "03-05 10:21:00", "above_approved", "offer", "1020.01", "1020.00", clause="S1-5.9.10", amount="1020.01"
    )
    do(case, "03-05 10:22:00", "offer", amount="900.00")
    assert [event.data["amount"] for event in found(case, "offered")] == ["1020.00", "900.00"]
    assert len(found(case, "approval_requested")) == 1


def test_a_new_assessment_makes_old_approvals_stale() -> None:
    case = assessed(shipment={"insured_amount": "1000.00"})
    do(case, "03-05 10:10:00", "offer")
    do(case, "03-05 10:15:00", "approve", SUPERVISOR)
    do(case, "03-05 10:20:00", "decline_offer", CUSTOMER)
    do(case, "03-05 10:21:00", "assess", loss={"lost_value": "500.00"})
    do(case, "03-05 10:22:00", "offer")
    assert [event.data["amount"] for event in found(case, "approval_requested")] == ["1020.00", "510.00"]
    assert len(found(case, "offered")) == 1


def test_what_was_approved_under_the_name_of_an_offer_may_be_offered() -> None:
    case = assessed(shipment={"insured_amount": "1000.00"})
    do(case, "03-05 10:10:00", "request_approval", subject="offer", amount="1500.00", reason="an old customer")
    refuse(case, "03-05 10:11:00", "approval_open", "offer", by=SUPERVISOR, clause="S1-5.9.10")
    do(case, "03-05 10:12:00", "approve", SUPERVISOR)
    # Nothing was offered yet: it was only asked for.
    assert found(case, "offered") == []
    do(case, "03-05 10:13:00", "offer", amount="1500.00")
    assert only(case, "offered").data == {"amount": "1500.00", "discretion": True}


def test_an_approval_of_something_else_is_none_of_an_offer() -> None:
    case = assessed(shipment={"insured_amount": "1000.00"})
    do(case, "03-05 10:10:00", "request_approval", subject="goodwill", amount="1500.00")
    do(case, "03-05 10:11:00", "approve", SUPERVISOR)
    do(case, "03-05 10:12:00", "offer")
    assert found(case, "offered") == []


def test_once_resolved_an_approval_makes_no_offer_but_stays() -> None:
    case = assessed(shipment={"insured_amount": "1000.00"})
    do(case, "03-05 10:10:00", "offer")
    do(case, "03-05 10:11:00", "resolve", summary="the customer was paid by the insurer")
    do(case, "03-05 10:12:00", "approve", SUPERVISOR)
    assert found(case, "offered") == []
    do(case, "03-05 10:13:00", "reopen", reason="the insurer did not")
    do(case, "03-05 10:14:00", "offer")
    assert only(case, "offered").data == {"amount": "1020.00"}


# --- agreeing, declining, disputing ---------------------------------------------------------------


def test_an_agreement_starts_the_payout_and_its_seven_days() -> None:
    case = offered()
    events = do(case, "03-05 11:00:00", "accept_offer", CUSTOMER)
    assert types(events) == ["agreed", "clock_started", "payout_requested"]
    assert {event.data["amount"] for event in events if "amount" in event.data} == {"100.00"}
    assert clock(case, "payout") == ("running", "03-12 23:59:59")
    assert payments(case) == ["100.00"]
    assert notified_roles(case, "payout") == [("finance",)]
    assert case.view()["agreed"] == "100.00"


def test_without_an_offer_nothing_is_accepted_or_declined() -> None:
    case = assessed()
    refuse(case, "03-05 10:10:00", "no_offer", "accept_offer", by=CUSTOMER, clause="S0-A.5.4")
    refuse(case, "03-05 10:10:00", "no_offer", "decline_offer", by=CUSTOMER, clause="S0-A.5.5")
    do(case, "03-05 10:11:00", "offer")
    do(case, "03-05 10:12:00", "decline_offer", CUSTOMER)
    refuse(case, "03-05 10:13:00", "no_offer", "accept_offer", by=CUSTOMER, clause="S0-A.5.4")


def test_a_declined_offer_records_the_counter_demand_and_leads_to_a_new_one() -> None:
    case = offered()
    refuse(case, "03-05 10:11:00", "invalid", "decline_offer", "counter = 'more'", by=CUSTOMER, counter="more")
    refuse(case, "03-05 10:11:00", "invalid", "decline_offer", "counter = '-1'", by=CUSTOMER, counter="-1")
    do(case, "03-05 10:12:00", "decline_offer", CUSTOMER, counter="150")
    event = only(case, "offer_declined")
    assert (event.data, event.clauses) == ({"amount": "100.00", "counter": "150.00"}, ("S0-A.5.5",))
    assert case.view()["offered"] is None
    do(case, "03-05 10:13:00", "offer", SUPERVISOR, amount="150.00")
    do(case, "03-05 10:13:30", "approve", QA)
    do(case, "03-05 10:14:00", "accept_offer", CUSTOMER)
    assert only(case, "agreed").data == {"amount": "150.00", "payee": "claimant", "relation": "sender"}


def test_after_an_agreement_there_is_no_second_one_and_nothing_new_to_offer() -> None:
    case = agreed()
    for by, name, fields in (
        (CUSTOMER, "accept_offer", {}),
        (CUSTOMER, "decline_offer", {"counter": "1.00"}),
        (GM, "offer", {"amount": "200.00"}),
        (GM, "assess", {}),
    ):
        refuse(case, "03-05 11:01:00", "agreed", name, "100.00 yuan are agreed", by=by, clause="S0-A.5.4", **fields)
    assert payments(case) == ["100.00"]


@pytest.mark.parametrize("path", ["complaint", "appeal", "arbitration", "lawsuit"])
def test_negotiation_comes_first(path: str) -> None:
    case = offered(shipment={"arbitration_agreed": True})
    refuse(case, "03-05 10:11:00", "negotiate_first", "dispute", path, by=CUSTOMER, clause="S0-A.5.5", path=path)
    do(case, "03-05 10:12:00", "dispute", CUSTOMER, path="negotiation")
    do(case, "03-05 10:13:00", "dispute", CUSTOMER, path=path)
    assert case.view()["disputes"] == ["negotiation", path]


def test_arbitration_only_if_it_was_agreed_at_posting() -> None:
    case = offered()
    do(case, "03-05 10:12:00", "decline_offer", CUSTOMER)
    allowed = "negotiation, complaint, appeal, lawsuit"
    refuse(case, "03-05 10:13:00", "arbitration_not_agreed", "dispute", "not agreed at posting", allowed, by=CUSTOMER,
           clause="S0-A.5.5", path="arbitration")  # fmt: skip
    refuse(case, "03-05 10:13:00", "invalid", "dispute", "path = 'duel'", by=CUSTOMER, path="duel")
    do(case, "03-05 10:14:00", "dispute", CUSTOMER, path="appeal")
    # Disputed may be what was refused and resolved, too; not what is closed.
    do(case, "03-05 10:15:00", "resolve")
    do(case, "03-05 10:16:00", "dispute", CUSTOMER, path="lawsuit")
    do(case, "03-05 10:17:00", "close", outcome="REFUSED_AMOUNT")
    refuse(case, "03-05 10:18:00", "closed", "dispute", by=CUSTOMER, clause="S1-5.9.8", path="complaint")


# --- paying ---------------------------------------------------------------------------------------


def test_paid_ends_the_clock_and_the_case_and_told_again_changes_nothing() -> None:
    case = agreed()
    case.payout_made("BANK-1", at("03-12 23:59:59"))
    assert types(case.events[-3:]) == ["paid", "clock_met", "resolved"]
    assert only(case, "paid").data == {"amount": "100.00", "reference": "BANK-1"}
    assert clock(case, "payout")[0] == "met"
    assert (case.view()["paid"], case.status) == ("BANK-1", "resolved")
    before = list(case.events)
    case.payout_made("BANK-2", at("03-13 00:00:00"))
    case.payout_failed("too late", at("03-13 00:00:00"))
    assert case.events == before


def test_nothing_is_paid_that_was_not_agreed() -> None:
    case = offered()
    before = list(case.events)
    case.payout_made("BANK-1", at("03-05 10:20:00"))
    assert case.events == before
    refuse(case, "03-05 10:30:00", "nothing_to_pay", "confirm_payment", by=FINANCE, clause="S0-A.5.4", reference="B")


def left_to_finance() -> Claim:
    """A claim whose 100.00 finance is to pay by hand."""
    case = agreed()
    case.payout_waits(at("03-05 11:00:01"))
    return case


def test_nobody_confirms_what_the_gateway_may_be_paying() -> None:
    case = agreed()
    refuse(case, "03-05 12:01:00", "payout_under_way", "confirm_payment", by=FINANCE, clause="S0-A.5.4", reference="B")
    # Nothing but silence: it may have gone out all the same.
    case.payout_failed("no answer", at("03-05 12:02:00"), unknown=True)
    refuse(case, "03-05 12:03:00", "payout_under_way", "confirm_payment", by=FINANCE, clause="S0-A.5.4", reference="B")
    case.payout_failed("account_closed", at("03-05 12:04:00"))
    do(case, "03-05 12:05:00", "confirm_payment", FINANCE, reference="BANK-1")
    assert payments(case) == []


def test_finance_confirms_by_hand_and_once() -> None:
    case = left_to_finance()
    for by in (AGENT, SUPERVISOR, GM, CUSTOMER):
        refuse(case, "03-05 12:00:00", "role", "confirm_payment", "allowed: finance", by=by, reference="BANK-1")
    refuse(case, "03-05 12:00:00", "invalid", "confirm_payment", "reference is missing", by=FINANCE)
    # As it stands on the bank's proof.
    do(case, "03-05 12:01:00", "confirm_payment", FINANCE, reference="招商银行 回单 17")
    event = only(case, "paid")
    assert (event.actor.id, event.data["reference"]) == ("fin-3", "招商银行 回单 17")
    refuse(case, "03-05 12:02:00", "already_paid", "confirm_payment", "招商银行 回单 17", by=FINANCE, clause="S0-A.5.4",
           reference="BANK-2")  # fmt: skip


def test_money_that_is_owed_keeps_the_claim_open() -> None:
    case = left_to_finance()
    refuse(case, "03-05 12:00:00", "payout_owed", "resolve", "100.00", clause="S0-A.5.4")
    refuse(case, "03-05 12:00:00", "payout_owed", "withdraw", "100.00", by=CUSTOMER, clause="S0-A.5.4")
    refuse(case, "03-05 12:00:00", "not_resolved", "close")
    pass_time(case, "06-05 00:00:00")
    assert case.status == "open"
    assert when(found(case, "clock_breached", clock="payout")) == ["03-12 23:59:59"]
    do(case, "06-05 00:00:00", "confirm_payment", FINANCE, reference="BANK-1")
    do(case, "06-05 00:01:00", "close")


def test_a_failed_payout_is_tried_again_later_and_climbs() -> None:
    case = agreed()
    case.outbox.clear()
    case.payout_failed("account unknown", at("03-05 11:00:30"))
    assert only(case, "payout_failed").data == {"reason": "account unknown"}
    assert found(case, "escalated")[-1].data == {"from": "agent", "to": "supervisor", "cause": "payout_failed"}
    assert clock(case, "payout")[0] == "running"
    pass_time(case, "03-05 12:00:29")
    assert payments(case) == []
    pass_time(case, "03-05 12:00:30")
    assert payments(case) == ["100.00"]
    # Until the gateway has answered it is not asked again.
    pass_time(case, "03-06 12:00:30")
    assert payments(case) == ["100.00"]
    case.outbox.clear()
    case.payout_failed("account unknown", at("03-06 12:00:30"))
    pass_time(case, "03-06 14:00:29")
    assert payments(case) == []
    pass_time(case, "03-06 14:00:30")
    assert payments(case) == ["100.00"]
    case.payout_made("BANK-1", at("03-06 14:01:00"))
    case.outbox.clear()
    pass_time(case, "03-12 00:00:00")
    assert payments(case) == []
    assert len(found(case, "paid")) == len(found(case, "agreed")) == 1


def test_without_retries_in_the_policy_a_failed_payout_waits_for_people() -> None:
    start = "[claim.payout_retries]"
    text = 'first = "PT1H"\nfactor = 2\nlongest = "P1D"\nclause = "S0-A.5.4 [INVENTED]"\n'
    comment = "\n# A payout that failed is tried again at growing intervals, within the seven days of S0-A.5.4.\n"
    case = assessed(policy_with((f"{start}{comment}{text}", "")))
    do(case, "03-05 10:10:00", "offer")
    do(case, "03-05 11:00:00", "accept_offer", CUSTOMER)
    case.outbox.clear()
    case.payout_failed("account unknown", at("03-05 11:00:30"))
    pass_time(case, "03-12 00:00:00")
    assert payments(case) == []
    do(case, "03-12 09:00:00", "confirm_payment", FINANCE, reference="BANK-1")


# --- ending ---------------------------------------------------------------------------------------


def test_a_refusal_is_filed_under_its_legal_name() -> None:
    case = claim(shipment={"signed_at": "2026-03-05T08:00:00+08:00", "courier_present": False})
    do(case, "03-05 10:00:00", "assess", cause="company")
    shown = case.view()["assessment"]
    # A signature alone proves nothing (O-CIV-831): the system asks for a person.
    assert (shown["refused_because"], shown["needs_person"], shown["inspection_offered"]) == (
        "signed_and_left",
        True,
        None,
    )
    do(case, "03-05 10:01:00", "resolve", summary="politely refused")
    do(case, "03-05 10:02:00", "close", outcome="REFUSED_SIGNED")
    assert (case.status, case.view()["outcome"]) == ("closed", "REFUSED_SIGNED")


def test_a_withdrawn_claim_ends_with_all_its_clocks() -> None:
    case = assessed(shipment={"insured_amount": "1000.00"})
    do(case, "03-05 10:10:00", "offer")
    do(case, "03-05 10:11:00", "withdraw", CUSTOMER)
    assert [one["state"] for one in case.view()["approvals"]] == ["lapsed"]
    assert case.due() is None


def test_a_reopened_claim_goes_on_to_its_old_limits() -> None:
    case = assessed()
    do(case, "03-05 10:10:00", "resolve", summary="the customer is content")
    assert clock(case, "proposal")[0] == "met"
    do(case, "03-07 09:00:00", "reopen", CUSTOMER, reason="the customer is not")
    assert clock(case, "proposal") == ("running", "04-04 23:59:59")
    do(case, "03-07 09:10:00", "offer")
    do(case, "03-07 09:20:00", "resolve")
    do(case, "03-08 09:00:00", "reopen", CUSTOMER, reason="again")
    # What was proposed is proposed.
    assert clock(case, "proposal")[0] == "met"
    case = claim()
    do(case, "03-05 09:10:00", "resolve")
    do(case, "03-05 09:20:00", "reopen", CUSTOMER, reason="nobody answered")
    assert clock(case, "claim_answer") == ("running", "03-06 09:00:00")
    late = claim()
    do(late, "03-05 09:10:00", "resolve")
    do(late, "03-07 09:20:00", "reopen", CUSTOMER, reason="nobody answered")
    # A limit that has passed meanwhile is not missed a second time.
    assert clock(late, "claim_answer")[0] == "met"


def test_a_paid_claim_is_not_withdrawn() -> None:
    case = left_to_finance()
    do(case, "03-05 12:00:00", "confirm_payment", FINANCE, reference="BANK-1")
    refuse(case, "03-05 12:10:00", "already_paid", "withdraw", "BANK-1", by=CUSTOMER, clause="S0-A.5.4")


def test_a_paid_claim_that_is_reopened_pays_nothing_more() -> None:
    case = left_to_finance()
    do(case, "03-05 12:00:00", "confirm_payment", FINANCE, reference="BANK-1")
    do(case, "03-05 12:10:00", "reopen", CUSTOMER, reason="too little")
    refuse(case, "03-05 12:11:00", "agreed", "offer", by=GM, clause="S0-A.5.4", amount="500.00")
    refuse(case, "03-05 12:11:00", "agreed", "accept_offer", by=CUSTOMER, clause="S0-A.5.4")
    refuse(case, "03-05 12:12:00", "already_paid", "confirm_payment", by=FINANCE, clause="S0-A.5.4", reference="B")
    do(case, "03-05 12:13:00", "resolve")


def test_the_view_shows_the_money_at_a_glance() -> None:
    case = agreed()
    case.payout_made("BANK-1", at("03-05 11:00:01"))
    view = case.view()
    shown = (view["assessment"]["total"], view["offered"], view["agreed"], view["paid"])
    assert shown == ("100.00", "100.00", "100.00", "BANK-1")
    again = Claim.replay(case.policy, case.events)
    assert again.view() == view


# --- from a complaint -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "factor"), [("delay", "delay"), ("damage", "damage"), ("shortage", "mismatch"), ("loss", "loss")]
)
def test_a_complaint_opens_a_claim_with_the_facts_that_it_has(category: str, factor: str) -> None:
    case = complaint(RECEIVED, category=category, severity="serious", unit="east", shipment=SHIPMENT, customer=PERSONAL)
    do(case, "03-05 09:10:00", "open_claim")
    event = only(case, "claim_opened")
    assert event.data == {"claim": "claim:C-1-claim", "factor": factor, "claimant": {"relation": "sender"}}
    assert case.view()["claim"] == "claim:C-1-claim"
    [opening] = [effect for effect in case.outbox if isinstance(effect, Opening)]
    assert (opening.kind, opening.seq) == ("claim", event.seq)
    intake = read_intake(Claim.INTAKE, opening.intake)
    opened = Claim.open(intake, case.policy, at("03-05 09:10:00")).view()
    assert (opened["id"], opened["parent"], opened["unit"], opened["severity"]) == (
        "claim:C-1-claim",
        "complaint:C-1",
        "east",
        "serious",
    )
    assert opened["opened_at"] == at("03-05 09:10:00").isoformat()
    assert opened["facts"]["factor"] == factor
    assert opened["facts"]["claimant"] == SENDER
    assert opened["facts"]["shipment"]["weight_kg"] == "0.8"
    assert "Zhang" not in str(opening.intake)


@pytest.mark.parametrize("category", ["attitude", "other"])
def test_a_complaint_that_does_not_say_what_is_claimed_must_be_told(category: str) -> None:
    case = complaint(RECEIVED, category=category)
    refuse(case, "03-05 09:10:00", "invalid", "open_claim", "factor is missing", category)
    refuse(case, "03-05 09:10:00", "invalid", "open_claim", "factor = 'theft'", factor="theft")
    do(case, "03-05 09:11:00", "open_claim", factor="loss", claimant={"relation": "recipient", "designated": True})
    [opening] = [effect for effect in case.outbox if isinstance(effect, Opening)]
    assert opening.intake["facts"]["claimant"] == {"relation": "recipient", "designated": True}
    refuse(case, "03-05 09:12:00", "claim_open", "open_claim", "claim:C-1-claim", factor="loss")


def test_a_complaint_whose_days_contradict_each_other_opens_no_claim() -> None:
    case = complaint(RECEIVED, category="loss", shipment={**SHIPMENT, "posted_on": "2026-03-06"})
    refuse(case, "03-05 09:10:00", "invalid", "open_claim", "posted_on = 2026-03-06 lies after the receipt")
    do(case, "03-06 00:00:00", "open_claim")


def test_a_resolved_complaint_may_still_open_a_claim_and_a_closed_one_not() -> None:
    case = complaint(RECEIVED, category="loss")
    do(case, "03-05 09:10:00", "resolve")
    do(case, "03-05 09:20:00", "open_claim")
    do(case, "03-05 09:30:00", "close")
    refuse(case, "03-05 09:40:00", "closed", "open_claim", clause="S1-5.9.8")
