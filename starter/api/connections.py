"""Connections of clients: how many there may be, and how long one may keep the server waiting.

Each open connection is an open file of this process, of which the system allows a number (`ulimit -n`). When all
that are meant for clients are taken, or all that one address may have, room is made for who comes next: first goes
who has kept the server waiting for a second, then who has idled longest, then who waits at all. A request that is
being answered, to a client that reads, is never cut for it; when there are only such, who comes next is refused.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Sequence
from enum import Enum
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from starter.settings import Settings, SettingsError

# Bytes of a request's headers; of what frames its body, such as the lengths of its chunks.
LONGEST, FRAMING = 32_768, 1_048_576
# Connections taken in one turn of the event loop. What is closed to make room is gone two turns later.
TAKEN = 8
# Open files that are no connection of a client or to the database: what is taken but not closed yet, the engine's
# connections, the issuer, the log, files being read.
OTHERS = 4 * TAKEN + 48
# Seconds after which a client that was refused may ask again.
BUSY = 2
# Connections in all, however many files may be open, and so few that it is of no use to serve.
MOST, FEWEST = 4096, 16
# Seconds after which a connection that keeps the server waiting goes before those that idle.
PATIENCE = 1.0
# Seconds between two lines in the log that say that room was made.
QUIET = 60.0

log = structlog.get_logger("caseladder.serve")


def most_connections(settings: Settings) -> int:
    """How many connections of clients fit into the open files that this process may have.

    Raises:
        SettingsError: hardly any do.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = files - OTHERS - settings.database_connections
    if files == resource.RLIM_INFINITY or room > MOST:
        return MOST
    if room < FEWEST:
        least = FEWEST + OTHERS + settings.database_connections
        raise SettingsError(
            f"ulimit -n = {files}: this process may open too few files to serve; allowed: {least} or more"
        )
    return room


def place(host: str) -> str:
    """Return what a client is counted under: its IPv4 address, or its IPv6 network."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    # Who has an IPv6 address has 2^64 of them; all of IPv4 is one of these networks, as a proxy may name it.
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))


class Stage(Enum):
    """What a connection waits for: these four for the client, an answer for the server, or for a further request."""

    HEADERS = "headers"
    BODY = "body"
    READING = "reading"
    CLOSING = "closing"
    ANSWER = "answer"
    IDLE = "idle"


# Seconds that a client may take: from the connection, or the first byte of a further request, to the end of its
# headers; from there to the end of its body; to read on while more is to be sent than is kept; and to read the
# last of what it is sent, once the connection is closed.
SECONDS = {Stage.HEADERS: 10.0, Stage.BODY: 30.0, Stage.READING: 30.0, Stage.CLOSING: 30.0}


class Group:
    """Connections that share a limit. Of those that can be closed, who has waited longest comes first."""

    def __init__(self) -> None:
        self.count = 0
        self.slow: dict[Protocol, None] = {}
        self.idle: dict[Protocol, None] = {}

    def first(self, now: float) -> Protocol | None:
        """Which connection goes if one must; None if each is being answered."""
        slow, idle = next(iter(self.slow), None), next(iter(self.idle), None)
        return slow if slow is not None and (idle is None or now - slow.since >= PATIENCE) else idle

    def move(self, one: Protocol, stage: Stage | None) -> None:
        """Put a connection where its stage belongs; None for one that is gone."""
        self.slow.pop(one, None)
        self.idle.pop(one, None)
        if stage is Stage.IDLE:
            self.idle[one] = None
        elif stage in SECONDS:
            self.slow[one] = None


class Connections:
    """The connections of one server.

    Args:
        most: in all; one address may have half of them.
        proxies: who speaks for many clients, and may have all of them.
    """

    def __init__(self, most: int, proxies: Sequence[IPv4Network | IPv6Network]) -> None:
        self._most, self._proxies = most, proxies
        self._all = Group()
        self._at: dict[str, Group] = {}
        self._told = float("-inf")

    def enter(self, one: Protocol) -> bool:
        """Take a new connection in, for which another may have to go; False if there is no room for it."""
        at = self._at.get(one.place) or Group()
        share = self._most if self._is_proxy(one.host) else self._most // 2
        for group, most in ((at, share), (self._all, self._most)):
            if group.count >= most:
                self._tell(one.loop.time())
                gone = group.first(one.loop.time())
                if gone is None:
                    return False
                self.leave(gone)
                gone.transport.abort()
        self._at[one.place] = at
        for group in (self._all, at):
            group.count += 1
        one.inside = True
        return True

    def leave(self, one: Protocol) -> None:
        """Let a connection go; harmless if it is gone already."""
        if not one.inside:
            return
        one.inside = False
        at = self._at[one.place]
        for group in (self._all, at):
            group.count -= 1
            group.move(one, None)
        if not at.count:
            del self._at[one.place]

    def move(self, one: Protocol, stage: Stage) -> None:
        """Note what a connection waits for from now on."""
        if one.inside:
            for group in (self._all, self._at[one.place]):
                group.move(one, stage)

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _tell(self, now: float) -> None:
        if now - self._told >= QUIET:
            self._told = now
            log.warning("connections_full", open=self._all.count, most=self._most)


class Protocol(HttpToolsProtocol):
    """HTTP whose clients are held to their times; a connection can be cut, since one that is not read never ends.

    Args:
        connections: those that this one is one of.
    """

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        # Who is connected; whether that counts; and since when what is waited for is waited for.
        self.host = self.place = ""
        self.inside = False
        self.since = 0.0
        self._stage: tuple[Stage, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        # What the client owes of the request that it sends, how many it has begun, and how much this one has taken
        # beside its body.
        self._owed: Stage | None = Stage.HEADERS
        self._begun = 0
        self._framing = 0
        # Whether more is to be sent than the client has read.
        self._full = False

    # --- what asyncio says ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in, or refuse it."""
        super().connection_made(transport)
        if self.client is not None:
            # A server that listens on IPv6 sees IPv4 as part of it.
            self.client = (self.client[0].removeprefix("::ffff:"), self.client[1])
            self.host, self.place = self.client[0], place(self.client[0])
        if not self._connections.enter(self):
            self._refuse(503, "there are too many connections; try again soon")
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the connection go."""
        self._connections.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, as far as there is an end to it."""
        self._framing += len(data)
        if self._owed is None:
            # Blank lines before a request too: who sends them all the time idles never.
            self._owe(Stage.HEADERS)
        super().data_received(data)
        if self._owed is Stage.HEADERS and self._framing > LONGEST:
            self._refuse(431, f"the headers of a request have at most {LONGEST} bytes")
        elif self._framing > FRAMING:
            self._refuse(400, "a body is not cut into that many chunks")
        self._settle()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._full = True
        self._settle()

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        self._full = False
        self._settle()

    # --- what the parser says ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request, and give it the means to cut the connection."""
        super().on_message_begin()
        self._owe(Stage.HEADERS)
        self.scope["caseladder.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        super().on_headers_complete()
        self._owe(Stage.BODY)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, whose length the application looks at."""
        super().on_body(body)
        self._framing -= len(body)

    def on_message_complete(self) -> None:
        """Note that the client has sent all of it."""
        super().on_message_complete()
        self._owe(None)

    # --- what becomes of it -----------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._settle()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that has idled; one whose client never read the answer would not close."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _owe(self, owed: Stage | None) -> None:
        if owed is not Stage.HEADERS:
            self._framing = 0
        elif self._owed is not owed:
            self._begun += 1
        self._owed = owed

    def _settle(self) -> None:
        """Find what is waited for now, and keep the time of it."""
        if self.transport.is_closing():
            stage = Stage.CLOSING
        elif self._owed is Stage.BODY:
            stage = Stage.BODY
        elif self.cycle is not None and not self.cycle.response_complete:
            stage = Stage.READING if self._full else Stage.ANSWER
        else:
            stage = self._owed or Stage.IDLE
        if self._stage == (stage, self._begun):
            return
        self._stage, self.since = (stage, self._begun), self.loop.time()
        self._connections.move(self, stage)
        if self._timer is not None:
            self._timer.cancel()
        seconds = SECONDS.get(stage)
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow, stage)

    def _too_slow(self, stage: Stage) -> None:
        answered = self.cycle is not None and self.cycle.response_started
        if (
            stage is Stage.CLOSING
            or (stage is Stage.BODY and answered)
            or (stage is Stage.HEADERS and not self._framing)
        ):
            # Nobody waits for an answer: there was one, or nothing that could be answered.
            self.transport.abort()
        else:
            self._refuse(408, f"the {stage.value} of a request must come within {SECONDS[stage]:g} seconds")
            self._settle()

    def _refuse(self, status: int, detail: str) -> None:
        """Say no in place of the application, and end the connection."""
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if answering or self.transport.get_write_buffer_size():
            self.transport.abort()
            return
        title = HTTPStatus(status).phrase
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        text = json.dumps({**body, "code": title.lower().replace(" ", "_")})
        head = f"HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\nContent-Length: {len(text)}\r\n"
        more = f"Retry-After: {BUSY}\r\n" if status == 503 else ""
        self.transport.write(f"{head}{more}Connection: close\r\n\r\n{text}".encode())
        self.transport.close()
