"""Whom a notice goes to, by which way after which, and what of it goes on record."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.messages import NoticeBatch, NoticeOrder, NoticeResult
from activities.notify.build import build_notifier
from activities.notify.compose import Links
from activities.notify.contacts import Contacts
from activities.notify.notifier import Notifier
from activities.notify.progress import MOST_ATTEMPTS
from activities.notify.recipients import deliveries
from activities.notify.results import MOST_DETAILS
from activities.notify.sender import Sender
from cases.directory import Absence, Directory, Person, Shift, Unit
from tests.notifications import AT, NOW, Attempts, HookServer, HttpAnswer, MailServer, batch, free_port, order

MINUTE = timedelta(minutes=1)
OK = HttpAnswer(body=b'{"errcode":0,"code":0}')
UNITS = [Unit(id="hq"), Unit(id="north", parent="hq")]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with MailServer().up() as server:
        yield server


@pytest.fixture
async def chat() -> AsyncIterator[HookServer]:
    async with HookServer(OK).up() as server:
        yield server


def person(id: str, role: str = "supervisor", unit: str = "north", **more: Any) -> Person:
    return Person(id=id, role=role, unit=unit, **{"contacts": {"email": f"{id}@example.com"}, **more})


class Staff:
    """The directory as it is now; a test changes it."""

    def __init__(self, *people: Person, away: tuple[str, ...] = (), shifts: tuple[Shift, ...] = ()) -> None:
        absences = [Absence(person=id, starts_at=NOW - MINUTE, ends_at=NOW + MINUTE) for id in away]
        self.directory = Directory.build(UNITS, people, absences, shifts)

    async def current(self) -> Directory:
        return self.directory


Make = Callable[..., Attempts]


@pytest.fixture
def make(tmp_path: Path, mail: MailServer) -> Make:
    def make(staff: Staff, contacts: str = "", smtp: str | None = None, **options: Any) -> Attempts:
        (tmp_path / "contacts.toml").write_text(contacts, encoding="utf-8")
        url = smtp or f"smtp://127.0.0.1:{mail.port}"
        options = {"staff": staff.current, **options}
        return Attempts(build_notifier(url, None, tmp_path / "contacts.toml", "a@example.com", **options))

    return make


def tried(result: NoticeResult) -> list[tuple[str, str, str, str, int]]:
    """The attempts on record, without their times."""
    return [
        (a["recipient"], a["channel"], a["outcome"], a.get("reason", ""), a.get("count", 1)) for a in result.attempts
    ]


BREACH = order("breach", "supervisor", "qa_manager")
RUNG = order("rung", "supervisor", type="clock_started", clock="rung", due=(NOW + 5 * MINUTE).isoformat())


# --- who --------------------------------------------------------------------------------------------


async def test_each_role_means_who_holds_it_for_the_unit_in_their_language(mail: MailServer, make: Make) -> None:
    staff = Staff(person("s-1"), person("s-2", unit="hq"), person("q-1", "qa_manager", "hq", language="en"))
    [result] = await make(staff).run(batch(BREACH, unit="north"))
    assert mail.recipients == ["s-1@example.com", "q-1@example.com"]
    assert [m["Subject"] for _, m in mail.mails] == [
        "[2026-03-0007] 已超时：答复",
        "[2026-03-0007] Deadline missed: answer",
    ]
    assert result.outcome == "sent"
    assert tried(result) == [("s-1", "email", "sent", "", 1), ("q-1", "email", "sent", "", 1)]
    assert [(one["role"], one["recipient"], one["why"]) for one in result.meant] == [
        ("supervisor", "s-1", "on_duty"),
        ("qa_manager", "q-1", "parent_unit"),
    ]


async def test_a_deputy_is_told_for_somebody_absent_and_the_record_says_why(mail: MailServer, make: Make) -> None:
    staff = Staff(person("s-1", deputies=("a-1",)), person("a-1", "agent"), away=("s-1",))
    [result] = await make(staff).run(batch(order("breach", "supervisor"), unit="north"))
    assert mail.recipients == ["a-1@example.com"]
    [meant] = result.meant
    assert (meant["recipient"], meant["why"]) == ("a-1", "deputy")
    assert any("s-1" in step for step in meant["because"])


async def test_the_person_who_holds_the_case_hears_before_others_of_the_rung(mail: MailServer, make: Make) -> None:
    staff = Staff(person("s-1"), person("s-2"))
    held: dict[str, Any] = {"unit": "north", "rung": "supervisor", "holder": "s-2"}
    [result] = await make(staff).run(batch(order("warning", "supervisor", clock="answer", due=AT), **held))
    assert mail.recipients == ["s-2@example.com"]
    assert result.meant == [{"role": "supervisor", "recipient": "s-2", "why": "holder"}]
    # Not one who is away, nor for a notice to another rung.
    away = make(Staff(person("s-1"), person("s-2"), away=("s-2",)))
    await away.run(batch(order("warning", "supervisor", clock="answer", due=AT), **held))
    await make(staff).run(batch(order("breach", "supervisor"), **{**held, "rung": "agent"}))
    assert mail.recipients[1:] == ["s-1@example.com", "s-1@example.com"]


async def test_people_whom_the_event_names_are_told_each(mail: MailServer, make: Make) -> None:
    staff = Staff(person("a-1", "agent"), person("a-2", "agent"), person("a-3", "agent"), away=("a-2",))
    both = order("handed_over", "agent", type="handed_over", role="agent", people=["a-2", "a-3"])
    [result] = await make(staff).run(batch(both, unit="north"))
    assert sorted(mail.recipients) == ["a-2@example.com", "a-3@example.com"]
    assert [(one["recipient"], one["why"]) for one in result.meant] == [("a-2", "named"), ("a-3", "named")]


async def test_somebody_of_two_roles_is_told_once(mail: MailServer, make: Make) -> None:
    staff = Staff(person("s-1", deputies=("q-1",)), person("q-1", "qa_manager"), away=("s-1",))
    [result] = await make(staff).run(batch(BREACH, unit="north"))
    assert mail.recipients == ["q-1@example.com"]
    assert result.outcome == "sent"
    assert tried(result) == [("q-1", "email", "sent", "", 1)]


async def test_shared_addresses_serve_roles_that_nobody_has(mail: MailServer, make: Make) -> None:
    contacts = '[roles.qa_manager]\nemail = ["quality@example.com"]\n[roles.supervisor]\nemail = ["old@example.com"]'
    orders = batch(order("breach", "supervisor", "qa_manager", "director"), unit="north")
    [result] = await make(Staff(person("s-1")), contacts).run(orders)
    assert sorted(mail.recipients) == ["quality@example.com", "s-1@example.com"]
    assert (result.outcome, result.reasons) == ("partly", {"director": "no address"})
    assert [(one["role"], one["recipient"], one["why"]) for one in result.meant] == [
        ("supervisor", "s-1", "on_duty"),
        ("qa_manager", "qa_manager", "contacts"),
        ("director", "", "nobody"),
    ]
    assert "example" not in str((result.meant, result.attempts))


async def test_somebody_without_an_address_is_passed_over(mail: MailServer, make: Make) -> None:
    staff = Staff(person("s-1", contacts={}), person("s-2"))
    await make(staff).run(batch(order("breach", "supervisor"), unit="north"))
    alone = Staff(person("s-1", contacts={}))
    [result] = await make(alone).run(batch(order("breach", "supervisor"), unit="north"))
    assert mail.recipients == ["s-2@example.com"]
    assert (result.outcome, result.reasons) == ("no_address", {"supervisor": "no address"})
    assert result.meant[0]["recipient"] == "s-1"


async def test_a_case_that_is_told_of_ahead_of_our_clock_asks_who_is_there_then(make: Make, mail: MailServer) -> None:
    later = RUNG.event | {"recorded_at": (NOW + 60 * MINUTE).isoformat()}
    staff = Staff(person("s-1"), person("s-2"), away=("s-1",))  # back in a minute
    await make(staff).run(batch(dataclasses.replace(RUNG, event=later), unit="north"))
    assert mail.recipients == ["s-1@example.com"]


# --- one way after the other ------------------------------------------------------------------------


def two_ways(chat: HookServer, first: str = "email") -> dict[str, str]:
    ways = {"email": "s-1@example.com", "wecom": f"{chat.url}/s-1"}
    return {name: ways[name] for name in sorted(ways, key=lambda name: name != first)}


async def test_the_preferred_channel_comes_first(mail: MailServer, chat: HookServer, make: Make) -> None:
    [by_chat] = await make(Staff(person("s-1", contacts=two_ways(chat, "wecom")))).run(batch(RUNG, unit="north"))
    assert (mail.mails, len(chat.requests), by_chat.channel) == ([], 1, "wecom")
    [by_mail] = await make(Staff(person("s-1", contacts=two_ways(chat)))).run(batch(RUNG, unit="north"))
    assert (len(mail.mails), len(chat.requests), by_mail.channel) == (1, 1, "email")


async def test_a_refusal_for_good_gives_the_next_channel_its_turn_at_once_and_then_the_deputy(
    mail: MailServer, chat: HookServer, make: Make
) -> None:
    staff = Staff(person("s-1", contacts=two_ways(chat)), person("s-2"))
    mail.answers = {"s-1@example.com": "550 5.1.1 no such user"}
    [by_chat] = await make(staff).run(batch(RUNG, unit="north"))
    assert by_chat.channel == "wecom"
    assert tried(by_chat) == [("s-1", "email", "failed", "SMTP 550 5.1.1", 1), ("s-1", "wecom", "sent", "", 1)]

    chat.otherwise = HttpAnswer(body=b'{"errcode":93000}')
    [by_deputy] = await make(staff).run(batch(RUNG, unit="north"))
    assert mail.recipients == ["s-2@example.com"]
    assert (by_deputy.outcome, by_deputy.reasons) == ("sent", {})
    assert [one[0:3] for one in tried(by_deputy)] == [
        ("s-1", "email", "failed"),
        ("s-1", "wecom", "failed"),
        ("s-2", "email", "sent"),
    ]

    mail.answers["s-2@example.com"] = "550 no"
    [nobody] = await make(staff).run(batch(RUNG, unit="north"))
    assert nobody.outcome == "failed"
    assert nobody.reasons == {"supervisor": "s-1 email: SMTP 550 5.1.1; s-1 wecom: errcode 93000; s-2 email: SMTP 550"}


async def test_what_fails_for_now_is_tried_again_and_the_next_ways_join_in_within_the_rung_clock(
    mail: MailServer, chat: HookServer, make: Make
) -> None:
    staff = Staff(person("s-1", contacts=two_ways(chat)), person("s-2"))
    down = f"smtp://127.0.0.1:{free_port()}"
    chat.otherwise = HttpAnswer(503)
    attempts = make(staff, smtp=down)
    # Five minutes to acknowledge: the three ways are all in use after half of it.
    for late, tries in ((0, 0), (49, 0), (51, 1), (99, 2), (101, 3)):
        error = await attempts.delayed(batch(RUNG, unit="north"), late)
        assert len(chat.requests) == tries, late
        assert ("s-2" in str(error)) is (late > 100)
    [result] = [NoticeResult(**one) for one in error.details[0]]
    no_connection = "no connection (SMTPConnectError)"
    assert tried(result) == [
        ("s-1", "email", "delayed", no_connection, 5),
        ("s-1", "wecom", "delayed", "HTTP 503", 3),
        ("s-2", "email", "delayed", no_connection, 1),
    ]
    entry = result.attempts[0]
    assert datetime.fromisoformat(entry["last"]) - datetime.fromisoformat(entry["first"]) > timedelta(seconds=100)
    # The first way that works is enough, and it is the preferred one that is asked first.
    chat.otherwise = OK
    [result] = await attempts.run(batch(RUNG, unit="north"), 130)
    assert (result.outcome, result.channel, mail.mails) == ("sent", "wecom", [])


async def test_without_a_deadline_the_next_channel_waits_longer(chat: HookServer, make: Make) -> None:
    attempts = make(Staff(person("s-1", contacts=two_ways(chat))), smtp=f"smtp://127.0.0.1:{free_port()}")
    for late, tries in ((0, 0), (120, 0), (290, 0)):
        await attempts.delayed(batch(order("decided", "supervisor", type="approved", subject="x"), unit="north"), late)
        assert len(chat.requests) == tries
    [result] = await attempts.run(
        batch(order("decided", "supervisor", type="approved", subject="x"), unit="north"), 301
    )
    assert result.channel == "wecom"


async def test_the_broadcast_is_hurried_by_its_own_clock(chat: HookServer, make: Make) -> None:
    report = order("report", "supervisor", type="case_opened", facts={}, holder_role="agent")
    clocks = [{"clock": "report", "state": "running", "due": (NOW + 4 * MINUTE).isoformat()}]
    attempts = make(Staff(person("s-1", contacts=two_ways(chat))), smtp=f"smtp://127.0.0.1:{free_port()}")
    await attempts.delayed(batch(report, unit="north", clocks=clocks), 59)
    [result] = await attempts.run(batch(report, unit="north", clocks=clocks), 61)
    assert result.channel == "wecom"


async def test_what_is_told_late_takes_all_ways_at_once(chat: HookServer, make: Make) -> None:
    overdue = order("rung", "supervisor", type="clock_started", clock="rung", due=(NOW - MINUTE).isoformat())
    attempts = make(Staff(person("s-1", contacts=two_ways(chat))), smtp=f"smtp://127.0.0.1:{free_port()}")
    [result] = await attempts.run(batch(overdue, unit="north"))
    assert result.channel == "wecom"


async def test_who_wants_to_be_left_alone_is(mail: MailServer, chat: HookServer, make: Make) -> None:
    attempts = make(Staff(person("s-1", contacts=two_ways(chat, "wecom"))))
    chat.answers = [HttpAnswer(429, headers=("Retry-After: 20",))]
    error = await attempts.delayed(batch(RUNG, unit="north"))
    assert error.next_retry_delay is not None
    error = await attempts.delayed(batch(RUNG, unit="north"), 10)
    # Neither asked again before, nor given up for the next channel: its share is 75 seconds.
    assert (len(chat.requests), mail.mails) == (1, [])
    assert timedelta(seconds=1) <= (error.next_retry_delay or timedelta()) <= timedelta(seconds=10)
    [result] = await attempts.run(batch(RUNG, unit="north"), 21)
    assert (result.channel, len(chat.requests)) == ("wecom", 2)

    impatient = make(Staff(person("s-1", contacts=two_ways(chat, "wecom"))))
    chat.answers = [HttpAnswer(429, headers=("Retry-After: 200",))]
    await impatient.delayed(batch(RUNG, unit="north"))
    [result] = await impatient.run(batch(RUNG, unit="north"), 1)
    assert (result.channel, len(chat.requests)) == ("email", 3)


async def test_pauses_grow_and_end(make: Make) -> None:
    attempts = make(Staff(person("s-1")), smtp=f"smtp://127.0.0.1:{free_port()}")
    pauses = []
    for late in (0, 10, 600, 86400):
        error = await attempts.delayed(batch(order("breach", "supervisor"), unit="north"), late)
        assert error.next_retry_delay is not None
        pauses.append(round(error.next_retry_delay.total_seconds()))
    assert pauses == [1, 5, 300, 900]


async def test_an_attempt_that_died_between_sending_and_recording_repeats_under_the_same_id(
    mail: MailServer, chat: HookServer, make: Make
) -> None:
    staff = Staff(person("s-1", contacts=two_ways(chat)))
    for _ in range(2):  # nothing of the first one's heartbeats arrived
        await make(staff).run(batch(RUNG, unit="north"))
    first, again = [m["Message-ID"] for _, m in mail.mails]
    assert first == again
    # The id is the person's, whatever the channel.
    by_chat = make(Staff(person("s-1", contacts=two_ways(chat, "wecom"))))
    await by_chat.run(batch(RUNG, unit="north"))
    assert first.strip("<").startswith(chat.requests[-1][2].decode().rpartition("#")[2][:10])
    # Somebody else's is another one.
    await make(Staff(person("s-2"))).run(batch(RUNG, unit="north"))
    assert mail.mails[-1][1]["Message-ID"] != first


async def test_the_last_attempt_says_what_came_of_it_all(make: Make, chat: HookServer) -> None:
    staff = Staff(person("s-1"), person("q-1", "qa_manager", contacts={"wecom": chat.url}))
    attempts = make(staff, smtp=f"smtp://127.0.0.1:{free_port()}")
    attempts.timeout = timedelta(minutes=7)
    await attempts.delayed(batch(BREACH, unit="north"), 200)
    with capture_logs() as logs:
        [result] = await attempts.run(batch(BREACH, unit="north"), 300)
    assert (result.outcome, result.channel) == ("partly", "wecom")
    assert result.reasons == {"supervisor": "s-1 email: no connection (SMTPConnectError)"}
    assert ("s-1", "email", "delayed", "no connection (SMTPConnectError)", 2) in tried(result)
    assert [entry["event"] for entry in logs] == ["notice_given_up"]


async def test_a_failure_is_small_enough_for_the_server_to_keep_it(make: Make) -> None:
    people = [
        person(f"{role[0]}-{n}", role, "hq") for role in ("supervisor", "qa_manager", "director") for n in range(5)
    ]
    attempts = make(Staff(*people), smtp=f"smtp://127.0.0.1:{free_port()}")
    orders = batch(order("breach", "supervisor", "qa_manager", "director"))
    error = await attempts.delayed(orders, 1000)
    assert len(str(error.details)) < MOST_DETAILS
    [so_far] = [NoticeResult(**one) for one in error.details[0]]
    assert (so_far.outcome, set(so_far.reasons)) == ("failed", {"supervisor", "qa_manager", "director"})
    # The attempts are kept in the heartbeat, and in the end they are all there.
    attempts.timeout = timedelta(seconds=1001)
    [result] = await attempts.run(orders, 1000)
    assert len(result.attempts) == 15


async def test_the_directory_may_change_between_attempts(mail: MailServer, make: Make) -> None:
    staff = Staff(person("s-1"), person("q-1", "qa_manager"))
    mail.answers = {"s-1@example.com": "451 later"}
    attempts = make(staff)
    await attempts.delayed(batch(BREACH, unit="north"))
    staff.directory = Staff(person("s-9"), person("q-9", "qa_manager")).directory
    [result] = await attempts.run(batch(BREACH, unit="north"), 5)
    # The QA manager of before has it; the supervisor of now gets it.
    assert mail.recipients == ["q-1@example.com", "s-9@example.com"]
    assert result.outcome == "sent"
    # Who was meant at first stays on record; the attempts say who it was in the end.
    assert [one["recipient"] for one in result.meant] == ["s-1", "q-1"]
    assert ("s-9", "email", "sent", "", 1) in tried(result)


async def test_the_record_of_a_day_stays_short(make: Make) -> None:
    staff = Staff(*(person(f"s-{n}", contacts={"email": "x@example.com", "wecom": "https://x"}) for n in range(9)))
    attempts = make(staff, smtp=f"smtp://127.0.0.1:{free_port()}")
    attempts.channels.pop("wecom")
    for late in (0, 400, 900):
        error = await attempts.delayed(batch(order("breach", "supervisor"), unit="north"), late)
    [result] = [NoticeResult(**one) for one in error.details[0]]
    # Five people at most, one entry for each kind of failure.
    assert len({one["recipient"] for one in result.attempts}) == 5
    assert len(result.attempts) <= 10 < MOST_ATTEMPTS


async def test_no_address_in_what_is_logged_or_recorded_of_people(
    mail: MailServer, chat: HookServer, make: Make
) -> None:
    chat.otherwise = HttpAnswer(503)
    mail.answers = {"s-1@example.com": "550 5.1.1 s-1@example.com unknown"}
    attempts = make(Staff(person("s-1", name="Li Si", contacts=two_ways(chat))))
    with capture_logs() as logs:
        error = await attempts.delayed(batch(RUNG, unit="north"))
    said = str([logs, attempts.heartbeats, str(error), error.details])
    assert [entry["recipient"] for entry in logs] == ["s-1", "s-1"]
    for secret in ("example.com", "127.0.0.1", "Li Si", str(chat.url)):
        assert secret not in said


def test_where_nobody_is_known_there_is_no_way() -> None:
    found, meant = deliveries(BREACH, {}, Contacts(), Directory(), NOW)
    assert (found, [one["why"] for one in meant]) == ([], ["nobody", "nobody"])


# --- on a real server -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    path = str(Path(sys.executable).with_name("temporal"))
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=path) as env:
        yield env


@workflow.defn(sandboxed=False)
class TellPeople:
    """Tells, again and again until it works."""

    @workflow.run
    async def run(self, orders: NoticeBatch) -> list[NoticeResult]:
        results: list[NoticeResult] = await workflow.execute_activity_method(
            Notifier.notify,
            orders,
            schedule_to_close_timeout=timedelta(seconds=30),
            heartbeat_timeout=timedelta(seconds=1),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1),
        )
        return results


class Dies(Sender):
    """A sender of a worker that is killed when it has sent, before anybody learns of it."""

    sent: asyncio.Event

    async def _send(self, *args: Any) -> int:
        went = await super()._send(*args)
        self.sent.set()
        await asyncio.Event().wait()
        return went


async def test_a_worker_killed_between_sending_and_recording_is_followed_by_one_that_repeats_it(
    mail: MailServer, make: Make, temporal: WorkflowEnvironment
) -> None:
    staff = Staff(person("s-1"))
    first, second = (make(staff).notifier for _ in range(2))
    dying = first._sender
    dying.__class__ = Dies
    assert isinstance(dying, Dies)
    dying.sent = asyncio.Event()

    def worker(notifier: Notifier) -> Worker:
        return Worker(temporal.client, task_queue="p", workflows=[TellPeople], activities=[notifier.notify])

    handle = await temporal.client.start_workflow(TellPeople.run, batch(RUNG, unit="north"), id="told", task_queue="p")
    async with worker(first):
        await asyncio.wait_for(dying.sent.wait(), 10)
    async with worker(second):
        [result] = await handle.result()
    assert result.outcome == "sent"
    ids = [m["Message-ID"] for _, m in mail.mails]
    assert len(ids) == 2
    assert ids[0] == ids[1]


# --- acknowledging from the notice ------------------------------------------------------------------


async def test_a_rung_notice_to_a_person_says_how_to_take_the_case_up(mail: MailServer, make: Make) -> None:
    links = Links(("s" * 32,), "https://cases.example.com/")
    reminder = order("reminder", "general_manager", type="reminded", rung="general_manager", count=1)
    approval = order("reminder", "qa_manager", type="reminded", rung="qa_manager", count=1, subject="refund")
    people = [person("s-1"), person("g-1", "general_manager", language="en"), person("q-1", "qa_manager")]
    contacts = '[roles.agent]\nemail = ["agents@example.com"]'
    shared = order("rung", "agent", type="clock_started", clock="rung", due=AT)
    orders: list[NoticeOrder] = [RUNG, reminder, approval, shared, BREACH]
    await make(Staff(*people), contacts, links=links).run(batch(*orders, unit="north"))
    texts = [(address.partition("@")[0], m.get_content()) for address, m in mail.mails]
    for who, label in (("s-1", "受理："), ("g-1", "Take up:  ")):
        text = next(text for address, text in texts if address == who)
        assert f"{label}https://cases.example.com/a/" in text
        assert "caseladder" not in text
    # Neither what is no arrival at a rung, nor what goes to nobody in person.
    assert sum("/a/" in text for _, text in texts) == 2
    assert len(texts) == 6

    await make(Staff(*people), links=Links(("s" * 32,))).run(batch(RUNG, unit="north"))
    only_code = mail.mails[-1][1].get_content()
    assert "受理：caseladder acknowledge complaint:C-1 --code " in only_code
    await make(Staff(*people)).run(batch(RUNG, unit="north"))
    assert "--code" not in mail.mails[-1][1].get_content()


@pytest.mark.parametrize(("language", "label"), [("en", "Open it:  "), ("zh", "打开案件：")])
async def test_every_notice_has_the_address_of_the_page(
    mail: MailServer, make: Make, language: str, label: str
) -> None:
    sign = order("sign", "supervisor", type="signature_asked", step="superior", role="supervisor", due=AT)
    # A page needs no secret; what acknowledges does.
    links = Links(public_url="https://cases.example.com/")
    await make(Staff(person("s-1", language=language)), links=links).run(batch(sign, RUNG, unit="north"))
    texts = [m.get_content() for _, m in mail.mails]
    assert len(texts) == 2
    page = f"{label}https://cases.example.com/console/case?id=complaint%3AC-1"
    assert all(page in text for text in texts)
    assert not any("--code" in text or "/a/" in text for text in texts)
