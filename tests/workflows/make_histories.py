"""Makes histories and the ledgers of their cases: ``python -m tests.workflows.make_histories [NAME...]``.

They are of the present rules. Make one again only when nobody runs cases of before the change any more; else the
change needs rules of a new number (CONTRIBUTING.md, "Change a rule").
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

import asyncpg
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.common import WorkflowIDConflictPolicy

from activities.database.migrate import migrate
from cases.kinds.summary import month_before
from cases.registry import kind_named
from cases.vocabulary.events import canonical
from tests.postgres import Cluster, cluster
from tests.releases.stored import PRESENT, read_lines, write_lines
from tests.temporal import eventually, time_skipping
from tests.workflows import paper_lives
from tests.workflows.backend import DEFAULT, FACTS, Backend, Handle, Json, open_backend

FOLDER = PRESENT / "histories"
LEDGERS = PRESENT / "ledgers.jsonl.gz"
# What the casebook holds of a case, in the order of its rows.
TABLES = ("case_file", "case_event", "case_text", "case_request")
# Lets no order of a payout be written down.
PAYOUTS_AWAY = """
CREATE FUNCTION payouts_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'away' USING ERRCODE = 'cannot_connect_now';
END
$$;
CREATE TRIGGER payouts_away BEFORE INSERT ON payout FOR EACH ROW EXECUTE FUNCTION payouts_away();
"""
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

Life = Callable[[Backend, Cluster], Awaitable[Handle]]


async def happy(backend: Backend, _: Cluster) -> Handle:
    """Every step of an ordinary complaint of a platform, who hears of each."""
    case = await backend.file(facts={"category": "delay", "source": "platform", "unit": "north"})
    await backend.do(case, "acknowledge", request_id="r-1")
    await backend.do(case, "reply", stage="interim")
    await backend.do(case, "investigate", finding="sorted wrongly", justified=True)
    await backend.do(case, "reply", stage="answer", text="on its way")
    await backend.do(case, "resolve", summary="delivered")
    await backend.do(case, "follow_up", satisfied=True)
    await backend.do(case, "close")
    await case.result()
    return case


async def ladder(backend: Backend, _: Cluster) -> Handle:
    """Nobody takes it up, the top is reminded, every clock breaks."""
    case = await backend.file()
    await backend.wait(case, 10 * HOUR)
    await backend.do(case, "acknowledge", "general_manager")
    await backend.wait(case, timedelta(days=9))
    return case


async def paused(backend: Backend, _: Cluster) -> Handle:
    """The customer cannot be reached, and a difficult case gets more time; a promise is broken."""
    case = await backend.file()
    await backend.do(case, "acknowledge")
    await backend.do(case, "log_contact", reached=False, reason="phone off")
    await backend.wait(case, 3 * HOUR)
    await backend.do(case, "log_contact", reached=True)
    now = await backend.env.get_current_time(case)
    await backend.do(case, "promise", reply_by=(now + HOUR).isoformat())
    await backend.do(case, "extend", "supervisor", clock="resolution", due=(now + 90 * HOUR).isoformat(), reason="x")
    await backend.wait(case, 40 * HOUR)
    await backend.do(case, "assign", "general_manager", to={"id": "agent-2", "role": "agent"})
    await backend.do(case, "resolve")
    return case


async def options(backend: Backend, _: Cluster) -> Handle:
    """Solutions are offered one at a time, the last is taken, the follow-up closes."""
    case = await backend.file()
    await backend.do(case, "propose", options=["resend", "refund"])
    await backend.do(case, "answer_option", accepted=False)
    await backend.do(case, "answer_option", "customer", accepted=True)
    await backend.do(case, "resolve")
    await backend.do(case, "follow_up", satisfied=True)
    await backend.wait(case, timedelta(days=9))
    await case.result()
    return case


async def approvals(backend: Backend, _: Cluster) -> Handle:
    """Asked for by command, decided by signal, climbing while nobody decides; signals refused."""
    case = await backend.file()
    supervisor = {"id": "supervisor-1", "role": "supervisor"}
    await backend.do(case, "acknowledge")
    await backend.do(case, "request_approval", subject="refund", amount="150.00", reason="late")
    await backend.do(case, "request_approval", subject="discount", amount="1500.00")
    await case.signal("approve", {"by": supervisor, "subject": "refund"})
    await case.signal("reject", {"by": supervisor})
    await case.signal("escalate", {"by": supervisor, "reason": "angry"})
    await backend.wait(case, 2 * HOUR)
    await case.signal("acknowledge", {"by": supervisor})
    await backend.do(case, "note", text="end")
    return case


async def withdrawn(backend: Backend, _: Cluster) -> Handle:
    """The customer takes it back."""
    case = await backend.file(facts={"category": "attitude", "severity": "critical"})
    await backend.do(case, "withdraw", "customer", reason="found")
    await case.result()
    return case


async def merged(backend: Backend, _: Cluster) -> Handle:
    """A duplicate, which a case that nobody knows does not take, and the earlier one does."""
    earlier, case = await backend.file(), await backend.file()
    await backend.do(case, "link", case="claim:elsewhere")
    await backend.do(case, "merge", into="complaint:unknown")
    await eventually(lambda: backend.timeline(case, "merge_refused"), lambda events: len(events) == 1)
    now = await backend.env.get_current_time(case)
    await backend.do(case, "promise", reply_by=(now + HOUR).isoformat())
    await backend.do(case, "merge", into=earlier.id)
    await case.result()
    return case


async def duplicated(backend: Backend, _: Cluster) -> Handle:
    """The earlier case takes a duplicate over with its promise, and breaks that."""
    case, later = await backend.file(), await backend.file()
    now = await backend.env.get_current_time(later)
    await backend.do(later, "promise", reply_by=(now + HOUR).isoformat())
    await backend.do(later, "merge", into=case.id)
    await later.result()
    await backend.wait(case, 2 * HOUR)
    return case


async def reopened(backend: Backend, _: Cluster) -> Handle:
    """Resolved, taken up again, resolved, closed by itself."""
    case = await backend.file()
    await backend.do(case, "resolve")
    await backend.do(case, "follow_up", satisfied=False)
    await backend.wait(case, HOUR)
    await backend.do(case, "reopen", "customer", reason="broken again")
    await backend.wait(case, 7 * MINUTE)
    await backend.do(case, "resolve", "supervisor")
    await backend.wait(case, timedelta(days=9))
    await case.result()
    return case


async def late(backend: Backend, _: Cluster) -> Handle:
    """Filed when most of it had already happened."""
    case = await backend.file(received_at=(datetime.now(UTC) - 50 * HOUR).isoformat())
    await backend.recorded(case)
    return case


async def continued(backend: Backend, _: Cluster) -> Handle:
    """The first run of a case that continues as new."""
    last = await continues(backend, _)
    assert last.first_execution_run_id is not None
    return backend.env.client.get_workflow_handle(last.id, run_id=last.first_execution_run_id)


async def continues(backend: Backend, _: Cluster) -> Handle:
    """The last run of a case that has continued as new."""
    case = await backend.rehearse(continue_after=40)
    for number in range(16):
        await backend.do(case, "note", text=f"note {number}", request_id=f"r-{number}")
    await backend.do(case, "resolve")
    assert (await case.describe()).run_id != case.first_execution_run_id
    await backend.do(case, "note", text="note 0", request_id="r-0")
    await backend.wait(case, timedelta(days=4))
    return case


async def refused(backend: Backend, _: Cluster) -> Handle:
    """A policy that does not exist."""
    case = await backend.start(
        "Complaint", {"key": "refused", "policy": "nope", "facts": {"category": "delay"}}, id="complaint:refused"
    )
    return await failed(case)


async def away(backend: Backend, casebook: Cluster) -> Handle:
    """The casebook is away while the case climbs, then back."""
    case = await backend.file()
    casebook.stop("immediate")
    await backend.wait(case, 6 * MINUTE)
    await backend.do(case, "acknowledge", "supervisor")
    casebook.start()
    await backend.wait(case, MINUTE)
    await backend.recorded(case)
    await backend.do(case, "resolve", "supervisor")
    return case


async def filed_twice(backend: Backend, _: Cluster) -> Handle:
    """A second run of a case that is closed: it finds the case in the ledger, and opens none."""
    case = await backend.file()
    await backend.do(case, "withdraw", "customer", reason="found")
    await case.result()
    intake = {"key": case.id.partition(":")[2], "facts": FACTS["complaint"]}
    again = await backend.start("Complaint", intake, id=case.id)
    assert (await again.result())["status"] == "closed"
    return again


async def from_the_ledger(backend: Backend, _: Cluster) -> Handle:
    """A run that takes a case over from the ledger, with its clocks, its promise and an open approval."""
    case = await backend.file()
    await backend.do(case, "acknowledge", request_id="r-1")
    now = await backend.env.get_current_time(case)
    await backend.do(case, "promise", reply_by=(now + HOUR).isoformat())
    await backend.do(case, "request_approval", subject="refund", amount="150.00", reason="late")
    events = await backend.recorded(case)
    start = {"key": case.id.partition(":")[2], "from_ledger": {"head_seq": len(events)}}
    again = await backend.start(
        "Complaint", start, id=case.id, id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING
    )
    await backend.do(again, "acknowledge", request_id="r-1")
    await backend.do(again, "approve", "supervisor")
    await backend.wait(again, 2 * HOUR)
    await backend.do(again, "note", text="it goes on")
    await backend.recorded(again)
    return again


async def claimed(backend: Backend, _: Cluster) -> Handle:
    """A complaint that opens a claim about the same parcel."""
    facts = {"category": "damage", "shipment": claim()["shipment"]}
    case = await backend.file(facts=facts)
    await backend.do(case, "acknowledge")
    await backend.do(case, "open_claim")
    await seen(backend, case, "opening_done")
    await backend.do(case, "resolve", summary="the claim decides")
    await backend.do(case, "close")
    await case.result()
    return case


async def answered(backend: Backend, _: Cluster) -> Handle:
    """An inquiry that is answered in time."""
    case = await backend.file("inquiry", inquiry())
    await backend.do(case, "reply", stage="answer", text="it arrives tomorrow")
    await backend.wait(case, timedelta(days=3))
    await case.result()
    return case


async def breached(backend: Backend, _: Cluster) -> Handle:
    """An inquiry that nobody answers."""
    case = await backend.file("inquiry", inquiry())
    await backend.wait(case, HOUR)
    return case


async def expired(backend: Backend, _: Cluster) -> Handle:
    """An inquiry about a parcel of long ago."""
    case = await backend.start("Inquiry", {"key": "expired", "facts": inquiry("2020-01-01")}, id="inquiry:expired")
    return await failed(case)


async def paid(backend: Backend, _: Cluster) -> Handle:
    """A claim on an insured parcel: offered with an approval by signal, agreed, paid, closed."""
    case = await backend.file("claim", claim(insured_amount="500.00"))
    await backend.do(case, "acknowledge")
    await backend.do(case, "answer_claim", text="within 30 days")
    await backend.do(case, "assess", cause="company")
    await backend.do(case, "offer")
    await case.signal("approve", {"by": {"id": "supervisor-1", "role": "supervisor"}})
    await seen(backend, case, "offered")
    await backend.do(case, "decline_offer", "customer", counter="600.00")
    await backend.do(case, "dispute", "customer", path="negotiation")
    await backend.do(case, "offer")
    await case.signal("approve", {"by": {"id": "supervisor-1", "role": "supervisor"}})
    await seen(backend, case, "offered", 2)
    await backend.do(case, "accept_offer", "customer")
    await seen(backend, case, "paid")
    await backend.do(case, "close")
    await case.result()
    return case


async def signed(backend: Backend, _: Cluster) -> Handle:
    """A claim that nothing is owed for: the parcel was signed for before the damage was seen."""
    signed_at = (datetime.now(UTC) - HOUR).isoformat()
    case = await backend.file("claim", claim(signed_at=signed_at, courier_present=False))
    await backend.do(case, "acknowledge")
    await backend.do(case, "answer_claim", text="within 30 days")
    view = await backend.do(case, "assess", cause="company", inspection_offered=True)
    assert view["assessment"]["refused_because"] == "signed_and_left"
    await backend.do(case, "dispute", "customer", path="negotiation")
    await backend.do(case, "dispute", "customer", path="lawsuit")
    await backend.do(case, "resolve", summary="nothing is owed")
    await backend.do(case, "close")
    await case.result()
    return case


async def owed(backend: Backend, _: Cluster) -> Handle:
    """An agreed claim whose payout fails while the book of payouts is away, and is then paid."""
    case = await agreed(backend)
    await execute(backend.database, PAYOUTS_AWAY)
    await backend.do(case, "accept_offer", "customer")
    await backend.recorded(case)
    await backend.wait(case, 31 * MINUTE)
    await seen(backend, case, "payout_failed")
    await execute(backend.database, "DROP FUNCTION payouts_away CASCADE")
    await backend.wait(case, HOUR)
    await seen(backend, case, "paid")
    await backend.recorded(case)
    return case


async def waited(backend: Backend, casebook: Cluster) -> Handle:
    """A claim that is agreed while the casebook is away: the money waits until that is recorded."""
    case = await agreed(backend)
    casebook.stop("immediate")
    await backend.do(case, "accept_offer", "customer")
    await backend.wait(case, 31 * MINUTE)
    assert not await backend.timeline(case, "paid", "payout_failed")
    casebook.start()
    await backend.wait(case, MINUTE)
    await seen(backend, case, "paid")
    await backend.recorded(case)
    return case


async def called(backend: Backend, _: Cluster) -> Handle:
    """An exception outside working hours: those responsible are called, the mail follows."""
    case = await exception(backend, "night", "customer_complaint")
    await backend.do(case, "confirm_phone_notice", roles=["supervisor", "qa_manager"])
    await backend.do(case, "confirm_phone_notice", roles=["general_manager"])
    await seen(backend, case, "report_sent")
    await backend.wait(case, timedelta(days=1))
    return case


async def uncalled(backend: Backend, _: Cluster) -> Handle:
    """An exception outside working hours whose calls are overdue: the mail goes all the same."""
    case = await exception(backend, "night", "customer_complaint")
    await backend.do(case, "confirm_phone_notice", roles=["supervisor"])
    await backend.wait(case, 6 * MINUTE)
    await seen(backend, case, "report_sent")
    return case


async def corrected(backend: Backend, _: Cluster) -> Handle:
    """An exception in working hours: reported, investigated, settled by approval, corrected, closed."""
    case = await exception(backend, "day", "customer_complaint", category="damage", estimated_amount="48000.00")
    await seen(backend, case, "report_sent")
    await backend.do(case, "acknowledge")
    await backend.do(case, "inform_customer", text="we look into it")
    await backend.do(case, "settle", amount="1500.00")
    await case.signal("approve", {"by": {"id": "gm-1", "role": "general_manager"}})
    await seen(backend, case, "settled")
    await backend.do(case, "find", "qa_manager", cause="a pallet fell", responsibility="the warehouse")
    await backend.do(case, "correct", action="straps are bought", carried_out=False)
    await backend.do(case, "correct", action="straps are used")
    await backend.do(case, "resolve")
    await backend.do(case, "close")
    await case.result()
    return case


async def summed_up(backend: Backend, _: Cluster) -> Handle:
    """A month's summary: a signature comes late, one is sent back, all sign, it goes to the customer."""
    month = month_before(DEFAULT.local(datetime.now(UTC)))
    listed = {"number": f"{month}-0001", "late": False, "category": "late", "cause": "a truck broke down"}
    facts = {"month": month, "total": 1, "counts": {"late": 1}, "exceptions": [listed]}
    case = await backend.start("MonthlySummary", {"key": month, "facts": facts}, id=f"summary:{month}")
    await seen(backend, case, "signature_asked")
    await backend.wait(case, timedelta(days=9))
    for role in ("project_manager", "department_manager"):
        await backend.do(case, "sign", role, text="the trucks are serviced weekly")
    await backend.do(case, "sign", "project_manager")
    await backend.do(case, "send_back", "director", reason="which trucks?")
    for role in ("project_manager", "director", "deputy_gm"):
        await backend.do(case, "sign", role)
    await backend.wait(case, timedelta(days=40))
    await case.result()
    return case


async def handed(backend: Backend, _: Cluster) -> Handle:
    """A shift ends: signed too late, the cases are given over, and once more for those that came meanwhile."""
    ends = datetime.now(UTC) + 15 * MINUTE
    people = {"outgoing": {"id": "agent-1", "role": "agent"}, "relief": {"id": "agent-2", "role": "agent"}}
    facts = {"shift": "S-1", **people, "shift_ends_at": ends.isoformat(), "unit": "north"}
    await backend.client.file("handover", {"key": "S-1", "facts": facts})
    case = backend.handle("handover:S-1")
    await seen(backend, case, "relief_told")
    await backend.do(case, "note", text="the scanner is broken")
    await backend.do(case, "sign")
    await backend.wait(case, 20 * MINUTE)
    await backend.client.command(case.id, "sign", {"by": people["relief"]})
    await seen(backend, case, "handed_over")
    await backend.wait(case, 5 * MINUTE)
    await case.result()
    return case


async def unrelieved(backend: Backend, _: Cluster) -> Handle:
    """Nobody relieves; the supervisor says who does."""
    ends = datetime.now(UTC) + 15 * MINUTE
    facts = {"shift": "S-2", "outgoing": {"id": "agent-1", "role": "agent"}, "shift_ends_at": ends.isoformat()}
    await backend.client.file("handover", {"key": "S-2", "facts": facts})
    case = backend.handle("handover:S-2")
    await backend.wait(case, HOUR)
    await backend.do(case, "name_relief", "supervisor", to={"id": "agent-2", "role": "agent"})
    return case


async def swapped(backend: Backend, _: Cluster) -> Handle:
    """Both agree and the manager signs; by then the roster does not have the shift any more."""
    case = await swap(backend, "W-1")
    await backend.client.command(case.id, "agree", {"by": {"id": "agent-2", "role": "agent"}})
    await backend.do(case, "sign", "department_manager")
    await case.result()
    return case


async def lapsed(backend: Backend, _: Cluster) -> Handle:
    """Nobody agrees before the shift begins."""
    case = await swap(backend, "W-2")
    await backend.wait(case, timedelta(days=3))
    await case.result()
    return case


async def swap(backend: Backend, key: str) -> Handle:
    """A swap of a shift that begins the day after tomorrow."""
    begins = datetime.now(UTC) + timedelta(days=2)
    shift = {"id": "S-1", "starts_at": begins.isoformat(), "ends_at": (begins + 12 * HOUR).isoformat()}
    people = {"initiator": {"id": "agent-1", "role": "agent"}, "counterparty": {"id": "agent-2", "role": "agent"}}
    await backend.client.file("swap", {"key": key, "facts": {**people, "given": shift}})
    return backend.handle(f"swap:{key}")


async def agreed(backend: Backend) -> Handle:
    """A claim that only the customer's agreement is missing to."""
    case = await backend.file("claim", claim())
    await backend.do(case, "acknowledge")
    await backend.do(case, "assess", cause="company")
    await backend.do(case, "offer")
    await backend.recorded(case)
    return case


async def execute(address: str, statement: str) -> None:
    """Run a statement in the casebook."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def seen(backend: Backend, case: Handle, type_: str, times: int = 1) -> list[Json]:
    """The events of a type, once there are so many."""
    return await eventually(lambda: backend.timeline(case, type_), lambda events: len(events) >= times)


async def exception(backend: Backend, policy: str, source: str, **facts: str) -> Handle:
    """An exception that is reported when it becomes known, inside (day) or outside (night) working hours."""
    known = datetime.now(UTC)
    # A window that holds every moment; and one that began and ended while nobody looked.
    window = {"day": "00:00-00:00", "night": f"{known + 12 * HOUR:%H}:00-{known + 12 * HOUR:%H}:30"}[policy]
    windows = "".join(f'{name} = ["{window}"]\n' for name in calendar.day_name).lower()
    (backend.folder / "policies" / f"{policy}.toml").write_text(
        f'name = "{policy}"\nextends = "default"\nzone = "UTC"\n[calendar.years.2000]\nsource = "none"\n'
        f"[calendar.windows]\n{windows}"
    )
    at = known.isoformat()
    return await backend.file("exception", {"known_at": at, "source": source, **facts}, policy=policy, received_at=at)


def claim(**shipment: Any) -> Json:
    """The facts of a claim on a parcel that was lost by damage: 20.00 of freight and 80.00."""
    posted = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    parcel = {"waybill": "W1", "posted_on": posted, "base_freight": "20.00", "weight_kg": "0.8", **shipment}
    loss = {"total_value": "1000.00", "lost_value": "1000.00"}
    return {"factor": "damage", "claimant": {"relation": "sender"}, "shipment": parcel, "loss": loss}


def inquiry(posted: str = "") -> dict[str, Any]:
    """The facts of an inquiry about a parcel of today or of another day."""
    return {"shipment": {"waybill": "W1", "posted_on": posted or datetime.now(UTC).date().isoformat()}}


async def goods_return(backend: Backend, key: str) -> Handle:
    """A return of 480 pieces, filed."""
    facts = {"basis": "quality:Q-1", "part_number": "P-1", "approved_quantity": "480", "unit_price": "3.333"}
    more = {"reason": "the coating peels", "disposal": "return", "salesperson": "sales-1"}
    case = await backend.start("GoodsReturn", {"key": key, "facts": {**facts, **more}}, id=f"return:{key}")
    await seen(backend, case, "signature_asked")
    return case


async def sent_home(backend: Backend, _: Cluster) -> Handle:
    """A return is signed late, too much comes and goes back, less comes and is booked; decisions climb."""
    case = await goods_return(backend, "R-1")
    await backend.wait(case, timedelta(days=9))
    await backend.do(case, "sign", "business_manager", text="take them back")
    await backend.do(case, "receive", "warehouse_keeper", quantity="510", agrees=False)
    await backend.wait(case, timedelta(days=9))
    await backend.do(case, "approve", "deputy_gm", subject="receipt")
    await backend.do(case, "reject", "business_manager", subject="over_receipt", reason="send thirty back")
    await backend.do(case, "receive", "warehouse_keeper", quantity="479", agrees=True)
    await backend.do(case, "approve", "business_manager")
    await backend.do(case, "exclude_receivable", "accounting", amount="100.00")
    await backend.do(case, "issue_voucher", "accounting", reference="V-1")
    document = {"name": "certificate", "sha256": "0" * 64, "where": "the archive"}
    await backend.do(case, "prove", "business", way="certificate", stamped=True, document=document)
    await case.result()
    return case


async def not_granted(backend: Backend, _: Cluster) -> Handle:
    """The slip of a return is refused."""
    case = await goods_return(backend, "R-2")
    await backend.do(case, "refuse", "business_manager", reason="the goods are sound")
    await case.result()
    return case


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
            filed_twice, from_the_ledger, claimed, merged, duplicated,
        )
    },
    "claim": {life.__name__: life for life in (paid, signed, owed, waited)},
    "exception": {life.__name__: life for life in (called, uncalled, corrected)},
    "inquiry": {life.__name__: life for life in (answered, breached, expired)},
    "summary": {life.__name__: life for life in (summed_up,)},
    "handover": {life.__name__: life for life in (handed, unrelieved)},
    "swap": {life.__name__: life for life in (swapped, lapsed)},
    "return": {life.__name__: life for life in (sent_home, not_granted)},
    **{kind: {life.__name__: life for life in lives} for kind, lives in paper_lives.LIVES.items()},
}  # fmt: skip


def name_of(kind: str, life: str) -> str:
    """The name of a history: workflow type and life."""
    case = kind_named(kind)
    assert case is not None
    return f"{case.WORKFLOW}-{life}"


def names() -> list[str]:
    """The names of all histories."""
    return [name_of(kind, life) for kind, lives in LIVES.items() for life in lives]


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


async def ledger_of(connection: asyncpg.Connection, case_id: str) -> Json | None:
    """What the casebook holds of a case; None when it was never recorded."""
    # By sequence, where a row has one; all of one instant.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = {
            table: [
                json.loads(row["row"])
                for row in await connection.fetch(
                    f"SELECT to_jsonb(t) AS row FROM {table} AS t WHERE case_id = $1 "
                    "ORDER BY (to_jsonb(t) ->> 'seq')::int, to_jsonb(t)::text",
                    case_id,
                )
            ]
            for table in TABLES
        }
    if not rows["case_file"]:
        return None
    hash_ = rows["case_file"][0]["view"]["policy_hash"]
    return {"policy": await connection.fetchval("SELECT document FROM policy WHERE hash = $1", hash_), **rows}


async def at_rest(case: Handle, casebook: Cluster, address: str) -> tuple[WorkflowHistory, Json | None]:
    """The history of a case and what the casebook holds of it, once neither changes while they are read."""
    history = await case.fetch_history()
    if not casebook.running():
        casebook.start()
    connection = await asyncpg.connect(address)
    try:
        while True:
            ledger = await ledger_of(connection, case.id)
            again = await case.fetch_history()
            if len(again.events) == len(history.events) and ledger == await ledger_of(connection, case.id):
                return history, ledger
            history = again
    finally:
        await connection.close()


async def main(wanted: list[str]) -> None:
    """Make the histories named, or all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    ledgers = {line["name"]: line for line in read_lines(LEDGERS)} if wanted and LEDGERS.exists() else {}
    with cluster() as casebook, tempfile.TemporaryDirectory() as folder:
        address = await casebook.fresh_database()
        await migrate(address)
        async with time_skipping() as env, open_backend(env, address, Path(folder)) as backend:
            for kind, lives in LIVES.items():
                for life, live in lives.items():
                    name = name_of(kind, life)
                    if wanted and name not in wanted:
                        continue
                    case = await live(backend, casebook)
                    history, ledger = await at_rest(case, casebook, address)
                    content = without_traces(json.loads(history.to_json()))
                    file = FOLDER / f"{name}.json"
                    file.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
                    if ledger is not None:
                        ledgers[name] = {"name": name, **ledger}
                    print(f"{name}: {len(history.events)} events, {file.stat().st_size} bytes")
    write_lines(LEDGERS, (canonical(ledgers[name]) for name in sorted(ledgers)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
