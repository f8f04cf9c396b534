"""Sign and check webhooks as the Standard Webhooks specification says (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError

# Seconds that a signature is good for, either way: the library's own limit, for the message alone.
TOLERANCE = 300


class BadSignature(Exception):
    """A webhook is not signed by the holder of the secret, or not now; the text says what is wrong with it."""


def read_secret(secret: str) -> Webhook:
    """Read a signing secret in its usual form.

    Args:
        secret: base64 of 24 to 64 random bytes, with or without ``whsec_`` before it.

    Raises:
        ValueError: it has another form. The message says what is allowed and does not repeat the secret.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("allowed: whsec_ followed by the base64 of 24 to 64 random bytes")
    return Webhook(key)


def sign(secret: Webhook, message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver knows a message that is posted now."""
    # In UTC: the library replaces the zone of an instant without converting it.
    now = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": secret.sign(message_id, now, body.decode()),
    }


def verify(secret: Webhook, headers: Mapping[str, str], body: bytes) -> None:
    """Check that a message was signed with the secret, at most five minutes ago.

    Args:
        headers: of the request, in any case of letters. Several signatures may stand in one, since a sender
            that changes its secret signs with both.
        body: exactly as it came, for the signature is over its bytes.

    Raises:
        BadSignature: it was not.
    """
    try:
        secret.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # a header of another form is a ValueError of its parsing
        raise BadSignature(_what_is_wrong({name.lower(): value for name, value in headers.items()})) from None


def _what_is_wrong(headers: Mapping[str, str]) -> str:
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if name not in headers:
            return f"the header {name} is missing"
    try:
        fresh = abs(float(headers["webhook-timestamp"]) - time.time()) <= TOLERANCE
    except ValueError:
        fresh = False
    if not fresh:
        return f"webhook-timestamp must be in seconds, within {TOLERANCE} s of now"
    return "webhook-signature does not fit the body"
