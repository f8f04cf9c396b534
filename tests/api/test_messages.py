"""Messages of customers by HTTP: kept once, whatever they say, and read before they are kept."""

from __future__ import annotations

from typing import Any

from activities.replies.inbox import Inbox
from tests.activities import letters
from tests.api.server import ApiServer

MESSAGE = {
    "id": "sms-7",
    "from": "13800001234",
    "text": "Still not here.",
    "number": "2026-03-0001",
    "in_reply_to": "a",
}


async def bring(api: ApiServer, who: str, raw: bytes, sort: str = "message/rfc822") -> Any:
    headers = {"Authorization": f"Bearer {api.token(who)}", "Content-Type": sort}
    return await api.http.post("/api/v1/messages", headers=headers, content=raw)


async def test_a_gateway_brings_a_message_once(api: ApiServer) -> None:
    key = await api.key("sms-gateway", "command")
    answers = [await api.post(key, "/messages", {**MESSAGE, "text": text}) for text in ("Still not here.", "Other")]
    assert [answer.json() for answer in answers] == [{"state": "waits"}, {"state": "known"}]
    other = await api.key("web-gateway", "file")
    told = {"id": "sms-7", "ref": "VIP-1", "text": "x" * 9000, "via": "web"}
    assert (await api.post(other, "/messages", told)).json() == {"state": "waits"}
    inbox = Inbox(api.services.database)
    first, second = [await inbox.take(), await inbox.take()]
    assert first is not None
    assert second is not None
    assert (first.sender, first.via, first.named, first.text) == (
        {"phone": "13800001234"},
        "message",
        ("a",),
        "Still not here.",
    )
    assert first.references == (("", "2026-03-0001"),)
    assert (second.sender, second.via, len(second.text)) == ({"ref": "VIP-1"}, "web", 4000)


async def test_a_mail_server_brings_a_mail_as_it_came(api: ApiServer) -> None:
    key = await api.key("mail-server", "file")
    found = [await bring(api, key, raw) for raw in (letters.PLAIN, letters.PLAIN, letters.GMAIL_AWAY, letters.NOTICE)]
    assert [answer.json()["state"] for answer in found] == ["waits", "known", "auto", "loop"]
    # One with large attachments is read as far as its texts go.
    long = letters.OUTLOOK.replace(b"AAAA", b"A" * 5_000_000)
    assert (await bring(api, key, long)).json() == {"state": "waits"}


async def test_what_is_no_message_is_refused(api: ApiServer) -> None:
    key = await api.key("bad-gateway", "command")
    for wrong in (
        {**MESSAGE, "ref": "VIP-1"},
        {"id": "1", "text": "x"},
        {**MESSAGE, "text": ""},
        {**MESSAGE, "via": "mail"},
        {**MESSAGE, "extra": 1},
    ):
        answer = await api.post(key, "/messages", wrong)
        assert (answer.status_code, answer.json()["code"]) in ((400, "malformed"), (422, "invalid")), answer.text
        assert "1380" not in answer.text
    assert (await bring(api, key, b"x", "text/plain")).status_code == 415


async def test_nobody_says_by_a_command_that_a_customer_wrote(api: ApiServer) -> None:
    case_id = await api.file("complaint", "north")
    key = await api.key("any-gateway", "command")
    for who in (key, "agent-n"):
        answer = await api.do(who, case_id, "customer_wrote", {"text": "x", "via": "mail"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_command")
