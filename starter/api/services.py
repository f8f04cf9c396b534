"""What the API and the console are made of, opened once for a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import structlog
from temporalio.client import Client

from activities.access import doors
from activities.access.doors import DoorBook
from activities.casebook import book as casebook
from activities.casebook import search as desk
from activities.casebook.book import Casebook
from activities.casebook.search import Desk
from activities.database.pool import DatabaseAway, StatementFailed
from activities.events import feed
from activities.events.feed import Feed
from activities.people import directory
from activities.people.directory import DirectoryBook
from activities.policies import calendar_years
from activities.policies.store import Policies
from cases.vocabulary.refusals import Refused
from starter.access import read_access
from starter.api.auth import LocalKeys, RemoteKeys, Verifier
from starter.api.issuer import Issuer
from starter.api.live import Live
from starter.client import CaseClient
from starter.connection import connect
from starter.settings import Settings, SettingsError

# Seconds between two times at which old answers are forgotten.
FORGET = 3600

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Services:
    """What a request needs. ``issuer`` is the development issuer; None with an issuer of one's own."""

    settings: Settings
    temporal: Client
    book: Casebook
    desk: Desk
    feed: Feed
    cases: CaseClient
    directory: DirectoryBook
    policies: Policies
    doors: DoorBook
    live: Live
    verifier: Verifier
    issuer: Issuer | None


@asynccontextmanager
async def services(settings: Settings, client: Client | None = None) -> AsyncIterator[Services]:
    """Everything a server needs; what is away now is connected to when it is first used.

    Args:
        settings: with the database's address.
        client: a connection to Temporal, else one is made.

    Raises:
        SettingsError: a setting, or the access table, cannot be used.
        Unreachable: the configuration of Temporal cannot be used.
    """
    if settings.database_url is None:
        raise SettingsError("CASELADDER_DATABASE_URL is missing: the API reads the casebook")
    url = settings.database_url.get_secret_value()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        book, reads = await enter(casebook.connect(url)), await enter(feed.connect(url))
        staff, keeps = await enter(directory.connect(url)), await enter(doors.connect(url))
        calendar = await enter(calendar_years.connect(url))
        policies = Policies(settings.policies, calendar.current)
        issuer, verifier = await _verifier(settings, policies, staff, keeps, stack)
        temporal = client or await connect(settings.data, lazy=True)
        live = Live(reads)
        made = Services(
            settings=settings,
            temporal=temporal,
            book=book,
            desk=await enter(desk.connect(url)),
            feed=reads,
            cases=CaseClient(temporal),
            directory=staff,
            policies=policies,
            doors=keeps,
            live=live,
            verifier=verifier,
            issuer=issuer,
        )
        tasks = [asyncio.create_task(live.run()), asyncio.create_task(_forget(keeps))]
        try:
            yield made
        finally:
            live.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _verifier(
    settings: Settings, policies: Policies, staff: DirectoryBook, keeps: DoorBook, stack: AsyncExitStack
) -> tuple[Issuer | None, Verifier]:
    roles = all_roles(policies)
    if settings.access is None:
        issuer = Issuer(settings.data)
        return issuer, Verifier(issuer.table(roles), LocalKeys(issuer.jwks()), keeps, staff.current)
    try:
        table = read_access(settings.access.read_text("utf-8"), roles)
    except Refused as refusal:
        raise SettingsError(f"{settings.access}: {refusal.message}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{settings.access}: cannot be read: {error}") from None
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
    return None, Verifier(table, RemoteKeys(table, client), keeps, staff.current)


def all_roles(policies: Policies) -> tuple[str, ...]:
    """Every role of every policy, those of the default policy first."""
    found: dict[str, None] = {}
    for name in sorted(policies.names(), key=lambda one: one != "default"):
        with suppress(Refused):
            found.update(dict.fromkeys(policies.load(name).all_roles))
    return tuple(found)


async def _forget(keeps: DoorBook) -> None:
    while True:
        try:
            await keeps.forget()
        except (DatabaseAway, StatementFailed) as error:
            log.warning("answers_not_forgotten", reason=str(error))
        await asyncio.sleep(FORGET)
