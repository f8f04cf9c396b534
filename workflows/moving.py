"""Moving to another build: with Worker Versioning a run keeps to its build until it continues as new."""

from __future__ import annotations

from typing import Any, NoReturn

from temporalio import workflow


def moving() -> bool:
    """Whether new runs go to another build by now than this run does."""
    return workflow.info().is_target_worker_deployment_version_changed()


def go_on(*start: Any) -> NoReturn:
    """Continue as new from this input, on the build that new runs go to."""
    behavior = workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE if moving() else None
    workflow.continue_as_new(args=start, initial_versioning_behavior=behavior)
