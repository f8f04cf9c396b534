"""Two hundred pages that watch at once: each gets every event that it may see, once and in order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.messages import Batch
from activities.people.directory_changes import DirectoryChanges
from starter.console.session import Session
from starter.console.web import COOKIE, Site
from tests.console.server import PEOPLE, UNITS, ConsoleServer
from tests.temporal import eventually

PAGES, EVENTS, RATE = 200, 40, 20


def noted(view: Mapping[str, Any], unit: str, seq: int) -> Batch:
    """An event of a made-up complaint, as a worker records it."""
    at, case_id = datetime(2026, 3, 4, 10, 0, tzinfo=UTC).isoformat(), f"complaint:streams-{unit}"
    actor = {"id": "caseladder", "role": "system"}
    event = {"seq": seq, "type": "noted", "at": at, "recorded_at": at, "actor": actor, "clauses": [], "data": {}}
    own = {"id": case_id, "status": "closed", "unit": unit, "opened_at": at, "closed_at": at, "events": seq}
    return Batch(case_id, "complaint", [event], {**view, **own}, "run-1")


class Watcher:
    """A page's stream, read as plainly as can be."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.positions: list[str] = []
        self.cases: list[str] = []
        self.refreshes = 0

    async def watch(self, console: ConsoleServer, cookie: str) -> None:
        """Read to the end."""
        reader, writer = await asyncio.open_connection(*console.url.removeprefix("http://").split(":"), limit=1 << 20)
        writer.write(f"GET /console/stream HTTP/1.1\r\nHost: localhost\r\nCookie: {COOKIE}={cookie}\r\n\r\n".encode())
        try:
            async for line in reader:
                if line.startswith(b"retry:"):
                    self.begun.set()
                elif line.startswith(b"id: "):
                    self.positions.append(line.decode().strip())
                elif line.startswith(b"data: {"):
                    self.cases.append(json.loads(line[6:])["case"])
                elif line == b"data: news\n":
                    self.refreshes += 1
        finally:
            writer.close()


async def test_two_hundred_pages_watch_at_once(console: ConsoleServer) -> None:
    sealer = Site(console.services).sealer
    cookies = {}
    # Nobody has more than 20 streams, so these are three people of each sort.
    sorts = [one for one in PEOPLE if one.id in ("ann-7", "ben-2", "gus-1", "fay-1")]
    watching = [one.model_copy(update={"id": f"{one.id}-{number}"}) for one in sorts for number in range(3)]
    directory = DirectoryChanges(console.services.database)
    await directory.replace_people([*PEOPLE, *watching], units=UNITS)
    for one in watching:
        claims = {"sub": one.id, "role": [one.role], "unit": one.unit}
        cookies[one.id] = Session().logged_in(claims, timedelta(hours=1), None).sealed(sealer)
    who = [list(cookies)[number % len(cookies)] for number in range(PAGES)]
    watchers = [Watcher() for _ in who]
    tasks = [
        asyncio.create_task(watcher.watch(console, cookies[person]))
        for watcher, person in zip(watchers, who, strict=True)
    ]
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(watcher.begun.wait() for watcher in watchers))
        await console.services.live.now()
        view = await console.backend.book.case(
            await console.file("complaint", {"category": "other", "unit": "nowhere"})
        )
        assert view is not None
        sent, began = [], time.monotonic()
        for number in range(EVENTS):
            unit = ("north", "east")[number % 2]
            await console.backend.book.record(noted(view, unit, number // 2 + 1))
            sent.append(f"complaint:streams-{unit}")
            await asyncio.sleep(max(0.0, began + (number + 1) / RATE - time.monotonic()))
        mine = {
            "gus-1": sent,
            "ann-7": [case for case in sent if case.endswith("north")],
            "ben-2": [case for case in sent if case.endswith("east")],
            "fay-1": [],
        }

        async def missing() -> int:
            return sum(
                len(_ours(watcher)) < len(mine[person[:-2]]) for watcher, person in zip(watchers, who, strict=True)
            )

        await eventually(missing, lambda pages: pages == 0, seconds=20)
        for watcher, person in zip(watchers, who, strict=True):
            assert _ours(watcher) == mine[person[:-2]], person
            assert watcher.positions == list(dict.fromkeys(watcher.positions))
            # A burst costs a few looks at the casebook, not one for each event.
            assert watcher.refreshes <= EVENTS / RATE / 0.7 + 4
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        await directory.replace_people(PEOPLE, units=UNITS)
    # Pages that were closed leave nothing open behind.

    async def still_open() -> int:
        return console.services.live.streams

    await eventually(still_open, lambda streams: streams < PAGES / 10, seconds=20)


def _ours(watcher: Watcher) -> list[str]:
    return [case for case in watcher.cases if case.startswith("complaint:streams-")]
