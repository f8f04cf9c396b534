"""The dry run ``assess``, and the money of a claim as ``show`` prints it: no server is needed for either."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cases.case import Case
from starter.cli.output import print_view
from tests.cli.program import ROOT, call
from tests.core.support import AGENT, CUSTOMER, at, complaint, do
from tests.core.test_claim import FINANCE, agreed, assessed, claim

EXAMPLE = ROOT / "examples" / "claim-lost-parcel.toml"
# Worked case 28 (a).
FACTS: dict[str, Any] = {
    "factor": "loss",
    "claimant": {"relation": "sender"},
    "cause": "company",
    "shipment": {
        "waybill": "W1",
        "posted_on": "2026-03-01",
        "promised_at": "2026-03-04T18:00:00+08:00",
        "route": "domestic",
        "base_freight": "20.00",
        "weight_kg": "0.8",
    },
}
NOON = ("--at", "2026-03-12T12:00:00+08:00")


def dry(facts: dict[str, Any], *options: str) -> Any:
    """The assessment of some facts as JSON."""
    return call("assess", "-", "--json", *options, given=json.dumps(facts)).json


def rows(text: str) -> list[str]:
    """Lines with their spaces made one."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_facts_are_assessed_without_filing_them() -> None:
    shown = dry(FACTS, *NOON)
    assert (shown["eligible"], shown["factor"], shown["total"]) == (True, "loss", "100.00")
    assert [(line["name"], line["amount"], line["clause"]) for line in shown["lines"]] == [
        ("fee_waiver", "20.00", "S0-A.3.2 a"),
        ("uninsured", "80.00", "S0-A.3.2 c"),
    ]
    assert shown["filed_at"] == shown["at"] == "2026-03-12T12:00:00+08:00"
    assert shown["policy"] == "default"
    assert "letter" not in shown


def test_people_see_lines_formulas_clauses_and_the_total() -> None:
    answer = call("assess", "-", *NOON, given=json.dumps(FACTS))
    assert answer.code == 0
    formula = "the lowest of 5 x base freight 20.00 (100.00) and 100.00 yuan x 0.8 kg (80) = 80.00"
    assert f"uninsured {formula} 80.00 S0-A.3.2 c" in rows(answer.out)
    assert rows(answer.out)[-1] == "total 100.00 yuan"


def test_a_claim_intake_is_assessed_as_of_its_receipt() -> None:
    # Filed on the last day of the year, assessed a day later: in time.
    shipment = {"waybill": "W1", "posted_on": "2025-03-10", "base_freight": "22.00", "weight_kg": "0.3"}
    facts = {"factor": "damage", "claimant": FACTS["claimant"], "shipment": shipment,
             "loss": {"total_value": "100.00", "lost_value": "100.00"}}  # fmt: skip
    intake = {"key": "C-35", "received_at": "2026-03-10T23:59:59+08:00", "facts": facts}
    later = ("--at", "2026-03-11T10:00:00+08:00")
    assert dry(intake, *later)["total"] == "52.00"
    refused = dry(facts, *later)
    assert (refused["eligible"], refused["total"], refused["refused_because"]) == (False, "0.00", "full_year")
    line = call("assess", "-", "--at", "2026-03-10T10:00:00+08:00", given=json.dumps(intake)).refused(2)
    assert line.startswith("received_at = 2026-03-10T23:59:59+08:00: lies after 2026-03-10T10:00:00+08:00")


def test_a_refusal_is_no_error_and_names_its_clause() -> None:
    shipment = {**FACTS["shipment"], "signed_at": "2026-03-04T10:00:00+08:00", "courier_present": False}
    facts = {**FACTS, "factor": "damage", "shipment": shipment}
    answer = call("assess", "-", *NOON, given=json.dumps(facts))
    assert answer.code == 0
    shown = rows(answer.out)
    assert "refused, signed_and_left: the parcel was signed for and the courier had left [S0-2.3.3]" in shown
    assert "a person must confirm this refusal" in shown
    assert "total 0.00 yuan" in shown


def test_the_letter_in_both_languages() -> None:
    facts = {**FACTS, "shipment": {**FACTS["shipment"], "arbitration_agreed": True}}
    english = call("assess", "-", *NOON, "--letter", "en", given=json.dumps(facts))
    assert english.code == 0
    for words in ("Your claim: what we pay", "Total: 100.00 yuan", "not-filed", "arbitration", "2026-03-12"):
        assert words in english.out
    chinese = dry({"key": "C-28", "facts": FACTS}, *NOON, "--letter", "zh")["letter"]
    assert "100.00" in chinese
    assert "C-28" in chinese
    assert "12305" in chinese
    # Not agreed at posting, so it is not named (S0-A.5.5).
    assert "仲裁" not in chinese
    assert "仲裁" in dry(facts, *NOON, "--letter", "zh")["letter"]


def test_a_field_over_the_files_and_another_policy(tmp_path: Path) -> None:
    policy = tmp_path / "generous.toml"
    text = (ROOT / "cases" / "policy" / "default.toml").read_text("utf-8")
    policy.write_text(text.replace('name = "default"', 'name = "generous"').replace("100.00", "200.00"))
    assert dry(FACTS, *NOON, "--set", "shipment.weight_kg=0.5")["total"] == "70.00"
    shown = dry(FACTS, *NOON, "--set", "shipment.weight_kg=0.4", "--policy", str(policy))
    assert (shown["policy"], shown["total"]) == ("generous", "100.00")


def test_the_example_is_assessed() -> None:
    shown = call("assess", str(EXAMPLE), "--json").json
    assert shown["total"] == "108.00"
    assert [note["code"] for note in shown["notes"]] == ["cause_unknown", "demand_above"]


# What is changed in the facts, the arguments, and what the one line must say.
BAD: dict[str, tuple[dict[str, Any], Sequence[str], Sequence[str]]] = {
    "no file": ({}, ["nowhere.toml"], ["nowhere.toml: cannot be read"]),
    "no factor": ({"factor": None}, ["-"], ["facts.factor"]),
    "unknown field": ({"colour": "red"}, ["-"], ["facts.colour is not a known field"]),
    "demand in words": ({"demand": "a lot"}, ["-"], ["facts.demand = (text)"]),
    "three decimals": ({"demand": "1.005"}, ["-"], ["facts.demand = '1.005'", "two decimals"]),
    "posted later": (
        {"shipment": {**FACTS["shipment"], "posted_on": "2026-03-13", "promised_at": None}},
        ["-", *NOON],
        ["facts.shipment.posted_on = 2026-03-13 lies after the receipt 2026-03-12"],
    ),
    "no shipment": ({"shipment": None}, ["-"], ["facts.shipment is missing"]),
    "no freight": (
        {"shipment": {**FACTS["shipment"], "base_freight": None}},
        ["-", *NOON],
        ["facts.shipment.base_freight is missing; the assessment needs it", "[S0-A.3]"],
    ),
    "no instant": ({}, ["-", "--at", "2026-03-12T12:00:00"], ["--at = '2026-03-12T12:00:00'", "with an offset"]),
    "no policy": ({}, ["-", "--policy", "strict"], ["policy = 'strict'", "allowed: "]),
    "no language": ({}, ["-", "--letter", "fr"], ['"fr"', "zh", "en"]),
    "no value": ({}, ["-", "--set", "demand"], ["--set demand", "NAME=VALUE"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_clear_line(name: str) -> None:
    changes, arguments, words = BAD[name]
    line = call("assess", *arguments, given=json.dumps({**FACTS, **changes})).refused(2)
    for word in words:
        assert word in line


# --- show -----------------------------------------------------------------------------------------


def shown(case: Case, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What `show` prints of a case."""
    print_view(case.view())
    return rows(capsys.readouterr().out)


def test_show_says_how_far_the_ledger_is_behind(capsys: pytest.CaptureFixture[str]) -> None:
    view = claim().view()
    behind = f"recorded 1 of {view['events']} events"
    for recorded, said in ((view["events"], False), (1, True), (None, False)):
        print_view(view if recorded is None else {**view, "recorded": recorded})
        assert (behind in rows(capsys.readouterr().out)) is said


def test_show_has_the_money_of_a_claim_at_a_glance(capsys: pytest.CaptureFixture[str]) -> None:
    case = claim()
    assert not any(line.startswith(("assessed", "offered", "agreed", "paid")) for line in shown(case, capsys))
    do(case, "03-05 09:30:00", "answer_claim")
    do(case, "03-05 10:00:00", "assess", cause="company")
    do(case, "03-05 10:10:00", "offer")
    lines = shown(case, capsys)
    assert "propose by 2026-04-04 23:59:59+08:00" in lines
    assert "assessed 100.00 yuan as damage (fee_waiver 20.00 + uninsured 80.00)" in lines
    assert "offered 100.00 yuan" in lines
    case = agreed()
    lines = shown(case, capsys)
    assert "agreed 100.00 yuan" in lines
    assert "paid not yet" in lines
    case.payout_waits(at("03-05 11:00:01"))
    do(case, "03-05 12:00:00", "confirm_payment", FINANCE, reference="BANK-1")
    assert "paid 100.00 yuan, reference BANK-1" in shown(case, capsys)


def test_show_has_the_refusal_and_the_disputes(capsys: pytest.CaptureFixture[str]) -> None:
    case = assessed()
    do(case, "03-05 10:10:00", "assess", cause="customer")
    do(case, "03-05 10:20:00", "dispute", CUSTOMER, path="negotiation")
    do(case, "03-05 10:30:00", "dispute", CUSTOMER, path="appeal")
    lines = shown(case, capsys)
    assert "assessed refused, exempt_customer: the customer is responsible for it [S0-A.2.X a]" in lines
    assert "disputes negotiation, appeal" in lines


def test_show_has_the_linked_case_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    case = complaint("03-05 09:00:00", category="loss")
    do(case, "03-05 09:10:00", "open_claim", AGENT)
    assert "claim claim:C-1-claim" in shown(case, capsys)
    opened = claim()
    opened.parent = "complaint:C-1"
    assert "parent complaint:C-1" in shown(opened, capsys)
