"""What holds for every claim: sums, rounding, ratios, and that no order or zone of the facts matters."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cases.compensation import Assessment, assess
from cases.kinds.claim_facts import ClaimFacts
from cases.vocabulary.refusals import Refused
from tests.core.support import default_policy, policy_with

SHANGHAI = timezone(timedelta(hours=8))
POSTED = date(2025, 3, 10)
START = datetime(2025, 3, 10, tzinfo=SHANGHAI)
POLICIES = {
    "default": default_policy(),
    "fee kept": policy_with(("partial_refunds_fee = true", "partial_refunds_fee = false")),
    "capped": policy_with(("cap_at_proven_loss = false", "cap_at_proven_loss = true")),
    "not preserved": policy_with(("inquiry_preserves_claim = true", "inquiry_preserves_claim = false")),
}


def amounts(lowest: int = 0, highest: int = 10_000_000, places: int = 2) -> st.SearchStrategy[Decimal]:
    return st.integers(lowest, highest).map(lambda units: Decimal(units).scaleb(-places))


yuan = amounts().map(str)
positive = amounts(1).map(str)
weight = amounts(1, 1_000_000, places=3).map(str)
maybe_bool = st.sampled_from([None, True, False])
moments = st.builds(
    lambda day, second: START + timedelta(days=day, seconds=second),
    st.sampled_from([*range(0, 60, 3), *range(360, 372), 400]),
    st.integers(0, 24 * 3600 - 1),
)


CAUSES = [None, "company", "company", "company", "customer", "nature_of_goods", "force_majeure", "packing", "packing"]
# What was lost, of what.
shares = st.tuples(amounts(1), amounts(1)).map(lambda pair: (min(pair), max(pair)))
policies = st.sampled_from(sorted(POLICIES))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    # Mostly there, so that most claims get as far as a formula.
    return st.sampled_from([True, True, True, False]).flatmap(lambda known: strategy if known else st.none())


# Made once, since to make a strategy takes longer than to draw from it.
LOSSES = st.builds(
    lambda share, **rest: {"total_value": str(share[1]), "lost_value": str(share[0]), **rest},
    shares,
    name_differs=maybe_bool,
    declared_quantity=st.integers(1, 100),
    found_quantity=st.integers(0, 120),
    declared_weight_kg=weight,
    found_weight_kg=weight,
)
SHIPMENTS = st.fixed_dictionaries(
    {
        "waybill": st.just("W1"),
        "posted_on": st.just(str(POSTED)),
        "promised_at": maybe(moments.map(datetime.isoformat)),
        "delivered_at": maybe(moments.map(datetime.isoformat)),
        "route": st.sampled_from([None, "same_city", "domestic", "hk_mo_tw", "international"]),
        "base_freight": maybe(yuan),
        "surcharges": maybe(yuan),
        "weight_kg": maybe(weight),
        "insured_amount": maybe(positive),
        "packed_by": st.sampled_from([None, "customer", "courier"]),
        "signed_at": maybe(moments.map(datetime.isoformat)),
        "courier_present": maybe_bool,
        "out_of_zone_notice": st.sampled_from([None, None, False, True]),
        "agreed_compensation": st.sampled_from([None, None, None, "0.00", "77.00"]),
    }
)
# The raw facts of a claim, often incomplete, as they travel: plain JSON.
CLAIMS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "factor": st.sampled_from(["delay", "loss", "damage", "mismatch"]),
        "claimant": st.fixed_dictionaries(
            {
                "relation": st.sampled_from(["sender", "sender", "sender", "beneficiary", "recipient"]),
                "designated": maybe_bool,
            }
        ),
        "cause": st.sampled_from(CAUSES),
        "demand": maybe(yuan),
        "inquiry_recorded_on": maybe(st.dates(POSTED, date(2026, 8, 1)).map(str)),
        "inspection_offered": maybe_bool,
        "loss": maybe(LOSSES),
        "shipment": SHIPMENTS,
    }
)


Times = tuple[datetime, datetime]
times: st.SearchStrategy[Times] = st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair)))


def decide(
    raw: dict[str, Any], filed: datetime, now: datetime, policy: str = "default"
) -> Assessment | tuple[str, str]:
    try:
        return assess(ClaimFacts.model_validate(raw), POLICIES[policy], filed_at=filed, at=now)
    except Refused as refused:
        return refused.code, refused.message


@given(CLAIMS, times, policies)
@settings(max_examples=300, deadline=None)
def test_an_assessment_adds_up_and_gives_its_reasons(raw: dict[str, Any], when: Times, policy: str) -> None:
    result = decide(raw, *when, policy)
    if not isinstance(result, Assessment):
        code, message = result
        # Nothing but a fact that is missing stops an assessment of well-formed facts.
        assert code == "facts_missing"
        assert message.startswith("facts.")
        return
    assert result.total == sum((line.amount for line in result.lines), Decimal(0))
    for line in result.lines:
        assert line.amount >= 0
        assert line.amount.as_tuple().exponent == -2
        assert line.clause.startswith("S0-A.3")
        assert line.formula.endswith(str(line.amount))
        assert all(value in line.formula for name, value in line.inputs.items() if name != "fee_multiple")
    assert result.eligible is (result.refused_because is None)
    if result.refused_because is not None:
        assert result.refused_because.clause.startswith("S0-")
        assert result.refused_because.text
        assert (result.lines, str(result.total)) == ((), "0.00")
    assert all(note.clause for note in result.notes)
    assert json.loads(json.dumps(result.as_json())) == result.as_json()


def turned(value: Any) -> Any:
    """The same JSON with every object written in the opposite order."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(list(value))}
    return value


@given(CLAIMS, times)
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_facts_does_not_matter(raw: dict[str, Any], when: Times) -> None:
    assert decide(turned(raw), *when) == decide(raw, *when)


@given(CLAIMS, times, st.integers(-12, 14))
@settings(max_examples=100, deadline=None)
def test_the_offset_in_which_an_instant_is_written_does_not_matter(
    raw: dict[str, Any], when: Times, hours: int
) -> None:
    zone = timezone(timedelta(hours=hours))
    shipment = dict(raw["shipment"])
    for name in ("promised_at", "delivered_at", "signed_at"):
        if shipment[name] is not None:
            shipment[name] = datetime.fromisoformat(shipment[name]).astimezone(zone).isoformat()
    elsewhere = decide({**raw, "shipment": shipment}, when[0].astimezone(zone), when[1].astimezone(zone))
    assert elsewhere == decide(raw, *when)


def hurt(freight: str, kilograms: str, insured: str | None, lost: Decimal, whole: Decimal) -> dict[str, Any]:
    """A claim for damage that nothing exempts."""
    return {
        "factor": "damage",
        "claimant": {"relation": "sender"},
        "cause": "company",
        "loss": {"total_value": str(whole), "lost_value": str(lost)},
        "shipment": {
            "waybill": "W1",
            "posted_on": str(POSTED),
            "base_freight": freight,
            "weight_kg": kilograms,
            "insured_amount": insured,
        },
    }


def paid(raw: dict[str, Any], policy: str = "default", **shipment: Any) -> Assessment:
    facts = ClaimFacts.model_validate({**raw, "shipment": {**raw["shipment"], **shipment}})
    return assess(facts, POLICIES[policy], filed_at=START, at=START)


@given(yuan, weight, maybe(positive), shares)
@settings(max_examples=300, deadline=None)
def test_each_line_is_rounded_half_up_and_only_once(
    freight: str, kilograms: str, insured: str | None, share: tuple[Decimal, Decimal]
) -> None:
    lost, whole = share
    result = paid(hurt(freight, kilograms, insured, lost, whole))
    with localcontext() as context:
        context.prec = 80
        full = min(5 * Decimal(freight), 100 * Decimal(kilograms)) if insured is None else Decimal(insured)
        expected = [
            (amount * lost / whole).quantize(Decimal("0.01"), ROUND_HALF_UP) for amount in (Decimal(freight), full)
        ]
    assert [line.amount for line in result.lines] == expected


@given(yuan, weight, maybe(positive), positive, policies)
@settings(max_examples=100, deadline=None)
def test_ratio_0_pays_nothing_and_ratio_1_what_a_total_loss_pays(
    freight: str, kilograms: str, insured: str | None, value: str, policy: str
) -> None:
    whole = Decimal(value)
    assert str(paid(hurt(freight, kilograms, insured, Decimal("0.00"), whole), policy).total) == "0.00"
    total = hurt(freight, kilograms, insured, whole, whole)
    assert paid(total, policy).lines == paid({**total, "factor": "loss"}, policy).lines


@given(yuan, weight, positive, positive, shares, policies)
@settings(max_examples=100, deadline=None)
def test_more_insured_amount_never_pays_less(
    freight: str, kilograms: str, one: str, other: str, share: tuple[Decimal, Decimal], policy: str
) -> None:
    less, more = sorted((one, other), key=Decimal)
    raw = hurt(freight, kilograms, less, *share)
    for claim in (raw, {**raw, "factor": "loss"}):
        assert paid(claim, policy, insured_amount=more).total >= paid(claim, policy).total


@given(CLAIMS, times, positive, positive)
@settings(max_examples=100, deadline=None)
def test_more_insured_amount_never_pays_less_in_any_claim(
    raw: dict[str, Any], when: Times, one: str, other: str
) -> None:
    less, more = (
        decide({**raw, "shipment": {**raw["shipment"], "insured_amount": amount}}, *when)
        for amount in sorted((one, other), key=Decimal)
    )
    if isinstance(less, Assessment) and isinstance(more, Assessment):
        assert more.total >= less.total
    else:
        assert more == less


@given(yuan, weight, maybe(positive), shares, shares, policies)
@settings(max_examples=100, deadline=None)
def test_more_lost_never_pays_less(
    freight: str,
    kilograms: str,
    insured: str | None,
    share: tuple[Decimal, Decimal],
    other: tuple[Decimal, Decimal],
    policy: str,
) -> None:
    lost, whole = share
    more = min(lost + other[0], whole)
    before = paid(hurt(freight, kilograms, insured, lost, whole), policy)
    assert paid(hurt(freight, kilograms, insured, more, whole), policy).total >= before.total


@given(CLAIMS, times, moments)
@settings(max_examples=100, deadline=None)
def test_waiting_for_an_undelivered_parcel_never_pays_less(raw: dict[str, Any], when: Times, later: datetime) -> None:
    filed, now = when
    assume(later >= now)
    waiting = {**raw, "factor": "delay", "loss": None, "shipment": {**raw["shipment"], "delivered_at": None}}
    first, second = (decide(waiting, filed, moment) for moment in (now, later))
    if isinstance(first, Assessment) and isinstance(second, Assessment):
        assert second.total >= first.total
