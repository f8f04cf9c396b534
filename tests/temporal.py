"""The time-skipping Temporal server of rehearsals, and waiting for a condition, for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.client import Client

from starter.rehearsal.temporal_engine import time_skipping as time_skipping

T = TypeVar("T")


def address(client: Client) -> str:
    """Return the ``host:port`` of the server that a client is connected to."""
    return client.service_client.config.target_host


async def eventually(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], seconds: float = 10) -> T:
    """Call ``look`` until its result satisfies ``wanted``, and return the result.

    Raises:
        AssertionError: it did not within ``seconds``; the message has the last result.
    """
    deadline = time.monotonic() + seconds
    while not wanted(seen := await look()):
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen: {seen!r}"
        await asyncio.sleep(0.02)
    return seen
