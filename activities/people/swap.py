"""Swaps of shifts: checked against the roster, made valid in it, and the activity ``change_roster``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.casebook.read import Casebook
from activities.database.database import Database, statement
from activities.messages import CallOrder
from activities.people.tables import DirectoryTables
from activities.policies.store import Years
from cases.kinds.swap import CHANGE_ROSTER, PastSwap, SwapFacts, check, months_of, moves
from cases.policy.model import Policy
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused

Json = dict[str, Any]


class Swaps:
    """Keeps the swaps that are valid. Safe to share between tasks; raises what `Database.connection` does."""

    _PAST = statement(__package__, "swap_past")
    _MOVES = statement(__package__, "swap_moves")
    _MOVE = statement(__package__, "swap_move")
    _RECORD = statement(__package__, "swap_record")
    _OVERLAPPING = statement(__package__, "swap_overlapping")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, swap: SwapFacts, policy: Policy, now: datetime) -> None:
        """Check a swap that is asked for against the roster as it is now.

        Raises:
            Refused: see `cases.kinds.swap.check`.
        """
        async with self._database.snapshot() as connection:
            await self._check(connection, swap, policy, now)

    async def make_valid(self, case_id: str, swap: SwapFacts, policy: Policy, at: datetime) -> list[Json]:
        """Change the roster, once, after the limits were checked again while nobody else can change it.

        Args:
            case_id: of the swap; the same again changes nothing.
            at: when it was signed.

        Returns:
            The changes: shift, from, to.

        Raises:
            Refused: see `cases.kinds.swap.check`; nothing has changed.
        """
        async with self._database.connection() as connection, connection.transaction():
            await DirectoryTables(connection).lock()
            done: list[Json] | None = await connection.fetchval(self._MOVES, case_id)
            if done is not None:
                return done
            await self._check(connection, swap, policy, at)
            changes = moves(swap)
            for move in changes:
                if await connection.execute(self._MOVE, move["shift"], move["from"], move["to"]) != "UPDATE 1":
                    # Somebody changes the tables by hand, past the lock.
                    raise Refused("not_theirs", f"shift {move['shift']!r} is no longer {move['from']!r}'s", "S1-1.7")
            people = (swap.initiator.id, swap.counterparty.id)
            months = months_of(swap, policy.working)
            await connection.execute(self._RECORD, case_id, *people, months, changes, at)
            return changes

    async def overlapping(self, person: str, begins: datetime, ends: datetime) -> Json | None:
        """Return the first valid swap with a shift of a person's, given or taken, that overlaps [begins, ends).

        Returns:
            ``swap`` (its case), ``shift``, ``starts_at``, ``ends_at``; None where there is none.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._OVERLAPPING, person, begins, ends)
        return None if row is None else dict(row)

    async def _check(self, connection: asyncpg.Connection, swap: SwapFacts, policy: Policy, at: datetime) -> None:
        people = [swap.initiator.id, swap.counterparty.id]
        past = [
            PastSwap(frozenset((row["initiator"], row["counterparty"])), frozenset(row["months"]))
            for row in await connection.fetch(self._PAST, people)
        ]
        stored = await DirectoryTables(connection).read()
        check(swap, policy, await asyncio.to_thread(stored.build), past, at)


class RosterChanges:
    """The activity.

    Args:
        years: asks for the calendar years that were loaded, over those that a policy has.
    """

    def __init__(self, casebook: Casebook, swaps: Swaps, years: Callable[[], Awaitable[Years]]) -> None:
        self._casebook, self._swaps, self._years = casebook, swaps, years

    @activity.defn(name=CHANGE_ROSTER)
    async def change_roster(self, order: CallOrder) -> Json:
        """Make a signed swap valid.

        Returns:
            ``moves``; or ``refused`` with code and message, when the limits do not allow it any more.

        Raises:
            DatabaseAway: see `Database.connection`.
        """
        swap = SwapFacts.model_validate(order.what)
        try:
            policy = await self._pinned(order.policy_hash)
            signed_at = datetime.fromisoformat(order.at)
            return {"moves": await self._swaps.make_valid(order.case_id, swap, policy, signed_at)}
        except Refused as refusal:
            return {"refused": refusal.as_json()}

    async def _pinned(self, policy_hash: str) -> Policy:
        """Return the policy that the case is pinned to, with all years that were published since."""
        document = await self._casebook.policy_document(policy_hash)
        if document is None:
            # Recorded with the case's first events, which may still be on their way.
            raise ApplicationError("the casebook does not know the policy yet", type="PolicyAway")
        content = json.loads(document)
        content["calendar"]["years"] = {**content["calendar"]["years"], **await self._years()}
        return Policy.from_document(canonical(content))
