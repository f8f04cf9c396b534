"""Beginning a case: its policy, and whether the casebook knows the case already (activity ``begin``)."""

from __future__ import annotations

import asyncio
from datetime import datetime

import asyncpg
from temporalio import activity

from activities import erasure
from activities.database.database import Database, statement
from activities.database.errors import DatabaseAway
from activities.messages import BEGIN, BeginOrder, Begun, Mark
from activities.policies.store import Policies
from activities.refusals import failure
from activities.senders.gate import GATE
from activities.senders.statement import Said, said_of_intake
from cases.registry import kind_of
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused

# Seconds for the casebook to answer. Nobody waits longer for a case to open: the first record tells as well.
PATIENCE = 3.0


class Beginnings:
    """The activity. Safe to share between tasks."""

    _BEGIN = statement(__package__, "begin")
    _AGAIN = statement(erasure.__name__, "erasure_case_again")

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database, self._policies = database, policies

    @activity.defn(name=BEGIN)
    async def begin(self, order: BeginOrder) -> Begun:
        """Return the policy for a case to pin, and the case as another run has recorded it.

        While the casebook is away, the case is taken for a new one.

        Raises:
            ApplicationError: type ``Refused``, not retried: nobody knows the policy, or it cannot be read; or
                ``unsigned``: who files it has to prove it, and does not.
        """
        if order.at:
            try:
                GATE.check(await self._said(order), datetime.fromisoformat(order.at))
            except Refused as refusal:
                raise failure(refusal) from None
        row = await self._recorded(order)
        try:
            document = (await self._policies.in_force(order.policy)).document
        except Refused as refusal:
            if row is None:
                raise failure(refusal) from None
            # A known case has a policy, whatever became of the file meanwhile.
            document = ""
        if row is None:
            return Begun(document)
        if row["view"].get("erased_at") is not None:
            await self._note_again(order.case_id)
        salt, digest = row["intake_salt"], row["intake_digest"]
        return Begun(document, row["view"], None if digest is None else Mark(salt.hex(), digest.hex()))

    async def _said(self, order: BeginOrder) -> Said | None:
        """Return the intake with its proof; of a form by its policy, which says what of it is a text."""
        if order.form is None:
            return order.said
        kind = kind_of(order.case_id.partition(":")[0], await self._policies.in_force(order.policy))
        return said_of_intake(order.case_id, read_intake(kind.INTAKE, order.form))

    async def _note_again(self, case_id: str) -> None:
        """Note that an erased case was filed again, so that the engine forgets this run too."""
        async with self._database.recording() as connection:
            await connection.execute(self._AGAIN, case_id)

    async def _recorded(self, order: BeginOrder) -> asyncpg.Record | None:
        asking = asyncio.create_task(self._ask(order))
        try:
            # Not a time-out around the question: to break one off may take as long as an answer.
            await asyncio.wait([asking], timeout=PATIENCE)
            return asking.result() if asking.done() else None
        finally:
            asking.cancel()

    async def _ask(self, order: BeginOrder) -> asyncpg.Record | None:
        try:
            async with self._database.recording() as connection:
                return await connection.fetchrow(self._BEGIN, order.case_id, order.run)
        except DatabaseAway:
            return None
