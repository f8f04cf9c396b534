"""Attempts that fail are counted where they come from, and streams by whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from activities.notify.ack_tokens import issue
from starter.api import limits
from starter.console.session import Session
from starter.console.web import COOKIE, Site
from tests.api.server import STAFF, ApiServer, new_key, open_api, problem
from tests.api.test_live import watching
from tests.temporal import eventually
from tests.workflows.backend import Backend

MOST = 5
HERE, THERE = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "198.51.100.9"}


@pytest.fixture(scope="module")
async def limited(backend: Backend) -> AsyncIterator[ApiServer]:
    """An API behind a proxy that takes few attempts; each test comes from an address of its own."""
    secret = SecretStr(f"whsec_{'c' * 32}")
    settings: dict[str, Any] = {
        "failure_limit": f"{MOST}/minute",
        "proxies": "127.0.0.1",
        "payout_callback_secret": secret,
    }
    async with open_api(backend, payout_url="https://gateway.example.com/", **settings) as made:
        yield made


def bearer(text: str, **more: str) -> dict[str, str]:
    """Headers with a credential."""
    return {"Authorization": f"Bearer {text}", **more}


async def me(api: ApiServer, text: str, **more: str) -> httpx.Response:
    """Ask who one is."""
    return await api.http.get("/api/v1/me", headers=bearer(text, **more))


def too_many(answer: httpx.Response) -> None:
    """Check that an answer says to wait."""
    assert answer.status_code == 429, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_guessed_keys_and_tokens(limited: ApiServer) -> None:
    known, new = limited.token(await limited.key(f"k-{new_key()}", "read")), limited.token("agent-n")
    assert (await me(limited, known, **HERE)).status_code == 200
    for number in range(MOST):
        problem(
            await me(limited, f"cl_{number}_guess" if number % 2 else f"x.y.{number}", **HERE),
            401,
            ("bad_token", "bad_key")[number % 2],
        )
    too_many(await me(limited, "cl_9_guess", **HERE))
    # Not even the right one is found by guessing on; what was good before goes on, and so does everybody elsewhere.
    too_many(await me(limited, new, **HERE))
    assert (await me(limited, known, **HERE)).status_code == 200
    assert (await me(limited, new, **THERE)).status_code == 200
    assert (await me(limited, new, **HERE)).status_code == 200


async def test_a_key_that_was_good_is_counted_once_it_is_not(limited: ApiServer) -> None:
    name = await limited.key(f"k-{new_key()}", "read")
    where = {"X-Forwarded-For": "203.0.113.20"}
    assert (await me(limited, limited.token(name), **where)).status_code == 200
    await limited.services.keys.revoke(name)
    for _ in range(MOST):
        problem(await me(limited, limited.token(name), **where), 401, "bad_key")
    too_many(await me(limited, limited.token(name), **where))


async def test_who_tries_the_same_again_locks_out_nobody_else(limited: ApiServer) -> None:
    here = {"X-Forwarded-For": "203.0.113.60"}
    dead = issue(("s" * 32,), "complaint:x", 1, "agent-n", "agent", datetime.now(UTC) - timedelta(hours=1))
    for _ in range(MOST):
        problem(await me(limited, "cl_old_key", **here), 401, "bad_key")
        assert (await limited.http.get(f"/a/{dead}", headers=here)).status_code == 410
    too_many(await me(limited, "cl_old_key", **here))
    too_many(await limited.http.get(f"/a/{dead}", headers=here))
    # Whoever logs in just now beside them is heard.
    assert (await me(limited, limited.token("agent-n"), **here)).status_code == 200


async def test_nobody_moves_to_another_address_by_saying_so(limited: ApiServer, backend: Backend) -> None:
    async with open_api(backend, failure_limit=f"{MOST}/minute") as plain:
        for number in range(MOST):
            said = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
            problem(await me(plain, f"x{number}", **said), 401, "bad_token")
        too_many(await me(plain, "x", **{"X-Forwarded-For": "203.0.113.99"}))
    # Behind a proxy it is what the proxy added, whatever came before; of IPv6 the network counts.
    for number in range(MOST):
        problem(
            await me(limited, f"x{number}", **{"X-Forwarded-For": f"203.0.113.{number}, 2001:db8::{number}"}),
            401,
            "bad_token",
        )
    too_many(await me(limited, "x", **{"X-Forwarded-For": "2001:db8::99"}))


async def test_links_that_are_made_up(limited: ApiServer) -> None:
    async def look(token: str, where: str) -> httpx.Response:
        return await limited.http.get(f"/a/{token}", headers={"X-Forwarded-For": where})

    case_id = await limited.file(unit="north")
    good = issue(("s" * 32,), case_id, 1, "agent-n", "agent", datetime.now(UTC) + timedelta(hours=1))
    # A good one is looked at as often as one likes.
    for _ in range(2 * MOST):
        assert (await look(good, "203.0.113.30")).status_code == 200
    for number in range(MOST):
        assert (await look(f"{good}{number}", "203.0.113.30")).status_code == 404
    too_many(await look(good, "203.0.113.30"))
    assert (await look(good, "203.0.113.31")).status_code == 200


async def test_callbacks_that_nobody_signed(limited: ApiServer) -> None:
    for _ in range(MOST):
        answer = await limited.http.post(
            "/api/v1/payouts/callback", content=b"{}", headers={"X-Forwarded-For": "203.0.113.40"}
        )
        problem(answer, 401, "bad_signature")
    too_many(
        await limited.http.post("/api/v1/payouts/callback", content=b"{}", headers={"X-Forwarded-For": "203.0.113.40"})
    )


async def test_logins_that_come_to_nothing(limited: ApiServer) -> None:
    async def arrive(where: str) -> httpx.Response:
        return await limited.http.get("/console/login/callback?code=x&state=y", headers={"X-Forwarded-For": where})

    for _ in range(MOST):
        assert (await arrive("203.0.113.50")).status_code == 403
    too_many(await arrive("203.0.113.50"))
    assert (await arrive("203.0.113.51")).status_code == 403


def test_what_is_counted_has_an_end() -> None:
    class From:
        def __init__(self, host: str) -> None:
            self.client = type("Address", (), {"host": host})

    attempts: Any = limits.Attempts("2/second")
    for number in range(limits.KEPT + 10):
        attempts.failed(From(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"), f"k{number}")
        attempts.succeeded(f"g{number}")
    assert len(attempts._failed) <= limits.KEPT
    assert len(attempts._good) <= limits.KEPT


# --- streams --------------------------------------------------------------------------------------


async def opened(api: ApiServer, count: int) -> None:
    """Wait until so many streams are open."""

    async def now() -> int:
        return api.services.live.streams

    await eventually(now, lambda streams: streams == count)


async def test_streams_of_one_caller(api: ApiServer) -> None:
    await opened(api, 0)
    gus = next(one for one in STAFF if one.id == "gm-1")
    session = Session().logged_in({"sub": gus.id, "role": [gus.role]}, timedelta(hours=1), None)
    cookie = {"Cookie": f"{COOKIE}={session.sealed(Site(api.services).sealer)}"}
    async with AsyncExitStack() as stack:
        for _ in range(limits.STREAMS):
            await stack.enter_async_context(watching(api, "gm-1"))
        answer = await api.get("gm-1", "/events")
        problem(answer, 429, "too_many_requests")
        assert answer.headers["retry-after"] == str(limits.AGAIN)
        # A person is one caller, over the API and in the console.
        page = await api.http.get("/console/stream", headers=cookie)
        assert (page.status_code, page.headers["retry-after"]) == (429, str(limits.AGAIN))
        async with watching(api, "agent-n"):
            await opened(api, limits.STREAMS + 1)
    await opened(api, 0)
    async with watching(api, "gm-1"):
        await asyncio.sleep(0)


async def test_streams_of_everybody(api: ApiServer) -> None:
    crowd = limits.Crowd(2, lambda _: limits.TooManyRequests(1), in_all=3)
    with crowd.among("a"), crowd.among("a"), crowd.among("b"):
        for who in ("a", "b", "c"):
            with pytest.raises(limits.TooManyRequests), crowd.among(who):
                pass
    assert not crowd._here
