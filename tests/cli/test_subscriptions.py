"""``caseladder subscriptions`` against a running stack and a real subscriber."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.cli.program import Answer, Up, call
from tests.receiver import Receiver, always, receiver
from tests.temporal import eventually

NOWHERE = ("--data", "/nonexistent/caseladder")


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    """The subscriber."""
    async with receiver() as made:
        yield made


async def run(up: Up, *arguments: str) -> Answer:
    """Run a command while the subscriber goes on answering."""
    return await asyncio.to_thread(up, *arguments)


async def arrived(hook: Receiver, case: str) -> list[dict[str, Any]]:
    """What came of a case, once something has."""

    async def look() -> list[dict[str, Any]]:
        return [body["data"] for body in map(json.loads, (c.body for c in hook.calls)) if body["data"]["case"] == case]

    return await eventually(look, bool)


async def test_events_go_to_who_subscribes_until_it_is_removed(up: Up, hook: Receiver) -> None:
    made = (await run(up, "subscriptions", "add", hook.url(), "--types", "case_opened, noted", "--json")).json
    assert (made["state"], made["types"], made["kinds"], made["retry_for"]) == (
        "active", ["case_opened", "noted"], None, "P3D",
    )  # fmt: skip
    assert datetime.fromisoformat(made["created_at"]).tzinfo is not None
    filed = (await run(up, "file", "complaint", "--key", "SUB-1", "--set", "facts.category=delay", "--json")).json

    [opened] = await arrived(hook, filed["id"])

    assert (opened["event"]["type"], opened["kind"]) == ("case_opened", "complaint")
    assert re.fullmatch(r"\d{4}-\d\d-\d{4}", opened["number"])
    assert Webhook(made["secret"]).verify(hook.calls[0].body, hook.calls[0].headers)["type"] == "case_opened"
    for arguments in (("list",), ("list", "--json"), ("show", made["id"]), ("show", made["id"], "--json")):
        shown = await run(up, "subscriptions", *arguments)
        assert made["id"] in shown.out
        assert made["secret"].removeprefix("whsec_") not in shown.out

    before = len(hook.calls)
    replayed = await run(up, "subscriptions", "replay", made["id"], "--case", filed["id"], "--seq", "1")
    assert replayed.code == 0

    async def again() -> int:
        return len(hook.calls)

    await eventually(again, lambda seen: seen > before)
    assert hook.calls[before].id == next(one.id for one in hook.calls if one.event_key == (filed["id"], 1))
    removed = (await run(up, "subscriptions", "remove", made["id"], "--json")).json
    assert removed["state"] == "removed"
    assert made["id"] not in (await run(up, "subscriptions", "list")).out
    assert made["id"] in (await run(up, "subscriptions", "list", "--removed")).out
    assert "was removed; add a new one" in (await run(up, "subscriptions", "resume", made["id"])).refused(1)


async def test_a_dead_one_shows_and_can_be_resumed(up: Up, hook: Receiver) -> None:
    hook.behaviour = always("410 Gone")
    added = await run(up, "subscriptions", "add", hook.url(), "--kinds", "complaint", "--from", "start")
    assert "whsec_" in added.out
    assert "it is not shown again" in added.out
    [id] = [line.split()[1] for line in added.out.splitlines() if line.startswith("subscription ")]

    async def shown() -> dict[str, Any]:
        found: dict[str, Any] = (await run(up, "subscriptions", "show", id, "--json")).json
        return found

    parked = await eventually(shown, lambda one: one["state"] == "parked")
    assert parked["last_error"] == "HTTP 410"
    hook.behaviour = always("200 OK")
    assert (await run(up, "subscriptions", "resume", id, "--json")).json["state"] == "active"
    await eventually(shown, lambda one: one["delivered_at"] is not None)
    assert {json.loads(call.body)["data"]["kind"] for call in hook.calls} == {"complaint"}
    await run(up, "subscriptions", "remove", id)


BAD: dict[str, tuple[list[str], int, str]] = {
    "private": (["add", "http://10.1.2.3/in"], 1, "the host 10.1.2.3 has an address that events may not go to"),
    "no address": (["add", "hooks"], 2, "url: it is no address like https://"),
    "type": (["add", "http://127.0.0.1/in", "--types", "exploded"], 2, "types = 'exploded': allowed are"),
    "no kind": (["add", "http://127.0.0.1/in", "--kinds", ","], 2, "kinds: name at least one"),
    "duration": (["add", "http://127.0.0.1/in", "--retry-for", "3"], 2, "--retry-for = '3': give a duration like P3D"),
    "half a duration": (["add", "http://127.0.0.1/in", "--retry-for", "P"], 2, "give a duration like P3D"),
    "too patient": (["add", "http://127.0.0.1/in", "--retry-for", "P31D"], 2, "allowed is up to 30 days"),
    "place": (["add", "http://127.0.0.1/in", "--from", "x"], 2, "position = 'x': allowed is what an event came with"),
    "unknown": (["show", "sub-x"], 1, "there is no subscription 'sub-x'"),
    "replay what": (["replay", "sub-x"], 2, "give either --from POSITION, or --case CASE and --seq N"),
    "replay both": (["replay", "sub-x", "--from", "1-1", "--case", "a:b", "--seq", "1"], 2, "give either --from"),
    "replay half": (["replay", "sub-x", "--case", "a:b"], 2, "give either --from"),
    "no such event": (["replay", "sub-x", "--case", "a:b", "--seq", "1"], 1, "the ledger has no event 1 of a:b"),
    "no such one": (["replay", "sub-x", "--from", "start"], 1, "there is no subscription 'sub-x'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(up: Up, case: str) -> None:
    arguments, code, says = BAD[case]
    before = up("subscriptions", "list", "--removed", "--json").json
    assert says in up("subscriptions", *arguments).refused(code)
    assert up("subscriptions", "list", "--removed", "--json").json == before


def test_it_needs_a_stack() -> None:
    assert "no database" in call("subscriptions", "list", *NOWHERE).refused(1)
