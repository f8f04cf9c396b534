"""What tests of kill -9 share: scripts of cases, who kills what, and the comparison with what nothing disturbed.

What each case must come to is said by the pure core, which knows no outage. So that it does not depend on who is
faster, the clocks that matter to a case are either seconds long, and nobody acts before they have run out, or so long
that nobody is ever too late.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from temporalio.client import Client

from activities.messages import NoticeOrder
from activities.notify.contacts import ContactBook
from activities.notify.recipients import deliveries
from activities.policies.store import Policies
from cases.directory import Directory
from cases.policy.model import Policy
from cases.registry import kind_of
from cases.vocabulary.effects import Opening
from cases.vocabulary.events import Event, canonical, fingerprint
from starter.client import CaseClient
from starter.embedded import Stack
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import Prepared, Step, entry_json
from tests.casebook import open_book
from tests.durability.support import Act, Driver, Json, WorkerProcess
from tests.seed import SEED

# What comes from outside, from which nothing follows: it may come in any order between the rest.
EFFECTS = {"notified", "report_sent", "numbered", "opening_done"}
# What depends on what was killed when, on the instant, or on who was first.
LOOSE = {"attempts", "meant", "id", "number"}
INSTANTS = {"due", "dues", "closing_due"}


@dataclass(frozen=True)
class Script:
    """What becomes of a case.

    Args:
        facts: of the instant at which it is received.
        acts: what people do.
        files: what becomes of the case that it files.
    """

    kind: str
    facts: Callable[[datetime], Json]
    acts: tuple[Act, ...]
    policy: str = "default"
    files: Script | None = None

    @property
    def requests(self) -> int:
        """How many requests people send, the filing among them."""
        sent = 1 + sum(2 if act.signal else 1 for act in self.acts)
        return sent if self.files is None else sent + self.files.requests - 1


@dataclass
class Run:
    """One case of a test."""

    case_id: str
    script: Script
    # Known once it is filed, or else once the case that files it is recorded.
    intake: Json = field(default_factory=dict)
    # The case that it has filed.
    filed: Run | None = None
    view: Json = field(default_factory=dict)
    recorded: list[Json] = field(default_factory=list)

    def undisturbed(self, policy: Policy) -> list[Json]:
        """The events of the same case where nothing is ever late."""
        at = received_at = datetime.fromisoformat(self.intake["received_at"])
        steps: list[Step] = []
        for act in self.script.acts:
            at += act.after + timedelta(seconds=1)
            steps.append(Step(at, act.name, act.by["id"], act.by["role"], act.fields))
        prepared = Prepared(self.script.kind, self.intake, received_at, policy, tuple(steps))
        return [entry_json(entry) for entry in run_case(prepared)]

    def files(self, policy: Policy) -> Json:
        """The intake of the case that it has filed, by the rules."""
        case = kind_of(self.script.kind, policy)(policy)
        filing = next(place for place, event in enumerate(self.recorded) if event["type"] == "case_filed")
        case.follow([Event.from_json(event) for event in self.recorded[: filing + 1]])
        [opening] = [effect for effect in case.outbox if isinstance(effect, Opening)]
        return dict(opening.intake)


def runs_of(scripts: Sequence[Script], count: int) -> list[Run]:
    """So many cases, whose scripts take turns."""
    turns = (scripts[number % len(scripts)] for number in range(count))
    return [Run(f"{script.kind}:K-{number}", script) for number, script in enumerate(turns)]


def all_of(runs: Iterable[Run]) -> Iterator[Run]:
    """Yield these cases and those that they have filed."""
    for run in runs:
        yield run
        yield from all_of([run.filed] if run.filed else [])


async def drive(driver: Driver, run: Run) -> None:
    """File a case and do what its script says, to the end."""
    async with driver.slots:
        now = datetime.now(UTC)
        run.intake = {
            "key": run.case_id.partition(":")[2],
            "received_at": now.isoformat(),
            "policy": run.script.policy,
            "facts": run.script.facts(now),
        }
        await driver.insist(lambda: driver.cases.file(run.script.kind, run.intake))
    await _follow(driver, run)


async def _follow(driver: Driver, run: Run) -> None:
    for number, act in enumerate(run.script.acts):
        await asyncio.sleep(act.after.total_seconds())
        async with driver.slots:
            await driver.act(run.case_id, act, number)
    if run.script.files is not None:
        opened = await driver.until(run.case_id, "opening_done")
        assert opened["data"]["outcome"] in ("opened", "same"), opened
        run.filed = Run(opened["data"]["case"], run.script.files)
        await _follow(driver, run.filed)


# --- killing --------------------------------------------------------------------------------------


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


async def live_through(stack: Stack, worker: WorkerProcess, client: Client, database_url: str, runs: list[Run]) -> None:
    """Run cases to their ends while everything is killed once."""
    began, requests = time.monotonic(), sum(run.script.requests for run in runs)
    async with open_book(database_url) as book, asyncio.TaskGroup() as group:
        driver = Driver(CaseClient(client), book, 60)
        for run in runs:
            group.create_task(drive(driver, run))
        killing = group.create_task(havoc(stack, worker, driver, requests, random.Random(SEED)))
    everything = list(all_of(runs))
    async with asyncio.timeout(60):
        # A case ends when all of it is recorded and told.
        views = await asyncio.gather(*(client.get_workflow_handle(run.case_id).result() for run in everything))
    for run, view in zip(everything, views, strict=True):
        run.view = view
    print(f"{time.monotonic() - began:.0f} s, {driver.retried} retries; {killing.result()}")


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
            canonical(
                {name: _timeless(name, value, listed) for name, value in event["data"].items() if name not in LOOSE}
            ),
        )
        for event in listed
    ]


def _timeless(name: str, value: Any, events: list[Json]) -> Any:
    if name in INSTANTS:
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


def by_time(events: list[Json]) -> Iterator[tuple[str, timedelta]]:
    """What time alone brought about, and how long after somebody did something last."""
    since = datetime.fromisoformat(events[0]["at"])
    for e in events:
        at, data = datetime.fromisoformat(e["at"]), e["data"]
        if e["actor"]["role"] != "system":
            since = at
        elif (
            e["type"] in ("clock_breached", "reminded")
            or data.get("cause") in ("unacknowledged", "deadline")
            or data.get("slip") == "reminder"
        ):
            yield e["type"], at - since


def messages(case_id: str, events: list[Json], book: ContactBook) -> Iterator[str]:
    """The ids of the messages that the notices of a case must have become."""
    for event in events:
        if event["type"] == "notified":
            data = event["data"]
            meant = events[data["of"] - 1]
            clause = event["clauses"][0]
            name = data["notice"]
            copy = f"/{data['no']}" if "no" in data else ""
            id = f"{case_id}/{data['of']}/{name}{copy}/{fingerprint(meant)}"
            assert data["id"] == id
            order = NoticeOrder(id, name, data["roles"], clause, meant)
            wanted, _ = deliveries(order, {}, book.current(), Directory(), datetime.fromisoformat(meant["at"]))
            yield from (way.id for delivery in wanted for way in delivery.ways)


async def check(runs: Sequence[Run], cases: CaseClient, database_url: str, folder: Path) -> None:
    """Compare what is recorded and told with what an undisturbed run comes to."""
    policies, contacts = Policies(folder / "policies"), ContactBook(folder / "contacts.toml")
    everything, mail = list(all_of(runs)), list[str]()
    async with open_book(database_url) as book:
        for number, run in enumerate(everything):
            run.recorded = recorded = await book.events(run.case_id)
            policy = policies.load(run.script.policy)
            if run.filed is not None:
                run.filed.intake = run.files(policy)
            wanted = run.undisturbed(policy)
            assert stable(decided(recorded)) == stable(decided(wanted)), run
            assert Counter(stable(recorded)) == Counter(stable(wanted)), run
            # No outage moves a deadline, however late it was noticed.
            assert list(by_time(recorded)) == list(by_time(wanted)), run
            assert [event["seq"] for event in recorded] == list(range(1, run.view["events"] + 1)), run
            if number % 10 == 0:
                # The workflow, derived once more from its history, says the same as the ledger.
                assert await cases.timeline(run.case_id) == recorded, run
            mail += messages(run.case_id, recorded, contacts)
        report = await book.verify()
    events = [event for run in everything for event in run.recorded]
    assert (report.fault, report.cases, report.events) == (None, len(everything), len(events))
    # A message that was sent again has the same id, and so the same file. (What a worker was writing
    # when it was killed has another ending.)
    assert Counter(mail) == Counter(path.stem for path in (folder / "data" / "mail").glob("*.eml"))
    connection = await asyncpg.connect(database_url)
    try:
        rows = [await connection.fetchval(f"SELECT count(*) FROM {t}") for t in ("case_event", "notification")]
    finally:
        await connection.close()
    assert rows == [len(events), sum(event["type"] == "notified" for event in events)]
