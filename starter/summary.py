"""Filing of month-end summaries: one by hand, or all of them by a schedule (S3-4.3.1.10)."""

from __future__ import annotations

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
# The day of the next month, and the hour in the policy's zone, at which a month is summarized [INVENTED].
DAY, HOUR = 1, 9


async def file_month(client: Client, month: str, policy: str = "default") -> str:
    """File the summary of a month unless it was filed before, and wait until the case is open.

    Args:
        client: a connection to Temporal.
        month: the month, like ``2026-03``.
        policy: the name of the policy that the case is pinned to.

    Returns:
        The id of the case.

    Raises:
        Refused: the month has not ended, or the policy does not exist.
    """
    try:
        done: dict[str, Any] = await client.execute_workflow(
            MONTH_END,
            {"month": month, "policy": policy},
            id=f"{SCHEDULE}:{month}",
            task_queue=TASK_QUEUE,
            # Two simultaneous requests wait for the same workflow.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
    except WorkflowFailureError as error:
        cause = error.cause.cause if isinstance(error.cause, ActivityError) else error.cause
        if (refusal := refusal_of(cause)) is not None:
            raise refusal from None
        raise
    return str(done["id"])


async def ensure_schedule(client: Client, zone: str, policy: str = "default") -> tuple[ScheduleHandle, bool]:
    """Create or update the schedule that summarizes every month on the first day of the next at 09:00.

    Args:
        client: a connection to Temporal.
        zone: the policy's time zone.
        policy: the name of the policy that the cases are pinned to.

    Returns:
        The schedule, and whether it is new.
    """
    wanted = Schedule(
        ScheduleActionStartWorkflow(MONTH_END, {"policy": policy}, id=SCHEDULE, task_queue=TASK_QUEUE),
        ScheduleSpec(
            calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(HOUR)], day_of_month=[ScheduleRange(DAY)])],
            time_zone_name=zone,
        ),
        # A run that is still waiting for the casebook must not prevent the run of the next month.
        SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
    )
    try:
        return await client.create_schedule(SCHEDULE, wanted), True
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(SCHEDULE)
        await handle.update(lambda current: ScheduleUpdate(_with_state(wanted, current.description.schedule)))
        return handle, False


def _with_state(wanted: Schedule, current: Schedule) -> Schedule:
    # A schedule that somebody has paused stays paused.
    wanted.state = current.state
    return wanted
