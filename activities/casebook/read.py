"""Reading cases from the casebook, one by one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from activities.casebook.texts import join, told_again
from activities.database.database import Database, statement
from cases.vocabulary.events import text_at
from cases.vocabulary.texts import references, resolved

# A text: case id, seq and path.
Said = tuple[str, int, str]


class Casebook:
    """Reads cases. Safe to share between tasks; every method raises what `Database.connection` does."""

    _CASE = statement(__package__, "case")
    _CUSTOMER = statement(__package__, "customer")
    _BY_NUMBER = statement(__package__, "case_by_number")
    _EVENTS = statement(__package__, "events")
    _SAID = statement(__package__, "said")
    _ASSIGNED_FOR = statement(__package__, "assigned_for")
    _NOTICES = statement(__package__, "notices")
    _POLICY = statement(__package__, "policy_document")
    _POLICIES = statement(__package__, "policies")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def case(self, case_id: str) -> dict[str, Any] | None:
        """Return the view of a case after its last recorded event; None when there is none."""
        async with self._database.connection() as connection:
            view: dict[str, Any] | None = await connection.fetchval(self._CASE, case_id)
            return view

    async def customer(self, case_id: str) -> tuple[bool, str | None]:
        """Return whether a case is recorded, and its customer's reference; None without one, or once it is erased."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._CUSTOMER, case_id)
        return (False, None) if row is None else (True, row["ref"])

    async def by_number(self, number: str, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the views of the cases of a number; each kind counts by itself (S1-5.8), so up to one of each."""
        async with self._database.connection() as connection:
            return [row["view"] for row in await connection.fetch(self._BY_NUMBER, number, kind)]

    async def events(self, case_id: str, *, erased: str | None = None) -> list[dict[str, Any]]:
        """Return the recorded events of a case, in order; empty when there are none.

        Args:
            erased: what stands for a text that was erased; without it such a text is left out.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._EVENTS, case_id)
        return told_again([join(row["body"], row["texts"], erased=erased) for row in rows])

    async def texts(self, wanted: Collection[Said]) -> dict[Said, str | None]:
        """Return texts by case, seq and path: None where one was erased; what is not recorded yet is left out."""
        if not wanted:
            return {}
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._SAID, [one[0] for one in wanted], [one[1] for one in wanted])
        events = {(row["case_id"], row["seq"]): join(row["body"], row["texts"]) for row in rows}
        return {one: text_at(events[one[:2]], one[2]) for one in wanted if one[:2] in events}

    async def with_texts(self, views: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return views with the texts that they refer to, null where one was erased; what is not recorded yet stays."""
        wanted = {(view["id"], *which) for view in views for which in references(view)}
        texts = await self.texts(wanted)
        if not texts:
            return list(views)

        def told(view: dict[str, Any]) -> dict[str, Any]:
            def text(seq: int, field: str) -> Any:
                return texts.get((view["id"], seq, field), {"seq": seq, "field": field})

            shown: dict[str, Any] = resolved(view, text)
            return shown

        return [told(view) for view in views]

    async def assigned_for(self, reason: str) -> list[str]:
        """Return the ids of the cases that were assigned for this very reason."""
        async with self._database.connection() as connection:
            return [row["case_id"] for row in await connection.fetch(self._ASSIGNED_FOR, reason)]

    async def notices(self, case_id: str | None = None, *, limit: int = 100) -> list[dict[str, Any]]:
        """Return what became of notices, the newest first; see the table ``notification``.

        Args:
            case_id: only those of a case.
            limit: at most so many.
        """
        async with self._database.connection() as connection:
            return [dict(row) for row in await connection.fetch(self._NOTICES, case_id, limit)]

    async def policy_document(self, policy_hash: str) -> str | None:
        """Return the canonical JSON of a policy that a case was ever pinned to; None for any other hash."""
        async with self._database.connection() as connection:
            document: str | None = await connection.fetchval(self._POLICY, policy_hash)
            return document

    async def policies(self) -> list[tuple[str, str]]:
        """Return hash and name of every policy that a case was ever pinned to, by name, at most 200."""
        async with self._database.connection() as connection:
            return [(row["hash"], row["name"] or "") for row in await connection.fetch(self._POLICIES)]
