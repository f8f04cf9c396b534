"""Handovers from outside: have the end of each shift of the roster waited for (S4-3.3.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy

from cases.directory import Shift
from cases.vocabulary.contract import TASK_QUEUE
from workflows.registry import SHIFT_END

# So many shifts are planned at a time.
AT_A_TIME = 16


async def plan(client: Client, shifts: Iterable[Shift], policy: str = "default") -> int:
    """Have the end of each shift waited for. What is waited for already reads the roster again.

    Shifts that have ended are left out; of those that are no longer in the roster nothing need be said,
    since each looks before it begins.

    Args:
        policy: the name of the policy that the handovers are pinned to.

    Returns:
        How many shifts have an end to wait for.
    """
    now = datetime.now(UTC)
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(shift: Shift) -> None:
        async with turns:
            await client.start_workflow(
                SHIFT_END,
                {"shift": shift.id, "policy": policy},
                id=f"shift-end:{shift.id}",
                task_queue=TASK_QUEUE,
                # One that had ended, since its shift was gone, begins anew.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal="roster_changed",
            )

    coming = [shift for shift in shifts if shift.ends_at > now]
    await asyncio.gather(*map(one, coming))
    return len(coming)
