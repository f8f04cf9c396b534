"""While the casebook or the mail server is away the ladder climbs; nothing is lost and nothing doubled."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from temporalio.client import WorkflowFailureError

from activities.database.migrate import migrate
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person, Unit
from cases.vocabulary.contract import refusal_of
from cases.vocabulary.refusals import Refused
from tests.postgres import Cluster, cluster
from tests.temporal import eventually, time_skipping
from tests.workflows.backend import FACTS, Backend, Handle, open_backend

pytestmark = pytest.mark.long

MINUTE = timedelta(minutes=1)


class Inbox:
    """A mail server on a port of its own that may be away."""

    def __init__(self, port: int) -> None:
        self.port = port
        # Message ids with recipients, as often as each arrived.
        self.arrived: Counter[tuple[str, str]] = Counter()
        self._server: Controller | None = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep what comes in."""
        text = envelope.original_content or b""
        [identity] = [line for line in text.splitlines() if line.lower().startswith(b"message-id:")]
        self.arrived[identity.decode(), envelope.rcpt_tos[0]] += 1
        return "250 OK"

    def start(self) -> None:
        """Take mails."""
        self._server = Controller(self, hostname="127.0.0.1", port=self.port)
        self._server.start()

    def stop(self) -> None:
        """Take no mails."""
        if self._server is not None:
            self._server.stop()
            self._server = None


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    """A cluster that tests stop and start."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    """A mail server that tests stop and start."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    inbox = Inbox(port)
    inbox.start()
    yield inbox
    inbox.stop()


@pytest.fixture(scope="module")
async def backend(database: Cluster, inbox: Inbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backend]:
    """A backend whose surroundings fail."""
    address = await database.fresh_database()
    await migrate(address)
    async with (
        time_skipping() as env,
        open_backend(
            env, address, tmp_path_factory.mktemp("backend"), smtp=f"smtp://127.0.0.1:{inbox.port}"
        ) as backend,
    ):
        yield backend


@pytest.fixture
def casebook_away(database: Cluster) -> Iterator[Cluster]:
    """PostgreSQL is away when the test starts it, and there when it ends."""
    yield database
    if not database.running():
        database.start()


async def sound(backend: Backend, case: Handle) -> None:
    """The ledger holds exactly the events of the case, each once, and its chain verifies."""
    events = await backend.recorded(case)
    assert events == await backend.timeline(case)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (await backend.book.verify(case.id)).ok


async def test_while_the_casebook_is_away_the_ladder_climbs_and_people_are_told(
    backend: Backend, casebook_away: Cluster, inbox: Inbox
) -> None:
    case = await backend.file()
    opened = datetime.fromisoformat((await case.query("case"))["opened_at"])
    known = len(await backend.recorded(case))
    inbox.arrived.clear()
    casebook_away.stop("immediate")

    await backend.wait(case, 10 * MINUTE)
    await backend.do(case, "note", text="written while the casebook is away")

    climbs = await backend.timeline(case, "escalated")
    assert [(e["data"]["to"], datetime.fromisoformat(e["at"]) - opened) for e in climbs] == [
        ("supervisor", 5 * MINUTE),
        ("qa_manager", 10 * MINUTE),
    ]
    assert [recipient for _, recipient in inbox.arrived] == ["supervisor@example.com", "quality@example.com"]

    casebook_away.start()
    await backend.wait(case, MINUTE)

    await sound(backend, case)
    assert len(await backend.timeline(case)) > known


async def test_a_case_filed_while_the_casebook_is_away_gets_its_number_later(
    backend: Backend, casebook_away: Cluster
) -> None:
    casebook_away.stop()
    case = await backend.file()
    assert (await backend.do(case, "acknowledge"))["number"] is None

    casebook_away.start()
    await backend.wait(case, MINUTE)

    await sound(backend, case)
    assert (await eventually(lambda: case.query("case"), lambda view: view["number"] is not None))["acknowledged"]


async def test_a_used_key_that_is_filed_while_the_casebook_is_away_records_nothing(
    backend: Backend, casebook_away: Cluster
) -> None:
    intake = {"key": "used", "facts": FACTS["complaint"]}
    await backend.client.file("complaint", intake)
    case = backend.handle("complaint:used")
    await backend.do(case, "withdraw", "customer")
    assert (await case.result())["status"] == "closed"
    recorded = await backend.book.events(case.id)
    casebook_away.stop()

    # Nobody can tell that the key was used; what is decided meanwhile shows that it is not recorded.
    view, new = await backend.client.open("complaint", {**intake, "facts": {"category": "other"}})
    assert (view["number"], view["recorded"], new) == (None, 0, True)
    casebook_away.start()
    await backend.wait(case, MINUTE)

    with pytest.raises(WorkflowFailureError) as caught:
        await case.result()
    refusal = refusal_of(caught.value.cause)
    assert refusal is not None
    assert refusal.code == "superseded"
    assert await backend.book.events(case.id) == recorded
    assert (await backend.client.open("complaint", intake))[1] is False


async def test_notices_wait_for_the_mail_server(backend: Backend, inbox: Inbox) -> None:
    inbox.stop()
    inbox.arrived.clear()
    case = await backend.file()
    await backend.wait(case, 6 * MINUTE)
    assert (await case.query("case"))["rung"] == "supervisor"
    assert await backend.timeline(case, "notified") == []
    # The broadcast did not go out in time, which is on the record.
    assert "report" in (await case.query("case"))["breached"]

    inbox.start()
    await backend.wait(case, MINUTE)

    told = await eventually(lambda: backend.timeline(case, "notified"), lambda seen: len(seen) >= 4)
    assert {event["data"]["outcome"] for event in told} == {"sent"}
    assert set(inbox.arrived.values()) == {1}
    await sound(backend, case)


async def test_a_notice_that_never_arrives_is_given_up_and_recorded(
    backend: Backend, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.effects.GIVE_UP", 7 * MINUTE)
    inbox.stop()
    case = await backend.file(facts={"category": "delay", "source": "network"})
    await backend.do(case, "acknowledge")
    await backend.wait(case, 8 * MINUTE)
    inbox.start()

    [first, *_] = await eventually(lambda: backend.timeline(case, "notified"), lambda seen: len(seen) > 0)
    assert (first["data"]["notice"], first["data"]["outcome"]) == ("rung", "failed")
    assert first["data"]["reasons"]
    [attempt] = first["data"]["attempts"]
    assert (attempt["outcome"], attempt["count"] > 5) == ("delayed", True)
    await backend.do(case, "withdraw", "customer")
    assert (await case.result())["status"] == "closed"


@pytest.mark.parametrize("away", [("casebook",), ("mail",), ("casebook", "mail")], ids=" and ".join)
async def test_what_was_under_way_goes_on_when_the_case_continues_as_new(
    backend: Backend,
    casebook_away: Cluster,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
    away: tuple[str, ...],
) -> None:
    monkeypatch.setattr("workflows.shell.LONG_HISTORY", 60)
    inbox.arrived.clear()
    if "casebook" in away:
        casebook_away.stop("immediate")
    if "mail" in away:
        inbox.stop()
    key = f"continued-{'-'.join(away)}"
    intake = {"key": key, "facts": {**FACTS["complaint"], "customer": {"phone": "13800000000"}}}
    await backend.client.file("complaint", intake)
    case = backend.handle(f"complaint:{key}")
    first_run = (await case.describe()).run_id
    for number in range(30):
        await backend.do(case, "note", text=f"note {number}", request_id=f"n-{number}")
    # It continues while things are away, more than once.
    assert (await case.describe()).run_id != first_run

    if "casebook" in away:
        casebook_away.start()
    if "mail" in away:
        inbox.start()
    await backend.wait(case, MINUTE)
    told = await eventually(lambda: backend.timeline(case, "notified"), lambda seen: len(seen) >= 2)

    assert [event["data"]["outcome"] for event in told] == ["sent"] * 2
    # At least once, each under one id: an attempt of the run before may still get through.
    assert set(Counter(recipient for _, recipient in inbox.arrived).values()) == {1}
    await sound(backend, case)
    assert [event["data"]["text"] for event in await backend.timeline(case, "noted")] == [
        f"note {n}" for n in range(30)
    ]
    assert await backend.book.personal(case.id) == {"customer": {"phone": "13800000000"}}
    # What was known of the case before is known still.
    again = await backend.do(case, "note", text="note 0", request_id="n-0")
    assert len(await backend.timeline(case, "noted")) == 30
    assert (await backend.client.file("complaint", intake))["opened_at"] == again["opened_at"]
    with pytest.raises(Refused) as conflict:
        await backend.client.file("complaint", {"key": key, "facts": {"category": "other"}})
    assert conflict.value.code == "conflict"
    query = f"CaseNumber = '{again['number']}' AND ExecutionStatus = 'Running'"

    async def listed() -> list[str]:
        return [found.id async for found in backend.env.client.list_workflows(query)]

    await eventually(listed, lambda seen: seen == [case.id])
    await backend.do(case, "resolve")
    await backend.do(case, "close")
    assert (await case.result())["status"] == "closed"
    assert datetime.fromisoformat(again["opened_at"]) < datetime.now(UTC)


PEOPLE = [
    Person(id=f"{role}-{number}", role=role, unit="hq", contacts={"email": f"{role}-{number}@example.com"})
    for role in ("agent", "supervisor", "qa_manager", "general_manager")
    for number in (1, 2)
]


@pytest.fixture
async def staff(backend: Backend, inbox: Inbox) -> AsyncIterator[None]:
    """Two people of each rung in the directory, and the mail server there again when the test ends."""
    changes = DirectoryChanges(backend.book.database)
    await changes.replace_people(PEOPLE, units=[Unit(id="hq")])
    await asyncio.sleep(1.1)  # what the worker knows is a second old at most
    yield
    inbox.stop()
    inbox.start()
    await changes.replace_people([])
    await asyncio.sleep(1.1)


async def test_a_day_without_a_mail_server(
    backend: Backend, inbox: Inbox, staff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fewer tries than there are, for the sake of those who wait for this test.
    monkeypatch.setattr("activities.notify.attempt.LONGEST", 3600.0)
    inbox.stop()
    inbox.arrived.clear()
    case = await backend.file()
    opened = datetime.fromisoformat((await case.query("case"))["opened_at"])
    await backend.wait(case, 11 * MINUTE)
    await backend.do(case, "acknowledge", "qa_manager")
    await backend.wait(case, timedelta(hours=24) - 12 * MINUTE)

    # No ladder and no deadline was late because of it.
    assert not inbox.arrived
    happened = {
        (event["data"].get("to") or event["data"]["clock"], datetime.fromisoformat(event["at"]) - opened)
        for event in await backend.timeline(case, "escalated", "clock_warned", "clock_breached")
    }
    assert happened == {
        ("rung", 5 * MINUTE),
        ("supervisor", 5 * MINUTE),
        ("report", 5 * MINUTE),
        ("rung", 10 * MINUTE),
        ("qa_manager", 10 * MINUTE),
        ("interim_reply", 30 * MINUTE),
        ("answer", timedelta(hours=9)),
        ("answer", timedelta(hours=12)),
    }
    assert await backend.timeline(case, "notified") == []

    inbox.start()
    await backend.wait(case, 61 * MINUTE)

    due = 1 + 3 + 3 + 1  # the broadcast, the rungs, the deadlines missed, the one that is near
    told = await eventually(lambda: backend.timeline(case, "notified"), lambda seen: len(seen) >= due)
    assert {event["data"]["outcome"] for event in told} == {"sent"}
    # Everybody who was meant has each notice once, under an id of its own.
    assert set(inbox.arrived.values()) == {1}
    meant = Counter(one["recipient"] + "@example.com" for event in told for one in event["data"]["meant"])
    assert Counter(recipient for _, recipient in inbox.arrived) == meant
    # The record says exactly what happened: how often it was tried in vain, from when to when, and then not.
    for event in told:
        tries = event["data"]["attempts"]
        assert [one.get("count", 1) for one in tries if one["outcome"] == "sent"] == [1] * len(event["data"]["roles"])
        vain = {(one["outcome"], one["reason"]) for one in tries if one["outcome"] != "sent"}
        assert vain == {("delayed", "no connection (SMTPConnectError)")}
    rung = next(event for event in told if event["data"]["notice"] == "rung" and event["data"]["roles"] == ["agent"])
    first, second = [one for one in rung["data"]["attempts"] if one["outcome"] == "delayed"]
    assert (first["recipient"], second["recipient"]) == ("agent-1", "agent-2")
    # The deputy joined in within the five minutes of the rung; both were tried for a day.
    begun = [datetime.fromisoformat(one["first"]) - opened for one in (first, second)]
    assert begun[0] < MINUTE < begun[1] < 5 * MINUTE
    assert datetime.fromisoformat(first["last"]) - opened > timedelta(hours=22)
    assert first["count"] > 30
    # In the end it was the one who was meant.
    assert rung["data"]["attempts"][-1]["recipient"] == "agent-1"
    assert "example.com" not in str(await backend.timeline(case))

    # A repeat has the same id.
    await backend.do(case, "resend", "qa_manager", notice=rung["seq"])
    await eventually(lambda: backend.timeline(case, "notified"), lambda seen: len(seen) > len(told))
    assert [times for times in inbox.arrived.values() if times > 1] == [2]
    await sound(backend, case)
    recorded = {row["seq"]: row for row in await backend.book.notices(case.id)}
    assert recorded[rung["seq"]]["attempts"] == rung["data"]["attempts"]
