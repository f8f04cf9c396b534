"""Clients that keep the server waiting, and more of them than there is room for."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from starter.api import connections
from starter.api.connections import SECONDS, most_connections, place
from starter.settings import Settings, SettingsError
from tests.http_server import serving

HEAD = b"GET /who HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /who HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


class Wire:
    """A client that sends what it likes, when it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, head: bytes = HEAD) -> tuple[int, dict[str, Any]]:
        """Send a whole request, and return what comes of it."""
        self.writer.write(head + b"\r\n")
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Read an answer: its status and its JSON."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            return int(head.split()[1]), json.loads(await self.reader.readexactly(length))

    async def closed(self, within: float = 5) -> bool:
        """Whether the server ends the connection, after whatever it says."""
        try:
            async with asyncio.timeout(within):
                await self.reader.read()
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


@asynccontextmanager
async def wires(base: str, count: int = 1) -> AsyncIterator[list[Wire]]:
    """Open connections for the block."""
    host, port = base.removeprefix("http://").split(":")
    made = [Wire(*await asyncio.open_connection(host, port)) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.writer.transport.abort()


async def who(request: Request) -> Response:
    """Say who is connected, once the body is there."""
    with suppress(ClientDisconnect):
        await request.body()
    assert request.client is not None
    return JSONResponse({"host": request.client.host, "scheme": request.url.scheme})


async def early(request: Request) -> Response:
    """Answer before the body is there."""
    return JSONResponse({})


async def big(request: Request) -> Response:
    """Answer with more than a socket takes."""
    return Response(b"x" * 30_000_000)


async def long(request: Request) -> Response:
    """Never end."""

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(0.05)

    return StreamingResponse(forever())


APP = Starlette(
    routes=[
        Route("/who", who, methods=["GET", "POST"]),
        Route("/early", early, methods=["POST"]),
        Route("/big", big),
        Route("/long", long),
    ]
)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give clients less time."""
    monkeypatch.setattr(connections, "SECONDS", dict.fromkeys(SECONDS, 0.3))


@pytest.mark.usefixtures("hurried")
async def test_a_request_must_come_within_its_time() -> None:
    async with serving(APP) as base, wires(base, 7) as (mute, half, drip, body, answered, blank, again):
        half.writer.write(b"GET /who HTT")
        body.writer.write(POST + b"x")
        answered.writer.write(POST.replace(b"/who", b"/early") + b"x")
        assert (await again.ask())[0] == 200
        again.writer.write(b"GET /wh")
        assert (await blank.ask())[0] == 200
        drip.writer.write(HEAD)
        for _ in range(4):
            # A byte now and then is no progress.
            for one, sent in ((drip, b"X"), (body, b"x"), (answered, b"x"), (blank, b"\r\n")):
                one.writer.write(sent)
            await asyncio.sleep(0.1)
        for one, what in ((half, "headers"), (drip, "headers"), (body, "body"), (again, "headers"), (blank, "headers")):
            status, said = await one.answer()
            assert (status, said["code"]) == (408, "request_timeout")
            assert said["detail"] == f"the {what} of a request must come within 0.3 seconds"
        # This one has its answer, though the rest of its body is still owed.
        assert (await answered.answer())[0] == 200
        for one in (mute, half, drip, body, answered, blank, again):
            assert await one.closed()


@pytest.mark.usefixtures("hurried")
async def test_an_answer_takes_as_long_as_it_takes() -> None:
    async with serving(APP) as base, wires(base, 2) as (stream, idle):
        stream.writer.write(HEAD.replace(b"/who", b"/long") + b"\r\n")
        assert (await idle.ask())[0] == 200
        await asyncio.sleep(0.5)
        assert not await stream.closed(0.1)
        assert (await idle.ask())[0] == 200


@pytest.mark.usefixtures("hurried")
async def test_a_client_that_never_reads_its_answer_is_cut() -> None:
    async with serving(APP) as base, wires(base) as (one,):
        one.writer.write(HEAD.replace(b"/who", b"/big") + b"Connection: close\r\n\r\n")
        await asyncio.sleep(1.5)
        # What is left in the server's buffer does not come any more.
        async with asyncio.timeout(5):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await one.reader.readexactly(30_000_000)


async def test_headers_and_frames_have_a_length() -> None:
    chunked = b"POST /who HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    async with serving(APP) as base, wires(base, 2) as (head, trailer):
        head.writer.write(HEAD + b"X: " + b"x" * 40_000)
        assert (await head.answer())[0] == 431
        trailer.writer.write(chunked + b"x" * 1_300_000)
        assert (await trailer.answer())[0] == 400


# --- too many -------------------------------------------------------------------------------------


async def test_room_is_made_by_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starter.api.serve.most_connections", lambda settings: 10)
    settings = Settings(proxies="127.0.0.1")
    async with serving(APP, settings) as base, wires(base, 4) as busy, wires(base, 2) as idle:
        for one in busy:
            one.writer.write(HEAD.replace(b"/who", b"/long") + b"\r\n")
            await one.reader.readuntil(b"\r\n\r\n")
        for one in idle:
            assert (await one.ask())[0] == 200
        async with wires(base, 4) as half, wires(base) as (good,):
            # All have come just now, so the one that has idled longest goes first.
            assert (await good.ask())[0] == 200
            assert await idle[0].closed()
            await asyncio.sleep(connections.PATIENCE)
            # From now on those who keep the server waiting go first.
            async with wires(base, 4) as more:
                for one in half:
                    assert await one.closed()
                assert (await idle[1].ask())[0] == 200
                assert (await more[-1].ask())[0] == 200
            for one in busy:
                assert not await one.closed(0.1)


async def test_who_reads_nothing_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starter.api.serve.most_connections", lambda settings: 10)
    async with serving(APP) as base, wires(base, 5) as deaf:
        for one in deaf:
            # The second answer waits until the first is read.
            one.writer.write(2 * (HEAD.replace(b"/who", b"/big") + b"\r\n"))
        await asyncio.sleep(connections.PATIENCE + 0.2)
        async with wires(base, 3) as good:
            for one in good:
                assert (await one.ask())[0] == 200


async def test_one_address_has_half_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starter.api.serve.most_connections", lambda settings: 10)
    async with serving(APP) as base, wires(base, 5) as busy:
        for one in busy:
            one.writer.write(HEAD.replace(b"/who", b"/long") + b"\r\n")
            await one.reader.readuntil(b"\r\n\r\n")
        async with wires(base) as (more,):
            status, said = await more.ask()
            assert (status, said["code"]) == (503, "service_unavailable")
            assert await more.closed()
        busy[0].writer.transport.abort()
        await asyncio.sleep(0.2)
        async with wires(base) as (more,):
            assert (await more.ask())[0] == 200


def test_how_many_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def at(files: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
        return most_connections(Settings(database_connections=10))

    assert (at(200), at(1024), at(1_000_000), at(resource.RLIM_INFINITY)) == (110, 934, 4096, 4096)
    with pytest.raises(SettingsError, match=r"ulimit -n = 64: .* allowed: 106 or more"):
        at(64)


def test_where_somebody_is() -> None:
    assert place("192.0.2.7") == "192.0.2.7"
    assert place("2001:db8:1:2:3:4:5:6") == place("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert place("2001:db8:1:3::9") != place("2001:db8:1:2::9")
    assert place("::ffff:192.0.2.7") == place("192.0.2.7") != place("::ffff:192.0.2.8")
    assert place("") == ""


# --- who is connected -----------------------------------------------------------------------------

SAID = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=203.0.113.9;proto=https\r\n"


async def test_only_a_proxy_says_who_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    # What uvicorn itself believes is not asked.
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    for proxies, found in (
        ("", {"host": "127.0.0.1", "scheme": "http"}),
        ("192.0.2.1, 10.0.0.0/8", {"host": "127.0.0.1", "scheme": "http"}),
        ("127.0.0.0/8", {"host": "203.0.113.9", "scheme": "https"}),
    ):
        async with serving(APP, Settings(proxies=proxies)) as base, wires(base) as (one,):
            assert (await one.ask(HEAD + SAID))[1] == found, proxies
            # A client's own word comes before what the proxy adds, and does not count.
            if proxies.startswith("127"):
                assert (await one.ask(HEAD + b"X-Forwarded-For: 1.1.1.1, 192.0.2.8\r\n"))[1]["host"] == "192.0.2.8"
                # A proxy behind another that listens on IPv6 is the same proxy.
                passed = b"X-Forwarded-For: 192.0.2.8, ::ffff:127.0.0.9\r\n"
                assert (await one.ask(HEAD + passed))[1]["host"] == "192.0.2.8"


def test_proxies_are_addresses() -> None:
    for wrong in ("*", "proxy.example.com", "10.0.0.1/8", "10.0.0.0/8 10.1.0.0/16"):
        with pytest.raises(ValueError, match="is no address or network"):
            Settings(proxies=wrong)
