"""An office that works on cases: a real server, a worker with the real activities, a real casebook."""

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

from activities.casebook import book as casebook
from activities.casebook.book import Casebook
from activities.policies.store import Policies
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.contract import TASK_QUEUE
from starter.client import CaseClient
from starter.settings import Settings
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
# What rehearsed cases begin at: a Wednesday morning.
MORNING = datetime.fromisoformat("2026-03-04T10:00:00+08:00")
_keys = count(1)
# `make test-no-cache` sets it to 0, so that every task of every workflow is a replay.
CACHE = int(os.environ.get("CASELADDER_TEST_CACHE", "1000"))
# How many notices a case of a kind begins with: the rung's, and the broadcast of a complaint.
FIRST_NOTICES = {"complaint": 2}


@dataclass(frozen=True)
class Office:
    """Where cases are filed, worked on and looked at. Times pass only by `wait`."""

    env: WorkflowEnvironment
    worker: Worker
    book: Casebook
    folder: Path
    database: str

    @property
    def client(self) -> CaseClient:
        """The typed client."""
        return CaseClient(self.env.client)

    async def start(self, workflow: str, *args: Any, id: str, **options: Any) -> Handle:
        """Start a workflow with any input."""
        handle: Handle = await self.env.client.start_workflow(
            workflow, args=args, id=id, task_queue=TASK_QUEUE, **options
        )
        return handle

    async def file(self, kind: str = "complaint", facts: Mapping[str, Any] | None = None, **intake: Any) -> Handle:
        """File a case under a new key and wait until it is open, and its first notices have come out
        unless what they need is away."""
        key = f"T-{next(_keys)}"
        await self.client.file(kind, {"key": key, "facts": facts or FACTS[kind], **intake})
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
        """Start a rehearsed case whose clock stands at ``begin``."""
        key = f"R-{next(_keys)}"
        offset = (begin - datetime.now(UTC)) // timedelta(microseconds=1)
        intake = {
            "key": key,
            "received_at": begin.isoformat(),
            "facts": facts or FACTS[kind],
            "rehearsal": {"offset_us": offset, "policy_document": policy.document, **rehearsal},
        }
        return await self.start(KINDS[kind].WORKFLOW, intake, id=f"{kind}:{key}")

    def handle(self, case_id: str) -> Handle:
        """A handle of a case."""
        return self.env.client.get_workflow_handle(case_id)

    async def do(self, case: Handle, command: str, role: str = "agent", **fields: Any) -> Json:
        """Send a command as a person of a role. Raises `Refused`."""
        return await self.client.command(case.id, command, {"by": {"id": f"{role}-1", "role": role}, **fields})

    async def wait(self, case: Handle, span: timedelta) -> None:
        """Let time pass for a case, and a moment more, so that what is due then has happened."""
        await self.env.fast_forward(case, span + timedelta(seconds=1))

    async def timeline(self, case: Handle, *types: str) -> list[Json]:
        """The events of a case as it knows them, of some types or all."""
        events: list[Json] = await case.query("timeline")
        return [event for event in events if not types or event["type"] in types]

    async def recorded(self, case: Handle) -> list[Json]:
        """The events in the ledger, once they are all those of the case: what a worker was recording when it
        ended takes the 20 seconds after which its attempt counts as dead."""
        return await eventually(
            lambda: self._both(case), lambda both: len(both[0]) == len(both[1]) > 0, seconds=40
        ) and await self.book.events(case.id)

    async def _both(self, case: Handle) -> tuple[list[Json], list[Json]]:
        return await self.book.events(case.id), await self.timeline(case)

    def mails(self) -> list[EmailMessage]:
        """Every mail that was sent so far."""
        return [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in sorted((self.folder / "mail").glob("*.eml"))
        ]

    def mailed(self, case: Handle) -> list[str]:
        """Whom the mails of a case went to."""
        return sorted(mail["To"] for mail in self.mails() if case.id in mail.as_string())


@asynccontextmanager
async def open_office(
    env: WorkflowEnvironment, database: str, folder: Path, *, smtp: str | None = None, cache: int = CACHE
) -> AsyncIterator[Office]:
    """An office with one worker on the task queue of the server, until the block ends.

    Args:
        database: the address of a migrated database.
        folder: for contacts, policies and, without an SMTP server, mails.
        smtp: the SMTP server's address.
        cache: how many workflows the worker keeps in memory.
    """
    contacts, policies = folder / "contacts.toml", folder / "policies"
    contacts.write_text(CONTACTS)
    policies.mkdir()
    settings = Settings(
        data=folder,
        database_url=SecretStr(database),
        smtp_url=SecretStr(smtp or f"maildir:{folder / 'mail'}"),
        contacts=contacts,
        policies=policies,
        # Time passes by leaps here, and nobody waits a minute for a digest.
        digest_hold=0,
    )
    async with casebook.connect(database) as book, polling(env.client, settings, cache=cache) as worker:
        yield Office(env, worker, book, folder, database)


def happened(events: list[Json]) -> list[tuple[str, str]]:
    """Type and instant of events: what two runs must have in common."""
    return [(event["type"], event["at"]) for event in events]
