"""Sample cases for the console: on every rung, late, waiting, paid, closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from activities.replies.inbox import Inbox
from activities.replies.incoming import Incoming
from tests.console.server import ConsoleServer

HOUR = 3600.0
_waybills = count(1)
PENALTY = {
    "filed_by": {"id": "zhou-3", "role": "supervisor"},
    "unit": "north",
    "fields": {
        "case": "complaint:K-9",
        "ground": "report_late",
        "kind": "penalty",
        "department": "agent",
        "bearers": [
            {"person": "ann-7", "role": "agent", "amount": "50.00"},
            {"person": "ben-2", "role": "agent", "amount": "20.00"},
        ],
    },
}


def shipment(waybill: str, **more: Any) -> dict[str, Any]:
    """Make the facts of a parcel that was posted twenty days ago and promised for ten days ago."""
    now = datetime.now(UTC)
    return {
        "waybill": waybill,
        "posted_on": (now - timedelta(days=20)).date().isoformat(),
        "promised_at": (now - timedelta(days=10)).isoformat(),
        "route": "domestic",
        "base_freight": "18.00",
        "weight_kg": "2.5",
        **more,
    }


def person(name: str, phone: str) -> dict[str, str]:
    """Make the facts of a customer."""
    return {"name": name, "phone": phone}


def leave(id: str, role: str, unit: str) -> dict[str, Any]:
    """Make an urgent leave of some hours, in a week, that one of the staff files."""
    begin = datetime.now(UTC) + timedelta(days=7)
    hours = {"from": begin.isoformat(), "to": (begin + timedelta(hours=8)).isoformat()}
    return {
        "filed_by": {"id": id, "role": role},
        "unit": unit,
        "fields": {**hours, "emergency": True, "reason": "家事"},
    }


async def claim_for_approval(console: ConsoleServer, waybill: str, insured: str, unit: str = "north") -> str:
    """File a claim whose offer needs more authority than an agent has, and return its id."""
    facts = {
        "factor": "loss",
        "claimant": {"relation": "sender"},
        "unit": unit,
        "shipment": shipment(waybill, insured_amount=insured),
        "customer": person("林小满", "010-5550-1234"),
    }
    case_id = await console.file("claim", facts, ago=3 * HOUR)
    await console.do(case_id, "acknowledge", "ann-7") if insured == "0" else None
    await console.do(case_id, "answer_claim", "ann-7")
    await console.do(case_id, "assess", "ann-7", cause="company")
    await console.do(case_id, "offer", "ann-7")
    return case_id


async def written(console: ConsoleServer, text: str, sender: Mapping[str, str], id: str = "", **more: Any) -> int:
    """Take in a message of a customer, leave it to people, and return its id."""
    inbox = Inbox(console.services.database)
    found = Incoming("message", id or uuid4().hex, subject="Parcel", text=text)
    assert await inbox.put(found, "mail" if "email" in sender else "message", sender) == "waits"
    letter = await inbox.take()
    assert letter is not None
    await inbox.leave(letter, **{"why": "unmatched", **more})
    return letter.id


async def above_the_formula(console: ConsoleServer) -> tuple[str, str]:
    """A claim in which one thing was rejected, and whose offer of 72 yuan above the formula waits; and its waybill."""
    waybill = f"YD-WHY-{next(_waybills)}"
    facts = {
        "factor": "loss",
        "claimant": {"relation": "sender"},
        "unit": "north",
        "demand": "2345.60",
        "shipment": shipment(waybill, insured_amount="1860.00"),
    }
    case_id = await console.file("claim", facts)
    await console.do(case_id, "answer_claim", "ann-7")
    await console.do(case_id, "assess", "ann-7", cause="company")
    asked = {"subject": "voucher", "amount": "900.00"}
    await console.do(case_id, "request_approval", "ann-7", **asked, reason="he is a good customer")
    await console.do(case_id, "reject", "zhou-3", subject="voucher", reason="money is enough")
    await console.do(case_id, "offer", "ann-7", amount="1950.00", reason="it came late and then was lost")
    return case_id, waybill


async def fill(console: ConsoleServer) -> dict[str, str]:
    """File the sample cases, once for a console, and return the ids of some of them by what they show."""
    if not console.samples:
        console.samples.update(await _filed(console))
    return console.samples


async def _filed(console: ConsoleServer) -> dict[str, str]:
    file, do = console.file, console.do
    ids: dict[str, str] = {}
    attitude = {"category": "attitude", "unit": "north", "customer": person("何雨", "010-5550-8721")}
    delay = {"category": "delay", "unit": "north", "shipment": shipment("YD-204417")}
    await file("complaint", attitude, ago=60)
    ids["complaint"] = await file("complaint", delay, ago=26 * HOUR)
    await do(ids["complaint"], "acknowledge", "gus-1")
    await do(ids["complaint"], "reply", "gus-1", stage="interim", text="The parcel stands in the sorting centre.")
    await do(ids["complaint"], "log_contact", "gus-1", reached=False, channel="phone", reason="nobody answers")
    taken = await file("complaint", {**attitude, "category": "damage", "shipment": shipment("YD-204519")}, ago=200)
    await do(taken, "acknowledge", "ann-7")
    await file(
        "complaint", {"category": "loss", "unit": "east", "severity": "serious", "shipment": shipment("YD-9")}, ago=280
    )
    await file("complaint", {"category": "delay", "unit": "north", "severity": "critical"}, ago=100)
    waiting = await file("complaint", {**delay, "shipment": shipment("YD-204600")}, ago=400)
    await do(waiting, "acknowledge", "sue-1")
    await file("complaint", {"category": "other", "unit": "north"}, ago=420)
    ids["claim"] = await claim_for_approval(console, "YD-300871", "1860.00")
    await claim_for_approval(console, "YD-300902", "640.00")
    await claim_for_approval(console, "YD-301555", "7200.00", "east")
    paid = await claim_for_approval(console, "YD-299120", "150.00")
    await do(paid, "accept_offer", "gus-1", channel="phone")
    inquiry = {"shipment": shipment("YD-4412"), "unit": "north"}
    answered = await file("inquiry", inquiry, ago=500)
    await do(answered, "reply", "ann-7", stage="answer", text="Signed for at noon.")
    await file("inquiry", {**inquiry, "shipment": shipment("YD-4413")}, ago=1000)
    await file("inquiry", {**inquiry, "unit": "east", "shipment": shipment("YD-4414")}, ago=2000)
    known = datetime.now(UTC) - timedelta(minutes=4)
    broken = {"source": "self_found", "known_at": known.isoformat(), "category": "damage", "unit": "east"}
    await file("exception", {**broken, "estimated_amount": "12000.00"}, ago=120)
    done = await file("complaint", {**attitude, "shipment": shipment("YD-1001")}, ago=2 * HOUR)
    await do(done, "resolve", "zhou-3", summary="apologised, freight returned")
    await do(done, "follow_up", "zhou-3", satisfied=True)
    await do(done, "close", "zhou-3")
    ids["closed"] = done
    now = datetime.now(UTC)
    agents = ({"id": "ann-7", "role": "agent"}, {"id": "ben-2", "role": "agent"})
    ends = (now + timedelta(minutes=40)).isoformat()
    handover = {"shift": "S-1", "outgoing": agents[0], "relief": agents[1], "shift_ends_at": ends, "unit": "north"}
    ids["handover"] = await file("handover", handover, key="S-1")
    days = [(now + timedelta(days=day)).isoformat() for day in (9, 10)]
    given = {"id": "S-9", "starts_at": days[0], "ends_at": days[1]}
    swap = {"initiator": agents[0], "counterparty": agents[1], "given": given, "unit": "north"}
    ids["swap"] = await file("swap", swap)
    ids["form"] = await file("penalty_notice", PENALTY)
    ids["message"] = str(await written(console, "Where is my parcel?", {"email": "he@example.org"}, "sample-message"))
    return ids
