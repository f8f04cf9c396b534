"""Many commands at once on one case, over HTTP: each is answered, and the case does not stand still for them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from activities.casebook.read import Casebook
from activities.database.database import Database
from starter.api.issuer import Issuer
from starter.client import CaseClient
from tests.api.server import STAFF, import_staff, intake
from tests.durability.support import ROOT, environment, policy_text, running
from tests.http_server import free_socket
from tests.temporal import eventually, task_failures

Json = dict[str, Any]

MANY = 2000
# Longer than the storm, so that the ladder has to go on after it.
RUNG = "PT40S"


@dataclass(frozen=True)
class Said:
    """An answer of the API."""

    status: int
    headers: dict[str, str]
    body: Json


@dataclass(frozen=True)
class Caller:
    """Somebody who sends requests as plainly as can be, since thousands of them share this process."""

    host: str
    port: int
    token: str

    async def post(self, path: str, body: Json, **headers: str) -> Said:
        """Send a request on a connection of its own."""
        content = json.dumps(body).encode()
        lines = [
            f"POST /api/v1{path} HTTP/1.1", f"Host: {self.host}", f"Authorization: Bearer {self.token}",
            "Content-Type: application/json", f"Content-Length: {len(content)}", "Connection: close",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]  # fmt: skip
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        first, *rest = head.decode().split("\r\n")
        named = dict(line.lower().split(": ", 1) for line in rest)
        return Said(int(first.split()[1]), named, json.loads(answer))


@asynccontextmanager
async def serving(folder: Path, extra: Mapping[str, str]) -> AsyncIterator[Caller]:
    """Run the API as a process of its own, and yield an agent who calls it."""
    with free_socket() as found:
        port = found.getsockname()[1]
    process = _start(folder, extra, port)
    log = folder / "api.log"

    async def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return '"serving"' in log.read_text()

    try:
        await eventually(ready, bool)
        agent = next(one for one in STAFF if one.id == "agent-n")
        yield Caller("127.0.0.1", port, Issuer(folder / "data").token(agent, datetime.now(UTC)))
    finally:
        process.kill()
        process.wait()


def _start(folder: Path, extra: Mapping[str, str], port: int) -> subprocess.Popen[bytes]:
    with (folder / "api.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "caseladder", "serve", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, **environment(folder, extra)},
            stdout=log,
            stderr=log,
        )


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(400)
async def test_two_thousand_commands_at_once_on_one_case(tmp_path: Path) -> None:
    policies = {"quick": policy_text("quick", {"complaint.clocks.rung": RUNG})}
    async with running(tmp_path, policies) as (_, _, client, url):
        await import_staff(url)
        async with (
            Database.open(url) as database,
            serving(tmp_path, {"CASELADDER_RATE_LIMIT": "100000/second"}) as caller,
        ):
            book = Casebook(database)
            filed = await caller.post("/cases/complaint", {**intake(), "policy": "quick"})
            assert filed.status == 200, filed
            case_id: str = filed.body["id"]

            async def note(number: int) -> Said:
                body, key = {"text": f"note {number}"}, {"Idempotency-Key": f"n{number}"}
                return await caller.post(f"/cases/{case_id}/commands/note", body, **key)

            answers = await asyncio.gather(*map(note, range(MANY)))
            statuses = Counter(answer.status for answer in answers)
            assert set(statuses) <= {200, 429}, [one for one in answers if one.status not in (200, 429)][:3]
            assert statuses[200] > 50, statuses
            for answer in answers:
                assert answer.status == 200 or (answer.body["code"], int(answer.headers["retry-after"]) > 0) == (
                    "busy",
                    True,
                )

            # Whoever comes again is served, and what was taken is not taken twice.
            for status in (429, 200):
                assert (await note(next(n for n, one in enumerate(answers) if one.status == status))).status == 200
            events = await CaseClient(client, book).timeline(case_id)
            noted = Counter(event["data"]["text"] for event in events if event["type"] == "noted")
            assert set(noted.values()) == {1}
            assert len(noted) == statuses[200] + 1

            # The ladder goes on, in time.
            async def climbed() -> list[dict[str, Any]]:
                return [one for one in await book.events(case_id) if one["type"] == "escalated"]

            for climb in await eventually(climbed, lambda seen: len(seen) >= 2, 120):
                late_by = datetime.fromisoformat(climb["recorded_at"]) - datetime.fromisoformat(climb["at"])
                assert late_by.total_seconds() < 5
        assert {*await task_failures(client, case_id)} <= {"timed out"}
        log = (tmp_path / "worker.log").read_text("utf-8")
    assert len(log) < 200_000
    assert "13800001234" not in log
