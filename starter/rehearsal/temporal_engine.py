"""The engine ``temporal``: the cases as real workflows on a Temporal server that skips time.

A fixed offset between the clock of a case and that of its workflow lets the case run on its own dates.
A command is sent shortly before its instant and decided at exactly that instant, so that both engines
return the same events.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.converter import DataConverter
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment
from temporalio.worker import Worker

from cases.case import Case, closed
from cases.registry import kind_of
from cases.vocabulary.contract import TASK_QUEUE, refusal_of
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.refusals import Refused
from starter.embedded.temporal import temporal_binary
from starter.encryption import configured
from starter.rehearsal.engine import Prepared, Step, refused_entry, refused_intake
from workflows import attributes
from workflows.registry import RUNNER, case_workflows

# How long before its instant a command is sent; longer than a slow machine takes to deliver it.
SEND_AHEAD = timedelta(seconds=20)
# How far time is moved beyond an instant, since a timer fires a moment after its deadline.
TIMER_MARGIN = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
# Without these settings the server waits up to a second for each timer that it skips to.
SERVER_SETTINGS = (
    "frontend.WorkflowTimeSkippingEnabled=true",
    'history.timerProcessorMaxTimeShift="1ms"',
    "history.timerProcessorMaxPollRPS=2000",
    "history.timerProcessorMaxPollHostRPS=10000",
)


@contextmanager
def _without_stdout() -> Iterator[None]:
    """Let the processes that are started in the block write nothing to stdout."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@asynccontextmanager
async def time_skipping(
    runtime: Runtime | None = None, converter: DataConverter | None = None
) -> AsyncIterator[WorkflowEnvironment]:
    """Run a Temporal server in memory that skips time, with the search attributes of cases, for the block.

    A workflow that is started through the environment's client has a clock of its own, which
    `WorkflowEnvironment.fast_forward` moves; every other clock is real time. Workers must be stopped before
    the end of the block.

    Args:
        runtime: the SDK's runtime; its default one if None.
        converter: what the client encrypts with; what the environment asks for if None.

    Raises:
        BadPayloadKeys: the environment asks for what cannot be had.
    """
    # The server greets on stdout.
    with _without_stdout():
        env = await WorkflowEnvironment.start_time_skipping_v2(
            dev_server_existing_path=temporal_binary(),
            dev_server_log_level="error",
            dev_server_extra_args=[part for value in SERVER_SETTINGS for part in ("--dynamic-config-value", value)],
            ts_config=TimeSkippingConfig(enabled=False, max_session_skip_count=1_000_000),
            data_converter=converter or await asyncio.to_thread(configured),
            search_attributes=attributes.ALL,
            runtime=runtime,
        )
    try:
        yield env
    finally:
        await env.shutdown()
        # The client's threads must be idle before the interpreter ends (temporalio/sdk-python issue 300).
        await asyncio.sleep(0.25)


class TemporalEngine:
    """Runs cases as real workflows; entering it starts a Temporal server in memory and a worker."""

    parallel = 16

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> TemporalEngine:
        # Without the log of the SDK's core, which goes to stdout, where the events are printed.
        runtime = Runtime(telemetry=TelemetryConfig(logging=None))
        self._env = await self._stack.enter_async_context(time_skipping(runtime))
        worker = Worker(self._env.client, task_queue=TASK_QUEUE, workflows=case_workflows(), workflow_runner=RUNNER)
        await self._stack.enter_async_context(worker)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run_case(self, case: Prepared) -> list[Event]:
        """Run a case (see `Engine.run_case`)."""
        offset = case.received_at - datetime.now(UTC)
        rehearsal = {
            "offset_us": offset // MICROSECOND,
            "policy_document": case.policy.document,
            "notices": case.effects.notices,
            "payout": case.effects.payout,
            "reply": case.effects.reply,
            "earlier_claims": [one.model_dump() for one in case.effects.earlier_claims],
            "serial": case.effects.serial,
            "merge": case.effects.merge,
        }
        handle: WorkflowHandle[Any, Any] = await self._env.client.start_workflow(
            kind_of(case.kind, case.policy).WORKFLOW,
            {**case.intake, "rehearsal": rehearsal},
            id=f"{case.kind}:{case.key}",
            task_queue=TASK_QUEUE,
        )
        run = _Run(self._env, handle, case, offset)
        try:
            return await run.run()
        finally:
            await run.stop()


class _Run:
    """One case that is being run."""

    def __init__(
        self, env: WorkflowEnvironment, handle: WorkflowHandle[Any, Any], case: Prepared, offset: timedelta
    ) -> None:
        self._env, self._handle, self._case, self._offset = env, handle, case, offset
        # The events of a case that has ended; kept because each query of it replays its history.
        self._final: list[Event] | None = None

    async def run(self) -> list[Event]:
        """Send every command, move time to ``until``, and return the events."""
        opened = await self._handle.query("case")
        if opened["status"] == "refused":
            return [refused_intake(self._case, Refused(**opened["refusal"]))]
        refused: list[tuple[int, Event]] = []
        for step in self._case.steps:
            await self._forward_to(step.at - SEND_AHEAD)
            by = Actor(step.by, step.role or await self._holder(step.at), step.person)
            try:
                await self._send(step, by)
            except Refused as refusal:
                entry = refused_entry(step.command, by, refusal, self._case.policy.local(step.at))
                refused.append((len(await self._timeline()), entry))
        end = self._case.steps[-1].at if self._case.steps else self._case.received_at
        if self._case.until is not None:
            end = max(end, self._case.until)
            await self._forward_to(end + TIMER_MARGIN)
            await self._wait_until_handled(end)
        entries = [event for event in await self._timeline() if event.at <= end]
        for position, entry in reversed(refused):
            entries.insert(position, entry)
        return entries

    async def stop(self) -> None:
        """Terminate the workflow if it is still running."""
        try:
            await self._handle.terminate()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _forward_to(self, instant: datetime) -> None:
        if self._final is not None:
            return
        ahead = instant - (await self._env.get_current_time(self._handle) + self._offset)
        if ahead <= timedelta(0):
            return
        try:
            await self._env.fast_forward(self._handle, ahead)
        except RPCError as error:
            # The workflow of a case that has ended has no clock to move.
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise

    async def _wait_until_handled(self, end: datetime) -> None:
        """Wait until the workflow has handled everything that was due by an instant.

        On a busy machine a timer fires noticeably later than the clock says.

        Raises:
            TimeoutError: something is still due after a minute.
        """
        async with asyncio.timeout(60):
            while True:
                due = (await self._replayed()).due()
                if due is None or due > end:
                    return
                await asyncio.sleep(0.05)

    async def _holder(self, at: datetime) -> str:
        """Return the rung that holds the case just before an instant."""
        case = await self._replayed()
        case.elapse(at, inclusive=False)
        return case.ladder.rung

    async def _replayed(self) -> Case:
        """Replay the case from its events so far."""
        return kind_of(self._case.kind, self._case.policy).replay(self._case.policy, await self._timeline())

    async def _send(self, step: Step, by: Actor) -> None:
        if self._final is not None:
            raise closed()
        body = {**step.fields, "by": by.as_json(), "at": step.at.isoformat()}
        try:
            await self._handle.execute_update(step.command, body)
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if (refusal := refusal_of(cause)) is not None:
                raise refusal from None
            raise
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            self._final = await self._timeline()
            raise closed() from None

    async def _timeline(self) -> list[Event]:
        if self._final is not None:
            return self._final
        return [Event.from_json(event) for event in await self._handle.query("timeline")]
