"""Goods returns: the slip, the count, the comparison, voucher and proof (S1-5.13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cases.amounts import amount_of, plain, raised
from cases.kinds.goods_return import GoodsReturn
from cases.policy.model import Policy
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.core.support import (
    AGENT,
    GM,
    at,
    clock,
    default_policy,
    do,
    found,
    notices,
    notified_roles,
    only,
    pass_time,
    policy_with,
    refuse,
    shown,
    when,
)
from tests.core.test_from_the_ledger import without_texts

BUSINESS = {"id": "biz-1", "role": "business"}
MANAGER = {"id": "bm-1", "role": "business_manager"}
KEEPER = {"id": "keeper-1", "role": "warehouse_keeper"}
ACCOUNTING = {"id": "acc-1", "role": "accounting"}
DEPUTY = {"id": "dgm-1", "role": "deputy_gm"}
# A Tuesday; two working days end on Wednesday at 18:00.
FILED = "03-10 09:00:00"
DUE = "03-11 18:00:00"
FACTS: dict[str, Any] = {
    "basis": "quality:Q-7",
    "part_number": "P-480",
    "approved_quantity": "480",
    "unit_price": "3.333",
    "over_receipt_percent": "3",
    "reason": "the coating peels",
    "disposal": "return",
}
DOCUMENT = {"name": "certificate.pdf", "sha256": "0" * 64, "where": "s3://returns/certificate.pdf"}
PROOF: dict[str, Any] = {"way": "certificate", "stamped": True, "document": DOCUMENT}
SLIP, RECEIPT, VOUCHER = "S1-5.13.1.2", "S1-5.13.2.2", "S1-5.13.2.1"
RECEIVABLE, PROVEN = "S1-5.13.2.3", "S1-5.13.2.4"


def filed(policy: Policy | None = None, by: dict[str, str] | None = None, **facts: Any) -> GoodsReturn:
    """A return as it was filed; a fact that is None is left out."""
    told = {name: value for name, value in {**FACTS, **facts}.items() if value is not None}
    raw = {"key": "R-1", "received_at": at(FILED).isoformat(), "facts": told, **({} if by is None else {"by": by})}
    return GoodsReturn.open(read_intake(GoodsReturn.INTAKE, raw), policy or default_policy(), at(FILED))


def signed(**facts: Any) -> GoodsReturn:
    """A return whose slip is signed."""
    case = filed(**facts)
    do(case, "03-10 09:30:00", "sign", MANAGER)
    return case


def received(quantity: str = "480", **facts: Any) -> GoodsReturn:
    """A return of which so much has come, and was approved as it is."""
    case = signed(**facts)
    do(case, "03-10 10:00:00", "receive", KEEPER, quantity=quantity, agrees=True)
    if case.received is None:
        do(case, "03-10 10:10:00", "approve", MANAGER)
    return case


def copy(quantity: str = "480", amount: str = "1599.84", **more: Any) -> dict[str, Any]:
    """A stamped copy of the invoice, which says that so many were received."""
    whole = {"quantity": "480", "unit_price": "3.333", "amount": "1599.84"}
    counted = {**whole, "quantity": quantity, "amount": amount}
    return {**PROOF, "way": "copy", "returned": whole, "received": counted, **more}


def from_the_ledger(case: GoodsReturn) -> GoodsReturn:
    """The case as it is known without the texts that people wrote."""
    return GoodsReturn.replay(case.policy, map(without_texts, case.events))


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


# --- the slip -------------------------------------------------------------------------------------


def test_the_manager_is_asked_for_two_working_days() -> None:
    case = filed()
    asked = only(case, "signature_asked")
    assert (asked.data["step"], asked.data["role"]) == ("slip", "business_manager")
    assert clock(case, "step:slip") == ("running", DUE)
    assert notified_roles(case, "sign") == [("business_manager",)]
    view = case.view()
    assert (view["step"], view["turn"]) == ("slip", ["business_manager"])
    assert view["waits_for"] == [
        {"what": "signature", "clock": "step:slip", "role": "business_manager", "person": None, "except_for": []}
    ]


def test_signed_one_copy_stays_and_three_go_to_the_warehouse() -> None:
    case = filed()
    events = do(case, DUE, "sign", MANAGER, text="as agreed")
    assert types(events) == ["signed", "clock_met", "copies_issued"]
    told = [(notice.no, *notice.roles) for notice in notices(case) if notice.name == "copy"]
    keeper = "warehouse_keeper"
    assert told == [(1, "business"), (2, keeper), (3, keeper), (4, keeper)]
    assert shown(case)["signed"] == [{"step": "slip", "role": "business_manager", "id": "bm-1", "text": "as agreed"}]
    assert (case.view()["step"], case.view()["turn"]) == ("receipt", [keeper])
    refuse(case, "03-12 09:00:00", "out_of_order", "sign", by=MANAGER, clause=SLIP)
    refuse(case, "03-12 09:00:00", "out_of_order", "refuse", by=MANAGER, clause=SLIP, reason="too late")


def test_late_it_climbs_and_the_manager_is_reminded_daily_until_it_is_signed() -> None:
    case = filed()
    pass_time(case, "03-13 09:00:00")
    assert when(found(case, "clock_breached")) == [DUE]
    assert only(case, "escalated").data["to"] == "general_manager"
    assert when(found(case, "reminded", rung="business_manager", subject="step:slip")) == [DUE, "03-12 18:00:00"]
    do(case, "03-13 10:00:00", "sign", MANAGER)
    assert not [event for event in pass_time(case, "03-20 09:00:00") if event.type == "reminded"]


def test_a_refused_slip_is_the_end() -> None:
    case = filed()
    events = do(case, "03-10 09:30:00", "refuse", MANAGER, reason="the goods are sound")
    assert types(events) == ["clock_met", "form_refused", "closed"]
    assert case.outcome == "refused"
    assert notified_roles(case, "slip_refused") == [("business",)]
    refuse(case, "03-10 09:40:00", "closed", "sign", by=MANAGER, clause="S1-5.9.8")
    assert not found(case, "copies_issued")


def test_nobody_signs_what_they_filed() -> None:
    case = filed(by={"id": "bm-1", "role": "business_manager"})
    refuse(case, "03-10 09:30:00", "four_eyes", "sign", by=MANAGER, clause=SLIP)
    do(case, "03-10 09:30:00", "sign", {**MANAGER, "id": "bm-2"})
    assert case.step == "receipt"


def test_others_neither_sign_nor_refuse() -> None:
    case = filed()
    for by in (BUSINESS, KEEPER, ACCOUNTING, DEPUTY, AGENT, GM):
        refuse(case, "03-10 09:30:00", "role", "sign", by=by)
        refuse(case, "03-10 09:30:00", "role", "refuse", by=by, reason="r")


# --- the warehouse --------------------------------------------------------------------------------


def test_nothing_is_received_before_the_slip_is_signed() -> None:
    refuse(filed(), "03-10 09:10:00", "not_signed", "receive", by=KEEPER, clause=SLIP, quantity="480", agrees=True)


def test_what_agrees_is_received_at_once() -> None:
    case = signed()
    events = do(case, "03-10 10:00:00", "receive", KEEPER, quantity="480.000", agrees=True)
    assert types(events) == ["received", "copies_issued", "compared"]
    assert events[1].data["copies"] == [
        {"no": 2, "to": "warehouse_keeper"},
        {"no": 3, "to": "accounting"},
        {"no": 4, "to": "business"},
    ]
    assert events[2].data == {"approved": "480", "actual": "480", "limit": "494.4", "within": True}
    assert case.view()["turn"] == ["accounting", "business"]
    refuse(
        case,
        "03-10 10:10:00",
        "already_received",
        "receive",
        "480",
        by=KEEPER,
        clause=RECEIPT,
        quantity="1",
        agrees=True,
    )


@pytest.mark.parametrize(("quantity", "agrees"), [("480", False), ("494", True), ("470", False), ("480.000001", True)])
def test_what_does_not_agree_is_asked_about(quantity: str, agrees: bool) -> None:
    case = signed()
    events = do(case, "03-10 10:00:00", "receive", KEEPER, quantity=quantity, agrees=agrees)
    assert types(events) == ["receipt_held", "approval_requested", "clock_started"]
    assert events[0].data == {"approved": "480", "actual": quantity}
    asked = {"subject": "receipt", "amount": None, "role": "business_manager", "waits": True}
    assert events[1].data == asked
    assert clock(case, "approval:1") == ("running", "03-11 10:00:00")
    again: dict[str, Any] = {"by": KEEPER, "quantity": "480", "agrees": True}
    refuse(case, "03-10 10:10:00", "approval_open", "receive", clause="S1-5.9.10", **again)
    assert (case.view()["step"], case.view()["turn"]) == ("receipt", ["business_manager"])
    events = do(case, "03-10 10:30:00", "approve", MANAGER)
    assert types(events) == ["approved", "clock_met", "received", "copies_issued", "compared"]
    assert events[2].data == {"quantity": quantity}
    assert notified_roles(case, "return_decided") == [("warehouse_keeper", "accounting", "business")]


def test_rejected_it_may_be_received_again() -> None:
    case = signed()
    do(case, "03-10 10:00:00", "receive", KEEPER, quantity="480", agrees=False)
    assert types(do(case, "03-10 10:30:00", "reject", MANAGER, reason="other goods")) == ["rejected", "clock_met"]
    assert case.held is None
    do(case, "03-10 14:00:00", "receive", KEEPER, quantity="480", agrees=True)
    assert plain(case.received or Decimal(0)) == "480"


def test_who_counted_does_not_decide_and_a_late_decision_climbs() -> None:
    case = signed()
    do(case, "03-10 10:00:00", "receive", {**KEEPER, "id": "both"}, quantity="480", agrees=False)
    refuse(case, "03-10 10:30:00", "four_eyes", "approve", by={**MANAGER, "id": "both"}, clause="S1-5.9.10")
    refuse(case, "03-10 10:30:00", "role", "approve", by=AGENT)
    pass_time(case, "03-12 10:00:00")
    assert [event.data["role"] for event in found(case, "approval_requested")] == [
        "business_manager",
        "deputy_gm",
        "general_manager",
    ]
    # Who was asked first may still decide.
    do(case, "03-12 11:00:00", "approve", MANAGER)
    assert case.received is not None


# --- the comparison -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "percent", "limit", "excess", "role"),
    [
        ("494.4", "3", "494.4", None, None),
        ("495", "3", "494.4", "50.00", "business_manager"),
        ("494.400001", "3", "494.4", "48.00", "business_manager"),
        ("504", None, "504", None, None),
        ("505", None, "504", "83.33", "business_manager"),
        ("480.5", "0", "480", "1.67", "business_manager"),
        ("1980", "3", "494.4", "4999.50", "business_manager"),
        ("1981", "3", "494.4", "5002.83", "deputy_gm"),
        ("15481", "3", "494.4", "49998.33", "deputy_gm"),
        ("15482", "3", "494.4", "50001.67", "general_manager"),
    ],
)
def test_above_the_exact_ratio_somebody_decides_about_the_money(
    quantity: str, percent: str | None, limit: str, excess: str | None, role: str | None
) -> None:
    case = received(quantity, over_receipt_percent=percent)
    compared = only(case, "compared").data
    assert (compared["limit"], compared["within"]) == (limit, excess is None)
    if excess is None:
        assert not found(case, "voucher_held")
        return
    assert only(case, "voucher_held").data == {"approved": "480", "actual": quantity, "limit": limit}
    asked = only(case, "approval_requested", subject="over_receipt")
    assert (asked.data["amount"], asked.data["role"]) == (excess, role)
    assert asked.data["asked_by"] == KEEPER
    refuse(case, "03-10 11:00:00", "above_ratio", "issue_voucher", quantity, limit, by=ACCOUNTING, clause=VOUCHER)
    do(case, "03-10 12:00:00", "approve", GM)
    issued = do(case, "03-10 13:00:00", "issue_voucher", ACCOUNTING)
    assert issued[0].data["quantity"] == quantity


def test_nobody_decides_beyond_their_authority() -> None:
    case = received("1981")
    refuse(case, "03-10 11:00:00", "authority", "approve", "5002.83", by=MANAGER, clause="T3")
    do(case, "03-10 11:00:00", "approve", DEPUTY)
    assert case.excess_approved


def test_rejected_the_goods_go_back_and_with_them_what_was_proven() -> None:
    case = received("495")
    do(case, "03-10 11:00:00", "prove", BUSINESS, **copy("495", "1649.84"))
    again: dict[str, Any] = {"by": KEEPER, "quantity": "480", "agrees": True}
    refuse(case, "03-10 11:30:00", "approval_open", "receive", clause="S1-5.9.10", **again)
    do(case, "03-10 12:00:00", "reject", MANAGER, reason="too many")
    assert (case.received, case.proof, case.step) == (None, None, "receipt")
    refuse(case, "03-10 12:30:00", "not_received", "issue_voucher", by=ACCOUNTING, clause=RECEIPT)
    do(case, "03-10 14:00:00", "receive", KEEPER, quantity="480", agrees=True)
    do(case, "03-10 14:10:00", "issue_voucher", ACCOUNTING)
    do(case, "03-10 14:20:00", "prove", BUSINESS, **copy())
    assert (case.status, case.outcome) == ("closed", "booked")


def test_an_approved_excess_does_not_serve_the_next_one() -> None:
    """Only the last comparison counts."""
    case = received("495")
    do(case, "03-10 12:00:00", "reject", MANAGER, reason="too many")
    do(case, "03-10 14:00:00", "receive", KEEPER, quantity="500", agrees=False)
    do(case, "03-10 14:10:00", "approve", MANAGER)
    refuse(case, "03-10 14:20:00", "above_ratio", "issue_voucher", by=ACCOUNTING, clause=VOUCHER)
    assert [event.data["amount"] for event in found(case, "approval_requested", subject="over_receipt")] == [
        "50.00",
        "66.66",
    ]


# --- voucher, proof, receivable -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "amount"), [("480", "1599.84"), ("494", "1646.50"), ("470", "1566.51"), ("495", "1649.84")]
)
def test_the_voucher_is_for_what_was_received(quantity: str, amount: str) -> None:
    case = received(quantity)
    if case.approvals.open():
        do(case, "03-10 11:00:00", "approve", MANAGER)
    [issued] = do(case, "03-10 12:00:00", "issue_voucher", ACCOUNTING, reference="V-1")
    assert issued.data == {"quantity": quantity, "amount": amount, "reference": "V-1"}
    assert case.view()["voucher"] == issued.data
    assert GoodsReturn.money(case.view()) == {"voucher": amount, "excluded": None}
    refuse(case, "03-10 12:10:00", "already_issued", "issue_voucher", by=ACCOUNTING, clause=VOUCHER)
    refuse(case, "03-10 12:10:00", "already_issued", "withdraw", by=BUSINESS, clause=VOUCHER)
    assert case.view()["turn"] == ["business"]


def test_no_voucher_before_the_goods() -> None:
    refuse(signed(), "03-10 10:00:00", "not_received", "issue_voucher", by=ACCOUNTING, clause=RECEIPT)


def test_a_return_is_withdrawn_before_its_voucher() -> None:
    case = received()
    do(case, "03-10 12:00:00", "withdraw", BUSINESS, reason="kept after all")
    assert case.outcome == "withdrawn"


@pytest.mark.parametrize("first", ["issue_voucher", "prove"])
def test_voucher_and_proof_end_it_in_either_order(first: str) -> None:
    case = received()
    acts: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
        "issue_voucher": (ACCOUNTING, {}), "prove": (BUSINESS, copy()),
    }  # fmt: skip
    for name in sorted(acts, key=lambda name: name != first):
        by, fields = acts[name]
        do(case, "03-10 12:00:00", name, by, **fields)
    assert (case.status, case.outcome) == ("closed", "booked")
    assert (case.view()["turn"], case.view()["waits_for"]) == ([], [])
    assert notified_roles(case, "return_proved") == [("accounting",)]


@pytest.mark.parametrize("way", ["original_invoice", "certificate"])
def test_two_ways_need_no_counts(way: str) -> None:
    case = received()
    [proved] = do(case, "03-10 12:00:00", "prove", BUSINESS, **{**PROOF, "way": way})
    assert (proved.data["way"], proved.data["document"]) == (way, DOCUMENT)
    refuse(case, "03-10 12:10:00", "already_proved", "prove", way, by=BUSINESS, clause=PROVEN, **PROOF)


def test_a_proof_that_is_none() -> None:
    case = received()
    moment = "03-10 12:00:00"
    refuse(
        case, moment, "not_stamped", "prove", "certificate", by=BUSINESS, clause=PROVEN, **{**PROOF, "stamped": False}
    )
    for wrong in ("1599.83", "1599.85"):
        bad = copy(amount=wrong)
        refuse(case, moment, "amount_differs", "prove", wrong, "1599.84", by=BUSINESS, clause=PROVEN, **bad)
    bad = copy(returned={"quantity": "480", "unit_price": "3.333", "amount": "1599.83"})
    refuse(case, moment, "amount_differs", "prove", "returned.amount", by=BUSINESS, clause=PROVEN, **bad)
    bad = copy("479", "1596.51")
    refuse(case, moment, "quantity_differs", "prove", "479", "480", by=BUSINESS, clause=PROVEN, **bad)
    # What is given is looked at, whichever way it is.
    refuse(case, moment, "quantity_differs", "prove", by=BUSINESS, clause=PROVEN, **{**bad, "way": "certificate"})
    for lost in ("returned", "received"):
        with pytest.raises(Refused, match=f"{lost} is missing") as caught:
            do(case, moment, "prove", BUSINESS, **{name: value for name, value in copy().items() if name != lost})
        assert caught.value.code == "invalid"
    refuse(signed(), moment, "not_received", "prove", by=BUSINESS, clause=RECEIPT, **copy())


def test_what_a_document_is_called_is_a_text_apart() -> None:
    case = received()
    [proved] = do(case, "03-10 12:00:00", "prove", BUSINESS, **copy())
    bare = from_the_ledger(case)
    assert "certificate.pdf" not in str([event.data for event in bare.events])
    assert bare.view() == GoodsReturn.replay(case.policy, case.events).view()
    assert proved.data["document"]["sha256"] == "0" * 64


def test_a_receivable_is_left_out_once_and_of_somebody() -> None:
    case = filed()
    by: dict[str, Any] = {"by": ACCOUNTING, "clause": RECEIVABLE}
    refuse(case, "03-10 09:10:00", "role", "exclude_receivable", by=BUSINESS, amount="1599.84", salesperson="sales-3")
    refuse(case, "03-10 09:10:00", "salesperson_missing", "exclude_receivable", **by, amount="1599.84")
    [event] = do(case, "03-10 09:10:00", "exclude_receivable", ACCOUNTING, amount="1599.84", salesperson="sales-3")
    assert event.data == {"amount": "1599.84", "salesperson": "sales-3", "part_number": "P-480"}
    assert case.view()["receivable"] == {"amount": "1599.84", "salesperson": "sales-3"}
    refuse(case, "03-10 09:20:00", "already_excluded", "exclude_receivable", "1599.84", **by, amount="1.00")


def test_the_salesperson_on_file_is_meant_unless_another_is_named() -> None:
    for named, meant in (({}, "sales-7"), ({"salesperson": "sales-3"}, "sales-3")):
        case = filed(salesperson="sales-7")
        [event] = do(case, "03-10 09:10:00", "exclude_receivable", ACCOUNTING, amount="10.00", **named)
        assert event.data["salesperson"] == meant


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("basis", "Q-7"),
        ("basis", None),
        ("part_number", "no blanks"),
        ("approved_quantity", "0"),
        ("approved_quantity", "-1"),
        ("approved_quantity", 480.5),
        ("unit_price", "3.33333"),
        ("unit_price", "0"),
        ("over_receipt_percent", "-1"),
        ("over_receipt_percent", "100.1"),
        ("reason", ""),
        ("disposal", "none"),
    ],
)
def test_facts_that_are_none_are_refused_by_name(fact: str, value: Any) -> None:
    with pytest.raises(Refused) as caught:
        filed(**{fact: value})
    assert caught.value.code == "invalid"
    assert fact in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('over_receipt_percent = "5"', 'over_receipt_percent = "-5"', "return.over_receipt_percent"),
        ('receipt = ["warehouse_keeper"', 'receipt = ["nobody"', "return.copies.receipt = 'nobody' is not a role"),
        ('slip = ["business"', 'slip = ["customer"', "return.copies.slip.0 = 'customer': a copy never"),
        ('receipt = ["warehouse_keeper"', 'receipt = ["customer"', "a copy never goes to the customer (S1-5.9.10)"),
        ('slip = ["business"', 'slips = ["business"', "return.copies.slips is not a known field"),
        ('[return.clocks.step]\nworking_time = "PT18H"', "[return.clocks.step]", "return.clocks.step has no limit"),
    ],
)
def test_a_table_with_a_fault_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        policy_with((old, new))
    assert caught.value.code == "bad_policy"
    assert message in caught.value.message


# --- properties -----------------------------------------------------------------------------------

QUANTITIES = st.decimals("0.01", "999999", places=2)
PRICES = st.decimals("0.0001", "99999", places=4)
PERCENTS = st.decimals("0", "100", places=2)


@given(QUANTITIES, PRICES, PERCENTS)
@example(Decimal("999999999999.999"), Decimal("99999999999.9999"), Decimal("99.999999"))
@example(Decimal("15"), Decimal("3.333"), Decimal(3))
def test_arithmetic_is_exact(quantity: Decimal, price: Decimal, percent: Decimal) -> None:
    fen = Fraction(quantity) * Fraction(price) * 100
    half_up = (fen * 2 + 1) // 2
    assert Fraction(amount_of(quantity, price)) * 100 == half_up
    assert Fraction(raised(quantity, percent)) == Fraction(quantity) * (1 + Fraction(percent) / 100)


@dataclass(frozen=True)
class Act:
    """Something that somebody does."""

    name: str
    by: dict[str, str]
    fields: dict[str, Any]


def acts(quantity: str) -> list[Act]:
    """What may be done, with fields that may do; of a quantity that has come."""
    amount = f"{amount_of(Decimal(quantity), Decimal('3.333')):.2f}"
    return [
        Act("sign", MANAGER, {}),
        Act("refuse", MANAGER, {"reason": "r"}),
        Act("receive", KEEPER, {"quantity": quantity, "agrees": True}),
        Act("receive", KEEPER, {"quantity": quantity, "agrees": False}),
        Act("approve", MANAGER, {}),
        Act("approve", GM, {}),
        Act("reject", MANAGER, {"reason": "r"}),
        Act("reject", GM, {"reason": "r"}),
        Act("issue_voucher", ACCOUNTING, {}),
        Act("prove", BUSINESS, PROOF),
        Act("prove", BUSINESS, copy(quantity, amount)),
        Act("exclude_receivable", ACCOUNTING, {"amount": "1.00", "salesperson": "sales-3"}),
        Act("exclude_receivable", ACCOUNTING, {"amount": "1.00"}),
        Act("withdraw", BUSINESS, {}),
        Act("acknowledge", AGENT, {}),
        Act("note", KEEPER, {"text": "t"}),
    ]


# How much may come: as approved, less, at the ratio, just above it, far above it.
COMES = st.sampled_from(["480", "470", "494.4", "494.400001", "495", "20000"])
# Which act of the list, and how many hours later. What leads on is likelier than what ends it.
LIKELY = [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15] * 4 + [1, 13]
STEPS = st.lists(st.tuples(st.sampled_from(LIKELY), COMES, st.sampled_from([0, 1, 20])), max_size=30)


def lived(steps: list[tuple[int, str, int]]) -> tuple[GoodsReturn, Any]:
    """A return to which all this happened, as far as it was taken, and when that was."""
    case, now = filed(), at(FILED)
    # Most begin with a signature, else little follows.
    for number, quantity, hours in [(0, "480", 0), *steps] if len(steps) % 5 else steps:
        now += timedelta(hours=hours)
        act = acts(quantity)[number]
        try:
            do(case, now, act.name, act.by, **act.fields)
        except Refused:
            continue
    return case, now


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_the_voucher_is_what_was_received_and_never_above_the_limit_without_a_decision(
    steps: list[tuple[int, str, int]],
) -> None:
    case, _ = lived(steps)
    vouchers = found(case, "voucher_issued")
    assert len(vouchers) <= 1
    for voucher in vouchers:
        before = case.events[: voucher.seq - 1]
        last = [event for event in before if event.type == "received"][-1]
        quantity = Decimal(last.data["quantity"])
        assert voucher.data["quantity"] == last.data["quantity"]
        assert Decimal(voucher.data["amount"]) == amount_of(quantity, Decimal("3.333"))
        since = before[last.seq :]
        decided = [event for event in since if event.type == "approved" and event.data["subject"] == "over_receipt"]
        assert (quantity > Decimal("494.4")) == bool(decided)
        assert not [event for event in since if event.type == "rejected"]
    if case.outcome == "booked":
        assert vouchers
        assert found(case, "proved")


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_copies_go_out_once_for_a_signature_and_once_for_a_receipt(steps: list[tuple[int, str, int]]) -> None:
    case, _ = lived(steps)
    issued = [tuple(copy["no"] for copy in event.data["copies"]) for event in found(case, "copies_issued")]
    assert issued == [(1, 2, 3, 4)] * len(found(case, "signed")) + [(2, 3, 4)] * len(found(case, "received"))
    told = [(notice.seq, notice.no) for notice in notices(case) if notice.name == "copy"]
    assert len(told) == len(set(told)) == sum(map(len, issued))


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_replayed_from_its_ledger_it_is_the_same(steps: list[tuple[int, str, int]]) -> None:
    case, now = lived(steps)
    again = GoodsReturn.replay(case.policy, case.events)
    assert again.view() == case.view()
    assert again.owed() == case.owed()
    assert again.due() == case.due()
    assert from_the_ledger(case).view() == case.view()
    if case.status == "closed":
        assert not case.elapse(now + timedelta(days=400))


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([MANAGER, KEEPER, ACCOUNTING, BUSINESS, DEPUTY, GM, AGENT]))
def test_a_command_is_allowed_exactly_when_it_can_be_given(
    steps: list[tuple[int, str, int]], person: dict[str, str]
) -> None:
    case, now = lived(steps)
    now += timedelta(minutes=1)
    case.elapse(now, inclusive=False)
    allowed = case.allowed(Actor(**person), now)
    received_now = "480" if case.received is None else plain(case.received)
    for name in ("sign", "refuse", "receive", "issue_voucher", "prove", "exclude_receivable", "withdraw"):
        taken = False
        for act in acts(received_now):
            if act.name == name:
                one = GoodsReturn.replay(case.policy, case.events)
                try:
                    one.decide(read_command(one.COMMANDS, name, {"by": person, **act.fields}), now)
                except Refused:
                    continue
                taken = True
        refusal = allowed[name]
        assert (refusal is None) == taken, (name, refusal and refusal.message)
    for name in ("approve", "reject"):
        taken = False
        for subject in case.SUBJECTS:
            one = GoodsReturn.replay(case.policy, case.events)
            try:
                one.decide(read_command(one.COMMANDS, name, {"by": person, "subject": subject, "reason": "r"}), now)
            except Refused:
                continue
            taken = True
        assert (allowed[name] is None) == taken, name
