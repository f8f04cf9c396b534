"""Finding cases by a filter: one page, all of them, their events, and how many there are.

Every method takes what the caller may see, which is applied in SQL, so that what may not be seen is not
counted either: see `activities.casebook.paging.visible`. Nothing here holds personal data, but a text finds a case
by those, and by what people wrote, for a `Reader` who may read them in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import asyncpg

from activities.casebook.filter import Filter
from activities.casebook.meanings import Labels, Meanings, read_labels
from activities.casebook.paging import Kinds, Page, Units, check_limit, read_cursor, storable, visible, write_cursor
from activities.casebook.texts import join
from activities.casebook.words import Query, query, split
from activities.database.database import Database, statement
from cases.registry import KINDS
from cases.vocabulary.refusals import Refused

# Above this many cases, the words of a text are looked up along the list instead of before it.
FEW = 1000
# The statuses of cases that are few.
ACTIVE = ("open", "resolved", "active")
# So many of their own forms somebody finds beside what their role sees: the last ones.
MOST_OWN = 1000
# So many cases are found by what the caller may read in them and not in all: the last ones.
MOST_READ = 1000
# The fields of a view that name another case, and those that name several.
LINKS, SEVERAL = ("parent", "claim", "merged_into"), ("links", "duplicates")

# What is looked up of a case beside its file.
_OF_CUSTOMERS = (
    " AND file.case_id IN (SELECT case_id FROM personal WHERE facts -> 'customer' ->> 'ref' = ANY ({}::text[]))"
)
_HAS_WORDS = (
    " AND (file.case_id = ANY ({read})"
    " OR (SELECT words @@ {words}::tsquery FROM case_search WHERE case_search.case_id = file.case_id))"
)
_HAS_WAYBILL = " AND (SELECT upper(waybill) = upper({}) FROM case_search WHERE case_search.case_id = file.case_id)"

Order = Literal["due", "opened"]


@dataclass(frozen=True, slots=True)
class Reader:
    """What somebody may read, and so finds cases by, beyond what everybody reads who sees a case.

    Args:
        texts: whether they read what people wrote in every case that they see.
        names: whether they read the names of the staff.
        named: the id and the role by which a case names them; without any they read nothing of single cases.
        reads: whether they may read the texts of a case by its view, and with True its personal facts too.
    """

    texts: bool = False
    names: bool = False
    named: tuple[str, ...] = ()
    reads: Callable[[Mapping[str, Any], bool], bool] | None = None


# Who reads nothing but ids and terms, and whoever works with the casebook itself.
NOBODY, OPERATOR = Reader(), Reader(texts=True, names=True)


@dataclass(slots=True)
class _Asked:
    """What a filter asks for, looked up: what a text and a name in it mean.

    Args:
        words: the query to the words of a case; None where no text is given.
        read: the cases that are found besides, by what the caller may read in them.
        personal: whether personal facts found any of them.
        holders: the ids that the holder may have; None where no holder is given.
        found: the ids of the cases that text and waybill find, one more than `FEW` of many; None until looked up.
        places: where many are looked at one by one, the places of ``words`` and ``read`` among the parameters.
    """

    words: str | None = None
    read: Sequence[str] = ()
    personal: bool = False
    holders: Sequence[str] | None = None
    found: list[str] | None = None
    places: tuple[str, str] | None = None


class Search:
    """Finds cases. Safe to share between tasks; every method raises what `Database.connection` does."""

    _BY: ClassVar[dict[Order, str]] = {
        "due": statement(__package__, "search_by_due"),
        "opened": statement(__package__, "search_by_opened"),
    }
    _WORDS = statement(__package__, "search_words")
    _READ = statement(__package__, "search_read")
    _MANY_BY_DUE = statement(__package__, "search_by_due_many")
    _COUNT = statement(__package__, "search_count")
    _LINKED = statement(__package__, "search_linked")
    _FILED = statement(__package__, "search_filed")
    _EVENTS_OF = statement(__package__, "search_events")

    def __init__(self, database: Database, labels: Labels = read_labels) -> None:
        """Search a database.

        Args:
            labels: gives what terms are called; by default the built-in words.
        """
        self._database, self._meanings = database, Meanings(database, labels)

    async def page(
        self,
        filter: Filter,
        *,
        units: Units,
        kinds: Kinds,
        customers: Collection[str] | None = None,
        own: str | None = None,
        reader: Reader = NOBODY,
        order: Order = "due",
        limit: int = 50,
        after: str | None = None,
        counted: bool = False,
    ) -> Page:
        """Return one page of case views.

        By ``opened`` the newest comes first, and whoever walks all pages sees each case once. By
        ``due`` what is due first comes first; a case whose deadline moves while somebody walks may
        move to a page before or after, the others stay where they are.

        Args:
            customers: only the cases whose personal facts name one of these references; None for all.
            own: the person whose own forms are found wherever they are.
            reader: what the caller may read. Where personal facts found a case, `Page.personal` says so: such a look
                is to be recorded.
            limit: 1 to 1000 cases.
            after: `Page.after` of the page before, of a search in the same order.
            counted: also count all that the filter finds, as `count` does; not with ``customers``.

        Raises:
            Refused: code ``invalid``.
        """
        if order not in self._BY:
            raise Refused("invalid", f"order = {order!r}: allowed: {', '.join(self._BY)}")
        check_limit(limit)
        # One more than asked for tells whether there is a next page.
        parameters = [*visible(units, kinds), *read_cursor(after, order), limit + 1]
        asked = await self._ask(filter, reader)
        async with self._database.connection() as connection:
            where, _ = await self._where(connection, filter, asked, parameters, by_due=order == "due")
            if customers is not None:
                parameters.append(sorted(customers))
                where += _OF_CUSTOMERS.format(f"${len(parameters)}")
            also = await self._also(connection, own, parameters)
            sql = self._BY[order]
            if order == "due" and asked.places is not None:
                words, held = asked.places
                sql = self._MANY_BY_DUE.replace("{words}", words).replace("{read}", held)
            rows = await connection.fetch(sql.replace("{where}", where).replace("{own}", also), *parameters)
            count = await self._count(connection, filter, asked, units, kinds, own) if counted else None
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else write_cursor(order, last["place"], last["case_id"])
        return Page([row["view"] for row in rows[:limit]], following, asked.personal, count)

    async def _ask(self, filter: Filter, reader: Reader) -> _Asked:
        """Look up what a filter means to a reader."""
        holders = None
        if filter.holder is not None:
            holders = await self._meanings.people(filter.holder) if reader.names else [filter.holder]
        if filter.text is None:
            return _Asked(holders=holders)
        words = split(filter.text)
        wanted = query(words, await self._meanings.of(words, names=reader.names))
        everywhere = wanted.told if reader.texts else wanted.known
        rows = await self._read(wanted, everywhere, reader)
        read = [row["case_id"] for row in rows]
        return _Asked(everywhere, read, not all(row["told"] for row in rows), holders)

    async def _read(self, wanted: Query, everywhere: str, reader: Reader) -> list[asyncpg.Record]:
        """Return the cases that are found by what the reader may read in them, and not in all that they see."""
        if reader.reads is None or not reader.named:
            return []
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                self._READ, wanted.personal, wanted.told, everywhere, wanted.any_personal, not reader.texts,
                list(reader.named), list(KINDS), MOST_READ,
            )  # fmt: skip
        return [row for row in rows if reader.reads(row["view"], not row["told"])]

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
        self,
        connection: asyncpg.Connection,
        filter: Filter,
        asked: _Asked,
        parameters: list[Any],
        *,
        counting: bool = False,
        by_due: bool = False,
    ) -> tuple[str, bool]:
        """Return the condition of a filter, and add its parameters to those of the statement.

        How many cases a text finds, the planner cannot know, so it is looked up before: a few come as a list.
        Where there are many, the order of a list meets some of them soon. Nobody reads how many more than `FEW` they
        are, so a count is of those, except of active cases, which are few by themselves.

        Args:
            by_due: leave the words of many out, for a statement that looks at them itself (search_by_due_many.sql).

        Returns:
            The condition, and whether there are more cases than those that it holds for.
        """
        condition, values = filter.where(len(parameters) + 1)
        parameters += values
        if asked.holders is not None:
            parameters.append(asked.holders)
            condition += f" AND file.holder = ANY (${len(parameters)}::text[])"
        if filter.text is None and filter.waybill is None:
            return condition, False
        if asked.found is None:
            rows = await connection.fetch(self._WORDS, asked.words, filter.waybill, FEW + 1, list(asked.read))
            asked.found = [row["case_id"] for row in rows]
        many = len(asked.found) > FEW
        if not many or (counting and filter.status not in ACTIVE):
            parameters.append(asked.found[:FEW])
            return f"{condition} AND file.case_id = ANY (${len(parameters)}::text[])", many
        if filter.waybill is not None:
            parameters.append(filter.waybill)
            condition += _HAS_WAYBILL.format(f"${len(parameters)}::text")
        if asked.words is not None:
            parameters += [asked.words, list(asked.read)]
            asked.places = f"${len(parameters) - 1}::text", f"${len(parameters)}::text[]"
            if not by_due:
                words, read = asked.places
                condition += _HAS_WORDS.format(words=words, read=read)
        return condition, False

    async def count(
        self, filter: Filter, *, units: Units, kinds: Kinds, own: str | None = None, reader: Reader = NOBODY
    ) -> dict[str, Any]:
        """Return how many cases there are: ``total``, ``by_status``, ``by_kind`` and ``by_rung``.

        ``more`` says that there are more: of those that a text finds no more than `FEW` are counted, unless they are
        active.
        """
        asked = await self._ask(filter, reader)
        async with self._database.connection() as connection:
            return await self._count(connection, filter, asked, units, kinds, own)

    async def _count(
        self, connection: asyncpg.Connection, filter: Filter, asked: _Asked, units: Units, kinds: Kinds, own: str | None
    ) -> dict[str, Any]:
        parameters: list[Any] = [*visible(units, kinds)]
        where, more = await self._where(connection, filter, asked, parameters, counting=True)
        also = await self._also(connection, own, parameters)
        rows = await connection.fetch(self._COUNT.replace("{where}", where).replace("{own}", also), *parameters)
        answer: dict[str, Any] = {"total": sum(row["cases"] for row in rows), "more": more}
        for name in ("status", "kind", "rung"):
            counts: dict[str, int] = {}
            for row in rows:
                value = row[name] or ""
                counts[value] = counts.get(value, 0) + row["cases"]
            answer[f"by_{name}"] = dict(sorted(counts.items()))
        return answer

    async def linked(self, case_id: str, *, units: Units, kinds: Kinds) -> list[dict[str, Any]]:
        """Return the views of the cases that a case names, and of those that name it as their parent or as linked."""
        if not storable(case_id):
            return []
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._LINKED, *visible(units, kinds), case_id, LINKS, SEVERAL)
        return [row["view"] for row in rows]

    async def rows(
        self,
        filter: Filter,
        *,
        units: Units,
        kinds: Kinds,
        own: str | None = None,
        reader: Reader = NOBODY,
        batch: int = 500,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield every view that the filter finds, the newest first, so many in memory at a time.

        No connection is held between two batches: whoever reads slowly keeps nobody waiting.
        """
        async for page in self._pages(filter, units, kinds, own, reader, batch):
            for view in page.cases:
                yield view

    async def event_rows(
        self,
        filter: Filter,
        *,
        units: Units,
        kinds: Kinds,
        own: str | None = None,
        reader: Reader = NOBODY,
        batch: int = 200,
    ) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield every event of the cases that the filter finds, case by case and in order, with its case's view."""
        async for page in self._pages(filter, units, kinds, own, reader, batch):
            by_id = {view["id"]: view for view in page.cases}
            async with self._database.connection() as connection:
                rows = await connection.fetch(self._EVENTS_OF, list(by_id))
            for row in rows:
                yield by_id[row["case_id"]], join(row["body"], row["texts"])

    async def _pages(
        self, filter: Filter, units: Units, kinds: Kinds, own: str | None, reader: Reader, batch: int
    ) -> AsyncIterator[Page]:
        after: str | None = None
        while True:
            page = await self.page(
                filter, units=units, kinds=kinds, own=own, reader=reader, order="opened", limit=batch, after=after
            )
            yield page
            if page.after is None:
                return
            after = page.after
