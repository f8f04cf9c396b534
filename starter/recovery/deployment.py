"""A new build beside the old one (Worker Versioning): new cases go to it, running ones are brought over one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode

from cases.registry import case_types
from cases.vocabulary.contract import OPENED
from workflows.registry import SHIFT_END, SUBSCRIPTION

# Seconds that a new build has to begin polling, and that a run has to move.
POLLING, MOVING = 60, 20
# Few at a time, so that each is away for a moment only.
AT_A_TIME = 4
# How a run that does not move in time says so; the SDK turns the time-out into an error of its own.
_NOT_NOW = (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, RPCError, WorkflowUpdateFailedError)
# The signals at which the other workflows look again, and so move.
_WAKE = {SUBSCRIPTION: "wake", SHIFT_END: "roster_changed"}


class NotPolling(Exception):
    """Raised when no worker of the build polls; the message says what to do."""


@dataclass(frozen=True)
class Moved:
    """A workflow that was brought over: how many seconds it took; or why it stayed where it was."""

    id: str
    seconds: float
    why_not: str = ""


def version_of(text: str) -> WorkerDeploymentVersion:
    """Read ``NAME/BUILD``, as CASELADDER_DEPLOYMENT gives it."""
    name, _, build = text.partition("/")
    return WorkerDeploymentVersion(name, build)


def label(version: WorkerDeploymentVersion) -> str:
    """Return a version as the engine lists it."""
    return f"{version.deployment_name}:{version.build_id}"


async def make_current(client: Client, version: WorkerDeploymentVersion) -> None:
    """Let new cases go to a build, as soon as a worker of it polls.

    Raises:
        NotPolling: none does within a minute.
    """
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=version.deployment_name, build_id=version.build_id
    )
    until = time.monotonic() + POLLING
    while True:
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
            return
        except RPCError as error:
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise
            if time.monotonic() > until:
                raise NotPolling(
                    f"no worker of {label(version)} polls: start one with CASELADDER_DEPLOYMENT set"
                ) from None
        await asyncio.sleep(0.5)


async def bring_over(client: Client, version: WorkerDeploymentVersion) -> AsyncIterator[Moved]:
    """Have every running workflow of other builds continue on the current one, several at a time."""
    query = (
        f"ExecutionStatus = 'Running' AND TemporalWorkerDeployment = '{version.deployment_name}' "
        f"AND TemporalWorkerDeploymentVersion != '{label(version)}'"
    )
    slots = asyncio.Semaphore(AT_A_TIME)

    async def move(found: WorkflowExecution) -> Moved:
        async with slots:
            return await _move(client, found, version)

    moves = [asyncio.create_task(move(found)) async for found in client.list_workflows(query)]
    for moved in asyncio.as_completed(moves):
        yield await moved


async def _move(client: Client, found: WorkflowExecution, version: WorkerDeploymentVersion) -> Moved:
    begun = time.monotonic()
    handle = client.get_workflow_handle(found.id)
    try:
        async with asyncio.timeout(MOVING):
            while await build_of(client, found.id) != label(version):
                if found.workflow_type in _WAKE:
                    await handle.signal(_WAKE[found.workflow_type])
                elif found.workflow_type in {kind.WORKFLOW for kind in case_types()}:
                    await handle.execute_update(OPENED)
                else:
                    # A job keeps to its build, which must be there until it has ended.
                    with suppress(WorkflowFailureError):
                        await handle.result()
                    break
                await asyncio.sleep(0.05)
    except _NOT_NOW as error:
        if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
            # It has ended meanwhile.
            return Moved(found.id, time.monotonic() - begun)
        return Moved(found.id, time.monotonic() - begun, f"it stays with its build: {type(error).__name__}")
    return Moved(found.id, time.monotonic() - begun)


async def build_of(client: Client, id: str) -> str | None:
    """Return the build that the last run of a workflow is with; None before its first task."""
    description = await client.get_workflow_handle(id).describe()
    info = description.raw_description.workflow_execution_info.versioning_info
    if not info.HasField("deployment_version"):
        return None
    return label(WorkerDeploymentVersion(info.deployment_version.deployment_name, info.deployment_version.build_id))
