"""What a member of the staff keeps at their desk: saved views of Now and Find, and how they want the Now page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from activities.database.database import Database, statement
from cases.vocabulary.refusals import Refused

# Pages that a view can be of.
ViewPage = Literal["now", "find"]
# Views of one person; characters of a name.
MOST_VIEWS, LONGEST_NAME = 50, 60
# Characters of a query; what a filter takes is shorter.
LONGEST_QUERY = 2000


@dataclass(frozen=True, slots=True)
class SavedView:
    """A filter and an order under a name.

    Args:
        query: of the address of its page, without what was searched for in words.
        shared: with the unit of its owner.
        person: the owner.
    """

    id: int
    name: str
    page: ViewPage
    query: str
    shared: bool
    person: str


@dataclass(frozen=True, slots=True)
class Preferences:
    """How somebody wants the Now page.

    Args:
        notify: by the desktop, when the page is not looked at.
        seen_at: decisions up to this instant were seen.
    """

    now_sort: str = "due"
    notify: bool = False
    sound: bool = False
    seen_at: datetime | None = None


class Desk:
    """Keeps both. Safe to share between tasks; every method raises what `Database.connection` does."""

    _PREFERENCES = statement(__package__, "desk_preferences")
    _PREFER = statement(__package__, "desk_prefer")
    _VIEWS = statement(__package__, "desk_views")
    _SAVE = statement(__package__, "desk_save")
    _CHANGE = statement(__package__, "desk_change")
    _DROP = statement(__package__, "desk_drop")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preferences(self, person: str) -> Preferences:
        """Return how a person wants the Now page."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._PREFERENCES, person)
        return Preferences() if row is None else Preferences(**row)

    async def prefer(
        self,
        person: str,
        *,
        now_sort: str | None = None,
        notify: bool | None = None,
        sound: bool | None = None,
        seen_at: datetime | None = None,
    ) -> None:
        """Keep how a person wants it; what is None stays as it is, and what was seen stays seen."""
        async with self._database.connection() as connection:
            await connection.execute(self._PREFER, person, now_sort, notify, sound, seen_at)

    async def views(self, person: str) -> list[SavedView]:
        """Return a person's own views by name, then those that others of their unit share."""
        async with self._database.connection() as connection:
            return [SavedView(**row) for row in await connection.fetch(self._VIEWS, person)]

    async def save(self, person: str, name: str, page: str, query: str, *, shared: bool) -> int:
        """Save a view and return its number.

        Raises:
            Refused: ``invalid``: the name, the page or the query is none; ``too_many_views``.
        """
        if page not in get_args(ViewPage) or len(query) > LONGEST_QUERY or "\0" in query:
            raise Refused("invalid", f"view: allowed is a page of {', '.join(get_args(ViewPage))} and its query")
        values: list[Any] = [person, _name(name), page, query, shared, MOST_VIEWS]
        async with self._database.connection() as connection:
            number: int | None = await connection.fetchval(self._SAVE, *values)
        if number is None:
            raise Refused("too_many_views", f"at most {MOST_VIEWS} views are kept for one person; delete one first")
        return number

    async def change(self, person: str, number: int, name: str, *, shared: bool) -> bool:
        """Rename a view of one's own and say who sees it; whether there is such a one.

        Raises:
            Refused: ``invalid``: the name is none.
        """
        async with self._database.connection() as connection:
            return await connection.fetchval(self._CHANGE, person, number, _name(name), shared) is not None

    async def drop(self, person: str, number: int) -> bool:
        """Forget a view of one's own; whether there was such a one."""
        async with self._database.connection() as connection:
            return await connection.fetchval(self._DROP, person, number) is not None


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise Refused("invalid", f"name: allowed are 1 to {LONGEST_NAME} characters")
    return name
