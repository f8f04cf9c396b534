"""The server process: uvicorn around the application, ended in good order by SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from starter.api.app import create_app
from starter.api.connections import TAKEN, Connections, Protocol, most_connections
from starter.api.issuer import check_loopback
from starter.api.services import Services, services
from starter.recovery.waiting import tell_while_waiting
from starter.retention import advise
from starter.settings import Settings, SettingsError

# Seconds that requests under way get to end when the process is asked to stop; streams end at once.
GRACE = 7

# Connections that wait in the system until they are taken in, and the seconds for which one on which nothing is sent
# waits there.
WAITING, DEFERRED = 2048, 10

# Seconds that a connection may idle. A client that sends a request in the moment in which the server closes gets
# a reset and may not repeat a POST, so the client should close first: nginx does after 60 s, Caddy after 120 s.
IDLE = 150

log = structlog.get_logger("caseladder.serve")


class Server(uvicorn.Server):
    """Waits for many connections and takes few at a time, and ends in good order.

    Args:
        ended: called when it is asked to stop, to end the streams, which would never end by themselves.
    """

    def __init__(self, config: uvicorn.Config, ended: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._ended = ended

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and then end like a program that was done: uvicorn would die of it once more."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, self._stop)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections in."""
        await super().startup(sockets)
        # asyncio has one number for how many wait in the system, and how many it takes before it looks at any.
        for listening in sockets or ():
            listening.listen(WAITING)

    def _stop(self) -> None:
        log.info("stopping", seconds=GRACE)
        self._ended()
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


def config(app: ASGIApp, settings: Settings, grace: int = GRACE) -> uvicorn.Config:
    """Say how uvicorn serves an application.

    Args:
        grace: seconds that requests under way get to end.

    Raises:
        SettingsError: this process may open too few files.
    """
    connections = Connections(most_connections(settings), settings.proxy_networks)
    return uvicorn.Config(
        app,
        # What it calls as a class; it is not looked at otherwise.
        http=cast(Any, partial(Protocol, connections)),
        ws="none",
        lifespan="off",
        # Ours is set up, and a line for each request says nothing that metrics do not.
        log_config=None,
        access_log=False,
        server_header=False,
        # Whoever is none of these does not say who is connected, and how.
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=[name for network in settings.proxy_networks for name in _names(network)],
        backlog=TAKEN,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=grace,
    )


def _names(network: IPv4Network | IPv6Network) -> list[str]:
    """Return how a network of proxies is written: one that listens on IPv6 writes IPv4 as part of it."""
    if isinstance(network, IPv6Network):
        return [str(network)]
    return [str(network), f"::ffff:{network.network_address}/{96 + network.prefixlen}"]


async def _serve(made: Services, listening: socket.socket) -> None:
    server = Server(config(create_app(made), made.settings), made.live.close)
    # What the program itself consists of stays; to go through it again and again for what may go keeps a request
    # waiting for a tenth of a second each time (bench/pages.py).
    gc.collect()
    gc.freeze()
    host, port, *_ = listening.getsockname()
    # Whoever reads the line may connect; uvicorn itself listens a moment later.
    listening.listen(WAITING)
    log.info("serving", host=host, port=port)
    await server.serve(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    made = None
    try:
        family, sort, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Named, or the event loop would not turn off what delays small answers by 40 ms.
        made = socket.socket(family, sort, socket.IPPROTO_TCP)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            # Linux hands a connection over once something was sent on it, so that who asks at once is never among
            # those who keep the server waiting, however many there are.
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFERRED)
        made.bind(address)
    except OSError as error:
        if made is not None:
            made.close()
        raise SettingsError(f"--host {host} --port {port}: nothing can listen there: {error.strerror}") from None
    return made
