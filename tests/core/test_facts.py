"""Intake and facts: bad input names its field and value, and nothing personal leaves them."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest

from cases.kinds.complaint import ComplaintFacts, ComplaintIntake
from cases.kinds.inquiry import InquiryIntake
from cases.registry import KINDS
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import canonical
from cases.vocabulary.facts import Intake, read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import AGENT, PERSONAL

SHIPMENT = {"waybill": "SF1", "posted_on": "2026-03-01"}
COMPLAINT: dict[str, Any] = {
    "key": "C-1",
    "received_at": "2026-03-10T09:00:00+08:00",
    "facts": {
        "category": "damage",
        "unit": "hangzhou",
        "customer": PERSONAL,
        "description": "Zhang San, 13800000000, got a broken vase",
        "shipment": {**SHIPMENT, "base_freight": "18", "weight_kg": "2.350", "insured_amount": "300.5"},
    },
}
INQUIRY: dict[str, Any] = {
    "key": "Q-1",
    "facts": {"shipment": SHIPMENT, "question": "Zhang San asks: where is it? 13800000000"},
}


def changed(raw: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A deep copy with the value at a dotted path replaced; ``...`` takes it out."""
    copy: dict[str, Any] = json.loads(json.dumps(raw))
    *parents, last = path.split(".")
    inner = copy
    for name in parents:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return copy


def message(model: type[Intake], raw: Any) -> str:
    """What a bad intake is told."""
    with pytest.raises(Refused) as caught:
        read_intake(model, raw)
    assert (caught.value.code, caught.value.clause) == ("invalid", "")
    assert caught.value.message.startswith("intake: ")
    return caught.value.message


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("facts.category", "lost", ["facts.category = 'lost'", "'attitude', 'delay', 'damage'"]),
        ("facts.severity", "urgent", ["facts.severity = 'urgent'", "'normal', 'serious' or 'critical'"]),
        ("facts.source", "press", ["facts.source = 'press'", "'customer', 'platform' or 'network'"]),
        ("facts.colour", "red", ["facts.colour is not a known field"]),
        ("colour", "red", ["colour is not a known field"]),
        ("facts.category", ..., ["facts.category is missing"]),
        ("facts", ..., ["facts is missing"]),
        ("key", ..., ["key is missing"]),
        ("key", "", ["key = ''", "match pattern"]),
        ("key", "a b", ["key = (text)", "match pattern"]),
        ("key", "工单1", ["key = (text)", "match pattern"]),
        ("key", "-1", ["key = '-1'", "match pattern"]),
        ("key", "C-1\n", ["key = (text)", "match pattern"]),
        ("key", "k" * 129, ["key = (text)", "match pattern"]),
        ("received_at", "2026-03-10T09:00:00", ["received_at = '2026-03-10T09:00:00'", "timezone"]),
        ("received_at", "yesterday", ["received_at = 'yesterday'", "datetime"]),
        ("received_at", "0226-03-10T09:00:00+08:00", ["received_at = '0226-03-10", "2000 to 9998"]),
        ("received_at", "9999-12-31T23:00:00+00:00", ["received_at = '9999-12-31", "2000 to 9998"]),
        ("policy", "../etc", ["policy = '../etc'", "match pattern"]),
        ("parent", "a b", ["parent = (text)", "match pattern"]),
        ("facts.unit", "hang zhou", ["facts.unit = (text)", "match pattern"]),
        ("facts.shipment.waybill", ..., ["facts.shipment.waybill is missing"]),
        ("facts.shipment.posted_on", "2026-02-30", ["facts.shipment.posted_on = '2026-02-30'"]),
        ("facts.shipment.route", "moon", ["facts.shipment.route = 'moon'", "'same_city', 'domestic'"]),
        ("facts.shipment.signed_at", "2026-03-10T09:00:00", ["facts.shipment.signed_at", "timezone"]),
        ("facts.shipment.base_freight", 18.0, ["base_freight = 18.0", "'18.00', never as a float"]),
        ("facts.shipment.base_freight", True, ["base_freight = True"]),
        ("facts.shipment.base_freight", "18.005", ["base_freight = '18.005'", "at most two decimals"]),
        ("facts.shipment.base_freight", "-1", ["base_freight = '-1'", "no sign"]),
        ("facts.shipment.base_freight", "NaN", ["base_freight = 'NaN'", "digits 0 to 9"]),
        *(
            ("facts.shipment.base_freight", text, ["base_freight = ", "digits 0 to 9"])
            for text in (
                "-0",
                "+18.00",
                "1E+1",
                "1e2",
                "1_800.00",
                "1,800.00",
                " 18.00",
                "18.00 ",
                "18.",
                ".5",
                "１８.００",
                "١٨",
                "0x12",
                "",
            )
        ),
        ("facts.shipment.base_freight", "1" * 16, ["base_freight = (text)", "at most twelve digits"]),
        ("facts.shipment.insured_amount", "0", ["insured_amount = '0'", "greater than 0"]),
        ("facts.shipment.weight_kg", "0", ["weight_kg = '0'", "greater than 0"]),
        ("facts.shipment.weight_kg", 0.5, ["weight_kg = 0.5", "never as a float"]),
        ("facts.shipment", [1], ["facts.shipment: ", "dictionary"]),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_what_is_allowed(path: str, value: Any, parts: list[str]) -> None:
    told = message(ComplaintIntake, changed(COMPLAINT, path, value))
    for part in parts:
        assert part in told
    assert_nothing_personal(told)


def test_all_bad_fields_are_named_at_once() -> None:
    raw = changed(changed(COMPLAINT, "facts.category", "x"), "facts.severity", "y")
    told = message(ComplaintIntake, raw)
    assert "facts.category = 'x'" in told
    assert "facts.severity = 'y'" in told


@pytest.mark.parametrize(("path", "part"), [("facts.shipment", "facts.shipment is missing")])
def test_an_inquiry_needs_its_shipment(path: str, part: str) -> None:
    assert part in message(InquiryIntake, changed(INQUIRY, path, ...))


# --- nothing personal -----------------------------------------------------------------------------


def assert_nothing_personal(text: str) -> None:
    """Neither the name nor any number or address of the customer."""
    for value in (*PERSONAL.values(), "Zhang", "1380000"):
        assert value not in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("facts.customer", "Zhang San 13800000000"),
        ("facts.customer", ["Zhang San"]),
        ("facts.customer.name", ["Zhang San"]),
        ("facts.customer.name", "Zhang San" * 1000),
        ("facts.customer.phone", 13800000000),
        ("facts.customer.email", {"home": "zhang@example.org"}),
        ("facts.customer.wechat", "Zhang-13800000000"),
        ("facts.description", {"who": "Zhang San"}),
        ("facts.description", 13800000000),
        ("facts.note", "Zhang San 13800000000"),
        ("facts", "Zhang San 13800000000"),
        ("facts.shipment", "Zhang San 13800000000"),
    ],
)
def test_a_bad_personal_value_is_not_repeated(path: str, value: Any) -> None:
    told = message(ComplaintIntake, changed(COMPLAINT, path, value))
    assert path.rsplit(".", 1)[-1] in told
    assert_nothing_personal(told)


def test_a_bad_question_is_not_repeated() -> None:
    assert_nothing_personal(message(InquiryIntake, changed(INQUIRY, "facts.question", ["Zhang San"])))


@pytest.mark.parametrize("raw", ["Zhang San", ["Zhang San"], 13800000000, None])
def test_an_intake_that_is_no_object_is_not_repeated(raw: Any) -> None:
    assert_nothing_personal(message(ComplaintIntake, raw))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("note", "text"),
        ("escalate", "reason"),
        ("log_contact", "reason"),
        ("resolve", "summary"),
        ("investigate", "finding"),
        ("attach", "where"),
        ("attach", "name"),
        ("reply", "text"),
    ],
)
@pytest.mark.parametrize("value", [13800000000, "Zhang San " * 500, ["Zhang San"], {"who": "Zhang San"}])
def test_a_bad_free_text_of_a_command_is_not_repeated(name: str, field: str, value: Any) -> None:
    with pytest.raises(Refused) as caught:
        read_command(KINDS["complaint"].COMMANDS, name, {"by": AGENT, field: value})
    assert f"{field}: " in caught.value.message
    assert_nothing_personal(caught.value.message)


def test_a_bad_option_is_not_repeated() -> None:
    with pytest.raises(Refused) as caught:
        read_command(KINDS["complaint"].COMMANDS, "propose", {"by": AGENT, "options": ["A", 13800000000]})
    assert "options.1: " in caught.value.message
    assert_nothing_personal(caught.value.message)


@pytest.mark.parametrize("raw", ["Zhang San", ["Zhang San"], 5, None])
def test_a_command_that_is_no_object_is_refused(raw: Any) -> None:
    with pytest.raises(Refused) as caught:
        read_command(KINDS["complaint"].COMMANDS, "note", raw)
    assert caught.value.code == "invalid"
    assert_nothing_personal(caught.value.message)


def test_open_and_personal_facts_are_apart_and_whole() -> None:
    for model, raw in ((ComplaintIntake, COMPLAINT), (InquiryIntake, INQUIRY)):
        intake = read_intake(model, raw)
        open_facts, personal = intake.open_facts(), intake.personal()
        assert_nothing_personal(json.dumps(open_facts))
        assert not open_facts.keys() & personal.keys()
        assert {**open_facts, **personal} == intake.facts.model_dump(mode="json", exclude_none=True)
    intake = read_intake(ComplaintIntake, COMPLAINT)
    assert intake.personal() == {"customer": PERSONAL, "description": COMPLAINT["facts"]["description"]}


# --- values ---------------------------------------------------------------------------------------


def test_money_is_exact_and_has_two_places() -> None:
    intake = read_intake(ComplaintIntake, COMPLAINT)
    assert intake.facts.shipment is not None
    assert intake.facts.shipment.base_freight == Decimal("18.00")
    shipment = intake.open_facts()["shipment"]
    assert (shipment["base_freight"], shipment["insured_amount"], shipment["weight_kg"]) == (
        "18.00",
        "300.50",
        "2.350",
    )


def test_the_digest_tells_the_same_content_from_another() -> None:
    digest = read_intake(ComplaintIntake, COMPLAINT).digest()
    turned = dict(reversed(COMPLAINT.items()))
    assert read_intake(ComplaintIntake, turned).digest() == digest
    assert read_intake(ComplaintIntake, changed(COMPLAINT, "policy", "default")).digest() == digest
    assert read_intake(ComplaintIntake, changed(COMPLAINT, "facts.shipment.base_freight", "18.00")).digest() == digest
    for path, value in (
        ("facts.shipment.base_freight", "18.01"),
        ("facts.customer.phone", "13800000001"),
        ("received_at", "2026-03-10T09:00:01+08:00"),
        ("parent", "complaint:C-0"),
        ("facts.severity", "serious"),
    ):
        assert read_intake(ComplaintIntake, changed(COMPLAINT, path, value)).digest() != digest


def test_a_field_that_a_later_release_adds_changes_no_digest() -> None:
    class LaterFacts(ComplaintFacts):
        lane: str | None = None
        pieces: int = 1

    class LaterIntake(ComplaintIntake):
        facts: LaterFacts
        urgent: bool = False

    assert read_intake(LaterIntake, COMPLAINT).digest() == read_intake(ComplaintIntake, COMPLAINT).digest()
    assert (
        read_intake(LaterIntake, {**COMPLAINT, "urgent": True}).digest() != read_intake(LaterIntake, COMPLAINT).digest()
    )
    command = read_command(KINDS["complaint"].COMMANDS, "approve", {"by": AGENT, "request_id": "1"})
    given = canonical({"by": {"id": AGENT["id"], "role": AGENT["role"]}})
    assert command.digest() == hashlib.sha256(f"approve{given}".encode()).hexdigest()


def test_a_commands_digest_sees_content_and_name_but_not_the_request_id() -> None:
    known = KINDS["complaint"].COMMANDS

    def digest(name: str, **fields: Any) -> str:
        return read_command(known, name, {"by": AGENT, **fields}).digest()

    assert digest("approve", request_id="1") == digest("approve", request_id="2") == digest("approve")
    assert digest("approve", subject="a") != digest("approve", subject="b")
    assert digest("approve") != digest("acknowledge")
    assert digest("approve") != read_command(known, "approve", {"by": {**AGENT, "id": "x"}}).digest()
    assert digest("approve", at="2026-03-10T09:00:00Z") != digest("approve")
