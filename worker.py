"""The worker process: connect, register, poll, drain on SIGTERM. Scale by starting more of them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import structlog
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.worker import Worker

from activities.casebook import book as casebook
from activities.casebook.summary import MonthBook
from activities.events import subscriptions
from activities.events.delivery import HEARTBEAT, Pump
from activities.events.outbound import Guard
from activities.events.subscriptions import Subscriptions
from activities.notify.digest import MOST_HELD
from activities.notify.notifier import Links, Notifier, build_notifier
from activities.people import directory
from activities.people import handover as handovers
from activities.people.directory import DirectoryBook
from activities.people.handover import Handovers
from activities.policies import calendar_years
from activities.policies.store import Policies
from starter import payouts
from starter.client import CaseClient
from starter.connection import Unreachable, connect
from starter.embedded import running
from starter.logs import configure
from starter.settings import Settings, SettingsError, load_settings
from starter.subscriptions import keep
from workflows.registry import EVENTS_QUEUE, JOBS, RUNNER, TASK_QUEUE, WORKFLOWS

# Work under way gets this long to end when the process is asked to stop.
DRAIN = timedelta(seconds=10)
# At the same time: twice as many as may be held for a digest, so that recording never waits for those.
ACTIVITIES = 2 * MOST_HELD
# Deliveries under way get less: nothing is lost by ending them.
LEAVE = timedelta(seconds=3)
# So many subscriptions one worker delivers for at the same time.
SUBSCRIBERS = 200

log = structlog.get_logger("caseladder.worker")


@asynccontextmanager
async def polling(client: Client, settings: Settings, *, cache: int = 1000) -> AsyncIterator[Worker]:
    """A worker that polls while the block runs, then drains.

    Args:
        client: the connection to Temporal.
        settings: where the casebook and the channels are.
        cache: how many workflows are kept in memory between tasks.

    Raises:
        SettingsError: a setting cannot be used.
    """
    if settings.database_url is None:
        raise SettingsError("CASELADDER_DATABASE_URL is missing: the casebook needs a PostgreSQL")
    url = settings.database_url.get_secret_value()
    async with (
        casebook.connect(url) as book,
        calendar_years.connect(url) as calendar,
        payouts.connect(settings) as paying,
        directory.connect(url) as staff,
        handovers.connect(url, staff) as swaps,
        subscriptions.connect(url, Guard(settings.private_subscribers)) as subscribed,
    ):
        notifier = _notifier(settings, staff)
        policies = Policies(settings.policies, calendar.current)
        shifts = Handovers(book, staff, swaps, policies, CaseClient(client).command, calendar.current)
        worker = Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[*WORKFLOWS, *JOBS],
            activities=[
                book.record,
                notifier.notify,
                paying.pay,
                policies.load_policy,
                MonthBook(book, policies).gather_month,
                shifts.shift_end,
                shifts.hand_over,
                shifts.change_roster,
            ],
            workflow_runner=RUNNER,
            max_cached_workflows=cache,
            max_concurrent_activities=ACTIVITIES,
            graceful_shutdown_timeout=DRAIN,
        )
        async with worker, _delivering(client, subscribed):
            yield worker


def _notifier(settings: Settings, staff: DirectoryBook) -> Notifier:
    """The notifier by the settings. Raises `SettingError`, which is a ValueError."""

    def said(secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()

    return build_notifier(
        said(settings.smtp_url),
        said(settings.webhook_secret),
        settings.contacts,
        settings.mail_from,
        apprise=settings.apprise,
        templates=settings.templates,
        staff=staff.current,
        links=Links(settings.link_secrets, settings.public_url) if settings.link_secrets else None,
        hold=settings.digest_hold,
    )


@asynccontextmanager
async def _delivering(client: Client, subscribed: Subscriptions) -> AsyncIterator[None]:
    """Deliver events to subscribers while the block runs. A worker of its own does it: however many
    subscribers there are and however slow, they take nothing from the cases."""
    worker = Worker(
        client,
        task_queue=EVENTS_QUEUE,
        activities=[Pump(subscribed).pump],
        max_concurrent_activities=SUBSCRIBERS,
        # A change of a subscription is learnt of by the heartbeat.
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT),
        # Shorter than a subscriber may take to answer: what is under way then comes again, with the same id.
        graceful_shutdown_timeout=LEAVE,
    )
    async with worker:
        keeping = asyncio.create_task(keep(client, subscribed))
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


async def work(settings: Settings) -> None:
    """Poll until SIGTERM or SIGINT.

    Raises:
        Unreachable: no Temporal server answers.
        SettingsError: a setting cannot be used.
    """
    runtime = _runtime(settings.metrics_port)
    stack = running(settings.data)
    if stack is not None:
        settings = settings.on_embedded(stack.database_url)
    client = await connect(settings.data, runtime)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with polling(client, settings):
        log.info("polling", task_queue=TASK_QUEUE, namespace=client.namespace, metrics_port=settings.metrics_port)
        await stop.wait()
        log.info("draining", seconds=DRAIN.total_seconds())
    log.info("stopped")


def _runtime(port: int) -> Runtime:
    """The SDK's runtime. What its core has to say goes into the log, so that every line there has one form."""
    forwarding = LogForwardingConfig(
        logging.getLogger("temporalio.core"),
        append_target_to_name=False,
        prepend_target_on_message=False,
    )
    telemetry = TelemetryConfig(
        logging=LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding),
        metrics=PrometheusConfig(bind_address=f"0.0.0.0:{port}") if port else None,
    )
    try:
        return Runtime(telemetry=telemetry)
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"CASELADDER_METRICS_PORT = {port}: {error}") from None


def main() -> int:
    """Run a worker; the exit code is 0 when it was asked to stop, 1 when it could not start."""
    try:
        settings = load_settings()
        configure(settings.log_format)
        asyncio.run(work(settings))
    except (SettingsError, Unreachable, ValueError, RuntimeError) as error:
        print(f"caseladder worker: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    # The SDK's threads may still hold on when the interpreter takes itself apart, which would abort
    # it (temporalio/sdk-python issue 300); everything of ours is closed by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
