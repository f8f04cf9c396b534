"""One server as a child process: started until it answers, stopped, killed, started again."""

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

# Seconds. Starting includes a crash recovery; a server that will not stop is killed.
_START_LIMIT = 60.0
_STOP_LIMIT = 10.0
_POLL = 0.02

# Below the ports that systems lend to outgoing connections (Linux from 32768, macOS from 49152):
# such a connection could hold the port when a killed server is to come back on it.
_FREE_PORTS = range(20000, 32768)

_LEASH = str(Path(__file__).with_name("leash.py"))


class StackError(Exception):
    """The embedded stack cannot be started. The message says what, where, and what to do."""


class Server(ABC):
    """A server that is bound to this process: it is stopped, at the latest, when this one dies.

    The thread that calls `start` must live as long as the server: the kernel counts its end as
    the death of the parent.

    Args:
        log: file that the server's output is appended to.
        port: TCP port that is wanted; the first start takes another if it is taken, 0 takes any.
    """

    name: str
    stop_signal: signal.Signals

    def __init__(self, log: Path, port: int) -> None:
        self.log = log
        self._wanted = port
        self.port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def address(self) -> str:
        """``host:port``; the port stays the same over stops and starts."""
        return f"{HOST}:{self.port}"

    async def start(self) -> None:
        """Start the server and return when it answers. Does nothing if it runs.

        Raises:
            StackError: it ended or did not answer in time; the message holds its last words.
        """
        deadline = monotonic() + _START_LIMIT
        # A server that was killed a moment ago may still seem to run, but it will not answer.
        if self._process is not None and await self._answers(self._process, deadline):
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
            if await self._answers(self._process, deadline):
                return
            words = self.log.read_bytes()[written:].decode(errors="replace")
            # Somebody else was faster on a port that was free.
            outrun = first and "address already in use" in words.lower()
            if not (outrun or self._passing(words)) or monotonic() > deadline:
                raise StackError(f"{self.name} did not start: {last_words(words)}; see {self.log}")
            await asyncio.sleep(_POLL)

    async def _answers(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Wait until the server answers; False if its process has ended."""
        while process.poll() is None:
            reason = await self._trouble()
            if reason is None:
                return True
            if monotonic() > deadline:
                await self.kill()
                raise StackError(f"{self.name} does not answer: {reason}; see {self.log}")
            await asyncio.sleep(_POLL)
        return False

    async def stop(self) -> None:
        """Stop the server in good order; kill it if that takes more than ten seconds."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
            if not await ended(self._process, _STOP_LIMIT):
                await self.kill()

    async def kill(self) -> None:
        """Kill the server (SIGKILL), as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            await ended(self._process, _STOP_LIMIT)

    def _choose_ports(self) -> None:
        self.port = free_port(self._wanted)

    @abstractmethod
    async def _prepare(self) -> None:
        """What must be there before the program runs; what a dead owner left must be gone."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    async def _trouble(self) -> str | None:
        """Talk to the server: None if it is ready for use, else what is in the way."""

    def _passing(self, words: str) -> bool:
        """Whether the server's last words tell of something that passes by itself."""
        return False

    def _account(self) -> tuple[int, int]:
        """User and group that the server runs as."""
        return os.geteuid(), os.getegid()

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        leash = [sys.executable, "-I", "-S", _LEASH, str(int(self.stop_signal)), str(os.getpid())]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*leash, *map(str, self._account()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal is for the owner, which stops its servers in order.
                start_new_session=True,
                umask=0o077,  # the files hold case data
            )


async def ended(process: subprocess.Popen[bytes], limit: float = float("inf")) -> bool:
    """Wait until the process has ended; False if it still runs after ``limit`` seconds."""
    deadline = monotonic() + limit
    while process.poll() is None:
        if monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL)
    return True


async def stop_leftovers(argument: str) -> None:
    """End the processes that have ``argument`` (a path of the data folder) on their command line.

    Only for the holder of the folder's lock: then they belong to an owner that is dead.

    Raises:
        StackError: one of them cannot be stopped.
    """
    import psutil

    # Zombies have no command line any more, so they are not waited for.
    def leftovers() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if argument in (p.info["cmdline"] or ())]

    # PostgreSQL and Temporal both take SIGINT for a fast, orderly stop.
    for sent in (signal.SIGINT, signal.SIGKILL):
        deadline = monotonic() + _STOP_LIMIT
        while found := leftovers():
            for process in found:
                with contextlib.suppress(psutil.Error):  # gone meanwhile, or not ours to stop
                    process.send_signal(sent)
            if monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        else:
            return
    raise StackError(f"process {found[0].pid} of an earlier run still uses {argument}; stop it first")


def free_port(wanted: int, avoid: int | None = None) -> int:
    """``wanted`` if it can be listened on at 127.0.0.1, else a port that can; 0 wants any."""
    candidates = [wanted] if wanted else []
    candidates += random.sample(_FREE_PORTS, 200)
    for port in candidates:
        if port != avoid and _free(port):
            return port
    raise StackError(f"no free TCP port on {HOST} (tried {len(candidates)})")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do; without it a port is refused for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def last_words(text: str) -> str:
    """The line of a server's output that most likely says why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if re.search("FATAL|error", line, re.IGNORECASE)]
    return (telling or lines or ["it said nothing"])[-1]
