"""Delivering the ledger's events to subscribers: the activity ``pump_events``.

Each event is sent at least once, with one id over every retry, and those of a case one after the other.
An event that is not taken holds up the events behind it, of this subscription and of no other, until it is
or the subscription is parked.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.events.feed import FeedEvent
from activities.events.outbound import GuardedTransport
from activities.events.subscriptions import Failure, Lease, Progress, State, Subscriptions
from activities.messages import PUMP_EVENTS, DeliveryOrder, DeliveryResult
from activities.notify.channels import Delayed, Undeliverable
from activities.notify.channels.http import Poster, json_body, trust
from activities.signatures import sign
from cases.vocabulary.events import fingerprint
from cases.vocabulary.refusals import Refused

# Seconds: between looks at a ledger with nothing new, for one whole request, between two heartbeats,
# and for one run of the activity.
POLL, TIMEOUT, HEARTBEAT, RUN = 0.5, 10.0, 2.0, 600.0
# So many events are read at once, and sent of so many cases at a time; what is not begun after so many
# seconds is left for the next batch, so that the progress of slow subscribers is stored too.
BATCH, AT_A_TIME, SPAN = 100, 8, 30.0
GONE = 410

log = structlog.get_logger(__name__)


class Delivery:
    """Delivers for subscriptions, each in a run of its own.

    Args:
        subscriptions: all of them, with the ledger.
        timeout: seconds for one whole request.
        tls: the trust store; None is the system's.
    """

    def __init__(
        self, subscriptions: Subscriptions, *, timeout: float = TIMEOUT, tls: ssl.SSLContext | None = None
    ) -> None:
        self._subscriptions = subscriptions
        self._timeout = timeout
        self._tls = tls or trust()

    @activity.defn(name=PUMP_EVENTS)
    async def deliver(self, order: DeliveryOrder) -> DeliveryResult:
        """Deliver what there is and what comes, for ten minutes or until the worker is to stop.

        Raises:
            ApplicationError: type ``DeliveryFailed``: something was not taken; it says when to try again.
        """
        lease = await self._subscriptions.lease(order.id)
        if lease is None:
            return DeliveryResult(await self._state(order.id))
        ending = asyncio.create_task(activity.wait_for_worker_shutdown())
        heartbeat = asyncio.create_task(_heartbeat())
        transport = GuardedTransport(self._subscriptions.guard, self._tls)
        try:
            async with httpx.AsyncClient(transport=transport, timeout=self._timeout, trust_env=False) as client:
                return await self._run(lease, client, ending)
        finally:
            heartbeat.cancel()
            ending.cancel()

    async def _state(self, id: str) -> State:
        try:
            return (await self._subscriptions.get(id)).state
        except Refused:  # a database without it
            return "removed"

    async def _run(self, lease: Lease, client: httpx.AsyncClient, ending: asyncio.Task[None]) -> DeliveryResult:
        subscription, until = lease.subscription, time.monotonic() + RUN
        # A subscriber that did not take the last event is tried with one before the rest is sent.
        limit = BATCH if subscription.failing_since is None else 1
        while not ending.done() and time.monotonic() < until:
            try:
                events = await self._subscriptions.feed.after(subscription.position, limit)
            except Refused:
                # The ledger was restored to a state from before the last delivery; people must say where to go on.
                failure = Failure("the ledger has not come as far as the subscription: replay from a position", True)
                await self._store(lease, subscription.position, False, failure)
                return DeliveryResult("parked")
            if not events:
                await asyncio.wait([ending], timeout=POLL)
                continue
            sent, failed = await self._send(lease, client, events, ending)
            reached = subscription.position
            for event in events:
                if subscription.wants(event) and event.position not in sent:
                    break
                reached = event.position
            progress = await self._store(lease, reached, bool(sent), next(iter(failed.values()), None))
            if progress is None:
                # Somebody else delivers by now, or people changed it: begin with what is true now.
                return DeliveryResult("active")
            if progress.state == "parked":
                return DeliveryResult("parked")
            subscription, limit = replace(subscription, position=reached), BATCH
        return DeliveryResult("active")

    async def _send(
        self, lease: Lease, client: httpx.AsyncClient, events: Sequence[FeedEvent], ending: asyncio.Task[None]
    ) -> tuple[set[str], dict[str, Failure]]:
        """Send what is wanted of some events: what was taken and what was not, by position, in order.

        Nothing more is begun once something was not taken, the worker is to stop, or it takes too long.
        """
        by_case: dict[str, list[FeedEvent]] = {}
        for event in events:
            if lease.subscription.wants(event):
                by_case.setdefault(event.case_id, []).append(event)
        sent: set[str] = set()
        failed: dict[str, Failure] = {}
        turns = asyncio.Semaphore(AT_A_TIME)
        until = time.monotonic() + SPAN

        async def send(of_case: Sequence[FeedEvent]) -> None:
            async with turns:
                for event in of_case:
                    if failed or ending.done() or time.monotonic() > until:
                        return
                    failure = await self._post(lease, client, event)
                    if failure is not None:
                        failed[event.position] = failure
                        return
                    sent.add(event.position)

        async with asyncio.TaskGroup() as group:
            for of_case in by_case.values():
                group.create_task(send(of_case))
        return sent, {event.position: failed[event.position] for event in events if event.position in failed}

    async def _post(self, lease: Lease, client: httpx.AsyncClient, event: FeedEvent) -> Failure | None:
        """Post one event and return why it was not taken, or None."""
        message_id, body = (
            message_id_of(lease.subscription.id, event),
            json_body(payload_of(event, texts=lease.subscription.texts)),
        )
        try:
            answer = await Poster(client, self._timeout).post(
                lease.subscription.url, body, sign(lease.secret, message_id, body)
            )
        except (Delayed, Undeliverable) as error:
            return Failure(str(error))
        if 200 <= answer.status < 300:
            return None
        return Failure(f"HTTP {answer.status}", answer.status == GONE, answer.wait)

    async def _store(self, lease: Lease, reached: str, delivered: bool, failure: Failure | None) -> Progress | None:
        """Store how far the delivery is, and log what went wrong.

        Raises:
            ApplicationError: something was not taken and is to be tried again.
        """
        progress = await self._subscriptions.advance(lease, reached, delivered, failure)
        if progress is None or failure is None:
            return progress
        meter, id = activity.metric_meter(), lease.subscription.id
        meter.create_counter("caseladder_deliveries_failed", "Events that a subscriber did not take").add(1)
        if progress.state == "parked":
            meter.create_counter("caseladder_subscriptions_parked", "Subscriptions that were given up").add(1)
            log.error(
                "subscription_parked", subscription=id, reason=failure.reason, failing_since=str(progress.failing_since)
            )
            return progress
        log.warning(
            "subscription_failing", subscription=id, reason=failure.reason, seconds=progress.wait.total_seconds()
        )
        # Expected and logged; the server waits, so that no worker is occupied meanwhile.
        raise ApplicationError(
            f"{id}: {failure.reason}",
            type="DeliveryFailed",
            next_retry_delay=progress.wait,
            category=ApplicationErrorCategory.BENIGN,
        )


def message_id_of(subscription: str, event: FeedEvent) -> str:
    """Return the id of an event for a subscriber: the same over every retry and replay, and of no other event."""
    text = "\0".join((subscription, event.case_id, str(event.event["seq"]), fingerprint(event.event)))
    return "evt_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def payload_of(event: FeedEvent, *, texts: bool) -> Mapping[str, Any]:
    """Return what is sent of an event: the same whenever it is sent, so nothing of how the case stands now.

    Args:
        texts: whether with what people wrote freely, as far as it was not erased.
    """
    return {
        "type": event.event["type"],
        "timestamp": event.event["at"],
        "data": {
            "case": event.case_id,
            "kind": event.kind,
            "number": event.number,
            "position": event.position,
            "event": event.for_reader(texts),
        },
    }


async def _heartbeat() -> None:
    """Heartbeat every few seconds, so that a dead worker is soon replaced."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT)
