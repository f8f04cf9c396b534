#!/usr/bin/env python3
"""Verify the proof of a case: ``python verify_proof.py PROOF.json PUBLIC.pem``.

Needs Python 3.9 and the package cryptography, nothing else, and no network. PUBLIC.pem holds the public keys of whoever
signs; get it from them by a way that you trust, not together with the proof. Exit code 0: the case is as it was signed;
1: it is refused; 2: a file cannot be read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

FORMAT = "caseladder case proof 1"
PAYLOAD_TYPE = "application/vnd.caseladder.checkpoint+json"


class Wrong(Exception):
    """Raised where a proof proves nothing; the message says why."""


def sha256(*parts: bytes) -> bytes:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def public_keys(pem: bytes) -> dict[str, Any]:
    """Return the public keys in a text, by their ids: 16 hex digits of the SHA-256 of the key.

    Raises:
        Wrong: it holds none, or something else.
    """
    blocks = re.findall(b"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", pem, re.DOTALL)
    try:
        keys = [load_pem_public_key(block) for block in blocks]
    except (ValueError, UnsupportedAlgorithm):
        keys = []
    if not keys or not all(isinstance(key, Ed25519PublicKey) for key in keys):
        raise Wrong("the file of keys holds no public keys, or others than Ed25519: nothing was checked")
    return {sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hex()[:16]: key for key in keys}


def verify(raw: bytes, pem: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the proof and the checkpoint that it was signed with.

    Raises:
        Wrong: it is not what was signed, or somebody else has signed it.
    """
    try:
        proof = json.loads(raw.decode())
        envelope, path = proof["checkpoint"], [bytes.fromhex(one) for one in proof["path"]]
        payload, signature = base64.b64decode(envelope["payload"]), envelope["signatures"][0]
        signed, checkpoint = base64.b64decode(signature["sig"]), json.loads(payload.decode())
        # Each byte counts, so the file is made once more from what was read of it.
        texts = [[seq, field, bytes.fromhex(salt).hex(), text] for seq, field, salt, text in proof["texts"]]
        once_more = {
            "format": FORMAT, "case": proof["case"], "number": proof["number"], "events": list(proof["events"]),
            "texts": texts, "index": int(proof["index"]), "path": [one.hex() for one in path],
            "checkpoint": {
                "payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": signature["keyid"], "sig": base64.b64encode(signed).decode()}],
            },
        }  # fmt: skip
        if (canonical(once_more) + "\n").encode() != raw:
            raise Wrong("this is no proof of a case, or it was written anew")
        key = public_keys(pem).get(signature["keyid"])
        if key is None:
            raise Wrong(f"the key {signature['keyid']} is not among yours")
        # DSSE: what is signed is the type and the payload, each with its length.
        kind = PAYLOAD_TYPE.encode()
        key.verify(signed, b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
        # Each event is chained to the one before it; the first one to the id of the case.
        head = sha256(proof["case"].encode())
        for seq, body in enumerate(proof["events"], 1):
            if json.loads(body)["seq"] != seq:
                raise Wrong(f"event {seq} has another number")
            head = sha256(head, body.encode())
        # The head of the case is a leaf of the tree of all cases (RFC 9162, 2.1.3.2).
        leaf = f"{proof['case']} {proof['number']} {len(proof['events'])} {head.hex()}"
        found, index, last = sha256(b"\0", leaf.encode()), proof["index"], checkpoint["cases"]["size"] - 1
        if not 0 <= index <= last:
            raise Wrong("the case has no place in the tree")
        for other in path:
            if last == 0:
                raise Wrong("the way to the root is too long")
            if index & 1 or index == last:
                found = sha256(b"\1", other, found)
                while not index & 1 and index:
                    index, last = index >> 1, last >> 1
            else:
                found = sha256(b"\1", found, other)
            index, last = index >> 1, last >> 1
        if last != 0 or found.hex() != checkpoint["cases"]["root"]:
            raise Wrong("the events are not those that were signed")
        # What people wrote stands beside the events, which hold a commitment to it.
        for seq, field, salt, text in texts:
            said = json.loads(proof["events"][seq - 1])["data"]
            for part in field.split("."):
                said = said[int(part) if isinstance(said, list) else part]
            if seq < 1 or said != {"commitment": sha256(bytes.fromhex(salt), text.encode()).hex()}:
                raise Wrong(f"the text {field!r} of event {seq} is not the one that was recorded")
        return proof, checkpoint
    except InvalidSignature:
        raise Wrong("the signature is wrong") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Wrong("this is no proof of a case") from None


def main() -> int:
    """Verify a file and say what it proves; return the exit code."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(sys.argv[1], "rb") as file, open(sys.argv[2], "rb") as keys:
            raw, pem = file.read(), keys.read()
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        proof, checkpoint = verify(raw, pem)
    except Wrong as wrong:
        print(f"REFUSED: {wrong}", file=sys.stderr)
        return 1
    print(f"{proof['case']}, number {proof['number']}: {len(proof['events'])} events are as they were signed")
    print(f"in checkpoint {checkpoint['number']} of {checkpoint['at']}, ledger {checkpoint['ledger']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
