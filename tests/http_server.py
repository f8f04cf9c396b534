"""A web application served over HTTP on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from starter.api.serve import Server, config
from starter.settings import Settings
from tests.temporal import eventually


def free_socket() -> socket.socket:
    """Bind a socket to a free port of this machine."""
    # The event loop turns off the delay of small answers (40 ms) only if the protocol is named.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


def address_of(bound: socket.socket) -> str:
    """Return the address of what is served on a socket."""
    return f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def serving(
    app: Starlette, settings: Settings | None = None, bound: socket.socket | None = None
) -> AsyncIterator[str]:
    """Serve an application for the block as the product does, and yield its address.

    Args:
        app: the application.
        settings: those of the server.
        bound: the socket, where its address had to be known before; else one of its own.
    """
    server = Server(config(app, settings or Settings(), grace=3))
    with bound or free_socket() as listening:
        # Without the server's signal handlers, since signals are handled by the test run.
        task = asyncio.create_task(server._serve([listening]))
        try:
            await eventually(lambda: _started(server), bool)
            yield address_of(listening)
        finally:
            server.should_exit = True
            await task


async def _started(server: uvicorn.Server) -> bool:
    return server.started
