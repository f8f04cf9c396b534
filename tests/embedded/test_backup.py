"""Backups of the embedded stack: what they hold, what is restored, and what a failure leaves alone."""

from __future__ import annotations

import asyncio
import fcntl
import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from starter.embedded import Addresses, Stack, StackError, archive, backup, running
from starter.embedded.backup import Restored, Scope, back_up, restore
from tests.cli.program import call
from tests.embedded.support import ANY, KINDS, engine_has, ledger_has, remember, remembers

pytestmark = pytest.mark.long

RELEASE = "1.2.3"
CLIENTS = 4
SERVERS = ("postgres", "temporal.db")


def silent(step: str) -> None:
    """Tell nobody what is done."""


async def nothing(url: str) -> None:
    """Prepare nothing."""


async def restored(file: Path, data: Path, scope: Scope = "all", *, force: bool = False) -> Restored:
    """Restore, with nothing to prepare."""
    return await restore(file, data, scope, nothing, silent, force=force)


def tree(folder: Path) -> dict[str, str]:
    """What lies in a folder, by path: the digest of each file. Without the logs and the lock."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not name.startswith("logs") and name != "lock":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def pretended(folder: Path) -> Path:
    """Make what looks like the data folder of a stopped stack."""
    (folder / "postgres").mkdir(parents=True)
    for name in ("postgres/PG_VERSION", "temporal.db", "temporal.db-wal", "issuer.pem"):
        (folder / name).write_text(f"the old {name}")
    return folder


@pytest.fixture(scope="module")
async def stopped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The data folder of a stopped stack, with a key and mails. Each test leaves it as it is."""
    folder = tmp_path_factory.mktemp("stopped")
    async with Stack(folder, KINDS, ANY) as addresses:
        await remember(addresses, "before")
    (folder / "issuer.pem").write_text("a key")
    (folder / "mail" / "new").mkdir(parents=True)
    (folder / "mail" / "new" / "1.eml").write_text("a mail\n" * 1000)
    (folder / "mail" / "link").symlink_to("/etc/passwd")
    for left_over in ("replaced-20260101T000000Z", "restore.new", "postgres.new"):
        (folder / left_over).mkdir()
    before = tree(folder)
    yield folder
    # PostgreSQL was started to be read; the last to read a file of SQLite tidies it up.
    after = tree(folder)
    assert {name for name in after if after[name] != before.get(name) and not name.startswith(SERVERS)} == set()
    assert "postgres/postmaster.pid" not in after


@pytest.fixture(scope="module")
async def file(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of that folder."""
    file = tmp_path_factory.mktemp("backups") / "backup"
    await back_up(stopped, file, RELEASE, silent)
    return file


async def test_a_stopped_stack_is_backed_up_and_restored_elsewhere(file: Path, tmp_path: Path) -> None:
    done = await restored(file, tmp_path / "new" / "data")
    assert done.replaced is None
    assert (done.manifest.caseladder, list(done.manifest.parts)) == (
        RELEASE,
        ["temporal.db", "ledger.dump", "files.tar"],
    )
    data = tmp_path / "new" / "data"
    assert (data / "issuer.pem").read_text() == "a key"
    assert (data / "mail" / "new" / "1.eml").read_text() == "a mail\n" * 1000
    assert not (data / "mail" / "link").exists()
    names = {"issuer.pem", "lock", "logs", "mail", "postgres", "temporal.db"}
    assert set(os.listdir(data)) == names
    for path in (data / "postgres", data / "temporal.db", data / "issuer.pem", data / "mail" / "new" / "1.eml"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert running(data) is None
    async with Stack(data, KINDS, ANY) as addresses:
        assert await remembers(addresses, "before")
        await remember(addresses, "after")


def test_a_backup_is_for_its_owner_alone_and_says_what_it_holds(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == [file.name]
    with tarfile.open(file) as tar:
        content = {member.name: tar.extractfile(member) for member in tar}
        raw = {name: stream.read() for name, stream in content.items() if stream is not None}
    manifest = json.loads(raw.pop("manifest.json"))
    assert (manifest["format"], manifest["caseladder"]) == (1, RELEASE)
    assert manifest["parts"] == {
        name: {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()} for name, part in raw.items()
    }


async def test_both_databases_of_a_running_stack_are_copied_at_one_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients write to the ledger, then to the engine: the copies may be no further apart than one write of each."""
    data, file = tmp_path / "data", tmp_path / "file"
    fetch = asyncpg.Connection.fetchval

    async def late(connection: asyncpg.Connection, query: str, *arguments: object) -> object:
        if "pg_export_snapshot" in query:
            await asyncio.sleep(0.5)
        return await fetch(connection, query, *arguments)

    monkeypatch.setattr(asyncpg.Connection, "fetchval", late)
    async with Stack(data, KINDS, ANY) as addresses:
        await remember(addresses, "all the while")
        clients = [asyncio.create_task(_write(addresses, name)) for name in range(CLIENTS)]
        await asyncio.sleep(1)
        await back_up(data, file, RELEASE, silent)
        await asyncio.sleep(0.5)
        last = [client.cancel() and (await asyncio.gather(client, return_exceptions=True))[0] for client in clients]
        # None of them met an error, and all went on after the backup.
        assert all(isinstance(one, asyncio.CancelledError) for one in last), last
        ends = [await _written(addresses, name) for name in range(CLIENTS)]
    await restored(file, tmp_path / "again")
    async with Stack(tmp_path / "again", KINDS, ANY) as addresses:
        assert await remembers(addresses, "all the while")
        for name, end in enumerate(ends):
            ledger, engine = await _written(addresses, name)
            assert 0 < engine <= ledger <= engine + 1
            assert ledger < end[0]


async def _write(addresses: Addresses, name: int) -> None:
    ledger = await asyncpg.connect(addresses.owner_url)
    client = await Client.connect(addresses.temporal, namespace=addresses.namespace)
    handle = await client.start_workflow("Waits", id=f"client-{name}", task_queue="nobody")
    for number in count():
        await ledger.execute("INSERT INTO memory VALUES ($1)", f"client-{name}")
        await handle.signal("written", number)


async def _written(addresses: Addresses, name: int) -> tuple[int, int]:
    """How often a client has written to the ledger and to the engine."""
    ledger = await asyncpg.connect(addresses.owner_url)
    rows = await ledger.fetchval("SELECT count(*) FROM memory WHERE value = $1", f"client-{name}")
    await ledger.close()
    client = await Client.connect(addresses.temporal, namespace=addresses.namespace)
    history = await client.get_workflow_handle(f"client-{name}").fetch_history()
    signalled = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return rows, sum(event.event_type == signalled for event in history.events)


async def test_the_ledger_alone_goes_back(file: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    await restored(file, data)
    async with Stack(data, KINDS, ANY) as addresses:
        await remember(addresses, "later")
    (data / "issuer.pem").write_text("a new key")
    prepared = []

    async def prepare(url: str) -> None:
        connection = await asyncpg.connect(url)
        prepared.append(await connection.fetchval("SELECT count(*) FROM memory"))
        await connection.close()

    done = await restore(file, data, "ledger-only", prepare, silent, force=False)
    assert prepared == [1]
    assert done.replaced is not None
    assert [path.name for path in done.replaced.iterdir()] == ["postgres"]
    assert (data / "issuer.pem").read_text() == "a new key"
    async with Stack(data, KINDS, ANY) as addresses:
        assert await remembers(addresses, "before")
        assert not await ledger_has(addresses, "later")
        assert await engine_has(addresses, "later")


async def test_without_the_engine_the_rest_is_restored(file: Path, tmp_path: Path) -> None:
    data = pretended(tmp_path / "data")
    old = tree(data)
    with pytest.raises(StackError, match=r"is not empty; .*--force"):
        await restored(file, data, "engine-lost")
    assert tree(data) == old
    done = await restored(file, data, "engine-lost", force=True)
    assert done.replaced is not None
    assert tree(done.replaced) == old
    assert not list(data.glob("temporal.db*"))
    assert (data / "issuer.pem").exists()
    async with Stack(data, KINDS, ANY) as addresses:
        assert await ledger_has(addresses, "before")
        assert not await engine_has(addresses, "before")


async def test_what_runs_or_is_not_empty_is_not_replaced(file: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with Stack(data, KINDS, ANY) as addresses:
        await remember(addresses, "there")
        for scope in ("all", "engine-lost", "ledger-only"):
            with pytest.raises(StackError, match=f"already running on {data} "):
                await restored(file, data, scope, force=True)
    with pytest.raises(StackError, match="holds no stack whose ledger could be replaced"):
        await restored(file, tmp_path / "empty", "ledger-only")


def flipped_in_the_middle(packed: bytes) -> bytes:
    """Flip a bit that says something: in a run of zeros, another one may unpack to the same."""
    for at in range(len(packed) // 2, len(packed)):
        changed = bytearray(packed)
        changed[at] ^= 1
        with suppress(OSError, EOFError, zlib.error):
            if gzip.decompress(changed) == gzip.decompress(packed):
                continue
        return bytes(changed)
    raise AssertionError("each bit but the last ones says something")


@pytest.fixture
def damages(file: Path) -> dict[str, bytes]:
    """Copies of a backup, each with a damage of its own."""
    whole = file.read_bytes()
    plain = bytearray(gzip.decompress(whole))
    flipped = {}
    for part in (b"SQLite format 3", b"PGDMP", b"a mail"):
        changed = bytearray(plain)
        changed[plain.index(part)] ^= 1
        flipped[f"{part.decode()} flipped"] = gzip.compress(bytes(changed), 1)
    members = {}
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            members[member.name] = stream.read() if stream else b""
    manifest = json.loads(members["manifest.json"])

    def without(parts: dict[str, Any]) -> dict[str, Any]:
        return {name: part for name, part in parts.items() if name != "temporal.db"}

    def packed(change: Callable[[dict[str, bytes]], object]) -> bytes:
        changed = dict(members)
        change(changed)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
            for name, content in changed.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return out.getvalue()

    return {
        "nothing": b"",
        "text": b"hello\n" * 1000,
        "cut short": whole[: len(whole) // 2],
        "cut in the manifest": whole[:100],
        "flipped": flipped_in_the_middle(whole),
        **flipped,
        "a part is missing": packed(lambda parts: parts.pop("files.tar")),
        "a part less": packed(
            lambda parts: (
                parts.update({"manifest.json": json.dumps({**manifest, "parts": without(manifest["parts"])}).encode()})
                or parts.pop("temporal.db")
            )
        ),
        "a part too many": packed(lambda parts: parts.update(more=b"")),
        "no manifest": packed(lambda parts: parts.pop("manifest.json")),
        "no JSON": packed(lambda parts: parts.update({"manifest.json": b"{"})),
        "other JSON": packed(lambda parts: parts.update({"manifest.json": b'{"format": 1, "parts": []}'})),
        "another form": packed(
            lambda parts: parts.update({"manifest.json": json.dumps({**manifest, "format": 2}).encode()})
        ),
    }


@pytest.mark.parametrize("name", ["../key", "/key", "postgres/postgresql.auto.conf", "temporal.db", "lock", "."])
def test_the_files_of_a_backup_are_no_others(name: str, tmp_path: Path) -> None:
    """Whoever can change a backup must not have settings read by the server that it is restored into."""
    packed, folder = tmp_path / "files.tar", tmp_path / "data"
    folder.mkdir()
    with tarfile.open(packed, "w") as tar:
        for each in ("mail/1", name):
            tar.addfile(tarfile.TarInfo(each), io.BytesIO())
    (folder / "mail").mkdir()
    with pytest.raises(StackError, match="is no file that a backup holds"):
        archive.unpack_folder(packed, folder, backup._is_file)
    assert [*tree(folder)] == ["mail", "mail/1"]


async def test_a_damaged_backup_changes_nothing(file: Path, damages: dict[str, bytes], tmp_path: Path) -> None:
    data = pretended(tmp_path / "data")
    before = tree(data)
    bad = tmp_path / "bad"
    for damage, content in damages.items():
        bad.write_bytes(content)
        with pytest.raises(StackError, match=f"^{bad} (is damaged|is not a backup|was made by another release)"):
            await restored(bad, data, force=True)
        assert tree(data) == before, damage
    with pytest.raises(FileNotFoundError):
        await restored(tmp_path / "none", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("name", "type_", "target"),
    [
        ("../out", tarfile.REGTYPE, ""),
        ("/tmp/out", tarfile.REGTYPE, ""),
        ("postgres/PG_VERSION", tarfile.REGTYPE, ""),
        ("link", tarfile.SYMTYPE, "postgres"),
        ("link", tarfile.LNKTYPE, "/etc/passwd"),
        ("pipe", tarfile.FIFOTYPE, ""),
    ],
)
def test_files_of_a_backup_lie_beside_what_is_there(tmp_path: Path, name: str, type_: bytes, target: str) -> None:
    folder = pretended(tmp_path / "data")
    before, member = tree(folder), tarfile.TarInfo(name)
    member.type, member.linkname = type_, target
    with tarfile.open(tmp_path / "files.tar", "w") as tar:
        tar.addfile(member)
    with pytest.raises(StackError, match=f"^{name} is no file that a backup holds$"):
        archive.unpack_folder(tmp_path / "files.tar", folder, lambda _: True)
    assert tree(folder) == before


async def test_a_restore_that_fails_late_changes_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pretended(tmp_path / "data")
    before = tree(data)

    async def fail(url: str) -> None:
        raise StackError("not today")

    with pytest.raises(StackError, match="not today"):
        await restore(file, data, "all", fail, silent, force=True)
    assert tree(data) == before
    # While things are moved.
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.parent.name == "restore.new" and path.name == "temporal.db":
            raise OSError(5, "Input/output error", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        await restored(file, data, force=True)
    assert tree(data) == before


@pytest.mark.parametrize("scope", ["all", "ledger-only"])
async def test_a_restore_that_is_cut_off_is_repeated_before_anything_starts_anew(
    file: Path, damages: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    data = tmp_path / "data"
    await restored(file, data)
    rename = Path.rename

    class Killed(BaseException):
        """Takes the place of a kill, after which nothing is put right."""

    def cut_off(path: Path, target: Path) -> Path:
        if path.parent.name.startswith("replaced-"):
            raise Killed
        done = rename(path, target)
        if path.name == "postgres" and path.parent == data:
            raise Killed
        return done

    def refuse(path: Path) -> None:
        raise Killed

    monkeypatch.setattr(Path, "rename", cut_off)
    monkeypatch.setattr(Path, "rmdir", refuse)
    with pytest.raises(Killed):
        await restored(file, data, scope, force=True)
    monkeypatch.undo()
    assert not (data / "postgres").exists()
    with pytest.raises(StackError, match="a restore was cut off"):
        await Stack(data, KINDS, ANY).start()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(damages["cut short"])
    with pytest.raises(StackError, match="is damaged"):
        await restored(damaged, data, scope, force=True)
    with pytest.raises(StackError, match="a restore was cut off"):
        await Stack(data, KINDS, ANY).start()
    await restored(file, data, scope, force=True)
    async with Stack(data, KINDS, ANY) as addresses:
        assert await remembers(addresses, "before")


async def test_a_backup_that_was_killed_leaves_nothing_behind_for_long(stopped: Path, tmp_path: Path) -> None:
    left, other = tmp_path / ".caseladder-backup-left", tmp_path / ".caseladder-backup-other"
    for folder in (left, other):
        folder.mkdir()
        (folder / "ledger.dump").write_text("all about customers")
    under_way = os.open(other, os.O_RDONLY)
    fcntl.flock(under_way, fcntl.LOCK_EX)
    await back_up(stopped, tmp_path / "file", RELEASE, silent)
    os.close(under_way)
    assert sorted(os.listdir(tmp_path)) == [other.name, "file"]


async def test_a_backup_is_not_written_where_it_must_not_be(stopped: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    for target, message in {
        there: "is there already",
        stopped / "file": "lies in the data folder",
        stopped / "mail" / "file": "lies in the data folder",
    }.items():
        with pytest.raises(StackError, match=message):
            await back_up(stopped, target, RELEASE, silent)
    with pytest.raises(StackError, match="is no data folder of `caseladder up`"):
        await back_up(tmp_path / "nowhere", tmp_path / "file", RELEASE, silent)
    with pytest.raises(FileNotFoundError):
        await back_up(stopped, tmp_path / "no" / "file", RELEASE, silent)
    assert there.read_text() == "mine"
    assert os.listdir(tmp_path) == ["there"]


async def test_the_commands_say_what_they_did_and_what_is_next(stopped: Path, tmp_path: Path) -> None:
    file, data = str(tmp_path / "file"), tmp_path / "data"
    said = call("backup", file, "--json", "--data", str(stopped)).json
    assert (said["file"], said["bytes"]) == (file, os.stat(file).st_size)
    assert set(said["parts"]) == {"temporal.db", "ledger.dump", "files.tar"}
    first = call("restore", file, "--json", "--data", str(data)).json
    assert (first["at"], first["replaced"]) == (said["at"], None)
    assert first["next"] == [f"caseladder up --data {data}", f"caseladder audit verify --data {data}"]
    second = call("restore", file, "--ledger-only", "--data", str(data))
    assert second.err == ""
    assert f"what was there is in {data}/replaced-" in second.out
    assert second.out.endswith(
        f"next:\n  caseladder up --data {data}\n  caseladder recover --from-engine --data {data}\n"
    )
    # What the engine knows of numbers and payments is waited for.
    async with Stack(data, KINDS, ANY) as addresses:
        ledger = await asyncpg.connect(addresses.owner_url)
        assert await ledger.fetchval("SELECT count(*) FROM casebook_recovery") == 1
        # Whoever had read beyond the backup misses nothing of what comes (docs/events.md).
        assert await ledger.fetchval("SELECT case_event_tx(pg_current_xact_id()) > 10 ^ 15")
        await ledger.execute("UPDATE caseladder_version SET version_num = '9999'")
        await ledger.close()
        later = str(tmp_path / "later")
        assert call("backup", later, "--data", str(data)).code == 0
    assert "the schema of a later release" in call("restore", later, "--data", str(tmp_path / "no")).refused(1)
    url = {"CASELADDER_DATABASE_URL": "postgresql://somewhere/else"}
    for command in ("backup", "restore"):
        assert "CASELADDER_DATABASE_URL is set" in call(command, file, env=url).refused(2)
