"""The keys of checkpoints, and of senders: Ed25519, in one file of PEM blocks, away from the database.

A private key in it signs; every other block, public or private, stays good for checking what was signed before. A
file of public keys alone is for auditors: it checks and cannot sign.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

_BLOCK = re.compile(rb"-----BEGIN (?:PRIVATE|PUBLIC) KEY-----.+?-----END (?:PRIVATE|PUBLIC) KEY-----", re.DOTALL)


class BadKeys(Exception):
    """Raised where a file holds no usable keys; the message names the file and what is allowed."""


@dataclass(frozen=True)
class Keys:
    """Who signs, and whose signatures are trusted, by key id."""

    signer: Ed25519PrivateKey | None
    trusted: dict[str, Ed25519PublicKey]

    @property
    def id(self) -> str:
        """The id of the key that signs; empty where none does."""
        return "" if self.signer is None else key_id(self.signer.public_key())

    def sign(self, message: bytes) -> bytes:
        """Sign a message.

        Raises:
            BadKeys: there is no private key.
        """
        if self.signer is None:
            raise BadKeys("there is no private key to sign with, only public ones")
        return self.signer.sign(message)

    def verifies(self, key: str, signature: bytes, message: bytes) -> bool:
        """Whether a trusted key has signed a message."""
        if key not in self.trusted:
            return False
        try:
            self.trusted[key].verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def public_pem(self) -> str:
        """Return the public keys as PEM, the one that signs first: what auditors are given."""
        return "".join(map(_public_pem, self.trusted.values()))


def key_id(public: Ed25519PublicKey) -> str:
    """Return the id of a key: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def read_keys(file: Path) -> Keys:
    """Read a file of keys.

    Raises:
        BadKeys: it cannot be read, or holds something else.
    """
    allowed = f"{file}: allowed are PEM blocks of Ed25519 keys, the private one that signs first"
    try:
        blocks = _BLOCK.findall(file.read_bytes())
    except OSError as error:
        raise BadKeys(f"{file}: {error.strerror}") from None
    signer, trusted = None, dict[str, Ed25519PublicKey]()
    for block in blocks:
        try:
            key = load_pem_private_key(block, None) if b"PRIVATE" in block else load_pem_public_key(block)
        except (ValueError, TypeError):
            raise BadKeys(allowed) from None
        if isinstance(key, Ed25519PrivateKey):
            signer = signer or key
            key = key.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise BadKeys(allowed)
        trusted[key_id(key)] = key
    if not trusted:
        raise BadKeys(allowed)
    return Keys(signer, trusted)


def new_key(file: Path) -> Keys:
    """Make a key that signs from now on; the public keys that the file has are kept, for what was signed before.

    The file is for its owner alone (mode 600), and is replaced in one step.

    Raises:
        BadKeys: the file is there and holds something else.
    """
    known = read_keys(file) if file.exists() else Keys(None, {})
    signer = Ed25519PrivateKey.generate()
    private = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    new = file.with_name(f"{file.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as out:
        out.write(private + known.public_pem())
        out.flush()
        os.fsync(out.fileno())
    new.replace(file)
    return read_keys(file)


def _public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
