"""Making checkpoints of the settled part of the ledger, and reading those that were made."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from activities.audit.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    Epoch,
    Leaf,
    Signed,
    head_leaf,
    head_line,
    pack,
    read_leaves,
    read_stored,
    sign,
)
from activities.audit.keys import BadKeys, Keys
from activities.audit.merkle import Tree
from activities.audit.timestamps import Authority
from activities.casebook.ledger import Head, genesis, link
from activities.database.database import AUDIT_TIMEOUT, Database, statement
from activities.events.feed import START, read_position

# Events of one checkpoint: where there are more, several are made. They are some 5 MB as they are handed out.
MOST = 100_000
# Any number will do, as long as it stays: makers take turns by it.
LOCK = 27424450402154856
# Rows fetched at once.
PREFETCH = 5000


class Untrue(Exception):
    """Raised where no checkpoint is made, since the ledger is not as it was recorded; the message says where."""


class Checkpoints:
    """Makes and reads checkpoints. Safe to share between tasks; raises what `Database.connection` does.

    Args:
        keys: who signs, and whose signatures are trusted.
        most: how many events one of them may add.
    """

    _LAST = statement(__package__, "checkpoint_last")
    _ANYTHING = statement(__package__, "checkpoint_anything")
    _FRESH = statement(__package__, "checkpoint_fresh")
    _HEADS = statement(__package__, "checkpoint_heads")
    _GROW = statement(__package__, "checkpoint_grow")
    _ADD = statement(__package__, "checkpoint_add")
    _LIST = statement(__package__, "checkpoint_list")
    _LEAVES = statement(__package__, "checkpoint_leaves")
    _STAMP = statement(__package__, "checkpoint_stamp")

    def __init__(self, database: Database, keys: Keys, most: int = MOST) -> None:
        self._database, self._keys, self._most = database, keys, most

    async def make(self, every: timedelta = timedelta()) -> list[Signed]:
        """Make a checkpoint of what came since the last one, or several where that is much; none where nothing came.

        Args:
            every: none either, as long as the last one is younger.

        Raises:
            BadKeys: there is no private key.
            Untrue: what came does not follow on what was signed.
        """
        if self._keys.signer is None:
            raise BadKeys("there is no private key to sign with, only public ones")
        made: list[Signed] = []
        while (signed := await self._make_one(timedelta() if made else every)) is not None:
            made.append(signed)
        return made

    async def stamp(self, signed: Signed, authority: Authority) -> None:
        """Keep an authority's timestamp of a checkpoint that was just made, and is not handed out yet.

        Raises:
            NotStamped: there is none. The next checkpoint, which holds the hash of this one, makes up for it.
        """
        stamped = await authority.stamp(signed)
        async with self._database.connection() as connection:
            await connection.execute(self._STAMP, signed.checkpoint.number, stamped.timestamp)

    async def _make_one(self, every: timedelta) -> Signed | None:
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            # One after the other; what a statement reads after it is as whoever came before has left it.
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=AUDIT_TIMEOUT)
            row = await connection.fetchrow(self._LAST, every)
            last = self._last(row)
            if row["fresh"] or not await self._anything(connection, row, last):
                return None
            tree = Tree() if last is None else await self._tree(connection, last, row["peaks"])
            before, epoch = tree.copy(), _epoch(row, last)
            since = START if last is None else last.position
            leaves, grown, position = await self._fresh(connection, tree, since)
            looks, looks_hash = row["look"] or 0, (row["look_hash"] or b"").hex()
            cases = await self._cases(connection, last, grown)
            checkpoint = Checkpoint(
                ledger=secrets.token_hex(16) if last is None else last.ledger,
                number=1 if last is None else last.number + 1,
                epoch=epoch,
                at=datetime.now(UTC).isoformat(),
                since=since,
                position=position,
                events=tree.size,
                events_root=tree.root().hex(),
                cases=cases.size,
                cases_root=cases.root().hex(),
                looks=looks,
                looks_hash=looks_hash,
                previous="" if last is None else Signed(last, {}).hash,
            )
            signed = sign(checkpoint, self._keys)
            if grown:
                heads = [(case_id, number, head.seq, head.hash) for case_id, (number, head) in grown.items()]
                await connection.execute(self._GROW, *zip(*heads, strict=True), timeout=AUDIT_TIMEOUT)
            envelope = json.dumps(signed.envelope)
            await connection.execute(self._ADD, checkpoint.number, envelope, before.peaks, pack(leaves))
        return signed

    async def _anything(self, connection: asyncpg.Connection, row: asyncpg.Record, last: Checkpoint | None) -> bool:
        """Whether anything came since the last checkpoint."""
        if last is not None and (_epoch(row, last), row["look"] or 0) != (last.epoch, last.looks):
            return True
        since = START if last is None else last.position
        return bool(await connection.fetchval(self._ANYTHING, *read_position(since), timeout=AUDIT_TIMEOUT))

    def _last(self, row: asyncpg.Record) -> Checkpoint | None:
        if row["envelope"] is None:
            return None
        try:
            return read_stored(row["envelope"], self._keys).checkpoint
        except BadCheckpoint as error:
            raise Untrue(f"the last checkpoint in the casebook: {error}") from None

    async def _tree(self, connection: asyncpg.Connection, last: Checkpoint, peaks: Sequence[bytes]) -> Tree:
        """Return the tree of all events up to the last checkpoint."""
        text = await connection.fetchval(self._LEAVES, last.number, timeout=AUDIT_TIMEOUT)
        try:
            # It is none where a checkpoint stands under another number than its own.
            return read_leaves(Signed(last, {}), peaks, (text or "").splitlines())[1]
        except BadCheckpoint as error:
            raise Untrue(str(error)) from None

    async def _fresh(
        self, connection: asyncpg.Connection, tree: Tree, since: str
    ) -> tuple[list[Leaf], dict[str, tuple[str, Head]], str]:
        """Add what came since to the tree; return it, the heads that it moves, and up to where it goes."""
        leaves: list[Leaf] = []
        grown: dict[str, tuple[str, Head]] = {}
        position = since
        rows = connection.cursor(
            self._FRESH, *read_position(since), self._most, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT
        )
        async for row in rows:
            case_id, seq = row["case_id"], row["seq"]
            if case_id in grown:
                head = grown[case_id][1]
            elif row["head_seq"] is None:
                head = genesis(case_id)
            else:
                head = Head(row["head_seq"], row["head_hash"])
            if seq != head.seq + 1 or row["prev_hash"] != head.hash or link(head.hash, row["body"]) != row["hash"]:
                raise Untrue(
                    f"{case_id} seq {seq}: it does not follow on seq {head.seq} as that was signed or recorded"
                )
            if row["number"] is None:
                raise Untrue(f"{case_id} seq {seq}: its case file is missing")
            grown[case_id] = (row["number"], Head(seq, row["hash"]))
            leaf = Leaf(case_id, seq, row["hash"], row["number"] if seq == 1 else None)
            tree.append(leaf.encode())
            leaves.append(leaf)
            position = f"{row['tx']}-{row['position']}"
        return leaves, grown, position

    async def _cases(
        self, connection: asyncpg.Connection, last: Checkpoint | None, grown: dict[str, tuple[str, Head]]
    ) -> Tree:
        """Return the tree of the heads of all cases, with those that were moved."""
        before, now = Tree(), Tree()
        waiting = sorted(grown, reverse=True)

        def add(case_id: str) -> None:
            number, head = grown[case_id]
            now.append(head_leaf(case_id, number, head.seq, head.hash))

        async for row in connection.cursor(self._HEADS, prefetch=PREFETCH, timeout=AUDIT_TIMEOUT):
            case_id, leaf = row["case_id"], head_leaf(*row)
            before.append(leaf)
            while waiting and waiting[-1] < case_id:
                add(waiting.pop())
            if waiting and waiting[-1] == case_id:
                if grown[case_id][0] != row["number"]:
                    raise Untrue(f"{case_id} was given the number {row['number']}, and has {grown[case_id][0]} now")
                add(waiting.pop())
            else:
                now.append(leaf)
        while waiting:
            add(waiting.pop())
        if last is not None and before.root().hex() != last.cases_root:
            raise Untrue(f"the heads of the cases are not those that checkpoint {last.number} was signed over")
        return now

    async def stored(self) -> list[tuple[Signed, list[bytes]]]:
        """Return all checkpoints in the casebook, in order, with the peaks of the tree before each.

        Their signatures are not checked here.

        Raises:
            BadCheckpoint: one of them is none.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._LIST)
        if any(row["peaks"] is None or None in row["peaks"] for row in rows):
            raise BadCheckpoint("this is no checkpoint")
        return [(read_stored(row["envelope"], None).with_timestamp(row["timestamp"]), row["peaks"]) for row in rows]

    async def leaves(self, number: int) -> str:
        """Return the events that a checkpoint adds, as they are handed out; empty where there is no such checkpoint."""
        async with self._database.connection() as connection:
            return await connection.fetchval(self._LEAVES, number, timeout=AUDIT_TIMEOUT) or ""

    async def newest(self) -> str:
        """Return the last checkpoint as it is handed out; empty where there is none.

        Raises:
            Untrue: nobody who is trusted has signed it.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(self._LAST, timedelta())
        last = self._last(row)
        if last is None:
            return ""
        signed = Signed(last, json.loads(row["envelope"]), row["timestamp"])
        return head_line(signed, row["peaks"]) + await self.leaves(last.number)

    async def handed_out(self, after: int = 0) -> AsyncIterator[tuple[Signed, str]]:
        """Yield each checkpoint after a number, with the text in which it is handed out."""
        for signed, peaks in await self.stored():
            if signed.checkpoint.number > after:
                yield signed, head_line(signed, peaks) + await self.leaves(signed.checkpoint.number)


def _epoch(row: asyncpg.Record, last: Checkpoint | None) -> Epoch:
    """Return the epoch that the ledger is in: a recovery since the last checkpoint begins another one."""
    number, began_at = row["epoch"] or 1, row["began_at"]
    if last is not None and number <= last.epoch.number:
        return last.epoch
    return Epoch(number, None if began_at is None else began_at.isoformat(), 0 if last is None else last.number)
