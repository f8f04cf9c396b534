"""The stream that tells a page that something moved.

Every event that the caller may see is sent once and in order, as ``case`` with its case's id and the
event's type; what the case says is asked for by the page, which is told to do so by ``refresh``, so
often that a burst of events costs a few looks and not one for each.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from time import monotonic

from starlette.responses import Response

from activities.database.errors import DatabaseAway, StatementFailed
from activities.events.feed import read_position
from cases.vocabulary.refusals import Refused
from starter.access import Caller
from starter.api.live import Passed, Stream, visible
from starter.api.stream import EventStream, Watcher
from starter.console.web import Look

# Seconds between two refreshes; between two signs of life, at which the session is looked at again.
REFRESH, ALIVE = 0.7, 15.0
BEGIN, NEWS = "retry: 1000\nevent: refresh\ndata: begin\n\n", "event: refresh\ndata: news\n\n"


async def stream(look: Look) -> Response:
    """Open the stream of one page, about one case or all."""
    case_id = look.request.query_params.get("case")

    def watcher(caller: Caller) -> Watcher:
        may_see = visible(caller)
        return Watcher(lambda event: (case_id is None or event.case_id == case_id) and may_see(event))

    async def still() -> Watcher | None:
        caller = await look.still()
        return None if caller is None else watcher(caller)

    after = look.request.headers.get("Last-Event-ID") or None
    try:
        read_position(after)
    except Refused:
        after = None
    return _Page(look.services.live, look.services.streams, look.who, watcher(look.who), after, still)


class _Page(EventStream):
    """Serves a page: its events, and when to look again."""

    async def _serve(self) -> AsyncGenerator[str, None]:
        with self._live.stream(self._watcher.wanted, self._after) as events:
            # Whoever comes back catches up with this, whatever they missed.
            yield BEGIN
            looked = monotonic()
            try:
                async for page in events.catch_up():
                    yield _said(page)
                    if monotonic() - looked >= ALIVE:
                        looked = monotonic()
                        if not await self._may_go_on(events):
                            return
            except (DatabaseAway, StatementFailed, Refused):
                return
            async for text in self._news(events):
                yield text

    async def _news(self, events: Stream) -> AsyncGenerator[str, None]:
        refreshed, looked, owed = monotonic(), monotonic(), True
        while (found := await events.next(max(refreshed + REFRESH - monotonic(), 0.01) if owed else ALIVE)) is not None:
            text, owed = _said(found), owed or bool(found)
            if owed and monotonic() - refreshed >= REFRESH:
                text, refreshed, owed = text + NEWS, monotonic(), False
            if monotonic() - looked >= ALIVE:
                text, looked = text + ":\n\n", monotonic()
                if not await self._may_go_on(events):
                    return
            if text:
                yield text


def _said(page: list[Passed]) -> str:
    return "".join(
        f"id: {passed.event.position}\nevent: case\n"
        f"data: {json.dumps({'case': passed.event.case_id, 'type': passed.event.event['type']})}\n\n"
        for passed in page
    )
