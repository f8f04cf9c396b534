"""The ledger as an audit reads it: a case at a time, in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

import asyncpg

from activities.casebook.ledger import UNREADABLE, Fault, Head, Row, bad_text, check, genesis
from activities.casebook.texts import COMMITMENT
from activities.database.database import AUDIT_TIMEOUT, statement

Seen = TypeVar("Seen")
# Cases fetched at once.
CASES = 50
# What stands before the instants in the canonical body of an event, and nowhere in a text, where quotes are escaped.
_BEGIN, _AT, _RECORDED_AT = b'{"actor":{', b'"},"at":"', b',"recorded_at":"'
_COMMITTED = f'"{COMMITMENT}":'.encode()

Texts = Mapping[int, dict[str, tuple[str | None, str | None]]]


@dataclass(frozen=True, slots=True)
class Chain:
    """The rows of a case as the database holds them, column by column.

    Args:
        count, last: how many rows there are, and the last seq.
        at, recorded_at: in seconds since 1970, which hold the microseconds exactly for centuries.
        prev_hashes, hashes: 32 bytes for each row.
        texts: salt in hex and text, by seq and field; None where they were erased.
        head: as the case file has it; None where there is none.
        derived: what was derived from the events, by table, if it was asked for (sql/audit_chains.sql).
    """

    case_id: str
    count: int
    last: int
    bodies: list[bytes]
    types: list[bytes]
    at: list[float]
    recorded_at: list[float]
    prev_hashes: bytes
    hashes: bytes
    texts: Texts
    head: Head | None
    derived: Mapping[str, Any] | None = None

    def is_whole(self) -> bool:
        """Whether `check` would find no fault, in a tenth of its time.

        Where this cannot be told at once the answer is no, and `check` tells.
        """
        try:
            return self._agrees()
        except UNREADABLE:
            return False

    def _agrees(self) -> bool:
        head, count = self.head, self.count
        if head is None or not len(self.bodies) == len(self.types) == count == self.last == head.seq:
            return False
        last, made = genesis(self.case_id).hash, []
        for body in self.bodies:
            last = sha256(last + body).digest()
            made.append(last)
        hashes = b"".join(made)
        if self.hashes != hashes or self.prev_hashes != genesis(self.case_id).hash + hashes[:-32] or head.hash != last:
            return False
        return self._columns_agree() and not self._bad_texts()

    def _columns_agree(self) -> bool:
        """Whether type, at and recorded_at of each row are what its body says, read off the body without parsing it."""
        # Many events of a case happen at one instant.
        instants: dict[bytes, float] = {}
        try:
            columns = zip(self.bodies, self.types, self.at, self.recorded_at, strict=True)
            for seq, (body, type_, at, recorded_at) in enumerate(columns, 1):
                begin, end = body.find(_AT) + len(_AT), body.rfind(_RECORDED_AT) + len(_RECORDED_AT)
                said_at = body[begin : body.find(b'"', begin)]
                said_recorded, _, rest = body[end:].partition(b'"')
                if rest != b',"seq":%d,"type":"%b"}' % (seq, type_) or not body.startswith(_BEGIN):
                    return False
                for said, column in ((said_at, at), (said_recorded, recorded_at)):
                    if said not in instants:
                        instants[said] = datetime.fromisoformat(said.decode()).timestamp()
                    if instants[said] != column:
                        return False
        except (ValueError, TypeError):
            return False
        return True

    def _bad_texts(self) -> bool:
        """Whether a text is not the one that its body commits to."""
        for seq, body in enumerate(self.bodies, 1):
            texts = self.texts.get(seq, {})
            if (texts or _COMMITTED in body) and bad_text(self.case_id, seq, body.decode(), texts) is not None:
                return True
        return bool(self.texts.keys() - range(1, self.count + 1))


class Chains:
    """Reads the ledger case by case, on one connection."""

    _CHAINS = statement(__package__, "audit_chains")
    _EMPTY = statement(__package__, "audit_empty")
    _ROWS = statement(__package__, "audit_rows")

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def each(
        self, look: Callable[[Chain], Seen], case_id: str | None = None, *, grown: bool = False, derived: bool = False
    ) -> AsyncIterator[tuple[Chain, Seen]]:
        """Yield each case and what was seen of it, also one without rows or without a case file, in order of the id.

        While the one looks, the database reads on.

        Args:
            look: what looks at a case; it must not use the connection.
            case_id: only this one.
            grown: only those that are not as the last checkpoint has them.
            derived: with what was derived from the events.
        """
        empty = [_empty(row) for row in await self._connection.fetch(self._EMPTY, case_id, timeout=AUDIT_TIMEOUT)]
        empty.reverse()
        cursor = await self._connection.cursor(self._CHAINS, case_id, grown, derived, timeout=AUDIT_TIMEOUT)
        rows = await cursor.fetch(CASES, timeout=AUDIT_TIMEOUT)
        while rows:
            following = asyncio.create_task(cursor.fetch(CASES, timeout=AUDIT_TIMEOUT))
            # So that it is on its way.
            await asyncio.sleep(0)
            try:
                seen = [(chain, look(chain)) for chain in map(_chain, rows)]
            finally:
                rows = await following
            for chain, what in seen:
                # Both come by code point, which is how Python compares too.
                while empty and empty[-1].case_id < chain.case_id:
                    yield empty[-1], look(empty.pop())
                yield chain, what
        while empty:
            yield empty[-1], look(empty.pop())

    async def fault(self, chain: Chain) -> Fault | None:
        """Name the first bad row of a case, from a second look at its rows, one by one."""
        try:
            rows = await self._connection.fetch(self._ROWS, chain.case_id, timeout=AUDIT_TIMEOUT)
            return check(chain.case_id, [Row(*row[1:]) for row in rows], chain.head)
        except UNREADABLE as error:
            said = f"its rows cannot be read ({type(error).__name__})"
            return Fault(chain.case_id or "", 0, "changed", said)


def _chain(row: asyncpg.Record) -> Chain:
    texts: dict[int, dict[str, tuple[str | None, str | None]]] = {}
    for seq, field, salt, text in row["texts"] or ():
        texts.setdefault(seq, {})[field] = (salt, text)
    return Chain(
        # A column that lost its constraints may hold nothing.
        row["case_id"] or "",
        row["count"],
        row["last"],
        row["bodies"].encode().split(b"\n"),
        row["types"].encode().split(b" "),
        row["at"],
        row["recorded_at"],
        row["prev_hashes"],
        row["hashes"],
        texts,
        None if row["head_seq"] is None else Head(row["head_seq"], row["head_hash"]),
        row["derived"],
    )


def _empty(row: asyncpg.Record) -> Chain:
    return Chain(row["case_id"] or "", 0, 0, [], [], [], [], b"", b"", {}, Head(row["head_seq"], row["head_hash"]))
