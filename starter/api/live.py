"""The ledger as it grows, for everybody who watches: one reader a process, any number of streams.

A stream begins after the last event that its client saw. It reads the ledger itself until it has
come up with the reader, and from there on gets what the reader gets: nothing is missed, and nothing
comes twice. What waits for a client that reads slowly has a limit; beyond it the stream ends, and
the client can come back with the last position it saw.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import structlog

from activities.database.errors import DatabaseAway, StatementFailed
from activities.events.feed import Feed, FeedEvent
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused
from starter.access import Caller, in_reach, own

# Seconds between two looks at the ledger, and while the database is away.
PAUSE, AWAY = 0.25, 1.0
# Events read at once; events of the past kept, so that who comes back soon needs no database; events
# that may wait for one stream, which begins with as many as are kept.
PAGE, KEPT, WAITING = 500, 1000, 3000
# So many streams catch up at the same time.
CATCHING_UP = 4

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Passed:
    """An event that passed, shared by all streams; made into JSON once."""

    event: FeedEvent

    @cached_property
    def text(self) -> str:
        """The event and its case as one line of JSON."""
        return self._line(texts=True)

    @cached_property
    def without_texts(self) -> str:
        """The same for those who may not read what people wrote freely."""
        return self._line(texts=False)

    def _line(self, *, texts: bool) -> str:
        event = self.event
        return canonical(
            {
                "case": event.case_id,
                "kind": event.kind,
                "number": event.number,
                "unit": event.unit,
                "event": event.for_reader(texts),
            }
        )


class Dropped(Exception):
    """The client reads too slowly; it may come back with the last position it saw."""


class Stream:
    """One client's events, from its place on. Iterate once.

    Args:
        wanted: which events.
        position: of the last event that was looked at; moves on with events that are not wanted too.
    """

    def __init__(self, live: Live, wanted: Callable[[FeedEvent], bool], position: str | None) -> None:
        self.position = position
        self.wanted = wanted
        self._live = live
        self._waiting: deque[Passed] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._dropped = False

    async def catch_up(self) -> AsyncIterator[list[Passed]]:
        """Yield what was recorded before the stream came up with the reader."""
        live = self._live
        if self.position is None:
            self.position = await live.now()
        while not live._joined(self):
            async with live._catching_up:
                page = await live._feed.after(self.position, PAGE)
            if page:
                self.position = page[-1].position
                if found := [Passed(event) for event in page if self.wanted(event)]:
                    yield found
            elif not live._joined(self):
                # It has read further than the reader, which will be here in a moment.
                await asyncio.sleep(PAUSE / 2)
            if self._ended:
                return

    async def next(self, patience: float) -> list[Passed] | None:
        """Return what came since the last call, perhaps nothing within ``patience`` seconds; None at the end.

        Raises:
            Dropped: too much is waiting.
        """
        if not self._waiting and not self._ended:
            try:
                async with asyncio.timeout(patience):
                    await self._news.wait()
            except TimeoutError:
                return []
        self._news.clear()
        if self._dropped:
            raise Dropped
        if self._ended:
            return None
        found = list(self._waiting)
        self._waiting.clear()
        return found

    def _put(self, passed: Passed) -> None:
        self.position = passed.event.position
        if self._dropped or not self.wanted(passed.event):
            return
        if len(self._waiting) >= WAITING:
            self._dropped = True
            self._waiting.clear()
        else:
            self._waiting.append(passed)
        self._news.set()

    def _end(self) -> None:
        self._ended = True
        self._news.set()


class Live:
    """The one reader. Run `run` as a task for as long as there may be streams."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._streams: set[Stream] = set()
        self._joined_streams: set[Stream] = set()
        self._kept: deque[Passed] = deque()
        # Number of each kept event by its position, and of the first one kept.
        self._numbers: dict[str, int] = {}
        self._first = 0
        # The position before the first kept event, and of the last one read.
        self._floor: str | None = None
        self._position: str | None = None
        self._ready = asyncio.Event()
        self._catching_up = asyncio.Semaphore(CATCHING_UP)
        self._closed = False

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    async def now(self) -> str:
        """Return the position of the last event that was read."""
        await self._ready.wait()
        assert self._position is not None
        return self._position

    @contextmanager
    def stream(self, wanted: Callable[[FeedEvent], bool], after: str | None) -> Iterator[Stream]:
        """Open a stream that begins after a position, or now."""
        made = Stream(self, wanted, after)
        if self._closed:
            made._end()
        self._streams.add(made)
        try:
            yield made
        finally:
            self._streams.discard(made)
            self._joined_streams.discard(made)

    def close(self) -> None:
        """End every stream, and those that come later at once."""
        self._closed = True
        self._ready.set()
        for stream in self._streams:
            stream._end()

    async def run(self) -> None:
        """Read the ledger as it grows, until cancelled."""
        while not self._closed:
            try:
                if self._position is None:
                    self._position = self._floor = await self._feed.head()
                    self._ready.set()
                page = await self._feed.after(self._position, PAGE)
            except (DatabaseAway, StatementFailed) as error:
                log.warning("feed_not_read", reason=str(error))
                await asyncio.sleep(AWAY)
                continue
            except Refused:
                # The database was put back to an earlier state: begin anew, and let clients do so too.
                log.error("feed_goes_back")
                self._begin_anew()
                continue
            for event in page:
                self._pass(Passed(event))
            if len(page) < PAGE:
                await asyncio.sleep(PAUSE)

    def _pass(self, passed: Passed) -> None:
        self._position = passed.event.position
        self._numbers[self._position] = self._first + len(self._kept)
        self._kept.append(passed)
        if len(self._kept) > KEPT:
            gone = self._kept.popleft()
            self._floor = gone.event.position
            del self._numbers[self._floor]
            self._first += 1
        for stream in self._joined_streams:
            stream._put(passed)

    def _begin_anew(self) -> None:
        for stream in self._streams:
            stream._end()
        self._kept.clear()
        self._numbers.clear()
        self._position = self._floor = None
        self._ready.clear()

    def _joined(self, stream: Stream) -> bool:
        """Whether the stream gets what the reader gets from here on; else it must read by itself."""
        if stream in self._joined_streams or stream._ended:
            return True
        position = stream.position
        if position == self._floor and position is not None:
            start = 0
        elif position in self._numbers:
            start = self._numbers[position] + 1 - self._first
        else:
            return False
        for passed in islice(self._kept, start, None):
            stream._put(passed)
        self._joined_streams.add(stream)
        return True


def visible(caller: Caller) -> Callable[[FeedEvent], bool]:
    """Which events a caller may see: those of the cases that they see, and of the forms that they filed."""
    mine = own(caller)

    def seen(event: FeedEvent) -> bool:
        return in_reach(caller, event.kind, event.unit, event.customer) or (mine is not None and event.filed_by == mine)

    return seen
