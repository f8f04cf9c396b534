"""Writing over HTTP: repeats, refusals as problem documents, and bodies, paths and headers that are none."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from activities.casebook.restored import Restored
from activities.notify.ack_tokens import issue
from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import Refused
from starter.api import actions
from starter.api.actions import NoAnswer, allowed_to, replayed
from starter.api.problems import STATUS, status_of
from tests.api.server import ApiServer, intake, new_key, open_api, problem, quoted
from tests.workflows.backend import Backend


async def _notes(api: ApiServer, case_id: str) -> list[str]:
    return [event["data"]["text"] for event in await api.backend.client.timeline(case_id) if event["type"] == "noted"]


async def test_an_idempotency_key_does_it_once(api: ApiServer) -> None:
    case_id, key = await api.file(), {"Idempotency-Key": new_key()}
    first = await api.do("agent-n", case_id, "note", {"text": "once"}, headers=key)
    await api.do("agent-n", case_id, "note", {"text": "between"})
    again = await api.do("agent-n", case_id, "note", {"text": "once"}, headers=key)
    # The answer of the first time, although the case has moved on.
    assert first.json() == again.json()
    assert await _notes(api, case_id) == ["once", "between"]
    other = await api.do("agent-n", case_id, "note", {"text": "other"}, headers=key)
    problem(other, 409, "idempotency_key_reused")
    problem(await api.do("agent-n", case_id, "reply", {"stage": "answer"}, headers=key), 409, "idempotency_key_reused")
    problem(await api.post("agent-n", "/cases/complaint", intake(), headers=key), 409, "idempotency_key_reused")
    # Another caller's key is another key.
    assert (await api.do("super-n", case_id, "note", {"text": "mine"}, headers=key)).status_code == 200
    assert await _notes(api, case_id) == ["once", "between", "mine"]
    for bad in ("", "a b", "x" * 129):
        answer = await api.do("agent-n", case_id, "note", {"text": "x"}, headers={"Idempotency-Key": bad})
        problem(answer, 400, "malformed")


async def test_a_refusal_is_repeated_too(api: ApiServer) -> None:
    case_id, key = await api.file(), {"Idempotency-Key": new_key()}
    first = await api.do("agent-n", case_id, "follow_up", {"satisfied": True}, headers=key)
    problem(first, 409, "not_resolved")
    assert first.json()["clause"] == "S1-4.2"
    assert (await api.do("agent-n", case_id, "resolve")).status_code == 200
    again = await api.do("agent-n", case_id, "follow_up", {"satisfied": True}, headers=key)
    assert again.json() == first.json()


async def test_a_filing_is_repeated(api: ApiServer) -> None:
    sent, key = intake(), {"Idempotency-Key": new_key()}
    answers = await asyncio.gather(*(api.post("gm-1", "/cases/complaint", sent, headers=key) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["id"] for answer in answers} == {f"complaint:{sent['key']}"}
    problem(await api.post("gm-1", "/cases/complaint", intake(), headers=key), 409, "idempotency_key_reused")


async def test_a_request_that_died_under_way_is_not_done_twice(api: ApiServer) -> None:
    """The door forgot to keep the answer; the case itself knows the request."""
    case_id, key = await api.file(), new_key()
    services = api.services
    caller = await services.verifier.caller(api.token("agent-n"))
    body = {"text": "once"}
    await actions.command(services, caller, case_id, "note", body, key)
    async with services.database.connection() as connection:
        await connection.execute("UPDATE door_answer SET status = NULL, body = NULL WHERE key = $1", key)
    done = await api.do("agent-n", case_id, "note", body, headers={"Idempotency-Key": key})
    assert done.status_code == 200
    assert await _notes(api, case_id) == ["once"]


async def test_nobody_guesses_a_request_from_what_is_kept_of_it(api: ApiServer) -> None:
    sent, key = intake(), new_key()
    for _ in range(2):
        assert (await api.post("gm-1", "/cases/complaint", sent, headers={"Idempotency-Key": key})).status_code == 200
    plain = hashlib.sha256(canonical({"request": ["file", "complaint", sent]}).encode()).digest()
    async with api.services.database.connection() as connection:
        row = await connection.fetchrow("SELECT digest, salt, body FROM door_answer WHERE key = $1", key)
    assert row["digest"] == hmac.digest(row["salt"], plain.hex().encode(), "sha256") != plain
    assert "13800001234" not in row["body"]
    # What the release before kept still answers, for a week.
    owner = await asyncpg.connect(api.backend.database)
    await owner.execute("UPDATE door_answer SET digest = $2, salt = NULL WHERE key = $1", key, plain)
    await owner.close()
    assert (await api.post("gm-1", "/cases/complaint", sent, headers={"Idempotency-Key": key})).status_code == 200
    other = await api.post("gm-1", "/cases/complaint", intake(), headers={"Idempotency-Key": key})
    problem(other, 409, "idempotency_key_reused")


async def test_old_answers_are_forgotten(api: ApiServer) -> None:
    case_id, key = await api.file(), new_key()
    await api.do("agent-n", case_id, "note", {"text": "x"}, headers={"Idempotency-Key": key})
    owner = await asyncpg.connect(api.backend.database)
    await owner.execute("UPDATE door_answer SET created_at = now() - interval '8 days' WHERE key = $1", key)
    await owner.close()
    await api.services.idempotency.forget()
    other = await api.do("agent-n", case_id, "note", {"text": "y"}, headers={"Idempotency-Key": key})
    # The case still knows the request id, and says no by itself.
    problem(other, 409, "request_id_reused")


async def test_refusals_are_problems_with_code_and_clause(api: ApiServer) -> None:
    case_id = await api.file()
    ask = {"subject": "voucher", "amount": "900.00"}
    assert (await api.do("super-n", case_id, "request_approval", ask)).status_code == 200
    found = problem(await api.do("super-n", case_id, "approve"), 403, "four_eyes")
    assert found["clause"] == "S1-5.9.10"
    assert problem(await api.do("agent-n", case_id, "approve"), 403, "authority")["clause"] == "T3"
    assert problem(await api.do("agent-n", case_id, "extend", _extension()), 403, "role")["status"] == 403
    assert "clause" not in problem(await api.do("agent-n", case_id, "close"), 409, "not_resolved")
    problem(await api.do("agent-n", case_id, "offer"), 404, "unknown_command")
    problem(await api.do("agent-n", case_id, "dance"), 404, "unknown_command")
    late = {"reply_by": "2020-01-01T00:00:00+08:00"}
    assert problem(await api.do("agent-n", case_id, "promise", late), 409, "past")["clause"] == "S1-4.1"
    nowhere = problem(await api.do("agent-n", "complaint:none", "note", {"text": "x"}), 404, "not_found")
    hidden = problem(await api.do("agent-e", case_id, "note", {"text": "x"}), 404, "not_found")
    assert nowhere == hidden
    problem(await api.get("agent-n", "/nothing"), 404, "not_found")
    wrong = await api.call("agent-n", "DELETE", f"/cases/{case_id}")
    problem(wrong, 405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"
    problem(await api.do("agent-n", case_id, "withdraw", {"reason": "found"}), 409, "said_missing")
    said = {"by": "recipient", "at": datetime.now(UTC).isoformat(), "channel": "phone"}
    assert (await api.do("agent-n", case_id, "withdraw", {"reason": "found", "said": said})).status_code == 200
    assert problem(await api.do("agent-n", case_id, "note", {"text": "x"}), 409, "closed")["clause"] == "S1-5.9.8"
    # Only a key that a worker lacks is no fault of the caller's.
    for code in STATUS.keys() - {"key_missing"}:
        assert 400 <= status_of(Refused(code, "x")) < 500
    assert status_of(Refused("key_missing", "x")) == 503


async def test_an_approval_that_needs_a_passkey_says_where_to_give_it(api: ApiServer) -> None:
    policy = Path(__file__).parents[1] / "scenarios" / "policies" / "passkeys.toml"
    there = api.backend.folder / "policies" / policy.name
    shutil.copy(policy, there)
    try:
        filed = await api.post("gm-1", "/cases/complaint", {**intake(), "policy": "passkeys"})
        case_id = filed.json()["id"]
        await api.recorded(case_id)
    finally:
        there.unlink()
    ask = {"subject": "voucher", "amount": "9000.00"}
    assert (await api.do("super-n", case_id, "request_approval", ask)).status_code == 200
    for body in ({}, {"amount": "9000.00"}):
        found = problem(await api.do("qa-1", case_id, "approve", body), 403, "passkey_required")
        assert found["clause"] == "S1-5.9.10 [INVENTED]"
        assert found["detail"] == "proof.passkey is missing: 9000.00 is confirmed with a passkey, in the console"
    problem(await api.do("qa-1", case_id, "approve", {"amount": "900.00"}), 409, "another_amount")
    # The API signs for its callers; a proof is nothing that they send.
    problem(await api.do("qa-1", case_id, "approve", {"proof": {"at": "2026-03-10T09:00:00Z"}}), 400, "malformed")
    assert (await api.do("qa-1", case_id, "reject", {"reason": "no photographs"})).status_code == 200


def _extension() -> dict[str, Any]:
    return {"clock": "resolution", "due": "2027-01-01T00:00:00+08:00", "reason": "x"}


async def test_bad_bodies(api: ApiServer) -> None:
    case_id = await api.file()
    path = f"/api/v1/cases/{case_id}/commands/note"
    headers = {"Authorization": f"Bearer {api.token('agent-n')}", "Content-Type": "application/json"}
    for raw in (
        b"", b"{", b"nul", b'{"text": NaN}', b'{"text": "a", "text": "b"}', b"\xff\xfe", b'{"text": "\\ud800"}',
        b"[" * 100_000, b'{"a":' * 50_000, b'{"text": ' + b"9" * 5000 + b"}",
    ):  # fmt: skip
        problem(await api.http.post(path, content=raw, headers=headers), 400, "bad_json")
    for raw in (b"[]", b"null", b'"text"', b"1"):
        problem(await api.http.post(path, content=raw, headers=headers), 400, "malformed")
    for sort in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await api.http.post(path, content=b"{}", headers={**headers, "Content-Type": sort})
        problem(answer, 415, "unsupported_media_type")
    for body, name in (
        ({}, "text"), ({"text": ""}, "text"), ({"text": "  "}, "text"), ({"text": 1}, "text"), ({"text": None}, "text"),
        ({"text": "a\0b"}, "text"), ({"text": "x" * 4001}, "text"), ({"text": "x", "more": 1}, "more"),
        ({"text": "x", "at": "2026-03-01T00:00:00Z"}, "at"), ({"text": "x", "request_id": ""}, "request_id"),
    ):  # fmt: skip
        found = problem(await api.do("agent-n", case_id, "note", body), 400, "malformed")
        assert name in found["detail"], found
    assert await _notes(api, case_id) == []
    for facts in (
        {"category": "delay", "customer": {"name": 13800001234}}, {"category": "secret person"},
        {"category": "delay", "shipment": {"waybill": "W", "posted_on": 20260301}},
        {"category": "delay", "shipment": {"waybill": "W", "posted_on": "2026-03-01", "base_freight": 18.0}},
        {"category": "delay", "unit": "north\r\nX: 1"},
    ):  # fmt: skip
        sent = {"key": new_key(), "facts": {"unit": "north", **facts}}
        found = problem(await api.post("gm-1", "/cases/complaint", sent), 400, "malformed")
        assert "13800001234" not in found["detail"]
    sent = intake(shipment={"waybill": "W", "posted_on": "2026-03-01", "base_freight": "18.001"})
    assert "base_freight" in problem(await api.post("gm-1", "/cases/complaint", sent), 422, "invalid")["detail"]
    ahead = {**intake(), "received_at": "2099-01-01T00:00:00Z"}
    problem(await api.post("gm-1", "/cases/complaint", ahead), 422, "invalid")
    for key in ("a b", "../x", "a\u0000", "x" * 129, ""):
        problem(await api.post("gm-1", "/cases/complaint", {**intake(), "key": key}), 400, "malformed")


async def test_a_body_has_a_limit(api: ApiServer) -> None:
    headers = {"Authorization": f"Bearer {api.token('gm-1')}", "Content-Type": "application/json"}
    large = json.dumps({"key": "x", "facts": {"description": "x" * 300_000}}).encode()
    problem(await api.http.post("/api/v1/cases/complaint", content=large, headers=headers), 413, "too_large")

    async def drip() -> Any:
        for _ in range(40):
            yield b" " * 10_000

    # Without a declared length it is counted as it comes.
    problem(await api.http.post("/api/v1/cases/complaint", content=drip(), headers=headers), 413, "too_large")


async def test_paths_and_headers_cannot_be_smuggled(api: ApiServer) -> None:
    for case_id in (
        "complaint", "complaint:", ":x", "x:y", "complaint:..%2F..%2Fme", "complaint:a%00b", "complaint:%ff",
        "complaint:a%0d%0aX-Evil:%201", "complaint:' OR 1=1 --", "complaint:%e5%90%8d", "complaint:" + "x" * 500,
        "..%2f..%2fme", "%2e%2e",
    ):  # fmt: skip
        for part in ("", "/timeline", "/personal", "/clocks", "/actions"):
            answer = await api.get("gm-1", f"/cases/{case_id}{part}")
            assert answer.status_code in (400, 404, 405), (case_id, part, answer.text)
            assert "x-evil" not in answer.headers
        answer = await api.post("gm-1", f"/cases/{case_id}/commands/note", {"text": "x"})
        assert answer.status_code in (400, 404, 405), case_id
    for header in ("Idempotency-Key", "Last-Event-ID", "X-Forwarded-For", "X-HTTP-Method-Override", "X-Original-URL"):
        answer = await api.get("agent-n", "/me", headers={header: "../../%0d%0aSet-Cookie: a=b"})
        assert answer.json()["id"] == "agent-n"
        assert "set-cookie" not in answer.headers


async def test_security_headers_and_no_cors(api: ApiServer) -> None:
    for answer in (
        await api.get("agent-n", "/me"), await api.get(None, "/me"), await api.get("agent-n", "/nothing"),
        await api.http.get("/healthz"), await api.http.get("/a/x"),
    ):  # fmt: skip
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
    asked = {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"}
    answer = await api.http.options("/api/v1/cases", headers=asked)
    assert answer.status_code == 405
    read = await api.get("agent-n", "/me", headers={"Origin": "https://evil.example.com"})
    assert not [name for name in read.headers if name.startswith("access-control")]


async def test_cors_where_it_is_set_and_rates(backend: Backend) -> None:
    origin = "https://desk.example.com"
    settings = {
        "cors_origins": f"{origin}, https://other.example.com",
        "rate_limit": "20/minute",
        "failure_limit": "20/minute",
    }
    async with open_api(backend, **settings) as api:
        read = await api.get("agent-n", "/me", headers={"Origin": origin})
        assert read.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in read.headers
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert (await api.http.options("/api/v1/cases/complaint", headers=asked)).status_code == 200
        evil = await api.get("agent-n", "/me", headers={"Origin": "https://evil.example.com"})
        assert "access-control-allow-origin" not in evil.headers
        answers = [await api.get("agent-n", "/me") for _ in range(25)]
        assert [answer.status_code for answer in answers[:18]] == [200] * 18
        problem(answers[-1], 429, "too_many_requests")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        # Each caller has a share of their own, and so has an address that nobody knows.
        assert (await api.get("super-n", "/me")).status_code == 200
        unknown = [await api.get(None, "/me") for _ in range(25)]
        assert {answer.status_code for answer in unknown} == {401, 429}
        assert (await api.get("super-n", "/me")).status_code == 200


async def test_what_somebody_may_do_now(api: ApiServer) -> None:
    """What is offered is taken by the case, and what is not offered is refused."""
    case_id = await api.file("claim", "north", cause="company", loss={"total_value": "100.00", "lost_value": "50.00"})
    bodies: dict[str, Any] = {
        "assign": {"to": {"id": "agent-n", "role": "agent"}}, "escalate": {"reason": "x"}, "note": {"text": "x"},
        "attach": {"name": "x", "sha256": "0" * 64, "where": "y"}, "log_contact": {"reached": True},
        "promise": {"reply_by": "2020-01-01T00:00:00Z"}, "reply": {"stage": "interim"},
        "request_approval": {"subject": "x"}, "reject": {"reason": "x"}, "extend": _extension(),
        "follow_up": {"satisfied": True}, "reopen": {"reason": "x"}, "decline_offer": {"counter": "60.00"},
        "dispute": {"path": "negotiation"}, "confirm_payment": {"reference": "x"},
        "accept_offer": {"channel": "phone"},
    }  # fmt: skip
    for who in ("agent-n", "super-n", "finance-1"):
        view = await api.recorded(case_id)
        caller = await api.services.verifier.caller(api.token(who))
        offered = allowed_to(caller, await replayed(api.services, caller, view))
        for name in ("acknowledge", "accept_offer", "decline_offer", "approve", "close", "reopen", "confirm_payment"):
            if name not in offered:
                answer = await api.do(who, case_id, name, bodies.get(name, {}))
                assert answer.status_code in (403, 409), (who, name, answer.text)
    caller = await api.services.verifier.caller(api.token("agent-n"))
    view = await api.recorded(case_id)
    events = view["events"]
    assert "acknowledge" in allowed_to(caller, await replayed(api.services, caller, view))
    for name, body in (("acknowledge", {}), ("answer_claim", {}), ("assess", {"cause": "company"}), ("offer", {})):
        view = await api.recorded(case_id, events)
        assert name in allowed_to(caller, await replayed(api.services, caller, view)), name
        answer = await api.do("agent-n", case_id, name, body)
        assert answer.status_code == 200, name
        events = answer.json()["events"]
    offered = allowed_to(caller, await replayed(api.services, caller, await api.recorded(case_id, events)))
    assert "acknowledge" not in offered
    # Who assessed and offered does not record that the claimant accepts.
    assert ("accept_offer" in offered, "decline_offer" in offered) == (False, True)


async def test_an_attachment_is_a_reference(api: ApiServer) -> None:
    case_id = await api.file()
    sent = {"name": "photo.jpg", "sha256": "ab" * 32, "where": "s3://photos/1", "size": 123456}
    answer = await api.post("agent-n", f"/cases/{quoted(case_id)}/attachments", sent)
    assert answer.status_code == 200
    attached = [event for event in await api.backend.client.timeline(case_id) if event["type"] == "attached"]
    assert [event["data"] for event in attached] == [sent]
    for change in ({"sha256": "x"}, {"size": -1}, {"size": "5"}, {"blob": "AAAA"}):
        bad = await api.post("agent-n", f"/cases/{quoted(case_id)}/attachments", {**sent, **change})
        problem(bad, 400, "malformed")


async def test_the_acknowledge_link(api: ApiServer) -> None:
    secrets = api.services.settings.link_secrets
    case_id = await api.file()
    seq = next(event["seq"] for event in await api.backend.client.timeline(case_id) if event["type"] == "case_opened")
    later = datetime.now(UTC) + timedelta(hours=1)
    token = issue(secrets, case_id, seq, "agent-n", "agent", later)
    page = await api.http.get(f"/a/{token}")
    assert page.status_code == 200
    assert all(text in page.text for text in (case_id, "agent-n", "<button", 'lang="zh"'))
    assert "script" not in page.text
    # Looking at it does nothing.
    assert (await api.backend.client.case(case_id))["acknowledged"] is False
    assert (await api.http.post(f"/a/{token}")).status_code == 200
    view = await api.backend.client.case(case_id)
    assert (view["acknowledged"], view["holder"]) == (True, "agent-n")
    assert (await api.http.post(f"/a/{token}")).status_code == 410
    old = issue(secrets, case_id, seq, "agent-n", "agent", datetime.now(UTC) - timedelta(seconds=5))
    assert (await api.http.post(f"/a/{old}")).status_code == 410
    assert (await api.http.get(f"/a/{token[:-2]}AA")).status_code == 404
    english = issue(secrets, case_id, seq, "super-n", "supervisor", later)
    assert 'lang="en"' in (await api.http.get(f"/a/{english}")).text
    # The secret before the present one still counts.
    assert secrets == ("s" * 32, "o" * 32)
    older = issue(secrets[1:], case_id, seq, "super-n", "supervisor", later)
    assert (await api.http.get(f"/a/{older}")).status_code == 200
    evil = issue(secrets, "complaint:<script>alert(1)</script>", 1, "<b>", "agent", later)
    shown = await api.http.get(f"/a/{evil}")
    assert "<script" not in shown.text
    assert (await api.http.post(f"/a/{evil}")).status_code == 404


async def test_health_tells_the_parts_apart(api: ApiServer, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await api.http.get("/healthz")).json() == {"status": "alive"}
    ready = await api.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "database": "ok", "temporal": "ok", "worker": "ok"},
    )
    restored = Restored(backend.book.database)
    await restored.begin()
    try:
        ready = await api.http.get("/readyz")
        assert (ready.status_code, ready.json()["database"]) == (200, "ok")
        assert "payments wait" in ready.json()["recovering"]
    finally:
        await restored.end()
    # Nobody is there: neither a database nor a Temporal server.
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(actions, "PATIENCE", 1)
    away = "postgresql://nobody@127.0.0.1:9/none"
    async with open_api(backend, away, client=None) as alone:
        assert (await alone.http.get("/healthz")).status_code == 200
        state = (await alone.http.get("/readyz")).json()
        assert state["status"] == "not ready"
        assert "database" in state["database"]
        assert "Temporal" in state["temporal"]
        assert state["worker"] == "unknown"
        answer = await alone.get("gm-1", "/cases")
        problem(answer, 503, "database_away")
        assert answer.headers["retry-after"]
    async with open_api(backend, client=None) as reading:
        state = (await reading.http.get("/readyz")).json()
        assert (state["database"], state["worker"]) == ("ok", "unknown")
        case_id = await api.file()
        # What needs no workflow goes on.
        for part in ("", "/timeline", "/clocks", "/personal", "/actions"):
            assert (await reading.get("gm-1", f"/cases/{case_id}{part}")).status_code == 200, part
        problem(await reading.do("gm-1", case_id, "note", {"text": "x"}), 503, "no_answer")


async def test_a_fault_is_a_problem_and_says_nothing_of_what_was_sent(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("13800001234")

    monkeypatch.setattr(type(api.services.search), "page", broken)
    answer = await api.get("gm-1", "/cases")
    problem(answer, 500, "fault")
    assert "13800001234" not in answer.text + caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_no_answer_in_time() -> None:
    with pytest.raises(NoAnswer, match=r"0\.01 s"):
        async with actions.patiently(0.01):
            await asyncio.sleep(5)
