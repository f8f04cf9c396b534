"""Starting and waking the workflows that deliver events, one for each subscription."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.events.subscriptions import Subscriptions
from cases.vocabulary.contract import TASK_QUEUE
from workflows.registry import SUBSCRIPTION

# How often a worker checks that every active subscription has its workflow, and how soon after a failed check.
CHECK_INTERVAL, RETRY_INTERVAL = timedelta(minutes=5), timedelta(seconds=10)

log = structlog.get_logger(__name__)


async def wake(client: Client, id: str) -> None:
    """Start the workflow of a subscription, or tell the running one that the subscription has changed."""
    await client.start_workflow(SUBSCRIPTION, id, id=_workflow(id), task_queue=TASK_QUEUE, start_signal="wake")


async def ensure_workflows(client: Client, subscriptions: Subscriptions) -> None:
    """Check regularly, until cancelled, that every active subscription has its workflow.

    The workflow is started when the subscription is created. But the program may die between the two, and the
    database and the Temporal server may be restored from backups of different times.
    """
    while True:
        pause = CHECK_INTERVAL
        try:
            for one in await subscriptions.all():
                if one.state == "active":
                    await client.start_workflow(
                        SUBSCRIPTION,
                        one.id,
                        id=_workflow(one.id),
                        task_queue=TASK_QUEUE,
                        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    )
        except (ApplicationError, RPCError) as error:
            log.warning("subscriptions_not_looked_at", reason=type(error).__name__)
            pause = RETRY_INTERVAL
        await asyncio.sleep(pause.total_seconds())


def _workflow(id: str) -> str:
    return f"subscription:{id}"
