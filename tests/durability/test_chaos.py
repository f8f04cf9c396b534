"""kill -9 of the worker, of the Temporal server and of PostgreSQL while 200 complaints run.

What each case must come to is said by the pure core, which knows no outage. So that it does not
depend on who is faster, the clocks that matter to a case are either seconds long, and nobody acts
before they have run out, or so long that nobody is ever too late.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from activities.messages import NoticeOrder
from activities.notify.contacts import ContactBook
from activities.notify.recipients import deliveries
from activities.policies.store import Policies
from cases.directory import Directory
from cases.vocabulary.events import canonical, fingerprint
from starter.client import CaseClient
from starter.embedded import Stack
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import Prepared, Step, entry_json
from tests.casebook import open_book
from tests.durability.support import (
    AGENT,
    MANAGER,
    SUPERVISOR,
    TOP,
    Act,
    Driver,
    Json,
    WorkerProcess,
    policy_text,
    running,
)
from tests.seed import SEED

pytestmark = pytest.mark.long

CASES = 200
NEVER = datetime.min.replace(tzinfo=UTC)
# What waits on the outside: it may come in any order between the rest.
EFFECTS = {"notified", "report_sent"}


@dataclass(frozen=True)
class Script:
    """What becomes of a case: its policy, and what people do once ``after`` has passed."""

    policy: str
    limits: Mapping[str, str]
    after: timedelta
    acts: tuple[Act, ...]
    source: str = "customer"


SCRIPTS = (
    # Nobody reacts until it has reached the top and was reminded there once; again only in an hour.
    Script(
        "climbs",
        {"complaint.clocks.rung": "PT2S", "ladder.reminders": "PT1H"},
        timedelta(seconds=9),
        (Act("acknowledge", TOP), Act("resolve", TOP, {"summary": "settled"}), Act("close", TOP)),
    ),
    # Acted on at once, within clocks of minutes and hours.
    Script(
        "acted",
        {},
        timedelta(),
        (
            Act("acknowledge", AGENT, signal=True),
            Act("log_contact", AGENT, {"reached": False, "reason": "no answer"}),
            Act("log_contact", AGENT, {"reached": True}),
            Act("reply", AGENT, {"stage": "answer"}),
            Act("resolve", AGENT),
            Act("close", AGENT),
        ),
        source="platform",
    ),
    # The interim reply is missed, so the supervisor holds it; then it climbs by hand.
    Script(
        "missed",
        {"complaint.clocks.interim_reply": "PT3S", "ladder.reminders": "PT1H"},
        timedelta(seconds=4),
        (
            Act("acknowledge", SUPERVISOR),
            Act("request_approval", SUPERVISOR, {"subject": "refund", "amount": "300.00"}),
            Act("approve", MANAGER, {"subject": "refund"}),
            Act("escalate", SUPERVISOR, {"reason": "asked for it"}, signal=True),
            Act("resolve", MANAGER),
            Act("close", MANAGER),
        ),
    ),
)


@dataclass
class Run:
    """One case of the test."""

    number: int
    script: Script
    # Known once it is filed.
    received_at: datetime = NEVER
    view: Json = field(default_factory=dict)

    @property
    def case_id(self) -> str:
        return f"complaint:K-{self.number}"

    @property
    def intake(self) -> Json:
        return {
            "key": f"K-{self.number}",
            "received_at": self.received_at.isoformat(),
            "policy": self.script.policy,
            "facts": {"category": "delay", "source": self.script.source, "customer": {"phone": "13800000000"}},
        }

    def undisturbed(self, policies: Policies) -> list[Json]:
        """The events of the same case where nothing is ever late."""
        steps = tuple(
            Step(
                self.received_at + self.script.after + timedelta(seconds=1 + number),
                act.name,
                act.by["id"],
                act.by["role"],
                act.fields,
            )
            for number, act in enumerate(self.script.acts)
        )
        policy = policies.load(self.script.policy)
        entries = run_case(Prepared("complaint", self.intake, self.received_at, policy, steps))
        return [entry_json(entry) for entry in entries]


async def drive(driver: Driver, run: Run) -> None:
    """File a case and do what its script says, to the end."""
    async with driver.slots:
        run.received_at = datetime.now(UTC)
        await driver.insist(lambda: driver.cases.file("complaint", run.intake))
    wait = run.received_at + run.script.after - datetime.now(UTC)
    await asyncio.sleep(max(0.0, wait.total_seconds()))
    for number, act in enumerate(run.script.acts):
        async with driver.slots:
            if act.name == "close":
                # Closing ends the report's clock, met or not: so not before the report is out.
                await driver.until(run.case_id, "report_sent")
            await driver.act(run.case_id, act, number)


class Mortal(Protocol):
    """What can be killed and started again."""

    async def start(self) -> None: ...

    async def kill(self) -> None: ...


async def havoc(
    stack: Stack, worker: WorkerProcess, driver: Driver, requests: int, chance: random.Random
) -> dict[str, tuple[int, float]]:
    """Kill each part once, somewhere in its third of the requests; when and for how long it was away."""
    log: dict[str, tuple[int, float]] = {}
    parts: dict[str, Mortal] = {"worker": worker, "Temporal": stack.temporal, "PostgreSQL": stack.postgres}
    for number, (name, part) in enumerate(parts.items()):
        moment = int(requests * (0.05 + 0.3 * number + 0.25 * chance.random()))
        await driver.reached(moment)
        away = chance.uniform(0.5, 3.0)
        await part.kill()
        await asyncio.sleep(away)
        await part.start()
        log[name] = (moment, round(away, 1))
    return log


# --- comparing ------------------------------------------------------------------------------------


def stable(events: Iterable[Json]) -> list[tuple[Any, ...]]:
    """Events without times and without places in the order; a notice names the event that it is of."""
    listed = list(events)
    return [
        (
            event["type"],
            event["actor"]["id"],
            event["actor"]["role"],
            tuple(event["clauses"]),
            # How often it was tried to tell somebody depends on what was killed when, an id on the instant.
            canonical(
                {
                    name: _timeless(name, value, listed)
                    for name, value in event["data"].items()
                    if name not in ("attempts", "meant", "id")
                }
            ),
        )
        for event in listed
    ]


def _timeless(name: str, value: Any, events: list[Json]) -> Any:
    if name in ("due", "dues"):
        return "an instant"
    if name == "of":
        meant = events[value - 1]
        same = sum(e["type"] == meant["type"] and e["data"].get("clock") == meant["data"].get("clock")
                   for e in events[: value])  # fmt: skip
        return (meant["type"], meant["data"].get("clock"), same)
    return value


def decided(events: Iterable[Json]) -> list[Json]:
    """The events in the order in which the case decides them: all but what comes from outside."""
    return [
        e for e in events
        if e["type"] not in EFFECTS and not (e["type"] == "clock_met" and e["data"]["clock"] == "report")
    ]  # fmt: skip


def by_time(events: Iterable[Json], received_at: datetime) -> list[tuple[str, timedelta]]:
    """What time alone brought about, and how long after the receipt."""
    return [
        (e["type"], datetime.fromisoformat(e["at"]) - received_at)
        for e in events
        if e["type"] in ("clock_breached", "reminded") or e["data"].get("cause") in ("unacknowledged", "deadline")
    ]


def messages(case_id: str, events: list[Json], book: ContactBook) -> set[str]:
    """The ids of the messages that the notices of a case must have become."""
    found: set[str] = set()
    for event in events:
        if event["type"] == "notified":
            data = event["data"]
            meant = events[data["of"] - 1]
            clause = event["clauses"][0]
            name = data["notice"]
            id = f"{case_id}/{data['of']}/{name}/{fingerprint(meant)}"
            assert data["id"] == id
            order = NoticeOrder(id, name, data["roles"], clause, meant)
            wanted, _ = deliveries(order, {}, book.current(), Directory(), datetime.fromisoformat(meant["at"]))
            found.update(way.id for delivery in wanted for way in delivery.ways)
    return found


# Most of it is waiting for task timeouts of the dead; a busy machine takes its time over the rest.
@pytest.mark.timeout(300)
async def test_kills_change_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    runs = [Run(number, SCRIPTS[number % len(SCRIPTS)]) for number in range(CASES)]
    requests = sum(1 + sum(2 if act.signal else 1 for act in run.script.acts) for run in runs)
    policies = {script.policy: policy_text(script.policy, script.limits) for script in SCRIPTS}
    async with running(tmp_path, policies) as (stack, worker, client, database_url):
        async with open_book(database_url) as book, asyncio.TaskGroup() as group:
            driver = Driver(CaseClient(client), book, 60)
            for run in runs:
                group.create_task(drive(driver, run))
            killing = group.create_task(havoc(stack, worker, driver, requests, random.Random(SEED)))
        async with asyncio.timeout(60):
            # A case ends when all of it is recorded and told.
            views = await asyncio.gather(*(client.get_workflow_handle(run.case_id).result() for run in runs))
        print(f"{time.monotonic() - began:.0f} s, {driver.retried} retries; {killing.result()}")
        for run, view in zip(runs, views, strict=True):
            run.view = view
        await check(runs, CaseClient(client), database_url, tmp_path)


async def check(runs: list[Run], cases: CaseClient, database_url: str, folder: Path) -> None:
    """Compare what is recorded and told with what an undisturbed run comes to."""
    policies, contacts = Policies(folder / "policies"), ContactBook(folder / "contacts.toml")
    mail: set[str] = set()
    events = notices = 0
    async with open_book(database_url) as book:
        for run in runs:
            recorded, wanted = await book.events(run.case_id), run.undisturbed(policies)
            assert stable(decided(recorded)) == stable(decided(wanted)), run
            assert Counter(stable(recorded)) == Counter(stable(wanted)), run
            # No outage moves a deadline, however late it was noticed.
            assert by_time(recorded, run.received_at) == by_time(wanted, run.received_at), run
            assert [event["seq"] for event in recorded] == list(range(1, run.view["events"] + 1)), run
            if run.number % 10 == 0:
                # The workflow, derived once more from its history, says the same as the ledger.
                assert await cases.timeline(run.case_id) == recorded, run
            events += len(recorded)
            notices += sum(event["type"] == "notified" for event in recorded)
            mail |= messages(run.case_id, recorded, contacts)
        report = await book.verify()
    assert (report.fault, report.cases, report.events) == (None, len(runs), events)
    # A message that was sent again has the same id, and so the same file. (What a worker was writing
    # when it was killed has another ending.)
    assert {path.stem for path in (folder / "data" / "mail").glob("*.eml")} == mail
    connection = await asyncpg.connect(database_url)
    try:
        rows = [await connection.fetchval(f"SELECT count(*) FROM {t}") for t in ("case_event", "notification")]
    finally:
        await connection.close()
    assert rows == [events, notices]
