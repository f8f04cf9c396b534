"""The directory of staff: kept in the casebook's database, where every worker sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, ClassVar, TypeVar

import asyncpg
import structlog
from pydantic import ValidationError

from activities.database.pool import DatabaseAway, StatementFailed, connection_of, open_pool, statement
from cases.directory import Absence, Directory, Person, Shift, Unit
from cases.vocabulary.refusals import Refused, invalid
from cases.vocabulary.values import Model

# Seconds. What is asked for in between gets the answer from before.
FRESH = 1.0
# Seconds. Whoever asks waits for the database no longer than this; one of them reads what has changed, which
# may take longer, and the others get the answer from before.
PATIENCE, READING = 1, 20
# `current` knows the shifts back to here, and of each person the last before.
KEPT = timedelta(days=62)

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Stored:
    """What the tables hold; whether it is a directory, `build` tells."""

    units: Sequence[Unit] = ()
    people: Sequence[Person] = ()
    absences: Sequence[Absence] = ()
    shifts: Sequence[Shift] = ()

    def build(self, roles: Collection[str] | None = None) -> Directory:
        """The directory of these.

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
        """The same with other people; see `DirectoryBook.replace_people`."""
        ids = {person.id for person in people}
        gone = {person.id for person in self.people} - ids
        later = sorted({shift.person for shift in self.shifts if shift.person in gone and shift.ends_at > now})
        if later:
            raise Refused("on_roster", f"still on the duty roster, change that first: {', '.join(later)}")
        return Stored(
            self.units if units is None else units,
            people,
            [one for one in self.absences if one.person in ids] if absences is None else absences,
            [shift for shift in self.shifts if shift.person not in gone],
        )

    def with_shifts(self, shifts: Sequence[Shift], period: tuple[datetime, datetime] | None) -> Stored:
        """The same with other shifts, the given ones first; see `DirectoryBook.replace_shifts`."""
        kept = () if period is None else [one for one in self.shifts if not period[0] <= one.starts_at < period[1]]
        return replace(self, shifts=[*shifts, *kept])


class DirectoryBook:
    """Reads and writes the directory. Safe to share between tasks.

    Every method but `current` raises `DatabaseAway` when the database cannot serve.
    """

    _VERSION = statement(__package__, "directory_version")
    _LOCK = statement(__package__, "directory_lock")
    _UNITS = statement(__package__, "directory_units")
    _STAFF = statement(__package__, "directory_staff")
    _ABSENCES = statement(__package__, "directory_absences")
    _SHIFTS = statement(__package__, "directory_shifts")
    _TABLES = ("unit", "staff", "absence", "shift")
    _NO: ClassVar = {table: statement(__package__, f"directory_no_{table}") for table in _TABLES}
    _PUT: ClassVar = {table: statement(__package__, f"directory_put_{table}") for table in _TABLES}

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Lock()
        self._seen = Directory()
        self._version: int | None = None
        self._asked = -FRESH

    async def current(self) -> Directory:
        """The directory; while the database is away, or holds one that is not valid, the last good one.

        May be a second old. Knows no shifts that ended before `KEPT`; see `read`.
        """
        if monotonic() - self._asked < FRESH or (self._turn.locked() and self._version is not None):
            return self._seen
        async with self._turn:
            # Whoever waited for the first answer has it now.
            if monotonic() - self._asked >= FRESH:
                await self._refresh()
                self._asked = monotonic()
        return self._seen

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE), connection_of(self._pool) as connection:
                version = await connection.fetchval(self._VERSION)
            if version == self._version:
                return
            async with asyncio.timeout(READING):
                version, stored = await self._stored(datetime.now(UTC) - KEPT)
                self._seen = await asyncio.to_thread(stored.build)
            self._version = version
        except (DatabaseAway, StatementFailed, TimeoutError) as error:
            log.warning("directory_not_read", reason=type(error).__name__, people=len(self._seen.people))
        except Refused as refusal:
            # Said once; the next version may be better.
            self._version = version
            log.error("directory_kept", version=version, reason=refusal.message)

    async def read(self) -> Directory:
        """The directory as it is stored, with all shifts that ever were.

        Raises:
            Refused: code ``bad_directory``; somebody changed the tables by hand.
        """
        return await asyncio.to_thread((await self.stored()).build)

    async def stored(self) -> Stored:
        """What the tables hold, of one moment.

        Raises:
            Refused: code ``bad_directory``; an entry is none.
        """
        return (await self._stored(None))[1]

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
            absences: in place of all absences; without them those of the people who stay.
            roles: the roles that a person may have, where a policy says so.

        Returns:
            The new directory.

        Raises:
            BadDirectory: with every problem.
            Refused: code ``on_roster``, somebody who is left out has a shift now or later.
        """
        given, now = tuple(people), datetime.now(UTC)
        others = (None if units is None else tuple(units), None if absences is None else tuple(absences))
        return await self._change(lambda old: old.with_people(given, *others, now), roles)

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
        given = tuple(shifts)
        return await self._change(lambda old: old.with_shifts(given, period))

    async def change_shifts(self, before: Iterable[Shift], after: Iterable[Shift]) -> Directory:
        """Put shifts in place of others, if those are still as they were. Done already, it does nothing.

        Returns:
            The new directory.

        Raises:
            BadDirectory: with every problem.
            Refused: code ``roster_changed``, a shift is no longer as it was.
        """
        was, becomes = {one.id: one for one in before}, {one.id: one for one in after}

        def change(old: Stored) -> Stored:
            now = {one.id: one for one in old.shifts}
            touched = {id: now[id] for id in was.keys() | becomes.keys() if id in now}
            if touched == becomes:
                return old
            if touched != was:
                changed = sorted(id for id in was.keys() | touched.keys() if was.get(id) != touched.get(id))
                raise Refused("roster_changed", f"these shifts are no longer as they were: {', '.join(changed)}")
            return replace(
                old, shifts=list({**{id: one for id, one in now.items() if id not in was}, **becomes}.values())
            )

        return await self._change(change)

    async def _change(self, change: Callable[[Stored], Stored], roles: Collection[str] | None = None) -> Directory:
        async with connection_of(self._pool) as connection, connection.transaction():
            await connection.fetchval(self._LOCK)
            old = await self._tables(connection, None)
            new = change(old)
            directory = await asyncio.to_thread(new.build, roles)
            # Every constraint between the tables waits for the commit.
            await self._put(connection, "unit", old.units, new.units)
            await self._put(connection, "staff", old.people, new.people)
            await self._put(connection, "absence", old.absences, new.absences)
            had, has = {one.id: one for one in old.shifts}, {one.id: one for one in new.shifts}
            if no_longer := [id for id, one in had.items() if has.get(id) != one]:
                await connection.execute(self._NO["shift"], no_longer)
            if added := [_plain(one) for id, one in has.items() if had.get(id) != one]:
                await connection.execute(self._PUT["shift"], added)
        # What was just written is what is asked for next.
        self._asked = -FRESH
        return directory

    async def _put(
        self, connection: asyncpg.Connection, table: str, old: Sequence[Model], new: Sequence[Model]
    ) -> None:
        if list(old) != list(new):
            await connection.execute(self._NO[table])
            await connection.execute(self._PUT[table], [_plain(one) for one in new])

    async def _stored(self, since: datetime | None) -> tuple[int, Stored]:
        """Version and content, of one moment."""
        async with (
            connection_of(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await connection.fetchval(self._VERSION), await self._tables(connection, since)

    async def _tables(self, connection: asyncpg.Connection, since: datetime | None) -> Stored:
        units, people = await connection.fetch(self._UNITS), await connection.fetch(self._STAFF)
        absences, shifts = await connection.fetch(self._ABSENCES, since), await connection.fetch(self._SHIFTS, since)

        def stored() -> Stored:
            return Stored(
                _models(Unit, units), _models(Person, people), _models(Absence, absences), _models(Shift, shifts)
            )

        # A roster of a large company takes seconds, in which the worker's loop must not stand still.
        return await asyncio.to_thread(stored)


def _models(model: type[M], rows: Iterable[asyncpg.Record]) -> list[M]:
    """The rows of a table.

    Raises:
        Refused: code ``bad_directory``; somebody wrote by hand what no entry can be.
    """
    found = []
    for row in rows:
        entry: dict[str, Any] = dict(row)
        if model is Person:
            entry["contacts"] = dict(entry["contacts"])
        try:
            found.append(model.model_validate(entry))
        except ValidationError as error:
            who = entry.get("id", entry.get("person"))
            raise Refused("bad_directory", invalid(error, f"{model.__name__.lower()} {who}").message) from None
    return found


def _plain(entry: Model) -> dict[str, Any]:
    plain = entry.model_dump(mode="json")
    if isinstance(entry, Person):
        plain["contacts"] = list(entry.contacts.items())
    return plain


@asynccontextmanager
async def connect(dsn: str, *, size: int = 2) -> AsyncIterator[DirectoryBook]:
    """The directory on a pool of its own, which connects when it is first used.

    Raises:
        BadDatabaseAddress: the address cannot be used.
    """
    async with open_pool(dsn, size=size) as pool:
        yield DirectoryBook(pool)
