"""The commands ``summary MONTH`` and ``summary schedule``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cyclopts import App

from starter.cli import output
from starter.cli.cases import RETRY_HINT, show
from starter.cli.errors import OK, BadInput
from starter.cli.options import REQUEST, STACK, RequestOptions, StackOptions

if TYPE_CHECKING:
    from cases.policy.model import Policy

app = App(name="summary", help="The month-end corrective summary: file one, or have every month filed.")


@app.default
async def file(month: str, /, *, policy: str = "default", options: RequestOptions = REQUEST) -> int:
    """File the summary of a month that has ended and print it; one that was filed is only printed.

    It gathers the month's exception reports from the casebook, with causes and measures.

    Args:
        month: like 2026-03.
        policy: the name of the policy that the case is pinned to.
    """
    from pydantic import TypeAdapter, ValidationError

    from cases.kinds.summary import check_ended
    from cases.vocabulary.values import Month

    try:
        TypeAdapter(Month).validate_python(month)
    except ValidationError:
        raise BadInput(f"MONTH = {month!r}: give a year and a month, like 2026-03") from None
    # Checked before connecting to anything.
    check_ended(month, _policy(policy, options).local(datetime.now(UTC)))

    from starter.connection import connect
    from starter.summary import file_month

    client = await connect(options.settings().data)
    async with options.answer_within_timeout(RETRY_HINT):
        case_id = await file_month(client, month, policy)
    return await show(case_id, options=options)


@app.command
async def schedule(*, policy: str = "default", options: StackOptions = STACK) -> int:
    """Have every month filed on the first day of the next at 09:00, in the policy's zone.

    Creates the Temporal schedule or brings it up to date, so it may be run at every deployment.

    Args:
        policy: the name of the policy that the cases are pinned to.
    """
    zone = _policy(policy, options).zone

    from starter.connection import connect
    from starter.summary import ensure_schedule

    handle, new = await ensure_schedule(await connect(options.settings().data), zone, policy)
    times = (await handle.describe()).info.next_action_times
    next_at = times[0].isoformat() if times else None
    if options.json:
        output.print_json({"schedule": handle.id, "new": new, "zone": zone, "policy": policy, "next": next_at})
    else:
        what = "created" if new else "up to date"
        output.line(f"schedule {handle.id}: {what}, next {output.instant(next_at) or 'never'} ({zone} 09:00)")
    return OK


def _policy(name: str, options: StackOptions) -> Policy:
    from activities.policies.store import Policies

    return Policies(options.settings().policies).load(name)
