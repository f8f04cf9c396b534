"""Nobody pays alone: duties are separate, one parcel is paid for once, the payee is agreed, dates are proven."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cases.kinds.claim import Claim
from cases.policy.model import Policy
from cases.vocabulary.effects import ActivityCall, Payment
from cases.vocabulary.events import Actor
from cases.vocabulary.facts import read_intake
from cases.vocabulary.parcels import FoundInquiry, OtherClaim
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    CUSTOMER,
    GM,
    QA,
    SUPERVISOR,
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
)
from tests.core.test_claim import FINANCE, LOST, OTHER, SENDER, SHIPMENT, agreed, assessed, claim, offered

S1 = "S1-5.9.10"
SAID = {"channel": "phone", "said_at": "2026-03-05T10:20:00+08:00", "evidence": "call-1"}
GM_2 = {"id": "gm-2", "role": "general_manager"}
IN_THE_YEAR = at("06-01 09:00:00").replace(year=2025)
OTHERS = (OtherClaim(case="claim:form-1", state="paid"),)


def beyond(by: dict[str, str], amount: str = "1000000.00") -> Claim:
    """A claim on which somebody offers more than the formula's 100.00."""
    case = assessed()
    do(case, "03-05 10:10:00", "offer", by, amount=amount, reason="an old customer")
    return case


# --- the two attacks, and their kin ------------------------------------------------------------------------------


def test_one_agent_does_not_bring_a_claim_to_its_payment() -> None:
    case = offered()
    refuse(case, "03-05 10:21:00", "duties", "accept_offer", "assessed, offered", by=AGENT, clause=S1, **SAID)
    assert found(case, "payout_requested") == []
    do(case, "03-05 10:22:00", "accept_offer", OTHER, **SAID)
    assert only(case, "agreed").data == {"amount": "100.00", "payee": "claimant", "relation": "sender", **SAID}


def test_a_general_manager_does_not_pay_a_million_alone() -> None:
    case = assessed()
    do(case, "03-05 10:05:00", "assess", GM, override={"amount": "1000000.00", "reason": "r"})
    do(case, "03-05 10:10:00", "offer", GM)
    assert found(case, "offered") == []
    asked = only(case, "approval_requested")
    assert (asked.data["role"], asked.data["also"]) == ("general_manager", ["finance"])
    assert notified_roles(case, "approval") == [("general_manager", "finance")]
    refuse(case, "03-05 10:11:00", "four_eyes", "approve", by=GM, clause=S1)
    do(case, "03-05 10:12:00", "approve", GM_2)
    assert only(case, "offered").data == {"amount": "1000000.00", "discretion": True}


def test_the_override_of_the_highest_rung_is_not_approved_by_itself_through_somebody_elses_offer() -> None:
    case = assessed()
    do(case, "03-05 10:05:00", "assess", GM, override={"amount": "1000000.00", "reason": "r"})
    do(case, "03-05 10:10:00", "offer", AGENT)
    refuse(case, "03-05 10:11:00", "duties", "approve", "overrode", by=GM, clause=S1)
    do(case, "03-05 10:12:00", "approve", FINANCE)
    assert only(case, "offered").data["amount"] == "1000000.00"


@pytest.mark.parametrize("self", [
    {"id": "agent-7", "role": "customer"},
    {"id": "x", "role": "customer", "person": "agent-7"},
    {"id": "agent-7", "role": "agent", "person": "p-7"},
])  # fmt: skip
def test_nobody_is_somebody_else_by_another_role_or_a_key_that_came_later(self: dict[str, str]) -> None:
    refuse(offered(), "03-05 10:21:00", "duties", "accept_offer", by=self, clause=S1, **SAID)


def test_a_later_no_takes_an_earlier_yes_back() -> None:
    case = assessed()
    for minute, (name, by) in enumerate((("approve", SUPERVISOR), ("reject", QA))):
        do(case, f"03-05 10:1{minute}:00", "request_approval", OTHER, subject="offer", amount="150.00")
        do(case, f"03-05 10:1{minute}:30", name, by, reason="r")
    do(case, "03-05 10:20:00", "offer", amount="150.00")
    assert found(case, "offered") == []


def test_who_overrode_does_not_offer_that_alone() -> None:
    case = assessed()
    do(case, "03-05 10:05:00", "assess", SUPERVISOR, override={"amount": "150.00", "reason": "r"})
    do(case, "03-05 10:10:00", "offer", SUPERVISOR)
    assert found(case, "offered") == []
    assert only(case, "approval_requested").data["role"] == "supervisor"
    refuse(case, "03-05 10:11:00", "authority", "approve", by=OTHER, clause="T3")
    do(case, "03-05 10:12:00", "approve", QA)
    assert only(case, "offered").data == {"amount": "150.00", "discretion": True}


def test_an_override_above_the_authority_of_who_offers_it_is_approved_by_a_third() -> None:
    case = assessed()
    do(case, "03-05 10:05:00", "assess", SUPERVISOR, override={"amount": "1900.00", "reason": "r"})
    do(case, "03-05 10:10:00", "offer", AGENT)
    refuse(case, "03-05 10:11:00", "duties", "approve", "overrode", by=SUPERVISOR, clause=S1)
    do(case, "03-05 10:12:00", "approve", {"id": "super-9", "role": "supervisor"})
    assert only(case, "offered").data["amount"] == "1900.00"


# --- who is who -----------------------------------------------------------------------------------


@pytest.mark.parametrize("same", [
    {"id": "Agent-7", "role": "agent"},
    {"id": "AGENT-7", "role": "supervisor"},
    {"id": "super-9", "role": "supervisor", "person": "agent-7"},
])  # fmt: skip
def test_two_accounts_of_one_person_are_one(same: dict[str, str]) -> None:
    case = offered()
    refuse(case, "03-05 10:21:00", "duties", "accept_offer", by=same, clause=S1, **SAID)
    case = beyond(AGENT, "150.00")
    refuse(case, "03-05 10:11:00", "four_eyes", "approve", by={**same, "role": "supervisor"}, clause=S1)


def test_an_id_is_compared_as_unicode_means_it() -> None:
    assert Actor("ａgent-7", "agent").is_same(Actor("AGENT-7", "agent"))
    assert Actor("straße", "agent").is_same(Actor("STRASSE", "agent"))
    assert Actor("a", "agent", "p-1").is_same(Actor("b", "agent", "P-1"))
    assert Actor("a", "agent", "p-1").is_same(Actor("a", "agent"))
    assert Actor("a", "agent", "b").is_same(Actor("b", "agent"))
    assert not Actor("a", "agent", "p-1").is_same(Actor("b", "agent", "p-2"))


def test_the_record_says_who_an_account_belongs_to() -> None:
    case = claim()
    do(case, "03-05 09:01:00", "note", {**AGENT, "person": "p-7"}, text="t")
    assert only(case, "noted").as_json()["actor"] == {"id": "agent-7", "role": "agent", "person": "p-7"}


# --- beyond the formula ---------------------------------------------------------------------------


def test_finance_is_the_second_person_only_for_what_the_highest_rung_wants() -> None:
    case = beyond(SUPERVISOR, "2500.00")
    assert "also" not in only(case, "approval_requested").data
    refuse(case, "03-05 10:11:00", "authority", "approve", by=FINANCE, clause="T3")
    do(case, "03-05 10:12:00", "approve", QA)
    case = beyond(GM)
    do(case, "03-05 10:12:00", "approve", FINANCE)
    assert only(case, "offered").actor.id == "fin-3"


def test_finance_is_not_the_second_person_where_nobody_of_the_highest_rung_is_the_first() -> None:
    case = beyond(AGENT)
    refuse(case, "03-05 10:11:00", "authority", "approve", by=FINANCE, clause="T3")


def test_who_approved_does_not_offer_more_than_the_formula_on_that() -> None:
    case = assessed()
    do(case, "03-05 10:01:00", "request_approval", AGENT, subject="offer", amount="150.00")
    do(case, "03-05 10:02:00", "approve", SUPERVISOR)
    do(case, "03-05 10:03:00", "offer", SUPERVISOR, amount="150.00")
    assert found(case, "offered") == []
    do(case, "03-05 10:04:00", "approve", QA)
    assert only(case, "offered").data["amount"] == "150.00"


def test_by_formula_and_within_authority_nobody_else_is_needed() -> None:
    case = offered()
    do(case, "03-05 10:11:00", "accept_offer", CUSTOMER)
    assert found(case, "approval_requested") == []
    assert only(case, "agreed").data == {"amount": "100.00", "payee": "claimant", "relation": "sender"}


@pytest.mark.parametrize("switch", ["separate_acceptance", "second_person"])
def test_a_policy_may_do_without(switch: str) -> None:
    policy = policy_with((f"{switch} = true", f"{switch} = false"))
    case = assessed(policy)
    do(case, "03-05 10:10:00", "offer", SUPERVISOR, amount="150.00")
    assert bool(found(case, "offered")) is (switch == "second_person")
    if switch == "separate_acceptance":
        do(case, "03-05 10:11:00", "approve", QA)
        do(case, "03-05 10:21:00", "accept_offer", AGENT, **SAID)
        assert only(case, "agreed").data["amount"] == "150.00"


def test_a_policy_file_without_duties_is_refused() -> None:
    text = default_policy_text().replace("[claim.duties]", "[claim.nothing]")
    with pytest.raises(Refused) as caught:
        Policy.from_toml(text)
    assert caught.value.code == "bad_policy"


def default_policy_text() -> str:
    """The file that ships."""
    from importlib.resources import files

    return (files("cases.policy") / "default.toml").read_text("utf-8")


def test_a_second_person_must_be_somebody_who_may_approve() -> None:
    with pytest.raises(Refused, match=r"claim\.permissions\.approve: auditor is missing"):
        policy_with(('also = ["finance"]', 'also = ["auditor"]'))


# --- the acceptance -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({}, "channel is missing"),
        ({"said_at": "2026-03-05T10:20:00+08:00"}, "channel is missing"),
        ({"channel": "phone", "said_at": "2026-03-05T10:09:59+08:00"}, "said_at = 2026-03-05T10:09:59+08:00"),
        ({"channel": "phone", "said_at": "2026-03-05T10:30:01+08:00"}, "said_at = 2026-03-05T10:30:01+08:00"),
    ],
)
def test_an_acceptance_that_staff_records_says_how_and_when(fields: dict[str, Any], part: str) -> None:
    case = offered()
    refuse(case, "03-05 10:30:00", "acceptance_unproven", "accept_offer", part, by=OTHER, clause=S1, **fields)
    do(case, "03-05 10:30:00", "accept_offer", OTHER, channel="phone")


def test_above_the_policys_amount_something_proves_it() -> None:
    case = assessed(shipment={"insured_amount": "500.00"})
    do(case, "03-05 10:10:00", "offer")
    do(case, "03-05 10:11:00", "approve", SUPERVISOR)
    bare: dict[str, Any] = {"channel": "phone"}
    refuse(case, "03-05 10:30:00", "acceptance_unproven", "accept_offer", "evidence", by=OTHER, clause=S1, **bare)
    # The supervisor's approval made the offer.
    refuse(case, "03-05 10:30:00", "duties", "accept_offer", by=SUPERVISOR, clause=S1, **bare, evidence="call-1")
    do(case, "03-05 10:30:00", "accept_offer", OTHER, **bare, evidence="call-1")


def test_seven_days_count_from_when_the_claimant_said_so() -> None:
    case = offered()
    do(case, "03-07 09:00:00", "accept_offer", OTHER, **SAID)
    assert clock(case, "payout") == ("running", "03-12 23:59:59")


# --- the parcel -----------------------------------------------------------------------------------


def looked_up(case: Claim, claims: tuple[OtherClaim, ...] = (), inquiries: tuple[FoundInquiry, ...] = ()) -> Claim:
    """The casebook answers all that it was asked."""
    for call in [one for one in case.outbox if isinstance(one, ActivityCall)]:
        result = {
            "claims": [one.model_dump() for one in claims],
            "inquiries": [one.model_dump(mode="json") for one in inquiries],
        }
        case.activity_done(call, result, case.events[-1].at)
    assert not case.looking()
    return case


def test_the_casebook_is_asked_at_filing_and_at_each_assessment() -> None:
    case = claim()
    assert case.looking()
    asked = [one for one in case.outbox if isinstance(one, ActivityCall)]
    assert [(one.activity, one.order, one.seq) for one in asked] == [("look_up_waybill", {"waybill": "W1"}, 1)]
    looked_up(case)
    do(case, "03-05 10:00:00", "assess", cause="company")
    assert case.looking()


def test_another_claim_on_the_parcel_stops_the_offer_until_somebody_says_why_not() -> None:
    case = looked_up(assessed(), OTHERS)
    assert case.view()["earlier_claims"] == [{"case": "claim:form-1", "state": "paid"}]
    refuse(case, "03-05 10:10:00", "waybill_claimed", "offer", "claim:form-1 (paid)", by=GM, clause="S0-A.1")
    refuse(case, "03-05 10:11:00", "authority", "clear_waybill", "supervisor or above", clause="S0-A.1", reason="r")
    do(case, "03-05 10:12:00", "clear_waybill", SUPERVISOR, reason="another piece of the shipment")
    assert only(case, "waybill_cleared").data["claims"] == ["claim:form-1"]
    refuse(case, "03-05 10:12:30", "nothing_to_clear", "clear_waybill", by=SUPERVISOR, clause="S0-A.1", reason="r")
    do(case, "03-05 10:13:00", "offer")
    do(case, "03-05 10:14:00", "accept_offer", CUSTOMER)
    [payment] = [one for one in case.outbox if isinstance(one, Payment)]
    assert (payment.waybill, payment.cleared) == ("W1", ("claim:form-1",))


def test_a_claim_that_comes_up_later_stops_it_again() -> None:
    case = looked_up(assessed(), OTHERS)
    do(case, "03-05 10:12:00", "clear_waybill", SUPERVISOR, reason="r")
    do(case, "03-05 10:13:00", "assess", cause="company")
    looked_up(case, (*OTHERS, OtherClaim(case="claim:form-2", state="open")))
    refuse(case, "03-05 10:14:00", "waybill_claimed", "offer", "claim:form-2 (open)", clause="S0-A.1")


def test_what_waits_for_approval_is_not_approved_past_another_claim() -> None:
    case = assessed(shipment={"insured_amount": "500.00"})
    do(case, "03-05 10:10:00", "offer")
    looked_up(case, OTHERS)
    refuse(case, "03-05 10:11:00", "waybill_claimed", "approve", by=SUPERVISOR, clause="S0-A.1")
    do(case, "03-05 10:12:00", "clear_waybill", QA, reason="r")
    do(case, "03-05 10:13:00", "approve", SUPERVISOR)
    assert len(found(case, "offered")) == 1
    # To say no nothing need be cleared.
    case = assessed(shipment={"insured_amount": "500.00"})
    do(case, "03-05 10:10:00", "offer")
    looked_up(case, OTHERS)
    do(case, "03-05 10:11:00", "reject", SUPERVISOR, reason="r")


def test_what_was_asked_first_and_answered_last_takes_nothing_back() -> None:
    case = assessed()
    first, second = [one for one in case.outbox if isinstance(one, ActivityCall)]
    for call, claims in ((second, OTHERS), (first, ())):
        case.activity_done(call, {"claims": [one.model_dump() for one in claims]}, at("03-05 10:01:00"))
    refuse(case, "03-05 10:10:00", "waybill_claimed", "offer", clause="S0-A.1")


def test_nobody_confirms_by_hand_past_another_claim() -> None:
    case = looked_up(agreed())
    case.payout_blocked({"claims": [{"case": "claim:form-1", "state": "paid"}]}, at("03-05 11:01:00"))
    refuse(case, "03-05 11:05:00", "waybill_claimed", "confirm_payment", by=FINANCE, clause="S0-A.1", reference="B")


def test_a_payment_that_the_parcel_stops_goes_out_once_it_is_cleared() -> None:
    case = looked_up(agreed())
    case.payout_blocked({"claims": [{"case": "claim:form-1", "state": "agreed"}]}, at("03-05 11:00:05"))
    assert only(case, "payout_failed").data == {"reason": "waybill_claimed"}
    assert case.view()["earlier_claims"] == [{"case": "claim:form-1", "state": "agreed"}]
    do(case, "03-05 11:10:00", "clear_waybill", SUPERVISOR, reason="r")
    pass_time(case, "03-05 11:10:00")
    [payment] = [one for one in case.outbox if isinstance(one, Payment)]
    assert (payment.cleared, payment.order) == (("claim:form-1",), 1)


# --- the payee ------------------------------------------------------------------------------------


def test_the_payee_stands_in_the_agreement_and_the_order() -> None:
    case = offered()
    do(case, "03-05 10:15:00", "name_payee", CUSTOMER, relation="beneficiary", payee="payee-1")
    do(case, "03-05 10:20:00", "accept_offer", CUSTOMER)
    assert only(case, "agreed").data == {"amount": "100.00", "payee": "payee-1", "relation": "beneficiary"}
    assert only(case, "payout_requested").data == {"amount": "100.00", "payee": "payee-1"}
    [payment] = [one for one in case.outbox if isinstance(one, Payment)]
    assert payment.payee == "payee-1"
    assert case.view()["payee"] == {"relation": "beneficiary", "payee": "payee-1"}


def test_only_the_sender_or_whom_the_sender_names_is_paid() -> None:
    case = offered()
    refuse(case, "03-05 10:15:00", "invalid", "name_payee", "relation = 'recipient'", relation="recipient", payee="p")


def test_who_named_the_payee_does_not_record_the_acceptance() -> None:
    case = offered()
    do(case, "03-05 10:15:00", "name_payee", OTHER, relation="sender", payee="payee-1")
    do(case, "03-05 10:16:00", "offer")
    refuse(case, "03-05 10:21:00", "duties", "accept_offer", by=OTHER, clause=S1, **SAID)


def test_a_change_of_the_payee_needs_the_acceptance_anew() -> None:
    case = looked_up(agreed())
    other = {"relation": "sender", "payee": "payee-2"}
    refuse(case, "03-05 11:01:00", "payout_under_way", "name_payee", by=CUSTOMER, clause="S0-A.5.4", **other)
    case.payout_failed("account_closed", at("03-05 11:02:00"))
    do(case, "03-05 11:03:00", "name_payee", CUSTOMER, **other)
    assert (case.agreed, case.offered, case.payout.owed) == (None, Decimal("100.00"), False)
    # The yes of before was for another payee.
    old = {**SAID, "said_at": "2026-03-05T10:30:00+08:00"}
    refuse(case, "03-05 11:04:00", "acceptance_unproven", "accept_offer", "said_at", by=OTHER, clause=S1, **old)
    pass_time(case, "03-06 11:03:00")
    assert len(found(case, "payout_requested")) == 1
    refuse(case, "03-06 11:04:00", "nothing_to_pay", "confirm_payment", by=FINANCE, clause="S0-A.5.4", reference="B")
    do(case, "03-06 11:05:00", "accept_offer", CUSTOMER)
    assert found(case, "payout_requested")[-1].data == {"amount": "100.00", "payee": "payee-2", "order": 2}
    case.payout_made("BANK-1", at("03-06 11:06:00"))
    refuse(case, "03-06 11:07:00", "resolved", "name_payee", by=CUSTOMER, **other)


def test_while_finance_may_be_paying_by_hand_only_finance_lets_the_payee_change() -> None:
    case = agreed()
    case.payout_waits(at("03-05 11:00:01"))
    other = {"relation": "sender", "payee": "payee-2"}
    refuse(case, "03-05 11:01:00", "payout_under_way", "name_payee", "finance", by=AGENT, clause="S0-A.5.4", **other)
    do(case, "03-05 11:02:00", "name_payee", FINANCE, **other)
    # What the staff names is offered anew, so that whoever agrees knows who is paid.
    assert (case.agreed, case.offered) == (None, None)


def test_an_acceptance_from_before_the_payee_was_named_is_none() -> None:
    case = offered()
    mule = {"relation": "beneficiary", "payee": "payee-mule"}
    do(case, "03-05 10:30:00", "name_payee", AGENT, **mule)
    refuse(case, "03-05 10:31:00", "no_offer", "accept_offer", by=CUSTOMER, clause="S0-A.5.4")
    do(case, "03-05 10:32:00", "offer")
    refuse(case, "03-05 10:40:00", "acceptance_unproven", "accept_offer", "said_at", by=OTHER, clause=S1, **SAID)
    case = offered()
    do(case, "03-05 10:30:00", "name_payee", CUSTOMER, **mule)
    refuse(case, "03-05 10:40:00", "acceptance_unproven", "accept_offer", "said_at", by=OTHER, clause=S1, **SAID)
    do(case, "03-05 10:41:00", "accept_offer", CUSTOMER)


@pytest.mark.parametrize("payee", ["6222021234567890123", "zhang@alipay.com", "a12345678"])
def test_no_account_number_is_a_token(payee: str) -> None:
    refuse(offered(), "03-05 10:30:00", "invalid", "name_payee", "payee", relation="sender", payee=payee)


# --- dates ----------------------------------------------------------------------------------------


def filed(received: str, now: str, by: dict[str, str] | None = None, **facts: Any) -> Claim:
    """A claim that was received at one instant and filed at another."""
    shipment = {**SHIPMENT, **facts.pop("shipment", {})}
    content = {"factor": "damage", "claimant": SENDER, "loss": LOST, "shipment": shipment, **facts}
    raw: dict[str, Any] = {"key": "L-1", "received_at": at(received).isoformat(), "facts": content}
    if by is not None:
        raw["by"] = by
    case = Claim.open(read_intake(Claim.INTAKE, raw), default_policy(), at(now))
    case.elapse(at(now))
    return case


def test_the_record_says_who_filed() -> None:
    case = filed("03-05 09:00:00", "03-05 09:00:00", {**AGENT, "person": "p-7"})
    assert case.events[0].as_json()["actor"] == {"id": "agent-7", "role": "agent", "person": "p-7"}
    again = {"key": "L-1", "facts": {"factor": "damage", "claimant": SENDER}}
    by_somebody = {**again, "by": OTHER}
    assert read_intake(Claim.INTAKE, again).digest() == read_intake(Claim.INTAKE, by_somebody).digest()


def test_back_dating_beyond_the_bound_is_marked_and_approved_by_somebody_else() -> None:
    case = filed("03-05 09:00:00", "03-12 09:00:01", SUPERVISOR)
    assert case.view()["backdated"] is True
    asked = only(case, "approval_requested")
    assert (asked.data["subject"], asked.data["role"], asked.actor.id) == ("backdating", "supervisor", "super-2")
    assert asked.at == at("03-12 09:00:01")
    do(case, "03-12 10:00:00", "assess", cause="company")
    refuse(case, "03-12 10:01:00", "backdated", "offer", clause=S1)
    refuse(case, "03-12 10:02:00", "four_eyes", "approve", by=SUPERVISOR, clause=S1)
    do(case, "03-12 10:03:00", "approve", QA)
    do(case, "03-12 10:04:00", "offer")
    assert len(found(case, "offered")) == 1


@pytest.mark.parametrize("by", [SUPERVISOR, OTHER])
def test_nobody_asks_for_an_easier_approval_of_it(by: dict[str, str]) -> None:
    case = filed("03-05 09:00:00", "03-13 09:00:00", SUPERVISOR)
    do(case, "03-13 09:10:00", "reject", QA, reason="no trace of it")
    do(case, "03-13 10:00:00", "request_approval", AGENT, subject="backdating", amount="0.01")
    code = "duties" if by is SUPERVISOR else "authority"
    refuse(case, "03-13 10:01:00", code, "approve", by=by, clause=S1)


def test_within_the_bound_nobody_is_asked() -> None:
    case = filed("03-05 09:00:00", "03-12 09:00:00", SUPERVISOR)
    assert case.view()["backdated"] is False
    assert found(case, "approval_requested") == []


def test_what_was_refused_stays_refused_until_it_is_asked_again() -> None:
    case = filed("03-05 09:00:00", "03-13 09:00:00")
    do(case, "03-13 09:10:00", "reject", SUPERVISOR, reason="no trace of it")
    do(case, "03-13 10:00:00", "assess", cause="company")
    refuse(case, "03-13 10:01:00", "backdated", "offer", clause=S1)
    do(case, "03-13 10:02:00", "request_approval", AGENT, subject="backdating")
    do(case, "03-13 10:03:00", "approve", SUPERVISOR)
    do(case, "03-13 10:04:00", "offer")


def late(**more: Any) -> Claim:
    """A claim filed after its year, which an inquiry is said to keep alive."""
    case = filed("03-05 09:00:00", "03-05 09:00:00", more.pop("by", AGENT), shipment={"posted_on": "2025-03-01"},
                 inquiry_recorded_on="2025-06-01", **more)  # fmt: skip
    do(case, "03-05 10:00:00", "assess", cause="company")
    return case


def test_an_inquiry_that_keeps_a_claim_alive_is_looked_up() -> None:
    case = looked_up(
        late(),
        inquiries=(FoundInquiry(case="inquiry:q-1", recorded_at=at("03-01 09:00:00").replace(year=2025, month=6)),),
    )
    assert case.view()["unproven"] == []
    do(case, "03-05 10:10:00", "offer")


def test_or_needs_evidence() -> None:
    case = looked_up(late(), inquiries=(FoundInquiry(case="inquiry:q-1", recorded_at=at("03-02 09:00:00")),))
    assert case.view()["unproven"] == ["inquiry_recorded_on"]
    refuse(case, "03-05 10:10:00", "date_unproven", "offer", "inquiry_recorded_on", clause=S1)
    wrong: dict[str, Any] = {"date": "delivered_at", "evidence": "hotline-1"}
    refuse(case, "03-05 10:11:00", "nothing_to_prove", "prove_date", "inquiry_recorded_on", clause=S1, **wrong)
    do(case, "03-05 10:11:00", "prove_date", date="inquiry_recorded_on", evidence="hotline-1")
    do(case, "03-05 10:12:00", "offer")


def test_what_a_backend_system_recorded_needs_none() -> None:
    case = looked_up(late(by={"id": "hotline", "role": "system"}))
    assert case.view()["unproven"] == []
    do(case, "03-05 10:12:00", "offer")


def test_the_times_of_a_delay_that_staff_typed_in_are_proven() -> None:
    times = {"promised_at": "2026-03-02T18:00:00+08:00", "delivered_at": "2026-03-04T11:00:00+08:00"}
    case = filed("03-05 09:00:00", "03-05 09:00:00", AGENT, factor="delay", loss=None, shipment=times)
    do(case, "03-05 10:00:00", "assess", cause="company")
    refuse(case, "03-05 10:10:00", "date_unproven", "offer", "promised_at, delivered_at", clause=S1)
    for name in times:
        do(case, "03-05 10:11:00", "prove_date", date=name, evidence="scan-1")
    do(case, "03-05 10:12:00", "offer")
    # What has become lost goes by them too.
    lost = filed("03-15 09:00:00", "03-15 09:00:00", AGENT, factor="loss", loss=None,
                 shipment={"promised_at": times["promised_at"]})  # fmt: skip
    assert lost.view()["unproven"] == ["promised_at"]
    # A backend system knows.
    case = filed("03-05 09:00:00", "03-05 09:00:00", {"id": "tms", "role": "system"}, factor="delay", loss=None,
                 shipment=times)  # fmt: skip
    assert case.view()["unproven"] == []


# --- what was pinned before there were duties -----------------------------------------------------


def test_a_case_whose_policy_names_no_duties_keeps_its_rules() -> None:
    import json

    from cases.vocabulary.events import canonical

    document = json.loads(default_policy().document)
    del document["claim"]["duties"], document["claim"]["permissions"]
    case = assessed(Policy.from_document(canonical(document)))
    assert not case.looking()
    refuse(case, "03-05 10:05:00", "duties", "name_payee", clause="S0-A.1", relation="sender", payee="payee-1")
    do(case, "03-05 10:10:00", "offer", SUPERVISOR, amount="150.00")
    do(case, "03-05 10:11:00", "accept_offer", SUPERVISOR)
    assert only(case, "agreed").data["amount"] == "150.00"
    assert timedelta() < case.clocks["payout"].due - at("03-05 10:11:00")


def test_a_repeat_is_one_whatever_the_directory_says_of_the_sender_by_then() -> None:
    note = Claim.COMMANDS["note"]
    plain = note.model_validate({"by": AGENT, "text": "t"})
    assert note.model_validate({"by": {**AGENT, "person": "p-7"}, "text": "t"}).digest() == plain.digest()
    assert note.model_validate({"by": OTHER, "text": "t"}).digest() != plain.digest()
