"""A real Temporal server for tests, in memory, whose time passes only when a test lets it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from starter.embedded.temporal import temporal_binary
from workflows import attributes

T = TypeVar("T")

# With the server's own settings each timer that is skipped to costs up to a second.
SERVER_SETTINGS = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="1ms"',
    "history.timerProcessorMaxPollRPS=2000",
    "history.timerProcessorMaxPollHostRPS=10000",
)


@asynccontextmanager
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server with our search attributes.

    A workflow that was started through the environment's own client has a clock of its own, which
    `WorkflowEnvironment.fast_forward` moves; every other clock is the wall's. Workers must have
    ended before the block does.
    """
    env = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=[part for value in SERVER_SETTINGS for part in ("--dynamic-config-value", value)],
        ts_config=TimeSkippingConfig(enabled=False, max_session_skip_count=100_000),
        data_converter=pydantic_data_converter,
        search_attributes=attributes.ALL,
    )
    try:
        yield env
    finally:
        await env.shutdown()
        # The client's threads must come to rest (temporalio/sdk-python issue 300).
        await asyncio.sleep(0.25)


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
