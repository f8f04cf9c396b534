"""Measure whole claims per second, compared with the floor of `lifecycles.py`, and the pure core alone.

    python bench/claims.py [--rounds 5] [--lives 100] [--flight 40] [--core 5000]

A claim is filed, acknowledged, answered, assessed, offered, approved, accepted, paid by the embedded
ledger gateway and closed; it counts when its workflow has ended. The pure core assesses claims of every
factor, eligible and not, and rehearses whole claims, on one core of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import Client

from activities.policies.store import Policies
from bench import support
from bench.lifecycles import Life, bare, cost, floor, report, take_turns
from cases import compensation
from cases.kinds.claim_facts import ClaimIntake
from cases.vocabulary.facts import read_intake
from starter.client import CaseClient
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import Prepared, Step
from worker import polling

Command = tuple[str, str, dict[str, Any]]
COMMANDS: tuple[Command, ...] = (
    ("acknowledge", "agent", {}),
    ("answer_claim", "agent", {}),
    ("assess", "agent", {"cause": "company"}),
    ("offer", "agent", {}),
    ("approve", "supervisor", {}),
    ("accept_offer", "customer", {}),
)
CLOSE: Command = ("close", "agent", {})
RECEIVED = datetime.fromisoformat("2026-03-05T09:00:00+08:00")
SHIPMENT = {
    "waybill": "B-1",
    "posted_on": "2026-02-20",
    "base_freight": "20.00",
    "weight_kg": "0.8",
    "route": "domestic",
}
# Total damage of an insured parcel: above what an agent may promise alone.
FACTS: dict[str, Any] = {
    "factor": "damage",
    "claimant": {"relation": "sender"},
    "shipment": {**SHIPMENT, "insured_amount": "500.00"},
    "loss": {"total_value": "500.00", "lost_value": "500.00"},
}
numbers = itertools.count()


def claim(client: Client, pause: float = 0) -> Life:
    """Return a function that runs one claim from filing to closing, pausing ``pause`` seconds before each command."""
    cases = CaseClient(client)

    async def live(_: int) -> str:
        key = f"B-{next(numbers)}"
        posted = datetime.now(RECEIVED.tzinfo) - timedelta(days=3)
        shipment = {**FACTS["shipment"], "waybill": key, "posted_on": posted.date().isoformat()}
        await cases.file("claim", {"key": key, "facts": {**FACTS, "shipment": shipment}}, wait=False)

        async def ask(name: str, role: str, fields: dict[str, Any]) -> None:
            await asyncio.sleep(pause)
            by = {"id": f"{role}-1", "role": role}
            await cases.command(f"claim:{key}", name, {"by": by, "request_id": name, **fields})

        for command in COMMANDS:
            await ask(*command)
        await paid(cases, f"claim:{key}")
        await ask(*CLOSE)
        await client.get_workflow_handle(f"claim:{key}").result()
        return f"claim:{key}"

    return live


async def paid(cases: CaseClient, case_id: str) -> None:
    """Wait until a claim is paid."""
    while True:
        if (await cases.case(case_id))["paid"] is not None:
            return
        await asyncio.sleep(0.2)


def variety() -> Iterator[ClaimIntake]:
    """Yield claims of every factor, cause and degree, insured and not, eligible and not."""
    factors = ("delay", "loss", "damage", "mismatch")
    causes = ("company", "customer", "force_majeure")
    for factor, cause, insured, lost in itertools.product(factors, causes, (None, "500.00"), ("500.00", "123.45")):
        loss: dict[str, Any] = {"total_value": "500.00", "lost_value": lost}
        if factor == "mismatch":
            loss |= {"declared_quantity": 10, "found_quantity": 7}
        shipment = {**SHIPMENT, "promised_at": "2026-02-22T18:00:00+08:00"}
        if factor == "delay":
            shipment["delivered_at"] = "2026-02-24T10:00:00+08:00"
        if insured is not None:
            shipment["insured_amount"] = insured
        facts = {**FACTS, "factor": factor, "cause": cause, "shipment": shipment, "loss": loss}
        intake = read_intake(ClaimIntake, {"key": "B", "facts": facts})
        assert isinstance(intake, ClaimIntake)
        yield intake


def rate(count: int, work: Callable[[int], object]) -> float:
    """Return how many times a second ``work`` can be called; it is called with 0 to ``count - 1``."""
    began = time.perf_counter()
    for number in range(count):
        work(number)
    return count / (time.perf_counter() - began)


def core(count: int, rounds: int) -> None:
    """Print how many claims a second the core assesses, and how many it rehearses from filing to closing."""
    policy = Policies().load("default")
    intakes = list(variety())

    def assess(number: int) -> compensation.Assessment:
        facts = intakes[number % len(intakes)].facts
        return compensation.assess(facts, policy, filed_at=RECEIVED, at=RECEIVED + timedelta(hours=1))

    steps = tuple(
        Step(RECEIVED + timedelta(minutes=1 + number), name, f"{role}-1", role, fields)
        for number, (name, role, fields) in enumerate((*COMMANDS, CLOSE))
    )
    prepared = Prepared("claim", {"key": "B", "facts": FACTS}, RECEIVED, policy, steps)
    assert [event.type for event in run_case(prepared)].count("paid") == 1
    eligible = sum(assess(number).eligible for number in range(len(intakes)))
    print(f"core: {len(intakes)} kinds of claim, {eligible} of them eligible ({support.load()})")
    print(f"  assessments: {support.spread([rate(count, assess) for _ in range(rounds)], 0)} a second")
    rehearsed = [rate(count // 5, lambda _: run_case(prepared)) for _ in range(rounds)]
    print(f"  claims rehearsed from filing to paid and closed: {support.spread(rehearsed, 0)} a second")


async def main() -> None:
    """Run the core alone, then claims and the floor in turns, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lives", type=int, default=100, help="lives in one round")
    parser.add_argument("--flight", type=int, default=40, help="lives at the same time")
    parser.add_argument("--core", type=int, default=5000, help="assessments in one round")
    given = parser.parse_args()
    core(given.core, given.rounds)
    async with support.stack() as (client, settings):
        live = claim(client)
        async with polling(client, settings):
            await live(0)
            for pace, life in (("without a pause", live), ("with a second between steps", claim(client, 1.0))):
                events, size, names = await cost(client, str(await life(0)))
                print(f"history of a paid claim, {pace}: {events} events, {size} bytes")
                print("  " + ", ".join(f"{count} {name.lower()}" for name, count in sorted(names.items())))
                if life is live:
                    activities = names["ACTIVITY_TASK_SCHEDULED"]
        rates = await take_turns(
            given.rounds,
            given.lives,
            given.flight,
            {
                "floor": (lambda: floor(client), bare(client, activities, len(COMMANDS) + 1)),
                "claims": (lambda: polling(client, settings), live),
            },
        )
    report(rates)


if __name__ == "__main__":
    support.run(main)
