"""Where Temporal's web UI and command line have payloads decrypted: by role, by origin, and never unasked."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client

from starter.embedded.temporal import temporal_binary
from starter.encryption import Codec, Keyring, data_converter, new_key, read_keyring
from tests.api.server import CUSTOMER, STAFF, ApiServer, Json, open_api, problem
from tests.temporal import address
from tests.workflows.backend import Backend

KEYS = read_keyring(f"{new_key('new')},{new_key('old')}")
UI, OTHER = "http://127.0.0.1:8233", "http://evil.example"
DECODE = "/console/codec/decode"
SECRET = CUSTOMER["phone"]


def with_keys(backend: Backend) -> Client:
    """A connection to the engine of somebody who has the keys."""
    given: dict[str, Any] = {**backend.env.client.config(), "data_converter": data_converter(KEYS)}
    return Client(**given)


@pytest.fixture(scope="module")
async def door(backend: Backend) -> AsyncIterator[ApiServer]:
    """The API of an installation that encrypts, and lets its UI in beside another application of its own."""
    more = {"ui_origin": f"{UI}, https://temporal.example", "cors_origins": "https://other.example"}
    async with open_api(backend, client=with_keys(backend), **more) as made:
        yield made


async def encrypted(*payloads: Payload, keys: Keyring = KEYS) -> Json:
    """Payloads as the UI sends them."""
    given = payloads or (Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(SECRET).encode()),)
    found: Json = MessageToDict(Payloads(payloads=await Codec(keys).encode(given)))
    assert SECRET not in str(found)
    return found


async def decode(api: ApiServer, who: str | None, body: Any, **headers: str) -> httpx.Response:
    """Ask for it with a token."""
    known = {} if who is None else {"Authorization": f"Bearer {api.token(who)}"}
    return await api.http.post(DECODE, json=body, headers={"X-Namespace": "default", **known, **headers})


@pytest.mark.long
@pytest.mark.parametrize("who", [None, "key-all", *(person.id for person in STAFF)])
async def test_who_may_read_what_the_engine_keeps(door: ApiServer, who: str | None) -> None:
    if who == "key-all":
        await door.key(who, "file", "command", "read")
    with capture_logs() as logs:
        answer = await decode(door, who, await encrypted())
    if who in ("qa-1", "gm-1"):
        [payload] = answer.json()["payloads"]
        assert json.loads(base64.b64decode(payload["data"])) == SECRET
        assert base64.b64decode(payload["metadata"]["encoding"]) == b"json/plain"
        [said] = [one for one in logs if one["event"] == "payloads_decrypted"]
        assert (said["by"], said["payloads"]) == (who, 1)
        assert SECRET not in str(logs)
    else:
        problem(answer, 401 if who is None else 403, "unauthenticated" if who is None else "role")
        assert not [one for one in logs if one["event"] == "payloads_decrypted"]


async def test_without_keys_there_is_no_such_place(api: ApiServer) -> None:
    for who in (None, "gm-1"):
        problem(await decode(api, who, await encrypted()), 404, "not_found")


async def test_it_decrypts_and_does_nothing_else(door: ApiServer) -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    sent = MessageToDict(Payloads(payloads=[plain, *await Codec(KEYS).encode([plain])]))
    assert [one["data"] for one in (await decode(door, "gm-1", sent)).json()["payloads"]] == ["MQ==", "MQ=="]
    assert (await decode(door, "gm-1", {"payloads": []})).json() == {}
    foreign = await encrypted(keys=read_keyring(new_key("foreign")))
    assert "the key foreign" in problem(await decode(door, "gm-1", foreign), 422, "invalid")["detail"]
    # As at every door of the API: what is no object at all is malformed.
    nothing: tuple[Any, ...] = ([], "x")
    for none in nothing:
        problem(await decode(door, "gm-1", none), 400, "malformed")
    wrong: tuple[Any, ...] = ({"payloads": 1}, {"payloads": [{"metadata": 1}]})
    for body in wrong:
        problem(await decode(door, "gm-1", body), 400, "bad_json")
    problem(await decode(door, "gm-1", {"payloads": [{}] * 1001}), 413, "too_large")
    problem(await decode(door, "gm-1", {"payloads": [{"data": "A" * 400_000}]}), 413, "too_large")
    body, headers = json.dumps(await encrypted()), {"Authorization": f"Bearer {door.token('gm-1')}"}
    for sort in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await door.http.post(DECODE, content=body, headers={**headers, "Content-Type": sort})
        problem(answer, 415, "unsupported_media_type")
    assert (await door.http.get(DECODE, headers=headers)).status_code in (404, 405)
    assert (await door.http.post("/console/codec/encode", json={}, headers=headers)).status_code in (403, 404)


async def test_the_ui_comes_with_the_cookie_of_the_console(door: ApiServer) -> None:
    sent = await encrypted()
    async with httpx.AsyncClient(base_url=door.base, trust_env=False, follow_redirects=True) as browser:
        page = await browser.get("/console/login")
        [csrf] = set(re.findall('name="csrf" value="([^"]+)"', page.text))
        assert (await browser.post("/console/login", data={"person": "gm-1", "csrf": csrf})).status_code == 200

        ask = {"Origin": UI, "Access-Control-Request-Method": "POST"}
        asked = await browser.options(
            DECODE, headers={**ask, "Access-Control-Request-Headers": "content-type,x-namespace"}
        )
        assert asked.status_code == 200
        assert asked.headers["Access-Control-Allow-Credentials"] == "true"
        answer = await browser.post(DECODE, json=sent, headers={"Origin": UI})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == UI
        # A failure is readable to it too.
        answer = await browser.post(DECODE, json={"payloads": 1}, headers={"Origin": UI})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (400, UI)

        # Not for the pages of others, nor for those that may call the API, nor for what says nothing.
        for origin in (OTHER, "https://other.example", "null"):
            refused = await browser.options(DECODE, headers={**ask, "Origin": origin})
            assert "Access-Control-Allow-Origin" not in refused.headers
            answer = await browser.post(DECODE, json=sent, headers={"Origin": origin})
            problem(answer, 403, "bad_origin")
        problem(await browser.post(DECODE, json=sent), 401, "unauthenticated")
        # And the UI is let nowhere else.
        page = await browser.get("/console/", headers={"Origin": UI})
        assert not [name for name in page.headers if name.lower().startswith("access-control-allow")]


async def test_an_auditor_in_the_console_reads_nothing_more_by_it(door: ApiServer) -> None:
    async with httpx.AsyncClient(base_url=door.base, trust_env=False, follow_redirects=True) as browser:
        page = await browser.get("/console/login")
        [csrf] = set(re.findall('name="csrf" value="([^"]+)"', page.text))
        await browser.post("/console/login", data={"person": "auditor-1", "csrf": csrf})
        problem(await browser.post(DECODE, json=await encrypted(), headers={"Origin": UI}), 403, "role")


async def test_it_is_counted_like_every_door(backend: Backend) -> None:
    limits = {"rate_limit": "3/minute", "failure_limit": "3/minute"}
    async with open_api(backend, client=with_keys(backend), **limits) as slow:
        sent = await encrypted()
        codes = [(await decode(slow, "gm-1", sent)).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        # Whoever guesses is counted by address.
        codes = [(await decode(slow, None, sent)).status_code for _ in range(5)]
        assert codes == [401, 401, 401, 429, 429]


@pytest.mark.long
async def test_the_command_line_of_temporal_reads_with_a_token(
    door: ApiServer, backend: Backend, tmp_path: Path
) -> None:
    client = with_keys(backend)
    handle = await client.start_workflow("Nobody", {"phone": SECRET}, id="codec-1", task_queue="nobody")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}

    async def show(*more: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            temporal_binary(), "workflow", "show", "--workflow-id", "codec-1", "--address", address(client),
            "--output", "json", *more, env={**clean, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    def decrypted(shown: str) -> bool:
        return base64.b64encode(f'{{"phone":"{SECRET}"}}'.encode()).decode() in shown

    try:
        code, shown = await show()
        assert (code, decrypted(shown)) == (0, False)
        codec = ("--codec-endpoint", f"{door.base}/console/codec")
        code, shown = await show(*codec, "--codec-auth", f"Bearer {door.token('gm-1')}")
        assert (code, decrypted(shown)) == (0, True), shown
        code, shown = await show(*codec, "--codec-auth", f"Bearer {door.token('agent-n')}")
        assert not decrypted(shown)
    finally:
        await handle.terminate()
