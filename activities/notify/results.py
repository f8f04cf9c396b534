"""What the activity answers: one result per notice, or that something is delayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import structlog
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.messages import NoticeOrder, NoticeResult
from activities.notify.attempt import Attempt
from activities.notify.recipients import Delivery

# The type of the retryable failure. Its first detail is a list of `NoticeResult` as JSON objects:
# what came of each notice so far, for whoever gives up.
DELAYED = "NoticeDelayed"
# The server keeps no longer details of a failure than this, in bytes, and then none at all.
MOST_DETAILS = 3000

log = structlog.get_logger(__name__)


def report(deliveries: Sequence[Delivery], attempt: Attempt) -> list[NoticeResult]:
    """Return what came of each notice of the batch, in order.

    Raises:
        ApplicationError: type ``NoticeDelayed``, retryable: something could not be delivered now, and there
            will be another attempt.
    """
    results = [
        _result(order, [delivery for delivery in deliveries if delivery.order is order], attempt)
        for order in attempt.batch.notices
    ]
    late = [delivery for delivery in deliveries if not attempt.progress.is_final(delivery)]
    if not late:
        return results
    outcomes = attempt.progress.outcomes
    why = sorted({f"{role} ({outcomes[delivery.key]['reason']})" for delivery in late for role in delivery.roles})
    message = f"{len(late)} of {len(deliveries)} deliveries delayed: {', '.join(why)}"
    if attempt.clock.over(attempt.pause()):
        # The last attempt there is; what it returns is kept, of a failure only the first bytes.
        log.warning("notice_given_up", reason=message)
        return results
    details = [asdict(result) for result in results]
    if len(str(details)) > MOST_DETAILS:
        details = [asdict(replace(result, meant=[], attempts=[])) for result in results]
    # Expected and logged already: the SDK need not log it with a stack trace each time.
    raise ApplicationError(
        message, details, type=DELAYED, next_retry_delay=attempt.pause(), category=ApplicationErrorCategory.BENIGN
    )


def _result(order: NoticeOrder, deliveries: Sequence[Delivery], attempt: Attempt) -> NoticeResult:
    progress = attempt.progress
    arrived = [delivery for delivery in deliveries if progress.outcomes[delivery.key]["reason"] == ""]
    return NoticeResult(
        id=order.id,
        name=order.name,
        roles=order.roles,
        outcome=_outcome(order, deliveries, arrived),
        channel=", ".join(dict.fromkeys(progress.outcomes[delivery.key]["channel"] for delivery in arrived)),
        at=max(
            (progress.outcomes[delivery.key]["at"] for delivery in arrived or deliveries),
            default=attempt.clock.stamp(),
        ),
        reasons=_reasons(order, deliveries, attempt),
        meant=progress.meant.get(order.id, []),
        attempts=[_compact(entry) for entry in progress.attempts.get(order.id, [])],
        remarks=progress.remarks.get(order.id, []),
    )


def _outcome(order: NoticeOrder, deliveries: Sequence[Delivery], arrived: Sequence[Delivery]) -> str:
    if not deliveries:
        return "no_address"
    if not arrived:
        return "failed"
    reached = {role for delivery in arrived for role in delivery.roles}
    return "sent" if reached.issuperset(order.roles) else "partly"


def _reasons(order: NoticeOrder, deliveries: Sequence[Delivery], attempt: Attempt) -> dict[str, str]:
    """Return for each role that was not wholly reached why not."""
    reasons: dict[str, str] = {}
    for role in order.roles:
        of_role = [delivery for delivery in deliveries if role in delivery.roles]
        failed = [attempt.progress.outcomes[delivery.key]["reason"] for delivery in of_role]
        if not of_role:
            reasons[role] = "no address"
        elif any(failed):
            reasons[role] = "; ".join(dict.fromkeys(filter(None, failed)))
    return reasons


def _compact(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an attempt as it goes on record: most are one success, and say no more than that."""
    left_out = {"last", "count"} if entry["count"] == 1 else set()
    return {name: value for name, value in entry.items() if name not in left_out and value != ""}
