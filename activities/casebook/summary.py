"""The exceptions of a month for its summary: the activity ``gather_month`` (S3-4.3.1.10)."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.casebook.book import Casebook
from activities.messages import GATHER, Month, MonthOrder
from activities.policies.store import Policies
from activities.refusals import failure
from cases.kinds.summary import check_ended, month_before
from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import BRIEF, MOST_LISTED


class MonthBook:
    """Reads months from the casebook, by the zone of a policy."""

    def __init__(self, book: Casebook, policies: Policies) -> None:
        self._book, self._policies = book, policies

    @activity.defn(name=GATHER)
    async def gather_month(self, order: MonthOrder) -> Month:
        """The facts of a month's summary, unless the casebook has the summary.

        `MOST_LISTED` exceptions at most are listed, the late ones before the others; the counts are of all.

        Raises:
            ApplicationError: type ``Refused``, not retried: the month has not ended, or nobody knows the policy.
            DatabaseAway: see `Casebook`.
        """
        try:
            now = self._policies.load(order.policy).local(datetime.fromisoformat(order.at))
            month = order.month or month_before(now)
            check_ended(month, now)
        except Refused as refusal:
            raise failure(refusal) from None
        # The casebook knows a summary longer than Temporal does.
        if await self._book.case(f"summary:{month}") is not None:
            return Month(month, filed=True)
        found = await self._book.exceptions(month)
        counts = Counter(one["category"] for one in found)
        first = sorted(found, key=lambda one: not one["late"])[:MOST_LISTED]
        facts = {
            "month": month,
            "total": len(found),
            "counts": dict(sorted(counts.items())),
            "exceptions": [{name: _brief(value) for name, value in one.items() if value is not None} for one in first],
        }
        return Month(month, filed=False, facts=facts)


def _brief(value: Any) -> Any:
    """A text as short as a summary takes it."""
    return f"{value[: BRIEF - 1]}…" if isinstance(value, str) and len(value) > BRIEF else value
