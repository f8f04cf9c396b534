"""A live stream as server-sent events, for clients that come back with Last-Event-ID."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from activities.events.feed import FeedEvent
from starter.api.guards import cut
from starter.api.live import Dropped, Live, Passed, Stream

Wanted = Callable[[FeedEvent], bool]

# Seconds between two signs of life on a quiet stream.
HEARTBEAT = 15.0


class EventStream(Response):
    """Sends what comes on a stream until the client goes, falls behind, or may see it no more.

    Args:
        wanted: which events, at first.
        after: the position of the last event that the client saw; None begins now.
        still: asked at every sign of life which events the caller may still see; None ends the stream.
        render: an event as the text of one message's data; None leaves it out.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        live: Live,
        wanted: Wanted,
        after: str | None,
        still: Callable[[], Awaitable[Wanted | None]],
        render: Callable[[Passed], str | None] = lambda passed: passed.text,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._live, self._wanted, self._after, self._still, self._render = live, wanted, after, still, render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client."""
        headers = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def write(text: str) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

        serving = asyncio.create_task(self._serve(write))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((serving, leaving), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
                with suppress(OSError):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Dropped:
            cut(scope)
        finally:
            for task in (serving, leaving):
                task.cancel()
            await asyncio.gather(serving, leaving, return_exceptions=True)

    async def _serve(self, write: Callable[[str], Awaitable[None]]) -> None:
        with self._live.stream(self._wanted, self._after) as stream:
            # So that a client knows at once that it is connected, and waits a second before it comes back.
            await write("retry: 1000\n\n")
            async for passed in stream.catch_up():
                await self._send(write, stream, passed)
            due = asyncio.get_running_loop().time() + HEARTBEAT
            while (found := await stream.next(HEARTBEAT)) is not None:
                if found:
                    await self._send(write, stream, found)
                if asyncio.get_running_loop().time() >= due:
                    due += HEARTBEAT
                    wanted = await self._still()
                    if wanted is None:
                        return
                    stream.wanted = wanted
                    # The place moves on also past events that are not for this caller.
                    await write(f"id: {stream.position}\n: here\n\n")

    async def _send(self, write: Callable[[str], Awaitable[None]], stream: Stream, found: list[Passed]) -> None:
        lines = []
        for passed in found:
            text = self._render(passed)
            if text is not None:
                data = "".join(f"data: {line}\n" for line in text.split("\n"))
                lines.append(f"id: {passed.event.position}\n{data}\n")
        if lines:
            await write("".join(lines))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
