"""What proves who sent a command or an intake: a signature, and for large amounts a passkey (docs/operations.md).

The rules never look at a signature: whether it is right is checked before a case hears of what was sent
(`activities.senders`). They only know whether there is one of a passkey.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from cases.vocabulary.values import Instant, Model

Base64Url = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,4096}$")]
KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
# Ed25519 makes 86 characters; what else comes is refused for being no signature of this.
Signature = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
# The path of a text in a command, such as ``override.reason``.
Path = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,128}$")]
Salt = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class PasskeyProof(Model):
    """What an authenticator says (WebAuthn): its challenge is the SHA-256 of what is signed."""

    credential: Base64Url
    authenticator_data: Base64Url
    client_data: Base64Url
    signature: Base64Url


class Proof(Model):
    """The proof of one command or intake.

    Args:
        at: when it was made; it counts for a few minutes.
        salts: 16 bytes in hex for each free text, by field: the text itself is not signed, its commitment is.
        key: the id of the key that signed; none where only a passkey did.
        signature: Ed25519, 64 bytes in base64url.
        passkey: the confirmation of a person at their authenticator.
    """

    at: Instant
    salts: Annotated[dict[Path, Salt], Field(max_length=500)] = Field(default_factory=dict)
    key: KeyId | None = None
    signature: Signature | None = None
    passkey: PasskeyProof | None = None
