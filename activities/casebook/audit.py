"""Checking the ledger against its hash chain."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from activities.casebook.chains import Chain, Chains
from activities.casebook.ledger import Fault
from activities.database.database import AUDIT_TIMEOUT, Database, statement


@dataclass(frozen=True, slots=True)
class Report:
    """How far an audit came: up to and including the first bad row, and that row."""

    cases: int
    events: int
    fault: Fault | None

    @property
    def ok(self) -> bool:
        """Whether everything is as it was recorded."""
        return self.fault is None


class Audit:
    """Checks the ledger. Safe to share between tasks; one check runs at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def verify(self, case_id: str | None = None) -> Report:
        """Check the ledger, or one case of it, against its hash chain: see `activities.casebook.ledger`.

        Reads one state of the database from end to end, case by case in order of the id, and stops
        at the first bad row. A check of everything also finds cases that are gone as a whole, by the
        gap they leave in the numbers.

        Raises:
            DatabaseAway: see `Database.connection`.
        """
        cases = events = 0
        async with self._database.audit() as connection:
            chains = Chains(connection)
            async for chain, whole in chains.each(Chain.is_whole, case_id):
                cases, events = cases + 1, events + chain.count
                if not whole and (fault := await chains.fault(chain)) is not None:
                    return Report(cases, events, fault)
            fault = None if case_id else await wrong_number(connection)
        return Report(cases, events, fault)


async def wrong_number(connection: asyncpg.Connection) -> Fault | None:
    """Find a number that a case has without having been given it, that two have, or of a case which is gone."""
    gap = await connection.fetchrow(_NUMBERS, timeout=AUDIT_TIMEOUT)
    if gap is None:
        return None
    number = f"{gap['kind']} {gap['number']}"
    if gap["case_id"] is None:
        return Fault("", 0, "removed", f"the case with the number {number} is gone")
    if gap["twice"]:
        return Fault(gap["case_id"], 1, "inserted", f"{number} was given to another case too")
    return Fault(gap["case_id"], 1, "inserted", f"{number} was never given")


_NUMBERS = statement(__package__, "audit_numbers")
