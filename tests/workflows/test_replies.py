"""A reply by mail goes out beside the case's clock, and what came of it returns to the case."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from cases.mechanisms.replies import TRIED_FOR
from tests.notifications import MailServer, free_port
from tests.postgres import Cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import Backend, Handle, is_about, open_backend

CUSTOMER = {"name": "Wang Xiaoming", "phone": "13800000000", "email": "wang@example.org"}
LATE = {"category": "delay", "unit": "east", "customer": CUSTOMER}
REPLY = {"stage": "interim", "via": "mail", "text": "We are looking for it."}


async def came_of_it(backend: Backend, case: Handle) -> dict[str, Any]:
    """Wait for what came of the one reply."""
    [event] = await eventually(lambda: backend.timeline(case, "replied", "reply_failed"), bool)
    return event


async def test_it_goes_out_and_counts_then(backend: Backend) -> None:
    case = await backend.file(facts=LATE)
    await backend.do(case, "reply", **REPLY)
    replied = await came_of_it(backend, case)
    assert (replied["type"], replied["data"]["via"], replied["actor"]["id"]) == ("replied", "mail", "caseladder")
    [met] = [one for one in await backend.timeline(case, "clock_met") if one["data"]["clock"] == "interim_reply"]
    assert met["at"] == replied["at"]
    sent = [one for one in backend.mails() if one["To"] == CUSTOMER["email"] and is_about(one, case.id)]
    assert ["We are looking for it." in mail.get_content() for mail in sent] == [True]
    # Nothing of the customer, and only a commitment to the text, is in the record.
    recorded = await backend.recorded(case)
    assert not any(part in str(recorded) for part in ("Wang", "1380", "wang@"))
    history = await case.fetch_history()
    orders = [one.activity_task_scheduled_event_attributes for one in history.events]
    [order] = [one for one in orders if one.activity_type.name == "send_reply"]
    assert b"wang" not in order.input.payloads[0].data
    assert order.schedule_to_close_timeout.ToTimedelta() == TRIED_FOR


async def test_without_an_address_the_holder_hears_of_it(backend: Backend) -> None:
    case = await backend.file(facts={**LATE, "customer": {"phone": "13800000000"}})
    await backend.do(case, "acknowledge")
    await backend.do(case, "reply", **REPLY)
    failed = await came_of_it(backend, case)
    assert (failed["type"], failed["data"]["reason"]) == ("reply_failed", "no_address")
    told = await eventually(
        lambda: backend.timeline(case, "notified"),
        lambda seen: any(one["data"]["notice"] == "reply_failed" for one in seen),
    )
    [notice] = [one["data"] for one in told if one["data"]["notice"] == "reply_failed"]
    assert (notice["roles"], notice["outcome"], notice["of"]) == (["agent"], "sent", failed["seq"])


async def test_a_server_that_is_away_blocks_nothing_for_long(
    postgres: Cluster, casebook_template: str, tmp_path: Path
) -> None:
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    server = MailServer()
    server.port = free_port()
    async with (
        time_skipping() as env,
        open_backend(env, database, tmp_path, smtp=f"smtp://127.0.0.1:{server.port}") as backend,
    ):
        await backend.client.file("complaint", {"key": "R-1", "facts": LATE})
        case = backend.handle("complaint:R-1")
        await backend.do(case, "reply", **REPLY)
        await backend.wait(case, TRIED_FOR + timedelta(minutes=1))
        failed = await came_of_it(backend, case)
        assert failed["data"]["reason"] == "unavailable"
        clocks = {one["clock"]: one["state"] for one in (await case.query("case"))["clocks"]}
        assert clocks["interim_reply"] == "breached"
        async with server.up():
            await backend.do(case, "reply", **{**REPLY, "stage": "answer"})
            await eventually(lambda: backend.timeline(case, "replied"), bool, seconds=20)
        assert CUSTOMER["email"] in server.recipients
