"""A live stream as server-sent events, for clients that come back with Last-Event-ID."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from activities.events.feed import FeedEvent
from starter.access import Caller
from starter.api.guards import cut
from starter.api.limits import Crowd, share_of
from starter.api.live import Dropped, Live, Passed, Stream

Wanted = Callable[[FeedEvent], bool]


@dataclass(frozen=True)
class Watcher:
    """What somebody who watches gets: which events, and whether with what people wrote freely."""

    wanted: Wanted
    texts: bool = False


# Seconds between two signs of life on a quiet stream.
HEARTBEAT = 15.0


class EventStream(StreamingResponse):
    """Sends what comes on a stream until the client goes, falls behind, or may see it no more.

    Args:
        streams: of everybody; one more than a caller may have, or than there is room for, is refused.
        watcher: what the caller gets at first.
        after: the position of the last event that the client saw; None begins now.
        still: asked at every sign of life what the caller still gets; None ends the stream.
    """

    def __init__(
        self,
        live: Live,
        streams: Crowd,
        caller: Caller,
        watcher: Watcher,
        after: str | None,
        still: Callable[[], Awaitable[Watcher | None]],
    ) -> None:
        self._live, self._streams, self._share = live, streams, share_of(caller)
        self._watcher, self._after, self._still = watcher, after, still
        self._messages = self._serve()
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(self._messages, headers=headers, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client.

        Raises:
            TooManyRequests: the caller has as many streams as they may, or the process has.
        """
        # Closed here, not when it happens to be collected: until then events would be kept for a client that is gone.
        with self._streams.among(self._share):
            async with aclosing(self._messages):
                try:
                    await super().__call__(scope, receive, send)
                except Dropped:
                    cut(scope)

    async def _serve(self) -> AsyncGenerator[str, None]:
        """Yield the text of messages, a page of them at once."""
        with self._live.stream(self._watcher.wanted, self._after) as stream:
            # So that a client knows at once that it is connected, and waits a second before it comes back.
            yield "retry: 1000\n\n"
            now = asyncio.get_running_loop().time
            due = now() + HEARTBEAT
            # To come up with a long record may take many signs of life.
            async for passed in stream.catch_up():
                yield self._said(passed)
                if now() >= due:
                    due = now() + HEARTBEAT
                    if not await self._may_go_on(stream):
                        return
            while (found := await stream.next(HEARTBEAT)) is not None:
                if found:
                    yield self._said(found)
                if now() >= due:
                    due = now() + HEARTBEAT
                    if not await self._may_go_on(stream):
                        return
                    # The place moves on also past events that are not for this caller.
                    yield f"id: {stream.position}\n: here\n\n"

    async def _may_go_on(self, stream: Stream) -> bool:
        """Ask what the client still gets, which is nothing once it is out."""
        watcher = await self._still()
        if watcher is not None:
            self._watcher, stream.wanted = watcher, watcher.wanted
        return watcher is not None

    def _said(self, found: Iterable[Passed]) -> str:
        # Canonical JSON is one line, so the text needs no more than this.
        texts = self._watcher.texts
        lines = ((one.event.position, one.text if texts else one.without_texts) for one in found)
        return "".join(f"id: {position}\ndata: {line}\n\n" for position, line in lines)
