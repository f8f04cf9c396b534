"""A checkpoint: what the ledger was at an instant, signed; and the form in which it is handed out. Pure.

It is signed as a DSSE envelope (https://github.com/secure-systems-lab/dsse), whose payload is canonical JSON. Handed
out it is a text: a line with the envelope, and a line for each run of events since the checkpoint before it. Such
texts put together are the record of all of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from activities.audit.keys import Keys
from activities.audit.merkle import Tree
from activities.casebook.ledger import UNREADABLE
from activities.events.feed import read_position
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused

PAYLOAD_TYPE = "application/vnd.caseladder.checkpoint+json"
Json = dict[str, Any]


class BadCheckpoint(Exception):
    """Raised where a checkpoint is none, or is not what was signed; the message says why."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The time between two recoveries of the ledger.

    Args:
        number: 1 until the ledger was set back for the first time.
        began_at: when the recovery began (UTC); None for the first one.
        after: the number of the checkpoint that it goes on from; it replaces what came after that one.
    """

    number: int = 1
    began_at: str | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the ledger was at an instant.

    Args:
        ledger: the id of the ledger, by chance, of its first checkpoint.
        number: counts up from 1; the checkpoints of a ledger are a chain.
        at: when it was made (UTC).
        since, position: it adds the events after the one position of the feed and up to the other.
        events, events_root: size and root of the tree over all events, in their order.
        cases, cases_root: size and root of the tree over the heads of all cases, in order of the id.
        looks, looks_hash: the last id in the log of looks, and its hash; 0 and empty where there is none.
        previous: the SHA-256 of the checkpoint before it, in hex; empty for the first.
    """

    ledger: str
    number: int
    epoch: Epoch
    at: str
    since: str
    position: str
    events: int
    events_root: str
    cases: int
    cases_root: str
    looks: int
    looks_hash: str
    previous: str

    def payload(self) -> bytes:
        """Return the bytes that are signed."""
        epoch = {"number": self.epoch.number, "began_at": self.epoch.began_at, "after": self.epoch.after}
        return canonical(
            {
                "ledger": self.ledger,
                "number": self.number,
                "epoch": epoch,
                "at": self.at,
                "since": self.since,
                "position": self.position,
                "events": {"size": self.events, "root": self.events_root},
                "cases": {"size": self.cases, "root": self.cases_root},
                "looks": {"last": self.looks, "hash": self.looks_hash},
                "previous": self.previous,
            }
        ).encode()


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with its envelope; see `read_envelope` for whether anybody has signed it.

    ``timestamp`` is what an authority has answered (RFC 3161, in DER), if there is one; it is not checked here.
    """

    checkpoint: Checkpoint
    envelope: Json
    timestamp: bytes | None = None

    @property
    def hash(self) -> str:
        """The SHA-256 of what was signed, in hex."""
        return sha256(self.checkpoint.payload()).hexdigest()

    @property
    def key(self) -> str:
        """The id of the key that has signed."""
        return str(self.envelope["signatures"][0]["keyid"])

    def with_timestamp(self, timestamp: bytes | None) -> Signed:
        """Return the same checkpoint with a timestamp."""
        return replace(self, timestamp=timestamp)


def sign(checkpoint: Checkpoint, keys: Keys) -> Signed:
    """Sign a checkpoint.

    Raises:
        BadKeys: there is no private key.
    """
    payload = checkpoint.payload()
    signature = {"keyid": keys.id, "sig": base64.b64encode(keys.sign(pre_authentication(payload))).decode()}
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [signature],
    }
    return Signed(checkpoint, envelope)


def pre_authentication(payload: bytes) -> bytes:
    """Return what a DSSE signature is over."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def read_envelope(envelope: Json, keys: Keys | None) -> Signed:
    """Read a checkpoint from its envelope.

    Args:
        keys: who may have signed it; None not to ask.

    Raises:
        BadCheckpoint: it is none, or nobody who is trusted has signed it.
    """
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        key, signed = str(signature["keyid"]), base64.b64decode(signature["sig"], validate=True)
        checkpoint = _read(json.loads(payload))
        same = checkpoint.payload() == payload and envelope["payloadType"] == PAYLOAD_TYPE
    except (*UNREADABLE, Refused):
        raise BadCheckpoint("this is no checkpoint") from None
    if not same:
        raise BadCheckpoint("this is no checkpoint")
    if keys is not None and not keys.verifies(key, signed, pre_authentication(payload)):
        known = "its signature is wrong" if key in keys.trusted else f"its key {key[:16]!r} is not trusted"
        raise BadCheckpoint(f"checkpoint {checkpoint.number}: {known}")
    return Signed(checkpoint, {name: envelope[name] for name in ("payload", "payloadType", "signatures")})


def read_stored(text: str, keys: Keys | None) -> Signed:
    """Read a checkpoint from its envelope as the casebook keeps it: as text.

    Raises:
        BadCheckpoint: see `read_envelope`.
    """
    try:
        envelope = json.loads(text)
    except UNREADABLE:
        raise BadCheckpoint("this is no checkpoint") from None
    return read_envelope(envelope, keys)


def _read(raw: Json) -> Checkpoint:
    epoch = Epoch(int(raw["epoch"]["number"]), raw["epoch"]["began_at"], int(raw["epoch"]["after"]))
    for instant in (raw["at"], *([] if epoch.began_at is None else [epoch.began_at])):
        datetime.fromisoformat(instant)
    for position in (raw["since"], raw["position"]):
        read_position(position)
    return Checkpoint(
        str(raw["ledger"]),
        int(raw["number"]),
        epoch,
        raw["at"],
        raw["since"],
        raw["position"],
        int(raw["events"]["size"]),
        str(raw["events"]["root"]),
        int(raw["cases"]["size"]),
        str(raw["cases"]["root"]),
        int(raw["looks"]["last"]),
        str(raw["looks"]["hash"]),
        str(raw["previous"]),
    )


@dataclass(frozen=True, slots=True)
class Leaf:
    """An event in the tree of all events; the first one of a case has its number, or ``-`` where an event says that."""

    case_id: str
    seq: int
    hash: bytes
    number: str | None = None

    def encode(self) -> bytes:
        """Return the bytes of the leaf."""
        number = f" {self.number}" if self.seq == 1 else ""
        return f"{self.case_id} {self.seq} {self.hash.hex()}{number}".encode()


def head_leaf(case_id: str, number: str, seq: int, hash: bytes) -> bytes:
    """Return the bytes of a case in the tree of all cases."""
    return f"{case_id} {number} {seq} {hash.hex()}".encode()


def pack(leaves: Iterable[Leaf]) -> str:
    """Return leaves as lines of JSON, one for the successive events of a case: id, first seq, hashes, number."""
    runs: list[list[Any]] = []
    next_seq = 0
    for leaf in leaves:
        if runs and runs[-1][0] == leaf.case_id and leaf.seq == next_seq:
            runs[-1][2] += leaf.hash
        else:
            runs.append([leaf.case_id, leaf.seq, bytearray(leaf.hash), *([leaf.number] if leaf.seq == 1 else [])])
        next_seq = leaf.seq + 1
    packed = ([*run[:2], base64.b64encode(run[2]).decode(), *run[3:]] for run in runs)
    return "".join(json.dumps(run, ensure_ascii=False, separators=(",", ":")) + "\n" for run in packed)


def unpack(lines: Iterable[str]) -> Iterator[Leaf]:
    """Read what `pack` has written.

    Raises:
        BadCheckpoint: it is something else.
    """
    for line in lines:
        try:
            case_id, first, packed, *number = json.loads(line)
            hashes = base64.b64decode(packed, validate=True)
            if not hashes or len(hashes) % 32 or not isinstance(case_id, str) or not isinstance(first, int):
                raise ValueError
            if len(number) != (first == 1) or any(not isinstance(one, str) for one in number):
                raise ValueError
        except UNREADABLE:
            raise BadCheckpoint("a line behind a checkpoint is no run of events") from None
        for at in range(0, len(hashes), 32):
            seq = first + at // 32
            yield Leaf(case_id, seq, hashes[at : at + 32], number[0] if seq == 1 else None)


def read_leaves(signed: Signed, peaks: Sequence[bytes], lines: Iterable[str]) -> tuple[list[Leaf], Tree]:
    """Return the events that a checkpoint adds, as they were signed, and the tree that ends with them.

    Args:
        peaks: of the tree of all events before it.

    Raises:
        BadCheckpoint: they do not lead to the root that was signed.
    """
    leaves, checkpoint = list(unpack(lines)), signed.checkpoint
    try:
        tree = Tree(checkpoint.events - len(leaves), list(peaks))
    except (ValueError, TypeError):
        tree = Tree()
    for leaf in leaves:
        tree.append(leaf.encode())
    if (tree.size, tree.root().hex()) != (checkpoint.events, checkpoint.events_root):
        raise BadCheckpoint(f"checkpoint {checkpoint.number}: the events beside it are not those it was signed over")
    return leaves, tree


def head_line(signed: Signed, peaks: Sequence[bytes]) -> str:
    """Return the line with which a checkpoint begins where it is handed out."""
    line: Json = {**signed.envelope, "peaks": [peak.hex() for peak in peaks]}
    if signed.timestamp is not None:
        line["timestamp"] = base64.b64encode(signed.timestamp).decode()
    return canonical(line) + "\n"


def read_head_line(line: str, keys: Keys | None) -> tuple[Signed, list[bytes]]:
    """Read a line with a checkpoint: it, and the peaks of the tree of all events before it.

    Raises:
        BadCheckpoint: see `read_envelope`.
    """
    try:
        raw = json.loads(line)
        peaks = [bytes.fromhex(peak) for peak in raw.pop("peaks")]
        packed = raw.pop("timestamp", None)
        timestamp = None if packed is None else base64.b64decode(packed, validate=True)
    except UNREADABLE:
        raise BadCheckpoint("this is no checkpoint") from None
    return read_envelope(raw, keys).with_timestamp(timestamp), peaks
