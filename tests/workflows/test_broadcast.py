"""The broadcast of an exception report really goes out: a real mail server, real workers, killed ones too."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from temporalio.testing import WorkflowEnvironment

from activities.database.migrate import migrate
from starter.client import CaseClient
from tests.casebook import Book, open_book
from tests.cli.program import ROOT, environment
from tests.postgres import Cluster, as_writer, cluster
from tests.temporal import address, eventually, time_skipping
from tests.workflows.backend import is_about

MINUTE = timedelta(minutes=1)
ROLES = (
    "agent", "supervisor", "qa_manager", "general_manager", "project_manager", "tracing_officer",
    "freight_centre", "dispatch_centre",
)  # fmt: skip
LEADERS = ["general_manager@example.com", "qa_manager@example.com", "supervisor@example.com"]
AGENT = {"id": "agent-1", "role": "agent"}
# Whatever the hour and the day of the test, it is worked, or it is not.
WINDOWS = "\n".join(f'{day} = ["{{0}}"]' for day in ("monday", "tuesday", "wednesday", "thursday", "friday",
                                                   "saturday", "sunday"))  # fmt: skip
POLICY = 'name = "{name}"\nextends = "default"\nzone = "UTC"\n[calendar.years.2000]\nsource = "none"\n' \
    "[calendar.windows]\n{windows}\n"  # fmt: skip
_keys = count(1)


class Inbox:
    """A mail server that keeps what comes in, and can do something before it says that it has it."""

    def __init__(self) -> None:
        # Address and mail, as often as each arrived.
        self.mails: list[tuple[str, EmailMessage]] = []
        self.before_answer: Any = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a mail."""
        mail = message_from_bytes(envelope.original_content or b"", policy=modern)
        self.mails.extend((address, mail) for address in envelope.rcpt_tos)
        if self.before_answer is not None:
            self.before_answer(mail)
        return "250 OK"

    def about(self, case_id: str, words: str) -> list[tuple[str, str]]:
        """Address and Message-ID of the mails about a case whose subject holds some words, in order."""
        return [
            (address, mail["Message-ID"])
            for address, mail in self.mails
            if is_about(mail, case_id) and words in mail["Subject"]
        ]


class Workers:
    """Worker processes of one backend."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        """Start one more."""
        made = subprocess.Popen(
            [sys.executable, "-m", "worker"], cwd=ROOT, env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.running.append(made)
        return made

    def kill(self) -> None:
        """kill -9 all of them."""
        for process in self.running:
            process.kill()
            process.communicate()
        self.running.clear()


class Backend:
    """Where reports are filed and mails arrive; ``workers`` are processes of their own."""

    def __init__(self, env: WorkflowEnvironment, book: Book, inbox: Inbox, workers: Workers) -> None:
        self.env, self.book, self.inbox, self.workers = env, book, inbox, workers
        self.client = CaseClient(env.client)

    async def file(self, *, policy: str = "day", **facts: Any) -> str:
        """File a report of what is known just now; the id of the case, which may not be open yet."""
        known = datetime.now(UTC).isoformat()
        intake = {
            "key": f"B-{next(_keys)}",
            "policy": policy,
            "received_at": known,
            "facts": {"source": "customer_complaint", "known_at": known, **facts},
        }
        view = await self.client.file("exception", intake, wait=False)
        return str(view["id"])

    async def recorded(self, case_id: str, type_: str, times: int = 1) -> list[dict[str, Any]]:
        """The events of a type in the ledger, once there are so many."""

        async def look() -> list[dict[str, Any]]:
            return [event for event in await self.book.events(case_id) if event["type"] == type_]

        # What a killed worker had begun is begun again once the server notices that it is gone.
        return await eventually(look, lambda events: len(events) >= times, seconds=150)

    async def sound(self, case_id: str) -> None:
        """The ledger holds exactly the events of the case, and its chain verifies."""
        timeline = await self.client.timeline(case_id)
        await eventually(lambda: self.book.events(case_id), lambda events: len(events) == len(timeline))
        assert await self.book.events(case_id) == await self.client.timeline(case_id)
        assert (await self.book.verify(case_id)).ok


@pytest.fixture(scope="module")
def database() -> Iterator[Cluster]:
    """A cluster for this module."""
    with cluster() as made:
        yield made


@asynccontextmanager
async def opened(database: Cluster, folder: Path) -> AsyncIterator[Backend]:
    """A backend without a worker yet."""
    dsn = await database.fresh_database()
    await migrate(dsn)
    contacts, policies = folder / "contacts.toml", folder / "policies"
    contacts.write_text("".join(f'[roles.{role}]\nemail = ["{role}@example.com"]\nlanguage = "en"\n' for role in ROLES))
    policies.mkdir()
    # A window that holds every moment; and one that began and ended while nobody looked.
    past = datetime.now(UTC) + timedelta(hours=12)
    (policies / "day.toml").write_text(POLICY.format(name="day", windows=WINDOWS.format("00:00-00:00")))
    night = WINDOWS.format(f"{past:%H}:00-{past:%H}:30")
    (policies / "night.toml").write_text(POLICY.format(name="night", windows=night))
    inbox = Inbox()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=port, ready_timeout=30)
    server.start()
    try:
        async with time_skipping() as env, open_book(dsn) as book:
            settings = {
                "TEMPORAL_ADDRESS": address(env.client),
                "CASELADDER_DATABASE_URL": as_writer(dsn),
                "CASELADDER_SMTP_URL": f"smtp://127.0.0.1:{port}",
                "CASELADDER_CONTACTS": str(contacts),
                "CASELADDER_POLICIES": str(policies),
                "CASELADDER_DATA": str(folder / "data"),
                # Nobody waits a minute for a digest here.
                "CASELADDER_DIGEST_HOLD": "0",
            }
            workers = Workers(environment(settings))
            try:
                yield Backend(env, book, inbox, workers)
            finally:
                workers.kill()
    finally:
        server.stop()


@pytest.fixture(scope="module")
async def backend(database: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backend]:
    """The backend, without a worker until a test starts one."""
    async with opened(database, tmp_path_factory.mktemp("broadcast")) as backend:
        yield backend


@pytest.fixture
def worker(backend: Backend) -> subprocess.Popen[bytes]:
    """A running worker; one that an earlier test left running will do."""
    alive = (process for process in backend.workers.running if process.poll() is None)
    return next(alive, None) or backend.workers.start()


@pytest.mark.long
@pytest.mark.parametrize(
    ("facts", "addresses"),
    [
        ({"source": "customer_complaint"}, LEADERS),
        ({"source": "self_found"}, sorted([*LEADERS, "project_manager@example.com"])),
    ],
)
async def test_in_working_hours_the_right_ones_hear_within_moments(
    backend: Backend, worker: subprocess.Popen[bytes], facts: dict[str, Any], addresses: list[str]
) -> None:
    case = await backend.file(**facts)
    [sent] = await backend.recorded(case, "report_sent")
    went = backend.inbox.about(case, "New exception report")
    assert sorted(address for address, _ in went) == addresses
    # Each mail has an id of its own that says nothing of its recipient.
    assert len({identity for _, identity in went}) == len(addresses)
    assert sent["data"]["channel"] == "email"
    opened = (await backend.client.case(case))["opened_at"]
    assert datetime.fromisoformat(sent["at"]) - datetime.fromisoformat(opened) <= 5 * MINUTE
    clocks = {clock["clock"]: clock["state"] for clock in (await backend.client.case(case))["clocks"]}
    assert clocks["report"] == "met"
    await backend.sound(case)


@pytest.mark.long
async def test_very_large_damage_reaches_the_four_besides(backend: Backend, worker: subprocess.Popen[bytes]) -> None:
    case = await backend.file(category="damage", estimated_amount="48000.00")
    await backend.recorded(case, "report_sent")
    went = [address for address, _ in backend.inbox.about(case, "Very large damage: 48000.00 yuan")]
    assert sorted(went) == [
        "dispatch_centre@example.com",
        "freight_centre@example.com",
        "qa_manager@example.com",
        "supervisor@example.com",
    ]


async def test_outside_working_hours_the_mail_waits_for_the_calls(
    backend: Backend, worker: subprocess.Popen[bytes]
) -> None:
    case = await backend.file(policy="night")
    await backend.recorded(case, "notified", 2)  # that the case is held, and whom to call
    assert [address for address, _ in backend.inbox.about(case, "Call now")] == ["agent@example.com"]
    assert backend.inbox.about(case, "New exception report") == []

    roles = ["supervisor", "qa_manager", "general_manager"]
    await backend.client.command(case, "confirm_phone_notice", {"by": AGENT, "roles": roles})

    await backend.recorded(case, "report_sent")
    assert sorted(address for address, _ in backend.inbox.about(case, "New exception report")) == LEADERS
    await backend.sound(case)


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_worker_killed_between_sending_and_recording_sends_the_same_mail_again(backend: Backend) -> None:
    """The mail server has taken the mail; the worker dies before it can say so to anybody."""
    backend.workers.kill()
    first = backend.workers.start()
    backend.inbox.before_answer = lambda mail: first.kill() if "New exception report" in mail["Subject"] else None
    case = await backend.file()
    await eventually(lambda: asyncio.sleep(0, first.poll()), lambda code: code is not None)
    backend.inbox.before_answer = None
    before = backend.inbox.about(case, "New exception report")
    assert before  # it went out
    assert not [event for event in await backend.book.events(case) if event["type"] == "report_sent"]

    backend.workers.start()
    await backend.recorded(case, "report_sent")

    after = backend.inbox.about(case, "New exception report")
    assert sorted({address for address, _ in after}) == LEADERS
    # Whoever got it twice can tell: to each address one id, however often it was sent.
    assert len(set(after)) == len(LEADERS)
    assert len(after) > len(set(after))
    assert len(await backend.recorded(case, "report_sent")) == 1
    await backend.sound(case)


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_a_worker_killed_when_all_is_sent_tells_nobody_twice_under_another_id(
    backend: Backend, database: Cluster
) -> None:
    """All mails are out and only the record is missing, since the casebook is away; then the worker dies."""
    backend.workers.kill()
    first = backend.workers.start()
    case = await backend.file(source="self_found")
    await backend.recorded(case, "case_opened")
    await backend.recorded(case, "report_sent")
    database.stop("immediate")
    try:
        await backend.client.command(case, "escalate", {"by": AGENT, "reason": "r"})
        told = "The case is now with you (supervisor)"
        await eventually(lambda: asyncio.sleep(0, backend.inbox.about(case, told)), lambda went: len(went) > 0)
        first.kill()
        first.wait()
    finally:
        database.start()
    backend.workers.start()
    events = await backend.recorded(case, "escalated")
    assert len(events) == 1
    assert len(set(backend.inbox.about(case, told))) == 1
    assert len(set(backend.inbox.about(case, "New exception report"))) == 4
    assert len(await backend.recorded(case, "report_sent")) == 1
    await backend.sound(case)
