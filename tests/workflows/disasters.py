"""What tests of disasters share: an installation whose engine can be lost and whose ledger can be set back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.testing import WorkflowEnvironment

from activities.messages import NoticeOrder
from activities.notify.contacts import ContactBook
from activities.notify.recipients import deliveries
from cases.directory import Directory
from cases.kinds.complaint import Complaint, Investigate
from cases.vocabulary.events import Actor, fingerprint
from cases.vocabulary.lifecycle import Noted
from tests.cli.program import Answer, call
from tests.postgres import Cluster, as_writer
from tests.temporal import address
from tests.workflows.backend import Backend, Json, open_backend

# Lets the ledger take no events of some types, nor what comes after them, as if it had gone away just before.
_STOPS = """
CREATE FUNCTION stops() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.type = ANY ('{%s}') THEN
        RAISE EXCEPTION 'away' USING ERRCODE = 'cannot_connect_now';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER stops BEFORE INSERT ON case_event FOR EACH ROW EXECUTE FUNCTION stops();
"""


class Installation:
    """The databases of an installation and the folders of its workers.

    Args:
        template: the name of a migrated database.
        folder: each backend gets a folder of its own in it, so that its mails can be told apart.
    """

    def __init__(self, postgres: Cluster, template: str, folder: Path) -> None:
        self._postgres, self._template, self._folder = postgres, template, folder
        self._names = count(1)

    async def casebook(self) -> str:
        """Return the address of an empty casebook."""
        return await self._postgres.fresh_database(f"TEMPLATE {self._template}")

    async def copy(self, database: str) -> str:
        """Return the address of a copy of a database as it is now; nobody may be connected to it."""
        return await self._postgres.fresh_database(f"TEMPLATE {database.rpartition('/')[2]}")

    @asynccontextmanager
    async def running(self, env: WorkflowEnvironment, database: str, **options: Any) -> AsyncIterator[Backend]:
        """A backend with one worker for the block; see `open_backend`."""
        folder = self._folder / f"backend-{next(self._names)}"
        folder.mkdir()
        async with open_backend(env, database, folder, **options) as backend:
            yield backend


async def execute(database: str, *statements: str) -> None:
    """Run statements in a casebook."""
    connection = await asyncpg.connect(database)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def ask(database: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def stop_at(database: str, *types: str) -> None:
    """Let the ledger take no events of these types, nor what comes after them, as if it were away."""
    await execute(database, _STOPS % ",".join(types))


async def go_on(database: str) -> None:
    """Let the ledger take everything again."""
    await execute(database, "DROP FUNCTION stops CASCADE")


async def recover(backend: Backend, *arguments: str, **more: str) -> tuple[int, Json]:
    """Run ``caseladder recover --json`` on a backend; return the exit code and what it says."""
    answer = await program(backend, "recover", "--json", *arguments, **more)
    assert answer.out, answer.err
    return answer.code, json.loads(answer.out)


async def program(backend: Backend, *arguments: str, **more: str) -> Answer:
    """Run the command line on a backend; ``more`` stands in its environment."""
    env = {
        "TEMPORAL_ADDRESS": address(backend.env.client),
        "CASELADDER_DATABASE_URL": as_writer(backend.database),
        "CASELADDER_DATABASE_OWNER_URL": backend.database,
        "CASELADDER_DATA": str(backend.folder),
        **more,
    }
    return await asyncio.to_thread(call, *arguments, env=env)


def clocks(view: Json) -> dict[str, tuple[str, str]]:
    """Return the state and the due instant of each clock of a case."""
    return {clock["clock"]: (clock["state"], clock["due"]) for clock in view["clocks"]}


def sent(backends: Iterable[Backend]) -> set[str]:
    """Return the Message-IDs of all mails that were sent."""
    return {message_id(mail) for backend in backends for mail in backend.mails()}


def message_id(mail: EmailMessage) -> str:
    """Return the id under which a notice was sent."""
    return str(mail["Message-ID"]).strip("<>").partition("@")[0]


def wanted(case_id: str, events: Sequence[Json], contacts: Path) -> set[str]:
    """Return the Message-IDs of the mails that the notices of a case must have become, and no others."""
    found: set[str] = set()
    for event in events:
        if event["type"] == "notified":
            data, meant = event["data"], events[event["data"]["of"] - 1]
            id = f"{case_id}/{data['of']}/{data['notice']}/{fingerprint(meant)}"
            order = NoticeOrder(id, data["notice"], data["roles"], event["clauses"][0], meant)
            people, at = ContactBook(contacts).current(), datetime.fromisoformat(meant["at"])
            deliver, _ = deliveries(order, {}, people, Directory(), at)
            found.update(way.id for delivery in deliver for way in delivery.ways)
    return found


investigates = Complaint._do_investigate


def says_more(self: Complaint, command: Investigate, at: datetime, by: Actor) -> None:
    """In place of the rule of `investigate`: one more event."""
    investigates(self, command, at, by)
    self.emit(Noted(text="who sorted it?"), at)
