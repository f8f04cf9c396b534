"""Encryption of what the engine keeps: a codec for Temporal's payloads, with the keys of CASELADDER_PAYLOAD_KEYS.

This setting belongs to the connection, as the SDK's own do, and not to `starter.settings`: whoever connects needs the
same keys, a backend system with the client alone too.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    EncodingPayloadConverter,
    PayloadCodec,
    PayloadConverter,
)

from cases.vocabulary.contract import UnreadablePayload

SETTING = "CASELADDER_PAYLOAD_KEYS"
# What is allowed, for messages; none of them ever repeats what was given.
ALLOWED = "ID:BASE64 of 32 bytes, several separated by commas, of which the first encrypts; file:PATH; or command:WORDS"
ENCODING, KEY_ID = b"binary/encrypted", "encryption-key-id"
# Of what could not be decrypted, within this process only.
UNREADABLE, REASON = b"binary/unreadable", "reason"
# Bytes of a key, and of what goes before each ciphertext and stands at its end.
KEY, NONCE, TAG = 32, 12, 16
# Seconds that a command has to print the keys, and the most that it or a file may say, in bytes.
PATIENCE, LONGEST = 30, 65_536
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# In front of the keys, `plain` keeps them for decrypting: to begin and to end without a pause.
_FILE, _COMMAND, _PLAIN = "file", "command", "plain"


class BadPayloadKeys(Exception):
    """Raised for keys that cannot be used. The message names the setting and what is allowed, never a key."""


@dataclass(frozen=True)
class Keyring:
    """Keys by their ids, each of which decrypts what it encrypted; ``primary`` encrypts, and without it nothing is."""

    keys: Mapping[str, AESGCM] = field(default_factory=dict, repr=False)
    primary: str | None = None


class Codec(PayloadCodec):
    """Encrypts payloads with AES-256-GCM. What is not encrypted is taken as it is; without keys nothing is encrypted.

    Also where nothing is encrypted it looks at what comes in: a worker that lacks the keys must say so, and not
    refuse good commands as what is no JSON.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    @property
    def decrypts(self) -> bool:
        """Whether there are keys."""
        return bool(self._keyring.keys)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads with the first key."""
        return [self._sealed(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt payloads, each with the key that it names.

        One that cannot be decrypted comes back with the reason, which is raised when its value is asked for: a case
        must be able to turn a command away that it cannot read.
        """
        return [self._told(payload) for payload in payloads]

    def open(self, payload: Payload) -> Payload:
        """Decrypt a payload.

        Raises:
            UnreadablePayload: the key is not known here, or the payload is not as it was encrypted.
        """
        name = _key_of(payload)
        if name is None:
            return payload
        key = self._keyring.keys.get(name)
        if key is None:
            raise UnreadablePayload(
                f"a payload is encrypted with the key {name}, which this process does not have: add it to {SETTING}"
                f" (there: {', '.join(self._keyring.keys) or 'none'})"
            )
        try:
            plain = key.decrypt(payload.data[:NONCE], payload.data[NONCE:], name.encode())
        except InvalidTag:
            raise UnreadablePayload(
                f"a payload is not as it was encrypted with the key {name}, or {SETTING} has another key of that id"
            ) from None
        return Payload.FromString(plain)

    def _sealed(self, payload: Payload) -> Payload:
        primary = self._keyring.primary
        if primary is None:
            return payload
        name, nonce = primary.encode(), os.urandom(NONCE)
        sealed = self._keyring.keys[primary].encrypt(nonce, payload.SerializeToString(), name)
        return Payload(metadata={"encoding": ENCODING, KEY_ID: name}, data=nonce + sealed)

    def _told(self, payload: Payload) -> Payload:
        try:
            opened = self.open(payload)
        except UnreadablePayload as error:
            return Payload(metadata={"encoding": UNREADABLE, REASON: str(error).encode()})
        # Nobody sends that: a case would wait for a key that there is not.
        return Payload() if opened.metadata.get("encoding") == UNREADABLE else opened


def _key_of(payload: Payload) -> str | None:
    """Return the id of the key that a payload is encrypted with; None for one that was not encrypted here.

    Others name their encoding like this too. What can be none of ours is left to whoever takes it, which refuses it.
    """
    if payload.metadata.get("encoding") != ENCODING or len(payload.data) < NONCE + TAG:
        return None
    name = payload.metadata.get(KEY_ID, b"").decode("ascii", "replace")
    return name if _ID.fullmatch(name) else None


class _Unreadable(EncodingPayloadConverter):
    """Says why the value of a payload that was not decrypted cannot be had."""

    @property
    def encoding(self) -> str:
        return UNREADABLE.decode()

    def to_payload(self, value: Any) -> Payload | None:
        return None

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> NoReturn:
        raise UnreadablePayload(payload.metadata[REASON].decode())


class Values(PydanticPayloadConverter):
    """Values by pydantic."""

    def __init__(self) -> None:
        super().__init__()
        self._set_converters(*self.converters.values(), _Unreadable())


class Failures(DefaultFailureConverter):
    """Failures as they are; one that was not decrypted is not taken for another one without words."""

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """Return the error of a failure.

        Raises:
            UnreadablePayload: it could not be decrypted.
        """
        if failure.encoded_attributes.metadata.get("encoding") == UNREADABLE:
            payload_converter.from_payload(failure.encoded_attributes)
        return super().from_failure(failure, payload_converter)


class EncodedFailures(Failures):
    """Failures whose message and stack are payloads too. The type stays: retries are decided by it."""

    def __init__(self) -> None:
        DefaultFailureConverter.__init__(self, encode_common_attributes=True)


def data_converter(keyring: Keyring) -> DataConverter:
    """Return the converter of whoever talks to the engine: values by pydantic, payloads and failures by these keys."""
    failures = Failures if keyring.primary is None else EncodedFailures
    return DataConverter(Values, Codec(keyring), failures)


def configured() -> DataConverter:
    """Return the converter that the environment asks for; a command is run for it, which takes a moment.

    Raises:
        BadPayloadKeys: the setting cannot be used.
    """
    value = os.environ.get(SETTING, "").strip()
    return data_converter(read_keyring(value) if value else Keyring())


def new_key(name: str) -> str:
    """Make a key, as the setting takes it.

    Raises:
        BadPayloadKeys: the name cannot be the id of a key.
    """
    _check_id(name)
    return f"{name}:{base64.b64encode(AESGCM.generate_key(8 * KEY)).decode()}"


def read_keyring(value: str) -> Keyring:
    """Read the setting, which has the keys or says where they are.

    Raises:
        BadPayloadKeys: they cannot be had, or are none.
    """
    source, _, rest = value.partition(":")
    if source == _FILE:
        return _parsed(_read(Path(rest.strip())))
    if source == _COMMAND:
        return _parsed(_run(rest))
    return _parsed(value)


def _parsed(text: str) -> Keyring:
    """Read keys with commas or white space between them; in files, lines that begin with # are remarks."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = re.split(r"[\s,]+", " ".join(lines).strip(" ,"))
    keys: dict[str, AESGCM] = {}
    for number, entry in enumerate(entries, 1):
        if number == 1 and entry == _PLAIN:
            continue
        name, colon, encoded = entry.partition(":")
        if not colon:
            raise BadPayloadKeys(f"{SETTING}: key no. {number}: it must be {ALLOWED}")
        _check_id(name)
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY:
            # By its number: what stands there in place of an id may be a key.
            raise BadPayloadKeys(f"{SETTING}: key no. {number} must be base64 of {KEY} bytes; caseladder payload-key")
        if name in keys:
            raise BadPayloadKeys(f"{SETTING}: the id {name} stands there twice")
        keys[name] = AESGCM(key)
    if not keys:
        raise BadPayloadKeys(f"{SETTING}: key no. 1 is missing behind {_PLAIN}: it must be {ALLOWED}")
    return Keyring(keys, None if entries[0] == _PLAIN else next(iter(keys)))


def _check_id(name: str) -> None:
    # A key without an id would be taken for one and shown.
    if not _ID.fullmatch(name) or name in (_FILE, _COMMAND, _PLAIN):
        raise BadPayloadKeys(
            f"{SETTING}: the id of a key is up to 64 letters, digits, dots, dashes or underscores, not {_FILE},"
            f" {_COMMAND} or {_PLAIN}"
        )


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return _text(opened.read(LONGEST + 1), f"the file {file}")
    except OSError as error:
        raise BadPayloadKeys(f"{SETTING}: the file {file}: {error.strerror}") from None


def _run(words: str) -> str:
    """Run the command, without a shell, and return what it prints. What it says on stderr may be secret too."""
    try:
        command = shlex.split(words)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    except (ValueError, IndexError):
        raise BadPayloadKeys(f"{SETTING}: after command: stand a program and its arguments") from None
    except OSError as error:
        raise BadPayloadKeys(f"{SETTING}: the command cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise BadPayloadKeys(f"{SETTING}: the command took more than {PATIENCE} s") from None
    if done.returncode:
        raise BadPayloadKeys(f"{SETTING}: the command failed with exit code {done.returncode}; run it by hand")
    return _text(done.stdout, "what the command printed")


def _text(found: bytes, what: str) -> str:
    if len(found) > LONGEST:
        raise BadPayloadKeys(f"{SETTING}: {what} is longer than {LONGEST} bytes")
    try:
        return found.decode("ascii")
    except UnicodeDecodeError:
        raise BadPayloadKeys(f"{SETTING}: {what} is no plain text") from None
