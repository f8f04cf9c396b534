"""The workflows that deliver events: one a subscription, started here and woken when it changes."""

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

# How often a worker looks whether every active subscription has its workflow, and how soon again after it failed.
EVERY, AGAIN = timedelta(minutes=5), timedelta(seconds=10)

log = structlog.get_logger(__name__)


async def wake(client: Client, id: str) -> None:
    """Have a subscription looked at now: its workflow starts, or learns that something has changed."""
    await client.start_workflow(SUBSCRIPTION, id, id=_workflow(id), task_queue=TASK_QUEUE, start_signal="wake")


async def keep(client: Client, subscriptions: Subscriptions) -> None:
    """See to it, until cancelled, that every active subscription has its workflow.

    Each is started when the subscription is made. But a program can die between the two, and the
    database and the server's history are restored from backups of different times.
    """
    while True:
        pause = EVERY
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
            pause = AGAIN
        await asyncio.sleep(pause.total_seconds())


def _workflow(id: str) -> str:
    return f"subscription:{id}"
