"""The API and the console's actions in front of workers that take signed commands alone."""

from __future__ import annotations

import shutil
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

COMPANY = Path(__file__).parents[1] / "company"


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


async def test_a_form_is_signed_with_its_texts_and_what_steps_fill(signed: Backend, folder: Path) -> None:
    shutil.copytree(COMPANY, signed.folder / "policies", dirs_exist_ok=True)
    async with open_api(signed, sender_key=folder / "server.pem") as api:
        leave = await api.file_leave("agent-n")
        assert (await api.do("super-n", leave, "refuse", {"reason": "it is the peak"})).status_code == 200
        fields = {
            "purpose": "pallets",
            "cost": "9.00",
            "seats": 3,
            "overnight": False,
            "day": "2026-03-09",
            "car": "van",
        }
        stops = [{"place": "depot", "toll": "4.50"}]
        intake = {
            "key": "car-1",
            "facts": {"unit": "north", "fields": {**fields, "stops": stops, "phone": "13800001234"}},
        }
        answer = await api.post("agent-n", "/cases/car_hire", intake)
        assert answer.status_code == 200, answer.text
        car: str = answer.json()["id"]
        for who, name, body in (
            ("super-n", "sign", {"text": "needed"}),
            ("finance-1", "send_back", {"reason": "which one?"}),
            ("super-n", "sign", {"text": "the van"}),
            ("finance-1", "sign", {"fields": {"key_number": "K-7", "remark": "by the door"}}),
            ("gm-1", "approve", {}),
        ):
            done = await api.do(who, car, name, body)
            assert done.status_code == 200, done.text
        for case_id in (leave, car):
            await signed.recorded(signed.handle(case_id))
    proofs = {leave: 2, car: 6}
    async with Database.open(signed.database) as database:
        verified = Everything(database, senders=read_key_set(folder / "senders.toml"))
        for case_id, count in proofs.items():
            found = await verified.verify(case_id)
            assert (found.faults, found.proofs) == ([], count), case_id
    # What somebody changes afterwards in what was signed is found.
    [at] = [
        event["seq"]
        for event in await signed.book.events(car)
        if event["type"] == "signed" and "fields" in event["data"]
    ]
    async with Database.open(signed.database) as database, database.connection() as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            "UPDATE case_event SET body = replace(body, 'K-7', 'K-8') WHERE case_id = $1 AND seq = $2", car, at
        )
        changed = await Everything(database, senders=read_key_set(folder / "senders.toml")).verify(car)
    assert [fault for fault in changed.faults if fault.seq == at]


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
