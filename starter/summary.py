"""Month-end summaries from outside: file one by hand, and the schedule that files them (S3-4.3.1.10)."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    WorkflowFailureError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ActivityError

from cases.vocabulary.contract import TASK_QUEUE, refusal_of
from workflows.registry import MONTH_END

SCHEDULE = "month-end"
# When the month that has just ended is summarized: its first day's hour in the policy's zone [INVENTED].
DAY, HOUR = 1, 9


async def file_month(client: Client, month: str, policy: str = "default") -> str:
    """Gather a month, file its summary unless it was, and wait until it is open.

    Args:
        month: like ``2026-03``.
        policy: the name of the policy that the case is pinned to.

    Returns:
        The id of the case.

    Raises:
        Refused: the month has not ended, or the policy is not known.
    """
    try:
        done: dict[str, Any] = await client.execute_workflow(
            MONTH_END,
            {"month": month, "policy": policy},
            id=f"{SCHEDULE}:{month}",
            task_queue=TASK_QUEUE,
            # Whoever asks at the same time waits for the same answer.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
    except WorkflowFailureError as error:
        cause = error.cause.cause if isinstance(error.cause, ActivityError) else error.cause
        if (refusal := refusal_of(cause)) is not None:
            raise refusal from None
        raise
    while done["new"]:
        view: dict[str, Any] = await client.get_workflow_handle(done["id"]).query("case")
        if view["status"] != "opening":
            break
        await asyncio.sleep(0.05)
    return str(done["id"])


async def keep_schedule(client: Client, zone: str, policy: str = "default") -> tuple[ScheduleHandle, bool]:
    """Have every month summarized on the first day of the next at 09:00, from now on.

    Args:
        zone: the policy's time zone.
        policy: its name.

    Returns:
        The schedule, and whether it is new; one that was there is brought up to date.
    """
    wanted = Schedule(
        ScheduleActionStartWorkflow(MONTH_END, {"policy": policy}, id=SCHEDULE, task_queue=TASK_QUEUE),
        ScheduleSpec(
            calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(HOUR)], day_of_month=[ScheduleRange(DAY)])],
            time_zone_name=zone,
        ),
        # One that waits for the casebook must not cost the month after it.
        SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
    )
    try:
        return await client.create_schedule(SCHEDULE, wanted), True
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(SCHEDULE)
        # What people paused stays paused.
        await handle.update(lambda found: ScheduleUpdate(_as_paused(wanted, found.description.schedule)))
        return handle, False


def _as_paused(wanted: Schedule, found: Schedule) -> Schedule:
    wanted.state = found.state
    return wanted
