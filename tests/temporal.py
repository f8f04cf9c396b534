"""The time-skipping Temporal server of rehearsals, for tests, and waiting for what it shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.client import Client

from starter.rehearsal.temporal_engine import time_skipping as time_skipping

T = TypeVar("T")


def address(client: Client) -> str:
    """``host:port`` of the server behind a client."""
    return client.service_client.config.target_host


async def eventually(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], seconds: float = 10) -> T:
    """Look until what is seen is what is wanted, and return it.

    Raises:
        AssertionError: it was not within so many seconds; it says what was seen last.
    """
    deadline = time.monotonic() + seconds
    while not wanted(seen := await look()):
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen: {seen!r}"
        await asyncio.sleep(0.02)
    return seen
