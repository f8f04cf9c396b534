"""Claims through the real shell: opened by a complaint, paid through the worker's gateway, and once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.service import RPCError

from cases.vocabulary.refusals import Refused
from starter import payouts
from starter.settings import Settings
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.office import Handle, Json, Office, open_office

POSTED = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
SHIPMENT = {"waybill": "W1", "posted_on": POSTED, "base_freight": "20.00", "weight_kg": "0.8"}
LOSS = {"total_value": "1000.00", "lost_value": "1000.00"}
# Total damage: 20.00 and min(100.00, 80.00).
FACTS: dict[str, Any] = {
    "factor": "damage",
    "claimant": {"relation": "sender"},
    "shipment": SHIPMENT,
    "loss": LOSS,
}


async def until(office: Office, case: Handle, **wanted: Any) -> Json:
    """The view of a case once it shows these values."""
    return await eventually(
        lambda: case.query("case"), lambda view: all(view.get(name) == value for name, value in wanted.items())
    )


async def agree(office: Office, case: Handle, *, insured: bool = False) -> None:
    """All that is done on a claim until its offer is accepted."""
    await office.do(case, "acknowledge")
    await office.do(case, "answer_claim", text="within 30 days")
    await office.do(case, "assess", cause="company")
    await office.do(case, "offer")
    if insured:
        # As a system does that only fires and forgets.
        await case.signal("approve", {"by": {"id": "supervisor-1", "role": "supervisor"}})
        await eventually(lambda: case.query("case"), lambda view: view["offered"] is not None)
    await office.do(case, "accept_offer", "customer")


# --- from a complaint -----------------------------------------------------------------------------


async def test_a_complaint_opens_a_claim_that_lives_on_without_it(office: Office) -> None:
    customer = {"name": "Zhang San", "phone": "13800000000"}
    facts = {"category": "damage", "unit": "north", "shipment": SHIPMENT, "customer": customer, "description": "broken"}
    complaint = await office.file(facts=facts)
    await office.do(complaint, "acknowledge")

    view = await office.do(complaint, "open_claim")

    claim = office.handle(view["claim"])
    assert claim.id == f"claim:{complaint.id.partition(':')[2]}-claim"
    opened = await eventually(lambda: _case(claim), lambda view: view.get("status") == "open")
    assert (opened["parent"], opened["unit"]) == (complaint.id, "north")
    assert opened["facts"]["factor"] == "damage"
    assert opened["facts"]["shipment"]["base_freight"] == "20.00"
    # Whose claim it is travels beside the ledger.
    await office.recorded(claim)
    assert await office.book.personal(claim.id) == {"customer": customer}
    assert "Zhang" not in str(await office.timeline(claim))

    await office.do(complaint, "resolve", summary="a claim goes on")
    await office.do(complaint, "close")
    assert (await complaint.result())["claim"] == claim.id

    await office.do(claim, "assess", cause="company", loss=LOSS)
    assert (await claim.query("case"))["assessment"]["total"] == "100.00"
    await office.do(claim, "withdraw", "customer")


async def _case(case: Handle) -> Json:
    """The view of a case that may not be there yet."""
    try:
        view: Json = await case.query("case")
    except RPCError:
        return {}
    return view


async def test_filing_again_what_a_complaint_has_opened_gives_the_same_claim_or_a_conflict(office: Office) -> None:
    complaint = await office.file(facts={"category": "damage", "shipment": SHIPMENT})
    view = await office.do(complaint, "open_claim")
    claim = office.handle(view["claim"])
    await eventually(lambda: _case(claim), lambda view: view.get("status") == "open")

    with pytest.raises(Refused) as caught:
        await office.client.file("claim", {"key": claim.id.partition(":")[2], "facts": FACTS})
    assert caught.value.code == "conflict"
    with pytest.raises(Refused) as caught:
        await office.do(complaint, "open_claim")
    assert caught.value.code == "claim_open"


async def test_a_key_that_is_taken_is_recorded_and_leaves_the_other_claim_alone(office: Office) -> None:
    complaint = await office.file(facts={"category": "damage", "shipment": SHIPMENT})
    key = f"{complaint.id.partition(':')[2]}-claim"
    await office.client.file("claim", {"key": key, "facts": FACTS})
    other = office.handle(f"claim:{key}")
    before = (await other.query("case"))["facts"]

    await office.do(complaint, "open_claim")

    refused = await eventually(lambda: office.timeline(complaint, "command_refused"), lambda events: len(events) == 1)
    assert refused[0]["data"] == {"command": "open_claim", "code": "conflict"}
    assert refused[0]["actor"]["role"] == "system"
    view = await other.query("case")
    assert (view["facts"], view["parent"]) == (before, None)


# --- paid -----------------------------------------------------------------------------------------


async def test_a_claim_from_filing_to_paid(office: Office) -> None:
    case = await office.file("claim", {**FACTS, "shipment": {**SHIPMENT, "insured_amount": "500.00"}})

    await agree(office, case, insured=True)

    view = await until(office, case, status="resolved")
    assert (view["assessment"]["total"], view["offered"], view["agreed"]) == ("520.00", "520.00", "520.00")
    events = await office.recorded(case)
    [requested] = [event for event in events if event["type"] == "payout_requested"]
    [paid] = [event for event in events if event["type"] == "paid"]
    assert requested["data"] == {"amount": "520.00"}
    assert paid["data"] == {"amount": "520.00", "reference": view["paid"]}
    clocks = {clock["clock"]: clock["state"] for clock in view["clocks"]}
    assert (clocks["claim_answer"], clocks["proposal"], clocks["payout"]) == ("met", "met", "met")
    for name, code in (("accept_offer", "resolved"), ("offer", "resolved"), ("assess", "resolved")):
        with pytest.raises(Refused) as caught:
            await office.do(case, name, "supervisor")
        assert caught.value.code == code
    with pytest.raises(Refused) as caught:
        await office.do(case, "confirm_payment", "finance", reference="BANK-1")
    assert caught.value.code == "already_paid"
    await office.do(case, "close")
    assert (await case.result())["outcome"] == "resolved"


async def test_three_books_agree_on_what_was_paid(postgres: Cluster, casebook_template: str, tmp_path: Path) -> None:
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with time_skipping() as env, open_office(env, database, tmp_path) as own:
        cases = [await own.file("claim", FACTS) for _ in range(3)]
        for case in cases:
            await agree(own, case)
        for case in cases:
            await until(own, case, status="resolved")
            await own.recorded(case)
        async with payouts.connect(Settings(data=tmp_path, database_url=SecretStr(database)), size=1) as book:
            report = await book.reconcile()
        assert (report.ok, report.payouts, report.paid, report.total) == (True, 3, 3, Decimal("300.00"))
        for case in cases:
            await own.do(case, "close")
            await case.result()


async def test_a_reopened_claim_pays_nothing_more(office: Office) -> None:
    case = await office.file("claim", FACTS)
    await agree(office, case)
    await until(office, case, status="resolved")
    await office.do(case, "reopen", "customer", reason="too little")
    # Nothing is agreed or paid a second time.
    for name, role, fields in (("accept_offer", "customer", {}), ("offer", "general_manager", {"amount": "900.00"})):
        with pytest.raises(Refused) as caught:
            await office.do(case, name, role, **fields)
        assert caught.value.code == "agreed"
    assert len(await office.timeline(case, "paid")) == len(await office.timeline(case, "payout_requested")) == 1
    await office.do(case, "resolve")
    await office.do(case, "close")
    await case.result()


async def test_a_rehearsed_claim_pays_once_over_many_runs(office: Office) -> None:
    """Each run has room for little, so what is owed and what is paid is carried over again and again."""
    facts = {**FACTS, "shipment": {**SHIPMENT, "posted_on": "2026-03-01"}}
    case = await office.rehearse("claim", facts, payout="manual", continue_after=25)
    await agree(office, case)
    for _ in range(8):
        await office.do(case, "note", text="asked again")
    await office.wait(case, timedelta(days=8))
    with pytest.raises(Refused) as caught:
        await office.do(case, "resolve")
    assert caught.value.code == "payout_owed"
    await office.do(case, "confirm_payment", "finance", reference="BANK-1")
    events = await office.timeline(case)
    assert [event["data"] for event in events if event["type"] == "paid"] == [
        {"amount": "100.00", "reference": "BANK-1"}
    ]
    assert len([event for event in events if event["type"] == "payout_requested"]) == 1
    breached = [event["data"]["clock"] for event in events if event["type"] == "clock_breached"]
    # The general manager, who then holds it, does not react either.
    assert breached == ["payout", "rung"]
    assert (await case.describe()).run_id != case.first_execution_run_id
    await case.terminate()
