"""The HTTP API, served over a running backend with staff."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
from pydantic import SecretStr

from activities.audit.keys import Keys
from activities.database.database import Database
from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person, Unit
from starter.api.app import create_app
from starter.api.services import Services, services
from starter.settings import Settings
from tests.checkpoints import checkpoint
from tests.http_server import serving
from tests.postgres import as_writer
from tests.temporal import eventually
from tests.workflows.backend import Backend

Json = dict[str, Any]
UNITS = [Unit(id="hq"), Unit(id="north", parent="hq"), Unit(id="north-1", parent="north"), Unit(id="east", parent="hq")]
STAFF = [
    Person(id="agent-n", role="agent", unit="north", name="Nora N", person="p-77"),
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
    Person(id="biz-1", role="business", unit="hq"),
    Person(id="bm-1", role="business_manager", unit="hq"),
    Person(id="keeper-1", role="warehouse_keeper", unit="hq"),
    Person(id="acc-1", role="accounting", unit="hq"),
]
SHIPMENT = {"waybill": "W-1", "posted_on": "2026-03-01", "base_freight": "18.00", "weight_kg": "1.0"}
CUSTOMER = {"name": "Wang Xiaoming", "phone": "13800001234", "email": "wang@example.com"}
_keys = count(1)


def new_key() -> str:
    """Make a key that no case has."""
    return f"H-{next(_keys)}"


def intake(kind: str = "complaint", unit: str | None = "north", **facts: Any) -> Json:
    """Make the intake of a case of a kind, with a new key."""
    key = new_key()
    of: dict[str, Json] = {
        "complaint": {"category": "delay", "customer": CUSTOMER, "description": "call me on 13800001234"},
        "claim": {
            "factor": "damage",
            "claimant": {"relation": "sender"},
            "shipment": {**SHIPMENT, "waybill": f"W-{key}"},
        },
        "exception": {"source": "self_found", "known_at": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()},
        "inquiry": {"shipment": SHIPMENT},
        "return": {
            "basis": "quality:Q-7",
            "part_number": "P-480",
            "approved_quantity": "480",
            "unit_price": "3.333",
            "reason": "the coating peels",
            "disposal": "return",
        },
        "quality": {"origin": "domestic", "loss": True, "demand": "allowance", "order_number": "A-1"},
    }
    return {"key": key, "facts": {**of[kind], **({"unit": unit} if unit else {}), **facts}}


@dataclass
class ApiServer:
    """The running API, and the credentials of its callers."""

    base: str
    backend: Backend
    services: Services
    http: httpx.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, who: str) -> str:
        """Return the token of a person, or the key that was made for a system."""
        if who not in self.tokens:
            person = next(one for one in STAFF if one.id == who)
            assert self.services.issuer is not None
            self.tokens[who] = self.services.issuer.token(person, datetime.now(UTC))
        return self.tokens[who]

    async def key(
        self,
        name: str,
        *scopes: str,
        role: str = "system",
        units: list[str] | None = None,
        customers: Sequence[str] = (),
    ) -> str:
        """Make a key for a system, which then makes calls under its name."""
        _, self.tokens[name] = await self.services.keys.create(name, role, scopes, units, customers)
        return name

    async def call(self, who: str | None, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Call the API as a person or a system; without credentials if ``who`` is None."""
        headers = {**({} if who is None else {"Authorization": f"Bearer {self.token(who)}"}), **more.pop("headers", {})}
        if body is not None:
            more["json"] = body
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **more)

    async def get(self, who: str | None, path: str, **more: Any) -> httpx.Response:
        """Send a GET request."""
        return await self.call(who, "GET", path, **more)

    async def post(self, who: str | None, path: str, body: Any, **more: Any) -> httpx.Response:
        """Send a POST request."""
        return await self.call(who, "POST", path, body, **more)

    async def file(self, kind: str = "complaint", unit: str | None = "north", who: str = "gm-1", **facts: Any) -> str:
        """File a case, wait until the casebook has it, and return its id."""
        answer = await self.post(who, f"/cases/{kind}", intake(kind, unit, **facts))
        assert answer.status_code == 200, answer.text
        case_id: str = answer.json()["id"]
        await self.recorded(case_id)
        return case_id

    async def file_leave(self, who: str, unit: str = "north", **fields: Any) -> str:
        """File the leave of a person, which begins soon, wait until the casebook has it, and return its id."""
        begins = datetime.now(UTC) + timedelta(days=5)
        given = {
            "from": begins.isoformat(),
            "to": (begins + timedelta(hours=8)).isoformat(),
            "emergency": True,
            "reason": "my mother is ill",
        }
        answer = await self.post(
            who, "/cases/leave", {"key": new_key(), "facts": {"unit": unit, "fields": {**given, **fields}}}
        )
        assert answer.status_code == 200, answer.text
        case_id: str = answer.json()["id"]
        await self.recorded(case_id, 2)
        return case_id

    async def checkpoint(self, case_id: str | None = None) -> Keys:
        """Make checkpoints until they have a case, with a key that is made where there is none; return the keys."""
        return await checkpoint(self.services, case_id)

    async def recorded(self, case_id: str, events: int = 1) -> Json:
        """Wait until the casebook has so many events of a case, and return its view."""
        view = await eventually(
            lambda: self.backend.book.case(case_id), lambda seen: seen is not None and seen["events"] >= events
        )
        assert view is not None
        return view

    async def held(self, case_id: str, person: str) -> None:
        """Wait until a person is the holder of a case in the casebook."""
        await eventually(lambda: self.backend.book.case(case_id), lambda seen: (seen or {})["holder"] == person)

    async def do(self, who: str, case_id: str, name: str, body: Json | None = None, **more: Any) -> httpx.Response:
        """Send a command."""
        return await self.post(who, f"/cases/{quoted(case_id)}/commands/{name}", body or {}, **more)


def quoted(case_id: str) -> str:
    """Quote a case id as one segment of a path."""
    return case_id.replace("/", "%2F")


def problem(answer: httpx.Response, status: int, code: str) -> Json:
    """Check that an answer is a problem document with this status and code, and return the document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: Json = answer.json()
    assert (found["status"], found["code"]) == (status, code), found
    assert found["title"]
    assert found["detail"]
    return found


@asynccontextmanager
async def open_api(backend: Backend, database: str | None = None, **settings: Any) -> AsyncIterator[ApiServer]:
    """Serve the API over a backend for the block.

    Args:
        backend: the backend.
        database: another database than the backend's.
        settings: settings that differ; with ``client=None`` the API connects to Temporal by itself.
    """
    given: Json = {
        "rate_limit": "100000/second",
        "failure_limit": "100000/second",
        "link_secret": SecretStr(f"{'s' * 32}, {'o' * 32}"),
        "attachments": f"folder:{backend.folder / 'attachments'}",
        **settings,
    }
    client = given.pop("client", backend.env.client)
    made_for = Settings(
        data=backend.folder,
        database_url=SecretStr(as_writer(database or backend.database)),
        policies=backend.folder / "policies",
        **given,
    )
    async with services(made_for, client) as made, serving(create_app(made), made_for) as base:
        limits = httpx.Limits(max_connections=300)
        async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False, limits=limits) as http:
            try:
                yield ApiServer(base, backend, made, http)
            finally:
                # Ends the streams, which would otherwise delay the end of the server.
                made.live.close()


@asynccontextmanager
async def staffed(api: ApiServer, people: Iterable[Person]) -> AsyncIterator[None]:
    """Have other people in the directory for the block, as an import of another process changes them."""
    async with Database.open(as_writer(api.backend.database)) as store:
        changes = DirectoryChanges(store)
        await changes.replace_people(people)
        try:
            yield
        finally:
            await changes.replace_people(STAFF)


async def import_staff(database: str) -> None:
    """Store the staff in the directory."""
    async with Database.open(as_writer(database)) as store:
        await DirectoryChanges(store).replace_people(STAFF, units=UNITS)
