"""Batches of events as the tests of the casebook record them."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from activities.messages import Batch

CASE = "complaint:C-1"
RUN = "run-1"
MARCH = "2026-03-10T09:00:00+08:00"


def event(seq: int, type: str = "noted", at: str = MARCH, **data: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "type": type,
        "at": at,
        "recorded_at": at,
        "actor": {"id": "agent-7", "role": "agent"},
        "clauses": [],
        "data": data,
    }


def view_of(case_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": case_id,
        "number": None,
        "status": "open",
        "rung": "agent",
        "holder": "agent-7",
        "unit": "HZ-01",
        "severity": "normal",
        "policy": "default",
        "opened_at": MARCH,
        "closed_at": None,
        "next_due": "2026-03-10T09:05:00+08:00",
        "breached": [],
        **changes,
    }


def batch(first: int, last: int, case_id: str = CASE, *, at: str = MARCH, text: str = "x", **view: Any) -> Batch:
    events = [event(seq, at=at, text=text) for seq in range(first, last + 1)]
    return Batch(case_id, case_id.partition(":")[0], events, view_of(case_id, **view), RUN)


async def behind_the_back(connection: asyncpg.Connection, *statements: str) -> None:
    """Run statements with triggers off, as only a superuser can."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)


async def somebody_waits(connection: asyncpg.Connection) -> None:
    """Wait until a statement of somebody waits for a lock."""
    for _ in range(1000):
        if await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


async def restored(connection: asyncpg.Connection, case_id: str, head: int) -> None:
    """Make a case as an earlier dump has it: with the rows up to ``head``, which may be none."""
    file = (
        f"UPDATE case_file SET (head_seq, head_hash) = (SELECT seq, hash FROM case_event WHERE case_id = '{case_id}' "
    )
    await behind_the_back(
        connection,
        *(
            f"DELETE FROM {table} WHERE case_id = '{case_id}' AND seq > {head}"
            for table in ("case_event", "case_text", "case_request")
        ),
        f"{file} AND seq = {head}) WHERE case_id = '{case_id}'"
        if head
        else f"DELETE FROM case_file WHERE case_id = '{case_id}'",
        *([] if head else [f"DELETE FROM case_number_given WHERE case_id = '{case_id}'"]),
    )
