"""The ledger as others read it: every event of every case, once, in an order that never changes.

An event comes only when nothing can come before it any more, so a reader that asks for what follows
its last position misses nothing and sees nothing twice, whatever commits when. The events of a case
come by their ``seq``. A transaction that stays open anywhere on the database server and writes holds
everything after it up until it ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from json import loads
from typing import Any

import asyncpg

from activities.casebook.read import Casebook
from activities.casebook.texts import COMMITMENT, commitments, join, refers
from activities.database.database import Database, statement
from cases.vocabulary.events import texts_of
from cases.vocabulary.refusals import Refused, shown
from cases.vocabulary.texts import put, references

MOST = 1000
_POSITION = re.compile(r"(?P<tx>\d{1,18})-(?P<position>\d{1,18})", re.ASCII)
START = "0-0"


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event of the ledger and the case that it belongs to.

    Args:
        position: where it stands; opaque to readers, and fit for a header.
        kind, unit: the case's, as it stands now.
        number: the case's; empty where an event says it, and none has yet.
        event: public event JSON (design contract "Events").
        customer: the reference among the personal facts as they are now, which is passed on to nobody.
        filed_by: who filed a form.
        texts: the paths of what people wrote freely in it.
    """

    position: str
    case_id: str
    kind: str
    number: str
    unit: str | None
    event: dict[str, Any]
    customer: str | None = field(default=None, repr=False, compare=False)
    texts: frozenset[str] = frozenset()
    filed_by: str | None = field(default=None, repr=False, compare=False)

    def for_reader(self, texts: bool) -> dict[str, Any]:
        """Return the event for somebody who may read its texts, or may not."""
        if texts or not self.texts:
            return self.event
        return {**self.event, "data": put(self.event["data"], dict.fromkeys(self.texts))}


class Feed:
    """Reads the ledger in its order. Safe to share between tasks; raises what `Database.connection` does."""

    _AFTER = statement(__package__, "feed_after")
    _HEAD = statement(__package__, "feed_head")
    _OF = statement(__package__, "feed_of")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, position: str | None, limit: int) -> list[FeedEvent]:
        """Return the events that follow a position; empty when there are none yet.

        Args:
            position: of the last event that was read; None is before the first.
            limit: 1 to 1000 events.

        Raises:
            Refused: ``invalid``: the position is none that this ledger gave.
            ValueError: ``limit`` is not what it may be.
        """
        if not 1 <= limit <= MOST:
            raise ValueError(f"limit = {limit}: allowed is 1 to {MOST}")
        tx, place = read_position(position)
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._AFTER, tx, place, limit)
        if tx >= rows[0]["next"]:
            # Of another ledger, or of a later state of this one than was restored.
            raise Refused("invalid", f"position = {position!r}: this ledger has not come that far")
        return await self._told([_event(row) for row in rows if row["tx"] is not None])

    async def _told(self, events: list[FeedEvent]) -> list[FeedEvent]:
        """Return events with texts in place of references to what was said before."""
        wanted = {(one.case_id, *which) for one in events for which in references(list(texts_of(one.event).values()))}
        if not wanted:
            return events
        texts = await Casebook(self._database).texts(wanted)

        def told(one: FeedEvent) -> FeedEvent:
            return replace(one, event=refers(one.event, lambda seq, path: texts.get((one.case_id, seq, path))))

        return [told(one) for one in events]

    async def head(self) -> str:
        """Return the position of the last event that can be read: what follows it is still to come."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._HEAD)
        return START if row is None else f"{row['tx']}-{row['position']}"

    async def before(self, case_id: str, seq: int) -> str:
        """Return the position after which an event of a case is the next to be read.

        Raises:
            Refused: ``not_found``: the case has no such event.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._OF, case_id, seq) if 0 < seq < 1 << 31 else None
        if row is None:
            raise Refused("not_found", f"the ledger has no event {seq} of {case_id}")
        return f"{row['tx']}-{row['position'] - 1}"


def read_position(position: str | None) -> tuple[int, int]:
    """Return the two numbers of a position.

    Raises:
        Refused: ``invalid``: it has another form.
    """
    if position is None:
        return 0, 0
    match = _POSITION.fullmatch(position)
    if match is None:
        raise Refused("invalid", f"position = {shown(position)}: allowed is what an event came with, like 4711-32")
    return int(match["tx"]), int(match["position"])


def _event(row: asyncpg.Record) -> FeedEvent:
    event = join(row["body"], row["texts"])
    # Also where this build knows the type or the field no more.
    committed = commitments(loads(row["body"]).get("data")) if f'"{COMMITMENT}":' in row["body"] else {}
    return FeedEvent(
        f"{row['tx']}-{row['position']}",
        row["case_id"],
        # A ledger row without a case file is a fault that `verify` reports; readers still get it.
        row["kind"] or row["case_id"].partition(":")[0],
        row["number"] or "",
        row["unit"],
        event,
        row["customer"],
        frozenset({*committed, *texts_of(event)}),
        row["filed_by"],
    )
