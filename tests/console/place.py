"""A console that is served over a real office: server, worker, casebook, staff."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from temporalio.testing import WorkflowEnvironment

from cases.directory import Person, Unit
from starter.api.app import create_app
from starter.api.serve import Protocol
from starter.api.services import Services, services
from starter.settings import Settings
from tests.temporal import eventually
from tests.workflows.office import Office, open_office

Json = dict[str, Any]

UNITS = (
    Unit(id="hq", parent=None),
    Unit(id="north", parent="hq"),
    Unit(id="east", parent="hq"),
)
PEOPLE = (
    Person(id="ann-7", name="安然", role="agent", unit="north"),
    Person(id="ben-2", name="Ben Ito", role="agent", unit="east", language="en"),
    Person(id="sue-1", name="Sue Lind", role="supervisor", unit="north", language="en"),
    Person(id="zhou-3", name="周远", role="supervisor", unit="north"),
    Person(id="qin-1", name="秦宁", role="qa_manager", unit="hq"),
    Person(id="gus-1", name="Gus Mora", role="general_manager", unit="hq", language="en"),
    Person(id="pam-1", name="Pam Roy", role="project_manager", unit="hq", language="en"),
    Person(id="fay-1", name="Fay Wu", role="finance", unit="hq", language="en"),
    Person(id="ada-1", name="Ada Holm", role="auditor", unit="hq", language="en"),
)
_keys = count(1)


@dataclass(frozen=True)
class Place:
    """Where the console is, and what it is about."""

    url: str
    office: Office
    services: Services

    async def file(self, kind: str, facts: Mapping[str, Any], *, ago: float = 0, key: str = "", **more: Any) -> str:
        """File a case that was received so many seconds ago; answers its id once it is recorded."""
        received = datetime.now(UTC) - timedelta(seconds=ago)
        name = key or f"K-{next(_keys)}"
        view = await self.services.cases.file(
            kind, {"key": name, "received_at": received.isoformat(), "facts": dict(facts), **more}
        )
        await self.recorded(view)
        return str(view["id"])

    async def do(self, case_id: str, name: str, by: str, /, **fields: Any) -> Json:
        """Send a command as one of the staff; answers the view once it is recorded."""
        person = next(one for one in PEOPLE if one.id == by)
        body = {"by": {"id": by, "role": person.role}, **fields}
        view = await self.services.cases.command(case_id, name, body)
        await self.recorded(view)
        return view

    async def recorded(self, view: Mapping[str, Any]) -> None:
        """Wait until the casebook has what a view shows."""
        await eventually(
            lambda: self.office.book.case(view["id"]),
            lambda found: found is not None and found["events"] >= view["events"],
        )


@asynccontextmanager
async def open_place(env: WorkflowEnvironment, database: str, folder: Path) -> AsyncIterator[Place]:
    """A console on a free port of this machine, until the block ends."""
    async with open_office(env, database, folder) as office:
        settings = Settings(data=folder, database_url=SecretStr(database), policies=folder / "policies")
        async with services(settings, env.client) as made:
            await made.directory.replace_people(PEOPLE, units=UNITS)
            async with serving(create_app(made)) as url:
                try:
                    yield Place(url, office, made)
                finally:
                    made.live.close()


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Serve an application on a free port of this machine, until the block ends; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        config = uvicorn.Config(
            app, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        # Without the part that takes the process's signals: they are the test runner's business.
        task = asyncio.create_task(server._serve([listening]))
        try:
            await eventually(lambda: _started(server), bool)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def _started(server: uvicorn.Server) -> bool:
    return server.started
