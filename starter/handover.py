"""The workflows that wait for the end of each shift on the roster and file its handover (S4-3.3.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy

from cases.directory import Shift
from cases.vocabulary.contract import TASK_QUEUE
from workflows.registry import SHIFT_END

# How many workflows are started at the same time.
CONCURRENT_STARTS = 16


async def plan_handovers(client: Client, shifts: Iterable[Shift], policy: str = "default") -> int:
    """Start a workflow for each shift that has not ended, which files the shift's handover.

    A workflow that is waiting already reads the roster again. One whose shift was removed from the roster needs
    no message, since it reads the roster before it files anything.

    Args:
        client: a connection to Temporal.
        shifts: the shifts of the roster.
        policy: the name of the policy that the handovers are pinned to.

    Returns:
        How many shifts have not ended.
    """
    now = datetime.now(UTC)
    slots = asyncio.Semaphore(CONCURRENT_STARTS)

    async def start(shift: Shift) -> None:
        async with slots:
            await client.start_workflow(
                SHIFT_END,
                {"shift": shift.id, "policy": policy},
                id=f"shift-end:{shift.id}",
                task_queue=TASK_QUEUE,
                # A workflow that ended because its shift was removed is started again.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal="roster_changed",
            )

    future = [shift for shift in shifts if shift.ends_at > now]
    await asyncio.gather(*map(start, future))
    return len(future)
