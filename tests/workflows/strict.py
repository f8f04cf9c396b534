"""The sandbox with all its checks: it imports the modules of workflows again for each run."""

from __future__ import annotations

from temporalio.client import WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.registry import JOBS

STRICT = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("asyncpg", "activities", "cases")
)


async def replays(job: WorkflowHandle[object, object]) -> None:
    """Replay a job's history.

    Raises:
        NondeterminismError: the workflow would do something else.
        RestrictedWorkflowAccessError: it does what workflow code must not do.
    """
    replayer = Replayer(workflows=JOBS, workflow_runner=STRICT, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(await job.fetch_history())
