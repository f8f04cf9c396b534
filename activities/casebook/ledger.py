"""The hash chain of a case's ledger: how it is made, and how a broken one is found. Pure.

Each row holds ``hash = SHA-256(prev_hash || body)`` with the body's UTF-8 bytes. The first row's
``prev_hash`` is the SHA-256 of the case id, so rows cannot be moved to another case. The case file
keeps the head, so the last row cannot be taken away unseen. Whoever can rewrite the whole chain and
the head leaves no trace here: against that, keep a head outside the database.

The texts that stand beside a row (`activities.casebook.texts`) are checked against the commitments in its body.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any, Literal

from activities.casebook.texts import COMMITMENT, PERSONAL, commitment, commitments

# What comes of reading what somebody else wrote, in files and in rows without their constraints: other types, nothing,
# dates and numbers without an end, JSON nested without an end.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: the last ``seq`` and its hash."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the ledger as the database holds it."""

    seq: int
    type: str
    at: datetime
    recorded_at: datetime
    body: str
    prev_hash: bytes
    hash: bytes
    # Salt in hex and text by field, None where they were erased; as long as they are not looked at, None.
    texts: Mapping[str, tuple[str | None, str | None]] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """The first bad row of a case.

    ``case_id`` is empty and ``seq`` 0 when a whole case is missing; ``detail`` then has its number.
    """

    case_id: str
    seq: int
    what: Literal["changed", "removed", "inserted", "renumbered"]
    detail: str

    def __str__(self) -> str:
        where = f"{self.case_id} seq {self.seq}: " if self.case_id else ""
        return f"{where}{self.what}: {self.detail}"


def genesis(case_id: str) -> Head:
    """Return the head of a case that has no events yet."""
    return Head(0, hashlib.sha256(case_id.encode()).digest())


def link(prev_hash: bytes, body: str) -> bytes:
    """Return the hash of a row."""
    return hashlib.sha256(prev_hash + body.encode()).digest()


def chain(prev_hash: bytes, bodies: Iterable[str]) -> list[bytes]:
    """Return the hashes of rows that follow on ``prev_hash``, that one first: one more than there are bodies."""
    hashes = [prev_hash]
    for body in bodies:
        hashes.append(link(hashes[-1], body))
    return hashes


def check(case_id: str, rows: Sequence[Row], head: Head | None, start: Head | None = None) -> Fault | None:
    """Find the first bad row of a case, or the first one with a bad text.

    Args:
        rows: all rows of the case, in order of ``seq``.
        head: the head in the case file; None when there is no case file.
        start: what the rows follow on, where they are not all of the case.

    Returns:
        The fault, or None when every row is as it was recorded and none is missing.
    """
    last = start or genesis(case_id)
    known = head.seq if head else 0
    before: Row | None = None
    for row, after in zip_longest(rows, rows[1:]):
        if row.seq != last.seq + 1 <= known:
            return Fault(case_id, last.seq + 1, "removed", f"the next row is seq {row.seq}")
        broken = _broken(case_id, row, before, after, last.hash)
        if row.seq > known and (broken is None or broken.what != "inserted"):
            end = f"ends at seq {known}" if head else "is missing: it was removed, or these rows were added"
            return Fault(case_id, row.seq, "inserted", f"the case file {end}")
        if broken is None and row.texts is not None:
            broken = bad_text(case_id, row.seq, row.body, row.texts)
        if broken is not None:
            return broken
        last, before = Head(row.seq, row.hash), row
    if last.seq < known:
        return Fault(case_id, last.seq + 1, "removed", f"the case file ends at seq {known}")
    if head is not None and head.hash != last.hash:
        return Fault(case_id, last.seq, "changed", "its hash is not the one in the case file")
    return None


def _broken(case_id: str, row: Row, before: Row | None, after: Row | None, prev_hash: bytes) -> Fault | None:
    """Find the fault of a row whose ``seq`` follows, or of the one before it, as the row shows."""
    content = _content(row.body)
    sealed = link(row.prev_hash, row.body) == row.hash
    if sealed and row.prev_hash == prev_hash:
        if content == {"seq": row.seq, "type": row.type, "at": row.at, "recorded_at": row.recorded_at}:
            return None
        return Fault(case_id, row.seq, "changed", "its columns do not agree with its body")
    # Later rows can be renumbered to make room or to close a gap; their hashes still tell what they followed.
    if after is not None and after.prev_hash == prev_hash:
        return Fault(case_id, row.seq, "inserted", f"seq {after.seq} followed on seq {row.seq - 1}")
    if not sealed:
        return Fault(case_id, row.seq, "changed", "its hash is not the one of its body")
    if content.get("seq", 0) > row.seq:
        return Fault(case_id, row.seq, "removed", f"in its place stands what was seq {content['seq']}")
    if before is None:
        return Fault(case_id, row.seq, "changed", "it does not begin the chain of this case")
    if row.prev_hash == before.prev_hash:
        return Fault(case_id, before.seq, "inserted", f"seq {row.seq} followed on seq {before.seq - 1}")
    # This row is whole, so what it followed on was replaced, hash and all.
    return Fault(case_id, before.seq, "changed", f"seq {row.seq} followed on another row")


def bad_text(case_id: str, seq: int, body: str, texts: Mapping[str, tuple[str | None, str | None]]) -> Fault | None:
    """Find a text of a row that is not the one which its body commits to. An erased one is none.

    Args:
        texts: salt in hex and text by field, None where they were erased.
    """
    committed = commitments(json.loads(body)["data"]) if f'"{COMMITMENT}":' in body else {}
    # Its text stands elsewhere.
    committed.pop(PERSONAL, None)
    for name, said in committed.items():
        salt, text = texts.get(name, ("", None))
        if salt is None and text is None:
            continue
        if text is None or salt is None:
            return Fault(case_id, seq, "changed", f"its text {name!r} is gone, and was not erased")
        if commitment(bytes.fromhex(salt), text) != {COMMITMENT: said}:
            return Fault(case_id, seq, "changed", f"its text {name!r} is not the one that was recorded")
    for name in texts.keys() - committed.keys():
        return Fault(case_id, seq, "changed", f"a text {name!r} was never recorded with it")
    return None


def _content(body: str) -> dict[str, Any]:
    """Return the part of a body that the columns repeat; empty when the body is no event."""
    try:
        event = json.loads(body)
        return {
            "seq": int(event["seq"]),
            "type": event["type"],
            "at": datetime.fromisoformat(event["at"]),
            "recorded_at": datetime.fromisoformat(event["recorded_at"]),
        }
    except (ValueError, TypeError, KeyError):
        return {}
