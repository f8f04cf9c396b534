"""Helpers for the chaos tests: a stack whose worker can be killed, and clients that retry until they are answered."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from temporalio.client import Client, RPCError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.casebook.read import Casebook
from activities.database.errors import DatabaseAway
from activities.database.migrate import migrate
from activities.policies.store import BUILT_IN, Policies
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient
from starter.embedded import Ports, Stack
from workflows.attributes import TYPES

T = TypeVar("T")
Json = dict[str, Any]

ROOT = Path(__file__).parents[2]

# Everybody has an address.
CONTACTS = "".join(f'[roles.{role}]\nemail = ["{role}@example.com"]\n' for role in Policies().load("default").all_roles)

AGENT = {"id": "ag-1", "role": "agent"}
SUPERVISOR = {"id": "su-1", "role": "supervisor"}
MANAGER = {"id": "qa-1", "role": "qa_manager"}
TOP = {"id": "gm-1", "role": "general_manager"}


@dataclass(frozen=True)
class Act:
    """One command of a script.

    Args:
        signal: it is sent as a signal, twice; it must be carried out once.
        after: how long nobody does anything before it.
        until: the type of an event that must have been recorded before it.
    """

    name: str
    by: Mapping[str, str]
    fields: Mapping[str, Any] = field(default_factory=dict)
    signal: bool = False
    after: timedelta = timedelta()
    until: str | None = None


def policy_text(name: str, limits: Mapping[str, str]) -> str:
    """Return the default policy with another name and with other limits for some of its tables."""
    text = (BUILT_IN / "default.toml").read_text("utf-8").replace('name = "default"', f'name = "{name}"', 1)
    for table, limit in limits.items():
        pattern = rf'(\n\[{re.escape(table)}\]\n(?:#.*\n)*(?:elapsed|first) = )"\w+"'
        text, changed = re.subn(pattern, rf'\1"{limit}"', text)
        assert changed == 1, table
    return text


class Driver:
    """Clients that repeat each request until it is answered.

    Args:
        cases: the client of cases.
        book: the casebook.
        slots: how many lives the users of ``self.slots`` run at the same time.
    """

    def __init__(self, cases: CaseClient, book: Casebook, slots: int) -> None:
        self.cases = cases
        self.book = book
        self.slots = asyncio.Semaphore(slots)
        self.answered = 0
        self.retried = 0
        # Why a request was last repeated, which explains a test that does not end.
        self.last_error: Exception | None = None
        self._moved = asyncio.Condition()

    async def reached(self, answers: int) -> None:
        """Wait until so many requests were answered."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.answered >= answers)

    async def act(self, case_id: str, act: Act, number: int) -> None:
        """Send one command of a script, ``number`` being its position there, once its time has come."""
        if act.until is not None:
            await self.until(case_id, act.until)
        body = {"by": act.by, "request_id": f"r{number}", **act.fields}
        if act.signal:
            for _ in range(2):
                await self.insist(lambda: self.cases.signal(case_id, act.name, body))
            return
        try:
            await self.insist(lambda: self.cases.command(case_id, act.name, body))
        except Refused as refusal:
            # The answer to the last command was lost, and the workflow has ended.
            if refusal.code != "closed":
                raise

    async def until(self, case_id: str, type_: str) -> Json:
        """Wait until an event of this type is recorded, and return it."""

        async def seen() -> list[Json]:
            return [event for event in await self.book.events(case_id) if event["type"] == type_]

        while True:
            if found := await self._repeat(seen):
                return found[0]
            await asyncio.sleep(0.2)

    async def insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Repeat a request until it is answered, and count the answer."""
        answer = await self._repeat(ask)
        async with self._moved:
            self.answered += 1
            self._moved.notify_all()
        return answer

    async def _repeat(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                async with asyncio.timeout(15):
                    return await ask()
            except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError, DatabaseAway) as error:
                self.retried += 1
                self.last_error = error
                await asyncio.sleep(0.2)


def environment(folder: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that configure the program for the stack of a folder."""
    return {
        "CASELADDER_DATA": str(folder / "data"),
        # A digest must not wait for a minute.
        "CASELADDER_DIGEST_HOLD": "0",
        "CASELADDER_CONTACTS": str(folder / "contacts.toml"),
        "CASELADDER_POLICIES": str(folder / "policies"),
        **extra,
    }


class WorkerProcess:
    """A worker process on the embedded stack of a folder."""

    def __init__(self, folder: Path, extra: Mapping[str, str]) -> None:
        self._log = folder / "worker.log"
        self._env = {**os.environ, **environment(folder, extra)}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start the process."""
        self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "worker"], cwd=ROOT, env=self._env, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """The id of the process that runs."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """Kill the process with SIGKILL; it must have been running."""
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        self._process.kill()
        self._process.wait()


@asynccontextmanager
async def running(
    folder: Path, policies: Mapping[str, str], extra: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Stack, WorkerProcess, Client, str]]:
    """Run a stack and a worker process; yield both, a client, and the address of the database.

    Args:
        folder: holds the data folder, the contacts and the policies.
        policies: the texts of policy files, by name.
        extra: further environment variables of the worker.
    """
    (folder / "contacts.toml").write_text(CONTACTS)
    (folder / "policies").mkdir()
    for name, text in policies.items():
        (folder / "policies" / f"{name}.toml").write_text(text, "utf-8")
    stack = Stack(folder / "data", TYPES, Ports(0, 0, 0))
    async with stack as addresses:
        await migrate(addresses.owner_url)
        worker = WorkerProcess(folder, extra or {})
        await worker.start()
        try:
            client = await Client.connect(addresses.temporal, data_converter=pydantic_data_converter)
            yield stack, worker, client, addresses.database_url
        finally:
            await worker.kill()
