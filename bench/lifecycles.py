"""Measure whole complaint lifecycles per second, compared with a floor on the same server in the same run.

    python bench/lifecycles.py [--rounds 5] [--lives 100] [--flight 40]

A lifecycle is file, acknowledge, interim reply, answer, resolve, close. It counts when the workflow
has ended, which means that everything is recorded in PostgreSQL and every notice is written to a file.
The floor is a bare workflow that receives as many updates and runs as many local activities, all of
them empty. The rounds of all variants alternate, so that other load on the machine affects all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from statistics import median
from typing import Any

from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from activities.messages import BEGIN, NOTIFY, RECORD, Batch, BeginOrder, Begun, NoticeBatch, NoticeResult, Recorded
    from activities.policies.store import Policies
    from bench import support
    from cases.vocabulary.contract import TASK_QUEUE
    from starter.client import CaseClient
    from worker import polling
    from workflows.registry import RUNNER, case_workflows

ME = {"by": {"id": "ag-1", "role": "agent"}}
Commands = tuple[tuple[str, dict[str, Any]], ...]
COMMANDS: Commands = (
    ("acknowledge", {}),
    ("reply", {"stage": "interim"}),
    ("reply", {"stage": "answer"}),
    ("resolve", {}),
    ("close", {}),
)
FACTS = {"category": "delay", "unit": "east", "customer": {"name": "Wang", "phone": "13800000000"}}
EMPTY = "empty"
numbers = itertools.count()

Life = Callable[[int], Awaitable[object]]
# The variants that are compared: by name, the worker and the lifecycle that it runs.
Variants = Mapping[str, tuple[Callable[[], AbstractAsyncContextManager[object]], Life]]


@workflow.defn
class Bare:
    """The floor: as many updates and empty local activities as a lifecycle has, and nothing else."""

    def __init__(self) -> None:
        self._asked = 0

    @workflow.run
    async def run(self, activities: int, updates: int) -> None:
        """Run one activity after each update; if there are more activities than updates, run the rest first."""
        for _ in range(activities - updates):
            await self._empty()
        for done in range(updates):
            await workflow.wait_condition(lambda: self._asked > done)  # noqa: B023 - awaited at once
            if done < activities:
                await self._empty()
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update
    def ask(self, body: dict[str, Any]) -> int:
        """Count one request."""
        self._asked += 1
        return self._asked

    async def _empty(self) -> None:
        await workflow.execute_local_activity(EMPTY, start_to_close_timeout=timedelta(seconds=2))


@activity.defn(name=EMPTY)
async def empty() -> None:
    """Do nothing."""


@activity.defn(name=RECORD)
async def record_nothing(batch: Batch) -> Recorded:
    """Record nothing, in place of the casebook."""
    return Recorded("2026-01-0001", batch.events[-1]["seq"])


@activity.defn(name=BEGIN)
async def begin_anything(order: BeginOrder) -> Begun:
    """Take every case for a new one, in place of the casebook."""
    return Begun(Policies().load(order.policy).document)


@activity.defn(name=NOTIFY)
async def notify_nobody(batch: NoticeBatch) -> list[NoticeResult]:
    """Send nothing, in place of the notifier."""
    return [NoticeResult(order.id, order.name, order.roles, "sent", "email") for order in batch.notices]


def complaint(client: Client, pause: float = 0, commands: Commands = COMMANDS) -> Life:
    """Return a function that runs one complaint to its end, pausing ``pause`` seconds before each command."""
    cases = CaseClient(client)

    async def live(_: int) -> str:
        key = f"B-{next(numbers)}"
        await cases.file("complaint", {"key": key, "facts": FACTS}, wait=False)
        for request, (name, fields) in enumerate(commands):
            await asyncio.sleep(pause)
            await cases.command(f"complaint:{key}", name, {**ME, "request_id": str(request), **fields})
        await client.get_workflow_handle(f"complaint:{key}").result()
        return f"complaint:{key}"

    return live


def bare(client: Client, activities: int, updates: int = len(COMMANDS)) -> Life:
    """Return a function that runs one bare workflow from start to end."""

    async def live(_: int) -> None:
        handle = await client.start_workflow(
            Bare.run, args=[activities, updates], id=f"bare-{next(numbers)}", task_queue="bare"
        )
        for request in range(updates):
            await handle.execute_update(Bare.ask, {**ME, "request_id": str(request)})
        await handle.result()

    return live


@asynccontextmanager
async def stubbed(client: Client, *activities: Callable[..., Any]) -> AsyncIterator[None]:
    """Run a worker for complaints with these activities in place of the real ones."""
    async with Worker(
        client, task_queue=TASK_QUEUE, workflows=case_workflows(), activities=activities, workflow_runner=RUNNER
    ):
        yield


async def cost(client: Client, case_id: str) -> tuple[int, int, Counter[str]]:
    """Return the number of events, the bytes, and the number of events by type of a case's history."""
    history = await client.get_workflow_handle(case_id).fetch_history()
    names = Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events)
    return len(history.events), sum(event.ByteSize() for event in history.events), names


async def main() -> None:
    """Run all variants in turns and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lives", type=int, default=100, help="lives in one round")
    parser.add_argument("--flight", type=int, default=40, help="lives at the same time")
    given = parser.parse_args()
    async with support.stack() as (client, settings):
        live = complaint(client)
        async with polling(client, settings):
            await live(0)
            for pace, life in (("without a pause", live), ("with a second between steps", complaint(client, 1.0))):
                events, size, names = await cost(client, str(await life(0)))
                print(f"history of a resolved complaint, {pace}: {events} events, {size} bytes")
                print("  " + ", ".join(f"{count} {name.lower()}" for name, count in sorted(names.items())))
                if life is live:
                    activities = names["MARKER_RECORDED"] + names["ACTIVITY_TASK_SCHEDULED"]
        variants: Variants = {
            "floor": (lambda: floor(client), bare(client, activities)),
            "complaints": (lambda: polling(client, settings), live),
            "without casebook and notices": (
                lambda: stubbed(client, begin_anything, record_nothing, notify_nobody),
                live,
            ),
        }
        rates = await take_turns(given.rounds, given.lives, given.flight, variants)
    report(rates)


async def take_turns(rounds: int, lives: int, flight: int, variants: Variants) -> dict[str, list[float]]:
    """Run the variants in turns and print each round.

    Returns:
        The lives per second of each variant, round by round.
    """
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, (serve, life) in variants.items():
            async with serve():
                # The first turn only warms up.
                count = lives if turn else flight
                taken = await support.at_once(count, flight, life)
            if turn:
                rates[name].append(count / taken)
        if turn:
            shown = ", ".join(f"{name} {found[-1]:.1f}/s" for name, found in rates.items())
            print(f"round {turn}: {shown} ({support.load()})", flush=True)
    return rates


@asynccontextmanager
async def floor(client: Client) -> AsyncIterator[None]:
    """Run a worker for the bare workflow."""
    async with Worker(client, task_queue="bare", workflows=[Bare], activities=[empty]):
        yield


def report(rates: dict[str, list[float]], base: str = "floor") -> None:
    """Print each variant's rate and its ratio to one of them, round by round."""
    for name, found in rates.items():
        ratios = [rate / of_base for rate, of_base in zip(found, rates[base], strict=True)]
        share = median(found) / median(rates[base])
        print(f"{name}: {support.spread(found, 1)} lives/s")
        print(f"  {share:.2f} of the {base}; round by round {support.spread(ratios)}")


if __name__ == "__main__":
    support.run(main)
