"""Measure how fast cases come back: from their ledgers into the engine, and to timers that fell due meanwhile.

    python bench/recovery.py [--cases 10000] [--events 50 500 5000] [--due 2000]

First the engine has lost every open case of a casebook that `fill_casebook.py` has made, then all of them run and are
started again; `caseladder recover` and the worker are processes of their own. A pause is the time from the instant at
which the run before was ended, and the new one began, to the first task in which the new one has its case: commands
that come meanwhile are answered then. It is read from the histories of some of the cases. Then single cases of many
events are started from their ledgers. At last the worker is killed, cases fall due, and it is started again; what
they do then is looked up in the ledger. Memory is what a process holds (RSS), looked at five times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg
import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from activities.casebook.record import Recorder
from activities.database.database import Database
from activities.messages import Batch
from activities.policies.store import Policies
from bench import support
from bench.fill_casebook import fill
from bench.lifecycles import cost
from bench.punctuality import LIMIT, recorded
from cases.registry import KINDS
from cases.vocabulary.commands import read_command
from cases.vocabulary.contract import OPENED, TASK_QUEUE
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from starter.settings import Settings
from workflows.state import FROM_LEDGER

MB = 1_000_000
INQUIRY = {"shipment": {"waybill": "W-1", "posted_on": "2026-03-02"}}
ME = {"id": "ag-1", "role": "agent"}
# Of so many cases the pauses are read.
SAMPLE = 500
# Cases of one length, and the characters of each of their notes.
SAME, NOTE = 5, 200
FLIGHT = 40
# Nothing that is waited for may stand still for so many seconds.
STILL = 120
# Cases that have come to another run than they were held by at first.
_MOVED = "SELECT count(*) FROM case_file JOIN before USING (case_id) WHERE case_file.held_by <> before.run"
_RUNS = "CREATE TEMP TABLE before AS SELECT case_id, coalesce(held_by, '') AS run FROM case_file"


class Watched:
    """A process of `caseladder` on the stack of the bench: megabytes held at most, seconds on the processor.

    Args:
        process: the process, whose memory is looked at until it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.peak = self.used = 0.0
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        with suppress(psutil.Error):
            while self.process.returncode is None:
                self.peak = max(self.peak, self.memory())
                self.used = sum(psutil.Process(self.process.pid).cpu_times()[:2])
                await asyncio.sleep(0.2)

    def memory(self) -> float:
        """Return the megabytes that the process holds now."""
        return float(psutil.Process(self.process.pid).memory_info().rss / MB)

    async def kill(self) -> None:
        """Kill the process, if it has not ended, and wait until it has."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._looking


async def caseladder(settings: Settings, *arguments: str) -> Watched:
    """Start a command on the stack that runs on the data folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "caseladder", *arguments,
        env=support.environment(settings), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return Watched(process)


@asynccontextmanager
async def working(client: Client, settings: Settings) -> AsyncIterator[Watched]:
    """Run a worker for the block, from when it answers."""
    worker = await caseladder(settings, "worker")
    try:
        with suppress(Refused):
            # Leaves no case behind.
            await CaseClient(client).open("inquiry", {"key": uuid4().hex, "policy": "none", "facts": INQUIRY})
        yield worker
    finally:
        await worker.kill()


def servers() -> dict[str, float]:
    """Return how many seconds on the processor the servers of the stack have used, with processes that have ended."""
    used = {"engine": 0.0, "PostgreSQL": 0.0}
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            name = child.name()
            if name in ("temporal", "postgres"):
                own = [sum(one.cpu_times()[:2]) for one in child.children(recursive=True)]
                used["engine" if name == "temporal" else "PostgreSQL"] += sum(child.cpu_times()[:4]) + sum(own)
    return used


async def until(count: Callable[[], Awaitable[int]], wanted: int) -> float:
    """Wait until a count is reached; return how many seconds it took."""
    began = moved = time.perf_counter()
    last = -1
    while (found := await count()) < wanted:
        now = time.perf_counter()
        if found != last:
            last, moved = found, now
        assert now - moved < STILL, f"{found} of {wanted}, and no more for {STILL} s"
        await asyncio.sleep(0.5)
    return time.perf_counter() - began


# --- many cases -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recovered:
    """What `caseladder recover` did: the cases that it started again, in how many seconds."""

    cases: list[str]
    seconds: float
    command: Watched


async def recover(settings: Settings, mode: str) -> Recovered:
    """Run `caseladder recover` to its end."""
    began = time.perf_counter()
    command = await caseladder(settings, "recover", mode, "--json")
    try:
        answer, _ = await command.process.communicate()
    finally:
        await command.kill()
    seconds = time.perf_counter() - began
    outcomes = json.loads(answer)["cases"]
    failed = [one for one in outcomes if one["why_not"]]
    assert not failed, failed[0]
    return Recovered([one["case_id"] for one in outcomes if one["restarted"]], seconds, command)


async def pause(client: Client, case_id: str) -> float:
    """Return for how many seconds a case that was started from its ledger answered no commands."""
    loaded = False
    began = None
    async for event in client.get_workflow_handle(case_id).fetch_history_events(wait_new_event=True):
        began = began or event.event_time.ToDatetime()
        loaded = loaded or event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        if loaded and event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return (event.event_time.ToDatetime() - began).total_seconds()
    raise AssertionError(f"{case_id} was not loaded")


async def many(client: Client, settings: Settings, count: int) -> None:
    """Start the cases that the engine lost, then all of them once more."""
    dsn = support.owner(settings)
    filled = await fill(dsn, closed=0, opened=count)
    print(f"{filled.cases} open cases with {filled.events} events", flush=True)
    async with working(client, settings) as worker:
        for mode in ("--engine-lost", "--all-open"):
            connection = await asyncpg.connect(dsn)
            await connection.execute(_RUNS)

            async def moved(connection: asyncpg.Connection = connection) -> int:
                return int(await connection.fetchval(_MOVED))

            before = {"worker": worker.used, **servers()}
            recovered = await recover(settings, mode)
            started = len(recovered.cases)
            behind = await until(moved, started)
            await connection.close()
            after = {"worker": worker.used, **servers()}
            used = {"recover": recovered.command.used} | {name: after[name] - before[name] for name in after}
            chosen = random.Random(1).sample(recovered.cases, min(SAMPLE, started))
            pauses = [await pause(client, case_id) for case_id in chosen]
            print(
                f"recover {mode}: {started} cases in {recovered.seconds:.0f} s, {started / recovered.seconds:.0f} a "
                f"second; the last one had its case {behind:.0f} s later ({support.load()})\n"
                f"  pause of a case: median {median(pauses):.2f} s, p99 {support.percentile(pauses, 99):.2f} s, "
                f"worst {max(pauses):.2f} s, of {len(pauses)}\n"
                "  processor, a case: "
                + ", ".join(f"{name} {1000 * seconds / started:.1f} ms" for name, seconds in used.items())
                + f"\n  memory: recover {recovered.command.peak:.0f} MB, worker {worker.peak:.0f} MB",
                flush=True,
            )


# --- long cases -------------------------------------------------------------------------------------


async def write(settings: Settings, key: str, count: int) -> str:
    """Record a complaint with so many events, nearly all of them notes, and return its id."""
    kind, policy = KINDS["complaint"], Policies().load("default")
    start = datetime.now(UTC) - timedelta(minutes=1)
    intake = read_intake(kind.INTAKE, {"key": key, "facts": {"category": "delay"}})
    case = kind.open(intake, policy, start)
    case.rehearse_effects(start, "ok", "ok")
    case.decide(read_command(kind.COMMANDS, "acknowledge", {"by": ME}), start)
    for number in range(count - len(case.events)):
        # Different words, since what repeats itself packs too well.
        text = f"{random.Random(number).randbytes(NOTE // 2).hex()}"
        at = start + timedelta(milliseconds=number)
        case.decide(read_command(kind.COMMANDS, "note", {"by": ME, "text": text}), at)
    case_id, events, view = f"complaint:{key}", [event.as_json() for event in case.events], case.view()
    async with Database.open(address(settings)) as database:
        for place in range(0, count, 200):
            part = events[place : place + 200]
            pinned = None if place else policy.document
            await Recorder(database).record(Batch(case_id, case.KIND, part, view, "bench", policy_document=pinned))
    return case_id


async def long(client: Client, settings: Settings, count: int) -> None:
    """Start some cases of one length from their ledgers, one after the other."""
    ids = [await write(settings, f"L-{count}-{number}", count) for number in range(SAME)]
    warm = await write(settings, f"W-{count}", 20)
    answered, replayed = [], []

    async def start(case_id: str, head: int) -> float:
        begun = time.perf_counter()
        given = {"key": case_id.partition(":")[2], FROM_LEDGER: {"head_seq": head}}
        handle = await client.start_workflow(KINDS["complaint"].WORKFLOW, given, id=case_id, task_queue=TASK_QUEUE)
        view: dict[str, Any] = await handle.execute_update(OPENED)
        assert view["events"] == head, view
        return time.perf_counter() - begun

    async def note(case_id: str) -> float:
        begun = time.perf_counter()
        await client.get_workflow_handle(case_id).execute_update("note", {"by": ME, "text": "again"})
        return time.perf_counter() - begun

    async with working(client, settings) as worker:
        await start(warm, 20)
        await asyncio.sleep(1)
        before = worker.memory()
        answered = [await start(case_id, count) for case_id in ids]
        await asyncio.sleep(1)
        held, peak = (worker.memory() - before) / SAME, worker.peak
    sizes = [await cost(client, case_id) for case_id in ids]
    async with working(client, settings):
        await note(warm)
        replayed = [await note(case_id) for case_id in ids]
    print(
        f"a case of {count} events: answers {support.spread(answered)} s after its start; history of "
        f"{median(size for _, size, _ in sizes) / 1000:.0f} kB; worker {held:.1f} MB a case, {peak:.0f} MB at most; "
        f"a command that replays it {support.spread(replayed)} s ({support.load()})",
        flush=True,
    )


# --- timers that fell due ---------------------------------------------------------------------------


async def due(client: Client, settings: Settings, count: int) -> None:
    """Kill the worker, let cases fall due, start it, and wait until all have escalated and told of it."""
    assert settings.policies is not None
    support.write_policy(settings.policies, "due", "PT30M")
    cases, connection = CaseClient(client), await asyncpg.connect(address(settings))
    others = await connection.fetchval("SELECT count(*) FROM case_file")

    async def file(key: str, received_at: datetime) -> None:
        intake = {"key": key, "policy": "due", "received_at": received_at.isoformat()}
        await cases.file("complaint", {**intake, "facts": {"category": "delay"}}, wait=False)

    async with working(client, settings):
        begun = time.perf_counter()
        first = count // 10
        # How long the others will take, these tell; they fall due much later.
        await support.at_once(first, FLIGHT, lambda n: file(f"T-{n}", datetime.now(UTC)))
        await recorded(connection, others + first)
        instant = datetime.now(UTC) + timedelta(seconds=20 + 2 * (time.perf_counter() - begun) * count / first)
        await support.at_once(count, FLIGHT, lambda n: file(f"D-{n}", instant - LIMIT))
        await recorded(connection, others + first + count)
        assert datetime.now(UTC) < instant, "the cases fell due before all of them were open"
    await asyncio.sleep(max(0.0, (instant - datetime.now(UTC)).total_seconds()) + 1)
    started = datetime.now(UTC)

    async def counted(type_: str) -> int:
        query = "SELECT count(*) FROM case_event WHERE type = $1 AND recorded_at >= $2"
        return int(await connection.fetchval(query, type_, started))

    async with working(client, settings) as worker:
        await until(lambda: counted("escalated"), count)
        await until(lambda: counted("notified"), count)
        peak = worker.peak
    rows = await connection.fetch(
        "SELECT type, extract(epoch FROM recorded_at - $1)::float8 AS late FROM case_event"
        " WHERE type IN ('escalated', 'notified') AND recorded_at >= $1",
        started,
    )
    await connection.close()
    escalated = [row["late"] for row in rows if row["type"] == "escalated"]
    told = [row["late"] for row in rows if row["type"] == "notified"]
    print(
        f"{count} cases fell due without a worker; after the start of one they have escalated: the first in "
        f"{min(escalated):.1f} s, half in {median(escalated):.1f} s, all in {max(escalated):.1f} s; "
        f"all have told of it in {max(told):.1f} s; worker {peak:.0f} MB ({support.load()})",
        flush=True,
    )


def address(settings: Settings) -> str:
    """Return the address of the casebook's database."""
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


async def main() -> None:
    """Measure all three, each on a stack of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="open cases; 0 to leave them out")
    parser.add_argument("--events", type=int, nargs="*", default=[50, 500, 5000], help="of a single case")
    parser.add_argument("--due", type=int, default=2000, help="cases that fall due; 0 to leave them out")
    given = parser.parse_args()
    if given.cases:
        async with support.stack() as (client, settings):
            await many(client, settings, given.cases)
    if given.events:
        async with support.stack() as (client, settings):
            for count in given.events:
                await long(client, settings, count)
    if given.due:
        async with support.stack() as (client, settings):
            await due(client, settings, given.due)


if __name__ == "__main__":
    support.run(main)
