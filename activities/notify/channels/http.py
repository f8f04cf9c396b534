"""Posting JSON over HTTP: what each answer means, the same for all channels that do it."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx

from activities.events.outbound import Guard, GuardedTransport, PrivateAddress
from activities.notify.channels import Delayed, Undeliverable

# httpx logs every request with its address, and an address may hold a token.
logging.getLogger("httpx").setLevel(logging.WARNING)

# Why a message to somebody of the staff goes nowhere.
NOT_PUBLIC = "the address leads to a network that is not public (CASELADDER_PRIVATE_SUBSCRIBERS)"
# Timeout, too early, too many requests: the client errors that pass by themselves.
TEMPORARY = frozenset({408, 425, 429})
# Bytes of an answer that are looked at; what bots say is far shorter.
_LONGEST_ANSWER = 65_536
# Seconds. A longer wait that a server asks for is shortened to this.
_LONGEST_WAIT = 3600


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a server: status, body, and for how many seconds it wants no request."""

    status: int
    body: bytes
    wait: float

    def check(self) -> None:
        """Tell by the status whether the message was taken.

        Raises:
            Delayed: it may be taken later.
            Undeliverable: it never will. A redirect is not followed and counts as a refusal.
        """
        if self.status >= 500 or self.status in TEMPORARY:
            raise Delayed(f"HTTP {self.status}", self.wait)
        if not 200 <= self.status < 300:
            raise Undeliverable(f"HTTP {self.status}")

    def json(self) -> dict[str, Any] | None:
        """Read the body as a JSON object; None when it is none."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Poster:
    """Posts over HTTP clients for one batch. A server that did not answer once is not asked again.

    Args:
        timeout: seconds for one whole request.
        guarded: the client that goes only where calls may go; without it the other one serves for all.
    """

    def __init__(self, client: httpx.AsyncClient, timeout: float, guarded: httpx.AsyncClient | None = None) -> None:
        self._client, self._guarded = client, guarded or client
        self._timeout = timeout
        self._silent: set[str] = set()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, personal: bool = False) -> Answer:
        """Post, and return whatever was answered.

        Args:
            personal: whether the address is somebody's of the staff.

        Raises:
            Delayed: nothing was.
            Undeliverable: nobody can be asked at such an address, or it leads where calls may not go.
        """
        if url in self._silent:
            raise Delayed("no answer")
        try:
            # httpx limits each read; the outer limit holds for all of them together.
            async with (
                asyncio.timeout(self._timeout),
                (self._guarded if personal else self._client).stream(
                    "POST",
                    url,
                    content=body,
                    headers={"content-type": "application/json", "user-agent": "caseladder", **headers},
                    follow_redirects=False,
                ) as answer,
            ):
                said = bytearray()
                async for piece in answer.aiter_bytes():
                    said += piece
                    if len(said) > _LONGEST_ANSWER:
                        break
                return Answer(answer.status_code, bytes(said), _wait(answer.headers.get("retry-after")))
        except httpx.InvalidURL:
            raise Undeliverable("not a usable address") from None
        except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
            if personal and isinstance(error, PrivateAddress):
                # The next way has its turn at once.
                raise Undeliverable(NOT_PUBLIC) from None
            self._silent.add(url)
            raise Delayed(f"no answer ({type(error).__name__})") from None


@cache
def trust() -> ssl.SSLContext:
    """Load the system's trust store, which takes tens of milliseconds: once for all clients."""
    return ssl.create_default_context()


@asynccontextmanager
async def open_poster(seconds: float, guard: Guard | None = None) -> AsyncIterator[Poster]:
    """Open HTTP clients for the block.

    Args:
        seconds: for one whole request.
        guard: judges where the addresses of people may lead; without one, anywhere.
    """
    async with httpx.AsyncClient(verify=trust(), timeout=seconds) as client:
        if guard is None:
            yield Poster(client, seconds)
            return
        transport = GuardedTransport(guard, trust())
        async with httpx.AsyncClient(transport=transport, timeout=seconds, trust_env=False) as guarded:
            yield Poster(client, seconds, guarded)


def json_body(value: Mapping[str, Any]) -> bytes:
    """Write a value as the body of a request: compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _wait(header: str | None) -> float:
    """Return the seconds that a ``Retry-After`` asks for: it holds a number, or an instant."""
    if header is None:
        return 0
    try:
        seconds = float(header) if header.strip().isdigit() else _until(header)
    except (ValueError, OverflowError):
        return 0
    return min(max(seconds, 0), _LONGEST_WAIT)


def _until(header: str) -> float:
    moment = parsedate_to_datetime(header)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
