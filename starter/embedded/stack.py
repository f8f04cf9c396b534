"""Both servers on one data folder, which one process owns at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

from starter.embedded.postgres import Postgres
from starter.embedded.server import StackError
from starter.embedded.temporal import NAMESPACE, Temporal

# What lies in a data folder, beside what the worker and the API keep there.
POSTGRES, TEMPORAL, LOGS, LOCK, ADDRESSES = "postgres", "temporal.db", "logs", "lock", "stack.json"
# A file that lies there while a restore puts things in place.
MOVING = "restore.moving"


@dataclasses.dataclass(frozen=True)
class Ports:
    """The preferred ports on 127.0.0.1; a free one is used for one that is taken, and for 0."""

    temporal: int = 7233
    ui: int = 8233
    # Not an ephemeral port (see `server.free_port`).
    postgres: int = 15432


@dataclasses.dataclass(frozen=True)
class Addresses:
    """The addresses of a running stack; those of the database contain passwords.

    Args:
        database_url: the database, with the role that only writes.
        owner_url: the database, with its superuser, who owns the schema.
    """

    pid: int
    temporal: str
    namespace: str
    ui: str
    database_url: str = dataclasses.field(repr=False)
    owner_url: str = dataclasses.field(repr=False)


class Stack:
    """The embedded stack: PostgreSQL and Temporal with their data in one folder.

    ``stack.postgres`` and ``stack.temporal`` can also be stopped, killed and restarted individually; they keep
    their port and data. Call `start` from a thread that outlives the stack (see `Server`).

    Args:
        data: the data folder, which is created if it does not exist.
        search_attributes: the type of each search attribute by its name, as the Temporal server names types.
        ports: the preferred ports.

    Raises:
        StackError: the packages of the extra ``embedded`` are not installed.
    """

    def __init__(
        self, data: Path, search_attributes: Mapping[str, str] | None = None, ports: Ports | None = None
    ) -> None:
        ports = ports or Ports()
        self._shown = data
        self._data = full_path(data)
        logs = self._data / LOGS
        self.postgres = Postgres(self._data / POSTGRES, logs / "postgres.log", ports.postgres)
        self.temporal = Temporal(
            self._data / TEMPORAL,
            logs / "temporal.log",
            ports.temporal,
            ports.ui,
            search_attributes or {},
        )
        self._lock: IO[str] | None = None

    async def __aenter__(self) -> Addresses:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> Addresses:
        """Start both servers and return when both are ready; on any failure nothing is left running.

        Raises:
            StackError: another process uses the folder, a restore was cut off in it, or a server did not start.
        """
        self._lock = await _take(self._shown)
        try:
            check_whole(self._shown)
            for log in (self.postgres.log, self.temporal.log):
                if log.exists():
                    log.replace(log.with_suffix(".log.1"))
            async with asyncio.TaskGroup() as servers:
                servers.create_task(self.postgres.start())
                servers.create_task(self.temporal.start())
            addresses = Addresses(
                os.getpid(),
                self.temporal.address,
                NAMESPACE,
                self.temporal.ui,
                self.postgres.url,
                self.postgres.owner_url,
            )
            self._publish(addresses)
        except BaseException as error:
            await self.stop()
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise
        return addresses

    async def stop(self) -> None:
        """Stop Temporal, then PostgreSQL, and release the folder. Does nothing if the stack is not started."""
        if self._lock is None:
            return
        try:
            (self._data / ADDRESSES).unlink(missing_ok=True)
            await self.temporal.stop()
            await self.postgres.stop()
        finally:
            self._lock.close()
            self._lock = None

    def _publish(self, addresses: Addresses) -> None:
        new = self._data / f"{ADDRESSES}.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps(dataclasses.asdict(addresses), indent=2) + "\n")
        new.replace(self._data / ADDRESSES)


@asynccontextmanager
async def owned(data: Path) -> AsyncIterator[Path]:
    """Own the data folder for the block, without a server on it; yields its full path.

    Raises:
        StackError: another process uses the folder, or it cannot be made.
    """
    lock = await _take(data)
    try:
        yield full_path(data)
    finally:
        lock.close()


def check_whole(data: Path) -> None:
    """Refuse a data folder in which a restore was cut off: a server would begin anew in place of what is not there.

    Raises:
        StackError: it was.
    """
    if (full_path(data) / MOVING).exists():
        raise StackError(
            f"a restore was cut off on {data}: repeat it, with --force unless it was --ledger-only; what was there is "
            "kept in the folders replaced-"
        )


async def _take(data: Path) -> IO[str]:
    """Make the data folder if there is none, and lock it until the file that is returned is closed."""
    folder = full_path(data)
    try:
        make_folder(folder)
        (folder / LOGS).mkdir(mode=0o700, exist_ok=True)
        lock = (folder / LOCK).open("a+")
    except OSError as error:
        raise StackError(f"{data} cannot be the data folder: {error.strerror}") from error
    # `running` holds a shared lock for a moment, so only a lock that stays is an owner's.
    for attempt in range(10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt == 9:
                lock.seek(0)
                pid = lock.read().strip() or "unknown"
                lock.close()
                raise StackError(
                    f"caseladder is already running on {data} (pid {pid}); stop it or use --data"
                ) from None
            await asyncio.sleep(0.05)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def full_path(path: Path) -> Path:
    """Return an absolute path without links and without ``~``."""
    return path.expanduser().resolve()


def make_folder(folder: Path) -> None:
    """Make a folder for data, if there is none, that others do not read."""
    folder.mkdir(parents=True, exist_ok=True)
    # As root, PostgreSQL runs as another user, which must be able to enter the folder.
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def running(data: Path) -> Addresses | None:
    """Return the addresses of the stack that is running on the data folder; None if none is."""
    folder = full_path(data)
    try:
        with (folder / LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Addresses(**json.loads((folder / ADDRESSES).read_text()))
            return None  # the addresses may be left over from an owner that was killed
    except FileNotFoundError:
        return None
