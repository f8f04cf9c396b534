"""The live stream: nothing missed, nothing twice, in order, only what may be seen, and no client that holds it up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from activities.database.database import Database
from activities.events.feed import Feed, FeedEvent
from activities.messages import Batch
from starter.api import guards, live, stream
from starter.api.live import Dropped, Live, Passed, Stream
from tests.api.server import STAFF, ApiServer, new_key, problem
from tests.casebook import open_book
from tests.postgres import Cluster, as_writer
from tests.temporal import eventually
from tests.workflows.backend import Backend

Json = dict[str, Any]


def batch(case_id: str, first: int, count: int, unit: str = "north", text: str = "x") -> Batch:
    """Some events of a made-up complaint, as a worker records them."""
    at = datetime(2026, 3, 4, 10, 0, tzinfo=UTC).isoformat()
    actor = {"id": "system", "role": "system"}
    events = [
        {
            "seq": seq, "type": "noted", "at": at, "recorded_at": at, "actor": actor, "clauses": [],
            "data": {"text": text},
        }
        for seq in range(first, first + count)
    ]  # fmt: skip
    unknown = dict.fromkeys(("outcome", "parent", "severity", "resolved_at", "closed_at", "next_due"))
    unknown |= dict.fromkeys(("claim", "justified", "offered", "accepted"))
    view: Json = {
        **unknown, "id": case_id, "key": case_id.partition(":")[2], "kind": "complaint", "number": None,
        "status": "open", "rung": "agent", "holder": "agent", "acknowledged": False, "unit": unit, "facts": {},
        "policy": "default", "policy_hash": "", "opened_at": at, "breached": [], "clocks": [], "approvals": [],
        "waits_for": [],
        "events": first + count - 1,
    }  # fmt: skip
    return Batch(case_id, "complaint", events, view, "run-1")


class Reader:
    """A client of the stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last: str | None = None

    async def read(self, count: int, seconds: float = 60) -> list[Json]:
        """The next so many events."""
        found: list[Json] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                line = await anext(self._lines)
                if line.startswith("id: "):
                    self.last = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    found.append(json.loads(line.removeprefix("data: ")))
        return found


@asynccontextmanager
async def watching(api: ApiServer, who: str, after: str | None = None, **params: str) -> AsyncIterator[Reader]:
    """A client that is connected."""
    headers = {"Authorization": f"Bearer {api.token(who)}", **({"Last-Event-ID": after} if after else {})}
    async with api.http.stream("GET", "/api/v1/events", headers=headers, params=params) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        await api.services.live.now()
        yield Reader(lines)


def places(events: list[Json]) -> list[tuple[str, int]]:
    """Case and seq of each event."""
    return [(event["case"], event["event"]["seq"]) for event in events]


async def test_a_stream_goes_on_where_it_was_cut(api: ApiServer) -> None:
    book, case_id = api.backend.book, f"complaint:{new_key()}"
    async with watching(api, "agent-n", case=case_id) as reader:
        await book.record(batch(case_id, 1, 3))
        assert places(await reader.read(2)) == [(case_id, 1), (case_id, 2)]
        last = reader.last
    await book.record(batch(case_id, 4, 3))
    # Soon: what the process still remembers. `after` is for clients that cannot send the header.
    async with watching(api, "agent-n", last, case=case_id) as reader:
        assert places(await reader.read(4)) == [(case_id, seq) for seq in (3, 4, 5, 6)]
        await book.record(batch(case_id, 7, 1))
        (event,) = await reader.read(1)
    assert (event["kind"], event["unit"], event["event"]["data"]) == ("complaint", "north", {"text": "x"})
    async with watching(api, "agent-n", after=last, case=case_id) as reader:
        assert len(await reader.read(5)) == 5
    recorded = await api.recorded(case_id)
    assert event["number"] == recorded["number"]


async def test_a_stream_shows_what_may_be_seen(api: ApiServer) -> None:
    book = api.backend.book
    north, east = f"complaint:{new_key()}", f"complaint:{new_key()}"
    async with (
        watching(api, "agent-n") as own,
        watching(api, "super-hq") as all_of_it,
        watching(api, "finance-1") as claims,
        watching(api, "agent-e", case=north) as stranger,
        watching(api, "gm-1", type="noted", unit="east") as filtered,
    ):
        for seq in (1, 2):
            await book.record(batch(east, seq, 1, "east"))
            await book.record(batch(north, seq, 1))
        mine = await all_of_it.read(4)
        assert [place for place in places(mine) if place[0] in (north, east)] == [
            (east, 1), (north, 1), (east, 2), (north, 2),
        ]  # fmt: skip
        assert places(await own.read(2)) == [(north, 1), (north, 2)]
        assert places(await filtered.read(2)) == [(east, 1), (east, 2)]
        for blind in (claims, stranger):
            with pytest.raises(TimeoutError):
                await blind.read(1, 0.3)
    problem(await api.get("gm-1", "/events", headers={"Last-Event-ID": "yesterday"}), 422, "invalid")
    problem(await api.get("gm-1", "/events", params={"kind": "letter"}), 400, "malformed")


@pytest.mark.long
async def test_a_stream_ends_when_its_token_or_key_does(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.2)
    name = await api.key(f"watcher-{new_key()}", "read")
    assert api.services.issuer is not None
    short = timedelta(seconds=-api.services.verifier.table.skew + 4)
    api.tokens["brief"] = api.services.issuer.token(STAFF[0], datetime.now(UTC), short)
    async with watching(api, name) as keyed, watching(api, "brief") as brief, watching(api, "gm-1") as good:
        await api.services.keys.revoke(name)
        for reader in (keyed, brief):
            with pytest.raises(StopAsyncIteration):
                await reader.read(1, 10)
        # A quiet stream gives signs of life, and its place moves on past what it may not see.
        with pytest.raises(TimeoutError):
            await good.read(1, 0.7)
        assert good.last == await api.services.live.now()
    assert await eventually(_open_streams(api), lambda count: count == 0) == 0


def _open_streams(api: ApiServer) -> Any:
    async def count() -> int:
        return api.services.live.streams

    return count


@pytest.mark.long
async def test_a_client_that_never_reads_is_cut(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither holds up the others nor fills the memory, and its connection is gone at once."""
    monkeypatch.setattr(guards, "SLOWEST", 2.0)
    book, case_id = api.backend.book, f"complaint:{new_key()}"
    parts = urlsplit(api.base)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(deaf, (parts.hostname, parts.port))
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.token('gm-1')}\r\n\r\n"
    await loop.sock_sendall(deaf, request.encode())
    await eventually(_open_streams(api), lambda count: count == 1)
    async with watching(api, "gm-1", case=case_id) as good:
        # More than the sockets' own buffers take.
        for first in range(1, 1301, 100):
            await book.record(batch(case_id, first, 100, text="x" * 4000))
        assert places(await good.read(1300, 20)) == [(case_id, seq) for seq in range(1, 1301)]
        await eventually(_open_streams(api), lambda count: count == 1)
        waiting = next(iter(api.services.live._streams))
        assert len(waiting._waiting) == 0
    # Cut, not closed: what it did not read is not kept for it.
    with deaf:
        assert await _drain(deaf) < 1300 * 4000


async def _drain(deaf: socket.socket) -> int:
    """How many bytes come before the connection is at its end."""
    seen = 0
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            while chunk := await asyncio.get_running_loop().sock_recv(deaf, 65536):
                seen += len(chunk)
    return seen


@asynccontextmanager
async def _reader(database: str) -> AsyncIterator[Live]:
    async with Database.open(as_writer(database)) as store:
        made = Live(Feed(store))
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            made.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def _all(_: FeedEvent) -> bool:
    return True


async def _collect(made: Stream, into: list[str], wanted: int) -> None:
    async for page in made.catch_up():
        into.extend(passed.event.position for passed in page)
    while len(into) < wanted and (found := await made.next(5)) is not None:
        into.extend(passed.event.position for passed in found)


async def test_streams_that_begin_anywhere_get_everything_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the ledger, from memory, and in between, while events arrive."""
    monkeypatch.setattr(live, "KEPT", 20)
    monkeypatch.setattr(live, "PAGE", 7)
    monkeypatch.setattr(live, "PAUSE", 0.02)
    book = backend.book
    case_id = f"complaint:{new_key()}"
    async with _reader(backend.database) as made:
        start = await made.now()
        await book.record(batch(case_id, 1, 40))
        got: list[list[str]] = [[] for _ in range(6)]
        tasks = []

        async def arrive() -> None:
            for first in range(41, 101, 5):
                await book.record(batch(case_id, first, 5))
                await asyncio.sleep(0.03)

        arriving = asyncio.create_task(arrive())
        for into in got:

            async def follow(into: list[str] = into) -> None:
                with made.stream(lambda event: event.case_id == case_id, start) as own:
                    await _collect(own, into, 100)

            tasks.append(asyncio.create_task(follow()))
            await asyncio.sleep(0.08)
        await asyncio.gather(arriving, *tasks)
        assert len(set(got[0])) == 100
        assert all(into == got[0] for into in got)
        assert made.streams == 0
        assert len(made._kept) <= 20
        assert len(made._numbers) == len(made._kept)


async def test_who_falls_behind_is_dropped_and_comes_back(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEPT", 5)
    monkeypatch.setattr(live, "WAITING", 10)
    monkeypatch.setattr(live, "PAUSE", 0.02)
    case_id = f"complaint:{new_key()}"
    async with _reader(backend.database) as made:
        start = await made.now()
        with made.stream(lambda event: event.case_id == case_id, start) as slow:
            async for _ in slow.catch_up():
                pass
            await backend.book.record(batch(case_id, 1, 11))
            await eventually(made.now, lambda now: now != start)
            with pytest.raises(Dropped):
                await slow.next(1)
            assert not slow._waiting
        into: list[str] = []
        with made.stream(lambda event: event.case_id == case_id, start) as again:
            await _collect(again, into, 11)
        assert len(into) == 11


@pytest.mark.long
async def test_an_outage_of_the_database_costs_no_event(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from activities.database.migrate import migrate
    from tests.postgres import cluster

    monkeypatch.setattr(live, "AWAY", 0.05)
    with cluster() as own:
        database = await own.fresh_database()
        await migrate(database)
        async with open_book(database) as book, _reader(database) as made:
            into: list[str] = []
            with made.stream(_all, await made.now()) as stream_:
                task = asyncio.create_task(_collect(stream_, into, 4))
                await book.record(batch("complaint:a", 1, 2))
                await eventually(_length(into), lambda count: count == 2)
                own.stop("immediate")
                await asyncio.sleep(0.3)
                own.start()
                await book.record(batch("complaint:a", 3, 2))
                await asyncio.wait_for(task, 10)
            assert len(set(into)) == 4


def _length(into: list[str]) -> Any:
    async def count() -> int:
        return len(into)

    return count


def test_an_event_is_written_once_for_all() -> None:
    event = FeedEvent("1-1", "complaint:a", "complaint", "2026-03-0001", None, {"seq": 1, "type": "noted"})
    passed = Passed(event)
    assert passed.text is passed.text
    assert json.loads(passed.text)["event"] == {"seq": 1, "type": "noted"}
