"""Who gets what, over every combination, against a table written by hand from the rulebook.

The table knows nothing of the code: its rows are read from the top, and the first one that fits
decides. The order is that of T4, the clauses are those of S0-A and S0-2.3.3.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from cases.compensation import assess
from cases.kinds.claim_facts import ClaimFacts
from tests.core.support import at, default_policy

# The parcel: posted 2025-03-10, promised 2026-03-08 18:00, assessed long after every limit.
# Freight 10.00, 0.3 kg: uninsured 30.00, the lower of 5 x 10.00 and 100.00 x 0.3.
CLAIMANTS: dict[str, dict[str, Any]] = {
    "sender": {"relation": "sender"},
    "named beneficiary": {"relation": "beneficiary", "designated": True},
    "beneficiary not named": {"relation": "beneficiary", "designated": False},
    "recipient": {"relation": "recipient"},
    "named recipient": {"relation": "recipient", "designated": True},
}
FACTORS: dict[str, dict[str, Any]] = {
    "delay": {"factor": "delay"},
    "delay, a fifth spoiled": {"factor": "delay", "loss": {"total_value": "200.00", "lost_value": "40.00"}},
    "loss": {"factor": "loss"},
    "damage of half": {"factor": "damage", "loss": {"total_value": "90.00", "lost_value": "45.00"}},
    "total damage": {"factor": "damage", "loss": {"total_value": "90.00", "lost_value": "90.00"}},
    "wrong goods": {"factor": "mismatch", "loss": {"name_differs": True}},
    "one of four short": {"factor": "mismatch", "loss": {"declared_quantity": 4, "found_quantity": 3}},
    "one too many": {"factor": "mismatch", "loss": {"declared_quantity": 4, "found_quantity": 5}},
}
CAUSES = {
    "unknown": (None, None),
    "company": ("company", None),
    "customer": ("customer", None),
    "nature": ("nature_of_goods", None),
    "force majeure": ("force_majeure", None),
    "packed by customer": ("packing", "customer"),
    "packed by courier": ("packing", "courier"),
}
INSURED = {"insured": "600.00", "uninsured": None}
PERIODS = {
    "before the promised time": ("2026-03-08 18:00:00", None),
    "last day": ("2026-03-10 23:59:59", None),
    "a day late": ("2026-03-11 00:00:00", None),
    "a day late, inquired before": ("2026-03-11 00:00:00", "2026-03-10"),
    "a day late, inquired too late": ("2026-03-12 00:00:00", "2026-03-11"),
}
AGREEMENTS = {"agreed": "77.00", "nothing agreed": None}
SIGNED = {"not signed": (None, None), "courier gone": (True, False), "courier there": (True, True)}
ZONES = {"told out of zone": True, "in zone": None}

ARRIVES = {"delay", "delay, a fifth spoiled"}
WAITS = {"delay", "delay, a fifth spoiled", "loss"}
HURT = {"damage of half", "total damage", "wrong goods", "one of four short", "one too many"}

Row = tuple[dict[str, set[str]], tuple[str, str] | str]
# What must hold, and the outcome: a refusal with its clause, or an amount.
TABLE: list[Row] = [
    ({"claimant": {"beneficiary not named", "recipient"}}, ("claimant", "S0-A.1")),
    ({"period": {"a day late", "a day late, inquired too late"}}, ("full_year", "S0-A.2.X c")),
    # Who was told out of zone was promised no time that would have to pass first.
    (
        {"period": {"before the promised time"}, "factor": WAITS, "zone": {"in zone"}},
        ("too_early", "S0-A.5.1"),
    ),
    ({"agreement": {"agreed"}}, "77.00"),
    ({"cause": {"customer"}}, ("exempt_customer", "S0-A.2.X a")),
    ({"cause": {"nature"}}, ("exempt_nature", "S0-A.2.X a")),
    ({"cause": {"force majeure"}, "insured": {"uninsured"}}, ("force_majeure", "S0-A.2.X b")),
    ({"zone": {"told out of zone"}, "factor": ARRIVES}, ("told_out_of_zone", "S0-2.1.2(2)")),
    (
        {"cause": {"packed by customer"}, "factor": HURT, "insured": {"uninsured"}},
        ("packing", "S0-2.3.3"),
    ),
    ({"signed": {"courier gone"}, "factor": HURT, "insured": {"uninsured"}}, ("signed_and_left", "S0-2.3.3")),
    ({"factor": {"one too many"}}, ("nothing_lost", "S0-A.3.4")),
    ({"factor": {"delay"}}, "10.00"),
    ({"factor": {"delay, a fifth spoiled"}, "insured": {"insured"}}, "122.00"),
    ({"factor": {"delay, a fifth spoiled"}, "insured": {"uninsured"}}, "8.00"),
    ({"factor": {"loss", "total damage", "wrong goods"}, "insured": {"insured"}}, "610.00"),
    ({"factor": {"loss", "total damage", "wrong goods"}, "insured": {"uninsured"}}, "40.00"),
    ({"factor": {"damage of half"}, "insured": {"insured"}}, "305.00"),
    ({"factor": {"damage of half"}, "insured": {"uninsured"}}, "20.00"),
    ({"factor": {"one of four short"}, "insured": {"insured"}}, "152.50"),
    ({"factor": {"one of four short"}, "insured": {"uninsured"}}, "10.00"),
]

DIMENSIONS: dict[str, dict[str, Any]] = {
    "claimant": CLAIMANTS,
    "factor": FACTORS,
    "cause": CAUSES,
    "insured": INSURED,
    "period": PERIODS,
    "agreement": AGREEMENTS,
    "signed": SIGNED,
    "zone": ZONES,
}


def facts_of(row: dict[str, str]) -> ClaimFacts:
    cause, packed_by = CAUSES[row["cause"]]
    signed, present = SIGNED[row["signed"]]
    _, inquired = PERIODS[row["period"]]
    shipment = {
        "waybill": "W1",
        "posted_on": "2025-03-10",
        "promised_at": "2026-03-08T18:00:00+08:00",
        "delivered_at": "2026-03-09T10:00:00+08:00" if row["factor"] in ARRIVES else None,
        "route": "domestic",
        "base_freight": "10.00",
        "surcharges": "3.00",
        "weight_kg": "0.3",
        "insured_amount": INSURED[row["insured"]],
        "packed_by": packed_by,
        "signed_at": "2026-03-09T10:00:00+08:00" if signed else None,
        "courier_present": present,
        "out_of_zone_notice": ZONES[row["zone"]],
        "agreed_compensation": AGREEMENTS[row["agreement"]],
    }
    return ClaimFacts.model_validate(
        {
            **FACTORS[row["factor"]],
            "claimant": CLAIMANTS[row["claimant"]],
            "cause": cause,
            "inquiry_recorded_on": inquired,
            "shipment": shipment,
        }
    )


def test_every_combination_is_decided_as_the_table_says() -> None:
    policy, now = default_policy(), at("2026-03-31 09:00:00")
    used = [0] * len(TABLE)
    wrong = []
    for values in product(*DIMENSIONS.values()):
        row = dict(zip(DIMENSIONS, values, strict=True))
        number = next(n for n, (when, _) in enumerate(TABLE) if all(row[name] in those for name, those in when.items()))
        used[number] += 1
        expected = TABLE[number][1]
        result = assess(facts_of(row), policy, filed_at=at(PERIODS[row["period"]][0]), at=now)
        refusal = result.refused_because
        found: tuple[str, str] | str = str(result.total) if refusal is None else (refusal.code, refusal.clause)
        whole = (
            result.eligible is (refusal is None)
            and (refusal is None or (result.lines == () and str(result.total) == "0.00"))
            and result.needs_person is (found == ("signed_and_left", "S0-2.3.3"))
        )
        if found != expected or not whole:
            wrong.append((row, expected, result))
    assert wrong == []
    # Each row of the table decides something, so none is hidden by those above it.
    assert all(used), used
    assert sum(used) == 5 * 8 * 7 * 2 * 5 * 2 * 3 * 2
