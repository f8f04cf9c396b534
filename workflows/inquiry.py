"""The workflow ``Inquiry``."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from cases.kinds.inquiry import Inquiry as InquiryCase
    from workflows.shell import NO_INPUT, Shell


@workflow.defn(name=InquiryCase.WORKFLOW)
class Inquiry(Shell):
    """A durable inquiry; its input is one intake as JSON."""

    CASE = InquiryCase

    @workflow.run
    async def run(self, raw: RawValue = NO_INPUT) -> dict[str, Any]:
        """Run the case to its end and answer with its last view."""
        return await self.run_case()
