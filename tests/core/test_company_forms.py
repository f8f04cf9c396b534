"""Forms that a company wrote: two of them after the papers of others, with all that stands on these.

What they do from their filing to their end is in `tests/company/scenarios`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.policies.store import Policies
from cases.policy.forms import FormTable, titles

COMPANY = Path(__file__).parents[1] / "company"
# What the papers have one fill in. Who asked and when, and who signed and when, the case knows by itself.
PAPERS = {
    "purchase_approval": {
        "budget", "fiscal_year", "occasion", "items", "rationale", "lines", "total", "basis", "payment", "extension",
        "above_limit", "recommendation",
    },
    "vehicle_request": {
        "department", "phone", "email", "departs_at", "returns_at", "mileage", "passengers", "purpose", "names",
        "marks", "interior", "interior_described", "body_sketch", "body_marks",
        "departed_at", "odometer_out", "returned_at", "odometer_in", "acceptable",
    },
}  # fmt: skip


def form(name: str) -> FormTable:
    return Policies(COMPANY).load("default").form[name]


@pytest.mark.parametrize("name", PAPERS)
def test_a_form_has_all_that_stands_on_its_paper_in_both_languages(name: str) -> None:
    table = form(name)
    assert set(table.fields) == PAPERS[name]
    asked = [table.title, *(step.title for step in table.steps)]
    for rule in table.fields.values():
        asked += [rule.title, *rule.labels.values()]
        assert set(rule.labels) == set(rule.of)
        for column in rule.columns.values():
            asked += [column.title, *column.labels.values()]
    for title in asked:
        assert title is not None
        both = titles(title)
        assert both["en"] != both["zh"], title


def test_the_signatures_stand_in_the_order_of_the_papers() -> None:
    purchase = form("purchase_approval")
    assert [step.name for step in purchase.steps] == ["head", "dean", "officer", "decision"]
    assert purchase.authority is not None
    assert (purchase.authority.rungs, str(purchase.authority.limits["deputy_gm"])) == (
        ("deputy_gm", "finance"),
        "5000.00",
    )
    vehicle = form("vehicle_request")
    assert [step.name for step in vehicle.steps] == [
        "verify", "check_out", "describe", "inspect", "departure", "hand_back", "return",
    ]  # fmt: skip


def test_a_company_has_the_forms_that_ship_beside_its_own() -> None:
    assert {"car_hire", "leave", *PAPERS} <= set(Policies(COMPANY).load("default").form)


@pytest.mark.parametrize("policy", Policies(COMPANY).names())
def test_each_policy_takes_them_over(policy: str) -> None:
    found = set(Policies(COMPANY).load(policy).form)
    assert {"car_hire", *PAPERS} <= found
    # One has other rungs, so that a form which names rungs cannot be read there, and is left out.
    assert ("visit" in found) == (policy == "default")
