"""Every operation as every role, against a table written by hand: who gets where, and who is turned away."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from cases.vocabulary.refusals import Refused
from starter.api import actions
from starter.api.app import bare_app
from tests.api.server import CUSTOMER, SHIPMENT, ApiServer, intake, quoted

# Who calls, in the order of the columns below. The case is one of the unit north.
#
#   n  agent of north            N  supervisor of north (north-1 lies below it)
#   1  agent of north-1          E  supervisor of east
#   e  agent of east             H  supervisor of headquarters
#   Q  QA manager   G  general manager   A  auditor   F  finance   P  project manager
#   B  business   M  business manager   W  warehouse keeper   C  accounting
#   f  key for filing   c  key for commands   r  key for reading   x  key for everything, of east
#   b  key for everything, of finance   k  key for everything, of another customer
#   -  nobody
WHO = {
    "n": "agent-n", "1": "agent-n1", "e": "agent-e", "N": "super-n", "E": "super-e", "H": "super-hq", "Q": "qa-1",
    "G": "gm-1", "A": "auditor-1", "F": "finance-1", "P": "pm-1", "B": "biz-1", "M": "bm-1",
    "W": "keeper-1", "C": "acc-1", "f": "key-file", "c": "key-command",
    "r": "key-read", "x": "key-east", "b": "key-finance", "k": "key-customer", "-": None,
}  # fmt: skip
COLUMNS = ["n", "1", "e", "N", "E", "H", "Q", "G", "A", "F", "P", "B", "M", "W", "C", "f", "c", "r", "x", "b", "k", "-"]
# Signs: + done, F forbidden (403), 4 no such case (404), U who are you (401), R the rules say no (403 by the case)
TABLE = """
                                          n 1 e N E H Q G A F P B M W C f c r x b k -
GET  /me                                  + + + + + + + + + + + + + + + + + + + + + U
GET  /policy                              + + + + + + + + + + + + + + + F F + + + + U
GET  /cases                               + + + + + + + + + + + + + + + F F + + + + U
GET  /approvals                           + + + + + + + + + + + + + + + F F + + + + U
GET  /events                              + + + + + + + + + + + + + + + F F + + + + U
GET  /cases/COMPLAINT                     + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /cases/CLAIM                         + 4 4 + 4 + + + + + 4 4 4 4 4 F F + 4 + 4 U
GET  /cases/EXCEPTION                     + 4 4 + 4 + + + + 4 + 4 4 + 4 F F + 4 4 4 U
GET  /cases/RETURN                        + 4 4 + 4 + + + + 4 + + + + + F F + 4 4 4 U
GET  /cases/QUALITY                       + 4 4 + 4 + + + + 4 + + + + + F F + 4 4 4 U
GET  /cases/LEAVE                         + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /forms                               + + + + + + + + + + + + + + + F F + + + + U
GET  /forms/{name}                        + + + + + + + + + + + + + + + F F + + + + U
GET  /cases/COMPLAINT/timeline            + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /cases/COMPLAINT/clocks              + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /cases/COMPLAINT/personal            + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /cases/COMPLAINT/linked              + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /cases/COMPLAINT/actions             + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /cases/COMPLAINT/looks               F 4 4 F 4 F + + + 4 4 4 4 4 4 F F F 4 4 4 U
GET  /cases/COMPLAINT/files               + 4 4 + 4 + + + + 4 4 4 4 4 4 F F + 4 4 4 U
GET  /cases/COMPLAINT/files/{file}        4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 F F 4 4 4 4 U
GET  /looks                               F F F F F F + + + F F F F F F F F F F F F U
GET  /cases/COMPLAINT/proof               F 4 4 F 4 F + + + 4 4 4 4 4 4 F F F 4 4 4 U
GET  /audit/checkpoint                    F F F F F F + + + F F F F F F F F F F F F U
POST /cases/complaint                     + F F + F + + + F F F F F F F + F F F F F U
POST /cases/claim                         + F F + F + + + F F F F F F F + F F F F F U
POST /cases/exception                     + F F + F + + + F F + F F + F + F F F F F U
POST /cases/inquiry                       + F F + F + + + F F F F F F F + F F F F F U
POST /cases/return                        + F F + F + + + F F + + + + + + F F F F F U
POST /cases/quality                       + F F + F + + + F F + + + + + + F F F F F U
POST /cases/COMPLAINT/commands/note       + 4 4 + 4 + + + F 4 4 4 4 4 4 F + F 4 4 4 U
POST /cases/CLAIM/commands/note           + 4 4 + 4 + + + F + 4 4 4 4 4 F + F 4 + 4 U
POST /cases/COMPLAINT/commands/reply      + 4 4 + 4 + + + F 4 4 4 4 4 4 F R F 4 4 4 U
POST /cases/COMPLAINT/commands/extend     R 4 4 + 4 + + + F 4 4 4 4 4 4 F R F 4 4 4 U
POST /cases/RETURN/commands/note          + 4 4 + 4 + + + F 4 R + + + + F + F 4 4 4 U
POST /cases/RETURN/commands/sign          R 4 4 R 4 R R R F 4 R R + R R F R F 4 4 4 U
POST /cases/RETURN/commands/exclude_receivable R 4 4 R 4 R R R F 4 R R R R + F R F 4 4 4 U
POST /cases/QUALITY/commands/note         + 4 4 + 4 + + + F 4 R + + R + F + F 4 4 4 U
POST /cases/QUALITY/commands/verify       R 4 4 R 4 R R R F 4 R + R R R F R F 4 4 4 U
POST /cases/CLAIM/payees                  + 4 4 + 4 + + + F + 4 4 4 4 4 F R F 4 + 4 U
POST /cases/COMPLAINT/attachments         + 4 4 + 4 + + + F 4 4 4 4 4 4 F + F 4 4 4 U
POST /cases/COMPLAINT/files               + 4 4 + 4 + + + F 4 4 4 4 4 4 F + F 4 4 4 U
POST /cases/COMPLAINT/commands/load_calendar F 4 4 F 4 F F F F 4 4 4 4 4 4 F F F F F F U
GET  /erasures                            F F F F F F + + + F F F F F F F F F F F F U
GET  /erasures/{number}                   F F F F F F 4 4 4 F F F F F F F F F F F F U
POST /erasures                            F F F F F F 4 4 F F F F F F F F F F F F F U
POST /erasures/{number}/approve           F F F F F F 4 4 F F F F F F F F F F F F F U
POST /erasures/{number}/reject            F F F F F F 4 4 F F F F F F F F F F F F F U
POST /messages                            F F F F F F F F F F F F F F F + + F F F F U
GET  /messages                            + + + + + + + + F F F F F F F F F F F F F U
GET  /messages/{number}                   4 4 4 4 4 4 4 4 F F F F F F F F F F F F F U
POST /messages/{number}/add               4 4 4 4 4 4 4 4 F F F F F F F F F F F F F U
POST /messages/{number}/dismiss           4 4 4 4 4 4 4 4 F F F F F F F F F F F F F U
GET  /holds                               F F F F F F + + + F F F F F F F F F F F F U
POST /holds                               F F F F F F 4 4 F F F F F F F F F F F F F U
POST /holds/lift                          F F F F F F 4 4 F F F F F F F F F F F F F U
"""
BODIES: dict[str, Any] = {
    "note": {"text": "seen"},
    "sign": {"text": "seen"},
    "verify": {"sample": True},
    "exclude_receivable": {"amount": "10.00", "salesperson": "sales-3"},
    "reply": {"stage": "interim", "text": "soon"},
    "extend": {"clock": "resolution", "due": "2027-03-01T10:00:00+08:00", "reason": "difficult"},
    "load_calendar": {"year": 2027, "published": {"source": "notice", "holidays": ["2027-01-01"]}},
    "payees": {"name": "Zhang San", "account": "6222", "method": "bank"},
    "erasures": {"case": "complaint:nobody", "why": "customer"},
    "holds": {"case": "complaint:nobody", "reference": "17"},
    "messages": {"id": "sms-1", "from": "13800000000", "text": "seen"},
    "lift": {"case": "complaint:nobody"},
    "add": {"case": "complaint:nobody"},
    "dismiss": {"reason": "spam"},
    "attachments": {"name": "call.wav", "sha256": "0" * 64, "where": "s3://x/call.wav", "size": 5},
}
STATUS = {"+": (200,), "F": (403,), "4": (404,), "U": (401,), "R": (403,)}
LINES = [line.split() for line in TABLE.strip().splitlines()[1:]]


@pytest.fixture(scope="module")
async def keyed(api: ApiServer) -> ApiServer:
    """The api with a key for each purpose."""
    for scope in ("file", "command", "read"):
        await api.key(f"key-{scope}", scope)
    await api.key("key-east", "file", "command", "read", units=["east"])
    await api.key("key-finance", "file", "command", "read", role="finance")
    await api.key("key-customer", "file", "command", "read", role="customer", customers=["C-other"])
    return api


@pytest.mark.parametrize("line", LINES, ids=[" ".join(line[:2]) for line in LINES])
async def test_who_gets_where(keyed: ApiServer, line: list[str]) -> None:
    method, path, *signs = line
    assert len(signs) == len(COLUMNS)
    if "LEAVE" in path:
        path = path.replace("LEAVE", quoted(await keyed.file_leave("agent-n")))
    if re.search("COMPLAINT|CLAIM|EXCEPTION|RETURN|QUALITY", path):
        kind = path.split("/")[2]
        case_id = await keyed.file(kind.lower(), "north")
        path = path.replace(kind, quoted(case_id))
        if path.endswith("/proof"):
            await keyed.checkpoint(case_id)
    if path == "/audit/checkpoint":
        await keyed.checkpoint(await keyed.file("complaint", "north"))
    answers = await asyncio.gather(*(_ask(keyed, WHO[column], method, path) for column in COLUMNS))
    for column, sign, (status, text) in zip(COLUMNS, signs, answers, strict=True):
        # Whether an extension is granted depends on the law; that the role may ask is the matter here.
        allowed = (200, 409) if sign == "+" and path.endswith("extend") else STATUS[sign]
        assert status in allowed, f"{WHO[column]}: {method} {path}: {status} {text[:300]}"


async def _ask(api: ApiServer, who: str | None, method: str, path: str) -> tuple[int, str]:
    if path == "/events":
        # It never ends, so only its beginning is looked at.
        headers = {} if who is None else {"Authorization": f"Bearer {api.token(who)}"}
        async with api.http.stream("GET", f"/api/v1{path}", headers=headers) as begun:
            return begun.status_code, ""
    name = path.rpartition("/")[2]
    path = path.replace("{number}", "999999").replace("{name}", "leave").replace("{file}", "0" * 32)
    if method == "POST" and name == "files":
        headers = {} if who is None else {"Authorization": f"Bearer {api.token(who)}"}
        sent = await api.http.post(f"/api/v1{path}", headers=headers, files={"file": ("a.txt", b"seen")})
        return sent.status_code, sent.text
    answer = await api.call(who, method, path, None if method == "GET" else _body(name))
    return answer.status_code, answer.text


def _body(name: str) -> Any:
    if name in ("approve", "reject"):
        return None
    return BODIES.get(name) or intake(name, "north")


def test_the_table_has_every_operation() -> None:
    """What is not in the table is a command, and those share their way in."""
    known = {
        (method, re.sub("(COMPLAINT|CLAIM|EXCEPTION|RETURN|QUALITY)", "{case_id}", path)) for method, path, *_ in LINES
    }
    for path, operations in bare_app({}).openapi()["paths"].items():
        for method in operations:
            operation = (method.upper(), path.removeprefix("/api/v1"))
            assert operation in known or "/commands/" in path, operation


async def test_every_command_turns_strangers_away(keyed: ApiServer) -> None:
    """Each command asks the same things first, whatever its body says."""
    case_id = await keyed.file("complaint", "north")
    history = len(await keyed.backend.book.events(case_id))
    commands = {path for path in bare_app({}).openapi()["paths"] if "/commands/" in path}
    assert len(commands) > 30
    for path in sorted(commands):
        own = path.removeprefix("/api/v1").replace("{case_id}", quoted(case_id))
        assert (await keyed.post(None, own, {})).status_code == 401, path
        assert (await keyed.post("agent-e", own, {})).status_code == 404, path
        assert (await keyed.post("auditor-1", own, {})).status_code == 403, path
        assert (await keyed.post("key-read", own, {})).status_code == 403, path
    events = await keyed.backend.book.events(case_id)
    assert not [event for event in events[history:] if event["actor"]["id"] in ("agent-e", "auditor-1", "key-read")]


async def test_a_command_is_by_who_sends_it(keyed: ApiServer) -> None:
    case_id = await keyed.file("complaint", "north")
    for by in ({"id": "gm-1", "role": "general_manager"}, {"id": "agent-n", "role": "supervisor"}, "agent-n", None):
        answer = await keyed.do("agent-n", case_id, "note", {"text": "x", "by": by})
        assert (answer.status_code, answer.json()["code"]) == (403, "not_you"), answer.text
    own = {"text": "mine", "by": {"id": "agent-n", "role": "agent"}}
    assert (await keyed.do("agent-n", case_id, "note", own)).status_code == 200
    assert (await keyed.do("key-command", case_id, "note", {"text": "from the system"})).status_code == 200
    notes = [event for event in await keyed.backend.client.timeline(case_id) if event["type"] == "noted"]
    actors = [event["actor"] for event in notes]
    assert actors == [{"id": "agent-n", "role": "agent", "person": "p-77"}, {"id": "key-command", "role": "system"}]


async def test_a_list_shows_only_what_may_be_seen(keyed: ApiServer) -> None:
    waybill = "W-seen"
    shipment = {**SHIPMENT, "waybill": waybill}
    ids = {
        (kind, unit): await keyed.file(kind, unit, shipment=shipment)
        for kind, unit in (("complaint", "north"), ("complaint", "north-1"), ("claim", "east"), ("complaint", None))
    }
    seen = {
        "agent-n": {"complaint north"},
        "agent-n1": {"complaint north-1"},
        "agent-e": {"claim east"},
        "super-n": {"complaint north", "complaint north-1"},
        "super-hq": {"complaint north", "complaint north-1", "claim east", "complaint None"},
        "auditor-1": {"complaint north", "complaint north-1", "claim east", "complaint None"},
        "finance-1": {"claim east"},
        "pm-1": set(),
        "key-east": {"claim east"},
    }
    for who, wanted in seen.items():
        found = (await keyed.get(who, "/cases", params={"waybill": waybill})).json()["cases"]
        names = {f"{kind} {unit}" for (kind, unit), case_id in ids.items() if case_id in {one["id"] for one in found}}
        assert names == wanted, who
        assert len(found) == len(wanted), who


async def test_what_the_system_makes_by_itself_is_not_filed(keyed: ApiServer) -> None:
    for kind in ("summary", "handover", "swap", "letter"):
        assert (await keyed.post("gm-1", f"/cases/{kind}", intake())).status_code in (404, 405)
        caller = await keyed.services.verifier.caller(keyed.token("gm-1"))
        with pytest.raises(Refused, match="complaint, claim, exception, inquiry, return, quality"):
            await actions.file(keyed.services, caller, kind, intake())


async def test_a_caller_of_a_unit_files_for_it_alone(keyed: ApiServer) -> None:
    refused = await keyed.post("agent-n", "/cases/complaint", intake(unit="east"))
    assert refused.json()["code"] == "unit"
    assert "north" in refused.json()["detail"]
    assert (await keyed.post("agent-n", "/cases/complaint", intake(unit=None))).json()["code"] == "unit"
    assert (await keyed.post("super-n", "/cases/complaint", intake(unit="north-1"))).status_code == 200
    assert (await keyed.post("key-east", "/cases/complaint", intake(unit="north"))).json()["code"] == "unit"
    assert CUSTOMER["name"] not in refused.text
