"""Makes the histories that `test_replay` replays: ``python -m tests.workflows.make_histories [NAME...]``.

Make one again only when nobody runs cases of before the change any more; else the change needs
``workflow.patched``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError

from activities.database import migrate
from tests.postgres import Cluster, cluster
from tests.temporal import time_skipping
from tests.workflows.office import Handle, Office, open_office
from workflows.types import WORKFLOW_TYPES

FOLDER = Path(__file__).parents[1] / "histories"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

Life = Callable[[Office, Cluster], Awaitable[Handle]]


async def happy(office: Office, _: Cluster) -> Handle:
    """Every step of an ordinary complaint of a platform, who hears of each."""
    case = await office.file(facts={"category": "delay", "source": "platform", "unit": "north"})
    await office.do(case, "acknowledge", request_id="r-1")
    await office.do(case, "reply", stage="interim")
    await office.do(case, "investigate", finding="sorted wrongly", justified=True)
    await office.do(case, "reply", stage="answer", text="on its way")
    await office.do(case, "resolve", summary="delivered")
    await office.do(case, "follow_up", satisfied=True)
    await office.do(case, "close")
    await case.result()
    return case


async def ladder(office: Office, _: Cluster) -> Handle:
    """Nobody takes it up, the top is reminded, every clock breaks."""
    case = await office.file()
    await office.wait(case, 10 * HOUR)
    await office.do(case, "acknowledge", "general_manager")
    await office.wait(case, timedelta(days=9))
    return case


async def paused(office: Office, _: Cluster) -> Handle:
    """The customer cannot be reached, and a difficult case gets more time; a promise is broken."""
    case = await office.file()
    await office.do(case, "acknowledge")
    await office.do(case, "log_contact", reached=False, reason="phone off")
    await office.wait(case, 3 * HOUR)
    await office.do(case, "log_contact", reached=True)
    now = await office.env.get_current_time(case)
    await office.do(case, "promise", reply_by=(now + HOUR).isoformat())
    await office.do(case, "extend", "supervisor", clock="resolution", due=(now + 90 * HOUR).isoformat(), reason="x")
    await office.wait(case, 40 * HOUR)
    await office.do(case, "assign", "general_manager", to={"id": "agent-2", "role": "agent"})
    await office.do(case, "resolve")
    return case


async def options(office: Office, _: Cluster) -> Handle:
    """Solutions are offered one at a time, the last is taken, the follow-up closes."""
    case = await office.file()
    await office.do(case, "propose", options=["resend", "refund"])
    await office.do(case, "answer_option", accepted=False)
    await office.do(case, "answer_option", "customer", accepted=True)
    await office.do(case, "resolve")
    await office.do(case, "follow_up", satisfied=True)
    await office.wait(case, timedelta(days=9))
    await case.result()
    return case


async def approvals(office: Office, _: Cluster) -> Handle:
    """Asked for by command, decided by signal, climbing while nobody decides; signals refused."""
    case = await office.file()
    supervisor = {"id": "supervisor-1", "role": "supervisor"}
    await office.do(case, "acknowledge")
    await office.do(case, "request_approval", subject="refund", amount="150.00", reason="late")
    await office.do(case, "request_approval", subject="discount", amount="1500.00")
    await case.signal("approve", {"by": supervisor, "subject": "refund"})
    await case.signal("reject", {"by": supervisor})
    await case.signal("escalate", {"by": supervisor, "reason": "angry"})
    await office.wait(case, 2 * HOUR)
    await case.signal("acknowledge", {"by": supervisor})
    await office.do(case, "note", text="end")
    return case


async def withdrawn(office: Office, _: Cluster) -> Handle:
    """The customer takes it back."""
    case = await office.file(facts={"category": "attitude", "severity": "critical"})
    await office.do(case, "withdraw", "customer", reason="found")
    await case.result()
    return case


async def reopened(office: Office, _: Cluster) -> Handle:
    """Resolved, taken up again, resolved, closed by itself."""
    case = await office.file()
    await office.do(case, "resolve")
    await office.do(case, "follow_up", satisfied=False)
    await office.wait(case, HOUR)
    await office.do(case, "reopen", "customer", reason="broken again")
    await office.wait(case, 7 * MINUTE)
    await office.do(case, "resolve", "supervisor")
    await office.wait(case, timedelta(days=9))
    await case.result()
    return case


async def late(office: Office, _: Cluster) -> Handle:
    """Filed when most of it had already happened."""
    case = await office.file(received_at=(datetime.now(UTC) - 50 * HOUR).isoformat())
    await office.recorded(case)
    return case


async def continued(office: Office, _: Cluster) -> Handle:
    """The first run of a case that continues as new."""
    last = await continues(office, _)
    assert last.first_execution_run_id is not None
    return office.env.client.get_workflow_handle(last.id, run_id=last.first_execution_run_id)


async def continues(office: Office, _: Cluster) -> Handle:
    """The last run of a case that has continued as new."""
    case = await office.rehearse(continue_after=40)
    for number in range(16):
        await office.do(case, "note", text=f"note {number}", request_id=f"r-{number}")
    await office.do(case, "resolve")
    assert (await case.describe()).run_id != case.first_execution_run_id
    await office.do(case, "note", text="note 0", request_id="r-0")
    await office.wait(case, timedelta(days=4))
    return case


async def refused(office: Office, _: Cluster) -> Handle:
    """A policy that does not exist."""
    case = await office.start(
        "Complaint", {"key": "refused", "policy": "nope", "facts": {"category": "delay"}}, id="complaint:refused"
    )
    return await failed(case)


async def away(office: Office, casebook: Cluster) -> Handle:
    """The casebook is away while the case climbs, then back."""
    case = await office.file()
    casebook.stop("immediate")
    await office.wait(case, 6 * MINUTE)
    await office.do(case, "acknowledge", "supervisor")
    casebook.start()
    await office.wait(case, MINUTE)
    await office.recorded(case)
    await office.do(case, "resolve", "supervisor")
    return case


async def answered(office: Office, _: Cluster) -> Handle:
    """An inquiry that is answered in time."""
    case = await office.file("inquiry", inquiry())
    await office.do(case, "reply", stage="answer", text="it arrives tomorrow")
    await office.wait(case, timedelta(days=3))
    await case.result()
    return case


async def breached(office: Office, _: Cluster) -> Handle:
    """An inquiry that nobody answers."""
    case = await office.file("inquiry", inquiry())
    await office.wait(case, HOUR)
    return case


async def expired(office: Office, _: Cluster) -> Handle:
    """An inquiry about a parcel of long ago."""
    case = await office.start("Inquiry", {"key": "expired", "facts": inquiry("2020-01-01")}, id="inquiry:expired")
    return await failed(case)


def inquiry(posted: str = "") -> dict[str, Any]:
    """The facts of an inquiry about a parcel of today or of another day."""
    return {"shipment": {"waybill": "W1", "posted_on": posted or datetime.now(UTC).date().isoformat()}}


async def failed(case: Handle) -> Handle:
    """The case, once it has been refused."""
    try:
        await case.result()
    except WorkflowFailureError:
        return case
    raise AssertionError("the case was not refused")


LIVES: dict[str, dict[str, Life]] = {
    "complaint": {
        life.__name__: life
        for life in (
            happy, ladder, paused, options, approvals, withdrawn, reopened, late, continued, continues, refused, away,
        )
    },
    "inquiry": {life.__name__: life for life in (answered, breached, expired)},
}  # fmt: skip


def names() -> list[str]:
    """The names of all histories: workflow type and life."""
    return [f"{WORKFLOW_TYPES[kind]}-{name}" for kind, lives in LIVES.items() for name in lives]


def without_traces(value: Any) -> Any:
    """The JSON of a history without what tells of the machine that made it."""
    if isinstance(value, list):
        return [without_traces(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
        value = {**value, "name": "worker"}
    masks = {"identity": "worker", "stackTrace": "", "buildId": "build"}
    return {key: masks[key] if key in masks else without_traces(item) for key, item in value.items()}


async def main(wanted: list[str]) -> None:
    """Make the histories named, or all."""
    FOLDER.mkdir(exist_ok=True)
    with cluster() as casebook, tempfile.TemporaryDirectory() as folder:
        address = await casebook.fresh_database()
        await migrate(address)
        async with time_skipping() as env, open_office(env, address, Path(folder)) as office:
            for kind, lives in LIVES.items():
                for life, live in lives.items():
                    name = f"{WORKFLOW_TYPES[kind]}-{life}"
                    if wanted and name not in wanted:
                        continue
                    history = await (await live(office, casebook)).fetch_history()
                    content = without_traces(json.loads(history.to_json()))
                    file = FOLDER / f"{name}.json"
                    file.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
                    print(f"{name}: {len(history.events)} events, {file.stat().st_size} bytes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
