"""Subscriptions on a real server: a worker dies in the middle of a delivery, another one goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.database.migrate import migrate
from activities.events.outbound import Guard
from activities.events.subscriptions import Subscriptions
from starter.embedded.temporal import temporal_binary
from starter.settings import Settings
from starter.subscriptions import wake
from tests.activities.test_feed import batch
from tests.casebook import Book, open_book
from tests.postgres import Cluster, as_writer
from tests.receiver import Call, Receiver, always, receiver
from tests.temporal import address, eventually
from tests.workflows.strict import replays
from worker import polling

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class DeliverySetup:
    """A Temporal server and a database with subscriptions."""

    client: Client
    dsn: str
    book: Book
    subscriptions: Subscriptions
    settings: Settings

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker process, which the test may kill."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "CASELADDER_"))}
        process = subprocess.Popen(
            [sys.executable, "-m", "worker"],
            cwd=ROOT,
            env={
                **own,
                "TEMPORAL_CONFIG_FILE": os.devnull,
                "TEMPORAL_ADDRESS": address(self.client),
                "CASELADDER_DATABASE_URL": as_writer(self.dsn),
                "CASELADDER_PRIVATE_SUBSCRIBERS": "loopback",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def calls(self, receiver: Receiver, wanted: int, seconds: float = 120) -> None:
        """Wait until a receiver has got so many calls."""

        async def seen() -> int:
            return len(receiver.calls)

        await eventually(seen, lambda count: count >= wanted, seconds)

    async def ended(self, id: str) -> str:
        """Wait until the workflow of a subscription has ended, and return its result."""
        result: str = await asyncio.wait_for(self.client.get_workflow_handle(f"subscription:{id}").result(), 10)
        return result


@pytest.fixture(scope="module")
async def setup(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DeliverySetup]:
    """A separate Temporal server, on which no other worker polls and short histories continue as new."""
    dsn = await postgres.fresh_database()
    await migrate(dsn)
    settings = Settings(
        data=tmp_path_factory.mktemp("setup"), database_url=SecretStr(as_writer(dsn)), private_subscribers="loopback"
    )
    env = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=40"],
        data_converter=pydantic_data_converter,
    )
    try:
        async with open_book(dsn) as book:
            made = Subscriptions(book.database, Guard("loopback"))
            yield DeliverySetup(env.client, dsn, book, made, settings)
    finally:
        await env.shutdown()
        # The client's threads must come to rest before the interpreter may end (temporalio/sdk-python issue 300).
        await asyncio.sleep(0.25)


@pytest.mark.long
async def test_a_killed_worker_s_delivery_is_taken_over(setup: DeliverySetup) -> None:
    async with receiver() as hook:
        # Nobody starts a workflow for it: the worker sees to that.
        made, _ = await setup.subscriptions.add(hook.url())
        for case_id in ("complaint:A", "complaint:B"):
            await setup.book.record(batch(case_id, 1, 6))

        async def stuck(call: Call) -> str:
            return "hang" if call.event_key[1] == 3 else "200 OK"

        hook.behaviour = stuck
        with setup.process() as worker:
            await setup.calls(hook, 6)
            worker.kill()
        hook.behaviour = always("200 OK")
        before = len(hook.calls)
        async with polling(setup.client, setup.settings):
            await setup.calls(hook, before + 12)
            await setup.subscriptions.remove(made.id)

    ids: dict[tuple[str, int], set[str]] = {}
    for call in hook.calls:
        ids.setdefault(call.event_key, set()).add(call.id)
    # Nothing is lost, and whatever came twice came with the same id.
    assert sorted(ids) == [(case_id, seq) for case_id in ("complaint:A", "complaint:B") for seq in range(1, 7)]
    assert all(len(known) == 1 for known in ids.values())
    for case_id in ("complaint:A", "complaint:B"):
        assert [seq for case, seq in hook.event_keys()[before:] if case == case_id] == [1, 2, 3, 4, 5, 6]


@pytest.mark.long
async def test_a_dead_subscriber_is_parked_and_goes_on_when_it_is_resumed(setup: DeliverySetup) -> None:
    async with receiver() as hook, receiver() as other, polling(setup.client, setup.settings):
        hook.behaviour = always("500 Internal Server Error")
        dead, _ = await setup.subscriptions.add(hook.url(), retry_for=timedelta(milliseconds=300))
        alive, _ = await setup.subscriptions.add(other.url())
        for one in (dead, alive):
            await wake(setup.client, one.id)
        await setup.book.record(batch("complaint:P", 1, 2))
        await setup.calls(other, 2)
        assert await setup.ended(dead.id) == "parked"
        assert (await setup.subscriptions.get(dead.id)).state == "parked"
        assert set(hook.event_keys()) == {("complaint:P", 1)}

        tried = len(hook.calls)
        hook.behaviour = always("200 OK")
        await setup.subscriptions.resume(dead.id)
        await wake(setup.client, dead.id)
        await setup.calls(hook, tried + 2)
        assert hook.event_keys()[tried:] == [("complaint:P", 1), ("complaint:P", 2)]
        assert other.event_keys() == [("complaint:P", 1), ("complaint:P", 2)]
        for one in (dead, alive):
            await setup.subscriptions.remove(one.id)
            await wake(setup.client, one.id)
        assert [await setup.ended(one.id) for one in (dead, alive)] == ["removed", "removed"]


async def test_who_waits_for_the_next_try_is_woken(setup: DeliverySetup) -> None:
    async with receiver() as hook, polling(setup.client, setup.settings):
        hook.behaviour = always("503 Service Unavailable\nretry-after: 3000")
        made, _ = await setup.subscriptions.add(hook.url())
        await setup.book.record(batch("complaint:W", 1, 1))
        await wake(setup.client, made.id)
        await eventually(lambda: setup.subscriptions.get(made.id), lambda seen: seen.failing_since is not None)

        hook.behaviour = always("200 OK")
        await setup.subscriptions.resume(made.id)
        await wake(setup.client, made.id)
        await setup.calls(hook, 2)
        await setup.subscriptions.remove(made.id)
        await wake(setup.client, made.id)
        assert await setup.ended(made.id) == "removed"
    assert hook.event_keys() == [("complaint:W", 1)] * 2
    # Whoever takes it over decides the same.
    await replays(setup.client.get_workflow_handle(f"subscription:{made.id}"))


async def test_it_goes_on_for_ever_in_short_histories(setup: DeliverySetup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.events.delivery.RUN", 0.01)
    monkeypatch.setattr("activities.events.delivery.POLL", 0.01)
    async with receiver() as hook, polling(setup.client, setup.settings):
        made, _ = await setup.subscriptions.add(hook.url())
        await wake(setup.client, made.id)
        first = (await setup.client.get_workflow_handle(f"subscription:{made.id}").describe()).run_id
        begun = setup.client.get_workflow_handle(f"subscription:{made.id}", run_id=first)

        async def status() -> WorkflowExecutionStatus | None:
            return (await begun.describe()).status

        await eventually(status, lambda seen: seen == WorkflowExecutionStatus.CONTINUED_AS_NEW)
        await setup.book.record(batch("complaint:F", 1, 1))
        await setup.calls(hook, 1)
        await setup.subscriptions.remove(made.id)
        assert await setup.ended(made.id) == "removed"
    assert hook.event_keys() == [("complaint:F", 1)]
