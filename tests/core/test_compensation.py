"""Compensation to the fen: worked cases 4-10 and 24-38, the switches, discretion and bad input."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from cases.compensation import Assessment, Override, admit, assess, ways_of_dispute
from cases.kinds.claim_facts import ClaimFacts, ClaimIntake
from cases.kinds.complaint import ComplaintIntake
from cases.kinds.inquiry import InquiryIntake
from cases.policy.model import Policy
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import at, default_policy, policy_with

LATE = {"promised_at": "2026-03-02T18:00:00+08:00", "delivered_at": "2026-03-03T18:00:00+08:00", "route": "domestic"}
TOTAL = {"total_value": "100.00", "lost_value": "100.00"}


def claim(factor: str, shipment: dict[str, Any] | None = None, **facts: Any) -> ClaimFacts:
    """Facts of a claim by the sender about a parcel posted on 1 March 2026."""
    parcel = {"waybill": "W1", "posted_on": "2026-03-01", **(shipment or {})}
    return ClaimFacts.model_validate(
        {"factor": factor, "claimant": {"relation": "sender"}, "cause": "company", "shipment": parcel, **facts}
    )


def assessed(
    facts: ClaimFacts,
    filed: str = "03-20 10:00:00",
    now: str | None = None,
    *,
    policy: Policy | None = None,
    override: Override | None = None,
) -> Assessment:
    """The assessment of a claim filed at an instant, made then or at ``now``."""
    return assess(facts, policy or default_policy(), filed_at=at(filed), at=at(now or filed), override=override)


def lines(assessment: Assessment) -> dict[str, str]:
    return {line.name: str(line.amount) for line in assessment.lines}


def notes(assessment: Assessment) -> set[str]:
    return {note.code for note in assessment.notes}


def refused(assessment: Assessment) -> tuple[str, str]:
    """Code and clause of a refusal, which gives nothing."""
    assert (assessment.eligible, str(assessment.total), assessment.lines) == (False, "0.00", ())
    assert assessment.refused_because is not None
    return assessment.refused_because.code, assessment.refused_because.clause


def rung(assessment: Assessment) -> str:
    return default_policy().authority_of.lowest_for(assessment.total)


# --- worked cases ---------------------------------------------------------------------------------


def test_case_4_a_delay_waives_the_freight_and_no_surcharge() -> None:
    result = assessed(claim("delay", {**LATE, "base_freight": "18.00", "surcharges": "2.00"}))
    assert (lines(result), str(result.total), rung(result)) == ({"fee_waiver": "18.00"}, "18.00", "agent")
    [line] = result.lines
    assert (line.clause, line.inputs) == ("S0-A.3.1", {"base_freight": "18.00"})
    assert line.formula == "base freight 18.00, without insurance and surcharges = 18.00"


@pytest.mark.parametrize(("insured", "total"), [(None, "0.00"), ("500.00", "18.00")])
def test_case_5_weather_exempts_only_what_is_not_insured(insured: str | None, total: str) -> None:
    result = assessed(
        claim("delay", {**LATE, "base_freight": "18.00", "insured_amount": insured}, cause="force_majeure")
    )
    assert str(result.total) == total
    if insured is None:
        assert refused(result) == ("force_majeure", "S0-A.2.X b")
    else:
        # Nothing was lost, so the insured amount is not paid.
        assert lines(result) == {"fee_waiver": "18.00"}


@pytest.mark.parametrize(("cause", "total"), [("customer", "0.00"), ("company", "20.00")])
def test_case_6_a_wrong_number_exempts_only_if_the_customer_gave_it(cause: str, total: str) -> None:
    result = assessed(claim("delay", {**LATE, "base_freight": "20.00"}, cause=cause))
    assert str(result.total) == total
    if cause == "customer":
        assert refused(result) == ("exempt_customer", "S0-A.2.X a")


@pytest.mark.parametrize("told", [None, False, True])
def test_case_7_out_of_zone_exempts_only_if_it_was_told(told: bool | None) -> None:
    shipment = {
        "promised_at": "2026-03-05T18:00:00+08:00",
        "delivered_at": "2026-03-07T11:00:00+08:00",
        "base_freight": "16.00",
        "out_of_zone_notice": told,
    }
    result = assessed(claim("delay", shipment))
    if told:
        assert refused(result) == ("told_out_of_zone", "S0-2.1.2(2)")
    else:
        assert lines(result) == {"fee_waiver": "16.00"}


@pytest.mark.parametrize("packed_by", ["customer", "courier"])
def test_case_8_packing(packed_by: str) -> None:
    shipment = {"base_freight": "22.00", "weight_kg": "0.3", "packed_by": packed_by}
    result = assessed(claim("damage", shipment, cause="packing", loss=TOTAL))
    if packed_by == "customer":
        assert refused(result) == ("packing", "S0-2.3.3")
        assert (notes(result), result.needs_person) == ({"discretion"}, False)
    else:
        assert lines(result) == {"fee_waiver": "22.00", "uninsured": "30.00"}
        assert (str(result.total), rung(result)) == ("52.00", "agent")


@pytest.mark.parametrize("offered", [None, True, False])
@pytest.mark.parametrize("present", [None, True, False])
def test_case_9_signed_and_left(present: bool | None, offered: bool | None) -> None:
    shipment = {
        "base_freight": "22.00",
        "weight_kg": "0.3",
        "signed_at": "2026-03-20T09:50:00+08:00",
        "courier_present": present,
    }
    result = assessed(claim("damage", shipment, loss=TOTAL, inspection_offered=offered))
    assert result.inspection_offered is offered
    assert result.as_json()["inspection_offered"] is offered
    if present is False:
        assert refused(result) == ("signed_and_left", "S0-2.3.3")
        assert "O-CIV-831 [OUTSIDE]" in result.clauses
        # Never on a signature alone, unless inspection was offered.
        assert result.needs_person is (offered is not True)
    else:
        assert (str(result.total), result.needs_person) == ("52.00", False)


def test_case_10_an_excessive_demand_changes_nothing() -> None:
    shipment = {"base_freight": "30.00", "weight_kg": "0.5"}
    result = assessed(claim("loss", shipment, demand="6980.00"))
    assert lines(result) == {"fee_waiver": "30.00", "uninsured": "50.00"}
    assert (str(result.total), rung(result), notes(result)) == ("80.00", "agent", {"demand_above"})
    assert ways_of_dispute(claim("loss", shipment)) == ("negotiation", "complaint", "appeal", "lawsuit")


@pytest.mark.parametrize(("amount", "role"), [("300.00", "supervisor"), ("48000.00", "general_manager")])
def test_case_24_the_rung_that_decides_an_amount(amount: str, role: str) -> None:
    facts = claim("damage", {"agreed_compensation": amount})
    result = assessed(facts)
    assert (lines(result), result.clauses) == ({"agreed": amount}, ("S0-A.3",))
    assert rung(result) == role


def test_case_25_a_late_economy_parcel_gets_its_freight_back() -> None:
    shipment = {**LATE, "delivered_at": None, "base_freight": "9.00"}
    result = assessed(claim("delay", shipment), "03-04 13:00:00")
    assert (lines(result), notes(result)) == ({"fee_waiver": "9.00"}, {"still_undelivered"})


@pytest.mark.parametrize("factor", ["loss", "damage"])
def test_cases_26_and_27_a_flood(factor: str) -> None:
    shipment = {"base_freight": "25.00", "surcharges": "30.00"}
    loss = {"total_value": "4000.00", "lost_value": "4000.00"}
    insured = claim(factor, {**shipment, "insured_amount": "3000.00"}, cause="force_majeure", loss=loss)
    # No weight is known, and an insured loss needs none.
    assert lines(assessed(insured)) == {"fee_waiver": "25.00", "insured": "3000.00"}
    assert (str(assessed(insured).total), rung(assessed(insured))) == ("3025.00", "qa_manager")
    assert refused(assessed(claim(factor, shipment, cause="force_majeure", loss=loss))) == (
        "force_majeure",
        "S0-A.2.X b",
    )


@pytest.mark.parametrize(
    ("freight", "weight", "compensation", "total"),
    [
        ("20.00", "0.8", "80.00", "100.00"),
        ("12.00", "3", "60.00", "72.00"),
        ("20.00", "1.0", "100.00", "120.00"),
    ],
)
def test_case_28_an_uninsured_loss(freight: str, weight: str, compensation: str, total: str) -> None:
    result = assessed(claim("loss", {"base_freight": freight, "weight_kg": weight}))
    assert lines(result) == {"fee_waiver": freight, "uninsured": compensation}
    assert str(result.total) == total
    assert [line.clause for line in result.lines] == ["S0-A.3.2 a", "S0-A.3.2 c"]


NO_FEE = ("partial_refunds_fee = true", "partial_refunds_fee = false")


def test_case_29_a_partial_insured_damage() -> None:
    facts = claim(
        "damage",
        {"base_freight": "30.00", "insured_amount": "4000.00"},
        loss={"total_value": "5000.00", "lost_value": "1750.00"},
    )
    result = assessed(facts)
    assert lines(result) == {"fee_waiver": "10.50", "insured": "1400.00"}
    assert (str(result.total), rung(result), result.clauses) == ("1410.50", "supervisor", ("S0-A.3.3",))
    # O-POST-47: insured amount / total value x actual loss.
    assert result.lines[1].amount == Decimal("4000.00") / Decimal("5000.00") * Decimal("1750.00")
    assert lines(assessed(facts, policy=policy_with(NO_FEE))) == {"insured": "1400.00"}
    # Total damage is no partial one.
    total = claim("damage", {"base_freight": "30.00", "insured_amount": "4000.00"}, loss=TOTAL)
    assert lines(assessed(total, policy=policy_with(NO_FEE))) == {"fee_waiver": "30.00", "insured": "4000.00"}


def test_case_30_each_line_is_rounded_half_up() -> None:
    facts = claim(
        "damage",
        {"base_freight": "23.50", "weight_kg": "2.35"},
        loss={"total_value": "300.00", "lost_value": "100.00"},
    )
    result = assessed(facts)
    assert (lines(result), str(result.total)) == ({"fee_waiver": "7.83", "uninsured": "39.17"}, "47.00")
    assert result.lines[1].formula == (
        "the lowest of 5 x base freight 23.50 (117.50) and 100.00 yuan x 2.35 kg (235), "
        "times 100.00 of 300.00 lost by value = 39.17"
    )
    assert result.lines[1].inputs == {
        "fee_multiple": "5",
        "base_freight": "23.50",
        "yuan_per_kg": "100.00",
        "weight_kg": "2.35",
        "lost": "100.00",
        "of": "300.00",
        "measure": "value",
    }


@pytest.mark.parametrize(
    ("freight", "lost", "line"),
    [("0.01", "1.00", "0.01"), ("0.01", "0.99", "0.00"), ("0.03", "1.00", "0.02"), ("0.05", "1.00", "0.03")],
)
def test_half_a_fen_is_rounded_up_and_less_is_not(freight: str, lost: str, line: str) -> None:
    facts = claim(
        "damage",
        {"base_freight": freight, "insured_amount": "1.00"},
        loss={"total_value": "2.00", "lost_value": lost},
    )
    assert lines(assessed(facts))["fee_waiver"] == line


def test_a_weight_is_not_rounded_before_the_line() -> None:
    result = assessed(claim("loss", {"base_freight": "999.00", "weight_kg": "0.12345"}))
    assert lines(result)["uninsured"] == "12.35"


@pytest.mark.parametrize(
    ("shipment", "total"),
    [({"weight_kg": "1.2"}, "90.00"), ({"insured_amount": "600.00"}, "615.00")],
)
def test_case_31_a_wrong_name_is_total_damage(shipment: dict[str, str], total: str) -> None:
    loss = {"name_differs": True, "declared_quantity": 10, "found_quantity": 10}
    result = assessed(claim("mismatch", {"base_freight": "15.00", **shipment}, loss=loss))
    assert (str(result.total), result.clauses) == (total, ("S0-A.3.4",))


def test_case_32_a_shortage_by_quantity_and_by_weight() -> None:
    insured = {"base_freight": "28.00", "insured_amount": "2400.00"}
    loss = {"declared_quantity": 12, "found_quantity": 9}
    result = assessed(claim("mismatch", insured, loss=loss))
    assert (lines(result), str(result.total)) == ({"fee_waiver": "7.00", "insured": "600.00"}, "607.00")
    assert rung(result) == "supervisor"
    weighed = {"declared_weight_kg": "10", "found_weight_kg": "8.5"}
    result = assessed(claim("mismatch", {"base_freight": "40.00", "weight_kg": "10"}, loss=weighed))
    assert (lines(result), str(result.total)) == ({"fee_waiver": "6.00", "uninsured": "30.00"}, "36.00")


def test_case_32_a_surplus_pays_nothing_and_is_reported() -> None:
    result = assessed(claim("mismatch", loss={"declared_quantity": 12, "found_quantity": 14}))
    assert (refused(result), notes(result)) == (("nothing_lost", "S0-A.3.4"), {"excess_goods"})
    assert "S2-5.2" in result.clauses


CASE_33 = {
    "posted_on": "2026-04-01",
    "promised_at": "2026-04-01T18:00:00+08:00",
    "base_freight": "12.00",
    "weight_kg": "3",
}


@pytest.mark.parametrize(
    ("route", "now", "total", "factor"),
    [
        ("same_city", "04-04 17:59:59", "12.00", "delay"),
        ("same_city", "04-04 18:00:00", "72.00", "loss"),
        ("domestic", "04-08 17:59:59", "12.00", "delay"),
        ("domestic", "04-08 18:00:00", "72.00", "loss"),
        # No limit is known for these, so a delay stays a delay.
        ("international", "06-30 18:00:00", "12.00", "delay"),
        ("hk_mo_tw", "06-30 18:00:00", "12.00", "delay"),
    ],
)
def test_case_33_an_undelivered_parcel_is_lost_at_the_limit(route: str, now: str, total: str, factor: str) -> None:
    result = assessed(claim("delay", {**CASE_33, "route": route}), "04-02 09:00:00", now)
    assert (str(result.total), result.factor_applied) == (total, factor)
    assert ("became_loss" in notes(result)) is (factor == "loss")


@pytest.mark.parametrize("filed_as", ["delay", "loss"])
@pytest.mark.parametrize(
    ("delivered", "total", "noted"),
    [
        ("2026-04-04T17:59:59+08:00", "12.00", set()),
        ("2026-04-04T18:00:00+08:00", "12.00", set()),
        ("2026-04-04T18:00:01+08:00", "72.00", {"became_loss", "recover_goods"}),
        # The same instant, written elsewhere.
        ("2026-04-04T10:00:01Z", "72.00", {"became_loss", "recover_goods"}),
    ],
)
def test_case_33_what_arrives_past_the_limit_stays_lost(
    delivered: str, total: str, noted: set[str], filed_as: str
) -> None:
    shipment = {**CASE_33, "route": "same_city", "delivered_at": delivered}
    result = assessed(claim(filed_as, shipment), "04-10 09:00:00")
    assert (str(result.total), notes(result)) == (total, noted)


def test_what_has_not_arrived_yet_counts_as_undelivered() -> None:
    shipment = {**CASE_33, "route": "same_city", "delivered_at": "2026-04-05T09:00:00+08:00"}
    result = assessed(claim("delay", shipment), "04-04 09:00:00", "04-04 18:00:00")
    assert (str(result.total), notes(result)) == ("72.00", {"became_loss"})
    # Arrived at the very moment, it has arrived.
    shipment["delivered_at"] = "2026-04-04T18:00:00+08:00"
    result = assessed(claim("delay", shipment), "04-04 09:00:00", "04-04 18:00:00")
    assert (str(result.total), notes(result)) == ("12.00", set())


def test_a_loss_is_one_only_when_the_limit_is_reached() -> None:
    facts = claim("loss", {**CASE_33, "route": "same_city"})
    result = assessed(facts, "04-02 09:00:00", "04-04 17:59:59")
    assert refused(result) == ("too_early", "S0-A.2 b")
    assert result.refused_because is not None
    assert result.refused_because.inputs == {"not_before": "2026-04-04T18:00:00+08:00"}
    result = assessed(facts, "04-02 09:00:00", "04-04 18:00:00")
    assert (str(result.total), notes(result)) == ("72.00", set())


@pytest.mark.parametrize(
    ("lost", "amounts", "factor"),
    [
        ("900.00", {"fee_waiver": "26.00", "insured": "800.00"}, "loss"),
        ("450.00", {"fee_waiver": "13.00", "insured": "400.00"}, "damage"),
        ("0.00", {"fee_waiver": "26.00"}, "delay"),
    ],
)
def test_case_34_a_delay_that_destroyed_the_value(lost: str, amounts: dict[str, str], factor: str) -> None:
    shipment = {
        "posted_on": "2026-09-20",
        "promised_at": "2026-09-24T18:00:00+08:00",
        "delivered_at": "2026-09-26T10:00:00+08:00",
        "route": "domestic",
        "base_freight": "26.00",
        "insured_amount": "800.00",
    }
    loss = {"total_value": "900.00", "lost_value": lost}
    result = assessed(claim("delay", shipment, loss=loss), "09-26 12:00:00")
    assert (lines(result), result.factor_applied) == (amounts, factor)


@pytest.mark.parametrize(
    ("posted", "filed", "accepted"),
    [
        ("2025-03-10", "2026-03-10 23:59:59", True),
        ("2025-03-10", "2026-03-11 00:00:00", False),
        ("2023-03-01", "2024-03-01 12:00:00", True),
        ("2023-03-01", "2024-03-02 00:00:00", False),
        ("2024-02-29", "2025-02-28 23:59:59", True),
        ("2024-02-29", "2025-03-01 00:00:00", False),
    ],
)
def test_case_35_a_claim_within_the_year(posted: str, filed: str, accepted: bool) -> None:
    result = assessed(claim("damage", {"posted_on": posted, "agreed_compensation": "10.00"}), filed)
    assert result.eligible is accepted
    if not accepted:
        assert refused(result) == ("full_year", "S0-A.2.X c")


def test_the_day_of_filing_is_a_day_of_the_policys_zone() -> None:
    facts = claim("damage", {"posted_on": "2025-03-10", "agreed_compensation": "10.00"})
    policy = default_policy()
    for filed, accepted in (("2026-03-10T15:59:59+00:00", True), ("2026-03-10T16:00:00+00:00", False)):
        moment = at("03-10 00:00:00").fromisoformat(filed)
        assert assess(facts, policy, filed_at=moment, at=moment).eligible is accepted


NOT_PRESERVED = ("inquiry_preserves_claim = true", "inquiry_preserves_claim = false")


@pytest.mark.parametrize(
    ("inquired", "preserves", "expected"),
    [
        ("2026-02-01", True, None),
        ("2026-03-10", True, None),
        ("2025-03-10", True, None),
        ("2026-03-11", True, ("full_year", "S0-A.2.X c")),
        ("2026-02-01", False, ("out_of_period", "S0-A.4")),
        ("2026-03-11", False, ("full_year", "S0-A.2.X c")),
    ],
)
def test_case_36a_an_inquiry_within_the_year_preserves_the_claim(
    inquired: str, preserves: bool, expected: tuple[str, str] | None
) -> None:
    policy = default_policy() if preserves else policy_with(NOT_PRESERVED)
    facts = claim("damage", {"posted_on": "2025-03-10", "agreed_compensation": "10.00"}, inquiry_recorded_on=inquired)
    result = assessed(facts, "04-01 09:00:00", policy=policy)
    if expected is None:
        assert (str(result.total), notes(result)) == ("10.00", {"preserved"})
    else:
        assert refused(result) == expected


@pytest.mark.parametrize(
    ("relation", "designated", "accepted"),
    [
        ("sender", None, True),
        ("sender", False, True),
        ("beneficiary", True, True),
        # A beneficiary is whom the sender has named, unless the record says otherwise.
        ("beneficiary", None, True),
        ("beneficiary", False, False),
        ("recipient", None, False),
        ("recipient", False, False),
        ("recipient", True, True),
    ],
)
def test_case_36b_who_may_claim(relation: str, designated: bool | None, accepted: bool) -> None:
    facts = claim("delay", {**LATE, "base_freight": "9.00"}, claimant={"relation": relation, "designated": designated})
    result = assessed(facts)
    assert result.eligible is accepted
    if not accepted:
        assert refused(result) == ("claimant", "S0-A.1")


@pytest.mark.parametrize(
    ("factor", "filed", "early"),
    [
        ("delay", "03-09 10:00:00", True),
        ("delay", "03-10 18:00:00", True),
        ("delay", "03-10 18:00:01", False),
        ("loss", "03-10 18:00:00", True),
        ("damage", "03-09 10:00:00", False),
        ("mismatch", "03-09 10:00:00", False),
    ],
)
def test_case_36c_and_d_only_delay_and_loss_wait_for_the_promised_time(factor: str, filed: str, early: bool) -> None:
    shipment = {"promised_at": "2026-03-10T18:00:00+08:00", "agreed_compensation": "10.00"}
    result = assessed(claim(factor, shipment), filed, "04-10 10:00:00")
    assert result.eligible is not early
    if early:
        assert refused(result) == ("too_early", "S0-A.5.1")
        assert result.refused_because is not None
        assert result.refused_because.inputs == {"not_before": "2026-03-10T18:00:00+08:00"}


def test_case_37_the_amount_of_the_claim_over_spring_festival() -> None:
    shipment = {"posted_on": "2026-01-20", "base_freight": "28.00", "insured_amount": "2400.00"}
    facts = claim("mismatch", shipment, loss={"declared_quantity": 12, "found_quantity": 9})
    result = assessed(facts, "01-30 16:00:00", "01-31 15:00:00")
    assert (str(result.total), rung(result)) == ("607.00", "supervisor")


@pytest.mark.parametrize("agreed", [None, False, True])
def test_case_38_arbitration_only_if_agreed_at_posting(agreed: bool | None) -> None:
    ways = ways_of_dispute(claim("delay", {"arbitration_agreed": agreed}))
    assert ways[0] == "negotiation"
    assert ("arbitration" in ways) is (agreed is True)
    assert set(ways) - {"arbitration"} == {"negotiation", "complaint", "appeal", "lawsuit"}


# --- what the worked cases leave open -------------------------------------------------------------


def test_delivered_in_time_is_no_delay_and_no_loss() -> None:
    shipment = {**LATE, "delivered_at": LATE["promised_at"], "agreed_compensation": "10.00"}
    for factor in ("delay", "loss"):
        assert refused(assessed(claim(factor, shipment))) == ("not_late", "S0-A.2 a")


def test_an_agreement_prevails_over_exemptions() -> None:
    facts = claim("delay", {**LATE, "agreed_compensation": "33.00"}, cause="customer")
    assert lines(assessed(facts)) == {"agreed": "33.00"}


@pytest.mark.parametrize("cause", ["customer", "nature_of_goods"])
def test_insurance_lifts_only_force_majeure(cause: str) -> None:
    code = {"customer": "exempt_customer", "nature_of_goods": "exempt_nature"}[cause]
    facts = claim("damage", {"insured_amount": "500.00"}, cause=cause, loss=TOTAL)
    assert refused(assessed(facts)) == (code, "S0-A.2.X a")


@pytest.mark.parametrize("factor", ["damage", "mismatch"])
def test_packing_and_signature_refuse_only_what_is_not_insured(factor: str) -> None:
    shipment = {
        "base_freight": "22.00",
        "weight_kg": "0.3",
        "packed_by": "customer",
        "signed_at": "2026-03-20T09:50:00+08:00",
        "courier_present": False,
    }
    facts = claim(factor, {**shipment, "insured_amount": "100.00"}, cause="packing", loss=TOTAL)
    assert str(assessed(facts).total) == "122.00"
    assert refused(assessed(claim(factor, shipment, cause="packing", loss=TOTAL)))[0] == "packing"


def test_a_signature_says_nothing_about_a_delay() -> None:
    shipment = {**LATE, "base_freight": "9.00", "signed_at": LATE["delivered_at"], "courier_present": False}
    assert str(assessed(claim("delay", shipment)).total) == "9.00"


def test_a_signature_still_to_come_does_not_count() -> None:
    shipment = {"base_freight": "1.00", "weight_kg": "1", "courier_present": False}
    facts = claim("damage", {**shipment, "signed_at": "2026-03-20T10:00:01+08:00"}, loss=TOTAL)
    assert assessed(facts).eligible


def test_a_quantity_that_agrees_leaves_it_to_the_weight() -> None:
    counts = {"declared_quantity": 3, "found_quantity": 3}
    weights = {"declared_weight_kg": "4", "found_weight_kg": "3"}
    values = {"total_value": "100.00", "lost_value": "10.00"}
    shipment = {"base_freight": "10.00", "insured_amount": "1000.00"}

    def total(loss: dict[str, Any]) -> str:
        return str(assessed(claim("mismatch", shipment, loss=loss)).total)

    assert total({**counts, **weights}) == "252.50"
    assert total(weights) == "252.50"
    assert total({**counts, "found_quantity": 2, **weights}) == "336.66"
    # The value is known: it decides.
    assert total({**counts, **weights, **values}) == "101.00"
    for loss, noted in ((counts, set()), ({**counts, "found_quantity": 4, **weights}, {"excess_goods"})):
        result = assessed(claim("mismatch", shipment, loss=loss))
        assert (refused(result), notes(result)) == (("nothing_lost", "S0-A.3.4"), noted)


def test_nothing_lost_pays_nothing() -> None:
    facts = claim("damage", loss={"total_value": "100.00", "lost_value": "0.00"})
    assert refused(assessed(facts)) == ("nothing_lost", "S0-A.3.3")


def test_the_proven_value_caps_only_where_the_switch_says_so() -> None:
    cap = policy_with(("cap_at_proven_loss = false", "cap_at_proven_loss = true"))
    shipment = {"base_freight": "20.00", "weight_kg": "5"}
    half = {"total_value": "40.00", "lost_value": "20.00"}
    facts = claim("damage", shipment, loss=half)
    assert lines(assessed(facts)) == {"fee_waiver": "10.00", "uninsured": "50.00"}
    assert lines(assessed(facts, policy=cap)) == {"fee_waiver": "10.00", "uninsured": "20.00"}
    insured = claim("damage", {**shipment, "insured_amount": "90.00"}, loss=half)
    assert assessed(insured, policy=cap) == assessed(insured)
    with pytest.raises(Refused) as caught:
        assessed(claim("loss", shipment), policy=cap)
    assert caught.value.code == "facts_missing"
    assert "facts.loss.total_value" in caught.value.message


def test_an_unknown_cause_exempts_nothing_and_is_noted() -> None:
    result = assessed(claim("delay", {**LATE, "base_freight": "9.00"}, cause=None))
    assert (str(result.total), notes(result)) == ("9.00", {"cause_unknown"})


def test_without_a_promised_time_there_is_no_lower_bound() -> None:
    shipment = {"base_freight": "12.00", "weight_kg": "3"}
    assert str(assessed(claim("loss", shipment)).total) == "72.00"
    delivered = {**shipment, "delivered_at": "2026-03-03T09:00:00+08:00"}
    assert str(assessed(claim("delay", delivered)).total) == "12.00"


def test_who_was_told_out_of_zone_was_promised_nothing() -> None:
    told = {**CASE_33, "route": "same_city", "out_of_zone_notice": True}
    # Neither the promised time nor the limit that counts from it stands against the parcel.
    for factor, shipment in (
        ("delay", told),
        ("delay", {**told, "delivered_at": "2026-04-20T09:00:00+08:00"}),
        ("loss", {**told, "delivered_at": "2026-04-20T09:00:00+08:00"}),
    ):
        assert refused(assessed(claim(factor, shipment), "05-01 09:00:00"))[0] == "told_out_of_zone"
    assert str(assessed(claim("loss", told), "05-01 09:00:00").total) == "72.00"


def test_the_json_of_an_assessment() -> None:
    given = assessed(claim("delay", {**LATE, "base_freight": "18.00"}, demand="20.00")).as_json()
    assert given == {
        "eligible": True,
        "factor": "delay",
        "lines": [
            {
                "name": "fee_waiver",
                "formula": "base freight 18.00, without insurance and surcharges = 18.00",
                "inputs": {"base_freight": "18.00"},
                "amount": "18.00",
                "clause": "S0-A.3.1",
            }
        ],
        "total": "18.00",
        "refused_because": None,
        "refusal": None,
        "clauses": ["S0-A.3.1", "S0-2.3.4"],
        "notes": [
            {
                "code": "demand_above",
                "clause": "S0-2.3.4",
                "text": "demanded are 20.00; indirect loss is no part of the formula, more is a matter of discretion",
            }
        ],
        "inspection_offered": None,
        "needs_person": False,
        "overridden": None,
    }
    assert json.loads(json.dumps(given)) == given
    given = assessed(claim("delay", LATE, cause="customer")).as_json()
    assert (given["eligible"], given["total"], given["refused_because"]) == (False, "0.00", "exempt_customer")
    assert given["refusal"] == {"clause": "S0-A.2.X a", "text": "the customer is responsible for it", "inputs": {}}
    assert given["clauses"] == ["S0-A.2.X a"]


def test_demanding_no_more_than_is_due_is_not_noted() -> None:
    assert notes(assessed(claim("delay", {**LATE, "base_freight": "18.00"}, demand="18.00"))) == set()


# --- what is missing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "shipment", "facts", "fields"),
    [
        ("delay", LATE, {}, ["facts.shipment.base_freight"]),
        ("loss", {"base_freight": "9.00"}, {}, ["facts.shipment.weight_kg"]),
        ("loss", {}, {}, ["facts.shipment.base_freight", "facts.shipment.weight_kg"]),
        ("loss", {"insured_amount": "9.00"}, {}, ["facts.shipment.base_freight"]),
        ("damage", {}, {}, ["facts.loss.total_value", "facts.loss.lost_value"]),
        ("damage", {}, {"loss": {"lost_value": "1.00"}}, ["facts.loss.total_value"]),
        ("delay", {**LATE, "base_freight": "1.00"}, {"loss": {"lost_value": "1.00"}}, ["facts.loss.total_value"]),
        ("mismatch", {}, {}, ["facts.loss", "name_differs"]),
        ("mismatch", {}, {"loss": {"declared_quantity": 1, "found_weight_kg": "1"}}, ["facts.loss"]),
        ("damage", {}, {"cause": "packing", "loss": TOTAL}, ["facts.shipment.packed_by"]),
        # It arrived, so only the promised time could make it a delay.
        ("loss", {"delivered_at": "2026-03-02T18:00:00+08:00"}, {}, ["facts.shipment.promised_at"]),
        # Late by what may have been the limit of its route.
        ("delay", {**LATE, "route": None, "delivered_at": "2026-03-05T18:00:01+08:00"}, {}, ["facts.shipment.route"]),
        ("delay", {**LATE, "route": None, "delivered_at": None}, {}, ["facts.shipment.route"]),
    ],
)
def test_what_a_formula_needs_is_named(
    factor: str, shipment: dict[str, Any], facts: dict[str, Any], fields: list[str]
) -> None:
    with pytest.raises(Refused) as caught:
        assessed(claim(factor, shipment, **facts))
    assert caught.value.code == "facts_missing"
    assert caught.value.clause.startswith("S0-")
    for field in fields:
        assert field in caught.value.message


def test_a_claim_without_a_shipment_cannot_be_assessed() -> None:
    facts = ClaimFacts.model_validate({"factor": "delay", "claimant": {"relation": "sender"}})
    override = Override(Decimal("10.00"), "goodwill", "supervisor")
    for given in (None, override):
        with pytest.raises(Refused, match=r"facts\.shipment is missing"):
            assessed(facts, override=given)
    assert "arbitration" not in ways_of_dispute(facts)


def test_a_route_is_not_needed_while_no_limit_can_be_reached() -> None:
    shipment = {**LATE, "route": None, "base_freight": "9.00"}
    assert str(assessed(claim("delay", {**shipment, "delivered_at": "2026-03-05T18:00:00+08:00"})).total) == "9.00"
    undelivered = claim("delay", {**shipment, "delivered_at": None})
    assert str(assessed(undelivered, "03-05 17:59:59").total) == "9.00"
    with pytest.raises(Refused, match=r"facts\.shipment\.route is missing"):
        assessed(undelivered, "03-05 18:00:00")
    agreed = claim("delay", {**shipment, "delivered_at": None, "agreed_compensation": "5.00"})
    assert str(assessed(agreed, "03-05 18:00:00").total) == "5.00"


# --- discretion -----------------------------------------------------------------------------------


def by(role: str, amount: str = "60.00", reason: str = "a loyal customer") -> Override:
    return Override(Decimal(amount), reason, role)


PACKED = claim(
    "damage", {"base_freight": "22.00", "weight_kg": "0.3", "packed_by": "customer"}, cause="packing", loss=TOTAL
)


@pytest.mark.parametrize("role", ["supervisor", "qa_manager", "general_manager"])
def test_discretion_shows_as_such(role: str) -> None:
    result = assessed(PACKED, override=by(role))
    assert result.eligible
    assert (lines(result), result.lines[0].clause) == ({"discretion": "60.00"}, "S0-2.3.3")
    data = result.as_json()
    assert (data["total"], data["refused_because"], data["refusal"]) == ("60.00", None, None)
    assert data["overridden"] == {
        "role": role,
        "reason": "a loyal customer",
        "was_total": "0.00",
        "was_refused_because": "packing",
    }


def test_discretion_goes_beyond_the_formula() -> None:
    facts = claim("loss", {"base_freight": "30.00", "weight_kg": "0.5"})
    result = assessed(facts, override=by("supervisor", "80.00"))
    assert (str(result.total), result.lines[0].clause) == ("80.00", "S0-2.3.4")
    assert result.as_json()["overridden"]["was_total"] == "80.00"
    with pytest.raises(Refused) as caught:
        assessed(facts, override=by("supervisor", "79.99"))
    assert (caught.value.code, caught.value.clause) == ("below_formula", "S0-2.3.4")
    assert "79.99" in caught.value.message
    assert "80.00" in caught.value.message


def test_discretion_stands_in_for_a_formula_that_lacks_facts() -> None:
    result = assessed(claim("loss"), override=by("supervisor"))
    assert lines(result) == {"discretion": "60.00"}
    assert notes(result) == {"facts_missing"}
    assert result.as_json()["overridden"]["was_total"] is None


def test_a_person_with_discretion_settles_a_refusal_on_a_signature() -> None:
    signed = {"signed_at": "2026-03-20T09:50:00+08:00", "courier_present": False}
    facts = claim("damage", signed, loss=TOTAL)
    assert assessed(facts).needs_person
    result = assessed(facts, override=by("supervisor"))
    assert (result.needs_person, result.lines[0].clause) == (False, "S0-2.3.3")


@pytest.mark.parametrize("role", ["agent", "customer", "system", "nobody"])
def test_discretion_is_for_supervisors_and_above(role: str) -> None:
    with pytest.raises(Refused) as caught:
        assessed(PACKED, override=by(role))
    assert (caught.value.code, caught.value.clause) == ("role", "S0-2.3.4")
    assert f"by.role = {role!r}" in caught.value.message
    assert "supervisor, qa_manager, general_manager" in caught.value.message


def test_the_policy_says_from_which_rung_discretion_starts() -> None:
    policy = policy_with(('discretion_from = "supervisor"', 'discretion_from = "qa_manager"'))
    with pytest.raises(Refused, match="allowed: qa_manager, general_manager"):
        assessed(PACKED, policy=policy, override=by("supervisor"))
    assert assessed(PACKED, policy=policy, override=by("qa_manager")).eligible


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "1.001"])
def test_discretion_gives_whole_fen_and_more_than_nothing(amount: str) -> None:
    with pytest.raises(Refused, match=f"override.amount = {amount}"):
        assessed(PACKED, override=by("supervisor", amount))


def test_discretion_needs_a_reason() -> None:
    with pytest.raises(Refused, match=r"override\.reason is empty"):
        assessed(PACKED, override=by("supervisor", reason=" "))


@pytest.mark.parametrize(
    ("facts", "clause"),
    [
        (claim("delay", LATE, claimant={"relation": "recipient"}), "S0-A.1"),
        (claim("damage", {"posted_on": "2025-03-01"}), "S0-A.2.X c"),
        # Nor do missing facts of the formula hide it.
        (claim("loss", {"posted_on": "2025-03-01"}), "S0-A.2.X c"),
    ],
)
def test_who_may_claim_and_until_when_is_no_matter_of_discretion(facts: ClaimFacts, clause: str) -> None:
    with pytest.raises(Refused) as caught:
        assessed(facts, override=by("general_manager"))
    assert (caught.value.code, caught.value.clause) == ("no_discretion", clause)


# --- bad input ------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "factor": "delay",
    "claimant": {"relation": "sender"},
    "shipment": {"waybill": "W1", "posted_on": "2026-03-02"},
}


def intake(**facts: Any) -> dict[str, Any]:
    return {"key": "CL-1", "facts": {**GOOD, **facts}}


def parcel(**fields: Any) -> dict[str, Any]:
    return {"shipment": {**GOOD["shipment"], **fields}}


@pytest.mark.parametrize(
    ("facts", "parts"),
    [
        (parcel(weight_kg="-1"), ["facts.shipment.weight_kg = '-1'", "no sign"]),
        (parcel(weight_kg="0"), ["facts.shipment.weight_kg = '0'", "greater than 0"]),
        (parcel(base_freight="-0.01"), ["facts.shipment.base_freight = '-0.01'", "no sign"]),
        (parcel(base_freight="18.001"), ["facts.shipment.base_freight = '18.001'", "at most two decimals"]),
        (parcel(base_freight=18.5), ["facts.shipment.base_freight = 18.5", "'18.00'"]),
        (parcel(insured_amount="0"), ["facts.shipment.insured_amount = '0'", "greater than 0"]),
        (parcel(insured_amount="NaN"), ["facts.shipment.insured_amount = 'NaN'"]),
        (parcel(route="moon"), ["facts.shipment.route = 'moon'", "same_city", "international"]),
        (parcel(posted_on="yesterday"), ["facts.shipment.posted_on = 'yesterday'"]),
        (parcel(delivered_at="2026-03-03T10:00:00"), ["facts.shipment.delivered_at", "timezone"]),
        (
            parcel(delivered_at="2026-03-01T10:00:00+08:00"),
            ["facts.shipment.delivered_at = '2026-03-01T10:00:00+08:00'", "before posted_on = 2026-03-02"],
        ),
        (parcel(promised_at="2026-02-01T10:00:00+08:00"), ["facts.shipment.promised_at", "before posted_on"]),
        (parcel(signed_at="2026-02-01T10:00:00+08:00"), ["facts.shipment.signed_at", "before posted_on"]),
        ({"demand": "everything"}, ["facts.demand = 'everything'", "decimal"]),
        ({"demand": "-5.00"}, ["facts.demand = '-5.00'", "no sign"]),
        ({"factor": "theft"}, ["facts.factor = 'theft'", "'mismatch'"]),
        ({"cause": "bad luck"}, ["facts.cause = (text)", "'packing'"]),
        ({"claimant": {"relation": "uncle"}}, ["facts.claimant.relation = 'uncle'", "'beneficiary'"]),
        ({"claimant": None}, ["facts.claimant"]),
        (
            {"loss": {"total_value": "100.00", "lost_value": "100.01"}},
            ["facts.loss", "lost_value = 100.01 is more than total_value = 100.00"],
        ),
        ({"loss": {"total_value": "0"}}, ["facts.loss.total_value = '0'", "greater than 0"]),
        ({"loss": {"declared_quantity": 0}}, ["facts.loss.declared_quantity = 0", "greater than 0"]),
        ({"loss": {"found_quantity": -1}}, ["facts.loss.found_quantity = -1", "greater than or equal to 0"]),
        ({"loss": {"found_weight_kg": "-1"}}, ["facts.loss.found_weight_kg = '-1'"]),
        ({"loss": {"ratio": "1.5"}}, ["facts.loss.ratio is not a known field"]),
    ],
)
def test_a_bad_claim_form_is_refused_with_its_field(facts: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(Refused) as caught:
        read_intake(ClaimIntake, intake(**facts))
    assert caught.value.code == "invalid"
    for part in parts:
        assert part in caught.value.message


def test_a_claim_names_factor_and_claimant() -> None:
    with pytest.raises(Refused) as caught:
        read_intake(ClaimIntake, {"key": "CL-1", "facts": {}})
    assert "facts.factor is missing" in caught.value.message
    assert "facts.claimant is missing" in caught.value.message


def test_complaints_and_inquiries_check_their_parcel_too() -> None:
    wrong = parcel(delivered_at="2026-03-01T10:00:00+08:00")
    for model, facts in ((ComplaintIntake, {"category": "delay", **wrong}), (InquiryIntake, wrong)):
        with pytest.raises(Refused, match=r"facts\.shipment\.delivered_at"):
            read_intake(model, {"key": "C-1", "facts": facts})


@pytest.mark.parametrize(
    ("facts", "parts"),
    [
        (parcel(posted_on="2026-03-21"), ["facts.shipment.posted_on = 2026-03-21", "after the receipt 2026-03-20"]),
        # The day before in Shanghai, though the same day further east.
        (
            parcel(delivered_at="2026-03-01T23:59:59+08:00"),
            ["facts.shipment.delivered_at = 2026-03-01T23:59:59+08:00", "before posted_on = 2026-03-02"],
        ),
        (parcel(promised_at="2026-03-01T15:59:59Z"), ["facts.shipment.promised_at", "before posted_on = 2026-03-02"]),
        (parcel(signed_at="2026-03-01T15:59:59Z"), ["facts.shipment.signed_at", "before posted_on = 2026-03-02"]),
        ({"inquiry_recorded_on": "2026-03-01"}, ["facts.inquiry_recorded_on = 2026-03-01", "posted_on = 2026-03-02"]),
    ],
)
def test_days_that_contradict_each_other_are_refused(facts: dict[str, Any], parts: list[str]) -> None:
    known = read_intake(ClaimIntake, intake(**facts)).facts
    assert isinstance(known, ClaimFacts)
    for check in (lambda: admit(known, default_policy(), at("03-20 10:00:00")), lambda: assessed(known)):
        with pytest.raises(Refused) as caught:
            check()
        assert caught.value.code == "invalid"
        for part in parts:
            assert part in caught.value.message


def test_the_first_moment_of_the_posting_day_is_fine_in_the_policys_zone() -> None:
    known = read_intake(ClaimIntake, intake(**parcel(delivered_at="2026-03-01T16:00:00Z"))).facts
    assert isinstance(known, ClaimFacts)
    admit(known, default_policy(), at("03-02 00:00:00"))
    admit(ClaimFacts.model_validate({**GOOD, "shipment": None}), default_policy(), at("03-20 10:00:00"))


def test_a_posting_day_of_long_ago_is_out_of_period_and_no_error() -> None:
    facts = claim("delay", {**LATE, "posted_on": "0001-01-01"})
    assert refused(assessed(facts)) == ("full_year", "S0-A.2.X c")


# --- the policy -----------------------------------------------------------------------------------


def test_the_default_terms() -> None:
    rule = default_policy().compensation
    assert (rule.claim_years, rule.fee_multiple, str(rule.yuan_per_kg)) == (1, 5, "100.00")
    assert rule.complete_delay_days == {"same_city": 3, "domestic": 7}
    assert rule.proposal_days == {"same_city": 30, "domestic": 30, "hk_mo_tw": 30, "international": 60}
    assert (rule.cap_at_proven_loss, rule.partial_refunds_fee, rule.inquiry_preserves_claim) == (False, True, True)
    assert rule.discretion_from == "supervisor"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("claim_years = 1 ", "claim_years = 0 ", ["compensation.claim_years = 0", "greater than 0"]),
        ("fee_multiple = 5", "fee_multiple = -5", ["compensation.fee_multiple = -5", "greater than 0"]),
        ('yuan_per_kg = "100.00"', "yuan_per_kg = 100.0", ["compensation.yuan_per_kg = 100.0", "'18.00'"]),
        ("domestic = 7 ", "domestic = 0 ", ["compensation.complete_delay_days.domestic = 0", "greater than 0"]),
        ("same_city = 3 ", "moon = 3 ", ["compensation.complete_delay_days.moon", "'same_city'"]),
        ("hk_mo_tw = 30\n", "", ["compensation.proposal_days", "hk_mo_tw is missing"]),
        ("cap_at_proven_loss = false", 'cap_at_proven_loss = "maybe"', ["compensation.cap_at_proven_loss = 'maybe'"]),
        ('discretion_from = "supervisor"', 'discretion_from = "finance"', ["compensation.discretion_from", "rung"]),
    ],
)
def test_wrong_terms_are_refused_with_their_key(old: str, new: str, parts: list[str]) -> None:
    with pytest.raises(Refused) as caught:
        policy_with((old, new))
    assert caught.value.code == "bad_policy"
    for part in parts:
        assert part in caught.value.message
