"""Approvals that a passkey confirms: from which amount on, of which amount, and what is allowed (S1-5.9.10)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.policy.model import Policy
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused
from tests.core.support import GM, QA, SUPERVISOR, at, complaint, default_policy, do, only, policy_with, refuse

RECEIVED = "03-10 09:00:00"
# The rules look only at whether there is one.
PROOF = {
    "at": "2026-03-10T09:02:00+08:00",
    "passkey": dict.fromkeys(("credential", "authenticator_data", "client_data", "signature"), "c3RhbmQtaW4"),
}


def passkeys_from(amount: str) -> Policy:
    """The default policy with passkeys from so many yuan on."""
    rule = f'[approvals]\npasskey_from = "{amount}"\nclause = "S1-5.9.10"\n\n[severity]'
    return policy_with(("[severity]", rule))


LIMITED = passkeys_from("5000.00")
OPEN = default_policy()
GOOD, NONE = "approved", "passkey_required"


@pytest.mark.parametrize(
    ("policy", "asked", "fields", "outcome"),
    [
        (LIMITED, "4999.99", {}, GOOD),
        (LIMITED, "4999.99", {"amount": "4999.99"}, GOOD),
        (LIMITED, "5000.00", {}, NONE),
        (LIMITED, "5000.00", {"amount": "5000.00"}, NONE),
        (LIMITED, "5000.00", {"amount": "5000.00", "proof": {**PROOF, "passkey": None}}, NONE),
        (LIMITED, "5000.00", {"proof": PROOF}, NONE),
        (LIMITED, "5000.00", {"amount": "5000", "proof": PROOF}, GOOD),
        (LIMITED, "9000.00", {"amount": "5000.00", "proof": PROOF}, "another_amount"),
        (LIMITED, "100.00", {"amount": "99.99"}, "another_amount"),
        (LIMITED, None, {}, GOOD),
        (LIMITED, None, {"amount": "5000.00", "proof": PROOF}, "another_amount"),
        (OPEN, "9000.00", {}, GOOD),
        (OPEN, "9000.00", {"amount": "9000.01"}, "another_amount"),
        (passkeys_from("0.00"), "0.00", {}, NONE),
    ],
)
def test_an_approval_needs_the_passkey_that_its_amount_asks_for(
    policy: Policy, asked: str | None, fields: dict[str, Any], outcome: str
) -> None:
    case = complaint(RECEIVED, policy)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount=asked)
    assert case.allowed(Actor(**QA), at("03-10 09:02:00"))["approve"] is None
    if outcome == GOOD:
        do(case, "03-10 09:02:00", "approve", QA, **fields)
        assert only(case, "approved").actor.id == QA["id"]
    else:
        refuse(case, "03-10 09:02:00", outcome, "approve", by=QA, clause="S1-5.9.10", **fields)


def test_to_say_no_needs_none() -> None:
    case = complaint(RECEIVED, LIMITED)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount="9000.00")
    do(case, "03-10 09:02:00", "reject", QA, reason="no photographs")
    assert only(case, "rejected").data["amount"] == "9000.00"


def test_who_may_not_decide_hears_that_first() -> None:
    case = complaint(RECEIVED, LIMITED)
    do(case, "03-10 09:01:00", "request_approval", QA, subject="refund", amount="9000.00")
    refuse(case, "03-10 09:02:00", "four_eyes", "approve", by=QA, clause="S1-5.9.10")
    refuse(case, "03-10 09:02:00", "authority", "approve", by=SUPERVISOR, clause="T3")


@given(
    st.decimals("0.00", "100000.00", places=2), st.decimals("0.00", "100000.00", places=2) | st.none(), st.booleans()
)
def test_no_amount_from_the_limit_on_is_approved_without_its_own_passkey(
    asked: Decimal, said: Decimal | None, confirmed: bool
) -> None:
    case = complaint(RECEIVED, LIMITED)
    do(case, "03-10 09:01:00", "request_approval", subject="refund", amount=str(asked))
    fields = {} if said is None else {"amount": str(said)}
    try:
        do(case, "03-10 09:02:00", "approve", GM, **fields, proof=PROOF if confirmed else None)
    except Refused:
        assert said != asked if asked < 5000 else not confirmed or said != asked
        assert said is not None or asked >= 5000
    else:
        assert said in (None, asked)
        assert asked < 5000 or (confirmed and said == asked)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('passkey_from = "5000.00"', "approvals.clause is missing"),
        ('clause = "S1-5.9.10"', "approvals.passkey_from is missing"),
        ('passkey_from = "-1"\nclause = "S1-5.9.10"', "approvals.passkey_from = '-1'"),
        ('passkey_from = "many"\nclause = "S1-5.9.10"', "approvals.passkey_from = 'many'"),
        ('passkeys = true\npasskey_from = "1"\nclause = "S1-5.9.10"', "approvals.passkeys"),
    ],
)
def test_a_wrong_table_is_named(table: str, said: str) -> None:
    with pytest.raises(Refused) as refusal:
        policy_with(("[severity]", f"[approvals]\n{table}\n\n[severity]"))
    assert refusal.value.code == "bad_policy"
    assert said in refusal.value.message
