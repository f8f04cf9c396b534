"""A house with doors: the office of the workflow tests, its staff, and the API served over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from activities.people import directory
from cases.directory import Person, Unit
from starter.api.app import create_app
from starter.api.serve import Protocol
from starter.api.services import Services, services
from starter.settings import Settings
from tests.temporal import eventually
from tests.workflows.office import Office

Json = dict[str, Any]
UNITS = [Unit(id="hq"), Unit(id="north", parent="hq"), Unit(id="north-1", parent="north"), Unit(id="east", parent="hq")]
STAFF = [
    Person(id="agent-n", role="agent", unit="north", name="Nora N"),
    Person(id="agent-n1", role="agent", unit="north-1"),
    Person(id="agent-e", role="agent", unit="east"),
    Person(id="super-n", role="supervisor", unit="north", language="en"),
    Person(id="super-e", role="supervisor", unit="east"),
    Person(id="super-hq", role="supervisor", unit="hq"),
    Person(id="qa-1", role="qa_manager", unit="hq"),
    Person(id="gm-1", role="general_manager", unit="hq"),
    Person(id="auditor-1", role="auditor", unit="hq"),
    Person(id="finance-1", role="finance", unit="hq"),
    Person(id="pm-1", role="project_manager", unit="hq"),
]
SHIPMENT = {"waybill": "W-1", "posted_on": "2026-03-01", "base_freight": "18.00", "weight_kg": "1.0"}
CUSTOMER = {"name": "Wang Xiaoming", "phone": "13800001234", "email": "wang@example.com"}
_keys = count(1)


def new_key() -> str:
    """A key that no case has."""
    return f"H-{next(_keys)}"


def intake(kind: str = "complaint", unit: str | None = "north", **facts: Any) -> Json:
    """What a case of a kind is filed with, under a new key."""
    of: dict[str, Json] = {
        "complaint": {"category": "delay", "customer": CUSTOMER, "description": "call me on 13800001234"},
        "claim": {"factor": "damage", "claimant": {"relation": "sender"}, "shipment": SHIPMENT},
        "exception": {"source": "self_found", "known_at": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()},
        "inquiry": {"shipment": SHIPMENT},
    }
    return {"key": new_key(), "facts": {**of[kind], **({"unit": unit} if unit else {}), **facts}}


@dataclass
class House:
    """The running API and who calls it."""

    base: str
    office: Office
    services: Services
    http: httpx.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, who: str) -> str:
        """A token of a person, or what stands for one: a key made before."""
        if who not in self.tokens:
            person = next(one for one in STAFF if one.id == who)
            assert self.services.issuer is not None
            self.tokens[who] = self.services.issuer.token(person, datetime.now(UTC))
        return self.tokens[who]

    async def key(self, name: str, *scopes: str, role: str = "system", units: list[str] | None = None) -> str:
        """Make a key for a system, which then calls by its name."""
        _, self.tokens[name] = await self.services.doors.create_key(name, role, scopes, units)
        return name

    async def call(self, who: str | None, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Call the API as somebody, or as nobody."""
        headers = {**({} if who is None else {"Authorization": f"Bearer {self.token(who)}"}), **more.pop("headers", {})}
        if body is not None:
            more["json"] = body
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **more)

    async def get(self, who: str | None, path: str, **more: Any) -> httpx.Response:
        """Read as somebody."""
        return await self.call(who, "GET", path, **more)

    async def post(self, who: str | None, path: str, body: Any, **more: Any) -> httpx.Response:
        """Write as somebody."""
        return await self.call(who, "POST", path, body, **more)

    async def file(self, kind: str = "complaint", unit: str | None = "north", who: str = "gm-1", **facts: Any) -> str:
        """File a case, wait until the casebook has it, and answer with its id."""
        answer = await self.post(who, f"/cases/{kind}", intake(kind, unit, **facts))
        assert answer.status_code == 200, answer.text
        case_id: str = answer.json()["id"]
        await self.recorded(case_id)
        return case_id

    async def recorded(self, case_id: str) -> Json:
        """The view of a case in the casebook, once it is there."""
        view = await eventually(lambda: self.office.book.case(case_id), lambda seen: seen is not None)
        assert view is not None
        return view

    async def held(self, case_id: str, person: str) -> None:
        """Wait until the casebook says who holds a case."""
        await eventually(lambda: self.office.book.case(case_id), lambda seen: (seen or {})["holder"] == person)

    async def do(self, who: str, case_id: str, name: str, body: Json | None = None, **more: Any) -> httpx.Response:
        """Send a command as somebody."""
        return await self.post(who, f"/cases/{quoted(case_id)}/commands/{name}", body or {}, **more)


def quoted(case_id: str) -> str:
    """A case's id as one part of a path."""
    return case_id.replace("/", "%2F")


def problem(answer: httpx.Response, status: int, code: str) -> Json:
    """The problem document that an answer must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: Json = answer.json()
    assert (found["status"], found["code"]) == (status, code), found
    assert found["title"]
    assert found["detail"]
    return found


def free_socket() -> socket.socket:
    """A socket that listens nowhere yet, on a free port of this machine."""
    # Only where the protocol is named, the event loop turns off what delays small answers by 40 ms.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", 0))
    return made


@asynccontextmanager
async def serving(made: Services) -> AsyncIterator[str]:
    """The app on these services, over HTTP; answers the address."""
    listening = free_socket()
    config = uvicorn.Config(
        create_app(made),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    # Without its signal handlers, which are the test run's.
    running = asyncio.create_task(server._serve(sockets=[listening]))
    await eventually(_started(server), bool)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        made.live.close()
        server.should_exit = True
        await running


def _started(server: uvicorn.Server) -> Callable[[], Awaitable[bool]]:
    async def started() -> bool:
        return server.started

    return started


@asynccontextmanager
async def open_house(office: Office, database: str, **settings: Any) -> AsyncIterator[House]:
    """The API on an office, until the block ends.

    Args:
        settings: changed ones; with ``client`` None it finds the Temporal server by itself.
    """
    given: Json = {"rate_limit": "100000/second", "link_secret": SecretStr(f"{'s' * 32}, {'o' * 32}"), **settings}
    client = given.pop("client", office.env.client)
    made_for = Settings(
        data=office.folder, database_url=SecretStr(database), policies=office.folder / "policies", **given
    )
    async with services(made_for, client) as made, serving(made) as base:
        limits = httpx.Limits(max_connections=300)
        async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False, limits=limits) as http:
            yield House(base, office, made, http)


async def employ(database: str) -> None:
    """Put the staff into the directory."""
    async with directory.connect(database) as book:
        await book.replace_people(STAFF, units=UNITS)
