"""`caseladder serve` as a process: 200 streams at once, clients that keep it waiting, and an end in good time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from resource import RLIMIT_NOFILE, setrlimit

import httpx
import psutil
import pytest

from starter.api.issuer import Issuer
from tests.api.server import STAFF, new_key
from tests.api.test_live import batch
from tests.cli.program import COMMAND, ROOT, call, environment
from tests.http_server import free_socket
from tests.postgres import as_writer
from tests.temporal import address, eventually
from tests.workflows.backend import Backend

STREAMS, RATE, SECONDS = 200, 20, 4
# Nobody has more than 20 streams.
WATCHERS = (
    *("gm-1", "qa-1", "auditor-1", "super-hq"),
    *("agent-n", "super-n", "agent-e", "super-e"),
    *("finance-1", "pm-1"),
)


class Process:
    """A running server, which may have so many files open."""

    def __init__(self, backend: Backend, data: Path, files: int | None = None) -> None:
        with free_socket() as found:
            port = found.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.data, self.log = data, data / "serve.log"
        settings = {
            "CASELADDER_DATABASE_URL": as_writer(backend.database),
            "TEMPORAL_ADDRESS": address(backend.env.client),
            "TEMPORAL_NAMESPACE": backend.env.client.namespace,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--port", str(port), "--data", str(data)],
                cwd=ROOT,
                env=environment(settings),
                stdout=log,
                stderr=log,
                preexec_fn=None if files is None else partial(setrlimit, RLIMIT_NOFILE, (files, files)),
            )

    def token(self, who: str) -> str:
        """A token of somebody."""
        person = next(one for one in STAFF if one.id == who)
        return Issuer(self.data).token(person, datetime.now(UTC))

    async def stop(self, sent: signal.Signals) -> float:
        """Seconds until it has ended."""
        began = time.monotonic()
        self.process.send_signal(sent)
        await asyncio.to_thread(self.process.wait, 20)
        return time.monotonic() - began


@asynccontextmanager
async def serve(backend: Backend, data: Path, files: int | None = None) -> AsyncIterator[Process]:
    """A server that answers, and is gone afterwards."""
    made = Process(backend, data, files)
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(300):
                try:
                    await client.get(f"{made.base}/healthz")
                    break
                except httpx.ConnectError:
                    assert made.process.poll() is None, made.log.read_text()
                    await asyncio.sleep(0.1)
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


async def watch(base: str, token: str, into: list[tuple[str, int]], ready: asyncio.Semaphore) -> None:
    """Read a stream to its end, as plainly as can be: there are 200 of these in one process."""
    reader, writer = await asyncio.open_connection(*base.removeprefix("http://").split(":"), limit=1 << 20)
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    async for line in reader:
        if line.startswith(b"retry:"):
            ready.release()
        elif line.startswith(b"data: "):
            event = json.loads(line[6:])
            into.append((event["case"], event["event"]["seq"]))
    writer.close()


@asynccontextmanager
async def resting(base: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Open a connection that idles from now on, and yield what checks that it still answers."""
    reader, writer = await asyncio.open_connection(*base.removeprefix("http://").split(":"))

    async def ask() -> None:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readuntil(b'{"status":"alive"}')).startswith(b"HTTP/1.1 200 OK")

    async def check() -> None:
        # httpx keeps a connection for 5 s; it must be the client who closes, or a request meets a closed one.
        await asyncio.sleep(max(0.0, began + 5.5 - time.monotonic()))
        await ask()

    try:
        await ask()
        began = time.monotonic()
        yield check
    finally:
        writer.close()


@pytest.mark.long
async def test_two_hundred_streams_and_an_end_in_time(backend: Backend, tmp_path: Path) -> None:
    book = backend.book
    cases = {unit: f"complaint:{new_key()}-{unit}" for unit in ("north", "east")}
    async with serve(backend, tmp_path) as made, resting(made.base) as rested:
        tokens = {who: made.token(who) for who in WATCHERS}
        got: list[tuple[str, list[tuple[str, int]]]] = [(WATCHERS[n % len(WATCHERS)], []) for n in range(STREAMS)]
        ready = asyncio.Semaphore(0)
        watching = [asyncio.create_task(watch(made.base, tokens[who], into, ready)) for who, into in got]
        async with asyncio.timeout(20):
            for _ in range(STREAMS):
                await ready.acquire()
        memory = psutil.Process(made.process.pid).memory_info().rss
        sent: list[tuple[str, int]] = []
        began = time.monotonic()
        for number in range(RATE * SECONDS):
            unit = ("north", "east")[number % 2]
            seq = number // 2 + 1
            await book.record(batch(cases[unit], seq, 1, unit))
            sent.append((cases[unit], seq))
            await asyncio.sleep(max(0.0, began + (number + 1) / RATE - time.monotonic()))
        north, east = ([place for place in sent if place[0] == cases[unit]] for unit in ("north", "east"))
        seen = (*[sent] * 4, north, north, east, east, [], [])
        mine = dict(zip(WATCHERS, seen, strict=True))

        async def missing() -> int:
            return sum(len(_ours(into, sent)) < len(mine[who]) for who, into in got)

        await eventually(missing, lambda streams: streams == 0)
        grown = psutil.Process(made.process.pid).memory_info().rss - memory
        await rested()
        # Every stream is still open when it is asked to end.
        assert not any(task.done() for task in watching)
        took = await made.stop(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*watching), 5)
        for who, into in got:
            assert _ours(into, sent) == mine[who], who
        assert made.process.returncode == 0, made.log.read_text()
        assert took < 10
        assert grown < 60 * 1024 * 1024
        lines = [json.loads(line) for line in made.log.read_text().splitlines()]
        said = [line["event"] for line in lines if line["logger"] == "caseladder.serve"]
        # The server of tests keeps what has ended for a day, which is said once.
        assert said == ["serving", "short_retention", "stopping"]
        assert not [line for line in lines if line["level"] == "error"]


def _ours(into: list[tuple[str, int]], sent: list[tuple[str, int]]) -> list[tuple[str, int]]:
    known = set(sent)
    return [place for place in into if place in known]


FILES, HALF_OPEN = 200, 300


def hang(base: str, sent: bytes) -> socket.socket:
    """Open a connection, send a part of a request, and no more."""
    made = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])))
    made.sendall(sent)
    return made


def ask_for(base: str, seconds: float) -> list[float]:
    """Ask again and again on a new connection, and return how long each answer took."""
    took, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        with closing(HTTPConnection(base.removeprefix("http://"), timeout=10)) as asking:
            asking.request("GET", "/healthz")
            assert asking.getresponse().status == 200
        took.append(time.monotonic() - began)
        time.sleep(0.05)
    return took


@pytest.mark.long
@pytest.mark.alone
async def test_clients_that_keep_it_waiting_keep_nobody_else(backend: Backend, tmp_path: Path) -> None:
    """More half-open connections than files, again and again: whoever asks has an answer within a second."""
    post = b"POST /api/v1/cases/complaint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    idle = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serve(backend, tmp_path, FILES) as made:
        asking = asyncio.create_task(asyncio.to_thread(ask_for, made.base, 45))
        while not asking.done():
            for sent in (b"GET /healthz HT", post, idle):
                hanging = [hang(made.base, sent) for _ in range(HALF_OPEN)]
                await asyncio.wait([asking], timeout=12)
                for one in hanging:
                    one.close()
        took = await asking
        assert len(took) > 45
        assert max(took) < 1
        files = psutil.Process(made.process.pid).num_fds()
        assert files < FILES
        lines = [json.loads(line) for line in made.log.read_text().splitlines()]
        # It is said that there were too many, and no more than once a minute.
        assert [line["event"] for line in lines if line["level"] in ("warning", "error")].count("connections_full") == 1
        assert not [line for line in lines if line["level"] == "error"]
        assert await made.stop(signal.SIGTERM) < 10


def test_it_says_why_it_cannot_serve(backend: Backend, tmp_path: Path) -> None:
    settings = {"CASELADDER_DATABASE_URL": as_writer(backend.database)}
    data = ("--data", str(tmp_path))
    owner = {"CASELADDER_DATABASE_URL": backend.database, "TEMPORAL_ADDRESS": address(backend.env.client)}
    said = call("serve", "--port", "0", *data, env=owner).refused(2)
    assert said.startswith("CASELADDER_DATABASE_URL must be the address of a role that only writes, and postgres is a")
    assert "CASELADDER_ACCESS" in call("serve", "--host", "0.0.0.0", *data, env=settings).refused(2)
    with free_socket() as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port {port}" in call("serve", "--port", port, *data, env=settings).refused(2)
    assert not os.listdir(tmp_path)
