"""The worker as operators have it: a process with settings, metrics, a log, signals and an exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.database.migrate import migrate
from cases.vocabulary.contract import TASK_QUEUE
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from starter.embedded import Ports, Stack
from starter.embedded.server import free_port
from tests.temporal import eventually
from worker import PROGRAM
from workflows.attributes import TYPES

ROOT = Path(__file__).parents[1]
# With the default policy nothing would fall due for minutes; what is due before a slow machine looks needs no timer.
QUICK = 'name = "quick"\nextends = "default"\n[complaint.clocks.rung]\nelapsed = "PT3S"\n'
# A webhook is refused for good, since no secret is set; what is mailed depends on the test.
CONTACTS = "".join(
    f'[roles.{role}]\nemail = ["{role}@staff.example"]\nwebhook = ["http://127.0.0.1:9/hook-token"]\n'
    for role in ("agent", "supervisor", "qa_manager", "general_manager")
)
PERSON = {"name": "Zhang Xiaoming", "phone": "13800138000", "email": "xiaoming@home.example", "ref": "member-4711"}
DESCRIPTION = "the blue vase of my grandmother"
# What must not be found in a log, besides who works here and where they are reached.
SECRET = (*PERSON.values(), DESCRIPTION, "vase", "staff.example", "hook-token")
# Seconds.
HOLD = 1.5
AGENT = {"id": "ag-1", "role": "agent"}


@dataclass(frozen=True)
class WorkerSetup:
    """A running stack and what configures a worker on it."""

    folder: Path
    address: str
    client: Client
    database: str
    settings: dict[str, str]

    @contextmanager
    def worker(self, log: str, **extra: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """A worker that polls, and the file of what it says on either stream."""
        said = self.folder / log
        with said.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker"],
                cwd=ROOT,
                env={**environment(), **self.settings, **extra},
                stdout=stream,
                stderr=stream,
            )
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Day:
    """What a worker's working day has left behind; ``took`` is how many seconds it needed to stop."""

    case: str
    turned_away: str
    no_policy: str
    metrics: str
    log: str
    code: int
    took: float

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log, line by line."""
        return [json.loads(line) for line in self.log.splitlines()]


def environment() -> dict[str, str]:
    """This process's environment without anything that configures the worker."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "CASELADDER_"))}
    return {**own, "TEMPORAL_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="module")
async def setup(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkerSetup]:
    """A stack of this module's own."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "contacts.toml").write_text(CONTACTS)
    (folder / "policies").mkdir()
    (folder / "policies" / "quick.toml").write_text(QUICK)
    settings = {
        "CASELADDER_DATA": str(folder / "data"),
        # Nobody waits a minute for a digest here.
        "CASELADDER_DIGEST_HOLD": "0",
        "CASELADDER_CONTACTS": str(folder / "contacts.toml"),
        "CASELADDER_POLICIES": str(folder / "policies"),
    }
    async with Stack(folder / "data", TYPES, Ports(0, 0, 0)) as addresses:
        await migrate(addresses.owner_url)
        client = await Client.connect(addresses.temporal, data_converter=pydantic_data_converter)
        yield WorkerSetup(folder, addresses.temporal, client, addresses.owner_url, settings)


@pytest.fixture(scope="module")
async def day(setup: WorkerSetup) -> AsyncIterator[Day]:
    """A case climbs while no mail server answers, and much is asked that is refused."""
    metrics_port, mail_port, cases = free_port(0), free_port(0), CaseClient(setup.client)
    settings = {"CASELADDER_METRICS_PORT": str(metrics_port), "CASELADDER_SMTP_URL": f"smtp://127.0.0.1:{mail_port}"}
    with setup.worker("day.log", **settings) as (process, log):
        # What falls due before a worker is there is acted on at once, and not by a timer.
        await eventually(lambda: asyncio.to_thread(log.read_text), lambda text: '"polling"' in text)
        facts = {"category": "damage", "customer": PERSON, "description": DESCRIPTION}
        view = await cases.file("complaint", {"key": "climbs", "policy": "quick", "facts": facts})
        case = str(view["id"])
        with pytest.raises(Refused):
            await cases.command(case, "extend", {"by": AGENT, "clock": DESCRIPTION, "due": PERSON["phone"]})
        with pytest.raises(Refused):
            await cases.command(case, "close", {"by": AGENT, "request_id": PERSON["ref"]})
        await cases.signal(case, "reject", {"by": AGENT, "reason": f"{PERSON['name']} {PERSON['phone']}"})
        refused = await setup.client.start_workflow(
            "Complaint",
            {"key": "refused", "facts": {**facts, "category": DESCRIPTION}},
            id="complaint:refused",
            task_queue=TASK_QUEUE,
            start_signal="escalate",
            start_signal_args=[{"by": AGENT, "reason": DESCRIPTION}],
        )
        lost = await setup.client.start_workflow(
            "Complaint",
            {"key": "lost", "policy": "nope", "facts": facts},
            id="complaint:lost",
            task_queue=TASK_QUEUE,
        )
        for ended in (refused, lost):
            with pytest.raises(WorkflowFailureError):
                await ended.result()
        await eventually(lambda: climbed(cases, case), lambda rungs: rungs[-1:] == ["general_manager"])
        async with httpx.AsyncClient(trust_env=False) as http:
            metrics = (await http.get(f"http://127.0.0.1:{metrics_port}/metrics")).text
        async with slow_mail(mail_port) as asked:
            await cases.command(case, "request_approval", {"by": AGENT, "subject": "refund", "amount": "1500.00"})
            await asyncio.wait_for(asked.wait(), 10)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(process.wait, 15)
        yield Day(case, refused.id, lost.id, metrics, log.read_text("utf-8"), code, time.monotonic() - began)


@asynccontextmanager
async def slow_mail(port: int) -> AsyncIterator[asyncio.Event]:
    """A mail server that hangs up when a client has waited for a while; the event says that one waits."""
    asked = asyncio.Event()

    async def keep_waiting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(HOLD)
        writer.close()

    async with await asyncio.start_server(keep_waiting, "127.0.0.1", port):
        yield asked


async def climbed(cases: CaseClient, case: str) -> list[str]:
    """The rungs that a case has come to."""
    return [event["data"]["to"] for event in await cases.timeline(case) if event["type"] == "escalated"]


# --- metrics --------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_metrics_say_how_late_each_clock_was_acted_on(day: Day) -> None:
    series = [line for line in day.metrics.splitlines() if line.startswith("caseladder_timer_lateness")]
    counts = [line for line in series if "_count{" in line and 'clock="rung"' in line]
    assert len(counts) == 1, series
    # One for each rung that let its time run out.
    assert int(counts[0].rsplit(" ", 1)[1]) >= 3
    assert "# TYPE caseladder_timer_lateness histogram" in day.metrics
    assert day.case not in day.metrics


@pytest.mark.long
def test_the_metrics_of_the_sdk_are_served_too(day: Day) -> None:
    for name in ("temporal_workflow_task_execution_latency", "temporal_activity_execution_latency"):
        assert f"# TYPE {name} histogram" in day.metrics


# --- log ------------------------------------------------------------------------------------------


def test_every_line_is_a_json_object_with_time_level_and_origin(day: Day) -> None:
    for line in day.lines:
        assert {"timestamp", "level", "logger", "event"} <= line.keys(), line
    assert [line["event"] for line in day.lines if line["logger"] == "caseladder.worker"] == [
        "polling",
        "draining",
        "stopped",
    ]


async def test_a_worker_says_that_new_cases_and_payments_wait(setup: WorkerSetup) -> None:
    connection = await asyncpg.connect(setup.database)
    try:
        await connection.execute("INSERT INTO casebook_recovery DEFAULT VALUES")
        with setup.worker("waits.log") as (_, log):
            text = await eventually(lambda: asyncio.to_thread(log.read_text), lambda text: '"recovering"' in text)
    finally:
        await connection.execute("DELETE FROM casebook_recovery")
        await connection.close()
    [line] = [line for line in map(json.loads, text.splitlines()) if line["event"] == "recovering"]
    assert (line["level"], line["logger"]) == ("warning", "caseladder.worker")
    assert "caseladder recover --from-engine" in line["reason"]


def test_every_line_about_a_case_names_it(day: Day) -> None:
    said = {line["event"]: line.get("case") for line in day.lines}
    # From an activity's own logger, from the SDK about an activity, and from a workflow.
    assert said["notice_delayed"] == said["notice_failed"] == day.case
    assert said["Completing activity as failed"] == day.no_policy
    assert said["a signal came to a run that has no case"] == day.turned_away
    for line in day.lines:
        if line["logger"].startswith(("activities.", "workflows.", "temporalio.activity", "temporalio.workflow")):
            assert line.get("case") in (day.case, day.turned_away, day.no_policy), line


def test_what_a_workflow_adds_to_a_line_is_in_it() -> None:
    program = (
        "from starter.logs import configure; configure('json')\n"
        "from temporalio import workflow\n"
        "workflow.logger.logger.error('the ledger refused events', extra={'reason': 'why', 'temporal_workflow': "
        "{'workflow_id': 'claim:1'}})"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert (line["event"], line["reason"], line["case"]) == ("the ledger refused events", "why", "claim:1")
    assert "temporal_workflow" not in line


def test_the_log_tells_of_no_person(day: Day) -> None:
    assert "notice_delayed" in day.log
    for secret in SECRET:
        assert secret not in day.log


# --- the end --------------------------------------------------------------------------------------


def test_sigterm_lets_what_is_under_way_end_and_succeeds(day: Day) -> None:
    events = [line["event"] for line in day.lines]
    assert (day.code, events[-1]) == (0, "stopped")
    assert HOLD < day.took < 15
    # It came to its own end: it heard the mail server hang up.
    assert "notice_delayed" in events[events.index("draining") :]


# --- the database ---------------------------------------------------------------------------------


@pytest.mark.long
async def test_under_load_it_opens_no_more_connections_than_it_may(setup: WorkerSetup) -> None:
    connections, keys = 4, [f"load-{number}" for number in range(60)]
    cases = CaseClient(setup.client)
    database = await asyncpg.connect(setup.database)

    async def opened() -> int:
        count: int = await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", PROGRAM
        )
        return count

    async def recorded() -> int:
        count: int = await database.fetchval("SELECT count(*) FROM case_file WHERE case_id LIKE 'complaint:load-%'")
        return count

    try:
        with setup.worker("load.log", CASELADDER_DATABASE_CONNECTIONS=str(connections)) as (_, log):
            await eventually(lambda: asyncio.to_thread(log.read_text), lambda text: '"polling"' in text)
            filing = asyncio.gather(
                *(cases.file("complaint", {"key": key, "facts": {"category": "delay"}}) for key in keys)
            )
            counts = []
            # For two seconds whoever records or reads the staff waits, and holds a connection.
            async with database.transaction():
                await database.execute("LOCK TABLE case_event, directory_version")
                for _ in range(100):
                    counts.append(await opened())
                    await asyncio.sleep(0.02)
            await filing
            await eventually(recorded, lambda count: count == len(keys))
            counts.append(await opened())
        # How many at once is a matter of luck; that the pool opens its last one and no more, its own tests say.
        assert 1 < max(counts) <= connections
    finally:
        await database.close()


# --- what keeps it from starting ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            lambda _: {"TEMPORAL_ADDRESS": "127.0.0.1:1"},
            "no Temporal server answers at 127.0.0.1:1 (TEMPORAL_ADDRESS)",
            id="no Temporal server",
        ),
        pytest.param(
            lambda setup: {"TEMPORAL_ADDRESS": setup.address},
            "CASELADDER_DATABASE_URL is missing",
            id="no database",
        ),
        pytest.param(
            lambda _: {"CASELADDER_DATABASE_URL": "mysql://root:hush@localhost/cases"},
            "CASELADDER_DATABASE_URL: it must be an address with a host",
            id="a wrong setting",
        ),
        pytest.param(
            lambda setup: {"CASELADDER_METRICS_PORT": setup.address.rpartition(":")[2]},
            "CASELADDER_METRICS_PORT = {port}: Failed starting Prometheus exporter: Address already in use",
            id="a port that is taken",
        ),
        pytest.param(
            lambda setup: {"TEMPORAL_ADDRESS": setup.address, "CASELADDER_DATABASE_URL": setup.database},
            "CASELADDER_DATABASE_URL must be the address of a role that only writes, and caseladder is a superuser: "
            "use caseladder_writer or a member of it, and leave the owner's to `caseladder migrate` as "
            "CASELADDER_DATABASE_OWNER_URL",
            id="a role that may do more than write",
        ),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_one_line(
    setup: WorkerSetup, tmp_path: Path, settings: Callable[[WorkerSetup], dict[str, str]], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker"],
        cwd=ROOT,
        # No stack runs on this folder.
        env={**environment(), "CASELADDER_DATA": str(tmp_path), **settings(setup)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    said = said.format(port=setup.address.rpartition(":")[2])
    assert done.stderr.startswith(f"caseladder worker: {said}"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "hush" not in done.stderr
