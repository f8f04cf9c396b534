"""An authenticator in software (WebAuthn): a P-256 key that confirms what it is asked, as a person's device does."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import bytes_to_base64url, encode_cbor

from activities.senders.key_set import passkey_entry
from activities.senders.sign import prepare
from activities.senders.statement import challenge, of_command
from cases.registry import KINDS
from cases.vocabulary.commands import read_command

Json = dict[str, Any]
# What the authenticator says of the person: present, and verified by PIN or biometrics.
PRESENT, VERIFIED = 0x01, 0x04


@dataclass(frozen=True)
class Authenticator:
    """One passkey of a person, for one console."""

    person: str
    origin: str = "https://cases.example.com"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential: str = field(default_factory=lambda: bytes_to_base64url(os.urandom(16)))

    def entry(self) -> str:
        """Return its entry for the key set."""
        numbers = self.key.public_key().public_numbers()
        # COSE: an EC key, for ES256, on P-256.
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        return passkey_entry(self.person, self.origin, self.credential, bytes_to_base64url(encode_cbor(cose)))

    def confirms(self, asked: bytes, *, flags: int = PRESENT | VERIFIED, **client: Any) -> Json:
        """Return what it says to a challenge, as `cases.vocabulary.proof.PasskeyProof`.

        Args:
            flags: what it says of the person.
            client: what the browser says otherwise than it must: ``origin``, ``type``.
        """
        rp_id = urlsplit(self.origin).hostname or ""
        data = hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + bytes(4)
        told = {"type": "webauthn.get", "challenge": bytes_to_base64url(asked), "origin": self.origin, **client}
        said = json.dumps(told).encode()
        signature = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        return {
            "credential": self.credential,
            "authenticator_data": bytes_to_base64url(data),
            "client_data": bytes_to_base64url(said),
            "signature": bytes_to_base64url(signature),
        }

    def command(self, case_id: str, name: str, body: Json, **how: Any) -> Json:
        """Return a command that its person confirms; ``how`` as for `confirms`."""
        prepared = prepare(case_id, name, body)
        command = read_command(KINDS[case_id.partition(":")[0]].COMMANDS, name, prepared)
        assert command.proof is not None
        asked = challenge(of_command(case_id, command), command.proof)
        return {**prepared, "proof": {**prepared["proof"], "passkey": self.confirms(asked, **how)}}
