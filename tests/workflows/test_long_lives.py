"""Cases that live long, hold long texts, or have to wait for the casebook: nothing breaks and nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from activities.database.migrate import migrate
from activities.messages import NOTIFY, RECORD
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from tests.casebook import Book
from tests.postgres import Cluster, cluster
from tests.seed import SEED
from tests.temporal import UNHEARD, eventually, task_failure, time_skipping
from tests.workflows.backend import FACTS, Backend, Handle, Json, open_backend
from tests.workflows.test_claims import FACTS as CLAIM
from tests.workflows.test_claims import until
from workflows.effects import MOST_NOTICES, MOST_UNDER_WAY
from workflows.recording import MOST_BYTES, MOST_EVENTS, MOST_WAITING
from workflows.state import FROM_LEDGER

pytestmark = pytest.mark.long

MINUTE = timedelta(minutes=1)
# Bytes that no payload comes near; the engine takes twice as many.
BOUND = 1_000_000


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    """A cluster that tests stop and start."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
async def backend(database: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backend]:
    """A backend whose casebook may be away."""
    address = await database.fresh_database()
    await migrate(address)
    async with (
        time_skipping() as env,
        open_backend(env, address, tmp_path_factory.mktemp("backend")) as backend,
    ):
        yield backend


@pytest.fixture
def casebook_away(database: Cluster) -> Iterator[Cluster]:
    """PostgreSQL is away when the test stops it, and there when it ends."""
    yield database
    if not database.running():
        database.start()


def texts(count: int, length: int = 3900) -> list[str]:
    """Make Chinese texts that cannot be packed small, the same ones for a seed."""
    chance = random.Random(SEED)
    return ["".join(chr(chance.randrange(0x4E00, 0x9FA5)) for _ in range(length)) for _ in range(count)]


async def note_all(backend: Backend, case: Handle, written: list[str]) -> None:
    """Have an agent write notes, as many at a time as a client lets through."""
    client = backend.client
    waiting = iter(enumerate(written))

    async def write() -> None:
        for number, text in waiting:
            body = {"by": {"id": "agent-1", "role": "agent"}, "text": text, "request_id": f"n-{number}"}
            await client.command(case.id, "note", body)

    await asyncio.gather(*(write() for _ in range(8)))


class Histories:
    """What the histories of all runs of a case say."""

    def __init__(self) -> None:
        self.inputs: list[Json] = []
        self.sizes: Counter[str] = Counter()
        self.batches: list[list[Json]] = []
        self.told: list[list[str]] = []
        self.failed: list[str] = []

    @classmethod
    async def of(cls, backend: Backend, case: Handle) -> Histories:
        """Read them, the first run first."""
        found, run = [], (await case.describe()).run_id
        while run:
            handle = backend.env.client.get_workflow_handle(case.id, run_id=run)
            events = [event async for event in handle.fetch_history_events()]
            found.append(events)
            run = events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        read = cls()
        for events in reversed(found):
            for event in events:
                read._read(backend, event)
        return read

    def _read(self, backend: Backend, event: Any) -> None:
        started = event.workflow_execution_started_event_attributes
        scheduled = event.activity_task_scheduled_event_attributes
        size = event.ByteSize()
        kind = EventType.Name(event.event_type)
        self.sizes[kind] = max(self.sizes[kind], size)
        convert = backend.env.client.data_converter.payload_converter.from_payload
        if event.HasField("workflow_execution_started_event_attributes"):
            self.inputs.append(convert(started.input.payloads[0]))
        elif (failure := task_failure(event)) is not None:
            self.failed.append(failure)
        elif event.HasField("activity_task_scheduled_event_attributes"):
            order = convert(scheduled.input.payloads[0])
            if scheduled.activity_type.name == RECORD:
                self.batches.append(order["events"])
            elif scheduled.activity_type.name == NOTIFY:
                self.told.append([notice["id"] for notice in order["notices"]])

    def bounded(self) -> None:
        """No payload comes near what the engine takes, and no workflow task has failed."""
        assert max(self.sizes.values()) < BOUND, self.sizes
        assert {*self.failed} <= {"timed out", UNHEARD}
        # Nothing is recorded out of order, and what is recorded twice is the same.
        for before, after in pairwise(self.batches):
            assert after[0]["seq"] <= before[-1]["seq"] + 1


async def sound(backend: Backend, case: Handle) -> list[Json]:
    """The ledger holds every event of the case once, in order, and its chain verifies; return them."""
    seen = (await case.query("case"))["events"]
    events = await eventually(lambda: backend.book.events(case.id), lambda events: len(events) >= seen)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (await backend.book.verify(case.id)).ok
    return events


class _Early:
    """The ledger, read for the first time before anything but the opening was recorded."""

    def __init__(self, book: Book) -> None:
        self._book, self._first = book, True
        self.case, self.policy_document = book.case, book.policy_document

    async def events(self, case_id: str) -> list[Json]:
        first, self._first = self._first, False
        return (await self._book.events(case_id))[: 1 if first else None]


@pytest.mark.long
async def test_260_long_notes_and_then_the_ladder_the_clocks_and_a_payout(backend: Backend) -> None:
    case = await backend.file("claim", CLAIM)
    written = texts(260)

    await note_all(backend, case, written)

    read = await Histories.of(backend, case)
    read.bounded()
    assert any(FROM_LEDGER in given for given in read.inputs)
    # Nobody has taken it up, so it climbs, at the very instant.
    await backend.wait(case, 5 * MINUTE)
    view = await until(backend, case, rung="supervisor")
    # What was answered is answered again, and no text is lost.
    await note_all(backend, case, written)
    events = await sound(backend, case)
    assert Counter(event["data"]["text"] for event in events if event["type"] == "noted") == Counter(written)
    assert await CaseClient(backend.env.client, backend.book).timeline(case.id) == events
    # Read just before the last notes were recorded, and the case continued as new.
    assert await CaseClient(backend.env.client, _Early(backend.book)).timeline(case.id) == events
    [climb] = [event for event in events if event["type"] == "escalated"]
    assert datetime.fromisoformat(climb["at"]) - datetime.fromisoformat(view["opened_at"]) == 5 * MINUTE
    for name, fields in (("acknowledge", {}), ("answer_claim", {}), ("assess", {"cause": "company"}), ("offer", {})):
        await backend.do(case, name, "supervisor", **fields)
    await backend.do(case, "accept_offer", "customer")
    assert (await until(backend, case, status="resolved"))["paid"]
    await backend.do(case, "close")
    assert (await case.result())["status"] == "closed"
    (await Histories.of(backend, case)).bounded()


async def late_by(backend: Backend, key: str, span: timedelta) -> None:
    """A case that is filed late has the reminders of the time between, and tells of them in chunks, each once."""
    received = (datetime.now(UTC) - span).isoformat()
    await backend.client.file("complaint", {"key": key, "received_at": received, "facts": FACTS["complaint"]})
    case = backend.handle(f"complaint:{key}")

    async def count(kind: str) -> int:
        async with backend.book.database.connection() as connection:
            query = "SELECT count(*) FROM case_event WHERE case_id = $1 AND type = $2"
            return int(await connection.fetchval(query, case.id, kind))

    reminded = await eventually(lambda: count("reminded"), lambda seen: seen > span.days - 100)
    await eventually(lambda: count("notified"), lambda seen: seen >= reminded, seconds=300)

    read = await Histories.of(backend, case)
    read.bounded()
    assert max(map(len, read.told)) <= MOST_NOTICES
    # What is under way when the case continues as new is told again under its id, and nothing else is.
    ids = [id_ for batch in read.told for id_ in batch]
    assert len(ids) <= len(set(ids)) + MOST_UNDER_WAY * (len(read.inputs) - 1)

    async def came_out() -> set[str]:
        async with backend.book.database.connection() as connection:
            query = "SELECT body::jsonb #>> '{data,id}' FROM case_event WHERE case_id = $1 AND type = 'notified'"
            return {row[0] for row in await connection.fetch(query, case.id)}

    # No id but that of the outcome: nothing was told under two.
    await eventually(came_out, lambda seen: seen >= set(ids))
    events = await sound(backend, case)
    told = [event for event in events if event["type"] == "notified"]
    assert {event["data"]["outcome"] for event in told} == {"sent"}
    assert max(Counter((event["data"]["of"], event["data"]["notice"]) for event in told).values()) == 1
    # Each call ends where a step does: a reminder, and all that happened at its instant, is one.
    late = [batch for batch in read.batches if batch[-1]["type"] == "reminded"]
    assert len(late) > span.days / MOST_EVENTS - 2
    for batch in late:
        last = batch[-1]["seq"]
        assert last == len(events) or events[last]["at"] != batch[-1]["at"]


async def test_a_case_that_is_filed_years_late(backend: Backend) -> None:
    await late_by(backend, "years-late", timedelta(days=700))


async def test_a_case_without_room_while_the_casebook_is_away(backend: Backend, casebook_away: Cluster) -> None:
    case = await backend.file()
    before = await backend.recorded(case)
    written = texts(200)
    casebook_away.stop("immediate")

    with pytest.raises(Refused) as caught:
        await note_all(backend, case, written)
    assert caught.value.code == "busy"
    # Nothing was lost, and nothing taken that was refused.
    noted = len(await backend.timeline(case, "noted"))
    assert MOST_WAITING / 12_000 - 1 < noted < MOST_WAITING / 12_000 + 10
    # The ladder does not stand still, and a signal is heard.
    await backend.wait(case, 5 * MINUTE)
    await until(backend, case, rung="supervisor")
    await case.signal("acknowledge", {"by": {"id": "supervisor-1", "role": "supervisor"}})
    await until(backend, case, acknowledged=True)
    assert (await case.query("case"))["recorded"] == len(before)

    casebook_away.start()
    await backend.wait(case, MINUTE)
    await note_all(backend, case, written)

    events = await sound(backend, case)
    assert Counter(event["data"]["text"] for event in events if event["type"] == "noted") == Counter(written)
    read = await Histories.of(backend, case)
    read.bounded()
    assert all(len(batch) == 1 or _bytes(batch) <= MOST_BYTES for batch in read.batches)


def _bytes(events: list[Json]) -> int:
    return sum(len(canonical(event).encode()) for event in events)


async def test_what_one_case_holds_has_a_limit(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.case.MOST_TEXTS", 20)
    case = await backend.file()
    await note_all(backend, case, texts(20, 100))

    for name, fields in (("note", {"text": "x"}), ("escalate", {"reason": "x"}), ("log_contact", {"reached": False})):
        with pytest.raises(Refused, match="at most 20000 events, 20 of them with texts: file a new case") as caught:
            await backend.do(case, name, **fields)
        assert caught.value.code == "full"
    # A clock goes on, and what ends the case is taken.
    await backend.wait(case, 5 * MINUTE)
    await until(backend, case, rung="supervisor")
    await backend.do(case, "acknowledge", "supervisor")
    await backend.do(case, "resolve", "supervisor", summary="done")
    await backend.do(case, "close", "supervisor")
    assert (await case.result())["status"] == "closed"
    await sound(backend, case)
