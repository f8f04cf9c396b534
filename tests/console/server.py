"""The console, served over a running backend with staff."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from shutil import copy
from typing import Any

from pydantic import SecretStr
from temporalio.testing import WorkflowEnvironment

from activities.people.directory_changes import DirectoryChanges
from cases.directory import Person, Unit
from starter.api.app import create_app
from starter.api.services import Services, services
from starter.settings import Settings
from tests.http_server import address_of, free_socket, serving
from tests.postgres import as_writer
from tests.temporal import eventually
from tests.workflows.backend import Backend, open_backend

Json = dict[str, Any]

UNITS = (
    Unit(id="hq", name="总部"),
    Unit(id="north", name="北区分公司", parent="hq"),
    Unit(id="east", parent="hq"),
)
PEOPLE = (
    Person(id="ann-7", name="安然", role="agent", unit="north"),
    Person(id="cai-4", name="蔡文", role="agent", unit="north", language="en"),
    Person(id="ben-2", name="Ben Ito", role="agent", unit="east", language="en"),
    Person(id="sue-1", name="Sue Lind", role="supervisor", unit="north", language="en"),
    Person(id="zhou-3", name="周远", role="supervisor", unit="north"),
    Person(id="qin-1", name="秦宁", role="qa_manager", unit="hq"),
    Person(id="gus-1", name="Gus Mora", role="general_manager", unit="hq", language="en"),
    Person(id="pam-1", name="Pam Roy", role="project_manager", unit="hq", language="en"),
    Person(id="fay-1", name="Fay Wu", role="finance", unit="hq", language="en"),
    Person(id="mia-1", name="米雅", role="marketing", unit="hq"),
    Person(id="max-1", name="Max Lee", role="marketing_manager", unit="hq", language="en"),
    Person(id="wen-1", name="文清", role="warehouse_manager", unit="hq"),
    Person(id="dan-1", name="Dan Yu", role="distribution_manager", unit="hq", language="en"),
    Person(id="bea-1", name="Bea Holt", role="business", unit="hq", language="en"),
    Person(id="boss-1", name="Bo Ran", role="business_manager", unit="hq", language="en"),
    Person(id="ola-1", name="Ola Berg", role="gm_office", unit="hq", language="en"),
    Person(id="dee-1", name="Dee Park", role="department_manager", unit="hq", language="en"),
    Person(id="dir-1", name="狄然", role="director", unit="hq"),
    Person(id="dep-1", name="邓普", role="deputy_gm", unit="hq"),
    Person(id="ada-1", name="Ada Holm", role="auditor", unit="hq", language="en"),
)
PAPERS = Path(__file__).parents[1] / "company" / "forms"
# A form of a company's own, in a policy of its own.
ACME = """\
extends = "default"
name = "acme"

[form.car_hire]
title = "Car hire 租车单"
clause = "INVENTED"
files = ["agent", "supervisor"]
copies = ["finance"]

[form.car_hire.fields]
day = { type = "date", required = true, title = "Day 日期" }
seats = { type = "integer", min = 1, max = 9, required = true, title = "Seats 座位数" }
with_driver = { type = "bool", title = "With a driver 配司机" }
stops.type = "rows"
stops.required = true
stops.title = "Stops 停靠点"
stops.columns.place = { type = "text", title = "Place 地点" }
stops.columns.toll = { type = "yuan", title = "Toll 过路费" }
tolls = { type = "yuan", sum = "stops.toll", title = "Tolls 过路费合计" }
mileage = { type = "integer", min = 0, title = "Mileage 里程" }

[[form.car_hire.step]]
name = "allow"
title = "Allow it 准许"
any_of = ["supervisor+"]
superior = true

[[form.car_hire.step]]
name = "back"
title = "Car is back 还车"
roles = ["finance"]
fills = ["mileage"]
"""
_keys = count(1)


@dataclass(frozen=True)
class ConsoleServer:
    """The running console; ``samples`` are the ids of its sample cases, once they are filed."""

    url: str
    backend: Backend
    services: Services
    samples: dict[str, str] = field(default_factory=dict)

    async def file(self, kind: str, facts: Mapping[str, Any], *, ago: float = 0, key: str = "", **more: Any) -> str:
        """File a case that was received ``ago`` seconds ago, wait until it is recorded, and return its id."""
        received = datetime.now(UTC) - timedelta(seconds=ago)
        name = key or f"K-{next(_keys)}"
        view = await self.services.cases.file(
            kind, {"key": name, "received_at": received.isoformat(), "facts": dict(facts), **more}
        )
        await self.recorded(view)
        return str(view["id"])

    async def do(self, case_id: str, name: str, by: str, /, **fields: Any) -> Json:
        """Send a command as one of the staff, wait until it is recorded, and return the case view."""
        person = next(one for one in PEOPLE if one.id == by)
        body = {"by": {"id": by, "role": person.role}, **fields}
        view = await self.services.cases.command(case_id, name, body)
        await self.recorded(view)
        return view

    async def recorded(self, view: Mapping[str, Any]) -> None:
        """Wait until the casebook has all events of a view."""
        await eventually(
            lambda: self.backend.book.case(view["id"]),
            lambda found: found is not None and found["events"] >= view["events"],
        )


@asynccontextmanager
async def open_console(
    env: WorkflowEnvironment, database: str, folder: Path, *, smtp: str | None = None, **more: Any
) -> AsyncIterator[ConsoleServer]:
    """Serve the console over a new backend for the block, with ``more`` settings than it needs.

    Args:
        smtp: the address of an SMTP server; without one mails go into a folder.
    """
    bound = free_socket()
    # Mails say where it is.
    more = {"public_url": address_of(bound), **more}
    async with open_backend(env, database, folder, smtp=smtp, **more) as backend:
        (folder / "policies" / "acme.toml").write_text(ACME, "utf-8")
        # Papers of others, each in a file of its own.
        (folder / "policies" / "forms").mkdir()
        for paper in ("purchase_approval", "vehicle_request"):
            copy(PAPERS / f"{paper}.toml", folder / "policies" / "forms")
        address = SecretStr(as_writer(database))
        settings = Settings(
            data=folder,
            database_url=address,
            smtp_url=SecretStr(smtp or f"maildir:{folder / 'mail'}"),
            attachments=f"folder:{folder / 'attachments'}",
            policies=folder / "policies",
            failure_limit="100000/second",
            **more,
        )
        async with services(settings, env.client) as made:
            await DirectoryChanges(made.database).replace_people(PEOPLE, units=UNITS)
            async with serving(create_app(made), bound=bound) as url:
                try:
                    yield ConsoleServer(url, backend, made)
                finally:
                    made.live.close()
