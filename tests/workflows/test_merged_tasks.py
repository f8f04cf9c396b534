"""A replay may put two workflow tasks into one; that must not change what a case did.

sdk-core (temporalio 1.35) takes a workflow task without commands for the heartbeat of the one after
it, when none came of the task before either. A worker that takes a case over then hands the news of
both to the workflow at once, an update before the outcome that in truth came first, while a later
replay, which sees that the update was accepted, hands them over apart.
"""

from __future__ import annotations

import asyncio
from functools import partial
from operator import lt

from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.messages import BEGIN, NOTIFY, RECORD, Batch, BeginOrder, Begun, NoticeBatch, NoticeResult, Recorded
from activities.policies.store import Policies
from cases.vocabulary.contract import TASK_QUEUE
from starter.client import CaseClient
from tests.temporal import eventually
from workflows.registry import RUNNER, case_workflows

AGENT, SUPERVISOR = {"id": "ag-1", "role": "agent"}, {"id": "su-1", "role": "supervisor"}
QUEUE = f"{TASK_QUEUE}-merged"


class Slow:
    """An outside whose work ends when the test says so."""

    def __init__(self) -> None:
        self.record_may_end = asyncio.Event()
        self.notices: list[asyncio.Event] = []

    @activity.defn(name=BEGIN)
    async def begin(self, order: BeginOrder) -> Begun:
        """Begin every case as a new one."""
        return Begun(Policies().load(order.policy).document)

    @activity.defn(name=RECORD)
    async def record(self, batch: Batch) -> Recorded:
        """Record, once the casebook is back."""
        await self.record_may_end.wait()
        return Recorded("2026-03-0001", batch.events[-1]["seq"])

    @activity.defn(name=NOTIFY)
    async def notify(self, batch: NoticeBatch) -> list[NoticeResult]:
        """Tell people, once the mail server answers."""
        mine = asyncio.Event()
        self.notices.append(mine)
        await mine.wait()
        return [NoticeResult(order.id, order.name, order.roles, "sent", "email") for order in batch.notices]


async def test_a_worker_that_takes_a_case_over_decides_like_every_replay_after_it(env: WorkflowEnvironment) -> None:
    slow, cases = Slow(), CaseClient(env.client)
    case_id = "complaint:merged-1"
    handle = env.client.get_workflow_handle(case_id)

    def worker(cache: int) -> Worker:
        return Worker(
            env.client,
            task_queue=QUEUE,
            workflows=case_workflows(),
            activities=[slow.begin, slow.record, slow.notify],
            workflow_runner=RUNNER,
            max_cached_workflows=cache,
        )

    async def tasks_done() -> int:
        done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        return sum([event.event_type == done async for event in handle.fetch_history_events()])

    async def notices() -> int:
        return len(slow.notices)

    async with worker(100):
        intake = {"key": "merged-1", "facts": {"category": "delay"}}
        await env.client.start_workflow("Complaint", intake, id=case_id, task_queue=QUEUE)
        await cases.command(case_id, "escalate", {"by": AGENT, "reason": "asked for it"})
        await eventually(notices, lambda n: n == 2)
        # The casebook is away. What comes of two batches of notices arrives, each in a task of its own.
        for notice in slow.notices:
            before = await tasks_done()
            notice.set()
            await eventually(tasks_done, partial(lt, before))
    async with worker(100):
        await cases.command(case_id, "note", {"by": AGENT, "text": "sent to the worker that took over"})
        slow.record_may_end.set()
        await cases.command(case_id, "acknowledge", {"by": SUPERVISOR})
        decided = await cases.timeline(case_id)
    async with worker(0):
        assert await cases.timeline(case_id) == decided
