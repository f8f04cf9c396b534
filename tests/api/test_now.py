"""What somebody may do now counts, not what they could when they got their token, their key or their link."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from activities.notify.ack_tokens import issue
from cases.directory import Person
from starter.api import live, stream
from starter.api.stream import EventStream, Watcher
from starter.console import stream as console_stream
from starter.console.stream import _Page
from tests.api.server import STAFF, ApiServer, open_api, problem, staffed
from tests.api.test_live import watching
from tests.workflows.backend import Backend

OTHERS = [one for one in STAFF if one.id not in ("agent-e", "super-e")]


async def _link(api: ApiServer, case_id: str, person: str, role: str) -> str:
    """Return the link of a notice that tells a person of a new case."""
    seq = next(event["seq"] for event in await api.backend.client.timeline(case_id) if event["type"] == "case_opened")
    later = datetime.now(UTC) + timedelta(hours=1)
    return f"/a/{issue(api.services.settings.link_secrets, case_id, seq, person, role, later)}"


async def test_who_is_removed_is_out_at_the_next_request(
    api: ApiServer, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed by one process, out in all of them: tokens, streams and the links in mails."""
    monkeypatch.setattr(stream, "HEARTBEAT", 0.2)
    case_id = await api.file(unit="east")
    link = await _link(api, case_id, "agent-e", "agent")
    assert (await api.http.get(link)).status_code == 200
    async with open_api(backend) as other, watching(api, "agent-e", case="complaint:none") as reader:
        for server in (api, other):
            assert (await server.get("agent-e", f"/cases/{case_id}")).status_code == 200
            # The supervisor who is removed used to see the whole company.
            assert (await server.get("super-e", "/me")).json()["units"] == ["east"]
        async with staffed(api, OTHERS):
            for server in (api, other):
                for who in ("agent-e", "super-e"):
                    said = problem(await server.get(who, "/cases"), 403, "not_staff")
                    assert f"{who} is not in the directory of staff" in said["detail"]
            with pytest.raises(StopAsyncIteration):
                await reader.read(1, 10)
            for answer in (await api.http.get(link), await api.http.post(link)):
                assert answer.status_code == 403
                assert case_id not in answer.text
                assert "<button" not in answer.text
            assert (await backend.client.case(case_id))["acknowledged"] is False
        for server in (api, other):
            assert (await server.get("agent-e", f"/cases/{case_id}")).status_code == 200
    assert (await api.http.post(link)).status_code == 200


@pytest.mark.parametrize("kind", [EventStream, _Page])
async def test_a_stream_that_catches_up_ends_too(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, kind: type[EventStream]
) -> None:
    """A long record may take minutes to send."""
    monkeypatch.setattr(stream, "HEARTBEAT", 0.0)
    monkeypatch.setattr(console_stream, "ALIVE", 0.0)
    monkeypatch.setattr(live, "PAGE", 1)

    async def out() -> None:
        return None

    await api.file()
    # Without its reader, so that it never comes up with it.
    caller = await api.services.verifier.caller(api.token("gm-1"))
    watcher = Watcher(lambda event: True)
    made = kind(live.Live(api.services.feed), api.services.streams, caller, watcher, "0-0", out)
    async with asyncio.timeout(10):
        # How to come back, and one page.
        assert len([text async for text in made._messages]) == 2


async def test_another_role_or_unit_counts_at_the_next_request(api: ApiServer) -> None:
    case_id = await api.file(unit="east")
    link = await _link(api, case_id, "agent-e", "agent")
    assert (await api.get("agent-e", f"/cases/{case_id}")).status_code == 200
    moved = [Person(id="agent-e", role="agent", unit="north"), Person(id="super-e", role="agent", unit="east")]
    async with staffed(api, [*OTHERS, *moved]):
        assert (await api.get("agent-e", "/me")).json()["units"] == ["north"]
        problem(await api.get("agent-e", f"/cases/{case_id}"), 404, "not_found")
        problem(await api.get("super-e", "/me"), 403, "no_role")
        assert (await api.http.post(link)).status_code == 403
    # A deputy is told of what they stand in for, and may take it up.
    deputy = Person(id="agent-e", role="finance", unit="hq")
    boss = Person(id="super-e", role="agent", unit="east", deputies=("agent-e",))
    async with staffed(api, [*OTHERS, deputy, boss]):
        assert (await api.http.get(link)).status_code == 200


async def test_nobody_gets_in_before_there_is_a_directory(api: ApiServer) -> None:
    async with staffed(api, []):
        for who in ("gm-1", "auditor-1", "agent-n"):
            said = problem(await api.get(who, "/cases"), 403, "not_staff")
            assert "the directory of staff is empty" in said["detail"]
            assert "caseladder staff import" in said["detail"]
    assert (await api.get("gm-1", "/cases")).status_code == 200
