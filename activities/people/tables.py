"""The tables of the directory: units, people, absences and shifts."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import asyncpg
from pydantic import ValidationError

from activities.database.database import statement
from cases.directory import Absence, Directory, Person, Shift, Unit
from cases.vocabulary.refusals import Refused, invalid
from cases.vocabulary.values import Model

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Stored:
    """The content of the tables; whether it is a directory, `build` tells."""

    units: Sequence[Unit] = ()
    people: Sequence[Person] = ()
    absences: Sequence[Absence] = ()
    shifts: Sequence[Shift] = ()

    def build(self, roles: Collection[str] | None = None) -> Directory:
        """Return the directory of these.

        Raises:
            BadDirectory: with every problem.
        """
        return Directory.build(self.units, self.people, self.absences, self.shifts, roles)

    def with_people(
        self,
        people: Sequence[Person],
        units: Sequence[Unit] | None,
        absences: Sequence[Absence] | None,
        now: datetime,
    ) -> Stored:
        """Return the same with other people; see `DirectoryChanges.replace_people`."""
        ids = {person.id for person in people}
        gone = {person.id for person in self.people} - ids
        later = sorted({shift.person for shift in self.shifts if shift.person in gone and shift.ends_at > now})
        if later:
            raise Refused("on_roster", f"still on the duty roster, change that first: {', '.join(later)}")
        stay = [absence for absence in self.absences if absence.person in ids]
        return Stored(
            self.units if units is None else units,
            people,
            stay if absences is None else _with_asked_for(absences, stay, now),
            [shift for shift in self.shifts if shift.person not in gone],
        )

    def with_shifts(self, shifts: Sequence[Shift], period: tuple[datetime, datetime] | None) -> Stored:
        """Return the same with other shifts, the given ones first; see `DirectoryChanges.replace_shifts`."""
        kept = [] if period is None else [one for one in self.shifts if not period[0] <= one.starts_at < period[1]]
        return replace(self, shifts=[*shifts, *kept])


class DirectoryTables:
    """Reads and writes the tables on a connection of the caller."""

    _VERSION = statement(__package__, "directory_version")
    _LOCK = statement(__package__, "directory_lock")
    _UNITS = statement(__package__, "directory_units")
    _STAFF = statement(__package__, "directory_staff")
    _ABSENCES = statement(__package__, "directory_absences")
    _SHIFTS = statement(__package__, "directory_shifts")
    _TABLES = ("unit", "staff", "absence", "shift")
    _NO: ClassVar = {table: statement(__package__, f"directory_no_{table}") for table in _TABLES}
    _PUT: ClassVar = {table: statement(__package__, f"directory_put_{table}") for table in _TABLES}

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def version(self) -> int:
        """Return the version, which every change counts up."""
        version: int = await self._connection.fetchval(self._VERSION)
        return version

    async def lock(self) -> None:
        """Keep everybody else from changing the directory until the transaction ends; readers do not wait."""
        await self._connection.fetchval(self._LOCK)

    async def read(self, since: datetime | None = None) -> Stored:
        """Return the content, of one moment where the transaction is a snapshot or holds the lock.

        Args:
            since: without the shifts and absences that ended before, but of each person the last shift.

        Raises:
            Refused: code ``bad_directory``; somebody wrote by hand what no entry can be.
        """
        fetch = self._connection.fetch
        units, people = await fetch(self._UNITS), await fetch(self._STAFF)
        absences, shifts = await fetch(self._ABSENCES, since), await fetch(self._SHIFTS, since)

        def stored() -> Stored:
            return Stored(
                _models(Unit, units), _models(Person, people), _models(Absence, absences), _models(Shift, shifts)
            )

        # A roster of a large company takes seconds, in which the worker's loop must not stand still.
        return await asyncio.to_thread(stored)

    async def people(self) -> Stored:
        """Return the units and the people alone; see `read`."""
        units, people = await self._connection.fetch(self._UNITS), await self._connection.fetch(self._STAFF)
        return await asyncio.to_thread(lambda: Stored(_models(Unit, units), _models(Person, people)))

    async def write(self, old: Stored, new: Stored) -> None:
        """Turn one content into another. Every constraint between the tables waits for the commit."""
        await self._replace("unit", old.units, new.units)
        await self._replace("staff", old.people, new.people)
        await self._replace("absence", old.absences, new.absences)
        before, after = {one.id: one for one in old.shifts}, {one.id: one for one in new.shifts}
        if removed := [id for id, shift in before.items() if after.get(id) != shift]:
            await self._connection.execute(self._NO["shift"], removed)
        if added := [_plain(shift) for id, shift in after.items() if before.get(id) != shift]:
            await self._connection.execute(self._PUT["shift"], added)

    async def _replace(self, table: str, old: Sequence[Model], new: Sequence[Model]) -> None:
        if list(old) != list(new):
            await self._connection.execute(self._NO[table])
            await self._connection.execute(self._PUT[table], [_plain(entry) for entry in new])


def _with_asked_for(given: Sequence[Absence], stay: Sequence[Absence], now: datetime) -> list[Absence]:
    """Return the absences of a file, with those that cases asked for and that are not over, whatever the file has."""
    asked_for = {
        (one.person, one.starts_at, one.ends_at): one for one in stay if one.case_id is not None and one.ends_at > now
    }
    # A file that was exported has them too. Those of the file come first, so that its lines are found again.
    named = [asked_for.pop((one.person, one.starts_at, one.ends_at), one) for one in given]
    return [*named, *asked_for.values()]


def _models(model: type[M], rows: Iterable[asyncpg.Record]) -> list[M]:
    entries = []
    for row in rows:
        entry: dict[str, Any] = dict(row)
        if model is Person:
            entry["contacts"] = dict(entry["contacts"])
        try:
            entries.append(model.model_validate(entry))
        except ValidationError as error:
            who = entry.get("id", entry.get("person"))
            raise Refused("bad_directory", invalid(error, f"{model.__name__.lower()} {who}").message) from None
    return entries


def _plain(entry: Model) -> dict[str, Any]:
    plain = entry.model_dump(mode="json")
    if isinstance(entry, Person):
        plain["contacts"] = list(entry.contacts.items())
    return plain
