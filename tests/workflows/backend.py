"""A running backend: a real Temporal server, a worker with the real activities, and a real casebook."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.notify.recipients import stable_id
from activities.policies.store import Policies
from cases.policy.model import Policy
from cases.registry import kind_of
from cases.vocabulary.contract import TASK_QUEUE
from starter.client import CaseClient
from starter.settings import Settings
from tests.casebook import Book, open_book
from tests.postgres import as_writer
from tests.temporal import eventually
from worker import polling

Handle = WorkflowHandle[Any, Any]
Json = dict[str, Any]

CONTACTS = """\
[roles.agent]
email = ["agents@example.com"]
[roles.supervisor]
email = ["supervisor@example.com"]
[roles.qa_manager]
email = ["quality@example.com"]
[roles.general_manager]
email = ["gm@example.com"]
"""
DEFAULT = Policies().load("default")
FACTS: Mapping[str, Mapping[str, Any]] = {
    "complaint": {"category": "delay"},
    "inquiry": {"shipment": {"waybill": "W1", "posted_on": "2026-03-01"}},
}
# A Wednesday morning, at which rehearsed cases begin.
MORNING = datetime.fromisoformat("2026-03-04T10:00:00+08:00")
_keys = count(1)
# How many workflows the worker keeps in memory; `make test-long` sets it to 0, so that every task is a replay.
CACHE = int(os.environ.get("CASELADDER_TEST_CACHE", "1000"))
# How many notices are sent when a case of a kind is opened, one if it is not listed.
FIRST_NOTICES = {"complaint": 2}


@dataclass(frozen=True)
class Backend:
    """The running backend; time passes for a case only by `wait`."""

    env: WorkflowEnvironment
    worker: Worker
    book: Book
    folder: Path
    database: str

    @property
    def client(self) -> CaseClient:
        """The client of cases."""
        return CaseClient(self.env.client)

    async def start(self, workflow: str, *args: Any, id: str, **options: Any) -> Handle:
        """Start a workflow with any input."""
        handle: Handle = await self.env.client.start_workflow(
            workflow, args=args, id=id, task_queue=TASK_QUEUE, **options
        )
        return handle

    async def file(self, kind: str = "complaint", facts: Mapping[str, Any] | None = None, **intake: Any) -> Handle:
        """File a case with a new key, and wait until it is open and, for two seconds, for its first notices.

        The waybill ``W1`` stands for a parcel of its own.
        """
        key = f"T-{next(_keys)}"
        told = dict(facts or FACTS[kind])
        if told.get("shipment", {}).get("waybill") == "W1":
            told["shipment"] = {**told["shipment"], "waybill": f"W-{key}"}
        await self.client.file(kind, {"key": key, "facts": told, **intake})
        case = self.handle(f"{kind}:{key}")
        for _ in range(40):
            if len(await self.timeline(case, "notified")) >= FIRST_NOTICES.get(kind, 1):
                break
            await asyncio.sleep(0.05)
        return case

    async def rehearse(
        self,
        kind: str = "complaint",
        facts: Mapping[str, Any] | None = None,
        *,
        begin: datetime = MORNING,
        policy: Policy = DEFAULT,
        **rehearsal: Any,
    ) -> Handle:
        """Start a rehearsed case whose clock is at ``begin``."""
        key = f"R-{next(_keys)}"
        offset = (begin - datetime.now(UTC)) // timedelta(microseconds=1)
        intake = {
            "key": key,
            "received_at": begin.isoformat(),
            "facts": facts or FACTS[kind],
            "rehearsal": {"offset_us": offset, "policy_document": policy.document, **rehearsal},
        }
        return await self.start(kind_of(kind, policy).WORKFLOW, intake, id=f"{kind}:{key}")

    def handle(self, case_id: str) -> Handle:
        """Return the handle of a case."""
        return self.env.client.get_workflow_handle(case_id)

    async def do(self, case: Handle, /, command: str, role: str = "agent", **fields: Any) -> Json:
        """Send a command as a person of a role.

        Raises:
            Refused: the case refused it.
        """
        return await self.client.command(case.id, command, {"by": {"id": f"{role}-1", "role": role}, **fields})

    async def wait(self, case: Handle, span: timedelta) -> None:
        """Let time pass for a case, and one second more, so that what falls due at the end has happened."""
        await self.env.fast_forward(case, span + timedelta(seconds=1))

    async def timeline(self, case: Handle, *types: str) -> list[Json]:
        """Return the events of a case by its own account, only those of ``types`` if any are given."""
        events: list[Json] = await case.query("timeline")
        return [event for event in events if not types or event["type"] in types]

    async def recorded(self, case: Handle) -> list[Json]:
        """Wait until the ledger has all events of a case, and return them.

        If a worker ended while it was recording, this takes until its attempt times out after 20 seconds.
        """
        return await eventually(
            lambda: self._both(case), lambda both: len(both[0]) == len(both[1]) > 0
        ) and await self.book.events(case.id)

    async def _both(self, case: Handle) -> tuple[list[Json], list[Json]]:
        return await self.book.events(case.id), await self.timeline(case)

    def mails(self) -> list[EmailMessage]:
        """Read all mails that were sent so far."""
        return [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in sorted((self.folder / "mail").glob("*.eml"))
        ]

    def mailed(self, case: Handle) -> list[str]:
        """Return the recipients of the mails of a case."""
        return sorted(mail["To"] for mail in self.mails() if is_about(mail, case.id))


@asynccontextmanager
async def open_backend(
    env: WorkflowEnvironment,
    database: str,
    folder: Path,
    *,
    smtp: str | None = None,
    cache: int = CACHE,
    **more: Any,
) -> AsyncIterator[Backend]:
    """A backend with one worker on the task queue of the server, until the block ends.

    Args:
        env: the Temporal server.
        database: the address of a migrated database.
        folder: holds the contacts, the policies and, without an SMTP server, the mails.
        smtp: the address of an SMTP server.
        cache: how many workflows the worker keeps in memory.
        more: settings of the worker.
    """
    contacts, policies = folder / "contacts.toml", folder / "policies"
    contacts.write_text(CONTACTS)
    policies.mkdir()
    settings = Settings(
        data=folder,
        database_url=SecretStr(as_writer(database)),
        smtp_url=SecretStr(smtp or f"maildir:{folder / 'mail'}"),
        contacts=contacts,
        policies=policies,
        # Time passes in leaps here, and a digest must not wait for a minute.
        digest_hold=0,
        **more,
    )
    async with open_book(database) as book, polling(env.client, settings, cache=cache) as worker:
        yield Backend(env, worker, book, folder, database)


def is_about(mail: EmailMessage, case_id: str) -> bool:
    """Whether a mail is of the thread of a case."""
    return str(mail["References"]).strip() == f"<{stable_id(case_id)}@caseladder>"


def happened(events: list[Json]) -> list[tuple[str, str]]:
    """Return the type and the instant of each event, which two runs must have in common."""
    return [(event["type"], event["at"]) for event in events]
