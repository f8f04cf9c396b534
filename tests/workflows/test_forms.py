"""Forms and quality complaints on a real server: by any client, over several runs, and brought back from the ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError

from activities.people.directory import DirectoryBook
from activities.people.directory_changes import DirectoryChanges
from bench import forms as bench
from cases.directory import Person, Unit
from cases.vocabulary.contract import refusal_of
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from tests.core.test_form import DOCUMENT, FILED
from tests.core.test_quality import WAY
from tests.postgres import Cluster
from tests.temporal import eventually, task_failures, time_skipping
from tests.workflows.backend import Backend, Handle, Json, open_backend
from tests.workflows.disasters import Installation, ask, recover
from tests.workflows.paper_lives import file_form, file_quality, go_round, happened

pytestmark = pytest.mark.timeout(120)

FILER, LEAVE = FILED["leave"]
BUSINESS = {"filed_by": FILED["new_business"][0], "fields": FILED["new_business"][1]}
ASKED = {"filed_by": FILER, "fields": {**LEAVE, "emergency": True, "reason": "zq-family"}}
_keys = count(1)


@pytest.fixture
def installation(postgres: Cluster, casebook_template: str, tmp_path: Path) -> Installation:
    """An installation of its own."""
    return Installation(postgres, casebook_template, tmp_path)


@pytest.fixture
async def staff(backend: Backend) -> AsyncIterator[DirectoryBook]:
    """The directory of staff, which knows who asks for leave."""
    changes = DirectoryChanges(backend.book.database)
    await changes.replace_people([Person(**FILER, unit="headquarters")], units=[Unit(id="headquarters")])
    yield DirectoryBook(backend.book.database)
    await changes.replace_people([], absences=[])


async def test_any_client_starts_a_form_and_signs_it(backend: Backend, staff: DirectoryBook) -> None:
    case = await backend.start("Form", {"key": "L-1", "facts": ASKED}, id="leave:L-1")
    view = await case.execute_update("sign", {"by": {"id": "supervisor-1", "role": "supervisor"}, "text": "get well"})
    assert (view["id"], view["kind"], view["title"]) == ("leave:L-1", "leave", "Leave 请假单")
    assert [(one["step"], one["role"]) for one in view["signed"]] == [("superior", "supervisor")]

    final = await case.result()

    assert (final["status"], final["outcome"], final["effective"]) == ("closed", "approved", True)
    [absence] = (await staff.read()).absences
    assert (absence.person, absence.case_id) == (FILER["id"], case.id)
    assert (absence.starts_at, absence.ends_at) == tuple(datetime.fromisoformat(LEAVE[name]) for name in ("from", "to"))
    types = [event["type"] for event in await backend.recorded(case)]
    assert types.index("form_completed") < types.index("absence_recorded") < types.index("closed")
    # What its table says is personal stands in no event.
    ledger = await ask(backend.database, "SELECT body FROM case_event WHERE case_id = 'leave:L-1'")
    assert "zq-family" not in str(ledger)
    assert (await backend.book.personal(case.id) or {})["fields"] == {"reason": "zq-family"}
    assert (await backend.book.verify(case.id)).ok
    assert await task_failures(backend.env.client, case.id) == []


LACKING = 'name = "lacking"\nextends = "default"\nwithout = ["form.leave"]\n'


@pytest.mark.parametrize(
    ("workflow", "id", "intake", "code", "said"),
    [
        ("Form", "car_hire", {"facts": ASKED}, "unknown_kind", "'car_hire': not a kind of case"),
        ("Form", "leave", {"facts": ASKED, "policy": "lacking"}, "unknown_kind", "the forms of policy lacking: "),
        ("Form", "Leave", {"facts": ASKED}, "invalid", "must name a form: 'Leave' is none"),
        ("Form", "complaint", {"facts": ASKED}, "invalid", "must name a form: 'complaint' is none"),
        ("Form", "leave", {"facts": {**ASKED, "fields": {"from": "soon"}}}, "invalid", "facts.fields.from"),
        ("Form", "leave", {"facts": {**ASKED, "fields": {}}}, "invalid", "facts.fields.from is missing"),
        ("Form", "leave", {"facts": {**ASKED, "fields": {**LEAVE, "vase": 1}}}, "invalid", "facts.fields.vase"),
        ("Form", "leave", {"facts": {**ASKED, "fields": [1]}}, "invalid", "facts.fields"),
        ("Form", "leave", {"facts": {**BUSINESS, "fields": LEAVE}}, "role", "may not file leave"),
        ("Form", "leave", {"facts": {**ASKED, "fields": {**LEAVE, "to": LEAVE["from"]}}}, "out_of_order", "to"),
        (
            "Form",
            "leave",
            {"facts": ASKED, "by": {"id": "other", "role": "agent"}},
            "not_you",
            "who files it is who sends",
        ),
        ("Complaint", "leave", {"facts": {"category": "delay"}}, "invalid", "must be complaint:"),
    ],
)
async def test_what_makes_no_form_is_refused(
    backend: Backend, workflow: str, id: str, intake: Json, code: str, said: str
) -> None:
    (backend.folder / "policies" / "lacking.toml").write_text(LACKING)
    key = f"bad-{next(_keys)}"
    case = await backend.start(workflow, {"key": key, **intake}, id=f"{id}:{key}")
    with pytest.raises(WorkflowFailureError) as caught:
        await case.result()
    refusal = refusal_of(caught.value.cause)
    assert refusal is not None, caught.value.cause
    assert refusal.code == code
    assert said in refusal.message
    assert await backend.book.case(case.id) is None
    assert await task_failures(backend.env.client, case.id) == []


async def test_the_key_stands_in_the_id(backend: Backend) -> None:
    case = await backend.start("Form", {"key": "L-2", "facts": ASKED}, id="leave:L-3")
    with pytest.raises(WorkflowFailureError) as caught:
        await case.result()
    assert "must be leave:L-2" in str(caught.value.cause)


@pytest.mark.long
async def test_the_same_form_filed_again_is_the_same_case_whatever_run_has_it(backend: Backend) -> None:
    """Also where its fields are not written as the ledger has them."""
    fields = {**FILED["allowance"][1], "amount": "1200", "reason": " scratched "}
    intake = {"key": "A-1", "facts": {"filed_by": FILED["allowance"][0], "fields": fields}}
    _, new = await backend.client.open("allowance", intake)
    assert new
    case = backend.handle("allowance:A-1")
    await backend.recorded(case)
    assert (await recover(backend, case.id))[0] == 0
    view, new = await backend.client.open("allowance", intake)
    assert (view["id"], view["fields"]["amount"], new) == (case.id, "1200.00", False)
    await backend.do(case, "refuse", "business_manager", reason="no")
    await backend.handle(case.id).result()
    # The engine lets a closed key be started again; that run finds the case in the ledger.
    again = await backend.start("Form", intake, id=case.id)
    assert (await again.result())["status"] == "closed"
    other = await backend.start("Form", {**intake, "facts": ASKED}, id=case.id)
    with pytest.raises(WorkflowFailureError) as caught:
        await other.result()
    refusal = refusal_of(caught.value.cause)
    assert refusal is not None
    assert refusal.code == "conflict"


async def test_a_decision_by_signal(backend: Backend) -> None:
    case = await file_form(backend, "allowance", amount="50000.01")
    await case.signal("approve", {"by": {"id": "deputy-1", "role": "deputy_gm"}})
    await backend.do(case, "sign", "business_manager")
    await case.signal("approve", {"by": {"id": "deputy-1", "role": "deputy_gm"}})
    await case.signal("approve", {"by": {"id": "gm-1", "role": "general_manager"}, "subject": "general"})
    [asked] = await eventually(lambda: backend.timeline(case, "approved"), bool)
    assert (asked["actor"]["id"], asked["data"]["subject"]) == ("gm-1", "general")
    # Signals have no answer, so what was refused is on record.
    assert len(await backend.timeline(case, "command_refused")) == 2
    await backend.do(case, "sign", "business", fields={"customer_document": DOCUMENT})
    assert (await case.result())["outcome"] == "approved"


async def test_a_form_goes_by_the_policy_that_it_was_filed_under(backend: Backend) -> None:
    file = backend.folder / "policies" / "changing.toml"
    step = '[[form.car.step]]\nname = "{0}"\nroles = ["{0}"]\n'
    head = 'name = "changing"\nextends = "default"\n[form.car]\nclause = "INVENTED"\nfiles = ["agent"]\n'
    fields = '[form.car.fields]\nplace = {{ type = "{}" }}\n'

    async def filed(key: str, place: Any) -> Handle:
        facts = {"filed_by": FILER, "fields": {"place": place}}
        await backend.client.file("car", {"key": key, "policy": "changing", "facts": facts})
        return backend.handle(f"car:{key}")

    file.write_text(head + fields.format("text") + step.format("supervisor"))
    before = await filed("1", "zq-place")
    file.write_text(head + fields.format("integer") + step.format("finance") + step.format("director"))
    after = await filed("2", 7)
    assert (await before.query("case"))["turn"] == ["supervisor"]
    assert (await after.query("case"))["turn"] == ["finance"]
    file.unlink()
    for case, signers in ((before, ["supervisor"]), (after, ["finance", "director"])):
        await backend.recorded(case)
        assert (await recover(backend, case.id))[0] == 0
        case = backend.handle(case.id)
        for role in signers:
            view = await backend.do(case, "sign", role)
        assert (view["status"], view["outcome"]) == ("closed", "approved")
        await case.result()


# --- several runs ---------------------------------------------------------------------------------


@pytest.mark.long
async def test_fields_signatures_and_turn_go_along_to_the_next_run(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.shell.LONG_HISTORY", 40)
    case = await file_form(backend, "statement")
    first = (await case.describe()).run_id
    for role in ("agent", "finance", "agent", "agent", "agent"):
        await backend.do(case, "sign", role, text=f"of {role}")
    await backend.do(case, "sign", "finance", fields={"invoice_number": "INV-1"})
    before = await backend.recorded(case)
    for number in range(8):
        await backend.do(case, "note", text=f"note {number}")
    await eventually(case.describe, lambda found: found.run_id != first)

    view = await backend.do(case, "sign", "finance", fields={"delivered_on": "2026-03-11"})

    assert view["fields"]["invoice_number"] == "INV-1"
    assert (view["step"], view["turn"]) == ("ready", ["agent"])
    assert [one["step"] for one in view["signed"]][-2:] == ["invoice", "deliver"]
    with pytest.raises(Refused) as refused:
        await backend.do(case, "sign", "finance")
    assert refused.value.code == "out_of_order"
    recorded = await backend.recorded(case)
    assert recorded[: len(before)] == before
    assert (await backend.book.verify(case.id)).ok


@pytest.mark.long
async def test_the_personal_fields_of_a_form_that_continued_as_new_are_brought_back(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its last run, which is asked to record everything once more, and from what the engine keeps of it."""
    monkeypatch.setattr("workflows.shell.LONG_HISTORY", 30)
    database = await installation.casebook()
    backups = [await installation.copy(database) for _ in range(2)]
    query = "SELECT facts #>> '{fields,reason}', intake_digest IS NOT NULL FROM personal"
    async with time_skipping() as env:
        async with installation.running(env, database) as before:
            await before.client.file("leave", {"key": "L", "facts": ASKED})
            case = before.handle("leave:L")
            first = (await case.describe()).run_id
            for number in range(8):
                await before.do(case, "note", text=f"note {number}")
            await eventually(case.describe, lambda found: found.run_id != first)
            events = await before.recorded(case)
            assert await ask(database, query) == [("zq-family", True)]
        async with installation.running(env, backups[0]) as after:
            # Its run finds out by itself.
            await after.do(case, "note", text="said after the restore")
            assert (await after.recorded(case))[: len(events)] == events
            assert await ask(backups[0], query) == [("zq-family", True)]
            assert "zq-family" not in str(await ask(backups[0], "SELECT body FROM case_event"))
            # Whoever files it again has this case.
            assert (await after.client.open("leave", {"key": "L", "facts": ASKED}))[0]["id"] == case.id
            await case.terminate("with the engine it is not lost")
        async with installation.running(env, backups[1]) as late:
            assert (await recover(late, "--from-engine"))[0] == 0
            assert await ask(backups[1], query) == [("zq-family", True)]
            _, new = await CaseClient(env.client, late.book).open("leave", {"key": "L", "facts": ASKED})
            assert not new


@pytest.mark.long
@pytest.mark.parametrize("kind", ["form", "quality"])
async def test_without_a_cache_every_task_is_a_replay(
    kind: str, postgres: Cluster, casebook_template: str, tmp_path: Path
) -> None:
    database = await postgres.fresh_database(f"TEMPLATE {casebook_template}")
    async with time_skipping() as env, open_backend(env, database, tmp_path, cache=0) as backend:
        if kind == "form":
            case = await file_form(backend, "allowance")
            await backend.do(case, "sign", "business_manager", request_id="r-1")
            await backend.do(case, "sign", "business_manager", request_id="r-1")
            await case.signal("approve", {"by": {"id": "gm-1", "role": "general_manager"}})
            await happened(backend, case, "approved")
            await backend.do(case, "sign", "customer", fields={"customer_document": DOCUMENT})
        else:
            case = await file_quality(backend)
            await go_round(backend, case)
            await backend.do(case, "execute", "business")
            await happened(backend, case, "opening_done")
            await backend.do(case, "customer_answer", "business", accepted=True)
        assert (await case.result())["status"] == "closed"
        assert await backend.book.events(case.id) == await case.query("timeline")
        assert (await backend.book.verify(case.id)).ok
        assert await task_failures(env.client, case.id) == []


# --- brought back from the ledger -------------------------------------------------------------------


async def test_a_form_with_filled_texts_goes_on_from_its_ledger(backend: Backend) -> None:
    """The paper that a step fills in has texts, which the run that takes it over knows by reference only."""
    case = await file_form(backend, "allowance")
    await backend.do(case, "sign", "business_manager", text="zq-looked-at")
    await backend.do(case, "approve", "deputy_gm", reason="zq-due")
    events = await backend.recorded(case)
    assert (await recover(backend, case.id))[0] == 0
    case = backend.handle(case.id)
    view = await backend.do(case, "sign", "customer", fields={"customer_document": {**DOCUMENT, "name": "zq-seal"}})
    assert [one["role"] for one in view["signed"]] == ["business_manager", "deputy_gm", "customer"]
    await case.result()
    recorded = await backend.book.events(case.id)
    assert recorded[: len(events)] == events
    shown = json.dumps(await backend.book.with_texts([await backend.book.case(case.id) or {}]))
    assert all(text in shown for text in ("zq-looked-at", "zq-seal", "scratched"))
    [completed] = [event["data"] for event in recorded if event["type"] == "form_completed"]
    assert completed["fields"]["customer_document"]["name"] == "zq-seal"
    assert (await backend.book.verify(case.id)).ok


async def test_a_form_whose_filled_texts_are_in_the_ledger_completes(backend: Backend) -> None:
    """What a step filled before the run was started from the ledger stands in the last event by reference."""
    table = """name = "papers"
extends = "default"
[form.hire]
clause = "INVENTED"
files = ["agent"]
[form.hire.fields]
why = { type = "text", required = true }
car = { type = "text" }
[[form.hire.step]]
name = "garage"
roles = ["supervisor"]
fills = ["car"]
[[form.hire.step]]
name = "head"
roles = ["general_manager"]
"""
    (backend.folder / "policies" / "papers.toml").write_text(table)
    facts = {"filed_by": FILER, "fields": {"why": "zq-why"}}
    await backend.client.file("hire", {"key": "1", "policy": "papers", "facts": facts})
    case = backend.handle("hire:1")
    await backend.do(case, "sign", "supervisor", fields={"car": "zq-van"})
    await backend.recorded(case)
    assert (await recover(backend, case.id))[0] == 0
    case = backend.handle(case.id)
    await backend.do(case, "sign", "general_manager")
    await case.result()
    assert "zq-" not in str(await ask(backend.database, "SELECT body FROM case_event WHERE case_id = 'hire:1'"))
    shown = json.dumps(await backend.book.with_texts([await backend.book.case(case.id) or {}]))
    assert "zq-why" in shown
    assert "zq-van" in shown
    assert (await backend.book.verify(case.id)).ok


async def test_a_quality_complaint_goes_on_from_its_ledger_with_its_number(installation: Installation) -> None:
    """Whether it has been given before, or was asked for and not given."""
    database = await installation.casebook()
    async with time_skipping() as env, installation.running(env, database) as backend:
        given, asked = [await file_quality(backend) for _ in range(2)]
        await go_round(backend, given, WAY[:9])
        number = (await given.query("case"))["number"]
        assert number.endswith("-0001")
        await backend.recorded(given)
        # While numbers wait.
        await ask(database, "INSERT INTO casebook_recovery DEFAULT VALUES RETURNING 1")
        await backend.do(asked, "accept", "gm_office")
        await backend.recorded(asked)
        assert (await asked.query("case"))["number"] is None
        assert (await recover(backend, given.id, asked.id))[0] == 0
        await ask(database, "DELETE FROM casebook_recovery RETURNING 1")
        given, asked = backend.handle(given.id), backend.handle(asked.id)
        view = await backend.do(given, *WAY[9][:2], **WAY[9][2])
        assert (view["number"], view["step"]) == (number, "decision")
        await go_round(backend, given, WAY[10:])
        await backend.do(given, "execute", "business")
        await happened(backend, given, "opening_done")
        await backend.do(given, "customer_answer", "business", accepted=True)
        assert (await given.result())["filed"] == [f"allowance:{given.id.partition(':')[2]}-allowance"]
        await backend.wait(asked, timedelta(minutes=1))
        await happened(backend, asked, "numbered")
        view = await backend.do(asked, *WAY[1][:2], **WAY[1][2])
        assert view["number"] == f"{number[:-1]}2"
        await backend.recorded(asked)
        rows = await ask(database, "SELECT kind, max(serial) FROM case_number WHERE kind = 'quality' GROUP BY kind")
        assert rows == [("quality", 2)]
        assert (await backend.book.verify()).ok


# --- how much history it leaves -------------------------------------------------------------------


async def test_a_form_of_four_steps_leaves_no_more_history_than_a_complaint_of_four_commands(backend: Backend) -> None:
    """One that tells as often: whoever signs next is told, as the operator of a platform is told of every stage.

    At its end who filed it is told, in a call of its own; what is told when a complaint opens goes out in one call.
    """
    (backend.folder / "policies" / "forms.toml").write_text(bench.POLICY)
    facts = {"filed_by": FILER, "fields": {"place": "east", "reason": "a parcel waits"}}
    await backend.client.file("hire", {"key": "2", "policy": "forms", "facts": facts})
    form = backend.handle("hire:2")
    await quiet(backend, form, 1)
    for number, role in enumerate(bench.SIGNERS, 2):
        await backend.do(form, "sign", role)
        await quiet(backend, form, number)
    complaint = await backend.file(facts={"category": "delay", "source": "platform"}, policy="forms")
    await quiet(backend, complaint, 2)
    for (name, fields), notices in zip(bench.COMPLAINT, (2, 3, 4, 5), strict=True):
        await backend.do(complaint, name, **fields)
        await quiet(backend, complaint, notices)
    for case in (form, complaint):
        await case.result()
    events, size = await ordered(form)
    most, largest = await ordered(complaint)
    # One call that tells, and one that records what came of it.
    assert events - most == Counter({f"EVENT_TYPE_ACTIVITY_TASK_{what}": 2 for what in CALLED})
    assert size <= 1.1 * largest


CALLED = ("SCHEDULED", "STARTED", "COMPLETED")


async def ordered(case: Handle) -> tuple[Counter[str], int]:
    """The events of a history by type, and their bytes, but for workflow tasks, which news that comes at once share."""
    events = [(EventType.Name(event.event_type), event.ByteSize()) for event in (await case.fetch_history()).events]
    left = [(name, size) for name, size in events if "WORKFLOW_TASK" not in name]
    return Counter(name for name, _ in left), sum(size for _, size in left)


async def quiet(backend: Backend, case: Handle, notices: int) -> None:
    """Wait until so many notices of a case have gone out, and all of that is recorded."""
    await eventually(lambda: backend.timeline(case, "notified"), lambda seen: len(seen) == notices)
    await backend.recorded(case)
