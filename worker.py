"""The worker process: connect, register, poll, drain on SIGTERM. Scale by starting more of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import structlog
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.common import VersioningBehavior
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.casebook.begin import Beginnings
from activities.casebook.load import Loader
from activities.casebook.merge import Merges
from activities.casebook.number import Numbers
from activities.casebook.open import Openings
from activities.casebook.parcel import Parcels
from activities.casebook.read import Casebook
from activities.casebook.record import Recorder
from activities.casebook.search import Search
from activities.casebook.summary import Summaries
from activities.database.database import Database
from activities.database.errors import TooPowerful
from activities.events.delivery import HEARTBEAT, Delivery
from activities.events.outbound import Guard
from activities.events.subscriptions import Subscriptions
from activities.notify.build import build_notifier
from activities.notify.compose import Links
from activities.notify.digest import MOST_HELD
from activities.notify.notifier import Notifier
from activities.people.absences import Absences
from activities.people.directory import DirectoryBook
from activities.people.handover import Handovers
from activities.people.swap import RosterChanges, Swaps
from activities.policies.calendar_years import CalendarYears
from activities.policies.store import Policies
from activities.replies.send import ReplySender
from activities.replies.templates import ReplyTemplates
from activities.senders.gate import check_sender
from cases.vocabulary.contract import TASK_QUEUE
from starter.checkpoints import check_settings, keep_making
from starter.client import CaseClient
from starter.connection import Unreachable, connect
from starter.embedded import running
from starter.erasure import keep_erasing
from starter.incoming import keep_answering, keep_fetching
from starter.logs import configure, core_logging
from starter.payouts import payouts_of
from starter.recovery.deployment import version_of
from starter.recovery.waiting import tell_while_waiting
from starter.replies import ways_of
from starter.retention import advise
from starter.senders import guard_of, signer_of
from starter.settings import Settings, SettingsError, load_settings
from starter.subscriptions import ensure_workflows
from workflows.registry import EVENTS_QUEUE, JOBS, RUNNER, case_workflows

# Work under way gets this long to end when the process is asked to stop.
DRAIN = timedelta(seconds=10)
# At the same time: twice as many as may be held for a digest, so that recording never waits for those.
ACTIVITIES = 2 * MOST_HELD
# Deliveries under way get less: nothing is lost by ending them.
LEAVE = timedelta(seconds=3)
# So many subscriptions one worker delivers for at the same time.
SUBSCRIBERS = 200
# What PostgreSQL calls its connections.
PROGRAM = "caseladder-worker"

log = structlog.get_logger("caseladder.worker")


@asynccontextmanager
async def polling(
    client: Client, settings: Settings, *, cache: int = 1000, tell: bool = False
) -> AsyncIterator[Worker]:
    """Run a worker for the block; at its end the worker finishes the tasks that it has begun.

    Args:
        client: the connection to Temporal.
        settings: the settings of the casebook and the channels.
        cache: how many workflows are kept in memory between tasks.
        tell: do what stands beside the cases too, see `_beside`.

    Raises:
        SettingsError: a setting is missing or invalid.
        TooPowerful: the role of the database's address may do more than write.
    """
    if settings.database_url is None:
        raise SettingsError("CASELADDER_DATABASE_URL is missing: the casebook needs a PostgreSQL")
    url, connections = settings.database_url.get_secret_value(), settings.database_connections
    check_settings(settings)
    async with Database.open(url, connections=connections, records=True, only_writes=True, program=PROGRAM) as database:
        await database.check_role()
        guard = guard_of(settings)
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[*case_workflows(), *JOBS],
            activities=_activities(client, settings, database),
            workflow_runner=RUNNER,
            max_cached_workflows=cache,
            deployment_config=_deployment(settings.deployment),
            max_concurrent_activities=ACTIVITIES,
            graceful_shutdown_timeout=DRAIN,
        )
        subscriptions = Subscriptions(database, Guard(settings.private_subscribers))
        beside = _beside(client, database, settings) if tell else nullcontext()
        async with guard, worker, _delivering(client, subscriptions), beside:
            yield worker


def _deployment(deployment: str | None) -> WorkerDeploymentConfig | None:
    """Return by which build the workflows of this worker go; None where there is but one."""
    if deployment is None:
        return None
    return WorkerDeploymentConfig(
        version=version_of(deployment),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def _activities(client: Client, settings: Settings, database: Database) -> list[Callable[..., Any]]:
    """Return the activities of the cases.

    Raises:
        SettingsError: a setting is invalid.
    """
    casebook, directory, calendar = Casebook(database), DirectoryBook(database), CalendarYears(database)
    policies = Policies(settings.policies, calendar.current)
    cases = CaseClient(client, casebook, signer_of(settings), policies.in_force)
    handovers = Handovers(casebook, Search(database), directory, policies, cases.command)
    return [
        Beginnings(database, policies).begin,
        check_sender,
        Loader(database).load_case,
        Numbers(database).give_number,
        Openings(database, cases.open).open_case,
        Merges(database, cases.command).merge_case,
        Recorder(database).record,
        _notifier(settings, directory, casebook).notify,
        payouts_of(settings, database).pay,
        Summaries(database, policies).gather_month,
        handovers.shift_end,
        handovers.hand_over,
        Parcels(database).look_up,
        Absences(database).record_absence,
        ReplySender(database, ways_of(settings), ReplyTemplates(settings.templates)).send_reply,
        RosterChanges(casebook, Swaps(database), calendar.current).change_roster,
    ]


def _notifier(settings: Settings, directory: DirectoryBook, casebook: Casebook) -> Notifier:
    """Build the notifier that the settings describe.

    Raises:
        SettingError: a setting is invalid.
    """

    def revealed(secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()

    return build_notifier(
        revealed(settings.smtp_url),
        revealed(settings.webhook_secret),
        settings.contacts,
        settings.mail_from,
        apprise=settings.apprise,
        templates=settings.templates,
        staff=directory.current,
        ledger=casebook,
        links=Links(settings.link_secrets, settings.public_url),
        hold=settings.digest_hold,
        guard=Guard(settings.private_subscribers),
    )


@asynccontextmanager
async def _beside(client: Client, database: Database, settings: Settings) -> AsyncIterator[None]:
    """Do for the block what a worker does beside the cases.

    It says when new cases and payments wait, makes checkpoints, erases what is to be erased, and deals with what
    customers write.
    """
    policies = Policies(settings.policies, CalendarYears(database).current)
    doing = (
        tell_while_waiting(database, log),
        keep_making(database, settings, log),
        keep_erasing(database, client, settings, policies, log),
        keep_answering(database, client, settings, policies, log),
        keep_fetching(database, settings, log),
    )
    tasks = [asyncio.create_task(one) for one in doing]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _delivering(client: Client, subscriptions: Subscriptions) -> AsyncIterator[None]:
    """Deliver events to subscribers for the block.

    This is a separate worker, so that many or slow subscribers do not delay the cases.
    """
    worker = Worker(
        client,
        task_queue=EVENTS_QUEUE,
        activities=[Delivery(subscriptions).deliver],
        max_concurrent_activities=SUBSCRIBERS,
        # A change of a subscription is learnt of by the heartbeat.
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT),
        # Shorter than a subscriber may take to answer: what is under way then comes again, with the same id.
        graceful_shutdown_timeout=LEAVE,
    )
    async with worker:
        deliveries = asyncio.create_task(ensure_workflows(client, subscriptions))
        try:
            yield
        finally:
            deliveries.cancel()
            with suppress(asyncio.CancelledError):
                await deliveries


async def work(settings: Settings) -> None:
    """Poll until SIGTERM or SIGINT.

    Raises:
        Unreachable: no Temporal server answers.
        SettingsError: a setting cannot be used.
        TooPowerful: see `polling`.
    """
    runtime = _runtime(settings.metrics_port)
    stack = running(settings.data)
    if stack is not None:
        settings = settings.on_embedded(stack.database_url)
    client = await connect(settings.data, runtime, retry=None)
    advice = await advise(client)
    if advice is not None:
        log.warning("short_retention", reason=advice)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with polling(client, settings, tell=True):
        log.info(
            "polling",
            task_queue=TASK_QUEUE,
            namespace=client.namespace,
            commands=settings.commands,
            metrics_port=settings.metrics_port,
        )
        await stop.wait()
        log.info("draining", seconds=DRAIN.total_seconds())
    log.info("stopped")


def _runtime(port: int) -> Runtime:
    """Create the SDK's runtime, whose messages go into the log of the process.

    Raises:
        SettingsError: the port of the metrics cannot be used.
    """
    telemetry = TelemetryConfig(
        logging=core_logging(),
        metrics=PrometheusConfig(bind_address=f"0.0.0.0:{port}") if port else None,
    )
    try:
        return Runtime(telemetry=telemetry)
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"CASELADDER_METRICS_PORT = {port}: {error}") from None


def main() -> int:
    """Run a worker, and return the exit code: 0 if it was asked to stop, 1 if it could not start."""
    try:
        settings = load_settings()
        configure(settings.log_format)
        asyncio.run(work(settings))
    except (SettingsError, TooPowerful, Unreachable, ValueError, RuntimeError) as error:
        # A failure of the engine's kind says its type before its message.
        print(f"caseladder worker: {getattr(error, 'message', error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    # The SDK's threads may still hold on when the interpreter takes itself apart, which would abort
    # it (temporalio/sdk-python issue 300); everything of ours is closed by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
