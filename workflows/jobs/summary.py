"""The workflow ``MonthEnd``: gathers a month and files its summary."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from activities.messages import GATHER_MONTH, SummaryContent, SummaryOrder
    from cases.kinds.summary import SummaryIntake
    from cases.vocabulary.facts import read_intake
    from cases.vocabulary.refusals import invalid
    from cases.vocabulary.values import Model, Month, Token
    from workflows.effects import BACK_OFF
    from workflows.shell import fail

# When a schedule meant to start what it starts; the start itself may be late.
SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


class Asked(Model):
    """Which month is summarized, by which policy; without a month the one that ended last."""

    month: Month | None = None
    policy: Token = "default"


@workflow.defn(name="MonthEnd")
class MonthEnd:
    """Files the summary of a month, unless it was: what the schedule starts, and ``caseladder summary``.

    A month is gathered here and not by its case, since a schedule starts workflows under ids of its own.
    """

    @workflow.run
    async def run(self, raw: Any = None) -> dict[str, Any]:
        """Gather the month, start its case, and answer with the case's id and whether it is new.

        Fails with ``Refused``: a month that has not ended, a wrong input, an unknown policy.
        """
        try:
            asked = Asked.model_validate({} if raw is None else raw)
        except ValidationError as error:
            fail(invalid(error, "month_end"))
        info = workflow.info()
        at = info.typed_search_attributes.get(SCHEDULED) or info.start_time
        # Patiently: a casebook that is away over the first of a month must not cost a summary.
        gathered: SummaryContent = await workflow.execute_activity(
            GATHER_MONTH,
            SummaryOrder(at.isoformat(), asked.policy, asked.month),
            result_type=SummaryContent,
            start_to_close_timeout=timedelta(minutes=1),
            retry_policy=BACK_OFF,
        )
        case_id = f"summary:{gathered.month}"
        return {"id": case_id, "new": not gathered.filed and await self._file(case_id, gathered, asked.policy)}

    async def _file(self, case_id: str, gathered: SummaryContent, policy: str) -> bool:
        """Start the case, which lives on by itself; whether nobody had."""
        content = {"key": gathered.month, "policy": policy, "facts": gathered.facts}
        try:
            await workflow.start_child_workflow(
                "MonthlySummary",
                content,
                id=case_id,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                memo={"digest": read_intake(SummaryIntake, content).digest()},
            )
        except WorkflowAlreadyStartedError:
            return False
        return True
