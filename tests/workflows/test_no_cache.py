"""Without a cache every task replays the case from its beginning: nothing may depend on memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from cases.vocabulary.refusals import Refused
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import Backend, open_backend

pytestmark = pytest.mark.long

AGENT = {"id": "agent-1", "role": "agent"}
SUPERVISOR = {"id": "supervisor-1", "role": "supervisor"}
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
async def backend(
    postgres: Cluster, casebook_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Backend]:
    """A backend that remembers nothing between tasks."""
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with (
        time_skipping() as env,
        open_backend(env, database, tmp_path_factory.mktemp("backend"), cache=0) as backend,
    ):
        yield backend


async def test_a_life_with_commands_signals_time_and_requests_sent_again(backend: Backend) -> None:
    case = await backend.file()
    await backend.wait(case, 6 * MINUTE)
    assert (await backend.do(case, "acknowledge", "supervisor", request_id="r-1"))["rung"] == "supervisor"
    await backend.do(case, "request_approval", subject="refund", amount="500.00")
    await case.signal("approve", {"by": SUPERVISOR})
    await case.signal("approve", {"by": SUPERVISOR})
    await backend.do(case, "log_contact", reached=False, reason="phone off")
    await backend.wait(case, 60 * MINUTE)
    await backend.do(case, "log_contact", reached=True)
    await backend.do(case, "acknowledge", "supervisor", request_id="r-1")
    with pytest.raises(Refused) as refused:
        await backend.do(case, "close", request_id="r-2")
    assert refused.value.code == "not_resolved"
    await backend.do(case, "reply", stage="answer")
    await backend.do(case, "resolve", "supervisor")
    await backend.do(case, "close", "supervisor")

    final = await case.result()

    assert (final["status"], final["breached"]) == ("closed", ["rung", "interim_reply"])
    events = await case.query("timeline")
    assert await backend.book.events(case.id) == events
    assert (await backend.book.verify(case.id)).ok
    acts = [event["type"] for event in events if event["actor"]["role"] != "system" or event["type"] == "escalated"]
    assert acts == [
        "escalated", "acknowledged", "approval_requested", "approved", "command_refused",
        "contact_attempted", "clock_paused", "contact_attempted", "clock_resumed", "replied", "resolved", "closed",
    ]  # fmt: skip


async def test_continuing_as_new(backend: Backend) -> None:
    case = await backend.rehearse(continue_after=40)
    await backend.do(case, "note", text="called", request_id="r-1")
    for number in range(12):
        await backend.do(case, "note", text=f"note {number}")
    await backend.wait(case, 15 * MINUTE)

    await backend.do(case, "note", text="called", request_id="r-1")

    assert (await case.describe()).run_id != case.first_execution_run_id
    assert len(await backend.timeline(case, "noted")) == 13
    assert (await case.query("case"))["rung"] == "general_manager"


async def test_a_refused_intake_and_a_signal_that_starts_the_case(backend: Backend) -> None:
    with pytest.raises(Refused):
        await backend.file("complaint", policy="nope")
    signalled = await backend.start(
        "Complaint",
        {"key": "signalled", "facts": {"category": "delay"}},
        id="complaint:signalled",
        start_signal="acknowledge",
        start_signal_args=[{"by": AGENT}],
    )
    await eventually(lambda: backend.timeline(signalled, "acknowledged"), lambda seen: len(seen) == 1)
