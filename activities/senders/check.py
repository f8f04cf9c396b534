"""Whether a proof is right: signed by a key that may say this for this sender, of this content, a moment ago. Pure."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

from activities.senders import passkeys
from activities.senders.key_set import KeySet
from activities.senders.statement import FILE, UNSIGNED, Said, Statement, signed_bytes
from cases.vocabulary.proof import Proof
from cases.vocabulary.refusals import Refused

# How long a proof counts, and how far a sender's clock may be ahead of the engine's.
LIFETIME, AHEAD = timedelta(minutes=15), timedelta(minutes=1)


def check(said: Said, keys: KeySet, now: datetime) -> None:
    """Check the proof of what is sent now.

    Raises:
        Refused: code ``unsigned``, with what is wrong with the proof.
    """
    proof = Proof.model_validate(said.proof)
    age = now - proof.at
    if age < -AHEAD:
        raise _wrong(f"at = {proof.at.isoformat()} lies in the future")
    # An intake has its key, under which it is the same case however often and however late it is filed.
    if said.statement.command != FILE:
        if age > LIFETIME:
            raise _wrong(f"at = {proof.at.isoformat()}: it counts for {LIFETIME.seconds // 60} minutes; sign again")
        if said.statement.request_id is None:
            # The case knows a repeat by it, so that nobody sends what was signed once a second time.
            raise Refused(UNSIGNED, "request_id is missing: what is signed needs one")
    verify(said.statement, proof, keys, now)


def verify(statement: Statement, proof: Proof, keys: KeySet, sent: datetime | None = None) -> None:
    """Check a proof, whenever it was made.

    Args:
        sent: when it was sent, where that is known: whoever has a key that counts no more may say that they signed
            before.

    Raises:
        Refused: code ``unsigned``.
    """
    if proof.key is not None or proof.passkey is None:
        _verify_key(statement, proof, keys, proof.at if sent is None else max(proof.at, sent - LIFETIME))
    if proof.passkey is not None:
        passkeys.verify(statement, proof, proof.passkey, keys)


def _verify_key(statement: Statement, proof: Proof, keys: KeySet, at: datetime) -> None:
    if proof.key is None or proof.signature is None:
        raise _wrong("key and signature are missing")
    if not keys.verifies(proof.key, _bytes(proof.signature), signed_bytes(statement, proof)):
        if proof.key not in keys.senders:
            raise _wrong(f"key = {proof.key!r} is not in the key set")
        raise _wrong("signature: it is not of this command, sender and content")
    by = statement.by
    able = [sender for sender in keys.senders[proof.key] if sender.may_say(by)]
    if not able:
        raise _wrong(f"key = {proof.key!r} may not sign for {by['id']} as {by['role']}")
    if not any(sender.until is None or at <= sender.until for sender in able):
        raise _wrong(f"key = {proof.key!r} was for signatures before {at.isoformat()}")


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""


def _wrong(what: str) -> Refused:
    return Refused(UNSIGNED, f"proof: {what}")
