"""Brings any open case to its end, as people and time would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from cases.case import Case
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused

CHECKED = {
    "witnesses": ["agent", "site_manager", "warehouse_keeper", "porter"],
    "resealed": True,
    "label": "box, window 4, 2026-02-10",
    "photographs": 2,
}
# Stands for what an authenticator says, which the rules do not look at.
CONFIRMED = dict.fromkeys(("credential", "authenticator_data", "client_data", "signature"), "c3RhbmQtaW4")
PAPER = {"name": "paper.pdf", "sha256": "0" * 64, "where": "the archive"}
KNOWN = {
    "order_number": "A-1", "part_number": "PN-1", "shipped_on": "2025-11-20", "quantity": "900",
    "defective_quantity": "1", "return_quantity": "1",
}  # fmt: skip
JUDGED = {"class": "quality", "own_fault": False, "loss": []}
# The fields that steps of forms fill.
FILLED: tuple[dict[str, Any], ...] = (
    {"customer_document": PAPER}, {"invoice_number": "INV-1"}, {"delivered_on": "2026-05-04"},
    {"payment_reference": "PAY-1", "way": "transfer"},
)  # fmt: skip
# What is asked, in this order, with fields that lead on; where the case offers a choice for one, that is taken.
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("acknowledge", {}),
    ("approve", {"subject": None}),
    ("investigate", {"justified": True}),
    ("reply", {"stage": "answer", "text": "it is on its way"}),
    ("answer_claim", {"text": "within 30 days"}),
    ("assess", {"cause": "company"}),
    ("offer", {}),
    ("accept_offer", {}),
    ("confirm_payment", {"reference": "BANK-1"}),
    ("confirm_phone_notice", {"roles": []}),
    ("inform_customer", {"text": "we look into it"}),
    ("find", {"cause": "a pallet fell", "report": "genuine"}),
    ("correct", {"action": "straps are used", "carried_out": True}),
    ("answer_option", {"accepted": True}),
    ("check_goods", {"checklist": CHECKED}),
    ("agree", {}),
    ("name_relief", {"to": {"id": "agent-9", "role": "agent"}}),
    ("verify", KNOWN),
    ("accept", {}),
    ("investigate", {"finding": "the mould was worn"}),
    ("report", {"cause": "a worn mould", "responsible": [], "established": False}),
    ("negotiate", {"result": "they wait"}),
    ("judge", JUDGED),
    ("opinion", {"text": "it was dropped", "established": False, "disposal": "none"}),
    ("explain", {"channel": "phone"}),
    ("execute", {"unit_price": "1.00"}),
    ("customer_answer", {"accepted": True}),
    ("answer_slip", {"step": "qa", "cause": "two were ill"}),
    ("receive", {"quantity": "1", "agrees": True}),
    ("issue_voucher", {"reference": "V-1"}),
    ("prove", {"way": "certificate", "stamped": True, "document": PAPER}),
    ("sign", {"text": "the scanner is repaired"}),
    *(("sign", {"text": "filled in", "fields": fields}) for fields in FILLED),
    ("resolve", {}),
    ("follow_up", {"satisfied": True}),
    ("close", {}),
)
# A case that is not closed by then never will be.
MOST_TURNS = 500
# So often at most each is asked: an offer that an approval stops may be made again for ever.
MOST_TIMES = {"approve": 9, "sign": 29}
ELSE = 2


def finish(case: Case) -> None:
    """Let what is owed come out, ask what leads on, and let time pass, until the case is closed.

    Raises:
        AssertionError: it does not end.
    """
    now = case.events[-1].at
    times: Counter[str] = Counter()

    def settle(at: datetime) -> None:
        case.rehearse_effects(at)

    for _ in range(MOST_TURNS):
        settle(now)
        if case.status == "closed":
            break
        if not any(_ask(case, name, fields, now, times) for name, fields in ASKED):
            now = max(now, case.due() or now + timedelta(days=1))
            case.elapse(now, after_each=settle)
    assert case.status == "closed", f"{case.KIND} {case.key}: not closed by {now}"
    assert case.owed() == ()


def _ask(case: Case, name: str, fields: dict[str, Any], now: datetime, times: Counter[str]) -> bool:
    """Ask one thing of a case, whoever may do it; whether anybody could."""
    if name not in case.COMMANDS or times[name] >= MOST_TIMES.get(name, ELSE):
        return False
    for by in _people(case):
        # What is a list is taken together, and of several subjects the first.
        offered = {field: list(some) for field, some in case.choices(name, by, now).items() if field in fields}
        chosen = {field: some if fields[field] == [] else some[0] for field, some in offered.items() if some}
        raw = {**fields, **chosen, "by": {"id": by.id, "role": by.role}}
        asked = case.approvals.waiting(raw["subject"]) if name == "approve" and raw["subject"] else None
        if asked is not None and case.approvals.needs_passkey(asked.amount):
            raw |= {"amount": str(asked.amount), "proof": {"at": now.isoformat(), "passkey": CONFIRMED}}
        with suppress(Refused):
            case.decide(read_command(case.COMMANDS, name, raw), now)
            times[name] += 1
            return True
    return False


def _people(case: Case) -> Iterator[Actor]:
    """Return those whom the case is between, and somebody of each role."""
    for fact in case.facts.values():
        if isinstance(fact, dict) and {"id", "role"} <= fact.keys():
            yield Actor(fact["id"], fact["role"])
    yield from (Actor(f"{role}-9", role) for role in case.policy.all_roles)
