"""Backup of the embedded stack into one file, and its way back; see docs/operations.md."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from starter.embedded import archive, postgres
from starter.embedded.archive import Manifest
from starter.embedded.postgres import Postgres
from starter.embedded.server import StackError
from starter.embedded.stack import (
    ADDRESSES,
    LOCK,
    LOGS,
    MOVING,
    POSTGRES,
    TEMPORAL,
    check_whole,
    full_path,
    make_folder,
    owned,
    running,
)

# The parts of a backup: the engine's database, the casebook's, and what else lies in the data folder.
ENGINE, LEDGER, FILES = "temporal.db", "ledger.dump", "files.tar"
# Where a restore builds what is new, and how it names the folder for what was there.
_NEW, _REPLACED = "restore.new", "replaced-"
# How the folder beside a backup begins in which its parts are gathered.
_SCRATCH = ".caseladder-backup-"
# Seconds to wait for a writer of the engine's database.
_PATIENCE = 30

# What is restored: all, all but the engine's database, or nothing but the casebook's.
Scope = Literal["all", "engine-lost", "ledger-only"]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Restored:
    """What a restore did: the backup's manifest, and the folder into which it moved what was there, if anything."""

    manifest: Manifest
    replaced: Path | None


async def back_up(data: Path, file: Path, release: str, tell: Tell) -> Manifest:
    """Write a backup of the stack on a data folder, whether it runs or not.

    Both databases are taken as they were at one instant, so that a restored stack goes on where that was.

    Args:
        data: the data folder.
        file: the file to write, which must not exist. Beside it there must be room for it uncompressed.
        release: what the manifest names as the release that made it.
        tell: is called with what is done next.

    Raises:
        StackError: there is no stack, the file is there already or would lie in the folder, or a server fails.
        OSError: the file cannot be written.
    """
    folder, file = full_path(data), full_path(file)
    if file.exists():
        raise StackError(f"{file} is there already; name a new file")
    if file.is_relative_to(folder):
        raise StackError(f"{file} lies in the data folder, which it is to be a copy of; name a file elsewhere")
    if not ((folder / POSTGRES).is_dir() and (folder / TEMPORAL).is_file()):
        raise StackError(f"{data} is no data folder of `caseladder up`: it has no {POSTGRES} or no {TEMPORAL}")
    check_whole(data)
    with _scratch(file.parent) as scratch:
        parts = {name: scratch / name for name in (ENGINE, LEDGER, FILES)}
        async with _ledger_of(data) as url:
            at = await _copy_databases(folder / TEMPORAL, url, parts, tell)
        tell("copying keys, mail and other files")
        await asyncio.to_thread(archive.pack_folder, folder, _files(folder), parts[FILES])
        tell(f"writing {file.name}")
        manifest = await asyncio.to_thread(archive.write, scratch / "backup", release, at, parts)
        try:
            # Not renamed: that would replace what another backup has put there meanwhile.
            file.hardlink_to(scratch / "backup")
        except FileExistsError:
            raise StackError(f"{file} is there already; name a new file") from None
        except OSError:
            # A file system without links.
            (scratch / "backup").rename(file)
    return manifest


async def restore(
    file: Path, data: Path, scope: Scope, prepare: Callable[[str], Awaitable[None]], tell: Tell, *, force: bool
) -> Restored:
    """Put the stack of a backup in place. What was there stays as it is on any failure, and is kept aside in the end.

    Args:
        file: the backup.
        data: the data folder; unless only the ledger is restored it must be empty or ``force`` be given.
        scope: what is restored.
        prepare: is called with the owner's address of the restored casebook before it is put in place.
        tell: is called with what is done next.

    Raises:
        StackError: the stack runs, the folder is not as it must be, the backup is damaged, or PostgreSQL fails.
        OSError: the backup cannot be read, or the folder cannot be written.
    """
    archive.read_manifest(file)
    async with owned(data) as folder:
        present = [*_files(folder), *(name for name in (POSTGRES, *_engine_files(folder)) if (folder / name).exists())]
        if scope == "ledger-only":
            cut_off = (folder / MOVING).exists()
            if not (((folder / POSTGRES).is_dir() or cut_off) and (folder / TEMPORAL).is_file()):
                raise StackError(f"{data} holds no stack whose ledger could be replaced; restore all of {file.name}")
            present = [name for name in present if name == POSTGRES]
        elif present and not force:
            raise StackError(f"{data} is not empty; name another folder with --data, or give --force to replace it")
        new = folder / _NEW
        shutil.rmtree(new, ignore_errors=True)
        make_folder(new)
        try:
            tell(f"checking {file.name}")
            wanted = {"all": (ENGINE, LEDGER, FILES), "engine-lost": (LEDGER, FILES), "ledger-only": (LEDGER,)}[scope]
            manifest = await asyncio.to_thread(archive.unpack, file, new, wanted)
            tell("restoring the ledger")
            await _fill(new / POSTGRES, folder / LOGS / "restore.log", new / LEDGER, prepare)
            (new / LEDGER).unlink()
            if FILES in wanted:
                tell("restoring keys, mail and other files")
                await asyncio.to_thread(archive.unpack_folder, new / FILES, new, _is_file)
                (new / FILES).unlink()
            return Restored(manifest, _put_in_place(folder, new, present))
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Make a folder for the block, locked; and remove those that backups which were killed have left there."""
    for left in folder.glob(f"{_SCRATCH}*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left)
    made = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder))
    try:
        with _locked(made):
            yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


async def _copy_databases(engine: Path, url: str, parts: dict[str, Path], tell: Tell) -> str:
    """Copy both databases as they are at one instant, and return that.

    The engine stands still while the ledger's snapshot is taken, so that the ledger is never behind the engine. What
    it may be ahead by is what was under way just then, and that is done again with the same content.
    """
    import asyncpg

    try:
        ledger = await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StackError(f"PostgreSQL does not answer: {error}") from None
    try:
        async with ledger.transaction(isolation="repeatable_read", readonly=True):
            with closing(_connect(engine)) as copied:
                with _standing_still(engine):
                    copied.execute("BEGIN")
                    copied.execute("SELECT count(*) FROM sqlite_schema").fetchall()
                    snapshot = await ledger.fetchval("SELECT pg_export_snapshot()")
                    at = datetime.now(UTC).isoformat(timespec="milliseconds")
                tell("copying the engine's database")
                await asyncio.to_thread(_copy_engine, copied, parts[ENGINE])
            tell("copying the ledger's database")
            await postgres.dump(url, parts[LEDGER], snapshot)
    except sqlite3.Error as error:
        raise StackError(f"{engine} cannot be copied: {error}") from None
    finally:
        ledger.terminate()
    return at


def _connect(engine: Path) -> sqlite3.Connection:
    # Without transactions of its own, and to be used by the thread that copies.
    return sqlite3.connect(engine, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)


@contextmanager
def _standing_still(engine: Path) -> Iterator[None]:
    """Let the engine's writers wait during the block, which must be short."""
    with closing(_connect(engine)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        yield


def _copy_engine(source: sqlite3.Connection, to: Path) -> None:
    with closing(sqlite3.connect(to)) as target:
        source.backup(target)


@asynccontextmanager
async def _ledger_of(data: Path) -> AsyncIterator[str]:
    """Yield the owner's address of a stack's PostgreSQL, which runs for the block only if the stack does not run."""
    addresses = running(data)
    if addresses is not None:
        yield addresses.owner_url
        return
    async with owned(data) as folder, _run(folder / POSTGRES, folder / LOGS / "backup.log") as url:
        yield url


async def _fill(folder: Path, log: Path, dump: Path, prepare: Callable[[str], Awaitable[None]]) -> None:
    """Make a PostgreSQL folder out of a dump."""
    async with _run(folder, log) as url:
        await postgres.load(url, dump)
        await prepare(url)


@asynccontextmanager
async def _run(folder: Path, log: Path) -> AsyncIterator[str]:
    server = Postgres(folder, log, 0)
    try:
        await server.start()
        yield server.owner_url
    finally:
        await server.stop()


def _put_in_place(folder: Path, new: Path, present: list[str]) -> Path | None:
    """Move what is there aside and what is new in its place; all of it, or nothing.

    Where it is killed meanwhile, a file stays that says so.
    """
    mark = folder / MOVING
    cut_off = mark.exists()
    mark.touch()
    aside = folder / f"{_REPLACED}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    moves = [(folder / name, aside / name) for name in present]
    moves += [(path, folder / path.name) for path in sorted(new.iterdir())]
    done: list[tuple[Path, Path]] = []
    if present:
        make_folder(aside)
    try:
        for source, target in moves:
            source.rename(target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            target.rename(source)
        if present:
            aside.rmdir()
        if not cut_off:
            mark.unlink()
        raise
    mark.unlink()
    return aside if present else None


def _files(folder: Path) -> list[str]:
    """List what lies in a data folder beside the databases, the logs, and what only a running stack needs."""
    return sorted(path.name for path in folder.iterdir() if _is_file(path.name))


def _is_file(name: str) -> bool:
    return name not in ("", LOCK, LOGS, ADDRESSES, f"{ADDRESSES}.new", _NEW, MOVING) and not name.startswith(
        (POSTGRES, TEMPORAL, _REPLACED)
    )


def _engine_files(folder: Path) -> list[str]:
    """List the files of the engine's database, its log of writes included."""
    return sorted(path.name for path in folder.glob(f"{TEMPORAL}*"))
