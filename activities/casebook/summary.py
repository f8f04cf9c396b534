"""The facts of a month-end summary: the activity ``gather_month`` (S3-4.3.1.10)."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.casebook.read import Casebook
from activities.database.database import Database, statement
from activities.messages import GATHER_MONTH, SummaryContent, SummaryOrder
from activities.policies.store import Policies
from activities.refusals import failure
from cases.kinds.exception_report import ExceptionReport
from cases.kinds.summary import Summary, check_ended, month_before
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import BRIEF, MOST_LISTED

# The kind that is filed, and the kind that it sums up.
SUMMARY, SUMMED_UP = Summary.KIND, ExceptionReport.KIND


class Summaries:
    """Reads months from the casebook, by the zone of a policy."""

    _REPORTS = statement(__package__, "summary_reports")

    def __init__(self, database: Database, policies: Policies) -> None:
        self._database, self._policies = database, policies

    @activity.defn(name=GATHER_MONTH)
    async def gather_month(self, order: SummaryOrder) -> SummaryContent:
        """Return the facts of a month's summary, unless the casebook has the summary.

        `MOST_LISTED` exceptions at most are listed, the late ones before the others; the counts are of all.

        Raises:
            ApplicationError: type ``Refused``, not retried: the month has not ended, or nobody knows the policy.
            DatabaseAway: see `Database.connection`.
        """
        try:
            now = self._policies.load(order.policy).local(datetime.fromisoformat(order.at))
            month = order.month or month_before(now)
            check_ended(month, now)
        except Refused as refusal:
            raise failure(refusal) from None
        # The casebook knows a summary longer than Temporal does.
        if await Casebook(self._database).case(f"{SUMMARY}:{month}") is not None:
            return SummaryContent(month, filed=True)
        return SummaryContent(month, filed=False, facts=_facts(month, await self._reports(month)))

    async def _reports(self, month: str) -> list[dict[str, Any]]:
        """Return the reports whose numbers name a month (``2026-03``), by number, withdrawn ones too.

        Each has ``number``, ``late``, ``category`` (``unstated`` without one), ``unit``, ``cause`` and
        ``measure``, the last of which are None until they are known.
        """
        async with self._database.connection() as connection:
            return [dict(row) for row in await connection.fetch(self._REPORTS, month, SUMMED_UP)]


def _facts(month: str, reports: list[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(report["category"] for report in reports)
    listed = sorted(reports, key=lambda report: not report["late"])[:MOST_LISTED]
    return {
        "month": month,
        "total": len(reports),
        "counts": dict(sorted(counts.items())),
        "exceptions": [
            {name: _brief(value) for name, value in report.items() if value is not None} for report in listed
        ],
    }


def _brief(value: Any) -> Any:
    """Return a text as short as a summary takes it."""
    return f"{value[: BRIEF - 1]}…" if isinstance(value, str) and len(value) > BRIEF else value
