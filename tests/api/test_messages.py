"""Messages of customers by HTTP: kept once, whatever they say, and read before they are kept."""

from __future__ import annotations

import asyncio
from typing import Any

from activities.replies.handle import Letters
from activities.replies.inbox import Inbox
from cases.policy.model import Policy
from tests.activities import letters
from tests.api.server import ApiServer, new_key
from tests.temporal import eventually

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


async def answering(api: ApiServer) -> None:
    """Do what a worker does until no message waits for one."""

    async def in_force() -> Policy:
        return await api.services.policies.in_force("default")

    cases = api.services.cases
    while (
        await Letters(api.services.database, cases.command, cases.open, in_force, api.services.attachments).next()
        is not None
    ):
        pass


async def waiting(api: ApiServer, *texts: str, **more: Any) -> list[int]:
    """Bring messages of nobody's case, and return their ids once they wait for a person."""
    key = await api.key(f"gateway-{new_key()}", "command")
    for text in texts:
        told = {"id": text[:100], "from": "13800009999", "text": text, **more}
        assert (await api.post(key, "/messages", told)).json() == {"state": "waits"}
    await answering(api)
    listed = await api.get("agent-n", "/messages", params={"limit": 200})
    found = {one["text"]: one["id"] for one in listed.json()["messages"]}
    return [found[text if len(text) <= 300 else f"{text[:300]}…"] for text in texts]


async def test_who_wrote_is_masked_until_somebody_looks(api: ApiServer) -> None:
    [number] = await waiting(api, "Where is it? " + "x" * 400)
    [listed] = [one for one in (await api.get("super-e", "/messages")).json()["messages"] if one["id"] == number]
    assert (listed["from"], listed["why"], len(listed["text"])) == ({"phone": "•••999"}, "unmatched", 301)
    assert (await api.get("gm-1", "/looks", params={"message": number})).json() == {"looks": []}
    whole = (await api.get("super-e", f"/messages/{number}")).json()
    assert (whole["from"], len(whole["text"])) == ({"phone": "13800009999"}, 413)
    [look] = (await api.get("gm-1", "/looks", params={"message": number})).json()["looks"]
    assert (look["caller"], look["masked"]) == ("super-e", False)
    assert (await api.get("super-e", "/looks", params={"message": number})).status_code == 403
    # No case is called so.
    assert (await api.get("gm-1", f"/cases/message%2F{number}/looks")).status_code == 404


async def test_a_message_is_added_to_a_case_that_one_sees(api: ApiServer) -> None:
    number, other = await waiting(api, "It is broken.", "It is broken, too.")
    case_id = await api.file("complaint", "north")
    assert (await api.post("agent-e", f"/messages/{number}/add", {"case": case_id})).json()["code"] == "not_found"
    view = (await api.get("agent-n", f"/cases/{case_id}")).json()
    named = {"case": f"complaint {view['number']}"}
    headers = {"Idempotency-Key": f"add-{number}"}
    for _ in range(2):
        answer = await api.post("agent-n", f"/messages/{number}/add", named, headers=headers)
        assert answer.json() == {"id": number, "state": "added", "case": case_id}, answer.text
    again = await api.post("super-n", f"/messages/{number}/dismiss", {"reason": "spam"})
    assert (again.status_code, again.json()["code"]) == (409, "message_settled")
    assert "agent-n has settled it" in again.json()["detail"]
    assert (await api.get("super-n", f"/messages/{number}")).status_code == 409
    await answering(api)
    told = await eventually(
        lambda: api.backend.book.events(case_id), lambda seen: any(one["type"] == "customer_wrote" for one in seen)
    )
    [wrote] = [one for one in told if one["type"] == "customer_wrote"]
    assert wrote["data"]["text"] == "It is broken."
    # A closed one takes none, and the message goes on waiting.
    await api.do("gm-1", case_id, "withdraw", {"reason": "by mistake"})
    await eventually(
        lambda: api.backend.book.case(case_id), lambda seen: seen is not None and seen["status"] == "closed"
    )
    refused = await api.post("agent-n", f"/messages/{other}/add", {"case": case_id})
    assert (refused.status_code, refused.json()["code"]) == (409, "closed")
    assert (await api.get("agent-n", f"/messages/{other}")).status_code == 200


async def test_of_two_people_one_settles_a_message(api: ApiServer) -> None:
    [number] = await waiting(api, "Spam!")
    answers = await asyncio.gather(
        *(api.post(who, f"/messages/{number}/dismiss", {"reason": "spam"}) for who in ("agent-n", "agent-e", "gm-1"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert number not in [one["id"] for one in (await api.get("gm-1", "/messages")).json()["messages"]]
    [wrong] = await waiting(api, "Spam again!")
    for reason in ("because", "", None, "张三"):
        answer = await api.post("agent-n", f"/messages/{wrong}/dismiss", {"reason": reason})
        assert answer.status_code in (400, 422), answer.text


async def test_what_somebody_has_in_hand_may_be_settled_with_the_same_key_later(api: ApiServer) -> None:
    [number] = await waiting(api, "Spam in hand!")
    inbox = Inbox(api.services.database)
    claimed = await inbox.claim(number)
    assert claimed is not None
    headers = {"Idempotency-Key": f"dismiss-{number}"}
    busy = await api.post("agent-n", f"/messages/{number}/dismiss", {"reason": "spam"}, headers=headers)
    assert (busy.status_code, busy.json()["code"]) == (429, "busy")
    await inbox.release(claimed)
    answer = await api.post("agent-n", f"/messages/{number}/dismiss", {"reason": "spam"}, headers=headers)
    assert answer.json() == {"id": number, "state": "dismissed", "case": None}


async def test_all_that_waits_is_listed_page_by_page(api: ApiServer) -> None:
    numbers = await waiting(api, "Page one.", "Page two.", "Page three.")
    seen: list[int] = []
    after = None
    while not seen or after is not None:
        paging = {"limit": 1} if after is None else {"limit": 1, "after": after}
        page = (await api.get("agent-n", "/messages", params=paging)).json()
        seen += [one["id"] for one in page["messages"]]
        after = page["after"]
    assert seen[-3:] == numbers
    assert len(seen) == len(set(seen))
    wrong = await api.get("agent-n", "/messages", params={"after": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
