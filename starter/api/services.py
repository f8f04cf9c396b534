"""The services of the API and the console, opened once for a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import structlog
from temporalio.client import Client

from activities.access.access_log import AccessLog
from activities.access.api_keys import ApiKeys
from activities.access.idempotency import Idempotency
from activities.access.sessions import EndedSessions
from activities.attachments.book import Attachments
from activities.casebook.audit import Audit
from activities.casebook.read import Casebook
from activities.casebook.related import Related
from activities.casebook.search import Search
from activities.casebook.statistics import Statistics
from activities.casebook.worklist import Worklist
from activities.database.database import Database
from activities.database.errors import DatabaseAway, StatementFailed
from activities.desk.drafts import FilingDrafts
from activities.events.feed import Feed
from activities.payouts import Payouts
from activities.payouts.payees import Payees
from activities.people.desk import Desk
from activities.people.directory import DirectoryBook
from activities.policies.calendar_years import CalendarYears
from activities.policies.store import Policies
from activities.replies.customers import Customers
from activities.replies.templates import ReplyTemplates
from activities.replies.ways import Ways
from cases.vocabulary.refusals import Refused
from starter.access import read_access
from starter.api import limits
from starter.api.auth import LocalKeys, RemoteKeys, Verifier
from starter.api.connections import most_connections
from starter.api.issuer import Issuer
from starter.api.live import Live
from starter.attachments import attachments_of
from starter.client import CaseClient
from starter.connection import connect
from starter.finding import searching
from starter.forms import Forms, declared_forms
from starter.payouts import payouts_of
from starter.replies import ways_of
from starter.senders import signer_of
from starter.settings import Settings, SettingsError

# Seconds between two times at which old answers and drafts are forgotten.
FORGET = 3600
# What PostgreSQL calls the connections.
PROGRAM = "caseladder-api"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Services:
    """Everything that a request needs.

    Args:
        forms: what the policies declared when the program started, by name.
        issuer: the development issuer; None with an issuer of one's own.
        ways: how replies go out to customers, and the templates that they are written from.
    """

    settings: Settings
    temporal: Client
    database: Database
    casebook: Casebook
    search: Search
    related: Related
    drafts: FilingDrafts
    worklist: Worklist
    statistics: Statistics
    audit: Audit
    cases: CaseClient
    directory: DirectoryBook
    desk: Desk
    policies: Policies
    forms: Forms
    keys: ApiKeys
    idempotency: Idempotency
    access_log: AccessLog
    sessions: EndedSessions
    feed: Feed
    live: Live
    verifier: Verifier
    issuer: Issuer | None
    payouts: Payouts
    payees: Payees
    attachments: Attachments
    customers: Customers
    ways: Ways
    reply_templates: ReplyTemplates
    limiter: limits.Limiter
    attempts: limits.Attempts
    streams: limits.Crowd
    writes: limits.Crowd


@asynccontextmanager
async def services(settings: Settings, client: Client | None = None) -> AsyncIterator[Services]:
    """Open everything that a server needs; what is away now is connected to when it is first used.

    Args:
        settings: with the database's address.
        client: a connection to Temporal, else one is made.

    Raises:
        SettingsError: a setting, or the access table, cannot be used.
        TooPowerful: the role of the database's address may do more than write.
        Unreachable: the configuration of Temporal cannot be used.
    """
    if settings.database_url is None:
        raise SettingsError("CASELADDER_DATABASE_URL is missing: the API reads the casebook")
    url, connections = settings.database_url.get_secret_value(), settings.database_connections
    async with AsyncExitStack() as stack:
        opened = Database.open(url, connections=connections, only_writes=True, program=PROGRAM)
        database = await stack.enter_async_context(opened)
        await database.check_role()
        directory, keys, feed = DirectoryBook(database), ApiKeys(database), Feed(database)
        policies = Policies(settings.policies, CalendarYears(database).current)
        forms = declared_forms(policies)
        issuer, verifier = await _verifier(settings, policies, directory, keys, forms, stack)
        temporal = client or await connect(settings.data, lazy=True)
        live, idempotency, casebook = Live(feed), Idempotency(database), Casebook(database)
        drafts = FilingDrafts(database)
        services = Services(
            settings=settings,
            temporal=temporal,
            database=database,
            casebook=casebook,
            search=searching(database, settings, lambda: forms),
            related=Related(database),
            drafts=drafts,
            worklist=Worklist(database),
            statistics=Statistics(database),
            audit=Audit(database),
            cases=CaseClient(temporal, casebook, signer_of(settings), policies.in_force),
            directory=directory,
            desk=Desk(database),
            policies=policies,
            forms=forms,
            keys=keys,
            idempotency=idempotency,
            access_log=AccessLog(database),
            sessions=EndedSessions(database),
            feed=feed,
            live=live,
            verifier=verifier,
            issuer=issuer,
            payouts=payouts_of(settings, database),
            payees=Payees(database),
            attachments=attachments_of(settings, database),
            customers=Customers(database),
            ways=ways_of(settings),
            reply_templates=ReplyTemplates(settings.templates),
            limiter=limits.Limiter(settings.rate_limit),
            attempts=limits.Attempts(settings.failure_limit),
            # Half of the connections are left to requests.
            streams=limits.streams(most_connections(settings) // 2),
            writes=limits.writes(),
        )
        tasks = [asyncio.create_task(live.run()), asyncio.create_task(_forget(idempotency, drafts))]
        try:
            yield services
        finally:
            live.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _verifier(
    settings: Settings,
    policies: Policies,
    directory: DirectoryBook,
    keys: ApiKeys,
    forms: Forms,
    stack: AsyncExitStack,
) -> tuple[Issuer | None, Verifier]:
    roles = all_roles(policies)
    if settings.access is None:
        issuer = Issuer(settings.data)
        return issuer, Verifier(issuer.table(roles), LocalKeys(issuer.jwks()), keys, directory.now, forms)
    try:
        table = read_access(settings.access.read_text("utf-8"), roles)
    except Refused as refusal:
        raise SettingsError(f"{settings.access}: {refusal.message}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{settings.access}: cannot be read: {error}") from None
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
    return None, Verifier(table, RemoteKeys(table, client), keys, directory.now, forms)


def all_roles(policies: Policies) -> tuple[str, ...]:
    """Return every role of every policy, those of the default policy first."""
    roles: dict[str, None] = {}
    for name in sorted(policies.names(), key=lambda one: one != "default"):
        with suppress(Refused):
            roles.update(dict.fromkeys(policies.load(name).all_roles))
    return tuple(roles)


async def _forget(idempotency: Idempotency, drafts: FilingDrafts) -> None:
    while True:
        try:
            await idempotency.forget()
            await drafts.forget()
        except (DatabaseAway, StatementFailed) as error:
            log.warning("answers_not_forgotten", reason=str(error))
        await asyncio.sleep(FORGET)
