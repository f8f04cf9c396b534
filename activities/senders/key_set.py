"""The key set: which key may sign for whom. One TOML file outside the database, kept by whoever is trusted with it.

::

    signed_since = 2026-12-01T00:00:00+08:00    # from when on the audit wants a proof of everything
    policies = ["0d2c..."]                      # the only ones that cases are pinned to; optional

    [[sender]]                                  # a server, which knows who asks it
    id = "*"
    roles = ["*"]
    key = "8Uox...="                            # 32 bytes of Ed25519 in base64

    [[sender]]                                  # a person, or a system that sends by itself
    id = "gm-1"
    roles = ["general_manager"]
    key = "q1Zk...="
    until = 2027-01-01T00:00:00+08:00           # nothing that is sent later; what was sent before stays proven

    [[passkey]]                                 # printed by the console's page of passkeys
    id = "gm-1"
    origin = "https://cases.example.com"
    credential = "..."
    key = "..."
"""

from __future__ import annotations

import base64
import binascii
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import Field, StringConstraints, ValidationError, field_validator

from activities.audit.keys import BadKeys, Keys, key_id
from cases.vocabulary.proof import Base64Url
from cases.vocabulary.refusals import invalid
from cases.vocabulary.values import Instant, Model, Role, Sha256, Token

# Stands for everybody, or for every role.
ANY: Literal["*"] = "*"


class BadKeySet(Exception):
    """Raised where a file is no key set; the message names the file, the field and what is allowed."""


class Sender(Model):
    """Who a key may sign for.

    Args:
        id: of the person or system, or ``*``: a server that has asked them who they are.
        roles: in which it may sign.
        key: 32 bytes of Ed25519 in base64.
        person: what the directory calls the person behind several accounts; then each command has to say it.
        until: the last instant of its signatures.
    """

    id: Token | Literal["*"]
    roles: Annotated[list[Role | Literal["*"]], Field(min_length=1)]
    key: str
    person: Token | None = None
    until: Instant | None = None

    @field_validator("key")
    @classmethod
    def _a_key(cls, value: str) -> str:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(value, validate=True))
        except (ValueError, binascii.Error):
            raise ValueError("must be 32 bytes of Ed25519 in base64") from None
        return value

    def public(self) -> Ed25519PublicKey:
        """Return the key."""
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(self.key))

    def may_say(self, by: dict[str, str]) -> bool:
        """Whether it may sign for this sender."""
        if ANY not in self.roles and by["role"] not in self.roles:
            return False
        return self.id == ANY or (self.id == by["id"] and self.person == by.get("person"))


class Passkey(Model):
    """A person's authenticator.

    Args:
        origin: of the console where it was registered.
        credential: its id in base64url.
        key: its public key (COSE) in base64url.
    """

    id: Token
    origin: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]{1,253}$")]
    credential: Base64Url
    key: Base64Url
    until: Instant | None = None


class _File(Model):
    signed_since: Instant | None = None
    policies: Annotated[list[Sha256], Field(min_length=1)] | None = None
    sender: list[Sender] = Field(default_factory=list)
    passkey: list[Passkey] = Field(default_factory=list)


@dataclass(frozen=True)
class KeySet:
    """Who may sign for whom.

    Args:
        senders: by the id of the key; one key may stand for several.
        passkeys: by the id of the credential.
        signed_since: from when on everything that people and systems sent has to have a proof.
        policies: hashes of those that cases may be pinned to, since a policy says what is paid, and nobody signs it;
            None where any may be.
    """

    senders: dict[str, list[Sender]]
    passkeys: dict[str, Passkey]
    signed_since: Instant | None = None
    policies: frozenset[str] | None = None

    def verifies(self, key: str, signature: bytes, message: bytes) -> bool:
        """Whether a key of the set has signed a message."""
        if key not in self.senders:
            return False
        try:
            self.senders[key][0].public().verify(signature, message)
        except InvalidSignature:
            return False
        return True


NOBODY = KeySet({}, {})


def entry(keys: Keys, id: str, roles: Iterable[str], person: str | None = None) -> str:
    """Return the lines of a key set by which the key that signs among these may sign for somebody.

    Raises:
        BadKeys: none of them signs.
    """
    if keys.signer is None:
        raise BadKeys("there is no private key among them")
    raw = keys.signer.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    known = {} if person is None else {"person": person}
    return _table("sender", {"id": id, "roles": list(roles), **known, "key": base64.b64encode(raw).decode()})


def passkey_entry(id: str, origin: str, credential: str, key: str) -> str:
    """Return the lines of a key set by which somebody confirms with an authenticator; see `Passkey`."""
    return _table("passkey", {"id": id, "origin": origin, "credential": credential, "key": key})


def _table(name: str, fields: dict[str, Any]) -> str:
    # Quoted, so that no name of somebody's becomes another line.
    return "".join([f"[[{name}]]\n", *(f"{field} = {json.dumps(value)}\n" for field, value in fields.items())])


def read_key_set(file: Path) -> KeySet:
    """Read a key set.

    Raises:
        BadKeySet: it cannot be read, or is none.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
        read = _File.model_validate(raw)
    except OSError as error:
        raise BadKeySet(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadKeySet(f"{file}: is no TOML: {error}") from None
    except ValidationError as error:
        raise BadKeySet(f"{file}: {invalid(error, 'key set', _File).message}") from None
    senders: dict[str, list[Sender]] = {}
    for sender in read.sender:
        senders.setdefault(key_id(sender.public()), []).append(sender)
    policies = None if read.policies is None else frozenset(read.policies)
    return KeySet(senders, {one.credential: one for one in read.passkey}, read.signed_since, policies)
