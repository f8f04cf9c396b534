"""What a worker registers and a client names: a workflow type for each kind of case, and the jobs beside them."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

with workflow.unsafe.imports_passed_through():
    from cases.case import Case
    from cases.registry import case_types

from workflows.jobs.handover import ShiftEnd
from workflows.jobs.subscription import EVENTS_QUEUE as EVENTS_QUEUE
from workflows.jobs.subscription import Subscription
from workflows.jobs.summary import MonthEnd
from workflows.shell import NO_INPUT, Shell

# asyncpg does not survive being imported a second time by the sandbox. To import our own modules again for each run
# would take half of a worker's time and memory; the tests of workflows do, and see what workflow code must not do.
# In an installed package they have a prefix.
_OURS = (f"{str(__package__).removesuffix('workflows')}{room}" for room in ("activities", "cases", "workflows"))
RUNNER = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("asyncpg", *_OURS))


def workflow_of(case: type[Case]) -> type[Shell]:
    """Return the workflow type of a kind of case; its input is one intake as JSON.

    It becomes a name of this module, since the sandbox finds a workflow by module and name.
    """
    made: type[Shell] | None = globals().get(case.WORKFLOW)
    if made is not None:
        return made

    # Of `Shell`; its parameters must be those of `Shell.__init__` to the letter.
    async def run(self, raw: RawValue = NO_INPUT) -> dict[str, Any]:  # type: ignore[no-untyped-def]
        """Run the case to its end and answer with its last view."""
        view: dict[str, Any] = await self.run_case()
        return view

    run.__qualname__ = f"{case.WORKFLOW}.run"
    members = {"CASE": case, "run": workflow.run(run), "__module__": __name__, "__doc__": case.__doc__}
    globals()[case.WORKFLOW] = made = workflow.defn(name=case.WORKFLOW)(type(case.WORKFLOW, (Shell,), members))
    return made


def case_workflows() -> list[type[Shell]]:
    """Return the workflow types of every kind that is declared."""
    return [workflow_of(case) for case in case_types()]


# So that the sandbox finds them in its own copy of this module.
case_workflows()
# What runs beside the cases.
JOBS: tuple[type, ...] = (MonthEnd, ShiftEnd, Subscription)
MONTH_END = MonthEnd.__name__
SHIFT_END = ShiftEnd.__name__
SUBSCRIPTION = Subscription.__name__
