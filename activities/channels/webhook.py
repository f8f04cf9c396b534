"""JSON to an HTTP endpoint, signed as the Standard Webhooks specification says."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from activities.channels import Delayed, Deliver, Message, SettingError, Undeliverable

# httpx logs every request with its address, and an address may hold a token.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Timeout, too early, too many requests: the client errors that pass by themselves.
TEMPORARY = frozenset({408, 425, 429})


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


class WebhookChannel:
    """Posts the payload of a message; any 2xx answer means that it was taken.

    Redirects are not followed: they count as a refusal.

    Args:
        key: the signing key.
        timeout: seconds for one whole request.
    """

    def __init__(self, key: bytes, *, timeout: float = 10.0) -> None:
        self._key = key
        self._timeout = timeout
        # Loading the trust store takes tens of milliseconds: once, not once per batch.
        self._tls = ssl.create_default_context()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """One HTTP client; see `Channel.session`."""
        silent: set[str] = set()

        async with httpx.AsyncClient(verify=self._tls, timeout=self._timeout) as client:

            async def deliver(message: Message) -> None:
                # Who did not answer once in this batch is not waited for again.
                if message.to in silent:
                    raise Delayed("no answer")
                try:
                    status = await self._post(client, message)
                except httpx.InvalidURL:
                    raise Undeliverable("not a usable address") from None
                except (httpx.TransportError, TimeoutError) as error:
                    silent.add(message.to)
                    raise Delayed(f"no answer ({type(error).__name__})") from None
                if status >= 500 or status in TEMPORARY:
                    raise Delayed(f"HTTP {status}")
                if not 200 <= status < 300:
                    raise Undeliverable(f"HTTP {status}")

            yield deliver

    async def _post(self, client: httpx.AsyncClient, message: Message) -> int:
        body = json.dumps(message.payload, ensure_ascii=False, separators=(",", ":")).encode()
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "caseladder",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._key, message.id, timestamp, body),
        }
        # httpx limits each read; the outer limit holds for all of them together. The answer's
        # body is not read: only the status counts.
        async with (
            asyncio.timeout(self._timeout),
            client.stream(
                "POST", message.to, content=body, headers=headers, follow_redirects=False
            ) as answer,
        ):
            return answer.status_code
