"""What a worker registers."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.claim import Claim
from workflows.complaint import Complaint
from workflows.exception_report import ExceptionReport
from workflows.inquiry import Inquiry
from workflows.jobs.handover import Handover, ShiftEnd
from workflows.jobs.subscription import EVENTS_QUEUE as EVENTS_QUEUE
from workflows.jobs.subscription import Subscription
from workflows.jobs.summary import MonthEnd, MonthlySummary
from workflows.shell import Shell
from workflows.shift_swap import ShiftSwap

# asyncpg does not survive being imported a second time by the sandbox.
RUNNER = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("asyncpg"))
WORKFLOWS: tuple[type[Shell], ...] = (Complaint, Claim, ExceptionReport, Inquiry, MonthlySummary, Handover, ShiftSwap)
# What runs beside the cases.
JOBS: tuple[type, ...] = (MonthEnd, ShiftEnd, Subscription)
MONTH_END = MonthEnd.__name__
SHIFT_END = ShiftEnd.__name__
SUBSCRIPTION = Subscription.__name__
