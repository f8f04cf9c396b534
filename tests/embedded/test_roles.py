"""The roles of the embedded database, and the account that its server runs as."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from activities.database import WRITER
from activities.database.errors import TooPowerful
from activities.database.migrate import migrate
from starter.embedded import Stack
from starter.embedded.backup import back_up, restore
from starter.embedded.postgres import Postgres
from starter.embedded.stack import POSTGRES
from tests.activities.ledger import batch
from tests.casebook import open_book
from tests.embedded.support import ANY

ROOT = os.geteuid() == 0
CASE = "complaint:kept"


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[Postgres]:
    """Run the PostgreSQL of a stack for the block, without the rest of it."""
    os.makedirs(data, exist_ok=True)
    server = Postgres(data / POSTGRES, data / "postgres.log", 0)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def work(database_url: str, owner_url: str, last: int) -> None:
    """Record one more event of the case, as the worker does, and look at the ledger."""
    await migrate(owner_url)
    async with open_book(database_url) as book:
        await book.record(batch(last, last, CASE))
        report = await book.verify()
        assert (report.fault, report.events) == (None, last)


def owners(folder: Path) -> set[int]:
    """Who owns what is in a folder, root aside, who keeps a password there."""
    return {path.stat().st_uid for path in (folder, *folder.rglob("*"))} - {0}


async def test_both_roles_are_made_at_the_first_start(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        assert server.url.startswith(f"postgresql://{WRITER}:")
        assert server.owner_url.startswith("postgresql://caseladder:")
        await work(server.url, server.owner_url, 1)
        async with open_book(server.owner_url) as book:
            with pytest.raises(TooPowerful, match="caseladder is a superuser"):
                await book.record(batch(2, 2, CASE))
        writer = await asyncpg.connect(server.url)
        # Of what a database lets everybody do by itself, nothing is left.
        for sql in ("CREATE TEMP TABLE own ()", "CREATE TABLE own ()", "CREATE SCHEMA own"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await writer.execute(sql)
        await writer.close()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(server.url.replace("/postgres", "/template1"))
        for url in (server.url, server.owner_url):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(re.sub(r":\w{32}@", ":guess@", url))


@pytest.mark.long
async def test_a_folder_of_an_earlier_release_gets_its_writer_and_its_account(tmp_path: Path) -> None:
    folder = tmp_path / "data" / POSTGRES
    async with serving(tmp_path / "data") as server:
        await work(server.url, server.owner_url, 1)
        owner = await asyncpg.connect(server.owner_url)
        await owner.execute(f"DROP OWNED BY {WRITER}; DROP ROLE {WRITER}; GRANT ALL ON DATABASE postgres TO PUBLIC")
        await owner.close()
        (folder / f"{WRITER}.password").unlink()
    if ROOT:
        # As which an earlier release ran.
        nobody = pwd.getpwnam("nobody")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    async with serving(tmp_path / "data") as server:
        await work(server.url, server.owner_url, 2)
        if ROOT:
            assert owners(folder) == {folder.stat().st_uid}
            assert folder.stat().st_uid != nobody.pw_uid
    # Killed between the two steps of making the role, it is made once more.
    (folder / f"{WRITER}.password").unlink()
    async with serving(tmp_path / "data") as server:
        await work(server.url, server.owner_url, 3)


@pytest.mark.long
async def test_a_backup_keeps_no_roles_and_a_restore_makes_them(tmp_path: Path) -> None:
    """Their passwords are those of the folder into which it is restored."""
    async with Stack(tmp_path / "data", None, ANY) as addresses:
        await work(addresses.database_url, addresses.owner_url, 1)
        await back_up(tmp_path / "data", tmp_path / "file", "1", lambda step: None)
        before = addresses.database_url

    async def prepare(url: str) -> None:
        await migrate(url)

    await restore(tmp_path / "file", tmp_path / "other", "all", prepare, lambda step: None, force=False)
    async with Stack(tmp_path / "other", None, ANY) as addresses:
        assert addresses.database_url.split("@")[0] != before.split("@")[0]
        await work(addresses.database_url, addresses.owner_url, 2)


async def test_as_root_each_server_runs_as_an_account_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path / "a") as one, serving(tmp_path / "b") as other:
        if not ROOT:
            # Nobody else can start it as another account: it runs as who starts it.
            assert {psutil.Process(server.pid).uids().real for server in (one, other)} == {os.getuid()}
            return
        ids = []
        for server in (one, other):
            folder = server.log.parent / POSTGRES
            running = psutil.Process(server.pid)
            ids.append(running.uids().real)
            assert {*running.uids(), *running.gids(), folder.stat().st_uid} == {ids[-1]}
            assert owners(folder) == {ids[-1]}
            with pytest.raises(KeyError):
                pwd.getpwuid(ids[-1])
            assert folder.stat().st_mode & 0o777 == 0o700
            # It listens on TCP, where it asks for a password, and on no socket file.
            listening = [found for found in running.net_connections("all") if found.status == "LISTEN"]
            assert [found.laddr.ip for found in listening] == ["127.0.0.1"]
            assert [found for found in running.net_connections("unix") if found.laddr] == []
        assert ids[0] != ids[1]
        # Neither reaches what the other one keeps.
        reads = f"import os; os.setgid({ids[0]}); os.setuid({ids[0]}); os.listdir({str(tmp_path / 'b' / POSTGRES)!r})"
        assert b"PermissionError" in await _python(reads)


async def _python(code: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", code, stderr=asyncio.subprocess.PIPE, cwd="/"
    )
    return (await process.communicate())[1]
