"""The letter to a claimant, in Chinese and English: amounts, clauses, refusals, ways of dispute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, get_args

import pytest

from activities.notify.letters import letter
from activities.notify.translations import LANGUAGES
from cases.compensation import Assessment, LineName, Override, RefusalCode, assess
from cases.kinds.claim_facts import ClaimFacts
from tests.core.support import at, default_policy, policy_with

ON = date(2026, 3, 20)
PARCEL = {"waybill": "SF-77", "posted_on": "2026-03-01", "base_freight": "23.50", "weight_kg": "2.35"}
LATE = {"promised_at": "2026-03-02T18:00:00+08:00", "delivered_at": "2026-03-03T18:00:00+08:00", "route": "domestic"}
THIRD = {"total_value": "300.00", "lost_value": "100.00"}
CAPPED = ("cap_at_proven_loss = false", "cap_at_proven_loss = true")
KEPT = ("inquiry_preserves_claim = true", "inquiry_preserves_claim = false")

Written = tuple[ClaimFacts, Assessment]


def written(
    factor: str, *changes: tuple[str, str], override: Override | None = None, shipment: Any = None, **facts: Any
) -> Written:
    known = ClaimFacts.model_validate(
        {
            "factor": factor,
            "claimant": {"relation": "sender"},
            "cause": "company",
            **facts,
            "shipment": {**PARCEL, **(shipment or {})},
        }
    )
    policy = policy_with(*changes) if changes else default_policy()
    moment = at("03-20 10:00:00")
    return known, assess(known, policy, filed_at=moment, at=moment, override=override)


def told(case: Written, language: str) -> str:
    facts, assessment = case
    text = letter(assessment, facts, language, number="CL-2026-03-0007", on=ON)
    # The event that the ledger holds tells the same.
    assert letter(assessment.as_json(), facts, language, number="CL-2026-03-0007", on=ON) == text
    return text


def paid() -> Iterator[Written]:
    """Claims that between them hold every kind of line."""
    yield written("damage", loss=THIRD)
    yield written("mismatch", shipment={"insured_amount": "900.00"}, loss={"declared_quantity": 4, "found_quantity": 3})
    yield written("mismatch", loss={"declared_weight_kg": "10", "found_weight_kg": "8.5"})
    yield written("loss", CAPPED, loss=THIRD)
    yield written("delay", shipment=LATE)
    yield written("damage", shipment={"agreed_compensation": "33.00"})
    yield written("loss", override=Override(Decimal("999.00"), "he is Zhang San", "qa_manager"))


def refusals() -> Iterator[Written]:
    """A claim for every refusal there is."""
    old = {"posted_on": "2025-03-01"}
    yield written("delay", claimant={"relation": "recipient"})
    yield written("damage", shipment=old)
    yield written("damage", KEPT, shipment=old, inquiry_recorded_on="2025-06-01")
    yield written("delay", shipment={"promised_at": "2026-03-25T18:00:00+08:00"})
    yield written("delay", shipment={**LATE, "delivered_at": "2026-03-02T17:00:00+08:00"})
    for cause in ("customer", "nature_of_goods", "force_majeure"):
        yield written("damage", cause=cause)
    yield written("delay", shipment={**LATE, "out_of_zone_notice": True})
    yield written("damage", cause="packing", shipment={"packed_by": "customer"})
    yield written("damage", shipment={"signed_at": "2026-03-03T18:00:00+08:00", "courier_present": False})
    yield written("damage", loss={"total_value": "300.00", "lost_value": "0.00"})


def test_a_letter_in_english() -> None:
    text = told(written("damage", loss=THIRD, shipment={"arbitration_agreed": True}), "en")
    assert (
        text
        == """\
Your claim: what we pay

Case:    CL-2026-03-0007
Waybill: SF-77
Posted:  2026-03-01
Claimed: damage
Date:    2026-03-20

Dear customer,

We have assessed your claim as damage. The compensation is:

1. Service fee waived (without insurance and other surcharges): base freight 23.50 yuan, \
times the part lost, 100.00 / 300.00 by value = 7.83 yuan (rule S0-A.3.3)
2. Uninsured parcel, the lowest of: 5 x base freight 23.50 yuan; 100.00 yuan/kg x 2.35 kg, \
times the part lost, 100.00 / 300.00 by value = 39.17 yuan (rule S0-A.3.3)

Total: 47.00 yuan

Once we agree on the amount, it is paid to the sender or the sender's designated beneficiary \
within the time set for it (S0-A.5.4).

If you do not agree whether, how much or how it is paid, these ways are open to you (S0-A.5.5):
1. negotiation with us, which comes first
2. a complaint to us
3. an appeal to the postal authority (12305)
4. arbitration at the place and institution agreed at posting
5. a lawsuit at the people's court
"""
    )


def test_a_refusal_in_chinese() -> None:
    signed = {"signed_at": "2026-03-03T18:00:00+08:00", "courier_present": False}
    text = told(written("damage", shipment=signed, inspection_offered=False), "zh")
    assert (
        text
        == """\
不予赔偿通知书

案件编号：CL-2026-03-0007
运单号：SF-77
交寄日期：2026-03-01
申告事项：快件损毁
日期：2026-03-20

尊敬的客户：

您的索赔申告经审核不予赔偿，赔偿金额为 0.00 元。

理由：快件已经签收且业务员已离开（依据 S0-2.3.3）。
签收前是否提供当面验视：未提供。

如对是否赔偿、赔偿金额或赔金支付有异议，可按下列途径解决（S0-A.5.5）：
1. 与本公司协商（首先进行）
2. 向本公司投诉
3. 向邮政管理部门申诉（12305）
4. 向人民法院提起诉讼
"""
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_line_is_told_with_amount_and_clause(language: str) -> None:
    seen = set()
    for case in paid():
        text = told(case, language)
        said = {"zh": "合计：{} 元", "en": "Total: {} yuan"}[language]
        assert said.format(case[1].total) in text
        for line in case[1].lines:
            seen.add(line.name)
            assert f"{line.amount}" in text
            assert line.clause in text
            # Every number that went in, but for the role and the measure, which are words.
            assert all(value in text for name, value in line.inputs.items() if name not in ("role", "measure"))
        # Why discretion was used is nobody else's business.
        assert "Zhang San" not in text
    assert seen == set(get_args(LineName))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_has_its_own_words_and_clause(language: str) -> None:
    reasons = {}
    for case in refusals():
        refusal = case[1].refused_because
        assert refusal is not None
        text = told(case, language)
        [reason] = [line for line in text.splitlines() if line.startswith(("Reason:", "理由："))]
        assert refusal.clause in reason
        assert "0.00" in text
        reasons[refusal.code] = reason
    assert set(reasons) == set(get_args(RefusalCode))
    assert len(set(reasons.values())) == len(reasons)


def test_a_claim_that_came_too_early_is_told_when_to_come_again() -> None:
    case = written("delay", shipment={"promised_at": "2026-03-25T10:00:00Z"})
    assert "please file it again after Wed 25 Mar 2026, 18:00" in told(case, "en")
    assert "请于 2026年3月25日（周三）18:00 之后再次提出" in told(case, "zh")


@pytest.mark.parametrize("offered", [None, True, False])
def test_a_refusal_on_a_signature_says_whether_inspection_was_offered(offered: bool | None) -> None:
    signed = {"signed_at": "2026-03-03T18:00:00+08:00", "courier_present": False}
    text = told(written("damage", shipment=signed, inspection_offered=offered), "en")
    words = {None: "not recorded", True: "offered", False: "not offered"}
    assert f"Inspection before signing: {words[offered]}.\n" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("agreed", [True, False])
def test_arbitration_is_named_only_if_agreed_at_posting(language: str, agreed: bool) -> None:
    text = told(written("delay", shipment={**LATE, "arbitration_agreed": agreed}), language)
    assert (("arbitration" in text) or ("仲裁" in text)) is agreed


def test_no_name_of_the_customer_is_in_a_letter() -> None:
    person = {"name": "Li Si", "phone": "13800000000", "email": "li@example.org"}
    case = written("delay", shipment=LATE, customer=person, description="call Li Si")
    for language in LANGUAGES:
        assert not any(value in told(case, language) for value in person.values())


def test_another_language_and_a_missing_parcel_are_refused() -> None:
    facts, assessment = written("delay", shipment=LATE)
    with pytest.raises(ValueError, match="language = 'fr': allowed: zh, en"):
        letter(assessment, facts, "fr", number="CL-1", on=ON)
    with pytest.raises(ValueError, match=r"facts\.shipment is missing"):
        letter(assessment, facts.model_copy(update={"shipment": None}), "en", number="CL-1", on=ON)


def test_a_template_that_does_not_know_a_word_fails() -> None:
    facts, assessment = written("delay", shipment=LATE)
    # A factor that no template names must not slip through as an empty word.
    with pytest.raises(Exception, match="theft"):
        letter(replace(assessment, factor_applied="theft"), facts, "en", number="CL-1", on=ON)
