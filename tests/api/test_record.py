"""Proofs and checkpoints over HTTP, as auditors take them to others."""

from __future__ import annotations

import importlib.util
import json
from base64 import b64decode
from pathlib import Path
from types import ModuleType

from activities.audit.compare import compare
from activities.audit.handed_out import read_files
from activities.audit.keys import new_key
from activities.audit.make import Checkpoints
from activities.database.migrate import migrate
from tests.api.server import ApiServer, import_staff, open_api, problem, quoted
from tests.postgres import Cluster
from tests.workflows.backend import Backend

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_proof.py"


def stranger() -> ModuleType:
    """The script of the documentation, as a stranger has it."""
    spec = importlib.util.spec_from_file_location("verify_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_an_auditor_takes_the_proof_of_a_case_to_a_stranger(api: ApiServer) -> None:
    case_id = await api.file()
    keys = await api.checkpoint(case_id)
    answer = await api.get("auditor-1", f"/cases/{quoted(case_id)}/proof")
    assert answer.headers["content-type"] == "application/json"
    proof, checkpoint = stranger().verify(answer.content, keys.public_pem().encode())
    assert (proof["case"], proof["texts"]) == (case_id, [])
    assert "13800001234" not in answer.text
    newest = await api.get("auditor-1", "/audit/checkpoint")
    envelope = json.loads(newest.text.partition("\n")[0])
    assert json.loads(b64decode(envelope["payload"]))["number"] >= checkpoint["number"]


async def test_the_newest_checkpoint_is_one_that_was_handed_out(api: ApiServer, tmp_path: Path) -> None:
    keys = await api.checkpoint(await api.file())
    newest = await api.get("qa-1", "/audit/checkpoint")
    assert newest.headers["content-type"] == "text/plain; charset=utf-8"
    file = tmp_path / "newest.checkpoint"
    file.write_bytes(newest.content)
    files = read_files([file], keys)
    stored = await Checkpoints(api.services.database, keys).stored()
    assert [one.signed.hash for one in files] == [stored[-1][0].hash]
    # Its events are in it, so that it names what is changed in them.
    async with api.services.database.audit() as connection:
        compared = await compare(connection, keys, files)
    assert compared.faults == []
    assert compared.events > 0


async def test_a_case_is_proved_as_soon_as_a_checkpoint_has_it(api: ApiServer) -> None:
    await api.checkpoint(await api.file())
    case_id = await api.file()
    path = f"/cases/{quoted(case_id)}/proof"
    refused = problem(await api.get("gm-1", path), 404, "no_checkpoint")
    assert f"does not have the case {case_id}" in refused["detail"]
    await api.checkpoint(case_id)
    assert (await api.get("gm-1", path)).json()["case"] == case_id
    problem(await api.get("gm-1", "/cases/complaint:none/proof"), 404, "not_found")
    problem(await api.get("agent-n", path), 403, "role")
    problem(await api.get("super-hq", "/audit/checkpoint"), 403, "role")


async def test_without_a_key_or_a_checkpoint_nothing_is_proved(
    backend: Backend, postgres: Cluster, tmp_path: Path
) -> None:
    database = await postgres.fresh_database()
    await migrate(database)
    await import_staff(database)
    key = tmp_path / "key.pem"
    async with open_api(backend, database, checkpoint_key=key) as api:
        refused = problem(await api.get("auditor-1", "/audit/checkpoint"), 404, "no_checkpoint")
        assert "CASELADDER_CHECKPOINT_KEY" in refused["detail"]
        assert str(key) not in refused["detail"]
        new_key(key)
        refused = problem(await api.get("auditor-1", "/audit/checkpoint"), 404, "no_checkpoint")
        assert refused["detail"] == "there is no checkpoint yet"


async def test_what_nobody_trusted_has_signed_is_not_given_out(
    api: ApiServer, backend: Backend, tmp_path: Path
) -> None:
    case_id = await api.file()
    await api.checkpoint(case_id)
    async with open_api(backend, checkpoint_key=tmp_path / "key.pem") as other:
        new_key(tmp_path / "key.pem")
        for path in ("/audit/checkpoint", f"/cases/{quoted(case_id)}/proof"):
            assert "the last checkpoint" in problem(await other.get("auditor-1", path), 409, "untrue")["detail"]
