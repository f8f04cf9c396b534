"""Makes the histories that `test_replay` replays: ``python -m tests.workflows.make_histories [NAME...]``.

Make one again only when nobody runs cases of before the change any more; else the change needs
``workflow.patched``.
"""

from __future__ import annotations

import asyncio
import calendar
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError

from activities.database.pool import migrate
from cases.kinds import KINDS
from cases.kinds.summary import month_before
from tests.postgres import Cluster, cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.office import DEFAULT, Handle, Json, Office, open_office

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


async def paid(office: Office, _: Cluster) -> Handle:
    """A claim on an insured parcel: offered with an approval by signal, agreed, paid, closed."""
    case = await office.file("claim", claim(insured_amount="500.00"))
    await office.do(case, "acknowledge")
    await office.do(case, "answer_claim", text="within 30 days")
    await office.do(case, "assess", cause="company")
    await office.do(case, "offer")
    await case.signal("approve", {"by": {"id": "supervisor-1", "role": "supervisor"}})
    await seen(office, case, "offered")
    await office.do(case, "decline_offer", "customer", counter="600.00")
    await office.do(case, "dispute", "customer", path="negotiation")
    await office.do(case, "offer")
    await case.signal("approve", {"by": {"id": "supervisor-1", "role": "supervisor"}})
    await seen(office, case, "offered", 2)
    await office.do(case, "accept_offer", "customer")
    await seen(office, case, "paid")
    await office.do(case, "close")
    await case.result()
    return case


async def signed(office: Office, _: Cluster) -> Handle:
    """A claim that nothing is owed for: the parcel was signed for before the damage was seen."""
    signed_at = (datetime.now(UTC) - HOUR).isoformat()
    case = await office.file("claim", claim(signed_at=signed_at, courier_present=False))
    await office.do(case, "acknowledge")
    await office.do(case, "answer_claim", text="within 30 days")
    view = await office.do(case, "assess", cause="company", inspection_offered=True)
    assert view["assessment"]["refused_because"] == "signed_and_left"
    await office.do(case, "dispute", "customer", path="negotiation")
    await office.do(case, "dispute", "customer", path="lawsuit")
    await office.do(case, "resolve", summary="nothing is owed")
    await office.do(case, "close")
    await case.result()
    return case


async def owed(office: Office, casebook: Cluster) -> Handle:
    """An agreed claim whose payout fails while the casebook is away, and is then under way again."""
    case = await office.file("claim", claim())
    await office.do(case, "acknowledge")
    await office.do(case, "assess", cause="company")
    await office.do(case, "offer")
    await office.recorded(case)
    casebook.stop("immediate")
    await office.do(case, "accept_offer", "customer")
    await office.wait(case, 31 * MINUTE)
    await seen(office, case, "payout_failed")
    await office.wait(case, HOUR)
    await seen(office, case, "payout_requested", 2)
    return case


async def called(office: Office, _: Cluster) -> Handle:
    """An exception outside working hours: those responsible are called, the mail follows."""
    case = await exception(office, "night", "customer_complaint")
    await office.do(case, "confirm_phone_notice", roles=["supervisor", "qa_manager"])
    await office.do(case, "confirm_phone_notice", roles=["general_manager"])
    await seen(office, case, "report_sent")
    await office.wait(case, timedelta(days=1))
    return case


async def uncalled(office: Office, _: Cluster) -> Handle:
    """An exception outside working hours whose calls are overdue: the mail goes all the same."""
    case = await exception(office, "night", "customer_complaint")
    await office.do(case, "confirm_phone_notice", roles=["supervisor"])
    await office.wait(case, 6 * MINUTE)
    await seen(office, case, "report_sent")
    return case


async def corrected(office: Office, _: Cluster) -> Handle:
    """An exception in working hours: reported, investigated, settled by approval, corrected, closed."""
    case = await exception(office, "day", "customer_complaint", category="damage", estimated_amount="48000.00")
    await seen(office, case, "report_sent")
    await office.do(case, "acknowledge")
    await office.do(case, "inform_customer", text="we look into it")
    await office.do(case, "settle", amount="1500.00")
    await case.signal("approve", {"by": {"id": "gm-1", "role": "general_manager"}})
    await seen(office, case, "settled")
    await office.do(case, "find", "qa_manager", cause="a pallet fell", responsibility="the warehouse")
    await office.do(case, "correct", action="straps are bought", carried_out=False)
    await office.do(case, "correct", action="straps are used")
    await office.do(case, "resolve")
    await office.do(case, "close")
    await case.result()
    return case


async def summed_up(office: Office, _: Cluster) -> Handle:
    """A month's summary: a signature comes late, one is sent back, all sign, it goes to the customer."""
    month = month_before(DEFAULT.local(datetime.now(UTC)))
    listed = {"number": f"{month}-0001", "late": False, "category": "late", "cause": "a truck broke down"}
    facts = {"month": month, "total": 1, "counts": {"late": 1}, "exceptions": [listed]}
    case = await office.start("MonthlySummary", {"key": month, "facts": facts}, id=f"summary:{month}")
    await seen(office, case, "signature_asked")
    await office.wait(case, timedelta(days=9))
    for role in ("project_manager", "department_manager"):
        await office.do(case, "sign", role, text="the trucks are serviced weekly")
    await office.do(case, "sign", "project_manager")
    await office.do(case, "send_back", "director", reason="which trucks?")
    for role in ("project_manager", "director", "deputy_gm"):
        await office.do(case, "sign", role)
    await office.wait(case, timedelta(days=40))
    await case.result()
    return case


async def handed(office: Office, _: Cluster) -> Handle:
    """A shift ends: signed too late, the cases are given over, and once more for those that came meanwhile."""
    ends = datetime.now(UTC) + 15 * MINUTE
    people = {"outgoing": {"id": "agent-1", "role": "agent"}, "relief": {"id": "agent-2", "role": "agent"}}
    facts = {"shift": "S-1", **people, "shift_ends_at": ends.isoformat(), "unit": "north"}
    await office.client.file("handover", {"key": "S-1", "facts": facts})
    case = office.handle("handover:S-1")
    await seen(office, case, "relief_told")
    await office.do(case, "note", text="the scanner is broken")
    await office.do(case, "sign")
    await office.wait(case, 20 * MINUTE)
    await office.client.command(case.id, "sign", {"by": people["relief"]})
    await seen(office, case, "handed_over")
    await office.wait(case, 5 * MINUTE)
    await case.result()
    return case


async def unrelieved(office: Office, _: Cluster) -> Handle:
    """Nobody relieves; the supervisor says who does."""
    ends = datetime.now(UTC) + 15 * MINUTE
    facts = {"shift": "S-2", "outgoing": {"id": "agent-1", "role": "agent"}, "shift_ends_at": ends.isoformat()}
    await office.client.file("handover", {"key": "S-2", "facts": facts})
    case = office.handle("handover:S-2")
    await office.wait(case, HOUR)
    await office.do(case, "name_relief", "supervisor", to={"id": "agent-2", "role": "agent"})
    return case


async def swapped(office: Office, _: Cluster) -> Handle:
    """Both agree and the manager signs; by then the roster does not have the shift any more."""
    case = await swap(office, "W-1")
    await office.client.command(case.id, "agree", {"by": {"id": "agent-2", "role": "agent"}})
    await office.do(case, "sign", "department_manager")
    await case.result()
    return case


async def lapsed(office: Office, _: Cluster) -> Handle:
    """Nobody agrees before the shift begins."""
    case = await swap(office, "W-2")
    await office.wait(case, timedelta(days=3))
    await case.result()
    return case


async def swap(office: Office, key: str) -> Handle:
    """A swap of a shift that begins the day after tomorrow."""
    begins = datetime.now(UTC) + timedelta(days=2)
    shift = {"id": "S-1", "starts_at": begins.isoformat(), "ends_at": (begins + 12 * HOUR).isoformat()}
    people = {"initiator": {"id": "agent-1", "role": "agent"}, "counterparty": {"id": "agent-2", "role": "agent"}}
    await office.client.file("swap", {"key": key, "facts": {**people, "given": shift}})
    return office.handle(f"swap:{key}")


async def seen(office: Office, case: Handle, type_: str, times: int = 1) -> list[Json]:
    """The events of a type, once there are so many."""
    return await eventually(lambda: office.timeline(case, type_), lambda events: len(events) >= times)


async def exception(office: Office, policy: str, source: str, **facts: str) -> Handle:
    """An exception that is reported when it becomes known, inside (day) or outside (night) working hours."""
    known = datetime.now(UTC)
    # A window that holds every moment; and one that began and ended while nobody looked.
    window = {"day": "00:00-00:00", "night": f"{known + 12 * HOUR:%H}:00-{known + 12 * HOUR:%H}:30"}[policy]
    windows = "".join(f'{name} = ["{window}"]\n' for name in calendar.day_name).lower()
    (office.folder / "policies" / f"{policy}.toml").write_text(
        f'name = "{policy}"\nextends = "default"\nzone = "UTC"\n[calendar.years.2000]\nsource = "none"\n'
        f"[calendar.windows]\n{windows}"
    )
    at = known.isoformat()
    return await office.file("exception", {"known_at": at, "source": source, **facts}, policy=policy, received_at=at)


def claim(**shipment: Any) -> Json:
    """The facts of a claim on a parcel that was lost by damage: 20.00 of freight and 80.00."""
    posted = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    parcel = {"waybill": "W1", "posted_on": posted, "base_freight": "20.00", "weight_kg": "0.8", **shipment}
    loss = {"total_value": "1000.00", "lost_value": "1000.00"}
    return {"factor": "damage", "claimant": {"relation": "sender"}, "shipment": parcel, "loss": loss}


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
    "claim": {life.__name__: life for life in (paid, signed, owed)},
    "exception": {life.__name__: life for life in (called, uncalled, corrected)},
    "inquiry": {life.__name__: life for life in (answered, breached, expired)},
    "summary": {life.__name__: life for life in (summed_up,)},
    "handover": {life.__name__: life for life in (handed, unrelieved)},
    "swap": {life.__name__: life for life in (swapped, lapsed)},
}  # fmt: skip


def names() -> list[str]:
    """The names of all histories: workflow type and life."""
    return [f"{KINDS[kind].WORKFLOW}-{name}" for kind, lives in LIVES.items() for name in lives]


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
                    name = f"{KINDS[kind].WORKFLOW}-{life}"
                    if wanted and name not in wanted:
                        continue
                    history = await (await live(office, casebook)).fetch_history()
                    if not casebook.running():
                        casebook.start()
                    content = without_traces(json.loads(history.to_json()))
                    file = FOLDER / f"{name}.json"
                    file.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
                    print(f"{name}: {len(history.events)} events, {file.stat().st_size} bytes")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
