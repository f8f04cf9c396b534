"""A server as a child process that can be started, stopped, killed and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

HOST = "127.0.0.1"

# Seconds. Starting may include a crash recovery; a server that does not stop in time is killed.
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 10.0
_POLL_INTERVAL = 0.02

# Below the ephemeral ports (Linux from 32768, macOS from 49152): an outgoing connection could occupy such a
# port while a killed server is restarted on it.
_FREE_PORTS = range(20000, 32768)

_DIE_WITH_PARENT = str(Path(__file__).with_name("die_with_parent.py"))


class StackError(Exception):
    """Raised when the embedded stack cannot be started; the message names the cause and what to do."""


class Server(ABC):
    """A server process that ends at the latest with this process.

    The thread that calls `start` must live as long as the server, because the kernel treats its end as
    the death of the parent.

    Args:
        log: the file that the server's output is appended to.
        port: the preferred TCP port; if it is taken, the first start uses a free one. 0 uses any.
    """

    name: str
    stop_signal: signal.Signals

    def __init__(self, log: Path, port: int) -> None:
        self.log = log
        self._preferred_port = port
        self.port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id; None if it is not running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def address(self) -> str:
        """``host:port``; the port stays the same when the server is restarted."""
        return f"{HOST}:{self.port}"

    async def start(self) -> None:
        """Start the server and return when it is ready. Does nothing if it is running.

        Raises:
            StackError: the server ended or was not ready in time; the message holds its last error.
        """
        deadline = monotonic() + _START_TIMEOUT
        # A server that was killed a moment ago may still seem to be running, but it does not get ready.
        if self._process is not None and await self._wait_until_ready(self._process, deadline):
            return
        first = self.port is None
        if self.port is not None and not _free(self.port):
            raise StackError(f"{self.name} did not start: port {self.address} is taken by another program")
        await self._prepare()
        while True:
            if first:
                self._choose_ports()
            written = self.log.stat().st_size if self.log.exists() else 0
            self._process = self._spawn(self._command())
            if await self._wait_until_ready(self._process, deadline):
                return
            log = self.log.read_bytes()[written:].decode(errors="replace")
            # Another program may have taken the free port in the meantime.
            port_taken = first and "address already in use" in log.lower()
            if not (port_taken or self._is_temporary(log)) or monotonic() > deadline:
                raise StackError(f"{self.name} did not start: {error_line(log)}; see {self.log}")
            await asyncio.sleep(_POLL_INTERVAL)

    async def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Wait until the server is ready; False if its process has ended.

        Raises:
            StackError: the server is running but was not ready before ``deadline``; it is killed.
        """
        while process.poll() is None:
            reason = await self._not_ready_reason()
            if reason is None:
                return True
            if monotonic() > deadline:
                await self.kill()
                raise StackError(f"{self.name} does not answer: {reason}; see {self.log}")
            await asyncio.sleep(_POLL_INTERVAL)
        return False

    async def stop(self) -> None:
        """Stop the server gracefully; kill it if that takes more than ten seconds."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
            if not await wait_for_exit(self._process, _STOP_TIMEOUT):
                await self.kill()

    async def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            await wait_for_exit(self._process, _STOP_TIMEOUT)

    def _choose_ports(self) -> None:
        self.port = free_port(self._preferred_port)

    @abstractmethod
    async def _prepare(self) -> None:
        """Create what the program needs, and stop what an owner that died has left running."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the program and its arguments."""

    @abstractmethod
    async def _not_ready_reason(self) -> str | None:
        """Send the server a request: None if it is ready, else the reason why it is not."""

    def _is_temporary(self, log: str) -> bool:
        """Return whether the server ended for a reason that goes away by itself.

        Args:
            log: what it has logged since it was started.
        """
        return False

    def _user_and_group(self) -> tuple[int, int]:
        """Return the ids of the user and the group that the server runs as."""
        return os.geteuid(), os.getegid()

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        bound = [sys.executable, "-I", "-S", _DIE_WITH_PARENT, str(int(self.stop_signal)), str(os.getpid())]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*bound, *map(str, self._user_and_group()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal must reach only this process, which stops its servers in order.
                start_new_session=True,
                umask=0o077,  # the files hold case data
            )


async def wait_for_exit(process: subprocess.Popen[bytes], limit: float = float("inf")) -> bool:
    """Wait until the process has ended; False if it is still running after ``limit`` seconds."""
    deadline = monotonic() + limit
    while process.poll() is None:
        if monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_INTERVAL)
    return True


async def stop_orphans(argument: str) -> None:
    """Stop the processes that have ``argument`` (a path in the data folder) on their command line.

    Call this only with the folder's lock held, which means that the owner of these processes is dead.

    Raises:
        StackError: one of them cannot be stopped.
    """
    import psutil

    # A zombie has no command line, so it is not waited for.
    def orphans() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if argument in (p.info["cmdline"] or ())]

    # SIGINT makes both PostgreSQL and Temporal stop fast and gracefully.
    for sent in (signal.SIGINT, signal.SIGKILL):
        deadline = monotonic() + _STOP_TIMEOUT
        while found := orphans():
            for process in found:
                with contextlib.suppress(psutil.Error):  # it has ended, or belongs to another user
                    process.send_signal(sent)
            if monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        else:
            return
    raise StackError(f"process {found[0].pid} of an earlier run still uses {argument}; stop it first")


def free_port(preferred: int, avoid: int | None = None) -> int:
    """Return a TCP port that is free on 127.0.0.1.

    Args:
        preferred: the port to return if it is free; 0 for any.
        avoid: a port not to return.

    Raises:
        StackError: no free port was found.
    """
    candidates = [preferred] if preferred else []
    candidates += random.sample(_FREE_PORTS, 200)
    for port in candidates:
        if port != avoid and _free(port):
            return port
    raise StackError(f"no free TCP port on {HOST} (tried {len(candidates)})")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # The servers set it too; without it a port is refused for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def error_line(log: str) -> str:
    """Return the line of a server's log that most likely says why it ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.search("FATAL|error", line, re.IGNORECASE)]
    return (errors or lines or ["it said nothing"])[-1]
