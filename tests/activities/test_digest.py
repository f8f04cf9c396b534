"""Bursts: what is counted, what is held for how long, and 500 cases that breach in one minute."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.messages import Burst, NoticeBatch, NoticeResult
from activities.notify.build import build_notifier
from activities.notify.channels import Delayed
from activities.notify.compose import Links
from activities.notify.digest import MOST_HELD, Bursts, Digests
from cases.directory import Directory, Person, Unit
from tests.notifications import NOW, Attempts, HookServer, HttpAnswer, MailServer, batch, order
from worker import ACTIVITIES


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with MailServer().up() as server:
        yield server


# --- counting ---------------------------------------------------------------------------------------

MINUTE = Burst(more_than=2, within=60)


def test_the_first_go_by_themselves_and_the_rest_wait_for_the_end_of_the_time() -> None:
    bursts: Bursts[str] = Bursts()
    until = [bursts.admit("s-1", now, MINUTE, 1000) for now in (0, 10, 20, 59, 60, 61, 62)]
    assert until == [None, None, 60, 60, None, None, 120]


def test_each_address_is_counted_by_itself() -> None:
    bursts: Bursts[str] = Bursts()
    assert [bursts.admit(key, 0, MINUTE, 1000) for key in "aabbab"] == [None, None, None, None, 60, 60]


def test_what_cannot_wait_does_not() -> None:
    bursts: Bursts[str] = Bursts()
    assert [bursts.admit("a", 0, MINUTE, 7.5) for _ in range(3)] == [None, None, 7.5]
    assert bursts.admit("a", 50, MINUTE, 0) is None
    assert bursts.admit("a", 50, MINUTE, -3) is None


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 200)), max_size=60), st.integers(1, 5), st.floats(1, 60))
def test_nothing_is_held_beyond_the_time_or_its_own_limit(
    comings: list[tuple[float, float]], more_than: int, within: float
) -> None:
    bursts: Bursts[str] = Bursts()
    now, alone = 0.0, []
    for pause, longest in comings:
        now += pause
        until = bursts.admit("a", now, Burst(more_than, within), longest)
        if until is None:
            alone.append((now, longest))
        else:
            assert now <= until <= now + min(within, longest)
    # Never more than so many by themselves at once, of those that can wait.
    patient = [at for at, longest in alone if longest > 0]
    assert all(patient.count(at) <= more_than for at in patient)


# --- holding ----------------------------------------------------------------------------------------


class Out:
    """Where digests go, and when."""

    def __init__(self) -> None:
        self.went: list[tuple[str, list[str]]] = []
        self.error: Exception | None = None

    def whole(self, key: str, items: Sequence[str]) -> list[Sequence[str]]:
        return [items]

    def halves(self, key: str, items: Sequence[str]) -> list[Sequence[str]]:
        return [items[:1], items[1:]]

    async def send(self, key: str, items: Sequence[str]) -> None:
        if self.error and "bad" in items:
            raise self.error
        self.went.append((key, list(items)))


SOON = Burst(more_than=1, within=0.1)


async def test_what_is_held_goes_out_as_one_and_whoever_waits_hears() -> None:
    out = Out()
    digests = Digests(out.whole, out.send, 10)
    held = await asyncio.gather(
        *(digests.hold("a", item, SOON, 10) for item in "1234"), digests.hold("b", "5", SOON, 10)
    )
    assert held == [0, 3, 3, 3, 0]
    assert out.went == [("a", ["2", "3", "4"])]


async def test_one_that_cannot_wait_takes_the_others_along() -> None:
    out = Out()
    digests = Digests(out.whole, out.send, 10)
    slow = Burst(more_than=1, within=30)
    async with asyncio.timeout(5):
        await asyncio.gather(*(digests.hold("a", item, slow, 25 if item != "3" else 0.05) for item in "1234"))
    assert out.went == [("a", ["2", "3", "4"])]


async def test_a_digest_that_fails_tells_those_in_it_and_no_others() -> None:
    out = Out()
    out.error = Delayed("HTTP 503")
    digests = Digests(out.halves, out.send, 10)
    first, *rest = await asyncio.gather(
        *(digests.hold("a", item, SOON, 10) for item in ("single", "good", "bad", "late")), return_exceptions=True
    )
    assert (first, rest[0]) == (0, 1)
    assert [str(one) for one in rest[1:]] == ["HTTP 503", "HTTP 503"]
    assert out.went == [("a", ["good"])]


async def test_who_gave_up_waiting_is_not_in_it() -> None:
    out = Out()
    digests = Digests(out.whole, out.send, 10)
    await digests.hold("a", "1", SOON, 10)
    waiting = [asyncio.create_task(digests.hold("a", item, SOON, 10)) for item in "23"]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await waiting[1]
    assert out.went == [("a", ["3"])]


async def test_nothing_is_held_for_longer_than_the_process_allows_nor_when_it_ends() -> None:
    out = Out()
    hours = Burst(more_than=1, within=3600)
    brief = Digests(out.whole, out.send, 0.05)
    async with asyncio.timeout(5):
        await asyncio.gather(*(brief.hold("a", item, hours, 3600) for item in "12"))
    ending = Digests(out.whole, out.send, 3600)
    await asyncio.gather(*(ending.hold(key, "1", hours, 3600) for key in "ab"))
    waiting = [asyncio.create_task(ending.hold(key, "2", hours, 3600)) for key in "ab"]
    await asyncio.sleep(0)
    ending.flush()
    assert await asyncio.gather(*waiting) == [1, 1]


async def test_only_so_many_are_held_and_the_worker_has_room_for_more_than_those() -> None:
    out = Out()
    digests = Digests(out.whole, out.send, 3600)
    hours = Burst(more_than=1, within=3600)
    async with asyncio.timeout(5):
        await asyncio.gather(*(digests.hold("a", str(n), hours, 3600) for n in range(MOST_HELD + 1)))
    assert len(out.went) == 1
    assert MOST_HELD + 100 <= ACTIVITIES


# --- 500 cases in one minute ------------------------------------------------------------------------

CASES = 500
DIRECTORY = Directory.build(
    [Unit(id="hq")],
    [
        Person(id="s-1", role="supervisor", unit="hq", language="en", contacts={"email": "sup@example.com"}),
        Person(id="g-1", role="general_manager", unit="hq", contacts={"email": "gm@example.com"}),
    ],
)


async def staff() -> Directory:
    return DIRECTORY


def breaching(number: int, burst: Burst) -> NoticeBatch:
    """A case whose last deadline is missed, so that the supervisor hears and the GM holds it."""
    case = f"complaint:B-{number}"
    due = (NOW + timedelta(minutes=5)).isoformat()
    return batch(
        order("breach", "supervisor", id=f"{case}/7/breach", clock="resolution", due=NOW.isoformat()),
        order("rung", "general_manager", id=f"{case}/9/rung", type="clock_started", clock="rung", due=due),
        case=case,
        number=f"2026-03-{number:04}",
        unit="north",
        facts={"category": "delay", "shipment": {"waybill": f"SF-{number}"}},
        burst=burst,
    )


def said(mail: EmailMessage) -> str:
    """The text of a mail, its lines as they were written."""
    text: str = mail.get_content()
    return text.replace("\r\n", "\n")


@pytest.mark.long
async def test_500_cases_that_breach_at_once_give_a_handful_of_digests_that_name_them_all(mail: MailServer) -> None:
    notifier = build_notifier(
        f"smtp://127.0.0.1:{mail.port}",
        None,
        None,
        "a@example.com",
        staff=staff,
        links=Links(("s" * 32,), "https://c.example/"),
    )
    burst = Burst(more_than=5, within=1.5)
    loop = asyncio.get_running_loop()
    began = loop.time()
    results = await asyncio.gather(*(Attempts(notifier).run(breaching(number, burst)) for number in range(CASES)))
    took = loop.time() - began

    for who, notice in (("sup@example.com", "breach"), ("gm@example.com", "rung")):
        texts = [f"{m['Subject']}\n{said(m)}" for to, m in mail.mails if to == who]
        digests = [text for text in texts if re.match(r"\d+ (notices|条通知)\n", text)]
        assert len(texts) - len(digests) <= 10, notice  # so many by themselves in each of two windows
        assert 1 <= len(digests) <= 8
        named = [number for text in texts for number in set(re.findall(r"2026-03-(\d{4})", text))]
        assert sorted(map(int, named)) == list(range(CASES)), notice  # each once
    # Each line says what it is about and how it is taken up.
    digest = next(said(m) for to, m in mail.mails if to == "sup@example.com" and "notices" in m["Subject"])
    page = r"https://c\.example/console/case\?id=complaint%3AB-\d+\n"
    line = (
        rf"2026-03-\d{{4}} · Deadline missed: resolution · delay · SF-\d+ · north · due Tue 10 Mar 2026, 09:05 · {page}"
    )
    assert re.search(line, digest), digest[:2000]
    digest = next(said(m) for to, m in mail.mails if to == "gm@example.com" and "条通知" in m["Subject"])
    line = rf"请受理（总经理） · 延误 · SF-\d+ · north · 期限 2026年3月10日（周二）09:10 · {page}  受理：https://c\.example/a/"
    assert re.search(line, digest), digest[:2000]
    # Five minutes to acknowledge, and all of it is heard within the seconds that bursts are gathered.
    assert took < 30
    outcomes = {result.outcome for both in results for result in both}
    reasons = {attempt.get("reason", "") for both in results for result in both for attempt in result.attempts}
    assert (outcomes, reasons) == ({"sent"}, {"", "in a digest"})


async def test_a_rung_notice_is_held_for_a_part_of_its_clock_at_most(mail: MailServer) -> None:
    notifier = build_notifier(f"smtp://127.0.0.1:{mail.port}", None, None, "a@example.com", staff=staff)
    slow = Burst(more_than=1, within=50)

    def soon(number: int) -> NoticeBatch:
        due = (NOW + timedelta(seconds=1)).isoformat()
        one = order("rung", "general_manager", id=f"c/{number}/rung", type="clock_started", clock="rung", due=due)
        return batch(one, case=f"complaint:R-{number}", burst=slow)

    async with asyncio.timeout(5):
        await asyncio.gather(*(Attempts(notifier).run(soon(number)) for number in range(4)))
    assert [m["Subject"] for _, m in mail.mails][1:] == ["3 条通知"]


async def test_a_worker_that_is_asked_to_stop_sends_what_it_holds(mail: MailServer) -> None:
    notifier = build_notifier(f"smtp://127.0.0.1:{mail.port}", None, None, "a@example.com", staff=staff)
    slow = Burst(more_than=1, within=50)
    cases = [Attempts(notifier) for _ in range(4)]
    running = [
        asyncio.create_task(
            one.run(batch(order("breach", "supervisor", id=f"c/{n}/breach"), case=f"complaint:S-{n}", burst=slow))
        )
        for n, one in enumerate(cases)
    ]
    await asyncio.sleep(0.3)
    assert [task.done() for task in running] == [True, False, False, False]
    cases[2].environment.worker_shutdown()
    async with asyncio.timeout(5):
        await asyncio.gather(*running)
    assert [m["Subject"] for _, m in mail.mails][1:] == ["3 notices"]


async def test_a_mail_server_that_is_away_is_asked_once_for_a_burst(mail: MailServer) -> None:
    notifier = build_notifier(f"smtp://127.0.0.1:{mail.port}", None, None, "a@example.com", staff=staff)
    burst = Burst(more_than=2, within=0.2)
    mail.answers = {"sup@example.com": "451 later"}
    cases = [Attempts(notifier) for _ in range(20)]

    def breach(number: int) -> NoticeBatch:
        return batch(
            order("breach", "supervisor", id=f"c/{number}/breach"),
            case=f"complaint:A-{number}",
            burst=burst,
            number=None,
        )

    await asyncio.gather(*(one.delayed(breach(number)) for number, one in enumerate(cases)))
    assert mail.connections <= 3
    mail.answers = {}
    results = await asyncio.gather(*(one.run(breach(number), 2) for number, one in enumerate(cases)))
    assert {result.outcome for [result] in results} == {"sent"}
    named = [n for _, m in mail.mails for n in set(re.findall(r"\bA-(\d+)", m.get_content()))]
    assert sorted(map(int, named)) == list(range(20))


async def test_a_chat_gets_a_digest_in_parts_that_fit_and_a_program_none_at_all() -> None:
    async with HookServer(HttpAnswer(body=b'{"errcode":0}')).up() as chat, HookServer().up() as hook:
        contacts = {"wecom": f"{chat.url}/k"}
        people = [Person(id="s-1", role="supervisor", unit="hq", contacts=contacts)]
        shop = Person(id="p-1", role="platform", unit="hq", contacts={"webhook": f"{hook.url}/p"})
        directory = Directory.build([Unit(id="hq")], [*people, shop])

        async def there() -> Directory:
            return directory

        notifier = build_notifier(None, "whsec_" + "a" * 40, None, "a@example.com", staff=there)
        burst = Burst(more_than=1, within=0.3)
        orders = (
            batch(
                order("breach", "supervisor", "platform", id=f"c/{n}/breach"),
                case=f"complaint:W-{n}",
                burst=burst,
                number=None,
            )
            for n in range(101)
        )
        results: list[list[NoticeResult]] = await asyncio.gather(*(Attempts(notifier).run(one) for one in orders))
    assert {result.outcome for [result] in results} == {"sent"}
    assert len(hook.requests) == 101
    said: list[dict[str, Any]] = [json.loads(body) for _, _, body in chat.requests]
    texts = [one[one["msgtype"]]["content"] for one in said]
    assert 2 < len(texts) <= 9
    assert all(len(text.encode()) <= 4096 and "…" not in text for text in texts)
    assert len({n for text in texts for n in re.findall(r"\bW-(\d+)", text)}) == 101
