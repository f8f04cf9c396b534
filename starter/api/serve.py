"""The server process: uvicorn around the application, ended in good order by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from starter.api.app import create_app
from starter.api.issuer import check_loopback
from starter.api.services import Services, services
from starter.recovery.waiting import tell_while_waiting
from starter.retention import advise
from starter.settings import Settings, SettingsError

# Seconds that requests under way get to end when the process is asked to stop; streams end at once.
GRACE = 7

# Seconds that a connection may idle. A client that sends a request in the moment in which the server closes gets
# a reset and may not repeat a POST, so the client should close first: nginx does after 60 s, Caddy after 120 s.
IDLE = 150

log = structlog.get_logger("caseladder.serve")


class Protocol(HttpToolsProtocol):
    """HTTP whose connections can be cut: one whose client reads no more never ends by itself."""

    def on_message_begin(self) -> None:
        """Give the request the means."""
        super().on_message_begin()
        self.scope["caseladder.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]


class Server(uvicorn.Server):
    """Ends the streams when it is asked to stop, since they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, made: Services) -> None:
        super().__init__(config)
        self._services = made

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and then end like a program that was done: uvicorn would die of it once more."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._stop)
        yield

    def _stop(self) -> None:
        log.info("stopping", seconds=GRACE)
        self._services.live.close()
        self.should_exit = True


async def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: a setting cannot be used, or the development issuer would be reached from elsewhere.
        Unreachable: the configuration of Temporal cannot be used.
    """
    if settings.access is None:
        check_loopback(host, settings.public_url)
    with _listening(host, port) as listening:
        async with services(settings) as made:
            telling = [
                asyncio.create_task(_check_retention(made)),
                asyncio.create_task(tell_while_waiting(made.database, log)),
            ]
            try:
                await _serve(made, listening)
            finally:
                for task in telling:
                    task.cancel()
                await asyncio.gather(*telling, return_exceptions=True)


async def _check_retention(made: Services) -> None:
    advice = await advise(made.temporal)
    if advice is not None:
        log.warning("short_retention", reason=advice)


def config(app: ASGIApp, grace: int = GRACE) -> uvicorn.Config:
    """Say how uvicorn serves an application.

    Args:
        grace: seconds that requests under way get to end.
    """
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        # Ours is set up, and a line for each request says nothing that metrics do not.
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=grace,
        h11_max_incomplete_event_size=16384,
    )


async def _serve(made: Services, listening: socket.socket) -> None:
    server = Server(config(create_app(made)), made)
    host, port, *_ = listening.getsockname()
    # Whoever reads the line may connect; uvicorn itself listens a moment later.
    listening.listen(server.config.backlog)
    log.info("serving", host=host, port=port)
    await server.serve(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    made = None
    try:
        family, sort, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Named, or the event loop would not turn off what delays small answers by 40 ms.
        made = socket.socket(family, sort, socket.IPPROTO_TCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        if made is not None:
            made.close()
        raise SettingsError(f"--host {host} --port {port}: nothing can listen there: {error.strerror}") from None
    return made
