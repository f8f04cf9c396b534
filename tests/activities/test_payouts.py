"""Payouts on a real PostgreSQL, through a real HTTP gateway that misbehaves: the money goes out once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.casebook.errors import Recovering, Superseded
from activities.casebook.record import Recorder
from activities.database.database import Database
from activities.database.errors import DatabaseAway
from activities.database.migrate import migrate
from activities.messages import Batch, PayoutOrder, PayoutResult
from activities.payouts import Gateway, PayoutConflict, PayoutPending, Payouts, PayoutUnknown
from activities.payouts.book import Book
from activities.payouts.gateway import ManualGateway
from activities.payouts.http import HttpGateway
from activities.payouts.ledger import LedgerGateway
from activities.payouts.payees import PayeeDetails, Payees
from activities.payouts.reconcile import Report, reconcile
from activities.signatures import read_secret
from cases.vocabulary.refusals import Refused
from starter.payouts import payouts_of
from starter.settings import SettingsError, load_settings
from tests.activities.ledger import somebody_waits
from tests.cli.program import Answer, call
from tests.gateway import GET_FAULTS, POST_FAULTS, SECRET, TOKEN, Fault, MisbehavingGateway, misbehaving_gateway
from tests.postgres import Cluster, as_writer
from tests.seed import SEED

CASE = "claim:C-1"
RUN = "run-1"
KEY = "claim:C-1/payout"
ORDER = PayoutOrder(CASE, KEY, "120.00", RUN, 1)
MARCH = "2026-03-10T09:00:00+08:00"
ROOT = Path(__file__).parents[2]
# Seconds that a late gateway takes, and that its client waits: too little on a busy machine for
# tests in which an answer must arrive.
DELAY, IMPATIENT = 1.2, 0.4


class Tables(Database):
    """A database whose tables a test looks at, and changes past the product, as the superuser."""

    past: asyncpg.Pool

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self.past.fetch(sql, *values)
        return rows

    async def fetchrow(self, sql: str, *values: Any) -> asyncpg.Record:
        return next(iter(await self.fetch(sql, *values)), None)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        row = await self.fetchrow(sql, *values)
        return None if row is None else row[0]

    async def execute(self, sql: str, *values: Any) -> None:
        await self.past.execute(sql, *values)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="session")
async def dsn(postgres: Cluster) -> str:
    address = await postgres.fresh_database()
    await migrate(address)
    return address


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Tables]:
    """A database with empty books."""
    async with Tables.open(as_writer(dsn)) as made, asyncpg.create_pool(dsn, min_size=0) as made.past:
        async with made.past.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(
                "TRUNCATE case_event, case_text, case_request, case_file, case_number, case_number_given, "
                "casebook_recovery, notification, payout, payout_booking RESTART IDENTITY"
            )
        for name in ("C-1", "C-2", "C-3", "E-1", "E-2", "U-2"):
            await record(made, case_id=f"claim:{name}")
        yield made


@pytest.fixture
def gateway() -> Iterator[MisbehavingGateway]:
    with misbehaving_gateway(delay=DELAY, page=3) as made:
        yield made


def http(gateway: MisbehavingGateway, token: str = TOKEN, timeout: float = 10.0) -> HttpGateway:
    return HttpGateway(gateway.url, token, timeout=timeout)


@pytest.fixture
def payouts(pool: Tables, gateway: MisbehavingGateway) -> Payouts:
    return Payouts(pool, http(gateway), read_secret(SECRET))


async def attempt(payouts: Payouts, order: PayoutOrder = ORDER, number: int = 1) -> PayoutResult:
    """One attempt of the activity, as a worker runs it."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, attempt=number)
    return await environment.run(payouts.pay, order)


async def pay(payouts: Payouts, order: PayoutOrder = ORDER) -> PayoutResult:
    """The activity with the retries that Temporal would make."""
    for number in range(1, 100):
        try:
            return await attempt(payouts, order, number)
        except ApplicationError as error:
            if error.non_retryable:
                raise
            await asyncio.sleep(0.02)
    raise AssertionError("it does not come to an end")


async def row(pool: Tables, key: str = KEY) -> dict[str, Any]:
    found = await pool.fetchrow("SELECT * FROM payout WHERE key = $1", key)
    assert found is not None
    return dict(found)


async def record(pool: Tables, *events: tuple[str, dict[str, Any]], case_id: str = CASE, after: int = 0) -> None:
    """Record events of a case in its ledger, after the one that makes it a recorded case held by the run."""
    actor = {"id": "f1", "role": "finance"}
    opening: list[tuple[str, dict[str, Any]]] = [("acknowledged", {})] if after == 0 else []
    await Recorder(pool).record(
        Batch(
            case_id,
            "claim",
            [
                {
                    "seq": seq,
                    "type": type_,
                    "at": MARCH,
                    "recorded_at": MARCH,
                    "actor": actor,
                    "clauses": [],
                    "data": data,
                }
                for seq, (type_, data) in enumerate([*opening, *events], after + 1 + bool(after))
            ],
            {"id": case_id},
            RUN,
        )
    )


def asked(amount: str = "120.00") -> tuple[str, dict[str, Any]]:
    return "payout_requested", {"amount": amount}


def told(reference: str, amount: str = "120.00") -> tuple[str, dict[str, Any]]:
    return "paid", {"amount": amount, "reference": reference}


# --- the embedded gateway ----------------------------------------------------------------------------


async def test_the_embedded_gateway_pays_at_once_and_once(pool: Tables) -> None:
    payouts = Payouts(pool, LedgerGateway(pool))
    result = await attempt(payouts)
    assert (result.state, result.reference, result.reason) == ("paid", "LEDGER-1", "")
    assert result.at.endswith("+00:00")
    assert await asyncio.gather(*(attempt(payouts, number=n) for n in range(1, 9))) == [result] * 8
    other = await attempt(payouts, PayoutOrder("claim:C-2", "claim:C-2/payout", "7.50", RUN, 1))
    assert other.reference == "LEDGER-2"
    booked = await pool.fetch("SELECT key, case_id, amount FROM payout_booking ORDER BY number")
    assert [tuple(one) for one in booked] == [
        (KEY, CASE, Decimal("120.00")),
        ("claim:C-2/payout", "claim:C-2", Decimal("7.50")),
    ]
    assert (await row(pool))["state"] == "paid"


async def test_orders_at_the_same_moment_are_booked_once(pool: Tables) -> None:
    payouts = Payouts(pool, LedgerGateway(pool))
    results = await asyncio.gather(*(pay(payouts) for _ in range(8)))
    assert {(one.state, one.reference) for one in results} == {("paid", results[0].reference)}
    assert await pool.fetchval("SELECT count(*) FROM payout_booking") == 1


async def test_a_crash_after_the_booking_is_found_and_not_booked_again(pool: Tables) -> None:
    payout, standing = await Book(pool).order(ORDER, "ledger", retry=True)
    assert standing == "new"
    await LedgerGateway(pool).pay(payout)
    assert (await row(pool))["state"] == "requested"
    assert (await attempt(Payouts(pool, LedgerGateway(pool)), number=2)).reference == "LEDGER-1"
    assert await pool.fetchval("SELECT count(*) FROM payout_booking") == 1


# --- an HTTP gateway that misbehaves -----------------------------------------------------------------


async def test_a_payout_over_http(pool: Tables, payouts: Payouts, gateway: MisbehavingGateway) -> None:
    result = await attempt(payouts)
    assert (result.state, result.reference) == ("paid", "GW-1")
    assert gateway.requests == [("POST", "/payouts")]
    [line] = gateway.book
    assert (line.key, line.case, line.amount) == (KEY, CASE, "120.00")
    found = await row(pool)
    assert (found["state"], found["reference"], found["gateway"]) == ("paid", "GW-1", gateway.url)
    # Again: from the book, without a call.
    assert await attempt(payouts, number=2) == result
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("fault", POST_FAULTS)
async def test_whatever_happens_to_the_order_it_is_paid_once(
    fault: Fault, pool: Tables, gateway: MisbehavingGateway
) -> None:
    payouts = Payouts(pool, http(gateway, timeout=IMPATIENT if "late" in fault else 10.0))
    gateway.posts = [fault]
    if fault == "twice":
        result = await attempt(payouts)
    else:
        with pytest.raises(ApplicationError) as caught:
            await attempt(payouts)
        assert caught.value.type == ("PayoutPending" if fault == "pending" else "PayoutUnknown")
        assert not caught.value.non_retryable
        assert (await row(pool))["state"] == "requested"
        if fault == "pending":
            with pytest.raises(PayoutPending):
                await attempt(payouts, number=2)
            gateway.decide(KEY)
        result = await pay(payouts)
    assert (result.state, result.reference) == ("paid", "GW-1")
    assert gateway.paid() == {KEY: ["120.00"]}
    await asyncio.sleep(DELAY if fault == "book_late" else 0)
    assert gateway.paid() == {KEY: ["120.00"]}


@pytest.mark.parametrize("fault", GET_FAULTS)
async def test_an_unknown_outcome_is_asked_about_until_it_is_known(
    fault: Fault, pool: Tables, gateway: MisbehavingGateway
) -> None:
    payouts = Payouts(pool, http(gateway, timeout=IMPATIENT if fault == "late" else 10.0))
    gateway.posts, gateway.gets = ["lose_after"], [fault, fault]
    assert (await pay(payouts)).reference == "GW-1"
    assert gateway.paid() == {KEY: ["120.00"]}
    # The outcome came from asking: the order was sent this one time.
    assert [method for method, _ in gateway.requests].count("POST") == 1


async def test_what_never_arrived_is_sent_again_under_the_same_key(
    payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["lose"]
    assert (await pay(payouts)).state == "paid"
    asked_for = ("GET", "/payouts/claim%3AC-1%2Fpayout")
    assert gateway.requests == [("POST", "/payouts"), asked_for, ("POST", "/payouts")]


@pytest.mark.parametrize("fault", ["other_key", "redirect"])
async def test_an_answer_that_is_none_leaves_the_outcome_unknown(
    fault: Fault, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = [fault]
    with pytest.raises(PayoutUnknown):
        await attempt(payouts)
    assert gateway.elsewhere == []
    assert (await pay(payouts)).reference == "GW-1"


async def test_another_amount_in_the_answer_is_a_conflict(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["wrong_amount"]
    for number in (1, 2):  # the second time it is asked, and says the same
        with pytest.raises(PayoutConflict, match=r"ordered were 120\.00 yuan, the gateway says 120\.09") as caught:
            await attempt(payouts, number=number)
        assert (caught.value.type, caught.value.non_retryable) == ("PayoutConflict", True)
    assert (await row(pool))["state"] == "requested"


@pytest.mark.parametrize(("fault", "reason"), [("refuse", "HTTP 422 account_closed"), ("refuse_in_words", "HTTP 400")])
async def test_a_refusal_is_final_for_this_try_and_names_nobody(
    fault: Fault, reason: str, pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = [fault]
    failed = PayoutResult("failed", reason=reason)
    assert await attempt(payouts) == failed
    assert (await row(pool))["reason"] == reason
    # A worker that died before it could say so: the retry of the same activity hears it again.
    assert await attempt(payouts, number=2) == failed
    assert len(gateway.requests) == 1
    # The case tries again later, under the same key.
    assert (await attempt(payouts)).state == "paid"
    found = await row(pool)
    assert (found["state"], found["reason"]) == ("paid", "")
    assert gateway.paid() == {KEY: ["120.00"]}


async def test_what_was_taken_and_then_refused_is_failed_and_may_be_tried_again(
    payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["pending", "fail"]
    with pytest.raises(PayoutPending):
        await attempt(payouts)
    gateway.decide(KEY, "failed")
    failed = PayoutResult("failed", reason="account_closed")
    assert await attempt(payouts, number=2) == failed
    assert await attempt(payouts) == failed  # a new try, refused once more
    assert (await attempt(payouts)).state == "paid"
    assert [method for method, _ in gateway.requests] == ["POST", "GET", "GET", "POST", "GET", "POST"]


async def test_a_try_after_a_failure_first_asks_whether_it_was_paid_after_all(
    payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["refuse"]
    await attempt(payouts)
    gateway.enter(KEY, "120.00", case=CASE)
    assert (await attempt(payouts)).reference == "GW-1"
    assert [method for method, _ in gateway.requests] == ["POST", "GET"]


async def test_without_the_right_token_nothing_is_paid_and_nothing_is_concluded(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["lose_after"]
    with pytest.raises(PayoutUnknown):
        await attempt(payouts)
    locked_out = Payouts(pool, http(gateway, "expired"))
    with pytest.raises(PayoutUnknown, match="the gateway answered HTTP 401 when it was asked"):
        await attempt(locked_out, number=2)
    assert (await row(pool))["state"] == "requested"
    refused = await attempt(locked_out, PayoutOrder("claim:C-2", "claim:C-2/payout", "5.00", RUN, 1))
    assert (refused.state, refused.reason) == ("failed", "HTTP 401")


async def test_an_open_order_is_not_sent_to_another_gateway(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["lose_after"]
    with pytest.raises(PayoutUnknown):
        await attempt(payouts)
    with pytest.raises(PayoutUnknown, match="must be asked what came of it; configured is ledger"):
        await attempt(Payouts(pool, LedgerGateway(pool)), number=2)
    assert await pool.fetchval("SELECT count(*) FROM payout_booking") == 0
    assert (await attempt(payouts, number=3)).reference == "GW-1"


async def test_without_the_book_the_gateway_is_not_called(gateway: MisbehavingGateway) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"postgresql://nobody@127.0.0.1:{free.getsockname()[1]}/x"
        async with Database.open(address) as away:
            with pytest.raises(DatabaseAway):
                await attempt(Payouts(away, http(gateway)))
    assert gateway.requests == []


async def test_a_gateway_that_is_down_leaves_the_outcome_unknown(pool: Tables) -> None:
    with misbehaving_gateway() as gone:
        address = gone.url
    with pytest.raises(PayoutUnknown, match=r"no answer from the gateway \(ConnectError\)"):
        await attempt(Payouts(pool, HttpGateway(address, TOKEN)))
    assert (await row(pool))["state"] == "requested"


async def test_an_endless_answer_is_given_up(pool: Tables) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99000000\r\n\r\n")
        try:
            for _ in range(99):
                writer.write(b"0" * 1_000_000)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(PayoutUnknown, match="longer than 4000000 bytes"):
            await attempt(Payouts(pool, HttpGateway(url, TOKEN)))


# --- conflicts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (
            PayoutOrder(CASE, KEY, "120.01", RUN, 1),
            r"amount = 120\.01: under the key claim:C-1/payout stand 120\.00 yuan",
        ),
        (PayoutOrder(CASE, "another", "120.00", RUN, 1), "a payout is under way under the key claim:C-1/payout"),
        (PayoutOrder("claim:C-2", KEY, "120.00", RUN, 1), "claim:C-2: the key claim:C-1/payout is another case's"),
        (PayoutOrder(CASE, "", "120.00", RUN, 1), "key = '': allowed: 1 to 255 visible ASCII"),
        (PayoutOrder(CASE, "k\r\nx-evil: 1", "120.00", RUN, 1), "allowed: 1 to 255 visible ASCII"),
        (PayoutOrder(CASE, "k", "0.00", RUN, 1), r"amount = '0\.00': allowed: yuan above 0 with two places"),
        (PayoutOrder(CASE, "k", "-1.00", RUN, 1), "allowed: yuan above 0"),
        (PayoutOrder(CASE, "k", "1.005", RUN, 1), "allowed: yuan above 0"),
        (PayoutOrder(CASE, "k", "NaN", RUN, 1), "allowed: yuan above 0"),
        (PayoutOrder(CASE, "k", "１.00", RUN, 1), "allowed: yuan above 0"),
    ],
)
async def test_an_order_that_contradicts_the_book_is_refused_for_good(
    order: PayoutOrder, message: str, pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["lose"]
    with pytest.raises(PayoutUnknown):
        await attempt(payouts)
    before, requests = await pool.fetch("SELECT * FROM payout"), len(gateway.requests)
    with pytest.raises(PayoutConflict, match=message) as caught:
        await attempt(payouts, order)
    assert (caught.value.type, caught.value.non_retryable) == ("PayoutConflict", True)
    assert await pool.fetch("SELECT * FROM payout") == before
    assert len(gateway.requests) == requests


# --- finance ------------------------------------------------------------------------------------------


async def test_a_manual_payout_waits_for_finance_and_its_word_settles_both_books(pool: Tables) -> None:
    payouts = Payouts(pool, ManualGateway())
    await record(pool, asked())
    assert await attempt(payouts) == PayoutResult("waiting")
    assert await attempt(payouts, number=2) == PayoutResult("waiting")
    await record(pool, asked(), told("BANK-7"))
    found = await row(pool)
    assert (found["state"], found["reference"], found["gateway"]) == ("paid", "BANK-7", "manual")
    assert await attempt(payouts) == PayoutResult("paid", "BANK-7", at="2026-03-10T01:00:00+00:00")
    assert (await reconcile(pool, ManualGateway())).ok


async def test_what_waits_for_finance_is_not_paid_by_a_new_gateway(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    await attempt(Payouts(pool, ManualGateway()))
    assert await attempt(payouts) == PayoutResult("waiting")
    assert gateway.requests == []


async def test_what_finance_confirmed_meanwhile_is_not_paid_again(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["lose"]
    await record(pool, asked())
    with pytest.raises(PayoutUnknown):
        await attempt(payouts)
    await record(pool, told("BANK-7"), after=1)
    assert (await attempt(payouts, number=2)).reference == "BANK-7"
    assert gateway.requests == [("POST", "/payouts")]
    assert (await reconcile(pool, http(gateway))).ok


async def test_what_finance_confirmed_before_the_order_is_not_paid_again(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    await record(pool, asked(), told("BANK-7"))
    assert (await attempt(payouts)).reference == "BANK-7"
    assert gateway.requests == []
    with pytest.raises(PayoutConflict, match=r"amount = 99\.00"):
        await attempt(payouts, PayoutOrder(CASE, KEY, "99.00", RUN, 1))
    assert (await reconcile(pool, http(gateway))).ok


async def test_what_finance_confirmed_after_a_failure_is_paid(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["refuse"]
    await attempt(payouts)
    await record(pool, asked(), told("BANK-7"))
    assert (await attempt(payouts)).reference == "BANK-7"
    assert (await row(pool))["reason"] == ""
    assert len(gateway.requests) == 1


async def test_the_word_of_finance_and_an_order_at_the_same_moment_leave_one_row(pool: Tables) -> None:
    payouts = Payouts(pool, ManualGateway())
    for n in range(25):
        case_id = f"claim:R-{n}"
        await record(pool, case_id=case_id)
        order = PayoutOrder(case_id, f"{case_id}/payout", "120.00", RUN, 1)
        await asyncio.gather(
            attempt(payouts, order), record(pool, asked(), told(f"BANK-{n}"), case_id=case_id), attempt(payouts, order)
        )
        assert (await attempt(payouts, order)).reference == f"BANK-{n}"
    assert await pool.fetchval("SELECT count(*) FROM payout WHERE state = 'paid'") == 25
    assert (await reconcile(pool, ManualGateway())).ok


async def test_what_a_gateway_paid_stays_so_whatever_the_event_says(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    result = await attempt(payouts)
    await record(pool, asked(), told("GW-1"))
    found = await row(pool)
    assert (found["reference"], found["gateway"]) == ("GW-1", gateway.url)
    assert await attempt(payouts) == result


# --- callbacks ---------------------------------------------------------------------------------------


@pytest.fixture
async def pending(payouts: Payouts, gateway: MisbehavingGateway) -> MisbehavingGateway:
    """A gateway that has taken the order and not yet decided."""
    gateway.posts = ["pending"]
    with pytest.raises(PayoutPending):
        await attempt(payouts)
    return gateway


async def test_a_callback_settles_the_book_and_the_activity_asks_no_more(
    pool: Tables, payouts: Payouts, pending: MisbehavingGateway
) -> None:
    received: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return None

    pending.decide(KEY)
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert pending.call_back(f"http://127.0.0.1:{server.server_address[1]}/", KEY) == 204
        thread.join()
    [(headers, body)] = received
    called = await payouts.called_back(headers, body)
    assert (called.case_id, called.key) == (CASE, KEY)
    assert called.result is not None
    assert (called.result.state, called.result.reference) == ("paid", "GW-1")
    assert await payouts.called_back(headers, body) == called
    requests = len(pending.requests)
    assert await attempt(payouts, number=2) == called.result
    assert len(pending.requests) == requests
    assert (await row(pool))["state"] == "paid"


async def test_a_callback_that_it_failed_is_heard_by_the_activity_once(
    payouts: Payouts, pending: MisbehavingGateway
) -> None:
    pending.decide(KEY, "failed")
    called = await payouts.called_back(*pending.signed(KEY))
    assert called.result == PayoutResult("failed", reason="account_closed")
    # The activity that was asking reports it and does not start anew by itself.
    assert await attempt(payouts, number=2) == called.result
    assert pending.paid() == {}


async def test_a_callback_that_it_was_paid_after_all_outdoes_a_failure(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["refuse"]
    await attempt(payouts)
    gateway.enter(KEY, "120.00", case=CASE)
    called = (await payouts.called_back(*gateway.signed(KEY))).result
    assert called is not None
    assert called.state == "paid"
    assert (await attempt(payouts)).reference == "GW-1"
    assert gateway.requests == [("POST", "/payouts")]


def _other_body(headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    return headers, body.replace(b"120.00", b"920.00")


def _without(name: str) -> Any:
    return lambda headers, body: ({key: value for key, value in headers.items() if key != name}, body)


def _with(name: str, value: str) -> Any:
    return lambda headers, body: ({**headers, name: value}, body)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_body, "webhook-signature does not fit the body"),
        (_with("Webhook-Signature", "v1,AAAA v2,BBBB"), "webhook-signature does not fit"),
        (_with("Webhook-Signature", ""), "webhook-signature does not fit"),
        (_with("Webhook-Id", "another"), "webhook-signature does not fit"),
        (_without("Webhook-Signature"), "the header webhook-signature is missing"),
        (_without("Webhook-Id"), "the header webhook-id is missing"),
        (_without("Webhook-Timestamp"), "the header webhook-timestamp is missing"),
        (_with("Webhook-Timestamp", "1700000000"), "webhook-timestamp must be in seconds, within 300 s of now"),
        (_with("Webhook-Timestamp", "9999999999"), "webhook-timestamp must be"),
        (_with("Webhook-Timestamp", "now"), "webhook-timestamp must be"),
        (_with("Webhook-Timestamp", "１"), "webhook-timestamp must be"),
        (_with("Webhook-Timestamp", "9" * 5000), "webhook-timestamp must be"),
    ],
)
async def test_a_callback_without_a_good_signature_changes_nothing(
    spoil: Any, message: str, pool: Tables, payouts: Payouts, pending: MisbehavingGateway
) -> None:
    pending.decide(KEY)
    with pytest.raises(Refused, match=message) as caught:
        await payouts.called_back(*spoil(*pending.signed(KEY)))
    assert caught.value.code == "bad_signature"
    assert (await row(pool))["state"] == "requested"


async def test_a_callback_signed_with_another_key_or_without_a_configured_one_changes_nothing(
    pool: Tables, payouts: Payouts, pending: MisbehavingGateway
) -> None:
    pending.decide(KEY)
    other = "whsec_" + "eHh4" * 11
    with pytest.raises(Refused) as caught:
        await payouts.called_back(*pending.signed(KEY, secret=other))
    assert caught.value.code == "bad_signature"
    with pytest.raises(Refused, match="CASELADDER_PAYOUT_CALLBACK_SECRET is not set") as caught:
        await Payouts(pool, http(pending)).called_back(*pending.signed(KEY))
    assert caught.value.code == "bad_signature"
    assert (await row(pool))["state"] == "requested"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"key": "claim:C-9/payout"}, "unknown_payout", "key = 'claim:C-9/payout': no payout was sent under this key"),
        ({"state": "refunded"}, "invalid", "state = 'refunded': Input should be 'paid', 'pending' or 'failed'"),
        ({"state": "pending", "reference": ""}, "invalid", "state = 'pending': allowed: paid, failed"),
        ({"amount": 120.0}, "invalid", "amount = 120.0"),
        ({"amount": "120"}, "invalid", "amount = '120'"),
        ({"reference": ""}, "invalid", "reference: what is paid has one"),
        ({"reference": "回单\n17"}, "invalid", "one line without control characters"),
        ({"reference": "  "}, "invalid", "reference: what is paid has one"),
        ({"key": None}, "invalid", "key = None"),
        ({"at": "2026-03-10T09:00:00"}, "invalid", "at = '2026-03-10T09:00:00'"),
        ({"amount": "121.00"}, "amount_differs", r"amount = 121\.00: ordered were 120\.00 yuan"),
    ],
)
async def test_a_callback_that_does_not_fit_the_book_changes_nothing(
    changes: dict[str, Any], code: str, message: str, pool: Tables, payouts: Payouts, pending: MisbehavingGateway
) -> None:
    pending.decide(KEY)
    with pytest.raises(Refused, match=message) as caught:
        await payouts.called_back(*pending.signed(KEY, **changes))
    assert caught.value.code == code
    assert (await row(pool))["state"] == "requested"


async def test_a_banks_reference_may_hold_chinese_and_blanks(
    pool: Tables, payouts: Payouts, pending: MisbehavingGateway
) -> None:
    line = pending.decide(KEY)
    line.reference = "招商银行 回单 17 (加急)"
    await payouts.called_back(*pending.signed(KEY))
    assert (await row(pool))["reference"] == line.reference
    await record(pool, asked(), told(line.reference))
    assert (await reconcile(pool, http(pending))).ok


async def test_a_callback_cannot_undo_a_payment(pool: Tables, payouts: Payouts, gateway: MisbehavingGateway) -> None:
    await attempt(payouts)
    before = await row(pool)
    for changes in ({"state": "failed", "reference": ""}, {"reference": "GW-2"}):
        with pytest.raises(Refused, match="is paid with the reference GW-1") as caught:
            await payouts.called_back(*gateway.signed(KEY, **changes))
        assert caught.value.code == "already_paid"
    assert await row(pool) == before


async def test_a_callback_counts_only_for_what_was_sent_to_this_gateway(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    await attempt(Payouts(pool, ManualGateway()))
    gateway.enter(KEY, "120.00", case=CASE)
    with pytest.raises(Refused) as caught:
        await payouts.called_back(*gateway.signed(KEY))
    assert caught.value.code == "unknown_payout"
    assert (await row(pool))["state"] == "waiting"


# --- reconciliation ----------------------------------------------------------------------------------


def found(report: Report) -> list[tuple[str, str]]:
    return sorted((one.kind, one.case_id) for one in report.differences)


async def books(pool: Tables, payouts: Payouts, number: int = 8) -> None:
    """That many claims, paid, with everything on every book."""
    for n in range(1, number + 1):
        case_id = f"claim:C-{n}"
        await record(pool, asked(), case_id=case_id)
        result = await pay(payouts, PayoutOrder(case_id, f"{case_id}/payout", "120.00", RUN, 1))
        await record(pool, told(result.reference), case_id=case_id, after=1)


async def look(pool: Tables, gateway: Gateway) -> Report:
    return await reconcile(pool, gateway, second_look=0.01)


async def test_books_that_agree(pool: Tables, payouts: Payouts, gateway: MisbehavingGateway) -> None:
    await books(pool, payouts)
    report = await look(pool, http(gateway))
    assert report == Report(gateway.url, 8, 8, Decimal("960.00"), 0, ())
    assert report.ok
    # The list came in pages of three.
    pages = [f"/payouts?limit=500{after}" for after in ("", "&after=3", "&after=6")]
    assert [path for _, path in gateway.requests][-3:] == pages


async def test_the_embedded_gateway_has_a_book_too(pool: Tables) -> None:
    payouts = Payouts(pool, LedgerGateway(pool))
    await books(pool, payouts, 3)
    assert (await payouts.reconcile()).ok
    await pool.execute("UPDATE payout_booking SET amount = 12 WHERE case_id = 'claim:C-1'")
    await pool.execute("DELETE FROM payout_booking WHERE case_id = 'claim:C-2'")
    await pool.execute(
        "INSERT INTO payout_booking (key, case_id, amount, booked_at) VALUES ('k', 'claim:C-3', 1, now())"
    )
    expected = [("amount_differs", "claim:C-1"), ("missing_there", "claim:C-2"), ("paid_twice", "claim:C-3")]
    assert found(await look(pool, LedgerGateway(pool))) == expected


async def test_each_difference_is_found(pool: Tables, payouts: Payouts, gateway: MisbehavingGateway) -> None:
    await books(pool, payouts, 14)

    def line(n: int) -> Any:
        made = gateway.find(f"claim:C-{n}/payout")
        assert made is not None
        return made

    async def ours(n: int, what: str) -> None:
        await pool.execute(f"UPDATE payout SET {what} WHERE case_id = 'claim:C-{n}'")

    gateway.enter("claim:C-1/payout", "120.00", case="claim:C-1")
    gateway.enter("another-key", "120.00", case="claim:C-2")
    gateway.enter("stranger", "5.00", case="claim:X")
    line(3).amount = "12.00"
    line(4).reference = "GW-999"
    gateway.book.remove(line(5))
    line(6).state = "failed"
    await ours(7, "state = 'requested', reference = '', settled_at = NULL")
    await ours(8, "gateway = 'manual'")
    await ours(9, "amount = 119.99")
    await record(pool, told("BANK-1"), case_id="claim:C-10", after=2)
    # Paid, and the ledger does not know; ordered, and nobody asked for it.
    await record(pool, asked(), case_id="claim:E-1")
    await pay(payouts, PayoutOrder("claim:E-1", "e1", "1.00", RUN, 1))
    await pay(payouts, PayoutOrder("claim:E-2", "e2", "2.00", RUN, 1))
    await pool.execute("DELETE FROM payout WHERE case_id = 'claim:C-11'")
    await ours(12, "gateway = 'https://old.example/payouts'")
    # Under way, which is no difference.
    await record(pool, asked(), case_id="claim:U-1")
    await record(pool, asked("3.00"), case_id="claim:U-2")
    gateway.posts = ["pending"]
    with pytest.raises(PayoutPending):
        await attempt(payouts, PayoutOrder("claim:U-2", "u2", "3.00", RUN, 1))

    report = await look(pool, http(gateway))
    assert found(report) == sorted(
        [
            ("paid_twice", "claim:C-1"),
            ("paid_twice", "claim:C-2"),
            ("missing_here", "claim:X"),
            ("amount_differs", "claim:C-3"),
            ("reference_differs", "claim:C-4"),
            ("missing_there", "claim:C-5"),
            ("missing_there", "claim:C-6"),
            # The gateway and the ledger both say paid.
            ("missing_here", "claim:C-7"),
            ("missing_here", "claim:C-7"),
            ("paid_twice", "claim:C-8"),
            ("amount_differs", "claim:C-9"),
            ("amount_differs", "claim:C-9"),
            ("paid_twice", "claim:C-10"),
            ("reference_differs", "claim:C-10"),
            ("amount_differs", "claim:E-1"),
            ("no_event", "claim:E-1"),
            ("no_event", "claim:E-2"),
            ("not_requested", "claim:E-2"),
            ("missing_here", "claim:C-11"),
            ("missing_here", "claim:C-11"),
            # By another gateway once, as it seems, and by this one.
            ("paid_twice", "claim:C-12"),
        ]
    )
    assert (report.ok, report.unchecked) == (False, 1)
    # What the other book says, for those who read no sentences in English.
    there = {(one.case_id, one.kind, one.other): one.there for one in report.differences}
    assert there["claim:C-3", "amount_differs", "gateway"] == "12.00"
    assert there["claim:C-4", "reference_differs", "gateway"] == "GW-999"
    assert there["claim:C-5", "missing_there", "gateway"] == ""
    assert there["claim:C-10", "reference_differs", "ledger"] == "BANK-1"
    assert there["claim:E-1", "amount_differs", "ledger"] == "120.00"
    assert there["claim:X", "missing_here", "gateway"].startswith("5.00 (GW-")


async def test_what_is_under_way_at_the_first_look_is_no_difference(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    await record(pool, asked())
    result = await attempt(payouts)
    looking = asyncio.create_task(reconcile(pool, http(gateway), second_look=1.5))
    await gateway.asked("GET")
    await asyncio.sleep(0.1)  # until the first look is over
    await record(pool, told(result.reference), after=1)
    assert (await looking).ok


async def test_a_book_that_cannot_be_read_proves_nothing(pool: Tables, gateway: MisbehavingGateway) -> None:
    with pytest.raises(PayoutUnknown, match="HTTP 401 when it was asked for its book"):
        await look(pool, http(gateway, "expired"))
    gateway.enter("k", "one yuan")
    with pytest.raises(PayoutUnknown, match=r"cannot be read \(payouts\.0\.amount\)"):
        await look(pool, http(gateway))


@pytest.mark.parametrize("page", [{"payouts": [], "next": "1"}, {"payouts": []}, []])
async def test_a_list_that_goes_round_or_has_no_end_is_given_up(pool: Tables, page: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(page).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(PayoutUnknown, match=r"in a circle|cannot be read"):
            await look(pool, HttpGateway(url, TOKEN))


async def command(dsn: str, gateway: MisbehavingGateway, *options: str) -> Answer:
    settings = {
        "CASELADDER_DATABASE_URL": as_writer(dsn),
        "CASELADDER_PAYOUT_URL": gateway.url,
        "CASELADDER_PAYOUT_TOKEN": TOKEN,
        "NO_PROXY": "127.0.0.1",
    }
    return await asyncio.to_thread(call, "payouts", "reconcile", *options, env=settings)


async def test_the_command_proves_it_from_both_books(
    dsn: str, pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    await books(pool, payouts, 2)
    assert (await command(dsn, gateway, "--json")).json == {
        "ok": True,
        "gateway": gateway.url,
        "payouts": 2,
        "paid": 2,
        "total": "240.00",
        "unchecked": 0,
        "differences": [],
    }
    answer = await command(dsn, gateway)
    assert answer.code == 0
    assert "2, 240.00 yuan" in answer.out
    assert "the ledger, the payout book and the gateway's book agree" in answer.out

    gateway.enter("claim:C-1/payout", "120.00", case="claim:C-1")
    answer = await command(dsn, gateway, "--json")
    assert answer.code == 1
    told_of = json.loads(answer.out)
    assert told_of["ok"] is False
    assert told_of["differences"] == [
        {
            "kind": "paid_twice",
            "case": "claim:C-1",
            "key": "claim:C-1/payout",
            "detail": "by the gateway under one key (GW-1, GW-3)",
        }
    ]
    answer = await command(dsn, gateway)
    assert answer.code == 1
    assert "paid_twice" in answer.out


async def test_the_command_says_in_one_line_why_it_cannot(dsn: str, tmp_path: Path) -> None:
    with misbehaving_gateway() as gone:
        pass
    assert "no answer from the gateway" in (await command(dsn, gone)).refused(1)
    nowhere = await asyncio.to_thread(call, "payouts", "reconcile", "--data", str(tmp_path))
    assert "no database: nothing runs" in nowhere.refused(1)
    bad = await asyncio.to_thread(
        call, "payouts", "reconcile", "--data", str(tmp_path), env={"CASELADDER_PAYOUT_URL": "ftp://u:secret@x"}
    )
    assert "secret" not in bad.refused(2)


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("payout_url", "ftp://host/x", "beginning with http://, https:// or it is ledger: or manual:"),
        ("payout_url", "ledger", "or it is ledger: or manual:"),
        ("payout_url", "https://user:hush@host/x", "credentials go into CASELADDER_PAYOUT_TOKEN"),
        ("payout_url", "https://host/x?token=hush", "credentials go into CASELADDER_PAYOUT_TOKEN"),
        ("payout_token", "hush\nx-evil: 1", "visible ASCII characters without spaces"),
        ("payout_callback_secret", "hush!", "it must be base64"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_not_repeated(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(**{name: value})
    assert f"CASELADDER_{name.upper()}: " in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_the_settings_choose_the_gateway(pool: Tables, gateway: MisbehavingGateway) -> None:
    ledger = payouts_of(load_settings(), pool)
    assert (await attempt(ledger)).reference == "LEDGER-1"
    manual = payouts_of(load_settings(payout_url="manual:"), pool)
    assert (await attempt(manual, PayoutOrder("claim:C-2", "c2", "1.00", RUN, 1))).state == "waiting"
    over_http = {"payout_url": gateway.url, "payout_token": TOKEN, "payout_callback_secret": SECRET}
    outside = payouts_of(load_settings(**over_http), pool)
    assert (await attempt(outside, PayoutOrder("claim:C-3", "c3", "1.00", RUN, 1))).reference == "GW-1"
    called = (await outside.called_back(*gateway.signed("c3"))).result
    assert called is not None
    assert called.state == "paid"


async def test_what_payouts_cannot_run_with_is_said_at_once(pool: Tables) -> None:
    with pytest.raises(SettingsError, match="CASELADDER_PAYOUT_CALLBACK_SECRET: allowed: whsec_") as caught:
        payouts_of(load_settings(payout_callback_secret="aHVzaA=="), pool)
    assert "aHVzaA" not in str(caught.value)


# --- chaos -------------------------------------------------------------------------------------------


def orders(number: int) -> list[PayoutOrder]:
    return [
        PayoutOrder(f"claim:K-{n}", f"claim:K-{n}/payout", f"{n}.{n % 100:02d}", RUN, 1) for n in range(1, number + 1)
    ]


async def test_through_any_misbehaviour_everything_is_paid_once(pool: Tables, gateway: MisbehavingGateway) -> None:
    payouts = Payouts(pool, http(gateway, timeout=IMPATIENT))
    gateway.chance = random.Random(SEED)
    wanted = orders(60)
    for order in wanted:
        await record(pool, asked(order.amount), case_id=order.case_id)
    results = await asyncio.gather(*(pay(payouts, order) for order in wanted))
    for order, result in zip(wanted, results, strict=True):
        await record(pool, told(result.reference, order.amount), case_id=order.case_id, after=1)
    gateway.chance = None
    await asyncio.sleep(DELAY)  # what comes late has come
    assert gateway.paid() == {order.key: [order.amount] for order in wanted}
    report = await look(pool, http(gateway))
    assert report.ok, report.differences
    assert report.paid == len(wanted)


# Pays all orders at once, as a worker with retries would, until it is killed or done.
PROCESS = """
import asyncio, sys
from tests.activities.test_payouts import orders, pay
from activities.database.database import Database
from activities.payouts import Payouts
from activities.payouts.http import HttpGateway

async def main(dsn, url, token, timeout):
    async with Database.open(dsn) as database:
        payouts = Payouts(database, HttpGateway(url, token, timeout=float(timeout)))
        print("begins", flush=True)
        await asyncio.gather(*(pay(payouts, order) for order in orders(40)))
        print("done", flush=True)
        # However fast it was, there is somebody to kill.
        sys.stdin.read()

asyncio.run(main(*sys.argv[1:]))
"""


def _killed_again_and_again(dsn: str, url: str, seed: int) -> int:
    """Run the process until it gets to its end, killing it in between; how often it was killed."""
    chance, killed = random.Random(seed), 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, as_writer(dsn), url, TOKEN, str(IMPATIENT)],
            cwd=ROOT,
            env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            stdout = process.stdout
            assert stdout is not None
            assert stdout.readline() == "begins\n"
            if killed < 4:
                time.sleep(chance.uniform(0.05, 0.4))
                process.send_signal(signal.SIGKILL)
                killed += 1
                continue
            assert stdout.readline() == "done\n"
            return killed


@pytest.mark.long
async def test_a_process_that_dies_at_any_moment_leaves_nothing_paid_twice(
    dsn: str, pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.chance = random.Random(SEED)
    for order in orders(40):
        await record(pool, asked(order.amount), case_id=order.case_id)
    killed = await asyncio.to_thread(_killed_again_and_again, dsn, gateway.url, SEED)
    assert killed == 4
    gateway.chance = None
    await asyncio.sleep(DELAY)
    wanted = orders(40)
    assert gateway.paid() == {order.key: [order.amount] for order in wanted}
    rows = await pool.fetch("SELECT key, amount::text, state, reference FROM payout")
    lines = {line.key: line for line in gateway.book}
    assert sorted(map(tuple, rows)) == sorted((o.key, o.amount, "paid", lines[o.key].reference) for o in wanted)


@pytest.mark.long
async def test_a_process_killed_between_the_booking_and_the_answer_finds_it_paid(
    dsn: str, pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    wanted = orders(40)
    for order in wanted:
        await record(pool, asked(order.amount), case_id=order.case_id)
    gateway.posts, gateway.delay = cast(list[Fault], ["late"] * len(wanted)), 60
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, dsn, gateway.url, TOKEN, "60",
        cwd=ROOT, env={**os.environ, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await gateway.asked("POST", len(wanted))
    finally:
        process.kill()
        await process.wait()
    for _ in range(500):
        if len(gateway.book) == len(wanted):
            break
        await asyncio.sleep(0.01)
    assert await pool.fetchval("SELECT count(*) FROM payout WHERE state = 'requested'") == len(wanted)
    for order in wanted:
        assert (await attempt(payouts, order, 2)).state == "paid"
    assert gateway.paid() == {order.key: [order.amount] for order in wanted}
    # Asking was enough: nothing was sent a second time.
    assert sorted(gateway.orders) == sorted(order.key for order in wanted)


# --- whoever holds the case pays for it --------------------------------------------------------------


async def test_another_run_pays_nothing(pool: Tables, payouts: Payouts, gateway: MisbehavingGateway) -> None:
    other = dataclasses.replace(ORDER, run="run-2")
    with pytest.raises(Superseded, match="claim:C-1: another run holds the case") as caught:
        await attempt(payouts, other)
    assert (caught.value.type, caught.value.non_retryable) == ("Superseded", True)
    assert await pool.fetch("SELECT * FROM payout") == []
    assert (await attempt(payouts)).state == "paid"
    # Nor is it told what became of it.
    with pytest.raises(Superseded):
        await attempt(payouts, other)
    assert len(gateway.book) == 1


async def test_whoever_takes_a_case_over_finds_what_was_ordered_before(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["lose_after"]
    with pytest.raises(PayoutUnknown):
        await attempt(payouts)
    await pool.execute("UPDATE case_file SET held_by = 'run-2' WHERE case_id = $1", CASE)
    with pytest.raises(Superseded):
        await attempt(payouts, number=2)
    assert (await attempt(payouts, dataclasses.replace(ORDER, run="run-2"))).reference == "GW-1"
    assert len(gateway.book) == 1


async def test_a_failed_payment_is_tried_again_only_by_whoever_holds_the_case(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    assert (await attempt(Payouts(pool, http(gateway, "expired")))).state == "failed"
    book = Book(pool)
    again = await pool.fetch(book._AGAIN, KEY, "ledger", "run-2", ORDER.case_id, Decimal(ORDER.amount), "")
    assert again == []
    assert (await row(pool))["state"] == "failed"
    assert (await attempt(payouts)).state == "paid"


async def test_a_claim_under_way_is_waited_for(pool: Tables, payouts: Payouts) -> None:
    async with pool.connection() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE case_file SET held_by = 'run-2' WHERE case_id = $1", CASE)
            late = asyncio.create_task(attempt(payouts))
            await somebody_waits(connection)
        with pytest.raises(Superseded):
            await late
    assert await pool.fetch("SELECT * FROM payout") == []


async def test_payments_wait_while_cases_recover(pool: Tables, payouts: Payouts, gateway: MisbehavingGateway) -> None:
    await pool.execute("INSERT INTO casebook_recovery DEFAULT VALUES")
    with pytest.raises(Recovering, match="claim:C-1: the payment waits until the casebook is recovered") as caught:
        await attempt(payouts)
    assert (caught.value.type, caught.value.non_retryable) == ("Recovering", False)
    with pytest.raises(Superseded):
        await attempt(payouts, dataclasses.replace(ORDER, run="run-2"))
    assert (await pool.fetch("SELECT * FROM payout"), gateway.requests) == ([], [])
    await pool.execute("DELETE FROM casebook_recovery")
    assert (await attempt(payouts)).state == "paid"


async def test_a_payment_for_a_case_that_the_ledger_lacks_tells_that_it_is_behind(
    pool: Tables, payouts: Payouts
) -> None:
    lost = PayoutOrder("claim:lost", "claim:lost/payout", "1.00", RUN, 1)
    for _ in range(2):
        with pytest.raises(Recovering, match="claim:lost: the payment waits"):
            await attempt(payouts, lost)
    assert await pool.fetchval("SELECT count(*) FROM casebook_recovery") == 1


@pytest.mark.parametrize("known", [False, True])
async def test_a_payment_that_the_ledger_does_not_ask_for_waits(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway, known: bool
) -> None:
    """The ledger has the case as it was before anybody asked for money; the order was retried over its restore."""
    if known:
        # The book has an order of the case which failed, and may be sent again.
        gateway.posts.append("refuse")
        assert (await attempt(payouts)).state == "failed"
        gateway.requests.clear()
    held_by_an_earlier_run = dataclasses.replace(ORDER, seq=2, run="run-2")
    for order in (dataclasses.replace(ORDER, seq=2), held_by_an_earlier_run):
        with pytest.raises(Recovering, match="claim:C-1: the payment waits"):
            await attempt(payouts, order)
    assert gateway.requests == []
    assert [row["state"] for row in await pool.fetch("SELECT state FROM payout")] == (["failed"] if known else [])
    assert await pool.fetchval("SELECT count(*) FROM casebook_recovery") == 1
    await record(pool, asked(), case_id=CASE)
    await pool.execute("DELETE FROM casebook_recovery")
    assert (await attempt(payouts, dataclasses.replace(ORDER, seq=2))).state == "paid"


async def test_a_payment_that_only_the_ledger_remembers_is_no_difference(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    """Which gateway it was, the ledger does not say."""
    gateway.enter(KEY, "120.00", case=CASE)
    booked = gateway.find(KEY)
    assert booked is not None
    reference = booked.reference
    event = {"at": MARCH, "recorded_at": MARCH, "actor": {"id": "caseladder", "role": "system"}, "clauses": []}
    await record(pool, asked())
    await Recorder(pool).record(
        Batch(
            CASE,
            "claim",
            [{**event, "seq": 3, "type": "paid", "data": {"amount": "120.00", "reference": reference}}],
            {"id": CASE},
            RUN,
        )
    )
    assert (await row(pool))["gateway"] == ""
    report = await look(pool, http(gateway))
    assert (report.ok, report.paid, report.unchecked) == (True, 1, 0)
    assert (await attempt(payouts)).reference == reference


# --- who is paid --------------------------------------------------------------------------------------


async def test_the_payee_stands_in_the_book_and_the_call(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    details = PayeeDetails(name="Zhang San", account="6222", method="bank")
    token = await Payees(pool).add(CASE, details)
    assert (await attempt(payouts, dataclasses.replace(ORDER, payee=token))).state == "paid"
    assert (await row(pool))["payee"] == token
    [sent] = gateway.sent
    assert (sent["payee"], sent["details"]) == (token, {"name": "Zhang San", "account": "6222", "method": "bank"})


async def test_the_account_of_another_case_is_told_to_nobody(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    token = await Payees(pool).add("claim:C-2", PayeeDetails(name="Zhang San", account="6222", method="bank"))
    await attempt(payouts, dataclasses.replace(ORDER, payee=token))
    assert "details" not in gateway.sent[0]


BANK = PayeeDetails(name="Zhang San", account="6222", method="bank", bank="某银行")


@pytest.mark.parametrize(
    "change",
    [
        "details = jsonb_set(details, '{account}', '\"6333\"')",
        "details = details - 'bank'",
        "salt = sha256('another')",
        "details = (SELECT details FROM payee WHERE token = $2), salt = (SELECT salt FROM payee WHERE token = $2)",
    ],
)
async def test_details_that_somebody_changed_are_not_paid(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway, change: str
) -> None:
    token = await Payees(pool).add(CASE, BANK)
    other = await Payees(pool).add(CASE, PayeeDetails(name="Li Si", account="6333", method="bank"))
    given = (token, other) if "$2" in change else (token,)
    await pool.execute(f"UPDATE payee SET {change} WHERE token = $1", *given)
    with pytest.raises(PayoutConflict, match=f"the payee {token} are not those") as refused:
        await attempt(payouts, dataclasses.replace(ORDER, payee=token))
    assert not any(text in str(refused.value) for text in ("Zhang", "Li Si", "6222", "6333"))
    assert gateway.sent == []
    assert gateway.paid() == {}


async def test_details_that_were_put_under_a_token_of_the_payment_service_are_not_paid(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    token = await Payees(pool).add(CASE, BANK)
    await pool.execute("UPDATE payee SET token = 'acct-7' WHERE token = $1", token)
    with pytest.raises(PayoutConflict, match="the payee acct-7 are not those"):
        await attempt(payouts, dataclasses.replace(ORDER, payee="acct-7"))
    assert gateway.sent == []


async def test_details_that_were_erased_are_told_to_nobody(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    token = await Payees(pool).add(CASE, BANK)
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute("UPDATE payee SET details = NULL, erased_at = now() WHERE token = $1", token)
    await pool.execute("UPDATE payee SET details = NULL, salt = NULL, erased_at = now() WHERE token = $1", token)
    assert (await attempt(payouts, dataclasses.replace(ORDER, payee=token))).state == "paid"
    assert "details" not in gateway.sent[0]


async def test_another_payee_under_the_same_key_is_no_repeat(pool: Tables, payouts: Payouts) -> None:
    await attempt(payouts, dataclasses.replace(ORDER, payee="payee-1"))
    with pytest.raises(PayoutConflict, match="somebody else is paid"):
        await attempt(payouts, dataclasses.replace(ORDER, payee="payee-2"), number=2)


async def test_what_failed_for_one_payee_is_paid_to_the_next_under_a_key_of_its_own(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["refuse"]
    assert (await attempt(payouts, dataclasses.replace(ORDER, payee="payee-1"))).state == "failed"
    again = dataclasses.replace(ORDER, key=f"{KEY}/2", payee="payee-2", amount="130.00")
    # A retry of the activity finds it under way, and asks first.
    gateway.posts = ["lose_after"]
    with pytest.raises(PayoutUnknown):
        await attempt(payouts, again)
    assert (await attempt(payouts, again, number=2)).state == "paid"
    assert gateway.paid() == {again.key: ["130.00"]}
    assert [dict(one) for one in await pool.fetch("SELECT key, payee, state FROM payout WHERE case_id = $1", CASE)] == [
        {"key": again.key, "payee": "payee-2", "state": "paid"}
    ]


async def test_a_new_agreement_waits_for_the_outcome_of_the_old_one(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["lose"]
    with pytest.raises(PayoutUnknown):
        await attempt(payouts)
    with pytest.raises(PayoutConflict, match="a payout is under way"):
        await attempt(payouts, dataclasses.replace(ORDER, key=f"{KEY}/2", payee="payee-2"))


async def test_an_old_no_that_is_said_again_ends_no_later_attempt(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["fail"]
    assert (await attempt(payouts)).state == "failed"
    old = gateway.signed(KEY)
    gateway.posts = ["pending"]
    with pytest.raises(PayoutPending):
        await attempt(payouts)
    assert (await payouts.called_back(*old)).result is None
    assert (await row(pool))["state"] == "requested"
    gateway.decide(KEY)
    assert (await attempt(payouts, number=2)).state == "paid"
    assert gateway.paid() == {KEY: ["120.00"]}


async def test_a_no_is_taken_only_from_a_gateway_that_can_be_asked(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["pending"]
    with pytest.raises(PayoutPending):
        await attempt(payouts)
    gateway.decide(KEY, "failed")
    gateway.gets = ["500"]
    with pytest.raises(Refused) as caught:
        await payouts.called_back(*gateway.signed(KEY))
    assert caught.value.code == "busy"
    assert (await row(pool))["state"] == "requested"


async def test_what_was_left_to_finance_for_one_payee_is_left_to_it_for_the_next(pool: Tables) -> None:
    by_hand = Payouts(pool, ManualGateway())
    assert (await attempt(by_hand, dataclasses.replace(ORDER, payee="payee-1"))).state == "waiting"
    again = dataclasses.replace(ORDER, key=f"{KEY}/2", payee="payee-2", amount="130.00")
    for number in (1, 2):
        assert (await attempt(by_hand, again, number)).state == "waiting"
    [kept] = await pool.fetch("SELECT key, payee, amount, state FROM payout WHERE case_id = $1", CASE)
    assert tuple(kept) == (again.key, "payee-2", Decimal("130.00"), "waiting")


async def test_what_a_gateway_that_is_gone_has_said_is_written_down(
    pool: Tables, payouts: Payouts, gateway: MisbehavingGateway
) -> None:
    gateway.posts = ["pending"]
    with pytest.raises(PayoutPending):
        await attempt(payouts)
    with pytest.raises(Refused, match="is asked by itself"):
        await payouts.settle(KEY, failed="closed_down")
    present = Payouts(pool, LedgerGateway(pool))
    with pytest.raises(PayoutUnknown, match="must be asked"):
        await attempt(present)
    with pytest.raises(Refused, match="no payout was sent"):
        await present.settle("nobody", failed="closed_down")
    assert await present.settle(KEY, failed="closed_down") == PayoutResult("failed", reason="closed_down")
    with pytest.raises(Refused, match="it is known what came of it"):
        await present.settle(KEY, paid="GW-1")
    assert (await attempt(present)).state == "paid"
