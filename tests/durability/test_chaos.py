"""kill -9 of the worker, of the Temporal server and of PostgreSQL while 200 complaints run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from starter.client import CaseClient
from tests.durability.chaos import Script, check, live_through, runs_of
from tests.durability.support import AGENT, MANAGER, SUPERVISOR, TOP, Act, policy_text, running

pytestmark = [pytest.mark.long, pytest.mark.alone]

CASES = 200
# The limits of clocks under each policy.
POLICIES = {
    "climbs": {"complaint.clocks.rung": "PT2S", "ladder.reminders": "PT1H"},
    "acted": {},
    "missed": {"complaint.clocks.interim_reply": "PT3S", "ladder.reminders": "PT1H"},
}


def complaint(policy: str, *acts: Act, source: str = "customer") -> Script:
    """A complaint; closing it ends the report's clock, met or not, so nobody does before the report is out."""
    facts = {"category": "delay", "source": source, "customer": {"phone": "13800000000"}}
    return Script("complaint", lambda _: facts, acts, policy)


SCRIPTS = (
    # Nobody reacts until it has reached the top and was reminded there once; again only in an hour.
    complaint(
        "climbs",
        Act("acknowledge", TOP, after=timedelta(seconds=9)),
        Act("resolve", TOP, {"summary": "settled"}),
        Act("close", TOP, until="report_sent"),
    ),
    # Acted on at once, within clocks of minutes and hours.
    complaint(
        "acted",
        Act("acknowledge", AGENT, signal=True),
        Act("log_contact", AGENT, {"reached": False, "reason": "no answer"}),
        Act("log_contact", AGENT, {"reached": True}),
        Act("reply", AGENT, {"stage": "answer"}),
        Act("resolve", AGENT),
        Act("close", AGENT, until="report_sent"),
        source="platform",
    ),
    # The interim reply is missed, so the supervisor holds it; then it climbs by hand.
    complaint(
        "missed",
        Act("acknowledge", SUPERVISOR, after=timedelta(seconds=4)),
        Act("request_approval", SUPERVISOR, {"subject": "refund", "amount": "300.00"}),
        Act("approve", MANAGER, {"subject": "refund"}),
        Act("escalate", SUPERVISOR, {"reason": "asked for it"}, signal=True),
        Act("resolve", MANAGER),
        Act("close", MANAGER, until="report_sent"),
    ),
)


# Most of it is waiting for task timeouts of the dead; a busy machine takes its time over the rest.
@pytest.mark.timeout(300)
async def test_kills_change_nothing(tmp_path: Path) -> None:
    runs = runs_of(SCRIPTS, CASES)
    policies = {name: policy_text(name, limits) for name, limits in POLICIES.items()}
    async with running(tmp_path, policies) as (stack, worker, client, database_url):
        await live_through(stack, worker, client, database_url, runs)
        await check(runs, CaseClient(client), database_url, tmp_path)
