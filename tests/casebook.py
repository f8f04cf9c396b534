"""The casebook as tests use it: recorded, read and checked through one object."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from activities.casebook.audit import Audit
from activities.casebook.read import Casebook
from activities.casebook.record import Recorder
from activities.casebook.search import Search
from activities.casebook.statistics import Statistics
from activities.casebook.worklist import Worklist
from activities.database.database import Database
from tests.postgres import as_writer


class Book(Recorder, Casebook, Search, Worklist, Statistics, Audit):
    """All that the product does with cases in a database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        Search.__init__(self, database)
        self.database = database

    async def personal(self, case_id: str) -> dict[str, Any] | None:
        """The personal facts of a case; None when it has none, or none any more."""
        async with self.database.connection() as connection:
            facts: dict[str, Any] | None = await connection.fetchval(
                "SELECT facts FROM personal WHERE case_id = $1", case_id
            )
            return facts

    async def erase_personal(self, case_id: str) -> bool:
        """Erase the personal facts of a case, as an erasure does, and nothing else; whether there were some."""
        async with self.database.connection() as connection:
            done: str = await connection.execute(
                "UPDATE personal SET facts = NULL, salt = NULL, intake_salt = NULL, intake_digest = NULL, "
                "phone_hash = NULL, erased_at = now() WHERE case_id = $1 AND erased_at IS NULL",
                case_id,
            )
            return done == "UPDATE 1"


# None of the parts may hide what another one has under the same name.
_NAMES = Counter(name for part in Book.__bases__ for name in vars(part) if not name.startswith("__"))
assert max(_NAMES.values()) == 1, _NAMES


@asynccontextmanager
async def open_book(dsn: str, **options: Any) -> AsyncIterator[Book]:
    """A casebook on a database of its own, opened as who only writes; see `Database.open` for the options."""
    async with Database.open(as_writer(dsn), **{"only_writes": True, **options}) as database:
        yield Book(database)
