"""What a key reaches, and what it is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.server import ApiServer, intake, new_key, problem, quoted
from tests.api.test_live import watching

PUBLISHED = {"year": 2027, "published": {"source": "notice", "holidays": ["2027-01-01"]}}


async def test_a_key_that_may_not_read_gets_a_receipt(api: ApiServer) -> None:
    files, commands = await api.key(f"f-{new_key()}", "file"), await api.key(f"c-{new_key()}", "command")
    reads = await api.key(f"r-{new_key()}", "file", "read")
    body, headers = intake("complaint", "north"), {"Idempotency-Key": new_key()}
    for _ in range(2):
        answer = (await api.post(files, "/cases/complaint", body, headers=headers)).json()
        assert answer == {"id": f"complaint:{body['key']}", "number": answer["number"], "status": "open"}
    view = await api.recorded(answer["id"])
    assert answer["number"] == view["number"]
    assert (await api.do(commands, view["id"], "note", {"text": "x"})).json() == answer
    attached = {"name": "call.wav", "sha256": "0" * 64, "where": "s3://x/call.wav", "size": 5}
    assert (await api.post(commands, f"/cases/{quoted(view['id'])}/attachments", attached)).json() == answer
    assert (await api.post(reads, "/cases/complaint", intake())).json()["holder"] == "agent"


async def test_a_calendar_is_loaded_by_administration(api: ApiServer) -> None:
    case_id = await api.file(unit="north")
    name = f"administer-{new_key()}"
    await api.key(name, "administer", "read")
    system = await api.key(f"system-{new_key()}", "file", "command", "read")
    problem(await api.do(system, case_id, "load_calendar", PUBLISHED), 403, "scope")
    problem(await api.do("gm-1", case_id, "load_calendar", PUBLISHED), 403, "role")
    problem(await api.do("agent-e", case_id, "load_calendar", PUBLISHED), 404, "not_found")
    problem(await api.do(name, case_id, "note", {"text": "x"}), 403, "scope")
    actions = f"/cases/{case_id}/actions"
    assert "load_calendar" not in (await api.get(system, actions)).json()["actions"]
    assert (await api.get(name, actions)).json()["actions"] == ["load_calendar"]
    assert (await api.do(name, case_id, "load_calendar", PUBLISHED)).status_code == 200


async def test_a_finance_key_reaches_what_finance_does(api: ApiServer) -> None:
    name = await api.key(f"bank-{new_key()}", "command", "read", role="finance")
    claim, complaint = await api.file("claim"), await api.file("complaint")
    assert (await api.do(name, claim, "note", {"text": "x"})).status_code == 200
    problem(await api.do(name, complaint, "note", {"text": "x"}), 404, "not_found")
    problem(await api.get(name, f"/cases/{complaint}"), 404, "not_found")
    assert {one["kind"] for one in (await api.get(name, "/cases")).json()["cases"]} == {"claim"}


async def test_a_customer_key_reaches_the_cases_of_its_customers(api: ApiServer) -> None:
    name = await api.key(
        f"shop-{new_key()}", "file", "command", "read", role="customer", units=["north"], customers=["C-8", "C-9"]
    )
    nobody = await api.key(f"shop-{new_key()}", "file", "command", "read", role="customer")
    mine = await api.file(customer={"ref": "C-8", "name": "Zhang"})
    others = [
        await api.file(customer={"ref": "C-88"}), await api.file(), await api.file(customer=None),
        await api.file(unit="east", customer={"ref": "C-8"}),
    ]  # fmt: skip
    for case_id in (mine, *others):
        for who in (name, nobody):
            status = 200 if (case_id, who) == (mine, name) else 404
            for path in ("", "/timeline", "/clocks", "/personal", "/actions"):
                assert (await api.get(who, f"/cases/{case_id}{path}")).status_code == status, (case_id, path)
            assert (await api.do(who, case_id, "note", {"text": "x"})).status_code == status
    listed = (await api.get(name, "/cases", params={"limit": 200})).json()
    assert ([one["id"] for one in listed["cases"]], listed["after"]) == ([mine], None)
    assert (await api.get(nobody, "/cases")).json()["cases"] == []
    assert (await api.get(name, "/approvals")).json()["approvals"] == []
    me = (await api.get(name, "/me")).json()
    assert (me["customers"], me["files"][0], me["units"]) == (["C-8", "C-9"], "complaint", ["north"])
    # It files for them alone, and reaches at once what it has filed.
    for facts in (
        {"customer": {"ref": "C-88"}},
        {"customer": {"name": "C-8"}},
        {"customer": ["C-8"]},
        {"customer": "C-8"},
    ):
        refused = await api.post(name, "/cases/complaint", intake(**facts))
        assert "C-8" not in problem(refused, 403, "other_customer")["detail"]
    problem(await api.post(nobody, "/cases/complaint", intake(customer={"ref": "C-8"})), 403, "other_customer")
    filed = await api.post(name, "/cases/complaint", intake(customer={"ref": "C-9"}))
    assert (await api.do(name, filed.json()["id"], "note", {"text": "x"})).status_code == 200
    # Nothing of theirs springs from a case of somebody else.
    for parent, status in ((mine, 200), (others[0], 404), ("complaint:none", 404)):
        body = {**intake(customer={"ref": "C-9"}), "parent": parent}
        assert (await api.post(name, "/cases/complaint", body)).status_code == status, parent
    # Whoever the case was about, nobody knows once that is erased.
    await api.backend.book.erase_personal(mine)
    problem(await api.get(name, f"/cases/{mine}"), 404, "not_found")


async def test_a_customer_key_hears_of_its_customers(api: ApiServer) -> None:
    name = await api.key(f"shop-{new_key()}", "read", role="customer", customers=["C-7"])
    nobody = await api.key(f"shop-{new_key()}", "read", role="customer")
    async with watching(api, name) as reader, watching(api, nobody) as blind:
        await asyncio.gather(api.file(customer={"ref": "C-77"}), api.file())
        mine = await api.file(customer={"ref": "C-7"})
        first, *_ = found = await reader.read(2)
        assert {event["case"] for event in found} == {mine}
        assert "C-7" not in str(first)
        with pytest.raises(TimeoutError):
            await blind.read(1, 0.3)
    # From the beginning too, which the ledger is read for.
    async with watching(api, name, after="0-0") as reader:
        assert (await reader.read(1)) == [first]


async def test_a_revoked_key_forgets_whom_it_spoke_for(api: ApiServer) -> None:
    name = await api.key(f"shop-{new_key()}", "read", role="customer", customers=["C-6"])
    await api.services.keys.revoke(name)
    assert [one.customers for one in await api.services.keys.all() if one.name == name] == [frozenset()]
