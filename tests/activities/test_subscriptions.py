"""Sending events to subscribers: a real ledger, real HTTP servers."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs
from temporalio.exceptions import ApplicationError
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig
from temporalio.testing import ActivityEnvironment

from activities.database.migrate import migrate
from activities.events.delivery import Delivery
from activities.events.outbound import Guard, Private, resolve
from activities.events.subscriptions import Subscription, Subscriptions
from activities.messages import DeliveryOrder, DeliveryResult
from cases.vocabulary.refusals import Refused
from starter.settings import SettingsError, load_settings
from tests.activities.ledger import batch as batch_with_text
from tests.activities.test_feed import batch
from tests.casebook import Book, open_book
from tests.postgres import Cluster
from tests.receiver import Call, Receiver, always, receiver
from tests.temporal import eventually

# A name of each kind, as a name server would know it.
NAMES = {
    "hooks.example": ["127.0.0.1"],
    "public.example": ["8.8.8.8"],
    "inner.example": ["10.1.2.3"],
    "half.example": ["8.8.8.8", "10.1.2.3"],
}
_cases = count(1)


async def names(host: str, port: int) -> list[str]:
    """What the names above resolve to; numbers and ``localhost`` as ever."""
    return NAMES[host] if host in NAMES else await resolve(host, port)


@dataclass(frozen=True)
class Post:
    """Where events are recorded, subscribed to and sent."""

    book: Book
    subscriptions: Subscriptions
    delivery: Delivery

    async def record(self, *lengths: int, kind: str = "complaint") -> list[str]:
        """Record a new case of each length."""
        made = [f"{kind}:S-{next(_cases)}" for _ in lengths]
        for case_id, length in zip(made, lengths, strict=True):
            await self.book.record(batch(case_id, 1, length))
        return made

    async def subscribe(self, receiver: Receiver, **options: Any) -> Subscription:
        """A subscription to what is still to come."""
        return (await self.subscriptions.add(receiver.url(), **options))[0]

    async def run(self, id: str) -> DeliveryResult:
        """Deliver once, to the end."""
        return await ActivityEnvironment().run(self.delivery.deliver, DeliveryOrder(id))

    @asynccontextmanager
    async def running(self, id: str) -> AsyncIterator[asyncio.Task[DeliveryResult]]:
        """Deliver while the block runs, then stop as a worker does."""
        env = ActivityEnvironment()
        task = asyncio.create_task(env.run(self.delivery.deliver, DeliveryOrder(id)))
        try:
            yield task
        finally:
            env.worker_shutdown()
            await asyncio.wait([task], timeout=5)
            assert task.done()

    async def deliver(self, id: str, receiver: Receiver, calls: int) -> None:
        """Deliver until so many calls have come in."""
        async with self.running(id) as task:
            await eventually(lambda: _value(len(receiver.calls)), lambda seen: seen >= calls or task.done())
        assert task.result() == DeliveryResult("active")


async def _value(value: int) -> int:
    return value


@pytest.fixture(scope="module")
async def dsn(postgres: Cluster) -> str:
    address = await postgres.fresh_database()
    await migrate(address)
    return address


@asynccontextmanager
async def posting(dsn: str, private: Private, tls: ssl.SSLContext | None = None) -> AsyncIterator[Post]:
    guard = Guard(private, names)
    async with open_book(dsn) as book:
        made = Subscriptions(book.database, guard)
        # Long enough for a busy machine to answer itself; tests of a receiver that hangs wait for it.
        yield Post(book, made, Delivery(made, timeout=2.0, tls=tls))


@pytest.fixture(scope="module")
async def post(dsn: str) -> AsyncIterator[Post]:
    async with posting(dsn, "loopback") as made:
        yield made


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    connection.terminate()


# --- what arrives ---------------------------------------------------------------------------------


async def test_a_library_of_others_accepts_what_is_sent(post: Post, hook: Receiver) -> None:
    made, secret = await post.subscriptions.add(hook.url(), texts=True)
    [case] = await post.record(2)

    await post.deliver(made.id, hook, 2)

    verifier = Webhook(secret)
    first, second = (verifier.verify(call.body, call.headers) for call in hook.calls)
    assert first == {
        "type": "noted",
        "timestamp": "2026-03-10T09:00:00+08:00",
        "data": {
            "case": case,
            "kind": "complaint",
            "number": first["data"]["number"],
            "position": first["data"]["position"],
            "event": (await post.book.events(case))[0],
        },
    }
    assert (first["data"]["event"]["seq"], second["data"]["event"]["seq"]) == (1, 2)
    assert (await post.subscriptions.get(made.id)).position == second["data"]["position"]
    assert hook.calls[0].headers["content-type"] == "application/json"
    assert hook.connections == 1
    with pytest.raises(WebhookVerificationError):
        verifier.verify(hook.calls[0].body.replace(b"noted", b"moted"), hook.calls[0].headers)
    with pytest.raises(WebhookVerificationError):
        Webhook((await post.subscriptions.add(hook.url()))[1]).verify(hook.calls[0].body, hook.calls[0].headers)


async def test_only_what_was_asked_for_is_sent(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook, kinds=["inquiry", "inquiry"], types=["noted"])
    none = await post.subscribe(hook, types=["closed"])
    await post.record(3)
    [inquiry] = await post.record(1, kind="inquiry")

    await post.deliver(made.id, hook, 1)
    async with post.running(none.id):
        head = await post.subscriptions.feed.head()
        await eventually(lambda: post.subscriptions.get(none.id), lambda seen: seen.position == head)

    assert hook.event_keys() == [(inquiry, 1)]
    assert (made.kinds, made.types, none.kinds) == (("inquiry",), ("noted",), None)


async def test_texts_are_sent_to_whoever_was_subscribed_to_them(post: Post, hook: Receiver, other: Receiver) -> None:
    plain, with_texts = await post.subscribe(hook), await post.subscribe(other, texts=True)
    assert (plain.texts, with_texts.texts) == (False, True)
    case = f"complaint:S-{next(_cases)}"
    await post.book.record(batch_with_text(1, 1, case))

    await post.deliver(plain.id, hook, 1)
    await post.deliver(with_texts.id, other, 1)

    without, told = (json.loads(one.calls[0].body) for one in (hook, other))
    assert told["data"]["event"] == (await post.book.events(case))[0]
    assert told["data"]["event"]["data"] == {"text": "x"}
    assert without == {**told, "data": {**told["data"], "event": {**told["data"]["event"], "data": {}}}}


async def test_the_events_of_a_case_come_one_after_the_other(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    await post.record(*[15] * 10)
    under_way: Counter[str] = Counter()
    most = 0

    async def slow(call: Call) -> str:
        nonlocal most
        under_way[call.event_key[0]] += 1
        most = max(most, under_way.total())
        assert under_way[call.event_key[0]] == 1
        await asyncio.sleep(0.002 * (call.event_key[1] % 3))
        under_way[call.event_key[0]] -= 1
        return "200 OK"

    hook.behaviour = slow
    await post.deliver(made.id, hook, 150)

    seen: dict[str, list[int]] = {}
    for case, seq in hook.event_keys():
        seen.setdefault(case, []).append(seq)
    assert list(seen.values()) == [list(range(1, 16))] * 10
    assert len({call.id for call in hook.calls}) == 150
    assert 1 < most <= 8


async def test_what_comes_while_it_runs_is_sent_soon(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    async with post.running(made.id):
        await asyncio.sleep(0.1)
        [case] = await post.record(1)
        begun = time.monotonic()
        await eventually(lambda: _value(len(hook.calls)), lambda seen: seen == 1)
        assert time.monotonic() - begun < 1
    assert hook.event_keys() == [(case, 1)]


# --- what does not arrive -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("500 Internal Server Error", "HTTP 500"),
        ("404 Not Found", "HTTP 404"),
        ("429 Too Many Requests", "HTTP 429"),
        ("302 Found\nlocation: {other}", "HTTP 302"),
        ("307 Temporary Redirect\nlocation: {other}", "HTTP 307"),
        ("hang", "no answer (TimeoutError)"),
        ("close", "no answer (RemoteProtocolError)"),
    ],
)
async def test_what_is_not_taken_is_sent_again_with_the_same_id(
    post: Post, hook: Receiver, other: Receiver, answer: str, reason: str
) -> None:
    hook.behaviour = always(answer.format(other=other.url()))
    made = await post.subscribe(hook)
    [case] = await post.record(2)

    with pytest.raises(ApplicationError) as failed:
        await post.run(made.id)

    assert str(failed.value) == f"DeliveryFailed: {made.id}: {reason}"
    assert failed.value.next_retry_delay == timedelta(seconds=1)
    failing = await post.subscriptions.get(made.id)
    assert (failing.state, failing.last_error, failing.position) == ("active", reason, made.position)
    assert failing.failing_since is not None
    assert other.connections == 0

    hook.behaviour = always("200 OK")
    await post.deliver(made.id, hook, 3)
    assert hook.event_keys() == [(case, 1), (case, 1), (case, 2)]
    assert (hook.calls[0].id, hook.calls[0].body) == (hook.calls[1].id, hook.calls[1].body)
    assert hook.calls[1].id != hook.calls[2].id
    healed = await post.subscriptions.get(made.id)
    assert (healed.failing_since, healed.last_error) == (None, "")
    assert healed.delivered_at is not None


async def test_nobody_there_is_tried_again(post: Post) -> None:
    async with receiver() as gone:
        made = await post.subscribe(gone)
    await post.record(1)
    with pytest.raises(ApplicationError, match=r"no answer \(ConnectError\)"):
        await post.run(made.id)


async def test_the_waits_double_and_end_with_the_patience(
    post: Post, hook: Receiver, database: asyncpg.Connection
) -> None:
    hook.behaviour = always("503 Service Unavailable")
    made = await post.subscribe(hook, retry_for=timedelta(hours=10))
    await post.record(1)

    async def wait_after(failing: timedelta) -> float:
        failed_since = "UPDATE subscription SET failing_since = now() - $2::interval WHERE id = $1"
        await database.execute(failed_since, made.id, failing)
        with pytest.raises(ApplicationError) as failed:
            await post.run(made.id)
        assert failed.value.next_retry_delay is not None
        return failed.value.next_retry_delay.total_seconds()

    assert await wait_after(timedelta(seconds=40)) == pytest.approx(40, abs=2)
    assert await wait_after(timedelta(hours=2)) == 3600
    assert await wait_after(timedelta(hours=9, minutes=59)) == pytest.approx(60, abs=2)
    # A subscriber may ask for more.
    hook.behaviour = always("429 Too Many Requests\nretry-after: 120")
    assert await wait_after(timedelta(seconds=3)) == 120


async def test_a_dead_subscriber_is_parked_and_reported(post: Post, hook: Receiver) -> None:
    hook.behaviour = always("500 Internal Server Error")
    made = await post.subscribe(hook, retry_for=timedelta(milliseconds=200))
    [case] = await post.record(2)
    buffer = MetricBuffer(100)
    env = ActivityEnvironment()
    env.metric_meter = Runtime(telemetry=TelemetryConfig(metrics=buffer)).metric_meter

    with capture_logs() as lines:
        with pytest.raises(ApplicationError) as failed:
            await env.run(post.delivery.deliver, DeliveryOrder(made.id))
        assert failed.value.next_retry_delay is not None
        await asyncio.sleep(failed.value.next_retry_delay.total_seconds())
        assert await env.run(post.delivery.deliver, DeliveryOrder(made.id)) == DeliveryResult("parked")

    assert [(line["event"], line["log_level"], line["subscription"], line["reason"]) for line in lines] == [
        ("subscription_failing", "warning", made.id, "HTTP 500"),
        ("subscription_parked", "error", made.id, "HTTP 500"),
    ]
    assert hook.url() not in json.dumps(lines)
    counted = {update.metric.name: update.value for update in buffer.retrieve_updates()}
    assert counted["caseladder_subscriptions_parked"] == 1
    parked = await post.subscriptions.get(made.id)
    assert (parked.state, parked.last_error) == ("parked", "HTTP 500")

    # Nobody is bothered any more, until somebody says so; then it has all its time again and nothing is missing.
    assert await post.run(made.id) == DeliveryResult("parked")
    assert len(hook.calls) == 2
    await post.subscriptions.resume(made.id)
    with pytest.raises(ApplicationError):
        await post.run(made.id)
    hook.behaviour = always("200 OK")
    assert (await post.subscriptions.resume(made.id)).state == "active"
    await post.deliver(made.id, hook, 5)
    assert hook.event_keys()[3:] == [(case, 1), (case, 2)]


async def test_who_is_gone_is_parked_at_once(post: Post, hook: Receiver) -> None:
    hook.behaviour = always("410 Gone")
    made = await post.subscribe(hook)
    await post.record(2)
    assert await post.run(made.id) == DeliveryResult("parked")
    assert len(hook.calls) == 1


async def test_a_subscriber_that_hangs_holds_nobody_else_up(post: Post, hook: Receiver, other: Receiver) -> None:
    hook.behaviour = always("hang")
    dead, alive = await post.subscribe(hook), await post.subscribe(other)
    async with post.running(dead.id):
        cases = await post.record(3, 3)
        await post.deliver(alive.id, other, 6)
    assert sorted(other.event_keys()) == [(case, seq) for case in sorted(cases) for seq in (1, 2, 3)]


async def test_while_an_event_is_not_taken_only_that_one_is_tried(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    bad, good = await post.record(3, 60)

    async def picky(call: Call) -> str:
        return "422 Unprocessable" if call.event_key == (bad, 2) else "200 OK"

    hook.behaviour = picky
    for _ in range(5):
        with pytest.raises(ApplicationError, match="HTTP 422"):
            await post.run(made.id)
    blocked = Counter(hook.event_keys())
    hook.behaviour = always("200 OK")
    async with post.running(made.id):
        head = await post.subscriptions.feed.head()
        await eventually(lambda: post.subscriptions.get(made.id), lambda seen: seen.position == head)

    # What was sent beside it was not sent once more with each try, and most of it waited.
    assert (blocked[bad, 1], blocked[bad, 2], blocked[bad, 3]) == (1, 5, 0)
    assert blocked[good, 1] == 1
    assert blocked[good, 60] == 0
    assert set(hook.event_keys()) == {(bad, 1), (bad, 2), (bad, 3), *((good, seq) for seq in range(1, 61))}


# --- taking over, replay, removal -----------------------------------------------------------------


async def test_who_takes_over_ends_who_was_there(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    [case] = await post.record(1)
    held = asyncio.Event()

    async def first_waits(call: Call) -> str:
        if len(hook.calls) == 1:
            await held.wait()
        return "200 OK"

    hook.behaviour = first_waits
    async with post.running(made.id) as zombie:
        await eventually(lambda: _value(len(hook.calls)), lambda seen: seen == 1)
        await post.deliver(made.id, hook, 2)
        held.set()
        assert await asyncio.wait_for(zombie, 2) == DeliveryResult("active")
    [later] = await post.record(1)
    await post.deliver(made.id, hook, 3)
    assert hook.event_keys() == [(case, 1), (case, 1), (later, 1)]
    assert hook.calls[0].id == hook.calls[1].id


async def test_a_worker_that_stops_finishes_what_is_under_way(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    [case] = await post.record(5)
    begun = asyncio.Event()

    async def slow(call: Call) -> str:
        begun.set()
        await asyncio.sleep(0.1)
        return "200 OK"

    hook.behaviour = slow
    async with post.running(made.id):
        await begun.wait()
    assert hook.event_keys() == [(case, 1)]
    hook.behaviour = always("200 OK")
    await post.deliver(made.id, hook, 5)
    assert hook.event_keys() == [(case, seq) for seq in (1, 2, 3, 4, 5)]


async def test_who_takes_their_time_gets_on_all_the_same(
    post: Post, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.events.delivery.SPAN", 0.1)
    made = await post.subscribe(hook)
    [case] = await post.record(6)

    async def slow(call: Call) -> str:
        await asyncio.sleep(0.06)
        return "200 OK"

    hook.behaviour = slow
    async with post.running(made.id):
        await eventually(lambda: post.subscriptions.get(made.id), lambda seen: seen.position != made.position)
        assert len(hook.calls) < 6
        await eventually(lambda: _value(len(hook.calls)), lambda seen: seen == 6)
    assert hook.event_keys() == [(case, seq) for seq in range(1, 7)]


async def test_events_are_sent_again_from_a_position_or_an_event_on(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    [case] = await post.record(4)
    await post.deliver(made.id, hook, 4)
    ids = [call.id for call in hook.calls]

    await post.subscriptions.replay(made.id, await post.subscriptions.feed.before(case, 3))
    await post.deliver(made.id, hook, 6)
    assert [call.id for call in hook.calls[4:]] == ids[2:]

    second = json.loads(hook.calls[1].body)["data"]["position"]
    await post.subscriptions.replay(made.id, second)
    await post.deliver(made.id, hook, 8)
    assert [call.id for call in hook.calls[6:]] == ids[2:]


async def test_a_change_from_outside_is_not_written_over(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    [case] = await post.record(3)
    begun, held = asyncio.Event(), asyncio.Event()

    async def waits(call: Call) -> str:
        begun.set()
        await held.wait()
        return "200 OK"

    hook.behaviour = waits
    async with post.running(made.id) as running:
        await begun.wait()
        await post.subscriptions.replay(made.id, made.position)
        held.set()
        assert await asyncio.wait_for(running, 2) == DeliveryResult("active")
    assert (await post.subscriptions.get(made.id)).position == made.position
    await post.deliver(made.id, hook, 6)
    assert hook.event_keys() == [(case, seq) for seq in (1, 2, 3)] * 2


async def test_a_parked_one_goes_on_where_it_is_replayed_from(post: Post, hook: Receiver) -> None:
    hook.behaviour = always("410 Gone")
    made = await post.subscribe(hook)
    [case] = await post.record(2)
    await post.run(made.id)
    hook.behaviour = always("200 OK")
    assert (await post.subscriptions.replay(made.id, await post.subscriptions.feed.before(case, 2))).state == "active"
    await post.deliver(made.id, hook, 2)
    assert hook.event_keys() == [(case, 1), (case, 2)]


async def test_a_removed_one_is_sent_nothing_and_its_secret_is_gone(
    post: Post, hook: Receiver, database: asyncpg.Connection
) -> None:
    made, secret = await post.subscriptions.add(hook.url())
    assert secret not in repr(made)
    await post.record(1)
    assert (await post.subscriptions.remove(made.id)).state == "removed"

    assert await post.run(made.id) == DeliveryResult("removed")
    assert hook.connections == 0
    assert await database.fetchval("SELECT secret FROM subscription WHERE id = $1", made.id) is None
    for change in (post.subscriptions.resume, post.subscriptions.remove):
        with pytest.raises(Refused, match="was removed") as refused:
            await change(made.id)
        assert refused.value.code == "removed"
    assert await post.run("sub-unknown") == DeliveryResult("removed")
    with pytest.raises(Refused, match="there is no subscription 'sub-unknown'"):
        await post.subscriptions.resume("sub-unknown")


async def test_whose_key_it_is_does_not_show(post: Post, hook: Receiver) -> None:
    made, secret = await post.subscriptions.add(hook.url())
    lease = await post.subscriptions.lease(made.id)
    assert lease is not None
    assert "key" not in repr(lease)
    assert secret.removeprefix("whsec_") not in repr(lease)


async def test_a_ledger_from_before_parks_who_is_ahead_of_it(
    post: Post, hook: Receiver, database: asyncpg.Connection
) -> None:
    made = await post.subscribe(hook)
    await database.execute("UPDATE subscription SET tx = tx + 1000000 WHERE id = $1", made.id)
    assert await post.run(made.id) == DeliveryResult("parked")
    assert "replay from a position" in (await post.subscriptions.get(made.id)).last_error


# --- where it may go ------------------------------------------------------------------------------

FORBIDDEN = [
    "127.0.0.1",
    "127.8.9.1",
    "localhost",
    "LOCALHOST",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "2130706433",
    "0x7f000001",
    "127.1",
    "0.0.0.0",
    "10.0.0.8",
    "172.16.4.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "168.63.129.16",
    "[::ffff:10.0.0.8]",
    "[::]",
    "224.0.0.1",
    "hooks.example",
    "inner.example",
    "half.example",
]


@pytest.fixture(scope="module")
async def strict(dsn: str) -> AsyncIterator[Post]:
    async with posting(dsn, "forbid") as made:
        yield made


def test_private_addresses_are_forbidden_unless_a_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CASELADDER_PRIVATE_SUBSCRIBERS", raising=False)
    assert load_settings().private_subscribers == "forbid"
    # On the embedded stack a subscriber on the same machine is what one tries first.
    assert load_settings().on_embedded("postgresql://x@h/d").private_subscribers == "loopback"
    for chosen in ("forbid", "allow"):
        monkeypatch.setenv("CASELADDER_PRIVATE_SUBSCRIBERS", chosen)
        assert load_settings().on_embedded("postgresql://x@h/d").private_subscribers == chosen
    monkeypatch.setenv("CASELADDER_PRIVATE_SUBSCRIBERS", "some")
    with pytest.raises(SettingsError, match=r"CASELADDER_PRIVATE_SUBSCRIBERS = some: .*'loopback' or 'allow'"):
        load_settings()


@pytest.mark.parametrize("host", FORBIDDEN)
async def test_no_event_goes_to_a_private_address(strict: Post, hook: Receiver, host: str) -> None:
    before = len(await strict.subscriptions.all())
    for scheme in ("http", "https"):
        with pytest.raises(Refused, match=r"^url: ") as refused:
            await strict.subscriptions.add(f"{scheme}://{host}:{hook.port}/hook")
        assert refused.value.code == "private_address"
        assert "CASELADDER_PRIVATE_SUBSCRIBERS = forbid" in refused.value.message
    assert hook.connections == 0
    assert len(await strict.subscriptions.all()) == before


async def test_a_name_that_leads_elsewhere_later_leads_nowhere(
    post: Post, strict: Post, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NAMES, "turning.example", ["8.8.8.8"])
    made, _ = await strict.subscriptions.add(f"https://turning.example:{hook.port}/hook")
    monkeypatch.setitem(NAMES, "turning.example", ["127.0.0.1"])
    await strict.record(1)
    with pytest.raises(ApplicationError, match=r"no answer \(PrivateAddress\)"):
        await strict.run(made.id)
    assert hook.connections == 0


async def test_what_was_allowed_once_is_judged_by_the_setting_of_now(post: Post, strict: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    await post.record(1)
    with pytest.raises(ApplicationError, match="PrivateAddress"):
        await strict.run(made.id)
    assert hook.connections == 0


@pytest.mark.parametrize("host", ["10.0.0.8", "inner.example", "169.254.169.254", "[fd00::1]"])
async def test_this_machine_does_not_mean_its_network(post: Post, host: str) -> None:
    with pytest.raises(Refused, match="an address that events may not go to"):
        await post.subscriptions.add(f"http://{host}/hook")


async def test_private_networks_may_be_allowed_but_never_the_machine_s_own_services(dsn: str) -> None:
    async with posting(dsn, "allow") as open_handed:
        for host in ("10.0.0.8", "inner.example", "[fd00::1]", "localhost"):
            await open_handed.subscriptions.add(f"http://{host}/hook")
        for host in (
            *("169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]"),
            *("[fe80::1]", "0.0.0.0", "224.0.0.1"),
            *("100.100.100.200", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[::ffff:6464:64c8]"),
        ):
            with pytest.raises(Refused):
                await open_handed.subscriptions.add(f"http://{host}/hook")


async def test_the_host_is_the_one_that_was_subscribed(post: Post, hook: Receiver) -> None:
    made, _ = await post.subscriptions.add(hook.url("hooks.example", "/in?key=1"))
    await post.record(1)
    await post.deliver(made.id, hook, 1)
    assert hook.calls[0].headers["host"] == f"hooks.example:{hook.port}"
    assert hook.calls[0].path == "/in?key=1"


@pytest.mark.parametrize(("name", "taken"), [("hooks.example", True), ("other.example", False)])
async def test_the_certificate_is_checked_for_the_name(dsn: str, tmp_path: Path, name: str, taken: bool) -> None:
    server, trusting = certified(tmp_path, name)
    asked: list[str | None] = []
    server.sni_callback = lambda _, asked_for, __: asked.append(asked_for)
    async with posting(dsn, "loopback", trusting) as post, receiver(server) as hook:
        made, _ = await post.subscriptions.add(hook.url("hooks.example"))
        [case] = await post.record(1)
        if taken:
            await post.deliver(made.id, hook, 1)
        else:
            with pytest.raises(ApplicationError, match=r"no answer \(ConnectError\)"):
                await post.run(made.id)
    assert hook.event_keys() == ([(case, 1)] if taken else [])
    assert asked == ["hooks.example"]


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for a name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(serialization.Encoding.PEM).decode())


# --- bad input ------------------------------------------------------------------------------------

BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "no scheme": ("hooks.example/in", {}, "url: it is no address like https://"),
    "another scheme": ("ftp://public.example/in", {}, "url: it is no address like https://"),
    "a file": ("file:///etc/passwd", {}, "url: it is no address like https://"),
    "no host": ("https:///in", {}, "url: it is no address like https://"),
    "a port too high": ("https://public.example:70000/in", {}, "url: it is no address like https://"),
    "port 0": ("https://public.example:0/in", {}, "url: it is no address like https://"),
    "a password": ("https://me:secret@public.example/in", {}, "url: it has no user and no fragment"),
    "a fragment": ("https://public.example/in#x", {}, "url: it has no user and no fragment"),
    "a space": ("https://public.example/a b", {}, "url: allowed are 1 to 2000 visible ASCII characters"),
    "a line break": ("https://public.example/a\r\nx: y", {}, "url: allowed are 1 to 2000 visible ASCII characters"),
    "other digits": ("https://１２７.0.0.1/in", {}, "url: allowed are 1 to 2000 visible ASCII characters"),
    "octal": ("http://0177.0.0.1/in", {}, "url: it is no address like https://"),
    "too long": ("https://public.example/" + "a" * 2000, {}, "url: allowed are 1 to 2000 visible ASCII characters"),
    "nothing": ("", {}, "url: allowed are 1 to 2000 visible ASCII characters"),
    "unknown host": ("https://nobody.invalid/in", {}, "url: the host nobody.invalid is not known"),
    "impossible host": ("https://" + "a" * 70 + ".example/in", {}, "is not known"),
    "not encrypted": ("http://public.example/in", {}, "allowed is https:// only"),
    "a type": ("https://public.example/in", {"types": ["noted", "fled"]}, "types = 'fled': allowed are case_opened,"),
    "no type": ("https://public.example/in", {"types": []}, "types: name at least one"),
    "a kind": ("https://public.example/in", {"kinds": ["riddle"]}, "kinds = 'riddle': allowed are complaint, claim,"),
    "too patient": ("https://public.example/in", {"retry_for": timedelta(days=31)}, "retry_for = 31 days"),
    "backwards": ("https://public.example/in", {"retry_for": timedelta(seconds=-1)}, "allowed is up to 30 days"),
    "a position": ("https://public.example/in", {"position": "yesterday"}, "position = 'yesterday': allowed is"),
    "too far": ("https://public.example/in", {"position": "99999999-1"}, "this ledger has not come that far"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_told_what_is_allowed_and_nothing_is_made(post: Post, case: str) -> None:
    url, options, says = BAD[case]
    before = len(await post.subscriptions.all())
    with pytest.raises(Refused) as refused:
        await post.subscriptions.add(url, **options)
    assert says in refused.value.message
    assert refused.value.code == "invalid"
    assert "secret" not in refused.value.message
    assert len(await post.subscriptions.all()) == before


async def test_a_replay_from_nowhere_changes_nothing(post: Post, hook: Receiver) -> None:
    made = await post.subscribe(hook)
    for position in ("x", "99999999-1"):
        with pytest.raises(Refused) as refused:
            await post.subscriptions.replay(made.id, position)
        assert refused.value.code == "invalid"
    assert await post.subscriptions.get(made.id) == made
