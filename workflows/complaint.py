"""The workflow ``Complaint``."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from cases.kinds.complaint import Complaint as ComplaintCase
    from workflows.shell import NO_INPUT, Shell


@workflow.defn(name=ComplaintCase.WORKFLOW)
class Complaint(Shell):
    """A durable complaint; its input is one intake as JSON."""

    CASE = ComplaintCase

    @workflow.run
    async def run(self, raw: RawValue = NO_INPUT) -> dict[str, Any]:
        """Run the case to its end and answer with its last view."""
        return await self.run_case()
