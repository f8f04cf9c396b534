"""The API and the console's actions in front of workers that take signed commands alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.audit.everything import Everything
from activities.audit.keys import new_key
from activities.database.database import Database
from activities.database.migrate import migrate
from activities.senders.key_set import ANY, entry, read_key_set
from tests.api.server import import_staff, intake, open_api, problem
from tests.postgres import Cluster
from tests.temporal import time_skipping
from tests.workflows.backend import Backend, open_backend


@pytest.fixture(scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key of the server, one that nobody knows, and the key set."""
    folder = tmp_path_factory.mktemp("signed")
    known = entry(new_key(folder / "server.pem"), ANY, [ANY])
    (folder / "senders.toml").write_text("signed_since = 2020-01-01T00:00:00Z\n" + known, "utf-8")
    new_key(folder / "unknown.pem")
    return folder


@pytest.fixture(scope="module")
async def signed(postgres: Cluster, folder: Path) -> AsyncIterator[Backend]:
    """A backend whose worker asks for proof."""
    database = await postgres.fresh_database()
    await migrate(database)
    await import_staff(database)
    keys: dict[str, Any] = {"senders": folder / "senders.toml", "sender_key": folder / "server.pem"}
    async with time_skipping() as env, open_backend(env, database, folder, commands="signed", **keys) as made:
        yield made


async def test_the_api_signs_for_whom_it_has_asked(signed: Backend, folder: Path) -> None:
    async with open_api(signed, sender_key=folder / "server.pem") as api:
        case_id = await api.file("complaint", "north", customer={"name": "Zhang San"})
        noted = await api.do("agent-n", case_id, "note", {"text": "Called the depot."})
        # The same request again has another proof, and is the same request.
        again = {"headers": {"Idempotency-Key": "k-1"}}
        for _ in range(2):
            assert (await api.do("agent-n", case_id, "acknowledge", {}, **again)).status_code == 200

        assert noted.status_code == 200, noted.text
        await signed.recorded(signed.handle(case_id))
        async with Database.open(signed.database) as database:
            done = await Everything(database, senders=read_key_set(folder / "senders.toml")).verify(case_id)
    assert done.faults == []
    assert done.proofs == 3
    [event] = [event for event in await signed.book.events(case_id) if event["type"] == "noted"]
    assert event["actor"] == {"id": "agent-n", "role": "agent", "person": "p-77"}


@pytest.mark.parametrize("key", [None, "unknown.pem"])
async def test_an_api_that_nobody_knows_sends_nothing(signed: Backend, folder: Path, key: str | None) -> None:
    async with open_api(signed, sender_key=folder / "server.pem") as api:
        case_id = await api.file("complaint", "north")
    async with open_api(signed, sender_key=key and folder / key) as api:
        problem(await api.post("gm-1", "/cases/complaint", intake("complaint", "north")), 403, "unsigned")
        found = problem(await api.do("gm-1", case_id, "note", {"text": "seen"}), 403, "unsigned")
    assert ("is not in the key set" if key else "proof is missing") in found["detail"]
    assert not [event for event in await signed.book.events(case_id) if event["type"] == "noted"]


async def test_a_key_that_becomes_known_is_taken_under_the_same_idempotency_key(signed: Backend, folder: Path) -> None:
    again = {"headers": {"Idempotency-Key": "k-2"}}
    async with open_api(signed, sender_key=folder / "server.pem") as api:
        case_id = await api.file("complaint", "north")
    async with open_api(signed) as api:
        problem(await api.do("gm-1", case_id, "note", {"text": "seen"}, **again), 403, "unsigned")
    async with open_api(signed, sender_key=folder / "server.pem") as api:
        assert (await api.do("gm-1", case_id, "note", {"text": "seen"}, **again)).status_code == 200


async def test_nobody_gives_the_api_a_proof(signed: Backend, folder: Path) -> None:
    async with open_api(signed, sender_key=folder / "server.pem") as api:
        case_id = await api.file("complaint", "north")
        body = {"text": "seen", "proof": {"at": "2026-12-01T00:00:00Z"}}
        found = problem(await api.do("gm-1", case_id, "note", body), 400, "malformed")
    assert found["detail"] == "note: proof: not taken here; the API says who sends it, and signs"
