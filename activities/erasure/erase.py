"""Erasing a case from the casebook: its event is appended and what it says is done, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from activities import casebook
from activities.casebook.ledger import link
from activities.casebook.texts import strip
from activities.database.database import Database, statement
from cases.policy.model import Policy
from cases.registry import kind_named, kind_of
from cases.vocabulary.events import Actor, Event, canonical
from cases.vocabulary.lifecycle import ErasedFor
from cases.vocabulary.refusals import Refused

Json = dict[str, Any]


class _Undone(Exception):
    """Takes back what was only tried."""


class Eraser:
    """Erases. Safe to share between tasks; every method raises what `Database.connection` does."""

    _LOCKED = statement(__package__, "case_locked")
    _BODIES = statement(casebook.__name__, "load_rows")
    _ERASE = statement(__package__, "case_erase")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(
        self, case_id: str, why: ErasedFor, by: Actor, asked_by: Actor | None, now: datetime, *, try_only: bool = False
    ) -> list[str]:
        """Erase what a case holds of persons, and with it the cases that were given it: all of them, or none.

        Erased are its personal facts, its texts, the accounts of its payees, and what recognizes what was sent to it.
        Its events stay, and one more says that and why.

        Args:
            by: who decided it.
            asked_by: who asked for it; None for nobody.
            try_only: do nothing of it.

        Returns:
            The ids of the cases that were erased now; none where that was done before.

        Raises:
            Refused: ``not_found``, ``on_hold``, ``busy`` (the casebook is being recovered), or what `Case.erase` says.
        """
        done: list[str] = []
        try:
            async with self._database.connection() as connection, connection.transaction():
                await self._one(connection, case_id, why, by, asked_by, now, done)
                if try_only:
                    raise _Undone
        except _Undone:
            pass
        return done

    async def _one(
        self,
        connection: asyncpg.Connection,
        case_id: str,
        why: ErasedFor,
        by: Actor,
        asked_by: Actor | None,
        now: datetime,
        done: list[str],
    ) -> None:
        file = await connection.fetchrow(self._LOCKED, case_id)
        if file is None:
            raise Refused("not_found", f"there is no case {case_id}")
        if file["recovering"]:
            raise Refused("busy", "the casebook is being recovered; ask again afterwards")
        view: Json = file["view"]
        if view.get("erased_at") is None:
            if file["held"]:
                raise Refused("on_hold", f"{case_id}: a legal hold stands; lift it first")
            rows = await connection.fetch(self._BODIES, case_id, 0)
            event, after = await asyncio.to_thread(_erased, file, [row["body"] for row in rows], why, by, asked_by, now)
            body = canonical(event.as_json())
            await connection.execute(
                self._ERASE,
                case_id,
                {**after, "number": file["number"]},
                event.seq,
                event.at,
                event.recorded_at,
                body,
                file["head_hash"],
                link(file["head_hash"], body),
                event.type,
            )
            done.append(case_id)
        kind = kind_named(file["kind"])
        for copy in [] if kind is None else kind.copied_to(view):
            try:
                await self._one(connection, copy, why, by, asked_by, now, done)
            except Refused as refusal:
                # One that was never filed holds nothing.
                if refusal.code != "not_found":
                    raise Refused(refusal.code, f"{copy} was given what {case_id} holds: {refusal.message}") from None


def _erased(
    file: Mapping[str, Any], bodies: list[str], why: ErasedFor, by: Actor, asked_by: Actor | None, now: datetime
) -> tuple[Event, Json]:
    """Return the event that a case is erased by, and its view afterwards.

    Raises:
        Refused: see `Case.erase`; or ``untrue``: its record makes no case.
    """
    try:
        policy = Policy.from_document(file["document"])
        case = kind_of(file["kind"], policy).replay(policy, [Event.from_json(strip(body)) for body in bodies])
        if len(case.events) != file["head_seq"]:
            raise ValueError("rows are missing")
    except (Refused, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise Refused("untrue", f"its record makes no case ({type(error).__name__}): verify the casebook") from None
    event = case.erase(why, by, asked_by, max(now, case.events[-1].at))
    return event, case.view()
