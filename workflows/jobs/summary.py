"""The workflow ``MonthEnd``: gathers a month and files its summary."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from activities.messages import GATHER_MONTH, SummaryContent, SummaryOrder
    from cases.vocabulary.refusals import Refused, invalid
    from cases.vocabulary.values import Model, Month, Token

from workflows.filing import file_case
from workflows.recording import BACK_OFF
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
        return {"id": case_id, "new": not gathered.filed and await self._file(gathered, asked.policy)}

    async def _file(self, gathered: SummaryContent, policy: str) -> bool:
        """File the case, which lives on by itself; whether nobody had."""
        content = {"key": gathered.month, "policy": policy, "facts": gathered.facts}
        try:
            return (await file_case("summary", content)).new
        except Refused as refusal:
            if refusal.code != "conflict":
                fail(refusal)
            # It was filed by the month as it was known then.
            return False
