"""A subscriber's HTTP server for tests, which records the requests and answers as configured."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message id."""
        return self.headers["webhook-id"]

    @property
    def event_key(self) -> tuple[str, int]:
        """The case id and the seq of the event."""
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data["case"], data["event"]["seq"]


# Returns a status line, with headers after it if needed; "hang" to never answer, "close" to hang up.
Behaviour = Callable[[Call], Awaitable[str]]


class Receiver:
    """The server; ``behaviour`` decides how each request is answered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        # The number of connections, with or without a request.
        self.connections = 0
        self.behaviour: Behaviour = always("204 No Content")
        self.port = 0
        self.scheme = "http"

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        """Return a URL of the server."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    def event_keys(self) -> list[tuple[str, int]]:
        """Return the events that arrived, including repeats."""
        return [call.event_key for call in self.calls]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        self.connections += 1
        try:
            # Tests close the connection or stop the server in the middle of a request.
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    call = await _read(reader)
                    self.calls.append(call)
                    answer = await self.behaviour(call)
                    if answer == "close":
                        return
                    if answer == "hang":
                        await reader.read()
                        return
                    lines = ["HTTP/1.1 " + answer.replace("\n", "\r\n"), "content-length: 0", "", ""]
                    writer.write("\r\n".join(lines).encode())
                    await writer.drain()
        finally:
            writer.close()


def always(answer: str) -> Behaviour:
    """Answer every request with the same status."""

    async def behaviour(call: Call) -> str:
        return answer

    return behaviour


async def _read(reader: asyncio.StreamReader) -> Call:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(lines[0].split()[1], headers, body)


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver for the block."""
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    made.scheme = "http" if tls is None else "https"
    try:
        yield made
    finally:
        server.close()
        for task in asyncio.all_tasks():
            if "Receiver.serve" in repr(task.get_coro()):
                task.cancel()
