"""One console and one browser for all tests; each test opens its own pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser

from activities.database.migrate import migrate
from starter.console import now
from tests.console.browser import browser as chromium
from tests.console.server import ConsoleServer, open_console
from tests.notifications import MailServer
from tests.postgres import cluster
from tests.temporal import time_skipping


@asynccontextmanager
async def console_alone(folders: pytest.TempPathFactory, **more: Any) -> AsyncIterator[ConsoleServer]:
    """Serve a console over its own backend, database and engine, with ``more`` as `open_console` takes it."""
    with cluster() as postgres:
        database = await postgres.fresh_database()
        await migrate(database)
        async with time_skipping() as env, open_console(env, database, folders.mktemp("console"), **more) as made:
            yield made


@asynccontextmanager
async def console_with_mail(folders: pytest.TempPathFactory, server: MailServer) -> AsyncIterator[ConsoleServer]:
    """Serve a console whose mails go to a mail server of this machine, and which takes answers to them."""
    smtp = f"smtp://127.0.0.1:{server.port}"
    async with server.up(), console_alone(folders, smtp=smtp, reply_address="answers@example.com") as made:
        yield made


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the list of Now have room for what other tests left behind."""
    monkeypatch.setattr(now, "STEP", 60)


@pytest.fixture(scope="package")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsoleServer]:
    """The console."""
    async with console_alone(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    async with chromium() as made:
        yield made
