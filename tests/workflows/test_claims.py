"""Claims through the real shell: opened by a complaint, paid through the worker's gateway, and once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from cases.vocabulary.parcels import Found
from cases.vocabulary.refusals import Refused
from starter.payouts import payouts_of
from starter.settings import Settings
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import Backend, Handle, Json, open_backend

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


async def until(backend: Backend, case: Handle, **wanted: Any) -> Json:
    """The view of a case once it shows these values."""
    return await eventually(
        lambda: case.query("case"), lambda view: all(view.get(name) == value for name, value in wanted.items())
    )


async def agree(backend: Backend, case: Handle, *, insured: bool = False) -> None:
    """All that is done on a claim until its offer is accepted."""
    await backend.do(case, "acknowledge")
    await backend.do(case, "answer_claim", text="within 30 days")
    await backend.do(case, "assess", cause="company")
    await backend.do(case, "offer")
    if insured:
        # As a system does that only fires and forgets.
        await case.signal("approve", {"by": {"id": "supervisor-1", "role": "supervisor"}})
        await eventually(lambda: case.query("case"), lambda view: view["offered"] is not None)
    await backend.do(case, "accept_offer", "customer")


# --- from a complaint -----------------------------------------------------------------------------


async def test_a_complaint_opens_a_claim_that_lives_on_without_it(backend: Backend) -> None:
    customer = {"name": "Zhang San", "phone": "13800000000"}
    facts = {"category": "damage", "unit": "north", "shipment": SHIPMENT, "customer": customer, "description": "broken"}
    complaint = await backend.file(facts=facts)
    await backend.do(complaint, "acknowledge")

    view = await backend.do(complaint, "open_claim")

    claim = backend.handle(view["claim"])
    assert claim.id == f"claim:{complaint.id.partition(':')[2]}-claim"
    opened = await eventually(lambda: _case(claim), lambda view: view.get("status") == "open")
    assert (opened["parent"], opened["unit"]) == (complaint.id, "north")
    assert opened["facts"]["factor"] == "damage"
    assert opened["facts"]["shipment"]["base_freight"] == "20.00"
    # Whose claim it is travels beside the ledger.
    await backend.recorded(claim)
    assert await backend.book.personal(claim.id) == {"customer": customer}
    assert "Zhang" not in str(await backend.timeline(claim))

    await backend.do(complaint, "resolve", summary="a claim goes on")
    await backend.do(complaint, "close")
    assert (await complaint.result())["claim"] == claim.id

    await backend.do(claim, "assess", cause="company", loss=LOSS)
    assert (await claim.query("case"))["assessment"]["total"] == "100.00"
    await backend.do(claim, "withdraw", "customer")


async def _case(case: Handle) -> Json:
    """The view of a case that may not be there yet."""
    try:
        view: Json = await case.query("case")
    except RPCError:
        return {}
    return view


async def test_filing_again_what_a_complaint_has_opened_gives_the_same_claim_or_a_conflict(backend: Backend) -> None:
    complaint = await backend.file(facts={"category": "damage", "shipment": SHIPMENT})
    view = await backend.do(complaint, "open_claim")
    claim = backend.handle(view["claim"])
    await eventually(lambda: _case(claim), lambda view: view.get("status") == "open")

    with pytest.raises(Refused) as caught:
        await backend.client.file("claim", {"key": claim.id.partition(":")[2], "facts": FACTS})
    assert caught.value.code == "conflict"
    with pytest.raises(Refused) as caught:
        await backend.do(complaint, "open_claim")
    assert caught.value.code == "claim_open"


async def test_a_key_that_is_taken_is_recorded_and_leaves_the_other_claim_alone(backend: Backend) -> None:
    complaint = await backend.file(facts={"category": "damage", "shipment": SHIPMENT})
    key = f"{complaint.id.partition(':')[2]}-claim"
    await backend.client.file("claim", {"key": key, "facts": FACTS})
    other = backend.handle(f"claim:{key}")
    before = (await other.query("case"))["facts"]

    await backend.do(complaint, "open_claim")

    done = await eventually(lambda: backend.timeline(complaint, "opening_done"), lambda events: len(events) == 1)
    [asked] = await backend.timeline(complaint, "claim_opened")
    assert done[0]["data"] == {"of": asked["seq"], "case": other.id, "outcome": "conflict", "failed": True}
    assert done[0]["actor"]["role"] == "system"
    view = await other.query("case")
    assert (view["facts"], view["parent"]) == (before, None)


# --- paid -----------------------------------------------------------------------------------------


async def test_a_claim_from_filing_to_paid(backend: Backend) -> None:
    case = await backend.file("claim", {**FACTS, "shipment": {**SHIPMENT, "insured_amount": "500.00"}})

    await agree(backend, case, insured=True)

    view = await until(backend, case, status="resolved")
    assert (view["assessment"]["total"], view["offered"], view["agreed"]) == ("520.00", "520.00", "520.00")
    events = await backend.recorded(case)
    [requested] = [event for event in events if event["type"] == "payout_requested"]
    [paid] = [event for event in events if event["type"] == "paid"]
    assert requested["data"] == {"amount": "520.00", "payee": "claimant"}
    assert paid["data"] == {"amount": "520.00", "reference": view["paid"]}
    clocks = {clock["clock"]: clock["state"] for clock in view["clocks"]}
    assert (clocks["claim_answer"], clocks["proposal"], clocks["payout"]) == ("met", "met", "met")
    for name, code in (("accept_offer", "resolved"), ("offer", "resolved"), ("assess", "resolved")):
        with pytest.raises(Refused) as caught:
            await backend.do(case, name, "supervisor")
        assert caught.value.code == code
    with pytest.raises(Refused) as caught:
        await backend.do(case, "confirm_payment", "finance", reference="BANK-1")
    assert caught.value.code == "already_paid"
    await backend.do(case, "close")
    assert (await case.result())["outcome"] == "resolved"


@pytest.mark.long
async def test_three_books_agree_on_what_was_paid(postgres: Cluster, casebook_template: str, tmp_path: Path) -> None:
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with time_skipping() as env, open_backend(env, database, tmp_path) as own:
        cases = [await own.file("claim", FACTS) for _ in range(3)]
        for case in cases:
            await agree(own, case)
        for case in cases:
            await until(own, case, status="resolved")
            await own.recorded(case)
        report = await payouts_of(Settings(data=tmp_path), own.book.database).reconcile()
        assert (report.ok, report.payouts, report.paid, report.total) == (True, 3, 3, Decimal("300.00"))
        for case in cases:
            await own.do(case, "close")
            await case.result()


async def test_a_reopened_claim_pays_nothing_more(backend: Backend) -> None:
    case = await backend.file("claim", FACTS)
    await agree(backend, case)
    await until(backend, case, status="resolved")
    await backend.do(case, "reopen", "customer", reason="too little")
    # Nothing is agreed or paid a second time.
    for name, role, fields in (("accept_offer", "customer", {}), ("offer", "general_manager", {"amount": "900.00"})):
        with pytest.raises(Refused) as caught:
            await backend.do(case, name, role, **fields)
        assert caught.value.code == "agreed"
    assert len(await backend.timeline(case, "paid")) == len(await backend.timeline(case, "payout_requested")) == 1
    await backend.do(case, "resolve")
    await backend.do(case, "close")
    await case.result()


async def test_a_rehearsed_claim_pays_once_over_many_runs(backend: Backend) -> None:
    """Each run has room for little, so what is owed and what is paid is carried over again and again."""
    facts = {**FACTS, "shipment": {**SHIPMENT, "posted_on": "2026-03-01"}}
    case = await backend.rehearse("claim", facts, payout="manual", continue_after=25)
    await agree(backend, case)
    for _ in range(8):
        await backend.do(case, "note", text="asked again")
    await backend.wait(case, timedelta(days=8))
    with pytest.raises(Refused) as caught:
        await backend.do(case, "resolve")
    assert caught.value.code == "payout_owed"
    await backend.do(case, "confirm_payment", "finance", reference="BANK-1")
    events = await backend.timeline(case)
    assert [event["data"] for event in events if event["type"] == "paid"] == [
        {"amount": "100.00", "reference": "BANK-1"}
    ]
    assert len([event for event in events if event["type"] == "payout_requested"]) == 1
    breached = [event["data"]["clock"] for event in events if event["type"] == "clock_breached"]
    # The general manager, who then holds it, does not react either.
    assert breached == ["payout", "rung"]
    assert (await case.describe()).run_id != case.first_execution_run_id
    await case.terminate()


# --- one parcel, one claim ------------------------------------------------------------------------


def parcel(waybill: str) -> Json:
    """The facts of a claim on one parcel."""
    return {**FACTS, "shipment": {**SHIPMENT, "waybill": waybill}}


async def test_filing_shows_other_claims_on_the_parcel_and_an_offer_waits_for_them(backend: Backend) -> None:
    first = await backend.file("claim", parcel("twice-1"))
    await backend.recorded(first)
    view = await backend.client.file("claim", {"key": "twice-b", "facts": parcel("TWICE-1")})
    assert view["earlier_claims"] == [{"case": first.id, "state": "open"}]
    second = backend.handle("claim:twice-b")
    # Sent one after the other: the offer waits for what the assessment asked.
    await backend.do(second, "assess", cause="company")
    with pytest.raises(Refused) as caught:
        await backend.do(second, "offer")
    assert caught.value.code == "waybill_claimed"
    await backend.do(second, "clear_waybill", "supervisor", reason="another piece of the shipment")
    await backend.do(second, "offer")
    for case in (first, second):
        await backend.do(case, "withdraw", "customer")


async def test_what_was_agreed_twice_at_once_is_paid_once(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither knew of the other when its offer was made: the payment looks once more."""

    async def nothing(*_: object) -> Found:
        return Found()

    monkeypatch.setattr("activities.casebook.parcel.Parcels.of", nothing)
    first, second = [await backend.file("claim", parcel("at-once")) for _ in range(2)]
    await agree(backend, first)
    await until(backend, first, status="resolved")
    await agree(backend, second)

    failed = await eventually(lambda: backend.timeline(second, "payout_failed"), bool)
    assert failed[0]["data"] == {"reason": "waybill_claimed"}
    view = await second.query("case")
    assert (view["earlier_claims"], view["paid"]) == ([{"case": first.id, "state": "paid"}], None)
    await backend.do(second, "clear_waybill", "supervisor", reason="the other piece of the shipment")
    await until(backend, second, status="resolved")


@pytest.mark.long
async def test_an_offer_does_not_wait_for_long(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the casebook away an offer goes out, and the payment waits."""
    asked = asyncio.Event()

    async def silent(*_: object) -> None:
        asked.set()
        raise ApplicationError("away")

    monkeypatch.setattr("activities.casebook.parcel.Parcels.of", silent)
    case = await backend.file("claim", parcel("away-1"))
    await asked.wait()
    await backend.do(case, "assess", cause="company")
    view = await backend.do(case, "offer")
    assert view["offered"] == "100.00"
    monkeypatch.undo()
    await backend.do(case, "accept_offer", "customer")
    await until(backend, case, status="resolved")
