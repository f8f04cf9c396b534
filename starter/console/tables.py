"""Exports as people read them: columns and values in the words of one language, instants in one zone.

What machines read is in `starter.exports`; here its cells are said as the pages say them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from activities.payouts import Listed
from cases.policy.forms import titles
from starter.console.translations import PageTranslations
from starter.exports import COLUMNS, EVENT_COLUMNS, MONEY, Cell, case_row, detail, event_row

# Of the payout book, which is for people alone.
PAYOUT_COLUMNS = (
    "case", "number", "payout_state", "amount_yuan", "requested_at", "settled_at", "gateway", "paid_reference",
    "failure", "differences",
)  # fmt: skip

# The columns of instants; their heads say the zone.
_INSTANTS = frozenset(
    {"opened_at", "resolved_at", "closed_at", "next_due", "time:timestamp", "requested_at", "settled_at"}
)
# Of which section of the words the term of a column is.
_TERMS = {
    "kind": "kind", "status": "status", "outcome": "outcome", "rung": "role", "severity": "severity",
    "category": "category", "factor": "factor", "source": "source",
    "concept:name": "event", "org:role": "role", "case:kind": "kind", "payout_state": "payout_state",
}  # fmt: skip
# Those of several terms.
_LISTS = {"breached": "clock", "waiting_approvals": "role", "turn": "role"}
# What the columns of the log of events are called, which have the names of a standard.
_HEADS = {
    "case:concept:name": "case", "concept:name": "event", "time:timestamp": "at", "org:resource": "person",
    "org:role": "role", "case:kind": "kind", "case:unit": "unit", "case:number": "number",
}  # fmt: skip
# Of which section the detail of an event is, by the name of the field that has it.
_DETAILS = {
    "clock": "clock", "to": "role", "stage": "stage", "notice": "notice", "rung": "role", "outcome": "outcome",
    "command": "command", "path": "path",
}  # fmt: skip
_YUAN = {f"{name}_yuan": name for name in MONEY}

View = Mapping[str, Any]


class Tables:
    """The tables of exports for one reader.

    Args:
        words: of the reader's language.
        zone: of the policy; every instant is shown in it.
    """

    def __init__(self, words: PageTranslations, zone: ZoneInfo) -> None:
        self._words = words
        self._zone = zone

    def heads(self, columns: Sequence[str]) -> list[str]:
        """Return what columns are called; those of instants say the zone, those of amounts the unit."""
        return [self._head(column) for column in columns]

    async def case_rows(self, views: AsyncIterable[View]) -> AsyncIterator[list[Cell]]:
        """Yield the rows of cases, with the columns `COLUMNS`."""
        async for view in views:
            yield self._row(COLUMNS, case_row(view))

    async def event_rows(self, events: AsyncIterable[tuple[View, View]]) -> AsyncIterator[list[Cell]]:
        """Yield the rows of events, with the columns `EVENT_COLUMNS`."""
        async for view, event in events:
            row = self._row(EVENT_COLUMNS, event_row(view, event))
            name, value = detail(event)
            if value is not None:
                row[EVENT_COLUMNS.index("detail")] = self._words.word(_DETAILS[name], value)
            yield row

    async def payout_rows(self, rows: AsyncIterable[tuple[Listed | None, str, str]]) -> AsyncIterator[list[Cell]]:
        """Yield the rows of payouts, with the columns `PAYOUT_COLUMNS`.

        Args:
            rows: each payout, its case, and what differs about it; None where the book does not have it.
        """
        async for row, case_id, differs in rows:
            if row is None:
                cells: list[Cell] = [case_id, *[None] * (len(PAYOUT_COLUMNS) - 2), differs]
            else:
                one = row.payout
                settled = None if one.settled_at is None else one.settled_at.isoformat()
                cells = [
                    case_id, row.number, one.state, one.amount, one.requested_at.isoformat(), settled, one.gateway,
                    one.reference, self._words.reason(one.reason), differs,
                ]  # fmt: skip
            yield self._row(PAYOUT_COLUMNS, cells)

    def _head(self, column: str) -> str:
        if column == "amount_yuan":
            return self._words.say("column.yuan", name=self._words.say("case.amount"))
        if column in _YUAN:
            return self._words.say("column.yuan", name=self._words.word("money", _YUAN[column]))
        head = self._words.say(f"column.{_HEADS.get(column, column)}")
        return self._words.say("column.in_zone", name=head, zone=self._zone.key) if column in _INSTANTS else head

    def _row(self, columns: Sequence[str], cells: Sequence[Cell]) -> list[Cell]:
        return [self._cell(column, cell) for column, cell in zip(columns, cells, strict=True)]

    def _cell(self, column: str, cell: Cell) -> Cell:
        words = self._words
        if not isinstance(cell, str) or not cell:
            return cell
        if column in _INSTANTS:
            # A cell of a sheet knows no offset and shows seconds.
            return datetime.fromisoformat(cell).astimezone(self._zone).replace(tzinfo=None, microsecond=0)
        if column in _TERMS:
            return words.word(_TERMS[column], cell)
        if column in _LISTS:
            return words.words(_LISTS[column], cell.split(" "))
        if column == "acknowledged":
            return words.say(f"app.{cell}")
        if column == "title":
            return titles(cell)[words.language]
        if column == "step":
            return words.say("remark.step", n=cell) if cell.isdecimal() else words.word("step", cell)
        return cell
