"""The desk: what lists, searches, pages, exports and numbers read off the casebook.

Every method takes what the caller may see: ``units`` (None for all; ``""`` among them stands for the
cases without a unit, which belong to headquarters) and ``kinds`` (None for all). It is applied in SQL,
so what may not be seen is not counted either. Nothing here holds personal data.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import asyncpg

from activities.casebook.book import Page
from activities.database.pool import connection_of, open_pool, statement
from cases.registry import KINDS
from cases.vocabulary.refusals import Refused

__all__ = ["AGES", "MOST", "Desk", "Filter", "Needed", "Page", "connect"]

# At most so many cases, or lines, in one answer.
MOST = 1000
STATUSES = ("open", "resolved", "closed", "active")
SEVERITIES = ("normal", "serious", "critical")
# A longer text names nothing; words after so many are not looked at.
LONGEST, MOST_WORDS = 200, 10
# As many cases as it is cheaper to look up one by one than to find among all.
FEW = 5000
# Who confirms payments made by hand.
FINANCE = "finance"
# Ages of open cases: the name, and the seconds at which it ends.
AGES = (("1h", 3600), ("4h", 14400), ("24h", 86400), ("3d", 259200), ("7d", 604800), ("older", None))

_NO_WORD = re.compile(r"[^a-z0-9]+")
# A word that no case has.
_NOTHING = "'-'"

Units = Collection[str] | None
Kinds = Collection[str] | None
Order = Literal["due", "opened"]
# Why something needs a person now.
Needed = Literal["holder", "rung", "approval", "payout", "signature"]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which cases are meant; everything given must hold.

    Args:
        status: ``open``, ``resolved``, ``closed``, or ``active`` for what is not closed.
        breached: the name of a clock that was breached at least once.
        due_before, opened_to: exclusive, ``opened_from`` inclusive; aware instants.
        text: words, each the beginning of a part of the case's key, number, waybill, unit, policy,
            kind, category, factor, source or outcome. Personal data is never found.
        is_breached: whether any clock was breached.

    Raises:
        Refused: code ``invalid``, naming field, value and what is allowed.
    """

    kind: str | None = None
    status: str | None = None
    rung: str | None = None
    holder: str | None = None
    unit: str | None = None
    severity: str | None = None
    breached: str | None = None
    due_before: datetime | None = None
    number: str | None = None
    waybill: str | None = None
    text: str | None = None
    opened_from: datetime | None = None
    opened_to: datetime | None = None
    policy: str | None = None
    is_breached: bool | None = None

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, tuple(KINDS))
        _one_of("status", self.status, STATUSES)
        _one_of("severity", self.severity, SEVERITIES)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, datetime):
                _aware(field.name, value)
            elif isinstance(value, str) and not _storable(value):
                raise Refused("invalid", f"{field.name}: allowed are 1 to {LONGEST} characters, and no NUL")

    def _parameters(self, units: Units, kinds: Kinds) -> tuple[Any, ...]:
        """Values for ``desk_where.sql``, less the last three, which are about text and waybill."""
        status = None if self.status == "active" else self.status
        # Open and resolved cases are active too: said twice, it lets the small index serve.
        active = None if self.status is None else self.status != "closed"
        return (
            _listed(units), _listed(kinds), self.kind, status, active, self.rung, self.holder, self.unit,
            self.severity, self.breached, self.is_breached, self.due_before, self.number,
            self.opened_from, self.opened_to, self.policy,
        )  # fmt: skip


class Desk:
    """Reads the casebook. Safe to share between tasks.

    Every method raises `DatabaseAway` when the database cannot serve.
    """

    _WHERE = statement(__package__, "desk_where")
    _BY: ClassVar[dict[Order, str]] = {
        "due": statement(__package__, "desk_by_due").replace("{where}", _WHERE),
        "opened": statement(__package__, "desk_by_opened").replace("{where}", _WHERE),
    }
    _WORDS = statement(__package__, "desk_words")
    _COUNT = statement(__package__, "desk_count").replace("{where}", _WHERE)
    _APPROVALS = statement(__package__, "desk_approvals")
    _NOW = statement(__package__, "desk_now")
    _BOARD = statement(__package__, "desk_board")
    _LINKED = statement(__package__, "desk_linked")
    _EVENTS = statement(__package__, "desk_events")
    _AGES = statement(__package__, "desk_ages")
    _BREACHES = statement(__package__, "desk_breaches")
    _ACKNOWLEDGED = statement(__package__, "desk_acknowledged")
    _LOAD = statement(__package__, "desk_load")
    _MONEY = statement(__package__, "desk_money")

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    # --- finding ----------------------------------------------------------------------------------

    async def search(
        self,
        filter: Filter,
        *,
        units: Units,
        kinds: Kinds,
        order: Order = "due",
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """One page of case views.

        By ``opened`` the newest comes first, and whoever walks all pages sees each case once. By
        ``due`` what is due first comes first; a case whose deadline moves while somebody walks may
        move to a page before or after, the others stay where they are.

        Args:
            limit: 1 to 1000 cases.
            after: `Page.after` of the page before, of a search in the same order.

        Raises:
            Refused: code ``invalid``.
        """
        if order not in self._BY:
            raise Refused("invalid", f"order = {order!r}: allowed: {', '.join(self._BY)}")
        _bounded(limit)
        place = [None, None] if after is None else _read_cursor(after, order)
        async with connection_of(self._pool) as connection:
            # One more than asked for tells whether there is a next page.
            given = await self._given(connection, filter, units, kinds)
            rows = await connection.fetch(self._BY[order], *given, *place, limit + 1)
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else _cursor(order, last["place"], last["case_id"])
        return Page([row["view"] for row in rows[:limit]], following)

    async def _given(
        self, connection: asyncpg.Connection, filter: Filter, units: Units, kinds: Kinds
    ) -> tuple[Any, ...]:
        """Values for ``desk_where.sql``. How many cases a text finds, the planner cannot know; so it is told."""
        given = filter._parameters(units, kinds)
        if filter.text is None and filter.waybill is None:
            return *given, None, None, None
        words = None if filter.text is None else _tsquery(filter.text)
        found = await connection.fetch(self._WORDS, words, filter.waybill, FEW + 1)
        if len(found) > FEW:
            return *given, None, words, filter.waybill
        return *given, [row["case_id"] for row in found], None, None

    async def count(self, filter: Filter, *, units: Units, kinds: Kinds) -> dict[str, Any]:
        """How many cases there are: ``total``, ``by_status``, ``by_kind`` and ``by_rung``."""
        async with connection_of(self._pool) as connection:
            *given, words, waybill = await self._given(connection, filter, units, kinds)
            rows = await connection.fetch(self._COUNT, *given, None, waybill, words)
        answer: dict[str, Any] = {"total": 0, "by_status": {}, "by_kind": {}, "by_rung": {}}
        for row in rows:
            # A bit is set for each column that a row is not about.
            if row["missing"] == 0b111:
                answer["total"] = row["cases"]
                continue
            name = {0b011: "status", 0b101: "kind", 0b110: "rung"}[row["missing"]]
            answer[f"by_{name}"][row[name] or ""] = row["cases"]
        return answer

    async def linked(self, case_id: str, *, units: Units, kinds: Kinds) -> list[dict[str, Any]]:
        """The views of the cases linked with a case: its parent, its claim, those that name it as parent."""
        if not _storable(case_id):
            return []
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(self._LINKED, _listed(units), _listed(kinds), case_id)
        return [row["view"] for row in rows]

    async def rows(
        self, filter: Filter, *, units: Units, kinds: Kinds, batch: int = 500
    ) -> AsyncIterator[dict[str, Any]]:
        """Every view that the filter finds, the newest first, so many in memory at a time.

        No connection is held between two batches: whoever reads slowly keeps nobody waiting.
        """
        after: str | None = None
        while True:
            page = await self.search(filter, units=units, kinds=kinds, order="opened", limit=batch, after=after)
            for view in page.cases:
                yield view
            if page.after is None:
                return
            after = page.after

    async def event_rows(
        self, filter: Filter, *, units: Units, kinds: Kinds, batch: int = 200
    ) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Every event of the cases that the filter finds, case by case and in order, each with its case's view."""
        after: str | None = None
        while True:
            page = await self.search(filter, units=units, kinds=kinds, order="opened", limit=batch, after=after)
            found = {view["id"]: view for view in page.cases}
            async with connection_of(self._pool) as connection:
                rows = await connection.fetch(self._EVENTS, list(found))
            for row in rows:
                yield found[row["case_id"]], json.loads(row["body"])
            if page.after is None:
                return
            after = page.after

    # --- what needs somebody ----------------------------------------------------------------------

    async def approvals(
        self,
        *,
        roles: Collection[str],
        not_by: str,
        units: Units,
        kinds: Kinds,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Open approvals that one of these roles is asked for now and that somebody else asked for.

        Each is ``{"case": view, "approval": {..., "number", "due"}}``; what is due first comes first.

        Raises:
            Refused: code ``invalid``.
        """
        _bounded(limit)
        place = [None, None, None] if after is None else _read_cursor(after, "approval")
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(
                self._APPROVALS, _listed(units), _listed(kinds), list(roles), not_by, limit + 1, *place
            )
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else _cursor("approval", last["place"], last["case_id"], last["number"])
        found = [
            {"case": row["view"], "approval": {**row["approval"], "number": row["number"], "due": _iso(row["due"])}}
            for row in rows[:limit]
        ]
        return Page(found, following)

    async def now(
        self, role: str, person: str, *, units: Units, kinds: Kinds, limit: int = 100
    ) -> list[dict[str, Any]]:
        """What needs a person now, what is due first comes first: ``{"case": view, "why", "due"}``.

        ``why`` is ``holder`` (they hold it), ``rung`` (it reached their rung and nobody took it up),
        ``approval`` (their role is asked, and somebody else asked), ``payout`` (finance must pay and
        confirm it) or ``signature`` (it is their role's turn). A case may be there for two reasons.
        ``due`` is that of the clock it is about, an RFC 3339 instant or None.

        Raises:
            Refused: code ``invalid``.
        """
        _bounded(limit)
        confirms = role == FINANCE
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(self._NOW, _listed(units), _listed(kinds), role, person, confirms, limit)
        return [{"case": row["view"], "why": row["why"], "due": _iso(row["due"])} for row in rows]

    async def board(self, *, units: Units, kinds: Kinds, each: int = 50) -> dict[str, dict[str, Any]]:
        """The open cases by rung: ``{"count", "breached", "cases"}``, the cases slim and at most ``each``.

        A slim case has ``id kind number status rung holder acknowledged unit severity opened_at
        next_due breached matter waybill`` of its view; ``matter`` is the category or the factor.
        """
        _bounded(each)
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(self._BOARD, _listed(units), _listed(kinds), each)
        board: dict[str, dict[str, Any]] = {}
        for row in rows:
            slim = {name: row[name] for name in _SLIM}
            slim |= {"id": row["case_id"], "opened_at": _iso(row["opened_at"]), "next_due": _iso(row["next_due"])}
            counted = {"count": row["cases"], "breached": row["with_breach"], "cases": []}
            board.setdefault(row["rung"] or "", counted)["cases"].append(slim)
        return board

    # --- counting over time -----------------------------------------------------------------------

    async def numbers(
        self, *, units: Units, kinds: Kinds, since: datetime, zone: str = "Asia/Shanghai", at: datetime | None = None
    ) -> dict[str, Any]:
        """Tables for charts; all but the first count what happened since an instant.

        ``open``: rung, age (a name of `AGES`), cases. ``breaches``: clock, unit, breaches.
        ``acknowledged``: rung, acknowledged, missed (it climbed on since nobody did), p50 and p90 in
        seconds. ``load``: weekday (1 is Monday), hour, cases opened. ``money``: month, payouts,
        amount in yuan as text.

        Args:
            zone: whose weekdays, hours and months are meant.
            at: the instant that ages are reckoned from; now.

        Raises:
            Refused: code ``invalid``.
        """
        _aware("since", since)
        seen = (_listed(units), _listed(kinds))
        ends = [end for _, end in AGES if end is not None]
        async with connection_of(self._pool) as connection:
            ages = await connection.fetch(self._AGES, *seen, at or datetime.now(UTC), ends)
            breaches = await connection.fetch(self._BREACHES, *seen, since)
            acknowledged = await connection.fetch(self._ACKNOWLEDGED, *seen, since)
            load = await connection.fetch(self._LOAD, *seen, since, zone)
            money = await connection.fetch(self._MONEY, *seen, since, zone)
        return {
            "since": since.isoformat(),
            "zone": zone,
            "open": [{**row, "age": AGES[row["age"]][0]} for row in ages],
            "breaches": [dict(row) for row in breaches],
            "acknowledged": [dict(row) for row in acknowledged],
            "load": [dict(row) for row in load],
            "money": [{**row, "amount": f"{row['amount']:.2f}"} for row in money],
        }


_SLIM = (
    "kind", "number", "status", "rung", "holder", "acknowledged", "unit", "severity", "breached", "matter", "waybill",
)  # fmt: skip


@asynccontextmanager
async def connect(dsn: str, *, size: int = 5) -> AsyncIterator[Desk]:
    """A desk on a pool of its own. It starts while the database is away: the first use connects.

    Args:
        size: the most connections it will hold.

    Raises:
        BadDatabaseAddress: the address cannot be used.
    """
    # A plan for any filter would be a plan for none.
    async with open_pool(dsn, size=size, wait=True, plan_cache_mode="force_custom_plan") as pool:
        yield Desk(pool)


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise Refused("invalid", f"{name} = {value[:80]!r}: allowed: {', '.join(allowed)}")


def _aware(name: str, value: datetime) -> None:
    if value.tzinfo is None:
        raise Refused("invalid", f"{name} = {value.isoformat()}: an instant needs an offset")
    # At the ends of the calendar an instant may not exist in UTC.
    if not 2000 <= value.year <= 9998:
        raise Refused("invalid", f"{name} = {value.isoformat()}: an instant lies in the years 2000 to 9998")


def _bounded(limit: int) -> None:
    if not 1 <= limit <= MOST:
        raise Refused("invalid", f"limit = {limit}: allowed is 1 to {MOST}")


def _storable(text: str) -> bool:
    # What PostgreSQL does not take, no case has.
    return 0 < len(text) <= LONGEST and "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _listed(seen: Collection[str] | None) -> list[str] | None:
    return None if seen is None else sorted(seen)


def _tsquery(text: str) -> str:
    """Words as ``case_words`` makes them, each the beginning of one; letters, digits and hyphens only."""
    words = [_NO_WORD.sub("-", word).strip("-") for word in text.lower().split()[:MOST_WORDS]]
    # A word without a letter or a digit is in no id.
    return " & ".join(f"'{word}':*" if word else _NOTHING for word in words) or _NOTHING


def _cursor(*place: Any) -> str:
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read_cursor(after: str, order: str) -> list[Any]:
    """What `_cursor` was made from: a place in time, a case's id, and a number of an approval.

    Raises:
        Refused: code ``invalid``, it was not made by us for this order.
    """
    try:
        given, instant, case_id, *number = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        if instant != "infinity":
            # Written anew, since PostgreSQL does not read everything that Python does.
            moment = datetime.fromisoformat(instant)
            _aware("after", moment)
            instant = moment.isoformat()
        numbered = [type(value) is int and 0 < value < 2**31 for value in number]
        if given != order or not _storable(case_id) or numbered != [True] * (order == "approval"):
            raise ValueError
    except (ValueError, TypeError, RecursionError, Refused):
        raise Refused("invalid", f"after = {after[:80]!r}: allowed is what the page before gave") from None
    return [instant, case_id, *number]


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
