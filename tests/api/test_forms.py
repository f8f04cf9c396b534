"""Forms over HTTP: what a policy declares is filed, signed, decided, found and read without code."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from activities.database.database import Database
from activities.database.migrate import migrate
from activities.notify.contacts import Contacts
from activities.notify.recipients import deliveries
from activities.notify.templates import Templates
from activities.people.directory_changes import DirectoryChanges
from activities.people.swap import Swaps
from activities.policies.store import BUILT_IN, Policies
from cases.directory import Directory, Person, Shift, Unit
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused
from starter.exports import COLUMNS, case_row
from tests.api.server import ApiServer, import_staff, new_key, open_api, problem
from tests.notifications import order
from tests.postgres import Cluster, as_writer
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import is_about, open_backend

Json = dict[str, Any]
COMPANY = Path(__file__).parents[1] / "company"
LATER = datetime.now(UTC) + timedelta(days=5)
CAR: Json = {
    "purpose": "fetch the pallets",
    "cost": "380.00",
    "seats": 3,
    "overnight": False,
    "day": "2026-03-09",
    "car": "van",
}


@pytest.fixture(scope="module")
async def company(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    """The API and a worker of a company that has a form of its own."""
    folder = tmp_path_factory.mktemp("company")
    database = await postgres.fresh_database()
    await migrate(database)
    await import_staff(database)
    async with time_skipping() as env, open_backend(env, database, folder) as backend:
        shutil.copytree(COMPANY, folder / "policies", dirs_exist_ok=True)
        # One that has the forms of the company, and not those that come with the default policy.
        plain = (BUILT_IN / "default.toml").read_text("utf-8").replace('name = "default"', 'name = "plain"', 1)
        (folder / "policies" / "plain.toml").write_text(plain, "utf-8")
        async with open_api(backend) as made:
            yield made


def leave(**fields: Any) -> Json:
    """Make the intake of a leave of somebody in the north."""
    given = {
        "from": (LATER + timedelta(hours=1)).isoformat(),
        "to": (LATER + timedelta(hours=9)).isoformat(),
        "emergency": True,
        "reason": "my mother is ill",
    }
    return {"key": new_key(), "facts": {"unit": "north", "fields": {**given, **fields}}}


def car(unit: str = "north", **fields: Any) -> Json:
    """Make the intake of a car hire."""
    return {"key": new_key(), "facts": {"unit": unit, "fields": {**CAR, **fields}}}


async def filed(api: ApiServer, who: str, form: str, intake: Json) -> str:
    """File a form, wait until it is recorded, and return its id."""
    answer = await api.post(who, f"/cases/{form}", intake)
    assert answer.status_code == 200, answer.text
    case_id: str = answer.json()["id"]
    await api.recorded(case_id, 2)
    return case_id


async def done(api: ApiServer, who: str, case_id: str, name: str, body: Json | None = None) -> Json:
    """Send a command that is taken, wait until it is recorded, and return the view after it."""
    answer = await api.do(who, case_id, name, body)
    assert answer.status_code == 200, answer.text
    view: Json = answer.json()
    await api.recorded(case_id, view["events"])
    return view


# --- filing ---------------------------------------------------------------------------------------


async def test_who_files_is_who_sends_it(company: ApiServer) -> None:
    case_id = await filed(company, "agent-n", "leave", leave())
    view = (await company.get("agent-n", f"/cases/{case_id}")).json()
    assert view["facts"]["filed_by"] == {"id": "agent-n", "role": "agent"}
    assert (view["title"], view["step"], view["unit"]) == ("Leave 请假单", "superior", "north")

    own = leave()
    own["facts"]["filed_by"] = {"id": "agent-n", "role": "agent"}
    assert (await company.post("agent-n", "/cases/leave", own)).status_code == 200
    named = {"id": "agent-n1", "role": "agent"}, {"id": "agent-n", "role": "supervisor"}
    strangers: list[Any] = [*named, "agent-n", [], None]
    for somebody in strangers:
        other = leave()
        other["facts"]["filed_by"] = somebody
        problem(await company.post("agent-n", "/cases/leave", other), 403, "not_you")


async def test_a_system_files_for_anybody_of_the_staff(company: ApiServer) -> None:
    await company.key("hr-system", "file", "read")
    intake = leave()
    found = problem(await company.post("hr-system", "/cases/leave", intake), 422, "invalid")
    assert "facts.filed_by" in found["detail"]
    intake["facts"]["filed_by"] = {"id": "nobody", "role": "agent"}
    problem(await company.post("hr-system", "/cases/leave", intake), 409, "unknown_person")
    intake["facts"]["filed_by"] = {"id": "agent-n", "role": "supervisor"}
    found = problem(await company.post("hr-system", "/cases/leave", intake), 422, "invalid")
    assert "agent-n is agent in the directory" in found["detail"]
    intake["facts"]["filed_by"] = {"id": "agent-n", "role": "agent"}
    case_id = await filed(company, "hr-system", "leave", intake)
    # Whoever it was filed for has filed it.
    assert (await company.do("agent-n", case_id, "withdraw", {})).status_code == 200


async def test_whoever_it_is_filed_for_does_not_sign_it_by_another_account(company: ApiServer) -> None:
    await company.key("hr-desk", "file", "read")
    intake = leave()
    # What the directory says counts, whatever the system does.
    intake["facts"]["filed_by"] = {"id": "agent-n", "role": "agent", "person": "p-1"}
    case_id = await filed(company, "hr-desk", "leave", intake)
    sign = {"by": {"id": "agent-n2", "role": "supervisor", "person": "p-77"}}
    with pytest.raises(Refused) as refused:
        await company.services.cases.command(case_id, "sign", sign)
    assert refused.value.code == "four_eyes"
    assert (await company.do("super-n", case_id, "sign", {})).status_code == 200


async def test_nobody_of_outside_files_in_the_name_of_the_staff(company: ApiServer) -> None:
    intake = leave()
    intake["facts"] |= {"filed_by": {"id": "agent-n", "role": "agent"}, "customer": {"ref": "C-8"}}
    await company.key("market", "file", "read", role="platform")
    await company.key("shop", "file", "read", role="customer", units=["north"], customers=["C-8"])
    for outside in ("market", "shop"):
        problem(await company.post(outside, "/cases/leave", intake), 403, "role")
        assert "leave" not in (await company.get(outside, "/me")).json()["files"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"purpose": " "}, "purpose"),
        ({"purpose": None}, "purpose"),
        ({"plate": "a b"}, "plate"),
        ({"cost": 380}, "cost"),
        ({"cost": "380.005"}, "cost"),
        ({"cost": "10000.00"}, "cost"),
        ({"distance_km": "far"}, "distance_km"),
        ({"distance_km": "-1"}, "distance_km"),
        ({"seats": "3"}, "seats"),
        ({"seats": 0}, "seats"),
        ({"overnight": "false"}, "overnight"),
        ({"day": "2026-02-30"}, "day"),
        ({"leaves_at": "2026-03-09T09:00:00"}, "leaves_at"),
        ({"month": "2026-13"}, "month"),
        ({"week": "2026-W60"}, "week"),
        ({"driver": ""}, "driver"),
        ({"department": "no one"}, "department"),
        ({"case": "7"}, "case"),
        ({"offer": {"name": "x", "sha256": "7", "where": "here"}}, "offer"),
        ({"car": "bus"}, "car"),
        ({"stops": [{"place": "depot"}]}, "stops.0.toll"),
        ({"tolls": "5.00"}, "tolls"),
        ({"key_number": "7"}, "key_number"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named_with_what_is_allowed(company: ApiServer, fields: Json, named: str) -> None:
    answer = await company.post("agent-n", "/cases/car_hire", car(**fields))
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] in ("malformed", "invalid"), answer.text
    detail = answer.json()["detail"]
    assert f"facts.fields.{named}" in detail or f"{named} is not given here" in detail, answer.text
    others = [name for name in CAR if name != named and f"fields.{name}" in answer.json()["detail"]]
    assert not others, answer.text


async def test_what_is_personal_is_in_no_refusal(company: ApiServer) -> None:
    answer = await company.post("agent-n", "/cases/car_hire", car(phone=13800001234))
    assert answer.status_code == 400
    assert "13800001234" not in answer.text
    assert "phone" in answer.json()["detail"]


async def test_the_rules_of_a_form_refuse_with_their_code(company: ApiServer) -> None:
    problem(await company.post("agent-n", "/cases/car_hire", car(overnight=True)), 409, "start_missing")
    problem(
        await company.post(
            "agent-n", "/cases/leave", leave(emergency=False, **{"from": datetime.now(UTC).isoformat()})
        ),
        409,
        "too_late",
    )
    problem(await company.post("gm-1", "/cases/car_hire", car()), 403, "role")
    problem(await company.post("auditor-1", "/cases/car_hire", car()), 403, "read_only")
    found = problem(await company.post("agent-n", "/cases/car_hire", car("east")), 403, "unit")
    assert "north" in found["detail"]


async def test_an_unknown_kind_lists_kinds_and_forms(company: ApiServer) -> None:
    for kind in ("boat_hire", "Leave", "summary"):
        found = problem(await company.post("agent-n", f"/cases/{kind}", car()), 404, "unknown_kind")
        assert "complaint" in found["detail"]
        assert "car_hire" in found["detail"]
    problem(await company.get("agent-n", "/cases/boat_hire"), 404, "not_found")
    wrong = await company.get("agent-n", "/cases/car_hire")
    problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"


async def test_a_form_is_that_of_the_policy_that_the_intake_names(company: ApiServer) -> None:
    problem(await company.post("agent-n", "/cases/leave", {**leave(), "policy": "nothing"}), 422, "unknown_policy")
    found = problem(await company.post("agent-n", "/cases/leave", {**leave(), "policy": ["plain"]}), 400, "malformed")
    assert "policy" in found["detail"]
    found = problem(await company.post("agent-n", "/cases/leave", {**leave(), "policy": "plain"}), 404, "unknown_kind")
    assert "policy plain: car_hire" in found["detail"]
    case_id = await filed(company, "agent-n", "car_hire", {**car(), "policy": "plain"})
    assert (await company.get("agent-n", f"/cases/{case_id}")).json()["policy"] == "plain"


# --- the way of a form ----------------------------------------------------------------------------


async def test_a_form_goes_from_desk_to_desk(company: ApiServer) -> None:
    stops = [{"place": "depot", "toll": "10.50"}, {"place": "port", "toll": "4.50"}]
    case_id = await filed(company, "agent-n", "car_hire", car(stops=stops, phone="13800001234"))
    path = f"/cases/{case_id}"
    view = (await company.get("agent-n", path)).json()
    assert view["fields"]["tolls"] == "15.00"
    assert view["fields"]["purpose"] == "fetch the pallets"
    assert "phone" not in view["fields"]
    assert "sign" in (await company.get("super-n", f"{path}/actions")).json()["actions"]
    assert "sign" not in (await company.get("agent-n", f"{path}/actions")).json()["actions"]

    problem(await company.do("super-n", case_id, "sign", {}), 409, "text_missing")
    problem(await company.do("finance-1", case_id, "sign", {}), 409, "out_of_order")
    view = await done(company, "super-n", case_id, "sign", {"text": "needed"})
    assert (view["step"], view["turn"]) == ("keys", ["finance"])

    problem(await company.do("finance-1", case_id, "sign", {}), 409, "fields_missing")
    problem(await company.do("finance-1", case_id, "sign", {"fields": {"plate": "x"}}), 409, "unknown_field")
    view = await done(company, "finance-1", case_id, "send_back", {"reason": "which car?", "to": "superior"})
    assert view["step"] == "superior"
    await done(company, "super-n", case_id, "sign", {"text": "the white van"})
    view = await done(company, "finance-1", case_id, "sign", {"fields": {"key_number": "K-7", "remark": "by the door"}})
    assert view["step"] == "cost"
    assert view["fields"]["key_number"] == "K-7"

    asked = [one for one in view["approvals"] if one["state"] == "open"]
    assert [(one["subject"], one["amount"]) for one in asked] == [("cost", "380.00")]
    decider = {"supervisor": "super-hq", "qa_manager": "qa-1", "general_manager": "gm-1"}[asked[0]["role"]]
    waiting = (await company.get(decider, "/approvals")).json()["approvals"]
    assert case_id in {one["case"]["id"] for one in waiting}
    problem(await company.do("gm-1", case_id, "sign", {}), 409, "decision_step")
    view = await done(company, "gm-1", case_id, "approve", {})
    assert (view["status"], view["outcome"], view["effective"]) == ("closed", "approved", True)

    texts = [one["text"] for one in (await company.get("agent-n", path)).json()["signed"]]
    assert "the white van" in texts
    timeline = (await company.get("agent-n", f"{path}/timeline")).json()["events"]
    completed = next(event for event in timeline if event["type"] == "form_completed")
    assert completed["data"]["fields"] == {"tolls": "15.00", "key_number": "K-7", "remark": "by the door"}
    assert "13800001234" not in str(timeline)


async def test_a_form_is_refused_with_a_reason_that_its_filer_reads(company: ApiServer) -> None:
    case_id = await filed(company, "agent-n", "leave", leave())
    problem(await company.do("agent-n", case_id, "sign", {}), 403, "role")
    view = await done(company, "super-n", case_id, "refuse", {"reason": "it is the peak"})
    assert view["outcome"] == "refused"
    events = (await company.get("agent-n", f"/cases/{case_id}/timeline")).json()["events"]
    assert next(event for event in events if event["type"] == "form_refused")["data"]["reason"] == "it is the peak"


async def test_leave_over_a_swapped_shift_is_refused_at_the_door(company: ApiServer) -> None:
    asked = leave()
    asked["facts"]["unit"] = "east"
    once = {"Idempotency-Key": new_key()}
    assert (await company.post("agent-e", "/cases/leave", asked, headers=once)).status_code == 200
    shift = Shift(id="s-1", person="super-e", starts_at=LATER, ends_at=LATER + timedelta(hours=8))
    async with Database.open(as_writer(company.backend.database)) as store:
        await DirectoryChanges(store).replace_shifts([shift])
        moves = [{"shift": "s-1", "from": "agent-e", "to": "super-e"}]
        async with store.connection() as connection:
            await connection.execute(Swaps._RECORD, "swap:W", "agent-e", "super-e", ["2026-12"], moves, LATER)
    # What was answered once is answered so again.
    assert (await company.post("agent-e", "/cases/leave", asked, headers=once)).status_code == 200
    asked["key"] = new_key()
    found = problem(await company.post("agent-e", "/cases/leave", asked), 409, "swapped_shift")
    assert "s-1" in found["detail"]
    before = leave(**{"from": (LATER - timedelta(hours=9)).isoformat(), "to": LATER.isoformat()})
    before["facts"]["unit"] = "east"
    assert (await company.post("agent-e", "/cases/leave", before)).status_code == 200


# --- who sees it ----------------------------------------------------------------------------------


async def test_nobody_sees_the_leave_of_a_colleague(company: ApiServer) -> None:
    case_id = await filed(company, "agent-n", "leave", leave())
    sees = {"agent-n": 200, "super-n": 200, "super-hq": 200, "qa-1": 200, "gm-1": 200, "auditor-1": 200}
    hidden = ("agent-n1", "agent-e", "super-e", "finance-1", "pm-1")
    for who, status in {**sees, **dict.fromkeys(hidden, 404)}.items():
        assert (await company.get(who, f"/cases/{case_id}")).status_code == status, who
        found = (await company.get(who, "/cases", params={"kind": "leave", "limit": 200})).json()["cases"]
        assert (case_id in {one["id"] for one in found}) is (status == 200), who


async def test_personal_fields_are_for_who_filed_it_and_whose_turn_it_is(company: ApiServer) -> None:
    case_id = await filed(company, "agent-n", "leave", leave())
    for who, plain in {"agent-n": True, "super-n": True, "auditor-1": False}.items():
        answer = (await company.get(who, f"/cases/{case_id}/personal")).json()
        assert answer["masked"] is not plain, who
        assert (answer["facts"]["fields"]["reason"] == "my mother is ill") is plain, who
    for who in ("agent-n", "super-n", "gm-1"):
        assert "my mother" not in (await company.get(who, f"/cases/{case_id}")).text
        assert "my mother" not in (await company.get(who, f"/cases/{case_id}/timeline")).text


async def test_a_typo_in_a_filter_is_refused(company: ApiServer) -> None:
    found = problem(await company.get("gm-1", "/cases", params={"kind": "leaf"}), 400, "malformed")
    assert "car_hire" in found["detail"]
    problem(await company.get("gm-1", "/events", params={"kind": "leaf"}), 400, "malformed")


async def test_exports_have_forms_without_what_people_wrote(company: ApiServer) -> None:
    case_id = await filed(company, "agent-n", "car_hire", car(phone="13800001234"))
    view = await company.backend.book.case(case_id)
    assert view is not None
    row = dict(zip(COLUMNS, case_row(view), strict=True))
    assert (row["title"], row["step"], row["turn"]) == (
        "Car hire 用车申请",
        "superior",
        "supervisor department_manager",
    )
    assert json.loads(str(row["fields"])) == {**{name: CAR[name] for name in CAR if name != "purpose"}, "tolls": "0.00"}


# --- who is told ----------------------------------------------------------------------------------


async def test_mails_name_the_form_and_its_step_and_who_filed_hears_the_end(company: ApiServer) -> None:
    case_id = await filed(company, "agent-n", "leave", leave())
    await done(company, "super-n", case_id, "refuse", {"reason": "it is the peak"})

    def told() -> dict[str, str]:
        mails = company.backend.mails()
        bodies = [str(mail.get_content()) for mail in mails]
        return {str(mail["Subject"]): body for mail, body in zip(mails, bodies, strict=True) if is_about(mail, case_id)}

    def both(mails: dict[str, str]) -> bool:
        return all(any(part in subject for subject in mails) for part in ("请签署", "未获批准"))

    found = await eventually(lambda: _now(told), both)
    sign = next(body for subject, body in found.items() if "请签署：请假单" in subject)
    assert "请办理：上级审批" in sign
    assert "填报人：Nora N (agent-n)" in sign
    refused = next(body for subject, body in found.items() if "请假单未获批准" in subject)
    assert "peak" not in refused
    assert "mother" not in sign + refused


async def _now(told: Callable[[], dict[str, str]]) -> dict[str, str]:
    return told()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_mail_of_a_form_is_in_the_readers_language(language: str) -> None:
    view = {
        "kind": "leave",
        "title": "Leave 请假单",
        "step_titles": {"superior": "Superior 上级审批"},
        "facts": {"filed_by": {"id": "agent-n", "role": "agent"}},
    }
    due = "2026-03-10T09:00:00+08:00"
    events: dict[str, tuple[str, Json]] = {
        "sign": ("signature_asked", {"step": "superior", "role": "supervisor", "due": due}),
        "sent_back": ("sent_back", {"step": "superior", "to": "superior", "role": "supervisor"}),
        "signed": ("signed", {"step": "superior", "role": "supervisor"}),
        "effective": ("took_effect", {"early": True}),
        "refused": ("form_refused", {"step": "superior", "role": "supervisor"}),
        "completed": ("form_completed", {"outcome": "approved", "fields": {}}),
        "approval": ("approval_requested", {"subject": "superior", "amount": "5.00", "role": "supervisor"}),
        "decided": ("approved", {"subject": "superior", "amount": "5.00"}),
        "breach": ("clock_breached", {"clock": "step:superior", "due": due}),
        "reminder": ("reminded", {"subject": "step:superior", "count": 1, "rung": "supervisor"}),
    }
    titles = {"en": ("Leave", "Superior"), "zh": ("请假单", "上级审批")}[language]
    others = {"en": ("请假单", "上级审批"), "zh": ("Leave", "Superior")}[language]
    for name, (type_, data) in events.items():
        asked = order(name, "supervisor", type=type_, **data)
        facts = {
            "case_id": "leave:1", "number": "2026-03-0001", "kind": "leave", "roles": ["supervisor"],
            "clause": "S1-1.7", "event": asked.event, "view": view, "page": "https://desk.example.com/console/case?id=leave%3A1",
        }  # fmt: skip
        with capture_logs() as logs:
            text = Templates().render(name, language, facts)
        whole = text.subject + text.body
        assert logs == [], name
        assert any(title in whole for title in titles), (name, whole)
        assert not any(title in whole for title in others), (name, whole)
        if name != "breach" and name != "decided":
            assert "desk.example.com" in whole, name


def test_the_notice_to_who_filed_goes_to_the_very_person() -> None:
    asked = replace(
        order("refused", "agent", type="form_refused", step="superior", role="supervisor"), people=["agent-7"]
    )
    people = [
        Person(id=id_, role="agent", unit="north", contacts={"email": f"{id_}@example.com"})
        for id_ in ("agent-1", "agent-7")
    ]
    staff = Directory.build([Unit(id="hq"), Unit(id="north", parent="hq")], people)
    ways, meant = deliveries(asked, {"unit": "north", "rung": "agent"}, Contacts(), staff, datetime.now(UTC))
    assert [(one["recipient"], one["why"]) for one in meant] == [("agent-7", "named")]
    assert ways[0].ways[0].address == "agent-7@example.com"


def test_of_routes_of_one_name_a_form_takes_the_nearest() -> None:
    policy = Policies().load("default")
    assert [route.to for route in policy.routes("leave", "sent_back")] == [("filer",)]
    assert [route.to for route in policy.routes("summary", "sent_back")] == [("holder",)]
    assert [route.to for route in policy.routes("statement", "clock_warned")] == [("agent", "supervisor", "finance")]
    assert [route.to for route in policy.routes("leave", "clock_warned")] == [("holder",)]
    for text, said in (
        ('kinds = ["summary"]\nto = ["filer"]', "is not a form"),
        ('to = ["filer"]', "is not a form"),
        ('kinds = ["form"]\nto = ["filer", "agent"]', "stands alone"),
    ):
        table = f'[[notice]]\nname = "x"\non = ["closed"]\nclause = "INVENTED"\n{text}\n'
        with pytest.raises(Refused, match=said):
            Policy.from_toml(f'extends = "default"\nname = "own"\n{table}', bases=[_default()])


def _default() -> str:
    return (BUILT_IN / "default.toml").read_text("utf-8")


# --- what there is --------------------------------------------------------------------------------


async def test_me_says_which_forms_the_caller_files(company: ApiServer) -> None:
    files = {
        who: set((await company.get(who, "/me")).json()["files"]) for who in ("agent-n", "gm-1", "finance-1", "pm-1")
    }
    assert {"complaint", "car_hire", "leave", "statement"} <= files["agent-n"]
    assert "car_hire" not in files["gm-1"]
    assert "leave" in files["gm-1"]
    assert files["finance-1"] == {"statement"}
    assert "leave" not in files["pm-1"]


async def test_forms_are_listed_with_all_that_a_program_needs(company: ApiServer) -> None:
    listed = {one["name"]: one for one in (await company.get("agent-n", "/forms")).json()["forms"]}
    one = (await company.get("agent-n", "/forms/car_hire")).json()
    assert listed["car_hire"] == one
    assert one["title"] == {"en": "Car hire", "zh": "用车申请"}
    assert one["files"] == ["agent", "supervisor"]
    fields = {field["name"]: field for field in one["fields"]}
    assert fields["car"]["of"][0] == {"value": "van", "title": {"en": "Van", "zh": "面包车"}}
    assert fields["key_number"]["filled_by"] == "keys"
    assert fields["tolls"]["sum"] == "stops.toll"
    assert [column["name"] for column in fields["stops"]["columns"]] == ["place", "toll"]
    steps = {step["name"]: step for step in one["steps"]}
    assert steps["superior"]["any_of"] == ["supervisor", "department_manager"]
    assert steps["cost"]["decides"] == "cost"
    assert steps["keys"]["clock"]["working_time"]
    found = problem(await company.get("agent-n", "/forms/boat_hire"), 404, "not_found")
    assert "car_hire" in found["detail"]


async def test_the_document_has_each_form(company: ApiServer) -> None:
    document = (await company.http.get("/api/v1/openapi.json")).json()
    schemas, paths = document["components"]["schemas"], document["paths"]
    operation = paths["/api/v1/cases/car_hire"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    facts = schemas[schemas[body]["properties"]["facts"]["$ref"].rpartition("/")[2]]
    assert facts["required"] == ["fields"]
    fields = schemas[facts["properties"]["fields"]["$ref"].rpartition("/")[2]]
    assert fields["properties"]["cost"]["title"] == "Cost 费用"
    assert set(fields["required"]) == set(CAR)
    leaves = schemas["LeaveFields"]["properties"]
    assert leaves.keys() == {"from", "to", "emergency", "reason"}
