"""Reading over HTTP: a case, its timeline, clocks and people, lists and their pages."""

from __future__ import annotations

from urllib.parse import quote

from tests.api.server import SHIPMENT, ApiServer, Json, intake, new_key, problem, quoted
from tests.temporal import eventually


async def test_a_case_is_filed_and_read(api: ApiServer) -> None:
    sent = intake()
    answer = await api.post("agent-n", "/cases/complaint", sent)
    assert answer.status_code == 200
    view = answer.json()
    assert view["id"] == f"complaint:{sent['key']}"
    assert answer.headers["location"] == f"/api/v1/cases/{view['id']}"
    assert not any(text in answer.text for text in ("Wang", "13800001234"))
    recorded = await api.recorded(view["id"])

    async def read() -> tuple[Json, Json | None]:
        answer = await api.get("agent-n", f"/cases/{view['id']}")
        return answer.json(), await api.backend.book.case(view["id"])

    # Once its first notices have come out, it says what the casebook says.
    found, _ = await eventually(read, lambda both: both[0] == both[1])
    assert found["number"] == recorded["number"]
    events = (await api.get("agent-n", f"/cases/{view['id']}/timeline")).json()["events"]
    assert [event["type"] for event in events][:1] == ["case_opened"]
    clocks = (await api.get("agent-n", f"/cases/{view['id']}/clocks")).json()["clocks"]
    # What the ledger says of the clocks is what the case itself says.
    own = await api.backend.client.explain(view["id"])
    assert {one["clock"]: one["due"] for one in clocks} == {one["clock"]: one["due"] for one in own}
    assert all(one["clause"] for one in clocks)


async def test_the_same_key_is_the_same_case_and_other_content_a_conflict(api: ApiServer) -> None:
    sent = intake()
    first, second = [await api.post("agent-n", "/cases/complaint", sent) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["id"] == second.json()["id"]
    other = await api.post("agent-n", "/cases/complaint", {**sent, "facts": {**sent["facts"], "category": "loss"}})
    problem(other, 409, "conflict")


async def test_ids_with_slashes_and_names_of_operations(api: ApiServer) -> None:
    key = f"{new_key()}/a:b/timeline"
    filed = await api.post("gm-1", "/cases/complaint", {**intake(), "key": key})
    assert filed.status_code == 200
    case_id = filed.json()["id"]
    await api.recorded(case_id)
    assert filed.headers["location"] == f"/api/v1/cases/{quoted(case_id)}"
    for path in (quoted(case_id), quote(case_id, safe="")):
        assert (await api.get("gm-1", f"/cases/{path}")).json()["id"] == case_id
        assert "events" in (await api.get("gm-1", f"/cases/{path}/timeline")).json()
        done = await api.post("agent-n", f"/cases/{path}/commands/note", {"text": "x"})
        assert done.json()["id"] == case_id
    # Plain slashes serve where they cannot be misread; here they read as the timeline of a shorter key.
    problem(await api.get("gm-1", f"/cases/{case_id}"), 404, "not_found")
    plain = await api.post("gm-1", "/cases/complaint", {**intake(), "key": f"{new_key()}/a/b"})
    await api.recorded(plain.json()["id"])
    assert (await api.get("gm-1", f"/cases/{plain.json()['id']}")).json()["id"] == plain.json()["id"]


async def test_a_list_is_filtered(api: ApiServer) -> None:
    waybill = new_key()
    shipment = {"waybill": waybill, "posted_on": "2026-03-01"}
    ids = [await api.file("complaint", unit, shipment=shipment) for unit in ("north", "east")]
    inquiry = await api.file("inquiry", "north", shipment=shipment)
    assert (await api.do("agent-n", ids[0], "acknowledge")).status_code == 200
    await api.held(ids[0], "agent-n")

    async def found(**params: str) -> set[str]:
        answer = await api.get("gm-1", "/cases", params={"waybill": waybill, **params})
        assert answer.status_code == 200, answer.text
        return {view["id"] for view in answer.json()["cases"]}

    number = (await api.recorded(ids[0]))["number"]
    assert await found() == {*ids, inquiry}
    assert await found(kind="inquiry") == {inquiry}
    assert await found(unit="east") == {ids[1]}
    assert await found(holder="agent-n") == {ids[0]}
    assert await found(number=number, kind="complaint") == {ids[0]}
    assert await found(text=waybill, rung="agent", status="active") == {*ids, inquiry}
    assert await found(due_before="2000-01-01T00:00:00Z") == set()
    assert await found(is_breached="true") == set()
    assert await found(breached="rung", severity="normal", policy="default") == set()
    assert await found(opened_from="2001-01-01T00:00:00Z", opened_to="2002-01-01T00:00:00Z") == set()
    # The names are no part of what is found.
    assert (await api.get("gm-1", "/cases", params={"text": "Wang"})).json()["cases"] == []


async def test_pages_are_stable_while_cases_arrive(api: ApiServer) -> None:
    unit, before = f"page-{new_key()}", 12
    ids = [await api.file(unit=unit) for _ in range(before)]
    seen: list[str] = []
    after = None
    for _ in range(30):
        params = {"unit": unit, "order": "opened", "limit": "3", **({"after": after} if after else {})}
        page = (await api.get("gm-1", "/cases", params=params)).json()
        seen += [view["id"] for view in page["cases"]]
        after = page["after"]
        if after is None:
            break
        await api.file(unit=unit)
    # Newest first, so what arrives meanwhile is before the first page; nothing is skipped or shown twice.
    assert seen == list(reversed(ids))


async def test_a_bad_filter_is_named(api: ApiServer) -> None:
    for params, name in (
        ({"kind": "letter"}, "kind"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"colour": "red"}, "colour"),
        ({"due_before": "tomorrow"}, "due_before"),
        ({"due_before": "2026-03-01T10:00:00"}, "due_before"),
        ({"text": ""}, "text"),
    ):
        assert name in problem(await api.get("gm-1", "/cases", params=params), 400, "malformed")["detail"]
    for params, name in (
        ({"after": "nonsense"}, "after"),
        ({"unit": "a\0b"}, "unit"),
        ({"opened_from": "1999-12-31T00:00:00Z"}, "opened_from"),
    ):
        assert name in problem(await api.get("gm-1", "/cases", params=params), 422, "invalid")["detail"]


async def test_personal_data_is_for_who_handles_the_case_and_every_look_is_kept(api: ApiServer) -> None:
    case_id = await api.file("complaint", "north")
    waiting = (await api.get("agent-n", f"/cases/{case_id}/personal")).json()
    assert waiting["facts"]["customer"]["phone"] == "13800001234"
    assert (await api.do("agent-n", case_id, "acknowledge")).status_code == 200
    await api.held(case_id, "agent-n")
    mine = (await api.get("agent-n", f"/cases/{case_id}/personal")).json()
    assert (mine["masked"], mine["facts"]["customer"]["name"]) == (False, "Wang Xiaoming")
    for who in ("super-n", "qa-1", "gm-1", "auditor-1"):
        answer = await api.get(who, f"/cases/{case_id}/personal")
        assert answer.json()["masked"] is True
        assert answer.json()["facts"]["customer"] == {"name": "W***", "phone": "1***", "email": "w***"}
        assert answer.json()["facts"]["description"] == "c***"
        assert not any(text in answer.text for text in ("Wang", "1380"))
    problem(await api.get("agent-e", f"/cases/{case_id}/personal"), 404, "not_found")
    looks = (await api.get("auditor-1", f"/cases/{case_id}/looks")).json()["looks"]
    seen = [(look["caller"], look["masked"]) for look in reversed(looks)]
    assert seen == [
        ("agent-n", False), ("agent-n", False), ("super-n", True), ("qa-1", True), ("gm-1", True), ("auditor-1", True),
    ]  # fmt: skip
    problem(await api.get("agent-n", f"/cases/{case_id}/looks"), 403, "role")
    assert await api.backend.book.erase_personal(case_id)
    assert (await api.get("agent-n", f"/cases/{case_id}/personal")).json() == {
        "masked": False,
        "erased": True,
        "facts": {},
    }


async def test_a_text_finds_what_the_caller_may_read(api: ApiServer) -> None:
    waybill = f"YD-{new_key()}-{'77120934'}"
    case_id = await api.file("complaint", "north", category="loss", shipment={**SHIPMENT, "waybill": waybill})
    assert (await api.do("agent-n", case_id, "acknowledge")).status_code == 200
    await api.held(case_id, "agent-n")
    assert (await api.do("agent-n", case_id, "note", {"text": "紙箱被雨淋濕"})).status_code == 200

    async def noted() -> bool:
        return "noted" in [event["type"] for event in await api.backend.book.events(case_id)]

    assert await eventually(noted, bool)

    async def found(who: str, text: str, **more: str) -> bool:
        answer = await api.get(who, "/cases", params={"text": f"{waybill} {text}", **more})
        assert answer.status_code == 200, answer.text
        return [view["id"] for view in answer.json()["cases"]] == [case_id]

    await api.key("key-finding", "read")
    # Displayed words and a part of the waybill, for everybody; also a system.
    for who in ("agent-n", "super-n", "gm-1", "auditor-1", "key-finding"):
        assert await found(who, "丢失 loss 1209")
    # Notes for who reads them: not for a system without that scope.
    assert [who for who in ("agent-n", "super-n", "auditor-1", "key-finding") if await found(who, "纸箱 淋湿")] == [
        "agent-n", "super-n", "auditor-1"
    ]  # fmt: skip
    assert not await found("agent-e", "丢失")

    # What customers said, for whoever handles the case; each search is one look, without its words.
    async def searches() -> list[str]:
        looks = (await api.get("auditor-1", "/looks")).json()["looks"]
        assert all(look.keys() == {"caller", "role", "masked", "by_phone", "at"} for look in looks)
        return [look["caller"] for look in looks]

    before = await searches()
    assert await found("agent-n", "Xiaoming 1234 纸箱")
    assert [
        who for who in ("super-n", "qa-1", "gm-1", "auditor-1", "key-finding") if await found(who, "Xiaoming")
    ] == []
    assert await searches() == ["agent-n", *before]
    looks = (await api.get("auditor-1", f"/cases/{case_id}/looks")).json()["looks"]
    assert looks == []
    async with api.backend.book.database.connection() as connection:
        assert "xiaoming" not in str(await connection.fetch("SELECT l::text FROM personal_look AS l")).lower()
    assert await api.backend.book.erase_personal(case_id)
    assert not await found("agent-n", "Xiaoming")
    problem(await api.get("agent-n", "/looks"), 403, "role")


async def test_approvals_that_wait_for_me(api: ApiServer) -> None:
    case_id = await api.file("complaint", "north")
    ask = {"subject": "voucher", "amount": "900.00"}
    assert (await api.do("agent-n", case_id, "request_approval", ask)).status_code == 200

    async def waiting(who: str) -> list[str]:
        answer = await api.get(who, "/approvals")
        return [one["case"]["id"] for one in answer.json()["approvals"]]

    await eventually(lambda: waiting("super-n"), lambda ids: case_id in ids)
    assert case_id not in await waiting("super-e")
    assert case_id not in await waiting("agent-n")
    able = (await api.get("super-n", f"/cases/{case_id}/actions")).json()["actions"]
    assert {"approve", "reject"} <= set(able)
    assert "approve" not in (await api.get("agent-n", f"/cases/{case_id}/actions")).json()["actions"]
    assert (await api.get("auditor-1", f"/cases/{case_id}/actions")).json()["actions"] == []
    done = await api.do("super-n", case_id, "approve")
    assert done.json()["approvals"][0]["state"] == "approved"
    await eventually(lambda: waiting("super-n"), lambda ids: case_id not in ids)


async def test_me_and_the_policy(api: ApiServer) -> None:
    me = (await api.get("super-n", "/me")).json()
    assert (me["id"], me["role"], me["language"]) == ("super-n", "supervisor", "en")
    assert me["units"] == ["north", "north-1"]
    assert (await api.get("finance-1", "/me")).json()["kinds"] == ["claim", "statement"]
    now = (await api.get("agent-n", "/policy")).json()
    assert now["name"] == "default"
    assert "cross_company" in now["names"]
    case_id = await api.file()
    view = await api.recorded(case_id)
    pinned = (await api.get("agent-n", "/policy", params={"hash": view["policy_hash"]})).json()
    assert pinned["policy"] == now["policy"]
    problem(await api.get("agent-n", "/policy", params={"name": "none"}), 404, "not_found")
    problem(await api.get("agent-n", "/policy", params={"hash": "0" * 64}), 404, "not_found")
    problem(await api.get("agent-n", "/policy", params={"name": "../../etc/passwd"}), 400, "malformed")
