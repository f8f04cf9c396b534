"""Changing the directory of staff: whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

from activities.database.database import Database
from activities.people.tables import DirectoryTables, Stored
from cases.directory import Absence, Directory, Person, Shift, Unit


class DirectoryChanges:
    """Changes the directory. Safe to share between tasks; every method raises what `Database.connection` does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace_people(
        self,
        people: Iterable[Person],
        *,
        units: Iterable[Unit] | None = None,
        absences: Iterable[Absence] | None = None,
        roles: Collection[str] | None = None,
    ) -> Directory:
        """Put these people in place of all that there are: everything or nothing.

        Who is left out is gone, with absences and past shifts.

        Args:
            units: in place of all units; without them the units stay.
            absences: in place of all absences but those that cases asked for and that are not over; without them
                those of the people who stay.
            roles: the roles that a person may have, where a policy says so.

        Returns:
            The new directory.

        Raises:
            BadDirectory: with every problem.
            Refused: code ``on_roster``, somebody who is left out has a shift now or later.
        """
        everybody, now = tuple(people), datetime.now(UTC)
        others = (None if units is None else tuple(units), None if absences is None else tuple(absences))
        return await self._change(lambda old: old.with_people(everybody, *others, now), roles)

    async def replace_shifts(
        self, shifts: Iterable[Shift], *, period: tuple[datetime, datetime] | None = None
    ) -> Directory:
        """Put these shifts in place of all that there are: everything or nothing.

        Args:
            period: only in place of those that begin in it, from the first instant to before the second.

        Returns:
            The new directory.

        Raises:
            BadDirectory: with every problem; the given shifts come first in its roster.
        """
        roster = tuple(shifts)
        return await self._change(lambda old: old.with_shifts(roster, period))

    async def _change(self, change: Callable[[Stored], Stored], roles: Collection[str] | None = None) -> Directory:
        async with self._database.connection() as connection, connection.transaction():
            tables = DirectoryTables(connection)
            await tables.lock()
            old = await tables.read()
            new = change(old)
            directory = await asyncio.to_thread(new.build, roles)
            await tables.write(old, new)
        return directory
