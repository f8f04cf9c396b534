"""The time-skipping Temporal server of rehearsals, and waiting for a condition, for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowHandle

from starter.rehearsal.temporal_engine import time_skipping as time_skipping

T = TypeVar("T")


def address(client: Client) -> str:
    """Return the ``host:port`` of the server that a client is connected to."""
    return client.service_client.config.target_host


async def eventually(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], seconds: float = 120) -> T:
    """Call ``look`` until its result satisfies ``wanted``, and return the result.

    Raises:
        AssertionError: it did not within ``seconds``; the message has the last result.
    """
    deadline = time.monotonic() + seconds
    while not wanted(seen := await look()):
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen: {seen!r}"
        await asyncio.sleep(0.02)
    return seen


# How a task fails that would end a run while news has come that it has not heard: the engine has it look again.
UNHEARD = "WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND: UnhandledCommand"


def task_failure(event: Any) -> str | None:
    """Say how a workflow task failed, if that is what an event of a history is about."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        return "timed out"
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
        return None
    failed = event.workflow_task_failed_event_attributes
    return f"{WorkflowTaskFailedCause.Name(failed.cause)}: {failed.failure.message}"


async def task_failures(client: Client, id: str) -> list[str]:
    """Say how workflow tasks of a case failed, in all its runs, which continued as new."""
    found: list[str] = []
    run: str | None = (await client.get_workflow_handle(id).describe()).run_id
    while run:
        handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(id, run_id=run)
        events = [event async for event in handle.fetch_history_events()]
        found += [failure for event in events if (failure := task_failure(event)) is not None]
        run = events[0].workflow_execution_started_event_attributes.continued_execution_run_id or None
    return found
