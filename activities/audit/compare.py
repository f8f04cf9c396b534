"""Comparing the ledger with checkpoints, event by event in the order of recording: what was changed since, and where.

It does not ask the hashes of the ledger, which whoever changes it can compute anew, but what was signed of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import asyncpg
from cryptography.x509 import Certificate

from activities.audit import timestamps
from activities.audit.checkpoint import BadCheckpoint, Leaf, Signed, read_leaves, read_stored
from activities.audit.handed_out import HandedOut
from activities.audit.keys import Keys
from activities.audit.lineage import Lineage, Link, put_together
from activities.audit.merkle import Tree
from activities.audit.timestamps import Stamp
from activities.casebook.ledger import Fault
from activities.casebook.record import NUMBER
from activities.database.database import AUDIT_TIMEOUT, statement
from activities.events.feed import START, read_position

# Rows fetched at once.
PREFETCH = 5000
_LIST = statement(__package__, "checkpoint_list")
_LEAVES = statement(__package__, "checkpoint_leaves")
_RANGE = statement(__package__, "compare_range")
_ELSEWHERE = statement(__package__, "compare_elsewhere")
_OUTSIDE = statement(__package__, "compare_outside")
_SERIALS = statement(__package__, "compare_serials")
_LOOKS = statement(__package__, "compare_look")
_WHICH = "the checkpoints before tell which, give them too"


@dataclass(slots=True)
class Compared:
    """What came of a comparison.

    Args:
        checkpoints: how many checkpoints the ledger was compared with.
        events: how many events they cover.
        faults: everything that was changed since, in the order of recording.
        notes: what else somebody should know.
        stamps: what the timestamps of checkpoints say that are right.
    """

    checkpoints: int = 0
    events: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stamps: list[Stamp] = field(default_factory=list)


async def lineage(connection: asyncpg.Connection, keys: Keys, files: Sequence[HandedOut]) -> Lineage:
    """Return the checkpoints in the casebook, put together with those that were handed out."""
    stored: list[tuple[Signed, Sequence[bytes]] | BadCheckpoint] = []
    for row in await connection.fetch(_LIST, timeout=AUDIT_TIMEOUT):
        try:
            signed = read_stored(row["envelope"], keys)
            if signed.checkpoint.number != row["number"]:
                raise BadCheckpoint(f"checkpoint {signed.checkpoint.number} stands as {row['number']}")
            stored.append((signed.with_timestamp(row["timestamp"]), row["peaks"]))
        except BadCheckpoint as error:
            number = f"checkpoint {row['number']}: "
            stored.append(BadCheckpoint(number + str(error).removeprefix(number)))
    return put_together(stored, files)


async def compare(
    connection: asyncpg.Connection, keys: Keys, files: Sequence[HandedOut] = (), trusted: Sequence[Certificate] = ()
) -> Compared:
    """Compare the ledger with every checkpoint in the casebook, and with those that were handed out.

    Args:
        trusted: whose timestamps of checkpoints are believed.
    """
    known = await lineage(connection, keys, files)
    done = Compared(len(known.links), 0, known.faults, known.notes)
    stamps = timestamps.check(
        [(file.signed, str(file.file)) for file in files]
        + [(link.signed, "in the casebook") for link in known.links if link.file is None],
        trusted,
    )
    done.stamps, done.faults = stamps.right, done.faults + stamps.faults
    if stamps.unchecked:
        done.notes.append(f"timestamps that were not checked: {stamps.unchecked}; {timestamps.UNCHECKED}")
    position = START
    serials: dict[tuple[str, int, int], int] = {}
    for link in known.links:
        own = link.checkpoint
        leaves, fault = await _leaves(connection, link)
        if fault is not None:
            done.faults.append(fault)
        if leaves is None:
            done.faults += await _as_a_whole(connection, own.position, own.events, own.events_root)
        else:
            if position != own.since:
                before = Tree(own.events - len(leaves), list(link.peaks))
                done.faults += await _as_a_whole(connection, own.since, before.size, before.root().hex())
            done.faults += await _differences(connection, own.since, own.position, leaves)
            for leaf in leaves:
                if leaf.number is not None and (read := NUMBER.fullmatch(leaf.number)) is not None:
                    month = (leaf.case_id.partition(":")[0], int(read[1]), int(read[2]))
                    serials[month] = max(serials.get(month, 0), int(read[3]))
        position, done.events = own.position, own.events
    done.faults += await _outside(connection)
    done.faults = _once(done.faults) + await _lowered(connection, serials)
    done.faults += await _looks(connection, known.links)
    return done


def _once(faults: Sequence[Fault]) -> list[Fault]:
    """Name each event once: one that stands under another seq or elsewhere now is changed, not new."""
    named: dict[tuple[str, int, str], Fault] = {}
    for fault in faults:
        key = (fault.case_id, fault.seq, "" if fault.case_id else fault.detail)
        if key not in named or (named[key].what, fault.what) == ("inserted", "changed"):
            named[key] = fault
    return list(named.values())


async def _leaves(connection: asyncpg.Connection, link: Link) -> tuple[list[Leaf] | None, Fault | None]:
    """Return the events that a checkpoint adds, and what is wrong with those that are kept with it.

    They are None where nobody has them as they were signed.
    """
    fault = None
    if link.file is not None:
        try:
            return read_leaves(link.signed, link.file.peaks, link.file.lines())[0], None
        except BadCheckpoint as error:
            # A mail has the signed head alone.
            if link.file.has_events():
                fault = Fault("", 0, "changed", f"{link.file.file}: {error}")
    if link.stored:
        text = await connection.fetchval(_LEAVES, link.checkpoint.number, timeout=AUDIT_TIMEOUT)
        try:
            return read_leaves(link.signed, link.peaks, (text or "").splitlines())[0], fault
        except BadCheckpoint as error:
            fault = fault or Fault("", 0, "changed", f"in the casebook: {error}")
    return None, fault


async def _rows(connection: asyncpg.Connection, since: str, until: str) -> list[Leaf]:
    after, to = read_position(since), read_position(until)
    return [Leaf(*row) for row in await connection.fetch(_RANGE, *after, *to, timeout=AUDIT_TIMEOUT)]


async def _as_a_whole(connection: asyncpg.Connection, until: str, size: int, root: str) -> list[Fault]:
    """Compare the ledger up to a position, where its events are not known one by one."""
    tree = Tree()
    reach = read_position(START), read_position(until)
    async for row in connection.cursor(_RANGE, *reach[0], *reach[1], prefetch=PREFETCH, timeout=AUDIT_TIMEOUT):
        tree.append(Leaf(*row).encode())
    if tree.size != size:
        said = f"{size} events were signed up to {until}, and there are {tree.size}"
        return [Fault("", 0, "removed" if tree.size < size else "inserted", f"{said}: {_WHICH}")]
    if tree.root().hex() != root:
        return [Fault("", 0, "changed", f"the first {size} events are not those that were signed: {_WHICH}")]
    return []


async def _differences(connection: asyncpg.Connection, since: str, until: str, signed: Sequence[Leaf]) -> list[Fault]:
    """Compare a part of the ledger event by event."""
    there = await _rows(connection, since, until)
    if there == signed:
        return []
    expected = {(leaf.case_id, leaf.seq): leaf for leaf in signed}
    found = {(leaf.case_id, leaf.seq): leaf for leaf in there}
    gone = [leaf for key, leaf in expected.items() if key not in found]
    rows = await connection.fetch(
        _ELSEWHERE, [leaf.case_id for leaf in gone], [leaf.seq for leaf in gone], timeout=AUDIT_TIMEOUT
    )
    elsewhere = {(row["case_id"], row["seq"]): row["hash"] for row in rows}
    faults = list(_gone(gone, elsewhere))
    for key, leaf in expected.items():
        other = found.get(key)
        if other is None:
            continue
        if other.hash != leaf.hash:
            faults.append(Fault(leaf.case_id, leaf.seq, "changed", "it is not the event that was signed"))
        elif other.number != leaf.number:
            has = f"it has {other.number} now" if other.number else "its case file is missing"
            faults.append(Fault(leaf.case_id, leaf.seq, "renumbered", f"it was given the number {leaf.number}, {has}"))
    for key, leaf in found.items():
        if key not in expected:
            faults.append(
                Fault(leaf.case_id, leaf.seq, "inserted", "it was not there when what is around it was signed")
            )
    for one, other in pairwise(sorted(there, key=lambda leaf: (leaf.case_id, leaf.seq))):
        if (one.case_id, one.seq) == (other.case_id, other.seq):
            faults.append(Fault(one.case_id, one.seq, "inserted", "it stands there twice"))
    if not faults:
        moved = next(one for one, other in zip(there, signed, strict=True) if one != other)
        faults.append(Fault(moved.case_id, moved.seq, "changed", "it was not recorded in this order"))
    return sorted(faults, key=lambda fault: (fault.case_id, fault.seq))


def _gone(gone: Iterable[Leaf], elsewhere: dict[tuple[str, int], bytes]) -> Iterator[Fault]:
    """Say what became of events that are not where they were; of a case that is cut, its first one."""
    cut: dict[str, int] = {}
    for leaf in gone:
        if (hash := elsewhere.get((leaf.case_id, leaf.seq))) is not None:
            said = "it was not recorded in this order" if hash == leaf.hash else "it is not the event that was signed"
            yield Fault(leaf.case_id, leaf.seq, "changed", said)
        elif leaf.case_id not in cut:
            cut[leaf.case_id] = leaf.seq
            whole = f"the case with the number {leaf.number} is gone as a whole"
            yield Fault(leaf.case_id, leaf.seq, "removed", whole if leaf.seq == 1 else "it was signed, and is gone")


async def _outside(connection: asyncpg.Connection) -> list[Fault]:
    """Find events that no checkpoint reaches, made or to be made."""
    rows = await connection.fetch(_OUTSIDE, *read_position(START), timeout=AUDIT_TIMEOUT)
    said = "it stands outside of the order of recording"
    return [Fault(row["case_id"], row["seq"], "inserted", said) for row in rows]


async def _lowered(connection: asyncpg.Connection, given: dict[tuple[str, int, int], int]) -> list[Fault]:
    rows = await connection.fetch(_SERIALS, timeout=AUDIT_TIMEOUT)
    now = {(row["kind"], row["year"], row["month"]): row["serial"] for row in rows}
    return [
        Fault("", 0, "changed", f"the counter of {kind} numbers was lowered: {year}-{month:02}-{serial:04} was given")
        for (kind, year, month), serial in sorted(given.items())
        if (now.get((kind, year, month)) or 0) < serial
    ]


async def _looks(connection: asyncpg.Connection, links: Sequence[Link]) -> list[Fault]:
    wanted = {link.checkpoint.looks: link.checkpoint for link in links if link.checkpoint.looks}
    rows = await connection.fetch(_LOOKS, list(wanted), timeout=AUDIT_TIMEOUT)
    now = {row["id"]: row["hash"].hex() for row in rows}
    faults = []
    for look, checkpoint in sorted(wanted.items()):
        if look not in now:
            say = f"the look {look} at personal data, which checkpoint {checkpoint.number} knows, is gone"
            faults.append(Fault("", 0, "removed", say))
        elif now[look] != checkpoint.looks_hash:
            say = f"the log of looks is another one up to look {look} than checkpoint {checkpoint.number} knows"
            faults.append(Fault("", 0, "changed", say))
    return faults
