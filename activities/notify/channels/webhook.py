"""JSON to an HTTP endpoint, signed as the Standard Webhooks specification says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from activities.notify.channels import Deliver, Message, SettingError
from activities.notify.channels.http import compact, line


def read_secret(secret: str) -> bytes:
    """The signing key from its usual form: base64 of 24 to 64 random bytes, ``whsec_`` before it or not.

    Raises:
        SettingError: it has another form. The message does not repeat the secret.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise SettingError("webhook_secret: allowed: whsec_ followed by the base64 of 24 to 64 random bytes")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``; ``timestamp`` in seconds since 1970."""
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def signed(key: bytes, message_id: str, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows a message that is posted now."""
    timestamp = int(time.time())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, message_id, timestamp, body),
    }


class WebhookChannel:
    """Posts the payload of a message; any 2xx answer means that it was taken.

    Redirects are not followed: they count as a refusal.

    Args:
        key: the signing key.
        timeout: seconds for one whole request.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = False

    def __init__(self, key: bytes, *, timeout: float = 10.0) -> None:
        self._key = key
        self._timeout = timeout

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """One HTTP client; see `Channel.session`."""
        async with line(self._timeout) as open_line:

            async def deliver(message: Message) -> None:
                body = compact(message.payload)
                headers = signed(self._key, message.id, body)
                (await open_line.post(message.to, body, headers)).check()

            yield deliver
