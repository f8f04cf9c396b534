"""The gateway's callback over HTTP, and the door for whom a case may pay."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from starter.api.payouts import LONGEST
from tests.api.server import ApiServer, Json, intake, open_api, problem
from tests.workflows.backend import Backend

SECRET = "whsec_" + base64.b64encode(b"c" * 32).decode()
GATEWAY = "https://pay.example.com/v1"
PATH = "/api/v1/payouts/callback"


@pytest.fixture(scope="module")
async def calling(backend: Backend) -> AsyncIterator[ApiServer]:
    """An API whose gateway calls back."""
    async with open_api(backend, payout_url=GATEWAY, payout_callback_secret=SecretStr(SECRET)) as made:
        yield made


async def ordered(api: ApiServer) -> str:
    """The key of a payout of 120.00 that was sent to the gateway."""
    key = f"claim:P-{uuid4().hex}/payout"
    async with api.services.database.connection() as connection:
        await connection.execute(
            "INSERT INTO payout (key, case_id, amount, state, requested_at, gateway) "
            "VALUES ($1, $2, 120, 'requested', now(), $3)",
            key, key.removesuffix("/payout"), GATEWAY,
        )  # fmt: skip
    return key


async def state(api: ApiServer, key: str) -> tuple[str, str]:
    """How the book has it."""
    async with api.services.database.connection() as connection:
        row = await connection.fetchrow("SELECT state, reference FROM payout WHERE key = $1", key)
    return row["state"], row["reference"]


async def call_back(
    api: ApiServer, body: Json, at: datetime | None = None, secret: str = SECRET, id_: str | None = None
) -> httpx.Response:
    """Call back as the gateway does."""
    raw, now, signed = json.dumps(body).encode(), at or datetime.now(UTC), f"cb_{uuid4().hex}"
    own = {
        "content-type": "application/json", "webhook-id": id_ or signed, "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(signed, now, raw.decode()),
    }  # fmt: skip
    return await api.http.post(PATH, content=raw, headers=own)


def paid(key: str, **changes: Any) -> Json:
    """What the gateway says of a payment."""
    return {"key": key, "amount": "120.00", "state": "paid", "reference": "GW-1", **changes}


async def test_a_signed_callback_is_taken_and_said_again_changes_nothing(calling: ApiServer) -> None:
    key = await ordered(calling)
    for _ in range(2):
        answer = await call_back(calling, paid(key))
        assert (answer.status_code, answer.json()) == (200, {"key": key, "state": "paid"})
    assert await state(calling, key) == ("paid", "GW-1")
    # Nor does another word that comes late.
    problem(await call_back(calling, paid(key, state="failed")), 409, "already_paid")
    assert await state(calling, key) == ("paid", "GW-1")


async def test_many_at_once_settle_it_once(calling: ApiServer) -> None:
    key = await ordered(calling)
    said = [paid(key, reference=f"GW-{number}") for number in range(6)]
    answers = await asyncio.gather(*(call_back(calling, one) for one in said))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]


async def test_without_a_fresh_signature_nothing_is_taken(calling: ApiServer) -> None:
    key = await ordered(calling)
    old = datetime.now(UTC) - timedelta(minutes=6)
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    problem(await call_back(calling, paid(key), at=old), 401, "bad_signature")
    problem(await call_back(calling, paid(key), secret=other), 401, "bad_signature")
    problem(await call_back(calling, paid(key), id_="another"), 401, "bad_signature")
    problem(await calling.http.post(PATH, json=paid(key)), 401, "bad_signature")
    assert await state(calling, key) == ("requested", "")


async def test_a_server_without_the_secret_takes_none(api: ApiServer) -> None:
    problem(await call_back(api, paid("claim:x/payout")), 401, "bad_signature")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"key": "claim:nobody/payout"}, 404, "unknown_payout"),
        ({"amount": "120.01"}, 409, "amount_differs"),
        ({"amount": "1e2"}, 422, "invalid"),
        ({"state": "pending"}, 422, "invalid"),
        ({"reference": ""}, 422, "invalid"),
    ],
)
async def test_what_contradicts_the_book_is_refused(calling: ApiServer, changes: Json, status: int, code: str) -> None:
    key = await ordered(calling)
    problem(await call_back(calling, {**paid(key), **changes}), status, code)
    assert await state(calling, key) == ("requested", "")


async def test_a_callback_is_short(calling: ApiServer) -> None:
    key = await ordered(calling)
    problem(await call_back(calling, paid(key, more="x" * LONGEST)), 413, "too_large")

    async def forever() -> AsyncIterator[bytes]:
        for _ in range(LONGEST // 1000 + 2):
            yield b" " * 1000

    answer = await calling.http.post(PATH, content=forever(), headers={"content-type": "application/json"})
    problem(answer, 413, "too_large")


# --- whom a case may pay ------------------------------------------------------------------------------


async def test_an_account_stays_out_of_the_record(api: ApiServer) -> None:
    loss = {"total_value": "100.00", "lost_value": "50.00"}
    case_id = await api.file("claim", "north", loss=loss)
    details = {"name": "Zhang San", "account": "6222000011112222", "method": "bank", "bank": "ICBC"}
    answer = await api.post("agent-n", f"/cases/{case_id}/payees", details)
    assert answer.status_code == 200, answer.text
    token = answer.json()["payee"]
    named = await api.do("agent-n", case_id, "name_payee", {"relation": "sender", "payee": token})
    assert named.json()["payee"] == {"relation": "sender", "payee": token}
    await api.recorded(case_id, named.json()["events"])
    timeline = (await api.get("gm-1", f"/cases/{case_id}/timeline")).text
    assert token in timeline
    assert "6222000011112222" not in timeline + named.text
    async with api.services.database.connection() as connection:
        assert await connection.fetchval("SELECT details FROM payee WHERE token = $1", token) == details


@pytest.mark.parametrize(
    ("changes", "field"), [({"account": ""}, "account"), ({"method": "BANK"}, "method"), ({"iban": "x"}, "iban")]
)
async def test_bad_details_are_named_and_not_repeated(api: ApiServer, changes: Json, field: str) -> None:
    case_id = await api.file("claim", "north")
    details = {"name": "Zhang San", "account": "6222", "method": "bank", **changes}
    found = problem(await api.post("agent-n", f"/cases/{case_id}/payees", details), 400, "malformed")
    assert field in found["detail"]
    assert "Zhang" not in found["detail"]


async def test_only_a_case_that_pays_has_a_payee(api: ApiServer) -> None:
    case_id = await api.file("complaint", "north")
    details = {"name": "Zhang San", "account": "6222", "method": "bank"}
    problem(await api.post("agent-n", f"/cases/{case_id}/payees", details), 404, "unknown_command")


async def test_the_record_says_who_filed_and_whose_account_it_is(api: ApiServer) -> None:
    case_id = await api.file("claim", "north", who="agent-n")
    timeline = (await api.get("gm-1", f"/cases/{case_id}/timeline")).json()["events"]
    assert timeline[0]["actor"] == {"id": "agent-n", "role": "agent", "person": "p-77"}
    answer = await api.do("agent-n", case_id, "note", {"text": "t"})
    await api.recorded(case_id, answer.json()["events"])
    timeline = (await api.get("gm-1", f"/cases/{case_id}/timeline")).json()["events"]
    noted = next(event for event in timeline if event["type"] == "noted")
    assert noted["actor"]["person"] == "p-77"
    by_somebody = {**intake("claim"), "by": {"id": "gm-1", "role": "general_manager"}}
    problem(await api.post("agent-n", "/cases/claim", by_somebody), 403, "not_you")
