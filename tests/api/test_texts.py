"""Who reads what people wrote freely: views, timelines, clocks and the stream, by role and by scope."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from cases.registry import KINDS
from starter.access import SCOPES, Caller, may_read_texts
from tests.api.server import SHIPMENT, ApiServer, Json, new_key, quoted
from tests.api.test_live import batch, watching

MARK = "what somebody wrote"


@pytest.fixture(scope="module")
async def keyed(api: ApiServer) -> ApiServer:
    """The api with a key that reads texts and one that does not."""
    await api.key("key-plain", "file", "command", "read")
    await api.key("key-texts", *SCOPES)
    return api


async def seen(api: ApiServer, who: str, case_id: str) -> tuple[Json, list[Json], str]:
    """What somebody sees of a case: its view, its events, and all that they are told of it as text."""
    at = f"/cases/{quoted(case_id)}"
    answers = [await api.get(who, f"{at}{path}") for path in ("", "/timeline", "/clocks")]
    listed = await api.get(who, "/cases", params={"kind": case_id.partition(":")[0], "limit": "200"})
    text = "".join(answer.text for answer in [*answers, listed])
    assert '"field":' not in text.replace(" ", "")
    return answers[0].json(), answers[1].json()["events"], text


async def test_a_report_is_read_by_those_whose_it_is(keyed: ApiServer) -> None:
    case_id = await keyed.file("exception", "north")
    for who, name, body in (
        ("agent-n", "acknowledge", {}),
        ("agent-n", "log_contact", {"reached": False, "reason": f"{MARK} 0"}),
        ("qa-1", "find", {"cause": f"{MARK} 1", "responsibility": f"{MARK} 2", "report": "genuine"}),
        ("qa-1", "correct", {"action": f"{MARK} 3"}),
    ):
        answer = await keyed.do(who, case_id, name, body)
        assert answer.status_code == 200, answer.text
    # At once, while the ledger may not have it yet.
    assert answer.json()["found"] == f"{MARK} 1"
    await keyed.recorded(case_id, answer.json()["events"])
    for who in ("agent-n", "super-n", "super-hq", "qa-1", "gm-1", "auditor-1", "key-texts"):
        view, events, text = await seen(keyed, who, case_id)
        assert view["found"] == f"{MARK} 1", who
        assert [event["data"]["cause"] for event in events if event["type"] == "found"] == [f"{MARK} 1"]
        assert all(f"{MARK} {number}" in text for number in range(4)), who
    told = await seen(keyed, "gm-1", case_id)
    for who in ("pm-1", "key-plain"):
        view, events, text = await seen(keyed, who, case_id)
        assert view["found"] is None
        assert MARK not in text
        [found] = [event["data"] for event in events if event["type"] == "found"]
        assert found == {"report": "genuine"}
        # Everything else is the same.
        assert {**view, "found": f"{MARK} 1"} == told[0]
        assert [event["seq"] for event in events] == [event["seq"] for event in told[1]]
    # Also what a command is answered.
    assert (await keyed.do("key-plain", case_id, "note", {"text": "x"})).json()["found"] is None
    answer = await keyed.do("key-texts", case_id, "note", {"text": "x"})
    assert answer.json()["found"] == f"{MARK} 1"
    await keyed.recorded(case_id, answer.json()["events"])
    # A view that an earlier release recorded holds the text itself.
    owner = await asyncpg.connect(keyed.backend.database)
    await owner.execute(
        "UPDATE case_file SET view = view || $2::jsonb WHERE case_id = $1", case_id, '{"found": "then"}'
    )
    await owner.close()
    found = [
        (await keyed.get(who, f"/cases/{quoted(case_id)}")).json()["found"] for who in ("gm-1", "pm-1", "key-plain")
    ]
    assert found == ["then", None, None]


async def test_finance_reads_the_texts_of_the_claims_that_it_is_asked_about(keyed: ApiServer) -> None:
    insured = {**SHIPMENT, "waybill": new_key(), "insured_amount": "500.00"}
    loss = {"total_value": "500.00", "lost_value": "100.00"}
    case_id = await keyed.file("claim", "north", shipment=insured, loss=loss)
    over = {"cause": "company", "override": {"amount": "150.00", "reason": MARK}}
    answer = await keyed.do("super-n", case_id, "assess", over)
    assert answer.json()["assessment"]["overridden"]["reason"] == MARK, answer.text
    await keyed.recorded(case_id, answer.json()["events"])
    view, _, text = await seen(keyed, "finance-1", case_id)
    assert view["assessment"]["overridden"]["reason"] is None
    assert MARK not in text
    approvals = await keyed.get("finance-1", "/approvals")
    assert MARK not in approvals.text


async def test_a_proposal_keeps_its_places(keyed: ApiServer) -> None:
    case_id = await keyed.file("complaint", "north")
    answer = await keyed.do("agent-n", case_id, "propose", {"options": [f"{MARK} 0", f"{MARK} 1"]})
    assert answer.json()["offered"] == f"{MARK} 0"
    await keyed.recorded(case_id, answer.json()["events"])
    view, events, _ = await seen(keyed, "key-plain", case_id)
    assert view["offered"] is None
    assert [event["data"] for event in events if event["type"] in ("proposed", "option_offered")] == [
        {"options": ["", ""]},
        {},
    ]
    # What may be done does not depend on it.
    actions = (await keyed.get("agent-n", f"/cases/{quoted(case_id)}/actions")).json()["actions"]
    assert "answer_option" in actions
    assert "propose" not in actions


async def test_the_stream_has_texts_for_those_who_read_all(keyed: ApiServer) -> None:
    case_id = f"complaint:{new_key()}"
    async with watching(keyed, "gm-1", case=case_id) as all_, watching(keyed, "key-plain", case=case_id) as bare:
        await keyed.backend.book.record(batch(case_id, 1, 1, text=MARK))
        (with_text,), (without,) = await all_.read(1), await bare.read(1)
    assert with_text["event"]["data"] == {"text": MARK}
    assert without == {**with_text, "event": {**with_text["event"], "data": {}}}


def _caller(role: str, id: str = "x-1", kind: Any = "person", scopes: tuple[str, ...] = ()) -> Caller:
    return Caller(id, role, None, kind, frozenset(scopes))


def test_who_acts_in_a_case_reads_it() -> None:
    view: Json = {"kind": "claim", "unit": None, "holder": "agent", "approvals": [], "waits_for": []}
    asked = {"role": "general_manager", "also": ["finance"], "state": "approved"}
    summary: Json = {**view, "kind": "summary", "signed": [{"role": "project_manager", "id": "pm-1"}]}
    waiting = {"waits_for": [{"what": "signature", "role": "director", "person": None}]}
    parties = {"outgoing": {"id": "a-1", "role": "agent"}, "relief": {"id": "pm-1", "role": "project_manager"}}
    for caller, case, reads in (
        (_caller("finance"), view, False),
        (_caller("finance"), {**view, "approvals": [asked]}, True),
        (_caller("director"), summary, False),
        (_caller("director"), {**summary, **waiting}, True),
        (_caller("project_manager"), summary, True),
        (_caller("project_manager", "pm-1"), {**view, "kind": "handover", **parties, "signed": []}, True),
        (_caller("project_manager", "pm-2"), {**view, "kind": "handover", **parties, "signed": []}, False),
        (_caller("department_manager"), {**view, "kind": "swap", "signed": None,
                                         "facts": {"initiator": {"id": "a"}, "counterparty": {"id": "b"}}}, False),
        (_caller("agent"), view, True),
        (_caller("headquarters"), view, True),
        # Whoever is of outside reads none, whatever they are asked.
        (_caller("customer"), {**view, "approvals": [{**asked, "role": "customer"}]}, False),
        (_caller("platform"), view, False),
        (_caller("system", kind="system", scopes=("read", "command")), view, False),
        (_caller("system", kind="system", scopes=("read", "texts")), view, True),
        # For whom these speak, whatever a key of an earlier version says.
        (_caller("customer", kind="system", scopes=("read", "texts")), view, False),
        (_caller("platform", kind="system", scopes=("read", "texts")), view, False),
    ):  # fmt: skip
        assert may_read_texts(caller, case) is reads, (caller, case)
    assert {"summary", "handover", "swap", "claim"} <= KINDS.keys()
