"""Finding cases by a filter: one page, all of them, their events, and how many there are.

Every method takes what the caller may see, which is applied in SQL, so that what may not be seen is not
counted either: see `activities.casebook.paging.visible`. Nothing here holds personal data.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from typing import Any, ClassVar, Literal

import asyncpg

from activities.casebook.filter import Filter
from activities.casebook.paging import Kinds, Page, Units, check_limit, read_cursor, storable, visible, write_cursor
from activities.casebook.texts import join
from activities.database.database import Database, statement
from cases.vocabulary.refusals import Refused

# Above this many cases, the words of a text are looked up along the list instead of before it.
FEW = 5000
# Words after so many are not looked at.
MOST_WORDS = 10
# So many of their own forms somebody finds beside what their role sees: the last ones.
MOST_OWN = 1000
# The fields of a view that name another case, and those that name several.
LINKS, LISTS = ("parent", "claim", "merged_into"), ("links", "duplicates")

_NO_WORD = re.compile(r"[^a-z0-9]+")
# A word that no case has.
_NOTHING = "'-'"

# What is looked up of a case beside its file, for all cases at once or for each.
_AMONG = " AND file.case_id IN (SELECT case_id FROM case_search WHERE {})"
_OF_CUSTOMERS = (
    " AND file.case_id IN (SELECT case_id FROM personal WHERE facts -> 'customer' ->> 'ref' = ANY ({}::text[]))"
)
_EACH = " AND (SELECT {} FROM case_search WHERE case_search.case_id = file.case_id)"

Order = Literal["due", "opened"]


class Search:
    """Finds cases. Safe to share between tasks; every method raises what `Database.connection` does."""

    _BY: ClassVar[dict[Order, str]] = {
        "due": statement(__package__, "search_by_due"),
        "opened": statement(__package__, "search_by_opened"),
    }
    _WORDS = statement(__package__, "search_words")
    _COUNT = statement(__package__, "search_count")
    _LINKED = statement(__package__, "search_linked")
    _FILED = statement(__package__, "search_filed")
    _EVENTS_OF = statement(__package__, "search_events")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        filter: Filter,
        *,
        units: Units,
        kinds: Kinds,
        customers: Collection[str] | None = None,
        own: str | None = None,
        order: Order = "due",
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Return one page of case views.

        By ``opened`` the newest comes first, and whoever walks all pages sees each case once. By
        ``due`` what is due first comes first; a case whose deadline moves while somebody walks may
        move to a page before or after, the others stay where they are.

        Args:
            customers: only the cases whose personal facts name one of these references; None for all.
            own: the person whose own forms are found wherever they are.
            limit: 1 to 1000 cases.
            after: `Page.after` of the page before, of a search in the same order.

        Raises:
            Refused: code ``invalid``.
        """
        if order not in self._BY:
            raise Refused("invalid", f"order = {order!r}: allowed: {', '.join(self._BY)}")
        check_limit(limit)
        # One more than asked for tells whether there is a next page.
        parameters = [*visible(units, kinds), *read_cursor(after, order), limit + 1]
        async with self._database.planning() as connection:
            where = await self._where(connection, filter, parameters)
            if customers is not None:
                parameters.append(sorted(customers))
                where += _OF_CUSTOMERS.format(f"${len(parameters)}")
            also = await self._also(connection, own, parameters)
            rows = await connection.fetch(self._BY[order].replace("{where}", where).replace("{own}", also), *parameters)
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else write_cursor(order, last["place"], last["case_id"])
        return Page([row["view"] for row in rows[:limit]], following)

    async def _also(self, connection: asyncpg.Connection, own: str | None, parameters: list[Any]) -> str:
        """Return the condition that lets somebody see their own forms too, and add its parameter.

        They are few, and are looked up before, so that nothing else of the other cases is read.
        """
        units, kinds = parameters[:2]
        if own is None or (units is None and kinds is None):
            return ""
        parameters.append([row["case_id"] for row in await connection.fetch(self._FILED, own, MOST_OWN)])
        return f" OR file.case_id = ANY (${len(parameters)}::text[])"

    async def _where(
        self, connection: asyncpg.Connection, filter: Filter, parameters: list[Any], *, counting: bool = False
    ) -> str:
        """Return the condition of a filter, and add its parameters to those of the statement.

        How many cases a text finds, the planner cannot know, so it is looked up before: a few come as a list.
        Where there are many, the order of a list meets some of them soon; a count looks at all of them, for
        which one look into the words is cheaper than one a case.
        """
        condition, values = filter.where(len(parameters) + 1)
        parameters += values
        if filter.text is None and filter.waybill is None:
            return condition
        words = None if filter.text is None else _tsquery(filter.text)
        rows = await connection.fetch(self._WORDS, words, filter.waybill, FEW + 1)
        if len(rows) <= FEW:
            parameters.append([row["case_id"] for row in rows])
            return f"{condition} AND file.case_id = ANY (${len(parameters)}::text[])"
        for value, holds in (
            (words, "words @@ {}::text::tsquery"),
            (filter.waybill, "upper(waybill) = upper({}::text)"),
        ):
            if value is not None:
                parameters.append(value)
                condition += (_AMONG if counting else _EACH).format(holds.format(f"${len(parameters)}"))
        return condition

    async def count(self, filter: Filter, *, units: Units, kinds: Kinds, own: str | None = None) -> dict[str, Any]:
        """Return how many cases there are: ``total``, ``by_status``, ``by_kind`` and ``by_rung``."""
        parameters: list[Any] = [*visible(units, kinds)]
        async with self._database.planning() as connection:
            where = await self._where(connection, filter, parameters, counting=True)
            also = await self._also(connection, own, parameters)
            rows = await connection.fetch(self._COUNT.replace("{where}", where).replace("{own}", also), *parameters)
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
        """Return the views of the cases that a case names, and of those that name it as their parent or as linked."""
        if not storable(case_id):
            return []
        async with self._database.planning() as connection:
            rows = await connection.fetch(self._LINKED, *visible(units, kinds), case_id, LINKS, LISTS)
        return [row["view"] for row in rows]

    async def rows(
        self, filter: Filter, *, units: Units, kinds: Kinds, own: str | None = None, batch: int = 500
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield every view that the filter finds, the newest first, so many in memory at a time.

        No connection is held between two batches: whoever reads slowly keeps nobody waiting.
        """
        async for page in self._pages(filter, units, kinds, own, batch):
            for view in page.cases:
                yield view

    async def event_rows(
        self, filter: Filter, *, units: Units, kinds: Kinds, own: str | None = None, batch: int = 200
    ) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield every event of the cases that the filter finds, case by case and in order, with its case's view."""
        async for page in self._pages(filter, units, kinds, own, batch):
            by_id = {view["id"]: view for view in page.cases}
            async with self._database.connection() as connection:
                rows = await connection.fetch(self._EVENTS_OF, list(by_id))
            for row in rows:
                yield by_id[row["case_id"]], join(row["body"], row["texts"])

    async def _pages(
        self, filter: Filter, units: Units, kinds: Kinds, own: str | None, batch: int
    ) -> AsyncIterator[Page]:
        after: str | None = None
        while True:
            page = await self.page(filter, units=units, kinds=kinds, own=own, order="opened", limit=batch, after=after)
            yield page
            if page.after is None:
                return
            after = page.after


def _tsquery(text: str) -> str:
    """Return words as ``case_words`` makes them, each the beginning of one; letters, digits and hyphens only."""
    words = [_NO_WORD.sub("-", word).strip("-") for word in text.lower().split()[:MOST_WORDS]]
    # A word without a letter or a digit is in no id.
    return " & ".join(f"'{word}':*" if word else _NOTHING for word in words) or _NOTHING
