"""Lives as long as a case may have, and an hour without the casebook: on real servers, in full size."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from temporalio.common import RetryPolicy

from activities.casebook.audit import Audit
from activities.casebook.read import Casebook
from activities.database.database import Database
from activities.database.migrate import migrate
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from tests.durability.support import TOP, Driver, policy_text, running
from tests.postgres import Cluster, cluster
from tests.temporal import time_skipping
from tests.workflows.backend import Handle, Json, open_backend
from tests.workflows.test_claims import FACTS as CLAIM
from tests.workflows.test_long_lives import MINUTE, Histories, late_by, note_all, sound, texts

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(900)]

NOTES = 5000
CUSTOMER = {"id": "c-1", "role": "customer"}
# Bytes by which the worker may grow over all of it: a few megabytes of texts are held at a time, and what the
# allocator keeps.
GROWTH = 150_000_000
CASES, EVENTS = 100, 50


async def test_five_thousand_long_notes_on_one_case(tmp_path: Path) -> None:
    written = texts(NOTES)
    policies = {"quick": policy_text("quick", {"claim.clocks.rung": "PT10S"})}
    async with running(tmp_path, policies) as (_, worker, client, url), Database.open(url) as database:
        book = Casebook(database)
        driver = Driver(CaseClient(client, book), book, 8)
        case_id = "claim:K-1"
        await driver.cases.file("claim", {"key": "K-1", "policy": "quick", "facts": CLAIM})
        process = psutil.Process(worker.pid)
        before, most = process.memory_info().rss, 0

        async def note(number: int) -> None:
            nonlocal most
            body = {"by": TOP, "text": written[number], "request_id": f"n-{number}"}
            async with driver.slots:
                await driver.insist(lambda: driver.cases.command(case_id, "note", body))
            most = max(most, process.memory_info().rss)

        began = datetime.now(UTC)
        await asyncio.gather(*map(note, range(NOTES)))
        took = (datetime.now(UTC) - began).total_seconds()
        print(f"{NOTES / took:.0f} notes a second, {(most - before) / 1e6:.0f} MB more")
        assert most - before < GROWTH

        # The ladder climbed meanwhile, in time.
        events = await driver.cases.timeline(case_id)
        climbs = [event for event in events if event["type"] == "escalated"]
        assert [climb["data"]["to"] for climb in climbs] == ["supervisor", "qa_manager", "general_manager"]
        for climb in climbs:
            late = datetime.fromisoformat(climb["recorded_at"]) - datetime.fromisoformat(climb["at"])
            assert late < timedelta(seconds=5)
        noted = Counter(_digest(event["data"]["text"]) for event in events if event["type"] == "noted")
        assert noted == Counter(map(_digest, written))

        assess: Json = {"cause": "company"}
        for name in ("acknowledge", "answer_claim", "assess", "offer"):
            await driver.cases.command(case_id, name, {"by": TOP, **(assess if name == "assess" else {})})
        await driver.cases.command(case_id, "accept_offer", {"by": CUSTOMER})
        await driver.until(case_id, "paid")
        view = await driver.cases.command(case_id, "close", {"by": TOP})
        clocks = {clock["clock"]: clock["state"] for clock in view["clocks"]}
        assert (view["status"], view["agreed"], clocks["payout"]) == ("closed", "100.00", "met")
        assert (await client.get_workflow_handle(case_id).result())["status"] == "closed"
        report = await Audit(database).verify(case_id)
        assert (report.fault, report.cases) == (None, 1)
        runs = [run async for run in client.list_workflows(f"WorkflowId = '{case_id}'")]
        assert len(runs) > 10


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def database() -> Iterator[Cluster]:
    """A cluster that the test stops."""
    with cluster() as made:
        yield made


async def test_an_hour_without_the_casebook(database: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Fewer tries than there are, for the sake of those who wait for this test.
    seldom = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=10 * MINUTE)
    monkeypatch.setattr("workflows.recording.BACK_OFF", seldom)
    address = await database.fresh_database()
    await migrate(address)
    async with time_skipping() as env, open_backend(env, address, tmp_path) as backend:
        cases = await asyncio.gather(*(backend.file() for _ in range(CASES)))
        crowded = await backend.file()
        for case in (*cases, crowded):
            await backend.recorded(case)
        database.stop("immediate")

        async def live(case: Handle) -> None:
            for number in range(EVENTS):
                await backend.do(case, "note", text=f"note {number}", request_id=f"n-{number}")

        await asyncio.gather(*map(live, cases))
        with pytest.raises(Refused) as caught:
            await note_all(backend, crowded, texts(80))
        assert caught.value.code == "busy"
        await asyncio.gather(*(backend.wait(case, timedelta(hours=1)) for case in (*cases, crowded)))
        for case in (*cases, crowded):
            view = await case.query("case")
            assert (view["rung"], view["events"] - view["recorded"] > EVENTS / 2) == ("general_manager", True)

        database.start()
        await asyncio.gather(*(backend.wait(case, 10 * MINUTE) for case in (*cases, crowded)))
        await note_all(backend, crowded, texts(80))
        for case in (*cases, crowded):
            events = await sound(backend, case)
            assert events == await CaseClient(env.client).timeline(case.id)
            (await Histories.of(backend, case)).bounded()
            if case is not crowded:
                said = [event["data"]["text"] for event in events if event["type"] == "noted"]
                assert said == [f"note {number}" for number in range(EVENTS)]
            await backend.do(case, "acknowledge", "general_manager")
            await backend.do(case, "withdraw", "customer")
            assert (await case.result())["status"] == "closed"
        assert (await backend.book.verify()).ok


async def test_a_case_that_is_filed_a_quarter_of_a_century_late(database: Cluster, tmp_path: Path) -> None:
    address = await database.fresh_database()
    await migrate(address)
    async with time_skipping() as env, open_backend(env, address, tmp_path) as backend:
        await late_by(backend, "late", timedelta(days=9000))
