"""The stream that tells a page that something moved.

Every event that the caller may see is sent once and in order, as ``case`` with its case's id and the
event's type; what the case says is asked for by the page, which is told to do so by ``refresh``, so
often that a burst of events costs a few looks and not one for each.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from time import monotonic

from starlette.responses import Response

from activities.database import DatabaseAway, StatementFailed
from activities.feed import FeedEvent, read_position
from cases.refusals import Refused
from starter.api.live import Passed, visible
from starter.api.stream import EventStream, Wanted
from starter.console.web import Look

# Seconds between two refreshes; between two signs of life; until a browser must come back, so that
# whoever lost their rights, or whose session ran out, sees no more.
REFRESH, ALIVE, LONGEST = 0.7, 15.0, 600.0
BEGIN, NEWS = "retry: 1000\nevent: refresh\ndata: begin\n\n", "event: refresh\ndata: news\n\n"


async def stream(look: Look) -> Response:
    """The stream of one page, about one case or all."""
    may_see, case_id = visible(look.who), look.request.query_params.get("case")

    def wanted(event: FeedEvent) -> bool:
        return (case_id is None or event.case_id == case_id) and may_see(event)

    after = look.request.headers.get("Last-Event-ID") or None
    try:
        read_position(after)
    except Refused:
        after = None
    return _Page(look.services.live, wanted, after, _nobody)


async def _nobody() -> Wanted | None:
    return None


class _Page(EventStream):
    """Serves a page: its events, and when to look again."""

    async def _serve(self, write: Callable[[str], Awaitable[None]]) -> None:
        ends = monotonic() + LONGEST
        with self._live.stream(self._wanted, self._after) as events:
            # Whoever comes back catches up with this, whatever they missed.
            await write(BEGIN)
            try:
                async for page in events.catch_up():
                    await write(_said(page))
            except (DatabaseAway, StatementFailed, Refused):
                return
            refreshed, owed = monotonic(), True
            while monotonic() < ends:
                wait = max(refreshed + REFRESH - monotonic(), 0.01) if owed else ALIVE
                found = await events.next(wait)
                if found is None:
                    return
                text = _said(found)
                owed = owed or bool(found)
                if owed and monotonic() - refreshed >= REFRESH:
                    text, refreshed, owed = text + NEWS, monotonic(), False
                await write(text or ":\n\n")


def _said(page: list[Passed]) -> str:
    return "".join(
        f"id: {passed.event.position}\nevent: case\n"
        f"data: {json.dumps({'case': passed.event.case_id, 'type': passed.event.event['type']})}\n\n"
        for passed in page
    )
