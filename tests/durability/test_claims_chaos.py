"""kill -9 of the worker and a payment gateway that misbehaves while 100 claims are agreed on and paid.

Each claim has an amount of its own, said here and not by the code under test. In the end three books
are compared: the gateway's own, our payout book and the ledger.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from starter.client import CaseClient
from tests.casebook import open_book
from tests.cli.program import spawn
from tests.durability.support import (
    AGENT,
    MANAGER,
    SUPERVISOR,
    TOP,
    Act,
    Driver,
    Json,
    WorkerProcess,
    environment,
    policy_text,
    running,
)
from tests.gateway import SECRET, TOKEN, MisbehavingGateway, misbehaving_gateway
from tests.seed import SEED

pytestmark = [pytest.mark.long, pytest.mark.alone]

CLAIMS = 100
CUSTOMER = {"id": "portal", "role": "customer"}
FREIGHT = Decimal("20.00")
# Answers that come later than the worker waits (10 s).
LATE = 11.0
POLICY = "impatient"

# What is insured, from which on each claim is a little more; and who must approve it.
LEVELS: tuple[tuple[Decimal, Act | None], ...] = (
    (Decimal("40.00"), None),
    (Decimal("500.00"), Act("approve", SUPERVISOR, {"subject": "offer"}, signal=True)),
    (Decimal("3000.00"), Act("approve", MANAGER)),
    (Decimal("20000.00"), Act("approve", TOP, {"reason": "as assessed"})),
)


@dataclass(frozen=True)
class Claim:
    """One claim of the test: total damage of an insured parcel."""

    number: int

    @property
    def case_id(self) -> str:
        return f"claim:K-{self.number}"

    @property
    def payout_key(self) -> str:
        return f"{self.case_id}/payout"

    @property
    def insured(self) -> Decimal:
        return LEVELS[self.number % len(LEVELS)][0] + Decimal(self.number) + Decimal(self.number) / 100

    @property
    def amount(self) -> str:
        """What is due: the insured amount and the freight (S0-A.3.2)."""
        return f"{self.insured + FREIGHT:.2f}"

    @property
    def approval(self) -> Act | None:
        return LEVELS[self.number % len(LEVELS)][1]

    @property
    def intake(self) -> Json:
        value = f"{self.insured:.2f}"
        shipment = {
            "waybill": f"YT-{self.number}",
            "posted_on": (datetime.now(UTC) - timedelta(days=3)).date().isoformat(),
            "base_freight": f"{FREIGHT}",
            "insured_amount": value,
        }
        facts = {
            "factor": "damage",
            "claimant": {"relation": "sender"},
            "shipment": shipment,
            "loss": {"total_value": value, "lost_value": value},
        }
        return {"key": f"K-{self.number}", "policy": POLICY, "facts": facts}


async def agree(driver: Driver, claim: Claim) -> None:
    """All that is done on a claim from filing it to the agreement."""
    # The same content whenever it is sent again.
    intake = claim.intake
    acts = [Act("acknowledge", AGENT), Act("answer_claim", AGENT), Act("assess", AGENT, {"cause": "company"})]
    acts += [Act("offer", AGENT), *([claim.approval] if claim.approval else []), Act("accept_offer", CUSTOMER)]
    # Some are agreed on, and paid, while others are not yet filed.
    async with driver.slots:
        await driver.insist(lambda: driver.cases.file("claim", intake))
        for number, act in enumerate(acts):
            if act.name == "accept_offer":
                # What was approved by a signal is offered whenever the signal arrives.
                await driver.until(claim.case_id, "offered")
            await driver.act(claim.case_id, act, number)


async def finish(driver: Driver, claim: Claim) -> None:
    """Close a claim once it is paid."""
    await driver.until(claim.case_id, "paid")
    await driver.act(claim.case_id, Act("close", AGENT), 99)


async def havoc(
    worker: WorkerProcess, driver: Driver, gateway: MisbehavingGateway, chance: random.Random
) -> AsyncIterator[str]:
    """Kill the worker once while the first claims are agreed on and twice while claims are paid.

    Yields:
        How many orders the gateway had received, and for how many seconds there was no worker.
    """
    await driver.reached(chance.randint(20, 100))
    for orders in (0, chance.randint(2, 10), chance.randint(15, 30)):
        await received(gateway, orders)
        away = chance.uniform(0.3, 1.5)
        seen = len(gateway.orders)
        await worker.kill()
        await asyncio.sleep(away)
        await worker.start()
        yield f"{seen} orders, {away:.1f} s"


async def received(gateway: MisbehavingGateway, orders: int) -> None:
    """Wait until the gateway has received so many orders."""
    while True:
        if len(gateway.orders) >= orders:
            return
        await asyncio.sleep(0.02)


async def pay_all(driver: Driver, claims: list[Claim], worker: WorkerProcess, gateway: MisbehavingGateway) -> None:
    """Agree on all claims while things go wrong, and close them once they are paid."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for claim in claims:
            group.create_task(agree(driver, claim))
        async for killed in havoc(worker, driver, gateway, random.Random(SEED)):
            print(f"killed after {time.monotonic() - began:.0f} s: {killed}")
    print(f"agreed after {time.monotonic() - began:.0f} s")
    # From now on the gateway behaves, so there is an end to it.
    gateway.share = 0.0
    await asyncio.gather(*(finish(driver, claim) for claim in claims))


# Most of it is waiting: for the answers of the gateway, for the time limits of what the dead were at.
@pytest.mark.timeout(240)
async def test_every_claim_is_paid_exactly_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    claims = [Claim(number) for number in range(CLAIMS)]
    policies = {POLICY: policy_text(POLICY, {"claim.payout_retries": "PT1S"})}
    began = time.monotonic()
    with misbehaving_gateway(delay=LATE) as gateway:
        gateway.chance, gateway.share = random.Random(SEED), 0.35
        # These say no: the case hears of it and orders again, under the same key.
        gateway.posts = ["refuse", "fail", "refuse_in_words", "fail"]
        extra = {
            "CASELADDER_PAYOUT_URL": gateway.url,
            "CASELADDER_PAYOUT_TOKEN": TOKEN,
            "CASELADDER_PAYOUT_CALLBACK_SECRET": SECRET,
        }
        async with running(tmp_path, policies, extra) as (_, worker, client, url), open_book(url) as book:
            driver = Driver(CaseClient(client), book, 30)
            try:
                async with asyncio.timeout(200):
                    await pay_all(driver, claims, worker, gateway)
                    views = await asyncio.gather(*(client.get_workflow_handle(c.case_id).result() for c in claims))
            finally:
                print(f"{time.monotonic() - began:.0f} s, {driver.retried} requests to cases sent again")
                print(f"the last one because of {driver.last_error!r}")
            sent = Counter(gateway.orders)
            again = sum(times > 1 for times in sent.values())
            print(
                f"{len(gateway.requests)} requests to the gateway, {sum(sent.values())} of them orders, {again} again"
            )
            assert again > 0
            await check(claims, views, gateway, url)
            reconciled = spawn("payouts", "reconcile", "--json", env=environment(tmp_path, extra))
        total = sum((Decimal(claim.amount) for claim in claims), Decimal())
        assert reconciled.json == {
            "ok": True,
            "gateway": gateway.url,
            "payouts": CLAIMS,
            "paid": CLAIMS,
            "total": f"{total:.2f}",
            "unchecked": 0,
            "differences": [],
        }


async def check(claims: list[Claim], views: list[Json], gateway: MisbehavingGateway, database_url: str) -> None:
    """Compare the gateway's own book with what is due, and ours with the gateway's."""
    assert gateway.paid() == {claim.payout_key: [claim.amount] for claim in claims}
    # Nothing stands there beside it: no second order of a claim, none that waits or failed.
    assert len(gateway.book) == CLAIMS
    proofs = {line.key: line.reference for line in gateway.book}
    assert len(set(proofs.values())) == CLAIMS
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch("SELECT key, case_id, amount::text, state, reference, gateway FROM payout")
    finally:
        await connection.close()
    assert {tuple(row.values()) for row in rows} == {
        (claim.payout_key, claim.case_id, claim.amount, "paid", proofs[claim.payout_key], gateway.url)
        for claim in claims
    }
    failures = events = 0
    async with open_book(database_url) as book:
        for claim, view in zip(claims, views, strict=True):
            recorded = await book.events(claim.case_id)
            found = {
                type_: [event["data"] for event in recorded if event["type"] == type_]
                for type_ in ("approved", "offered", "agreed", "payout_requested", "payout_failed", "paid")
            }
            proof = proofs[claim.payout_key]
            assert found["paid"] == [{"amount": claim.amount, "reference": proof}], claim
            to = {"amount": claim.amount, "payee": "claimant"}
            assert found["offered"] == [{"amount": claim.amount}], claim
            assert found["agreed"] == [{**to, "relation": "sender"}], claim
            assert len(found["approved"]) == (claim.approval is not None), claim
            # It was ordered again only after a refusal.
            assert found["payout_requested"] == [to] * (1 + len(found["payout_failed"])), claim
            assert (view["paid"], view["agreed"], view["outcome"]) == (proof, claim.amount, "resolved"), claim
            assert [event["seq"] for event in recorded] == list(range(1, view["events"] + 1)), claim
            failures += len(found["payout_failed"])
            events += len(recorded)
        report = await book.verify()
    assert failures > 0
    assert (report.fault, report.cases, report.events) == (None, CLAIMS, events)
