"""Loading a recorded case, in parts, for a run that goes on from the ledger (activity ``load_case``)."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import asyncpg
from temporalio import activity

from activities.casebook.errors import LedgerBroken, NoSuchCase, Superseded
from activities.casebook.ledger import Head, Row, check, genesis
from activities.casebook.texts import strip
from activities.database.database import Database, statement
from activities.messages import LOAD, Answered, Loaded, LoadOrder, Mark

# Characters of a part, about, well below what a payload may have; and events, which a workflow task has time for.
PART, MOST_EVENTS = 1_000_000, 5_000
# So many of the last requests are loaded: a run remembers no more.
REQUESTS = 500
# Rows fetched at once.
PREFETCH = 500


class Loader:
    """The activity. Safe to share between tasks; raises what `Database.connection` does."""

    _CLAIM = statement(__package__, "load_claim")
    _FILE = statement(__package__, "load_file")
    _ROWS = statement(__package__, "load_rows")
    _LINK = statement(__package__, "load_link")
    _REQUESTS = statement(__package__, "load_requests")
    _INTAKE = statement(__package__, "load_intake")
    _POLICY = statement(__package__, "policy_document")

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name=LOAD)
    async def load_case(self, order: LoadOrder) -> Loaded:
        """Load a part of a case. With the first one, the run holds the case; no other records for it any more.

        Raises:
            NoSuchCase: the casebook does not know it.
            Superseded: another run has come meanwhile.
            LedgerBroken: the part is not as it was recorded.
        """
        first = order.after == 0
        async with self._database.connection() as connection, connection.transaction(isolation="repeatable_read"):
            if first:
                file = await connection.fetchrow(self._CLAIM, order.case_id, order.run)
            else:
                file = await connection.fetchrow(self._FILE, order.case_id)
            if file is None:
                raise NoSuchCase(order.case_id)
            if file["held_by"] != order.run:
                raise Superseded(order.case_id)
            events, last_seq = await self._part(connection, order, Head(file["head_seq"], file["head_hash"]))
            more = await self._once(connection, order.case_id, file["policy"]) if first else {}
        return Loaded(file["number"], file["head_seq"], events, last_seq, **more)

    async def _part(self, connection: asyncpg.Connection, order: LoadOrder, head: Head) -> tuple[str, int]:
        """Return the packed events that follow, and the ``seq`` of the last one."""
        start = genesis(order.case_id)
        if order.after:
            start = Head(order.after, await connection.fetchval(self._LINK, order.case_id, order.after) or b"")
        packer, packed, rows, whole = zlib.compressobj(6), bytearray(), list[Row](), False
        async for record in connection.cursor(self._ROWS, order.case_id, order.after, prefetch=PREFETCH):
            row = Row(*record)
            event = json.dumps(_readable(order.case_id, row), ensure_ascii=False, separators=(",", ":"))
            packed += packer.compress((("," if rows else "[") + event).encode())
            rows.append(row)
            if len(packed) * 4 // 3 > PART or len(rows) >= MOST_EVENTS:
                break
        else:
            whole = True
        packed += packer.compress(b"]" if rows else b"[]") + packer.flush()
        end = rows[-1].seq if rows else order.after
        # A part that others follow is checked up to its own end; the next one goes on from there.
        known = head if whole or end >= head.seq else Head(end, rows[-1].hash)
        fault = check(order.case_id, rows, known, start)
        if fault is not None:
            raise LedgerBroken(f"{fault}: verify the casebook")
        return base64.b64encode(packed).decode("ascii"), end

    async def _once(self, connection: asyncpg.Connection, case_id: str, policy: str | None) -> dict[str, Any]:
        """Return what only the first part has."""
        requests = await connection.fetch(self._REQUESTS, case_id, REQUESTS)
        intake = await connection.fetchrow(self._INTAKE, case_id)
        return {
            "policy_document": await connection.fetchval(self._POLICY, policy),
            "requests": [Answered(row["request_id"], _mark(row)) for row in requests],
            "intake": None if intake is None else _mark(intake),
        }


def _readable(case_id: str, row: Row) -> dict[str, Any]:
    try:
        return strip(row.body)
    except (ValueError, TypeError, KeyError):
        raise LedgerBroken(f"{case_id} seq {row.seq}: its body is no event: verify the casebook") from None


def _mark(row: asyncpg.Record) -> Mark:
    return Mark(row["salt"].hex(), row["digest"].hex())
